# SPDX-License-Identifier: BSD-2-Clause
"""Certificates that are renewed on disk are seen without a reload, whichever way they are written, and only when they are whole; keys that only
root can read; reloads and deaths under TLS load; tunnels that outlive a reload."""
import datetime
import json
import os
import re
import signal
import stat
import subprocess
from pathlib import Path

import pytest

import certificates
import tlsraw as tls
from certificates import authority, replace
from client import Connection, trusting
from h2client import H2
from origin import Origin
from proc_load import Load
from secure import Secure, SecureConnection, get
from server import ROOT, command, wait_for
from slow_disk import Missing, SlowDisk, fuse_module
from streams import Memory
from test_72_tls_choice import staple, stapled
from test_72_tls_resumption import settle, worker_of
from tlskeys import Client
from tlsraw import hello, hello_12

ONE = """
threads: 2
tls: { certificates: { certificate: tls/server.pem, key: tls/server.key } }
sites: [{ listen: "https://127.0.0.1:$port", root: root }]
"""
SECONDS = 15


def issue(number, **options):
    return authority().issue("localhost", number=number, **options)


def serial(port, name="localhost", make=hello):
    with Client(port) as client:
        assert client.handshake(make(name=name)).good()
        return client.certificates[0].serial_number


def seen(server, certificate):
    """By all threads: each takes it up at its next turn."""
    wait_for(lambda: all(serial(server.port) == certificate.serial for _ in range(10)), SECONDS, "the new certificate")


@pytest.fixture
def server():
    """Serves the pair of tls/ in its folder, `first`."""
    made = Secure(ONE)
    (made.folder / "tls").mkdir(mode=0o700)
    made.first = issue(700)
    made.first.write(made.folder / "tls")
    with made:
        assert serial(made.port) == made.first.serial
        yield made


def in_place(path, data):
    with open(path, "r+b") as file:
        file.truncate()
        file.write(data)


