# SPDX-License-Identifier: BSD-2-Clause
"""One weir before two backends: a recorder that tells what it got (port), and an origin that says what a table holds (port2)."""
import json
from dataclasses import dataclass

from client import Connection, Ended, connect
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
