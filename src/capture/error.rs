//! The error type of this module: a sentence that names the file or interface and the next step.

use std::fmt;

/// Why packets cannot be had. Its text names the file, interface or filter at fault and what to do next.
///
/// Only what stops the work is an error: a capture that is cut or damaged part-way is read as far as it
/// goes, and its [`FileSummary`](super::FileSummary) reports the damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    text: String,
}

impl Error {
    /// An error with this text.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

/// libpcap's message without the prefix that the `pcap` crate adds.
#[cfg(feature = "live")]
pub(super) fn pcap_message(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}
