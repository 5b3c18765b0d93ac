# SPDX-License-Identifier: MIT
# What control groups make of shares, limits and changes of them.
# alone
# timeout: 120
# cost: 30
TOP=$(cd "$(dirname "$0")/../.." && pwd)
TMP=$(mktemp -d "${TMPDIR:-/tmp}/holm-test.XXXXXX")
trap 'rm -rf "$TMP"' EXIT
[ "$(id -u)" = 0 ] || {
	echo "ok 1 - control groups # SKIP needs root"
	echo 1..1
	exit 0
}
python3 -B "$TOP/tests/e2e/alloc.py" "$TMP"
