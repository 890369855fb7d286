//! What leaves the program, in each form: the report for people, the JSON document, the event stream and
//! their schemas.
//!
//! [`model`] is the only description of the document; every form is a pure function of it. `from_record` makes it of
//! records and verdicts, `redact` takes secrets out before anything else sees it, `store` keeps it until the capture
//! is over, `numbering` and `render` add what only the whole capture gives. `terminal` keeps captured bytes from
//! reaching a terminal raw. Nothing in this room reads packets or decides anything.

pub(crate) mod community_id;
mod dictionary;
pub mod events;
pub(crate) mod from_record;
pub(crate) mod json;
pub(crate) mod markdown;
pub mod model;
pub(crate) mod numbering;
pub(crate) mod redact;
pub(crate) mod render;
pub(crate) mod report;
pub(crate) mod schema;
pub(crate) mod store;
pub(crate) mod style;
pub(crate) mod terminal;
mod time;

#[cfg(test)]
pub(crate) mod sample;
