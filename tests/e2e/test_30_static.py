# SPDX-License-Identifier: BSD-2-Clause
"""Files (DESIGN §3): what is answered and what is not; types, redirects, conditions, single ranges; nothing above the root."""
import email.utils
import os
import socket
import time

import pytest

from client import Connection, connect, curl, exchange
from server import Server

CONFIG = """
sites:
  - { listen: "http://127.0.0.1:$port", root: root }
  - { listen: "http://127.0.0.1:$port2", root: root, proxy: "127.0.0.1:$backend" }
"""
SECRET = b"the secret above the root\n"
BIG = bytes(range(256)) * 12288 + b"tail"  # 3 MiB and a bit
TEN = b"0123456789"
PAST = 1700000000


def build(folder, root):
    """The document root, with what must not be reached beside it."""
    def file(name, content=b"", base=root):
        path = os.path.join(os.fsencode(base), name if isinstance(name, bytes) else name.encode())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(content)
        os.utime(path, (PAST, PAST))
        return path

    file("index.html", b"<!doctype html><title>front</title>")
    file("ten.txt", TEN)
    file("big.bin", BIG)
    file("empty.txt")
    file("one.txt", b"1")
    file("sub/index.html", b"<!doctype html><title>sub</title>")
    file("noindex/a.txt", b"a")
    file("index-is-a-folder/index.html/x", b"x")
    file(".hidden", b"hidden " + SECRET)
    file(".git/config", b"hidden " + SECRET)
    file("sub/.env", b"hidden " + SECRET)
    file(".well-known/security.txt", b"contact")
    file("with space.txt", b"space")
    file("ümläut/日本.txt", b"utf8")
    file("100%.txt", b"percent")
    file("a+b&c=d;e,f!.txt", b"delims")
    file("ques?tion#.txt", b"question")
    file("back\\slash.txt", b"backslash")
    file('quo"te<>.txt', b"quote")
    file(b"latin\xe9.txt", b"latin1")
    file("new\nline.txt", b"newline")
    file("x" * 250 + ".txt", b"long")
    file("/".join(["d"] * 40) + "/deep.txt", b"deep")
    for name in TYPES:
        file("types/" + name, b"content of no kind")
    file("secret.txt", SECRET, folder)
    file("root-sibling/secret.txt", SECRET, folder)
    file("rootsecret.txt", SECRET, folder)
    links = {"inside.txt": "ten.txt", "outside.txt": "../secret.txt",
        "absolute.txt": str(folder / "secret.txt"), "outdir": "../root-sibling", "dangling": "nothing",
        "loop": "loop", "loop-a": "loop-b", "loop-b": "loop-a", "indir": "sub", "up": "..",
        "passwd": "/etc/passwd", "sub/back.txt": "../ten.txt", "sub/far.txt": "../../secret.txt",
        "chain": "inside.txt"}
    for name, target in links.items():
        os.symlink(target, root / name)
    os.mkfifo(root / "fifo")
    os.chmod(root / "fifo", 0o666)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(root / "socket"))
    file("unreadable.txt", SECRET)
    os.chmod(root / "unreadable.txt", 0)
    file("closed/a.txt", SECRET)
    file("closed/index.html", SECRET)
    os.chmod(root / "closed", 0)


