#!/bin/sh
# SPDX-License-Identifier: MIT
# Suspend and restore: back and forth, damaged state, a full disk. suspend.py tells how.
# timeout: 120
# cost: 10
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/lib/tap.sh"

chmod 711 "$TMP"
tap_program suspend.py python3 -B "$TOP/tests/e2e/suspend.py" "$TMP"
tap_done
