#!/bin/sh
# SPDX-License-Identifier: MIT
# A managed VM on KVM with hardware below it: QEMU's emulated AMD-V. Pause must stop its clock.
# timeout: 300
# cost: 60
# alone
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
ENGINE=kvm
. "$TOP/tests/guest/lib.sh"
. "$TOP/tests/kvmjob/outer.sh"
mkdir -p "$TMP/outer.d/job"
payload clock "$TMP/outer.d/job/clock"
cp "$TOP/tests/guest/control.py" "$TMP/outer.d/job/"
outer_python outer
outer_image outer <<'END'
cd /tmp
echo
python3 /job/control.py /usr/bin/holm-vmm /job/clock "" kvm /tmp payload
cat payload.err
END
outer_run outer 280
outer_wants "kvm with AMD-V, managed" <<'END'
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
check "kvm with AMD-V, managed: the clock can stand" sh -c \
	"! grep -q 'clocks went on' '$TMP/outer.out'"
[ "$TAP_BAD" = 0 ] || tap_show "$TMP/outer.out"
tap_done
