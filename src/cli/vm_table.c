/* SPDX-License-Identifier: MIT */
/*
 * The commands for VMs of the manager's, and what a list of them shows.
 */
#include "cli/vm.h"

static const struct column columns[] = {
	{ "NAME", "name", COLUMN_TEXT },	  { "STATE", "state", COLUMN_TEXT },
	{ "CPUS", "config.cpus", COLUMN_NUMBER }, { "MEMORY", "config.memory", COLUMN_SIZE },
	{ "ENGINE", "run.engine", COLUMN_TEXT },  { "UPTIME", "run.started", COLUMN_SINCE },
	{ "PROJECT", "project", COLUMN_TEXT },
};

const struct noun vm_noun = { "VM", "/v1/vms", columns, ARRAY_SIZE(columns), "brief" };

static const struct cmd_option ls_options[] = {
	{ .name = "all", .letter = 'a', .help = "Deleted VMs, too", .json = "?deleted" },
	{ .name = "project",
	  .arg = "PROJECT",
	  .help = "Only those of this project",
	  .json = "?project",
	  .values = "@project" },
	{ .name = "state",
	  .arg = "STATE",
	  .help = "Only those in this state",
	  .json = "?state",
	  .values = "created starting running paused suspending suspended resuming stopping "
		    "stopped crashed deleted" },
};

static const struct cmd vms[] = {
	{ .name = "create",
	  .args = "[NAME]",
	  .summary = "Make a VM of the manager's",
	  .text = "Takes the options of a VM's configuration as holm run has them, and what the "
		  "manager needs to know. Files are those of the manager's host. Without a name "
		  "the VM gets one. Prints the VM's name.",
	  .sets = CMD_SETS(&vm_create_options, &vm_run_options, &vm_managed_options, &session_wait,
			   &cmd_config_options),
	  .run = cmd_create },
	{ .name = "ls",
	  .summary = "List VMs",
	  .sets = CMD_SETS(CMD_OPTIONS(ls_options), &session_output),
	  .noun = &vm_noun,
	  .run = noun_ls },
	{ .name = "info",
	  .args = "VM...",
	  .summary = "Show all about VMs",
	  .sets = CMD_SETS(&session_format),
	  .values = "@vm",
	  .noun = &vm_noun,
	  .run = noun_info },
	{ .name = "set",
	  .args = "VM [KEY=VALUE...]",
	  .summary = "Change a VM",
	  .text = "KEY is the name of one of the options. What can change while the VM runs does; "
		  "the rest counts from its next start.",
	  .sets = CMD_SETS(&vm_set_options, &vm_managed_options, &session_wait,
			   &cmd_config_options),
	  .values = "@vm",
	  .noun = &vm_noun,
	  .run = cmd_set },
	{ .name = "rename",
	  .args = "VM NEWNAME",
	  .summary = "Give a VM another name",
	  .sets = CMD_ONLY_CONNECTION,
	  .values = "@vm",
	  .run = cmd_rename },
	{ .name = "autostart",
	  .args = "VM on|off",
	  .summary = "Say whether a VM starts when the host starts",
	  .sets = CMD_ONLY_CONNECTION,
	  .values = "@vm",
	  .run = cmd_autostart },
};

static const struct cmd_option start_options[] = {
	{ .name = "paused",
	  .help = "Stand still before the first instruction, until resume",
	  .json = "paused",
	  .kind = CMD_JSON_SWITCH },
};

static const struct cmd_option shutdown_options[] = {
	{ .name = "timeout",
	  .letter = 't',
	  .arg = "DURATION",
	  .help = "How long the guest may take before it is ended, like 30s" },
	{ .name = "force", .letter = 'f', .help = "End it at once, as kill does" },
};

static const struct cmd_option rm_options[] = {
	{ .name = "force", .letter = 'f', .help = "End it first where it runs" },
	{ .name = "purge", .help = "For good, with its files: undelete cannot bring it back" },
};

static const struct cmd_option wait_options[] = {
	{ .name = "state",
	  .arg = "STATE",
	  .help = "The state to wait for; ended, which is any without a process, by default",
	  .values = "created running paused suspended stopped crashed deleted ended" },
	{ .name = "timeout",
	  .letter = 't',
	  .arg = "DURATION",
	  .help = "How long to wait, like 30s; for ever by default" },
};

#define ACT(word, what, ...)                                                                       \
	{                                                                                          \
		.name = word, .args = "VM...", .summary = what, .sets = CMD_SETS(&session_wait),   \
		.values = "@vm", .noun = &vm_noun, .verb = word, .run = noun_act, __VA_ARGS__      \
	}

