# SPDX-License-Identifier: MIT
# Debian with systemd as a guest. Sourced after lib.sh.

# systemd_root [KIND] - makes $TMP/root.ext4, Debian with systemd that runs standard input once it
# is up; KIND is one of scripts/make-rootfs
systemd_root() {
	check "${1:-rootfs} is made" "$TOP/scripts/make-rootfs" "${1:-rootfs}" || return
	cp --sparse=always "$GUEST/${1:-rootfs}.ext4" "$TMP/root.ext4"
	{
		guest_functions
		cat
	} >"$TMP/test.sh"
	/sbin/debugfs -w -R "write $TMP/test.sh root/test.sh" "$TMP/root.ext4" >/dev/null 2>&1
	cp "$GUEST/initramfs.img" "$TMP/systemd.img"
}

# systemd_guest SECONDS CPUS - Debian with systemd from a virtio disk to the login prompt, the
# network both ways, stress-ng, and a clean power-off.

systemd_guest() {
	"$TOP/scripts/make-rootfs" >"$TMP/make-rootfs" 2>&1
	file_sum=$(cat "$GUEST/rootfs.sum")
	mkdir "$TMP/www"
	head -c $((64 << 20)) /dev/urandom >"$TMP/www/file"
	www_sum=$(sha256sum <"$TMP/www/file" | cut -d' ' -f1)
	http_port=$(free_port)
	forward_port=$(free_port)
	python3 -m http.server --bind 127.0.0.1 --directory "$TMP/www" "$http_port" \
		>"$TMP/http.log" 2>&1 </dev/null &
	http=$!
	trap 'kill $http 2>/dev/null; tap_clean' EXIT
	systemd_root <<-END || return
		echo
		t apt sh -c 'apt-get --version | grep -q "^apt "'
		t "256 MiB file" [ "\$(sha256sum </root/file | cut -d' ' -f1)" = $file_sum ]
		for n in \$(seq 60); do
			ip -4 addr | grep -q 'inet 10\\.' && break
			sleep 1
		done
		t dhcp sh -c 'ip -4 addr | grep -q "inet 10\\."'
		host=\$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p' | head -n 1)
		curl -sS -o /root/down http://\$host:$http_port/file
		t "64 MiB download" [ "\$(sha256sum </root/down | cut -d' ' -f1)" = $www_sum ]
		echo SERVING
		t "forwarded port" timeout 600 nc -N -l -p 80 </root/down
		for method in cpu vm matrix fp; do
			t "stress-ng \$method" timeout 600 stress-ng --\$method \$(nproc) --\$method-ops 20 --verify --vm-bytes 32M --timeout 300
		done
		for n in \$(seq 60); do
			systemctl is-active -q serial-getty@ttyS0 && break
			sleep 1
		done
		t "no failed unit" [ "\$(systemctl --failed --no-legend | wc -l)" = 0 ]
		t "kernel is content" kernel_content
		echo "LOGIN-WAIT"
		sleep 10
		systemctl poweroff
	END
	fetch_all='import shutil, socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 600) as s:
    shutil.copyfileobj(s.makefile("rb"), sys.stdout.buffer)'
	(
		wait_for "$1" grep -q SERVING "$TMP/systemd.out" || exit 1
		for again in 1 2 3 4 5 6; do
			sleep 2
			python3 -c "$fetch_all" "$forward_port" >"$TMP/back" 2>>"$TMP/fetch.log" </dev/null
			[ ! -s "$TMP/back" ] || break
		done
	) &
	fetch=$!
	APPEND="quiet holm.root=/dev/vda" guest_run systemd "$1" --cpus "$2" --memory 1G \
		--net user -p "$forward_port:80" --disk "$TMP/root.ext4"
	kill $fetch 2>/dev/null
	wait $fetch 2>/dev/null
	kill $http 2>/dev/null
	label="$ENGINE, Debian with systemd"
	guest_status systemd 0 "$label: clean power-off"
	check "$label: login prompt" grep -q 'holm login:' "$TMP/systemd.out"
	guest_results systemd "$label" apt "256 MiB file" dhcp "64 MiB download" "forwarded port" \
		"stress-ng cpu" "stress-ng vm" "stress-ng matrix" "stress-ng fp" "no failed unit" \
		"kernel is content"
	check "$label: the forwarded port gave the file" cmp "$TMP/back" "$TMP/www/file"
	/sbin/e2fsck -fn "$TMP/root.ext4" >"$TMP/fsck" 2>&1
	check "$label: the file system is clean" [ $? = 0 ]
}
