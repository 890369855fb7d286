//! TLS 1.3 (RFC 8446) as seen on the wire. Traffic secrets are drawn, not agreed: the key shares are noise, and so
//! is the signature. Everything that follows from the secrets is right: record protection and both Finished.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_128_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::digest::{Context, SHA256};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk};
use ring::hmac;

use super::random::Random;

/// Content types (RFC 8446 §5.1).
pub(crate) const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION: u8 = 23;

/// Largest plaintext of a record (RFC 8446 §5.1).
pub(crate) const LARGEST_RECORD: usize = 1 << 14;

/// A self-signed certificate for `bench.example`; its key was thrown away.
const CERTIFICATE: &str = "MIIBojCCAUegAwIBAgIUFoaxohOpW77SnXWKcuJG3zTFTsEwCgYIKoZIzj0EAwIwGDEWMBQGA1UEAwwNYmVuY2guZXhhbXBsZTAgFw0yNjExMjExMDI0MjNaGA8yMTI2MTAyODEwMjQyM1owGDEWMBQGA1UEAwwNYmVuY2guZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFd/0x9dlg5lXtC0stU0yvCSs0ypw+REA6PnxIODt2uiVAiA3xKOcAHXWCjnY3kBg+WlYNwExl22m/b1rYQHd3yjbTBrMB0GA1UdDgQWBBTw21js4gO/+qxdxQlFI0DnHFjj2zAfBgNVHSMEGDAWgBTw21js4gO/+qxdxQlFI0DnHFjj2zAPBgNVHRMBAf8EBTADAQH/MBgGA1UdEQQRMA+CDWJlbmNoLmV4YW1wbGUwCgYIKoZIzj0EAwIDSQAwRgIhAM0CqEyocD5m7kSaxUpzJW6fQ2PoMnZ3ekUMn/UINGAuAiEA2e/LLNEfmOXmNk9DOeTV7Rpck0ZiJJyGrqi17Lipb2s=";

/// The cipher suites spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    Aes128Gcm,
    ChaCha20Poly1305,
}

impl Suite {
    fn code(self) -> [u8; 2] {
        match self {
            Suite::Aes128Gcm => [0x13, 0x01],
            Suite::ChaCha20Poly1305 => [0x13, 0x03],
        }
    }
}

/// Record protection of one direction.
#[derive(Debug)]
pub(crate) struct Sealer {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label with an empty context (RFC 8446 §7.1).
fn expand_label<const N: usize>(secret: &[u8; 32], label: &str, length: usize) -> [u8; N] {
    let mut info = Vec::with_capacity(32);
    info.extend((length as u16).to_be_bytes());
    info.push((6 + label.len()) as u8);
    info.extend(b"tls13 ");
    info.extend(label.as_bytes());
    info.push(0);
    let mut out = [0; N];
    Prk::new_less_safe(HKDF_SHA256, secret)
        .expand(&[&info], Length(length))
        .and_then(|okm| okm.fill(&mut out[..length]))
        .expect("the length suits HKDF");
    out
}

impl Sealer {
    /// Keys that follow from a traffic secret (RFC 8446 §7.3).
    pub(crate) fn new(suite: Suite, secret: &[u8; 32]) -> Self {
        let (algorithm, length) = match suite {
            Suite::Aes128Gcm => (&AES_128_GCM, 16),
            Suite::ChaCha20Poly1305 => (&CHACHA20_POLY1305, 32),
        };
        let key: [u8; 32] = expand_label(secret, "key", length);
        let key = UnboundKey::new(algorithm, &key[..length]).expect("the key has the right length");
        Sealer { key: LessSafeKey::new(key), iv: expand_label(secret, "iv", 12), sequence: 0 }
    }

    /// Appends one record to `out` (RFC 8446 §5.2).
    pub(crate) fn seal(&mut self, kind: u8, plaintext: &[u8], out: &mut Vec<u8>) {
        let length = (plaintext.len() + 1 + 16) as u16;
        let head = [23, 3, 3, (length >> 8) as u8, length as u8];
        let mut nonce = self.iv;
        for (byte, sequence) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= sequence;
        }
        self.sequence += 1;
        out.extend(head);
        let start = out.len();
        out.extend_from_slice(plaintext);
        out.push(kind);
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(head), &mut out[start..])
            .expect("the record is short enough");
        out.extend_from_slice(tag.as_ref());
    }
}

/// A whole handshake, flight by flight, and what is needed to go on.
pub(crate) struct Handshake {
    pub(crate) client_hello: Vec<u8>,
    pub(crate) server_flight: Vec<u8>,
    pub(crate) client_flight: Vec<u8>,
    /// Sent by the server under the application keys.
    pub(crate) tickets: Vec<u8>,
    /// Application keys of client and server.
    pub(crate) sealers: [Sealer; 2],
    /// Lines in NSS key log format.
    pub(crate) key_log: String,
}

