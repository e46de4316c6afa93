# SPDX-License-Identifier: BSD-2-Clause
"""Records and messages behind the hellos, encrypted: each that is wrong gets the fatal alert that the RFC names, encrypted as it has to be,
and then the end; each that is odd but right is obeyed. RFC 8446, and RFC 5246 where it says 1.2."""
import os

import pytest

import tlsraw as tls
from secure import Secure
from tlskeys import Client, finished, resume, resuming
from tlsraw import ALERT, CCS, DATA, HANDSHAKE, alert, hello, hello_12, hello_13, message, record, u16, u8

DECODE, ILLEGAL, UNEXPECTED, DECRYPT = "decode_error", "illegal_parameter", "unexpected_message", "decrypt_error"
OVERFLOW, MAC = "record_overflow", "bad_record_mac"
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
MAKES = {"1.3": hello_13, "1.2": hello_12}


@pytest.fixture(scope="module")
def server():
    with Secure() as made:
        yield made


@pytest.fixture(params=MAKES)
def client(server, request):
    """A connection whose handshake is done, in each version."""
    with Client(server.port) as made:
        made.handshake(MAKES[request.param]())
        yield made


@pytest.fixture
def client_13(server):
    with Client(server.port) as made:
        yield made.handshake(hello_13())


@pytest.fixture
def begun(server):
    """TLS 1.3: the server's flight is here, ours is not sent."""
    with Client(server.port) as made:
        yield made.begin(hello_13())


@pytest.fixture
def begun_12(server):
    with Client(server.port) as made:
        yield made.begin(hello_12())


def right_finished(client):
    return message(tls.FINISHED, finished(client.suite, client.ours, client.transcript))


# --- The client's Finished, TLS 1.3 (§4.4.4) ---

FINISHED = {
    "a wrong one": (lambda good: good[:10] + bytes([good[10] ^ 1]) + good[11:], [DECRYPT]),
    "one of zeros": (lambda good: message(tls.FINISHED, bytes(len(good) - 4)), [DECRYPT]),
    "an empty one": (lambda good: message(tls.FINISHED, b""), [DECODE, DECRYPT]),
    "one octet less": (lambda good: message(tls.FINISHED, good[4:-1]), [DECODE, DECRYPT]),
    "one octet more": (lambda good: message(tls.FINISHED, good[4:] + b"\0"), [DECODE, DECRYPT]),
    "a key update instead": (lambda good: message(tls.KEY_UPDATE, b"\0"), [UNEXPECTED]),
    "a certificate that nobody asked for": (lambda good: message(tls.CERTIFICATE, u8(b"") + b"\0\0\0"), [UNEXPECTED]),
    "a proof that nobody asked for": (lambda good: message(tls.CERTIFICATE_VERIFY, b"\4\3" + u16(bytes(70))), [UNEXPECTED]),
    "the end of early data": (lambda good: message(tls.END_OF_EARLY_DATA, b""), [UNEXPECTED]),
    "a hello": (lambda good: hello_13().message(), [UNEXPECTED]),
    "a message of no known type": (lambda good: message(99, b"abc"), [UNEXPECTED]),
    "itself with more behind in its record (§5.1)": (lambda good: good + message(tls.KEY_UPDATE, b"\0"), [UNEXPECTED]),
}


@pytest.mark.parametrize("what", FINISHED)
def test_what_stands_in_finisheds_place(begun, what):
    make, right = FINISHED[what]
    begun.put(HANDSHAKE, make(right_finished(begun)))
    got = tls.Raw.outcome(after_13(begun))
    assert got.said in right, got.said


def after_13(client):
    """The server has sent its Finished: its alerts come under the keys of the application's data (§A.2)."""
    client.incoming = type(client.incoming)(client.suite, client.traffic[1])
    client.open = client.incoming.open
    return client


