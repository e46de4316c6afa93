# SPDX-License-Identifier: BSD-2-Clause
"""A file that is written in place between two pieces of an answer (DESIGN §3: "the connection ends, nothing is mixed or padded"). strace makes
the call that sends a piece return late; meanwhile the file is written."""
import threading
import time

import pytest

from client import BadResponse, Ended, connect
from server import Server, wait_for
from traced import Traced

CONFIG = """
threads: 1
sites: [ { listen: "http://127.0.0.1:$port", root: $root } ]
"""
QUANTUM = 120 << 10
SPAN = 16 * QUANTUM
LENGTH = 17 << 20  # too large for a copy, from which it would be sent
DELAY = 1500000  # microseconds


@pytest.fixture(name="weir", scope="module")
def running():
    with Server(CONFIG) as weir:
        yield weir


def answer(connection, seen):
    try:
        seen.append(connection.read())
    except (BadResponse, Ended) as fault:
        seen.append(fault)


@pytest.mark.parametrize("proto,size,piece,ranges", [
    ("h1", 200000, 1, None),  # the last piece is the second
    ("h1", 3 * QUANTUM + 1000, 3, None),
    ("h1", SPAN + 1000, 16, None),  # it is the first of another span
    ("h1", SPAN + QUANTUM, 16, None),
    ("h2c", 60000, 2, None),  # frames, as many as a window lets go at once
    ("h1", 80000, 1, "0-39999,80000-119999"),
])
def test_written_between_pieces(weir, proto, size, piece, ranges):
    target = f"/{proto}-{size}-{piece}.bin"
    path = weir.root / target[1:]
    path.write_bytes(b"A" * LENGTH)
    fields = {"Range": f"bytes={ranges or f'0-{size - 1}'}"}
    changed = path.stat().st_ctime
    wait_for(lambda: time.time() - changed > 1.5, what="a file that has not changed just now: such a one is looked at once more")
    with connect(weir.port, proto, seconds=30) as connection:
        whole = connection.get(target, fields=fields).body
        assert whole.count(b"A") >= size and b"B" not in whole
        with Traced(weir, "-e", "trace=sendfile", "-e", f"inject=sendfile:delay_exit={DELAY}:when={piece}") as traced:
            seen = []
            connection.request(target, fields=fields)
            reader = threading.Thread(target=answer, args=(connection, seen))
            reader.start()
            wait_for(lambda: traced.count("sendfile(") >= piece, seconds=20, what="the piece")
            with open(path, "r+b") as file:
                file.write(b"B" * LENGTH)
            reader.join()
    assert isinstance(seen[0], (BadResponse, Ended)), "what is mixed ended as if it were whole"
