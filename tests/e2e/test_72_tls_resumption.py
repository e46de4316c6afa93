# SPDX-License-Identifier: BSD-2-Clause
"""Tickets: one key for all threads, workers and reloads; and what a ticket of one name opens under other rules: nothing."""
import os
import signal

import pytest

import certificates
import tlsraw as tls
from certificates import authority
from secure import Secure
from server import command, wait_for
from tlskeys import Client, resume
from tlsraw import hello, hello_12, hello_13

MAKES = {"1.3": hello_13, "1.2": hello_12}
CONFIG = """
threads: 4
tls: { certificates: [{ certificate: ecdsa.pem, key: ecdsa.key }, { certificate: rsa.pem, key: rsa.key }] }
sites:
  - { listen: "https://127.0.0.1:$port", root: root }
"""
RULES = """
threads: 2
tls: { certificates: [{ certificate: first.pem, key: first.key }] }
sites:
  - { host: first.test, listen: "https://127.0.0.1:$port", root: root }
  - { host: same.test, listen: "https://127.0.0.1:$port", root: root, tls: { certificates: { certificate: same.pem, key: same.key } } }
  - host: asks.test
    listen: "https://127.0.0.1:$port"
    root: root
    tls: { certificates: { certificate: asks.pem, key: asks.key }, client_auth: optional, client_ca: clients.pem }
  - host: needs.test
    listen: "https://127.0.0.1:$port"
    root: root
    tls: { certificates: { certificate: needs.pem, key: needs.key }, client_auth: required, client_ca: clients.pem }
  - host: others.test
    listen: "https://127.0.0.1:$port"
    root: root
    tls: { certificates: { certificate: others.pem, key: others.key }, client_auth: required, client_ca: others-ca.pem }
"""


@pytest.fixture(scope="module")
def server():
    with Secure(CONFIG) as made:
        yield made


@pytest.fixture(scope="module")
def rules():
    made = Secure(RULES)
    made.shown = {}
    for number, name in enumerate(("first", "same", "asks", "needs", "others")):
        made.shown[name] = authority().issue(f"{name}.test", number=500 + number)
        made.put(name, made.shown[name])
    certificates.replace(made.folder / "clients.pem", authority().alone)
    certificates.replace(made.folder / "others-ca.pem", certificates.stranger().alone)
    with made:
        yield made


@pytest.fixture(scope="module")
def me():
    return authority().issue(client=True, subject="me", number=510)


def session(port, hello, certificate=None, host=None):
    """A ticket, got by a full handshake and a request. None: where clients are asked for certificates none need be given."""
    with Client(port) as client:
        client.handshake(hello, certificate=certificate)
        assert " 200 " in client.ask(host=host)[0]
        assert not client.resumed and (client.sessions or client.request)
        return client.sessions[-1] if client.sessions else None


@pytest.mark.parametrize("make", MAKES)
def test_resumed_on_every_thread(server, make):
    """The kernel deals connections to the threads: forty of them meet all four."""
    kept = session(server.port, MAKES[make]())
    for _ in range(40):
        with resume(server.port, kept) as client:
            assert client.resumed and client.good()


@pytest.mark.parametrize("make", MAKES)
def test_a_ticket_lives_at_most_a_week(server, make):
    """RFC 8446 §4.6.1."""
    assert 0 < session(server.port, MAKES[make]()).lifetime <= 7 * 86400


def test_tickets_are_fresh(server):
    """§C.4: a resumed session gets a ticket of its own, and no two are alike."""
    tickets, kept = set(), session(server.port, hello_13())
    for _ in range(5):
        tickets.add(kept.ticket)
        with resume(server.port, kept) as client:
            assert client.resumed and client.good() and client.sessions
            kept = client.sessions[-1]
    assert len(tickets) == 5


def test_no_ticket_for_who_cannot_use_it(server):
    """§4.6.1: only with psk_key_exchange_modes; in 1.2 only with session_ticket."""
    with Client(server.port) as client:
        assert client.handshake(hello_13().drop(tls.PSK_MODES)).good() and not client.sessions
    with Client(server.port) as client:
        assert client.handshake(hello_12(ticket=False)).good() and not client.sessions
        assert tls.SESSION_TICKET not in client.extensions


@pytest.mark.parametrize("make", MAKES)
def test_protocols_are_agreed_anew(server, make):
    """RFC 7301 §3.1: of each connection, not of the session."""
    kept = session(server.port, MAKES[make]())
    with resume(server.port, kept, MAKES[make](alpn=())) as client:
        assert client.alpn is None and client.good()
    with Client(server.port) as client:
        client.offer(MAKES[make](alpn=("x",)), kept)
        assert client.outcome().said == "no_application_protocol"


def test_a_session_of_1_2_is_none_of_1_3(server):
    kept = session(server.port, hello_12())
    with Client(server.port) as client:
        client.handshake(hello().set(tls.SESSION_TICKET, kept.ticket))
        assert client.version == tls.TLS13 and not client.resumed and client.good()


