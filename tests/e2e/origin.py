# SPDX-License-Identifier: BSD-2-Clause
"""A backend that does what its scripts say, also what no backend should: one thread a connection, raw sockets."""
import hashlib
import os
import socket
import threading
import time
from dataclasses import dataclass, field

FIELDS = b"Content-Type: text/plain\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


class Gone(Exception):
    """weir closed its connection."""


@dataclass
class Head:
    """The head of a request, as it came."""

    method: str
    target: str
    version: str
    fields: list = field(default_factory=list)

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        assert len(values) < 2, f"{name}: {values}"
        return values[0] if values else None


class Peer:
    """A connection from weir."""

    def __init__(self, accepted):
        self.socket = accepted
        self.socket.settimeout(20)
        if self.socket.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def more(self):
        try:
            data = self.socket.recv(1 << 18)
        except OSError as fault:
            raise Gone from fault
        if not data:
            raise Gone
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line.decode("latin-1")

    def head(self):
        method, target, version = self.line().split(" ")
        fields = []
        while line := self.line():
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))
        return Head(method, target, version, fields)

    def octets(self, count):
        """Yields pieces of what follows, in all so many."""
        while count:
            if not self.buffer:
                self.more()
            piece, self.buffer = self.buffer[:count], self.buffer[count:]
            count -= len(piece)
            yield piece

    def chunks(self, trailers=None):
        while size := int(self.line(), 16):
            yield from self.octets(size)
            assert self.line() == ""
        while line := self.line():
            if trailers is not None:
                trailers.append(line)

    def body(self, head, trailers=None):
        """Pieces of the request's body."""
        if head.get("Transfer-Encoding"):
            assert head.get("Content-Length") is None
            return self.chunks(trailers)
        return self.octets(int(head.get("Content-Length") or 0))

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as fault:
            raise Gone from fault

    def close(self):
        """FIN in any case: what is unread would make it a reset."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
            self.socket.settimeout(2)
            while self.socket.recv(1 << 18):
                pass
        except OSError:
            pass
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def ended(self, seconds=5):
        """Does weir close within the time? What it still sends is passed over."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(1 << 18):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True


class Origin:
    """Runs scripts: `scripts[name](peer, head)` answers requests for /name…; true keeps the connection. `default` answers the rest."""

    def __init__(self, scripts=None, default=None, path=None, host="127.0.0.1", port=0):
        self.scripts = dict(SCRIPTS, **(scripts or {}))
        self.default = default or plain
        self.path, self.host, self.port = path, host, port
        self.lock = threading.Lock()
        self.heads = []
        self.connections = 0
        self.faults = []
        self.peers = set()
        self.listener = self.kept_port = None
        self.open()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
        assert not self.faults, self.faults

    @property
    def address(self):
        return f"unix:{self.path}" if self.path else f"{self.host}:{self.port}"

    def open(self):
        """Begins to listen, at the same port if it did before."""
        if self.path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(self.path))
            os.chmod(self.path, 0o777)
            self.listener.listen(512)
        else:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            self.listener = socket.create_server((self.host, self.port), family=family, backlog=512)
            self.port = self.listener.getsockname()[1]
        self.vacate()
        threading.Thread(target=self.run, args=(self.listener,), daemon=True).start()

    def vacate(self):
        if self.kept_port:
            self.kept_port.close()
        self.kept_port = None

    def deafen(self):
        """Listens no more. The port stays ours: another test's server there would answer."""
        if self.listener.fileno() < 0:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        if not self.path:
            self.kept_port = socket.socket(self.listener.family)
            self.kept_port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.kept_port.bind((self.host, self.port))

    def retire(self):
        """Listens no more and ends all connections, which are idle. When this returns weir has seen it: an end is sent, but not
        always there, before what is sent after it by other connections."""
        self.deafen()
        with self.lock:
            peers = list(self.peers)
        for peer in peers:
            peer.socket.shutdown(socket.SHUT_WR)
        end = time.monotonic() + 20
        while self.peers:
            assert time.monotonic() < end, "weir keeps a connection that has ended"
            time.sleep(0.005)

    def shut(self):
        """Listens no more and cuts all connections."""
        self.deafen()
        with self.lock:
            peers, self.peers = self.peers, set()
        for peer in peers:
            try:
                peer.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.shut()
        self.vacate()

    def targets(self):
        with self.lock:
            return [head.target for head in self.heads]

    def run(self, listener):
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            peer = Peer(accepted)
            with self.lock:
                self.connections += 1
                self.peers.add(peer)
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        try:
            while True:
                head = peer.head()
                with self.lock:
                    self.heads.append(head)
                name = head.target.lstrip("/").split("/")[0].split("?")[0]
                if not self.scripts.get(name, self.default)(peer, head):
                    break
        except Gone:
            pass
        except Exception as fault:  # a test's own mistake must not pass in silence
            self.faults.append(repr(fault))
        with self.lock:
            self.peers.discard(peer)
        peer.socket.close()


