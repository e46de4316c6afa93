# SPDX-License-Identifier: BSD-2-Clause
"""Who sends how much, and what is sent next: flow control (RFC 9113, 5.2, 6.9) in both directions, priorities (RFC 9218)."""
import struct
import threading

import pytest

from h2client import *
from h2stage import PIECE, SCRIPTED, dies, lives, refuses
from proxied import told
from streams import Memory, down


@pytest.fixture
def wide(h2stage):
    """Streams have all the room there is, the connection has 65,535 octets: nothing is opened again by itself."""
    with h2stage.open(options={INITIAL_WINDOW_SIZE: TOP}, auto=False) as connection:
        yield connection


def unread(release):
    """A script that reads no body before it is released."""

    def script(peer, head_of):
        release.wait(20)
        count = sum(len(piece) for piece in peer.body(head_of))
        answer = b"%d" % count
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
        return True

    return script


# --- What the server may send ---

def test_window_of_one(h2stage):
    with h2stage.open(options={INITIAL_WINDOW_SIZE: 1}, auto=False) as c:
        stream = c.start("/ten.txt")
        for count in range(1, 10):
            c.until(lambda: len(c.streams[stream].body) == count)
            c.alive()
            assert len(c.streams[stream].body) == count
            c.update(stream, 1)
        assert c.response(stream).body == b"0123456789"


def test_window_of_nothing_then_something(h2stage):
    """6.9.2: a changed initial window holds for streams that are open."""
    with h2stage.open(options={INITIAL_WINDOW_SIZE: 0}, auto=False) as c:
        stream = c.start("/ten.txt")
        c.until(lambda: c.streams[stream].head)
        c.alive()
        assert not c.streams[stream].body
        c.settings({INITIAL_WINDOW_SIZE: 1})
        c.until(lambda: c.streams[stream].body == b"0")
        c.settings({INITIAL_WINDOW_SIZE: 100})
        assert c.response(stream).body == b"0123456789"


def test_window_below_nothing(h2stage):
    """6.9.2: a window may become negative; nothing is sent until it is positive."""
    with h2stage.open(options={INITIAL_WINDOW_SIZE: 3}, auto=False) as c:
        stream = c.start("/ten.txt")
        c.until(lambda: c.streams[stream].body == b"012")
        c.settings({INITIAL_WINDOW_SIZE: 2})
        c.until(lambda: c.settled == 2)
        c.update(stream, 1)
        c.alive()
        assert c.streams[stream].body == b"012"
        c.update(stream, 1)
        c.until(lambda: c.streams[stream].body == b"0123")


def test_window_of_the_connection(wide):
    stream = wide.start("/mib.bin")
    wide.until(lambda: len(wide.streams[stream].body) == WINDOW)
    other = wide.start("/ten.txt")
    wide.until(lambda: wide.streams[other].head)
    head_only = wide.response(wide.start("/ten.txt", method="HEAD"))
    assert head_only.status == 200 and not wide.streams[other].body, "heads need no window"
    wide.update(0, 2 << 20)
    assert wide.response(stream).body == PIECE
    assert wide.response(other).body == b"0123456789"


def test_a_stalled_stream_stalls_no_other(h2stage):
    """Its own window is empty; there is room on the connection."""
    with h2stage.open(options={INITIAL_WINDOW_SIZE: 1000}, auto=False) as c:
        stalled = [c.start("/big.bin") for _ in range(20)]
        c.until(lambda: all(len(c.streams[stream].body) == 1000 for stream in stalled))
        assert c.get("/ten.txt").body == b"0123456789"
        for stream in stalled:
            c.rst(stream)
        lives(c)


@pytest.mark.parametrize("size", [16384, 100000, (1 << 24) - 1])
def test_our_largest_frame(h2stage, size):
    """Frames are as long as the client allows (the reader checks it), and the body whole."""
    with h2stage.open(options={MAX_FRAME_SIZE: size}) as c:
        assert c.get("/mib.bin").body == PIECE


def test_our_few_streams(h2stage):
    """MAX_CONCURRENT_STREAMS of the client limits what the server opens: nothing."""
    with h2stage.open(options={MAX_CONCURRENT_STREAMS: 0, ENABLE_PUSH: 0}) as c:
        lives(c)


# --- What the server takes ---

