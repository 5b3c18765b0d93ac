#!/bin/sh
# SPDX-License-Identifier: MIT
# The software engine's ways to run a guest: interpreted, translated at once, and with a cache so
# small that it is emptied over and over; each boots, and runs code that changes, signals at any
# instruction and faults in mid-block.
# timeout: 600
# cost: 60
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"

if ! gcc -O2 -mavx2 -static -pthread -o "$TMP/torture" "$TOP/tests/guest/torture.c" 2>"$TMP/gcc"; then
	not_ok "the program compiles"
	tap_show "$TMP/gcc"
	tap_done
	exit
fi
for how in '' ,jit=off ,jit-hot=1 ,jit-hot=2,jit-cache=2M; do
	ENGINE=soft$how
	rm -rf "$TMP/torture.d" "$TMP/torture.img"
	mkdir "$TMP/torture.d"
	cp "$TMP/torture" "$TMP/torture.d/torture"
	guest_script torture <<-'END'
		t smc /torture smc
		t signals /torture signals
		t faults /torture faults
		t quiet kernel_content
	END
	guest_run torture 300 --cpus 2 --memory 256M --net none
	guest_status torture 33 "$ENGINE: boots and ends with the command's status"
	guest_results torture "$ENGINE" smc signals faults quiet
done
tap_done
