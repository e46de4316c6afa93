# SPDX-License-Identifier: BSD-2-Clause
"""Applications as people have them, behind weir: Express and ws, gunicorn with a WSGI application, asked by curl, by ws and by
a browser (DESIGN §3, last paragraphs)."""
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
import time

import pytest

import applications
import certificates
import material
from client import PROTOCOLS, SCHEMES, arrivals, connect, curl, spoken
from server import Server

CONFIG = """
threads: 1
sites:
  - { listen: "http://127.0.0.1:$port", root: root, proxy: "$application" }
"""


def page(server):
    """The page of the site is weir's own; what it asks for falls through."""
    for path in (applications.HERE / "root").iterdir():
        shutil.copyfile(path, server.root / path.name)


@pytest.fixture(scope="module")
def express(tmp_path_factory):
    """Express, and a weir before it."""
    try:
        base = applications.packages()
    except material.Missing as reason:
        pytest.skip(str(reason))
    file = tmp_path_factory.mktemp("express") / "file.txt"
    file.write_bytes(b"".join(b"%09d\n" % n for n in range(100000)))
    with applications.Express(base, file) as application, Server(CONFIG, values={"application": application.address}, secure=True) as server:
        page(server)
        server.base_folder, server.file_sent = base, file.read_bytes()
        yield server


def answered(transfer, status=200):
    assert (transfer.status, transfer.exit) == (status, 0), transfer
    return json.loads(transfer.body)


# --- Express, by curl. ---

def test_form(express, proto):
    got = answered(curl(express.url("/form?x=%26&x=2"), "--data-urlencode", "name=Zoë & Co", "--data", "list[]=1&list[]=2", proto=proto))
    assert got == {"method": "POST", "body": {"name": "Zoë & Co", "list": ["1", "2"]}, "query": {"x": ["&", "2"]}}


@pytest.mark.parametrize("size", [10, 70000, 5000000])
@pytest.mark.parametrize("how", ["length", "chunked"])
def test_json(express, how, size, proto):
    body = json.dumps({"text": "ß" * size}, ensure_ascii=False)
    file = express.folder / "body.json"
    file.write_text(body, encoding="utf-8")
    options = ["--header", "Transfer-Encoding: chunked"] if how == "chunked" else []
    got = answered(curl(express.url("/json"), "--request", "PUT", "--header", "Content-Type: application/json", "--data-binary", f"@{file}", *options, proto=proto))
    assert (got["method"], got["body"]) == ("PUT", json.loads(body))


def test_multipart(express, proto):
    files = {"first.bin": os.urandom(3000000), "empty.txt": b"", "zwei ü.png": os.urandom(70000)}
    options = ["--form", "note=wörds"]
    for name, data in files.items():
        path = express.folder / name
        path.write_bytes(data)
        options += ["--form", f'files=@"{path}";type=application/x-test']
    got = answered(curl(express.url("/upload"), *options, proto=proto))
    assert got["fields"] == {"note": "wörds"}
    assert [(one["size"], one["sum"], one["type"]) for one in got["files"]] == [
        (len(data), hashlib.sha256(data).hexdigest(), "application/x-test") for data in files.values()]


def test_long_upload(express, proto):
    """64 MiB; by Expect, without it, in chunks."""
    file = express.folder / "long"
    with open(file, "wb") as sparse:
        sparse.truncate(64 << 20)
    wanted = hashlib.sha256(bytes(64 << 20)).hexdigest()
    for options in ([], ["--header", "Expect:"], ["--header", "Transfer-Encoding: chunked"], ["--header", "Expect: 100-continue"]):
        got = answered(curl(express.url("/raw"), "--upload-file", str(file), *options, proto=proto))
        assert got["sum"] == wanted
    got = curl(express.url("/refuse"), "--upload-file", str(file), "--expect100-timeout", "10", proto=proto)
    assert (got.status, got.body) == (413, b"too much")