@pytest.mark.parametrize("what", ["data", "clear", "mac", "alert", "heartbeat", "zeros", "nothing", "inner", "overflow"])
def test_records_in_finisheds_place(begun, what):
    """§5.1, §5.2, §5.4."""
    good, right = right_finished(begun), [UNEXPECTED]
    keys = begun.outgoing
    if what == "data":
        begun.put(DATA, REQUEST)
    elif what == "clear":
        begun.send(record(HANDSHAKE, good))
        right = [UNEXPECTED, MAC, DECODE]
    elif what == "mac":
        sealed = begun.record(HANDSHAKE, good)
        begun.send(sealed[:-1] + bytes([sealed[-1] ^ 1]))
        right = [MAC]
    elif what == "alert":
        begun.put(ALERT, b"")
        right = [UNEXPECTED, DECODE]
    elif what == "heartbeat":
        begun.put(tls.HEARTBEAT, b"\1\x40\0" + bytes(16))
    elif what == "zeros":
        begun.send(keys.seal_inner(bytes(40)))
        right = [UNEXPECTED, MAC]
    elif what == "nothing":
        begun.put(HANDSHAKE, b"")
        right = [UNEXPECTED, DECODE]
    elif what == "inner":
        begun.put(CCS, b"\1")
    else:
        begun.send(record(DATA, os.urandom((1 << 14) + 257)))
        right = [OVERFLOW]
    got = tls.Raw.outcome(after_13(begun))
    assert got.said in right, got.said


@pytest.mark.parametrize("size", [1, 2, 4, 5, 20])
def test_finished_in_many_records(begun, size):
    begun.put(HANDSHAKE, right_finished(begun), size)
    after_13(begun)
    begun.outgoing = type(begun.outgoing)(begun.suite, begun.traffic[0])
    begun.seal = begun.outgoing.seal
    begun.after = lambda kind, body: None
    assert begun.good()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_change_cipher_spec_is_passed_over_in_1_3(server, count):
    """Appendix D.4: after the hello, before Finished."""
    with Client(server.port) as made:
        made.begin(hello_13())
        for _ in range(count):
            made.send(record(CCS, b"\1"))
        assert made.finish().good()


@pytest.mark.parametrize("data", [b"\2", b"\0", b"\1\1", b""])
def test_another_change_cipher_spec_is_refused(begun, data):
    """§5: one octet of value 1, else unexpected_message."""
    begun.send(record(CCS, data))
    got = tls.Raw.outcome(after_13(begun))
    assert got.said in (UNEXPECTED, DECODE, ILLEGAL, MAC), got.said


def test_change_cipher_spec_after_the_handshake(client_13):
    """§5: after the peer's Finished: unexpected_message."""
    client_13.send(record(CCS, b"\1"))
    assert client_13.outcome().said == UNEXPECTED


# --- Behind the handshake ---

def test_a_request_in_any_pieces(client):
    """An octet a record, two in one segment, and a request split at each place."""
    client.put(DATA, REQUEST, 1)
    assert " 200 " in client.hear()[0]
    client.put(DATA, REQUEST * 5, 7)
    for _ in range(5):
        assert " 200 " in client.hear()[0]
    for at in range(1, len(REQUEST)):
        client.send(client.record(DATA, REQUEST[:at]))
        client.send(client.record(DATA, REQUEST[at:]))
        assert client.hear()[1] == b"hello\n"


def test_empty_data_is_nothing(client):
    """§5.1, RFC 5246 §6.2.1: zero-length fragments of application data are legal."""
    for at in range(0, len(REQUEST), 9):
        client.send(client.record(DATA, b"") + client.record(DATA, REQUEST[at:at + 9]) + client.record(DATA, b""))
    assert " 200 " in client.hear()[0]


@pytest.mark.parametrize("padding", [1, 255, 5000, 16000])
def test_padding_is_nothing(client_13, padding):
    """§5.4."""
    client_13.send(client_13.outgoing.seal_inner(REQUEST + b"\x17" + bytes(padding)))
    assert " 200 " in client_13.hear()[0]
    client_13.send(client_13.outgoing.seal_inner(b"\x17" + bytes(padding)))
    assert client_13.good()


def test_full_records(client):
    """2^14 octets of content is the most (§5.1), and may be."""
    client.put(DATA, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + (b"X-A: " + b"b" * 900 + b"\r\n") * 15 + b"\r\n")
    assert client.hear()[0].split(" ")[1] == "200"
    client.send(client.record(DATA, (REQUEST + b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"b" * 16000)[:1 << 14]))
    assert client.hear()[1] == b"hello\n"


