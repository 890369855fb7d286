//! The record walker: finds the packets in the bytes of one pcap or pcapng stream.
//!
//! It reads record headers only and never a packet's contents, does no IO, and never copies a packet: a
//! packet is reported by its offset in the input bytes. Bytes may arrive in pieces of any size. No
//! length in the file sizes an allocation, and damage ends the walk with a message that says where and why.

mod pcap;
mod pcapng;

use super::format::{Format, capture_format};
use crate::packet::{LinkType, PacketRef};

/// Longest packet accepted from a file that declares no larger snap length, in bytes. libpcap's own limit.
pub const MAX_CAPTURED: u32 = 262_144;

/// Longest packet accepted from a file that declares a snap length above [`MAX_CAPTURED`], in bytes.
pub const MAX_DECLARED_CAPTURED: u32 = 16 << 20;

/// Longest pcapng block that must be seen whole (packets with their options, interfaces, secrets), in bytes.
/// Blocks of no use are skipped piecewise, whatever their length.
pub const MAX_BLOCK: u32 = 32 << 20;

/// Most interfaces in one pcapng section.
pub const MAX_INTERFACES: usize = 65_536;

/// Most bytes of TLS secrets waiting for [`Walker::take_secrets`].
pub const MAX_PENDING_SECRETS: usize = 64 << 20;

/// Most distinct link types that are listed.
const MAX_LINK_TYPES: usize = 256;

/// The link type given to records that Wireshark numbers although they hold no packet (pcapng custom
/// blocks and systemd journal entries), so that packet numbers stay equal to `frame.number`. They are empty.
pub const NOT_A_PACKET: LinkType = LinkType(u16::MAX);

/// How far a walk got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Position of the first byte that was not consumed; pass it again, first, to the next call.
    pub end: usize,
    /// How many bytes from `end` on are needed to get any further; 0 when nothing follows: the input
    /// ended, or it is damaged. After a stop it is 1: any byte that follows is progress.
    pub need: usize,
}

/// Walks the record headers of one pcap or pcapng stream, in order.
#[derive(Debug)]
pub struct Walker {
    state: State,
    /// Bytes consumed so far: the file offset of the first byte of the next call.
    position: u64,
    format: Option<Format>,
    truncated: bool,
    error: Option<String>,
    totals: Totals,
}

#[derive(Debug)]
enum State {
    Start,
    Pcap(pcap::Reader),
    Pcapng(pcapng::Reader),
    Finished,
}

/// What a walk of either format accumulates.
#[derive(Debug, Default)]
struct Totals {
    packets: u64,
    untimed: u64,
    last_time: i64,
    link_types: Vec<LinkType>,
    secrets: Vec<Vec<u8>>,
    secret_bytes: usize,
    secrets_refused: u64,
}

impl Totals {
    fn link_type(&mut self, link: LinkType) {
        if !self.link_types.contains(&link) && self.link_types.len() < MAX_LINK_TYPES {
            self.link_types.push(link);
        }
    }
}

/// Why a format's walk paused.
enum Pause {
    /// The next record begins at or behind the caller's stop.
    Stop,
    /// The next record is incomplete; this many bytes of it are needed to go on.
    Need(usize),
    /// The file makes no sense from here on: what is wrong, as the end of a sentence.
    Damaged(String),
}

impl Default for Walker {
    fn default() -> Self {
        Self::new()
    }
}

