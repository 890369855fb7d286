//! Family `WST`: TLS.

use super::Rule;
use crate::diagnosis::finding::Severity;

/// The client spoke unencrypted ws:// to a port that expects TLS.
pub static WS_TO_TLS_PORT: Rule = Rule {
    id: "WST101",
    slug: "ws-to-tls-port",
    severity: Severity::Error,
    title: "The client spoke unencrypted ws:// to a port that expects TLS.",
    explanation: "The client opened an unencrypted WebSocket (ws://) on a port where the server expects TLS. The server \
        read the client's GET as a broken TLS handshake, or noticed the mistake and said so in plain HTTP.",
    evidence: "The client's first bytes are an HTTP request, and the server answers with a TLS alert record or with an \
        HTTP 400 that names the mistake (nginx: The plain HTTP request was sent to HTTPS port; Go: Client sent \
        an HTTP request to an HTTPS server). Proven with either; likely when the server just hangs up.",
    unless: "A 400 without such a text has other reasons (WSH312).",
    advice: "Use wss:// in the client's address, or connect to the plain port.",
    reports: "Browsers: close code 1006 and, with Chromium, Invalid status line or ERR_CONNECTION_RESET. node: socket \
        hang up or a parse error.",
    references: &["RFC 6455 §3", "RFC 8446 §6"],
    aliases: &["1006", "plain HTTP request was sent to HTTPS port", "ERR_CONNECTION_RESET"],
};

/// The client spoke wss:// (TLS) to a port that does not speak TLS.
pub static TLS_TO_PLAIN_PORT: Rule = Rule {
    id: "WST102",
    slug: "tls-to-plain-port",
    severity: Severity::Error,
    title: "The client spoke wss:// (TLS) to a port that does not speak TLS.",
    explanation: "The client opened an encrypted WebSocket (wss://) on a port where the server speaks plain HTTP. The \
        server could not make sense of the TLS greeting and answered in plain text, or hung up.",
    evidence: "The client's first bytes are a TLS handshake record, and the server's first bytes are readable text such \
        as HTTP/1.1 400. Proven with such an answer; only possible when the server hangs up or stays silent.",
    unless: "If the server's first bytes are a TLS record, the port does speak TLS.",
    advice: "Use ws:// for this port, or the port that has TLS, or put a proxy with TLS in front. If a proxy ends \
        TLS, check that it really does so on this port.",
    reports: "Browsers: ERR_SSL_PROTOCOL_ERROR and close code 1006. node: EPROTO wrong version number. Python: \
        SSLError WRONG_VERSION_NUMBER or record layer failure. Go: first record does not look like a TLS \
        handshake.",
    references: &["RFC 8446 §5.1", "RFC 6455 §3"],
    aliases: &["1006", "1015", "EPROTO", "wrong version number", "ERR_SSL_PROTOCOL_ERROR"],
};

/// The client does not trust whoever signed the server's certificate.
pub static CERT_UNTRUSTED: Rule = Rule {
    id: "WST103",
    slug: "cert-untrusted",
    severity: Severity::Error,
    title: "The client does not trust whoever signed the server's certificate.",
    explanation: "The server presented a certificate and the client refused it, because it does not know or trust whoever \
        signed it. Usually the certificate is self-signed or comes from a company's own authority that this \
        client does not have. The WebSocket request was never sent. For a web page a browser would offer to go \
        on anyway; for a WebSocket it fails silently.",
    evidence: "The client sends alert 48 (unknown_ca). In TLS 1.2 or with keys, the certificate itself is visible: when \
        issuer and subject are the same it is self-signed. Proven with the alert or the certificate, together \
        with the client's refusal.",
    unless: "Alert 45 means expired (WST104); 42 usually another reason. If only the intermediate certificate is \
        missing, see WST108.",
    advice: "Use a certificate from a public authority, or install your authority on every client: in the system or \
        browser, NODE_EXTRA_CA_CERTS for node, cafile for Python. For a quick test in a browser, open \
        https://HOST:PORT/ once, accept the warning, then reload the page: the exception counts for that host \
        and port only. In nginx:\n\
        \n\
        \x20   ssl_certificate     /etc/ssl/fullchain.pem;\n\
        \x20   ssl_certificate_key /etc/ssl/privkey.pem;",
    reports: "Chromium: ERR_CERT_AUTHORITY_INVALID and close code 1006. Firefox: close code 1015 or 1006. node: \
        DEPTH_ZERO_SELF_SIGNED_CERT or SELF_SIGNED_CERT_IN_CHAIN. Python: CERTIFICATE_VERIFY_FAILED. Go: x509: \
        certificate signed by unknown authority.",
    references: &["RFC 8446 §6.2", "RFC 5280 §6", "ratchetphp/Ratchet#1011", "zaphoyd/websocketpp#913"],
    aliases: &[
        "1006",
        "1015",
        "ERR_CERT_AUTHORITY_INVALID",
        "DEPTH_ZERO_SELF_SIGNED_CERT",
        "CERTIFICATE_VERIFY_FAILED",
        "self-signed",
        "unknown_ca",
    ],
};

