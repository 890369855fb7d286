//! Facts about one TLS connection: data with evidence, no opinion.
//!
//! Every fact carries the [`Stamp`] of the packet that completed it. All lists are bounded by the constants
//! below; what did not fit is counted or flagged, never silently dropped. What was not seen is `None`.

use smallvec::SmallVec;

use super::alert;
use super::certificate::Certificate;
use super::suite::CipherSuite;
use crate::stream::{Direction, End, Side, Stamp};

/// Most alerts kept per connection; later ones are only counted in [`TlsFacts::alerts_not_kept`].
pub const MAX_ALERTS: usize = 16;
/// Records kept of each side's first ones after the ServerHello ([`Flow::first`]).
pub const MAX_FIRST_RECORDS: usize = 16;
/// Records kept of each side's last ones ([`Flow::last`]).
pub const MAX_LAST_RECORDS: usize = 6;
/// Bytes kept of a stream that is not TLS ([`NotTls::bytes`]).
pub const MAX_NOT_TLS_BYTES: usize = 64;
/// Most entries kept of each list in a ClientHello.
pub const MAX_HELLO_LIST: usize = 256;
/// Most application protocols kept of an ALPN list, each at most 255 bytes.
pub const MAX_ALPN: usize = 16;

/// A protocol version as it stands on the wire (RFC 8446 §4.2.1): 0x0303 is TLS 1.2, 0x0304 TLS 1.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16);

impl Version {
    /// SSL 3.0.
    pub const SSL30: Version = Version(0x0300);
    /// TLS 1.0.
    pub const TLS10: Version = Version(0x0301);
    /// TLS 1.1.
    pub const TLS11: Version = Version(0x0302);
    /// TLS 1.2.
    pub const TLS12: Version = Version(0x0303);
    /// TLS 1.3.
    pub const TLS13: Version = Version(0x0304);

    /// `1.3` and so on, `SSL 3.0`, or `None` for a number that is no version.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Version::SSL30 => Some("SSL 3.0"),
            Version::TLS10 => Some("1.0"),
            Version::TLS11 => Some("1.1"),
            Version::TLS12 => Some("1.2"),
            Version::TLS13 => Some("1.3"),
            _ => None,
        }
    }
}

/// A named group for key exchange (RFC 8446 §4.2.7, IANA "TLS Supported Groups").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedGroup(pub u16);

impl NamedGroup {
    /// The registered name of a group in use, or `None`.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x0017 => "secp256r1",
            0x0018 => "secp384r1",
            0x0019 => "secp521r1",
            0x001d => "x25519",
            0x001e => "x448",
            0x001f => "brainpoolP256r1tls13",
            0x0020 => "brainpoolP384r1tls13",
            0x0021 => "brainpoolP512r1tls13",
            0x0029 => "curveSM2",
            0x0100 => "ffdhe2048",
            0x0101 => "ffdhe3072",
            0x0102 => "ffdhe4096",
            0x0103 => "ffdhe6144",
            0x0104 => "ffdhe8192",
            0x0200 => "MLKEM512",
            0x0201 => "MLKEM768",
            0x0202 => "MLKEM1024",
            0x11eb => "SecP256r1MLKEM768",
            0x11ec => "X25519MLKEM768",
            0x11ed => "SecP384r1MLKEM1024",
            0x6399 => "X25519Kyber768Draft00",
            0x639a => "SecP256r1Kyber768Draft00",
            _ => return None,
        })
    }

    /// Whether it holds a post-quantum part, whose key share alone takes about 1.2 KB of a ClientHello.
    #[must_use]
    pub(crate) const fn is_post_quantum(self) -> bool {
        matches!(self.0, 0x0200..=0x0202 | 0x11eb..=0x11ed | 0x6399 | 0x639a)
    }
}

/// What the client offered (RFC 8446 §4.1.2). GREASE values (RFC 8701) are left out of every list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// Packet with its first byte.
    pub stamp: Stamp,
    /// Packet with its last byte; `None` when only a part ever arrived, and then the lists may be short.
    pub completed: Option<Stamp>,
    /// Bytes it announces, handshake and record headers included.
    pub size: u32,
    /// How many pieces of the stream (normally TCP segments) it was spread over.
    pub segments: u32,
    /// Version of the record that carried it.
    pub record_version: Version,
    /// The `legacy_version` field.
    pub legacy_version: Version,
    /// Versions offered: `supported_versions`, or without that extension the `legacy_version` alone.
    pub versions: SmallVec<[Version; 4]>,
    /// Cipher suites offered, in the client's order.
    pub cipher_suites: Vec<CipherSuite>,
    /// Host name asked for (`server_name`, RFC 6066 §3).
    pub server_name: Option<String>,
    /// Application protocols offered (RFC 7301), in the client's order.
    pub alpn: SmallVec<[String; 2]>,
    /// Groups offered for key exchange.
    pub groups: Vec<NamedGroup>,
    /// Groups for which a key share came along.
    pub key_shares: SmallVec<[NamedGroup; 4]>,
    /// It brought a session id, a session ticket or a pre-shared key: it wants to resume.
    pub offers_resumption: bool,
    /// It announced 0-RTT data (`early_data`, RFC 8446 §4.2.10).
    pub offers_early_data: bool,
    /// It brought an encrypted ClientHello: the names seen may be those of the outer one only.
    pub encrypted_client_hello: bool,
}

