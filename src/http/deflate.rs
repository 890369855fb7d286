//! The negotiation of permessage-deflate (RFC 7692 §7), by offer and answer.

use smallvec::SmallVec;

use super::extension::{Extension, ExtensionList};
use super::field_name::Name;
use super::head::{Head, Presence};
use crate::stream::Side;

/// The parameters in force on a connection with permessage-deflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deflate {
    /// The server starts every message with an empty window.
    pub server_no_context_takeover: bool,
    /// The client starts every message with an empty window.
    pub client_no_context_takeover: bool,
    /// Base-2 logarithm of the server's window in bytes, 8 to 15.
    pub server_max_window_bits: u8,
    /// Base-2 logarithm of the client's window in bytes, 8 to 15.
    pub client_max_window_bits: u8,
}

/// What is known about compression after the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// The answer agrees on none.
    Off,
    /// The answer agrees on permessage-deflate with these parameters, whether or not it was allowed to.
    On(Deflate),
    /// The answer's head was cut before it could say.
    Unknown,
}

/// Something illegal in the negotiation of an extension: [`Violation::deed`] names what was done, [`Violation::by`] who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Who did it.
    pub by: Side,
    /// What.
    pub deed: Deed,
    /// The parameter or, for [`Deed::ExtensionNotOffered`] and [`Deed::ExtensionRepeated`], the extension.
    pub name: Box<str>,
    /// Its value as sent.
    pub value: Option<Box<str>>,
}

/// What was done against RFC 6455 §9.1 or RFC 7692 §7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// A parameter that permessage-deflate does not define (RFC 7692 §7).
    UnknownParameter,
    /// The same parameter twice (RFC 7692 §7).
    DuplicateParameter,
    /// A value on a parameter that takes none (RFC 7692 §7.1.1).
    ValueNotAllowed,
    /// No value where one is needed (RFC 7692 §7.1.2).
    ValueMissing,
    /// Window bits that are no plain decimal number from 8 to 15 (RFC 7692 §7.1.2).
    BitsOutOfRange,
    /// The answer switches on an extension that was not offered (RFC 6455 §4.1, step 5 on the answer).
    ExtensionNotOffered,
    /// The answer accepts permessage-deflate more than once (RFC 7692 §5).
    ExtensionRepeated,
    /// The answer sets `client_max_window_bits`, which no offer mentioned (RFC 7692 §7.1.2.2).
    ParameterNotOffered,
    /// The answer grants more window bits than the offer, or leaves the offered bound out (RFC 7692 §7.1.2).
    BitsAboveOffer,
    /// The offer demands `server_no_context_takeover` and the answer leaves it out (RFC 7692 §7.1.1.1).
    DemandIgnored,
}

/// The extension's name.
pub const PERMESSAGE_DEFLATE: &str = "permessage-deflate";

/// What one element of the list asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// Present, and with which value.
    client_max_window_bits: Option<Option<u8>>,
}

/// The extensions of one head; the usual ones are read without building an [`ExtensionList`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extensions {
    /// There is no such field.
    None,
    /// permessage-deflate alone, with parameters that RFC 7692 allows.
    Deflate(Parameters),
    /// Anything else: to be read as an [`ExtensionList`].
    Other,
}

impl Extensions {
    /// The extensions of `head`, sent by `by`.
    pub(super) fn of(head: &Head, by: Side) -> Extensions {
        match head.only(Name::SecWebSocketExtensions) {
            Some(value) => lone_deflate(value, by).map_or(Extensions::Other, Extensions::Deflate),
            None if head.count(Name::SecWebSocketExtensions) == Presence::Several => Extensions::Other,
            None => Extensions::None,
        }
    }
}

/// The parameters, if a list consists of one legal element for permessage-deflate in its usual spelling.
fn lone_deflate(value: &str, by: Side) -> Option<Parameters> {
    let mut rest = value.strip_prefix(PERMESSAGE_DEFLATE)?;
    let mut parameters = Parameters::default();
    while !rest.is_empty() {
        rest = rest.strip_prefix(';')?;
        rest = rest.strip_prefix(' ').unwrap_or(rest);
        let end = rest.bytes().position(|byte| byte == b';').unwrap_or(rest.len());
        let (parameter, behind) = rest.split_at(end);
        rest = behind;
        let again = if parameter == "client_max_window_bits" && by == Side::Client {
            parameters.client_max_window_bits.replace(None).is_some()
        } else if parameter == "client_no_context_takeover" {
            std::mem::replace(&mut parameters.client_no_context_takeover, true)
        } else if parameter == "server_no_context_takeover" {
            std::mem::replace(&mut parameters.server_no_context_takeover, true)
        } else if let Some(value) = parameter.strip_prefix("client_max_window_bits=") {
            parameters.client_max_window_bits.replace(Some(bits(value)?)).is_some()
        } else {
            let value = parameter.strip_prefix("server_max_window_bits=")?;
            parameters.server_max_window_bits.replace(bits(value)?).is_some()
        };
        if again {
            return None;
        }
    }
    Some(parameters)
}

