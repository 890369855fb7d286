//! One direction's keys: which secret, which epoch, which record number comes next.
//!
//! A record number counts as known only once a record has authenticated under it. After missing bytes, and at the
//! border of epochs, a bounded number of candidates is tried.

use smallvec::SmallVec;

use super::decrypt::{KeyBlock, Opened, Opener};
use super::facts::{Trouble, Version};
use super::key_schedule::{expand_label, prf};
use super::keylog::{KeyLog, Label, Secret};
use super::record::Header;
use super::suite::{Hash, Parameters, Protection};
use crate::stream::Direction;

/// Most record numbers tried beyond the expected one.
const MAX_WINDOW: u64 = 4096;
/// Record numbers tried when a record did not authenticate although none is missing before it.
const WINDOW_AFTER_FAILURE: u64 = 8;
/// Record numbers tried when the stream was joined after its beginning.
const WINDOW_MID_STREAM: u64 = 256;
/// Bytes of failed decryption per direction before it is given up: this many, and [`TRIALS_PER_BYTE`] for each byte
/// that did open, so that the work stays in proportion to the data.
const TRIAL_BUDGET: u64 = 8 << 20;
/// See [`TRIAL_BUDGET`].
const TRIALS_PER_BYTE: u64 = 8;
/// Longest record that is tried with the keys of many connections, in bytes.
const MAX_MID_STREAM_TRIAL: usize = 2048;
/// Records that may fail in a row before the secret counts as wrong. The server's handshake flight, whose
/// secret may be missing from the log, passes within it.
const MAX_FAILURES: u32 = 64;
/// Connections of the key log tried on a stream whose beginning was not seen.
const MAX_MID_STREAM_ENTRIES: usize = 64;

/// The parameters from which both directions' keys are derived.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) client_random: Option<[u8; 32]>,
    pub(super) server_random: Option<[u8; 32]>,
    /// Version negotiated, once the ServerHello was read.
    pub(super) version: Option<Version>,
    pub(super) parameters: Option<Parameters>,
    pub(super) encrypt_then_mac: bool,
    pub(super) extended_master_secret: bool,
    /// First bytes of the encrypted premaster secret (RSA key exchange).
    pub(super) premaster: Option<[u8; 8]>,
    /// TLS 1.3 suites offered, for 0-RTT data that precedes the choice.
    pub(super) offered: SmallVec<[Parameters; 4]>,
    pub(super) early_data: bool,
    pub(super) mid_stream: bool,
}

/// TLS 1.3: which traffic secret protects records (RFC 8446 §7.1). TLS 1.2 has only the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    Early,
    Handshake,
    #[default]
    Application,
}

/// Keys that may be the right ones.
#[derive(Debug)]
struct Candidate {
    stage: Stage,
    parameters: Parameters,
    /// TLS 1.3: the secret from which the next generation of keys is derived.
    secret: Option<Secret>,
    opener: Opener,
}

impl Candidate {
    fn tls13(stage: Stage, parameters: Parameters, secret: &Secret) -> Option<Candidate> {
        let opener = Opener::tls13(parameters, secret.as_slice())?;
        Some(Candidate { stage, parameters, secret: Some(*secret), opener })
    }

    /// RFC 8446 §7.2: the secret after a KeyUpdate.
    fn updated(&self) -> Option<Candidate> {
        let old = self.secret.as_ref()?;
        let mut next = [0; 64];
        let next = next.get_mut(..old.as_slice().len())?;
        expand_label(self.parameters.hash, old.as_slice(), b"traffic upd", next)?;
        Candidate::tls13(self.stage, self.parameters, &Secret::new(next)?)
    }
}

/// Records lost before one that opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Nothing.
    None,
    /// This many records of the same epoch.
    Records(u64),
    /// Records, of unknown number.
    Unknown,
}

/// The keys of one direction.
#[derive(Debug, Default)]
pub(super) struct Channel {
    /// The current keys first, then those that may follow or be the right ones instead.
    candidates: SmallVec<[Box<Candidate>; 2]>,
    /// Number of the record after the last one that opened.
    expected: u64,
    /// Protected records since then, unopened.
    unopened: u64,
    /// How many more records may have been missed.
    window: u64,
    /// The current keys have opened a record.
    proven: bool,
    /// There were records before there was a key.
    late: bool,
    failures: u32,
    /// Bytes of failed decryption, less the allowance for bytes that opened.
    spent: u64,
    /// The explicit nonce of the last record that opened (TLS 1.2 GCM and CCM).
    nonce: Option<u64>,
    /// [`KeyLog::len`] when secrets were last looked up.
    looked_up: Option<usize>,
    trouble: Option<Trouble>,
}

