# SPDX-License-Identifier: BSD-2-Clause
"""Certificates of clients: off, optional, required; whom they let in, what backends are told of them (RFC 9440), what nobody can forge, and
that one name's connection opens nothing at a name with other rules (421)."""
import base64
import json
import struct

import pytest

import certificates
import tlsraw as tls
from certificates import authority, stranger
from proxied import Told
from recorder import Recorder
from secure import Secure
from tlskeys import Client, scheme_for, sign
from tlsraw import hello_12, hello_13, message, u16, u24, u8

MAKES = {"1.3": hello_13, "1.2": hello_12}
CONFIG = """
threads: 2
tls: { certificates: [{ certificate: ecdsa.pem, key: ecdsa.key }] }
upstreams: { backend: { servers: ["127.0.0.1:$backend"] } }
sites:
  - { host: off.test, listen: "https://127.0.0.1:$port", proxy: backend }
  - { host: also-off.test, listen: "https://127.0.0.1:$port", proxy: backend }
  - { host: optional.test, listen: "https://127.0.0.1:$port", proxy: backend, tls: &ask { certificates: { certificate: ecdsa.pem,
      key: ecdsa.key }, client_auth: optional, client_ca: clients.pem } }
  - { host: required.test, listen: "https://127.0.0.1:$port", proxy: backend, tls: { certificates: { certificate: ecdsa.pem,
      key: ecdsa.key }, client_auth: required, client_ca: clients.pem } }
  - { host: others.test, listen: "https://127.0.0.1:$port", proxy: backend, tls: { certificates: { certificate: ecdsa.pem,
      key: ecdsa.key }, client_auth: required, client_ca: others.pem } }
  - { listen: "https://127.0.0.1:$port", proxy: backend }
""".replace("&ask ", "")
FIELDS = ("Client-Cert", "X-Client-Subject", "X-Client-Verify", "Client-Cert-Chain")
SUBJECT = [("COUNTRY_NAME", "DE"), ("ORGANIZATION_NAME", "Wehr, Söhne + Töchter"), ("COMMON_NAME", "me")]
REJECTED = {"bad_certificate", "certificate_unknown", "unknown_ca", "unsupported_certificate", "access_denied"}


@pytest.fixture(scope="module")
def server():
    recorder = Recorder()
    made = Secure(CONFIG, kinds=(), values={"backend": recorder.port})
    made.recorder = recorder
    names = [f"{one}.test" for one in ("off", "also-off", "optional", "required", "others")]
    made.put("ecdsa", authority().issue("localhost", *names))
    certificates.replace(made.folder / "clients.pem", authority().alone)
    certificates.replace(made.folder / "others.pem", stranger().alone)
    with made:
        yield made
    recorder.close()


@pytest.fixture(scope="module")
def me():
    return authority().issue(client=True, subject=SUBJECT, number=600)


@pytest.fixture(params=MAKES)
def make(request):
    return MAKES[request.param]


def told(server, hello, certificate=None, fields=(), host=None):
    with Client(server.port) as client:
        client.handshake(hello, certificate=certificate)
        head, body = client.ask(fields=fields, host=host)
        assert " 200 " in head.split("\r\n")[0], head
        return Told(**json.loads(body))


def refused(server, hello, certificate=None, change=None):
    """The alert that comes once ours was said; nothing came to the backend."""
    server.recorder.take()
    with Client(server.port) as client:
        client.begin(hello)
        assert client.request is not None
        try:
            client.finish(certificate) if change is None else change(client)
            client.put(tls.DATA, b"GET / HTTP/1.1\r\nHost: required.test\r\n\r\n")
        except tls.Alerted as said:
            made = tls.Outcome(alerts=[said])
            made.ended = tls.Raw.outcome(client).ended
        except tls.Gone as gone:
            made = tls.Outcome(ended=gone.how)
        else:
            made = client.outcome()
        assert not made.data
    assert not server.recorder.take()
    return made.said


# --- Who is let in ---

def test_nobody_is_asked_where_it_is_off(server, make):
    for name in ("off.test", "also-off.test", None):
        with Client(server.port) as client:
            assert client.handshake(make(name=name)).request is None and client.good()


