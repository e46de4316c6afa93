# SPDX-License-Identifier: BSD-2-Clause
"""`clients: { trusted_proxies }`: who is believed about the client, and what backends and logs are told (DESIGN §2; RFC 7239)."""
import json

import pytest

from client import PROTOCOLS, SCHEMES, Connection, connect
from origin import Origin
from server import Server, command, new_folder

CONFIG = """
clients: { trusted_proxies: [127.0.0.1, "127.9.0.0/16", "10.0.0.0/8", "::1"$unix] }
log: { error: { path: stderr, level: info }, access: { path: $folder/access.log, format: json } }
sites:
  - listen: ["http://127.0.0.1:$port", "https://127.0.0.1:$port_tls", "http://[::1]:$port2", "https://[::1]:$port2_tls",
      "http://unix:$folder/weir.sock"]
    proxy: "$address"
"""
OURS = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded")


class Stage:
    def __init__(self, unix=""):
        self.origin = Origin()
        self.weir = Server(CONFIG, values={"address": self.origin.address, "unix": unix}, secure=True)
        self.lines = 0

    def __enter__(self):
        self.origin.__enter__()
        self.weir.__enter__()
        return self

    def __exit__(self, *exception):
        self.weir.__exit__(*exception)
        self.origin.__exit__(*exception)

    def ask(self, fields=(), source=None, port=None, host="127.0.0.1", proto=None):
        """One request: what the backend was told, the log's line, the answer."""
        with connect(port or self.weir.port, proto, source=source, host=host) as connection:
            answer = connection.get("/", fields=fields, host="shown.example:81")
        self.lines += 1
        line = json.loads(self.weir.access_lines(self.lines)[self.lines - 1])
        head = self.origin.heads[-1]
        return tuple(head.get(name) for name in OURS), line, head, answer


@pytest.fixture(scope="module")
def stage():
    with Stage() as running:
        yield running


def test_without_a_word(stage, proto):
    told, line, _, _ = stage.ask()
    assert told == ("127.0.0.1", SCHEMES[proto], "shown.example:81",
                    f'for=127.0.0.1;host="shown.example:81";proto={SCHEMES[proto]}')
    assert line["client"] == "127.0.0.1" and "peer" not in line


def test_from_others_everything_is_replaced(stage, proto):
    told, line, head, _ = stage.ask({"X-Forwarded-For": "203.0.113.1", "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Host": "evil", "Forwarded": "for=203.0.113.1;proto=gopher", "X-Forwarded-Port": "1",
        "X-Real-IP": "203.0.113.1"}, source="127.0.0.2")
    scheme = SCHEMES[proto]
    assert told == ("127.0.0.2", scheme, "shown.example:81", f'for=127.0.0.2;host="shown.example:81";proto={scheme}')
    assert line["client"] == "127.0.0.2" and "peer" not in line
    assert head.get("X-Forwarded-Port") is None and head.get("X-Real-IP") is None


def test_the_rightmost_that_is_not_trusted(stage, proto):
    told, line, head, _ = stage.ask([("X-Forwarded-For", "1.1.1.1, 203.0.113.5"), ("X-Forwarded-For", "10.0.0.2:55"),
        ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "example.com"), ("X-Forwarded-Port", "1"), ("X-Real-IP", "1.1.1.1")])
    assert told == ("203.0.113.5, 10.0.0.2, 127.0.0.1", "https", "example.com",
                    "for=203.0.113.5;host=example.com;proto=https, for=10.0.0.2, for=127.0.0.1")
    assert (line["client"], line["peer"]) == ("203.0.113.5", "127.0.0.1")
    assert head.get("X-Forwarded-Port") is None and head.get("X-Real-IP") is None
    assert head.get("Host") == "shown.example:81"


def test_a_network(stage, proto):
    told, line, _, _ = stage.ask({"X-Forwarded-For": "203.0.113.5"}, source="127.9.8.7")
    assert told[0] == "203.0.113.5, 127.9.8.7"
    assert line["client"] == "203.0.113.5"


def test_forwarded(stage, proto):
    told, line, _, _ = stage.ask({"Forwarded": 'for=1.1.1.1;proto=http, for="[2001:db8::9]:123";proto=https;host="a.example:8443", '
                                  "for=10.1.1.1;proto=http"})
    assert told == ("2001:db8::9, 10.1.1.1, 127.0.0.1", "https", "a.example:8443",
                    'for="[2001:db8::9]";host="a.example:8443";proto=https, for=10.1.1.1, for=127.0.0.1')
    assert (line["client"], line["peer"]) == ("2001:db8::9", "127.0.0.1")


