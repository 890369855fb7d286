//! What is remembered of one WebSocket (or attempt) when its record is gone: enough to relate it to others, to
//! decide whether it belongs in a report, and to count. A few hundred bytes, none of them on the heap as a rule;
//! where briefs are kept by the thousand, they are [`Packed`](super::Packed).

use std::hash::BuildHasher;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foldhash::quality::FixedState;
use smallvec::SmallVec;

use super::case::{Case, Deed};
use super::catalogue::{self, Rule, wsh};
use super::finding::{Confidence, Finding, Severity};
use super::outcome::Outcome;
use super::relations::{LONG_SILENCE, SHORT};
use super::{Verdict, wsk, wsp, wst};
use crate::connection::{ConnectionRecord, Layers};
use crate::http::handshake::Key;
use crate::packet::{Endpoint, Stamp};
use crate::stream::Side;
use crate::tcp::Opening;
use crate::tls::TlsFacts;

/// A finding without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The rule that fired.
    pub rule: &'static Rule,
    /// How bad it is here.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
}

impl Heading {
    /// The heading of a finding.
    #[must_use]
    pub fn of(finding: &Finding) -> Self {
        Self { rule: finding.rule, severity: finding.severity, confidence: finding.confidence }
    }
}

/// A [`Heading`] in two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadingCode(pub(super) u16);

impl From<Heading> for HeadingCode {
    fn from(heading: Heading) -> Self {
        let Heading { rule, severity, confidence } = heading;
        Self(u16::from(rule.place()) << 4 | (severity as u16) << 2 | confidence as u16)
    }
}

impl HeadingCode {
    /// The heading, if there is such a one.
    #[must_use]
    pub fn heading(self) -> Option<Heading> {
        let rule = catalogue::nth(u8::try_from(self.0 >> 4).ok()?)?;
        let severity = *Severity::ALL.get(usize::from(self.0 >> 2 & 3))?;
        let confidence = *Confidence::ALL.get(usize::from(self.0 & 3))?;
        Some(Heading { rule, severity, confidence })
    }
}

/// One WebSocket or attempt, or a connection that failed before it had any, in brief.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brief {
    /// Which entry of its connection; `None` when it has none.
    pub entry: Option<u32>,
    /// HTTP/2 stream number, when it is carried by one (RFC 8441).
    pub http2_stream: Option<u32>,
    /// How it ended on the wire.
    pub outcome: Outcome,
    /// What was found about it alone.
    pub headings: SmallVec<[Heading; 2]>,
    /// Which of `headings` explains the outcome best.
    pub root_cause: Option<u32>,
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
    /// It became a WebSocket.
    pub(super) is_open: bool,
    /// It came to nothing: no WebSocket, or one that died at once without a message.
    pub(super) came_to_nothing: bool,
    /// Names of the server: SNI and Host.
    pub(super) names: [Option<NameHash>; 2],
    /// Path of the request.
    pub(super) path: u64,
    /// Sec-WebSocket-Key, where it is valid and nobody's example.
    pub(super) key: Option<u128>,
    /// When the request was whole.
    pub(super) asked: Option<Stamp>,
    /// From when to when it was tried, when that came to a bad end.
    pub(super) trouble: Option<(i64, i64)>,
    /// Who acted first to end it.
    pub(super) first_actor: Option<(Side, Stamp, Deed)>,
    /// Last byte of either side.
    pub(super) last_payload: Option<Stamp>,
    /// Round trip in nanoseconds, or a cautious guess.
    pub(super) rtt_ns: i64,
    /// Who ended it after a long silence of how many nanoseconds.
    pub(super) silence: Option<(i64, Side, Stamp)>,
    /// The finding that a proxy stripped the upgrade.
    pub(super) stripped: Option<Box<Finding>>,
    /// What speaks for a place in the report, where no WebSocket is visible.
    pub(super) claim: Option<Box<Claim>>,
}

/// A server's name, in lower case, as a hash: two names fall together once in 2^64.
pub(super) type NameHash = u64;

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
}

/// Hash of a name in which case does not matter.
pub(super) fn name_hash(name: &str) -> NameHash {
    let mut lower = [0; 64];
    match lower.get_mut(..name.len()) {
        Some(lower) => {
            lower.copy_from_slice(name.as_bytes());
            lower.make_ascii_lowercase();
            FixedState::default().hash_one(lower)
        }
        None => FixedState::default().hash_one(name.to_ascii_lowercase().as_bytes()),
    }
}

impl Brief {
    /// The entries of a connection, or the connection itself, in brief: one for each verdict.
    pub fn of<'r>(record: &'r ConnectionRecord, verdicts: &'r [Verdict]) -> impl Iterator<Item = Brief> + 'r {
        verdicts.iter().enumerate().map(move |(index, verdict)| {
            let entry = (!record.entries.is_empty()).then_some(index);
            Brief::of_one(record, entry, verdict)
        })
    }

