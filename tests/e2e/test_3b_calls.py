# SPDX-License-Identifier: BSD-2-Clause
"""What an answer costs in system calls (DESIGN §6): a small file one that receives and one that sends, a large one the head and sendfile."""
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from client import Connection, connect
from server import Server, wait_for

CONFIG = """
threads: 1
log: { error: { path: stderr }, access: off }  # whose thread is woken by a call
sites:
  - listen: ["http://127.0.0.1:$port", "http://unix:$folder/socket"]
    root: $root
"""
LARGE = 48 << 20
MIDDLING = 40 << 10
QUANTUM = 120 << 10
CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+)", re.MULTILINE)


class Traced:
    """The system calls of the worker of a weir, a file for each thread."""

    def __init__(self, weir):
        self.folder = tempfile.TemporaryDirectory()  # not beside the root, where weir hears of what comes and goes
        self.process = subprocess.Popen(["strace", "-ff", "-s", "40", "-o", f"{self.folder.name}/calls", "-p", str(weir.worker())],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def __enter__(self):
        line = self.process.stderr.readline()
        assert b"attached" in line, line
        return self

    def __exit__(self, *exception):
        self.process.send_signal(signal.SIGINT)
        self.process.stderr.read()
        self.process.wait(20)
        self.process.stderr.close()
        self.folder.cleanup()

    def after(self, target):
        """What the thread that received this target last did from then on."""
        for file in Path(self.folder.name).glob("calls.*"):
            before, found, after = file.read_text(errors="replace").rpartition(f'"GET {target} ')
            if found:
                return before.rpartition("\n")[2] + found + after
        return ""

    def calls(self, target):
        """The same as names, arguments, results: of the connection's socket, the file that is sent by it, and names like that. (What goes on
        on the machine beside it, as a mount, is told to the thread, too.)"""
        calls = CALL.findall(self.after(target))
        mine = {calls[0][1].partition(",")[0]} if calls else set()
        mine |= {arguments.split(", ")[1] for name, arguments, _ in calls if name == "sendfile" and arguments.split(", ")[0] in mine}
        of_file = target.lstrip("/").partition("?")[0]
        return [(name, arguments, int(result)) for name, arguments, result in calls
            if mine & set(arguments.split(", ")[:1]) or name == "epoll_ctl" and arguments.split(", ")[2] in mine or of_file in arguments]


@pytest.fixture(name="weir", scope="module")
def running():
    with Server(CONFIG) as weir:
        (weir.root / "small.txt").write_text("hello\n")
        (weir.root / "middling.bin").write_bytes(bytes(MIDDLING))
        (weir.root / "large.bin").write_bytes(os.urandom(1 << 20) * (LARGE >> 20))
        changed = (weir.root / "large.bin").stat().st_ctime
        wait_for(lambda: time.time() - changed > 2, what="a file that has not changed just now: such a one is looked at once more")
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


def test_a_large_file(weir):
    """Also where its reader is slow, so that the socket is full: the second answer of a connection asks for nothing but to send."""
    with connect(weir.port, "h1") as connection, Traced(weir) as traced:
        for number in range(30):
            target = f"/large.bin?{number}"
            connection.request(target)
            wait_for(lambda: ("sendfile", -1) in [(name, result) for name, _, result in traced.calls(target)], seconds=20, what="a full socket")
            assert len(connection.read().body) == LARGE
            wait_for(lambda: octets(traced.calls(target)) == LARGE, what="the end of the answer")
            calls = traced.calls(target)
            if number > 0 and "inotify" not in traced.after(target):
                break  # else something was mounted meanwhile, behind which each file is asked for
    assert names(calls)[:2] == ["recvfrom", "sendto"]
    others = [name for name in names(calls)[2:] if name != "sendfile"]
    assert others in ([], ["getsockopt"])  # of one that takes longer it is asked what the peer has acknowledged
    asked = [int(arguments.rpartition(", ")[2]) for name, arguments, _ in calls if name == "sendfile"]
    assert statistics.median(asked) == QUANTUM


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
