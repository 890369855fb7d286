//! Inflating the messages of one direction (RFC 7692 §7.2.2), in bounded memory and with bounded work.
//!
//! Output goes straight into the sliding window that is kept anyway, and from there to whoever looks at it. The agreed
//! window bits are not enforced: zlib always decodes with 32 KiB, so a sender that reaches further back than it
//! promised is decoded, not accused.
//!
//! ```text
//! history: [ ……… up to 32 KiB of earlier output ……… | room for more output ]
//!                                                    ^ filled
//! ```

use flate2::{Decompress, FlushDecompress, Status};

/// The largest window there is (RFC 1951 §2).
const WINDOW: usize = 32 * 1024;
/// Window and room for output.
const HISTORY_MAX: usize = WINDOW + 16 * 1024;
/// What `history` begins with: most connections say little.
const HISTORY_FIRST: usize = 4 * 1024;
/// The least room for which zlib is called.
const ROOM_MIN: usize = 1024;
/// How much of a message is kept compressed, in a direction without context takeover, to find out why it failed.
pub(super) const RETAINED_MAX: usize = 64 * 1024;
/// A direction may inflate to this many bytes …
pub(super) const INFLATED_FREE: u64 = 64 << 20;
/// … plus this many for each compressed byte. Beyond, messages are given up: work stays proportional to the wire.
pub(super) const INFLATED_PER_BYTE: u64 = 100;

/// Why a message did not inflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not a continuation of a DEFLATE stream that zlib knows.
    Corrupt,
    /// It grows beyond the bound.
    Limit,
}

pub(super) struct Inflation {
    zlib: Option<Decompress>,
    /// Initialised to its length; the first `filled` bytes are output, the newest last.
    history: Vec<u8>,
    filled: usize,
    /// Where the output of the current message begins in `history`; further back than it reaches: 0.
    message_at: usize,
    /// Messages may refer to earlier ones.
    takeover: bool,
    /// The current message as far as it came, compressed, while `takeover` is false.
    retained: Vec<u8>,
    retained_whole: bool,
    /// A block with BFINAL set has just ended, and nothing followed.
    ended: bool,
    in_message: bool,
    message_in: u64,
    total_in: u64,
    total_out: u64,
}

impl Inflation {
    pub(super) fn new(takeover: bool) -> Self {
        Inflation {
            zlib: None,
            history: Vec::new(),
            filled: 0,
            message_at: 0,
            takeover,
            retained: Vec::new(),
            retained_whole: true,
            ended: false,
            in_message: false,
            message_in: 0,
            total_in: 0,
            total_out: 0,
        }
    }

    /// A message begins.
    pub(super) fn begin(&mut self) {
        self.in_message = true;
        self.message_at = self.filled;
        self.message_in = 0;
        self.ended = false;
        self.retained.clear();
        self.retained_whole = !self.takeover;
        match &mut self.zlib {
            Some(zlib) if !self.takeover => zlib.reset(false),
            Some(_) => {}
            None if self.takeover => self.prime(),
            None => self.zlib = Some(Decompress::new(false)),
        }
    }

    /// More of the message.
    pub(super) fn feed(&mut self, input: &[u8], out: &mut impl FnMut(&[u8])) -> Result<(), Fault> {
        self.message_in += input.len() as u64;
        self.total_in += input.len() as u64;
        if self.retained_whole {
            if self.retained.len() + input.len() <= RETAINED_MAX {
                self.retained.extend_from_slice(input);
            } else {
                self.retained_whole = false;
                self.retained = Vec::new();
            }
        }
        self.run(input, out)
    }

    /// The message is whole. §7.2.2: append 00 00 ff ff, then decompress.
    pub(super) fn finish(&mut self, out: &mut impl FnMut(&[u8])) -> Result<(), Fault> {
        self.in_message = false;
        // Senders that end a message with a BFINAL block should let an octet 00 follow (§7.2.3.4), which the tail
        // completes; without that octet, and for a message of no bytes at all, there is nothing to complete.
        if self.ended || self.message_in == 0 {
            return Ok(());
        }
        self.run(&[0x00, 0x00, 0xFF, 0xFF], out)
    }

    /// The message cannot be finished, or messages went missing. Without context takeover the next one can be begun;
    /// the window begins anew, so that nothing is ever decoded against a history with holes.
    pub(super) fn abandon(&mut self) {
        self.in_message = false;
        self.takeover = false;
        self.filled = 0;
        self.message_at = 0;
    }

    /// Whether [`Inflation::retry`] makes sense: the message failed on its own, but there are earlier ones.
    pub(super) fn can_retry(&self) -> bool {
        !self.takeover && self.retained_whole && self.message_at > 0
    }

