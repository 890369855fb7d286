//! Inflates the messages of one direction (RFC 7692 §7.2.2), in bounded memory and with bounded work.
//!
//! zlib keeps the window, output passes through a small buffer to the caller, and nothing is stored twice. zlib has no
//! way to read its window back, though, and that is needed twice: zlib's state is dropped when a direction is idle
//! ([`Inflation::shrink`]), and the window must survive a block with BFINAL set, after which zlib is at its end. So
//! zlib is made to write it: a block of matches as far back as the window reaches decompresses to the window
//! ([`read_window`]). Where messages fail without earlier ones (no context takeover agreed, but practised) or where
//! BFINAL is in use, output is stored as well:
//!
//! ```text
//! history: [ ……… up to 32 KiB of earlier output ……… | space for more output ]
//!                                                    ^ filled
//! ```
//!
//! The agreed window bits are not enforced: zlib always decodes with 32 KiB, so a sender that reaches further back than
//! it promised is decoded, not accused.

use flate2::{Decompress, FlushDecompress, Status};

/// The largest window there is (RFC 1951 §2).
const WINDOW: usize = 32 * 1024;
/// Window and space for output.
const HISTORY_MAX: usize = WINDOW + 16 * 1024;
/// First size of `history`: most connections send little.
const HISTORY_FIRST: usize = 4 * 1024;
/// Output that is not stored is passed on in pieces of this many bytes.
const PIECE: usize = 4 * 1024;
/// Appended to each message (RFC 7692 §7.2.2).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
/// Least output space with which zlib is called.
const ROOM_MIN: usize = 1024;
/// How much of a message is stored compressed, in a direction without context takeover, for [`Inflation::retry`].
pub(super) const RETAINED_MAX: usize = 64 * 1024;
/// A direction may inflate to this many bytes …
pub(super) const INFLATED_FREE: u64 = 64 << 20;
/// … plus this many for each compressed byte. Beyond, messages are abandoned: work stays proportional to the input.
pub(super) const INFLATED_PER_BYTE: u64 = 100;

/// Why a message did not inflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is no valid continuation of the DEFLATE stream.
    Corrupt,
    /// It exceeds the bound on inflated bytes.
    Limit,
    /// Perhaps it refers to the part of the window that was lost here.
    WindowLost,
}

pub(super) struct Inflation {
    zlib: Option<Decompress>,
    /// Size of zlib's window so far, in bytes.
    known: usize,
    /// Output is stored in `history`. Otherwise that is empty while there is a zlib, and the window while there is none.
    stores: bool,
    /// The window was lost when a block with BFINAL set came unexpectedly.
    lost_window: bool,
    /// Initialised to its length; the first `filled` bytes are output, the newest last.
    history: Vec<u8>,
    filled: usize,
    /// Where the output of the current message begins in `history`; further back than it reaches: 0.
    message_at: usize,
    /// Messages may refer to earlier ones.
    takeover: bool,
    /// The current message so far, compressed, while `takeover` is false.
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
            known: 0,
            stores: !takeover,
            lost_window: false,
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

