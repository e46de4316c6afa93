# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of static files share: roots, requests, dates, and strict readers of Vary, multipart/byteranges and links."""
import email.utils
import functools
import gzip
import os
import re
import shutil
import time
import urllib.parse
from html.parser import HTMLParser

from client import connect
from server import Server, command, new_folder

PAST = 1700000000
SECOND = 10**9
SECRET = b"the secret above the root\n"


@functools.lru_cache(None)
def accepts(key):
    """Whether this weir knows a key of a site."""
    folder = new_folder()
    try:
        (folder / "root").mkdir()
        (folder / "weir.yaml").write_text(
            f'sites:\n  - {{ listen: "http://127.0.0.1:1", root: root, {key} }}\n', encoding="utf-8")
        return "unknown key" not in (lambda run: run.stdout + run.stderr)(
            command("check", "-c", folder / "weir.yaml"))
    finally:
        shutil.rmtree(folder)


def made(config, **options):
    """A server, not started. $compress in its configuration turns compression on the fly off, which is on by default."""
    values = dict(options.pop("values", {}), compress="compress: off" if accepts("compress: off") else "")
    return Server(config, values=values, **options)


def put(base, name, content=b"", when=PAST, ns=None):
    """Writes a file beneath a folder, as old as it is said."""
    path = os.path.join(os.fsencode(base), os.fsencode(name))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    os.utime(path, ns=(ns, ns) if ns is not None else (when * SECOND, when * SECOND))
    return path


def ask(server, target, method="GET", fields=(), port="port", seconds=5, **options):
    """One request on a connection of its own."""
    pairs = list(fields.items() if isinstance(fields, dict) else fields)
    with connect(server.ports[port], seconds=seconds) as connection:
        return connection.get(target, method=method, fields=pairs + [("Connection", "close")], **options)


def fields(**named):
    """If_Range="x" as a field; None is none."""
    return [(name.replace("_", "-"), value) for name, value in named.items() if value is not None]


def date(offset=0, base=PAST):
    return email.utils.formatdate(base + offset, usegmt=True)


def seconds_of(value):
    """The time of a field that weir wrote: IMF-fixdate and nothing else (RFC 9110, 5.6.7)."""
    assert re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} "
                        r"\d\d:\d\d:\d\d GMT", value), value
    return int(email.utils.parsedate_to_datetime(value).timestamp())


def obsolete(offset=0, form="rfc850"):
    """The two old forms of a date."""
    moment = time.gmtime(PAST + offset)
    return time.asctime(moment) if form == "asctime" else time.strftime("%A, %d-%b-%y %H:%M:%S GMT", moment)


def words(response, name):
    """The members of a field that is a list, in lower case."""
    return {word.strip().lower() for value in response.all(name) for word in value.split(",")} - {""}


def max_age(response):
    """What Cache-Control says, None where it says nothing."""
    found = re.search(r"(?:^|[\s,])max-age=(\d+)", ",".join(response.all("Cache-Control")), re.IGNORECASE)
    return int(found[1]) if found else None


# --- Content codings, so small that they are made here ---

def brotli(data):
    """Brotli's stored form (RFC 7932, 9.2): window 16, one uncompressed meta-block, an empty last one."""
    bits = (len(data) - 1) << 4 | 1 << 20
    return bits.to_bytes(3, "little") + data + b"\x03"


def zstandard(data):
    """Zstandard's raw form (RFC 8878, 3.1.1): one segment of less than 256 octets, one raw block."""
    return b"\x28\xb5\x2f\xfd\x20" + bytes([len(data)]) + (len(data) << 3 | 1).to_bytes(3, "little") + data


def encode(data, coding):
    return {"gzip": lambda: gzip.compress(data, mtime=0), "br": lambda: brotli(data), "zstd": lambda: zstandard(data)}[coding]()


SUFFIX = {"zstd": ".zst", "br": ".br", "gzip": ".gz"}


# --- multipart/byteranges (RFC 9110, 14.6; RFC 2046, 5.1) ---

def parts(response):
    """[(first, last, total, media type, octets)] of a 206 with one or more parts; asserts its form on the way."""
    assert response.status == 206, response
    if not response.get("Content-Type", "").startswith("multipart/byteranges"):
        first, last, total = content_range(response.get("Content-Range"))
        assert len(response.body) == last - first + 1
        return [(first, last, total, response.get("Content-Type"), response.body)]
    assert response.get("Content-Range") is None, "RFC 9110, 15.3.7.2: no Content-Range beside multipart/byteranges"
    boundary = re.search(r';\s*boundary=(?:"([^"]{1,70})"|([0-9A-Za-z\'()+_,\-./:=?]{1,70}))\s*(?:;|\Z)',
        response.get("Content-Type"))
    assert boundary, response.get("Content-Type")
    preamble, *middle, end = (b"\r\n" + response.body).split(b"\r\n--" + (boundary[1] or boundary[2]).encode())
    assert preamble == b"" and end in (b"--", b"--\r\n"), (preamble, end[:100])
    found = []
    for part in middle:
        head, gap, content = part.partition(b"\r\n\r\n")
        assert head.startswith(b"\r\n") and gap, part[:100]
        lines = dict(line.split(": ", 1) for line in head[2:].decode().split("\r\n"))
        lines = {name.lower(): value for name, value in lines.items()}
        first, last, total = content_range(lines["content-range"])
        assert len(content) == last - first + 1, lines
        found.append((first, last, total, lines.get("content-type"), content))
    return found


def content_range(value):
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", value or "")
    assert match, f"Content-Range {value!r}"
    return tuple(map(int, match.groups()))


# --- Links of a page ---

class Links(HTMLParser):
    """The href of every link, in order, what elements and attributes there are, and the text."""

    def __init__(self, page):
        super().__init__()
        self.hrefs, self.tags, self.attributes, self.text = [], set(), set(), ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "a":
            self.hrefs += [value for name, value in attrs if name == "href" and value is not None]

    def handle_data(self, data):
        self.text += data


def resolved(page, base):
    """The links of a page as a browser understands them."""
    return [browser_join(base, href) for href in Links(page).hrefs]


def browser_join(base, href):
    """A reference against its base as the URL standard has it, where urllib is milder: white space and backslashes."""
    href = re.sub(r"[\t\n\r]", "", href.strip(" "))
    path, mark, rest = re.match(r"([^?#]*)([?#]?)(.*)", href, re.DOTALL).groups()
    return urllib.parse.urljoin(base, path.replace("\\", "/") + mark + rest)


def entries(response, base):
    """The names (octets) that a listing links to, in order, folders with their slash. Links with a query are controls."""
    assert response.status == 200, response
    root = urllib.parse.urlsplit(base)
    found = {}
    for url in resolved(response.body.decode("utf-8"), base):
        split = urllib.parse.urlsplit(url)
        if split.query or (split.scheme, split.netloc) != (root.scheme, root.netloc):
            continue
        rest = split.path.removeprefix(root.path) if split.path.startswith(root.path) else ""
        name = urllib.parse.unquote_to_bytes(rest)
        if name and "/" not in rest.rstrip("/"):
            found[name] = True
    return list(found)
