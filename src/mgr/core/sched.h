/* SPDX-License-Identifier: MIT */
/*
 * The admission queue: which VM starts when not all fit, and which batch VM runs when.
 *
 * Theory of operation: a job is a VM that is to start. It waits, runs, and is gone; a job that
 * may be sliced can also stand still between two slices, and then keeps its memory and gives its
 * CPUs back. sched_pick() looks at what is free and says who runs and who stands still from now
 * on. The engine does nothing itself and knows no clock: time is passed in, in milliseconds of
 * any clock that does not go back, so the live manager and the simulator run the same code.
 *
 * Who is first among those that wait:
 *
 *   fcfs   higher priority, then who came first. Nobody passes a job that does not fit yet.
 *   sjf    higher priority, then the shorter burst; a burst that is not declared is the longest.
 *   rr     higher priority, then who waits longest. A job that had its quantum goes to the end.
 *   fair   the smallest virtual time
 *              T_next = T_current + burst / share
 *          where burst is what the job would run now (its quantum, or what is left of its burst
 *          if that is less, or all of it without slices), share = shares x factor(priority), and
 *          T_current is what the job had at its last slice's end. A newcomer's is the queue's
 *          own: the T_next of who was picked last. So who waited is never worse off than who
 *          comes, and each gets CPU as to its share.
 *
 * Equal ones go in order of waiting. rr and fair slice where there is a quantum: after it a job
 * stands still if, standing at its new place in the queue, others go before it.
 *
 * Nothing starves:
 * - who has waited for ageing_ms goes before all who have not, oldest first;
 * - a job that does not fit is passed by others (not under fcfs) until it has waited that long,
 *   then by none that would start new; nor by any that stand still, where all that can be
 *   sliced has to make room and would suffice.
 * With one CPU and jobs of one CPU, no job waits longer at a stretch than
 *   fcfs, sjf (equal priorities not needed)  ageing_ms + the bursts of those that came before
 *                                            it + the longest burst of the others
 *   rr, fair                                 ageing_ms + one quantum for each other job there
 *
 * A job larger than the whole capacity waits without hindering others; sched_add() refuses it.
 *
 * Limits: sched_pick() takes O(n) for each VM it starts or stops; meant for some thousands.
 * Threads: none of its own; the caller serializes.
 */
#ifndef HOLM_MGR_CORE_SCHED_H
#define HOLM_MGR_CORE_SCHED_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHED_NEVER	   UINT64_MAX
#define SCHED_BURST_MAX_MS (366ull * 24 * 3600 * 1000) /* of a declared burst */
#define SCHED_BURST_MS	   60000ull /* fair takes this for a burst that is not declared */
#define SCHED_QUANTUM_MS   10000ull /* defaults of the live manager */
#define SCHED_AGEING_MS	   600000ull

enum sched_policy { SCHED_FCFS, SCHED_RR, SCHED_SJF, SCHED_FAIR, SCHED_POLICY_COUNT };

struct sched_size {
	uint64_t cpu;	 /* thousandths of a CPU */
	uint64_t memory; /* bytes */
};

enum sched_job_state {
	SCHED_OUT,     /* not in the queue */
	SCHED_WAITING, /* never ran */
	SCHED_STILL,   /* ran, stands still between slices */
	SCHED_RUNNING,
	SCHED_EXPIRED, /* within sched_pick() only: its slice is over */
};

enum sched_order {
	SCHED_DO_NOTHING,
	SCHED_DO_START, /* it runs for the first time */
	SCHED_DO_PAUSE, /* its slice is over: let it stand still */
	SCHED_DO_RESUME,
};

/** A job; the caller's memory, often within a struct of its own. */
struct sched_job {
	/* Set by the caller before sched_add(); burst, priority and shares may change later. */
	uint64_t burst_ms; /* declared, at most SCHED_BURST_MAX_MS; 0: not known */
	int priority;	   /* as in alloc.h */
	unsigned shares;   /* as in alloc.h */
	bool sliceable;	   /* it may be made to stand still */
	struct sched_size size;
	/* The engine's; the caller may read. */
	enum sched_job_state state;
	uint64_t arrival_ms;
	uint64_t since_ms;	/* when it began to run, or to wait */
	uint64_t ran_ms;	/* up to the last slice's end */
	uint64_t vtime;		/* T_current */
	uint64_t seq;		/* order of joining the queue's end */
	enum sched_order order; /* within sched_pick() only */
	struct sched_job *prev, *next;
};

struct sched {
	/* Settings; the caller may change them between calls. */
	enum sched_policy policy;
	uint64_t quantum_ms;	    /* 0: no slices */
	uint64_t ageing_ms;	    /* 0: no ageing */
	struct sched_size capacity; /* of all jobs, overcommit included; memory 0: not counted */
	/* The engine's. */
	struct sched_job *first, *last;
	struct sched_size used; /* CPUs of those running, memory of those that ran */
	uint64_t vclock, seq;
	size_t n, n_running;
};

/** sched_init() - an empty queue; the other settings may then be changed. */
void sched_init(struct sched *s, enum sched_policy policy, struct sched_size capacity);

/**
 * sched_add() - @j waits from @now_ms on. Borrowed until sched_remove().
 * Return: 0; -ERANGE with a sentence (it is larger than the capacity, or a value is none).
 */
int sched_add(struct sched *s, struct sched_job *j, uint64_t now_ms, struct err *e) MUST_CHECK;

/**
 * sched_adopt() - @j is there already, and runs (@running) or stands still: after a restart of
 * the manager. Takes its room even where that is more than there is.
 */
void sched_adopt(struct sched *s, struct sched_job *j, uint64_t now_ms, bool running);

/** sched_remove() - @j ended, or does not want to wait any more; nothing where it is out. */
void sched_remove(struct sched *s, struct sched_job *j, uint64_t now_ms);

/** Told of each order; may not call into the queue: note it, and act when pick has returned. */
typedef void (*sched_order_fn)(void *ctx, struct sched_job *j, enum sched_order o);

/**
 * sched_pick() - decide who runs now. Call it after adds and removes, when the capacity or a
 * setting has changed, and at sched_next_ms(). Orders to pause come before those to run.
 */
void sched_pick(struct sched *s, uint64_t now_ms, sched_order_fn order, void *ctx);

/**
 * sched_next_ms() - when sched_pick() has something to decide next if nothing else happens:
 * the end of a slice for which others wait; SCHED_NEVER: not at all.
 */
uint64_t sched_next_ms(const struct sched *s);

/** sched_position() - 0: @j is the next to run; only for jobs that wait or stand still. O(n). */
size_t sched_position(const struct sched *s, const struct sched_job *j, uint64_t now_ms);

/** "fcfs", "rr", "sjf" or "fair"; -EINVAL with a sentence. */
const char *sched_policy_name(enum sched_policy p);
int sched_policy_parse(enum sched_policy *out, const char *name, struct err *e) MUST_CHECK;

#endif
