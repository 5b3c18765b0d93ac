/* SPDX-License-Identifier: MIT */
/*
 * Records of networks, rules of VMs, pools and volumes as JSON: nothing crashes, and what is
 * accepted comes back the same when it is written and read again. What is accepted as a network
 * makes texts for nftables and dnsmasq.
 */
#include "base/compiler.h"
#include "base/fd.h"
#include "mgr/img/volume.h"
#include "mgr/net/dhcp.h"
#include "mgr/net/network.h"
#include "mgr/net/rules.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_network(const char *json, size_t len)
{
	struct network n, again;
	struct leases none = { 0 };
	struct rules_net in = { &n, &none };
	MEM_AUTO char *one = NULL, *two = NULL, *text = NULL;

	network_init(&n);
	network_init(&again);
	if (!network_decode(&n, json, len, true, NULL) && !network_check(&n, NULL)) {
		one = network_encode(&n);
		BUG_ON(!one || network_decode(&again, one, strlen(one), true, NULL));
		two = network_encode(&again);
		BUG_ON(!two || strcmp(one, two) != 0);
		if (n.have_subnet)
			text = rules_text(&in, 1);
	}
	network_free(&again);
	network_free(&n);
}

static void one_list(const char *json, size_t len)
{
	MEM_AUTO struct net_rule *r = NULL, *again = NULL;
	MEM_AUTO char *text = NULL;
	size_t n = 0, m = 0;

	if (net_rules_decode(&r, &n, json, len, NULL))
		return;
	text = net_rules_encode(r, n);
	BUG_ON(!text || net_rules_decode(&again, &m, text, strlen(text), NULL) || n != m);
}

static void one_volume(const char *json, size_t len)
{
	struct volume_record v = { 0 }, again = { 0 };
	struct pool_record p = { 0 };
	MEM_AUTO char *text = NULL;

	if (!volume_decode(&v, json, len, true, NULL)) {
		text = volume_encode(&v);
		BUG_ON(!text || volume_decode(&again, text, strlen(text), true, NULL));
		BUG_ON(v.size != again.size || strcmp(v.name, again.name) != 0);
	}
	if (!pool_decode(&p, json, len, true, NULL))
		BUG_ON(p.path[0] != '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_forward f;
	const char *json = (const char *)data;

	one_network(json, size);
	one_list(json, size);
	one_volume(json, size);
	if (!net_forward_decode(&f, json, size, NULL))
		BUG_ON(!f.host_port || !f.guest_port);
	return 0;
}
