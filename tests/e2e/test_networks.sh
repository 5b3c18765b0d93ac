#!/bin/sh
# SPDX-License-Identifier: MIT
# Host networks with real taps, bridges, packet filter and dnsmasq, in network namespaces only: the
# host's own network is never touched. A VM is a namespace whose card is joined to the tap that the
# manager handed out (netvm.py pump), so a whole kernel speaks through it. Needs root.
# timeout: 300
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
if [ -z "${HOLM_NETNS:-}" ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "ok 1 - host networks # SKIP needs root: it makes network namespaces"
		echo "1..1"
		exit 0
	fi
	HOLM_NETNS=1 exec unshare -n -m -p --fork --kill-child --mount-proc --propagation private \
		sh "$0" "$@"
fi
. "$TOP/tests/lib/tap.sh"
DRIVER=${BUILD:-$TOP/build}/tests/e2e/netdriver
PY=$(python3 -c 'import sys; print(sys.executable)')
VM="$PY -B $TOP/tests/e2e/netvm.py"
chmod 711 "$TMP"

# What is missing here is a failure of this machine to run the test, and said.
mount -t tmpfs none /run/netns 2>/dev/null || { mkdir -p /run/netns && mount -t tmpfs none /run/netns; }
ip link set lo up
check "the kernel has bridges" ip link add tstbr type bridge
check "the kernel has veth" ip link add tstv0 type veth peer name tstv1
check "the kernel has taps" ip tuntap add tsttap mode tap
check "the kernel has nf_tables for inet and bridge" \
	sh -c 'nft add table inet tst && nft add table bridge tst && nft delete table inet tst && nft delete table bridge tst'
check "dnsmasq is there" which dnsmasq
check "busybox is there, for ping" busybox ping -c1 -W1 127.0.0.1
check "the driver is built" [ -x "$DRIVER" ]
[ $TAP_BAD = 0 ] || tap_done
ip link del tstbr; ip link del tstv0; ip link del tsttap

# Outside: a host of another network, without a route back to the VMs.
ip netns add out
ip link add uplink type veth peer name eth0 netns out
ip addr add 192.0.2.1/24 dev uplink
ip link set uplink up
ip -n out addr add 192.0.2.9/24 dev eth0
ip -n out link set eth0 up
ip -n out link set lo up
echo "nameserver 192.0.2.9" >"$TMP/resolv"

# --- the driver
drive_start() {
	rm -f "$TMP/in" "$TMP/out"
	mkfifo "$TMP/in" "$TMP/out"
	"$DRIVER" "$TMP/state" "$TMP/run" "$TMP/resolv" <"$TMP/in" >"$TMP/out" 2>>"$TMP/log" &
	DRIVER_PID=$!
	exec 8>"$TMP/in" 9<"$TMP/out"
	read -r ANSWER <&9
}
drive() {
	echo "$*" >&8
	read -r ANSWER <&9
	case $ANSWER in ok*) return 0 ;; esac
	echo "$ANSWER"
	return 1
}
# refused NAME PATTERN WORDS... - the driver answers with an error like PATTERN
refused() {
	refused_name=$1 refused_like=$2
	shift 2
	drive "$@" >/dev/null
	case $ANSWER in
	error*$refused_like*) ok "$refused_name" ;;
	*) not_ok "$refused_name"; echo "#   $ANSWER" ;;
	esac
}
does() {
	does_name=$1
	shift
	if drive "$@" >/dev/null; then ok "$does_name"; else not_ok "$does_name"; echo "#   $ANSWER"; tail -5 "$TMP/log" | sed 's/^/#   /'; fi
}
# is NAME GOT WANTED
is() {
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1"; echo "#   got '$2', wanted '$3'"; fi
}
isnt() {
	if [ "$2" != "$3" ]; then ok "$1"; else not_ok "$1"; echo "#   got '$2'"; fi
}
mac_of() {
	case $1 in
	aaaa*) echo 52:54:00:00:00:0a ;; bbbb*) echo 52:54:00:00:00:0b ;;
	cccc*) echo 52:54:00:00:00:0c ;; dddd*) echo 52:54:00:00:00:0d ;;
	eeee*) echo 52:54:00:00:00:0e ;; *) echo 52:54:00:00:00:0f ;;
	esac
}
# plug NET ID NAME RULES - a VM in a namespace of its own name
plug() {
	ip netns add "$3" 2>/dev/null
	drive attach "$1" "$2" "$3" "$(mac_of "$2")" "$4" -- ip netns exec "$3" $VM pump "$(mac_of "$2")" || return 1
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		ip -n "$3" link show eth0 up 2>/dev/null | grep -q eth0 && return 0
		sleep 0.1
	done
	return 1
}
in_vm() {
	in_vm_name=$1
	shift
	timeout 20 ip netns exec "$in_vm_name" "$@"
}
A=aaaaaaaaaaaaaaaa B=bbbbbbbbbbbbbbbb C=cccccccccccccccc D=dddddddddddddddd E=eeeeeeeeeeeeeeee
NAT='{"id":"1111111111111111","name":"lan","subnet":"10.77.1.0/24","autostart":true}'
ISO='{"id":"2222222222222222","name":"cell","kind":"isolated","subnet":"10.77.2.0/24"}'

