/* SPDX-License-Identifier: MIT */
/*
 * holm pool: folders that volumes lie in.
 */
#include "cli/noun.h"

static const struct column columns[] = {
	{ "NAME", "name", COLUMN_TEXT },	   { "PATH", "path", COLUMN_TEXT },
	{ "CAPACITY", "capacity", COLUMN_SIZE },   { "USED", "used", COLUMN_SIZE },
	{ "AVAILABLE", "available", COLUMN_SIZE },
};

static const struct noun noun = { "pool", "/v1/pools", columns, ARRAY_SIZE(columns), NULL };

static const struct cmd_option create_options[] = {
	{ .name = "path",
	  .arg = "FOLDER",
	  .help = "An absolute path on the manager's host",
	  .json = "path",
	  .values = "@file" },
};

static const struct cmd rows[] = {
	{ .name = "pool create",
	  .args = "POOL",
	  .summary = "Make a pool of a folder",
	  .sets = CMD_SETS(CMD_OPTIONS(create_options)),
	  .noun = &noun,
	  .run = noun_create },
	{ .name = "pool ls",
	  .summary = "List pools",
	  .sets = CMD_SETS(&session_output),
	  .noun = &noun,
	  .run = noun_ls },
	{ .name = "pool info",
	  .args = "POOL...",
	  .summary = "Show all about pools",
	  .sets = CMD_SETS(&session_format),
	  .values = "@pool",
	  .noun = &noun,
	  .run = noun_info },
	{ .name = "pool rm",
	  .args = "POOL...",
	  .summary = "Forget empty pools",
	  .sets = CMD_SETS(&session_wait),
	  .values = "@pool",
	  .noun = &noun,
	  .run = noun_rm },
};

const struct cmd_table cmd_table_pool = { "pool", "Folders that volumes lie in", rows,
					  ARRAY_SIZE(rows) };