TYPES = {"a.html": "text/html; charset=utf-8", "a.htm": "text/html; charset=utf-8",
    "a.css": "text/css; charset=utf-8", "a.js": "text/javascript; charset=utf-8",
    "a.mjs": "text/javascript; charset=utf-8", "a.json": "application/json",
    "a.txt": "text/plain; charset=utf-8", "a.svg": "image/svg+xml", "a.png": "image/png",
    "a.jpg": "image/jpeg", "a.jpeg": "image/jpeg", "a.JPG": "image/jpeg", "a.gif": "image/gif",
    "a.webp": "image/webp", "a.avif": "image/avif", "a.ico": ("image/x-icon", "image/vnd.microsoft.icon"),
    "a.woff": "font/woff", "a.woff2": "font/woff2", "a.ttf": "font/ttf", "a.otf": "font/otf",
    "a.mp4": "video/mp4", "a.webm": "video/webm", "a.mp3": "audio/mpeg", "a.ogg": "audio/ogg",
    "a.wasm": "application/wasm", "a.pdf": "application/pdf", "a.xml": ("text/xml; charset=utf-8",
    "application/xml", "text/xml", "application/xml; charset=utf-8"), "a.zip": "application/zip",
    "a.webmanifest": "application/manifest+json", "a.map": "application/json",
    "a.md": ("text/markdown; charset=utf-8", "text/plain; charset=utf-8"), "a.csv": "text/csv; charset=utf-8",
    "a.tar.gz": ("application/gzip", "application/x-gzip"), "a.b.css": "text/css; charset=utf-8",}


@pytest.fixture(scope="module")
def server(recorder):
    made = Server(CONFIG, values={"backend": recorder.port}, secure=True)
    build(made.folder, made.root)
    with made:
        yield made
        os.chmod(made.root / "closed", 0o755)


def get(server, target, method="GET", port="port", seconds=5, **fields):
    """One request on a connection of its own; fields as If_Range=…"""
    with connect(server.ports[port], seconds=seconds) as connection:
        return connection.get(target, method=method, fields={name.replace("_", "-"): value for name,
            value in fields.items()} | {"Connection": "close"})


# --- Files, folders, redirects ---

def test_files_by_curl(server, proto):
    """A small one, a large one and an empty one, over each protocol."""
    for target, content in (("/ten.txt", TEN), ("/big.bin", BIG), ("/empty.txt", b""), ("/one.txt", b"1"),
            ("/with%20space.txt", b"space")):
        got = curl(server.url(target), proto=proto)
        assert (got.exit, got.status) == (0, 200)
        assert got.body == content
        assert got.get("Content-Length") == str(len(content))
        assert got.get("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize("target, content", [("/", b"<!doctype html><title>front</title>"),
    ("/index.html", b"<!doctype html><title>front</title>"), ("/sub/", b"<!doctype html><title>sub</title>"),
    ("/ten.txt?a=b", TEN), ("/./ten.txt", TEN), ("/sub/../ten.txt", TEN), ("/%74en.txt", TEN),
    ("/ten%2Etxt", TEN), ("/with%20space.txt", b"space"), ("/%C3%BCml%C3%A4ut/%E6%97%A5%E6%9C%AC.txt",
    b"utf8"), ("/100%25.txt", b"percent"), ("/a+b&c=d;e,f!.txt", b"delims"),
    ("/a%2Bb%26c%3Dd%3Be%2Cf%21.txt", b"delims"), ("/ques%3Ftion%23.txt", b"question"),
    ("/quo%22te%3C%3E.txt", b"quote"), ("/latin%E9.txt", b"latin1"),
    ("/" + "x" * 250 + ".txt", b"long"), ("/" + "d/" * 40 + "deep.txt", b"deep"),
    ("/.well-known/security.txt", b"contact"), ("/inside.txt", TEN),
    ("/indir/", b"<!doctype html><title>sub</title>"), ("/sub/back.txt", TEN), ("/chain", TEN),])
def test_found(server, target, content, proto):
    response = get(server, target)
    assert (response.status, response.body) == (200, content)


@pytest.mark.parametrize("target", ["/missing", "/missing/", "/ten.txt/", "/ten.txt/x", "/noindex/",
    "/noindex", "/index-is-a-folder/", "/.hidden", "/.git/config", "/.git/", "/.git", "/sub/.env",
    "/dangling", "/" + "y" * 256, "/" + "y" * 255, "/" + "z" * 4000, "/" + "d/" * 300, "/TEN.TXT",
    "/ten.txt%20", "/ten.txt.", "/%20ten.txt", "/ten", "/a%2fb.txt", "/sub%2findex.html",    "/%2ehidden", "/%2Egit/config", "/%252e%252e/secret.txt", "/...." , "/index.htm", "/types",])
