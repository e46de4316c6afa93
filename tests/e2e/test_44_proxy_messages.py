# SPDX-License-Identifier: BSD-2-Clause
"""What passes a proxy and what does not: fields of one hop, those that weir makes, versions, framing of answers, interim
answers, trailers (RFC 9110, 6.5, 7.6, 8.6, 10.1.1 and 15; RFC 9112, 6; RFC 7239; RFC 8297; DESIGN §3)."""
import re
import socket
import threading
import time

import pytest

from client import SCHEMES, Connection, connect
from h2client import PROTOCOL_ERROR
from h2client import head as h2_head
from origin import OK, Gone, answer, plain
from proxied import Proxied, told, unless_refused
from server import instrumented

SIMPLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
HTTP2 = ("h2", "h2c")


@pytest.fixture(scope="module")
def stage():
    with Proxied() as made:
        yield made


def say(stage, name, *pieces, **options):
    """Makes the origin answer /NAME with these bytes."""
    stage.origin.scripts[name] = answer(*pieces, **options)
    return f"/{name}"


# --- Fields of requests: what is sent, and what of it arrives. ---

REQUEST_FIELDS = {
    "named": ([("Connection", "X-Hop"), ("X-Hop", "1")], {"X-Hop": []}),
    "named_in_other_case": ([("connection", "x-hOP"), ("X-Hop", "1")], {"X-Hop": []}),
    "named_many": ([("Connection", "a, X-One ,,X-Two"), ("X-One", "1"), ("X-Two", "2"), ("X-Three", "3")],
                   {"X-One": [], "X-Two": [], "X-Three": ["3"]}),
    "named_on_two_lines": ([("Connection", "X-One"), ("X-One", "1"), ("Connection", "X-Two"), ("X-Two", "2")],
                           {"X-One": [], "X-Two": []}),
    "named_twice_there": ([("X-Hop", "1"), ("Connection", "X-Hop"), ("X-Hop", "2")], {"X-Hop": []}),
    "named_before_it": ([("X-Hop", "1"), ("Connection", "X-Hop")], {"X-Hop": []}),
    "named_beside_close": ([("Connection", "close, X-Hop"), ("X-Hop", "1")], {"X-Hop": []}),
    "named_is_a_prefix_only": ([("Connection", "X-Ho"), ("X-Hop", "1")], {"X-Hop": ["1"]}),
    "host_named": ([("Connection", "Host")], {"Host": ["localhost"]}),
    "own_fields_named": ([("Connection", "X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded, Via")],
                         {"X-Forwarded-For": ["127.0.0.1"], "X-Forwarded-Proto": ["http"], "X-Forwarded-Host": ["localhost"],
                          "Forwarded": ["for=127.0.0.1;host=localhost;proto=http"], "Via": ["1.1 weir"]}),
    "proxy_connection": ([("Proxy-Connection", "keep-alive")], {"Proxy-Connection": []}),
    "keep_alive": ([("Keep-Alive", "timeout=5, max=100"), ("Connection", "keep-alive")], {"Keep-Alive": []}),
    "keep_alive_not_named": ([("Keep-Alive", "timeout=5")], {"Keep-Alive": []}),
    "upgrade_not_named": ([("Upgrade", "websocket")], {"Upgrade": []}),
    "h2c_not_passed": ([("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk")],
                       {"Upgrade": [], "HTTP2-Settings": []}),
    "te_not_passed": ([("TE", "gzip;q=0.5, deflate"), ("Connection", "TE")], {"TE": []}),
    "proxy_of_cgi": ([("Proxy", "http://evil.test:8080"), ("proxy", "evil"), ("Proxy-Hint", "1")], {"Proxy": [], "Proxy-Hint": ["1"]}),
    "underscore": ([("X_Forwarded_For", "10.0.0.1"), ("X_Own", "1"), ("_x", "2"), ("x_", "3")],
                   {"X_Forwarded_For": [], "X_Own": [], "_x": [], "x_": []}),
    "forwarded_is_ours": ([("Forwarded", "for=10.0.0.1;secret=x"), ("Forwarded", "for=10.0.0.2")],
                          {"Forwarded": ["for=127.0.0.1;host=localhost;proto=http"]}),
    "forwarded_for_is_ours": ([("X-Forwarded-For", "10.0.0.1"), ("x-forwarded-for", "10.0.0.2, 10.0.0.3")],
                              {"X-Forwarded-For": ["127.0.0.1"]}),
    "forwarded_host_is_ours": ([("X-Forwarded-Host", "evil.test"), ("X-Forwarded-Proto", "https")],
                               {"X-Forwarded-Host": ["localhost"], "X-Forwarded-Proto": ["http"]}),
    "via_is_appended": ([("Via", "1.0 a, 1.1 b"), ("Via", "1.1 c")], {"Via": ["1.0 a, 1.1 b", "1.1 c", "1.1 weir"]}),
    "repeated_in_order": ([("X-A", "1"), ("X-B", "x"), ("X-A", "2"), ("x-a", "3")], {"X-A": ["1", "2", "3"], "X-B": ["x"]}),
    "empty_value": ([("X-Empty", "")], {"X-Empty": [""]}),
    "octets_over_127": ([("X-Name", "J\xfcrgen \xff")], {"X-Name": ["J\xfcrgen \xff"]}),
    "inner_white_space": ([("X-Space", "a \t  b")], {"X-Space": ["a \t  b"]}),
    "long_value": ([("X-Long", "x" * 20000)], {"X-Long": ["x" * 20000]}),
    "cookies": ([("Cookie", "a=1; b=2"), ("Authorization", "Basic eDp5")], {"Cookie": ["a=1; b=2"], "Authorization": ["Basic eDp5"]}),
    "conditions_and_ranges": ([("If-None-Match", '"a", W/"b"'), ("Range", "bytes=0-1"), ("If-Range", '"a"'), ("Accept-Encoding", "br;q=1, *;q=0")],
                              {"If-None-Match": ['"a", W/"b"'], "Range": ["bytes=0-1"], "If-Range": ['"a"'], "Accept-Encoding": ["br;q=1, *;q=0"]}),
    "max_forwards_of_get": ([("Max-Forwards", "0")], {"Host": ["localhost"]}),
    "unknown_option": ([("Connection", "no-such-field")], {"no-such-field": [], "Host": ["localhost"]}),
}


