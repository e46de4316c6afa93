# SPDX-License-Identifier: BSD-2-Clause
"""Conditional and range requests (RFC 9110, 8.8, 13, 14): every combination of the four preconditions against a model of section
13.2.2, If-Range, lists, dates, multipart/byteranges; on plain files, large ones and variants."""
import itertools
import os
import random
import time

import pytest

from client import Connection
from fileroot import PAST, SECOND, ask, date, encode, fields, made, max_age, obsolete, parts, put, seconds_of, words
from server import wait_for

CONFIG = """
sites:
  - { listen: "http://127.0.0.1:$port", root: root, max_age: { "page.html": 1h }, $compress }
"""
TEXT = b"".join(b"line %06d\n" % number for number in range(20000))  # 240 kB
LARGE = bytes(range(256)) * (5 << 12) + b"the end"  # 5 MiB and a bit: beyond the size to which tags come from content
PAGE = random.Random(1).randbytes(120000)
PACKED = encode(PAGE, "gzip")

# What is asked for, with which fields, and the octets that this selects.
TARGETS = {"plain": ("/text.txt", [], TEXT), "large": ("/large.bin", [], LARGE), "index": ("/sub/", [], b"index"),
           "gzip": ("/page.html", [("Accept-Encoding", "gzip")], PACKED), "webp": ("/photo.jpg", [("Accept", "image/webp")],
           b"as webp")}


@pytest.fixture(scope="module")
def server():
    server = made(CONFIG, secure=True)
    root = server.root
    put(root, "text.txt", TEXT)
    put(root, "large.bin", LARGE)
    put(root, "sub/index.html", b"index")
    put(root, "page.html", PAGE)
    put(root, "page.html.gz", PACKED)
    put(root, "photo.jpg", b"as jpeg")
    put(root, "photo.jpg.webp", b"as webp")
    put(root, "ten.txt", b"0123456789")
    os.chmod(put(root, "closed.txt", b"x"), 0)
    with server:
        # one that changed within its second has no strong tag yet
        wait_for(lambda: ask(server, "/large.bin").get("ETag").startswith('"'), what="the large file to be of age")
        yield server


