# SPDX-License-Identifier: BSD-2-Clause
"""Hellos, good and bad: each good one is answered by a handshake, each bad one by the fatal alert that the RFC names and then by the end,
never by silence, never by close_notify."""
import os
import random
import struct

import pytest

import tlsraw as tls
from secure import Secure
from tlskeys import Client
from tlsraw import HANDSHAKE, answer, answer_raw, hello, hello_12, hello_13, message, record, u8, u16, words


@pytest.fixture(scope="module")
def server():
    with Secure() as made:
        yield made


def cut(one, count):
    """A hello whose message ends early, its length being that of what is left."""
    return message(tls.CLIENT_HELLO, one.body()[:-count])


def body_to(one, what):
    """A hello that ends right before (or within) its session id, suites, compression methods, extensions."""
    ends = {"version": 1, "random": 20, "session": 34, "within session": 34 + 1 + len(one.session) // 2}
    ends["suites"] = 35 + len(one.session)
    ends["within suites"] = ends["suites"] + 3
    ends["compression"] = ends["suites"] + 2 + 2 * len(one.suites)
    ends["within compression"] = ends["compression"] + 1
    ends["within extensions' length"] = ends["compression"] + len(one.compression) + 2
    ends["within extensions"] = ends["within extensions' length"] + 7
    return message(tls.CLIENT_HELLO, one.body()[:ends[what]])


def twice(one, kind):
    return one.but(extensions=[*one.extensions, (kind, one.get(kind))])


def first(one, kind, data):
    return one.but(extensions=[(kind, data), *one.extensions])


DECODE, ILLEGAL, UNEXPECTED = "decode_error", "illegal_parameter", "unexpected_message"
FAILURE, MISSING, VERSION, OVERFLOW = "handshake_failure", "missing_extension", "protocol_version", "record_overflow"
BAD_KEYS = {
    "x25519 of zeros": (tls.X25519, bytes(32)), "x25519 of one": (tls.X25519, b"\1" + bytes(31)),
    "x25519 too short": (tls.X25519, b"\7" * 31), "x25519 too long": (tls.X25519, b"\7" * 33),
    "p256 off the curve": (tls.P256, b"\4" + b"\7" * 64), "p256 compressed": (tls.P256, b"\2" + b"\7" * 32),
    "p256 at infinity": (tls.P256, b"\0"), "p256 too short": (tls.P256, b"\4" + b"\7" * 60),
    "p256 too long": (tls.P256, b"\4" + b"\7" * 68), "p256 of p384": (tls.P256, tls.share(tls.P384)[0]),
}
EMPTY_BINDER = u16(u16(b"x" * 32) + bytes(4))

# What is wrong with it: the hello (made when the case runs), and which alerts are right (RFC 8446 unless said).
BAD = {
    # Lengths: §6.2, decode_error
    **{f"cut before or within its {what}": (lambda make=make, what=what: body_to(make(), what), [DECODE])
       for what in ("version", "random", "session", "within session", "suites", "within suites", "compression",
                    "within extensions' length", "within extensions") for make in (hello,)},
    **{f"1.2, cut: {what}": (lambda what=what: body_to(hello_12(), what), [DECODE])
       for what in ("random", "session", "within suites", "within compression", "within extensions")},
    "one octet less": (lambda: cut(hello(), 1), [DECODE]),
    "no body": (lambda: message(1, b""), [DECODE]),
    "one octet more": (lambda: message(1, hello().body() + b"\0"), [DECODE]),
    "two extension blocks": (lambda: message(1, hello().body() + b"\0\0"), [DECODE]),
    "no suites": (lambda: hello().but(suites=b""), [DECODE, ILLEGAL]),
    "half a suite": (lambda: hello().but(suites=words(tls.SUITES_13) + b"\x13"), [DECODE]),
    "no compression methods": (lambda: hello().but(compression=b""), [DECODE, ILLEGAL]),
    "a session id of 33 octets": (lambda: hello().but(session=b"x" * 33), [DECODE, ILLEGAL]),
    "a session id of 255 octets": (lambda: hello().but(session=b"x" * 255), [DECODE, ILLEGAL]),
    "half an extension's head": (lambda: hello().but(extensions=b"\0\x10\0"), [DECODE]),
    "an extension past the block": (lambda: hello().but(extensions=struct.pack(">HH", 999, 4) + b"abc"), [DECODE]),
    # Compression: §4.1.2
    "1.3 with compression": (lambda: hello_13().but(compression=b"\1\0"), [ILLEGAL]),
    "1.3 without the null method": (lambda: hello_13().but(compression=b"\1"), [ILLEGAL, DECODE]),
    "1.2 without the null method (RFC 5246 §7.4.1.2)": (lambda: hello_12().but(compression=b"\1\2"), [ILLEGAL, FAILURE, DECODE]),
    # Versions: §4.2.1, RFC 5246 E.1
    "SSL 3.0": (lambda: hello_12().but(version=tls.SSL3), [VERSION]),
    "TLS 1.0": (lambda: hello_12().but(version=tls.TLS10), [VERSION]),
    "TLS 1.1": (lambda: hello_12().but(version=tls.TLS11), [VERSION]),
    "version 0.0": (lambda: hello_12().but(version=0), [VERSION]),
    "version 2.0": (lambda: hello_12().but(version=0x0200), [VERSION]),
    "only TLS 1.1 and 1.0 supported": (lambda: hello(versions=(tls.TLS11, tls.TLS10)).set(tls.VERSIONS, u8(words(
        (tls.TLS11, tls.TLS10)))).but(version=tls.TLS12), [VERSION]),
    "only unknown versions supported": (lambda: hello().set(tls.VERSIONS, u8(words((0x7F1C, 0x0305, 0x0A0A)))), [VERSION]),
    "no versions in supported_versions": (lambda: hello().set(tls.VERSIONS, u8(b"")), [DECODE, VERSION]),
    "supported_versions empty": (lambda: hello().set(tls.VERSIONS, b""), [DECODE, VERSION]),
    "half a version": (lambda: hello().set(tls.VERSIONS, u8(b"\3\4\3")), [DECODE, VERSION]),
    "supported_versions with more behind": (lambda: hello().set(tls.VERSIONS, u8(b"\3\4") + b"\0"), [DECODE, VERSION]),
    # RFC 7507
    "fallback to 1.2": (lambda: hello_12(suites=(*tls.SUITES_12, tls.FALLBACK_SCSV)), ["inappropriate_fallback"]),
    "fallback to 1.2, said first": (lambda: hello_12(suites=(tls.FALLBACK_SCSV, *tls.SUITES_12)), ["inappropriate_fallback"]),
    "fallback to 1.1": (lambda: hello_12(suites=(*tls.SUITES_12, tls.FALLBACK_SCSV)).but(version=tls.TLS11),
                        ["inappropriate_fallback", VERSION]),
    # Nothing in common: §4.1.1
    "no suite in common": (lambda: hello_13(suites=(0x1304, 0x1305)), [FAILURE]),
    "unknown suites only": (lambda: hello(suites=(0x0A0A, 0xFAFA, 0x1234)), [FAILURE]),
    "no group in common": (lambda: hello_13(groups=(tls.X448, 0x0A0A), shared=()), [FAILURE]),
    "1.2, no group in common (RFC 8422 §5.1)": (lambda: hello_12(groups=(tls.X448, 0x0A0A), shared=()), [FAILURE]),
    "no signature scheme in common": (lambda: hello_13(schemes=(0x0808, 0x0A0A)), [FAILURE]),
    "SHA-1 only": (lambda: hello_13(schemes=(0x0203, 0x0201)), [FAILURE]),
    "1.2, SHA-1 only": (lambda: hello_12(schemes=(0x0203, 0x0201)), [FAILURE]),
    "1.2, PKCS #1 signatures only for an ECDSA suite": (lambda: hello_12(schemes=(tls.PKCS1_256,), suites=(tls.ECDSA_AES128,)),
                                                        [FAILURE]),
    "1.3 with PKCS #1 signatures only (§4.2.3)": (lambda: hello_13(schemes=(tls.PKCS1_256, tls.PKCS1_384)), [FAILURE]),
    # What 1.3 must have: §9.2
    "no supported_groups": (lambda: hello_13().drop(tls.GROUPS), [MISSING]),
    "no key_share": (lambda: hello_13().drop(tls.KEY_SHARE), [MISSING]),
    "neither groups nor shares": (lambda: hello_13().drop(tls.KEY_SHARE, tls.GROUPS), [MISSING]),
    "no signature_algorithms": (lambda: hello_13().drop(tls.SIGNATURES), [MISSING]),
    # Lists: empty, odd, with more behind
    **{f"{name} with {what}": (lambda kind=kind, data=data: hello().set(kind, data), [DECODE])
       for kind, name in ((tls.GROUPS, "supported_groups"), (tls.SIGNATURES, "signature_algorithms"))
       for what, data in (("nothing", b""), ("half an entry", u16(b"\0\x1d\4")), ("more behind", u16(b"\4\3\0\x17") + b"\0"),
                          ("a length too long", b"\0\x08\4\3"))},
    "supported_groups with no entries": (lambda: hello_13().set(tls.GROUPS, u16(b"")), [DECODE, FAILURE]),
    "signature_algorithms with no entries": (lambda: hello_13().set(tls.SIGNATURES, u16(b"")), [DECODE, FAILURE]),
    "psk_key_exchange_modes with nothing": (lambda: hello_13().set(tls.PSK_MODES, b"").set(tls.PSK, EMPTY_BINDER + u16(
        u8(bytes(32)))), [DECODE]),
    # Shares: §4.2.8
    **{f"a share: {name}": (lambda group=group, data=data: hello_13(groups=(group,)).set(tls.KEY_SHARE, tls.shares((group, data))),
                            [ILLEGAL]) for name, (group, data) in BAD_KEYS.items()},
    "a share of nothing": (lambda: hello_13().set(tls.KEY_SHARE, tls.shares((tls.X25519, b""))), [DECODE, ILLEGAL]),
    "key_share of no octets": (lambda: hello_13().set(tls.KEY_SHARE, b""), [DECODE]),
    "key_share cut": (lambda: hello_13().set(tls.KEY_SHARE, u16(b"\0\x1d\0\x20" + b"\7" * 31)), [DECODE]),
    "key_share with more behind": (lambda: hello_13().set(tls.KEY_SHARE, tls.shares((tls.X25519, b"\7" * 32)) + b"\0"),
                                   [DECODE]),
    # pre_shared_key: §4.2.11
    "pre_shared_key not last": (lambda: first(hello_13(), tls.PSK, EMPTY_BINDER + u16(u8(bytes(32)))), [ILLEGAL]),
    "pre_shared_key without modes (§4.2.9)": (lambda: hello_13().drop(tls.PSK_MODES).set(tls.PSK, EMPTY_BINDER + u16(
        u8(bytes(32)))), [MISSING, ILLEGAL, FAILURE, "unsupported_extension"]),
    "pre_shared_key cut": (lambda: hello_13().set(tls.PSK, EMPTY_BINDER), [DECODE]),
    "pre_shared_key without identities": (lambda: hello_13().set(tls.PSK, u16(b"") + u16(u8(bytes(32)))), [DECODE, ILLEGAL]),
    # §4.2: no type twice in a block
    **{f"{name} twice": (lambda kind=kind: twice(hello(), kind), [ILLEGAL, DECODE, "unsupported_extension"])
       for kind, name in ((tls.SERVER_NAME, "server_name"), (tls.ALPN, "ALPN"), (tls.GROUPS, "supported_groups"), (tls.KEY_SHARE,
           "key_share"), (tls.VERSIONS, "supported_versions"), (tls.SIGNATURES, "signature_algorithms"))},
    # RFC 7301 §3.2, §3.1
    "no protocol in common": (lambda: hello(alpn=("spdy/3", "x")), ["no_application_protocol"]),
    "no protocol in common, 1.2": (lambda: hello_12(alpn=("spdy/3",)), ["no_application_protocol"]),
    "ALPN in another case": (lambda: hello(alpn=("HTTP/1.1",)), ["no_application_protocol"]),
    "ALPN with nothing": (lambda: hello().set(tls.ALPN, b""), [DECODE]),
    "ALPN with no entries": (lambda: hello().set(tls.ALPN, u16(b"")), [DECODE, ILLEGAL]),
    "ALPN with an empty entry": (lambda: hello().set(tls.ALPN, tls.protocols("", "http/1.1")), [DECODE, ILLEGAL]),
    "ALPN with an entry past its end": (lambda: hello().set(tls.ALPN, u16(b"\x09http/1.1")), [DECODE]),
    "ALPN with more behind": (lambda: hello().set(tls.ALPN, tls.protocols("http/1.1") + b"\0"), [DECODE]),
    # RFC 6066 §3
    "server_name with nothing": (lambda: hello().set(tls.SERVER_NAME, b""), [DECODE]),
    "server_name with no entries": (lambda: hello().set(tls.SERVER_NAME, u16(b"")), [DECODE]),
    "server_name with an empty name": (lambda: hello().set(tls.SERVER_NAME, tls.names("")), [DECODE]),
    "server_name past its end": (lambda: hello().set(tls.SERVER_NAME, u16(b"\0\0\x10localhost")), [DECODE]),
    "server_name with more behind": (lambda: hello().set(tls.SERVER_NAME, tls.names("localhost") + b"\0"), [DECODE]),
    "server_name with NUL": (lambda: hello().set(tls.SERVER_NAME, tls.names(b"local\0host")), [ILLEGAL, DECODE, "unrecognized_name"]),
    "two names in server_name": (lambda: hello().set(tls.SERVER_NAME, tls.names("localhost", "example.test")), [ILLEGAL, DECODE]),
    # RFC 5746 §3.6, RFC 8422 §5.1.2, RFC 6066 §4, RFC 8449 §4
    "renegotiation_info that is not empty": (lambda: hello_12().set(tls.RENEGOTIATION, u8(b"x" * 12)), [FAILURE]),
    "record_size_limit of 63": (lambda: hello().set(tls.RECORD_SIZE, struct.pack(">H", 63)), [ILLEGAL]),
    "record_size_limit of one octet": (lambda: hello().set(tls.RECORD_SIZE, b"\x40"), [DECODE]),
    "max_fragment_length unknown": (lambda: hello_12().set(tls.MAX_FRAGMENT, b"\x09"), [ILLEGAL]),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_hello_gets_its_alert(server, what):
    make, right = BAD[what]
    got = answer(server.port, make())
    assert got.said in right, f"{what}: {got.said}, after messages {[kind for kind, _ in got.messages]}"
    assert not got.served


# Records in place of a hello: what comes, and which alerts are right.
RECORDS = {
    "no handshake message in the record (§5.1)": (record(HANDSHAKE, b"", tls.TLS10), [UNEXPECTED, DECODE]),
    "a record of 2^14 + 1 octets (§5.1)": (record(HANDSHAKE, b"\1\0\x41\0" + bytes(16381), tls.TLS10), [OVERFLOW]),
    "a record of 65535 octets": (record(HANDSHAKE, b"\1\0\xff\xff" + bytes(65531), tls.TLS10), [OVERFLOW]),
    "application data first": (record(tls.DATA, b"GET / HTTP/1.1\r\n\r\n"), [UNEXPECTED]),
    "ChangeCipherSpec first (§5)": (record(tls.CCS, b"\1"), [UNEXPECTED]),
    "heartbeat first": (record(tls.HEARTBEAT, b"\1\x40\0" + b"x" * 16, tls.TLS10), [UNEXPECTED]),
    **{f"content type {kind}": (record(kind, hello().message(), tls.TLS10), [UNEXPECTED]) for kind in (25, 63)},
    **{f"message {kind} in place of a hello": (record(HANDSHAKE, message(kind, hello().body()), tls.TLS10), [UNEXPECTED])
       for kind in (0, 2, 4, 5, 8, 11, 12, 13, 14, 15, 16, 20, 24, 25, 254)},
    "a message of 2^24 - 1 octets": (record(HANDSHAKE, b"\1\xff\xff\xff" + bytes(1000), tls.TLS10) * 300,
                                     [DECODE, FAILURE, ILLEGAL, UNEXPECTED, OVERFLOW, "internal_error"]),
    "an alert of no octets": (record(tls.ALERT, b"", tls.TLS10), [DECODE, UNEXPECTED]),
    "an alert of three octets": (record(tls.ALERT, b"\2\x28\0", tls.TLS10), [DECODE, UNEXPECTED]),
}


@pytest.mark.parametrize("what", RECORDS)
def test_a_bad_record_gets_its_alert(server, what):
    data, right = RECORDS[what]
    got = answer_raw(server.port, data)
    assert got.said in right, f"{what}: {got.said}"
    assert not got.messages


def test_messages_between_the_parts_of_a_hello(server):
    """RFC 8446 §5.1: nothing stands between the records of one handshake message."""
    whole = hello().message()
    for between in (record(tls.DATA, b"x"), record(tls.CCS, b"\1")):
        got = answer_raw(server.port, record(HANDSHAKE, whole[:100], tls.TLS10) + between + record(HANDSHAKE, whole[100:], tls.TLS10))
        assert got.said == UNEXPECTED, (between[:1], got.said)


def test_a_fatal_alert_ends_it(server):
    """RFC 8446 §6.2: who gets one closes, and says nothing more."""
    got = answer_raw(server.port, record(tls.ALERT, tls.alert(40), tls.TLS10))
    assert not got.messages and got.ended in ("fin", "reset") and len(got.alerts) < 2


# --- Good ones ---

GREASE = (0x0A0A, 0x1A1A, 0xFAFA)


def greased():
    """RFC 8701: unknown values in every list are passed over."""
    one = hello(suites=(GREASE[0], *tls.SUITES_13, *tls.SUITES_12), groups=(tls.X25519, GREASE[1], tls.P256), alpn=(b"\x2a\x2a",
        "http/1.1"), schemes=(GREASE[0], *tls.SCHEMES), versions=(tls.TLS13, tls.TLS12))
    one = one.set(tls.VERSIONS, u8(words((GREASE[2], tls.TLS13, tls.TLS12)))).set(tls.PSK_MODES, u8(b"\x0b\1"))
    one = one.set(tls.KEY_SHARE, tls.shares((GREASE[1], b"\0"), (tls.X25519, tls.share(tls.X25519, one.keys[tls.X25519])[0])))
    return first(one, GREASE[0], b"").set(GREASE[1], b"\0")


GOOD = {
    "as browsers send it": hello,
    "1.3 only": hello_13,
    "1.2 only": hello_12,
    "with unknown values everywhere (RFC 8701)": greased,
    "with an empty session id (§4.1.2)": lambda: hello().but(session=b""),
    "without a name": lambda: hello(name=None),
    "without protocols": lambda: hello(alpn=()),
    "with a name in capitals": lambda: hello(name="LOCALHOST"),
    "with 17 unknown extensions": lambda: hello().but(extensions=[*hello_12().extensions[:0], *[(4000 + n, bytes(n)) for n in range(17)],
        *hello_12().extensions]),
    "padded to 16,000 octets": lambda: hello().set(tls.PADDING, bytes(15500)),
    "padded to 40,000 octets": lambda: hello().set(tls.PADDING, bytes(39500)),
    "with 4,000 unknown suites": lambda: hello(suites=(*range(0x2000, 0x2000 + 4000), *tls.SUITES_13, *tls.SUITES_12)),
    "1.2 with the renegotiation SCSV (RFC 5746)": lambda: hello_12(suites=(*tls.SUITES_12, tls.EMPTY_RENEGOTIATION_SCSV)).drop(
        tls.RENEGOTIATION),
    "1.2 with compression offered beside none": lambda: hello_12().but(compression=b"\1\0"),
    "1.2 that says 3.9 (RFC 8446 §4.1.2)": lambda: hello_12().but(version=0x0309),
    "1.3 with a legacy version of 3.0 or 3.4": lambda: hello_13().but(version=0x0304),
    "with the heartbeat extension": lambda: hello().set(tls.EXT_HEARTBEAT, b"\1"),
    "with encrypt_then_mac": lambda: hello().set(tls.ENCRYPT_THEN_MAC, b""),
    "with status_request of responders": lambda: hello().set(tls.STATUS_REQUEST, b"\1" + u16(u16(b"\xa2\x16\4\x14" + bytes(20))) + u16(b"")),
    "with an unknown status type": lambda: hello().set(tls.STATUS_REQUEST, b"\x09\0\0\0\0"),
    "fallback said with the highest version (RFC 7507)": lambda: hello(suites=(*tls.SUITES_13, *tls.SUITES_12, tls.FALLBACK_SCSV)),
    "with a post-handshake offer": lambda: hello().set(tls.POST_AUTH, b""),
    "with a share of another group first": lambda: hello(groups=(tls.X448, tls.X25519), shared=(tls.X25519,)),
}


@pytest.mark.parametrize("what", GOOD)
def test_a_good_hello_is_served(server, what):
    with Client(server.port) as client:
        assert client.handshake(GOOD[what]()).good()
        assert tls.EXT_HEARTBEAT not in client.extensions and tls.ENCRYPT_THEN_MAC not in client.extensions


@pytest.mark.parametrize("make", [hello, hello_12], ids=["1.3", "1.2"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 17, 64, 200])
def test_a_hello_in_many_records(server, make, size):
    """RFC 8446 §5.1: a message may be in any number of records, its head too."""
    with Client(server.port) as client:
        one = make()
        client.put = lambda kind, payload, pieces=size, put=client.put: put(kind, payload, pieces)
        client.offer(one)
        del client.put
        client.server_hello(client.expect(tls.SERVER_HELLO))
        (client.flight_13 if client.version == tls.TLS13 else client.flight_12)(None)
        assert client.finish().good()


@pytest.mark.parametrize("make", [hello, hello_12], ids=["1.3", "1.2"])
def test_a_hello_octet_by_octet(server, make):
    """TCP may bring it in any pieces."""
    with Client(server.port) as client:
        one = make()
        data = record(HANDSHAKE, one.message(), tls.TLS10)
        client.transcript, client.offered, client.name = one.message(), one, "localhost"
        for at in range(len(data)):
            client.send(data[at:at + 1])
        client.server_hello(client.expect(tls.SERVER_HELLO))
        (client.flight_13 if client.version == tls.TLS13 else client.flight_12)(None)
        assert client.finish().good()


@pytest.mark.parametrize("version", [tls.SSL3, tls.TLS10, tls.TLS11, tls.TLS12, tls.TLS13])
def test_the_version_of_a_hellos_record_is_ignored(server, version):
    """RFC 8446 §5.1: legacy_record_version "MUST be ignored for all purposes"."""
    with Client(server.port) as client:
        client.early_version = version
        assert client.handshake().good()


@pytest.mark.parametrize("version", [0x0000, 0x0100, 0x0400, 0x0A0A, 0xFFFF])
def test_a_record_of_no_tls_is_refused(server, version):
    """Another major version is none that is known: an alert, and the end, or plain words to who speaks HTTP."""
    with tls.Raw(server.port) as raw:
        raw.send(record(HANDSHAKE, hello().message(), version))
        got = raw.outcome()
    assert got.said in (VERSION, UNEXPECTED, DECODE, ILLEGAL, "HTTP/1.1 400"), got.said


# --- A second hello (RFC 8446 §4.1.4, §4.1.2) ---

def retried(server, change, shared=()):
    """What comes to a second hello that `change` made of the right one."""
    with Client(server.port) as client:
        one = hello_13(groups=(tls.X25519, tls.P256), shared=shared)
        client.offer(one)
        again = change(client.retry(one, client.expect(tls.SERVER_HELLO)))
        client.put(HANDSHAKE, again.message() if isinstance(again, tls.Hello) else again)
        return tls.Raw.outcome(client)


def wrong_group(again):
    return again.set(tls.KEY_SHARE, tls.shares((tls.P384, tls.share(tls.P384)[0])))


def other_group(again):
    group = next(iter(again.keys))
    other = tls.P256 if group == tls.X25519 else tls.X25519
    return again.set(tls.KEY_SHARE, tls.shares((other, tls.share(other)[0])))


SECOND = {
    "no shares again": (lambda again: again.set(tls.KEY_SHARE, tls.shares()), [ILLEGAL, FAILURE]),
    "a share of a group that is not supported": (wrong_group, [ILLEGAL, FAILURE]),
    "a share of the other group": (other_group, [ILLEGAL, FAILURE]),
    "no key_share": (lambda again: again.drop(tls.KEY_SHARE), [MISSING, ILLEGAL]),
    "no supported_versions": (lambda again: again.drop(tls.VERSIONS), [ILLEGAL, VERSION, MISSING, FAILURE]),
    "another message": (lambda again: message(tls.FINISHED, bytes(32)), [UNEXPECTED]),
    "a cut one": (lambda again: cut(again, 3), [DECODE]),
}


@pytest.mark.parametrize("what", SECOND)
def test_a_bad_second_hello_gets_its_alert(server, what):
    change, right = SECOND[what]
    got = retried(server, change)
    assert got.said in right, got.said


@pytest.mark.parametrize("groups", [(tls.X25519, tls.P256), (tls.P256,), (tls.P384,)])
def test_a_retry_is_served(server, groups):
    with Client(server.port) as client:
        assert client.handshake(hello_13(groups=groups, shared=())).good()
        assert client.retried and client.group in groups


# --- Mutations (CASES.md: Foreign protocols) ---

def mutated(chance):
    data = bytearray(record(HANDSHAKE, chance.choice((hello, hello_12, hello_13))().message(), tls.TLS10))
    for _ in range(chance.choice((1, 1, 2, 4, 10))):
        at, kind = chance.randrange(len(data)), chance.randrange(5)
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif kind == 2:
            del data[at:at + chance.randint(1, 8)]
        elif kind == 3:
            data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 8)))
        else:
            data = data[:at + 1]
        if not data:
            data = bytearray(b"\x16")
    return bytes(data)


@pytest.mark.parametrize("part", range(8))
def test_four_hundred_mutated_hellos(server, part):
    """A hello goes on, or a single fatal alert and the end; what is cut waits for the rest and is ended with the client."""
    chance = random.Random(1000 + part)
    for _ in range(50):
        data = mutated(chance)
        got = answer_raw(server.port, data, half_close=True)
        assert got.ended in ("fin", "reset"), (got.said, data.hex())
        if got.plain:
            assert got.said == "HTTP/1.1 400" and data[:2] != b"\x16\3", (got.said, data.hex())
        elif not got.served:
            assert len(got.alerts) <= 1 and all(one.level == 2 for one in got.alerts), (got.said, data.hex())
    with Client(server.port) as client:
        assert client.handshake().good()


def test_random_octets_in_a_hello(server):
    """Where the lengths are right, what stands in unknown extensions is nobody's business."""
    for _ in range(20):
        with Client(server.port) as client:
            assert client.handshake(hello().set(0x5A5A, os.urandom(200))).good()
