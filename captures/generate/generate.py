#!/usr/bin/env python3
"""Writes the captures that no real program can be made to send: `generate.py [NAME…]`.

Each recipe below and in rules.py makes one folder beside this one: the capture, what wsscan must say about it
(`expected.json`) and the story (`README.md`). The same bytes come out every time; a recipe that is
changed must be run and its folder committed. What must be said is then completed by hand: an
`expected.json` that exists is not written again. `generate.py --check` says whether the folders are
as the recipes would write them, and whether the expectations still name their frames and messages.
"""
import gzip
import io
import json
import os
import struct
import sys
import zlib

import rules  # noqa: F401  registers its recipes
from recipe import *
from wire import *

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.dirname(HERE)


# ------------------------------------------------------------------ loss and order

@recipe("gen-out-of-order")
def out_of_order():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    c.send(client.text("subscribe"))
    frames = [server.text(f"tick {n} " + "x" * 90) for n in range(6)]
    stream = b"".join(f.bytes for f in frames)
    cuts = [0, 150, 310, 480, len(stream)]  # none of them between two frames
    parts = [c.segment(SERVER, PSH | ACK, stream[a:b]) for a, b in zip(cuts, cuts[1:])]
    c.wait(c.rtt).ack(CLIENT)
    c.close(client, server)
    packets = swap(c.packets, parts[1], parts[2])
    told = [f.truth() for f in frames]
    known = frames_of(packets)
    return healthy(
        "Two segments of the server arrive in the wrong order; no frame boundary falls on a segment boundary. A reader that does not "
        "put segments in order finds frames that were never sent.",
        packets, {"0": ends(frames=[known[0]] + told + known[1:])}, may_find=["WSC601", "WSC605", "WSC606", "WSN012"],
        truth=["Six text frames of 97 bytes from the server, in order; closed 1000 by the client."])


@recipe("gen-gap-inside-payload")
def gap_inside_payload():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    big, after = server.binary(bytes(range(256)) * 10), server.text("after the gap")
    data = big.bytes
    c.segment(SERVER, ACK, data[:1000])
    lost = c.segment(SERVER, ACK, data[1000:2000])
    c.segment(SERVER, PSH | ACK, data[2000:])
    c.wait(c.rtt).ack(CLIENT)
    tail = c.send(after)
    c.send(client.text("thanks"))
    c.close(client, server)
    packets = [p for p in c.packets if p is not lost]
    assert tail in packets
    return Capture(
        "One segment in the middle of a 2560-byte message was not captured, although the client acknowledged it. The hole lies wholly inside "
        "the payload, so every later frame is known exactly; only the message is incomplete.",
        packets, connections={"0": ends(frames=[big.truth()] + frames_of(packets), facts={"tcp": {"lost_bytes": {"server": 1000, "client": 0}}})},
        root_cause_any=CLEAN_CAUSES + ["WSI002"], must_find=["WSI002"], must_not_find=without(NO_ALARM, "WSI002"),
        may_find=CLEAN_CAUSES[1:], max_severity="warning",
        truth=["1000 bytes of one server payload are not in the file; both ends got them.", "Closed 1000 by the client, cleanly."])


@recipe("gen-gap-over-header")
def gap_over_header():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    before = [server.text(f"first {n} " + "a" * 60) for n in range(3)]
    c.send(*before)
    # Every payload is made of bytes that read as frame headers, so that a reader out of step finds frames everywhere.
    bait = bytes([0x82, 75]) * 60
    unseen = [server.binary(bait) for _ in range(12)]
    stream = b"".join(f.bytes for f in unseen)
    size = 200
    parts = [c.segment(SERVER, PSH | ACK, stream[i:i + size]) for i in range(0, len(stream), size)]
    lost = parts[1]
    c.wait(c.rtt).ack(CLIENT)
    c.send(client.text("still here"))
    c.close(client, server)
    packets = [p for p in c.packets if p is not lost]
    # Frames are 122 bytes long: the first lies wholly before the hole at 200..400, of the second the header is known,
    # and so is its length. After that the server's direction is out of step: what is said of it may be missing, but never wrong.
    run = [unseen[0].truth(), unseen[1].truth()] + [{**f.truth(), "optional": True} for f in unseen[2:]]
    known = frames_of(packets)
    at = next(i for i, f in enumerate(known) if f["from"] == CLIENT)
    expected = known[:at] + run + [{**f, "optional": True} if f["from"] == SERVER else f for f in known[at:]]
    return Capture(
        "A segment that held a frame header was not captured. The payloads around it are made of bytes that look like frame headers "
        "(0x82 0x4b, a binary frame of 75 bytes). The server's direction is lost from there on until it is provably in step again; "
        "the client's goes on. No frame that was not sent may be reported.",
        packets, connections={"0": {"outcome": ["closed_clean", "unknown"], "client_code": None, "server_code": [1000, None],
                                    "close": {"client_code": 1000}, "frames": expected}},
        root_cause_any=CLEAN_CAUSES + ["WSI002"], must_find=["WSI002"], must_not_find=without(NO_ALARM, "WSI002"),
        may_find=CLEAN_CAUSES[1:], max_severity="warning",
        truth=["Three text frames and twelve binary frames of 120 bytes from the server, then its Close 1000.",
               "Bytes 200 to 399 of the twelve frames are not in the file.", "Both ends closed cleanly with 1000."])


@recipe("gen-gap-poisons-deflate")
def gap_poisons_deflate():
    c, client, server = conversation().open(), Peer(CLIENT), Peer(SERVER)
    extension = "Sec-WebSocket-Extensions: permessage-deflate"
    c.upgrade(request(extra=[extension]), switching(extra=[extension]))
    texts = [b'{"valve":"north-gate-07","state":"closed","limit":11111}',
             b'{"valve":"south-gate-42","state":"opened","limit":99999}',
             b'{"valve":"south-gate-42","state":"opened","limit":99999,"again":true}']
    deflater = Deflater()
    frames = [server.text(deflater.compress(t), rsv=4) for t in texts]
    sent = [c.send(f) for f in frames]
    c.close(client, server)
    # What a reader would print that goes on as if nothing were missing:
    naive = zlib.decompressobj(-15)
    naive.decompress(frames[0].payload + b"\0\0\xff\xff")
    try:
        invented = naive.decompress(frames[2].payload + b"\0\0\xff\xff").decode()
        assert invented and invented != texts[2].decode()
    except zlib.error:
        raise AssertionError("the invented text must be readable, or the trap is none")
    packets = [p for p in c.packets if p is not sent[1]]
    numbers = {id(p): n for n, p in enumerate(packets, 1)}
    return Capture(
        "The second of three compressed messages was not captured; context takeover was agreed. The third refers to bytes of the lost "
        f"one. A decompressor that goes on as if nothing were missing prints a text that was never sent: `{invented}`.",
        packets, connections={"0": ends(
            frames=[frames[0].truth(numbers[id(sent[0])]), {**frames[2].truth(numbers[id(sent[2])]), "optional": True}]
            + [{**f, "optional": True} if f["from"] == SERVER else f for f in frames_of(packets)[2:]],
            messages=[{"from": SERVER, "kind": "text", "text": texts[0].decode()},
                      {"from": SERVER, "kind": "text", "text": None, "optional": True}],
            outcome=["closed_clean", "unknown"], client_code=[1000, None], server_code=[1000],
            close={"client_code": 1000})},
        root_cause_any=CLEAN_CAUSES + ["WSI002"], must_find=["WSI002"], must_not_find=without(NO_ALARM, "WSI002"),
        may_find=CLEAN_CAUSES[1:], max_severity="warning", never_show=[invented, "north-gate-07\",\"state\":\"closed\",\"limit\":11111,\"again"],
        truth=["Three messages: " + "; ".join(f"`{t.decode()}`" for t in texts) + ".", "The second is not in the file."])


