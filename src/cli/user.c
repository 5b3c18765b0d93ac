/* SPDX-License-Identifier: MIT */
/*
 * holm user: who may talk to the manager.
 */
#include "cli/noun.h"

static const struct column columns[] = {
	{ "NAME", "name", COLUMN_TEXT },
	{ "UID", "uid", COLUMN_NUMBER },
	{ "TOKEN", "token", COLUMN_TEXT },
	{ "CERTIFICATE", "certificate", COLUMN_TEXT },
};

static const struct noun noun = { "user", "/v1/users", columns, ARRAY_SIZE(columns), NULL };

static const struct cmd_option add_options[] = {
	{ .name = "uid",
	  .arg = "N",
	  .help = "Known by this number on the manager's host",
	  .json = "uid",
	  .kind = CMD_JSON_NUMBER },
	{ .name = "token",
	  .help = "Known by a token, which is printed now and never again",
	  .json = "token",
	  .kind = CMD_JSON_SWITCH },
	{ .name = "certificate",
	  .arg = "SHA256",
	  .help = "Known by a client certificate with this fingerprint",
	  .json = "certificate" },
};

static const struct cmd rows[] = {
	{ .name = "user add",
	  .args = "USER",
	  .summary = "Let a user in; roles are given by holm project grant",
	  .sets = CMD_SETS(CMD_OPTIONS(add_options)),
	  .noun = &noun,
	  .run = noun_create },
	{ .name = "user ls",
	  .summary = "List users",
	  .sets = CMD_SETS(&session_output),
	  .noun = &noun,
	  .run = noun_ls },
	{ .name = "user rm",
	  .args = "USER...",
	  .summary = "Remove users and their roles",
	  .sets = CMD_SETS(&session_wait),
	  .values = "@user",
	  .noun = &noun,
	  .run = noun_rm },
};

const struct cmd_table cmd_table_user = { "user", "Who may talk to the manager", rows,
					  ARRAY_SIZE(rows) };
