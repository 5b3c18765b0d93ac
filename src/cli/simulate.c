/* SPDX-License-Identifier: MIT */
/*
 * holm sched simulate: what each scheduling policy would make of a trace, without a daemon.
 */
#include "base/fd.h"
#include "cli/command.h"
#include "mgr/core/sched_sim.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_MAX	(64u << 20)
#define QUANTUM_DEFAULT 100
#define CPUS_MAX	65536u

struct request {
	const char *trace, *svg;
	struct sim_settings settings; /* but for the policy */
	bool one, json;		      /* one: settings.policy only, else all */
};

/* Digits that fill @value, at most @max; with @size a unit K, M, G or T may follow. */
static int number(const char *option, const char *value, bool size, uint64_t max, uint64_t *out,
		  struct err *e)
{
	static const char units[] = "KMGT";
	const char *unit;
	unsigned shift = 0;
	uint64_t n;
	char *end;

	errno = 0;
	n = strtoull(value, &end, 10);
	if (size && *end && (unit = strchr(units, toupper((unsigned char)*end)))) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (!isdigit((unsigned char)*value) || *end || errno || n > max >> shift)
		return err_set(e, -EINVAL, "--%s '%.40s' is no number up to %" PRIu64, option,
			       value, max);
	*out = n << shift;
	return 0;
}

static int set_option(struct request *r, const char *name, const char *value, struct err *e)
{
	uint64_t cpus;

	if (!strcmp(name, "svg")) {
		r->svg = value;
		return 0;
	}
	if (!strcmp(name, "policy")) {
		r->one = strcmp(value, "all") != 0;
		return r->one ? sched_policy_parse(&r->settings.policy, value, e) : 0;
	}
	if (!strcmp(name, "quantum"))
		return number(name, value, false, SCHED_BURST_MAX_MS, &r->settings.quantum_ms, e);
	if (!strcmp(name, "ageing"))
		return number(name, value, false, SCHED_BURST_MAX_MS, &r->settings.ageing_ms, e);
	if (!strcmp(name, "memory"))
		return number(name, value, true, 1ull << 50, &r->settings.capacity.memory, e);
	if (!strcmp(name, "capacity")) {
		int ret = number(name, value, false, CPUS_MAX, &cpus, e);

		if (!ret && !cpus)
			ret = err_set(e, -EINVAL, "--capacity is at least one CPU");
		if (!ret)
			r->settings.capacity.cpu = cpus * 1000;
		return ret;
	}
	BUG_ON(strcmp(name, "format") != 0);
	r->json = !strcmp(value, "json");
	if (!r->json && strcmp(value, "table") != 0)
		return err_set(e, -EINVAL, "format '%.40s' is none: use table or json", value);
	return 0;
}

static int read_args(struct request *r, const struct cmd *self, int argc, char **argv,
		     struct err *e)
{
	struct opts o = { .cmd = self, .argc = argc, .argv = argv };
	const struct cmd_option *opt;
	const char *value;
	int ret;

	while ((ret = opts_next(&o, &opt, &value, e)) > 0) {
		if (opt) {
			ret = set_option(r, opt->name, value, e);
			if (ret)
				return ret;
		} else if (!r->trace) {
			r->trace = value;
		} else {
			return err_set(e, -EINVAL, "one trace at a time, not '%.80s' too", value);
		}
	}
	if (!ret && !r->trace)
		ret = err_set(e, -EINVAL, "name a trace: holm sched simulate TRACE");
	return ret;
}

static void print_table(const struct sim_run *runs, size_t n)
{
	printf("%-8s%12s%12s%12s%12s%12s%10s\n", "POLICY", "WAIT", "MAX WAIT", "TURNAROUND",
	       "RESPONSE", "END", "FAIRNESS");
	for (size_t i = 0; i < n; i++)
		printf("%-8s%12.1f%12" PRIu64 "%12.1f%12.1f%12" PRIu64 "%10.3f\n",
		       sched_policy_name(runs[i].settings.policy), runs[i].wait_ms,
		       runs[i].max_wait_ms, runs[i].turnaround_ms, runs[i].response_ms,
		       runs[i].end_ms, runs[i].fairness);
}