@recipe("gen-retransmissions")
def retransmissions():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    frames = [server.text(f"tick {n} " + "y" * 70) for n in range(4)]
    for f in frames:
        seq = c.next[SERVER]
        c.send(f)
        c.wait(20 * MS)
        c.segment(SERVER, PSH | ACK, f.bytes, seq=seq)  # the same once more
        c.ack(CLIENT)
    # A retransmission that begins earlier and ends later than what was there.
    seq = c.next[SERVER]
    one, two = server.text("first half"), server.text("second half")
    c.send(one)
    c.segment(SERVER, PSH | ACK, one.bytes + two.bytes, seq=seq, frames=[two])
    c.next[SERVER] = seq + len(one.bytes + two.bytes)
    c.ack(CLIENT)
    c.close(client, server)
    return Capture(
        "Segments are sent twice, and one retransmission carries new bytes after the old ones. Each frame counts once.",
        c.packets, connections={"0": ends(frames=frames_of(c.packets))}, root_cause_any=CLEAN_CAUSES,
        must_not_find=without(NO_ALARM, "WSN*") + ["WSN005", "WSN006", "WSN008", "WSI002"],
        may_find=CLEAN_CAUSES[1:] + ["WSN012"], max_severity="warning",
        truth=["Six text frames from the server; closed 1000 by the client."])


@recipe("gen-overlap-with-other-bytes")
def overlap_conflict():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    frame = server.text("the bytes that came first")
    other = server.text("THE BYTES THAT CAME LATER")
    seq = c.next[SERVER]
    c.segment(SERVER, PSH | ACK, frame.bytes, frames=[frame])
    c.segment(SERVER, PSH | ACK, other.bytes, seq=seq)
    c.wait(c.rtt).ack(CLIENT)
    c.close(client, server)
    return Capture(
        "A retransmission of the same sequence numbers carries other bytes of the same length. The first copy counts, as in most TCP stacks; "
        "it is one frame, not two.",
        c.packets, connections={"0": ends(frames=frames_of(c.packets), messages=[{"from": SERVER, "kind": "text", "text": "the bytes that came first"}])},
        root_cause_any=CLEAN_CAUSES, must_not_find=without(NO_ALARM, "WSN*") + ["WSN005", "WSN006", "WSI002"], may_find=CLEAN_CAUSES[1:] + ["WSN012"],
        max_severity="warning", truth=["One text frame from the server; closed 1000 by the client."])


@recipe("gen-sequence-wrap")
def sequence_wrap():
    c, client, server = conversation(isn=(0xFFFFFFF0, 0xFFFFFF80)).open().upgrade(), Peer(CLIENT), Peer(SERVER)
    for n in range(4):
        c.send(server.text(f"tick {n} " + "z" * 40))
        c.send(client.text(f"ack {n}"))
    c.close(client, server)
    return healthy("The sequence numbers of both sides pass 2^32 inside the connection.", c.packets, {"0": ends(frames=frames_of(c.packets))},
                   truth=["Four text frames each way; closed 1000 by the client."])


@recipe("gen-syn-with-data")
def syn_with_data():
    c, client, server = conversation(), Peer(CLIENT), Peer(SERVER)
    req = request()
    c.segment(CLIENT, SYN, req, options=c.options + b"\x22\x0a" + b"cookie01")
    c.wait(c.rtt / 2)
    c.segment(SERVER, SYN | ACK, options=c.options)
    c.segment(SERVER, PSH | ACK, switching())
    c.wait(c.rtt / 2)
    c.ack(CLIENT)
    c.send(server.text("hello"))
    c.close(client, server)
    return healthy("TCP Fast Open (RFC 7413): the request travels in the SYN, the answer follows the SYN-ACK at once.", c.packets,
                   {"0": ends(frames=frames_of(c.packets))}, truth=["One text frame from the server; closed 1000 by the client."])


@recipe("gen-tcp-keep-alives")
def keep_alives():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    c.send(server.text("before the silence"))
    for n in range(6):
        c.wait(10 * SECOND)
        c.segment(CLIENT, ACK, b"\0" if n % 2 else b"", seq=c.next[CLIENT] - 1)  # with and without the garbage byte
        c.wait(c.rtt / 2).ack(SERVER)
    c.send(server.text("after the silence"))
    c.close(client, server)
    return healthy("TCP keep-alives every ten seconds, with and without the one byte of garbage of old stacks (RFC 9293 section 3.8.4). That byte "
                   "lies before the window and is no payload.", c.packets, {"0": ends(frames=frames_of(c.packets))},
                   truth=["Two text frames from the server, a minute apart; closed 1000 by the client."])


@recipe("gen-zero-window")
def zero_window():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    for n in range(3):
        c.data(SERVER, server.binary(bytes(1400)).bytes, acked=False)
    c.window[CLIENT] = 0
    c.ack(CLIENT)
    for gap in (0.3, 0.6, 1.2, 2.4, 4.8, 4.8):
        c.wait(gap * SECOND)
        c.segment(SERVER, ACK, b"", seq=c.next[SERVER] - 1)  # window probe
        c.ack(CLIENT)
    c.window[CLIENT] = 502
    c.ack(CLIENT)
    c.wait(MS)
    c.send(server.text("at last"))
    c.close(client, server)
    return Capture("The client's program stops reading for fourteen seconds: its kernel advertises a window of zero and the server has to wait, "
                   "probing. Then it reads on.", c.packets, connections={"0": ends()}, root_cause_any=CLEAN_CAUSES + ["WSN011"],
                   must_find=["WSN011"], must_not_find=without(NO_ALARM, "WSN*") + ["WSI002", "WSN008", "WSN005", "WSN006"],
                   may_find=CLEAN_CAUSES[1:], truth=["Zero window from the client for 14.1 s; closed 1000 by the client."])


@recipe("gen-port-reuse")
def port_reuse():
    a = conversation().open().upgrade()
    client, server = Peer(CLIENT), Peer(SERVER)
    a.send(server.text("first life"))
    a.close(client, server)
    b = conversation(start=a.at + 90 * SECOND, isn=(900_000, 77_000_000)).open().upgrade()
    b.send(server.text("second life"))
    b.close(client, server, code=1001, by=SERVER)
    packets = in_time(a, b)
    return healthy("The same four-tuple is used twice, ninety seconds apart: two connections, not one.", packets,
                   {"0": ends(frames=by_packet(a, packets)), "1": ends(1001, frames=by_packet(b, packets))},
                   truth=["First connection closed 1000 by the client, the second 1001 by the server."])


