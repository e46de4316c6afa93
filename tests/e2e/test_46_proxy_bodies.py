# SPDX-License-Identifier: BSD-2-Clause
"""Bodies through the proxy: requests of each framing, cut ones, answers that come before the request's end, chunks of all
shapes, and tunnels (RFC 9110, 7.8, 8.6 and 10.1.1; RFC 9112, 6, 7 and 9.5; DESIGN §5, Body source and Tunnel)."""
import hashlib
import socket
import threading
import time

import pytest

from client import Connection, Ended, connect, curl
from origin import OK, Gone, answer, pattern
from proxied import LEAVING, Proxied, arrives, begin, leave, part, told
from server import wait_for

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def stage():
    with Proxied() as made:
        yield made


def post(framing, body=b"", method="POST", more=b"", version="HTTP/1.1"):
    return f"{method} /x {version}\r\nHost: a\r\n{framing}\r\n".encode() + more + b"\r\n" + body


# --- Bodies of requests: what is sent, and how it arrives. ---
# name: (the bytes, the body at the backend, framings that are right there)

LENGTH, CHUNKS, NONE = "length", "chunked", "none"
REQUESTS = {
    "length": (post("Content-Length: 3", b"abc"), "abc", {LENGTH}),
    "length_0": (post("Content-Length: 0"), "", {LENGTH}),
    "length_leading_zeros": (post("Content-Length: 0003", b"abc"), "abc", {LENGTH}),
    "chunked": (post("Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"), "abc", {CHUNKS, LENGTH}),
    "chunked_empty": (post("Transfer-Encoding: chunked", b"0\r\n\r\n"), "", {CHUNKS, LENGTH}),
    "chunked_in_other_case": (post("transfer-encoding: ChunKed", b"3\r\nabc\r\n0\r\n\r\n"), "abc", {CHUNKS, LENGTH}),
    "chunked_pieces": (post("Transfer-Encoding: chunked", b"1\r\na\r\n" * 50 + b"0\r\n\r\n"), "a" * 50, {CHUNKS, LENGTH}),
    "chunked_extension": (post("Transfer-Encoding: chunked", b'3;a=b;c="d;\\"e"\r\nabc\r\n0;x\r\n\r\n'), "abc", {CHUNKS, LENGTH}),
    "chunked_upper_hex": (post("Transfer-Encoding: chunked", b"0A\r\n0123456789\r\n00\r\n\r\n"), "0123456789", {CHUNKS, LENGTH}),
    "get_length": (post("Content-Length: 3", b"abc", "GET"), "abc", {LENGTH}),
    "get_chunked": (post("Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n", "GET"), "abc", {CHUNKS, LENGTH}),
    "delete_length": (post("Content-Length: 3", b"abc", "DELETE"), "abc", {LENGTH}),
    "options_length": (post("Content-Length: 3", b"abc", "OPTIONS"), "abc", {LENGTH}),
    "unknown_method": (post("Content-Length: 3", b"abc", "FOO"), "abc", {LENGTH}),
    "http10_length": (post("Content-Length: 3", b"abc", version="HTTP/1.0"), "abc", {LENGTH}),
    "get_nothing": (post("X-A: 1", method="GET"), "", {NONE}),
    "post_nothing": (post("X-A: 1"), "", {NONE, LENGTH}),
    "looks_like_a_request": (post("Content-Length: 36", b"GET /evil HTTP/1.1\r\nHost: evil\r\n\r\nzz"), "GET /evil HTTP/1.1\r\nHost: evil\r\n\r\nzz", {LENGTH}),
}


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("name", REQUESTS)
def test_requests(stage, name, slow):
    """One framing at the backend, the same bytes; also where each octet comes by itself."""
    sent, body, framings = REQUESTS[name]
    with Connection(stage.recorded) as connection:
        for piece in [sent[at:at + 1] for at in range(len(sent))] if slow else [sent]:
            connection.send(piece)
        got = told(connection.read())
    assert (got.body, got.target) == (body, "/x")
    assert got.framing in framings
    assert len(got.all("Content-Length")) + len(got.all("Transfer-Encoding")) == (0 if got.framing == NONE else 1)


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("method,body,length", [
    ("POST", b"abc", 3), ("POST", b"", 0), ("POST", b"abc", None), ("POST", b"", None), ("GET", b"abc", 3), ("GET", b"abc", None),
    ("DELETE", b"abc", 3), ("OPTIONS", b"abc", 3), ("FOO", b"abc", 3), ("PUT", b"0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n", None)])
