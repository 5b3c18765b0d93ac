#!/bin/sh
# SPDX-License-Identifier: MIT
# holmd as a service of systemd's, by its socket, in Debian on the software engine; its VM runs on
# that engine, too.
# timeout: 300
# cost: 60
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
. "$TOP/tests/guest/systemd.sh"
OUTER_MODULES="tun bridge nf_tables nft_ct nft_nat nft_masq nft_chain_nat nft_reject
	nft_reject_bridge nft_reject_inet nft_meta_bridge nft_limit"
. "$TOP/tests/kvmjob/outer.sh"

# What an installation has: programs, units, and libraries where the guest lacks them.
root=$TMP/install
mkdir -p "$root"
with_libraries "$root" usr/bin "$TOP/build/bin/holm" "$TOP/build/bin/holmd" \
	"$TOP/build/bin/holm-vmm"
with_libraries "$root" usr/sbin "$(PATH=$PATH:/usr/sbin:/sbin command -v dnsmasq)"
with_libraries "$root" lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu/libcurl.so.4
# The guest's /lib is a link.
cp -a "$root/lib/." "$root/usr/lib/" && rm -r "$root/lib"
mv "$root"/lib64/* "$root/usr/lib/x86_64-linux-gnu/" && rmdir "$root/lib64"
units=$root/usr/lib/systemd
mkdir -p "$units/system" "$units/user" "$root/usr/lib/sysusers.d" "$root/srv"
for unit in "$TOP"/packaging/systemd/*.in "$TOP"/packaging/systemd/user/*.in; do
	to=${unit#"$TOP/packaging/systemd/"}
	case $to in user/*) ;; *) to=system/$to ;; esac
	sed 's,@BINDIR@,/usr/bin,' "$unit" >"$units/${to%.in}"
done
cp "$TOP"/packaging/systemd/*.socket "$TOP"/packaging/systemd/holm-vms.service "$units/system/"
cp "$TOP"/packaging/systemd/user/*.socket "$TOP"/packaging/systemd/user/holm-vms.service \
	"$units/user/"
cp "$TOP/packaging/sysusers/holm.conf" "$root/usr/lib/sysusers.d/"
payload count "$root/srv/count"
with_modules "$root/srv/modules"
tar -C "$root" --owner=0 --group=0 -cf "$TMP/install.tar" usr srv

systemd_root <<'END' || tap_done
echo
tar -C / --skip-old-files -xf /root/install.tar
# is WANT COMMAND...
is() {
	want=$1
	shift
	got=$("$@" 2>&1)
	[ "$got" = "$want" ] || { echo "$got"; return 1; }
}
show() { systemctl show -P "$2" "$1"; }
field() { holm info --format json v | tr -d '\n' | sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p"; }
count() { echo $((0x$(holm logs v | tr -d '\r' | grep -aE '^[0-9a-f]{8}$' | tail -n 1))); }
taps() { ip -o link show master "$(ip -o link show type bridge | sed 's/^[0-9]*: \([^:]*\):.*/\1/')" | sed 's/^\([0-9]*: [^:]*\):.*/\1/' | grep . ; }
goes_on() {
	from=$(count)
	for n in $(seq 50); do
		[ "$(count)" -gt "$from" ] && return 0
		sleep 0.2
	done
	echo "still $from"
	return 1
}
while read -r module; do
	insmod "/srv/modules/$module"
done </srv/modules/order
t "group" systemd-sysusers
systemctl daemon-reload
units="holmd.service holmd.socket holm-vms.service"
cd /usr/lib/systemd/system
t "units" is "" systemd-analyze verify --man=no $units
cd /usr/lib/systemd/user
t "user units" is "" env XDG_RUNTIME_DIR=/run systemd-analyze verify --user --man=no $units
cd /
t "socket" systemctl start holmd.socket
t "socket's rights" is "root holm 660" stat -c '%U %G %a' /run/holm/holmd.sock
t "not started yet" is inactive systemctl is-active holmd.service
t "holm ls starts it" timeout 60 holm ls
t "active" is active show holmd.service ActiveState
t "by notification" is notify show holmd.service Type
t "folders" is "755 700" sh -c 'echo $(stat -c %a /run/holm /var/lib/holm)'
t "network" holm net create lan --subnet 10.77.0.0/24
t "network starts" holm net start lan
t "VM" holm create v --engine soft --memory 8M --kernel /srv/count --net network:lan --start
t "its tap" taps
pid=$(field pid)
t "VM counts" goes_on
place=/system.slice/holm-vms.service/holm/
t "VM's group is not the service's" grep "^0::$place" /proc/$pid/cgroup
t "limit" holm set v --cpu-limit 0.5
t "in version 2" is "50000 100000" cat "/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$pid/cgroup)/cpu.max"
tap=$(taps)
dnsmasq=$(pidof dnsmasq)
first=$(show holmd.service MainPID)
t "restart" systemctl restart holmd.service
t "active again" is active show holmd.service ActiveState
t "another manager" [ "$(show holmd.service MainPID)" != "$first" ]
t "the same VM" is "$pid" field pid
t "VM goes on" goes_on
t "its tap is the same" is "$tap" taps
t "dnsmasq, too" is "$dnsmasq" pidof dnsmasq
systemctl kill -s KILL --kill-whom=main holmd.service
t "after kill -9 the socket answers" timeout 60 holm ls
t "the same VM still" is "$pid" field pid
t "VM still goes on" goes_on
t "stop" systemctl stop holmd.service
t "VM survives the stop" kill -0 "$pid"
t "the socket starts it again" timeout 60 holm ls
t "and the same VM" is "$pid" field pid
t "VMs' unit stops" systemctl stop holm-vms.service
t "and the tap goes with its VM" sh -c '! ip -o link show | grep -q "$1"' - "${tap#*: }"
t "and its VMs" sh -c "! kill -0 $pid"
t "the socket starts both again" timeout 60 holm ls
t "a VM starts there" holm start v
t "in its group" grep "^0::$place" /proc/$(field pid)/cgroup
t "no failed unit" is "" systemctl --failed --no-legend
journalctl -b -q -o cat -u holmd.service -u holm-vms.service -u holmd.socket | sed 's/^/# /'
systemctl poweroff
END
/sbin/debugfs -w -R "write $TMP/install.tar root/install.tar" "$TMP/root.ext4" >/dev/null 2>&1
APPEND="quiet holm.root=/dev/vda" guest_run systemd 240 --cpus 1 --memory 1G --net user \
	--disk "$TMP/root.ext4"
guest_status systemd 0 "holmd under systemd: clean power-off"
sed -n 's/^t "\([^"]*\)" .*/\1/p' "$TMP/test.sh" >"$TMP/wanted"
set --
while read -r line; do
	set -- "$@" "$line"
done <"$TMP/wanted"
guest_results systemd "holmd under systemd" "$@"
tap_done
