# SPDX-License-Identifier: BSD-2-Clause
"""A disk that hangs, is slow or fails stops what is on it and nothing else (DESIGN §4, "I/O threads"; CASES, "Machine"); what it
holds and cannot give never becomes a backend's business (DESIGN §3). One loop thread, so that whatever blocks it is seen by all.
Connections speak one protocol after the other, but where a test takes one."""
import errno
import itertools
import os
import shutil
import signal
import time

import pytest

from client import PROTOCOLS, Ended, connect, learned
from recorder import Recorder
from server import Server, children, command, new_folder, wait_for
from slow_disk import Missing, SlowDisk, content, fuse_module

CONFIG = """
threads: 1
drain: 2s
limits: { timeouts: { send: 60s } }
sites:
  - { listen: "http://127.0.0.1:$port", root: root }
  - { listen: "http://127.0.0.1:$port2", root: $disk/one, proxy: "127.0.0.1:$backend" }
  - { listen: "http://127.0.0.1:$port3", root: $disk/two }
"""
AT_ONCE = 4.0     # seconds: far more than a healthy disk needs, far less than a look may take
LOOK_SECONDS = 10
LARGE = 8 << 20
MIDDLE = 3 << 20
IN_TIME = 5.0     # a second of belief, and the looks on a slow machine
SECOND = 10 ** 9  # nanoseconds

pytestmark = pytest.mark.skipif(fuse_module()[0] is None, reason=str(fuse_module()[1]))


class Stage:
    """weir with a root on a healthy disk and two on another, which has a backend behind it."""

    def __init__(self):
        self.folder = new_folder()
        try:
            self.disk = SlowDisk(self.folder, ["/one", "/two"])
        except Missing as why:
            shutil.rmtree(self.folder)
            pytest.skip(str(why))
        self.backend = Recorder()
        self.weir = Server(CONFIG, folder=self.folder, values={"disk": self.disk.path, "backend": self.backend.port},
                           secure=True)
        self.weir.own_folder = True
        self.numbers, self.protos = itertools.count(), itertools.cycle(PROTOCOLS)

    def close(self, failed):
        """First the disk is well, so that a fault in one test cannot hang the next; then all ends, whatever happened."""
        try:
            if self.disk.process.poll() is None:
                self.disk.thaw()
                self.disk.heal()
            self.weir.__exit__(AssertionError if failed else None, None, None)
        finally:
            self.disk.close()
            self.weir.kill()
            self.backend.close()
            self.weir.remove()

    def connect(self, port="port2", seconds=5, proto=None, **options):
        return connect(self.weir.ports[port], proto or next(self.protos), seconds=seconds, **options)

    def get(self, target, port="port2", seconds=5, **options):
        with self.connect(port, seconds) as connection:
            return connection.get(target, **options)

    def new_healthy(self):
        """A file on the healthy disk that no thread has seen."""
        name = f"healthy-{next(self.numbers)}.txt"
        (self.weir.root / name).write_text(name, encoding="utf-8")
        return name

    def healthy(self, what):
        """The other root answers at once: on a new connection and on a kept one, what was looked at before and what was not."""
        with self.connect("port", AT_ONCE) as connection:
            for _ in range(3):
                name, start = self.new_healthy(), time.monotonic()
                try:
                    for _ in range(2):
                        assert connection.get("/" + name).body == name.encode()
                except Ended as fault:
                    raise AssertionError(f"a healthy disk's file waits for another disk: {what}") from fault
                assert time.monotonic() - start < AT_ONCE, what

    def await_held(self, count=1, operation=None, seconds=5):
        """Waits until the disk holds so many operations."""
        def held():
            found = [pair for pair in self.disk.held() if operation in (None, pair[0])]
            return len(found) >= count
        wait_for(held, seconds, f"{count} held operations")

    def begin(self, target, proto=None):
        """A download that has begun, by a small window, so that much of it is still to be read from the disk."""
        return self.connect(proto=proto, narrow=1 << 14).begin(target)


@pytest.fixture
def stage(request):
    made = Stage()
    failed = True
    try:
        made.weir.start()
        before = request.session.testsfailed
        yield made
        failed = request.session.testsfailed > before
    finally:
        made.close(failed)


def read_more(connection, seconds):
    """Reads the answer that was asked for as long as more of it comes: its status, None while there is none, and its body so far."""
    end = time.monotonic() + seconds
    if hasattr(connection, "streams"):
        stream = connection.streams[connection.waiting[-1]]
        while not stream.over and connection.take(end - time.monotonic()):
            pass
        return stream.head and stream.head.status, bytes(stream.body)
    while connection.fill(end - time.monotonic()):
        pass
    head, _, body = connection.buffer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else None, body


