# SPDX-License-Identifier: BSD-2-Clause
"""Real clients of TLS: curl, openssl s_client, gnutls-cli, a browser, and testssl.sh, which finds nothing but that the certificate is a test's."""
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import certificates
import material
from certificates import authority
from secure import Secure

CONFIG = """
threads: 2
tls: { certificates: [{ certificate: ecdsa.pem, key: ecdsa.key, ocsp: ecdsa.ocsp }, { certificate: rsa.pem, key: rsa.key }] }
sites:
  - { listen: "https://127.0.0.1:$port", root: root }
  - { host: needs.example.test, listen: "https://127.0.0.1:$port", root: root, tls: { certificates: { certificate: ecdsa.pem,
      key: ecdsa.key }, client_auth: required, client_ca: ca.pem } }
"""


@pytest.fixture(scope="module")
def server():
    made = Secure(CONFIG)
    between = authority().intermediate()
    certificate = between.issue(*certificates.NAMES)
    made.put("ecdsa", certificate)
    certificates.replace(made.folder / "ecdsa.ocsp", between.response(certificate))
    authority().issue(client=True, subject="me").write(made.folder, "me")
    with made:
        yield made


def wanted(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


def run(server, *arguments, data="", seconds=20, **options):
    return subprocess.run([str(one) for one in arguments], input=data, capture_output=True, text=True, errors="backslashreplace",
                          timeout=seconds, cwd=server.folder, check=False, **options)


# --- curl ---

def curl(server, *options, name="localhost", path="/"):
    return run(server, "curl", "--disable", "-sS", "--noproxy", "*", "--cacert", "ca.pem", "--max-time", "10", "--resolve",
               f"*:{server.port}:127.0.0.1", "-w", "\n%{http_version} %{ssl_verify_result}", *options, f"https://{name}:{server.port}{path}")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "example.test", "www.example.test"])
@pytest.mark.parametrize("version", ["--tlsv1.3", "--tls-max=1.2"])
def test_curl_verifies(server, name, version):
    options = ["--tls-max", "1.2"] if "=" in version else [version]
    got = curl(server, "--http1.1", *options, name=name)
    assert (got.returncode, got.stdout) == (0, "hello\n\n1.1 0"), got.stderr


def test_curl_refuses_other_names(server):
    got = curl(server, name="elsewhere.test")
    assert got.returncode == 60, got.stderr


def test_curl_sees_the_stapled_response(server):
    got = curl(server, "--cert-status", "-v")
    assert got.returncode == 0 and got.stdout.startswith("hello\n"), got.stderr


@pytest.mark.parametrize("options", [["--tls-max", "1.1"], ["--ciphers", "AES128-SHA:AES256-SHA", "--tls-max", "1.2"],
                                     ["--ciphers", "ECDHE-RSA-AES128-SHA256", "--tls-max", "1.2"]])
def test_curl_gets_nothing_weak(server, options):
    got = curl(server, *options)
    assert got.returncode == 35, got.stderr


def test_curl_with_a_certificate(server):
    got = curl(server, "--cert", "me.pem", "--key", "me.key", name="needs.example.test")
    assert got.returncode == 0 and got.stdout.startswith("hello\n"), got.stderr
    got = curl(server, name="needs.example.test")
    assert got.returncode in (35, 56) and not got.stdout.startswith("hello"), got.stderr


def test_curl_over_http2(server):
    """A name's connection and a host with other rules for clients: misdirected, as over HTTP/1.1; the rest is served."""
    got = curl(server, "--http2")
    assert got.stdout == "hello\n\n2 0", got.stderr
    got = curl(server, "--http2", "-H", "Host: needs.example.test", "-o", "/dev/null", "-w", "%{http_code} %{http_version}")
    assert got.stdout == "421 2", got.stdout + got.stderr
    got = curl(server, "--http2", "--cert", "me.pem", "--key", "me.key", name="needs.example.test")
    assert got.stdout == "hello\n\n2 0", got.stderr


def test_curl_keeps_connections_and_sessions(server):
    url = f"https://localhost:{server.port}/"
    got = run(server, "curl", "--disable", "-sS", "-v", "--http1.1", "--cacert", "ca.pem", *[url] * 20)
    assert got.stdout == "hello\n" * 20 and got.stderr.count("TLS handshake, Server hello") == 1, got.stderr[-2000:]


# --- openssl ---

