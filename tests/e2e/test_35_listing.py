# SPDX-License-Identifier: BSD-2-Clause
"""Directory listings (DESIGN §2, listing; §3): where there are any, what they hold, that every link leads to its file whatever
the name, order and pages, freshness, and that they tell no more than the files themselves would."""
import itertools
import os
import re
import shutil
import socket
import time
import urllib.parse

import pytest

from client import connect, curl
from fileroot import PAST, SECRET, Links, ask, browser_join, date, entries, made, put, resolved

CONFIG = """
sites:
  - { listen: "http://127.0.0.1:$port", root: root, listing: on, $compress }
  - listen: "http://127.0.0.1:$port2"
    root: root
    $compress
    routes: { /plain/: { listing: on }, /plain/zz-folder/: { listing: off } }
  - { listen: "http://127.0.0.1:$port3", root: root, listing: on, hidden_files: on, proxy: "127.0.0.1:$backend", $compress }
  - { listen: "http://127.0.0.1:$port4", root: root, listing: on, fallback: /indexed/index.html, $compress }
"""
INDEX = b"<!doctype html><title>an index</title>"
NAMES = ["a b.txt", "ümläut.txt", "日本.txt", 'quo"te.txt', "'single'.txt", "<weirdtag>.txt", '" onmouseover="alert(1)',
    "a&amp;b.txt", "&lt;b&gt;",
    "100%.txt", "%41.txt", "what?.txt", "?page=2", "ha#sh.txt", "semi;colon.txt", "plus+.txt", "javascript:alert(1)", "http:evil",
    "mailto:x@y",
    "back\\slash.txt", "\\evil.test", "new\nline.txt", "tab\t.txt", " leading", "trailing ", "x" * 255, "a:b",
    "\x01ctl", "\x7f", "~", "=", "-dash", "index.html.txt", "\u202egnp.exe", "e\u0301.txt", "é.txt", "]]>", "<!--", "a=b&c=d", "@",
    "*", "|", "^`{}"]
NOT_UTF8 = [b"latin\xe9.txt", b"\xff\xfe", b"\xc0\xae", b"\xed\xa0\x80", b"cut\xe6\x97"]


@pytest.fixture(scope="module")
def server(recorder):
    server = made(CONFIG, secure=True, values={"backend": recorder.port})
    root = server.root
    for name, size, age in (("aa.txt", 30, 3), ("bb.txt", 5, 9), ("cc.txt", 200, 1), ("dd.txt", 0, 5), ("zz-folder/x.txt", 1, 0),
            ("yy-folder/x", 1, 7)):
        put(root, "plain/" + name, b"x" * size, PAST + age)
    for number, name in enumerate(NAMES):
        put(root, "names/" + name, str(number))
    for name in NOT_UTF8:
        put(root, b"octets/" + name, name)
    for name in ("<weirdtag> & co", "a?b#c", "100%", 'quo"te', "new\nline", "ümläut"):
        put(root, f"folders/{name}/file.txt", name)
    put(root, "indexed/index.html", INDEX)
    put(root, "fake/index.html/x.txt", b"x")
    (root / "empty").mkdir()
    for name in (".hidden", ".git/config", "visible.txt", ".well-known/x", "..dots"):
        put(root, "dots/" + name, b"x")
    for name, mode in (("closed", 0), ("no-reading", 0o311), ("closed-index/index.html", 0)):
        put(root, name + "/a.txt" if "." not in name else name, b"inside")
        os.chmod(root / name, mode)
    put(server.folder, "secret.txt", SECRET)
    put(server.folder, "outside/name-of-a-secret.txt", SECRET)
    put(root, "links/real.txt", b"real")
    for name, target in (("in.txt", "real.txt"), ("out.txt", "../../secret.txt"), ("passwd", "/etc/passwd"), ("outdir",
            "../../outside"),
                         ("dangling", "nothing"), ("loop", "loop"), ("indir", "../plain")):
        os.symlink(target, root / "links" / name)
    os.symlink("../outside", root / "outlink")
    os.symlink("plain", root / "inlink")
    put(root, "special/a.txt", b"x")
    os.mkfifo(root / "special" / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(root / "special" / "socket"))
    with server:
        yield server
        for name in ("closed", "no-reading"):
            os.chmod(root / name, 0o755)


