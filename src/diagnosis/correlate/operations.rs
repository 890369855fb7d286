//! What is done to servers, proxies and load balancers, as connections that belong together show it.

use super::Shared;
use crate::diagnosis::catalogue::{Party, Role, Rule, Specificity};
use crate::diagnosis::finding::Finding;
use crate::diagnosis::severity::{Confidence, Severity};
use crate::packet::Stamp;
use crate::stream::Side;

/// The server behind a proxy ended without a Close, and the proxy passed it on to the front leg.
pub(super) fn backend_died(back: Stamp, front: Stamp, both: Vec<usize>) -> Shared {
    let finding = Finding::new(
        &BACKEND_DIED_BEHIND_PROXY,
        Confidence::Proven,
        "The server behind the proxy ended the connection without a Close frame; the proxy only passed it on.",
    )
    .evidence(back, Some(Side::Server), "back leg: end without a Close frame")
    .evidence(front, Some(Side::Server), "front leg: the proxy ends it towards the client");
    Shared { subjects: both.clone(), finding, explains: both }
}

/// Every rule of the family, in order of id.
pub(crate) static ALL: &[&Rule] = &[
    &MASS_CLOSE,
    &PROCESS_CRASH,
    &PROXY_RELOAD,
    &HOST_DOWN,
    &BACKEND_DIED_BEHIND_PROXY,
    &OVERLOAD,
    &LB_SENDS_TO_DEAD_NODE,
];

pub(crate) static MASS_CLOSE: Rule = Rule {
    id: "WSO801",
    slug: "mass-close",
    severity: Severity::Warning,
    party: Party::Server,
    detected: false,
    title: "Many connections to one server ended together.",
    explanation: "Many connections to the same server ended within two seconds. That is no matter of the single client: \
        the server, its container or the proxy was stopped or restarted. How they ended tells how well: with \
        1001 or 1012 in good order, with a bare hang-up without preparation, with resets by force.",
    evidence: "At least five, and at least half, of the open connections to one address and port end within two seconds \
        in the same way. Likely. If new connections are refused or answered 502 afterwards, that gap is shown.",
    unless: "If only the connections through one network break, the network was interrupted. Clients that close by \
        themselves at one time, such as at the end of a lesson, send 1001 each.",
    advice: "On SIGTERM, stop accepting, send Close 1001 or 1012 to every client, wait, then end. Give the container \
        time for it (terminationGracePeriodSeconds in Kubernetes). Let clients come back after a random pause.",
    reports: "1001, 1012 or 1006, on many clients at once.",
    references: &["RFC 6455 §7.2.3", "RFC 6455 §7.4.1", "encode/uvicorn#1816"],
    aliases: &["1001", "1012", "1006", "deploy", "restart", "SIGTERM"],
    ..Rule::BASE
};

pub(crate) static PROCESS_CRASH: Rule = Rule {
    id: "WSO802",
    slug: "process-crash",
    severity: Severity::Error,
    party: Party::Server,
    detected: false,
    title: "The server program seems to have died.",
    explanation: "All connections of one server ended in the same instant, without a goodbye, and for a while nothing \
        listened on its port. That is what the death of a program looks like: a crash, a kill, or too little \
        memory.",
    evidence: "FIN or RST on all its connections within 100 milliseconds, then new connections refused. Likely. With a \
        single connection, a new one that is refused right afterwards makes it possible.",
    unless: "If the port stays open, see WSO801 and WSO803. If close frames were sent, it was a shutdown and no \
        crash.",
    advice: "Look for the end of the program in its log and in the system's: dmesg and journalctl name processes \
        killed for lack of memory (OOM), docker inspect shows OOMKilled and the exit code.",
    reports: "1006 or ECONNRESET on all clients.",
    references: &["RFC 9293 §3.5.2", "RFC 6455 §7.2.1"],
    aliases: &["1006", "ECONNRESET", "crash", "OOM", "killed"],
    ..Rule::BASE
};

pub(crate) static PROXY_RELOAD: Rule = Rule {
    id: "WSO803",
    slug: "proxy-reload",
    severity: Severity::Warning,
    party: Party::Proxy,
    detected: false,
    title: "A proxy seems to have reloaded its configuration and dropped its old connections.",
    explanation: "Many connections through one proxy ended together, while the servers behind it went on. Proxies that \
        load a new configuration keep their old connections for a limited time only, or not at all: \
        ingress-nginx for 240 seconds, Caddy not at all by default.",
    evidence: "Many tunnels of one proxy end at once, or at the same distance from a common moment, and their servers \
        stay up. Likely.",
    unless: "If the servers went down as well, see WSO801 and WSO802.",
    advice: "Let old connections live longer: worker-shutdown-timeout in ingress-nginx, stream_close_delay 5m in \
        Caddy. Reload less often.",
    reports: "1006 on many clients.",
    references: &["kubernetes/ingress-nginx#2461", "caddyserver/caddy#6420"],
    aliases: &["1006", "reload", "ingress-nginx", "Caddy", "worker-shutdown-timeout"],
    ..Rule::BASE
};