static const struct cmd life[] = {
	{ .name = "start",
	  .args = "VM...",
	  .summary = "Start VMs",
	  .sets = CMD_SETS(CMD_OPTIONS(start_options), &session_wait),
	  .values = "@vm",
	  .noun = &vm_noun,
	  .verb = "start",
	  .run = noun_act },
	ACT("pause", "Let VMs stand still; their memory stays", ),
	ACT("resume", "Let paused VMs run again", ),
	ACT("suspend", "Write VMs' state to disk and end their processes", ),
	ACT("restore", "Bring suspended VMs back from disk", ),
	{ .name = "shutdown",
	  .alias = "stop",
	  .args = "VM...",
	  .summary = "Press VMs' power buttons, and end them after a grace time",
	  .sets = CMD_SETS(CMD_OPTIONS(shutdown_options), &session_wait),
	  .values = "@vm",
	  .noun = &vm_noun,
	  .run = cmd_shutdown },
	ACT("reboot", "Reboot VMs in good order", .alias = "restart"),
	ACT("reset", "Reset VMs as their button would", ),
	ACT("kill", "End VMs' processes at once", ),
	{ .name = "rm",
	  .args = "VM...",
	  .summary = "Remove VMs, so that undelete can bring them back",
	  .sets = CMD_SETS(CMD_OPTIONS(rm_options), &session_wait),
	  .values = "@vm",
	  .noun = &vm_noun,
	  .run = cmd_rm },
	ACT("undelete", "Bring removed VMs back", ),
	ACT("purge", "Remove deleted VMs for good, with their files", ),
	{ .name = "wait",
	  .args = "VM...",
	  .summary = "Wait until VMs are in a state, and print it",
	  .sets = CMD_SETS(CMD_OPTIONS(wait_options)),
	  .values = "@vm",
	  .noun = &vm_noun,
	  .run = cmd_wait },
};

static const struct cmd_option console_options[] = {
	{ .name = "read", .help = "Only look; any number may" },
	{ .name = "force", .letter = 'f', .help = "Take the place of who writes now" },
};

static const struct cmd_option logs_options[] = {
	{ .name = "follow", .letter = 'f', .help = "Go on with what comes" },
	{ .name = "raw", .help = "Let control characters through to a terminal" },
};

static const struct cmd_option top_options[] = {
	{ .name = "interval",
	  .letter = 'i',
	  .arg = "DURATION",
	  .help = "Time between two looks; 2s by default" },
	{ .name = "count", .letter = 'n', .arg = "N", .help = "End after so many looks" },
	{ .name = "sort",
	  .arg = "cpu|memory|io|net|name",
	  .help = "What goes first; cpu by default",
	  .values = "cpu memory io net name" },
};

static const struct cmd_option events_options[] = {
	{ .name = "follow", .letter = 'f', .help = "Go on with what comes" },
	{ .name = "since", .arg = "SEQ", .help = "Only those behind this number" },
};

static const struct cmd watch[] = {
	{ .name = "console",
	  .args = "VM",
	  .summary = "Attach this terminal to a VM's console",
	  .text = "The last output is shown first. Ctrl-] d detaches (so does Ctrl-] q: the VM is "
		  "the manager's and goes on); Ctrl-] Ctrl-] sends one Ctrl-] to the guest. What "
		  "the guest writes reaches the terminal as it is. Standard input need not be a "
		  "terminal; at its end the output goes on.",
	  .sets = CMD_SETS(CMD_OPTIONS(console_options)),
	  .values = "@vm",
	  .run = cmd_console },
	{ .name = "logs",
	  .args = "VM",
	  .summary = "Print what a VM wrote on its console",
	  .sets = CMD_SETS(CMD_OPTIONS(logs_options)),
	  .values = "@vm",
	  .run = cmd_logs },
	{ .name = "stats",
	  .args = "[VM...]",
	  .summary = "Print VMs' counters once",
	  .text = "Without a name, those of all VMs that run.",
	  .sets = CMD_SETS(&session_output),
	  .values = "@vm",
	  .run = cmd_stats },
	{ .name = "top",
	  .summary = "Show what VMs use, live",
	  .text = "The keys c, m, i, o and n sort by CPU, memory, block I/O, network and name; "
		  "q ends. Where standard output is no terminal, the table is printed again and "
		  "again.",
	  .sets = CMD_SETS(CMD_OPTIONS(top_options)),
	  .run = cmd_top },
	{ .name = "events",
	  .summary = "Print what happens",
	  .text = "Without --follow, what the manager still has.",
	  .sets = CMD_SETS(CMD_OPTIONS(events_options), &session_format),
	  .run = cmd_events },
};

const struct cmd_table cmd_table_vm = { NULL, "VMs of the manager", vms, ARRAY_SIZE(vms) };
const struct cmd_table cmd_table_life = { NULL, "Their life", life, ARRAY_SIZE(life) };
const struct cmd_table cmd_table_watch = { NULL, "What they do", watch, ARRAY_SIZE(watch) };