/// The result of [`negotiate`] for the usual extensions, if nobody did anything illegal.
pub(super) fn negotiate_usual(offer: &Extensions, answer: &Extensions, answer_complete: bool) -> Option<Compression> {
    match (offer, answer) {
        (Extensions::None | Extensions::Deflate(_), Extensions::None) => {
            Some(if answer_complete { Compression::Off } else { Compression::Unknown })
        }
        (Extensions::Deflate(offer), Extensions::Deflate(agreed)) if compare(offer, agreed).is_empty() => {
            Some(Compression::On(agreed.in_force()))
        }
        _ => None,
    }
}

/// Compares an answer with the offers. `offers_complete` and `answer_complete` say whether the heads were seen whole;
/// nothing is concluded from what was not seen.
#[must_use]
pub(crate) fn negotiate(
    offers: &ExtensionList<'_>,
    offers_complete: bool,
    answer: &ExtensionList<'_>,
    answer_complete: bool,
) -> (Compression, Vec<Violation>) {
    let mut violations = Vec::new();
    let mut legal_offers: SmallVec<[Parameters; 2]> = SmallVec::new();
    for offer in offers.named(PERMESSAGE_DEFLATE) {
        let (parameters, clean) = read(offer, Side::Client, &mut violations);
        if clean {
            legal_offers.push(parameters);
        }
    }
    let offered = |name: &str| offers.named(name).next().is_some();
    let all_offers_seen = offers_complete && !offers.truncated && !offers.malformed;
    for (at, extension) in answer.extensions.iter().enumerate() {
        if answer.extensions[..at].iter().any(|earlier| earlier.name.eq_ignore_ascii_case(extension.name)) {
            continue;
        }
        // RFC 6455 §4.1: the client must fail the connection if the answer names an extension it did not ask for.
        if all_offers_seen && !offered(extension.name) {
            violations.push(violation(Side::Server, Deed::ExtensionNotOffered, extension.name, None));
        }
        // RFC 7692 §5: an answer must not accept the same extension by more than one element.
        if extension.name.eq_ignore_ascii_case(PERMESSAGE_DEFLATE) && answer.named(extension.name).nth(1).is_some() {
            violations.push(violation(Side::Server, Deed::ExtensionRepeated, extension.name, None));
        }
    }
    let Some(accepted) = answer.named(PERMESSAGE_DEFLATE).next() else {
        let known = answer_complete && !answer.truncated;
        return (if known { Compression::Off } else { Compression::Unknown }, violations);
    };
    let (agreed, _) = read(accepted, Side::Server, &mut violations);
    // The answer must fit one of the offers; held against the one it fits best.
    if all_offers_seen
        && let Some(mismatch) = legal_offers.iter().map(|offer| compare(offer, &agreed)).min_by_key(Vec::len)
    {
        violations.extend(mismatch);
    }
    (Compression::On(agreed.in_force()), violations)
}

impl Parameters {
    /// What an answer with these parameters puts in force.
    fn in_force(self) -> Deflate {
        Deflate {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: self.server_max_window_bits.unwrap_or(15),
            client_max_window_bits: self.client_max_window_bits.flatten().unwrap_or(15),
        }
    }
}

fn violation(by: Side, deed: Deed, name: &str, value: Option<&str>) -> Violation {
    Violation { by, deed, name: name.into(), value: value.map(Into::into) }
}

