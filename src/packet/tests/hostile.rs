//! Arbitrary bytes: no panic, and no payload that is not part of them.

use super::*;
use proptest::prelude::*;

const LINKS: [u16; 15] = [0, 1, 9, 12, 14, 50, 51, 101, 104, 108, 113, 228, 229, 276, 147];

/// Decodes, reassembles, and checks what must hold of every result.
fn check(defragmenter: &mut Defragmenter, packet: Packet<'_>) {
    let check = |decoded: &Decoded<'_>, bytes: Option<&[u8]>| {
        if let Decoded::Segment(segment) = decoded {
            assert!(segment.payload.len() <= segment.payload_len as usize);
            assert!(bytes.is_none_or(|bytes| is_within(segment.payload, bytes)));
        }
    };
    let decoded = decode(packet);
    check(&decoded, Some(packet.bytes));
    if let Decoded::Fragment(fragment) = decoded
        && let Some(whole) = defragmenter.push(fragment)
    {
        check(&whole.decode(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(link in prop::sample::select(&LINKS[..]), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&mut Defragmenter::new(), packet(LinkType(link), &bytes));
    }

    #[test]
    fn damaged_samples(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut sample = samples().swap_remove(which.index(samples().len()));
        for (at, value) in damage {
            let at = at.index(sample.bytes.len());
            sample.bytes[at] = value;
        }
        let mut defragmenter = Defragmenter::new();
        check(&mut defragmenter, packet(sample.link, &sample.bytes));
        let cut = cut.index(sample.bytes.len());
        check(&mut defragmenter, Packet { bytes: &sample.bytes[..cut], ..packet(sample.link, &sample.bytes) });
        for link in LINKS {
            check(&mut defragmenter, packet(LinkType(link), &sample.bytes));
        }
    }
}

#[test]
fn every_byte_of_every_sample_set_to_every_telling_value() {
    let mut defragmenter = Defragmenter::new();
    for mut sample in samples() {
        for at in 0..sample.bytes.len() {
            let old = sample.bytes[at];
            for value in [0, 1, 0x0f, 0x20, 0x40, 0x7f, 0x80, 0xc0, 0xff, old ^ 1, old ^ 0x10] {
                sample.bytes[at] = value;
                check(&mut defragmenter, packet(sample.link, &sample.bytes));
            }
            sample.bytes[at] = old;
        }
    }
}
