# SPDX-License-Identifier: BSD-2-Clause
"""The reading of HTTP/1 requests that RFC 9112 gives, as slow and plain as possible: what weir and a backend are held against.

Strict is the form that weir itself must write. Lenient also takes what the RFCs let a recipient take (equal lengths
twice, empty list elements, white space around ";" in chunk extensions); everything else is malformed in both."""
import re
from dataclasses import dataclass, field

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
TARGET = re.compile(rb"[\x21-\x7e\x80-\xff]+\Z")
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
EXTENSION = re.compile(rb'(?:;[!#$%&\'*+\-.^_`|~0-9A-Za-z]+'
                       rb'(?:=(?:[!#$%&\'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e\x80-\xff])*"))?)*\Z')
HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[0-9A-Za-z\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?\Z")
VERSIONS = (b"HTTP/1.0", b"HTTP/1.1")


class Malformed(Exception):
    """No reading, or more than one."""


class Incomplete(Exception):
    """The bytes end before the message does."""


@dataclass
class Request:
    """A request as read."""

    method: bytes
    target: bytes
    version: bytes
    fields: list
    body: bytes = b""
    trailers: list = field(default_factory=list)
    framing: str = "none"

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def words(self, name):
        """The elements of a field that is a list, in lower case, empty ones left out."""
        return [word.strip(b" \t").lower() for value in self.all(name) for word in value.split(b",")
            if word.strip(b" \t")]

    @property
    def closes(self):
        words = self.words(b"Connection")
        return b"close" in words or (self.version == b"HTTP/1.0" and b"keep-alive" not in words)


class Reader:
    """Reads requests from bytes, one after the other."""

    def __init__(self, data, lenient=False):
        self.data, self.at, self.lenient = data, 0, lenient

    def line(self):
        end = self.data.find(b"\n", self.at)
        if end < 0:
            rest = self.data[self.at:]
            if b"\r" in rest[:-1] or b"\0" in rest:
                raise Malformed("CR or NUL within a line")
            raise Incomplete("line")
        line = self.data[self.at:end]
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            raise Malformed("line end")
        self.at = end + 1
        return line[:-1]

    def take(self, count):
        if len(self.data) - self.at < count:
            raise Incomplete("body")
        self.at += count
        return self.data[self.at - count:self.at]

    def fields(self):
        found = []
        while True:
            line = self.line()
            if not line:
                return found
            name, colon, value = line.partition(b":")
            if not colon or not TOKEN.match(name) or not VALUE.match(value):
                raise Malformed(f"field {line[:80]!r}")
            found.append((name, value.strip(b" \t")))

    def start(self):
        if self.lenient:
            while self.data.startswith(b"\r\n", self.at):
                self.at += 2
        words = self.line().split(b" ")
        if len(words) != 3:
            raise Malformed("request line")
        method, target, version = words
        if not TOKEN.match(method) or not TARGET.match(target):
            raise Malformed("method or target")
        if version not in VERSIONS and not (self.lenient and re.fullmatch(rb"HTTP/1\.[0-9]", version)):
            raise Malformed("version")
        return method, target, version

    def chunked(self, request):
        parts = []
        while True:
            line = self.line()
            match = re.match(rb"[0-9A-Fa-f]+", line)
            if not match:
                raise Malformed("chunk size")
            extension = line[match.end():]
            if self.lenient:
                extension = re.sub(rb"[ \t]*([;=])[ \t]*", rb"\1", extension)
            if not EXTENSION.match(extension) or int(match[0], 16) >= 1 << 63:
                raise Malformed("chunk head")
            size = int(match[0], 16)
            if not size:
                break
            parts.append(self.take(size))
            end = self.data[self.at:self.at + 2]
            if not b"\r\n".startswith(end):
                raise Malformed("chunk end")
            self.take(2)
        request.trailers = self.fields()
        request.body = b"".join(parts)

    def framing(self, request):
        lengths, codings = request.all(b"Content-Length"), request.words(b"Transfer-Encoding")
        if request.all(b"Transfer-Encoding"):
            if lengths or request.version == b"HTTP/1.0" or codings != [b"chunked"]:
                raise Malformed("framing")
            if not self.lenient and len(request.all(b"Transfer-Encoding")) != 1:
                raise Malformed("Transfer-Encoding twice")
            request.framing = "chunked"
            self.chunked(request)
        elif lengths:
            if self.lenient:
                lengths = sorted({part.strip(b" \t") for value in lengths for part in value.split(b",")})
            if len(lengths) != 1 or not re.fullmatch(rb"[0-9]+", lengths[0]) or int(lengths[0]) >= 1 << 63:
                raise Malformed("Content-Length")
            request.framing = "length"
            request.body = self.take(int(lengths[0]))

    def check_host(self, request):
        hosts = request.all(b"Host")
        if len(hosts) > 1 or (not hosts and request.version != b"HTTP/1.0"):
            raise Malformed("Host")
        if hosts and not HOST.match(hosts[0]):
            raise Malformed("Host's value")

    def check_target(self, request):
        target, method = request.target, request.method
        if b"#" in target:
            raise Malformed("fragment")
        if method == b"CONNECT":
            if not re.fullmatch(rb"[^/?@]+:[0-9]+", target):
                raise Malformed("authority form")
        elif target == b"*":
            if method != b"OPTIONS":
                raise Malformed("asterisk form")
        elif not target.startswith(b"/"):
            match = re.match(rb"(?i)https?://([^/?#]*)", target)
            if not match or not HOST.match(match[1]):
                raise Malformed("absolute form")

    def request(self):
        """The next request. Raises Malformed or Incomplete."""
        method, target, version = self.start()
        request = Request(method, target, version, self.fields())
        self.check_target(request)
        self.check_host(request)
        self.framing(request)
        return request


def read_all(data, lenient=False):
    """All requests up to one that closes: (requests, "end" | "malformed" | "incomplete", why)."""
    reader, requests = Reader(data, lenient), []
    while reader.at < len(data):
        try:
            requests.append(reader.request())
        except Malformed as fault:
            return requests, "malformed", str(fault)
        except Incomplete as fault:
            return requests, "incomplete", str(fault)
        if requests[-1].closes:
            break
    return requests, "end", ""
