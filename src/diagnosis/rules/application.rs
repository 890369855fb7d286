//! What the protocol inside the WebSocket tells. Explained only; nothing is detected yet.

use crate::diagnosis::catalogue::{Party, Rule};
use crate::diagnosis::severity::Severity;

/// Every rule of the family, in order of id.
pub(crate) static ALL: &[&Rule] =
    &[&AUTH_MESSAGE_LATE, &SUBSCRIBE_BEFORE_ACK, &STICKY_SESSION_MISSING, &CONNECTED_NEVER_SUBSCRIBED];

pub(crate) static AUTH_MESSAGE_LATE: Rule = Rule {
    id: "WSA701",
    slug: "auth-message-late",
    severity: Severity::Error,
    party: Party::Client,
    detected: false,
    title: "The client's first message came later than the server was willing to wait.",
    explanation: "After the connection was open, the server waited for a first message, usually the login, for a limited \
        time. It came too late or not at all, and the server closed. In graphql-transport-ws that time is 3 \
        seconds by default.",
    evidence: "The first message of the client comes later than the server's close allows, followed or preceded by a \
        close with a code such as 4408 or 1008. Likely; proven when the recognised protocol defines the code.",
    unless: "If the first message was in time and the server closed all the same, the login itself was refused.",
    advice: "Send the first message at once in the open handler. Fetch the token before you connect, not after.",
    reports: "graphql-transport-ws: 4408 Connection initialisation timeout.",
    references: &["graphql-transport-ws protocol"],
    aliases: &["4408", "1008", "Connection initialisation timeout"],
    ..Rule::BASE
};

pub(crate) static SUBSCRIBE_BEFORE_ACK: Rule = Rule {
    id: "WSA702",
    slug: "subscribe-before-ack",
    severity: Severity::Error,
    party: Party::Client,
    detected: false,
    title: "The client subscribed before the server had acknowledged the connection.",
    explanation: "The client asked for data before the server had confirmed the connection. The protocol demands an order: \
        first the greeting, then the server's acknowledgement, then subscriptions.",
    evidence: "A subscription before connection_ack, followed by Close 4401. Proven.",
    unless: "If the acknowledgement is in the capture before the subscription, the reason is another one.",
    advice: "Wait for the acknowledgement before you subscribe. The library does so if it opens the connection \
        itself.",
    reports: "graphql-transport-ws: 4401 Unauthorized.",
    references: &["graphql-transport-ws protocol"],
    aliases: &["4401", "connection_ack"],
    ..Rule::BASE
};

pub(crate) static STICKY_SESSION_MISSING: Rule = Rule {
    id: "WSA704",
    slug: "sticky-session-missing",
    severity: Severity::Error,
    party: Party::Proxy,
    detected: false,
    title: "A load balancer sent the client to a server that does not know its session.",
    explanation: "socket.io begins with an ordinary HTTP request, gets a session id from one server, and then comes back \
        with that id. There are several servers behind the load balancer, and the second request reached one \
        that does not know the session.",
    evidence: "A request with sid is answered 400 with the text Session ID unknown. Proven if another server's address \
        is seen issuing that id, otherwise likely.",
    unless: "A server that was restarted in between has forgotten its sessions too.",
    advice: "Keep each client on one server (sticky sessions). nginx:\n\
        \n\
        \x20   upstream app { ip_hash; server 10.0.0.1:3000; server 10.0.0.2:3000; }\n\
        \n\
        Or let the client skip the first step: io(url, { transports: [\"websocket\"] }).",
    reports: "400 with {\"code\":1,\"message\":\"Session ID unknown\"}; in the browser websocket error or xhr poll \
        error.",
    references: &["Engine.IO protocol", "socketio/socket.io#4881"],
    aliases: &["1006", "400", "Session ID unknown", "sticky session", "ip_hash"],
    ..Rule::BASE
};

pub(crate) static CONNECTED_NEVER_SUBSCRIBED: Rule = Rule {
    id: "WSA712",
    slug: "connected-never-subscribed",
    severity: Severity::Info,
    party: Party::Client,
    detected: false,
    title: "The client connected but never asked for any events.",
    explanation: "The connection is open and healthy, but the client never asked for anything. On this kind of service the \
        server only sends what was subscribed. No events is therefore correct and not a network fault.",
    evidence: "The protocol was recognised, and the client sent no subscription or registration on the whole \
        connection. Proven for the captured time.",
    unless: "If the beginning is missing from the capture (WSI001), the subscription may lie there.",
    advice: "Let the client send its subscription after it has connected, and again after each reconnect.",
    references: &["RFC 6455 §1.2"],
    aliases: &["no events", "subscribe"],
    ..Rule::BASE
};
