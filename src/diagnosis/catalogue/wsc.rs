//! Family `WSC`: the closing handshake and close codes (RFC 6455 §7).

use super::Rule;
use crate::diagnosis::finding::Severity;

/// The connection was closed properly by both sides.
pub static CLEAN_CLOSE: Rule = Rule {
    id: "WSC601",
    slug: "clean-close",
    severity: Severity::Info,
    title: "The connection was closed properly by both sides.",
    explanation: "Both sides sent a close frame and then the TCP connection ended. That is how a WebSocket should end. The \
        code and the reason say why, and whoever sent the first close frame wanted the end.",
    evidence: "A close frame in each direction, then FIN. Proven.",
    unless: "A code other than 1000 or 1001 may still tell of a problem: the rule for that code is then reported as \
        well.",
    advice: "Nothing needs fixing.",
    reports: "Both sides report the other's code; browsers with wasClean true.",
    references: &["RFC 6455 §7.1.2", "RFC 6455 §7.1.4"],
    aliases: &["1000", "clean close", "wasClean"],
};

/// The connection was closed properly, but without saying why (1005).
pub static CLOSE_NO_STATUS: Rule = Rule {
    id: "WSC602",
    slug: "close-no-status",
    severity: Severity::Warning,
    title: "The connection was closed properly, but without saying why (1005).",
    explanation: "A close frame was sent, but it was empty. The receiver's program then reports 1005, which means: closed \
        properly, no reason given. It does not mean that the connection broke: that would be 1006. Programs send \
        an empty close when close() is called without a code, and some frameworks do it when a handler ends.",
    evidence: "A close frame with an empty body. Proven. The number 1005 itself is never on the wire.",
    unless: "If there is no close frame at all, it is 1006 (WSC603).",
    advice: "Give a code and a reason, so that the next person knows why:\n\
        \n\
        \x20   ws.close(1000, \"done\")\n\
        \x20   ws.close(1011, \"database unavailable\")\n\
        \n\
        If you did not write the closing side, look in its log for what happened just before: a handler that \
        ended early, or a server behind it that could not be reached.",
    reports: "Browsers: close code 1005 with wasClean true. node ws: close 1005. Go (gorilla): close 1005 (no status). \
        Python websockets: received 1005 (no status received [internal]).",
    references: &["RFC 6455 §7.1.5", "RFC 6455 §7.4.1", "novnc/websockify#560"],
    aliases: &["1005", "no status", "No Status Received"],
};

/// The connection ended without the WebSocket goodbye (1006).
pub static ABNORMAL_CLOSE: Rule = Rule {
    id: "WSC603",
    slug: "abnormal-close",
    severity: Severity::Error,
    title: "The connection ended without the WebSocket goodbye (1006).",
    explanation: "The connection ended and at least one side had received no close frame. Its program reports 1006. That \
        number is never sent by anybody: it is the program's own word for a line that went dead. So 1006 is the \
        symptom; the cause has to be found elsewhere, and the other findings name it if the packets show it.",
    evidence: "FIN or RST after the 101 without a close frame towards that side. Proven as the symptom.",
    unless: "If a close frame did arrive and the program still says 1006, the connection was reset after it (WSC608), \
        or the program itself found a protocol error (WSF rules), or a browser reports a handshake that failed \
        (WSH, WST, WSN rules).",
    advice: "Look at who hung up first and what came right before it: silence of a round number of seconds points to \
        a timeout (WSK701), many connections at once to a restart (WSO801), a large message to a limit (WSF416). \
        If nothing of this is found, the log of the side that hung up knows more than the packets do.",
    reports: "Browsers report close code 1006 with an empty reason and wasClean false. node ws reports close code \
        1006. Python websockets raises ConnectionClosedError: no close frame received or sent. Go (gorilla) \
        reports: close 1006 (abnormal closure): unexpected EOF. .NET throws: The remote party closed the \
        WebSocket connection without completing the close handshake.",
    references: &["RFC 6455 §7.1.5", "RFC 6455 §7.4.1"],
    aliases: &["1006", "abnormal closure", "no close frame received or sent", "unexpected EOF"],
};