/// The server's certificate has expired.
pub static CERT_EXPIRED: Rule = Rule {
    id: "WST104",
    slug: "cert-expired",
    severity: Severity::Error,
    title: "The server's certificate has expired.",
    explanation: "The server's certificate was not valid at the time of the connection: it has run out, or its time has \
        not begun. The client refused it and never sent the WebSocket request.",
    evidence: "The client sends alert 45 (certificate_expired), or the certificate is visible (TLS 1.2 and older, or \
        with keys) and the packet's time lies outside its period.",
    unless: "If the certificate is valid by the capture's clock but the client says expired, the client's clock may \
        be wrong.",
    advice: "Renew the certificate and reload the server, since a renewed file is not used until then (nginx -s \
        reload). Check every machine behind a load balancer. Check the client's clock.",
    reports: "Chromium: ERR_CERT_DATE_INVALID and close code 1006. Firefox: close code 1015 or 1006. node: \
        CERT_HAS_EXPIRED. Python: certificate has expired. Go: x509: certificate has expired or is not yet \
        valid.",
    references: &["RFC 8446 §6.2", "RFC 5280 §4.1.2.5"],
    aliases: &["1006", "1015", "CERT_HAS_EXPIRED", "ERR_CERT_DATE_INVALID", "certificate_expired"],
};

/// The server's certificate is for another name than the one the client asked for.
pub static CERT_NAME_MISMATCH: Rule = Rule {
    id: "WST105",
    slug: "cert-name-mismatch",
    severity: Severity::Error,
    title: "The server's certificate is for another name than the one the client asked for.",
    explanation: "The client asked for one name and the server showed a certificate for others. The client refused it and \
        never sent the WebSocket request. This often happens when one connects by IP address, by a short \
        internal name, or to a server that has several sites and picked the wrong one.",
    evidence: "The name in the client's greeting (SNI) is not among the certificate's names; visible in TLS 1.2 and \
        older, or with keys. Proven with both and the client's refusal. An alert 42 from an OpenSSL client makes \
        it likely.",
    unless: "If the name is covered, for example by a wildcard such as *.example.com, look at the other certificate \
        rules. A wildcard covers one label only.",
    advice: "Connect by a name that is in the certificate, or have the name (or the IP address) added to it. Look at \
        the names with:\n\
        \n\
        \x20   openssl s_client -connect HOST:443 -servername HOST </dev/null | openssl x509 -noout -text",
    reports: "Chromium: ERR_CERT_COMMON_NAME_INVALID and close code 1006. node: ERR_TLS_CERT_ALTNAME_INVALID. Python: \
        Hostname mismatch. Go: x509: certificate is valid for ..., not ...",
    references: &["RFC 9525 §6", "RFC 5280 §4.2.1.6"],
    aliases: &["1006", "1015", "ERR_TLS_CERT_ALTNAME_INVALID", "ERR_CERT_COMMON_NAME_INVALID", "hostname mismatch"],
};

/// The client refused the server's certificate and does not say why.
pub static CERT_REJECTED_REASON_HIDDEN: Rule = Rule {
    id: "WST106",
    slug: "cert-rejected-reason-hidden",
    severity: Severity::Error,
    title: "The client refused the server's certificate and does not say why.",
    explanation: "The client refused the server's certificate, but what it sent does not tell why. Chromium uses one \
        general alert for every reason, Go uses another one, and in TLS 1.3 without keys the alert is encrypted \
        and only its size shows. The WebSocket request was never sent.",
    evidence: "The client sends alert 46 (certificate_unknown) or, from Go, 42; or, in TLS 1.3 without keys, exactly \
        one small record of the size of an alert after the server's part, followed by the end. Proven with a \
        readable alert, otherwise likely.",
    unless: "If the certificate is visible and is expired, self-signed or for another name, that is the reason \
        (WST103, WST104, WST105).",
    advice: "Read the exact reason on the client: the browser's console or the program's error. Or test the server \
        from the client's machine: openssl s_client -connect HOST:443 -servername HOST.",
    reports: "Chromium: an ERR_CERT_ error in the console and close code 1006. Go: an x509: error.",
    references: &["RFC 8446 §6.2"],
    aliases: &["1006", "1015", "certificate_unknown", "bad_certificate"],
};

