# SPDX-License-Identifier: BSD-2-Clause
"""TLS as a transport (DESIGN §5): what is above it sees the same octets, whatever their pieces, their number, the peer's slowness, the
disk's; a handshake has a time of its own; idle connections cost little; sessions outlive workers."""
import os
import signal
import socket
import ssl
import struct
import threading
import time

import pytest

import certificates
from recorder import Recorder
from server import Server, children, command, instrumented, status, wait_for
from slow_disk import Missing, SlowDisk, content, fuse_module

CONFIG = """
threads: 2
sandbox: $sandbox
limits: { timeouts: { header: 2s, idle: 60s, send: 20s } }
tls: { certificates: [{ certificate: server.pem, key: server.key }] }
sites:
  - { listen: ["https://127.0.0.1:$port", "http://127.0.0.1:$port3"], root: root }
  - { listen: "https://127.0.0.1:$port2", root: root, proxy: "127.0.0.1:$backend" }
"""
LARGE = bytes(range(256)) * 40000  # 10 MB
IDLE = 200
IDLE_OCTETS = 13 * 1024  # a connection's, GnuTLS's session among them


def serving(backend=9, sandbox=None, config=CONFIG, **values):
    made = Server(config, values={"backend": backend, "sandbox": sandbox or os.environ.get("WEIR_E2E_SANDBOX", "on"), **values})
    certificates.lay_out(made.folder)
    (made.root / "index.html").write_text("hello\n", encoding="utf-8")
    (made.root / "large.bin").write_bytes(LARGE)
    return made


@pytest.fixture(scope="module")
def echo():
    """A backend that answers with the body that it got."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection):
        with connection, connection.makefile("rb") as file:
            length = 0
            while (line := file.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = file.read(length)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)

    def accept():
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture(scope="module")
def weir(echo):
    with serving(echo) as made:
        yield made


def plain(port, window=None):
    made = socket.socket()
    if window:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    made.settimeout(20)
    made.connect(("127.0.0.1", port))
    return made


def secure(port, window=None, session=None, **options):
    made = certificates.context(**options)
    return made.wrap_socket(plain(port, window), server_hostname="localhost", session=session, suppress_ragged_eofs=False)


def get(target, *more):
    return "".join(f"{line}\r\n" for line in (f"GET {target} HTTP/1.1", "Host: localhost", *more, "")).encode()


def read_answer(connection):
    """Status line and body of an answer with a length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")).split(b":")[1])
    while len(body) < length:
        piece = connection.recv(65536)
        assert piece, f"{len(body)} of {length} octets"
        body += piece
    return head.split(b"\r\n")[0], body


def read_to_end(connection):
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
versions = pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])


@versions
def test_large_file_whole(weir, version):
    with secure(weir.port, minimum=version, maximum=version) as connection:
        for target, want in (("/large.bin", LARGE), ("/", b"hello\n"), ("/large.bin", LARGE)):
            connection.sendall(get(target))
            assert read_answer(connection)[1] == want


def test_close_notify_ends_an_answer(weir):
    """Without it the ssl module would complain of a truncated stream."""
    with secure(weir.port) as connection:
        connection.sendall(get("/", "Connection: close"))
        assert read_to_end(connection).endswith(b"hello\n")


def test_ranges_and_pipelines(weir):
    with secure(weir.port) as connection:
        connection.sendall(b"".join(get("/large.bin", f"Range: bytes={at * 70001}-{at * 70001 + 69999}") for at in range(30)))
        for at in range(30):
            assert read_answer(connection)[1] == LARGE[at * 70001:at * 70001 + 70000]


@versions
def test_upload_in_records_of_any_size(weir, version):
    """What is read ahead and stays inside tells of itself: nobody else would."""
    for size in (1, 100, 4000, 16384, 1 << 20):
        body = LARGE[:min(len(LARGE), size * 3000)]
        with secure(weir.ports["port2"], minimum=version, maximum=version) as connection:
            head = f"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            connection.sendall(head)
            for at in range(0, len(body), size):
                connection.sendall(body[at:at + size])
            assert read_answer(connection) == (b"HTTP/1.1 200 OK", body)


def test_slow_reader_gets_all(weir):
    """The kernel takes a part of a record; the rest goes first when there is room."""
    with secure(weir.port, window=4096) as connection:
        connection.sendall(get("/large.bin"))
        time.sleep(0.2)
        assert read_answer(connection)[1] == LARGE


