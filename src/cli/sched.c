/* SPDX-License-Identifier: MIT */
/*
 * holm sched: the queue of VMs that wait for admission.
 */
#include "cli/noun.h"

static const struct column columns[] = {
	{ "NAME", "name", COLUMN_TEXT },	   { "PROJECT", "project", COLUMN_TEXT },
	{ "PRIORITY", "priority", COLUMN_NUMBER }, { "BURST_MS", "burst_ms", COLUMN_NUMBER },
	{ "WAITS", "since", COLUMN_SINCE },	   { "WHY", "why", COLUMN_TEXT },
};

static const struct noun noun = { "queue", "/v1/sched/queue", columns, ARRAY_SIZE(columns) };

static const struct cmd rows[] = {
	{ .name = "sched queue",
	  .summary = "List what waits for admission, next first",
	  .sets = CMD_SETS(&session_output),
	  .noun = &noun,
	  .run = noun_ls },
};

const struct cmd_table cmd_table_sched = { "sched", "Admission and batch jobs", rows,
					   ARRAY_SIZE(rows) };
