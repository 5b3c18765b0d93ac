/* SPDX-License-Identifier: MIT */
/*
 * The packet filter, see rules.h.
 *
 * Invariant: whatever is printed into the text is a number, an address we formatted, or a name
 * made of hexadecimal digits; no string of a user's gets there but a bridge's checked name.
 */
#include "mgr/net/rules.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
	FILE *f;
	const struct rules_net *nets;
	size_t n;
};

/* Called for each attached lease; prints one element or chain. */
typedef void (*lease_fn)(FILE *f, const struct network *net, const struct net_lease *l);

static void each_attached(const struct text *t, lease_fn fn)
{
	for (size_t i = 0; i < t->n; i++)
		for (size_t j = 0; j < t->nets[i].leases->n; j++)
			if (t->nets[i].leases->v[j].attached)
				fn(t->f, t->nets[i].net, &t->nets[i].leases->v[j]);
}

static bool has_rules(const struct net_lease *l, bool out)
{
	for (size_t i = 0; i < l->n_rules; i++)
		if (l->rules[i].out == out)
			return true;
	return false;
}

static void element_mac(FILE *f, const struct network *net UNUSED, const struct net_lease *l)
{
	char tap[NET_IF_MAX], mac[NET_MAC_TEXT];

	net_tap_name(tap, l->vm);
	fprintf(f, "\t\t\"%s\" . %s,\n", tap, net_mac_format(mac, l->mac));
}

static void element_addr(FILE *f, const struct network *net, const struct net_lease *l)
{
	char tap[NET_IF_MAX], ip[NET_IP_TEXT];

	if (!network_has_addresses(net))
		return;
	net_tap_name(tap, l->vm);
	fprintf(f, "\t\t\"%s\" . %s,\n", tap, net_ip_format(ip, l->addr));
}

static void element_from(FILE *f, const struct network *net, const struct net_lease *l)
{
	char tap[NET_IF_MAX];

	net_tap_name(tap, l->vm);
	fprintf(f, "\t\t\"%s\" : goto %s,\n", tap,
		network_has_addresses(net) ? "guest" : "guest_bridged");
}

static void element_out(FILE *f, const struct network *net UNUSED, const struct net_lease *l)
{
	char tap[NET_IF_MAX];

	net_tap_name(tap, l->vm);
	if (has_rules(l, true))
		fprintf(f, "\t\t\"%s\" : goto out_%s,\n", tap, tap);
}

static void element_in(FILE *f, const struct network *net UNUSED, const struct net_lease *l)
{
	char tap[NET_IF_MAX];

	net_tap_name(tap, l->vm);
	if (has_rules(l, false))
		fprintf(f, "\t\t\"%s\" : goto in_%s,\n", tap, tap);
}

/* The sets and maps of table bridge holm that have an element for each VM. */
static const struct part {
	const char *kind, *name, *type;
	lease_fn fn;
} parts[] = {
	{ "set", "mac", "ifname . ether_addr", element_mac },
	{ "set", "addr", "ifname . ipv4_addr", element_addr },
	{ "map", "rules_out", "ifname : verdict", element_out },
	{ "map", "rules_in", "ifname : verdict", element_in },
	{ "map", "from", "ifname : verdict", element_from },
};
#define PART_FROM 4