def listed(server, target, port="port"):
    return [name.decode("utf-8", "surrogateescape") for name in entries(ask(server, target, port=port),
        server.url(target.partition("?")[0], port=port))]


# --- Where there is a listing ---

@pytest.mark.parametrize("target, port, status", [("/plain/", "port", 200), ("/", "port", 200), ("/empty/", "port", 200), ("/fake/",
    "port", 200),
    ("/plain/", "port2", 200), ("/", "port2", 404), ("/empty/", "port2", 404), ("/plain/zz-folder/", "port2", 404),
    ("/plain/yy-folder/", "port2", 200),
    ("/missing/", "port", 404), ("/plain/missing/", "port", 404), ("/plain/aa.txt/", "port", 404), ("/inlink/", "port", 200),
    ("/plain/./", "port", 200),
    ("/names/../plain/", "port", 200), ("/%70lain/", "port", 200), ("/plain/?anything=else&x", "port", 200)])
def test_where(server, target, port, status, proto):
    """DESIGN §2: off unless said; a route may change it; only for what is a folder without an index."""
    response = ask(server, target, port=port)
    assert response.status == status
    assert response.get("X-Content-Type-Options") == "nosniff"
    if status == 200:
        assert response.get("Content-Type") == "text/html; charset=utf-8"
        assert response.body.decode("utf-8").lower().lstrip().startswith("<!doctype html")


@pytest.mark.parametrize("port", ["port", "port3", "port4"])
def test_an_index_is_no_listing(server, port, proto):
    """DESIGN §3: a directory with an index is its index."""
    assert ask(server, "/indexed/", port=port).body == INDEX


@pytest.mark.parametrize("target, location", [("/plain", "/plain/"), ("/plain?sort=size", "/plain/?sort=size"), ("/indexed",
    "/indexed/"), ("/inlink", "/inlink/")])
def test_folder_gets_its_slash(server, target, location, proto):
    """DESIGN §3: a folder that would be answered gets its slash by a 308, for the links of the listing are relative to it or not."""
    response = ask(server, target)
    assert response.status == 308
    assert response.get("Location").removeprefix("http://localhost") == location


def test_comes_before_the_backend_and_the_fallback(server, recorder, proto):
    """DESIGN §3: static, then proxy, then fallback."""
    recorder.take()
    for port in ("port3", "port4"):
        assert "aa.txt" in listed(server, "/plain/", port)
    assert not recorder.take()
    assert ask(server, "/missing/", port="port3").status == 200 and len(recorder.wait(1)) == 1
    assert ask(server, "/missing/", fields={"Accept": "text/html"}, port="port4").body == INDEX


@pytest.mark.parametrize("port", ["port", "port3", "port4"])
@pytest.mark.parametrize("target", ["/closed/", "/no-reading/", "/closed-index/", "/outlink/"])
def test_what_may_not_be_read(server, recorder, target, port, proto):
    """DESIGN §3: what exists and cannot be read is a 403 and never passes; symlinks: inside, a folder outside is not shown."""
    recorder.take()
    response = ask(server, target, port=port, fields={"Accept": "text/html"})
    assert response.status == 403 and b"a.txt" not in response.body and b"name-of-a-secret" not in response.body
    assert not recorder.take()


def test_files_of_a_folder_without_listing(server, proto):
    """POSIX: who may pass through a folder but not read it may have its files by name."""
    assert ask(server, "/no-reading/a.txt").body == b"inside"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods(server, method, proto):
    """DESIGN §3: static answers GET and HEAD."""
    response = ask(server, "/plain/", method)
    assert response.status in (404, 405) and b"aa.txt" not in response.body
    assert response.status == 404 or {"GET", "HEAD"} <= set(re.split(r"\s*,\s*", response.get("Allow")))


