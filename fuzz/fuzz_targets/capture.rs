//! Any bytes as a capture: the walker must neither panic nor point outside of them, and must find the same
//! packets however the bytes arrive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wsscan::capture::Walker;
use wsscan::packet::PacketRef;

/// What is compared: time, bytes, length on the wire.
type Found = Vec<(i64, Vec<u8>, u32)>;

fn collect(found: &mut Found, packets: &[PacketRef], bytes: &[u8]) {
    found.extend(packets.iter().map(|packet| {
        let start = packet.offset as usize;
        (packet.at, bytes[start..start + packet.captured as usize].to_vec(), packet.original)
    }));
}

fuzz_target!(|data: &[u8]| {
    let Some((&piece, file)) = data.split_first() else { return };

    let mut whole = Walker::new();
    let mut packets = Vec::new();
    let walked = whole.walk(file, 0, true, &mut packets);
    assert_eq!(walked.need, 0);
    let mut expected = Found::new();
    collect(&mut expected, &packets, file);

    let mut pieces = Walker::new();
    let mut found = Found::new();
    let mut window = Vec::new();
    let mut rest = file;
    loop {
        let (front, back) = rest.split_at(rest.len().min(1 + usize::from(piece)));
        window.extend_from_slice(front);
        rest = back;
        packets.clear();
        let walked = pieces.walk(&window, 0, rest.is_empty(), &mut packets);
        collect(&mut found, &packets, &window);
        window.drain(..walked.end);
        if walked.need == 0 {
            break;
        }
    }
    assert_eq!(found, expected);
    assert_eq!(pieces.error(), whole.error());
    assert_eq!(pieces.truncated(), whole.truncated());
    assert_eq!(pieces.take_secrets(), whole.take_secrets());
});