class Target:
    """One of the targets, and its validators as weir gives them."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.path, self.chosen, self.content = TARGETS[name]
        whole = self.ask()
        assert (whole.status, whole.body) == (200, self.content)
        self.tag, self.modified, self.whole = whole.get("ETag"), seconds_of(whole.get("Last-Modified")), whole
        other = "/text.txt" if self.path != "/text.txt" else "/ten.txt"
        self.other = ask(server, self.path if self.chosen else other).get("ETag")  # of another variant, or of another file
        assert self.tag.startswith('"') and self.tag != self.other

    def ask(self, method="GET", **more):
        return ask(self.server, self.path, method, self.chosen + fields(**more))


@pytest.fixture(params=TARGETS)
def target(server, request):
    return Target(server, request.param)


@pytest.fixture(scope="module")
def targets(server):
    return [Target(server, name) for name in TARGETS]


# --- All combinations ---

TAGS = ["absent", "match", "weak", "other", "any", "list", "junk"]
DATES = ["absent", "same", "later", "earlier", "junk"]


def tag_value(target, kind):
    return {"absent": None, "match": target.tag, "weak": "W/" + target.tag, "other": target.other, "any": "*",
            "list": f'"x",{target.other} , W/"y", {target.tag}', "junk": target.tag.strip('"')}[kind]


def date_value(target, kind):
    offset = {"same": 0, "later": 100, "earlier": -100}
    return None if kind == "absent" else "junk" if kind == "junk" else date(offset[kind], target.modified)


def expected(match, unmodified, none_match, modified):
    """RFC 9110, 13.2.2, for GET and HEAD: the statuses that are right. What is no tag at all matches nothing, or is refused."""
    statuses = set()
    if match == "junk" or none_match == "junk":
        statuses.add(400)
    if match in ("weak", "other", "junk"):
        return statuses | {412}
    if match == "absent" and unmodified == "earlier":
        return statuses | {412}
    if none_match in ("match", "weak", "any", "list"):
        return statuses | {304}
    if none_match == "absent" and modified in ("same", "later"):
        return statuses | {304}
    return statuses | {200}


@pytest.mark.parametrize("match", TAGS)
def test_combinations(server, target, match):
    """RFC 9110, 13.2.2: If-Match, else If-Unmodified-Since; then If-None-Match, else If-Modified-Since; then Range."""
    faults = []
    with Connection(server.port) as connection:
        for none_match, unmodified, modified, method, part in itertools.product(TAGS, DATES, DATES, ("GET", "HEAD"), (None,
                "bytes=1-3")):
            if part and method == "HEAD":
                continue
            sent = target.chosen + fields(If_Match=tag_value(target, match), If_Unmodified_Since=date_value(target, unmodified),
                                          If_None_Match=tag_value(target, none_match), If_Modified_Since=date_value(target,
                                          modified), Range=part)
            if method == "GET" and not part and len(target.content) > 1 << 20 and unmodified != modified:
                continue
            response = connection.get(target.path, method=method, fields=sent)
            wanted = {206 if part and status == 200 else status for status in expected(match, unmodified, none_match, modified)}
            body = {200: target.content, 206: target.content[1:4], 304: b""}.get(response.status, response.body)
            if response.status not in wanted or (method == "GET" and response.body != body) or (response.status < 400 and response.get("ETag") != target.tag):
                faults.append(((none_match, unmodified, modified, method, part), response.status, wanted))
    assert not faults, (len(faults), faults[:8])


# --- Lists of tags (RFC 9110, 8.8.3, 13.1.1, 13.1.2) ---

LISTS = [("{0}", True), ("W/{0}", None), ('"x", {0}', True), ('{0}, "x"', True), ('"x" , {0} ,"y"', True), (', ,{0},,', True),
    ('"x",{0}', True), ('"a,b", {0}', True),
         ('"", {0}', True), ('"a\\", {0}', True), ('"\xe9", {0}', True), ('W/"x", {0}', True), ('"x", W/{0}', None),
         ("\t{0}\t,\t\"x\"", True),
         (", ".join(f'"{n}"' for n in range(300)) + ", {0}", True), ('"x"', False), ('"x", "y"', False), ('W/"x"', False), ('""',
         False), ('"{1}x"', False),
         ('"x{1}"', False), ('"{2}"', False), ('"a, {1} ,b"', False), ('"*"', False), ('"{1} "', False), ('" {1}"', False)]


def test_lists_of_tags(target, proto):
    """Strong comparison for If-Match, weak (None) for If-None-Match; a tag is an opaque string between quotes, commas and all."""
    bare = target.tag.strip('"')
    for form, matches in LISTS:
        value = form.format(target.tag, bare, bare.swapcase() if bare.swapcase() != bare else bare + "x")
        assert target.ask(If_Match=value).status == (200 if matches else 412), value
        assert target.ask(If_None_Match=value).status == (200 if matches is False else 304), value


def test_lists_over_several_lines(target, proto):
    """RFC 9110, 5.3: lines of a list are one list."""
    for first, second in (('"x"', target.tag), (target.tag, '"x"')):
        for name, status in (("If-None-Match", 304), ("If-Match", 200)):
            assert ask(target.server, target.path, fields=target.chosen + [(name, first), (name, second)]).status == status


MALFORMED = ["{1}", "'{1}'", "w/{0}", "W{0}", "W/ {0}", '"{1}', '{1}"', '"x" {0}', "{0};x", '*, "x"', '"x", *', "**", "W/*",
    '"x"; {0}', ",", ""]


def test_malformed_tags(target, proto):
    """RFC 9110, 13.1: what is no list of tags matches, or matches nothing, or is a 400; a whole answer of its own in each case."""
    bare = target.tag.strip('"')
    for form in MALFORMED:
        value = form.format(target.tag, bare)
        response = target.ask(If_None_Match=value, If_Modified_Since=date(0, target.modified))
        assert response.status in (200, 304, 400), value
        assert response.status != 200 or response.body == target.content
        assert target.ask(If_Match=value).status in (200, 400, 412), value
    for form in ("w/{0}", "'{1}'", "{1}", '"{1}'):
        assert target.ask(If_None_Match=form.format(target.tag, bare)).status in (200, 400), f"RFC 9110, 8.8.3: {form} is no tag"


@pytest.mark.parametrize("in_place", [False, True])
def test_tags_of_large_files(server, in_place, proto):
    """RFC 9110, 8.8.1: beyond the size up to which tags come from content (DESIGN §3) one changes with each version all the same, be it
    of the same length and of the same second."""
    tags, size = [], (4 << 20) + 1
    for number in range(4):
        content = b"%d" % number * size
        path = put(server.root, "large.txt" if in_place else "large.new", content, ns=PAST * SECOND + number)
        if os.stat(path).st_mtime_ns != PAST * SECOND + number:
            pytest.skip("this file system keeps no nanoseconds")
        if not in_place:
            os.replace(path, server.root / "large.txt")
        response = ask(server, "/large.txt")
        assert response.body == content
        assert ask(server, "/large.txt", fields={"If-None-Match": ", ".join(tags + ['"x"'])}).status == 200
        tags.append(response.get("ETag"))
    assert len(set(tags)) == 4


# --- Dates (RFC 9110, 5.6.7, 13.1.3, 13.1.4) ---

@pytest.mark.parametrize("form", ["imf", "rfc850", "asctime"])
def test_forms_of_dates(server, form, proto):
    """RFC 9110, 5.6.7: a recipient must accept all three."""
    def value(offset):
        return date(offset) if form == "imf" else obsolete(offset, form)

    for offset, unmodified, modified in ((-1, 412, 200), (0, 200, 304), (1, 200, 304)):
        assert ask(server, "/ten.txt", fields={"If-Unmodified-Since": value(offset)}).status == unmodified
        assert ask(server, "/ten.txt", fields={"If-Modified-Since": value(offset)}).status == modified


NO_DATES = ["junk", "", "0", "1700000000", "Tue, 14 Nov 2023", "2023-11-14T22:13:20Z", "Tue, 14 Nov 2023 22:13:20",
    "Tue, 14 Nov 2023 22:13:20 +0000",
    "Tue, 14 Nov 2023 22:13:20 UTC", "Tue, 14 Nov 2023 22:13:20 PST", "Tue, 14 Nov 2023 22:13:20 GMT+1",
    "Tue, 14 Nov 23 22:13:20 GMT",
    "Tue, 32 Nov 2023 22:13:20 GMT", "Tue, 00 Nov 2023 22:13:20 GMT", "Tue, 14 Nox 2023 22:13:20 GMT",
    "Tue, 14 Nov 2023 24:13:20 GMT",
    "Tue, 14 Nov 2023 22:60:20 GMT", "Tue, 14 Nov 2023 22:13 GMT", "Tue, 14 Nov 2023 22:13:20.5 GMT",
    "Tue, 14 Nov 2023 22:13:61 GMT",
    "14 Nov 2023 22:13:20 GMT", "Thu, 31 Jun 2023 00:00:00 GMT", "Wed, 29 Feb 2023 00:00:00 GMT", "Tue, 14 Nov -2023 22:13:20 GMT",
    "Tue, 14 Nov 99999 22:13:20 GMT",
    "{0}, {0}", "{0} junk", "junk {0}", '"{0}"', "{0};"]


def test_what_is_no_date(server, proto):
    """RFC 9110, 13.1.3, 13.1.4: a value that is not one HTTP-date MUST be ignored."""
    faults = []
    for form in NO_DATES:
        for year in ("2023", "2099", "1971"):
            value = form.format(date(0)).replace("2023", year)
            for name in ("If-Modified-Since", "If-Unmodified-Since"):
                response = ask(server, "/ten.txt", fields={name: value})
                if response.status != 200:
                    faults.append((name, value, response.status))
    assert not faults, faults


@pytest.mark.parametrize("value, past", [("Thu, 01 Jan 1970 00:00:00 GMT", True), ("Mon, 01 Jan 1900 00:00:00 GMT", True),
    ("Fri, 31 Dec 9999 23:59:59 GMT", False),
    ("Tue, 19 Jan 2038 03:14:08 GMT", False), ("Sun, 07 Feb 2106 06:28:16 GMT", False), ("Thu, 29 Feb 2024 00:00:00 GMT", False),
    ("Wed, 31 Dec 1969 23:59:59 GMT", True)])
def test_far_dates(server, value, past, proto):
    """RFC 9110, 5.6.7: dates beyond 32 bits, before 1970 and in leap years are dates."""
    assert ask(server, "/ten.txt", fields={"If-Unmodified-Since": value}).status == (412 if past else 200)
    assert ask(server, "/ten.txt", fields={"If-Modified-Since": value}).status == (200 if past else 304)


def test_fractions_of_a_second(server, proto):
    """RFC 9110, 8.8.2: a date has whole seconds; a file's fraction makes it neither newer nor older than its own Last-Modified."""
    for fraction in (1, 500_000_000, 999_999_999):
        put(server.root, "fraction.txt", b"0123456789", ns=PAST * SECOND + fraction)
        modified = ask(server, "/fraction.txt").get("Last-Modified")
        assert modified == date(0)
        assert ask(server, "/fraction.txt", fields={"If-Modified-Since": modified}).status == 304
        assert ask(server, "/fraction.txt", fields={"If-Unmodified-Since": modified}).status == 200
        assert ask(server, "/fraction.txt", fields={"If-Range": modified, "Range": "bytes=0-1"}).status == 206


