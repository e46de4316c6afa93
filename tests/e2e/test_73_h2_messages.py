# SPDX-License-Identifier: BSD-2-Clause
"""Requests over HTTP/2 that are none (RFC 9113, 8.1 to 8.5; CASES.md): each is refused by a stream error or 400, the connection goes on,
and nothing of it reaches a backend, where it could be read as something else."""
import pytest

from h2client import *
from h2stage import INDEX, dies, lives, refuses
from proxied import told

REFUSED = [("reset", PROTOCOL_ERROR), ("status", 400)]


@pytest.fixture
def c(h2stage):
    with h2stage.open() as connection:
        h2stage.recorder.take()
        yield connection


def pseudo(*pairs, method="GET", scheme="http", authority="localhost", path="/m"):
    return head(method, path, *pairs, scheme=scheme, authority=authority)


def post(*pairs, **named):
    return pseudo(*pairs, method="POST", **named)


EVIL = b"GET /evil HTTP/1.1\r\nHost: localhost\r\n\r\n"
SPLIT = " HTTP/1.1\r\nHost: localhost\r\n\r\nGET /evil HTTP/1.1\r\nX: x"

# Heads that are refused whatever follows.
HEADS = {
    # 8.3: pseudo-fields
    "no-method": pseudo(method=None), "no-scheme": pseudo(scheme=None), "no-path": pseudo(path=None),
    "nothing": [], "only-path": [(":path", "/m")],
    "method-empty": pseudo(method=""), "scheme-empty": pseudo(scheme=""), "path-empty": pseudo(path=""),
    "method-twice": [(":method", "GET")] + pseudo(), "scheme-twice": [(":scheme", "http")] + pseudo(),
    "path-twice": [(":path", "/")] + pseudo(), "authority-twice": [(":authority", "localhost")] + pseudo(),
    "authority-twice-other": [(":authority", "evil.test")] + pseudo(),
    "unknown-pseudo": [(":test", "ok")] + pseudo(), "unknown-pseudo-last": pseudo((":test", "ok")),
    "pseudo-empty": pseudo((":", "ok")), "status": [(":status", "200")] + pseudo(),
    "upper-pseudo": [(":Method", "GET")] + pseudo(method=None), "protocol-in-get": pseudo((":protocol", "websocket")),
    "path-late": pseudo(path=None) + [("x", "1"), (":path", "/m")], "method-late": pseudo(method=None) + [("x", "1"), (":method", "GET")],
    "authority-late": pseudo(authority=None) + [("x", "1"), (":authority", "localhost")],
    "scheme-late": pseudo(scheme=None) + [("x", "1"), (":scheme", "http")],
    # what would be another line, or another request, in HTTP/1.1
    "path-split": pseudo(path="/m" + SPLIT), "path-crlf": pseudo(path="/m\r\nX: x"), "path-lf": pseudo(path="/m\nX: x"),
    "path-cr": pseudo(path="/m\rX"), "path-nul": pseudo(path="/m\0"), "path-space": pseudo(path="/m x"),
    "path-space-version": pseudo(path="/m HTTP/1.1"), "path-space-first": pseudo(path=" /m"), "path-space-last": pseudo(path="/m "),
    "path-tab": pseudo(path="/m\tx"), "path-del": pseudo(path="/m\x7f"), "path-no-slash": pseudo(path="m"),
    "path-asterisk": pseudo(path="*"), "path-authority": pseudo(path="localhost:80"), "path-fragment": pseudo(path="/m#x"),
    "method-split": pseudo(method="GET /evil HTTP/1.1\r\nHost: localhost\r\n\r\nGET"), "method-space": pseudo(method="GET /evil"),
    "method-space-last": pseudo(method="GET "), "method-crlf": pseudo(method="GET\r\nX: x"), "method-lf": pseudo(method="GET\n"),
    "method-nul": pseudo(method="G\0T"), "method-tab": pseudo(method="GET\t"), "method-colon": pseudo(method="GET:"),
    "method-8bit": pseudo(method=b"G\xc3\x89T"),
    "scheme-split": pseudo(scheme="http://localhost/evil" + SPLIT), "scheme-crlf": pseudo(scheme="http\r\nX: x"),
    "scheme-space": pseudo(scheme="http "), "scheme-odd": pseudo(scheme="ht~tp"),
    "authority-split": pseudo(authority="localhost\r\n\r\n" + EVIL.decode()), "authority-crlf": pseudo(authority="localhost\r\nX: x"),
    "authority-lf": pseudo(authority="localhost\nX: x"), "authority-nul": pseudo(authority="local\0host"),
    "authority-space": pseudo(authority="local host"), "authority-userinfo": pseudo(authority="user@localhost"),
    "authority-path": pseudo(authority="localhost/evil"), "authority-port": pseudo(authority="localhost:80x"),
    # names and values
    "name-upper": pseudo(("X-Upper", "1")), "name-empty": pseudo(("", "1")), "name-space": pseudo(("x y", "1")),
    "name-space-last": pseudo(("x ", "1")), "name-colon": pseudo(("x:y", "1")), "name-colon-split": pseudo(("x: a\r\nevil", "1")),
    "name-crlf": pseudo(("x\r\ny", "1")), "name-lf": pseudo(("x\n", "1")), "name-nul": pseudo(("x\0", "1")),
    "name-8bit": pseudo((b"x\xe4", "1")), "name-del": pseudo(("x\x7f", "1")), "name-not-a-token": pseudo(("x(y)", "1")),
    "value-crlf": pseudo(("x", "a\r\nevil: 1")), "value-split": pseudo(("x", "a\r\n\r\n" + EVIL.decode())), "value-lf": pseudo(("x", "a\nevil: 1")),
    "value-cr": pseudo(("x", "a\revil: 1")), "value-nul": pseudo(("x", "a\0b")), "value-space-first": pseudo(("x", " a")),
    "value-space-last": pseudo(("x", "a ")), "value-tab-first": pseudo(("x", "\ta")), "value-lf-last": pseudo(("x", "a\n")),
    # 8.2.2: connection-specific fields
    "connection": pseudo(("connection", "close")), "connection-names": pseudo(("connection", "x-a"), ("x-a", "1")),
    "keep-alive": pseudo(("keep-alive", "timeout=5")), "proxy-connection": pseudo(("proxy-connection", "keep-alive")),
    "upgrade": pseudo(("upgrade", "websocket")), "upgrade-h2c": pseudo(("upgrade", "h2c"), ("connection", "upgrade, http2-settings")),
    "te": pseudo(("te", "gzip")), "te-more": pseudo(("te", "trailers, deflate")), "te-quality": pseudo(("te", "trailers;q=0.5")),
    "te-chunked": post(("transfer-encoding", "chunked")), "te-and-length": post(("transfer-encoding", "chunked"), ("content-length", "4")),
    "te-identity": post(("transfer-encoding", "identity")), "te-upper": post(("Transfer-Encoding", "chunked")),
    # 8.3.1: whom it is for
    "host-other": pseudo(("host", "evil.test")), "host-twice": pseudo(("host", "localhost"), ("host", "localhost"), authority=None),
    "host-twice-other": pseudo(("host", "localhost"), ("host", "evil.test")), "host-malformed": pseudo(("host", "local host"), authority=None),
    "host-empty": pseudo(("host", ""), authority=None), "nobody": pseudo(authority=None),
    # 8.5: CONNECT
    "connect-path": pseudo(method="CONNECT", authority="localhost:80"), "connect-nobody": [(":method", "CONNECT")],
    "connect-scheme": [(":method", "CONNECT"), (":scheme", "http"), (":authority", "localhost:80")],
    "connect-protocol-no-path": [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "localhost")],
    # 8.1.1: lengths
    "length-twice": post(("content-length", "4"), ("content-length", "5")), "length-twice-same": post(("content-length", "4"), ("content-length", "4")),
    "length-list": post(("content-length", "4, 4")), "length-negative": post(("content-length", "-4")), "length-signed": post(("content-length", "+4")),
    "length-hex": post(("content-length", "0x4")), "length-empty": post(("content-length", "")), "length-fraction": post(("content-length", "4.0")),
    "length-64bit": post(("content-length", "18446744073709551620")), "length-long": post(("content-length", "9" * 40)),
    "length-letters": post(("content-length", "four")), "length-quoted": post(("content-length", '"4"')),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("body", [None, b"evil"], ids=["", "body"])