def switches(pid):
    """How often the threads of a process began to sleep."""
    texts = [path.read_text(encoding="ascii", errors="replace") for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", text, re.M).group(1)) for text in texts)


def test_neighbours_wake_nobody(server):
    """An application's database stands beside the certificates, in the root, and beside it: a worker that has nothing to do sleeps."""
    assert get(server.port, "/none").status == 404
    worker = worker_of(server)
    for folder in (server.folder / "tls", server.root, server.folder):
        before = switches(worker)
        for _ in range(3000):
            with open(folder / "journal", "wb") as file:
                file.write(b"x")
            os.unlink(folder / "journal")
        assert switches(worker) - before < 500, folder


# --- Ways of writing ---

def test_renewed_by_rename(server):
    second = issue(701)
    worker = worker_of(server)
    second.write(server.folder / "tls")
    seen(server, second)
    assert worker_of(server) == worker, "a reload, but none was asked for"


def test_renewed_in_place(server):
    second = issue(701)
    in_place(server.folder / "tls/server.key", second.key_pem)
    in_place(server.folder / "tls/server.pem", second.pem)
    seen(server, second)


def test_renewed_in_place_the_certificate_first(server):
    second = issue(701)
    in_place(server.folder / "tls/server.pem", second.pem)
    in_place(server.folder / "tls/server.key", second.key_pem)
    seen(server, second)


def test_renewed_with_the_same_key(server):
    second = issue(700)
    replace(server.folder / "tls/server.pem", second.pem)
    seen(server, second)


def test_renewed_with_a_key_of_another_kind(server):
    second = issue(701, kind="rsa")
    second.write(server.folder / "tls")
    seen(server, second)


@pytest.mark.skipif(fuse_module()[0] is None, reason=str(fuse_module()[1]))
def test_a_disk_that_hangs_holds_up_no_order():
    """Meanwhile the worker serves and drains; what was written is taken up once it can be read."""
    first, second, third = (issue(number) for number in (700, 701, 702))
    made = Secure(ONE.replace("tls/server.pem", "$disk/server.pem") + "drain: 10s\n")
    try:
        disk = SlowDisk(made.folder)
    except Missing as why:
        made.remove()
        pytest.skip(str(why))
    made.values["disk"] = disk.path
    first.write(made.folder, "server")
    (made.folder / "tls").mkdir(mode=0o700)
    replace(made.folder / "tls/server.key", first.key_pem)
    disk.write("/server.pem", first.pem)

    def renew(certificate, held):
        disk.hold([held], "/server.pem")
        disk.write("/server.pem", certificate.pem)
        replace(made.folder / "tls/server.key", certificate.key_pem)
        wait_for(disk.held, 10, "a look at the certificate that does not end")

    try:
        with made as server:
            renew(second, "read")
            assert serial(server.port) == first.serial
            disk.heal()
            seen(server, second)
            renew(third, "*")
            with SecureConnection(server.port) as idle:
                assert idle.get("/").status == 200
                server.process.send_signal(signal.SIGTERM)
                assert idle.wait_end()
            disk.heal()  # the kernel lets no process go that waits for it
            server.stop()
            assert "has drained" in server.log()
    finally:
        disk.close()


def test_renewed_again_and_again(server):
    for number in range(701, 706):
        fresh = issue(number)
        fresh.write(server.folder / "tls")
        seen(server, fresh)


@pytest.mark.parametrize("what", ["files", "folder"])
def test_renewed_by_a_link(what):
    """As certbot does it: links to numbered files; and as volumes are switched: a link to a folder."""
    made = Secure(ONE)
    for number in (1, 2):
        (made.folder / f"archive{number}").mkdir()
        issue(709 + number).write(made.folder / f"archive{number}")
    if what == "files":
        (made.folder / "tls").mkdir()
        targets = [(f"tls/{name}", f"../archive{{}}/{name}") for name in ("server.key", "server.pem")]
    else:
        targets = [("tls", "archive{}")]
    for link, target in targets:
        (made.folder / link).symlink_to(target.format(1))
    with made:
        for link, target in targets:
            new = made.folder / (link + ".new")
            new.symlink_to(target.format(2))
            os.replace(new, made.folder / link)
        second = certificates.x509.load_pem_x509_certificate((made.folder / "archive2/server.pem").read_bytes())
        wait_for(lambda: serial(made.port) == second.serial_number, SECONDS, "the new certificate")


def test_a_new_response_is_taken_up():
    certificate = certificates.server_certificate()
    first, second = authority().response(certificate), authority().response(certificate, ends=20)
    with stapled(first) as made:
        assert staple(made.port, status=True) == first
        certificates.replace(made.folder / "server.ocsp", second)
        wait_for(lambda: staple(made.port, status=True) == second, 15, "the new response")


# --- What is not whole ---

HALVES = {
    "a key without its certificate": lambda folder, second: replace(folder / "server.key", second.key_pem, 0o600),
    "no key": lambda folder, second: (folder / "server.key").unlink(),
    "half a key": lambda folder, second: replace(folder / "server.key", second.key_pem[:60], 0o600),
    "a certificate without its key": lambda folder, second: replace(folder / "server.pem", second.pem),
    "half a certificate": lambda folder, second: replace(folder / "server.pem", second.pem[:len(second.pem) // 2]),
    "an empty certificate": lambda folder, second: replace(folder / "server.pem", b""),
    "no certificate": lambda folder, second: (folder / "server.pem").unlink(),
    "garbage": lambda folder, second: replace(folder / "server.pem", os.urandom(2000)),
}


@pytest.mark.parametrize("what", HALVES)
def test_what_is_not_whole_changes_nothing(server, what):
    """The old pair serves on, also new threads' connections; the log has a line for it, not one a second, and no key; then the pair is whole."""
    second, before = issue(701), server.log().count("\n")
    HALVES[what](server.folder / "tls", second)
    told = [line for line in wait_for(lambda: [line for line in server.log().split("\n")[before:] if "server." in line], SECONDS, "a word in the log")
            if line]
    assert len(told) == 1, told
    for _ in range(5):
        assert serial(server.port) == server.first.serial
    second.write(server.folder / "tls")
    seen(server, second)
    lines = [line for line in server.log().split("\n")[before:] if re.search(r" (error|warn\w*) ", line)]
    assert len(lines) <= 3, lines
    body = second.key_pem.decode().split("\n")[1]
    assert body[:30] not in server.log()


def test_a_reload_with_half_a_pair_fails(server):
    """And the old worker serves on."""
    replace(server.folder / "tls/server.pem", issue(701).pem)
    run = command("reload", "-c", server.file)
    assert run.returncode == 1 and "server." in run.stderr, run.stderr
    assert serial(server.port) == server.first.serial


def test_a_death_with_half_a_pair_serves_on(server):
    """DESIGN: a worker that replaces a dead one loads what its predecessor had read, certificates included; a key that fits no more is no reason
    to serve nothing at all."""
    replace(server.folder / "tls/server.pem", issue(701).pem[:100])
    worker = worker_of(server)
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: worker_of(server) != worker, 20, "another worker")
    assert serial(server.port) == server.first.serial
    settle(server)


@pytest.mark.parametrize("deaths", [1, 2])
def test_what_was_renewed_outlives_the_worker(server, deaths):
    """Whatever became of its files: it was whole when it was taken up. Until a reload, which has the files."""
    second = issue(701)
    second.write(server.folder / "tls")
    seen(server, second)
    replace(server.folder / "tls/server.pem", issue(702).pem[:100])
    replace(server.folder / "tls/server.key", b"nothing", 0o600)
    for _ in range(deaths):
        worker = worker_of(server)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: worker_of(server) != worker, 20, "another worker")
        assert serial(server.port) == second.serial
    assert command("reload", "-c", server.file).returncode == 1
    assert serial(server.port) == second.serial
    third = issue(703)
    third.write(server.folder / "tls")
    assert command("reload", "-c", server.file).returncode == 0
    assert serial(server.port) == third.serial
    settle(server)


def test_a_key_that_did_not_fit_is_not_the_next_workers(server):
    """It was looked at, and told of."""
    replace(server.folder / "tls/server.key", issue(702).key_pem, 0o600)
    wait_for(lambda: "does not belong to the certificate" in server.log(), SECONDS, "a word in the log")
    worker = worker_of(server)
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: worker_of(server) != worker, 20, "another worker")
    assert serial(server.port) == server.first.serial
    settle(server)


