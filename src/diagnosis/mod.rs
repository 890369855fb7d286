//! Room `diagnosis`.

pub mod catalogue;
pub mod finding;
