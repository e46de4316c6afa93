# SPDX-License-Identifier: BSD-2-Clause
"""Malformed, ambiguous and rare HTTP/1 requests, each with the verdict that RFC 9110, RFC 9112 and DESIGN §3 ask for.

accept  one reading only, and it must be served: the body is `body`
refuse  a 4xx (or 501, 505) and the connection ends
either  refused, or the one correct reading
cut     the message is not whole when the client ends: nobody may take it for whole
foreign another protocol: ended, with at most one 4xx"""
from dataclasses import dataclass

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Case:
    """One case: the bytes of its message, and what must hold."""

    name: str
    raw: bytes
    verdict: str
    body: bytes = b""
    method: str = "GET"
    target: str = None  # at the backend; None: not looked at
    huge: bool = False  # so much that the answer may be lost with the connection
    alone: bool = False  # no marker request behind it


CASES = []


def case(name, raw, verdict, body=b"", **more):
    CASES.append(Case(name, raw, verdict, body, **more))


def post(fields, body, version=b"HTTP/1.1", method=b"POST"):
    return method + b" /echo " + version + b"\r\nHost: x\r\n" + fields + b"\r\n\r\n" + body


def get(line=b"GET /echo HTTP/1.1", fields=b"Host: x"):
    return line + b"\r\n" + fields + b"\r\n\r\n"


def text(octets):
    """A short printable name for octets."""
    return octets.decode("latin-1").encode("unicode_escape").decode()[:40].replace(" ", "_").replace("/",
        "|") or "empty"


# --- Framing: Content-Length (RFC 9110, 8.6; RFC 9112, 6.3) ---

def content_lengths():
    case("cl-good", post(b"Content-Length: 5", b"hello"), "accept", b"hello")
    case("cl-zero", post(b"Content-Length: 0", b""), "accept")
    for spaced in (b"Content-Length:5", b"Content-Length:   5   ", b"Content-Length:\t5\t",
            b"content-length: 5", b"CONTENT-LENGTH: 5"):
        case("cl-form-" + text(spaced), post(spaced, b"hello"), "accept", b"hello")
    case("cl-leading-zeros", post(b"Content-Length: 0005", b"hello"), "either", b"hello")
    case("cl-hundred-zeros", post(b"Content-Length: " + b"0" * 100 + b"5", b"hello"), "either", b"hello")
    case("cl-twice-same", post(b"Content-Length: 5\r\nContent-Length: 5", b"hello"), "either", b"hello")
    case("cl-list-same", post(b"Content-Length: 5, 5", b"hello"), "either", b"hello")
    for first, second in ((5, 6), (6, 5), (0, 5), (5, 0)):
        case(f"cl-twice-{first}-{second}", post(b"Content-Length: %d\r\nContent-Length: %d" % (first, second),
            b"hello"), "refuse")
        case(f"cl-list-{first}-{second}", post(b"Content-Length: %d, %d" % (first, second), b"hello"), "refuse")
    case("cl-twice-other-case", post(b"Content-Length: 5\r\ncontent-length: 0", b"hello"), "refuse")
    case("cl-twice-apart", post(b"Content-Length: 0\r\nX: y\r\nContent-Length: 35", SMUGGLED), "refuse")
    for value in (b"+5", b"-5", b"-0", b"+0", b"0x5", b"0X5", b"5h", b"5.0", b"5e0", b'"5"', b"'5'", b"",
            b" ", b"5 5", b"5_0", b"0_5", b"_5", b"5;a=b", b"five", b"5,", b",5", b",", b"5\x0b", b"\x0b5",
            b"5\x0c", b"\x0c5", b"5\x00", b"\x005", b"5\x01", b"5\x1b", b"5\x7f", b"\xa05", b"5\xa0",
            b"\x855", b"5\x85", b"\xef\xbc\x95", b"\xb5", b"\xd9\xa5", b"0b101", b"0o5", b"5/1", b"(5)",
            b"5%00", b"%35", b"chunked", b"NaN", b"Infinity"):
        case("cl-bad-" + text(value), post(b"Content-Length: " + value, b"hello"), "refuse")
    for name, value in (("2-32", 2**32 + 5), ("2-63", 2**63 + 5), ("2-63-1", 2**63 - 1), ("2-64", 2**64 + 5),
            ("2-64-1", 2**64 - 1), ("2-128", 2**128 + 5), ("9x40", int("9" * 40))):
        case("cl-over-" + name, post(b"Content-Length: %d" % value, b"hello"), "refuse")
    case("cl-underscored-name", post(b"Content_Length: 5", b""), "either")
    case("cl-space-before-colon", post(b"Content-Length : 5", b"hello"), "refuse")
    case("cl-tab-before-colon", post(b"Content-Length\t: 5", b"hello"), "refuse")
    case("cl-equals-for-colon", post(b"Content-Length= 5", b"hello"), "refuse")
    case("cl-nul-before-colon", post(b"Content-Length\x00: 5", b"hello"), "refuse")
    case("cl-vt-before-colon", post(b"Content-Length\x0b: 5", b"hello"), "refuse")
    case("cl-space-in-name", post(b"Content Length: 5", b"hello"), "refuse")
    case("cl-nul-first", post(b"\x00Content-Length: 5", b"hello"), "refuse")
    case("cl-8bit-name", post(b"Content-Lengt\xe9: 5", b"hello"), "refuse")
    case("cl-folded", post(b"Content-Length:\r\n 5", b"hello"), "refuse")
    case("cl-folded-digits", post(b"Content-Length: 5\r\n 0", b"hello"), "refuse")
    case("cl-behind-fold", post(b"X: y\r\n Content-Length: 5", b""), "refuse")
    case("cl-behind-lf", post(b"X: y\nContent-Length: 5", b"hello"), "refuse")
    case("cl-behind-cr", post(b"X: y\rContent-Length: 5", b"hello"), "refuse")
    case("cl-named-in-connection", post(b"Connection: Content-Length\r\nContent-Length: 35", SMUGGLED),
        "either", SMUGGLED)
    case("cl-named-in-connection-keep-alive",
        post(b"Connection: keep-alive, content-length\r\nContent-Length: 35", SMUGGLED), "either", SMUGGLED)
    case("cl-cut", post(b"Content-Length: 10", b"hello"), "cut", alone=True)
    case("cl-cut-at-once", post(b"Content-Length: 10", b""), "cut", alone=True)