# --- If-Range (RFC 9110, 13.1.5) ---

IF_RANGES = {"tag": True, "weak": False, "other": False, "bare": False, "two": False, "any": False, "date": True, "later": False,
    "earlier": False, "junk": False,
             "empty": None, "cut": False, "old": None, "two-dates": False}


def if_range_value(target, kind):
    exact = date(0, target.modified)
    return {"tag": target.tag, "weak": "W/" + target.tag, "other": target.other, "bare": target.tag.strip('"'),
        "two": f'{target.tag}, "x"', "any": "*",
            "date": exact, "later": date(1, target.modified), "earlier": date(-1, target.modified), "junk": "junk", "empty": "",
            "cut": target.tag[:-1],
            "old": obsolete(target.modified - PAST), "two-dates": exact + ", " + exact}[kind]


@pytest.mark.parametrize("kind", IF_RANGES)
def test_if_range(targets, kind, proto):
    """Only the strong tag, or exactly the date: else the whole, as if Range were not there, be it satisfiable or not. CASES: a resumed
    download is spliced from two files."""
    for target in targets:
        value, size = if_range_value(target, kind), len(target.content)
        for spec, statuses, content in (("1-3", {206}, target.content[1:4]), ("-2", {206}, target.content[-2:]), (f"{size}-", {416},
                None), ("0-0,3-3", {200, 206}, None)):
            response = target.ask(Range="bytes=" + spec, If_Range=value)
            assert response.status in {True: statuses, False: {200}, None: statuses | {200}}[IF_RANGES[kind]], (target.name, spec)
            if response.status == 200:
                assert response.body == target.content
            elif content is not None:
                assert response.body == content
            assert response.get("ETag", target.tag) == target.tag
        response = target.ask(If_Range=value)
        assert (response.status, response.body) == (200, target.content), "without Range it means nothing"
        response = target.ask("HEAD", Range="bytes=1-3", If_Range=value)
        assert (response.status, response.get("Content-Range")) == (200, None)


