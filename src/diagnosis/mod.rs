//! Room `diagnosis`.

pub mod catalogue;
pub mod close_code;
pub mod finding;
