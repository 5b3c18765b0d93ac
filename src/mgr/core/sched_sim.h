/* SPDX-License-Identifier: MIT */
/*
 * The scheduler's simulator: a trace of jobs under a policy, without starting anything.
 *
 * Theory of operation: the engine of sched.h gets the jobs at the times of the trace; what it
 * orders is taken to happen at once and to cost nothing, and a job ends when it has run its
 * burst. At one instant jobs end first, then jobs arrive, then slices are over. With a capacity
 * of one job at a time that is what textbooks compute by hand:
 *
 *   turnaround = end - arrival, response = start - arrival, wait = turnaround - burst
 *   fairness   = Jain's index (sum x)^2 / (n * sum x^2) of x = burst / turnaround, the speed that
 *                a job saw; 1: all saw the same, 1/n: one saw all
 *
 * A trace is text with one JSON object a line; empty lines and lines that begin with # are
 * skipped:
 *
 *   {"id": "a", "arrival_ms": 0, "burst_ms": 24, "priority": 0, "shares": 100,
 *    "size": {"cpu": 1000, "memory": 536870912}}
 *
 * arrival_ms and burst_ms are required; what is shown of the rest is its default, but for id
 * (the line's number) and memory (0). cpu is in thousandths of a CPU.
 *
 * Threads: none of its own; no state is kept.
 */
#ifndef HOLM_MGR_CORE_SCHED_SIM_H
#define HOLM_MGR_CORE_SCHED_SIM_H

#include "mgr/core/sched.h"

#include <stdio.h>

#define SIM_ID_MAX   63
#define SIM_JOBS_MAX 10000u
#define SIM_LINE_MAX 4096u

struct sim_job {
	char id[SIM_ID_MAX + 1]; /* printable; unique in its trace */
	uint64_t arrival_ms, burst_ms;
	int priority;
	unsigned shares;
	struct sched_size size;
};

struct sim_trace {
	struct sim_job *jobs; /* in the order of the lines */
	size_t n;
};

struct sim_settings {
	enum sched_policy policy;
	uint64_t quantum_ms, ageing_ms; /* as in struct sched */
	struct sched_size capacity;
};

/** One stretch in which a job ran. */
struct sim_slice {
	size_t job;
	uint64_t from_ms, to_ms;
};

struct sim_result {
	uint64_t start_ms, end_ms, wait_ms, turnaround_ms, response_ms;
	unsigned slices;
};

struct sim_run {
	struct sim_settings settings;
	struct sim_result *results; /* of each job of the trace */
	struct sim_slice *slices;   /* by their begin */
	size_t n_slices;
	uint64_t end_ms, max_wait_ms;
	double wait_ms, turnaround_ms, response_ms; /* means */
	double fairness;
};

/**
 * sim_trace_parse() - the @len bytes at @text.
 * @name: of the file, for sentences
 *
 * Return: 0; -EINVAL with a sentence that names file, line and field; -E2BIG, -ENOMEM.
 */
int sim_trace_parse(struct sim_trace *out, const char *name, const char *text, size_t len,
		    struct err *e) MUST_CHECK;
/** sim_trace_free() - also what parse left zero. */
void sim_trace_free(struct sim_trace *t);

/**
 * sim_run() - @t under @set.
 *
 * Return: 0; -ERANGE (a job is larger than the capacity; named), -E2BIG (slices too short for a
 * trace so long), -ENOMEM.
 */
int sim_run(struct sim_run *out, const struct sim_trace *t, const struct sim_settings *set,
	    struct err *e) MUST_CHECK;
/** sim_run_free() - also what run left zero. */
void sim_run_free(struct sim_run *r);

/** sim_svg() - @n runs of @t as Gantt charts, one below the other, as a whole SVG document. */
void sim_svg(FILE *f, const struct sim_trace *t, const struct sim_run *runs, size_t n);

#endif
