# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/2's frames (RFC 9113, 3.4 to 7), each rule by its section: what is taken, what ends a stream, what ends the connection."""
import struct

import pytest

from h2client import *
from h2stage import INDEX, dies, lives, refuses, stream_dies

PRIORITY_PAYLOAD = struct.pack(">LB", 0, 15)
SMALL = {INITIAL_WINDOW_SIZE: 0}  # answers stay under way, streams half-closed


@pytest.fixture
def c(h2stage):
    with h2stage.open() as connection:
        yield connection


@pytest.fixture
def still(h2stage):
    """A connection on which no answer gets beyond its head."""
    with h2stage.open(options=SMALL, auto=False) as connection:
        yield connection


def post(c, **options):
    """An open stream to the backend that answers when all is there."""
    return c.headers(head("POST", "/post"), end=False, **options)


# --- 3.4: the preface ---

def test_preface(h2stage, proto_h2):
    with h2stage.open(proto=proto_h2) as c:
        lives(c)


def test_preface_in_octets(h2stage):
    with h2stage.open(preface=False) as c:
        for octet in PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS | END_STREAM, 1, block(head())):
            c.send(bytes([octet]))
        c.opened(1, "GET")
        c.unacknowledged.append({})
        assert c.response(1).body == INDEX


@pytest.mark.parametrize("first", [frame(PING, 0, 0, b"12345678"), frame(HEADERS, 5, 1, block(head())), frame(SETTINGS, ACK), frame(WINDOW_UPDATE, 0, 0, b"\0\0\1\0")],
                         ids=["ping", "headers", "ack", "window"])
def test_preface_without_settings(h2stage, first):
    with h2stage.open(preface=False) as c:
        c.send(PREFACE + first)
        dies(c, PROTOCOL_ERROR)


@pytest.mark.parametrize("junk", [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"INVALID CONNECTION PREFACE\r\n\r\n", b"PRI * HTTP/2.0\r\nSM\r\n\r\n\r\n\r\n"])
def test_preface_invalid(h2stage, junk):
    """It may be answered as HTTP/1; the connection ends."""
    with h2stage.open(preface=False) as c:
        c.send(junk + frame(SETTINGS))
        assert c.wait_end()


def test_preface_invalid_over_tls(h2stage):
    with h2stage.open(proto="h2", preface=False) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert c.wait_end() and b"HTTP/1.1 200" not in c.buffer


def test_requests_before_settings_came(h2stage):
    """A client need not wait for the server's preface (3.4)."""
    with h2stage.open(preface=False) as c:
        c.unacknowledged.append({})
        c.send(PREFACE + frame(SETTINGS) + b"".join(frame(HEADERS, 5, n, block(head())) for n in (1, 3, 5)))
        for number in (1, 3, 5):
            c.opened(number, "GET")
        assert [c.response(number).body for number in (5, 3, 1)] == [INDEX] * 3


# --- 4.1, 4.2, 5.5: frames in general ---

def test_unknown_type(c):
    c.frame(0x16, 0, 0, b"x" * 8)
    c.frame(0xFF, 0xFF, 1, b"")
    lives(c)


def test_unknown_type_on_a_stream(c):
    stream = post(c)
    c.frame(0x42, 0xFF, stream, b"x" * 100)
    c.data(stream, b"abc")
    assert c.response(stream).status == 200


def test_unknown_flags(c):
    c.pings.append(b"12345678")
    c.frame(PING, 0x16 | 0x80, 0, b"12345678")
    c.until(lambda: c.pongs)
    lives(c)


def test_reserved_bit(c):
    c.pings.append(b"12345678")
    c.frame(PING, 0, 1 << 31, b"12345678")
    c.until(lambda: c.pongs)
    stream = c.next | 1 << 31
    c.opened(c.next, "GET")
    c.send(frame(HEADERS, 5, stream, block(head())))
    assert c.response(c.next - 2).status == 200