def test_not_found(server, target, proto):
    response = get(server, target)
    assert response.status == 404, response
    assert SECRET not in response.body


def test_passes_to_the_backend(server, recorder, proto):
    """What the root does not hold falls through; what it holds does not; what cannot be read never does (DESIGN §3)."""
    recorder.take()
    for target, method in (("/missing?a=b", "GET"), ("/noindex/", "GET"), ("/.hidden", "GET"),
            ("/ten.txt", "POST"), ("/dangling", "GET"), ("/ten.txt/x", "GET")):
        assert get(server, target, method, port="port2").status == 200
        seen, = recorder.wait(1)
        assert (seen.request.target.decode(), seen.request.method.decode()) == (target, method)
    for target in ("/ten.txt", "/", "/sub/", "/empty.txt"):
        assert get(server, target, port="port2").status == 200
    assert get(server, "/unreadable.txt", port="port2").status == 403
    assert not recorder.take()


@pytest.mark.parametrize("target, location", [("/sub", "/sub/"), ("/sub?a=b&c", "/sub/?a=b&c"),
    ("/indir", "/indir/"), ("/./sub", "/sub/"), ("/%73ub", None)])
def test_folder_gets_its_slash(server, target, location, proto):
    """308, by a relative reference or for this host, the query kept."""
    response = get(server, target)
    assert response.status == 308
    where = response.get("Location")
    assert where.startswith("/") or where.startswith("http://localhost/")
    if location:
        assert where.removeprefix("http://localhost") == location


@pytest.mark.parametrize("target", ["//evil.test", "//evil.test/", "//evil.test/..", "//evil.test/%2e%2e",
    "/\\evil.test", "/%5cevil.test", "/%5c%5cevil.test/..", "//evil.test/../sub", "//sub", "///sub",
    "/.//sub", "//%2fsub", "/%2fevil.test/", "/%2f%2fevil.test", "//evil.test%2f..%2fsub",
                                    "//localhost@evil.test/..;/sub", "/sub//..", "//sub/..//sub",
                                    "/%09/evil.test", "/%0d%0aLocation:%20http:%2f%2fevil.test",
                                    "/sub%0d%0aX-Evil:1", "/sub?%0d%0aX-Evil:1", "/sub?\\evil",
                                    "//evil.test//sub/.."])
def test_no_open_redirect(server, target, proto):
    """Whatever is asked, a Location stays on this host, and no field is injected."""
    response = get(server, target)
    location = response.get("Location")
    if location is not None:
        assert location.startswith("http://localhost/") or (location.startswith("/")
            and location[1:2] not in ("/", "\\")), location
    assert response.get("X-Evil") is None


# --- Nothing above the root ---