# --- records that are refused
drive_start
is "the manager opens" "$ANSWER" "ok ready"
does "there is nothing to restore" restore
refused "an unknown member is named" "no member 'colour'" define '{"id":"1111111111111111","name":"lan","colour":1}'
refused "a subnet that the host has a route to" "overlaps 192.0.2." define '{"id":"1111111111111111","name":"lan","subnet":"192.0.0.0/16"}'
ip link add hb11111111 type veth peer name tstpeer
refused "a bridge's name that is in use" "hb11111111, a name that is in use" define "$NAT"
ip link del hb11111111
refused "a bridge that is not there" "gone0 is no bridge" define '{"id":"3333333333333333","name":"x","kind":"bridged","bridge":"gone0"}'
does "a nat network is defined" define "$NAT"
refused "a subnet of another network" "overlaps that of network lan" define '{"id":"3333333333333333","name":"x","subnet":"10.77.0.0/16"}'
refused "a name twice" "network lan already" define '{"id":"3333333333333333","name":"lan"}'
does "a subnet is chosen" define '{"id":"3333333333333333","name":"chosen"}'
case $ANSWER in *'"subnet":"10.'*'/24"'*) ok "the chosen subnet is a 10.x.y.0/24" ;; *) not_ok "the chosen subnet is a 10.x.y.0/24" ;; esac
does "it is removed" remove chosen
does "an isolated network is defined" define "$ISO"
refused "no VM on a stopped network" "is stopped" attach lan $A web - - -- true

# --- nat
is "routing is off before" "$(cat /proc/sys/net/ipv4/ip_forward)" 0
does "lan starts" start lan
is "routing is on, and said" "$(cat /proc/sys/net/ipv4/ip_forward)$(grep -c 'ip_forward on for network lan' "$TMP/log")" 11
check "VM web is attached" plug lan $A web -
check "VM db is attached" plug lan $B db -
WEB=$(in_vm web $VM dhcp 2>&1); DB=$(in_vm db $VM dhcp 2>&1)
WEB_IP=${WEB%% *} DB_IP=${DB%% *}
echo "# web: $WEB; db: $DB"
LEASED=$(sed -n 's/.*"addr": "\(.*\)".*/\1/p' "$TMP/state/1111111111111111.json" | head -1)
is "DHCP gives the recorded address, router and DNS server" "$WEB" "$LEASED 10.77.1.1 10.77.1.1 web"
is "NAME.holm resolves" "$(in_vm web $VM dns 10.77.1.1 db.holm)" "$DB_IP"
is "a name without a VM does not" "$(in_vm web $VM dns 10.77.1.1 nobody.holm)" none
check "VM to VM" in_vm web busybox ping -c1 -W2 "$DB_IP"
check "VM to its gateway" in_vm web busybox ping -c1 -W2 10.77.1.1
check "VM to the outside" in_vm web busybox ping -c1 -W2 192.0.2.9
ip netns exec out $VM serve 8000 out &
ip netns exec out $VM serveudp 8000 &
sleep 0.5
is "the outside sees the host's address: masquerade" "$(in_vm web $VM fetch 192.0.2.9 8000)" "out 192.0.2.1"
is "and of UDP" "$(in_vm web $VM fetch 192.0.2.9 8000 udp)" "udp 192.0.2.1"
ip -n out route add 10.77.0.0/16 via 192.0.2.1
check "the outside does not reach a VM by itself" sh -c "! ip netns exec out busybox ping -c1 -W1 $WEB_IP"
$VM serve 2222 host &
sleep 0.4
check "a VM does not reach the host's own services" sh -c "! ip netns exec web $VM fetch 10.77.1.1 2222"

