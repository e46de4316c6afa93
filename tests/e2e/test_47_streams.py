# SPDX-License-Identifier: BSD-2-Clause
"""Long and many bodies through the proxy: whole, in bounded memory, at the pace of the slower side, over reloads and over
backends that are killed (DESIGN §3: "Bodies stream both ways with back-pressure and bounded memory"; CASES.md, "Back pressure
and memory", "Retries and failover")."""
import hashlib
import resource
import selectors
import socket
import tempfile
import threading
import time
from pathlib import Path

import pytest

from backend import Backend
from client import PROTOCOLS, Connection, connect, curl
from origin import Gone, Origin
from server import Server, children, command, features, wait_for
from streams import MIB, Memory, begin_down, begin_up, blocks, checksum, down, end_up, receive, up

CONFIG = """
threads: 1
drain: 10s
limits: { body_size: 10G, $many timeouts: { header: 10s, body: 60s, idle: 60s, send: 60s } }
upstreams:
  app: { servers: ["$origin"], timeouts: { connect: 2s, response: 60s, idle: 20s } }
sites:
  - { listen: "http://127.0.0.1:$port", proxy: app }
"""
SCRIPTS = {"down": down, "up": up}


def given(**values):
    """Many connections from one address, where that is limited."""
    return dict(values, many="connections_per_client: 0," if "client-limits" in features() else "")


@pytest.fixture(scope="module")
def stage():
    with Origin(SCRIPTS) as origin, Server(CONFIG, values=given(origin=origin.address), secure=True) as weir:
        weir.origin = origin
        yield weir


# --- One long body. ---

def test_a_gibibyte_down(stage):
    with Memory(stage.worker()) as memory, begin_down(stage.port, 1024) as connection:
        assert receive(connection.socket, 1024 * MIB, start=connection.buffer) == checksum(1024)
    memory.within(memory.before + 8 * MIB)


def test_a_gibibyte_up(stage):
    with Memory(stage.worker()) as memory:
        connection = begin_up(stage.port, 1024)
        for block in blocks(1024):
            connection.socket.sendall(block)
        end_up(connection, 1024)
    memory.within(memory.before + 8 * MIB)


@pytest.fixture(scope="module")
def long_file():
    with tempfile.NamedTemporaryFile(prefix="weir-long-") as file:
        for block in blocks(48):
            file.write(block)
        file.flush()
        yield file.name


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_long_down(stage, framing, proto):
    """48 MiB, by curl."""
    with Memory(stage.worker()) as memory:
        got = curl(stage.url(f"/down/{framing}/48"), proto=proto, seconds=60)
    assert (got.status, hashlib.sha256(got.body).hexdigest()) == (200, checksum(48))
    memory.within(memory.before + 8 * MIB)


@pytest.mark.parametrize("told", [True, False])
def test_long_up(stage, long_file, told, proto):
    with Memory(stage.worker()) as memory:
        got = curl(stage.url("/up"), "--upload-file", long_file, *([] if told else ["--header", "Content-Length:", "--header", "Transfer-Encoding: chunked"]),
                   proto=proto, seconds=60)
    assert (got.status, got.body.decode()) == (200, f"{checksum(48)} {48 * MIB}")
    memory.within(memory.before + 8 * MIB)


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_long_bodies_of_unknown_length(stage, framing):
    """256 MiB in chunks."""
    with Memory(stage.worker()) as memory, begin_down(stage.port, 256, framing=framing) as connection:
        connection.socket.setblocking(False)
        body = hashlib.sha256()
        end = time.monotonic() + 60
        while size := int(connection.line(end, "a chunk's head"), 16):
            body.update(connection.octets(size, end, "a chunk"))
            assert connection.octets(2, end, "its end") == b"\r\n"
        assert connection.line(end, "the last line") == b""
    assert body.hexdigest() == checksum(256)
    memory.within(memory.before + 8 * MIB)


def test_slow_reader(stage):
    """16 MiB to a client with a small window that reads in small bites."""
    with begin_down(stage.port, 16, window=131072) as connection:
        assert receive(connection.socket, 16 * MIB, pause=0.0005, size=16384, start=connection.buffer) == checksum(16)


