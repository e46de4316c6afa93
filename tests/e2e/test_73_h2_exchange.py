# SPDX-License-Identifier: BSD-2-Clause
"""Requests and answers over HTTP/2, in clear and over TLS (RFC 9113, 8): bodies, trailers, interim answers, answers without bodies,
answers that are cut, streams that a side gives up, hundreds at once."""
import hashlib
import socket
import struct
import time

import pytest

from h2client import *
from h2stage import INDEX, PIECE, SCRIPTED, lives, refuses
from origin import CUT, REFUSED, pattern, pattern_digest
from proxied import told
from server import wait_for
from streams import down


@pytest.fixture
def c(h2stage, proto_h2):
    with h2stage.open(proto=proto_h2, seconds=20) as connection:
        yield connection


@pytest.fixture
def b(h2stage, proto_h2):
    """A connection to the site whose backend does what its scripts say."""
    with h2stage.open(SCRIPTED, proto=proto_h2, seconds=20) as connection:
        yield connection


# --- Files ---

def test_file(c):
    response = c.get("/ten.txt")
    assert (response.status, response.body) == (200, b"0123456789")
    assert response.get("content-length") == "10" and response.get("content-type") == "text/plain; charset=utf-8"
    assert response.get("etag") and response.get("date") and not response.all("connection")


def test_long_file(c):
    response = c.get("/big.bin")
    assert hashlib.sha256(response.body).digest() == hashlib.sha256(PIECE * 8).digest()


def test_head(c):
    response = c.get("/big.bin", method="HEAD")
    assert (response.status, response.get("content-length"), response.body) == (200, str(8 << 20), b"")
    lives(c)


@pytest.mark.parametrize("target,fields,status", [
    ("/empty.txt", {}, 200), ("/ten.txt", {"if-none-match": "*"}, 304), ("/ten.txt", {"if-match": '"other"'}, 412), ("/ten.txt", {"range": "bytes=20-"}, 416),
], ids=["empty", "304", "412", "416"])
def test_without_a_body(c, target, fields, status):
    response = c.get(target, fields=fields)
    assert response.status == status and (status == 416 or status == 412 or response.body == b"")
    lives(c)


def test_ranges(c):
    response = c.get("/big.bin", fields={"range": "bytes=1000000-1999999"})
    assert (response.status, response.body) == (206, (PIECE * 2)[1000000:2000000])
    several = c.get("/ten.txt", fields={"range": "bytes=0-1,5-6"})
    assert several.status == 206 and several.get("content-type").startswith("multipart/byteranges")


def test_end_comes_with_what_is_last(h2stage, c):
    """A bodiless answer is one frame; a short body's DATA has END_STREAM itself or is followed by an empty one."""
    c.get("/ten.txt", method="HEAD")
    assert [entry for entry in c.order if entry[0] == 1] == [(1, None)]
    c.get("/ten.txt")
    assert len([entry for entry in c.order if entry[0] == 3]) <= 3


def test_a_thousand_one_after_the_other(c):
    for _ in range(1000):
        assert c.get("/ten.txt").body == b"0123456789"


def test_a_hundred_at_once(c):
    """All of them begin before one of them ends."""
    streams = [c.start("/big.bin" if number % 10 == 0 else "/mib.bin") for number in range(100)]
    for number, stream in enumerate(streams):
        assert c.response(stream, 60).body == (PIECE * 8 if number % 10 == 0 else PIECE), number


# --- The backend ---

def test_what_the_backend_gets(c, proto_h2):
    got = told(c.get("/x?y=%20z", fields={"user-agent": "test", "cookie": "a=b", "te": "trailers"}))
    assert (got.method, got.target, got.body) == ("GET", "/x?y=%20z", "")
    assert got.all("Host") == ["localhost"] and got.all("User-Agent") == ["test"]
    assert got.all("X-Forwarded-Proto") == ["https" if proto_h2 == "h2" else "http"] and got.all("X-Forwarded-For") == ["127.0.0.1"]
    assert not [name for name, _ in got.fields if name.startswith(":")]


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 3 << 20])
@pytest.mark.parametrize("announced", [True, False])
def test_upload(b, size, announced):
    """With a length, and without one."""
    body = b"".join(pattern(size))
    fields = [("content-length", size)] if announced else []
    stream = b.headers(head("POST", "/digest", *fields, scheme=b.scheme), end=False)
    b.upload(stream, body)
    assert b.response(stream).body.decode().split("\n") == [pattern_digest(size), str(size)]