def test_octet_by_octet(weir):
    """A relay passes the client's octets on one by one."""
    client, relayed = socket.socketpair()
    outside = plain(weir.port)
    outside.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def forth():
        while data := relayed.recv(65536):
            for octet in data:
                outside.send(bytes([octet]))

    def back():
        while data := outside.recv(7):
            relayed.sendall(data)

    threads = [threading.Thread(target=run, daemon=True) for run in (forth, back)]
    for thread in threads:
        thread.start()
    with certificates.context().wrap_socket(client, server_hostname="localhost") as connection:
        for _ in range(3):
            connection.sendall(get("/"))
            assert read_answer(connection)[1] == b"hello\n"
    for end in (relayed, outside):
        end.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()


# --- The handshake. ---

@pytest.mark.parametrize("begin", [b"", b"\x16\3\1\1\0\1\0\0\xfc\3\3", b"GE"])
def test_handshake_has_a_deadline(weir, begin):
    with plain(weir.port) as connection:
        connection.sendall(begin)
        assert connection.recv(100) == b""


def test_head_has_its_own_deadline(weir):
    """The handshake took almost all of its time: the request still has all of its own."""
    context = certificates.context()
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(into, out, server_hostname="localhost")
    with plain(weir.port) as connection:
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        connection.sendall(out.read())
        while True:
            into.write(connection.recv(65536))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        time.sleep(1.5)
        connection.sendall(out.read())
        time.sleep(1.2)
        tls.write(get("/"))
        connection.sendall(out.read())
        into.write(connection.recv(65536))
        assert tls.read(65536).startswith(b"HTTP/1.1 200 ")


def test_failed_handshakes_are_counted():
    """Each that was begun and came to nothing; who only looks whether the port is open has begun none."""
    with serving() as weir:
        for said in (b"x" * 100, get("/"), b"\x16\3\1\1\0\1\0\0\xfc\3\3", b"", b"G"):
            with plain(weir.port) as connection:
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
                read_to_end(connection)
        with plain(weir.port) as begun, plain(weir.port) as silent:  # until their time is over
            begun.sendall(b"\x16")
            assert begun.recv(100) == silent.recv(100) == b""
        with pytest.raises(ssl.SSLError), certificates.context(alpn=["gopher"]).wrap_socket(plain(weir.port), server_hostname="localhost"):
            pass
        with certificates.context().wrap_socket(plain(weir.port), server_hostname="localhost") as connection:
            connection.sendall(get("/"))
            assert read_answer(connection)[1] == b"hello\n"
        wait_for(lambda: status(weir)["counters"]["handshakes_failed"] == 6, what="six")
        assert "6 of which began a TLS handshake that failed" in command("status", "-c", weir.file).stdout


def test_plain_http_is_told(weir):
    with plain(weir.port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"x" * 100000)
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 400 ") and b"https" in answer


def test_drained_while_parting():
    """A connection of HTTP/2 that has heard an alert is nobody's any more, and a reload finds it so."""
    with serving() as weir:
        old = weir.worker()
        with plain(weir.port) as connection:
            into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = certificates.context(alpn=("h2",)).wrap_bio(into, out, server_hostname="localhost")
            while not tls.version() or not tls.selected_alpn_protocol():
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    connection.sendall(out.read())
                    into.write(connection.recv(65536))
            tls.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            connection.sendall(out.read())
            assert connection.recv(65536)  # its settings
            connection.sendall(b"\x17\3\3\0\x20" + bytes(32))
            while connection.recv(65536):  # to the alert, and the end of its half
                pass
            assert command("reload", "-c", weir.file).returncode == 0
        wait_for(lambda: len(children(weir.pid)) == 1 and children(weir.pid) != [old], 10, "the old worker's end")
        weir.expect_restart()


# --- Sessions. ---

def session_of(port, version):
    with secure(port, minimum=version, maximum=version) as connection:
        connection.sendall(get("/"))
        read_answer(connection)
        return connection.context, connection.session


def reused(port, kept):
    context, session = kept
    with context.wrap_socket(plain(port), server_hostname="localhost", session=session) as connection:
        connection.sendall(get("/"))
        assert read_answer(connection)[1] == b"hello\n"
        return connection.session_reused


