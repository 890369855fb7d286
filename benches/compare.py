#!/usr/bin/env python3
"""Measures wsscan as a whole program, against others and against its own promises, and writes RESULTS.md.

    python3 benches/compare.py            everything, 1 GiB captures (about an hour, 6 GiB of disk)
    python3 benches/compare.py --long     and one of 10 GiB (12 GiB of disk)
    python3 benches/compare.py --quick    16 MiB captures, one run each: proves that all of it still works

Every figure is taken in turn with those it is compared with: one round runs every program once, then the next round
begins, and medians of the rounds are shown. Captures are in the page cache, output goes to /dev/null. tshark gets
slower the longer the capture is, so it is compared on a shorter one, which wsscan reads right before it. Needs python3,
cargo, and tshark and tcpdump for their columns. Nothing else may run meanwhile if the figures are to mean anything.

Exit status: 0; 1 if a promise of correctness is broken (counts, same output for any number of threads, frames that
were never sent); 2 if something could not be run; with --check-goals, 3 if a goal of speed or memory is missed, which
otherwise is only reported.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import statistics
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SHAPES = ["ticks", "binary", "upload", "churn", "noise", "deflate", "lossy", "wss", "wss-large"]
FIELDS = ["frame.number", "tcp.stream", "websocket.fin", "websocket.opcode", "websocket.mask",
          "websocket.payload_length", "websocket.payload_length_ext_16", "websocket.payload_length_ext_64"]
OPCODES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
COUNTS = ["frames", "messages", "bytes", "text", "binary", "continuation", "ping", "pong", "close"]
MIB = 1 << 20

# Goals of speed, as ratios of figures taken in turn, on all cores. One core alone reaches at least ONE_CORE of each.
TCPDUMP_TIMES = {"ticks": 2.0, "binary": 2.0, "upload": 2.0, "noise": 2.0, "churn": 1.0, "lossy": 1.0}
TSHARK_TIMES = {"ticks": 200, "churn": 200}
TSHARK_TIMES_REST = 100
ONE_CORE = 1 / 3
INFLATE_SHARE = 0.7      # the whole program on compressed messages, of the inflate library alone on as many cores
NDJSON_TIMES = 3.0       # a line per frame costs at most so many times the time of the document
LINEAR = 1.4             # time per packet of the longest capture, of that of a tenth of it
GROWTH = 1.1             # memory for a capture ten times as long, same number of connections
LIBRARY_SHARE = 0.7      # a room reaches this share of the library it calls


class Trouble(Exception):
    """Something could not be run."""


# ---- running programs

# What the kernel reports as a child's peak memory includes that of the process which started it. So a small process
# starts them: it reads NUL-separated commands, one per line, and answers with status, wall and CPU seconds, peak KiB.
STARTER = """
import os, sys, time
null = os.open("/dev/null", os.O_RDWR)
for line in sys.stdin.buffer:
    command = line[:-1].split(b"\\0")
    started = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=[
        (os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1)])
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - started
    print(os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, flush=True)
