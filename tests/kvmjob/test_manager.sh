#!/bin/sh
# SPDX-License-Identifier: MIT
# The manager on a host of its own, with KVM, cgroup v2, networks and a reboot: QEMU's emulated
# AMD-V, with one CPU as in test_micro.sh. /var/lib/holm is a disk that is kept; the outside is a
# network namespace behind the host. The VMs do what is sent to their port 80.
# timeout: 420
# cost: 110
# alone
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
ENGINE=kvm
. "$TOP/tests/guest/lib.sh"
OUTER_MODULES="kvm kvm-amd tun bridge veth nf_tables nft_ct nft_nat nft_masq nft_chain_nat nft_reject
	nft_reject_bridge nft_reject_inet nft_meta_bridge nft_limit"
. "$TOP/tests/kvmjob/outer.sh"
PATH=$PATH:/usr/sbin:/sbin
LIBS=/usr/lib/x86_64-linux-gnu

# A VM: it serves its name, runs what is posted to /cgi-bin/sh, and goes when its power button is
# pressed, which is a key on an input device.
mkdir -p "$TMP/inner.d"
cp "$GUEST"/tree/lib/modules/*/kernel/drivers/acpi/button.ko \
	"$GUEST"/tree/lib/modules/*/kernel/drivers/input/evdev.ko "$TMP/inner.d"
guest_script inner <<'END'
insmod /evdev.ko
insmod /button.ko
for keys in /dev/input/event*; do
	(dd if=$keys bs=24 count=1 >/dev/null 2>&1 && poweroff -f) &
done
mkdir -p /www/cgi-bin
sed 's/.*test.name=\([a-z]*\).*/\1/' /proc/cmdline >/www/name
cat >/www/cgi-bin/sh <<'CGI'
#!/bin/sh
echo Content-type: text/plain
echo
head -c "$CONTENT_LENGTH" | sh 2>&1
CGI
chmod 755 /www/cgi-bin/sh
httpd -h /www
echo UP
sleep 10000
END

mkdir -p "$TMP/outer.d/job" "$TMP/outer.d/etc" "$TMP/outer.d/srv"
cp "$TMP/inner.img" "$TMP/outer.d/job/"
echo host.test >"$TMP/outer.d/srv/name"
printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' >"$TMP/outer.d/etc/passwd"
with_libraries "$TMP/outer.d" usr/bin "$TOP/build/bin/holmd" "$(command -v ip)" \
	"$TOP/build/tests/unit/unit-mgr-run-cgroup"
with_libraries "$TMP/outer.d" usr/sbin "$(command -v dnsmasq)"
# What holm loads itself.
with_libraries "$TMP/outer.d" lib/x86_64-linux-gnu "$LIBS/libcurl.so.4" "$LIBS/libwslay.so.1"
outer_image outer <<'END'
# busybox's shell takes its own.
ip() { /usr/bin/ip "$@"; }
part=$(sed 's/.*test.part=\([0-9]\).*/\1/' /proc/cmdline)
cd /tmp
export HOLM_SOCKET=/run/holm/holmd.sock
CG=/sys/fs/cgroup/holm
mkdir -p /var/lib/holm
t "$part: disk" mount /dev/vda /var/lib/holm

# Huge pages below the VMs: each fault of a small one costs much where all of this is emulated.
echo always >/sys/kernel/mm/transparent_hugepage/shmem_enabled

# The outside: a host with no route back to the VMs.
ip netns add out
ip link add uplink type veth peer name eth0 netns out
ip addr add 192.0.2.1/24 dev uplink
ip link set uplink up
ip -n out addr add 192.0.2.9/24 dev eth0
ip -n out link set eth0 up
(cd / && ip netns exec out httpd -f -vv -p 192.0.2.9:80 -h /srv 2>/tmp/out.log) &

