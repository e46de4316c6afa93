# SPDX-License-Identifier: BSD-2-Clause
"""Limits and timeouts (DESIGN §2): how much a client may send, how long it may take, how many may come."""
import functools
import itertools
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import PROTOCOLS, BadResponse, Connection, Ended, connect, exchange, learned
from h2client import head
from server import Server, wait_for

SIZES = """
threads: 1
limits: { header_size: 16k, body_size: 64k }
sites:
  - { listen: "http://127.0.0.1:$port", root: root }
  - { listen: "http://127.0.0.1:$port2", proxy: "127.0.0.1:$backend" }
"""
DEFAULTS = """
sites:
  - { listen: "http://127.0.0.1:$port", root: root }
"""
TIMES = """
limits: { timeouts: { header: 1s, body: 1s, idle: 1s, send: 1s }, min_rate: 0 }
sites:
  - { listen: "http://127.0.0.1:$port", root: root }
  - { listen: "http://127.0.0.1:$port2", proxy: "127.0.0.1:$backend" }
"""
FEW = """
threads: 1
limits: { connections: 20, timeouts: { idle: 60s } }
sites:
  - { listen: "http://127.0.0.1:$port", root: root }
"""


def serving(config, recorder):
    made = Server(config, values={"backend": recorder.port}, secure=True)
    (made.root / "a.txt").write_text("a\n", encoding="utf-8")
    with open(made.root / "big.bin", "wb") as file:
        file.truncate(64 << 20)
    return made


@pytest.fixture(scope="module")
def sizes(recorder):
    with serving(SIZES, recorder) as server:
        yield server


@pytest.fixture(scope="module")
def defaults(recorder):
    with serving(DEFAULTS, recorder) as server:
        yield server


@pytest.fixture(scope="module")
def times(recorder):
    with serving(TIMES, recorder) as server:
        yield server


# --- Sizes ---

def filled(size, fields=1):
    """A request whose header section (behind the request line) has about that size."""
    each = (size - 30) // fields
    lines = b"".join(b"X-%03d: " % number + b"y" * (each - 9) + b"\r\n" for number in range(fields))
    return b"GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + lines + b"\r\n"


@pytest.mark.parametrize("fields", [1, 10, 80])
def test_header_section_within_its_limit(defaults, fields):
    """The default is 32k: 31k pass, in one field or in many."""
    responses, _ = exchange(defaults.port, filled(31 << 10, fields))
    assert [response.status for response in responses] == [200]


@pytest.mark.parametrize("size, fields", [(33 << 10, 1), (33 << 10, 10), (40 << 10, 90), (64 << 10, 1),
    (300 << 10, 1)])
def test_header_section_over_its_limit(defaults, size, fields):
    responses, ended = exchange(defaults.port, filled(size, fields))
    assert [response.status for response in responses] == [431] and ended
    assert responses[0].closes


def test_header_size_is_configured(sizes):
    assert [response.status for response in exchange(sizes.port, filled(15 << 10))[0]] == [200]
    assert [response.status for response in exchange(sizes.port, filled(17 << 10))[0]] == [431]


@pytest.mark.parametrize("count", [1000, 20000])
def test_too_many_fields(defaults, count):
    responses, _ = exchange(defaults.port, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * count + b"\r\n")
    assert [response.status for response in responses] == [431]


@pytest.mark.parametrize("length, status", [(8000, 404), (8192, 404), (8193, 414), (9000, 414), (30000, 414),
    (100000, 414)])
