# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/1 as malformed, ambiguous and rare as it comes (CASES.md: Framing, Chunks, Head, Foreign protocols, Paths): refused
with a 4xx and the connection ended, or read in the one correct way; never two readings (RFC 9112, 11; DESIGN §3)."""
import json
import re

import pytest

from http1_cases import CASES, SMUGGLED
from reference import read_all
from server import wait_for
from stage import MARKER, REFUSALS, Stage

COMBINED = re.compile(rb'(\S+) \S+ (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"\Z')


@pytest.fixture(scope="module")
def stage():
    with Stage() as running:
        yield running


def message(case):
    """The case's bytes, the marker behind them, whether the client then half-closes, and the methods."""
    data = case.raw + (b"" if case.alone else MARKER)
    return data, case.verdict in ("cut", "foreign"), [case.method]


def judge_backend(case, outcome):
    """Whatever reached the backend is unambiguous, at most one request (and the marker), and nothing that was smuggled."""
    broken = [seen for seen in outcome.seen if seen.verdict == "malformed"]
    assert not broken, f"malformed at the backend; {outcome}"
    targets = [request.target for request in outcome.whole]
    assert b"/smuggled" not in targets, f"smuggled; {outcome}"
    assert len([target for target in targets
        if target != b"/marker"]) <= 1, f"more than one request at the backend; {outcome}"
    for request in outcome.whole:
        assert not (request.all(b"Content-Length")
            and request.all(b"Transfer-Encoding")), f"two framings at the backend; {outcome}"


def judge_refused(case, outcome):
    assert not outcome.broken, str(outcome)
    assert outcome.ended, f"not ended; {outcome}"
    if case.huge and not outcome.responses:
        return
    assert len(outcome.responses) == 1, f"one refusal wanted; {outcome}"
    assert outcome.statuses[0] in REFUSALS, f"a refusal wanted; {outcome}"


def judge_served(case, outcome, echoed, proxied=True):
    """The one right reading: the request's own answer (the backend's echo or weir's), then the marker's own (or the end)."""
    assert not outcome.broken, str(outcome)
    assert outcome.responses, f"no answer; {outcome}"
    assert len(outcome.responses) <= (1 if case.alone else 2), f"too many answers; {outcome}"
    first = outcome.responses[0]
    if echoed and case.method != "HEAD":
        assert first.status == 200, str(outcome)
        seen = json.loads(first.body)
        assert seen["body"].encode("latin-1") == case.body, f"another body; {outcome}"
        assert seen["method"] == case.method or case.method == "GET", str(outcome)
        if case.target is not None:
            assert seen["target"] == case.target, f"another target; {outcome}"
    if len(outcome.responses) == 2:
        marker = outcome.responses[1]
        assert marker.status == 200, f"the marker was not answered as itself; {outcome}"
        if proxied:
            seen = json.loads(marker.body)
            assert (seen["target"], seen["method"], seen["body"]) == ("/marker", "GET",
                ""), f"the marker was not answered as itself; {outcome}"
        else:
            assert marker.body == b"marker", f"the marker was not answered as itself; {outcome}"


def refused(outcome):
    return len(outcome.responses) == 1 and outcome.statuses[0] in REFUSALS


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_proxied(stage, case):
    """Behind the backend's port."""
    data, half_close, methods = message(case)
    outcome = stage.proxied(data, methods, half_close)
    judge_backend(case, outcome)
    if case.verdict == "refuse":
        judge_refused(case, outcome)
        assert not outcome.whole, f"refused, and yet at the backend; {outcome}"
    elif case.verdict == "accept":
        assert outcome.responses and outcome.statuses[0] not in REFUSALS, f"must be served; {outcome}"
        assert case.alone or len(outcome.responses) == 2, f"the connection must go on; {outcome}"
        judge_served(case, outcome, echoed=case.name != "target-options-asterisk")
    elif case.verdict == "either":
        if refused(outcome):
            judge_refused(case, outcome)
        elif not (case.huge and not outcome.responses):
            # A refusal of the request as such (405, 417 …) may leave the connection usable.
            judge_served(case, outcome, echoed=outcome.responses and outcome.statuses[0] == 200)
    else:
        assert not outcome.broken and outcome.ended, str(outcome)
        assert not outcome.whole, f"not whole, and yet whole at the backend; {outcome}"
        assert all(status in REFUSALS
            for status in outcome.statuses) and len(outcome.responses) <= 1, str(outcome)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_static(stage, case):
    """Where only files answer: the same bytes, and the marker is a file."""
    data, half_close, methods = message(case)
    outcome = stage.static(data, methods, half_close)
    assert not outcome.broken and outcome.ended, str(outcome)
    assert not any(SMUGGLED in response.body
        for response in outcome.responses), f"the body came back; {outcome}"
    if case.verdict == "refuse":
        if case.name.startswith("chunk-"):
            # The answer may be out before the broken chunk is read; what follows is never a request.
            assert len(outcome.responses) == 1 or case.huge, str(outcome)
        else:
            judge_refused(case, outcome)
    elif case.verdict in ("accept", "either"):
        if case.verdict == "accept" and not case.alone and not case.name.startswith("expect-"):
            assert len(outcome.responses) == 2, f"the connection must go on; {outcome}"
        if outcome.responses:
            judge_served(case, outcome, echoed=False, proxied=False)
    else:
        assert len(outcome.responses) <= 1, str(outcome)
        assert case.verdict == "cut" or all(status in REFUSALS for status in outcome.statuses), str(outcome)