impl Channel {
    /// Whether there are keys to try.
    pub(super) fn has_keys(&self) -> bool {
        !self.candidates.is_empty()
    }

    /// Which epoch the current keys belong to.
    pub(super) fn stage(&self) -> Stage {
        self.candidates.first().map_or(Stage::Application, |current| current.stage)
    }

    /// Why records are not opened.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    /// By how many bytes a record exceeds its content, header not counted.
    pub(super) fn overhead(&self) -> Option<usize> {
        self.candidates.first()?.opener.overhead()
    }

    /// After a ChangeCipherSpec of TLS 1.2: new keys, counting from zero.
    pub(super) fn restart(&mut self) {
        *self = Channel::default();
    }

    /// Counts a protected record that was not opened.
    pub(super) fn skip_record(&mut self) {
        self.unopened = self.unopened.saturating_add(1);
        self.late |= self.candidates.is_empty();
    }

    /// Widens the window by the most records that `bytes` missing bytes may have held.
    pub(super) fn note_missing(&mut self, bytes: u64) {
        let least = self.candidates.first().map_or(17, |current| current.opener.least()) as u64 + 5;
        self.window = self.window.saturating_add(bytes / least + 2).min(MAX_WINDOW);
    }

    /// Looks up this connection's secrets, unless that was done with the same key log.
    pub(super) fn prepare(&mut self, direction: Direction, session: &Session, keys: &KeyLog) {
        if self.looked_up == Some(keys.len()) || self.has_keys() {
            return;
        }
        self.looked_up = Some(keys.len());
        self.trouble = self.look_up(direction, session, keys).err();
    }

    fn look_up(&mut self, direction: Direction, session: &Session, keys: &KeyLog) -> Result<(), Trouble> {
        if session.mid_stream {
            return self.try_every_secret(direction, keys);
        }
        let random = session.client_random.as_ref().ok_or(Trouble::SecretMissing)?;
        let entry = keys.get(random);
        if session.version.is_some_and(|version| version < Version::TLS13) {
            let parameters = session.parameters.ok_or(Trouble::Unsupported)?;
            let server_random = session.server_random.as_ref().ok_or(Trouble::SecretMissing)?;
            let version = session.version.unwrap_or_default();
            let master = match entry.and_then(|entry| entry.get(Label::Master)) {
                Some(master) => *master,
                None => master_from_premaster(session, parameters, keys)?,
            };
            let block = KeyBlock {
                master: master.as_slice(),
                client_random: random,
                server_random,
                version,
                encrypt_then_mac: session.encrypt_then_mac,
            };
            let opener =
                Opener::tls12(parameters, &block, direction == Direction::ToServer).ok_or(Trouble::Unsupported)?;
            self.candidates.push(Box::new(Candidate { stage: Stage::Application, parameters, secret: None, opener }));
            return Ok(());
        }
        let entry = entry.ok_or(Trouble::SecretMissing)?;
        if direction == Direction::ToServer
            && session.early_data
            && let Some(secret) = entry.get(Label::ClientEarly)
        {
            for &parameters in session.parameters.iter().chain(&session.offered) {
                self.candidates.extend(Candidate::tls13(Stage::Early, parameters, secret).map(Box::new));
            }
        }
        if session.version.is_none() {
            // Before the ServerHello there is nothing but early data; look up again afterwards.
            self.looked_up = None;
            return if self.has_keys() { Ok(()) } else { Err(Trouble::SecretMissing) };
        }
        let parameters = session.parameters.ok_or(Trouble::Unsupported)?;
        self.add_later_stages(direction, parameters, |label| entry.get(label).copied());
        if self.has_keys() { Ok(()) } else { Err(Trouble::SecretMissing) }
    }

    /// The handshake and application keys, once the ServerHello has named the suite.
    pub(super) fn extend(&mut self, direction: Direction, session: &Session, keys: &KeyLog) {
        let Some(parameters) = session.parameters.filter(|parameters| parameters.tls13) else { return };
        if self.stage() != Stage::Early || self.candidates.iter().any(|candidate| candidate.stage != Stage::Early) {
            return;
        }
        let Some(entry) = session.client_random.as_ref().and_then(|random| keys.get(random)) else { return };
        self.add_later_stages(direction, parameters, |label| entry.get(label).copied());
    }