def test_malformed_head(h2stage, c, name, body):
    stream = c.headers(HEADS[name], end=body is None)
    if body is not None:
        c.data(stream, body)
    outcome = c.outcome(stream)
    assert outcome in REFUSED + [("reset", STREAM_CLOSED)] * (body is not None), outcome
    lives(c)
    assert not h2stage.reached()


# Bodies that are not what the head says: (head, DATA, trailers)
BODIES = {
    "length-without-data": (post(("content-length", "4")), [], None),
    "more": (post(("content-length", "1")), [b"test"], None),
    "less": (post(("content-length", "10")), [b"test"], None),
    "more-in-pieces": (post(("content-length", "4")), [b"te", b"st", b"x"], None),
    "less-in-pieces": (post(("content-length", "10")), [b"te", b"st", b"x"], None),
    "h2.cl": (post(("content-length", "0")), [EVIL], None),
    "h2.cl-get": (pseudo(("content-length", "0")), [EVIL], None),
    "less-with-trailers": (post(("content-length", "10")), [b"test"], [("x-a", "1")]),
    "trailers-pseudo": (post(), [b"test"], [(":path", "/evil")]),
    "trailers-status": (post(), [b"test"], [(":status", "200")]),
    "trailers-upper": (post(), [b"test"], [("X-Upper", "1")]),
    "trailers-crlf": (post(), [b"test"], [("x", "a\r\nevil: 1")]),
    "trailers-name-crlf": (post(), [b"test"], [("x\r\n\r\nGET /evil", "1")]),
    "trailers-name-empty": (post(), [b"test"], [("", "1")]),
    "trailers-nul": (post(), [b"test"], [("x", "a\0")]),
    "trailers-connection": (post(), [b"test"], [("connection", "close")]),
    "trailers-te": (post(), [b"test"], [("transfer-encoding", "chunked")]),
}


