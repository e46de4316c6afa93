# SPDX-License-Identifier: BSD-2-Clause
"""Clients that misbehave, and days on which the machine is short of something (CASES.md): aborts in every phase, churn, clients
that ask and do not read, a thousand at once, few descriptors, a docroot that is gone. What it cost is given back."""
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client import PROTOCOLS, BadResponse, Connection, Ended, connect, trusting
from h2client import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, SETTINGS, block, frame, head
from recorder import Recorder
from server import WEIR, Server, instrumented, wait_for

CONFIG = """
threads: 2
limits: { timeouts: { header: 5s, body: 5s, send: 5s, idle: 30s } }
sites:
  - { listen: "http://127.0.0.1:$port", root: root }
  - { listen: "http://127.0.0.1:$port2", proxy: "127.0.0.1:$backend" }
"""
BIG = 16 << 20


@pytest.fixture(scope="module")
def server():
    recorder = Recorder()
    made = Server(CONFIG, values={"backend": recorder.port}, secure=True)
    made.recorder = recorder
    (made.root / "a.txt").write_text("a", encoding="utf-8")
    (made.root / "big.bin").write_bytes(b"b" * BIG)
    with made:
        yield made
    recorder.close()


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid):
    """Resident memory in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor(pid):
    """Processor time used, in seconds."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def alive(port):
    with Connection(port) as connection:
        return connection.get("/a.txt", fields={"Connection": "close"}).status == 200


PHASES = [
    b"", b"G", b"GET /a.txt HTTP/1.1\r\nHo", b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
    b"POST /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
    b"POST /a.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n",
    b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\nGET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n",
    b"garbage\r\n\r\n" + b"z" * 1000,
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"z" * 200000,
]


BEGUN = PREFACE + frame(SETTINGS)
GET = frame(HEADERS, END_HEADERS | END_STREAM, 1, block(head("GET", "/big.bin")))
POST = frame(HEADERS, END_HEADERS, 1, block(head("POST", "/a", ("content-length", "1000000"))))
PHASES_OF_H2 = [
    b"", PREFACE[:10], PREFACE, BEGUN, BEGUN + GET[:12], BEGUN + GET, BEGUN + GET + frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), BEGUN + POST,
    BEGUN + POST + frame(DATA, 0, 1, b"z" * 16000)[:9000], BEGUN + POST + frame(DATA, 0, 1, b"z" * 16000) * 4,
    BEGUN + frame(HEADERS, 0, 1, block(head("GET", "/a.txt"))), BEGUN + frame(DATA, 0, 1, b"garbage"),
]


def raw(server, port, proto):
    """A connection of which the octets are ours; TLS is finished."""
    if proto in ("h1", "h2c"):
        return Connection(server.ports[port])
    return Connection(server.ports[port + "_tls"], tls=trusting("h2" if proto == "h2" else "http/1.1"))


@pytest.mark.parametrize("port", ["port", "port2"])
def test_aborts_in_every_phase(server, port, proto):
    """A reset or an end, at once or after a moment, in each phase of a request; then every descriptor is back."""
    assert alive(server.port) and alive(server.ports["port2"])
    before = descriptors(server.worker())
    chance = random.Random(7)
    for _ in range(12):
        for phase in PHASES_OF_H2 if proto in ("h2", "h2c") else PHASES:
            connection = raw(server, port, proto)
            try:
                connection.send(phase, seconds=1)
            except Ended:
                pass
            if chance.random() < 0.5:
                connection.fill(chance.choice([0, 0.002]))
            if chance.random() < 0.3:
                connection.half_close()
            if chance.random() < 0.5:
                connection.reset()
            else:
                connection.close()
    assert alive(server.port)
    # Kept connections to the backend may be more than before.
    wait_for(lambda: descriptors(server.worker()) <= before + 20, 8,
        f"descriptors back to {before}, now {descriptors(server.worker())}")


def test_churn(server):
    """1,600 connections with a request each, ended by reset: no descriptor and no memory is lost."""
    def run(number):
        with connect(server.port, PROTOCOLS[number % len(PROTOCOLS)]) as connection:
            connection.request("/a.txt")
            if connection.buffer or connection.fill(2):
                pass
            connection.reset()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(400)))
        before, memory = descriptors(server.worker()), resident(server.worker())
        list(pool.map(run, range(1600)))
    wait_for(lambda: descriptors(server.worker()) <= before + 5, 5, "descriptors back")
    assert resident(server.worker()) < memory + (8 << 20) or instrumented()  # a sanitizer keeps what was freed
    assert alive(server.port)