def test_if_range_by_a_weak_date(server, proto):
    """RFC 9110, 8.8.2.2, 13.1.5: a date of this very second does not tell two versions apart, so it gives no part."""
    for number in range(20):
        put(server.root, "now.txt", b"%010d" % number, when=int(time.time()))
        whole = ask(server, "/now.txt")
        response = ask(server, "/now.txt", fields={"If-Range": whole.get("Last-Modified") or date(0), "Range": "bytes=0-4"})
        if whole.get("Last-Modified") == whole.get("Date") == response.get("Date"):
            assert (response.status, response.body) == (200, b"%010d" % number)
            return
    pytest.skip("never within one second")


@pytest.mark.parametrize("sent, status", [({"If_Match": "tag"}, 206), ({"If_Match": "other"}, 412), ({"If_Match": "weak"}, 412),
    ({"If_None_Match": "other"}, 206),
    ({"If_None_Match": "tag"}, 304), ({"If_Match": "tag", "If_Range": "other"}, 200), ({"If_Match": "other", "If_Range": "tag"},
    412),
    ({"If_None_Match": "tag", "If_Range": "tag"}, 304), ({"If_None_Match": "other", "If_Range": "tag"}, 206), ({"If_Match": "tag",
    "If_None_Match": "other", "If_Range": "tag"}, 206),
    ({"If_None_Match": "weak", "If_Range": "tag"}, 304), ({"If_Match": "any", "If_Range": "weak"}, 200)])
def test_conditions_and_if_range(targets, sent, status, proto):
    """RFC 9110, 13.2.2, step 5: If-Range is judged last."""
    for target in targets:
        response = target.ask(Range="bytes=0-2", **{name: if_range_value(target, kind) for name, kind in sent.items()})
        assert response.status == status, target.name
        assert status not in (200, 206) or response.body == (target.content if status == 200 else target.content[:3])


# --- Where there is nothing to judge (RFC 9110, 13.2.1) ---

@pytest.mark.parametrize("path, method, status", [("/missing", "GET", {404}), ("/closed.txt", "GET", {403}), ("/sub", "GET", {308}),
    ("/%zz", "GET", {400}),
    ("/ten.txt", "POST", {405}), ("/ten.txt", "DELETE", {405}), ("/ten.txt", "OPTIONS", {200, 204}), ("/missing", "HEAD", {404}),
    ("/sub", "HEAD", {308})])
