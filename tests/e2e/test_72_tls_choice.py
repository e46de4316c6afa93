# SPDX-License-Identifier: BSD-2-Clause
"""What is agreed: versions, ciphers, groups, the certificate by name and by what a client can verify, protocols, stapled responses."""
import pytest

import certificates
import tlsraw as tls
from certificates import authority
from client import Connection
from secure import Secure
from server import command
from tlskeys import Client
from tlsraw import answer, hello, hello_12, hello_13

FAILURE = "handshake_failure"
MAKES = {"1.3": hello_13, "1.2": hello_12}
NAMED = """
threads: 2
tls: { certificates: [{ certificate: first.pem, key: first.key }, { certificate: also.pem, key: also.key }] }
sites:
  - host: one.test
    listen: "https://127.0.0.1:$port"
    root: one
    tls: { certificates: { certificate: one.pem, key: one.key } }
  - host: "*.wild.test"
    listen: "https://127.0.0.1:$port"
    root: wild
    tls: { certificates: { certificate: wild.pem, key: wild.key } }
  - host: exact.wild.test
    listen: "https://127.0.0.1:$port"
    root: exact
    tls: { certificates: { certificate: exact.pem, key: exact.key }, min_version: "1.3" }
  - { host: also.test, listen: "https://127.0.0.1:$port", root: also }
  - { listen: "https://127.0.0.1:$port", root: first }
"""
CERTIFIED = {"first": ("first.test",), "also": ("also.test",), "one": ("one.test",), "wild": ("*.wild.test",),
             "exact": ("exact.wild.test",)}


@pytest.fixture(scope="module")
def server():
    with Secure() as made:
        yield made


@pytest.fixture(scope="module")
def named():
    made = Secure(NAMED)
    made.shown = {}
    for number, (name, hosts) in enumerate(CERTIFIED.items()):
        made.shown[name] = authority().issue(*hosts, number=300 + number)
        made.put(name, made.shown[name])
        (made.folder / name).mkdir()
        (made.folder / name / "index.html").write_text(name)
    with made:
        yield made


# --- Versions ---

def test_the_newest_version_is_agreed(server):
    for make, version in ((hello, tls.TLS13), (hello_13, tls.TLS13), (hello_12, tls.TLS12)):
        with Client(server.port) as client:
            assert client.handshake(make()).version == version and client.good()


def test_the_servers_order_of_versions(server):
    """RFC 8446 §4.2.1: preferred by the client, but 1.3 is the better one."""
    with Client(server.port) as client:
        assert client.handshake(hello().set(tls.VERSIONS, tls.u8(tls.words((tls.TLS12, tls.TLS13))))).good()
        assert client.version in (tls.TLS12, tls.TLS13)


@pytest.mark.parametrize("version", [0x0002, tls.SSL3, tls.TLS10, tls.TLS11])
def test_old_versions_are_refused(server, version):
    assert answer(server.port, hello_12().but(version=version)).said == "protocol_version"


def test_sslv2_is_refused(server):
    """RFC 6176: never agreed; its hello may get an alert or the plain refusal."""
    body = b"\1\3\1" + b"\0\6" + b"\0\0" + b"\0\x10" + b"\x01\0\x80\x07\0\xc0" + bytes(16)
    got = tls.answer_raw(server.port, (0x8000 | len(body)).to_bytes(2, "big") + body, half_close=True)
    assert not got.messages and got.ended in ("fin", "reset")


@pytest.mark.parametrize("rules", ['min_version: "1.3"', "min_version: 1.3", "priorities: modern"])
def test_the_oldest_version_can_be_1_3(rules):
    config = Secure(f"""
threads: 1
tls: {{ certificates: {{ certificate: ecdsa.pem, key: ecdsa.key }}, {rules} }}
sites: [{{ listen: "https://127.0.0.1:$port", root: root }}]
""")
    with config as made:
        assert answer(made.port, hello_12()).said == "protocol_version"
        with Client(made.port) as client:
            assert client.handshake(hello()).version == tls.TLS13 and client.good()


