/* SPDX-License-Identifier: MIT */
/*
 * Addresses of host networks: IPv4, subnets, MACs, and the names of interfaces that are ours.
 *
 * IPv4 addresses are uint32_t in host order everywhere; only link.c and the kernel see network
 * order. All texts are written into buffers of the sizes named here.
 *
 * Threads: none of its own; all functions are pure.
 */
#ifndef HOLM_MGR_NET_ADDR_H
#define HOLM_MGR_NET_ADDR_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_ID_LEN    16 /* hexadecimal digits of an id of the manager's */
#define NET_IF_MAX    16 /* IFNAMSIZ: an interface's name with its NUL */
#define NET_IP_TEXT   16 /* "255.255.255.255" with its NUL */
#define NET_CIDR_TEXT 20 /* "255.255.255.255/32" with its NUL, rounded up */
#define NET_MAC_LEN   6
#define NET_MAC_TEXT  18

/** A subnet; @base has no bit below the prefix. */
struct net_cidr {
	uint32_t base;
	uint8_t prefix; /* 0 to 32 */
};

static inline uint32_t net_cidr_mask(const struct net_cidr *c)
{
	return c->prefix ? ~(uint32_t)0 << (32 - c->prefix) : 0;
}

static inline bool net_cidr_has(const struct net_cidr *c, uint32_t addr)
{
	return (addr & net_cidr_mask(c)) == c->base;
}

/** net_cidr_overlap() - whether an address is in both. */
static inline bool net_cidr_overlap(const struct net_cidr *a, const struct net_cidr *b)
{
	return net_cidr_has(a, b->base) || net_cidr_has(b, a->base);
}

/** net_cidr_last() - the broadcast address. */
static inline uint32_t net_cidr_last(const struct net_cidr *c)
{
	return c->base | ~net_cidr_mask(c);
}

/** net_ip_parse() - "10.0.0.1", four decimal numbers without leading zeroes; false: it is none. */
bool net_ip_parse(const char *s, uint32_t *out) MUST_CHECK;
const char *net_ip_format(char buf[NET_IP_TEXT], uint32_t addr);

/** net_cidr_parse() - "10.0.0.0/24"; -EINVAL where bits below the prefix are set. */
int net_cidr_parse(struct net_cidr *out, const char *s, struct err *e) MUST_CHECK;
const char *net_cidr_format(char buf[NET_CIDR_TEXT], const struct net_cidr *c);

/** net_mac_parse() - "52:54:00:12:34:56"; -EINVAL also for all zeroes and group addresses. */
int net_mac_parse(uint8_t out[NET_MAC_LEN], const char *s, struct err *e) MUST_CHECK;
const char *net_mac_format(char buf[NET_MAC_TEXT], const uint8_t mac[NET_MAC_LEN]);

/** net_mac_for() - a locally administered MAC that follows from the text @id alone. */
void net_mac_for(uint8_t out[NET_MAC_LEN], const char *id);

/** net_id_ok() - whether @s is NET_ID_LEN lower-case hexadecimal digits. */
bool net_id_ok(const char *s);

/** net_tap_name() - "ht" and the first 10 digits of a VM's id. */
void net_tap_name(char out[NET_IF_MAX], const char *vm_id);
/** net_bridge_name() - "hb" and the first 8 digits of a network's id. */
void net_bridge_name(char out[NET_IF_MAX], const char *network_id);
/** net_name_is_tap(), net_name_is_bridge() - whether an interface's name is of that shape. */
bool net_name_is_tap(const char *name);
bool net_name_is_bridge(const char *name);
/** net_if_name_ok() - whether @s can name an interface: 1 to 15 of letters, digits, '.', '_', '-'.
 */
bool net_if_name_ok(const char *s);

typedef bool (*net_addr_taken_fn)(const void *ctx, uint32_t addr);

/**
 * net_addr_choose() - an address for @id in @c: the same each time where nobody took it.
 *
 * Never the base, the broadcast or the first address, which is the host's.
 *
 * Return: the address, or 0: all are taken.
 */
uint32_t net_addr_choose(const struct net_cidr *c, const char *id, net_addr_taken_fn taken,
			 const void *ctx);

/** net_hash() - of a text, the same on every host and in every version. */
uint64_t net_hash(const char *s);

#endif
