"""One capture for each rule that no recorded one demands: the fault as its software makes it, and beside it, where it is
cheap, the healthy connection that comes close.

Each recipe tells its truth connection by connection; the expectation follows from it, never from what wsscan says.
"""
from recipe import *


def answer(status, *headers, body="", version="HTTP/1.1"):
    """An HTTP response; Content-Length is added unless it is among the headers."""
    body = body.encode()
    lines = [f"{version} {status}", *headers]
    if not any(h.lower().startswith(("content-length", "transfer-encoding")) for h in headers):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def asked(c, path, *headers, host="app.example.net:8080"):
    """The upgrade request of a connection, acknowledged; returns its packet."""
    c.question = c.data(CLIENT, request(path, host=host, key=c.key, extra=headers))
    return c.question


def accepts(c, *headers):
    """The 101 to it, acknowledged; returns its packet."""
    c.accepted = c.data(SERVER, switching(c.key, extra=headers))
    return c.accepted


def closes(c):
    """The packets of a connection that carry its Close frames."""
    return [p for p in c.packets if any(f.opcode == 8 for f in p.frames)]


def note(rule, *packets, confidence="proven"):
    """A remark that is no alarm."""
    return finding(rule, *packets, confidence=confidence, severity="info")


def warning(rule, *packets, confidence="proven"):
    return finding(rule, *packets, confidence=confidence, severity="warning")


def refuse(tale, rule, path, response, truth, headers=(), hangs_up=SERVER, host="app.example.net:8080"):
    """A whole and valid request that is answered with something else than 101."""
    c = tale.begin()
    question = asked(c, path, *headers, host=host)
    refusal = c.data(SERVER, response)
    c.fin(hangs_up)
    tale.want(c, f"{truth} ({rule}).", **upgrade_failed(finding(rule, question, refusal)))


def live(tale, c, path="/feed", headers=(), answered=(), host="app.example.net:8080"):
    """Opens a WebSocket on a connection and exchanges a message each way; returns the two peers."""
    n = tale.conversations.index(c)
    client, server = Peer(CLIENT, n), Peer(SERVER, n)
    asked(c, path, *headers, host=host)
    accepts(c, *answered)
    c.send(client.text("question"))
    c.send(server.text("answer"))
    return client, server


def well(tale, truth, path="/feed", headers=(), answered=(), code=1000, host="app.example.net:8080", **more):
    """A healthy connection from beginning to end: the near miss."""
    c = tale.begin()
    client, server = live(tale, c, path, headers, answered, host)
    c.close(client, server, code)
    tale.want(c, truth, **closed_well(code, **more))


# ------------------------------------------------------------------ the capture itself

@recipe("gen-offload-joined-segments")
def offload_joined_segments():
    tale = Tale()
    c = tale.begin()
    client, server = live(tale, c)
    c.send(server.text("x" * 2890))
    c.close(client, server, 1000)
    tale.want(c, "the server's network card cut a message of 2890 bytes into two packets after it was captured; closed 1000.",
              **closed_well(1000, must_find=[note("WSI006", c.packets[0])]))
    c = tale.begin()
    client, server = live(tale, c)
    c.send(server.text("x" * 1450))
    c.close(client, server, 1000)
    tale.want(c, "a message that fills one packet to the last byte but ten; closed 1000.", **closed_well(1000))
    return tale.capture(
        "Captured on the server, whose network card cuts large packets: one packet of the capture is larger than the client said it accepts.",
        [("WSN009", "a large packet, but it arrived and was acknowledged"),
         ("WSI002", "the bytes beyond one maximum segment are there, not missing")])


# ------------------------------------------------------------------ opening handshake

@recipe("gen-refused-not-allowed")
def refused_not_allowed():
    tale = Tale()
    refuse(tale, "WSH313", "/private", answer("401 Unauthorized", "Connection: close", "Content-Type: text/html", body="Unauthorized"),
           "no token; node ws with `verifyClient` answers 401")
    refuse(tale, "WSH314", "/rooms/7", answer("403 Forbidden", "server: uvicorn", "content-type: text/plain", "connection: close"),
           "the ASGI application closed before it accepted, which uvicorn sends as 403; its own code 4403 never leaves the server")
    refuse(tale, "WSH307", "/updates", answer("403 Forbidden", "Server: TornadoServer/6.4", "Content-Type: text/html; charset=UTF-8",
                                              body="Cross origin websockets not allowed"),
           "Tornado compares Origin with a Host that the proxy rewrote, and says so", headers=["Origin: https://app.example.net"],
           host="10.1.2.3:8888")
    well(tale, "the same path with a token is accepted; closed 1000 by the client.", "/private", headers=["Cookie: session=8f14e45fceea167a"])
    return tale.capture(
        "Three servers that do not let the client in: one wants a login, one forbids it, one does not like the Origin. The requests are complete, "
        "so neither a proxy nor the client's code is to blame.",
        [("WSH301", "every request arrived with Upgrade, Connection and key: nothing was stripped"),
         ("WSR901", "three refusals in three seconds, but at three different places: no loop"),
         ("WSH328", "the server hangs up after its answer, not in place of one")])


@recipe("gen-refused-come-later")
def refused_come_later():
    tale = Tale()
    refuse(tale, "WSH317", "/ticker", answer("429 Too Many Requests", "Server: nginx", "Retry-After: 30", "Content-Type: text/plain", "Connection: close",
                                             body="rate limit exceeded\n"), "the client connected too often")
    page = "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n"
    refuse(tale, "WSH317", "/chat", ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\nCache-Control: no-cache\r\nConnection: close\r\n"
                                     "Content-Type: text/html\r\n\r\n%s" % (len(page), page)).encode(),
           "HAProxy has no server left for this backend")
    refuse(tale, "WSH319", "/jobs", answer("500 Internal Server Error", "Content-Type: text/plain; charset=utf-8", "Server: Python/3.11 aiohttp/3.9.1",
                                           "Connection: close", body="500 Internal Server Error\n\nServer got itself in trouble"),
           "the handler of aiohttp raised an exception before it prepared the WebSocket")
    well(tale, "half a minute later the first path is accepted; closed 1000 by the client.", "/ticker")
    return tale.capture(
        "Servers that would, but cannot at the moment: a rate limit, a load balancer without a server, a handler that crashed.",
        [("WSH318", "a 503 of HAProxy says that it has no server, not that a server gave it a bad answer"),
         ("WSH301", "nginx in the Server header and a refusal, but 429 is no answer to a stripped request"),
         ("WSO801", "nothing was open, so nothing was cut off")])


@recipe("gen-refused-wrong-door")
def refused_wrong_door():
    tale = Tale()
    page = ("<html>\r\n<head><title>301 Moved Permanently</title></head>\r\n<body>\r\n<center><h1>301 Moved Permanently</h1></center>\r\n"
            "<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n")
    refuse(tale, "WSH311", "/live", answer("301 Moved Permanently", "Server: nginx/1.22.1", "Content-Type: text/html",
                                           "Location: http://app.example.net:8080/live/", "Connection: keep-alive", body=page),
           "the location ends in a slash and the URL does not: nginx redirects, and the browser gives up", hangs_up=CLIENT)
    refuse(tale, "WSH312", "/sockets", answer("400 Bad Request", "Connection: close", "Content-Type: text/html", body="Bad Request"),
           "node ws serves another path")
    refuse(tale, "WSH316", "/api/events", answer("405 METHOD NOT ALLOWED", "Server: Werkzeug/3.0.1 Python/3.11.7", "Content-Type: text/html; charset=utf-8",
                                                 "Allow: POST, OPTIONS", "Connection: close", body="<!doctype html>\n<title>405 Method Not Allowed</title>\n"),
           "the route exists for POST only")
    well(tale, "the URL with its slash is accepted; closed 1000 by the client.", "/live/")
    return tale.capture(
        "The server is there and speaks WebSocket, but not where the client knocks: a redirect, a path that the WebSocket server does not serve, a "
        "route for another method.",
        [("WSH304", "405 is the answer to a method; this request is a GET, as it must be"),
         ("WSH305", "400 without a reason, and the key is valid"),
         ("WSH301", "nginx answered one of them itself: its redirect, not a stripped request")])


