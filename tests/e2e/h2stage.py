# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of HTTP/2 share: a weir with files and two backends (one that tells what it was asked, one that does what its
scripts say), and what it means that a server ends a connection, ends a stream, or lives."""
import time

import certificates
from fileroot import put
from h2client import H2, Ended
from origin import Origin
from proxied import told
from recorder import Recorder
from server import Server

CONFIG = """
limits: { body_size: 10G, timeouts: { header: 20s, body: 20s, idle: 60s, send: 20s } }
tls: { certificates: [{ certificate: $folder/server.pem, key: $folder/server.key }] }
upstreams:
  recorder: { servers: ["127.0.0.1:$recorder"], timeouts: { connect: 1s, response: 10s, idle: 20s } }
  origin: { servers: ["$origin"], timeouts: { connect: 1s, response: 10s, idle: 20s } }
sites:
  - { listen: ["http://127.0.0.1:$port", "https://127.0.0.1:$port3"], root: root, proxy: recorder }
  - { listen: ["http://127.0.0.1:$port2", "https://127.0.0.1:$port4"], proxy: origin }
"""
FILES, RECORDED, SCRIPTED = "port", "port", "port2"
SECURE = {"port": "port3", "port2": "port4"}
INDEX = b"<!doctype html><title>front</title>"
PIECE = b"".join(b"%015d\n" % n for n in range(65536))  # 1 MiB in which no part is like another


class Stage:
    """The three of them."""

    def __init__(self, config=CONFIG, scripts=None, secure=True):
        self.recorder, self.origin = Recorder(), Origin(scripts)
        if not secure:
            config = "\n".join(line for line in config.split("\n") if not line.startswith("tls:"))
            config = config.replace(', "https://127.0.0.1:$port3"', "").replace(', "https://127.0.0.1:$port4"', "")
        self.weir = Server(config, values={"recorder": self.recorder.port, "origin": self.origin.address})
        if secure:
            certificates.lay_out(self.weir.folder)
        put(self.weir.root, "index.html", INDEX)
        put(self.weir.root, "ten.txt", b"0123456789")
        put(self.weir.root, "empty.txt", b"")
        put(self.weir.root, "mib.bin", PIECE)
        put(self.weir.root, "big.bin", PIECE * 8)

    def __enter__(self):
        self.weir.__enter__()
        return self

    def __exit__(self, *exception):
        self.weir.__exit__(*exception)
        self.recorder.close()
        self.origin.close()
        assert not self.origin.faults, self.origin.faults

    def open(self, port=FILES, proto="h2c", options=None, **more):
        """A connection on which the server has said its settings."""
        if proto == "h2":
            more.setdefault("tls", certificates.context(alpn=["h2"]))
            port = SECURE[port]
        connection = H2(self.weir.ports[port], options, **more)
        if proto == "h2":
            assert connection.socket.selected_alpn_protocol() == "h2"
        if more.get("preface", True):
            connection.until(lambda: connection.settled, what="settings")
        return connection

    def reached(self):
        """What the recorder got since the last call: a request of our own is the barrier, behind which nothing more comes."""
        with self.open() as c:
            assert told(c.get("/barrier")).target == "/barrier"
        return [seen for seen in self.recorder.take() if seen.request is None or seen.request.target != b"/barrier"]

    def unharmed(self):
        """Another client is answered."""
        with self.open() as c:
            assert c.get("/").body == INDEX


def lives(c):
    """The connection goes on: settings, pings and requests are answered."""
    c.alive()
    number = c.start("/")
    response = c.response(number)
    assert (response.status, response.body) == (200, INDEX), response
    assert c.goaway is None


def dies(c, *codes):
    """A connection error (RFC 9113, 5.4.1): GOAWAY says why, then the connection ends."""
    stop = time.monotonic() + c.seconds
    while not c.ended and c.take(stop - time.monotonic()):
        pass
    assert c.goaway, f"no GOAWAY, the connection {c.ended or 'goes on'}"
    assert c.goaway[1] in codes, f"GOAWAY {c.goaway}, not {codes}"
    assert c.ended, "GOAWAY, and the connection goes on"


def refuses(c, number, *codes):
    """A stream error (5.4.2), which may also be made one of the connection."""
    found = c.refusal(number)
    assert found in [(how, code) for how in ("reset", "goaway") for code in codes], f"{found}, not {codes}"


def stream_dies(c, number, *codes):
    """A stream error: RST_STREAM, and the rest of the connection is as it was."""
    found = c.refusal(number)
    assert found in [("reset", code) for code in codes], f"{found}, not {codes}"
    lives(c)


def ended(c, seconds=5):
    """How the connection ended; None while it goes on."""
    stop = time.monotonic() + seconds
    try:
        while not c.ended and c.take(stop - time.monotonic()):
            pass
    except Ended:
        pass
    return c.ended
