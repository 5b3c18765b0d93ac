/* SPDX-License-Identifier: MIT */
/*
 * Interfaces of the host: bridges, taps, addresses and routes, by rtnetlink(7) without a library.
 *
 * Theory of operation: one NETLINK_ROUTE socket; each call sends one request and reads its answer
 * before it returns. The kernel answers at once, so nothing here waits for anybody.
 *
 * Threads: none of its own; one caller at a time.
 */
#ifndef HOLM_MGR_NET_LINK_H
#define HOLM_MGR_NET_LINK_H

#include "base/compiler.h"
#include "base/err.h"
#include "mgr/net/addr.h"

#include <stdbool.h>
#include <stdint.h>

/** First field: the socket, -1 while closed. */
struct netlink {
	int fd;
	uint32_t seq;
};

struct link_info {
	int index;
	char name[NET_IF_MAX];
	char kind[16]; /* "bridge", "tun" ..., "" of real cards */
	int master;    /* index of the bridge it is a port of, 0: none */
	bool up;
};

/** Return 0 to go on; another value ends the walk and is returned. */
typedef int (*link_fn)(void *ctx, const struct link_info *l);
typedef int (*route_fn)(void *ctx, const struct net_cidr *c, int index);

int netlink_open(struct netlink *nl, struct err *e) MUST_CHECK;
void netlink_close(struct netlink *nl);

/** link_get() - by name; -ENODEV without a sentence of its own. */
int link_get(struct netlink *nl, const char *name, struct link_info *out) MUST_CHECK;

/** link_each() - every interface, read before the first call of @fn, which may change them. */
int link_each(struct netlink *nl, link_fn fn, void *ctx) MUST_CHECK;

/** link_route_each() - every IPv4 route of every table but default routes and broadcasts. */
int link_route_each(struct netlink *nl, route_fn fn, void *ctx) MUST_CHECK;

/** link_add_bridge() - without spanning tree, down. -EEXIST, -EPERM, -EOPNOTSUPP. */
int link_add_bridge(struct netlink *nl, const char *name,
		    const uint8_t mac[NET_MAC_LEN]) MUST_CHECK;

int link_del(struct netlink *nl, int index) MUST_CHECK;
int link_set_up(struct netlink *nl, int index) MUST_CHECK;
/** link_set_master() - make it a port of the bridge @master; 0: of none. */
int link_set_master(struct netlink *nl, int index, int master) MUST_CHECK;
/** link_add_addr() - an IPv4 address; one that is there already is no failure. */
int link_add_addr(struct netlink *nl, int index, uint32_t addr, uint8_t prefix) MUST_CHECK;

/**
 * tap_open() - a new tap interface that lives as long as the descriptor is held somewhere.
 *
 * Opened with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR, close-on-exec, non-blocking.
 * Errors: -EBUSY (the name is taken), -ENOENT, -EPERM: without /dev/net/tun or rights.
 *
 * Return: the descriptor or -errno.
 */
int tap_open(const char *name, struct err *e) MUST_CHECK;

#endif
