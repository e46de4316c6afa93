# SPDX-License-Identifier: BSD-2-Clause
"""A backend that keeps every byte it gets and reads it strictly: what reaches it must have one reading only."""
import json
import selectors
import socket
import threading
import time
from dataclasses import dataclass

from reference import Incomplete, Malformed, Reader, Request


@dataclass
class Seen:
    """One message at the backend: a whole request, or what was malformed or cut."""

    verdict: str  # "whole", "malformed" or "cut"
    raw: bytes
    request: Request = None
    why: str = ""

    @property
    def client(self):
        """The client's address as weir told it: the last one, which no client can forge."""
        if self.request is None:
            return None
        words = self.request.words(b"X-Forwarded-For")
        return words[-1].decode("latin-1") if words else None

    @property
    def expects(self):
        return self.request is not None and b"100-continue" in self.request.words(b"Expect")


@dataclass
class Peer:
    """A connection from weir."""

    socket: socket.socket
    buffer: bytes = b""
    out: bytes = b""
    closing: bool = False
    invited: bool = False  # 100 was sent for the message under way


class Recorder:
    """Runs in a thread of its own; answers each request with what it saw, as JSON."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ, None)
        self.wake, wakened = socket.socketpair()
        self.selector.register(wakened, selectors.EVENT_READ, "wake")
        self.lock = threading.Lock()
        self.seen = []
        self.running = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def close(self):
        self.running = False
        self.wake.send(b"x")
        self.thread.join(5)
        self.listener.close()

    def take(self):
        """All that was seen since the last call."""
        with self.lock:
            seen, self.seen = self.seen, []
        return seen

    def wait(self, count, seconds=5):
        """Waits until so many messages were seen, and takes them."""
        end = time.monotonic() + seconds
        while len(self.seen) < count and time.monotonic() < end:
            time.sleep(0.002)
        return self.take()

    # --- In the thread ---

    def run(self):
        while self.running:
            ready = self.selector.select()
            peers = []
            for key, events in ready:
                if key.data is None:
                    self.accept()
                elif key.data != "wake":
                    peers.append((key.data, events))
            # First all bytes, then all answers: what was sent before a request is recorded before its answer is seen.
            ended = [peer for peer, events in peers if events & selectors.EVENT_READ and not self.read(peer)]
            for peer, events in peers:
                self.parse(peer, peer in ended)
            for peer, events in peers:
                self.write(peer, peer in ended)

    def accept(self):
        try:
            while True:
                accepted, _ = self.listener.accept()
                accepted.setblocking(False)
                self.selector.register(accepted, selectors.EVENT_READ, Peer(accepted))
        except OSError:
            pass

    def read(self, peer):
        try:
            while True:
                data = peer.socket.recv(1 << 18)
                if not data:
                    return False
                peer.buffer += data
        except BlockingIOError:
            return True
        except OSError:
            return False

    def note(self, seen):
        with self.lock:
            self.seen.append(seen)

    def parse(self, peer, ended):
        while peer.buffer and not peer.closing:
            reader = Reader(peer.buffer)
            try:
                request = reader.request()
            except Incomplete:
                if ended:
                    self.note(self.cut(peer.buffer))
                    peer.buffer = b""
                elif not peer.invited and self.cut(peer.buffer).expects:
                    peer.invited = True
                    peer.out += b"HTTP/1.1 100 Continue\r\n\r\n"
                break
            except Malformed as fault:
                self.note(Seen("malformed", peer.buffer, why=str(fault)))
                peer.buffer, peer.closing = b"", True
                peer.out += b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                break
            self.note(Seen("whole", peer.buffer[:reader.at], request))
            peer.buffer, peer.invited = peer.buffer[reader.at:], False
            peer.out += self.answer(request)
            peer.closing = request.closes

    @staticmethod
    def cut(raw):
        """What was cut, with its head if that is whole: then the client is known."""
        reader = Reader(raw)
        try:
            return Seen("cut", raw, Request(*reader.start(), reader.fields()))
        except (Malformed, Incomplete):
            return Seen("cut", raw)

    @staticmethod
    def answer(request):
        body = json.dumps({
            "method": request.method.decode("latin-1"), "target": request.target.decode("latin-1"),
            "body": request.body.decode("latin-1"), "framing": request.framing,
            "fields": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.fields],
            "trailers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.trailers],
        }).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        if request.closes:
            head += "Connection: close\r\n"
        return head.encode() + b"\r\n" + (b"" if request.method == b"HEAD" else body)

    def write(self, peer, ended):
        try:
            while peer.out and not ended:
                peer.out = peer.out[peer.socket.send(peer.out):]
        except BlockingIOError:
            pass
        except OSError:
            ended = True
        if ended or (peer.closing and not peer.out):
            self.selector.unregister(peer.socket)
            peer.socket.close()
        else:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.out else 0)
            self.selector.modify(peer.socket, wanted, peer)
