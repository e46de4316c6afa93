# SPDX-License-Identifier: BSD-2-Clause
"""The fallback of single-page applications (DESIGN §2, §3): who gets the page and who a 404, by Sec-Fetch-Dest, Accept and the
extension; what comes before it; and error pages, which keep their status whatever else was asked."""
import os

import pytest

from client import connect, curl
from fileroot import SECRET, ask, date, encode, made, max_age, parts, put, words
from server import free_port

CONFIG = """
sites:
  - { listen: "http://127.0.0.1:$port", root: root, fallback: /index.html, $compress }
  - listen: "http://127.0.0.1:$port2"
    root: root
    fallback: /index.html
    max_age: { "*.html": 7d, "*.js": 7d }
    errors: { 404: /404.html, 403: /403.html, 405: /4xx.html, 4xx: /4xx.html, 5xx: /50x.html }
    $compress
    routes:
      /app/: { fallback: /app/shell.html }
      /plain/: { fallback: off }
      /dead/: { root: off, fallback: off, proxy: "127.0.0.1:$dead" }
  - { listen: "http://127.0.0.1:$port3", root: root, fallback: /index.html, proxy: "127.0.0.1:$backend", $compress }
  - { listen: "http://127.0.0.1:$port4", root: root, fallback: /goes.html, errors: { 404: /404.html }, $compress }
  - { listen: "http://127.0.0.1:$port5", root: root, $compress }
"""
PAGE = b"<!doctype html><title>application</title>" + b"<p>shell</p>" * 12
SHELL = b"<!doctype html><title>another shell</title>"
OWN = {name: f"<!doctype html><title>own {name}</title>".encode() for name in ("404", "403", "4xx", "50x")}
CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture(scope="module")
def server(recorder):
    server = made(CONFIG, secure=True, values={"backend": recorder.port, "dead": free_port()})
    root = server.root
    put(root, "index.html", PAGE)
    for coding, suffix in (("gzip", ".gz"), ("br", ".br"), ("zstd", ".zst")):
        put(root, "index.html" + suffix, encode(PAGE, coding))
    for name, content in OWN.items():
        put(root, name + ".html", content)
    put(root, "app/shell.html", SHELL)
    put(root, "goes.html", PAGE)
    for name in ("app.js", "noindex/a.txt", "about.html", "plain/a.txt", ".git/config"):
        put(root, name, b"a file")
    put(root, "sub/index.html", b"sub")
    os.chmod(put(root, "closed.txt", SECRET), 0)
    put(server.folder, "secret.txt", SECRET)
    os.symlink("../secret.txt", root / "outside")
    with server:
        yield server


def get(server, target, dest=None, accept=None, method="GET", port="port", **more):
    fields = [(name, value) for name, value in (("Sec-Fetch-Dest", dest), ("Accept", accept)) if value is not None]
    return ask(server, target, method, fields + [(name.replace("_", "-"), value) for name, value in more.items()], port=port)


def is_page(response, page=PAGE):
    """The page with 200, or a 404 that is not the page; anything else fails."""
    if response.status == 200:
        assert response.body == page and response.get("Content-Type") == "text/html; charset=utf-8"
        return True
    assert response.status == 404 and page not in response.body
    return False


# --- Who asks for a page ---

@pytest.mark.parametrize("dest", ["document", "iframe", "frame", "embed", "object"])
def test_destinations_of_pages(server, dest, proto):
    """Fetch, 2.2.7 (navigations); DESIGN §3: Sec-Fetch-Dest decides, whatever Accept says."""
    for accept in (None, CHROME, "*/*", "application/json"):
        assert is_page(get(server, "/some/route", dest, accept)), accept


OTHERS = ["script", "style", "image", "font", "empty", "worker", "sharedworker", "serviceworker", "manifest", "audio", "video",
    "track", "report", "xslt",
          "audioworklet", "paintworklet", "json", "webidentity", "nonsense", "documents", "doc", "document, script"]


def test_other_destinations(server, proto):
    """DESIGN §3: a missing script is a 404, never HTML with 200."""
    pages = [(dest, accept, target) for dest in OTHERS for accept in (None, CHROME, "*/*") for target in ("/some/route",
        "/some/route.html")
             if is_page(get(server, target, dest, accept))]
    assert not pages


@pytest.mark.parametrize("accept", [CHROME, FIREFOX, "text/html", "application/xhtml+xml", "text/html;q=0.5", "TEXT/HTML",
    "application/json, text/html;q=0.1",
    "text/html;charset=utf-8", "text/html ;q=0.9", "image/webp,text/html"])
