#!/bin/sh
# SPDX-License-Identifier: MIT
# Ten minutes of stress-ng with --verify in Debian on the software engine, two vCPUs: a minute for
# each class of work.
# long
# timeout: 1800
# cost: 700
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
. "$TOP/tests/guest/systemd.sh"

classes='cpu fp vecmath str vm sigq fork mmap futex timer'
systemd_root <<END
echo
for class in $classes; do
	t "\$class" stress-ng --\$class 2 --verify --vm-bytes 64M --mmap-bytes 64M --timeout 60
done
for class in sigfpe sigsegv memcpy wcs matrix; do
	t "\$class" stress-ng --\$class 2 --verify --timeout 10
done
t "kernel is content" kernel_content
systemctl poweroff
END
APPEND="quiet holm.root=/dev/vda" guest_run systemd 1700 --cpus 2 --memory 1G --net none \
	--disk "$TMP/root.ext4"
guest_status systemd 0 "$ENGINE, stress: clean power-off"
# shellcheck disable=SC2086
guest_results systemd "$ENGINE, stress" $classes sigfpe sigsegv memcpy wcs matrix "kernel is content"
tap_done