def test_bodies(stage, method, body, length, slow, proto):
    """The same over all protocols, where the length is told and where not (RFC 9113, 8.1.1)."""
    with connect(stage.recorded) as connection:
        begin(connection, "/x", length, method)
        step = 1 if slow else 100
        for at in range(0, max(1, len(body)), step):
            part(connection, body[at:at + step], at + step >= len(body))
        got = told(connection.read())
    assert (got.method, got.target, got.body) == (method, "/x", body.decode())
    assert got.framing in ({LENGTH} if length is not None else {CHUNKS, LENGTH})
    assert len(got.all("Content-Length")) + len(got.all("Transfer-Encoding")) == 1


CUTS = {
    "length": post("Content-Length: 9", b"abc"), "length_nothing": post("Content-Length: 9"), "chunk": post("Transfer-Encoding: chunked", b"9\r\nabc"),
    "between_chunks": post("Transfer-Encoding: chunked", b"3\r\nabc\r\n"), "last_chunk": post("Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n"),
    "trailers": post("Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\nX-T: 1\r\n"), "bad_chunk": post("Transfer-Encoding: chunked", b"3\r\nabc\r\nzz\r\n"),
    "bad_trailer": post("Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\nX T: 1\r\n\r\n"),
}


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("name", CUTS)
def test_cut_requests(stage, name, reset):
    """What a client did not finish is not finished for the backend (DESIGN: FAILED is never turned into END)."""
    seen = stage.seen_in_part(CUTS[name], reset)
    assert all(one.verdict == "cut" for one in seen), [(one.verdict, one.raw) for one in seen]


@pytest.mark.parametrize("proto,how", LEAVING, indirect=["proto"])
@pytest.mark.parametrize("length", [9, None])
def test_cut_bodies(stage, length, how, proto):
    """The same over all protocols: by the end of the connection, or of the stream alone."""
    got = []

    def script(peer, head):
        try:
            for piece in peer.body(head):
                got.append(piece)
            got.append(b" and that is all")
        except Gone:
            got.append(b" and gone")
        return False

    stage.origin.scripts["cut"] = script
    with connect(stage.scripted) as connection:
        begin(connection, "/cut", length)
        part(connection, b"abc")
        wait_for(lambda: got, 5, "the beginning at the backend")
        leave(connection, how)
        wait_for(lambda: b"".join(got) == b"abc and gone", 5, "the end at the backend")


def test_many_requests_on_one_connection(stage):
    """Pipelined, of each framing: each is answered in turn."""
    wanted = [entry for name, entry in REQUESTS.items() if b"HTTP/1.0" not in entry[0] and name != "get_chunked"]
    with Connection(stage.recorded) as connection:
        connection.send(b"".join(sent for sent, _, _ in wanted))
        for _, body, _ in wanted:
            assert told(connection.read()).body == body


# --- Chunks of answers. ---

