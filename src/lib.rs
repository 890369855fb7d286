//! wsscan reads packets and says why a WebSocket died.

pub mod capture;
pub mod cli;
pub mod connection;
pub mod diagnosis;
pub mod engine;
pub mod http;
pub mod http2;
pub mod output;
pub mod packet;
pub mod stream;
pub mod tcp;
pub mod tls;
pub mod websocket;
