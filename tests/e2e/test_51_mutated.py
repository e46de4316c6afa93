# SPDX-License-Identifier: BSD-2-Clause
"""3,000 mutated requests (CASES.md: Foreign protocols): no crash, no 5xx, nothing ambiguous at a backend. What reaches the
backend for a client is, in order, what the reference reads in that client's bytes, and nothing else."""
import random
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest

from reference import read_all
from stage import MARKER, Stage

COUNT = 3000
SEED = 20240607
INNER = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
SEEDS = [
    b"GET /echo HTTP/1.1\r\nHost: x\r\nUser-Agent: a/1.0\r\nAccept: */*\r\n\r\n",
    b"GET /echo?a=b&c=%20d HTTP/1.1\r\nHost: x:80\r\nCookie: a=b; c=d\r\nAccept-Encoding: gzip, br\r\nIf-None-Match: \"a\"\r\nRange: bytes=0-1\r\n\r\n",
    b"HEAD /a/./b/../echo HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 35\r\nContent-Type: text/plain\r\n\r\n" + INNER,
    b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n23\r\n" + INNER + b"\r\n0\r\n\r\n",
    b"PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5;a=b\r\nhello\r\n23;c=\"d\"\r\n" + INNER + b"\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    b"GET http://x/echo HTTP/1.1\r\nHost: x\r\nProxy-Connection: keep-alive\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"DELETE /%65cho/%2e%2e/b HTTP/1.1\r\nHost: [::1]:80\r\nConnection: X-A\r\nX-A: b\r\n\r\n",
    b"GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    b"PATCH /echo HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\nContent-Length: 0\r\n\r\n",
]
PIECES = [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\n\n", b"\0", b" ", b"\t", b"\x0b", b"\x0c", b"\x7f", b"\x80",
    b"\xff", b":", b";", b",", b"=", b"\"", b"/", b"//", b"..", b"%", b"%00", b"%2e", b"%2f", b"%0d%0a", b"#",
    b"?", b"*", b"@", b"\\",
          b"0", b"1", b"f", b"-", b"+", b"0x", b"_", b"99999999999999999999", b"chunked", b"identity",
          b"close", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"Host: y\r\n", b"Content-Length: 5\r\n",
          b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n",
          b"Transfer-Encoding: x\r\n", b"Connection: close\r\n", b"Connection: Content-Length\r\n",
          b"Expect: 100-continue\r\n", b" folded\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"X" * 300,
          b"y" * 9000, INNER]


def mutate(chance, data):
    """One small change."""
    kind = chance.randrange(9)
    at = chance.randrange(len(data) + 1)
    if kind == 0:
        return data[:at] + chance.choice(PIECES) + data[at:]
    if kind == 1:
        return data[:at] + data[at + chance.randint(1, 4):]
    if kind == 2 and at < len(data):
        return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1:]
    if kind == 3 and at < len(data):
        return data[:at] + bytes([chance.randrange(256)]) + data[at + 1:]
    lines = data.split(b"\r\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    if kind == 4:
        lines.insert(other, lines[one])
    elif kind == 5:
        del lines[one]
    elif kind == 6:
        lines[one], lines[other] = lines[other], lines[one]
    elif kind == 7:
        lines[one] = lines[one].swapcase()
    else:
        lines[one] = lines[one].replace(chance.choice([b":", b" ", b"/", b"1", b"e"]), chance.choice(PIECES), 1)
    return b"\r\n".join(lines)


def requests():
    chance = random.Random(SEED)
    made = []
    while len(made) < COUNT:
        data = chance.choice(SEEDS)
        if chance.random() < 0.2:
            data += chance.choice(SEEDS)
        for _ in range(chance.choice([1, 1, 1, 2, 2, 3, 5])):
            data = mutate(chance, data)
        if data:
            made.append(data)
    return made


@pytest.fixture(scope="module")
def results():
    """All of them sent, several at a time: for each its bytes, the reference's reading and the outcome."""
    with Stage() as stage:
        def run(data):
            read, verdict, why = read_all(data + MARKER, lenient=True)
            source = stage.source()
            outcome = stage.exchange(stage.weir.ports["port2"], data + MARKER,
                [request.method.decode() for request in read], verdict == "incomplete", source=source)
            return data, (read, verdict, why), outcome, source

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(run, requests()))
        seen = stage.barrier()
        by_client = defaultdict(list)
        for one in seen:
            by_client[one.client].append(one)
        for _, _, outcome, source in found:
            outcome.seen = by_client.pop(source, [])
        yield found, by_client, stage
        stage.weir.check()


def none(bad):
    """Fails, and shows the first few, when there are any."""
    lines = [f"{data[:600]!r}\n  the reference: {verdict} ({why}) {[request.target[:80] for request in read]}\n  {outcome}" for data, (read, verdict, why), outcome, _ in bad[:5]]
    if bad:
        pytest.fail(f"{len(bad)} of {COUNT}; the first:\n" + "\n".join(lines), pytrace=False)


def test_every_answer_is_an_answer(results):
    """Well-formed responses, no 5xx but 501 and 505, and every connection came to its end."""
    bad = [one for one in results[0] if one[2].broken or not one[2].ended
        or any(status >= 500 and status not in (501, 505) for status in one[2].statuses)]
    none(bad)


def test_no_more_answers_than_requests(results):
    """One for each request that the reference reads, and one refusal for what it does not read."""
    bad = [one for one in results[0] if len(one[2].responses) > len(one[1][0]) + (one[1][1] != "end")]
    none(bad)


def test_nothing_is_answered_behind_a_refusal(results):
    """What the reference cannot read ends the connection: no success at or behind that place."""
    bad = [one for one in results[0] if len(one[2].responses) > len(one[1][0]) and one[2].statuses[-1] < 400]
    none(bad)


def same(read, seen):
    """Does the backend's request say what the client's said?"""
    if (read.method, read.body) != (seen.method, seen.body):
        return False
    target = re.sub(rb"(?i)\Ahttps?://[^/?]*", b"", read.target) or b"/"
    if target.startswith(b"?"):
        target = b"/" + target
    path = target.partition(b"?")[0]
    return target == seen.target or (re.search(rb"(?i)(\.|%2e)", path)
        and target.partition(b"?")[2] == seen.target.partition(b"?")[2])


def test_backend_sees_what_the_reference_reads(results):
    bad = []
    for one in results[0]:
        read = iter(one[1][0])
        if any(seen.verdict == "malformed" for seen in one[2].seen) or not all(any(same(request, seen)
                for request in read) for seen in one[2].whole):
            bad.append(one)
    none(bad)


def test_nothing_else_is_at_the_backend(results):
    """What belongs to no client: nothing, least of all malformed bytes."""
    rest = [seen for several in results[1].values() for seen in several if seen.verdict != "cut"]
    assert not rest, rest[:5]


def test_plain_requests_are_served_as_ever(results):
    """Most mutations leave something legible: the suite is not vacuous, and weir still answers."""
    found, _, stage = results
    served = sum(200 in one[2].statuses for one in found)
    refused = sum(any(status >= 400 for status in one[2].statuses) for one in found)
    assert served > COUNT // 5 and refused > COUNT // 5, (served, refused)
    assert stage.static(b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").responses[0].body == b"echo"