/// The client hung up right after it saw the server's certificate.
pub static CLIENT_LEFT_AFTER_CERTIFICATE: Rule = Rule {
    id: "WST107",
    slug: "client-left-after-certificate",
    severity: Severity::Error,
    title: "The client hung up right after it saw the server's certificate.",
    explanation: "The client received the server's certificate and hung up without a word. node does exactly this when it \
        does not trust a certificate: it keeps the reason to itself. Other explanations exist, so this is not \
        proof.",
    evidence: "After the server's part of the handshake the client sends nothing that belongs to a request, and closes \
        within about a second. It is likelier when the same client does so repeatedly, and when the certificate \
        is visibly bad.",
    unless: "A user who closed the page, a client's connect timeout, a port scanner or a load balancer's health check \
        look the same. Health checks come at regular intervals.",
    advice: "Read the client's error message. For node the reason is in the error's code field, for example \
        DEPTH_ZERO_SELF_SIGNED_CERT.",
    reports: "node: the certificate error. Browsers: close code 1006.",
    references: &["RFC 8446 §4.4.2.4"],
    aliases: &["1006", "1015"],
};

/// The server does not send the intermediate certificate that links it to a trusted authority.
pub static CHAIN_INCOMPLETE: Rule = Rule {
    id: "WST108",
    slug: "chain-incomplete",
    severity: Severity::Error,
    title: "The server does not send the intermediate certificate that links it to a trusted authority.",
    explanation: "The server sends only its own certificate and not the intermediate one that links it to a trusted \
        authority. Browsers often have the intermediate in store and work; programs such as node, Python and Go \
        fail. So it works in the browser and not in the program.",
    evidence: "The server's certificate message holds a single certificate whose issuer is another authority, and the \
        client refuses with alert 48. The certificate is visible in TLS 1.2 and older, or with keys. Likely.",
    unless: "If issuer and subject are the same, it is self-signed (WST103). An issuer that is itself a trusted root \
        needs no intermediate.",
    advice: "Install the full chain, leaf first. In nginx:\n\
        \n\
        \x20   ssl_certificate /etc/ssl/fullchain.pem;\n\
        \n\
        In Apache 2.4.8 or newer, SSLCertificateFile takes the full chain; in HAProxy, put leaf, intermediates \
        and key into one pem file.",
    reports: "node: UNABLE_TO_VERIFY_LEAF_SIGNATURE. Python: unable to get local issuer certificate. Go: x509: \
        certificate signed by unknown authority.",
    references: &["RFC 8446 §4.4.2", "websockets/ws#1004"],
    aliases: &[
        "1006",
        "1015",
        "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        "unable to get local issuer certificate",
        "intermediate",
    ],
};

/// The client did not name the server it wants, or named one the server does not know.
pub static SNI_MISSING_OR_UNKNOWN: Rule = Rule {
    id: "WST109",
    slug: "sni-missing-or-unknown",
    severity: Severity::Error,
    title: "The client did not name the server it wants, or named one the server does not know.",
    explanation: "In its TLS greeting a client names the server it wants (SNI), so that a machine with many sites can pick \
        the right certificate. Here the name is missing, or the server does not know it, and the server ended \
        the handshake or showed a certificate for something else.",
    evidence: "No server_name in the client's greeting together with a certificate for another name; or the server's \
        alert 112 (unrecognized_name); or a refusal right after the greeting while other names succeed at the \
        same address.",
    unless: "Some servers answer alert 40 for missing ciphers as well (WST111). Connecting by IP address sends no \
        name by design.",
    advice: "Connect by name. In nginx towards an encrypted server behind it, the name is off by default:\n\
        \n\
        \x20   proxy_ssl_server_name on;\n\
        \x20   proxy_ssl_name $host;",
    reports: "node: EPROTO with the alert's name. Go: remote error: tls: unrecognized name. Browsers: close code 1006.",
    references: &["RFC 6066 §3", "RFC 6455 §4.1"],
    aliases: &["1006", "1015", "SNI", "unrecognized_name"],
};