def test_optional(server, make, me):
    """Asked; served with one and without."""
    for certificate in (None, me):
        with Client(server.port) as client:
            client.begin(make(name="optional.test"))
            assert client.request is not None
            assert client.finish(certificate).good()


def test_required(server, make, me):
    with Client(server.port) as client:
        assert client.handshake(make(name="required.test"), certificate=me).good()
    said = refused(server, make(name="required.test"))
    assert said == ("certificate_required" if make is hello_13 else "handshake_failure"), said


KINDS = {
    "of another authority": lambda: stranger().issue(client=True, subject="me", number=601),
    "expired": lambda: authority().issue(client=True, begins=-9, ends=-2, number=602),
    "not yet valid": lambda: authority().issue(client=True, begins=2, number=603),
    "of a server": lambda: authority().issue("me.test", number=604),
    "signed by itself": lambda: certificates.Authority.root("me", number=605),
}
SAID = {"expired": REJECTED | {"certificate_expired"}, "not yet valid": REJECTED | {"certificate_expired"}}


@pytest.mark.parametrize("name", ["required.test", "optional.test"])
@pytest.mark.parametrize("what", KINDS)
def test_a_bad_certificate_gets_its_alert(server, make, name, what):
    """Where certificates are optional a bad one is none that is let in either: refused, or served without a name."""
    said = None
    if name == "optional.test":
        with Client(server.port) as client:
            try:
                client.handshake(make(name=name), certificate=KINDS[what]())
                head, body = client.ask()
                fields = Told(**json.loads(body))
                assert not fields.all("Client-Cert") and not fields.all("X-Client-Subject"), head
                return
            except tls.Alerted as alerted:
                said = alerted.name
    else:
        said = refused(server, make(name=name), KINDS[what]())
    assert said in SAID.get(what, REJECTED), said


def test_each_name_has_its_own_authorities(server, make, me):
    theirs = stranger().issue(client=True, subject="them", number=607)
    with Client(server.port) as client:
        assert client.handshake(make(name="others.test"), certificate=theirs).good()
    assert refused(server, make(name="others.test"), me) in REJECTED
    assert refused(server, make(name="required.test"), theirs) in REJECTED


def test_a_chain_of_the_client(server, make):
    between = authority().intermediate("client test intermediate", number=608)
    certificate = between.issue(client=True, subject="chained", number=609)
    assert told(server, make(name="required.test"), certificate).all("X-Client-Subject") == ["CN=chained"]
    alone = certificates.Certificate(certificate.x509, certificate.key)
    assert refused(server, make(name="required.test"), alone) in REJECTED


@pytest.mark.parametrize("kind", ["rsa", "p384", "ed25519"])
def test_other_kinds_of_keys(server, make, kind):
    certificate = authority().issue(client=True, subject=kind, kind=kind)
    assert told(server, make(name="required.test"), certificate).all("X-Client-Subject") == [f"CN={kind}"]


# --- Proofs ---

def certificate_of(client, der):
    if client.version == tls.TLS13:
        client.send(tls.record(tls.CCS, b"\1"))
        client.say(tls.CERTIFICATE, u8(client.request[0]) + u24(b"".join(u24(one) + u16(b"") for one in der)))
    else:
        client.say(tls.CERTIFICATE, u24(b"".join(u24(one) for one in der)))


def steal(client, me, proof):
    """Another's certificate, with a proof by a key of one's own, or without one."""
    client_key = certificates.key_of("ecdsa", 699)
    scheme = scheme_for(client_key)
    if client.version == tls.TLS13:
        certificate_of(client, [me.der])
        if proof:
            data = b" " * 64 + b"TLS 1.3, client CertificateVerify\0" + client.hash()
            client.say(tls.CERTIFICATE_VERIFY, struct.pack(">H", scheme) + u16(sign(client_key, scheme, data)))
        from tlskeys import finished
        ours = client.traffic[0]
        client.say(tls.FINISHED, finished(client.suite, client.ours, client.transcript))
        client.incoming, client.outgoing = (type(client.incoming)(client.suite, one) for one in (client.traffic[1], ours))
        client.open, client.seal = client.incoming.open, client.outgoing.seal
        return
    stolen = certificates.Certificate(me.x509, client_key)
    if proof:
        client.finish_12(stolen)
        return
    without_proof(client, stolen)
    client.change_12()
    from tlskeys import prf
    client.say(tls.FINISHED, prf(client.suite, client.master, b"client finished", client.hash(), 12))


