# SPDX-License-Identifier: BSD-2-Clause
"""weir between raw clients and a recording backend: one port with files only, one where everything goes to the backend."""
import itertools
import json
from dataclasses import dataclass, field

from client import BadResponse, Connection
from recorder import Recorder
from server import Server

CONFIG = """
threads: 1
limits: { timeouts: { header: 3s, body: 3s, idle: 10s, send: 5s } }
sites:
  - { listen: "http://127.0.0.1:$port", root: root }
  - { listen: "http://127.0.0.1:$port2", proxy: "127.0.0.1:$backend" }
"""
MARKER = b"GET /marker HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
REFUSALS = set(range(400, 500)) | {501, 505}
BODILESS = ("HEAD",)


@dataclass
class Outcome:
    """What came of some bytes: at the client and at the backend."""

    responses: list
    ended: str  # "fin", "reset" or None: still open
    seen: list = field(default_factory=list)
    broken: str = ""  # the client got something that is no response

    @property
    def statuses(self):
        return [response.status for response in self.responses]

    @property
    def whole(self):
        return [seen.request for seen in self.seen if seen.verdict == "whole"]

    def __str__(self):
        got = "; ".join(f"{seen.verdict} {seen.why} {seen.raw[:300]!r}" for seen in self.seen)
        return f"client: {self.statuses} ended={self.ended} {self.broken}; backend: {got or 'nothing'}"


class Stage:
    """Sends bytes through weir, each time from a loopback address of its own, by which the backend's record is told apart."""

    def __init__(self):
        self.recorder = Recorder()
        self.weir = Server(CONFIG, values={"backend": self.recorder.port})
        for name in ("echo", "marker"):
            (self.weir.root / name).write_bytes(name.encode())
        self.numbers = itertools.count(1)

    def __enter__(self):
        self.weir.__enter__()
        return self

    def __exit__(self, *exception):
        self.weir.__exit__(*exception)
        self.recorder.close()

    def source(self):
        number = next(self.numbers)
        return f"127.{1 + number // 60000}.{number // 250 % 240}.{1 + number % 250}"

    def exchange(self, port, data, methods=(), half_close=False, seconds=2.5, source=None):
        """Sends, reads to the end. When nothing more comes for a while the client half-closes, and waits again."""
        source = source or self.source()
        responses = []
        with Connection(port, source=source) as connection:
            try:
                connection.send(data)
                if half_close:
                    connection.half_close()
                else:
                    responses, ended = connection.drain(methods, 0.5)
                    if ended:
                        return Outcome(responses, ended)
                    connection.half_close()
                more, ended = connection.drain(list(methods)[len(responses):], seconds)
                return Outcome(responses + more, ended)
            except BadResponse as fault:
                return Outcome(responses, connection.ended, broken=str(fault))

    def proxied(self, data, methods=(), half_close=False):
        """Through the port with the backend; the outcome tells what the backend saw of it."""
        source = self.source()
        self.recorder.take()
        outcome = self.exchange(self.weir.ports["port2"], data, methods, half_close, source=source)
        outcome.seen = self.barrier()
        return outcome

    def static(self, data, methods=(), half_close=False):
        return self.exchange(self.weir.port, data, methods, half_close)

    def barrier(self):
        """What the backend saw until now: a request of our own, answered, is behind everything that weir sent before."""
        source = self.source()
        with Connection(self.weir.ports["port2"], source=source) as connection:
            response = connection.get("/barrier", fields={"Connection": "close"})
        assert response.status == 200, f"weir answers {response.status} to a plain request"
        assert json.loads(response.body)["target"] == "/barrier", "the answer to a plain request belongs to another"
        return [seen for seen in self.recorder.take() if not (seen.request
            and seen.request.target == b"/barrier")]
