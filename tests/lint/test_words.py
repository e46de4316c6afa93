# SPDX-License-Identifier: BSD-2-Clause
"""Calls that are not made, types that are not named, words that do not stay; CONTRIBUTING.md, "Style"."""
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from tree import SOURCES, TOP, files, line_of, read, report, without_comments

# Unbounded, unchecked or shared state behind the caller's back.
BANNED = """strcpy strcat stpcpy strncpy strncat sprintf vsprintf gets scanf fscanf strtok atoi atol atoll atof
    alloca tmpnam tempnam mktemp system popen localtime gmtime ctime asctime rand srand setlocale usleep
    gethostbyname inet_ntoa inet_addr assert exit_group""".split()
CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED))
# Split, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X(?=[:\s])|HA" r"CK|st" r"ub|(?<!waited )for " r"now)\b")
MACHINE = re.compile(r"(?<![\w.])/(?:wo" r"rk|ro" r"ot)/|regis" r"try\.[a-z]+\.\w+")
TEXTS = (".c", ".h", ".py", ".sh", ".am", ".ac", ".m4", ".inc", ".in", ".md", ".html", ".css", ".js", ".json", ".yaml")


def search(pattern, paths, prepare=lambda text: text):
    faults = []
    for path in paths:
        text = prepare(read(path))
        faults += [f"{path}:{line_of(text, m.start())}: {m[0].strip()}" for m in pattern.finditer(text)]
    return faults


def test_no_banned_calls():
    report(search(CALL, files(*SOURCES, "conf"), without_comments))


def test_banned_calls_are_seen():
    assert CALL.search("x = atoi(y);") and CALL.search("\tstrcpy (a, b);")
    assert not CALL.search("my_strcpy(a)") and not CALL.search("ops.system(x)") and not CALL.search("gmtime_r(a, b)")


def test_types_are_not_hidden():
    """struct x is written out; only function types have names of their own, which end in _fn."""
    pattern = re.compile(r"^typedef\b(?![^;{]*\b\w+_fn\)?\s*\()[^\n]*", re.MULTILINE)
    report(search(pattern, files(*SOURCES), without_comments))


def test_nothing_is_left_unfinished():
    report(search(UNFINISHED, files(".", ending=TEXTS)))


def test_nothing_names_one_machine():
    report(search(MACHINE, files(".", ending=TEXTS)))


def test_licence_and_purpose_come_first():
    """The first line of a source is its licence, the next says what the file is responsible for."""
    faults = []
    for path in files(*SOURCES, "conf", "tests"):
        first, second = (read(path).split("\n", 2) + ["", ""])[:2]
        if first != "/* SPDX-License-Identifier: BSD-2-Clause */":
            faults.append(f"{path}: the first line is not the licence")
        elif not second.startswith("/* "):
            faults.append(f"{path}: the second line does not say what it is for")
    for path in files(".", ending=(".py", ".sh", ".inc", ".am")):
        if not re.match(r"(#![^\n]*\n)?# SPDX-License-Identifier: BSD-2-Clause\n", read(path)):
            faults.append(f"{path}: the first line is not the licence")
    report(faults)


def test_lines_end_cleanly():
    report(search(re.compile(r"[ \t]+$|\r", re.MULTILINE), files(".", ending=TEXTS)))


def test_licence_is_there():
    assert "Redistribution and use in source and binary forms" in (TOP / "LICENSE").read_text()
