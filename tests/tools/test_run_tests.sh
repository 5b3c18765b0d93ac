#!/bin/sh
# SPDX-License-Identifier: MIT
# Seeded failures for tools/run-tests: each must be counted as one.
# timeout: 60
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/lib/tap.sh"

# counts NAME LAST_LINE STATUS - runs the TAP script on standard input
counts() {
	cat >"$TMP/seed.sh"
	python3 -B "$TOP/tools/run-tests" --tap "$TMP/seed.sh" >"$TMP/out" 2>&1 </dev/null
	rc=$?
	if [ "$(tail -n 1 "$TMP/out")" = "$2" ] && [ $rc = "$3" ]; then
		ok "run-tests: $1"
	else
		not_ok "run-tests: $1: status $rc"
		tap_show "$TMP/out"
	fi
}

counts "good tests" '2 passed, 0 failed, 0 skipped' 0 <<'END'
echo 'ok 1 - a'
echo 'ok 2 - b'
echo '1..2'
END
counts "a failure" '1 passed, 1 failed, 0 skipped' 1 <<'END'
echo 'ok 1 - a'
echo 'not ok 2 - b'
echo '1..2'
exit 1
END
counts "a skip with its reason" '1 passed, 0 failed, 1 skipped' 0 <<'END'
echo 'ok 1 - a'
echo 'ok 2 - b # SKIP no such device'
echo '1..2'
END
counts "an end before the plan" '1 passed, 1 failed, 0 skipped' 1 <<'END'
echo 'ok 1 - a'
exit 0
END
counts "a plan that is not met" '1 passed, 1 failed, 0 skipped' 1 <<'END'
echo 'ok 1 - a'
echo '1..2'
END
counts "a bad status behind good lines" '1 passed, 1 failed, 0 skipped' 1 <<'END'
echo 'ok 1 - a'
echo '1..1'
exit 3
END
counts "a test that hangs, with a child that does" '0 passed, 1 failed, 0 skipped' 1 <<'END'
# timeout: 3
sleep 100 &
sleep 100
END
counts "a test that reads a terminal" '1 passed, 0 failed, 0 skipped' 0 <<'END'
read -r line || echo 'ok 1 - no input'
[ -t 0 ] && echo 'not ok 2 - a terminal'
echo '1..1'
END
tap_done