    /// Decodes what came of the message once more, as if it could refer to earlier messages. When that succeeds its
    /// sender keeps its context although it agreed not to (§7.1.1), and so do we from now on.
    pub(super) fn retry(&mut self, out: &mut impl FnMut(&[u8])) -> Result<(), Fault> {
        self.filled = self.message_at;
        self.ended = false;
        self.prime();
        let retained = std::mem::take(&mut self.retained);
        self.retained_whole = false;
        self.takeover = true;
        self.run(&retained, out)
    }

    /// Reduces an idle direction to its window: at most 32 KiB instead of about 95 KiB. Does nothing while a message
    /// is open.
    pub(super) fn shrink(&mut self) {
        if self.in_message {
            return;
        }
        self.zlib = None;
        self.retained = Vec::new();
        let from = self.filled.saturating_sub(WINDOW);
        self.history.copy_within(from..self.filled, 0);
        self.filled -= from;
        self.history.truncate(self.filled);
        self.history.shrink_to_fit();
    }

    /// Bytes held, zlib's own state included as an estimate.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.history.capacity() + self.retained.capacity() + if self.zlib.is_some() { 47_500 } else { 0 }
    }

    /// A fresh zlib that knows the window.
    fn prime(&mut self) {
        let mut zlib = Decompress::new(false);
        let window = &self.history[self.filled.saturating_sub(WINDOW)..self.filled];
        if !window.is_empty() {
            // Only a stream with a zlib header can refuse a dictionary; if it does, the next message fails and says so.
            let _ = zlib.set_dictionary(window);
        }
        self.zlib = Some(zlib);
    }

    fn make_room(&mut self) {
        if self.history.len() - self.filled >= ROOM_MIN {
            return;
        }
        if self.history.len() < HISTORY_MAX {
            let length = (self.history.len() * 2).clamp(HISTORY_FIRST, HISTORY_MAX);
            self.history.reserve_exact(length - self.history.len());
            self.history.resize(length, 0);
        } else {
            let from = self.filled - WINDOW;
            self.history.copy_within(from..self.filled, 0);
            self.filled = WINDOW;
            self.message_at = self.message_at.saturating_sub(from);
        }
    }

    fn run(&mut self, mut input: &[u8], out: &mut impl FnMut(&[u8])) -> Result<(), Fault> {
        while !input.is_empty() {
            self.make_room();
            if self.total_out > INFLATED_FREE + INFLATED_PER_BYTE * self.total_in {
                return Err(Fault::Limit);
            }
            let Some(zlib) = &mut self.zlib else { return Err(Fault::Corrupt) };
            let (before_in, before_out) = (zlib.total_in(), zlib.total_out());
            let room = self.history.len() - self.filled;
            let status = zlib.decompress(input, &mut self.history[self.filled..], FlushDecompress::Sync);
            let consumed = (zlib.total_in() - before_in) as usize;
            let produced = (zlib.total_out() - before_out) as usize;
            input = &input[consumed..];
            self.ended &= consumed == 0;
            let from = self.filled;
            self.filled += produced;
            self.total_out += produced as u64;
            if produced > 0 {
                out(&self.history[from..self.filled]);
            }
            match status {
                Ok(Status::StreamEnd) => {
                    // §7.2.3.4: a block with BFINAL set does not end the message, nor does it clear the window.
                    self.prime();
                    self.ended = true;
                }
                Ok(_) if consumed == 0 && produced == 0 => return Err(Fault::Corrupt),
                // All input is taken, but output may wait for room.
                Ok(_) if input.is_empty() && produced == room => self.drain(out)?,
                Ok(_) => {}
                Err(_) => return Err(Fault::Corrupt),
            }
        }
        Ok(())
    }

    /// Gets what zlib holds back because it had no room.
    fn drain(&mut self, out: &mut impl FnMut(&[u8])) -> Result<(), Fault> {
        loop {
            self.make_room();
            if self.total_out > INFLATED_FREE + INFLATED_PER_BYTE * self.total_in {
                return Err(Fault::Limit);
            }
            let Some(zlib) = &mut self.zlib else { return Err(Fault::Corrupt) };
            let before = zlib.total_out();
            let room = self.history.len() - self.filled;
            let status = zlib.decompress(&[], &mut self.history[self.filled..], FlushDecompress::Sync);
            let produced = (zlib.total_out() - before) as usize;
            let from = self.filled;
            self.filled += produced;
            self.total_out += produced as u64;
            if produced > 0 {
                out(&self.history[from..self.filled]);
            }
            match status {
                Ok(Status::StreamEnd) => {
                    self.prime();
                    self.ended = true;
                    return Ok(());
                }
                Ok(_) if produced < room => return Ok(()),
                Ok(_) => {}
                Err(_) => return Err(Fault::Corrupt),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};

    /// One message as a sender with or without context takeover makes it.
    fn deflate(zlib: &mut Compress, plain: &[u8]) -> Vec<u8> {
        if plain.is_empty() {
            return vec![0]; // §7.2.3.6
        }
        let mut out = Vec::with_capacity(plain.len() + 100);
        let before = zlib.total_in();
        loop {
            let at = (zlib.total_in() - before) as usize;
            zlib.compress_vec(&plain[at..], &mut out, FlushCompress::Sync).unwrap();
            if out.len() < out.capacity() && (zlib.total_in() - before) as usize == plain.len() {
                break;
            }
            out.reserve(1000);
        }
        assert!(out.ends_with(&[0, 0, 0xFF, 0xFF]));
        out.truncate(out.len() - 4);
        out
    }

    fn inflate(inflation: &mut Inflation, message: &[u8], piece: usize) -> Result<Vec<u8>, Fault> {
        let mut plain = Vec::new();
        inflation.begin();
        for piece in message.chunks(piece) {
            inflation.feed(piece, &mut |out| plain.extend_from_slice(out))?;
        }
        inflation.finish(&mut |out| plain.extend_from_slice(out))?;
        Ok(plain)
    }

    fn text(seed: u32, length: usize) -> Vec<u8> {
        let mut state = seed;
        let mut text = Vec::new();
        while text.len() < length {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.extend_from_slice(format!("{{\"seq\":{},\"v\":{}}},", seed, state >> 20).as_bytes());
        }
        text.truncate(length);
        text
    }

    #[test]
    fn context_is_kept_over_messages_of_every_size_and_piece_and_survives_shrinking() {
        for piece in [1, 7, 1000, usize::MAX] {
            let mut zlib = Compress::new(Compression::default(), false);
            let mut inflation = Inflation::new(true);
            for (number, size) in [5, 0, 100, 3000, 1, 70_000, 40_000, 5, 200_000, 10].into_iter().enumerate() {
                let plain = text(number as u32, size);
                let message = deflate(&mut zlib, &plain);
                assert_eq!(inflate(&mut inflation, &message, piece).unwrap(), plain, "message {number} by {piece}");
                if number % 2 == 0 {
                    inflation.shrink();
                    assert!(inflation.memory() <= WINDOW);
                }
                assert!(inflation.history.capacity() <= HISTORY_MAX);
            }
        }
    }

    #[test]
    fn the_examples_of_rfc_7692() {
        let mut inflation = Inflation::new(true);
        // §7.2.3.1, §7.2.3.2 (the second one refers to the first), §7.2.3.3, §7.2.3.4, §7.2.3.5.
        for message in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[0xf2, 0x00, 0x11, 0x00, 0x00],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x00, 0x11, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
            // BFINAL without the octet that should follow.
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            &[0xf2, 0x00, 0x11, 0x00, 0x00],
        ] {
            for piece in [1, usize::MAX] {
                assert_eq!(inflate(&mut inflation, message, piece).unwrap(), b"Hello", "{message:x?}");
            }
        }
    }

    #[test]
    fn a_broken_promise_is_told_from_a_broken_message() {
        let mut zlib = Compress::new(Compression::default(), false);
        let mut inflation = Inflation::new(false);
        let first = deflate(&mut zlib, b"the same words again and again");
        let second = deflate(&mut zlib, b"the same words again and again");
        inflate(&mut inflation, &first, 9).unwrap();
        assert_eq!(inflate(&mut inflation, &second, 9), Err(Fault::Corrupt));
        assert!(inflation.can_retry());
        let mut plain = Vec::new();
        inflation.retry(&mut |out| plain.extend_from_slice(out)).unwrap();
        inflation.finish(&mut |out| plain.extend_from_slice(out)).unwrap();
        assert_eq!(plain, b"the same words again and again");

        let mut inflation = Inflation::new(false);
        inflate(&mut inflation, &first, 9).unwrap();
        assert_eq!(inflate(&mut inflation, &[0xFF; 20], 9), Err(Fault::Corrupt));
        assert_eq!(inflation.retry(&mut |_| {}), Err(Fault::Corrupt));
    }

    #[test]
    fn a_bomb_is_bounded_in_memory_and_work() {
        let mut zlib = Compress::new(Compression::best(), false);
        let bomb = deflate(&mut zlib, &vec![0; 256 << 20]);
        let mut inflation = Inflation::new(true);
        let mut produced = 0u64;
        inflation.begin();
        let result = inflation.feed(&bomb, &mut |out| produced += out.len() as u64);
        assert_eq!(result, Err(Fault::Limit));
        assert!(produced <= INFLATED_FREE + INFLATED_PER_BYTE * bomb.len() as u64 + HISTORY_MAX as u64);
        assert!(inflation.memory() < 100_000);
    }
}