@versions
def test_sessions_outlive_workers(version):
    """Any thread, a reloaded worker, one that takes a dead one's place: all open a ticket of any other."""
    with serving() as weir:
        kept = session_of(weir.port, version)
        assert [reused(weir.port, kept) for _ in range(10)] == [True] * 10
        assert command("reload", "-c", weir.file).returncode == 0
        wait_for(lambda: len(children(weir.pid)) == 1, 10, "the old worker's end")
        assert reused(weir.port, kept)
        old = children(weir.pid)
        os.kill(old[0], signal.SIGKILL)
        wait_for(lambda: children(weir.pid) not in ([], old), 10, "another worker")
        weir.expect_restart()
        assert reused(weir.port, kept)
    with serving() as other:
        assert not reused(other.port, kept)


# --- The machine. ---

@pytest.mark.skipif(instrumented(), reason="sanitizers are not locked in")
def test_works_locked_in(echo):
    with serving(echo, sandbox="require") as weir:
        test_large_file_whole(weir, ssl.TLSVersion.TLSv1_3)
        test_upload_in_records_of_any_size(weir, ssl.TLSVersion.TLSv1_2)


def resident(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Anonymous:")) * 1024


@pytest.mark.skipif(instrumented(), reason="a sanitizer's memory is not weir's")
def test_idle_connections_are_small():
    with serving(config=CONFIG.replace("threads: 2", "threads: 1")) as weir:
        kept = []
        before = None
        for count in range(2 * IDLE):
            kept.append(secure(weir.port))
            kept[-1].sendall(get("/"))
            read_answer(kept[-1])
            if count == IDLE - 1:  # pools are filled
                before = resident(weir.worker())
        grown = resident(weir.worker()) - before
        for connection in kept:
            connection.close()
        assert grown / IDLE < IDLE_OCTETS, grown / IDLE


@pytest.mark.skipif(fuse_module()[0] is None, reason=str(fuse_module()[1]))
def test_cold_file_holds_nobody_up(tmp_path):
    """A disk that gives nothing: other connections of the same loop go on, and the file comes whole once it does."""
    size = 3 << 20
    made = serving(config=CONFIG.replace("threads: 2", "threads: 1").replace("root: root, proxy", "root: $disk, proxy"))
    try:
        disk = SlowDisk(made.folder)
    except Missing as why:
        made.remove()
        pytest.skip(str(why))
    made.values["disk"] = disk.path
    try:
        with made as weir:
            disk.put("/cold.bin", "cold", size)
            disk.hold(["read"], "*", 1 << 20)
            with secure(weir.ports["port2"]) as connection:
                connection.sendall(get("/cold.bin"))
                wait_for(disk.held, 10, "a read that is held")
                for _ in range(3):
                    with secure(weir.port) as other:
                        other.sendall(get("/"))
                        assert read_answer(other)[1] == b"hello\n"
                disk.heal()
                assert read_answer(connection)[1] == content("cold", size)
    finally:
        disk.heal()
        disk.close()


def test_pages_that_go_away(weir):
    """What was in memory when it was queued and is not when its turn comes is read again, by somebody else than the loop."""
    with secure(weir.port, window=4096) as connection, open(weir.root / "large.bin", "rb") as file:
        os.fsync(file.fileno())
        connection.sendall(get("/large.bin"))
        data = b""
        while len(data) < len(LARGE):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            piece = connection.recv(1 << 20)
            assert piece
            data += piece
        assert data.partition(b"\r\n\r\n")[2] == LARGE[:len(data.partition(b"\r\n\r\n")[2])]
    weir.check()


def test_reset_clients(weir):
    """Clients that vanish at any point of a handshake or an answer leave nothing behind."""
    for octets in (0, 1, 100, 600):
        for _ in range(5):
            connection = plain(weir.port)
            context = certificates.context()
            into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
            with pytest.raises(ssl.SSLWantReadError):
                context.wrap_bio(into, out, server_hostname="localhost").do_handshake()
            connection.sendall(out.read()[:octets])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
    for _ in range(10):
        connection = secure(weir.port, window=4096)
        connection.sendall(get("/large.bin"))
        connection.recv(100)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    with secure(weir.port) as connection:
        connection.sendall(get("/"))
        assert read_answer(connection)[1] == b"hello\n"
    weir.check()
