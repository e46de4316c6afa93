# SPDX-License-Identifier: BSD-2-Clause
"""Who may include whom (ARCHITECTURE.md, "Rooms"), and that each file stands in its room's list."""
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from tree import INCLUDE, SOURCES, TOP, files, line_of, read, report, without_comments

BELOW = {
    "base": set(),
    "settings": {"base"},
    "io": {"base", "settings"},
    "http": {"base", "settings"},
    "wire": {"base", "settings", "io", "http"},
    "process": {"base", "settings", "io", "http", "wire"},
    "main": {"base", "settings", "io", "http", "wire", "process", "handlers"},
    "handlers": {"base", "settings", "http"},
}
# Single headers of io that every handler may use beside the rooms above, and the handlers that may use all of io.
IO_FOR_HANDLERS = {"io/disk.h", "io/loop.h", "io/remote.h", "io/watch.h"}
ALL_OF_IO = {"proxy"}
# Handlers keep to their own folder; the shelf is shared by these.
SHELF, ON_THE_SHELF = "file", {"static", "cache"}
# Foreign libraries and the only files that may name them.
FOREIGN = {
    r"ev\.h": r"server/io/loop\.h",
    r"libfyaml\.h": r"server/settings/.*",
    r"seccomp\.h": r"conf/filters\.c",
    r"linux/(landlock|seccomp|filter)\.h": r"server/process/.*",
    r"gnutls/.*": r"server/(io|process)/.*",
    r"nghttp2/.*": r"server/http/h2_session(_\w+)?\..*",
    r"magic\.h": r"server/process/.*",
    r"ares\.h": r"server/io/.*",
    r"(brotli/.*|zstd\.h|zlib\.h)": r"handlers/encode/.*",
}


def room(path):
    """(room, folder within handlers) of a path from the top."""
    parts = path.parts
    if parts[0] == "handlers":
        return "handlers", parts[1] if len(parts) > 2 else ""
    return (parts[1], "") if len(parts) > 2 else ("main", "")


def resolved(including, name):
    """Where a quoted include leads, from the top; includes are relative to server/ or to the top, never to the file."""
    for candidate in (Path("server", name), Path(name)):
        if (TOP / candidate).is_file():
            return candidate
    return None


def forbidden(including, included):
    """Why `including` may not include `included`, or None."""
    mine, folder = room(including)
    theirs, other = room(included)
    if mine == "handlers" and theirs == "handlers":
        if including.stem == "table" or other in ("", folder) or (other == SHELF and folder in ON_THE_SHELF):
            return None
        return f"handlers/{folder} keeps to its own folder"
    if theirs == mine or theirs in BELOW[mine]:
        return None
    if mine == "handlers" and theirs == "io":
        if folder in ALL_OF_IO or str(included.relative_to("server")) in IO_FOR_HANDLERS:
            return None
    return f"{mine} does not know {theirs}"


def test_includes_follow_the_arrows():
    faults = []
    for path in files(*SOURCES):
        text = read(path)
        for match in INCLUDE.finditer(text):
            if match[1] == "<":
                continue
            target = resolved(path, match[2])
            why = forbidden(path, target) if target else "no such file under server/ or the top"
            if why:
                faults.append(f"{path}:{line_of(text, match.start())}: {match[2]}: {why}")
    report(faults)


def test_the_rule_itself_refuses():
    """A lint that never fails holds nothing."""
    assert forbidden(Path("server/io/plain.c"), Path("server/http/request.h"))
    assert forbidden(Path("server/base/log.c"), Path("server/settings/value.h"))
    assert forbidden(Path("handlers/static/static.c"), Path("server/io/dial.h"))
    assert forbidden(Path("handlers/static/static.c"), Path("handlers/proxy/pool.h"))
    assert forbidden(Path("server/process/worker.c"), Path("handlers/table.h"))
    assert not forbidden(Path("handlers/proxy/pool.c"), Path("server/io/dial.h"))
    assert not forbidden(Path("handlers/static/static.c"), Path("handlers/file/mime.h"))
    assert not forbidden(Path("server/main.c"), Path("handlers/table.h"))


def test_foreign_libraries_stay_in_their_room():
    faults = []
    for path in files(*SOURCES):
        for match in INCLUDE.finditer(read(path)):
            for header, allowed in FOREIGN.items():
                if match[1] == "<" and re.fullmatch(header, match[2]) and not re.fullmatch(allowed, str(path)):
                    faults.append(f"{path}: {match[2]} is not for this room")
    report(faults)


def test_no_file_includes_a_source():
    faults = []
    for path in files(*SOURCES, "tests", "conf"):
        faults += [f"{path}: {m[2]}" for m in INCLUDE.finditer(read(path)) if m[2].endswith(".c")]
    report(faults)


def test_header_guards_are_named_after_their_file():
    faults, seen = [], {}
    for path in files(*SOURCES, ending=(".h",)):
        stem = re.sub(r"[^A-Z0-9]", "_", path.stem.upper())
        match = re.match(r"\s*#ifndef (WEIR_\w+)\n#define (\w+)\n", without_comments(read(path)))
        if not match or match[1] != match[2] or not match[1].endswith(f"_{stem}_H"):
            faults.append(f"{path}: the guard is not WEIR_…_{stem}_H")
        elif match[1] in seen:
            faults.append(f"{path}: {seen[match[1]]} has the same guard")
        else:
            seen[match[1]] = path
    report(faults)


def test_every_file_is_listed_by_a_fragment():
    """What no Makefile.inc names is neither built nor distributed."""
    lists = " ".join(read(path) for path in [Path("Makefile.am"), *files(".", ending=("Makefile.inc",))])
    lists = lists.replace("$(srcdir)/", "")
    named = set(re.findall(r"[\w./+-]+", lists))
    folders = {name for name in named if (TOP / name).is_dir()}
    faults = []
    for path in files(*SOURCES) + files("tests", "conf", "www", ending=(".c", ".h", ".py", ".sh", ".html", ".css", ".js")):
        if str(path) not in named and not any(str(parent) in folders for parent in path.parents if "tests" in str(parent)):
            faults.append(f"{path}: named by no Makefile.inc")
    report(faults)