impl Walker {
    /// A walker that will recognise the format by the first bytes of input.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Start,
            position: 0,
            format: None,
            truncated: false,
            error: None,
            totals: Totals::default(),
        }
    }

    /// Walks the whole records in `bytes[start..]` and appends a [`PacketRef`] per packet, with offsets
    /// relative to `bytes[0]`. `end_of_input`: no bytes follow these.
    ///
    /// `bytes` may be at most 4 GiB long, because a `PacketRef` counts in 32 bits; of longer input only the
    /// first 4 GiB are walked.
    pub fn walk(&mut self, bytes: &[u8], start: usize, end_of_input: bool, packets: &mut Vec<PacketRef>) -> Walked {
        self.walk_until(bytes, start, usize::MAX, end_of_input, packets)
    }

    /// As [`walk`](Self::walk), but leaves alone every record that begins at `stop` or behind it. A record
    /// that begins before `stop` may end behind it.
    ///
    /// So chunks that several threads read, each with some slack behind its end, can be walked in order:
    /// `stop` is the chunk's length without the slack, and the next chunk's `start` is this one's
    /// [`Walked::end`] less that length. Where `end` lies before `stop` and `need` is not 0, the slack was
    /// too short for a record: pass `need` bytes from there.
    pub(crate) fn walk_until(
        &mut self,
        bytes: &[u8],
        start: usize,
        stop: usize,
        end_of_input: bool,
        packets: &mut Vec<PacketRef>,
    ) -> Walked {
        let (bytes, end_of_input) = match bytes.get(..u32::MAX as usize) {
            Some(front) => (front, end_of_input && front.len() == bytes.len()),
            None => (bytes, end_of_input),
        };
        let start = start.min(bytes.len());
        let known = packets.len();
        // File offset of `bytes[0]`, for error texts.
        let base = self.position.wrapping_sub(start as u64);
        let mut at = start;

        let pause = loop {
            match &mut self.state {
                State::Start => match recognise(&bytes[at..], &mut self.totals) {
                    Ok((state, format, consumed)) => {
                        self.state = state;
                        self.format = Some(format);
                        at += consumed;
                    }
                    Err(pause) => break pause,
                },
                State::Pcap(reader) => break reader.walk(bytes, &mut at, stop, base, packets),
                State::Pcapng(reader) => break reader.walk(bytes, &mut at, stop, base, packets, &mut self.totals),
                State::Finished => return Walked { end: at, need: 0 },
            }
        };

        self.position += (at - start) as u64;
        self.totals.packets += (packets.len() - known) as u64;
        if let Some(last) = packets.get(known..).and_then(<[_]>::last) {
            self.totals.last_time = last.at;
        }
        let need = match pause {
            Pause::Damaged(what) => {
                self.damaged(&what);
                0
            }
            Pause::Stop if end_of_input && at == bytes.len() => self.finish(false),
            Pause::Stop => 1,
            Pause::Need(_) if end_of_input => self.finish(at < bytes.len()),
            Pause::Need(need) => need,
        };
        Walked { end: at, need }
    }

    /// The input ended, with bytes left over or not.
    fn finish(&mut self, leftover: bool) -> usize {
        let inside_block = matches!(&self.state, State::Pcapng(reader) if reader.is_inside_block());
        if matches!(self.state, State::Start) {
            let found = if leftover { "ends inside its file header" } else { "is empty" };
            self.error = Some(format!("the capture {found}; record again, for example with tcpdump -w FILE"));
            self.truncated = leftover;
        } else {
            self.truncated = leftover || inside_block;
        }
        self.state = State::Finished;
        0
    }

    fn damaged(&mut self, what: &str) {
        self.state = State::Finished;
        self.error = Some(if self.format.is_none() {
            what.to_owned()
        } else {
            let read = match self.totals.packets {
                1 => "1 packet was read".to_owned(),
                n => format!("{n} packets were read"),
            };
            format!("{what}; the file is damaged from there; {read}")
        });
    }

    /// The format, once the first bytes have been read.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// Link types that the file declares, in order of appearance.
    #[must_use]
    pub(crate) fn link_types(&self) -> &[LinkType] {
        &self.totals.link_types
    }

    /// Packets found so far.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.totals.packets
    }

    /// How many of them have no time in the file (pcapng simple packets): they were given the time of the
    /// packet before them.
    #[must_use]
    pub(crate) fn untimed_packets(&self) -> u64 {
        self.totals.untimed
    }

    /// Bytes consumed so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether the input ended inside a record. The cut record is not reported as a packet.
    #[must_use]
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// What is wrong with the file, if anything, and where.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Whether nothing follows: the input ended, or it is damaged.
    #[must_use]
    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    /// The TLS secrets found since the last call: the contents of pcapng decryption secrets blocks of type
    /// TLS key log, byte for byte.
    pub fn take_secrets(&mut self) -> Vec<Vec<u8>> {
        self.totals.secret_bytes = 0;
        std::mem::take(&mut self.totals.secrets)
    }

    /// Secrets blocks that were left out because more than [`MAX_PENDING_SECRETS`] bytes were waiting, or
    /// because they were longer than [`MAX_BLOCK`].
    #[must_use]
    pub(crate) fn secrets_refused(&self) -> u64 {
        self.totals.secrets_refused
    }
}

/// Reads the file header: the state to go on with, the format, and how many bytes the header took.
fn recognise(head: &[u8], totals: &mut Totals) -> Result<(State, Format, usize), Pause> {
    if head.len() < 4 {
        return Err(Pause::Need(4));
    }
    match capture_format(head) {
        Some(Format::Pcap) => {
            let header = head.first_chunk().ok_or(Pause::Need(pcap::FILE_HEADER))?;
            let reader = pcap::Reader::from_header(header);
            totals.link_type(reader.link());
            Ok((State::Pcap(reader), Format::Pcap, pcap::FILE_HEADER))
        }
        Some(Format::Pcapng) => Ok((State::Pcapng(pcapng::Reader::default()), Format::Pcapng, 0)),
        None => Err(Pause::Damaged("the first bytes are those of no pcap or pcapng capture".into())),
    }
}

/// The link type that a file's number means: FCS length and reserved bits masked, and the values under which
/// BSDs wrote raw IP (12 and 14) turned into `LINKTYPE_RAW`, as Wireshark reads them.
pub(super) fn link_type(number: u32) -> LinkType {
    match number as u16 {
        12 | 14 => LinkType(101),
        number => LinkType(number),
    }
}

/// The longest packet accepted from a file or interface that declares this snap length.
fn captured_limit(snap_length: u32) -> u32 {
    // A snap length beyond reason (such as 0x7fffffff) means "no limit" and declares nothing.
    if (MAX_CAPTURED..=MAX_DECLARED_CAPTURED).contains(&snap_length) { snap_length } else { MAX_CAPTURED }
}

#[inline(always)]
fn u32_at<const BIG: bool>(bytes: &[u8], at: usize) -> u32 {
    let word = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    if BIG { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
}

#[inline(always)]
fn u16_at<const BIG: bool>(bytes: &[u8], at: usize) -> u16 {
    let word = [bytes[at], bytes[at + 1]];
    if BIG { u16::from_be_bytes(word) } else { u16::from_le_bytes(word) }
}