@pytest.mark.parametrize("target", ["/plain/", "/names/", "/empty/", "/plain/?sort=size&order=desc", "/closed/"])
def test_head(server, target, proto):
    """RFC 9110, 9.3.2: the same fields, no body."""
    got, head = ask(server, target), ask(server, target, "HEAD")
    assert (head.status, head.body) == (got.status, b"")
    left = [[(name, value) for name, value in one.fields if name.lower() not in ("date", "content-length")] for one in (got, head)]
    assert left[0] == left[1] and head.get("Content-Length") in (None, str(len(got.body)))


def test_by_curl(server, proto):
    got = curl(server.url("/plain/"), proto=proto)
    assert (got.exit, got.status) == (0, 200) and b"aa.txt" in got.body


def test_a_part_of_a_listing(server, proto):
    """RFC 9110, 14.2: the whole, or the right part of it."""
    whole, part = ask(server, "/plain/"), ask(server, "/plain/", fields={"Range": "bytes=5-14"})
    assert part.status in (200, 206)
    assert part.body == (whole.body if part.status == 200 else whole.body[5:15])


# --- What it holds ---

def test_every_name_leads_to_its_file(server, proto):
    """RFC 3986, 2.1, 4.2, HTML, 13.1.2.3: whatever octets are in a name, its link is understood by a browser and gives that file."""
    assert follow(server, "/names/") == {name.encode(): str(number).encode() for number, name in enumerate(NAMES)}


def test_names_that_are_no_utf8(server, proto):
    """RFC 3986, 2.5: such octets are links like others; and what says charset=utf-8 is UTF-8 (DESIGN §3)."""
    response = ask(server, "/octets/")
    if "utf-8" in response.get("Content-Type"):
        response.body.decode("utf-8")
    assert follow(server, "/octets/") == {name: name for name in NOT_UTF8}


def follow(server, folder):
    """What the links of a listing give, by the names that they stand for."""
    response = ask(server, folder)
    links = [url for url in resolved(response.body.decode("utf-8", "replace"),
        server.url(folder)) if urllib.parse.urlsplit(url).path.startswith(folder)]
    found = {}
    with connect(server.port) as connection:
        for url in links:
            split = urllib.parse.urlsplit(url)
            name = urllib.parse.unquote_to_bytes(split.path.removeprefix(folder))
            if name and not split.query:
                found[name] = connection.get(urllib.parse.quote(split.path, safe="/%!$&'()*+,;=:@~-._")).body
    return found


def test_names_inject_nothing(server, proto):
    """HTML, 13.1.2.4: a name is text, in what is shown and in attributes."""
    page = Links(ask(server, "/names/").body.decode("utf-8"))
    assert "weirdtag" not in page.tags and "onmouseover" not in page.attributes
    for shown in ("<weirdtag>.txt", "a&amp;b.txt", "&lt;b&gt;", "quo\"te.txt", "日本.txt", "100%.txt", "<!--", "]]>"):
        assert shown in page.text, shown


@pytest.mark.parametrize("name", ["<weirdtag> & co", "a?b#c", "100%", 'quo"te', "new\nline", "ümläut"])
def test_folders_of_odd_names(server, name, proto):
    """RFC 3986: a folder is linked with its slash; its page is about it, and its links work."""
    assert name + "/" in listed(server, "/folders/")
    target = "/folders/" + urllib.parse.quote(name) + "/"
    assert listed(server, target) == ["file.txt"]
    page = Links(ask(server, target).body.decode("utf-8"))
    assert "weirdtag" not in page.tags
    response = ask(server, target[:-1])
    assert response.status == 308 and response.get("Location").removeprefix("http://localhost") == target
    assert ask(server, target + "file.txt").body == name.encode()


@pytest.mark.parametrize("target", ["/plain/", "/names/", "/", "//plain/", "///plain//", "/plain/?sort=size", "/empty/", "/plain//",
    "/./plain/"])