def test_largest_data(c):
    stream = post(c)
    c.data(stream, b"x" * 16384)
    assert c.response(stream).status == 200


def test_data_too_large(c):
    stream = post(c)
    c.frame(DATA, 0, stream, b"x" * (c.largest + 1))
    refuses(c, stream, FRAME_SIZE_ERROR)


@pytest.mark.parametrize("kind", [HEADERS, SETTINGS, CONTINUATION, PUSH_PROMISE])
def test_frames_of_the_connection_too_large(c, kind):
    stream = 0
    if kind == CONTINUATION:
        stream = c.headers(head(), flags=0, end=True)
    elif kind != SETTINGS:
        stream = 1
    payload = settings([(0x99, 0)]) * (c.largest // 6 + 1) if kind == SETTINGS else literal("x", "y" * c.largest)
    c.frame(kind, END_HEADERS | END_STREAM if kind == HEADERS else 0, stream, payload)
    dies(c, FRAME_SIZE_ERROR)


@pytest.mark.parametrize("first", [0, 0x40])
def test_frames_in_pieces(c, first):
    for octet in frame(HEADERS, 5, 1, block(head(), first)):
        c.send(bytes([octet]))
    c.opened(1, "GET")
    assert c.response(1).status == 200


def test_extension_in_a_header_block(c):
    c.headers(head(), flags=0)
    c.frame(0x16, 0, 0, b"x")
    dies(c, PROTOCOL_ERROR)


# --- 4.3: header blocks are not torn ---

def test_invalid_block(c):
    c.headers([], packed=b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
    dies(c, COMPRESSION_ERROR)


@pytest.mark.parametrize("torn", [
    lambda c: c.frame(PRIORITY, 0, 1, PRIORITY_PAYLOAD), lambda c: c.headers(head(), stream=3),
    lambda c: c.frame(PING, 0, 0, b"12345678"), lambda c: c.frame(DATA, 0, 1, b"x"), lambda c: c.frame(SETTINGS),
    lambda c: c.frame(CONTINUATION, END_HEADERS, 3, b""), lambda c: c.frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"), lambda c: c.rst(1),
], ids=["priority", "headers", "ping", "data", "settings", "continuation", "window", "reset"])
def test_torn_block(c, torn):
    c.headers(head(), stream=1, flags=0)
    torn(c)
    dies(c, PROTOCOL_ERROR)


# --- 5.1: states of streams ---

@pytest.mark.parametrize("kind,payload", [(DATA, b"x"), (RST_STREAM, b"\0\0\0\x08"), (WINDOW_UPDATE, b"\0\0\0\x64"), (CONTINUATION, b"")],
                         ids=["data", "reset", "window", "continuation"])
def test_idle(c, kind, payload):
    c.frame(kind, 0, 1, payload)
    dies(c, PROTOCOL_ERROR)


def test_priority_of_idle(c):
    c.frame(PRIORITY, 0, 9, PRIORITY_PAYLOAD)
    lives(c)


@pytest.mark.parametrize("kind,codes", [(DATA, [STREAM_CLOSED]), (HEADERS, [STREAM_CLOSED]), (CONTINUATION, [STREAM_CLOSED, PROTOCOL_ERROR])],
                         ids=["data", "headers", "continuation"])
def test_half_closed(still, kind, codes):
    stream = still.headers(head(path="/mib.bin"))
    still.frame(kind, END_STREAM | END_HEADERS, stream, block(head()) if kind == HEADERS else b"")
    refuses(still, stream, *codes)


def test_half_closed_takes_these(still):
    """WINDOW_UPDATE, PRIORITY and RST_STREAM (5.1)."""
    stream = still.headers(head(path="/ten.txt"))
    still.frame(PRIORITY, 0, stream, PRIORITY_PAYLOAD)
    still.update(stream, 10)
    assert still.response(stream).body == b"0123456789"
    other = still.headers(head(path="/ten.txt"))
    still.rst(other)
    still.update(other, 5)
    still.alive()
    assert not still.streams[other].body


@pytest.mark.parametrize("kind,codes", [(DATA, [STREAM_CLOSED]), (HEADERS, [STREAM_CLOSED]), (CONTINUATION, [STREAM_CLOSED, PROTOCOL_ERROR])],
                         ids=["data", "headers", "continuation"])
def test_closed_by_reset(c, kind, codes):
    stream = post(c)
    c.rst(stream)
    c.frame(kind, END_STREAM | END_HEADERS, stream, block(head()) if kind == HEADERS else b"")
    refuses(c, stream, *codes)


@pytest.mark.parametrize("kind,codes", [(DATA, [STREAM_CLOSED]), (HEADERS, [STREAM_CLOSED]), (CONTINUATION, [STREAM_CLOSED, PROTOCOL_ERROR])],
                         ids=["data", "headers", "continuation"])
def test_closed(c, kind, codes):
    stream = c.start("/")
    assert c.response(stream).status == 200
    c.frame(kind, END_STREAM | END_HEADERS, stream, block(head()) if kind == HEADERS else b"")
    refuses(c, stream, *codes)


def test_closed_takes_these(c):
    """What may have been under way when the stream ended."""
    stream = c.start("/")
    assert c.response(stream).status == 200
    c.update(stream, 100)
    c.rst(stream)
    c.frame(PRIORITY, 0, stream, PRIORITY_PAYLOAD)
    lives(c)


def test_reset_twice(c):
    stream = post(c)
    c.rst(stream)
    c.rst(stream)
    lives(c)


# --- 5.1.1, 5.1.2: identifiers, concurrency ---

def test_even_identifier(c):
    c.headers(head(), stream=2)
    dies(c, PROTOCOL_ERROR)


@pytest.mark.parametrize("end", [True, False])
def test_smaller_identifier(c, end):
    assert c.response(c.headers(head(), stream=5)).status == 200
    c.headers(head("GET" if end else "POST"), stream=3, end=end)
    dies(c, PROTOCOL_ERROR)


def test_skipped_identifiers(c):
    assert c.response(c.headers(head(), stream=101)).status == 200
    assert c.response(c.headers(head(), stream=1001)).status == 200
    lives(c)


def test_last_identifier(c):
    assert c.response(c.headers(head(), stream=TOP)).status == 200
    c.alive()


def test_concurrent_streams(still):
    """5.1.2: one more than was allowed is refused, and what was allowed is answered."""
    most = still.options[MAX_CONCURRENT_STREAMS]
    assert 100 <= most <= 10000, "6.5.2: no less than 100"
    streams = [still.headers(head(path="/ten.txt")) for _ in range(most)]
    over = still.headers(head(path="/ten.txt"))
    assert still.outcome(over) == ("reset", REFUSED_STREAM)
    for stream in streams:
        still.update(stream, 10)
    assert {still.response(stream, 20).body for stream in streams} == {b"0123456789"}


# --- 5.3: a stream that depends on itself (RFC 7540, 5.3.1; RFC 9113 has no such dependency) ---

@pytest.mark.parametrize("kind", [HEADERS, PRIORITY])
def test_depends_on_itself(c, kind):
    own = struct.pack(">LB", 1, 255)
    if kind == HEADERS:
        c.headers(head(), stream=1, flags=END_HEADERS | PRIORITIZED, before=own)
    else:
        post(c)
        c.frame(PRIORITY, 0, 1, own)
    refuses(c, 1, PROTOCOL_ERROR)


# --- 5.4.1: connection errors ---

def test_last_stream_of_goaway(c):
    """GOAWAY names the last stream that was looked at."""
    stream = c.start("/")
    assert c.response(stream).status == 200
    c.frame(PING, 0, 0, b"short")
    dies(c, FRAME_SIZE_ERROR)
    assert c.goaway[0] == stream


# --- 6.1: DATA ---

def test_data_without_stream(c):
    c.frame(DATA, 0, 0, b"x")
    dies(c, PROTOCOL_ERROR)


def test_data_padded(c):
    stream = post(c)
    c.frame(DATA, PADDED, stream, b"\xff" + b"abc" + bytes(255))
    c.frame(DATA, PADDED | END_STREAM, stream, b"\x00" + b"def")
    assert b'"abcdef"' in c.response(stream).body


@pytest.mark.parametrize("payload", [b"\x06abcde", b"\x01", b"\xffab"])
def test_data_padding_too_long(c, payload):
    stream = post(c)
    c.frame(DATA, PADDED | END_STREAM, stream, payload)
    dies(c, PROTOCOL_ERROR)


def test_data_padded_without_a_length(c):
    stream = post(c)
    c.frame(DATA, PADDED | END_STREAM, stream)
    dies(c, FRAME_SIZE_ERROR, PROTOCOL_ERROR)


def test_padding_counts(c):
    """6.9.1: padding takes window, and is given back, also of streams that are refused: much more of it than the window passes."""
    stream = post(c)
    for _ in range(300):
        assert c.until(lambda: c.room > 300 and c.streams[stream].room > 300)
        c.room -= 255
        c.streams[stream].room -= 255
        c.frame(DATA, PADDED, stream, b"\xfd" + b"x" + bytes(253))
    c.data(stream)
    assert b'"body": "%s"' % (b"x" * 300) in c.response(stream).body


# --- 6.2: HEADERS ---

def test_headers_without_stream(c):
    c.headers(head(), stream=0)
    dies(c, PROTOCOL_ERROR)


def test_headers_padded_with_priority(c):
    stream = c.headers(head(), flags=END_HEADERS | PADDED | PRIORITIZED, before=b"\x20" + PRIORITY_PAYLOAD, behind=bytes(32))
    assert c.response(stream).status == 200


def test_headers_padding_too_long(c):
    c.headers(head(), flags=END_HEADERS | PADDED, before=b"\xff", behind=b"")
    dies(c, PROTOCOL_ERROR)


def test_headers_shorter_than_its_priority(c):
    c.headers([], flags=END_HEADERS | PRIORITIZED, packed=b"\0\0\0")
    dies(c, FRAME_SIZE_ERROR, PROTOCOL_ERROR)


# --- 6.3: PRIORITY ---

def test_priority_without_stream(c):
    c.frame(PRIORITY, 0, 0, PRIORITY_PAYLOAD)
    dies(c, PROTOCOL_ERROR)


@pytest.mark.parametrize("size", [0, 4, 6])
def test_priority_size(c, size):
    stream = post(c)
    c.frame(PRIORITY, 0, stream, bytes(size))
    refuses(c, stream, FRAME_SIZE_ERROR)


# --- 6.4: RST_STREAM ---

def test_reset_without_stream(c):
    c.rst(0)
    dies(c, PROTOCOL_ERROR)


@pytest.mark.parametrize("size", [0, 3, 5])
def test_reset_size(c, size):
    stream = post(c)
    c.frame(RST_STREAM, 0, stream, bytes(size))
    dies(c, FRAME_SIZE_ERROR)


# --- 6.5: SETTINGS ---

def test_settings_are_acknowledged(c):
    for value in (100, 200):
        c.settings({MAX_CONCURRENT_STREAMS: value})
    c.frame(SETTINGS)
    c.unacknowledged.append({})
    c.until(lambda: c.settled == 4)
    lives(c)


@pytest.mark.parametrize("size", [1, 6])
def test_acknowledgement_with_payload(c, size):
    c.frame(SETTINGS, ACK, 0, bytes(size))
    dies(c, FRAME_SIZE_ERROR)


def test_settings_of_a_stream(c):
    c.frame(SETTINGS, 0, 1, settings({MAX_CONCURRENT_STREAMS: 100}))
    dies(c, PROTOCOL_ERROR)


@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_settings_size(c, size):
    c.frame(SETTINGS, 0, 0, bytes(size))
    dies(c, FRAME_SIZE_ERROR)


@pytest.mark.parametrize("name,value,code", [
    (ENABLE_PUSH, 2, PROTOCOL_ERROR), (INITIAL_WINDOW_SIZE, 1 << 31, FLOW_CONTROL_ERROR), (INITIAL_WINDOW_SIZE, (1 << 32) - 1, FLOW_CONTROL_ERROR),
    (MAX_FRAME_SIZE, 16383, PROTOCOL_ERROR), (MAX_FRAME_SIZE, 0, PROTOCOL_ERROR), (MAX_FRAME_SIZE, 1 << 24, PROTOCOL_ERROR),
    (NO_RFC7540_PRIORITIES, 2, PROTOCOL_ERROR),
], ids=lambda value: str(value))
def test_settings_out_of_bounds(c, name, value, code):
    c.unacknowledged.append({})
    c.frame(SETTINGS, 0, 0, settings({name: value}))
    dies(c, code)


@pytest.mark.parametrize("options", [{0xFF: 1, 0: 7, 0x10: (1 << 32) - 1}, {HEADER_TABLE_SIZE: (1 << 32) - 1}, {MAX_CONCURRENT_STREAMS: 0},
                                     {ENABLE_PUSH: 0}, {MAX_FRAME_SIZE: (1 << 24) - 1}, {INITIAL_WINDOW_SIZE: TOP}, {MAX_HEADER_LIST_SIZE: (1 << 32) - 1}],
                         ids=["unknown", "table", "streams", "push", "frames", "window", "list"])
def test_settings_within_bounds(c, options):
    c.settings(options)
    lives(c)


def test_settings_in_order(c):
    """6.5.3: of one setting's values the last holds."""
    c.auto = False
    c.frame(SETTINGS, 0, 0, settings([(INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 3)]))
    c.unacknowledged.append({INITIAL_WINDOW_SIZE: 3})
    c.until(lambda: c.settled == 2)
    stream = c.start("/ten.txt")
    c.until(lambda: c.streams[stream].body)
    c.alive()
    assert c.streams[stream].body == b"012"


# --- 6.6, 8.4: clients do not push ---

def test_push(c):
    c.frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">L", 2) + block(head()))
    dies(c, PROTOCOL_ERROR)


