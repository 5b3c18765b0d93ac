#!/bin/sh
# SPDX-License-Identifier: MIT
# A guest kernel's panic is seen from outside.
# timeout: 900
# cost: 100
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
guest_script panic <<'END'
echo 1 >/proc/sys/kernel/sysrq
echo c >/proc/sysrq-trigger
sleep 60
END
guest_run panic 850 --net none
guest_status panic 14 "$ENGINE: a guest's panic ends with 14"
tap_done
