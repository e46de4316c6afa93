# SPDX-License-Identifier: BSD-2-Clause
"""Runs one pytest file and says in TAP how each of its cases went; pytest's own output goes to the log."""
import os
import sys

if not sys.argv[1:]:
    sys.exit("usage: tap.py FILE [PYTEST OPTION]...")

# Whatever a test prints must not be taken for TAP.
tap = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
sys.stdout = sys.stderr

try:
    import pytest
except ImportError:
    tap.write("1..0 # SKIP pytest is not installed\n")
    sys.exit(0)


def plain(text):
    return " ".join(str(text).replace("#", "").split())


def in_a_few_words(report):
    """What went wrong."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return ": " + plain(crash.message)[:300] if crash else ""


class Reporter:
    """One line for each case: its call, or the set-up or tear-down that failed or skipped it."""

    def __init__(self):
        self.count = 0

    def line(self, verdict, report, directive=""):
        self.count += 1
        name = plain(report.nodeid.split("::", 1)[-1])
        tap.write(f"{verdict} {self.count} - {name}{directive}\n")

    def pytest_runtest_logreport(self, report):
        if report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", "")
            self.line("ok", report, " # SKIP " + plain(reason))
        elif report.failed:
            self.line("not ok", report, in_a_few_words(report))
        elif report.when == "call":
            self.line("ok", report)

    def pytest_collectreport(self, report):
        if report.failed:
            self.line("not ok", report)
        elif report.skipped:
            self.line("ok", report, " # SKIP " + plain(report.longrepr[2]))


reporter = Reporter()
status = pytest.main(["-q", "-p", "no:cacheprovider", "--color=no"] + sys.argv[1:], plugins=[reporter])
if status not in (0, 1) and not reporter.count:
    tap.write(f"Bail out! pytest ended with {int(status)}\n")
else:
    tap.write(f"1..{reporter.count}\n")
# A failed case is told above; what is left is that pytest itself went wrong.
sys.exit(0 if status in (0, 1) else int(status))
