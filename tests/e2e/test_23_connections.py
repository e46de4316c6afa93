# SPDX-License-Identifier: BSD-2-Clause
"""What a connection owes its client beyond the usual: tunnels of which one side ends first or falls silent, refused
expectations, readers that are slow, backends and clients that speak in crumbs, logs of what was asked (DESIGN §2, §5)."""
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import Connection
from origin import Gone, Origin
from server import Server, wait_for

CONFIG = """
threads: 1
limits: { timeouts: { send: 60s, body: 60s } }
upstreams:
  app: { servers: ["$address"], timeouts: { response: 60s, idle: 60s } }
sites:
  - { listen: "http://127.0.0.1:$port", root: root, errors: { 404: /lost.html } }
  - { listen: "http://127.0.0.1:$port2", proxy: app }
"""
WORKING = """
threads: 1
upstreams: { app: { servers: ["$address"] } }
sites: [{ listen: "http://127.0.0.1:$port", proxy: app }]
"""
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket"}
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class Backend:
    """What the scripts below are told and what they saw."""

    heard = None
    done = threading.Event()
    go_on = threading.Event()


def ends_first(peer, _):
    """A tunnel's backend that ends its half and reads on."""
    peer.send(SWITCH + b"bye")
    peer.socket.shutdown(socket.SHUT_WR)
    try:
        while True:
            peer.more()
    except Gone:
        Backend.heard = peer.buffer
    Backend.done.set()
    return False


def agrees(peer, head):
    """Switches to whatever is asked for."""
    protocol = head.get("Upgrade").encode()
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n" + protocol)
    return False


def flood(peer, _):
    """A tunnel's backend that sends 16 MiB."""
    peer.socket.settimeout(60)
    peer.send(SWITCH + b"f" * FLOOD)
    return False


def refuse(peer, _):
    peer.send(b"HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno")
    return True


def crumbs(peer, _):
    """A body of single octets, each a packet of its own until nobody takes them any more."""
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    peer.socket.settimeout(2)
    try:
        while not Backend.go_on.wait(0):
            peer.send(b"c")
    except Gone:
        pass
    return False


def takes_little(peer, _):
    """Reads no body before it is told to."""
    Backend.go_on.wait(60)
    return False


FLOOD = 16 << 20
SCRIPTS = {"ends_first": ends_first, "flood": flood, "refuse": refuse, "crumbs": crumbs, "agrees": agrees, "takes_little": takes_little}


@pytest.fixture(scope="module")
def stage():
    with Origin(SCRIPTS) as origin:
        origin.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # soon full
        with Server(CONFIG, values={"address": origin.address}) as server:
            (server.root / "lost.html").write_text("lost", encoding="utf-8")
            with open(server.root / "big.bin", "wb") as file:
                file.truncate(400 << 20)
            yield server


def test_tunnel_whose_backend_ends_first(stage):
    """END is half-close (DESIGN 5, Tunnel)."""
    with Connection(stage.ports["port2"]) as connection:
        connection.request("/ends_first", fields=UPGRADE)
        assert connection.read().status == 101
        assert connection.octets(3, time.monotonic() + 5, "a tunnel") == b"bye"
        assert connection.wait_end(2) == "fin"
        time.sleep(0.2)
        connection.send(b"more")
        time.sleep(0.2)
        connection.send(b" and more")
        connection.half_close()
    assert Backend.done.wait(5)
    assert Backend.heard == b"more and more"


@pytest.mark.parametrize("protocol", ["websocket", "chat/2", "SPDY/3.1"])
def test_tunnel_of_any_protocol(stage, protocol):
    """RFC 9110, 7.8: a name, and perhaps a version."""
    with Connection(stage.ports["port2"]) as connection:
        connection.request("/agrees", fields={"Connection": "Upgrade", "Upgrade": protocol})
        response = connection.read()
        assert (response.status, response.get("Upgrade")) == (101, protocol)
        assert connection.octets(len(protocol), time.monotonic() + 5, "a tunnel") == protocol.encode()


def test_log_names_the_method_that_was_asked(stage):
    """An error page is another file, not another request."""
    with Connection(stage.port) as connection:
        connection.send(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok")
        assert connection.read().status == 404

    def line():
        return [line for line in stage.access_lines(0) if b" /nowhere " in line]

    assert b'"POST /nowhere HTTP/1.1" 404' in wait_for(line)[0]


def test_expectation_refused_by_the_backend(stage):
    """Who was not told to go on may never send the body: nothing behind the refusal can be read (RFC 9110, 10.1.1)."""
    with Connection(stage.ports["port2"]) as connection:
        connection.request("/refuse", method="POST", fields={"Expect": "100-continue", "Content-Length": "50"})
        response = connection.read()
        assert response.status == 417 and not response.interim
        assert response.closes
        assert connection.wait_end(2) == "fin"


def resident(server):
    with open(f"/proc/{server.worker()}/status", encoding="ascii") as file:
        text = file.read()
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines() if line.endswith(" kB")}
    # an address sanitizer keeps what was freed; its shadow takes terabytes of addresses
    return 0 if sizes["VmSize"] > 1 << 30 else sizes["VmRSS"] * 1024