# --- 6.7: PING ---

def test_ping(c):
    for number in range(8):
        c.ping(bytes([number]) * 8)
    c.until(lambda: len(c.pongs) == 8)


def test_ping_acknowledgement(c):
    c.frame(PING, ACK, 0, b"unasked!")
    lives(c)


def test_ping_of_a_stream(c):
    c.frame(PING, 0, 1, b"12345678")
    dies(c, PROTOCOL_ERROR)


@pytest.mark.parametrize("size", [0, 6, 7, 9])
def test_ping_size(c, size):
    c.frame(PING, 0, 0, bytes(size))
    dies(c, FRAME_SIZE_ERROR)


# --- 6.8, 7: GOAWAY and codes ---

def test_goaway_of_a_stream(c):
    c.frame(GOAWAY, 0, 1, bytes(8))
    dies(c, PROTOCOL_ERROR)


def test_goaway_too_short(c):
    c.frame(GOAWAY, 0, 0, bytes(7))
    dies(c, FRAME_SIZE_ERROR)


def test_goaway_from_a_client(c):
    """What is under way is answered yet."""
    stream = post(c)
    c.frame(GOAWAY, 0, 0, struct.pack(">LL", 0, NO_ERROR) + b"thank you")
    c.data(stream, b"abc")
    assert c.response(stream).status == 200


