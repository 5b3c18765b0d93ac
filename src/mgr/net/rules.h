/* SPDX-License-Identifier: MIT */
/*
 * The packet filter of all networks: one text for nftables, from what is known now.
 *
 * Theory of operation: rules_text() writes two tables, both named "holm", and rules_apply() hands
 * them to the kernel in one transaction that takes the former ones away. So the kernel has always
 * the whole of one state or the whole of the next, and a restart needs nothing but the state. A VM
 * that comes or goes is a transaction of its few elements alone.
 *
 * Table bridge holm looks at the frames of each tap. From a VM passes only what has its MAC, and
 * on networks whose addresses are ours only ARP and IPv4 with its address; no VM may act as a
 * DHCP server. Then come the VM's own rules. Membership is asked by sets keyed by the tap's name:
 * a VM costs three elements and no rule, and 500 cost as little time per frame as one.
 *
 * Table inet holm is the way through and into the host: networks cannot reach each other, an
 * isolated one reaches nothing, a nat one goes out by masquerade, and from outside come only
 * answers and forwarded ports. Of the host itself, VMs reach DHCP, DNS and ping.
 *
 * Limits: a forward that is taken away leaves connections alive that were made through it. A
 * firewall of somebody else's that drops what it does not know (policy drop in forward or input)
 * still drops ours: nftables asks every table. "nft flush ruleset" takes our tables away until
 * the next change.
 *
 * Threads: none of its own.
 */
#ifndef HOLM_MGR_NET_RULES_H
#define HOLM_MGR_NET_RULES_H

#include "base/compiler.h"
#include "base/err.h"
#include "mgr/net/lease.h"
#include "mgr/net/network.h"

#include <stddef.h>

/** One running network. Leases that are not attached matter only as ends of forwards. */
struct rules_net {
	const struct network *net;
	const struct leases *leases;
};

/** rules_text() - for nftables; the caller frees it. NULL: out of memory. */
char *rules_text(const struct rules_net *nets, size_t n);

/**
 * rules_text_vm() - only what one VM comes or goes with, for tables that are as rules_text() made
 * them: nftables takes about 20 ms for 500 VMs as a whole, and 2 ms for one.
 *
 * Where the kernel refuses it (the tables were flushed), the whole text is to be applied.
 */
char *rules_text_vm(const struct network *net, const struct net_lease *l, bool add);

struct rules;

/** rules_open() - a context of libnftables. -ENOMEM. */
int rules_open(struct rules **out, struct err *e) MUST_CHECK;
void rules_close(struct rules *r);

/** rules_apply() - all of @text or nothing. -EPERM, -EOPNOTSUPP, -EINVAL: what nftables said. */
int rules_apply(struct rules *r, const char *text, struct err *e) MUST_CHECK;

#endif
