//! What is visibly wrong with the certificate that the server showed.

use crate::diagnosis::context::Session;
use crate::stream::Stamp;
use crate::tls::{Certificate, CertificateChain, TlsFacts, Version};

/// Authorities known to everybody, none of which signs servers' certificates with its root: a lone certificate of
/// theirs lacks its intermediate.
const PUBLIC_AUTHORITIES: [&str; 24] = [
    "actalis",
    "amazon",
    "buypass",
    "certum",
    "cloudflare",
    "comodo",
    "digicert",
    "entrust",
    "geotrust",
    "globalsign",
    "godaddy",
    "google trust services",
    "identrust",
    "let's encrypt",
    "quovadis",
    "rapidssl",
    "sectigo",
    "ssl corp",
    "ssl.com",
    "starfield",
    "swisssign",
    "thawte",
    "trustasia",
    "zerossl",
];

/// Words that authorities put into the names of their intermediates.
const INTERMEDIATE_WORDS: [&str; 4] = ["intermediate", "issuing", "subordinate", "sub ca"];

/// Products that open TLS on the way, by the names in the certificates they make.
const INTERCEPTORS: [(&str, &str); 26] = [
    ("avast", "Avast"),
    ("avg", "AVG"),
    ("barracuda", "Barracuda"),
    ("bitdefender", "Bitdefender"),
    ("blue coat", "Blue Coat"),
    ("bluecoat", "Blue Coat"),
    ("charles proxy", "Charles Proxy"),
    ("check point", "Check Point"),
    ("cisco umbrella", "Cisco Umbrella"),
    ("do_not_trust_fiddlerroot", "Fiddler"),
    ("eset", "ESET"),
    ("forcepoint", "Forcepoint"),
    ("fortigate", "Fortinet"),
    ("fortinet", "Fortinet"),
    ("kaspersky", "Kaspersky"),
    ("mcafee", "McAfee"),
    ("mitmproxy", "mitmproxy"),
    ("netskope", "Netskope"),
    ("palo alto networks", "Palo Alto Networks"),
    ("portswigger", "Burp Suite"),
    ("skyhigh", "Skyhigh"),
    ("sonicwall", "SonicWall"),
    ("sophos", "Sophos"),
    ("watchguard", "WatchGuard"),
    ("websense", "Websense"),
    ("zscaler", "Zscaler"),
];

const SECONDS_PER_DAY: i64 = 86_400;
/// Longest name shown in a sentence, in characters.
const SHOWN: usize = 80;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its time is over, or has not begun.
    Time,
    /// It signed itself.
    SelfSigned,
    /// It is for other names.
    Name,
    /// A product that opens TLS on the way made it.
    Interceptor(&'static str),
    /// It came alone, and whoever signed it was not sent along.
    Lonely,
}

/// The certificate a server showed, at the time it did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) chain: &'a CertificateChain,
    pub(crate) leaf: &'a Certificate,
    /// Name the client asked for.
    asked: Option<&'a str>,
    /// The server's address, which is what a client that asked for no name has most likely connected to.
    address: std::net::IpAddr,
    /// The name in the greeting may be a public one in place of the name the client wants (encrypted ClientHello;
    /// browsers send the extension always, mostly without meaning). Up to TLS 1.2 it never counts.
    name_uncertain: bool,
}

impl<'a> Shown<'a> {
    pub(crate) fn of(session: &Session<'a>, tls: &'a TlsFacts) -> Option<Self> {
        let chain = tls.server_certificates.as_ref()?;
        Some(Self {
            chain,
            leaf: chain.leaf()?,
            asked: tls.server_name(),
            address: session.tcp().server.ip,
            name_uncertain: tls.version() == Some(Version::TLS13)
                && tls.client_hello.as_ref().is_some_and(|hello| hello.encrypted_client_hello),
        })
    }

    pub(crate) fn stamp(&self) -> Stamp {
        self.chain.stamp
    }

    fn now(&self) -> i64 {
        self.chain.stamp.at.div_euclid(1_000_000_000)
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        match fault {
            Fault::Time => !self.leaf.valid_at(self.now()),
            Fault::SelfSigned => self.leaf.self_signed,
            Fault::Name => !self.covers(),
            Fault::Interceptor(_) => self.interceptor().is_some(),
            Fault::Lonely => self.chain.lacks_issuer(),
        }
    }

    /// Whether it is for the name that was asked for, or without one for the server's address.
    fn covers(&self) -> bool {
        match self.asked {
            Some(name) => self.leaf.covers(name),
            None => self.leaf.covers(&self.address.to_string()),
        }
    }

    /// The fault that explains best why a client without a word of its own refuses it.
    pub(crate) fn worst(&self) -> Option<Fault> {
        [Fault::Time, Fault::SelfSigned, Fault::Name]
            .into_iter()
            .find(|fault| self.has(*fault))
            .or_else(|| self.interceptor().map(Fault::Interceptor))
            .or_else(|| self.has(Fault::Lonely).then_some(Fault::Lonely))
    }

