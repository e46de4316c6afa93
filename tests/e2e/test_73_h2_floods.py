# SPDX-License-Identifier: BSD-2-Clause
"""Who uses HTTP/2 to make work (CASES.md: CVE-2019-9511 to -9518, CVE-2023-44487, CVE-2024-27316, CVE-2025-8671): what it costs is
bounded, the connection ends, another client is answered meanwhile. And who uses much of it honestly, which is let alone."""
import struct
import threading
import time

import pytest

from client import Ended
from h2client import *
from h2stage import CONFIG, INDEX, PIECE, SCRIPTED, Stage, ended, lives
from origin import hang
from server import wait_for
from streams import Memory

MIB = 1 << 20
SHORT = CONFIG.replace("header: 20s, body: 20s, idle: 60s, send: 20s", "header: 1s, body: 1s, idle: 1s, send: 1s")


@pytest.fixture(scope="module")
def short():
    """Time-outs of a second."""
    with Stage(SHORT) as stage:
        yield stage


class Neighbour(threading.Thread):
    """Another client, which asks again and again while the flood goes on."""

    def __init__(self, stage):
        super().__init__(daemon=True)
        self.stage, self.count, self.fault, self.done = stage, 0, None, threading.Event()

    def run(self):
        try:
            with self.stage.open(seconds=10) as c:
                while not self.done.is_set():
                    assert c.get("/").body == INDEX
                    self.count += 1
                    self.done.wait(0.01)
        except Exception as fault:  # told by the test that runs beside it
            self.fault = fault

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        least = self.count + 2
        end = time.monotonic() + 10
        while self.count < least and not self.fault and time.monotonic() < end:
            time.sleep(0.01)
        self.done.set()
        self.join(15)
        assert self.fault is None and self.count >= least, f"a neighbour was answered {self.count} times; {self.fault!r}"


def poured(c, pieces, seconds=60):
    """Sends it all, or until the server ends it; what it answers is thrown away. How many octets went out."""
    sent, stop = 0, time.monotonic() + seconds
    for piece in pieces:
        if time.monotonic() > stop:
            break
        try:
            if not c.send(piece, 10):
                break
        except Ended:
            break
        sent += len(piece)
        c.fill(0)
        if c.ended:
            break
        if len(c.buffer) > 1 << 16:
            scan(c)
            if c.goaway and c.goaway[1]:
                break
    return sent


def scan(c):
    """Passes over frames without obeying them: a GOAWAY alone is noted."""
    while len(c.buffer) >= 9:
        size = int.from_bytes(c.buffer[:3], "big")
        if len(c.buffer) < 9 + size:
            return
        if c.buffer[3] == GOAWAY:
            last, code = struct.unpack(">LL", c.buffer[9:17])
            c.goaway = (last & TOP, code, c.buffer[17:9 + size])
        c.buffer = c.buffer[9 + size:]


def finished(c, seconds=10):
    """Does the server end the connection?"""
    stop = time.monotonic() + seconds
    while not c.ended and time.monotonic() < stop:
        c.fill(0.1)
        scan(c)
    return c.ended


def many(piece, count, batch=100):
    for _ in range(0, count, batch):
        yield piece * batch


def numbered(make, count, batch=50, first=1):
    for start in range(0, count, batch):
        yield b"".join(make(first + 2 * number) for number in range(start, min(count, start + batch)))


def get(stream, end=True, path="/mib.bin", method="GET"):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(head(method, path)))


