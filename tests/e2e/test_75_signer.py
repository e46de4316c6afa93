# SPDX-License-Identifier: BSD-2-Clause
"""The signer (DESIGN §4): private keys are in a process of their own, that the loss of fails handshakes and nothing else."""
import base64
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from certificates import authority, context, lay_out, replace, server_certificate
from server import ROOT, WEIR, children, command, helpers, new_folder, status, wait_for

CONFIG = """
tls: { certificates: [ { certificate: server.pem, key: server.key } ] }
sites:
  - { listen: ["https://127.0.0.1:$port", "http://127.0.0.1:$port2"], root: $root }
"""


@pytest.fixture
def folder():
    path = new_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def start(mortal, folder):
    """Starts weir with a certificate; the test ends processes itself."""

    def begin(config=CONFIG, kind="ecdsa", account=None, **options):
        paths = lay_out(folder, kind)
        if account:
            for path in (folder, *paths):
                os.chown(path, account, account)
            options["command"] = ["setpriv", f"--reuid={account}", f"--regid={account}", "--clear-groups",
                                  WEIR, "run", "-c", str(folder / "weir.yaml")]
            options["env"] = {"XDG_RUNTIME_DIR": str(folder)}
        return mortal(config, folder=folder, **options)

    return begin


def connected(server, **options):
    """A connection with its handshake done."""
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    try:
        return context(**options).wrap_socket(raw, server_hostname="localhost")
    except BaseException:
        raw.close()
        raise


def instrumented():
    """Builds with sanitizers do what the sandbox forbids, and look into themselves: they are not locked in."""
    with open(WEIR, "rb") as binary:
        return re.search(rb"__(?:asan|tsan|gcov)_", binary.read()) is not None


def ask(connection):
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read()


def works(server, **options):
    """Whether a new connection is served."""
    try:
        with connected(server, **options) as connection:
            return ask(connection) == (200, b"hello\n")
    except (OSError, http.client.HTTPException):
        return False


def in_clear(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.ports["port2"], timeout=20)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def shown(server):
    """The certificate that the server shows (DER)."""
    with connected(server) as connection:
        return connection.getpeercert(True)


def signer(server):
    """The only signer: one of a worker that is gone ends soon."""

    def only():
        found = helpers(server.pid)
        return found if len(found) == 1 else None

    return wait_for(only, 30, "one signer")[0]


def freeze(pid):
    """Lets a process stand still, with all its threads: the signal alone takes effect when it does."""
    os.kill(pid, signal.SIGSTOP)

    def stands():
        states = [path.read_text(encoding="ascii").rpartition(")")[2].split()[0]
                  for path in Path(f"/proc/{pid}/task").glob("*/stat")]
        return states and set(states) == {"T"}

    wait_for(stands, 30, "a process that stands still")


def another(server, old):
    """The signer in place of one that is gone, once it works."""
    found = wait_for(lambda: [pid for pid in helpers(server.pid) if pid != old], 30, "another signer")
    wait_for(lambda: works(server), 30, "handshakes")
    return found[0]


# --- Signing ---

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", ["ecdsa", "p384", "p521", "rsa", "ed25519"])
def test_each_kind_of_key_signs(start, kind, version):
    server = start(kind=kind)
    for _ in range(3):
        assert works(server, minimum=version, maximum=version)
    server.check()