TRAVERSALS = ["/../secret.txt", "/../../secret.txt", "/..//secret.txt", "/./../secret.txt",
    "/sub/../../secret.txt", "/sub/../../../../../../etc/passwd", "/../root-sibling/secret.txt",
    "/../rootsecret.txt", "/..", "/../", "/sub/..%2f../secret.txt", "/%2e%2e/secret.txt",
    "/%2E%2E/secret.txt", "/.%2e/secret.txt", "/%2e./secret.txt", "/%2e%2e%2fsecret.txt", "/..%2fsecret.txt",
    "/..%2Fsecret.txt", "/%2e%2e%5csecret.txt", "/..%5csecret.txt", "/..\\secret.txt",
    "/sub\\..\\..\\secret.txt", "/%252e%252e/secret.txt", "/%252e%252e%252fsecret.txt", "/..%252fsecret.txt",
    "/%25252e%25252e/secret.txt", "/..%c0%afsecret.txt", "/%c0%ae%c0%ae/secret.txt",
    "/%c0%ae%c0%ae%c0%afsecret.txt", "/%c1%9c..%c1%9csecret.txt", "/%e0%80%ae%e0%80%ae/secret.txt",
    "/%f0%80%80%ae%f0%80%80%ae/secret.txt", "/%uff0e%uff0e/secret.txt", "/..%u2215secret.txt",
    "/%u002e%u002e/secret.txt", "/..;/secret.txt", "/..;a=b/secret.txt", "/sub/..;/..;/secret.txt",
    "/%2e%2e;/secret.txt", "/..%00/secret.txt", "/..%00.txt/secret.txt", "/secret.txt%00",
    "/sub/..%00/../secret.txt", "/.../../secret.txt", "/.%20./secret.txt", "/..%20/secret.txt",
    "/..%09/secret.txt", "/..%0a/secret.txt", "/..%0d/secret.txt", "/..%01/secret.txt", "/....//secret.txt",
    "/..././secret.txt", "/up/secret.txt", "/up/root-sibling/secret.txt", "/outside.txt", "/absolute.txt",
    "/outdir/secret.txt", "/outdir/", "/sub/far.txt", "/passwd", "http://localhost/../secret.txt",
    "http://localhost/%2e%2e/secret.txt", "http://localhost/..%2fsecret.txt", "//../secret.txt",
    "/sub//../../secret.txt", "/sub/%2e%2e/%2e%2e/secret.txt", "-sibling/secret.txt", "/?/../../secret.txt",
    "/..%ef%bc%8fsecret.txt", "/%ef%bc%8e%ef%bc%8e/secret.txt", "//etc/passwd", "///etc/passwd",
    "/%2fetc%2fpasswd", "/%2Fetc/passwd", "/proc/self/environ", "/sub/..%2f..%2fsecret.txt",
    "/sub/%2e%2e%2f%2e%2e%2fsecret.txt", "/.%00./secret.txt", "/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/....\\\\secret.txt", "/%5c../secret.txt", "/..%5c..%5c..%5csecret.txt", "/.git/../../secret.txt",]