/// Reads the parameters; the second value is false when one was illegal.
fn read(extension: &Extension<'_>, by: Side, violations: &mut Vec<Violation>) -> (Parameters, bool) {
    let mut parameters = Parameters::default();
    let before = violations.len();
    for (at, parameter) in extension.parameters.iter().enumerate() {
        let (name, value) = (parameter.name, parameter.value.as_deref());
        let mut note = |deed| violations.push(violation(by, deed, name, value));
        // RFC 7692 §7: an element with the same parameter twice must be declined (offer) or fail the connection (answer).
        if extension.parameters[..at].iter().any(|earlier| earlier.name == name) {
            note(Deed::DuplicateParameter);
            continue;
        }
        match name {
            "server_no_context_takeover" | "client_no_context_takeover" => {
                // RFC 7692 §7.1.1: these parameters have no value.
                if value.is_some() {
                    note(Deed::ValueNotAllowed);
                }
                if name.starts_with("server") {
                    parameters.server_no_context_takeover = true;
                } else {
                    parameters.client_no_context_takeover = true;
                }
            }
            "server_max_window_bits" => match value.map(bits) {
                Some(Some(bits)) => parameters.server_max_window_bits = Some(bits),
                Some(None) => note(Deed::BitsOutOfRange),
                None => note(Deed::ValueMissing),
            },
            "client_max_window_bits" => match value.map(bits) {
                Some(Some(bits)) => parameters.client_max_window_bits = Some(Some(bits)),
                Some(None) => note(Deed::BitsOutOfRange),
                // RFC 7692 §7.1.2.2: without a value only in an offer, as a hint that the client understands it.
                None if by == Side::Client => parameters.client_max_window_bits = Some(None),
                None => note(Deed::ValueMissing),
            },
            _ => note(Deed::UnknownParameter),
        }
    }
    (parameters, violations.len() == before)
}

/// RFC 7692 §7.1.2: a decimal integer from 8 to 15 without leading zeros.
fn bits(value: &str) -> Option<u8> {
    match value {
        "8" => Some(8),
        "9" => Some(9),
        "10" => Some(10),
        "11" => Some(11),
        "12" => Some(12),
        "13" => Some(13),
        "14" => Some(14),
        "15" => Some(15),
        _ => None,
    }
}

