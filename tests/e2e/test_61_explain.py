# SPDX-License-Identifier: BSD-2-Clause
"""weir explain: what it tells, to people and to scripts, and that it is true: over random trees, configurations and requests a running
weir does what was told of it."""
import json
import os
import random
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from client import Connection
from explain_cases import Asker, Tree, configuration
from fileroot import put
from recorder import Recorder
from server import ROOT, WEIR, Server, command, features, new_folder

FRAMING = {"date", "connection", "content-length", "transfer-encoding", "keep-alive"}
HOP = {"connection", "upgrade", "te", "content-length", "transfer-encoding", "expect"}


def explain(file, url, method="GET", fields=(), *options):
    """What the command says, as JSON."""
    given = [word for name, value in fields for word in ("-H", f"{name}: {value}")]
    arguments = ["explain", "-c", file, "--json", "-X", method, *given, *options, url]
    run = command(*arguments)
    assert run.returncode == 0, f"{shlex.join(map(str, arguments))}\n{run.stderr}"
    return json.loads(run.stdout)


def only(told, name):
    """The notes of a handler in the first step that has it."""
    return next(handler for step in told["steps"] for handler in step["handlers"] if handler["name"] == name)


# --- The command ---

CONFIG = """
pid_file: off
log: { access: off }
upstreams: { app: { servers: ["127.0.0.1:1", "unix:/nowhere.sock"] } }
sites:
  - host: [example.com, "*.example.com"]
    listen: ["http://:8080", "http://127.0.0.1:8081"]
    root: www
    routes: { /api/: { proxy: app }, "*.php": { root: off } }
  - host: other.test
    listen: ["http://192.0.2.1:8081", "http://[::1]:8082", "http://unix:/nowhere.sock"]
    redirect: https://example.com/
"""


@pytest.fixture
def file():
    """A configuration that nobody runs."""
    folder = new_folder()
    for name, content in (("index.html", "<p>hello"), ("data", b"GIF89a" + bytes(20)), ("closed", "no"), ("a b.txt", "x")):
        put(folder / "www", name, content)
    (folder / "www" / "closed").chmod(0)
    user = "user: nobody\n" if ROOT else ""
    (folder / "weir.yaml").write_text(user + CONFIG, encoding="utf-8")
    yield folder / "weir.yaml"
    shutil.rmtree(folder)


def test_the_feature_is_named():
    assert "explain" in features()


@pytest.mark.parametrize("arguments", [
    [], ["http://a/", "http://b/"], ["example.com/"], ["/path"], ["ftp://example.com/"], ["http://"], ["http:///x"],
    ["http://user@example.com/"], ["http://a b/"], ["http://a:99999/"], ["http://a:x/"], ["http://[::g]/"], ["http://a/\r\nX: y"],
    ["-X", "G T", "http://a/"], ["-X", "", "http://a/"], ["-H", "no colon", "http://a/"], ["-H", ": x", "http://a/"],
    ["-H", "A b: x", "http://a/"], ["-H", "A: x\r\nB: y", "http://a/"], ["-H", "A: \x7f", "http://a/"],
    ["--from", "localhost", "http://a/"], ["--from", "10.0.0.1:80", "http://a/"], ["--from", "", "http://a/"],
    ["--frobnicate", "http://a/"], ["-c", "", "http://a/"],
], ids=repr)
def test_bad_usage_is_2(file, arguments):
    run = command("explain", *([] if "-c" in arguments else ["-c", file]), *arguments)
    assert run.returncode == 2, run
    assert run.stderr and not run.stdout


def test_a_bad_configuration_is_told_as_by_check(file):
    file.write_text(file.read_text(encoding="utf-8").replace("root:", "rooot:"), encoding="utf-8")
    run, check = command("explain", "-c", file, "http://example.com/"), command("check", "-c", file)
    assert run.returncode == check.returncode == 1
    assert not run.stdout and "rooot" in run.stderr and run.stderr == check.stderr


def test_for_people(file):
    """Names in a column, values in the next, and at last the outcome."""
    run = command("explain", "-c", file, "http://example.com:8080/")
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[-1] == f"outcome   200 OK: {file.parent}/www/index.html"
    assert any(line.startswith("listener  http://:8080: it has the URL's port at all addresses") for line in lines)
    assert "site      example.com: it has exactly this host" in lines
    assert any(re.fullmatch(r" +\S*/www/index.html +a file", line) for line in lines)
    top = [line for line in lines if not line.startswith(" ") and "  " in line]
    assert len({len(re.match(r"\S+ +", line)[0]) for line in top}) == 1, top


