# SPDX-License-Identifier: BSD-2-Clause
"""What an answer costs in system calls (DESIGN §6): a small file one that receives and one that sends, a large one the head and sendfile."""
import os
import re
import statistics
import subprocess
import time

import pytest

from client import Connection, Ended, connect
from controlled import Controlled, controls
from server import Server, wait_for
from traced import Traced

CONFIG = """
threads: 1
log: { error: { path: stderr }, access: off }  # whose thread is woken by a call
sites:
  - listen: ["http://127.0.0.1:$port", "http://unix:$folder/socket"]
    root: $root
"""
LARGE = 48 << 20
MIDDLING = 40 << 10


def fill(weir):
    (weir.root / "small.txt").write_text("hello\n")
    (weir.root / "middling.bin").write_bytes(bytes(MIDDLING))
    (weir.root / "large.bin").write_bytes(os.urandom(1 << 20) * (LARGE >> 20))
    changed = (weir.root / "large.bin").stat().st_ctime
    wait_for(lambda: time.time() - changed > 2, what="a file that has not changed just now: such a one is looked at once more")


@pytest.fixture(name="weir", scope="module")
def running():
    with Server(CONFIG) as weir:
        fill(weir)
        yield weir


@pytest.fixture(name="controlled", scope="module", params=controls())
def with_control(request):
    with Controlled(CONFIG, request.param) as weir:
        fill(weir)
        yield weir


def names(calls):
    return [name for name, _, _ in calls]


def octets(calls):
    return sum(result for name, _, result in calls if name == "sendfile" and result > 0)


def test_a_small_file(weir):
    with connect(weir.port, "h1") as connection:
        for _ in range(3):
            assert connection.get("/small.txt").body == b"hello\n"
        with Traced(weir) as traced:
            for number in range(3):
                assert connection.get(f"/small.txt?{number}").body == b"hello\n"
            wait_for(lambda: "sendto" in names(traced.calls("/small.txt?2")), what="the last answer in the log")
            between = traced.calls("/small.txt?1")
    assert names(between)[:4] == ["recvfrom", "sendto"] * 2


def test_a_middling_file(weir):
    """The head waits for the body, whatever the congestion control: both leave at once."""
    with connect(weir.port, "h1") as connection:
        for _ in range(3):
            assert len(connection.get("/middling.bin").body) == MIDDLING
        with Traced(weir) as traced:
            for number in range(3):
                assert len(connection.get(f"/middling.bin?{number}").body) == MIDDLING
            wait_for(lambda: "sendfile" in names(traced.calls("/middling.bin?2")), what="the last answer in the log")
            between = traced.calls("/middling.bin?1")
    assert names(between)[:6] == ["recvfrom", "sendto", "sendfile"] * 2
    assert "MSG_MORE" in between[1][1]


