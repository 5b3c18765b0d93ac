/* SPDX-License-Identifier: MIT */
/*
 * Network back ends: user mode (libslirp) and tap.
 */
#ifndef HOLM_NET_BE_BACKENDS_H
#define HOLM_NET_BE_BACKENDS_H

#include "net/net.h"

struct net_user_config {
	const char *hostname; /* given by DHCP; NULL: "holm" */
	const struct net_forward *forwards;
	unsigned n_forwards;
	bool restrict_out; /* guest reaches nothing but forwards */
};

/**
 * net_user_open() - NAT in user space: guest 10.0.2.15, gateway 10.0.2.2 (the host's loopback),
 * DNS 10.0.2.3, DHCP. No rights needed.
 * Errors: -EADDRINUSE (a forward's host port, named), -EACCES (port below 1024), -ENOMEM.
 */
int net_user_open(struct net_backend **out, const struct net_user_config *cfg, struct loop *loop,
		  struct err *e) MUST_CHECK;

/** net_tap_open() - the tap interface @name, made with IFF_VNET_HDR where it does not exist. */
int net_tap_open(struct net_backend **out, const char *name, struct loop *loop,
		 struct err *e) MUST_CHECK;

/** net_tap_open_fd() - an open tap descriptor, owned from success on. */
int net_tap_open_fd(struct net_backend **out, int fd, struct loop *loop, struct err *e) MUST_CHECK;

#endif
