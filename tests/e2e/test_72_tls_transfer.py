# SPDX-License-Identifier: BSD-2-Clause
"""Much over TLS, slowly over TLS, nonsense at the port of TLS: bodies arrive whole whatever the pieces, what is cut looks cut, who dawdles is
ended, hundreds who say nothing keep nobody out."""
import hashlib
import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import tlsraw as tls
from certificates import context
from origin import Origin, pattern, pattern_digest
from secure import Secure, SecureConnection, get
from streams import Memory
from test_72_tls_resumption import worker_of
from tlskeys import Client
from tlsraw import answer_raw, hello, hello_12, hello_13, record

MAKES = {"1.3": hello_13, "1.2": hello_12}
CONFIG = """
threads: 2
limits: { body_size: 10G, timeouts: { header: 3s, body: 5s, idle: 20s, send: 10s } }
tls: { certificates: [{ certificate: ecdsa.pem, key: ecdsa.key }, { certificate: rsa.pem, key: rsa.key }] }
sites:
  - { listen: "https://127.0.0.1:$port", root: root, proxy: "$origin" }
"""
MIB = 1 << 20
BIG = 100 * MIB
HANDSHAKE_SECONDS = 30  # within which a handshake that does not go on is ended


@pytest.fixture(scope="module")
def server():
    with Origin() as origin:
        made = Secure(CONFIG, values={"origin": origin.address})
        with open(made.root / "big.bin", "wb") as file:
            for piece in pattern(BIG):
                file.write(piece)
        (made.root / "small.bin").write_bytes(random.Random(1).randbytes(200000))
        with made:
            yield made


def down(connection, path, size, pause=None):
    """A body's digest, as it comes, by the ssl module."""
    connection.request(path)
    head = connection.head(time.monotonic() + 20)
    assert head.status == 200
    total, got = hashlib.sha256(connection.buffer), len(connection.buffer)
    connection.socket.settimeout(30)
    room = memoryview(bytearray(1 << 16))
    while got < size:
        taken = connection.socket.recv_into(room)
        assert taken, f"the end after {got} of {size}"
        total.update(room[:taken])
        got += taken
        if pause:
            pause(got)
    return total.hexdigest()


# --- Bodies ---

@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_hundred_megabytes(server, version):
    import ssl
    made = context(maximum=ssl.TLSVersion.TLSv1_2) if version == "TLSv1.2" else context()
    with SecureConnection(server.port, context=made, seconds=30) as connection:
        assert connection.socket.version() == version
        assert down(connection, "/big.bin", BIG) == pattern_digest(BIG)
        assert connection.socket.cipher()


def test_a_hundred_megabytes_through_the_proxy(server):
    with SecureConnection(server.port, seconds=30) as connection:
        assert down(connection, f"/give/length/{BIG}", BIG) == pattern_digest(BIG)
    with SecureConnection(server.port, seconds=30) as connection:
        connection.request(f"/give/chunked/{8 * MIB}")
        answered = connection.read(seconds=30)
        assert hashlib.sha256(answered.body).hexdigest() == pattern_digest(8 * MIB)


def test_by_reads_of_one_octet(server):
    """Two hundred thousand octets, each by a recv of its own of the TCP connection."""
    with Client(server.port) as client:
        client.handshake(hello_13())

        def fill(seconds=None):
            data = client.socket.recv(1)
            if not data:
                raise tls.Gone("fin")
            client.buffer += data

        client.fill = fill
        client.socket.settimeout(20)
        assert client.ask("/small.bin")[1] == (server.root / "small.bin").read_bytes()