def test_a_site_has_its_own_oldest_version(named):
    assert answer(named.port, hello_12(name="exact.wild.test")).said == "protocol_version"
    for name in ("one.test", "other.wild.test", "also.test"):
        with Client(named.port) as client:
            assert client.handshake(hello_12(name=name)).good()


# --- Ciphers: authenticated encryption with forward secrecy, nothing else ---

WEAK = {
    "RC4": (0x0004, 0x0005, 0xC007, 0xC011), "3DES": (0x000A, 0x0016, 0xC008, 0xC012), "DES": (0x0009, 0x0015),
    "export": (0x0003, 0x0006, 0x0008, 0x0014, 0x0062, 0x0064), "no encryption": (0x0001, 0x0002, 0x003B, 0xC006, 0xC010),
    "anonymous": (0x0018, 0x001B, 0x0034, 0x003A, 0xC018, 0xC019), "static RSA with CBC": (0x002F, 0x0035, 0x003C, 0x003D),
    "static RSA with GCM": (0x009C, 0x009D), "static RSA with CCM": (0xC09C, 0xC09D), "Camellia": (0x0041, 0x0084, 0xC072, 0xC073),
    "ECDHE with CBC": (0xC009, 0xC00A, 0xC013, 0xC014, 0xC023, 0xC024, 0xC027, 0xC028), "static ECDH": (0xC02D, 0xC02E, 0xC031),
    "DHE with CBC": (0x0033, 0x0039, 0x0067, 0x006B), "DHE with GCM": (0x009E, 0x009F, 0xCCAA), "PSK": (0x008C, 0x00A8, 0xCCAB),
    "SRP": (0xC01D, 0xC020), "IDEA and SEED": (0x0007, 0x0096), "ARIA": (0xC050, 0xC05C),
}


@pytest.mark.parametrize("what", WEAK)
def test_weak_suites_are_off(server, what):
    """Together and one by one."""
    for suites in (WEAK[what], *((one,) for one in WEAK[what])):
        assert answer(server.port, hello_12(suites=suites)).said == FAILURE, [hex(one) for one in suites]


@pytest.mark.parametrize("suite", tls.SUITES_12)
def test_each_suite_of_1_2(server, suite):
    with Client(server.port) as client:
        assert client.handshake(hello_12(suites=(suite,))).suite == suite and client.good()


@pytest.mark.parametrize("suite", tls.SUITES_13)
def test_each_suite_of_1_3(server, suite):
    with Client(server.port) as client:
        assert client.handshake(hello_13(suites=(suite,))).suite == suite and client.good()


@pytest.mark.parametrize("make, suites", [(hello_13, tls.SUITES_13), (hello_12, tls.SUITES_12[:3]), (hello_12, tls.SUITES_12[3:])])
def test_the_servers_order_of_suites(server, make, suites):
    """AES-GCM before ChaCha20, whatever the client prefers."""
    chosen = set()
    for order in (suites, suites[::-1], suites[1:] + suites[:1]):
        with Client(server.port) as client:
            chosen.add(client.handshake(make(suites=order)).suite)
    assert len(chosen) == 1 and chosen.pop() not in (tls.CHACHA, tls.ECDSA_CHACHA, tls.RSA_CHACHA)


@pytest.mark.parametrize("group", [tls.X25519, tls.P256, tls.P384])
@pytest.mark.parametrize("make", MAKES)
def test_each_group(server, make, group):
    with Client(server.port) as client:
        assert client.handshake(MAKES[make](groups=(group,))).good() and client.group == group


@pytest.mark.parametrize("make", MAKES)
def test_weak_groups_are_off(server, make):
    """Finite fields, binary curves, small and odd ones."""
    for group in (1, 9, 14, 15, 16, 18, 19, 20, 21, 22, 26, tls.FFDHE2048, 257, 0xFF01):
        assert answer(server.port, MAKES[make](groups=(group,), shared=())).said == FAILURE, group