def test_crumbs_upwards(stage):
    """A body that comes octet by octet to a backend that does not read costs its length, not a block for each octet."""
    Backend.go_on.clear()
    with Connection(stage.ports["port2"]) as connection:
        connection.request("/takes_little", method="PUT", fields={"Content-Length": "100000000"})
        before = resident(stage)
        end = time.monotonic() + 6
        try:
            while time.monotonic() < end:
                connection.socket.send(b"c")
        except BlockingIOError:
            pass
        time.sleep(0.2)
        grown = resident(stage) - before
        Backend.go_on.set()
        assert grown < 4 << 20, f"{grown >> 10} KiB"


def test_crumbs_downwards(stage):
    Backend.go_on.clear()
    with Connection(stage.ports["port2"]) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.request("/crumbs")
        before = resident(stage)
        time.sleep(6)
        grown = resident(stage) - before
        Backend.go_on.set()
        assert grown < 4 << 20, f"{grown >> 10} KiB"


# --- What takes longer than the ten seconds of the least rate. ---


def stalled_tunnel(port):
    """Reads nothing of a tunnel for 13 s, and then all of it."""
    with Connection(port) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.request("/flood", fields=UPGRADE)
        connection.read()
        time.sleep(13)
        return len(connection.octets(FLOOD, time.monotonic() + 20, "a tunnel"))


def slow_reader(port):
    """Reads 100 KB a second of a file, which is much more than the least rate, with a kernel between that buffers megabytes."""
    with Connection(port) as connection:
        connection.request("/big.bin")
        connection.socket.setblocking(True)
        begin, got = time.monotonic(), 0
        while time.monotonic() - begin < 15:
            got += len(connection.socket.recv(10000))
            time.sleep(0.1)
        return got


def crumbs_of_requests(port):
    """Never reads, but goes on asking: what it sends is not what weir waits for. How long it is borne, up to 25 s."""
    with Connection(port) as connection:
        begin = time.monotonic()
        connection.request("/big.bin")
        while time.monotonic() - begin < 25:
            time.sleep(0.2)
            try:
                connection.socket.send(b"GET /big.bin HTTP/1.1\r\nX: " + b"x" * 600 + b"\r\n\r\n")
            except OSError:
                break
        return time.monotonic() - begin


@pytest.fixture(scope="module", autouse=True)
def long(stage):
    """They begin with the first test of this file and run beside the others."""
    with ThreadPoolExecutor(4) as pool:
        yield {
            "tunnel": pool.submit(stalled_tunnel, stage.ports["port2"]),
            "slow": pool.submit(slow_reader, stage.port),
            "crumbs": pool.submit(crumbs_of_requests, stage.port),
        }


def test_stalled_tunnel_is_left_alone(long):
    """The least rate is never for tunnels (DESIGN 2)."""
    assert long["tunnel"].result(60) == FLOOD


def test_slow_reader_is_served(long):
    """The least rate is what the client takes, not what the kernel's buffer takes of weir (DESIGN 2)."""
    assert long["slow"].result(60) > 1000000


def test_asking_is_not_reading(long):
    assert long["crumbs"].result(60) < 24


def test_a_closed_client_is_told_from_one_that_ended_its_half(weir):
    """Both end their half: one waits for its answer and gets it, beside an interim one (RFC 9110, 15.2); the other has closed."""
    gone, release = threading.Event(), threading.Event()

    def works(peer, _):
        if peer.ended(15):
            gone.set()
        return False

    def waits(peer, _):
        release.wait(15)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True

    with Origin({"works": works, "waits": waits}) as origin:
        server = weir(WORKING, values={"address": origin.address})
        with Connection(server.port, seconds=15) as waiting, Connection(server.port) as leaving:
            waiting.request("/waits")
            waiting.half_close()
            leaving.request("/works")
            wait_for(lambda: len(origin.heads) == 2, 2, "both requests at the backend")
            leaving.close()
            assert gone.wait(10), "the backend works for nobody"
            release.set()
            response = waiting.read()
    assert response.status == 200
    assert {one.status for one in response.interim} <= {100}
