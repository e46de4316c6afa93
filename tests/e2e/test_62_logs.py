# SPDX-License-Identifier: BSD-2-Clause
"""The logs (DESIGN §2, log; §4, After the drop; CASES, Machine): what a line says and why a request ended, in three formats; nobody forges
one. That none is lost is in test_62_lost.py."""
import json
import os
import re
import select
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from client import PROTOCOLS, Ended, connect, curl
from h2client import INITIAL_WINDOW_SIZE, PADDED
from h2client import head as h2_head
from origin import Origin, answer, hang, websocket
from server import SOURCE, Server, wait_for

LOG = "log: { error: { path: stderr, level: debug }, access: { path: $folder/access.log, format: json } }\n"
CONFIG = LOG + """
threads: 1
drain: 1s
limits: { body_size: 100k, header_size: 4k, timeouts: { header: 1s, body: 1s, idle: 20s, send: 1s } }
clients: { trusted_proxies: "10.0.0.0/8" }
upstreams:
  app: { servers: ["$address"], timeouts: { connect: 1s, response: 1s, tunnel: 1s } }
  dead: { servers: ["127.0.0.1:$dead"] }
sites:
  - host: files.example
    listen: "http://127.0.0.1:$port"
    root: $root
    routes:
      /app/: { root: off, proxy: app }
      /dead/: { root: off, proxy: dead }
"""
NUMBERS = {"time", "connection", "request", "status", "bytes_in", "bytes_out", "total_us", "connect_us", "answer_us"}
TEXTS = {"client", "method", "target", "protocol", "tls", "client_subject", "host", "reason", "site", "route", "handler", "variant", "upstream", "server",
         "referer", "user_agent"}


def slow_start(peer, head):
    """A chunk, and another one when the client has had time to leave."""
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        peer.send(b"x" * 1000)
        time.sleep(0.01)


def half(ends):
    """A tunnel in which this side has said all, or waits for ever."""
    def script(peer, head):
        peer.send(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        if ends:
            peer.socket.shutdown(socket.SHUT_WR)
        over = select.poll()  # both directions are, or it was reset
        over.register(peer.socket, 0)
        over.poll(20000)
        return False
    return script


SCRIPTS = {
    "app": lambda peer, head: INNER[head.target.split("/")[2]](peer, head),
}
INNER = {
    "ok": answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", end="keep"),
    "echo": lambda peer, head: (list(peer.body(head)), peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))[0] is not None,
    "hang": hang,
    "close": answer(),
    "garbage": answer(b"garbage\r\n\r\n"),
    "cut": answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
    "bad_chunk": answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"zz\r\n"),
    "slow": slow_start,
    "websocket": websocket,
    "half_backend": half(True),
    "half_client": half(False),
    "silent_body": lambda peer, head: (peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), hang(peer, head))[1],
}


HTTP2 = ("h2", "h2c")


def post(connection, target, length, part=b"", host="files.example", fields=()):
    """Begins a request whose body has this length and begins with this."""
    if hasattr(connection, "streams"):
        pairs = [("content-length", length), *fields]
        connection.waiting.append(connection.headers(h2_head("POST", target, *pairs, scheme=connection.scheme, authority=host), end=False))
        if part:
            connection.data(connection.waiting[-1], part, end=False)
        return
    connection.request(target, method="POST", host=host, fields=[("Content-Length", length), *fields])
    connection.send(part)


