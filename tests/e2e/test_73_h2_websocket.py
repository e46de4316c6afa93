# SPDX-License-Identifier: BSD-2-Clause
"""WebSockets over HTTP/2 (RFC 8441; RFC 6455): an extended CONNECT becomes the backend's upgrade, then octets pass both ways as they
are; ends and breaks of either side reach the other one. With a backend of our own, and with the library `ws`."""
import base64
import hashlib
import json
import os
import struct
import threading

import pytest

import applications
import material
from client import Ended, connect
from h2client import *
from h2stage import SCRIPTED, Stage
from origin import echo, pattern
from server import Server, children, command, wait_for

TEXT, BINARY, CLOSE, PING_FRAME, PONG = 1, 2, 8, 9, 10
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TUNNEL = [("sec-websocket-version", "13"), ("origin", "http://localhost")]


def accept(head_of):
    return base64.b64encode(hashlib.sha1(head_of.get("Sec-WebSocket-Key").encode() + MAGIC).digest())


def switch(peer, head_of, *lines):
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept(head_of)
              + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n")


def chat(peer, head_of):
    switch(peer, head_of, b"Sec-WebSocket-Protocol: chat")
    return echo(peer)


def first(peer, head_of):
    """Speaks first, and ends."""
    switch(peer, head_of)
    peer.send(b"".join(pattern(3000000)))
    return False


def breaks(peer, head_of):
    switch(peer, head_of)
    peer.send(b"some")
    peer.more()
    peer.reset()
    return False


def refuses(peer, head_of):
    peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno")
    return True


@pytest.fixture(scope="module")
def stage(h2stage):
    h2stage.origin.scripts.update(echo=chat, first=first, breaks=breaks, refuses=refuses)
    return h2stage


@pytest.fixture
def c(stage, proto_h2):
    with stage.open(SCRIPTED, proto=proto_h2, seconds=15) as connection:
        yield connection


def begin(c, path="/echo", *more, protocol="websocket"):
    fields = head("CONNECT", path, *TUNNEL, *more, scheme=c.scheme)
    return c.headers([(":method", "CONNECT"), (":protocol", protocol), *fields[1:]], end=False)


def opened(c, path="/echo", *more):
    number = begin(c, path, *more)
    c.until(lambda: c.streams[number].head, what="an answer")
    assert c.streams[number].head.status == 200, c.streams[number].head
    return number


def echoed(c, number, data):
    before = len(c.streams[number].body)
    assert c.upload(number, data, end=False)
    c.until(lambda: len(c.streams[number].body) >= before + len(data), 15, "the echo")
    assert bytes(c.streams[number].body[before:]) == data


def test_offered(c):
    """3: a client may use it once the server has said so."""
    assert c.options.get(ENABLE_CONNECT_PROTOCOL) == 1


def test_what_the_backend_is_asked(stage, c):
    stage.origin.heads.clear()
    number = opened(c, "/echo?x=%20", ("sec-websocket-protocol", "chat, other"), ("sec-websocket-extensions", "permessage-deflate"), ("cookie", "a=b"))
    asked = stage.origin.heads[-1]
    assert (asked.method, asked.target, asked.version) == ("GET", "/echo?x=%20", "HTTP/1.1")
    assert asked.get("Upgrade") == "websocket" and asked.get("Connection").lower() == "upgrade" and asked.get("Host") == "localhost"
    assert len(base64.b64decode(asked.get("Sec-WebSocket-Key"), validate=True)) == 16 and asked.get("Sec-WebSocket-Version") == "13"
    assert asked.get("Sec-WebSocket-Protocol") == "chat, other" and asked.get("Sec-WebSocket-Extensions") == "permessage-deflate"
    assert asked.get("Origin") == "http://localhost" and asked.get("Cookie") == "a=b"
    assert asked.get("Transfer-Encoding") is None and asked.get("Content-Length") is None
    answer = c.streams[number].head
    assert answer.get("sec-websocket-protocol") == "chat" and not answer.all("sec-websocket-accept") and not answer.all("content-length")