@pytest.mark.parametrize("name", BODIES)
def test_malformed_body(h2stage, c, name):
    """A backend may have seen the head by then, even as many octets as were announced; it never sees more, nor a false end."""
    fields, pieces, trailers = BODIES[name]
    with c.at_once():
        stream = c.headers(fields, end=not pieces)
        for number, piece in enumerate(pieces, 1):
            c.data(stream, piece, end=number == len(pieces) and trailers is None)
        if trailers:
            c.trailers(stream, trailers)
    assert c.outcome(stream) in REFUSED
    lives(c)
    whole = [seen for seen in h2stage.reached() if seen.verdict != "cut"]
    if name.startswith(("more", "h2.cl")):
        announced = int(dict(fields)["content-length"])
        assert all(seen.verdict == "whole" and seen.request.body == b"".join(pieces)[:announced] for seen in whole), whole
    else:
        assert whole == []


def test_second_head_that_ends_nothing(h2stage, c):
    """8.1: behind the first HEADERS come trailers, with END_STREAM."""
    stream = c.headers(post(), end=False)
    c.data(stream, b"test", end=False)
    c.headers([("x-a", "1")], stream, end=False)
    refuses(c, stream, PROTOCOL_ERROR)
    assert [seen.verdict for seen in h2stage.reached() if seen.verdict != "cut"] == []


def test_malformed_over_tls(h2stage):
    with h2stage.open(proto="h2") as c:
        h2stage.recorder.take()
        for name in ("path-space", "name-empty", "te-chunked", "value-crlf", "host-other"):
            assert c.outcome(c.headers(HEADS[name])) in REFUSED, name
        lives(c)
        assert not h2stage.reached()


# --- What is well-formed, though rare ---

def test_h2_0(c):
    """A body without a length reaches the backend framed, whatever it looks like."""
    stream = c.headers(post(), end=False)
    c.data(stream, EVIL)
    got = told(c.response(stream))
    assert (got.target, got.body, got.framing) == ("/m", EVIL.decode(), "chunked")


@pytest.mark.parametrize("fields,host", [
    (pseudo(("host", "localhost"), authority=None), "localhost"), (pseudo(("host", "localhost")), "localhost"),
    (pseudo(("host", "LOCALHOST")), "localhost"), (pseudo(authority="localhost:8080"), "localhost:8080"), (pseudo(authority="[::1]:80"), "[::1]:80"),
], ids=["host", "both", "case", "port", "ipv6"])
def test_authority(c, fields, host):
    """8.3.1: :authority, or Host where there is none; the backend gets one Host."""
    got = told(c.response(c.headers(fields)))
    assert [value.lower() for value in got.all("Host")] == [host]


def test_te_trailers(c):
    assert told(c.response(c.headers(pseudo(("te", "trailers"))))).target == "/m"


def test_cookies_are_put_together(c):
    """8.2.3"""
    got = told(c.response(c.headers(pseudo(("cookie", "a=b"), ("x", "1"), ("cookie", "c=d"), ("cookie", "e=f")))))
    assert got.all("Cookie") == ["a=b; c=d; e=f"]


