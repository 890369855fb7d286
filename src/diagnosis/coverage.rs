//! What the capture could have shown of one side: whoever says that a side did *not* send something asks here first.
//!
//! A hole may hide anything that would have stood in it. Where there is one, a rule says less, or nothing.

use super::context::Session;
use crate::packet::Stamp;
use crate::stream::Side;
use crate::tcp::Opening;

/// Why a part of what a side sent cannot be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// No packet of that side was captured.
    OneWay,
    /// It lies before the first captured packet of the connection, or behind the last.
    OutsideCapture,
    /// Sequence numbers are missing that the other side acknowledged, or that a FIN or RST skips.
    NotCaptured,
    /// The snap length cut packets short.
    SnapLength,
    /// It was captured, but it is not known where frames begin.
    Undecoded,
    /// Bytes of TLS records are missing.
    MissingRecords,
}

/// Whether a stretch of what one side sent was captured whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    /// All of it: what is not there was not sent.
    Whole,
    /// Not all of it.
    Hole {
        /// What is missing.
        why: Why,
        /// The packet that shows it, where there is one.
        at: Option<Stamp>,
    },
}

impl Coverage {
    /// Whether nothing is missing.
    pub(super) fn is_whole(self) -> bool {
        self == Coverage::Whole
    }

    /// The first of these that is a hole.
    fn first_hole<const N: usize>(checks: [(bool, Why, Option<Stamp>); N]) -> Self {
        let hole = checks.into_iter().find(|(is_hole, ..)| *is_hole);
        hole.map_or(Coverage::Whole, |(_, why, at)| Coverage::Hole { why, at })
    }
}

impl Session<'_> {
    /// Whether every byte that `side` sent between two packets was captured.
    ///
    /// A hole is known by the packet that reveals it, and its bytes were sent before that one; how long before, nobody
    /// knows. So one that is revealed within the stretch or later counts, and of several each does.
    pub(super) fn coverage(&self, side: Side, from: Stamp, to: Stamp) -> Coverage {
        let (tcp, facts) = (self.tcp(), self.side(side));
        let (bytes, gaps) = (facts.unusual(), self.sent(side).map(|sent| sent.unusual().gaps).unwrap_or_default());
        let outside = to > tcp.last || (from < tcp.first && tcp.opening == Opening::MidStream);
        let gap = bytes.gaps > 1 || (bytes.gaps == 1 && bytes.first_gap.is_none_or(|gap| gap >= from));
        Coverage::first_hole([
            (facts.packets == 0, Why::OneWay, None),
            (outside, Why::OutsideCapture, None),
            (gap, Why::NotCaptured, bytes.first_gap),
            (bytes.cut_bytes > 0 && bytes.first_cut.is_none_or(|cut| cut <= to), Why::SnapLength, bytes.first_cut),
            (gaps.count > 0 && gaps.last.is_none_or(|last| last >= from), Why::NotCaptured, gaps.last),
            (gaps.lost, Why::Undecoded, gaps.last),
        ])
    }

    /// Whether bytes of `side` are missing that it sent between two packets, and whose place behind the second is known: what
    /// was captured after them need not be what came next.
    pub(super) fn missing_between(&self, side: Side, from: Stamp, to: Stamp) -> bool {
        self.side(side).unusual().first_gap.is_some_and(|gap| from <= gap && gap <= to)
    }

    /// Whether every frame header that `side` sent was seen. A gap inside the payload of a frame hides none.
    pub(super) fn frame_coverage(&self, side: Side) -> Coverage {
        let gaps = self.sent(side).map(|sent| sent.unusual().gaps);
        // A pick-up in the middle counts as one loss of step; what came before it is another matter.
        let picked_up = u64::from(self.websocket().is_some_and(|websocket| websocket.mid_stream));
        let lost = gaps.is_none_or(|gaps| gaps.lost || gaps.times_lost > picked_up);
        Coverage::first_hole([
            (self.side(side).packets == 0, Why::OneWay, None),
            (lost, Why::Undecoded, gaps.and_then(|gaps| gaps.first)),
        ])
    }

    /// Whether a Close frame of `side` may exist although none was seen.
    pub(super) fn close_may_be_hidden(&self, side: Side) -> bool {
        self.close(side).is_none() && !self.frame_coverage(side).is_whole()
    }

    /// Whether every TLS record that `side` sent was captured, opened or not.
    pub(super) fn record_coverage(&self, side: Side) -> Coverage {
        let missing = self.tls().is_some_and(|tls| tls.flow(side.sends()).missing_bytes > 0);
        Coverage::first_hole([
            (self.side(side).packets == 0, Why::OneWay, None),
            (missing, Why::MissingRecords, self.side(side).unusual().first_gap),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hole_is_named() {
        let at = Some(Stamp { packet: 7, at: 1 });
        assert!(Coverage::first_hole([(false, Why::OneWay, None), (false, Why::SnapLength, at)]).is_whole());
        let two = [(false, Why::OneWay, None), (true, Why::SnapLength, at), (true, Why::Undecoded, None)];
        assert_eq!(Coverage::first_hole(two), Coverage::Hole { why: Why::SnapLength, at });
    }
}
