//! What is remembered of one WebSocket (or attempt) when its record is gone: enough to relate it to others, to decide
//! whether it belongs in a report, and to count. Small, and as a rule without a heap.

use std::hash::BuildHasher;
use std::num::NonZeroU64;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foldhash::quality::FixedState;
use smallvec::SmallVec;

use super::super::Verdict;
use super::super::context::{Deed, Session};
use super::super::finding::{Finding, Heading};
use super::super::outcome::Outcome;
use super::super::rules::handshake::UPGRADE_STRIPPED;
use super::super::severity::Severity;
use super::super::tls::failure::{Failure, merely_left};
use super::super::tls::traffic_analysis;
use crate::connection::{ConnectionRecord, Layers};
use crate::http::handshake::Key;
use crate::http::{Exchange, without_port};
use crate::packet::{Endpoint, Stamp};
use crate::stream::Side;
use crate::tcp::Opening;
use crate::tls::TlsFacts;

/// A silence of at least this long, in nanoseconds, that ends several connections alike is a timer's.
pub(super) const LONG_SILENCE: i64 = 5_000_000_000;
/// A WebSocket that lived shorter than this, in nanoseconds, and carried no message came to nothing.
const SHORT: i64 = 1_000_000_000;
/// A client that leaves so soon after asking, in nanoseconds, changed its mind; one that waits longer gave up.
const CHANGED_ITS_MIND: i64 = 100_000_000;

/// One WebSocket or attempt, or a connection that failed before it had any, summarised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Which entry of its connection; `None` when it has none.
    pub entry: Option<u32>,
    /// HTTP/2 stream number, when it is carried by one (RFC 8441).
    pub http2_stream: Option<u32>,
    /// How it ended on the wire.
    pub outcome: Outcome,
    /// What was found about it alone.
    pub headings: SmallVec<[Heading; 2]>,
    /// Which of `headings` explains the outcome best.
    pub root_cause: Option<u8>,
    /// The end that opened the TCP connection.
    pub client: Endpoint,
    /// The end that was called.
    pub server: Endpoint,
    /// First packet of the TCP connection.
    pub first: Stamp,
    /// Last packet of the TCP connection.
    pub last: Stamp,
    /// TLS was seen on it.
    pub(super) tls: bool,
    /// It is encrypted to us, and looks like a WebSocket.
    pub(super) looks_like_websocket: bool,
    /// It came to nothing: no WebSocket, or one that died at once without a message.
    pub(super) came_to_nothing: bool,
    /// An attempt that its client gave up at once, without a fault of anybody.
    pub(super) given_up: bool,
    /// It leads through a forward proxy that was asked with CONNECT.
    pub(super) tunnelled: bool,
    /// Names of the server: SNI and Host.
    pub(super) names: [Option<NameHash>; 2],
    /// Hash of the path of the request.
    pub(super) path: u64,
    /// Sec-WebSocket-Key, where it is valid and nobody's example.
    pub(super) key: Option<[u8; 16]>,
    /// What only those have that ended badly, or that show no WebSocket.
    pub(super) abnormal: Option<Box<Abnormal>>,
}

/// A server's name, in lower case, as a hash: two names fall together once in 2^64.
pub(super) type NameHash = NonZeroU64;

/// What a connection has that ended badly, or on which no WebSocket is visible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Abnormal {
    /// When the request was whole, if the upgrade failed.
    pub(super) asked: Option<Stamp>,
    /// From when to when it was tried, when that came to a bad end.
    pub(super) trouble: Option<(i64, i64)>,
    /// How it ended, when that began without a Close frame.
    pub(super) cut: Option<Cut>,
    /// How long both sides were silent before that, in nanoseconds, if for long, and nothing else is known to explain it.
    pub(super) silence: Option<i64>,
    /// The finding that a proxy stripped the upgrade.
    pub(super) stripped: Option<Finding>,
    /// What speaks for a place in the report, where no WebSocket is visible.
    pub(super) claim: Option<Claim>,
}

/// The end of a WebSocket that did not begin with a Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Who acted first.
    pub(super) by: Side,
    /// The packet.
    pub(super) at: Stamp,
    /// Last byte of either side.
    pub(super) last_payload: Option<Stamp>,
    /// Round trip in nanoseconds, or a cautious guess.
    pub(super) rtt_ns: i64,
}