@recipe("gen-snap-length")
def snap_length():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    for n in range(3):
        c.send(server.binary(bytes([n]) * 1200))
        c.send(client.text(f"got {n}"))
    c.close(client, server)
    return Capture("Captured with a snap length of 400 bytes: handshakes are whole, large payloads are cut. Frame lengths stay exact, because "
                   "headers are where the arithmetic says; contents are unknown.", c.packets, data=pcap(c.packets, snaplen=400),
                   connections={"0": ends(frames=frames_of(c.packets))}, root_cause_any=CLEAN_CAUSES + ["WSI005"], must_find=["WSI005"],
                   must_not_find=without(NO_ALARM, "WSI005"), may_find=CLEAN_CAUSES[1:], max_severity="warning",
                   truth=["Three binary frames of 1200 bytes and three text frames; closed 1000 by the client."])


def one_way(side):
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    c.send(client.text("hello"))
    c.send(server.text("hello yourself"))
    c.close(client, server)
    return [p for p in c.packets if p.side == side]


@recipe("gen-only-server-to-client")
def only_server():
    packets = one_way(SERVER)
    return Capture("Only the packets of the server were captured (an asymmetric route). Who acted first cannot be known, and the client's silence "
                   "means nothing.", packets,
                   connections={"0": {"outcome": ["closed_clean", "unknown", "closed_abnormal"], "client_code": [1000], "server_code": None,
                                      "close": {"server_code": 1000}, "frames": before_proof(frames_of(packets))}},
                   root_cause_any=None, must_find=["WSI003"],
                   must_not_find=["WSC602", "WSC604", "WSD*", "WSF*", "WSH*", "WSK*", "WSN001", "WSN003", "WSN004", "WSN005", "WSN007", "WSN008", "WSN012", "WSP*", "WST*", "WSR*"],
                   truth=["One text frame and Close 1000 each way; the client's are not in the file."])


@recipe("gen-only-client-to-server")
def only_client():
    packets = one_way(CLIENT)
    return Capture("Only the packets of the client were captured. Its frames are masked and complete; the answer 101 was never seen, and that is "
                   "the capture's doing, not the server's.", packets,
                   connections={"0": {"outcome": ["closed_clean", "unknown", "closed_abnormal", "open"], "client_code": None, "server_code": [1000, None],
                                      "close": {"client_code": [1000, "absent"]}, "frames": [{**f, "optional": True} for f in frames_of(packets)]}},
                   root_cause_any=None, must_find=["WSI003"],
                   must_not_find=["WSC602", "WSC604", "WSD*", "WSF*", "WSH327", "WSH328", "WSK*", "WSN001", "WSN003", "WSN004", "WSN005", "WSN007", "WSN008", "WSN012", "WSP*", "WST*", "WSR*"],
                   truth=["One text frame and Close 1000 each way; the server's are not in the file."])


# ------------------------------------------------------------------ deflate

def deflated(parameters, client_takeover, server_takeover):
    c, client, server = conversation().open(), Peer(CLIENT), Peer(SERVER)
    # A server that accepts an offer of server_no_context_takeover must repeat it (RFC 7692 section 7.1.1.1).
    offer = f"Sec-WebSocket-Extensions: permessage-deflate; {parameters}; client_max_window_bits"
    c.upgrade(request(extra=[offer]), switching(extra=["Sec-WebSocket-Extensions: permessage-deflate; " + parameters]))
    up, down, messages = Deflater(client_takeover), Deflater(server_takeover), []
    for n in range(3):
        question, answer = f'{{"ask":"temperature of tank {n}"}}', f'{{"tank":{n},"temperature":"20 degrees","unit":"celsius"}}'
        c.send(client.text(up.compress(question.encode()), rsv=4))
        c.send(server.text(down.compress(answer.encode()), rsv=4))
        messages += [{"from": CLIENT, "kind": "text", "text": question}, {"from": SERVER, "kind": "text", "text": answer}]
    c.close(client, server)
    return c, {"0": ends(frames=frames_of(c.packets), messages=messages)}


@recipe("gen-deflate-server-no-takeover")
def server_no_takeover():
    c, connections = deflated("server_no_context_takeover", True, False)
    return healthy("permessage-deflate where only the server starts every message with a fresh window; the client keeps its own.", c.packets, connections,
                   truth=["Three messages each way, all readable; closed 1000 by the client."])


@recipe("gen-deflate-client-no-takeover")
def client_no_takeover():
    c, connections = deflated("client_no_context_takeover", False, True)
    return healthy("permessage-deflate where only the client starts every message with a fresh window; the server keeps its own.", c.packets, connections,
                   truth=["Three messages each way, all readable; closed 1000 by the client."])


@recipe("gen-deflate-fragmented")
def deflate_fragmented():
    c, client, server = conversation().open(), Peer(CLIENT), Peer(SERVER)
    extension = "Sec-WebSocket-Extensions: permessage-deflate"
    c.upgrade(request(extra=[extension]), switching(extra=[extension]))
    text = "compressed first, then cut into three frames, with a ping between them: äöü €"
    body = Deflater().compress(text.encode())
    a, b = len(body) // 3, 2 * len(body) // 3
    c.send(server.text(body[:a], rsv=4, fin=False))
    c.send(server.ping(b"still there?"))
    c.send(client.pong(b"still there?"))
    c.send(server.continuation(body[a:b], fin=False))
    c.send(server.continuation(body[b:]))
    c.close(client, server)
    return healthy("A compressed message in three fragments: RSV1 only on the first, a ping and its pong in between (RFC 7692 section 6.1, RFC 6455 "
                   "section 5.4).", c.packets,
                   {"0": ends(frames=frames_of(c.packets), messages=[{"from": SERVER, "kind": "text", "text": text}])},
                   truth=[f"One text message: `{text}`; closed 1000 by the client."])


@recipe("gen-deflate-final-block")
def deflate_final_block():
    c, client, server = conversation().open(), Peer(CLIENT), Peer(SERVER)
    extension = "Sec-WebSocket-Extensions: permessage-deflate"
    c.upgrade(request(extra=[extension]), switching(extra=[extension]))
    first = b"a message that ends in a block with BFINAL set"
    second = b"another message that ends in a block with BFINAL set"
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = z.compress(first) + z.flush(zlib.Z_FINISH) + b"\0"  # RFC 7692 section 7.2.3.4
    z = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=first)
    follow = (z.compress(second) + z.flush(zlib.Z_SYNC_FLUSH))[:-4]
    c.send(server.text(body, rsv=4))
    c.send(server.text(follow, rsv=4))
    c.close(client, server)
    return healthy("The first compressed message ends in a DEFLATE block with BFINAL set, which RFC 7692 section 7.2.3.4 allows; the second refers "
                   "to it through the kept window.", c.packets,
                   {"0": ends(frames=frames_of(c.packets), messages=[{"from": SERVER, "kind": "text", "text": first.decode()},
                                                                     {"from": SERVER, "kind": "text", "text": second.decode()}])},
                   truth=[f"Two text messages: `{first.decode()}` and `{second.decode()}`."])


