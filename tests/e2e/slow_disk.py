# SPDX-License-Identifier: BSD-2-Clause
"""A disk that hangs, fails and changes when a test says so: a FUSE file system in a process of its own, which hears by a socket.
Changes made here raise no inotify events, as those that another machine makes on a network file system."""
import base64
import ctypes
import errno
import importlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

ROW = 16
LIBC = ctypes.CDLL(None, use_errno=True)
MNT_DETACH, PR_SET_PDEATHSIG = 2, 1


def content(tag, size):
    """A file's bytes: rows of 16 that tell the version and the place, so that nothing can be mixed, moved or padded unseen."""
    rows = b"".join(b"%-7s%8d\n" % (tag.encode(), number) for number in range((size + ROW - 1) // ROW))
    return rows[:size]


def fuse_module():
    """fusepy, by Debian's name or its own; the reason in words if it cannot be had."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return None, "/dev/fuse is missing or closed"
    for name in ("fusepy", "fuse"):
        try:
            found = importlib.import_module(name)
        except (ImportError, OSError):
            continue
        if hasattr(found, "FUSE") and hasattr(found, "Operations"):
            return found, None
    return None, "the Python module fusepy is missing (Debian: python3-fusepy)"


class Missing(Exception):
    """There can be no such disk here; says why."""


class SlowDisk:
    """The test's side. Files are put by path ("/a.txt"); directories are those of their paths and `folders`. The test itself must
    never look at the mount: it would hang with it."""

    def __init__(self, where, folders=()):
        fault = fuse_module()[1]
        if fault:
            raise Missing(fault)
        self.path = Path(where) / "disk"
        self.path.mkdir()
        self.control, theirs = socket.socketpair()
        self.control.settimeout(10)
        self.errors = open(Path(where) / "disk.log", "w+b")
        with theirs:
            self.process = subprocess.Popen([sys.executable, __file__, str(self.path)], stdin=theirs,
                                            stdout=self.errors, stderr=self.errors, start_new_session=True)
        self.answers = self.control.makefile("rb")
        ready = self.answers.readline()
        if not ready:
            self.errors.seek(0)
            why = self.errors.read().decode(errors="replace").partition("\n")[0]
            self.close()
            raise Missing(f"no file system can be mounted: {why}")
        for folder in folders:
            self.tell(do="folder", path=folder)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def tell(self, **order):
        self.control.sendall(json.dumps(order).encode() + b"\n")
        answer = json.loads(self.answers.readline())
        assert "error" not in answer, answer
        return answer

    def put(self, path, tag, size, modified=None):
        """Makes or changes a file, behind the kernel's back; its bytes."""
        self.tell(do="put", path=path, tag=tag, size=size, modified=modified)
        return content(tag, size)

    def write(self, path, data):
        """Likewise, with bytes of the test's own."""
        self.tell(do="put", path=path, data=base64.b64encode(data).decode(), modified=None)

    def remove(self, path):
        self.tell(do="remove", path=path)

    def hold(self, operations, path="*", offset=0):
        """From now on these operations ("*": all) do not end; reads only those that reach beyond the offset."""
        self.tell(do="rule", operations=operations, path=path, offset=offset, error=0)

    def fail(self, operations, path, error=errno.EIO, offset=0):
        """From now on these operations fail; reads only those that reach beyond the offset."""
        self.tell(do="rule", operations=operations, path=path, offset=offset, error=error)

    def heal(self):
        """No rule holds any more; what was held ends well."""
        self.tell(do="heal")

    def held(self):
        """The operations that are held now, as (operation, path)."""
        return [tuple(pair) for pair in self.tell(do="held")["held"]]

    def freeze(self):
        """Nobody even reads what the kernel asks."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def die(self):
        """The process goes, the mount stays: ENOTCONN from now on. All that hangs in the kernel is let go."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def close(self):
        """Whatever state it is in: nothing hangs any more, and nothing stays mounted."""
        self.die()
        while any(line.split()[1] == str(self.path) for line in open("/proc/self/mounts", encoding="utf-8")):
            if LIBC.umount2(os.fsencode(self.path), MNT_DETACH):
                raise OSError(ctypes.get_errno(), f"cannot unmount {self.path}")
        for opened in (self.answers, self.control, self.errors):
            opened.close()


# --- In the process of the file system ---

class Disk:
    """What is on it, and the rules by which it misbehaves."""

    def __init__(self):
        self.changed = threading.Condition()
        self.files, self.folders = {}, {"/"}
        self.rules, self.waiting = [], []

    def add_folders(self, path):
        while path not in self.folders:
            self.folders.add(path)
            path = os.path.dirname(path)

    def order(self, do, path=None, **more):
        """Obeys one order of the test."""
        with self.changed:
            if do == "put":
                self.add_folders(os.path.dirname(path))
                data = base64.b64decode(more["data"]) if "data" in more else content(more["tag"], more["size"])
                self.files[path] = (data, more["modified"] or time.time_ns())
            elif do == "folder":
                self.add_folders(path)
            elif do == "remove":
                del self.files[path]
            elif do == "rule":
                self.rules.append(dict(more, path=path))
            elif do == "heal":
                self.rules.clear()
                self.changed.notify_all()
            elif do == "held":
                return {"held": self.waiting}
            return {}

    def rule(self, operation, path, end):
        for rule in self.rules:
            if ("*" in rule["operations"] or operation in rule["operations"]) and end > rule["offset"] and \
                    rule["path"] in ("*", path):
                return rule
        return None

    def step(self, operation, path, end=1 << 62):
        """Each operation begins here: it goes on, is held, or fails."""
        with self.changed:
            me = (operation, path)
            held = self.rule(operation, path, end)
            if held and not held["error"]:
                self.waiting.append(me)
                while held and not held["error"]:
                    self.changed.wait()
                    held = self.rule(operation, path, end)
                self.waiting.remove(me)
            if held:
                raise OSError(held["error"], os.strerror(held["error"]))

    def find(self, path):
        with self.changed:
            if path not in self.files:
                raise OSError(errno.ENOENT, "no such file")
            return self.files[path]


def operations_of(fuse, disk, ready):
    """The file system as fusepy wants it."""

    class Operations(fuse.Operations):
        use_ns = True

        def init(self, path):
            ready()

        def getattr(self, path, fh=None):
            disk.step("getattr", path)
            if path in disk.folders:
                return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
            data, modified = disk.find(path)
            return {"st_mode": stat.S_IFREG | 0o644, "st_nlink": 1, "st_size": len(data), "st_mtime": modified,
                    "st_ctime": modified}

        def statfs(self, path):
            disk.step("statfs", path)
            return {"f_bsize": 4096, "f_blocks": 1 << 20, "f_bfree": 1 << 19, "f_namemax": 255}

        def open(self, path, flags):
            disk.step("open", path)
            disk.find(path)
            return 0

        def read(self, path, size, offset, fh):
            disk.step("read", path, offset + size)
            return disk.find(path)[0][offset:offset + size]

        def flush(self, path, fh):
            disk.step("flush", path)

        def release(self, path, fh):
            disk.step("release", path)

        def readdir(self, path, fh):
            disk.step("readdir", path)
            return [".", ".."]

    return Operations()


def serve(where):
    """Mounts, and obeys until the test is gone."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGCONT)  # frozen, it would not hear of the test's end
    control = socket.socket(fileno=os.dup(0))
    disk = Disk()

    def obey():
        with control.makefile("rb") as orders:
            for line in orders:
                try:
                    answer = disk.order(**json.loads(line))
                except Exception as fault:  # pylint: disable=broad-except
                    answer = {"error": repr(fault)}
                control.sendall(json.dumps(answer).encode() + b"\n")
        LIBC.umount2(os.fsencode(where), MNT_DETACH)
        os._exit(0)

    threading.Thread(target=obey, daemon=True).start()
    fuse = fuse_module()[0]
    fuse.FUSE(operations_of(fuse, disk, lambda: control.sendall(b"{}\n")), where, foreground=True, ro=True,
              allow_other=True, fsname="weir-slow-disk", attr_timeout=0, entry_timeout=0, negative_timeout=0)


if __name__ == "__main__":
    serve(sys.argv[1])
