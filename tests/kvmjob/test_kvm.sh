#!/bin/sh
# SPDX-License-Identifier: MIT
# The KVM engine on a machine with hardware virtualization: QEMU's emulated AMD-V.
# timeout: 600
# cost: 120
# alone
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
ENGINE=kvm
. "$TOP/tests/guest/lib.sh"
. "$TOP/tests/kvmjob/outer.sh"

# The inner guest, 2 vCPUs with disk and network. It is told by the command line what to expect.
guest_script inner <<'END'
sum() { sha256sum | cut -d' ' -f1; }
t "inner cpus" [ "$(nproc)" = 2 ]
t "inner disk" [ "$(sum </dev/vda)" = "$(sed 's/.*test.sum=\([0-9a-f]*\).*/\1/' /proc/cmdline)" ]
head -c 1048576 /dev/urandom >/tmp/chunk
t "inner disk write" dd if=/tmp/chunk of=/dev/vda bs=64k seek=16 conv=fsync
echo 3 >/proc/sys/vm/drop_caches
t "inner disk read back" sh -c 'dd if=/dev/vda bs=64k skip=16 count=16 2>/dev/null | cmp - /tmp/chunk'
t "inner dhcp" sh -c 'ip -4 addr show dev eth0 | grep -q "inet 10\."'
host=$(ip route | sed -n 's/^default via \([^ ]*\).*/\1/p')
t "inner http" sh -c "wget -q -O - http://$host:8080/file | cmp - /dev/vda -n 524288"
t "inner kvm clock" grep -q kvm-clock /sys/devices/system/clocksource/clocksource0/available_clocksource
# QEMU's emulated AMD-V lets the inner XSETBV through without an exit, so KVM does not know of it
# and CPUID.0Dh.EBX stays at its first value: the kernel warns of that once, in xstate.c.
t "inner quiet" sh -c '! dmesg | grep -E "BUG:|Oops|WARNING:|soft lockup|rcu.*stall" | grep -v xstate.c'
END
mkdir -p "$TMP/outer.d/job"
cp "$TMP/inner.img" "$TMP/outer.d/job/inner.img"
guest_script large <<'END'
t "large cpus" [ "$(nproc)" = 1 ]
t "large memory" [ "$(awk '/MemTotal/ {print $2}' /proc/meminfo)" -ge 4600000 ]
END
cp "$TMP/large.img" "$TMP/outer.d/job/large.img"
for mode in exit triple halt hello poweroff kbd cf9 storm; do
	payload $mode "$TMP/outer.d/job/$mode.elf"
done

outer_image outer <<'END'
cd /tmp
t "device node" [ -c /dev/kvm ]
holm doctor >doctor.out 2>&1
t "doctor" grep -qi kvm doctor.out
sed 's/^/# doctor: /' doctor.out
rc() {
	want=$1
	shift
	timeout 60 "$@" </dev/null
	got=$?
	[ $got = $want ] || { echo "status $got, not $want"; return 1; }
}
t "payload ends by the debug-exit port" rc 85 holm run --engine kvm --kernel /job/exit.elf \
	--memory 64M --net none --device isa-debug-exit,iobase=0xf4
# small NAME STATUS PAYLOAD OPTION... - one payload on KVM
small() {
	small_name=$1
	small_rc=$2
	small_file=/job/$3.elf
	shift 3
	t "$small_name" rc $small_rc holm run --engine kvm --kernel $small_file --memory 64M --net none "$@"
}
small "triple fault" 16 triple
small "power-off by ACPI S5" 0 poweroff
small "reset by the keyboard controller" 18 kbd --on-reboot exit
small "reset by the reset register" 18 cf9 --on-reboot exit
small "serial line" 85 hello --device isa-debug-exit,iobase=0xf4
small "writes to nearly all ports" 85 storm --device isa-debug-exit,iobase=0xf4
t "auto takes kvm" sh -c 'holm run --engine auto --kernel /job/exit.elf --memory 64M --net none \
	--device isa-debug-exit,iobase=0xf4 --log log </dev/null; grep -i kvm log'
head -c 4194304 /dev/urandom >disk
head -c 524288 disk >file
httpd -p 127.0.0.1:8080 -h /tmp
timeout 300 holm run --engine kvm --cpus 2 --memory 512M --disk disk --net user \
	--device isa-debug-exit,iobase=0xf4 --kernel /job/vmlinuz --initrd /job/inner.img \
	--metrics metrics --append "console=ttyS0 panic=-1 quiet test.sum=$(sha256sum <disk | cut -d' ' -f1)" \
	</dev/null >inner.out 2>inner.err
got=$?
tr -d '\r' <inner.out | grep '^T '
t "inner status" [ $got = 33 ]
[ $got = 33 ] || { tail -n 20 inner.out; tail -n 5 inner.err; echo "status $got"; }
timeout 200 holm run --engine kvm --cpus 1 --memory 5G --net none \
	--device isa-debug-exit,iobase=0xf4 --kernel /job/vmlinuz --initrd /job/large.img \
	--append "console=ttyS0 panic=-1 quiet" </dev/null >large.out 2>large.err
got=$?
tr -d '\r' <large.out | grep '^T '
t "large status" [ $got = 33 ]
[ $got = 33 ] || { tail -n 20 large.out; tail -n 5 large.err; echo "status $got"; }
# At a shell that waits: what the VMM takes beyond the guest's memory.
holm run --engine kvm --cpus 1 --memory 512M --net user --kernel /job/vmlinuz \
	--initrd /job/initramfs.img --append "console=ttyS0 quiet holm.cmd=\"echo READY; sleep 1000\"" \
	</dev/null >shell.out 2>shell.err &
n=0
until grep -q READY shell.out || [ $n = 60 ]; do
	sleep 1
	n=$((n + 1))
done
sleep 2
for p in /proc/[0-9]*; do
	read -r comm <$p/comm || continue
	case $comm in
	vm | holm-vmm) ;;
	*) continue ;;
	esac
	# Everything resident that is no page of the guest's memfd.
	awk '/^[0-9a-f]+-/ { guest = /memfd:/; name = $1 " " $6 }
		/^Rss:/ && !guest { sum += $2; print "rss", $2, name }
		END { print "RSS " sum + 0 }' $p/smaps
done >rss
grep RSS rss
t "memory beyond the guest's: at most 5 MiB" [ "$(sed -n 's/^RSS //p' rss | head -n 1)" -le 5120 ]
[ "$(sed -n 's/^RSS //p' rss | head -n 1)" -le 5120 ] || sort -k2,2nr rss | head -n 8
kill %1
exit 0
END
OUTER_CPUS=1
outer_run outer 400
guest_status outer 33 "kvm: the job runs to its end"
guest_results outer "kvm" "device node" "doctor" "payload ends by the debug-exit port" \
	"triple fault" "power-off by ACPI S5" "reset by the keyboard controller" \
	"reset by the reset register" "serial line" "writes to nearly all ports" "auto takes kvm" \
	"large cpus" "large memory" "large status" "inner cpus" "inner disk" "inner disk write" \
	"inner disk read back" "inner dhcp" "inner http" "inner kvm clock" "inner quiet" \
	"inner status" "memory beyond the guest's: at most 5 MiB"
tr -d '\r' <"$TMP/outer.out" | sed -n 's/^RSS /# beyond guest RAM, KiB: /p; /^# doctor/p'
tap_done
