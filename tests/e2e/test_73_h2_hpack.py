# SPDX-License-Identifier: BSD-2-Clause
"""Header blocks (RFC 7541): every representation is read, what is none is a COMPRESSION_ERROR, and tables stay as large as was agreed."""
import pytest

from h2client import *
from h2stage import dies, lives
from proxied import told

GET, SCHEME, AUTHORITY, PATH = b"\x82", b"\x86", b"\x01" + string("localhost"), b"\x04" + string("/m")
BASE = GET + SCHEME + AUTHORITY + PATH
# Huffman codes that are needed here (RFC 7541, B).
HUFFMAN = {"0": (0x0, 5), "1": (0x1, 5), "2": (0x2, 5), "a": (0x3, 5), "c": (0x4, 5), "e": (0x5, 5), "i": (0x6, 5), "o": (0x7, 5), "s": (0x8, 5),
           "t": (0x9, 5), "-": (0x16, 6), "x": (0x79, 7), "l": (0x28, 6), "h": (0x27, 6), "/": (0x18, 6), "m": (0x29, 6), "EOS": (0x3fffffff, 30)}


def huffman(symbols, padding=None):
    """A string in Huffman's code; padding: (bits, how many) in place of the right one."""
    value, length = 0, 0
    for symbol in symbols:
        code, bits = HUFFMAN[symbol]
        value, length = value << bits | code, length + bits
    bits, count = padding or ((1 << (-length % 8)) - 1, -length % 8)
    value, length = value << count | bits, length + count
    assert length % 8 == 0
    return integer(length // 8, 7, 0x80) + value.to_bytes(length // 8, "big")


@pytest.fixture
def c(h2stage):
    with h2stage.open() as connection:
        yield connection


def ask(c, packed):
    return told(c.response(c.headers([], packed=packed)))


READ = {
    "indexed": (BASE + b"\x90", ("Accept-Encoding", ["gzip, deflate"])),
    "indexing, indexed name": (BASE + b"\x7a" + string("text"), ("User-Agent", ["text"])),
    "indexing, new name": (BASE + literal("x-test", "1", 0x40), ("x-test", ["1"])),
    "not indexed, indexed name": (BASE + b"\x0f\x2b" + string("text"), ("User-Agent", ["text"])),
    "not indexed, new name": (BASE + literal("x-test", "1"), ("x-test", ["1"])),
    "never indexed, indexed name": (BASE + b"\x1f\x2b" + string("text"), ("User-Agent", ["text"])),
    "never indexed, new name": (BASE + literal("x-test", "1", 0x10), ("x-test", ["1"])),
    "dynamic entry": (BASE + literal("x-test", "1", 0x40) + literal("x-other", "2", 0x40) + b"\xbf\xbe", ("x-test", ["1", "1"])),
    "dynamic name": (BASE + literal("x-test", "1", 0x40) + b"\x7e" + string("2"), ("x-test", ["1", "2"])),
    "Huffman value": (BASE + b"\x00" + string("x-test") + huffman("hello-a/1".replace("hello", "hteo")), ("x-test", ["hteo-a/1"])),
    "Huffman name": (BASE + b"\x00" + huffman("x-test") + huffman("1"), ("x-test", ["1"])),
    "Huffman, whole octets": (BASE + b"\x00" + huffman("x-test") + huffman("x-acxot0"[:5] + "00a1"), None),
    "empty value": (BASE + b"\x00" + string("x-test") + b"\x00", ("x-test", [""])),
    "empty Huffman value": (BASE + b"\x00" + string("x-test") + b"\x80", ("x-test", [""])),
    "integer of many octets": (BASE + b"\x00" + string("x-test") + b"\x7f\x80\x80\x80\x00" + b"y" * 127, ("x-test", ["y" * 127])),
    "table of no size": (b"\x20" + BASE + literal("x-test", "1", 0x40), ("x-test", ["1"])),
    "table of two sizes": (b"\x20\x3f\xe1\x1f" + BASE + literal("x-test", "1", 0x40) + b"\xbe", ("x-test", ["1", "1"])),
    "table of its largest size": (b"\x3f\xe1\x1f" + BASE + literal("x-test", "1", 0x40), ("x-test", ["1"])),
}


@pytest.mark.parametrize("name", READ)
def test_read(c, name):
    packed, expected = READ[name]
    got = ask(c, packed)
    assert got.target == "/m"
    if expected:
        assert got.all(expected[0]) == expected[1]
    lives(c)


def test_static_table(c):
    """All of its entries that a request may hold, by index alone (A)."""
    got = ask(c, b"\x83\x87" + AUTHORITY + PATH + b"\x90")
    assert (got.method, got.target) == ("POST", "/m")
    assert c.response(c.headers([], packed=GET + SCHEME + AUTHORITY + b"\x85")).status == 200  # /index.html
    names = {15: "accept-charset", 17: "accept-language", 19: "accept", 33: "date", 37: "from", 51: "referer", 58: "user-agent", 60: "via"}
    got = ask(c, BASE + b"".join(integer(index, 4) + string(f"{name}-value") for index, name in names.items() if name not in ("date", "via")))
    for name in names.values():
        if name not in ("date", "via"):
            assert got.all(name) == [f"{name}-value"], name


def test_entries_last(c):
    """The dynamic table is the connection's: entries of one request are the next one's."""
    ask(c, BASE + literal("x-first", "1", 0x40) + literal("x-second", "2", 0x40))
    got = ask(c, BASE + b"\xbe\xbf")
    assert (got.all("x-first"), got.all("x-second")) == (["1"], ["2"])


def test_entries_are_evicted(c):
    """4.4: what does not fit drives the oldest out; an entry larger than the table empties it."""
    ask(c, BASE + literal("x-first", "y" * 2000, 0x40) + literal("x-second", "z" * 2000, 0x40))
    got = ask(c, BASE + literal("x-third", "3", 0x40) + b"\xbf\xbe")
    assert (got.all("x-second"), got.all("x-third")) == (["z" * 2000], ["3", "3"])
    ask(c, BASE + literal("x-large", "l" * 4096, 0x40))
    c.headers([], packed=BASE + b"\xbe")
    dies(c, COMPRESSION_ERROR)


WRONG = {
    "index 0 (6.1)": BASE + b"\x80",
    "index beyond the tables (2.3.3)": BASE + b"\xbe",
    "index far beyond": BASE + b"\xff\xff\x7f",
    "name beyond the tables": BASE + b"\x7e" + string("x"),
    "name beyond the tables, not indexed": BASE + b"\x0f\xff\x7f" + string("x"),
    "size at the end (4.2)": BASE + b"\x20",
    "size in the middle": GET + SCHEME + b"\x20" + AUTHORITY + PATH,
    "size too large (6.3)": b"\x3f\xe2\x1f" + BASE,
    "size huge": b"\x3f\xff\xff\xff\xff\x07" + BASE,
    "padding longer than 7 bits (5.2)": BASE + b"\x00" + string("x-test") + huffman("01", (0x3fff, 14)),
    "padding of zeros (5.2)": BASE + b"\x00" + string("x-test") + huffman("0", (0, 3)),
    "EOS in a string (5.2)": BASE + b"\x00" + string("x-test") + huffman(["EOS", "a"], (0x1f, 5)),
    "string longer than its block": BASE + b"\x00" + string("x-test") + b"\x7f\x00" + b"abc",
    "cut in a name": BASE + b"\x00\x05abc",
    "cut behind a name": BASE + b"\x00" + string("x-test"),
    "cut in an integer": BASE + b"\xff",
    "integer without end (5.1)": BASE + b"\xff" + b"\x80" * 20 + b"\x01",
    "integer too large (5.1)": BASE + b"\x00" + string("x-test") + b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong(h2stage, c, name):
    h2stage.recorder.take()
    c.headers([], packed=WRONG[name])
    dies(c, COMPRESSION_ERROR)
    assert not h2stage.reached()


def test_wrong_in_trailers(h2stage, c):
    stream = c.headers(head("POST", "/m"), end=False)
    c.data(stream, b"abc", end=False)
    c.headers([], stream, packed=b"\x80")
    dies(c, COMPRESSION_ERROR)
    assert [seen.verdict for seen in h2stage.reached() if seen.verdict != "cut"] == []


@pytest.mark.parametrize("size", [0, 100, 65536])
def test_our_table_size(h2stage, size):
    """6.3, RFC 9113 4.3.1: the server keeps to the table that the client allows; the decoder here checks it, also where it shrinks."""
    with h2stage.open(options={HEADER_TABLE_SIZE: size}) as c:
        for _ in range(3):
            lives(c)
    with h2stage.open() as c:
        for _ in range(3):
            lives(c)
        c.settings({HEADER_TABLE_SIZE: size})
        c.until(lambda: c.settled == 2)
        for _ in range(3):
            lives(c)


def test_answers_are_compressed(h2stage, c):
    """What is said again and again becomes short: many answers, few octets each."""
    sizes = []
    for _ in range(4):
        stream = c.start("/ten.txt")
        before = c.frames
        c.response(stream)
        sizes.append(c.block_size)
        assert c.frames - before <= 4
    assert sizes[-1] < sizes[0] // 2, sizes
