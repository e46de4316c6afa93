# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/2 in clear with prior knowledge, by real clients: curl, nghttp, h2load (RFC 9113; DESIGN §2: every http listener speaks it)."""
import re
import subprocess
import time

import pytest

import certificates
from client import Connection, curl
from h2client import H2, Ended
from origin import Origin, websocket
from server import Server, wait_for

CONFIG = """
threads: 1
log: { access: { path: $folder/access.log, format: combined } }
tls: { certificates: [{ certificate: $folder/server.pem, key: $folder/server.key }] }
upstreams:
  app: { servers: ["$origin"] }
sites:
  - { listen: ["http://127.0.0.1:$port", "https://127.0.0.1:$port2"], root: $root, routes: { /websocket: { root: off, proxy: app }, /plain: { root: off, proxy: app } } }
"""


def secured(origin):
    made = Server(CONFIG, values={"origin": origin.address})
    certificates.lay_out(made.folder)
    return made


@pytest.fixture(scope="module")
def server():
    with Origin({"websocket": websocket}) as origin, secured(origin) as running:
        (running.root / "small.txt").write_bytes(b"small")
        (running.root / "empty.txt").write_bytes(b"")
        (running.root / "large.bin").write_bytes(bytes(range(256)) * 40000)
        yield running


def ask(server, target, *options):
    return curl(server.url(target), *options, proto="h2c")


@pytest.mark.parametrize("name", ["small.txt", "empty.txt", "large.bin"])
def test_files(server, name):
    got = ask(server, f"/{name}")
    assert (got.status, got.version, got.exit) == (200, "2", 0), got.reason
    assert got.body == (server.root / name).read_bytes()
    assert got.get("content-length") == str(len(got.body))
    assert not got.all("connection") and not got.all("transfer-encoding") and not got.all("keep-alive")
    assert len(got.all("date")) == 1


def test_head_and_conditions(server):
    head = ask(server, "/small.txt", "--head")
    assert (head.status, head.get("content-length")) == (200, "5")
    same = ask(server, "/small.txt", "--header", f"If-None-Match: {head.get('etag')}")
    assert (same.status, same.body) == (304, b"")
    part = ask(server, "/large.bin", "--range", "100-355")
    assert (part.status, len(part.body)) == (206, 256)
    assert ask(server, "/none").status == 404


def test_an_answer_before_the_end_of_the_request(server):
    """The rest of the body is not wanted, and the client still sees the answer."""
    got = ask(server, "/small.txt", "--upload-file", str(server.root / "large.bin"))
    assert (got.status, got.exit) == (405, 0), got.reason


def test_the_log_names_the_version(server):
    ask(server, "/small.txt?logged")
    wanted = re.compile(rb'"GET /small.txt\?logged HTTP/2\.0" 200 5 ')
    wait_for(lambda: any(wanted.search(line) for line in server.access_lines(1)), what="the line")


def test_many_streams(server):
    run = subprocess.run(["h2load", "-n", "5000", "-c", "4", "-m", "100", server.url("/small.txt")], capture_output=True,
                         text=True, timeout=60, check=True)
    assert re.search(r"5000 done, 5000 succeeded, 0 failed, 0 errored", run.stdout), run.stdout


def test_the_preface_in_pieces(server):
    """It may be split anywhere; until it is whole HTTP/1 waits for more of a head."""
    settings = b"\0\0\0\4\0\0\0\0\0"
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for at in range(1, len(preface)):
        with Connection(server.port) as connection:
            connection.send(preface[:at])
            connection.send(preface[at:] + settings)
            assert connection.octets(9, time.monotonic() + 5, "SETTINGS")[3] == 4
    with Connection(server.port) as connection:
        connection.send(b"PRI * HTTP/2.0\r\n\r\n")
        connection.send(b"XX\r\n\r\n")
        assert connection.read().status == 505


def connect(server, proto):
    if proto == "h2":
        return H2(server.ports["port2"], tls=certificates.context(alpn=["h2"]))
    return H2(server.port)


@pytest.mark.parametrize("proto", ["h2c", "h2"])
def test_websocket(server, proto):
    """RFC 8441: the backend sees the upgrade of HTTP/1.1, its 101 becomes a 200, and both directions end by themselves."""
    with connect(server, proto) as client:
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", client.scheme), (":path", "/websocket"),
                  (":authority", "localhost"), ("sec-websocket-version", "13")]
        number = client.headers(fields, end=False)
        stream = client.streams[number]
        client.until(lambda: stream.head is not None, what="the head")
        assert stream.head.status == 200
        assert not stream.head.all("sec-websocket-accept") and not stream.head.all("upgrade")
        for count in range(1, 100):
            client.data(number, b"ping", end=False)
            client.until(lambda count=count: len(stream.body) == 4 * count, what="the echo")
        other = client.get("/small.txt")
        assert other.body == b"small"
        client.data(number, b"", end=True)
        client.until(lambda: stream.over, what="the end")
        assert bytes(stream.body) == b"ping" * 99 + b"bye" and stream.reset is None


@pytest.mark.parametrize("path", ["/small.txt", "/plain"])
def test_no_websocket(server, path):
    """A 200 would say that there is a tunnel: files open none, nor does an application that answers as usual."""
    with connect(server, "h2c") as client:
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", path),
                  (":authority", "localhost")]
        number = client.headers(fields, end=False)
        with pytest.raises(Ended):
            client.response(number)
        assert client.get("/small.txt").body == b"small"
