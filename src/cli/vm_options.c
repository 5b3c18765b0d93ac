/* SPDX-License-Identifier: MIT */
/*
 * The options of a VM of the manager's that are not its configuration, see session.h.
 */
#include "cli/session.h"

/* Of what holm run sets by itself too, @own is the configuration's field. */
#define TRIPLE(res, unit, what, k, own)                                                            \
	{ .name = #res "-reservation",                                                             \
	  .arg = unit,                                                                             \
	  .help = what " that it always gets",                                                     \
	  .json = "resources." #res ".reservation",                                                \
	  .kind = k },                                                                             \
		{ .name = #res "-limit",                                                           \
		  .arg = unit,                                                                     \
		  .help = what " that it never gets more than; 0: no limit",                       \
		  .field = own,                                                                    \
		  .json = "resources." #res ".limit",                                              \
		  .kind = k },                                                                     \
	{                                                                                          \
		.name = #res "-shares", .arg = "N",                                                \
		.help = "Its weight against others for what is not reserved; 100 by default",      \
		.json = "resources." #res ".shares", .kind = CMD_JSON_NUMBER                       \
	}

static const struct cmd_option managed[] = {
	TRIPLE(cpu, "CPUS", "CPUs, like 1.5,", CMD_JSON_CPU, NULL),
	TRIPLE(memory, "SIZE", "Memory, like 512M,", CMD_JSON_SIZE, NULL),
	TRIPLE(io, "SIZE", "Bytes of block I/O a second, like 10M,", CMD_JSON_SIZE, "io_limit"),
	TRIPLE(net, "SIZE", "Bytes of network traffic a second, like 10M,", CMD_JSON_SIZE,
	       "net_limit"),
	{ .name = "policy",
	  .arg = "fixed|dynamic|mixed",
	  .help = "Whether it has its reserved part only, a weighted part of what there is, or "
		  "both",
	  .json = "policy",
	  .values = "fixed dynamic mixed" },
	{ .name = "priority",
	  .arg = "N",
	  .help = "Higher goes first, for admission and for its part",
	  .json = "priority",
	  .kind = CMD_JSON_NUMBER },
	{ .name = "pin-cpus",
	  .arg = "LIST",
	  .help = "Host CPUs that it may run on, like 0-3,8",
	  .json = "pin.cpus" },
	{ .name = "pin-nodes",
	  .arg = "LIST",
	  .help = "NUMA nodes that its memory comes from, like 0",
	  .json = "pin.nodes" },
	{ .name = "restart",
	  .arg = "no|on-failure|always|unless-stopped",
	  .help = "Whether the manager starts it again when it has ended; no by default",
	  .json = "restart",
	  .values = "no on-failure always unless-stopped" },
};

static const struct cmd_option run[] = {
	{ .name = "project",
	  .arg = "PROJECT",
	  .help = "The project that it belongs to; default by default",
	  .json = "project",
	  .values = "@project" },
	{ .name = "burst",
	  .arg = "DURATION",
	  .help = "How long a batch job is going to compute, like 30s; makes the VM a batch job",
	  .json = "job.burst_ms",
	  .kind = CMD_JSON_MS },
};

static const struct cmd_option create[] = {
	{ .name = "start", .help = "Start it, too" },
	{ .name = "autostart",
	  .help = "Start it when the host starts",
	  .json = "autostart",
	  .kind = CMD_JSON_SWITCH },
};

static const struct cmd_option set[] = {
	{ .name = "autostart",
	  .arg = "on|off",
	  .help = "Whether it starts when the host starts",
	  .json = "autostart",
	  .kind = CMD_JSON_SWITCH,
	  .values = "on off" },
};

const struct cmd_options vm_managed_options = { managed, ARRAY_SIZE(managed), "managed options" };
const struct cmd_options vm_run_options = { run, ARRAY_SIZE(run), NULL };
const struct cmd_options vm_create_options = { create, ARRAY_SIZE(create), NULL };
const struct cmd_options vm_set_options = { set, ARRAY_SIZE(set), NULL };