def test_what_it_believes(express, proto):
    """Address, protocol and host of the client as Express takes them from weir, whatever the client says."""
    got = answered(curl(express.url("/who?q=1"), "--header", "X-Forwarded-For: 10.9.9.9", "--header", "Host: site.test:81",
                        "--header", "X-Forwarded-Host: evil.test", "--header", "X-Forwarded-Proto: https", proto=proto))
    assert got["ip"] == "127.0.0.1" and got["protocol"] == SCHEMES[proto] and got["hostname"] == "site.test"
    assert got["host"] == "site.test:81" and got["url"] == "/who?q=1" and got["via"].endswith("2.0 weir" if proto.startswith("h2") else "1.1 weir")


def test_redirects(express, proto):
    if proto == "h2c":
        pytest.skip("curl 7.88 does not go on with a connection of h2c that it kept")
    got = curl(express.url("/redirect"), "--location", proto=proto)
    assert [head.status for head in got.heads] == [302, 200]
    got = curl(express.url("/absolute"), "--location", proto=proto)
    assert [head.status for head in got.heads] == [301, 200], got
    assert got.heads[0].get("Location") == spoken(express.url("/who"), proto)


def test_its_fields(express, proto):
    got = curl(express.url("/cookies"), "--header", "Cookie: x=1; y=2", proto=proto)
    assert got.body == b"x=1; y=2"
    assert got.all("Set-Cookie") == ["a=1; Path=/; HttpOnly", "b=2; Path=/"]
    assert not got.all("X-Powered-By") and "Express" not in str(got.fields)
    assert not got.all("Keep-Alive")


def test_its_file(express, proto):
    """Its own validators and ranges, untouched."""
    got = curl(express.url("/file"), proto=proto)
    assert got.body == express.file_sent
    assert curl(express.url("/file"), "--header", f"If-None-Match: {got.get('ETag')}", proto=proto).status == 304
    part = curl(express.url("/file"), "--range", "999990-", proto=proto)
    assert (part.status, part.body, part.get("Content-Range")) == (206, b"000099999\n", "bytes 999990-999999/1000000")
    assert curl(express.url("/file"), "--range", "5000000-", proto=proto).status == 416
    head = curl(express.url("/file"), "--head", proto=proto)
    assert head.get("Content-Length") == "1000000"


def test_its_streams(express, proto):
    got = curl(express.url("/stream/400"), proto=proto)
    assert got.exit == 0 and len(got.body) == 400 * 65536
    assert curl(express.url("/cut"), proto=proto).exit in (18, 56, 92), "a stream that is cut is no whole answer"
    assert curl(express.url("/fails"), proto=proto).status == 500


def test_hints_and_trailers(express, proto):
    got = curl(express.url("/hints"), proto=proto)
    assert [head.status for head in got.heads] == [103, 200] and got.heads[0].get("link") == "</a.css>; rel=preload"
    with connect(express.port) as connection:
        response = connection.get("/trailers", fields={"TE": "trailers", "Connection": "TE"})
        assert response.body == b"body"
        assert [(name.lower(), value) for name, value in response.trailers] == [("x-sum", hashlib.sha256(b"body").hexdigest())]
        response = connection.get("/trailers")
        assert response.body == b"body"


def one_by_one(seen):
    """Did most events, as (sent, arrived), come before the next but one was sent?"""
    soon = [arrived < later for (_, arrived), (later, _) in zip(seen, seen[2:])]
    return soon.count(True) > len(soon) / 2


@pytest.mark.parametrize("proto", [proto for proto in PROTOCOLS if proto in ("h1", "h2")], indirect=True)
def test_events(express, proto):
    """They come one by one, as they are sent."""
    seen = []
    with connect(express.port) as connection:
        connection.request("/events", fields={"Accept": "text/event-stream"})
        for text in arrivals(connection, 10):
            seen += [(float(sent), time.time() * 1000) for sent in re.findall(rb"data: (\d+)\n", text)[len(seen):]]
        answer = connection.read()
        assert answer.get("Content-Type").startswith("text/event-stream") and not answer.all("Content-Length")
    assert len(seen) == 20 and one_by_one(seen), seen


def test_what_the_root_holds_is_not_asked_for(express, proto):
    got = curl(express.url("/index.html"), proto=proto)
    assert got.status == 200 and got.body == (applications.HERE / "root" / "index.html").read_bytes()


# --- WebSockets. ---