# --- Framing: Transfer-Encoding (RFC 9112, 6.1) ---

CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"
SMUGGLED_CHUNK = b"23\r\n" + SMUGGLED + b"\r\n0\r\n\r\n"


def transfer_encodings():
    coding = b"Transfer-Encoding: "
    for form in (b"Transfer-Encoding: chunked", b"transfer-encoding:chunked", b"Transfer-Encoding: Chunked",
            b"TRANSFER-ENCODING:  CHUNKED  ", b"Transfer-Encoding:\tchunked\t"):
        case("te-form-" + text(form), post(form, CHUNKED), "accept", b"hello")
    case("te-smuggled-as-body", post(coding + b"chunked", SMUGGLED_CHUNK), "accept", SMUGGLED)
    case("te-cl", post(coding + b"chunked\r\nContent-Length: 5", CHUNKED), "refuse")
    case("cl-te", post(b"Content-Length: 5\r\n" + coding + b"chunked", CHUNKED), "refuse")
    case("te-cl-right", post(coding + b"chunked\r\nContent-Length: 15", CHUNKED), "refuse")
    case("cl-te-smuggle", post(b"Content-Length: 40\r\n" + coding + b"chunked", b"0\r\n\r\n" + SMUGGLED),
        "refuse")
    case("te-cl-smuggle", post(coding + b"chunked\r\nContent-Length: 4", SMUGGLED_CHUNK), "refuse")
    case("te-0", post(coding + b"chunked\r\nContent-Length: 0", SMUGGLED_CHUNK), "refuse")
    case("cl0-te", post(b"Content-Length: 0\r\n" + coding + b"chunked", SMUGGLED_CHUNK), "refuse")
    case("te-cl-bad", post(coding + b"chunked\r\nContent-Length: x", CHUNKED), "refuse")
    case("te-cl-empty", post(coding + b"chunked\r\nContent-Length:", CHUNKED), "refuse")
    case("te-unknown-cl", post(coding + b"xchunked\r\nContent-Length: 35", SMUGGLED), "refuse")
    case("te-te-cl", post(coding + b"chunked\r\n" + coding + b"identity\r\nContent-Length: 5", CHUNKED),
        "refuse")
    for value in (b"xchunked", b"chunkedx", b"chunk", b"chunked-", b"gzip", b"identity", b"deflate", b"x",
            b"gzip, chunked", b"identity, chunked", b"cow, chunked", b"chunked, gzip", b"chunked, identity",
            b"chunked, cow", b"chunked, chunked", b"chunked chunked", b"chunked;q=1", b"chunked;a=b",
            b"chunked ; a", b'"chunked"', b"'chunked'", b"(chunked)", b"chunked\x0b", b"\x0bchunked",
            b"chunked\x0c", b"\x0cchunked", b"chunked\x00", b"\x00chunked", b"chunked\x01", b"chunked\x7f",
            b"\xa0chunked", b"chunked\xa0", b"\x85chunked", b"chunked\x85", b"\xc2\xa0chunked",
            b"ch\xc3\xbcnked", b"chunked\x1b", b": chunked", b"=chunked", b"ch unked", b"chunked\\",
            b"chun%6bed", b"trailers", b"close", b"0", b"5"):
        case("te-bad-" + text(value), post(coding + value, CHUNKED), "refuse")
    for value in (b",chunked", b"chunked,", b", chunked", b"chunked ,"):
        case("te-empty-element-" + text(value), post(coding + value, CHUNKED), "either", b"hello")
    case("te-empty", post(b"Transfer-Encoding:", b""), "either")
    case("te-twice", post(coding + b"chunked\r\n" + coding + b"chunked", CHUNKED), "refuse")
    case("te-twice-identity-first", post(coding + b"identity\r\n" + coding + b"chunked", CHUNKED), "refuse")
    case("te-twice-identity-last", post(coding + b"chunked\r\n" + coding + b"identity", CHUNKED), "refuse")
    case("te-twice-unknown", post(coding + b"chunked\r\n" + coding + b"x", CHUNKED), "refuse")
    case("te-twice-gzip-first", post(coding + b"gzip\r\n" + coding + b"chunked", CHUNKED), "refuse")
    case("te-folded", post(b"Transfer-Encoding:\r\n chunked", CHUNKED), "refuse")
    case("te-folded-tab", post(b"Transfer-Encoding:\r\n\tchunked", CHUNKED), "refuse")
    case("te-folded-inside", post(coding + b"chun\r\n ked", CHUNKED), "refuse")
    case("te-folded-list", post(coding + b"chunked\r\n , gzip", CHUNKED), "refuse")
    case("te-space-before-colon", post(b"Transfer-Encoding : chunked", CHUNKED), "refuse")
    case("te-tab-before-colon", post(b"Transfer-Encoding\t: chunked", CHUNKED), "refuse")
    case("te-leading-space",
        b"POST /echo HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: x\r\n\r\n" + CHUNKED, "refuse")
    case("te-as-fold", post(b"X: y\r\n Transfer-Encoding: chunked", CHUNKED), "refuse")
    case("te-equals", post(b"Transfer-Encoding= chunked", CHUNKED), "refuse")
    case("te-no-colon", post(b"Transfer-Encoding chunked", CHUNKED), "refuse")
    case("te-underscored-name", post(b"Transfer_Encoding: chunked", b""), "either")
    case("te-name-vt", post(b"Transfer-Encoding\x0b: chunked", CHUNKED), "refuse")
    case("te-name-nul", post(b"Transfer-Encoding\x00: chunked", CHUNKED), "refuse")
    case("te-name-8bit", post(b"Transfer-Encoding\xa0: chunked", CHUNKED), "refuse")
    case("te-10", post(coding + b"chunked", CHUNKED, version=b"HTTP/1.0"), "refuse")
    case("te-10-keep-alive", post(b"Connection: keep-alive\r\n" + coding + b"chunked", CHUNKED,
        version=b"HTTP/1.0"), "refuse")
    case("te-10-cl", post(b"Connection: keep-alive\r\nContent-Length: 5\r\n" + coding + b"chunked", CHUNKED,
        version=b"HTTP/1.0"), "refuse")
    case("te-behind-lf", post(b"X: y\n" + coding + b"chunked", CHUNKED), "refuse")
    case("te-behind-cr", post(b"X: y\r" + coding + b"chunked", CHUNKED), "refuse")
    case("te-behind-crcr", post(b"X: y\r\r\n" + coding + b"chunked", CHUNKED), "refuse")
    case("te-before-lf", post(coding + b"chunked\nX: y", CHUNKED), "refuse")
    case("te-named-in-connection", post(b"Connection: Transfer-Encoding\r\n" + coding + b"chunked",
        SMUGGLED_CHUNK), "either", SMUGGLED)
    case("te-field-name-te", post(b"TE: chunked", b""), "either")
    case("te-trailers", post(b"TE: trailers\r\nConnection: TE\r\n" + coding + b"chunked", CHUNKED), "accept",
        b"hello")


