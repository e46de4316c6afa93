# SPDX-License-Identifier: BSD-2-Clause
"""`weir check` beyond syntax: what is written but can never come to anything is told at its place, and the configuration is good
all the same (DESIGN §2)."""
import os
import resource
import shutil

import pytest
from server import ROOT, command, new_folder

SITE = """
user: nobody
pid_file: off
sites:
  - listen: "http://127.0.0.1:8080"
    root: {folder}/www
"""


@pytest.fixture
def folder():
    made = new_folder()
    (made / "www").mkdir()
    (made / "www" / "there.html").write_text("x")
    yield made
    shutil.rmtree(made)


def check(folder, text, head=""):
    path = folder / "weir.yaml"
    path.write_text(head + SITE.format(folder=folder) + text)
    answer = command("check", "-c", path)
    assert answer.returncode == 0, answer.stderr
    return [line for line in answer.stderr.splitlines() if ": warning: " in line]


@pytest.mark.parametrize("text, place, said", [
    ("    routes: { /: { index: off }, \"*.php\": { index: off } }\n", '"*.php"', "never met"),
    ("    routes: { /a/: { redirect: /b/, root: . } }\n", ".", '"root" has no effect beside "redirect"'),
    ("    routes: { /a/: { redirect: /b/, proxy: \"127.0.0.1:1\" } }\n", "127", '"proxy" has no effect beside "redirect"'),
    ("    proxy: \"127.0.0.1:1\"\n    fallback: /there.html\n", "/there", '"fallback" has no effect beside "proxy"'),
    ("    fallback: /missing.html\n", "/missing", "there is no page /missing.html"),
    ("    proxy: \"127.0.0.1:1\"\n    routes: { /a/: { fallback: /there.html } }\n", "/there",
     '"fallback" has no effect beside the site\'s "proxy", which answers every request: write proxy: off here'),
    ("  - { listen: \"http://:8081\", redirect: /b/, routes: { /b/: { redirect: off, root: www }, /c/: { root: . } } }\n", ".",
     '"root" has no effect beside the site\'s "redirect"'),
    ("    fallback: /folder/\n", "/folder/", "there is no page /folder/"),
    ("    fallback: /missing.html?x\n", "/missing", "there is no page /missing.html"),
    ("  - { listen: [\"http://:8081\", \"http://unix:none/a.sock\"], root: . }\n", '"http://unix', "there is no folder"),
    ("  - { listen: \"http://unix:www\", root: . }\n", '"http://unix', "www is a folder"),
    ("  - { listen: \"http://unix:www/there.html\", root: . }\n", '"http://unix', "a file that is no socket"),
    ("log: { access: { path: www } }\n", "www", "www is a folder"),
    ("log: { error: { path: none/deeper/e.log }, access: off }\n", "none", "/none: the last folder alone is made"),
    ("    errors: { 404: /missing.html }\n", "/missing", "there is no page /missing.html"),
    ("    routes: { /a/: { root: off, errors: { 404: /a/there.html } } }\n", "/a/there", "there is no page /a/there.html"),
    ("    hsts: 365d\n", "365d", '"hsts" is said over https alone, and this site has no address with it'),
    ("    routes: { /a/: { hsts: { max_age: 1d } } }\n", "{ max_age", '"hsts" is said over https alone, and this site has no address with it'),
    ("    proxy: \"127.0.0.1:8080\"\n", "127", "the site listens at 127.0.0.1:8080 itself"),
    ("    routes: { /a/: { proxy: [\"127.0.0.1:1\", \"127.0.0.1:8080\"] } }\n", "[", "the site listens at 127.0.0.1:8080 itself"),
    ("  - listen: \"http://:8081\"\n    proxy: \"localhost:8081\"\n", "localhost", "the site listens at localhost:8081 itself"),
    ("  - listen: \"http://127.0.0.1:8081\"\n    routes: { /a/: { max_age: 1d } }\n", "listen", "this site answers nothing but 404"),
    ("linger: 1s\ndrain: 30s\n", "1s", '"linger" is shorter than "drain"'),
])
def test_told(folder, text, place, said):
    """Each with its line and column."""
    warnings = check(folder, text)
    assert len(warnings) == 1 and said in warnings[0], warnings
    line, column = map(int, warnings[0].split(":")[1:3])
    written = (folder / "weir.yaml").read_text().splitlines()[line - 1]
    assert written[column - 1:].lstrip('"').startswith(place.strip('"')), (written, column)


@pytest.mark.parametrize("text", [
    "    errors: { 404: /there.html }\n    fallback: /there.html\n",
    "    errors: { 404: / }\n    fallback: /\n    index: [none.html, there.html]\n",
    "    fallback: /there.html?x=/y\n",
    "    proxy: \"127.0.0.1:1\"\n    routes: { /a/: { proxy: off, fallback: /there.html } }\n",
    "    fallback: /there.html\n    routes: { /a/: { proxy: \"127.0.0.1:1\" } }\n",
    "  - { listen: \"http://unix:a.sock\", root: . }\n",
    "log: { error: { path: logs/e.log }, access: { path: stdout } }\n",
    "log: { error: { path: e.log }, access: { path: a.log } }\n",
    "    hsts: off\n",
    "    hsts: 1d\nclients: { trusted_proxies: 10.0.0.0/8 }\n",
    "    proxy: \"127.0.0.1:1\"\n    errors: { 404: /from-the-backend }\n",
    "    routes: { /a/: { redirect: /b/, root: off }, /b/: { proxy: off, fallback: /there.html } }\n",
    "    proxy: \"127.0.0.1:8081\"\n  - { listen: \"http://127.0.0.1:8081\", routes: { /a/: { redirect: /b } } }\n",
    "    routes: { /a/: {}, /a/b: {}, \"*.php\": {} }\n",
])
def test_not_told(folder, text):
    """What may come to something is nobody's business."""
    assert check(folder, text) == []


def test_a_pid_file_that_cannot_be_made(folder):
    path = folder / "weir.yaml"
    path.write_text(SITE.format(folder=folder).replace("pid_file: off", "pid_file: none/weir.pid"))
    told = command("check", "-c", path)
    assert told.returncode == 0 and f"{path}:3:11: warning: there is no folder {folder}/none\n" in told.stderr


def test_more_connections_than_descriptors(folder):
    """A limit that cannot be kept is told beside the one that it runs into."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= 10000000:
        pytest.skip("there is no limit of descriptors here")
    assert str(hard) in check(folder, "", head=f"limits: {{ connections: {hard} }}\n")[0]
    assert check(folder, "", head="limits: { connections: 100 }\n") == []


@pytest.mark.skipif(not ROOT, reason="only root starts workers as somebody else")
def test_a_worker_that_keeps_the_rights_of_root(folder):
    path = folder / "weir.yaml"
    path.write_text(SITE.format(folder=folder).replace("user: nobody", "user: root"))
    told = command("check", "-c", path)
    assert told.returncode == 0 and f"{path}:2:7: warning: the worker, which reads from the network, keeps the rights" in told.stderr


@pytest.mark.skipif(not ROOT, reason="only root starts workers as somebody else")
def test_root_that_the_account_may_not_read(folder):
    """With the rights of the worker, not of who asks."""
    (folder / "www").chmod(0o700)
    os.chown(folder / "www", 0, 0)
    warnings = check(folder, "")
    assert len(warnings) == 1 and "nobody" in warnings[0] and f"{folder}/www" in warnings[0]
