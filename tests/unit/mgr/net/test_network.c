/* SPDX-License-Identifier: MIT */
/*
 * Addresses, records, leases, and the texts that nftables and dnsmasq are given; without rights.
 */
#include "mgr/net/dhcp.h"
#include "mgr/net/lease.h"
#include "mgr/net/network.h"
#include "mgr/net/rules.h"

#include "base/fd.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void addresses(void **state UNUSED)
{
	static const char *const bad_ip[] = { "",	    "1.2.3",	"1.2.3.4.5", "256.1.1.1",
					      "01.2.3.4",   "1.2.3.4 ", "1..2.3",    "1.2.3.-4",
					      "1.2.3.4444", "a.b.c.d" };
	static const char *const bad_mac[] = { "",
					       "52:54:00:12:34",
					       "00:00:00:00:00:00",
					       "01:00:5e:00:00:01",
					       "52-54-00-12-34-56",
					       "52:54:00:12:34:5g",
					       "52:54:00:12:34:56:" };
	char text[NET_CIDR_TEXT], name[NET_IF_MAX], hw[NET_MAC_TEXT];
	uint8_t mac[NET_MAC_LEN], again[NET_MAC_LEN];
	struct net_cidr c, d;
	uint32_t ip;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad_ip); i++)
		assert_false(net_ip_parse(bad_ip[i], &ip));
	assert_true(net_ip_parse("255.0.1.20", &ip));
	assert_int_equal(ip, 0xff000114);
	for (size_t i = 0; i < ARRAY_SIZE(bad_mac); i++)
		assert_int_equal(net_mac_parse(mac, bad_mac[i], &e), -EINVAL);
	assert_int_equal(net_mac_parse(mac, "52:54:00:AB:cd:0e", &e), 0);
	assert_string_equal(net_mac_format(hw, mac), "52:54:00:ab:cd:0e");
	assert_int_equal(net_cidr_parse(&c, "10.1.2.0/24", &e), 0);
	assert_string_equal(net_cidr_format(text, &c), "10.1.2.0/24");
	assert_int_equal(net_cidr_last(&c), 0x0a0102ff);
	assert_int_equal(net_cidr_parse(&d, "10.1.2.1/24", &e), -EINVAL);
	assert_non_null(strstr(e.msg, "did you mean 10.1.2.0/24"));
	assert_int_equal(net_cidr_parse(&d, "10.1.2.0/33", &e), -EINVAL);
	assert_int_equal(net_cidr_parse(&d, "10.1.2.0", &e), -EINVAL);
	assert_int_equal(net_cidr_parse(&d, "10.0.0.0/8", &e), 0);
	assert_true(net_cidr_overlap(&c, &d) && net_cidr_overlap(&d, &c));
	assert_int_equal(net_cidr_parse(&d, "10.1.3.0/24", &e), 0);
	assert_false(net_cidr_overlap(&c, &d));
	assert_int_equal(net_cidr_parse(&d, "0.0.0.0/0", &e), 0);
	assert_true(net_cidr_overlap(&c, &d));
	net_mac_for(mac, "aaaaaaaaaaaaaaaa");
	net_mac_for(again, "aaaaaaaaaaaaaaab");
	assert_memory_not_equal(mac, again, NET_MAC_LEN);
	assert_int_equal(mac[0] & 3, 2);
	net_tap_name(name, "0123456789abcdef");
	assert_string_equal(name, "ht0123456789");
	assert_true(net_name_is_tap(name) && !net_name_is_bridge(name));
	net_bridge_name(name, "0123456789abcdef");
	assert_string_equal(name, "hb01234567");
	assert_true(net_name_is_bridge(name) && !net_name_is_tap("ht01234567zz"));
}

static bool below(const void *ctx, uint32_t addr)
{
	return addr < *(const uint32_t *)ctx;
}

static void pool_of_addresses(void **state UNUSED)
{
	struct net_cidr c = { 0x0a010200, 29 };
	uint32_t none = 0, limit = 0x0a010206, all = UINT32_MAX;
	uint32_t a = net_addr_choose(&c, "web", below, &none);

	assert_int_equal(net_addr_choose(&c, "web", below, &none), a);
	assert_in_range(a, 0x0a010202, 0x0a010206);
	for (char n[2] = "a"; n[0] <= 'z'; n[0]++)
		assert_int_equal(net_addr_choose(&c, n, below, &limit), 0x0a010206);
	assert_int_equal(net_addr_choose(&c, "web", below, &all), 0);
}