    fn add_later_stages(
        &mut self,
        direction: Direction,
        parameters: Parameters,
        secret: impl Fn(Label) -> Option<Secret>,
    ) {
        let labels = match direction {
            Direction::ToServer => [Label::ClientHandshake, Label::ClientTraffic],
            Direction::ToClient => [Label::ServerHandshake, Label::ServerTraffic],
        };
        for (label, stage) in labels.into_iter().zip([Stage::Handshake, Stage::Application]) {
            if let Some(secret) = secret(label) {
                self.candidates.extend(Candidate::tls13(stage, parameters, &secret).map(Box::new));
            }
        }
    }

    /// The beginning was not seen, so the client random is not known: this may be any TLS 1.3 connection of the log.
    /// A record proves which one by authenticating.
    fn try_every_secret(&mut self, direction: Direction, keys: &KeyLog) -> Result<(), Trouble> {
        const SUITES: [Protection; 3] = [Protection::Aes128Gcm, Protection::Aes256Gcm, Protection::ChaCha20Poly1305];
        let label = match direction {
            Direction::ToServer => Label::ClientTraffic,
            Direction::ToClient => Label::ServerTraffic,
        };
        for entry in keys.entries().iter().rev().take(MAX_MID_STREAM_ENTRIES) {
            let Some(secret) = entry.get(label) else { continue };
            for protection in SUITES {
                let hash = match protection {
                    Protection::Aes256Gcm => Hash::Sha384,
                    _ => Hash::Sha256,
                };
                let parameters = Parameters { protection, hash, tls13: true };
                let candidate = Candidate::tls13(Stage::Application, parameters, secret);
                self.candidates.extend(candidate.map(Box::new));
            }
        }
        self.late = true;
        self.window = WINDOW_MID_STREAM;
        if self.has_keys() { Ok(()) } else { Err(Trouble::SecretMissing) }
    }

    /// Opens a record in place. `None` when it does not authenticate under any candidate key and number: then it counts
    /// as unopened, and `body` is garbage. `spare` is scratch space.
    pub(super) fn open(&mut self, header: Header, body: &mut [u8], spare: &mut Vec<u8>) -> Option<(Opened, Loss)> {
        if self.proven && self.window == 0 && self.candidates.len() == 1 {
            let current = &self.candidates[0];
            let number = self.expected + self.unopened;
            let nonce = current.opener.explicit_nonce(body);
            if let Some(opened) = current.opener.open(number, header, body) {
                let loss = if self.unopened == 0 { Loss::None } else { Loss::Records(self.unopened) };
                self.expected = number + 1;
                self.unopened = 0;
                self.failures = 0;
                self.nonce = nonce;
                return Some((opened, loss));
            }
            self.window = WINDOW_AFTER_FAILURE;
            self.fail();
            return None;
        }
        spare.clear();
        spare.extend_from_slice(body);
        let found = self.search(header, body, spare);
        if found.is_none() {
            self.fail();
        }
        found
    }

    fn search(&mut self, header: Header, body: &mut [u8], sealed: &[u8]) -> Option<(Opened, Loss)> {
        if self.late && !self.proven && self.candidates.len() > 3 && sealed.len() > MAX_MID_STREAM_TRIAL {
            return None;
        }
        let nonce = self.candidates.first().and_then(|current| current.opener.explicit_nonce(sealed));
        if let Some(number) = self.number_by_nonce(nonce) {
            body.copy_from_slice(sealed);
            if let Some(opened) = self.candidates[0].opener.open(number, header, body) {
                let lost = number - self.expected;
                self.confirm(0, number, sealed.len());
                self.nonce = nonce;
                return Some((opened, if lost == 0 { Loss::None } else { Loss::Records(lost) }));
            }
        }
        let base = if self.proven || !self.tls13() { self.expected + self.unopened } else { 0 };
        let reach = if self.proven || !self.tls13() {
            self.window
        } else {
            // Before the first record of an epoch opens, unopened records may have been of the epoch before.
            (self.window + if self.late { self.unopened } else { 0 }).min(MAX_WINDOW)
        };
        for index in 0..self.candidates.len() {
            let from = if index == 0 || !self.proven { base } else { 0 };
            let reach = match index {
                0 => reach,
                // The epoch may have begun among the unopened records.
                _ if self.window > 0 || self.late => (reach + self.unopened).min(MAX_WINDOW),
                _ => 0,
            };
            for number in from..=from.saturating_add(reach) {
                if self.spent > TRIAL_BUDGET {
                    return None;
                }
                body.copy_from_slice(sealed);
                if let Some(opened) = self.candidates[index].opener.open(number, header, body) {
                    // Records are counted only within an epoch of which an earlier record has opened.
                    let known = index == 0 && self.proven;
                    let loss = match number - if index == 0 { self.expected } else { 0 } {
                        0 => Loss::None,
                        lost if known => Loss::Records(lost),
                        _ => Loss::Unknown,
                    };
                    self.confirm(index, number, sealed.len());
                    self.nonce = nonce;
                    return Some((opened, loss));
                }
                self.spent += body.len() as u64;
            }
        }
        // A KeyUpdate may be among what is missing.
        if self.proven
            && self.window > 0
            && let Some(next) = self.candidates.first().and_then(|current| current.updated())
        {
            for number in 0..=self.window {
                if self.spent > TRIAL_BUDGET {
                    return None;
                }
                body.copy_from_slice(sealed);
                if let Some(opened) = next.opener.open(number, header, body) {
                    *self.candidates[0] = next;
                    self.confirm(0, number, sealed.len());
                    return Some((opened, Loss::Unknown));
                }
                self.spent += body.len() as u64;
            }
        }
        None
    }

