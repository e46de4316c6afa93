# SPDX-License-Identifier: BSD-2-Clause
"""Connections that go on, and how they end: keep-alive, pipelining, HTTP/1.0, Expect, early answers, forms of targets, Host,
HEAD and OPTIONS (RFC 9112, 9; RFC 9110, 7.6, 9.3, 10.1), and the access log's line (combined)."""
import calendar
import email.utils
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import Connection, Ended, curl, exchange
from server import Server

CONFIG = """
sites:
  - { listen: "http://127.0.0.1:$port", root: root }
  - { listen: "http://127.0.0.1:$port2", proxy: "127.0.0.1:$backend" }
  - { listen: "http://127.0.0.1:$port3", host: [a.example, "*.b.example"], root: root }
  - { listen: "http://127.0.0.1:$port3", host: www.b.example, root: other }
  - { listen: "http://127.0.0.1:$port4", host: a.example, root: root }
  - { listen: "http://127.0.0.1:$port4", root: other }
"""
BIG = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture(scope="module")
def server(recorder):
    made = Server(CONFIG, values={"backend": recorder.port}, secure=True)
    (made.root / "index.html").write_text("<!doctype html><title>index</title>\n", encoding="utf-8")
    for number in range(20):
        (made.root / f"{number}.txt").write_text(f"file {number}\n" * (number + 1), encoding="utf-8")
    (made.root / "big.bin").write_bytes(BIG)
    other = made.folder / "other"
    other.mkdir()
    (other / "index.html").write_text("other\n", encoding="utf-8")
    with made:
        yield made


@pytest.fixture
def connection(server):
    with Connection(server.port) as opened:
        yield opened


def text(number):
    return f"file {number}\n".encode() * (number + 1)


# --- Keep-alive and pipelining (RFC 9112, 9.3) ---

def test_plain_get_by_curl(server, proto):
    """The page, over each protocol."""
    got = curl(server.url("/"), proto=proto)
    assert (got.exit, got.status) == (0, 200)
    assert got.body == b"<!doctype html><title>index</title>\n"
    assert got.get("Content-Type") == "text/html; charset=utf-8"


def test_many_requests_on_one_connection(connection):
    for number in list(range(20)) * 3:
        response = connection.get(f"/{number}.txt")
        assert (response.status, response.body) == (200, text(number))
        assert not response.closes
    assert connection.ended is None


