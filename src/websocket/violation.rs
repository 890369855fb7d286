//! Violations of RFC 6455 and RFC 7692, each named for what was done and by whom.
//!
//! A violation is data: the decoder records it and goes on as long as the framing is decidable. Nothing that a gap may
//! explain is recorded as a violation.

use crate::stream::Stamp;

/// How many violations of one direction are kept in full; the rest are counted.
pub const VIOLATIONS_KEPT: usize = 16;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A kind of violation, committed by the sender of the direction it is recorded for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum ViolationKind { $($(#[$doc])* $name,)* }

        impl ViolationKind {
            /// All of them, in order of declaration.
            pub const ALL: &'static [ViolationKind] = &[$(ViolationKind::$name,)*];

            /// Its name, as written here.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(ViolationKind::$name => stringify!($name),)* }
            }
        }
    };
}

kinds! {
    /// A client frame without a mask (RFC 6455 §5.1; WSF401). Detail: the opcode.
    UnmaskedFromClient,
    /// A server frame with a mask (§5.1; WSF402). Detail: the opcode.
    MaskedFromServer,
    /// RSV2 or RSV3 set, or RSV1 on a control frame or continuation without any extension (§5.2; WSF403). Detail: the
    /// three bits, RSV1 = 4.
    ReservedBitsSet,
    /// RSV1 on the first frame of a data message although permessage-deflate was not agreed (§5.2; WSD501).
    /// Detail: the opcode.
    Rsv1NotNegotiated,
    /// RSV1 on a continuation or control frame (RFC 7692 §6.1; WSD502). Detail: the opcode.
    Rsv1OnContinuationOrControl,
    /// Opcode 3 to 7 or 11 to 15 (§5.2; WSF404). Detail: the opcode.
    ReservedOpcode,
    /// A control frame without FIN (§5.5; WSF405). Detail: the opcode.
    FragmentedControl,
    /// A control frame longer than 125 bytes (§5.5; WSF406). Detail: the length.
    OversizedControl,
    /// A continuation although no message was open (§5.4; WSF407). Detail: the length.
    OrphanContinuation,
    /// A new message although one was open (§5.4; WSF408). Detail: the opcode.
    DataInsideFragmentedMessage,
    /// A length in more bytes than it needs (§5.2; WSF409). Detail: the length.
    NonMinimalLength,
    /// A 64-bit length with its highest bit set (§5.2; WSF409). Nothing after it can be decoded until the direction
    /// is provably in sync again. Detail: the length.
    LengthHighBitSet,
    /// A text message that is not UTF-8 (§8.1; WSF410). Detail: how many bytes of the message were valid.
    InvalidUtf8,
    /// A Close body of one byte (§5.5.1; WSF411). Detail: 1.
    CloseBodyOneByte,
    /// A status code that must not be on the wire (§7.4; WSF412). Detail: the code.
    CloseCodeIllegal,
    /// A Close reason that is not UTF-8 (§5.5.1; WSF413). Detail: how many bytes of the reason were valid.
    CloseReasonInvalidUtf8,
    /// A data frame after its sender's own Close (§5.5.1; WSF414). Detail: the opcode.
    DataAfterClose,
    /// A control frame after its sender's own Close, a second Close included: the RFC forbids data frames only, but
    /// no peer can use it. Detail: the opcode.
    FrameAfterClose,
    /// Bytes where a header was due that break two independent rules at once: something that is not WebSocket was
    /// written into the stream (WSF415). Decoding stops until the direction is provably in sync again. Detail: the
    /// first two bytes, big-endian.
    Desynchronised,
    /// A compressed message that does not inflate although all its history is known (RFC 7692 §7.2.2; WSD503).
    /// Detail: the payload length on the wire.
    InflateFailed,
    /// A compressed message that refers to earlier ones although its sender agreed not to (RFC 7692 §7.1.1; WSD506).
    /// Detail: the payload length on the wire.
    ContextTakeoverViolated,
}

impl ViolationKind {
    /// How many kinds there are.
    pub const COUNT: usize = Self::ALL.len();
}

/// One violation with its proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The packet that completes the proof.
    pub stamp: Stamp,
    /// What was done.
    pub kind: ViolationKind,
    /// A number that depends on the kind; see there.
    pub detail: u64,
}

/// The violations of one direction: the first [`VIOLATIONS_KEPT`] in full, all of them counted by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations(Option<Box<Recorded>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Recorded {
    first: Vec<Violation>,
    counts: [u64; ViolationKind::COUNT],
}

impl Violations {
    pub(super) const NONE: Self = Self(None);

    /// The first ones, in order.
    #[must_use]
    pub fn first(&self) -> &[Violation] {
        self.0.as_ref().map_or(&[], |recorded| &recorded.first)
    }

    /// How many of one kind.
    #[must_use]
    pub fn count(&self, kind: ViolationKind) -> u64 {
        self.0.as_ref().map_or(0, |recorded| recorded.counts[kind as usize])
    }

    /// The total of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.as_ref().map_or(0, |recorded| recorded.counts.iter().sum())
    }

    /// How many are only counted.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.total() - self.first().len() as u64
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The first of one kind, if it is among those recorded.
    #[must_use]
    pub fn find(&self, kind: ViolationKind) -> Option<&Violation> {
        self.first().iter().find(|violation| violation.kind == kind)
    }

    /// Each kind that occurred, with its count.
    pub fn counts(&self) -> impl Iterator<Item = (ViolationKind, u64)> + '_ {
        ViolationKind::ALL.iter().map(|&kind| (kind, self.count(kind))).filter(|&(_, count)| count > 0)
    }

    /// Adds one. A kind's first occurrence is kept even when the list is full of others: it takes the place of the last
    /// repetition.
    #[cold]
    pub fn record(&mut self, stamp: Stamp, kind: ViolationKind, detail: u64) {
        let recorded =
            self.0.get_or_insert_with(|| Box::new(Recorded { first: Vec::new(), counts: [0; ViolationKind::COUNT] }));
        let violation = Violation { stamp, kind, detail };
        if recorded.first.len() < VIOLATIONS_KEPT {
            recorded.first.push(violation);
        } else if recorded.counts[kind as usize] == 0 {
            let repeated =
                |at: usize| recorded.first[..at].iter().any(|earlier| earlier.kind == recorded.first[at].kind);
            if let Some(at) = (0..VIOLATIONS_KEPT).rev().find(|&at| repeated(at)) {
                recorded.first.remove(at);
                recorded.first.push(violation);
            }
        }
        recorded.counts[kind as usize] += 1;
    }
}
