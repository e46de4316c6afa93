# SPDX-License-Identifier: BSD-2-Clause
"""Broken configurations (DESIGN §2): each fault is told with file:line:column, the line, a caret and what was expected; all of
them, not only the first; `weir check` ends with 1, and nothing is started.

In the cases, the offending text stands between « and »."""
import os
import re
import shutil
import signal
import subprocess

import pytest

from client import curl
from server import BASE, WEIR, Server, command, features, free_port, new_folder, wait_for

GOOD = """
sites:
  - listen: "http://127.0.0.1:8080"
    root: www
"""


@pytest.fixture
def folder():
    made = new_folder()
    (made / "www").mkdir()
    (made / "www" / "index.html").write_text("x", encoding="utf-8")
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def words():
    return features()


def check(folder, text, name="weir.yaml"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    run = command("check", "-c", path)
    return run.returncode, run.stdout + run.stderr, path


def places(text):
    """Where « stands, as line and column from 1, and the text without the marks."""
    found, plain = [], ""
    for char in text:
        if char == "«":
            line = plain.rpartition("\n")[2]
            found.append((plain.count("\n") + 1, len(line) + 1))
        elif char != "»":
            plain += char
    return found, plain


def addresses(scheme, rest):
    """A site at one address more than there may be."""
    listed = "".join(f'      - "{scheme}://:{1000 + i}"\n' for i in range(1024))
    return f'sites:\n  - {rest}\n    listen:\n{listed}      - «"{scheme}://:2024"»\n'


def site(*lines):
    return GOOD + "".join(f"    {line}\n" for line in lines)


# Name, configuration, what the message must say (patterns, in lower case).
BROKEN = [
    ("unknown-key", "«limts»: { connections: 5 }" + GOOD, ["limts", "did you mean.*limits"]),
    ("unknown-key-far", "«completely_unheard_of»: 5" + GOOD, ["completely_unheard_of", "unknown"]),
    ("unknown-site-key", site("«indx»: [a.html]"), ["indx", "did you mean.*index"]),
    ("unknown-site-key-case", site("«Index»: [a.html]"), ["did you mean.*index"]),
    ("unknown-nested-key", "limits: { timeouts: { «haeder»: 5s } }" + GOOD, ["haeder", "did you mean.*header"]),
    ("unknown-route-key", site("routes:", "  /x/: { «prox»: \"127.0.0.1:1\" }"), ["did you mean.*proxy"]),
    ("not-a-number", "threads: «many»" + GOOD, ["many", "number|integer|auto"]),
    ("fraction", "threads: «2.5»" + GOOD, ["2.5"]),
    ("zero-threads", "threads: «0»" + GOOD, ["at least|between|from|range|[1-9]"]),
    ("negative", "limits: { connections: «-5» }" + GOOD, ["-5"]),
    ("too-many-threads", "threads: «1000000»" + GOOD, ["1000000"]),
    ("overflow", "limits: { connections: «99999999999999999999999» }" + GOOD, []),
    ("duration-without-unit", "drain: «5 minutes»" + GOOD, ["5 minutes", "duration|ms"]),
    ("duration-unknown-unit", "drain: «5y»" + GOOD, ["5y", "ms|duration"]),
    ("duration-negative", "drain: «-5s»" + GOOD, []),
    ("duration-empty", "drain: «\"\"»" + GOOD, []),
    ("duration-overflow", "drain: «99999999999999999d»" + GOOD, []),
    ("size-unknown-unit", "limits: { header_size: «32q» }" + GOOD, ["32q", "size|64k|k.*m"]),
    ("size-overflow", "limits: { body_size: «99999999999999999G» }" + GOOD, []),
    ("boolean", "sandbox: «maybe»" + GOOD, ["maybe", "on", "off"]),
    ("level", "log: { error: { path: stderr, level: «verbose» } }" + GOOD,
    ["verbose", "error", "warn", "info", "debug"]),
    ("level-near", "log: { error: { path: stderr, level: «debgu» } }" + GOOD, ["debug"]),
    ("format", "log: { access: { path: /dev/null, format: «apache» } }" + GOOD, ["apache", "combined"]),
    ("list-for-scalar", "drain: «[5s]»" + GOOD, []),
    ("mapping-for-scalar", "drain: «{ a: b }»" + GOOD, []),
    ("scalar-for-mapping", "limits: «5»" + GOOD, ["mapping|expected|wants"]),
    ("sites-a-mapping", "sites:\n  «listen»: \"http://:80\"\n", ["list|sequence"]),
    ("sites-a-scalar", "sites: «www»\n", ["list|sequence"]),
    ("site-a-scalar", "sites:\n  - «www»\n", []),
    ("no-listen", "sites:\n  - «root»: www\n", ["listen"]),
    ("listen-scheme", "sites:\n  - { listen: «\"ftp://:80\"», root: www }\n", ["ftp", "http://"]),
    ("listen-no-scheme", "sites:\n  - { listen: «\"example:foo\"», root: www }\n", []),
    ("listen-port", "sites:\n  - { listen: «\"http://:99999\"», root: www }\n", ["99999|port"]),
    ("listen-port-word", "sites:\n  - { listen: «\"http://:http\"», root: www }\n", ["port|http"]),
    ("listen-address", "sites:\n  - { listen: «\"http://300.1.2.3:80\"», root: www }\n", []),
    ("listen-path", "sites:\n  - { listen: «\"http://:80/x\"», root: www }\n", []),
    ("listen-many", addresses("http", "root: www"), ["1024"]),
    ("listen-many-tls", addresses("https", "tls: { acme: { email: \"a@b.example\" } }\n    host: a.example\n    root: www"), ["1024"]),
    ("root-missing", "sites:\n  - { listen: \"http://127.0.0.1:8080\", root: «wwww» }\n", ["wwww", "no such"]),
    ("root-a-file", "sites:\n  - { listen: \"http://127.0.0.1:8080\", root: «www/index.html» }\n",
    ["directory|folder"]),
    ("proxy-dangling",
    "upstreams: { app: { servers: [\"127.0.0.1:3000\"] } }\nsites:\n  - { listen: \"http://127.0.0.1:8080\", proxy: «ap» }\n", ["did you mean.*app"]),
    ("proxy-port", site("proxy: «\"127.0.0.1:99999\"»"), ["99999|port"]),
    ("proxy-nothing", site("proxy: «\"\"»"), []),
    ("host-spaces", site("host: «\"a b.example\"»"), []),
    ("host-star", site("host: «\"a.*.example\"»"), ["\\*"]),
    ("host-scheme", site("host: «\"http://a.example\"»"), []),
    ("host-twice",
    GOOD.replace("root: www",
    "root: www\n    host: a.example\n  - listen: \"http://127.0.0.1:8080\"\n    root: www\n    host: «a.example»"), ["a.example"]),
    ("default-twice", GOOD + "  - «listen»: \"http://127.0.0.1:8080\"\n    root: www\n", []),
    ("route-pattern", site("routes:", "  «api/»: { root: off }"), ["/"]),
    ("route-slashes", site("routes:", "  «/a//b/»: { root: off }"), ["slashes", "one"]),
    ("route-scalar", site("routes:", "  /x/: «www»"), []),
    ("redirect-status", site("routes:", "  /x/: { redirect: /y/, status: «200» }"), ["200", "30"]),
    ("redirect-crlf", site("routes:", "  /x/: { redirect: «\"/y\\r\\nSet-Cookie: a=b\"» }"), []),
    ("errors-key", site("errors: { «4o4»: /x.html }"), ["4o4"]),
    ("errors-range", site("errors: { «999»: /x.html }"), ["999"]),
    ("header-name", site("headers: { set: { «\"Bad Name\"»: x } }"), ["bad name"]),
    ("header-value", site("headers: { set: { X-A: «\"a\\nSet-Cookie: b\"» } }"), []),
    ("errors-encoding", site("errors: { 404: «/%zz» }"), ["%zz", "no path of a page", "%25"]),
    ("errors-dots", site("errors: { 404: «/a/../404.html» }"), ["dot segments"]),
    ("fallback-space", site("fallback: «\"/a b\"»"), ["no path of a page", "%xx"]),
    ("fallback-encoding", site("fallback: «/%zz»"), ["no path of a page", "%25"]),
    ("fallback-dots", site("fallback: «/a/../index.html»"), ["dot segments"]),
    ("fallback-query", site("fallback: «\"/index.html?a b\"»"), ["no path of a page"]),
    ("redirect-no-host", site("routes:", "  /x/: { redirect: «\"http://\"» }"), ["path or a url"]),
    ("redirect-no-host-but-path", site("routes:", "  /x/: { redirect: «\"https:///x\"» }"), ["path or a url"]),
    ("listen-mapped", "sites:\n  - { listen: «\"http://[::ffff:127.0.0.1]:81\"», root: www }\n", ["write http://127.0.0.1:81\n"]),
    ("access-log-off", "log: { access: { path: «off» } }" + GOOD, ["no file", "access: off"]),
    ("error-log-off", "log: { error: { path: «off» } }" + GOOD, ["no file", "level: error"]),
    ("key-of-a-certificate", "tls: { certificates: [], «key»: a.key }" + GOOD, ["below tls: certificates: in the file or a site"]),
    ("index-path", site("index: [«../secret.html»]"), []),
    ("duplicate-key", "drain: 5s\n«drain»: 6s" + GOOD, ["drain", "duplicate|twice"]),
    ("duplicate-site-key", site("«root»: www"), ["root", "duplicate|twice"]),
    ("include-missing", "include: [«no-such-file.yaml»]" + GOOD, ["no-such-file.yaml"]),
]

# Broken YAML: the place is the parser's, the line must be one of these.
SYNTAX = [
    ("open-brace", "limits: { connections: 5\nsites: []\n", (1, 2, 3)),
    ("open-bracket", "sites: [ { listen: \"http://:80\"\n", (1, 2)),
    ("open-quote", "drain: \"5s\nsites: []\n", (1, 2, 3)),
    ("tab", "sites:\n\t- listen: x\n", (1, 2, 3)),
    ("indentation", "sites:\n  - listen: \"http://127.0.0.1:8080\"\n   root: www\n", (2, 3)),
    ("colon-missing", "drain 5s\nsites:\n  - listen: \"http://127.0.0.1:8080\"\n", (1, 2)),
    ("bad-escape", "drain: \"5\\q\"\nsites: []\n", (1,)),
    ("alias", "drain: *nothing\nsites: []\n", (1,)),
    ("control", b"drain: 5s\x01\nsites: []\n", (1,)),
    ("not-utf8", b"drain: \xff\xfe\nsites: []\n", (1,)),
    ("two-documents", "drain: 5s\n---\ndrain: 6s\n", (1, 2, 3)),
    ("tail", GOOD + "}\n", (5, 6)),
]


def assert_shape(output, path):
    """Every place that is named comes with its line and a caret under it."""
    assert re.search(rf"^{re.escape(str(path))}:\d+:\d+: ", output,
        re.MULTILINE), f"no file:line:column:\n{output}"
    assert re.search(r"^[\s\d|]*\^", output, re.MULTILINE), f"no caret:\n{output}"


def told(output, path, plain, line, column):
    """Is the place named? A quoted text's place may be that of the quote or of what is behind it."""
    quoted = plain.split("\n")[line - 1][column - 1] in "\"'"
    return any(f"{path}:{line}:{column + more}: " in output for more in ((0, 1) if quoted else (0,)))


@pytest.mark.parametrize("name, text, says", BROKEN, ids=[name for name, _, _ in BROKEN])
def test_broken(folder, name, text, says):
    where, plain = places(text)
    status, output, path = check(folder, plain)
    assert status == 1, output
    assert_shape(output, path)
    for line, column in where:
        assert told(output, path, plain, line, column), f"not told at {line}:{column}:\n{output}"
        assert plain.split("\n")[line - 1].strip() in output, f"the line itself is not shown:\n{output}"
    for pattern in says:
        assert re.search(pattern, output.lower(), re.DOTALL), f"{pattern!r} is not in\n{output}"


def test_caret_stands_under_the_text(folder):
    _, output, path = check(folder, "limits:\n  timeouts: { header: 5s, bdy: 5s }" + GOOD)
    lines = output.split("\n")
    at = next(number for number, line in enumerate(lines) if "bdy: 5s" in line and str(path) not in line)
    assert lines[at + 1].index("^") == lines[at].index("bdy"), output


@pytest.mark.parametrize("name, text, at", SYNTAX, ids=[name for name, _, _ in SYNTAX])
def test_broken_syntax(folder, name, text, at):
    status, output, path = check(folder, text)
    assert status == 1, output
    found = [int(line) for line in re.findall(rf"^{re.escape(str(path))}:(\d+):\d+: ", output, re.MULTILINE)]
    assert found, f"no file:line:column:\n{output}"
    assert set(found) & set(at), output


def test_all_faults_at_once(folder):
    """Five faults, five reports, one run."""
    where, plain = places("threads: «many»\ndrain: «5y»\n«limts»: {}\nlog: { error: { level: «loud» } }\nsites:\n  - { listen: \"http://127.0.0.1:8080\", root: «wwww» }\n")
    status, output, path = check(folder, plain)
    assert status == 1
    for line, column in where:
        assert told(output, path, plain, line, column), f"{line}:{column} is missing:\n{output}"


def test_fault_in_an_included_file(folder):
    """The place is that of the included file, and relative paths are its own."""
    (folder / "sites").mkdir()
    (folder / "sites" / "a.yaml").write_text('- listen: "http://127.0.0.1:8080"\n  root: ../www\n  indx: [x]\n', encoding="utf-8")
    status, output, _ = check(folder, "include: [sites/*.yaml]\n")
    assert status == 1
    assert f"{folder}/sites/a.yaml:3:3: " in output, output
    (folder / "sites" / "a.yaml").write_text('- listen: "http://127.0.0.1:8080"\n  root: ../www\n',
        encoding="utf-8")
    status, output, _ = check(folder, "include: [sites/*.yaml]\n")
    assert status == 0, output


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "[]\n", "- a\n", "just words\n",
    "sites: []\n", "sites:\n", "null\n", b"\x00" * 100, b"\x7fELF\x02\x01\x01" + bytes(range(256)),
    b"\xff\xfe"])
