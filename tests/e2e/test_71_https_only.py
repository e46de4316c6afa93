# SPDX-License-Identifier: BSD-2-Clause
"""What a site says of https (DESIGN §2): https_only, hsts, who clients with certificates are, and weir serve --tls."""
import base64
import json
import os
import shutil
import ssl
import subprocess

import pytest

import certificates
from client import Connection
from recorder import Recorder
from server import ROOT, WEIR, Server, command, free_port, new_folder, wait_for

CONFIG = """
tls: { certificates: { certificate: server.pem, key: server.key } }
log: { access: { path: $folder/access.log, format: json } }
sites:
  - host: only.example.test
    listen: ["http://127.0.0.1:$port", "https://127.0.0.1:$port2"]
    root: root
    https_only: on
    hsts: 365d
    routes: { /health: { https_only: off } }
  - host: both.example.test
    listen: ["http://127.0.0.1:$port", "https://127.0.0.1:$port2"]
    root: root
    hsts: { max_age: 30d, include_subdomains: on }
    proxy: "127.0.0.1:$backend"
  - host: known.example.test
    listen: "https://127.0.0.1:$port2"
    proxy: "127.0.0.1:$backend"
    tls: { client_auth: optional, client_ca: ca.pem }
  - host: must.example.test
    listen: "https://127.0.0.1:$port2"
    proxy: "127.0.0.1:$backend"
    tls: { client_auth: required, client_ca: ca.pem }
  - host: newest.example.test
    listen: "https://127.0.0.1:$port2"
    root: root
    tls: { min_version: "1.3" }
  - host: modern.example.test
    listen: "https://127.0.0.1:$port2"
    root: root
    tls: { priorities: modern }
  - host: chosen.example.test
    listen: "https://127.0.0.1:$port2"
    root: root
    tls: { priorities: "NORMAL:-VERS-TLS1.2" }
  - host: older.example.test
    listen: "https://127.0.0.1:$port2"
    root: root
    tls: { priorities: "NORMAL:-VERS-TLS1.3" }
"""
SUBJECT = [("ORGANIZATION_NAME", "Weir, Ltd"), ("COMMON_NAME", "Jörg <a@b>")]


@pytest.fixture(scope="module")
def server():
    recorder = Recorder()
    with recorder_and_weir(recorder) as made:
        yield made
    recorder.close()


def recorder_and_weir(recorder):
    made = Server(CONFIG, values={"backend": recorder.port})
    certificates.lay_out(made.folder)
    (made.root / "a.txt").write_text("a")
    return made


def ask(server, host, path="/", tls=None, fields=(), port=None, name=None):
    port = port or server.ports["port2" if tls else "port"]
    with Connection(port, tls=tls, name=name or host) as connection:
        return connection.get(path, host=host, fields=dict(fields))


# --- https_only and hsts. ---