def test_slow_writer(stage):
    """8 MiB in pieces of 16 KiB, each after a moment."""
    connection = begin_up(stage.port, 8)
    for block in blocks(8):
        for at in range(0, MIB, 16384):
            connection.socket.sendall(block[at:at + 16384])
            time.sleep(0.0005)
    end_up(connection, 8)


def test_slow_backend(stage):
    """16 MiB to a backend with a small window that reads in small bites, at the same time as another client has its answers."""
    def sip(peer, head):
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 131072)
        total, left = hashlib.sha256(peer.buffer), 16 * MIB - len(peer.buffer)
        while left:
            piece = peer.socket.recv(16384)
            assert piece
            total.update(piece)
            left -= len(piece)
            time.sleep(0.0005)
        body = f"{total.hexdigest()} {16 * MIB}".encode()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        return False

    stage.origin.scripts["sip"] = sip
    connection = begin_up(stage.port, 16, "/sip")
    sender = threading.Thread(target=lambda: [connection.socket.sendall(block) for block in blocks(16)])
    sender.start()
    slowest = 0
    while sender.is_alive():
        began = time.monotonic()
        with Connection(stage.port) as other:
            assert other.get("/good").body == b"ok"
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.01)
    sender.join()
    end_up(connection, 16)
    assert slowest < 1


# --- The slower side sets the pace. ---

def kernels_most():
    """What Linux may let wait in a socket that receives and in one that sends: 6 or 32 MB, and 4 MB."""
    return sum(int(Path(f"/proc/sys/net/ipv4/tcp_{way}mem").read_text().split()[2]) for way in "rw")


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_slow_reader_makes_the_backend_wait(weir, framing):
    """256 MiB for a client that reads nothing: the backend gets rid of what the kernels' buffers hold, and of little more."""
    sent, counted = [0], threading.Event()

    def count(peer, head):
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        send = peer.socket.sendall

        def sendall(data):
            for at in range(0, len(data), 65536):
                send(data[at:at + 65536])
                sent[0] += len(data[at:at + 65536])

        peer.send = sendall
        try:
            down(peer, head)
        except OSError:
            pass
        counted.set()
        return False

    with Origin({"down": count}) as origin:
        server = weir(CONFIG, values=given(origin=origin.address))
        with begin_down(server.port, 256, window=65536, framing=framing):
            last, same, end = -1, 0, time.monotonic() + 20
            while same < 10 and time.monotonic() < end:
                same, last = (same + 1 if sent[0] == last else 0), sent[0]
                time.sleep(0.05)
            assert same == 10, "the backend sends on"
            assert sent[0] < kernels_most() + 8 * MIB, f"weir took {sent[0] >> 20} MiB"
        wait_for(counted.is_set, 10, "the backend's end")
        assert sent[0] < kernels_most() + 16 * MIB