def test_not_a_configuration(folder, text):
    status, output, path = check(folder, text)
    assert status == 1, output
    assert str(path) in output


def test_no_file(folder):
    run = command("check", "-c", folder / "nothing.yaml")
    assert run.returncode == 1 and "nothing.yaml" in run.stderr and "no such file" in run.stderr.lower()
    run = command("check", "-c", folder)
    assert run.returncode == 1 and str(folder) in run.stderr


@pytest.mark.parametrize("key, feature", [("cache: { memory: 64M }", "cache"), ("admin: { listen: \"http://127.0.0.1:9180\" }", "admin"),
    ("clients: { deny: [\"203.0.113.0/24\"] }", "deny")])
def test_key_of_a_feature_that_is_not_there(folder, words, key, feature):
    """What is accepted works: a key of what is not built in is unknown."""
    status, output, _ = check(folder, key + GOOD)
    if feature in words:
        assert status in (0, 1)
    else:
        assert status == 1 and "unknown" in output.lower(), output


GOOD_VALUES = ["drain: 250ms", "drain: 5s", "drain: 2m", "drain: 1h", "drain: 7d",
    "limits: { body_size: 512 }", "limits: { body_size: 64k }", "limits: { body_size: 10M }",
    "limits: { body_size: 1G }", "threads: auto", "threads: 2", "sandbox: on", "sandbox: off", "sandbox: true",
               "sandbox: no", "sandbox: \"off\"", "log: { access: off }",
               "log: { error: { path: stderr, level: debug } }",
               "limits: { connections: 1000, timeouts: { idle: 5s } }", "temp_dir: tmp", "linger: 1h",
               "pid_file: weir.pid", "limits: { min_rate: 240 }", "limits: { header_size: 64k }"]


