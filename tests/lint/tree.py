# SPDX-License-Identifier: BSD-2-Clause
"""The source tree as the lints read it."""
import os
import re
from pathlib import Path

TOP = Path(os.environ.get("WEIR_SRCDIR") or Path(__file__).resolve().parents[2])
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)
SOURCES = ("server", "handlers")
SKIPPED = re.compile(r"build(-.*)?|weir-[\d.]+|autom4te\.cache|node_modules|__pycache__|corpus|seeds|\.git|\.deps")
# What autogen.sh makes, where it is run in the tree itself or lies in a distribution.
GENERATED = re.compile(r"aclocal\.m4|Makefile\.in|config\.h\.in|configure")


def files(*folders, ending=(".c", ".h")):
    """Paths from the top, sorted, of all files under the folders whose names end so."""
    found = []
    for folder in folders:
        for where, below, names in os.walk(TOP / folder):
            below[:] = [name for name in below if not SKIPPED.fullmatch(name)]
            found += [Path(where, name).relative_to(TOP) for name in names
                      if name.endswith(ending) and not GENERATED.fullmatch(name)]
    return sorted(found)


def read(path):
    return (TOP / path).read_text(encoding="utf-8")


def without_comments(text):
    """C text whose comments are blank and whose strings are empty; the lines stay where they are."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)

    def blank(match):
        piece = match.group()
        if piece[0] in "\"'":
            return piece[0] * 2
        return "\n" * piece.count("\n") or " "

    return pattern.sub(blank, text)


def line_of(text, place):
    return text.count("\n", 0, place) + 1


def report(faults):
    assert not faults, "\n" + "\n".join(faults)