# --- Scripts that behave. ---

def plain(peer, head):
    """Reads the body, answers 200."""
    for _ in peer.body(head):
        pass
    peer.send(OK if head.method != "HEAD" else OK[:-2])
    return True


def digest(peer, head):
    """Answers with the body's SHA-256, its length and the trailers."""
    total, count, trailers = hashlib.sha256(), 0, []
    for piece in peer.body(head, trailers):
        total.update(piece)
        count += len(piece)
    answer = "\n".join([total.hexdigest(), str(count), *trailers]).encode()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
    return True


def pattern(size):
    """So many bytes in which no part is like another."""
    block = b"".join(b"%015d\n" % n for n in range(65536))
    sent = 0
    while sent < size:
        piece = block[:min(len(block), size - sent)]
        yield piece
        sent += len(piece)


def pattern_digest(size):
    total = hashlib.sha256()
    for piece in pattern(size):
        total.update(piece)
    return total.hexdigest()


def give(peer, head):
    """/give/FRAMING/SIZE"""
    _, _, framing, size = head.target.split("/")
    for _ in peer.body(head):
        pass
    if framing == "length":
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % int(size))
    elif framing == "chunked":
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n")
    else:
        peer.send(b"HTTP/1.0 200 OK\r\n\r\n")
    for number, piece in enumerate(pattern(int(size))):
        if framing != "chunked":
            peer.send(piece)
            continue
        step = [len(piece), 4096, 7][number % 3] if len(piece) < 1 << 20 else len(piece)
        out = []
        for at in range(0, len(piece), step):
            part = piece[at:at + step]
            out.append(b"%x\r\n%s\r\n" % (len(part), part))
        peer.send(b"".join(out))
    if framing == "chunked":
        peer.send(b"0\r\nX-T: 1\r\n\r\n")
    return framing != "close"


def echo(peer):
    """Sends everything back until the client ends; then says so and ends."""
    try:
        while True:
            if peer.buffer:
                data, peer.buffer = peer.buffer, b""
                peer.send(data)
            peer.more()
    except Gone:
        peer.send(b"bye")
    return False


def websocket(peer, head):
    """Accepts a tunnel and sends everything back."""
    assert head.get("Upgrade") == "websocket" and head.get("Connection").lower() == "upgrade"
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
              b"Sec-WebSocket-Accept: x\r\n\r\n")
    return echo(peer)


def events(peer, head):
    """Server-sent events: the time at which each was sent."""
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    for _ in range(10):
        peer.send(b"data: %.6f\n\n" % time.monotonic())
        time.sleep(0.05)
    return False


# --- Scripts that do not. ---

def answer(*pieces, end="close", pause=0.05):
    """A script that sends pieces, whatever they are, and then "close"s, "reset"s or "keep"s the connection."""

    def script(peer, head):
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(pause)
            peer.send(piece)
        if end == "keep":
            return True
        time.sleep(pause if pieces else 0)
        getattr(peer, end)()
        return False

    return script


def hang(peer, head):
    peer.ended(20)
    return False


def endless_head(peer, head):
    peer.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        peer.send(b"X-Field: " + b"x" * 1000 + b"\r\n")