def test_values_of_8_bits_and_empty(c):
    got = told(c.response(c.headers(pseudo(("x-a", b"\xe4\xff"), ("x-b", ""), ("x-c", "a\tb")))))
    assert (got.all("x-a"), got.all("x-b"), got.all("x-c")) == (["\xe4\xff"], [""], ["a\tb"])


def test_names_written_as_they_may_be(c):
    name = "x!#$%&'*+-.^`|~09az"
    assert told(c.response(c.headers(pseudo((name, "1"))))).all(name) == ["1"]


def test_via_names_the_version(c):
    """RFC 9110, 7.6.3"""
    assert told(c.response(c.headers(pseudo()))).all("Via") == ["2.0 weir"] or told(c.response(c.headers(pseudo()))).all("Via") == ["2 weir"]


@pytest.mark.parametrize("method", ["OPTIONS", "PROPFIND", "M-SEARCH", "get"])
def test_methods_pass(c, method):
    got = told(c.response(c.headers(pseudo(method=method))))
    assert (got.method, got.target) == (method, "/m")


def test_options_of_the_server(h2stage, c):
    """8.3.1: an asterisk is OPTIONS' path."""
    response = c.response(c.headers(pseudo(method="OPTIONS", path="*")))
    assert response.status in (200, 204), response


def test_connect_is_no_open_proxy(h2stage, c):
    stream = c.headers([(":method", "CONNECT"), (":authority", f"127.0.0.1:{h2stage.origin.port}")], end=False)
    kind, value = c.outcome(stream)
    assert (kind == "status" and 400 <= value < 600) or (kind, value) in [("reset", CONNECT_ERROR), ("reset", PROTOCOL_ERROR), ("reset", REFUSED_STREAM)]
    lives(c)


def test_expectation_unknown(h2stage, c):
    """RFC 9110, 10.1.1"""
    assert c.response(c.headers(pseudo(("expect", "the-unexpected")))).status == 417
    assert not h2stage.reached()


def test_paths_as_everywhere(h2stage, c):
    """What is refused in HTTP/1.1 is in HTTP/2."""
    for path in ("/%00", "/..", "/a/../../b", "/%zz", "/x%2f..%2f", "/\\..\\x"):
        assert c.response(c.headers(pseudo(path=path))).status == 400, path
    assert not h2stage.reached()
    assert c.response(c.headers(pseudo(path="/x/../ten.txt"))).body == b"0123456789"


def test_path_too_long(h2stage, c):
    assert c.response(c.headers(pseudo(path="/" + "x" * 9000))).status == 414
    lives(c)
    assert not h2stage.reached()


@pytest.mark.parametrize("fields", [[("x-a", "y" * 40000)], [(f"x-{n}", "y") for n in range(3000)], [(f"x-{n}", "y") for n in range(300)], [("x-a", "y" * 15000)] * 3], ids=["long", "many", "too-many", "both"])
def test_header_section_too_large(h2stage, c, fields):
    """431, as in HTTP/1.1, and the connection goes on; HPACK's state is kept also of what is refused (4.3)."""
    packed = block(pseudo(("x-kept", "1")), 0x40) + block(fields)
    stream = c.headers(pseudo(), packed=packed[:16384], flags=0 if len(packed) > 16384 else END_HEADERS)
    for at in range(16384, len(packed), 16384):
        c.frame(CONTINUATION, END_HEADERS if at + 16384 >= len(packed) else 0, stream, packed[at:at + 16384])
    outcome = c.outcome(stream)
    assert outcome == ("status", 431), outcome
    lives(c)
    assert not h2stage.reached()
    got = told(c.response(c.headers([], packed=b"\xc2\xc1\xc0\xbf\xbe")))  # what the refused block put into the table
    assert (got.target, got.all("x-kept")) == ("/m", ["1"])


def test_body_too_large(h2stage, c):
    """413 at the head already; RST_STREAM with NO_ERROR, or the rest is read and dropped."""
    stream = c.headers(post(("content-length", str(11 << 30))), end=False)
    assert c.outcome(stream) == ("status", 413)
    lives(c)
    assert not h2stage.reached()


def test_misdirected(weir):
    """421 (RFC 9110, 15.5.20) where no site answers for a host, and none is the default."""
    server = weir('sites:\n  - { listen: "http://127.0.0.1:$port", host: example.com, root: root }\n')
    (server.root / "index.html").write_bytes(INDEX)
    with H2(server.port) as c:
        assert c.get("/", host="evil.test").status == 421
        assert c.get("/", host="example.com").body == INDEX