@recipe("gen-deflate-not-negotiated")
def deflate_not_negotiated():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    c.send(server.text(Deflater().compress(b"nobody agreed on this"), rsv=4))
    c.send(client.close(1002, b"RSV1 must be clear"))
    c.segment(CLIENT, FIN | ACK)
    c.wait(c.rtt / 2)
    c.segment(SERVER, FIN | ACK)
    c.ack(CLIENT)
    return Capture("The server compresses although the 101 agreed on no extension; the client fails the connection with 1002.", c.packets,
                   connections={"0": {"outcome": ["closed_abnormal"], "client_code": None, "server_code": [1002], "must_find": ["WSD501"],
                                      "close": {"client_code": 1002, "server_code": "absent"}, "frames": frames_of(c.packets)}},
                   root_cause_any=["WSD501"], must_find=["WSD501"], must_not_find=["WSD503", "WSI*", "WSH*", "WSK*", "WST*", "WSR*", "WSP*"],
                   truth=["RSV1 on a text frame without permessage-deflate; Close 1002 by the client, never answered."])


# ------------------------------------------------------------------ fragments

def null_link(p):
    """BSD loopback: the address family in the byte order of the host."""
    p.link = struct.pack("<I", 2) + p.ip
    return p


@recipe("gen-fragments-on-loopback")
def fragments_on_loopback():
    c = conversation(client=("127.0.0.1", 40000), server=("127.0.0.1", 8080)).open().upgrade(request(host="127.0.0.1:8080"))
    client, server = Peer(CLIENT), Peer(SERVER)
    c.send(client.text("cli-", fin=False))
    c.send(server.text("srv-", fin=False))
    c.send(client.continuation(b"mid-", fin=False))
    c.send(server.continuation(b"end"))
    c.send(client.continuation(b"end"))
    c.close(client, server)
    data = pcap([null_link(p) for p in c.packets], linktype=0)
    return healthy("Both ends at 127.0.0.1 (BSD loopback link type), both sending fragmented messages at the same time: two messages, `cli-mid-end` and "
                   "`srv-end`, never mixed.", c.packets, {"0": ends(frames=frames_of(c.packets), messages=[
                       {"from": SERVER, "kind": "text", "text": "srv-end"}, {"from": CLIENT, "kind": "text", "text": "cli-mid-end"}])}, data=data,
                   truth=["Two text messages; closed 1000 by the client."])


@recipe("gen-fragments-both-ways")
def fragments_both_ways():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    c.send(client.binary(b"\x00\x01", fin=False))
    c.send(server.text("te", fin=False))
    c.send(client.continuation(b"\x02\xff"))
    c.send(server.continuation(b"xt"))
    c.close(client, server)
    return healthy("Both sides send a fragmented message at the same time, the client a binary one, the server a text.", c.packets,
                   {"0": ends(frames=frames_of(c.packets), messages=[{"from": CLIENT, "kind": "binary", "length": 4},
                                                                     {"from": SERVER, "kind": "text", "text": "text"}])},
                   truth=["One binary message of 4 bytes from the client, one text message from the server."])


@recipe("gen-length-above-32-bits")
def length_above_32_bits():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    length = (1 << 32) + 10
    inside = b"0123456789" + server.text("this is no frame but payload").bytes * 8
    giant = server.binary(inside, length=length)
    c.send(client.text("send it"))
    c.data(SERVER, giant.bytes, frames=[giant])
    for _ in range(3):
        c.data(SERVER, server.text("this is no frame but payload").bytes * 8)
    return Capture("A binary frame that announces 2^32 + 10 bytes; the capture ends inside it. Its first bytes read, after ten of them, as more "
                   "frames: a reader that keeps 32 bits of the length finds those.", c.packets,
                   connections={"0": {"outcome": ["open"], "client_code": [None], "server_code": [None], "close": {"client_code": "absent", "server_code": "absent"},
                                      "frames": [{**f, "optional": True} if f["length"] == length else f for f in frames_of(c.packets)]}},
                   root_cause_any=["none", "WSI007"], must_not_find=without(NO_ALARM, "WSI*"), may_find=["WSI007"], healthy=True,
                   truth=["One text frame from the client, one unfinished binary frame of 4294967306 bytes from the server."])


@recipe("gen-violations")
def violations():
    """One connection for each rule of framing that can be broken; everything else about it is well."""
    conversations, connections, truth, found = [], {}, [], []

    def add(rule, deed, bad, code=1002, after=None, ends_abruptly=False, by=None):
        n = len(conversations)
        c = conversation(client=("192.0.2.10", 41000 + n), start=BASE_TIME + n * SECOND, isn=(1000 * n + 1, 5000 * n + 1)).open().upgrade()
        client, server = Peer(CLIENT, n), Peer(SERVER, n)
        # An honest exchange first, so that only the bad frames can be the reason.
        c.send(client.text("question"))
        c.send(server.text("answer"))
        frames = bad(client, server)
        violator = by or frames[0].sender
        for f in frames:
            c.send(f)
        judge = Peer(c.other(violator), n + 100)
        if not ends_abruptly:
            c.send(judge.close(code))
            c.fin(first=judge.sender)
        else:
            c.fin(first=violator)
        conversations.append(c)
        connections[str(n)] = {"outcome": None, "client_code": None, "server_code": None, "must_find": [rule]}
        found.append(rule)
        truth.append(f"TCP stream {n}: {deed} ({'/'.join(rule) if isinstance(rule, list) else rule}).")

    add("WSF401", "the client sends an unmasked frame", lambda c, s: [c.text("bare", mask=None)])
    add("WSF402", "the server masks a frame", lambda c, s: [s.text("masked", mask=b"\x11\x22\x33\x44")])
    add("WSF403", "the server sets RSV2", lambda c, s: [s.text("reserved", rsv=2)])
    add("WSF404", "the server uses opcode 3", lambda c, s: [s.frame(3, b"reserved")])
    add("WSF404", "the client uses opcode 11", lambda c, s: [c.frame(11, b"reserved")])
    add("WSF405", "the server fragments a ping", lambda c, s: [s.ping(b"frag", fin=False)])
    add("WSF406", "the server sends a ping of 126 bytes", lambda c, s: [s.ping(b"x" * 126)])
    add("WSF407", "the server continues a message that nobody began", lambda c, s: [s.continuation(b"orphan")])
    add("WSF408", "the server begins a message inside another", lambda c, s: [s.text("one", fin=False), s.text("two")])
    add("WSF409", "the server writes a length of 5 in 16 bits", lambda c, s: [s.text("short", form=16)])
    add("WSF409", "the server writes a length of 300 in 64 bits", lambda c, s: [s.text("y" * 300, form=64)])
    add("WSF410", "the client sends a text that is not UTF-8", lambda c, s: [c.text(b"caf\xe9 au lait")], code=1007)
    add("WSF411", "the server sends a Close of one byte", lambda c, s: [s.frame(8, b"\x03")])
    add("WSF412", "the server puts 1005 on the wire", lambda c, s: [s.close(1005)])
    add("WSF412", "the client closes with 999", lambda c, s: [c.close(999)])
    add("WSF413", "the server gives a reason that is not UTF-8", lambda c, s: [s.close(1000, b"caf\xe9")], code=1007)
    add("WSF419", "the server ends TCP in the middle of a frame",
        lambda c, s: [Frame(SERVER, 2, b"only these", length=5000)], ends_abruptly=True)
    packets = in_time(*conversations)
    for n, c in enumerate(conversations):
        # A frame that never ends may be told or not, but not as anything else.
        connections[str(n)]["frames"] = [{**f, "optional": True} if f["length"] == 5000 else f for f in by_packet(c, packets)]
    return Capture("Seventeen connections, each with one broken rule of RFC 6455 section 5 or 7; before it an honest exchange, after it the other "
                   "side's Close.", packets, connections=connections, root_cause_any=None,
                   must_find=sorted(set(found)), must_not_find=["WSD*", "WSH*", "WSI001", "WSI002", "WSI003", "WSI005", "WSK*", "WSP*", "WST*", "WSN001", "WSN002", "WSN003", "WSN008"],
                   truth=truth)