@pytest.fixture(scope="module", params=[proto for proto in PROTOCOLS if proto in ("h1", "h1s")])
def sockets(express, request):
    """What a client of ws found out, which speaks HTTP/1.1; many at once, each kind of message."""
    url = spoken(express.url("/socket"), request.param).replace("http", "ws", 1)
    run = subprocess.run(["node", str(applications.HERE / "sockets.cjs"), str(express.base_folder), url], capture_output=True, text=True,
                         timeout=60, check=False, env=dict(os.environ, NODE_EXTRA_CA_CERTS=str(express.folder / "ca.pem")))
    assert run.returncode == 0, run.stderr[-2000:]
    said = json.loads(run.stdout)
    assert "error" not in said, said
    return said


@pytest.mark.parametrize("kind", ["plain", "deflated"])
def test_websocket_messages(sockets, kind):
    said = sockets[kind]
    assert said["hello"] == {"from": "127.0.0.1", "protocol": "echo"}
    assert [said[name] for name in ("text", "empty", "binary", "long")] == [True] * 4
    assert (said["pieces"], said["pong"], said["closed"]) == ("one two three", "are you there", [4001, "as you wish"])
    assert ("permessage-deflate" in said["extensions"]) == (kind == "deflated")


def test_many_websockets(sockets):
    assert (sockets["many"], sockets["ends"]) == (100, 100)


# --- A browser. ---

@pytest.fixture(scope="module", params=["h1", "h2"])
def browsed(express, request):
    """What the page found, over HTTP/1.1 in clear, and over TLS, where browsers speak HTTP/2."""
    if not os.access(material.CHROMIUM, os.X_OK):
        pytest.skip(f"{material.CHROMIUM} is not installed")
    home = express.folder / "home"
    home.mkdir(exist_ok=True)
    run = subprocess.run(["nice", "-n", "5", "node", str(applications.HERE / "browse.cjs"), str(express.base_folder), material.CHROMIUM,
                          spoken(express.url("/"), request.param), certificates.pin()],
                         capture_output=True, text=True, errors="replace", timeout=120, check=False,
                         env=dict(os.environ, HOME=str(home), XDG_CONFIG_HOME=str(home), XDG_CACHE_HOME=str(home)))
    assert run.returncode == 0, run.stderr[-2000:]
    return dict(json.loads(run.stdout), proto=request.param)


def test_browser_had_no_trouble(browsed):
    assert "error" not in browsed, browsed["error"]
    assert browsed["protocols"] == ["http/1.1" if browsed["proto"] == "h1" else "h2"]
    assert [one for one in browsed["failed"] if "/events" not in one and "/cut" not in one] == []
    assert [one for one in browsed["console"] if "ERR_INCOMPLETE_CHUNKED" not in one and "ERR_HTTP2_PROTOCOL_ERROR" not in one] == []


def test_browser_uploads(browsed):
    got = browsed["upload"]
    assert got["got"]["fields"] == {"note": "wörds"}
    assert [(one["size"], one["type"]) for one in got["got"]["files"]] == [(8 << 20, "image/png"), (5, "text/plain")]
    assert got["got"]["files"][0]["sum"] == got["sum"]


def test_browser_sends_json_and_forms(browsed):
    assert browsed["json"] == {"same": True, "query": {"a": "1", "b": "&"}, "method": "PUT"}
    assert browsed["form"]["body"] == {"name": "Zoë & Co", "list": ["1", "2"]}


def test_browser_gets_events(browsed):
    late = browsed["events"]
    assert len(late) == 20, late
    assert sorted(late)[10] < 60 and max(late) < 1000, late


def test_browser_has_a_websocket(browsed):
    got = browsed["socket"]
    assert got == {"hello": {"from": "127.0.0.1", "protocol": ""}, "text": "hello ☃", "binary": 1 << 20, "closed": [4001, "as you wish", True]}


def test_browser_reads_streams(browsed):
    assert browsed["stream"]["length"] == 200 * 65536
    assert browsed["range"] == {"status": 206, "text": "000000001\n"}
    assert browsed["abort"] == "late", "a stream that is given up costs nothing"
    assert browsed["cut"] == "TypeError", "a stream that is cut is an error to the page"


# --- gunicorn. ---

WORKERS = {"sync": ["--workers", "2"], "threads": ["--worker-class", "gthread", "--threads", "8", "--keep-alive", "2"]}


