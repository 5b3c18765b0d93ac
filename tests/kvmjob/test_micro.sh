#!/bin/sh
# SPDX-License-Identifier: MIT
# System instructions by micro guests on the KVM engine, on QEMU's emulated AMD-V. With one CPU:
# with two, a CPU of QEMU's lost its timer in one of ten runs, each with some sixty short VMs.
# timeout: 300
# cost: 30
# alone
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
ENGINE=kvm
. "$TOP/tests/guest/lib.sh"
. "$TOP/tests/kvmjob/outer.sh"
mkdir -p "$TMP/outer.d/job"
with_libraries "$TMP/outer.d" job "$TOP/build/tests/micro/micro"
outer_image outer <<'END'
MICRO_TCG=1 /job/micro kvm >micro.out 2>&1
t "system instructions by micro guests" [ $? = 0 ]
cat micro.out
exit 0
END
OUTER_CPUS=1
outer_run outer 240
guest_status outer 33 "kvm: the micro guests' job runs to its end"
guest_results outer "kvm" "system instructions by micro guests"
tr -d '\r' <"$TMP/outer.out" | sed -n 's/^kvm: /# micro guests: /p'
tap_done