def statuses(connections, end):
    """The status of each connection's answer; None where there was none in time."""
    found = []
    for connection in connections:
        try:
            found.append(connection.read(seconds=max(0.1, end - time.monotonic())).status)
        except Ended:
            found.append(None)
    return found


def is_gone(pid):
    """Has a process ended, whether or not somebody has asked how?"""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


# --- It hangs ---

def test_mounted_beneath_a_healthy_root():
    """Nobody asks for what is on it: then weir does not either, also as it finds out which names are in the root."""
    folder = new_folder()
    root = folder / "root"
    root.mkdir()
    (root / "0").write_text("healthy\n")
    try:
        disk = SlowDisk(root)
    except Missing as why:
        shutil.rmtree(folder)
        pytest.skip(str(why))
    (root / "disk.log").unlink()  # of what has a letter nothing is left but the mount
    try:
        with Server('user: root\nsites: [ { listen: "http://127.0.0.1:$port", root: root } ]', folder=folder) as weir, connect(weir.port, "h1") as connection:
            disk.hold(["*"])
            mounted = time.monotonic()
            wait_for(lambda: time.monotonic() - mounted > 1.5, what="the kernel to forget what it knows of the mount's top")
            for number in range(20):
                assert connection.get(f"/none-{number}").status == 404
            assert connection.get("/0").body == b"healthy\n"
            assert disk.held() == []
            disk.heal()
    finally:
        disk.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_hung_looks_are_answered_in_time(stage):
    """DESIGN §4: what blocks is done by I/O threads, "at most half of them for one root; a stuck one is replaced". An open and a
    read that hang, and ten times more requests than there are threads: each gets 503 when a look's time is over, none a backend's
    answer; the healthy root's files come at once all the time; when the disk is back, its files are served."""
    names = [f"/one/{number}.txt" for number in range(40)]
    bodies = [stage.disk.put(name, "v1", 5000) for name in names]
    targets = [name[4:] for name in names]
    before = stage.disk.put("/one/before.txt", "v1", 5000)
    assert stage.get("/before.txt").body == before
    stage.healthy("nothing hangs yet")
    stage.disk.hold(["open"], names[0])
    stage.disk.hold(["read"], names[1])
    connections = [stage.connect(seconds=LOOK_SECONDS + 5) for _ in range(40)]
    start = time.monotonic()
    for connection, target in zip(connections[:2], targets):
        connection.request(target)
    stage.await_held(1, "open")
    stage.await_held(1, "read")
    stage.disk.hold(["*"])
    for connection, target in zip(connections[2:], targets[2:]):
        connection.request(target)
    while time.monotonic() < start + LOOK_SECONDS - 1:
        stage.healthy("40 requests hang")
        time.sleep(0.3)
        assert all(read_more(connection, 0)[0] is None for connection in connections), \
            "an answer came while the disk hung, before a look's time was over"
    assert statuses(connections, start + LOOK_SECONDS + 3) == [503] * 40
    stage.healthy("the looks are overdue")
    stage.disk.heal()
    for target, body in zip(targets, bodies):
        def served(target=target, body=body):
            response = stage.get(target)
            assert response.status in (200, 503)
            return response.status == 200 and response.body == body
        wait_for(served, 5, f"{target} is served when the disk is back")
    for connection, target, body in zip(connections, targets, bodies):
        assert connection.get(target).body == body
        connection.close()
    assert stage.backend.take() == []