@recipe("gen-data-after-close")
def data_after_close():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    c.send(server.close(1001, b"going away"))
    c.send(server.text("one thing more"))
    c.send(client.close(1001))
    c.fin()
    return Capture("The server sends a text after its own Close, which RFC 6455 section 5.5.1 forbids; the client answers the Close anyway.", c.packets,
                   connections={"0": {"outcome": ["closed_clean"], "client_code": [1001], "server_code": [1001], "must_find": ["WSF414"],
                                      "close": {"client_code": 1001, "server_code": 1001}}},
                   root_cause_any=None, must_find=["WSF414"],
                   must_not_find=without(NO_ALARM, "WSF*") + ["WSF401", "WSF402", "WSF404", "WSF407", "WSF408"], may_find=CLEAN_CAUSES[1:],
                   truth=["Close 1001 by the server, a text frame of the server after it, Close 1001 by the client."])


# ------------------------------------------------------------------ captures that begin or end in the middle

def before_proof(frames):
    """Without a handshake the first bytes may be anything: frames may go untold until they prove themselves; a Close must not."""
    return [f if f["opcode"] == 8 else {**f, "optional": True} for f in frames]


@recipe("gen-starts-mid-stream")
def starts_mid_stream():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    skip = len(c.packets)
    for n in range(5):
        c.send(client.text(f"question {n}"))
        c.send(server.text(f"answer {n}"))
    c.close(client, server)
    packets = c.packets[skip:]
    return Capture("The capture was started while the connection was already talking: no SYN, no upgrade. Every segment begins with a frame.", packets,
                   connections={"0": {"outcome": ["closed_clean"], "client_code": [1000], "server_code": [1000], "close": {"client_code": 1000, "server_code": 1000},
                                      "frames": before_proof(frames_of(packets)), "facts": {"tcp": {"opening": "mid_stream"}, "websocket": {"upgrade": "mid_stream"}}}},
                   root_cause_any=CLEAN_CAUSES + ["WSI001"], must_find=["WSI001"], must_not_find=without(NO_ALARM, "WSI001"), may_find=CLEAN_CAUSES[1:],
                   max_severity="warning", truth=["Five text frames each way; closed 1000 by the client."])


@recipe("gen-starts-inside-frame")
def starts_inside_frame():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    bait = (b"\x81\x05hello\x82\x04data\x8a\x00" * 40)[:1400]
    giant = server.binary(bait * 3)
    first = c.segment(SERVER, ACK, giant.bytes[:1400])
    skip = len(c.packets)
    c.segment(SERVER, ACK, giant.bytes[1400:2800])
    c.segment(SERVER, PSH | ACK, giant.bytes[2800:])
    c.wait(c.rtt).ack(CLIENT)
    for n in range(6):
        c.send(client.text(f"question {n}"))
        c.send(server.text(f"answer {n}"))
    c.close(client, server)
    packets = c.packets[skip:]
    assert first not in packets
    expected = [f if f["from"] == CLIENT else {**f, "optional": True} for f in before_proof(frames_of(packets))]
    return Capture("The capture starts in the middle of a 4200-byte frame whose payload reads as small frames from end to end. Nothing tells frame "
                   "boundaries there; frames that were not sent must not be reported.", packets,
                   connections={"0": {"outcome": ["closed_clean", "unknown"], "client_code": [1000, None], "server_code": [1000, None], "close": {"client_code": 1000},
                                      "frames": expected}},
                   root_cause_any=CLEAN_CAUSES + ["WSI001"], must_find=["WSI001"], must_not_find=without(NO_ALARM, "WSI001"), may_find=CLEAN_CAUSES[1:] + ["WSI002"],
                   max_severity="warning", truth=["One binary frame of 4200 bytes (its beginning not captured), six text frames each way, closed 1000 by the client."])


@recipe("gen-answer-101-not-captured")
def answer_not_captured():
    c, client, server = conversation().open(), Peer(CLIENT), Peer(SERVER)
    c.data(CLIENT, request())
    lost = c.data(SERVER, switching())
    for n in range(3):
        c.send(client.text(f"question {n}"))
        c.send(server.text(f"answer {n}"))
    c.close(client, server)
    packets = [p for p in c.packets if p is not lost]
    return Capture("The packet with the answer 101 is missing from the capture, though the client acknowledged it; what follows can only be a WebSocket.",
                   packets, connections={"0": {"outcome": ["closed_clean"], "client_code": [1000], "server_code": [1000],
                                               "close": {"client_code": 1000, "server_code": 1000},
                                               "frames": before_proof(frames_of(packets))}},
                   root_cause_any=CLEAN_CAUSES + ["WSI002"], must_find=["WSI002"], must_not_find=without(NO_ALARM, "WSI001", "WSI002"), may_find=CLEAN_CAUSES[1:] + ["WSI001"],
                   max_severity="warning", truth=["Three text frames each way; closed 1000 by the client; the 101 was sent."])