@pytest.mark.parametrize("url, address, site", [
    ("http://example.com:8080/", "http://:8080", "example.com"),
    ("http://127.0.0.1:8080/", "http://:8080", None),
    ("http://unknown.test:8080/", "http://:8080", None),
    ("http://unknown.test:8081/", "http://127.0.0.1:8081", None),
    ("http://example.com:8081/", "http://127.0.0.1:8081", "example.com"),
    ("http://OTHER.test.:8081/", "http://192.0.2.1:8081", "other.test"),
    ("http://localhost:8081/", "http://127.0.0.1:8081", None),
    ("http://192.0.2.1:8081/", "http://192.0.2.1:8081", None),
    ("http://192.0.2.2:8081/", None, None),
    ("http://[0:0:0:0:0:0:0:1]:8082/", "http://[::1]:8082", None),
    ("http://a.b.example.com/", None, "example.com"),
    ("https://other.test:8080/", None, "other.test"),
])
def test_listener_and_site(file, url, address, site):
    """Where nobody listens the sites of all are looked through."""
    told = explain(file, url)
    assert told["listener"]["address"] == address and told["site"]["name"] == site
    assert (told["answer"]["status"] == 421) == (site is None)


@pytest.mark.parametrize("target, options, status", [
    ("/../x", [], 400), ("/%00", [], 400), ("/a%2f..", [], 400), ("/a b", [], 400), ("/" + "x" * 9000, [], 414),
    ("/", ["-H", "X: " + "y" * 40000], 431), ("/", ["-H", "Content_Length: 1"], 400), ("/", ["-H", "Expect: x"], 417),
    ("/", ["-H", "Host: a", "-H", "Host: b"], 400), ("/", ["-X", "CONNECT"], 501), ("/", ["-X", "M" * 33], 400),
    ("/", ["-H", "Content-Length: x"], 400), ("/", ["-H", "Content-Length: 2000000000"], 413),
], ids=lambda value: repr(value)[:40])
def test_what_is_refused_can_be_told(file, target, options, status):
    told = explain(file, "http://example.com:8080" + target, "GET", (), *options)
    assert told["request"]["refused"]["status"] == told["answer"]["status"] == status
    assert told["outcome"].startswith(str(status)) and "steps" not in told


def test_request_as_understood(file):
    """-H 'Host: …' stands for the URL's, whose fragment is not sent."""
    told = explain(file, "HTTP://127.0.0.1:8081/a/../index.html?q=1#part", "GET", [("Host", "WWW.example.com:99")])
    assert told["request"] == {"method": "GET", "url": "HTTP://127.0.0.1:8081/a/../index.html?q=1#part",
        "host": "www.example.com", "path": "/index.html", "query": "q=1", "from": "127.0.0.1"}
    assert told["site"]["why"] == "*.example.com is the longest pattern that fits the host"
    assert explain(file, "http://example.com:8080?q")["request"]["path"] == "/"


def test_files(file):
    told = explain(file, "http://example.com:8080/data")
    static = only(told, "static")
    assert static["type"] == "image/gif" and static["type_from"] == "the content" and static["size"] == 26
    assert told["answer"]["file"] == static["file"] == f"{file.parent}/www/data"
    told = explain(file, "http://example.com:8080/closed")
    assert told["answer"]["status"] == 403 and "file" not in told["answer"]
    assert only(told, "static")["tried"] == [{"path": f"{file.parent}/www/closed", "found": "may not be read"}]
    assert explain(file, "http://example.com:8080/a%20b.txt")["answer"]["file"].endswith("/a b.txt")


def test_backends(file):
    """Which servers, what would be sent, from whom; what they answer nobody knows."""
    told = explain(file, "http://example.com:8080/api/./x?y", "POST", [("X-A", "1"), ("X-Forwarded-For", "9.9.9.9")],
        "--from", "2001:db8:0::1")
    proxy = only(told, "proxy")
    assert proxy["verdict"] == "asks" and proxy["upstream"] == "app"
    assert proxy["servers"] == ["127.0.0.1:1", "unix:/nowhere.sock"] and proxy["sends"] == "POST /api/x?y"
    assert proxy["fields"] == ["Host: example.com:8080", "X-A: 1", "X-Forwarded-For: 2001:db8::1", "X-Forwarded-Proto: http",
        "X-Forwarded-Host: example.com:8080",
        'Forwarded: for="[2001:db8::1]";host="example.com:8080";proto=http', "Via: 1.1 weir"]
    assert told["answer"]["status"] is None and told["answer"]["upstream"] == "app"
    assert told["outcome"] == "the upstream app answers"