/* What @part holds; the caller frees it. "" where there is nothing, NULL: out of memory. */
static char *elements(const struct text *t, const struct part *part)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	struct text inner = { .f = f, .nets = t->nets, .n = t->n };

	if (!f)
		return NULL;
	each_attached(&inner, part->fn);
	if (ferror(f) | fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

/* A set or map; its elements are left out where there are none, which the syntax asks for. */
static void set(const struct text *t, const struct part *part)
{
	char *list = elements(t, part);

	/* Without them it would let through or stop the wrong frames: better no valid text. */
	fprintf(t->f, "\t%s %s {\n\t\ttype %s\n", part->kind, part->name, part->type);
	if (!list)
		fputs("no memory", t->f);
	else if (*list)
		fprintf(t->f, "\t\telements = {\n%s\t\t}\n", list);
	fputs("\t}\n", t->f);
	free(list);
}

static void rule_match(FILE *f, const struct net_rule *r)
{
	const char *end = r->out ? "daddr" : "saddr";
	char peer[NET_CIDR_TEXT];

	if (r->peer.prefix)
		fprintf(f, "ip %s %s ", end, net_cidr_format(peer, &r->peer));
	else
		fputs("ether type { ip, ip6 } ", f);
	if (r->port_first)
		fprintf(f, "%s dport %u-%u ", net_proto_name(r->proto), r->port_first,
			r->port_last);
	else if (r->proto != NET_PROTO_ANY)
		fprintf(f, "meta l4proto %s ", net_proto_name(r->proto));
}

static void rule_write(FILE *f, const struct net_rule *r)
{
	static const char opens[] = "tcp flags & (syn | ack) == syn drop\n";

	fputs("\t\t", f);
	rule_match(f, r);
	if (!r->deny) {
		fputs("accept\n", f);
	} else if (r->out || r->proto == NET_PROTO_UDP || r->proto == NET_PROTO_ICMP) {
		fputs("drop\n", f);
	} else if (r->proto == NET_PROTO_TCP) {
		fputs(opens, f);
	} else {
		fputs("meta l4proto != tcp drop\n\t\t", f);
		rule_match(f, r);
		fputs(opens, f);
	}
}

static void chain_rules(FILE *f, const struct network *net, const struct net_lease *l)
{
	char tap[NET_IF_MAX], ip[NET_IP_TEXT];

	net_tap_name(tap, l->vm);
	for (int out = 0; out < 2; out++) {
		if (!has_rules(l, out))
			continue;
		fprintf(f, "\tchain %s_%s {\n", out ? "out" : "in", tap);
		/* RFC 3128: no second fragment may bring the TCP flags that we look at. */
		fputs("\t\tip frag-off & 0x1fff == 1 drop\n", f);
		if (out && network_has_addresses(net))
			fputs("\t\tudp sport 68 udp dport 67 accept\n", f);
		else if (network_has_addresses(net))
			fprintf(f, "\t\tip saddr %s udp sport { 53, 67 } accept\n",
				net_ip_format(ip, network_gateway(net)));
		for (size_t i = 0; i < l->n_rules; i++)
			if (l->rules[i].out == out)
				rule_write(f, &l->rules[i]);
		fputs("\t}\n", f);
	}
}

static void table_bridge(const struct text *t)
{
	fputs("table bridge holm {\n", t->f);
	each_attached(t, chain_rules);
	for (size_t i = 0; i < PART_FROM; i++)
		set(t, &parts[i]);
	fputs("\tchain guest_ip {\n"
	      "\t\tiifname . ip saddr @addr return\n"
	      "\t\tip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 return\n"
	      "\t\tdrop\n"
	      "\t}\n"
	      "\tchain guest_arp {\n"
	      "\t\tarp operation != { request, reply } drop\n"
	      "\t\tiifname . arp saddr ether != @mac drop\n"
	      "\t\tarp saddr ip 0.0.0.0 accept\n" /* RFC 5227: a probe says nothing */
	      "\t\tiifname . arp saddr ip @addr accept\n"
	      "\t\tdrop\n"
	      "\t}\n"
	      "\tchain guest {\n"
	      "\t\tiifname . ether saddr != @mac drop\n"
	      "\t\tether type arp goto guest_arp\n"
	      "\t\tether type != ip drop\n"
	      "\t\tjump guest_ip\n"
	      "\t\tudp sport 67 drop\n"
	      "\t\tiifname vmap @rules_out\n"
	      "\t}\n"
	      /* Addresses are not known here; what speaks for the network itself is stopped. */
	      "\tchain guest_bridged {\n"
	      "\t\tiifname . ether saddr != @mac drop\n"
	      "\t\tether type arp iifname . arp saddr ether != @mac drop\n"
	      "\t\tether type { 0x8100, 0x88a8 } drop\n"
	      "\t\tether daddr 01:80:c2:00:00:00 drop\n"
	      "\t\tudp sport { 67, 547 } drop\n"
	      "\t\ticmpv6 type nd-router-advert drop\n"
	      "\t\tiifname vmap @rules_out\n"
	      "\t}\n",
	      t->f);
	set(t, &parts[PART_FROM]);
	fputs("\tchain prerouting {\n"
	      "\t\ttype filter hook prerouting priority -300; policy accept;\n"
	      "\t\tiifname vmap @from\n"
	      "\t}\n"
	      "\tchain postrouting {\n"
	      "\t\ttype filter hook postrouting priority 0; policy accept;\n"
	      "\t\toifname vmap @rules_in\n"
	      "\t}\n"
	      "}\n",
	      t->f);
}

static bool is_loopback(uint32_t addr)
{
	return addr >> 24 == 127;
}

/* @local: for connections that the host itself makes. */
static void forwards(const struct text *t, const struct rules_net *r, bool local)
{
	for (size_t i = 0; i < r->net->n_forwards; i++) {
		const struct net_forward *w = &r->net->forwards[i];
		const struct net_lease *l = leases_find(r->leases, w->vm);
		char ip[NET_IP_TEXT];

		/* Of a VM that was never attached: the rule comes with its lease. */
		if (!l || !l->addr || (!local && is_loopback(w->host_addr)))
			continue;
		if (w->host_addr)
			fprintf(t->f, "\t\tip daddr %s ", net_ip_format(ip, w->host_addr));
		else
			fputs("\t\tmeta nfproto ipv4 fib daddr type local ", t->f);
		fprintf(t->f, "%s dport %u dnat ip to %s:%u\n", net_proto_name(w->proto),
			w->host_port, net_ip_format(ip, l->addr), w->guest_port);
	}
}

static void chains_nat(const struct text *t)
{
	char c[NET_CIDR_TEXT];

	fputs("\tchain nat_prerouting {\n"
	      "\t\ttype nat hook prerouting priority dstnat; policy accept;\n",
	      t->f);
	for (size_t i = 0; i < t->n; i++)
		forwards(t, &t->nets[i], false);
	fputs("\t}\n"
	      "\tchain nat_output {\n"
	      "\t\ttype nat hook output priority -100; policy accept;\n",
	      t->f);
	for (size_t i = 0; i < t->n; i++)
		forwards(t, &t->nets[i], true);
	fputs("\t}\n"
	      "\tchain nat_postrouting {\n"
	      "\t\ttype nat hook postrouting priority srcnat; policy accept;\n",
	      t->f);
	for (size_t i = 0; i < t->n; i++) {
		const struct network *net = t->nets[i].net;

		if (net->kind != NET_NAT)
			continue;
		net_cidr_format(c, &net->subnet);
		fprintf(t->f,
			"\t\tip saddr %s ip daddr != { %s, 224.0.0.0/4, 255.255.255.255 } "
			"masquerade\n"
			/* A VM that comes back to its own network by a forwarded port. */
			"\t\tip saddr %s ip daddr %s ct status dnat masquerade\n"
			"\t\tip saddr 127.0.0.0/8 oifname \"%s\" masquerade\n",
			c, c, c, c, net->bridge);
	}
	fputs("\t}\n", t->f);
}

/* What VMs of one network may reach by routing, and who may reach them. */
static void chains_network(const struct text *t, const struct network *net)
{
	char c[NET_CIDR_TEXT];

	net_cidr_format(c, &net->subnet);
	fprintf(t->f, "\tchain from_%s {\n\t\toifname \"%s\" ct status dnat accept\n", net->bridge,
		net->bridge);
	/* Bridged frames pass here too where br_netfilter is on. */
	fprintf(t->f, "\t\toifname \"%s\" accept\n", net->bridge);
	if (net->kind == NET_NAT)
		fprintf(t->f,
			"\t\tip saddr != %s drop\n"
			"\t\tmeta nfproto ipv6 drop\n"
			"\t\tct state established,related accept\n"
			"\t\tct status dnat accept\n"
			"\t\toifname @bridges drop\n"
			"\t\taccept\n\t}\n",
			c);
	else
		fputs("\t\tdrop\n\t}\n", t->f);
	fprintf(t->f, "\tchain to_%s {\n", net->bridge);
	if (net->kind == NET_NAT)
		fputs("\t\tct state established,related accept\n"
		      "\t\tct status dnat accept\n",
		      t->f);
	fputs("\t\tdrop\n\t}\n", t->f);
}

static void chain_input(const struct text *t)
{
	char ip[NET_IP_TEXT];

	fputs("\tchain input {\n"
	      "\t\ttype filter hook input priority filter; policy accept;\n"
	      "\t\tiifname != @bridges return\n"
	      "\t\tct state established,related accept\n"
	      "\t\ticmp type echo-request accept\n"
	      "\t\tudp sport 68 udp dport 67 accept\n",
	      t->f);
	for (size_t i = 0; i < t->n; i++)
		if (network_has_addresses(t->nets[i].net))
			fprintf(t->f,
				"\t\tiifname \"%s\" ip daddr %s meta l4proto { tcp, udp } "
				"th dport 53 accept\n",
				t->nets[i].net->bridge,
				net_ip_format(ip, network_gateway(t->nets[i].net)));
	fputs("\t\tdrop\n\t}\n", t->f);
}

static void table_inet(const struct text *t)
{
	bool any = false;

	fputs("table inet holm {\n\tset bridges {\n\t\ttype ifname\n", t->f);
	for (size_t i = 0; i < t->n; i++)
		if (network_has_addresses(t->nets[i].net)) {
			fprintf(t->f, "%s\"%s\"", any ? ", " : "\t\telements = { ",
				t->nets[i].net->bridge);
			any = true;
		}
	fputs(any ? " }\n\t}\n" : "\t}\n", t->f);
	/* With route_localnet on a bridge the host's loopback would be open to its VMs. */
	fputs("\tchain loopback {\n"
	      "\t\ttype filter hook prerouting priority raw; policy accept;\n"
	      "\t\tiifname @bridges ip daddr 127.0.0.0/8 drop\n"
	      "\t}\n",
	      t->f);
	chains_nat(t);
	chain_input(t);
	for (size_t i = 0; i < t->n; i++)
		if (network_has_addresses(t->nets[i].net))
			chains_network(t, t->nets[i].net);
	for (int to = 0; to < 2; to++) {
		fprintf(t->f, "\tmap %s_bridge {\n\t\ttype ifname : verdict\n", to ? "to" : "from");
		any = false;
		for (size_t i = 0; i < t->n; i++) {
			const char *b = t->nets[i].net->bridge;

			if (!network_has_addresses(t->nets[i].net))
				continue;
			fprintf(t->f, "%s\"%s\" : goto %s_%s", any ? ", " : "\t\telements = { ", b,
				to ? "to" : "from", b);
			any = true;
		}
		fputs(any ? " }\n\t}\n" : "\t}\n", t->f);
	}
	fputs("\tchain forward {\n"
	      "\t\ttype filter hook forward priority filter; policy accept;\n"
	      "\t\tiifname vmap @from_bridge\n"
	      "\t\toifname vmap @to_bridge\n"
	      "\t}\n"
	      "}\n",
	      t->f);
}

char *rules_text(const struct rules_net *nets, size_t n)
{
	/* The first line of each pair makes the second one valid where there is no table yet. */
	static const char *const heads[] = { "bridge", "inet" };
	struct text t = { .nets = nets, .n = n };
	char *out = NULL;
	size_t len = 0;

	t.f = open_memstream(&out, &len);
	if (!t.f)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		fprintf(t.f, "table %s holm\ndelete table %s holm\n", heads[i], heads[i]);
	if (n) {
		table_bridge(&t);
		table_inet(&t);
	}
	if (ferror(t.f) | fclose(t.f)) {
		free(out);
		return NULL;
	}
	return out;
}

static void change_add(const struct text *t)
{
	fputs("table bridge holm {\n", t->f);
	each_attached(t, chain_rules);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		set(t, &parts[i]);
	fputs("}\n", t->f);
}

static void change_delete(const struct text *t, const struct net_lease *l)
{
	char tap[NET_IF_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		char *list = elements(t, &parts[i]);

		if (!list)
			fputs("no memory", t->f);
		else if (*list)
			fprintf(t->f, "delete element bridge holm %s {\n%s}\n", parts[i].name,
				list);
		free(list);
	}
	net_tap_name(tap, l->vm);
	for (int out = 0; out < 2; out++)
		if (has_rules(l, out))
			fprintf(t->f, "delete chain bridge holm %s_%s\n", out ? "out" : "in", tap);
}

char *rules_text_vm(const struct network *net, const struct net_lease *l, bool add)
{
	struct net_lease copy = *l;
	struct leases one = { &copy, 1 };
	struct rules_net in = { net, &one };
	struct text t = { .nets = &in, .n = 1 };
	char *out = NULL;
	size_t len = 0;

	copy.attached = true;
	t.f = open_memstream(&out, &len);
	if (!t.f)
		return NULL;
	if (add)
		change_add(&t);
	else
		change_delete(&t, l);
	if (ferror(t.f) | fclose(t.f)) {
		free(out);
		return NULL;
	}
	return out;
}

struct rules {
	struct nft_ctx *ctx;
};

int rules_open(struct rules **out, struct err *e)
{
	struct rules *r = calloc(1, sizeof(*r));

	if (r)
		r->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!r || !r->ctx || nft_ctx_buffer_error(r->ctx) || nft_ctx_buffer_output(r->ctx)) {
		rules_close(r);
		return err_set(e, -ENOMEM, "cannot set up nftables");
	}
	*out = r;
	return 0;
}

void rules_close(struct rules *r)
{
	if (!r)
		return;
	if (r->ctx)
		nft_ctx_free(r->ctx);
	free(r);
}

int rules_apply(struct rules *r, const char *text, struct err *e)
{
	const char *why;
	int code = -EINVAL;

	if (nft_run_cmd_from_buffer(r->ctx, text) == 0)
		return 0;
	why = nft_ctx_get_error_buffer(r->ctx);
	if (strstr(why, "Operation not permitted"))
		code = -EPERM;
	else if (strstr(why, "not supported") || strstr(why, "No such file"))
		code = -EOPNOTSUPP;
	return err_set(e, code,
		       "the kernel's packet filter refuses our rules (%.*s); it needs nf_tables "
		       "with bridge and inet support, and root's rights",
		       (int)strcspn(why, "\n"), why);
}
