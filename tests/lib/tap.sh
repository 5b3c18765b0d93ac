# SPDX-License-Identifier: MIT
# Test Anything Protocol for shell tests. Sourced; POSIX shell.
#
# A test script calls ok/not_ok/skip, or check NAME CMD..., and ends with tap_done, whose status
# is the script's. $TMP is a folder of its own, gone at the end; keep it with KEEP=1.

TAP_N=0
TAP_BAD=0
TMP=$(mktemp -d "${TMPDIR:-/tmp}/holm-test.XXXXXX")
tap_clean() {
	if [ -n "${KEEP:-}" ]; then
		echo "# kept $TMP"
	else
		rm -rf "$TMP"
	fi
}
trap tap_clean EXIT
trap 'exit 130' INT TERM HUP

ok() {
	TAP_N=$((TAP_N + 1))
	echo "ok $TAP_N - $1"
}

not_ok() {
	TAP_N=$((TAP_N + 1))
	TAP_BAD=$((TAP_BAD + 1))
	echo "not ok $TAP_N - $1"
}

# skip NAME REASON
skip() {
	TAP_N=$((TAP_N + 1))
	echo "ok $TAP_N - $1 # SKIP $2"
}

# tap_show FILE - the file as comment lines, at most 40
tap_show() {
	tail -n 40 "$1" 2>/dev/null | tr -d '\r' | sed 's/^/#   /'
}

# tap_program NAME CMD... - its lines "ok - TEXT" and "not ok - TEXT" are this test's results; one
# that ends in another way is one more
tap_program() {
	program_name=$1 program_bad=$TAP_BAD program_status=0
	shift
	"$@" >"$TMP/program.out" 2>"$TMP/program.err" </dev/null || program_status=$?
	while IFS= read -r line; do
		case $line in
		"ok - "*) ok "${line#ok - }" ;;
		"not ok - "*) not_ok "${line#not ok - }" ;;
		*) echo "$line" ;;
		esac
	done <"$TMP/program.out"
	if [ $program_status != 0 ] && [ "$TAP_BAD" = "$program_bad" ]; then
		not_ok "$program_name came to its end"
	fi
	[ $program_status = 0 ] || tap_show "$TMP/program.err"
}

# check NAME CMD... - ok if CMD ends with 0; else its output is shown
check() {
	check_name=$1
	shift
	if "$@" >"$TMP/check.out" 2>&1 </dev/null; then
		ok "$check_name"
	else
		not_ok "$check_name"
		tap_show "$TMP/check.out"
		return 1
	fi
}

# tap_done - the plan line; ends the script with 1 if a test failed
tap_done() {
	echo "1..$TAP_N"
	[ $TAP_BAD = 0 ] || exit 1
	exit 0
}