@recipe("gen-proxy-refuses-connect")
def proxy_refuses_connect():
    c = conversation(server=("198.51.100.30", 3128)).open()
    c.data(CLIENT, b"CONNECT app.example.net:443 HTTP/1.1\r\nHost: app.example.net:443\r\nProxy-Connection: keep-alive\r\n\r\n")
    c.data(SERVER, b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"gate\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    c.fin()
    return Capture("The forward proxy wants credentials before it opens a tunnel: 407, and no WebSocket is ever tried.", c.packets,
                   connections={"0": {"outcome": ["upgrade_failed", "tcp_failed", "unknown"], "client_code": [1006, None], "server_code": None}},
                   root_cause_any=["WSP201"], must_find=["WSP201"], must_not_find=["WSC*", "WSD*", "WSF*", "WSH*", "WSI001", "WSI002", "WSK*", "WSN*", "WST*", "WSR*"],
                   truth=["CONNECT answered 407."])


@recipe("gen-through-connect-proxy")
def through_connect_proxy():
    c, client, server = conversation(server=("198.51.100.30", 3128)).open(), Peer(CLIENT), Peer(SERVER)
    c.data(CLIENT, b"CONNECT app.example.net:80 HTTP/1.1\r\nHost: app.example.net:80\r\n\r\n")
    c.data(SERVER, b"HTTP/1.1 200 Connection established\r\n\r\n")
    c.upgrade(request(host="app.example.net"))
    c.send(server.text("through the tunnel"))
    c.close(client, server)
    return healthy("The upgrade travels inside a CONNECT tunnel of a forward proxy, in the clear.", c.packets, {"0": ends(frames=frames_of(c.packets))},
                   truth=["One text frame from the server; closed 1000 by the client."])


# ------------------------------------------------------------------ timers

@recipe("gen-idle-timeout-60s")
def idle_timeout():
    conversations, connections = [], {}
    for n in range(4):
        c = conversation(client=("192.0.2.10", 42000 + n), start=BASE_TIME + n * 7 * SECOND, isn=(n + 1, 9000 + n)).open()
        c.upgrade(None, switching(extra=["Server: nginx"]))
        c.send(Peer(CLIENT, n).text("subscribe"))
        c.send(Peer(SERVER, n).text("subscribed"))
        for m in range(n):
            c.wait(3 * SECOND)
            c.send(Peer(SERVER, n).text(f"update {m}"))
        c.at = c.packets[-2].at + 60 * SECOND + n * 3 * MS
        c.fin()
        conversations.append(c)
        connections[str(n)] = {"outcome": ["closed_abnormal"], "client_code": [1006], "server_code": [1006],
                               "close": {"client_code": "absent", "server_code": "absent"}}
    return Capture("Four connections through nginx fall silent at different moments; each is ended by a FIN without Close sixty seconds after its last byte, "
                   "as `proxy_read_timeout` does by default. Their ages differ, their silences do not.", in_time(*conversations), connections=connections,
                   root_cause_any=["WSK701"], must_find=["WSK701"], must_not_find=["WSC602", "WSD*", "WSF*", "WSH*", "WSI001", "WSI002", "WSK702", "WSK703", "WSK704", "WST*", "WSN005", "WSP*"],
                   truth=["Idle 60.000 to 60.009 s before the server-side FIN, on each of the four."])


@recipe("gen-pong-arrived-in-time")
def pong_in_time():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    c.send(server.text("work"))
    c.wait(20 * SECOND)
    c.send(server.ping(b"\x01\x02\x03\x04"))
    c.wait(5 * MS)
    c.send(client.pong(b"\x01\x02\x03\x04"))
    c.wait(20 * SECOND)
    c.send(server.close(1011, b"keepalive ping timeout"))
    c.send(client.close(1011))
    c.fin()
    return Capture("The server closes with 1011 `keepalive ping timeout`, although the client's Pong reached it five milliseconds after the Ping and was "
                   "acknowledged: its own program was too busy to read.", c.packets,
                   connections={"0": ends(1011, frames=frames_of(c.packets))}, root_cause_any=["WSK705"], must_find=["WSK705"],
                   must_not_find=["WSC603", "WSC604", "WSD*", "WSF*", "WSH*", "WSI*", "WSK703", "WSK704", "WSK709", "WSN*", "WST*"],
                   truth=["Ping answered after 5 ms; Close 1011 twenty seconds later by the server."])


@recipe("gen-ping-acknowledged-never-answered")
def ping_app_hung():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    c.send(client.text("hello"))
    c.send(server.ping(b"one"))
    c.send(client.pong(b"one"))
    c.wait(20 * SECOND)
    c.send(server.ping(b"two"))  # acknowledged by the client's kernel
    c.wait(20 * SECOND)
    c.send(server.close(1011, b"keepalive ping timeout"))
    c.segment(SERVER, FIN | ACK)
    c.wait(c.rtt / 2).ack(CLIENT)
    return Capture("The client's kernel acknowledges the second Ping, but its program never answers; after twenty seconds the server closes with 1011 and "
                   "hangs up.", c.packets,
                   connections={"0": {"outcome": ["closed_abnormal"], "client_code": [1011, 1006], "server_code": [1006], "close": {"server_code": 1011, "client_code": "absent"},
                                      "frames": frames_of(c.packets)}},
                   root_cause_any=["WSK703"], must_find=["WSK703"], must_not_find=["WSD*", "WSF*", "WSH*", "WSI001", "WSI002", "WSI003", "WSK704", "WSK705", "WSK709", "WSN008", "WST*"],
                   truth=["First Ping answered, second acknowledged by TCP and never answered; Close 1011 by the server, then FIN."])


@recipe("gen-path-dead")
def path_dead():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    c.send(client.text("hello"))
    c.send(server.text("hello"))
    c.wait(30 * SECOND)
    ping = server.ping(b"anybody?")
    seq = c.next[SERVER]
    c.segment(SERVER, PSH | ACK, ping.bytes, frames=[ping])
    for n in range(8):
        c.wait(0.3 * SECOND * 2 ** n)
        c.segment(SERVER, PSH | ACK, ping.bytes, seq=seq)
    return Capture("From one moment on nothing of the client arrives any more: the server's Ping is retransmitted eight times with doubling delays and never "
                   "acknowledged. No FIN, no RST: the path or the host is gone.", c.packets,
                   connections={"0": {"outcome": ["open", "closed_abnormal", "unknown"], "client_code": None, "server_code": None, "close": {"client_code": "absent", "server_code": "absent"},
                                      "frames": frames_of(c.packets)}},
                   root_cause_any=["WSN008", "WSK704"], must_find=[["WSN008", "WSK704"]],
                   must_not_find=["WSC602", "WSC604", "WSD*", "WSF*", "WSH*", "WSI001", "WSI002", "WSK703", "WSK705", "WSN005", "WSN006", "WSN011", "WST*"],
                   truth=["The client's last packet is its ACK of the server's text; the Ping is sent nine times."])


@recipe("gen-forged-reset")
def forged_reset():
    c, client, server = conversation().open().upgrade(), Peer(CLIENT), Peer(SERVER)
    for n in range(3):
        c.send(client.text(f"question {n}"))
        c.send(server.text(f"answer {n}"))
    c.ttl = 57
    c.segment(SERVER, RST, b"")
    c.segment(CLIENT, RST, b"", seq=c.next[CLIENT])
    c.ttl = 64
    frame = server.text("the server knows nothing of it")
    c.wait(40 * MS)
    c.segment(SERVER, PSH | ACK, frame.bytes, frames=[frame])
    c.wait(MS)
    c.segment(CLIENT, RST)
    return Capture("A reset reaches both ends within a fraction of a millisecond, with a TTL of 57 where both ends' packets carry 64; the server, which "
                   "did not send one, goes on talking.", c.packets,
                   connections={"0": {"outcome": ["closed_abnormal"], "client_code": [1006], "server_code": [1006], "close": {"client_code": "absent", "server_code": "absent"}}},
                   root_cause_any=["WSN007"], must_find=["WSN007"], must_not_find=["WSC602", "WSC604", "WSD*", "WSF*", "WSH*", "WSI*", "WSK*", "WST*", "WSP*"],
                   truth=["Both RSTs come from a third party."])


# ------------------------------------------------------------------ link layers, tunnels, fragments, files

def small(client, server, n=0, start=0):
    c = Conversation(client=client, server=server, start=BASE_TIME + start, isn=(100 * n + 7, 300 * n + 9)).open().upgrade()
    a, b = Peer(CLIENT, n), Peer(SERVER, n)
    c.send(a.text(f"hello from {n}"))
    c.send(b.text(f"hello to {n}"))
    c.close(a, b)
    return c


@recipe("gen-tunnels")
def tunnels():
    outer = ("203.0.113.1", "203.0.113.2")

    def qinq(p):
        return ethernet(struct.pack(">HHHH", 200, 0x8100, 100, 0x0800) + p, 0x88A8)

    def pppoe(p):
        return ethernet(struct.pack(">BBHHH", 0x11, 0, 42, len(p) + 2, 0x0021) + p, 0x8864)

    def mpls(p):
        return ethernet(struct.pack(">II", 16 << 12 | 0 << 8 | 64, 17 << 12 | 1 << 8 | 64) + p, 0x8847)

    def gre(p):
        return ethernet(ip(*outer, 47, struct.pack(">HH", 0, 0x0800) + p))

    def gre_key(p):
        return ethernet(ip(*outer, 47, struct.pack(">HHII", 0x3000, 0x0800, 7, 1) + p))

    def ipip(p):
        return ethernet(ip(*outer, 4, p))

    def sixinfour(p):
        return ethernet(ip(*outer, 41, p))

    def vxlan(p):
        return ethernet(ip(*outer, 17, udp(50000, 4789, struct.pack(">II", 0x08000000, 77 << 8) + ethernet(p))))

    def geneve(p):
        return ethernet(ip(*outer, 17, udp(50001, 6081, struct.pack(">BBHI", 0x01, 0, 0x6558, 88 << 8) + b"\0\1\2\0" + ethernet(p))))

    def gtpu(p):
        return ethernet(ip(*outer, 17, udp(2152, 2152, struct.pack(">BBHI", 0x30, 0xFF, len(p), 0x1234) + p)))

    kinds = [("802.1ad and 802.1Q tags (QinQ)", qinq), ("PPPoE", pppoe), ("two MPLS labels", mpls), ("GRE", gre), ("GRE with key and sequence number", gre_key),
             ("IP in IP", ipip), ("IPv6 in IPv4", sixinfour), ("VXLAN", vxlan), ("GENEVE with an option", geneve), ("GTP-U", gtpu)]
    conversations, connections, truth = [], {}, []
    for n, (name, wrapper) in enumerate(kinds):
        ends_at = (("2001:db8::a", 43000 + n), ("2001:db8::b", 8080)) if wrapper is sixinfour else (("192.0.2.10", 43000 + n), ("198.51.100.20", 8080))
        c = small(*ends_at, n=n, start=n * SECOND)
        for p in c.packets:
            p.link = wrapper(p.ip)
        conversations.append(c)
        truth.append(f"TCP stream {n}: {name}.")
    packets = in_time(*conversations)
    for n, c in enumerate(conversations):
        connections[str(n)] = ends(frames=by_packet(c, packets))
    return healthy("Ten healthy connections, each inside another encapsulation.", packets, connections, truth=truth,
                   capture={"tcp_connections": 10, "undecoded_packets": 0})


@recipe("gen-ip-fragments")
def ip_fragments():
    c = Conversation(client=("192.0.2.10", 44000), server=("198.51.100.20", 8080)).open().upgrade()
    a, b = Peer(CLIENT), Peer(SERVER)
    frame = b.binary(bytes(range(256)) * 5)
    whole = c.send(frame, acked=False)
    c.wait(c.rtt).ack(CLIENT)
    c.close(a, b)
    header, body = whole.ip[:20], whole.ip[20:]
    pieces = []
    for start in range(0, len(body), 400):
        part = body[start:start + 400]
        more = 0x2000 if start + 400 < len(body) else 0
        pieces.append(Packet(whole.at, ip("198.51.100.20", "192.0.2.10", 6, part, identification=4242, flags=more, fragment=start // 8)))
    pieces = [pieces[2], pieces[0], pieces[3], pieces[1]]  # the one that completes it comes last
    for p in pieces:
        p.side = SERVER
    assert header and len(pieces) == 4
    at = c.packets.index(whole)
    packets = c.packets[:at] + pieces + c.packets[at + 1:]
    pieces[-1].frames = [frame]

    d = Conversation(client=("2001:db8::a", 44001), server=("2001:db8::b", 8080), start=BASE_TIME + SECOND).open().upgrade(request(host="[2001:db8::b]:8080"))
    six = b.binary(b"six" * 500)
    whole = d.send(six, acked=False)
    d.wait(d.rtt).ack(CLIENT)
    d.close(a, b)
    body = whole.ip[40:]
    parts = []
    for start in range(0, len(body), 600):
        part = body[start:start + 600]
        more = 1 if start + 600 < len(body) else 0
        extension = struct.pack(">BBHI", 6, 0, start | more, 99)
        parts.append(Packet(whole.at, ip("2001:db8::b", "2001:db8::a", 44, extension + part)))
        parts[-1].side = SERVER
    parts[-1].frames = [six]
    at = d.packets.index(whole)
    d.packets[at:at + 1] = parts
    packets = packets + d.packets
    mine = set(map(id, d.packets))
    numbered = [(n, p) for n, p in enumerate(packets, 1)]
    return healthy("A TCP segment in four IPv4 fragments that arrive out of order, and one in three IPv6 fragments. The frame belongs to the packet that "
                   "completes it.", packets,
                   {"0": ends(frames=[f.truth(n) for n, p in numbered if id(p) not in mine for f in p.frames]),
                    "1": ends(frames=[f.truth(n) for n, p in numbered if id(p) in mine for f in p.frames])},
                   truth=["Binary frames of 1280 (IPv4) and 1500 bytes (IPv6) from the server; both closed 1000 by the client."])


@recipe("gen-pcapng-everything")
def pcapng_everything():
    """Three sections; packets of four connections, each in another way."""
    first, second, third, fourth = (small(("192.0.2.10", 45000 + n), ("198.51.100.20", 8080), n=n, start=n * SECOND) for n in range(4))
    micro = lambda p: p.at // 1000
    out = []
    # Section 1, little-endian: Ethernet at microseconds, raw IP at nanoseconds with an offset of one hour, and blocks nobody knows.
    order = "<"
    out += [section(order, option(order, 2, b"by hand") + option(order, 0, b"")),
            interface(order, 1, 262144, option(order, 2, b"eth0") + option(order, 0, b"")),
            interface(order, 101, 0, option(order, 9, b"\x09") + option(order, 14, struct.pack(order + "q", 3600)) + option(order, 0, b"")),
            block(order, 0xBEEF, b"unknown block!!!"), block(order, 0x80000001, b"unknown, private")]
    packets = in_time(first, second)
    for p in packets:
        if p in first.packets:
            out.append(enhanced(order, 0, micro(p), wrap(p), options=option(order, 1, b"a comment") + option(order, 0, b"")))
        else:
            out.append(enhanced(order, 1, p.at - 3600 * SECOND, p.ip))
    out.append(block(order, 5, struct.pack(order + "III", 0, 0, 0) + option(order, 5, struct.pack(order + "Q", 3)) + option(order, 0, b"")))
    # Section 2, big-endian: ticks of 2^-20 s, obsolete Packet Blocks, another link type.
    order = ">"
    out += [section(order), interface(order, 101, 65535, option(order, 9, b"\x94") + option(order, 0, b""))]
    ticks = lambda p: (p.at << 20) // SECOND
    for n, p in enumerate(third.packets):
        out.append(obsolete(order, 0, ticks(p), p.ip) if n % 2 else enhanced(order, 0, ticks(p), p.ip))
    # Section 3, little-endian again: Simple Packet Blocks, which carry no time.
    order = "<"
    out += [section(order), interface(order, 1, 0)] + [simple(order, wrap(p)) for p in fourth.packets]
    everything = packets + third.packets + fourth.packets
    return healthy("pcapng with most of what the format allows: three sections of both byte orders, four interfaces of two link types, times in microseconds, in "
                   "nanoseconds with `if_tsoffset`, and in 2^-20 s, Enhanced, obsolete and Simple Packet Blocks, comments, statistics and unknown blocks.",
                   None, {str(n): ends(frames=by_packet(c, everything)) for n, c in enumerate((first, second, third, fourth))},
                   data=b"".join(out), file="capture.pcapng", must_not_find=without(NO_ALARM, "WSN*"), may_find=CLEAN_CAUSES[1:],
                   capture={"packets": len(everything), "tcp_connections": 4, "undecoded_packets": 0},
                   truth=["Four healthy connections, TCP streams 0 to 3, one per interface."])


def plain_tick():
    c = small(("192.0.2.10", 46000), ("198.51.100.20", 8080))
    return c, pcap(c.packets)


@recipe("gen-compressed-gzip")
def compressed_gzip():
    c, data = plain_tick()
    cut = 500

    def member(part):
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as f:
            f.write(part)
        return buffer.getvalue()
    return healthy("The capture is gzip of two members, cut in the middle of a packet.", None, {"0": ends(frames=frames_of(c.packets))},
                   data=member(data[:cut]) + member(data[cut:]), file="capture.pcap.gz", capture={"packets": len(c.packets)},
                   truth=["One text frame each way; closed 1000 by the client."])


@recipe("gen-compressed-zstd")
def compressed_zstd():
    c, data = plain_tick()
    cut = 700
    return healthy("The capture is two Zstandard frames with a skippable frame between them, cut in the middle of a packet.", None,
                   {"0": ends(frames=frames_of(c.packets))}, data=zstd_frame(data[:cut]) + zstd_skippable(b"skip me") + zstd_frame(data[cut:]),
                   file="capture.pcap.zst", capture={"packets": len(c.packets)}, truth=["One text frame each way; closed 1000 by the client."])


@recipe("gen-compressed-lz4")
def compressed_lz4():
    c, data = plain_tick()
    cut = 900
    return healthy("The capture is two LZ4 frames, cut in the middle of a packet.", None, {"0": ends(frames=frames_of(c.packets))},
                   data=lz4_frame(data[:cut]) + lz4_frame(data[cut:]), file="capture.pcap.lz4", capture={"packets": len(c.packets)},
                   truth=["One text frame each way; closed 1000 by the client."])


@recipe("gen-truncated-file")
def truncated_file():
    c = conversation().open().upgrade()
    a, b = Peer(CLIENT), Peer(SERVER)
    c.send(a.text("hello"))
    c.send(b.text("hello"))
    last = len(c.packets)
    c.close(a, b)
    data = pcap(c.packets)
    whole = len(pcap(c.packets[:last]))
    data = data[:whole + 16 + 30]
    return Capture("The file ends in the middle of a packet record: the tool that wrote it was killed. What is there is healthy and still open.", None, data=data,
                   connections={"0": {"outcome": ["open"], "client_code": [None], "server_code": [None], "close": {"client_code": "absent", "server_code": "absent"},
                                      "frames": frames_of(c.packets[:last])}},
                   root_cause_any=["none", "WSI007"], must_not_find=without(NO_ALARM, "WSI*") + ["WSI001", "WSI002", "WSI003"], may_find=["WSI007"], max_severity="warning",
                   capture={"packets": last, "files": [{"truncated": True}]}, truth=["One text frame each way; the connection's end is not in the file."])


@recipe("gen-control-characters")
def control_characters():
    c, client, server = conversation().open(), Peer(CLIENT), Peer(SERVER)
    c.upgrade(request(path="/feed?x=\x9b31mred", extra=["User-Agent: \x9b2J \u202eover"]))
    c.send(server.text("\x1b[2Jcleared\x07\r\x08"))
    c.send(server.close(4001, "\x1b[1mbold\x1b[0m\x07 \u202eover".encode()))
    c.send(client.close(4001))
    c.fin()
    return Capture("Control characters of C1 (CSI is U+009B) and a right-to-left override in the path and in a header, escape sequences and a bell in a message and in "
                   "the reason of the Close: none may reach the terminal as they are.", c.packets,
                   connections={"0": ends(4001)}, root_cause_any=None, must_find=[], must_not_find=["WSC603", "WSC604", "WSD*", "WSF*", "WSI*", "WSK*", "WSN*", "WST*"],
                   truth=["Close 4001 by the server; the peer chose these bytes."])


# ------------------------------------------------------------------ writing

def short(value, indent=0):
    """JSON with short lists and small objects on one line."""
    space = "  " * indent
    line = json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict) and value and (indent < 2 or len(line) > 110):
        inner = ",\n".join(f"{space}  {json.dumps(k)}: {short(v, indent + 1)}" for k, v in value.items())
        return "{\n" + inner + f"\n{space}}}"
    if isinstance(value, list) and len(line) > 110:
        return "[\n" + ",\n".join(f"{space}  {short(v, indent + 1)}" for v in value) + f"\n{space}]"
    return line


def files_of(name):
    c = RECIPES[name]()
    expected = {k: v for k, v in c.expected.items()}
    readme = [f"# {name}", "", c.story, "", f"**Made by** `captures/generate/generate.py {name}`: written by hand, no program sent it.", "", "## Truth", ""]
    readme += [f"- {line}" for line in c.truth]
    return {c.file: c.data, "expected.json": (short(expected) + "\n").encode(), "README.md": ("\n".join(readme) + "\n").encode()}


def sent(expected):
    """What a recipe knows better than a reader: frames and messages by stream."""
    return {stream: {k: c[k] for k in ("frames", "messages") if k in c} for stream, c in expected["connections"].items()}


def is_current(file, old, new):
    return sent(json.loads(old)) == sent(json.loads(new)) if file == "expected.json" else old == new


def main(arguments):
    check = "--check" in arguments
    names = [a for a in arguments if not a.startswith("--")] or list(RECIPES)
    stale = []
    for name in names:
        if name not in RECIPES:
            print(f"no recipe {name}; there are: {' '.join(RECIPES)}", file=sys.stderr)
            return 2
        folder = os.path.join(OUT, name)
        files = files_of(name)
        if check:
            for file, data in files.items():
                path = os.path.join(folder, file)
                if not os.path.exists(path) or not is_current(file, open(path, "rb").read(), data):
                    stale.append(os.path.join(name, file))
            continue
        os.makedirs(folder, exist_ok=True)
        for file, data in files.items():
            if file == "expected.json" and os.path.exists(os.path.join(folder, file)):
                continue
            with open(os.path.join(folder, file), "wb") as f:
                f.write(data)
    if stale:
        print("not as the recipes write them: " + " ".join(stale), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