def test_pipelined_answers_come_in_order(connection):
    order = [number * 7 % 20 for number in range(100)]
    connection.send(b"".join(b"GET /%d.txt HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in order))
    for number in order:
        assert connection.read().body == text(number)


def test_pipelined_mix(connection):
    """HEAD, errors, big and small ones in one go: each answer in its place and with its own framing."""
    connection.send(b"HEAD /big.bin HTTP/1.1\r\nHost: x\r\n\r\n" b"GET /missing HTTP/1.1\r\nHost: x\r\n\r\n" b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n"
                    b"POST /1.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 35\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n" b"GET /2.txt HTTP/1.1\r\nHost: x\r\n\r\n")
    head = connection.read("HEAD")
    assert (head.status, head.get("Content-Length")) == (200, str(len(BIG)))
    assert connection.read().status == 404
    assert connection.read().body == BIG
    assert connection.read().status == 405
    assert connection.read().body == text(2)


def test_pipelined_over_split_packets(server):
    """However the bytes are cut, the requests are the same."""
    data = b"GET /3.txt HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 300 + b"\r\n\r\nHEAD /4.txt HTTP/1.1\r\nHost: x\r\n\r\nGET /5.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for size in (1, 2, 3, 7, 16, 61, 333):
        with Connection(server.port) as connection:
            for at in range(0, len(data), size):
                connection.send(data[at:at + size])
            assert connection.read().body == text(3)
            assert connection.read("HEAD").get("Content-Length") == str(len(text(4)))
            assert connection.read().body == text(5)
            assert connection.wait_end() == "fin"


def test_pipelined_to_the_backend(server):
    """Pipelined requests reach the backend one by one, with their bodies."""
    with Connection(server.ports["port2"]) as connection:
        for number in range(30):
            connection.request(f"/{number}", "POST", body=b"b%d" % number)
        for number in range(30):
            seen = json.loads(connection.read().body)
            assert (seen["target"], seen["body"], seen["method"]) == (f"/{number}", f"b{number}", "POST")


def test_backend_connections_are_kept(server, recorder):
    """Requests one after the other share a connection to the backend (DESIGN §2, keepalive)."""
    recorder.take()
    with Connection(server.ports["port2"]) as connection:
        for _ in range(10):
            assert connection.get("/kept").status == 200
    assert all("close" not in [word.decode() for word in seen.request.words(b"Connection")]
        for seen in recorder.take())


@pytest.mark.parametrize("value", ["close", "Close", "foo, close", "close, foo", "keep-alive, close"])
def test_close_ends_after_the_answer(server, value):
    """RFC 9112, 9.6: the answer says close, the connection ends, what was pipelined behind is not answered."""
    raw = f"GET /1.txt HTTP/1.1\r\nHost: x\r\nConnection: {value}\r\n\r\nGET /2.txt HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    responses, ended = exchange(server.port, raw)
    assert [response.body for response in responses] == [text(1)]
    assert responses[0].closes and ended in ("fin", "reset")


def test_close_in_second_field(server):
    responses, _ = exchange(server.port,
        b"GET /1.txt HTTP/1.1\r\nHost: x\r\nConnection: foo\r\nConnection: close\r\n\r\n")
    assert len(responses) == 1 and responses[0].closes


def test_half_closed_client_gets_its_answer(server):
    """A client that has said all it has to say still reads."""
    for port in (server.port, server.ports["port2"]):
        with Connection(port) as connection:
            connection.request("/big.bin")
            connection.half_close()
            response = connection.read()
            assert response.status == 200
            assert connection.wait_end() == "fin"


def test_connections_in_parallel(server):
    def run(number):
        with Connection(server.port) as connection:
            return [connection.get(f"/{number % 20}.txt").body == text(number % 20) for _ in range(5)]

    with ThreadPoolExecutor(16) as pool:
        assert all(all(results) for results in pool.map(run, range(200)))


# --- HTTP/1.0 (RFC 9112, 9.3; appendix C) ---

def test_http10_closes(server):
    responses, ended = exchange(server.port, b"GET /1.txt HTTP/1.0\r\n\r\n")
    assert [response.body for response in responses] == [text(1)] and ended == "fin"


def test_http10_keep_alive(connection):
    for number in (1, 2, 3):
        response = connection.get(f"/{number}.txt", version="HTTP/1.0", fields={"Connection": "keep-alive"})
        assert response.body == text(number)
        assert "keep-alive" in response.get("Connection", "").lower()


def test_http10_is_never_chunked(server):
    """RFC 9112, 6.1: no Transfer-Encoding to a client of HTTP/1.0; an error page as well."""
    for port, target in ((server.port, b"/missing"), (server.port, b"/"), (server.ports["port2"], b"/x")):
        responses, _ = exchange(port, b"GET " + target + b" HTTP/1.0\r\nHost: x\r\n\r\n")
        assert len(responses) == 1 and responses[0].framing != "chunked"


def test_http10_gets_no_100(server):
    """RFC 9110, 10.1.1: Expect in HTTP/1.0 is ignored."""
    responses, _ = exchange(server.ports["port2"],
        b"POST /x HTTP/1.0\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
    assert [response.status for response in responses] == [200] and not responses[0].interim


# --- Expect (RFC 9110, 10.1.1) ---

def test_continue_comes_before_the_body(server):
    with Connection(server.ports["port2"]) as connection:
        connection.send(b"POST /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert connection.read(interim=False).status == 100
        connection.send(b"hello")
        assert json.loads(connection.read().body)["body"] == "hello"
        assert connection.get("/next").status == 200


def test_no_continue_where_nobody_wants_the_body(connection):
    """A final answer at once, no 100: the static site takes no POST."""
    connection.send(b"POST /1.txt HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")
    response = connection.read()
    assert (response.status, response.interim) == (405, [])


def test_continue_by_curl(server, proto):
    got = curl(server.url("/x", port="port2"), "--header", "Expect: 100-continue", "--data-binary",
        "y" * 3000, proto=proto)
    assert (got.exit, got.status) == (0, 200)
    assert json.loads(got.body)["body"] == "y" * 3000


# --- Answers before the request's end (DESIGN §5, body source) ---

def test_small_unread_body_is_drained(connection):
    """Up to 64 KB are drained and the connection goes on."""
    connection.request("/1.txt", "POST", body=b"z" * 60000)
    assert connection.read().status == 405
    if not connection.ended:
        assert connection.get("/2.txt").body == text(2)


@pytest.mark.parametrize("size", [1 << 20, 8 << 20])
def test_refusal_survives_a_large_upload(server, size):
    """Lingering close: a client that is still sending reads the refusal, it is not lost to a reset."""
    with Connection(server.port) as connection:
        connection.send(b"POST /1.txt HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 16):
            if not connection.send(b"z" * 65536) or connection.ended or connection.buffer:
                break
        response = connection.read()
        assert response.status == 405
        assert response.closes


def test_refusal_of_garbage_says_close(server):
    responses, ended = exchange(server.port,
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n" + b"z" * 100000)
    assert [response.status for response in responses] == [400]
    assert responses[0].closes and ended in ("fin", "reset")


# --- Forms of targets, Host, sites (RFC 9112, 3.2; DESIGN §2) ---

def test_options_asterisk(connection):
    connection.request("*", "OPTIONS")
    response = connection.read()
    assert response.status in (200, 204) and not response.body
    assert connection.get("/1.txt").body == text(1)


def test_absolute_form(connection):
    assert connection.get("http://localhost/1.txt").body == text(1)
    assert connection.get("HTTP://localhost:80/2.txt").body == text(2)


def get_host(server, port, host, target="/"):
    responses, _ = exchange(server.ports[port],
        f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    return responses[0]


@pytest.mark.parametrize("host", ["a.example", "A.EXAMPLE", "a.example:80", "a.example.", "x.b.example",
    "x.y.b.example", "X.B.Example:8080"])
def test_site_by_host(server, host):
    assert get_host(server, "port3", host).body.startswith(b"<!doctype")


def test_exact_host_beats_wildcard(server):
    assert get_host(server, "port3", "www.b.example").body == b"other\n"


@pytest.mark.parametrize("host", ["c.example", "b.example", "xa.example", "a.example.evil.example",
    "127.0.0.1", "xb.example"])
def test_unknown_host_is_misdirected(server, host):
    """DESIGN §2: no site without host at this address: 421."""
    assert get_host(server, "port3", host).status == 421


def test_site_without_host_is_the_default(server):
    assert get_host(server, "port4", "unknown.example").body == b"other\n"
    assert get_host(server, "port4", "a.example").body.startswith(b"<!doctype")


def test_absolute_form_chooses_the_site(server):
    """RFC 9112, 3.2.2: the target's authority counts, not Host (or such a contradiction is refused)."""
    response = get_host(server, "port4", "unknown.example", "http://a.example/")
    assert response.status == 400 or response.body.startswith(b"<!doctype")


# --- HEAD, OPTIONS, other methods (RFC 9110, 9.3; DESIGN §3) ---

@pytest.mark.parametrize("target", ["/", "/1.txt", "/big.bin", "/missing"])
def test_head_is_get_without_body(connection, target):
    got, head = connection.get(target), connection.get(target, method="HEAD")
    assert head.status == got.status

    def comparable(response):
        return [(name, value) for name, value in response.fields if name.lower() != "date"]

    assert comparable(head) == comparable(got)


def test_head_through_the_backend(server):
    with Connection(server.ports["port2"]) as connection:
        head = connection.get("/x", method="HEAD")
        assert head.status == 200 and int(head.get("Content-Length")) > 0
        assert connection.get("/y").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "FOO", "get"])
def test_other_methods_on_a_file(connection, method):
    """405 with Allow for a file that exists (an unknown method may be 501)."""
    response = connection.get("/1.txt", method=method)
    assert response.status == 405 or (response.status == 501 and method in ("PROPFIND", "FOO", "get"))
    if response.status == 405:
        allow = {word.strip() for word in response.get("Allow").split(",")}
        assert {"GET", "HEAD"} <= allow and method not in allow


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_other_methods_on_nothing(connection, method):
    assert connection.get("/missing", method=method).status == 404


def test_trace_is_not_echoed(server):
    for port in (server.port, server.ports["port2"]):
        responses, _ = exchange(port,
            b"TRACE /1.txt HTTP/1.1\r\nHost: x\r\nCookie: secret=1\r\nConnection: close\r\n\r\n")
        if port == server.port:
            assert responses[0].status in (405, 501) and b"secret" not in responses[0].body


def test_options_on_a_file(connection):
    response = connection.get("/1.txt", method="OPTIONS")
    assert response.status in (200, 204)
    assert {"GET", "HEAD"} <= {word.strip() for word in response.get("Allow").split(",")}


def test_date_is_now(connection):
    """RFC 9110, 6.6.1."""
    for target in ("/1.txt", "/missing", "/1.txt"):
        value = connection.get(target).get("Date")
        assert re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT", value)
        assert abs(email.utils.parsedate_to_datetime(value).timestamp() - time.time()) < 3


def test_error_pages_are_pages(connection):
    response = connection.get("/missing")
    assert response.status == 404 and response.reason
    assert response.get("Content-Type").startswith("text/html")
    assert b"404" in response.body
    assert response.get("X-Content-Type-Options") == "nosniff"


# --- The access log (combined) ---

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
LINE = re.compile(r'(?P<client>\S+) - (?P<user>\S+) \[(?P<day>\d\d)/(?P<month>\w{3})/(?P<year>\d{4}):(?P<time>\d\d:\d\d:\d\d) (?P<zone>[+-]\d{4})\] '
                  r'"(?P<request>[^"]*)" (?P<status>\d{3}) (?P<bytes>\d+|-) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)"\Z')


def logged(server, mark, count=1):
    """The lines that carry the mark, as soon as there are so many."""
    end = time.monotonic() + 5
    while True:
        found = [line.decode() for line in server.access_lines(0) if mark.encode() in line]
        if len(found) >= count or time.monotonic() > end:
            assert len(found) == count, found
            return [LINE.match(line) or pytest.fail(f"not combined: {line}") for line in found]
        time.sleep(0.01)


@pytest.mark.parametrize("port, target, status, size", [
    ("port", "/1.txt?one", 200, len(text(1))), ("port", "/missing?two", 404, None),
    ("port", "/big.bin?three", 200, len(BIG)), ("port2", "/x?four", 200, None),
])
def test_access_line(server, port, target, status, size):
    """Client, time, request line, status, bytes of the body, Referer, User-Agent."""
    with Connection(server.ports[port], source="127.9.8.7") as connection:
        response = connection.get(target, fields={"Referer": "http://from.example/",
            "User-Agent": "test/1.0 (a; b)"})
    line, = logged(server, target)
    assert line["client"] == "127.9.8.7" and line["user"] == "-"
    assert line["request"] == f"GET {target} HTTP/1.1"
    assert (line["status"], line["bytes"]) == (str(status), str(size if size is not None
        else len(response.body)))
    assert (line["referer"], line["agent"]) == ("http://from.example/", "test/1.0 (a; b)")
    hours, minutes = int(line["zone"][1:3]), int(line["zone"][3:])
    offset = (hours * 60 + minutes) * 60 * (-1 if line["zone"][0] == "-" else 1)
    when = time.strptime(f"{line['year']} {MONTHS.index(line['month']) + 1} {line['day']} {line['time']}",
        "%Y %m %d %H:%M:%S")
    assert abs(calendar.timegm(when) - offset - time.time()) < 5


def test_access_line_without_fields(server):
    with Connection(server.port) as connection:
        connection.get("/1.txt?bare", method="HEAD", version="HTTP/1.0", host=None)
    line, = logged(server, "?bare")
    assert (line["request"], line["status"], line["referer"], line["agent"]) == ("HEAD /1.txt?bare HTTP/1.0",
        "200", "-", "-")
    assert line["bytes"] in ("0", "-")


@pytest.mark.parametrize("octets, said", [
    (b"GET /sound?half HTTP/1.1\r\nbad\r\n\r\n", "GET /sound?half HTTP/1.1"), (b'GET /sound?"q HTTP/1.7\r\n\r\n', "GET /sound?\\x22q"),
])
def test_access_line_of_a_malformed_head(server, octets, said):
    with Connection(server.port) as connection:
        connection.send(octets)
        assert connection.read().status in (400, 505)
    line, = logged(server, said)
    assert line["request"] == said


def test_access_line_for_each_of_many(server):
    with Connection(server.port) as connection:
        connection.send(b"".join(b"GET /%d.txt?batch HTTP/1.1\r\nHost: x\r\n\r\n" % (number % 20)
            for number in range(500)))
        for number in range(500):
            assert connection.read().status == 200
    lines = logged(server, "?batch", 500)
    assert [line["request"].split()[1] for line in lines] == [f"/{number % 20}.txt?batch"
        for number in range(500)]


def test_access_line_of_an_aborted_download(server):
    """The client goes away in the middle: one line all the same, with what was sent."""
    with Connection(server.port) as connection:
        connection.socket.setsockopt(1, 8, 4096)
        connection.request("/big.bin?aborted")
        connection.head(time.monotonic() + connection.seconds)
        connection.reset()
    line, = logged(server, "?aborted")
    assert line["status"] == "200"
