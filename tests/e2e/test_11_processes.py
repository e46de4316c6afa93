# SPDX-License-Identifier: BSD-2-Clause
"""Processes (DESIGN §4): rights and sandbox of the worker, crashes, the supervisor's death, stops, logs, the service
manager."""
import ctypes
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from client import PROTOCOLS, Ended, connect, fetch
from proc_load import Load, Queue, announced, is_stopped
from server import ROOT, WEIR, Failed, children, command, control_sockets, free_port, get, instrumented, new_folder, status, wait_for

CONFIG = """
sites:
  - { listen: "http://127.0.0.1:$port", root: $root }
"""


@pytest.fixture
def mortal(mortal):
    """Over all protocols."""
    return functools.partial(mortal, secure=True)


@pytest.fixture
def server(weir):
    made = weir(CONFIG, secure=True)
    (made.root / "index.html").write_text("hello\n")
    return made


def field(pid, name):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].split()
    raise AssertionError(name)


def gone(pid):
    """No process, or one that nobody has asked about yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Slow:
    """Requests of all protocols that a backend has and does not answer yet."""

    def __init__(self, server):
        self.server = server
        self.backend = socket.create_server(("127.0.0.1", server.ports["port2"]))
        self.held = []

    def __enter__(self):
        for proto in PROTOCOLS:
            client = connect(self.server.port, proto, seconds=10)
            client.request("/slow")
            upstream, _ = self.backend.accept()
            upstream.recv(65536)
            self.held.append((client, upstream))
        return self

    def finish(self):
        """They are answered, and the connections end by announcement."""
        for client, upstream in self.held:
            upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlate\n")
            answer = client.read("GET")
            assert (answer.status, answer.body) == (200, b"late\n") and announced(client, answer)
            client.close()

    def __exit__(self, *exception):
        for client, upstream in self.held:
            client.close()
            upstream.close()
        self.backend.close()


# --- Rights ---

@pytest.mark.skipif(not ROOT, reason="only root has rights to drop")
def test_the_worker_has_no_rights(server):
    worker = server.worker()
    assert field(worker, "Uid") == ["65534"] * 4
    assert field(worker, "Gid") == ["65534"] * 4
    assert set(field(worker, "Groups")) <= {"65534"}
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(field(worker, capabilities)[0], 16) == 0


@pytest.mark.skipif(instrumented(), reason="sanitizers are not locked in")
def test_every_thread_of_the_worker_is_locked_in(server):
    worker = server.worker()
    threads = os.listdir(f"/proc/{worker}/task")
    assert len(threads) >= 3
    for thread in threads:
        assert field(f"{worker}/task/{thread}", "NoNewPrivs") == ["1"]
        assert field(f"{worker}/task/{thread}", "Seccomp") == ["2"]


def test_the_worker_holds_no_descriptor_of_others(server):
    """Only what it was given: standard streams, channel, sockets, roots, its own."""
    for link in Path(f"/proc/{server.worker()}/fd").iterdir():
        target = os.readlink(link)
        assert not target.startswith("/memfd:weir-birth"), target
        assert ".lock" not in target


def landlock_version():
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


def test_sandbox_require_starts_where_the_kernel_has_all(weir, mortal):
    if instrumented():
        pytest.skip("sanitizers call what the sandbox forbids")
    if landlock_version() < 6:
        with pytest.raises(Failed, match="does not hold back|Landlock: "):
            mortal("sandbox: require\n" + CONFIG)
        return
    server = weir("sandbox: require\n" + CONFIG, secure=True)
    (server.root / "index.html").write_text("hello\n")
    assert field(server.worker(), "Seccomp") == ["2"]
    assert fetch(server.port) == (200, b"hello\n")


def test_sandbox_off(weir):
    server = weir("sandbox: off\n" + CONFIG)
    assert field(server.worker(), "Seccomp") == ["0"]


# --- Crashes ---

def test_a_killed_worker_is_replaced_and_nothing_waits_in_vain(mortal):
    """Only what the dead worker had accepted is lost: at most one request a client, nothing that waited in a queue."""
    server = mortal(CONFIG)
    with Load(server.port, kept=4, fresh=4) as load:
        for _ in range(3):
            worker = server.worker()
            os.kill(worker, signal.SIGKILL)
            wait_for(lambda: children(server.pid) and children(server.pid) != [worker], what="a new worker")
            load.progress(200)
    assert len(load.lost) <= 3 * 8, load.lost
    assert all("refused" not in what for what in load.lost), load.lost
    assert "SIGKILL" in server.log()
    assert status(server)["restarts"] == 3


def test_a_replacement_uses_what_was_served_and_not_the_disk(mortal):
    """DESIGN §4: a crash is not a reload."""
    server = mortal(CONFIG)
    server.file.write_text("sites: [[[ half edited")
    worker = server.worker()
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: worker not in children(server.pid) and children(server.pid), what="a new worker")
    assert fetch(server.port) == (200, b"hello\n")
    os.unlink(server.file)
    os.kill(server.worker(), signal.SIGKILL)
    assert fetch(server.port) == (200, b"hello\n")


def test_an_included_file_is_kept_as_well(mortal):
    folder = new_folder()
    port = free_port()
    (folder / "sites.yaml").write_text(f'- {{ listen: "http://127.0.0.1:{port}", root: root }}\n')
    server = mortal("include: [sites.yaml]", folder=folder)
    (server.folder / "sites.yaml").write_text("- {{{")
    os.kill(server.worker(), signal.SIGKILL)
    assert get(port) == (200, b"hello\n")
    shutil.rmtree(folder, ignore_errors=True)


def test_counters_do_not_go_back_after_a_crash(mortal, proto):
    server = mortal(CONFIG)
    with connect(server.port) as kept:
        for _ in range(5):
            assert kept.get().status == 200
        assert status(server)["counters"]["open"] == 1
        # an answer is counted when it has left, which may be after the client has read it
        assert wait_for(lambda: status(server)["counters"]["status_2xx"] == 5)
        os.kill(server.worker(), signal.SIGKILL)
        get(server.port)

    def settled():
        now = status(server)["counters"]
        return now["open"] == 0 and now["requests"] == 6 and now["status_2xx"] == 6

    assert wait_for(settled)


def test_a_crash_while_the_root_is_gone(mortal):
    """The new worker comes up with the kept configuration: what can be answered is, and the root when it is back."""
    server = mortal(CONFIG)
    assert fetch(server.port) == (200, b"hello\n")
    away = server.root.with_name("away")
    server.root.rename(away)
    first = server.worker()
    os.kill(first, signal.SIGKILL)
    assert wait_for(lambda: (lambda got: got and got[0])(get_or_none(server.port)), seconds=10) in (404, 503)
    away.rename(server.root)
    assert wait_for(lambda: get_or_none(server.port) == (200, b"hello\n"), seconds=10)


def test_the_folder_of_a_log_is_made(mortal):
    """A machine that starts weir for the first time has no /var/log/weir."""
    server = mortal(CONFIG + 'log: { access: { path: logs/access.log } }\n')
    assert fetch(server.port)[0] == 200
    log = Path(server.file).parent / "logs" / "access.log"
    assert wait_for(lambda: log.exists() and b'"GET / HTTP/1.1" 200' in log.read_bytes())
    assert log.parent.stat().st_mode & 0o777 == 0o750 and log.stat().st_mode & 0o777 == 0o640


def test_workers_that_die_again_and_again_are_restarted_with_patience(mortal):
    """At once first, then with a back-off of at most 2 s: never a storm, never given up."""
    server = mortal(CONFIG)
    seen, end = set(), time.monotonic() + 2.5
    while time.monotonic() < end:
        for worker in children(server.pid):
            seen.add(worker)
            try:
                os.kill(worker, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.002)
    assert 3 <= len(seen) <= 12, len(seen)
    assert wait_for(lambda: get_or_none(server.port), seconds=5) == (200, b"hello\n")


def get_or_none(port):
    try:
        return fetch(port)
    except (OSError, Ended):
        return None


def test_a_killed_supervisor_leaves_a_worker_that_finishes(mortal):
    """DESIGN §4: a worker whose channel closes empties its queues, closes its listeners, and drains."""
    server = mortal(CONFIG.replace("root: $root", 'proxy: "127.0.0.1:$port2"'))
    with Slow(server) as slow:
        worker = server.worker()
        os.kill(server.pid, signal.SIGKILL)
        server.process.wait(5)
        wait_for(lambda: socket_refuses(server.port), what="the port is closed")
        assert not gone(worker)
        server.spawn()  # the port, the lock and the control socket are free, although the old worker lives
        slow.finish()
        wait_for(lambda: gone(worker), what="the worker's end")
    assert [each["state"] for each in status(server)["workers"]] == ["serving"]


def socket_refuses(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_killed_supervisor_under_load_loses_nothing_that_was_accepted(mortal):
    """New connections are refused then, for nobody listens, or reset where the handshake was not over; kept ones end by
    announcement: nobody sees an answer cut."""
    server = mortal(CONFIG)
    with Load(server.port, kept=2, fresh=2) as load:
        worker = server.worker()
        os.kill(server.pid, signal.SIGKILL)
        server.process.wait(5)
        wait_for(lambda: gone(worker), what="the worker's end")
    assert load.lost and all("refused" in what or "reset" in what for what in load.lost), load.lost[:10]


# --- Stops ---

@pytest.fixture
def slow(mortal):
    with Slow(mortal(CONFIG.replace("root: $root", 'proxy: "127.0.0.1:$port2"'))) as made:
        yield made


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGQUIT])
def test_a_stop_waits_for_what_is_under_way(slow, sig):
    server = slow.server
    server.process.send_signal(sig)
    wait_for(lambda: socket_refuses(server.port), what="the port is closed")
    assert server.process.poll() is None
    slow.finish()
    assert server.process.wait(5) == 0


def test_a_second_term_stops_at_once(slow):
    server = slow.server
    server.process.terminate()
    wait_for(lambda: "stopping" in server.log())
    time.sleep(0.15)  # two within 100 ms are one
    assert server.process.poll() is None
    server.process.terminate()
    assert server.process.wait(3) == 0


def test_int_stops_at_once(slow):
    server = slow.server
    begun = time.monotonic()
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(3) == 0
    assert time.monotonic() - begun < 2


def test_a_stop_ends_within_drain(mortal):
    server = mortal("drain: 1s\n" + CONFIG.replace("root: $root", 'proxy: "127.0.0.1:$port2"'))
    with Slow(server):
        begun = time.monotonic()
        server.process.terminate()
        assert server.process.wait(10) == 0
        assert 0.9 < time.monotonic() - begun < 3.5
    assert f"the time to drain is over: {len(PROTOCOLS)} requests are cut" in server.log()


def test_a_stopped_worker_that_hangs_is_killed(mortal):
    server = mortal("drain: 1s\n" + CONFIG)
    os.kill(server.worker(), signal.SIGSTOP)
    server.process.terminate()
    assert server.process.wait(10) == 0


def test_a_stop_answers_what_waits_in_the_queue(mortal):
    """Connections that the kernel has accepted for weir are served, not reset."""
    server = mortal(CONFIG)
    worker = server.worker()
    os.kill(worker, signal.SIGSTOP)
    wait_for(lambda: is_stopped(worker), what="the worker to stop")
    with Queue(server.port, 5) as queue:
        server.process.terminate()
        wait_for(lambda: "stopping" in server.log())
        os.kill(worker, signal.SIGCONT)
        queue.served(b"hello\n")
    assert server.process.wait(5) == 0


def test_idle_connections_do_not_hold_a_stop_up(mortal):
    server = mortal("drain: 20s\n" + CONFIG)
    clients = [connect(server.port, proto) for proto in PROTOCOLS]
    for client in clients:
        assert client.get().status == 200
    begun = time.monotonic()
    server.process.terminate()
    for client in clients:
        assert client.wait_end() == "fin"
        client.close()
    assert server.process.wait(10) == 0
    assert time.monotonic() - begun < 4


def test_usr2_ends_nobody(mortal):
    """Replacing the binary comes later; until then the signal is answered in the log."""
    server = mortal(CONFIG)
    server.process.send_signal(signal.SIGUSR2)
    wait_for(lambda: "USR2" in server.log())
    assert fetch(server.port) == (200, b"hello\n")


def test_a_stop_while_it_starts(mortal):
    """The worker hangs in its start: no reason to wait, and no failure. Many sites give it something to read."""
    site = '  - {{ host: s{}.example, listen: "http://127.0.0.1:$port", root: $root }}\n'
    server = mortal(CONFIG + "".join(site.format(number) for number in range(1000)))
    server.process.terminate()
    assert server.process.wait(5) == 0
    for _ in range(50):
        process = subprocess.Popen([WEIR, "run", "-c", server.file], stderr=subprocess.DEVNULL, start_new_session=True)
        worker = wait_for(lambda: children(process.pid))[0]
        os.kill(worker, signal.SIGSTOP)
        caught = [each["state"] for each in status(server)["workers"]] == ["starting"]
        os.kill(worker, signal.SIGSTOP if caught else signal.SIGCONT)
        process.terminate()
        assert process.wait(10) == 0
        assert gone(worker) and socket_refuses(server.port)
        if caught:
            return
    raise AssertionError("never caught it starting")


def test_nothing_is_left_behind(mortal):
    server = mortal(CONFIG)
    pid_file = server.folder / "weir.pid"
    assert pid_file.read_text() == f"{server.pid}\n"
    worker = server.worker()
    paths = control_sockets(server.file)
    assert paths[1].read_text() == str(server.pid)
    assert all(path.exists() for path in paths)
    server.process.terminate()
    assert server.process.wait(5) == 0
    assert gone(worker) and not pid_file.exists()
    assert not any(path.exists() for path in paths)


def test_the_control_socket_of_a_killed_one_is_swept_by_the_next(mortal):
    killed, runs = mortal(CONFIG), mortal(CONFIG)
    os.kill(killed.pid, signal.SIGKILL)
    killed.process.wait(10)
    assert all(path.exists() for path in control_sockets(killed.file))
    mortal(CONFIG)
    wait_for(lambda: not any(path.exists() for path in control_sockets(killed.file)), 30, "its removal")
    assert command("status", "-c", runs.file).returncode == 0


# --- Logs ---

def test_usr1_opens_the_logs_anew(weir):
    """The worker has no right to open them: the supervisor does it for it."""
    logs = "log: { error: { path: $folder/error.txt }, access: { path: $folder/access.log } }\n"
    server = weir(logs + CONFIG)
    (server.root / "index.html").write_text("hello\n")
    access, errors = server.folder / "access.log", server.folder / "error.txt"
    get(server.port, "/one")
    wait_for(lambda: "/one" in access.read_text())
    assert access.stat().st_mode & 0o777 == 0o640
    access.rename(server.folder / "access.1")
    errors.rename(server.folder / "error.1")
    get(server.port, "/two")
    wait_for(lambda: "/two" in (server.folder / "access.1").read_text())
    os.kill(server.pid, signal.SIGUSR1)
    wait_for(lambda: access.exists() and errors.exists())
    for number in range(100):
        get(server.port, f"/three{number}")
        if "/three" in access.read_text():
            break
        time.sleep(0.02)
    assert "/three" in access.read_text() and access.stat().st_mode & 0o777 == 0o640
    assert "/three" not in (server.folder / "access.1").read_text().split("/two")[0]
    server.expect_restart()


def test_usr1_in_vain_keeps_the_old_log(weir):
    server = weir(CONFIG)
    access = server.folder / "access.log"
    access.unlink(missing_ok=True)
    access.mkdir()
    os.kill(server.pid, signal.SIGUSR1)
    wait_for(lambda: "cannot be opened anew" in server.log())
    assert fetch(server.port)[0] in (200, 404)
    server.expect_restart()


# --- The service manager ---

class Manager:
    """A notify socket, and whatever is said to it."""

    def __init__(self, folder, abstract=False):
        self.name = f"\0weir-test-{os.getpid()}-{id(self)}" if abstract else str(folder / "manager")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.name)
        self.socket.settimeout(10)
        self.said = []

    @property
    def variable(self):
        return self.name.replace("\0", "@")

    def await_line(self, wanted):
        while True:
            lines = self.socket.recv(4096).decode().splitlines()
            self.said += lines
            if any(line.startswith(wanted) for line in lines):
                return lines


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_notify(mortal, abstract):
    server = mortal(CONFIG)
    server.process.terminate()
    server.process.wait(5)
    manager = Manager(server.folder, abstract)
    process = subprocess.Popen([WEIR, "run", "-c", server.file], stderr=subprocess.DEVNULL, start_new_session=True,
                               env=dict(os.environ, NOTIFY_SOCKET=manager.variable))
    try:
        ready = manager.await_line("READY=1")
        assert f"MAINPID={process.pid}" in ready and any(str(server.port) in line for line in ready)
        assert fetch(server.port)[0] == 200
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        process.send_signal(signal.SIGHUP)
        lines = manager.await_line("RELOADING=1")
        stamp = [int(line.partition("=")[2]) for line in lines if line.startswith("MONOTONIC_USEC=")]
        assert len(stamp) == 1 and before <= stamp[0] <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        manager.await_line("READY=1")
        process.terminate()
        manager.await_line("STOPPING=1")
        assert process.wait(10) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)
        manager.socket.close()


def with_listen_fds(sockets, arguments):
    """Runs a program with sockets from 3 on, as systemd does."""
    fds = [each.fileno() for each in sockets]
    code = ("import fcntl,os,sys\nfds=[int(x) for x in sys.argv[1].split(',')]\n"
            "high=[fcntl.fcntl(f,fcntl.F_DUPFD,50) for f in fds]\n"
            "[os.dup2(f,3+i) for i,f in enumerate(high)]\n"
            "os.environ.update(LISTEN_PID=str(os.getpid()),LISTEN_FDS=str(len(fds)))\n"
            "os.execv(sys.argv[2],sys.argv[2:])\n")
    return subprocess.Popen([sys.executable, "-c", code, ",".join(map(str, fds)), *map(str, arguments)], pass_fds=fds,
                            stderr=subprocess.PIPE, start_new_session=True)


def test_sockets_of_the_service_manager_are_taken_by_their_address(mortal):
    """They come in any order; one that nobody names stays as it is. Killed workers and reloads keep them."""
    server = mortal(CONFIG)
    server.process.terminate()
    server.process.wait(5)
    given = socket.create_server(("127.0.0.1", server.port))
    other = socket.create_server(("127.0.0.1", 0))
    process = with_listen_fds([other, given], [WEIR, "run", "-c", server.file])
    try:
        given_inode = os.fstat(given.fileno()).st_ino
        wait_for(lambda: children(process.pid), what="a worker")
        assert wait_for(lambda: get_or_none(server.port)) == (200, b"hello\n")
        given.close()
        worker = children(process.pid)[0]
        inodes = {os.stat(f"/proc/{worker}/fd/{fd}").st_ino for fd in os.listdir(f"/proc/{worker}/fd")}
        assert given_inode in inodes
        os.kill(worker, signal.SIGKILL)
        assert fetch(server.port) == (200, b"hello\n")
        assert command("reload", "-c", server.file).returncode == 0
        assert fetch(server.port) == (200, b"hello\n")
    finally:
        unnamed = "127.0.0.1:%d" % other.getsockname()[1]
        os.killpg(process.pid, signal.SIGTERM)
        told = process.communicate(timeout=10)[1].decode()
        other.close()
    assert process.returncode == 0
    assert f"the service manager listens at {unnamed}, where no site does" in told
    assert f"listens at 127.0.0.1:{server.port}," not in told


def test_many_threads_share_few_sockets_and_few_threads_take_many(mortal):
    for threads in (1, 7):
        server = mortal(f"threads: {threads}\n" + CONFIG)
        with Load(server.port, kept=3, fresh=3) as load:
            load.progress(100)
        assert not load.lost
        server.kill()


def test_closed_standard_streams_are_no_harm(mortal):
    """Without them the first socket would be number 0, and a message to standard error would go to its peer."""
    server = mortal(CONFIG)
    server.process.terminate()
    server.process.wait(5)
    process = subprocess.Popen(["sh", "-c", 'exec "$0" run -c "$1" <&- >&- 2>&-', WEIR, server.file],
                               start_new_session=True)
    try:
        assert wait_for(lambda: get_or_none(server.port)) == (200, b"hello\n")
        for pid in [process.pid, *children(process.pid)]:
            assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(10) == 0
