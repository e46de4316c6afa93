# SPDX-License-Identifier: BSD-2-Clause
"""Certificates obtained and renewed by weir itself (issue 5): from pebble, by uacme, answered by weir."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import time
from pathlib import Path

import pytest

import pebble as authority
from certificates import x509
from pebble import Pebble
from server import ROOT, WEIR, children, family, features, free_port, helpers, new_folder, wait_for

pytestmark = pytest.mark.skipif("acme" not in features(), reason="this weir has no acme")

TLS = 'tls: { acme: { email: me@example.org, directory: "$directory", path: $acme, ca: $ca } }\n'
SITES = """
sites:
  - host: [a.test, www.a.test]
    listen: ["http://127.0.0.1:$http", "https://127.0.0.1:$https"]
    root: $root
"""
SECONDS = 30


@pytest.fixture(autouse=True)
def possible():
    authority.require()


@pytest.fixture
def pebble():
    with Pebble(free_port()) as running:
        yield running


def values(pebble, **more):
    return {"directory": pebble.directory, "ca": pebble.ca, "http": pebble.port, "https": free_port(), **more}


@pytest.fixture
def serve(weir, pebble):
    """Starts weir with SITES, or others, and what it needs to find pebble; the state is `acme` in its folder, or `acme`."""
    def start(sites=SITES, acme="$folder/acme"):
        return weir((TLS + sites).replace("$acme", str(acme)), values=values(pebble))
    return start


def shown(server, name="a.test"):
    """The certificate that a client gets to see."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", server.values["https"]), timeout=5) as plain:
        with context.wrap_socket(plain, server_hostname=name) as tls:
            return x509.load_der_x509_certificate(tls.getpeercert(True))


def is_obtained(certificate):
    return "Pebble" in certificate.issuer.rfc4514_string()


def await_obtained(server, name="a.test"):
    def look():
        certificate = shown(server, name)
        return certificate if is_obtained(certificate) else None
    try:
        return wait_for(look, SECONDS, "a certificate from the authority")
    except AssertionError as late:
        raise AssertionError(f"{late}; log:\n{server.log()[-4000:]}") from late


def verified(server, pebble, name):
    """What a client that trusts the authority, and verifies, gets from the site."""
    found = subprocess.run(
        ["curl", "-sS", "--cacert", str(pebble.root()), "--resolve", f"{name}:{server.values['https']}:127.0.0.1",
         f"https://{name}:{server.values['https']}/"], capture_output=True, timeout=20)
    assert found.returncode == 0, found.stderr
    return found.stdout


def helper(server):
    """The pid of the helper of the only worker."""
    return wait_for(lambda: len(helpers(server.pid, "acme")) == 1 and helpers(server.pid, "acme"), 10, "one helper")[0]


def record(server, name="a.test", acme=None):
    text = (Path(acme or server.folder / "acme") / "weir" / f"{name}.state").read_text("ascii")
    return dict(line.split(" ", 1) for line in text.splitlines()[:5])


def status(server):
    """What is told of the first certificate."""
    told = subprocess.run([WEIR, "status", "--json", "-c", server.file], capture_output=True, text=True, timeout=20)
    return json.loads(told.stdout)["certificates"][0]


def test_obtained_at_start_while_serving(serve, pebble):
    root_text = "served"
    pebble.pause()
    server = serve()
    (server.root / "index.html").write_text(root_text)
    first = shown(server)
    assert first.issuer == first.subject and not is_obtained(first)  # it stands in meanwhile
    names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert set(names) == {"a.test", "www.a.test"}
    pebble.pause(False)
    await_obtained(server)
    for name in ("a.test", "www.a.test"):
        assert verified(server, pebble, name) == root_text.encode()
    log = server.log()
    assert "an account was made" in log and "me@example.org" in log
    assert re.search(r"certificate for a\.test, www\.a\.test obtained from https://localhost:\d+/dir", log)
    assert pebble.issued() == 1
    assert not list((server.folder / "acme" / "challenge").iterdir())
    told = status(server)
    assert told["obtained"] and told["acme"]["failures"] == 0 and told["acme"]["next"] > time.time() + 59 * 86400
    assert "renewed in" in subprocess.run([WEIR, "status", "-c", server.file], capture_output=True, text=True, timeout=20).stdout
    # who may read what
    folder = server.folder / "acme"
    for path in [folder, folder / "private", folder / "private" / "a.test" / "key.pem"]:
        mode = path.stat().st_mode
        assert not mode & (stat.S_IRWXG | stat.S_IRWXO), f"{path}: {mode:o}"
    if ROOT:
        uid = Path(f"/proc/{helper(server)}/status").read_text("ascii").split("Uid:")[1].split()
        assert "0" not in uid[:4]
        assert folder.stat().st_uid == int(uid[0])