def test_no_extended_master_secret_in_resumption(server):
    """RFC 7627 §5.3: the session had it, the hello has not: abort."""
    kept = session(server.port, hello_12())
    with Client(server.port) as client:
        client.offer(hello_12(ems=False), kept)
        got = tls.Raw.outcome(client, 2)
        assert got.said == "handshake_failure" or not client_resumed(got)


def client_resumed(got):
    """Did the server go on without a certificate?"""
    kinds = [kind for kind, _ in got.messages]
    return tls.SERVER_HELLO in kinds and tls.CERTIFICATE not in kinds


def test_another_suite_in_resumption(server):
    """RFC 8446 §4.2.11: not with a suite of another hash; a whole handshake, or a refusal."""
    kept = session(server.port, hello_13(suites=(tls.AES128,)))
    try:
        with resume(server.port, kept, hello_13(suites=(tls.AES256,))) as client:
            assert not client.resumed and client.good()
    except tls.Alerted as said:
        assert said.name in ("handshake_failure", "illegal_parameter")


# --- Over the lives of workers ---

@pytest.fixture
def mine():
    with Secure(CONFIG) as made:
        yield made


@pytest.mark.parametrize("make", MAKES)
def test_resumed_after_a_reload(mine, make):
    kept, worker = session(mine.port, MAKES[make]()), mine.worker()
    for _ in range(2):
        run = command("reload", "-c", mine.file)
        assert run.returncode == 0, run.stderr
        with resume(mine.port, kept) as client:
            assert client.resumed and client.good()
    wait_for(lambda: worker not in workers(mine), 20, "the old worker's end")
    settle(mine)


def workers(server):
    from server import children
    return children(server.pid)


def settle(server):
    wait_for(lambda: len([one for one in workers(server) if name_of(one)]) >= 1, 20, "a worker")
    server.expect_restart()


def name_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def worker_of(server):
    """The process that serves: among the supervisor's children and theirs the one that holds the listening socket and is no supervisor."""
    import re
    found = re.findall(r"worker (\d+) serves", server.log())
    return int(found[-1])


@pytest.mark.parametrize("make", MAKES)
def test_resumed_after_a_workers_death(mine, make):
    kept, worker = session(mine.port, MAKES[make]()), worker_of(mine)
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: worker_of(mine) != worker, 20, "another worker")
    with resume(mine.port, kept) as client:
        assert client.resumed and client.good()
    settle(mine)


def test_not_resumed_by_another_server(server, mine):
    """Each has a key of its own."""
    for make in (hello_13, hello_12):
        kept = session(server.port, make())
        with resume(mine.port, kept) as client:
            assert not client.resumed and client.good()


# --- Under other rules ---

NAMES = ("first.test", "same.test", "asks.test", "needs.test", "others.test")


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("name", ["first.test", "same.test", "asks.test", "needs.test"])
def test_resumed_at_its_own_name(rules, me, make, name):
    certificate = me if name == "needs.test" else None
    kept = session(rules.port, MAKES[make](name=name), certificate)
    if kept:
        with resume(rules.port, kept, certificate=certificate) as client:
            assert client.good()
            assert client.resumed or name == "needs.test"


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("other", NAMES)
@pytest.mark.parametrize("name", ["first.test", "same.test", "asks.test", "needs.test"])
def test_a_ticket_opens_nothing_elsewhere(rules, me, make, name, other):
    """Never resumed at a name with another certificate or other rules for clients: a whole handshake with that name's certificate,
    and no way in without what is demanded there."""
    if name == other:
        return
    kept = session(rules.port, MAKES[make](name=name), me if name == "needs.test" else None)
    if not kept:
        return
    with Client(rules.port) as client:
        client.begin(MAKES[make](name=other), kept)
        assert not client.resumed
        assert client.certificates[0].serial_number == rules.shown[other.split(".")[0]].serial
        assert bool(client.request) == (other in ("asks.test", "needs.test", "others.test"))
        if other in ("needs.test", "others.test"):
            with pytest.raises((tls.Alerted, tls.Gone)):
                client.finish()
                client.ask()
        else:
            assert client.finish().good()


@pytest.mark.parametrize("make", MAKES)
def test_a_ticket_without_a_name_opens_nothing_elsewhere(rules, make):
    kept = session(rules.port, MAKES[make](name=None), host="first.test")
    with Client(rules.port) as client:
        client.begin(MAKES[make](name="needs.test"), kept)
        assert not client.resumed and client.request


@pytest.mark.parametrize("make", MAKES)
def test_a_ticket_from_before_rules_were_tightened(make):
    """A reload that demands certificates makes older sessions worthless."""
    loose = """
threads: 1
tls: { certificates: { certificate: ecdsa.pem, key: ecdsa.key }%s }
sites: [{ listen: "https://127.0.0.1:$port", root: root }]
"""
    with Secure(loose % "") as made:
        certificates.replace(made.folder / "clients.pem", authority().alone)
        kept = session(made.port, MAKES[make]())
        made.write(loose % ", client_auth: required, client_ca: clients.pem")
        assert command("reload", "-c", made.file).returncode == 0
        with Client(made.port) as client:
            client.begin(MAKES[make](), kept)
            assert not client.resumed and client.request
        settle(made)
