//! One connection: the stack of its layers, and the record of what they found. No opinion is formed here.

mod record;
mod stack;

pub use record::{ConnectionRecord, Entry, Layers, MAX_ENTRIES, MAX_HTTP_FACTS, MAX_PLAIN};
pub use stack::{Context, Ends, EntryEvent, Interest, Keys, Note, Stack};
