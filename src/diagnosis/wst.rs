//! TLS: why wss fails before a single byte of HTTP.

use super::case::Case;
use super::judged::Judged;
use super::outcome::Outcome;

/// How a TLS connection without a visible WebSocket ended.
pub(super) fn outcome(_: &Case<'_>) -> Outcome {
    Outcome::Unknown
}

pub(super) fn judge(_: &Case<'_>, _: Outcome, _: &mut Judged) {}

/// Whether TLS itself failed.
pub(super) fn failed(_: &Case<'_>) -> bool {
    false
}

/// Whether an encrypted connection is most likely a WebSocket.
pub(super) fn looks_like_websocket(_: &Case<'_>) -> bool {
    false
}
