# SPDX-License-Identifier: BSD-2-Clause
"""Shapes of hellos, answers and records at their limits: long lists, orders, sizes from one octet up, what stands in each place of a
message, and that a small answer is a single record."""
import random
import struct

import pytest

import tlsraw as tls
from secure import Secure
from tlskeys import Client, finished, prf
from tlsraw import ALERT, CCS, DATA, HANDSHAKE, alert, answer, hello, hello_12, hello_13, message, record, u16, u8, words

MAKES = {"1.3": hello_13, "1.2": hello_12}
DECODE, ILLEGAL, UNEXPECTED, DECRYPT, MAC = "decode_error", "illegal_parameter", "unexpected_message", "decrypt_error", "bad_record_mac"


@pytest.fixture(scope="module")
def server():
    with Secure() as made:
        yield made


@pytest.fixture(params=MAKES)
def make(request):
    return MAKES[request.param]


def good(port, one):
    with Client(port) as client:
        return client.handshake(one).good()


# --- Hellos ---

LONG = {
    "8,000 unknown extensions": lambda one: one.but(extensions=[*((kind, b"") for kind in range(0x4000, 0x4000 + 8000)), *one.extensions]),
    "the longest unknown extension": lambda one: one.but(extensions=[(0x5555, bytes(40000)), *one.extensions]),
    "250 unknown groups": lambda one: one.set(tls.GROUPS, u16(words([*range(0x7000, 0x7000 + 250), tls.X25519]))),
    "120 unknown signature schemes": lambda one: one.set(tls.SIGNATURES, u16(words([*range(0x7000, 0x7000 + 120), *tls.SCHEMES]))),
    "16,000 unknown suites": lambda one: one.but(suites=(*range(0x6000, 0x6000 + 16000), *one.suites)),
    "255 compression methods": lambda one: one.but(compression=bytes(range(255))),
    "a name of 255 octets": lambda one: one.set(tls.SERVER_NAME, tls.names(".".join(["a" * 50] * 5))),
    "60 unknown protocols": lambda one: one.set(tls.ALPN, tls.protocols(*[f"x{number}" for number in range(60)], "http/1.1")),
    "a protocol of 255 octets": lambda one: one.set(tls.ALPN, tls.protocols("x" * 255, "http/1.1")),
}


@pytest.mark.parametrize("what", LONG)
def test_long_hellos_are_served(server, make, what):
    if make is hello_13 and "compression" in what:
        assert answer(server.port, LONG[what](make())).said == ILLEGAL
        return
    with Client(server.port) as client:
        client.handshake(LONG[what](make()))
        assert " 200 " in client.ask(host="localhost")[0]


@pytest.mark.parametrize("seed", range(12))
def test_extensions_in_any_order(server, make, seed):
    """RFC 8446 §4.2: but for pre_shared_key the order says nothing."""
    one, chance = make(), random.Random(seed)
    assert good(server.port, one.but(extensions=chance.sample(list(one.extensions), len(one.extensions))))


@pytest.mark.parametrize("lengths", [(0,), (1,), (8,), (31,), (32,)])
def test_session_ids_are_echoed(server, lengths):
    """§4.1.3; the client checks it. A dummy ChangeCipherSpec comes where there is one to echo (appendix D.4)."""
    for length in lengths:
        with Client(server.port) as client:
            kinds, read = [], client.read
            client.read = lambda seconds=None: kinds.append(None) or keep(read(seconds), kinds)
            assert client.handshake(hello_13().but(session=bytes(range(length)))).good()
            assert CCS in kinds or not length


def keep(got, kinds):
    kinds.append(got[0])
    return got


NAMES = {
    "BEL": b"local\7host", "ESC": b"\x1b[31mlocalhost", "UTF-8": "löcalhost".encode(), "a space": b"local host", "a line end": b"local\r\nhost",
    "DEL": b"localhost\x7f", "0xff": b"\xff\xff",
}


@pytest.mark.parametrize("what", NAMES)
def test_names_that_are_none(server, make, what):
    """RFC 6066 §3: host names in ASCII."""
    got = answer(server.port, make().set(tls.SERVER_NAME, tls.names(NAMES[what])))
    assert got.said == ILLEGAL and "\x1b" not in server.log(), got.said


