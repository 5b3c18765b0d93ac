/* SPDX-License-Identifier: MIT */
/*
 * What dnsmasq reads, see dhcp.h.
 *
 * Source: dnsmasq(8). Nothing here is a user's free text: names are checked, paths by
 * dhcp_path_safe().
 */
#include "mgr/net/dhcp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASE_TIME "12h"

bool dhcp_path_safe(const char *path)
{
	return path[0] == '/' &&
	       strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			    "/._-+@=") == strlen(path);
}

static char *text_end(FILE *f, char **text)
{
	bool bad = ferror(f);

	if (fclose(f) != 0 || bad) {
		free(*text);
		return NULL;
	}
	return *text;
}

static void config_dhcp(FILE *f, const struct network *net)
{
	char base[NET_IP_TEXT], mask[NET_IP_TEXT], gw[NET_IP_TEXT];

	net_ip_format(gw, network_gateway(net));
	fprintf(f,
		"dhcp-range=%s,static,%s," LEASE_TIME "\n"
		"dhcp-authoritative\n"
		"dhcp-no-override\n"
		"dhcp-option=option:dns-server,%s\n",
		net_ip_format(base, net->subnet.base),
		net_ip_format(mask, net_cidr_mask(&net->subnet)), gw);
	if (net->kind == NET_NAT)
		fprintf(f, "dhcp-option=option:router,%s\n", gw);
	else
		/* Without a number the option is left out: there is no way out. */
		fputs("dhcp-option=option:router\n", f);
}

char *dhcp_config_text(const struct dhcp_params *p)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fprintf(f,
		"# Written by holmd; changes are lost\n"
		"interface=%s\n"
		"except-interface=lo\n"
		"bind-dynamic\n"
		"user=%s\n"
		"pid-file=\n"
		"no-hosts\n"
		"domain=holm\n"
		"local=/holm/\n"
		"domain-needed\n"
		"bogus-priv\n"
		"quiet-dhcp\n"
		"addn-hosts=%s/names\n",
		p->net->bridge, p->user, p->dir);
	if (p->net->kind == NET_NAT)
		fprintf(f, "resolv-file=%s\n", p->resolv);
	else
		fputs("no-resolv\n", f);
	if (p->net->dhcp) {
		config_dhcp(f, p->net);
		fprintf(f,
			"dhcp-hostsfile=%s/hosts\n"
			"dhcp-leasefile=%s/leases\n",
			p->dir, p->dir);
	}
	return text_end(f, &text);
}

char *dhcp_hosts_text(const struct leases *t)
{
	char *text = NULL, mac[NET_MAC_TEXT], ip[NET_IP_TEXT];
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (size_t i = 0; i < t->n; i++) {
		const char *name = t->v[i].name;

		fprintf(f, "%s,%s", net_mac_format(mac, t->v[i].mac),
			net_ip_format(ip, t->v[i].addr));
		/*
		 * A name that dnsmasq finds bad would cost the VM its address. The domain keeps
		 * names like "ignore" and "12h" from being taken for options.
		 */
		if (name[0] != '_' && strlen(name) < 64)
			fprintf(f, ",%s.holm", name);
		fputc('\n', f);
	}
	return text_end(f, &text);
}

char *dhcp_names_text(const struct leases *t)
{
	char *text = NULL, ip[NET_IP_TEXT];
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (size_t i = 0; i < t->n; i++)
		fprintf(f, "%s %s.holm %s\n", net_ip_format(ip, t->v[i].addr), t->v[i].name,
			t->v[i].name);
	return text_end(f, &text);
}
