/* SPDX-License-Identifier: MIT */
/*
 * holm net: networks of the manager.
 */
#include "cli/noun.h"

static const struct column columns[] = {
	{ "NAME", "name", COLUMN_TEXT },     { "KIND", "kind", COLUMN_TEXT },
	{ "STATE", "state", COLUMN_TEXT },   { "SUBNET", "subnet", COLUMN_TEXT },
	{ "BRIDGE", "bridge", COLUMN_TEXT }, { "AUTOSTART", "autostart", COLUMN_TEXT },
};

static const struct noun noun = { "network", "/v1/networks", columns, ARRAY_SIZE(columns), NULL };

static const struct column lease_columns[] = {
	{ "VM", "vm", COLUMN_TEXT },
	{ "NAME", "name", COLUMN_TEXT },
	{ "MAC", "mac", COLUMN_TEXT },
	{ "ADDRESS", "address", COLUMN_TEXT },
	{ "ATTACHED", "attached", COLUMN_TEXT },
};

static const struct cmd_option create_options[] = {
	{ .name = "kind",
	  .arg = "nat|isolated|bridged",
	  .help = "With nat, VMs reach the outside through the host; isolated, only each other; "
		  "bridged joins them to a bridge that exists already",
	  .json = "kind",
	  .values = "nat isolated bridged" },
	{ .name = "subnet",
	  .arg = "ADDRESS/BITS",
	  .help = "Its addresses, like 10.20.0.0/24",
	  .json = "subnet" },
	{ .name = "bridge", .arg = "NAME", .help = "The bridge's interface", .json = "bridge" },
	{ .name = "dhcp",
	  .arg = "on|off",
	  .help = "Whether VMs get their addresses from it",
	  .json = "dhcp",
	  .kind = CMD_JSON_SWITCH,
	  .values = "on off" },
	{ .name = "autostart",
	  .help = "Start it with the manager",
	  .json = "autostart",
	  .kind = CMD_JSON_SWITCH },
	{ .name = "publish",
	  .letter = 'p',
	  .arg = "[ADDR:]HOST:VM:GUEST[/udp]",
	  .help = "Forward a host port to a port of one of its VMs",
	  .json = "forwards",
	  .kind = CMD_JSON_LIST,
	  .repeat = true },
};

static const struct cmd_option set_options[] = {
	{ .name = "dhcp",
	  .arg = "on|off",
	  .help = "Whether VMs get their addresses from it",
	  .json = "dhcp",
	  .kind = CMD_JSON_SWITCH,
	  .values = "on off" },
	{ .name = "publish",
	  .letter = 'p',
	  .arg = "[ADDR:]HOST:VM:GUEST[/udp]",
	  .help = "Forward a host port to a port of one of its VMs; these take the place of all "
		  "that were there",
	  .json = "forwards",
	  .kind = CMD_JSON_LIST,
	  .repeat = true },
};

static int cmd_net_leases(const struct cmd *self, int argc, char **argv)
{
	json_t *items = NULL;
	struct session s;
	struct err e = { 0 };
	struct url u;
	int ret;

	session_init(&s, self, argc, argv);
	ret = session_parse(&s, &e);
	if (!ret)
		ret = session_want(&s, 1, 1, &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret) {
		noun_url(&u, &noun, s.names[0]);
		url_add(&u, "leases");
		ret = noun_list(&s, &u, &items, &e);
	}
	if (!ret)
		ret = output_list(&s.output, stdout, items, lease_columns,
				  ARRAY_SIZE(lease_columns), &e);
	json_decref(items);
	return session_close(&s, ret, &e);
}

static int cmd_net_autostart(const struct cmd *self, int argc, char **argv)
{
	json_t *body = NULL;
	struct session s;
	struct err e = { 0 };
	int ret;

	session_init(&s, self, argc, argv);
	ret = session_parse(&s, &e);
	if (!ret)
		ret = session_want(&s, 2, 2, &e);
	if (!ret)
		ret = noun_autostart(&body, s.names[1], &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret)
		ret = noun_change(&s, &noun, s.names[0], body, "change", &e);
	json_decref(body);
	return session_close(&s, ret, &e);
}

static const struct cmd rows[] = {
	{ .name = "net create",
	  .args = "NETWORK",
	  .summary = "Make a network",
	  .sets = CMD_SETS(CMD_OPTIONS(create_options), &session_wait),
	  .noun = &noun,
	  .run = noun_create },
	{ .name = "net ls",
	  .summary = "List networks",
	  .sets = CMD_SETS(&session_output),
	  .noun = &noun,
	  .run = noun_ls },
	{ .name = "net info",
	  .args = "NETWORK...",
	  .summary = "Show all about networks",
	  .sets = CMD_SETS(&session_format),
	  .values = "@net",
	  .noun = &noun,
	  .run = noun_info },
	{ .name = "net set",
	  .args = "NETWORK [KEY=VALUE...]",
	  .summary = "Change a network",
	  .sets = CMD_SETS(CMD_OPTIONS(set_options), &session_wait),
	  .values = "@net",
	  .noun = &noun,
	  .run = noun_set },
	{ .name = "net start",
	  .args = "NETWORK...",
	  .summary = "Bring networks up",
	  .sets = CMD_SETS(&session_wait),
	  .values = "@net",
	  .noun = &noun,
	  .verb = "start",
	  .run = noun_act },
	{ .name = "net stop",
	  .args = "NETWORK...",
	  .summary = "Take networks down",
	  .sets = CMD_SETS(&session_wait),
	  .values = "@net",
	  .noun = &noun,
	  .verb = "stop",
	  .run = noun_act },
	{ .name = "net autostart",
	  .args = "NETWORK on|off",
	  .summary = "Say whether a network starts with the manager",
	  .sets = CMD_ONLY_CONNECTION,
	  .values = "@net",
	  .run = cmd_net_autostart },
	{ .name = "net leases",
	  .args = "NETWORK",
	  .summary = "List the addresses that VMs have in a network",
	  .sets = CMD_SETS(&session_output),
	  .values = "@net",
	  .run = cmd_net_leases },
	{ .name = "net rm",
	  .args = "NETWORK...",
	  .summary = "Remove networks",
	  .sets = CMD_SETS(&session_wait),
	  .values = "@net",
	  .noun = &noun,
	  .run = noun_rm },
};

const struct cmd_table cmd_table_net = { "net", "Networks", rows, ARRAY_SIZE(rows) };
