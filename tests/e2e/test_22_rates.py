# SPDX-License-Identifier: BSD-2-Clause
"""limits.min_rate (DESIGN §3): bytes a second over ten seconds, of uploads and of readers."""
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import PROTOCOLS, Ended, connect
from test_22_limits import is_h2, more_of, post, serving

RATES = """
limits: { timeouts: { header: 60s, body: 60s, idle: 60s, send: 60s }, min_rate: 240 }
sites:
  - { listen: "http://127.0.0.1:$port", root: root }
  - { listen: "http://127.0.0.1:$port2", proxy: "127.0.0.1:$backend" }
"""
BURSTS = [proto for proto in PROTOCOLS if proto.startswith("h1")]  # windows of HTTP/2 are smaller than a burst


def said(connection, seconds):
    """Waits so long for a word on what was asked, or an end."""
    if not is_h2(connection):
        connection.fill(seconds)
        return connection.ended or connection.buffer
    end, stream = time.monotonic() + seconds, connection.streams[connection.waiting[-1]]
    while connection.take(end - time.monotonic()):
        pass
    return connection.ended or stream.head or stream.over


def upload(port, size, pause, proto):
    """Sends a body piece by piece, for at most 15 seconds: when weir had enough of it, or None."""
    begin = time.monotonic()
    with connect(port, proto) as connection:
        post(connection, "/x", 10000000)
        while time.monotonic() - begin < 15 and more_of(connection, b"z" * size):
            if said(connection, pause):
                return time.monotonic() - begin
    return None


def download(port, proto):
    """Reads 32 bytes a second of 64 MiB for 15 seconds, then all that is there: how much that was."""
    begin, got = time.monotonic(), 0
    with connect(port, proto) as connection:
        connection.socket.setsockopt(1, 8, 2048)
        connection.request("/big.bin")
        while time.monotonic() - begin < 15:
            time.sleep(0.25)
            try:
                got += len(connection.socket.recv(8))
            except OSError:
                continue
        while connection.fill(1):
            got += len(connection.buffer)
            connection.buffer = b""
    return got


def burst(port, proto):
    """Reads the beginning of 64 MiB at once, nothing for longer than the rate is counted, and then the rest: how much that was."""
    got = 0
    with connect(port, proto) as connection:
        connection.request("/big.bin")
        while connection.fill(5) and got < 6 << 20:
            got += len(connection.buffer)
            connection.buffer = b""
        time.sleep(11.2)
        while connection.fill(5) and got < 64 << 20:
            got += len(connection.buffer)
            connection.buffer = b""
    return got


def silent_between(port, proto):
    """Two requests, 14 seconds apart: weir waits for nothing meanwhile."""
    with connect(port, proto) as connection:
        connection.get("/a.txt")
        time.sleep(14)
        try:
            return connection.get("/a.txt").status
        except (Ended, OSError) as fault:
            return str(fault)


@pytest.fixture(scope="module", autouse=True)
def rates(recorder):
    """These take longer than ten seconds: they begin with the first test of this file and run beside the others."""
    with serving(RATES, recorder) as server, ThreadPoolExecutor(4 * len(PROTOCOLS)) as pool:
        yield {(name, proto): pool.submit(act, server.ports[port], *more, proto) for proto in PROTOCOLS for name, act, port, more in (
            ("slow", upload, "port2", (5, 0.25)), ("fast", upload, "port2", (512, 0.25)), ("download", download, "port", ()),
            ("silent", silent_between, "port", ()), ("burst", burst, "port", ())) if name != "burst" or proto in BURSTS}


def test_min_rate_of_uploads(rates, proto):
    """20 octets a second are dropped after ten seconds, 2 KB a second go on."""
    slow, fast = rates["slow", proto].result(60), rates["fast", proto].result(60)
    assert slow is not None and 8 < slow < 14.9, slow
    assert fast is None, fast


def test_min_rate_of_readers(rates, proto):
    assert rates["download", proto].result(60) < 60 << 20


@pytest.mark.parametrize("proto", BURSTS, indirect=True)
def test_min_rate_counts_what_was_taken_at_once(rates, proto):
    assert rates["burst", proto].result(60) >= 64 << 20


def test_min_rate_counts_only_while_weir_waits(rates, proto):
    assert rates["silent", proto].result(60) == 200
