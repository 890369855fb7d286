//! X.509 certificates as far as a refused connection needs them (RFC 5280), and name matching (RFC 6125).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Name;

/// Most names kept of one certificate; the number of all is [`Certificate::names_sent`].
pub const MAX_NAMES: usize = 128;
/// Longest text kept of a name or a distinguished name, in bytes.
pub const MAX_TEXT: usize = 512;
/// Most certificates kept of one chain.
pub const MAX_CERTIFICATES: usize = 10;

/// Kind and size of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// RSA with this modulus, in bits.
    Rsa(u32),
    /// An elliptic curve with this field size, in bits.
    Ec(u32),
    /// Edwards curve 25519.
    Ed25519,
    /// Anything else.
    Other,
}

/// A name that a certificate is valid for (subjectAltName, RFC 5280 §4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectName {
    /// A DNS name, perhaps with a wildcard.
    Dns(String),
    /// An IP address.
    Ip(IpAddr),
}

impl std::fmt::Display for SubjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SubjectName::Dns(name) => f.write_str(name),
            SubjectName::Ip(address) => address.fmt(f),
        }
    }
}

/// The fields of a certificate that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Distinguished name of its owner, as `C=…, O=…, CN=…`.
    pub subject: String,
    /// Distinguished name of its issuer.
    pub issuer: String,
    /// Common name of the owner.
    pub common_name: Option<String>,
    /// Organization of the issuer, or without one the issuer's common name.
    pub issuer_name: Option<String>,
    /// Serial number in lower-case hexadecimal.
    pub serial: String,
    /// First second of validity, in seconds since 1970-01-01T00:00:00Z.
    pub not_before: i64,
    /// Last second of validity, in seconds since 1970-01-01T00:00:00Z.
    pub not_after: i64,
    /// Issuer and subject are the same, and the key identifiers, where given, do not contradict that.
    pub self_signed: bool,
    /// It may sign other certificates (basicConstraints).
    pub authority: bool,
    /// Names it is valid for, at most [`MAX_NAMES`].
    pub names: Vec<SubjectName>,
    /// How many names it lists.
    pub names_sent: u32,
    /// Its public key.
    pub key: KeyType,
}

impl Certificate {
    /// Parses one DER certificate; `None` if it is none.
    #[must_use]
    pub fn parse(der: &[u8]) -> Option<Certificate> {
        let (_, cert) = X509Certificate::from_der(der).ok()?;
        let mut names = Vec::new();
        let mut names_sent = 0u32;
        let (mut authority, mut subject_key, mut authority_key) = (false, None, None);
        for extension in cert.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(list) => {
                    for name in &list.general_names {
                        let name = match name {
                            GeneralName::DNSName(name) => SubjectName::Dns(bounded(name)),
                            GeneralName::IPAddress(bytes) => match ip(bytes) {
                                Some(address) => SubjectName::Ip(address),
                                None => continue,
                            },
                            _ => continue,
                        };
                        names_sent = names_sent.saturating_add(1);
                        if names.len() < MAX_NAMES {
                            names.push(name);
                        }
                    }
                }
                ParsedExtension::BasicConstraints(constraints) => authority = constraints.ca,
                ParsedExtension::SubjectKeyIdentifier(id) => subject_key = Some(id.0),
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    authority_key = id.key_identifier.as_ref().map(|id| id.0);
                }
                _ => {}
            }
        }
        let same_name = cert.subject().as_raw() == cert.issuer().as_raw();
        let same_key = match (subject_key, authority_key) {
            (Some(own), Some(issuers)) => own == issuers,
            _ => true,
        };
        Some(Certificate {
            subject: text(cert.subject()),
            issuer: text(cert.issuer()),
            common_name: common_name(cert.subject()),
            issuer_name: organization(cert.issuer()).or_else(|| common_name(cert.issuer())),
            serial: hex(cert.raw_serial()),
            not_before: cert.validity().not_before.timestamp(),
            not_after: cert.validity().not_after.timestamp(),
            self_signed: same_name && same_key,
            authority,
            names,
            names_sent,
            key: key_type(&cert),
        })
    }

    /// Whether it is valid for `host`, a DNS name or the text of an IP address (RFC 6125 §6.4). Only a
    /// certificate without any DNS name or address is judged by its common name.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        if self.names_sent > self.names.len() as u32 {
            // Not all names were kept, so absence proves nothing.
            return true;
        }
        if self.names.is_empty() {
            return self.common_name.as_ref().is_some_and(|name| dns_matches(name, host));
        }
        self.names.iter().any(|name| name_matches(name, host))
    }

    /// Whether `seconds` since the epoch lie within its validity.
    #[must_use]
    pub(crate) const fn valid_at(&self, seconds: i64) -> bool {
        self.not_before <= seconds && seconds <= self.not_after
    }
}