@pytest.mark.parametrize("line", GOOD_VALUES)
def test_good_values(folder, line):
    (folder / "tmp").mkdir()
    status, output, _ = check(folder, line + GOOD)
    assert status == 0, output


GOOD_SITES = ["index: [a.html, index.html]", "index: a.html", "host: example.com",
    "host: [example.com, \"*.example.com\"]", "errors: { 404: /404.html, 5xx: /50x.html }",
    "errors: { 404: \"/a%20b.html\" }", "fallback: \"/a%20b?c=/../d\"", "fallback: /.well-known/..x", "redirect: \"http://example.com\"",
    "headers: { set: { X-Frame-Options: DENY }, remove: [Server, X-Powered-By] }",
    "proxy: \"127.0.0.1:3000\"", "proxy: \"http://127.0.0.1:3000\"",
              "routes: { /api/: { root: off, proxy: \"127.0.0.1:3000\" }, /old/: { redirect: /new/, status: 308 }, /x: { redirect: \"https://example.com/\" } }"]


@pytest.mark.parametrize("line", GOOD_SITES)
def test_good_sites(folder, line):
    status, output, _ = check(folder, site(line))
    assert status == 0, output


@pytest.mark.parametrize("listen", ["http://:8080", "http://127.0.0.1:8080", "http://localhost:8080",
    "http://[::1]:8080", "http://0.0.0.0:8080", "http://*:8080"])