/// One side said goodbye and got no reply.
pub static CLOSE_TIMEOUT: Rule = Rule {
    id: "WSC604",
    slug: "close-timeout",
    severity: Severity::Warning,
    title: "One side said goodbye and got no reply.",
    explanation: "One side sent its close frame and waited for the answer. None came until it gave up and cut the \
        connection. The other side's program did not read, did not know the rule, or had gone already.",
    evidence: "A close frame from one side, none from the other, and then the end of the TCP connection. Proven. The \
        waiting time often fits a library: coder/websocket 5 s, Python websockets 10 s, Firefox 20 s, node ws 30 \
        s, Chromium and OkHttp 60 s.",
    unless: "After a protocol error (1002, 1007, 1009) no answer is expected. If the close itself was never \
        acknowledged, the network is gone (WSN008).",
    advice: "Let the other side keep reading until it has seen and answered the close: most libraries do it as long \
        as the program reads messages. Look for a handler that stopped reading.",
    reports: "The waiting side reports 1006, or the code it sent itself, depending on the library.",
    references: &["RFC 6455 §5.5.1", "RFC 6455 §7.1.1"],
    aliases: &["1006", "close timeout", "closeTimeout"],
};

/// After a proper goodbye the server left it to the client to hang up.
pub static SERVER_KEPT_TCP_OPEN: Rule = Rule {
    id: "WSC605",
    slug: "server-kept-tcp-open",
    severity: Severity::Info,
    title: "After a proper goodbye the server left it to the client to hang up.",
    explanation: "After both close frames the server should end the TCP connection first. It did not, and the client did \
        it after a short wait. Chromium waits 2 seconds. Nothing is lost.",
    evidence: "A close frame in each direction, no FIN from the server, then FIN from the client. Proven.",
    unless: "If the server did hang up first, this does not apply.",
    advice: "Let the server close its socket after the second close frame. It frees the connection sooner.",
    reports: "Nothing unusual: wasClean is true.",
    references: &["RFC 6455 §7.1.1"],
    aliases: &["wasClean"],
};

/// After a proper goodbye the client hung up first.
pub static CLIENT_CLOSED_TCP_FIRST: Rule = Rule {
    id: "WSC606",
    slug: "client-closed-tcp-first",
    severity: Severity::Info,
    title: "After a proper goodbye the client hung up first.",
    explanation: "After both close frames the client ended the TCP connection before the server did. The standard prefers \
        the server to go first, because then the short after-life of a closed connection falls to the server. It \
        is harmless.",
    evidence: "A close frame in each direction, and the client's FIN before the server's. Proven.",
    unless: "If the server did hang up first, this does not apply.",
    advice: "Nothing needs fixing. A test program that opens very many connections may run out of local ports; then \
        let the server close first.",
    reports: "",
    references: &["RFC 6455 §7.1.1"],
    aliases: &["TIME_WAIT"],
};

/// Both sides said goodbye at the same moment.
pub static SIMULTANEOUS_CLOSE: Rule = Rule {
    id: "WSC607",
    slug: "simultaneous-close",
    severity: Severity::Info,
    title: "Both sides said goodbye at the same moment.",
    explanation: "Both sides decided to close at the same moment, and their close frames crossed. Each side therefore \
        reports the other's code, and the two codes may differ. That is allowed.",
    evidence: "Both close frames were sent before the other one can have arrived, within one round trip. Proven near \
        one end, likely elsewhere on the path.",
    unless: "If the second frame repeats the first one's code a round trip later, it is an answer and not a crossing.",
    advice: "Nothing needs fixing. When two log files disagree about the code, this is the reason.",
    reports: "",
    references: &["RFC 6455 §7.1.5", "RFC 6455 §7.1.2"],
    aliases: &["simultaneous close"],
};

/// The goodbye was said, but the connection then ended with a reset.
pub static RST_AFTER_CLOSE: Rule = Rule {
    id: "WSC608",
    slug: "rst-after-close",
    severity: Severity::Warning,
    title: "The goodbye was said, but the connection then ended with a reset.",
    explanation: "The close frame was received, but then the TCP connection was reset instead of ended in the ordinary \
        way. A reset can overtake data that was not read yet, so the goodbye itself may get lost. Browsers then \
        say that the end was not clean.",
    evidence: "A close frame and then an RST. Proven.",
    unless: "After close frames in both directions, a reset usually harms nobody. A page that was left often ends in \
        this way.",
    advice: "Let the server read until the other side's FIN before it closes its socket. In Envoy and Istio, look at \
        delayed_close_timeout.",
    reports: "Chromium: the code of the close frame, with wasClean false.",
    references: &["RFC 6455 §7.1.1", "RFC 9293 §3.6.1", "istio/istio#29172"],
    aliases: &["1006", "ECONNRESET", "wasClean"],
};