def without_proof(client, certificate):
    certificate_of(client, [certificate.der])
    client.request, kept = None, client.request
    client.exchange_12()
    client.request = kept


def test_a_stolen_certificate(server, make, me):
    """RFC 8446 §4.4.3, RFC 5246 §7.4.8: a proof by another key."""
    for name in ("required.test", "optional.test"):
        said = refused(server, make(name=name), change=lambda client: steal(client, me, True))
        assert said in ("decrypt_error", "illegal_parameter", "bad_certificate"), said


def test_a_certificate_without_a_proof(server, make, me):
    for name in ("required.test", "optional.test"):
        said = refused(server, make(name=name), change=lambda client: steal(client, me, False))
        assert said == "unexpected_message", said


@pytest.mark.parametrize("what", ["random", "empty entry", "cut", "many"])
def test_what_is_no_certificate(server, make, me, what):
    import os

    def change(client):
        if what == "cut":
            client.say(tls.CERTIFICATE, (u8(client.request[0]) if client.version == tls.TLS13 else b"") + b"\0\x10\0" + bytes(20))
            return
        certificate_of(client, {"random": [os.urandom(500)], "empty entry": [me.der, b""], "many": [me.der] * 300}[what])
        if client.version == tls.TLS13:
            client.say(tls.CERTIFICATE_VERIFY, struct.pack(">H", tls.ECDSA_P256) + u16(bytes(70)))

    with Client(server.port) as client:
        client.begin(make(name="required.test"))
        change(client)
        if client.version == tls.TLS13:
            client.incoming = type(client.incoming)(client.suite, client.traffic[1])
            client.open = client.incoming.open
        client.half_close()
        got = tls.Raw.outcome(client)
    assert not got.data and got.ended in ("fin", "reset")
    assert what == "many" or got.said in REJECTED | {"decode_error", "illegal_parameter", "decrypt_error"}, got.said


# --- What backends are told ---

def test_backends_are_told(server, make, me):
    """RFC 9440 §2.2: the DER of the leaf as a byte sequence of structured fields; the subject by RFC 4514."""
    seen = told(server, make(name="required.test"), me)
    assert seen.all("Client-Cert") == [f":{base64.b64encode(me.der).decode()}:"]
    subject = seen.all("X-Client-Subject")
    assert len(subject) == 1
    plain = subject[0].encode("latin-1").decode("utf-8")
    assert plain.startswith("CN=me,") and plain.endswith(",C=DE") and "Wehr" in plain
    assert "\\," in plain or "\\2C" in plain.upper()
    assert "\r" not in plain and "\n" not in plain


def test_backends_are_told_of_optional_ones(server, make, me):
    assert told(server, make(name="optional.test"), me).all("Client-Cert") == [f":{base64.b64encode(me.der).decode()}:"]
    seen = told(server, make(name="optional.test"))
    assert not seen.all("Client-Cert") and not seen.all("X-Client-Subject")
    assert [one.upper() for one in seen.all("X-Client-Verify")] != ["SUCCESS"]


def test_every_request_of_a_connection_tells_it(server, me):
    with Client(server.port) as client:
        client.handshake(hello_13(name="required.test"), certificate=me)
        for _ in range(3):
            assert Told(**json.loads(client.ask()[1])).all("Client-Cert")


def test_a_subject_cannot_smuggle(server, make):
    """Line ends and controls in a name break no field."""
    evil = authority().issue(client=True, subject="me\r\nX-Admin: 1\r\n\r\nGET /evil HTTP/1.1", number=610)
    server.recorder.take()
    with Client(server.port) as client:
        client.handshake(make(name="required.test"), certificate=evil)
        try:
            head, body = client.ask()
        except (tls.Alerted, tls.Gone):
            return
        if " 200 " in head.split("\r\n")[0]:
            assert not Told(**json.loads(body)).all("X-Admin")
    assert all(one.request and b"evil" not in one.request.target for one in server.recorder.take())


