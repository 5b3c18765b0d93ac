# SPDX-License-Identifier: MIT
# What the tests of managed VMs share: control.py's findings as results. Sourced after lib.sh.

# managed KERNEL INITRD [MODE] - runs control.py; standard input names what it must have found good
managed() {
	managed_by control.py "$1" "$2" "$ENGINE" "$TMP" ${3:+"$3"}
}

# managed_by PROGRAM KERNEL INITRD ENGINE FOLDER [ARGUMENT...] - the same with another program
managed_by() {
	by=$1
	shift
	python3 "$TOP/tests/guest/$by" "${HOLM%/*}/holm-vmm" "$@" \
		>"$TMP/managed.out" 2>"$TMP/managed.log" || tap_show "$TMP/managed.log"
	grep "^# " "$TMP/managed.out"
	while read -r want; do
		if grep -q "^T ok $want\$" "$TMP/managed.out"; then
			ok "$ENGINE, managed: $want"
		elif grep -q "^T skip $want\$" "$TMP/managed.out"; then
			skip "$ENGINE, managed: $want" "needs root and /dev/net/tun"
		else
			not_ok "$ENGINE, managed: $want"
			grep "^T bad $want:" "$TMP/managed.out" | cut -c1-300 | sed 's/^/#   /'
		fi
	done
}

# managed_payload - what needs no kernel in the guest, so that an engine that only emulates will do
managed_payload() {
	payload clock "$TMP/clock"
	managed "$TMP/clock" "" payload <<-'END'
		payload: starts paused
		payload: its clock goes
		payload: pause
		payload: stands still
		payload: resume
		payload: its clock stood, or it is said that it cannot
		payload: stats
		payload: reset
		payload: reset while paused
		payload: quit
	END
}
