# SPDX-License-Identifier: BSD-2-Clause
"""A writer at full speed against kept connections of all protocols that check every byte (DESIGN §3: "A response is the bytes of one version of a
file. Replaced while it is sent: the old one, whole. Written in place or truncated: the connection ends, nothing is mixed or padded.
Changed on disk: the next request sees the change."). `versions.py` says how an answer is judged."""
import ctypes
import gzip
import os
import shutil
import threading
import time

import pytest

from client import PROTOCOLS, Ended, connect, learned
from server import Server, wait_for
from versions import Reader, Run, Story, content

CONFIG = """
threads: 2
sites:
  - { listen: "http://127.0.0.1:$port", root: root }
  - { listen: "http://127.0.0.1:$port2", root: current }
"""
KB, MB = 1000, 1 << 20
DIGEST_MAX = 4 * MB
# How often each is changed: more than 10,000 in all.
REPLACED = {1 * KB: 1600, 20 * KB: 1300, 300 * KB: 400, 6 * MB: 30}
REWRITTEN = {1 * KB: 1000, 20 * KB: 600, 200 * KB: 150, 300 * KB: 150, 6 * MB: 15}
SIDECARS = {1 * KB: 300, 20 * KB: 200, 300 * KB: 60}
GROWN, RECREATED, FOLDERS, RELEASES, STILL = 800, 700, 500, 250, 400
IN_ALL = (sum(REPLACED.values()) + sum(REWRITTEN.values()) + 2 * 4 * sum(SIDECARS.values()) + GROWN + RECREATED + FOLDERS
          + RELEASES)
assert IN_ALL > 10000

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, RENAME_EXCHANGE = -100, 2


def put(path, data, modified=None):
    """Replaces a file by rename."""
    new = path.with_name("." + path.name + ".new")
    new.write_bytes(data)
    if modified is not None:
        os.utime(new, ns=(modified, modified))
    os.replace(new, path)


def exchange(one, other):
    """Two names change places, in one step."""
    if LIBC.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), "renameat2")


def release(folder, number, targets, size):
    """A whole release in a folder of its own."""
    for target in targets:
        path = folder / target.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(target, number, size))


@pytest.fixture(scope="module")
def server():
    made = Server(CONFIG, secure=True)
    made.root.chmod(0o755)
    release(made.folder / "releases" / "0", 0, ["/index.html", "/css/site.css", "/js/app/main.js"], 3 * KB)
    os.symlink("releases/0", made.folder / "current")
    with made:
        yield made


def final(server, story, port="port"):
    """After the last change every new and kept connection sees the last state."""
    for proto in PROTOCOLS:
        with connect(server.ports[port], proto, seconds=20) as connection:
            for target in story.targets:
                response = connection.get(target)
                expected = story.at(target, story.done)
                assert response.status == (404 if expected is None else 200)
                assert expected is None or response.body == expected


# --- Replaced ---

@pytest.mark.parametrize("size", REPLACED)
def test_replaced(server, size):
    """DESIGN §3, "replaced": always one version whole, with that version's length, tag (RFC 9110 §8.8.3) and ranges (§13.1.5,
    §14.4); never one older than the last rename that had returned. Up to 4 MiB the tag is the content's."""
    target = f"/replaced-{size}.bin"
    path = server.root / target[1:]
    story = Story([target], size)
    put(path, story.at(target, 0))
    run = Run(server.port, story, by_content=size < DIGEST_MAX)
    run.write(lambda number: put(path, story.at(target, number)), REPLACED[size])
    final(server, story)


def test_removed_and_made_anew(server):
    """DESIGN §3, "changed on disk": a file that goes is missing at once, one that comes is there at once."""
    target = "/comes-and-goes.bin"
    path = server.root / target[1:]
    story = Story([target], 5 * KB, absent=lambda number: number % 2 == 1)
    put(path, story.at(target, 0))

    def change(number):
        if story.absent(number):
            path.unlink()
        else:
            put(path, story.at(target, number))

    Run(server.port, story).write(change, RECREATED)
    final(server, story)


