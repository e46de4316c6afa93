# SPDX-License-Identifier: BSD-2-Clause
"""What a file is said to be (DESIGN §2, §3; RFC 9110, 8.3): by its extension, else by libmagic and never as something active;
charset where it is UTF-8; nosniff on all; Cache-Control by max_age."""
import bz2
import gzip
import io
import lzma
import os
import re
import sqlite3
import struct
import tarfile
import time
import zipfile
import zlib
from pathlib import Path

import pytest

from client import Connection, connect
from fileroot import ask, made, max_age, parts, put

CONFIG = """
sites:
  - listen: "http://127.0.0.1:$port"
    root: root
    errors: { 403: /own.html }
    $compress
    routes: { /moved/: { redirect: /here/ } }
  - listen: "http://127.0.0.1:$port2"
    root: root
    max_age: { "*.css": 7d, "/assets/*": 365d, "*.js": 90m, "zero.*": 0, "page": 30s }
    headers: { set: { X-Site: two } }
    errors: { 404: /assets/404.html }
    $compress
  - listen: "http://127.0.0.1:$port3"
    root: root
    max_age: 10m
    headers: { set: { Cache-Control: no-store } }
    $compress
"""
UTF8 = "charset=utf-8"


@pytest.fixture(scope="module")
def server():
    server = made(CONFIG, secure=True)
    root = server.root
    for name in ("a.css", "a.js", "a.css.txt", "page", "zero.txt", "a.txt", "own.html", "here/index.html", "assets/b.png",
                 "assets/a.css", "assets/a.js", "assets/404.html", "assets/index.html", "page.css/x.zzz", "sub/page"):
        put(root, name, b"content of no kind")
    os.chmod(put(root, "closed.txt", b"x"), 0)
    with server:
        yield server


