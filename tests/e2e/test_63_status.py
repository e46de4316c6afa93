# SPDX-License-Identifier: BSD-2-Clause
"""`weir status` (DESIGN §1, §4): what each site and upstream did, over reloads and the deaths of workers."""
import os
import signal

from client import connect
from recorder import Recorder
from server import Server, command, status, wait_for

CONFIG = """
upstreams:
  app: { servers: ["127.0.0.1:$app"] }
  dead: { servers: ["127.0.0.1:$port3"] }
sites:
  - { host: files.test, listen: "http://127.0.0.1:$port", root: $root }
  - { listen: "http://127.0.0.1:$port", root: $root, proxy: app, routes: { /dead/: { root: off, proxy: dead } } }
"""


def rows(server, kind):
    return {row["name"]: row for row in status(server)[kind]}


def ask(server, path, host="localhost"):
    with connect(server.port) as connection:
        return connection.get(path, host=host).status


def counted(server, kind, name, key, number):
    wait_for(lambda: rows(server, kind)[name][key] == number, what=f"{kind} {name}: {key} is {number}")


def test_sites_and_upstreams(weir, proto):
    """Each request counts for its site, and for the upstream that it was passed to."""
    recorder = Recorder()
    try:
        server = weir(CONFIG, values={"app": recorder.port}, secure=True)
        (server.root / "page.html").write_text("x" * 100)
        assert ask(server, "/page.html", "files.test") == 200
        assert ask(server, "/none", "files.test") == 404
        assert ask(server, "/page.html") == 200
        assert ask(server, "/app") == 200
        assert ask(server, "/dead/x") == 502
        counted(server, "sites", "default", "requests", 3)
        sites, upstreams = rows(server, "sites"), rows(server, "upstreams")
    finally:
        recorder.close()
    assert sites["files.test"]["requests"] == 2
    assert sites["files.test"]["status_2xx"] == sites["files.test"]["status_4xx"] == 1
    assert sites["files.test"]["bytes_out"] >= 100
    assert sites["default"]["status_2xx"] == 2 and sites["default"]["status_5xx"] == 1
    assert upstreams["app"]["requests"] == upstreams["app"]["status_2xx"] == 1 and upstreams["app"]["failed"] == 0
    assert upstreams["dead"]["requests"] == upstreams["dead"]["failed"] == 1
    assert all(row["open"] == 0 for row in [*sites.values(), *upstreams.values()])
    text = command("status", "-c", server.file).stdout
    assert "files.test" in text and "dead" in text


def test_counters_never_go_back(weir, proto):
    """DESIGN §4: counters are one shared array, so they never go back, whatever becomes of workers; what is open dies with its
    worker; a site that is no more in the configuration is not told any more."""
    server = weir(CONFIG, values={"app": 1}, secure=True)
    (server.root / "page.html").write_text("x")
    for _ in range(3):
        assert ask(server, "/page.html", "files.test") == 200
    counted(server, "sites", "files.test", "requests", 3)
    assert command("reload", "-c", server.file).returncode == 0
    assert ask(server, "/page.html", "files.test") == 200
    counted(server, "sites", "files.test", "requests", 4)
    wait_for(lambda: len(status(server)["workers"]) == 1, seconds=10, what="the old worker is gone")
    old = server.worker()
    server.expect_restart()
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: [w for w in status(server)["workers"] if w["pid"] != old and w["state"] == "serving"], what="a new worker")
    assert ask(server, "/page.html", "files.test") == 200
    counted(server, "sites", "files.test", "requests", 5)
    server.write(CONFIG.replace("files.test", "other.test"))
    assert command("reload", "-c", server.file).returncode == 0
    wait_for(lambda: len(status(server)["workers"]) == 1, seconds=10, what="the old worker is gone")
    assert set(rows(server, "sites")) == {"other.test", "default"}
