# SPDX-License-Identifier: BSD-2-Clause
"""A real site: every file as it is on disk, and a browser that loads the page, plays the films and seeks in them."""
import json
import os
import re
import subprocess
from urllib.parse import quote

import pytest

import certificates
import material
from client import connect, curl, spoken
from server import Server, wait_for

CONFIG = """
threads: 1
sites:
  - { listen: "http://127.0.0.1:$port", root: root }
"""
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".jpg": "image/jpeg",
    ".svg": "image/svg+xml",
         ".woff2": "font/woff2", ".woff": "font/woff", ".mp4": "video/mp4", ".webm": "video/webm"}


@pytest.fixture(scope="module")
def server():
    made = Server(CONFIG, secure=True)
    try:
        made.material = material.build(made.root)
    except material.Missing as reason:
        made.remove()
        pytest.skip(str(reason))
    with made:
        yield made


def target(server, path):
    return "/" + quote(str(path.relative_to(server.root)))


def files(server):
    return sorted(path for path in server.root.rglob("*") if path.is_file())


def test_every_file_as_it_is(server, proto):
    """Length, bytes and type of each, on one connection; names with spaces, signs and UTF-8 among them."""
    found = files(server)
    assert len(found) > 100
    with connect(server.port, seconds=20) as connection:
        for path in found:
            response = connection.get(target(server, path))
            assert response.status == 200, path
            assert response.body == path.read_bytes(), path
            if path.suffix in TYPES:
                assert response.get("Content-Type") == TYPES[path.suffix], path


def test_every_file_is_not_modified(server, proto):
    with connect(server.port) as connection:
        for path in files(server)[:100]:
            head = connection.get(target(server, path), method="HEAD")
            again = connection.get(target(server, path), fields={"If-None-Match": head.get("ETag")})
            assert (again.status, again.body) == (304, b""), path


def test_a_film_in_pieces(server, proto):
    """A download in pieces is the whole."""
    path = server.root / "films" / "film.mp4"
    size, got = path.stat().st_size, b""
    assert size > 2 << 20
    for first in range(0, size, size // 3 + 1):
        part = curl(server.url("/films/film.mp4"), "--range", f"{first}-{first + size // 3}", proto=proto)
        assert part.status == 206
        got += part.body
    assert got == path.read_bytes()


@pytest.fixture(scope="module", params=["h1", "h2"])
def browsed(server, request):
    """What the browser says over HTTP/1.1 in clear and over TLS, where it speaks HTTP/2, and what the access log holds of it."""
    if not os.access(material.CHROMIUM, os.X_OK):
        pytest.skip(f"{material.CHROMIUM} is not installed")
    file = server.folder / "access.log"
    curl(server.url("/?before-the-browser"))  # one thread: this line is behind those of the tests before
    wait_for(lambda: b"?before-the-browser" in file.read_bytes(), what="the first line")
    before = len(server.access_lines(0))
    home = server.folder / "home"
    home.mkdir(exist_ok=True)
    run = subprocess.run(["node", str(material.HERE / "material" / "browse.cjs"), str(server.material),
        material.CHROMIUM, spoken(server.url("/"), request.param), certificates.pin()],
                         capture_output=True, text=True, errors="replace", timeout=120, check=False,
                         env=dict(os.environ, HOME=str(home), XDG_CONFIG_HOME=str(home),
                         XDG_CACHE_HOME=str(home)))
    assert run.returncode == 0, run.stderr[-2000:]
    said = dict(json.loads(run.stdout), proto=request.param)
    curl(server.url("/?behind-the-browser"))  # one thread: this line is behind those of all that was whole by then
    wait_for(lambda: b"?behind-the-browser" in file.read_bytes(), what="the last line")
    return said, [line.decode() for line in server.access_lines(0)[before:] if b"-the-browser" not in line]


def test_browser_had_no_trouble(browsed):
    said, _ = browsed
    assert "error" not in said, said["error"]
    assert said["protocols"] == ["http/1.1" if said["proto"] == "h1" else "h2"]
    assert said["console"] == [] and said["failed"] == []
    assert all(status in (200, 206, 304) for status in said["statuses"].values()), said["statuses"]


def test_browser_has_modules_fonts_styles(browsed):
    said, _ = browsed
    assert said["modules"] == "length 5, controls function, bootstrap function, font true"
    assert said["columns"] == "flex"


def test_browser_shows_every_photograph(browsed):
    said, _ = browsed
    assert len(said["images"]) == 5 and all(width > 500 for width in said["images"])


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_browser_plays_and_seeks(browsed, kind):
    said, _ = browsed
    film = said["films"][kind]
    assert 39 < film["duration"] < 41 and film["width"] == 640
    assert film["late"] > 30 and 14 < film["middle"] < 18


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_seeks_are_ranges_in_the_log(browsed, kind):
    _, lines = browsed
    statuses = [re.search(r'" (\d{3}) ', line)[1] for line in lines if f"/films/film.{kind} " in line]
    assert statuses.count("206") >= 2, lines


def test_log_of_the_browser(browsed):
    """All of it good, the user agent named, encoded names as they were asked for."""
    _, lines = browsed
    assert lines and all(re.search(r'HTTP/(?:1\.1|2\.0)" (200|206|304) ', line) for line in lines), lines
    assert any("/photos/%E6%97%A5%E6%9C%AC%E3%81%AE%E5%86%99%E7%9C%9F.jpg" in line for line in lines)
    assert all("Chrome" in line for line in lines)
