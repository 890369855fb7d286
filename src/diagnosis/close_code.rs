//! Close codes: what each number of a WebSocket Close frame means, and which may be sent at all.
//!
//! The table follows RFC 6455 §7.4 and the IANA WebSocket Close Code Number Registry; [`describe`] answers
//! for every number, also for those that only belong to a range. No detection is done here.

use super::catalogue::{self, Rule};

/// A close code that has a meaning of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode {
    /// The number.
    pub code: u16,
    /// Its name, as in the registry.
    pub name: &'static str,
    /// What it says, in plain words.
    pub meaning: &'static str,
    /// Who may send it: `both`, `client`, `server` or `nobody`.
    pub sent_by: &'static str,
    /// Whether it may appear in a Close frame.
    pub valid_on_wire: bool,
    /// Why one usually sees it.
    pub usual_causes: &'static str,
    /// What to do.
    pub advice: &'static str,
    /// The ids of the rules that explain it, the most direct first.
    pub rules: &'static [&'static str],
}

/// What [`describe`] says about a number: the same fields as [`CloseCode`], also for ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCodeText {
    /// The number that was asked for.
    pub code: u16,
    /// Whether the number itself, and not only its range, is registered.
    pub registered: bool,
    /// Its name, or that of its range.
    pub name: &'static str,
    /// What it says, in plain words.
    pub meaning: &'static str,
    /// Who may send it: `both`, `client`, `server` or `nobody`.
    pub sent_by: &'static str,
    /// Whether it may appear in a Close frame.
    pub valid_on_wire: bool,
    /// Why one usually sees it.
    pub usual_causes: &'static str,
    /// What to do.
    pub advice: &'static str,
    rules: &'static [&'static str],
}

impl CloseCodeText {
    /// The rules that are about this code itself, the most direct first.
    #[must_use]
    pub fn direct_rules(&self) -> Vec<&'static Rule> {
        self.rules.iter().filter_map(|id| catalogue::rule(id)).collect()
    }

    /// Every rule that explains this code: first those that are about it, then those that can cause it.
    #[must_use]
    pub fn rules(&self) -> Vec<&'static Rule> {
        let mut rules = self.direct_rules();
        // Below 1000 the aliases are HTTP statuses, which have nothing to do with close codes.
        if self.code >= 1000 {
            for rule in catalogue::by_alias(&self.code.to_string()) {
                if !rules.iter().any(|known| known.id == rule.id) {
                    rules.push(rule);
                }
            }
        }
        rules
    }
}

/// Whether a Close frame may carry this code: 1000 to 1003, 1007 to 1014 and 3000 to 4999.
///
/// RFC 6455 §7.4.1: 1005, 1006 and 1015 must not be set by an endpoint, and 1004 is reserved. §7.4.2: numbers
/// below 1000 are not used, those up to 2999 are for the protocol and its registered extensions (1012 to 1014 in
/// the IANA registry), 3000 to 3999 for libraries and 4000 to 4999 for private use.
#[must_use]
pub const fn is_valid_on_wire(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The name of a code, or of the range that it belongs to; never empty.
#[must_use]
pub fn name(code: u16) -> &'static str {
    describe(code).name
}

/// What a number means. Every number has an answer, also those that must never be sent.
#[must_use]
pub fn describe(code: u16) -> CloseCodeText {
    let (registered, known) = match CLOSE_CODES.binary_search_by_key(&code, |known| known.code) {
        Ok(index) => (true, &CLOSE_CODES[index]),
        Err(_) => (false, range(code)),
    };
    CloseCodeText {
        code,
        registered,
        name: known.name,
        meaning: known.meaning,
        sent_by: known.sent_by,
        valid_on_wire: known.valid_on_wire,
        usual_causes: known.usual_causes,
        advice: known.advice,
        rules: known.rules,
    }
}

/// The text for numbers without an entry of their own.
const fn range(code: u16) -> &'static CloseCode {
    match code {
        0..=999 => &UNUSED,
        1000..=2999 => &UNASSIGNED,
        3000..=3999 => &LIBRARY,
        4000..=4999 => &PRIVATE,
        5000.. => &BEYOND,
    }
}