def refuse_body(peer, head):
    """Answers before the body, and does not read it."""
    peer.send(b"HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
    peer.close()
    return False


def close_idle(peer, head):
    """A whole answer, and the connection is closed without a word."""
    plain(peer, head)
    peer.close()
    return False


def interim(peer, head):
    peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")
    time.sleep(0.05)
    peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
    time.sleep(0.3)
    peer.send(OK)
    return True


HEAD = b"HTTP/1.1 200 OK\r\n" + FIELDS

# What is refused: the client gets 502. None of them may reach it, nor be taken for the answer to another request.
REFUSED = {
    "close_before": answer(),
    "close_in_status": answer(b"HTTP/1.1 20"),
    "close_in_head": answer(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "close_before_empty_line": answer(HEAD + b"Content-Length: 2\r\n"),
    "reset_before": answer(end="reset"),
    "reset_in_head": answer(b"HTTP/1.1 200 OK\r\nContent-Le", end="reset"),
    "length_twice": answer(HEAD + b"Content-Length: 2\r\nContent-Length: 4\r\n\r\nevil", end="keep"),
    "length_list": answer(HEAD + b"Content-Length: 2, 4\r\n\r\nevil", end="keep"),
    "length_negative": answer(HEAD + b"Content-Length: -2\r\n\r\nevil"),
    "length_signed": answer(HEAD + b"Content-Length: +2\r\n\r\nevil"),
    "length_hex": answer(HEAD + b"Content-Length: 0x2\r\n\r\nevil"),
    "length_huge": answer(HEAD + b"Content-Length: 99999999999999999999\r\n\r\nevil"),
    "length_empty": answer(HEAD + b"Content-Length:\r\n\r\nevil"),
    "te_and_length": answer(HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n4\r\nevil\r\n0\r\n\r\n", end="keep"),
    "te_unknown": answer(HEAD + b"Transfer-Encoding: x\r\n\r\nevil"),
    "te_twice": answer(HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"),
    "te_http10": answer(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"),
    "chunk_bad": answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nevil\r\n0\r\n\r\n"),
    "chunk_signed": answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n+4\r\nevil\r\n0\r\n\r\n"),
    "chunk_overflow": answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n10000000000000004\r\nevil\r\n0\r\n\r\n"),
    "chunk_long": answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nevil\r\n0\r\n\r\n"),
    "chunk_lf": answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\nevil\n0\n\n"),
    "http09": answer(b"<html>evil</html>\n"),
    "garbage": answer(bytes(range(256)) * 4),
    "other_version": answer(b"HTTP/3.0 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
    "status_short": answer(b"HTTP/1.1 20 OK\r\nContent-Length: 4\r\n\r\nevil"),
    "status_long": answer(b"HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\nevil"),
    "huge_field": answer(HEAD + b"X-F: " + b"x" * (1 << 20) + b"\r\nContent-Length: 4\r\n\r\nevil"),
    "many_fields": answer(HEAD + b"X-F: 1\r\n" * 20000 + b"Content-Length: 4\r\n\r\nevil"),
    "endless_head": endless_head,
    "nul": answer(HEAD + b"X-F: a\0b\r\nContent-Length: 4\r\n\r\nevil"),
    "escape": answer(HEAD + b"X-F: a\x1bb\r\nContent-Length: 4\r\n\r\nevil"),
    "bare_cr": answer(HEAD + b"X-F: a\rSet-Cookie: evil=1\r\nContent-Length: 4\r\n\r\nevil"),
    "bare_lf": answer(HEAD + b"X-F: a\nContent-Length: 4\r\n\r\nevil"),
    "lf_only": answer(b"HTTP/1.1 200 OK\nContent-Length: 4\n\nevil"),
    "fold": answer(HEAD + b"X-F: a\r\n b\r\nContent-Length: 4\r\n\r\nevil"),
    "name_space": answer(HEAD + b"X F: a\r\nContent-Length: 4\r\n\r\nevil"),
    "name_colon_space": answer(HEAD + b"Content-Length : 4\r\n\r\nevil"),
    "name_empty": answer(HEAD + b": a\r\nContent-Length: 4\r\n\r\nevil"),
    "name_8bit": answer(HEAD + b"X-\xe4: a\r\nContent-Length: 4\r\n\r\nevil"),
    "no_colon": answer(HEAD + b"evil\r\nContent-Length: 4\r\n\r\nevil"),
    "switching": answer(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\nevil"),
    "extra": answer(HEAD + b"Content-Length: 2\r\n\r\nok" + EVIL, end="keep"),
    "extra_chunked": answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + EVIL, end="keep"),
}

# What is cut short once its head was passed on: never whole for the client.
CUT = {
    "close_mid_body": answer(HEAD + b"Content-Length: 10\r\n\r\nabc"),
    "reset_mid_body": answer(HEAD + b"Content-Length: 10\r\n\r\nabc", end="reset"),
    "close_mid_chunk": answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n10\r\nabc"),
    "close_between_chunks": answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
    "close_in_last_chunk": answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"),
    "close_in_trailers": answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n"),
    "chunk_bad_later": answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"zz\r\nevil\r\n0\r\n\r\n"),
    "trailer_bad": answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"0\r\nX T: 1\r\n\r\n"),
    "trailer_huge": answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"0\r\n" + b"X-T: 1\r\n" * 40000 + b"\r\n"),
    "hang_mid_body": lambda peer, head: (peer.send(HEAD + b"Content-Length: 10\r\n\r\nabc"), hang(peer, head))[1],
}

# What is good for this request and must not touch the next one.
POISON = {
    "extra_later": answer(HEAD + b"Content-Length: 2\r\n\r\nok", EVIL, end="keep"),
    "extra_204": answer(b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL, end="keep"),
    "extra_304": answer(b"HTTP/1.1 304 Not Modified\r\n\r\n" + EVIL, end="keep"),
    "body_204": answer(b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil", end="keep"),
    "body_head": answer(HEAD + b"Content-Length: 4\r\n\r\nevil", end="keep"),
}

SCRIPTS = {
    "digest": digest, "give": give, "websocket": websocket, "events": events, "hang": hang, "refuse_body": refuse_body,
    "close_idle": close_idle, "interim": interim,
    "status_503": answer(b"HTTP/1.1 503 Not Now\r\nContent-Length: 3\r\nRetry-After: 7\r\n\r\nnot", end="keep"),
    **REFUSED, **CUT, **POISON,
}