/// The server wants a certificate from the client and got none it accepts.
pub static CLIENT_CERT_REQUIRED: Rule = Rule {
    id: "WST110",
    slug: "client-cert-required",
    severity: Severity::Error,
    title: "The server wants a certificate from the client and got none it accepts.",
    explanation: "The server asks the client for a certificate of its own, and the client had none or one that was not \
        accepted. Browsers do not show their certificate dialog for a WebSocket: they cancel it.",
    evidence: "The server's certificate request, an empty certificate from the client (both visible in TLS 1.2 and \
        older, or with keys), and then alert 116 (certificate_required), 40, 42 or 48 from the server. Proven \
        with these. In TLS 1.3 without keys only possible: the client is finished, sends its request, and the \
        server answers with one small record and the end.",
    unless: "Alerts sent by the client are about the server's certificate (WST103 to WST106).",
    advice: "Give the client its certificate and key, or do not demand one for the WebSocket. In nginx the setting is \
        per server, not per location:\n\
        \n\
        \x20   ssl_verify_client optional;",
    reports: "Chromium hangs up and says in its console: WebSocket opening handshake was canceled. node and Python: \
        alert certificate required or handshake failure. nginx may answer 400 inside TLS: No required SSL \
        certificate was sent.",
    references: &["RFC 8446 §4.3.2", "RFC 8446 §6.2", "jolocom/smartwallet-app#249"],
    aliases: &["1006", "1015", "mTLS", "certificate_required", "client certificate"],
};

/// The two sides share no TLS version or no cipher.
pub static VERSION_OR_CIPHER: Rule = Rule {
    id: "WST111",
    slug: "version-or-cipher",
    severity: Severity::Error,
    title: "The two sides share no TLS version or no cipher.",
    explanation: "Client and server found no TLS version or no cipher that both accept, so the handshake ended before it \
        really began. Usually one of them is very old, or one was hardened.",
    evidence: "The server answers the greeting with alert 70 (protocol_version), 71 (insufficient_security) or 40 \
        (handshake_failure); or the client sends one of these right after the server's choice. Proven with the \
        alert.",
    unless: "Alert 40 may also mean an unknown name (WST109) or a missing client certificate (WST110); the moment at \
        which it comes tells.",
    advice: "Allow TLS 1.2 and 1.3 on both sides and update the old one. In nginx:\n\
        \n\
        \x20   ssl_protocols TLSv1.2 TLSv1.3;",
    reports: "Chromium: ERR_SSL_VERSION_OR_CIPHER_MISMATCH and close code 1006. node: EPROTO. Python: SSLError with \
        the alert's name. Go: remote error: tls: protocol version not supported.",
    references: &["RFC 8446 §6.2", "RFC 9325 §3.1", "websockets/ws#1227"],
    aliases: &["1006", "1015", "EPROTO", "ERR_SSL_VERSION_OR_CIPHER_MISMATCH", "protocol_version", "handshake_failure"],
};

/// The two sides could not agree on HTTP/1.1, which this WebSocket needs.
pub static ALPN_H2_ONLY: Rule = Rule {
    id: "WST112",
    slug: "alpn-h2-only",
    severity: Severity::Error,
    title: "The two sides could not agree on HTTP/1.1, which this WebSocket needs.",
    explanation: "In the TLS greeting the two sides also agree on the version of HTTP. A classic WebSocket needs HTTP/1.1, \
        and the server does not offer it, or chose HTTP/2 instead.",
    evidence: "The client offers only http/1.1 and the server answers with alert 120 (no_application_protocol); or the \
        server chooses h2, and an HTTP/1.1 upgrade request follows on that connection.",
    unless: "If http/1.1 was agreed, this is not the reason. If h2 was agreed and the client uses WebSocket over \
        HTTP/2, see WSH336 and WSH337.",
    advice: "Let the server offer http/1.1 beside h2. HAProxy:\n\
        \n\
        \x20   bind :443 ssl crt site.pem alpn h2,http/1.1\n\
        \n\
        In Go: tls.Config{NextProtos: []string{\"h2\", \"http/1.1\"}}.",
    reports: "Browsers: close code 1006; Chromium may add ERR_ALPN_NEGOTIATION_FAILED.",
    references: &["RFC 7301 §3.2", "RFC 6455 §4.1"],
    aliases: &["1006", "1015", "ALPN", "no_application_protocol"],
};

/// The client's first TLS message spans two packets and something on the way drops it.
pub static LARGE_CLIENTHELLO_DROPPED: Rule = Rule {
    id: "WST113",
    slug: "large-clienthello-dropped",
    severity: Severity::Error,
    title: "The client's first TLS message spans two packets and something on the way drops it.",
    explanation: "Current clients send a larger TLS greeting, because it holds a key that resists quantum computers. It no \
        longer fits into one packet. Some firewalls and load balancers look only at the first packet and drop or \
        reset the connection.",
    evidence: "The greeting spans more than one segment, and the second is retransmitted without an answer, or a reset \
        follows the first; a smaller greeting to the same server succeeds. Likely.",
    unless: "If small greetings to that server fail too, the size is not the reason.",
    advice: "Update the device on the way. As a temporary test, switch the new key off: in Go GODEBUG=tlsmlkem=0.",
    reports: "Timeouts or ECONNRESET during the TLS handshake.",
    references: &["RFC 8446 §4.1.2", "canonical/lxd#14839", "golang/go#80573"],
    aliases: &["1006", "ML-KEM", "Kyber", "post-quantum"],
};

