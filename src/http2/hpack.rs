//! HPACK (RFC 7541), decoding only, for a reader that may have missed the beginning.
//!
//! Where the dynamic table is not known (the capture started late, or a header block was lost), decoding goes
//! on: fields that refer to unknown entries come out without name or value, and new entries are learned.

use std::collections::VecDeque;

use super::huffman;

/// Largest dynamic table kept, in bytes as RFC 7541 §4.1 counts. An encoder that uses a larger one refers to
/// entries that are unknown here.
pub(super) const MAX_TABLE: usize = 64 * 1024;
/// Longest name or value that is read, in bytes.
const MAX_STRING: usize = 64 * 1024;
/// The table size until SETTINGS change it (RFC 9113 §6.5.2).
const DEFAULT_TABLE: usize = 4096;
/// What an entry costs beyond its name and value (RFC 7541 §4.1).
const ENTRY_OVERHEAD: usize = 32;

/// The static table (RFC 7541 Appendix A); index 1 comes first.
static STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// Name and value in one piece. A part that is not known is `None`.
#[derive(Clone, Debug)]
struct Entry {
    bytes: Box<[u8]>,
    name_len: usize,
    name_known: bool,
    value_known: bool,
}

impl Entry {
    fn name(&self) -> Option<&[u8]> {
        self.name_known.then(|| &self.bytes[..self.name_len])
    }

    fn value(&self) -> Option<&[u8]> {
        self.value_known.then(|| &self.bytes[self.name_len..])
    }

    fn size(&self) -> usize {
        self.bytes.len() + ENTRY_OVERHEAD
    }
}

/// One direction's decoder.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The newest entry first.
    entries: VecDeque<Entry>,
    size: usize,
    /// Largest size, in bytes: as the encoder announced it, or the default.
    limit: usize,
    /// There may be entries beyond those known.
    more: bool,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder {
            entries: VecDeque::new(),
            size: 0,
            limit: DEFAULT_TABLE,
            more: false,
            name: Vec::new(),
            value: Vec::new(),
        }
    }
}

/// A header field; a part that refers to an unknown entry is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) name: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
}

/// Where a name comes from.
enum Name {
    /// From the table.
    Index(usize),
    /// It was read into `Decoder::name`.
    Literal,
}

impl Decoder {
    /// Forgets the table: header blocks were missed, so that its entries are not known any more.
    pub(super) fn lose(&mut self) {
        self.entries = VecDeque::new();
        self.size = 0;
        // Its size is not known either; an encoder never refers to an entry that it has evicted.
        self.limit = MAX_TABLE;
        self.more = true;
    }

