#!/bin/sh
# SPDX-License-Identifier: MIT
# Two managers on one host.
# timeout: 60
# cost: 5
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/lib/tap.sh"
check "a second manager leaves the first one's VMs alone" \
	python3 -B "$TOP/tests/e2e/two.py" "$TMP"
tap_done
