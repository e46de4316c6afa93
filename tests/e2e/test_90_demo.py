# SPDX-License-Identifier: BSD-2-Clause
"""What `make run` starts: the default site, the demonstration behind it, and the words that say what to try."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest
from server import SOURCE, WEIR, free_port, new_folder


class Demo:
    """conf/demo/run.py on a copy of the default site that the worker's account may read."""

    def __init__(self):
        self.folder = new_folder()
        shutil.copytree(SOURCE / "www", self.folder / "www")
        (self.folder / "www").chmod(0o755)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.errors = open(self.folder / "errors", "wb")
        self.process = subprocess.Popen(
            [sys.executable, SOURCE / "conf/demo/run.py", WEIR, self.folder / "www", "-l", self.url],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, text=True, start_new_session=True)
        # Ends the wait for its words if it never says them.
        guard = threading.Timer(30, self.kill)
        guard.start()
        self.text = ""
        for line in self.process.stdout:
            self.text += line
            if "Next, your own" in line:
                break
        guard.cancel()
        assert "Next, your own" in self.text, (self.folder / "errors").read_text()

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def stop(self):
        """As a terminal does on Ctrl-C: to all of them."""
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            return self.process.wait(20)
        finally:
            self.kill()
            self.process.stdout.close()
            self.errors.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def get(self, path, **options):
        request = urllib.request.Request(self.url + path, **options)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()


@pytest.fixture(scope="module")
def demo():
    running = Demo()
    yield running
    assert running.stop() == 0


def test_files_are_answered_first(demo):
    for path, name in {"/": "index.html", "/weir.css": "weir.css", "/favicon.svg": "favicon.svg"}.items():
        status, fields, body = demo.get(path)
        assert (status, body) == (200, (SOURCE / "www" / name).read_bytes())
        assert "demo" not in fields.get("Server", "")


def test_what_the_folder_lacks_falls_through(demo):
    status, fields, body = demo.get("/api/time")
    assert status == 200 and fields.get_content_type() == "application/json"
    assert json.loads(body)["answers"] >= 1
    assert b"/hello" in demo.get("/hello")[2]


def test_a_new_file_is_answered_from_then_on(demo):
    assert b"made just now" in demo.get("/app")[2]
    (demo.folder / "www/app").write_bytes(b"a file now\n")
    assert demo.get("/app")[2] == b"a file now\n"


def test_a_post_reaches_the_application_with_its_body(demo):
    status, _, body = demo.get("/api/echo", data="Grüße".encode())
    said = json.loads(body)
    assert status == 200 and said["you_sent"] == "Grüße"
    assert said["fields"]["X-Forwarded-For"] == "127.0.0.1"


def test_events_arrive_one_by_one(demo):
    with urllib.request.urlopen(demo.url + "/api/events", timeout=10) as answer:
        first = answer.readline()
    assert re.fullmatch(rb"data: 1 s, \d\d:\d\d:\d\d\n", first)


def test_what_is_printed_to_try_works(demo):
    """Each address that the text names is answered."""
    assert demo.url in demo.text and "falls through" in demo.text
    paths = set(re.findall(re.escape(demo.url) + r"(/[\w./]+)", demo.text)) - {"/api/events"}
    assert len(paths) >= 3
    for path in sorted(paths):
        assert demo.get(path)[0] == 200, path
