# SPDX-License-Identifier: BSD-2-Clause
"""Starts the applications in applications/: Express with ws, gunicorn. Their packages are fetched once and kept beside the material."""
import fcntl
import os
import shutil
import socket
import subprocess
from pathlib import Path

import material
from server import wait_for

HERE = Path(__file__).resolve().parent / "applications"


def packages():
    """The folder with node_modules; raises material.Missing."""
    absent = [tool for tool in ("node", "npm") if not shutil.which(tool)]
    if absent:
        raise material.Missing("not installed: " + ", ".join(absent))
    base = material.folder() / "applications"
    base.mkdir(parents=True, exist_ok=True)
    with open(base / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        material.packages(base, HERE)
    return base


class Application:
    """A process of its own that ends with the test."""

    def __init__(self, *command, **options):
        self.process = subprocess.Popen([*map(str, command)], stdin=subprocess.PIPE, **options)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


class Express(Application):

    def __init__(self, base, file):
        super().__init__("node", HERE / "express.cjs", base, file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        assert line.strip(), "the application did not start"
        self.address = f"127.0.0.1:{int(line)}"


class Gunicorn(Application):
    """Listens on a Unix socket in a folder."""

    def __init__(self, folder, *options):
        self.path = folder / f"gunicorn-{os.getpid()}-{len(list(folder.iterdir()))}"
        self.address = f"unix:{self.path}"
        super().__init__(program(), "--chdir", HERE, "--bind", self.address, "--umask", "0", "--log-level", "critical", "--pythonpath", HERE,
                         "--worker-tmp-dir", folder, *options, "wsgi:application", stderr=subprocess.DEVNULL,
                         env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
        wait_for(self.answers, 20, "gunicorn")

    def answers(self):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            try:
                probe.connect(str(self.path))
                probe.sendall(b"GET /environ HTTP/1.0\r\n\r\n")
                return probe.recv(1)
            except OSError:
                return False


def program():
    """Debian's gunicorn."""
    found = shutil.which("gunicorn") or shutil.which("gunicorn3")
    if not found:
        raise material.Missing("not installed: gunicorn")
    return found
