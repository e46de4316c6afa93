# SPDX-License-Identifier: BSD-2-Clause
"""`errors` with `intercept: on`: the site's pages in place of a backend's own error answers (DESIGN §2, errors; §5, Reroute)."""
import threading
import time

import pytest

from client import PROTOCOLS, connect
from origin import Origin, answer, plain, websocket
from server import Server, wait_for

CONFIG = """
threads: 1
upstreams:
  app: { servers: ["$address"], timeouts: { connect: 1s, response: 2s } }
  other: { servers: ["$other"] }
sites:
  - listen: "http://127.0.0.1:$port"
    root: $root
    proxy: app
    errors: { 404: /404.html, 5xx: /50x.html, 401: /none.html, 410: /elsewhere/page, 411: /elsewhere/fails,
              412: /elsewhere/moved, 413: /elsewhere/same, 415: /elsewhere/part, 417: /elsewhere/tunnel, intercept: on }
    routes:
      /off/: { errors: { intercept: off } }
      /own/: { errors: { 404: /own404.html } }
      /elsewhere/: { root: off, proxy: other }
"""
FIELDS = (b"Content-Type: text/plain\r\nContent-Language: de\r\nContent-Disposition: attachment\r\nETag: \"x\"\r\n"
          b"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nAccept-Ranges: bytes\r\nLink: </evil.css>; rel=preload\r\n"
          b"Retry-After: 7\r\nWWW-Authenticate: Basic realm=\"a\"\r\nAllow: GET\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
          b"Cache-Control: no-store\r\nX-Own: 1\r\n")


def error(status, body=b"evil", framing=None):
    head = b"HTTP/1.1 %d Evil Reason\r\n" % status + FIELDS
    return head + (framing or b"Content-Length: %d\r\n" % len(body)) + b"\r\n", body


def whole(status, body=b"evil"):
    """A script that answers at once; to HEAD without the body."""

    def script(peer, head):
        for _ in peer.body(head):
            pass
        start, rest = error(status, body)
        peer.send(start if head.method == "HEAD" else start + rest)
        return True

    return script


def in_pieces(peer, head):
    """The head, and its body a little later: as applications do that write twice."""
    for _ in peer.body(head):
        pass
    start, rest = error(404)
    peer.send(start)
    time.sleep(0.02)
    peer.send(rest)
    return True


def in_chunks(peer, head):
    for _ in peer.body(head):
        pass
    start, _ = error(503, framing=b"Transfer-Encoding: chunked\r\n")
    peer.send(start + b"4\r\nevil\r\n")
    peer.send(b"0\r\n\r\n")
    return True


def endless(peer, head):
    start, _ = error(404, framing=b"Transfer-Encoding: chunked\r\n")
    peer.send(start)
    while True:
        peer.send(b"1000\r\n" + b"e" * 4096 + b"\r\n")


def stalls(peer, head):
    start, _ = error(404, b"evil" * 10)
    peer.send(start + b"evil")
    peer.ended(20)
    return False


SCRIPTS = {
    **{str(status): whole(status) for status in (412, 413, 415, 417)},
    "404": whole(404), "503": whole(503), "401": whole(401), "403": whole(403), "410": whole(410), "411": whole(411),
    "off": whole(404), "own": whole(404), "large": whole(404, b"e" * 200_000), "pieces": in_pieces, "chunks": in_chunks,
    "endless": endless, "stalls": stalls, "none.html": whole(404), "close": answer(),
}


