//! Room `http2`.
