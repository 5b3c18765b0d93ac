/* SPDX-License-Identifier: MIT */
/*
 * Networks as JSON and their checks, see network.h; rules are in rule_json.c.
 */
#include "mgr/net/network.h"

#include "base/fd.h"
#include "mgr/core/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_LOOPBACK 0x7f000001u

static const char *const kind_names[] = {
	[NET_NAT] = "nat",
	[NET_ISOLATED] = "isolated",
	[NET_BRIDGED] = "bridged",
};
static_assert(ARRAY_SIZE(kind_names) == NET_KIND_COUNT, "a name for each");

static const char *const proto_names[] = {
	[NET_PROTO_ANY] = "any",
	[NET_PROTO_TCP] = "tcp",
	[NET_PROTO_UDP] = "udp",
	[NET_PROTO_ICMP] = "icmp",
};
static_assert(ARRAY_SIZE(proto_names) == NET_PROTO_COUNT, "a name for each");

const char *net_kind_name(enum net_kind k)
{
	return kind_names[k];
}

const char *net_proto_name(enum net_proto p)
{
	return proto_names[p];
}

void network_init(struct network *n)
{
	*n = (struct network) { .kind = NET_NAT, .dhcp = true };
}

void network_free(struct network *n)
{
	free(n->forwards);
	n->forwards = NULL;
	n->n_forwards = 0;
}

int network_copy(struct network *out, const struct network *n, struct err *e)
{
	struct net_forward *f = NULL;

	if (n->n_forwards) {
		f = calloc(n->n_forwards, sizeof(*f));
		if (!f)
			return err_set(e, -ENOMEM, "no memory for network %s", n->name);
		memcpy(f, n->forwards, n->n_forwards * sizeof(*f));
	}
	*out = *n;
	out->forwards = f;
	return 0;
}

static int forward_read(struct net_forward *out, const json_t *o, struct err *e)
{
	static const char *const members[] = { "vm", "proto", "host_addr", "host_port",
					       "guest_port" };
	static const char what[] = "forward";
	struct net_forward f = { .proto = NET_PROTO_TCP, .host_addr = HOST_LOOPBACK };
	const char *vm = NULL, *proto = "tcp", *addr = NULL;
	uint64_t host = 0, guest = 0;
	int ret;

	if (!json_is_object(o))
		return err_set(e, -EINVAL, "a forward must be a JSON object");
	ret = record_known(o, members, ARRAY_SIZE(members), what, e);
	if (!ret)
		ret = record_string(o, "vm", &vm, what, e);
	if (!ret)
		ret = record_string(o, "proto", &proto, what, e);
	if (!ret)
		ret = record_string(o, "host_addr", &addr, what, e);
	if (!ret)
		ret = record_uint(o, "host_port", 1, UINT16_MAX, &host, what, e);
	if (!ret)
		ret = record_uint(o, "guest_port", 1, UINT16_MAX, &guest, what, e);
	if (ret)
		return ret;
	if (!vm || !host || !guest)
		return err_set(e, -EINVAL, "a forward needs 'vm', 'host_port' and 'guest_port'");
	ret = vm_name_check("forward's vm", vm, e);
	if (ret)
		return ret;
	if (!strcmp(proto, "udp"))
		f.proto = NET_PROTO_UDP;
	else if (strcmp(proto, "tcp") != 0)
		return err_set(e, -EINVAL, "forward's proto '%.20s' is none: use tcp or udp",
			       proto);
	if (addr && !net_ip_parse(addr, &f.host_addr))
		return err_set(e, -EINVAL,
			       "forward's host_addr '%.40s' is no IPv4 address: use 0.0.0.0 for "
			       "every address of the host",
			       addr);
	snprintf(f.vm, sizeof(f.vm), "%s", vm);
	f.host_port = (uint16_t)host;
	f.guest_port = (uint16_t)guest;
	*out = f;
	return 0;
}

int net_forward_decode(struct net_forward *out, const char *json, size_t len, struct err *e)
{
	JSON_AUTO *o = NULL;
	int ret = record_parse(&o, json, len, "the forward", e);

	return ret ? ret : forward_read(out, o, e);
}