def test_stalled_transfers(weir):
    """200 downloads and 200 uploads of 100 MB at once, and nobody reads: the worker has 64 MiB resident at most. Then some of them go on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("not enough descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    release = threading.Event()

    def stalled(peer, head):
        peer.socket.settimeout(60)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        assert release.wait(60)
        return up(peer, head)

    def small(peer, head):
        peer.socket.settimeout(60)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        return down(peer, head)

    count, connections = 100, []
    try:
        with Origin({"stalled": stalled, "down": small}) as origin:
            server = weir(CONFIG, values=given(origin=origin.address))
            with Memory(server.worker()) as memory, selectors.DefaultSelector() as selector:
                for number in range(400):
                    connection = Connection(server.port, seconds=60)
                    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
                    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                    connections.append(connection)
                    if number % 2:
                        connection.request(f"/down/length/{count}")
                    else:
                        connection.send(f"PUT /stalled HTTP/1.1\r\nHost: a\r\nContent-Length: {count * MIB}\r\n\r\n".encode())
                        connection.blocks, connection.sent = blocks(count), 0
                        connection.rest = memoryview(next(connection.blocks))
                        selector.register(connection.socket, selectors.EVENT_WRITE, connection)
                end = time.monotonic() + 30
                while (ready := selector.select(1)) and time.monotonic() < end:
                    for key, _ in ready:
                        push(key.data)
                assert time.monotonic() < end, "weir swallows it all"
                assert max(one.sent for one in connections[::2]) < 16 * MIB
            memory.within(64 * MIB)
            release.set()
            for connection in connections[:4:2]:
                connection.socket.setblocking(True)
                connection.socket.settimeout(60)
                connection.socket.sendall(connection.rest)
                for block in connection.blocks:
                    connection.socket.sendall(block)
                end_up(connection, count)
            for connection in connections[1:4:2]:
                assert connection.head(time.monotonic() + 10).status == 200
                connection.socket.setblocking(True)
                connection.socket.settimeout(60)
                assert receive(connection.socket, count * MIB, start=connection.buffer) == checksum(count)
            for connection in connections:
                connection.close()
            wait_for(lambda: len(origin.peers) < 20, 20, "the end of what nobody wants any more")  # some are kept
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def push(connection):
    try:
        taken = connection.socket.send(connection.rest)
    except BlockingIOError:
        return
    connection.sent += taken
    connection.rest = connection.rest[taken:] or memoryview(next(connection.blocks))


# --- Events. ---

def test_events_beside_a_long_body(stage):
    """Twenty streams of events, while a long body passes on the same thread: events are not held up until there are several."""
    stop, reads = threading.Event(), []

    def events(peer, head):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for _ in range(20):
            peer.send(b"data: x\n\n")
            time.sleep(0.05)
        return False

    def load():
        while not stop.is_set():
            with begin_down(stage.port, 64) as connection:
                receive(connection.socket, 64 * MIB, start=connection.buffer)

    stage.origin.scripts["events"] = events
    loader = threading.Thread(target=load)
    loader.start()
    try:
        with selectors.DefaultSelector() as selector:
            for _ in range(20):
                connection = Connection(stage.port)
                connection.request("/events")
                selector.register(connection.socket, selectors.EVENT_READ, connection)
            end = time.monotonic() + 10
            while selector.get_map() and time.monotonic() < end:
                for key, _ in selector.select(0.5):
                    connection = key.data
                    connection.buffer = b""
                    if not connection.fill(0) or b"0\r\n\r\n" in connection.buffer:
                        selector.unregister(connection.socket)
                        connection.close()
                    reads.append(connection.buffer.count(b"data: "))
            assert not selector.get_map()
    finally:
        stop.set()
        loader.join()
    assert sum(reads) == 20 * 20
    assert reads.count(1) > sum(reads) * 3 // 4, reads


# --- Reload. ---

def websocket(peer, head):
    peer.send(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    try:
        while True:
            peer.send(peer.buffer)
            peer.buffer = b""
            peer.more()
    except Gone:
        return False


def test_reload_during_transfers():
    """Downloads, uploads, events and WebSockets go on over two reloads; new requests go to the new worker."""
    def ticks(peer, head):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while True:
            peer.send(b"data: x\n\n")
            time.sleep(0.05)

    with Origin(dict(SCRIPTS, websocket=websocket, ticks=ticks)) as origin:
        server = Server(CONFIG, values=given(origin=origin.address))
        with server:
            first = server.worker()
            downloads = [begin_down(server.port, 32, window=65536) for _ in range(4)]
            uploads = [begin_up(server.port, 32) for _ in range(4)]
            pieces = [blocks(32) for _ in uploads]
            for connection, body in zip(uploads, pieces):
                connection.socket.sendall(next(body))
            sockets = []
            for _ in range(4):
                connection = Connection(server.port)
                connection.request("/websocket", fields={"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"})
                assert connection.read().status == 101
                sockets.append(connection)
            events = Connection(server.port)
            events.request("/ticks")
            for turn in range(2):
                run = command("reload", "-c", server.file)
                assert run.returncode == 0, run.stderr
                for connection in sockets:
                    connection.send(b"turn %d" % turn)
                    assert connection.octets(6, time.monotonic() + 5, "a tunnel") == b"turn %d" % turn
                for connection, body in zip(uploads, pieces):
                    connection.socket.sendall(next(body))
                events.buffer = b""
                end = time.monotonic() + 5
                while b"data: x" not in events.buffer:
                    events.more(end, "events behind the reload")
                with Connection(server.port) as connection:
                    assert connection.get("/good").body == b"ok"
            for connection in downloads:
                assert receive(connection.socket, 32 * MIB, start=connection.buffer) == checksum(32)
                connection.close()
            for connection, body in zip(uploads, pieces):
                for block in body:
                    connection.socket.sendall(block)
                end_up(connection, 32)
            for connection in sockets:
                connection.send(b"last")
                assert connection.octets(4, time.monotonic() + 5, "a tunnel") == b"last"
                connection.half_close()
                assert connection.wait_end() == "fin"
                connection.close()
            events.close()
            wait_for(lambda: first not in children(server.pid), 15, "the first worker's end")
            server.expect_restart()


# --- Backends that are killed. ---

TWO = CONFIG.replace('"$origin"', '"127.0.0.1:$first", "127.0.0.1:$second"')


class Load:
    """Clients of all protocols that ask one thing after the other, each known by its target."""

    def __init__(self, port, methods, clients=6):
        self.port, self.methods = port, methods
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.good, self.bad, self.count = 0, [], 0
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(clients)]

    def run(self, number):
        turn = 0
        while not self.stop.is_set():
            try:
                with connect(self.port, PROTOCOLS[number % len(PROTOCOLS)], seconds=10) as connection:
                    for _ in range(20):
                        method = self.methods[turn % len(self.methods)]
                        target, turn = f"/{number}/{turn}", turn + 1
                        status = "nothing"
                        connection.request(target, method=method, body=b"" if method in ("GET", "HEAD") else b"x" * 100)
                        response = connection.read(method)
                        status = response.status
                        assert method == "HEAD" or status != 200 or response.body.decode() == target, "somebody else's answer"
                        with self.lock:
                            if status == 200:
                                self.good += 1
                            else:
                                self.bad.append((method, target, status))
                        if response.closes:
                            break
            except Exception as fault:
                with self.lock:
                    self.bad.append((method, target, repr(fault)))

    def more(self, count):
        with self.lock:
            wanted = self.good + count
        wait_for(lambda: self.good >= wanted, 20, "more answers")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def killed(weir, tmp_path, methods, times=4):
    """One of two backends is killed and started again, under load, several times: the load, and all that was asked."""
    both = []
    try:
        both = [Backend(tmp_path / "first"), Backend(tmp_path / "second")]
        server = weir(TWO, values=given(first=both[0].port, second=both[1].port), secure=True)
        with Load(server.port, methods) as load:
            for turn in range(times):
                load.more(200)
                both[turn % 2].kill()
                load.more(200)
                both[turn % 2].start()
            load.more(200)
        return load, both[0].asked() + both[1].asked()
    finally:
        for backend in both:
            if backend.process.poll() is None:
                backend.kill()


def test_killed_backends_and_what_may_be_repeated(weir, tmp_path):
    """Not one request that may be repeated is lost. Where weir has no `retries` yet: none but those under way on a connection
    that was new."""
    load, _ = killed(weir, tmp_path, ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"))
    assert len(load.bad) <= (0 if "upstreams" in features() else 4 * 6 * 2), load.bad[:10]
    assert {status for _, _, status in load.bad} <= {502}, load.bad[:10]


def test_killed_backends_and_what_may_not(weir, tmp_path):
    """POST: lost is what was under way at most, and nothing is done twice. Each of the six threads may lose two at each death: one on a
    connection that is kept, one on a new one that the kernel still takes for the dying backend."""
    load, asked = killed(weir, tmp_path, ("POST", "PATCH"))
    assert len(load.bad) <= 4 * 6 * 2, load.bad[:30]
    assert {status for _, _, status in load.bad} <= {502}, load.bad[:10]
    assert len(asked) == len(set(asked)), "asked twice"


def test_only_backend_killed(weir, tmp_path):
    """While it is gone there are good errors, none hangs; behind its start all is well."""
    backend = Backend(tmp_path / "only")
    try:
        server = weir(CONFIG, values=given(origin=f"127.0.0.1:{backend.port}"), secure=True)
        with Load(server.port, ("GET", "POST")) as load:
            load.more(100)
            backend.kill()
            wait_for(lambda: len(load.bad) > 20, 10, "errors")
            backend.start()
            load.more(100)
        assert {status for _, _, status in load.bad} <= {502, 503}, load.bad[:10]
        with Connection(server.port) as connection:
            for _ in range(20):
                assert connection.get("/good").status == 200
    finally:
        if backend.process.poll() is None:
            backend.kill()