    /// Decodes a header block and passes its fields to `each`. `None` when it is malformed: the table is unknown then
    /// (RFC 7541 §2.2: a decoding error ends the connection).
    pub(super) fn decode(&mut self, block: &[u8], mut each: impl FnMut(Field<'_>)) -> Option<()> {
        let done = self.fields(block, &mut each);
        if done.is_none() {
            self.lose();
        }
        done
    }

    fn fields(&mut self, mut block: &[u8], each: &mut impl FnMut(Field<'_>)) -> Option<()> {
        while let Some(&first) = block.first() {
            if first & 0x80 != 0 {
                // RFC 7541 §6.1: an indexed field. Index 0 is a decoding error.
                let index = integer(&mut block, 7)?;
                each(self.lookup(index)?);
            } else if first & 0xc0 == 0x40 {
                // §6.2.1: a literal that enters the table.
                let name = self.literal(&mut block, 6)?;
                let (name, name_known) = self.resolved(&name)?;
                let name_len = name.len();
                let bytes = [name, &self.value].concat().into_boxed_slice();
                let entry = Entry { bytes, name_len, name_known, value_known: true };
                each(Field { name: entry.name(), value: entry.value() });
                self.insert(entry);
            } else if first & 0xe0 == 0x20 {
                // §6.3: a change of the table's size. What is larger than we keep costs us the old entries.
                let limit = integer(&mut block, 5)?;
                self.more |= limit > MAX_TABLE;
                self.limit = limit.min(MAX_TABLE);
                self.evict();
            } else {
                // §6.2.2, §6.2.3: a literal that stays out of the table.
                let name = self.literal(&mut block, 4)?;
                let (name, known) = self.resolved(&name)?;
                each(Field { name: known.then_some(name), value: Some(&self.value) });
            }
        }
        Some(())
    }

    /// Reads a literal field: its value into `self.value`.
    fn literal(&mut self, block: &mut &[u8], prefix: u32) -> Option<Name> {
        let name = match integer(block, prefix)? {
            0 => {
                string(block, &mut self.name)?;
                Name::Literal
            }
            index => Name::Index(index),
        };
        string(block, &mut self.value)?;
        Some(name)
    }

    fn resolved(&self, name: &Name) -> Option<(&[u8], bool)> {
        match name {
            Name::Literal => Some((&self.name, true)),
            Name::Index(index) => Some(self.lookup(*index)?.name.map_or((&[], false), |name| (name, true))),
        }
    }

    /// `None` for an index that cannot be.
    fn lookup(&self, index: usize) -> Option<Field<'_>> {
        if let Some((name, value)) = STATIC.get(index.checked_sub(1)?) {
            return Some(Field { name: Some(name.as_bytes()), value: Some(value.as_bytes()) });
        }
        match self.entries.get(index - 1 - STATIC.len()) {
            Some(entry) => Some(Field { name: entry.name(), value: entry.value() }),
            None => self.more.then_some(Field { name: None, value: None }),
        }
    }

    fn insert(&mut self, entry: Entry) {
        self.size += entry.size();
        self.entries.push_front(entry);
        self.evict();
    }

    /// RFC 7541 §4.3: the oldest entries go until the rest fits.
    fn evict(&mut self) {
        while self.size > self.limit {
            let Some(entry) = self.entries.pop_back() else { break };
            self.size -= entry.size();
        }
    }
}

/// RFC 7541 §5.1: an integer with a prefix of `prefix` bits.
fn integer(block: &mut &[u8], prefix: u32) -> Option<usize> {
    let (&first, mut rest) = block.split_first()?;
    let mask = (1u32 << prefix) - 1;
    let mut value = u32::from(first) & mask;
    if value == mask {
        let mut shift = 0;
        loop {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            // Larger than 2^28 is no length and no index that we could follow.
            if shift > 21 {
                return None;
            }
            value += u32::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *block = rest;
    Some(value as usize)
}

/// RFC 7541 §5.2: a string, plain or in Huffman code.
fn string(block: &mut &[u8], into: &mut Vec<u8>) -> Option<()> {
    into.clear();
    let coded = block.first()? & 0x80 != 0;
    let len = integer(block, 7)?;
    let (bytes, rest) = block.split_at_checked(len)?;
    *block = rest;
    if coded {
        return huffman::decode(bytes, into, MAX_STRING);
    }
    if len > MAX_STRING {
        return None;
    }
    into.extend_from_slice(bytes);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn shown(decoder: &mut Decoder, block: &str) -> Option<Vec<String>> {
        let part = |part: Option<&[u8]>| part.map_or("?".to_owned(), |part| String::from_utf8_lossy(part).into_owned());
        let mut fields = Vec::new();
        decoder
            .decode(&unhex(block), |field| fields.push(format!("{}: {}", part(field.name), part(field.value))))
            .map(|()| fields)
    }

    fn expect(decoder: &mut Decoder, block: &str, fields: &[&str], size: usize) {
        assert_eq!(shown(decoder, block).unwrap(), fields);
        assert_eq!(decoder.size, size);
    }

    #[test]
    fn integers_of_appendix_c_1() {
        assert_eq!(integer(&mut &[0x0a][..], 5), Some(10));
        assert_eq!(integer(&mut &[0x1f, 0x9a, 0x0a][..], 5), Some(1337));
        assert_eq!(integer(&mut &[0x2a][..], 8), Some(42));
        assert_eq!(integer(&mut &[0x1f][..], 5), None);
        assert_eq!(integer(&mut &[0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f][..], 5), None);
    }

    #[test]
    fn single_fields_of_appendix_c_2() {
        let mut decoder = Decoder::default();
        expect(
            &mut decoder,
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            &["custom-key: custom-header"],
            55,
        );
        let mut decoder = Decoder::default();
        expect(&mut decoder, "040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"], 0);
        expect(&mut decoder, "1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"], 0);
        expect(&mut decoder, "82", &[":method: GET"], 0);
    }

    const FIRST: [&str; 4] = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
    const SECOND: [&str; 5] =
        [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"];
    const THIRD: [&str; 5] = [
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ];

    #[test]
    fn requests_of_appendix_c_3_and_c_4() {
        let mut decoder = Decoder::default();
        expect(&mut decoder, "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", &FIRST, 57);
        expect(&mut decoder, "8286 84be 5808 6e6f 2d63 6163 6865", &SECOND, 110);
        expect(&mut decoder, "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", &THIRD, 164);
        let mut decoder = Decoder::default();
        expect(&mut decoder, "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", &FIRST, 57);
        expect(&mut decoder, "8286 84be 5886 a8eb 1064 9cbf", &SECOND, 110);
        expect(&mut decoder, "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", &THIRD, 164);
    }

    #[test]
    fn responses_of_appendix_c_5_and_c_6_with_eviction() {
        let plain = [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 \
             7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 \
             444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
        ];
        let coded = [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 \
             d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ];
        for blocks in [plain, coded] {
            let mut decoder = Decoder { limit: 256, ..Decoder::default() };
            let date = "date: Mon, 21 Oct 2013 20:13:21 GMT";
            let location = "location: https://www.example.com";
            expect(&mut decoder, blocks[0], &[":status: 302", "cache-control: private", date, location], 222);
            expect(&mut decoder, blocks[1], &[":status: 307", "cache-control: private", date, location], 222);
            let cookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
            let date = "date: Mon, 21 Oct 2013 20:13:22 GMT";
            expect(
                &mut decoder,
                blocks[2],
                &[":status: 200", "cache-control: private", date, location, "content-encoding: gzip", cookie],
                215,
            );
        }
    }

    #[test]
    fn a_table_of_which_the_beginning_was_missed_is_learned_anew() {
        let mut decoder = Decoder::default();
        decoder.lose();
        // An unknown entry, a value whose name is unknown, then a known new entry at 62 with the other one at 63.
        let fields = shown(&mut decoder, "be 7f00 0161 4001 6b01 76 be bf c0").unwrap();
        assert_eq!(fields, ["?: ?", "?: a", "k: v", "k: v", "?: a", "?: ?"]);
    }

    #[test]
    fn malformed_blocks_end_in_an_unknown_table() {
        // Index 0, an index beyond the table, a string beyond the block, a bad Huffman code.
        for block in ["80", "be", "4005 6162", "4081 00 00"] {
            let mut decoder = Decoder::default();
            expect(&mut decoder, "4001 6b01 76", &["k: v"], 34);
            assert_eq!(shown(&mut decoder, &block.replace("be", "bf")), None, "{block}");
            assert_eq!(shown(&mut decoder, "be").unwrap(), ["?: ?"]);
        }
    }

    #[test]
    fn the_table_keeps_to_its_bound() {
        let mut decoder = Decoder::default();
        // A size update to 16 MiB, then entries of 1000 bytes.
        assert!(shown(&mut decoder, "3fe1ffff07").unwrap().is_empty());
        assert_eq!(decoder.limit, MAX_TABLE);
        let entry = [&unhex("40016b7fe906")[..], &[b'v'; 1000]].concat();
        for _ in 0..200 {
            decoder.decode(&entry, |_| {}).unwrap();
        }
        assert!(decoder.size <= MAX_TABLE && decoder.entries.len() == MAX_TABLE / 1033);
        // Beyond what is kept, entries are unknown rather than wrong.
        assert_eq!(shown(&mut decoder, "ff8001").unwrap(), ["?: ?"]);
    }
}
