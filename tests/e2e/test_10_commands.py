# SPDX-License-Identifier: BSD-2-Clause
"""The command line (DESIGN §1): commands, help, exit codes, the control socket, what a start that fails says."""
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest
from server import ROOT, WEIR, Server, command, free_port, get, new_folder, wait_for

CONFIG = """
sites:
  - { listen: "http://127.0.0.1:$port", root: $root }
"""
COMMANDS = ["run", "serve", "check", "explain", "reload", "stop", "status"]


@pytest.fixture
def folder():
    made = new_folder()
    (made / "www").mkdir()
    (made / "www/index.html").write_text("hello\n")
    (made / "www").chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def talk(server, name, *arguments, **options):
    return command(name, "-c", server.file, *arguments, **options)


def test_version_tells_libraries_and_features():
    run = command("--version")
    assert run.returncode == 0
    lines = run.stdout.splitlines()
    assert re.fullmatch(r"weir \d+\.\d+\.\d+", lines[0])
    assert re.search(r"libev \d.*libfyaml \d.*libseccomp \d.*GnuTLS \d.*nghttp2 \d", lines[1])
    assert re.fullmatch(r"features: http1 static proxy( .*)?", lines[2])


def test_help_names_every_command():
    run = command("--help")
    assert run.returncode == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name}\s", run.stdout, re.MULTILINE)
    assert "worker" not in run.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(name):
    run = command(name, "--help")
    assert run.returncode == 0 and run.stderr == ""
    assert run.stdout.startswith(f"usage: weir {name}")


@pytest.mark.parametrize("arguments", [
    [], ["frobnicate"], ["upgrade"], ["purge"], ["run", "--frobnicate"], ["run", "extra"], ["run", "-c"],
    ["check", "--json"], ["serve", "a", "b"], ["serve", ""], ["worker"],
], ids=lambda words: " ".join(words) or "none")
def test_bad_usage_is_2(arguments):
    """Commands of later milestones are not known yet."""
    run = command(*arguments)
    assert run.returncode == 2
    assert run.stderr and not run.stdout


@pytest.mark.parametrize("name", ["run", "check", "reload", "stop", "status"])
def test_a_path_that_no_file_can_have_is_bad_usage(name):
    run = command(name, "-c", "/a" * 12000)
    assert run.returncode == 2
    assert run.stderr == "weir: the path of the configuration is too long\n" and not run.stdout


def test_a_near_name_is_suggested():
    assert "did you mean reload?" in command("relaod").stderr


def test_check_tells_what_it_found(folder):
    file = folder / "weir.yaml"
    file.write_text('sites:\n  - listen: "http://127.0.0.1:8080"\n    root: www\n'
                    '    routes: { /a/: { root: off, proxy: "127.0.0.1:3000" } }\n')
    run = command("check", "-c", file)
    assert run.returncode == 0, run.stderr
    assert "good" in run.stdout and "1 site" in run.stdout and "http://127.0.0.1:8080" in run.stdout


def test_check_of_a_bad_one_is_1(folder):
    file = folder / "weir.yaml"
    file.write_text('sites:\n  - { listen: "http://127.0.0.1:8080", rooot: www }\n')
    run = command("check", "-c", file)
    assert run.returncode == 1
    assert run.stdout == "" and f"{file}:2:" in run.stderr and "rooot" in run.stderr


# --- run ---

def start(file, seconds=20):
    """A `weir run` that is expected to fail."""
    return command("run", "-c", file, seconds=seconds)


def nothing_left(port):
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def write(folder, port, root="www", extra=""):
    file = folder / "weir.yaml"
    user = "user: nobody\n" if ROOT else ""
    file.write_text(f"{user}pid_file: off\nlog: {{ access: off }}\n{extra}sites:\n"
                    f'  - {{ listen: "http://127.0.0.1:{port}", root: {root} }}\n')
    return file


def test_run_of_a_bad_configuration_is_1(folder):
    port = free_port()
    run = start(write(folder, port, extra="frobnicate: 1\n"))
    assert run.returncode == 1
    assert f"{folder}/weir.yaml:" in run.stderr and "frobnicate" in run.stderr
    nothing_left(port)


def test_run_without_a_file_is_1(folder):
    run = start(folder / "none.yaml")
    assert run.returncode == 1 and "none.yaml" in run.stderr


