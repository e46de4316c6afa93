# SPDX-License-Identifier: BSD-2-Clause
"""Limits and timeouts (DESIGN §2): how much a client may send, how long it may take, how many may come."""
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import BadResponse, Connection, Ended, exchange
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
RATES = """
limits: { timeouts: { header: 60s, body: 60s, idle: 60s, send: 60s }, min_rate: 240 }
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
    made = Server(config, values={"backend": recorder.port})
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


def test_body_within_its_limit(sizes):
    for head, body in ((b"Content-Length: 65536", b"z" * 65536),
            (b"Transfer-Encoding: chunked", b"10000\r\n" + b"z" * 65536 + b"\r\n0\r\n\r\n")):
        responses, _ = exchange(sizes.ports["port2"],
            b"POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head + b"\r\n\r\n" + body)
        assert [response.status for response in responses] == [200]


def test_announced_body_over_its_limit(sizes, recorder):
    """413 at once: before the body, without 100, without the backend."""
    recorder.take()
    for expect in (b"", b"Expect: 100-continue\r\n"):
        with Connection(sizes.ports["port2"]) as connection:
            connection.send(b"POST /x HTTP/1.1\r\nHost: x\r\n" + expect + b"Content-Length: 65537\r\n\r\n")
            response = connection.read()
            assert (response.status, response.interim) == (413, [])
            assert response.closes
    assert not recorder.take()


def test_chunked_body_over_its_limit(sizes, recorder):
    recorder.take()
    with Connection(sizes.ports["port2"]) as connection:
        connection.send(b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(9):
            connection.send(b"2000\r\n" + b"z" * 8192 + b"\r\n")
        response = connection.read()
        assert response.status == 413
        assert connection.wait_end()
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
    SCENARIOS[act.__name__] = act
    return act


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


@scenario
def idle_after_answer(server):
    with Connection(server.port) as connection:
        first = connection.get("/a.txt")
        more, ended = rest(connection)
        return [first] + more, ended


@scenario
def second_head_stalled(server):
    with Connection(server.port) as connection:
        first = connection.get("/a.txt")
        connection.send(b"GET /a.txt HT")
        more, ended = rest(connection)
        return [first] + more, ended


@scenario
def stalled_body(server):
    with Connection(server.ports["port2"]) as connection:
        connection.send(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        return rest(connection)


@scenario
def stalled_chunk(server):
    with Connection(server.ports["port2"]) as connection:
        connection.send(b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
        return rest(connection)


@scenario
def stalled_body_nobody_reads(server):
    with Connection(server.port) as connection:
        connection.send(b"POST /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        return rest(connection)


@scenario
def body_with_pauses(server):
    """Each pause is within the time: served."""
    with Connection(server.ports["port2"]) as connection:
        connection.send(b"POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\n")
        for octet in b"abcdef":
            time.sleep(0.4)
            connection.send(b"%c" % octet)
        return rest(connection)


@scenario
def never_reading(server):
    """Asks for 64 MiB and reads nothing for a while: the answer is cut."""
    with Connection(server.port) as connection:
        connection.socket.setsockopt(1, 8, 4096)
        connection.request("/big.bin")
        time.sleep(4)
        got = 0
        while connection.fill(1):
            got += len(connection.buffer)
            connection.buffer = b""
        return [got], connection.ended


@scenario
def reading_with_pauses(server):
    """Reads a little, often enough: not cut within three times the send timeout."""
    with Connection(server.port) as connection:
        connection.socket.setsockopt(1, 8, 65536)
        connection.request("/big.bin")
        got, end = 0, time.monotonic() + 3
        while time.monotonic() < end and connection.fill(0.5):
            got += len(connection.buffer)
            connection.buffer = b""
            time.sleep(0.02)
        return [got], connection.ended


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


def test_idle_connection_is_ended(slow):
    seconds, responses, ended = slow.result("idle_after_answer")
    assert ended == "fin" and 0.7 < seconds < 3.5, seconds
    assert [response.status for response in responses] == [200], "an idle connection ends without a word"


def test_stalled_second_head_is_ended(slow):
    seconds, responses, ended = slow.result("second_head_stalled")
    assert ended and 0.7 < seconds < 3.5, seconds
    assert [response.status for response in responses] in ([200, 408], [200])


@pytest.mark.parametrize("name", ["stalled_body", "stalled_chunk"])
def test_stalled_body_is_ended(slow, name):
    seconds, responses, ended = slow.result(name)
    assert ended and 0.7 < seconds < 3.5, seconds
    assert [response.status for response in responses] == [408]


def test_stalled_body_that_nobody_reads_is_ended(slow):
    seconds, responses, ended = slow.result("stalled_body_nobody_reads")
    assert ended and seconds < 5, seconds
    assert [response.status for response in responses] == [405]


def test_body_with_pauses_is_served(slow):
    _, responses, _ = slow.result("body_with_pauses")
    assert [response.status for response in responses] == [200]


def test_client_that_never_reads_is_ended(slow):
    _, (got,), ended = slow.result("never_reading")
    assert ended and got < 64 << 20


def test_client_that_reads_slowly_is_served(slow):
    _, (got,), ended = slow.result("reading_with_pauses")
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
        busy = [Connection(server.port) for _ in range(20)]
        try:
            for connection in busy:
                connection.socket.setsockopt(1, 8, 4096)
                connection.request("/big.bin")
                assert connection.fill(2)
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
                while connection.fill(0):
                    connection.buffer = b""
                assert not connection.ended, "a busy connection suffered"
        finally:
            for connection in busy:
                connection.close()


def test_idle_connections_make_room(recorder):
    """Twenty are kept and idle: they are no reason to turn the next away for as long as they like to stay."""
    with serving(FEW, recorder) as server:
        idle = [Connection(server.port) for _ in range(20)]
        try:
            for connection in idle:
                assert connection.get("/a.txt").status == 200
            wait_for(lambda: served(server), 5, "service beside idle connections")
            for connection in idle:
                connection.fill(0)
                assert connection.ended in (None, "fin")
        finally:
            for connection in idle:
                connection.close()


# --- min_rate: bytes a second over ten seconds ---

def upload(port, size, pause):
    """Sends a body piece by piece, for at most 15 seconds: when weir had enough of it, or None."""
    begin = time.monotonic()
    with Connection(port) as connection:
        connection.send(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
        while time.monotonic() - begin < 15 and connection.send(b"z" * size):
            connection.fill(pause)
            if connection.ended or connection.buffer:
                return time.monotonic() - begin
    return None


def download(port):
    """Reads 32 bytes a second of 64 MiB for 15 seconds, then all that is there: how much that was."""
    begin, got = time.monotonic(), 0
    with Connection(port) as connection:
        connection.socket.setsockopt(1, 8, 2048)
        connection.request("/big.bin")
        while time.monotonic() - begin < 15:
            time.sleep(0.25)
            try:
                got += len(connection.socket.recv(8))
            except OSError:
                continue
        while connection.fill(1):
            got += len(connection.buffer)
            connection.buffer = b""
    return got


def silent_between(port):
    """Two requests, 14 seconds apart: weir waits for nothing meanwhile."""
    with Connection(port) as connection:
        connection.get("/a.txt")
        time.sleep(14)
        try:
            return connection.get("/a.txt").status
        except (Ended, OSError) as fault:
            return str(fault)


@pytest.fixture(scope="module", autouse=True)
def rates(recorder):
    """These take longer than ten seconds: they begin with the first test of this file and run beside the others."""
    with serving(RATES, recorder) as server, ThreadPoolExecutor(4) as pool:
        yield {"slow": pool.submit(upload, server.ports["port2"], 5, 0.25),
            "fast": pool.submit(upload, server.ports["port2"], 512, 0.25),
               "download": pool.submit(download, server.port),
               "silent": pool.submit(silent_between, server.port)}


def test_min_rate_of_uploads(rates):
    """20 octets a second are dropped after ten seconds, 2 KB a second go on."""
    slow, fast = rates["slow"].result(60), rates["fast"].result(60)
    assert slow is not None and 8 < slow < 14.9, slow
    assert fast is None, fast


def test_min_rate_of_readers(rates):
    assert rates["download"].result(60) < 60 << 20


def test_min_rate_counts_only_while_weir_waits(rates):
    assert rates["silent"].result(60) == 200