/// One side stopped sending while the other went on.
pub static HALF_CLOSE: Rule = Rule {
    id: "WSC609",
    slug: "half-close",
    severity: Severity::Warning,
    title: "One side stopped sending while the other went on.",
    explanation: "One side ended its direction of the TCP connection while the other went on sending. TCP allows that, but \
        hardly any WebSocket program expects it, and what is sent afterwards is usually thrown away.",
    evidence: "FIN from one side, and data from the other for more than a second afterwards. Proven.",
    unless: "A few packets that were already on their way are normal.",
    advice: "Let the program treat the end of one direction as the end of the connection. In HAProxy, limit such \
        connections:\n\
        \n\
        \x20   timeout client-fin 30s",
    reports: "",
    references: &["RFC 9293 §3.6", "RFC 6455 §7.2.1"],
    aliases: &["half-open close", "client-fin"],
};

/// One side is leaving: a page was closed or a server is stopping (1001).
pub static GOING_AWAY: Rule = Rule {
    id: "WSC610",
    slug: "going-away",
    severity: Severity::Info,
    title: "One side is leaving: a page was closed or a server is stopping (1001).",
    explanation: "Code 1001 says that the sender is going away. From a client it means that the page was left, reloaded or \
        closed. From a server it means that it is shutting down, or that it ends connections that were idle for \
        too long.",
    evidence: "A close frame with code 1001. Proven; the meaning is likely, by side.",
    unless: "The reason text counts more: Jetty, for example, writes Idle Timeout.",
    advice: "Nothing for a client. For a server, let the clients reconnect after a random pause; if it was an idle \
        timeout, see WSK701.",
    reports: "1001 (going away).",
    references: &["RFC 6455 §7.4.1"],
    aliases: &["1001", "going away"],
};

/// One side says the other broke the WebSocket rules (1002).
pub static PROTOCOL_ERROR: Rule = Rule {
    id: "WSC611",
    slug: "protocol-error",
    severity: Severity::Error,
    title: "One side says the other broke the WebSocket rules (1002).",
    explanation: "One side closed with 1002: it says that the other broke the rules of the protocol. If the offending \
        frame is in the capture, a WSF finding names it. Some programs also use 1002 for errors that have \
        nothing to do with the protocol.",
    evidence: "A close frame with code 1002. Proven as a fact. The offence is proven if a WSF or WSD rule fired on the \
        other side before.",
    unless: "Without an offending frame, the code may be misused for an application's error: read the reason.",
    advice: "Correct the side that offended, or read the log of the side that complained. Programs that mean an error \
        of their own should send 1011.",
    reports: "1002 (protocol error). A Chromium page sees 1006 when Chromium itself complained.",
    references: &["RFC 6455 §7.4.1"],
    aliases: &["1002", "protocol error"],
};

/// One side could not use the data it received (1003 or 1007).
pub static UNSUPPORTED_OR_INVALID: Rule = Rule {
    id: "WSC612",
    slug: "unsupported-or-invalid",
    severity: Severity::Error,
    title: "One side could not use the data it received (1003 or 1007).",
    explanation: "One side could not use what it received. 1003: it does not take this type of data, for example binary \
        instead of text. 1007: the contents were not what the type promises, most often text that is not UTF-8.",
    evidence: "A close frame with code 1003 or 1007. Proven. The message right before it is the first suspect.",
    unless: "Applications also use 1003 for commands they do not know: read the reason.",
    advice: "See WSF420 for 1003 and WSF410 for 1007.",
    reports: "1003 (unsupported data), 1007 (invalid frame payload data).",
    references: &["RFC 6455 §7.4.1"],
    aliases: &["1003", "1007", "unsupported data", "invalid frame payload data"],
};