def test_a_priority_string_of_ones_own():
    config = Secure("""
threads: 1
tls:
  certificates: { certificate: ecdsa.pem, key: ecdsa.key }
  priorities: "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305"
sites: [{ listen: "https://127.0.0.1:$port", root: root }]
""")
    with config as made:
        with Client(made.port) as client:
            assert client.handshake(hello()).suite == tls.CHACHA and client.good()
        assert answer(made.port, hello_13(suites=(tls.AES128,))).said == FAILURE


# --- The certificate, by name (RFC 6066 §3) ---

CHOICES = {"one.test": "one", "ONE.TEST": "one", "also.test": "also", "first.test": "first", "a.wild.test": "wild",
           "exact.wild.test": "exact", "a.b.wild.test": None, "wild.test": "first", "unknown.test": "first",
           "127.0.0.1": "first", None: "first", "one.test.": None, "x" * 63 + ".test": "first"}


@pytest.mark.parametrize("make", ["1.3", "1.2"])
@pytest.mark.parametrize("name", CHOICES)
def test_the_certificate_is_that_of_the_name(named, make, name):
    """An exact name, a wildcard of one label, else the first one; an address and no name as well."""
    if name == "exact.wild.test" and make == "1.2":
        return  # 1.3 only there
    with Client(named.port) as client:
        client.handshake(MAKES[make](name=name))
        if CHOICES[name]:
            assert client.certificates[0].serial_number == named.shown[CHOICES[name]].serial
        else:
            assert client.certificates[0].serial_number in [named.shown[one].serial for one in ("one", "wild", "first")]


@pytest.mark.parametrize("name", ["one", "also", "a.wild", "exact.wild"])
def test_the_site_is_that_of_the_host(named, name):
    with Client(named.port) as client:
        client.handshake(hello(name=f"{name}.test"))
        assert client.ask(host=f"{name}.test")[1].decode() == name.rpartition(".")[0].replace("a", "") + name.rpartition(".")[
            2] or client.ask(host=f"{name}.test")[1].decode() in ("one", "also", "wild", "exact")


def test_a_connection_serves_other_hosts_of_the_same_rules(named):
    """No client certificates anywhere: browsers may share a connection (RFC 9110 §7.4)."""
    with Client(named.port) as client:
        client.handshake(hello(name="also.test"))
        assert client.ask(host="also.test")[1] == b"also"
        assert client.ask(host="nobody.test")[1] == b"first"


# --- The certificate, by what a client can verify ---

BY_SCHEME = {
    "all": (tls.SCHEMES, "ecdsa"), "ECDSA": ((tls.ECDSA_P256,), "ecdsa"), "PSS": ((tls.PSS_256,), "rsa"),
    "PSS before ECDSA": ((tls.PSS_256, tls.ECDSA_P256), "ecdsa"), "another curve's ECDSA": ((tls.ECDSA_P384, tls.PSS_256), "rsa"),
    "Ed25519 and PSS": ((tls.ED25519, tls.PSS_384), "rsa"),
}


@pytest.mark.parametrize("what", BY_SCHEME)
def test_rsa_and_ecdsa_side_by_side(server, what):
    schemes, kind = BY_SCHEME[what]
    with Client(server.port) as client:
        client.handshake(hello_13(schemes=(*schemes, tls.PKCS1_256)))
        assert client.certificates[0].serial_number == certificates.server_certificate(kind).serial and client.good()


@pytest.mark.parametrize("suites, schemes, kind", [
    (tls.SUITES_12, tls.SCHEMES, "ecdsa"), (tls.SUITES_12[::-1], tls.SCHEMES, "ecdsa"), (tls.SUITES_12[3:], tls.SCHEMES, "rsa"),
    (tls.SUITES_12[:3], tls.SCHEMES, "ecdsa"), (tls.SUITES_12, (tls.PSS_256, tls.PKCS1_256), "rsa"),
    (tls.SUITES_12, (tls.PKCS1_256,), "rsa"), (tls.SUITES_12[3:], (tls.PKCS1_384,), "rsa")])