static int forwards_read(struct network *n, const json_t *o, struct err *e)
{
	const json_t *a = json_object_get(o, "forwards");
	MEM_AUTO struct net_forward *f = NULL;
	size_t count = json_array_size(a);

	if (!a)
		return 0;
	if (!json_is_array(a))
		return err_set(e, -EINVAL, "network: 'forwards' must be an array");
	if (count > NET_FORWARDS_MAX)
		return err_set(e, -E2BIG, "network: more than %d forwards", NET_FORWARDS_MAX);
	f = calloc(count ? count : 1, sizeof(*f));
	if (!f)
		return err_set(e, -ENOMEM, "no memory for %zu forwards", count);
	for (size_t i = 0; i < count; i++) {
		int ret = forward_read(&f[i], json_array_get(a, i), e);

		if (ret)
			return ret;
	}
	free(n->forwards);
	n->forwards = f;
	f = NULL;
	n->n_forwards = count;
	return 0;
}

static int kind_read(struct network *n, const char *kind, struct err *e)
{
	for (int i = 0; i < NET_KIND_COUNT; i++)
		if (!strcmp(kind_names[i], kind)) {
			n->kind = (enum net_kind)i;
			return 0;
		}
	return err_set(e, -EINVAL, "network kind '%.20s' is none: use nat, isolated or bridged",
		       kind);
}

static int texts_read(struct network *n, const json_t *o, bool stored, struct err *e)
{
	const char *id = NULL, *name = NULL, *kind = NULL, *subnet = NULL, *bridge = NULL;
	static const char what[] = "network";
	int ret = stored ? record_string(o, "id", &id, what, e) : 0;

	if (!ret)
		ret = record_string(o, "name", &name, what, e);
	if (!ret)
		ret = record_string(o, "kind", &kind, what, e);
	if (!ret)
		ret = record_string(o, "subnet", &subnet, what, e);
	if (!ret)
		ret = record_string(o, "bridge", &bridge, what, e);
	if (!ret && name)
		ret = vm_name_check("network name", name, e);
	if (!ret && kind)
		ret = kind_read(n, kind, e);
	if (!ret && subnet)
		ret = net_cidr_parse(&n->subnet, subnet, e);
	if (ret)
		return ret;
	if (stored && !net_id_ok(id ? id : n->id))
		return err_set(e, -EINVAL, "network id '%.40s' is not %d hexadecimal digits",
			       id ? id : n->id, NET_ID_LEN);
	if (bridge && !net_if_name_ok(bridge))
		return err_set(e, -EINVAL,
			       "bridge '%.40s' cannot be an interface: use 1 to 15 letters, "
			       "digits, '.', '_' or '-'",
			       bridge);
	if (id)
		snprintf(n->id, sizeof(n->id), "%s", id);
	if (name)
		snprintf(n->name, sizeof(n->name), "%s", name);
	if (bridge)
		snprintf(n->bridge, sizeof(n->bridge), "%s", bridge);
	n->have_subnet = n->have_subnet || subnet;
	/* Who bridges to a network of somebody else's wants no second DHCP server there. */
	if (kind && n->kind == NET_BRIDGED && !json_object_get(o, "dhcp"))
		n->dhcp = false;
	return 0;
}

int network_decode(struct network *n, const char *json, size_t len, bool stored, struct err *e)
{
	static const char *const members[] = { "name", "kind",	    "subnet",	"bridge",
					       "dhcp", "autostart", "forwards", "id" };
	struct network copy;
	JSON_AUTO *o = NULL;
	int ret = record_parse(&o, json, len, "the network", e);

	if (!ret)
		ret = record_known(o, members, ARRAY_SIZE(members) - !stored, "network", e);
	if (!ret)
		ret = network_copy(&copy, n, e);
	if (ret)
		return ret;
	ret = texts_read(&copy, o, stored, e);
	if (!ret)
		ret = record_bool(o, "dhcp", &copy.dhcp, "network", e);
	if (!ret)
		ret = record_bool(o, "autostart", &copy.autostart, "network", e);
	if (!ret)
		ret = forwards_read(&copy, o, e);
	if (ret) {
		network_free(&copy);
		return ret;
	}
	network_free(n);
	*n = copy;
	return 0;
}

