/* SPDX-License-Identifier: MIT */
/*
 * holm project: groups of VMs, their quotas, and who may do what in them.
 */
#include "cli/body.h"
#include "cli/noun.h"

static const struct column columns[] = {
	{ "NAME", "name", COLUMN_TEXT },	   { "PARENT", "parent", COLUMN_TEXT },
	{ "VMS", "quota.vms", COLUMN_NUMBER },	   { "CPUS", "quota.cpus", COLUMN_NUMBER },
	{ "MEMORY", "quota.memory", COLUMN_SIZE }, { "DISK", "quota.disk", COLUMN_SIZE },
};

static const struct noun noun = { "project", "/v1/projects", columns, ARRAY_SIZE(columns), NULL };

static const struct cmd_option parent_options[] = {
	{ .name = "parent",
	  .arg = "PROJECT",
	  .help = "The project that it is a part of",
	  .json = "parent",
	  .values = "@project" },
};

static const struct cmd_option options[] = {
	{ .name = "quota-vms",
	  .arg = "N",
	  .help = "VMs at most; 0: no limit",
	  .json = "quota.vms",
	  .kind = CMD_JSON_NUMBER },
	{ .name = "quota-cpus",
	  .arg = "N",
	  .help = "The vCPUs of all its VMs at most; 0: no limit",
	  .json = "quota.cpus",
	  .kind = CMD_JSON_NUMBER },
	{ .name = "quota-memory",
	  .arg = "SIZE",
	  .help = "Memory of all its VMs at most; 0: no limit",
	  .json = "quota.memory",
	  .kind = CMD_JSON_SIZE },
	{ .name = "quota-disk",
	  .arg = "SIZE",
	  .help = "Bytes of all its volumes at most; 0: no limit",
	  .json = "quota.disk",
	  .kind = CMD_JSON_SIZE },
	{ .name = "cpu-reservation",
	  .arg = "CPUS",
	  .help = "CPUs that its VMs together always get, like 1.5",
	  .json = "resources.cpu.reservation",
	  .kind = CMD_JSON_CPU },
	{ .name = "cpu-limit",
	  .arg = "CPUS",
	  .help = "CPUs that they never get more than; 0: no limit",
	  .json = "resources.cpu.limit",
	  .kind = CMD_JSON_CPU },
	{ .name = "cpu-shares",
	  .arg = "N",
	  .help = "Their weight against other projects; 100 by default",
	  .json = "resources.cpu.shares",
	  .kind = CMD_JSON_NUMBER },
	{ .name = "memory-reservation",
	  .arg = "SIZE",
	  .help = "Memory that its VMs together always get",
	  .json = "resources.memory.reservation",
	  .kind = CMD_JSON_SIZE },
	{ .name = "memory-limit",
	  .arg = "SIZE",
	  .help = "Memory that they never get more than; 0: no limit",
	  .json = "resources.memory.limit",
	  .kind = CMD_JSON_SIZE },
	{ .name = "memory-shares",
	  .arg = "N",
	  .help = "Their weight against other projects; 100 by default",
	  .json = "resources.memory.shares",
	  .kind = CMD_JSON_NUMBER },
};

static int grant(const struct cmd *self, int argc, char **argv, const char *role)
{
	json_t *body = json_object();
	struct session s;
	struct err e = { 0 };
	struct url u;
	int ret;

	session_init(&s, self, argc, argv);
	ret = session_parse(&s, &e);
	if (!ret)
		ret = session_want(&s, role ? 2 : 3, role ? 2 : 3, &e);
	if (!ret)
		ret = body_put(body, "user", json_string(s.names[1]), false, &e);
	if (!ret)
		ret = body_put(body, "role", json_string(role ? role : s.names[2]), false, &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret) {
		noun_url(&u, &noun, s.names[0]);
		url_add(&u, "grants");
		ret = session_call(&s, "POST", &u, body, NULL, &e);
	}
	json_decref(body);
	return session_close(&s, ret, &e);
}

static int cmd_project_grant(const struct cmd *self, int argc, char **argv)
{
	return grant(self, argc, argv, NULL);
}

static int cmd_project_revoke(const struct cmd *self, int argc, char **argv)
{
	return grant(self, argc, argv, "none");
}

static const struct cmd rows[] = {
	{ .name = "project create",
	  .args = "PROJECT",
	  .summary = "Make a project",
	  .sets = CMD_SETS(CMD_OPTIONS(parent_options), CMD_OPTIONS(options)),
	  .noun = &noun,
	  .run = noun_create },
	{ .name = "project ls",
	  .summary = "List projects and their quotas",
	  .sets = CMD_SETS(&session_output),
	  .noun = &noun,
	  .run = noun_ls },
	{ .name = "project info",
	  .args = "PROJECT...",
	  .summary = "Show all about projects",
	  .sets = CMD_SETS(&session_format),
	  .values = "@project",
	  .noun = &noun,
	  .run = noun_info },
	{ .name = "project set",
	  .args = "PROJECT [KEY=VALUE...]",
	  .summary = "Change a project",
	  .sets = CMD_SETS(CMD_OPTIONS(parent_options), CMD_OPTIONS(options)),
	  .values = "@project",
	  .noun = &noun,
	  .run = noun_set },
	{ .name = "project rm",
	  .args = "PROJECT...",
	  .summary = "Remove empty projects",
	  .sets = CMD_SETS(&session_wait),
	  .values = "@project",
	  .noun = &noun,
	  .run = noun_rm },
	{ .name = "project grant",
	  .args = "PROJECT USER viewer|operator|owner|admin",
	  .summary = "Give a user a role in a project",
	  .text = "viewer sees; operator also starts and stops VMs and has their consoles; owner "
		  "also makes, changes and removes them and grants roles. The project * stands "
		  "for all; admin is for it only.",
	  .sets = CMD_ONLY_CONNECTION,
	  .values = "@project",
	  .run = cmd_project_grant },
	{ .name = "project revoke",
	  .args = "PROJECT USER",
	  .summary = "Take a user's role in a project away",
	  .sets = CMD_ONLY_CONNECTION,
	  .values = "@project",
	  .run = cmd_project_revoke },
};

const struct cmd_table cmd_table_project = { "project", "Groups of VMs, quotas and roles", rows,
					     ARRAY_SIZE(rows) };