class Stage:
    """A weir with an application; `line` is the log's next one."""

    def __init__(self, config=CONFIG, secure=False):
        self.origin = Origin(SCRIPTS)
        closed = Origin()
        closed.close()
        self.weir = Server(config, values={"address": self.origin.address, "dead": closed.port}, secure=secure)
        self.seen = 0

    def __enter__(self):
        self.origin.__enter__()
        self.weir.__enter__()
        (self.weir.root / "a.txt").write_text("hello\n")
        with (self.weir.root / "large.bin").open("wb") as file:
            file.truncate(64 << 20)
        return self

    def __exit__(self, *exception):
        try:
            self.weir.__exit__(*exception)
        finally:
            self.origin.__exit__(*exception)

    def connect(self):
        return connect(self.weir.port)

    def lines(self, count):
        self.seen += count
        found = self.weir.access_lines(self.seen, seconds=20)
        assert len(found) == self.seen
        return [json.loads(line) for line in found[-count:]]

    def line(self):
        return self.lines(1)[0]

    def ask(self, target, **options):
        with self.connect() as connection:
            response = connection.get(target, host=options.pop("host", "files.example"), **options)
        return response, self.line()


@pytest.fixture(scope="module")
def stage():
    with Stage(secure=True) as running:
        yield running


@pytest.fixture(autouse=True)
def in_step(request):
    """A test that failed leaves no line for the next one."""
    if "stage" in request.fixturenames:
        running = request.getfixturevalue("stage")
        running.seen = len(running.weir.access_lines(0))


# --- What a line says. ---

def test_a_file(stage, proto):
    before = time.time()
    with stage.connect() as connection:
        for _ in range(2):
            connection.get("/a.txt?q=1", host="files.example", fields={"Referer": "http://a/", "User-Agent": "test/1"})
    first, line = stage.lines(2)
    assert set(line) == NUMBERS | TEXTS
    assert before - 1 < line["time"] < time.time() + 1
    assert line["connection"] == first["connection"] > 0
    assert (first["request"], line["request"]) == (1, 2)
    expected = {"client": "127.0.0.1", "method": "GET", "target": "/a.txt?q=1", "protocol": "HTTP/2.0" if proto in ("h2", "h2c") else "HTTP/1.1",
                "host": "files.example",
                "status": 200, "reason": "-", "bytes_in": 0, "bytes_out": 6, "site": "files.example", "route": "",
                "handler": "static", "variant": "", "upstream": "", "server": "", "connect_us": None, "answer_us": None,
                "referer": "http://a/", "user_agent": "test/1"}
    assert {key: line[key] for key in expected} == expected
    assert 0 < line["total_us"] < 5_000_000


