#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's stock kernel to a busybox userland: 2 vCPU, 5G.
# timeout: 900
# cost: 120
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
boots 2 5G 4600000 5242880 850
tap_done