    /// Begins a message.
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
            None if self.takeover => {
                self.prime();
                if !self.stores {
                    self.history = Vec::new();
                    self.filled = 0;
                    self.message_at = 0;
                }
            }
            None => self.zlib = Some(Decompress::new(false)),
        }
    }

    /// Inflates more of the message.
    pub(super) fn feed(&mut self, input: &[u8], out: &mut impl FnMut(&[u8])) -> Result<(), Fault> {
        // A message begins with a block, and a block with its BFINAL bit (RFC 1951 §3.2.3). A sender that sets it once
        // will set it again.
        if self.message_in == 0 && !self.stores && input.first().is_some_and(|first| first & 1 != 0) {
            self.take_window();
            self.prime();
            self.stores = true;
            self.message_at = self.filled;
        }
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
        self.run::<PIECE>(input, out)
    }

    /// Ends the message. §7.2.2: append 00 00 ff ff, then decompress.
    pub(super) fn finish(&mut self, out: &mut impl FnMut(&[u8])) -> Result<(), Fault> {
        self.in_message = false;
        // Senders that end a message with a BFINAL block should let an octet 00 follow (§7.2.3.4), which the tail
        // completes; without that octet, and for a message of no bytes at all, there is nothing to complete.
        if self.ended || self.message_in == 0 {
            return Ok(());
        }
        self.run::<64>(&TAIL, out)
    }

    /// Abandons the message, because it cannot be finished or messages are missing. Without context takeover the next
    /// one can be inflated; the window starts anew, so that nothing is inflated with a history with holes.
    pub(super) fn abandon(&mut self) {
        self.in_message = false;
        self.takeover = false;
        self.stores = true;
        self.filled = 0;
        self.message_at = 0;
    }

    /// Whether [`Inflation::retry`] is possible: the message failed on its own, but there are earlier ones.
    pub(super) fn can_retry(&self) -> bool {
        !self.takeover && self.retained_whole && self.message_at > 0
    }

    /// Inflates the message so far once more, as if it could refer to earlier messages. If that succeeds its sender
    /// keeps its context although it agreed not to (§7.1.1), and so do we from now on.
    pub(super) fn retry(&mut self, out: &mut impl FnMut(&[u8])) -> Result<(), Fault> {
        self.filled = self.message_at;
        self.ended = false;
        self.prime();
        let retained = std::mem::take(&mut self.retained);
        self.retained_whole = false;
        self.takeover = true;
        self.run::<PIECE>(&retained, out)
    }

    /// Reduces an idle direction to its window: at most 32 KiB instead of about 47 (or 95, where output is stored). Does
    /// nothing while a message is open.
    pub(super) fn shrink(&mut self) {
        if self.in_message || self.zlib.is_none() {
            return;
        }
        if !self.stores {
            return self.take_window();
        }
        self.zlib = None;
        self.retained = Vec::new();
        let from = self.filled.saturating_sub(WINDOW);
        self.history.copy_within(from..self.filled, 0);
        self.filled -= from;
        self.message_at = self.filled;
        self.history.truncate(self.filled);
        self.history.shrink_to_fit();
    }

    /// Moves the window from zlib to `history`. Between messages only.
    fn take_window(&mut self) {
        let known = self.known;
        let window = self.zlib.take().and_then(|zlib| read_window(zlib, known));
        self.lost_window |= window.is_none();
        self.history = window.unwrap_or_default();
        self.filled = self.history.len();
    }

    /// Bytes held, zlib's own state included as an estimate.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.history.capacity() + self.retained.capacity() + if self.zlib.is_some() { 47_500 } else { 0 }
    }

    /// Creates a zlib with the window in `history`.
    fn prime(&mut self) {
        let mut zlib = Decompress::new(false);
        let window = &self.history[self.filled.saturating_sub(WINDOW)..self.filled];
        if !window.is_empty() {
            // Only a stream with a zlib header can refuse a dictionary; otherwise the next message would fail.
            let _ = zlib.set_dictionary(window);
        }
        self.known = window.len();
        self.zlib = Some(zlib);
    }

    /// Continues after a block with BFINAL set. §7.2.3.4: that ends neither the message nor the window.
    fn after_final_block(&mut self) {
        if !self.stores {
            // It was not the first block of its message, and the window cannot be read any more.
            self.stores = true;
            self.lost_window = true;
        }
        self.prime();
        self.ended = true;
    }

    /// The fault of input that zlib rejects.
    fn rejected(&self) -> Fault {
        if self.lost_window && self.known < WINDOW { Fault::WindowLost } else { Fault::Corrupt }
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

    /// Decompresses `input` into `history`, or through a buffer of `N` bytes.
    fn run<const N: usize>(&mut self, mut input: &[u8], out: &mut impl FnMut(&[u8])) -> Result<(), Fault> {
        let mut piece = [0; N];
        while !input.is_empty() {
            let (status, consumed, full) = self.decompress(input, &mut piece, out)?;
            input = &input[consumed..];
            match status {
                Status::StreamEnd => self.after_final_block(),
                // All input is consumed, but output may be pending.
                _ if input.is_empty() && full => self.drain(&mut piece, out)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Gets the output that zlib holds back for lack of space.
    fn drain(&mut self, piece: &mut [u8], out: &mut impl FnMut(&[u8])) -> Result<(), Fault> {
        loop {
            match self.decompress(&[], piece, out)? {
                (Status::StreamEnd, ..) => {
                    self.after_final_block();
                    return Ok(());
                }
                (.., full) if !full => return Ok(()),
                _ => {}
            }
        }
    }

    /// Calls zlib once; returns its status, how much input it consumed, and whether it filled all its output space.
    fn decompress(
        &mut self,
        input: &[u8],
        piece: &mut [u8],
        out: &mut impl FnMut(&[u8]),
    ) -> Result<(Status, usize, bool), Fault> {
        if self.total_out > INFLATED_FREE + INFLATED_PER_BYTE * self.total_in {
            return Err(Fault::Limit);
        }
        if self.stores {
            self.make_room();
        }
        let fault = self.rejected();
        let Some(zlib) = &mut self.zlib else { return Err(fault) };
        let (before_in, before_out) = (zlib.total_in(), zlib.total_out());
        let room = if self.stores { &mut self.history[self.filled..] } else { piece };
        let status = zlib.decompress(input, room, FlushDecompress::Sync);
        let consumed = (zlib.total_in() - before_in) as usize;
        let produced = (zlib.total_out() - before_out) as usize;
        let full = produced == room.len();
        if produced > 0 {
            out(&room[..produced]);
        }
        if self.stores {
            self.filled += produced;
        }
        self.known = (self.known + produced).min(WINDOW);
        self.total_out += produced as u64;
        self.ended &= consumed == 0;
        match status {
            Ok(Status::StreamEnd) => Ok((Status::StreamEnd, consumed, full)),
            Ok(_) if !input.is_empty() && consumed == 0 && produced == 0 => Err(fault),
            Ok(status) => Ok((status, consumed, full)),
            Err(_) => Err(fault),
        }
    }
}

/// Follows the copies in [`read_window`]: in the output, it proves that zlib decoded them as such.
const MARK: [u8; 8] = *b"in step\0";

/// The last `length` bytes that `zlib` decompressed, `length` being at most its window so far: has it copy from `length`
/// bytes back until all are copied. `None` if it was not between two blocks, where alone that is possible.
fn read_window(mut zlib: Decompress, length: usize) -> Option<Vec<u8>> {
    if length == 0 {
        return Some(Vec::new());
    }
    let copies = length.div_ceil(COPY);
    let mut window = vec![0; copies * COPY + MARK.len()];
    let before = zlib.total_out();
    zlib.decompress(&copying(length, copies), &mut window, FlushDecompress::Sync).ok()?;
    if zlib.total_out() - before != window.len() as u64 || !window.ends_with(&MARK) {
        return None;
    }
    window.truncate(length);
    window.shrink_to_fit();
    Some(window)
}

/// The longest match (RFC 1951 §3.2.5).
const COPY: usize = 258;

/// A block with fixed codes (RFC 1951 §3.2.6) of `copies` matches of [`COPY`] bytes that begin `distance` bytes back,
/// and a stored block with [`MARK`].
fn copying(distance: usize, copies: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(copies * 4 + 16);
    let (mut hold, mut held) = (0_u64, 0);
    let mut put = |value: usize, bits: u32| {
        hold |= (value as u64) << held;
        held += bits;
        while held >= 8 {
            bytes.push(hold as u8);
            hold >>= 8;
            held -= 8;
        }
    };
    // Huffman codes go in from their most significant bit, everything else from the least significant one.
    let code = |value: usize, bits: u32| ((value as u32).reverse_bits() >> (32 - bits)) as usize;
    // Distance codes: two for each power of two; the bits below the highest two follow as they are.
    let (number, extra, extra_bits) = match distance - 1 {
        short @ 0..=3 => (short, 0, 0),
        long => {
            let extra_bits = long.ilog2() - 1;
            (2 * extra_bits as usize + (long >> extra_bits), long & ((1 << extra_bits) - 1), extra_bits)
        }
    };
    put(0b01 << 1, 3); // Not the last block; fixed codes.
    for _ in 0..copies {
        put(code(0b1100_0101, 8), 8); // Length code 285: 258 bytes.
        put(code(number, 5), 5);
        put(extra, extra_bits);
    }
    put(0, 7); // End of block.
    put(0, 3); // Not the last block; stored.
    put(0, 7); // At least up to the next byte; what is over is dropped.
    bytes.extend((MARK.len() as u16).to_le_bytes());
    bytes.extend((!(MARK.len() as u16)).to_le_bytes());
    bytes.extend(MARK);
    bytes
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
    fn zlib_gives_back_its_window_of_any_length() {
        let plain = text(3, 100_000);
        for length in (1..600).chain([1000, 4095, 4096, 4097, 20_000, WINDOW - 1, WINDOW, WINDOW + 1, 70_000]) {
            let mut zlib = Compress::new(Compression::fast(), false);
            let mut inflation = Inflation::new(true);
            inflate(&mut inflation, &deflate(&mut zlib, &plain[..length]), usize::MAX).unwrap();
            assert!(inflation.history.is_empty(), "nothing is kept twice");
            inflation.shrink();
            assert!(inflation.zlib.is_none());
            assert_eq!(inflation.history, &plain[length.saturating_sub(WINDOW)..length], "{length}");
            assert!(inflation.memory() <= WINDOW);
            // And inflation continues with that window.
            assert_eq!(inflate(&mut inflation, &deflate(&mut zlib, &plain), 1000).unwrap(), plain, "{length}");
        }
    }

    #[test]
    fn a_window_is_not_made_up_in_the_middle_of_a_block() {
        let mut zlib = Compress::new(Compression::default(), false);
        let whole = deflate(&mut zlib, &text(1, 5000));
        for cut in 1..whole.len() {
            let mut library = Decompress::new(false);
            let mut out = vec![0; 10_000];
            library.decompress(&whole[..cut], &mut out, FlushDecompress::Sync).unwrap();
            let length = library.total_out() as usize;
            if let Some(window) = read_window(library, length) {
                assert_eq!(window, out[..length], "{cut} of {}", whole.len());
            }
        }
    }

    /// A message in two blocks, the second one with BFINAL set, as a sender makes it that finishes its stream.
    fn finished(zlib: &mut Compress, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plain.len() + 100);
        zlib.compress_vec(&plain[..plain.len() / 2], &mut out, FlushCompress::Sync).unwrap();
        zlib.compress_vec(&plain[plain.len() / 2..], &mut out, FlushCompress::Finish).unwrap();
        out.push(0);
        out
    }

    #[test]
    fn nobody_is_blamed_for_a_window_that_was_lost_here() {
        let mut zlib = Compress::new(Compression::default(), false);
        let plain = text(1, 3000);
        let first = deflate(&mut zlib, &plain);
        let last = finished(&mut zlib, &text(2, 3000));
        // A later message that refers to the first one. What a sender would do that keeps its window nonetheless.
        let mut again = Compress::new(Compression::default(), false);
        again.set_dictionary(&[plain.as_slice(), &text(2, 3000)].concat()).unwrap();
        let later = deflate(&mut again, &plain);
        for piece in [1, 100, usize::MAX] {
            let mut inflation = Inflation::new(true);
            assert_eq!(inflate(&mut inflation, &first, piece).unwrap(), plain);
            assert_eq!(inflate(&mut inflation, &last, piece).unwrap(), text(2, 3000));
            assert_eq!(inflate(&mut inflation, &later, piece), Err(Fault::WindowLost));
            // A message that refers to none is decoded, and after it the whole window is known again.
            let mut inflation = Inflation::new(true);
            inflate(&mut inflation, &first, piece).unwrap();
            inflate(&mut inflation, &last, piece).unwrap();
            let mut anew = Compress::new(Compression::default(), false);
            assert_eq!(inflate(&mut inflation, &deflate(&mut anew, &text(4, 40_000)), piece).unwrap(), text(4, 40_000));
            assert_eq!(inflate(&mut inflation, &[0xFF; 20], piece), Err(Fault::Corrupt));
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
