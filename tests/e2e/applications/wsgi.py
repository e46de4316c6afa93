# SPDX-License-Identifier: BSD-2-Clause
"""A small WSGI application: what it was told, what it was sent, streams, failures."""
import hashlib
import json
import time


def reply(start_response, body, status="200 OK", fields=()):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *fields])
    return [body]


def pieces(environ):
    while piece := environ["wsgi.input"].read(65536):
        yield piece


def environment(environ, start_response):
    return reply(start_response, {key: value for key, value in environ.items() if isinstance(value, str)})


def digest(environ, start_response):
    total, count = hashlib.sha256(), 0
    for piece in pieces(environ):
        total.update(piece)
        count += len(piece)
    return reply(start_response, {"sum": total.hexdigest(), "count": count, "length": environ.get("CONTENT_LENGTH")})


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return (bytes([number % 256]) * 65536 for number in range(200))


def ticks(environ, start_response):
    def made():
        for _ in range(10):
            yield b"data: %.6f\n\n" % time.monotonic()
            time.sleep(0.05)

    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return made()


def refuse(environ, start_response):
    return reply(start_response, {"why": "too much"}, "413 Content Too Large")


def fails(environ, start_response):
    raise RuntimeError("as it may happen")


def fails_late(environ, start_response):
    def made():
        yield b"half"
        raise RuntimeError("in the middle")

    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "100")])
    return made()


def empty(environ, start_response):
    start_response("204 No Content", [])
    return []


PAGES = {"/environ": environment, "/digest": digest, "/stream": stream, "/ticks": ticks, "/refuse": refuse, "/fails": fails, "/fails_late": fails_late, "/empty": empty}


def application(environ, start_response):
    return PAGES.get(environ["PATH_INFO"], environment)(environ, start_response)
