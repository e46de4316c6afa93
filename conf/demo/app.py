#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A very small application for the demonstration: what www/ does not hold falls through to it.

Alone it runs as `python3 conf/demo/app.py [PORT]`; `make run` starts it together with weir.
"""
import itertools
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>From the application</title><link rel="stylesheet" href="/weir.css">
<body class="plain"><main class="column"><h1>From the application</h1>
<p class="lead">No file is named {path}, so this page was made just now by conf/demo/app.py.</p>
<p>It has answered {answers} requests. <a href="/">The welcome page</a> is a file.</p></main></body></html>
"""
BODY_LIMIT = 1 << 20
answers = itertools.count(1)


class Application(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    server_version = "demo"

    def answer(self, status, kind, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind + "; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, value):
        self.answer(200, "application/json", json.dumps(value, indent=2) + "\n")

    def do_GET(self):
        count = next(answers)
        path = self.path.split("?")[0]
        if path == "/api/time":
            self.answer_json({"time": time.strftime("%H:%M:%S"), "answers": count})
        elif path == "/api/echo":
            self.answer_json({"method": self.command, "path": self.path, "fields": dict(self.headers)})
        elif path == "/api/events":
            self.events()
        elif path in ("/hello", "/app", "/app/"):
            self.answer(200, "text/html", PAGE.format(path=path, answers=count))
        else:
            self.answer(404, "text/plain", f"The application has no {path} either.\n")

    do_HEAD = do_GET

    def do_POST(self):
        next(answers)
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Transfer-Encoding") or length > BODY_LIMIT:
            self.close_connection = True
            self.answer(413, "text/plain", "This application reads bodies of up to 1 MiB with a length.\n")
            return
        text = self.rfile.read(length).decode("utf-8", "replace")
        if self.path == "/api/echo":
            self.answer_json({"you_sent": text, "fields": dict(self.headers)})
        else:
            self.answer(404, "text/plain", f"The application has no {self.path}.\n")

    def events(self):
        """A line a second, until the reader goes."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if self.command == "HEAD":
            return
        try:
            for second in itertools.count(1):
                self.wfile.write(f"data: {second} s, {time.strftime('%H:%M:%S')}\n\n".encode())
                time.sleep(1)
        except OSError:
            pass

    def log_message(self, form, *values):
        """weir writes the access log."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that goes away in the middle is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


if __name__ == "__main__":
    port = int(sys.argv[1]) if sys.argv[1:] else 3000
    print(f"demo application on http://127.0.0.1:{port}", flush=True)
    try:
        Server(("127.0.0.1", port), Application).serve_forever()
    except KeyboardInterrupt:
        pass
