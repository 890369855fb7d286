//! The rules that one connection shows, one file a family: texts, roles and detection.
//!
//! Detection is a pure function of facts. It yields candidates and never looks at those of another family.

pub(super) mod application;
pub(super) mod capture;
pub(super) mod closing;
pub(super) mod compression;
pub(super) mod framing;
pub(super) mod handshake;
pub(super) mod keepalive;
pub(super) mod proxy;
pub(super) mod security;
pub(super) mod tcp;
pub(super) mod tls;

use super::context::Session;
use super::outcome::Outcome;
use super::resolve::Candidates;

/// What a family makes of a session.
type Judge = fn(&Session<'_>, Outcome, &mut Candidates);

/// The families that judge a session, in the order of their findings.
pub(super) const FAMILIES: [Judge; 10] = [
    capture::judge,
    tcp::judge,
    proxy::judge,
    tls::judge,
    handshake::judge,
    framing::judge,
    compression::judge,
    keepalive::judge,
    closing::judge,
    security::judge,
];
