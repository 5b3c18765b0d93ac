/* SPDX-License-Identifier: MIT */
/*
 * The record of a host network, and the rules of one VM's card.
 *
 * Theory of operation: a record is a plain struct without pointers but the list of forwards.
 * network_decode() sets what a JSON object has, so the same function reads a new network, a
 * change and the store; network_check() looks at what concerns several members at once. Whether
 * a bridge exists or a subnet is free is asked by net.c, which knows the host.
 *
 * Threads: none of its own.
 */
#ifndef HOLM_MGR_NET_NETWORK_H
#define HOLM_MGR_NET_NETWORK_H

#include "base/compiler.h"
#include "base/err.h"
#include "mgr/net/addr.h"
#include "proto/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_FORWARDS_MAX 1024 /* of a network */
#define NET_RULES_MAX	 64   /* of a VM */

enum net_kind {
	NET_NAT,      /* a bridge of its own, DHCP and DNS, out by masquerade */
	NET_ISOLATED, /* the same, without a way out */
	NET_BRIDGED,  /* an existing bridge; addresses are somebody else's business */
	NET_KIND_COUNT
};

enum net_proto { NET_PROTO_ANY, NET_PROTO_TCP, NET_PROTO_UDP, NET_PROTO_ICMP, NET_PROTO_COUNT };

/** A port of the host that leads to a port of a VM. */
struct net_forward {
	char vm[VM_NAME_MAX + 1]; /* name or id of a VM with a lease on this network */
	enum net_proto proto;	  /* TCP or UDP */
	uint32_t host_addr;	  /* 0: every address of the host */
	uint16_t host_port, guest_port;
};

struct network {
	char id[NET_ID_LEN + 1];
	char name[VM_NAME_MAX + 1];
	enum net_kind kind;
	bool have_subnet; /* else net.c chooses one */
	struct net_cidr subnet;
	char bridge[NET_IF_MAX]; /* of the user's for bridged, else ours */
	bool dhcp, autostart;
	struct net_forward *forwards; /* owned */
	size_t n_forwards;
};

/**
 * One rule of a VM's card: the first that fits decides, where none fits the packet passes.
 *
 * Rules look at each packet alone (bridges on common kernels keep no connections). So that
 * "deny in" does not cut the VM's own connections off, a rule against TCP towards the VM stops
 * only the segments that open a connection; other protocols are stopped packet by packet.
 */
struct net_rule {
	bool out;  /* from the VM; else towards it */
	bool deny; /* else allow */
	enum net_proto proto;
	struct net_cidr peer;		/* 0.0.0.0/0: anybody */
	uint16_t port_first, port_last; /* destination's, of TCP and UDP; 0: any */
};

/** network_init() - nat with DHCP, nothing else set. */
void network_init(struct network *n);
/** network_free() - what @n owns; it may be initialised again. */
void network_free(struct network *n);
/** network_copy() - a copy of its own; *@out was not in use. -ENOMEM. */
int network_copy(struct network *out, const struct network *n, struct err *e) MUST_CHECK;

/**
 * network_decode() - set the members that a JSON object of @len bytes has; the others stay.
 * @stored: "id" is a member too, as in the store
 *
 * Members: name, kind, subnet, bridge, dhcp, autostart, forwards. *@n is unchanged on failure.
 * Errors: -EINVAL, -ERANGE, -E2BIG, -ENOMEM, all with a sentence.
 */
int network_decode(struct network *n, const char *json, size_t len, bool stored,
		   struct err *e) MUST_CHECK;

/** network_encode() - as JSON with the id, which the caller frees; NULL: out of memory. */
char *network_encode(const struct network *n);

/** network_check() - whether the members fit together; -EINVAL. */
int network_check(const struct network *n, struct err *e) MUST_CHECK;

/** network_gateway() - the host's own address in it. */
static inline uint32_t network_gateway(const struct network *n)
{
	return n->subnet.base + 1;
}

/** network_has_addresses() - whether we give addresses out, that is, nat and isolated. */
static inline bool network_has_addresses(const struct network *n)
{
	return n->kind != NET_BRIDGED;
}

const char *net_kind_name(enum net_kind k);
const char *net_proto_name(enum net_proto p);

/** net_forward_decode() - {"vm","proto","host_addr","host_port","guest_port"}. */
int net_forward_decode(struct net_forward *out, const char *json, size_t len,
		       struct err *e) MUST_CHECK;

/**
 * net_rules_decode() - a JSON array of {"dir": "in"|"out", "action": "allow"|"deny",
 * "proto": "any"|"tcp"|"udp"|"icmp", "peer": CIDR, "ports": "80" or "8000-8099"}.
 * @out: receives the rules, which the caller frees; NULL where there are none
 */
int net_rules_decode(struct net_rule **out, size_t *n, const char *json, size_t len,
		     struct err *e) MUST_CHECK;
/** net_rules_encode() - as JSON text, which the caller frees; NULL: out of memory. */
char *net_rules_encode(const struct net_rule *r, size_t n);

#endif