def test_cases_agree_with_the_reference():
    """The table's verdicts are those of the RFCs' grammar, as far as the grammar alone decides."""
    for case in CASES:
        requests, verdict, why = read_all(case.raw + (b"" if case.alone else MARKER), lenient=True)
        if case.verdict == "accept":
            assert verdict == "end" and len(requests) == (1 if case.alone else 2), (case.name, verdict, why)
            assert requests[0].body == case.body, case.name
        elif case.verdict == "cut":
            assert verdict == "incomplete", (case.name, verdict, why)
        elif case.verdict == "either" and verdict == "end":
            assert requests[0].body == case.body, case.name


def test_not_one_forbidden_trailer_becomes_a_field(stage):
    """RFC 9110, 6.5.1: trailers are not merged into the header section."""
    for name in ("Host", "Content-Length", "Authorization", "Cookie", "X-Forwarded-For", "Content-Type"):
        body = b"5\r\nhello\r\n0\r\n" + name.encode() + b": 198.51.100.7\r\n\r\n"
        outcome = stage.proxied(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body + MARKER)
        for request in outcome.whole:
            assert b"198.51.100.7" not in [value for _, value in request.fields], f"{name}; {outcome}"


def test_connection_names_fields_of_this_hop(stage):
    """RFC 9110, 7.6.1: what Connection names, and what is of one hop by itself, is not forwarded."""
    outcome = stage.proxied(b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: X-Secret, close\r\nX-Secret: 1\r\nX-Kept: 1\r\n"
                            b"Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\r\n")
    request, = outcome.whole
    assert request.all(b"X-Kept") == [b"1"]
    for name in (b"X-Secret", b"Keep-Alive", b"Proxy-Connection"):
        assert not request.all(name), name
    assert b"close" not in request.words(b"Connection")


def test_absolute_form_decides_the_host(stage):
    """RFC 9112, 3.2.2: the target's authority replaces what Host says, at the backend as well."""
    outcome = stage.proxied(b"GET http://right.example/echo HTTP/1.1\r\nHost: wrong.example\r\nConnection: close\r\n\r\n")
    if refused(outcome):
        return
    request, = outcome.whole
    assert request.target == b"/echo"
    assert request.all(b"Host") == [b"right.example"]
    assert b"wrong.example" not in b"".join(value for _, value in request.fields)


def test_forwarded_fields_cannot_be_forged(stage):
    """DESIGN §2, §3: X-Forwarded-For of somebody who is no trusted proxy does not hide the client."""
    source = stage.source()
    stage.recorder.take()
    stage.exchange(stage.weir.ports["port2"],
        b"GET /echo HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n", source=source)
    request, = [seen.request for seen in stage.barrier()]
    assert request.words(b"X-Forwarded-For")[-1] == source.encode()
    assert request.all(b"X-Forwarded-Proto") == [b"http"]
    assert request.all(b"X-Forwarded-Host") == [b"x"]
    assert request.all(b"Via") and request.all(b"Forwarded")


