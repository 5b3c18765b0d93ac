/* SPDX-License-Identifier: MIT */
/*
 * What net.c (records), net_up.c (start, stop, restore) and net_vm.c (VMs) share.
 */
#ifndef HOLM_MGR_NET_NET_INTERNAL_H
#define HOLM_MGR_NET_NET_INTERNAL_H

#include "mgr/net/dhcp.h"
#include "mgr/net/link.h"
#include "mgr/net/net.h"
#include "mgr/net/rules.h"

struct net_one {
	struct network net;
	struct leases leases;
	bool active;
	struct dhcp *dhcp; /* NULL: stopped, bridged, or no dnsmasq on this host */
};

struct netmgr {
	struct loop *loop;
	char *run_dir, *dnsmasq, *resolv;
	const char *user; /* of dnsmasq; static */
	int state_fd, run_fd;
	struct netlink nl;
	struct rules *rules;
	struct net_one **v;
	size_t n;
};

/** net_get() - by id or name; NULL with the sentence of -ENOENT. */
struct net_one *net_get(const struct netmgr *m, const char *net, struct err *e);

/** net_apply() - the rules of all that is active now. */
int net_apply(struct netmgr *m, struct err *e) MUST_CHECK;

/** net_save() - the leases of @o; durable. */
int net_save(struct netmgr *m, struct net_one *o, struct err *e) MUST_CHECK;

/** net_route_free() - -EEXIST where a route of the host not through @own overlaps @c. */
int net_route_free(struct netmgr *m, const struct net_cidr *c, const char *own,
		   struct err *e) MUST_CHECK;

/** net_loopback() - whether connections from the host's loopback lead into @n. */
void net_loopback(const struct network *n);

/** net_sysctl() - write @value where it is another; 1: it was written, 0: it was so, -errno. */
int net_sysctl(const char *path, const char *value);

/** net_tap_plug() - the tap becomes a port of the network's bridge, and goes up. */
int net_tap_plug(struct netmgr *m, const struct net_one *o, const char *tap,
		 struct err *e) MUST_CHECK;

#endif
