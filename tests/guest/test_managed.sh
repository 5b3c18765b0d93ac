#!/bin/sh
# SPDX-License-Identifier: MIT
# A VM under a manager: control socket, console, log and record of the end.
# timeout: 180
# cost: 40
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
. "$TOP/tests/guest/managed.sh"
# The guest counts, does what is typed, and powers off when the power button is pressed, which is
# a key on an input device of its own.
mkdir "$TMP/managed.d"
cp "$GUEST"/tree/lib/modules/*/kernel/drivers/acpi/button.ko \
	"$GUEST"/tree/lib/modules/*/kernel/drivers/input/evdev.ko "$TMP/managed.d"
guest_script managed <<'END'
stty -echo
insmod /evdev.ko
insmod /button.ko
for keys in /dev/input/event*; do
	(dd if=$keys bs=24 count=1 >/dev/null 2>&1 && poweroff -f) &
done
(
	n=0
	while :; do
		n=$((n + 1))
		echo "count $n"
		echo "up $(cut -d' ' -f1 /proc/uptime)"
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
managed "$GUEST/vmlinuz" "$TMP/managed.img" <<'END'
hello
no stray descriptor
starts paused
runs nothing while paused
no instruction yet
a state that does not allow it is named
resume
pause
paused, the counter stands
pause twice is refused
a second manager sees it paused
a second manager is told
resumed, the counter goes on
the guest does not see the pause
stats
bad packets are refused
and the VM goes on
foreign uid
and the manager is still heard
kill -9 of a manager leaves the VM running
a deaf manager is cut off
and the machine did not wait
writer
types
a second writer is refused
a writer takes over
and types
a late reader gets the replay
without replay only what is new
an unknown mode is refused
a reader that types is cut off
a bound on readers
a flood does not wait for a slow reader
a slow reader is cut off
the log is bounded
and holds the end
the guest tells its memory
balloon
the guest gives
and has less
and gets it back
reset
the process is the same
shutdown
the end is told
and recorded
publish
publish twice is refused
unpublish
unpublish twice is refused
quit
quit is recorded
stats of 64 vCPUs
a bound on managers
the given mac
a tap of the manager
a start that fails is recorded
a network of the manager needs its descriptor
a descriptor that is not open is named
END
managed_payload
tap_done