/// One side closed because a policy was violated (1008).
pub static POLICY: Rule = Rule {
    id: "WSC613",
    slug: "policy",
    severity: Severity::Error,
    title: "One side closed because a policy was violated (1008).",
    explanation: "One side closed with 1008: what the other did is not allowed. That may be a missing login, a limit that \
        was exceeded, reading too slowly, or a message in the wrong place. The code is general on purpose.",
    evidence: "A close frame with code 1008. Proven. The reason text and the last messages before it tell more.",
    unless: "1008 with Too many message fragments is WSF421.",
    advice: "Read the reason. Without one, check in this order: login and token, limits on messages per second, and a \
        receiver that does not keep up (WSN011).",
    reports: "1008 (policy violation).",
    references: &["RFC 6455 §7.4.1"],
    aliases: &["1008", "policy violation"],
};

/// One side closed because a message was too big (1009).
pub static TOO_BIG: Rule = Rule {
    id: "WSC614",
    slug: "too-big",
    severity: Severity::Error,
    title: "One side closed because a message was too big (1009).",
    explanation: "One side closed with 1009: a message was larger than it accepts. Every library, proxy and cloud gateway \
        has a limit of its own, and the defaults differ widely.",
    evidence: "A close frame with code 1009. Proven. The size of the last message before it is shown.",
    unless: "If all messages were small, the limit may count the unpacked size (WSD508), or the application uses the \
        code for something else.",
    advice: "Send smaller messages or raise the receiver's limit: WSF416 lists how.",
    reports: "1009 (message too big). The side that complained often logs 1006.",
    references: &["RFC 6455 §7.4.1"],
    aliases: &["1009", "message too big"],
};

/// The client closed because the server did not agree to an extension it needs (1010).
pub static MANDATORY_EXT: Rule = Rule {
    id: "WSC615",
    slug: "mandatory-ext",
    severity: Severity::Error,
    title: "The client closed because the server did not agree to an extension it needs (1010).",
    explanation: "A client closes with 1010 when the server did not agree to an extension that the client cannot do \
        without. A server must not send it: it can refuse the handshake instead.",
    evidence: "A close frame with code 1010. Proven. From a server it is a violation.",
    unless: "None.",
    advice: "Switch the extension on in the server, or do not insist on it in the client. The reason should name the \
        extension.",
    reports: "1010 (mandatory extension).",
    references: &["RFC 6455 §7.4.1"],
    aliases: &["1010", "mandatory extension"],
};

/// One side closed because of an internal error (1011).
pub static INTERNAL_ERROR: Rule = Rule {
    id: "WSC616",
    slug: "internal-error",
    severity: Severity::Error,
    title: "One side closed because of an internal error (1011).",
    explanation: "One side closed with 1011: it met an error of its own and cannot go on. Usually an exception in a \
        handler. With the reason keepalive ping timeout it means that a pong did not come in time.",
    evidence: "A close frame with code 1011. Proven. The reason text tells more.",
    unless: "With keepalive ping timeout see WSK703, WSK704 and WSK705: they tell whose fault it was. With Failed to \
        connect to downstream server, a gateway such as websockify could not reach the server behind it.",
    advice: "Read the log of the side that sent it, at that second: there will be an exception.",
    reports: "1011 (internal error).",
    references: &["RFC 6455 §7.4.1", "novnc/websockify#482"],
    aliases: &["1011", "internal error", "keepalive ping timeout"],
};

/// The server is restarting (1012).
pub static SERVICE_RESTART: Rule = Rule {
    id: "WSC617",
    slug: "service-restart",
    severity: Severity::Info,
    title: "The server is restarting (1012).",
    explanation: "The server closed with 1012: it is being restarted, and the client may come back. That is the polite \
        way.",
    evidence: "A close frame with code 1012. Proven.",
    unless: "None.",
    advice: "Let clients reconnect after a random pause of some seconds, so that they do not all come at once. Let \
        connections run out before a planned restart if you can.",
    reports: "1012 (service restart). uvicorn sends it on shutdown.",
    references: &["IANA WebSocket Close Code Number Registry", "encode/uvicorn#1816"],
    aliases: &["1012", "service restart"],
};