/// Whether a name in a certificate covers `host`.
#[must_use]
pub(crate) fn name_matches(name: &SubjectName, host: &str) -> bool {
    match name {
        SubjectName::Dns(pattern) => dns_matches(pattern, host),
        SubjectName::Ip(address) => {
            host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok_and(|host| host == *address)
        }
    }
}

/// RFC 6125 §6.4.3: a wildcard stands for exactly one label, the leftmost, and never matches across a dot.
/// An IP address is never matched by a DNS name.
fn dns_matches(pattern: &str, host: &str) -> bool {
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() || host.parse::<IpAddr>().is_ok() {
        return false;
    }
    if let Some(suffix) = pattern.strip_prefix("*.") {
        return suffix.contains('.')
            && host
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(suffix));
    }
    pattern.eq_ignore_ascii_case(host)
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?))),
        16 => Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))),
        _ => None,
    }
}

fn key_type(cert: &X509Certificate<'_>) -> KeyType {
    let info = cert.public_key();
    if info.algorithm.algorithm.to_id_string() == "1.3.101.112" {
        return KeyType::Ed25519;
    }
    match info.parsed() {
        Ok(PublicKey::RSA(key)) => KeyType::Rsa(u32::try_from(key.key_size()).unwrap_or(u32::MAX)),
        Ok(PublicKey::EC(point)) => KeyType::Ec(u32::try_from(point.key_size()).unwrap_or(u32::MAX)),
        _ => KeyType::Other,
    }
}

fn text(name: &X509Name<'_>) -> String {
    bounded(&name.to_string())
}

fn common_name(name: &X509Name<'_>) -> Option<String> {
    name.iter_common_name().next().and_then(|attribute| attribute.as_str().ok()).map(bounded)
}

fn organization(name: &X509Name<'_>) -> Option<String> {
    name.iter_organization().next().and_then(|attribute| attribute.as_str().ok()).map(bounded)
}

fn bounded(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len().min(MAX_TEXT / 2) * 2);
    for &byte in bytes.iter().take(MAX_TEXT / 2) {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The certificates of one chain, parsed; those that could not be read are only counted.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) certificates: Vec<Certificate>,
    pub(super) sent: u32,
}