static UNUSED: CloseCode = CloseCode {
    code: 0,
    name: "Unused",
    meaning: "Numbers below 1000 are not close codes. HTTP statuses such as 403 do not belong in a Close frame.",
    sent_by: "nobody",
    valid_on_wire: false,
    usual_causes: "A program that puts an HTTP status, an exit code or a number of its own where the close code belongs.",
    advice: "Correct the sender: use 1000 for a normal end, 1011 for an error, 4000 to 4999 for codes of your own.",
    rules: &["WSF412"],
};

static UNASSIGNED: CloseCode = CloseCode {
    code: 1016,
    name: "Unassigned",
    meaning: "Numbers up to 2999 are kept for the protocol and its extensions, and nobody has given this one a meaning.",
    sent_by: "nobody",
    valid_on_wire: false,
    usual_causes: "A program that made up a code of its own in the wrong range. Strict receivers answer with 1002.",
    advice: "Use 4000 to 4999 for codes of your own.",
    rules: &["WSF412"],
};

static LIBRARY: CloseCode = CloseCode {
    code: 3000,
    name: "Library or framework",
    meaning: "Numbers from 3000 to 3999 are for libraries and frameworks. This one is not registered, so its meaning \
              depends on the library in use.",
    sent_by: "both",
    valid_on_wire: true,
    usual_causes: "A library's own reason, such as an expired session.",
    advice: "Look the number up in the documentation of the library, and read the reason that came with it.",
    rules: &["WSC620"],
};

static PRIVATE: CloseCode = CloseCode {
    code: 4000,
    name: "Private use",
    meaning: "Numbers from 4000 to 4999 are free for applications. Only the application's authors know what this one \
              means.",
    sent_by: "both",
    valid_on_wire: true,
    usual_causes: "The application closed on purpose: a failed login, a duplicate session, a limit.",
    advice: "Look the number up in the application's documentation, and read the reason that came with it.",
    rules: &["WSC621"],
};

static BEYOND: CloseCode = CloseCode {
    code: 5000,
    name: "Not a close code",
    meaning: "Close codes end at 4999. A larger number means that the bytes were not meant as a close code.",
    sent_by: "nobody",
    valid_on_wire: false,
    usual_causes: "Text was written where a frame should be, often an HTTP answer, or a library forgot the code and \
                   sent the reason's first letters in its place.",
    advice: "Look at the bytes as text. See WSH332 for an HTTP answer inside the WebSocket and WSF412 for a faulty \
             sender.",
    rules: &["WSF412", "WSH332", "WSF415"],
};

