# SPDX-License-Identifier: BSD-2-Clause
"""A client of TLS 1.3 (RFC 8446) and 1.2 (RFC 5246, ECDHE with AEAD) that finishes handshakes, verifies what the server proves, and
then sends whatever a test wants, encrypted: for what no library would send, and for what none would tell."""
import hashlib
import hmac
import os
import struct
import time
from dataclasses import dataclass

import tlsraw as tls
from tlsraw import ALERT, CCS, DATA, HANDSHAKE, TLS12, TLS13, Alerted, Gone, Raw, Reader, message, record, u8, u16, u24
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

HASHES = {tls.PSS_256: hashes.SHA256, tls.PSS_384: hashes.SHA384, tls.PSS_512: hashes.SHA512, tls.PKCS1_256: hashes.SHA256,
          tls.PKCS1_384: hashes.SHA384, tls.PKCS1_512: hashes.SHA512, tls.ECDSA_P256: hashes.SHA256,
          tls.ECDSA_P384: hashes.SHA384, tls.ECDSA_P521: hashes.SHA512}
PSS = (tls.PSS_256, tls.PSS_384, tls.PSS_512)
WIDE = (tls.AES256, tls.ECDSA_AES256, tls.RSA_AES256)  # SHA-384 and keys of 32 octets
CHACHA = (tls.CHACHA, tls.ECDSA_CHACHA, tls.RSA_CHACHA)


def hash_of(suite):
    return hashlib.sha384 if suite in WIDE else hashlib.sha256


def xor(one, other):
    return bytes(a ^ b for a, b in zip(one, other))


# --- RFC 8446 §7.1, RFC 5246 §5 ---

def extract(suite, salt, secret):
    return hmac.new(salt, secret, hash_of(suite)).digest()


def expand(suite, secret, label, context, length):
    info, made, last, count = struct.pack(">H", length) + u8(b"tls13 " + label) + u8(context), b"", b"", 1
    while len(made) < length:
        last = hmac.new(secret, last + info + bytes([count]), hash_of(suite)).digest()
        made, count = made + last, count + 1
    return made[:length]


def derive(suite, secret, label, transcript):
    return expand(suite, secret, label, hash_of(suite)(transcript).digest(), hash_of(suite)().digest_size)


def finished(suite, secret, transcript):
    size = hash_of(suite)().digest_size
    return hmac.new(expand(suite, secret, b"finished", b"", size), hash_of(suite)(transcript).digest(), hash_of(suite)).digest()


def prf(suite, secret, label, seed, length):
    made, step = b"", label + seed
    while len(made) < length:
        step = hmac.new(secret, step, hash_of(suite)).digest()
        made += hmac.new(secret, step + label + seed, hash_of(suite)).digest()
    return made[:length]


# --- Records ---

class Keys13:
    """One direction's keys of TLS 1.3."""

    def __init__(self, suite, secret):
        self.suite, self.secret, self.number = suite, secret, 0
        key = expand(suite, secret, b"key", b"", 16 if suite == tls.AES128 else 32)
        self.iv = expand(suite, secret, b"iv", b"", 12)
        self.aead = ChaCha20Poly1305(key) if suite in CHACHA else AESGCM(key)

    def updated(self):
        return Keys13(self.suite, expand(self.suite, self.secret, b"traffic upd", b"", len(self.secret)))

    def nonce(self):
        self.number += 1
        return xor(self.iv, struct.pack(">4xQ", self.number - 1))

    def seal_inner(self, inner, outer=DATA, version=TLS12):
        """A record of any inner plaintext: its type and padding are the caller's."""
        head = struct.pack(">BHH", outer, version, len(inner) + 16)
        return head + self.aead.encrypt(self.nonce(), inner, head)

    def seal(self, kind, payload):
        return self.seal_inner(payload + bytes([kind]))

    def open(self, whole):
        if whole[0] != DATA:
            return whole[0], whole[5:]  # an alert in the clear: the server could not read us
        inner = self.aead.decrypt(self.nonce(), whole[5:], whole[:5]).rstrip(b"\0")
        assert inner, "a record of nothing but padding"
        return inner[-1], inner[:-1]


