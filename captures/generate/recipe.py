"""What a recipe is: a function that makes a capture, and the helpers that most recipes share."""
from wire import *

RECIPES = {}

# What healthy traffic must never be told. An exact rule counts at any severity, a pattern from warning upward.
NO_ALARM = ["WSA*", "WSC602", "WSC603", "WSC604", "WSC608", "WSC609", "WSC611", "WSD*", "WSF*", "WSH*", "WSI001", "WSI002",
            "WSI003", "WSI005", "WSK*", "WSL*", "WSN*", "WSO*", "WSP*", "WSR*", "WST*", "WSX*"]
CLEAN_CAUSES = ["none", "WSC601", "WSC605", "WSC606", "WSC607", "WSC610"]


def recipe(name):
    def register(function):
        RECIPES[name] = function
        return function
    return register


def without(rules, *allowed):
    return [r for r in rules if r not in allowed]


def ends(code=1000, **more):
    """A connection with a whole closing handshake."""
    return {"outcome": ["closed_clean"], "client_code": [code], "server_code": [code],
            "close": {"client_code": code, "server_code": code}, **more}


class Capture:
    """What a recipe makes."""

    def __init__(self, story, packets=None, data=None, file="capture.pcap", truth=(), **expected):
        self.story, self.truth, self.file = story, list(truth), file
        self.packets = packets
        self.data = data if data is not None else pcap(packets)
        self.expected = {"file": file, "connections": {}, "root_cause_any": None, "must_find": [], "must_not_find": [],
                         "may_find": [], "healthy": False, **expected}


def healthy(story, packets, connections, **more):
    more.setdefault("must_not_find", NO_ALARM)
    more.setdefault("may_find", [r for r in CLEAN_CAUSES if r != "none"])
    more.setdefault("root_cause_any", CLEAN_CAUSES)
    return Capture(story, packets, connections=connections, healthy=True, **more)


def in_time(*conversations):
    """All packets of several conversations, in the order of their times."""
    return sorted((p for c in conversations for p in c.packets), key=lambda p: p.at)


def retime(packets):
    """After packets changed places: times that never run backwards, as a capture has them."""
    times = sorted(p.at for p in packets)
    for p, at in zip(packets, times):
        p.at = at
    return packets


def frames_of(packets):
    """The frames in the order of the packets that carry them, each with its packet number."""
    return [f.truth(n) for n, p in enumerate(packets, 1) for f in p.frames]


def by_packet(conversation, packets):
    """Frames of one conversation inside a capture of several."""
    return [f.truth(n) for n, p in enumerate(packets, 1) if p in conversation.packets for f in p.frames]


def swap(packets, first, second):
    packets = list(packets)
    i, j = packets.index(first), packets.index(second)
    packets[i], packets[j] = packets[j], packets[i]
    return retime(packets)


class Tale:
    """Several connections, one after the other, each with what must be said about it: makes a lean `expected.json`.

    The evidence of a finding is given as Packets and written as their numbers in the finished capture.
    """

    def __init__(self, gap=SECOND):
        self.conversations, self.wanted, self.truth, self.gap = [], [], [], gap

    def __len__(self):
        return len(self.conversations)

    def begin(self, server=("198.51.100.20", 8080), client=None, **options):
        """The next connection, after its TCP handshake."""
        c = self.conversation(server, client, **options)
        return c.open()

    def conversation(self, server=("198.51.100.20", 8080), client=None, **options):
        """The next connection, before its first packet."""
        n = len(self)
        options.setdefault("start", BASE_TIME + n * self.gap)
        c = conversation(client=client or ("192.0.2.10", 47000 + n), server=server, isn=(10_000 * n + 1, 50_000 * n + 7), **options)
        c.key = base64.b64encode(b"wsscan-rule-%04d" % n).decode()
        self.conversations.append(c)
        self.wanted.append(None)  # nothing, unless `want` says so
        return c

    def want(self, c, truth, frames=True, **wanted):
        """What is true about a connection, in words and as an expectation."""
        n = self.conversations.index(c)
        self.truth.append(f"TCP stream {n}: {truth}")
        self.wanted[n] = (wanted, frames)

    def capture(self, story, tempting, data=None, more=(), **expected):
        packets = sorted([p for c in self.conversations for p in c.packets] + list(more), key=lambda p: p.at)
        numbers = {id(p): n for n, p in enumerate(packets, 1)}

        def numbered(value):
            if isinstance(value, list):
                return [numbered(one) for one in value]
            return {**value, "packets": sorted({numbers[id(p)] for p in value["packets"]})} if "packets" in value else value

        connections = {}
        for n, c in enumerate(self.conversations):
            if self.wanted[n] is None:
                continue
            wanted, frames = self.wanted[n]
            for name in ("root_cause", "must_find"):
                if name in wanted:
                    wanted[name] = numbered(wanted[name])
            if frames and any(p.frames for p in c.packets):
                wanted["frames"] = by_packet(c, packets)
            connections[str(n)] = wanted
        capture = Capture(story, packets, data=data, truth=self.truth)
        capture.expected = {"file": capture.file, "connections": connections,
                            "tempting": [{"rule": rule, "why": why} for rule, why in tempting],
                            **{k: numbered(v) if k == "must_find" else v for k, v in expected.items()}}
        return capture


def finding(rule, *packets, confidence="proven", severity="error"):
    """What must be found, with its evidence; `confidence` and `severity` may be lists of accepted ones."""
    several = lambda value: [value] if isinstance(value, str) else list(value)
    return {"rule": several(rule), "confidence": several(confidence), "severity": several(severity), "packets": list(packets)}


NO_CAUSE = {"rule": "none"}


def closed_well(code=1000, root_cause=NO_CAUSE, **more):
    """A whole closing handshake; nothing is wrong unless `root_cause` says so, and no alarm may name the connection."""
    return ends(code, root_cause=root_cause, **more)


def upgrade_failed(root_cause, **more):
    """An attempt that never became a WebSocket."""
    return {"outcome": ["upgrade_failed"], "client_code": [1006], "server_code": [None],
            "close": {"client_code": "absent", "server_code": "absent"}, "root_cause": root_cause, **more}


def cut_off(root_cause, **more):
    """A WebSocket that ended without any Close."""
    return {"outcome": ["closed_abnormal"], "client_code": [1006], "server_code": [1006],
            "close": {"client_code": "absent", "server_code": "absent"}, "root_cause": root_cause, **more}
