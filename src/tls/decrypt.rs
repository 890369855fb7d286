//! Decrypts one protected record in place (RFC 8446 §5.2, RFC 5246 §6.2.3, RFC 5288, RFC 6655, RFC 7366, RFC 7905).
//!
//! A record that does not authenticate is never passed on. Nothing is allocated per record.

use aes::cipher::{BlockModeDecrypt, InnerIvInit, KeyInit};
use aes::{Aes128, Aes256, Block};
use ccm::Ccm;
use ccm::aead::{AeadInOut, Tag};
use ccm::consts::{U8, U12, U16};
use ring::{aead, hmac};

use super::facts::Version;
use super::key_schedule::{expand_label, prf};
use super::record::{HEADER_LEN, Header};
use super::suite::{Mac, Parameters, Protection};

/// Length of an AES block, and of the IV of a CBC record.
const BLOCK: usize = 16;

enum Aead {
    Ring(aead::LessSafeKey),
    Ccm128(Ccm<Aes128, U16, U12>),
    Ccm256(Ccm<Aes256, U16, U12>),
    Ccm128Short(Ccm<Aes128, U8, U12>),
    Ccm256Short(Ccm<Aes256, U8, U12>),
}

impl Aead {
    fn new(protection: Protection, key: &[u8]) -> Option<Aead> {
        let algorithm = match protection {
            Protection::Aes128Gcm => &aead::AES_128_GCM,
            Protection::Aes256Gcm => &aead::AES_256_GCM,
            Protection::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
            Protection::Ccm { key: 16, tag: 16 } => return Some(Aead::Ccm128(Ccm::new_from_slice(key).ok()?)),
            Protection::Ccm { key: 32, tag: 16 } => return Some(Aead::Ccm256(Ccm::new_from_slice(key).ok()?)),
            Protection::Ccm { key: 16, tag: 8 } => return Some(Aead::Ccm128Short(Ccm::new_from_slice(key).ok()?)),
            Protection::Ccm { key: 32, tag: 8 } => return Some(Aead::Ccm256Short(Ccm::new_from_slice(key).ok()?)),
            Protection::Ccm { .. } | Protection::Cbc { .. } => return None,
        };
        Some(Aead::Ring(aead::LessSafeKey::new(aead::UnboundKey::new(algorithm, key).ok()?)))
    }

    /// Decrypts `sealed` (ciphertext, then tag) in place and returns the plaintext's length.
    fn open(&self, nonce: [u8; 12], aad: &[u8], sealed: &mut [u8]) -> Option<usize> {
        fn ccm<C: AeadInOut>(cipher: &C, nonce: [u8; 12], aad: &[u8], sealed: &mut [u8], tag: usize) -> Option<usize> {
            let split = sealed.len().checked_sub(tag)?;
            let (text, tag) = sealed.split_at_mut(split);
            let tag = <&Tag<C>>::try_from(&*tag).ok()?;
            cipher.decrypt_inout_detached(nonce.as_slice().try_into().ok()?, aad, text.into(), tag).ok()?;
            Some(split)
        }
        match self {
            Aead::Ring(key) => key
                .open_in_place(aead::Nonce::assume_unique_for_key(nonce), aead::Aad::from(aad), sealed)
                .ok()
                .map(|text| text.len()),
            Aead::Ccm128(cipher) => ccm(cipher, nonce, aad, sealed, 16),
            Aead::Ccm256(cipher) => ccm(cipher, nonce, aad, sealed, 16),
            Aead::Ccm128Short(cipher) => ccm(cipher, nonce, aad, sealed, 8),
            Aead::Ccm256Short(cipher) => ccm(cipher, nonce, aad, sealed, 8),
        }
    }
}

enum BlockCipher {
    Aes128(Aes128),
    Aes256(Aes256),
}

impl BlockCipher {
    fn new(key: &[u8]) -> Option<BlockCipher> {
        match key.len() {
            16 => Aes128::new_from_slice(key).ok().map(BlockCipher::Aes128),
            32 => Aes256::new_from_slice(key).ok().map(BlockCipher::Aes256),
            _ => None,
        }
    }