def test_a_backend_that_does_not_read(h2stage):
    """What is uploaded to it is bounded by the stream's window and what buffers hold; another upload on the connection passes."""
    release = threading.Event()
    h2stage.origin.scripts["unread"] = unread(release)
    with Memory(h2stage.weir.worker()) as memory, h2stage.open(SCRIPTED, seconds=20) as c:
        stream = c.headers(head("POST", "/unread"), end=False)
        sent = 0
        while sent < 64 << 20:
            room = min(c.room, c.streams[stream].room, 16384)
            if room <= 0 and not c.take(0.5):
                break
            if room > 0:
                c.data(stream, b"x" * room, end=False)
                sent += room
            while c.take(0):
                pass
        assert sent < 32 << 20, "it takes what nobody reads"
        other = c.headers(head("POST", "/digest"), end=False)
        assert c.upload(other, b"y" * 100000), "one stalled upload must not stall the others"
        assert c.response(other).status == 200
        release.set()
        c.upload(stream, b"x" * 100000)
        assert c.response(stream).body == b"%d" % (sent + 100000)
    memory.within(memory.before + (64 << 20))


def test_beyond_the_window_of_a_stream(h2stage):
    """6.9.1: more than was allowed is a FLOW_CONTROL_ERROR, of the stream or of the connection."""
    release = threading.Event()
    h2stage.origin.scripts["unread"] = unread(release)
    with h2stage.open(SCRIPTED) as c:
        stream = c.headers(head("POST", "/unread"), end=False)
        while c.take(0.5):
            pass
        for _ in range(5000):
            if not c.data(stream, b"x" * 16384, end=False) or c.streams[stream].over or c.goaway:
                break
            while c.take(0):
                pass
        refuses(c, stream, FLOW_CONTROL_ERROR)
        release.set()
    h2stage.unharmed()


def test_a_large_upload_through_its_window(h2stage):
    with h2stage.open(SCRIPTED, seconds=30) as c:
        stream = c.headers(head("PUT", "/digest", ("content-length", 20 << 20)), end=False)
        assert c.upload(stream, PIECE * 20, seconds=60)
        assert c.response(stream, 30).body.decode().split("\n")[1] == str(20 << 20)


def test_window_is_given_back_for_streams_that_end(h2stage):
    """5.2, 6.9: what was sent on streams that are refused, reset or answered early counts on the connection; it is given back."""
    with h2stage.open(SCRIPTED, seconds=20) as c:
        for number in range(150):
            stream = c.headers(head("POST", "/refuse_body"), end=False)
            c.upload(stream, b"x" * 16384, end=False)
            if number % 3 == 0:
                c.rst(stream)
            else:
                c.outcome(stream)
                if c.streams[stream].reset is None:
                    c.rst(stream, NO_ERROR)
        stream = c.headers(head("POST", "/digest"), end=False)
        assert c.upload(stream, b"y" * 200000)
        assert c.response(stream).status == 200


# --- Priorities: the connection's window is empty when the question is asked, so only the answer's order counts ---

def drained(c, priority=None):
    """A stream that took the whole window of the connection, and wants more."""
    stream = c.start("/big.bin", fields=[("priority", priority)] if priority else [])
    c.until(lambda: c.window == 0, what="an empty window")
    return stream


def asked(c, *priorities):
    streams = [c.start("/mib.bin", fields=[("priority", priority)] if priority is not None else []) for priority in priorities]
    c.until(lambda: all(c.streams[stream].head for stream in streams), what="heads")
    c.alive()
    return streams


def next_octets(c, count):
    """Opens the connection's window so much: {stream: octets} of what comes."""
    before = {number: stream.count for number, stream in c.streams.items()}
    c.update(0, count)
    c.until(lambda: c.window == 0, 10, what="all that the window allows")
    return {number: stream.count - before[number] for number, stream in c.streams.items() if stream.count > before[number]}


@pytest.mark.parametrize("background,urgent", [("u=7", "u=0"), ("u=5", None), (None, "u=2"), ("u=4, i", "u=3"), ("u=7, i", "u=6, i"), ("u=3;x=1", "u=1;y")],
                         ids=["7-0", "5-default", "default-2", "4i-3", "7i-6i", "parameters"])
def test_urgent_first(wide, background, urgent):
    """RFC 9218, 4.1, 10: what is more urgent goes before what is under way."""
    slow = drained(wide, background)
    quick, = asked(wide, urgent)
    assert next_octets(wide, 300000) == {quick: 300000}
    assert next_octets(wide, (1 << 20) - 300000) == {quick: (1 << 20) - 300000}
    assert next_octets(wide, 10000) == {slow: 10000}