@pytest.mark.parametrize("name,value,client", [
    ("X-Forwarded-For", "unknown", "127.0.0.1"),
    ("X-Forwarded-For", "203.0.113.5, <script>", "127.0.0.1"),
    ("X-Forwarded-For", "203.0.113.5, x, 10.0.0.7", "10.0.0.7"),
    ("X-Forwarded-For", '"203.0.113.5', "127.0.0.1"),
    ("Forwarded", "for=203.0.113.5, for=_hidden", "127.0.0.1"),
    ("Forwarded", 'for="evil, for=203.0.113.5', "203.0.113.5"),
    ("Forwarded", "for=203.0.113.5;for=203.0.113.6", "127.0.0.1"),
])
def test_malformed_lists(stage, name, value, client, proto):
    """The last good address counts, and the rest goes nowhere."""
    told, line, _, _ = stage.ask({name: value})
    assert line["client"] == client
    expected = "127.0.0.1" if client == "127.0.0.1" else f"{client}, 127.0.0.1"
    assert told[0] == expected
    assert not any(word in (told[0] or "") + (told[3] or "") for word in ("script", "evil", "unknown", "_hidden"))


def test_what_proxies_say_of_proto_and_host_is_checked(stage, proto):
    told, _, _, _ = stage.ask({"X-Forwarded-For": "203.0.113.5", "X-Forwarded-Proto": "gopher", "X-Forwarded-Host": "a/b"})
    assert told[1:3] == (SCHEMES[proto], "shown.example:81")


def test_ipv6(stage, proto):
    try:
        told, line, _, _ = stage.ask({"X-Forwarded-For": "2001:db8::1"}, port=stage.weir.ports["port2"], host="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    assert told[0] == "2001:db8::1, ::1"
    assert told[3].endswith(', for="[::1]"')
    assert line["peer"] == "::1"


@pytest.mark.parametrize("proto", [proto for proto in PROTOCOLS if SCHEMES[proto] == "http"])
def test_unix_sockets_are_not_trusted_unless_listed(stage, proto):
    path = str(stage.weir.folder / "weir.sock")
    told, line, _, _ = stage.ask({"X-Forwarded-For": "203.0.113.5", "X-Forwarded-Proto": "https"}, port=path, proto=proto)
    assert told == (None, "http", "shown.example:81", 'for=unknown;host="shown.example:81";proto=http')
    assert line["client"] == "unix"
    with Stage(", unix") as listed:
        path = str(listed.weir.folder / "weir.sock")
        told, line, _, _ = listed.ask({"X-Forwarded-For": "203.0.113.5", "X-Forwarded-Proto": "https"}, port=path, proto=proto)
        assert told == ("203.0.113.5", "https", "shown.example:81",
                        'for=203.0.113.5;host="shown.example:81";proto=https, for=unknown')
        assert (line["client"], line["peer"]) == ("203.0.113.5", "unix")


def test_locations_of_the_backend_become_the_clients(weir, proto):
    """RFC 9110, 10.2.2: a Location that names the backend names the site, as the client knows it."""

    def moved(peer, head):
        peer.send(b"HTTP/1.1 302 Found\r\nLocation: http://%s/next\r\nContent-Length: 0\r\n\r\n" % head.target[1:].encode())
        return True

    with Origin(default=moved) as origin:
        server = weir(CONFIG, values={"address": origin.address, "unix": ""}, secure=True)
        with connect(server.port) as connection:
            answer = connection.get(f"/{origin.address}", host="inner", fields={
                "X-Forwarded-For": "203.0.113.5", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "example.com"})
            assert answer.get("Location") == "https://example.com/next"


def test_several_requests_on_one_connection(stage, proto):
    """Each has a client of its own: a proxy keeps its connections."""
    with connect(stage.weir.port) as connection:
        for client in ("203.0.113.1", "203.0.113.2", None):
            connection.get("/", fields={"X-Forwarded-For": client} if client else {})
    stage.lines += 3
    lines = [json.loads(line) for line in stage.weir.access_lines(stage.lines)[-3:]]
    assert [line["client"] for line in lines] == ["203.0.113.1", "203.0.113.2", "127.0.0.1"]


def test_a_head_that_is_refused(stage):
    """What could not be read whole is believed in nothing. Of HTTP/2 a head that is malformed ends its stream."""
    with Connection(stage.weir.port) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.5\r\nbad field\r\n\r\n")
        assert connection.read().status == 400
    stage.lines += 1
    line = json.loads(stage.weir.access_lines(stage.lines)[-1])
    assert (line["client"], line["reason"]) == ("127.0.0.1", "bad-head")


@pytest.mark.parametrize("value,words", [
    ("10.0.0.1/8", "a network whose address ends where its prefix does"),
    ("proxy.example", "an address or a network such as"),
    ("10.0.0.0/40", "an address or a network such as"),
])
def test_diagnostics(value, words):
    folder = new_folder()
    file = folder / "weir.yaml"
    file.write_text(f'clients: {{ trusted_proxies: ["{value}"] }}\nsites: [{{ listen: "http://127.0.0.1:80" }}]\n')
    result = command("check", "-c", file)
    assert result.returncode == 1
    assert words in result.stderr and "^~~" in result.stderr and "weir.yaml:1:3" in result.stderr