def test_upload_in_the_smallest_pieces(b):
    stream = b.headers(head("PUT", "/digest", scheme=b.scheme), end=False)
    b.upload(stream, b"x" * 2000, size=1)
    assert b.response(stream).body.decode().split("\n")[1] == "2000"


def test_uploads_at_once(b):
    """Each gets what its own body makes."""
    streams = [b.headers(head("PUT", "/digest", scheme=b.scheme), end=False) for _ in range(30)]
    for at in range(0, 50000, 5000):
        for number, stream in enumerate(streams):
            b.upload(stream, bytes([number]) * 5000, end=at == 45000)
    for number, stream in enumerate(streams):
        assert b.response(stream).body.decode().split("\n")[0] == hashlib.sha256(bytes([number]) * 50000).hexdigest()


DATA_SEGMENTS_IN = 152  # the place of tcpi_data_segs_in in struct tcp_info


def segments(peer, head):
    """Answers with the connection, how many segments with data have come on it, and the body."""
    body = b"".join(peer.body(head))
    came = struct.unpack_from("=I", peer.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), DATA_SEGMENTS_IN)[0]
    answer = b"%d %d %s" % (id(peer), came, body)
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
    return True


def test_a_body_with_its_head(b, h2stage):
    """What the client sends together leaves for a backend that is connected together, too: each piece would be a call, and wake the backend."""
    h2stage.origin.scripts["segments"] = segments
    came = []
    for _ in range(3):
        with b.at_once():
            stream = b.headers(head("POST", "/segments", scheme=b.scheme), end=False)
            b.data(stream, b"body")
        came.append(b.response(stream).body.split())
    assert came == [[came[0][0], b"%d" % (int(came[0][1]) + further), b"body"] for further in range(3)]


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("size", [0, 5, 3000000])
def test_download(b, framing, size):
    """Trailers pass to who says that it takes them (RFC 9110, 6.5.1)."""
    response = b.get(f"/give/{framing}/{size}", fields={"te": "trailers"})
    assert (response.status, len(response.body), hashlib.sha256(response.body).hexdigest()) == (200, size, pattern_digest(size))
    assert response.trailers == ([("x-t", "1")] if framing == "chunked" else [])


def test_request_trailers(b):
    stream = b.headers(head("POST", "/digest", ("trailer", "x-sum"), scheme=b.scheme), end=False)
    b.upload(stream, b"body", end=False)
    b.trailers(stream, [("x-sum", "1"), ("x-more", "2")])
    assert [line.lower() for line in b.response(stream).body.decode().split("\n")[2:]] == ["x-sum: 1", "x-more: 2"]


def test_trailers_of_no_body(b):
    stream = b.headers(head("POST", "/digest", scheme=b.scheme), end=False)
    b.trailers(stream, [("x-sum", "1")])
    assert [line.lower() for line in b.response(stream).body.decode().split("\n")[1:]] == ["0", "x-sum: 1"]


def grpc(peer, head_of):
    """What a gRPC server says behind HTTP/1.1: a message, and its status in the trailers."""
    body = b"".join(peer.body(head_of))
    assert head_of.get("TE") in (None, "trailers")
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n")
    peer.send(b"%x\r\n%s\r\n" % (len(body), body) if body else b"")
    peer.send(b"0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n")
    return True


@pytest.fixture(scope="module")
def scripts(h2stage):
    """Scripts of this file's own."""
    own = {"grpc": grpc, "down": down, "204": none(204), "304": none(304), "unread": unread, "early": early, "cookies": cookies}
    h2stage.origin.scripts.update(own)


def none(status):
    def script(peer, head_of):
        peer.send(b"HTTP/1.1 %d None\r\nX-A: 1\r\n\r\n" % status)
        return True
    return script