    fn tls13(&self) -> bool {
        self.candidates.first().is_some_and(|current| current.parameters.tls13)
    }

    /// The record number by the explicit nonce: most senders count it up, and then it shows how many records are missing.
    fn number_by_nonce(&self, nonce: Option<u64>) -> Option<u64> {
        let ahead = nonce?.checked_sub(self.nonce?)?;
        (self.proven && self.window > 0 && ahead > self.unopened).then(|| (self.expected - 1).checked_add(ahead))?
    }

    /// Makes candidate `index`, which opened record `number`, the current one; drops those before it.
    fn confirm(&mut self, index: usize, number: u64, len: usize) {
        self.candidates.drain(..index);
        // Other keys for the same epoch were wrong; those of later epochs stay.
        let mut first = true;
        let stage = self.stage();
        self.candidates.retain(|candidate| std::mem::take(&mut first) || candidate.stage != stage);
        self.expected = number + 1;
        self.unopened = 0;
        self.window = 0;
        self.failures = 0;
        self.spent = self.spent.saturating_sub(TRIALS_PER_BYTE * len as u64);
        self.late = false;
        self.proven = true;
        self.trouble = None;
    }

    fn fail(&mut self) {
        self.failures += 1;
        if self.proven || !self.tls13() || self.late {
            self.unopened += 1;
        }
        if self.failures >= MAX_FAILURES || self.spent > TRIAL_BUDGET {
            self.trouble = Some(match (self.proven, self.late) {
                (true, _) => Trouble::PlaceLost,
                // It might have been any of the log's secrets, and was none.
                (false, true) => Trouble::SecretMissing,
                (false, false) => Trouble::SecretWrong,
            });
            self.candidates.clear();
        }
    }

    /// TLS 1.3: moves to the next epoch, after the sender's Finished or EndOfEarlyData.
    pub(super) fn next_stage(&mut self) {
        let stage = self.stage();
        self.candidates.retain(|candidate| candidate.stage != stage);
        self.begin();
        if self.candidates.is_empty() {
            self.trouble = Some(Trouble::SecretMissing);
            self.late = true;
        }
    }

    /// TLS 1.3: moves to the next generation of keys, after the sender's KeyUpdate.
    pub(super) fn update(&mut self) {
        if let Some(next) = self.candidates.first().and_then(|current| current.updated()) {
            *self.candidates[0] = next;
            self.begin();
        }
    }

    fn begin(&mut self) {
        self.expected = 0;
        self.unopened = 0;
        self.window = 0;
        self.proven = false;
        self.failures = 0;
    }
}

/// RFC 5246 §8.1: the master secret from an `RSA` line. With an extended master secret (RFC 7627) it would
/// take the hash of the handshake, which is not kept.
fn master_from_premaster(session: &Session, parameters: Parameters, keys: &KeyLog) -> Result<Secret, Trouble> {
    let premaster =
        session.premaster.as_ref().and_then(|encrypted| keys.premaster(encrypted)).ok_or(Trouble::SecretMissing)?;
    if session.extended_master_secret {
        return Err(Trouble::Unsupported);
    }
    let (client, server) =
        session.client_random.as_ref().zip(session.server_random.as_ref()).ok_or(Trouble::SecretMissing)?;
    let mut master = [0; 48];
    prf(parameters.hash, premaster.as_slice(), b"master secret", [client, server], &mut master);
    Secret::new(&master).ok_or(Trouble::Unsupported)
}
