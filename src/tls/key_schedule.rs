//! Key derivation: HKDF-Expand-Label (RFC 8446 §7.1) and the TLS 1.2 PRF (RFC 5246 §5).

use ring::{hkdf, hmac};

use super::suite::Hash;

struct Len(usize);

impl hkdf::KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// Derives `out.len()` bytes from a traffic secret, with an empty context. `None` only for lengths that
/// HKDF does not allow.
pub(super) fn expand_label(hash: Hash, secret: &[u8], label: &[u8], out: &mut [u8]) -> Option<()> {
    let algorithm = match hash {
        Hash::Sha256 => hkdf::HKDF_SHA256,
        Hash::Sha384 => hkdf::HKDF_SHA384,
    };
    let len = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_len = [u8::try_from(b"tls13 ".len() + label.len()).ok()?];
    let info: [&[u8]; 5] = [&len, &label_len, b"tls13 ", label, &[0]];
    hkdf::Prk::new_less_safe(algorithm, secret).expand(&info, Len(out.len())).ok()?.fill(out).ok()
}

/// The TLS 1.2 PRF: P_hash(secret, label + seed), with the suite's hash.
pub(super) fn prf(hash: Hash, secret: &[u8], label: &[u8], seeds: [&[u8]; 2], out: &mut [u8]) {
    let algorithm = match hash {
        Hash::Sha256 => hmac::HMAC_SHA256,
        Hash::Sha384 => hmac::HMAC_SHA384,
    };
    let key = hmac::Key::new(algorithm, secret);
    let with_seed = |first: &[u8]| {
        let mut context = hmac::Context::with_key(&key);
        context.update(first);
        context.update(label);
        seeds.iter().for_each(|seed| context.update(seed));
        context.sign()
    };
    // A(1) = HMAC(secret, A(0)), A(0) = label + seed
    let mut a = with_seed(&[]);
    for chunk in out.chunks_mut(hash.len()) {
        let block = with_seed(a.as_ref());
        chunk.copy_from_slice(&block.as_ref()[..chunk.len()]);
        a = hmac::sign(&key, a.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// RFC 8448 §3, "Simple 1-RTT Handshake": server handshake traffic secret → write key and iv.
    #[test]
    fn labels_expand_as_in_rfc_8448() {
        let secret = unhex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
        let (mut key, mut iv) = ([0; 16], [0; 12]);
        expand_label(Hash::Sha256, &secret, b"key", &mut key).unwrap();
        expand_label(Hash::Sha256, &secret, b"iv", &mut iv).unwrap();
        assert_eq!(key.to_vec(), unhex("3fce516009c21727d0f2e4e86ee403bc"));
        assert_eq!(iv.to_vec(), unhex("5d313eb2671276ee13000b30"));
    }

    /// The well-known TLS 1.2 PRF test vectors published on the IETF TLS list (SHA-256 and SHA-384).
    #[test]
    fn prf_gives_the_known_answers() {
        let mut out = [0; 100];
        prf(
            Hash::Sha256,
            &unhex("9bbe436ba940f017b17652849a71db35"),
            b"test label",
            [&unhex("a0ba9f936cda311827a6f796ffd5198c"), &[]],
            &mut out,
        );
        let expected = "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af0f\
                        a022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff70187347b66";
        assert_eq!(out.to_vec(), unhex(expected));
        let mut out = [0; 148];
        prf(
            Hash::Sha384,
            &unhex("b80b733d6ceefcdc71566ea48e5567df"),
            b"test label",
            [&unhex("cd665cf6a8447dd6ff8b27555edb7465"), &[]],
            &mut out,
        );
        let expected = "7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cde9ca0faa60be9fe34f82b1233c9146a0e5\
                        34cb400fed2700884f9dc236f80edd8bfa961144c9e8d792eca722a7b32fc3d416d473ebc2c5fd4abfdad05d9184259b5bf8cd\
                        4d90fa0d31e2dec479e4f1a26066f2eea9a69236a3e52655c9e9aee691c8f3a26854308d5eaa3be85e0990703d73e56f";
        assert_eq!(out.to_vec(), unhex(expected));
    }
}