def test_unknown_codes(c):
    c.rst(post(c), 0xFF)
    lives(c)
    stream = post(c)
    c.frame(GOAWAY, 0, 0, struct.pack(">LL", 0, 0xFF))
    c.data(stream, b"")
    c.outcome(stream)  # answered or not; what counts is that nothing breaks


# --- 6.9: WINDOW_UPDATE ---

def test_window_by_nothing(c):
    c.frame(WINDOW_UPDATE, 0, 0, bytes(4))
    dies(c, PROTOCOL_ERROR)


def test_window_of_a_stream_by_nothing(still):
    stream = still.headers(head(path="/mib.bin"))
    still.frame(WINDOW_UPDATE, 0, stream, bytes(4))
    refuses(still, stream, PROTOCOL_ERROR)


@pytest.mark.parametrize("size", [0, 3, 5])
def test_window_size(c, size):
    c.frame(WINDOW_UPDATE, 0, 0, bytes(size))
    dies(c, FRAME_SIZE_ERROR)


def test_window_beyond_its_top(c):
    c.frame(WINDOW_UPDATE, 0, 0, struct.pack(">L", TOP))
    dies(c, FLOW_CONTROL_ERROR)


def test_window_of_a_stream_beyond_its_top(h2stage):
    with h2stage.open(options={INITIAL_WINDOW_SIZE: 1}, auto=False) as c:
        stream = c.start("/mib.bin")
        c.update(stream, TOP)
        c.update(stream, TOP)
        refuses(c, stream, FLOW_CONTROL_ERROR)