# --- isolated
does "cell starts" start cell
check "VM lone is attached" plug cell $C lone -
check "VM mate is attached" plug cell $D mate -
LONE=$(in_vm lone $VM dhcp 2>&1); MATE=$(in_vm mate $VM dhcp 2>&1)
LONE_IP=${LONE%% *} MATE_IP=${MATE%% *}
is "an isolated VM gets no router" "$(echo "$LONE" | cut -d' ' -f2)" "-"
check "VM to VM within it" in_vm lone busybox ping -c1 -W2 "$MATE_IP"
in_vm lone ip route add default via 10.77.2.1
check "isolated cannot get out" sh -c "! ip netns exec lone busybox ping -c1 -W1 192.0.2.9"
check "isolated cannot reach another network" sh -c "! ip netns exec lone busybox ping -c1 -W1 $WEB_IP"
check "and is not reached from there" sh -c "! ip netns exec web busybox ping -c1 -W1 $LONE_IP"
check "isolated cannot speak to the host outside its gateway's DNS" sh -c "! ip netns exec lone $VM fetch 10.77.2.1 2222"
is "isolated has no names of the outside" "$(in_vm lone $VM dns 10.77.2.1 example.com)" none

# --- spoofing: what db sees of what web sends. Frames are broadcast: the bridge would flood them.
WM=$(mac_of $A)
# An honest frame behind it ends the listening, so that silence means dropped and not late.
listener() { # listener VM: starts it and waits until it listens
	ip netns exec "$1" $VM listen 7777 >"$TMP/heard" 2>&1 &
	heard_pid=$!
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		grep -q ready "$TMP/heard" && return 0
		sleep 0.1
	done
	return 1
}
heard() { # heard NAME WANTED SPOOF-ARGS...
	heard_name=$1 heard_want=$2
	shift 2
	listener db || { not_ok "$heard_name"; return; }
	in_vm web $VM spoof "$@" >/dev/null
	in_vm web $VM spoof "$WM" ip "$WEB_IP" "$DB_IP" 7778
	wait $heard_pid
	is "$heard_name" "$(grep -v ready "$TMP/heard")" "$heard_want"
}
heard "an honest frame passes" "udp $WEB_IP $WM" $WM ip "$WEB_IP" "$DB_IP" 7777
heard "a foreign MAC is dropped" "" 52:54:00:00:00:99 ip "$WEB_IP" "$DB_IP" 7777
heard "a foreign address is dropped" "" $WM ip 10.77.1.250 "$DB_IP" 7777
heard "the gateway's address is dropped" "" $WM ip 10.77.1.1 "$DB_IP" 7777
heard "an honest ARP answer passes" "arp $WEB_IP $WM" $WM arp $WM "$WEB_IP" "$DB_IP"
heard "ARP for the gateway is dropped" "" $WM arp $WM 10.77.1.1 "$DB_IP"
heard "ARP with a foreign MAC inside is dropped" "" $WM arp 52:54:00:00:00:99 "$WEB_IP" "$DB_IP"
heard "a DHCP server's packet is dropped" "" $WM dhcpserver "$WEB_IP" 255.255.255.255 7777
heard "a VLAN tag is dropped" "" $WM vlan "$WEB_IP" "$DB_IP" 7777
heard "IPv6 is dropped" "" $WM ip6

# --- a VM's own rules
ip netns exec db $VM serve 5432 db &
ip netns exec db $VM serve 80 www &
ip netns exec db $VM serveudp 5353 &
sleep 0.5
is "a service before any rule" "$(in_vm web $VM fetch "$DB_IP" 5432)" "db $WEB_IP"
does "a rule is set" rules $B '[{"dir":"in","action":"allow","proto":"tcp","ports":"80"},{"dir":"in","action":"deny"}]'
check "what it denies is not reached" sh -c "! ip netns exec web $VM fetch $DB_IP 5432"
check "nor by UDP" sh -c "! ip netns exec web $VM fetch $DB_IP 5353 udp"
is "what it allows is" "$(in_vm web $VM fetch "$DB_IP" 80)" "www $WEB_IP"
is "the VM's own connections go on" "$(in_vm db $VM fetch 192.0.2.9 8000)" "out 192.0.2.1"
is "and its names" "$(in_vm db $VM dns 10.77.1.1 web.holm)" "$WEB_IP"
does "a rule for the way out" rules $B '[{"dir":"out","action":"deny","proto":"tcp","peer":"192.0.2.0/24","ports":"8000-8001"}]'
check "the way out is closed" sh -c "! ip netns exec db $VM fetch 192.0.2.9 8000"
refused "a bad rule is refused" "dir 'up' is none" rules $B '[{"dir":"up","action":"deny"}]'
does "rules are taken away" rules $B '[]'
is "all is open again" "$(in_vm web $VM fetch "$DB_IP" 5432)" "db $WEB_IP"