static json_t *run_json(const struct sim_trace *t, const struct sim_run *r)
{
	json_t *jobs = json_array();

	for (size_t i = 0; i < t->n; i++) {
		const struct sim_result *s = &r->results[i];

		json_array_append_new(
			jobs,
			json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:i}", "id", t->jobs[i].id,
				  "start_ms", (json_int_t)s->start_ms, "end_ms",
				  (json_int_t)s->end_ms, "wait_ms", (json_int_t)s->wait_ms,
				  "turnaround_ms", (json_int_t)s->turnaround_ms, "response_ms",
				  (json_int_t)s->response_ms, "slices", (int)s->slices));
	}
	return json_pack("{s:s, s:f, s:I, s:f, s:f, s:I, s:f, s:o*}", "policy",
			 sched_policy_name(r->settings.policy), "mean_wait_ms", r->wait_ms,
			 "max_wait_ms", (json_int_t)r->max_wait_ms, "mean_turnaround_ms",
			 r->turnaround_ms, "mean_response_ms", r->response_ms, "end_ms",
			 (json_int_t)r->end_ms, "fairness", r->fairness, "jobs", jobs);
}

static int print_json(const struct sim_trace *t, const struct sim_run *runs, size_t n,
		      struct err *e)
{
	json_t *all = json_array(), *top;
	int ret;

	for (size_t i = 0; i < n; i++)
		json_array_append_new(all, run_json(t, &runs[i]));
	top = json_pack("{s:o*}", "items", all);
	ret = top ? json_dumpf(top, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : -1;
	json_decref(top);
	if (ret)
		return err_set(e, -ENOMEM, "cannot print the results as JSON");
	putchar('\n');
	return 0;
}

static int write_svg(const char *path, const struct sim_trace *t, const struct sim_run *runs,
		     size_t n, struct err *e)
{
	FILE *f = fopen(path, "we");
	bool bad;

	if (!f)
		return err_set(e, -errno, "cannot write %s: %s", path, strerror(errno));
	sim_svg(f, t, runs, n);
	bad = ferror(f);
	if (fclose(f) || bad)
		return err_set(e, -EIO, "cannot write all of %s; is its file system full?", path);
	return 0;
}

static int simulate(const struct request *r, struct sim_trace *t, struct sim_run *runs, size_t n,
		    struct err *e)
{
	MEM_AUTO uint8_t *text = NULL;
	size_t len;
	int ret = file_read(r->trace, TRACE_MAX, &text, &len, e);

	if (!ret)
		ret = sim_trace_parse(t, r->trace, (const char *)text, len, e);
	for (size_t i = 0; !ret && i < n; i++) {
		struct sim_settings set = r->settings;

		if (!r->one)
			set.policy = (enum sched_policy)i;
		ret = sim_run(&runs[i], t, &set, e);
	}
	if (!ret && r->svg)
		ret = write_svg(r->svg, t, runs, n, e);
	if (ret)
		return ret;
	if (r->json)
		return print_json(t, runs, n, e);
	print_table(runs, n);
	return 0;
}

int cmd_simulate(const struct cmd *self, int argc, char **argv)
{
	struct request r = { .settings = { .quantum_ms = QUANTUM_DEFAULT,
					   .ageing_ms = SCHED_AGEING_MS,
					   .capacity.cpu = 1000 } };
	struct sim_run runs[SCHED_POLICY_COUNT] = { 0 };
	struct sim_trace t = { 0 };
	struct err e = { 0 };
	int ret = read_args(&r, self, argc, argv, &e);

	if (!ret)
		ret = simulate(&r, &t, runs, r.one ? 1 : SCHED_POLICY_COUNT, &e);
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++)
		sim_run_free(&runs[i]);
	sim_trace_free(&t);
	return ret ? cmd_fail(&e) : HOLM_EXIT_OK;
}