def test_conditions_elsewhere(server, path, method, status, proto):
    """Preconditions are ignored where the answer without them would be no 2xx, and for OPTIONS."""
    for sent in ({"If-Match": '"x"'}, {"If-None-Match": "*"}, {"If-Unmodified-Since": date(-100)}, {"If-Modified-Since": date(100)},
            {"Range": "bytes=0-0", "If-Range": '"x"'}):
        response = ask(server, path, method, sent)
        assert response.status in status, sent
        assert response.get("Content-Range") is None


def test_not_modified_has_the_fields_of_200(target, proto):
    """RFC 9110, 15.4.5: Cache-Control, ETag, Date, Vary as the 200 had them; no body, no length of another."""
    whole = target.whole
    for sent in ({"If_None_Match": target.tag}, {"If_Modified_Since": date(0, target.modified)}):
        for method in ("GET", "HEAD"):
            response = target.ask(method, **sent)
            assert (response.status, response.body, response.get("ETag")) == (304, b"", target.tag)
            assert response.get("Date") and max_age(response) == max_age(whole) and words(response, "Vary") == words(whole, "Vary")
            assert response.get("Content-Length") in (None, str(len(target.content)))


def test_failed_conditions_leave_the_connection(server, target):
    """RFC 9112, 9.3: 412, 304, 416 and 206 in turn on one connection, each its own."""
    with Connection(server.port) as connection:
        for _ in range(10):
            for sent, status in (({"If_Match": target.other}, 412), ({"If_None_Match": target.tag}, 304),
                    ({"Range": f"bytes={len(target.content)}-"}, 416), ({"Range": "bytes=0-1"}, 206)):
                response = connection.get(target.path, fields=target.chosen + fields(**sent))
                assert response.status == status
                assert status != 416 or response.get("Content-Range") == f"bytes */{len(target.content)}"


# --- Several ranges (RFC 9110, 14.1.2, 14.2, 14.6, 15.3.7.2) ---

MANY = ["0-0,2-2", "0-9,100-199", "0-0,-1", "-1,0-0", "5000-5009,0-9,3000-3009", "0-99, 200-299 , 400-499", "0-9,,20-29",
    ",0-9,20-29,", "0-9,20-29,999999999-", "1000-1009,99999999999999999999-",
        "0-9,5-14", "0-9,10-19", "0-9,0-9", "100-,50-59", "-100,-50", "0-,5-9", "3-3,2-2,1-1,0-0", "0-9\t,\t20-29"]


def asked_for(spec, size):
    """The first and the last octet of each satisfiable range."""
    places = set()
    for one in spec.replace("\t", "").replace(" ", "").split(","):
        first, _, last = one.partition("-")
        if first and int(first) < size:
            places |= {int(first), min(int(last or size), size - 1)}
        elif one and not first:
            places |= {max(0, size - int(last)), size - 1}
    return places


@pytest.mark.parametrize("spec", MANY)
def test_several_ranges(server, spec, proto):
    """Each part says where it belongs and is right; together they hold what was asked for, and no more than all of it."""
    for name in ("plain", "large", "gzip"):
        target = Target(server, name)
        size, got = len(target.content), []
        response = target.ask(Range="bytes=" + spec)
        assert (response.status, response.get("ETag")) == (206, target.tag), name
        for first, last, total, kind, content in parts(response):
            assert total == size and content == target.content[first:last + 1]
            assert kind == target.whole.get("Content-Type")
            got.append((first, last))
        assert all(any(first <= place <= last for first, last in got) for place in asked_for(spec, size))
        assert sum(last - first + 1 for first, last in got) <= size and len(got) <= spec.count(",") + 1
        assert response.get("Content-Encoding") == target.whole.get("Content-Encoding")


@pytest.mark.parametrize("spec, statuses", [("999999999-,888888888-888888889", {416}), ("-0,999999999-", {416}), ("0-9,9-5", {200,
    400, 416}), ("0-9,x", {200, 400, 416}),
    ("\t0-9,20-29", {200, 206, 400, 416}), ("0-9,20", {200, 400, 416}), ("0-9;20-29", {200, 400, 416}), ("0-9 20-29", {200, 400,
    416}), (",", {200, 400, 416}), ("0-9,-", {200, 400, 416})])
