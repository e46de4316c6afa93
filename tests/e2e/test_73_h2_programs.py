# SPDX-License-Identifier: BSD-2-Clause
"""Real clients of HTTP/2, in clear and over TLS: nghttp, h2load and curl (Debian's nghttp2-client, curl). Browsers are in the tests
of applications and of a site."""
import re
import shutil
import subprocess

import pytest

from client import SCHEMES
from h2stage import INDEX, PIECE, SECURE

pytestmark = pytest.mark.skipif(not shutil.which("nghttp"), reason="nghttp2-client is not installed")


def url(h2stage, proto, path="/", port="port"):
    return f"{SCHEMES[proto]}://127.0.0.1:{h2stage.weir.ports[SECURE[port] if proto == 'h2' else port]}{path}"


def run(*command, seconds=60):
    done = subprocess.run(command, capture_output=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_nghttp(h2stage, proto_h2):
    said = run("nghttp", "-v", "--no-dep", url(h2stage, proto_h2)).decode()
    assert re.search(r"recv HEADERS frame .*\n.*END_HEADERS", said) and INDEX.decode() in said, said
    assert "SETTINGS_ENABLE_CONNECT_PROTOCOL(0x08):1" in said


def test_nghttp_of_a_large_file(h2stage, proto_h2):
    assert run("nghttp", url(h2stage, proto_h2, "/big.bin")) == PIECE * 8


@pytest.mark.parametrize("window", ["16", "30"])
def test_nghttp_with_its_windows(h2stage, proto_h2, window):
    assert run("nghttp", f"--window-bits={window}", f"--connection-window-bits={window}", url(h2stage, proto_h2, "/mib.bin")) == PIECE


def test_nghttp_with_padding_and_continuations(h2stage, proto_h2):
    said = run("nghttp", "--padding=200", "--continuation", "--header", "x-a: " + "y" * 5000, "--null-out", "--stat", url(h2stage, proto_h2))
    assert re.search(rb" 200 +\d+ +/", said), said


def test_nghttp_uploads(h2stage, proto_h2, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(PIECE)
    said = run("nghttp", f"--data={file}", url(h2stage, proto_h2, "/digest", "port2")).decode()
    assert said.split("\n")[1:] == [str(len(PIECE))]


@pytest.mark.parametrize("path,port,count,streams", [("/ten.txt", "port", 10000, 50), ("/mib.bin", "port", 200, 50), ("/x", "port", 2000, 50),
                                                     ("/plain", "port2", 2000, 4)], ids=["small", "large", "backend", "origin"])
def test_h2load(h2stage, proto_h2, path, port, count, streams):
    """Eight connections, each with many streams: all are answered."""
    said = run("h2load", "-n", str(count), "-c", "8", "-m", str(streams), url(h2stage, proto_h2, path, port)).decode()
    assert f"{count} total, {count} started, {count} done, {count} succeeded, 0 failed, 0 errored, 0 timeout" in said, said
    assert f"status codes: {count} 2xx" in said


@pytest.mark.parametrize("window", ["10", "16", "30"])
def test_h2load_with_its_windows(h2stage, proto_h2, window):
    said = run("h2load", "-n", "40", "-c", "4", "-m", "10", "-w", window, "-W", window, url(h2stage, proto_h2, "/mib.bin")).decode()
    assert "40 succeeded, 0 failed" in said, said


def test_h2load_uploads(h2stage, proto_h2, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(PIECE)
    said = run("h2load", "-n", "100", "-c", "4", "-m", "10", "-d", str(file), url(h2stage, proto_h2, "/digest", "port2")).decode()
    assert "100 succeeded, 0 failed" in said and "100 2xx" in said, said


def test_curl_side_by_side(h2stage):
    """Thirty files on one connection. (In clear, curl 7.88 fails where it should share one, before any server.)"""
    targets = [url(h2stage, "h2", f"/mib.bin?{number}") for number in range(30)]
    parts = [word for target in targets for word in ("--output", "/dev/null", target)]
    said = run("curl", "--disable", "--silent", "--noproxy", "*", "--parallel", "--parallel-max", "30", "--insecure", "--http2",
               "--write-out", "%{http_code} %{size_download} %{http_version} %{num_connects}\n", *parts).decode().split()
    assert said[0::4] == ["200"] * 30 and said[1::4] == [str(len(PIECE))] * 30 and said[2::4] == ["2"] * 30