def test_good_addresses(folder, listen):
    status, output, _ = check(folder, f"sites:\n  - {{ listen: \"{listen}\", root: www }}\n")
    assert status == 0 or listen == "http://*:8080", output


def test_smallest_configuration(folder):
    """DESIGN §2's own example."""
    status, output, _ = check(folder,
        'sites:\n  - { listen: "http://:8080", root: www, proxy: "127.0.0.1:3000" }\n')
    assert status == 0, output


def test_run_refuses_what_check_refuses(folder):
    """weir run with a broken file: the diagnostics and exit status 1, before anything listens."""
    path = folder / "weir.yaml"
    path.write_text("drain: 5y" + GOOD, encoding="utf-8")
    run = command("run", "-c", path)
    assert run.returncode == 1
    assert f"{path}:1:8: " in run.stderr


def test_reload_of_a_broken_file(folder):
    """The old one serves on; `weir reload` prints the diagnostics and ends with 1 (DESIGN §4)."""
    with Server("sites:\n  - { listen: \"http://127.0.0.1:$port\", root: root }\n") as server:
        (server.root / "a.txt").write_text("a", encoding="utf-8")
        good = server.file.read_text(encoding="utf-8")
        server.file.write_text(good + "limts: {}\n", encoding="utf-8")
        run = command("reload", "-c", server.file)
        assert run.returncode == 1
        assert re.search(rf"{re.escape(str(server.file))}:\d+:1: ", run.stdout + run.stderr), run
        assert curl(server.url("/a.txt")).body == b"a"
        server.file.write_text(good, encoding="utf-8")


