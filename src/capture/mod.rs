//! Where packets come from: capture files, standard input, and (feature `live`) network interfaces.
//!
//! Every source goes the same way: bytes are read into large pooled arenas, a [`Walker`] finds the records in
//! them, and a [`Batch`](crate::packet::Batch) of offsets into the arena is handed on, compressed files and
//! pipes included. This module is the only one that reads captures; it never looks into a packet, never maps a
//! file into memory, and never lets a length from a file size an allocation.

#[cfg(feature = "live")]
mod bpf;
mod buffered;
mod decompress;
mod error;
#[cfg(all(feature = "live", target_os = "linux"))]
mod fanout;
mod filter;
mod format;
#[cfg(feature = "live")]
mod handle;
#[cfg(feature = "live")]
mod interfaces;
mod link_type;
#[cfg(feature = "live")]
mod live;
mod merge;
#[cfg(all(feature = "live", unix))]
mod privileges;
#[cfg(feature = "live")]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "other systems have one reader"))]
mod readers;
mod source;
#[cfg(feature = "live")]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "other systems have one reader"))]
mod time_merge;
mod walker;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use filter::Filter;
pub use format::{Compression, Format};
#[cfg(feature = "live")]
pub use handle::{DEFAULT_BUFFER_KIB, DEFAULT_SNAPLEN, LiveOptions, LiveStatistics, StopHandle};
#[cfg(feature = "live")]
pub use interfaces::{Interface, interfaces, missing_permission};
pub(crate) use link_type::link_type_name;
#[cfg(feature = "live")]
pub use live::Live;
pub use merge::Capture;
#[cfg(all(feature = "live", unix))]
pub(crate) use privileges::drop_privileges;
pub use source::{ARENA_SIZE, ChunkedFile, FileSummary, Input};
pub use walker::{
    MAX_BLOCK, MAX_CAPTURED, MAX_DECLARED_CAPTURED, MAX_INTERFACES, MAX_PENDING_SECRETS, NOT_A_PACKET, Walked, Walker,
};