def test_an_address_in_use_is_named_with_its_owner(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = start(write(folder, port))
    assert run.returncode == 1
    assert f"127.0.0.1:{port}" in run.stderr and "address already in use" in run.stderr
    assert f"process {os.getpid()}" in run.stderr


@pytest.mark.parametrize("name, said", [("www", "a folder stands there"), ("other.yaml", "a file that is no socket stands there"),
                                        ("none/x.sock", "No such file or directory")])
def test_what_stands_in_the_way_of_a_unix_socket_is_told(folder, name, said):
    file = folder / "weir.yaml"
    (folder / "other.yaml").write_text("somebody's work")
    file.write_text(f'pid_file: off\nlog: {{ access: off }}\nsites:\n  - {{ listen: "http://unix:{name}", root: www }}\n')
    run = start(file)
    assert run.returncode == 1
    assert f"cannot listen on unix:{folder}/{name}: {said}" in run.stderr
    assert (folder / "other.yaml").read_text() == "somebody's work"


def test_a_log_that_cannot_be_opened_is_named(folder):
    port = free_port()
    file = folder / "weir.yaml"
    file.write_text(f"pid_file: off\nlog: {{ access: {{ path: {folder}/none/deeper/access.log }} }}\nsites:\n"
                    f'  - {{ listen: "http://127.0.0.1:{port}", root: www }}\n')
    run = start(file)
    assert run.returncode == 1
    assert f"{folder}/none/deeper/access.log" in run.stderr and "No such file" in run.stderr
    nothing_left(port)


@pytest.mark.skipif(not ROOT, reason="needs root, who may drop rights")
def test_a_root_that_the_worker_may_not_read_is_an_error(folder):
    (folder / "www").chmod(0o700)
    port = free_port()
    run = start(write(folder, port))
    assert run.returncode == 1
    assert f"{folder}/www" in run.stderr and "nobody" in run.stderr
    nothing_left(port)


@pytest.mark.skipif(not ROOT, reason="accounts are only changed by root")
def test_an_unknown_account_is_nobody_with_a_warning(weir):
    server = weir("user: no-such-account\n" + CONFIG)
    assert "no account no-such-account" in server.log()


# --- Two at once ---

def test_two_with_one_file_are_refused(weir):
    server = weir(CONFIG)
    run = start(server.file)
    assert run.returncode == 1
    assert "already running" in run.stderr and str(server.pid) in run.stderr
    assert talk(server, "status").returncode == 0


def test_two_on_one_port_are_refused(weir, folder):
    """DESIGN §4: two instances must not share a port in silence, although its sockets have SO_REUSEPORT."""
    server = weir(CONFIG)
    run = start(write(folder, server.port))
    assert run.returncode == 1
    assert f"127.0.0.1:{server.port}" in run.stderr and "address already in use" in run.stderr
    server.root.joinpath("index.html").write_text("hello\n")
    assert get(server.port) == (200, b"hello\n")


# --- reload, stop, status ---

def test_status(weir):
    server = weir(CONFIG)
    server.root.joinpath("index.html").write_text("hello\n")
    for _ in range(3):
        get(server.port)
    get(server.port, "/none")
    text = talk(server, "status")
    assert text.returncode == 0 and f"process {server.pid}" in text.stdout and "serving" in text.stdout
    assert re.search(r"connections +\d+ open, 4 in all", text.stdout)
    status = json.loads(talk(server, "status", "--json").stdout)
    assert status["pid"] == server.pid and status["last_reload"] is None
    assert [worker["state"] for worker in status["workers"]] == ["serving"]
    assert status["workers"][0]["pid"] == server.worker()
    assert status["counters"]["requests"] == 4 and status["counters"]["connections"] == 4
    assert status["counters"]["status_2xx"] == 3 and status["counters"]["status_4xx"] == 1
    wait_for(lambda: json.loads(talk(server, "status", "--json").stdout)["counters"]["open"] == 0)


def test_commands_without_a_running_one_are_1(folder):
    for name in ("reload", "stop", "status"):
        run = command(name, "-c", folder / "weir.yaml")
        assert run.returncode == 1
        assert "no weir runs with" in run.stderr


def test_stop_returns_when_it_is_gone(weir):
    server = weir(CONFIG)
    run = talk(server, "stop")
    assert run.returncode == 0
    assert not os.path.exists(f"/proc/{server.pid}") or server.process.poll() is not None
    assert server.process.wait(5) == 0
    assert talk(server, "status").returncode == 1


def test_the_control_socket_does_not_depend_on_the_contents(weir):
    """DESIGN §1: a broken FILE cannot hide the running one."""
    server = weir(CONFIG)
    server.file.write_text("sites: [[[")
    assert talk(server, "status").returncode == 0
    broken = talk(server, "reload")
    assert broken.returncode == 1 and f"{server.file}:" in broken.stderr
    os.unlink(server.file)
    assert command("status", "-c", os.path.relpath(server.file)).returncode == 0
    assert talk(server, "stop").returncode == 0


def control_socket(server):
    folder = "/run/weir" if ROOT else os.environ["XDG_RUNTIME_DIR"] + "/weir"
    for line in open("/proc/net/unix", encoding="utf-8"):
        path = line.split()[-1]
        if path.startswith(folder) and path.endswith(".sock"):
            try:
                with open(path + ".lock", encoding="ascii") as lock:
                    if lock.read() == str(server.pid) and os.path.exists(path):
                        return path
            except FileNotFoundError:
                pass  # of a server that ends just now, or of another root directory
    return None


@pytest.mark.skipif(not ROOT, reason="needs a second account")
def test_the_control_socket_is_for_root_and_its_own_account(weir):
    server = weir(CONFIG)
    path = control_socket(server)
    assert path and stat.S_IMODE(os.stat(path).st_mode) == 0o600
    os.chmod(path, 0o666)  # even where the file's mode would let somebody in
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(5)
            client.connect(path)
            os.write(writer, b"closed" if client.recv(100) == b"" else b"open")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert os.read(reader, 100) == b"closed"
    assert "may not speak here" in server.log()


@pytest.mark.skipif(not ROOT, reason="root's own folder is fixed: needs a second account")
@pytest.mark.parametrize("where, advice", [("missing", "the folder that is to hold it is missing"), ("taken", "belong to this account")])
def test_a_control_socket_that_cannot_be_made_is_explained(weir, where, advice):
    server = weir(CONFIG)
    own = server.folder / "taken"
    own.mkdir(mode=0o777)
    (own / "weir").mkdir()  # root's
    run = subprocess.run([WEIR, "run", "-c", server.file], env=dict(os.environ, XDG_RUNTIME_DIR=str(server.folder / where)), capture_output=True,
                         encoding="utf-8", timeout=20, user="nobody", group="nogroup", extra_groups=[], cwd="/", check=False)
    assert run.returncode == 1
    assert f"{server.folder}/{where}/weir" in run.stderr and advice in run.stderr


def test_garbage_on_the_control_socket_harms_nobody(weir):
    server = weir(CONFIG)
    path = control_socket(server)
    for garbage in (b"x", b"\0" * 12, b"GET / HTTP/1.1\r\n\r\n", b"riew\2\0\377\0\0\0\0\0",
                    b"riew\2\0\21\0\377\377\377\377" + b"y" * 9000):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(path)
            client.send(garbage)
            client.settimeout(5)
            client.recv(100)
    assert talk(server, "status").returncode == 0


# --- serve ---

class Serve:
    def __init__(self, *arguments, cwd=None):
        self.process = subprocess.Popen([WEIR, "serve", *map(str, arguments)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=cwd)

    def __enter__(self):
        self.told = ""
        for line in self.process.stdout:
            self.told += line
            if "Ctrl-C" in line:
                return self
        raise AssertionError(self.process.communicate()[1])

    def __exit__(self, *exception):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.communicate(timeout=20)
        finally:
            if self.process.poll() is None:
                self.process.kill()
        assert self.process.returncode == 0


def test_serve_tells_what_it_serves(folder):
    port = free_port()
    with Serve(folder / "www", "-l", port, "-p", "3999") as serve:
        assert str(folder / "www") in serve.told
        assert f"http://127.0.0.1:{port}" in serve.told
        assert "3999" in serve.told
        assert get(port) == (200, b"hello\n")
        assert get(port, "/none")[0] == 502


def test_serve_of_the_working_folder_without_a_backend(folder):
    port = free_port()
    with Serve("-l", f"http://127.0.0.1:{port}", cwd=folder / "www") as serve:
        assert str(folder / "www") in serve.told
        assert get(port) == (200, b"hello\n")
        assert get(port, "/none")[0] == 404


def test_serve_of_a_folder_with_an_odd_name(folder):
    odd = folder / 'o"dd \\ #: {na}me é'
    odd.mkdir()
    odd.chmod(0o755)
    (odd / "index.html").write_text("odd\n")
    port = free_port()
    with Serve(odd, "-l", port):
        assert get(port) == (200, b"odd\n")


def test_serve_of_what_is_no_folder_is_1(folder):
    run = command("serve", folder / "none")
    assert run.returncode == 1 and "No such file" in run.stderr
    run = command("serve", folder / "www/index.html")
    assert run.returncode == 1 and "Not a directory" in run.stderr


@pytest.mark.skipif(not ROOT, reason="only root may read it")
def test_serve_by_root_of_a_folder_that_nobody_else_may_read(folder):
    (folder / "www").chmod(0o700)
    port = free_port()
    with Serve(folder / "www", "-l", port):
        assert get(port) == (200, b"hello\n")


def test_from_start_to_the_first_answer(folder):
    """DESIGN §1: it is at once. Nothing is waited for; what it takes is some runs of the program, three or four."""
    spans, runs = [], []
    for _ in range(5):
        begun = time.monotonic()
        assert command("--version").returncode == 0
        runs.append(time.monotonic() - begun)
        port = free_port()
        begun = time.monotonic()
        process = subprocess.Popen([WEIR, "serve", folder / "www", "-l", f"127.0.0.1:{port}"], start_new_session=True,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                assert get(port)[0] == 200
                break
            except OSError:
                assert time.monotonic() - begun < 10
                time.sleep(0.001)
        spans.append(time.monotonic() - begun)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert min(spans) < 10 * min(runs), (spans, runs)