BODIES = {
    "extension": b'2;a=b\r\nok\r\n0\r\n\r\n', "extension_quoted": b'2;a="x;\\"y"\r\nok\r\n0\r\n\r\n', "extension_of_the_last": b"2\r\nok\r\n0;end\r\n\r\n",
    "zeros_before": b"0000000002\r\nok\r\n000\r\n\r\n", "octet_by_octet": b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", BODIES)
def test_chunks_of_answers(stage, name, proto):
    stage.origin.scripts["chunks"] = answer(CHUNKED + BODIES[name], end="keep")
    stage.origin.scripts["slow_chunks"] = answer(*[(CHUNKED + BODIES[name])[at:at + 1] for at in range(len(CHUNKED + BODIES[name]))], end="keep", pause=0.001)
    with connect(stage.scripted) as connection:
        for target in ("/chunks", "/slow_chunks", "/good"):
            response = connection.get(target)
            assert (response.status, response.body) == (200, b"ok"), target


@pytest.mark.parametrize("size", [1, 15, 16, 4095, 4096, 16383, 16384, 16385, 65535, 65536, 131072, 1 << 20])
def test_chunk_sizes(stage, size, proto):
    """Chunks of one size, up to 4 MiB of them: the body is what it was."""
    count = min(200, (4 << 20) // size)
    data = b"".join(pattern(size * count))
    stage.origin.scripts["sized"] = answer(CHUNKED + b"".join(
        b"%x\r\n%s\r\n" % (size, data[at:at + size]) for at in range(0, len(data), size)) + b"0\r\n\r\n", end="keep")
    with connect(stage.scripted) as connection:
        assert connection.get("/sized").body == data


def test_flushes_are_kept(stage, proto):
    """What a backend says is passed on before it says more; without length, with length and in chunks."""
    for head, first, second in ((CHUNKED, b"1\r\na\r\n", b"1\r\nb\r\n0\r\n\r\n"), (HEAD + b"Content-Length: 2\r\n\r\n", b"a", b"b"), (HEAD + b"\r\n", b"a", b"b")):
        release = threading.Event()

        def halves(peer, _, head=head, first=first, second=second, release=release):
            peer.send(head)
            peer.send(first)
            assert release.wait(5)
            peer.send(second)
            return b"Content" in head or b"Transfer" in head

        stage.origin.scripts["halves"] = halves
        with connect(stage.scripted) as connection:
            connection.request("/halves")
            arrives(connection, b"a", time.monotonic() + 0.8)  # less than a backend may be silent
            release.set()
            assert connection.read().body == b"ab"


def test_uploads_are_passed_on_at_once(stage, proto):
    """The backend has the first part of a body before the second is sent."""
    got = threading.Event()

    def halves(peer, head):
        pieces = peer.body(head)
        assert next(pieces) == b"a"
        got.set()
        for _ in pieces:
            pass
        peer.send(OK)
        return True

    stage.origin.scripts["upload"] = halves
    for length in (2, None):
        got.clear()
        with connect(stage.scripted) as connection:
            begin(connection, "/upload", length)
            part(connection, b"a")
            assert got.wait(2), "held back"
            part(connection, b"b", last=True)
            assert connection.read().body == b"ok"


def test_both_ways_at_once(stage, proto):
    """An answer that begins before the request ends, and goes on with it (RFC 9112, 9.5; as gRPC and echo do)."""
    def echo(peer, head):
        peer.send(CHUNKED)
        for piece in peer.body(head):
            peer.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        peer.send(b"0\r\n\r\n")
        return True

    stage.origin.scripts["echo"] = echo
    with connect(stage.scripted) as connection:
        begin(connection, "/echo")
        end = time.monotonic() + 5
        arrives(connection, b"", end)
        for letter in (b"a", b"b", b"c", b"d", b"e", b"f"):
            part(connection, letter)
            arrives(connection, letter, end)
        part(connection, b"", last=True)
        assert connection.read().body == b"abcdef"
        assert connection.get("/good").body == b"ok"


# --- Answers before the request's end. ---

def early(status, drain, close):
    def script(peer, head):
        peer.send(b"HTTP/1.1 %d Early\r\nContent-Length: 2\r\n%s\r\nno" % (status, b"Connection: close\r\n" if close else b""))
        if drain:
            for _ in peer.body(head):
                pass
            return not close
        peer.close()
        return False

    return script


@pytest.mark.parametrize("length", [30000000, None])
@pytest.mark.parametrize("drain,close", [(True, False), (True, True), (False, True), (False, False)])
@pytest.mark.parametrize("status", [401, 413, 200])
def test_early_answer(stage, status, drain, close, length, proto):
    """It arrives before the body is sent, and again while the body is on its way; never a broken connection for others."""
    stage.origin.scripts["early"] = early(status, drain, close)
    with connect(stage.scripted) as connection:
        begin(connection, "/early", length)
        response = connection.read(seconds=2)
        assert (response.status, response.body) == (status, b"no")
    with connect(stage.scripted) as connection:
        begin(connection, "/early", length)
        for _ in range(40):  # sends on, whatever comes
            if not part(connection, b"x" * 65536):
                break
        response = connection.read()
        assert (response.status, response.body) == (status, b"no")
    stage.good()


@pytest.mark.parametrize("size", [10, 60000])
def test_early_answer_of_a_short_body(stage, size, proto):
    """A body that weir takes in passing: the connection goes on where it can, and its rest is no request."""
    stage.origin.scripts["early"] = early(401, True, False)
    with connect(stage.scripted) as connection:
        begin(connection, "/early", size)
        assert connection.read().status == 401
        rest = b"GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n".ljust(size)[:size]
        if not hasattr(connection, "streams"):
            connection.send(rest + b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n")
        else:
            for at in range(0, size, 10000):
                connection.data(1, rest[at:at + 10000], end=at + 10000 >= size)
            connection.request("/good")
        try:
            after = connection.read()
        except Ended:
            assert connection.ended and proto in ("h1", "h1s")
        else:
            assert (after.status, after.body) == (200, b"ok")
    assert "/evil" not in stage.origin.targets()


def test_curl_reads_an_early_refusal(stage, proto):
    stage.origin.scripts["early"] = early(413, False, True)
    file = stage.weir.folder / "upload"
    with open(file, "wb") as sparse:
        sparse.truncate(64 << 20)
    for options in ([], ["--header", "Expect:", "--limit-rate", "5M"], ["--header", "Transfer-Encoding: chunked"]):
        got = curl(stage.weir.url("/early", port="port2"), "--upload-file", str(file), *options, proto=proto)
        assert (got.status, got.body) == (413, b"no"), got


def test_limit_of_bodies(weir, stage, proto):
    """body_size holds before the backend is troubled, and in chunks as soon as it is passed; the backend never sees a whole one."""
    server = weir("""
threads: 1
limits: { body_size: 10k }
sites:
  - { listen: "http://127.0.0.1:$port", proxy: "127.0.0.1:$recorder" }
""", values={"recorder": stage.recorder.port}, secure=True)
    stage.recorder.take()
    with connect(server.port) as connection:
        begin(connection, "/x", 10241)
        assert connection.read().status == 413
    with connect(server.port) as connection:
        begin(connection, "/x")
        part(connection, b"x" * 10240)
        part(connection, b"y", last=True)
        assert connection.read().status == 413
    with connect(server.port) as connection:
        begin(connection, "/x")
        part(connection, b"x" * 10240, last=True)
        assert told(connection.read()).body == "x" * 10240
    assert [one.verdict for one in stage.recorder.take()].count("whole") == 1


# --- Tunnels. ---

ASK = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
ACCEPT = b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def tunnel(stage, script, fields=None, early_bytes=b""):
    """Opens one; `script(peer)` is what happens at the backend."""
    def serve(peer, head):
        assert head.get("Upgrade") == "websocket" and head.get("Connection").lower() == "upgrade"
        peer.send(ACCEPT)
        script(peer)
        return False

    stage.origin.scripts["tunnel"] = serve
    connection = Connection(stage.scripted)
    lines = "".join(f"{name}: {value}\r\n" for name, value in (fields or ASK).items())
    connection.send(f"GET /tunnel HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode() + early_bytes)
    response = connection.read()
    assert (response.status, response.get("Upgrade"), response.get("Connection").lower()) == (101, "websocket", "upgrade")
    assert not response.all("Content-Length") and not response.all("Transfer-Encoding")
    return connection


def receive(connection, count, seconds=5):
    return connection.octets(count, time.monotonic() + seconds, "a tunnel")


def echo(peer):
    try:
        while True:
            peer.send(peer.buffer)
            peer.buffer = b""
            peer.more()
    except Gone:
        pass


def test_tunnel_octets(stage):
    """All octets, both ways, nothing framed."""
    with tunnel(stage, echo) as connection:
        for data in (bytes(range(256)), b"\r\n\r\n", b"GET /evil HTTP/1.1\r\n\r\n", b"0\r\n\r\n"):
            connection.send(data)
            assert receive(connection, len(data)) == data


def test_tunnel_sent_early(stage):
    """What a hasty client sends behind its request reaches the backend, or the request is refused."""
    with tunnel(stage, echo, early_bytes=b"early") as connection:
        assert receive(connection, 5) == b"early"


def test_tunnel_backend_first(stage):
    """Octets in one segment with the 101."""
    stage.origin.scripts["first"] = answer(ACCEPT + b"hello")
    with Connection(stage.scripted) as connection:
        assert connection.get("/first", fields=ASK).status == 101
        assert receive(connection, 5) == b"hello"
        assert connection.wait_end() == "fin"


def test_tunnel_client_ends_first(stage):
    """The client's FIN reaches the backend, which may go on."""
    def script(peer):
        echo(peer)
        peer.send(b"x" * 100000)

    with tunnel(stage, script) as connection:
        connection.half_close()
        assert receive(connection, 100000) == b"x" * 100000
        assert connection.wait_end() == "fin"


def test_tunnel_backend_ends_first(stage):
    """The backend's FIN reaches the client, which may go on."""
    got, ended = [], threading.Event()

    def script(peer):
        peer.socket.shutdown(socket.SHUT_WR)
        try:
            while True:
                peer.more()
        except Gone:
            got.append(peer.buffer)
            ended.set()

    with tunnel(stage, script) as connection:
        assert connection.wait_end() == "fin"
        connection.socket.setblocking(True)
        for _ in range(10):
            connection.socket.sendall(b"still")
        connection.half_close()
        assert ended.wait(5)
    assert got == [b"still" * 10]


@pytest.mark.parametrize("side", ["client", "backend"])
def test_tunnel_reset(stage, side):
    """A reset ends the other side too."""
    gone = threading.Event()

    def script(peer):
        if side == "backend":
            peer.reset()
            return
        try:
            peer.more()
        except Gone:
            gone.set()

    connection = tunnel(stage, script)
    if side == "client":
        connection.reset()
        assert gone.wait(5)
    else:
        assert connection.wait_end(5)
        connection.close()
    stage.good()


def test_tunnel_both_directions_full(stage):
    """Both send 8 MiB before either reads: back-pressure, no deadlock once they read."""
    size, digests = 8 << 20, []

    def script(peer):
        sender = threading.Thread(target=lambda: [peer.send(piece) for piece in pattern(size)])
        sender.start()
        total = hashlib.sha256()
        for piece in peer.octets(size):
            total.update(piece)
        digests.append(total.hexdigest())
        sender.join(20)

    with tunnel(stage, script) as connection:
        for piece in pattern(size):
            connection.send(piece, seconds=20)
        received = receive(connection, size, 20)
        wait_for(lambda: digests, 10, "the backend's sum")
    assert hashlib.sha256(received).hexdigest() == digests[0]


def test_tunnel_idle(weir, stage):
    """Only the tunnel's own idle time ends it, and a word from either side begins it anew."""
    server = weir("""
threads: 1
limits: { timeouts: { header: 1s, body: 1s, idle: 1s, send: 1s } }
upstreams: { app: { servers: ["$origin"], timeouts: { connect: 1s, response: 1s, idle: 1s, tunnel: 2s } } }
sites:
  - { listen: "http://127.0.0.1:$port", proxy: app }
""", values={"origin": stage.origin.address})
    stage.origin.scripts["idle"] = lambda peer, head: (peer.send(ACCEPT), echo(peer), False)[2]
    with Connection(server.port) as connection:
        assert connection.get("/idle", fields=ASK).status == 101
        for _ in range(2):
            assert connection.wait_end(1.5) is None, "ended by another time"
            connection.send(b"x")
            assert receive(connection, 1) == b"x"
        began = time.monotonic()
        assert connection.wait_end(5), "an idle tunnel lasts"
        assert 1.5 < time.monotonic() - began < 4


@pytest.mark.parametrize("answered", [b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: other/1\r\n\r\nevil", b"HTTP/1.1 101 Go\r\n\r\nevil"])
def test_tunnel_to_something_else(stage, answered):
    """A protocol that was not asked for (RFC 9110, 7.8)."""
    stage.origin.scripts["other"] = answer(answered)
    with Connection(stage.scripted) as connection:
        assert connection.get("/other", fields=ASK).status == 502


@pytest.mark.parametrize("asked,passed,answered,status", [
    ("foo, websocket", "foo, websocket", "websocket", 101), ("foo/1.1,bar ,, baz", "foo/1.1, bar, baz", "BAR", 101),
    (["foo", "bar"], "foo, bar", "foo", 101), ("foo, bar", "foo, bar", "bar, foo", 101),
    ("foo, bar", "foo, bar", "baz", 502), ("foo, bar", "foo, bar", "foo, baz", 502), ("foo, bar", "foo, bar", "", 502),
    ("h2c, foo, H2", "foo", "foo", 101), ("h2c, foo", "foo", "h2c", 502),
    ("h2c, h2", None, None, 200), ("foo bar, baz", None, None, 200), ("foo/, baz", None, None, 200), ("", None, None, 200),
    (", ".join(f"p{n}" for n in range(1000)), None, None, 200),
])
def test_several_protocols(stage, asked, passed, answered, status):
    """The backend chooses (RFC 9110, 7.8). HTTP/2 is not among them: requests in it would pass unseen."""
    seen = []

    def script(peer, head):
        seen.append(head)
        if not head.get("Upgrade"):
            peer.send(OK)
            return True
        peer.send(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: " + answered.encode() + b"\r\n\r\n")
        echo(peer)
        return False

    stage.origin.scripts["several"] = script
    lines = [("Upgrade", one) for one in ([asked] if isinstance(asked, str) else asked)]
    with Connection(stage.scripted) as connection:
        response = connection.get("/several", fields=[("Connection", "keep-alive, Upgrade"), *lines])
        assert response.status == status
        assert (seen[0].get("Upgrade"), seen[0].get("Connection")) == ((passed, "upgrade") if passed else (None, None))
        if status == 101:
            assert (response.get("Upgrade"), response.get("Connection")) == (answered, "upgrade")
            connection.send(b"x")
            assert receive(connection, 1) == b"x"


OFFERS = {
    "426": (b"426 Upgrade Required", "foo/2, bar", "foo/2, bar"), "426_h2c": (b"426 Upgrade Required", "h2c", "h2c"),
    "200": (b"200 OK", "foo", "foo"), "200_h2c": (b"200 OK", "h2, h2c", None), "404_list": (b"404 Not Found", "h2c, foo", "foo"),
    "204": (b"204 No Content", "foo", "foo"), "malformed": (b"200 OK", "foo bar", None),
}


@pytest.mark.parametrize("name", OFFERS)
def test_offered_protocols(stage, name, proto):
    """What a backend would switch to is told to clients that could ask for it (RFC 9110, 7.8 and 15.5.22; RFC 9113, 8.2.2)."""
    line, said, told_to = OFFERS[name]
    length = b"" if name == "204" else b"Content-Length: 0\r\n"
    stage.origin.scripts["offers"] = answer(b"HTTP/1.1 " + line + b"\r\nConnection: upgrade\r\nUpgrade: " + said.encode()
                                            + b"\r\n" + length + b"\r\n", end="keep")
    expected = told_to if proto in ("h1", "h1s") else None
    with connect(stage.scripted) as connection:
        for _ in range(2):
            response = connection.get("/offers")
            assert response.status == int(line[:3])
            assert (response.get("Upgrade"), response.get("Connection")) == (expected, "upgrade" if expected else None)
    if proto != "h1":
        return
    for version, close in (("HTTP/1.0", "close"), ("HTTP/1.1", "close"), ("HTTP/1.0", "keep-alive")):
        with Connection(stage.scripted) as connection:
            response = connection.get("/offers", version=version, fields={"Connection": close})
            offered = told_to if version == "HTTP/1.1" else None
            assert response.get("Upgrade") == offered
            assert response.get("Connection") == ("close, upgrade" if offered else close)


@pytest.mark.parametrize("version,fields", [
    ("HTTP/1.0", ASK), ("HTTP/1.1", {"Upgrade": "websocket"}), ("HTTP/1.1", {"Connection": "Upgrade"})])
def test_no_tunnel(stage, version, fields):
    """From HTTP/1.0, or not named by Connection: no upgrade, and the backend is not asked for one."""
    with Connection(stage.recorded) as connection:
        got = told(connection.get("/x", fields=fields, version=version))
    assert not got.all("Upgrade") and "upgrade" not in got.words("Connection")


def test_no_tunnel_by_the_backend(stage):
    """An upgrade that is passed over: a plain answer, and the connection goes on."""
    with Connection(stage.scripted) as connection:
        for _ in range(2):
            response = connection.get("/good", fields=ASK)
            assert (response.status, response.body) == (200, b"ok")
        assert connection.get("/good", method="POST", fields=ASK, body=b"abc").body == b"ok"


def test_upgrade_with_a_body(stage):
    """The body comes first, then the tunnel; or there is no upgrade."""
    def script(peer, head):
        assert b"".join(peer.body(head)) == b"abc"
        if not head.get("Upgrade"):
            peer.send(OK)
            return True
        peer.send(ACCEPT)
        echo(peer)
        return False

    stage.origin.scripts["bodied"] = script
    with Connection(stage.scripted) as connection:
        response = connection.get("/bodied", method="POST", fields=ASK, body=b"abc")
        if response.status == 101:
            connection.send(b"x")
            assert receive(connection, 1) == b"x"
        else:
            assert response.status == 200 or 400 <= response.status < 500