def test_accept_names_a_page(server, accept, proto):
    """DESIGN §3, RFC 9110, 12.5.1: without Sec-Fetch-Dest, text/html or application/xhtml+xml asks for one."""
    for target in ("/", "/route", "/some/route", "/user.name", "/v1.2", "/route/", "/a.html", "/a.js/route"):
        assert is_page(get(server, target, accept=accept)), target


@pytest.mark.parametrize("accept", ["application/json", "application/json, text/plain, */*",
    "image/avif,image/webp,image/apng,image/*,*/*;q=0.8", "text/css,*/*;q=0.1",
    "text/plain", "image/*", "application/xml", "text/htmlx", "xtext/html", "application/xhtml", "text/html;q=0",
    "text/html;q=0.000, */*", "text/event-stream",
    'text/x;a="text/html"', "application/signed-exchange;v=b3", "htm", "html"])
def test_accept_names_none(server, accept, proto):
    """DESIGN §3: what lists other types, or forbids these, asks for no page."""
    for target in ("/route", "/some/route", "/data.json"):
        assert not is_page(get(server, target, accept=accept)), target


@pytest.mark.parametrize("target, wanted", [("/route", True), ("/some/route", True), ("/route/", True), ("/a.b/route", True),
    ("/x.html", True),
    ("/x.htm", True), ("/route?file=a.js", True), ("/route?a=b/c.png", True), ("/some%20route", True), ("/noindex/", True),
    ("/noindex", True), ("/a.js/b", True),
    ("/x.js", False), ("/x.css", False), ("/x.png", False), ("/x.json", False), ("/x.map", False), ("/x.woff2", False), ("/x.svg",
    False), ("/favicon.ico", False),
    ("/x.unheard-of", False), ("/deep/x.js", False), ("/x.js?page", False), ("/x.min.js", False), ("/x.%6as", False), ("/x.txt",
    False), ("/x.html.js", False)])
def test_any_type_or_none(server, target, wanted, proto):
    """DESIGN §3: Accept is */* or absent: the last segment has no extension, or that of a page."""
    for accept in (None, "*/*"):
        assert is_page(get(server, target, accept=accept)) == wanted, accept


ASSETS = "js mjs css map json png jpg jpeg gif svg webp avif ico woff woff2 ttf mp4 webm mp3 wasm pdf xml zip".split()


def test_a_known_asset_is_no_page(server, proto):
    """DESIGN §3: a known asset's extension is never a page, unless the browser says that it opens a document."""
    for extension in ASSETS + ["JS", "Css"]:
        target = f"/assets/x.{extension}"
        assert not is_page(get(server, target, accept=CHROME)), target
        for dest in ("iframe", "frame", "embed", "object", "script"):
            assert not is_page(get(server, target, dest, CHROME)), (target, dest)
        assert is_page(get(server, target, "document", CHROME)), target


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_other_methods(server, method, proto):
    """DESIGN §3: fallback answers GET and HEAD."""
    response = get(server, "/some/route", "document", CHROME, method)
    assert PAGE not in response.body
    assert response.status in ((200, 204, 404, 405) if method == "OPTIONS" else (404, 405, 501))


@pytest.mark.parametrize("dest, accept, target", [("document", None, "/route"), (None, CHROME, "/route"), (None, None, "/route"),
    ("script", None, "/route"),
                                                  (None, "application/json", "/route"), ("document", CHROME, "/x.js")])
def test_head(server, dest, accept, target, proto):
    """RFC 9110, 9.3.2."""
    got, head = get(server, target, dest, accept), get(server, target, dest, accept, "HEAD")
    assert head.status == got.status and head.body == b""
    left = [[(name, value) for name, value in one.fields if name.lower() != "date"] for one in (got, head)]
    assert left[0] == left[1]


def test_by_curl(server, proto):
    """The page over each protocol, for who opens it; a 404 for who wants a script."""
    got = curl(server.url("/some/route"), "--header", "Accept: " + CHROME, proto=proto)
    assert (got.exit, got.status, got.body) == (0, 200, PAGE)
    assert curl(server.url("/some/script.js"), proto=proto).status == 404


@pytest.mark.parametrize("values", [["text/css", "text/html"], ["*/*;q=0.1", "text/html;q=0.2"]])
def test_accept_on_two_lines(server, values, proto):
    """RFC 9110, 5.3: lines of a list are one list."""
    assert is_page(ask(server, "/route", fields=[("Accept", value) for value in values]))


