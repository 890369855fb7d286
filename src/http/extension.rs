//! `Sec-WebSocket-Extensions` taken apart (RFC 6455 §9.1).
