//! Whether a stream's first bytes are HTTP/1.x.

/// What first bytes may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sniff {
    /// A request.
    Request,
    /// A response.
    Response,
    /// A PROXY protocol header; what follows it is not known yet.
    ProxyHeader,
    /// Too few bytes to tell.
    Maybe,
    /// None of these.
    No,
}
