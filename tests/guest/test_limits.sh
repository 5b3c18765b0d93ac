#!/bin/sh
# SPDX-License-Identifier: MIT
# Limits of a VM's I/O and network hold, and can be changed while it runs.
# timeout: 180
# cost: 40
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
guest_script limits <<'END'
stty -echo
timed() {
	n=$1
	shift
	start=$(cut -d' ' -f1 /proc/uptime)
	"$@" >/dev/null 2>&1
	echo "DONE $n $? $start $(cut -d' ' -f1 /proc/uptime)"
}
echo READY
while read -r line; do
	eval "$line"
done
END
python3 "$TOP/tests/guest/limits.py" "${HOLM%/*}/holm-vmm" "$GUEST/vmlinuz" "$TMP/limits.img" \
	"$ENGINE" "$TMP" >"$TMP/limits.out" 2>"$TMP/limits.log" || tap_show "$TMP/limits.log"
grep '^# ' "$TMP/limits.out"
while read -r want; do
	if grep -q "^T ok $want\$" "$TMP/limits.out"; then
		ok "$ENGINE, limits: $want"
	else
		not_ok "$ENGINE, limits: $want"
		grep "^T bad $want:" "$TMP/limits.out" | cut -c1-300 | sed 's/^/#   /'
	fi
done <<'END'
boots
a bad request is refused
io: the limit holds
io: every read is in the histogram
io: a lower one holds at once
io: nothing of what waits is read while it is paused
io: lifted while it waits
net: the limit holds for what comes
net: nothing was dropped for it
net: what is sent is measured
net: the limit holds for what goes
net: a lower one holds at once
net: lifted while it waits
writes wait
reset while requests wait
and its disk works
reads wait
quit while requests wait
reset of a busy disk
quit with a busy disk
END
tap_done