def test_asking_without_reading(server):
    """A million pipelined requests and not one answer read: weir stops reading, its memory stays."""
    memory = resident(server.worker())
    with Connection(server.port) as connection:
        connection.socket.setsockopt(1, 8, 4096)
        sent = 0
        data = b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
        try:
            for _ in range(1000):
                view = memoryview(data)
                end = time.monotonic() + 0.3
                while view and time.monotonic() < end:
                    try:
                        view = view[connection.socket.send(view):]
                    except BlockingIOError:
                        time.sleep(0.005)
                if view:
                    break
                sent += len(data)
        except OSError:
            pass
        assert sent < 1000 * len(data), "weir read a million requests of a client that reads nothing"
        assert resident(server.worker()) < memory + (16 << 20)
        assert alive(server.port)


def test_not_reading_large_files(server):
    """A hundred clients that ask for 16 MiB and read nothing: no memory for it."""
    memory = resident(server.worker())
    connections = []
    try:
        for number in range(100):
            connection = connect(server.port, PROTOCOLS[number % len(PROTOCOLS)], narrow=4096)
            connection.request("/big.bin")
            connections.append(connection)
        assert alive(server.port)
        assert resident(server.worker()) < memory + (32 << 20)
    finally:
        for connection in connections:
            connection.close()


def test_a_thousand_at_once(server):
    """All are served, none is refused; some with TLS, some over HTTP/2."""
    mixed = ["h1"] * 12 + list(PROTOCOLS)
    connections = [connect(server.port, mixed[number % len(mixed)]) for number in range(800)]
    try:
        for connection in connections:
            connection.request("/a.txt")
        assert all(connection.read().body == b"a" for connection in connections)
        memory = resident(server.worker())
        idle = processor(server.worker())
        time.sleep(0.5)
        assert processor(server.worker()) - idle < 0.2, "idle connections cost time"
        assert memory < 200 << 20 or instrumented()  # a sanitizer keeps what was freed
        for connection in connections:
            connection.request("/a.txt")
        assert all(connection.read().body == b"a" for connection in connections)
    finally:
        for connection in connections:
            connection.close()


def test_few_descriptors():
    """100 descriptors and 300 clients: no crash, no spinning; who was connected goes on; afterwards all is well."""
    server = Server('threads: 1\nsites:\n  - { listen: "http://127.0.0.1:$port", root: root }\n')
    server.command = ["prlimit", "--nofile=100:100", WEIR, "run", "-c", str(server.file)]
    (server.root / "a.txt").write_text("a", encoding="utf-8")
    for number in range(100):
        (server.root / f"{number}.txt").write_text(f"{number}", encoding="utf-8")
    with server:
        kept = Connection(server.port)
        assert kept.get("/a.txt").status == 200
        crowd = [Connection(server.port) for _ in range(300)]
        try:
            for connection in crowd:
                connection.request("/1.txt")
            time.sleep(0.3)
            used = processor(server.worker())
            time.sleep(1)
            assert processor(server.worker()) - used < 0.5, "spinning without descriptors"
            if not kept.ended and not kept.fill(0):
                try:
                    assert kept.get("/a.txt").status in (200, 503)
                except Ended:
                    assert kept.ended, "a kept connection hangs"
        finally:
            kept.close()
            for connection in crowd:
                connection.close()
        wait_for(lambda: alive(server.port), 5, "service after the crowd has gone")
        with Connection(server.port) as connection:
            for number in range(100):
                assert connection.get(f"/{number}.txt").body == str(number).encode()


def test_docroot_gone_and_back(weir, proto):
    """404 while it is away (never a crash, never old content), the files again when it is back."""
    server = weir('sites:\n  - { listen: "http://127.0.0.1:$port", root: root }\n', secure=True)
    (server.root / "a.txt").write_text("a", encoding="utf-8")
    with connect(server.port) as connection:
        for _ in range(3):
            assert connection.get("/a.txt").status == 200
            os.rename(server.root, server.folder / "away")
            assert connection.get("/a.txt").status in (404, 403, 500, 503)
            os.rename(server.folder / "away", server.root)
            assert connection.get("/a.txt").body == b"a"


def test_random_cuts_of_good_traffic(server):
    """Good pipelined traffic cut at random places by the client: what was whole before the cut may be answered, the rest not."""
    data = b"".join(b"GET /a.txt HTTP/1.1\r\nHost: x\r\nX: %d\r\n\r\n" % number for number in range(20))
    one = len(data) // 20
    chance = random.Random(11)
    for _ in range(150):
        cut = chance.randrange(len(data))
        with Connection(server.port) as connection:
            connection.send(data[:cut])
            connection.half_close()
            try:
                responses, ended = connection.drain(seconds=3)
            except BadResponse as fault:
                raise AssertionError(f"cut at {cut}: {fault}") from None
            assert ended, f"cut at {cut}: not ended"
            good = [response for response in responses if response.status == 200]
            assert len(good) <= cut // (one - 2) + 1
            assert len(responses) - len(good) <= 1