"""
starter = None


def run(command):
    """Runs a program to its end: (wall seconds, CPU seconds, peak RSS in MiB)."""
    global starter
    if starter is None:
        starter = subprocess.Popen([sys.executable, "-I", "-S", "-c", STARTER], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
    starter.stdin.write(b"\0".join(os.fsencode(part) for part in command) + b"\n")
    starter.stdin.flush()
    answer = starter.stdout.readline().split()
    if not answer or int(answer[0]) != 0:
        raise Trouble(f"{' '.join(command)}: exit status {int(answer[0]) if answer else 'unknown'}")
    return float(answer[1]), float(answer[2]), int(answer[3]) / 1024


def digest(command):
    """SHA-256 of what a program writes to stdout, and how many lines."""
    sha, lines = hashlib.sha256(), 0
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        while chunk := process.stdout.read(MIB):
            sha.update(chunk)
            lines += chunk.count(b"\n")
    if process.returncode != 0:
        raise Trouble(f"{' '.join(command)}: exit status {process.returncode}")
    return sha.hexdigest(), lines


def apart(function, *arguments):
    """Calls a function in a child process, so that what it needs does not count as memory of later children."""
    sys.stdout.flush()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            answer = {"value": function(*arguments)}
        except Exception as error:  # noqa: BLE001 - handed to the parent
            answer = {"error": f"{type(error).__name__}: {error}"}
        with os.fdopen(write, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    answer = json.loads(text) if text else {"error": "the child died"}
    if "error" in answer:
        raise Trouble(answer["error"])
    return answer["value"]


def in_turn(rounds, programs, say):
    """Runs every program once per round. Returns per name (median seconds, spread, peak RSS).

    A program is a command, or a function that returns what `run` does.
    """
    taken = {name: [] for name in programs}
    for number in range(rounds):
        for name, command in programs.items():
            taken[name].append(command() if callable(command) else run(command))
        say(f"round {number + 1} of {rounds}")
    return {name: {"seconds": statistics.median(t[0] for t in times),
                   "spread": max(t[0] for t in times) / min(t[0] for t in times),
                   "cpu": statistics.median(t[1] for t in times),
                   "rss": max(t[2] for t in times)} for name, times in taken.items()}


# ---- captures

class Bench:
    """Paths, options, and what was found."""

    def __init__(self, options):
        self.options = options
        self.data = options.data
        self.wsscan = options.wsscan or os.path.join(ROOT, "target", "release", "wsscan")
        self.workload = os.path.join(ROOT, "target", "release", "examples", "workload")
        self.inflate = os.path.join(ROOT, "target", "release", "examples", "inflate")
        self.tshark = shutil.which("tshark")
        self.tcpdump = shutil.which("tcpdump")
        self.cores = os.cpu_count() or 1
        self.threads = sorted({1, 2, self.cores} if self.cores > 1 else {1})
        self.broken = []
        self.promises = []
        self.goals = []
        self.sections = []

    def say(self, text):
        print(f"\r\033[K{text}" if sys.stderr.isatty() else text, end="\n", file=sys.stderr, flush=True)

    def capture(self, shape, size, extra=(), name=None):
        """Generates a capture and reads it once. Returns its path."""
        path = os.path.join(self.data, name or f"{shape}-{size}.pcap")
        command = [self.workload, shape, "--bytes", str(size), "--seed", str(self.options.seed), "-o", path, *extra]
        run(command)
        self.warm(path)
        return path

    @staticmethod
    def warm(path):
        with open(path, "rb", buffering=0) as file:
            while file.read(4 * MIB):
                pass

    @staticmethod
    def forget(path):
        """Removes a capture and what lies beside it."""
        for suffix in ("", ".truth.json", ".keys", ".frames"):
            if os.path.exists(path + suffix):
                os.remove(path + suffix)

    @staticmethod
    def truth(path):
        with open(path + ".truth.json") as file:
            return json.load(file)

    def command(self, path, *extra, threads=None):
        keys = ["-k", path + ".keys"] if os.path.exists(path + ".keys") else []
        limit = ["--threads", str(threads)] if threads else []
        return [self.wsscan, "-r", path, *keys, *limit, *extra]

    def tshark_command(self, path):
        keys = ["-o", f"tls.keylog_file:{path}.keys"] if os.path.exists(path + ".keys") else []
        fields = [part for field in FIELDS for part in ("-e", field)]
        return [self.tshark, "-n", "-r", path, *keys, "-Y", "websocket", "-T", "fields", *fields]

    def inflate_alone(self, path, threads, order):
        """A program for `in_turn`: the inflate library on the messages of a capture, reading it not counted."""
        def program():
            text = subprocess.run([self.inflate, path, "--threads", str(threads)], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, check=True).stdout
            return json.loads(text)[order], 0.0, 0.0
        return program

    def at_least(self, text, goal, reached, unit="x"):
        """A goal that is met from `goal` upward."""
        self.goal(text, f"≥ {goal:.2f}{unit}", f"{reached:.2f}{unit}", reached >= goal)

    def at_most(self, text, goal, reached, unit="x"):
        """A goal that is met up to `goal`."""
        self.goal(text, f"≤ {goal:.2f}{unit}", f"{reached:.2f}{unit}", reached <= goal)

    def goal(self, text, goal, reached, met):
        """A goal of speed or memory: not judged on captures so small that most of the time is for starting."""
        self.goals.append((text, goal, reached, None if self.options.quick else met))

    def promise(self, text, kept):
        """A promise of correctness."""
        self.promises.append((text, kept))
        if not kept:
            self.broken.append(text)
            self.say(f"BROKEN: {text}")


def speed(path, seconds):
    """MB/s of capture."""
    return os.path.getsize(path) / 1e6 / seconds


def figure(value):
    return "–" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(value):
    return "–" if value is None else f"{value:.0f}x" if value >= 20 else f"{value:.2f}x"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]) + "\n"


# ---- what is measured

def peers(bench):
    """Against cat, tcpdump, tshark and the inflate library, every shape, one and more threads."""
    options, cores = bench.options, bench.cores
    speeds, beside, memory, inflated = [], [], [], []
    for shape in options.shapes:
        bench.say(f"{shape}: writing {options.bytes // MIB} MiB")
        path = bench.capture(shape, options.bytes)
        programs = {"cat": ["cat", path]}
        if bench.tcpdump:
            programs["tcpdump"] = [bench.tcpdump, "-r", path, "-w", "/dev/null"]
        for threads in bench.threads:
            programs[f"wsscan {threads}"] = bench.command(path, "--json", threads=threads)
        if shape == "deflate":
            for threads in bench.threads:
                programs[f"inflate {threads}"] = bench.inflate_alone(path, threads, "seconds")
                programs[f"in turn {threads}"] = bench.inflate_alone(path, threads, "in_capture_order")
        taken = in_turn(options.runs, programs, lambda text, shape=shape: bench.say(f"{shape}: {text}"))
        reached = {name: speed(path, one["seconds"]) for name, one in taken.items()}
        sums = {threads: digest(bench.command(path, "--json", threads=threads)) for threads in bench.threads}
        bench.promise(f"{shape}: the same {options.bytes // MIB} MiB document for {bench.threads} threads",
                      len(set(sums.values())) == 1)
        bench.forget(path)
        dump = reached.get("tcpdump")
        times = {threads: reached[f"wsscan {threads}"] / dump if dump else None for threads in bench.threads}
        speeds.append([shape, figure(reached["cat"]), figure(dump),
                       *(figure(reached[f"wsscan {threads}"]) for threads in bench.threads),
                       *(ratio(times[threads]) for threads in bench.threads),
                       f"{max(t['spread'] for n, t in taken.items() if n.startswith('wsscan')):.2f}"])
        goal = TCPDUMP_TIMES.get(shape)
        if dump and goal:
            bench.at_least(f"{shape}: times tcpdump, all cores", goal, times[cores])
            bench.at_least(f"{shape}: times tcpdump, one core", goal * ONE_CORE, times[1])
        if shape == "deflate":
            for threads in bench.threads:
                share = reached[f"wsscan {threads}"] / reached[f"inflate {threads}"]
                in_order = reached[f"wsscan {threads}"] / reached[f"in turn {threads}"]
                inflated.append([threads, *(figure(reached[f"{name} {threads}"])
                                            for name in ("wsscan", "inflate", "in turn")),
                                 f"{share:.2f}", f"{in_order:.2f}"])
                if threads in (1, cores):
                    bench.at_least(f"deflate: share of the inflate library alone, {threads} threads each",
                                   INFLATE_SHARE, share, "")

        tshark = None
        if bench.tshark:
            cut = bench.capture(shape, options.tshark_bytes)
            bench.say(f"{shape}: tshark on {options.tshark_bytes // MIB} MiB")
            # Not right behind tshark: whoever comes then waits while the kernel takes back what tshark held.
            both = in_turn(options.runs, {"wsscan": bench.command(cut, "--json", threads=cores),
                                          "one core": bench.command(cut, "--json", threads=1)}, lambda _: None)
            both |= in_turn(options.tshark_runs, {"tshark": bench.tshark_command(cut)}, lambda _: None)
            tshark = both["tshark"]["rss"]
            times = {name: both["tshark"]["seconds"] / both[name]["seconds"] for name in ("wsscan", "one core")}
            beside.append([shape, *(figure(speed(cut, both[name]["seconds"]))
                                    for name in ("tshark", "one core", "wsscan")),
                           ratio(times["one core"]), ratio(times["wsscan"])])
            bench.forget(cut)
            goal = TSHARK_TIMES.get(shape, TSHARK_TIMES_REST)
            bench.at_least(f"{shape}: times tshark, all cores", goal, times["wsscan"])
            bench.at_least(f"{shape}: times tshark, one core", goal * ONE_CORE, times["one core"])
        memory.append([shape, figure(taken["tcpdump"]["rss"] if dump else None),
                       f"{figure(tshark)} ({options.tshark_bytes // MIB} MiB)" if tshark else "–",
                       *(figure(taken[f"wsscan {threads}"]["rss"]) for threads in bench.threads)])
    columns = [f"wsscan {threads} thr." for threads in bench.threads]
    bench.sections.append(f"## MB/s of capture, {options.bytes // MIB} MiB each\n\n" + table(
        ["shape", "cat", "tcpdump -w", *columns, *(f"{threads} thr. / tcpdump" for threads in bench.threads),
         "max/min of wsscan's runs"], speeds))
    if inflated:
        bench.sections.append("## Compressed messages: MB/s of capture\n\n" + table(
            ["threads", "wsscan", "library alone", "library alone, capture order", "wsscan / library",
             "wsscan / library, capture order"], inflated)
            + "\nThe library alone inflates the same messages from memory, one window per direction, output "
              "overwritten; connections are spread over as many threads. It takes one connection after another, whose "
              "window stays in the cache (this is the one that counts), or all of them in turn, as they are in the "
              "capture.\n")
    if beside:
        bench.sections.append(f"## Beside tshark -T fields: MB/s of capture, {options.tshark_bytes // MIB} MiB each\n\n"
                              + table(["shape", "tshark", "wsscan 1 thr.", f"wsscan {cores} thr.", "1 thr. / tshark",
                                       f"{cores} thr. / tshark"], beside)
                              + "\ntshark keeps state for every packet and gets slower the longer the capture is; "
                                "all three read the same one here.\n")
    bench.sections.append("## Peak memory, MiB\n\n" + table(["shape", "tcpdump", "tshark", *columns], memory))


def document_counts(command):
    """Sums over the connections of the JSON document."""
    text = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout
    document = json.loads(text)
    sums = {side: dict.fromkeys(COUNTS, 0) for side in ("client", "server")}
    outcomes, accepted = {}, 0
    for connection in document["connections"]:
        outcomes[connection["outcome"]] = outcomes.get(connection["outcome"], 0) + 1
        websocket = connection.get("websocket")
        if websocket is None:
            continue
        accepted += websocket["upgrade"] == "accepted"
        for side, sent in sums.items():
            for name in COUNTS:
                sent[name] += websocket[side][name]
    return {"packets": document["capture"]["packets"], "tcp_connections": document["capture"]["tcp_connections"],
            "attempts": len(document["connections"]), "websockets": accepted, "outcomes": outcomes, **sums}


def tshark_counts(command):
    """Frames by opcode as tshark counts them, both sides together."""
    counts = {}
    at = FIELDS.index("websocket.opcode")
    output = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            text=True, check=True).stdout
    for line in output.splitlines():
        for opcode in line.split("\t")[at].split(","):
            counts[opcode] = counts.get(opcode, 0) + 1
    return counts


def differences(truth, found, lossy):
    """Where the document departs from the truth."""
    wrong = []
    for name in ("packets", "tcp_connections", "attempts", "websockets"):
        if truth[name] != found[name]:
            wrong.append(f"{name} {found[name]} instead of {truth[name]}")
    if not lossy:
        if truth["outcomes"] != found["outcomes"]:
            wrong.append(f"outcomes {found['outcomes']} instead of {truth['outcomes']}")
        for side in ("client", "server"):
            wrong += [f"{side} {name} {found[side][name]} instead of {truth[side][name]}"
                      for name in COUNTS if truth[side][name] != found[side][name]]
    return wrong


def invented(command, list_path):
    """Holds the frames of the event stream against the list of those that were sent.

    Per connection and side, what is told must be found in what was sent, in order; frames of which header bytes are
    missing cannot be told. Returns [told, found, whole in the capture].
    """
    sent, whole = {}, 0
    with open(list_path) as file:
        next(file)
        for line in file:
            stream, side, fin, rsv, opcode, length, state = line.rstrip("\n").split(",")
            whole += state == "whole"
            if state != "header_gap":
                frame = (int(fin), int(rsv), int(opcode), int(length))
                sent.setdefault((int(stream), side), []).append(frame)
    told, found, places = 0, 0, {}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] != "frame":
                continue
            told += 1
            key = event["tcp_stream"], event["from"]
            frame = (int(event["fin"]), event["rsv"], event["opcode"], event["length"])
            frames = sent.get(key, [])
            place = places.get(key, 0)
            while place < len(frames) and frames[place] != frame:
                place += 1
            if place < len(frames):
                found += 1
                places[key] = place + 1
    return [told, found, whole]


def correctness(bench):
    """Counts against the truth, tshark as a second opinion, threads, and frames that were never sent."""
    rows = []
    for shape in bench.options.shapes:
        bench.say(f"{shape}: counting")
        name = f"check-{shape}.pcap"
        frames = os.path.join(bench.data, name + ".frames")
        path = bench.capture(shape, bench.options.check_bytes, ["--frame-list", frames], name)
        truth = bench.truth(path)
        lossy = shape == "lossy"
        found = apart(document_counts, bench.command(path, "--json"))
        wrong = differences(truth, found, lossy)
        bench.promise(f"{shape}: counts equal the truth" + (f" ({'; '.join(wrong[:4])})" if wrong else ""), not wrong)

        sums = {digest(bench.command(path, "--json", threads=threads))[0] for threads in (1, 2, 4, 8)}
        bench.promise(f"{shape}: the same document for 1, 2, 4 and 8 threads", len(sums) == 1)
        events = {digest(bench.command(path, "--ndjson", "--events", "frame", threads=threads))[0]
                  for threads in (1, 2, 4, 8)}
        bench.promise(f"{shape}: the same events for 1, 2, 4 and 8 threads", len(events) == 1)

        told, real, whole = apart(invented, bench.command(path, "--ndjson", "--events", "frame"), frames)
        bench.promise(f"{shape}: every frame told was sent ({told - real} were not)", told == real)
        if not lossy:
            bench.promise(f"{shape}: every frame sent was told ({told} of {whole})", told == whole)
        phantom = "–"
        if bench.tshark:
            small = bench.capture(shape, min(bench.options.check_bytes, 10 * MIB), name=f"cut-{shape}.pcap")
            counts = apart(tshark_counts, bench.tshark_command(small))
            expected = bench.truth(small)
            wanted = {str(code): expected["client"][name] + expected["server"][name] for code, name in OPCODES.items()}
            agrees = all(counts.get(code, 0) == count for code, count in wanted.items())
            agrees = agrees and not set(counts) - set(wanted)
            phantom = "yes" if agrees else f"no: {sum(counts.values())} frames for {sum(wanted.values())}"
            bench.forget(small)
        rows.append([shape, truth["packets"], truth["tcp_connections"], truth["websockets"],
                     truth["client"]["frames"] + truth["server"]["frames"], told, told - real, phantom,
                     "yes" if not wrong else "no"])
        bench.forget(path)
    bench.sections.append(
        f"## Counts ({bench.options.check_bytes // MIB} MiB each)\n\n" + table(
            ["shape", "packets", "TCP connections", "WebSockets", "frames sent", "frames told", "told but never sent",
             "tshark agrees with the truth", "wsscan does"], rows)
        + "\nLossy: 0.1 % of the packets are missing and the frames in them cannot be told; that is why fewer are told "
          "than were sent.\n")


def outputs(bench):
    """What it costs to write what was found: the report, the document, a line per frame or message."""
    rows = []
    for shape in [s for s in ("ticks", "binary", "churn") if s in bench.options.shapes]:
        path = bench.capture(shape, bench.options.scale_bytes // (4 if shape == "churn" else 1))
        kinds = {"report": [], "document": ["--json"], "frames": ["--ndjson", "--events", "frame"],
                 "messages": ["--ndjson", "--events", "message"]}
        programs = {name: bench.command(path, *flags, threads=1) for name, flags in kinds.items()}
        programs["frames, all"] = bench.command(path, *kinds["frames"])
        taken = in_turn(bench.options.runs, programs, lambda text, shape=shape: bench.say(f"{shape} outputs: {text}"))
        count = sum(bench.truth(path)[side]["frames"] for side in ("client", "server"))
        base = taken["document"]["seconds"]
        cost = taken["frames"]["seconds"] / base
        written = [apart(written_bytes, programs[name]) / os.path.getsize(path) for name in ("document", "frames")]
        rows.append([shape, *(figure(speed(path, taken[name]["seconds"])) for name in programs), ratio(cost),
                     figure((taken["frames"]["seconds"] - base) * 1e9 / count), *(f"{share:.3f}" for share in written),
                     " / ".join(figure(taken[name]["rss"]) for name in kinds)])
        if shape != "churn":
            bench.at_most(f"{shape}: time for a line per frame, of that for the document", NDJSON_TIMES, cost)
        bench.forget(path)
    bench.sections.append("## What is written, and what it costs (MB/s of capture, one thread unless said)\n\n" + table(
        ["shape", "report", "document", "line per frame", "line per message", f"line per frame, {bench.cores} thr.",
         "frames / document, time", "ns per frame", "document bytes per capture byte", "frame lines likewise",
         "peak MiB (report / document / frames / messages)"], rows))


def written_bytes(command):
    """How much a program writes to stdout."""
    total = 0
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        while chunk := process.stdout.read(MIB):
            total += len(chunk)
    return total


def once(bench, path, rounds, threads=1):
    """wsscan alone on a capture: what `in_turn` says of it."""
    return in_turn(rounds, {"wsscan": bench.command(path, "--json", threads=threads)}, lambda _: None)["wsscan"]


def scale(bench):
    """Time over two orders of magnitude of packets and of connections, memory over the length of the capture."""
    options = bench.options
    rows = []
    sizes = [options.scale_bytes // 100, options.scale_bytes // 10, options.scale_bytes]
    for shape in [s for s in ("ticks", "churn", "deflate") if s in options.shapes]:
        costs, memory = [], []
        for size in sizes:
            path = bench.capture(shape, size, ["--connections", "100"])
            truth = bench.truth(path)
            repeat = max(1, min(9, options.scale_bytes // size))
            taken = once(bench, path, max(options.runs, repeat))
            unit = truth["tcp_connections" if shape == "churn" else "packets"]
            costs.append(taken["seconds"] / unit)
            memory.append(taken["rss"])
            rows.append([shape, f"{size / MIB:.4g}", truth["packets"], truth["tcp_connections"],
                         figure(taken["seconds"] * 1e3), figure(taken["seconds"] * 1e9 / truth["packets"]),
                         figure(taken["seconds"] * 1e6 / truth["tcp_connections"]),
                         figure(speed(path, taken["seconds"])), figure(taken["rss"])])
            bench.forget(path)
            bench.say(f"{shape}: {size // MIB} MiB: {taken['seconds']:.2f} s, {memory[-1]:.0f} MiB")
        # The shortest takes a few milliseconds, most of them for starting: it may be slower, not faster.
        what = "connection" if shape == "churn" else "packet"
        bench.at_most(f"{shape}: time per {what} in the longest capture, of the least in those a tenth and a hundredth "
                      "as long", LINEAR, costs[-1] / min(costs))
        if shape != "churn":
            bench.at_most(f"{shape}: memory for {sizes[-1] // MIB} MiB, of that for {sizes[-2] // MIB} MiB", GROWTH,
                          memory[-1] / memory[-2])
    bench.sections.append(
        "## Two orders of magnitude, one thread, 100 connections at a time\n\n"
        + table(["shape", "MiB", "packets", "connections", "ms", "ns per packet", "µs per connection", "MB/s",
                 "peak MiB"], rows)
        + "\nChurn has a new connection every two kilobytes, each of which is in the document: its memory may grow.\n")

    rows = []
    for shape in [s for s in ("ticks", "deflate") if s in options.shapes]:
        cells = []
        counts = [10, 100, 1000, 10_000] if not options.quick else [10, 100, 1000]
        for count in counts:
            path = bench.capture(shape, options.scale_bytes // 16, ["--connections", str(count)])
            taken = once(bench, path, options.runs)
            cells.append(f"{figure(speed(path, taken['seconds']))} / {figure(taken['rss'])}")
            bench.forget(path)
        rows.append([shape, *cells])
    bench.sections.append(
        f"## Connections at a time: MB/s / peak MiB, one thread, {options.scale_bytes // 16 // MIB} MiB\n\n"
        + table(["shape", *(str(count) for count in counts)], rows))


def repeat(source, target, times):
    """Writes a capture that holds another one so many times, each time later: the same ports, new connections."""
    with open(source, "rb") as file:
        data = file.read()
    header, at, first, last, fields = data[:24], 24, None, 0, []
    while at < len(data):
        seconds, fraction, captured = struct.unpack_from("<III", data, at)
        first = seconds if first is None else first
        last = max(last, seconds)
        fields.append((at, fraction, captured))
        at += 16 + captured
    with open(target, "wb") as file:
        file.write(header)
        for number in range(times):
            copy = bytearray(data[24:])
            # So much later that the books on what went before are closed.
            shift = number * (last - first + 60)
            for place, _, _ in fields:
                (seconds,) = struct.unpack_from("<I", data, place)
                struct.pack_into("<I", copy, place - 24, seconds + shift)
            file.write(copy)


def memory(bench):
    """What a connection costs while it lives and once it is over: the difference between N of them and 2N."""
    options = bench.options
    rows = []
    plain, compressed = (500, 250) if options.quick else (8000, 4000)
    # So many bytes that everything a connection may hold is held: windows are full.
    kinds = [("plain", "ticks", plain, 8 << 10), ("compressed", "deflate", compressed, 64 << 10)]
    for what, shape, count, each in kinds:
        if shape not in options.shapes:
            continue
        peaks = []
        for number in (count, 2 * count):
            path = bench.capture(shape, number * each, ["--connections", str(number)])
            peaks.append(once(bench, path, options.runs)["rss"])
            bench.forget(path)
            bench.say(f"{number} {what} connections at a time: {peaks[-1]:.0f} MiB")
        rows.append(per_connection(f"live, {what}", count, peaks))

        # One after the other: a few at a time, which are over when the next ones come.
        few, times = (50, 4) if options.quick else (500, 8)
        path = bench.capture(shape, few * (each // 4), ["--connections", str(few)])
        peaks, counts = [], []
        for number in (times, 2 * times):
            copies = os.path.join(bench.data, "copies.pcap")
            apart(repeat, path, copies, number)
            bench.warm(copies)
            peaks.append(once(bench, copies, options.runs)["rss"])
            counts.append(few * number)
            bench.forget(copies)
            bench.say(f"{counts[-1]} {what} connections one after the other: {peaks[-1]:.0f} MiB")
        bench.forget(path)
        rows.append(per_connection(f"over, {what}", counts[0], peaks))
    if "churn" in options.shapes:
        peaks, counts = [], []
        for size in (options.scale_bytes // 10, options.scale_bytes // 5):
            path = bench.capture("churn", size, ["--connections", "100"])
            counts.append(bench.truth(path)["tcp_connections"])
            peaks.append(once(bench, path, options.runs)["rss"])
            bench.forget(path)
        rows.append(per_connection("over, of every kind (churn)", counts[0], peaks, counts[1] - counts[0]))
    bench.sections.append(
        "## Memory per connection, one thread\n\n"
        + table(["connections", "N", "peak MiB, N", "peak MiB, 2N", "KiB per connection", "GiB for a million"], rows)
        + "\nPeaks of the resident memory of the whole program; a connection is the difference divided by N, a million "
          "is that times a million and what there is without connections. An idle compressed connection is reduced to "
          "its windows after some seconds; here none is idle.\n")


def per_connection(what, count, peaks, more=None):
    """A row of the table of memory."""
    each = (peaks[1] - peaks[0]) / (more or count)
    base = peaks[0] - each * count
    return [what, count, figure(peaks[0]), figure(peaks[1]), f"{each * 1024:.2f}",
            figure((base + each * 1_000_000) / 1024)]


def long(bench):
    """Small messages for ten times as long, same number of connections: memory and speed stay."""
    options = bench.options
    rows, peaks = [], {}
    sizes = [options.long_bytes, 10 * options.long_bytes]
    for size in sizes:
        bench.say(f"ticks: writing {size // MIB} MiB")
        path = bench.capture("ticks", size, ["--connections", "300"])
        truth = bench.truth(path)
        for threads in sorted({1, bench.cores}):
            taken = once(bench, path, max(1, min(3, options.runs)), threads)
            peaks[size, threads] = taken["rss"]
            rows.append([f"{size / MIB:.4g}", truth["packets"], truth["tcp_connections"], threads,
                         figure(speed(path, taken["seconds"])), f"{taken['rss']:.1f}"])
        bench.forget(path)
    for threads in sorted({1, bench.cores}):
        bench.at_most(f"ticks: memory for {sizes[1] // MIB} MiB, of that for {sizes[0] // MIB} MiB, {threads} threads",
                      GROWTH, peaks[sizes[1], threads] / peaks[sizes[0], threads])
    bench.sections.append("## Ten times as long, as many connections\n\n" + table(
        ["MiB", "packets", "connections", "threads", "MB/s", "peak MiB"], rows)
        + "\nA capture that does not fit into the page cache is read from disk.\n")


def bench_tree(text):
    """Reads divan's table: {name or name/argument: the fastest run, in MB/s}."""
    factors = {"B": 1e-6, "KB": 1e-3, "MB": 1.0, "GB": 1e3, "TB": 1e6}
    found, group, name = {}, None, None
    for line in text.splitlines():
        head = re.match(r"^(│  |   )?[├╰]─ (\S+)", line)
        if head:
            name = f"{group}/{head[2]}" if head[1] else head[2]
            group = group if head[1] else head[2]
        cells = [cell.strip() for cell in line.split("│")]
        rates = [re.search(r"([\d.]+) ([KMGT]?B)/s$", cell) for cell in cells]
        rates = [float(rate[1]) * factors[rate[2]] for rate in rates if rate]
        if name and len(rates) >= 3 and name not in found:
            found[name] = rates[0]
    return found


