# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of all end-to-end tests: the protocols, and the health of every weir that a test leaves running."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from client import PROTOCOLS, Spoken  # noqa: E402
from recorder import Recorder  # noqa: E402
from server import Server, starter  # noqa: E402


@pytest.fixture(params=PROTOCOLS)
def proto(request):
    """Each behaviour test runs once over every protocol that weir speaks: what connect() speaks meanwhile."""
    Spoken.proto = request.param
    yield request.param
    Spoken.proto = "h1"


@pytest.fixture
def weir():
    """Starts servers for one test: weir(config, …) as Server(…); they are stopped and judged at the test's end."""
    servers = []

    def start(config, **options):
        server = Server(config, **options)
        servers.append(server)
        return server.start()

    yield start
    for server in reversed(servers):
        server.__exit__(None, None, None)


@pytest.fixture
def mortal():
    """Servers whose processes the test ends or replaces itself: judged by the test alone."""
    made = []

    yield starter(made)
    for server in made:
        server.kill()
        server.remove()


@pytest.fixture(scope="module")
def recorder():
    """A backend that tells what it was asked."""
    running = Recorder()
    yield running
    running.close()


@pytest.fixture(params=["h2c", "h2"])
def proto_h2(request):
    """HTTP/2 alone, in clear and over TLS."""
    return request.param


@pytest.fixture(scope="module")
def h2stage():
    """A weir with files and two backends, for HTTP/2."""
    from h2stage import Stage
    with Stage() as stage:
        yield stage


@pytest.fixture(autouse=True)
def health():
    """At the end of each test: no worker restarted, no check failed, no sanitizer reported."""
    yield
    for server in list(Server.alive):
        server.check()
