# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/2 in clear with prior knowledge, by real clients: curl, nghttp, h2load (RFC 9113; DESIGN §2: every http listener speaks it)."""
import re
import subprocess
import time

import pytest

from client import Connection, curl
from origin import Origin
from server import Server, wait_for

CONFIG = """
threads: 1
log: { access: { path: $folder/access.log, format: combined } }
upstreams:
  app: { servers: ["$origin"] }
sites:
  - { listen: "http://127.0.0.1:$port", root: $root, routes: { /app/: { root: off, proxy: app } } }
"""


@pytest.fixture(scope="module")
def server():
    with Origin() as origin, Server(CONFIG, values={"origin": origin.address}) as running:
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
