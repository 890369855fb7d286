//! Room `tcp`.
