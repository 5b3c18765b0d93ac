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
mkdir -p "$TMP/outer.d/job" "$TMP/outer.d/usr/lib/python3"
payload clock "$TMP/outer.d/job/clock"
cp "$TOP/tests/guest/control.py" "$TMP/outer.d/job/"
# Python with as much of its library as control.py loads.
PYTHON=/usr/bin/python3
with_libraries "$TMP/outer.d" usr/bin "$PYTHON"
$PYTHON -X importtime -c 'import encodings.idna, fcntl, json, os, re, socket, struct, subprocess, sys
import tempfile, time
for m in list(sys.modules.values()):
    f = getattr(m, "__file__", None)
    if f and "/python3" in f:
        print(f)
import sysconfig
print(sysconfig.get_path("stdlib") + "/os.py")' 2>/dev/null | sort -u | while read -r file; do
	mkdir -p "$TMP/outer.d$(dirname "$file")"
	cp "$file" "$TMP/outer.d$file"
done
outer_image outer <<'END'
cd /tmp
echo
python3 /job/control.py /usr/bin/holm-vmm /job/clock "" kvm /tmp payload
cat payload.err
END
outer_run outer 280
while read -r want; do
	if tr -d '\r' <"$TMP/outer.out" | grep -q "^T ok $want\$"; then
		ok "kvm with AMD-V, managed: $want"
	else
		not_ok "kvm with AMD-V, managed: $want"
		bad=1
	fi
done <<'END'
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
[ -z "${bad:-}" ] || tap_show "$TMP/outer.out"
tap_done
