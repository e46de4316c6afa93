# SPDX-License-Identifier: BSD-2-Clause
"""Certificates made for tests: an authority that no one else knows, what it issues (good, expired, for other names, in odd chains),
OCSP responses, revocation lists. Keys and the authority are made once a session, when first asked for."""
import base64
import datetime
import functools
import hashlib
import ipaddress
import os
import ssl
from pathlib import Path

import pytest

# Debian's python3-cryptography; without it there is no test of TLS.
x509 = pytest.importorskip("cryptography.x509", reason="python3-cryptography is not installed")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402
from cryptography.x509 import ocsp  # noqa: E402
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: E402

NAMES = ("localhost", "127.0.0.1", "::1", "example.test", "*.example.test")
KINDS = {
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
DAY = datetime.timedelta(days=1)
PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0, tzinfo=None)


@functools.lru_cache(None)
def key_of(kind, number=0):
    """A key of the kind: the same one each time, another for another number."""
    return KINDS[kind]()


def digest(key):
    """What a signature by this key is made over."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    return hashes.SHA384() if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256 else hashes.SHA256()


def general(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Certificate:
    """A certificate, its key, and the certificates of those who issued it, the nearest first, the root left out."""

    def __init__(self, certificate, key, issuer=None):
        self.x509, self.key, self.issuer = certificate, key, issuer
        self.chain = [issuer, *issuer.chain] if issuer and issuer.issuer else []

    @property
    def der(self):
        return self.x509.public_bytes(DER)

    @property
    def alone(self):
        """PEM without its chain."""
        return self.x509.public_bytes(PEM)

    @property
    def pem(self):
        """PEM as a server has it: the leaf first, its chain behind."""
        return b"".join(one.alone for one in [self, *self.chain])

    @property
    def key_pem(self):
        return self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    @property
    def subject(self):
        """By RFC 4514."""
        return self.x509.subject.rfc4514_string()

    @property
    def serial(self):
        return self.x509.serial_number

    @property
    def spki(self):
        return self.x509.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def write(self, folder, name="server", certificate=None):
        """NAME.pem and NAME.key (readable by its owner only) in the folder: their paths. Each is replaced in one step."""
        paths = Path(folder, f"{name}.pem"), Path(folder, f"{name}.key")
        for path, data, mode in ((paths[1], self.key_pem, 0o600), (paths[0], certificate or self.pem, 0o644)):
            replace(path, data, mode)
        return paths


def replace(path, data, mode=0o644):
    new = Path(f"{path}.new")
    new.touch(mode)
    new.write_bytes(data)
    os.replace(new, path)
    return Path(path)


class Authority(Certificate):
    """Issues certificates, other authorities, OCSP responses and revocation lists."""

    @classmethod
    def root(cls, name="weir test root", kind="ecdsa", number=100, begins=-30, ends=365):
        key = key_of(kind, number)
        made = build(name_of(name), key.public_key(), name_of(name), begins, ends)
        for extension, critical in authority_extensions(key):
            made = made.add_extension(extension, critical)
        return cls(made.sign(key, digest(key)), key)

    def intermediate(self, name="weir test intermediate", kind="ecdsa", number=101, begins=-20, ends=300):
        key = key_of(kind, number)
        made = build(name_of(name), key.public_key(), self.x509.subject, begins, ends)
        for extension, critical in authority_extensions(key):
            made = made.add_extension(extension, critical)
        return Authority(self.signed(made), key, self)

    def issue(self, *names, kind="ecdsa", number=0, begins=-1, ends=90, subject=None, client=False, must_staple=False,
              usage=None):
        """A certificate for these names (DNS names, wildcards, addresses), or of a client. Days from today; `number` tells keys apart."""
        key = key_of(kind, number)
        made = build(name_of(subject or (names[0] if names else "nobody")), key.public_key(), self.x509.subject, begins, ends)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName([general(name) for name in names]), False)
        purpose = usage or (ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH)
        made = made.add_extension(x509.ExtendedKeyUsage([purpose]), False)
        made = made.add_extension(x509.BasicConstraints(False, None), True)
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
        if must_staple:
            made = made.add_extension(x509.TLSFeature([x509.TLSFeatureType.status_request]), False)
        return Certificate(self.signed(made), key, self)

    def signed(self, made):
        return made.sign(self.key, digest(self.key))

    def response(self, certificate, status="good", begins=-1, ends=7):
        """An OCSP response (DER) about a certificate of ours: good, revoked or unknown, valid between these days."""
        made = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate.x509, issuer=self.x509, algorithm=hashes.SHA1(),
            cert_status=getattr(ocsp.OCSPCertStatus, status.upper()), this_update=now() + begins * DAY,
            next_update=None if ends is None else now() + ends * DAY,
            revocation_time=now() - DAY if status == "revoked" else None, revocation_reason=None)
        made = made.responder_id(ocsp.OCSPResponderEncoding.HASH, self.x509).certificates([self.x509])
        return made.sign(self.key, digest(self.key)).public_bytes(DER)

    def revocations(self, *revoked, begins=-1, ends=30):
        """A revocation list (PEM)."""
        made = x509.CertificateRevocationListBuilder().issuer_name(self.x509.subject)
        made = made.last_update(now() + begins * DAY).next_update(now() + ends * DAY)
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(now() - DAY)
            made = made.add_revoked_certificate(entry.build())
        return self.signed(made).public_bytes(PEM)


def name_of(text):
    """A subject: a common name, or a list of (attribute, value)."""
    if isinstance(text, str):
        text = [("COMMON_NAME", text)]
    return x509.Name([x509.NameAttribute(getattr(NameOID, attribute), value) for attribute, value in text])


def build(subject, key, issuer, begins, ends):
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return made.serial_number(x509.random_serial_number()).not_valid_before(now() + begins * DAY).not_valid_after(now()
        + ends * DAY)


def authority_extensions(key):
    sign = {name: name in ("key_cert_sign", "crl_sign", "digital_signature") for name in (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")}
    yield x509.BasicConstraints(True, None), True
    yield x509.KeyUsage(**sign), True
    yield x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False


@functools.lru_cache(None)
def authority():
    """The session's authority: what every test client trusts."""
    return Authority.root()


@functools.lru_cache(None)
def stranger():
    """An authority that nobody trusts, by the same name as ours."""
    return Authority.root(number=200)


@functools.lru_cache(None)
def server_certificate(kind="ecdsa", names=NAMES, number=0):
    """What a server of a test shows if nothing else is wanted."""
    return authority().issue(*names, kind=kind, number=number)


def lay_out(folder, kind="ecdsa", names=NAMES):
    """server.pem, server.key and ca.pem in a folder: for `certificate:`, `key:` and clients. Returns the three paths."""
    paths = server_certificate(kind, names).write(folder)
    return *paths, replace(Path(folder, "ca.pem"), authority().alone)


def pin(certificate=None):
    """The SHA-256 of a key in base64, by which a browser may be told to trust it."""
    return base64.b64encode(hashlib.sha256((certificate or server_certificate()).spki).digest()).decode()


def context(verify=True, alpn=(), client=None, folder=None, minimum=None, maximum=None, ciphers=None):
    """A client's ssl.SSLContext that trusts the session's authority. `client`: a Certificate to show, written into `folder`."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if verify:
        made.load_verify_locations(cadata=authority().alone.decode())
    else:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if client:
        made.load_cert_chain(*client.write(folder, f"client-{client.serial:x}"))
    if minimum:
        made.minimum_version = minimum
    if maximum:
        made.maximum_version = maximum
    if ciphers:
        made.set_ciphers(ciphers)
    return made
