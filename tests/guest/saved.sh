# SPDX-License-Identifier: MIT
# The guest that saved.py saves, and what that must find good. Sourced after lib.sh.

# saved_guest - $TMP/saved.img: hashes a file in its memory, writes its disk and reads it back, counts
saved_guest() {
	guest_script saved <<'END'
head -c 8388608 /dev/urandom >/tmp/data
want=$(sha256sum </tmp/data)
(
	n=0
	while :; do
		n=$((n + 1))
		[ "$(sha256sum </tmp/data)" = "$want" ] || echo "hash BAD"
		echo "hash $n"
	done
) &
(
	n=0
	while :; do
		n=$((n + 1))
		at=$((n % 4000))
		yes "block $n" | head -c 4096 >/tmp/block
		dd if=/tmp/block of=/dev/vda bs=4096 seek=$at conv=fsync 2>/dev/null || echo "disk BAD write"
		echo 1 >/proc/sys/vm/drop_caches
		dd if=/dev/vda bs=4096 skip=$at count=1 2>/dev/null | cmp - /tmp/block || echo "disk BAD"
		echo "disk $n"
	done
) &
n=0
while :; do
	n=$((n + 1))
	echo "count $n"
	echo "up $(cut -d' ' -f1 /proc/uptime)"
	usleep 100000
done
END
}

saved_wants() {
	cat <<'END'
rounds
the guest works
a VM that runs is not saved
save without files is refused
a full disk is told
and the VM goes on
damaged state ends with a sentence
saved each time
goes on each time
the guest's clock goes on
END
}
