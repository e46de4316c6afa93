# SPDX-License-Identifier: BSD-2-Clause
"""Clients: a raw socket with a strict reader of HTTP/1 responses, for bytes that no library would send, and curl."""
import functools
import os
import re
import select
import socket
import ssl
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

# What behaviour tests run over: HTTP/1.1 and HTTP/2, in clear and with TLS; or some of these.
PROTOCOLS = os.environ.get("WEIR_PROTOCOLS", "h1,h1s,h2,h2c").split(",")
CURL_OPTIONS = {
    "h1": ["--http1.1"],
    "h1s": ["--http1.1", "--insecure"],
    "h2": ["--http2", "--insecure"],
    "h2c": ["--http2-prior-knowledge"],
}
SCHEMES = {"h1": "http", "h1s": "https", "h2": "https", "h2c": "http"}

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)\Z")
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")


class BadResponse(AssertionError):
    """weir sent something that is no HTTP/1.1 response."""


class Ended(Exception):
    """The connection ended, or nothing came in time, before a response was whole."""

    def __init__(self, what, got=b""):
        super().__init__(f"{what}; got {got[:200]!r}")
        self.got = got  # and was not looked at
        self.partial = got  # of the body


@dataclass
class Response:
    """One response, as received."""

    status: int
    reason: str
    fields: list = field(default_factory=list)
    body: bytes = b""
    trailers: list = field(default_factory=list)
    framing: str = "none"
    interim: list = field(default_factory=list)

    def all(self, name):
        """The values of all fields of that name."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name, default=None):
        """The value of the only field of that name."""
        values = self.all(name)
        assert len(values) < 2, f"{name} more than once: {values}"
        return values[0] if values else default

    @property
    def closes(self):
        return "close" in [word.strip().lower() for value in self.all("Connection")
            for word in value.split(",")]


def parse_fields(lines):
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.match(name) or not VALUE.match(value):
            raise BadResponse(f"malformed field line {line[:200]!r}")
        fields.append((name.decode(), value.strip(b" \t").decode("latin-1")))
    return fields


def narrow_socket(address, seconds, window):
    """As over an Ethernet, with a small window (0: the kernel's): what is not read yet waits in the server, not in the kernel."""
    made = socket.socket()
    made.settimeout(seconds)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if window:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    made.connect(address)
    return made


class Connection:
    """A connection to weir that sends whatever it is given and reads by RFC 9112 to the letter."""

    def __init__(self, port, host="127.0.0.1", source=None, seconds=5, tls=None, name="localhost", narrow=None, corked=False):
        self.seconds = seconds
        self.buffer = b""
        self.was_reset = False
        self.ended = None  # "fin" or "reset" once it is; "cut" where TLS ends without close_notify
        if isinstance(port, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.connect(port)
        elif narrow is not None:
            self.socket = narrow_socket((host, port), seconds, narrow)
        else:
            self.socket = socket.create_connection((host, port), timeout=seconds,
                                                   source_address=(source, 0) if source else None)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if corked:  # until it is not any more (or 200 ms are over) what is sent gathers
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=name, suppress_ragged_eofs=False)
        self.socket.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends the connection by RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def half_close(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def ready(self, event, seconds):
        """Is the socket ready for it (or ended) within the time?"""
        poll = select.poll()  # select() knows no descriptors beyond 1,023
        poll.register(self.socket, event)
        return bool(poll.poll(max(0, seconds) * 1000))

    def send(self, data, seconds=None):
        """Sends it all, reading meanwhile so that neither side waits for the other. False: the peer has closed before."""
        end = time.monotonic() + (seconds or self.seconds)
        view = memoryview(data)
        while view:
            if self.ready(select.POLLOUT, 0.05):
                try:
                    view = view[self.socket.send(view):]
                except (BlockingIOError, ssl.SSLWantWriteError):
                    pass
                except ssl.SSLWantReadError:
                    self.fill(0)
                except ConnectionResetError:
                    self.was_reset = True  # the kernel tells it once: the next read says that there is no more
                    return False
                except OSError:
                    return False
            else:
                self.fill(0)
            if time.monotonic() > end:
                raise Ended(f"could not send {len(view)} of {len(data)} bytes in time", self.buffer)
        return True

    def request(self, target="/", method="GET", fields=(), body=b"", host="localhost", version="HTTP/1.1"):
        """Sends one well-formed request."""
        lines = [f"{method} {target} {version}"] + ([f"Host: {host}"] if host is not None else [])
        lines += [f"{name}: {value}" for name, value in (fields.items() if isinstance(fields, dict)
            else fields)]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return self.send("\r\n".join(lines + ["", ""]).encode("latin-1") + body)

    def get(self, target="/", **options):
        """One request and its response."""
        self.request(target, **options)
        return self.read(options.get("method", "GET"))

    def begin(self, target, seconds=5, count=1000, **options):
        """A request of whose answer only the beginning is read: read() reads it all."""
        self.request(target, **options)
        end = time.monotonic() + seconds
        while len(self.buffer) < count:
            self.more(end, "the beginning of an answer")
        return self

    # --- Reading ---

    def fill(self, seconds):
        """Reads what comes within the time; False if nothing more did."""
        end = time.monotonic() + max(0, seconds)
        while not self.ended:
            held = isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()
            if not held and not self.ready(select.POLLIN, end - time.monotonic()):
                return False
            try:
                data = self.socket.recv(1 << 18)
            except (BlockingIOError, ssl.SSLWantReadError):
                continue  # a part of a record
            except ssl.SSLEOFError:
                self.ended = "cut"
            except (ConnectionError, ssl.SSLError):
                self.ended = "reset"
            else:
                if data:
                    self.buffer += data
                    return True
                self.ended = "reset" if self.was_reset else "fin"
        return False

    def more(self, end, what):
        if not self.fill(end - time.monotonic()):
            raise Ended(f"{self.ended or 'nothing more'} within {what}", self.buffer)

    def line(self, end, what):
        while b"\n" not in self.buffer:
            if len(self.buffer) > 1 << 17:
                raise BadResponse(f"endless line in {what}")
            self.more(end, what)
        line, _, self.buffer = self.buffer.partition(b"\n")
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            raise BadResponse(f"line of {what} without CRLF: {line[:200]!r}")
        return line[:-1]

    def octets(self, count, end, what):
        parts, have = [], 0
        while have < count:
            if not self.buffer:
                try:
                    self.more(end, what)
                except Ended as fault:
                    fault.partial = b"".join(parts)
                    raise
            part, self.buffer = self.buffer[:count - have], self.buffer[count - have:]
            parts.append(part)
            have += len(part)
        return b"".join(parts)

    def head(self, end):
        line = self.line(end, "a status line")
        match = STATUS.match(line)
        if not match:
            raise BadResponse(f"malformed status line {line[:200]!r}")
        lines = []
        while True:
            line = self.line(end, "a field section")
            if not line:
                break
            lines.append(line)
        return Response(int(match[1]), match[2].decode("latin-1"), parse_fields(lines))

    def chunks(self, response, end):
        parts = []
        while True:
            line = self.line(end, "a chunk's head")
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", line):
                raise BadResponse(f"malformed chunk head {line[:200]!r}")
            size = int(line, 16)
            if not size:
                break
            parts.append(self.octets(size, end, "a chunk"))
            if self.octets(2, end, "a chunk's end") != b"\r\n":
                raise BadResponse("a chunk does not end with CRLF")
        lines = []
        while True:
            line = self.line(end, "a trailer section")
            if not line:
                break
            lines.append(line)
        response.trailers = parse_fields(lines)
        return b"".join(parts)

    def read(self, method="GET", seconds=None, interim=True):
        """Reads the next response; 1xx ones before it are collected in `interim`. Raises Ended or BadResponse."""
        end = time.monotonic() + (seconds or self.seconds)
        before = []
        while True:
            response = self.head(end)
            if response.status >= 200 or response.status == 101 or not interim:
                break
            before.append(response)
        response.interim = before
        lengths, codings = response.all("Content-Length"), response.all("Transfer-Encoding")
        if len(lengths) + len(codings) > 1:
            raise BadResponse(f"more than one framing: {response.fields}")
        if response.status < 200 or response.status == 204:
            if lengths or codings:
                raise BadResponse(f"framing fields in a {response.status}")
        elif method == "HEAD" or response.status == 304 or (method == "CONNECT" and response.status < 300):
            pass
        elif codings:
            if codings[0].lower() != "chunked":
                raise BadResponse(f"Transfer-Encoding {codings[0]!r}")
            response.framing = "chunked"
            response.body = self.chunks(response, end)
        elif lengths:
            if not re.fullmatch(r"[0-9]+", lengths[0]):
                raise BadResponse(f"Content-Length {lengths[0]!r}")
            response.framing = "length"
            response.body = self.octets(int(lengths[0]), end, "a body")
        else:
            response.framing = "close"
            while self.fill(end - time.monotonic()):
                pass
            if self.ended != "fin":
                raise Ended("a body that ends with the connection was not ended", self.buffer)
            response.body, self.buffer = self.buffer, b""
        return response

    def wait_end(self, seconds=None):
        """Waits until the peer ends the connection: "fin" or "reset", or None when it does not in time."""
        end = time.monotonic() + (seconds or self.seconds)
        while not self.ended and time.monotonic() < end:
            self.fill(end - time.monotonic())
        return self.ended

    def drain(self, methods=(), seconds=None):
        """Reads responses until the connection ends (or nothing comes in time): the list of them, and how it ended."""
        responses = []
        methods = list(methods)
        while True:
            try:
                method = methods[len(responses)] if len(responses) < len(methods) else "GET"
                responses.append(self.read(method, seconds))
            except Ended as fault:
                if fault.got or self.buffer:
                    raise BadResponse(f"an unfinished response: {fault}") from None
                return responses, self.ended


def exchange(port, data, methods=(), seconds=5, half_close=False, source=None):
    """Sends bytes on a fresh connection; all responses and how it ended: "fin", "reset" or None (still open)."""
    with Connection(port, source=source, seconds=seconds) as connection:
        connection.send(data)
        if half_close:
            connection.half_close()
        return connection.drain(methods, seconds)


# --- Any protocol ---

def arrivals(connection, seconds=5):
    """What is there of the answer to request(), over HTTP/1.1 with its head and in chunks: yields it each time that more has come, until
    it is whole. read() still reads all of it."""
    end = time.monotonic() + seconds
    if hasattr(connection, "streams"):
        stream = connection.streams[connection.waiting[-1]]
        while not stream.over and connection.take(end - time.monotonic()):
            yield bytes(stream.body)
    while not hasattr(connection, "streams") and connection.fill(end - time.monotonic()):
        yield connection.buffer
        if connection.buffer.endswith(b"\r\n0\r\n\r\n"):
            break


def learned(connection, fault):
    """Did the client whose answer ended early learn of it: by the end of the connection, or of the stream?"""
    return bool(connection.ended) or hasattr(fault, "code")


class Spoken:
    """What the test at hand runs over: its fixture `proto` says."""

    proto = "h1"


@functools.lru_cache(None)
def trusting(*alpn):
    """The context of a client that trusts the tests' authority."""
    import certificates  # not all that speak plainly have what it needs
    return certificates.context(alpn=alpn)


def tls_port(port):
    from server import Server
    return Server.tls_ports[port]


def connect(port, proto=None, **options):
    """A connection over the protocol of the test, for whole requests and responses (request, read, get): Connection or H2. What the
    HTTP/1.1 connection alone knows of (Connection, Host, framing) does not go over HTTP/2. The server was started `secure`."""
    proto = proto or Spoken.proto
    if proto in ("h1s", "h2"):
        port, options["tls"] = tls_port(port), trusting("h2" if proto == "h2" else "http/1.1")
    if proto in ("h2", "h2c"):
        from h2client import H2
        return H2(port, **options)
    return Connection(port, **options)


def fetch(port, path="/", seconds=5):
    """The status and, of a 200, the body that all protocols get that are spoken there: one answer, None where they differ, as in the
    middle of a change."""
    from server import Server
    answers = set()
    for proto in PROTOCOLS:
        if SCHEMES[proto] == "http" or port in Server.tls_ports:
            with connect(port, proto, seconds=seconds) as connection:
                answer = connection.get(path)
                answers.add((answer.status, answer.body if answer.status == 200 else b""))
    return answers.pop() if len(answers) == 1 else None


# --- curl ---

@dataclass
class Transfer(Response):
    """What curl got."""

    version: str = ""
    exit: int = 0
    heads: list = field(default_factory=list)  # all heads, interim ones and redirects included


def spoken(url, proto):
    """A plain URL as it is over the protocol."""
    if proto not in ("h1s", "h2"):
        return url
    return re.sub(r"^http://127\.0\.0\.1:(\d+)", lambda found: f"https://127.0.0.1:{tls_port(int(found[1]))}", url)


def curl(url, *options, proto="h1", seconds=20):
    """One transfer by curl over a protocol; never a proxy, never a configuration file. The URL is the plain one."""
    url = spoken(url, proto)
    with tempfile.TemporaryDirectory(prefix="weir-curl-") as folder:
        body, head = Path(folder, "body"), Path(folder, "head")
        run = subprocess.run(
            ["curl", "--disable", "--silent", "--show-error", "--noproxy", "*", "--path-as-is", "--max-time",
            str(seconds),
             "--output", str(body), "--dump-header", str(head), "--write-out", "%{http_version}",
             *CURL_OPTIONS[proto], *options, url],
            capture_output=True, text=True, errors="replace", timeout=seconds + 10, check=False)
        heads = []
        for text in re.split(r"\r?\n\r?\n", head.read_text("latin-1") if head.exists() else ""):
            lines = text.split("\n")
            if not lines[0].startswith("HTTP/"):
                continue
            words = lines[0].strip().split(" ", 2)
            fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if ":" in line]
            heads.append(Response(int(words[1]), words[2] if len(words) > 2 else "", fields))
        last = heads[-1] if heads else Response(0, run.stderr.strip())
        return Transfer(last.status, last.reason, last.fields, body.read_bytes() if body.exists() else b"",
                        version=run.stdout, exit=run.returncode, heads=heads,
                        interim=[h for h in heads if h.status < 200])