impl Chain {
    pub(super) fn push(&mut self, der: &[u8]) {
        self.sent = self.sent.saturating_add(1);
        if self.certificates.len() < MAX_CERTIFICATES {
            self.certificates.extend(Certificate::parse(der));
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

    use super::super::CertificateChain;
    use super::*;

    fn chain() -> Vec<Vec<u8>> {
        let named = |name: &str, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let mut params = CertificateParams::new(names).unwrap();
            params.distinguished_name = Default::default();
            params.distinguished_name.push(DnType::OrganizationName, "Example Org");
            params.distinguished_name.push(DnType::CommonName, name);
            params.use_authority_key_identifier_extension = true;
            (params, KeyPair::generate().unwrap())
        };
        let (mut root, root_key) = named("Root", &[]);
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_der = root.self_signed(&root_key).unwrap().der().to_vec();
        let root = Issuer::new(root, root_key);
        let (mut middle, middle_key) = named("Middle", &[]);
        middle.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let middle_der = middle.signed_by(&middle_key, &root).unwrap().der().to_vec();
        let middle = Issuer::new(middle, middle_key);
        let (mut leaf, leaf_key) = named("leaf.example", &["www.example", "*.example", "fd00::1"]);
        leaf.not_before = date_time_ymd(2024, 1, 1);
        leaf.not_after = date_time_ymd(2025, 1, 1);
        let leaf_der = leaf.signed_by(&leaf_key, &middle).unwrap().der().to_vec();
        vec![leaf_der, middle_der, root_der]
    }

    fn sent(ders: &[&Vec<u8>]) -> CertificateChain {
        let mut chain = Chain::default();
        ders.iter().for_each(|der| chain.push(der));
        CertificateChain { certificates: chain.certificates, sent: chain.sent, ..CertificateChain::default() }
    }

    #[test]
    fn a_certificate_tells_what_it_is_for() {
        let ders = chain();
        let leaf = Certificate::parse(&ders[0]).expect("a certificate");
        assert_eq!(
            (leaf.subject.as_str(), leaf.issuer.as_str()),
            ("O=Example Org, CN=leaf.example", "O=Example Org, CN=Middle")
        );
        assert_eq!(
            (leaf.common_name.as_deref(), leaf.issuer_name.as_deref()),
            (Some("leaf.example"), Some("Example Org"))
        );
        assert_eq!((leaf.not_before, leaf.not_after), (1_704_067_200, 1_735_689_600));
        assert!(
            leaf.valid_at(1_704_067_200)
                && leaf.valid_at(1_735_689_600)
                && !leaf.valid_at(1_735_689_601)
                && !leaf.valid_at(0)
        );
        assert!(!leaf.self_signed && !leaf.authority && leaf.key == KeyType::Ec(256));
        assert_eq!(
            leaf.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["www.example", "*.example", "fd00::1"]
        );
        assert!(leaf.covers("WWW.Example.") && leaf.covers("fd00:0:0::1") && leaf.covers("[fd00::1]"));
        // A wildcard needs two labels behind it, and names in the list silence the common name.
        assert!(
            !leaf.covers("api.example") && !leaf.covers("leaf.example") && !leaf.covers("example") && !leaf.covers("")
        );
        let root = Certificate::parse(&ders[2]).expect("a certificate");
        assert!(root.self_signed && root.authority && root.covers("root") && !root.covers("other"));
    }

    #[test]
    fn a_chain_tells_whether_it_holds_together() {
        let ders = chain();
        let [leaf, middle, root] = ders.as_slice() else { panic!("three certificates") };
        assert!(sent(&[leaf]).lacks_issuer());
        assert!(!sent(&[leaf, middle]).lacks_issuer() && !sent(&[root]).lacks_issuer() && !sent(&[]).lacks_issuer());
        let many = sent(&[leaf; 12]);
        assert_eq!((many.sent, many.certificates.len()), (12, MAX_CERTIFICATES));
        let junk = vec![1, 2, 3];
        assert_eq!((sent(&[&junk]).sent, sent(&[&junk]).leaf()), (1, None));
    }

    #[test]
    fn wildcards_stand_for_one_label() {
        for (pattern, host, matches) in [
            ("*.a.b", "x.a.b", true),
            ("*.a.b", "X.A.B", true),
            ("*.a.b", "y.x.a.b", false),
            ("*.a.b", "a.b", false),
            ("*.a.b", ".a.b", false),
            ("*.b", "x.b", false),
            ("x*.a.b", "xy.a.b", false),
            ("10.0.0.1", "10.0.0.1", false),
            ("a.b", "a.b.", true),
        ] {
            assert_eq!(dns_matches(pattern, host), matches, "{pattern} {host}");
        }
    }

    #[test]
    fn every_front_of_a_certificate_is_none() {
        let ders = chain();
        for len in 0..ders[0].len() {
            assert_eq!(Certificate::parse(&ders[0][..len]), None);
        }
    }
}