@pytest.fixture(scope="module", params=WORKERS)
def gunicorn(request):
    """Workers that end each connection, and threads that keep them; on a Unix socket."""
    server = Server(CONFIG, secure=True)
    try:
        applications.program()
    except material.Missing as reason:
        server.remove()
        pytest.skip(str(reason))
    with applications.Gunicorn(server.folder, *WORKERS[request.param]) as application:
        server.values["application"] = application.address
        with server:
            yield server


def test_wsgi_environment(gunicorn, proto):
    got = answered(curl(gunicorn.url("/environ/a%20b;c?x=%2F"), "--header", "Host: site.test", "--header", "X-Forwarded-For: 10.9.9.9",
                        "--header", "X_Forwarded_For: 10.9.9.9", "--header", "X-Own: 1", "--header", "Proxy_User: root", proto=proto))
    assert (got["PATH_INFO"], got["QUERY_STRING"], got["HTTP_HOST"]) == ("/environ/a b;c", "x=%2F", "site.test")
    assert (got["HTTP_X_FORWARDED_FOR"], got["HTTP_X_OWN"], got["SERVER_PROTOCOL"]) == ("127.0.0.1", "1", "HTTP/1.1")
    assert "HTTP_PROXY_USER" not in got
    assert got.get("HTTP_CONNECTION", "close").lower() in ("keep-alive", "close")


@pytest.mark.parametrize("how", ["length", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 65536, 20 << 20])
def test_wsgi_upload(gunicorn, size, how, proto):
    file = gunicorn.folder / "sent"
    data = os.urandom(min(size, 65536)) * max(1, size // 65536)
    file.write_bytes(data)
    options = ["--header", "Transfer-Encoding: chunked"] if how == "chunked" else []
    got = answered(curl(gunicorn.url("/digest"), "--request", "POST", "--data-binary", f"@{file}", *options, proto=proto))
    assert (got["sum"], got["count"]) == (hashlib.sha256(data).hexdigest(), len(data))


def test_wsgi_answers(gunicorn, proto):
    got = curl(gunicorn.url("/stream"), proto=proto)
    assert got.exit == 0 and got.body == b"".join(bytes([number % 256]) * 65536 for number in range(200))
    assert curl(gunicorn.url("/empty"), proto=proto).status == 204
    assert curl(gunicorn.url("/fails"), proto=proto).status == 500
    assert curl(gunicorn.url("/fails_late"), proto=proto).exit in (18, 56, 92)
    assert curl(gunicorn.url("/environ"), "--head", proto=proto).status == 200
    assert "gunicorn" not in str(got.fields)


def test_wsgi_refusal(gunicorn, proto):
    file = gunicorn.folder / "long"
    with open(file, "wb") as sparse:
        sparse.truncate(2 << 20)
    got = curl(gunicorn.url("/refuse"), "--request", "POST", "--header", "Expect: 100-continue", "--data-binary", f"@{file}", proto=proto)
    assert got.status == 413


def test_wsgi_events(gunicorn, proto):
    seen = []
    with connect(gunicorn.port) as connection:
        connection.request("/ticks")
        for text in arrivals(connection):
            seen += [(float(sent), time.monotonic()) for sent in re.findall(rb"data: ([\d.]+)\n", text)[len(seen):]]
        assert connection.read().status == 200
    assert len(seen) == 10 and one_by_one(seen), seen


def test_wsgi_workers_that_end(gunicorn):
    """Workers that gunicorn replaces after some requests cost nobody an answer."""
    folder = gunicorn.folder / "ends"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    with applications.Gunicorn(folder, "--workers", "2", "--worker-class", "gthread", "--threads", "4", "--max-requests", "40") as application, \
            Server(CONFIG, values={"application": application.address}, secure=True) as server:
        statuses, lock = [], threading.Lock()

        def ask(number):
            for turn in range(60):
                with connect(server.port, PROTOCOLS[number % len(PROTOCOLS)], seconds=10) as connection:
                    response = connection.get(f"/environ/{number}/{turn}")
                    with lock:
                        statuses.append(response.status)
                    assert response.status != 200 or json.loads(response.body)["PATH_INFO"] == f"/environ/{number}/{turn}"

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert statuses == [200] * 240, [status for status in statuses if status != 200]
