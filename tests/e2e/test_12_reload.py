# SPDX-License-Identifier: BSD-2-Clause
"""Reload (DESIGN §4): beside the old worker, nothing refused or cut, a bad configuration costs nothing, old workers
linger."""
import itertools
import os
import signal
import socket
import subprocess
import time

import pytest
from client import PROTOCOLS, Connection, Ended, connect, fetch
from proc_load import Load, Queue, announced, is_stopped
from server import WEIR, children, command, free_port, starter, status, wait_for

CONFIG = """
sites:
  - { listen: "http://127.0.0.1:$port", root: $root }
"""
PROXIED = """
sites:
  - { listen: "http://127.0.0.1:$port", root: $root, proxy: "127.0.0.1:$port2" }
"""


@pytest.fixture
def reloaded():
    """Servers that are reloaded, so that their workers change."""
    made = []

    yield starter(made, secure=True)
    for server in made:
        server.expect_restart()
        server.__exit__(None, None, None)


def reload(server):
    return command("reload", "-c", server.file)


def states(server):
    return sorted(worker["state"] for worker in status(server)["workers"])


def refuses(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def listens(pid, port):
    """Whether a process holds a listening socket of the port."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    inodes = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}
    held = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            held.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass
    return bool(inodes & held)


def test_ten_reloads_under_load_lose_nothing(reloaded):
    """Nothing refused, cut or timed out; no kept connection closed unannounced."""
    server = reloaded(CONFIG)
    with Load(server.port, kept=6, fresh=6) as load:
        for _ in range(10):
            run = reload(server)
            assert run.returncode == 0, run.stderr
            load.progress(100)
    assert not load.lost, load.lost[:10]
    assert load.good > 1000 and min(load.good_of.values()) > 50, load.good_of
    counters = status(server)["counters"]
    assert counters["requests"] >= load.good  # over eleven workers


def test_a_reload_changes_what_is_served(reloaded):
    server = reloaded(CONFIG)
    (server.folder / "other").mkdir()
    (server.folder / "other/index.html").write_text("other\n")
    worker = server.worker()
    server.write(CONFIG.replace("$root", "$folder/other"))
    assert fetch(server.port) == (200, b"hello\n")
    run = reload(server)
    assert run.returncode == 0 and "is served" in run.stdout
    assert fetch(server.port) == (200, b"other\n")
    wait_for(lambda: children(server.pid) and worker not in children(server.pid), what="the old worker's end")
    assert status(server)["last_reload"]["failed"] is False


def test_a_bad_configuration_costs_nothing(reloaded):
    """The diagnostics come to whoever asked, the old worker serves on."""
    server = reloaded(CONFIG)
    worker = server.worker()
    good = server.file.read_text()
    with Load(server.port, kept=2, fresh=2) as load:
        server.file.write_text(good.replace("root:", "rooot:"))
        run = reload(server)
        assert run.returncode == 1
        assert f"{server.file}:" in run.stderr and "rooot" in run.stderr and "^" in run.stderr
        assert "old configuration" in run.stderr
        load.progress(100)
        assert server.worker() == worker
    assert not load.lost
    assert status(server)["last_reload"]["failed"] is True
    assert "rooot" in server.log()
    server.file.write_text(good)
    assert reload(server).returncode == 0
    assert status(server)["last_reload"]["failed"] is False


def test_a_bad_configuration_by_signal(reloaded):
    server = reloaded(CONFIG)
    worker = server.worker()
    server.file.write_text("sites: 5\n")
    os.kill(server.pid, signal.SIGHUP)
    wait_for(lambda: "reload failed" in server.log())
    assert f"{server.file}:1:" in server.log()
    assert server.worker() == worker and fetch(server.port) == (200, b"hello\n")


def test_a_good_one_by_signal(reloaded):
    server = reloaded(CONFIG)
    worker = server.worker()
    os.kill(server.pid, signal.SIGHUP)
    wait_for(lambda: children(server.pid) and worker not in children(server.pid), what="the new worker alone")
    assert fetch(server.port) == (200, b"hello\n")


def test_a_failed_reload_leaves_no_socket_behind(reloaded):
    """An address that only the failed worker had bound is free again."""
    server = reloaded(CONFIG)
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server.write(CONFIG + f'  - {{ listen: ["http://127.0.0.1:{port}", '
                              f'"http://127.0.0.1:{taken.getsockname()[1]}"], root: $root }}\n')
        run = reload(server)
    assert run.returncode == 1 and "address already in use" in run.stderr
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
    assert fetch(server.port) == (200, b"hello\n")


def test_requests_for_a_reload_collapse(reloaded):
    server = reloaded(CONFIG)
    runs = [subprocess.Popen([WEIR, "reload", "-c", server.file], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(12)]
    for run in runs:
        out, errors = run.communicate(timeout=20)
        assert run.returncode == 0, errors
    assert 1 <= server.log().count("reloading ") < 12
    assert fetch(server.port) == (200, b"hello\n")


def test_added_and_removed_addresses(reloaded):
    server = reloaded(CONFIG)
    port = free_port()
    server.write(CONFIG.replace("$port", str(port)))
    assert reload(server).returncode == 0
    assert fetch(port) == (200, b"hello\n")
    wait_for(lambda: refuses(server.port), what="the removed address is closed")
    server.write(CONFIG)
    assert reload(server).returncode == 0
    assert fetch(server.port) == (200, b"hello\n")


def test_what_waits_at_a_removed_address_is_served(reloaded):
    """A removed address is closed only when its queue is empty."""
    server = reloaded(CONFIG)
    old = server.worker()
    os.kill(old, signal.SIGSTOP)
    wait_for(lambda: is_stopped(old), what="the worker to stop")

    with Queue(server.port) as queue:
        port = free_port()
        server.write(CONFIG.replace("$port", str(port)))
        assert reload(server).returncode == 0
        assert fetch(port) == (200, b"hello\n")
        os.kill(old, signal.SIGCONT)
        queue.served(b"hello\n")


def test_a_kept_connection_is_announced_to_close(reloaded, proto):
    """Connection: close; GOAWAY."""
    server = reloaded(CONFIG)
    with connect(server.port) as client:
        assert not announced(client, client.get())
        assert reload(server).returncode == 0
        answer = client.get()
        assert answer.status == 200 and announced(client, answer)


def test_an_idle_connection_is_closed_after_two_seconds(reloaded):
    server = reloaded(CONFIG)
    clients = [connect(server.port, proto) for proto in PROTOCOLS]
    for client in clients:
        assert client.get().status == 200
    worker = server.worker()
    assert reload(server).returncode == 0
    begun = time.monotonic()
    for client in clients:
        assert client.wait_end() == "fin"
        client.close()
    wait_for(lambda: worker not in children(server.pid), seconds=6, what="the old worker's end")
    assert 1 < time.monotonic() - begun < 5


class Downloads:
    """Answers of a backend that are begun and not ended, over one protocol after the other."""

    def __init__(self, server):
        self.server = server
        self.backend = socket.create_server(("127.0.0.1", server.ports["port2"]))
        self.held, self.protos = [], itertools.cycle(PROTOCOLS)

    def begin(self):
        client = connect(self.server.port, next(self.protos), seconds=10)
        client.request("/download")
        upstream, _ = self.backend.accept()
        upstream.recv(65536)
        upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegin")
        self.held.append((client, upstream))
        return client, upstream

    @staticmethod
    def finish(client, upstream):
        upstream.sendall(b"-end\n")
        answer = client.read("GET")
        client.close()
        upstream.close()
        return answer.status, answer.body

    def close(self):
        for client, upstream in self.held:
            client.close()
            upstream.close()
        self.backend.close()


def test_downloads_go_on_in_the_old_worker(reloaded):
    server = reloaded(PROXIED)
    downloads = Downloads(server)
    held = [downloads.begin() for _ in PROTOCOLS]
    old = server.worker()
    assert reload(server).returncode == 0
    assert states(server) == ["draining", "serving"]
    for client, upstream in held:
        assert downloads.finish(client, upstream) == (200, b"begin-end\n")
    wait_for(lambda: old not in children(server.pid), what="the old worker's end")
    downloads.close()


def test_linger_ends(reloaded):
    server = reloaded("linger: 1s\n" + PROXIED)
    downloads = Downloads(server)
    for _ in PROTOCOLS:
        downloads.begin()
    old = server.worker()
    assert reload(server).returncode == 0
    begun = time.monotonic()
    wait_for(lambda: old not in children(server.pid), seconds=8, what="the old worker's end")
    assert 0.5 < time.monotonic() - begun < 4
    downloads.close()


def test_at_most_four_old_workers_linger(reloaded):
    """The fifth reload hurries the oldest: it gets `drain`, here a second, instead of `linger`."""
    server = reloaded("drain: 1s\nlinger: 1h\n" + PROXIED)
    downloads = Downloads(server)
    workers = []
    for _ in range(4):
        downloads.begin()
        workers.append([w["pid"] for w in status(server)["workers"] if w["state"] == "serving"][0])
        assert reload(server).returncode == 0
        wait_for(lambda: not listens(workers[-1], server.port), what="the old worker accepts no more")
    time.sleep(1.5)
    assert set(workers) <= set(children(server.pid))
    downloads.begin()
    assert reload(server).returncode == 0
    wait_for(lambda: workers[0] not in children(server.pid), seconds=6, what="the oldest worker's end")
    assert set(workers[1:]) <= set(children(server.pid))
    for client, upstream in downloads.held[1:]:
        assert downloads.finish(client, upstream) == (200, b"begin-end\n")
    downloads.close()
    wait_for(lambda: len(children(server.pid)) == 1, what="one worker")


def test_a_crash_after_a_reload_uses_the_newest_that_was_good(reloaded):
    server = reloaded(CONFIG)
    (server.folder / "other").mkdir()
    (server.folder / "other/index.html").write_text("other\n")
    server.write(CONFIG.replace("$root", "$folder/other"))
    assert reload(server).returncode == 0
    server.file.write_text("sites: 5\n")
    assert reload(server).returncode == 1
    worker = [w["pid"] for w in status(server)["workers"] if w["state"] == "serving"][0]
    os.kill(worker, signal.SIGKILL)
    assert fetch(server.port) == (200, b"other\n")


def test_a_stop_during_a_reload(reloaded):
    server = reloaded(CONFIG)
    os.kill(server.pid, signal.SIGHUP)
    server.process.terminate()
    assert server.process.wait(10) == 0


def test_who_waits_for_a_reload_is_told_of_a_stop(reloaded):
    """The configuration is a pipe that nobody writes to: the new worker waits for it."""
    server = reloaded(CONFIG)
    os.unlink(server.file)
    os.mkfifo(server.file)
    asking = subprocess.Popen([WEIR, "reload", "-c", server.file], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(lambda: len(children(server.pid)) == 2, what="the new worker")
    server.process.terminate()
    assert asking.communicate(timeout=10) == ("weir: weir is stopping\n", None) and asking.returncode == 1
    assert server.process.wait(10) == 0


MANY = "".join(f'  - {{ host: s{n}.example, listen: "http://127.0.0.1:$port", root: $root }}\n' for n in range(1000))


def catch_starting(server):
    """Asks for reloads until the new worker was stopped before it was READY; many sites give it something to read."""
    for _ in range(50):
        before = set(children(server.pid))
        os.kill(server.pid, signal.SIGHUP)
        new = wait_for(lambda: [pid for pid in children(server.pid) if pid not in before])[0]
        os.kill(new, signal.SIGSTOP)
        if "starting" in states(server):
            return
        os.kill(new, signal.SIGCONT)
        wait_for(lambda: states(server) == ["serving"], what="one worker")
    raise AssertionError("never caught it starting")


def test_a_reload_that_hangs_holds_nobody_up(reloaded):
    """The old worker serves on; a crash meanwhile is repaired from what was kept; a stop does not wait for it."""
    server = reloaded(CONFIG + MANY)
    catch_starting(server)
    assert fetch(server.port) == (200, b"hello\n")
    os.kill([w["pid"] for w in status(server)["workers"] if w["state"] == "serving"][0], signal.SIGKILL)
    assert fetch(server.port) == (200, b"hello\n")
    assert states(server) == ["serving", "starting"]
    server.process.terminate()
    assert server.process.wait(10) == 0


def test_a_stuck_worker_does_not_hold_a_reload_up(reloaded):
    """The old worker hangs: the new one serves; the old one is killed when its time is over."""
    server = reloaded("linger: 1s\n" + CONFIG)
    old = server.worker()
    os.kill(old, signal.SIGSTOP)
    assert reload(server).returncode == 0
    with Load(server.port, kept=1, fresh=1) as load:
        load.progress(50)
    assert not load.lost
    wait_for(lambda: old not in children(server.pid), seconds=8, what="the stuck worker's end")


def test_more_threads_after_a_reload(reloaded):
    server = reloaded("threads: 1\n" + CONFIG)
    for threads in (8, 1, 3):
        server.write(f"threads: {threads}\n" + CONFIG)
        assert reload(server).returncode == 0
        with Load(server.port, kept=2, fresh=4) as load:
            load.progress(100)
        assert not load.lost


def test_an_address_and_all_addresses_take_each_others_place(reloaded):
    """127.0.0.1 is a part of them: what is in the way is our own. Where another listens as well, it is refused as ever."""
    server = reloaded(CONFIG)
    everywhere = CONFIG.replace('"http://127.0.0.1:$port"', '["http://:$port", "https://:$port_tls"]')
    other = ("127.0.0.2", server.port)
    for config, answers in ((everywhere, True), (CONFIG, False), (everywhere, True), (CONFIG, False)):
        server.write(config)
        run = reload(server)
        assert run.returncode == 0, run.stderr
        wait_for(lambda: takes(other) == answers, what="what is said at another address")
        assert wait_for(lambda: answers_hello(server), what="an answer")
    with socket.create_server(other):
        server.write(everywhere)
        run = reload(server)
        assert run.returncode == 1 and "address already in use" in run.stderr


def answers_hello(server):
    """What waits at an address just when that is removed may be lost by the kernel: then another time."""
    try:
        return fetch(server.port) == (200, b"hello\n")
    except (OSError, Ended):
        return False


def takes(address):
    with socket.socket() as client:
        return client.connect_ex(address) == 0


def test_a_unix_socket_survives_reloads(reloaded):
    server = reloaded(CONFIG.replace('"http://127.0.0.1:$port"', '"http://unix:$folder/tmp/weir.sock"'))
    for _ in range(3):
        with Connection(str(server.folder / "tmp/weir.sock")) as client:
            assert client.get().status == 200
        assert reload(server).returncode == 0
    assert command("stop", "-c", server.file).returncode == 0
    assert not (server.folder / "tmp/weir.sock").exists()


def test_a_unix_socket_whose_file_was_removed_is_made_again(reloaded):
    """By a reload, and by a worker that replaces a dead one; a reload that fails leaves none behind."""
    config = CONFIG.replace('"http://127.0.0.1:$port"', '"http://unix:$folder/tmp/weir.sock"')
    server = reloaded(config)
    path = server.folder / "tmp/weir.sock"

    def answered():
        try:
            with Connection(str(path)) as client:
                return client.get().status == 200
        except OSError:
            return False

    path.unlink()
    server.write("log: { access: { path: $folder/none/deeper/access.log } }\n" + config)
    assert reload(server).returncode == 1 and not path.exists()
    server.write(config)
    assert reload(server).returncode == 0 and answered()
    path.unlink()
    os.kill([w["pid"] for w in status(server)["workers"] if w["state"] == "serving"][0], signal.SIGKILL)
    wait_for(answered, seconds=10)
    assert command("stop", "-c", server.file).returncode == 0
    assert not path.exists()


def test_logs_of_a_reload(reloaded):
    """The new configuration's logs are used from then on."""
    server = reloaded(CONFIG)
    fetch(server.port)
    server.write("log: { error: { path: $folder/second.txt }, access: { path: $folder/second.log } }\n" + CONFIG)
    assert reload(server).returncode == 0
    fetch(server.port, "/after")
    wait_for(lambda: "/after" in (server.folder / "second.log").read_text())
    assert "serves" in (server.folder / "second.txt").read_text()


def test_a_root_that_moves_is_followed(reloaded):
    """Within the folder that the sandbox grants at once; out of it by a reload that the worker asks for itself."""
    server = reloaded(CONFIG)
    server.write(CONFIG.replace("$root", "$folder/site/live"))
    elsewhere = server.folder / "elsewhere"
    for folder, text in ((server.folder / "site/one", "one\n"), (server.folder / "site/two", "two\n"),
                         (elsewhere / "three", "three\n")):
        folder.mkdir(parents=True)
        (folder / "index.html").write_text(text)

    def switch(target):
        (server.folder / "new").symlink_to(target)
        os.replace(server.folder / "new", server.folder / "site/live")

    switch("one")
    assert reload(server).returncode == 0
    assert fetch(server.port) == (200, b"one\n")
    switch("two")
    assert fetch(server.port) == (200, b"two\n")
    switch(elsewhere / "three")
    wait_for(lambda: fetch(server.port) == (200, b"three\n"), what="the moved root")
    switch("one")
    wait_for(lambda: fetch(server.port) == (200, b"one\n"), what="the root that moved back")


@pytest.mark.parametrize("sandbox", ["on", "off"])
@pytest.mark.parametrize("above", ["app", "app/web"])
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "with a while between"])
def test_a_folder_that_takes_the_place_of_one_above_the_root(reloaded, above, apart, sandbox):
    """`mv app old; mv next app`: the sandbox has left open what stood there, and not what stands there now, and what was read of the old
    one's files is not the new one's; the worker asks for a reload."""
    server = reloaded(CONFIG)
    site = server.folder / "site"
    server.write(f"sandbox: {sandbox}\n" + CONFIG.replace("$root", "$folder/site/app/web/public"))

    def put(name, text):
        (site / name / "public").mkdir(parents=True)
        (site / name / "public/index.html").write_text(text)

    put("app/web", "one\n")
    put("next/web", "two\n")
    assert reload(server).returncode == 0
    assert fetch(server.port) == (200, b"one\n")
    os.rename(site / above, site / "old")
    if apart and above != "app":
        wait_for(lambda: fetch(server.port)[0] == 404, what="the root that is not there")
    os.rename(site / above.replace("app", "next"), site / above)
    wait_for(lambda: fetch(server.port) == (200, b"two\n"), what="what stands there now")