class Keys12:
    """One direction's keys of TLS 1.2 with an AEAD (RFC 5288, RFC 7905)."""

    def __init__(self, suite, key, iv):
        self.chacha, self.iv, self.number = suite in CHACHA, iv, 0
        self.aead = ChaCha20Poly1305(key) if self.chacha else AESGCM(key)

    def next(self):
        self.number += 1
        return struct.pack(">Q", self.number - 1)

    def seal(self, kind, payload, version=TLS12):
        number = self.next()
        nonce = xor(self.iv, bytes(4) + number) if self.chacha else self.iv + number
        sealed = self.aead.encrypt(nonce, payload, number + struct.pack(">BHH", kind, version, len(payload)))
        return record(kind, sealed if self.chacha else number + sealed, version)

    def open(self, whole):
        number, body = self.next(), whole[5:]
        nonce = xor(self.iv, bytes(4) + number) if self.chacha else self.iv + body[:8]
        body = body if self.chacha else body[8:]
        return whole[0], self.aead.decrypt(nonce, body, number + whole[:3] + struct.pack(">H", len(body) - 16))


@dataclass
class Session:
    """What resumes a session."""

    version: int
    suite: int
    secret: bytes  # the PSK, or the master secret
    ticket: bytes
    lifetime: int = 0
    age_add: int = 0
    early: int = 0
    when: float = 0.0
    name: str = ""
    ems: bool = True


def resuming(hello, session, binder=None):
    """The hello with this session offered; the binder may be another than the right one."""
    if session.version == TLS12:
        return hello.set(tls.SESSION_TICKET, session.ticket).but(session=os.urandom(32))
    size = hash_of(session.suite)().digest_size
    age = (int((time.time() - session.when) * 1000) + session.age_add) & 0xFFFFFFFF
    identities = u16(u16(session.ticket) + struct.pack(">I", age))
    made = hello.drop(tls.PSK)
    made = made.but(extensions=[*made.extensions, (tls.PSK, identities + u16(u8(bytes(size))))])
    cut = made.message()[:-size - 3]
    early = extract(session.suite, bytes(size), session.secret)
    key = derive(session.suite, early, b"res binder", b"")
    right = binder if binder is not None else finished(session.suite, key, cut)
    return made.but(extensions=[*made.extensions[:-1], (tls.PSK, identities + u16(u8(right)))])


def sign(key, scheme, data):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(HASHES[scheme]()))
    digest = HASHES[scheme]()
    return key.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size) if scheme in PSS else padding.PKCS1v15(), digest)


def verify(certificate, scheme, signature, data):
    """Raises InvalidSignature where the server proves nothing."""
    key = certificate.public_key()
    if isinstance(key, ed25519.Ed25519PublicKey):
        assert scheme == tls.ED25519
        key.verify(signature, data)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        assert scheme in (tls.ECDSA_P256, tls.ECDSA_P384, tls.ECDSA_P521), hex(scheme)
        key.verify(signature, data, ec.ECDSA(HASHES[scheme]()))
    else:
        assert isinstance(key, rsa.RSAPublicKey) and scheme in HASHES, hex(scheme)
        digest = HASHES[scheme]()
        key.verify(signature, data,
                   padding.PSS(padding.MGF1(digest), digest.digest_size) if scheme in PSS else padding.PKCS1v15(), digest)