    /// Decrypts whole blocks in place. `bytes` is a multiple of the block length.
    fn decrypt(&self, iv: &[u8; BLOCK], bytes: &mut [u8]) {
        fn run<C: aes::cipher::BlockCipherDecrypt<BlockSize = U16> + Clone>(
            cipher: &C,
            iv: &[u8; BLOCK],
            bytes: &mut [u8],
        ) {
            let (blocks, _) = Block::slice_as_chunks_mut(bytes);
            cbc::Decryptor::inner_iv_init(cipher.clone(), &(*iv).into()).decrypt_blocks(blocks);
        }
        match self {
            BlockCipher::Aes128(cipher) => run(cipher, iv, bytes),
            BlockCipher::Aes256(cipher) => run(cipher, iv, bytes),
        }
    }
}

/// How the nonce of an AEAD record is formed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nonce {
    /// The whole IV, xored with the sequence number (RFC 8446 §5.3, RFC 7905 §2).
    Xor,
    /// Four bytes of salt, then eight bytes sent with the record (RFC 5288 §3).
    Explicit,
}

enum Kind {
    Aead { cipher: Aead, iv: [u8; 12], nonce: Nonce },
    Cbc { cipher: BlockCipher, mac: hmac::Key, encrypt_then_mac: bool },
}

/// The content of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// Content type: in TLS 1.3 the one inside.
    pub(super) kind: u8,
    /// Where in the body the content begins.
    pub(super) start: usize,
    /// Length of the content in bytes.
    pub(super) len: usize,
}

/// The keys of one direction in one epoch.
pub(super) struct Opener {
    kind: Kind,
    tls13: bool,
    tag: usize,
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").field("tls13", &self.tls13).finish_non_exhaustive()
    }
}

/// The input of the TLS 1.2 key block (RFC 5246 §6.3).
pub(super) struct KeyBlock<'a> {
    pub(super) master: &'a [u8],
    pub(super) client_random: &'a [u8; 32],
    pub(super) server_random: &'a [u8; 32],
    pub(super) version: Version,
    pub(super) encrypt_then_mac: bool,
}

impl Opener {
    /// From a TLS 1.3 traffic secret (RFC 8446 §7.3). `None` when the secret does not fit the suite.
    pub(super) fn tls13(parameters: Parameters, secret: &[u8]) -> Option<Opener> {
        if !parameters.tls13 || secret.len() != parameters.hash.len() {
            return None;
        }
        let key_len = match parameters.protection {
            Protection::Aes128Gcm => 16,
            Protection::Aes256Gcm | Protection::ChaCha20Poly1305 => 32,
            Protection::Ccm { key, .. } => usize::from(key),
            Protection::Cbc { .. } => return None,
        };
        let (mut key, mut iv) = ([0; 32], [0; 12]);
        expand_label(parameters.hash, secret, b"key", &mut key[..key_len])?;
        expand_label(parameters.hash, secret, b"iv", &mut iv)?;
        let cipher = Aead::new(parameters.protection, &key[..key_len])?;
        Some(Opener { kind: Kind::Aead { cipher, iv, nonce: Nonce::Xor }, tls13: true, tag: parameters.tag() })
    }