def test_links_stay_here(server, target, proto):
    """RFC 3986, 4.2: no link leads to another host, whatever was asked; one goes up at most one folder."""
    response = ask(server, target)
    assert response.status in (200, 308, 404)
    base = server.url("/") + target.removeprefix("/")
    for href in Links(response.body.decode("utf-8")).hrefs:
        split = urllib.parse.urlsplit(browser_join(base, href))
        assert (split.scheme, split.netloc) == ("http", f"127.0.0.1:{server.port}"), href


@pytest.mark.parametrize("query", ['sort="><weirdtag>', "page=%22%3E%3Cweirdtag%3E", "order=<weirdtag>", "%3Cweirdtag%3E",
    "sort=name%0d%0aX-Evil:1"])
def test_queries_inject_nothing(server, query, proto):
    """HTML, 13.1.2.4: what was asked for is no part of the page, or is text in it."""
    response = ask(server, "/plain/?" + query)
    assert response.status in (200, 308, 400, 404) and response.get("X-Evil") is None
    assert "weirdtag" not in Links(response.body.decode("utf-8")).tags


def test_hidden_names(server, proto):
    """DESIGN §2, hidden_files: names that begin with a dot are in no listing, .well-known apart, unless they are served."""
    assert [name for name in listed(server, "/dots/") if name != ".well-known/"] == ["visible.txt"]
    assert b"hidden" not in ask(server, "/dots/").body and ask(server, "/dots/.git/").status == 404
    assert {".hidden", ".git/", "visible.txt", "..dots"} <= set(listed(server, "/dots/", "port3"))
    assert listed(server, "/dots/.git/", "port3") == ["config"]


def test_links_in_a_folder(server, proto):
    """DESIGN §2, symlinks: what a listing links to is served; where a link leads is not told."""
    response = ask(server, "/links/")
    found = [name.rstrip("/") for name in listed(server, "/links/")]
    assert {"real.txt", "in.txt", "indir"} <= set(found)
    for told in (b"/etc", b"secret", b"../../", str(server.folder).encode()):
        assert told not in response.body
    for name in found:
        assert SECRET not in ask(server, "/links/" + name).body
    assert ask(server, "/links/indir/").status == 200


def test_special_files(server, proto):
    """CASES: a FIFO in the root hangs others."""
    begin = time.monotonic()
    assert "a.txt" in listed(server, "/special/")
    assert time.monotonic() - begin < 2


# --- Order ---

BY = {"name": ["aa.txt", "bb.txt", "cc.txt", "dd.txt"], "size": ["dd.txt", "bb.txt", "aa.txt", "cc.txt"],
      "time": ["cc.txt", "aa.txt", "dd.txt", "bb.txt"]}


@pytest.mark.parametrize("query, key, turned", [("", "name", False), ("?sort=name", "name", False), ("?sort=name&order=asc", "name",
    False),
    ("?sort=name&order=desc", "name", True), ("?order=desc", "name", True), ("?sort=size", "size", False), ("?sort=size&order=asc",
    "size", False),
    ("?sort=size&order=desc", "size", True), ("?order=desc&sort=size", "size", True), ("?sort=time&order=asc", "time", False),
    ("?sort=time&order=desc", "time", True), ("?page=1&sort=time&order=desc", "time", True), ("?x=y&sort=size&order=desc&", "size",
    True)])
def test_order(server, query, key, turned, proto):
    """Folders first, always; then by name, size or time, ascending unless said."""
    found = listed(server, "/plain/" + query)
    assert set(found[:2]) == {"yy-folder/", "zz-folder/"}
    assert found[2:] == BY[key][::-1 if turned else 1]
    if key == "name":
        assert found[:2] == ["yy-folder/", "zz-folder/"][::-1 if turned else 1]