def page_elsewhere(peer, head):
    """A page, or what is none: by the last word of the path."""
    answers = {
        "page": lambda: plain(peer, head),
        "moved": lambda: peer.send(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"),
        "same": lambda: peer.send(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"),
        "part": lambda: peer.send(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nxx"),
        "tunnel": lambda: peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
                                    if head.get("Upgrade") else b"HTTP/1.1 200 Bee Fine\r\nContent-Length: 4\r\n\r\npage"),
    }
    make = answers.get(head.target.rpartition("/")[2])
    if not make:
        return whole(404)(peer, head)
    make()
    return True


@pytest.fixture(scope="module")
def stage():
    elsewhere = {"elsewhere": page_elsewhere}
    with Origin(SCRIPTS) as origin, Origin(elsewhere) as other:
        with Server(CONFIG, values={"address": origin.address, "other": other.address}, secure=True) as weir:
            for name in ("404", "50x", "own404"):
                (weir.root / f"{name}.html").write_text(f"<p>page {name}\n")
            weir.origin, weir.other = origin, other
            yield weir


def assert_page(response, status, page):
    assert response.status == status
    assert response.body == page
    assert response.reason != "Evil Reason"
    assert response.get("Content-Type") == "text/html; charset=utf-8"
    assert response.get("Content-Length") == str(len(page))
    for name in ("Content-Language", "Content-Disposition", "ETag", "Last-Modified", "Accept-Ranges", "Link"):
        assert response.get(name) is None, name
    assert response.get("Retry-After") == "7"
    assert response.get("WWW-Authenticate") == 'Basic realm="a"'
    assert response.get("Allow") == "GET"
    assert response.all("Set-Cookie") == ["a=1", "b=2"]
    assert response.get("Cache-Control") == "no-store"
    assert response.get("X-Own") == "1"
    assert response.get("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("target,status,page", [
    ("/404", 404, b"<p>page 404\n"), ("/503", 503, b"<p>page 50x\n"), ("/own/x", 404, b"<p>page own404\n"),
    ("/pieces", 404, b"<p>page 404\n"), ("/chunks", 503, b"<p>page 50x\n"),
])
def test_the_sites_page_with_the_backends_status_and_fields(stage, target, status, page, method, proto):
    with connect(stage.port) as connection:
        response = connection.get(target, method=method, body=b"body" if method == "POST" else b"")
        assert_page(response, status, page)
        assert connection.get("/good").status == 200


def test_head(stage, proto):
    with connect(stage.port) as connection:
        response = connection.get("/404", method="HEAD")
        assert response.get("Content-Length") == "12"
        assert response.body == b""
        assert response.status == 404
        assert connection.get("/good").body == b"ok"


def test_conditions_and_ranges_are_not_the_pages(stage, proto):
    with connect(stage.port) as connection:
        for fields in ({"If-None-Match": "*"}, {"Range": "bytes=0-1"}, {"If-Modified-Since": "Sun, 06 Nov 2094 08:49:37 GMT"}):
            assert_page(connection.get("/404", fields=fields), 404, b"<p>page 404\n")


def test_what_no_row_names_passes(stage, proto):
    with connect(stage.port) as connection:
        response = connection.get("/403")
        assert (response.status, response.body, response.get("ETag")) == (403, b"evil", '"x"')
        assert response.reason == ("Evil Reason" if proto in ("h1", "h1s") else "")


def test_a_route_may_turn_it_off(stage, proto):
    with connect(stage.port) as connection:
        assert connection.get("/off/x").body == b"evil"


def test_a_page_that_is_missing(stage, proto):
    """The built-in page; the upstream that failed is not asked for it."""
    with connect(stage.port) as connection:
        before = len(stage.origin.targets())
        response = connection.get("/401")
        assert response.status == 401
        assert b"<h1>401 Unauthorized</h1>" in response.body
        assert response.get("WWW-Authenticate") == 'Basic realm="a"'
        assert len(response.all("Content-Type")) == 1
        assert stage.origin.targets()[before:] == ["/401"]


def test_a_page_of_another_upstream(stage, proto):
    with connect(stage.port) as connection:
        response = connection.get("/410")
        assert (response.status, response.body) == (410, b"ok")
        assert response.all("Set-Cookie") == ["a=1", "b=2"]
        response = connection.get("/411")
        assert response.status == 411
        assert b"<h1>411 Length Required</h1>" in response.body and b"evil" not in response.body


def test_a_backend_that_fails_is_not_asked_for_the_page(stage, proto):
    with connect(stage.port) as connection:
        response = connection.get("/close")
        assert (response.status, response.body) == (502, b"<p>page 50x\n")


@pytest.mark.parametrize("target", ["/404", "/pieces", "/chunks"])
def test_a_short_body_costs_no_connection(stage, target, proto):
    with connect(stage.port) as connection:
        connection.get("/good")
        before = stage.origin.connections
        for _ in range(5):
            connection.get(target)
        assert connection.get("/good").body == b"ok"
        assert stage.origin.connections == before


@pytest.mark.parametrize("target", ["/large", "/endless", "/stalls"])
def test_a_long_body_is_not_waited_for(stage, target, proto):
    with connect(stage.port) as connection:
        begun = time.monotonic()
        assert_page(connection.get(target), 404, b"<p>page 404\n")
        assert time.monotonic() - begun < 2
        assert connection.get("/good").body == b"ok"


def test_a_client_that_leaves_meanwhile(stage, proto):
    for number in range(5):
        connection, asked = connect(stage.port), stage.origin.targets().count("/stalls")
        connection.request("/stalls")
        wait_for(lambda: stage.origin.targets().count("/stalls") > asked, what="the backend is asked")
        if number % 2 and proto in ("h2", "h2c"):
            connection.rst(connection.waiting[-1])
            assert connection.get("/good").body == b"ok"
        connection.reset()
    with connect(stage.port) as connection:
        assert connection.get("/good").body == b"ok"


def ask_for_tunnel(connection, target):
    """RFC 9110, 7.8; RFC 8441, 4."""
    if not hasattr(connection, "streams"):
        return connection.request(target, fields={"Connection": "Upgrade", "Upgrade": "websocket"})
    from h2client import head  # not all that speak HTTP/1.1 have what it needs
    fields = [(":method", "CONNECT"), (":protocol", "websocket"), *head(None, target, scheme=connection.scheme)]
    connection.waiting.append(connection.headers(fields, end=False))
    return True


def test_tunnels(stage, proto):
    """A tunnel is none of its business; a refused one is an answer like others."""
    if proto in ("h1", "h1s"):
        with connect(stage.port) as connection:
            ask_for_tunnel(connection, "/websocket")
            assert connection.read().status == 101
            connection.send(b"ping")
            wait_for(lambda: connection.fill(1) and b"ping" in connection.buffer, what="an echo")
    with connect(stage.port) as connection:
        ask_for_tunnel(connection, "/404")
        assert_page(connection.read(), 404, b"<p>page 404\n")


def test_many_at_once(stage):
    faults = []

    def ask(proto):
        try:
            with connect(stage.port, proto) as connection:
                for target, status in (("/404", 404), ("/chunks", 503), ("/pieces", 404), ("/good", 200)) * 5:
                    response = connection.get(target)
                    assert response.status == status and b"evil" not in response.body
        except Exception as fault:  # told below: a thread's own failure would be lost
            faults.append(repr(fault))

    threads = [threading.Thread(target=ask, args=(PROTOCOLS[number % len(PROTOCOLS)],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


@pytest.mark.parametrize("status", [412, 413, 415])
def test_page_that_is_none(stage, status, proto):
    """RFC 9110, 15: a redirect, a 304 and a part are no page for an error: the built-in one is sent with the error's status, whole."""
    with connect(stage.port) as connection:
        response = connection.get(f"/{status}")
        assert response.status == status and b"<h1>" in response.body
        assert response.get("Location") is None and response.get("Content-Range") is None
        assert connection.get("/404").status == 404


def test_page_is_no_tunnel(stage, proto):
    """An error's page is asked for without the client's Upgrade, and answers under the error's own reason."""
    with connect(stage.port) as connection:
        ask_for_tunnel(connection, "/417")
        response = connection.read()
        assert (response.status, response.body) == (417, b"page")
        assert response.reason == ("Expectation Failed" if proto in ("h1", "h1s") else "")
