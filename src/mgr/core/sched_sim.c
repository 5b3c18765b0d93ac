/* SPDX-License-Identifier: MIT */
/*
 * The simulator's clockwork, see sched_sim.h.
 */
#include "mgr/core/sched_sim.h"

#include "base/fd.h"

#include <errno.h>
#include <stdlib.h>

/* A step looks at each job in the queue, a few times; so many looks take some ten seconds. */
#define LOOKS_MAX 200000000ull

struct sim {
	const struct sim_trace *trace;
	struct sched sched;
	struct sched_job *jobs;
	size_t *open; /* slice of each job that runs */
	struct sim_run *run;
	uint64_t now;
	int failed;
};

struct arrival {
	uint64_t at;
	size_t job;
};

static int arrival_cmp(const void *pa, const void *pb)
{
	const struct arrival *a = pa, *b = pb;

	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	return a->job < b->job ? -1 : a->job > b->job;
}

static void slice_end(struct sim *m, size_t job)
{
	m->run->slices[m->open[job]].to_ms = m->now;
}

static void slice_begin(struct sim *m, size_t job)
{
	struct sim_run *r = m->run;

	if (!(r->n_slices & (r->n_slices - 1))) {
		size_t room = MAX(2 * r->n_slices, (size_t)1);
		struct sim_slice *more = realloc(r->slices, room * sizeof(*more));

		if (!more) {
			m->failed = -ENOMEM;
			return;
		}
		r->slices = more;
	}
	m->open[job] = r->n_slices;
	r->slices[r->n_slices++] = (struct sim_slice) { job, m->now, SCHED_NEVER };
	r->results[job].slices++;
}

static void on_order(void *ctx, struct sched_job *j, enum sched_order o)
{
	struct sim *m = ctx;
	size_t i = (size_t)(j - m->jobs);

	if (o == SCHED_DO_PAUSE) {
		slice_end(m, i);
		return;
	}
	if (o == SCHED_DO_START)
		m->run->results[i].start_ms = m->now;
	slice_begin(m, i);
}

/* When the first of those that run has run its burst. */
static uint64_t next_end(const struct sim *m)
{
	uint64_t at = SCHED_NEVER;

	for (const struct sched_job *j = m->sched.first; j; j = j->next)
		if (j->state == SCHED_RUNNING)
			at = MIN(at, j->since_ms + j->burst_ms - j->ran_ms);
	return at;
}

static void end_jobs(struct sim *m)
{
	for (struct sched_job *j = m->sched.first, *next; j; j = next) {
		size_t i = (size_t)(j - m->jobs);

		next = j->next;
		if (j->state != SCHED_RUNNING || j->since_ms + j->burst_ms - j->ran_ms != m->now)
			continue;
		sched_remove(&m->sched, j, m->now);
		slice_end(m, i);
		m->run->results[i].end_ms = m->now;
	}
}

static int play(struct sim *m, const struct arrival *arrivals, struct err *e)
{
	size_t n = m->trace->n, arrived = 0;
	uint64_t looks = 0;

	for (;;) {
		uint64_t next = MIN(next_end(m), sched_next_ms(&m->sched));

		if (arrived < n)
			next = MIN(next, arrivals[arrived].at);
		if (next == SCHED_NEVER)
			break;
		m->now = next;
		end_jobs(m);
		for (; arrived < n && arrivals[arrived].at == next; arrived++) {
			size_t i = arrivals[arrived].job;
			int ret = sched_add(&m->sched, &m->jobs[i], next, e);

			if (ret) {
				err_prefix(e, "job '%s'", m->trace->jobs[i].id);
				return ret;
			}
		}
		sched_pick(&m->sched, next, on_order, m);
		if (m->failed)
			return err_set(e, m->failed, "no memory for the slices of this trace");
		looks += m->sched.n;
		if (looks > LOOKS_MAX)
			return err_set(e, -E2BIG,
				       "this trace takes too long with a quantum of %llu ms: "
				       "use a longer one",
				       (unsigned long long)m->sched.quantum_ms);
	}
	/* Each fits alone, so each had its turn. */
	BUG_ON(m->sched.n);
	return 0;
}

static void sum_up(struct sim_run *r, const struct sim_trace *t)
{
	double x_sum = 0, x2_sum = 0, n = (double)t->n;

	for (size_t i = 0; i < t->n; i++) {
		const struct sim_job *j = &t->jobs[i];
		struct sim_result *s = &r->results[i];
		double x;

		s->turnaround_ms = s->end_ms - j->arrival_ms;
		s->response_ms = s->start_ms - j->arrival_ms;
		s->wait_ms = s->turnaround_ms - j->burst_ms;
		x = (double)j->burst_ms / (double)s->turnaround_ms;
		x_sum += x;
		x2_sum += x * x;
		r->wait_ms += (double)s->wait_ms / n;
		r->turnaround_ms += (double)s->turnaround_ms / n;
		r->response_ms += (double)s->response_ms / n;
		r->max_wait_ms = MAX(r->max_wait_ms, s->wait_ms);
		r->end_ms = MAX(r->end_ms, s->end_ms);
	}
	r->fairness = x_sum * x_sum / (n * x2_sum);
}

int sim_run(struct sim_run *out, const struct sim_trace *t, const struct sim_settings *set,
	    struct err *e)
{
	CLEANUP(sim_run_free) struct sim_run r = { .settings = *set };
	MEM_AUTO struct sched_job *jobs = calloc(t->n, sizeof(*jobs));
	MEM_AUTO struct arrival *arrivals = calloc(t->n, sizeof(*arrivals));
	MEM_AUTO size_t *open = calloc(t->n, sizeof(*open));
	struct sim m = { .trace = t, .jobs = jobs, .open = open, .run = &r };
	int ret;

	r.results = calloc(t->n, sizeof(*r.results));
	if (!jobs || !arrivals || !open || !r.results)
		return err_set(e, -ENOMEM, "no memory to simulate %zu jobs", t->n);
	for (size_t i = 0; i < t->n; i++) {
		const struct sim_job *j = &t->jobs[i];

		jobs[i] = (struct sched_job) { .burst_ms = j->burst_ms,
					       .priority = j->priority,
					       .shares = j->shares,
					       .sliceable = true,
					       .size = j->size };
		arrivals[i] = (struct arrival) { j->arrival_ms, i };
	}
	qsort(arrivals, t->n, sizeof(*arrivals), arrival_cmp);
	sched_init(&m.sched, set->policy, set->capacity);
	m.sched.quantum_ms = set->quantum_ms;
	m.sched.ageing_ms = set->ageing_ms;
	ret = play(&m, arrivals, e);
	if (ret)
		return ret;
	sum_up(&r, t);
	*out = r;
	r = (struct sim_run) { 0 };
	return 0;
}

void sim_run_free(struct sim_run *r)
{
	free(r->results);
	free(r->slices);
	*r = (struct sim_run) { 0 };
}