@pytest.mark.parametrize("window", [2048, 65536])
def test_a_slow_reader(server, window):
    """A small window, pauses: the same octets, and the server holds no more than its share of them meanwhile."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    plain.settimeout(20)
    plain.connect(("127.0.0.1", server.port))
    secure = context().wrap_socket(plain, server_hostname="localhost")
    with Memory(worker_of(server)) as memory:
        size = 4 * MIB
        secure.sendall(b"GET /give/length/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % size)
        data, turn = b"", 0
        while b"\r\n\r\n" not in data:
            data += secure.recv(512)
        total = hashlib.sha256(data.partition(b"\r\n\r\n")[2])
        got = len(data.partition(b"\r\n\r\n")[2])
        while got < size:
            piece = secure.recv(random.Random(turn).randint(1, 30000))
            assert piece
            total.update(piece)
            got, turn = got + len(piece), turn + 1
            if turn % 40 == 0:
                time.sleep(0.02)
    secure.close()
    assert total.hexdigest() == pattern_digest(size)
    memory.within(memory.before + 16 * MIB)


def test_who_does_not_read_costs_little(server):
    """Twenty that ask for a hundred megabytes and read nothing: back-pressure reaches the file and the backend."""
    clients = []
    with Memory(worker_of(server)) as memory:
        for number in range(20):
            connection = SecureConnection(server.port)
            connection.request("/big.bin" if number % 2 else f"/give/length/{BIG}")
            clients.append(connection)
        for connection in clients:
            connection.head(time.monotonic() + 10)
        assert get(server.port).body == b"hello\n"
    for connection in clients:
        connection.close()
    memory.within(memory.before + 64 * MIB)


def test_ranges_are_the_whole(server):
    parts, whole = [], (server.root / "small.bin").read_bytes()
    with SecureConnection(server.port) as connection:
        for at in range(0, len(whole), 33333):
            answered = connection.get("/small.bin", fields={"Range": f"bytes={at}-{at + 33332}"})
            assert answered.status == 206
            parts.append(answered.body)
    assert b"".join(parts) == whole


@pytest.mark.parametrize("make", MAKES)
def test_an_upload(server, make):
    """Records of every size, the digest from the backend."""
    data = random.Random(2).randbytes(3 * MIB)
    with Client(server.port) as client:
        client.handshake(MAKES[make]())
        client.put(tls.DATA, b"PUT /digest HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data))
        at, chance = 0, random.Random(3)
        while at < len(data):
            size = chance.choice((1, 2, 100, 1400, 4096, 16383, 16384))
            client.put(tls.DATA, data[at:at + size])
            at += size
        _, body = client.hear()
        assert body.decode().split("\n")[:2] == [hashlib.sha256(data).hexdigest(), str(len(data))]


def test_a_large_upload(server):
    size = 64 * MIB
    with SecureConnection(server.port, seconds=40) as connection:
        connection.send(b"PUT /digest HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size)
        for piece in pattern(size):
            assert connection.send(piece)
        answered = connection.read(seconds=30)
        assert answered.body.decode().split("\n")[:2] == [pattern_digest(size), str(size)]


def test_up_and_down_at_once(server):
    """Eight of each: no record of one is another's."""
    def one(number):
        with SecureConnection(server.port, seconds=40) as connection:
            if number % 2:
                return down(connection, "/big.bin", BIG) == pattern_digest(BIG) if number == 1 else down(
                    connection, f"/give/length/{4 * MIB}", 4 * MIB) == pattern_digest(4 * MIB)
            data = random.Random(number).randbytes(2 * MIB)
            connection.send(b"PUT /digest HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
            return connection.read(seconds=30).body.decode().split("\n")[0] == hashlib.sha256(data).hexdigest()

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(16)))


# --- Many in one, one in many ---

@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("pieces", [1 << 14, 100, 13])
def test_pipelined(server, make, pieces):
    """Two hundred requests, in few records and in thousands, all sent before anything is read: answers in order."""
    names = [f"/pipelined?{number}" for number in range(200)]
    with Client(server.port) as client:
        client.handshake(MAKES[make]())
        data = b"".join(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"/index.html" if number % 3 else b"/missing") for number in range(
            len(names)))
        whole = b"".join(client.record(tls.DATA, data[at:at + pieces]) for at in range(0, len(data), pieces))
        client.send(whole)
        for number in range(len(names)):
            head, _ = client.hear()
            assert head.split(" ")[1] == ("200" if number % 3 else head.split(" ")[1]), (number, head)