def spellings(name):
    return [name, name.lower(), name.upper(), name.replace("-", "_"), name.replace("-", "_").upper(), name.swapcase()]


@pytest.mark.parametrize("name", ["off.test", "optional.test", "required.test", None])
@pytest.mark.parametrize("field", FIELDS[:3])
def test_forged_fields_are_removed(server, me, name, field):
    """In every spelling that some backend takes for the field (RFC 9440 §4)."""
    mine = f":{base64.b64encode(me.der).decode()}:"
    for spelling in spellings(field):
        seen = told(server, hello_13(name=name), me if name == "required.test" else None, [f"{spelling}: forged"], host=name or "nobody.test")
        found = [(key, value) for key, value in seen.fields if key.lower().replace("_", "-") == field.lower()]
        assert all(value != "forged" for _, value in found), (spelling, found)
        if name == "required.test" and field == "Client-Cert":
            assert [value for _, value in found] == [mine]


def test_forged_fields_named_in_connection(server, me):
    """Hop-by-hop by the client's word: what weir says of the client still arrives."""
    seen = told(server, hello_13(name="required.test"), me, ["Connection: Client-Cert, X-Client-Subject", "Client-Cert: forged"])
    assert seen.all("Client-Cert") == [f":{base64.b64encode(me.der).decode()}:"] and seen.all("X-Client-Subject")


def test_forged_fields_in_trailers(server):
    data = b"POST / HTTP/1.1\r\nHost: off.test\r\nTransfer-Encoding: chunked\r\nTrailer: Client-Cert\r\n\r\n0\r\nClient-Cert: forged\r\nX-Client-Subject: forged\r\n\r\n"
    with Client(server.port) as client:
        client.handshake(hello_13(name="off.test"))
        client.put(tls.DATA, data)
        head, body = client.hear()
    if " 200 " in head.split("\r\n")[0]:
        assert "forged" not in json.dumps(json.loads(body)["trailers"])


# --- 421 (RFC 9110 §15.5.20): a name's connection and another name's rules ---

MISDIRECTED = [("off.test", "required.test"), ("off.test", "optional.test"), ("optional.test", "required.test"), (None, "required.test"),
               ("required.test", "others.test"), ("unknown.test", "required.test"), ("others.test", "required.test")]


@pytest.mark.parametrize("name, host", MISDIRECTED)
def test_a_host_with_other_rules_is_misdirected(server, me, name, host):
    certificate = {"required.test": me, "others.test": stranger().issue(client=True, number=611)}.get(name)
    server.recorder.take()
    with Client(server.port) as client:
        client.handshake(hello_13(name=name), certificate=certificate)
        for target, field in (("/", host), ("/", host.upper()), ("/", f"{host}:443"), ("/", f"{host}:{server.port}"),
                              (f"https://{host}/", name or "nobody.test"), (f"https://{host.upper()}:443/", host)):
            head, _ = client.ask(target, host=field)
            assert head.startswith("HTTP/1.1 421 "), (target, field, head.split("\r\n")[0])
    assert not server.recorder.take()


def test_a_host_of_the_same_rules_is_served(server, me):
    with Client(server.port) as client:
        client.handshake(hello_13(name="off.test"))
        for host in ("off.test", "also-off.test", "off.test", "nobody.test"):
            assert " 200 " in client.ask(host=host)[0]
        assert client.ask(host="required.test")[0].startswith("HTTP/1.1 421 ")
        assert " 200 " in client.ask(host="off.test")[0]


def test_the_message_of_a_second_certificate(server, me):
    """RFC 8446 §4.6.2: certificates behind the handshake only when asked for."""
    with Client(server.port) as client:
        client.handshake(hello_13(name="optional.test").set(tls.POST_AUTH, b""))
        client.put(tls.HANDSHAKE, message(tls.CERTIFICATE, u8(b"") + u24(u24(me.der) + u16(b""))))
        assert client.outcome().said == "unexpected_message"
