# SPDX-License-Identifier: BSD-2-Clause
"""Long bodies for tests: made as they are sent, known by their checksum; and what a process has resident meanwhile."""
import hashlib
import socket
import threading
import time

from client import Connection, Ended

MIB = 1 << 20

BLOCK = b"".join(b"%015d\n" % n for n in range(65535))


def blocks(count):
    for number in range(count):
        yield b"%015d\n" % number + BLOCK


SUMS = {}


def checksum(count):
    if count not in SUMS:
        total = hashlib.sha256()
        for block in blocks(count):
            total.update(block)
        SUMS[count] = total.hexdigest()
    return SUMS[count]


def down(peer, head):
    """A script: /down/FRAMING/MIB."""
    _, _, framing, count = head.target.split("/")
    head_of = {"length": b"Content-Length: %d\r\n" % (int(count) * MIB), "chunked": b"Transfer-Encoding: chunked\r\n", "close": b""}[framing]
    peer.send(b"HTTP/1.1 200 OK\r\n" + head_of + b"\r\n")
    for block in blocks(int(count)):
        if framing == "chunked":
            peer.send(b"100000\r\n")
        peer.send(block)
        if framing == "chunked":
            peer.send(b"\r\n")
    if framing == "chunked":
        peer.send(b"0\r\n\r\n")
    return framing != "close"


def up(peer, head):
    """A script: answers with the body's checksum and length."""
    total, count = hashlib.sha256(), 0
    for piece in peer.body(head):
        total.update(piece)
        count += len(piece)
    body = f"{total.hexdigest()} {count}".encode()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return True


class Memory:
    """Watches what a process has resident, while something goes on."""

    def __init__(self, pid):
        self.pid, self.most, self.stop = pid, 0, threading.Event()
        self.sanitized = self.read("VmSize") > 1 << 40  # an address sanitizer keeps what was freed
        self.before = self.read()
        self.thread = threading.Thread(target=self.watch)

    def read(self, kind="VmRSS"):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith(kind + ":"))

    def watch(self):
        while not self.stop.wait(0.02):
            self.most = max(self.most, self.read())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.stop.set()
        self.thread.join()

    def within(self, limit):
        assert self.sanitized or self.most <= limit, f"{self.most >> 10} KiB resident, {self.before >> 10} before"


def receive(sock, count, pause=0.0, size=1 << 18, start=b""):
    """The checksum of what comes, in all so many octets."""
    total, got = hashlib.sha256(start), len(start)
    room = memoryview(bytearray(size))
    while got < count:
        taken = sock.recv_into(room[:min(size, count - got)])
        if not taken:
            raise Ended(f"after {got} of {count} octets")
        total.update(room[:taken])
        got += taken
        if pause:
            time.sleep(pause)
    return total.hexdigest()


def begin_down(port, count, window=None, framing="length"):
    """Asks, reads the head: the connection, and what it has of the body."""
    connection = Connection(port, seconds=30)
    if window:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    connection.request(f"/down/{framing}/{count}")
    head = connection.head(time.monotonic() + 10)
    assert head.status == 200
    connection.socket.setblocking(True)
    connection.socket.settimeout(30)
    return connection


def begin_up(port, count, target="/up"):
    connection = Connection(port, seconds=30)
    connection.send(f"PUT {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {count * MIB}\r\n\r\n".encode())
    connection.socket.setblocking(True)
    connection.socket.settimeout(30)
    return connection


def end_up(connection, count):
    connection.socket.setblocking(False)
    response = connection.read(seconds=30)
    assert (response.status, response.body.decode()) == (200, f"{checksum(count)} {count * MIB}")
    connection.close()
