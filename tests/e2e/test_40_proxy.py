# SPDX-License-Identifier: BSD-2-Clause
"""Through the proxy: backends that misbehave in each way of CASES.md, bodies of all sizes and framings both ways, tunnels,
interim answers, kept connections, several servers, memory (DESIGN §3 and §5; RFC 9110, 7 and 15; RFC 9112, 6 to 9)."""
import hashlib
import itertools
import re
import shutil
import socket
import threading
import time

import pytest

from client import PROTOCOLS, SCHEMES, Connection, Ended, arrivals, connect, fetch, learned
from origin import CUT, POISON, REFUSED, SCRIPTS, Origin, close_idle, pattern, pattern_digest, plain
from server import Server, new_folder, status, wait_for

CONFIG = """
threads: 1
limits: { body_size: 10G, timeouts: { header: 3s, body: 5s, idle: 20s, send: 5s } }
upstreams:
  app: { servers: ["$address"], timeouts: { connect: 1s, response: 2s, idle: 20s } }
sites:
  - { listen: "http://127.0.0.1:$port", proxy: app }
"""


@pytest.fixture(scope="module")
def stage():
    """An origin with all scripts, and a weir before it."""
    with Origin() as origin, Server(CONFIG, values={"address": origin.address}, secure=True) as weir:
        weir.origin = origin
        yield weir


def some(*protos):
    """Runs a test over some of the protocols."""
    return pytest.mark.parametrize("proto", [proto for proto in protos if proto in PROTOCOLS], indirect=True)


def another(weir, config, **values):
    return weir(config, values=values, secure=True)


def is_h2(connection):
    return hasattr(connection, "streams")


def put(connection, target, length, fields=()):
    """Begins an upload; length None: it is not told. Returns what sends a piece of the body, and what ends it with fields, or without."""
    if is_h2(connection):
        from h2client import head  # not all that speak HTTP/1.1 have what it needs
        told = [] if length is None else [("content-length", length)]
        stream = connection.headers(head("PUT", target, *told, *fields, scheme=connection.scheme), end=False)
        connection.waiting.append(stream)
        return (lambda piece: connection.upload(stream, piece, end=False),
                lambda trailers: connection.trailers(stream, trailers) if trailers else connection.data(stream))
    told = ("Transfer-Encoding", "chunked") if length is None else ("Content-Length", length)
    connection.request(target, method="PUT", fields=[told, *fields])
    if length is not None:
        return lambda piece: connection.send(piece, seconds=20), lambda trailers: None
    return (lambda piece: connection.send(b"%x\r\n%s\r\n" % (len(piece), piece), seconds=20),
            lambda trailers: connection.send("".join(["0\r\n", *(f"{name}: {value}\r\n" for name, value in trailers), "\r\n"]).encode()))


def interims(connection, count):
    """So many interim answers, as they come."""
    if not is_h2(connection):
        return [connection.read(interim=False) for _ in range(count)]
    stream = connection.streams[connection.waiting[-1]]
    connection.until(lambda: len(stream.interim) >= count, what="interim answers")
    return list(stream.interim)


def assert_good(port):
    """The next requests have answers of their own."""
    with connect(port) as connection:
        for method in ("GET", "POST"):
            connection.request("/good", method=method, body=b"x" if method == "POST" else b"")
            response = connection.read()
            assert (response.status, response.body) == (200, b"ok")


# --- Backends that misbehave. ---

@pytest.mark.parametrize("name", REFUSED)
def test_refused(stage, name, proto):
    with connect(stage.port) as connection:
        response = connection.get(f"/{name}")
        assert response.status == 502, response
        assert b"evil" not in response.body
        response = connection.get("/good")
        assert (response.status, response.body) == (200, b"ok")
    assert_good(stage.port)


@pytest.mark.parametrize("name,proto", [(name, proto) for name in CUT for proto in (*PROTOCOLS, "HTTP/1.0")
                                        if name != "hang_mid_body" or proto not in ("h1s", "h2c")])  # it takes a while
def test_cut(stage, name, proto):
    """The client sees that the answer is not whole: no length fulfilled, no last chunk; to HTTP/1.0 a reset where
    there is no length. Of HTTP/2 the stream alone is reset."""
    with connect(stage.port, "h1" if proto == "HTTP/1.0" else proto) as connection:
        connection.request(f"/{name}", version="HTTP/1.0" if proto == "HTTP/1.0" else "HTTP/1.1")
        with pytest.raises(Ended) as fault:
            connection.read()
        assert b"evil" not in fault.value.got
        if is_h2(connection):
            assert learned(connection, fault.value), fault.value
            assert connection.get("/good").body == b"ok"
        else:
            assert connection.wait_end(), "the connection goes on"
    assert_good(stage.port)