static int decode(struct network *n, const char *json, struct err *e)
{
	int ret;

	network_init(n);
	/* Those that are about something else need no id. */
	ret = network_decode(n, json, strlen(json), strstr(json, "\"id\"") != NULL, e);
	if (!ret)
		ret = network_check(n, e);
	return ret;
}

#define FORWARD(vm, port) "{\"vm\":\"" vm "\",\"host_port\":" port ",\"guest_port\":80}"
#define LAN                                                                                        \
	"{\"id\":\"1111111111111111\",\"name\":\"lan\",\"subnet\":\"10.1.2.0/24\","                \
	"\"bridge\":\"hb11111111\",\"forwards\":[" FORWARD("web", "8080") "]}"

static void records(void **state UNUSED)
{
	static const struct {
		const char *json, *like;
	} bad[] = {
		{ "[]", "must be a JSON object" },
		{ "{\"name\":\"a\",\"colour\":1}", "'colour'" },
		{ "{\"name\":\"a b\"}", "network name 'a b'" },
		{ "{\"name\":\"a\",\"kind\":\"open\"}", "use nat, isolated or bridged" },
		{ "{\"name\":\"a\",\"dhcp\":1}", "true or false" },
		{ "{\"name\":\"a\",\"subnet\":\"10.0.0.0/8\"}", "too large or too small" },
		{ "{\"name\":\"a\",\"subnet\":\"127.1.0.0/16\"}", "reserved" },
		{ "{\"name\":\"a\",\"subnet\":\"239.1.0.0/24\"}", "reserved" },
		{ "{\"name\":\"a\",\"bridge\":\"br0\"}", "leave bridge out" },
		{ "{\"name\":\"a\",\"bridge\":\"b/r\"}", "cannot be an interface" },
		{ "{\"name\":\"a\",\"kind\":\"bridged\"}", "name an existing bridge" },
		{ "{\"name\":\"a\",\"kind\":\"bridged\",\"bridge\":\"br0\",\"dhcp\":true}",
		  "leave subnet and dhcp out" },
		{ "{\"name\":\"a\",\"kind\":\"isolated\",\"forwards\":[" FORWARD("v", "1") "]}",
		  "only nat" },
		{ "{\"name\":\"a\",\"forwards\":[" FORWARD("v", "0") "]}", "1 to 65535" },
		{ "{\"name\":\"a\",\"forwards\":[" FORWARD("v", "1") "," FORWARD("w", "1") "]}",
		  "forwarded twice" },
		{ "{\"name\":\"a\",\"forwards\":[{\"vm\":\"v\",\"port\":1}]}", "'port'" },
		{ "{\"name\":\"a\",\"forwards\":[{\"vm\":\"v\"}]}", "needs" },
		{ "{\"name\":\"a\",\"id\":\"xyz\"}", "hexadecimal" },
		{ "{}", "needs a name" },
	};
	struct network n, m;
	MEM_AUTO char *text = NULL, *again = NULL;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(decode(&n, bad[i].json, &e) < 0);
		if (!strstr(e.msg, bad[i].like))
			fail_msg("%s: %s", bad[i].json, e.msg);
		network_free(&n);
	}
	assert_int_equal(decode(&n, LAN, &e), 0);
	assert_true(n.dhcp && !n.autostart && n.kind == NET_NAT && n.n_forwards == 1);
	assert_int_equal(n.forwards[0].host_addr, 0x7f000001);
	text = network_encode(&n);
	assert_int_equal(decode(&m, text, &e), 0);
	again = network_encode(&m);
	assert_string_equal(text, again);
	/* A change sets what it names, and nothing where it is refused. */
	assert_int_equal(network_decode(&m, "{\"autostart\":true}", 18, false, &e), 0);
	assert_true(m.autostart && m.n_forwards == 1);
	assert_true(network_decode(&m, "{\"name\":\"x\",\"forwards\":1}", 25, false, &e) < 0);
	assert_string_equal(m.name, "lan");
	network_free(&n);
	network_free(&m);
}