/// The server is overloaded and asks the client to try again later (1013).
pub static TRY_LATER: Rule = Rule {
    id: "WSC618",
    slug: "try-later",
    severity: Severity::Warning,
    title: "The server is overloaded and asks the client to try again later (1013).",
    explanation: "The server closed with 1013: it has too much to do at the moment. The client should come back later, and \
        not at once.",
    evidence: "A close frame with code 1013. Proven.",
    unless: "None.",
    advice: "Let clients wait longer after every attempt, with a random part. Give the server more room or accept \
        fewer clients.",
    reports: "1013 (try again later).",
    references: &["IANA WebSocket Close Code Number Registry"],
    aliases: &["1013", "try again later"],
};

/// A gateway got an invalid answer from the server behind it (1014).
pub static BAD_GATEWAY: Rule = Rule {
    id: "WSC619",
    slug: "bad-gateway",
    severity: Severity::Error,
    title: "A gateway got an invalid answer from the server behind it (1014).",
    explanation: "A gateway or proxy closed with 1014: the server behind it gave an invalid answer. It is the counterpart \
        of the HTTP status 502.",
    evidence: "A close frame with code 1014. Proven that the gateway says so.",
    unless: "None. The connection behind the gateway shows the cause, if it is captured.",
    advice: "Look at the server behind the gateway: is it running, does it speak WebSocket on that port, does it use \
        TLS as expected?",
    reports: "1014 (bad gateway).",
    references: &["IANA WebSocket Close Code Number Registry"],
    aliases: &["1014", "bad gateway"],
};

/// The connection was closed with a code from the range for libraries and frameworks (3000 to 3999).
pub static REGISTERED_CODE: Rule = Rule {
    id: "WSC620",
    slug: "registered-code",
    severity: Severity::Info,
    title: "The connection was closed with a code from the range for libraries and frameworks (3000 to 3999).",
    explanation: "Codes from 3000 to 3999 belong to libraries and frameworks. Registered are 3000 (unauthorized), 3003 \
        (forbidden) and 3008 (timeout); others are used without registration, such as 3000 with Go away! in \
        SockJS.",
    evidence: "A close frame with a code from 3000 to 3999. Proven; its meaning depends on the library.",
    unless: "None.",
    advice: "Look the code up in the documentation of the library in use. For 3000 and 3003 check login and rights.",
    reports: "The code as sent.",
    references: &["RFC 6455 §7.4.2", "IANA WebSocket Close Code Number Registry"],
    aliases: &["3000", "3003", "3008", "unauthorized", "forbidden"],
};

/// The connection was closed with a code that only the application can explain (4000 to 4999).
pub static PRIVATE_CODE: Rule = Rule {
    id: "WSC621",
    slug: "private-code",
    severity: Severity::Info,
    title: "The connection was closed with a code that only the application can explain (4000 to 4999).",
    explanation: "Codes from 4000 to 4999 are free for private use: each application gives them its own meaning. They can \
        only be explained when the application's protocol is known.",
    evidence: "A close frame with a code from 4000 to 4999. Proven; its meaning is taken from the application protocol \
        if that was recognised in the handshake.",
    unless: "The same number means different things in different applications.",
    advice: "Look the code up in the application's documentation, and read the reason. In graphql-transport-ws, for \
        example, 4401 is a subscription before the acknowledgement, 4408 a connection_init that came too late, \
        and 4429 a second connection_init.",
    reports: "The code as sent.",
    references: &["RFC 6455 §7.4.2"],
    aliases: &["4000", "4400", "4401", "4403", "4408", "4409", "4429", "4500", "private use"],
};

/// Every rule of the family, in order of id.
pub static ALL: &[&Rule] = &[
    &CLEAN_CLOSE,
    &CLOSE_NO_STATUS,
    &ABNORMAL_CLOSE,
    &CLOSE_TIMEOUT,
    &SERVER_KEPT_TCP_OPEN,
    &CLIENT_CLOSED_TCP_FIRST,
    &SIMULTANEOUS_CLOSE,
    &RST_AFTER_CLOSE,
    &HALF_CLOSE,
    &GOING_AWAY,
    &PROTOCOL_ERROR,
    &UNSUPPORTED_OR_INVALID,
    &POLICY,
    &TOO_BIG,
    &MANDATORY_EXT,
    &INTERNAL_ERROR,
    &SERVICE_RESTART,
    &TRY_LATER,
    &BAD_GATEWAY,
    &REGISTERED_CODE,
    &PRIVATE_CODE,
];
