# SPDX-License-Identifier: BSD-2-Clause
"""TLS octet by octet: hellos of any shape, records of any shape, and what a server says to them up to its alert and its end.
No keys: tlskeys.py finishes handshakes."""
import os
import select
import socket
import struct
import time
from dataclasses import dataclass, field, replace

from certificates import DER  # noqa: F401 - skips where python3-cryptography is missing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519

CCS, ALERT, HANDSHAKE, DATA, HEARTBEAT = 20, 21, 22, 23, 24
SSL3, TLS10, TLS11, TLS12, TLS13 = 0x0300, 0x0301, 0x0302, 0x0303, 0x0304
CLIENT_HELLO, SERVER_HELLO, TICKET, END_OF_EARLY_DATA, ENCRYPTED_EXTENSIONS = 1, 2, 4, 5, 8
CERTIFICATE, SERVER_KEY_EXCHANGE, CERTIFICATE_REQUEST, SERVER_HELLO_DONE = 11, 12, 13, 14
CERTIFICATE_VERIFY, CLIENT_KEY_EXCHANGE, FINISHED, CERTIFICATE_STATUS, KEY_UPDATE = 15, 16, 20, 22, 24

ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow",
    30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate", 42: "bad_certificate",
    43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
    47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error",
    60: "export_restriction", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
    86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation", 109: "missing_extension",
    110: "unsupported_extension", 111: "certificate_unobtainable", 112: "unrecognized_name",
    113: "bad_certificate_status_response", 115: "unknown_psk_identity", 116: "certificate_required",
    120: "no_application_protocol"}

# Extensions (RFC 8446 §4.2, RFC 5246, 6066, 7627, 7685, 8449).
(SERVER_NAME, MAX_FRAGMENT, STATUS_REQUEST, GROUPS, POINT_FORMATS, SIGNATURES, EXT_HEARTBEAT, ALPN, PADDING, ENCRYPT_THEN_MAC,
 EXTENDED_MASTER, RECORD_SIZE, SESSION_TICKET, PSK, EARLY_DATA, VERSIONS, COOKIE, PSK_MODES, POST_AUTH, SIGNATURES_CERT, KEY_SHARE,
 RENEGOTIATION) = 0, 1, 5, 10, 11, 13, 15, 16, 21, 22, 23, 28, 35, 41, 42, 43, 44, 45, 49, 50, 51, 0xFF01
P256, P384, P521, X25519, X448, FFDHE2048 = 23, 24, 25, 29, 30, 256
CURVES = {P256: ec.SECP256R1, P384: ec.SECP384R1, P521: ec.SECP521R1}

AES128, AES256, CHACHA = 0x1301, 0x1302, 0x1303
ECDSA_AES128, ECDSA_AES256, ECDSA_CHACHA = 0xC02B, 0xC02C, 0xCCA9
RSA_AES128, RSA_AES256, RSA_CHACHA = 0xC02F, 0xC030, 0xCCA8
SUITES_13 = (AES128, AES256, CHACHA)
SUITES_12 = (ECDSA_AES128, ECDSA_AES256, ECDSA_CHACHA, RSA_AES128, RSA_AES256, RSA_CHACHA)
EMPTY_RENEGOTIATION_SCSV, FALLBACK_SCSV = 0x00FF, 0x5600
ECDSA_P256, ECDSA_P384, ECDSA_P521, ED25519 = 0x0403, 0x0503, 0x0603, 0x0807
PSS_256, PSS_384, PSS_512, PKCS1_256, PKCS1_384, PKCS1_512 = 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601
SCHEMES = (ECDSA_P256, ECDSA_P384, ECDSA_P521, ED25519, PSS_256, PSS_384, PSS_512, PKCS1_256, PKCS1_384, PKCS1_512)
RETRY_RANDOM = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")


# --- Vectors ---

def u8(data):
    """A vector with a length of one octet; u16 and u24 likewise."""
    return bytes([len(data)]) + data