def test_target_length(defaults, length, status):
    """A target over 8k: 414, also where the header section would be too large as well."""
    segments = (b"/" + b"a" * 99) * (length // 100 + 1)
    responses, _ = exchange(defaults.port,
        b"GET " + segments[:length] + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert [response.status for response in responses] == [status]


@pytest.mark.parametrize("told", [True, False])
def test_body_within_its_limit(sizes, told, proto):
    with connect(sizes.ports["port2"]) as connection:
        if told or is_h2(connection):
            post(connection, "/x", 65536 if told else None)
            if is_h2(connection):
                connection.upload(connection.waiting[-1], b"z" * 65536)
            else:
                more_of(connection, b"z" * 65536)
        else:
            post(connection, "/x", None, b"10000\r\n" + b"z" * 65536 + b"\r\n0\r\n\r\n")
        assert connection.read().status == 200


def test_announced_body_over_its_limit(sizes, recorder, proto):
    """413 at once: before the body, without 100, without the backend."""
    recorder.take()
    for expect in ([], [("Expect", "100-continue")]):
        with connect(sizes.ports["port2"]) as connection:
            if is_h2(connection):
                told = [(name.lower(), value) for name, value in [*expect, ("content-length", "65537")]]
                connection.waiting.append(connection.headers(head("POST", "/x", *told, scheme=connection.scheme), end=False))
            else:
                connection.request("/x", method="POST", fields=[*expect, ("Content-Length", "65537")])
            response = connection.read()
            assert (response.status, response.interim) == (413, [])
            assert is_h2(connection) or response.closes
    assert not recorder.take()


def test_bodies_without_limit(weir, recorder, proto):
    server = weir(SIZES.replace("body_size: 64k", "body_size: 0"), values={"backend": recorder.port}, secure=True)
    for length in (None, 100000):
        with connect(server.ports["port2"]) as connection:
            body = b"z" * 100000
            post(connection, "/x", length)
            if is_h2(connection):
                connection.upload(connection.waiting[-1], body)
            else:
                connection.send(b"186a0\r\n" + body + b"\r\n0\r\n\r\n" if length is None else body)
            assert connection.read().status == 200


def test_unannounced_body_over_its_limit(sizes, recorder, proto):
    recorder.take()
    with connect(sizes.ports["port2"]) as connection:
        post(connection, "/x", None)
        for _ in range(9):
            if is_h2(connection):
                connection.upload(connection.waiting[-1], b"z" * 8192, end=False)
            else:
                connection.send(b"2000\r\n" + b"z" * 8192 + b"\r\n")
        response = connection.read()
        assert response.status == 413
        assert is_h2(connection) or connection.wait_end()
    time.sleep(0.05)
    assert not [seen for seen in recorder.take()
        if seen.verdict != "cut"], "the backend took a cut body for whole"


# --- Times: all the slow clients at once, each test looks at its own ---

class Slow:
    """Runs scenarios in threads, all from the start; result() waits for one: (seconds until the end, responses)."""

    def __init__(self, server):
        self.server = server
        self.pool = ThreadPoolExecutor(len(SCENARIOS))
        self.futures = {name: self.pool.submit(self.run, act) for name, act in SCENARIOS.items()}

    def run(self, act):
        begin = time.monotonic()
        responses, ended = act(self.server)
        return time.monotonic() - begin, responses, ended

    def result(self, name):
        return self.futures[name].result(60)


SCENARIOS = {}


def scenario(act):
    """Of HTTP/1.1's framing."""
    SCENARIOS[act.__name__] = act
    return act


def everywhere(act):
    """Over all protocols."""
    for proto in PROTOCOLS:
        SCENARIOS[f"{act.__name__} {proto}"] = functools.partial(act, proto=proto)
    return act


def is_h2(connection):
    return hasattr(connection, "streams")


def post(connection, target, length, part=b""):
    """Begins a request with a body; length None: it is not told."""
    if is_h2(connection):
        told = [] if length is None else [("content-length", length)]
        connection.waiting.append(connection.headers(head("POST", target, *told, scheme=connection.scheme), end=False))
    else:
        told = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        connection.send(f"POST {target} HTTP/1.1\r\nHost: localhost\r\n{told}\r\n\r\n".encode())
    if part:
        more_of(connection, part)


def more_of(connection, data, last=False):
    """A piece of a body whose length was told; False: the peer has had enough."""
    if is_h2(connection):
        return connection.data(connection.waiting[-1], data, end=last)
    return connection.send(data)


def answered(connection, seconds=8):
    """What becomes of what was asked: the answers, and whether the client learned of an end. A stream of HTTP/2 ends alone."""
    if not is_h2(connection):
        return rest(connection, seconds)
    try:
        return [connection.read(seconds=seconds)], True
    except Ended as fault:
        return [], learned(connection, fault)


def rest(connection, seconds=8):
    """What still comes, until the connection ends."""
    try:
        return connection.drain(seconds=seconds)
    except BadResponse:
        return [], connection.ended


def drip(connection, pieces, pause, seconds=8):
    """Sends piece by piece until the peer has had enough."""
    end = time.monotonic() + seconds
    for piece in pieces:
        if time.monotonic() > end or not connection.send(piece):
            break
        connection.fill(pause)
        if connection.ended or connection.buffer:
            break
    return rest(connection, max(0.5, end - time.monotonic()))


@scenario
def silent(server):
    with Connection(server.port) as connection:
        return rest(connection)


@scenario
def stalled_line(server):
    with Connection(server.port) as connection:
        connection.send(b"GET /a.t")
        return rest(connection)


@scenario
def stalled_head(server):
    with Connection(server.port) as connection:
        connection.send(b"GET /a.txt HTTP/1.1\r\nHost: x\r\nX: ")
        return rest(connection)


@scenario
def loris_by_octet(server):
    with Connection(server.port) as connection:
        return drip(connection,
            [b"%c" % octet for octet in b"GET /a.txt HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200], 0.1)


@scenario
def loris_by_field(server):
    with Connection(server.port) as connection:
        return drip(connection, [b"GET /a.txt HTTP/1.1\r\nHost: x\r\n"] + [b"X-%d: y\r\n" % number
            for number in range(100)], 0.3)


@scenario
def loris_by_crlf(server):
    with Connection(server.port) as connection:
        return drip(connection, [b"\r\n"] * 100, 0.3)


@everywhere
def idle_after_answer(server, proto):
    with connect(server.port, proto) as connection:
        return [connection.get("/a.txt")], connection.wait_end(8)


@scenario
def second_head_stalled(server):
    with Connection(server.port) as connection:
        first = connection.get("/a.txt")
        connection.send(b"GET /a.txt HT")
        more, ended = rest(connection)
        return [first] + more, ended


@everywhere
def stalled_body(server, proto):
    with connect(server.ports["port2"], proto) as connection:
        post(connection, "/x", 10, b"abc")
        return answered(connection)


@scenario
def stalled_chunk(server):
    with Connection(server.ports["port2"]) as connection:
        connection.send(b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
        return rest(connection)


@everywhere
def stalled_body_nobody_reads(server, proto):
    with connect(server.port, proto) as connection:
        post(connection, "/a.txt", 10, b"abc")
        return answered(connection)


@everywhere
def body_with_pauses(server, proto):
    """Each pause is within the time: served."""
    with connect(server.ports["port2"], proto) as connection:
        post(connection, "/x", 6)
        for number, octet in enumerate(b"abcdef"):
            time.sleep(0.4)
            more_of(connection, b"%c" % octet, number == 5)
        return [connection.read()], None


@scenario
def body_with_pauses_behind_the_handshake(server):
    """The request comes in one segment with the end of the handshake."""
    with connect(server.ports["port2"], "h2", corked=True) as connection:
        post(connection, "/x", 6, b"a")
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        for number, octet in enumerate(b"bcdef"):
            time.sleep(0.4)
            more_of(connection, b"%c" % octet, number == 4)
        return [connection.read()], None


@everywhere
def never_reading(server, proto):
    """Asks for 64 MiB and reads nothing for a while: the answer is cut."""
    with connect(server.port, proto, narrow=4096) as connection:
        connection.request("/big.bin")
        time.sleep(4)
        try:
            return [len(connection.read().body)], None
        except Ended as fault:
            return [len(fault.partial)], learned(connection, fault)


@everywhere
def reading_with_pauses(server, proto):
    """Reads a little, often enough: not cut within three times the send timeout."""
    with connect(server.port, proto, narrow=65536) as connection:
        connection.request("/big.bin")
        end = time.monotonic() + 3
        while time.monotonic() < end and (connection.take(0.5) if is_h2(connection) else connection.fill(0.5)):
            time.sleep(0.02)
        if is_h2(connection):
            stream = connection.streams[1]
            return [len(stream.body)], stream.over or connection.ended
        return [len(connection.buffer)], connection.ended


@pytest.fixture(scope="module")
def slow(times):
    return Slow(times)


@pytest.mark.parametrize("name", ["silent", "stalled_line", "stalled_head", "loris_by_octet",
    "loris_by_field", "loris_by_crlf"])
def test_slow_head_is_ended(slow, name):
    """The header timeout is for all of the head: 408 or just an end, at about one second."""
    seconds, responses, ended = slow.result(name)
    assert ended, f"still open after {seconds:.1f} s"
    assert 0.7 < seconds < 3.5, seconds
    assert [response.status for response in responses] in ([408], [],
        *([[400]] if name == "loris_by_crlf" else []))


def test_idle_connection_is_ended(slow, proto):
    seconds, responses, ended = slow.result(f"idle_after_answer {proto}")
    assert ended == "fin" and 0.7 < seconds < 3.5, seconds
    assert [response.status for response in responses] == [200], "an idle connection ends without a word"


def test_stalled_second_head_is_ended(slow):
    seconds, responses, ended = slow.result("second_head_stalled")
    assert ended and 0.7 < seconds < 3.5, seconds
    assert [response.status for response in responses] in ([200, 408], [200])


@pytest.mark.parametrize("name", [f"stalled_body {proto}" for proto in PROTOCOLS] + ["stalled_chunk"])
def test_stalled_body_is_ended(slow, name):
    seconds, responses, ended = slow.result(name)
    assert ended and 0.7 < seconds < 3.5, seconds
    assert [response.status for response in responses] == [408]


def test_stalled_body_that_nobody_reads_is_ended(slow, proto):
    seconds, responses, ended = slow.result(f"stalled_body_nobody_reads {proto}")
    assert ended and seconds < 5, seconds
    assert [response.status for response in responses] == [405]


def test_body_with_pauses_is_served(slow, proto):
    _, responses, _ = slow.result(f"body_with_pauses {proto}")
    assert [response.status for response in responses] == [200]


def test_request_behind_a_handshake_has_its_own_time(slow):
    _, responses, _ = slow.result("body_with_pauses_behind_the_handshake")
    assert [response.status for response in responses] == [200]


def test_client_that_never_reads_is_ended(slow, proto):
    _, (got,), ended = slow.result(f"never_reading {proto}")
    assert ended and got < 64 << 20


def test_client_that_reads_slowly_is_served(slow, proto):
    _, (got,), ended = slow.result(f"reading_with_pauses {proto}")
    assert not ended and got > 100000


def test_service_goes_on_beside_the_slow(times):
    """300 slow clients, and another is served at once."""
    loris = [Connection(times.port) for _ in range(300)]
    try:
        for connection in loris:
            connection.send(b"GET / HTTP/1.1\r\nHost: x\r\nX")
        begin = time.monotonic()
        with Connection(times.port) as connection:
            assert connection.get("/a.txt").status == 200
        assert time.monotonic() - begin < 1
    finally:
        for connection in loris:
            connection.close()


# --- Connections ---

def served(server):
    with Connection(server.port) as connection:
        try:
            return connection.get("/a.txt", fields={"Connection": "close"}).status == 200
        except (Ended, OSError):
            return False


def test_connections_in_all(recorder):
    """Twenty are busy: the next waits, or is told 503 and closed; when some go, others are served."""
    with serving(FEW, recorder) as server:
        busy = [connect(server.port, proto, narrow=4096) for proto in itertools.islice(itertools.cycle(PROTOCOLS), 20)]
        try:
            for connection in busy:
                connection.begin("/big.bin")
            with Connection(server.port) as late:
                late.request("/a.txt")
                try:
                    response = late.read(seconds=0.5)
                    assert response.status == 503 and late.wait_end()
                except Ended:
                    pass
            for connection in busy[:5]:
                connection.close()
            wait_for(lambda: served(server), 5, "service after some have gone")
            for connection in busy[5:]:
                if is_h2(connection):
                    while connection.take(0):
                        pass
                    assert not connection.streams[1].over and not connection.goaway
                while not is_h2(connection) and connection.fill(0):
                    connection.buffer = b""
                assert not connection.ended, "a busy connection suffered"
        finally:
            for connection in busy:
                connection.close()


def test_idle_connections_make_room(recorder):
    """Twenty are kept and idle: they are no reason to turn the next away for as long as they like to stay."""
    with serving(FEW, recorder) as server:
        idle = [connect(server.port, proto) for proto in itertools.islice(itertools.cycle(PROTOCOLS), 20)]
        try:
            for connection in idle:
                assert connection.get("/a.txt").status == 200
            wait_for(lambda: served(server), 20, "service beside idle connections")  # idle for five seconds
            for connection in idle:
                if is_h2(connection):
                    while connection.take(0):
                        pass
                connection.fill(0)
                assert connection.ended in (None, "fin")
        finally:
            for connection in idle:
                connection.close()