OF_HTTP_1 = {"connection", "proxy-connection", "keep-alive", "upgrade", "te"}


def over(proto, value):
    """What weir says of a request over HTTP/1.1 in clear, as it says it of the same one over this protocol."""
    own = {"http": SCHEMES[proto], "1.1 weir": "2.0 weir" if proto in HTTP2 else "1.1 weir"}
    return own.get(value, value.replace(";proto=http", f";proto={SCHEMES[proto]}"))


@pytest.mark.parametrize("name", REQUEST_FIELDS)
def test_request_fields(stage, name, proto):
    """Connection and what it is about is malformed in HTTP/2 (RFC 9113, 8.2.2)."""
    fields, expected = REQUEST_FIELDS[name]
    if proto in HTTP2 and OF_HTTP_1 & {key.lower() for key, _ in fields}:
        with connect(stage.recorded) as connection:
            number = connection.headers(h2_head("GET", "/x", *[(key.lower(), value) for key, value in fields], scheme=connection.scheme))
            assert connection.outcome(number) in (("status", 400), ("reset", PROTOCOL_ERROR))
        return
    got = stage.tell("/x", fields=fields)
    for key, values in expected.items():
        assert got.all(key) == [over(proto, value) for value in values], (key, got.fields)
    assert not {"upgrade", "te", "x-hop", "x-one"} & set(got.words("Connection"))


@pytest.mark.parametrize("field", ["Content_Length: 5", "Transfer_Encoding: chunked", "Host_: evil"])
def test_what_an_underscore_hides(stage, field, proto):
    """What a backend may take for framing is refused or left out."""
    with connect(stage.recorded) as connection:
        response = unless_refused(lambda: connection.get("/", fields=[tuple(field.split(": "))]))
    assert response is None or not told(response).all(field.split(":")[0])


@pytest.mark.parametrize("host,forwarded", [
    ("example.com", "example.com"), ("example.com:8080", '"example.com:8080"'), ("[::1]", '"[::1]"'), ("[::1]:80", '"[::1]:80"'),
    ("EXAMPLE.com", None)])
