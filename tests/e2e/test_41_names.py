# SPDX-License-Identifier: BSD-2-Clause
"""Backends that have names (DESIGN §2: "resolved again as their TTL ends"; §4: "Names are resolved after READY: an unresolved server is
a down server"), by the hosts file and by DNS, both of which change while weir runs, as nobody and in its sandbox."""
import re
import shutil
import time

import pytest

from client import PROTOCOLS, connect, fetch
from dns import Dns, Impossible, World
from origin import Origin
from server import children, command, new_folder, wait_for

CONFIG = """
threads: 1
upstreams:
  app: { servers: $servers, timeouts: { connect: $connect, response: 5s, idle: 60s } }
  other: { servers: "$other" }
sites:
  - { listen: "http://127.0.0.1:$port", proxy: app, routes: { /other/: { proxy: other } } }
"""


@pytest.fixture(scope="module", autouse=True)
def world():
    folder = new_folder()
    one = World(folder)
    try:
        one.enter()
    except Impossible as fault:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(str(fault))
    yield one
    one.leave()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def dns(world):
    world.write("resolv.conf", "nameserver 127.0.0.1\n")
    world.write("hosts", "127.0.0.1 localhost\n")
    with Dns() as server:
        yield server


def saying(text):
    """A backend's script: answers with its own name."""
    def script(peer, head):
        for _ in peer.body(head):
            pass
        if head.target == "/slow":
            time.sleep(0.3)  # so that two requests need two connections
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        return True
    return script


@pytest.fixture
def origins():
    """Two backends on one port: at 127.0.0.1 and at 127.0.0.2."""
    with Origin(default=saying(b"one")) as one, Origin(default=saying(b"two"), host="127.0.0.2", port=one.port) as two:
        yield one, two


def start(weir, servers, other="127.0.0.1:1", within="1s"):
    return weir(CONFIG, values={"servers": servers, "other": other, "connect": within}, secure=True)


def get(server, path="/"):
    return fetch(server.port, path, 10)


def test_dns(weir, dns, origins, proto):
    """By DNS, from the first request on; both addresses of an answer are asked."""
    one, _ = origins
    dns.zone["app.test"] = (60, ["127.0.0.1", "127.0.0.2"])
    server = start(weir, f'["app.test:{one.port}"]')
    got = set()
    for _ in range(2):
        with connect(server.port) as first, connect(server.port) as second:
            for connection in (first, second):
                connection.request("/slow")
            got |= {connection.read().body for connection in (first, second)}
    assert got == {b"one", b"two"}
    assert dns.count("app.test") == 2, "A and AAAA, once"


def test_change_is_followed(weir, dns, origins):
    """A new address within the old one's time to live; connections that were kept to the old one are closed."""
    one, two = origins
    dns.zone["app.test"] = (1, ["127.0.0.1"])
    server = start(weir, f'["http://app.test:{one.port}/"]')
    assert get(server) == (200, b"one")
    assert one.peers
    dns.zone["app.test"] = (1, ["127.0.0.2"])
    wait_for(lambda: not one.peers, 5, "the end of the connection that was kept")
    assert get(server) == (200, b"two")
    for said in (None, "servfail", "garbage"):
        if said:
            dns.zone["app.test"] = said
        else:
            del dns.zone["app.test"]
        asked = dns.count("app.test")
        wait_for(lambda: dns.count("app.test") > asked, 10, "the next lookup")
        assert get(server) == (200, b"two"), "the last addresses are kept"
    dns.zone["app.test"] = (60, ["127.0.0.1"])
    wait_for(lambda: get(server) == (200, b"one"), 10, "the new address")
    assert server.log().count("its last addresses are kept") == 1
    assert two.connections < 4


def test_hosts_file(weir, world, dns, origins):
    """hosts comes before DNS, and may be replaced: it counts for 10 s."""
    one, _ = origins
    world.write("hosts", "127.0.0.1 localhost\n127.0.0.1 thing app.test\n")
    dns.zone["app.test"] = (60, ["127.0.0.9"])
    server = start(weir, f'["app.test:{one.port}"]')
    assert get(server) == (200, b"one")
    world.write("hosts", "127.0.0.2 app.test\n")
    wait_for(lambda: get(server) == (200, b"two"), 13, "the new address")
    assert dns.asked == []


def test_not_there_at_start(weir, dns, origins):
    """No error at boot; 503 meanwhile, and the server is up when its name is."""
    one, _ = origins
    server = start(weir, f'["late.test:{one.port}"]')
    assert get(server)[0] == 503
    began = time.monotonic()
    for _ in range(5):
        assert get(server)[0] == 503
    assert time.monotonic() - began < 1, "what is known to be down is not waited for"
    assert server.log().count("late.test does not resolve: there is no such name; it is down until it does") == 1
    dns.zone["late.test"] = (60, ["127.0.0.1"])
    wait_for(lambda: get(server) == (200, b"one"), 8, "the server that came late")
    assert server.log().count("late.test resolves again") == 1


