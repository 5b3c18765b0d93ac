#!/bin/sh
# SPDX-License-Identifier: MIT
# A guest whose RAM is private and open to merging (--memory-merge): it boots on one and on two
# vCPUs, code that changes and faults work as in shared memory, and freed memory goes back.
# timeout: 600
# cost: 40
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"

if ! gcc -O2 -mavx2 -static -pthread -o "$TMP/torture" "$TOP/tests/guest/torture.c" 2>"$TMP/gcc"; then
	not_ok "the program compiles"
	tap_show "$TMP/gcc"
	tap_done
	exit
fi
# figure NAME - a number of the metrics file
figure() {
	sed -n "s/^ *\"$1\": \([0-9]*\),*\$/\1/p" "$TMP/metrics"
}

for cpus in 1 2; do
	rm -rf "$TMP/merge.d" "$TMP/merge.img"
	mkdir "$TMP/merge.d"
	cp "$TMP/torture" "$TMP/merge.d/torture"
	guest_script merge <<-END
		t cpus [ "\$(nproc)" = $cpus ]
		t smc /torture smc
		t faults /torture faults
		t reported sh -c 'dd if=/dev/urandom of=/tmp/big bs=1M count=96 2>/dev/null && rm /tmp/big && sleep 5'
		t quiet kernel_content
	END
	guest_run merge 280 --cpus $cpus --memory 256M --memory-merge --net none --metrics "$TMP/metrics"
	guest_status merge 33 "$ENGINE, $cpus vCPU: boots in mergeable memory"
	guest_results merge "$ENGINE, $cpus vCPU" cpus smc faults reported quiet
	peak=$(figure rss_peak_bytes)
	rss=$(figure rss_bytes)
	echo "# resident: at most $((peak >> 20)) MiB, at the end $((rss >> 20)) MiB, of that RAM $(($(figure ram_resident_bytes) >> 20)) MiB"
	# In a memfd it would be shared, and what is anonymous would be the engine's own tables only.
	if [ "$(figure rss_anon_bytes)" -gt $(($(figure ram_resident_bytes) + 16777216)) ]; then
		ok "$ENGINE, $cpus vCPU: RAM is private"
	else
		not_ok "$ENGINE, $cpus vCPU: RAM is private"
	fi
	# By free page reporting, which takes away what private memory has mapped.
	if [ $((peak - rss)) -gt 83886080 ]; then
		ok "$ENGINE, $cpus vCPU: freed memory goes back to the host"
	else
		not_ok "$ENGINE, $cpus vCPU: freed memory goes back to the host"
	fi
done
tap_done