    /// The product that made the certificate, by the issuer's name.
    pub(crate) fn interceptor(&self) -> Option<&'static str> {
        self.chain.certificates.iter().find_map(|certificate| interceptor(&certificate.issuer))
    }

    /// A certificate of the chain, not the server's own, whose time is over or has not begun.
    pub(crate) fn other_out_of_time(&self) -> Option<&'a Certificate> {
        self.chain.certificates.iter().skip(1).find(|certificate| !certificate.valid_at(self.now()))
    }

    /// Whether what is missing is most likely an intermediate rather than trust in a root.
    pub(crate) fn lacks_intermediate(&self) -> bool {
        let issuer = self.leaf.issuer.to_ascii_lowercase();
        self.chain.lacks_issuer()
            && PUBLIC_AUTHORITIES.iter().chain(&INTERMEDIATE_WORDS).any(|name| issuer.contains(name))
    }

    /// Whose certificate it is, for a sentence.
    pub(crate) fn owner(&self) -> String {
        let own = self.leaf.common_name.clone().or_else(|| self.leaf.names.first().map(ToString::to_string));
        short(own.as_deref().unwrap_or(&self.leaf.subject))
    }

    /// Who signed it, for a sentence.
    pub(crate) fn issuer(&self) -> String {
        let common_name = self.leaf.issuer.split("CN=").nth(1).and_then(|rest| rest.split(',').next());
        short(common_name.unwrap_or(&self.leaf.issuer).trim())
    }

    /// The names it is for, the first few of them.
    pub(crate) fn names(&self) -> String {
        const FIRST: usize = 3;
        let mut names: Vec<String> = self.leaf.names.iter().take(FIRST).map(|name| short(&name.to_string())).collect();
        if names.is_empty() {
            return self.owner();
        }
        let more = (self.leaf.names_sent as usize).saturating_sub(names.len());
        if more > 0 {
            names.push(format!("{more} more"));
        }
        names.join(", ")
    }

    /// What the client wanted to reach.
    pub(crate) fn wanted(&self) -> String {
        self.asked.map_or_else(|| self.address.to_string(), short)
    }

    /// Whether the name that is visible is surely the one the client wants.
    pub(crate) fn name_is_sure(&self) -> bool {
        self.asked.is_some() && !self.name_uncertain
    }

    /// Whether the client named the server it wants.
    pub(crate) fn named(&self) -> bool {
        self.asked.is_some()
    }

    /// When it expired or becomes valid, as the predicate of a sentence; `None` while it is valid.
    pub(crate) fn out_of_time(&self) -> Option<String> {
        out_of_time(self.leaf, self.now())
    }

    /// Its time has not begun.
    pub(crate) fn is_early(&self) -> bool {
        self.now() < self.leaf.not_before
    }

    /// Last day of its validity.
    pub(crate) fn valid_until(&self) -> String {
        day(self.leaf.not_after)
    }

    /// Other faults that are visible besides `fault`, for an explanation.
    pub(crate) fn besides(&self, fault: Fault) -> Option<&'static str> {
        [
            (Fault::Time, "its time is over or has not begun"),
            (Fault::SelfSigned, "it is self-signed"),
            (Fault::Name, "it is for other names"),
        ]
        .into_iter()
        .find(|(other, _)| *other != fault && self.has(*other))
        .map(|(_, words)| words)
    }
}

/// `expired on 2026-11-09, 12 days before this connection`.
pub(crate) fn out_of_time(certificate: &Certificate, now: i64) -> Option<String> {
    let days = |seconds: i64| match seconds / SECONDS_PER_DAY {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    if now > certificate.not_after {
        let ago = days(now.saturating_sub(certificate.not_after));
        Some(format!("expired on {}, {ago} before this connection", day(certificate.not_after)))
    } else if now < certificate.not_before {
        let ahead = days(certificate.not_before.saturating_sub(now));
        Some(format!("is not valid before {}, {ahead} after this connection", day(certificate.not_before)))
    } else {
        None
    }
}

fn interceptor(issuer: &str) -> Option<&'static str> {
    let issuer = issuer.to_ascii_lowercase();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    INTERCEPTORS.iter().find_map(|(name, product)| {
        let at = issuer.find(name)?;
        let before = issuer[..at].chars().next_back().is_some_and(is_part);
        let after = issuer[at + name.len()..].chars().next().is_some_and(is_part);
        (!before && !after).then_some(*product)
    })
}

fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The UTC day of a time in seconds since 1970 (civil calendar, proleptic Gregorian).
fn day(seconds: i64) -> String {
    // Counted from 0000-03-01, so that the leap day ends a year.
    let days = seconds.div_euclid(SECONDS_PER_DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(951_782_400), "2000-02-29");
        assert_eq!(day(1_795_247_679), "2026-11-21");
        assert_eq!(day(4_107_542_399), "2100-02-28");
        assert_eq!(day(-1), "1969-12-31");
    }

    #[test]
    fn products_are_whole_words() {
        assert_eq!(interceptor("CN=ESET SSL Filter CA, O=ESET, spol. s r. o."), Some("ESET"));
        assert_eq!(interceptor("O=Kaspersky Lab, CN=Kaspersky Anti-Virus Personal Root"), Some("Kaspersky"));
        assert_eq!(interceptor("CN=Preset Corp CA"), None);
        assert_eq!(interceptor("O=Zscaler Inc., CN=Zscaler Intermediate Root CA"), Some("Zscaler"));
        assert_eq!(interceptor("CN=Lab Root CA"), None);
    }
}