char *network_encode(const struct network *n)
{
	char subnet[NET_CIDR_TEXT], ip[NET_IP_TEXT];
	JSON_AUTO *o = json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:b, s:b}", "id", n->id, "name",
				 n->name, "kind", kind_names[n->kind], "subnet",
				 n->have_subnet ? net_cidr_format(subnet, &n->subnet) : NULL,
				 "bridge", n->bridge[0] ? n->bridge : NULL, "dhcp", (int)n->dhcp,
				 "autostart", (int)n->autostart);
	json_t *a = json_array();

	for (size_t i = 0; i < n->n_forwards; i++) {
		const struct net_forward *f = &n->forwards[i];

		if (json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:i, s:i}", "vm", f->vm,
						       "proto", proto_names[f->proto], "host_addr",
						       net_ip_format(ip, f->host_addr), "host_port",
						       (int)f->host_port, "guest_port",
						       (int)f->guest_port))) {
			json_decref(a);
			return NULL;
		}
	}
	return json_object_set_new(o, "forwards", a) ? NULL : json_dumps(o, JSON_COMPACT);
}

static int check_subnet(const struct network *n, struct err *e)
{
	/* RFC 1122, 3.2.1.3 and RFC 5771: neither "this" network, loopback nor multicast. */
	static const struct net_cidr never[] = { { 0, 8 }, { 0x7f000000, 8 }, { 0xe0000000, 3 } };
	char text[NET_CIDR_TEXT];

	if (!n->have_subnet)
		return 0;
	net_cidr_format(text, &n->subnet);
	if (n->subnet.prefix < 16 || n->subnet.prefix > 29)
		return err_set(e, -EINVAL,
			       "subnet %s is too large or too small: use a prefix of 16 to 29",
			       text);
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		if (net_cidr_overlap(&never[i], &n->subnet))
			return err_set(e, -EINVAL,
				       "subnet %s is reserved: use one of 10.0.0.0/8, "
				       "172.16.0.0/12 or 192.168.0.0/16",
				       text);
	return 0;
}

static int check_forwards(const struct network *n, struct err *e)
{
	if (n->n_forwards && n->kind != NET_NAT)
		return err_set(e, -EINVAL, "network %s is %s: only nat networks forward ports",
			       n->name, kind_names[n->kind]);
	for (size_t i = 0; i < n->n_forwards; i++)
		for (size_t j = 0; j < i; j++) {
			const struct net_forward *a = &n->forwards[i], *b = &n->forwards[j];

			if (a->proto == b->proto && a->host_port == b->host_port &&
			    (a->host_addr == b->host_addr || !a->host_addr || !b->host_addr))
				return err_set(e, -EEXIST,
					       "network %s: host port %u/%s is forwarded twice",
					       n->name, a->host_port, proto_names[a->proto]);
		}
	return 0;
}

int network_check(const struct network *n, struct err *e)
{
	int ret;

	if (!n->name[0])
		return err_set(e, -EINVAL, "a network needs a name");
	if (n->kind == NET_BRIDGED) {
		if (!n->bridge[0])
			return err_set(e, -EINVAL,
				       "network %s is bridged: name an existing bridge of the host",
				       n->name);
		if (net_name_is_bridge(n->bridge))
			return err_set(e, -EINVAL,
				       "network %s: %s has the name of a bridge that Holm makes; "
				       "name a bridge of your own",
				       n->name, n->bridge);
		if (n->have_subnet || n->dhcp)
			return err_set(e, -EINVAL,
				       "network %s is bridged: its addresses come from the network "
				       "behind the bridge, leave subnet and dhcp out",
				       n->name);
	} else if (n->bridge[0] && !net_name_is_bridge(n->bridge)) {
		return err_set(e, -EINVAL,
			       "network %s is %s and gets a bridge of its own: leave bridge out",
			       n->name, kind_names[n->kind]);
	}
	ret = check_subnet(n, e);
	return ret ? ret : check_forwards(n, e);
}
