/* SPDX-License-Identifier: MIT */
/*
 * The manager's errors as ours, see problem.h.
 */
#include "cli/problem.h"

#include "base/fd.h"
#include "cli/text.h"

#include <errno.h>
#include <string.h>

static const struct problem_code codes[] = {
	{ "bad_request", 400, EINVAL },
	{ "not_authenticated", 401, EPERM },
	{ "forbidden", 403, EPERM },
	{ "not_found", 404, ENOENT },
	{ "method_not_allowed", 405, EINVAL },
	{ "timeout", 408, ETIMEDOUT },
	{ "conflict", 409, EBUSY },
	{ "wrong_state", 409, EBUSY },
	{ "changed", 412, EBUSY },
	{ "too_large", 413, EINVAL },
	{ "quota", 422, ENOSPC },
	{ "too_many", 429, EBUSY },
	{ "internal", 500, EIO },
	{ "stopping", 503, ECONNREFUSED },
	{ "no_resource", 507, ENOSPC },
};

const struct problem_code *problem_codes(size_t *n)
{
	*n = ARRAY_SIZE(codes);
	return codes;
}

static int code_of(const char *code, long status)
{
	for (size_t i = 0; code && i < ARRAY_SIZE(codes); i++)
		if (!strcmp(codes[i].code, code))
			return -codes[i].err;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].status == status)
			return -codes[i].err;
	return -EIO;
}

int problem_set_json(struct err *e, long status, json_t *problem)
{
	const char *code = json_string_value(json_object_get(problem, "code"));
	const char *detail = json_string_value(json_object_get(problem, "detail"));
	MEM_AUTO char *clean = NULL;
	int ret = code_of(code, status);

	if (!detail)
		detail = json_string_value(problem);
	if (!detail)
		detail = json_string_value(json_object_get(problem, "title"));
	if (detail)
		clean = text_clean(detail, strlen(detail), "");
	if (clean && *clean)
		return err_set(e, ret, "%s", clean);
	return err_set(e, ret, "the manager refused it with status %ld and no reason", status);
}

int problem_set(struct err *e, long status, const char *body, size_t len)
{
	json_t *problem = body ? json_loadb(body, len, 0, NULL) : NULL;
	int ret = problem_set_json(e, status, problem);

	json_decref(problem);
	return ret;
}
