/* SPDX-License-Identifier: MIT */
/*
 * holm sched: the queue of VMs that wait for admission, and what each policy would make of one.
 */
#include "cli/noun.h"

static const struct column columns[] = {
	{ "POSITION", "position", COLUMN_NUMBER },   { "VM", "vm", COLUMN_TEXT },
	{ "STATE", "state", COLUMN_TEXT },	     { "PRIORITY", "priority", COLUMN_NUMBER },
	{ "WAITED_MS", "waited_ms", COLUMN_NUMBER },
};

static const struct noun noun = { "queue", "/v1/sched/queue", columns, ARRAY_SIZE(columns), NULL };

static const struct cmd_option simulate_options[] = {
	{ .name = "policy",
	  .arg = "all|fcfs|rr|sjf|fair",
	  .help = "Which policy; all of them by default",
	  .values = "all fcfs rr sjf fair" },
	{ .name = "quantum",
	  .arg = "MS",
	  .help = "Length of a slice under rr and fair, 0 for none; 100 by default" },
	{ .name = "ageing",
	  .arg = "MS",
	  .help = "Who has waited so long goes first, 0 for never; 600000 by default" },
	{ .name = "capacity", .arg = "CPUS", .help = "CPUs there are; 1 by default" },
	{ .name = "memory",
	  .arg = "SIZE",
	  .help = "Memory there is, like 64G; not counted by default" },
	{ .name = "svg",
	  .arg = "FILE",
	  .help = "Draw the schedules as Gantt charts to FILE",
	  .values = "@file" },
	{ .name = "format",
	  .arg = "table|json",
	  .help = "How to print the results; json has each job's, too; table by default",
	  .values = "table json" },
};
static const struct cmd_options simulate_set = { simulate_options, ARRAY_SIZE(simulate_options),
						 NULL };

static const struct cmd rows[] = {
	{ .name = "sched queue",
	  .summary = "List what waits for admission, next first",
	  .sets = CMD_SETS(&session_output),
	  .noun = &noun,
	  .run = noun_ls },
	{ .name = "sched simulate",
	  .args = "TRACE",
	  .summary = "Simulate a trace of jobs under each scheduling policy",
	  .text = "Runs the jobs of a trace through the scheduler of holmd, without starting "
		  "anything, and prints for each policy the mean and longest wait, the mean "
		  "turnaround and response, in milliseconds, when the last job ends, and how fair "
		  "the policy was: Jain's index of the speed that each job saw, 1 where all saw "
		  "the same.\n\n"
		  "A trace has one JSON object a line: {\"id\": \"a\", \"arrival_ms\": 0, "
		  "\"burst_ms\": 24, \"priority\": 0, \"shares\": 100, \"size\": {\"cpu\": 1000, "
		  "\"memory\": 0}}, of which arrival_ms and burst_ms are required; cpu is in "
		  "thousandths of a CPU. Empty lines and lines that begin with # are skipped.\n\n"
		  "fcfs takes who came first, sjf the shortest burst, rr gives slices in turn, "
		  "fair gives slices to who has the smallest virtual time, T_next = T_current + "
		  "burst / share. A higher priority goes first, under fair it makes the share "
		  "larger.",
	  .sets = CMD_SETS(&simulate_set),
	  .values = "@file",
	  .run = cmd_simulate },
};

const struct cmd_table cmd_table_sched = { "sched", "Admission and batch jobs", rows,
					   ARRAY_SIZE(rows) };
