//! What leaves the program, in each form: the report for people, the JSON document, the event stream and
//! their schemas.
//!
//! [`model`] is the document as plain data; every form is a pure function of it. [`redact`] takes secrets
//! out of the model before any form is written, and [`terminal`] keeps captured bytes from reaching a
//! terminal raw. Only [`convert`] knows the records and verdicts that the model is made from;
//! `words` writes the same of them without a model, in `shorthand` where it has to be kept. Nothing in this room
//! reads packets or decides anything.

pub mod community_id;
mod compact;
pub mod convert;
mod glance;
pub mod json;
pub mod judged;
pub mod lines;
pub mod listing;
pub mod model;
pub mod ndjson;
pub mod publish;
pub mod redact;
pub mod report;
pub mod schema;
pub mod sealed;
mod shorthand;
pub mod stream;
pub mod terminal;
mod time;
mod words;

#[cfg(test)]
mod names;
#[cfg(test)]
pub(crate) mod sample;
