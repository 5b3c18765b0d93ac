/* SPDX-License-Identifier: MIT */
/*
 * The reader of traces, see sched_sim.h.
 */
#include "mgr/core/alloc.h"
#include "mgr/core/sched_sim.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void json_release(json_t **p)
{
	json_decref(*p);
}

#define JSON_AUTO CLEANUP(json_release) json_t

/* An integer from @min to @max. */
static int number(const json_t *v, const char *field, int64_t min, int64_t max, int64_t *out,
		  struct err *e)
{
	if (!json_is_integer(v))
		return err_set(e, -EINVAL, "%s is not a whole number", field);
	if (json_integer_value(v) < min || json_integer_value(v) > max)
		return err_set(e, -EINVAL, "%s is %lld, which is not %lld to %lld", field,
			       (long long)json_integer_value(v), (long long)min, (long long)max);
	*out = json_integer_value(v);
	return 0;
}

static int read_id(struct sim_job *j, const json_t *v, struct err *e)
{
	const char *s = json_string_value(v);

	if (json_is_integer(v)) {
		snprintf(j->id, sizeof(j->id), "%lld", (long long)json_integer_value(v));
		return 0;
	}
	if (!s)
		return err_set(e, -EINVAL, "id is neither a string nor a number");
	if (!*s || strlen(s) > SIM_ID_MAX)
		return err_set(e, -EINVAL, "id has not 1 to %d bytes", SIM_ID_MAX);
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return err_set(e, -EINVAL, "id holds control characters");
	snprintf(j->id, sizeof(j->id), "%s", s);
	return 0;
}

static int read_size(struct sim_job *j, json_t *v, struct err *e)
{
	const char *key;
	json_t *x;
	int64_t n;
	int ret;

	if (!json_is_object(v))
		return err_set(e, -EINVAL, "size is no object: write {\"cpu\": 1000}");
	json_object_foreach(v, key, x)
	{
		if (!strcmp(key, "cpu")) {
			ret = number(x, "size.cpu", 1, 1 << 30, &n, e);
			if (!ret)
				j->size.cpu = (uint64_t)n;
		} else if (!strcmp(key, "memory")) {
			ret = number(x, "size.memory", 0, 1ll << 48, &n, e);
			if (!ret)
				j->size.memory = (uint64_t)n;
		} else {
			ret = err_set(e, -EINVAL, "unknown field size.%.40s: use cpu and memory",
				      key);
		}
		if (ret)
			return ret;
	}
	return 0;
}

static int read_field(struct sim_job *j, const char *key, json_t *v, struct err *e)
{
	int64_t n = 0;
	int ret;

	if (!strcmp(key, "id"))
		return read_id(j, v, e);
	if (!strcmp(key, "size"))
		return read_size(j, v, e);
	if (!strcmp(key, "arrival_ms")) {
		ret = number(v, key, 0, (int64_t)SCHED_BURST_MAX_MS, &n, e);
		j->arrival_ms = (uint64_t)n;
	} else if (!strcmp(key, "burst_ms")) {
		ret = number(v, key, 1, (int64_t)SCHED_BURST_MAX_MS, &n, e);
		j->burst_ms = (uint64_t)n;
	} else if (!strcmp(key, "priority")) {
		ret = number(v, key, -ALLOC_PRIORITY_MAX, ALLOC_PRIORITY_MAX, &n, e);
		j->priority = (int)n;
	} else if (!strcmp(key, "shares")) {
		ret = number(v, key, ALLOC_SHARES_MIN, ALLOC_SHARES_MAX, &n, e);
		j->shares = (unsigned)n;
	} else {
		ret = err_set(e, -EINVAL,
			      "unknown field %.40s: use id, arrival_ms, burst_ms, priority, shares "
			      "and size",
			      key);
	}
	return ret;
}

/* One line; @ids holds those that there are. */
static int read_line(struct sim_job *j, const char *s, size_t len, size_t line, json_t *ids,
		     struct err *e)
{
	JSON_AUTO *o = NULL;
	json_error_t why;
	const char *key;
	json_t *v;

	if (len > SIM_LINE_MAX)
		return err_set(e, -EINVAL, "it is longer than %u bytes", SIM_LINE_MAX);
	o = json_loadb(s, len, JSON_REJECT_DUPLICATES, &why);
	if (!o)
		return err_set(e, -EINVAL, "column %d: %.100s", why.column, why.text);
	if (!json_is_object(o))
		return err_set(e, -EINVAL, "it holds no object");
	*j = (struct sim_job) { .shares = ALLOC_SHARES, .size.cpu = 1000 };
	snprintf(j->id, sizeof(j->id), "%zu", line);
	json_object_foreach(o, key, v)
	{
		int ret = read_field(j, key, v, e);

		if (ret)
			return ret;
	}
	if (!json_object_get(o, "arrival_ms") || !json_object_get(o, "burst_ms"))
		return err_set(e, -EINVAL, "%s is missing",
			       json_object_get(o, "arrival_ms") ? "burst_ms" : "arrival_ms");
	if (json_object_get(ids, j->id))
		return err_set(e, -EINVAL, "there is a job '%s' already", j->id);
	if (json_object_set_new(ids, j->id, json_true()))
		return err_set(e, -ENOMEM, "no memory for the trace");
	return 0;
}

static int add_job(struct sim_trace *t, const struct sim_job *j, struct err *e)
{
	if (t->n == SIM_JOBS_MAX)
		return err_set(e, -E2BIG, "a trace has at most %u jobs", SIM_JOBS_MAX);
	/* Grows at each power of two. */
	if (!(t->n & (t->n - 1))) {
		struct sim_job *more = realloc(t->jobs, MAX(2 * t->n, (size_t)1) * sizeof(*more));

		if (!more)
			return err_set(e, -ENOMEM, "no memory for the trace");
		t->jobs = more;
	}
	t->jobs[t->n++] = *j;
	return 0;
}

int sim_trace_parse(struct sim_trace *out, const char *name, const char *text, size_t len,
		    struct err *e)
{
	CLEANUP(sim_trace_free) struct sim_trace t = { 0 };
	JSON_AUTO *ids = json_object();
	const char *end = text + len;
	size_t line = 0;

	if (!ids)
		return err_set(e, -ENOMEM, "no memory for the trace");
	for (const char *p = text, *stop; p < end; p = stop + 1) {
		struct sim_job j;
		size_t blank = 0;
		int ret;

		line++;
		stop = memchr(p, '\n', (size_t)(end - p));
		if (!stop)
			stop = end;
		while (p + blank < stop && memchr(" \t\r", p[blank], 3))
			blank++;
		if (p + blank == stop || p[blank] == '#')
			continue;
		ret = read_line(&j, p, (size_t)(stop - p), line, ids, e);
		if (!ret)
			ret = add_job(&t, &j, e);
		if (ret) {
			err_prefix(e, "%s: line %zu", name, line);
			return ret;
		}
	}
	if (!t.n)
		return err_set(e, -EINVAL,
			       "%s holds no job: write a line like {\"arrival_ms\": 0, "
			       "\"burst_ms\": 30000}",
			       name);
	*out = t;
	t = (struct sim_trace) { 0 };
	return 0;
}

void sim_trace_free(struct sim_trace *t)
{
	free(t->jobs);
	*t = (struct sim_trace) { 0 };
}
