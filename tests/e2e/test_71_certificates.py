# SPDX-License-Identifier: BSD-2-Clause
"""Certificates on disk (DESIGN §4): looked at when a configuration is read, taken up by themselves when they change, whole or not at all,
told of in `weir status`, stapled with their OCSP responses."""
import datetime
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest

import certificates
from client import Connection
from server import ROOT, Server, command, wait_for

CONFIG = """
tls: { certificates: { certificate: server.pem, key: server.key, ocsp: server.ocsp } }
sites:
  - { host: [localhost, example.test], listen: "https://127.0.0.1:$port", root: root }
"""
SECONDS = datetime.timedelta(seconds=1) / certificates.DAY


def shown(server, name="localhost", port="port"):
    """The serial number of the certificate that a new connection is shown."""
    context = certificates.context(verify=False)
    with socket.create_connection(("127.0.0.1", server.ports[port]), 10) as plain:
        with context.wrap_socket(plain, server_hostname=name) as encrypted:
            return certificates.x509.load_der_x509_certificate(encrypted.getpeercert(True)).serial_number


def issue(number=0, kind="ecdsa", **options):
    return certificates.authority().issue(*certificates.NAMES, kind=kind, number=number, **options)


@pytest.fixture
def server():
    """A weir with one certificate, `first`."""
    made = Server(CONFIG)
    made.first = issue()
    made.first.write(made.folder)
    with made:
        yield made


def told(server, pattern, count=1, seconds=15):
    """Waits until the log has that many lines with the pattern."""
    return wait_for(lambda: (found := re.findall(pattern, server.log())) and len(found) >= count and found, seconds, pattern)


# --- Renewal. ---

def test_a_renewed_certificate_is_shown_without_a_reload(server):
    """Issue: seen within seconds, by whoever connects then; who is connected stays."""
    (server.root / "a.txt").write_text("a")
    with Connection(server.port, tls=certificates.context(), name="localhost") as old:
        assert old.get("/a.txt", host="localhost").status == 200
        second = issue(number=1)
        second.write(server.folder)
        wait_for(lambda: shown(server) == second.serial, 10, "the second certificate")
        assert old.get("/a.txt", host="localhost").status == 200
    third = issue(number=1)  # the same key again
    certificates.replace(server.folder / "server.pem", third.pem)
    wait_for(lambda: shown(server) == third.serial, 10, "the third certificate")
    assert len(told(server, "was renewed: it is valid until", 2)) == 2
    assert "error" not in server.log()


@pytest.mark.skipif(not ROOT, reason="who may read a key is a question of rights")
def test_keys_that_only_root_may_read(server):
    second = issue(number=1)
    _, key = second.write(server.folder)
    assert key.stat().st_mode & 0o777 == 0o600 and key.stat().st_uid == 0
    wait_for(lambda: shown(server) == second.serial, 10, "the second certificate")


def test_half_of_a_pair_keeps_the_old_one(server):
    """One line in the log for what does not fit, and the rest makes it good."""
    second = issue(number=1)
    certificates.replace(server.folder / "server.pem", second.pem)
    told(server, "does not belong to the certificate .*server.pem: what was there before serves on")
    assert shown(server) == server.first.serial
    os.utime(server.folder / "server.pem")  # looked at again, and not told again
    certificates.replace(server.folder / "server.key", second.key_pem, 0o600)
    wait_for(lambda: shown(server) == second.serial, 10, "the second certificate")
    assert server.log().count("serves on") == 1


@pytest.mark.parametrize("written, word", [
    (lambda made: made.pem[:-40], "damaged|cut off|no certificate"), (lambda made: b"", "is empty"),
    (lambda made: made.pem + b"-----BEGIN CERTIFICATE-----\nMIIB", "cut off|damaged"), (lambda made: made.der, "is DER"),
    (lambda made: made.key_pem, "holds a key"),
], ids=["cut", "empty", "half a chain", "der", "key"])
def test_what_is_no_certificate_keeps_the_old_one(server, written, word):
    certificates.replace(server.folder / "server.pem", written(issue()))
    told(server, f"server.pem .*({word}).*: what was there before serves on")
    assert shown(server) == server.first.serial
    third = issue(number=2)
    third.write(server.folder)
    wait_for(lambda: shown(server) == third.serial, 10, "what came after")