def test_host_and_forwarded(stage, host, forwarded, proto):
    """Host as the client sent it; in Forwarded, what is no token is quoted (RFC 7239, 4)."""
    got = stage.tell("/", host=host)
    assert [value.lower() for value in got.all("Host")] == [host.lower()]
    assert [value.lower() for value in got.all("X-Forwarded-Host")] == [host.lower()]
    assert len(got.all("Forwarded")) == 1
    host_said = re.search(r'host=("[^"]*"|[^;"]*)', got.all("Forwarded")[0])[1].lower()
    assert host_said in ((forwarded or host).lower(), f'"{host.lower()}"')
    assert re.fullmatch(r'(?:"[^"]*"|[!#$%&\'*+.^_`|~0-9a-z-]+)', host_said), host_said


@pytest.mark.parametrize("version", ["h1", "h2c"])
def test_forwarded_of_ipv6(stage, weir, version):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    server = weir('threads: 1\nsites:\n  - { listen: "http://[::1]:$port", proxy: "127.0.0.1:$recorder" }\n',
                  values={"recorder": stage.recorder.port})
    with connect(server.port, version, host="::1") as connection:
        got = told(connection.get("/"))
    assert got.all("X-Forwarded-For") == ["::1"]
    assert 'for="[::1]"' in got.all("Forwarded")[0]


def test_absolute_form_decides_the_host(stage):
    got = stage.tell_raw(b"GET http://one.test/a?b HTTP/1.1\r\nHost: two.test\r\n\r\n")
    assert (got.target, got.all("Host"), got.all("X-Forwarded-Host")) == ("/a?b", ["one.test"], ["one.test"])


def test_http10_request(stage):
    """An HTTP/1.0 client is told of in Via; what weir sends is HTTP/1.1 with a Host."""
    got = stage.tell_raw(b"GET /x HTTP/1.0\r\n\r\n")
    assert got.all("Via") == ["1.0 weir"] and len(got.all("Host")) == 1


TARGETS = {
    "/a/../b": "/b", "/a/./b": "/a/b", "/a/%2e%2e/b": "/b", "/a//b///c": "/a//b///c", "/%2F": "/%2F", "/%2f%41%7e": "/%2f%41%7e",
    "/?": "/?", "/a?b=/../c&d=%00": "/a?b=/../c&d=%00", "/a;b=c;d": "/a;b=c;d", "/a+b*c!$&'(),=:@~": "/a+b*c!$&'(),=:@~",
    "/%E6%97%A5": "/%E6%97%A5", "/a?b?c//d": "/a?b?c//d",
}


@pytest.mark.parametrize("target", TARGETS)
def test_targets(stage, target, proto):
    assert stage.tell(target).target == TARGETS[target]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get", "M-SEARCH", "X!#$%&'*+.^_`|~"])
def test_methods(stage, method, proto):
    assert stage.tell("/x", method=method).method == method


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
def test_max_forwards_zero_is_answered_here(stage, method, proto):
    stage.recorder.take()
    with connect(stage.recorded) as connection:
        response = connection.get("/x", method=method, fields={"Max-Forwards": "0"})
        assert response.status in (200, 204, 405, 501)
        assert told(connection.get("/next")).target == "/next"
    assert [seen.request.target for seen in stage.recorder.take()] == [b"/next"]


def test_connect_reaches_nobody(stage):
    stage.recorder.take()
    with Connection(stage.recorded) as connection:
        connection.send(b"CONNECT one.test:443 HTTP/1.1\r\nHost: one.test:443\r\n\r\n")
        assert 400 <= connection.read("GET").status < 600
    assert not stage.recorder.take()


# --- Fields of answers. ---

