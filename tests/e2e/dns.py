# SPDX-License-Identifier: BSD-2-Clause
"""A network, an /etc and DNS servers of a test's own: what weir resolves names with, without touching the machine's."""
import ctypes
import os
import shutil
import socket
import struct
import subprocess
import threading
from pathlib import Path

CLONE_FS, CLONE_NEWNS, CLONE_NEWNET = 0x00000200, 0x00020000, 0x40000000
# What programs want of /etc; nothing secret.
FILES = ["passwd", "group", "nsswitch.conf", "mime.types", "ld.so.cache", "localtime", "magic", "hosts", "resolv.conf"]
A, AAAA = 1, 28


class Impossible(Exception):
    """This machine does not let us have a network of our own."""


class World:
    """Between `enter` and `leave` this thread, and what it starts meanwhile, lives in namespaces of its own."""

    def __init__(self, folder):
        self.etc = Path(folder) / "etc"
        self.before = []

    def enter(self):
        libc = ctypes.CDLL(None, use_errno=True)
        if os.geteuid() != 0:
            raise Impossible("only root may have namespaces of its own")
        paths = ("/proc/thread-self/ns/net", "/proc/thread-self/ns/mnt", "/", ".")
        self.before = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in paths]
        if libc.unshare(CLONE_NEWNS | CLONE_NEWNET):
            raise Impossible(f"unshare: {os.strerror(ctypes.get_errno())}")
        try:
            self.etc.mkdir(mode=0o755)
            for name in FILES:
                if os.path.exists(f"/etc/{name}"):
                    shutil.copy(f"/etc/{name}", self.etc / name)
            for command in (["mount", "--make-rprivate", "/"], ["mount", "--bind", str(self.etc), "/etc"],
                            ["ip", "link", "set", "lo", "up"]):
                try:
                    subprocess.run(command, check=True, capture_output=True, timeout=20)
                except (OSError, subprocess.CalledProcessError) as fault:
                    raise Impossible(f"{command[0]}: {getattr(fault, 'stderr', fault)}") from fault
        except BaseException:
            self.leave()
            raise

    def leave(self):
        libc = ctypes.CDLL(None, use_errno=True)
        net, mnt, root, folder = self.before
        # a thread that has not quite ended shares root and folder with this one, and who shares them may not change namespaces
        assert libc.unshare(CLONE_FS) == 0, os.strerror(ctypes.get_errno())
        for descriptor in (net, mnt):
            assert libc.setns(descriptor, 0) == 0, os.strerror(ctypes.get_errno())
        os.fchdir(root)  # setns has left both where the namespace begins
        os.chroot(".")
        os.fchdir(folder)
        for descriptor in self.before:
            os.close(descriptor)
        self.before = []

    def write(self, name, text):
        """Replaces a file of /etc, as package managers and resolvconf do."""
        new = self.etc / (name + ".new")
        new.write_text(text, encoding="ascii")
        new.chmod(0o644)
        os.replace(new, self.etc / name)


class Dns:
    """Answers for names: `zone[name] = (ttl, [addresses])`, or "hang", "servfail", "garbage"; others do not exist."""

    def __init__(self, host="127.0.0.1"):
        self.zone = {}
        self.asked = []
        self.numbers = []
        self.lock = threading.Lock()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 53))
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()

    def stop(self):
        host, port = self.socket.getsockname()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"end", (host, port))
        self.thread.join()
        self.socket.close()

    def count(self, name):
        with self.lock:
            return self.asked.count(name)

    def run(self):
        while True:
            query, peer = self.socket.recvfrom(4096)
            if query == b"end":
                return
            answer = self.answer(query)
            if answer:
                self.socket.sendto(answer, peer)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("ascii"))
            at += 1 + query[at]
        kind = struct.unpack(">H", query[at + 1:at + 3])[0]
        name = ".".join(labels).lower()
        with self.lock:
            self.asked.append(name)
            self.numbers.append(struct.unpack(">H", query[:2])[0])
            said = self.zone.get(name)
        question = query[12:at + 5]
        if said == "hang":
            return None
        if said == "garbage":
            return query[:2] + b"\x81\x80\0\1\0\3\0\0\0\0" + question + b"\xa5" * 60
        if said is None or said == "servfail":
            return query[:2] + (b"\x81\x82" if said else b"\x81\x83") + b"\0\1\0\0\0\0\0\0" + question
        ttl, addresses = said
        family = socket.AF_INET if kind == A else socket.AF_INET6
        found = [socket.inet_pton(family, a) for a in addresses if (":" in a) == (kind == AAAA)]
        records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, ttl, len(octets)) + octets for octets in found)
        return query[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, len(found), 0, 0) + question + records
