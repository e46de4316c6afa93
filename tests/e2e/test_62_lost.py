# SPDX-License-Identifier: BSD-2-Clause
"""No line of the access log is lost by stop, reload and rotation; a full disk and a pipe that nobody reads stop nothing and are told
(DESIGN §4, After the drop; CASES, Machine)."""
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from client import Connection
from proc_load import Load
from server import ROOT, Server, command, wait_for

LOADED = """
log: { error: { path: stderr, level: debug }, access: { path: $folder/access.log, format: json } }
threads: 2
sites:
  - { listen: "http://127.0.0.1:$port", root: $root }
"""


def all_lines(server):
    """Lines of the log and of all that it was renamed to."""
    return b"".join(path.read_bytes() for path in sorted(server.folder.glob("access.log*"))).split(b"\n")[:-1]


def test_reloads_and_rotations_lose_no_line():
    server = Server(LOADED, secure=True)
    try:
        server.start()
        (server.root / "index.html").write_text("hello\n")
        with Load(server.port, kept=4, fresh=4) as load:
            for number in range(20):
                os.rename(server.folder / "access.log", server.folder / f"access.log.{number:02}")
                server.process.send_signal(signal.SIGUSR1)
                wait_for((server.folder / "access.log").exists, what="a new log")
                load.progress(30)
                assert command("reload", "-c", server.file).returncode == 0
                load.progress(30)
        assert not load.lost, load.lost[:5]
        server.expect_restart()
        assert server.stop() == 0
        lines = all_lines(server)
        assert all(json.loads(line)["status"] == 200 for line in lines)
        assert len(lines) == load.good
        assert all(path.stat().st_size for path in server.folder.glob("access.log.*")), "a rotation without a line"
    finally:
        server.__exit__(None, None, None)


def test_a_rotation_in_the_middle_of_a_reload():
    """Whichever comes first: both workers end up with the new file."""
    server = Server(LOADED, secure=True)
    try:
        server.start()
        (server.root / "index.html").write_text("hello\n")
        with Load(server.port, kept=2, fresh=2) as load:
            for number in range(10):
                running = subprocess.Popen(server.command[:1] + ["reload", "-c", server.file], stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
                os.rename(server.folder / "access.log", server.folder / f"access.log.{number:02}")
                server.process.send_signal(signal.SIGUSR1)
                assert running.wait(20) == 0
                wait_for((server.folder / "access.log").exists, what="a new log")
        wait_for(lambda: all_lines(server).count(b"") == 0 and len(all_lines(server)) == load.good, 10, "all lines")
        with Connection(server.port) as connection:
            connection.get("/last")
        wait_for(lambda: b"/last" in (server.folder / "access.log").read_bytes(), 10, "the last line in the new file")
        assert not load.lost, load.lost[:5]
        server.expect_restart()
        assert server.stop() == 0
        assert len(all_lines(server)) == load.good + 1
    finally:
        server.__exit__(None, None, None)


def test_a_stop_loses_no_line():
    """The lines of the last answers are written, whichever way it is stopped."""
    for sig in (signal.SIGTERM, signal.SIGINT):
        server = Server(LOADED, secure=True)
        try:
            server.start()
            (server.root / "index.html").write_text("hello\n")
            with Load(server.port) as load:
                load.progress(200)
                assert server.stop(sig) == 0
            whole = [line for line in all_lines(server) if json.loads(line)["reason"] == "-"]
            assert len(whole) >= load.good
        finally:
            server.__exit__(None, None, None)


# --- A full disk. ---

def wait_until(condition, seconds):
    """Whether it comes true in time."""
    try:
        return wait_for(condition, seconds)
    except AssertionError:
        return False


class TinyDisk:
    """A file system that holds next to nothing."""

    def __init__(self, where):
        self.path = Path(where) / "tiny"
        self.path.mkdir()

    def __enter__(self):
        run = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,mode=0777", "weir-test", self.path],
                             capture_output=True, text=True, check=False)
        if run.returncode:
            pytest.skip(f"no tmpfs can be mounted: {run.stderr.strip()}")
        return self

    def __exit__(self, *exception):
        subprocess.run(["umount", self.path], check=False)


def lost_lines(server):
    return json.loads(command("status", "--json", "-c", server.file).stdout)["counters"]["log_lines_lost"]


@pytest.mark.skipif(not ROOT, reason="only root can mount a disk")
def test_a_full_disk(weir):
    """Requests are answered; what was lost is counted and told; when there is room again whole lines are written."""
    server = Server(LOADED.replace("$folder/access.log", "$folder/tiny/access.log"))
    with TinyDisk(server.folder) as disk:
        try:
            server.start()
            with Connection(server.port) as connection:
                for number in range(200):
                    assert connection.get(f"/{number}").status == 404
            wait_for(lambda: "access log: No space left on device" in server.log(), what="the full disk is told")
            assert server.log().count("lines are lost") <= 2
            file = disk.path / "access.log"
            before = file.read_bytes().split(b"\n")
            assert len(before) > 10 and all(json.loads(line)["status"] == 404 for line in before[:-1])
            with Connection(server.port) as connection:

                def targets():
                    """Of whole lines: what one was torn to counts as lost, and has an end of its own."""
                    return [json.loads(line)["target"] for line in file.read_bytes().split(b"\n") if line.endswith(b"}")]

                def after():
                    os.truncate(file, 0)  # again where lines that still waited have filled it
                    assert connection.get("/after").status == 404
                    return wait_until(lambda: "/after" in targets(), 0.5)

                wait_for(after, 10, "a line after there was room")
            assert server.stop() == 0
            assert "/after" in targets()
            server.check()
        finally:
            server.kill()
    server.remove()


def test_dev_full(weir):
    server = weir(LOADED.replace("$folder/access.log", "/dev/full"))
    with Connection(server.port) as connection:
        for _ in range(50):
            assert connection.get("/").status == 404
    wait_for(lambda: "access log: No space left on device" in server.log(), what="the full disk is told")
    assert command("reload", "-c", server.file).returncode == 0
    wait_for(lambda: lost_lines(server) == 50, 10, "the counter, once the old worker is gone")
    assert re.search(r"^access log +50 lines lost", command("status", "-c", server.file).stdout, re.MULTILINE)
    server.expect_restart()
    assert server.stop() == 0
    told = sum(int(number) for number in re.findall(r"; (\d+) lines are lost", server.log()))
    assert told == 50


def test_a_pipe_that_nobody_reads():
    """A stop is not held up, and the lines that went nowhere are told."""
    read, write = os.pipe()
    server = Server(LOADED.replace("$folder/access.log", "stdout"))
    try:
        server.write()
        with open(server.errors, "ab") as errors:
            server.process = subprocess.Popen(server.command, stdin=subprocess.DEVNULL, stdout=write, stderr=errors,
                                              start_new_session=True, env=server.env, cwd=server.folder)
        wait_for(lambda: re.search(r"serves", server.log()), 20, "weir is ready")
        with Connection(server.port) as connection:
            for _ in range(1000):
                assert connection.get("/" + "x" * 100).status == 404
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 4
        assert "access log: nobody reads it" in server.log()
    finally:
        server.kill()
        os.close(read)
        os.close(write)
        server.remove()