def test_unreadable_root_is_told(folder):
    """A root that the worker's account cannot enter is an error at that place, or a warning, but never silence."""
    locked = folder / "locked"
    locked.mkdir(mode=0o700)
    text = "\n".join(f"{key}: {value}" for key, value in BASE.items()).replace("$folder", str(folder))
    run_text = f"{text}\nsites:\n  - {{ listen: \"http://127.0.0.1:{free_port()}\", root: locked }}\n"
    locked.chmod(0)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o777)
    path = folder / "weir.yaml"
    path.write_text(run_text, encoding="utf-8")
    with open(folder / "out", "wb") as out:
        process = subprocess.Popen([WEIR, "run", "-c", str(path)], stdout=out, stderr=out,
            start_new_session=True)
    try:
        wait_for(lambda: process.poll() is not None or b"locked" in (folder / "out").read_bytes(), 5,
            "a word about the root")
    finally:
        locked.chmod(0o755)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


@pytest.mark.parametrize("arguments", [["frobnicate"], ["run", "--nope"], ["check", "-c"],
    ["check", "extra", "words"], []])
def test_bad_usage(arguments):
    run = command(*arguments)
    assert run.returncode == 2, run
    assert "weir" in run.stderr.lower()


def test_help_and_version():
    assert command("--help").returncode == 0 and "reload" in command("--help").stdout
    assert "http1" in features() and "static" in features()
