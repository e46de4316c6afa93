# SPDX-License-Identifier: BSD-2-Clause
"""A backend in a process of its own, so that it can be killed: it answers what was asked, and writes it down before it does."""
import os
import subprocess
import sys
import threading
from pathlib import Path

from origin import Origin

HERE = Path(__file__).resolve()


class Backend:
    """Runs it; the port stays the same when it is started again."""

    def __init__(self, record):
        self.record, self.port, self.process = Path(record), 0, None
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, str(HERE), str(self.record), str(self.port)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line, "the backend did not start"
        self.port = int(line)

    def kill(self):
        self.process.kill()
        self.process.wait(10)
        self.process.stdin.close()
        self.process.stdout.close()

    def asked(self):
        """What it wrote down: METHOD TARGET."""
        return self.record.read_text(encoding="ascii").splitlines() if self.record.exists() else []


def main(record, port):
    file = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def script(peer, head):
        for _ in peer.body(head):
            pass
        os.write(file, f"{head.method} {head.target}\n".encode())
        body = b"" if head.method == "HEAD" else head.target.encode()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(head.target) + body)
        return True

    with Origin(default=script, port=int(port)) as origin:
        print(origin.port, flush=True)
        threading.Thread(target=lambda: sys.stdin.read() or os._exit(0), daemon=True).start()  # ends with whoever started it
        threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