def test_order_of_large_sizes(server, proto):
    """Sizes beyond 32 bits are numbers as others are; one of them is no reason to show none."""
    sizes = {"a": 5 << 30, "b": (1 << 32) + 1, "c": 1 << 31, "d": 10, "e": 9}
    for name, size in sizes.items():
        put(server.root, "sizes/" + name)
        os.truncate(server.root / "sizes" / name, size)
    assert listed(server, "/sizes/?sort=size") == ["e", "d", "c", "b", "a"]
    shutil.rmtree(server.root / "sizes")


def test_order_of_odd_times(server, proto):
    """Files from before 1970 and after 2038."""
    for name, when in (("a", 2**33), ("b", -86400 * 365), ("c", 0), ("d", PAST)):
        try:
            put(server.root, "times/" + name, b"x", when)
        except OSError:
            pytest.skip("this file system has no such times")
    if os.stat(server.root / "times" / "a").st_mtime != 2**33:
        pytest.skip("this file system has no such times")
    assert listed(server, "/times/?sort=time&order=asc") == ["b", "c", "d", "a"]


ODD = ["page=0", "page=-1", "page=x", "page=", "page=99999999999999999999999", "page=2", "page=1.5", "page=+1", "page=1&page=2",
    "page=%31", "sort=",
       "sort=nothing", "sort=NAME", "sort=name,size", "order=", "order=up", "sort", "order", "=", "&&&", "?", "sort=name&sort=size",
       "page=4294967297",
       "page=18446744073709551617", "page=9223372036854775807", "%", "%zz=%", "a" * 2000]


def test_odd_queries(server, proto):
    """Users of any server expect it: what no listing understands is ignored or refused; nothing breaks, no name comes twice."""
    faults = []
    for query in ODD:
        response = ask(server, "/plain/?" + query)
        if response.status == 200:
            found = entries(response, server.url("/plain/"))
            if set(found) not in (set(), {b"yy-folder/", b"zz-folder/"} | {name.encode() for name in BY["name"]}):
                faults.append((query, found))
        elif response.status not in (308, 400, 404):
            faults.append((query, response.status))
    assert not faults


# --- Pages ---

FOLDERS = ["folder-a/", "folder-b/", "folder-c/"]


@pytest.fixture(scope="module")
def many(server):
    """A folder of 2,300 files and three folders; and two at the edge of a page."""
    for name in FOLDERS:
        (server.root / "many" / name).mkdir(parents=True)
    for folder, count in (("many", 2300), ("k1000", 1000), ("k1001", 1001)):
        (server.root / folder).mkdir(exist_ok=True)
        for number in range(count):
            (server.root / folder / f"{number:04}.txt").touch()
    return [f"{number:04}.txt" for number in range(2300)]


@pytest.mark.parametrize("query, turned", [("", False), ("&sort=name&order=desc", True), ("&sort=size", None),
    ("&sort=size&order=desc", None)])
def test_pages(server, many, query, turned, proto):
    """At most 1000 entries a page; together the pages hold all, each once, in one order, folders on the first."""
    pages = [listed(server, f"/many/?page={page}{query}") for page in (1, 2, 3)]
    assert [len(page) for page in pages] == [1000, 1000, 303]
    together = sum(pages, [])
    assert set(together[:3]) == set(FOLDERS) and sorted(together[3:]) == many
    if turned is not None:
        assert together[3:] == many[::-1 if turned else 1]


def test_first_page_is_what_comes(server, many, proto):
    assert listed(server, "/many/") == listed(server, "/many/?page=1")
    assert len(many) == 2300


@pytest.mark.parametrize("query", ["", "?page=1&sort=size&order=desc"])
def test_pages_are_linked(server, many, query, proto):
    """Who reads the first page can reach the others, in the order that was asked for."""
    assert many
    pages, target = [], "/many/" + query
    asked = urllib.parse.parse_qs(query[1:])
    for number in (2, 3, 4):
        response = ask(server, target)
        pages += entries(response, server.url("/many/"))
        links = [urllib.parse.urlsplit(url) for url in resolved(response.body.decode("utf-8"), server.url(target)) if "?" in url]
        following = [split for split in links if urllib.parse.parse_qs(split.query).get("page") == [str(number)]]
        if number == 4:
            assert not following
            break
        assert following and {split.path for split in following} == {"/many/"}
        same = [split for split in following if all(urllib.parse.parse_qs(split.query).get(key) == asked[key] for key in asked if key != "page")]
        assert same, f"no link to page {number} keeps {query}"
        target = f"/many/?{same[0].query}"
    assert len(set(pages)) == len(pages) == 2303


