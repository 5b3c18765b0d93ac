/* SPDX-License-Identifier: MIT */
/*
 * holm system: the manager and its host.
 */
#include "cli/noun.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct column audit_columns[] = {
	{ "SEQ", "seq", COLUMN_NUMBER },     { "AT", "at", COLUMN_TEXT },
	{ "WHO", "who", COLUMN_TEXT },	     { "FROM", "from", COLUMN_TEXT },
	{ "WHAT", "what", COLUMN_TEXT },     { "ON", "on", COLUMN_TEXT },
	{ "RESULT", "result", COLUMN_TEXT },
};

static const struct cmd_option audit_options[] = {
	{ .name = "since", .arg = "SEQ", .help = "Only entries behind this number" },
};

static const struct column operation_columns[] = {
	{ "ID", "id", COLUMN_TEXT },
	{ "VERB", "verb", COLUMN_TEXT },
	{ "TARGET", "target", COLUMN_TEXT },
	{ "STATE", "state", COLUMN_TEXT },
	{ "PROGRESS", "progress", COLUMN_NUMBER },
	{ "CREATED", "created", COLUMN_TEXT },
};

static const struct noun operations = { "operation", "/v1/operations", operation_columns,
					ARRAY_SIZE(operation_columns), NULL };

/* GET of one object without a name. */
static int get(const struct cmd *self, int argc, char **argv, const char *path, json_t **out)
{
	struct session s;
	struct err e = { 0 };
	struct url u;
	int ret;

	session_init(&s, self, argc, argv);
	url_init(&u, path);
	ret = session_parse(&s, &e);
	if (!ret)
		ret = session_want(&s, 0, 0, &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret)
		ret = session_call(&s, "GET", &u, NULL, out, &e);
	if (!ret)
		ret = output_object(&s.output, stdout, *out, &e);
	return session_close(&s, ret, &e);
}

static int cmd_system_info(const struct cmd *self, int argc, char **argv)
{
	json_t *host = NULL;
	int ret = get(self, argc, argv, "/v1/host", &host);

	json_decref(host);
	return ret;
}

static int cmd_system_audit_verify(const struct cmd *self, int argc, char **argv)
{
	json_t *result = NULL;
	int ret = get(self, argc, argv, "/v1/audit/verify", &result);

	/* Whether the log is whole is the answer, not a failure of the request. */
	if (!ret && json_is_false(json_object_get(result, "intact")))
		ret = HOLM_EXIT_INPUT;
	json_decref(result);
	return ret;
}

/* The manager answers in pages; all of them from --since on are shown. */
static int all_pages(struct session *s, const char *since, json_t *all, struct err *e)
{
	json_int_t last = since ? strtoll(since, NULL, 10) : 0;

	for (;;) {
		json_t *page = NULL, *seq;
		struct url u;
		int ret;

		url_init(&u, "/v1/audit");
		url_query_number(&u, "since", last);
		ret = noun_list(s, &u, &page, e);
		if (ret)
			return ret;
		seq = json_object_get(json_array_get(page, json_array_size(page) - 1), "seq");
		if (!json_is_integer(seq) || json_integer_value(seq) <= last) {
			json_decref(page);
			return 0;
		}
		last = json_integer_value(seq);
		json_array_extend(all, page);
		json_decref(page);
	}
}

static int cmd_system_audit(const struct cmd *self, int argc, char **argv)
{
	const char *value, *since = NULL;
	const struct cmd_option *opt;
	json_t *all = json_array();
	struct session s;
	struct err e = { 0 };
	int ret;

	session_init(&s, self, argc, argv);
	while ((ret = session_next(&s, &opt, &value, &e)) > 0)
		since = value;
	if (!ret && since && (!*since || strspn(since, "0123456789") != strlen(since)))
		ret = err_set(&e, -EINVAL, "--since '%.80s' is no number", since);
	if (!ret)
		ret = session_want(&s, 0, 0, &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret)
		ret = all_pages(&s, since, all, &e);
	if (!ret)
		ret = output_list(&s.output, stdout, all, audit_columns, ARRAY_SIZE(audit_columns),
				  &e);
	json_decref(all);
	return session_close(&s, ret, &e);
}

static int cmd_system_openapi(const struct cmd *self, int argc, char **argv)
{
	struct session s;
	struct err e = { 0 };
	json_t *api = NULL;
	struct url u;
	int ret;

	session_init(&s, self, argc, argv);
	url_init(&u, "/v1/openapi.json");
	ret = session_parse(&s, &e);
	if (!ret)
		ret = session_want(&s, 0, 0, &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret)
		ret = session_call(&s, "GET", &u, NULL, &api, &e);
	if (!ret)
		ret = output_json(stdout, api, &e);
	json_decref(api);
	return session_close(&s, ret, &e);
}

static const struct cmd rows[] = {
	{ .name = "system info",
	  .summary = "Show the host's capacity, use, pressure and engines",
	  .sets = CMD_SETS(&session_format),
	  .run = cmd_system_info },
	{ .name = "system operations",
	  .summary = "List long work that is under way or ended lately",
	  .sets = CMD_SETS(&session_output),
	  .noun = &operations,
	  .run = noun_ls },
	{ .name = "system cancel",
	  .args = "OPERATION...",
	  .summary = "Cancel long work",
	  .sets = CMD_ONLY_CONNECTION,
	  .noun = &operations,
	  .run = noun_rm },
	{ .name = "system audit",
	  .summary = "List who did what",
	  .sets = CMD_SETS(CMD_OPTIONS(audit_options), &session_output),
	  .run = cmd_system_audit },
	{ .name = "system audit verify",
	  .summary = "Check that nobody changed the audit log",
	  .text = "The exit code is 4 where an entry is not as it was written.",
	  .sets = CMD_SETS(&session_format),
	  .run = cmd_system_audit_verify },
	{ .name = "system openapi",
	  .summary = "Print the API's description",
	  .sets = CMD_ONLY_CONNECTION,
	  .run = cmd_system_openapi },
};

const struct cmd_table cmd_table_system = { "system", "The manager and its host", rows,
					    ARRAY_SIZE(rows) };