@pytest.mark.parametrize("exchanged", [False, True])
def test_folders_renamed(server, exchanged):
    """DESIGN §4: "an entry depends on its directory, all ancestors up to the root": a folder that takes another's place takes all
    beneath with it, at once, whether in one step or in two."""
    top = f"folder-{exchanged}"
    targets = [f"/{top}/a.bin", f"/{top}/b/c.bin", f"/{top}/b/d/e.bin"]
    there, staged, gone = (server.root / name for name in (top, ".staged-" + top, ".gone-" + top))
    story = Story(targets, 2 * KB, absent=lambda number: not exchanged and number % 2 == 1)

    def stage(number):
        for target in targets:
            path = staged / target[len(top) + 2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(story.at(target, number))

    def change(number):
        if exchanged:
            exchange(staged, there)
        elif story.absent(number):
            os.rename(there, gone)
        else:
            os.rename(staged, there)

    def prepare(number):
        """What is not seen: the next folder is made, the last one goes."""
        shutil.rmtree(gone, ignore_errors=True)
        if not story.absent(number):
            shutil.rmtree(staged, ignore_errors=True)
            stage(number)

    stage(0)
    os.rename(staged, there)
    if exchanged:
        stage(1)

    def turn(number):
        prepare(number)
        change(number)

    Run(server.port, story).write(turn, FOLDERS // 2)
    final(server, story)


def test_releases_switched(server):
    """DESIGN §3: "A root that is a symbolic link may be switched by a deploy, and is followed at once"; old releases go."""
    targets = ["/index.html", "/css/site.css", "/js/app/main.js"]
    story = Story(targets, 3 * KB)
    releases, link = server.folder / "releases", server.folder / "current"

    def change(number):
        release(releases / str(number), number, targets, story.length(number))
        os.symlink(f"releases/{number}", server.folder / "current.new")
        os.replace(server.folder / "current.new", link)
        shutil.rmtree(releases / str(number - 3), ignore_errors=True)

    Run(server.ports["port2"], story).write(change, RELEASES)
    final(server, story, "port2")
    assert server.log().count("reload") == 0, "a switch within reach needs no reload"


def test_tags_in_a_busy_folder(server):
    """DESIGN §3: "ETags come from content … for files up to 4 MiB: equal on every machine": also for files that stand still
    while their neighbours change, whenever they are asked for first."""
    still = [server.root / f"still-{number}.bin" for number in range(STILL)]
    body = content("/still", 0, 200 * KB)
    for path in still:
        path.write_bytes(body)
    busy, stop = server.root / "busy.bin", threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            put(busy, b"%d" % number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        tags = {}
        with connect(server.port, seconds=20) as connection:
            for path in still:
                response = connection.get("/" + path.name)
                assert response.body == body
                tags.setdefault(response.get("ETag"), []).append(path.name)
    finally:
        stop.set()
        writer.join(10)
    assert len(tags) == 1, {tag: len(names) for tag, names in tags.items()}


# --- Written in place ---

def rewrite(path, data):
    """As editors and scp do: the same file, emptied and written anew in pieces."""
    with open(path, "r+b", buffering=0) as file:
        file.truncate(0)
        half = len(data) // 2
        file.write(data[:half])
        file.write(data[half:])


@pytest.mark.parametrize("size", REWRITTEN)
def test_truncated_and_rewritten(server, size):
    """DESIGN §3, "written in place or truncated": an answer that is whole is one version, or as much of one as had been written;
    one that is not whole ends the connection (RFC 9112 §8)."""
    target = f"/rewritten-{size}.bin"
    path = server.root / target[1:]
    story = Story([target], size, in_place=True)
    path.write_bytes(story.at(target, 0))
    run = Run(server.port, story, by_content=False)
    run.write(lambda number: rewrite(path, story.at(target, number)), REWRITTEN[size])
    final(server, story)


class Grown(Story):
    """State n is n + 1 records."""

    records = b"".join(b"%09d\n" % number * 20 for number in range(2 * GROWN))

    def at(self, target, number, coding="identity"):
        return self.records[:200 * (number + 1)]

    def number_in(self, body):
        return len(body) // 200 - 1

    def states(self, target, body, before, after, coding="identity"):
        return len(self.at(target, before)) <= len(body) and self.at(target, after).startswith(body)


def test_grown(server):
    """DESIGN §3, as above, for what is appended to: always all that had been written before the request."""
    target = "/grown.log"
    path = server.root / target[1:]
    story = Grown([target], 0, in_place=True)
    path.write_bytes(story.at(target, 0))

    def change(number):
        with open(path, "ab", buffering=0) as file:
            file.write(story.at(target, number)[-200:])

    Run(server.port, story, by_content=False).write(change, GROWN)
    final(server, story)


HOUR = 3600
YEAR = 365 * 24 * HOUR
COPY_MAX = 16 * MB  # such a file has a copy of its own from which it is sent, however old it is


@pytest.mark.parametrize("size,how,age", [
    *[(size, how, HOUR) for size in (40 * KB, 300 * KB, 1 * MB, 4 * MB, 6 * MB, 16 * MB, 20 * MB) for how in ("emptied", "overwritten")],
    *[(size, "overwritten", YEAR) for size in (300 * KB, 6 * MB)],
])
def test_rewritten_while_sent(server, size, how, age, proto):
    """DESIGN §3, as above, step by step: a client has the beginning; the file is written anew in place; what it gets is one version
    whole, or the connection ends, over HTTP/2 the stream. Of a file with a copy it is the old one whole. Of one without the client has
    a small window."""
    target = f"/sent-{size}-{how}-{age}-{proto}.bin"
    path = server.root / target[1:]
    old, new = content(target, 1, size), content(target, 2, size)
    path.write_bytes(old)
    then = time.time() - age
    os.utime(path, (then, then))  # no change within one tick of the clock that times are taken from
    copied = size <= COPY_MAX
    with connect(server.port, seconds=8, narrow=None if copied else 1 << 12) as connection:
        connection.begin(target)
        if how == "emptied":
            rewrite(path, new)
        else:
            with open(path, "r+b", buffering=0) as file:
                file.write(new)
        try:
            body = connection.read(seconds=8).body
        except Ended as fault:
            assert learned(connection, fault), "the connection must end"
            assert len(fault.partial) < size
            assert not copied
        else:
            assert body == old, f"whole, but other from octet {first_other(old, body)} on"
    with connect(server.port) as connection:
        assert connection.get(target).body == new


@pytest.mark.parametrize("size", [1 * MB, 6 * MB, 16 * MB])
@pytest.mark.parametrize("age", [HOUR, YEAR])
def test_overwritten_while_its_end_waits(server, size, age):
    """DESIGN §3, as above: all was handed to the kernel, which has the last octets still for a client who takes them late: they are a
    copy's, not the file's."""
    target = f"/waits-{size}-{age}.bin"
    path = server.root / target[1:]
    old, new = content(target, 1, size), content(target, 2, size)
    path.write_bytes(old)
    then = time.time() - age
    os.utime(path, (then, then))
    with connect(server.port, seconds=8) as connection:
        connection.begin(target, count=size - 600 * KB)  # of which one call may take 256 KiB more
        wait_for(lambda: any(target.encode() in line for line in server.access_lines(0)), 8, "all that is sent")
        with open(path, "r+b", buffering=0) as file:
            file.write(new)
        body = connection.read(seconds=8).body
    assert body == old, f"other from octet {first_other(old, body)} on"


def first_other(one, other):
    """Where two bodies begin to differ."""
    return next((at for at in range(0, len(one), 16) if one[at:at + 16] != other[at:at + 16]), len(one))


# --- Sidecars ---

class Coded(Story):
    """A file and its sidecars: gzip's is gzip, the others say what they are. The name counts, whatever its sidecars are."""

    named = 0

    def floor(self):
        return self.named

    def at(self, target, number, coding="identity"):
        plain = super().at(target, number)
        if coding == "gzip":
            return packed(plain)
        return plain if coding == "identity" else super().at(target, number, coding)

    def number_in(self, body):
        return super().number_in(gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body)


CACHE = {}


def packed(plain):
    """The same gzip for the same content."""
    key = hash(plain)
    if key not in CACHE:
        if len(CACHE) > 64:
            CACHE.clear()
        CACHE[key] = gzip.compress(plain, 1, mtime=0)
    return CACHE[key]


class CodedReader(Reader):
    """Wants now this coding, now that."""

    codings = ("identity", "gzip", "gzip", "br", "zstd")

    def judge(self, target, method, fields, answer, before, after):
        coding = answer.get("Content-Encoding", "identity")
        self.run_of.counts[coding] = self.run_of.counts.get(coding, 0) + 1
        if coding != "identity" and "accept-encoding" not in ", ".join(answer.all("Vary")).lower():
            return "no Vary: Accept-Encoding"
        return super().judge(target, method, fields, answer, before, after)


SUFFIXES = {"gzip": ".gz", "br": ".br", "zstd": ".zst"}


@pytest.mark.parametrize("first", ["sidecars", "name"])
@pytest.mark.parametrize("size", SIDECARS)
def test_sidecars_replaced(server, size, first):
    """DESIGN §3, "variants": sidecars answer "where they are not older than it", with a strong tag of their own, Vary and ranges of
    the variant. Whichever is replaced first: what is decoded is never older than the name's last version: an older sidecar is not
    served, a newer one may be."""
    target = f"/coded-{first}-{size}.txt"
    path = server.root / target[1:]
    story = Coded([target], size)
    begin = (int(time.time()) - 86400) * 10 ** 9

    def change(number):
        """As compressors do, sidecars get the time of what they were made from."""
        modified = begin + number * 10 ** 9
        if first == "name":
            put(path, story.at(target, number), modified)
            story.named = number
            if number % 4 == 1:
                run.await_answers(8)
        for coding, suffix in SUFFIXES.items():
            put(path.with_name(path.name + suffix), story.at(target, number, coding), modified)
        if first == "sidecars":
            if number % 4 == 1:
                run.await_answers(8)
            put(path, story.at(target, number), modified)
            story.named = number
        elif number % 4 == 3:
            run.await_answers(8)  # else most are asked while the sidecars are older than the name

    change(0)
    run = Run(server.port, story, reader=CodedReader)
    run.counts = {}
    run.write(change, SIDECARS[size])
    assert set(run.counts) == {"identity", "gzip", "br", "zstd"}, run.counts
    with connect(server.port) as connection:
        for coding in ("identity", "gzip", "br", "zstd"):
            response = connection.get(target, fields={"Accept-Encoding": coding})
            assert response.get("Content-Encoding", "identity") == coding
            assert response.get("Vary").lower() == "accept-encoding"
            assert response.body == story.at(target, story.done, coding)
