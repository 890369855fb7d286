//! Room `connection`.