def u16(data):
    return struct.pack(">H", len(data)) + data


def u24(data):
    return struct.pack(">I", len(data))[1:] + data


def words(values):
    return b"".join(struct.pack(">H", value) for value in values)


def message(kind, body):
    """A handshake message."""
    return bytes([kind]) + u24(body)


def record(kind, payload, version=TLS12, length=None):
    """One record; `length` in place of the true one."""
    return struct.pack(">BHH", kind, version, len(payload) if length is None else length) + payload


def alert(description, level=2):
    return bytes([level, description])


class Reader:
    """Reads vectors; what is left over or missing is the server's fault."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def octets(self, count):
        assert self.at + count <= len(self.data), f"a vector is cut: {self.data[:200].hex()}"
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, size):
        return int.from_bytes(self.octets(size), "big")

    def vector(self, size):
        return self.octets(self.number(size))

    @property
    def left(self):
        return len(self.data) - self.at

    def end(self):
        assert not self.left, f"{self.left} octets too many: {self.data[self.at:][:200].hex()}"


# --- The client's hello ---

def share(group, key=None):
    """The public half of a fresh key (or of this one) of a group, and the key."""
    if group == X25519:
        key = key or x25519.X25519PrivateKey.generate()
        return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw), key
    key = key or ec.generate_private_key(CURVES[group]())
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint), key


def names(*hosts, kind=0):
    return u16(b"".join(bytes([kind]) + u16(host.encode() if isinstance(host, str) else host) for host in hosts))


def protocols(*tokens):
    return u16(b"".join(u8(token if isinstance(token, bytes) else token.encode()) for token in tokens))


def shares(*entries):
    """key_share of (group, octets) …"""
    return u16(b"".join(struct.pack(">H", group) + u16(data) for group, data in entries))


@dataclass
class Hello:
    """A ClientHello, every part of which may be anything."""

    version: int = TLS12
    random: bytes = field(default_factory=lambda: os.urandom(32))
    session: bytes = field(default_factory=lambda: os.urandom(32))
    suites: object = SUITES_13 + SUITES_12  # or octets
    compression: bytes = b"\0"
    extensions: object = ()  # [(type, octets)], octets, or None: not even their length
    keys: dict = field(default_factory=dict)  # of the shares

    def body(self):
        made = struct.pack(">H", self.version) + self.random + u8(self.session)
        made += u16(self.suites if isinstance(self.suites, bytes) else words(self.suites)) + u8(self.compression)
        if self.extensions is None:
            return made
        if isinstance(self.extensions, bytes):
            return made + u16(self.extensions)
        return made + u16(b"".join(struct.pack(">H", kind) + u16(data) for kind, data in self.extensions))

    def message(self):
        return message(CLIENT_HELLO, self.body())

    def get(self, kind):
        return next((data for key, data in self.extensions if key == kind), None)

    def but(self, **parts):
        """The same with other parts."""
        return replace(self, **parts)

    def set(self, kind, data):
        """With this extension, at its place or last; what must be last (pre_shared_key) stays it."""
        if self.get(kind) is not None:
            return self.but(extensions=[(key, data if key == kind else old) for key, old in self.extensions])
        rest = [one for one in self.extensions if one[0] == PSK]
        return self.but(extensions=[one for one in self.extensions if one[0] != PSK] + [(kind, data)] + rest)

    def drop(self, *kinds):
        return self.but(extensions=[one for one in self.extensions if one[0] not in kinds])


def hello(name="localhost", versions=(TLS13, TLS12), groups=(X25519, P256, P384), shared=None, schemes=SCHEMES,
          alpn=("http/1.1",), suites=None, ticket=True, ems=True, status=False):
    """A hello such as browsers send."""
    keys, entries = {}, []
    for group in groups[:1] if shared is None else shared:
        data, keys[group] = share(group)
        entries.append((group, data))
    old = any(version <= TLS12 for version in versions)
    made = [(SERVER_NAME, names(name))] if name else []
    made += [(EXTENDED_MASTER, b"")] if old and ems else []
    made += [(RENEGOTIATION, b"\0"), (POINT_FORMATS, u8(b"\0"))] if old else []
    made += [(GROUPS, u16(words(groups))), (SIGNATURES, u16(words(schemes)))]
    made += [(SESSION_TICKET, b"")] if old and ticket else []
    made += [(ALPN, protocols(*alpn))] if alpn else []
    made += [(STATUS_REQUEST, b"\1\0\0\0\0")] if status else []
    if TLS13 in versions:
        made += [(VERSIONS, u8(words(versions))), (PSK_MODES, u8(b"\1")), (KEY_SHARE, shares(*entries))]
    if suites is None:
        suites = (SUITES_13 if TLS13 in versions else ()) + (SUITES_12 if old else ())
    return Hello(version=min(TLS12, max(versions)), suites=suites, extensions=made, keys=keys,
                 session=os.urandom(32) if TLS13 in versions else b"")


def hello_12(**options):
    """A hello of a client that knows TLS 1.2 only."""
    return hello(versions=(TLS12,), **options)


def hello_13(**options):
    """A hello of a client that knows TLS 1.3 only."""
    return hello(versions=(TLS13,), **options)


# --- The connection ---

class Alerted(Exception):
    """The server sent an alert."""

    def __init__(self, level, description):
        self.level, self.description = level, description
        self.name = ALERTS.get(description, str(description))
        super().__init__(f"{'fatal' if level == 2 else 'warning' if level == 1 else level} {self.name}")


class Gone(Exception):
    """The connection ended or nothing came: `how` is fin, reset or silence."""

    def __init__(self, how):
        self.how = how
        super().__init__(how)


class Plain(Exception):
    """The server answers in the clear."""


@dataclass
class Outcome:
    """What a server said until its end."""

    alerts: list = field(default_factory=list)  # Alerted
    ended: str = ""  # fin, reset, or silence: it is still open
    messages: list = field(default_factory=list)  # of the handshake: (type, body), as far as they can be read
    data: bytes = b""
    plain: bytes = b""  # HTTP in the clear

    @property
    def served(self):
        """Did the server choose to go on?"""
        return any(kind == SERVER_HELLO and body[2:34] != RETRY_RANDOM for kind, body in self.messages)

    @property
    def said(self):
        """In one word: the name of the fatal alert that was the last thing said before the end, else what came instead."""
        if self.plain:
            return self.plain[:12].decode("latin-1")
        if len(self.alerts) == 1 and self.alerts[0].level == 2 and self.ended in ("fin", "reset"):
            return self.alerts[0].name
        return " ".join([str(one) for one in self.alerts] + [self.ended])


class Raw:
    """A connection to a TLS server: sends records, reads records. Subclasses encrypt."""

    def __init__(self, port, host="127.0.0.1", seconds=8, source=None):
        self.socket = socket.create_connection((host, port), timeout=seconds, source_address=source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.seconds, self.buffer, self.partial, self.sent = seconds, b"", b"", 0
        self.seal = self.open = None  # by subclasses: (type, payload) → record; record → (type, payload)
        self.early_version = TLS10  # of records before the server's hello
        self.records = []  # lengths of those that came

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data):
        """Octets as they are. False: the server has closed before."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def record(self, kind, payload):
        """One record, encrypted if it is time for that."""
        if self.seal:
            return self.seal(kind, payload)
        return record(kind, payload, self.early_version)

    def put(self, kind, payload, pieces=1 << 14):
        """Sends records with this payload."""
        made = [payload[at:at + pieces] for at in range(0, len(payload), pieces)] or [b""]
        return self.send(b"".join(self.record(kind, piece) for piece in made))

    def fill(self, seconds=None):
        poll = select.poll()  # select() knows no descriptors beyond 1,023
        poll.register(self.socket, select.POLLIN)
        if not poll.poll(1000 * (self.seconds if seconds is None else seconds)):
            raise Gone("silence")
        try:
            data = self.socket.recv(1 << 18)
        except OSError:
            raise Gone("reset") from None
        if not data:
            raise Gone("fin")
        self.buffer += data

    def read(self, seconds=None):
        """The next record: its type and what it holds, decrypted if it is time for that."""
        end = time.monotonic() + (self.seconds if seconds is None else seconds)
        while len(self.buffer) < 5 or len(self.buffer) < 5 + int.from_bytes(self.buffer[3:5], "big"):
            self.fill(max(0, end - time.monotonic()))
            if self.buffer.startswith(b"HTTP/"):
                raise Plain
            assert self.buffer[0] in (CCS, ALERT, HANDSHAKE, DATA) and self.buffer[1:2] in (b"", b"\3"), (
                f"no TLS record: {self.buffer[:60]!r}")
        size = 5 + int.from_bytes(self.buffer[3:5], "big")
        whole, self.buffer = self.buffer[:size], self.buffer[size:]
        self.records.append(size - 5)
        assert size - 5 <= (1 << 14) + 256, f"a record of {size - 5} octets"
        if self.open and whole[0] != CCS:
            return self.open(whole)
        return whole[0], whole[5:]

    def message(self, seconds=None):
        """The next handshake message: its type and body. An alert is raised."""
        while len(self.partial) < 4 or len(self.partial) < 4 + int.from_bytes(self.partial[1:4], "big"):
            kind, payload = self.read(seconds)
            if kind == ALERT:
                raise Alerted(*payload)
            if kind == CCS:
                self.changed()
                continue
            assert kind == HANDSHAKE, f"a record of type {kind} within the handshake: {payload[:60]!r}"
            self.partial += payload
        size = 4 + int.from_bytes(self.partial[1:4], "big")
        whole, self.partial = self.partial[:size], self.partial[size:]
        self.heard(whole)
        return whole[0], whole[4:]

    def changed(self):
        """ChangeCipherSpec came."""

    def heard(self, whole):
        """A handshake message came."""

    def outcome(self, seconds=None):
        """Reads to the end. What is encrypted and cannot be read counts as nothing."""
        made = Outcome()
        try:
            while True:
                kind, payload = self.read(seconds)
                if kind == ALERT:
                    assert len(payload) == 2, f"an alert of {len(payload)} octets"
                    made.alerts.append(Alerted(*payload))
                elif kind == HANDSHAKE:
                    self.partial += payload
                    while len(self.partial) >= 4 and len(self.partial) >= 4 + int.from_bytes(self.partial[1:4], "big"):
                        made.messages.append(self.message())
                elif kind == DATA:
                    made.data += payload
        except Gone as gone:
            made.ended = gone.how
        except Plain:
            made.ended = self.rest_of(made)
        return made

    def rest_of(self, made):
        """What comes in the clear to the end."""
        try:
            while True:
                self.fill()
        except Gone as gone:
            made.plain = self.buffer
            return gone.how

    def half_close(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server was quicker


def answer(port, *pieces, kind=HANDSHAKE, version=TLS10, size=1 << 14, seconds=None, half_close=False, source=None):
    """What a fresh connection brings to these handshake messages (Hello or octets), in records of at most `size`."""
    data = b"".join(piece.message() if isinstance(piece, Hello) else piece for piece in pieces)
    with Raw(port, source=source) as raw:
        raw.early_version = version
        raw.put(kind, data, size)
        if half_close:
            raw.half_close()
        return raw.outcome(seconds)


def answer_raw(port, data, seconds=None, half_close=False):
    """What a fresh connection brings to these octets."""
    with Raw(port) as raw:
        raw.send(data)
        if half_close:
            raw.half_close()
        return raw.outcome(seconds)