/// Draws the secrets of one connection and writes its handshake.
pub(crate) fn handshake(random: &mut Random, suite: Suite, name: &str, protocols: &[&str]) -> Handshake {
    let secrets: [[u8; 32]; 4] = std::array::from_fn(|_| random.bytes());
    let [client_handshake, server_handshake, client_traffic, server_traffic] = secrets;
    let client_random: [u8; 32] = random.bytes();
    let session: [u8; 32] = random.bytes();

    let hello = client_hello(random, &client_random, &session, name, protocols);
    let answer = server_hello(random, &session, suite);
    let mut transcript = Context::new(&SHA256);
    transcript.update(&hello);
    transcript.update(&answer);

    let mut server_flight = record(&answer);
    server_flight.extend(CHANGE_CIPHER_SPEC);
    let mut server = Sealer::new(suite, &server_handshake);
    let mut extensions = Vec::new();
    let chosen = protocols.last().copied().unwrap_or("http/1.1");
    extension(&mut extensions, 16, &vector16(&vector8(chosen.as_bytes())));
    let mut certificate = vec![0];
    let der = STANDARD.decode(CERTIFICATE).expect("the certificate is valid base64");
    let mut entry = vector24(&der);
    entry.extend([0, 0]);
    certificate.extend(vector24(&entry));
    let mut signature = vec![0x04, 0x03]; // ecdsa_secp256r1_sha256
    let mut der_signature = vec![0x30, 0x44, 0x02, 0x20];
    let mut half = [0; 32];
    random.fill(&mut half);
    half[0] = half[0] & 0x7f | 1;
    der_signature.extend(half);
    der_signature.extend([0x02, 0x20]);
    random.fill(&mut half);
    half[0] = half[0] & 0x7f | 1;
    der_signature.extend(half);
    signature.extend(vector16(&der_signature));
    for (kind, body) in [(8, vector16(&extensions)), (11, certificate), (15, signature)] {
        let message = message(kind, &body);
        transcript.update(&message);
        server.seal(HANDSHAKE, &message, &mut server_flight);
    }
    let finished = finished(&server_handshake, &transcript);
    transcript.update(&finished);
    server.seal(HANDSHAKE, &finished, &mut server_flight);

    let mut client_flight = CHANGE_CIPHER_SPEC.to_vec();
    let finished = self::finished(&client_handshake, &transcript);
    Sealer::new(suite, &client_handshake).seal(HANDSHAKE, &finished, &mut client_flight);

    let mut sealers = [Sealer::new(suite, &client_traffic), Sealer::new(suite, &server_traffic)];
    let mut tickets = Vec::new();
    for number in 0..2_u8 {
        let mut body = 7200_u32.to_be_bytes().to_vec();
        body.extend(random.bytes::<4>());
        body.extend(vector8(&[0, 0, 0, 0, 0, 0, 0, number]));
        body.extend(vector16(&random.bytes::<208>()));
        body.extend([0, 0]);
        sealers[1].seal(HANDSHAKE, &message(4, &body), &mut tickets);
    }

    let labels = [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    ];
    let mut key_log = String::new();
    for (label, secret) in labels.iter().zip(&secrets) {
        key_log.push_str(label);
        for value in [&client_random, secret] {
            key_log.push(' ');
            for byte in value {
                key_log.push_str(&format!("{byte:02x}"));
            }
        }
        key_log.push('\n');
    }
    Handshake { client_hello: record(&hello), server_flight, client_flight, tickets, sealers, key_log }
}

/// The middlebox compatibility record (RFC 8446 §D.4).
const CHANGE_CIPHER_SPEC: [u8; 6] = [20, 3, 3, 0, 1, 1];

fn client_hello(
    random: &mut Random,
    client_random: &[u8; 32],
    session: &[u8; 32],
    name: &str,
    protocols: &[&str],
) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(client_random);
    body.extend(vector8(session));
    body.extend(vector16(&[0x13, 0x01, 0x13, 0x03, 0x13, 0x02]));
    body.extend(vector8(&[0]));
    let mut extensions = Vec::new();
    let mut host = vec![0];
    host.extend(vector16(name.as_bytes()));
    extension(&mut extensions, 0, &vector16(&host));
    extension(&mut extensions, 10, &vector16(&[0x00, 0x1d, 0x00, 0x17]));
    extension(&mut extensions, 13, &vector16(&[0x04, 0x03, 0x08, 0x04, 0x04, 0x01, 0x08, 0x05]));
    let offered: Vec<u8> = protocols.iter().flat_map(|protocol| vector8(protocol.as_bytes())).collect();
    extension(&mut extensions, 16, &vector16(&offered));
    extension(&mut extensions, 43, &vector8(&[0x03, 0x04]));
    extension(&mut extensions, 45, &vector8(&[1]));
    let mut share = vec![0x00, 0x1d];
    share.extend(vector16(&random.bytes::<32>()));
    extension(&mut extensions, 51, &vector16(&share));
    body.extend(vector16(&extensions));
    message(1, &body)
}

fn server_hello(random: &mut Random, session: &[u8; 32], suite: Suite) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(random.bytes::<32>());
    body.extend(vector8(session));
    body.extend(suite.code());
    body.push(0);
    let mut extensions = Vec::new();
    extension(&mut extensions, 43, &[0x03, 0x04]);
    let mut share = vec![0x00, 0x1d];
    share.extend(vector16(&random.bytes::<32>()));
    extension(&mut extensions, 51, &share);
    body.extend(vector16(&extensions));
    message(2, &body)
}

/// Finished (RFC 8446 §4.4.4).
fn finished(base: &[u8; 32], transcript: &Context) -> Vec<u8> {
    let key: [u8; 32] = expand_label(base, "finished", 32);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    message(20, hmac::sign(&key, transcript.clone().finish().as_ref()).as_ref())
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(vector24(body));
    out
}

fn record(handshake: &[u8]) -> Vec<u8> {
    let mut out = vec![HANDSHAKE, 3, 1];
    out.extend(vector16(handshake));
    out
}

fn extension(out: &mut Vec<u8>, kind: u16, body: &[u8]) {
    out.extend(kind.to_be_bytes());
    out.extend(vector16(body));
}

fn vector8(body: &[u8]) -> Vec<u8> {
    let mut out = vec![body.len() as u8];
    out.extend(body);
    out
}

fn vector16(body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u16).to_be_bytes().to_vec();
    out.extend(body);
    out
}

fn vector24(body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend(body);
    out
}