@pytest.mark.parametrize("how", ["held", "frozen"])
def test_all_of_a_disk_hangs(stage, how):
    """DESIGN §4: "a dead disk must not stop the others", also when two roots are on it and nothing on it answers any more."""
    for root in ("/one", "/two"):
        for number in range(10):
            stage.disk.put(f"{root}/{number}.txt", root[1:], 100)
    stage.disk.hold(["*"]) if how == "held" else stage.disk.freeze()
    connections = [stage.connect(port, 20) for port in ("port2", "port3") for _ in range(10)]
    for number, connection in enumerate(connections):
        connection.request(f"/{number % 10}.txt")
    if how == "held":
        stage.await_held(2)
    stage.healthy("two roots of a dead disk")
    stage.disk.thaw()
    stage.disk.heal()
    for number, connection in enumerate(connections):
        response = connection.read(seconds=5)
        assert (response.status, response.body) == (200, content(("one", "two")[number // 10], 100))
        connection.close()


@pytest.mark.parametrize("what, proto", [(what, proto) for what in ("getattr", "read") for proto in PROTOCOLS])
def test_slow_disk_pauses_one_download(stage, what, proto):
    """DESIGN §4: "cold pages" are the I/O threads' work, and so is whatever else may block. One download waits for its disk; one
    from another disk and one of another file on the same disk go on; it goes on, exact to the byte, when the disk does."""
    large = stage.disk.put("/one/slow.bin", "slow", LARGE)
    other = stage.disk.put("/one/other.bin", "other", LARGE)
    (stage.weir.root / "large.bin").write_bytes(large)
    slow = stage.begin("/slow.bin", proto)
    beside = stage.begin("/other.bin")
    stage.disk.hold([what], "/one/slow.bin", MIDDLE if what == "read" else 0)
    read_more(slow, 0.5)
    stage.await_held(1, what)
    stage.healthy(f"a download waits for {what}")
    assert stage.get("/large.bin", "port", AT_ONCE).body == large
    assert beside.read(seconds=5).body == other
    assert len(read_more(slow, 0)[1]) < LARGE, "the download was to wait"
    stage.disk.heal()
    assert slow.read(seconds=5).body == large
    slow.close()
    beside.close()


def test_client_leaves_a_hung_download(stage, proto):
    """DESIGN §4: no loop blocks. A client that goes away while its disk hangs leaves a file to be closed, which may hang too."""
    stage.disk.put("/one/left.bin", "left", LARGE)
    stage.disk.hold(["read"], "/one/left.bin", MIDDLE)
    left = stage.begin("/left.bin", proto)
    read_more(left, 0.3)
    stage.await_held(1, "read")
    stage.disk.hold(["*"])
    left.reset()
    stage.healthy("a client left a hung download")
    stage.disk.heal()
    assert stage.get("/left.bin").body == content("left", LARGE)
    stage.disk.hold(["flush"])
    stage.disk.remove("/one/left.bin")
    wait_for(lambda: b"/left.bin" in stage.get("/left.bin").body[:100], IN_TIME, "the file that is gone is the backend's")
    stage.await_held(1, "flush")
    stage.healthy("the version that is gone is being closed")


@pytest.mark.parametrize("how", ["frozen", "frozen-and-root-switched", "held", "held-download"])
def test_stops_with_a_hung_disk(stage, how):
    """DESIGN §1: TERM stops within `drain` (2 s here); what the kernel does not give back must not hold the service manager up."""
    stage.disk.put("/one/large.bin", "large", LARGE)
    worker = stage.weir.worker()
    connections = []
    if how == "held-download":
        connections.append(stage.begin("/large.bin"))
    stage.disk.freeze() if how.startswith("frozen") else stage.disk.hold(["*"])
    for number in range(6):
        connections.append(stage.connect(seconds=20))
        connections[-1].request(f"/{number}.txt")
    if how == "held-download":
        read_more(connections[0], 0.5)
    if how.startswith("held"):
        stage.await_held(1)
    if how == "frozen-and-root-switched":  # whoever follows roots looks at all of them
        os.rename(stage.weir.root, stage.weir.folder / "root.old")
        os.rename(stage.weir.folder / "root.old", stage.weir.root)
    stage.weir.process.send_signal(signal.SIGTERM)
    try:
        # `drain`, what a worker gets beyond it, and the patience for one that was killed and does not die
        wait_for(lambda: stage.weir.process.poll() is not None, 10, "weir stops while a disk hangs")
        assert stage.weir.process.returncode == 0
    finally:
        stage.disk.die()
    for connection in connections:
        assert connection.wait_end(2), "the connection outlives the server"
        connection.close()
    wait_for(lambda: is_gone(worker), 5, "the worker is gone when the disk lets go of it")


def test_reload_while_a_disk_hangs(stage):
    """DESIGN §4, Reload: the old worker serves on until the new one is READY: that waits for the disk, nobody else."""
    stage.disk.put("/one/a.txt", "a", 100)
    stage.healthy("before")
    stage.disk.hold(["*"])
    stage.weir.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(children(stage.weir.pid)) == 2, 5, "a second worker starts")
    stage.healthy("a reload is under way")
    stage.disk.heal()
    assert command("reload", "-c", stage.weir.file).returncode == 0
    wait_for(lambda: len(children(stage.weir.pid)) == 1, 10, "the old workers are gone")
    assert stage.get("/a.txt").body == content("a", 100)
    stage.weir.expect_restart()


def test_worker_that_dies_while_a_disk_hangs(stage):
    """DESIGN §4: "a dead disk must not stop the others", nor the worker that takes a dead one's place: it looks up no root; when the disk
    is back it is served, within the sandbox of before."""
    for root in ("/one", "/two"):
        stage.disk.put(f"{root}/a.txt", root[1:], 100)
    stage.healthy("before")
    stage.disk.freeze()
    for times in range(2):
        dead = stage.weir.worker()
        os.kill(dead, signal.SIGKILL)
        wait_for(lambda dead=dead: len(set(children(stage.weir.pid)) - {dead}) == 1 and is_gone(dead), 10, "a successor")
        connections = [stage.connect(port, 20) for port in ("port2", "port3") for _ in range(5)]
        for connection in connections:
            connection.request("/a.txt")
        for _ in range(5):
            stage.healthy(f"the worker has died, {times} times before")
    stage.disk.thaw()
    for number, connection in enumerate(connections):
        response = connection.read(seconds=5)
        assert (response.status, response.body) == (200, content(("one", "two")[number // 5], 100))
        connection.close()
    stage.weir.expect_restart()


# --- It fails ---

def test_error_in_the_middle_ends_the_connection(stage, proto):
    """DESIGN §3: "the connection ends, nothing is mixed or padded"; RFC 9112 §6.3, §8: a body shorter than its Content-Length is
    incomplete, and the client must be able to tell."""
    body = stage.disk.put("/one/bad.bin", "bad", LARGE)
    stage.disk.fail(["read"], "/one/bad.bin", offset=MIDDLE)
    for first in (0, MIDDLE - (1 << 20)):
        with stage.connect(proto=proto) as connection:
            connection.request("/bad.bin", fields={"Range": f"bytes={first}-"} if first else {})
            status, got = read_more(connection, 5)
            assert status == (206 if first else 200)
            with pytest.raises(Ended) as fault:
                connection.read()
            assert learned(connection, fault.value), "the connection must end, or the stream"
            assert len(got) <= MIDDLE - first and got == body[first:first + len(got)], "padded, mixed or completed"
        stage.healthy("a read failed")
    stage.disk.heal()
    assert stage.get("/bad.bin").body == body


@pytest.mark.parametrize("error", ["EIO", "ETIMEDOUT", "ESTALE"])
@pytest.mark.parametrize("operation", ["open", "getattr", "read"])
def test_errors_never_pass(stage, operation, error):
    """DESIGN §3: "a file that exists but cannot be read … never passes: it must not become a backend's business". The machine is
    at fault: 5xx (RFC 9110 §15.6), by GET and HEAD, plain, conditional and in ranges; what is missing passes, as ever."""
    body = stage.disk.put("/one/a.txt", "a", 3000)
    stage.disk.put("/one/folder/index.html", "index", 3000)
    stage.disk.fail([operation], "/one/a.txt", getattr(errno, error))
    stage.disk.fail([operation], "/one/folder/index.html", getattr(errno, error))
    with stage.connect() as connection:
        for target, method, fields in (("/a.txt", "GET", {}), ("/a.txt", "HEAD", {}), ("/a.txt?x", "GET", {"Range": "bytes=0-9"}),
                                       ("/a.txt", "GET", {"If-None-Match": '"x"'}), ("/folder/", "GET", {}),
                                       ("/a.txt", "GET", {"Accept": "text/html"})):
            response = connection.get(target, method=method, fields=fields)
            assert response.status in (500, 503), (target, method, fields)
            assert b"a      " not in response.body
        assert stage.backend.take() == []
        assert connection.get("/missing.txt").status == 200
        assert [seen.request.target for seen in stage.backend.wait(1)] == [b"/missing.txt"]
        stage.disk.heal()
        assert connection.get("/a.txt").body == body
    assert stage.backend.take() == []


def test_dead_disk_never_passes(stage):
    """DESIGN §3, as above: the file system's process is gone, nobody knows what the root holds: 5xx, and not the backend."""
    body = stage.disk.put("/one/a.txt", "a", 3000)
    assert stage.get("/a.txt").body == body
    stage.disk.die()
    with stage.connect() as connection:
        def failed():
            response = connection.get("/a.txt")
            assert response.status in (500, 503) or response.body == body
            return response.status != 200
        wait_for(failed, IN_TIME, "the dead disk is seen")
        for target in ("/a.txt", "/b.txt", "/", "/folder/"):
            assert connection.get(target).status in (500, 503), target
    assert stage.backend.take() == []
    stage.healthy("a disk died")


# --- It changes without a word ---

class Watcher:
    """Kept connections that ask until all of them have seen a change, and never take a step back."""

    def __init__(self, stage, target):
        self.stage, self.target, self.cuts = stage, target, 0
        self.connections = [stage.connect() for _ in range(4)]

    def get(self, number):
        """An answer; None: the connection was ended, and is another now."""
        try:
            return self.connections[number].get(self.target)
        except Ended as fault:
            assert learned(self.connections[number], fault), "neither an answer nor an end"
            self.connections[number].close()
            self.connections[number] = self.stage.connect()
            self.cuts += 1
            return None

    def await_change(self, old, is_new):
        """Old or new, whole; no connection sees the old one after the new one; all see the new one in time."""
        start, seen = time.monotonic(), set()
        while len(seen) < len(self.connections):
            assert time.monotonic() - start < IN_TIME, f"{self.target} is believed for more than {IN_TIME} s"
            for number in range(len(self.connections)):
                response = self.get(number)
                if response and is_new(response):
                    seen.add(number)
                elif response:
                    assert number not in seen and old(response), (response.status, response.body[:64])

    def tag(self):
        """The entity tag that every connection gets."""
        tags = {self.get(number).get("ETag") for number in range(len(self.connections))}
        assert len(tags) == 1
        return tags.pop()


def holds(body):
    return lambda response: response.status == 200 and response.body == body


def of_backend(response):
    return response.status == 200 and response.get("Content-Type") == "application/json"


@pytest.mark.parametrize("size", [1000, 300000, 6 << 20])
def test_changes_are_seen_by_time(stage, size):
    """DESIGN §4: "Without inotify (… network file system …) entries are checked again after a second": contents of the same and
    of another size, a file that goes and one that comes. Another content, another tag; the same content, the same tag (DESIGN §3;
    RFC 9110 §8.8.1)."""
    name, base = "/one/changes.bin", (int(time.time()) - 3600) * SECOND
    watcher = Watcher(stage, "/changes.bin")
    watcher.await_change(of_backend, of_backend)
    first = stage.disk.put(name, "1", size, base)
    watcher.await_change(of_backend, holds(first))
    tag = watcher.tag()
    new = stage.disk.put(name, "2", size, base + SECOND)
    watcher.await_change(holds(first), holds(new))
    assert watcher.tag() != tag
    longer = stage.disk.put(name, "3", size + 100, base + 2 * SECOND)
    watcher.await_change(holds(new), holds(longer))
    stage.disk.remove(name)
    watcher.await_change(holds(longer), of_backend)
    stage.disk.put(name, "1", size, base)
    watcher.await_change(of_backend, holds(first))
    assert watcher.tag() == tag


@pytest.mark.parametrize("size", [1000, 300000, 6 << 20])
def test_changes_cut_nobody_who_asks_later(stage, size):
    """DESIGN §3: a connection ends where a file is written while it is sent; who asks after the change gets an answer, old or
    new."""
    watcher = Watcher(stage, "/later.bin")
    old = stage.disk.put("/one/later.bin", "0", size, SECOND)
    watcher.await_change(holds(old), holds(old))
    for number in range(1, 4):
        new = stage.disk.put("/one/later.bin", str(number), size, (number + 1) * SECOND)
        watcher.await_change(holds(old), holds(new))
        old = new
    assert watcher.cuts == 0, f"{watcher.cuts} connections ended"


def test_changed_without_a_word_while_sent(stage, proto):
    """DESIGN §3: "a response is the bytes of one version … written in place …: the connection ends, nothing is mixed": seen
    without events too, before the next bytes are sent."""
    old = stage.disk.put("/one/sent.bin", "old", LARGE, 10 ** 9 * SECOND)
    stage.disk.hold(["read"], "/one/sent.bin", MIDDLE)
    with stage.begin("/sent.bin", proto) as connection:
        read_more(connection, 0.3)
        stage.await_held(1, "read")
        stage.disk.put("/one/sent.bin", "new", LARGE, 10 ** 9 * SECOND + SECOND)
        stage.disk.heal()
        status, got = read_more(connection, 8)
        with pytest.raises(Ended) as fault:
            connection.read()
        assert status == 200 and learned(connection, fault.value) and len(got) < LARGE, "two versions made one answer"
        assert old.startswith(got), f"mixed from octet {next(n for n in range(0, LARGE, 16) if old[n:n + 16] != got[n:n + 16])} on"
    wait_for(lambda: stage.get("/sent.bin").body == content("new", LARGE), IN_TIME, "the new version is served")