@pytest.mark.parametrize("name", POISON)
def test_poison(stage, name, proto):
    with connect(stage.port) as connection:
        method = "HEAD" if name == "body_head" else "GET"
        response = connection.get(f"/{name}", method=method)
        assert response.status in (200, 204, 304)
        assert b"evil" not in response.body
        time.sleep(0.1)  # the bytes that nobody asked for arrive
        for _ in range(3):
            response = connection.get("/good")
            assert (response.status, response.body) == (200, b"ok")


def test_hang(stage, proto):
    began = time.monotonic()
    with connect(stage.port) as connection:
        assert connection.get("/hang").status == 504
        assert 1.5 < time.monotonic() - began < 4
        assert connection.get("/good").status == 200


def test_status_passes(stage, proto):
    with connect(stage.port) as connection:
        response = connection.get("/status_503")
    assert (response.status, response.body, response.get("Retry-After")) == (503, b"not", "7")
    assert response.reason == ("Not Now" if proto in ("h1", "h1s") else "")


def test_refused_connection(weir):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = another(weir, CONFIG, address=f"127.0.0.1:{port}")
    assert fetch(server.port) == (502, b"")
    assert f"no connection to 127.0.0.1:{port}" in server.log()


@some("h1", "h2")
def test_connect_timeout(weir, proto):
    """A server that takes no connection: 504 after `connect`, and the next one answers where there is one."""
    with socket.socket() as full, Origin() as origin:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        time.sleep(0.1)
        server = another(weir, CONFIG, address=f"127.0.0.1:{port}")
        began = time.monotonic()
        with connect(server.port) as connection:
            assert connection.get("/").status == 504
        assert 0.5 < time.monotonic() - began < 3
        server = another(weir, CONFIG.replace('["$address"]', '["$address", "$other"]'), address=f"127.0.0.1:{port}", other=origin.address)
        with connect(server.port) as connection:
            for _ in range(2):
                assert connection.get("/").status == 200
        for one in waiting:
            one.close()


def test_early_refusal_of_a_body(stage, proto):
    """A 413 reaches the client although it goes on sending (RFC 9112, 9.5; RFC 9113, 8.1)."""
    with connect(stage.port) as connection:
        send, _ = put(connection, "/refuse_body", 50000000)
        send(b"x" * 100000)
        response = connection.read()
        assert (response.status, response.body) == (413, b"no")
    assert_good(stage.port)


def test_flapping(weir):
    """A backend that comes and goes every 300 ms: each request has an answer in time, and all is well afterwards."""
    with Origin() as origin:
        server = another(weir, CONFIG, address=origin.address)
        stop = threading.Event()

        def flap():
            while not stop.wait(0.3):
                origin.shut()
                if stop.wait(0.3):
                    break
                origin.open()
            if origin.listener.fileno() < 0:
                origin.open()

        flapper = threading.Thread(target=flap)
        flapper.start()
        statuses = []
        end, protos = time.monotonic() + 3, itertools.cycle(PROTOCOLS)
        while time.monotonic() < end:
            with connect(server.port, next(protos)) as connection:
                statuses.append(connection.get("/").status)
            time.sleep(0.01)
        stop.set()
        flapper.join()
        assert set(statuses) == {200, 502}, set(statuses)
        assert_good(server.port)


