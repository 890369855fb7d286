//! Runs a compiled filter program over a packet that was cut when it was captured.
//!
//! libpcap's own interpreter, as the `pcap` crate calls it, takes the captured length for the length on the
//! wire, so that `greater 1000` is wrong for cut packets. This one knows both. It is the classic BPF machine:
//! two 32-bit registers, 16 words of memory, jumps forward only, so every program ends.

/// Words of scratch memory.
const MEMORY: usize = 16;

/// One instruction, as libpcap compiles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) jump_true: u8,
    pub(super) jump_false: u8,
    pub(super) k: u32,
}

/// Whether `program` accepts a packet of which `packet` was captured and which had `original_len` bytes on
/// the wire. A load beyond what was captured rejects it, as in libpcap and the kernel.
pub(super) fn accepts(program: &[Instruction], packet: &[u8], original_len: u32) -> bool {
    run(program, packet, original_len).unwrap_or(0) != 0
}

/// What the program returns: how many bytes to keep. `None` when it loads beyond the packet or is malformed.
fn run(program: &[Instruction], packet: &[u8], original_len: u32) -> Option<u32> {
    let (mut a, mut x) = (0u32, 0u32);
    let mut memory = [0u32; MEMORY];
    let mut next = 0usize;
    loop {
        let Instruction { code, jump_true, jump_false, k } = *program.get(next)?;
        next += 1;
        let class = code & 0x07;
        match class {
            // LD: into A. LDX: into X.
            0x00 | 0x01 => {
                let value = match code & 0xe0 {
                    0x00 => k,
                    0x20 => load(packet, u64::from(k), code & 0x18)?,
                    0x40 if class == 0 => load(packet, u64::from(x) + u64::from(k), code & 0x18)?,
                    0x60 => *memory.get(k as usize)?,
                    0x80 => original_len,
                    // Length of an IP header: four times the low nibble.
                    0xa0 if class == 1 => (load(packet, u64::from(k), 0x10)? & 0xf) << 2,
                    _ => return None,
                };
                if class == 0 { a = value } else { x = value }
            }
            0x02 => *memory.get_mut(k as usize)? = a,
            0x03 => *memory.get_mut(k as usize)? = x,
            0x04 => {
                let operand = if code & 0x08 == 0 { k } else { x };
                a = match code & 0xf0 {
                    0x00 => a.wrapping_add(operand),
                    0x10 => a.wrapping_sub(operand),
                    0x20 => a.wrapping_mul(operand),
                    0x30 => a.checked_div(operand)?,
                    0x40 => a | operand,
                    0x50 => a & operand,
                    0x60 => a.checked_shl(operand).unwrap_or(0),
                    0x70 => a.checked_shr(operand).unwrap_or(0),
                    0x80 => a.wrapping_neg(),
                    0x90 => a.checked_rem(operand)?,
                    0xa0 => a ^ operand,
                    _ => return None,
                };
            }
            0x05 => {
                let operand = if code & 0x08 == 0 { k } else { x };
                let distance = match code & 0xf0 {
                    0x00 => k as usize,
                    0x10 => pick(a == operand, jump_true, jump_false),
                    0x20 => pick(a > operand, jump_true, jump_false),
                    0x30 => pick(a >= operand, jump_true, jump_false),
                    0x40 => pick(a & operand != 0, jump_true, jump_false),
                    _ => return None,
                };
                next = next.checked_add(distance)?;
            }
            0x06 => {
                return match code & 0x18 {
                    0x00 => Some(k),
                    0x10 => Some(a),
                    _ => None,
                };
            }
            _ => {
                if code & 0xf8 == 0 {
                    x = a;
                } else if code & 0xf8 == 0x80 {
                    a = x;
                } else {
                    return None;
                }
            }
        }
    }
}

fn pick(condition: bool, jump_true: u8, jump_false: u8) -> usize {
    usize::from(if condition { jump_true } else { jump_false })
}

/// A word (size 0x00), half word (0x08) or byte (0x10) in network byte order.
fn load(packet: &[u8], at: u64, size: u16) -> Option<u32> {
    let bytes = packet.get(usize::try_from(at).ok()?..)?;
    match size {
        0x00 => bytes.first_chunk().map(|word| u32::from_be_bytes(*word)),
        0x08 => bytes.first_chunk().map(|half| u32::from(u16::from_be_bytes(*half))),
        0x10 => bytes.first().map(|&byte| u32::from(byte)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn op(code: u16, k: u32) -> Instruction {
        Instruction { code, jump_true: 0, jump_false: 0, k }
    }

    const fn jump(code: u16, k: u32, jump_true: u8, jump_false: u8) -> Instruction {
        Instruction { code, jump_true, jump_false, k }
    }

    #[test]
    fn arithmetic_and_memory() {
        // 7 * 6 through memory and both registers.
        let program = [
            op(0x00, 7),
            op(0x02, 3),
            op(0x01, 6),
            op(0x60, 3),
            op(0x2c, 0),
            op(0x03, 4),
            op(0x07, 0),
            op(0x87, 0),
            op(0x16, 0),
        ];
        assert_eq!(run(&program, &[], 0), Some(42));
        assert_eq!(run(&[op(0x00, 7), op(0x34, 0), op(0x06, 1)], &[], 0), None, "division by zero rejects");
        assert_eq!(run(&[op(0x00, 7), op(0x64, 40), op(0x16, 0)], &[], 0), Some(0));
        assert_eq!(run(&[op(0x60, 16), op(0x16, 0)], &[], 0), None, "there is no word 16");
        assert_eq!(run(&[op(0x00, 5), op(0x84, 0), op(0x16, 0)], &[], 0), Some(u32::MAX - 4));
    }

    #[test]
    fn loads_beyond_the_packet_reject() {
        let packet = [0x45, 2, 3, 4, 5];
        assert_eq!(run(&[op(0x20, 1), op(0x16, 0)], &packet, 5), Some(0x0203_0405));
        assert_eq!(run(&[op(0x20, 2), op(0x16, 0)], &packet, 5), None);
        assert_eq!(run(&[op(0x28, 3), op(0x16, 0)], &packet, 5), Some(0x0405));
        assert_eq!(run(&[op(0x30, 5), op(0x16, 0)], &packet, 5), None);
        assert_eq!(run(&[op(0x20, u32::MAX), op(0x16, 0)], &packet, 5), None);
        assert_eq!(run(&[op(0xb1, 0), op(0x50, 0), op(0x16, 0)], &packet, 5), None);
        assert_eq!(run(&[op(0x01, 4), op(0x50, 0), op(0x16, 0)], &packet, 5), Some(5));
        assert_eq!(run(&[op(0x01, u32::MAX), op(0x50, u32::MAX), op(0x16, 0)], &packet, 5), None);
    }

    #[test]
    fn the_length_is_that_on_the_wire() {
        let greater = [op(0x80, 0), jump(0x35, 1000, 0, 1), op(0x06, 262_144), op(0x06, 0)];
        assert!(accepts(&greater, &[0; 60], 1500));
        assert!(!accepts(&greater, &[0; 60], 60));
    }

    #[test]
    fn programs_that_run_off_their_end_reject() {
        assert_eq!(run(&[], &[], 0), None);
        assert_eq!(run(&[op(0x00, 1)], &[], 0), None);
        assert_eq!(run(&[op(0x05, u32::MAX), op(0x06, 1)], &[], 0), None);
        assert_eq!(run(&[op(0xff, 0)], &[], 0), None);
    }
}
