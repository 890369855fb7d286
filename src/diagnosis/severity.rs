//! How bad a finding is, and how sure.

use std::fmt;

/// How bad it is, from harmless to broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// An explanation only: nothing is wrong.
    Info,
    /// It works, but it is fragile or breaks a MUST of a standard.
    Warning,
    /// The connection failed or data was lost.
    Error,
}

impl Severity {
    /// Every severity, from the lowest to the highest.
    pub const ALL: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Error];

    /// `info`, `warning` or `error`, as printed and as typed on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How sure it is. Ordered from the weakest to the strongest.
///
/// A product's name is never [`Confidence::Proven`] unless the product names itself on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// One indicator, or nothing but a time that equals a default timer.
    Possible,
    /// Two or more independent indicators that fit a known implementation or product.
    Likely,
    /// Follows from the packets and the standards alone.
    Proven,
}

impl Confidence {
    /// Every confidence, from the weakest to the strongest.
    pub const ALL: [Confidence; 3] = [Confidence::Possible, Confidence::Likely, Confidence::Proven];

    /// `possible`, `likely` or `proven`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Confidence::Possible => "possible",
            Confidence::Likely => "likely",
            Confidence::Proven => "proven",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_and_confidences_are_ordered() {
        assert!(Severity::Info < Severity::Warning && Severity::Warning < Severity::Error);
        assert!(Confidence::Possible < Confidence::Likely && Confidence::Likely < Confidence::Proven);
        assert!(Severity::ALL.is_sorted() && Confidence::ALL.is_sorted());
        assert_eq!(format!("[{:<8}]", Severity::Error), "[error   ]");
        assert_eq!(format!("{:>8}", Confidence::Likely), "  likely");
    }
}
