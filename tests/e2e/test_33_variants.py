# SPDX-License-Identifier: BSD-2-Clause
"""Variants (DESIGN §3; RFC 9110, 8.4, 8.8.3, 12, 14): sidecars by Accept-Encoding, other image formats by Accept, what is stale,
each variant's own tag and ranges, Vary."""
import itertools
import os
import time

import pytest

from client import connect, curl
from fileroot import (PAST, SECOND, SECRET, SUFFIX, ask, date, encode, fields, made, max_age, put, seconds_of, words)

CONFIG = """
sites:
  - listen: "http://127.0.0.1:$port"
    root: root
    max_age: { "*.css": 7d }
    errors: { 404: /404.html }
    $compress
"""
PAGE = b"<!doctype html><title>page</title>" + b"<p>weir</p>" * 10
CODED = {coding: encode(PAGE, coding) for coding in SUFFIX} | {None: PAGE}
JPEG, AVIF, WEBP = b"\xff\xd8\xff\xe0 a photograph as jpeg", b"....ftypavif as avif", b"RIFF....WEBPVP8 as webp"
IMAGES = {"image/jpeg": JPEG, "image/avif": AVIF, "image/webp": WEBP}


def sidecars(root, name, codings, content=PAGE, when=PAST):
    """A file and its sidecars."""
    put(root, name, content, when)
    for coding in codings.split():
        put(root, name + SUFFIX[coding], encode(content, coding), when)


@pytest.fixture(scope="module")
def server():
    server = made(CONFIG, secure=True)
    root = server.root
    for name in ("page.html", "index.html", "style.css", "404.html", "sub/index.html"):
        sidecars(root, name, "zstd br gzip")
    for name, codings in (("gz.html", "gzip"), ("br.html", "br"), ("zst.html", "zstd"), ("gz-br.html", "gzip br"),
                          ("gz-zst.html", "gzip zstd"), ("none.html", "")):
        sidecars(root, name, codings)
    for name, formats in (("photo.jpg", "avif webp"), ("only-webp.jpg", "webp"), ("only-avif.jpg", "avif"), ("no.jpg", "")):
        put(root, name, JPEG)
        for kind in formats.split():
            put(root, f"{name}.{kind}", IMAGES["image/" + kind])
    with server:
        yield server


def coding_of(response, coded=None):
    """Which variant came: name, octets and length agree, or this fails."""
    coded = coded or CODED
    coding = response.get("Content-Encoding")
    assert coding in coded, coding
    assert response.body == coded[coding], f"labelled {coding}"
    return coding or "-"


def get(server, target, encoding=None, method="GET", **more):
    """A request whose Accept-Encoding is this: a text, several lines, or none."""
    lines = [encoding] if isinstance(encoding, str) else encoding or []
    return ask(server, target, method, [("Accept-Encoding", line) for line in lines] + fields(**more))


# --- Accept-Encoding (RFC 9110, 12.4.2, 12.5.3); "-" is the file itself, several words are all right ---