def test_next_server(weir, dns, origins):
    """A server that does not resolve is passed over for one that does."""
    one, _ = origins
    dns.zone["gone.test"] = "hang"
    server = start(weir, f'["gone.test:{one.port}", "127.0.0.2:{one.port}", "nowhere.test:1"]')
    began = time.monotonic()
    for _ in range(3):
        assert get(server) == (200, b"two")
    assert time.monotonic() - began < 1


def test_server_that_hangs(weir, dns, origins):
    """A DNS server that says nothing: weir starts, serves others at once, answers 503 after `connect`, and is reloaded and stopped at once."""
    one, _ = origins
    dns.zone["app.test"] = "hang"
    began = time.monotonic()
    server = start(weir, f'["app.test:{one.port}"]', other=one.address)
    assert time.monotonic() - began < 5
    waiting = [connect(server.port, proto) for proto in PROTOCOLS]
    began = time.monotonic()
    for connection in waiting:
        connection.request("/")
    for _ in range(5):
        assert get(server, "/other/") == (200, b"one")
    assert time.monotonic() - began < 1, "others wait for the name"
    for connection in waiting:
        assert connection.read().status == 503
        connection.close()
    assert 0.8 < time.monotonic() - began < 3
    began = time.monotonic()
    done = command("reload", "-c", server.file)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 5
    dns.zone["app.test"] = (60, ["127.0.0.1"])
    wait_for(lambda: get(server) == (200, b"one"), 15, "the name")
    wait_for(lambda: len(children(server.pid)) == 1, 10, "the old worker's end")
    server.expect_restart()


def test_resolv_conf_is_replaced(weir, world, dns, origins):
    """Another server in resolv.conf is asked without a reload."""
    one, _ = origins
    world.write("resolv.conf", "nameserver 127.0.0.8\n")
    server = start(weir, f'["app:{one.port}"]')
    assert get(server)[0] == 503
    assert "app does not resolve: no DNS server can be reached" in server.log()
    with Dns("127.0.0.3") as other:
        other.zone["app.b.test"] = (60, ["127.0.0.1"])
        world.write("resolv.conf", "search a.test b.test\nnameserver 127.0.0.3\n")
        wait_for(lambda: get(server) == (200, b"one"), 8, "the new server")


def test_check(world, dns):
    """`weir check` warns of names that do not resolve, with their place, within 2 s in all; that is no error."""
    file = world.etc.parent / "weir.yaml"
    dns.zone.update({"good.test": (60, ["127.0.0.1"]), "mute.test": "hang", "silent.test": "hang"})
    file.write_text("""
upstreams: { app: { servers: ["good.test:1", { address: "gone.test:2" }, "127.0.0.1:3"] } }
sites:
  - { listen: "http://127.0.0.1:8080", proxy: "mute.test:80", routes: { /a/: { proxy: [silent.test:80] }, /b/: {} } }
""", encoding="utf-8")
    began = time.monotonic()
    run = command("check", "-c", file)
    assert 1.5 < time.monotonic() - began < 4
    assert run.returncode == 0 and "is good" in run.stdout
    assert re.findall(r":(\d+):\d+: warning: “(.*)” does not resolve: (.*?);", run.stderr) == [
        ("2", "gone.test", "there is no such name"),
        ("4", "mute.test", "the DNS server does not answer"),
        ("4", "silent.test", "the DNS server does not answer"),
    ]
    dns.zone.clear()
    began = time.monotonic()
    assert command("check", "-c", file).stderr.count("there is no such name") == 4
    assert time.monotonic() - began < 1.5


def test_numbers(weir, dns):
    """In the sandbox, where /dev/urandom is out of reach: numbers of queries that cannot be foreseen, other ones at each start."""
    for _ in range(2):
        servers = ", ".join(f'"n{number}.test:80"' for number in range(20))
        server = start(weir, f"[{servers}]")
        wait_for(lambda: dns.count("n19.test") >= 2, 5, "the lookups")
        server.stop()
    half = len(dns.numbers) // 2
    assert half >= 40
    assert len(set(dns.numbers[:40]) & set(dns.numbers[half:half + 40])) < 10
    steps = [abs(b - a) for a, b in zip(dns.numbers, dns.numbers[2:])]
    assert sum(step < 100 for step in steps) < 8


def test_explain_asks_nobody(world, dns):
    """`weir explain` tells the servers by their names, and sends nothing, no question for an address either."""
    file = world.etc.parent / "weir.yaml"
    file.write_text('upstreams: { app: { servers: ["app.test:1", "b.test:2"] } }\n'
                    'sites: [{ listen: "http://127.0.0.1:8080", root: ., proxy: app }]\n', encoding="utf-8")
    run = command("explain", "-c", file, "http://127.0.0.1:8080/x")
    assert run.returncode == 0 and "app.test:1\n" in run.stdout and "b.test:2\n" in run.stdout
    assert dns.asked == []