manager() {
	holmd --system --log /tmp/holmd.log </dev/null >holmd.out 2>&1 &
	HOLMD=$!
	t "$1" soon 30 holm ls
	echo "# $(cut -d' ' -f1 /proc/uptime) s: holmd: $(cat /tmp/holmd.log | tail -n 1)"
}
# soon SECONDS COMMAND... - until it succeeds
soon() {
	soon_end=$(($(cut -d. -f1 /proc/uptime) + $1))
	shift
	until "$@" >soon.out 2>&1; do
		[ "$(cut -d. -f1 /proc/uptime)" -lt $soon_end ] || {
			cat soon.out
			return 1
		}
		sleep 0.2
	done
}
# field VM KEY - of its JSON
field() {
	holm info --format json "$1" | tr -d '\n' | sed -n "s/.*\"$2\": *\"\{0,1\}\([^\",}]*\).*/\1/p"
}
# runs_on VM ENGINE - what it runs on now, whatever was asked for
runs_on() {
	holm info --format json "$1" | tr -d '\n ' | sed -n 's/.*"run":{\([^}]*\)}.*/\1/p' | tee engine.out |
		grep -q "\"engine\":\"$2\"" || { cat engine.out; return 1; }
}
state() { [ "$(field "$1" state)" = "$2" ] || { field "$1" state; return 1; }; }
address() { holm net leases lan --format csv --no-header | sed -n "/\(^\|,\)$1,/s/.*\(10\.77\.0\.[0-9]*\).*/\1/p"; }
# in_vm VM TEXT - runs it there
in_vm() { timeout 10 wget -q -O - --post-data "$2" "http://$(address "$1")/cgi-bin/sh"; }
up() { [ "$(in_vm "$1" 'cat /www/name')" = "$1" ]; }
group() { echo "$CG/p-$(holm project info --format json default | sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' | head -n 1)/vm-$(field "$1" id)"; }
# group_says VM FILE TEXT
group_says() { [ "$(cat "$(group "$1")/$2")" = "$3" ] || { cat "$(group "$1")/$2"; return 1; }; }
# used VM MILLISECONDS - the part of a CPU that it takes in this time, in thousandths
used() {
	used_stat=$(group "$1")/cpu.stat
	a=$(sed -n 's/usage_usec //p' "$used_stat") at=$(tr -d . </proc/uptime | cut -d' ' -f1)
	usleep ${2}000
	b=$(sed -n 's/usage_usec //p' "$used_stat") bt=$(tr -d . </proc/uptime | cut -d' ' -f1)
	echo $(((b - a) / (10 * (bt - at))))
}