PATHS = [
    "/..", "/../", "/../x", "/a/../..", "/a/../../x", "/%2e%2e/x", "/%2E%2E/x", "/.%2e/x", "/%2e./x",
    "/a/%2e%2e/%2e%2e/x", "/..%2fx", "/..%2Fx", "/a/..%2f..%2fx", "/%2e%2e%2fx", "/..%5cx", "/..\\x",
    "/a\\..\\..\\x",
    "/%5c..%5cx", "/..;/x", "/..;a=b/x", "/a/..;/..;/x", "/%2e%2e;/x", "/.%00./x", "/..%00/x", "/x%00.html",
    "/%00", "/..%c0%afx", "/%c0%ae%c0%ae/x", "/%c0%2e%c0%2e/x", "/%e0%80%ae%e0%80%ae/x", "/%uff0e%uff0e/x",
    "/..%u2215x",
    "/%252e%252e/x", "/%252e%252e%252fx", "/..%252fx", "/.../x", "/..../x", "/. ./x", "/.%20./x", "/..%09/x",
    "/..%0a/x", "/..%0d%0a/x", "/..%20/x", "//../x", "///../../x", "/a//../../x", "/./../x", "/.//../x",
    "/a/./../../x",
    "/?/../x", "/%3f/../../x", "/%23/../../x", "/x/..%01/y",
]


@pytest.mark.parametrize("path", PATHS)
def test_backend_sees_no_way_up(stage, path):
    """DESIGN §3: the backend gets a path without dot segments, and nothing that two readers could split differently."""
    outcome = stage.proxied(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
    judge_backend(None, outcome)
    assert len(outcome.responses) == 1
    if outcome.statuses[0] in REFUSALS:
        assert not outcome.whole, str(outcome)
        return
    request, = outcome.whole
    path = request.target.partition(b"?")[0]
    decoded = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), path)
    assert b"\0" not in decoded, str(outcome)
    assert b".." not in re.split(rb"[/\\;]", decoded), str(outcome)


@pytest.mark.parametrize("path", ["/..", "/../x", "/a/../../x", "/%2e%2e/x", "/.%2e/x", "/%00", "/x%00.html",
    "/%", "/%4", "/%zz", "/%u0041", "/..%2fx", "/%2e%2e%2fx", "/..%5cx", "/..;/x", "/..\\x"])
def test_paths_that_name_nothing_are_400(stage, path):
    """DESIGN §3: a path that cannot name a file is a 400 and reaches no backend."""
    outcome = stage.proxied(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert outcome.statuses == [400] and not outcome.seen, str(outcome)


INJECTIONS = [
    b'GET /"%20200%205%20"- HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    b'GET /a" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a" 200 5 "-" "b\r\nConnection: close\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a\\\r\nConnection: close\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a\\"b\r\nReferer: "\\\r\nConnection: close\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: x\r\nReferer: http://a/" "evil"\r\nConnection: close\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: \xff\xfe\x9b31m\xc2\x9b\r\nConnection: close\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a\tb\r\nConnection: close\r\n\r\n',
    b'GET /%0a%0d%1b[31m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YSBiCjEyNy4wLjAuMSAtIC0gWw==\r\nConnection: close\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a\x1b[31m\r\n\r\n',
    b'GET /\x1b[31m HTTP/1.1\r\nHost: x\r\n\r\n',
    b'GET / HTTP/1.1" 200 5 "-" "-"\r\n\r\n',
    b'\x1b]0;evil\x07 / HTTP/1.1\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a\nb\r\n\r\n',
    b'\xff' * 200 + b'\r\n\r\n',
]


def test_log_lines_cannot_be_forged(stage):
    """Access log, combined: each request is one line that reads in one way, in printable ASCII (or UTF-8), whatever was sent."""
    file = stage.weir.folder / "access.log"

    def mark(name):
        """A line of our own: all that came before is in the log with it (one thread)."""
        stage.static(b"GET /" + name + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        wait_for(lambda: name in file.read_bytes(), what="our line in the log")
        return file.read_bytes().count(b"\n")

    before = mark(b"before-the-injections")
    for data in INJECTIONS:
        stage.static(data)
    assert mark(b"behind-the-injections") - before <= len(INJECTIONS) + 1
    lines = file.read_bytes().split(b"\n")[:-1]
    for line in lines:
        assert COMBINED.match(line), line
        assert not re.search(rb"[\x00-\x1f\x7f]", line), line
        line.decode("utf-8")
    text = stage.weir.log()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text), "controls in the error log"


def test_the_server_is_whole(stage):
    """After all that: it answers, and the descriptors are back."""
    outcome = stage.static(b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert outcome.responses[0].body == b"echo"