@pytest.mark.parametrize("path", ["/", "/a.txt", "/a%20b?x=1&y=%2F", "/none"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_in_clear_there_is_only_a_redirect(server, path, method):
    with Connection(server.port) as connection:
        connection.send(f"{method} {path} HTTP/1.1\r\nHost: only.example.test:{server.port}\r\nContent-Length: 0\r\n\r\n".encode())
        answer = connection.read(method)
    assert answer.status == 308
    assert answer.get("Location") == f"https://only.example.test:{server.ports['port2']}{path}"
    assert not answer.all("Strict-Transport-Security")  # RFC 6797, 7.2


def test_challenges_and_routes_that_differ_are_answered_in_clear(server):
    assert ask(server, "only.example.test", "/.well-known/acme-challenge/x").status == 404
    assert ask(server, "only.example.test", "/health").status == 404
    assert ask(server, "only.example.test", "/.well-known/acme-challenge/../a.txt").status == 308
    assert ask(server, "both.example.test", "/a.txt").status == 200


@pytest.mark.parametrize("path, status", [("/a.txt", 200), ("/none", 404)])
def test_hsts_is_said_over_tls_alone(server, path, status):
    assert "hsts" not in command("check", "-c", server.file).stderr
    tls = certificates.context()
    answer = ask(server, "only.example.test", path, tls)
    assert (answer.status, answer.get("Strict-Transport-Security")) == (status, "max-age=31536000")
    for _ in range(2):  # a file that stands ready is one block for all
        assert not ask(server, "both.example.test", "/a.txt").all("Strict-Transport-Security")
        answer = ask(server, "both.example.test", "/a.txt", tls)
        assert answer.get("Strict-Transport-Security") == "max-age=2592000; includeSubDomains"
    assert not ask(server, "both.example.test", "/x").all("Strict-Transport-Security")


def test_the_port_of_the_scheme_is_left_out(tmp_path):
    (tmp_path / "weir.yaml").write_text(
        "tls: { certificates: { certificate: server.pem, key: server.key } }\n"
        "sites: [{ host: localhost, listen: [\"http://:80\", \"https://:8443\", \"https://:443\"], root: ., https_only: on }]\n")
    certificates.lay_out(tmp_path)
    told = json.loads(command("explain", "-c", tmp_path / "weir.yaml", "--json", "http://localhost/x?y").stdout)
    assert told["answer"]["status"] == 308 and told["answer"]["location"] == "https://localhost/x?y"


def test_https_only_needs_https(tmp_path):
    file = tmp_path / "weir.yaml"
    file.write_text("sites: [{ listen: \"http://:80\", root: ., https_only: on }]\n")
    run = command("check", "-c", file)
    assert run.returncode == 1 and "this site has no address with https" in run.stderr
    file.write_text("clients: { trusted_proxies: [\"10.0.0.0/8\"] }\nsites: [{ listen: \"http://:80\", root: ., https_only: on }]\n")
    assert command("check", "-c", file).returncode == 0


# --- Names and rules. ---

@pytest.mark.parametrize("name, host, status", [
    ("both.example.test", "both.example.test", 404), ("both.example.test", "only.example.test", 404),
    ("both.example.test", "known.example.test", 421), ("both.example.test", "must.example.test", 421),
    ("known.example.test", "both.example.test", 421), ("known.example.test", "must.example.test", 421),
    ("unknown.example.test", "must.example.test", 421), ("known.example.test", "known.example.test", 200)])
def test_a_name_with_other_rules_is_misdirected(server, name, host, status):
    """Issue: what a connection may do was judged by the name that it was made for."""
    assert ask(server, host, "/none.txt", certificates.context(), name=name).status in (status, 200 if status == 404 else status)


@pytest.mark.parametrize("host", ["newest.example.test", "modern.example.test", "chosen.example.test"])
def test_a_name_that_wants_a_newer_version_is_misdirected(server, host):
    older = certificates.context(maximum=ssl.TLSVersion.TLSv1_2)
    assert ask(server, host, "/a.txt", older, name="both.example.test").status == 421
    assert ask(server, host, "/a.txt", certificates.context(), name="both.example.test").status == 200
    assert ask(server, "both.example.test", "/a.txt", certificates.context(), name=host).status == 200


def test_a_name_that_wants_an_older_version_is_misdirected(server):
    older = certificates.context(maximum=ssl.TLSVersion.TLSv1_2)
    assert ask(server, "older.example.test", "/a.txt", certificates.context(), name="both.example.test").status == 421
    assert ask(server, "older.example.test", "/a.txt", older, name="both.example.test").status == 200
    assert ask(server, "older.example.test", "/a.txt", certificates.context()).status == 200


# --- Clients with certificates. ---

def seen(answer):
    """What the backend was told, by names in lower case."""
    assert answer.status == 200
    fields = {}
    for name, value in json.loads(answer.body)["fields"]:
        fields.setdefault(name.lower(), []).append(value)
    return fields


FORGED = {"Client-Cert": ":AAAA:", "X-Client-Subject": "CN=admin", "X-Client-Verify": "SUCCESS", "Client-Cert-Chain": ":AAAA:",
          "CLIENT-CERT": ":BBBB:", "client_cert": ":CCCC:", "X_Client_Subject": "CN=admin", "X.Client.Subject": "CN=admin",
          "X~Client!Verify": "SUCCESS", "x-client-verify": "SUCCESS", "X-Client-Cert": "x"}


def client(folder, **options):
    one = certificates.authority().issue(client=True, **options)
    return one, certificates.context(client=one, folder=folder)


def claims(fields):
    return {name: value for name, value in fields.items() if "client" in "".join(c for c in name if c.isalnum())}


def test_backends_are_told_of_a_verified_client(server, tmp_path):
    one, tls = client(tmp_path, subject=SUBJECT)
    for host in ("known.example.test", "must.example.test"):
        told = claims(seen(ask(server, host, "/x", tls, FORGED)))
        assert told == {"client-cert": [f":{base64.b64encode(one.der).decode()}:"], "x-client-verify": ["SUCCESS"],
                        "x-client-subject": [told["x-client-subject"][0]]}
        assert told["x-client-subject"][0].isascii()
        assert "CN=J\\C3\\B6rg" in told["x-client-subject"][0] and "O=Weir\\, Ltd" in told["x-client-subject"][0]


def test_backends_are_told_that_nobody_was_verified(server):
    told = claims(seen(ask(server, "known.example.test", "/x", certificates.context(), FORGED)))
    assert told == {"x-client-verify": ["NONE"]}


@pytest.mark.parametrize("encrypted", [False, True])
def test_nobody_says_so_himself(server, tmp_path, encrypted):
    """Where no certificates are asked for, backends hear of none, however the fields are spelt."""
    tls = client(tmp_path)[1] if encrypted else None
    told = seen(ask(server, "both.example.test", "/x", tls, FORGED))
    assert claims(told) == {}
    assert told["x-forwarded-proto"] == ["https" if encrypted else "http"]


def test_without_a_certificate_nobody_comes_in(server, tmp_path):
    with pytest.raises(Exception):  # the alert may come with the first read
        ask(server, "must.example.test", "/x", certificates.context())
    stranger = certificates.stranger().issue(client=True, subject="x")
    with pytest.raises(Exception):
        ask(server, "must.example.test", "/x", certificates.context(client=stranger, folder=tmp_path))


def test_the_log_names_version_and_client(server, tmp_path):
    _, tls = client(tmp_path, subject="somebody")
    ask(server, "must.example.test", "/logged", tls)

    def line():
        lines = [json.loads(text) for text in server.access_lines(1)]
        return next((one for one in lines if one["target"] == "/logged"), None)

    found = wait_for(line, what="the line")
    assert (found["tls"], found["client_subject"]) == ("tls1.3", "CN=somebody")
    ask(server, "both.example.test", "/in-clear")
    clear = wait_for(lambda: next((one for one in map(json.loads, server.access_lines(1)) if one["target"] == "/in-clear"), None))
    assert (clear["tls"], clear["client_subject"]) == ("", "")


# --- weir explain. ---

def test_explain_tells_the_certificate(server):
    url = f"https://both.example.test:{server.ports['port2']}/a.txt"
    told = json.loads(command("explain", "-c", server.file, "--json", url).stdout)
    assert told["tls"]["name"] == "both.example.test" and told["tls"]["client_auth"] == "off"
    assert str(server.folder / "server.pem") in told["tls"]["certificates"][0]
    assert any(field == "Strict-Transport-Security: max-age=2592000; includeSubDomains" for field in told["answer"]["fields"])
    told = json.loads(command("explain", "-c", server.file, "--json", "-H", "Host: must.example.test", url).stdout)
    assert told["answer"]["status"] == 421


# --- weir serve --tls. ---

def test_serve_makes_a_certificate_that_is_believed_once_its_authority_is():
    """As another than root, whose data folder is known: root's is the machine's."""
    folder = new_folder()
    (folder / "a.txt").write_text("hello")
    home, program, account = folder / "home", WEIR, {}
    home.mkdir()
    if ROOT:
        program = shutil.copy(WEIR, folder / "weir")
        os.chown(home, 65534, 65534)
        account = {"user": 65534, "group": 65534, "extra_groups": []}
    port = free_port()
    environment = dict(os.environ, HOME=str(home), XDG_DATA_HOME=str(home), XDG_RUNTIME_DIR=str(home))
    process = subprocess.Popen([program, "serve", str(folder), "--tls", "-l", f"127.0.0.1:{port}"], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True, **account)
    try:
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        local = home / "weir" / "local"
        path = local / "authority.pem"
        assert f"https://127.0.0.1:{port}" in said and f"curl --cacert {path}" in said and "update-ca-certificates" in said
        for key in ("authority.key", "localhost.key"):
            assert (local / key).stat().st_mode & 0o777 == 0o600
        run = subprocess.run(["curl", "-sS", "--cacert", str(path), f"https://127.0.0.1:{port}/a.txt"], capture_output=True,
                             text=True, timeout=20, check=False)
        assert (run.returncode, run.stdout) == (0, "hello"), run.stderr
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()
        shutil.rmtree(folder)