def test_a_restart_asks_for_nothing(serve, pebble, weir):
    server = serve()
    await_obtained(server)
    serial = shown(server).serial_number
    assert server.stop() == 0
    server.spawn()
    assert shown(server).serial_number == serial  # at once, no stand-in
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(children(server.pid)) == 1 and "obtained" in server.log(), 10, "the reload")
    helper(server)
    assert shown(server).serial_number == serial
    assert pebble.orders() == 1
    server.expect_restart()


def test_renewed_at_two_thirds(weir):
    port = free_port()
    with Pebble(port, lifetime=15) as pebble:
        server = weir((TLS + SITES).replace("$acme", "$folder/acme"), values=values(pebble))
        first = await_obtained(server)
        begun = time.monotonic()
        second = wait_for(lambda: (c := shown(server)).serial_number != first.serial_number and c, SECONDS, "a renewal")
        assert is_obtained(second)
        assert second.not_valid_before - first.not_valid_before >= (first.not_valid_after - first.not_valid_before) * 0.65
        assert time.monotonic() - begun < 20
        assert second.public_key().public_numbers() == first.public_key().public_numbers()  # whose half is never alone
        assert "two thirds of its time are over" in server.log()


def test_failure_is_told_and_remembered(weir):
    """The authority finds nobody at the port that it asks at; then it does."""
    closed, port = free_port(), free_port()
    with Pebble(closed) as pebble:
        server = weir((TLS + SITES).replace("$acme", "$folder/acme"), values=values(pebble, http=port))
        before = int(time.time())  # what is remembered is whole seconds, too
        wait_for(lambda: "no certificate for a.test" in server.log(), SECONDS, "the failure")
        log = server.log()
        assert re.search(r"attempt 1\): .*connection refused.*at port 80.*Next attempt after", log)
        assert int(record(server)["next"]) >= before + 60
        assert pebble.orders() == 1
        told = status(server)
        assert told["stand_in"] and told["acme"]["failures"] == 1 and "connection refused" in told["acme"]["text"]
        # a new worker knows of it
        assert subprocess.run([WEIR, "reload", "-c", server.file], timeout=30).returncode == 0
        helper(server)
        assert not is_obtained(shown(server))
        assert pebble.orders() == 1
        # put right; and what the log says brings it at once
        pebble.stop()
        pebble.port = port
        pebble.prepare()
        pebble.start()
        for line in re.findall(r"remove (\S+\.state)", server.log()):
            os.unlink(line)
        server.write(server.template)
        assert subprocess.run([WEIR, "reload", "-c", server.file], timeout=30).returncode == 0
        await_obtained(server)
        assert record(server)["failures"] == "0"
        server.expect_restart()


@pytest.fixture
def shared():
    folder = new_folder()
    yield folder / "shared"
    shutil.rmtree(folder, ignore_errors=True)


def test_two_that_share_the_folder_ask_once(shared, serve, pebble):
    pebble.pause()
    first = serve(acme=shared)
    second = serve(SITES.replace('$http"', '$port"'), acme=shared)
    pebble.pause(False)
    one, other = await_obtained(first), await_obtained(second)
    assert one.serial_number == other.serial_number
    assert pebble.issued() == 1


@pytest.mark.parametrize("who", ["worker", "helper"])
def test_what_dies_is_replaced(serve, pebble, who):
    pebble.pause()
    server = serve()
    victim = server.worker() if who == "worker" else helper(server)
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: victim not in family(server.pid), 10, "its end")
    pebble.pause(False)
    await_obtained(server)
    assert pebble.issued() == 1
    server.expect_restart()