@pytest.mark.parametrize("target", TRAVERSALS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_traversal(server, target, method, proto):
    """Links out of the root are not followed (symlinks: inside), and no spelling of a way up is one."""
    response = get(server, target, method)
    if target.startswith("/?"):
        assert response.status == 200 and SECRET not in response.body
        return
    assert response.status in (400, 403, 404), response
    assert SECRET not in response.body and b"root:" not in response.body


@pytest.mark.parametrize("target", ["/../secret.txt", "/sub/../../secret.txt", "/%2e%2e/secret.txt",
    "/ten.txt%00", "/ten.txt%00.html", "/%", "/%2", "/%zz", "/ten.txt%", "/%u0041",
    "/sub/..%2f..%2fsecret.txt", "/..;/secret.txt", "/..%5csecret.txt"])
def test_no_name_at_all(server, target, proto):
    """DESIGN §3: 400 for NUL, a way above the root, bad percent-encoding, and what two readers would split differently."""
    assert get(server, target).status == 400


@pytest.mark.parametrize("target", ["/loop", "/loop/x", "/loop-a", "/fifo", "/socket", "/fifo/"])
def test_no_regular_file(server, target, proto):
    """A FIFO is not opened, a loop is not followed: an answer at once."""
    begin = time.monotonic()
    assert get(server, target, seconds=3).status in (403, 404)
    assert time.monotonic() - begin < 1


def test_fifos_do_not_stop_others(server):
    """Many requests for a FIFO at once, and a file is served beside them."""
    waiting = [Connection(server.port) for _ in range(40)]
    try:
        for connection in waiting:
            connection.request("/fifo")
        begin = time.monotonic()
        assert get(server, "/ten.txt").body == TEN
        assert time.monotonic() - begin < 1
    finally:
        for connection in waiting:
            connection.close()


@pytest.mark.parametrize("target", ["/unreadable.txt", "/closed/a.txt"])
def test_unreadable_is_forbidden(server, target, proto):
    """403, and never the backend's (run as nobody when started as root)."""
    assert get(server, target).status == 403
    assert get(server, target, port="port2").status == 403


def test_hidden_names_pass_as_missing(server, proto):
    """A hidden name is as if it were not there: the same page as for a missing one."""
    assert get(server, "/.hidden").body == get(server, "/.missing").body


# --- Types ---

@pytest.mark.parametrize("name", TYPES)
def test_media_type(server, name, proto):
    wanted = TYPES[name]
    response = get(server, "/types/" + name)
    assert response.get("Content-Type") in (wanted if isinstance(wanted, tuple) else (wanted,))
    assert response.get("X-Content-Type-Options") == "nosniff"


# --- Validators and conditions (RFC 9110, 8.8, 13) ---

def test_validators(server, proto):
    response = get(server, "/ten.txt")
    etag = response.get("ETag")
    assert etag.startswith('"') and etag.endswith('"') and len(etag) > 4, "a strong tag"
    assert response.get("Last-Modified") == email.utils.formatdate(PAST, usegmt=True)
    assert get(server, "/ten.txt").get("ETag") == etag
    assert get(server, "/one.txt").get("ETag") != etag


def test_last_modified_is_never_in_the_future(server, proto):
    """RFC 9110, 8.8.2.1."""
    path = server.root / "future.txt"
    path.write_bytes(b"future")
    os.utime(path, (time.time() + 86400 * 30,) * 2)
    response = get(server, "/future.txt")
    modified = response.get("Last-Modified")
    assert modified is None or email.utils.parsedate_to_datetime(modified) <= email.utils.parsedate_to_datetime(response.get("Date"))


def date(offset):
    return email.utils.formatdate(PAST + offset, usegmt=True)


@pytest.mark.parametrize("target", ["/ten.txt", "/big.bin", "/"])
def test_not_modified(server, target, proto):
    full = get(server, target)
    etag = full.get("ETag")
    for fields in ({"If_None_Match": etag}, {"If_None_Match": "*"}, {"If_None_Match": f'"x", {etag}'},
            {"If_None_Match": "W/" + etag}, {"If_None_Match": f'"a","b" , W/{etag}'},
            {"If_Modified_Since": date(0)}, {"If_Modified_Since": date(10)},
            {"If_Modified_Since": time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(PAST))},
            {"If_Modified_Since": time.asctime(time.gmtime(PAST))},
            {"If_None_Match": etag, "If_Modified_Since": date(-1000)}):
        for method in ("GET", "HEAD"):
            response = get(server, target, method, **fields)
            assert (response.status, response.body) == (304, b""), fields
            assert response.get("ETag") == etag
            assert response.get("Date")
            assert response.get("Content-Length") in (None, full.get("Content-Length"))


@pytest.mark.parametrize("fields", [{"If_None_Match": '"x"'}, {"If_None_Match": '"x", "y"'},
    {"If_Modified_Since": date(-1)}, {"If_None_Match": '"x"', "If_Modified_Since": date(10)},
    {"If_Modified_Since": "yesterday"}, {"If_Modified_Since": ""},
    {"If_Modified_Since": date(0) + ", " + date(0)}, {"If_Modified_Since": "0"},
    {"If_Modified_Since": "Tue, 31 Feb 2026 00:00:00 GMT"}])
def test_modified(server, fields, proto):
    """If-None-Match beats If-Modified-Since; a date that is none is ignored."""
    response = get(server, "/ten.txt", **fields)
    assert (response.status, response.body) == (200, TEN)


def test_conditions_do_not_turn_errors(server, proto):
    assert get(server, "/missing", If_None_Match="*").status == 404
    assert get(server, "/missing", If_Modified_Since=date(0)).status == 404


# --- Single ranges (RFC 9110, 14) ---

@pytest.mark.parametrize("spec, wanted", [("0-0", b"0"), ("0-4", b"01234"), ("5-", b"56789"), ("-3", b"789"),
    ("0-", TEN), ("-10", TEN), ("-100", TEN), ("9-9", b"9"), ("0-9", TEN), ("0-100", TEN),
    ("5-99999999999999999999", b"56789"), ("-99999999999999999999", TEN), ("00-04", b"01234")])
