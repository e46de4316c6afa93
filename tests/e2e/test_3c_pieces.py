# SPDX-License-Identifier: BSD-2-Clause
"""A file that is written in place between two pieces of an answer (DESIGN §3: "the connection ends, nothing is mixed or padded"), which are larger
where sending is not paced (§6: "`sendfile` in large quanta"). strace makes the call that sends a piece return late; meanwhile the file is
written."""
import threading
import time

import pytest

from client import BadResponse, Ended, connect, learned
from controlled import QUANTUM, Controlled, controls
from server import wait_for
from traced import Traced

CONFIG = """
threads: 1
sites: [ { listen: "http://127.0.0.1:$port", root: $root } ]
"""
SPAN = 2 * QUANTUM
LENGTH = 17 << 20  # too large for a copy, from which it would be sent
DELAY = 1500000  # microseconds
# By the server's quantum: the protocol, what is asked for, and which piece of what length returns late. A socket takes 4 MB before its peer reads:
# no answer is longer, so that all pieces are sent whole.
CASES = {
    "second": lambda quantum: ("h1", quantum + 80000, 1, quantum, None),  # the last piece is the second
    "fourth": lambda quantum: ("h1", 3 * quantum + 1000, 3, quantum, None),
    "span": lambda quantum: ("h1", SPAN + 1000, SPAN // quantum, quantum, None),  # the last piece is the first of another span
    "span-whole": lambda quantum: ("h1", SPAN + quantum, SPAN // quantum, quantum, None),
    "frames": lambda quantum: ("h2c", 60000, 2, 16384, None),  # as many as a window lets go at once
    "ranges": lambda quantum: ("h1", 80000, 1, 40000, "0-39999,80000-119999"),
}


@pytest.fixture(name="weir", scope="module", params=controls())
def running(request):
    with Controlled(CONFIG, request.param) as weir:
        yield weir


def answer(connection, seen):
    try:
        seen.append(connection.read())
    except (BadResponse, Ended) as fault:
        seen.append(fault)


@pytest.mark.parametrize("case", CASES)
def test_written_between_pieces(weir, case):
    """Where a socket did not take all of the pieces before, another one is late: then once more, with another file."""
    assert any(written_at_the_piece(weir, case, f"/{case}-{number}.bin") for number in range(4)), "another piece was late"


def written_at_the_piece(weir, case, target):
    proto, size, piece, length, ranges = CASES[case](weir.quantum)
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
            sent = f"[{(piece - 1) * length}] => [{piece * length}], {length}) = {length} (DELAYED)"
            if traced.count(sent) != 1:
                return False
        assert isinstance(seen[0], (BadResponse, Ended)), "what is mixed ended as if it were whole"
        assert learned(connection, seen[0])
    return True