/// What speaks for a connection without any visible WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) tcp_failed: bool,
    pub(super) tls_failed: bool,
    /// Encrypted, and nothing speaks against a WebSocket.
    pub(super) may_be_websocket: bool,
    pub(super) merely_left: bool,
    /// A proxy refused a CONNECT, to this name if that is known.
    pub(super) refused_connect: Option<Option<NameHash>>,
    /// … because it wants a login first (407).
    pub(super) wants_login: bool,
}

/// Hash of a name in which case does not matter.
fn name_hash(name: &str) -> NameHash {
    let mut lower = [0; 64];
    let hash = match lower.get_mut(..name.len()) {
        Some(lower) => {
            lower.copy_from_slice(name.as_bytes());
            lower.make_ascii_lowercase();
            FixedState::default().hash_one(lower)
        }
        None => FixedState::default().hash_one(name.to_ascii_lowercase().as_bytes()),
    };
    NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN)
}

impl Digest {
    /// The entries of a connection, or the connection itself: one for each verdict.
    pub fn of<'r>(record: &'r ConnectionRecord, verdicts: &'r [Verdict]) -> impl Iterator<Item = Digest> + 'r {
        verdicts.iter().enumerate().map(move |(index, verdict)| {
            let entry = (!record.entries.is_empty()).then_some(index);
            Digest::of_one(record, entry, verdict)
        })
    }

    /// One entry of a connection, or (`None`) the connection itself.
    #[must_use]
    pub fn of_one(record: &ConnectionRecord, entry: Option<usize>, verdict: &Verdict) -> Self {
        let session = Session::new(record, entry);
        let tcp = session.tcp();
        let request = session.exchange().and_then(|exchange| exchange.request.as_ref());
        let checks = session.handshake().and_then(|handshake| handshake.request.as_ref());
        let key = request
            .filter(|_| checks.is_some_and(|checks| checks.key == Key::Valid && !checks.key_is_rfc_sample))
            .and_then(|request| request.websocket_key())
            .and_then(decoded);
        let host = request.and_then(|request| request.host()).map(without_port);
        // Over HTTP/2 the path stands in the request of the stream.
        let stream =
            session.entry.and_then(|entry| entry.http2.as_deref()).and_then(|stream| stream.request.path.as_deref());
        let path = request.map(|request| request.path());
        let path = path.or(stream.map(|path| path.split('?').next().unwrap_or(path))).unwrap_or_default();
        let encrypted = record.layers == Layers::Tls;
        let abnormal = Abnormal::of(&session, verdict, encrypted);
        let came_to_nothing = came_to_nothing(&session, verdict.outcome);
        // A cause that is no fault: the client wanted it so. One that waits first gave up on something.
        let cause = verdict.root_cause.and_then(|cause| verdict.findings.get(cause));
        let left = session.left(Side::Client).zip(request).map(|((left, _), request)| left.at - request.head.last.at);
        let given_up = came_to_nothing
            && cause.is_some_and(|cause| cause.severity == Severity::Info)
            && left.is_some_and(|waited| waited < CHANGED_ITS_MIND);
        Self {
            entry: entry.map(|entry| entry as u32),
            http2_stream: session.entry.and_then(|entry| entry.http2_stream),
            outcome: verdict.outcome,
            headings: verdict.findings.iter().map(Heading::of).collect(),
            root_cause: verdict.root_cause.and_then(|cause| u8::try_from(cause).ok()),
            client: tcp.client,
            server: tcp.server,
            first: tcp.first,
            last: tcp.last,
            tls: session.tls().is_some(),
            looks_like_websocket: encrypted && traffic_analysis::looks_like_websocket(&session),
            came_to_nothing: came_to_nothing && !given_up,
            given_up,
            tunnelled: record.connect.is_some() && entry.is_some(),
            names: [session.tls().and_then(TlsFacts::server_name).map(name_hash), host.map(name_hash)],
            path: FixedState::default().hash_one(path),
            key,
            abnormal: (abnormal != Abnormal::default()).then(|| Box::new(abnormal)),
        }
    }

    /// Whether it has an entry of its own: a WebSocket or an attempt at one was seen.
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        self.entry.is_some()
    }

    /// Whether somebody lost a connection.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.outcome.is_failure()
    }

    /// Whether only its surroundings tell if it [`belongs`](super::belongs) in a report.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.claim().is_some()
    }

    /// The heading of its root cause, as far as it alone tells.
    #[must_use]
    pub fn cause(&self) -> Option<&Heading> {
        self.headings.get(usize::from(self.root_cause?))
    }

    pub(super) fn claim(&self) -> Option<&Claim> {
        self.abnormal.as_ref()?.claim.as_ref()
    }

    /// How it ended, when that began without a Close frame.
    pub(super) fn cut(&self) -> Option<&Cut> {
        self.abnormal.as_ref()?.cut.as_ref()
    }

    pub(super) fn silence(&self) -> Option<i64> {
        self.abnormal.as_ref()?.silence
    }
}