def test_idle_connections_closed(weir):
    """Connections that the backend closes after each answer cost nobody a request, not even a POST."""
    with Origin(default=close_idle) as origin:
        server = another(weir, CONFIG, address=origin.address)
        for number in range(30):
            with connect(server.port, PROTOCOLS[number // 2 % len(PROTOCOLS)]) as connection:
                connection.request("/", method="POST" if number % 2 else "GET", body=b"x" if number % 2 else b"")
                assert connection.read().status == 200
            wait_for(lambda: not origin.peers, what="the backend's closing")
        assert len(origin.heads) == 30


def test_repeated_only_if_idempotent(weir, proto):
    """A kept connection that is closed by a request: what is idempotent goes again, once; POST and PATCH do not."""
    def once(peer, head):
        if head.target == "/good":
            return plain(peer, head)
        peer.close()
        return False

    with Origin(default=once) as origin:
        server = another(weir, CONFIG, address=origin.address)
        for method, times in (("GET", 2), ("DELETE", 2), ("POST", 1), ("PATCH", 1)):
            with connect(server.port) as connection:
                assert connection.get("/good").status == 200
                target = f"/{method}"
                connection.request(target, method=method)
                assert connection.read().status == 502
            assert origin.targets().count(target) == times, method


def test_own_error_page(weir, proto):
    """502 with the site's page; where that is a backend's business too, the built-in one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = another(weir, """
threads: 1
sites:
  - { listen: "http://127.0.0.1:$port", root: root, proxy: "$address", errors: { 5xx: /50x.html } }
  - { listen: "http://127.0.0.1:$port2", proxy: "$address", errors: { 5xx: /50x.html } }
""", address=f"127.0.0.1:{port}")
    (server.root / "50x.html").write_text("our own page")
    with connect(server.port) as connection:
        response = connection.get("/missing")
        assert (response.status, response.body) == (502, b"our own page")
        connection.request("/missing", method="POST", body=b"x" * 1000)
        response = connection.read()
        assert (response.status, response.body) == (502, b"our own page")
    with connect(server.ports["port2"]) as connection:
        response = connection.get("/missing")
        assert response.status == 502
        assert b"502" in response.body


# --- Bodies. ---

@pytest.mark.parametrize("size", [0, 1, 1000, 16384, 65536, 65537, 1 << 20, 20 << 20])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_download(stage, framing, size, proto):
    with connect(stage.port, seconds=20) as connection:
        response = connection.get(f"/give/{framing}/{size}", fields={"TE": "trailers", "Connection": "TE"})
    assert response.status == 200
    assert len(response.body) == size
    assert hashlib.sha256(response.body).hexdigest() == pattern_digest(size)
    assert [(name.lower(), value) for name, value in response.trailers] == ([("x-t", "1")] if framing == "chunked" else [])


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 65537, 1 << 20, 20 << 20])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_upload(stage, framing, size, proto):
    with connect(stage.port, seconds=20) as connection:
        send, end = put(connection, "/digest", size if framing == "length" else None)
        for piece in pattern(size):
            send(piece)
        end([("x-t", "1")] if framing == "chunked" else [])
        lines = connection.read().body.decode().split("\n")
    assert lines[:2] == [pattern_digest(size), str(size)]
    assert [line.lower() for line in lines[2:]] == (["x-t: 1"] if framing == "chunked" else [])


def test_http10_client(stage):
    """Interim answers and chunks are not for HTTP/1.0."""
    for target, body in (("/interim", b"ok"), ("/give/chunked/1000", b"".join(pattern(1000)))):
        with Connection(stage.port) as connection:
            connection.send(f"GET {target} HTTP/1.0\r\n\r\n".encode())
            response = connection.read()
            assert (response.status, response.body, response.interim) == (200, body, [])
            assert not response.all("Transfer-Encoding")


def test_interim_at_once(stage, proto):
    with connect(stage.port) as connection:
        began = time.monotonic()
        connection.request("/interim")
        first, hints = interims(connection, 2)
        assert time.monotonic() - began < 0.3
        assert first.status == 102
        assert (hints.status, hints.get("Link")) == (103, "</a.css>; rel=preload")
        assert connection.read().body == b"ok"


def test_expectation(stage, proto):
    """100 is relayed, and the body then; a refusal arrives instead of 100 (RFC 9110, 10.1.1)."""
    def patient(peer, head):
        assert head.get("Expect") == "100-continue"
        time.sleep(0.2)
        assert not peer.buffer
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return plain(peer, head)

    stage.origin.scripts["patient"] = patient
    with connect(stage.port) as connection:
        send, end = put(connection, "/patient", 3, [("expect", "100-continue")])
        assert [response.status for response in interims(connection, 1)] == [100]
        send(b"abc")
        end([])
        assert connection.read().status == 200
    with connect(stage.port) as connection:
        put(connection, "/refuse_body", 3, [("expect", "100-continue")])
        response = connection.read()
        assert (response.status, response.interim) == (413, [])


def test_events_arrive_at_once(stage, proto):
    late = []
    with connect(stage.port) as connection:
        connection.request("/events")
        for text in arrivals(connection):
            now = time.monotonic()
            late += [now - float(sent) for sent in re.findall(rb"data: ([\d.]+)\n", text)[len(late):]]
        assert connection.read().get("Content-Type") == "text/event-stream"
    assert len(late) == 10
    assert sorted(late)[len(late) // 2] < 0.02, late


def memory(pid, kind="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(kind + ":"):
                return int(line.split()[1]) * 1024
    raise AssertionError(f"no {kind}")


def test_memory_of_stalled_transfers(weir):
    """Clients that do not read and backends that do not: what was read for them is bounded, and goes on where it stood."""
    release = threading.Event()

    def stalled(peer, head):
        release.wait(30)
        return SCRIPTS["digest"](peer, head)

    with Origin({"stalled": stalled}) as origin:
        server = another(weir, CONFIG.replace("response: 2s", "response: 30s").replace("send: 5s", "send: 60s"), address=origin.address)
        size, clients = 48 << 20, []  # more than all buffers of the kernel on the way hold
        before = memory(server.worker())
        for number in range(40):
            connection = Connection(server.port, seconds=30)
            clients.append(connection)
            if number % 2:
                connection.request(f"/give/length/{size}")
                continue
            connection.send(b"PUT /stalled HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            piece, sent, idle = next(pattern(1 << 20)), 0, 0
            while idle < 10 and sent < size:
                try:
                    sent += connection.socket.send(piece[:size - sent])
                    idle = 0
                except BlockingIOError:
                    time.sleep(0.005)
                    idle += 1
            assert sent < size, "weir swallowed it all"
        time.sleep(0.5)
        grown = memory(server.worker()) - before
        limit = 40 * 320 * 1024
        # an address sanitizer keeps what was freed; its shadow takes terabytes of addresses
        assert grown < limit or memory(server.worker(), "VmSize") > 1 << 40, f"{grown >> 10} KiB more"
        release.set()
        for connection in clients[1:6:2]:
            response = connection.read()
            assert len(response.body) == size
        for connection in clients:
            connection.close()


# --- Tunnels. ---

def open_tunnel(port):
    connection = connect(port)
    connection.request("/websocket", fields={"Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"})
    response = connection.read()
    assert response.status == 101
    assert response.get("Upgrade").lower() == "websocket"
    assert response.get("Connection").lower() == "upgrade"
    assert response.get("Sec-WebSocket-Accept") == "x"
    return connection


def receive(connection, count, seconds=10):
    end = time.monotonic() + seconds
    return connection.octets(count, end, "a tunnel")


@some("h1", "h1s")
def test_tunnel(stage, proto):
    with open_tunnel(stage.port) as connection:
        connection.send(b"hello")
        assert receive(connection, 5) == b"hello"
        sent, got = hashlib.sha256(), hashlib.sha256()
        reader_fault = []

        def read():
            try:
                for _ in range(4 << 4):
                    got.update(receive(connection, 65536))
            except Exception as fault:
                reader_fault.append(fault)

        for piece in pattern(4 << 20):
            sent.update(piece)
            connection.send(piece, seconds=10)
        read()
        assert not reader_fault
        assert sent.digest() == got.digest()
        time.sleep(2.5)  # longer than the backend may be silent with an answer: not here
        connection.send(b"still")
        assert receive(connection, 5) == b"still"
        if proto == "h1":  # a client with TLS that ends its side reads no more, here
            connection.half_close()
            assert receive(connection, 3) == b"bye"
            assert connection.wait_end() == "fin"


@some("h1", "h1s")
def test_tunnel_refused(stage, proto):
    with connect(stage.port) as connection:
        connection.request("/status_503", fields={"Connection": "Upgrade", "Upgrade": "websocket"})
        assert connection.read().status == 503
        assert connection.get("/good").status == 200


# --- Fields. ---

def test_fields(stage, proto):
    specific = [] if proto in ("h2", "h2c") else [("Connection", "X-Hop"), ("X-Hop", "3"), ("TE", "gzip")]
    with connect(stage.port) as connection:
        response = connection.get("/a/./b?x=/../", host="example.com", fields=[
            ("X-Own", "1"), ("X_Own", "2"), *specific, ("Forwarded", "for=10.9.9.9"),
            ("X-Forwarded-For", "10.9.9.9"), ("X-Forwarded-Proto", "http" if SCHEMES[proto] == "https" else "https"), ("Via", "1.0 before")])
        assert response.status == 200
    told = stage.origin.heads[-1]
    assert told.target == "/a/b?x=/../"
    assert told.version == "HTTP/1.1"
    assert told.all("Host") == ["example.com"]
    assert told.all("X-Own") == ["1"]
    for name in ("X_Own", "X-Hop", "TE", "Connection", "Transfer-Encoding", "Content-Length"):
        assert told.all(name) == [], name
    assert told.all("X-Forwarded-For") == ["127.0.0.1"]
    assert told.all("X-Forwarded-Proto") == [SCHEMES[proto]]
    assert told.all("X-Forwarded-Host") == ["example.com"]
    assert told.all("Forwarded") == [f"for=127.0.0.1;host=example.com;proto={SCHEMES[proto]}"]
    assert told.all("Via") == ["1.0 before", f"{'1.1' if specific else '2.0'} weir"]


def test_max_forwards(stage, proto):
    before = len(stage.origin.heads)
    with connect(stage.port) as connection:
        assert connection.get("/x", method="OPTIONS", fields={"Max-Forwards": "0"}).status in (200, 204)
        assert len(stage.origin.heads) == before
        assert connection.get("/x", method="OPTIONS", fields={"Max-Forwards": "3"}).status == 200
    assert stage.origin.heads[-1].all("Max-Forwards") == ["2"]


def test_circle(weir):
    """weir as its own backend ends by itself (RFC 9110, 7.6.3)."""
    server = another(weir, """
threads: 1
sites:
  - { listen: "http://127.0.0.1:$port", proxy: "127.0.0.1:$port" }
""")
    assert fetch(server.port) == (508, b"")


# --- Servers. ---

def test_kept_connections(weir, proto):
    with Origin() as origin:
        server = another(weir, CONFIG, address=origin.address)
        with connect(server.port) as connection:
            for _ in range(50):
                assert connection.get("/").status == 200
        assert origin.connections == 1


def test_an_address_named_twice_is_one_backend(weir):
    """`proxy: ADDRESS` in several scopes: the connections kept for one serve the other."""
    with Origin() as origin:
        server = another(weir, """
threads: 1
sites:
  - listen: "http://127.0.0.1:$port"
    proxy: "$address"
    routes:
      /a/: { proxy: "$address" }
      /b/: { proxy: ["$address"] }
""", address=origin.address)
        with Connection(server.port) as connection:
            for target in ("/", "/a/", "/b/", "/a/"):
                assert connection.get(target).status == 200
        assert origin.connections == 1
        wait_for(lambda: [row["requests"] for row in status(server)["upstreams"]] == [4], what="one row of four")


def test_unix_socket(weir):
    folder = new_folder()
    try:
        with Origin(path=folder / "s") as origin:
            server = another(weir, CONFIG, address=origin.address)
            for proto in PROTOCOLS:
                with connect(server.port, proto) as connection:
                    assert connection.get("/", host="example.com").status == 200, server.log()
                assert origin.heads[-1].all("Host") == ["example.com"]
    finally:
        shutil.rmtree(folder)


def test_localhost(weir):
    """Both addresses of localhost are tried, where there are two."""
    for host in ("127.0.0.1", "::1"):
        try:
            origin = Origin(host=host)
        except OSError:
            continue  # no IPv6 here
        with origin:
            server = another(weir, CONFIG, address=f"localhost:{origin.port}")
            for _ in range(3):
                assert fetch(server.port) == (200, b"ok")


def test_several_servers(weir, proto):
    """In turn; one that is gone costs nobody an answer, not even a POST."""
    with Origin() as first, Origin() as second:
        server = another(weir, """
threads: 1
sites:
  - { listen: "http://127.0.0.1:$port", proxy: ["$first", "$second"] }
""", first=first.address, second=second.address)
        with connect(server.port) as connection:
            for _ in range(10):
                assert connection.get("/").status == 200
        assert (len(first.heads), len(second.heads)) == (5, 5)
        first.retire()
        with connect(server.port) as connection:
            for number in range(10):
                connection.request("/", method="POST", body=b"x")
                assert connection.read().status == 200, number
        assert len(second.heads) == 15


def test_under_load(stage):
    """Many connections at once, with bodies; every answer belongs to its request."""
    faults = []

    def ask(number):
        try:
            with connect(stage.port, PROTOCOLS[number % len(PROTOCOLS)], seconds=20) as connection:
                for turn in range(20):
                    body = f"{number} {turn} ".encode() * (1 + 997 * (turn % 3))
                    connection.request("/digest", method="PUT", body=body)
                    got = connection.read().body.decode().split("\n")
                    assert got[:2] == [hashlib.sha256(body).hexdigest(), str(len(body))]
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults[:3]
