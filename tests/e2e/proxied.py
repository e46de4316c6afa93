# SPDX-License-Identifier: BSD-2-Clause
"""One weir before two backends: a recorder that tells what it got (port), and an origin that says what a table holds (port2)."""
import json
import time
from dataclasses import dataclass

from client import PROTOCOLS, Connection, Ended, connect
from origin import Origin
from recorder import Recorder
from server import Server

CONFIG = """
threads: 1
limits: { body_size: 10G, timeouts: { header: 3s, body: 5s, idle: 20s, send: 5s } }
upstreams:
  recorder: { servers: ["127.0.0.1:$recorder"], timeouts: { connect: 1s, response: 1s, idle: 20s } }
  origin: { servers: ["$origin"], timeouts: { connect: 1s, response: 1s, idle: 20s } }
sites:
  - { listen: "http://127.0.0.1:$port", proxy: recorder }
  - { listen: "http://127.0.0.1:$port2", proxy: origin }
"""
# How clients leave: of HTTP/2 also a stream alone.
LEAVING = [(proto, how) for proto in PROTOCOLS for how in ("close", "reset", "cancel") if how != "cancel" or proto in ("h2", "h2c")]


@dataclass
class Told:
    """A request as the backend read it, strictly."""

    method: str
    target: str
    body: str
    framing: str
    fields: list
    trailers: list

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def words(self, name):
        return [word.strip().lower() for value in self.all(name) for word in value.split(",") if word.strip()]


def told(response):
    """What the recorder says that it was asked."""
    assert response.status == 200, response
    return Told(**json.loads(response.body))


def unless_refused(read):
    """What is read; None where the request was refused: by 400, or, as malformed in HTTP/2, by the end of its stream."""
    try:
        response = read()
    except Ended as fault:
        if getattr(fault, "code", None) != 1:  # PROTOCOL_ERROR
            raise
        return None
    return None if response.status == 400 else response


class Proxied:
    """The three of them."""

    def __init__(self, scripts=None, config=CONFIG, **values):
        self.recorder, self.origin = Recorder(), Origin(scripts)
        self.weir = Server(config, values={"recorder": self.recorder.port, "origin": self.origin.address, **values}, secure=True)

    def __enter__(self):
        self.weir.__enter__()
        return self

    def __exit__(self, *exception):
        self.weir.__exit__(*exception)
        self.recorder.close()
        self.origin.close()
        assert not self.origin.faults, self.origin.faults

    @property
    def recorded(self):
        return self.weir.ports["port"]

    @property
    def scripted(self):
        return self.weir.ports["port2"]

    def tell(self, target="/", **options):
        """One request to the recorder: what arrived there."""
        with connect(self.recorded) as connection:
            return told(connection.get(target, **options))

    def tell_raw(self, data, half_close=False):
        """The same for bytes."""
        with Connection(self.recorded) as connection:
            connection.send(data)
            if half_close:
                connection.half_close()
            return told(connection.read())

    def seen_in_part(self, data, reset=False):
        """Bytes of a request that is never finished: what the recorder got of it. One thread: behind the barrier nothing comes."""
        self.recorder.take()
        with Connection(self.recorded) as connection:
            connection.send(data)
            if reset:
                connection.fill(0.1)
                connection.reset()
            else:
                connection.half_close()
                assert connection.wait_end(), "a request that is cut, and the connection stays"
        assert self.tell("/barrier").target == "/barrier"
        return [seen for seen in self.recorder.take() if seen.request is None or seen.request.target != b"/barrier"]

    def good(self):
        """The next requests have answers of their own."""
        with Connection(self.scripted) as connection:
            for method in ("GET", "POST", "HEAD", "GET"):
                connection.request("/good", method=method, body=b"x" if method == "POST" else b"")
                response = connection.read(method)
                assert (response.status, response.body) == (200, b"" if method == "HEAD" else b"ok"), response


def begin(connection, target, length=None, method="PUT"):
    """Begins a request over any protocol whose body follows by part(); length None: it is not told."""
    connection.chunked = length is None
    if hasattr(connection, "streams"):
        from h2client import head
        told_length = [] if length is None else [("content-length", length)]
        connection.waiting.append(connection.headers(head(method, target, *told_length, scheme=connection.scheme), end=False))
    else:
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        connection.send(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())


def part(connection, data, last=False):
    """A piece of that body. False: the peer has had enough."""
    if hasattr(connection, "streams"):
        return connection.upload(connection.waiting[-1], data, end=last)
    if connection.chunked:
        data = (b"%x\r\n%s\r\n" % (len(data), data) if data else b"") + (b"0\r\n\r\n" if last else b"")
    return connection.send(data)


def said(connection, seconds):
    """Waits so long for an answer, or an end."""
    if not hasattr(connection, "streams"):
        return connection.fill(seconds) or connection.ended
    end, stream = time.monotonic() + seconds, connection.streams[connection.waiting[-1]]
    while connection.take(end - time.monotonic()):
        pass
    return stream.head or stream.over or connection.ended


def arrives(connection, what, end):
    """Waits for a part of an answer's body, or for the head alone (b"")."""
    def there():
        if not hasattr(connection, "streams"):
            _, head, body = connection.buffer.partition(b"\r\n\r\n")
            return head and what in body
        stream = connection.streams[connection.waiting[-1]]
        return stream.head and what in stream.body

    while not there():
        assert (connection.take if hasattr(connection, "streams") else connection.fill)(end - time.monotonic()), f"{what} does not come"


def leave(connection, how):
    """Ends the connection, or of HTTP/2 the stream alone."""
    if how == "cancel":
        connection.rst(connection.waiting[-1])
    else:
        getattr(connection, how)()
