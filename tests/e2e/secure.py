# SPDX-License-Identifier: BSD-2-Clause
"""A weir that speaks TLS, with certificates of the test's own authority: ecdsa.pem, rsa.pem, their keys, and ca.pem beside its configuration."""
import ssl
import socket

import certificates
from client import Connection
from server import Server

CONFIG = """
threads: 2
tls:
  certificates:
    - { certificate: ecdsa.pem, key: ecdsa.key }
    - { certificate: rsa.pem, key: rsa.key }
sites:
  - { listen: "https://127.0.0.1:$port", root: root }
"""


class Secure(Server):
    """As Server; `kinds` are the keys for which certificates of certificates.NAMES are written before the start."""

    def __init__(self, config=CONFIG, kinds=("ecdsa", "rsa"), **options):
        super().__init__(config, **options)
        for kind in kinds:
            certificates.server_certificate(kind).write(self.folder, kind)
        certificates.replace(self.folder / "ca.pem", certificates.authority().alone)
        (self.root / "index.html").write_text("hello\n")

    def put(self, name, certificate):
        """NAME.pem and NAME.key."""
        certificate.write(self.folder, name)
        return self

    def url(self, path="/", scheme="https", port="port"):
        return super().url(path, scheme, port)


def secured(made, plain):
    """A TLS socket upon a connected one, verified; the name is that of `made`, (context, name)."""
    context, name = made
    plain.setblocking(True)
    plain.settimeout(20)
    return context.wrap_socket(plain, server_hostname=name)


class SecureConnection(Connection):
    """client.Connection over TLS by the ssl module."""

    def __init__(self, port, name="localhost", context=None, **options):
        super().__init__(port, **options)
        self.socket = secured((context or certificates.context(), name), self.socket)
        self.socket.setblocking(False)

    def send(self, data, seconds=None):
        self.socket.settimeout(seconds or self.seconds)
        try:
            self.socket.sendall(data)
        except (TimeoutError, ssl.SSLError, ConnectionError):
            return False
        finally:
            self.socket.setblocking(False)
        return True

    def fill(self, seconds):
        if self.ended:
            return False
        self.socket.settimeout(max(0.001, seconds))
        try:
            data = self.socket.recv(1 << 18)
        except ssl.SSLEOFError:
            self.ended = "truncated"
            return False
        except (ssl.SSLWantReadError, TimeoutError, socket.timeout):
            return False
        except ConnectionError:
            self.ended = "reset"
            return False
        if not data:
            self.ended = "fin"
            return False
        self.buffer += data
        return True

    def half_close(self):
        pass


def get(port, path="/", name="localhost", **options):
    """One verified request over TLS."""
    with SecureConnection(port, name, **options) as connection:
        return connection.get(path, host=name)