# --- forwards, live
with_forwards() { echo "${NAT%\}},\"bridge\":\"hb11111111\",\"forwards\":[$1]}"; }
F1='{"vm":"db","proto":"tcp","host_addr":"0.0.0.0","host_port":8080,"guest_port":5432}'
F2='{"vm":"db","proto":"udp","host_addr":"192.0.2.1","host_port":5300,"guest_port":5353}'
F3='{"vm":"db","host_port":8081,"guest_port":80}'
does "forwards are added live" update "$(with_forwards "$F1,$F2,$F3")"
is "from outside to the VM" "$(ip netns exec out $VM fetch 192.0.2.1 8080)" "db 192.0.2.9"
is "UDP too" "$(ip netns exec out $VM fetch 192.0.2.1 5300 udp)" "udp 192.0.2.9"
is "from the host's loopback" "$($VM fetch 127.0.0.1 8081)" "www 10.77.1.1"
check "a forward of the loopback is not open outside" sh -c "! ip netns exec out $VM fetch 192.0.2.1 8081"
refused "a host port twice" "forwarded twice" update "$(with_forwards "$F1,$F1")"
is "after a refusal the old ones stand" "$(ip netns exec out $VM fetch 192.0.2.1 8080)" "db 192.0.2.9"
does "forwards are removed live" update "$(with_forwards "$F2")"
check "the removed one is closed" sh -c "! ip netns exec out $VM fetch 192.0.2.1 8080"
is "the other one stays" "$(ip netns exec out $VM fetch 192.0.2.1 5300 udp)" "udp 192.0.2.9"

# --- a VM that comes alone, with rules, leaves the same rules as the whole written anew
RULES0=$(nft list ruleset | grep -cE 'htffff')
check "a VM with rules of its own" plug lan ffffffffffffffff late '[{"dir":"in","action":"deny"},{"dir":"out","action":"deny","proto":"udp"}]'
nft list ruleset >"$TMP/one"
does "all is written anew" restore
nft list ruleset >"$TMP/all"
is "one by one and as a whole are the same" "$(sort "$TMP/one" | md5sum)" "$(sort "$TMP/all" | md5sum)"
does "it goes" forget ffffffffffffffff
is "and leaves nothing" "$(nft list ruleset | grep -cE 'htffff')" "$RULES0"
nft flush ruleset
check "a VM that comes after somebody flushed all" plug lan ffffffffffffffff late -
is "brings all rules back" "$(nft list tables | sort | tr '\n' ' ')" "table bridge holm table inet holm "
does "it goes" forget ffffffffffffffff

