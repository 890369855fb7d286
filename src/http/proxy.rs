//! The PROXY protocol header, versions 1 (text) and 2 (binary), that load balancers put in front of a connection.

use std::net::SocketAddr;

use crate::stream::Stamp;

/// A PROXY protocol header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// 1 or 2.
    pub version: u8,
    /// Version 2's `LOCAL` command: the proxy's own connection, a health check for instance.
    pub local: bool,
    /// The client and the server as the proxy saw them; `None` for `UNKNOWN`, `LOCAL` or other address families.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// Length of the header in bytes.
    pub len: u32,
    /// The packet with its last byte.
    pub stamp: Stamp,
}
