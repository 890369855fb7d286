//! One connection: the stack of its layers, and the record of what they found.
//!
//! ```text
//!  detect           which protocol the first bytes belong to
//!  stack            composes the layers and feeds each with what the one below yields
//!  tap              shows the beginnings of a WebSocket's messages to the recognisers of application protocols
//!  http2_streams    the WebSockets on the streams of one HTTP/2 connection
//!  builder          files what the layers report into the record
//!  event            what leaves the stack while the connection is under way
//!  record           what remains of the connection when it is over
//! ```
//!
//! No file here forms an opinion, and none but `stack`, `detect`, `http2_streams` and `tap` feeds a layer.

#![forbid(unsafe_code)]

mod builder;
mod detect;
mod event;
mod http2_streams;
mod record;
mod stack;
mod tap;

pub use event::{Context, Ends, EntryEvent, EntrySink, Interest, Keys};
pub use record::{ConnectionRecord, Entry, Layers, MAX_ENTRIES, MAX_PLAIN};
pub(crate) use stack::Stack;