def test_odd_sets_of_ranges(server, spec, statuses, proto):
    """RFC 9110, 14.1.1, 14.2, 15.5.17: a set without any satisfiable range is a 416; a malformed one is ignored or refused."""
    response = ask(server, "/text.txt", fields={"Range": "bytes=" + spec})
    assert response.status in statuses
    assert response.status != 200 or response.body == TEXT
    assert response.status != 416 or response.get("Content-Range") == f"bytes */{len(TEXT)}"


def test_one_range_is_no_multipart(server, proto):
    """RFC 9110, 15.3.7.2: MUST NOT generate multipart for a request of a single range; one that is left of two may be either."""
    response = ask(server, "/text.txt", fields={"Range": "bytes=0-9"})
    assert (response.status, response.get("Content-Type")) == (206, "text/plain; charset=utf-8")
    assert [part[4] for part in parts(ask(server, "/text.txt", fields={"Range": "bytes=0-9,999999999-"}))] == [TEXT[:10]]


def test_range_on_two_lines(server, proto):
    """RFC 9110, 5.3, 14.2: Range is no list field; two of them are ignored, refused, or one of them, never a mixture."""
    response = ask(server, "/ten.txt", fields=[("Range", "bytes=0-1"), ("Range", "bytes=4-5")])
    assert response.status in (200, 206, 400, 416)
    assert response.status not in (200, 206) or response.body in (b"0123456789", b"01", b"45")


@pytest.mark.parametrize("spec", [",".join(f"{n * 3}-{n * 3}" for n in range(1000)), ",".join(["0-"] * 200),
    ",".join(f"{n}-" for n in range(1300)),
                                  ",".join(f"{n}-{n + 200000}" for n in range(100))])
def test_bounded(server, spec, proto):
    """RFC 9110, 14.2, CVE-2011-3192: as many as that give about the whole, and each part of it right."""
    response = ask(server, "/text.txt", fields={"Range": "bytes=" + spec})
    assert response.status in (200, 206, 416, 431)
    if response.status == 206:
        found = parts(response)
        assert all(content == TEXT[first:last + 1] for first, last, _, _, content in found)
    assert len(response.body) < 2 * len(TEXT)


def test_boundary_is_not_in_the_octets(server, proto):
    """RFC 2046, 5.1.1: even where a file holds the boundary of the answer before."""
    content = TEXT
    for _ in range(5):
        put(server.root, "boundary.txt", content)
        response = ask(server, "/boundary.txt", fields={"Range": "bytes=0-999,2000-2999"})
        assert [part[4] for part in parts(response)] == [content[:1000], content[2000:3000]]
        boundary = response.get("Content-Type").partition("boundary=")[2].strip('"').encode()
        content = b"\r\n--" + boundary + b"\r\n" + content + b"\r\n--" + boundary + b"--\r\n"


def test_parts_of_a_large_file_by_pieces(server, proto):
    """RFC 9110, 14.6: many kB a part, far from each other, from memory or from disk."""
    spans = [(n * 1000003, n * 1000003 + 99999) for n in (0, 1, 2, 3, 5)]
    response = ask(server, "/large.bin", fields={"Range": "bytes=" + ",".join(f"{first}-{last}" for first, last in spans)})
    assert [(first, last) for first, last, *_ in parts(response)] == spans
    assert all(content == LARGE[first:last + 1] for first, last, _, _, content in parts(response))


def test_parts_beyond_four_gigabytes(server, proto):
    """RFC 9110, 14.6: positions that need more than 32 bits, in each part."""
    size = (5 << 30) + 3
    with open(server.root / "sparse.bin", "wb") as file:
        file.truncate(size)
        for place, content in ((0, b"first"), (1 << 32, b"edge"), (size - 4, b"last")):
            file.seek(place)
            file.write(content)
    response = ask(server, "/sparse.bin", fields={"Range": "bytes=0-4,4294967296-4294967299,-4"})
    assert [part[4] for part in parts(response)] == [b"first", b"edge", b"last"]
    assert [part[:3] for part in parts(response)] == [(0, 4, size), (1 << 32, (1 << 32) + 3, size), (size - 4, size - 1, size)]
    os.unlink(server.root / "sparse.bin")


def test_head_has_no_parts(server, proto):
    """RFC 9110, 14.2: Range is for GET."""
    response = ask(server, "/text.txt", "HEAD", {"Range": "bytes=0-9,20-29"})
    assert (response.status, response.get("Content-Length"), response.get("Content-Type")) == (200, str(len(TEXT)),
        "text/plain; charset=utf-8")
