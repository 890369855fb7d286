//! Secrets in NSS key-log format (the format of `SSLKEYLOGFILE`): one line per secret,
//! `LABEL <client random in hex> <secret in hex>`.
//!
//! Lines are untrusted: malformed ones are counted and skipped. Secrets are never printed: the `Debug` form shows
//! counts only.

use std::collections::HashMap;
use std::fmt;

/// Most connections for which secrets are kept; later ones are counted.
pub const MAX_CONNECTIONS: usize = 1 << 20;
/// Longest secret in bytes: the output size of the largest hash in use.
const MAX_SECRET: usize = 64;

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Label {
    /// Master secret, TLS 1.2 and below (48 bytes).
    Master,
    /// TLS 1.3 client_early_traffic_secret.
    ClientEarly,
    /// TLS 1.3 client_handshake_traffic_secret.
    ClientHandshake,
    /// TLS 1.3 server_handshake_traffic_secret.
    ServerHandshake,
    /// TLS 1.3 client_application_traffic_secret_0.
    ClientTraffic,
    /// TLS 1.3 server_application_traffic_secret_0.
    ServerTraffic,
}

/// Key material, hidden from `Debug`.
#[derive(Clone, Copy)]
pub(super) struct Secret {
    len: u8,
    bytes: [u8; MAX_SECRET],
}

impl Secret {
    pub(super) fn new(bytes: &[u8]) -> Option<Secret> {
        if bytes.is_empty() || bytes.len() > MAX_SECRET {
            return None;
        }
        let mut secret = Secret { len: bytes.len() as u8, bytes: [0; MAX_SECRET] };
        secret.bytes[..bytes.len()].copy_from_slice(bytes);
        Some(secret)
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len)
    }
}

/// The secrets logged for one ClientHello random.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    secrets: Vec<(Label, Secret)>,
}

impl Entry {
    pub(super) fn get(&self, label: Label) -> Option<&Secret> {
        self.secrets.iter().find(|(known, _)| *known == label).map(|(_, secret)| secret)
    }
}

/// TLS secrets by client random.
#[derive(Clone, Default)]
pub struct KeyLog {
    entries: Vec<Entry>,
    by_random: HashMap<[u8; 32], u32>,
    /// Premaster secrets by the first eight bytes of their encrypted form (`RSA` lines).
    by_premaster: HashMap<[u8; 8], Secret>,
    secrets: usize,
    bad_lines: u64,
    not_kept: u64,
}

impl KeyLog {
    /// A key log without secrets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds key-log text: whole lines, with any line ends. May be called again as the log grows.
    /// Comments and labels of other purposes (`EXPORTER_SECRET` and the like) are ignored;
    /// other lines are counted as bad.
    pub fn add(&mut self, text: &[u8]) {
        for line in text.split(|&byte| byte == b'\n' || byte == b'\r' || byte == 0) {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            if self.add_line(line).is_none() {
                self.bad_lines += 1;
            }
        }
    }

    fn add_line(&mut self, line: &[u8]) -> Option<()> {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (label, key, value) = (words.next()?, words.next()?, words.next()?);
        if words.next().is_some() {
            return None;
        }
        let mut bytes = [0; MAX_SECRET];
        let secret = Secret::new(unhex(value, &mut bytes)?)?;
        if label == b"RSA" {
            let mut key_bytes = [0; 8];
            if unhex(key, &mut key_bytes)?.len() != 8 || secret.as_slice().len() != 48 {
                return None;
            }
            if self.by_premaster.len() >= MAX_CONNECTIONS {
                self.not_kept += 1;
            } else if self.by_premaster.insert(key_bytes, secret).is_none() {
                self.secrets += 1;
            }
            return Some(());
        }
        let mut random = [0; 32];
        if unhex(key, &mut random)?.len() != 32 {
            return None;
        }
        let label = match label {
            b"CLIENT_RANDOM" if secret.as_slice().len() == 48 => Label::Master,
            b"CLIENT_RANDOM" => return None,
            b"CLIENT_EARLY_TRAFFIC_SECRET" => Label::ClientEarly,
            b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => Label::ClientHandshake,
            b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => Label::ServerHandshake,
            b"CLIENT_TRAFFIC_SECRET_0" => Label::ClientTraffic,
            b"SERVER_TRAFFIC_SECRET_0" => Label::ServerTraffic,
            // An unknown label of the same form is no bad line.
            other => return other.iter().all(|&byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_')).then_some(()),
        };
        let index = match self.by_random.get(&random) {
            Some(&index) => index as usize,
            None if self.entries.len() >= MAX_CONNECTIONS => {
                self.not_kept += 1;
                return Some(());
            }
            None => {
                self.entries.push(Entry { secrets: Vec::new() });
                self.by_random.insert(random, (self.entries.len() - 1) as u32);
                self.entries.len() - 1
            }
        };
        let known = &mut self.entries[index].secrets;
        match known.iter_mut().find(|(known, _)| *known == label) {
            Some(slot) => slot.1 = secret,
            None => {
                known.push((label, secret));
                self.secrets += 1;
            }
        }
        Some(())
    }

    /// Number of secrets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.secrets
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.secrets == 0
    }