if [ "$part" = 1 ]; then
	t "1: control groups by unit-mgr-run-cgroup" unit-mgr-run-cgroup
	manager "1: holmd starts"
	t "1: network made" holm net create lan --kind nat --subnet 10.77.0.0/24 --autostart
	t "1: network started" holm net start lan
	for vm in a b; do
		t "1: $vm made" holm create $vm --engine kvm --memory 128M --net network:lan \
			--kernel /job/vmlinuz --initrd /job/inner.img \
			--append "console=ttyS0 panic=-1 quiet test.name=$vm"
	done
	t "1: a has autostart" holm autostart a on
	t "1: started" holm start a b
	t "1: a is up, with an address by DHCP" soon 60 up a
	t "1: b is up" soon 60 up b
	t "1: the engine is kvm" runs_on a kvm
	t "1: of both" runs_on b kvm
	t "1: VM to VM by name" [ "$(in_vm a 'timeout 10 wget -q -O - http://b.holm/name')" = b ]
	t "1: VM to the outside" [ "$(in_vm b 'timeout 10 wget -q -O - http://192.0.2.9/name')" = host.test ]
	t "1: which sees the host's address" sh -c 'cat out.log; grep -q "192\.0\.2\.1:.*name" out.log'

	t "1: limits set live" holm set a --cpu-shares 400 --memory-reservation 32M --memory-limit 192M
	t "1: cpu.weight" group_says a cpu.weight 400
	t "1: cpu.weight of the other" group_says b cpu.weight 100
	t "1: memory.low" group_says a memory.low $((32 << 20))
	t "1: memory.max" group_says a memory.max $(((192 + 128 + 96) << 20))
	t "1: the group has the VM's process" grep -qx "$(field a pid)" "$(group a)/cgroup.procs"
	in_vm a '(while :; do :; done) >/dev/null 2>&1 </dev/null & echo $! >/busy'
	free=$(used a 2000)
	t "1: CPU limit set live" holm set a --cpu-limit 0.2
	t "1: cpu.max" group_says a cpu.max "20000 100000"
	sleep 0.5
	bound=$(used a 4000)
	echo "# busy VM: $free thousandths of a CPU without limit, $bound with 200"
	t "1: a busy VM without limit takes what there is" sh -c "echo $free; [ $free -ge 500 ]"
	t "1: with 0.2 CPUs at most 0.25" sh -c "echo $bound; [ $bound -ge 100 -a $bound -le 250 ]"
	t "1: CPU limit taken away" holm set a --cpu-limit 0
	in_vm a 'kill $(cat /busy)'

	a=$(field a pid) b=$(field b pid) b_address=$(address b)
	kill -9 $HOLMD
	wait $HOLMD 2>/dev/null
	t "1: holmd is away: VM to VM goes on" [ "$(timeout 10 wget -q -O - --post-data 'timeout 10 wget -q -O - http://a.holm/name' "http://$b_address/cgi-bin/sh")" = a ]
	manager "1: holmd starts again"
	t "1: the same processes" [ "$(field a pid) $(field b pid)" = "$a $b" ]
	t "1: they run" sh -c "kill -0 $a && kill -0 $b"
	t "1: and are known as running" state b running
	t "1: the network works on: names" [ "$(in_vm b 'timeout 10 wget -q -O - http://a.holm/name')" = a ]
	t "1: the network works on: outside" [ "$(in_vm a 'timeout 10 wget -q -O - http://192.0.2.9/name')" = host.test ]
	b_group=$(group b)
	t "1: b stops by its power button" holm stop b -t 30s
	t "1: b is stopped" state b stopped
	t "1: by itself" sh -c "holm info --format json b | tr -d '\n ' | grep '\"end\":\"poweroff\"'"
	t "1: its group is gone" soon 5 [ ! -e "$b_group" ]
	t "1: b starts again" holm start b
	echo "LEASE $(address a)"
	# The host goes down with both running, and without a word to the manager.
	sync
	exit 0
fi

manager "2: holmd starts"
t "2: the network is up" soon 10 ip addr show to 10.77.0.1
t "2: a runs by itself" soon 60 up a
t "2: the engine is kvm" runs_on a kvm
t "2: b, which ran too, does not" state b crashed
t "2: and it is said why" [ "$(field b reason)" = "the host went down while it ran" ]
t "2: limits are there again" group_says a cpu.weight 400
t "2: VM to the outside" [ "$(in_vm a 'timeout 10 wget -q -O - http://192.0.2.9/name')" = host.test ]
t "2: b starts" holm start b
t "2: b is up" soon 60 up b
t "2: VM to VM by name" [ "$(in_vm b 'timeout 10 wget -q -O - http://a.holm/name')" = a ]
t "2: a is ended by force" holm kill a
t "2: a is stopped" state a stopped
echo "LEASE $(address a)"
exit 0
END
truncate -s 64M "$TMP/disk"
check "the disk is made" mke2fs -q -F -t ext4 "$TMP/disk"

OUTER_CPUS=1
OUTER_MEMORY=2048
# part N - the host's Nth boot must find good what is wanted of it
part() {
	part_n=$1
	OUTER_APPEND="holm.nonet test.part=$part_n"
	outer_run outer 200 -drive "file=$TMP/disk,format=raw,if=virtio"
	tr -d '\r' <"$TMP/outer.out" | sed -n 's/^# /# /p'
	sed -n 's/^LEASE //p' "$TMP/outer.out" | tr -d '\r' >"$TMP/lease.$part_n"
	guest_status outer 33 "boot $part_n: the job runs to its end"
	grep "^$part_n: " "$TMP/wanted" >"$TMP/wanted.$part_n"
	set --
	while read -r line; do
		set -- "$@" "$line"
	done <"$TMP/wanted.$part_n"
	guest_results outer "kvm" "$@"
}
cat >"$TMP/wanted" <<'END'
1: disk
1: control groups by unit-mgr-run-cgroup
1: holmd starts
1: network made
1: network started
1: a made
1: b made
1: a has autostart
1: started
1: a is up, with an address by DHCP
1: b is up
1: the engine is kvm
1: of both
1: VM to VM by name
1: VM to the outside
1: which sees the host's address
1: limits set live
1: cpu.weight
1: cpu.weight of the other
1: memory.low
1: memory.max
1: the group has the VM's process
1: CPU limit set live
1: cpu.max
1: a busy VM without limit takes what there is
1: with 0.2 CPUs at most 0.25
1: CPU limit taken away
1: holmd is away: VM to VM goes on
1: holmd starts again
1: the same processes
1: they run
1: and are known as running
1: the network works on: names
1: the network works on: outside
1: b stops by its power button
1: b is stopped
1: by itself
1: its group is gone
1: b starts again
2: disk
2: holmd starts
2: the network is up
2: a runs by itself
2: the engine is kvm
2: b, which ran too, does not
2: and it is said why
2: limits are there again
2: VM to the outside
2: b starts
2: b is up
2: VM to VM by name
2: a is ended by force
2: a is stopped
END
part 1
part 2
check "a has the same address after the reboot" sh -c \
	"[ -s '$TMP/lease.1' ] && cmp '$TMP/lease.1' '$TMP/lease.2'"
tap_done