@pytest.mark.parametrize("suffix,accept", [("zst", "zstd"), ("br", "br"), ("gz", "gzip")])
def test_the_variant(stage, suffix, accept, proto):
    for name in ("small.css", "big.css"):
        size = 100 if name == "small.css" else 300_000
        (stage.weir.root / name).write_bytes(b"a" * size)
        (stage.weir.root / f"{name}.{suffix}").write_bytes(b"z" * (size // 2))
        for fields in ({}, {"If-None-Match": "*"}, {"Range": "bytes=0-3"}, {"If-None-Match": '"x"'}):
            _, line = stage.ask(f"/{name}", fields={"Accept-Encoding": accept, **fields})
            assert line["variant"] == suffix, (name, fields, line)
        _, line = stage.ask(f"/{name}")
        assert line["variant"] == ""
        (stage.weir.root / f"{name}.{suffix}").unlink()


def test_images(stage, proto):
    (stage.weir.root / "photo.jpg").write_bytes(b"\xff\xd8\xff" + b"x" * 100)
    for suffix in ("avif", "webp"):
        other = stage.weir.root / f"photo.jpg.{suffix}"
        other.write_bytes(b"y" * 50)
        _, line = stage.ask("/photo.jpg", fields={"Accept": f"image/{suffix},*/*;q=0.1"})
        assert line["variant"] == suffix
        other.unlink()


def test_a_backend(stage, proto):
    response, line = stage.ask("/app/echo", method="POST", body=b"x" * 5000)
    assert response.status == 200
    assert (line["handler"], line["upstream"], line["server"]) == ("proxy", "app", stage.origin.address)
    assert (line["route"], line["bytes_in"], line["bytes_out"], line["reason"]) == ("/app/", 5000, 2, "-")
    assert 0 <= line["connect_us"] <= line["answer_us"] <= line["total_us"]


def test_a_server_with_several_addresses(weir, proto):
    """The one that was asked is told; the name where none could be connected to."""
    with Origin(SCRIPTS) as origin:
        server = weir(LOG + """
sites:
  - { listen: "http://127.0.0.1:$port", proxy: "localhost:$address" }
""", values={"address": origin.port}, secure=True)
        with connect(server.port) as connection:
            for _ in range(2):  # a new connection, and a kept one
                assert connection.get("/").status == 200
            origin.shut()
            assert connection.get("/").status == 502
        lines = [json.loads(line) for line in server.access_lines(3)]
        assert [line["server"] for line in lines] == [origin.address, origin.address, f"localhost:{origin.port}"]


def test_chunks_count_as_what_they_hold(stage, proto):
    """And frames: without their padding."""
    with stage.connect() as connection:
        if proto in HTTP2:
            fields = h2_head("POST", "/app/echo", scheme=connection.scheme, authority="files.example")
            connection.waiting.append(connection.headers(fields, end=False))
            connection.data(1, b"abc", end=False)
            connection.data(1, b"\4abcde\0\0\0\0", end=False, flags=PADDED)
            connection.trailers(1, [("x-t", "1")])
        else:
            connection.request("/app/echo", method="POST", host="files.example", fields={"Transfer-Encoding": "chunked"})
            connection.send(b"3\r\nabc\r\n5;x=y\r\nabcde\r\n0\r\nX-T: 1\r\n\r\n")
        assert connection.read().status == 200
    assert stage.line()["bytes_in"] == 8


def test_a_tunnel_counts_both_directions(stage):
    with stage.connect() as connection:
        connection.request("/app/websocket", host="files.example", fields={"Connection": "Upgrade", "Upgrade": "websocket"})
        assert connection.read().status == 101
        connection.send(b"x" * 1000)
        wait_for(lambda: connection.fill(1) and len(connection.buffer) == 1000, what="the echo")
        connection.half_close()
        assert connection.wait_end() == "fin"
        assert connection.buffer == b"x" * 1000 + b"bye"
    line = stage.line()
    assert (line["status"], line["bytes_in"], line["bytes_out"], line["reason"]) == (101, 1000, 1003, "-")


# --- Why it ended. ---

def manual_reasons():
    """The codes that weir.yaml(5) explains."""
    page = (Path(os.environ.get("WEIR_BUILDDIR") or Path(os.environ["WEIR_BIN"]).parent) / "conf/weir.yaml.5").read_text()
    table = page.split(".It client-gone")[1].split(".El")[0]
    return {"-", "client-gone", *re.findall(r"^\.It ([a-z-]+)$", table, re.MULTILINE)}


def test_the_manual_names_every_reason():
    text = (SOURCE / "server/http/end.c").read_text()
    codes = set(re.findall(r'\] = \{"([a-z-]+)",', text))
    assert codes == manual_reasons() and len(codes) > 20


REFUSED = [
    (b"GET / HTTP/1.1\r\nHost: a\r\nbad\r\n\r\n", 400, "bad-head"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "bad-head"),
    (b"GET /../x HTTP/1.1\r\nHost: files.example\r\n\r\n", 400, "bad-head"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad-head"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 5000 + b"\r\n\r\n", 431, "head-size"),
    (b"GET /" + b"x" * 5000, 414, "target-size"),
    (b"POST / HTTP/1.1\r\nHost: files.example\r\nContent-Length: 200000\r\n\r\n", 413, "body-size"),
    (b"POST /app/echo HTTP/1.1\r\nHost: files.example\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n", 413, "body-size"),
    (b"POST /app/echo HTTP/1.1\r\nHost: files.example\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad-body"),
    (b"GET / HTTP/1.1\r\nHost: files.example\r\nExpect: wonders\r\n\r\n", 417, "expectation"),
    (b"GET / HTTP/1.1\r\nHost: nobody.example\r\n\r\n", 421, "misdirected"),
    (b"GET / HTTP/3.7\r\nHost: a\r\n\r\n", 505, "unsupported"),
    (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501, "unsupported"),
    (b"GET / HTTP/1.1\r\nHo", 408, "client-header"),
    (b"POST /app/echo HTTP/1.1\r\nHost: files.example\r\nContent-Length: 9\r\n\r\nabc", 408, "client-body"),
    (b"GET /app/ok HTTP/1.1\r\nHost: files.example\r\n" + b"Via: 1.1 weir\r\n" * 8 + b"\r\n", 508, "circle"),
]


@pytest.mark.parametrize("octets,status,reason", REFUSED, ids=range(len(REFUSED)))
def test_refused(stage, octets, status, reason):
    with stage.connect() as connection:
        connection.send(octets)
        assert connection.read().status == status
    line = stage.line()
    assert (line["status"], line["reason"]) == (status, reason)


@pytest.mark.parametrize("target,options,status,reason", [
    ("/", {"fields": {"X": "x" * 5000}}, 431, "head-size"), ("/", {"fields": {"Expect": "wonders"}}, 417, "expectation"),
    ("/", {"host": "nobody.example"}, 421, "misdirected"), ("/app/ok", {"fields": [("Via", "1.1 weir")] * 8}, 508, "circle"),
], ids=range(4))
def test_refused_over_all(stage, target, options, status, reason, proto):
    """Of the same, what is well-formed."""
    response, line = stage.ask(target, **options)
    assert (response.status, line["status"], line["reason"]) == (status, status, reason)


@pytest.mark.parametrize("target,length,part,status,reason", [("/", 200000, b"", 413, "body-size"), ("/app/echo", 9, b"abc", 408, "client-body")])
@pytest.mark.parametrize("proto", ["h1", "h2"], indirect=True)
def test_refused_with_its_body(stage, target, length, part, status, reason, proto):
    with stage.connect() as connection:
        post(connection, target, length, part)
        assert connection.read(seconds=15).status == status
    line = stage.line()
    assert (line["status"], line["reason"], line["bytes_in"]) == (status, reason, len(part))


@pytest.mark.parametrize("octets,method,target,protocol", [
    (b"GET /a?b HTTP/1.1\r\nHost: files.example\r\nsecret\r\n\r\n", "GET", "/a?b", "HTTP/1.1"),
    (b"HEAD /a HTTP/1.0\r\nsecret: \1\r\n\r\n", "HEAD", "/a", "HTTP/1.0"),
    (b"PUT /a HTTP/1.1\r\n secret: a\r\n\r\n", "PUT", "/a", "HTTP/1.1"),
    (b"GET /a HTTP/1.1\r\nHost: b\nsecret: a\r\n\r\n", "GET", "/a", "HTTP/1.1"),
    (b"GET /\"\\ HTTP/1.1\r\nX: " + b"x" * 5000, "GET", '/"\\', "HTTP/1.1"),
    (b"GET /a HTTP/1.1\r\nsecr", "GET", "/a", "HTTP/1.1"),
    (b"GET /a HTTP/9.1\r\n\r\n", "GET", "/a", ""), (b"GET /a secret\r\n\r\n", "GET", "/a", ""),
    (b"GET /secret\1 HTTP/1.1\r\n\r\n", "GET", "", ""), (b"secret\1 / HTTP/1.1\r\n\r\n", "", "", ""),
], ids=range(10))
def test_what_is_told_of_a_malformed_head(stage, octets, method, target, protocol):
    """The request line as far as it was sound, and nothing of what was not."""
    with stage.connect() as connection:
        connection.send(octets)
        assert connection.read("HEAD" if octets.startswith(b"HEAD ") else "GET").status >= 400
    line = stage.line()
    assert (line["method"], line["target"], line["protocol"]) == (method, target, protocol)
    assert "secr" not in json.dumps(line)


def test_a_connection_too_many():
    config = CONFIG.replace("limits: {", "limits: { connections: 1,").replace("response: 1s", "response: 60s")
    with Stage(config) as stage:
        with stage.connect() as first:
            first.request("/app/hang", host="files.example")
            wait_for(stage.origin.targets, what="the backend is asked")
            with stage.connect() as second:
                answer = second.read()
                assert (answer.status, answer.get("Connection")) == (503, "close")
            line = stage.line()
            assert {name: line[name] for name in ("client", "method", "target", "host", "status", "reason", "bytes_out", "site", "handler")} == {
                "client": "127.0.0.1", "method": "", "target": "", "host": "", "status": 503, "reason": "connections", "bytes_out": 0,
                "site": "", "handler": ""}
        assert stage.line()["connection"] != line["connection"]


FAILING = [
    ("/app/close", 502, "backend-closed"), ("/app/garbage", 502, "backend-malformed"), ("/app/hang", 504, "backend-timeout"),
    ("/dead/", 502, "backend-connect"), ("/app/cut", 200, "backend-closed"), ("/app/bad_chunk", 200, "backend-malformed"),
    ("/app/silent_body", 200, "backend-timeout"),
]


@pytest.mark.parametrize("proto,target,status,reason", [
    (proto, *case) for case in FAILING for proto in (("h1", "h2") if case[2] == "backend-timeout" else PROTOCOLS)
], indirect=["proto"])
def test_backends_that_fail(stage, target, status, reason, proto):
    with stage.connect() as connection:
        connection.request(target, host="files.example")
        try:
            connection.read()
        except Ended:
            pass
    line = stage.line()
    assert (line["status"], line["reason"]) == (status, reason)
    assert line["server"] == ("127.0.0.1:" + str(stage.weir.values["dead"]) if target == "/dead/" else stage.origin.address)
    assert (line["connect_us"] is None) == (reason == "backend-connect")
    assert (line["answer_us"] is None) == (reason == "backend-connect" or target in ("/app/close", "/app/hang"))


@pytest.mark.parametrize("target", ["/large.bin", "/app/slow", "/app/hang"])
def test_a_client_that_leaves(stage, target, proto):
    connection = stage.connect()
    if target == "/app/hang":
        asked = len(stage.origin.targets())
        connection.request(target, host="files.example")
        wait_for(lambda: stage.origin.targets()[asked:] == [target], what="the backend is asked")
    else:
        connection.begin(target, host="files.example")
    connection.reset()
    line = stage.line()
    assert line["reason"] == "client-gone"
    assert line["status"] == (499 if target == "/app/hang" else 200)


@pytest.mark.parametrize("target", ["/large.bin", "/app/slow", "/app/hang"])
def test_a_client_that_leaves_a_stream(stage, target, proto_h2):
    """The connection stays."""
    with connect(stage.weir.port, proto_h2) as connection:
        asked = len(stage.origin.targets())
        connection.request(target, host="files.example")
        if target == "/app/hang":
            wait_for(lambda: stage.origin.targets()[asked:] == [target], what="the backend is asked")
        else:
            connection.until(lambda: connection.streams[1].body, what="the beginning of an answer")
        connection.rst(1)
        line = stage.line()
        assert (line["status"], line["reason"]) == (499 if target == "/app/hang" else 200, "client-gone")
        assert connection.alive()


def test_a_client_that_leaves_behind_a_whole_answer(stage, proto_h2):
    """What was handed to the kernel to its last octet is whole, also where other streams' octets wait behind it."""
    for _ in range(3):
        with connect(stage.weir.port, proto_h2, narrow=4096, options={INITIAL_WINDOW_SIZE: 1 << 30}) as connection:
            connection.update(0, 1 << 30)
            connection.begin("/large.bin", host="files.example")
            connection.get("/a.txt", host="files.example", fields={"Priority": "u=0"})
            connection.reset()
        found = {line["target"]: line["reason"] for line in stage.lines(2)}
        assert found == {"/large.bin": "client-gone", "/a.txt": "-"}


@pytest.mark.parametrize("proto", ["h1", "h2", "h2c"], indirect=True)
def test_a_client_that_leaves_its_own_body(stage, proto):
    with stage.connect() as connection:
        post(connection, "/app/echo", 9, b"abc")
        if proto in HTTP2:
            connection.rst(1)
            assert connection.alive()
        else:
            connection.half_close()
            connection.drain()
    line = stage.line()
    assert (line["reason"], line["bytes_in"]) == ("client-gone", 3)


@pytest.mark.parametrize("proto", ["h1", "h2"], indirect=True)
def test_a_client_that_does_not_read(stage, proto):
    with stage.connect() as connection:
        connection.request("/large.bin", host="files.example")
        line = stage.line()
        assert (line["status"], line["reason"]) == (200, "client-send")
        assert 0 < line["bytes_out"] < 64 << 20


def test_a_client_that_is_slow():
    with Stage(CONFIG.replace("limits: {", "limits: { min_rate: 1G,").replace("send: 1s", "send: 60s")) as stage:
        with stage.connect() as connection:
            connection.request("/large.bin", host="files.example")
            line = None
            while not line:
                connection.socket.settimeout(1)
                try:
                    connection.socket.recv(1000)
                except OSError:
                    pass
                found = stage.weir.access_lines(0)
                line = json.loads(found[0]) if found else None
                time.sleep(0.05)
            stage.seen = 1
        assert line["reason"] == "client-rate"


def test_a_tunnel_that_is_silent(stage):
    with stage.connect() as connection:
        connection.request("/app/websocket", host="files.example", fields={"Connection": "Upgrade", "Upgrade": "websocket"})
        assert connection.read().status == 101
        assert connection.wait_end()
    assert stage.line()["reason"] == "tunnel-idle"


@pytest.mark.parametrize("ends", ["backend", "client"])
def test_a_tunnel_that_is_silent_behind_one_end(stage, ends):
    """One side has said all that it has to say, and the other one says nothing more."""
    with stage.connect() as connection:
        connection.request(f"/app/half_{ends}", host="files.example", fields={"Connection": "Upgrade", "Upgrade": "websocket"})
        assert connection.read().status == 101
        if ends == "client":
            connection.half_close()
        assert connection.wait_end()
        line = stage.line()
    assert (line["status"], line["reason"], line["bytes_out"]) == (101, "tunnel-idle", 5)


def test_a_file_that_is_written_while_it_is_sent(stage, proto):
    path = stage.weir.root / "changing.bin"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    with stage.connect() as connection:
        connection.begin("/changing.bin", host="files.example")
        with path.open("r+b") as file:
            file.truncate(1000)
        with pytest.raises(Ended):
            connection.read(seconds=10)
    assert stage.line()["reason"] == "file-changed"


@pytest.mark.parametrize("proto", ["h1", "h2"], indirect=True)
def test_a_stop(proto):
    with Stage(secure=True) as stage:
        connection = stage.connect()
        connection.begin("/app/slow", host="files.example")
        assert stage.weir.stop(signal.SIGINT) == 0
        line = stage.line()
        assert (line["status"], line["reason"]) == (200, "shutdown")
        connection.close()


# --- The other formats. ---

def test_common_and_combined(weir, proto):
    for log_format in ("common", "combined"):
        server = weir(CONFIG.replace("format: json", f"format: {log_format}").replace("$address", "127.0.0.1:1").replace("$dead", "1"),
                      secure=True)
        (server.root / "a.txt").write_text("hello\n")
        curl(server.url("/a.txt"), "-H", "Host: files.example", "-H", "Referer: http://a/", "-A", "test/1", proto=proto)
        line, = server.access_lines(1)
        common = rb'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a\.txt HTTP/%s" 200 6' % (rb"2\.0" if proto in HTTP2 else rb"1\.1")
        assert re.fullmatch(common + (rb' "http://a/" "test/1"' if log_format == "combined" else b""), line)


def test_off(weir):
    server = weir("log: { access: off }\nsites: [{ listen: \"http://127.0.0.1:$port\", root: $root }]\n")
    assert curl(server.url("/")).status == 404
    assert server.stop() == 0
    assert not (server.folder / "access.log").exists()


# --- Nobody forges a line. ---

def octet_requests():
    """Each octet in each place that reaches a log."""
    for octet in range(256):
        one = bytes([octet])
        places = (b"G" + one + b"T / HTTP/1.1\r\nHost: files.example\r\n\r\n",
                  b"GET /app/close/" + one + b"x HTTP/1.1\r\nHost: files.example\r\n\r\n",
                  b"GET /?" + one + b"x HTTP/1.1\r\nHost: files.example\r\n\r\n",
                  b"GET / HTTP/1.1\r\nHost: a" + one + b"b\r\n\r\n",
                  b"GET / HTTP/1.1\r\nHost: files.example\r\nUser-Agent: a" + one + b"b\r\nReferer: " + one + b"z\r\n\r\n",
                  b"GET /app/ok HTTP/1.1\r\nHost: files.example\r\nX_" + one + b"y: 1\r\n\r\n",
                  b"GET /app/ok HTTP/1.1\r\nHost: files.example\r\nX-Forwarded-For: " + one + b"\r\n\r\n")
        for request in places:
            yield request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


@pytest.mark.parametrize("log_format", ["common", "combined", "json"])
def test_no_octet_forges_a_line(log_format):
    """As many lines as answers, each of printable ASCII and of the form that it has to have, in both logs."""
    with Stage(CONFIG.replace("format: json", f"format: {log_format}").replace("header: 1s", "header: 100ms")) as stage:
        answers, lock = [], threading.Lock()
        requests = list(octet_requests())

        def ask():
            while True:
                with lock:
                    if not requests:
                        return
                    request = requests.pop()
                with stage.connect() as connection:
                    connection.send(request)
                    responses, _ = connection.drain()
                with lock:
                    answers.extend(responses)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines = stage.weir.access_lines(len(answers), seconds=20)
        assert len(lines) == len(answers) > 1500
        patterns = {"common": rb'127\.0\.0\.1 - - \[[^]]+\] "[^"]*" \d{3} \d+',
                    "combined": rb'127\.0\.0\.1 - - \[[^]]+\] "[^"]*" \d{3} \d+ "[^"]*" "[^"]*"', "json": rb"\{.*\}"}
        for line in lines:
            assert re.fullmatch(rb"[\x20-\x7e]+", line), line
            assert re.fullmatch(patterns[log_format], line), line
            if log_format == "json":
                assert set(json.loads(line)) == NUMBERS | TEXTS
        stage.weir.stop()
        text = stage.weir.errors.read_bytes()
        assert b"upstream app" in text
        for line in text.split(b"\n")[:-1]:
            assert re.match(rb"\d{4}-\d\d-\d\dT[\d:.]+Z (error|warn|info|debug) ", line), line
            line.decode("utf-8")
            assert not re.search(rb"[\x00-\x1f\x7f]", line), line


@pytest.mark.parametrize("proto", ["h1", "h2"], indirect=True)
def test_what_clients_provoke_is_limited(proto):
    """At most ten lines of one kind a second; how many were left out is said, and connection and request are named."""
    with Stage(secure=True) as stage:
        begun = time.monotonic()
        with stage.connect() as connection:
            for _ in range(300):
                assert connection.get("/dead/", host="files.example").status == 502
        spent = time.monotonic() - begun
        text = stage.weir.log()
        told = len(re.findall(r"upstream dead", text))
        assert 0 < told <= 10 * (spent + 2)
        assert re.search(r" connection \d+ request \d+: upstream dead: GET /dead/: no server could be connected to", text)
