//! Lays text out for a terminal: styles, labels in a column, paragraphs and hanging lines wrapped at the width. Knows
//! nothing of captures and escapes nothing but text with line breaks of its own.

use std::io::{self, Write};

use anstyle::Style;

use super::super::style::{BOLD, DIM};
use super::phrases::one;

/// Narrowest and widest text that is still good to read.
pub(super) const WIDTHS: std::ops::RangeInclusive<usize> = 40..=120;
/// Width of the column of labels.
const LABEL: usize = 13;

/// A page of text in columns. Texts must be escaped already.
pub(crate) struct Page<'a> {
    pub(crate) out: &'a mut dyn Write,
    pub(crate) width: usize,
}

impl Page<'_> {
    pub(crate) fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{BOLD}{text}{BOLD:#}")
    }

    pub(crate) fn paragraph(&mut self, style: Style, text: &str) -> io::Result<()> {
        for line in wrapped(text, self.width) {
            writeln!(self.out, "{style}{line}{style:#}")?;
        }
        Ok(())
    }

    /// A label in a column of `column` characters, and text beside it.
    pub(crate) fn labelled(&mut self, style: Style, label: &str, column: usize, text: &str) -> io::Result<()> {
        self.labelled_styled(style, label, column, Style::new(), text)
    }

    pub(super) fn labelled_styled(
        &mut self,
        style: Style,
        label: &str,
        column: usize,
        text_style: Style,
        text: &str,
    ) -> io::Result<()> {
        for (index, line) in wrapped(text, self.width.saturating_sub(column)).iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            let pad = column.saturating_sub(label.chars().count());
            writeln!(self.out, "{style}{label}{style:#}{:pad$}{text_style}{line}{text_style:#}", "")?;
        }
        Ok(())
    }

    /// An indented label and text beside it.
    pub(crate) fn fact(&mut self, label: &str, text: &str) -> io::Result<()> {
        self.hanging(label, "", text)
    }

    /// A fact whose text has a head of its own, under which nothing is wrapped.
    pub(super) fn hanging(&mut self, label: &str, head: &str, text: &str) -> io::Result<()> {
        const ROOM: usize = 30;
        let indent = head.chars().count();
        if indent > 0 && self.width < LABEL + 2 + indent + ROOM {
            self.hanging(label, "", head.trim_end())?;
            return self.hanging("", "  ", text);
        }
        let lines = wrapped(text, self.width.saturating_sub(LABEL + 2 + indent));
        let mut lines = lines.iter();
        let first = lines.next().map_or("", String::as_str);
        let line = format!("{head}{first}");
        writeln!(self.out, "  {DIM}{label:<LABEL$}{DIM:#}{}", line.trim_end())?;
        for line in lines {
            writeln!(self.out, "{:1$}{line}", "", 2 + LABEL + indent)?;
        }
        Ok(())
    }

    /// A fact that is not wrapped, because somebody will copy it.
    pub(super) fn verbatim(&mut self, label: &str, text: &str) -> io::Result<()> {
        writeln!(self.out, "  {DIM}{label:<LABEL$}{DIM:#}{text}")
    }

    /// A text of paragraphs and of lines of code, which begin with four spaces.
    pub(crate) fn texts(&mut self, label: &str, text: &str) -> io::Result<()> {
        let mut label = label;
        for line in text.trim().lines() {
            if line.trim().is_empty() {
                self.blank()?;
            } else if line.starts_with("    ") {
                self.verbatim(label, &one(line))?;
                label = "";
            } else {
                self.fact(label, &one(line))?;
                label = "";
            }
        }
        Ok(())
    }

    pub(super) fn item(&mut self, id: &str, text: &str) -> io::Result<()> {
        self.labelled(DIM, &format!("  {id}"), 6, text)
    }
}

/// Breaks text at spaces into lines of at most `width` characters; longer words stand alone.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(20);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(' ') {
        let word_length = word.chars().count();
        if length > 0 && length + 1 + word_length > width {
            lines.push(std::mem::take(&mut line));
            length = 0;
        } else if length > 0 {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += word_length;
    }
    lines.push(line);
    lines
}