impl ClientHello {
    /// Whether a post-quantum group is among those offered.
    #[must_use]
    pub(crate) fn post_quantum(&self) -> bool {
        self.groups.iter().chain(&self.key_shares).any(|group| group.is_post_quantum())
    }

    /// The highest version offered.
    #[must_use]
    pub(crate) fn highest_version(&self) -> Option<Version> {
        self.versions.iter().copied().max()
    }

    /// Whether `protocol` is among the application protocols offered.
    #[must_use]
    pub(crate) fn offers_alpn(&self, protocol: &str) -> bool {
        self.alpn.iter().any(|offered| offered == protocol)
    }
}

/// What the server chose (RFC 8446 §4.1.3, RFC 5246 §7.4.1.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerHello {
    /// Packet that completed it.
    pub stamp: Stamp,
    /// Version negotiated.
    pub version: Version,
    /// Cipher suite negotiated.
    pub cipher_suite: CipherSuite,
    /// Group of its key share (TLS 1.3).
    pub group: Option<NamedGroup>,
    /// The session is a resumed one: TLS 1.3 pre-shared key chosen, or TLS 1.2 session id echoed or the
    /// certificate left out. Without a certificate there is none to judge.
    pub resumed: bool,
    /// `encrypt_then_mac` agreed (RFC 7366).
    pub encrypt_then_mac: bool,
    /// `extended_master_secret` agreed (RFC 7627).
    pub extended_master_secret: bool,
}

/// Certificates that one side presented.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateChain {
    /// Packet that completed the message.
    pub stamp: Stamp,
    /// The certificates as sent, the owner's first. Empty when the side had none to present.
    pub certificates: Vec<Certificate>,
    /// How many were sent; more than kept when the bound was hit or one could not be read.
    pub sent: u32,
    /// It came compressed (RFC 8879) with this algorithm, and could not be read.
    pub compressed: Option<u16>,
}

impl CertificateChain {
    /// The certificate of the side itself.
    #[must_use]
    pub(crate) fn leaf(&self) -> Option<&Certificate> {
        self.certificates.first()
    }

    /// Whether the chain stops short: the last certificate sent is not self-signed, and it is the only one, so
    /// that a client which does not hold its issuer cannot build a path. (A root is normally left out; a chain
    /// of two or more that ends below a root is complete.)
    #[must_use]
    pub(crate) fn lacks_issuer(&self) -> bool {
        self.sent == 1 && self.leaf().is_some_and(|leaf| !leaf.self_signed)
    }
}

/// How much of an alert could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlertVisibility {
    /// Sent in plaintext.
    Plaintext,
    /// Sent encrypted, and decrypted here with a secret from the key log.
    Decrypted,
    /// Sent encrypted: that it is an alert is certain (TLS 1.2 leaves the record type visible), its content is unknown.
    Hidden,
}

/// An alert (RFC 8446 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Who sent it.
    pub from: Side,
    /// 1 warning, 2 fatal; `None` when hidden. In TLS 1.3 the level carries no meaning.
    pub level: Option<u8>,
    /// AlertDescription number; `None` when hidden.
    pub code: Option<u8>,
    /// How it was read.
    pub visibility: AlertVisibility,
    /// Packet that completed it.
    pub stamp: Stamp,
}

impl Alert {
    /// The alert's registered name (`certificate_expired`), or `None` when hidden or unknown.
    #[must_use]
    pub(crate) fn description(&self) -> Option<&'static str> {
        self.code.and_then(alert::description)
    }

    /// `warning` or `fatal`, or `None` when hidden or neither.
    #[must_use]
    pub(crate) fn level_name(&self) -> Option<&'static str> {
        self.level.and_then(alert::level)
    }
}