/// What in the answer does not fit this offer.
fn compare(offer: &Parameters, agreed: &Parameters) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut note = |deed, name, bits: Option<u8>| {
        found.push(violation(Side::Server, deed, name, bits.map(|bits| bits.to_string()).as_deref()));
    };
    // RFC 7692 §7.1.1.1: a server accepts this demand by repeating it.
    if offer.server_no_context_takeover && !agreed.server_no_context_takeover {
        note(Deed::DemandIgnored, "server_no_context_takeover", None);
    }
    // RFC 7692 §7.1.2.1: a server accepts this bound with the same or a smaller value.
    if let Some(bound) = offer.server_max_window_bits
        && agreed.server_max_window_bits.is_none_or(|bits| bits > bound)
    {
        note(Deed::BitsAboveOffer, "server_max_window_bits", agreed.server_max_window_bits);
    }
    // RFC 7692 §7.1.2.2: not in the answer unless the offer had it, and no greater than the offer's value.
    match (offer.client_max_window_bits, agreed.client_max_window_bits) {
        (None, Some(bits)) => note(Deed::ParameterNotOffered, "client_max_window_bits", bits),
        (Some(Some(bound)), Some(Some(bits))) if bits > bound => {
            note(Deed::BitsAboveOffer, "client_max_window_bits", Some(bits));
        }
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(offer: &str, answer: &str) -> (Compression, Vec<(Side, Deed, String)>) {
        let list = |text: &'static str| ExtensionList::parse((!text.is_empty()).then_some(text).into_iter());
        let (offer, answer): (&'static str, &'static str) = (offer.to_owned().leak(), answer.to_owned().leak());
        let (compression, violations) = negotiate(&list(offer), true, &list(answer), true);
        (compression, violations.into_iter().map(|it| (it.by, it.deed, it.name.into())).collect())
    }

    fn on(server_off: bool, client_off: bool, server: u8, client: u8) -> Compression {
        Compression::On(Deflate {
            server_no_context_takeover: server_off,
            client_no_context_takeover: client_off,
            server_max_window_bits: server,
            client_max_window_bits: client,
        })
    }

    #[test]
    fn legal_negotiations() {
        const PMD: &str = "permessage-deflate";
        assert_eq!(outcome("", ""), (Compression::Off, vec![]));
        assert_eq!(outcome(PMD, ""), (Compression::Off, vec![]));
        assert_eq!(outcome(PMD, PMD), (on(false, false, 15, 15), vec![]));
        let chromium = "permessage-deflate; client_max_window_bits";
        assert_eq!(outcome(chromium, PMD), (on(false, false, 15, 15), vec![]));
        assert_eq!(
            outcome(chromium, "permessage-deflate;client_max_window_bits=12;server_max_window_bits=10"),
            (on(false, false, 10, 12), vec![])
        );
        assert_eq!(
            outcome(PMD, "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
            (on(true, true, 15, 15), vec![])
        );
        // Quoted values, and a second offer that fits when the first does not.
        assert_eq!(
            outcome(
                "permessage-deflate; server_max_window_bits=10, permessage-deflate; client_max_window_bits",
                "permessage-deflate; client_max_window_bits=\"9\""
            ),
            (on(false, false, 15, 9), vec![])
        );
    }

    #[test]
    fn illegal_ones_name_deed_and_doer() {
        use Deed::*;
        use Side::*;
        let pmd = "permessage-deflate";
        let case = |offer: &str, answer: &str, want: &[(Side, Deed, &str)]| {
            let got = outcome(offer, answer).1;
            let got: Vec<_> = got.iter().map(|(by, deed, name)| (*by, *deed, name.as_str())).collect();
            assert_eq!(got, want, "{offer} -> {answer}");
        };
        case("", pmd, &[(Server, ExtensionNotOffered, pmd)]);
        case(pmd, "permessage-foo", &[(Server, ExtensionNotOffered, "permessage-foo")]);
        case(pmd, "permessage-deflate, permessage-deflate", &[(Server, ExtensionRepeated, pmd)]);
        case("permessage-deflate; nonsense", "", &[(Client, UnknownParameter, "nonsense")]);
        let twice = "permessage-deflate; client_max_window_bits; client_max_window_bits=9";
        case(twice, "", &[(Client, DuplicateParameter, "client_max_window_bits")]);
        case("permessage-deflate; server_max_window_bits", "", &[(Client, ValueMissing, "server_max_window_bits")]);
        for bad in ["7", "16", "08", "015", "x", "+9"] {
            let offer = format!("permessage-deflate; server_max_window_bits={bad}");
            case(&offer, "", &[(Client, BitsOutOfRange, "server_max_window_bits")]);
        }
        let takes_none = "permessage-deflate; server_no_context_takeover=1";
        case(takes_none, "", &[(Client, ValueNotAllowed, "server_no_context_takeover")]);
        let bits = "permessage-deflate; client_max_window_bits=12";
        case(pmd, bits, &[(Server, ParameterNotOffered, "client_max_window_bits")]);
        case(
            "permessage-deflate; client_max_window_bits=10",
            bits,
            &[(Server, BitsAboveOffer, "client_max_window_bits")],
        );
        case(
            "permessage-deflate; server_max_window_bits=10",
            pmd,
            &[(Server, BitsAboveOffer, "server_max_window_bits")],
        );
        let demand = "permessage-deflate; server_no_context_takeover";
        case(demand, pmd, &[(Server, DemandIgnored, "server_no_context_takeover")]);
        case(
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits",
            &[(Server, ValueMissing, "client_max_window_bits")],
        );
    }

    #[test]
    fn nothing_is_concluded_from_cut_heads() {
        let none = ExtensionList::default();
        let pmd = ExtensionList::parse(["permessage-deflate"].into_iter());
        assert_eq!(negotiate(&pmd, true, &none, false), (Compression::Unknown, vec![]));
        assert_eq!(negotiate(&none, false, &pmd, true), (on(false, false, 15, 15), vec![]));
    }
    /// One element, legal or not.
    fn element() -> impl Strategy<Value = String> {
        let parameter = proptest::sample::select(vec![
            "; client_max_window_bits",
            ";client_max_window_bits=10",
            "; server_max_window_bits=12",
            "; server_no_context_takeover",
            ";client_no_context_takeover",
            "; server_max_window_bits",
            "; client_max_window_bits=\"9\"",
            ";server_max_window_bits=16",
            " ; nonsense",
            ";",
            ";; server_no_context_takeover=1",
        ]);
        let name =
            proptest::sample::select(vec!["permessage-deflate", "Permessage-Deflate", "permessage-deflate2", ""]);
        (name, proptest::collection::vec(parameter, 0..4)).prop_map(|(name, rest)| format!("{name}{}", rest.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Where the shortcut has a result, it is that of the full comparison.
        #[test]
        fn the_usual_extensions_are_negotiated_alike(
            offer in proptest::option::of(element()),
            answer in proptest::option::of(element()),
            offers_complete: bool,
            answer_complete: bool,
        ) {
            let usual = |value: &Option<String>, by| match value {
                Some(value) => lone_deflate(value, by).map_or(Extensions::Other, Extensions::Deflate),
                None => Extensions::None,
            };
            let full = negotiate(
                &ExtensionList::parse(offer.as_deref().into_iter()),
                offers_complete,
                &ExtensionList::parse(answer.as_deref().into_iter()),
                answer_complete,
            );
            let shortcut =
                negotiate_usual(&usual(&offer, Side::Client), &usual(&answer, Side::Server), answer_complete);
            if let Some(compression) = shortcut {
                prop_assert_eq!(full, (compression, vec![]));
            }
        }
    }
}
