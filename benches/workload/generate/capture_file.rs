//! Writes pcap and pcapng (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng), to disk or to memory.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Bytes collected before they are handed to the operating system.
const FLUSH_AT: usize = 1 << 20;
/// The largest packet ever written, with its record header.
const LARGEST: usize = 1 << 16;
/// Snap length declared in the file.
const SNAP_LENGTH: u32 = 262_144;
/// `LINKTYPE_ETHERNET`.
const ETHERNET: u16 = 1;

/// How the capture is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// pcap with microseconds.
    Pcap,
    /// pcap with nanoseconds.
    PcapNanosecond,
    /// pcapng with nanoseconds.
    Pcapng,
}

enum Sink {
    Disk(File),
    Memory(Vec<u8>),
}

/// A capture that is being written.
pub(crate) struct CaptureFile {
    sink: Sink,
    format: Format,
    buffer: Vec<u8>,
    used: usize,
    flushed: u64,
    packets: u64,
}

impl CaptureFile {
    /// Starts a capture on disk.
    pub(crate) fn create(path: &Path, format: Format) -> io::Result<Self> {
        Self::start(Sink::Disk(File::create(path)?), format)
    }

    /// Starts a capture in memory.
    pub(crate) fn in_memory(format: Format) -> Self {
        Self::start(Sink::Memory(Vec::new()), format).expect("memory takes every write")
    }

    fn start(sink: Sink, format: Format) -> io::Result<Self> {
        let mut file =
            CaptureFile { sink, format, buffer: vec![0; FLUSH_AT + LARGEST], used: 0, flushed: 0, packets: 0 };
        let mut head = Vec::new();
        match format {
            Format::Pcap | Format::PcapNanosecond => {
                let magic: u32 = if format == Format::Pcap { 0xa1b2_c3d4 } else { 0xa1b2_3c4d };
                head.extend(magic.to_le_bytes());
                head.extend(2_u16.to_le_bytes());
                head.extend(4_u16.to_le_bytes());
                head.extend([0; 8]);
                head.extend(SNAP_LENGTH.to_le_bytes());
                head.extend(u32::from(ETHERNET).to_le_bytes());
            }
            Format::Pcapng => {
                let mut section = Vec::new();
                section.extend(0x1a2b_3c4d_u32.to_le_bytes());
                section.extend(1_u16.to_le_bytes());
                section.extend(0_u16.to_le_bytes());
                section.extend(u64::MAX.to_le_bytes());
                block(&mut head, 0x0a0d_0d0a, &section);
                let mut interface = Vec::new();
                interface.extend(ETHERNET.to_le_bytes());
                interface.extend(0_u16.to_le_bytes());
                interface.extend(SNAP_LENGTH.to_le_bytes());
                interface.extend([9, 0, 1, 0, 9, 0, 0, 0]); // if_tsresol: 10^-9
                interface.extend([0, 0, 0, 0]);
                block(&mut head, 1, &interface);
            }
        }
        file.put(&head)?;
        Ok(file)
    }

    /// Appends a Decryption Secrets Block with lines of a TLS key log; pcapng only.
    pub(crate) fn secrets(&mut self, key_log: &[u8]) -> io::Result<()> {
        let mut body = Vec::new();
        body.extend(0x544c_534b_u32.to_le_bytes());
        body.extend((key_log.len() as u32).to_le_bytes());
        body.extend(key_log);
        let mut out = Vec::new();
        block(&mut out, 10, &body);
        self.put(&out)
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let take = bytes.len().min(LARGEST);
            self.buffer[self.used..self.used + take].copy_from_slice(&bytes[..take]);
            self.used += take;
            bytes = &bytes[take..];
            self.flush_if_full()?;
        }
        Ok(())
    }

    /// Appends one packet of `length` bytes, captured at `at` nanoseconds since the epoch; `fill` writes it in place.
    pub(crate) fn packet(&mut self, at: u64, length: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let start = self.used;
        let size = (length as u32).to_le_bytes();
        let (body, end) = match self.format {
            Format::Pcap | Format::PcapNanosecond => {
                let fraction = at % 1_000_000_000;
                let fraction = if self.format == Format::Pcap { fraction / 1000 } else { fraction };
                let head = &mut self.buffer[start..start + 16];
                head[0..4].copy_from_slice(&((at / 1_000_000_000) as u32).to_le_bytes());
                head[4..8].copy_from_slice(&(fraction as u32).to_le_bytes());
                head[8..12].copy_from_slice(&size);
                head[12..16].copy_from_slice(&size);
                (start + 16, start + 16 + length)
            }
            Format::Pcapng => {
                let padded = length.next_multiple_of(4);
                let total = ((padded + 32) as u32).to_le_bytes();
                let end = start + 32 + padded;
                let all = &mut self.buffer[start..end];
                all[0..4].copy_from_slice(&6_u32.to_le_bytes());
                all[4..8].copy_from_slice(&total);
                all[8..12].fill(0);
                all[12..16].copy_from_slice(&((at >> 32) as u32).to_le_bytes());
                all[16..20].copy_from_slice(&(at as u32).to_le_bytes());
                all[20..24].copy_from_slice(&size);
                all[24..28].copy_from_slice(&size);
                all[28 + length..28 + padded].fill(0);
                all[28 + padded..].copy_from_slice(&total);
                (start + 28, end)
            }
        };
        fill(&mut self.buffer[body..body + length]);
        self.used = end;
        self.packets += 1;
        self.flush_if_full()
    }

    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.used >= FLUSH_AT { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = &self.buffer[..self.used];
        match &mut self.sink {
            Sink::Disk(file) => file.write_all(bytes)?,
            Sink::Memory(all) => all.extend_from_slice(bytes),
        }
        self.flushed += self.used as u64;
        self.used = 0;
        Ok(())
    }

    /// Bytes written so far, file header included.
    pub(crate) fn bytes(&self) -> u64 {
        self.flushed + self.used as u64
    }

    /// Packets written so far.
    pub(crate) fn packets(&self) -> u64 {
        self.packets
    }

    /// Ends the capture. The bytes come back if it was written to memory.
    pub(crate) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.flush()?;
        Ok(match self.sink {
            Sink::Disk(_) => Vec::new(),
            Sink::Memory(all) => all,
        })
    }
}

/// Appends one pcapng block.
fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let padded = body.len().next_multiple_of(4);
    let total = ((padded + 12) as u32).to_le_bytes();
    out.extend(kind.to_le_bytes());
    out.extend(total);
    out.extend(body);
    out.resize(out.len() + padded - body.len(), 0);
    out.extend(total);
}