def test_many_new_files_in_one_read(weir):
    """What the loop itself opens and reads in a turn has a limit: others wait meanwhile. The rest is done by I/O threads."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", weir.root], stdout=subprocess.PIPE, text=True).stdout.strip()
    if kind not in ("ext2/ext3", "xfs", "btrfs", "f2fs"):
        pytest.skip("the loop opens no files on this file system")
    folder = weir.root / "many"
    folder.mkdir()
    for number in range(200):
        (folder / f"{number}.txt").write_bytes(b"x" * 32768)
    with connect(weir.port, "h1") as connection:
        changed = (folder / "199.txt").stat().st_ctime
        wait_for(lambda: time.time() - changed > 0.2, what="files that have not changed just now")
        for number in range(20):  # until their names are known
            assert connection.get(f"/many/none-{number}").status == 404
        with Traced(weir) as traced:
            connection.socket.sendall(b"GET /small.txt?many HTTP/1.1\r\nHost: a\r\n\r\n" + b"".join(
                b"HEAD /many/%d.txt HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(200)))
            assert connection.read().status == 200
            for _ in range(200):
                assert connection.read(method="HEAD").status == 200
            wait_for(lambda: traced.count("many/199.txt") >= 1, what="the last file in the log")
            turns = re.split(r"^epoll_wait\(", traced.after("/small.txt?many"), flags=re.MULTILINE)
    opened = [turn.count("RESOLVE_CACHED}") // 2 for turn in turns]
    assert max(opened) < 100, opened


def test_a_large_file(controlled):
    """Also where its reader is slow, so that the socket is full: the second answer of a connection asks for nothing but to send. Where sending is
    not paced short segments wait for what follows, as long as there is much of it."""
    weir, quantum = controlled, controlled.quantum
    with connect(weir.port, "h1") as connection, Traced(weir) as traced:
        for number in range(30):
            target = f"/large.bin?{number}"
            connection.request(target)
            wait_for(lambda: ("sendfile", -1) in [(name, result) for name, _, result in traced.calls(target)], seconds=20, what="a full socket")
            assert len(connection.read().body) == LARGE
            wait_for(lambda: octets(traced.calls(target)) == LARGE, what="the end of the answer")
            calls = traced.calls(target)
            traced_after = traced.after(target)
            if number > 0 and "inotify" not in traced_after:
                break  # else something was mounted meanwhile, behind which each file is asked for
    assert names(calls)[:2] == ["recvfrom", "sendto"]
    assert "MSG_MORE" in calls[1][1]
    others = [arguments for name, arguments, _ in calls[2:] if name != "sendfile"]
    corks = [arguments for arguments in others if "TCP_CORK" in arguments]
    assert [arguments.split(", ")[3] for arguments in corks] == ([] if weir.paced else ["[1]", "[0]"])
    assert len(others) - len(corks) <= 1  # of one that takes longer it is asked what the peer has acknowledged
    asked = [int(arguments.rpartition(", ")[2]) for name, arguments, _ in calls if name == "sendfile"]
    assert statistics.median(asked) == quantum
    pieces = re.findall(r"^(sendfile|epoll_wait)\(.*= (\d+)$", traced_after, re.MULTILINE)
    assert ("sendfile", str(quantum)) in pieces  # each is the connection's turn
    assert all(next_name == "epoll_wait" for piece, (next_name, _) in zip(pieces, pieces[1:]) if piece == ("sendfile", str(quantum)))


def test_a_unix_socket_that_was_full(weir):
    """Such a socket tells of room whenever something was taken: after a while nobody listens, and an answer is one turn of the loop."""
    with Connection(str(weir.folder / "socket"), seconds=20) as connection, Traced(weir) as traced:
        connection.request("/large.bin?unix")
        wait_for(lambda: ("sendfile", -1) in [(name, result) for name, _, result in traced.calls("/large.bin?unix")], seconds=20, what="a full socket")
        assert len(connection.read().body) == LARGE
        for number in range(50):
            assert connection.get(f"/small.txt?{number}").body == b"hello\n"
        wait_for(lambda: "sendto" in names(traced.calls("/small.txt?49")), what="the last answer in the log")
        after = traced.after("/small.txt?20")
    assert after.count("sendto(") == 30 and after.count("EPOLLOUT, data") <= 5


def test_a_socket_that_cannot_be_watched(weir):
    """The connection ends, and the log says why: that is not the client's doing."""
    with connect(weir.port, "h1", seconds=20) as connection:
        assert connection.get("/small.txt").body == b"hello\n"
        with Traced(weir, "-e", "trace=epoll_ctl", "-e", "inject=epoll_ctl:error=ENOSPC"):
            connection.request("/large.bin?unwatched")
            wait_for(lambda: "a connection cannot be watched: No space left on device" in weir.log(), seconds=20, what="the line in the log")
        with pytest.raises(Ended):
            connection.read()
    with connect(weir.port, "h1") as connection:
        assert connection.get("/small.txt").body == b"hello\n"