def scheme_for(key):
    """What a client's certificate of ours signs with."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return tls.ED25519
    if isinstance(key, rsa.RSAPrivateKey):
        return tls.PSS_256
    return {256: tls.ECDSA_P256, 384: tls.ECDSA_P384, 521: tls.ECDSA_P521}[key.key_size]


class Client(Raw):
    """One connection. begin(hello) hears the server's first flight, finish() says ours; handshake() is both. What was agreed is in
    version, suite, group, alpn, certificates (x509), staple, request (of a client's certificate), resumed; sessions are added as tickets come."""

    def __init__(self, port, **options):
        super().__init__(port, **options)
        self.version, self.suite, self.group, self.alpn, self.retried = 0, 0, 0, None, False
        self.transcript, self.certificates, self.staple, self.request, self.resumed = b"", [], None, None, False
        self.sessions, self.ours, self.theirs, self.offered, self.master, self.ems = [], None, None, None, None, False
        self.extensions, self.name, self.scheme, self.updates = {}, "", None, 0
        self.shared = None

    def heard(self, whole):
        self.transcript += whole

    def say(self, kind, body, pieces=1 << 14):
        """A handshake message of ours."""
        whole = message(kind, body)
        self.transcript += whole
        return self.put(HANDSHAKE, whole, pieces)

    def hash(self, data=None):
        return hash_of(self.suite)(self.transcript if data is None else data).digest()

    # --- The hello and its answer ---

    def begin(self, hello, session=None):
        self.offer(hello, session)
        body = self.expect(tls.SERVER_HELLO)
        if body[2:34] == tls.RETRY_RANDOM:
            body = self.answer_retry(self.retry(hello, body))
        self.server_hello(body)
        if self.version == TLS13:
            self.flight_13(session)
        else:
            self.flight_12(session)
        return self

    def offer(self, hello, session=None):
        if session:
            hello = resuming(hello, session)
        self.offered = hello
        name = hello.get(tls.SERVER_NAME)
        self.name = name[5:].decode() if name else ""
        self.transcript = hello.message()
        self.put(HANDSHAKE, hello.message())

    def expect(self, kind):
        got, body = self.message()
        assert got == kind, f"message {got} where {kind} belongs"
        return body

    def parse_hello(self, body):
        reader = Reader(body)
        version, random, session = reader.number(2), reader.octets(32), reader.vector(1)
        suite, compression = reader.number(2), reader.number(1)
        extensions = self.parse_extensions(reader.vector(2)) if reader.left else {}
        reader.end()
        assert version == TLS12 and compression == 0, (version, compression)
        assert suite in self.offered.suites, hex(suite)
        return random, session, suite, extensions

    def parse_extensions(self, data):
        reader, found = Reader(data), {}
        while reader.left:
            kind = reader.number(2)
            assert kind not in found, f"extension {kind} twice"
            found[kind] = reader.vector(2)
            known = {key for key, _ in self.offered.extensions} | {tls.COOKIE, tls.RENEGOTIATION}
            assert kind in known, f"extension {kind} was not asked for"
        return found

    def retry(self, hello, body):
        """HelloRetryRequest (RFC 8446 §4.1.4): the second hello, with what is asked for."""
        _, _, self.suite, extensions = self.parse_hello(body)
        self.retried = True
        first = message(tls.CLIENT_HELLO, self.transcript[4:len(self.transcript) - 4 - len(body)])
        self.transcript = message(254, self.hash(first)) + message(tls.SERVER_HELLO, body)
        group = int.from_bytes(extensions[tls.KEY_SHARE], "big")
        data, key = tls.share(group)
        again = hello.set(tls.KEY_SHARE, tls.shares((group, data))).but(keys={group: key})
        if tls.COOKIE in extensions:
            again = again.set(tls.COOKIE, extensions[tls.COOKIE])
        return again

    def answer_retry(self, again):
        self.offered = again
        self.transcript += again.message()
        self.early_version = TLS12
        self.put(HANDSHAKE, again.message())
        return self.expect(tls.SERVER_HELLO)

    def server_hello(self, body):
        self.random, session, self.suite, self.extensions = self.parse_hello(body)
        self.session_echo = session
        self.version = int.from_bytes(self.extensions.get(tls.VERSIONS, struct.pack(">H", TLS12)), "big")
        self.early_version = TLS12
        if self.version == TLS13:
            assert session == self.offered.session, "the session id is not echoed"

    # --- TLS 1.3 ---

    def exchange(self, group, public):
        self.group = group
        key = self.offered.keys[group]
        if group == tls.X25519:
            return key.exchange(x25519.X25519PublicKey.from_public_bytes(public))
        return key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(tls.CURVES[group](), public))

    def flight_13(self, session):
        assert not self.partial, "the server's hello is not the last of its record"
        size = hash_of(self.suite)().digest_size
        self.resumed = tls.PSK in self.extensions
        reader = Reader(self.extensions[tls.KEY_SHARE])
        shared = self.exchange(reader.number(2), reader.vector(2))
        early = extract(self.suite, bytes(size), session.secret if self.resumed else bytes(size))
        secret = extract(self.suite, derive(self.suite, early, b"derived", b""), shared)
        self.ours = derive(self.suite, secret, b"c hs traffic", self.transcript)
        self.theirs = derive(self.suite, secret, b"s hs traffic", self.transcript)
        self.master = extract(self.suite, derive(self.suite, secret, b"derived", b""), bytes(size))
        self.incoming, self.outgoing = Keys13(self.suite, self.theirs), Keys13(self.suite, self.ours)
        self.open, self.seal = self.incoming.open, self.outgoing.seal
        reader = Reader(self.expect(tls.ENCRYPTED_EXTENSIONS))
        found = self.parse_extensions(reader.vector(2))
        self.take_alpn(found)
        self.extensions = {**self.extensions, **found}
        while self.step_13():
            pass
        self.traffic = self.application_keys()

    def take_alpn(self, found):
        if tls.ALPN in found:
            reader = Reader(Reader(found[tls.ALPN]).vector(2))
            self.alpn = reader.vector(1).decode()
            reader.end()

    def step_13(self):
        before = self.transcript
        kind, body = self.message()
        reader = Reader(body)
        if kind == tls.CERTIFICATE_REQUEST:
            self.request = (reader.vector(1), self.parse_request(reader.vector(2)))
        elif kind == tls.CERTIFICATE:
            assert reader.vector(1) == b""
            entries = Reader(reader.vector(3))
            while entries.left:
                self.certificates.append(x509.load_der_x509_certificate(entries.vector(3)))
                extensions = self.parse_extensions(entries.vector(2))
                if tls.STATUS_REQUEST in extensions and len(self.certificates) == 1:
                    self.staple = extensions[tls.STATUS_REQUEST][4:]
        elif kind == tls.CERTIFICATE_VERIFY:
            self.scheme, signature = reader.number(2), reader.vector(2)
            verify(self.certificates[0], self.scheme, signature,
                   b" " * 64 + b"TLS 1.3, server CertificateVerify\0" + self.hash(before))
        else:
            assert kind == tls.FINISHED, f"message {kind} in the server's flight"
            assert body == finished(self.suite, self.theirs, before), "the server's Finished is wrong"
            return False
        reader.end()
        return True

    @staticmethod
    def parse_request(data):
        reader, found = Reader(data), {}
        while reader.left:
            kind = reader.number(2)
            found[kind] = reader.vector(2)
        return found

    def application_keys(self):
        """Those for after the handshake, from the transcript up to the server's Finished."""
        return (derive(self.suite, self.master, b"c ap traffic", self.transcript),
                derive(self.suite, self.master, b"s ap traffic", self.transcript))

    def certify_13(self, certificate):
        chain = [certificate, *certificate.chain] if certificate else []
        self.say(tls.CERTIFICATE, u8(self.request[0]) + u24(b"".join(u24(one.der) + u16(b"") for one in chain)))
        if certificate:
            scheme = scheme_for(certificate.key)
            proof = sign(certificate.key, scheme, b" " * 64 + b"TLS 1.3, client CertificateVerify\0" + self.hash())
            self.say(tls.CERTIFICATE_VERIFY, struct.pack(">H", scheme) + u16(proof))

    def finish(self, certificate=None):
        """Ours: a certificate if one was asked for, and Finished."""
        if self.version == TLS12:
            return self.finish_12(certificate)
        ours, theirs = self.traffic
        self.send(record(CCS, b"\1"))
        if self.request:
            self.certify_13(certificate)
        self.say(tls.FINISHED, finished(self.suite, self.ours, self.transcript))
        self.resumption = derive(self.suite, self.master, b"res master", self.transcript)
        self.incoming, self.outgoing = Keys13(self.suite, theirs), Keys13(self.suite, ours)
        self.open, self.seal = self.incoming.open, self.outgoing.seal
        return self

    # --- TLS 1.2 ---

    def flight_12(self, session):
        self.ems = tls.EXTENDED_MASTER in self.extensions
        self.take_alpn(self.extensions)
        if session and self.session_echo == self.offered.session:
            self.resumed, self.master = True, session.secret
            self.keys_12()
            return
        while True:
            kind, body = self.message()
            reader = Reader(body)
            if kind == tls.CERTIFICATE:
                entries = Reader(reader.vector(3))
                while entries.left:
                    self.certificates.append(x509.load_der_x509_certificate(entries.vector(3)))
            elif kind == tls.CERTIFICATE_STATUS:
                assert reader.number(1) == 1
                self.staple = reader.vector(3)
            elif kind == tls.SERVER_KEY_EXCHANGE:
                assert reader.number(1) == 3
                group = reader.number(2)
                public = reader.vector(1)
                signed = self.offered.random + self.random + body[:reader.at]
                self.scheme, signature = reader.number(2), reader.vector(2)
                verify(self.certificates[0], self.scheme, signature, signed)
                self.shared = (group, public)
            elif kind == tls.CERTIFICATE_REQUEST:
                self.request = (reader.vector(1), reader.vector(2), reader.vector(2))
            else:
                assert kind == tls.SERVER_HELLO_DONE and not body, f"message {kind} in the server's flight"
                return
            reader.end()

    def keys_12(self):
        wide, chacha = self.suite in WIDE, self.suite in CHACHA
        key, iv = 32 if wide or chacha else 16, 12 if chacha else 4
        block = prf(self.suite, self.master, b"key expansion", self.random + self.offered.random, 2 * (key + iv))
        self.outgoing = Keys12(self.suite, block[:key], block[2 * key:2 * key + iv])
        self.incoming = Keys12(self.suite, block[key:2 * key], block[2 * key + iv:])

    def changed(self):
        if self.version == TLS12:
            self.open = self.incoming.open

    def exchange_12(self, certificate=None):
        """Certificate, ClientKeyExchange, CertificateVerify; the keys are there, but not in use."""
        if self.request:
            chain = [certificate, *certificate.chain] if certificate else []
            self.say(tls.CERTIFICATE, u24(b"".join(u24(one.der) for one in chain)))
        group, public = self.shared
        ours, self.offered.keys[group] = tls.share(group)
        shared = self.exchange(group, public)
        self.say(tls.CLIENT_KEY_EXCHANGE, u8(ours))
        seed = self.hash() if self.ems else self.offered.random + self.random
        self.master = prf(self.suite, shared, b"extended master secret" if self.ems else b"master secret", seed, 48)
        if self.request and certificate:
            scheme = scheme_for(certificate.key)
            self.say(tls.CERTIFICATE_VERIFY, struct.pack(">H", scheme) + u16(sign(certificate.key, scheme, self.transcript)))
        self.keys_12()

    def change_12(self):
        self.send(record(CCS, b"\1"))
        self.seal = self.outgoing.seal

    def finish_12(self, certificate=None):
        if not self.resumed:
            self.exchange_12(certificate)
            self.change_12()
            self.say(tls.FINISHED, prf(self.suite, self.master, b"client finished", self.hash(), 12))
        while True:
            before = self.transcript
            kind, body = self.message()
            if kind == tls.TICKET:
                self.take_ticket_12(body)
                continue
            assert kind == tls.FINISHED and self.open, f"message {kind} where Finished belongs"
            assert body == prf(self.suite, self.master, b"server finished", self.hash(before), 12), "the server's Finished is wrong"
            break
        if self.resumed:
            self.change_12()
            self.say(tls.FINISHED, prf(self.suite, self.master, b"client finished", self.hash(), 12))
        return self

    def take_ticket_12(self, body):
        reader = Reader(body)
        lifetime, ticket = reader.number(4), reader.vector(2)
        reader.end()
        if ticket:
            self.sessions.append(Session(TLS12, self.suite, self.master, ticket, lifetime, when=time.time(), name=self.name,
                                         ems=self.ems))

    # --- After it ---

    def handshake(self, hello=None, session=None, certificate=None):
        return self.begin(hello or tls.hello(), session).finish(certificate)

    def read_data(self, seconds=None):
        """The next application data; tickets and key updates on the way are taken."""
        while True:
            kind, payload = self.read(seconds)
            if kind == DATA:
                return payload
            if kind == ALERT:
                raise Alerted(*payload)
            assert kind == HANDSHAKE, kind
            self.partial += payload
            while len(self.partial) >= 4 and len(self.partial) >= 4 + int.from_bytes(self.partial[1:4], "big"):
                self.after(*self.message())

    def after(self, kind, body):
        """A handshake message behind the handshake."""
        if kind == tls.KEY_UPDATE:
            assert body in (b"\0", b"\1"), body
            self.updates += 1
            self.incoming = self.incoming.updated()
            self.open = self.incoming.open
            return
        assert kind == tls.TICKET and self.version == TLS13, f"message {kind} behind the handshake"
        reader = Reader(body)
        lifetime, add, nonce, ticket = reader.number(4), reader.number(4), reader.vector(1), reader.vector(2)
        extensions = self.parse_request(reader.vector(2))
        reader.end()
        secret = expand(self.suite, self.resumption, b"resumption", nonce, hash_of(self.suite)().digest_size)
        self.sessions.append(Session(TLS13, self.suite, secret, ticket, lifetime, add,
                                     int.from_bytes(extensions.get(tls.EARLY_DATA, b""), "big"), time.time(), self.name))

    def update(self, request=0, body=None):
        """KeyUpdate (RFC 8446 §4.6.3)."""
        sent = self.put(HANDSHAKE, message(tls.KEY_UPDATE, bytes([request]) if body is None else body))
        self.outgoing = self.outgoing.updated()
        self.seal = self.outgoing.seal
        return sent

    def ask(self, target="/", host=None, method="GET", fields=(), body=b"", seconds=None):
        """One request by HTTP/1.1: the head as text and the body, which has a length."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host or self.name or 'localhost'}", *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.put(DATA, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return self.hear(seconds)

    def hear(self, seconds=None):
        """One response: its head as text, its body."""
        data = getattr(self, "rest", b"")
        while b"\r\n\r\n" not in data:
            data += self.read_data(seconds)
        head, _, body = data.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        length = next((int(line.split(":")[1]) for line in text.split("\r\n") if line.lower().startswith("content-length:")), 0)
        while len(body) < length:
            body += self.read_data(seconds)
        self.rest = body[length:]
        return text, body[:length]

    def good(self):
        """Is a request answered?"""
        try:
            return self.ask()[0].split(" ")[1] == "200"
        except (Alerted, Gone):
            return False

    def outcome(self, seconds=None):
        """As Raw's; handshake messages behind the handshake (tickets) are taken."""
        made = tls.Outcome()
        try:
            while True:
                made.data += self.read_data(seconds)
        except Alerted as said:
            made.alerts.append(said)
            while True:
                try:
                    kind, payload = self.read(seconds)
                    made.alerts += [Alerted(*payload)] if kind == ALERT else []
                except Gone as gone:
                    made.ended = gone.how
                    return made
        except Gone as gone:
            made.ended = gone.how
        return made

    def bye(self):
        """close_notify."""
        return self.put(ALERT, tls.alert(0, 1))


def resume(port, session, hello=None, certificate=None, **options):
    """A connection that offers a session; `resumed` says what the server thinks of it."""
    client = Client(port, **options)
    return client.handshake(hello or tls.hello(session.name, versions=(session.version,)), session, certificate)


__all__ = ["Client", "InvalidTag", "Session", "resume", "resuming"]