    /// From a master secret (RFC 5246 §6.3), for what the client sends or the server sends.
    pub(super) fn tls12(parameters: Parameters, block: &KeyBlock<'_>, from_client: bool) -> Option<Opener> {
        if parameters.tls13 || block.version != Version::TLS12 {
            return None;
        }
        let (mac_len, key_len, iv_len) = match parameters.protection {
            Protection::Aes128Gcm => (0, 16, 4),
            Protection::Aes256Gcm => (0, 32, 4),
            Protection::ChaCha20Poly1305 => (0, 32, 12),
            Protection::Ccm { key, .. } => (0, usize::from(key), 4),
            Protection::Cbc { key, mac } => (mac.len(), usize::from(key), 0),
        };
        let mut bytes = [0; 2 * (48 + 32 + 12)];
        let bytes = &mut bytes[..2 * (mac_len + key_len + iv_len)];
        let seeds: [&[u8]; 2] = [block.server_random, block.client_random];
        prf(parameters.hash, block.master, b"key expansion", seeds, bytes);
        // client MAC, server MAC, client key, server key, client IV, server IV
        let side = usize::from(!from_client);
        let (macs, rest) = bytes.split_at(2 * mac_len);
        let (keys, ivs) = rest.split_at(2 * key_len);
        let mac_key = &macs[side * mac_len..(side + 1) * mac_len];
        let key = &keys[side * key_len..(side + 1) * key_len];
        let fixed_iv = &ivs[side * iv_len..(side + 1) * iv_len];
        let kind = if let Protection::Cbc { mac, .. } = parameters.protection {
            let mac = hmac::Key::new(mac.algorithm(), mac_key);
            Kind::Cbc { cipher: BlockCipher::new(key)?, mac, encrypt_then_mac: block.encrypt_then_mac }
        } else {
            let mut iv = [0; 12];
            iv[..iv_len].copy_from_slice(fixed_iv);
            let nonce = if iv_len == 4 { Nonce::Explicit } else { Nonce::Xor };
            Kind::Aead { cipher: Aead::new(parameters.protection, key)?, iv, nonce }
        };
        Some(Opener { kind, tls13: false, tag: parameters.tag() })
    }

    /// By how many bytes a record's body exceeds its content; `None` with block padding, where that varies. (TLS 1.3
    /// allows padding too; the value holds without it.)
    pub(super) fn overhead(&self) -> Option<usize> {
        match &self.kind {
            Kind::Aead { nonce: Nonce::Explicit, .. } => Some(8 + self.tag),
            Kind::Aead { .. } => Some(self.tag + usize::from(self.tls13)),
            Kind::Cbc { .. } => None,
        }
    }

    /// The part of the nonce sent with the record (TLS 1.2 GCM and CCM).
    pub(super) fn explicit_nonce(&self, body: &[u8]) -> Option<u64> {
        match &self.kind {
            Kind::Aead { nonce: Nonce::Explicit, .. } => {
                body.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
            }
            _ => None,
        }
    }

    /// The shortest body a record can have.
    pub(super) fn least(&self) -> usize {
        self.overhead().unwrap_or(2 * BLOCK)
    }

    /// Opens a record in place. `None` when it does not authenticate as number `sequence`; `body` is garbage then.
    pub(super) fn open(&self, sequence: u64, header: Header, body: &mut [u8]) -> Option<Opened> {
        match &self.kind {
            Kind::Aead { cipher, iv, nonce } => {
                let mut full = *iv;
                let start = match nonce {
                    Nonce::Xor => {
                        for (byte, number) in full[4..].iter_mut().zip(sequence.to_be_bytes()) {
                            *byte ^= number;
                        }
                        0
                    }
                    Nonce::Explicit => {
                        full[4..].copy_from_slice(body.get(..8)?);
                        8
                    }
                };
                let content = body.len().checked_sub(start + self.tag)?;
                let len = if self.tls13 {
                    cipher.open(full, &header.to_bytes(), &mut body[start..])?
                } else {
                    cipher.open(full, &pseudo_header(sequence, header, content)?, &mut body[start..])?
                };
                if !self.tls13 {
                    return Some(Opened { kind: header.kind, start, len });
                }
                // RFC 8446 §5.4: the last octet that is not zero is the content type.
                let end = body[start..start + len].iter().rposition(|&byte| byte != 0)?;
                Some(Opened { kind: body[start + end], start, len: end })
            }
            Kind::Cbc { cipher, mac, encrypt_then_mac } => {
                open_cbc(cipher, mac, *encrypt_then_mac, sequence, header, body)
            }
        }
    }
}