/// An antivirus program or firewall seems to decrypt this connection on the way.
pub static TLS_INTERCEPTION: Rule = Rule {
    id: "WST114",
    slug: "tls-interception",
    severity: Severity::Warning,
    title: "An antivirus program or firewall seems to decrypt this connection on the way.",
    explanation: "The certificate was issued by a security product, not by a public authority. An antivirus program on the \
        client or a company's firewall opens the encryption, looks inside and encrypts again. Such products \
        sometimes damage or delay WebSockets.",
    evidence: "The issuer's name in the certificate is that of a known product (for example Avast, ESET, Kaspersky, \
        Fortinet, Zscaler); visible in TLS 1.2 and older, or with keys. Or two capture points show different \
        certificates for the same server. Likely.",
    unless: "A private authority of your own company may have such a name without anything intercepting.",
    advice: "Exclude this server from the product's HTTPS scanning and try again.",
    reports: "",
    references: &["jetty/jetty.project#7740", "websockets/ws#1004"],
    aliases: &["antivirus", "TLS inspection", "HTTPS scanning", "man in the middle"],
};

/// The TLS handshake began but the server never answered.
pub static TLS_STALLED: Rule = Rule {
    id: "WST115",
    slug: "tls-stalled",
    severity: Severity::Error,
    title: "The TLS handshake began but the server never answered.",
    explanation: "The client's TLS greeting was delivered and confirmed, but no answer came. The server's program is not \
        reading, or it waits for something else first: a load balancer's PROXY protocol line, or plain text on a \
        port without TLS.",
    evidence: "The greeting is acknowledged, and no data from the server for more than 5 seconds. The stall is proven; \
        its reason is only possible.",
    unless: "If the greeting is not acknowledged, it is lost on the way (WST113, WSN008).",
    advice: "Test with openssl s_client -connect HOST:PORT from the server itself. Compare the PROXY protocol setting \
        on both sides: send-proxy in HAProxy needs listen ... proxy_protocol in nginx.",
    reports: "Timeouts: timed out during opening handshake (Python), TLS handshake timeout (Go).",
    references: &["RFC 8446 §4.1"],
    aliases: &["1006", "TLS handshake timeout", "PROXY protocol"],
};

/// The encrypted connection ended without the TLS goodbye.
pub static NO_CLOSE_NOTIFY: Rule = Rule {
    id: "WST116",
    slug: "no-close-notify",
    severity: Severity::Info,
    title: "The encrypted connection ended without the TLS goodbye.",
    explanation: "TLS has a goodbye of its own, and this connection ended without it. So nobody can be sure that the last \
        bytes arrived. For a connection whose Close frames were exchanged before, it does not matter.",
    evidence: "FIN or RST without a close_notify alert from that side before it. Certain only with keys; in TLS 1.3 \
        without keys the goodbye looks like any small record.",
    unless: "A killed program or a reset never leaves time for it. Many servers omit it on purpose.",
    advice: "Nothing needs fixing when the WebSocket was closed properly. Otherwise look at the finding that explains \
        the end.",
    reports: "OpenSSL 3: unexpected eof while reading. Go: unexpected EOF.",
    references: &["RFC 8446 §6.1"],
    aliases: &["close_notify", "truncation"],
};

/// Every rule of the family, in order of id.
pub static ALL: &[&Rule] = &[
    &WS_TO_TLS_PORT,
    &TLS_TO_PLAIN_PORT,
    &CERT_UNTRUSTED,
    &CERT_EXPIRED,
    &CERT_NAME_MISMATCH,
    &CERT_REJECTED_REASON_HIDDEN,
    &CLIENT_LEFT_AFTER_CERTIFICATE,
    &CHAIN_INCOMPLETE,
    &SNI_MISSING_OR_UNKNOWN,
    &CLIENT_CERT_REQUIRED,
    &VERSION_OR_CIPHER,
    &ALPN_H2_ONLY,
    &LARGE_CLIENTHELLO_DROPPED,
    &TLS_INTERCEPTION,
    &TLS_STALLED,
    &NO_CLOSE_NOTIFY,
];