def test_windows_beyond_their_top_by_settings(still):
    """6.9.2"""
    stream = still.headers(head(path="/mib.bin"))
    still.update(stream, TOP)
    still.settings({INITIAL_WINDOW_SIZE: TOP})
    dies(still, FLOW_CONTROL_ERROR)


# --- 6.10: CONTINUATION ---

def test_continuations(c):
    parts = block(head(), 0x40)
    stream = c.headers([], packed=parts[:3], flags=0)
    for at in range(3, 7):
        c.frame(CONTINUATION, 0, stream, parts[at:at + 1])
    c.frame(CONTINUATION, 0, stream, b"")
    c.frame(CONTINUATION, END_HEADERS, stream, parts[7:])
    assert c.response(stream).status == 200


def test_continued_trailers(c):
    stream = post(c)
    c.data(stream, b"abc", end=False)
    c.headers([("x-a", "1")], stream, flags=0)
    c.frame(CONTINUATION, END_HEADERS, stream, block([("x-b", "2")]))
    assert b'["x-b", "2"]' in c.response(stream).body.lower()


@pytest.mark.parametrize("stream", [0, 1])
def test_continuation_without_a_block(c, stream):
    if stream:
        c.headers(head("POST", "/post"), stream=1, end=False)
    c.frame(CONTINUATION, END_HEADERS, stream, block([("x-a", "1")]))
    dies(c, PROTOCOL_ERROR)


def test_continuation_behind_a_whole_one(c):
    c.headers(head("POST", "/post"), stream=1, end=False, flags=0)
    c.frame(CONTINUATION, END_HEADERS, 1)
    c.frame(CONTINUATION, END_HEADERS, 1)
    dies(c, PROTOCOL_ERROR)


def test_continuation_behind_data(c):
    post(c)
    c.data(1, b"x", end=False)
    c.frame(CONTINUATION, END_HEADERS, 1, block([("x-a", "1")]))
    dies(c, PROTOCOL_ERROR)


# --- RFC 9218, 7: PRIORITY_UPDATE ---

@pytest.mark.parametrize("stream,payload,code", [(1, b"\0\0\0\1u=1", PROTOCOL_ERROR), (0, b"\0\0\0\0u=1", PROTOCOL_ERROR), (0, b"\0\0\0", FRAME_SIZE_ERROR)],
                         ids=["stream", "none", "short"])
def test_priority_update_malformed(c, stream, payload, code):
    c.frame(PRIORITY_UPDATE, 0, stream, payload)
    dies(c, code)