BROKEN = {
    "a wrong authentication tag": (lambda c: (lambda s: s[:-1] + bytes([s[-1] ^ 1]))(c.record(DATA, REQUEST)), [MAC]),
    "wrong ciphertext": (lambda c: (lambda s: s[:20] + bytes([s[20] ^ 1]) + s[21:])(c.record(DATA, REQUEST)), [MAC]),
    "a record left out": (lambda c: c.record(DATA, REQUEST)[:0] + c.record(DATA, REQUEST), [MAC]),
    "a record twice": (lambda c: c.record(DATA, REQUEST[:9]) * 2, [MAC]),
    "random octets": (lambda c: record(DATA, os.urandom(60)), [MAC]),
    "too few octets for a tag": (lambda c: record(DATA, b"\0" * 12), [MAC, DECODE, UNEXPECTED]),
    "no octets": (lambda c: record(DATA, b""), [MAC, DECODE, UNEXPECTED]),
    "text in the clear": (lambda c: record(DATA, REQUEST), [MAC]),
    "more than a record holds": (lambda c: record(DATA, os.urandom((1 << 14) + 2049)), [OVERFLOW]),
    "65,535 octets": (lambda c: record(DATA, os.urandom(65535)), [OVERFLOW]),
    "a heartbeat": (lambda c: c.record(tls.HEARTBEAT, b"\1\x40\0" + bytes(16)), [UNEXPECTED]),
    "a heartbeat that lies of its length (CVE-2014-0160)": (lambda c: c.record(tls.HEARTBEAT, b"\1\xff\xff"), [UNEXPECTED]),
    "an unknown content type": (lambda c: c.record(33, b"abc"), [UNEXPECTED]),
    "half an alert": (lambda c: c.record(ALERT, b"\2"), [UNEXPECTED, DECODE]),
    "Finished again": (lambda c: c.record(HANDSHAKE, message(tls.FINISHED, bytes(32 if c.version == tls.TLS13 else 12))), [UNEXPECTED]),
    "a certificate": (lambda c: c.record(HANDSHAKE, message(tls.CERTIFICATE, bytes(4))), [UNEXPECTED]),
    "a server's hello": (lambda c: c.record(HANDSHAKE, message(tls.SERVER_HELLO, bytes(60))), [UNEXPECTED]),
    "a ticket": (lambda c: c.record(HANDSHAKE, message(tls.TICKET, bytes(60))), [UNEXPECTED]),
    "a message of no known type": (lambda c: c.record(HANDSHAKE, message(99, b"abc")), [UNEXPECTED]),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_record_gets_its_alert(client, what):
    make, right = BROKEN[what]
    client.send(make(client))
    got = client.outcome()
    assert got.said in right, got.said
    assert not got.data


BROKEN_13 = {
    # §5.4 says unexpected_message; GnuTLS 3.7 takes it for a record that cannot be read
    "nothing but padding": (lambda c: c.outgoing.seal_inner(bytes(100)), [UNEXPECTED, MAC]),
    "an empty alert": (lambda c: c.record(ALERT, b""), [UNEXPECTED, DECODE]),
    "an inner plaintext of no octets": (lambda c: c.outgoing.seal_inner(b""), [UNEXPECTED, MAC]),
    "2^14 + 1 octets of content (§5.4)": (lambda c: c.outgoing.seal_inner(bytes((1 << 14) + 1) + b"\x17"), [OVERFLOW]),
    "2^14 + 2 octets with padding": (lambda c: c.outgoing.seal_inner(b"a\x17" + bytes(1 << 14)), [OVERFLOW]),
    "a record of 2^14 + 257 octets (§5.2)": (lambda c: record(DATA, os.urandom((1 << 14) + 257)), [OVERFLOW]),
    "encrypted ChangeCipherSpec (§5)": (lambda c: c.record(CCS, b"\1"), [UNEXPECTED]),
    "a record that says handshake without": (lambda c: c.outgoing.seal_inner(REQUEST + b"\x17", outer=HANDSHAKE), [UNEXPECTED, MAC]),
    "a hello (§4.1.2: no renegotiation)": (lambda c: c.record(HANDSHAKE, hello_13().message()), [UNEXPECTED]),
    "the end of early data": (lambda c: c.record(HANDSHAKE, message(tls.END_OF_EARLY_DATA, b"")), [UNEXPECTED]),
    "a request to update of 2 (§4.6.3)": (lambda c: c.record(HANDSHAKE, message(tls.KEY_UPDATE, b"\2")), [ILLEGAL]),
    "an update of no octets": (lambda c: c.record(HANDSHAKE, message(tls.KEY_UPDATE, b"")), [DECODE]),
    "an update of two octets": (lambda c: c.record(HANDSHAKE, message(tls.KEY_UPDATE, b"\0\0")), [DECODE]),
    "data within an update (§5.1)": (lambda c: c.record(HANDSHAKE, message(tls.KEY_UPDATE, b"\0")[:2]) + c.record(DATA, b"x"),
                                     [UNEXPECTED]),
    "a message of 2^24 - 1 octets": (lambda c: b"".join(c.record(HANDSHAKE, (b"" if n else b"\4\xff\xff\xff") + bytes(16000))
        for n in range(20)), [UNEXPECTED, DECODE, ILLEGAL, OVERFLOW]),
}


@pytest.mark.parametrize("what", BROKEN_13)
def test_a_broken_record_of_1_3_gets_its_alert(client_13, what):
    make, right = BROKEN_13[what]
    client_13.send(make(client_13))
    got = client_13.outcome()
    assert got.said in right, got.said


@pytest.mark.parametrize("size", [1 << 14, 1, 3])
def test_a_key_update_is_obeyed(client_13, size):
    """§4.6.3, in one record or many."""
    assert client_13.good()
    client_13.put(HANDSHAKE, message(tls.KEY_UPDATE, b"\0"), size)
    client_13.outgoing = client_13.outgoing.updated()
    client_13.seal = client_13.outgoing.seal
    assert client_13.good() and client_13.updates == 0


def test_a_key_update_is_answered(client_13):
    """Before the next data, when that is asked for."""
    for turn in range(1, 4):
        client_13.update(1)
        assert client_13.good() and client_13.updates == turn


def test_several_updates_between_data(client_13):
    for turn in range(6):
        client_13.update(turn % 2)
        assert client_13.good()
    assert client_13.updates == 3


def test_a_flood_of_updates_is_survived(server, client_13):
    """Ten thousand that each ask for an answer that nobody reads: the server ends it or goes on, and holds no memory for it."""
    for _ in range(10000):
        if not client_13.update(1):
            break
    client_13.close()
    with Client(server.port) as other:
        assert other.handshake().good()


def test_a_flood_of_empty_records_is_survived(server, client):
    """They cost the client as much as the server; either is good: to go on, or an alert."""
    for _ in range(300):
        if not client.send(b"".join(client.record(DATA, b"") for _ in range(30))):
            break
    client.close()
    with Client(server.port) as other:
        assert other.handshake().good()


# --- Alerts and ends (§6) ---

def test_close_notify_is_answered(client):
    """§6.1: what was asked before is answered, then close_notify, then the end."""
    client.put(DATA, REQUEST)
    client.bye()
    got = client.outcome()
    assert b"200 OK" in got.data and got.data.endswith(b"hello\n")
    assert [str(one) for one in got.alerts] == ["warning close_notify"] and got.ended in ("fin", "reset")


def test_close_notify_on_an_idle_connection(client):
    assert client.good()
    client.bye()
    got = client.outcome()
    assert [str(one) for one in got.alerts] == ["warning close_notify"] and got.ended in ("fin", "reset")


def test_connection_close_ends_with_close_notify(client):
    """A body's end is told apart from truncation."""
    client.put(DATA, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    got = client.outcome()
    assert got.data.endswith(b"hello\n")
    assert [str(one) for one in got.alerts] == ["warning close_notify"] and got.ended in ("fin", "reset")


def test_a_refusal_ends_with_close_notify(client):
    client.put(DATA, b"NONSENSE\r\n\r\n")
    got = client.outcome()
    assert got.data.startswith(b"HTTP/1.1 400 ")
    assert [str(one) for one in got.alerts] == ["warning close_notify"] and got.ended in ("fin", "reset")


@pytest.mark.parametrize("description", [10, 20, 40, 80, 49, 255])
def test_a_fatal_alert_ends_it(client, description):
    """§6.2: closes at once, sends nothing more but at most an alert."""
    client.put(ALERT, alert(description))
    got = client.outcome()
    assert got.ended in ("fin", "reset") and not got.data


def test_a_cut_connection_is_no_request(client):
    """TCP's end without close_notify: no answer is owed to half a request, nothing breaks."""
    client.put(DATA, REQUEST[:20])
    client.half_close()
    got = client.outcome()
    assert got.ended in ("fin", "reset")
    assert not got.data or got.data.startswith(b"HTTP/1.1 400") or got.data.startswith(b"HTTP/1.1 408")


def test_user_canceled_is_no_error(client_13):
    """§6.1: it is followed by close_notify."""
    client_13.put(ALERT, alert(90, 1))
    client_13.bye()
    assert client_13.outcome().ended in ("fin", "reset")


@pytest.mark.parametrize("what", ["in the hello", "behind the hello", "before Finished"])
@pytest.mark.parametrize("make", MAKES)
def test_a_client_that_leaves(server, make, what):
    """By FIN and by RST: no complaint, the next one is served."""
    for leave in ("close", "reset"):
        with Client(server.port) as made:
            one = MAKES[make]()
            if what == "in the hello":
                made.send(record(HANDSHAKE, one.message(), tls.TLS10)[:60])
            elif what == "behind the hello":
                made.offer(one)
            else:
                made.begin(one)
            getattr(made, leave)()
    with Client(server.port) as made:
        assert made.handshake().good()


# --- TLS 1.2 ---

POINTS = {
    "an empty point": (b"", [DECODE, ILLEGAL]), "a point cut": (b"\x20" + b"\7" * 20, [DECODE, ILLEGAL]),
    "nothing": (None, [DECODE, ILLEGAL]), "a point of zeros": (u8(bytes(32)), [ILLEGAL, "handshake_failure"]),
    "more behind": (u8(b"\7" * 32) + b"\0", [DECODE, ILLEGAL]), "a longer point": (u8(b"\7" * 33), [DECODE, ILLEGAL]),
}


@pytest.mark.parametrize("what", POINTS)
def test_a_bad_client_key_exchange(begun_12, what):
    """RFC 8422 §5.11, RFC 7748 §6.1."""
    assert begun_12.shared[0] == tls.X25519
    data, right = POINTS[what]
    begun_12.say(tls.CLIENT_KEY_EXCHANGE, u8(b"")[:0] if data is None else data if what != "an empty point" else b"\0")
    got = begun_12.outcome()
    assert got.said in right, got.said


def test_a_point_off_the_curve(server):
    with Client(server.port) as made:
        made.begin(hello_12(groups=(tls.P256,)))
        made.say(tls.CLIENT_KEY_EXCHANGE, u8(b"\4" + b"\7" * 64))
        assert made.outcome().said in (ILLEGAL, DECODE, "handshake_failure")


ORDER_12 = {
    "ChangeCipherSpec too early (CVE-2014-0224)": lambda c: c.send(record(CCS, b"\1")),
    "Finished too early": lambda c: c.say(tls.FINISHED, bytes(12)),
    "a hello again": lambda c: c.put(HANDSHAKE, hello_12().message()),
    "a certificate that nobody asked for": lambda c: c.say(tls.CERTIFICATE, bytes(3)),
    "a server's message": lambda c: c.say(tls.SERVER_HELLO_DONE, b""),
    "data": lambda c: c.put(DATA, REQUEST),
    "the key exchange twice": lambda c: (c.exchange_12(), c.exchange_12()),
    "a proof without a certificate": lambda c: (c.exchange_12(), c.say(tls.CERTIFICATE_VERIFY, b"\4\3" + u16(bytes(70)))),
    "Finished without ChangeCipherSpec": lambda c: (c.exchange_12(), c.say(tls.FINISHED, bytes(12))),
    "data behind the key exchange": lambda c: (c.exchange_12(), c.put(DATA, REQUEST)),
    "data behind ChangeCipherSpec": lambda c: (c.exchange_12(), c.change_12(), c.put(DATA, REQUEST)),
    "ChangeCipherSpec twice": lambda c: (c.exchange_12(), c.send(record(CCS, b"\1") * 2)),
}


@pytest.mark.parametrize("what", ORDER_12)
def test_messages_of_1_2_out_of_order(begun_12, what):
    """RFC 5246 §7.3, §10: unexpected_message. What cannot be decrypted in its place may be a bad record instead."""
    ORDER_12[what](begun_12)
    got = begun_12.outcome()
    assert got.said in ([UNEXPECTED, MAC] if "ChangeCipherSpec twice" in what else [UNEXPECTED]), got.said


FINISHED_12 = {"of zeros": (bytes(12), [DECRYPT]), "empty": (b"", [DECODE, DECRYPT]), "short": (bytes(11), [DECODE, DECRYPT]),
               "long": (bytes(13), [DECODE, DECRYPT])}


@pytest.mark.parametrize("what", FINISHED_12)
def test_a_wrong_finished_of_1_2(begun_12, what):
    data, right = FINISHED_12[what]
    begun_12.exchange_12()
    begun_12.change_12()
    begun_12.say(tls.FINISHED, data)
    got = begun_12.outcome()
    assert got.said in right, got.said


def test_a_finished_of_1_2_with_a_wrong_tag(begun_12):
    begun_12.exchange_12()
    begun_12.change_12()
    sealed = begun_12.record(HANDSHAKE, message(tls.FINISHED, bytes(12)))
    begun_12.send(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert begun_12.outcome().said == MAC


@pytest.mark.parametrize("secure", [True, False])
def test_renegotiation_is_refused(server, secure):
    """A client's second hello: no_renegotiation and the connection goes on or ends, or a fatal alert; never a second handshake."""
    with Client(server.port) as made:
        made.handshake(hello_12() if secure else hello_12().drop(tls.RENEGOTIATION))
        again = hello_12()
        made.put(HANDSHAKE, (again if secure else again.drop(tls.RENEGOTIATION)).message())
        try:
            kind, payload = made.read()
        except tls.Gone as gone:
            pytest.fail(f"no alert, but {gone.how}")
        assert kind == ALERT, (kind, payload[:40])
        assert payload in (alert(100, 1), alert(100), alert(40), alert(10)), payload


def test_a_hello_request_of_the_client(server):
    """RFC 5246 §7.4.1.1: only servers send it."""
    with Client(server.port) as made:
        made.handshake(hello_12())
        made.put(HANDSHAKE, message(0, b""))
        assert made.outcome().said == UNEXPECTED


@pytest.mark.parametrize("name", ["renegotiation", "scsv", "none"])
def test_secure_renegotiation_is_told(server, name):
    """RFC 5746 §3.6: an empty renegotiation_info for the extension or the SCSV, none without."""
    one = hello_12() if name == "renegotiation" else hello_12().drop(tls.RENEGOTIATION)
    if name == "scsv":
        one = one.but(suites=(*one.suites, tls.EMPTY_RENEGOTIATION_SCSV))
    with Client(server.port) as made:
        made.handshake(one)
        assert made.extensions.get(tls.RENEGOTIATION) == (None if name == "none" else b"\0")


# --- What was agreed ---

def test_extended_master_secret(server):
    """RFC 7627: agreed when offered."""
    for ems in (True, False):
        with Client(server.port) as made:
            assert made.handshake(hello_12(ems=ems)).ems is ems and made.good()


def test_downgrades_are_marked(server):
    """§4.1.3: a server that knows 1.3 marks its random when it agrees to 1.2."""
    with Client(server.port) as made:
        assert made.handshake(hello_12()).random.endswith(b"DOWNGRD\1")
    with Client(server.port) as made:
        assert not made.handshake(hello()).random.endswith((b"DOWNGRD\1", b"DOWNGRD\0"))


def test_randoms_and_shares_are_fresh(server):
    seen = set()
    for make in (hello, hello_12):
        for _ in range(5):
            with Client(server.port) as made:
                made.begin(make())
                seen |= {made.random, made.extensions.get(tls.KEY_SHARE) or made.shared[1]}
    assert len(seen) == 20


@pytest.mark.parametrize("limit", [64, 300, 1000, 16385])
def test_record_size_limit_is_kept(server, limit):
    """RFC 8449 §4: where the server takes it up, none of its records is longer."""
    (server.root / "long.txt").write_bytes(b"x" * 50000)
    with Client(server.port) as made:
        made.handshake(hello_13().set(tls.RECORD_SIZE, limit.to_bytes(2, "big")))
        head, body = made.ask("/long.txt")
        assert body == b"x" * 50000, head
        assert tls.RECORD_SIZE not in made.extensions or max(made.records[-20:]) <= limit + 16


def test_records_are_small_first_and_large_later(server):
    """The first octets can be used when the first packet is there; a long body costs few records."""
    (server.root / "long.bin").write_bytes(bytes(3 << 20))
    with Client(server.port) as made:
        made.handshake(hello_13())
        made.records.clear()
        assert len(made.ask("/long.bin")[1]) == 3 << 20
        data = [size for size in made.records if size > 300]
        assert data[0] < 5000 and max(data) > 16000
        assert len(data) < 500
    assert max(data) <= (1 << 14) + 256


# --- Tickets that are wrong (§4.2.11) ---

@pytest.fixture(scope="module")
def session(server):
    with Client(server.port) as made:
        assert made.handshake(hello_13()).good()
        if not made.sessions:
            made.good()
        return made.sessions[-1]


def test_the_session_is_resumed(server, session):
    with resume(server.port, session) as made:
        assert made.resumed and made.good()


def test_a_wrong_binder(server, session):
    with Client(server.port) as made:
        made.put(HANDSHAKE, resuming(hello_13(), session, binder=bytes(len(session.secret))).message())
        assert made.outcome().said in (DECRYPT, ILLEGAL)


def test_a_binder_of_another_length(server, session):
    with Client(server.port) as made:
        made.put(HANDSHAKE, resuming(hello_13(), session, binder=bytes(40)).message())
        assert made.outcome().said in (DECRYPT, ILLEGAL, DECODE)


@pytest.mark.parametrize("make", [lambda t: bytes(len(t)), lambda t: t[:-1] + bytes([t[-1] ^ 1]), lambda t: t[:20],
                                  lambda t: b"x", lambda t: bytes([t[0] ^ 1]) + t[1:]])
def test_a_forged_ticket_is_a_full_handshake(server, session, make):
    """Not an error: whoever has an old ticket is served."""
    forged = type(session)(**{**session.__dict__, "ticket": make(session.ticket)})
    with resume(server.port, forged) as made:
        assert not made.resumed and made.certificates and made.good()


def test_two_identities_and_one_binder(server, session):
    one = resuming(hello_13(), session)
    data = one.get(tls.PSK)
    entry = data[2:2 + int.from_bytes(data[:2], "big")]
    with Client(server.port) as made:
        made.put(HANDSHAKE, one.set(tls.PSK, u16(entry * 2) + data[2 + len(entry):]).message())
        assert made.outcome().said in (ILLEGAL, DECODE, DECRYPT)


def test_psk_without_a_fresh_key_is_not_agreed(server, session):
    """Only psk_dhe_ke: with psk_ke alone it is a full handshake."""
    one = hello_13().set(tls.PSK_MODES, u8(b"\0"))
    with Client(server.port) as made:
        assert made.handshake(one, session).certificates and not made.resumed


def test_early_data_is_not_offered_and_not_taken(server, session):
    """No ticket allows it; what comes nevertheless is skipped or refused, never answered (§4.2.10)."""
    assert session.early == 0
    with Client(server.port) as made:
        one = resuming(hello_13().set(tls.EARLY_DATA, b""), session)
        made.put(HANDSHAKE, one.message())
        for _ in range(3):
            made.send(record(DATA, os.urandom(100)))
        got = tls.Raw.outcome(made, seconds=3)
        assert b"HTTP/" not in got.data
        assert all(one.name in (UNEXPECTED, MAC) for one in got.alerts)