PREFERENCES = [
    (None, "-"), ("", "-"), ("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("gzip, br", "br"), ("br, gzip", "br"),
    ("gzip, br, zstd", "zstd"), ("gzip, deflate, br, zstd", "zstd"), ("gzip, deflate, br", "br"), ("gzip, deflate", "gzip"),
    ("gzip;q=0.9, br;q=0.1", "gzip"), ("br;q=0.5, gzip;q=0.5, zstd;q=0.4", "br"), ("br;q=1.0, gzip;q=0.8, *;q=0.1", "br"),
    ("gzip;q=1.000, zstd;q=0.999", "gzip"), ("br;q=0.123, gzip;q=0.124", "gzip"), ("gzip;q=1., br;q=0.5", "gzip"),
    ("gzip;q=0", "-"), ("gzip; q=0", "-"), ("gzip ;q=0", "-"), ("gzip\t;\tq=0", "-"), ("gzip;q=0.000", "-"), ("gzip;Q=0", "-"),
    ("gzip;q=0.", "-"), ("gzip;q=0, br", "br"), ("br;q=0, zstd;q=0, gzip", "gzip"), ("zstd;q=0, gzip, br;q=0.9", "gzip"),
    ("identity", "-"), ("gzip;q=0.5, identity", "-"), ("gzip;q=0.5, identity;q=0.9", "-"), ("gzip, identity;q=0.5", "gzip"),
    ("identity;q=0.5, *;q=0", "-"), ("*;q=0, identity", "-"), ("gzip;q=0.1, *;q=0", "gzip"), ("identity;q=0, gzip", "gzip"),
    ("identity;q=0, gzip;q=0.001", "gzip"), ("identity;q=0, *", "zstd"), ("zstd;q=0, br;q=0.5, *;q=0", "br"),
    ("*;q=0.5, gzip", "gzip"), ("*;q=0.5, identity", "-"), ("gzip;q=0.5, identity;q=0.5", "gzip -"),
    ("gzip;q=0.5", "gzip -"), ("*", "zstd -"), ("br;q=0, *", "zstd -"), ("zstd;q=0, br;q=0, *", "gzip -"),
    ("gzip;q=0.5, *;q=0.8", "zstd -"), ("GZIP", "gzip"), ("Br", "br"), ("gZip;q=0.3, ZSTD", "zstd"), ("x-gzip", "gzip"),
    ("deflate", "-"), ("compress, deflate", "-"), ("gzipx", "-"), ("xgzip", "-"), ("gzi", "-"), ("br-x", "-"), ("dcb, dcz", "-"),
    (", ,gzip,, ", "gzip"), (["gzip;q=0.5", "br"], "br"), (["gzip", "gzip;q=0.2, zstd;q=0.5, br;q=0.1"], "gzip zstd"),
    (["identity;q=0", "gzip"], "gzip"), (", ".join(f"x{n}" for n in range(1000)) + ", br", "br -"),
]


@pytest.mark.parametrize("header, wanted", PREFERENCES)
def test_preferred_coding(server, header, wanted, proto):
    """RFC 9110, 12.5.3; on equal quality zst, br, gz. What is labelled is what is sent, with its own length and the page's type."""
    response = get(server, "/page.html", header)
    assert response.status == 200
    assert coding_of(response) in wanted.split()
    assert response.get("Content-Type") == "text/html; charset=utf-8"
    assert response.get("Content-Length") == str(len(response.body))
    assert "accept-encoding" in words(response, "Vary")


MALFORMED = ["gzip;q=2", "gzip;q=-1", "gzip;q=x", "gzip;q=", "gzip;q", "gzip;;q=1", "gzip q=1", ";q=1", ";", "q=0.5",
    "gzip;q=0.0001",
             "gzip;q=1.001", "gzip;level=9", 'gzip;q="1"', "gzip;q=1;q=0", "gzip=1", "gzip, gzip;q=0", "\xff", "gzip/br"]


def test_malformed_preference(server, proto):
    """RFC 9110, 12.5.3: nothing obliges to refuse it; whatever is made of it, an answer that is what it says."""
    for header in MALFORMED:
        response = get(server, "/page.html", header)
        assert response.status == 200 and coding_of(response) in ("-", "gzip"), header


@pytest.mark.parametrize("name, header, wanted", [("gz", "zstd, br;q=0.5, gzip;q=0.1", "gzip"), ("gz", "br, zstd", "-"),
    ("br", "gzip, br;q=0.2", "br"), ("br", "gzip, zstd", "-"), ("zst", "gzip, br, zstd;q=0.1", "zstd"), ("gz-br", "zstd, gzip, br",
    "br"),
    ("gz-zst", "gzip, br, zstd", "zstd"), ("gz-zst", "br, gzip;q=0.9, zstd;q=0.8", "gzip"), ("gz-br", "identity;q=0, *", "br"),
    ("gz", "identity;q=0, *;q=0.1", "gzip"), ("none", "gzip, br, zstd", "-")])
def test_what_is_there(server, name, header, wanted, proto):
    """DESIGN §3: a sidecar answers where it is preferred among those that there are."""
    assert coding_of(get(server, f"/{name}.html", header)) == wanted


@pytest.mark.parametrize("target, header", [("/page.html", "identity;q=0, gzip;q=0, br;q=0, zstd;q=0"), ("/page.html", "*;q=0"),
    ("/none.html", "identity;q=0"), ("/none.html", "identity;q=0, gzip, br, zstd"), ("/gz.html", "identity;q=0, br"),
    ("/gz.html", "br, *;q=0"), ("/page.html", "identity;q=0, deflate")])
def test_nothing_is_acceptable(server, target, header, proto):
    """RFC 9110, 12.5.3, 15.5.7: 406 where identity is forbidden and nothing else is acceptable; for HEAD as for GET."""
    for method in ("GET", "HEAD"):
        response = get(server, target, header, method, If_None_Match="*")
        assert response.status == 406
        assert response.get("Content-Encoding") is None and PAGE not in response.body


@pytest.mark.parametrize("target, method, status", [("/missing.html", "GET", 404), ("/sub", "GET", 308), ("/page.html", "POST",
    405),
                                                    ("/%zz", "GET", 400), ("/page.html", "OPTIONS", (200, 204))])
def test_not_acceptable_is_about_files(server, target, method, status, proto):
    """RFC 9110, 15.5.7: what has no representation to choose is answered as ever."""
    response = get(server, target, "identity;q=0", method)
    assert response.status in (status if isinstance(status, tuple) else (status,))


def test_index_and_error_pages_have_variants(server, proto):
    """DESIGN §3: a directory's index is a file as others are; an error page too, or it is sent as it is."""
    for target in ("/", "/sub/"):
        assert coding_of(get(server, target, "gzip")) == "gzip"
    response = get(server, "/missing", "gzip")
    assert response.status == 404 and coding_of(response) in ("-", "gzip")


@pytest.mark.parametrize("coding", SUFFIX)
def test_curl_decodes(server, proto, coding):
    """RFC 9110, 8.4.1: what a client makes of it is the page."""
    got = curl(server.url("/page.html"), "--compressed", "--header", f"Accept-Encoding: {coding}", proto=proto)
    assert (got.exit, got.status, got.get("Content-Encoding"), got.body) == (0, 200, coding, PAGE)


# --- Validators, Vary, ranges ---

def test_tags_are_the_variants_own(server, proto):
    """RFC 9110, 8.8.3.3: a strong tag differs between codings; it is the same each time."""
    tags = {coding: get(server, "/page.html", coding).get("ETag") for coding in (None, *SUFFIX)}
    assert len(set(tags.values())) == 4 and all(tag.startswith('"') for tag in tags.values())
    for coding, tag in tags.items():
        assert get(server, "/page.html", coding, "HEAD").get("ETag") == tag
        assert get(server, "/style.css", coding).get("ETag") == tag, "DESIGN §3: tags come from content"


def test_tags_follow_the_content(server, proto):
    """DESIGN §3: unchanged by a rebuild that changed nothing; what changes the sidecar changes its tag and no other."""
    sidecars(server.root, "tags.html", "gzip br")
    before = {coding: get(server, "/tags.html", coding).get("ETag") for coding in (None, "gzip", "br")}
    sidecars(server.root, "tags.html", "gzip br", when=PAST + 100)
    assert {coding: get(server, "/tags.html", coding).get("ETag") for coding in before} == before
    put(server.root, "tags.html.gz", encode(PAGE, "gzip") + encode(b"more", "gzip"), PAST + 200)
    after = {coding: get(server, "/tags.html", coding).get("ETag") for coding in before}
    assert after["gzip"] not in before.values() and (after["br"], after[None]) == (before["br"], before[None])


@pytest.mark.parametrize("target, name, field", [("/page.html", "Accept-Encoding", "gzip"), ("/photo.jpg", "Accept", "image/avif")])
def test_vary_wherever_it_could_differ(server, target, name, field, proto):
    """DESIGN §3, RFC 9110, 12.5.5: on 200, 206 and 304, with a variant and without, for GET and HEAD."""
    for chosen in ([], [(name, field)]):
        etag = ask(server, target, fields=chosen).get("ETag")
        for method, statuses, more in (("GET", (200,), []), ("HEAD", (200,), []), ("GET", (206,), [("Range", "bytes=0-3")]),
                                       ("GET", (200, 206), [("Range", "bytes=0-1,4-5")]), ("GET", (304,), [("If-None-Match",
                                       etag)]),
                                       ("GET", (304,), [("If-Modified-Since", date(10))])):
            response = ask(server, target, method, chosen + more)
            assert response.status in statuses and name.lower() in words(response, "Vary"), (method, chosen, more)


@pytest.mark.parametrize("coding", SUFFIX)
def test_ranges_of_a_variant(server, coding, proto):
    """DESIGN §3, RFC 9110, 14.2: positions are those of the coded octets; 416 tells their number."""
    data = CODED[coding]
    tag = get(server, "/page.html", coding).get("ETag")
    for spec, first, last in (("0-9", 0, 9), ("5-", 5, len(data) - 1), ("-4", len(data) - 4, len(data) - 1)):
        response = get(server, "/page.html", coding, Range="bytes=" + spec)
        assert (response.status, response.body) == (206, data[first:last + 1])
        assert response.get("Content-Range") == f"bytes {first}-{last}/{len(data)}"
        assert (response.get("Content-Encoding"), response.get("ETag")) == (coding, tag)
    response = get(server, "/page.html", coding, Range=f"bytes={len(data)}-")
    assert (response.status, response.get("Content-Range")) == (416, f"bytes */{len(data)}")


def test_head_of_a_variant(server, proto):
    """RFC 9110, 9.3.2."""
    for coding in (None, *SUFFIX):
        got, head = get(server, "/page.html", coding), get(server, "/page.html", coding, "HEAD")
        assert [field for field in got.fields if field[0].lower() != "date"] == [field for field in head.fields if field[0].lower() != "date"]


def test_last_modified_of_a_variant(server, proto):
    """RFC 9110, 8.8.2: a valid date that is not in the future, and not from before the file itself."""
    put(server.root, "dated.html", PAGE, PAST)
    put(server.root, "dated.html.gz", CODED["gzip"], int(time.time()) + 86400)
    response = get(server, "/dated.html", "gzip")
    assert coding_of(response) == "gzip"
    if response.get("Last-Modified"):
        assert PAST <= seconds_of(response.get("Last-Modified")) <= seconds_of(response.get("Date"))


def test_max_age_of_a_variant(server, proto):
    """DESIGN §2, max_age: *.css is the name that was asked for, whatever file answers for it."""
    for coding in (None, *SUFFIX):
        response = get(server, "/style.css", coding)
        assert (coding_of(response), max_age(response)) == (coding or "-", 7 * 86400)
        assert response.get("Content-Type") == "text/css; charset=utf-8"


# --- What is not older than the file (nanoseconds, or whole seconds where the sidecar has no fraction) ---

AGES = [(0, 0, True), (0, 5 * SECOND, True), (0, -SECOND, False), (0, -1, False), (600_000_000, 600_000_000, True),
        (600_000_000, 500_000_000, False), (500_000_001, 500_000_000, False), (900_000_000, 1, False), (900_000_000, 0, True),
        (900_000_000, SECOND, True), (900_000_000, -SECOND, False), (1, 0, True), (SECOND, 0, False), (SECOND, SECOND - 1, False),
        (SECOND - 1, SECOND, True), (0, 10**9 * SECOND, True)]


@pytest.mark.parametrize("suffix", [".gz", ".br", ".zst", ".avif", ".webp"])
def test_older_sidecar(server, suffix, proto):
    """DESIGN §3: variants answer where they are not older than the file: (the file's age, the sidecar's, whether it is used)."""
    coded = suffix in SUFFIX.values()
    content, variant = (PAGE, b"of any kind") if coded else (JPEG, AVIF)
    faults = []
    for original, sidecar, used in AGES:
        name = f"age{suffix}/{original}.{sidecar}" + (".html" if coded else ".jpg")
        for path, old, data in ((name, original, content), (name + suffix, sidecar, variant)):
            if os.stat(put(server.root, path, data, ns=PAST * SECOND + old)).st_mtime_ns != PAST * SECOND + old:
                pytest.skip("this file system keeps no nanoseconds")
        response = ask(server, "/" + name, fields=[("Accept-Encoding", "gzip, br, zstd"), ("Accept", "image/webp,image/avif,*/*")])
        if (response.status, response.body) != (200, variant if used else content):
            faults.append((original, sidecar, used, response.status))
    assert not faults


def test_a_fresh_one_behind_a_stale_one(server, proto):
    """DESIGN §3: a sidecar that is passed over leaves the next to answer."""
    sidecars(server.root, "mixed.html", "zstd br gzip")
    os.utime(server.root / "mixed.html.zst", (PAST - 10, PAST - 10))
    assert coding_of(get(server, "/mixed.html", "zstd, br;q=0.9, gzip;q=0.5")) == "br"
    assert coding_of(get(server, "/mixed.html", "zstd")) == "-"
    assert get(server, "/mixed.html", "zstd, identity;q=0").status == 406


def test_sidecars_come_and_go(server, proto):
    """DESIGN §3: changed on disk, the next request sees the change, on every thread."""
    connections = [connect(server.port) for _ in range(4)]
    turns = itertools.cycle(connections)

    def all_see(wanted, status=200):
        for _ in range(6):
            response = next(turns).get("/comes.html", fields={"Accept-Encoding": "gzip"})
            assert response.status == status
            assert status != 200 or coding_of(response, coded) == wanted

    path, coded = server.root / "comes.html", CODED
    for number in range(5):
        put(server.root, "comes.html", PAGE)
        all_see("-")
        put(server.root, "comes.html.gz", CODED["gzip"])
        all_see("gzip")
        coded = {None: b"new", "gzip": CODED["gzip"]}
        put(server.root, "comes.html", b"new", PAST + 10)
        all_see("-")
        os.utime(server.root / "comes.html.gz", (PAST + 20, PAST + 20))
        all_see("gzip")
        os.utime(server.root / "comes.html.gz", (PAST + 5, PAST + 5))
        all_see("-")
        os.utime(server.root / "comes.html.gz", (PAST + 20, PAST + 20))
        os.chmod(server.root / "comes.html.gz", 0)
        all_see("-")
        os.chmod(server.root / "comes.html.gz", 0o644)
        all_see("gzip")
        os.rename(server.root / "comes.html.gz", server.root / f"gone{number}.gz")
        all_see("-")
        path.unlink()
        all_see("-", 404)
        coded = CODED
    for connection in connections:
        connection.close()


def test_sidecar_written_in_place(server, proto):
    """DESIGN §3: a tag is of the content: other octets of the same length and time have another."""
    put(server.root, "place.html", PAGE)
    tags = set()
    for letter in (b"a", b"b", b"c"):
        put(server.root, "place.html.gz", letter * 300)
        response = get(server, "/place.html", "gzip")
        assert (response.get("Content-Encoding"), response.body) == ("gzip", letter * 300)
        tags.add(response.get("ETag"))
    assert len(tags) == 3


# --- Sidecars that are none ---

@pytest.mark.parametrize("kind", ["folder", "fifo", "dangling", "loop", "outside", "unreadable"])
def test_no_regular_sidecar(server, kind, proto):
    """DESIGN §3: what cannot answer for the file is passed over: no hang, no error, nothing from outside of the root."""
    name = f"{kind}-{proto}.html"
    put(server.root, name, PAGE)
    path = server.root / (name + ".gz")
    put(server.folder, "outside.gz", SECRET)
    {"folder": path.mkdir, "fifo": lambda: os.mkfifo(path, 0o666), "dangling": lambda: os.symlink("nothing", path),
     "loop": lambda: os.symlink(path.name, path), "outside": lambda: os.symlink("../outside.gz", path),
     "unreadable": lambda: os.chmod(put(server.root, name + ".gz", CODED["gzip"]), 0)}[kind]()
    begin = time.monotonic()
    response = get(server, "/" + name, "gzip")
    assert (response.status, coding_of(response)) == (200, "-")
    assert time.monotonic() - begin < 2


def test_sidecar_by_an_inner_link(server, proto):
    """DESIGN §2, symlinks: inside."""
    put(server.root, f"linked-{proto}.html", PAGE)
    put(server.root, "store/data", CODED["gzip"])
    os.symlink("store/data", server.root / f"linked-{proto}.html.gz")
    assert coding_of(get(server, f"/linked-{proto}.html", "gzip")) == "gzip"


def test_age_of_a_link(server, proto):
    """DESIGN §3: it is the file that must not be newer, not the link that names it."""
    put(server.root, "store/page", PAGE, PAST + 10)
    os.symlink("store/page", server.root / f"aged-{proto}.html")
    os.utime(server.root / f"aged-{proto}.html", (PAST, PAST), follow_symlinks=False)
    put(server.root, f"aged-{proto}.html.gz", CODED["gzip"], PAST + 5)
    assert coding_of(get(server, f"/aged-{proto}.html", "gzip")) == "-"
    os.utime(server.root / f"aged-{proto}.html.gz", (PAST + 10, PAST + 10))
    assert coding_of(get(server, f"/aged-{proto}.html", "gzip")) == "gzip"


def test_unreadable_file_with_a_sidecar(server, proto):
    """DESIGN §3: a file that cannot be read is a 403, whatever stands beside it."""
    sidecars(server.root, "closed.html", "gzip")
    os.chmod(server.root / "closed.html", 0)
    assert get(server, "/closed.html", "gzip").status == 403


@pytest.mark.parametrize("target", ["/lost.html", "/lost.jpg"])
def test_sidecar_alone(server, target, proto):
    """DESIGN §3: variants stand beside a name; without it there is nothing."""
    put(server.root, "lost.html.gz", CODED["gzip"])
    put(server.root, "lost.jpg.avif", AVIF)
    assert ask(server, target, fields=[("Accept-Encoding", "gzip"), ("Accept", "image/avif")]).status == 404


def test_sidecars_by_their_own_names(server, proto):
    """RFC 9110, 8.4: a file named .gz is a gzip file, not a page that is coded."""
    for coding, types in (("gzip", ("application/gzip", "application/x-gzip")), ("br", None), ("zstd", ("application/zstd",))):
        response = get(server, "/page.html" + SUFFIX[coding], "gzip, br, zstd")
        assert (response.status, response.body) == (200, CODED[coding])
        assert response.get("Content-Encoding") is None
        assert not types or response.get("Content-Type") in types
    assert ask(server, "/photo.jpg.avif", fields={"Accept": "image/jpeg"}).get("Content-Type") == "image/avif"


# --- Images by Accept ---

CHROME = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


@pytest.mark.parametrize("accept, wanted", [
    (None, "jpeg"), ("*/*", "jpeg"), ("image/*", "jpeg"), ("image/*,*/*;q=0.8", "jpeg"), (CHROME, "avif"),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8", "avif"),
    ("image/webp,image/avif,image/jxl,*/*;q=0.5", "avif"), ("image/webp,*/*", "webp"), ("image/webp", "webp"), ("image/avif",
    "avif"),
    ("image/avif;q=0, image/webp", "webp"), ("image/avif;q=0.5, image/webp;q=0.9", "webp"), ("image/avif;q=0.5, image/jpeg",
    "jpeg"),
    ("image/avif;q=0.5, */*", "jpeg"), ("image/avif;q=0.8, */*;q=0.8", "avif"), ("image/webp;q=0.7, image/*;q=0.8", "jpeg"),
    ("image/jpeg, image/avif, image/webp", "avif"), ("image/jpeg;q=0.1, image/webp;q=0.2", "webp"), ("IMAGE/AVIF", "avif"),
    ("image/avif;q=0.9,image/webp;q=0.9,*/*;q=0.1", "avif"), ("image/webp;q=0.001, */*;q=0", "webp"), ("image/avif-sequence, */*",
    "jpeg"),
    ("ximage/avif, */*", "jpeg"), ("image/avi, */*", "jpeg"), (", image/webp ,, */*;q=0.1", "webp"), ("image/webp ; q=0 , */*",
    "jpeg"),
    ('text/x;a="image/avif", */*', "jpeg"), ('text/x;a=",image/avif,", */*', "jpeg"),
])
def test_preferred_image(server, accept, wanted, proto):
    """DESIGN §3: by Accept, avif before webp, only where it is named, and not where the original has the higher quality."""
    response = ask(server, "/photo.jpg", fields=fields(Accept=accept))
    assert (response.status, response.get("Content-Type"), response.body) == (200, "image/" + wanted, IMAGES["image/" + wanted])
    assert "accept" in words(response, "Vary") and response.get("Content-Encoding") is None


ODD = ["text/html", "image/avif;q=0", "image/jpeg;q=0", "", "image/avif;q=x, */*", "image/avif;q=2", "image/", "/avif", "image",
       "image/avif/webp", "image/avif q=1", 'image/avif;x="', "*", "*/avif"]


def test_odd_accept(server, proto):
    """RFC 9110, 12.5.1: where nothing fits, or nothing is meant, a right answer that is what it says; or 406."""
    for accept in ODD:
        response = ask(server, "/photo.jpg", fields={"Accept": accept})
        assert response.status in (200, 406), accept
        assert response.status == 406 or response.body == IMAGES[response.get("Content-Type")], accept


@pytest.mark.parametrize("name, accept, wanted", [("only-webp", CHROME, "webp"), ("only-avif", "image/webp,*/*;q=0.8", "jpeg"),
                                                  ("only-webp", "image/avif,*/*;q=0.8", "jpeg"), ("no", CHROME, "jpeg")])
def test_which_images_are_there(server, name, accept, wanted, proto):
    """DESIGN §3: beside `name`."""
    response = ask(server, f"/{name}.jpg", fields={"Accept": accept})
    assert (response.get("Content-Type"), response.body) == ("image/" + wanted, IMAGES["image/" + wanted])


def test_accept_on_two_lines(server, proto):
    """RFC 9110, 5.3: lines of a list are one list."""
    response = ask(server, "/photo.jpg", fields=[("Accept", "image/*;q=0.5"), ("Accept", "image/webp")])
    assert response.get("Content-Type") == "image/webp"


def test_an_image_variant_is_an_entity(server, proto):
    """DESIGN §3: a tag, a length and ranges of its own."""
    tags = set()
    for kind, data in IMAGES.items():
        accept = ("Accept", kind)
        response = ask(server, "/photo.jpg", fields=[accept])
        tags.add(response.get("ETag"))
        part = ask(server, "/photo.jpg", fields=[accept, ("Range", "bytes=2-"), ("If-Range", response.get("ETag"))])
        assert (part.status, part.get("Content-Type"), part.body) == (206, kind, data[2:])
        assert part.get("Content-Range") == f"bytes 2-{len(data) - 1}/{len(data)}"
        assert ask(server, "/photo.jpg", fields=[accept, ("If-None-Match", response.get("ETag"))]).status == 304
    assert len(tags) == 3 and all(tag.startswith('"') for tag in tags)


def test_both_kinds_of_variants(server, proto):
    """DESIGN §3: a file that has both says what came, and both names in Vary."""
    for name, content in (("chart.png", b"\x89PNG\r\n\x1a\n chart"), ("chart.png.webp", WEBP), ("chart.png.gz", CODED["gzip"])):
        put(server.root, name, content)
    for accept, encoding in itertools.product(("image/webp,*/*", "*/*"), ("gzip", "identity")):
        response = ask(server, "/chart.png", fields={"Accept": accept, "Accept-Encoding": encoding})
        label = (response.get("Content-Type"), response.get("Content-Encoding"))
        assert response.body == {("image/webp", None): WEBP, ("image/png", "gzip"): CODED["gzip"],
                                 ("image/png", None): b"\x89PNG\r\n\x1a\n chart"}[label]
        assert {"accept", "accept-encoding"} <= words(response, "Vary")


def test_a_page_is_no_photograph(server, proto):
    """DESIGN §3 names photographs: a page beside which a picture stands stays a page, also for a browser that would take AVIF."""
    put(server.root, "shot.html", PAGE)
    put(server.root, "shot.html.webp", WEBP)
    response = ask(server, "/shot.html", fields={"Accept": "text/html,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"})
    assert (response.get("Content-Type"), response.body) == ("text/html; charset=utf-8", PAGE)
