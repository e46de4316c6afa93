# SPDX-License-Identifier: BSD-2-Clause
"""The system calls of a worker, by strace."""
import re
import signal
import subprocess
import tempfile
from pathlib import Path

CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+)", re.MULTILINE)


class Traced:
    """The system calls of the worker of a weir, a file for each thread."""

    def __init__(self, weir, *options):
        self.folder = tempfile.TemporaryDirectory()  # not beside the root, where weir hears of what comes and goes
        self.process = subprocess.Popen(["strace", "-ff", "-s", "40", *options, "-o", f"{self.folder.name}/calls", "-p", str(weir.worker())],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def __enter__(self):
        line = self.process.stderr.readline()
        assert b"attached" in line, line
        return self

    def __exit__(self, *exception):
        self.process.send_signal(signal.SIGINT)
        self.process.stderr.read()
        self.process.wait(20)
        self.process.stderr.close()
        self.folder.cleanup()

    def after(self, target):
        """What the thread that received this target last did from then on."""
        for file in Path(self.folder.name).glob("calls.*"):
            before, found, after = file.read_text(errors="replace").rpartition(f'"GET {target} ')
            if found:
                return before.rpartition("\n")[2] + found + after
        return ""

    def count(self, text):
        """How often something is in the log; a call that has not returned yet is there as well."""
        return sum(file.read_text(errors="replace").count(text) for file in Path(self.folder.name).glob("calls.*"))

    def calls(self, target):
        """The same as names, arguments, results: of the connection's socket, the file that is sent by it, and names like that. (What goes on
        on the machine beside it, as a mount, is told to the thread, too.)"""
        calls = CALL.findall(self.after(target))
        mine = {calls[0][1].partition(",")[0]} if calls else set()
        mine |= {arguments.split(", ")[1] for name, arguments, _ in calls if name == "sendfile" and arguments.split(", ")[0] in mine}
        of_file = target.lstrip("/").partition("?")[0]
        return [(name, arguments, int(result)) for name, arguments, result in calls
            if mine & set(arguments.split(", ")[:1]) or name == "epoll_ctl" and arguments.split(", ")[2] in mine or of_file in arguments]