def test_rsa_and_ecdsa_side_by_side_in_1_2(server, suites, schemes, kind):
    with Client(server.port) as client:
        client.handshake(hello_12(suites=suites, schemes=schemes))
        assert client.certificates[0].serial_number == certificates.server_certificate(kind).serial and client.good()


@pytest.mark.parametrize("kind", ["p384", "ed25519", "rsa"])
def test_other_kinds_of_keys(kind):
    config = Secure(f"""
threads: 1
tls: {{ certificates: {{ certificate: {kind}.pem, key: {kind}.key }} }}
sites: [{{ listen: "https://127.0.0.1:$port", root: root }}]
""", kinds=(kind,))
    with config as made:
        for make in (hello_13, hello_12):
            with Client(made.port) as client:
                assert client.handshake(make()).good()
        if kind != "rsa":
            assert answer(made.port, hello_13(schemes=(tls.PSS_256, tls.PKCS1_256))).said == FAILURE


# --- Chains, and what is checked before ---

ONE = """
threads: 1
tls: { certificates: { certificate: server.pem, key: server.key } }
sites: [{ host: localhost, listen: "https://127.0.0.1:$port", root: root }]
"""


@pytest.fixture(scope="module")
def chained():
    return authority().intermediate(number=401).intermediate("weir second test intermediate", number=402).issue("localhost", number=403)


def test_the_chain_is_shown(chained):
    """The leaf first, what leads to the root behind, in order; a client that has but the root verifies it."""
    with Secure(ONE).put("server", chained) as made:
        for make in (hello_13, hello_12):
            with Client(made.port) as client:
                client.handshake(make())
                assert [one.serial_number for one in client.certificates] == [one.serial for one in (chained, *chained.chain)]
        from secure import get
        assert get(made.port).body == b"hello\n"


def test_a_chain_in_another_order(chained):
    """Put right, or refused with a word for the file."""
    made = Secure(ONE).put("server", chained)
    pieces = [one.alone for one in (chained, *chained.chain)]
    certificates.replace(made.folder / "server.pem", pieces[0] + pieces[2] + pieces[1])
    made.write()
    run = command("check", "-c", made.file)
    if run.returncode:
        assert "server.pem" in run.stderr + run.stdout
    else:
        with made:
            from secure import get
            assert get(made.port).body == b"hello\n"
    made.remove()


def other_key(made):
    certificates.replace(made.folder / "server.key", authority().issue("a", number=9).key_pem, 0o600)