    /// One entry of a connection, or (`None`) the connection itself, in brief.
    #[must_use]
    pub fn of_one(record: &ConnectionRecord, entry: Option<usize>, verdict: &Verdict) -> Self {
        let case = Case::new(record, entry);
        let tcp = case.tcp();
        let request = case.exchange().and_then(|exchange| exchange.request.as_ref());
        let checks = case.handshake().and_then(|handshake| handshake.request.as_ref());
        let key = request
            .filter(|_| checks.is_some_and(|checks| checks.key == Key::Valid && !checks.key_is_rfc_sample))
            .and_then(|request| request.websocket_key())
            .and_then(decoded);
        let host = request.and_then(|request| request.host());
        let host = host.map(|host| host.bytes().rposition(|byte| byte == b':').map_or(host, |port| &host[..port]));
        // Over HTTP/2 the path stands in the request of the stream.
        let stream =
            case.entry.and_then(|entry| entry.http2.as_deref()).and_then(|stream| stream.request.path.as_deref());
        let path = request.map(|request| request.path());
        let path = path.or(stream.map(|path| path.split('?').next().unwrap_or(path))).unwrap_or_default();
        let encrypted = record.layers == Layers::Tls;
        let failed = verdict.outcome.is_failure() || verdict.outcome == Outcome::ClosedNoStatus;
        let silence = (verdict.outcome == Outcome::ClosedAbnormal).then(|| silence(&case)).flatten();
        let stripped = verdict.findings.iter().find(|finding| finding.rule.id == wsh::UPGRADE_STRIPPED.id);
        Self {
            entry: entry.map(|entry| entry as u32),
            http2_stream: case.entry.and_then(|entry| entry.http2_stream),
            outcome: verdict.outcome,
            headings: verdict.findings.iter().map(Heading::of).collect(),
            root_cause: verdict.root_cause.map(|cause| cause as u32),
            client: tcp.client,
            server: tcp.server,
            first: tcp.first,
            last: tcp.last,
            tls: case.tls().is_some(),
            looks_like_websocket: encrypted && wst::looks_like_websocket(&case),
            is_open: case.websocket().is_some(),
            came_to_nothing: came_to_nothing(&case, verdict),
            names: [case.tls().and_then(TlsFacts::server_name).map(name_hash), host.map(name_hash)],
            path: FixedState::default().hash_one(path),
            key,
            asked: request.map(|request| request.head.last),
            trouble: case.entry.filter(|_| failed).map(|entry| (entry.first.at, entry.last.at.max(tcp.last.at))),
            first_actor: case.first_actor(),
            last_payload: tcp.last_payload(),
            rtt_ns: case.rtt_ns(),
            silence,
            stripped: stripped.cloned().map(Box::new),
            claim: case.entry.is_none().then(|| Box::new(Claim::of(&case, encrypted))),
        }
    }

    /// Whether it has an entry of its own: a WebSocket or an attempt at one was seen.
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        self.entry.is_some()
    }

    /// Whether only its surroundings tell if it [`belongs`](super::relations::belongs) in a report.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.claim.is_some()
    }

    /// The heading of its root cause, as far as it alone tells.
    #[must_use]
    pub fn cause(&self) -> Option<&Heading> {
        self.headings.get(self.root_cause? as usize)
    }
}

impl Claim {
    fn of(case: &Case<'_>, encrypted: bool) -> Self {
        Self {
            tcp_failed: matches!(case.tcp().opening, Opening::Refused | Opening::Unanswered),
            tls_failed: encrypted && wst::failed(case),
            may_be_websocket: encrypted && wst::may_be_websocket(case),
            merely_left: encrypted && wst::merely_left(case),
            refused_connect: wsp::refused(case).map(|connect| wsp::destination(connect).map(|name| name_hash(&name))),
        }
    }
}

/// The 16 bytes of a valid key.
fn decoded(key: &str) -> Option<u128> {
    let mut bytes = [0; 18];
    let length = STANDARD.decode_slice(key, &mut bytes).ok()?;
    bytes.get(..length).and_then(|bytes| bytes.try_into().ok()).map(u128::from_be_bytes)
}

/// Who ended the connection after a silence of at least [`LONG_SILENCE`] nanoseconds.
fn silence(case: &Case<'_>) -> Option<(i64, Side, Stamp)> {
    let (side, at, _) = wsk::silent_end(case)?;
    let idle = case.idle_before(at)?;
    (idle >= LONG_SILENCE).then_some((idle, side, at))
}

fn came_to_nothing(case: &Case<'_>, verdict: &Verdict) -> bool {
    match verdict.outcome {
        Outcome::UpgradeFailed | Outcome::TlsFailed | Outcome::TcpFailed => true,
        Outcome::ClosedAbnormal => {
            let lived = case.opened().map_or(0, |opened| case.tcp().last.at - opened.at);
            case.messages() == 0 && lived < SHORT
        }
        _ => false,
    }
}

#[cfg(test)]
impl Brief {
    /// A WebSocket that was closed at once, or a connection that was refused.
    pub(crate) fn sample(is_websocket: bool) -> Self {
        let end = |port| Endpoint { ip: [192, 0, 2, 1].into(), port };
        let claim = Claim {
            tcp_failed: true,
            tls_failed: false,
            may_be_websocket: false,
            merely_left: false,
            refused_connect: None,
        };
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
            is_open: is_websocket,
            came_to_nothing: !is_websocket,
            names: [None; 2],
            path: 0,
            key: None,
            asked: None,
            trouble: None,
            first_actor: None,
            last_payload: None,
            rtt_ns: 0,
            silence: None,
            stripped: None,
            claim: (!is_websocket).then(|| Box::new(claim)),
        }
    }
}