# --- What it depends on (RFC 9110, 12.5.5, 15.1) ---

@pytest.mark.parametrize("dest, accept, target, names", [("document", CHROME, "/x.js", {"sec-fetch-dest"}), ("document", CHROME,
    "/route", {"sec-fetch-dest"}),
    ("script", CHROME, "/route", {"sec-fetch-dest"}), (None, CHROME, "/route", {"sec-fetch-dest", "accept"}), (None,
    "application/json", "/route", {"sec-fetch-dest", "accept"}),
    (None, None, "/route", {"sec-fetch-dest", "accept"})])
def test_vary(server, dest, accept, target, names, proto):
    """A cache between must not give the page to who wants a script, nor the 404 to who wants the page."""
    response = get(server, target, dest, accept)
    control = " ".join(response.all("Cache-Control")).lower()
    assert names <= words(response, "Vary") or "no-store" in control or "private" in control, response.all("Vary")


# --- What comes before it ---

@pytest.mark.parametrize("target, status, content", [("/app.js", 200, b"a file"), ("/about.html", 200, b"a file"), ("/sub/", 200,
    b"sub"), ("/sub", 308, None),
    ("/closed.txt", 403, None), ("/outside", 403, None), ("/%zz", 400, None), ("/x%00", 400, None), ("/../x", 400, None),
    ("/..%2fx", 400, None),
    ("/noindex/a.txt", 200, b"a file")])
def test_what_comes_first(server, target, status, content, proto):
    """DESIGN §3: static first; what cannot be read, or names nothing that could be a file, is an error as ever."""
    response = get(server, target, "document", CHROME)
    assert response.status == status and PAGE not in response.body and SECRET not in response.body
    assert content is None or response.body == content


@pytest.mark.parametrize("target", ["/.git/config", "/.git/", "/.env"])
def test_hidden_names_are_missing(server, target, proto):
    """DESIGN §3: a hidden name passes, as one that is not there."""
    response = get(server, target, "document", CHROME)
    missing = get(server, target.replace(".git", ".gix").replace(".env", ".enx"), "document", CHROME)
    assert (response.status, response.body) == (missing.status, missing.body) and b"a file" not in response.body


def test_backend_comes_first(server, recorder, proto):
    """DESIGN §3: static, cache, proxy, fallback: what the backend answers is the answer."""
    recorder.take()
    assert get(server, "/some/route", "document", CHROME, port="port3").body != PAGE
    assert len(recorder.wait(1)) == 1
    assert get(server, "/app.js", port="port3").body == b"a file"


@pytest.mark.parametrize("target, page", [("/app/x", SHELL), ("/app/x/y", SHELL), ("/plain/x", None), ("/other", PAGE), ("/app",
    PAGE), ("/plain/", None)])
def test_routes(server, target, page, proto):
    """DESIGN §2: a route inherits its site's keys and may change them."""
    response = get(server, target, "document", CHROME, port="port2")
    assert (response.status, response.body) == ((200, page) if page else (404, OWN["404"]))


def test_off_unless_said(server, proto):
    """DESIGN §2."""
    assert not is_page(get(server, "/some/route", "document", CHROME, port="port5"))


# --- The page is a file ---

@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_variants_of_the_page(server, coding, proto):
    """DESIGN §3: sidecars answer for it as for any file."""
    response = get(server, "/some/route", "document", CHROME, Accept_Encoding=coding)
    assert (response.status, response.get("Content-Encoding"), response.body) == (200, coding, encode(PAGE, coding))
    assert "accept-encoding" in words(response, "Vary")


def test_conditions_on_the_page(server, proto):
    """RFC 9110, 13.1: where the page has validators they count; what matches none gets it whole."""
    etag = get(server, "/some/route", "document").get("ETag")
    response = get(server, "/some/route", "document", If_None_Match='"other"', If_Modified_Since=date(100))
    assert is_page(response)
    if etag:
        response = get(server, "/some/route", "document", If_None_Match=etag)
        assert (response.status, response.body) == (304, b"") and response.get("ETag") == etag


def test_parts_of_the_page(server, proto):
    """RFC 9110, 14.2."""
    response = get(server, "/some/route", "document", Range="bytes=2-9")
    assert response.status in (200, 206)
    assert response.body == PAGE if response.status == 200 else [part[4] for part in parts(response)] == [PAGE[2:10]]