@pytest.mark.parametrize("size", [1, 16384, 100000, 3000000])
def test_octets(c, size):
    number = opened(c)
    echoed(c, number, b"".join(pattern(size)))
    echoed(c, number, bytes(range(256)))


def test_client_ends_first(c):
    """END_STREAM is the client's FIN; what the backend says then still comes."""
    number = opened(c)
    c.data(number, b"last")
    c.until(lambda: c.streams[number].over)
    assert bytes(c.streams[number].body) == b"lastbye" and c.streams[number].whole


def test_backend_ends_first(c):
    number = opened(c, "/first")
    c.until(lambda: c.streams[number].over, 15)
    assert c.streams[number].whole and bytes(c.streams[number].body) == b"".join(pattern(3000000))


def test_backend_breaks(c):
    """A reset is no end: RST_STREAM (RFC 8441, 5)."""
    number = opened(c, "/breaks")
    c.data(number, b"x", end=False)
    c.until(lambda: c.streams[number].over)
    assert not c.streams[number].whole and c.streams[number].reset not in (None, NO_ERROR)
    assert c.get("/plain").body == b"ok"


def test_client_gives_up(stage, c):
    before = set(stage.origin.peers)
    number = opened(c)
    echoed(c, number, b"hello")
    c.rst(number)
    wait_for(lambda: not set(stage.origin.peers) - before, 10, "the backend's connection to end")
    assert c.get("/plain").body == b"ok"


def test_client_leaves(stage, c):
    before = set(stage.origin.peers)
    numbers = [opened(c) for _ in range(5)]
    assert len(numbers) == 5
    c.close()
    wait_for(lambda: not set(stage.origin.peers) - before, 10, "the backend's connections to end")


def test_refused_by_the_backend(c):
    number = begin(c, "/refuses")
    c.until(lambda: c.streams[number].over)
    assert c.streams[number].head.status == 403 and bytes(c.streams[number].body) == b"no"
    assert c.get("/plain").body == b"ok"


def test_backend_that_is_none(c):
    number = begin(c, "/close_before")
    assert c.outcome(number)[1] in (502, INTERNAL_ERROR, CANCEL, CONNECT_ERROR)
    assert c.get("/plain").body == b"ok"


@pytest.mark.parametrize("protocol", ["connect-udp", "websockets", "", "web socket", "websocket\r\nX: y", "h2c"])
def test_other_protocols(stage, c, protocol):
    """4: what the server does not know is refused, and no backend hears of it."""
    stage.origin.heads.clear()
    number = begin(c, protocol=protocol)
    kind, value = c.outcome(number)
    assert (kind == "status" and 400 <= value < 600) or (kind, value) in [("reset", PROTOCOL_ERROR), ("reset", CONNECT_ERROR), ("reset", REFUSED_STREAM)]
    assert c.get("/plain").body == b"ok"
    assert [one.target for one in stage.origin.heads] == ["/plain"]


def test_many_beside_requests(c):
    numbers = [opened(c) for _ in range(40)]
    for turn in range(5):
        for number in numbers:
            c.upload(number, b"%d %d|" % (number, turn), end=False)
        assert c.get("/plain").body == b"ok"
    for number in numbers:
        want = b"".join(b"%d %d|" % (number, turn) for turn in range(5))
        c.until(lambda: len(c.streams[number].body) >= len(want))
        assert bytes(c.streams[number].body) == want


def test_a_stalled_tunnel(stage):
    """Who does not read holds back the backend, and nobody else."""
    with stage.open(SCRIPTED, options={INITIAL_WINDOW_SIZE: 1000}, auto=False, seconds=15) as c:
        number = opened(c, "/first")
        c.until(lambda: len(c.streams[number].body) == 1000)
        assert c.get("/plain").body == b"ok"
        c.settings({INITIAL_WINDOW_SIZE: 4000000})
        c.update(0, 4000000)
        c.until(lambda: c.streams[number].over, 15)
        assert len(c.streams[number].body) == 3000000


