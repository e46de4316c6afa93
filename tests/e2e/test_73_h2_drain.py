# SPDX-License-Identifier: BSD-2-Clause
"""The end of connections that serve (DESIGN §4; RFC 9113, 6.8): on a stop and on a reload GOAWAY comes first, what is under way is
finished, and no request is lost that was not told to be."""
import signal
import threading
import time

import pytest

from client import Ended
from h2client import *
from h2stage import INDEX, PIECE, ended
from origin import Origin, plain
from server import command, wait_for

CONFIG = """
drain: 10s
sites:
  - { listen: "http://127.0.0.1:$port", root: root, proxy: "$origin" }
"""


@pytest.fixture
def held():
    """A backend that answers when it is told to."""
    release = threading.Event()

    def wait(peer, head_of):
        release.wait(20)
        return plain(peer, head_of)

    with Origin({"held": wait}) as origin:
        origin.release = release
        yield origin
        release.set()


@pytest.fixture
def server(weir, held):
    made = weir(CONFIG, values={"origin": held.address})
    (made.root / "index.html").write_bytes(INDEX)
    (made.root / "big.bin").write_bytes(PIECE * 16)
    return made


@pytest.fixture
def ending(mortal, held):
    made = mortal(CONFIG, values={"origin": held.address})
    (made.root / "index.html").write_bytes(INDEX)
    (made.root / "big.bin").write_bytes(PIECE * 16)
    return made


def reload(server):
    done = command("reload", "-c", server.file)
    assert done.returncode == 0, done.stderr
    server.expect_restart()


def under_way(c):
    """A download that is begun and not read on, and a request at the backend."""
    download, waiting = c.start("/big.bin"), c.start("/held")
    c.until(lambda: c.streams[download].body)
    return download, waiting


def finishes(c, held, download, waiting):
    c.until(lambda: c.goaway, 10, "GOAWAY")
    assert c.goaway[1] == NO_ERROR and c.goaway[0] >= waiting
    held.release.set()
    c.auto = True
    c.update(0, 64 << 20)
    c.update(download, 64 << 20)
    assert c.response(waiting, 20).body == b"ok"
    assert c.response(download, 30).body == PIECE * 16
    assert ended(c, 10) == "fin"


def test_stop(ending, held):
    with H2(ending.port, auto=False, seconds=20) as c:
        download, waiting = under_way(c)
        wait_for(lambda: held.heads, what="the request at the backend")
        ending.process.send_signal(signal.SIGTERM)
        finishes(c, held, download, waiting)
        assert ending.process.wait(20) == 0


def test_stop_of_idle_connections(ending):
    """They are told and ended at once; nobody waits for them."""
    with H2(ending.port) as c, H2(ending.port) as fresh:
        assert c.get("/").body == INDEX
        fresh.until(lambda: fresh.settled)
        ending.process.send_signal(signal.SIGTERM)
        assert ended(c, 8) == "fin" and c.goaway[1] == NO_ERROR
        assert ended(fresh, 8)
        assert ending.process.wait(20) == 0


def test_requests_behind_goaway(ending, held):
    """What comes on a connection that was told to end is answered, or it is beyond the last stream: never half done."""
    with H2(ending.port, auto=False, seconds=20) as c:
        _, waiting = under_way(c)
        ending.process.send_signal(signal.SIGTERM)
        c.until(lambda: c.goaway, 10)
        late = c.start("/")
        c.update(0, 1 << 20)
        try:
            assert c.response(late).body == INDEX
        except Ended:
            assert c.past(late) or c.streams[late].reset == REFUSED_STREAM
        held.release.set()
        assert c.response(waiting).body == b"ok"


def test_reload(server, held):
    with H2(server.port, auto=False, seconds=20) as c:
        download, waiting = under_way(c)
        wait_for(lambda: held.heads, what="the request at the backend")
        reload(server)
        finishes(c, held, download, waiting)
    with H2(server.port) as c:
        assert c.get("/").body == INDEX


def test_reloads_under_load(server):
    """Clients that ask on while weir is reloaded: each request is answered, or was told not to be looked at; then a new connection does it."""
    stop, faults, counts = threading.Event(), [], []

    def ask():
        count = 0
        try:
            while not stop.is_set():
                with H2(server.port, seconds=10) as c:
                    while not stop.is_set() and not c.goaway:
                        streams = [c.start("/") for _ in range(5)]
                        for stream in streams:
                            try:
                                assert c.response(stream).body == INDEX
                                count += 1
                            except Ended:
                                if not (c.past(stream) or (c.streams[stream].reset == REFUSED_STREAM)):
                                    raise
        except Exception as fault:  # told below
            faults.append(f"{fault!r}")
        counts.append(count)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        reload(server)
    stop.set()
    for thread in threads:
        thread.join(20)
    assert not faults and min(counts) > 0, (faults, counts)


def test_graceful_goaway_leaves_room(server):
    """6.8: what was on its way when GOAWAY was sent is still taken: a request sent in that moment is answered or told to be unseen."""
    for _ in range(3):
        with H2(server.port, seconds=10) as c:
            c.until(lambda: c.settled)
            done = threading.Thread(target=reload, args=(server,))
            done.start()
            answered = 0
            while not c.goaway and not c.ended:
                stream = c.start("/")
                try:
                    assert c.response(stream).body == INDEX
                    answered += 1
                except Ended:
                    assert c.past(stream) or c.streams[stream].reset == REFUSED_STREAM, c.goaway
            done.join(20)
            assert c.goaway and answered
