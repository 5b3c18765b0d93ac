#!/bin/sh
# SPDX-License-Identifier: MIT
# Saved state on KVM with hardware below it, QEMU's emulated AMD-V: from KVM to KVM, and to and fro
# between KVM and the software engine. ROUNDS times each, 4 by default.
# timeout: 320
# cost: 100
# alone
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
ENGINE=kvm
. "$TOP/tests/guest/lib.sh"
. "$TOP/tests/guest/saved.sh"
. "$TOP/tests/kvmjob/outer.sh"
ROUNDS=${ROUNDS:-4}
saved_guest
mkdir -p "$TMP/outer.d/job"
cp "$TOP/tests/guest/control.py" "$TOP/tests/guest/saved.py" "$TMP/saved.img" "$TMP/outer.d/job/"
outer_python outer
outer_image outer <<END
mkdir /tmp/a /tmp/b
echo
for engines in kvm kvm/soft; do
	echo "engines \$engines"
	python3 /job/saved.py /usr/bin/holm-vmm /job/vmlinuz /job/saved.img \$engines /tmp/a $ROUNDS |
		sed "s,^T ok ,T ok \$engines: ,"
	cat /tmp/a/*.err
	rm -f /tmp/a/*
done
END
# With two CPUs QEMU's emulated AMD-V locks up now and then, see test_kvm.sh.
OUTER_CPUS=1
outer_run outer 300
for engines in kvm kvm/soft; do
	saved_wants | sed "s,^,$engines: ,"
done >"$TMP/wants"
outer_wants "kvm with AMD-V" <"$TMP/wants"
[ "$TAP_BAD" = 0 ] || tap_show "$TMP/outer.out"
tap_done