def test_a_file_that_is_gone_keeps_the_old_one(server):
    (server.folder / "server.pem").unlink()
    told(server, "cannot read .*server.pem: No such file or directory: what was there before serves on")
    assert shown(server) == server.first.serial


def test_written_in_place(server):
    """As `cp` does it: no new file, the old one with other octets."""
    second = issue(number=0)
    with open(server.folder / "server.pem", "r+b") as file:
        file.truncate()
        file.write(second.pem)
    wait_for(lambda: shown(server) == second.serial, 10, "the second certificate")


def test_links_that_are_switched():
    """As certbot lays them out: live/NAME/cert.pem leads to archive/NAME/certN.pem; and a folder that is a link."""
    made = Server("""
tls: { certificates: { certificate: live/cert.pem, key: live/cert.key } }
sites: [{ listen: "https://127.0.0.1:$port", root: root }]
""")
    first, second, third = issue(), issue(number=1), issue(number=2)
    for name, one in (("a", first), ("b", second), ("c", third)):
        (made.folder / name).mkdir()
        one.write(made.folder / name, "cert")
    live = made.folder / "live"
    live.symlink_to("a")
    with made:
        assert shown(made) == first.serial
        new = made.folder / "new"
        new.symlink_to("b")
        os.replace(new, live)
        wait_for(lambda: shown(made) == second.serial, 10, "the second certificate")
        for file in ("cert.key", "cert.pem"):
            link = made.folder / "b" / f"{file}.new"
            link.symlink_to(made.folder / "c" / file)
            os.replace(link, made.folder / "b" / file)
        wait_for(lambda: shown(made) == third.serial, 10, "the third certificate")


def test_other_authorities_of_clients():
    made = Server("""
tls: { certificates: { certificate: server.pem, key: server.key }, client_auth: required, client_ca: clients.pem }
sites: [{ listen: "https://127.0.0.1:$port", root: root }]
""")
    issue().write(made.folder)
    certificates.replace(made.folder / "clients.pem", certificates.stranger().alone)
    client = certificates.authority().issue(client=True, subject="somebody")
    context = certificates.context(client=client, folder=made.folder)

    def status():
        try:
            with Connection(made.port, tls=context, name="localhost") as connection:
                return connection.get("/", host="localhost").status
        except Exception:  # whatever the library makes of the alert
            return None

    with made:
        assert status() is None
        certificates.replace(made.folder / "clients.pem", certificates.authority().alone)
        wait_for(lambda: status() == 404, 10, "the client is let in")
        told(made, "the authorities in .*clients.pem were taken up")


# --- Crash and reload. ---

def worker_of(server):
    workers = json.loads(command("status", "--json", "-c", server.file).stdout)["workers"]
    return [one["pid"] for one in workers if one["state"] == "serving"][0]


def crash(server):
    old = worker_of(server)
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: shown_or_none(server) is not None and worker_of(server) != old, 15, "another worker")


def shown_or_none(server):
    try:
        return shown(server)
    except (OSError, ssl.SSLError):
        return None


def test_after_a_crash_what_was_renewed_is_shown(server):
    second = issue(number=1)
    second.write(server.folder)
    wait_for(lambda: shown(server) == second.serial, 10, "the second certificate")
    crash(server)
    wait_for(lambda: shown(server) == second.serial, 10, "the second certificate again")
    server.expect_restart()


def test_a_crash_while_half_of_a_pair_is_there(server):
    """Nothing that is on disk keeps it from serving."""
    (server.folder / "server.key").write_bytes(b"")
    certificates.replace(server.folder / "server.pem", b"nothing")
    told(server, "serves on")
    crash(server)
    assert shown(server) is not None
    second = issue(number=1)
    second.write(server.folder)
    wait_for(lambda: shown(server) == second.serial, 45, "the second certificate")
    server.expect_restart()


def test_a_reload_with_a_bad_pair_costs_nothing(server):
    certificates.replace(server.folder / "server.key", issue(number=1).key_pem, 0o600)
    run = command("reload", "-c", server.file)
    assert run.returncode == 1
    assert "server.key does not belong to the certificate" in run.stderr + run.stdout
    assert "weir.yaml:" in run.stderr + run.stdout
    assert shown(server) == server.first.serial


