# SPDX-License-Identifier: BSD-2-Clause
"""The supervisor (DESIGN §4) where the machine or its neighbours misbehave: standard error that nobody reads, logs that cannot be
opened, links in their folders, terminals that close. What needs workers that misbehave is in tests/unit/process."""
import errno
import fcntl
import http.client
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from server import ROOT, WEIR, children, command, control_sockets, family, is_lasting, new_folder, status, wait_for
from slow_disk import Missing, SlowDisk

CONFIG = """
sites:
  - { listen: "http://127.0.0.1:$port", root: $root }
"""
LOGS = "log: { error: { path: stderr }, access: { path: $folder/logs/access.log } }\n"


def get(port, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def field(pid, name):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].split()
    raise AssertionError(name)


def serving(server):
    return [worker["pid"] for worker in status(server)["workers"] if worker["state"] == "serving"][0]


def replaced(server):
    """Kills the worker and waits until another answers."""
    worker = server.worker()
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: children(server.pid) and worker not in children(server.pid), seconds=10, what="a new worker")
    assert wait_for(lambda: get(server.port), seconds=10) == (200, b"hello\n")


# --- Its end ---

def write_end(fifo):
    """Opens it as soon as somebody reads."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        assert error.errno == errno.ENXIO
        return None


def test_a_worker_that_hangs_in_its_start_ends_with_its_supervisor():
    """Nobody would know of it, and what it waits for may come some day."""
    folder = new_folder()
    file = folder / "weir.yaml"
    os.mkfifo(file)
    supervisor = subprocess.Popen([WEIR, "run", "-c", file], stderr=subprocess.DEVNULL, start_new_session=True)
    opened = []
    try:
        opened.append(wait_for(lambda: write_end(file), 20, "somebody who reads"))
        opened.append(os.pidfd_open(children(supervisor.pid)[0]))
        supervisor.kill()
        supervisor.wait(10)
        assert select.select([opened[1]], [], [], 10)[0], "it lives on"
    finally:
        supervisor.kill()
        supervisor.wait(10)
        for one in opened:  # it reads to the end now, if it lives
            os.close(one)
        for path in control_sockets(file):
            path.unlink(missing_ok=True)
        shutil.rmtree(folder)


# --- Few descriptors ---

def limited(count):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


@pytest.mark.parametrize("count", [16, 63])
def test_too_few_descriptors_are_told(count):
    folder = new_folder()
    try:
        (folder / "weir.yaml").write_text('sites: [ { listen: "http://127.0.0.1:1", root: . } ]\n')
        run = subprocess.run([WEIR, "run", "-c", folder / "weir.yaml"], capture_output=True, text=True, timeout=20, check=False,
                             preexec_fn=limited(count))
        assert run.returncode == 1
        assert f"the limit of open files is {count}, and weir needs 64 at least" in run.stderr
    finally:
        shutil.rmtree(folder)


def test_few_descriptors_are_enough_to_serve_and_to_reload(mortal):
    server = mortal(CONFIG)
    assert server.stop() == 0
    server.command = ["prlimit", "--nofile=64:64", *server.command]
    server.start()
    assert get(server.port) == (200, b"hello\n")
    assert command("reload", "-c", server.file).returncode == 0
    assert get(server.port) == (200, b"hello\n")
    assert len(status(server)["workers"]) >= 1
    assert server.stop() == 0


# --- The pid file ---

def test_two_with_one_pid_file_do_not_take_it_from_each_other(mortal):
    """It is the same for all configurations by default: who comes second is told, and who stops leaves the other's number alone."""
    first = mortal(CONFIG)
    file = first.folder / "weir.pid"
    second = mortal(f"pid_file: {file}\n" + CONFIG)
    assert f"it was that of process {first.pid}, a weir that runs as well" in second.log()
    assert first.stop() == 0
    assert file.read_text() == f"{second.pid}\n"
    assert second.stop() == 0
    assert not file.exists()


# --- Standard error ---