def test_many_records_in_one_segment(server):
    """The handshake's last message, a request and close_notify arrive together: all of it is obeyed."""
    for make in (hello_13, hello_12):
        with Client(server.port) as client:
            client.begin(make())
            if client.version == tls.TLS12:
                client.finish()
            held, send = [], client.send
            client.send = lambda data, held=held: held.append(data) or True
            if client.version == tls.TLS13:
                client.finish()
            client.put(tls.DATA, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.bye()
            client.send = send
            client.send(b"".join(held))
            got = client.outcome()
            assert got.data.endswith(b"hello\n") and [str(one) for one in got.alerts] == ["warning close_notify"]


def test_octet_by_octet(server):
    """TCP in pieces of one octet: the handshake, a request, the end."""
    with Client(server.port) as client:
        send = client.send
        client.send = lambda data: all([send(data[at:at + 1]) for at in range(len(data))])
        assert client.handshake(hello_13()).good()
        client.bye()
        assert [str(one) for one in client.outcome().alerts] == ["warning close_notify"]


# --- What is cut looks cut ---

@pytest.mark.parametrize("what", ["close_mid_body", "close_mid_chunk", "close_between_chunks", "reset_mid_body"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_cut_answer_has_no_good_end(server, what, version):
    """RFC 9112 §9.8: close_notify would make an incomplete body look whole to who reads to the end."""
    with Client(server.port) as client:
        client.handshake(hello_13())
        client.put(tls.DATA, f"GET /{what} HTTP/{version}\r\nHost: localhost\r\n\r\n".encode())
        got = client.outcome()
    assert got.ended in ("fin", "reset")
    head, _, body = got.data.partition(b"\r\n\r\n")
    if b"Content-Length: 10" in head or b"ransfer-" in head:
        assert len(body) < 10 and not body.endswith(b"0\r\n\r\n")
    elif b" 200 " in head.split(b"\r\n")[0]:
        assert not any(one.name == "close_notify" for one in got.alerts), "a body that ends with the connection looks whole"


# --- Who does not speak TLS, or not to the end (CASES.md: Foreign protocols, clients that misbehave) ---

GARBAGE = {
    "zeros": bytes(4096), "0xff": b"\xff" * 4096, "random": random.Random(5).randbytes(4096), "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "SMTP": b"EHLO example.test\r\nMAIL FROM:<a@b>\r\n", "PROXY v1": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    "PROXY v2": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12), "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "a line for the log": b"\n2026-01-01 error: all is lost\r\n\x1b[31m", "RDP": b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\1\0\x08\0\3\0\0\0",
    "DTLS": b"\x16\xfe\xfd" + bytes(60), "half a record's head": b"\x16\x03\x01", "a head and no more": b"\x16\x03\x01\x01\x00",
    "TLS of length 0": record(22, b"") * 100, "MySQL": b"\x4a\0\0\1\x85\xa6\xff\1" + bytes(60), "a NUL": b"\0",
    "SSLv2": b"\x80\x2e\1\0\2\0\x15\0\0\0\x10" + bytes(37), "QUIC": b"\xc3\0\0\0\1\x08" + bytes(1200),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_is_ended(server, what):
    """By an alert or a plain refusal, at the latest when the client ends; what it was is nowhere in the log as it came."""
    got = answer_raw(server.port, GARBAGE[what], half_close=True)
    assert got.ended in ("fin", "reset") and not got.messages
    assert not got.plain or got.plain.startswith(b"HTTP/1.1 400 ")
    assert "\x1b" not in server.log() and "\nerror: all is lost" not in server.log()
    with Client(server.port) as client:
        assert client.handshake(hello()).good()


def idle_ends(port, begin, drip=None):
    """How long until the server ends a connection that does not go on."""
    began = time.monotonic()
    with tls.Raw(port, seconds=HANDSHAKE_SECONDS) as raw:
        begin(raw)
        while time.monotonic() - began < HANDSHAKE_SECONDS:
            if drip:
                if not raw.send(drip()):
                    return True
            try:
                raw.read(0.3)
            except tls.Gone as gone:
                if gone.how != "silence":
                    return True
        return False


@pytest.mark.parametrize("what", ["silent", "half a hello", "behind the hello", "dripping"])
def test_a_handshake_has_a_deadline(server, what):
    """Its own, in all, not between two octets."""
    whole = record(tls.HANDSHAKE, hello().set(tls.PADDING, bytes(4000)).message(), tls.TLS10)
    rest = iter(whole)
    begin = {"silent": lambda raw: None, "half a hello": lambda raw: raw.send(whole[:200]), "behind the hello": lambda raw: raw.send(
        whole), "dripping": lambda raw: None}[what]
    assert idle_ends(server.port, begin, (lambda: bytes([next(rest)])) if what == "dripping" else None)


def test_hundreds_of_half_open_handshakes(server):
    """Two hundred and forty that have said nothing, half a hello, or a whole one: others are served meanwhile, at once; all are ended."""
    whole = record(tls.HANDSHAKE, hello().message(), tls.TLS10)
    waiting = []
    for number in range(240):
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=10, source_address=(f"127.0.0.{2 + number // 60}", 0))
        sock.sendall([b"", whole[:100], whole][number % 3])
        waiting.append(sock)
    for _ in range(10):
        with Client(server.port) as client:
            assert client.handshake().good()
    end = time.monotonic() + HANDSHAKE_SECONDS
    for sock in waiting:
        sock.settimeout(max(0.1, end - time.monotonic()))
        try:
            while sock.recv(1 << 16):
                pass
        except ConnectionError:
            pass
        sock.close()


def test_handshakes_that_are_given_up(server):
    """Two hundred, by reset at every place: nothing is left of them."""
    chance = random.Random(7)
    for number in range(200):
        with tls.Raw(server.port) as raw:
            size = chance.choice((0, 5, 100, 9999))
            raw.send(record(tls.HANDSHAKE, (hello(), hello_12())[number % 2].message(), tls.TLS10)[:size])
            if size == 9999 and number % 4 < 2:
                raw.read()
            raw.reset() if number % 2 else raw.close()
    with Client(server.port) as client:
        assert client.handshake().good()


def test_a_hundred_requests_on_a_hundred_connections(server):
    """Full handshakes side by side."""
    def one(number):
        return get(server.port, name="localhost").body == b"hello\n"

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(one, range(100)))
