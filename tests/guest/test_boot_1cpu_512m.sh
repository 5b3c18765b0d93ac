#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's stock kernel to a busybox userland: 1 vCPU, 512M.
# timeout: 900
# cost: 120
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
boots 1 512M 400000 524288 850
tap_done