def test_outlives_a_reload():
    """DESIGN §4: tunnels go on in the old worker; the connection takes no more requests."""
    with Stage(scripts={"echo": chat}, secure=False) as stage:
        with stage.open(SCRIPTED, seconds=15) as c:
            number = opened(c)
            echoed(c, number, b"before")
            done = command("reload", "-c", stage.weir.file)
            assert done.returncode == 0, done.stderr
            c.until(lambda: c.goaway, 10, "GOAWAY")
            assert c.goaway[1] == NO_ERROR
            echoed(c, number, b"after")
            c.data(number, b"")
            c.until(lambda: c.streams[number].over)
            assert c.streams[number].whole
        stage.unharmed()
        wait_for(lambda: len(children(stage.weir.pid)) == 1, 10, "the old worker's end")
        stage.weir.expect_restart()


# --- The library `ws` ---

def message(data, kind=TEXT, end=True):
    """A frame of a client: masked (RFC 6455, 5.2)."""
    size = len(data)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size) if size < 65536 else b"\xff" + struct.pack(">Q", size)
    mask = os.urandom(4)
    key = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big") if size else b""
    return bytes([(0x80 if end else 0) | kind]) + length + mask + masked


def received(c, number, state):
    """The next frame of the server: (kind, data)."""
    def frame_there():
        data = bytes(c.streams[number].body[state["at"]:])
        if len(data) < 2:
            return None
        size, start = data[1] & 127, 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        if len(data) < start + size:
            return None
        state["at"] += start + size
        return data[0] & 15, data[start:start + size]

    return c.until(frame_there, 15, "a frame")


@pytest.fixture(scope="module")
def express(tmp_path_factory):
    try:
        base = applications.packages()
    except material.Missing as reason:
        pytest.skip(str(reason))
    file = tmp_path_factory.mktemp("express") / "file.txt"
    file.write_bytes(b"file")
    config = 'sites:\n  - { listen: "http://127.0.0.1:$port", proxy: "$application" }\n'
    with applications.Express(base, file) as application, Server(config, values={"application": application.address}, secure=True) as server:
        yield server


def test_ws(express, proto_h2):
    with connect(express.port, proto_h2, seconds=15) as c:
        c.until(lambda: c.settled)
        number, state = opened(c, "/socket", ("sec-websocket-protocol", "echo")), {"at": 0}
        assert json.loads(received(c, number, state)[1])["from"] == "127.0.0.1"
        for data, kind in ((b"hello", TEXT), (b"", TEXT), (bytes(range(256)), BINARY), (b"x" * 70000, BINARY), (b"long" * 500000, BINARY)):
            c.upload(number, message(data, kind), end=False)
            assert received(c, number, state) == (kind, data)
        c.upload(number, message(b"one ", TEXT, end=False) + message(b"two", 0), end=False)
        assert received(c, number, state) == (TEXT, b"one two")
        c.upload(number, message(b"there?", PING_FRAME), end=False)
        assert received(c, number, state) == (PONG, b"there?")
        c.upload(number, message(b"close", TEXT), end=False)
        kind, data = received(c, number, state)
        assert kind == CLOSE and struct.unpack(">H", data[:2])[0] == 4001 and data[2:] == b"as you wish"
        c.upload(number, message(data, CLOSE), end=True)
        c.until(lambda: c.streams[number].over)
        assert c.streams[number].whole


def test_ws_many(express):
    """Clients that each have a few on their one connection."""
    faults = []

    def client(name):
        try:
            with connect(express.port, "h2c", seconds=15) as c:
                c.until(lambda: c.settled)
                sockets = [(opened(c, "/socket"), {"at": 0}) for _ in range(20)]
                for number, state in sockets:
                    received(c, number, state)
                for turn in range(3):
                    for number, state in sockets:
                        data = b"%d %d %d" % (name, number, turn)
                        c.upload(number, message(data), end=False)
                        assert received(c, number, state) == (TEXT, data)
        except (AssertionError, Ended) as fault:
            faults.append(repr(fault))

    threads = [threading.Thread(target=client, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not faults, faults