    /// Lines and secrets that could not be kept: name and count, none of them 0.
    pub fn limits(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [("tls.keylog_bad_lines", self.bad_lines), ("tls.keylog_secrets", self.not_kept)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
    }

    /// Whether there is any secret for this client random.
    #[must_use]
    pub fn knows(&self, client_random: &[u8; 32]) -> bool {
        self.by_random.contains_key(client_random)
    }

    pub(super) fn get(&self, client_random: &[u8; 32]) -> Option<&Entry> {
        self.by_random.get(client_random).map(|&index| &self.entries[index as usize])
    }

    pub(super) fn premaster(&self, encrypted: &[u8]) -> Option<&Secret> {
        self.by_premaster.get(encrypted.first_chunk::<8>()?)
    }

    /// All connections in the order in which they were logged.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLog")
            .field("connections", &self.entries.len())
            .field("secrets", &self.secrets)
            .field("bad_lines", &self.bad_lines)
            .finish_non_exhaustive()
    }
}

/// Decodes hexadecimal into the front of `into`; `None` for anything else or for too much of it.
fn unhex<'a>(text: &[u8], into: &'a mut [u8]) -> Option<&'a [u8]> {
    if text.is_empty() || !text.len().is_multiple_of(2) || text.len() / 2 > into.len() {
        return None;
    }
    for (pair, byte) in text.chunks_exact(2).zip(into.iter_mut()) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(&into[..text.len() / 2])
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn random() -> [u8; 32] {
        std::array::from_fn(|index| index as u8)
    }

    #[test]
    fn reads_every_label_with_any_line_end_and_counts_junk() {
        let master = "ab".repeat(48);
        let secret = "cd".repeat(32);
        let text = format!(
            "# comment\r\nCLIENT_RANDOM {RANDOM} {master}\r\n\r\n  CLIENT_TRAFFIC_SECRET_0\t{} {secret}\n\
             SERVER_TRAFFIC_SECRET_0 {RANDOM} {secret}\nEXPORTER_SECRET {RANDOM} {secret}\n\
             RSA 0011223344556677 {master}\nCLIENT_RANDOM {RANDOM} abcd\nnonsense\nSERVER_TRAFFIC_SECRET_0 xx yy\n",
            RANDOM.to_uppercase()
        );
        let mut log = KeyLog::new();
        log.add(text.as_bytes());
        assert_eq!((log.len(), log.bad_lines), (4, 3));
        assert_eq!(log.limits().collect::<Vec<_>>(), [("tls.keylog_bad_lines", 3)]);
        let entry = log.get(&random()).expect("known random");
        assert_eq!(entry.get(Label::Master).map(|secret| secret.as_slice().to_vec()), Some(vec![0xab; 48]));
        assert_eq!(entry.get(Label::ClientTraffic).map(|secret| secret.as_slice().to_vec()), Some(vec![0xcd; 32]));
        assert!(entry.get(Label::ClientHandshake).is_none());
        assert!(log.premaster(&[0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]).is_some());
        assert!(log.premaster(&[0x00]).is_none());
        assert!(log.knows(&random()) && !log.knows(&[9; 32]));
    }

    #[test]
    fn never_prints_a_secret() {
        let mut log = KeyLog::new();
        log.add(format!("CLIENT_RANDOM {RANDOM} {}", "ab".repeat(48)).as_bytes());
        let shown = format!("{log:?} {:?}", log.entries());
        assert!(!shown.contains("171") && !shown.to_lowercase().contains("abab"), "{shown}");
        assert_eq!(log.entries().len(), 1);
    }

    #[test]
    fn a_repeated_line_counts_once_and_the_last_wins() {
        let mut log = KeyLog::new();
        log.add(format!("CLIENT_RANDOM {RANDOM} {}\n", "ab".repeat(48)).as_bytes());
        log.add(format!("CLIENT_RANDOM {RANDOM} {}\n", "cd".repeat(48)).as_bytes());
        assert_eq!(log.len(), 1);
        assert_eq!(log.get(&random()).and_then(|e| e.get(Label::Master)).map(|s| s.as_slice()[0]), Some(0xcd));
    }
}