FLOODS = {
    "rapid reset of files": lambda: numbered(lambda n: get(n) + frame(RST_STREAM, 0, n, b"\0\0\0\x08"), 20000),
    "rapid reset of a backend": lambda: numbered(lambda n: get(n, path="/x") + frame(RST_STREAM, 0, n, b"\0\0\0\x08"), 20000),
    "rapid reset of posts": lambda: numbered(lambda n: get(n, False, "/x", "POST") + frame(RST_STREAM, 0, n, b"\0\0\0\x08"), 20000),
    "made you reset, by window": lambda: numbered(lambda n: get(n) + frame(WINDOW_UPDATE, 0, n, bytes(4)), 20000),
    "made you reset, by window's top": lambda: numbered(lambda n: get(n) + frame(WINDOW_UPDATE, 0, n, struct.pack(">L", TOP)), 20000),
    "made you reset, by data": lambda: numbered(lambda n: get(n, path="/x") + frame(DATA, END_STREAM, n, b"x"), 20000),
    "made you reset, by length": lambda: numbered(
        lambda n: frame(HEADERS, END_HEADERS, n, block(head("POST", "/x", ("content-length", "1")))) + frame(DATA, END_STREAM, n, b"xx"), 20000),
    "made you reset, by priority": lambda: numbered(lambda n: get(n) + frame(PRIORITY, 0, n, bytes(4)), 20000),
    "malformed heads": lambda: numbered(lambda n: frame(HEADERS, 5, n, block(head(path="/x y"))), 20000),
    "upper case names": lambda: numbered(lambda n: frame(HEADERS, 5, n, block(head("GET", "/x", ("X-A", "1")))), 20000),
    "continuation": lambda: [frame(HEADERS, END_STREAM, 1, block(head())), *many(frame(CONTINUATION, 0, 1, literal("x-a", "y" * 16000)), 20000, 1)],
    "continuation without payload": lambda: [frame(HEADERS, END_STREAM, 1, block(head())), *many(frame(CONTINUATION, 0, 1), 200000, 1000)],
    "continuation of one octet": lambda: [frame(HEADERS, END_STREAM, 1, block(head())), *many(frame(CONTINUATION, 0, 1, b"\x90"), 200000, 1000)],
    "continuation of trailers": lambda: [get(1, False, "/x", "POST"), frame(HEADERS, END_STREAM, 1, literal("x-a", "1")),
                                         *many(frame(CONTINUATION, 0, 1, literal("x-a", "y" * 16000)), 20000, 1)],
    "ping": lambda: many(frame(PING, 0, 0, b"12345678"), 200000, 1000),
    "settings": lambda: many(frame(SETTINGS), 200000, 1000),
    "settings, full": lambda: many(frame(SETTINGS, 0, 0, settings([(INITIAL_WINDOW_SIZE, 65535)] * 1000)), 20000, 10),
    "empty data": lambda: [get(1, False, "/x", "POST"), *many(frame(DATA, 0, 1), 500000, 1000)],
    "padding alone": lambda: [get(1, False, "/x", "POST"), *many(frame(DATA, PADDED, 1, b"\0"), 500000, 1000)],
    "unknown frames": None,  # see below: legal, and so let through, but another client is served meanwhile
    "priority": lambda: numbered(lambda n: frame(PRIORITY, 0, n % 2000, b"\0\0\0\0\x0f"), 200000, 1000),
    "window of the connection": lambda: many(frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"), 200000, 1000),
    "window of a stream": lambda: [get(1, False, "/x", "POST"), *many(frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"), 200000, 1000)],
    "priority update": lambda: numbered(lambda n: frame(PRIORITY_UPDATE, 0, 0, struct.pack(">L", n) + b"u=1"), 200000, 1000),
    "zero-length fields": lambda: numbered(lambda n: frame(HEADERS, 5, n, block(head()) + literal("", "") * 5000), 200),
    "header bomb": lambda: bomb(),
    "header list without end": lambda: numbered(lambda n: frame(HEADERS, 1, n, block(head()) + literal("x-a", "y" * 16000))
                                                + frame(CONTINUATION, 0, n, literal("x-a", "y" * 16000)) * 100, 1),
    "reset of closed streams": lambda: [get(1), *many(frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), 200000, 1000)],
}
# Where what is sent is legal and cheap, it is enough that it is bounded and that others are served.
MAY_LIVE = {"priority", "window of the connection", "window of a stream", "reset of closed streams", "malformed heads", "upper case names", "priority update"}


def bomb():
    """HPACK: one entry of 4,000 octets, named 16,000 times by one octet each: 64 MB from a frame of 16 KB (CVE-2016-1544)."""
    first = block(head()) + literal("x-bomb", "y" * 4000, 0x40)
    yield frame(HEADERS, 5, 1, first)
    yield from numbered(lambda n: frame(HEADERS, 5, n, block(head()) + b"\xbe" * 16000), 100, 1, 3)


@pytest.mark.parametrize("name", [name for name in FLOODS if FLOODS[name]])
def test_flood(h2stage, name):
    h2stage.recorder.take()
    with Memory(h2stage.weir.worker()) as memory, Neighbour(h2stage):
        with h2stage.open(auto=None) as c:
            poured(c, FLOODS[name]())
            if name not in MAY_LIVE:
                assert finished(c), "it goes on"
            else:
                finished(c, 1)
    memory.within(memory.before + 48 * MIB)
    if "backend" in name or "posts" in name:
        assert len(h2stage.recorder.take()) < 3000, "the backend feels it"
    h2stage.unharmed()


def test_flood_of_unknown_frames(h2stage):
    """They are ignored by rule (5.5); so much of them that nothing else comes costs others nothing."""
    with Memory(h2stage.weir.worker()) as memory, Neighbour(h2stage), h2stage.open(auto=None) as c:
        poured(c, many(frame(0x42, 0, 0, b"x" * 100), 100000, 500))
    memory.within(memory.before + 48 * MIB)
    h2stage.unharmed()


def test_answers_that_nobody_reads(h2stage):
    """CVE-2019-9515 and the like: pings and settings whose answers pile up, for the client never reads."""
    with Memory(h2stage.weir.worker()) as memory, Neighbour(h2stage), h2stage.open(auto=None) as c:
        c.socket.setblocking(True)
        c.socket.settimeout(5)
        try:
            for _ in range(3000):
                c.socket.sendall((frame(PING, 0, 0, b"12345678") + frame(SETTINGS)) * 500)
        except OSError:
            pass
        c.socket.setblocking(False)
        assert finished(c), "it answers without end"
    memory.within(memory.before + 48 * MIB)
    h2stage.unharmed()


@pytest.mark.parametrize("window", [0, 1])
def test_slow_read(short, window):
    """CVE-2019-9511, -9517: a hundred long answers, a window of nothing or one octet, and nothing more: they end, and hold little meanwhile."""
    with Memory(short.weir.worker()) as memory, Neighbour(short), short.open(options={INITIAL_WINDOW_SIZE: window}, auto=False) as c:
        streams = [c.start("/big.bin") for _ in range(100)]
        stop = time.monotonic() + 10
        while not (c.ended or all(c.streams[stream].over for stream in streams)) and time.monotonic() < stop:
            c.take(0.2)
        assert c.ended or c.goaway or all(c.streams[stream].over for stream in streams), "they stay"
    memory.within(memory.before + 48 * MIB)
    short.unharmed()


def test_slow_read_of_a_backend(short):
    """The same with what comes from a backend: it is not asked for more than is passed on."""
    from streams import down
    short.origin.scripts["down"] = down
    with Memory(short.weir.worker()) as memory, short.open(SCRIPTED, options={INITIAL_WINDOW_SIZE: 1}, auto=False) as c:
        streams = [c.start("/down/length/64") for _ in range(20)]
        c.until(lambda: c.ended or c.goaway or all(c.streams[stream].over for stream in streams), 15, "their end")
    memory.within(memory.before + 48 * MIB)
    wait_for(lambda: not short.origin.peers, 10, "the backend's connections to end")


def test_stalled_bodies(short):
    """Announced, and never sent: each ends, by 408 or RST_STREAM, and the backend is not kept busy."""
    with short.open() as c:
        streams = [c.headers(head("POST", "/x", ("content-length", "10")), end=False) for _ in range(100)]
        for stream in streams:
            c.data(stream, b"x", end=False)
        c.until(lambda: c.ended or c.goaway or all(c.streams[stream].over for stream in streams), 10, "the streams' end")
    short.unharmed()


def test_stalled_head(short):
    with short.open() as c:
        c.headers(head(), flags=0)
        assert ended(c, 10)


def test_head_by_drops(short):
    """An octet of a frame now and then is no head: the time goes on (slowloris)."""
    with short.open() as c:
        packed = frame(HEADERS, 5, 1, block(head("GET", "/", ("x-a", "y" * 200))))
        start = time.monotonic()
        for octet in packed:
            if not c.send(bytes([octet])) or c.ended or time.monotonic() > start + 8:
                break
            c.fill(0.1)
        assert finished(c, 5) and time.monotonic() < start + 8


@pytest.mark.parametrize("sent", [b"", PREFACE[:10], PREFACE, PREFACE + frame(SETTINGS)[:5]], ids=["nothing", "half", "preface", "settings"])
def test_stalled_preface(short, sent):
    with short.open(preface=False) as c:
        c.send(sent)
        assert c.wait_end(10)


def test_idle(short):
    """GOAWAY with NO_ERROR, so that the client knows that nothing was lost."""
    with short.open() as c:
        assert c.get("/ten.txt").status == 200
        assert ended(c, 10) == "fin" and c.goaway and c.goaway[1] == NO_ERROR


@pytest.mark.parametrize("requests,code", [(0, ENHANCE_YOUR_CALM), (1, NO_ERROR)])
def test_pings_keep_nobody(short, requests, code):
    """A connection without requests is idle, whatever is pinged, now and then."""
    with short.open() as c:
        for _ in range(requests):
            assert c.get("/ten.txt").status == 200
        stop = time.monotonic() + 10
        while not c.ended and time.monotonic() < stop and c.send(frame(PING, 0, 0, b"12345678")):
            c.pings.append(b"12345678")
            pause = time.monotonic() + 0.2
            while not c.ended and time.monotonic() < pause:
                c.take(pause - time.monotonic())
        assert ended(c, 1) and time.monotonic() < stop and c.goaway[1] == code


# --- Honest ones ---

def test_a_player_that_seeks(h2stage):
    """A film in ranges, each given up as the user moves on: 300 times."""
    with h2stage.open(seconds=20) as c:
        for number in range(300):
            stream = c.start("/big.bin", fields={"range": f"bytes={number * 20000}-"})
            c.until(lambda: c.streams[stream].count > 1000)
            c.rst(stream)
        assert c.goaway is None
        lives(c)


def test_a_page_that_is_left(h2stage):
    """A hundred requests begun and all given up at once, ten times, with pages that are read between."""
    with h2stage.open(seconds=20) as c:
        for _ in range(10):
            streams = [c.start("/mib.bin") for _ in range(60)]
            c.until(lambda: any(c.streams[stream].body for stream in streams))
            for stream in streams:
                c.rst(stream)
            for _ in range(10):
                assert c.get("/").body == INDEX
        lives(c)


def test_a_hundred_downloads(h2stage):
    with h2stage.open(seconds=60) as c:
        streams = [c.start("/big.bin") for _ in range(100)]
        for stream in streams:
            c.streams[stream].kept = False
        for stream in streams:
            c.until(lambda: c.streams[stream].over, 60)
            assert c.streams[stream].whole and c.streams[stream].count == 8 << 20
        lives(c)


def test_a_reader_with_small_windows(h2stage):
    """A WINDOW_UPDATE for every few thousand octets is how some clients work."""
    with h2stage.open(options={INITIAL_WINDOW_SIZE: 4096}, auto=False, seconds=20) as c:
        stream = c.start("/mib.bin")
        held = c.streams[stream]
        while not held.over:
            c.take(5)
            if not held.over and held.window < 2048:
                c.update(stream, 4096 - held.window)
            if c.window < 32768:
                c.update(0, 32768)
        assert bytes(held.body) == PIECE and c.goaway is None


def test_uploads_in_small_frames(h2stage):
    """A form in frames of a few octets, pings between."""
    with h2stage.open(SCRIPTED, seconds=20) as c:
        stream = c.headers(head("POST", "/digest"), end=False)
        for number in range(3000):
            c.upload(stream, b"0123456789", end=False)
            if number % 300 == 0:
                c.alive()
        c.data(stream)
        assert c.response(stream).body.decode().split("\n")[1] == "30000"


def test_many_requests(h2stage):
    """Ten thousand on one connection, fifty at once."""
    with h2stage.open(seconds=60) as c:
        for _ in range(200):
            for stream in [c.start("/ten.txt") for _ in range(50)]:
                assert c.response(stream).body == b"0123456789"
        assert c.goaway is None