def test_every_thread_has_its_way_to_the_signer(start):
    server = start("threads: 4\n" + CONFIG)
    good = []

    def some():
        good.extend(works(server) for _ in range(20))

    threads = [threading.Thread(target=some) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert good == [True] * 160
    server.check()


def test_more_keys_than_a_message_or_a_table_of_old_held(start, folder):
    names = [f"h{i}.example.test" for i in range(150)]
    for number, name in enumerate(names):
        authority().issue(name, number=number % 3).write(folder, name)
    pairs = ", ".join(f"{{ certificate: {name}.pem, key: {name}.key }}" for name in ["server", *names])
    server = start(CONFIG.replace("{ certificate: server.pem, key: server.key }", pairs))
    for name in names[::10]:
        raw = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        with context().wrap_socket(raw, server_hostname=name) as connection:
            assert connection.getpeercert()["subjectAltName"] == (("DNS", name),)


def test_without_tls_there_is_no_signer(mortal):
    server = mortal('sites:\n  - { listen: "http://127.0.0.1:$port", root: $root }\n')
    assert helpers(server.pid) == []


def test_status_tells_of_the_signer(start):
    server = start()
    (told,) = status(server)["helpers"]
    assert (told["kind"], told["pid"], told["worker"], told["restarts"]) == (
        "signer", signer(server), server.worker(), 0)
    assert f"signer {signer(server)}" in re.sub(" +", " ", command("status", "-c", server.file).stdout)


# --- Who may see a key ---

def secrets(key):
    """What would give a key away, as it may stand in memory: numbers in both orders of octets, and the file's text."""
    numbers = key.private_numbers()
    values = [numbers.private_value] if hasattr(numbers, "private_value") else [numbers.p, numbers.q, numbers.d]
    for value in values:
        octets = value.to_bytes((value.bit_length() + 7) // 8, "big")
        yield octets[-24:]
        yield octets[::-1][:24]


def text_of(pem):
    """A piece of a key's file that holds what is private, as text and as what it stands for."""
    lines = pem.splitlines()[1:-1]
    raw = base64.b64decode(b"".join(lines))
    at = 36 if len(raw) < 200 else len(raw) // 2  # behind the modulus, if there is one
    return [lines[at // 48 + 1], raw[at:at + 24]]


def holds(pid, needles):
    """Whether a process has any of these octets in memory that it may write to or read from."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            begin, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (....)", line).groups()
            if rights[0] != "r" or "[v" in line:
                continue
            try:
                memory.seek(int(begin, 16))
                data = memory.read(int(end, 16) - int(begin, 16))
            except (OSError, ValueError):
                continue
            if any(needle in data for needle in needles):
                return True
    return False


@pytest.mark.skipif(not ROOT or instrumented(), reason="only root may look, and where there is no shadow of memory")
@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_no_key_is_ever_in_a_workers_memory(start, kind):
    server = start(kind=kind)
    for _ in range(20):
        assert works(server)
    certificate = server_certificate(kind)
    needles = [*secrets(certificate.key), *text_of(certificate.key_pem)]
    assert holds(signer(server), needles)  # the search finds what is there
    assert not holds(server.worker(), needles)
    assert not holds(server.pid, needles)
    # nor when it loads them after a crash, or anew
    assert command("reload", "-c", server.file).returncode == 0
    for _ in range(20):
        assert works(server)
    wait_for(lambda: len(children(server.pid)) == 1, 30, "one worker")
    assert not holds(server.worker(), needles)


def field(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return next(line.split(":")[1].split() for line in lines if line.startswith(name + ":"))


@pytest.mark.skipif(instrumented(), reason="sanitizers are not locked in")
def test_the_signer_is_locked_in(start):
    server = start("sandbox: on\n" + CONFIG)
    pid = signer(server)
    assert field(pid, "NoNewPrivs") == ["1"]
    assert field(pid, "Seccomp") == ["2"]
    if ROOT:
        assert set(field(pid, "Uid")) == set(field(server.worker(), "Uid")) and field(pid, "Uid")[0] != "0"
        assert field(pid, "Groups") == []
        assert field(pid, "CapEff") == field(pid, "CapPrm") == ["0000000000000000"]
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0  # its own account may not look into it
    with open(f"/proc/{pid}/limits", encoding="ascii") as limits:
        assert re.search(r"Max core file size\s+0\s+0\s", limits.read())


@pytest.mark.skipif(instrumented(), reason="sanitizers call what the sandbox forbids")
def test_it_works_where_the_sandbox_is_required(start):
    assert works(start("sandbox: require\n" + CONFIG))


@pytest.mark.skipif(not ROOT, reason="it runs so anyway")
def test_it_works_for_others_than_root(start):
    server = start(CONFIG + "log: { access: off, error: { path: stderr } }\n", account=65534, base=False)
    assert works(server)
    assert set(field(signer(server), "Uid")) == {"65534"}


# --- Its loss ---

def test_handshakes_work_again_after_it_was_killed(start):
    server = start()
    worker, old = server.worker(), signer(server)
    with connected(server) as kept:
        assert ask(kept) == (200, b"hello\n")
        for _ in range(3):
            os.kill(old, signal.SIGKILL)
            assert ask(kept) == (200, b"hello\n")
            assert in_clear(server) == (200, b"hello\n")
            old = another(server, old)
        assert ask(kept) == (200, b"hello\n")
    assert server.worker() == worker
    (told,) = status(server)["helpers"]
    assert told["restarts"] == 3
    assert "signer" in server.log() and "SIGKILL" in server.log()


def test_it_is_killed_under_handshakes(start):
    server = start()
    stop = threading.Event()
    served, failed = [], []

    def shake():
        while not stop.is_set():
            (served if works(server) else failed).append(1)

    threads = [threading.Thread(target=shake) for _ in range(4)]
    for one in threads:
        one.start()
    try:
        for turn in range(5):
            before = len(served)
            wait_for(lambda: len(served) > before + 20, 30, "handshakes")
            if turn == 1:  # nobody notices that one of them is gone; where one after another dies they may
                assert not failed
            old = signer(server)
            os.kill(old, signal.SIGKILL)
            wait_for(lambda: [pid for pid in helpers(server.pid) if pid != old], 30, "another signer")
    finally:
        stop.set()
        for one in threads:
            one.join()
    wait_for(lambda: works(server), 30, "handshakes")
    assert len(children(server.pid)) == 1


def test_a_signer_that_stands_still_fails_handshakes_alone(start):
    server = start("threads: 1\n" + CONFIG)
    worker, old = server.worker(), signer(server)
    with connected(server) as kept:
        assert ask(kept) == (200, b"hello\n")
        freeze(old)
        with pytest.raises(ssl.SSLError) as failed:
            connected(server)
        assert "INTERNAL_ERROR" in failed.value.reason
        # those that follow wait for nothing: that would hold up all others on this thread
        for _ in range(20):
            assert not works(server)
        assert ask(kept) == (200, b"hello\n")
        assert in_clear(server) == (200, b"hello\n")
        os.kill(old, signal.SIGCONT)
        wait_for(lambda: works(server), 30, "handshakes")
        assert ask(kept) == (200, b"hello\n")
    assert (server.worker(), signer(server)) == (worker, old)
    assert status(server)["counters"]["signatures_failed"] >= 21
    assert "the signer does not answer" in server.log()


def test_a_signer_that_never_answers_again_is_replaced(start):
    server = start("threads: 1\n" + CONFIG)
    old = signer(server)
    freeze(old)
    assert not works(server)
    wait_for(lambda: works(server), 60, "another signer")  # each of these asks whether there is an answer by now
    assert signer(server) != old
    assert f"signer {signer(server)}" not in server.log() and f"{old} does not answer" in server.log()


def test_a_signer_that_stands_still_holds_up_a_renewal_alone(start):
    server = start()
    before, old = shown(server), signer(server)
    with connected(server) as kept:
        assert ask(kept) == (200, b"hello\n")
        freeze(old)
        made = other_pair(server.folder)
        wait_for(lambda: "the signer does not answer" in server.log(), 30, "a word in the log")
        assert ask(kept) == (200, b"hello\n")
        assert in_clear(server) == (200, b"hello\n")
        os.kill(old, signal.SIGCONT)
        wait_for(lambda: works(server) and shown(server) != before, 60, "the new certificate")
        assert shown(server) == made.der


# --- The same keys as before, and others ---

def other_pair(folder):
    """Another key and certificate in place of the ones there; returns the certificate."""
    made = authority().issue("localhost", number=7)
    made.write(folder)
    return made


def test_after_a_crash_of_the_worker_its_keys_are_those_that_it_had(start):
    server = start()
    before = shown(server)
    replace(server.folder / "server.key", b"-----BEGIN PRIVATE KEY-----\nhalf of it", 0o600)
    for _ in range(2):
        worker = server.worker()
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: [pid for pid in children(server.pid) if pid != worker], 30, "another worker")
        wait_for(lambda: works(server), 30, "handshakes")
        assert shown(server) == before
    # nor does the signer need the file
    old = signer(server)
    os.kill(old, signal.SIGKILL)
    another(server, old)
    assert shown(server) == before


def test_both_die(start):
    server = start()
    before = shown(server)
    (server.folder / "server.key").unlink()
    worker, old = server.worker(), signer(server)
    os.kill(worker, signal.SIGKILL)
    os.kill(old, signal.SIGKILL)
    another(server, old)
    assert shown(server) == before


def test_a_renewed_key_outlives_the_signer(start):
    server = start()
    made = other_pair(server.folder)
    wait_for(lambda: shown(server) == made.der, 30, "the new certificate")
    old = signer(server)
    os.kill(old, signal.SIGKILL)
    another(server, old)
    assert shown(server) == made.der
    # and the worker
    worker = server.worker()
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: [pid for pid in children(server.pid) if pid != worker], 30, "another worker")
    wait_for(lambda: works(server), 30, "handshakes")
    assert shown(server) == made.der


def test_a_reload_takes_up_another_key(start):
    server = start()
    before = shown(server)
    made = other_pair(server.folder)
    assert command("reload", "-c", server.file).returncode == 0
    assert shown(server) == made.der != before
    wait_for(lambda: len(helpers(server.pid)) == 1, 30, "the old signer's end")


def test_a_reload_with_a_broken_key_changes_nothing(start):
    server = start()
    before = shown(server)
    old = signer(server)
    replace(server.folder / "server.key", b"nothing\n", 0o600)
    reload = command("reload", "-c", server.file)
    assert reload.returncode == 1
    assert "server.key holds no private key" in reload.stderr + reload.stdout
    wait_for(lambda: helpers(server.pid) == [old], 30, "the end of the new worker's signer")
    assert shown(server) == before
    assert works(server)


def test_a_key_that_cannot_be_read_is_told_at_its_place(start, folder):
    server = start()
    assert server.stop() == 0
    (folder / "server.key").unlink()
    run = subprocess.run([WEIR, "run", "-c", server.file], capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 1
    assert "weir.yaml:" in run.stderr and "server.key" in run.stderr and "No such file" in run.stderr


def test_a_signer_that_stands_still_holds_up_no_stop(start):
    server = start()
    pid = signer(server)
    freeze(pid)
    assert server.stop() == 0
    assert not os.path.exists(f"/proc/{pid}")


def test_helpers_end_with_their_supervisor(start):
    server = start()
    pids = [server.worker(), signer(server)]
    assert server.stop() == 0
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
