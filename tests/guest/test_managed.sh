#!/bin/sh
# SPDX-License-Identifier: MIT
# A VM under a manager: control socket, console, log and record of the end (control.py).
# timeout: 180
# cost: 40
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
# The guest counts, does what is typed, and powers off when the power button was pressed: bit 8 of
# the PM1 status register at port 0x600.
guest_script managed <<'END'
stty -echo
(
	n=0
	while :; do
		n=$((n + 1))
		echo "count $n"
		echo "up $(cut -d' ' -f1 /proc/uptime)"
		[ "$(dd if=/dev/port bs=1 skip=1537 count=1 2>/dev/null | tr '\001' x)" != x ] ||
			poweroff -f
		usleep 200000
	done
) &
flood() {
	yes 0123456789012345678901234567890123456789012345678901234567890123456789012345678 |
		head -c 720000
	echo flooded
}
while read -r line; do
	eval "$line"
done
sleep 1000
END
python3 "$TOP/tests/guest/control.py" "${HOLM%/*}/holm-vmm" "$GUEST/vmlinuz" "$TMP/managed.img" \
	"$ENGINE" "$TMP" >"$TMP/managed.out" 2>"$TMP/managed.log" || tap_show "$TMP/managed.log"
tap_done
