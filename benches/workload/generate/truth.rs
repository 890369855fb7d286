//! What a capture holds: counted while it is written, saved beside it.

use std::collections::BTreeMap;

use serde::Serialize;

/// Frames that one side sent, summed over all WebSockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Sent {
    pub(crate) frames: u64,
    /// Data messages (control frames are not messages).
    pub(crate) messages: u64,
    /// Payload bytes of all frames, as on the wire.
    pub(crate) bytes: u64,
    /// Payload bytes of data frames alone, as on the wire.
    pub(crate) data_bytes: u64,
    /// Bytes of all data messages after inflation.
    pub(crate) message_bytes: u64,
    pub(crate) text: u64,
    pub(crate) binary: u64,
    pub(crate) continuation: u64,
    pub(crate) ping: u64,
    pub(crate) pong: u64,
    pub(crate) close: u64,
}

/// What is missing or out of order, for one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Faults {
    /// Segments that were acknowledged but are not in the capture, and their payload bytes.
    pub(crate) missing_packets: u64,
    pub(crate) missing_bytes: u64,
    /// Segments captured after a later one.
    pub(crate) reordered_packets: u64,
    /// Segments captured twice, byte for byte.
    pub(crate) retransmitted_packets: u64,
    /// Segments that repeat bytes under other boundaries.
    pub(crate) overlapping_packets: u64,
    /// Frames of which every byte was captured.
    pub(crate) frames_whole: u64,
    /// Frames with a whole header and missing payload.
    pub(crate) frames_payload_gap: u64,
    /// Frames of whose header bytes are missing.
    pub(crate) frames_header_gap: u64,
}

/// The truth file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Truth {
    pub(crate) shape: String,
    pub(crate) seed: u64,
    pub(crate) file_bytes: u64,
    pub(crate) packets: u64,
    /// Distinct TCP connections, foreign ones and refused ones included.
    pub(crate) tcp_connections: u64,
    /// WebSockets, and attempts at one.
    pub(crate) attempts: u64,
    /// Accepted upgrades.
    pub(crate) websockets: u64,
    /// Outcomes of the attempts, in the words of the JSON output.
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
    pub(crate) client: Sent,
    pub(crate) server: Sent,
    pub(crate) client_faults: Faults,
    pub(crate) server_faults: Faults,
    /// Extra SYN segments of connections nobody answered.
    pub(crate) syn_retransmissions: u64,
    /// Packets that belong to no WebSocket and no attempt.
    pub(crate) foreign_packets: u64,
    pub(crate) tls_connections: u64,
    /// Captured from the first packet to the last, in nanoseconds.
    pub(crate) duration_ns: u64,
}
