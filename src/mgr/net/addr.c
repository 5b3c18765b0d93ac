/* SPDX-License-Identifier: MIT */
/*
 * Addresses and names, see addr.h.
 */
#include "mgr/net/addr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEX_DIGITS "0123456789abcdef"

/* A decimal number of at most 3 digits without leading zeroes; *@s moves behind it. */
static bool small_number(const char **s, unsigned max, unsigned *out)
{
	const char *p = *s;
	unsigned v = 0, n = 0;

	while (*p >= '0' && *p <= '9' && n < 4) {
		v = v * 10 + (unsigned)(*p++ - '0');
		n++;
	}
	if (!n || n > 3 || v > max || (n > 1 && **s == '0'))
		return false;
	*s = p;
	*out = v;
	return true;
}

static bool ip_parse(const char **s, uint32_t *out)
{
	uint32_t addr = 0;

	for (int i = 0; i < 4; i++) {
		unsigned v;

		if (i && *(*s)++ != '.')
			return false;
		if (!small_number(s, 255, &v))
			return false;
		addr = addr << 8 | v;
	}
	*out = addr;
	return true;
}

bool net_ip_parse(const char *s, uint32_t *out)
{
	uint32_t addr;

	if (!ip_parse(&s, &addr) || *s)
		return false;
	*out = addr;
	return true;
}

const char *net_ip_format(char buf[NET_IP_TEXT], uint32_t addr)
{
	snprintf(buf, NET_IP_TEXT, "%u.%u.%u.%u", addr >> 24, addr >> 16 & 255, addr >> 8 & 255,
		 addr & 255);
	return buf;
}

int net_cidr_parse(struct net_cidr *out, const char *s, struct err *e)
{
	struct net_cidr c;
	const char *p = s;
	unsigned prefix;

	if (!ip_parse(&p, &c.base) || *p++ != '/' || !small_number(&p, 32, &prefix) || *p)
		return err_set(e, -EINVAL, "subnet '%.40s' is none: write it like 10.20.30.0/24",
			       s);
	c.prefix = (uint8_t)prefix;
	if (c.base & ~net_cidr_mask(&c)) {
		char text[NET_CIDR_TEXT];

		c.base &= net_cidr_mask(&c);
		return err_set(e, -EINVAL,
			       "subnet '%.40s' has address bits below its prefix; did you mean %s",
			       s, net_cidr_format(text, &c));
	}
	*out = c;
	return 0;
}

const char *net_cidr_format(char buf[NET_CIDR_TEXT], const struct net_cidr *c)
{
	char ip[NET_IP_TEXT];

	snprintf(buf, NET_CIDR_TEXT, "%s/%u", net_ip_format(ip, c->base), c->prefix);
	return buf;
}

static int hex_digit(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	ch |= 0x20;
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

int net_mac_parse(uint8_t out[NET_MAC_LEN], const char *s, struct err *e)
{
	uint8_t mac[NET_MAC_LEN], any = 0;
	bool good = strlen(s) == NET_MAC_TEXT - 1;

	for (int i = 0; good && i < NET_MAC_LEN; i++) {
		int hi = hex_digit(s[i * 3]), lo = hex_digit(s[i * 3 + 1]);

		good = hi >= 0 && lo >= 0 && (i == NET_MAC_LEN - 1 || s[i * 3 + 2] == ':');
		mac[i] = good ? (uint8_t)(hi << 4 | lo) : 0;
		any |= mac[i];
	}
	if (!good || !any || mac[0] & 1)
		return err_set(e, -EINVAL,
			       "MAC '%.40s' is no single card's: write it like 52:54:00:12:34:56",
			       s);
	memcpy(out, mac, sizeof(mac));
	return 0;
}

const char *net_mac_format(char buf[NET_MAC_TEXT], const uint8_t m[NET_MAC_LEN])
{
	snprintf(buf, NET_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
		 m[5]);
	return buf;
}

/* FNV-1a, 64 bits, with a last mix, as its low bits alone are weak on short texts. */
uint64_t net_hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3ULL;
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdULL;
	return h ^ h >> 33;
}

void net_mac_for(uint8_t out[NET_MAC_LEN], const char *id)
{
	uint64_t h = net_hash(id);

	for (int i = 0; i < NET_MAC_LEN; i++)
		out[i] = (uint8_t)(h >> 8 * i);
	/* IEEE 802-2014, 8.2: bit 0 of the first byte is group, bit 1 is locally administered. */
	out[0] = (uint8_t)((out[0] & ~1u) | 2u);
}

bool net_id_ok(const char *s)
{
	return strlen(s) == NET_ID_LEN && strspn(s, HEX_DIGITS) == NET_ID_LEN;
}

void net_tap_name(char out[NET_IF_MAX], const char *vm_id)
{
	snprintf(out, NET_IF_MAX, "ht%.10s", vm_id);
}

void net_bridge_name(char out[NET_IF_MAX], const char *network_id)
{
	snprintf(out, NET_IF_MAX, "hb%.8s", network_id);
}

bool net_name_is_tap(const char *name)
{
	return strlen(name) == 12 && !strncmp(name, "ht", 2) && strspn(name + 2, HEX_DIGITS) == 10;
}

bool net_name_is_bridge(const char *name)
{
	return strlen(name) == 10 && !strncmp(name, "hb", 2) && strspn(name + 2, HEX_DIGITS) == 8;
}

bool net_if_name_ok(const char *s)
{
	size_t len = strlen(s);

	return len && len < NET_IF_MAX && strcmp(s, ".") != 0 && strcmp(s, "..") != 0 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
		       len;
}

uint32_t net_addr_choose(const struct net_cidr *c, const char *id, net_addr_taken_fn taken,
			 const void *ctx)
{
	/* Base, the host's and broadcast are not to be had. */
	uint64_t n = ((uint64_t)1 << (32 - c->prefix));
	uint64_t at;

	if (n < 4)
		return 0;
	n -= 3;
	at = net_hash(id) % n;
	for (uint64_t i = 0; i < n; i++) {
		uint32_t addr = c->base + 2 + (uint32_t)((at + i) % n);

		if (!taken(ctx, addr))
			return addr;
	}
	return 0;
}
