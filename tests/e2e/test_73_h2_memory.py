# SPDX-License-Identifier: BSD-2-Clause
"""What peers of HTTP/2 that do not read, and backends that do not, make weir keep: little (DESIGN §3: "bounded memory")."""
import contextlib
import resource
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from h2client import (ACK, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, PREFACE, SETTINGS, WINDOW, WINDOW_UPDATE, block, frame, head,
    settings)
from origin import Origin
from server import features
from streams import MIB, Memory, down

CONFIG = """
threads: 1
limits: { body_size: 10G, min_rate: 0, $many timeouts: { header: 10s, body: 60s, idle: 60s, send: 60s } }
upstreams:
  app: { servers: ["$origin"], timeouts: { connect: 2s, response: 60s, idle: 20s } }
sites:
  - { listen: "http://127.0.0.1:$port", proxy: app }
"""
PIECES = 300


def client_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


class Staller:
    """Begins requests on a connection: uploads as fast as it may, or downloads that it does not read."""

    def __init__(self, port, target, streams, context=None, window=1 << 24):
        plain = socket.create_connection(("127.0.0.1", port))
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        self.socket = context.wrap_socket(plain) if context else plain
        self.upload = target == "/stalled"
        self.initial, self.room, self.rooms, self.got, self.sent = WINDOW, WINDOW, {}, b"", 0
        self.out = PREFACE + frame(SETTINGS, 0, 0, settings({INITIAL_WINDOW_SIZE: window})) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">L", 1 << 30))
        for number in range(1, 2 * streams, 2):
            fields = head("PUT" if self.upload else "GET", target, *([("content-length", 100 * MIB)] if self.upload else []))
            self.out += frame(HEADERS, END_HEADERS | (0 if self.upload else END_STREAM), number, block(fields))
            self.rooms[number] = WINDOW
        self.socket.setblocking(False)

    def take(self):
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            while data := self.socket.recv(65536):
                self.got += data
        while len(self.got) >= 9 and len(self.got) >= 9 + (size := int.from_bytes(self.got[:3], "big")):
            kind, flags, stream = self.got[3], self.got[4], int.from_bytes(self.got[5:9], "big")
            payload, self.got = self.got[9:9 + size], self.got[9 + size:]
            if kind == SETTINGS and not flags & ACK:
                self.out += frame(SETTINGS, ACK, 0)
                window = dict(struct.iter_unpack(">HL", payload)).get(INITIAL_WINDOW_SIZE, self.initial)
                self.rooms = {number: room + window - self.initial for number, room in self.rooms.items()}
                self.initial = window
            elif kind == WINDOW_UPDATE and stream == 0:
                self.room += int.from_bytes(payload, "big")
            elif kind == WINDOW_UPDATE:
                self.rooms[stream] += int.from_bytes(payload, "big")

    def fill(self):
        for stream, room in self.rooms.items():
            count = min(16384, room, self.room)
            if count > 0:
                self.out += frame(DATA, 0, stream, bytes(count))
                self.rooms[stream] -= count
                self.room -= count
                self.sent += count

    def go_on(self):
        """True: something was sent."""
        moved = False
        if self.upload:
            self.take()
        while True:
            if not self.out and self.upload:
                self.fill()
            if not self.out:
                return moved
            try:
                self.out = self.out[self.socket.send(self.out):]
            except (BlockingIOError, ssl.SSLWantWriteError):
                return moved
            moved = True


@pytest.fixture()
def stage(weir):
    """Starts weir before an origin whose scripts wait for the test's end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("not enough descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    over = threading.Event()

    def stalled(peer, head):
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        over.wait(60)

    def large(peer, head):
        peer.socket.settimeout(60)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        return down(peer, head)

    def pieces(peer, head):
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(PIECES):
            peer.send(b"x" * 100)
            time.sleep(0.002)
        stage.done.release()
        over.wait(60)

    try:
        with Origin({"stalled": stalled, "down": large, "pieces": pieces}) as origin:
            stage = weir(CONFIG, values={"origin": origin.address, "many": "connections_per_client: 0," if "client-limits" in features() else ""}, secure=True)
            stage.done = threading.Semaphore(0)
            yield stage
            over.set()
    finally:
        over.set()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def stallers(stage, secure, target, connections, streams, **options):
    context = client_context() if secure else None
    port = stage.ports["port_tls" if secure else "port"]
    made = []
    try:
        for _ in range(connections):
            made.append(Staller(port, target, streams, context, **options))
            made[-1].go_on()
        yield made
    finally:
        for one in made:
            one.socket.close()


@pytest.mark.parametrize("secure,connections,streams", [(False, 200, 1), (True, 200, 1), (True, 2, 100)])
def test_stalled_transfers(stage, secure, connections, streams):
    """200 downloads and 200 uploads of 100 MB at once, and nobody reads: the worker has 64 MiB resident at most."""
    with Memory(stage.worker()) as memory, stallers(stage, secure, "/down/length/100", connections, streams) as downs, \
            stallers(stage, secure, "/stalled", connections, streams) as ups:
        quiet, end = time.monotonic(), time.monotonic() + 40
        while time.monotonic() - quiet < 1:
            assert time.monotonic() < end, "weir swallows it all"
            if any([one.go_on() for one in downs + ups]):
                quiet = time.monotonic()
            time.sleep(0.01)
        assert all(one.sent > 65536 for one in ups)
    memory.within(64 * MIB)


@pytest.mark.skipif(not shutil.which("h2load"), reason="h2load is not installed")
def test_many_uploads_at_once(weir, tmp_path):
    """They are allowed less each, but all are whole: the backend reads none before all have begun."""
    count, size = 100, 3 * MIB
    (tmp_path / "body").write_bytes(bytes(size))
    begun, lengths = threading.Barrier(count), []

    def gathered(peer, head):
        begun.wait(30)
        lengths.append(sum(len(piece) for piece in peer.body(head)))
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return True

    with Origin({"gathered": gathered}) as origin:
        server = weir(CONFIG, values={"origin": origin.address, "many": "connections_per_client: 0," if "client-limits" in features() else ""})
        said = subprocess.run(["h2load", "-n", str(count), "-c", str(count), "-m", "1", "-d", tmp_path / "body", f"http://127.0.0.1:{server.port}/gathered"],
                              capture_output=True, text=True, timeout=60)
    assert f" {count} succeeded, 0 failed" in said.stdout, said.stdout
    assert lengths == [size] * count


@pytest.mark.parametrize("window", [0, 1000])
def test_small_pieces_that_wait(stage, window):
    """What waits is all that is kept: not also the blocks that its pieces were read into."""
    with Memory(stage.worker()) as memory, stallers(stage, False, "/pieces", 10, 1, window=window):
        for _ in range(10):
            assert stage.done.acquire(timeout=30), "the backend cannot send a few octets"
    memory.within(memory.before + 4 * MIB)