def test_in_order_where_equal(wide):
    """10: of equal urgency, not incremental: one after the other, as they were asked for."""
    drained(wide, "u=7")
    first, second, third = asked(wide, "u=3", None, "u=3")
    assert next_octets(wide, 1 << 20) == {first: 1 << 20}
    assert next_octets(wide, 1 << 20) == {second: 1 << 20}
    assert next_octets(wide, 1 << 20) == {third: 1 << 20}


def test_incremental_share(wide):
    """4.2, 10: incremental ones share."""
    drained(wide, "u=7")
    streams = asked(wide, "u=3, i", "i", "u=3,i=?1")
    got = next_octets(wide, 600000)
    assert set(got) == set(streams) and min(got.values()) > 100000, got


def test_blocked_urgent_stream_does_not_hold_others(h2stage):
    with h2stage.open(options={INITIAL_WINDOW_SIZE: 1000}, auto=False) as c:
        urgent = c.start("/mib.bin", fields=[("priority", "u=0")])
        c.until(lambda: c.streams[urgent].count == 1000)
        other = c.start("/ten.txt", fields=[("priority", "u=7")])
        assert c.response(other).body == b"0123456789"


@pytest.mark.parametrize("value", ["u=9", "u=-1", "u=a", "u", "urgent", "u=1.5", "", "u=@", "u=7, u=3", "((("])
def test_priorities_that_are_none(wide, value):
    """4: what is out of bounds or unknown is passed over; what cannot be parsed at all as well."""
    slow = drained(wide, "u=6")
    quick, = asked(wide, value)
    assert next_octets(wide, 10000) == {quick: 10000}, slow


def test_priority_update(wide):
    """7.1: later than the request."""
    first = drained(wide, "u=1")
    second, = asked(wide, "u=5")
    assert next_octets(wide, 50000) == {first: 50000}
    wide.frame(PRIORITY_UPDATE, 0, 0, struct.pack(">L", second) + b"u=0")
    wide.alive()
    assert next_octets(wide, 50000) == {second: 50000}
    wide.frame(PRIORITY_UPDATE, 0, 0, struct.pack(">L", second) + b"u=7")
    wide.alive()
    assert next_octets(wide, 50000) == {first: 50000}


def test_priority_update_before_its_request(wide):
    """7.1: it may come before the stream is opened, and is kept; of an idle stream it takes no more than the frame says."""
    first = drained(wide)
    wide.frame(PRIORITY_UPDATE, 0, 0, struct.pack(">L", wide.next) + b"u=0")
    second, = asked(wide, None)
    assert next_octets(wide, 50000) == {second: 50000}, first


def test_priority_update_of_what_is_over(wide):
    """7.1: passed over."""
    stream = wide.start("/ten.txt")
    wide.response(stream)
    wide.frame(PRIORITY_UPDATE, 0, 0, struct.pack(">L", stream) + b"u=0")
    lives(wide)


def test_priority_update_far_ahead(h2stage):
    """7.1: streams beyond what may be open at once are not remembered without end."""
    with h2stage.open() as c:
        for number in range(1, 4001, 2):
            if not c.frame(PRIORITY_UPDATE, 0, 0, struct.pack(">L", number) + b"u=1") or c.goaway:
                break
        if not c.goaway and not c.ended:
            lives(c)
    h2stage.unharmed()


def test_priority_reaches_the_backend(h2stage):
    """5: the field is end-to-end."""
    with h2stage.open() as c:
        assert told(c.get("/x", fields=[("priority", "u=1, i")])).all("priority") == ["u=1, i"]


def test_urgent_before_proxied(h2stage):
    """A backend's short answer before another one's long answer that is less urgent."""
    sent = threading.Event()

    def quickly(peer, head_of):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"q" * 5000)
        sent.set()
        return True

    h2stage.origin.scripts.update(down=down, quickly=quickly)
    with h2stage.open(SCRIPTED, options={INITIAL_WINDOW_SIZE: TOP}, auto=False) as c:
        slow = c.start("/down/length/8", fields=[("priority", "u=6")])
        c.until(lambda: c.window == 0)
        quick = c.start("/quickly", fields=[("priority", "u=0")])
        c.until(lambda: c.streams[quick].head)
        assert sent.wait(5)
        for _ in range(3):
            c.alive()
        assert next_octets(c, 20000) == {quick: 5000, slow: 15000}