def test_page_that_went(server, proto):
    """DESIGN §3: at last a 404; the fallback has no fallback."""
    path = server.root / "goes.html"
    assert is_page(get(server, "/some/route", "document", CHROME, port="port4"))
    os.rename(path, server.root / "gone.html")
    response = get(server, "/some/route", "document", CHROME, port="port4")
    assert (response.status, response.body) == (404, OWN["404"])
    put(server.root, "goes.html", SHELL)
    assert get(server, "/some/route", "document", CHROME, port="port4").body == SHELL
    os.rename(server.root / "gone.html", path)


def test_page_that_may_not_be_read(server, proto):
    """DESIGN §3: 403, never passed on; no loop, no 200."""
    path = server.root / "goes.html"
    os.chmod(path, 0)
    response = get(server, "/some/route", "document", CHROME, port="port4")
    assert response.status in (403, 404, 500) and PAGE not in response.body
    os.chmod(path, 0o644)


def test_kept_connection(server, proto):
    """Pages, 404s and files in turn on one connection: none is taken for another."""
    with connect(server.port) as connection:
        for number in range(60):
            assert connection.get(f"/route/{number}", fields={"Sec-Fetch-Dest": "document"}).body == PAGE
            assert connection.get(f"/route/{number}", fields={"Sec-Fetch-Dest": "script"}).status == 404
            assert connection.get("/app.js", fields={"Sec-Fetch-Dest": "script"}).body == b"a file"


# --- Error pages (DESIGN §2, errors) ---

ERRORS = [("/x.js", "GET", {}, 404, "404"), ("/closed.txt", "GET", {}, 403, "403"), ("/outside", "GET", {}, 403, "403"), ("/app.js",
    "POST", {}, 405, "4xx"),
    ("/app.js", "GET", {"Range": "bytes=99-"}, 416, "4xx"), ("/app.js", "GET", {"If-Match": '"x"'}, 412, "4xx"),
    ("/app.js", "GET", {"Accept-Encoding": "identity;q=0"}, 406, "4xx"), ("/dead/x", "GET", {}, 502, "50x")]


@pytest.mark.parametrize("target, method, more, status, page", ERRORS)
def test_error_pages(server, target, method, more, status, page, proto):
    """The page of the status, else of its class, with the status kept, and the fields that belong to it (RFC 9110, 15.5)."""
    response = ask(server, target, method, more, port="port2")
    assert (response.status, response.body) == (status, OWN[page])
    assert response.get("Content-Type") == "text/html; charset=utf-8" and response.get("X-Content-Type-Options") == "nosniff"
    assert response.get("Content-Encoding") is None and response.get("Content-Length") == str(len(OWN[page]))
    if status == 405:
        assert {"get", "head"} <= words(response, "Allow")
    assert response.get("Content-Range") == ("bytes */6" if status == 416 else None)
    head = ask(server, target, "HEAD", more, port="port2")
    if method == "GET" and "Range" not in more:
        assert (head.status, head.body, head.get("Content-Length")) == (status, b"", str(len(OWN[page])))


@pytest.mark.parametrize("more", [{"Range": "bytes=0-4"}, {"If-None-Match": "*"}, {"If-Match": '"x"'}, {"If-Match": "*"},
    {"If-Unmodified-Since": date(-9999)},
    {"If-Modified-Since": date(9999)}, {"Range": "bytes=99999-"}, {"Range": "bytes=0-1,3-4"}, {"If-None-Match": "the page's own"}])
def test_conditions_and_ranges_leave_errors_alone(server, more, proto):
    """RFC 9110, 13.2.1, 14.2: preconditions and ranges are about what would be a 2xx."""
    if "the page's own" in more.values():
        more = {"If-None-Match": ask(server, "/404.html", port="port2").get("ETag")}
    for target, status, page in (("/x.js", 404, "404"), ("/closed.txt", 403, "403")):
        response = ask(server, target, fields=more, port="port2")
        assert (response.status, response.body, response.get("Content-Range")) == (status, OWN[page], None)


def test_errors_are_not_kept_like_their_pages(server, proto):
    """DESIGN §2, max_age is Cache-Control of files: a missing script is not missing for a week."""
    assert max_age(ask(server, "/404.html", port="port2")) == 604800
    for target in ("/x.js", "/closed.txt"):
        assert not max_age(ask(server, target, port="port2"))


def test_error_page_by_its_own_name(server, proto):
    """It is a file like others: 200."""
    response = ask(server, "/404.html", port="port2")
    assert (response.status, response.body) == (200, OWN["404"])