/// The header of one record, and its packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordMark {
    /// Packet with its last byte.
    pub stamp: Stamp,
    /// Record type: 20 change_cipher_spec, 21 alert, 22 handshake, 23 application_data (RFC 8446 §5.1).
    pub kind: u8,
    /// Length in bytes without the five-byte header.
    pub length: u16,
}

/// The last records of one side: at most [`MAX_LAST_RECORDS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastRecords {
    marks: [RecordMark; MAX_LAST_RECORDS],
    /// Records put in so far.
    count: usize,
}

impl LastRecords {
    pub(super) fn push(&mut self, mark: RecordMark) {
        self.marks[self.count % MAX_LAST_RECORDS] = mark;
        self.count += 1;
    }

    /// The records, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &RecordMark> + Clone {
        let kept = self.count.min(MAX_LAST_RECORDS);
        (self.count - kept..self.count).map(|number| &self.marks[number % MAX_LAST_RECORDS])
    }

    /// The very last one.
    #[must_use]
    pub fn last(&self) -> Option<&RecordMark> {
        self.iter().next_back()
    }
}

/// What one side sent, as visible without keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Records seen whole.
    pub records: u64,
    /// Records of type application_data seen whole. In TLS 1.3 these carry the rest of the handshake too.
    pub application_records: u64,
    /// Its first protected records (everything after the hellos but change_cipher_spec): at most [`MAX_FIRST_RECORDS`].
    pub first: SmallVec<[RecordMark; 4]>,
    /// Its last protected records and alerts.
    pub last: LastRecords,
    /// Its first ChangeCipherSpec.
    pub change_cipher_spec: Option<Stamp>,
    /// Its Finished message: decrypted, or in TLS 1.2 the record after ChangeCipherSpec.
    pub finished: Option<Stamp>,
    /// Its close_notify, read in plaintext or decrypted. Hidden ones are inferred by [`super::traffic_analysis`].
    pub close_notify: Option<Stamp>,
    /// How the TCP stream under it ended.
    pub ended: Option<(Stamp, End)>,
    /// Bytes of the TCP stream that were missing from the capture.
    pub missing_bytes: u64,
    /// The record that was under way when the stream ended: bytes of it that never came.
    pub cut_record: Option<RecordMark>,
}

/// Bytes that are not TLS where TLS was due, such as a plaintext server's answer to a ClientHello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTls {
    /// Packet that carried them.
    pub stamp: Stamp,
    /// Who sent them.
    pub from: Side,
    /// Whether they are the first bytes of that side.
    pub first: bool,
    /// The first of them, at most [`MAX_NOT_TLS_BYTES`].
    pub bytes: SmallVec<[u8; MAX_NOT_TLS_BYTES]>,
}

impl NotTls {
    /// Whether they begin an HTTP/1 response.
    #[must_use]
    pub(crate) fn is_http(&self) -> bool {
        self.bytes.starts_with(b"HTTP/")
    }

    /// Whether all of them are printable ASCII or line ends.
    #[must_use]
    pub(crate) fn is_text(&self) -> bool {
        self.bytes.iter().all(|&byte| matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~'))
    }
}

/// Why records could not be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// The key log holds no secret for this connection's client random.
    SecretMissing,
    /// It holds one, but records do not authenticate with it: it belongs to another connection, or the capture is damaged.
    SecretWrong,
    /// The cipher suite or the version is not one that can be decrypted here.
    Unsupported,
    /// Too many records are missing from the capture to find the record number again.
    PlaceLost,
}

/// What was decrypted, and what prevented it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decryption {
    /// A secret for this connection was found in the key log.
    pub secrets: bool,
    /// Encrypted handshake messages were read (TLS 1.3).
    pub handshake: bool,
    /// Application data was decrypted, for what the client sent and what the server sent.
    pub application: [bool; 2],
    /// Records that authenticated.
    pub records: u64,
    /// Protected records that could not be opened although the connection had secrets.
    pub records_failed: u64,
    /// The present obstacle in each direction, if any.
    pub trouble: [Option<(Stamp, Trouble)>; 2],
    /// How often decryption resumed after missing bytes, proved by authentication.
    pub resumed_after_gap: u32,
}