@pytest.mark.parametrize("unit", ["bytes=", "Bytes="])
def test_good_range(server, unit, spec, wanted, proto):
    response = get(server, "/ten.txt", Range=unit + spec)
    first = TEN.index(wanted)
    assert (response.status, response.body) == (206, wanted)
    assert response.get("Content-Range") == f"bytes {first}-{first + len(wanted) - 1}/10"
    assert response.get("Content-Length") == str(len(wanted))
    assert response.get("ETag") == get(server, "/ten.txt").get("ETag")


@pytest.mark.parametrize("spec", ["10-", "10-20", "99999999999999999999-", "-0", "100-200",
    "18446744073709551616-18446744073709551617"])
def test_unsatisfiable_range(server, spec, proto):
    response = get(server, "/ten.txt", Range="bytes=" + spec)
    assert response.status == 416
    assert response.get("Content-Range") == "bytes */10"


@pytest.mark.parametrize("value", ["bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes 0-4", "bytes:0-4",
    "0-4", "octets=0-4", "bytes=0--4", "bytes=--4", "bytes=0-4-", "bytes=+0-4", "bytes=0x0-4", "bytes=0-4;",
    "=0-4", "", "bytes=0.5-4", "bytes=1"])
def test_bad_range_is_ignored(server, value, proto):
    """What is no range at all does not count: the whole file (RFC 9110, 14.2), or 416 or 400."""
    response = get(server, "/ten.txt", Range=value)
    assert response.status in (200, 400, 416)
    assert response.status != 200 or response.body == TEN


def test_range_of_an_empty_file(server, proto):
    assert get(server, "/empty.txt", Range="bytes=0-").status in (200, 416)
    assert get(server, "/empty.txt", Range="bytes=-5").status in (200, 416)


def test_range_only_for_get(server, proto):
    """RFC 9110, 14.2: Range is for GET; HEAD says 200 and the whole length."""
    response = get(server, "/ten.txt", "HEAD", Range="bytes=0-4")
    assert (response.status, response.get("Content-Length"), response.get("Content-Range")) == (200, "10", None)


def test_accept_ranges(server, proto):
    assert get(server, "/ten.txt").get("Accept-Ranges") == "bytes"


def test_ranges_of_a_large_file(server, proto):
    with connect(server.port) as connection:
        for first, last in ((0, 0), (1 << 20, (1 << 20) + 9), (100000, 2000000), (len(BIG) - 5, len(BIG) - 1)):
            response = connection.get("/big.bin", fields={"Range": f"bytes={first}-{last}"})
            assert (response.status, response.body) == (206, BIG[first:last + 1])
            assert response.get("Content-Range") == f"bytes {first}-{last}/{len(BIG)}"


def test_condition_before_range(server, proto):
    etag = get(server, "/ten.txt").get("ETag")
    assert get(server, "/ten.txt", If_None_Match=etag, Range="bytes=0-4").status == 304
    assert get(server, "/ten.txt", If_Modified_Since=date(0), Range="bytes=0-4").status == 304


@pytest.mark.parametrize("validator", ["etag", "weak", "other", "date", "later", "earlier", "junk"])
def test_if_range(server, validator, proto):
    """RFC 9110, 13.1.5: only the strong tag, or exactly this date, gives the part; all else the whole."""
    etag = get(server, "/ten.txt").get("ETag")
    value = {"etag": etag, "weak": "W/" + etag, "other": '"x"', "date": date(0), "later": date(10),
        "earlier": date(-10), "junk": "junk"}[validator]
    response = get(server, "/ten.txt", Range="bytes=0-4", If_Range=value)
    assert (response.status, response.body) == ((206, TEN[:5]) if validator in ("etag", "date") else (200, TEN))


@pytest.mark.parametrize("value", ["bytes=" + ",".join(f"{n}-" for n in range(1300)),
    "bytes=" + ",".join(["0-"] * 1300), "bytes=" + ",".join(f"{n}-{n}" for n in range(1000)), "bytes=0-1,2-3",
    "bytes=0-1,0-1", "bytes=0-5,3-9", "bytes=0-0,-1"])
