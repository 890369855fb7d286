//! A planned packet: the unit in which conversations plan and the simulation plays.

/// One planned packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Nanoseconds after the step before it.
    pub(crate) wait: u64,
    /// Payload in the conversation's buffer.
    pub(super) start: u32,
    pub(super) length: u32,
    pub(super) sequence: u32,
    pub(super) side: u8,
    /// TCP control bits; 0 for a UDP datagram.
    pub(super) flags: u8,
    /// Sent and received, but not captured.
    pub(super) lost: bool,
}

impl Step {
    /// The part of the buffer it carries.
    pub(crate) fn range(&self) -> std::ops::Range<u32> {
        self.start..self.start + self.length
    }

    /// Whether the capture missed it.
    pub(crate) fn lost(&self) -> bool {
        self.lost
    }
}
