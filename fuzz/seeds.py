#!/usr/bin/env python3
"""Cuts the captures of this repository into seeds for the fuzz targets: seeds.py [FOLDER]

Writes FOLDER/TARGET/NAME (default: corpus/ beside this file, which is not committed). Standard library only; what it
cannot read it leaves out.
"""
import hashlib
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CAPTURES = os.path.join(os.path.dirname(HERE), "captures")
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "corpus")
# The link types a packet seed can name, by their place in the list of fuzz_targets/packet.rs.
LINKS = [1, 0, 9, 12, 14, 50, 51, 101, 104, 108, 113, 228, 229, 276, 105]
LARGEST = 16_000


def put(target, data):
    if not data or len(data) > LARGEST:
        return
    folder = os.path.join(OUT, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, hashlib.sha1(data).hexdigest()), "wb") as f:
        f.write(data)


def packets(data):
    """(link type, bytes) of a plain pcap file."""
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}.get(data[:4])
    if order is None:
        return
    link = struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF
    at = 24
    while at + 16 <= len(data):
        captured = struct.unpack_from(order + "I", data, at + 8)[0]
        yield link, data[at + 16:at + 16 + captured]
        at += 16 + captured


def segment(link, data):
    """(connection and direction, sequence, flags, payload) of a TCP segment over plain Ethernet or Linux cooked."""
    at = {1: 14, 113: 16, 276: 20, 0: 4, 101: 0}.get(link)
    if at is None or len(data) < at + 20:
        return None
    version = data[at] >> 4
    if version == 4 and data[at + 9] == 6:
        addresses, end = data[at + 12:at + 20], at + struct.unpack_from(">H", data, at + 2)[0]
        at += (data[at] & 15) * 4
    elif version == 6 and data[at + 6] == 6:
        addresses, end = data[at + 8:at + 40], at + 40 + struct.unpack_from(">H", data, at + 4)[0]
        at += 40
    else:
        return None
    if len(data) < at + 20:
        return None
    source, destination, sequence = struct.unpack_from(">HHI", data, at)
    return (addresses, source, destination), sequence, data[at + 13], data[at + (data[at + 12] >> 4) * 4:end]


def streams(records):
    """The bytes of every direction, as far as they come in order."""
    found, expected = {}, {}
    for link, data in records:
        one = segment(link, data)
        if one is None:
            continue
        key, sequence, flags, payload = one
        if flags & 2:
            expected[key], found[key] = (sequence + 1) & 0xFFFFFFFF, bytearray()
        if payload and expected.get(key, sequence) == sequence:
            found.setdefault(key, bytearray()).extend(payload)
            expected[key] = (sequence + len(payload)) & 0xFFFFFFFF
    return [bytes(b) for b in found.values() if b]


def tcp_dialogues(records):
    """Every connection as fuzz_targets/tcp.rs reads it."""
    found = {}
    for link, data in records:
        one = segment(link, data)
        if one is None:
            continue
        (addresses, source, destination), sequence, flags, payload = one
        half = len(addresses) // 2
        ends = ((addresses[:half], source), (addresses[half:], destination))
        first, dialogue = found.setdefault(tuple(sorted(ends)), (ends[0], bytearray()))
        captured = payload[:255]
        dialogue += struct.pack(">BBIIHBB", int(ends[0] != first), flags, sequence, 0, 1000, len(captured),
                                min(len(payload) - len(captured), 255)) + captured
    return [bytes(dialogue) for _, dialogue in found.values()]


def tls_messages(stream):
    """Handshake messages that travel in the open, and the certificates among them."""
    handshake, at = b"", 0
    while at + 5 <= len(stream) and stream[at] in (20, 21, 22, 23):
        length = struct.unpack_from(">H", stream, at + 3)[0]
        if stream[at] == 22:
            handshake += stream[at + 5:at + 5 + length]
        at += 5 + length
    at = 0
    while at + 4 <= len(handshake):
        length = int.from_bytes(handshake[at + 1:at + 4], "big")
        message = handshake[at:at + 4 + length]
        if len(message) < 4 + length:
            return
        put("tls_handshake", message)
        if message[0] == 11:
            inner = 7
            while inner + 3 <= len(message):
                size = int.from_bytes(message[inner:inner + 3], "big")
                put("certificate", message[inner + 3:inner + 3 + size])
                inner += 3 + size
        at += 4 + length


def messages(stream):
    """Unfragmented data messages of a WebSocket without compression, as fuzz_targets/subprotocol.rs reads them."""
    at, dialogue = 0, b""
    while at + 2 <= len(stream) and stream[at] in (0x81, 0x82, 0x88, 0x89, 0x8A):
        opcode, masked, length = stream[at] & 15, stream[at + 1] >> 7, stream[at + 1] & 127
        at += 2
        if length == 127:
            break
        if length == 126:
            if at + 2 > len(stream):
                break
            length = struct.unpack_from(">H", stream, at)[0]
            at += 2
        key = stream[at:at + 4] if masked else b"\0\0\0\0"
        at += 4 * masked
        if len(key) < 4:
            break
        if opcode < 8:
            plain = bytes(byte ^ key[i & 3] for i, byte in enumerate(stream[at:at + min(length, 255)]))
            dialogue += bytes([(1 - masked) | (opcode == 2) * 2 | (length > 255) * 8, len(plain)]) + plain
        at += length
    return dialogue


def http2_blocks(stream):
    """Header blocks of an HTTP/2 stream in the clear."""
    at = 24 if stream.startswith(b"PRI * HTTP/2.0") else 0
    while at + 9 <= len(stream):
        length, kind, flags = int.from_bytes(stream[at:at + 3], "big"), stream[at + 3], stream[at + 4]
        payload = stream[at + 9:at + 9 + length]
        if kind == 1:
            padding = payload[0] if flags & 8 and payload else 0
            start = (1 if flags & 8 else 0) + (5 if flags & 32 else 0)
            put("hpack", payload[start:len(payload) - padding])
        at += 9 + length


def main():
    for name in sorted(os.listdir(CAPTURES)):
        folder = os.path.join(CAPTURES, name)
        if not os.path.isdir(folder):
            continue
        for file in os.listdir(folder):
            if not file.startswith("capture."):
                continue
            with open(os.path.join(folder, file), "rb") as f:
                data = f.read()
            put("capture", b"\xff" + data)
            records = list(packets(data))
            sequence = b""
            for link, bytes_ in records:
                if link in LINKS and len(bytes_) < 65536:
                    sequence += struct.pack(">BBH", LINKS.index(link), 0, len(bytes_)) + bytes_
            put("packet", sequence[:LARGEST])
            for sequence in tcp_dialogues(records):
                put("tcp", sequence[:LARGEST])
            for stream in streams(records):
                if stream[0] in (20, 21, 22, 23) and stream[1:2] == b"\x03":
                    put("tls_record", stream)
                    tls_messages(stream)
                elif stream.startswith(b"PRI * HTTP/2.0") or (len(stream) > 9 and stream[3] == 4 and stream[0] == 0):
                    put("http2", stream)
                    http2_blocks(stream)
                elif stream[:4] in (b"GET ", b"HTTP", b"CONN", b"POST"):
                    head, _, body = stream.partition(b"\r\n\r\n")
                    put("http", stream)
                    if b"upgrade" in head.lower() or b" 101 " in head[:16]:
                        put("websocket", body)
                        put("subprotocol", messages(body)[:LARGEST])


if __name__ == "__main__":
    main()