def test_many_ranges_cost_no_more_than_the_file(server, value):
    """CVE-2011-3192: never more than about the whole."""
    response = get(server, "/big.bin", Range=value)
    assert response.status in (200, 206, 416)
    assert len(response.body) < len(BIG) + 200000


def test_seek_by_curl(server, proto):
    got = curl(server.url("/big.bin"), "--range", "1000000-", proto=proto)
    assert (got.exit, got.status) == (0, 206)
    assert got.body == BIG[1000000:]


def test_ranges_beyond_four_gigabytes(server, proto):
    """Positions that need more than 32 bits."""
    size = (5 << 30) + 3
    with open(server.root / "sparse.bin", "wb") as file:
        file.truncate(size)
        for place, content in ((4294967290, b"around the edge"), (size - 4, b"last")):
            file.seek(place)
            file.write(content)
    head = get(server, "/sparse.bin", "HEAD")
    assert (head.status, head.get("Content-Length")) == (200, str(size))
    for spec, first, wanted in (("4294967290-4294967304", 4294967290, b"around the edge"), ("-4", size - 4, b"last"),
                                (f"{size - 4}-", size - 4, b"last"), ("4294967296-4294967299", 4294967296, b" the")):
        response = get(server, "/sparse.bin", Range="bytes=" + spec)
        assert (response.status, response.body) == (206, wanted), spec
        assert response.get("Content-Range") == f"bytes {first}-{first + len(wanted) - 1}/{size}"
    response = get(server, "/sparse.bin", Range=f"bytes={size}-")
    assert (response.status, response.get("Content-Range")) == (416, f"bytes */{size}")
    (server.root / "sparse.bin").unlink()


@pytest.mark.parametrize("when", [0, 1, -1, -86400 * 365 * 70, 2**31, 2**32 + 5, 253402300799, 253402300800, 2**40])
def test_odd_times_of_files(server, when, proto):
    """Files from before 1970 and after 9999: served, and a Last-Modified that is one, or none."""
    path = server.root / "odd-time.txt"
    path.write_bytes(b"odd")
    try:
        os.utime(path, (when, when))
    except OSError:
        pytest.skip("this file system has no such times")
    response = get(server, "/odd-time.txt")
    assert (response.status, response.body) == (200, b"odd")
    modified = response.get("Last-Modified")
    if modified is not None:
        at = email.utils.parsedate_to_datetime(modified)
        assert at <= email.utils.parsedate_to_datetime(response.get("Date"))
        assert len(modified) == 29 and modified.endswith(" GMT")
    for fields in ({"If_Modified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, {"If_Modified_Since": "Fri, 31 Dec 9999 23:59:59 GMT"}):
        assert get(server, "/odd-time.txt", **fields).status in (200, 304)


def test_folder_of_many_files(server):
    """3,000 names, each asked for twice, on four connections: all of them, each its own."""
    folder = server.root / "many"
    folder.mkdir()
    for number in range(3000):
        (folder / f"{number}.txt").write_text(f"n{number}", encoding="utf-8")
    connections = [Connection(server.port) for _ in range(4)]
    for number in list(range(3000)) * 2:
        assert connections[number % 4].get(f"/many/{number}.txt").body == f"n{number}".encode()
    for connection in connections:
        connection.close()


# --- A whole download, and what is in no file ---

def test_transfers_in_parallel(server):
    """Twenty readers of the large file at once, each gets all of it."""
    connections = [Connection(server.port) for _ in range(20)]
    try:
        for connection in connections:
            connection.request("/big.bin")
        for connection in connections:
            assert connection.read(seconds=20).body == BIG
    finally:
        for connection in connections:
            connection.close()


def test_raw_octets_in_targets(server):
    """Octets that should have been encoded: the file itself or a refusal, nothing else."""
    for raw, content in (("/ümläut/日本.txt".encode(), b"utf8"), (b"/latin\xe9.txt", b"latin1"),
            (b'/quo"te<>.txt', b"quote")):
        responses, _ = exchange(server.port,
            b"GET " + raw + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert len(responses) == 1
        assert responses[0].status == 400 or responses[0].body == content
