# SPDX-License-Identifier: BSD-2-Clause
# The last line of `make check`: N passed, N failed (, N skipped), from automake's test-suite.log.
test -e "$1" || { echo "the build failed; no test was run" >&2; exit 1; }
awk '
	$1 == "#" && $2 ~ /^(PASS|XFAIL):$/ { passed += $3 }
	$1 == "#" && $2 ~ /^(FAIL|XPASS|ERROR):$/ { failed += $3 }
	$1 == "#" && $2 == "SKIP:" { skipped += $3 }
	END {
		printf "%d passed, %d failed", passed, failed
		if (skipped) printf ", %d skipped", skipped
		print ""
	}' "$1"