def test_before_redirects_and_for_names_of_other_listeners(serve, pebble):
    """Who listens for https alone is certified as well, and whatever a site says of all its paths."""
    server = serve("""
sites:
  - host: a.test
    listen: "https://127.0.0.1:$https"
    root: $root
  - host: b.test
    listen: ["http://127.0.0.1:$http", "https://127.0.0.1:$https"]
    redirect: "https://example.org/"
  - host: c.test
    listen: ["http://127.0.0.1:$http", "https://127.0.0.1:$https"]
    root: $root
    https_only: on
""")
    for name in ("a.test", "b.test", "c.test"):
        await_obtained(server, name)
    assert pebble.issued() == 3
    url = f"http://127.0.0.1:{server.values['http']}/.well-known/acme-challenge/unknown"
    for host, status in (("b.test", "308"), ("a.test", "421")):
        found = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Host: {host}", url],
                               capture_output=True, text=True, timeout=20)
        assert found.stdout == status
    # what is told is what is done
    token = server.folder / "acme/challenge/token-1"
    token.write_text("token-1.thumb")
    token.chmod(0o644)
    for host, name, outcome in (("a.test", "token-1", "200 OK by acme"), ("a.test", "unknown", "421 Misdirected Request"),
                                ("b.test", "token-1", "200 OK by acme")):
        url = f"http://{host}:{server.values['http']}/.well-known/acme-challenge/{name}"
        told = subprocess.run([WEIR, "explain", "--json", "-c", server.file, url], capture_output=True, text=True, timeout=20)
        assert json.loads(told.stdout)["outcome"] == outcome, told.stdout


def check(text, tmp_path, *before):
    file = tmp_path / "weir.yaml"
    file.write_text(text)
    return subprocess.run([*before, WEIR, "check", "-c", str(file)], capture_output=True, text=True, timeout=30)


CHECKED = """
user: nobody
temp_dir: /tmp
log: {{ error: {{ path: stderr }}, access: off }}
tls: {{ acme: {{ path: acme }} }}
sites:
  - {{ host: {host}, listen: {listen}, root: / }}
"""


def test_check_tells_what_cannot_be(tmp_path):
    good = CHECKED.format(host="a.test", listen='["http://127.0.0.1:1", "https://127.0.0.1:2"]')
    assert "warning" not in check(good, tmp_path).stderr
    found = check(CHECKED.format(host="a.test", listen='"https://127.0.0.1:2"'), tmp_path)
    assert found.returncode == 0 and "port 80" in found.stderr and "weir.yaml:5" in found.stderr
    found = check(CHECKED.format(host='["*.a.test", a.test]', listen='["http://127.0.0.1:1", "https://127.0.0.1:2"]'), tmp_path)
    assert "*.a.test" in found.stderr and found.returncode == 0
    assert not (tmp_path / "acme").exists()


def test_check_wants_uacme(tmp_path):
    hide = "for p in /usr/bin/uacme /usr/local/bin/uacme /usr/sbin/uacme; do [ -e $p ] && mount --bind /dev/null $p; done"
    text = CHECKED.format(host="a.test", listen='["http://127.0.0.1:1", "https://127.0.0.1:2"]')
    found = check(text, tmp_path, "unshare", "-rm", "sh", "-c", f'{hide}; exec "$@"', "sh")
    assert found.returncode == 1
    assert "install it" in found.stderr and "weir.yaml:5" in found.stderr


def test_the_hook_is_no_way_out(tmp_path):
    """Whatever an authority says becomes a file of one folder, or nothing."""
    def hook(method, token, proof, folder=tmp_path):
        return subprocess.run([WEIR, method, "http-01", "a.test", token, proof], capture_output=True, timeout=20,
                              env={"UACME_CHALLENGE_PATH": str(folder)} if folder else {}).returncode
    assert hook("begin", "abc", "abc.def") == 0
    assert (tmp_path / "abc").read_text() == "abc.def"
    assert hook("done", "abc", "abc.def") == 0
    assert hook("begin", "../abc", "../abc.def") == 1
    assert hook("begin", "abc", "other.def") == 1
    assert hook("begin", "abc", "abc.def", None) == 1
    assert not list(tmp_path.iterdir())