def unread(peer, head_of):
    """Does not read the body until it is told to: never."""
    peer.ended(30)
    return False


def early(peer, head_of):
    """An answer that does not wait for the body, which is read then."""
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
    for _ in peer.body(head_of):
        pass
    return True


def cookies(peer, head_of):
    peer.send(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-COOKIE: b=2\r\nX-UPPER: \t v \r\nConnection: X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n"
              b"Content-Length: 0\r\n\r\n")
    return True


def test_grpc(scripts, b):
    message = b"\0\0\0\0\5hello"
    stream = b.headers(head("POST", "/grpc/Echo", ("content-type", "application/grpc"), ("te", "trailers"), scheme=b.scheme), end=False)
    b.upload(stream, message)
    response = b.response(stream)
    assert (response.body, response.trailers) == (message, [("grpc-status", "0"), ("grpc-message", "fine")])


def test_fields_of_an_answer(scripts, b):
    """Names in lower case; what belongs to the backend's connection does not pass."""
    response = b.get("/cookies")
    assert response.all("set-cookie") == ["a=1", "b=2"] and response.get("x-upper") == "v"
    assert not response.all("x-secret") and not response.all("keep-alive")


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_have_no_body(scripts, b, status):
    response = b.get(f"/{status}")
    assert (response.status, response.get("x-a"), response.body) == (status, "1", b"")


def test_head_of_a_backend(b):
    assert (b.get("/plain", method="HEAD").status, b.get("/plain").body) == (200, b"ok")


def test_interim_answers(b):
    response = b.get("/interim")
    assert [one.status for one in response.interim if one.status != 100] == [102, 103]
    assert response.interim[-1].get("link") == "</a.css>; rel=preload" and response.body == b"ok"


def test_expect(c):
    """The body is asked for by 100 before it comes."""
    stream = c.headers(head("POST", "/x", ("expect", "100-continue"), ("content-length", "4"), scheme=c.scheme), end=False)
    c.until(lambda: c.streams[stream].interim, what="100 Continue")
    assert c.streams[stream].interim[0].status == 100
    c.upload(stream, b"body")
    assert told(c.response(stream)).body == "body"


def test_no_100_that_nobody_asked_for(b):
    stream = b.headers(head("POST", "/digest", scheme=b.scheme), end=False)
    b.upload(stream, b"body")
    assert b.response(stream).interim == []


