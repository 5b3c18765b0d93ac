#!/bin/sh
# SPDX-License-Identifier: MIT
# The terminal: raw while the guest runs, the escape, and given back whatever happens.
# timeout: 120
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
payload echo "$TMP/echo.elf"
payload exit "$TMP/exit.elf"
python3 -B "$TOP/tests/e2e/console.py" "$HOLM" "$ENGINE" "$TMP" >"$TMP/console.out" 2>&1
console_rc=$?
while read -r word rest; do
	case $word in
	PASS) ok "console: $rest" ;;
	FAIL) not_ok "console: $rest" ;;
	*) echo "# $word $rest" ;;
	esac
done <"$TMP/console.out"
check "console: the driver ran to its end" [ $console_rc = 0 ]
tap_done
