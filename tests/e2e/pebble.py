# SPDX-License-Identifier: BSD-2-Clause
"""Pebble, the ACME authority that is made for tests, with its DNS server: every name leads to this machine."""
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import urllib.request

import pytest

from certificates import Authority
from server import free_port, new_folder, wait_for

PROGRAMS = ("pebble", "pebble-challtestsrv", "uacme")


def missing():
    """Programs that are not installed, as a sentence; empty: all are."""
    gone = [name for name in PROGRAMS if not shutil.which(name)]
    return f"not installed: {', '.join(gone)}" if gone else ""


def can_be_trusted():
    """May a process have namespaces of its own? uacme trusts another authority only in them."""
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True, timeout=20).returncode == 0


class Pebble:
    """An authority that asks at `port` of this machine. Certificates last `lifetime` seconds."""

    def __init__(self, port, lifetime=90 * 86400, **environment):
        self.folder = new_folder()
        self.port, self.lifetime, self.environment = port, lifetime, environment
        self.processes = []
        self.log_file = self.folder / "pebble.log"

    def __enter__(self):
        try:
            self.api, self.management, self.dns, self.control = (free_port() for _ in range(4))
            self.prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def prepare(self):
        """An authority for the authority's own certificate, which nobody trusts but who is told to."""
        own = Authority.root("weir test directory", number=300).issue("localhost", "127.0.0.1")
        self.ca = self.folder / "ca.pem"
        self.ca.write_bytes(own.issuer.alone)
        (self.folder / "api.pem").write_bytes(own.pem)
        (self.folder / "api.key").write_bytes(own.key_pem)
        self.ca.chmod(0o644)
        config = {"listenAddress": f"127.0.0.1:{self.api}", "managementListenAddress": f"127.0.0.1:{self.management}",
                  "certificate": str(self.folder / "api.pem"), "privateKey": str(self.folder / "api.key"),
                  "httpPort": self.port, "tlsPort": 1, "ocspResponderURL": "", "externalAccountBindingRequired": False,
                  "certificateValidityPeriod": self.lifetime}
        (self.folder / "pebble.json").write_text(json.dumps({"pebble": config}), encoding="ascii")

    def start(self):
        """Also again, after stop: with no accounts and another root."""
        self.spawn("pebble-challtestsrv", "-defaultIPv6", "", "-defaultIPv4", "127.0.0.1", "-dns01",
                   f"127.0.0.1:{self.dns}", "-http01", "", "-https01", "", "-tlsalpn01", "", "-management",
                   f"127.0.0.1:{self.control}")
        self.spawn("pebble", "-config", str(self.folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{self.dns}")
        wait_for(self.answers, 20, "pebble")

    def spawn(self, *command):
        environment = dict(os.environ, PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0", PEBBLE_AUTHZREUSE="0",
                           **self.environment)
        with open(self.log_file, "ab") as log:
            self.processes.append(subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=self.folder,
                start_new_session=True))

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        self.processes = []

    def fetch(self, url):
        context = ssl.create_default_context(cafile=str(self.ca))
        return urllib.request.urlopen(url, context=context, timeout=10).read()

    def answers(self):
        for process in self.processes:
            assert process.poll() is None, self.log()
        try:
            return self.fetch(self.directory)
        except OSError:
            return None

    @property
    def directory(self):
        return f"https://localhost:{self.api}/dir"

    def root(self):
        """Whom who trusts pebble's certificates has to trust: a file."""
        path = self.folder / "root.pem"
        path.write_bytes(self.fetch(f"https://localhost:{self.management}/roots/0"))
        return path

    def log(self):
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def issued(self):
        """How many certificates it has made."""
        return len(re.findall(r"Issued certificate serial", self.log()))

    def orders(self):
        """How often it was asked for one."""
        return len(re.findall(r"POST /order-plz", self.log()))

    def pause(self, paused=True):
        """Nothing is answered until it is woken: connections wait."""
        for process in self.processes:
            process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)


def require():
    """Skips the test where it cannot be."""
    reason = missing() or ("" if can_be_trusted() else "no namespaces here")
    if reason:
        pytest.skip(reason)