static void rules_are_strict(void **state UNUSED)
{
	static const char good[] = "[{\"dir\":\"in\",\"action\":\"allow\",\"proto\":\"tcp\","
				   "\"peer\":\"10.0.0.0/8\",\"ports\":\"80-90\"},"
				   "{\"dir\":\"out\",\"action\":\"deny\"}]";
	static const char *const bad[] = {
		"{}",
		"[1]",
		"[{\"dir\":\"in\"}]",
		"[{\"dir\":\"in\",\"action\":\"deny\",\"ports\":\"80\"}]",
		"[{\"dir\":\"in\",\"action\":\"deny\",\"proto\":\"tcp\",\"ports\":\"90-80\"}]",
		"[{\"dir\":\"in\",\"action\":\"deny\",\"proto\":\"tcp\",\"ports\":\"80 drop\"}]",
		"[{\"dir\":\"in\",\"action\":\"deny\",\"peer\":\"10.0.0.1/8\"}]",
		"[{\"dir\":\"in\",\"action\":\"deny\",\"x\":1}]",
	};
	MEM_AUTO struct net_rule *r = NULL, *again = NULL;
	MEM_AUTO char *text = NULL, *back = NULL;
	size_t n = 0, m = 0;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_true(net_rules_decode(&r, &n, bad[i], strlen(bad[i]), &e) < 0);
	assert_int_equal(net_rules_decode(&r, &n, good, strlen(good), &e), 0);
	assert_int_equal(n, 2);
	assert_true(!r[0].out && !r[0].deny && r[0].port_first == 80 && r[0].port_last == 90);
	assert_true(r[1].out && r[1].deny && r[1].proto == NET_PROTO_ANY && !r[1].peer.prefix);
	text = net_rules_encode(r, n);
	assert_int_equal(net_rules_decode(&again, &m, text, strlen(text), &e), 0);
	assert_int_equal(m, 2);
	back = net_rules_encode(again, m);
	assert_string_equal(text, back);
}

static void add_lease(struct leases *t, const char *vm, const char *name, uint32_t addr)
{
	struct net_lease *l = leases_add(t);

	assert_non_null(l);
	snprintf(l->vm, sizeof(l->vm), "%s", vm);
	snprintf(l->name, sizeof(l->name), "%s", name);
	net_mac_for(l->mac, vm);
	l->addr = addr;
	l->attached = true;
}

static void leases_survive(void **state UNUSED)
{
	char dir[] = "/tmp/holm-lease-XXXXXX", path[64];
	struct leases t = { 0 }, u = { 0 };
	struct err e;
	int fd, file;

	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(leases_load(&t, fd, "l.json", &e), 0);
	assert_int_equal(t.n, 0);
	add_lease(&t, "aaaaaaaaaaaaaaaa", "web", 0x0a010203);
	add_lease(&t, "bbbbbbbbbbbbbbbb", "db", 0x0a010204);
	t.v[1].rules = calloc(1, sizeof(*t.v[1].rules));
	t.v[1].rules[0].deny = true;
	t.v[1].n_rules = 1;
	assert_int_equal(leases_save(&t, fd, "l.json", &e), 0);
	assert_int_equal(leases_load(&u, fd, "l.json", &e), 0);
	assert_int_equal(u.n, 2);
	assert_ptr_equal(leases_find(&u, "db"), &u.v[1]);
	assert_ptr_equal(leases_find(&u, "aaaaaaaaaaaaaaaa"), &u.v[0]);
	assert_int_equal(u.v[0].addr, 0x0a010203);
	assert_true(u.v[1].attached && u.v[1].n_rules == 1 && u.v[1].rules[0].deny);
	/* A damaged file is told, and what was known stays. */
	file = openat(fd, "l.json", O_WRONLY);
	assert_int_equal(ftruncate(file, 40), 0);
	close(file);
	assert_int_equal(leases_load(&u, fd, "l.json", &e), -EINVAL);
	assert_int_equal(u.n, 2);
	leases_remove(&u, &u.v[0]);
	assert_int_equal(u.n, 1);
	assert_string_equal(u.v[0].name, "db");
	leases_free(&t);
	leases_free(&u);
	close(fd);
	snprintf(path, sizeof(path), "%s/l.json", dir);
	unlink(path);
	rmdir(dir);
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text);
}

static void hasnt(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" in:\n%s", part, text);
}

