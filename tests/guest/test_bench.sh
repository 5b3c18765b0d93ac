#!/bin/sh
# SPDX-License-Identifier: MIT
# The two figures that must not get worse: user CPU to /init against QEMU's TCG, and time to start.
# timeout: 900
# alone
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/lib/tap.sh"
check "bench: boot takes at most 10 times QEMU TCG's user CPU time" \
	"$TOP/bench/boot" --rounds 1 --max 10 --limit 400
tail -n 1 "$TMP/check.out" | sed 's/^/# /'
# Far above the goal of 12 ms, because a busy machine must not fail a change.
check "bench: a VM starts within 60 ms" "$TOP/bench/start" --no-boot --max-ms 60
sed 's/^/# /' "$TMP/check.out"
tap_done
