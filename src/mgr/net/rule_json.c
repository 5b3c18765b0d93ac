/* SPDX-License-Identifier: MIT */
/*
 * The rules of a VM's card as JSON, see network.h.
 */
#include "base/fd.h"
#include "mgr/core/record.h"
#include "mgr/net/network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "80" or "8000-8099". */
static bool ports_parse(const char *s, uint16_t *first, uint16_t *last)
{
	unsigned long v[2];
	char *end;

	for (int i = 0; i < 2; i++) {
		if (*s < '0' || *s > '9')
			return false;
		v[i] = strtoul(s, &end, 10);
		if (v[i] < 1 || v[i] > UINT16_MAX)
			return false;
		if (!i && !*end) {
			v[1] = v[0];
			break;
		}
		if (*end != (i ? '\0' : '-'))
			return false;
		s = end + 1;
	}
	if (v[1] < v[0])
		return false;
	*first = (uint16_t)v[0];
	*last = (uint16_t)v[1];
	return true;
}

static int proto_read(struct net_rule *r, const char *proto, struct err *e)
{
	for (int i = 0; i < NET_PROTO_COUNT; i++)
		if (!strcmp(net_proto_name((enum net_proto)i), proto)) {
			r->proto = (enum net_proto)i;
			return 0;
		}
	return err_set(e, -EINVAL, "rule's proto '%.20s' is none: use any, tcp, udp or icmp",
		       proto);
}

static int rule_read(struct net_rule *out, const json_t *o, struct err *e)
{
	static const char *const members[] = { "dir", "action", "proto", "peer", "ports" };
	static const char what[] = "rule";
	const char *text[ARRAY_SIZE(members)] = { "", "", "any", NULL, NULL };
	struct net_rule r = { 0 };
	int ret;

	if (!json_is_object(o))
		return err_set(e, -EINVAL, "a rule must be a JSON object");
	ret = record_known(o, members, ARRAY_SIZE(members), what, e);
	for (size_t i = 0; !ret && i < ARRAY_SIZE(members); i++)
		ret = record_string(o, members[i], &text[i], what, e);
	if (!ret)
		ret = proto_read(&r, text[2], e);
	if (!ret && text[3])
		ret = net_cidr_parse(&r.peer, text[3], e);
	if (ret)
		return ret;
	r.out = !strcmp(text[0], "out");
	if (!r.out && strcmp(text[0], "in") != 0)
		return err_set(e, -EINVAL, "rule's dir '%.20s' is none: use in or out", text[0]);
	r.deny = !strcmp(text[1], "deny");
	if (!r.deny && strcmp(text[1], "allow") != 0)
		return err_set(e, -EINVAL, "rule's action '%.20s' is none: use allow or deny",
			       text[1]);
	if (text[4] && !ports_parse(text[4], &r.port_first, &r.port_last))
		return err_set(e, -EINVAL, "rule's ports '%.20s' are none: write 80 or 8000-8099",
			       text[4]);
	if (text[4] && r.proto != NET_PROTO_TCP && r.proto != NET_PROTO_UDP)
		return err_set(e, -EINVAL, "a rule with ports needs proto tcp or udp");
	*out = r;
	return 0;
}

int net_rules_decode(struct net_rule **out, size_t *n, const char *json, size_t len, struct err *e)
{
	MEM_AUTO struct net_rule *r = NULL;
	json_error_t why;
	JSON_AUTO *a = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
	size_t count = json_array_size(a);

	if (!json_is_array(a))
		return err_set(e, -EINVAL, "rules must be a JSON array");
	if (count > NET_RULES_MAX)
		return err_set(e, -E2BIG, "more than %d rules for one VM", NET_RULES_MAX);
	if (count) {
		r = calloc(count, sizeof(*r));
		if (!r)
			return err_set(e, -ENOMEM, "no memory for %zu rules", count);
	}
	for (size_t i = 0; i < count; i++) {
		int ret = rule_read(&r[i], json_array_get(a, i), e);

		if (ret)
			return ret;
	}
	*out = r;
	r = NULL;
	*n = count;
	return 0;
}

char *net_rules_encode(const struct net_rule *r, size_t n)
{
	JSON_AUTO *a = json_array();
	char peer[NET_CIDR_TEXT], ports[16];

	for (size_t i = 0; i < n; i++) {
		snprintf(ports, sizeof(ports), "%u-%u", r[i].port_first, r[i].port_last);
		if (json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:s, s:s*}", "dir",
						       r[i].out ? "out" : "in", "action",
						       r[i].deny ? "deny" : "allow", "proto",
						       net_proto_name(r[i].proto), "peer",
						       net_cidr_format(peer, &r[i].peer), "ports",
						       r[i].port_first ? ports : NULL)))
			return NULL;
	}
	return a ? json_dumps(a, JSON_COMPACT) : NULL;
}
