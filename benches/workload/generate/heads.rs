//! HTTP/1.1 heads: opening handshakes (RFC 6455 §4), refusals, and plain requests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use super::random::Random;

/// What RFC 6455 §1.3 appends to the key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const BROWSER: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

/// How much a client says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talkative {
    /// As a browser does.
    Browser,
    /// As a program does.
    Program,
}

/// A `Sec-WebSocket-Key`.
pub(crate) fn key(random: &mut Random) -> String {
    STANDARD.encode(random.bytes::<16>())
}

/// The `Sec-WebSocket-Accept` that answers `key` (RFC 6455 §4.2.2).
pub(crate) fn accept(key: &str) -> String {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(GUID);
    STANDARD.encode(context.finish())
}

/// The client's opening handshake.
pub(crate) fn upgrade_request(talkative: Talkative, host: &str, target: &str, key: &str) -> String {
    match talkative {
        Talkative::Browser => format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
             Cache-Control: no-cache\r\nUser-Agent: {BROWSER}\r\nUpgrade: websocket\r\nOrigin: http://{host}\r\n\
             Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\n\
             Sec-WebSocket-Key: {key}\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        ),
        Talkative::Program => format!(
            "GET {target} HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nHost: {host}\r\n\r\n"
        ),
    }
}

/// The server's opening handshake.
pub(crate) fn upgrade_response(key: &str, deflate: bool) -> String {
    let extensions = if deflate { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" };
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{extensions}\r\n",
        accept(key)
    )
}

/// A refusal of the upgrade.
pub(crate) fn refusal(status: u16) -> String {
    let (reason, body) = match status {
        401 => ("Unauthorized", "token expired\n"),
        403 => ("Forbidden", "origin not allowed\n"),
        404 => ("Not Found", "no such endpoint\n"),
        426 => ("Upgrade Required", "Upgrade Required"),
        502 => ("Bad Gateway", "upstream is not reachable\n"),
        _ => ("Service Unavailable", "too many connections, try again later\n"),
    };
    format!(
        "HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A plain request.
pub(crate) fn download_request(host: &str, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {BROWSER}\r\nAccept: */*\r\n\r\n")
}

/// The head of its response.
pub(crate) fn download_response(length: u64) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: {length}\r\nAccept-Ranges: bytes\r\n\r\n"
    )
}