/// The codes with a meaning of their own, in ascending order.
pub static CLOSE_CODES: &[CloseCode] = &[
    CloseCode {
        code: 1000,
        name: "Normal Closure",
        meaning: "The purpose of the connection is fulfilled. Everything is in order.",
        sent_by: "both",
        valid_on_wire: true,
        usual_causes: "A program called close() on purpose.",
        advice: "Nothing needs fixing. If the end came too early, ask why the program closed.",
        rules: &["WSC601"],
    },
    CloseCode {
        code: 1001,
        name: "Going Away",
        meaning: "The sender is leaving: a page was closed or reloaded, or a server is shutting down.",
        sent_by: "both",
        valid_on_wire: true,
        usual_causes: "From a browser: navigation. From a server: shutdown, restart, or an idle limit (Jetty).",
        advice: "Nothing for a browser. For a server, let clients reconnect after a random pause.",
        rules: &["WSC610", "WSO801"],
    },
    CloseCode {
        code: 1002,
        name: "Protocol error",
        meaning: "The sender says that the other side broke the rules of the WebSocket protocol.",
        sent_by: "both",
        valid_on_wire: true,
        usual_causes: "A frame without its mask, wrong bits, compression that was not agreed, or text that does not \
                       belong into the connection.",
        advice: "Find the offending frame: it comes from the other side, right before this Close.",
        rules: &["WSC611"],
    },
    CloseCode {
        code: 1003,
        name: "Unsupported Data",
        meaning: "The sender does not take this type of message, for example binary instead of text.",
        sent_by: "both",
        valid_on_wire: true,
        usual_causes: "Binary was sent where text was expected, or the other way round; or a command is unknown.",
        advice: "Send the type that the receiver expects.",
        rules: &["WSC612", "WSF420"],
    },
    CloseCode {
        code: 1004,
        name: "Reserved",
        meaning: "Reserved; no meaning has been defined.",
        sent_by: "nobody",
        valid_on_wire: false,
        usual_causes: "A faulty sender.",
        advice: "Correct the sender.",
        rules: &["WSF412"],
    },
    CloseCode {
        code: 1005,
        name: "No Status Received",
        meaning: "The connection was closed properly, but the Close frame was empty: it gave no code.",
        sent_by: "nobody",
        valid_on_wire: false,
        usual_causes: "close() called without a code; a handler that ended; a gateway whose server was not reachable.",
        advice: "Let the closing side give a code and a reason. If it is not your program, read its log at that second.",
        rules: &["WSC602"],
    },
    CloseCode {
        code: 1006,
        name: "Abnormal Closure",
        meaning: "The connection ended without a Close frame, or it never came about. It is a symptom with many causes.",
        sent_by: "nobody",
        valid_on_wire: false,
        usual_causes: "A proxy's timeout, a crashed or restarted server, an interrupted network, or, in browsers, any \
                       failure before the WebSocket was open: refused connection, certificate, an answer other than \
                       101.",
        advice: "Find out whether the 101 was seen. If not, look at the handshake, TLS and the network. If so, look at \
                 who hung up first and what came right before it.",
        rules: &["WSC603"],
    },
    CloseCode {
        code: 1007,
        name: "Invalid frame payload data",
        meaning: "A message did not hold what its type promises, most often text that is not UTF-8.",
        sent_by: "both",
        valid_on_wire: true,
        usual_causes: "Binary data or another encoding sent as text; a damaged compressed message.",
        advice: "Send binary data as binary, and encode text as UTF-8.",
        rules: &["WSC612", "WSF410", "WSD503"],
    },
    CloseCode {
        code: 1008,
        name: "Policy Violation",
        meaning: "What the other side did is not allowed. A general code, used when no other one fits.",
        sent_by: "both",
        valid_on_wire: true,
        usual_causes: "A missing or expired login, a limit that was exceeded, a receiver that is too slow.",
        advice: "Read the reason; then check login, limits and speed, in that order.",
        rules: &["WSC613"],
    },
    CloseCode {
        code: 1009,
        name: "Message Too Big",
        meaning: "A message was larger than the receiver accepts.",
        sent_by: "both",
        valid_on_wire: true,
        usual_causes: "The default limit of a library, a proxy or a cloud gateway.",
        advice: "Send smaller messages or raise the receiver's limit; WSF416 lists how.",
        rules: &["WSC614", "WSF416"],
    },
    CloseCode {
        code: 1010,
        name: "Mandatory Extension",
        meaning: "The client needs an extension, and the server did not agree to it.",
        sent_by: "client",
        valid_on_wire: true,
        usual_causes: "A client that insists on compression.",
        advice: "Switch the extension on in the server, or do not insist on it in the client.",
        rules: &["WSC615"],
    },
    CloseCode {
        code: 1011,
        name: "Internal Error",
        meaning: "The sender met an error of its own and cannot go on.",
        sent_by: "both",
        valid_on_wire: true,
        usual_causes: "An exception in a handler. With the reason keepalive ping timeout: a pong that did not come in \
                       time.",
        advice: "Read the log of the side that sent it. For a ping timeout, see WSK703, WSK704 and WSK705.",
        rules: &["WSC616", "WSK703", "WSK704", "WSK705"],
    },
    CloseCode {
        code: 1012,
        name: "Service Restart",
        meaning: "The server is being restarted; the client may come back.",
        sent_by: "server",
        valid_on_wire: true,
        usual_causes: "A deployment or a restart.",
        advice: "Let the client reconnect after a random pause of some seconds.",
        rules: &["WSC617", "WSO801"],
    },
    CloseCode {
        code: 1013,
        name: "Try Again Later",
        meaning: "The server has too much to do at the moment.",
        sent_by: "server",
        valid_on_wire: true,
        usual_causes: "Overload.",
        advice: "Let the client wait longer after every attempt.",
        rules: &["WSC618"],
    },
    CloseCode {
        code: 1014,
        name: "Bad Gateway",
        meaning: "A gateway got an invalid answer from the server behind it.",
        sent_by: "server",
        valid_on_wire: true,
        usual_causes: "The server behind the gateway is down or does not speak WebSocket.",
        advice: "Look at the server behind the gateway.",
        rules: &["WSC619"],
    },
    CloseCode {
        code: 1015,
        name: "TLS Handshake",
        meaning: "The encryption could not be set up, so the connection never came about.",
        sent_by: "nobody",
        valid_on_wire: false,
        usual_causes: "A certificate that the client does not accept, or no common TLS version. Firefox uses this \
                       number; Chromium says 1006 for the same.",
        advice: "Check the certificate: issuer, period, name and the full chain.",
        rules: &["WST103", "WST104", "WST105", "WST106"],
    },
    CloseCode {
        code: 3000,
        name: "Unauthorized",
        meaning: "The client must log in first. Registered with IANA; some libraries used the number for other things \
                  before.",
        sent_by: "both",
        valid_on_wire: true,
        usual_causes: "A missing or expired login. In SockJS: Go away!, an ordinary end.",
        advice: "Renew the login.",
        rules: &["WSC620"],
    },
    CloseCode {
        code: 3003,
        name: "Forbidden",
        meaning: "The client is known but not allowed to do this.",
        sent_by: "both",
        valid_on_wire: true,
        usual_causes: "Missing rights.",
        advice: "Check the rights of the account.",
        rules: &["WSC620"],
    },
    CloseCode {
        code: 3008,
        name: "Timeout",
        meaning: "The other side took too long.",
        sent_by: "both",
        valid_on_wire: true,
        usual_causes: "An answer or a heartbeat that came too late.",
        advice: "Find out what was waited for: the reason or the last messages tell.",
        rules: &["WSC620"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_ascending_and_agrees_with_the_ranges() {
        assert!(CLOSE_CODES.is_sorted_by(|a, b| a.code < b.code));
        for known in CLOSE_CODES {
            assert_eq!(known.valid_on_wire, is_valid_on_wire(known.code), "{}", known.code);
        }
    }

    #[test]
    fn every_number_has_an_answer() {
        for code in 0..=u16::MAX {
            let text = describe(code);
            assert_eq!(text.code, code);
            assert_eq!(text.valid_on_wire, is_valid_on_wire(code), "{code}");
            assert_eq!(text.sent_by == "nobody", !text.valid_on_wire, "{code}");
            for field in [text.name, text.meaning, text.sent_by, text.usual_causes, text.advice] {
                assert!(!field.is_empty(), "{code}");
            }
        }
    }

    #[test]
    fn the_valid_codes_are_those_of_the_registry() {
        let valid: Vec<u16> = (0..3000).filter(|&code| is_valid_on_wire(code)).collect();
        assert_eq!(valid, [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]);
        assert!((3000..=4999).all(is_valid_on_wire));
        assert!((5000..=u16::MAX).all(|code| !is_valid_on_wire(code)));
        let registered: Vec<u16> = (0..=u16::MAX).filter(|&code| describe(code).registered).collect();
        assert_eq!(registered[..16], (1000..=1015).collect::<Vec<u16>>());
        assert_eq!(registered[16..], [3000, 3003, 3008]);
    }

    #[test]
    fn every_rule_of_a_code_exists_and_comes_first() {
        for code in CLOSE_CODES.iter().chain([&UNUSED, &UNASSIGNED, &LIBRARY, &PRIVATE, &BEYOND]) {
            assert!(!code.rules.is_empty(), "{}", code.code);
            let rules = describe(code.code).rules();
            for (index, id) in code.rules.iter().enumerate() {
                assert!(catalogue::rule(id).is_some(), "{id}");
                assert_eq!(rules[index].id, *id);
            }
            let mut ids: Vec<&str> = rules.iter().map(|rule| rule.id).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), rules.len(), "{} lists a rule twice", code.code);
        }
    }

    #[test]
    fn what_applications_only_say_is_told_apart_from_what_is_sent() {
        for code in [1005, 1006, 1015] {
            assert_eq!(describe(code).sent_by, "nobody");
        }
        assert_eq!(describe(1006).rules()[0].id, "WSC603");
        assert_eq!(describe(1005).rules()[0].id, "WSC602");
        assert!(describe(1006).rules().len() > 50, "1006 has many causes");
        assert_eq!(name(1013), "Try Again Later");
        assert_eq!(name(4001), "Private use");
        // An HTTP status is no close code: no rule about HTTP may be named for it.
        assert!(describe(403).rules().iter().all(|rule| rule.id == "WSF412"));
    }
}
