//! A reader that can be looked ahead into, that counts, and that knows whether its end was reached.

use std::io::{self, BufRead, ErrorKind, Read};

/// Bytes fetched at once for a decompressor.
const CAPACITY: usize = 128 << 10;

/// A buffered reader with look-ahead.
pub(super) struct Buffered<R> {
    inner: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    total: u64,
    at_end: bool,
}

impl<R: Read> Buffered<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, buffer: Vec::new(), start: 0, end: 0, total: 0, at_end: false }
    }

    /// Bytes that the inner reader has given so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Whether the inner reader has said that nothing follows.
    pub(super) fn at_end(&self) -> bool {
        self.at_end
    }

    pub(super) fn inner(&self) -> &R {
        &self.inner
    }

    /// The next `count` bytes without consuming them; fewer only when the input ends before.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.end - self.start < count && !self.at_end {
            if self.buffer.len() - self.start < count.max(1) || self.end == self.buffer.len() {
                self.make_room(count);
            }
            let got = fetch(&mut self.inner, &mut self.buffer[self.end..])?;
            self.end += got;
            self.total += got as u64;
            self.at_end = got == 0;
        }
        Ok(&self.buffer[self.start..self.end.min(self.start + count)])
    }

    fn make_room(&mut self, count: usize) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < CAPACITY.max(count) {
            self.buffer.resize(CAPACITY.max(count), 0);
        }
    }
}

/// One read that is taken up again when a signal interrupts it.
fn fetch(reader: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

impl<R: Read> Read for Buffered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end {
            if self.at_end || out.is_empty() {
                return Ok(0);
            }
            if out.len() >= CAPACITY {
                // Large reads go straight to their place.
                let got = fetch(&mut self.inner, out)?;
                self.total += got as u64;
                self.at_end = got == 0;
                return Ok(got);
            }
        }
        let there = self.fill_buf()?;
        let count = there.len().min(out.len());
        out[..count].copy_from_slice(&there[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Buffered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.peek(1)?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = usize::from(!self.0.is_empty() && !out.is_empty());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn looking_ahead_consumes_nothing() {
        let mut reader = Buffered::new(Drip(b"abcdefgh"));
        assert_eq!(reader.peek(3).unwrap(), b"abc");
        assert_eq!(reader.peek(5).unwrap(), b"abcde");
        reader.consume(2);
        assert_eq!(reader.peek(4).unwrap(), b"cdef");
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"cdefgh");
        assert!(reader.at_end());
        assert_eq!(reader.total(), 8);
        assert_eq!(reader.peek(4).unwrap(), b"");
    }

    #[test]
    fn looking_ahead_crosses_the_end_of_the_buffer() {
        let data: Vec<u8> = (0..CAPACITY + 10).map(|i| (i % 251) as u8).collect();
        let mut reader = Buffered::new(data.as_slice());
        reader.fill_buf().unwrap();
        reader.consume(CAPACITY - 2);
        assert_eq!(reader.peek(6).unwrap(), &data[CAPACITY - 2..CAPACITY + 4]);
    }
}
