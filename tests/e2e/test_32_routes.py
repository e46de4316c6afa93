# SPDX-License-Identifier: BSD-2-Clause
"""Sites and routes (DESIGN §2): the longest match, what a route inherits and changes, redirects, error pages, fields, Unix sockets."""
import json
import shutil

import pytest

from client import Connection, connect, curl
from recorder import Recorder
from server import WEIR, Server, free_port, new_folder

CONFIG = """
sites:
  - listen: "http://127.0.0.1:$port"
    root: root
    index: [start.html, index.html]
    proxy: "127.0.0.1:$backend"
    headers: { set: { X-Frame-Options: DENY, X-Site: one }, remove: [Last-Modified, X-Powered-By] }
    errors: { 404: /404.html, 5xx: /50x.html }
    routes:
      /api/: { root: off }
      /api/static/: { root: api-static, proxy: off }
      /api/exact: { redirect: "https://example.com/exact", status: 307 }
      /files/: { proxy: off }
      "*.php": { root: off }
      /old/: { redirect: /new/, status: 308 }
      /gone: { redirect: /new/gone, status: 301 }
      /dead/: { root: off, proxy: "127.0.0.1:$dead" }
      /plain/: { root: plain, proxy: off, headers: { set: { X-Site: two } } }
  - listen: "http://127.0.0.1:$port2"
    root: root
    errors: { 404: /no-such-page.html }
"""


@pytest.fixture(scope="module")
def server():
    recorder = Recorder()
    made = Server(CONFIG, values={"backend": recorder.port, "dead": free_port()}, secure=True)
    files = {"root/start.html": "start", "root/index.html": "index", "root/both/index.html": "only index",
        "root/a.txt": "a", "root/404.html": "own 404", "root/50x.html": "own 50x",
        "root/api/a.txt": "not this one",
             "root/files/b.txt": "b", "root/x.php": "not this one", "api-static/api/static/c.txt": "c",
             "plain/plain/d.txt": "d", "api-static/c.txt": "c without its prefix",
             "plain/d.txt": "d without its prefix"}
    for name, content in files.items():
        path = made.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    with made:
        yield made
    recorder.close()


def get(server, target, port="port", **options):
    with connect(server.ports[port]) as connection:
        return connection.get(target, **options)


def backend(response):
    """The target that the backend saw, when it was the backend that answered."""
    return json.loads(response.body)["target"] if response.get("Content-Type") == "application/json" else None


@pytest.mark.parametrize("target", ["/api/", "/api/a.txt", "/api/b/c?d", "/x.php", "/y/z.php", "/apix",
    "/missing", "/api", "/API/a.txt", "/old", "/old2/"])
def test_goes_to_the_backend(server, target, proto):
    response = get(server, target)
    assert response.status == 200 and backend(response) == target


@pytest.mark.parametrize("target, content", [("/", "start"), ("/both/", "only index"), ("/a.txt", "a"),
    ("/files/b.txt", "b")])
def test_is_a_file(server, target, content, proto):
    response = get(server, target)
    assert (response.status, response.body.decode()) == (200, content)


def test_root_of_a_route(server, proto):
    """The path under a route's root is the whole path, as everywhere (one path for all, DESIGN §3)."""
    for target, letter in (("/api/static/c.txt", b"c"), ("/plain/d.txt", b"d")):
        response = get(server, target)
        assert response.status == 200 and response.body[:1] == letter


@pytest.mark.parametrize("target", ["/files/missing", "/api/static/missing", "/plain/missing"])
def test_route_without_proxy(server, target, proto):
    response = get(server, target)
    assert (response.status, response.body) == (404, b"own 404")


@pytest.mark.parametrize("target, status, location", [("/old/", 308, "/new/"), ("/gone", 301, "/new/gone"),
    ("/api/exact", 307, "https://example.com/exact")])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_redirect(server, target, status, location, method, proto):
    response = get(server, target, method=method)
    assert response.status == status
    assert response.get("Location").removeprefix("http://localhost") == location


@pytest.mark.parametrize("target", ["/old/%0d%0aX-Evil:%201", "/old//evil.test", "/old/..%2f",
    "/old/\\evil.test", "/old/?a=b%0d%0aX-Evil:1"])
def test_redirect_injects_nothing(server, target, proto):
    response = get(server, target)
    assert response.get("X-Evil") is None
    location = response.get("Location", "/new/").removeprefix("http://localhost")
    assert location.startswith("/new/"), location


def test_dots_do_not_leave_a_route(server, proto):
    """Routing sees the normalized path: policy cannot be walked around."""
    assert get(server, "/api/../a.txt").body == b"a"
    assert backend(get(server, "/files/../api/a.txt")) == "/api/a.txt"
    assert get(server, "/x/../old/").status == 308
    assert get(server, "/%6fld/").status in (200, 308)


def test_dead_backend(server, proto):
    """502 with the site's page; and quickly."""
    response = get(server, "/dead/x")
    assert (response.status, response.body) == (502, b"own 50x")
    assert get(server, "/dead/x", method="HEAD").status == 502


def test_error_page_that_is_missing(server, proto):
    """An error page's error is the built-in page."""
    response = get(server, "/missing", port="port2")
    assert response.status == 404 and b"404" in response.body
    assert response.get("Content-Type").startswith("text/html")


def test_error_page_of_a_post(server, proto):
    response = get(server, "/files/missing", method="POST")
    assert (response.status, response.body) == (404, b"own 404")


def test_fields_are_set_and_removed(server, proto):
    for target in ("/a.txt", "/missing", "/files/missing", "/old/", "/dead/x"):
        response = get(server, target)
        assert response.get("X-Frame-Options") == "DENY", target
        assert response.get("X-Site") == "one", target
        assert response.get("Last-Modified") is None, target
    etag = get(server, "/a.txt").get("ETag")
    response = get(server, "/a.txt", fields={"If-None-Match": etag})
    assert (response.status, response.get("X-Frame-Options")) == (304, "DENY")
    assert get(server, "/plain/d.txt").get("X-Site") == "two"


def test_unix_socket(weir):
    """listen: "http://unix:PATH"."""
    server = weir('sites:\n  - { listen: "http://unix:$folder/weir.sock", root: root }\n')
    (server.root / "a.txt").write_text("a", encoding="utf-8")
    with Connection(str(server.folder / "weir.sock")) as connection:
        for _ in range(3):
            response = connection.get("/a.txt")
            assert (response.status, response.body) == (200, b"a")
    assert server.access_lines(3)


@pytest.mark.parametrize("proto", ["h1", "h2c"])
def test_serve(proto):
    """weir serve DIR -l ADDRESS -p BACKEND: no configuration, a folder, a backend behind it."""
    recorder = Recorder()
    port = free_port()
    folder = new_folder()
    (folder / "a.txt").write_text("a", encoding="utf-8")
    server = Server("", command=[WEIR, "serve", str(folder), "-l", f"http://127.0.0.1:{port}", "-p",
        f"127.0.0.1:{recorder.port}"])
    server.ports["port"] = port
    with server:
        assert curl(server.url("/a.txt"), proto=proto).body == b"a"
        assert json.loads(curl(server.url("/b"), proto=proto).body)["target"] == "/b"
    recorder.close()
    shutil.rmtree(folder)