def kind_of(server, name, content, port="port", **options):
    """The media type that a file of that name and content is given; one only, of the right form."""
    put(server.root, name, content)
    response = ask(server, "/" + name, port=port, **options)
    assert (response.status, response.body) == (200, content)
    assert response.get("X-Content-Type-Options") == "nosniff"
    value = response.get("Content-Type", "")
    assert not value or re.fullmatch(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(; ?charset=[\w-]+)?", value), value
    return value


# --- By the extension ---

EXTENSIONS = {
    "xhtml": "application/xhtml+xml", "atom": "application/atom+xml", "rss": "application/rss+xml", "ics": "text/calendar",
    "vtt": "text/vtt", "m3u8": "application/vnd.apple.mpegurl application/x-mpegurl audio/mpegurl audio/x-mpegurl",
    "mpd": "application/dash+xml", "jxl": "image/jxl", "heic": "image/heic", "bmp": "image/bmp image/x-ms-bmp",
    "tiff": "image/tiff",
    "apng": "image/apng image/vnd.mozilla.apng", "flac": "audio/flac audio/x-flac", "opus": "audio/ogg audio/opus",
    "m4a": "audio/mp4 audio/x-m4a audio/mpeg", "wav": "audio/wav audio/x-wav audio/wave audio/vnd.wave", "mov": "video/quicktime",
    "mkv": "video/x-matroska video/matroska", "ogv": "video/ogg", "m4v": "video/mp4 video/x-m4v", "aac": "audio/aac audio/x-aac",
    "weba": "audio/webm", "epub": "application/epub+zip", "7z": "application/x-7z-compressed", "zst": "application/zstd",
    "bz2": "application/x-bzip2 application/x-bzip application/bzip2", "xz": "application/x-xz application/xz",
    "tar": "application/x-tar", "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "eot": "application/vnd.ms-fontobject",
    "jsonld": "application/ld+json", "geojson": "application/geo+json application/vnd.geo+json",
    "yaml": "application/yaml text/yaml application/x-yaml text/x-yaml", "rtf": "application/rtf text/rtf",
    "glb": "model/gltf-binary", "gltf": "model/gltf+json", "wasm": "application/wasm",
    "odt": "application/vnd.oasis.opendocument.text",
    "deb": "application/vnd.debian.binary-package application/x-debian-package application/x-deb",
    "svgz": "image/svg+xml", "mid": "audio/midi audio/x-midi", "torrent": "application/x-bittorrent",
    "tex": "text/x-tex application/x-tex",
}


def test_by_extension(server, proto):
    """DESIGN §3: the web's own table over the system's mime.types (CASES: nginx has octet-stream for a dozen common kinds)."""
    faults = {}
    for extension, wanted in EXTENSIONS.items():
        if extension in ("torrent", "tex", "odt") and not os.path.exists("/etc/mime.types"):
            continue
        kind = kind_of(server, "kinds/a." + extension, b"content of no kind\n")
        if kind.split(";")[0] not in wanted.split() or (kind.startswith("text/") and not kind.endswith(UTF8)):
            faults[extension] = kind
    assert not faults


@pytest.mark.parametrize("name, wanted", [("A.CSS", "text/css"), ("a.HtMl", "text/html"), ("a.html.txt", "text/plain"),
    ("a.txt.html", "text/html"), ("a.min.js", "text/javascript"), ("x.css/y.txt", "text/plain"), ("a b.css", "text/css"),
    ("ä.css", "text/css"), ("a..css", "text/css")])
def test_which_extension(server, name, wanted, proto):
    """DESIGN §3: the last extension of the last name, in whatever letters."""
    put(server.root, "ext/" + name, b"content")
    target = "/ext/" + "".join(c if c.isascii() and c != " " else "".join(f"%{o:02X}" for o in c.encode()) for c in name)
    assert ask(server, target).get("Content-Type") == f"{wanted}; {UTF8}"


@pytest.mark.parametrize("name", ["css", "x.css.", "page.css/x.zzz", "acss", "a.css~", "a.cssx", "x.html_"])
def test_no_extension_of_that_kind(server, name, proto):
    """DESIGN §3: what only looks like an extension makes nothing active."""
    put(server.root, "none/" + name, b"p { color: red }\n")
    assert ask(server, "/none/" + name).get("Content-Type", "").split(";")[0] not in ("text/css", "text/html")


HTML = b"<!DOCTYPE html><html><head><title>t</title></head><body><script>alert(1)</script></body></html>"
PNG = (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde"
       + b"\0\0\0\x0cIDAT" + zlib.compress(b"\0\0\0\0") + b"\0\0\0\0\0\0\0\0IEND\xaeB`\x82")


@pytest.mark.parametrize("name, content, wanted", [("h.png", HTML, "image/png"), ("h.txt", HTML, "text/plain"), ("p.html", PNG,
    "text/html"),
    ("h.json", HTML, "application/json"), ("p.css", PNG, "text/css"), ("h.jpg", b"", "image/jpeg")])
def test_extension_beats_content(server, name, content, wanted, proto):
    """DESIGN §3: libmagic is asked only where the extension tells nothing."""
    assert kind_of(server, "beats/" + name, content).split(";")[0] == wanted


# --- By libmagic ---

def archive(kind):
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as file:
            file.writestr("a.bin", b"x" * 100)
    else:
        with tarfile.open(fileobj=out, mode="w") as file:
            file.addfile(tarfile.TarInfo("a.bin"))
    return out.getvalue()


def database(tmp_path):
    with sqlite3.connect(tmp_path / "db") as made_db:
        made_db.execute("create table t (a)")
    made_db.close()
    return (tmp_path / "db").read_bytes()


WAV = b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + b"data\0\0\0\0"
SAMPLES = {
    "png": (PNG, "image/png"), "gif": (b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;",
        "image/gif"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xd9", "image/jpeg"),
    "webp": (b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0/\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0", "image/webp"),
    "pdf": (b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n%%EOF\n", "application/pdf"), "zip": (archive("zip"), "application/zip"),
    "tar": (archive("tar"), "application/x-tar application/x-ustar"), "gzip": (gzip.compress(b"x"),
    "application/gzip application/x-gzip"),
    "xz": (lzma.compress(b"x"), "application/x-xz"), "bzip2": (bz2.compress(b"x"), "application/x-bzip2"),
    "wav": (WAV, "audio/x-wav audio/wav"), "flac": (b"fLaC\0\0\0\x22" + b"\x10\0\x10\0" + bytes(30), "audio/flac audio/x-flac"),
    "mp4": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom\0\0\0\x08free", "video/mp4"),
    "zstd": (b"\x28\xb5\x2f\xfd\x20\x01\x09\0\0x", "application/zstd"),
    "large-png": (PNG + bytes(5 << 20), "image/png"),
}


@pytest.mark.parametrize("sample", SAMPLES)
def test_by_content(server, sample, proto):
    """DESIGN §3: no extension, or an unknown one: libmagic."""
    content, wanted = SAMPLES[sample]
    for name in (f"magic/{sample}", f"magic/a.{sample}-unheard-of"):
        assert kind_of(server, name, content) in wanted.split(), name


def test_by_content_of_a_database(server, tmp_path, proto):
    assert kind_of(server, "magic/db", database(tmp_path)) in ("application/vnd.sqlite3", "application/x-sqlite3")


def test_nothing_known(server, proto):
    """RFC 9110, 8.3: octets of no kind, and none at all, are octet-stream or have no type; never a name of libmagic's own."""
    assert kind_of(server, "magic/noise", bytes((n * 151 + 7) % 256 for n in range(999))) == "application/octet-stream"
    assert kind_of(server, "magic/empty", b"") in ("", "application/octet-stream", "text/plain", f"text/plain; {UTF8}")


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
ACTIVE_CONTENT = {
    "html": HTML, "html-spaces": b" \r\n\t" * 20 + HTML, "html-bom": b"\xef\xbb\xbf" + HTML, "html-upper": HTML.upper(),
        "script": b"<script>alert(1)</script>",
    "html-16": ("\ufeff" + HTML.decode()).encode("utf-16-le"),
    "html-comment": b"<!-- c --><html><body onload=alert(1)></body></html>",
    "svg": SVG, "svg-xml": b'<?xml version="1.0"?>\n' + SVG,
    "svg-doctype": b'<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x">' + SVG,
    "xml": b'<?xml version="1.0" encoding="UTF-8"?>\n<a><b/></a>\n',
    "xhtml": b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>',
    "xslt": b'<?xml version="1.0"?><xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"/>',
    "rss": b'<?xml version="1.0"?><rss version="2.0"><channel/></rss>',
    "atom": b'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"/>',
    "js-node": b"#!/usr/bin/env node\n'use strict';\nconst fs = require('fs');\n",
    "js-function": b"(function () {\n  var a = 1;\n  function b() {}\n})();\n",
    "js-module": b"import x from './x.js';\nexport default class A extends B {}\n",
    "js-const": b"const a = () => { let b = 1; return b; };\n",
    "php": b"<?php echo 1; ?>", "mathml": b'<?xml version="1.0"?><math xmlns="http://www.w3.org/1998/Math/MathML"/>',
    "xml-16": ("\ufeff" + '<?xml version="1.0" encoding="utf-16"?><a/>').encode("utf-16-be"),
}
ACTIVE = re.compile(r"text/html|application/xhtml|.*[/+]xml\b|image/svg|.*(java|ecma|j|live)script|text/xsl|application/(rss|atom|mathml)", re.IGNORECASE)


@pytest.mark.parametrize("sample", ACTIVE_CONTENT)
def test_never_active_by_content(server, sample, proto):
    """DESIGN §3: never HTML, SVG, XML or JS from content alone: an upload without an extension runs nowhere."""
    for name in (f"up/{sample}", f"up/{sample}.unheard-of", f"up/{sample}."):
        kind = kind_of(server, name, ACTIVE_CONTENT[sample])
        assert not ACTIVE.match(kind), name


def test_type_is_of_the_version(server, proto):
    """DESIGN §3: once a file version; another file under the same name, as old and as long, is another kind."""
    contents = [(PNG.ljust(200, b"\0"), "image/png"), (SAMPLES["pdf"][0].ljust(200, b"\0"), "application/pdf"),
                (b"words\n".ljust(200, b"."), f"text/plain; {UTF8}")]
    for content, wanted in contents * 3:
        new = put(server.root, ".version.new", content)
        os.replace(new, server.root / "version")
        for _ in range(3):
            assert ask(server, "/version").get("Content-Type") == wanted


def test_unknown_kinds_do_not_stop_others(server):
    """DESIGN §3: libmagic runs off the event loops: forty unknown files at once, and a known one beside them at once."""
    for number in range(40):
        put(server.root, f"many/{number}", PNG + bytes(1 << 18))
    waiting = [Connection(server.port, seconds=20) for _ in range(40)]
    for number, connection in enumerate(waiting):
        connection.request(f"/many/{number}")
    begin = time.monotonic()
    assert ask(server, "/a.txt").status == 200
    assert time.monotonic() - begin < 2
    for connection in waiting:
        assert connection.read().get("Content-Type") == "image/png"
        connection.close()


# --- charset ---

LONG = "x" + "日本語テキスト" * 50000
TEXTS = {  # octets → whether they are UTF-8
    "ascii": (b"plain\n", True), "utf-8": ("Grüße, 日本, 😀\n".encode(), True), "bom": (b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe\n", True),
    "latin-1": ("Grüße\n".encode("latin-1"), False), "utf-16": ("\ufeffGrüße\n".encode("utf-16-le"), False),
    "truncated": ("日本".encode()[:-1], False),
    "overlong": (b"a\xc0\xafb\n", False), "surrogate": (b"a\xed\xa0\x80b\n", False), "beyond": (b"a\xf4\x90\x80\x80b\n", False),
    "continuation": (b"a\x80b\n", False), "long": (LONG.encode(), True), "late": (b"x" * 200000 + b"\xe9 the end\n", False),
}


@pytest.mark.parametrize("sample", TEXTS)
def test_charset(server, sample, proto):
    """DESIGN §3: text says charset=utf-8 where it is; RFC 9110, 8.3.2. Never where the octets are none."""
    content, is_utf8 = TEXTS[sample]
    for extension in ("txt", "html"):
        kind = kind_of(server, f"text/{sample}.{extension}", content)
        assert (UTF8 in kind) == is_utf8, kind


@pytest.mark.parametrize("extension", ["css", "js", "csv", "vtt", "ics"])
def test_charset_of_all_text(server, extension, proto):
    for sample in ("utf-8", "latin-1"):
        content, is_utf8 = TEXTS[sample]
        kind = kind_of(server, f"text/{sample}.{extension}", content)
        assert kind.startswith("text/") and (UTF8 in kind) == is_utf8, kind


@pytest.mark.parametrize("sample", ["ascii", "utf-8", "bom", "latin-1", "utf-16", "long"])
def test_charset_by_content(server, sample, proto):
    """DESIGN §3: text that libmagic knows as text says charset=utf-8 where it is, too."""
    content, is_utf8 = TEXTS[sample]
    kind = kind_of(server, "text/" + sample, content)
    assert kind == f"text/plain; {UTF8}" if is_utf8 else UTF8 not in kind


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.json", "a.wasm", "a.mp4"])
def test_no_charset_on_others(server, name, proto):
    """RFC 8259, 11 and others: these types have no such parameter, or one that only harms."""
    assert "charset" not in kind_of(server, "other/" + name, b"{}")


def test_the_same_type_everywhere(server, proto):
    """RFC 9110, 9.3.2, 14.4, 14.6: HEAD, a part, and each of many parts."""
    content = "Grüße\n".encode() * 20000
    for name in ("every.txt", "every"):
        kind = kind_of(server, name, content)
        assert kind == f"text/plain; {UTF8}"
        assert ask(server, "/" + name, "HEAD").get("Content-Type") == kind
        assert ask(server, "/" + name, fields={"Range": "bytes=1-2"}).get("Content-Type") == kind
        several = parts(ask(server, "/" + name, fields={"Range": "bytes=0-9,100000-100009"}))
        assert [part[3] for part in several] == [kind, kind]


def test_a_real_program(server, proto):
    """DESIGN §3, libmagic: a compiled program is a program, or octets."""
    content = Path("/bin/true").read_bytes()
    assert re.match(r"application/(x-(pie-)?executable|x-sharedlib|x-elf|octet-stream)\Z", kind_of(server, "magic/true", content))


# --- nosniff on all ---

@pytest.mark.parametrize("target, options, status", [("/a.txt", {}, 200), ("/a.txt", {"method": "HEAD"}, 200), ("/here/", {}, 200),
    ("/a.txt", {"fields": {"Range": "bytes=0-1"}}, 206), ("/here", {}, 308), ("/moved/", {}, 308), ("/missing", {}, 404),
    ("/closed.txt", {}, 403), ("/a.txt", {"method": "POST"}, 405), ("/a.txt", {"fields": {"Range": "bytes=99-"}}, 416),
    ("/a.txt", {"fields": {"If-Match": '"x"'}}, 412), ("/%zz", {}, 400), ("/a.txt", {"fields": {"Accept-Encoding": "identity;q=0"}},
    406)])
def test_nosniff_on_all(server, target, options, status, proto):
    """DESIGN §3: nosniff on all, whatever the status."""
    response = ask(server, target, **options)
    assert (response.status, response.get("X-Content-Type-Options")) == (status, "nosniff")


# --- max_age (DESIGN §2, "Cache-Control of files") ---

@pytest.mark.parametrize("target, wanted", [("/a.css", 604800), ("/assets/b.png", 31536000), ("/assets/a.css", 604800),
    ("/assets/a.js", 31536000),
    ("/a.js", 5400), ("/a.txt", None), ("/a.css.txt", None), ("/page", 30), ("/sub/page", 30), ("/here/", None), ("/assets/",
    31536000),
    ("/a.css?v=1", 604800), ("/./assets/../a.js", 5400), ("/%61.css", 604800)])
def test_max_age(server, target, wanted, proto):
    """Durations by pattern, the first that fits counts; with a / at its beginning it is held against the whole path."""
    for _ in range(2):
        response = ask(server, target, port="port2")
        assert (response.status, max_age(response)) == (200, wanted)
        assert len(response.all("Cache-Control")) == (wanted is not None)
        assert max_age(ask(server, target)) is None, "another site on the same files says nothing"


def test_max_age_zero(server, proto):
    """0 asks caches to check each time."""
    control = ask(server, "/zero.txt", port="port2").get("Cache-Control")
    assert re.search(r"max-age=0\b|no-cache", control)


def test_max_age_with_other_statuses(server, proto):
    """RFC 9110, 15.4.5: 304 repeats Cache-Control; 206 and HEAD have it. Errors and redirects are no files: nothing keeps them for a year."""
    etag = ask(server, "/a.css", port="port2").get("ETag")
    for method, more in (("HEAD", {}), ("GET", {"If-None-Match": etag}), ("GET", {"Range": "bytes=0-1"})):
        assert max_age(ask(server, "/a.css", method, more, port="port2")) == 604800
    for target, method, more, status in (("/assets/missing.css", "GET", {}, 404), ("/assets/b.png", "POST", {}, 405), ("/assets",
            "GET", {}, 308),
                                         ("/a.css", "GET", {"If-Match": '"x"'}, 412), ("/a.css", "GET", {"Range": "bytes=99-"},
                                         416)):
        response = ask(server, target, method, more, port="port2")
        assert (response.status, max_age(response) or 0) == (status, 0), target


def test_headers_win_over_max_age(server, proto):
    """DESIGN §2, headers: what is set stands in place of others of that name."""
    for more, status in (({}, 200), ({"If-None-Match": "*"}, 304)):
        response = ask(server, "/a.txt", fields=more, port="port3")
        assert (response.status, response.all("Cache-Control")) == (status, ["no-store"])