def test_a_session_of_before_is_resumed_or_not_but_served(server):
    with Client(server.port) as client:
        client.handshake()
        client.good()
        kept = client.sessions[-1]
    second = issue(701)
    second.write(server.folder / "tls")
    seen(server, second)
    with Client(server.port) as client:
        assert client.handshake(session=kept).good()


def test_connections_of_before_go_on(server):
    with Client(server.port) as client:
        assert client.handshake().good()
        second = issue(701)
        second.write(server.folder / "tls")
        seen(server, second)
        assert client.good()


# --- Keys ---

@pytest.mark.skipif(not ROOT, reason="only root can have files of its own")
def test_a_key_that_only_root_can_read(server):
    """And its folder; the worker, which is nobody, cannot, and yet serves, now, after a renewal, a death and a reload."""
    folder = server.folder / "tls"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for number, change in ((701, None), (702, "kill"), (703, "reload")):
        fresh = issue(number)
        fresh.write(folder)
        assert stat.S_IMODE((folder / "server.key").stat().st_mode) == 0o600
        seen(server, fresh)
        if change == "kill":
            worker = worker_of(server)
            os.kill(worker, signal.SIGKILL)
            wait_for(lambda: worker_of(server) != worker, 20, "another worker")
        elif change == "reload":
            assert command("reload", "-c", server.file).returncode == 0
        seen(server, fresh)
    settle(server)