def test_events_come_at_once(b):
    """Each event is there before the next one is sent."""
    stream = b.start("/events")
    late = []
    while not b.streams[stream].over:
        before = len(b.streams[stream].body)
        b.take(5)
        new = bytes(b.streams[stream].body[before:])
        if new:
            late.append(time.monotonic() - float(new.split()[-1]))
    assert len(late) >= 9 and sorted(late)[len(late) // 2] < 0.04, late


# --- What is cut, refused, given up ---

@pytest.mark.parametrize("name", sorted(set(CUT) - {"hang_mid_body"}))
def test_cut_answers(b, name):
    """Never END_STREAM: the client must see that it is not whole (8.1)."""
    stream = b.start(f"/{name}")
    kind, code = b.outcome(stream)
    assert kind == "reset" and code in (INTERNAL_ERROR, CANCEL, PROTOCOL_ERROR), (kind, code)
    assert not b.streams[stream].whole
    assert b.get("/plain").body == b"ok"


@pytest.mark.parametrize("name", ["close_before", "close_in_head", "reset_before", "length_twice", "te_and_length", "http09", "bare_cr", "fold", "nul", "many_fields"])
def test_answers_that_are_none(b, name):
    response = b.get(f"/{name}")
    assert response.status == 502 and b"evil" not in response.body
    assert b.get("/plain").body == b"ok"


def test_early_answer(b):
    """An answer before the request's end: it is whole, and RST_STREAM with NO_ERROR asks for no more (8.1)."""
    stream = b.headers(head("POST", "/refuse_body", ("content-length", str(100 << 20)), scheme=b.scheme), end=False)
    assert b.outcome(stream) == ("status", 413)
    assert b.streams[stream].whole and bytes(b.streams[stream].body) == b"no"
    b.until(lambda: b.streams[stream].reset is not None, what="RST_STREAM")
    assert b.streams[stream].reset == NO_ERROR
    assert b.get("/plain").body == b"ok"


def test_early_answer_and_the_whole_body(scripts, b):
    """Who goes on sending is not hurt."""
    stream = b.headers(head("POST", "/early", scheme=b.scheme), end=False)
    assert b.outcome(stream) == ("status", 200)
    if b.streams[stream].reset is None:
        b.upload(stream, b"x" * 1000)
    assert b.streams[stream].whole and bytes(b.streams[stream].body) == b"early"
    assert b.get("/plain").body == b"ok"


def test_file_ignores_a_body(c):
    """A GET with a body: the file is answered, the rest of the body is not waited for."""
    stream = c.headers(head("GET", "/ten.txt", scheme=c.scheme), end=False)
    assert c.outcome(stream) == ("status", 200)
    lives(c)


def test_client_gives_up_a_download(h2stage, scripts, b):
    """RST_STREAM ends the exchange at the backend too; the connection lives."""
    before = set(h2stage.origin.peers)
    stream = b.start("/down/length/64")
    b.until(lambda: len(b.streams[stream].body) > 100000)
    b.rst(stream)
    wait_for(lambda: not {peer for peer in h2stage.origin.peers if peer not in before}, 10, "the backend's connection to end")
    assert b.get("/plain").body == b"ok"


def test_client_gives_up_an_upload(h2stage, c):
    h2stage.recorder.take()
    stream = c.headers(head("POST", "/upload", scheme=c.scheme), end=False)
    c.upload(stream, b"x" * 5000, end=False)
    c.rst(stream)
    lives(c)
    assert [seen.verdict for seen in h2stage.reached()] in (["cut"], []), "never whole"


def test_client_leaves(h2stage, scripts, b):
    """A connection that ends takes its exchanges along."""
    before = set(h2stage.origin.peers)
    streams = [b.start("/down/length/64") for _ in range(5)]
    b.until(lambda: all(b.streams[stream].body for stream in streams))
    b.reset()
    wait_for(lambda: not {peer for peer in h2stage.origin.peers if peer not in before}, 10, "the backend's connections to end")


def test_answer_behind_a_reset_is_passed_over(b):
    """A stream that the client gave up before its answer: nothing of it comes behind the next answers."""
    for _ in range(20):
        stream = b.start("/give/length/100000")
        b.rst(stream)
    assert b.get("/plain").body == b"ok"
    b.alive()


def test_log_names_the_version(h2stage, c):
    c.get("/ten.txt?logged")
    file = h2stage.weir.folder / "access.log"
    line = wait_for(lambda: [one for one in file.read_bytes().split(b"\n") if b"?logged" in one], what="the line")[-1]
    assert b'"GET /ten.txt?logged HTTP/2.0" 200 10' in line


# --- Other sides of the same port ---

def test_h1_beside_h2c(h2stage):
    from client import Connection
    with Connection(h2stage.weir.port) as h1:
        assert h1.get("/").body == INDEX
    with h2stage.open() as c:
        lives(c)


@pytest.mark.parametrize("offered,spoken", [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), (["http/1.1", "h2"], "h2"), ([], None)],
                         ids=["both", "h1", "h1 first", "none"])
def test_alpn(h2stage, offered, spoken):
    """RFC 7301: the server prefers h2; without ALPN it is HTTP/1.1."""
    import certificates
    from client import Connection
    with Connection(h2stage.weir.ports["port3"], tls=certificates.context(alpn=offered)) as connection:
        assert connection.socket.selected_alpn_protocol() == spoken
        if spoken != "h2":
            assert connection.get("/").body == INDEX


def test_upgrade_to_h2c_is_not_taken(h2stage):
    """RFC 9113, 3.1: the Upgrade way is gone; it is answered in HTTP/1.1."""
    from client import Connection
    with Connection(h2stage.weir.port) as h1:
        response = h1.get("/", fields={"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAoAAAAAIAAAAA"})
        assert (response.status, response.body) == (200, INDEX)