def test_edge_of_a_page(server, many, proto):
    assert len(many) == 2300
    assert len(listed(server, "/k1000/")) == 1000 and len(listed(server, "/k1001/")) == 1000
    assert listed(server, "/k1001/?page=2") == ["1000.txt"]
    links = resolved(ask(server, "/k1000/").body.decode("utf-8"), server.url("/k1000/"))
    assert not [url for url in links if "page=2" in url]
    beyond = ask(server, "/k1000/?page=2")
    assert beyond.status in (200, 404) and (beyond.status == 404 or len(entries(beyond, server.url("/k1000/"))) in (0, 1000))


# --- Freshness and conditions ---

def test_changes_are_seen(server, proto):
    """DESIGN §3: changed on disk: the next request sees the change, on every thread."""
    folder = server.root / "fresh"
    folder.mkdir(exist_ok=True)
    connections = [connect(server.port) for _ in range(4)]
    turns = itertools.cycle(connections)

    def all_see(wanted):
        for _ in range(5):
            response = next(turns).get("/fresh/")
            assert [name.decode() for name in entries(response, server.url("/fresh/"))] == wanted

    for _ in range(5):
        all_see([])
        (folder / "one").touch()
        all_see(["one"])
        (folder / "two").mkdir()
        all_see(["two/", "one"])
        os.rename(folder / "one", folder / "three")
        all_see(["two/", "three"])
        (folder / "index.html").write_bytes(INDEX)
        assert all(next(turns).get("/fresh/").body == INDEX for _ in range(5))
        (folder / "index.html").unlink()
        all_see(["two/", "three"])
        (folder / "two").rmdir()
        (folder / "three").unlink()
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("change", ["appears", "grows", "ages", "goes"])
def test_validators_of_a_listing(server, change, proto):
    """RFC 9110, 8.8.1, 13.2.2: where a listing has validators they change with all that it shows; a folder's own time would not."""
    folder = f"valid-{change}-{proto}"
    path = put(server.root, folder + "/a.txt", b"a")
    put(server.root, folder + "/b.txt", b"b")
    os.utime(server.root / folder, (PAST, PAST))
    before = ask(server, f"/{folder}/")
    if change == "appears":
        put(server.root, folder + "/c.txt", b"c")
    elif change == "goes":
        os.unlink(path)
    else:
        put(server.root, folder + "/a.txt", b"a" * 70000 if change == "grows" else b"a",
            PAST + (86400 * 50 if change == "ages" else 0))
    os.utime(server.root / folder, (PAST, PAST))
    after = ask(server, f"/{folder}/")
    if after.body == before.body:
        assert change in ("grows", "ages"), "sizes and times need not be shown, names must"
        return
    assert before.get("ETag") is None or after.get("ETag") != before.get("ETag")
    for name, value in (("If-None-Match", before.get("ETag")), ("If-Modified-Since", before.get("Last-Modified"))):
        if value:
            assert ask(server, f"/{folder}/", fields={name: value}).status == 200, name


def test_conditions_on_a_listing(server, proto):
    """RFC 9110, 13.1: a tag that was given counts; a listing exists, so * matches it where conditions count at all."""
    etag = ask(server, "/plain/").get("ETag")
    assert etag is None or ask(server, "/plain/", fields={"If-None-Match": etag}).status == 304
    assert ask(server, "/plain/", fields={"If-None-Match": '"other"'}).status == 200
    assert ask(server, "/plain/", fields={"If-None-Match": '"other"', "If-Modified-Since": date(10**9)}).status == 200