# --- Bodies with methods that rarely have one, Expect, Upgrade (RFC 9110, 9.3, 10.1.1, 7.8) ---

def bodies():
    for method in (b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"PUT", b"PATCH", b"TRACE", b"PROPFIND", b"FOO"):
        verdict = "accept" if method in (b"PUT", b"PATCH", b"DELETE") else "either"
        name = method.decode()
        case(f"body-cl-{name}", post(b"Content-Length: 35", SMUGGLED, method=method), verdict, SMUGGLED,
            method=name)
        case(f"body-te-{name}", post(b"Transfer-Encoding: chunked", SMUGGLED_CHUNK, method=method), verdict,
            SMUGGLED, method=name)
    case("body-cl-CONNECT", b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\nContent-Length: 35\r\n\r\n" + SMUGGLED,
        "refuse")
    case("body-te-CONNECT",
        b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED_CHUNK, "refuse")
    case("connect", b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n" + SMUGGLED, "refuse")
    case("connect-path", b"CONNECT /echo HTTP/1.1\r\nHost: x\r\n\r\n", "refuse")
    case("connect-absolute", b"CONNECT http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", "refuse")
    case("upgrade-cl", post(b"Connection: Upgrade\r\nUpgrade: foo\r\nContent-Length: 35", SMUGGLED), "either",
        SMUGGLED)
    case("upgrade-te", post(b"Connection: Upgrade\r\nUpgrade: foo\r\nTransfer-Encoding: chunked",
        SMUGGLED_CHUNK), "either", SMUGGLED)
    case("upgrade-websocket-refused",
        get(fields=b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        "accept")
    case("upgrade-h2c",
        get(fields=b"Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"),
        "accept")
    case("upgrade-h2c-body",
        post(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 35",
        SMUGGLED), "either", SMUGGLED)
    case("expect-100", post(b"Expect: 100-continue\r\nContent-Length: 5", b"hello"), "accept", b"hello")
    case("expect-100-case", post(b"Expect: 100-Continue\r\nContent-Length: 5", b"hello"), "accept", b"hello")
    case("expect-100-chunked", post(b"Expect: 100-continue\r\nTransfer-Encoding: chunked", CHUNKED), "accept",
        b"hello")
    case("expect-100-no-body", get(fields=b"Host: x\r\nExpect: 100-continue"), "accept")
    case("expect-100-get-body", post(b"Expect: 100-continue\r\nContent-Length: 35", SMUGGLED, method=b"GET"),
        "either", SMUGGLED)
    for value in (b"100-continue, 100-continue", b"200-ok", b"", b"100-continue;a=b", b"\"100-continue\"",
            b"y 100-continue", b"100-continued", b"100", b"x"):
        case("expect-odd-" + text(value), post(b"Expect: " + value + b"\r\nContent-Length: 35", SMUGGLED),
            "either", SMUGGLED)
    case("expect-twice", post(b"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 35",
        SMUGGLED), "either", SMUGGLED)
    case("expect-10", post(b"Expect: 100-continue\r\nContent-Length: 5", b"hello", version=b"HTTP/1.0"),
        "accept", b"hello", alone=True)
    case("expect-cl-te", post(b"Expect: 100-continue\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        CHUNKED), "refuse")


# --- Chunks (RFC 9112, 7.1) ---

def chunked(name, body, verdict, got=b"", **more):
    case("chunk-" + name, post(b"Transfer-Encoding: chunked", body,
        **({"method": more.pop("verb")} if "verb" in more else {})), verdict, got, **more)


def chunks():
    end = b"0\r\n\r\n"
    chunked("empty-body", end, "accept")
    chunked("two", b"3\r\nhel\r\n2\r\nlo\r\n" + end, "accept", b"hello")
    chunked("upper-hex", b"A\r\n0123456789\r\n" + end, "accept", b"0123456789")
    chunked("lower-hex", b"a\r\n0123456789\r\n" + end, "accept", b"0123456789")
    chunked("single-octets", b"".join(b"1\r\n%c\r\n" % octet for octet in SMUGGLED) + end, "accept", SMUGGLED)
    chunked("leading-zeros", b"005\r\nhello\r\n" + end, "accept", b"hello")
    chunked("many-zeros", b"0" * 60 + b"5\r\nhello\r\n" + end, "either", b"hello")
    chunked("last-many-zeros", b"5\r\nhello\r\n0000\r\n\r\n", "accept", b"hello")
    for size in (b"0x5", b"0X5", b"x5", b"+5", b"-5", b" 5", b"\t5", b"5 ", b"5\t", b"", b"5_0", b"_5",
            b"5.0", b".5", b"5.", b"g", b"5g", b"h5", b'"5"', b"(5)", b"5h", b"5,", b"5 5", b"5 a", b"5,a=b",
            b"\x005", b"5\x00", b"\x0b5", b"5\x0b", b"5\x0c", b"\xa05", b"5\xa0", b"\xef\xbc\x95", b"5=a",
            b"5:", b"%35", b"5/", b"\\x5"):
        chunked("size-" + text(size), size + b"\r\nhello\r\n" + end, "refuse")
    for name, size in (("2-32", b"100000005"), ("2-63", b"8000000000000005"), ("2-63-1", b"7fffffffffffffff"),
            ("2-64", b"10000000000000005"), ("2-64-1", b"ffffffffffffffff"),
                       ("2-64-2", b"fffffffffffffffe"), ("20-f", b"f" * 20), ("2-128", b"1" + b"0" * 32),
                       ("2-64-zeros", b"0001" + b"0" * 15 + b"5")):
        chunked("over-" + name, size + b"\r\nhello\r\n" + end, "refuse")
    chunked("minus-one", b"-1\r\nhello\r\n" + end, "refuse")
    chunked("last-minus-zero", b"5\r\nhello\r\n-0\r\n\r\n", "refuse")
    chunked("last-0x0", b"5\r\nhello\r\n0x0\r\n\r\n", "refuse")
    chunked("last-spaced", b"5\r\nhello\r\n0 \r\n\r\n", "refuse")
    for name, body in (("head-lf", b"5\nhello\r\n" + end), ("head-cr", b"5\rhello\r\n" + end),
            ("head-crcrlf", b"5\r\r\nhello\r\n" + end), ("head-nul", b"5\x00\r\nhello\r\n" + end),
            ("head-lfcr", b"5\n\rhello\r\n" + end), ("data-lf", b"5\r\nhello\n" + end),
            ("data-cr", b"5\r\nhello\r" + end), ("data-nothing", b"5\r\nhello" + end),
            ("data-crcrlf", b"5\r\nhello\r\r\n" + end), ("data-nul", b"5\r\nhello\x00\r\n" + end),
            ("data-lflf", b"5\r\nhello\n\n" + end), ("data-spaced", b"5\r\nhello \r\n" + end),
            ("data-crnullf", b"5\r\nhello\r\x00\n" + end), ("data-xx", b"5\r\nhelloXX" + end),
            ("data-long", b"5\r\nhelloX\r\n" + end), ("data-short", b"5\r\nhell\r\n" + end),
            ("data-long-by-line", b"5\r\nhello\r\n\r\n" + end), ("last-lf", b"5\r\nhello\r\n0\n\r\n"),
            ("last-lflf", b"5\r\nhello\r\n0\n\n"), ("end-lf", b"5\r\nhello\r\n0\r\n\n"),
            ("end-crcr", b"5\r\nhello\r\n0\r\r"), ("end-cr-x", b"5\r\nhello\r\n0\r\n\rX"),
            ("empty-head", b"\r\n5\r\nhello\r\n" + end), ("no-size-ext", b";a=b\r\nhello\r\n" + end)):
        chunked(name, body, "refuse")
    smuggled_size = b"%x\r\n" % len(SMUGGLED)
    chunked("smuggled-behind-lf-size", b"0\n" + smuggled_size + SMUGGLED + b"\r\n" + end, "refuse")
    for name, extension in (("token", b";a"), ("value", b";a=b"), ("quoted", b';a="b"'),
            ("quoted-semicolon", b';a="b;c"'), ("quoted-pair", b';a="b\\"c"'), ("two", b";a=b;c=d")):
        chunked("ext-" + name, b"5" + extension + b"\r\nhello\r\n" + end, "accept", b"hello")
    for name, extension in (("spaced", b" ; a=b"), ("tabbed", b"\t;\ta=b"), ("equals-spaced", b";a = b"),
            ("next-spaced", b";a ;b = \"c\" ; d")):
        chunked("ext-" + name, b"5" + extension + b"\r\nhello\r\n" + end, "accept", b"hello")
    for name, extension in (("tail-spaced", b";a "), ("value-tail-spaced", b";a=b "), ("two-words", b";a b"), ("none-spaced", b" ")):
        chunked("ext-" + name, b"5" + extension + b"\r\nhello\r\n" + end, "refuse")
    for name, extension in (("empty", b";"), ("two-empty", b";;"), ("no-name", b";=b"), ("no-value", b";a="),
                            ("bad-name", b";(=b"), ("quote-open", b';a="b'), ("quote-tail", b';a="b"c'),
                            ("quote-only", b';"a"'), ("8bit", b";a=\xe9"), ("8bit-quoted", b';a="\xe9"'),
                            ("1k", b";a=" + b"b" * 1024), ("16k", b";a=" + b"b" * 16384)):
        chunked("ext-" + name, b"5" + extension + b"\r\nhello\r\n" + end, "either", b"hello")
    chunked("ext-300k", b"5;a=" + b"b" * 300000 + b"\r\nhello\r\n" + end, "either", b"hello", huge=True)
    chunked("ext-many", b"".join(b"1;a=bcdefgh\r\nx\r\n" for _ in range(20000)) + end, "either", b"x" * 20000,
        huge=True)
    for name, octet in (("lf", b"\n"), ("cr", b"\r"), ("nul", b"\x00"), ("esc", b"\x1b"), ("del", b"\x7f"),
            ("vt", b"\x0b")):
        verdict = "refuse"
        chunked("ext-" + name, b"5;a" + octet + b"b\r\nhello\r\n" + end, verdict, b"hello")
        chunked("ext-quoted-" + name, b'5;a="' + octet + b'"\r\nhello\r\n' + end, verdict, b"hello")
        chunked("ext-first-" + name, b"5;" + octet + b"\r\nhello\r\n" + end, verdict, b"hello")
    chunked("ext-quoted-crlf", b'5;a="b\r\nhello\r\n' + end, "either", b"hello")
    chunked("term-ext", b"2;\nxx\r\n%x\r\n0\r\n\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n" + end, "refuse")
    chunked("ext-term", b"2\n;\r\nxx\r\n" + end, "refuse")
    chunked("ext-last", b"5\r\nhello\r\n0;a=b\r\n\r\n", "accept", b"hello")
    chunked("ext-last-lf", b"5\r\nhello\r\n0;a\n\r\n", "refuse")
    trailers()
    for name, body in (("head", b"5"), ("head-cr", b"5\r"), ("data", b"5\r\nhel"),
            ("data-end", b"5\r\nhello"), ("data-cr", b"5\r\nhello\r"), ("chunk", b"5\r\nhello\r\n"),
                       ("last", b"5\r\nhello\r\n0"), ("last-crlf", b"5\r\nhello\r\n0\r\n"),
                       ("trailer", b"5\r\nhello\r\n0\r\nX: y\r\n"), ("end-cr", b"5\r\nhello\r\n0\r\n\r"),
                       ("extension", b"5;a")):
        chunked("cut-" + name, body, "cut", alone=True)


def trailers():
    def trailer(name, lines, verdict, **more):
        chunked("trailer-" + name, b"5\r\nhello\r\n0\r\n" + lines + b"\r\n\r\n", verdict, b"hello", **more)

    trailer("good", b"X-Sum: abc", "accept")
    trailer("two", b"X-Sum: abc\r\nX-More: d", "accept")
    trailer("empty-value", b"X-Sum:", "accept")
    for name, line in (("no-colon", b"abc"), ("space-before-colon", b"X : y"), ("leading-space", b" X: y"),
            ("fold", b"X: y\r\n z"), ("empty-name", b": y"), ("nul", b"X: \x00"), ("nul-name", b"X\x00: y"),
            ("lf", b"X: y\nZ: a"), ("cr", b"X: y\rZ: a"), ("8bit-name", b"X\xe9: y"), ("non-token", b"X(: y"),
            ("esc", b"X: \x1b"), ("request", b"GET /smuggled HTTP/1.1"), ("spaced-name", b"X Y: z")):
        trailer(name, line, "refuse")
    for line in (b"Content-Length: 35", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity",
            b"Host: evil", b"Connection: close", b"Authorization: Basic eDp5", b"Cookie: a=b", b"Upgrade: h2c",
                 b"Trailer: X", b"Content-Type: text/html", b"X-Forwarded-For: 192.0.2.1",
                 b"Expect: 100-continue", b"TE: trailers", b"Content-Encoding: gzip", b"Range: bytes=0-1"):
        trailer("forbidden-" + text(line), line, "either")
    trailer("huge", b"X: " + b"y" * 1000000, "refuse", huge=True)
    trailer("20000-fields", b"\r\n".join(b"X%d: y" % n for n in range(20000)), "refuse", huge=True)
    trailer("huge-name", b"X" * 100000 + b": y", "refuse", huge=True)


# --- Heads: fields (RFC 9112, 5; RFC 9110, 5.5) ---

def field_lines():
    def line(name, octets, verdict, **more):
        case("field-" + name, get(fields=b"Host: x\r\n" + octets), verdict, **more)

    line("every-tchar", b"!#$%&'*+-.^_`|~09aZ: ok", "accept")
    line("empty-value", b"X:", "accept")
    line("no-space", b"X:y", "accept")
    line("tab-inside", b"X: a\tb", "accept")
    line("8bit-value", b"X: \xe9\xff\x80", "accept")
    line("utf8-value", "X: ü→".encode(), "accept")
    line("colon-in-value", b"X: a:b:c", "accept")
    for name, octets in (("space-before-colon", b"X : y"), ("tab-before-colon", b"X\t: y"),
            ("fold-space", b"X: y\r\n z"), ("fold-tab", b"X: y\r\n\tz"), ("fold-empty", b"X: y\r\n "),
            ("fold-colon", b"X: y\r\n Z: a"), ("no-colon", b"XY"), ("no-colon-spaced", b"X Y"),
            ("empty-name", b": y"), ("only-colon", b":"), ("spaced-name", b"X Y: z"),
            ("quoted-name", b'"X": y'), ("nul-in-name", b"X\x00Y: z"), ("8bit-name", b"X\xe9: y"),
            ("utf8-name", "Xü: y".encode()), ("slash-name", b"X/Y: z"), ("paren-name", b"X(: y"),
            ("at-name", b"X@Y: z"), ("brace-name", b"{X}: y"), ("esc-name", b"X\x1b: y"),
            ("del-name", b"X\x7f: y"), ("comma-name", b"X,Y: z"), ("semicolon-name", b"X;Y: z"),
            ("equals-name", b"X=Y: z"), ("nul-value", b"X: a\x00b"), ("nul-value-end", b"X: a\x00"),
            ("cr-value", b"X: a\rb"), ("cr-value-field", b"X: a\rSet-Cookie: b"), ("cr-value-end", b"X: a\r"),
            ("esc-value", b"X: a\x1bb"), ("del-value", b"X: a\x7fb"), ("bs-value", b"X: a\x08b"),
            ("vt-value", b"X: a\x0bb"), ("ff-value", b"X: a\x0cb"), ("soh-value", b"X: a\x01b"),
            ("us-value", b"X: a\x1fb"), ("lf-value", b"X: a\nY: b"), ("lf-value-empty", b"X: a\n"),
            ("space-line", b" "), ("tab-line", b"\t")):
        line(name, octets, "refuse")
    case("field-first-leading-space", b"GET /echo HTTP/1.1\r\n Host: x\r\n\r\n", "refuse")
    case("field-first-leading-space-two", b"GET /echo HTTP/1.1\r\n X: y\r\nHost: x\r\n\r\n", "refuse")
    case("field-first-leading-tab", b"GET /echo HTTP/1.1\r\n\tX: y\r\nHost: x\r\n\r\n", "refuse")
    for position in (1, 7, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 127, 128, 129, 1000):
        line(f"nul-at-{position}", b"X: " + b"a" * position + b"\x00" + b"b" * 70, "refuse")
        line(f"cr-at-{position}", b"X: " + b"a" * position + b"\r" + b"b" * 70, "refuse")
        line(f"lf-at-{position}", b"X: " + b"a" * position + b"\n" + b"b" * 70 + b": c", "refuse")
    line("line-64k", b"X: " + b"y" * 65536, "refuse", huge=True)
    line("line-1m", b"X: " + b"y" * 1048576, "refuse", huge=True)
    line("name-64k", b"X" * 65536 + b": y", "refuse", huge=True)
    line("20000-fields", b"\r\n".join(b"X%d: y" % n for n in range(20000)), "refuse", huge=True)
    line("20000-same", b"\r\n".join([b"X: y"] * 20000), "refuse", huge=True)
    line("connection-host", b"Connection: host", "either")
    line("connection-close-twice", b"Connection: keep-alive, foo\r\nConnection: bar", "accept")


def line_ends():
    for name, raw in (("lf-all", b"GET /echo HTTP/1.1\nHost: x\n\n"),
            ("lf-first", b"GET /echo HTTP/1.1\nHost: x\r\n\r\n"), ("lf-field",
            b"GET /echo HTTP/1.1\r\nHost: x\n\r\n"), ("lf-last", b"GET /echo HTTP/1.1\r\nHost: x\r\n\n"),
            ("lf-both-last", b"GET /echo HTTP/1.1\r\nHost: x\n\n"),
            ("crcrlf-first", b"GET /echo HTTP/1.1\r\r\nHost: x\r\n\r\n"),
            ("crcrlf-field", b"GET /echo HTTP/1.1\r\nHost: x\r\r\n\r\n"),
            ("crcrlf-last", b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\r\n"),
            ("lfcr", b"GET /echo HTTP/1.1\n\rHost: x\n\r\n\r"), ("lf-second-field",
            b"GET /echo HTTP/1.1\r\nHost: x\r\nX: y\nZ: a\r\n\r\n"),
            ("nul-line", b"GET /echo HTTP/1.1\r\nHost: x\r\n\x00\r\n\r\n"),
            ("nul-end", b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\x00\n\r\n")):
        case("ends-" + name, raw, "refuse")
    case("ends-cr-all", b"GET /echo HTTP/1.1\rHost: x\r\r", "refuse")
    case("ends-cr-then-lf", b"GET /echo HTTP/1.1\rHost: x\r\r\n\r\n", "refuse")
    case("ends-post-lf", b"POST /echo HTTP/1.1\nHost: x\nContent-Length: 35\n\n" + SMUGGLED, "refuse")
    case("lead-one-crlf", b"\r\n" + get(), "accept")
    case("lead-two-crlf", b"\r\n\r\n" + get(), "either")
    case("lead-1000-crlf", b"\r\n" * 1000 + get(), "either")
    case("lead-lf", b"\n" + get(), "either")
    case("lead-cr", b"\r" + get(), "refuse")
    case("lead-space", b" " + get(), "refuse")
    case("lead-tab", b"\t" + get(), "refuse")
    case("lead-nul", b"\x00" + get(), "refuse")
    case("lead-bom", b"\xef\xbb\xbf" + get(), "refuse")
    case("lead-blank-line", b" \r\n" + get(), "refuse")
    case("post-tail-crlf", post(b"Content-Length: 5", b"hello\r\n"), "accept", b"hello")
    for name, cut in (("line", b"GET /ec"), ("line-cr", b"GET /echo HTTP/1.1\r"),
            ("line-crlf", b"GET /echo HTTP/1.1\r\n"), ("field", b"GET /echo HTTP/1.1\r\nHost: x"),
            ("fields", b"GET /echo HTTP/1.1\r\nHost: x\r\n"), ("last-cr",
            b"GET /echo HTTP/1.1\r\nHost: x\r\n\r")):
        case("cut-head-" + name, cut, "cut", alone=True)


# --- Host (RFC 9112, 3.2) and the forms of targets ---

def hosts():
    def host(name, fields, verdict, line=b"GET /echo HTTP/1.1", **more):
        case("host-" + name, line + b"\r\n" + fields + b"\r\n\r\n", verdict, **more)

    for value in (b"x", b"X.Example", b"x:80", b"127.0.0.1", b"127.0.0.1:8080", b"[::1]", b"[::1]:80",
            b"xn--bcher-kva.example"):
        host("good-" + text(value), b"Host: " + value, "accept")
    for value in (b"x:", b"a_b", b"x.", b"a..b", b"x:00080", b"-x", b"%41", b"1.2.3", b"a~b", b"a!b"):
        host("rare-" + text(value), b"Host: " + value, "either")
    host("none", b"X: y", "refuse")
    host("none-at-all", b"X-Host: x", "refuse")
    host("two-same", b"Host: x\r\nHost: x", "refuse")
    host("two-different", b"Host: x\r\nHost: y", "refuse")
    host("two-other-case", b"Host: x\r\nhOST: y", "refuse")
    host("two-apart", b"Host: x\r\nX: y\r\nHost: x", "refuse")
    host("two-one-empty", b"Host: x\r\nHost:", "refuse")
    for value in (b"", b"a b", b"a\tb", b"a,b", b"x, y", b"a/b", b"/", b"a?b", b"a#b", b"u@x", b"u:p@x",
            b"x:port", b"x:99999", b"x:65536", b"x:-1", b"x:+80", b"x:80:80", b"x:8 0", b"[::1", b"::1",
            b"[::g]", b"[]", b"[::1]x", b"[::1]:x", b":80", b":", b"a\\b", b"http://x", b"http://x/",
            b"a\x00", b"a\x01b", b"a\x7fb", b"a%zz", b"a%", b"a%00", b"a%2fb", b"a%0d%0ab", b"<x>", b'"x"',
            b"{x}", b"a|b", b"a^b", b"a`b", b"x\xe9", "ü".encode(), b"a@", b"@a", b"[x", b"x]", b"..%2f"):
        host("bad-" + text(value), b"Host: " + value, "refuse"
            if value not in (b"a%00", b"a%2fb", b"a%0d%0ab", b"..%2f", b"x\xe9", "ü".encode()) else "either")
    host("long", b"Host: " + b"a" * 300, "either")
    host("very-long", b"Host: " + b"a" * 60000, "refuse", huge=True)
    host("10-none", b"X: y", "accept", line=b"GET /echo HTTP/1.0", alone=True)
    host("10-two", b"Host: x\r\nHost: y", "refuse", line=b"GET /echo HTTP/1.0")
    host("10-bad", b"Host: a b", "refuse", line=b"GET /echo HTTP/1.0")
    host("space-before-colon", b"Host : x", "refuse")
    host("folded", b"Host:\r\n x", "refuse")
    host("folded-second", b"Host: x\r\n y", "refuse")


def targets():
    def line(name, octets, verdict, fields=b"Host: x", **more):
        case("target-" + name, get(octets, fields), verdict, **more)

    for name, target, want in (("absolute", b"http://x/echo", "/echo"),
            ("absolute-case", b"HTTP://X/echo", "/echo"), ("absolute-port", b"http://x:80/echo", "/echo"),
            ("absolute-no-path", b"http://x", "/"), ("query", b"/echo?a=b&c=%20", "/echo?a=b&c=%20"),
            ("question", b"/echo?", "/echo?"), ("query-slashes", b"/echo?a=/../b", "/echo?a=/../b"),
            ("query-questions", b"/echo?a?b", "/echo?a?b"), ("encoded", b"/%41%20b", "/%41%20b"),
            ("sub-delims", b"/a!$&'()*+,;=:@b", "/a!$&'()*+,;=:@b"),
            ("dot-segments", b"/a/./b/../echo", "/a/echo"), ("slashes", b"/a//b", "/a//b"),
            ("encoded-slash", b"/a%2Fb", "/a%2Fb"), ("case-kept", b"/%c3%BC", "/%c3%BC")):
        line(name, b"GET " + target + b" HTTP/1.1", "accept", target=want)
    line("absolute-query", b"GET http://x?a=b HTTP/1.1", "either", target="/?a=b")
    line("absolute-other-host", b"GET http://y/echo HTTP/1.1", "either", target="/echo")
    line("absolute-no-host", b"GET http://x/echo HTTP/1.1", "refuse", fields=b"X: y")
    line("absolute-two-hosts", b"GET http://x/echo HTTP/1.1", "refuse", fields=b"Host: x\r\nHost: x")
    line("absolute-bad-host", b"GET http://x/echo HTTP/1.1", "refuse", fields=b"Host: a b")
    line("absolute-https", b"GET https://x/echo HTTP/1.1", "either")
    for target in (b"http://u:p@x/echo", b"http://u@x/echo", b"http://@x/echo", b"ftp://x/echo",
            b"file:///etc/passwd", b"javascript:alert(1)", b"http:///echo", b"http://", b"http:/x", b"http:x",
            b"http:", b"http://x:99999/", b"http://x:a/", b"http://a b/", b"http://[::1/", b"http://:80/",
            b"://x/", b"//", b"http://x\\y/", b"http://x#f", b"x:80", b"x", b"echo", b"*", b"/echo#f", b"#",
            b"?", b"?a", b"", b".", b"..", b"../echo", b"\\echo", b"/a\\b", b"/echo b", b"/echo\tb",
            b"/ec\x00ho", b"/ec\x01ho", b"/ec\x7fho", b"/ec\x0bho", b"/ec\x1bho", b"/ec\rho", b"/ec\nho",
            b"/%", b"/%4", b"/%zz", b"/%4z", b"/%u0041", b"/%00", b"/a%00b", b"/a?b#c", b"*echo", b"*/",
            b"/..", b"/../echo", b"/a/../../echo", b"/%2e%2e/echo", b"/a/%2E./../../echo"):
        line("bad-" + text(target), b"GET " + target + b" HTTP/1.1", "either" if target == b"//" else "refuse")
    for target in (b"/ec\xe9ho", "/ü".encode(), b'/a"b', b"/a<b>", b"/a|b", b"/a^b", b"/a`b", b"/{a}",
            b"/a[b]", b"/a?b|c{}\"<>", b"/a?b\\c", b"/a?%zz", b"/a?%00", b"/a%0d%0ab",
            b"/a%0aGET%20/smuggled", b"/a?%0d%0aX:y", b"/%ff%fe", b"/%c0%af", b"/a;b=c/d"):
        line("rare-" + text(target), b"GET " + target + b" HTTP/1.1", "either")
    line("options-asterisk", b"OPTIONS * HTTP/1.1", "accept", method="OPTIONS")
    line("post-asterisk", b"POST * HTTP/1.1", "refuse", fields=b"Host: x\r\nContent-Length: 0")
    line("options-nothing", b"OPTIONS HTTP/1.1", "refuse")
    line("7000", b"GET /" + b"a" * 7000 + b" HTTP/1.1", "either")
    line("9000", b"GET /" + b"a" * 9000 + b" HTTP/1.1", "refuse")
    line("64k", b"GET /" + b"a" * 65536 + b" HTTP/1.1", "refuse", huge=True)
    line("1m", b"GET /" + b"a" * 1048576 + b" HTTP/1.1", "refuse", huge=True)
    line("1m-query", b"GET /?" + b"a" * 1048576 + b" HTTP/1.1", "refuse", huge=True)
    line("slashes-4000", b"GET " + b"/" * 4000 + b" HTTP/1.1", "either")
    line("dots-2000", b"GET " + b"/." * 2000 + b" HTTP/1.1", "either")
    line("dotdots-2000", b"GET /a" + b"/b/.." * 1300 + b" HTTP/1.1", "either")


def request_lines():
    def line(name, octets, verdict, **more):
        case("line-" + name, get(octets), verdict, **more)

    for version in (b"HTTP/2.0", b"HTTP/2", b"HTTP/3.0", b"HTTP/0.9", b"HTTP/0.0", b"HTTP/1", b"HTTP/1.",
            b"HTTP/.1", b"HTTP/1.10", b"HTTP/01.1", b"HTTP/1.01", b"HTTP/11", b"HTTP/1.1.1", b"HTTP/1.1a",
            b"HTTP/1,1", b"HTTP/-1.1", b"HTTP/+1.1", b"HTTP/1.-1", b"HTTP/a.b",
                    b"http/1.1", b"Http/1.1", b"HTTP1.1", b"HTTP /1.1", b"HTTP/ 1.1", b"HTTP/1 .1",
                    b"HTTPS/1.1", b"XTTP/1.1", b"HTTP/9.9", b"HTTP/99.99", b"HTTP/\xb1.1", b"HTTP\\1.1",
                    b"ICY/1.1", b"RTSP/1.0", b"HTTP/1.1\x00", b"HTTP/1.1\x0b", b"\x00HTTP/1.1",
                    b"HTTP/4294967297.1", b"HTTP/1.4294967297"):
        line("version-" + text(version), b"GET /echo " + version, "refuse")
    line("version-1.2", b"GET /echo HTTP/1.2", "either")
    line("version-1.9", b"GET /echo HTTP/1.9", "either")
    case("line-version-none", b"GET /echo\r\n", "refuse")
    case("line-version-none-fields", b"GET /echo\r\nHost: x\r\n\r\n", "refuse")
    case("line-version-empty", b"GET /echo \r\nHost: x\r\n\r\n", "refuse")
    for method in (b"get", b"Get", b"FOO", b"M-SEARCH", b"DEBUG", b"TRACK", b"TRACE", b"PURGE",
            b"!#$%&'*+-.^_`|~", b"G" * 100, b"GETX", b"PRI"):
        line("method-" + text(method), method + b" /echo HTTP/1.1", "either", method=method.decode())
    for method in (b"", b"G ET", b"G\x00T", b"GET\x00", b"G(T", b"G@T", b"G/T", b"GET:", b"\"GET\"",
            b"G\xe9T", b"\xffGET", b"G\x1bT", b"G\x7fT", b"{GET}", b"G=T", b"G,T", b"<GET>", b"G[T]", b"G\\T",
            b"G?T", b"G;T", b"GET\x0b"):
        line("method-bad-" + text(method), method + b" /echo HTTP/1.1", "refuse")
    line("method-64k", b"G" * 65536 + b" /echo HTTP/1.1", "refuse", huge=True)
    for name, octets in (("two-spaces", b"GET  /echo HTTP/1.1"),
            ("two-spaces-version", b"GET /echo  HTTP/1.1"), ("tab", b"GET\t/echo HTTP/1.1"),
            ("tab-version", b"GET /echo\tHTTP/1.1"), ("tail-space", b"GET /echo HTTP/1.1 "),
            ("tail-tab", b"GET /echo HTTP/1.1\t"), ("tail-words", b"GET /echo HTTP/1.1 x"),
            ("vt", b"GET\x0b/echo HTTP/1.1"), ("ff", b"GET /echo\x0cHTTP/1.1"),
            ("nbsp", b"GET\xa0/echo HTTP/1.1"), ("nul", b"GET\x00/echo HTTP/1.1"),
            ("cr", b"GET /echo\rHTTP/1.1"), ("only-method", b"GET"), ("words-4", b"GET /echo /b HTTP/1.1"),
            ("no-space", b"GET/echo HTTP/1.1"), ("no-space-version", b"GET /echoHTTP/1.1"),
            ("reversed", b"HTTP/1.1 200 OK"), ("version-first", b"HTTP/1.1 GET /echo"),
            ("question", b"GET ? HTTP/1.1")):
        line(name, octets, "refuse")


# --- Other protocols on the port ---

TLS_HELLO = bytes.fromhex(
    "16030100b2010000ae03035f3c1d0e6f1b0a9d8c7b6a594837261504f3e2d1c0bfae9d8c7b6a5948372600001c130113021303c02bc02fc02cc030cca9cca8c013c014009c009d0100006900000009000700000461626364"
    "00170000ff01000100000a00080006001d00170018000b00020100002300000010000e000c02683208687474702f312e31000d0012001004030804040105030805050108060601")


def foreign():
    def protocol(name, raw, **more):
        case("foreign-" + name, raw, "foreign", alone=True, **more)

    protocol("tls", TLS_HELLO)
    protocol("tls-sslv2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(range(40)))
    protocol("tls-alert", b"\x15\x03\x01\x00\x02\x02\x28")
    protocol("ssh", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    protocol("smtp",
        b"EHLO example.com\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n\r\n.\r\nQUIT\r\n")
    protocol("ftp", b"USER anonymous\r\nPASS x\r\n")
    protocol("pop3", b"+OK ready\r\n")
    protocol("irc", b"NICK a\r\nUSER a 0 * :a\r\n")
    protocol("redis", b"*1\r\n$4\r\nPING\r\n")
    protocol("memcached", b"get a\r\nset a 0 0 1\r\nb\r\n")
    protocol("sip", b"OPTIONS sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/TCP a\r\n\r\n")
    protocol("rtsp", b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
    protocol("proxy-v1", b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n" + get())
    protocol("proxy-v1-unknown", b"PROXY UNKNOWN\r\n" + get())
    protocol("proxy-v2",
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x04\xd2\x00\x50" + get())
    protocol("proxy-v2-local", b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00" + get())
    protocol("zeros", bytes(4096))
    protocol("zeros-short", bytes(8))
    protocol("ff", b"\xff" * 4096)
    protocol("lf-only", b"\n" * 4096)
    protocol("socks4", b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00")
    protocol("socks5", b"\x05\x01\x00")
    protocol("rdp", b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00")
    protocol("http-response", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    protocol("fastcgi", b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00")
    protocol("log-injection",
        b"127.0.0.1 - - [01/Jan/2026:00:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\r\n\r\n")
    protocol("http09", b"GET /\r\n")
    protocol("quit", b"QUIT\r\n\r\n")
    protocol("json", b'{"jsonrpc": "2.0", "method": "eth", "id": 1}\n')
    protocol("xml", b"<?xml version=\"1.0\"?><policy-file-request/>\x00")
    protocol("text-64k", b"a" * 65536, huge=True)


content_lengths()
transfer_encodings()
bodies()
chunks()
field_lines()
line_ends()
hosts()
targets()
request_lines()
foreign()

names = [one.name for one in CASES]
for number, one in enumerate(CASES):
    if names.count(one.name) > 1:
        one.name += f"-{number}"
