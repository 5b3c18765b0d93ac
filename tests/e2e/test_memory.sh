#!/bin/sh
# SPDX-License-Identifier: MIT
# Memory that guests give back by balloon, and that the host saves by merging equal pages.
# alone
# timeout: 180
# cost: 50
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
# A guest that fills its page cache, and then waits; the balloon can have the cache.
guest_script full <<-'END'
	# Held open: a block device that nobody has open keeps no cache.
	exec 3</dev/vda
	cat <&3 >/dev/null
	echo "CACHE IS FULL"
	while :; do sleep 60; done
END
guest_script wait <<-'END'
	echo "WAITS"
	while :; do sleep 60; done
END
head -c $((160 << 20)) /dev/urandom >"$TMP/disk.raw"
python3 -B "$TOP/tests/e2e/memory.py" "$TMP" "$GUEST/vmlinuz"