@recipe("gen-request-faults")
def request_faults():
    tale = Tale()

    def fault(rule, req, response, truth, *also):
        c = tale.begin()
        question = c.data(CLIENT, req(c))
        refusal = c.data(SERVER, response)
        c.fin()
        form_only = rule in ("WSH335", "WSH344")  # the form is proven, that it is the reason is likely
        packets = (question,) if form_only else (question, refusal)
        confidence = ["proven", "likely"] if form_only else "proven"
        more = {"may_find": list(also)} if also else {}
        tale.want(c, f"{truth} ({rule}).", **upgrade_failed(finding(rule, *packets, confidence=confidence), **more))

    fault("WSH304", lambda c: request("/hook", key=c.key).replace(b"GET ", b"POST ", 1).replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"),
          answer("405 Method Not Allowed", "Content-Type: text/plain; charset=utf-8", "Connection: close", body="Method Not Allowed\n"),
          "an HTTP client that kept its method sends the upgrade as POST; gorilla answers 405")
    fault("WSH306", lambda c: request("/feed8", key=c.key).replace(b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8"),
          answer("400 Bad Request", "Content-Type: text/plain; charset=utf-8", "Sec-Websocket-Version: 13", "Connection: close", body="Bad Request\n"),
          "a client of 2011 asks for version 8; gorilla knows 13 only")
    fault("WSH335", lambda c: request("//ptsWebSocket", key=c.key),
          answer("404 Not Found", "Content-Type: text/html; charset=utf-8", "Connection: close", body="<pre>Cannot GET //ptsWebSocket</pre>\n"),
          "the firmware puts a slash before a path that was configured with one; the server knows no such path", "WSH315")
    fault("WSH344", lambda c: request("/nohost", key=c.key).replace(b"Host: app.example.net:8080\r\n", b""),
          answer("400 Bad Request", "Content-Type: text/plain; charset=utf-8", "Connection: close", body="400 Bad Request: missing required Host header"),
          "a client written by hand sends no Host; Go's server answers 400 before any handler")
    c = tale.begin()
    client, server = Peer(CLIENT, 4), Peer(SERVER, 4)
    c.data(CLIENT, request("/feed", key=c.key, extra=["Accept-Language: en-US,en;q=0.5", "Sec-Fetch-Mode: websocket", "Pragma: no-cache"])
           .replace(b"Connection: Upgrade", b"Connection: keep-alive, Upgrade"))
    accepts(c)
    c.close(client, server)
    tale.want(c, "Firefox sends `Connection: keep-alive, Upgrade`, which is right; closed 1000 by the client.", **closed_well())
    return tale.capture(
        "Requests that ask for a WebSocket and break one rule each; the server says no.",
        [("WSH305", "all keys are valid"),
         ("WSH316", "405 is the answer to POST: the endpoint does WebSocket for GET"),
         ("WSH301", "Upgrade and Connection are in every request")])


@recipe("gen-plain-requests-at-endpoint")
def plain_requests():
    tale, visits = Tale(), []
    for agent, response, truth in [
            ("curl/7.88.1", answer("426 Upgrade Required", "Content-Type: text/plain", body="Upgrade Required"),
             "somebody tries the URL with curl; node ws answers 426"),
            ("kube-probe/1.29", answer("400 Bad Request", "Content-Type: text/plain; charset=utf-8", "Sec-Websocket-Version: 13", "X-Content-Type-Options: nosniff",
                                       body="This endpoint is for WebSocket connections only\n"),
             "a health check asks for the page; the endpoint answers 400")]:
        c = tale.begin()
        question = c.data(CLIENT, f"GET /feed HTTP/1.1\r\nHost: app.example.net:8080\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\r\n".encode())
        visits.append((question, c.data(SERVER, response)))
        c.fin(CLIENT)
        tale.truth.append(f"TCP stream {len(tale) - 1}: {truth} (WSH302); no WebSocket was wanted.")
    well(tale, "a WebSocket at the same place, closed 1000 by the client.")
    return tale.capture(
        "Two visitors who want no WebSocket ask for its address, and are told so. Worth a remark, no failure of anything.",
        [("WSH316", "426, but nobody asked for an upgrade"), ("WSH301", "no Sec-WebSocket-Key: no proxy stripped this request"),
         ("WSH312", "400, but nobody asked for an upgrade")],
        must_find=[note("WSH302", *asked_and_told) for asked_and_told in visits])


@recipe("gen-answers-101-with-oddities")
def answers_with_oddities():
    tale = Tale()

    c = tale.begin()
    client, server = live(tale, c, "/sized", answered=["Content-Length: 0"])
    c.close(client, server)
    tale.want(c, "the 101 carries `Content-Length: 0` (WSH326); nobody minds, closed 1000 by the client.",
              **closed_well(must_find=[warning("WSH326", c.accepted)]))

    c = tale.begin()
    client, server = Peer(CLIENT, 1), Peer(SERVER, 1)
    early = client.text("subscribe")
    both = c.data(CLIENT, request("/eager", key=c.key) + early.bytes, frames=[early])
    accepts(c)
    c.send(server.text("subscribed"))
    c.close(client, server)
    tale.want(c, "the client sends its first frame in the segment of its request (WSH330); the server takes it, closed 1000 by the client.",
              **closed_well(must_find=[warning("WSH330", both)]))

    c = tale.begin()
    asked(c, "/patient")
    interim = c.data(SERVER, b"HTTP/1.1 100 Continue\r\n\r\n")
    accepts(c)
    c.segment(CLIENT, FIN | ACK)
    c.wait(c.rtt / 2).segment(SERVER, FIN | ACK)
    c.wait(c.rtt / 2).ack(CLIENT)
    tale.want(c, "a 100 comes before the 101; Python websockets takes the 100 for the answer and leaves without a frame (WSH342).",
              outcome=["closed_abnormal", "upgrade_failed"], client_code=[1006], server_code=[1006, None],
              close={"client_code": "absent", "server_code": "absent"}, root_cause=finding("WSH342", interim, confidence=["likely", "proven"]))

    c = tale.begin()
    asked(c, "/crash")
    accepted = accepts(c)
    c.wait(30 * MS)
    gone = c.segment(SERVER, FIN | ACK)
    c.wait(c.rtt / 2).segment(CLIENT, FIN | ACK)
    c.wait(c.rtt / 2).ack(SERVER)
    tale.want(c, "the handler raises an exception on its first line: 101, and thirty milliseconds later the server hangs up (WSH333).",
              **cut_off(finding("WSH333", accepted, gone, confidence="likely")))

    c = tale.begin()
    client, server = Peer(CLIENT, 4), Peer(SERVER, 4)
    asked(c, "/greeting")
    hello = server.text("welcome")
    c.data(SERVER, switching(c.key) + hello.bytes, frames=[hello])
    c.close(client, server)
    tale.want(c, "the server's first frame comes in the segment of its 101, which is allowed; closed 1000 by the client.", **closed_well())
    return tale.capture(
        "Five answers 101: one with a length, one to a client that could not wait, one behind a 100, one from a handler that dies at once, and one "
        "with the first frame in the same segment.",
        [("WSI001", "no beginning is missing: the early frame follows its request"),
         ("WSH321", "every Sec-WebSocket-Accept is right"),
         ("WSK701", "the server's hang-up follows the 101 at once: no timer")])


@recipe("gen-no-http-answer")
def no_http_answer():
    tale = Tale()
    c = tale.begin(server=("198.51.100.20", 22))
    question = asked(c, "/feed", host="app.example.net:22")
    banner = c.data(SERVER, b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")
    c.data(SERVER, b"Invalid SSH identification string.\r\n")
    c.fin()
    tale.want(c, "on port 22 answers SSH (WSH343).", **upgrade_failed(finding("WSH343", question, banner)))

    c = tale.begin(server=("198.51.100.20", 6379))
    question = asked(c, "/feed", host="app.example.net:6379")
    error = c.data(SERVER, b"-ERR wrong number of arguments for 'get' command\r\n")
    c.fin()
    tale.want(c, "on port 6379 answers Redis, which takes GET for its own command (WSH343).", **upgrade_failed(finding("WSH343", question, error)))

    c = tale.begin()
    client, server = Peer(CLIENT, 2), Peer(SERVER, 2)
    asked(c, "/feed")
    c.data(SERVER, switching(c.key).replace(b"101 Switching Protocols\r\n", b"101 \r\n"))
    c.send(server.text("hello"))
    c.close(client, server)
    tale.want(c, "a 101 without a reason phrase is an HTTP answer like any other (RFC 9112 section 4); closed 1000 by the client.", **closed_well())
    return tale.capture(
        "The port number is wrong: behind it answers SSH, or Redis, and no HTTP.",
        [("WST101", "no TLS alert: these ports are as plain as the client"),
         ("WSH328", "the server did answer before it hung up"),
         ("WSI001", "the server's first bytes are no frames of a WebSocket whose beginning is missing")])


@recipe("gen-answer-awaited")
def answer_awaited():
    tale = Tale(gap=20 * SECOND)
    c = tale.begin()
    question = asked(c, "/slow")
    c.wait(3 * SECOND)
    left = c.segment(CLIENT, FIN | ACK)
    c.wait(c.rtt / 2).segment(SERVER, FIN | ACK)
    c.wait(c.rtt / 2).ack(CLIENT)
    tale.want(c, "the client's handshake timeout is three seconds; the server takes longer (WSH327).", **upgrade_failed(finding("WSH327", question, left)))

    c = tale.begin()
    question = c.segment(CLIENT, PSH | ACK, request("/mute", key=c.key))
    c.wait(c.rtt / 2)
    c.ack(SERVER)
    c.wait(10 * SECOND)
    left = c.segment(CLIENT, FIN | ACK)
    c.wait(c.rtt / 2)
    c.ack(SERVER)
    tale.want(c, "Python websockets waits ten seconds (open_timeout); the server's kernel took the request, its program never said a word (WSN004).",
              **upgrade_failed(finding("WSN004", question, left), must_find=[finding("WSH327", question, left)]))

    c = tale.begin()
    question = asked(c, "/twice")
    c.wait(40 * MS)
    left = c.segment(CLIENT, FIN | ACK)
    c.wait(c.rtt / 2).segment(SERVER, FIN | ACK)
    c.wait(c.rtt / 2).ack(CLIENT)
    tale.want(c, "a page that mounts its component twice closes the first socket 42 ms after asking (WSH329).",
              **upgrade_failed(finding("WSH329", question, left, severity="info")))

    c = tale.begin()
    client, server = Peer(CLIENT, 3), Peer(SERVER, 3)
    asked(c, "/twice")
    c.wait(1800 * MS)
    accepts(c)
    c.send(server.text("at last"))
    c.close(client, server)
    tale.want(c, "the same page's second socket, answered after 1.8 s, which is slow and in time; closed 1000 by the client.", **closed_well())

    c = tale.begin()
    question = c.segment(CLIENT, PSH | ACK, request("/twice", key=c.key))
    c.wait(5 * MS)
    left = c.segment(CLIENT, FIN | ACK)
    c.wait(MS)
    c.segment(SERVER, PSH | ACK, switching(c.key))
    c.segment(SERVER, FIN | ACK)
    c.wait(MS).segment(CLIENT, RST)
    tale.want(c, "a first socket again; this time the 101 crosses the FIN of the client that has gone (WSH329).",
              outcome=["closed_abnormal", "upgrade_failed"], client_code=[1006], server_code=[1006, None],
              close={"client_code": "absent", "server_code": "absent"}, root_cause=note("WSH329", question, left))
    return tale.capture(
        "Five clients wait for the answer to their upgrade request: one for three seconds, one for ten, two not at all, and one gets it.",
        [("WSH328", "no server hung up: the clients left"),
         ("WSN006", "whoever left before the 101 ended no WebSocket"),
         ("WSR901", "sockets at one place, of which one works: no loop")])


@recipe("gen-hardcoded-localhost")
def hardcoded_localhost():
    tale = Tale()
    c = tale.begin(client=("203.0.113.77", 47100))
    question = asked(c, "/ws", "Origin: http://app.example.net:8080", host="localhost:8080")
    refusal = c.data(SERVER, answer("404 Not Found", "Server: Caddy", "Connection: close"))
    c.fin()
    tale.want(c, "a browser elsewhere was told by the page to connect to localhost; a proxy brought it here, where no site is called so (WSH341).",
              **upgrade_failed(finding("WSH315", question, refusal), must_find=[warning("WSH341", question, confidence=["possible", "likely"])]))
    c = tale.begin(client=("172.17.0.1", 47101), server=("172.17.0.2", 8080))
    client, server = live(tale, c, "/ws", host="localhost:8080")
    c.close(client, server)
    tale.want(c, "inside a container whose port is published: the browser is on the same machine and localhost is right, though both addresses are "
                 "the bridge's; closed 1000 by the client.", **closed_well())
    return tale.capture(
        "The page has the address of its developer's machine in it.",
        [("WSH307", "Origin and Host differ, but 404 with an empty body says nothing about the origin"),
         ("WSH301", "the request is complete"),
         ("WSX904", "the server did not accept the foreign origin")])


# ------------------------------------------------------------------ HTTP/2

def h2(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def h2_fields(*fields):
    """A header block of literals without indexing, new names, no Huffman (RFC 7541 section 6.2.2)."""
    out = b""
    for name, value in fields:
        assert len(name) < 127 and len(value) < 127
        out += b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    return out


@recipe("gen-http2-refusals")
def http2_refusals():
    tale = Tale()
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    def begin(extended, path):
        c = tale.begin()
        c.data(CLIENT, preface + h2(4, 0, 0))
        c.data(SERVER, h2(4, 0, 0, struct.pack(">HI", 8, 1) if extended else struct.pack(">HI", 3, 100)) + h2(4, 1, 0))
        c.data(CLIENT, h2(4, 1, 0))
        question = c.data(CLIENT, h2(1, 4, 1, h2_fields((":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", path),
                                                        (":authority", "app.example.net:8080"), ("sec-websocket-version", "13"))))
        return c, question

    c, question = begin(False, "/never-offered")
    c.data(SERVER, h2(3, 0, 1, struct.pack(">I", 1)))
    c.data(CLIENT, h2(7, 0, 0, struct.pack(">II", 0, 0)))
    c.fin(CLIENT)
    tale.want(c, "the server's SETTINGS do not allow extended CONNECT and the client asks for a WebSocket all the same; RST_STREAM(PROTOCOL_ERROR) (WSH336).",
              **upgrade_failed(finding("WSH336", question)))

    c, question = begin(True, "/forbidden")
    refusal = c.data(SERVER, h2(1, 5, 1, h2_fields((":status", "403"))))
    c.data(CLIENT, h2(7, 0, 0, struct.pack(">II", 0, 0)))
    c.fin(CLIENT)
    tale.want(c, "extended CONNECT is allowed, and this one is answered 403 (WSH337).", **upgrade_failed(finding("WSH337", question, refusal)))

    c, question = begin(True, "/refused")
    refusal = c.data(SERVER, h2(3, 0, 1, struct.pack(">I", 7)))
    c.data(CLIENT, h2(7, 0, 0, struct.pack(">II", 0, 0)))
    c.fin(CLIENT)
    tale.want(c, "the server refuses the stream: RST_STREAM(REFUSED_STREAM) (WSH337).", **upgrade_failed(finding("WSH337", question, refusal)))

    for extended, path in ((True, "/feed"), (False, "/unannounced")):
        c, question = begin(extended, path)
        client, server = Peer(CLIENT, len(tale)), Peer(SERVER, len(tale))
        c.data(SERVER, h2(1, 4, 1, h2_fields((":status", "200"))))
        for frame in (client.text("question"), server.text("answer"), client.close(1000), server.close(1000)):
            last = frame.sender == SERVER and frame.opcode == 8
            c.data(frame.sender, h2(0, 1 if last else 0, 1, frame.bytes), frames=[frame])
        c.data(CLIENT, h2(0, 1, 1))
        c.data(CLIENT, h2(7, 0, 0, struct.pack(">II", 0, 0)))
        c.fin(CLIENT)
        if extended:
            tale.want(c, "the same request, accepted; closed 1000 by the client, and the stream ended by both.", **closed_well())
        else:
            tale.want(c, "accepted although it had not been announced: against RFC 8441, and it works; closed 1000 by the client.",
                      **closed_well(must_find=[warning("WSH336", question)]))
    return tale.capture(
        "WebSockets over HTTP/2 in the clear (RFC 8441): one that the server never offered, two that it refused, two that it accepted.",
        [("WSN006", "the clients end TCP after GOAWAY, and no WebSocket was open then"),
         ("WSC603", "no WebSocket ended without a Close: three never began"),
         ("WSR901", "three attempts that failed, at three different places: no loop")])


# ------------------------------------------------------------------ the way there

@recipe("gen-forward-proxy-refuses")
def forward_proxy_refuses():
    tale = Tale()
    proxy = ("198.51.100.30", 3128)
    c = tale.begin(server=proxy)
    question = c.data(CLIENT, b"CONNECT app.example.net:8080 HTTP/1.1\r\nHost: app.example.net:8080\r\nProxy-Connection: keep-alive\r\n\r\n")
    refusal = c.data(SERVER, answer("403 Forbidden", "Server: squid/5.7", "Mime-Version: 1.0", "Content-Type: text/html;charset=utf-8",
                                    "X-Squid-Error: ERR_ACCESS_DENIED 0", "Via: 1.1 proxy (squid/5.7)", "Connection: close",
                                    body="<html><head><title>ERROR: The requested URL could not be retrieved</title></head></html>\n"))
    c.fin()
    tale.want(c, "Squid allows tunnels to port 443 only (WSP202).", **upgrade_failed(finding("WSP202", question, refusal)))

    c = tale.begin(server=proxy)
    client, server = Peer(CLIENT, 1), Peer(SERVER, 1)
    connect = b"CONNECT app.example.net:80 HTTP/1.1\r\nHost: app.example.net:80\r\nProxy-Connection: keep-alive\r\n"
    c.data(CLIENT, connect + b"\r\n")
    c.data(SERVER, answer("407 Proxy Authentication Required", "Server: squid/5.7", "Proxy-Authenticate: Basic realm=\"gate\"", "Connection: keep-alive"))
    c.data(CLIENT, connect + b"Proxy-Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n")
    c.data(SERVER, b"HTTP/1.1 200 Connection established\r\n\r\n")
    c.upgrade(request(host="app.example.net", key=c.key), switching(c.key))
    c.send(server.text("through the tunnel"))
    c.close(client, server)
    tale.want(c, "the proxy first asks for a login (407), gets it and opens the tunnel: that is how it goes; closed 1000 by the client.", **closed_well())
    return tale.capture(
        "A company's forward proxy lets tunnels through to some ports and not to others.",
        [("WSP201", "the 407 was answered with a login, and the tunnel opened"),
         ("WSH314", "the 403 is the proxy's: no server ever saw the request"),
         ("WSN006", "the proxy hangs up after its answer")],
        secrets=["Z3Vlc3Q6Z3Vlc3Q="])


def icmp_prohibited(router, c, packet):
    """Destination unreachable, communication administratively prohibited (RFC 1812 section 5.2.7.1), quoting a SYN."""
    quoted = packet.ip[:28]
    body = struct.pack(">BBHI", 3, 13, 0, 0) + quoted
    body = body[:2] + struct.pack(">H", checksum(body)) + body[4:]
    answer = Packet(c.at, ip(router, c.address[CLIENT][0], 1, body, ttl=63, identification=900))
    answer.side = SERVER
    return answer


@recipe("gen-connect-unanswered")
def connect_unanswered():
    tale = Tale(gap=20 * SECOND)
    c = tale.conversation()
    seq = c.next[CLIENT]
    syns = [c.segment(CLIENT, SYN, options=c.options, window=64240)]
    for pause in (1, 2, 4):
        c.at = syns[-1].at + pause * SECOND
        syns.append(c.segment(CLIENT, SYN, options=c.options, window=64240, seq=seq))
    tale.want(c, "a firewall drops the client's SYNs: sent after 0, 1, 3 and 7 s, never answered (WSN003).",
              outcome=["tcp_failed"], client_code=[1006], server_code=[None], root_cause=finding("WSN003", syns[0], syns[-1], confidence="likely"))

    c = tale.conversation()
    syn = c.segment(CLIENT, SYN, options=c.options, window=64240)
    c.wait(MS)
    told = icmp_prohibited("192.0.2.1", c, syn)
    tale.want(c, "now it says so: ICMP, communication administratively prohibited (WSN003).",
              outcome=["tcp_failed"], client_code=[1006], server_code=[None], root_cause=finding("WSN003", syn, told, confidence="proven"))

    c = tale.conversation()
    seq = c.next[CLIENT]
    c.segment(CLIENT, SYN, options=c.options, window=64240, seq=seq)
    c.wait(SECOND)
    c.open()
    client, server = Peer(CLIENT, 2), Peer(SERVER, 2)
    c.upgrade(request(key=c.key), switching(c.key))
    c.send(server.text("hello"))
    c.close(client, server)
    tale.want(c, "one SYN is lost, the next is answered: that happens; closed 1000 by the client.", **closed_well())
    return tale.capture(
        "A packet filter stands before the server. First it drops, then it refuses openly, then the port is opened.",
        [("WSN002", "no RST came: nothing says that the port is closed"),
         ("WSN004", "nothing was accepted, so nobody was mute"),
         ("WSN012", "a single SYN was repeated on the connection that worked")],
        more=[told])


# ------------------------------------------------------------------ closing

@recipe("gen-close-says-why")
def close_says_why():
    tale = Tale()

    def says(rule, code, reason, by, truth, severity="error", confidence="proven", remark=False):
        c = tale.begin()
        client, server = live(tale, c)
        first, second = (client, server) if by == CLIENT else (server, client)
        said = c.send(first.close(code, reason.encode()))
        c.send(second.close(code))
        c.fin()
        root = NO_CAUSE if remark else finding(rule, said, severity=severity, confidence=confidence)
        more = {"must_find": [finding(rule, said, severity=severity, confidence=confidence)]} if remark else {}
        tale.want(c, f"{truth} ({rule}).", **closed_well(code, root, **more))

    says("WSC613", 1008, "token expired", SERVER, "the server closes with 1008: the login ran out")
    says("WSC617", 1012, "", SERVER, "uvicorn stops and closes with 1012", severity="info", confidence="likely")
    says("WSC618", 1013, "too many subscribers", SERVER, "the server is overloaded and closes with 1013", severity="warning")
    says("WSC619", 1014, "upstream closed", SERVER, "a gateway closes with 1014: the server behind it gave no usable answer")
    says("WSC615", 1010, "permessage-deflate", CLIENT, "the client cannot do without an extension that was not agreed on, and closes with 1010")
    says("WSC610", 1001, "", CLIENT, "the browser leaves the page: 1001", severity="info", confidence="likely", remark=True)
    says("WSC620", 3000, "Go away!", SERVER, "SockJS closes with its 3000", severity="info", remark=True)
    says("WSC621", 4408, "Connection initialisation timeout", SERVER, "the application closes with a code of its own, 4408", severity="info", remark=True)
    well(tale, "closed 1000 by the client, which needs no explanation.")
    return tale.capture(
        "Nine connections, each closed properly with another code: the code says why, as far as its sender knows.",
        [("WSC603", "every Close was answered"),
         ("WSC602", "every Close has a status"),
         ("WSO801", "one server closes several connections within seconds, but with different codes and one after the other: no mass close")])


@recipe("gen-close-after-a-message")
def close_after_a_message():
    tale = Tale(gap=40 * SECOND)

    def judged(rule, code, reason, truth, frames, *evidence, confidence="proven", pause=0):
        c = tale.begin()
        client, server = Peer(CLIENT, len(tale)), Peer(SERVER, len(tale))
        c.upgrade(request(key=c.key), switching(c.key))
        sent = [c.send(*group) for group in frames(client, server)]
        said = c.wait(pause).send(server.close(code, reason.encode()))
        c.send(client.close(code))
        c.fin()
        packets = [said] + [sent[i] for i in evidence]
        tale.want(c, f"{truth} ({rule}).", **closed_well(code, root_cause=finding(rule, *packets, confidence=confidence)))

    judged("WSC611", 1002, "unknown message type", "the server says 1002 about a message whose frame is faultless: a protocol of its own",
           lambda c, s: [[c.text('{"type":"helo"}')]])
    judged("WSF420", 1003, "text only", "the server takes text; the first binary message ends it with 1003",
           lambda c, s: [[c.text("question")], [s.text("answer")], [c.binary(b"\x00\x01\x02\x03")]], 2, confidence="likely")
    judged("WSC612", 1003, "unknown command", "the same half a minute after the message: whether that is the reason cannot be known",
           lambda c, s: [[c.text("question")], [s.text("answer")], [c.binary(b"\x00\x01\x02\x03")]], pause=30 * SECOND)
    judged("WSF416", 1009, "max size is 1024", "a message of 1400 bytes meets a limit of 1024: 1009",
           lambda c, s: [[c.text("small")], [s.text("fine")], [c.binary(bytes(1400))]], 2, confidence=["likely", "proven"])
    judged("WSC614", 1009, "", "a bridge puts the answer's headers, not a message, into its buffer and closes with 1009 before anybody has sent one",
           lambda c, s: [[s.ping(b"1")], [c.pong(b"1")]])
    judged("WSC614", 1009, "quota exceeded", "the last message is small, and a larger one passed before it: 1009 is about something else",
           lambda c, s: [[c.binary(bytes(1400))], [s.text("fine")], [c.text("small")]])
    judged("WSF421", 1008, "Too many message fragments", "one message in thirty frames is more than node ws allows here: 1008",
           lambda c, s: [[c.text("x", fin=False)] + [c.continuation(b"x", fin=False) for _ in range(28)] + [c.continuation(b"x")]])
    well(tale, "a text and its answer; closed 1000 by the client.")
    return tale.capture(
        "Servers that close because of what they were sent. Whether it is to blame shows in the message before the Close, where there is one.",
        [("WSC613", "1008 with this reason is about fragments, not about a policy"),
         ("WSF404", "1002, but no frame breaks RFC 6455"),
         ("WSC603", "every Close was answered")])


@recipe("gen-orders-of-closing")
def orders_of_closing():
    tale = Tale(gap=10 * SECOND)
    c = tale.begin()
    client, server = live(tale, c)
    c.close(client, server)
    tale.want(c, "Close, Close in answer, the server ends TCP first (WSC601).", **closed_well(must_find=[note("WSC601", *closes(c))]))

    c = tale.begin()
    client, server = live(tale, c)
    c.send(client.close(1000))
    c.send(server.close(1000))
    c.wait(2 * SECOND)
    left = len(c.packets)
    c.fin(CLIENT)
    tale.want(c, "the server leaves TCP open after both Closes, and Chromium ends it two seconds later (WSC605).",
              **closed_well(must_find=[note("WSC601", *closes(c)), note("WSC605", c.packets[left])]))

    c = tale.begin()
    client, server = live(tale, c)
    c.send(server.close(1000))
    c.send(client.close(1000))
    left = len(c.packets)
    c.fin(CLIENT)
    tale.want(c, "the client ends TCP before the server does (WSC606).", **closed_well(must_find=[note("WSC601", *closes(c)), note("WSC606", c.packets[left])]))

    c = tale.begin()
    client, server = live(tale, c)
    c.send(client.close(1000), acked=False)
    c.wait(100_000)
    c.send(server.close(1001), acked=False)
    c.wait(c.rtt)
    c.ack(CLIENT)
    c.ack(SERVER)
    c.fin()
    tale.want(c, "both close at the same time, the client with 1000, the server with 1001; each learns the other's code (WSC607).",
              outcome=["closed_clean"], client_code=[1001], server_code=[1000], close={"client_code": 1000, "server_code": 1001},
              root_cause=NO_CAUSE, must_find=[note("WSC601", *closes(c)), note("WSC607", *closes(c), confidence=["likely", "proven"])])
    return tale.capture(
        "Four proper ends in four orders. All are healthy; which is which is worth a remark and no more.",
        [("WSC604", "every Close was answered"),
         ("WSC608", "nobody reset anything"),
         ("WSC609", "two seconds between the ends of TCP, but nothing was sent in them")])


@recipe("gen-ends-beside-the-rules")
def ends_beside_the_rules():
    tale = Tale(gap=10 * SECOND)
    c = tale.begin()
    client, server = live(tale, c)
    said = c.send(server.close(1000))
    c.wait(SECOND)
    reset = c.rst(SERVER)
    tale.want(c, "Envoy sends Close, gets no answer for a second (`delayed_close_timeout`) and resets: the code arrived, the end is not clean (WSC604, WSC608).",
              outcome=["closed_abnormal"], client_code=[1000], server_code=[1006], close={"client_code": "absent", "server_code": 1000},
              root_cause=finding("WSC604", said, reset, severity=["warning", "error"]), must_find=[warning("WSC608", said, reset)])

    c = tale.begin()
    client, server = live(tale, c)
    last = c.packets[-2]
    half = c.segment(SERVER, FIN | ACK)
    c.wait(c.rtt / 2).ack(CLIENT)
    for n in range(3):
        c.wait(SECOND)
        talking = c.send(client.text(f"still talking {n}"))
    c.segment(CLIENT, FIN | ACK)
    c.wait(c.rtt / 2).ack(SERVER)
    tale.want(c, "the server ends its direction without a Close; the client does not notice and goes on for three seconds (WSN006, WSC609).",
              **cut_off(finding("WSN006", last, half), must_find=[warning("WSC609", half, talking)]))

    c = tale.begin()
    client, server = live(tale, c)
    c.send(client.close(1001))
    c.send(server.close(1001))
    c.segment(CLIENT, FIN | ACK)
    c.wait(c.rtt / 2)
    c.segment(SERVER, FIN | ACK)
    c.rst(CLIENT, acked=False)
    tale.want(c, "both Closes, then a browser that is gone answers the server's FIN with a reset: a clean end.", **closed_well(1001))
    return tale.capture(
        "Ends that are neither clean nor a mystery: a Close without an answer that ends in a reset, and a server that leaves while the client talks on.",
        [("WSN005", "where a reset ended it, a Close had said why"),
         ("WSN007", "the resets come from those who closed: same TTL, right sequence numbers"),
         ("WSK701", "nobody was silent for as long as any known timer")])


# ------------------------------------------------------------------ framing and compression

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"


@recipe("gen-deflate-violations")
def deflate_violations():
    tale = Tale()

    def breaks(rule, truth, offer, agreed, bad, code=1002):
        c = tale.begin()
        client, server = Peer(CLIENT, len(tale)), Peer(SERVER, len(tale))
        asked(c, "/feed", offer)
        accepts(c, agreed)
        c.send(client.text("question"))
        packets = [c.send(f) for f in bad(server)]
        said = c.send(client.close(code))
        c.segment(CLIENT, FIN | ACK)
        c.wait(c.rtt / 2)
        c.segment(SERVER, FIN | ACK)
        c.wait(c.rtt / 2).ack(CLIENT)
        tale.want(c, f"{truth}; the client fails the connection with {code} ({rule}).", outcome=["closed_abnormal"], client_code=[1006], server_code=[code],
                  close={"client_code": code, "server_code": "absent"}, root_cause=finding(rule, packets[-1], said))

    def marked_continuation(server):
        body = Deflater().compress(b"the mark belongs on the first frame of a message only")
        return [server.text(body[:10], rsv=4, fin=False), server.continuation(body[10:], rsv=4)]

    def damaged(server):
        return [server.text(Deflater().compress(b"a message that can be read"), rsv=4), server.text(b"\xff\xff\xff\xff damaged", rsv=4)]

    def kept_context(server):
        deflater = Deflater()
        return [server.text(deflater.compress(t), rsv=4) for t in (b"temperature of tank 17: 21 degrees celsius", b"temperature of tank 17: 22 degrees celsius")]

    breaks("WSD502", "the server sets RSV1 on a continuation, too", DEFLATE, DEFLATE, marked_continuation)
    breaks("WSD503", "the server's second message is no DEFLATE stream", DEFLATE, DEFLATE, damaged, 1007)
    breaks("WSD506", "the server agreed to `server_no_context_takeover`, yet its second message refers to the first", DEFLATE + "; server_no_context_takeover",
           DEFLATE + "; server_no_context_takeover", kept_context, 1007)

    c = tale.begin()
    asked(c, "/feed", DEFLATE)
    accepted = accepts(c, DEFLATE + "; server_max_window_bits=16")
    c.segment(CLIENT, FIN | ACK)
    c.wait(c.rtt / 2).segment(SERVER, FIN | ACK)
    c.wait(c.rtt / 2).ack(CLIENT)
    tale.want(c, "the server answers with a window of 16 bits where 15 are the most; the client leaves without a frame (WSD504).",
              **{**upgrade_failed(finding("WSD504", accepted)), "server_code": [1006, None]})

    c = tale.begin()
    client, server = Peer(CLIENT, 4), Peer(SERVER, 4)
    offer = asked(c, "/feed", DEFLATE + "; server_max_window_bits=16")
    accepts(c)
    c.send(server.text("uncompressed"))
    c.close(client, server)
    tale.want(c, "the same fault in an offer, which the server declines as it must: a remark, since nothing fails; closed 1000 by the client.",
              **closed_well(must_find=[note("WSD504", offer)]))
    return tale.capture(
        "permessage-deflate, used against RFC 7692 in four ways by the server.",
        [("WSD501", "compression was agreed on where it was used"),
         ("WSH325", "the extension was offered wherever it was answered"),
         ("WSI002", "nothing is missing from the capture")])


@recipe("gen-deflate-never-used")
def deflate_never_used():
    tale = Tale()
    c = tale.begin()
    client, server = Peer(CLIENT), Peer(SERVER)
    asked(c, "/feed", DEFLATE)
    accepts(c, DEFLATE)
    for n in range(4):
        c.send(*[client.text(f"ask {n}.{m}") for m in range(3)])
        c.send(*[server.text(f"tell {n}.{m}") for m in range(3)])
    c.close(client, server)
    tale.want(c, "twenty-four short messages, none compressed although it was agreed on (WSD509); closed 1000 by the client.",
              **closed_well(must_find=[note("WSD509", c.accepted)]))
    return tale.capture(
        "node ws agrees on compression and compresses messages from 1024 bytes on: shorter ones go as they are.",
        [("WSD503", "a message without RSV1 is not compressed, so nothing fails"), ("WSF403", "no reserved bit is set")])


@recipe("gen-foreign-bytes")
def foreign_bytes():
    tale = Tale()

    def writes(truth, make):
        c = tale.begin()
        client, server = live(tale, c)
        foreign = c.data(SERVER, make(server))
        c.send(client.close(1002, b"Invalid frame header"))
        c.segment(CLIENT, FIN | ACK)
        c.wait(c.rtt / 2)
        c.segment(SERVER, FIN | ACK)
        c.wait(c.rtt / 2).ack(CLIENT)
        tale.want(c, f"{truth}; the client fails the connection with 1002 (WSF415).", outcome=["closed_abnormal"], client_code=[1006], server_code=[1002],
                  close={"client_code": 1002, "server_code": "absent"}, root_cause=finding("WSF415", foreign))

    def chunked(server):
        frame = server.text("inside a chunk").bytes
        return b"%x\r\n%s\r\n" % (len(frame), frame)

    writes("a proxy takes the WebSocket for a chunked body and writes chunk sizes into it", chunked)
    writes("a second writer on the socket sends bare JSON, without a frame", lambda s: b'{"error":"session not found","code":41}')

    c = tale.begin()
    client, server = Peer(CLIENT, 2), Peer(SERVER, 2)
    asked(c, "/feed", DEFLATE)
    accepts(c, DEFLATE)
    body = Deflater().compress(b"a message in two fragments whose first header byte is the letter A")
    c.send(server.text(body[:20], rsv=4, fin=False))
    c.send(server.continuation(body[20:]))
    c.close(client, server)
    tale.want(c, "a compressed message in two fragments begins with the byte 0x41, the letter A, and is no text; closed 1000 by the client.", **closed_well())
    return tale.capture(
        "Bytes that are no frames in the middle of a WebSocket.",
        [("WSH332", "no HTTP response was written"),
         ("WSI002", "no byte is missing from the capture"),
         ("WSC611", "1002 is the consequence; the bytes before it are the cause")])


@recipe("gen-habits-of-clients")
def habits_of_clients():
    tale = Tale(gap=100 * SECOND)
    c = tale.begin()
    client, server = Peer(CLIENT, 0), Peer(SERVER, 0)
    asked(c, "/feed")
    accepts(c)
    run = [c.send(*[client.text(f"reading {n}.{m}", mask=b"\x37\xfa\x21\x3d") for m in range(5)]) for n in range(2)]
    c.send(server.close(1000))
    c.send(client.close(1000, mask=b"\x37\xfa\x21\x3d"))
    c.fin()
    tale.want(c, "a small device masks every frame with the example key of RFC 6455 section 5.7 (WSF417); closed 1000 by the server.",
              **closed_well(must_find=[note("WSF417", run[0])]))

    c = tale.begin()
    client, server = live(tale, c)
    for n in range(2):
        c.wait(10 * SECOND)
        c.send(server.ping(b"ping %d" % n))
        pong = c.send(client.pong(b"pong"))
    c.close(client, server)
    tale.want(c, "a client written by hand answers every ping with `pong` instead of the ping's own data (WSF418); closed 1000 by the client.",
              **closed_well(must_find=[note("WSF418", pong)]))

    c = tale.begin()
    client, server = live(tale, c)
    for n in range(2):
        c.wait(30 * SECOND)
        c.send(client.pong())
    c.close(client, server)
    tale.want(c, ".NET up to 8 sends an empty pong every thirty seconds, unasked, as a sign of life; closed 1000 by the client.", **closed_well())
    return tale.capture(
        "What some clients do and most do not: it works, and it is worth a remark.",
        [("WSK709", "the pings were answered, with the wrong data, and nobody gave up"),
         ("WSF401", "a mask that can be guessed is a mask"),
         ("WSK703", "nobody gave up waiting")])


# ------------------------------------------------------------------ silence, pings and the path

@recipe("gen-sent-into-silence")
def sent_into_silence():
    tale = Tale(gap=100 * SECOND)

    def again(c, frame, pauses):
        """Sends a frame and repeats it after each pause, in seconds; nobody acknowledges."""
        seq = c.next[SERVER]
        packets = [c.segment(SERVER, PSH | ACK, frame.bytes, frames=[frame])]
        for pause in pauses:
            c.at = packets[-1].at + int(pause * SECOND)
            packets.append(c.segment(SERVER, PSH | ACK, frame.bytes, seq=seq))
        return packets

    def lost(root_cause):
        """The client's program may be gone with its host: then nobody is told anything there."""
        return {**cut_off(root_cause), "client_code": [1006, None]}

    c = tale.begin()
    client, server = live(tale, c)
    c.wait(25 * SECOND)
    pings = again(c, server.ping(b"anybody?"), (0.3, 0.6, 1.2, 2.4))
    c.wait(SECOND).segment(SERVER, RST | ACK)
    tale.want(c, "the client's host is gone; the server's ping is sent five times and never acknowledged, then the server gives up (WSK704).",
              **lost(finding("WSK704", pings[0], pings[1], pings[-1])))

    c = tale.begin()
    client, server = live(tale, c)
    c.wait(7 * SECOND)
    texts = again(c, server.text("update"), (0.3, 0.6, 1.2, 2.4, 4.8, 9.6))
    c.wait(SECOND).segment(SERVER, RST | ACK)
    tale.want(c, "the same with an ordinary message, sent seven times (WSN008).", **lost(finding("WSN008", texts[0], texts[1], texts[-1])))

    c = tale.begin()
    client, server = live(tale, c)
    c.wait(7 * SECOND)
    texts = again(c, server.text("update"), (0.5, 1, 2, 4, 8, 16))
    c.wait(2 * MS)
    c.segment(CLIENT, RST)
    tale.want(c, "the client's machine restarts meanwhile: after 31.5 s it answers that it knows no such connection (WSK712).",
              **lost(finding("WSK712", texts[0], texts[-1], confidence=["proven", "likely"])))

    c = tale.begin()
    client, server = live(tale, c)
    c.wait(7 * SECOND)
    again(c, server.text("update"), (0.3, 0.6, 1.2))
    c.wait(2 * MS)
    c.ack(CLIENT)
    c.close(client, server)
    tale.want(c, "a path that is gone for two seconds and comes back: sent four times, then acknowledged; closed 1000 by the client.", **closed_well())
    return tale.capture(
        "From one moment on nothing of the client arrives any more: under a ping, under a message, for as long as a restart takes, and for two seconds.",
        [("WSK703", "no ping was acknowledged: not the program is stuck, the path or the host is gone"),
         ("WSK701", "the silence before the end is no timer's: the server was sending all the while"),
         ("WSI002", "nothing is missing: what was not acknowledged did not arrive")])


@recipe("gen-pings-never-answered")
def pings_never_answered():
    tale = Tale(gap=100 * SECOND)
    c = tale.begin()
    client, server = live(tale, c)
    pings = []
    for n in range(3):
        c.wait(15 * SECOND)
        pings.append(c.send(server.ping(b"%d" % n)))
        c.send(client.text(f"reading {n}"))
    c.wait(12 * SECOND)
    gone = c.segment(SERVER, FIN | ACK)
    c.wait(c.rtt / 2).segment(CLIENT, FIN | ACK)
    c.wait(c.rtt / 2).ack(SERVER)
    tale.want(c, "the client sends its readings and never a pong; after three pings Java-WebSocket calls the connection lost and hangs up (WSK709).",
              **cut_off(finding("WSK709", pings[0], gone, confidence=["likely", "proven"])))

    c = tale.begin()
    client, server = live(tale, c)
    for n in range(3):
        c.wait(5 * SECOND)
        c.send(server.ping(b"%d" % n))
    c.send(client.pong(b"2"))
    c.close(client, server)
    tale.want(c, "three pings, and a pong for the newest alone, which is enough (RFC 6455 section 5.5.3); closed 1000 by the client.", **closed_well())
    return tale.capture(
        "A client that knows everything about WebSockets but pings.",
        [("WSK703", "the client's program is well: it sends messages between the pings"),
         ("WSK704", "every ping was acknowledged"),
         ("WSK701", "nobody was silent for long: 12 s before the end is no known timer")])


@recipe("gen-minutes-without-a-ping")
def minutes_without_a_ping():
    tale = Tale()
    c = tale.begin()
    client, server = live(tale, c)
    c.wait(150 * SECOND)
    c.send(server.text("the first news in two minutes and a half"))
    c.close(client, server)
    tale.want(c, "150 s without a byte, no ping, no TCP keep-alive; nothing on the way has a timer, this time (WSK707); closed 1000 by the client.",
              **closed_well(must_find=[note("WSK707", c.accepted)]))
    return tale.capture("A quiet connection that nobody keeps alive: it lived, because nothing stood between the two.",
                        [("WSK701", "no timer ended it"), ("WSC603", "it was closed properly"), ("WSK711", "what was sent after the silence arrived")])


@recipe("gen-busy-without-pings")
def busy_without_pings():
    tale = Tale()
    c = tale.begin()
    client, server = live(tale, c)
    for n in range(13):
        c.wait(10 * SECOND)
        c.send(server.text(f"tick {n}"))
    c.close(client, server)
    tale.want(c, "a message every ten seconds for 130 s: no ping is needed where messages flow; closed 1000 by the client.", **closed_well())
    return tale.capture("A connection of more than two minutes without a ping that needs none.",
                        [("WSK707", "messages flow all the time, ten seconds apart"), ("WSK701", "nobody was silent")], must_not_find=["WSK707"])


@recipe("gen-lossy-path")
def lossy_path():
    tale = Tale()
    c = tale.begin()
    client, server = live(tale, c)
    for n in range(12):
        seq = c.next[SERVER]
        frame = server.text(f"tick {n}")
        c.segment(SERVER, PSH | ACK, frame.bytes, frames=[frame])
        c.wait(210 * MS)
        c.segment(SERVER, PSH | ACK, frame.bytes, seq=seq)
        c.wait(c.rtt / 2).ack(CLIENT)
    c.close(client, server)
    tale.want(c, "every message of the server is sent twice before it is acknowledged (WSN012); closed 1000 by the client.",
              **closed_well(must_find=[warning("WSN012")]))

    c = tale.begin()
    client, server = live(tale, c)
    frame = server.text("once more")
    seq = c.next[SERVER]
    c.segment(SERVER, PSH | ACK, frame.bytes, frames=[frame])
    c.wait(210 * MS)
    c.segment(SERVER, PSH | ACK, frame.bytes, seq=seq)
    c.wait(c.rtt / 2).ack(CLIENT)
    c.close(client, server)
    tale.want(c, "one segment is lost and sent again; closed 1000 by the client.", **closed_well())
    return tale.capture("A radio link that loses half of what it carries, and one that loses a packet now and then.",
                        [("WSN008", "everything arrives in the end"), ("WSI002", "the capture is whole: the network lost the packets"),
                         ("WSN005", "nobody reset anything")])


@recipe("gen-still-open")
def still_open():
    tale = Tale(gap=3 * SECOND)
    c = tale.begin()
    _, server = live(tale, c)
    c.wait(6 * SECOND)
    c.send(server.text("update"))
    tale.want(c, "a message just before the capture ends: the connection is open (WSI007).", outcome=["open"], client_code=[None], server_code=[None],
              close={"client_code": "absent", "server_code": "absent"}, root_cause=NO_CAUSE, must_find=[note("WSI007", c.packets[-1])])
    well(tale, "closed 1000 by the client before the capture ends.")
    return tale.capture("The capture is stopped while a WebSocket is in use.",
                        [("WSC603", "it did not end"), ("WSK712", "nothing is sent into silence"), ("WSN008", "everything is acknowledged")])


# ------------------------------------------------------------------ legs of a proxied connection

@recipe("gen-which-leg-ended-first")
def which_leg():
    tale = Tale(gap=0)
    proxy, backend = ("198.51.100.20", 80), ("10.0.0.9", 3000)

    def pair(n):
        """The two legs of one connection, opened and with a message each way; a back leg's packets follow the front leg's."""
        start = BASE_TIME + n * 20 * SECOND
        front = tale.conversation(server=proxy, client=("192.0.2.10", 48000 + n), start=start, rtt=20 * MS)
        back = tale.conversation(server=backend, client=("10.0.0.2", 52000 + n), start=start + 41 * MS, rtt=MS)
        key = front.key
        client, server = Peer(CLIENT, n), Peer(SERVER, n)
        front.open()
        back.open()
        req, resp = request(host="app.example.net", key=key), switching(key)
        front.at = start + 22 * MS
        front.data(CLIENT, req)
        back.data(CLIENT, req.replace(b"Host: app.example.net\r\n", b"Host: app.example.net\r\nX-Forwarded-For: 192.0.2.10\r\n"))
        back.data(SERVER, resp)
        front.at = back.at
        front.data(SERVER, resp)
        question, told = client.text("question"), server.text("answer")
        front.send(question)
        back.at = front.at
        back.send(question)
        back.send(told)
        front.at = back.at
        front.send(told)
        return front, back

    def ends_leg(c, side):
        return c.segment(side, FIN | ACK)

    def finishes(c, side):
        c.wait(c.rtt / 2)
        c.segment(side, FIN | ACK)
        c.wait(c.rtt / 2).ack(c.other(side))

    front, back = pair(0)
    back.at = front.at + 3 * SECOND + 700 * MS
    first = ends_leg(back, SERVER)
    finishes(back, CLIENT)
    front.at = first.at + 2 * MS
    passed_on = ends_leg(front, SERVER)
    finishes(front, CLIENT)
    blame = finding("WSO805", first, passed_on)
    tale.want(front, "the server behind the proxy dies; its FIN reaches the proxy, which passes it on two milliseconds later (WSL951, WSO805).",
              **cut_off(blame, must_find=[note("WSL951", first, passed_on)]))
    tale.want(back, "the leg to that server.", **cut_off(blame, must_find=[note("WSL951", first, passed_on)]))

    front, back = pair(1)
    front.at += 3 * SECOND + 700 * MS
    first = ends_leg(front, CLIENT)
    finishes(front, SERVER)
    back.at = first.at + 2 * MS
    passed_on = ends_leg(back, CLIENT)
    finishes(back, SERVER)
    sent = next(p for p in reversed(front.packets) if p.side == CLIENT and p.frames)
    also = next(p for p in reversed(back.packets) if p.side == CLIENT and p.frames)
    tale.want(front, "the client hangs up without a Close, and the proxy passes that on (WSL952).", **cut_off(finding("WSN006", sent, first), must_find=[note("WSL952", first, passed_on)]))
    tale.want(back, "the leg to the server.", **cut_off(finding("WSN006", also, passed_on), must_find=[note("WSL952", first, passed_on)]))

    front, back = pair(2)
    front.at = back.at = max(front.at, back.at) + 300 * MS
    one = ends_leg(front, SERVER)
    back.at = one.at + 500_000
    two = ends_leg(back, CLIENT)
    finishes(front, CLIENT)
    finishes(back, SERVER)
    blame = finding("WSL953", one, two)
    tale.want(front, "the proxy reloads and its old worker ends both legs in the same millisecond, 0.3 s after the last byte (WSL953).", **cut_off(blame))
    tale.want(back, "the leg to the server.", **cut_off(blame))

    front, back = pair(3)
    client, server = Peer(CLIENT, 3), Peer(SERVER, 3)
    bye, same = client.close(1000), server.close(1000)
    front.send(bye)
    back.at = front.at
    back.send(bye)
    back.send(same)
    front.at = back.at
    front.send(same)
    back.fin()
    front.at = back.at
    front.fin()
    tale.want(front, "closed 1000 by the client through the proxy.", **closed_well())
    tale.want(back, "the leg to the server, closed alike.", **closed_well())
    return tale.capture(
        "Four WebSockets through one proxy, each seen on both legs. The client sees the same 1006 three times; who is to blame shows in which leg ended first.",
        [("WSK701", "0.3 s and 3.7 s are no idle timers"),
         ("WSI010", "the same frames on both legs are two connections, not packets captured twice"),
         ("WSR901", "the connections carried messages: no loop")])


# ------------------------------------------------------------------ TLS without keys

def tls_record(kind, body):
    return struct.pack(">BHH", kind, 0x0303, len(body)) + body


@recipe("gen-tls12-resumed-without-keys")
def tls12_resumed():
    tale = Tale()
    noise = random.Random("tls12")
    opaque = lambda length: noise.randbytes(length)
    extension = lambda number, body: struct.pack(">HH", number, len(body)) + body
    message = lambda kind, body: tls_record(22, struct.pack(">I", kind << 24 | len(body)) + body)

    def begin():
        c = tale.begin(server=("198.51.100.20", 443))
        session = opaque(32)
        name = b"app.example.net"
        names = extension(0, struct.pack(">HBH", len(name) + 3, 0, len(name)) + name)
        offered = names + extension(16, b"\x00\x09\x08http/1.1") + extension(10, b"\x00\x04\x00\x1d\x00\x17") + extension(11, b"\x01\x00") + \
            extension(13, b"\x00\x04\x04\x03\x08\x04") + extension(23, b"")
        hello = b"\x03\x03" + opaque(32) + b"\x20" + session + b"\x00\x04\xc0\x2f\xc0\x30" + b"\x01\x00" + struct.pack(">H", len(offered)) + offered
        chosen = extension(23, b"") + extension(16, b"\x00\x09\x08http/1.1")
        answer = b"\x03\x03" + opaque(32) + b"\x20" + session + b"\xc0\x2f\x00" + struct.pack(">H", len(chosen)) + chosen
        c.data(CLIENT, message(1, hello))
        finished = lambda: tls_record(20, b"\x01") + tls_record(22, opaque(40))  # 8 bytes of nonce, 16 of Finished, 16 of tag
        c.data(SERVER, message(2, answer) + finished())
        c.data(CLIENT, finished())
        c.data(CLIENT, tls_record(23, opaque(24 + 190)))  # the request
        c.data(SERVER, tls_record(23, opaque(24 + 129)))  # the 101
        c.data(CLIENT, tls_record(23, opaque(24 + 14)))
        c.data(SERVER, tls_record(23, opaque(24 + 8)))
        return c

    c = begin()
    c.wait(2 * SECOND)
    left = len(c.packets)
    c.fin()
    tale.want(c, "the server hangs up without TLS's goodbye (WST116). What was said is encrypted (WSI004).",
              outcome=["unknown", "closed_abnormal"], root_cause=NO_CAUSE, must_find=[note("WSI004"), note("WST116", c.packets[left])])
    c = begin()
    c.wait(2 * SECOND)
    c.data(SERVER, tls_record(23, opaque(24 + 4)))  # Close
    c.data(CLIENT, tls_record(23, opaque(24 + 8)))
    c.segment(SERVER, PSH | ACK, tls_record(21, opaque(26)))  # close_notify
    c.fin()
    tale.want(c, "the server says goodbye, in TLS too, before it hangs up.", outcome=["closed_clean", "unknown"], root_cause=NO_CAUSE, must_find=[note("WSI004")])
    return tale.capture(
        "Two resumed TLS 1.2 sessions of which nobody has the keys. Records are random bytes of the right lengths; only what TLS 1.2 shows openly is known.",
        [("WST107", "the client went on after the handshake"),
         ("WSC603", "what was said inside cannot be known"),
         ("WSH328", "a request cannot be seen, nor an answer")])


# ------------------------------------------------------------------ secrets

@recipe("gen-credentials-in-the-clear")
def credentials_in_the_clear():
    tale = Tale()
    token = "9b2f7c1e6a4d4c0f8e5b3a7d1c9e2f60"
    c = tale.begin()
    client, server = live(tale, c, headers=[f"Authorization: Bearer {token}"])
    c.close(client, server)
    tale.want(c, "a bearer token in a header of plain ws:// (WSX902); closed 1000 by the client.", **closed_well(must_find=[finding("WSX902", c.question)]))
    c = tale.begin()
    client, server = live(tale, c, headers=["Origin: https://other.example.org", "Cookie: session=4bd3a1c7e09f"])
    c.close(client, server)
    tale.want(c, "a page of another site, with the user's cookie, is accepted (WSX904); closed 1000 by the client.",
              **closed_well(must_find=[note("WSX904", c.question, confidence="possible")]))
    c = tale.begin(client=("127.0.0.1", 47200), server=("127.0.0.1", 8080))
    client, server = live(tale, c, headers=[f"Authorization: Bearer {token}"], host="127.0.0.1:8080")
    c.close(client, server)
    tale.want(c, "the same token to the machine itself: it does not travel; closed 1000 by the client.", **closed_well())
    well(tale, "a page of the same site with its cookie; closed 1000 by the client.",
         headers=["Origin: http://app.example.net:8080", "Cookie: session=4bd3a1c7e09f"])
    return tale.capture(
        "What travels with the upgrade request in the clear, and who may send it.",
        [("WSX901", "the token is in a header, not in the URL"), ("WSH307", "the foreign origin was accepted"), ("WSH313", "every request was accepted")],
        secrets=[token, "4bd3a1c7e09f"])
