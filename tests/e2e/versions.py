# SPDX-License-Identifier: BSD-2-Clause
"""Files that change at full speed, and readers that hold every answer against what was on disk while it was asked for.
A writer goes through numbered states; the number is told before a change begins and after it has returned. An answer is right if
it is one of the states from the last that had returned before the request was sent to the last that had begun when it was read."""
import functools
import random
import re
import sys
import threading
import time

from client import PROTOCOLS, BadResponse, Ended, connect, learned

BLOB = random.Random(7).randbytes(8 << 20)
STEP = 7919  # odd: each number has a start of its own in the first MiB
RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")
STATES_SEEN = 5  # readers must have met more of them: else nothing was shown


@functools.lru_cache(maxsize=24)
def content(target, number, size):
    """The bytes of one version: they say which, and no 16 of them are found in another version at the same place."""
    head = b"%s version %d of %d bytes\n" % (target.encode(), number, size)
    start = number * STEP % (1 << 20)
    enough = BLOB * ((start + size) // len(BLOB) + 1)
    return head + enough[start:start + size - len(head)]


class Story:
    """What a writer does to some targets: in state n each holds version n, or is absent."""

    def __init__(self, targets, size, absent=lambda number: False, in_place=False):
        self.targets, self.size, self.absent = list(targets), size, absent
        self.in_place = in_place  # parts of the next version are seen, and an answer may be cut
        self.began = self.done = 0

    def floor(self):
        """The state that the next request must see, or a later one."""
        return self.done

    def length(self, number):
        return self.size + number % 61

    def at(self, target, number, coding="identity"):
        """The bytes of a state, None: there is no such file."""
        if self.absent(number):
            return None
        return content(target if coding == "identity" else f"{target} {coding}", number, self.length(number))

    def number_in(self, body):
        """The version that a body says it is."""
        found = re.match(rb"\S+ (?:\w+ )?version (\d+) of \d+ bytes\n", body[:200])
        return int(found[1]) if found else None

    def states(self, target, body, before, after, coding="identity"):
        """Is a body, all of it, one of the states, or the part of one that is being written?"""
        number = self.number_in(body)
        if number is not None and before <= number <= after and self.at(target, number, coding) == body:
            return True
        return self.in_place and any(self.at(target, later, coding).startswith(body) for later in range(before + 1, after + 1))


class Tags:
    """One strong tag, one content. What is strong but not of the content alone is noted in `untrue`, as weak ones are."""

    def __init__(self):
        self.bodies, self.tags, self.untrue = {}, {}, []

    def learn(self, tag, target, coding, body):
        """A fault in words, or None."""
        if not tag:
            return "no ETag"
        version = (target, coding, len(body), hash(body))
        if tag.startswith("W/") or self.tags.setdefault(version, tag) != tag:
            self.untrue.append(tag)
        if not tag.startswith("W/") and self.bodies.setdefault(tag, version) != version:
            return f"{tag} for two versions: {self.bodies[tag]}, {version}"
        return None


class Reader(threading.Thread):
    """Asks on its kept connections in turn, in all the ways in which a version can be asked for."""

    codings = ("identity",)

    def __init__(self, run, seed):
        super().__init__(daemon=True)
        self.run_of, self.story, self.random = run, run.story, random.Random(seed)
        self.protos = [PROTOCOLS[(seed + 2 * number) % len(PROTOCOLS)] for number in range(2)]
        self.connections = [self.connect(number) for number in range(2)]
        self.known = {}  # by target and coding: the last body, and its tag

    def connect(self, number):
        return connect(self.run_of.port, self.protos[number], seconds=20, narrow=(1 << 14, 0)[number])

    def run(self):
        try:
            while not self.run_of.over():
                self.ask(self.random.randrange(2))
        except Exception as fault:  # pylint: disable=broad-except
            self.run_of.fault(f"{self.protos}: {type(fault).__name__}: {fault}")
        for connection in self.connections:
            connection.close()

    def ask(self, which):
        """One request and all that is to be said of its answer."""
        connection, target = self.connections[which], self.random.choice(self.story.targets)
        coding = self.random.choice(self.codings)
        method, fields = self.compose(target, coding)
        before = self.story.floor()
        try:
            answer = connection.get(target, method=method, fields=fields)
        except (Ended, BadResponse) as fault:
            self.cut(which, target, before, fault)
            return
        after = self.story.began
        self.run_of.count(1, 0)
        fault = self.judge(target, method, fields, answer, before, after)
        if fault:
            self.run_of.fault(f"{self.protos[which]}: {method} {target} {fields} in states {before} to {after}: {answer.status} {answer.fields} "
                              f"{answer.body[:60]!r}: {fault}")

    def compose(self, target, coding):
        fields = {} if coding == "identity" else {"Accept-Encoding": coding}
        body, tag = self.known.get((target, coding), (b"", None))
        kind = self.random.random()
        if kind < 0.6 or not tag or len(body) < 200:
            return "GET", fields
        if kind < 0.7:
            return "HEAD", fields
        if kind < 0.8:
            return "GET", dict(fields, **{"If-None-Match": tag})
        first = self.random.randrange(len(body) - 100)
        fields["Range"] = f"bytes={first}-{self.random.randrange(first, len(body) + 100)}"
        if kind < 0.95:
            fields["If-Range"] = tag
        return "GET", fields

    def judge(self, target, method, fields, answer, before, after):
        """What is wrong with an answer, or None."""
        coding, tag = answer.get("Content-Encoding", "identity"), answer.get("ETag")
        states = [self.story.at(target, number, coding) for number in range(before, after + 1)]
        if answer.status in (404, 416):
            if answer.status == 416 and "Range" not in fields:
                return "an unasked 416"
            return None if None in states or self.story.in_place else "it was there all the time"
        if coding not in ("identity", fields.get("Accept-Encoding")):
            return "a coding that was not asked for"
        if answer.status == 304:
            return self.judge_304(target, fields, tag, before, after)
        if answer.status == 206:
            return self.judge_206(target, fields, answer, tag, coding, states)
        if answer.status != 200:
            return "the status"
        if method == "HEAD":
            return self.judge_head(target, answer, tag, coding, states)
        if not self.story.states(target, answer.body, before, after, coding):
            return f"not one version whole, or not one of these; it says {self.story.number_in(answer.body)}"
        self.known[target, coding] = (answer.body, tag)
        self.run_of.seen.add(self.story.number_in(answer.body))
        return self.run_of.tags.learn(tag, target, coding, answer.body)

    def judge_304(self, target, fields, tag, before, after):
        """RFC 9110 §13.1.2, §15.4.5: what the client has is still the state."""
        for (known, coding), (body, had) in self.known.items():
            if known == target and had == fields.get("If-None-Match") and had == tag:
                number = self.story.number_in(body)
                if tag.startswith("W/") or self.story.states(target, body, before, after, coding):
                    return None
                return f"not modified, but that was state {number}"
        return "not modified, but it has another tag"

    def judge_206(self, target, fields, answer, tag, coding, states):
        """RFC 9110 §14.4, §13.1.5: a part of the version that it names; with If-Range of the version that the client has."""
        found = RANGE.match(answer.get("Content-Range", ""))
        if not found:
            return "no Content-Range"
        first, last, total = map(int, found.groups())
        if "If-Range" in fields:
            body = self.known[target, fields.get("Accept-Encoding", "identity")][0]
            if fields["If-Range"] != tag or tag.startswith("W/"):
                return "If-Range names another version"
            if (len(body), body[first:last + 1]) != (total, answer.body):
                return "another part than that of the version that the client has"
        if self.story.in_place:
            return None
        for state in states:
            if state is not None and len(state) == total and state[first:last + 1] == answer.body:
                return None
        return "not a part of one of these states"

    def judge_head(self, target, answer, tag, coding, states):
        length = int(answer.get("Content-Length"))
        known = self.run_of.tags.bodies.get(tag)
        if known and known[:3] != (target, coding, length):
            return f"the tag is that of {known}"
        if not self.story.in_place and length not in [len(state) for state in states if state is not None]:
            return "no state has that length"
        return None

    def cut(self, which, target, before, fault):
        """A connection or a stream that ended before the answer did: only where files are written in place."""
        connection, after = self.connections[which], self.story.began
        self.run_of.count(0, 1)
        if not self.story.in_place:
            self.run_of.fault(f"{self.protos[which]}: {target} in states {before} to {after}: {fault}")
        elif not learned(connection, fault):
            self.run_of.fault(f"{self.protos[which]}: {target}: nothing more came, and no end: {fault}")
        if connection.ended or not learned(connection, fault):
            self.connections[which] = self.connect(which)
            connection.close()


class Run:
    """A writer against readers, over all protocols."""

    def __init__(self, port, story, readers=3, by_content=True, reader=Reader):
        self.port, self.story, self.tags, self.by_content = port, story, Tags(), by_content
        self.stopped, self.faults, self.seen = threading.Event(), [], set()
        self.counted, self.answers, self.cuts = threading.Condition(), 0, 0
        self.readers = [reader(self, seed) for seed in range(readers)]

    def fault(self, text):
        self.faults.append(text)
        self.stopped.set()

    def over(self):
        return self.stopped.is_set()

    def count(self, answers, cuts):
        with self.counted:
            self.answers += answers
            self.cuts += cuts
            self.counted.notify_all()

    def await_answers(self, count):
        """Until so many more came: who writes in place at full speed leaves nothing to be read."""
        with self.counted:
            end = self.answers + self.cuts + count
            self.counted.wait_for(lambda: self.answers + self.cuts >= end or self.over(), 20)

    def write(self, change, count, answers=100, seconds=60):
        """Goes from state to state, as fast as it can, `count` times and until so many answers were held against them, of enough states."""
        end = time.monotonic() + seconds
        interval = sys.getswitchinterval()
        sys.setswitchinterval(0.0005)
        try:
            for reader in self.readers:
                reader.start()
            while not self.over() and (self.story.done < count or self.answers < answers or len(self.seen) <= STATES_SEEN):
                assert time.monotonic() < end, f"{self.story.done} changes, {self.answers} answers within {seconds} s"
                self.story.began += 1
                change(self.story.began)
                self.story.done = self.story.began
                if self.story.in_place or self.story.done % 50 == 0:  # readers are not to starve on a busy machine
                    self.await_answers(2)
        finally:
            self.stopped.set()
            for reader in self.readers:
                reader.join(30)
            sys.setswitchinterval(interval)
        assert not self.faults, f"after {self.story.done} changes and {self.answers} answers: " + "\n".join(self.faults[:3])
        assert not any(reader.is_alive() for reader in self.readers)
        assert len(self.seen) > STATES_SEEN, f"{self.answers} answers saw only the versions {self.seen}"
        untrue = self.tags.untrue if self.by_content else []
        assert not untrue, f"{len(untrue)} tags of {self.answers} are not of the content alone: {untrue[:3]}"
        return self