FAULTS = {
    "the key of another": (other_key, "match|fit|belong|another"),
    "no certificate in the file": (lambda made: (made.folder / "server.pem").write_text("nothing\n"), "server.pem"),
    "no key in the file": (lambda made: (made.folder / "server.key").write_text("nothing\n"), "server.key"),
    "no file of the certificate": (lambda made: (made.folder / "server.pem").unlink(), "server.pem"),
    "no file of the key": (lambda made: (made.folder / "server.key").unlink(), "server.key"),
    "a key in place of a certificate": (lambda made: (made.folder / "server.pem").write_bytes((made.folder
        / "server.key").read_bytes()), "server.pem"),
    "half a certificate": (lambda made: (made.folder / "server.pem").write_bytes((made.folder
        / "server.pem").read_bytes()[:300]), "server.pem"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_bad_pair_is_told_at_its_place(what):
    """`weir check` says it with file and line, and weir does not start."""
    import re
    spoil, says = FAULTS[what]
    made = Secure(ONE).put("server", certificates.server_certificate())
    spoil(made)
    made.write()
    run = command("check", "-c", made.file)
    assert run.returncode == 1, run.stdout + run.stderr
    assert re.search(says, run.stderr) and re.search(r"weir\.yaml:\d+:\d+", run.stderr), run.stderr
    assert "^" in run.stderr
    secret = certificates.server_certificate().key_pem.decode().split("\n")[1]
    assert secret not in run.stderr and secret[:20] not in run.stderr
    made.remove()


@pytest.mark.parametrize("options, says", [({"begins": -60, "ends": -1}, "expired"), ({"begins": 3}, "not valid|not yet|begins"),
                                           ({"name": "elsewhere.test"}, "localhost|elsewhere")])
def test_what_clients_will_not_accept_is_told(options, says):
    """Expired, not yet valid, for another name."""
    import re
    options = dict(options)
    made = Secure(ONE).put("server", authority().issue(options.pop("name", "localhost"), **options))
    made.write()
    run = command("check", "-c", made.file)
    assert re.search(says, run.stdout + run.stderr, re.IGNORECASE), run.stdout + run.stderr
    made.remove()


def test_no_certificate_at_all():
    made = Secure('sites: [{ listen: "https://127.0.0.1:$port", root: root }]')
    made.write()
    run = command("check", "-c", made.file)
    assert run.returncode == 1 and "certificate" in run.stderr, run.stdout + run.stderr
    made.remove()


# --- Protocols (RFC 7301) ---

def test_protocols(server):
    """http/1.1 where it is offered, none where none is; h2 first once it is spoken."""
    for make in (hello_13, hello_12):
        for offered, chosen in ((("http/1.1",), ("http/1.1",)), ((), (None,)), (("h2", "http/1.1"), ("h2", "http/1.1")),
                                (("http/1.1", "h2"), ("h2", "http/1.1")), (("x", "http/1.1"), ("http/1.1",))):
            with Client(server.port) as client:
                client.handshake(make(alpn=offered))
                assert client.alpn in chosen, (offered, client.alpn)
                assert client.alpn == "h2" or client.good()


# --- Stapled responses (RFC 6066 §8, RFC 8446 §4.4.2.1) ---

STAPLED = """
threads: 1
tls: { certificates: { certificate: server.pem, key: server.key, ocsp: server.ocsp } }
sites: [{ listen: "https://127.0.0.1:$port", root: root }]
"""


def stapled(response, certificate=None):
    made = Secure(STAPLED).put("server", certificate or certificates.server_certificate())
    certificates.replace(made.folder / "server.ocsp", response)
    return made


def staple(port, make=hello_13, **options):
    with Client(port) as client:
        assert client.handshake(make(**options)).good()
        return client.staple


def test_a_response_is_stapled():
    response = authority().response(certificates.server_certificate())
    with stapled(response) as made:
        for make in (hello_13, hello_12):
            assert staple(made.port, make, status=True) == response
            assert staple(made.port, make) is None


def test_an_expired_response_is_left_out():
    with stapled(authority().response(certificates.server_certificate(), begins=-9, ends=-1)) as made:
        for make in (hello_13, hello_12):
            assert staple(made.port, make, status=True) is None


@pytest.mark.parametrize("what", ["of another certificate", "nothing", "text", "cut"])
def test_a_wrong_response_is_never_stapled(what):
    """Refused at the start, or left out."""
    good = authority().response(certificates.server_certificate())
    wrong = {"of another certificate": authority().response(authority().issue("other.test")), "nothing": b"", "text": b"hello\n",
             "cut": good[:-20]}[what]
    made = stapled(wrong)
    made.write()
    run = command("check", "-c", made.file)
    if run.returncode:
        assert "ocsp" in run.stderr.lower(), run.stderr
        made.remove()
        return
    with made:
        assert staple(made.port, status=True) is None


# --- In the clear ---

@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
                                  b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_plain_http_is_told_so(server, data):
    """A plain 400 that says so, and the end."""
    with Connection(server.port) as connection:
        connection.send(data)
        answered = connection.read("HEAD" if data.startswith(b"HEAD") else "GET")
        assert answered.status == 400 and answered.closes
        assert data.startswith(b"HEAD") or b"https" in answered.body.lower() or b"tls" in answered.body.lower()
        assert connection.wait_end() in ("fin", "reset")


def test_plain_http_octet_by_octet(server):
    with Connection(server.port) as connection:
        for octet in b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n":
            if not connection.send(bytes([octet])):
                break
        assert connection.read().status == 400