def memory(pid):
    """All that a process has, in pieces that overlap."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", 0) as file:
        for line in maps:
            words = line.split()
            if not words[1].startswith("r") or (len(words) > 5 and words[5] in ("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            first, last = (int(word, 16) for word in words[0].split("-"))
            try:
                file.seek(first)
                before = b""
                while first < last and (data := file.read(min(last - first, 1 << 24))):
                    yield before + data
                    before = data[-4096:]
                    first += len(data)
            except OSError:
                pass  # what no one can read


@pytest.mark.skipif(not ROOT, reason="only root reads another's memory")
@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_no_key_is_in_a_workers_memory(kind):
    """Issue: no read of a worker's memory yields a key. Neither its file, nor its numbers in either order of octets."""
    made = Secure(ONE)
    (made.folder / "tls").mkdir(mode=0o700)
    one = issue(720, kind=kind)
    one.write(made.folder / "tls")
    with made:
        assert serial(made.port) == one.serial
        if Memory(worker_of(made)).sanitized:
            pytest.skip("a sanitizer's shadow of all addresses cannot be read")
        fresh = issue(721, kind=kind)
        fresh.write(made.folder / "tls")
        seen(made, fresh)
        found = []
        for certificate in (one, fresh):
            numbers = certificate.key.private_numbers()
            secrets = [numbers.private_value] if kind == "ecdsa" else [numbers.p, numbers.q, numbers.d]
            needles = [value.to_bytes((value.bit_length() + 7) // 8, order) for value in secrets for order in ("big", "little")]
            needles += [certificate.key_pem.split(b"\n")[1 if kind == "ecdsa" else -4]]  # of the part that is secret
            found.append(needles)
        for data in memory(worker_of(made)):
            for needle in (needle for needles in found for needle in needles):
                assert needle[4:-4] not in data, "a private key"


# --- What is told ---

def test_status_tells_when_certificates_end(server):
    def told():
        said = json.loads(command("status", "--json", "-c", server.file).stdout)
        return [one["ends"] for one in said["certificates"]]

    def end(certificate):
        return [int(certificate.x509.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp())]

    wait_for(lambda: told() == end(server.first), SECONDS, "the first one in the status")
    second = issue(701, ends=200)
    second.write(server.folder / "tls")
    seen(server, second)
    wait_for(lambda: told() == end(second), SECONDS, "the second one in the status")
    plain = command("status", "-c", server.file).stdout
    assert re.search(r"localhost +expires in (199|200)d", plain), plain


def test_a_certificate_that_soon_ends_is_warned_of():
    made = Secure(ONE)
    (made.folder / "tls").mkdir()
    issue(730, begins=-87, ends=3).write(made.folder / "tls")
    with made:
        wait_for(lambda: re.search(r" warn.*(expire|end|valid)", made.log()), SECONDS, "a warning")


# --- Under load ---

class SecureLoad(Load):
    """Load over TLS alone: verified connections of HTTP/1.1 and HTTP/2."""

    protos = ("h1s", "h2")

    def new(self, proto):
        if proto == "h1s":
            return Connection(self.port, seconds=10, tls=trusting("http/1.1"))
        return H2(self.port, seconds=10, tls=trusting("h2"))


def test_ten_reloads_under_load_lose_nothing(server):
    with SecureLoad(server.port, kept=4, fresh=4) as load:
        for _ in range(10):
            run = command("reload", "-c", server.file)
            assert run.returncode == 0, run.stderr
            load.progress(50, seconds=20)
    assert not load.lost, load.lost[:10]
    settle(server)


class Http2Load(SecureLoad):
    """The same with HTTP/2, by curl: thirty requests on a connection, one by one or side by side."""

    protos = ("h2",)

    def requests(self, *options):
        url = f"https://localhost:{self.port}/"
        got = subprocess.run(["curl", "--disable", "-sS", "--noproxy", "*", "--http2", "--cacert", str(self.folder / "ca.pem"), "--max-time",
                              "20", *options, *[url] * 30], capture_output=True, text=True, timeout=40, check=False)
        right = got.returncode == 0 and got.stdout == "hello\n" * 30
        self.count("h2", None if right else f"{got.returncode} {got.stdout.count('hello')} {got.stderr[-300:]}")

    def keep(self, proto):
        while not self.ended.is_set():
            self.requests()

    def open(self, proto):
        while not self.ended.is_set():
            self.requests("--parallel")

    def __init__(self, server):
        self.folder = server.folder
        super().__init__(server.port, kept=2, fresh=2)


def test_ten_reloads_under_http2_load_lose_nothing(server):
    with Http2Load(server) as load:
        for _ in range(10):
            run = command("reload", "-c", server.file)
            assert run.returncode == 0, run.stderr
            load.progress(4, seconds=20)
    assert not load.lost, load.lost[:5]
    settle(server)


def test_renewals_under_load_lose_nothing(server):
    with SecureLoad(server.port, kept=4, fresh=4) as load:
        for number in range(701, 711):
            fresh = issue(number)
            fresh.write(server.folder / "tls")
            seen(server, fresh)
        load.progress(50, seconds=20)
    assert not load.lost, load.lost[:10]


TUNNEL = """
threads: 2
drain: 10s
tls: { certificates: { certificate: ecdsa.pem, key: ecdsa.key } }
sites: [{ listen: "https://127.0.0.1:$port", root: root, proxy: "$origin" }]
"""


@pytest.mark.parametrize("make", [hello, hello_12], ids=["1.3", "1.2"])
def test_a_websocket_outlives_a_reload(make):
    with Origin() as origin, Secure(TUNNEL, values={"origin": origin.address}) as made:
        with Client(made.port) as client:
            client.handshake(make())
            head, _ = client.ask("/websocket", fields=["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"])
            assert " 101 " in head.split("\r\n")[0], head

            def echo(data):
                client.put(tls.DATA, data)
                got = b""
                while len(got) < len(data):
                    got += client.read_data()
                assert got == data

            echo(b"one")
            for turn in range(3):
                assert command("reload", "-c", made.file).returncode == 0
                echo(b"after a reload %d " % turn + os.urandom(60000))
            if client.version == tls.TLS13:
                client.update(1)
            echo(b"last")
            client.bye()
        settle(made)


def test_a_download_outlives_a_reload():
    with Secure(TUNNEL, values={"origin": "127.0.0.1:1"}) as made:
        (made.root / "big.bin").write_bytes(bytes(range(256)) * 80000)
        with SecureConnection(made.port, seconds=20) as connection:
            connection.request("/big.bin")
            assert connection.fill(5)
            assert command("reload", "-c", made.file).returncode == 0
            answered = connection.read(seconds=20)
            assert answered.body == bytes(range(256)) * 80000
        assert get(made.port).body == b"hello\n"
        settle(made)


def test_kept_connections_are_told_of_a_reload(server):
    """The next answer says close, then close_notify; what was sent is answered."""
    with Client(server.port) as client:
        assert client.handshake().good()
        assert command("reload", "-c", server.file).returncode == 0
        head, body = client.ask()
        assert body == b"hello\n" and re.search(r"(?i)\nconnection: close", head), head
        got = client.outcome()
        assert [str(one) for one in got.alerts] == ["warning close_notify"] and got.ended in ("fin", "reset")
    settle(server)


# --- https_only, hsts ---

REDIRECTED = """
threads: 1
tls: { certificates: { certificate: ecdsa.pem, key: ecdsa.key } }
sites:
  - { host: localhost, listen: ["http://127.0.0.1:$port2", "https://127.0.0.1:$port"], root: root, https_only: on, hsts: 365d }
  - { listen: ["http://127.0.0.1:$port2", "https://127.0.0.1:$port"], root: root }
"""


@pytest.fixture(scope="module")
def redirected():
    with Secure(REDIRECTED) as made:
        yield made


@pytest.mark.parametrize("target", ["/", "/index.html?a=b&c", "/a%20b/%C3%BC", "//evil.test/", "/missing"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_http_is_redirected(redirected, target, method):
    with Connection(redirected.ports["port2"]) as connection:
        answered = connection.get(target, method=method)
        assert answered.status == 308
        assert answered.get("Location") == f"https://localhost:{redirected.port}{target}"
        assert answered.get("Strict-Transport-Security") is None


def test_hsts_over_tls_only(redirected):
    answered = get(redirected.port)
    assert answered.get("Strict-Transport-Security") == f"max-age={365 * 86400}"
    assert get(redirected.port, "/missing").get("Strict-Transport-Security") == f"max-age={365 * 86400}"
    with Connection(redirected.ports["port2"]) as connection:
        answered = connection.get("/", host="other.test")
        assert (answered.status, answered.get("Strict-Transport-Security")) == (200, None)


def test_challenges_are_never_redirected(redirected):
    """http-01 is asked for in the clear (RFC 8555 §8.3): an unknown token is a 404 or goes on to https, but no other answer."""
    with Connection(redirected.ports["port2"]) as connection:
        assert connection.get("/.well-known/acme-challenge/none").status in (308, 404)