/// RFC 5246 §6.2.3.2 and RFC 7366 §3: an explicit IV, then blocks; the MAC inside or behind them.
fn open_cbc(
    cipher: &BlockCipher,
    mac: &hmac::Key,
    encrypt_then_mac: bool,
    sequence: u64,
    header: Header,
    body: &mut [u8],
) -> Option<Opened> {
    let mac_len = mac.algorithm().digest_algorithm().output_len();
    let mut end = body.len();
    if encrypt_then_mac {
        end = end.checked_sub(mac_len)?;
        let mut context = hmac::Context::with_key(mac);
        context.update(&pseudo_header(sequence, header, end)?);
        context.update(&body[..end]);
        if context.sign().as_ref() != &body[end..] {
            return None;
        }
    }
    let iv = *body.first_chunk::<BLOCK>()?;
    if end < 2 * BLOCK || !end.is_multiple_of(BLOCK) {
        return None;
    }
    cipher.decrypt(&iv, &mut body[BLOCK..end]);
    // RFC 5246 §6.2.3.2: every padding octet holds the padding's length, the length octet not counted.
    let padding = usize::from(body[end - 1]) + 1;
    let content = end.checked_sub(BLOCK + padding)?;
    if body[end - padding..end].iter().any(|&byte| usize::from(byte) + 1 != padding) {
        return None;
    }
    if encrypt_then_mac {
        return Some(Opened { kind: header.kind, start: BLOCK, len: content });
    }
    let len = content.checked_sub(mac_len)?;
    let mut context = hmac::Context::with_key(mac);
    context.update(&pseudo_header(sequence, header, len)?);
    context.update(&body[BLOCK..BLOCK + len]);
    (context.sign().as_ref() == &body[BLOCK + len..BLOCK + len + mac_len]).then_some(Opened {
        kind: header.kind,
        start: BLOCK,
        len,
    })
}

/// Sequence number, type, version and content length: what TLS 1.2 authenticates beside the content.
fn pseudo_header(sequence: u64, header: Header, content: usize) -> Option<[u8; 8 + HEADER_LEN]> {
    let mut bytes = [0; 8 + HEADER_LEN];
    bytes[..8].copy_from_slice(&sequence.to_be_bytes());
    bytes[8..].copy_from_slice(&Header { length: u16::try_from(content).ok()?, ..header }.to_bytes());
    Some(bytes)
}

impl Mac {
    const fn len(self) -> usize {
        match self {
            Mac::Sha1 => 20,
            Mac::Sha256 => 32,
            Mac::Sha384 => 48,
        }
    }

    fn algorithm(self) -> hmac::Algorithm {
        match self {
            Mac::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Mac::Sha256 => hmac::HMAC_SHA256,
            Mac::Sha384 => hmac::HMAC_SHA384,
        }
    }
}

#[cfg(test)]
mod tests {
    use aes::cipher::{BlockModeEncrypt, KeyIvInit};

    use super::super::suite::CipherSuite;
    use super::*;

