# SPDX-License-Identifier: BSD-2-Clause
"""Clients of all protocols that ask all the time, while a test does something to weir: what they lost is the test's question."""
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from client import PROTOCOLS, BadResponse, Ended, connect, tls_port
from server import wait_for


class Load:
    """`kept` clients on connections that they keep, `fresh` clients with a connection a request; one after the other speaks the next
    protocol. A kept connection that weir announced to close (Connection: close, GOAWAY) is opened anew, and that is no loss; one that
    ends unannounced is. The server was started `secure`."""

    protos = PROTOCOLS

    def __init__(self, port, path="/", kept=4, fresh=4, expect=b"hello\n"):
        self.port, self.path, self.expect = port, path, expect
        self.lock = threading.Lock()
        self.good, self.lost = 0, []
        self.good_of = dict.fromkeys(self.protos, 0)
        self.ended = threading.Event()
        acts = [self.keep] * kept + [self.open] * fresh
        self.threads = [threading.Thread(target=act, args=(self.protos[number % len(self.protos)],), daemon=True)
                        for number, act in enumerate(acts)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.progress()
        return self

    def __exit__(self, *exception):
        self.ended.set()
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive(), "a client hangs"

    def progress(self, more=50, seconds=10):
        """Waits until so many more requests were answered."""
        aim, end = self.good + more, time.monotonic() + seconds
        while self.good < aim:
            assert time.monotonic() < end, f"only {self.good} of {aim} answers; lost: {self.lost[:5]}"
            time.sleep(0.005)

    def new(self, proto):
        return connect(self.port, proto, seconds=10)

    def count(self, proto, what):
        with self.lock:
            if what is None:
                self.good += 1
                self.good_of[proto] += 1
            else:
                self.lost.append(what)

    def ask(self, connection, proto):
        """One request; returns whether weir keeps the connection."""
        try:
            answer = connection.get(self.path)
        except Ended:
            if unseen(connection):
                return False
            raise
        right = answer.status == 200 and answer.body == self.expect
        self.count(proto, None if right else f"{proto}: {answer.status} {answer.body[:50]!r}")
        return not announced(connection, answer)

    def keep(self, proto):
        connection = None
        while not self.ended.is_set():
            try:
                connection = connection or self.new(proto)
                if self.ask(connection, proto):
                    continue
            except (OSError, Ended, BadResponse) as error:
                self.count(proto, f"{proto}, kept: {error!r}")
                time.sleep(0.01)
            if connection:
                connection.close()
            connection = None
        if connection:
            connection.close()

    def open(self, proto):
        while not self.ended.is_set():
            try:
                with self.new(proto) as connection:
                    self.ask(connection, proto)
            except (OSError, Ended, BadResponse) as error:
                self.count(proto, f"{proto}, fresh: {error!r}")
                time.sleep(0.01)


def announced(connection, answer):
    """Did weir say that it will end the connection?"""
    if not hasattr(connection, "goaway"):
        return answer.closes
    while connection.take(0):
        pass
    return connection.goaway is not None


def unseen(connection):
    """Did weir say that it has not looked at the last request (RFC 9113, 6.8: it may be sent again)?"""
    return getattr(connection, "goaway", None) is not None and connection.past(connection.highest)


def is_stopped(pid):
    """Signals are obeyed by one thread after the other."""
    states = [path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


def queued(port):
    """How many connections wait to be accepted."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(int(row[4].split(":")[1], 16) for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port)


class Queue:
    """Clients of all protocols that wait for a worker that is stopped: those with TLS for their handshake."""

    def __init__(self, port, each=3):
        self.port, self.each = port, each
        self.pool = ThreadPoolExecutor(each * len(PROTOCOLS))

    def ask(self, proto):
        with connect(self.port, proto, seconds=20) as client:
            return client.get()

    def __enter__(self):
        self.waiting = [self.pool.submit(self.ask, proto) for proto in PROTOCOLS for _ in range(self.each)]
        wait_for(lambda: queued(self.port) + queued(tls_port(self.port)) == len(self.waiting), what="the clients")
        return self

    def __exit__(self, *exception):
        self.pool.shutdown()

    def served(self, body):
        answers = [one.result() for one in self.waiting]
        assert all((answer.status, answer.body) == (200, body) for answer in answers), answers
