//! Reserved for HTTP/2 (RFC 9113) and the WebSockets its streams can carry (RFC 8441). Empty: such WebSockets are
//! not read yet, and a connection that speaks HTTP/2 counts as none of ours.