STATUS = {"of no octets": b"", "cut": b"\1\0", "with a list cut": b"\1\0\5ab", "with extensions cut": b"\1\0\0\0\7",
          "with more behind": b"\1\0\0\0\0\0"}


@pytest.mark.parametrize("what", STATUS)
def test_status_requests_that_cannot_be_read(server, make, what):
    """An alert where it is looked at; whoever has nothing to staple may pass over it."""
    got = answer(server.port, make().set(tls.STATUS_REQUEST, STATUS[what]), seconds=1)
    assert got.said in (DECODE, ILLEGAL) or got.served, got.said


# --- Answers ---

@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /missing HTTP/1.0\r\n\r\n",
                                          b"HEAD / HTTP/1.0\r\n\r\n", b"NONSENSE\r\n\r\n"])
def test_a_small_answer_is_one_record(server, make, request_line):
    """Head and body, and the close_notify behind it."""
    with Client(server.port) as client:
        client.handshake(make())
        kinds, read = [], client.read
        client.read = lambda seconds=None: keep(read(seconds), kinds)
        client.put(DATA, request_line)
        client.read_data()
        client.bye()
        client.outcome()
        assert kinds.count(DATA) == 1


@pytest.mark.parametrize("sizes", [range(0, 40), range(1150, 1450, 17), range(16000, 16500, 31), range(32700, 32800, 9), (65535, 65536, 131071, 131072, 131073)],
                         ids=["tiny", "a packet", "a record", "two records", "more"])
def test_answers_of_every_size(server, make, sizes):
    for size in sizes:
        (server.root / f"{size}.bin").write_bytes(random.Random(size).randbytes(size))
    with Client(server.port) as client:
        client.handshake(make())
        for size in sizes:
            assert client.ask(f"/{size}.bin")[1] == (server.root / f"{size}.bin").read_bytes(), size


@pytest.mark.parametrize("limit", [64, 127, 512, 4096, 16384, 65535])
def test_record_size_limits(server, make, limit):
    """RFC 8449 §4: what is longer than a record may be is sent in several; a limit beyond the protocol's is no fault; the server tells its own."""
    (server.root / "limited.bin").write_bytes(random.Random(limit).randbytes(40000))
    with Client(server.port) as client:
        client.handshake(make().set(tls.RECORD_SIZE, struct.pack(">H", limit)))
        client.records.clear()
        assert client.ask("/limited.bin")[1] == (server.root / "limited.bin").read_bytes()
        if tls.RECORD_SIZE in client.extensions:
            assert 64 <= int.from_bytes(client.extensions[tls.RECORD_SIZE], "big") <= (1 << 14) + 1
            overhead = 16 if client.version == tls.TLS13 else 24
            assert max(client.records) <= limit + overhead, max(client.records)


def test_max_fragment_length(server):
    """RFC 6066 §4, for those who have nothing better; not beside record_size_limit (RFC 8449 §5)."""
    (server.root / "fragments.bin").write_bytes(bytes(9000))
    for code, size in ((1, 512), (2, 1024), (4, 4096)):
        with Client(server.port) as client:
            client.handshake(hello_12().set(tls.MAX_FRAGMENT, bytes([code])))
            client.records.clear()
            assert client.ask("/fragments.bin")[1] == bytes(9000)
            assert tls.MAX_FRAGMENT not in client.extensions or max(client.records) <= size + 24
    with Client(server.port) as client:
        client.handshake(hello_12().set(tls.MAX_FRAGMENT, b"\1").set(tls.RECORD_SIZE, struct.pack(">H", 4000)))
        assert not {tls.MAX_FRAGMENT, tls.RECORD_SIZE} <= set(client.extensions) and client.good()


# --- Every octet of a Finished ---

@pytest.mark.parametrize("place", range(0, 32, 3))
def test_each_octet_of_finished_counts(server, place):
    with Client(server.port) as client:
        client.begin(hello_13(suites=(tls.AES128,)))
        right = bytearray(finished(client.suite, client.ours, client.transcript))
        right[place] ^= 1 << place % 8
        client.put(HANDSHAKE, message(tls.FINISHED, bytes(right)))
        client.incoming = type(client.incoming)(client.suite, client.traffic[1])
        client.open = client.incoming.open
        assert tls.Raw.outcome(client).said == DECRYPT


