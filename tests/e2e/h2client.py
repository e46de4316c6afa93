# SPDX-License-Identifier: BSD-2-Clause
"""An HTTP/2 client on a raw socket: sends any frames, legal or not, and reads by RFC 9113 to the letter: what a server may not send
is a BadResponse. Header blocks are written here, octet by octet; they are read by Debian's python3-hpack."""
import contextlib
import re
import struct
import time
from dataclasses import dataclass

import pytest

from client import TOKEN, VALUE, BadResponse, Connection, Ended, Response

hpack = pytest.importorskip("hpack", reason="python3-hpack is not installed")

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 0x10
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)
ENABLE_CONNECT_PROTOCOL, NO_RFC7540_PRIORITIES = 8, 9
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM,
 CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED) = range(14)
WINDOW, TOP = 65535, (1 << 31) - 1
# RFC 9113, 8.2.2: connection-specific, and so in no message; TE is allowed in requests alone.
SPECIFIC = {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te"}


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """The octets of one frame, also of one that tells a false length."""
    size = len(payload) if length is None else length
    return struct.pack(">BHBBL", size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def integer(value, prefix, first=0):
    """RFC 7541, 5.1."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def octets(text):
    return text if isinstance(text, bytes) else str(text).encode("latin-1")


def string(text):
    """RFC 7541, 5.2, without Huffman."""
    return integer(len(octets(text)), 7) + octets(text)


def literal(name, value, first=0x00):
    """A literal field whose name is written out: 0x00 not indexed, 0x10 never, 0x40 with indexing (RFC 7541, 6.2)."""
    return bytes([first]) + string(name) + string(value)


def block(fields, first=0x00):
    return b"".join(literal(name, value, first) for name, value in fields)


def head(method="GET", path="/", *more, scheme="http", authority="localhost"):
    """The fields of a request; None leaves a pseudo-field out."""
    pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
    return [(name, value) for name, value in pseudo if value is not None] + list(more)


def settings(pairs):
    """SETTINGS' payload."""
    return b"".join(struct.pack(">HL", *pair) for pair in (pairs.items() if isinstance(pairs, dict) else pairs))


@dataclass
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def content(self):
        """The payload without its padding."""
        if self.kind not in (DATA, HEADERS) or not self.flags & PADDED:
            return self.payload
        if not self.payload or self.payload[0] >= len(self.payload):
            raise BadResponse(f"6.1: padding as long as its frame: {self}")
        return self.payload[1:len(self.payload) - self.payload[0]]


class Reset(Ended):
    """The server ended a stream by RST_STREAM."""

    def __init__(self, code, got=b""):
        super().__init__(f"RST_STREAM with {code}", got)
        self.code = code


class Stream:
    """One request and what came of it."""

    def __init__(self, number, method, receive, send):
        self.number, self.method = number, method
        self.window, self.room = receive, send  # what the server may send, what we may
        self.interim, self.head, self.body, self.trailers = [], None, bytearray(), []
        self.whole, self.reset = False, None
        self.sent = False  # END_STREAM from us
        self.arrivals = []  # (number of the frame on the connection, octets)
        self.kept = True  # False: octets are counted, not kept
        self.count = 0

    @property
    def over(self):
        return self.whole or self.reset is not None

    @property
    def bodiless(self):
        return self.method == "HEAD" or self.head.status in (204, 304)


def read_fields(pairs, kind):
    """[(name, value)] of a decoded block; kind: "head" or "trailers". Asserts RFC 9113, 8.2, 8.2.1, 8.2.2, 8.3."""
    fields, status = [], None
    for number, (name, value) in enumerate(pairs):
        name, value = bytes(name), bytes(value)
        if name.startswith(b":"):
            if kind != "head" or name != b":status" or number or not re.fullmatch(rb"[1-5]\d\d", value):
                raise BadResponse(f"8.3: pseudo-field {name} {value} at {number} of {kind}")
            status = int(value)
            continue
        if not TOKEN.match(name) or name != name.lower() or not VALUE.match(value) or value != value.strip(b" \t"):
            raise BadResponse(f"8.2.1: {name} {value[:200]}")
        if name in SPECIFIC:
            raise BadResponse(f"8.2.2: connection-specific {name} {value}")
        fields.append((name.decode(), value.decode("latin-1")))
    if kind == "head" and status is None:
        raise BadResponse(f"8.3.2: no :status in {fields}")
    return status, fields


class H2(Connection):
    """A connection. Acknowledges SETTINGS and PING, and opens windows again as `auto` says; the rest is the test's."""

    def __init__(self, port, options=None, auto=True, preface=True, **more):
        self.corked = None
        super().__init__(port, **more)
        self.auto, self.scheme = auto, "https" if more.get("tls") else "http"
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder(max_header_list_size=1 << 24)
        self.streams, self.highest, self.next = {}, 0, 1
        self.window, self.room = WINDOW, WINDOW  # of the connection: what the server may send, what we may
        self.stream_window, self.stream_room = WINDOW, WINDOW  # what new streams begin with
        self.largest = 16384  # of frames that we may send
        self.limit = 16384  # of frames that the server may send
        self.options, self.unacknowledged = {}, []
        self.pings, self.pongs, self.settled, self.goaway = [], [], 0, None
        self.assembling, self.block_size, self.frames, self.order = None, 0, 0, []
        self.waiting = []  # for request() and read()
        if preface:
            self.preface(options or {})

    # --- Sending ---

    def send(self, data, seconds=None):
        if self.corked is not None:
            self.corked += data
            return True
        return super().send(data, seconds)

    @contextlib.contextmanager
    def at_once(self):
        """What is sent within goes out in one piece."""
        self.corked = b""
        yield
        data, self.corked = self.corked, None
        self.send(data)

    def preface(self, options):
        self.unacknowledged.append(dict(options))
        self.apply_early(options)
        return self.send(PREFACE + frame(SETTINGS, 0, 0, settings(options)))

    def apply_early(self, options):
        """What only widens what the server may do is taken at once, what narrows it when it is acknowledged."""
        self.limit = max(self.limit, options.get(MAX_FRAME_SIZE, 0))
        if HEADER_TABLE_SIZE in options:
            self.decoder.max_allowed_table_size = max(self.decoder.max_allowed_table_size, options[HEADER_TABLE_SIZE])
        if options.get(INITIAL_WINDOW_SIZE, 0) > self.stream_window:
            self.widen(options[INITIAL_WINDOW_SIZE])

    def widen(self, size):
        for stream in self.streams.values():
            stream.window += size - self.stream_window
        self.stream_window = size

    def settings(self, options):
        self.unacknowledged.append(dict(options))
        self.apply_early(options)
        return self.frame(SETTINGS, 0, 0, settings(options))

    def frame(self, kind, flags=0, stream=0, payload=b"", length=None):
        self.highest = max(self.highest, stream)
        return self.send(frame(kind, flags, stream, payload, length))

    def opened(self, number, method):
        self.highest = max(self.highest, number)
        self.next = max(self.next, number + 2)
        return self.streams.setdefault(number, Stream(number, method, self.stream_window, self.stream_room))

    def new(self, method="GET"):
        return self.opened(self.next, method)

    def headers(self, fields, stream=None, end=True, flags=END_HEADERS, before=b"", behind=b"", packed=None):
        """A header block on a stream (number), by default a new one: its number. It is one frame where it fits into one."""
        method = dict((octets(name), octets(value)) for name, value in fields).get(b":method", b"GET").decode("latin-1")
        stream = self.opened(stream if stream is not None else self.next, method)
        stream.sent |= end
        payload = before + (block(fields) if packed is None else packed) + behind
        pieces = [payload[at:at + self.largest] for at in range(0, len(payload), self.largest)] or [b""]
        self.frame(HEADERS, (flags if len(pieces) == 1 else flags & ~END_HEADERS) | (END_STREAM if end else 0), stream.number, pieces[0])
        for number, piece in enumerate(pieces[1:], 2):
            self.frame(CONTINUATION, flags & END_HEADERS if number == len(pieces) else 0, stream.number, piece)
        return stream.number

    def data(self, stream, payload=b"", end=True, flags=0):
        """A DATA frame, whatever the windows are."""
        held = self.streams.get(stream)
        if held:
            held.room -= len(payload)
            held.sent |= end
        self.room -= len(payload)
        return self.frame(DATA, flags | (END_STREAM if end else 0), stream, payload)

    def update(self, stream, count):
        if stream and stream in self.streams:
            self.streams[stream].window += count
        elif not stream:
            self.window += count
        return self.frame(WINDOW_UPDATE, 0, stream, struct.pack(">L", count))

    def rst(self, stream, code=CANCEL):
        held = self.streams.get(stream)
        if held and not held.over:
            held.reset = -1  # by us: what comes behind is passed over
        return self.frame(RST_STREAM, 0, stream, struct.pack(">L", code))

    def ping(self, data=b"are you?"):
        self.pings.append(data)
        return self.frame(PING, 0, 0, data)

    def upload(self, stream, body, end=True, seconds=20, size=None):
        """Sends a body as the windows allow. False: the server ended the stream, or answered, before it was all sent."""
        held, view, stop = self.streams[stream], memoryview(body), time.monotonic() + seconds
        while view:
            count = min(len(view), held.room, self.room, size or self.largest)
            if held.over or self.ended:
                return False
            if count <= 0:
                if not self.take(stop - time.monotonic()):
                    raise Ended(f"no window for {len(view)} of {len(body)} octets", bytes(held.body))
                continue
            last = count == len(view)
            self.data(stream, bytes(view[:count]), end and last)
            view = view[count:]
            while self.take(0):
                pass
        if not body and end:
            self.data(stream)
        return True

    def trailers(self, stream, fields):
        return self.headers(fields, stream)

    # --- Reading ---

    def take(self, seconds):
        """Reads one frame and does what it asks for; None if none came in time or the connection has ended."""
        stop = time.monotonic() + max(0, seconds)
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            if not self.fill(stop - time.monotonic()):
                return None
            if len(self.buffer) >= 9 and int.from_bytes(self.buffer[:3], "big") > self.limit:
                raise BadResponse(f"4.2: a frame of {int.from_bytes(self.buffer[:3], 'big')} octets")
        size = int.from_bytes(self.buffer[:3], "big")
        if size > self.limit:
            raise BadResponse(f"4.2: a frame of {size} octets")
        got = Frame(self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big") & TOP, bytes(self.buffer[9:9 + size]))
        self.buffer = self.buffer[9 + size:]
        self.frames += 1
        self.obey(got)
        return got

    def until(self, condition, seconds=None, what="what was awaited"):
        """Reads frames until the condition holds; raises Ended where it cannot any more."""
        stop = time.monotonic() + (seconds or self.seconds)
        while True:
            value = condition()
            if value:
                return value
            if not self.take(stop - time.monotonic()):
                if condition():
                    return condition()
                raise Ended(f"{self.ended or 'nothing more'} before {what}; GOAWAY {self.goaway}", self.buffer)

    def obey(self, got):
        if self.frames == 1 and (got.kind != SETTINGS or got.flags & ACK):
            raise BadResponse(f"3.4: the first frame is {got}")
        if self.assembling and (got.kind != CONTINUATION or got.stream != self.assembling[0]):
            raise BadResponse(f"6.10: {got} within a header block of {self.assembling[0]}")
        by_kind = {DATA: self.on_data, HEADERS: self.on_headers, CONTINUATION: self.on_continuation, RST_STREAM: self.on_reset,
                   SETTINGS: self.on_settings, PING: self.on_ping, GOAWAY: self.on_goaway, WINDOW_UPDATE: self.on_window}
        if got.kind in by_kind:
            by_kind[got.kind](got)
        elif got.kind == PUSH_PROMISE:
            raise BadResponse("8.4: a push, though nobody asked for it" if not self.options.get(ENABLE_PUSH) else "a push")
        elif got.kind == PRIORITY and (len(got.payload) != 5 or not got.stream):
            raise BadResponse(f"6.3: {got}")

    def known(self, got):
        stream = self.streams.get(got.stream)
        if stream is None:
            raise BadResponse(f"5.1: a frame of type {got.kind} on stream {got.stream}, which nobody opened")
        if stream.whole or stream.reset not in (None, -1):
            raise BadResponse(f"5.1: a frame of type {got.kind} on stream {got.stream}, which the server has ended")
        return stream

    def on_data(self, got):
        stream = self.known(got)
        size, content = len(got.payload), got.content
        self.window -= size
        stream.window -= size
        if self.window < 0 or stream.window < 0:
            raise BadResponse(f"6.9: {size} octets beyond the window: {self.window} of the connection, {stream.window} of the stream")
        if stream.head is None:
            raise BadResponse("8.1: DATA before a final head")
        if content and stream.bodiless:
            raise BadResponse(f"8.1: {len(content)} octets of DATA in a {stream.head.status} of {stream.method}")
        stream.count += len(content)
        if stream.kept:
            stream.body += content
        self.order.append((got.stream, len(content)))
        if got.flags & END_STREAM:
            self.finish(stream)
        if self.auto and self.window < WINDOW // 2:
            self.update(0, (1 << 24) - self.window)
        if self.auto and not stream.over and stream.window < max(1, self.stream_window // 2):
            self.update(got.stream, max(1, self.stream_window) - stream.window)

    def on_headers(self, got):
        self.known(got)
        content = got.content
        if got.flags & PRIORITIZED:
            content = content[5:]
        self.assembling = [got.stream, got.flags, content]
        if got.flags & END_HEADERS:
            self.assembled()

    def on_continuation(self, got):
        if not self.assembling:
            raise BadResponse("6.10: CONTINUATION without a header block")
        self.assembling[2] += got.payload
        if got.flags & END_HEADERS:
            self.assembled()

    def assembled(self):
        number, flags, content = self.assembling
        self.block_size = len(content)
        self.assembling = None
        try:
            pairs = self.decoder.decode(content, raw=True)
        except Exception as fault:
            raise BadResponse(f"RFC 7541: {fault!r} in {content[:200]}") from None
        stream = self.streams[number]
        self.order.append((number, None))
        if stream.head is not None:
            if not flags & END_STREAM:
                raise BadResponse("8.1: trailers without END_STREAM")
            stream.trailers = read_fields(pairs, "trailers")[1]
            return self.finish(stream)
        status, fields = read_fields(pairs, "head")
        response = Response(status, "", fields)
        if status < 200:
            if status == 101 or flags & END_STREAM or response.all("content-length"):
                raise BadResponse(f"8.1, 8.6: an interim response {status} {fields}, flags {flags}")
            return stream.interim.append(response)
        lengths = response.all("content-length")
        if len(lengths) > 1 or any(not re.fullmatch(r"\d+", length) for length in lengths) or (lengths and status == 204):
            raise BadResponse(f"8.1.1: content-length {lengths} in {status}")
        response.framing = "length" if lengths else "stream"
        stream.head = response
        if flags & END_STREAM:
            self.finish(stream)

    def finish(self, stream):
        stream.whole = True
        length = stream.head.get("content-length")
        if length is not None and not stream.bodiless and int(length) != stream.count:
            raise BadResponse(f"8.1.1: content-length {length}, {stream.count} octets of DATA")

    def on_reset(self, got):
        if len(got.payload) != 4 or not got.stream or got.stream > self.highest:
            raise BadResponse(f"6.4: {got}")
        stream = self.streams.get(got.stream)
        if stream:
            if stream.reset not in (None, -1):
                raise BadResponse(f"5.1: RST_STREAM twice on {got.stream}")
            stream.reset = int.from_bytes(got.payload, "big")

    def on_settings(self, got):
        if got.stream or len(got.payload) % 6 or (got.flags & ACK and got.payload):
            raise BadResponse(f"6.5: {got}")
        if got.flags & ACK:
            if not self.unacknowledged:
                raise BadResponse("6.5.3: SETTINGS acknowledged that nobody sent")
            self.settled += 1
            done = self.unacknowledged.pop(0)
            if INITIAL_WINDOW_SIZE in done:
                self.widen(done[INITIAL_WINDOW_SIZE])
            if HEADER_TABLE_SIZE in done:
                self.decoder.max_allowed_table_size = done[HEADER_TABLE_SIZE]
            return
        for at in range(0, len(got.payload), 6):
            name, value = struct.unpack(">HL", got.payload[at:at + 6])
            legal = {ENABLE_PUSH: value == 0, INITIAL_WINDOW_SIZE: value <= TOP, MAX_FRAME_SIZE: 16384 <= value < 1 << 24,
                     ENABLE_CONNECT_PROTOCOL: value <= 1 and value >= self.options.get(name, 0), NO_RFC7540_PRIORITIES: value <= 1}
            if not legal.get(name, True):
                raise BadResponse(f"6.5.2: setting {name} = {value}")
            if name == INITIAL_WINDOW_SIZE:
                for stream in self.streams.values():
                    stream.room += value - self.stream_room
                self.stream_room = value
            if name == MAX_FRAME_SIZE:
                self.largest = value
            self.options[name] = value
        if self.auto is not None:
            self.frame(SETTINGS, ACK)

    def on_ping(self, got):
        if got.stream or len(got.payload) != 8:
            raise BadResponse(f"6.7: {got}")
        if not got.flags & ACK:
            self.frame(PING, ACK, 0, got.payload)
        elif self.pings and self.pings[0] == got.payload:
            self.pongs.append(self.pings.pop(0))
        else:
            raise BadResponse(f"6.7: an answer to no ping of ours: {got.payload}")

    def on_goaway(self, got):
        if got.stream or len(got.payload) < 8:
            raise BadResponse(f"6.8: {got}")
        last, code = struct.unpack(">LL", got.payload[:8])
        last &= TOP
        if self.goaway and last > self.goaway[0]:
            raise BadResponse(f"6.8: the last stream grew from {self.goaway[0]} to {last}")
        self.goaway = (last, code, got.payload[8:])

    def on_window(self, got):
        if len(got.payload) != 4 or got.stream > self.highest:
            raise BadResponse(f"6.9: {got}")
        count = int.from_bytes(got.payload, "big") & TOP
        stream = self.streams.get(got.stream)
        if not got.stream:
            self.room += count
        elif stream:
            stream.room += count
        if not count or self.room > TOP or (stream and stream.room > TOP):
            raise BadResponse(f"6.9.1: a window grows by {count} to {self.room}, {stream and stream.room}")

    # --- Whole exchanges, as Connection has them ---

    def response(self, number, seconds=None):
        """The whole response on a stream."""
        stream = self.streams[number]
        self.until(lambda: stream.over or self.past(number), seconds, f"the end of stream {number}")
        if stream.reset not in (None, NO_ERROR) and not stream.whole:
            raise Reset(stream.reset, bytes(stream.body))
        if not stream.whole:
            raise Ended(f"stream {number} was not answered: RST_STREAM {stream.reset}, GOAWAY {self.goaway}", bytes(stream.body))
        made = stream.head
        made.body, made.trailers, made.interim = bytes(stream.body), stream.trailers, stream.interim
        return made

    def past(self, number):
        """Did the server say that it will not look at this stream?"""
        return self.goaway is not None and number > self.goaway[0]

    def start(self, target="/", method="GET", fields=(), body=b"", host="localhost", **more):
        """Sends one well-formed request: its stream's number."""
        more_fields = [(name.lower(), value.strip(" \t") if isinstance(value, str) else value)
                       for name, value in (fields.items() if isinstance(fields, dict) else fields)
                       if name.lower() not in ("connection", "host", "transfer-encoding")]
        if body and "content-length" not in dict(more_fields):
            more_fields.append(("content-length", len(body)))
        number = self.headers(head(method, target, *more_fields, scheme=self.scheme, authority=host), end=not body, **more)
        if body:
            self.upload(number, body)
        return number

    def request(self, target="/", **options):
        options.pop("version", None)
        self.waiting.append(self.start(target, **options))
        return True

    def begin(self, target, seconds=5, count=1000, **options):
        self.request(target, **options)
        stream = self.streams[self.waiting[-1]]
        self.until(lambda: stream.over or len(stream.body) >= count, seconds, "the beginning of an answer")
        return self

    def read(self, method="GET", seconds=None, interim=True):
        return self.response(self.waiting.pop(0), seconds)

    def get(self, target="/", **options):
        return self.response(self.start(target, **options))

    def alive(self):
        """The connection answers a ping."""
        count = len(self.pongs)
        self.ping(b"%08d" % (self.frames % 10**8))
        return bool(self.until(lambda: len(self.pongs) > count, what="an answer to a ping"))

    def refusal(self, number=0, seconds=None):
        """How the server refuses what was sent on a stream: ("reset", code), ("goaway", code), ("ended", how) or None: not at all."""
        stream = self.streams.get(number)
        stop = time.monotonic() + (seconds or self.seconds)
        while True:
            if stream and stream.reset not in (None, -1):
                return "reset", stream.reset
            if self.goaway and self.goaway[1]:
                return "goaway", self.goaway[1]
            if not self.take(stop - time.monotonic()):
                return ("ended", self.ended) if self.ended else None

    def outcome(self, number, seconds=None):
        """What became of a stream: ("status", 400), ("reset", code), ("goaway", code), ("ended", how) or ("nothing", None)."""
        stream = self.streams[number]
        stop = time.monotonic() + (seconds or self.seconds)
        while not stream.over and not (self.goaway and self.goaway[1]) and self.take(stop - time.monotonic()):
            pass
        if stream.head is not None and (stream.whole or stream.reset == NO_ERROR):
            return "status", stream.head.status
        if stream.reset is not None:
            return "reset", stream.reset
        if self.goaway:
            return "goaway", self.goaway[1]
        return ("ended", self.ended) if self.ended else ("nothing", None)