static void rules_say_it_all(void **state UNUSED)
{
	static const char rules[] = "[{\"dir\":\"in\",\"action\":\"deny\"},"
				    "{\"dir\":\"out\",\"action\":\"deny\",\"proto\":\"udp\","
				    "\"peer\":\"192.0.2.0/24\",\"ports\":\"53\"}]";
	struct network lan, cell;
	struct leases a = { 0 }, b = { 0 };
	struct rules_net nets[] = { { &lan, &a }, { &cell, &b } };
	MEM_AUTO char *text = NULL, *none = NULL;
	struct err e;

	assert_int_equal(decode(&lan, LAN, &e), 0);
	assert_int_equal(
		decode(&cell,
		       "{\"id\":\"2222222222222222\",\"name\":\"cell\",\"kind\":"
		       "\"isolated\",\"subnet\":\"10.9.0.0/24\",\"bridge\":\"hb22222222\"}",
		       &e),
		0);
	none = rules_text(NULL, 0);
	assert_string_equal(none, "table bridge holm\ndelete table bridge holm\n"
				  "table inet holm\ndelete table inet holm\n");
	add_lease(&a, "aaaaaaaaaaaaaaaa", "web", 0x0a010203);
	add_lease(&b, "bbbbbbbbbbbbbbbb", "lone", 0x0a090003);
	assert_int_equal(net_rules_decode(&a.v[0].rules, &a.v[0].n_rules, rules, strlen(rules), &e),
			 0);
	text = rules_text(nets, 2);
	has(text, "\"htaaaaaaaaaa\" . 10.1.2.3,");
	has(text, "\"htbbbbbbbbbb\" : goto guest,");
	has(text, "ip saddr 10.1.2.0/24 ip daddr != { 10.1.2.0/24, 224.0.0.0/4, 255.255.255.255 } "
		  "masquerade");
	hasnt(text, "ip saddr 10.9.0.0/24 ip daddr !=");
	has(text, "ip daddr 127.0.0.1 tcp dport 8080 dnat ip to 10.1.2.3:80");
	has(text, "ether type { ip, ip6 } meta l4proto != tcp drop\n"
		  "\t\tether type { ip, ip6 } tcp flags & (syn | ack) == syn drop");
	has(text, "ip daddr 192.0.2.0/24 udp dport 53-53 drop");
	has(text, "\"htaaaaaaaaaa\" : goto out_htaaaaaaaaaa,");
	hasnt(text, "out_htbbbbbbbbbb");
	/* Who is not attached has no rules of a tap, but keeps its forwards. */
	a.v[0].attached = false;
	free(text);
	text = rules_text(nets, 2);
	hasnt(text, "htaaaaaaaaaa");
	has(text, "dnat ip to 10.1.2.3:80");
	leases_free(&a);
	leases_free(&b);
	network_free(&lan);
	network_free(&cell);
}

static void dnsmasq_is_told(void **state UNUSED)
{
	struct network n;
	struct leases t = { 0 };
	struct dhcp_params p = {
		.user = "nobody", .resolv = "/r", .dir = "/run/x", .net = &n, .leases = &t
	};
	MEM_AUTO char *conf = NULL, *hosts = NULL, *names = NULL;
	struct err e;

	assert_int_equal(decode(&n, LAN, &e), 0);
	add_lease(&t, "aaaaaaaaaaaaaaaa", "ignore", 0x0a010203);
	add_lease(&t, "bbbbbbbbbbbbbbbb", "_odd", 0x0a010204);
	memcpy(t.v[0].mac, "\x52\x54\0\0\0\x0a", 6);
	memcpy(t.v[1].mac, "\x52\x54\0\0\0\x0b", 6);
	conf = dhcp_config_text(&p);
	has(conf, "interface=hb11111111\nexcept-interface=lo\nbind-dynamic\n");
	has(conf, "dhcp-range=10.1.2.0,static,255.255.255.0,12h\n");
	has(conf, "dhcp-option=option:router,10.1.2.1\n");
	has(conf, "resolv-file=/r\n");
	has(conf, "addn-hosts=/run/x/names\n");
	hosts = dhcp_hosts_text(&t);
	/* "ignore" alone would have dnsmasq not answer that VM at all. */
	assert_string_equal(hosts, "52:54:00:00:00:0a,10.1.2.3,ignore.holm\n"
				   "52:54:00:00:00:0b,10.1.2.4\n");
	names = dhcp_names_text(&t);
	assert_string_equal(names, "10.1.2.3 ignore.holm ignore\n10.1.2.4 _odd.holm _odd\n");
	n.kind = NET_ISOLATED;
	n.dhcp = false;
	free(conf);
	conf = dhcp_config_text(&p);
	has(conf, "no-resolv\n");
	hasnt(conf, "dhcp-range");
	hasnt(conf, "resolv-file");
	assert_true(dhcp_path_safe("/run/holm/net") && !dhcp_path_safe("run"));
	assert_false(dhcp_path_safe("/run/a b") || dhcp_path_safe("/run/a\nuser=root"));
	leases_free(&t);
	network_free(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),	   cmocka_unit_test(pool_of_addresses),
		cmocka_unit_test(records),	   cmocka_unit_test(rules_are_strict),
		cmocka_unit_test(leases_survive),  cmocka_unit_test(rules_say_it_all),
		cmocka_unit_test(dnsmasq_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
