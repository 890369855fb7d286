"""Bytes on the wire, written by hand: what no program can be made to send on demand.

Builds WebSocket frames, TCP conversations, IP and tunnel headers, and pcap and pcapng files.
Standard library only. Everything is deterministic: no clock, no random number that is not seeded.
"""
import base64
import hashlib
import ipaddress
import random
import struct
import zlib

CLIENT, SERVER = "client", "server"
OPCODES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
BASE_TIME = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z in nanoseconds
MS = 1_000_000
SECOND = 1_000_000_000


# ------------------------------------------------------------------ WebSocket

def accept(key):
    """Sec-WebSocket-Accept for a key (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


class Frame:
    """One frame as bytes, with what is known about it."""

    def __init__(self, sender, opcode, payload=b"", fin=True, rsv=0, mask=None, length=None, form=None):
        self.sender, self.opcode, self.fin, self.rsv = sender, opcode, fin, rsv
        self.masked = mask is not None
        self.length = len(payload) if length is None else length
        self.payload = payload
        head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
        bit = 0x80 if self.masked else 0
        form = form or (7 if self.length < 126 else 16 if self.length < 65536 else 64)
        if form == 7:
            head += bytes([bit | self.length])
        elif form == 16:
            head += bytes([bit | 126]) + struct.pack(">H", self.length)
        else:
            head += bytes([bit | 127]) + struct.pack(">Q", self.length)
        if self.masked:
            head += mask
            payload = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        self.header = len(head)
        self.bytes = head + payload

    def truth(self, packet=None):
        """The frame as `wsscan --ndjson --events frame` should tell it."""
        known = {"from": self.sender, "opcode": self.opcode, "fin": self.fin, "rsv": self.rsv,
                 "masked": self.masked, "length": self.length}
        if packet is not None:
            known = {"packet": packet, **known}
        if self.opcode == 8 and len(self.payload) >= 2 and self.length == len(self.payload):
            known["close_code"] = struct.unpack(">H", self.payload[:2])[0]
        return known


def close_body(code, reason=b""):
    return struct.pack(">H", code) + reason


class Peer:
    """Makes frames of one side; a client masks, with keys from a seeded generator."""

    def __init__(self, sender, seed=1):
        self.sender, self.random = sender, random.Random(f"{sender}{seed}")

    def mask(self):
        return bytes(self.random.randrange(1, 256) for _ in range(4)) if self.sender == CLIENT else None

    def frame(self, opcode, payload=b"", **options):
        options.setdefault("mask", self.mask())
        return Frame(self.sender, opcode, payload, **options)

    def text(self, text, **options):
        return self.frame(1, text.encode() if isinstance(text, str) else text, **options)

    def binary(self, payload, **options):
        return self.frame(2, payload, **options)

    def continuation(self, payload, **options):
        return self.frame(0, payload, **options)

    def ping(self, payload=b"", **options):
        return self.frame(9, payload, **options)

    def pong(self, payload=b"", **options):
        return self.frame(10, payload, **options)

    def close(self, code=1000, reason=b"", **options):
        return self.frame(8, b"" if code is None else close_body(code, reason), **options)


class Deflater:
    """permessage-deflate of one direction (RFC 7692)."""

    def __init__(self, takeover=True, bits=15):
        self.takeover, self.bits, self.state = takeover, bits, None

    def compress(self, data):
        if self.state is None or not self.takeover:
            self.state = zlib.compressobj(9, zlib.DEFLATED, -self.bits)
        out = self.state.compress(data) + self.state.flush(zlib.Z_SYNC_FLUSH)
        assert out.endswith(b"\x00\x00\xff\xff")
        return out[:-4]


KEY = "d3NzY2FuLWV4YW1wbGUxMg=="  # sixteen bytes: "wsscan-example12"


def request(path="/feed", host="app.example.net:8080", key=KEY, extra=(), version="HTTP/1.1"):
    lines = [f"GET {path} {version}", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *extra]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def switching(key=KEY, extra=()):
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Accept: {accept(key)}", *extra]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


# ------------------------------------------------------------------ network

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(address):
    return ipaddress.ip_address(address).packed


def ip(source, destination, protocol, payload, ttl=64, identification=0, flags=0x4000, fragment=0, length=None):
    """An IPv4 or IPv6 packet, by the kind of its addresses."""
    s, d = packed(source), packed(destination)
    if len(s) == 4:
        total = 20 + len(payload) if length is None else length
        head = struct.pack(">BBHHHBBH", 0x45, 0, total & 0xFFFF, identification, flags | fragment, ttl, protocol, 0) + s + d
        return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload
    return struct.pack(">IHBB", 6 << 28, len(payload), protocol, ttl) + s + d + payload


def tcp(source, destination, sport, dport, seq, ack, flags, payload=b"", window=64240, options=b""):
    options += b"\1" * (-len(options) % 4)
    head = struct.pack(">HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF,
                       (5 + len(options) // 4) << 4, flags, window, 0, 0) + options
    s, d = packed(source), packed(destination)
    if len(s) == 4:
        pseudo = s + d + struct.pack(">BBH", 0, 6, len(head) + len(payload))
    else:
        pseudo = s + d + struct.pack(">IHBB", len(head) + len(payload), 0, 0, 6)
    return head[:16] + struct.pack(">H", checksum(pseudo + head + payload)) + head[18:] + payload


def udp(sport, dport, payload):
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload


def ethernet(packet, ethertype=None, swap=False):
    a, b = b"\x02\x00\x5e\x00\x00\x01", b"\x02\x00\x5e\x00\x00\x02"
    kind = ethertype or (0x0800 if packet[0] >> 4 == 4 else 0x86DD)
    return (a + b if swap else b + a) + struct.pack(">H", kind) + packet


class Packet:
    """One packet of a capture: IP bytes first, wrapped in a link layer when it is written."""

    def __init__(self, at, ip_bytes, link=None, frames=(), original=None):
        self.at, self.ip, self.link, self.frames, self.original = at, ip_bytes, link, list(frames), original


class Conversation:
    """One TCP connection, sent segment by segment; knows sequence numbers and time."""

    def __init__(self, client=("192.0.2.10", 40000), server=("198.51.100.20", 8080), start=BASE_TIME,
                 isn=(1000, 5000), rtt=2 * MS, ttl=64, options=b"\x02\x04\x05\xb4\x01\x03\x03\x07"):
        self.address = {CLIENT: client, SERVER: server}
        self.next = {CLIENT: isn[0], SERVER: isn[1]}
        self.at, self.rtt, self.ttl, self.options = start, rtt, ttl, options
        self.window = {CLIENT: 502, SERVER: 502}
        self.packets = []
        self.identification = {CLIENT: 100, SERVER: 7000}
        self.last_acked = {CLIENT: isn[0], SERVER: isn[1]}

    @staticmethod
    def other(side):
        return SERVER if side == CLIENT else CLIENT

    def wait(self, nanoseconds):
        self.at += int(nanoseconds)
        return self

    def segment(self, side, flags, payload=b"", seq=None, ack=None, window=None, options=b"", frames=(), advance=True,
                original=None):
        """Sends one segment and returns its Packet. With `seq`, nothing advances by itself."""
        s, d = self.address[side], self.address[self.other(side)]
        use = self.next[side] if seq is None else seq
        acknowledgment = (self.next[self.other(side)] if flags & ACK else 0) if ack is None else ack
        data = tcp(s[0], d[0], s[1], d[1], use, acknowledgment, flags, payload,
                   self.window[side] if window is None else window, options)
        self.identification[side] += 1
        packet = Packet(self.at, ip(s[0], d[0], 6, data, ttl=self.ttl, identification=self.identification[side]),
                        frames=frames, original=original)
        packet.side = side
        self.packets.append(packet)
        if seq is None and advance:
            self.next[side] += len(payload) + (1 if flags & SYN else 0) + (1 if flags & FIN else 0)
        self.at += 100_000
        return packet

    def open(self):
        self.segment(CLIENT, SYN, options=self.options, window=64240)
        self.wait(self.rtt / 2)
        self.segment(SERVER, SYN | ACK, options=self.options, window=65160)
        self.wait(self.rtt / 2)
        self.segment(CLIENT, ACK)
        return self

    def ack(self, side):
        return self.segment(side, ACK)

    def data(self, side, payload, frames=(), acked=True, **options):
        """Payload in one segment, acknowledged half a round trip later."""
        packet = self.segment(side, PSH | ACK, payload, frames=frames, **options)
        if acked:
            self.wait(self.rtt / 2)
            self.ack(self.other(side))
        return packet

    def upgrade(self, req=None, resp=None):
        self.data(CLIENT, req or request())
        self.data(SERVER, resp or switching())
        return self

    def send(self, *frames, acked=True):
        """Frames of one sender in one segment."""
        return self.data(frames[0].sender, b"".join(f.bytes for f in frames), frames=frames, acked=acked)

    def fin(self, first=SERVER):
        self.segment(first, FIN | ACK)
        self.wait(self.rtt / 2)
        self.segment(self.other(first), FIN | ACK)
        self.wait(self.rtt / 2)
        self.ack(first)
        return self

    def rst(self, side, acked=True):
        return self.segment(side, RST | ACK if acked else RST)

    def close(self, client, server, code=1000, reason=b"", by=CLIENT):
        """A whole closing handshake and the end of TCP, which the server ends first (RFC 6455 section 7.1.1)."""
        first, second = (client, server) if by == CLIENT else (server, client)
        self.send(first.close(code, reason))
        self.send(second.close(code))
        self.fin()
        return self


def conversation(**options):
    return Conversation(**options)


# ------------------------------------------------------------------ files

def wrap(packet):
    """Ethernet unless the packet brings its own link layer."""
    return packet.link if packet.link is not None else ethernet(packet.ip, swap=getattr(packet, "side", CLIENT) == SERVER)


def pcap(packets, linktype=1, order="<", nano=False, snaplen=262144):
    out = [struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snaplen, linktype)]
    for p in packets:
        data = wrap(p)
        original = p.original or len(data)
        data = data[:snaplen]
        seconds, rest = divmod(p.at, SECOND)
        out.append(struct.pack(order + "IIII", seconds, rest if nano else rest // 1000, len(data), original) + data)
    return b"".join(out)


def pad(data):
    return data + b"\0" * (-len(data) % 4)


def option(order, code, value):
    return struct.pack(order + "HH", code, len(value)) + pad(value)


def block(order, kind, body):
    assert len(body) % 4 == 0
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def section(order="<", options=b""):
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + options)


def interface(order, linktype, snaplen=0, options=b""):
    return block(order, 1, struct.pack(order + "HHI", linktype, 0, snaplen) + options)


def enhanced(order, number, ticks, data, original=None, options=b""):
    return block(order, 6, struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), original or len(data))
                 + pad(data) + options)


def simple(order, data, original=None):
    return block(order, 3, struct.pack(order + "I", original or len(data)) + pad(data))


def obsolete(order, number, ticks, data):
    return block(order, 2, struct.pack(order + "HHIIII", number, 0xFFFF, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
                 + pad(data))


# ------------------------------------------------------------------ compression that the standard library lacks

def xxh32(data, seed=0):
    """xxHash32, which closes every LZ4 frame header."""
    p1, p2, p3, p4, p5, m = 2654435761, 2246822519, 3266489917, 668265263, 374761393, 0xFFFFFFFF
    rotate = lambda x, r: (x << r | x >> (32 - r)) & m
    if len(data) >= 16:
        raise ValueError("only short inputs are needed here")
    h = (seed + p5 + len(data)) & m
    i = 0
    while i + 4 <= len(data):
        h = rotate((h + struct.unpack_from("<I", data, i)[0] * p3) & m, 17) * p4 & m
        i += 4
    for b in data[i:]:
        h = rotate((h + b * p5) & m, 11) * p1 & m
    h = (h ^ h >> 15) * p2 & m
    h = (h ^ h >> 13) * p3 & m
    return h ^ h >> 16


def lz4_frame(data):
    """An LZ4 frame of stored blocks."""
    descriptor = bytes([0x60, 0x40])  # version 1, independent blocks; blocks of at most 64 KiB
    out = struct.pack("<I", 0x184D2204) + descriptor + bytes([xxh32(descriptor) >> 8 & 0xFF])
    for i in range(0, len(data), 65536):
        part = data[i:i + 65536]
        out += struct.pack("<I", 0x80000000 | len(part)) + part
    return out + struct.pack("<I", 0)


def zstd_frame(data):
    """A Zstandard frame of raw blocks."""
    out = struct.pack("<I", 0xFD2FB528) + bytes([0x00, 0x38])  # no checksum, no size; window 128 KiB
    parts = [data[i:i + 65536] for i in range(0, len(data), 65536)] or [b""]
    for n, part in enumerate(parts):
        out += struct.pack("<I", len(part) << 3 | (1 if n == len(parts) - 1 else 0))[:3] + part
    return out


def zstd_skippable(data):
    return struct.pack("<II", 0x184D2A50, len(data)) + data