def s_client(server, *options, data="GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):
    return run(server, "openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", "ca.pem", "-verify_return_error",
               "-verify_hostname", "localhost", "-servername", "localhost", "-ign_eof", *options, data=data)


@wanted("openssl")
@pytest.mark.parametrize("options", [["-tls1_3"], ["-tls1_2"], ["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"],
    ["-groups", "P-384"], ["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], ["-sigalgs", "RSA-PSS+SHA256"], ["-status"],
    ["-split_send_frag", "10", "-max_send_frag", "600"], ["-no_ticket"], ["-legacy_renegotiation"], ["-comp"]])
def test_openssl(server, options):
    got = s_client(server, *options)
    assert "hello" in got.stdout and "Verify return code: 0 (ok)" in got.stdout, got.stdout[-2000:] + got.stderr[-1000:]
    assert "Compression: NONE" in got.stdout
    if "-status" in options:
        assert "Cert Status: good" in got.stdout


@wanted("openssl")
def test_openssl_renegotiates_nothing(server):
    """R asks for a renegotiation; what is asked behind it is not answered in a second handshake."""
    got = run(server, "openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_2", "-CAfile", "ca.pem", data="R\n")
    assert "RENEGOTIATING" in got.stdout + got.stderr
    assert "no renegotiation" in got.stderr or "alert" in got.stderr or "error" in got.stderr, got.stderr
    assert "Secure Renegotiation IS supported" in got.stdout


@wanted("openssl")
@pytest.mark.parametrize("version", ["-tls1_3", "-tls1_2"])
def test_openssl_resumes(server, version):
    """Its own session file, on another connection."""
    first = s_client(server, version, "-sess_out", "session.pem")
    assert "New, TLSv1" in first.stdout
    second = s_client(server, version, "-sess_in", "session.pem")
    assert "Reused, TLSv1" in second.stdout and "hello" in second.stdout, second.stdout[-2000:]


@wanted("openssl")
def test_openssl_offers_no_early_data(server):
    s_client(server, "-tls1_3", "-sess_out", "early.pem")
    (server.folder / "early.txt").write_text("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    got = s_client(server, "-tls1_3", "-sess_in", "early.pem", "-early_data", "early.txt")
    assert "Early data was accepted" not in got.stdout, got.stdout[-1000:]


@wanted("openssl")
@pytest.mark.parametrize("options, alert", [(["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "protocol version"),
    (["-alpn", "x"], "no application protocol"), (["-tls1_2", "-cipher", "AES128-GCM-SHA256"], "handshake failure"),
    (["-tls1_2", "-fallback_scsv"], "inappropriate fallback")])
def test_openssl_is_told_why(server, options, alert):
    got = s_client(server, *options)
    assert f"alert {alert}" in got.stderr, got.stderr


# --- gnutls-cli ---

def gnutls(server, *options, data="GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):
    """All that it prints. It leaves when its input ends, so that stays open until the server ends."""
    command = ["gnutls-cli", "--x509cafile", "ca.pem", "--verify-hostname", "localhost", "--sni-hostname", "localhost", "--no-ocsp",
               "-p", str(server.port), *options, "127.0.0.1"]
    with open(server.folder / "said.txt", "w+b") as said:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said, cwd=server.folder) as process:
            try:
                process.stdin.write(data.encode())
                process.stdin.flush()
                process.wait(20)
            finally:
                process.kill()
        said.seek(0)
        return said.read().decode("utf-8", "backslashreplace")


@wanted("gnutls-cli")
@pytest.mark.parametrize("options", [[], ["--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2"], ["--priority",
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-SECP256R1"], ["--alpn", "http/1.1"], ["--recordsize", "512"],
    ["--resume", "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2"], ["--recordsize", "1000"],
    ["--x509certfile", "me.pem", "--x509keyfile", "me.key"]])
def test_gnutls(server, options):
    got = gnutls(server, *options)
    assert "hello" in got and "The certificate is trusted" in got, got[-2500:]
    if "--resume" in options:
        assert "This is a resumed session" in got, got


@wanted("gnutls-cli-debug")
def test_gnutls_finds_nothing_odd(server):
    """Its list of what servers get wrong."""
    got = run(server, "gnutls-cli-debug", "-p", server.port, "--app-proto", "https", "127.0.0.1", seconds=100)
    said = dict(re.findall(r"^ *(?:for|whether) (.*?)\.\.\. (.*)$", got.stdout, re.MULTILINE))
    for wrong in ("TLS 1.0 (RFC2246) support", "TLS 1.1 (RFC4346) support", "RSA key exchange support", "heartbeat (RFC6520) support",
                  "anonymous authentication support", "ephemeral Diffie-Hellman support", "AES-CBC cipher (RFC3268) support",
                  "3DES-CBC cipher (RFC2246) support", "ARCFOUR 128 cipher (RFC2246) support", "MD5 MAC support",
                  "we need to disable TLS 1.2", "%NO_EXTENSIONS is required"):
        assert said[wrong] == "no", f"{wrong}: {said[wrong]}\n{got.stdout}"
    for right in ("TLS 1.2 (RFC5246) support", "TLS 1.3 (RFC8446) support", "safe renegotiation (RFC5746) support",
                  "ext master secret (RFC7627) support", "the server supports session resumption", "curve X25519 (RFC8422)",
                  "the server understands TLS closure alerts", "small records (512 bytes) are tolerated on handshake",
                  "a bogus TLS record version in the client hello is accepted"):
        assert said[right] == "yes", f"{right}: {said[right]}\n{got.stdout}"


# --- testssl.sh ---

TESTSSL = shutil.which("testssl") or shutil.which("testssl.sh")
# What is of the certificate: an authority that only the test trusts, no transparency log, no revocation, a name for loopback.
OF_THE_CERTIFICATE = re.compile(
    r"cert_chain_of_trust|cert_trust|cert_caIssuers|cert_revocation|certificate_transparency|DNS_CAArecord|cert_crlDistributionPoints|cert_ocspURL"
    r"|cert_expirationStatus|cert_notAfter|cert_extlifeSpan|OCSP_stapling|cert_mustStapleExtension|cert_keyUsage|cert_extKeyUsage|cert_serial.*"
    r"|overall_grade|final_score|grade_cap.*|rating_.*|scanTime|engine_problem|scanProblem|intermediate_cert.*|cert_validityPeriod")
# What is of the site that answers: a test's page has no cookies and no policies. RSA and ECDSA side by side are no trouble.
OF_THE_SITE = re.compile(r"HSTS.*|HPKP.*|security_headers|banner_.*|cookie.*|BREACH|HTTP_.*|http_.*")


@pytest.mark.skipif(not TESTSSL, reason="testssl.sh is not installed")
def test_testssl_finds_nothing(server):
    """All its checks of the protocol, its ciphers and the named attacks, as JSON; nothing but OK and INFO."""
    file = server.folder / "testssl.json"
    got = run(server, TESTSSL, "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1", "--add-ca", "ca.pem",
              "--connect-timeout", "5", "--openssl-timeout", "5", "-p", "-s", "-P", "-f", "-S", "-U", "-g", "--jsonfile", file,
              f"https://localhost:{server.port}/", seconds=280)
    found = json.loads(file.read_text(encoding="utf-8"))
    assert len(found) > 60, got.stdout[-3000:] + got.stderr[-1000:]
    bad = [one for one in found if one["severity"] not in ("OK", "INFO", "DEBUG") and not re.match(OF_THE_CERTIFICATE, one["id"])
           and not re.match(OF_THE_SITE, one["id"])]
    assert not bad, "\n".join(f"{one['id']}: {one['severity']}: {one['finding']}" for one in bad)
    ids = {one["id"]: one["finding"] for one in found}
    for what in ("heartbleed", "CCS", "ticketbleed", "ROBOT", "secure_renego", "secure_client_renego", "CRIME_TLS", "POODLE_SSL", "fallback_SCSV",
                 "SWEET32", "FREAK", "DROWN", "LOGJAM", "BEAST", "LUCKY13", "RC4"):
        assert what in ids, f"{what} was not looked at"


# --- Chromium ---

BROWSE = """
const { createRequire } = require("module");
const path = require("path");
const [folder, executablePath, url, spki] = process.argv.slice(2);
const { chromium } = createRequire(path.join(folder, "package.json"))("playwright-core");
(async () => {
	const said = {};
	const browser = await chromium.launch({ executablePath, headless: true, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-proxy-server", `--ignore-certificate-errors-spki-list=${spki}`] });
	try {
		const page = await browser.newPage();
		const answer = await page.goto(url, { waitUntil: "load" });
		said.status = answer.status();
		said.security = await answer.securityDetails();
		said.text = (await page.textContent("body")).trim();
		said.protocol = await page.evaluate(() => performance.getEntriesByType("navigation")[0].nextHopProtocol);
		said.secure = await page.evaluate(() => isSecureContext);
	} catch (error) {
		said.error = String(error);
	} finally {
		await browser.close();
	}
	console.log(JSON.stringify(said));
})();
"""


@pytest.fixture(scope="module")
def browsed(server):
    """What the browser says. It trusts the key of the server's certificate, as it would the authority in a profile of its own."""
    import base64
    import hashlib
    if not os.access(material.CHROMIUM, os.X_OK):
        pytest.skip(f"{material.CHROMIUM} is not installed")
    try:
        folder = material.prepare()
    except material.Missing as reason:
        pytest.skip(str(reason))
    script = Path(server.folder, "browse.cjs")
    script.write_text(BROWSE)
    home = server.folder / "home"
    home.mkdir(exist_ok=True)
    pin = base64.b64encode(hashlib.sha256(certificates.server_certificate("ecdsa").spki).digest()).decode()
    got = run(server, "node", script, folder, material.CHROMIUM, f"https://localhost:{server.port}/", pin, seconds=90,
              env=dict(os.environ, HOME=str(home), XDG_CONFIG_HOME=str(home), XDG_CACHE_HOME=str(home)))
    assert got.returncode == 0, got.stderr[-2000:]
    return json.loads(got.stdout)


def test_a_browser(browsed):
    assert "error" not in browsed, browsed["error"]
    assert (browsed["status"], browsed["text"], browsed["secure"]) == (200, "hello", True)
    assert browsed["security"]["protocol"] == "TLS 1.3"
    assert browsed["protocol"] in ("h2", "http/1.1")
