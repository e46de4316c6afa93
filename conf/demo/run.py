# SPDX-License-Identifier: BSD-2-Clause
"""`make run`: starts the demonstration's application on a free port and weir before it, and says what to try.

usage: run.py WEIR FOLDER [OPTION OF `weir serve`]...
"""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from app import Application, Server

TEXT = """
Behind it stands conf/demo/app.py. Open {url} in a browser, or try:

  curl -i {url}/weir.css                  a file: answered from {folder}
  curl -i -r 0-99 {url}/weir.css          a part of it
  curl -i {url}/hello                     no such file: falls through to the application
  curl -i -d 'some text' {url}/api/echo   so does a POST; see what weir tells the application
  curl -N {url}/api/events                a stream: each event comes at once

Then put a file named `hello` into {folder}: the next request gets it instead.
Next, your own:  {weir} serve FOLDER -p 127.0.0.1:3000
"""


def shown(path):
    """The shorter of the absolute and the relative path."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)


def wait_until_ready(child, notices):
    """True when weir says that it serves, False when it ended before."""
    while True:
        try:
            if b"READY=1" in notices.recv(4096).split(b"\n"):
                return True
        except TimeoutError:
            if child.poll() is not None:
                return False


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__.strip().splitlines()[-1])
    weir, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    options = sys.argv[3:]
    application = Server(("127.0.0.1", 0), Application)
    backend = "127.0.0.1:%d" % application.server_address[1]
    threading.Thread(target=application.serve_forever, daemon=True).start()

    with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(place + "/notify")
        notices.settimeout(0.1)
        child = subprocess.Popen([str(weir), "serve", str(folder), "-p", backend] + options,
                                 env=dict(os.environ, NOTIFY_SOCKET=place + "/notify"))
        # Ctrl-C reaches weir as well as this program: weir decides when it is over.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: child.send_signal(number))
        if wait_until_ready(child, notices):
            url = options[options.index("-l") + 1] if "-l" in options else "http://localhost:8080"
            print(TEXT.format(folder=shown(folder), url=url, weir=shown(weir)), flush=True)
        status = child.wait()
    sys.exit(0 if status in (0, -signal.SIGINT, -signal.SIGTERM) else 1)


if __name__ == "__main__":
    main()
