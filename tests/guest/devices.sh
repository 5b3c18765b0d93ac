# SPDX-License-Identifier: MIT
# devices MIB SECONDS - one boot that uses each device; MIB is the size of what is transferred.
# Sourced after lib.sh.

devices() {
	mib=$1
	head -c $((16 << 20)) /dev/urandom >"$TMP/disk.raw"
	head -c $((2 << 20)) /dev/urandom >"$TMP/ro.raw"
	mkdir "$TMP/www"
	head -c $((mib << 20)) /dev/urandom >"$TMP/www/file"
	disk_sum=$(sha256sum <"$TMP/disk.raw" | cut -d' ' -f1)
	ro_sum=$(sha256sum <"$TMP/ro.raw" | cut -d' ' -f1)
	file_sum=$(sha256sum <"$TMP/www/file" | cut -d' ' -f1)
	http_port=$(free_port)
	forward_port=$(free_port)
	python3 -m http.server --bind 127.0.0.1 --directory "$TMP/www" "$http_port" \
		>"$TMP/http.log" 2>&1 </dev/null &
	http=$!
	trap 'kill $http 2>/dev/null; tap_clean' EXIT

	guest_script devices <<-END
		sum() { sha256sum | cut -d' ' -f1; }
		t "disk size" [ "\$(cat /sys/block/vda/size)" = 32768 ]
		t "disk read" [ "\$(sum </dev/vda)" = $disk_sum ]
		t "read-only disk read" [ "\$(sum </dev/vdb)" = $ro_sum ]
		t "read-only disk says so" [ "\$(cat /sys/block/vdb/ro)" = 1 ]
		head -c 1048576 /dev/urandom >/tmp/chunk
		t "disk write" dd if=/tmp/chunk of=/dev/vda bs=64k seek=16 conv=fsync
		echo 3 >/proc/sys/vm/drop_caches
		t "disk read back" sh -c 'dd if=/dev/vda bs=64k skip=16 count=16 2>/dev/null | cmp - /tmp/chunk'
		echo "CHUNK \$(sum </tmp/chunk)"
		t "dhcp address" sh -c 'ip -4 addr show dev eth0 | grep -q "inet 10\\."'
		t "default route" sh -c 'ip route | grep -q "^default via"'
		t "name server" grep -q ^nameserver /etc/resolv.conf
		host=\$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')
		wget -q -O /tmp/file http://\$host:$http_port/file
		t "http download" [ "\$(sum </tmp/file)" = $file_sum ]
		# The request is read to its end: a close with unread bytes would reset the connection.
		printf '#!/bin/sh\nwhile read -r l && [ \${#l} -gt 1 ]; do :; done\ncat /tmp/file\n' >/tmp/serve
		chmod +x /tmp/serve
		echo "SERVING"
		t "forwarded port" timeout 300 nc -l -p 80 -e /tmp/serve
		sleep 5 # what nc left in the socket goes out before the power does
		t "entropy" sh -c '[ "\$(head -c 64 /dev/hwrng | wc -c)" = 64 ]'
		t "entropy is virtio" grep -q virtio /sys/class/misc/hw_random/rng_current
		t "balloon" sh -c 'ls /sys/bus/virtio/drivers/virtio_balloon | grep -q virtio'
		t "no retpolines, no PTI" sh -c '! grep -l -E "Retpoline|PTI" /sys/devices/system/cpu/vulnerabilities/*'
		t "msi-x" grep -q 'PCI-MSI.*virtio' /proc/interrupts
	END
	(
		wait_for 800 grep -q SERVING "$TMP/devices.out" || exit 1
		# The guest's nc may listen a moment after it said so.
		for again in 1 2 3 4 5; do
			sleep 1
			curl -sS -m 120 --http0.9 -o "$TMP/back" "http://127.0.0.1:$forward_port/" 2>>"$TMP/curl.log" \
				</dev/null || true
			[ ! -s "$TMP/back" ] || break
		done
	) &
	fetch=$!
	APPEND='quiet holm.poweroff' guest_run devices "$2" --cpus 1 --memory 512M --net user \
		-p "$forward_port:80" --disk "$TMP/disk.raw" --disk "$TMP/ro.raw,readonly"
	kill $fetch 2>/dev/null
	wait $fetch 2>/dev/null
	kill $http 2>/dev/null

	guest_status devices 0 "$ENGINE, devices: power-off ends with 0"
	guest_results devices "$ENGINE, devices" "disk size" "disk read" "read-only disk read" \
		"read-only disk says so" "disk write" "disk read back" "dhcp address" "default route" \
		"name server" "http download" "forwarded port" "entropy" "entropy is virtio" "balloon" \
		"no retpolines, no PTI" "msi-x"
	chunk=$(tr -d '\r' <"$TMP/devices.out" | sed -n 's/^CHUNK //p')
	check "$ENGINE, devices: the image holds what was written" \
		[ "$(dd if="$TMP/disk.raw" bs=64k skip=16 count=16 2>/dev/null | sha256sum |
			cut -d' ' -f1)" = "${chunk:-none}" ]
	check "$ENGINE, devices: the read-only image is unchanged" \
		[ "$(sha256sum <"$TMP/ro.raw" | cut -d' ' -f1)" = "$ro_sum" ]
	check "$ENGINE, devices: the forwarded port gave the file" cmp "$TMP/back" "$TMP/www/file"
}

# cut_off - a guest that stops while its disks write ends as it says
cut_off() {
	truncate -s 1G "$TMP/busy.raw"
	guest_script busy <<-'END'
		for n in 1 2 3 4 5 6 7 8; do
			dd if=/dev/zero of=/dev/vda bs=4M count=200 seek=$((n * 10)) 2>/dev/null &
		done
		sleep 2
		sync &
		sleep 0.3
	END
	guest_run busy 120 --cpus 2 --memory 512M --net none --disk "$TMP/busy.raw"
	guest_status busy 33 "$ENGINE, devices: a guest may stop while its disk writes"
}