# --- dnsmasq dies
drive info lan >/dev/null; PID1=${ANSWER##* }
kill -9 "$PID1"; sleep 1
drive info lan >/dev/null; PID2=${ANSWER##* }
isnt "dnsmasq is started again" "$PID2" "$PID1"
is "and names resolve" "$(in_vm web $VM dns 10.77.1.1 db.holm)" "$DB_IP"
is "there is one for each network" "$(pgrep -c dnsmasq)" 2

# --- the manager is killed
RULES1=$(nft list ruleset | md5sum); LINKS1=$(ip -br link | sort)
kill -9 $DRIVER_PID; wait $DRIVER_PID 2>/dev/null
check "without a manager VMs go on" in_vm web busybox ping -c1 -W2 192.0.2.9
ip link add hb99999999 type bridge
ip tuntap add ht9999999999 mode tap
mkdir "$TMP/run/9999999999999999"
: >"$TMP/run/9999999999999999/dnsmasq.conf"
dnsmasq --keep-in-foreground --port=0 "--conf-file=$TMP/run/9999999999999999/dnsmasq.conf" &
sleep 0.3
nft flush ruleset
drive_start
does "lan is loaded" load "$(with_forwards "$F2")"
does "cell is loaded" load "${ISO%\}},\"bridge\":\"hb22222222\"}"
does "the new manager restores" restore
is "the rules are as they were" "$(nft list ruleset | md5sum)" "$RULES1"
is "the interfaces are as they were, orphans gone" "$(ip -br link | sort)" "$LINKS1"
drive info lan >/dev/null
is "dnsmasq is adopted" "$ANSWER" "ok active 2 2 $PID2"
is "no dnsmasq twice, no orphan" "$(pgrep -c dnsmasq)" 2
is "no orphaned directory" "$(ls "$TMP/run" | tr '\n' ' ')" "1111111111111111 2222222222222222 boot-id "
does "restoring again changes nothing" restore
is "the rules are the same" "$(nft list ruleset | md5sum)" "$RULES1"
check "VM to VM still" in_vm web busybox ping -c1 -W2 "$DB_IP"
kill -9 "$PID2"; sleep 1
drive info lan >/dev/null
isnt "an adopted dnsmasq is watched too" "${ANSWER##* }" "$PID2"
refused "a network with VMs does not stop" "2 running VMs" stop lan

# --- VMs come and go
does "db is renamed" rename $B store
is "the new name resolves to the same address" "$(sleep 0.3; in_vm web $VM dns 10.77.1.1 store.holm)" "$DB_IP"
refused "a name that is taken" "named web already" attach lan $E web - - -- true
does "web is detached" detach $A
check "its tap is gone" sh -c '! ip link show htaaaaaaaaaa'
pkill -f "pump $WM"; sleep 0.2
ip netns del web; sleep 0.2
check "web comes back" plug lan $A web -
is "with the same address" "$(in_vm web $VM dhcp)" "$WEB"
pkill -f "pump $(mac_of $B)"; sleep 0.5
does "a VM whose process died is detached" detach $B
does "web is detached" detach $A
does "lan stops" stop lan
check "its bridge is gone" sh -c '! ip link show hb11111111'
is "its dnsmasq too" "$(pgrep -c dnsmasq)" 1
refused "a running network is not removed" "stop it first" remove cell
does "lone is purged" forget $C
is "its lease is gone" "$(grep -c lone "$TMP/state/2222222222222222.json")" 0

# --- the host reboots: no runtime directory, no interfaces, no processes
kill -9 $DRIVER_PID; wait $DRIVER_PID 2>/dev/null
pkill -f "netvm.py pump"; pkill dnsmasq; sleep 0.3
nft flush ruleset; ip link del hb22222222; rm -rf "$TMP/run"
drive_start
does "lan is loaded" load "${NAT%\}},\"bridge\":\"hb11111111\"}"
does "cell is loaded" load "${ISO%\}},\"bridge\":\"hb22222222\"}"
does "restored after a reboot" restore
drive info lan >/dev/null
is "autostart starts, leases are there" "${ANSWER% *}" "ok active 2 0"
drive info cell >/dev/null
is "no autostart: stopped" "$ANSWER" "ok stopped 1 0 0"
does "lan stops" stop lan
is "nothing is left of it" "$(nft list ruleset)$(ip -br link | grep -c '^h[bt]')$(pgrep -c dnsmasq)" 00

# --- bridged
ip link add br0 type bridge
ip link set br0 up
ip addr add 198.51.100.1/24 dev br0
does "a bridged network" define '{"id":"4444444444444444","name":"office","kind":"bridged","bridge":"br0"}'
refused "its bridge twice" "in use by network office" define '{"id":"5555555555555555","name":"office2","kind":"bridged","bridge":"br0"}'
does "it starts" start office
for v in web store; do ip netns del $v 2>/dev/null; done; ip netns del db; sleep 0.3
check "a VM on it" plug office $E guest -
check "another" plug office $D peer -
ip -n guest addr add 198.51.100.5/24 dev eth0
ip -n peer addr add 198.51.100.6/24 dev eth0
check "reaches its network" in_vm guest busybox ping -c1 -W2 198.51.100.6
spoof_bridged() {
	listener peer || return 1
	in_vm guest $VM spoof "$1" ip 198.51.100.5 198.51.100.6 7777
	in_vm guest $VM spoof "$(mac_of $E)" ip 198.51.100.5 198.51.100.6 7778
	wait $heard_pid
	grep -cE '^(udp|timeout)' "$TMP/heard"
}
is "an honest frame passes there" "$(spoof_bridged "$(mac_of $E)")" 1
is "a foreign MAC is dropped there too" "$(spoof_bridged 52:54:00:00:00:99)" 0
does "detached" detach $E
does "detached" detach $D
does "it stops" stop office
check "the user's bridge stays" ip link show br0
exec 8>&- 9<&-
check "the manager ends cleanly" wait $DRIVER_PID
tap_done