pub(crate) static HOST_DOWN: Rule = Rule {
    id: "WSO804",
    slug: "host-down",
    severity: Severity::Error,
    party: Party::Server,
    detected: false,
    title: "The server's machine is gone.",
    explanation: "Everything from this machine stopped at one moment: no data, no acknowledgement, no reset. Its power, \
        its network or its virtual host is gone.",
    evidence: "All connections to the machine go silent together and are retransmitted without an answer; if captured \
        in the same network, its ARP or neighbour questions stay unanswered too. Likely.",
    unless: "If other clients still reach it, the way and not the machine is interrupted (WSN008).",
    advice: "Check the machine. Clients notice such an end only with pings of their own, so use them on both sides.",
    reports: "Nothing for minutes, then 1006 or ETIMEDOUT.",
    references: &["RFC 9293 §3.8.3"],
    aliases: &["1006", "ETIMEDOUT", "host down"],
    ..Rule::BASE
};

pub(crate) static BACKEND_DIED_BEHIND_PROXY: Rule = Rule {
    id: "WSO805",
    slug: "backend-died-behind-proxy",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Mechanism),
    party: Party::Server,
    title: "The server behind the proxy died, and the proxy passed it on as an ordinary hang-up.",
    explanation: "The connection between proxy and server broke first, and the proxy then hung up on the client in the \
        ordinary way. From the client's side it looks as if the proxy had closed. The cause is the server.",
    evidence: "FIN or RST without a close frame from the server behind the proxy, and within 50 milliseconds the \
        proxy's FIN to the client. Proven with both connections in the capture. nginx, HAProxy and Apache all \
        turn the reset into a FIN.",
    unless: "If the proxy closed both sides on its own, it was a timer (WSK701, WSL953). If the client left first, \
        see WSL952.",
    advice: "Look at the server's log at that second: a crash, a kill, or a deploy.",
    reports: "Browsers report close code 1006 with an empty reason and wasClean false. node ws reports close code \
        1006. Python websockets raises ConnectionClosedError: no close frame received or sent. Go (gorilla) \
        reports: close 1006 (abnormal closure): unexpected EOF. .NET throws: The remote party closed the \
        WebSocket connection without completing the close handshake.",
    references: &["RFC 6455 §7.2.1"],
    aliases: &["1006", "backend died", "upstream prematurely closed connection"],
    ..Rule::BASE
};

pub(crate) static OVERLOAD: Rule = Rule {
    id: "WSO806",
    slug: "overload",
    severity: Severity::Warning,
    party: Party::Server,
    detected: false,
    title: "The server cannot keep up with new connections.",
    explanation: "The server or its proxy cannot take new connections fast enough. It often happens after a restart, when \
        all clients come back at once.",
    evidence: "Repeated SYNs, 503 answers, Close 1013, or handshakes that take longer and longer, on many connections \
        at one time. Likely.",
    unless: "If only one client is slow, look at that client's network.",
    advice: "Spread the clients' return over time (WSR903). Raise the accept queue (backlog, net.core.somaxconn) and \
        the number of workers. Refuse early with 503 and Retry-After instead of letting clients wait.",
    reports: "Timeouts, 503 or 1013.",
    references: &["RFC 6455 §7.2.3"],
    aliases: &["1006", "1013", "503", "overload"],
    ..Rule::BASE
};

pub(crate) static LB_SENDS_TO_DEAD_NODE: Rule = Rule {
    id: "WSO807",
    slug: "lb-sends-to-dead-node",
    severity: Severity::Error,
    party: Party::Proxy,
    detected: false,
    title: "A load balancer sends some connections to a server that does not work.",
    explanation: "The same service answers some connections and fails others, and the failures all belong to one of its \
        addresses. The load balancer keeps sending clients to a server that does not work.",
    evidence: "Same Host, some connections with 101 and others refused or answered 502 or 503, separated by the \
        server's address. Likely.",
    unless: "If the failures are spread over all addresses, the service as a whole is in trouble.",
    advice: "Take the broken server out of the pool and repair its health check: it should test the WebSocket port, \
        not only that the machine is up.",
    reports: "1006 for a part of the attempts.",
    references: &["RFC 9110 §15.6.3"],
    aliases: &["1006", "502", "503", "load balancer", "health check"],
    ..Rule::BASE
};