    const BLOCK_OF_KEYS: KeyBlock<'_> = KeyBlock {
        master: &[7; 48],
        client_random: &[1; 32],
        server_random: &[2; 32],
        version: Version::TLS12,
        encrypt_then_mac: false,
    };

    /// MAC key and cipher key of the client, taken from the key block as RFC 5246 §6.3 lays it out.
    fn client_keys(parameters: Parameters, mac_len: usize, key_len: usize) -> (Vec<u8>, Vec<u8>) {
        let mut block = vec![0; 2 * (mac_len + key_len)];
        prf(parameters.hash, &[7; 48], b"key expansion", [&[2; 32], &[1; 32]], &mut block);
        (block[..mac_len].to_vec(), block[2 * mac_len..][..key_len].to_vec())
    }

    /// What a sender of a CBC record does, written down independently of how it is opened.
    fn seal_cbc(
        key: &[u8],
        mac: &hmac::Key,
        encrypt_then_mac: bool,
        sequence: u64,
        content: &[u8],
        padding_blocks: usize,
    ) -> Vec<u8> {
        let signed = |text: &[u8]| {
            let mut bytes = sequence.to_be_bytes().to_vec();
            bytes.extend_from_slice(&[23, 3, 3]);
            bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
            bytes.extend_from_slice(text);
            hmac::sign(mac, &bytes).as_ref().to_vec()
        };
        let mut text = content.to_vec();
        if !encrypt_then_mac {
            text.extend(signed(content));
        }
        let padding = BLOCK - text.len() % BLOCK + padding_blocks * BLOCK;
        text.extend(std::iter::repeat_n(padding as u8 - 1, padding));
        let iv = [sequence as u8 ^ 0x5c; BLOCK];
        let (blocks, _) = Block::slice_as_chunks_mut(&mut text);
        match key.len() {
            16 => cbc::Encryptor::<Aes128>::new_from_slices(key, &iv).unwrap().encrypt_blocks(blocks),
            _ => cbc::Encryptor::<Aes256>::new_from_slices(key, &iv).unwrap().encrypt_blocks(blocks),
        }
        let mut record = [&iv[..], &text].concat();
        if encrypt_then_mac {
            record.extend(signed(&record));
        }
        record
    }

    #[test]
    fn block_ciphers_open_with_either_order_of_mac_and_encryption() {
        // SHA-1, SHA-256 and SHA-384 MACs; AES-128 and AES-256.
        for (suite, mac_len, key_len) in
            [(0x002f, 20, 16), (0x0035, 20, 32), (0x003c, 32, 16), (0xc028, 48, 32), (0xc027, 32, 16)]
        {
            let parameters = Parameters::of(CipherSuite(suite)).unwrap();
            let Protection::Cbc { mac, .. } = parameters.protection else { panic!("a CBC suite") };
            let (mac_key, key) = client_keys(parameters, mac_len, key_len);
            let mac_key = hmac::Key::new(mac.algorithm(), &mac_key);
            for encrypt_then_mac in [false, true] {
                let block = KeyBlock { encrypt_then_mac, ..BLOCK_OF_KEYS };
                let opener = Opener::tls12(parameters, &block, true).unwrap();
                let other = Opener::tls12(parameters, &block, false).unwrap();
                for len in [0, 1, 15, 16, 17, 300, 16_384] {
                    let content: Vec<u8> = (0..len).map(|at| at as u8).collect();
                    let record = seal_cbc(&key, &mac_key, encrypt_then_mac, 5, &content, len % 4);
                    let header = Header { kind: 23, version: Version::TLS12, length: record.len() as u16 };
                    let mut body = record.clone();
                    let opened = opener.open(5, header, &mut body).expect("it opens");
                    assert_eq!(&body[opened.start..][..opened.len], content);
                    // Neither another number, nor the other side's keys, nor a changed byte is believed.
                    assert_eq!(opener.open(6, header, &mut record.clone()), None);
                    assert_eq!(other.open(5, header, &mut record.clone()), None);
                    for at in [0, BLOCK, record.len() / 2, record.len() - 1] {
                        let mut changed = record.clone();
                        changed[at] ^= 1;
                        assert_eq!(opener.open(5, header, &mut changed), None, "byte {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn counter_with_cbc_mac_opens_in_both_versions() {
        fn seal<C: AeadInOut + KeyInit>(key: &[u8], nonce: &[u8; 12], aad: &[u8], content: &[u8]) -> Vec<u8> {
            let mut text = content.to_vec();
            let nonce = nonce.as_slice().try_into().unwrap();
            let tag =
                C::new_from_slice(key).unwrap().encrypt_inout_detached(nonce, aad, text.as_mut_slice().into()).unwrap();
            text.extend_from_slice(&tag);
            text
        }
        // TLS 1.3: content type inside, nonce from the sequence number.
        for (suite, tag) in [(0x1304, 16), (0x1305, 8)] {
            let parameters = Parameters::of(CipherSuite(suite)).unwrap();
            let opener = Opener::tls13(parameters, &[9; 32]).unwrap();
            let (mut key, mut nonce) = ([0; 16], [0; 12]);
            expand_label(parameters.hash, &[9; 32], b"key", &mut key).unwrap();
            expand_label(parameters.hash, &[9; 32], b"iv", &mut nonce).unwrap();
            nonce[11] ^= 3;
            let header = Header { kind: 23, version: Version::TLS12, length: (5 + 1 + 2 + tag) as u16 };
            let inner = b"hello\x17\0\0";
            let mut body = match tag {
                16 => seal::<Ccm<Aes128, U16, U12>>(&key, &nonce, &header.to_bytes(), inner),
                _ => seal::<Ccm<Aes128, U8, U12>>(&key, &nonce, &header.to_bytes(), inner),
            };
            let mut wrong = body.clone();
            assert_eq!(opener.open(3, header, &mut body), Some(Opened { kind: 23, start: 0, len: 5 }));
            assert_eq!(&body[..5], b"hello");
            assert_eq!(opener.open(2, header, &mut wrong), None);
        }
        // TLS 1.2: salt from the key block, the rest of the nonce with the record.
        for (suite, tag, key_len) in [(0xc09c, 16, 16), (0xc09d, 16, 32), (0xc0a0, 8, 16), (0xc0af, 8, 32)] {
            let parameters = Parameters::of(CipherSuite(suite)).unwrap();
            let opener = Opener::tls12(parameters, &BLOCK_OF_KEYS, true).unwrap();
            let mut block = vec![0; 2 * (key_len + 4)];
            prf(parameters.hash, &[7; 48], b"key expansion", [&[2; 32], &[1; 32]], &mut block);
            let mut nonce = [0x33; 12];
            nonce[..4].copy_from_slice(&block[2 * key_len..][..4]);
            let header = Header { kind: 22, version: Version::TLS12, length: (8 + 5 + tag) as u16 };
            let aad = pseudo_header(77, header, 5).unwrap();
            let key = &block[..key_len];
            let sealed = match (tag, key_len) {
                (16, 16) => seal::<Ccm<Aes128, U16, U12>>(key, &nonce, &aad, b"hello"),
                (16, _) => seal::<Ccm<Aes256, U16, U12>>(key, &nonce, &aad, b"hello"),
                (_, 16) => seal::<Ccm<Aes128, U8, U12>>(key, &nonce, &aad, b"hello"),
                _ => seal::<Ccm<Aes256, U8, U12>>(key, &nonce, &aad, b"hello"),
            };
            let mut body = [&nonce[4..], &sealed].concat();
            assert_eq!(opener.open(77, header, &mut body), Some(Opened { kind: 22, start: 8, len: 5 }));
            assert_eq!(&body[8..13], b"hello");
        }
    }

    #[test]
    fn records_too_short_to_be_any_are_closed() {
        let suites = [0x1301, 0x1303, 0x1305, 0xc02f, 0xcca8, 0xc0ae, 0x002f, 0xc028];
        for suite in suites {
            let parameters = Parameters::of(CipherSuite(suite)).unwrap();
            let openers = if parameters.tls13 {
                vec![Opener::tls13(parameters, &vec![3; parameters.hash.len()]).unwrap()]
            } else {
                [false, true]
                    .map(|encrypt_then_mac| {
                        Opener::tls12(parameters, &KeyBlock { encrypt_then_mac, ..BLOCK_OF_KEYS }, true).unwrap()
                    })
                    .into()
            };
            for opener in openers {
                for len in 0..200 {
                    let header = Header { kind: 23, version: Version::TLS12, length: len };
                    assert_eq!(opener.open(0, header, &mut vec![0; usize::from(len)]), None, "{suite:x} {len}");
                }
            }
        }
    }

    #[test]
    fn a_secret_of_another_length_makes_no_keys() {
        let parameters = Parameters::of(CipherSuite(0x1301)).unwrap();
        assert!(Opener::tls13(parameters, &[1; 48]).is_none());
        assert!(Opener::tls12(parameters, &BLOCK_OF_KEYS, true).is_none());
        let old = KeyBlock { version: Version::TLS10, ..BLOCK_OF_KEYS };
        assert!(Opener::tls12(Parameters::of(CipherSuite(0x002f)).unwrap(), &old, true).is_none());
    }
}