class FullPipe:
    """A pipe that takes nothing any more."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(self.writer, False)
        try:
            while os.write(self.writer, b"x" * 4096):
                pass
        except BlockingIOError:
            pass
        os.set_blocking(self.writer, True)

    def read(self):
        return os.read(self.reader, 1 << 16).decode()

    def close(self):
        os.close(self.reader)
        os.close(self.writer)


def test_standard_error_that_nobody_reads_stops_nobody(mortal):
    server = mortal("log: { error: { path: stderr }, access: off }\n" + CONFIG)
    server.stop()
    full = FullPipe()
    process = subprocess.Popen([WEIR, "run", "-c", server.file], stderr=full.writer, start_new_session=True)
    try:
        assert wait_for(lambda: get(server.port), seconds=10) == (200, b"hello\n")
        assert command("reload", "-c", server.file).returncode == 0
        server.write(server.template.replace("root:", "rooot:"))
        assert command("reload", "-c", server.file).returncode == 1
        worker = serving(server)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: worker not in children(process.pid), what="the worker's end")
        assert wait_for(lambda: get(server.port), seconds=10) == (200, b"hello\n")
        assert status(server)["restarts"] == 1
        assert os.get_blocking(full.writer)  # it is others' as well
        assert set(full.read()) == {"x"}
        process.terminate()
        assert process.wait(10) == 0
        assert "lines before this one were lost)" in full.read()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)
        full.close()


# --- Logs ---

def test_a_log_that_cannot_be_opened_after_a_crash_costs_no_service(mortal):
    """Standard error takes its lines until USR1 finds it well again."""
    server = mortal(LOGS + CONFIG)
    folder = server.folder / "logs"
    wait_for((folder / "access.log").exists)
    shutil.rmtree(folder)
    folder.write_text("no folder")
    replaced(server)
    assert "cannot open the log" in server.log()
    wait_for(lambda: '"GET / HTTP/1.1" 200' in server.log(), what="the line in standard error")
    folder.unlink()
    os.kill(server.pid, signal.SIGUSR1)

    def written():
        get(server.port, "/later")
        return (folder / "access.log").exists() and "/later" in (folder / "access.log").read_text()

    wait_for(written, what="the line in the log")
    assert get(server.port) == (200, b"hello\n")
    # a reload that cannot open it is refused as ever
    shutil.rmtree(folder)
    folder.write_text("no folder")
    run = command("reload", "-c", server.file)
    assert run.returncode == 1 and "cannot open the log" in run.stderr


def test_a_log_on_a_disk_that_hangs_is_not_the_next_workers_business(mortal):
    """In place of a dead worker: the log is opened by a child of the supervisor, which is given up when that takes too long."""
    server = mortal("log: { error: { path: stderr }, access: { path: $folder/logs/access.log } }\n" + CONFIG)
    logs = server.folder / "logs"
    (server.folder / "disk_of").mkdir()
    try:
        disk = SlowDisk(server.folder / "disk_of")
    except Missing as missing:
        pytest.skip(str(missing))
    with disk:
        disk.put("/access.log", "a", 10)
        shutil.rmtree(logs)
        logs.symlink_to(disk.path)
        disk.hold(["*"])
        worker = server.worker()
        os.kill(worker, signal.SIGKILL)
        wait_for(disk.held, what="somebody looks for the log")
        opening = [one for one in family(server.pid) if not is_lasting(one)]
        assert len(opening) == 1 and len(children(server.pid)) == 1
        os.kill(opening[0], signal.SIGKILL)  # sooner than the supervisor would
        disk.heal()
        assert wait_for(lambda: get(server.port), seconds=10) == (200, b"hello\n")
        assert "cannot open the log" in server.log()


def test_logs_at_the_limit_of_files_cost_their_lines_alone(mortal):
    """ulimit -f: whoever writes beyond it would die by a signal, again and again."""
    most = 64 << 30  # counters in shared memory are files too, large but hollow
    folder = new_folder()
    try:
        (folder / "logs").mkdir()
        logs = [folder / "logs" / name for name in ("access.log", "error.log")]
        for log in logs:
            log.touch()
            os.truncate(log, most - 40)
        limited = (f"import os,resource,signal,sys\nresource.setrlimit(resource.RLIMIT_FSIZE,({most},{most}))\n"
                   "signal.signal(signal.SIGXFSZ,signal.SIG_DFL)\nos.execv(sys.argv[1],sys.argv[1:])")
        server = mortal(LOGS.replace("path: stderr", "path: $folder/logs/error.log") + CONFIG, folder=folder,
                        command=[sys.executable, "-c", limited, WEIR, "run", "-c", str(folder / "weir.yaml")])
        for _ in range(10):
            assert get(server.port) == (200, b"hello\n")
        assert command("reload", "-c", server.file).returncode == 0
        assert get(server.port) == (200, b"hello\n")
        assert status(server)["restarts"] == 0
        assert server.stop() == 0
        assert all(log.stat().st_size <= most for log in logs)
    finally:
        shutil.rmtree(folder)


@pytest.mark.skipif(not ROOT, reason="only root opens what the worker's account may not")
def test_a_link_that_the_worker_put_in_place_of_a_log_is_not_followed(mortal):
    """The folder of the logs often belongs to the account that serves."""
    server = mortal(LOGS + CONFIG)
    folder, precious = server.folder / "logs", server.folder / "precious"
    access = folder / "access.log"
    wait_for(access.exists)
    precious.write_text("root's\n")
    precious.chmod(0o600)
    os.chown(folder, 65534, 65534)
    access.unlink()
    access.symlink_to(precious)
    os.lchown(access, 65534, 65534)
    os.kill(server.pid, signal.SIGUSR1)
    wait_for(lambda: "cannot be opened anew, the old one is kept" in server.log())
    run = command("reload", "-c", server.file)
    assert run.returncode == 1 and "symbolic links" in run.stderr
    assert get(server.port) == (200, b"hello\n")
    assert precious.read_text() == "root's\n"


# --- Signals ---

def test_signals_to_a_worker_are_ignored_and_none_is_blocked(mortal):
    """Its own thread is the one that the kernel asks first. (While it starts another, glibc blocks them for a moment.)"""
    server = mortal(CONFIG)
    worker = server.worker()
    ignored = int(field(worker, "SigIgn")[0], 16)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        assert ignored >> (number - 1) & 1
    wait_for(lambda: int(field(worker, "SigBlk")[0], 16) == 0)


def test_serve_ends_with_its_terminal(mortal):
    server = mortal(CONFIG)
    server.stop()
    leader, follower = os.openpty()
    process = subprocess.Popen([WEIR, "serve", server.root, "-l", f"127.0.0.1:{server.port}"], stdin=follower,
                               stdout=follower, stderr=follower, start_new_session=True,
                               preexec_fn=lambda: fcntl.ioctl(0, 0x540E, 0))  # TIOCSCTTY
    os.close(follower)
    try:
        assert wait_for(lambda: get(server.port), seconds=10) == (200, b"hello\n")
        os.close(leader)
        assert process.wait(10) == 0
        assert get(server.port) is None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


# --- The sandbox and backends at Unix sockets ---

@pytest.fixture
def application(tmp_path):
    """One at a Unix socket; its path."""
    folder = tmp_path / "app"
    folder.mkdir()
    for path in (*tmp_path.parents[:-2], tmp_path, folder):
        if path.stat().st_uid == os.geteuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    path = str(folder / "sock")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen()

    def serve():
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                if peer.recv(65536):
                    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\napp\n")

    thread = threading.Thread(target=serve)
    thread.start()
    yield path
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


@pytest.mark.parametrize("config", [
    'sites: [{ listen: "http://127.0.0.1:$port", root: $root, proxy: "unix:$socket" }]',
    'sites: [{ listen: "http://127.0.0.1:$port", root: $root, routes: { /api/: { proxy: "unix:$socket" } } }]',
    'upstreams: { app: { servers: ["unix:$socket"] } }\n'
    'sites: [{ listen: "http://127.0.0.1:$port", root: $root, proxy: app }]',
    'upstreams: { app: { servers: ["127.0.0.1:$port2", "unix:$socket"] } }\n'
    'sites: [{ listen: "http://127.0.0.1:$port", root: $root, routes: { /api/: { proxy: app } } }]',
], ids=["site", "route", "upstream", "second"])
def test_a_worker_reaches_the_unix_socket_of_a_backend(weir, application, config):
    server = weir(config, values={"socket": application})
    assert get(server.port, "/api/x") == (200, b"app\n")