impl Abnormal {
    fn of(session: &Session<'_>, verdict: &Verdict, encrypted: bool) -> Self {
        let (tcp, outcome) = (session.tcp(), verdict.outcome);
        let request = session.exchange().and_then(|exchange| exchange.request.as_ref());
        let asked = request.filter(|_| outcome == Outcome::UpgradeFailed).map(|request| request.head.last);
        let failed = outcome.is_failure() || outcome == Outcome::ClosedNoStatus;
        let trouble = session.entry.filter(|_| failed).map(|entry| (entry.first.at, entry.last.at.max(tcp.last.at)));
        let end = session.websocket().and_then(|_| session.first_actor()).filter(|(.., deed)| *deed != Deed::Close);
        let cut = end.map(|(by, at, _)| Cut { by, at, last_payload: tcp.last_payload(), rtt_ns: session.rtt_ns() });
        let silent_end = (outcome == Outcome::ClosedAbnormal).then(|| session.silent_end()).flatten();
        let idle = silent_end.and_then(|(_, at, _)| session.idle_before(at));
        let stripped =
            verdict.findings.iter().find(|finding| finding.rule == &UPGRADE_STRIPPED && finding.undecided.is_empty());
        Self {
            asked,
            trouble,
            cut,
            silence: idle.filter(|idle| *idle >= LONG_SILENCE),
            stripped: stripped.cloned(),
            claim: session.entry.is_none().then(|| Claim::of(session, encrypted)),
        }
    }
}

impl Claim {
    fn of(session: &Session<'_>, encrypted: bool) -> Self {
        let refused = session.refused_connect();
        Self {
            tcp_failed: matches!(session.tcp().opening, Opening::Refused | Opening::Unanswered),
            tls_failed: encrypted && Failure::of(session).is_some(),
            may_be_websocket: encrypted && traffic_analysis::joined_late(session),
            merely_left: encrypted && merely_left(session),
            refused_connect: refused.map(|connect| destination(connect).map(name_hash)),
            wants_login: refused.is_some_and(|connect| connect.status() == Some(407)),
        }
    }
}

/// Where the client of a forward proxy wanted to go, without the port.
fn destination(connect: &Exchange) -> Option<&str> {
    Some(without_port(connect.request.as_ref()?.target()))
}

/// The 16 bytes of a valid key.
fn decoded(key: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 18];
    let length = STANDARD.decode_slice(key, &mut bytes).ok()?;
    bytes.get(..length)?.try_into().ok()
}

fn came_to_nothing(session: &Session<'_>, outcome: Outcome) -> bool {
    match outcome {
        Outcome::UpgradeFailed | Outcome::TlsFailed | Outcome::TcpFailed => true,
        Outcome::ClosedAbnormal => {
            let lived = session.opened().map_or(0, |opened| session.tcp().last.at - opened.at);
            session.messages() == 0 && lived < SHORT
        }
        _ => false,
    }
}

#[cfg(test)]
impl Digest {
    /// A WebSocket that was closed at once, or a connection that was refused.
    pub(crate) fn sample(is_websocket: bool) -> Self {
        let end = |port| Endpoint { ip: [192, 0, 2, 1].into(), port };
        let claim = Claim {
            tcp_failed: true,
            tls_failed: false,
            may_be_websocket: false,
            merely_left: false,
            refused_connect: None,
            wants_login: false,
        };
        let abnormal = || Box::new(Abnormal { claim: Some(claim), ..Abnormal::default() });
        Self {
            entry: is_websocket.then_some(0),
            http2_stream: None,
            outcome: if is_websocket { Outcome::ClosedClean } else { Outcome::TcpFailed },
            headings: SmallVec::new(),
            root_cause: None,
            client: end(50_000),
            server: end(80),
            first: Stamp { packet: 1, at: 0 },
            last: Stamp { packet: 9, at: 1000 },
            tls: false,
            looks_like_websocket: false,
            came_to_nothing: !is_websocket,
            given_up: false,
            tunnelled: false,
            names: [None; 2],
            path: 0,
            key: None,
            abnormal: (!is_websocket).then(abnormal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_every_connection_is_small() {
        assert!(size_of::<Digest>() <= 192, "{}", size_of::<Digest>());
    }
}
