# SPDX-License-Identifier: BSD-2-Clause
"""A weir whose connections have a congestion control of the test's choice, on which it depends how large the pieces of a file are (DESIGN §6)."""
import sys
from pathlib import Path

from server import Server

QUANTUM, QUANTUM_PACED = 960 << 10, 120 << 10  # octets of a file that one call sends (server/base/chunk.h)
# Listens itself, with a congestion control, and becomes weir, which takes such sockets as it takes those of the service manager.
GIVEN = """
import os, re, socket, sys
port = int(re.search(r"http://127.0.0.1:([0-9]+)", open(sys.argv[-1]).read())[1])
given = socket.create_server(("127.0.0.1", port))
given.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, sys.argv[1].encode())
os.dup2(os.dup(given.fileno()), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Controlled(Server):
    """A weir whose connections have this congestion control, at the first address of its configuration: http://127.0.0.1:$port."""

    def __init__(self, config, control, **options):
        super().__init__(config, **options)
        self.paced = control == "bbr"
        self.quantum = QUANTUM_PACED if self.paced else QUANTUM
        self.command = [sys.executable, "-c", GIVEN, control, *self.command]


def controls():
    """One that does not pace what is sent and one that does, as far as the kernel has them."""
    known = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    return [name for name in ("reno", "bbr") if name in known]
