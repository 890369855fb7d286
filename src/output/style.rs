//! Styles of the texts for people. Colours are always written; the stream takes them out where they are not wanted.

use anstyle::{AnsiColor, Style};

use super::model::Severity;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const BLUE: Style = AnsiColor::Cyan.on_default().bold();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default().bold();

/// Colour of a severity.
pub(crate) const fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Error => RED,
        Severity::Warning => YELLOW,
        Severity::Info => BLUE,
    }
}
