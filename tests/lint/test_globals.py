# SPDX-License-Identifier: BSD-2-Clause
"""No variable outlives its owner unseen: only process/ and the log have writable data of the whole program."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from tree import report

BUILT = Path(os.environ.get("WEIR_BUILDDIR") or "build")
ALLOWED = ("server/process/", "server/main.o", "server/base/log.o", "server/base/check.o")
# Written once before main: the key of this process's hash tables. Never written: the place of an empty arena, and the
# answers for folders that cannot be watched, whose type has an atomic member and so cannot be constant.
CONSTANT = {("server/base/table.o", "key"), ("server/base/arena.o", "nothing"), ("server/io/watch.o", "unwatched"),
            ("server/io/watch.o", "vanished")}


def instrumented():
    text = (BUILT / "config.h").read_text()
    return "#define WEIR_SANITIZERS" in text or "#define WEIR_COVERAGE" in text


def test_no_global_mutable_state():
    if not (BUILT / "config.h").exists() or instrumented():
        pytest.skip("no plain build to look at")
    objects = [path for folder in ("server", "handlers") for path in sorted((BUILT / folder).rglob("*.o"))]
    assert objects
    faults = []
    for path in objects:
        name = str(path.relative_to(BUILT))
        if name.startswith(ALLOWED):
            continue
        listing = subprocess.run(["nm", "-f", "sysv", path], check=True, capture_output=True, text=True).stdout
        for line in listing.splitlines():
            columns = [column.strip() for column in line.split("|")]
            # .tbss and .tdata are a thread's own, .data.rel.ro only the linker writes.
            if len(columns) != 7 or (name, columns[0]) in CONSTANT:
                continue
            if columns[6] in (".data", ".bss", ".data.rel.local", ".data.rel", "*COM*"):
                faults.append(f"{name}: {columns[0]} in {columns[6]}")
    report(faults)