@pytest.mark.parametrize("place", range(12))
def test_each_octet_of_finished_counts_in_1_2(server, place):
    with Client(server.port) as client:
        client.begin(hello_12())
        client.exchange_12()
        client.change_12()
        right = bytearray(prf(client.suite, client.master, b"client finished", client.hash(), 12))
        right[place] ^= 1 << place % 8
        client.say(tls.FINISHED, bytes(right))
        assert client.outcome().said == DECRYPT


@pytest.mark.parametrize("kind", [2, 3, 16, 127, 128, 255])
def test_each_other_request_to_update(server, kind):
    with Client(server.port) as client:
        client.handshake(hello_13())
        client.update(kind)
        assert client.outcome().said == ILLEGAL


@pytest.mark.parametrize("place", range(0, 60, 7))
def test_each_octet_of_a_record_counts(server, make, place):
    """Its ciphertext and its tag."""
    with Client(server.port) as client:
        client.handshake(make())
        sealed = bytearray(client.record(DATA, b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"))
        at = 5 + place % (len(sealed) - 5)
        sealed[at] ^= 1 << place % 8
        client.send(bytes(sealed))
        assert client.outcome().said == MAC


# --- In the clear, where it should not be ---

@pytest.mark.parametrize("level, description", [(1, 0), (2, 40), (1, 90)])
def test_alerts_in_the_clear_behind_the_hello(server, level, description):
    """A client that could not read the server's flight says so in the clear (RFC 8446 §6): the end, and no complaint that is none's business."""
    with Client(server.port) as client:
        client.begin(hello_13())
        client.send(record(ALERT, alert(description, level)))
        client.half_close()
        client.incoming = type(client.incoming)(client.suite, client.traffic[1])
        client.open = client.incoming.open
        assert tls.Raw.outcome(client).ended in ("fin", "reset")


def test_alerts_in_the_clear_behind_the_handshake(server, make):
    """Not to be believed: whoever is on the way could end any connection so."""
    for level, description in ((2, 40), (1, 0)):
        with Client(server.port) as client:
            assert client.handshake(make()).good()
            client.send(record(ALERT, alert(description, level)))
            got = client.outcome()
            assert got.said in (UNEXPECTED, MAC, DECODE), got.said


# --- TLS 1.2: twice and left out ---

TWICE = {
    "the hello": lambda c, send: (send(message(tls.CLIENT_HELLO, c.offered.body())),),
    "Finished": None,
    "nothing but ChangeCipherSpec": lambda c, send: (c.exchange_12(), c.change_12(), c.send(record(CCS, b"\1"))),
    "no key exchange": lambda c, send: (c.send(record(CCS, b"\1")), send(message(tls.FINISHED, bytes(12)))),
}


@pytest.mark.parametrize("what", TWICE)
def test_messages_of_1_2_twice_or_left_out(server, what):
    with Client(server.port) as client:
        client.begin(hello_12())
        if what == "Finished":
            client.finish()
            client.put(HANDSHAKE, message(tls.FINISHED, bytes(12)))
        else:
            TWICE[what](client, lambda data: client.put(HANDSHAKE, data))
        assert client.outcome().said in (UNEXPECTED, MAC)


def test_a_hundred_warnings(server, make):
    """CVE-2016-8610: warning alerts are no way to keep a handshake for ever: an end, or they are passed over and it is served."""
    with Client(server.port) as client:
        assert client.handshake(make()).good()
        for _ in range(2000):
            if not client.put(ALERT, alert(90, 1)):
                break
    with tls.Raw(server.port) as raw:
        for _ in range(2000):
            if not raw.send(record(ALERT, alert(90, 1), tls.TLS10) * 10):
                break
        raw.half_close()
        assert raw.outcome().ended in ("fin", "reset")
    assert good(server.port, hello())


def test_no_modes_to_resume_by(server):
    """An empty list of psk_key_exchange_modes, without a session to resume: nothing to choose from."""
    got = answer(server.port, hello_13().set(tls.PSK_MODES, u8(b"")), seconds=1)
    assert got.said in (DECODE, ILLEGAL) or got.served
