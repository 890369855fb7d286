//! WebSocket frames (RFC 6455 §5.2), staged one after the other before they are sent.

use super::random::Random;
use super::truth::Sent;

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// FIN bit of the first byte.
pub(crate) const FINAL: u8 = 0x80;
/// RSV1 bit of the first byte: compressed (RFC 7692 §6).
pub(crate) const COMPRESSED: u8 = 0x40;

/// One staged frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    /// Where its header begins in the stage.
    pub(crate) start: u32,
    /// Bytes of header, masking key included.
    pub(crate) header: u32,
    /// Bytes of payload.
    pub(crate) length: u32,
    /// First byte: FIN, RSV bits and opcode.
    pub(crate) first: u8,
}

/// Bytes of one side that wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    pub(crate) bytes: Vec<u8>,
    pub(crate) frames: Vec<Mark>,
}

impl Stage {
    /// Forgets everything staged.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
    }

    /// Stages one frame whose first byte is `first`, masked with a random key if `random` is given.
    pub(crate) fn frame(&mut self, first: u8, payload: &[u8], random: Option<&mut Random>, sent: &mut Sent) {
        let start = self.bytes.len();
        let mask_bit = if random.is_some() { 0x80 } else { 0 };
        self.bytes.push(first);
        match payload.len() {
            short @ 0..=125 => self.bytes.push(mask_bit | short as u8),
            medium @ 126..=0xffff => {
                self.bytes.push(mask_bit | 126);
                self.bytes.extend((medium as u16).to_be_bytes());
            }
            long => {
                self.bytes.push(mask_bit | 127);
                self.bytes.extend((long as u64).to_be_bytes());
            }
        }
        if let Some(random) = random {
            let key: [u8; 4] = random.bytes();
            self.bytes.extend(key);
            let body = self.bytes.len();
            self.bytes.extend_from_slice(payload);
            mask(&mut self.bytes[body..], key);
        } else {
            self.bytes.extend_from_slice(payload);
        }
        self.frames.push(Mark {
            start: start as u32,
            header: (self.bytes.len() - start - payload.len()) as u32,
            length: payload.len() as u32,
            first,
        });
        sent.count(first, payload.len() as u64);
    }
}

impl Sent {
    fn count(&mut self, first: u8, length: u64) {
        self.frames += 1;
        self.bytes += length;
        let opcode = first & 0x0f;
        match opcode {
            CONTINUATION => self.continuation += 1,
            TEXT => self.text += 1,
            BINARY => self.binary += 1,
            CLOSE => self.close += 1,
            PING => self.ping += 1,
            _ => self.pong += 1,
        }
        if opcode < CLOSE {
            self.data_bytes += length;
            if first & COMPRESSED == 0 {
                self.message_bytes += length;
            }
            if first & FINAL != 0 {
                self.messages += 1;
            }
        }
    }
}

/// Masks `bytes` in place (RFC 6455 §5.3).
fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}