def components(bench):
    """Rooms against the libraries they call."""
    bench.say("components")
    command = ["cargo", "bench", "--locked", "--bench", "components", "--"]
    text = subprocess.run([*command, "--min-time", "1", "--max-time", "3"], cwd=ROOT, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    found = bench_tree(text)
    rows = []
    for name, rate in sorted(found.items()):
        room, _, argument = name.partition("/")
        alone = found.get(f"{room}_alone" + (f"/{argument}" if argument else ""))
        if alone:
            rows.append([name, figure(rate), figure(alone), f"{rate / alone:.2f}"])
            bench.at_least(f"{name}: share of the library alone", LIBRARY_SHARE, rate / alone, "")
    bench.sections.append("## Rooms and the libraries they call, one core, fastest run, MB/s of the wire\n\n"
                          + table(["room", "in wsscan", "library alone", "share"], rows))
    bench.sections.append("<details><summary>All rooms</summary>\n\n```text\n" + text.strip() + "\n```\n\n</details>\n")


# ---- the report

def version(command):
    """The first line that looks like a version."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return next(line.strip() for line in done.stdout.splitlines() if re.search(r"\d+\.\d+", line))
    except (OSError, StopIteration):
        return "not found"


def machine(bench):
    """What was measured, and on what."""
    model = "unknown processor"
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
            model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True, check=False).stdout.strip() or "unknown"
    options = bench.options
    return table(["", ""], [
        ["date", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())],
        ["machine", f"{model}, {bench.cores} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"],
        ["load before", " ".join(f"{value:.2f}" for value in bench.load)],
        ["wsscan", f"{version([bench.wsscan, '--version'])}, commit {commit}"],
        ["rustc", version(["rustc", "--version"])],
        ["tshark", version(["tshark", "--version"])],
        ["tcpdump", version(["tcpdump", "--version"])],
        ["command", f"`python3 benches/compare.py {' '.join(sys.argv[1:])}`".replace(" `", "`")],
        ["captures", f"{options.bytes // MIB} MiB each, beside tshark {options.tshark_bytes // MIB} MiB, "
                     f"seed {options.seed}, {options.runs} rounds"],
    ])


def report(bench):
    kept = sum(1 for _, kept in bench.promises if kept)
    met = sum(1 for *_, met in bench.goals if met)
    lines = ["# Results", "", "Written by `benches/compare.py`; do not edit. Figures are medians of programs run in turn, "
             "captures in the page cache, output to /dev/null. On a machine that others use, differences below about "
             "1.4x mean nothing.", "", machine(bench), *bench.sections,
             f"## Correctness: {kept} of {len(bench.promises)} promises kept", ""]
    lines += [f"- [{'x' if kept else ' '}] {text}" for text, kept in bench.promises]
    judged = "not judged on small captures" if bench.options.quick else f"{met} of {len(bench.goals)} met"
    yes = {True: "yes", False: "**no**", None: "–"}
    lines += ["", f"## Goals of speed and memory: {judged}", "",
              table(["goal", "wanted", "reached", "met"],
                    [[text, goal, reached, yes[met]] for text, goal, reached, met in bench.goals])]
    text = "\n".join(lines) + "\n"
    with open(bench.options.output, "w") as file:
        file.write(text)
    return text


def size(text):
    """A size in bytes; K, M and G are powers of 1024."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text.upper())
    if not match:
        raise argparse.ArgumentTypeError(f"{text} is not a size")
    return int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog="See the head of the file.")
    parser.add_argument("--quick", action="store_true", help="small captures, one round: does everything still work?")
    parser.add_argument("--bytes", type=size, help="size of the captures (1G; quick: 16M)")
    parser.add_argument("--tshark-bytes", type=size, help="size of those for tshark (256M; quick: 2M)")
    parser.add_argument("--check-bytes", type=size, help="size of those that are counted (48M; quick: 4M)")
    parser.add_argument("--scale-bytes", type=size, help="size of the longest for linearity (1600M; quick: 16M)")
    parser.add_argument("--long", action="store_true", help="memory and speed on a capture ten times as long, too")
    parser.add_argument("--long-bytes", type=size, help="a tenth of that one (1G; quick: 16M)")
    parser.add_argument("--check-goals", action="store_true", help="exit status 3 if a goal of speed is missed")
    parser.add_argument("--runs", type=int, help="rounds (5; quick: 1)")
    parser.add_argument("--tshark-runs", type=int, help="rounds of tshark (2; quick: 1)")
    parser.add_argument("--shapes", type=lambda text: text.split(","), default=SHAPES, help="comma-separated")
    parser.add_argument("--only", type=lambda text: text.split(","), default=None,
                        help="parts: correctness,peers,outputs,scale,memory,long,components")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", default=os.path.join(ROOT, "bench-data"), help="where captures go (bench-data)")
    parser.add_argument("--output", help="the report (benches/RESULTS.md; quick: bench-data/RESULTS.md)")
    parser.add_argument("--wsscan", help="the program; built if not given")
    options = parser.parse_args()
    usual = {"bytes": (1 << 30, 16 * MIB), "tshark_bytes": (256 * MIB, 2 * MIB), "check_bytes": (48 * MIB, 4 * MIB),
             "scale_bytes": (1600 * MIB, 16 * MIB), "long_bytes": (1 << 30, 16 * MIB), "runs": (5, 1),
             "tshark_runs": (2, 1),
             "output": (os.path.join(HERE, "RESULTS.md"), os.path.join(options.data, "RESULTS.md"))}
    for name, (full, quick) in usual.items():
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else full)
    return options


def main():
    options = arguments()
    bench = Bench(options)
    bench.load = os.getloadavg()
    os.makedirs(options.data, exist_ok=True)
    parts = {"correctness": correctness, "peers": peers, "outputs": outputs, "scale": scale, "memory": memory,
             "long": long, "components": components}
    # Compiling the component benchmarks takes longer than everything else in quick mode.
    left_out = {"components"} if options.quick else set()
    wanted = options.only or [name for name in parts if name not in left_out and (name != "long" or options.long)]
    try:
        build = ["cargo", "build", "--release", "--locked", "--example", "workload", "--example", "inflate"]
        subprocess.run(build if options.wsscan else [*build, "--bins"], cwd=ROOT, check=True)
        for name in wanted:
            parts[name](bench)
    except (Trouble, OSError, KeyError, ValueError, subprocess.CalledProcessError) as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2
    print(report(bench))
    if bench.broken:
        return 1
    return 3 if options.check_goals and any(met is False for *_, met in bench.goals) else 0


if __name__ == "__main__":
    sys.exit(main())