# --- OCSP. ---

def stapled(server):
    """What `openssl s_client -status` says of the response."""
    run = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", "localhost", "-status"],
                         input=b"", capture_output=True, timeout=20, check=False)
    text = run.stdout.decode(errors="replace")
    found = re.search(r"Cert Status: (\w+)", text)
    return found.group(1) if found else "none" if "no response sent" in text else text


def test_a_response_is_stapled_when_it_comes_and_until_it_expires(server):
    authority, file = certificates.authority(), server.folder / "server.ocsp"
    assert stapled(server) == "none"
    certificates.replace(file, authority.response(server.first))
    wait_for(lambda: stapled(server) == "good", 10, "a response")
    status = json.loads(command("status", "--json", "-c", server.file).stdout)["certificates"][0]
    assert abs(status["ocsp_ends"] - time.time() - 7 * 86400) < 3600
    certificates.replace(file, authority.response(server.first, ends=6 * SECONDS))
    wait_for(lambda: stapled(server) == "none", 20, "no response: it has expired")
    certificates.replace(file, authority.response(server.first))
    wait_for(lambda: stapled(server) == "good", 10, "a response again")
    file.unlink()
    wait_for(lambda: stapled(server) == "none", 10, "no response: it is gone")


@pytest.mark.parametrize("response, word", [
    (lambda one: certificates.authority().response(one, "revoked"), "the certificate is revoked"),
    (lambda one: certificates.authority().response(one, "unknown"), "does not know the certificate"),
    (lambda one: certificates.authority().response(one, begins=-9, ends=-1), "has expired"),
    (lambda one: certificates.authority().response(issue(number=3)), "about another certificate"),
], ids=["revoked", "unknown", "expired", "another"])
def test_responses_that_help_nobody_are_not_shown(server, response, word):
    certificates.replace(server.folder / "server.ocsp", response(server.first))
    told(server, f"server.ocsp .*{word}")
    assert stapled(server) == "none"


# --- What is told. ---

def test_status_and_the_log_tell_when_certificates_expire():
    made = Server("""
tls:
  certificates:
    - { certificate: far.pem, key: far.key }
    - { certificate: soon.pem, key: soon.key }
    - { certificate: gone.pem, key: gone.key }
sites: [{ host: [far.test, soon.test, gone.test], listen: "https://127.0.0.1:$port", root: root }]
""")
    authority = certificates.authority()
    for name, begins, ends in (("far", -1, 300), ("soon", -80, 5.5), ("gone", -90, -2)):
        authority.issue(f"{name}.test", begins=begins, ends=ends, number=9).write(made.folder, name)
    with made:
        told(made, r"warn.*soon.pem \(soon.test\) expires in 5 days")
        told(made, r"error.*gone.pem \(gone.test\) has expired: clients refuse it")
        assert "far.pem" not in made.log()
        rows = json.loads(command("status", "--json", "-c", made.file).stdout)["certificates"]
        assert [row["names"] for row in rows] == [["far.test"], ["soon.test"], ["gone.test"]]
        assert all("weir test root" in row["issuer"] and not row["self_signed"] and not row["stand_in"] for row in rows)
        assert abs(rows[1]["ends"] - time.time() - 5.5 * 86400) < 600
        text = command("status", "-c", made.file).stdout
        assert re.search(r"far\.test +expires in (299|300)d", text) and re.search(r"gone\.test +expired (1d 23h|2d 0h) ago", text)


def test_check_tells_where_it_is_written(tmp_path):
    """One of many that tests/unit/io/tls_load.c holds: the command does as a start would."""
    issue().write(tmp_path)
    issue(number=1).write(tmp_path, "other")
    file = tmp_path / "weir.yaml"
    file.write_text("tls:\n  certificates:\n    - { certificate: server.pem, key: other.key }\n"
                    "sites: [{ listen: \"https://127.0.0.1:1\" }]\n")
    run = command("check", "-c", file)
    assert run.returncode == 1
    assert f"{file}:3:39: error: the key {tmp_path}/other.key does not belong to the certificate {tmp_path}/server.pem" in run.stderr
    run = command("run", "-c", file)
    assert run.returncode == 1 and ":3:39: error: the key" in run.stderr
