# SPDX-License-Identifier: BSD-2-Clause
"""Backends that break: answers without one reading, each phase in which they close, reset or hang, what is repeated and what
never is, several servers (DESIGN §2, §3 and §5 Origin; RFC 9110, 9.2.2 and 15.6; RFC 9112, 6 to 9; CASES.md)."""
import contextlib
import shutil
import socket
import threading
import time

import pytest

from client import PROTOCOLS, Ended, connect, learned
from origin import EVIL, FIELDS, HEAD, OK, Origin, answer, hang, plain
from proxied import LEAVING, Proxied, begin, leave, part, said
from server import new_folder, wait_for

CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
EVIL_CHUNK = b"4\r\nevil\r\n0\r\n\r\n"
TWO_OF_FOUR = [proto for proto in PROTOCOLS if proto in ("h1", "h2")]  # for what takes longer than a second
brief = pytest.mark.parametrize("proto", TWO_OF_FOUR, indirect=True)


@pytest.fixture(scope="module")
def stage():
    with Proxied() as made:
        yield made


# --- Answers that are not to be understood: 502, and nothing of them. ---

BROKEN = {
    "length_quoted": HEAD + b'Content-Length: "4"\r\n\r\nevil',
    "length_decimal": HEAD + b"Content-Length: 4.0\r\n\r\nevil",
    "length_spaced": HEAD + b"Content-Length: 4 4\r\n\r\nevil",
    "length_underscored": HEAD + b"Content-Length: 1_0\r\n\r\nevil",
    "length_other_case_twice": HEAD + b"Content-Length: 4\r\ncontent-length: 2\r\n\r\nevil",
    "length_over_63_bits": HEAD + b"Content-Length: 9223372036854775808\r\n\r\nevil",
    "length_over_64_bits": HEAD + b"Content-Length: 18446744073709551620\r\n\r\nevil",
    "length_vertical_tab": HEAD + b"Content-Length: \x0b4\r\n\r\nevil",
    "length_nbsp": HEAD + b"Content-Length: \xa04\r\n\r\nevil",
    "length_folded": HEAD + b"Content-Length:\r\n 4\r\n\r\nevil",
    "length_list_with_other": HEAD + b"Content-Length: 4,\r\nContent-Length: 5\r\n\r\nevil",
    "te_not_last": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + EVIL_CHUNK,
    "te_identity": HEAD + b"Transfer-Encoding: identity\r\n\r\n" + EVIL_CHUNK,
    "te_quoted": HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n' + EVIL_CHUNK,
    "te_with_parameter": HEAD + b"Transfer-Encoding: chunked;q=1\r\n\r\n" + EVIL_CHUNK,
    "te_vertical_tab": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + EVIL_CHUNK,
    "te_spaced_colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n" + EVIL_CHUNK,
    "te_and_length_other_order": HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + EVIL_CHUNK,
    "te_folded": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + EVIL_CHUNK,
    "te_twice_in_list": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + EVIL_CHUNK,
    "te_gzip_and_length": HEAD + b"Transfer-Encoding: gzip\r\nContent-Length: 4\r\n\r\nevil",
    "chunk_hex_prefix": CHUNKED + b"0x4\r\nevil\r\n0\r\n\r\n",
    "chunk_space_before": CHUNKED + b" 4\r\nevil\r\n0\r\n\r\n",
    "chunk_minus": CHUNKED + b"-4\r\nevil\r\n0\r\n\r\n",
    "chunk_empty_size": CHUNKED + b"\r\nevil\r\n0\r\n\r\n",
    "chunk_underscored": CHUNKED + b"0_4\r\nevil\r\n0\r\n\r\n",
    "chunk_cr_only": CHUNKED + b"4\revil\r0\r\r",
    "chunk_nul": CHUNKED + b"4\0\r\nevil\r\n0\r\n\r\n",
    "chunk_extension_lf": CHUNKED + b"4;a\nevil\r\n0\r\n\r\n",
    "chunk_extension_nul": CHUNKED + b"4;a=\0\r\nevil\r\n0\r\n\r\n",
    "chunk_extension_huge": CHUNKED + b"4;a=" + b"x" * 300000 + b"\r\nevil\r\n0\r\n\r\n",
    "chunk_short": CHUNKED + b"6\r\nevil\r\n0\r\n\r\n",
    "status_lf_in_reason": b"HTTP/1.1 200 O\nX: y\r\nContent-Length: 4\r\n\r\nevil",
    "status_nul_in_reason": b"HTTP/1.1 200 O\0K\r\nContent-Length: 4\r\n\r\nevil",
    "status_letters": b"HTTP/1.1 2x0 OK\r\nContent-Length: 4\r\n\r\nevil",
    "status_099": b"HTTP/1.1 099 OK\r\nContent-Length: 4\r\n\r\nevil",
    "status_000": b"HTTP/1.1 000 OK\r\nContent-Length: 4\r\n\r\nevil",
    "status_negative": b"HTTP/1.1 -20 OK\r\nContent-Length: 4\r\n\r\nevil",
    "status_999": b"HTTP/1.1 999 OK\r\nContent-Length: 4\r\n\r\nevil",
    "version_lower_case": b"http/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "version_2": b"HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "version_long": b"HTTP/1.10 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "version_icy": b"ICY 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "request_instead": b"GET / HTTP/1.1\r\nHost: evil\r\n\r\n",
    "tls_alert": b"\x15\x03\x01\x00\x02\x02\x0a",
    "h2_settings": b"\0\0\0\x04\0\0\0\0\0",
    "field_delete": HEAD + b"X-F: a\x7fb\r\nContent-Length: 4\r\n\r\nevil",
    "field_leading_space": b"HTTP/1.1 200 OK\r\n X-F: a\r\nContent-Length: 4\r\n\r\nevil",
    "field_name_nul": HEAD + b"X\0F: a\r\nContent-Length: 4\r\n\r\nevil",
    "field_cr_at_its_end": HEAD + b"X-F: a\r\r\nContent-Length: 4\r\n\r\nevil",
    "interim_then_garbage": b"HTTP/1.1 103 Early\r\n\r\n\x00\x01\x02garbage\r\n\r\n",
    "interim_then_close": b"HTTP/1.1 103 Early\r\n\r\n",
    "switching_unasked": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nevil",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken(stage, name, proto):
    stage.origin.scripts[name] = answer(BROKEN[name])
    with connect(stage.scripted) as connection:
        response = connection.get(f"/{name}")
        assert response.status == 502, response
        assert b"evil" not in response.body and "a" not in response.all("X-F")
        response = connection.get("/good")
        assert (response.status, response.body) == (200, b"ok")


# What a recipient may take or refuse; whatever it does, the client reads one good answer.
EITHER = {
    "length_twice_equal": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "length_list_equal": HEAD + b"Content-Length: 2, 2\r\n\r\nok",
    "length_named": HEAD + b"Connection: Content-Length\r\nContent-Length: 2\r\n\r\nok",
    "te_named": HEAD + b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "te_empty_elements": HEAD + b"Transfer-Encoding: , chunked ,\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "version_1_2": b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "no_space_behind_status": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "tab_for_space": b"HTTP/1.1 200\tOK\r\nContent-Length: 2\r\n\r\nok",
    "empty_line_first": b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "chunk_space_behind": CHUNKED + b"2 \r\nok\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", EITHER)
def test_either(stage, name, proto):
    stage.origin.scripts[name] = answer(EITHER[name], end="keep")
    with connect(stage.scripted) as connection:
        response = connection.get(f"/{name}")
        assert (response.status, response.body) == (200, b"ok") or response.status == 502
        assert connection.get("/good").body == b"ok"
    stage.good()


# --- Kept connections are not poisoned. ---

LATER = {
    "timeout_408": (OK, b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\nConnection: close\r\n\r\nevil"),
    "half_an_answer": (OK, EVIL[:20]),
    "empty_line": (OK, b"\r\n"),
    "one_octet": (OK, b"e"),
    "behind_chunks": (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", EVIL),
    "interim": (OK, b"HTTP/1.1 103 Early\r\nX: evil\r\n\r\n"),
}


@pytest.mark.parametrize("name", LATER)
def test_what_comes_unasked(stage, name, proto):
    """Octets on a connection that waits for its next request are nobody's answer."""
    spoken = threading.Event()

    def script(peer, head):
        first, second = LATER[name]
        peer.send(first)
        peer.send(second)
        spoken.set()
        return True

    stage.origin.scripts[name] = script
    with connect(stage.scripted) as connection:
        response = connection.get(f"/{name}")
        assert (response.status, response.body) == (200, b"ok") or response.status == 502
        assert spoken.wait(5)
        for _ in range(3):
            response = connection.get("/good")
            assert (response.status, response.body, response.interim) == (200, b"ok", [])


@pytest.mark.parametrize("sent", [HEAD + b"Content-Length: 4\r\n\r\nevil", CHUNKED + EVIL_CHUNK, HEAD + b"\r\nevil"])
def test_body_on_head_and_304(stage, sent, proto):
    """A backend that sends a body where none is: it stays behind."""
    stage.origin.scripts["bodied"] = answer(sent, end="keep")
    stage.origin.scripts["bodied304"] = answer(sent.replace(b"200 OK", b"304 No"), end="keep")
    for target, method, status in (("/bodied", "HEAD", 200), ("/bodied304", "GET", 304)):
        with connect(stage.scripted) as connection:
            response = connection.get(target, method=method)
            assert response.status in (status, 502)
            for _ in range(3):
                response = connection.get("/good")
                assert (response.status, response.body) == (200, b"ok")


# --- Each phase in which a backend ends, resets or hangs. ---

PHASES = {
    "before": b"", "in_status": b"HTTP/1.1 2", "in_head": HEAD + b"X-A: ", "behind_interim": b"HTTP/1.1 102 Processing\r\n\r\n",
    "in_length": HEAD + b"Content-Length: 9\r\n\r\n", "one_octet_short": HEAD + b"Content-Length: 3\r\n\r\nab",
    "before_chunks": CHUNKED, "in_chunk_size": CHUNKED + b"3\r\nabc\r\n1", "behind_chunk": CHUNKED + b"3\r\nabc",
    "before_last_line": CHUNKED + b"3\r\nabc\r\n0\r\nX-T: 1\r\n",
}
BEFORE_THE_BODY = ("before", "in_status", "in_head", "behind_interim")


@pytest.mark.parametrize("proto,how", [(proto, how) for proto in PROTOCOLS for how in ("close", "reset", "hang")
                                       if how != "hang" or proto in TWO_OF_FOUR], indirect=["proto"])
@pytest.mark.parametrize("phase", PHASES)
def test_phases(stage, phase, how, proto):
    """Before the head is whole: 502, 504 for a silent backend. Later: the answer is cut, and to be seen as cut."""
    def script(peer, head):
        if PHASES[phase]:
            peer.send(PHASES[phase])
        if how == "hang":
            return hang(peer, head)
        getattr(peer, how)()
        return False

    name = f"{phase}_{how}"
    stage.origin.scripts[name] = script
    began = time.monotonic()
    with connect(stage.scripted, seconds=6) as connection:
        connection.request(f"/{name}", method="POST")
        try:
            response = connection.read()
        except Ended as fault:
            assert phase not in BEFORE_THE_BODY, "cut, where an error could be told"
            assert learned(connection, fault)
        else:
            assert response.status in ((504,) if how == "hang" else (502,)), response
    assert time.monotonic() - began < (5 if how == "hang" else 2)
    stage.good()


@pytest.mark.parametrize("proto,version", [("h1", "HTTP/1.0"), *[(proto, "HTTP/1.1") for proto in PROTOCOLS]], indirect=["proto"])
def test_until_close_reset(stage, version, proto):
    """An answer that lasts until the close, and a reset instead: not whole for the client."""
    stage.origin.scripts["until_reset"] = answer(b"HTTP/1.1 200 OK\r\n\r\nabc", b"def", end="reset")
    with connect(stage.scripted) as connection:
        connection.request("/until_reset", version=version)
        try:
            response = connection.read()
            assert response.status == 502
        except Ended:
            pass


@brief
def test_hung_upload(stage, proto):
    """A backend that reads nothing of a long body: the client is told in time, and weir's worker is free."""
    release = threading.Event()
    stage.origin.scripts["deaf"] = lambda peer, head: release.wait(8) and False
    began = time.monotonic()
    try:
        with connect(stage.scripted, seconds=8) as connection:
            begin(connection, "/deaf", 500000000)
            piece, status = b"x" * (1 << 20), None
            if proto == "h2":
                assert not part(connection, piece * 32)
                status = connection.read().status
            while status is None and time.monotonic() - began < 8:
                try:
                    connection.socket.send(piece)
                except BlockingIOError:
                    connection.fill(0.05)
                except OSError:
                    break
                if connection.buffer or connection.ended:
                    status = connection.read().status
        assert status in (502, 503, 504), status
        assert time.monotonic() - began < 6
    finally:
        release.set()
    stage.good()


# --- What is told, and how it looks. ---

PAGES = """
threads: 1
upstreams: { app: { servers: ["$origin"], timeouts: { connect: 1s, response: 1s } } }
sites:
  - { listen: "http://127.0.0.1:$port", root: root, proxy: app, errors: { 5xx: /5xx.html, 504: /504.html } }
"""


@brief
def test_pages(weir, proto):
    """The site's own page for what weir has to say, never in place of what the backend said itself."""
    with Origin({"said": answer(b"HTTP/1.1 502 Mine\r\nContent-Length: 4\r\n\r\nmine", end="keep")}) as origin:
        server = weir(PAGES, values={"origin": origin.address}, secure=True)
        (server.root / "5xx.html").write_text("five")
        (server.root / "504.html").write_text("five-o-four")
        with connect(server.port) as connection:
            for target, status, body in (("/close_before", 502, b"five"), ("/hang", 504, b"five-o-four"), ("/said", 502, b"mine"),
                                         ("/garbage", 502, b"five"), ("/nul", 502, b"five")):
                response = connection.get(target)
                assert (response.status, response.body) == (status, body), target
            response = connection.get("/close_before", method="HEAD")
            assert (response.status, response.get("Content-Length")) == (502, "4")
            response = connection.get("/5xx.html")
            assert (response.status, response.body) == (200, b"five")
        origin.shut()
        with connect(server.port) as connection:
            for method in ("GET", "POST", "DELETE"):
                response = connection.get("/x", method=method)
                assert (response.status, response.body) == (502, b"five"), method
        assert any(b" 504 " in line for line in server.access_lines(9))


@pytest.mark.parametrize("kind", ["missing", "a file", "forbidden", "deaf"])
def test_unix_sockets_that_do_not_answer(weir, kind, proto):
    folder = new_folder()
    try:
        path = folder / "s"
        if kind == "a file":
            path.write_text("x")
        elif kind != "missing":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
                path.chmod(0o000 if kind == "forbidden" else 0o777)
        server = weir('sites: [{ listen: "http://127.0.0.1:$port", proxy: "$address" }]', values={"address": f"unix:{path}"}, secure=True)
        with connect(server.port) as connection:
            for _ in range(2):
                assert connection.get("/").status == 502
    finally:
        shutil.rmtree(folder)


# --- What is repeated. ---

ONE = """
threads: 1
upstreams: { app: { servers: ["$origin"], timeouts: { connect: 1s, response: 2s, idle: 20s } } }
sites:
  - { listen: "http://127.0.0.1:$port", proxy: app }
"""
HELD = 64 * 1024
TWO = ONE.replace('"$origin"', '"$first", "$second"')


def read_head_then(how):
    """A kept connection ends when a second request has come, and of a long body more than weir holds (64 KB)."""
    known = set()

    def script(peer, head):
        if head.target.startswith("/first") or peer not in known:
            known.add(peer)
            return plain(peer, head)
        if int(head.get("Content-Length") or 0) > HELD:
            for _ in peer.octets(2 * HELD):
                pass
        getattr(peer, how)()
        return False

    return script


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method,length,repeated", [
    ("GET", 0, True), ("HEAD", 0, True), ("OPTIONS", 0, True), ("PUT", 3, True), ("DELETE", 0, True), ("DELETE", 3, True), ("PUT", 30000, True),
    ("PUT", 1000000, False), ("POST", 0, False), ("POST", 3, False), ("PATCH", 3, False), ("LOCK", 0, False), ("FOO", 0, False)])
def test_kept_connection_that_ends(weir, method, length, repeated, how):
    """Ended under a request: what may be repeated is, on a fresh connection, and the client sees nothing of it. A body that was
    not held may not (DESIGN §5, Origin)."""
    with Origin(default=read_head_then(how)) as origin:
        server = weir(ONE, values={"origin": origin.address}, secure=True)
        for number, proto in enumerate(PROTOCOLS, 1):
            with connect(server.port, proto) as connection:
                assert connection.get("/first").status == 200
                response = connection.get(f"/second/{proto}", method=method, body=b"x" * length)
            assert response.status == (200 if repeated else 502), proto
            assert origin.targets().count(f"/second/{proto}") == (2 if repeated else 1), proto
            assert origin.connections == number + repeated, proto


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_not_repeated_once_something_was_said(weir, method, proto):
    """A head was passed on: the answer is cut, and the request is not sent again (DESIGN §2, retries)."""
    with Origin({"cut": answer(HEAD + b"Content-Length: 9\r\n\r\nabc", end="reset")}) as origin:
        server = weir(ONE, values={"origin": origin.address}, secure=True)
        with connect(server.port) as connection:
            assert connection.get("/first").status == 200
            connection.request("/cut", method=method)
            with pytest.raises(Ended):
                connection.read()
        assert origin.targets().count("/cut") == 1


def test_not_repeated_for_ever(weir, proto):
    """A backend that ends all: each request is tried a few times at most."""
    with Origin(default=lambda peer, head: peer.close()) as origin:
        server = weir(ONE, values={"origin": origin.address}, secure=True)
        with connect(server.port) as connection:
            for number in range(5):
                assert connection.get(f"/{number}").status == 502
        assert max(origin.targets().count(f"/{number}") for number in range(5)) <= 2


# --- Several servers. ---

def test_one_resets_all(weir, proto):
    """One of two resets whatever comes: what may be repeated is answered by the other (retries: 1)."""
    with Origin(default=lambda peer, head: peer.reset()) as first, Origin() as second:
        server = weir(TWO, values={"first": first.address, "second": second.address}, secure=True)
        with connect(server.port) as connection:
            assert [connection.get("/").status for _ in range(10)] == [200] * 10
        assert first.targets(), "nobody asked the first"


@pytest.mark.parametrize("method,length,repeated", [("GET", 0, True), ("PUT", 30000, True), ("PUT", 1000000, False), ("POST", 0, False), ("PATCH", 3, False)])
def test_new_connection_that_ends(weir, method, length, repeated, proto):
    """Ended after the request, before any octet of an answer: asked once more, at the same server where there is no other."""
    counts = []

    def once(peer, head):
        counts.append(head.target)
        if len(counts) > 1:
            return plain(peer, head)
        for _ in peer.octets(min(length, 2 * HELD)):
            pass
        peer.close()
        return False

    with Origin(default=once) as origin:
        server = weir(ONE, values={"origin": origin.address}, secure=True)
        with connect(server.port) as connection:
            assert connection.get("/", method=method, body=b"x" * length).status == (200 if repeated else 502)
        assert len(counts) == (2 if repeated else 1)


def test_post_goes_to_one_only(weir, proto):
    with Origin(default=lambda peer, head: peer.reset()) as first, Origin() as second:
        server = weir(TWO, values={"first": first.address, "second": second.address}, secure=True)
        for number in range(6):
            with connect(server.port) as connection:
                assert connection.get(f"/{number}", method="POST", body=b"abc").status in (200, 502)
        targets = first.targets() + second.targets()
        assert sorted(targets) == [f"/{number}" for number in range(6)], targets


def test_one_comes_back(weir, proto):
    """A server that was gone is asked again when it is back, without a reload."""
    with Origin() as first, Origin() as second:
        server = weir(TWO, values={"first": first.address, "second": second.address}, secure=True)
        first.shut()
        with connect(server.port) as connection:
            assert [connection.get("/").status for _ in range(10)] == [200] * 10
            first.open()
            had = len(first.heads)

            def again():
                assert connection.get("/").status == 200
                return len(first.heads) > had

            wait_for(again, 15, "a request at the server that is back")


def test_all_are_gone(weir, proto):
    with Origin() as first, Origin() as second:
        server = weir(TWO, values={"first": first.address, "second": second.address}, secure=True)
        first.shut()
        second.shut()
        began = time.monotonic()
        with connect(server.port) as connection:
            for method in ("GET", "POST"):
                assert connection.get("/", method=method).status in (502, 503)
            assert time.monotonic() - began < 4
            first.open()
            wait_for(lambda: connection.get("/").status == 200, 10, "an answer of the first that is back")


# --- Whose silence it is. ---

@brief
def test_long_upload_is_no_silence_of_the_backend(stage, proto):
    """A client that takes longer for its body than a backend may be silent: the backend cannot answer yet."""
    with connect(stage.scripted) as connection:
        begin(connection, "/digest", 12)
        for _ in range(11):
            part(connection, b"x")
            assert not said(connection, 0.2), "an answer before the body's end"
        part(connection, b"x", last=True)
        assert connection.read().status == 200


@brief
def test_slow_reader_is_no_silence_of_the_backend(stage, proto):
    """A client that reads nothing for longer than a backend may be silent: the backend would say more."""
    size = 32 << 20
    with connect(stage.scripted, seconds=10) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.begin(f"/give/length/{size}", seconds=2, count=1)
        time.sleep(2.5)
        assert len(connection.read().body) == size


@brief
def test_pauses_of_the_backend(stage, proto):
    """Each pause is shorter than it may be, all of them are longer."""
    stage.origin.scripts["pauses"] = answer(HEAD + b"Content-Length: 5\r\n", b"\r\n", b"a", b"b", b"c", b"d", b"e", end="keep", pause=0.3)
    with connect(stage.scripted) as connection:
        assert connection.get("/pauses").body == b"abcde"


def test_an_answer_and_a_reset(stage, proto):
    """A backend that answers an upload and resets, as one does that closes with unread octets: its answer, or 502; no hang."""
    stage.origin.scripts["rude"] = answer(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno", end="reset", pause=0)
    for _ in range(10):
        with connect(stage.scripted) as connection:
            begin(connection, "/rude", 50000000)
            part(connection, b"x" * 200000)
            assert connection.read(seconds=3).status in (413, 502)
    stage.good()


# --- Clients that leave, and what the backend gets to know of it. ---

@pytest.mark.parametrize("proto,how", LEAVING, indirect=["proto"])
@pytest.mark.parametrize("framing", [b"", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 100000000\r\n"])
def test_backend_learns_that_the_client_left(stage, framing, how, proto):
    """Its endless answer ends."""
    gone = threading.Event()

    def endless(peer, head):
        peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
        try:
            while True:
                peer.send(b"1\r\nx\r\n" if b"chunked" in framing else b"x")
                time.sleep(0.01)
        finally:
            gone.set()

    stage.origin.scripts["endless"] = endless
    with connect(stage.scripted) as connection:
        connection.begin("/endless", seconds=2, count=1)
        leave(connection, how)
        assert gone.wait(3), "the backend works for nobody"


@pytest.mark.parametrize("proto,how", [way for way in LEAVING if way[1] != "close"], indirect=["proto"])
def test_backend_learns_that_the_client_reset_while_it_works(stage, how, proto):
    gone = threading.Event()

    def works(peer, head):
        if peer.ended(0.9):
            gone.set()
        return False

    stage.origin.scripts["works"] = works
    before = stage.origin.targets().count("/works")
    with connect(stage.scripted) as connection:
        connection.request("/works")
        wait_for(lambda: stage.origin.targets().count("/works") > before, 2, "the request at the backend")
        leave(connection, how)
        assert gone.wait(2), "the backend works for nobody"


# --- Connections to backends. ---

def test_no_connection_is_kept(weir, proto):
    with Origin() as origin:
        server = weir(ONE.replace("timeouts:", "keepalive: 0, timeouts:"), values={"origin": origin.address}, secure=True)
        with connect(server.port) as connection:
            for _ in range(5):
                assert connection.get("/").status == 200
        assert origin.connections == 5


@brief
def test_an_idle_connection_is_closed(weir, proto):
    with Origin() as origin:
        server = weir(ONE.replace("idle: 20s", "idle: 1s"), values={"origin": origin.address}, secure=True)
        with connect(server.port) as connection:
            assert connection.get("/").status == 200
            wait_for(lambda: not origin.peers, 4, "the end of the idle connection")
            assert connection.get("/").status == 200
        assert origin.connections == 2


@brief
def test_what_a_burst_leaves_beyond_is_kept_for_the_next(weir, proto):
    """Idle connections beyond `keepalive` serve the next burst, and are closed when none comes."""
    together = threading.Barrier(6, timeout=10)

    def meet(peer, head):
        together.wait()
        return plain(peer, head)

    with Origin(default=meet) as origin:
        server = weir(ONE.replace("timeouts:", "keepalive: 2, timeouts:"), values={"origin": origin.address}, secure=True)
        clients = [connect(server.port) for _ in range(6)]
        for _ in range(2):
            for client in clients:
                client.request("/")
            assert all(client.read().status == 200 for client in clients)
        assert origin.connections == 6
        wait_for(lambda: len(origin.peers) == 2, 5, "the end of those beyond")
        for client in clients:
            client.close()


def test_clients_that_leave(stage, proto):
    """A client that resets in each phase of an answer costs the next ones nothing."""
    for target in ("/hang", "/events", "/give/length/5000000", "/in_length_hang"):
        for _ in range(3):
            connection = connect(stage.scripted)
            with contextlib.suppress(Ended):
                connection.begin(target, seconds=0.05, count=1)
            connection.reset()
    stage.good()


def test_fields_are_what_they_were(stage, proto):
    """FIELDS of a broken answer never show up in the page that tells of it."""
    with connect(stage.scripted) as connection:
        response = connection.get("/length_twice")
    assert response.status == 502 and FIELDS.decode().split(": ")[1].strip() not in response.all("Content-Type")
