//! How it ended on the wire, and what each program was told: two separate answers, derived from facts alone.

use super::context::{Deed, Session};
use super::tls::failure::Failure;
use super::tls::traffic_analysis;
use crate::http::Answer;
use crate::http::handshake::{Accept, Subprotocol};
use crate::stream::{End, Side};
use crate::tcp::Opening;
use crate::websocket::ViolationKind;

/// How a WebSocket, or an attempt at one, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Still open when the capture ended.
    Open,
    /// Close frames both ways (RFC 6455 §7.1.4).
    ClosedClean,
    /// Close frames, but at least one without a status code.
    ClosedNoStatus,
    /// Ended without a completed closing handshake.
    ClosedAbnormal,
    /// The opening handshake failed.
    UpgradeFailed,
    /// TLS failed before any HTTP.
    TlsFailed,
    /// TCP failed before any payload.
    TcpFailed,
    /// The capture does not tell.
    Unknown,
}

impl Outcome {
    /// All of them, in the order of declaration.
    pub const ALL: [Outcome; 8] = [
        Outcome::Open,
        Outcome::ClosedClean,
        Outcome::ClosedNoStatus,
        Outcome::ClosedAbnormal,
        Outcome::UpgradeFailed,
        Outcome::TlsFailed,
        Outcome::TcpFailed,
        Outcome::Unknown,
    ];

    /// The name in the JSON document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Open => "open",
            Outcome::ClosedClean => "closed_clean",
            Outcome::ClosedNoStatus => "closed_no_status",
            Outcome::ClosedAbnormal => "closed_abnormal",
            Outcome::UpgradeFailed => "upgrade_failed",
            Outcome::TlsFailed => "tls_failed",
            Outcome::TcpFailed => "tcp_failed",
            Outcome::Unknown => "unknown",
        }
    }

    /// Whether somebody lost a connection.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Outcome::ClosedAbnormal | Outcome::UpgradeFailed | Outcome::TlsFailed | Outcome::TcpFailed)
    }
}

/// What a program's API reported (RFC 6455 §7.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The close code, 1005 and 1006 included.
    pub code: u16,
    /// Whether the connection was closed cleanly.
    pub was_clean: bool,
}

const ABNORMAL: View = View { code: 1006, was_clean: false };

/// What both programs were told; `None` where the capture does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApplicationView {
    /// The client's program.
    pub client: Option<View>,
    /// The server's program.
    pub server: Option<View>,
}

/// The client must fail the connection on this 101 (RFC 6455 §4.1).
pub(super) fn answer_is_unacceptable(session: &Session<'_>) -> bool {
    let Some(checks) = session.handshake().and_then(|handshake| handshake.response.as_ref()) else { return false };
    checks.status == 101
        && (checks.upgrade.present() == Some(false)
            || checks.connection.present() == Some(false)
            || matches!(checks.accept, Accept::Absent | Accept::Mismatch { .. } | Accept::Multiple)
            || matches!(checks.subprotocol, Subprotocol::NotOffered(_) | Subprotocol::Empty | Subprotocol::Several)
            || checks.violations.iter().any(|violation| violation.by == Side::Server))
}

/// The client gave up on the 101 instead of using it: it sent no frame and left first.
pub(super) fn client_rejected_the_answer(session: &Session<'_>) -> bool {
    let silent = session.sent(Side::Client).is_some_and(|sent| sent.frames == 0);
    let (client, server) = (session.left(Side::Client), session.left(Side::Server));
    let left_first = match (client, server) {
        (Some((client, _)), Some((server, _))) => client < server,
        (Some(_), None) => true,
        _ => false,
    };
    silent && left_first
}

/// The RFC leaves it to the client, most clients refuse: subprotocols were offered and none was chosen.
pub(super) fn no_subprotocol_selected(session: &Session<'_>) -> bool {
    session
        .handshake()
        .and_then(|handshake| handshake.response.as_ref())
        .is_some_and(|checks| checks.status == 101 && checks.subprotocol == Subprotocol::NoneSelected)
}

/// How it ended.
#[must_use]
pub(super) fn outcome(session: &Session<'_>) -> Outcome {
    let Some(entry) = session.entry else { return before_http(session) };
    if entry.websocket.is_none() {
        return not_upgraded(session);
    }
    if (answer_is_unacceptable(session) || no_subprotocol_selected(session)) && client_rejected_the_answer(session) {
        return Outcome::UpgradeFailed;
    }
    let (client, server) = (session.close(Side::Client), session.close(Side::Server));
    if let (Some(client), Some(server)) = (client, server) {
        let without_status = |close: &crate::websocket::CloseFacts| close.captured && close.length == 0;
        return if without_status(client) || without_status(server) {
            Outcome::ClosedNoStatus
        } else if client.captured && server.captured && (!client.valid || !server.valid) {
            Outcome::ClosedAbnormal
        } else {
            Outcome::ClosedClean
        };
    }
    let hidden = session.close_may_be_hidden(Side::Client) || session.close_may_be_hidden(Side::Server);
    if !session.tcp_ended() {
        return if hidden && (client.is_some() || server.is_some()) { Outcome::Unknown } else { Outcome::Open };
    }
    if hidden { Outcome::Unknown } else { Outcome::ClosedAbnormal }
}

/// The client asked only once, and nothing says that it was refused.
fn once(session: &Session<'_>) -> bool {
    session.side(Side::Client).unusual().syn_retransmissions == 0 && session.tcp().icmp.is_none()
}

