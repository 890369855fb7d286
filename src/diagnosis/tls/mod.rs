//! What the facts of a TLS connection amount to: how its handshake failed, what is visibly wrong with the certificate,
//! what an encrypted connection most likely carries. Read by the outcome, by the rules and by correlation; no rule
//! stands here.

pub(super) mod certificate;
pub(super) mod failure;
pub(super) mod traffic_analysis;
