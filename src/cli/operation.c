/* SPDX-License-Identifier: MIT */
/*
 * Long work of the manager's, see operation.h.
 *
 * Theory of operation: the manager holds an answer back until the operation has ended or the
 * asked time is over, so there is no polling; the time is short where a bar is to be drawn.
 */
#include "cli/operation.h"

#include "cli/problem.h"
#include "cli/progress.h"

#include <errno.h>
#include <string.h>

#define STEP_MS	     30000
#define STEP_TERM_MS 500

static bool is_operation(json_t *v)
{
	return json_is_string(json_object_get(v, "id")) &&
	       json_is_string(json_object_get(v, "verb")) &&
	       json_is_string(json_object_get(v, "state"));
}

/* Progress is in per cent. */
static void show(struct progress *p, json_t *op)
{
	double done = json_number_value(json_object_get(op, "progress"));

	if (done > 0 && !strcmp(json_string_value(json_object_get(op, "state")), "running"))
		progress_update(p, (uint64_t)done, 100);
}

static int ended(json_t *op, const char *verb, const char *name, struct err *e)
{
	const char *state = json_string_value(json_object_get(op, "state"));

	if (!strcmp(state, "done"))
		return 0;
	if (!strcmp(state, "cancelled"))
		return err_set(e, -EBUSY, "the %s of '%.80s' was cancelled", verb, name);
	if (json_is_null(json_object_get(op, "error")) || !json_object_get(op, "error"))
		return err_set(e, -EIO, "the %s of '%.80s' failed without a reason", verb, name);
	return problem_set_json(e, 500, json_object_get(op, "error"));
}

int operation_wait(struct session *s, json_t *answer, const char *verb, const char *name,
		   struct err *e)
{
	struct progress p;
	json_t *op = json_incref(answer);
	int ret = 0;

	if (!is_operation(answer) || s->no_wait) {
		json_decref(op);
		return 0;
	}
	progress_init(&p, verb, name);
	while (!strcmp(json_string_value(json_object_get(op, "state")), "running")) {
		json_t *next = NULL;
		struct url u;

		url_init(&u, "/v1/operations");
		url_add(&u, json_string_value(json_object_get(op, "id")));
		url_query_number(&u, "wait_ms", p.terminal ? STEP_TERM_MS : STEP_MS);
		ret = session_call(s, "GET", &u, NULL, &next, e);
		if (!ret && !is_operation(next)) {
			json_decref(next);
			ret = err_set(e, -EIO, "the manager's answer is no operation");
		}
		if (ret)
			break;
		json_decref(op);
		op = next;
		show(&p, op);
	}
	progress_end(&p);
	if (!ret)
		ret = ended(op, verb, name, e);
	json_decref(op);
	return ret;
}

int operation_call(struct session *s, const char *method, const struct url *url, json_t *body,
		   const char *verb, const char *name, struct err *e)
{
	json_t *answer = NULL;
	int ret = session_call(s, method, url, body, &answer, e);

	if (!ret)
		ret = operation_wait(s, answer, verb, name, e);
	json_decref(answer);
	return ret;
}