/// All facts about one TLS connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// The stream was joined after its beginning: no ClientHello was seen.
    pub mid_stream: bool,
    /// The (last) ClientHello.
    pub client_hello: Option<ClientHello>,
    /// The server asked for another ClientHello (HelloRetryRequest, RFC 8446 §4.1.4).
    pub hello_retry_request: Option<Stamp>,
    /// The ServerHello that counts.
    pub server_hello: Option<ServerHello>,
    /// Application protocol chosen; in TLS 1.3 only with keys.
    pub alpn: Option<String>,
    /// Where the choice (or its absence) became visible: the ServerHello, or decrypted EncryptedExtensions.
    pub alpn_seen: Option<Stamp>,
    /// What the server presented; `None` when not seen (hidden in TLS 1.3 without keys, or resumed).
    pub server_certificates: Option<CertificateChain>,
    /// What the client presented on request.
    pub client_certificates: Option<CertificateChain>,
    /// The server asked for a client certificate (visible up to TLS 1.2, or with keys).
    pub certificate_request: Option<Stamp>,
    /// ServerHelloDone (TLS 1.2 and below): the server's flight is complete.
    pub server_hello_done: Option<Stamp>,
    /// ClientKeyExchange (TLS 1.2 and below).
    pub client_key_exchange: Option<Stamp>,
    /// 0-RTT data was accepted, by decrypted EncryptedExtensions.
    pub early_data_accepted: bool,
    /// Alerts in order of arrival, at most [`MAX_ALERTS`].
    pub alerts: SmallVec<[Alert; 2]>,
    /// Alerts beyond [`MAX_ALERTS`].
    pub alerts_not_kept: u32,
    /// What the client and the server sent, by [`Direction::index`].
    pub flows: [Flow; 2],
    /// Bytes that are not TLS where TLS was due.
    pub not_tls: Option<NotTls>,
    /// What was decrypted.
    pub decryption: Decryption,
    /// Handshake messages larger than [`super::MAX_HANDSHAKE`] bytes, skipped unread.
    pub oversized_messages: u32,
    /// Handshake messages that could not be parsed.
    pub malformed_messages: u32,
}

impl TlsFacts {
    /// Bounds that were reached and evidence that was lost: name and count, none of them 0.
    pub fn limits(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let chains = || self.client_certificates.iter().chain(&self.server_certificates);
        let certificates = chains().map(|chain| u64::from(chain.sent) - chain.certificates.len() as u64).sum();
        let names = chains()
            .flat_map(|chain| &chain.certificates)
            .map(|certificate| u64::from(certificate.names_sent) - certificate.names.len() as u64)
            .sum();
        [
            ("tls.records_not_opened", self.decryption.records_failed),
            ("tls.oversized_handshake", u64::from(self.oversized_messages)),
            ("tls.malformed_handshake", u64::from(self.malformed_messages)),
            ("tls.alerts", u64::from(self.alerts_not_kept)),
            ("tls.certificates", certificates),
            ("tls.certificate_names", names),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
    }

    /// What `direction` carried.
    #[must_use]
    pub fn flow(&self, direction: Direction) -> &Flow {
        &self.flows[direction.index()]
    }

    /// Version negotiated, or `None` before a ServerHello.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.server_hello.as_ref().map(|hello| hello.version)
    }

    /// Cipher suite negotiated.
    #[must_use]
    pub(crate) fn cipher_suite(&self) -> Option<CipherSuite> {
        self.server_hello.as_ref().map(|hello| hello.cipher_suite)
    }

    /// Host name the client asked for.
    #[must_use]
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.client_hello.as_ref()?.server_name.as_deref()
    }

    /// Whether application data was decrypted in either direction.
    #[must_use]
    pub(crate) fn decrypted(&self) -> bool {
        self.decryption.application.contains(&true)
    }

    /// Whether the server presented a certificate that only the keys would show (TLS 1.3).
    #[must_use]
    pub(crate) fn certificate_hidden(&self) -> bool {
        self.version() == Some(Version::TLS13) && self.server_certificates.is_none() && !self.resumed()
    }

    /// Whether an earlier session was resumed, so that no certificate is presented.
    #[must_use]
    pub(crate) fn resumed(&self) -> bool {
        self.server_hello.as_ref().is_some_and(|hello| hello.resumed)
    }

    /// The first alert that is an error: known, and neither close_notify nor user_canceled.
    #[must_use]
    pub(crate) fn first_error_alert(&self) -> Option<&Alert> {
        self.alerts
            .iter()
            .find(|alert| alert.code.is_some_and(|code| code != alert::CLOSE_NOTIFY && code != alert::USER_CANCELED))
    }

    /// Whether both sides are known to have finished the handshake.
    #[must_use]
    pub(crate) fn handshake_complete(&self) -> bool {
        self.flows.iter().all(|flow| flow.finished.is_some())
    }

    pub(super) fn add_alert(&mut self, alert: Alert) {
        if self.alerts.len() < MAX_ALERTS {
            self.alerts.push(alert);
        } else {
            self.alerts_not_kept = self.alerts_not_kept.saturating_add(1);
        }
    }
}
