# SPDX-License-Identifier: BSD-2-Clause
"""Files and functions stay small enough to be read at one sitting; CONTRIBUTING.md, "Style"."""
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from tree import SOURCES, files, read, report

FILE_LINES, FUNCTION_LINES = 600, 100


def functions(text):
    """(first line, number of lines) of each body: in this layout it stands between braces in the first column."""
    start = None
    for number, line in enumerate(text.splitlines(), 1):
        if line == "{":
            start = number
        elif re.match(r"}\s*$", line) and start:
            yield start, number - start + 1
            start = None


def test_files():
    found = files(*SOURCES, "tests", "conf", ending=(".c", ".h", ".py", ".sh", ".inc"))
    lengths = [(path, read(path).count("\n")) for path in found]
    report([f"{path}: {length} lines of {FILE_LINES}" for path, length in lengths if length > FILE_LINES])


def test_functions():
    faults = []
    for path in files(*SOURCES, "tests", "conf"):
        for line, length in functions(read(path)):
            if length > FUNCTION_LINES:
                faults.append(f"{path}:{line}: {length} lines of {FUNCTION_LINES}")
    report(faults)


def test_functions_are_seen():
    assert list(functions("int f(void)\n{\n\treturn 0;\n}\n\nstruct x {\n\tint y;\n};\n")) == [(2, 3)]
