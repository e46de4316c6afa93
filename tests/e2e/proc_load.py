# SPDX-License-Identifier: BSD-2-Clause
"""Clients that ask all the time, while a test does something to weir: what they lost is the test's question."""
import http.client
import threading
import time


class Load:
    """`kept` clients on connections that they keep, `fresh` clients with a connection a request. A kept connection that
    weir announced to close is opened anew, and that is no loss; one that ends unannounced is."""

    def __init__(self, port, path="/", kept=4, fresh=4, expect=b"hello\n"):
        self.port, self.path, self.expect = port, path, expect
        self.lock = threading.Lock()
        self.good, self.lost = 0, []
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.keep, daemon=True) for _ in range(kept)]
        self.threads += [threading.Thread(target=self.open, daemon=True) for _ in range(fresh)]

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

    def count(self, what):
        with self.lock:
            if what is None:
                self.good += 1
            else:
                self.lost.append(what)

    def ask(self, connection):
        """One request; returns whether weir keeps the connection."""
        connection.request("GET", self.path)
        answer = connection.getresponse()
        body = answer.read()
        self.count(None if answer.status == 200 and body == self.expect else f"{answer.status} {body[:50]!r}")
        return answer.getheader("Connection", "").lower() != "close"

    def new(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def keep(self):
        connection = self.new()
        while not self.ended.is_set():
            try:
                if not self.ask(connection):
                    connection.close()
            except (OSError, http.client.HTTPException) as error:
                self.count(f"kept: {error!r}")
                connection.close()
                time.sleep(0.01)
        connection.close()

    def open(self):
        while not self.ended.is_set():
            connection = self.new()
            try:
                self.ask(connection)
            except (OSError, http.client.HTTPException) as error:
                self.count(f"fresh: {error!r}")
                time.sleep(0.01)
            connection.close()