ANSWER_FIELDS = {
    "named": (b"Connection: X-Secret\r\nX-Secret: 1\r\n", {"X-Secret": []}),
    "named_in_other_case": (b"connection: x-SECRET\r\nX-Secret: 1\r\nX-Open: 2\r\n", {"X-Secret": [], "X-Open": ["2"]}),
    "named_before_it": (b"X-Secret: 1\r\nConnection: close, X-Secret\r\n", {"X-Secret": []}),
    "named_on_two_lines": (b"X-One: 1\r\nConnection: X-One\r\nX-Two: 2\r\nConnection: X-Two\r\n", {"X-One": [], "X-Two": []}),
    "keep_alive": (b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n", {"Keep-Alive": []}),
    "proxy_connection": (b"Proxy-Connection: keep-alive\r\n", {"Proxy-Connection": []}),
    "close_is_not_ours": (b"Connection: close\r\n", {"Connection": []}),
    "server_hidden": (b"Server: secret/1\r\nX-Powered-By: secret/2\r\nX-Own: 1\r\n", {"X-Powered-By": [], "X-Own": ["1"]}),
    "cookies_apart": (b"Set-Cookie: a=1; Expires=Wed, 01 Jan 2031 00:00:00 GMT\r\nX-A: 1\r\nSet-Cookie: b=2\r\n",
                      {"Set-Cookie": ["a=1; Expires=Wed, 01 Jan 2031 00:00:00 GMT", "b=2"]}),
    "challenges_apart": (b'WWW-Authenticate: Basic realm="a"\r\nWWW-Authenticate: Bearer\r\n', {"WWW-Authenticate": ['Basic realm="a"', "Bearer"]}),
    "date_passes": (b"Date: Wed, 01 Jan 2020 00:00:00 GMT\r\n", {"Date": ["Wed, 01 Jan 2020 00:00:00 GMT"]}),
    "coding_passes": (b"Content-Encoding: gzip\r\nVary: Accept-Encoding\r\nETag: W/\"x\"\r\n",
                      {"Content-Encoding": ["gzip"], "Vary": ["Accept-Encoding"], "ETag": ['W/"x"']}),
    "octets_over_127": (b"X-Name: J\xfcrgen \xff\r\n", {"X-Name": ["J\xfcrgen \xff"]}),
    "empty_value": (b"X-Empty:\r\n", {"X-Empty": [""]}),
    "long_value": (b"X-Long: " + b"x" * 12000 + b"\r\n", {"X-Long": ["x" * 12000]}),
    "white_space_around": (b"X-Space: \t a b \t \r\n", {"X-Space": ["a b"]}),
    "location_elsewhere": (b"Location: https://other.test/x\r\n", {"Location": ["https://other.test/x"]}),
    "location_relative": (b"Location: /x?y#z\r\n", {"Location": ["/x?y#z"]}),
    "upgrade_not_offered": (b"Connection: upgrade\r\nUpgrade: h2c\r\n", {"Upgrade": [], "Connection": []}),
}


@pytest.mark.parametrize("name", ANSWER_FIELDS)
def test_answer_fields(stage, name, proto):
    sent, expected = ANSWER_FIELDS[name]
    target = say(stage, f"fields_{name}", SIMPLE + sent + b"\r\nok", end="close" if b"close" in sent else "keep")
    with connect(stage.scripted) as connection:
        response = connection.get(target)
        assert (response.status, response.body) == (200, b"ok")
        for key, values in expected.items():
            assert response.all(key) == values, response.fields
        assert "secret/1" not in response.all("Server")
        assert len(response.all("Date")) == 1, "Date is added where it is missing (RFC 9110, 6.6.1)"
        assert connection.get("/good").body == b"ok"


def test_many_fields_pass(stage, proto):
    """Two hundred fields are no attack."""
    cookies = b"".join(b"Set-Cookie: c%d=%d\r\n" % (n, n) for n in range(200))
    stage.origin.scripts["many"] = answer(b"HTTP/1.1 200 OK\r\n" + cookies + b"Content-Length: 2\r\n\r\nok", end="keep")
    with connect(stage.scripted) as connection:
        response = connection.get("/many", fields=[(f"X-F{n}", str(n)) for n in range(200)])
        assert (response.body, response.all("Set-Cookie")) == (b"ok", [f"c{n}={n}" for n in range(200)])
    assert stage.origin.heads[-1].all("X-F199") == ["199"]


@pytest.mark.parametrize("scheme", [b"http://", b"HTTP://", b"//"])
def test_location_of_the_backend(stage, scheme, proto):
    """A redirect to where the backend believes to be leads the client to the site, not behind it."""
    target = say(stage, "redirected", b"HTTP/1.1 302 Found\r\nLocation: %s%s/next?a=b\r\nContent-Length: 0\r\n\r\n"
                 % (scheme, stage.origin.address.encode()), end="keep")
    with connect(stage.scripted) as connection:
        location = connection.get(target, host="site.test").get("Location")
    assert location in ("/next?a=b", f"{SCHEMES[proto]}://site.test/next?a=b"), location


# --- Answers: what weir makes of them for all protocols and for HTTP/1.0. ---
# name: (method, the answer, how it ends, status, body)

ANSWERS = {
    "length": ("GET", SIMPLE + b"\r\nok", "keep", 200, b"ok"),
    "length_0": ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "keep", 200, b""),
    "length_leading_zeros": ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0002\r\n\r\nok", "keep", 200, b"ok"),
    "chunked": ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "keep", 200, b"ok"),
    "chunked_in_other_case": ("GET", b"HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n2\r\nok\r\n0\r\n\r\n", "keep", 200, b"ok"),
    "chunked_empty": ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "keep", 200, b""),
    "until_close": ("GET", b"HTTP/1.1 200 OK\r\n\r\nok", "close", 200, b"ok"),
    "until_close_empty": ("GET", b"HTTP/1.1 200 OK\r\n\r\n", "close", 200, b""),
    "http10_until_close": ("GET", b"HTTP/1.0 200 OK\r\n\r\nok", "close", 200, b"ok"),
    "http10_length": ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "close", 200, b"ok"),
    "http10_keep_alive": ("GET", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", "keep", 200, b"ok"),
    "reason_empty": ("GET", b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", "keep", 200, b"ok"),
    "reason_octets": ("GET", b"HTTP/1.1 200 Tr\xe8s bien\r\nContent-Length: 2\r\n\r\nok", "keep", 200, b"ok"),
    "status_299": ("GET", b"HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nok", "keep", 299, b"ok"),
    "status_499": ("GET", b"HTTP/1.1 499 Odd\r\nContent-Length: 2\r\n\r\nok", "keep", 499, b"ok"),
    "status_500": ("GET", b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nok", "keep", 500, b"ok"),
    "status_404": ("GET", b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nok", "keep", 404, b"ok"),
    "status_206": ("GET", b"HTTP/1.1 206 Part\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nok", "keep", 206, b"ok"),
    "status_204": ("GET", b"HTTP/1.1 204 No\r\n\r\n", "keep", 204, b""),
    "status_204_length_0": ("GET", b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", "keep", 204, b""),
    "status_304": ("GET", b"HTTP/1.1 304 No\r\nETag: \"x\"\r\n\r\n", "keep", 304, b""),
    "status_304_length": ("GET", b"HTTP/1.1 304 No\r\nContent-Length: 2000\r\n\r\n", "keep", 304, b""),
    "status_304_chunked": ("GET", b"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n", "keep", 304, b""),
    "status_205": ("GET", b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", "keep", 205, b""),
    "head_length": ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n", "keep", 200, b""),
    "head_chunked": ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "keep", 200, b""),
    "head_nothing": ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", "keep", 200, b""),
    "head_http10": ("HEAD", b"HTTP/1.0 200 OK\r\n\r\n", "close", 200, b""),
    "head_404": ("HEAD", b"HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\n", "keep", 404, b""),
}


def answer_of(stage, connection, name, **options):
    """The answer of that name, looked at as far as it is the same for all."""
    method, sent, end, status, body = ANSWERS[name]
    connection.request(say(stage, f"answer_{name}", sent, end=end), method=method, **options)
    response = connection.read(method)
    assert (response.status, response.body) == (status, body)
    if b"Content-Length: 2000" in sent:  # with 304 it need not be passed on
        assert response.get("Content-Length") in (["2000", None] if status == 304 else ["2000"])
    return response


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(stage, name, proto):
    with connect(stage.scripted) as connection:
        response = answer_of(stage, connection, name)
        assert not response.closes and response.framing != "close", "weir needs not end the connection for this"
        assert connection.get("/good").body == b"ok"


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_for_1_0(stage, name):
    with Connection(stage.scripted) as connection:
        response = answer_of(stage, connection, name, version="HTTP/1.0", fields={"Connection": "keep-alive"})
        assert not response.all("Transfer-Encoding") and not response.all("Trailer")
        if not response.closes and response.all("Connection"):
            assert connection.get("/good").body == b"ok"
        else:
            assert connection.wait_end() == "fin"


def test_client_of_1_0_is_kept_where_it_asks(stage):
    with Connection(stage.scripted) as connection:
        for _ in range(2):
            connection.request("/good", version="HTTP/1.0", fields={"Connection": "keep-alive"})
            response = connection.read()
            assert (response.body, response.framing) == (b"ok", "length")
            assert response.get("Connection").lower() == "keep-alive"
        connection.request("/good", version="HTTP/1.0")
        assert connection.read().body == b"ok"
        assert connection.wait_end() == "fin"


# --- Interim answers. ---

EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: X-Hop\r\nX-Hop: 1\r\nServer: secret\r\n\r\n"
INTERIM = {
    "one": (EARLY, [103]), "two": (EARLY + EARLY, [103, 103]), "processing": (b"HTTP/1.1 102 Processing\r\n\r\n" + EARLY, [102, 103]),
    "unknown": (b"HTTP/1.1 199 Odd\r\nX-A: 1\r\n\r\n", [199]), "many": (EARLY * 20, [103] * 20),
    "from_1_0": (b"HTTP/1.0 103 Early Hints\r\n\r\n", None), "length_in_it": (b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n", None),
}


@pytest.mark.parametrize("name", INTERIM)
def test_interim(stage, name, proto):
    """Passed on, each by itself, its fields of one hop not; to HTTP/1.0 none of them (RFC 9110, 15.2)."""
    sent, statuses = INTERIM[name]
    target = say(stage, f"interim_{name}", sent + OK, end="keep")
    with connect(stage.scripted) as connection:
        response = connection.get(target)
        if statuses is None:  # odd, and so may be refused; but nothing wrong may come of it
            assert (response.status, response.body) == (200, b"ok") or response.status == 502
        else:
            assert (response.status, response.body, [one.status for one in response.interim]) == (200, b"ok", statuses)
        for one in response.interim:
            assert not one.all("X-Hop") and not one.all("Server") and not one.all("Content-Length")
            assert statuses is None or one.status != 103 or one.all("Link")
        assert connection.get("/good").body == b"ok"
        if proto not in HTTP2:
            response = connection.get(target, version="HTTP/1.0")
            assert response.status in (200, 502) and not response.interim


def test_100_nobody_asked_for(stage, proto):
    target = say(stage, "continue", b"HTTP/1.1 100 Continue\r\n\r\n" + OK, end="keep")
    for version in ("HTTP/2",) if proto in HTTP2 else ("HTTP/1.1", "HTTP/1.0"):
        with connect(stage.scripted) as connection:
            connection.request(target, version=version)
            response = connection.read()
            assert (response.status, response.body) == (200, b"ok")
            assert version != "HTTP/1.0" or not response.interim


def test_interim_waits_for_nobody(stage, proto):
    """103 arrives while the backend still works."""
    release = threading.Event()

    def works(peer, head):
        peer.send(EARLY)
        assert release.wait(5)
        peer.send(OK)
        return True

    stage.origin.scripts["works"] = works
    with connect(stage.scripted) as connection:
        connection.request("/works")
        if proto in HTTP2:
            early, = connection.until(lambda: connection.streams[1].interim, what="the interim answer")
        else:
            early = connection.read(interim=False)
        assert early.status == 103
        release.set()
        assert connection.read().body == b"ok"


@pytest.mark.parametrize("proto", ["h1", "h2"], indirect=True)
def test_endless_interim_answers(stage, proto):
    """103 without end: they are passed on or refused, and nothing is gathered for a client that does not read."""
    def flood(peer, head):
        while True:
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" * 1000)

    def resident():
        with open(f"/proc/{stage.weir.worker()}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS:"))

    stage.origin.scripts["flood"] = flood
    before, most = resident(), 0
    with connect(stage.scripted) as connection:
        connection.request("/flood")
        end = time.monotonic() + 2
        while time.monotonic() < end:
            most = max(most, resident())
            time.sleep(0.05)
    # a sanitizer keeps what was freed
    assert most - before < 16 << 20 or instrumented(), f"{(most - before) >> 10} KiB more"
    stage.good()


# --- Expect. ---

def test_expect_is_kept_from_1_0(stage):
    """No 100 to HTTP/1.0, whatever it expects (RFC 9110, 10.1.1)."""
    with Connection(stage.recorded) as connection:
        connection.send(b"PUT /x HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")
        response = connection.read()
    assert response.interim == [] and told(response).body == "abc"


def put(connection, target, length, body=b"", expect="100-continue"):
    """Begins a request that expects 100; length None: it is not told. What there is of its body comes at once and is all."""
    if hasattr(connection, "streams"):
        told_length = [] if length is None else [("content-length", length)]
        fields = h2_head("PUT", target, ("expect", expect), *told_length, scheme=connection.scheme)
        connection.waiting.append(connection.headers(fields, end=False))
        if body:
            connection.data(connection.waiting[-1], body)
        return
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    if body and length is None:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    connection.send(f"PUT {target} HTTP/1.1\r\nHost: a\r\nExpect: {expect}\r\n{framing}\r\n\r\n".encode() + body)


@pytest.mark.parametrize("proto", ["h1", "h2"], indirect=True)
def test_expect_is_not_waited_for(stage, proto):
    """A client that sends its body without waiting, and a backend that never says 100."""
    def silent(peer, head):
        return plain(peer, head)

    stage.origin.scripts["silent"] = silent
    for length in (3, None):
        with connect(stage.scripted) as connection:
            put(connection, "/silent", length, b"abc")
            assert connection.read().status == 200
            assert connection.get("/good").body == b"ok"


@pytest.mark.parametrize("length", [1000000, None])
@pytest.mark.parametrize("status", [401, 413, 417, 503, 200])
def test_expect_is_answered_by_the_backend(stage, status, length, proto):
    """Its last word instead of 100, and nothing of the body is asked for."""
    seen = []

    def refuse(peer, head):
        seen.append(head.get("Expect"))
        peer.send(b"HTTP/1.1 %d Said\r\nContent-Length: 2\r\n\r\nno" % status)
        try:
            while True:
                peer.more()
        except Gone:
            seen.append(len(peer.buffer))
        return False

    stage.origin.scripts["refuse"] = refuse
    with connect(stage.scripted) as connection:
        put(connection, "/refuse", length, expect="100-Continue")
        response = connection.read(seconds=1)
        assert (response.status, response.body, response.interim) == (status, b"no", [])
        assert seen[0].lower() == "100-continue"
    stage.good()


def test_expect_nothing_known(stage, proto):
    with connect(stage.recorded) as connection:
        response = connection.get("/", fields={"Expect": "something-else"})
    assert response.status == 417 or told(response).method == "GET"


# --- Trailers. ---

def trailed(stage, trailers, fields=()):
    target = say(stage, "trailed", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nok\r\n0\r\n" + trailers + b"\r\n", end="keep")
    with connect(stage.scripted) as connection:
        response = connection.get(target, fields=fields)
        assert connection.get("/good").body == b"ok"
    return response


TRAILERS = {"TE": "trailers", "Connection": "TE"}


@pytest.mark.parametrize("asked", [True, False], ids=["asked", "unasked"])
def test_answer_trailers(stage, proto, asked):
    """They pass; TE tells no more than that nobody on the way drops them (RFC 9110, 6.5.1)."""
    response = trailed(stage, b"X-T: 1\r\nX-U: 2\r\nX-T: 3\r\n", TRAILERS if asked else ())
    assert (response.status, response.body) == (200, b"ok")
    assert [(name.lower(), value) for name, value in response.trailers] == [("x-t", "1"), ("x-u", "2"), ("x-t", "3")]
    for name in ("X-T", "X-U"):
        assert not response.all(name), "trailers are not merged into the head"


@pytest.mark.parametrize("field", ["Content-Length: 5", "Transfer-Encoding: chunked", "Host: evil", "Connection: close", "Set-Cookie: a=1", "Trailer: X"])
def test_answer_trailers_that_are_none(stage, field, proto):
    """Fields of framing, routing and of one hop are no trailers (RFC 9110, 6.5.1), and never become fields of the head. Such
    an answer may be refused."""
    response = trailed(stage, b"X-T: 1\r\n" + field.encode() + b"\r\n", TRAILERS)
    if response.status == 502:
        return
    assert (response.status, response.body) == (200, b"ok")
    name = field.split(":")[0]
    if name != "Set-Cookie":
        assert name not in dict(response.trailers), response.trailers
    assert name in ("Transfer-Encoding", "Trailer") or not response.all(name)


@pytest.mark.parametrize("field", ["Content-Length: 5", "Transfer-Encoding: chunked", "Host: evil", "X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1",
                                   "X_Own: 1", "Connection: close", "Expect: 100-continue", "Via: 1.1 evil", "Authorization: Basic eDp5"])
def test_request_trailers_that_are_none(stage, field, proto):
    """Nobody changes by a trailer what weir said of him; refused, or the rest passes."""
    name, value = field.split(": ")
    with connect(stage.recorded) as connection:
        if proto in HTTP2:
            connection.waiting.append(connection.headers(h2_head("POST", "/x", scheme=connection.scheme), end=False))
            connection.data(1, b"ok", end=False)
            connection.trailers(1, [("x-t", "1"), (name.lower(), value)])
        else:
            connection.send(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n" + field.encode() + b"\r\n\r\n")
        response = unless_refused(connection.read)
    if response is None:
        return
    got = told(response)
    assert got.body == "ok"
    assert name.lower() not in [one.lower() for one, _ in got.trailers], got.trailers
    assert value not in got.all(name) or field.startswith("Transfer")


def test_no_chunks_for_1_0_and_no_trailers(stage):
    target = say(stage, "trailed10", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n", end="keep")
    with Connection(stage.scripted) as connection:
        connection.request(target, version="HTTP/1.0")
        response = connection.read()
        assert (response.body, response.framing) == (b"ok", "close")


def test_headers_of_the_site(weir, stage, proto):
    """What the site sets and removes holds for what backends answer."""
    server = weir("""
threads: 1
sites:
  - { listen: "http://127.0.0.1:$port", proxy: "$origin", headers: { set: { X-Frame-Options: DENY, X-Own: ours }, remove: [X-Gone] } }
""", values={"origin": stage.origin.address}, secure=True)
    target = say(stage, "headers", SIMPLE + b"X-Own: theirs\r\nx-gone: 1\r\nX-Stays: 1\r\n\r\nok", end="keep")
    with connect(server.port) as connection:
        response = connection.get(target)
    assert (response.all("X-Frame-Options"), response.all("X-Own"), response.all("X-Gone"), response.all("X-Stays")) == (["DENY"], ["ours"], [], ["1"])


def test_headers_of_the_site_elsewhere(weir, stage, proto):
    """What it removes or says itself comes by no other way; nor what tells of software."""
    server = weir("""
threads: 1
sites:
  - { listen: "http://127.0.0.1:$port", proxy: "$origin", headers: { set: { X-Own: ours }, remove: [X-Gone] } }
""", values={"origin": stage.origin.address}, secure=True)
    fields = b"x-own: theirs\r\nX-Gone: 1\r\nX-AspNet-Version: 4\r\nServer: evil\r\nX-Stays: 1\r\n\r\n"
    target = say(stage, "headers-elsewhere", b"HTTP/1.1 103 Early Hints\r\n" + fields
                 + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + fields, end="keep")
    with connect(server.port) as connection:
        response = connection.get(target)
    early, = response.interim
    told = [[(name.lower(), value) for name, value in some] for some in (early.fields, response.trailers)]
    assert (response.body, response.all("X-Own"), told) == (b"ok", ["ours"], [[("x-stays", "1")]] * 2)


# --- Heads that come slowly. ---

@pytest.mark.parametrize("proto", ["h1", "h2"], indirect=True)
def test_a_head_in_drips(stage, proto):
    """The whole head has its time, however often some of it comes; interim answers give it anew."""
    def drips(peer, head):
        while True:
            peer.send(b"HTTP/1.1 102 Processing\r\n\r\n" if "patient" in head.target else b"X-A: b\r\n" if peer.begun else b"HTTP/1.1 200 OK\r\n")
            peer.begun += 1
            if peer.begun == 6:
                peer.send(OK)
                return True
            time.sleep(0.3)

    def begin(peer, head):
        peer.begun = 0
        return drips(peer, head)

    stage.origin.scripts["drips"] = begin
    with connect(stage.scripted) as connection:
        assert connection.get("/drips").status == 504
        assert connection.get("/drips?patient").status == 200
