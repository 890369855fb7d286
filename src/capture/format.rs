//! Recognises formats by their first bytes, never by a file's name.

/// Bytes that decide every question asked here: a whole pcap file header.
pub(super) const SNIFF_LENGTH: usize = 24;

/// A capture file format that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The format of libpcap and tcpdump, in microseconds or nanoseconds.
    Pcap,
    /// The block format of Wireshark (IETF draft-ietf-opsawg-pcapng).
    Pcapng,
}

impl Format {
    /// `pcap` or `pcapng`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Format::Pcap => "pcap",
            Format::Pcapng => "pcapng",
        }
    }
}

/// A compression that is undone while reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
    /// LZ4 frame format.
    Lz4,
}

impl Compression {
    /// `gzip`, `zstd` or `lz4`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Lz4 => "lz4",
        }
    }

    /// The compression whose frame starts with `head`.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        if head.starts_with(&[0x1f, 0x8b]) {
            return Some(Compression::Gzip);
        }
        let magic = u32::from_le_bytes(*head.first_chunk()?);
        match magic {
            0xfd2f_b528 => Some(Compression::Zstd),
            0x184d_2204 | 0x184c_2102 => Some(Compression::Lz4),
            // Skippable frames look the same in both; the first real frame behind them decides.
            _ if is_skippable(magic) => Some(Compression::Zstd),
            _ => None,
        }
    }
}

/// Whether a frame with this magic carries no data (RFC 8878 §3.1.2; the LZ4 frame format has the same).
pub(super) const fn is_skippable(magic: u32) -> bool {
    magic & 0xffff_fff0 == 0x184d_2a50
}

/// The capture format that starts with `head`, if it is one that is read.
pub(super) fn capture_format(head: &[u8]) -> Option<Format> {
    let magic = *head.first_chunk::<4>()?;
    match u32::from_be_bytes(magic) {
        0x0a0d_0d0a => Some(Format::Pcapng),
        0xa1b2_c3d4 | 0xd4c3_b2a1 | 0xa1b2_3c4d | 0x4d3c_b2a1 | 0xa1b2_cd34 | 0x34cd_b2a1 => Some(Format::Pcap),
        _ => None,
    }
}

/// What `head` is if it is no supported capture, and what to do about it: the end of a sentence that
/// starts with the file's name.
pub(super) fn describe_foreign(head: &[u8], name: &str) -> String {
    const CONVERT: &str = "convert it first: editcap IN OUT.pcapng";
    let starts = |magic: &[u8]| head.starts_with(magic);
    let is = |what: &str, next: &str| format!("is {what}, not a pcap or pcapng capture; {next}");
    let lower = name.to_ascii_lowercase();

    if head.is_empty() {
        return "is empty; record again, for example with tcpdump -w FILE".into();
    }
    if head.len() < 4 {
        return format!("has only {} bytes, too few for a capture; record again", head.len());
    }
    if starts(b"snoop\0\0\0") {
        return is("a Solaris snoop capture", CONVERT);
    }
    if starts(b"btsnoop\0") {
        return is("a Bluetooth btsnoop capture", CONVERT);
    }
    if starts(b"RTSS") || starts(b"GMBU") {
        return is("a Microsoft Network Monitor capture", CONVERT);
    }
    if starts(b"XCP\0") {
        return is("a NetXRay or Windows Sniffer capture", CONVERT);
    }
    if starts(b"TRSNIFF data") {
        return is("a DOS Sniffer capture", CONVERT);
    }
    if starts(b"iptrace ") {
        return is("an AIX iptrace capture", CONVERT);
    }
    if starts(&[0x1c, 0x00, 0x01, 0xab]) || starts(&[0xab, 0x01, 0x00, 0x1c]) {
        return is("an Ixia lcap capture", CONVERT);
    }
    if starts(&[0x1c, 0x00, 0x01, 0xac]) || starts(&[0xac, 0x01, 0x00, 0x1c]) {
        return is("an Ixia lcap capture", CONVERT);
    }
    if lower.ends_with(".erf") {
        return is("an Endace ERF capture", CONVERT);
    }
    if starts(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
        return is("compressed with xz", "decompress it on the way: xz -dc FILE | wsscan -r -");
    }
    if starts(b"BZh") {
        return is("compressed with bzip2", "decompress it on the way: bzip2 -dc FILE | wsscan -r -");
    }
    if starts(b"7z\xbc\xaf\x27\x1c") {
        return is("a 7z archive", "unpack it and name the capture inside");
    }
    if starts(b"PK\x03\x04") {
        return is("a zip archive", "unpack it and name the capture inside");
    }
    if head.len() > 4 && starts(b"\x7fELF") {
        return is("a program (ELF)", "name a capture file");
    }
    if starts(b"%PDF") {
        return is("a PDF document", "name a capture file");
    }
    if lower.ends_with(".har") {
        return is("an HTTP archive (HAR), which holds no packets", "record packets, for example with tcpdump -w FILE");
    }
    let text = head.iter().all(|&byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x1b | 0x20..=0x7e | 0x80..));
    if text {
        let json = head.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| b"{[".contains(byte));
        let what = if json { "JSON text, which holds no packets" } else { "text" };
        return is(what, "record packets with tcpdump -w FILE, without -w it prints text");
    }
    let shown = head.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    format!(
        "is not a pcap or pcapng capture (it starts with {shown}); \
         if Wireshark can open it, convert it first: editcap IN OUT.pcapng"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressions_are_told_by_content() {
        assert_eq!(Compression::of(&[0x1f, 0x8b, 8, 0]), Some(Compression::Gzip));
        assert_eq!(Compression::of(&[0x28, 0xb5, 0x2f, 0xfd]), Some(Compression::Zstd));
        assert_eq!(Compression::of(&[0x5e, 0x2a, 0x4d, 0x18]), Some(Compression::Zstd));
        assert_eq!(Compression::of(&[0x04, 0x22, 0x4d, 0x18]), Some(Compression::Lz4));
        assert_eq!(Compression::of(&[0xd4, 0xc3, 0xb2, 0xa1]), None);
        assert_eq!(Compression::of(&[0x28, 0xb5]), None);
    }

    #[test]
    fn foreign_files_are_named_with_the_next_step() {
        for (head, name, says) in [
            (&b""[..], "x", "empty"),
            (b"ab", "x", "2 bytes"),
            (b"snoop\0\0\0\0\0\0\x02", "x", "editcap"),
            (b"\x7fELF\x02\x01\x01\0", "x", "ELF"),
            (b"{\"log\": {}}", "a.har", "HAR"),
            (b" {\"log\": {}}", "a.json", "JSON"),
            (b"12:00:00.1 IP a > b", "a.txt", "tcpdump -w"),
            (b"\x01\x02\x03\x04\x05", "a.erf", "ERF"),
            (b"\x01\x02\x03\x04\x05", "a.bin", "01 02 03 04"),
            (b"\xfd7zXZ\0\0", "a.xz", "xz -dc"),
            (b"PK\x03\x04..", "a.zip", "zip"),
        ] {
            let text = describe_foreign(head, name);
            assert!(text.contains(says), "{name}: {text}");
        }
    }
}