def test_nothing_is_written(file):
    def state():
        return sorted((str(path), path.stat().st_mtime_ns) for path in (file.parent, *file.parent.rglob("*")))

    before = state()
    for url in ("http://example.com:8080/", "http://example.com:8080/api/", "http://example.com:8080/missing"):
        explain(file, url)
    assert state() == before


@pytest.mark.skipif(not ROOT, reason="needs another account to become")
def test_by_another_than_root(file):
    """No rights are needed but those of reading; of the program, too, wherever it was built."""
    program = shutil.copy(WEIR, file.parent / "program")
    run = subprocess.run([program, "explain", "-c", file, "--json", "http://example.com:8080/"], capture_output=True, text=True,
        timeout=20, user="nobody", group="nogroup", extra_groups=[], cwd="/", check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["answer"]["status"] == 200 and "account" not in json.loads(run.stdout)
    assert explain(file, "http://example.com:8080/")["account"] == "nobody"


def test_links_may_lead_anywhere(weir):
    """`symlinks: anywhere` opens folders that the worker's account cannot read as well; they are no roots."""
    server = weir('sites:\n  - { listen: "http://127.0.0.1:$port", root: root, symlinks: anywhere }\n')
    os.symlink("/etc/hostname", server.root / "out")
    with Connection(server.port) as connection:
        assert connection.get("/out").status == 200


# --- It is true ---

# Each seed is one configuration over one tree. WEIR_E2E_SEEDS=7 or =100-300 in the environment: others.
REQUESTS = 45
FIRST, _, LAST = os.environ.get("WEIR_E2E_SEEDS", "0-9").partition("-")
SEEDS = range(int(FIRST), int(LAST or FIRST) + 1)


@pytest.fixture(scope="module")
def backends():
    made = {"app": Recorder(), "other": Recorder()}
    yield made
    for backend in made.values():
        backend.close()


def check_disk(handler):
    """What was said of names on disk, seen with other eyes."""
    facts = {
        "missing": lambda path: not os.path.exists(path),
        "a file": os.path.isfile,
        "a file and no directory": lambda path: os.path.isfile(path.rstrip("/")),
        "a directory": os.path.isdir,
        "not a regular file": lambda path: os.path.exists(path) and not os.path.isfile(path),
        # an absolute one that dangles is not known to lead inside
        "a link leads out of the root, or nowhere": lambda path: not os.path.exists(path) or not os.path.realpath(
            path).startswith(os.path.realpath(handler["root"]) + "/"),
        "links go in a circle": lambda path: not os.path.exists(path),
        "there is a link on its way, and none is followed": lambda path: any(
            os.path.islink(way) for way in (path.rstrip("/"), *Path(path).parents)),
        "empty": lambda path: os.stat(path).st_size == 0,
        "stale: older than the file": lambda path: os.stat(path).st_mtime_ns < os.stat(handler["file"]).st_mtime_ns,
    }
    beside = [(f"{handler.get('file')}.{item['variant']}", item["found"]) for item in handler.get("variants", ())]
    for path, found in [(item["path"], item["found"]) for item in handler.get("tried", ())] + beside:
        fact = facts.get(found, os.path.isfile if (path, found) in beside else None)
        if fact and found != "may not be read":
            assert fact(path), (path, found)
    chosen = [item["variant"] for item in handler.get("variants", ()) if item["found"] == "chosen"]
    assert chosen == ([handler["variant"]] if "variant" in handler else [])


class Comparison:
    """One request, asked of `weir explain` and of the running weir."""

    def __init__(self, server, backends, request):
        self.server, self.backends = server, backends
        self.method, self.host, self.target, self.fields = request
        self.port = server.ports["port" if len(self.target) % 2 else "port2"]
        self.authority = f"{self.host}:{self.port}"
        self.told = explain(server.file, f"http://{self.authority}{self.target}", self.method, self.fields)
        self.answer = self.told["answer"]

    def for_people(self):
        """The lines end with the same outcome."""
        given = [word for name, value in self.fields for word in ("-H", f"{name}: {value}")]
        run = command("explain", "-c", self.server.file, "-X", self.method, *given, f"http://{self.authority}{self.target}")
        assert run.returncode == 0 and run.stdout.splitlines()[-1].split(None, 1) == ["outcome", self.told["outcome"]], run

    def ask(self):
        named = any(name == "Host" for name, _ in self.fields)
        with Connection(self.port, seconds=10) as connection:
            self.response = connection.get(self.target, method=self.method, fields=[
                (name, value.encode("utf-8").decode("latin-1")) for name, value in self.fields],
                host=None if named else self.authority)
        return self.response

    def check(self):
        self.ask()
        for step in self.told.get("steps", ()):
            for handler in step["handlers"]:
                check_disk(handler)
        if "upstream" in self.answer:
            self.check_backend()
            assert self.response.status == (self.answer["status"] or 200)
        else:
            for backend in self.backends.values():
                assert not backend.take(), "a backend was asked"
            assert self.response.status == self.answer["status"]
            self.check_head()
            self.check_body()

    def check_backend(self):
        """RFC 9110, 7.6: what reaches the backend is what was said to."""
        proxy = only(self.told, "proxy")
        which = "other" if self.answer["upstream"] == "other" else "app"
        assert proxy["servers"] == [f"127.0.0.1:{self.backends[which].port}"]
        seen = self.backends[which].wait(1)
        assert len(seen) == 1 and seen[0].request, seen
        request = seen[0].request
        assert b" ".join((request.method, request.target)).decode() == proxy["sends"]
        assert [f"{name.decode()}: {value.decode('utf-8')}" for name, value in request.fields
            if name.lower().decode() not in HOP] == proxy["fields"]

    def check_head(self):
        def plain(fields):
            return sorted(re.sub(r"boundary=.*", "boundary=", field) for field in fields
                          if field.split(":")[0].lower() not in FRAMING)

        assert plain(f"{name}: {value}" for name, value in self.response.fields) == plain(self.answer["fields"])
        etag = self.response.get("ETag")
        if etag and "file" in self.answer and self.answer["status"] < 400:
            assert re.search(r'-([a-z]+)"$', etag) is None if "variant" not in self.answer else etag.endswith(
                f'-{self.answer["variant"]}"')
        length = self.response.get("Content-Length")
        if length is not None:
            assert int(length) == self.answer["length"]

    def check_body(self):
        """The file that was named is the one that came."""
        if "file" not in self.answer or self.method != "GET" or self.response.status in (206, 304):
            return
        name = self.answer["file"] + ("." + self.answer["variant"] if "variant" in self.answer else "")
        if not name.endswith("/"):  # a listing
            with open(os.fsencode(name), "rb") as file:
                assert self.response.body == file.read()

    def logged(self, line):
        """The access log has what was told."""
        steps = self.told.get("steps")
        assert line["status"] == (self.answer["status"] or 200)
        assert line["handler"] == (self.answer["handler"] or "")
        assert line["site"] == ((self.told.get("site") or {}).get("name") or "")
        route = steps[-1]["route"]["pattern"] if steps else None
        assert line["route"] == (route or "").removeprefix("*")


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_told_is_what_is_served(seed, backends, weir):
    chance = random.Random(seed)
    folder = new_folder()
    values = {name: backend.port for name, backend in backends.items()}
    trees = [Tree(chance, str(folder / name), str(folder / "outside")) for name in ("root", "other")]
    text, hosts = configuration(chance, values)
    server = Server(text, folder=folder)
    server.own_folder = True
    compared, now = [], None
    try:
        with server:
            asker = Asker(chance, trees[0], trees[1].paths[:10], hosts)
            for _ in range(REQUESTS):
                now = asker()
                case = Comparison(server, backends, now)
                compared.append(case)
                case.check()
                if len(compared) % 9 == 0:
                    case.for_people()
                if case.response.get("ETag") and case.response.status == 200:
                    asker.tags[case.target] = case.response.get("ETag")
            lines = server.access_lines(len(compared))
            assert len(lines) == len(compared)
            for case, line in zip(compared, lines):
                now = case.told
                case.logged(json.loads(line))
    except BaseException:
        print(f"\nWEIR_E2E_SEEDS={seed}, request {len(compared)}: {now}\n{server.expand(server.template)}")
        if compared:
            print(json.dumps(compared[-1].told, indent=1), getattr(compared[-1], "response", None))
        raise
    finally:
        for tree in trees:
            tree.open_again()
        server.remove()
