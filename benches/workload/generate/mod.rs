//! A deterministic generator of WebSocket captures: the same shape, size and seed give the same bytes.
//!
//! ```text
//! payloads ─► frames ─► tls? ─► conversation ─ steps ─► simulation (one clock) ─► packets ─► capture_file
//!                 └──────────── truth: counted while it is planned ────────────────────────────►  JSON
//! ```
//!
//! It shares no code with the library that it measures.

pub(crate) mod capture_file;
pub(crate) mod context;
pub(crate) mod conversation;
pub(crate) mod frames;
pub(crate) mod heads;
pub(crate) mod packets;
pub(crate) mod payloads;
pub(crate) mod random;
pub(crate) mod simulation;
pub(crate) mod step;
pub(crate) mod tls;
pub(crate) mod truth;

use std::sync::Arc;

use capture_file::{CaptureFile, Format};
use context::Context;
use payloads::Payloads;
use simulation::Shape;
use truth::Truth;

/// A capture in memory, with its truth.
pub(crate) struct Capture {
    pub(crate) bytes: Vec<u8>,
    pub(crate) truth: Truth,
}

/// Generates a capture in memory.
pub(crate) fn in_memory(shape: Shape, bytes: u64, seed: u64, format: Format) -> Capture {
    let payloads = Arc::new(Payloads::new(seed, shape.stories(bytes)));
    let context = Context::new(seed, payloads, CaptureFile::in_memory(format));
    let (truth, bytes) =
        simulation::run(shape, bytes, shape.connections(bytes), context).expect("memory takes every write");
    Capture { bytes, truth }
}