fn before_http(session: &Session<'_>) -> Outcome {
    match session.tcp().opening {
        Opening::Refused => Outcome::TcpFailed,
        // A SYN that was sent but once may still have been answered, by packets that were not captured or later.
        Opening::Unanswered if once(session) => Outcome::Unknown,
        Opening::Unanswered => Outcome::TcpFailed,
        Opening::Handshake | Opening::MidStream => match session.tls() {
            Some(_) => encrypted(session),
            None if session.refused_connect().is_some() => Outcome::UpgradeFailed,
            None => Outcome::Unknown,
        },
    }
}

/// How a TLS connection without a visible WebSocket ended.
fn encrypted(session: &Session<'_>) -> Outcome {
    match Failure::of(session) {
        Some(Failure::ClientCertificateInside(_)) => Outcome::UpgradeFailed,
        Some(_) => Outcome::TlsFailed,
        None if traffic_analysis::closed_cleanly(session) => Outcome::ClosedClean,
        None => Outcome::Unknown,
    }
}

fn not_upgraded(session: &Session<'_>) -> Outcome {
    if let Some(stream) = session.entry.and_then(|entry| entry.http2.as_deref()) {
        return match stream.accepted() {
            Some(false) => Outcome::UpgradeFailed,
            _ if !session.coverage(Side::Server, stream.request.stamp, session.tcp().last).is_whole() => {
                Outcome::Unknown
            }
            _ if stream.reset.is_some() || session.tcp_ended() => Outcome::UpgradeFailed,
            _ => Outcome::Unknown,
        };
    }
    let Some(exchange) = session.exchange() else { return Outcome::Unknown };
    let asked = exchange.request.as_ref().map(|request| request.head.last);
    match &exchange.answer {
        // Another answer may have come before it.
        Answer::Response(response)
            if asked.is_some_and(|asked| session.missing_between(Side::Server, asked, response.head.first)) =>
        {
            Outcome::Unknown
        }
        Answer::Response(_) | Answer::Foreign(_) => Outcome::UpgradeFailed,
        Answer::NotCaptured => Outcome::Unknown,
        Answer::Nothing | Answer::Fragment(_) => {
            let cut = [Side::Client, Side::Server]
                .iter()
                .any(|side| matches!(session.end(*side), Some((_, End::Fin | End::Rst))));
            if cut { Outcome::UpgradeFailed } else { Outcome::Unknown }
        }
    }
}

/// What each program was told.
#[must_use]
pub(super) fn application_view(session: &Session<'_>, outcome: Outcome) -> ApplicationView {
    match outcome {
        Outcome::TcpFailed | Outcome::TlsFailed => ApplicationView { client: Some(ABNORMAL), server: None },
        Outcome::UpgradeFailed => {
            let server = session.websocket().is_some().then(|| view(session, Side::Server)).flatten();
            ApplicationView { client: Some(ABNORMAL), server }
        }
        Outcome::Open => ApplicationView::default(),
        _ if session.websocket().is_none() => ApplicationView::default(),
        _ => ApplicationView { client: view(session, Side::Client), server: view(session, Side::Server) },
    }
}

/// Codes with which an endpoint fails a connection (RFC 6455 §7.1.7): it then ignores what the other side answers.
fn failed_it(session: &Session<'_>, side: Side) -> bool {
    let (Some(own), Some(peer)) = (session.close(side), session.sent(side.other())) else { return false };
    let broken = peer.unusual().foreign_text.is_some() || !peer.unusual().violations.is_empty();
    matches!(own.code, Some(1002 | 1007)) && broken
}

/// The client said that it is leaving and did not wait: its program is gone, and nobody was told anything.
fn left_the_page(session: &Session<'_>, side: Side) -> bool {
    let said = session.close(side).filter(|close| side == Side::Client && close.code == Some(1001));
    said.is_some_and(|close| {
        let left = |side| session.left(side).map(|(stamp, _)| stamp);
        left(side).is_some_and(|own| own >= close.stamp && left(side.other()).is_none_or(|peer| own < peer))
    })
}

fn view(session: &Session<'_>, side: Side) -> Option<View> {
    let peer = side.other();
    let left = session.left(side);
    let Some(close) = session.close(peer) else {
        let unknown = session.close_may_be_hidden(peer) || left_the_page(session, side) || !session.tcp_ended();
        return (!unknown).then_some(ABNORMAL);
    };
    if !close.captured {
        return None;
    }
    // Whoever hung up without a Close of its own does not read what comes afterwards.
    let gone = session.close(side).is_none() && left.is_some_and(|(stamp, _)| stamp < close.stamp);
    let refused = violates(session, peer, close.stamp.packet) && !close.valid;
    if gone || refused || failed_it(session, side) {
        return Some(ABNORMAL);
    }
    let reset = [side, peer].iter().any(|side| matches!(session.left(*side), Some((_, Deed::Rst))));
    let both = session.close(side).is_some();
    Some(View { code: close.code.unwrap_or(1005), was_clean: both && !reset })
}

/// Whether a side's Close itself breaks the rules.
fn violates(session: &Session<'_>, side: Side, packet: u64) -> bool {
    session.sent(side).is_some_and(|sent| {
        sent.unusual().violations.first().iter().any(|violation| {
            violation.stamp.packet == packet
                && matches!(
                    violation.kind,
                    ViolationKind::CloseBodyOneByte
                        | ViolationKind::CloseCodeIllegal
                        | ViolationKind::CloseReasonInvalidUtf8
                )
        })
    })
}
