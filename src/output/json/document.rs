//! Writes a document member by member, so that a list of a million need not be in memory.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::{Inner, Layout, SafeFormatter, write_value};

/// A document under way: members in the order of the calls.
#[must_use = "the document is complete only after `end`"]
pub(super) struct DocumentWriter<W> {
    writer: W,
    formatter: SafeFormatter,
    first_member: bool,
    first_element: bool,
}

impl<W: Write> DocumentWriter<W> {
    pub(super) fn begin(mut writer: W, layout: Layout) -> io::Result<Self> {
        let mut formatter = SafeFormatter::new(layout);
        (&mut formatter).begin_object(&mut writer)?;
        Ok(Self { writer, formatter, first_member: true, first_element: true })
    }

    fn key(&mut self, name: &str) -> io::Result<()> {
        let mut formatter = &mut self.formatter;
        formatter.begin_object_key(&mut self.writer, std::mem::replace(&mut self.first_member, false))?;
        write!(self.writer, "\"{name}\"")?;
        formatter.end_object_key(&mut self.writer)?;
        formatter.begin_object_value(&mut self.writer)
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        match &self.formatter.0 {
            Inner::Compact(_) => write_value(&mut self.writer, Layout::Compact, value),
            Inner::Pretty(_) => {
                value.serialize(&mut Serializer::with_formatter(&mut self.writer, &mut self.formatter))?;
                Ok(())
            }
        }
    }

    /// Writes a member with its value.
    pub(super) fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> io::Result<()> {
        self.key(name)?;
        self.value(value)?;
        (&mut self.formatter).end_object_value(&mut self.writer)
    }

    /// Begins a member that is a list; [`element`](Self::element) and [`compact_elements`](Self::compact_elements) fill
    /// it, [`end_list`](Self::end_list) ends it.
    pub(super) fn begin_list(&mut self, name: &str) -> io::Result<()> {
        self.key(name)?;
        self.first_element = true;
        (&mut self.formatter).begin_array(&mut self.writer)
    }

    /// Writes the next element of the list.
    pub(super) fn element<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        (&mut self.formatter).begin_array_value(&mut self.writer, std::mem::replace(&mut self.first_element, false))?;
        self.value(value)?;
        (&mut self.formatter).end_array_value(&mut self.writer)
    }

    /// Writes the next elements of the list, which are a compact JSON list already, without its brackets.
    pub(super) fn compact_elements(&mut self, list: &[u8]) -> io::Result<()> {
        if list.is_empty() {
            return Ok(());
        }
        if !std::mem::replace(&mut self.first_element, false) {
            self.writer.write_all(b",")?;
        }
        self.writer.write_all(list)
    }

    pub(super) fn end_list(&mut self) -> io::Result<()> {
        (&mut self.formatter).end_array(&mut self.writer)?;
        (&mut self.formatter).end_object_value(&mut self.writer)
    }

    /// Ends the document with a line end and flushes.
    pub(super) fn end(mut self) -> io::Result<()> {
        (&mut self.formatter).end_object(&mut self.writer)?;
        self.writer.write_all(b"\n")?;
        self.writer.flush()
    }
}
