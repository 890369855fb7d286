//! Writes captures byte by byte, in either byte order, whole or odd.

/// Byte order of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

pub(super) const ORDERS: [Order; 2] = [Order::Little, Order::Big];

impl Order {
    pub(super) fn u16(self, value: u16) -> [u8; 2] {
        if self == Order::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(super) fn u32(self, value: u32) -> [u8; 4] {
        if self == Order::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(super) fn u64(self, value: u64) -> [u8; 8] {
        if self == Order::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn words(self, values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|&value| self.u32(value)).collect()
    }
}

pub(super) const MICROSECONDS: u32 = 0xa1b2_c3d4;
pub(super) const NANOSECONDS: u32 = 0xa1b2_3c4d;
pub(super) const KUZNETZOV: u32 = 0xa1b2_cd34;

/// A pcap file header of version 2.`minor`.
pub(super) fn pcap_header(order: Order, magic: u32, minor: u16, snap_length: u32, network: u32) -> Vec<u8> {
    let mut header = order.u32(magic).to_vec();
    header.extend(order.u16(2));
    header.extend(order.u16(minor));
    header.extend(order.words(&[0, 0, snap_length, network]));
    header
}

/// A pcap file header of today.
pub(super) fn pcap(order: Order, magic: u32) -> Vec<u8> {
    pcap_header(order, magic, 4, 262_144, 1)
}

/// A pcap record.
pub(super) fn record(order: Order, seconds: u32, fraction: u32, data: &[u8], original: u32) -> Vec<u8> {
    let mut record = order.words(&[seconds, fraction, data.len() as u32, original]);
    record.extend(data);
    record
}

/// A pcapng block around `body`.
pub(super) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    pad(&mut body);
    let length = body.len() as u32 + 12;
    let mut block = order.words(&[kind, length]);
    block.extend(body);
    block.extend(order.u32(length));
    block
}

pub(super) fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

pub(super) fn section(order: Order) -> Vec<u8> {
    let mut body = order.u32(0x1a2b_3c4d).to_vec();
    body.extend(order.u16(1));
    body.extend(order.u16(0));
    body.extend(order.u64(u64::MAX));
    block(order, 0x0a0d_0d0a, &body)
}

pub(super) fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let mut option = order.u16(code).to_vec();
    option.extend(order.u16(value.len() as u16));
    option.extend(value);
    pad(&mut option);
    option
}

pub(super) fn interface(order: Order, link: u16, snap_length: u32, options: &[u8]) -> Vec<u8> {
    let mut body = order.u16(link).to_vec();
    body.extend([0, 0]);
    body.extend(order.u32(snap_length));
    body.extend(options);
    block(order, 1, &body)
}

pub(super) fn enhanced(order: Order, interface: u32, ticks: u64, data: &[u8], original: u32) -> Vec<u8> {
    let mut body = order.words(&[interface, (ticks >> 32) as u32, ticks as u32, data.len() as u32, original]);
    body.extend(data);
    block(order, 6, &body)
}

pub(super) fn simple(order: Order, data: &[u8], original: u32) -> Vec<u8> {
    let mut body = order.u32(original).to_vec();
    body.extend(data);
    block(order, 3, &body)
}

pub(super) fn obsolete(order: Order, interface: u16, ticks: u64, data: &[u8], original: u32) -> Vec<u8> {
    let mut body = order.u16(interface).to_vec();
    body.extend(order.u16(7));
    body.extend(order.words(&[(ticks >> 32) as u32, ticks as u32, data.len() as u32, original]));
    body.extend(data);
    block(order, 2, &body)
}

pub(super) fn secrets(order: Order, kind: u32, text: &[u8]) -> Vec<u8> {
    let mut body = order.words(&[kind, text.len() as u32]);
    body.extend(text);
    block(order, 10, &body)
}

/// Bytes that differ from packet to packet.
pub(super) fn payload(seed: u32, length: usize) -> Vec<u8> {
    (0..length as u32).map(|i| (seed.wrapping_mul(2_654_435_761).wrapping_add(i * 7) >> 3) as u8).collect()
}

/// A pcap file with packets of the given lengths, a microsecond apart.
pub(super) fn small_pcap(order: Order, lengths: &[usize]) -> Vec<u8> {
    let mut file = pcap(order, MICROSECONDS);
    for (index, &length) in lengths.iter().enumerate() {
        let data = payload(index as u32, length);
        file.extend(record(order, 1_700_000_000, index as u32, &data, length as u32));
    }
    file
}

/// A pcapng file with every kind of block.
pub(super) fn rich_pcapng(order: Order) -> Vec<u8> {
    let other = if order == Order::Big { Order::Little } else { Order::Big };
    let mut file = section(order);
    file.extend(interface(order, 1, 0, &option(order, 2, b"eth0")));
    file.extend(interface(order, 276, 96, &option(order, 9, &[9])));
    file.extend(enhanced(order, 0, 1_700_000_000_000_001, &payload(1, 61), 61));
    file.extend(secrets(order, 0x544c_534b, b"CLIENT_RANDOM aa bb\n"));
    file.extend(enhanced(order, 1, 1_700_000_000_000_002_003, &payload(2, 96), 1500));
    file.extend(block(order, 5, &[0; 12]));
    file.extend(block(order, 0x777, &payload(4, 1000)));
    file.extend(simple(order, &payload(5, 54), 54));
    file.extend(obsolete(order, 1, 1_700_000_000_000_002_500, &payload(6, 33), 33));
    file.extend(block(order, 4, &[0, 0, 0, 0]));
    file.extend(section(other));
    file.extend(secrets(other, 0x544c_534b, b"CLIENT_RANDOM cc dd\n"));
    file.extend(interface(other, 101, 0, &[option(other, 9, &[0x80 | 10]), option(other, 14, &[0; 8])].concat()));
    file.extend(enhanced(other, 0, 1_700_000_001 << 10 | 512, &payload(7, 40), 40));
    file.extend(block(other, 0xbad, &payload(8, 20)));
    file.extend(enhanced(other, 0, 1_700_000_002 << 10, &payload(9, 0), 0));
    file
}
