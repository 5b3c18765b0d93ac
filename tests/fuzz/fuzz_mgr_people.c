/* SPDX-License-Identifier: MIT */
/*
 * Bodies of users, projects and grants: nothing crashes, and what is accepted comes back the same
 * from its record.
 */
#include "mgr/core/people_dir.h"
#include "mgr/store/digest.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int fixed_random(void *buf, size_t len, struct err *e UNUSED)
{
	static uint64_t n;

	n++;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)(n >> (i % 8 * 8) ^ 0x5a);
	return 0;
}

static void check_record(struct people *p, const struct store_change *c)
{
	json_t *o = NULL;
	char *again;

	BUG_ON(people_parse(&o, c->body, strlen(c->body), NULL));
	if (!strcmp(c->kind, "user")) {
		struct user u = { 0 };

		snprintf(u.name, sizeof(u.name), "%s", c->name);
		BUG_ON(user_decode(&u, o, true, NULL));
		again = user_record(&u);
	} else {
		struct project x = { 0 };

		snprintf(x.id, sizeof(x.id), "%s", c->id);
		snprintf(x.name, sizeof(x.name), "%s", c->name);
		resources_init(&x.resources);
		BUG_ON(project_decode(p, &x, o, true, NULL));
		again = project_record(&x);
		free(x.grants);
	}
	BUG_ON(!again || strcmp(again, c->body) != 0);
	free(again);
	json_decref(o);
}

static void finish(struct people *p, int ret, struct people_plan **at)
{
	struct people_plan *plan = *at;
	const struct store_change *c;
	size_t n;

	if (ret)
		return;
	c = people_plan_changes(plan, &n);
	for (size_t i = 0; i < n; i++)
		check_record(p, &c[i]);
	people_commit(p, plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char user[] = "{\"name\": \"a\", \"uid\": 5}";
	static const struct people_env env = { .sha256 = digest_sha256, .random = fixed_random };
	const struct identity root = { .name = "root", .builtin = true };
	const struct project *def;
	const char *json = (const char *)data;
	char token[PEOPLE_TOKEN_LEN + 1];
	struct people_plan *plan;
	struct people *p;

	BUG_ON(people_create(&p, &env, NULL));
	BUG_ON(people_plan_user(p, user, sizeof(user) - 1, token, &plan, NULL));
	people_commit(p, plan);
	finish(p, people_plan_user(p, json, size, token, &plan, NULL), &plan);
	finish(p, people_plan_project(p, json, size, &root, &plan, NULL), &plan);
	def = people_project(p, "default");
	finish(p, people_plan_project_change(p, def, json, size, &root, &plan, NULL), &plan);
	def = people_project(p, "default");
	finish(p, people_plan_grant(p, def, json, size, &root, &plan, NULL), &plan);
	people_destroy(p);
	return 0;
}
