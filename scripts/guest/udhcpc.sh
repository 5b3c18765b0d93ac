#!/bin/sh
# SPDX-License-Identifier: MIT
# What udhcpc calls with a lease: address, route and name servers.
case $1 in
deconfig)
	ip addr flush dev "$interface"
	;;
bound | renew)
	ip addr add "$ip/${mask:-24}" dev "$interface" 2>/dev/null
	for r in $router; do
		ip route add default via "$r" dev "$interface" 2>/dev/null
		break
	done
	: >/etc/resolv.conf
	for d in $dns; do
		echo "nameserver $d" >>/etc/resolv.conf
	done
	;;
esac
