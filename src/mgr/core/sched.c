/* SPDX-License-Identifier: MIT */
/*
 * The admission queue, see sched.h.
 */
#include "mgr/core/sched.h"

#include "mgr/core/alloc.h"

#include <errno.h>
#include <string.h>

/* One millisecond at a share of 1, in units of virtual time: 2^5 * 3^2 * 5^4 * 7, so that it is
 * divided by usual shares without a rest, and equal times come out equal. */
#define VTIME_MS 1260000ull

static const char *const policies[] = { "fcfs", "rr", "sjf", "fair" };
static_assert(ARRAY_SIZE(policies) == SCHED_POLICY_COUNT, "a name for each policy");

const char *sched_policy_name(enum sched_policy p)
{
	BUG_ON((unsigned)p >= SCHED_POLICY_COUNT);
	return policies[p];
}

int sched_policy_parse(enum sched_policy *out, const char *name, struct err *e)
{
	for (unsigned i = 0; i < SCHED_POLICY_COUNT; i++)
		if (!strcmp(name, policies[i])) {
			*out = (enum sched_policy)i;
			return 0;
		}
	return err_set(e, -EINVAL, "'%.40s' is no scheduling policy: use fcfs, rr, sjf or fair",
		       name);
}

void sched_init(struct sched *s, enum sched_policy policy, struct sched_size capacity)
{
	*s = (struct sched) { .policy = policy,
			      .quantum_ms = SCHED_QUANTUM_MS,
			      .ageing_ms = SCHED_AGEING_MS,
			      .capacity = capacity };
}

static bool slices(const struct sched *s, const struct sched_job *j)
{
	return s->quantum_ms && j->sliceable && (s->policy == SCHED_RR || s->policy == SCHED_FAIR);
}

static bool waits(const struct sched_job *j)
{
	return j->state != SCHED_RUNNING;
}

static bool aged(const struct sched *s, const struct sched_job *j, uint64_t now)
{
	return s->ageing_ms && now - j->since_ms >= s->ageing_ms;
}

/* burst / share, at least one unit. */
static uint64_t vtime_of(const struct sched_job *j, uint64_t ms)
{
	uint64_t share = (uint64_t)j->shares * alloc_factor(j->priority);
	unsigned __int128 t = (unsigned __int128)ms * VTIME_MS * 1000 / share;

	return (uint64_t)MAX(MIN(t, (unsigned __int128)(UINT64_MAX / 4)), (unsigned __int128)1);
}

/* T_next. */
static uint64_t vtime_next(const struct sched *s, const struct sched_job *j)
{
	uint64_t burst = j->burst_ms ? j->burst_ms : SCHED_BURST_MS;

	/* One that runs longer than it said counts on in bursts as it said. */
	if (j->burst_ms > j->ran_ms)
		burst = j->burst_ms - j->ran_ms;
	if (slices(s, j))
		burst = MIN(burst, s->quantum_ms);
	return j->vtime + vtime_of(j, burst);
}

static bool before(uint64_t a, uint64_t b, bool *decided)
{
	*decided = a != b;
	return a < b;
}

/* Whether @a goes before @b. */
static bool ranks_before(const struct sched *s, const struct sched_job *a,
			 const struct sched_job *b, uint64_t now)
{
	bool d, r;

	if (aged(s, a, now) != aged(s, b, now))
		return aged(s, a, now);
	if (!aged(s, a, now)) {
		if (s->policy != SCHED_FAIR && a->priority != b->priority)
			return a->priority > b->priority;
		d = false;
		r = false;
		if (s->policy == SCHED_SJF) /* 0 becomes the longest */
			r = before(a->burst_ms - 1, b->burst_ms - 1, &d);
		else if (s->policy == SCHED_FAIR)
			r = before(vtime_next(s, a), vtime_next(s, b), &d);
		if (d)
			return r;
	}
	r = before(a->since_ms, b->since_ms, &d);
	return d ? r : a->seq < b->seq;
}

static void link_in(struct sched *s, struct sched_job *j, uint64_t now)
{
	BUG_ON(j->state != SCHED_OUT);
	j->prev = s->last;
	j->next = NULL;
	if (s->last)
		s->last->next = j;
	else
		s->first = j;
	s->last = j;
	s->n++;
	j->arrival_ms = j->since_ms = now;
	j->ran_ms = 0;
	j->vtime = s->vclock;
	j->seq = s->seq++;
}

static int check_job(const struct sched *s, const struct sched_job *j, struct err *e)
{
	if (j->burst_ms > SCHED_BURST_MAX_MS)
		return err_set(e, -ERANGE, "a burst of %llu ms is above the most, %llu",
			       (unsigned long long)j->burst_ms, SCHED_BURST_MAX_MS);
	if (j->priority < -ALLOC_PRIORITY_MAX || j->priority > ALLOC_PRIORITY_MAX)
		return err_set(e, -ERANGE, "priority %d is not %d to %d", j->priority,
			       -ALLOC_PRIORITY_MAX, ALLOC_PRIORITY_MAX);
	if (j->shares < ALLOC_SHARES_MIN || j->shares > ALLOC_SHARES_MAX)
		return err_set(e, -ERANGE, "shares %u are not %u to %u", j->shares,
			       ALLOC_SHARES_MIN, ALLOC_SHARES_MAX);
	if (j->size.cpu > s->capacity.cpu)
		return err_set(e, -ERANGE,
			       "it needs %llu thousandths of a CPU and there are %llu in all",
			       (unsigned long long)j->size.cpu,
			       (unsigned long long)s->capacity.cpu);
	if (s->capacity.memory && j->size.memory > s->capacity.memory)
		return err_set(e, -ERANGE,
			       "it needs %llu bytes of memory and there are %llu in all",
			       (unsigned long long)j->size.memory,
			       (unsigned long long)s->capacity.memory);
	return 0;
}

int sched_add(struct sched *s, struct sched_job *j, uint64_t now_ms, struct err *e)
{
	int ret = check_job(s, j, e);

	if (ret)
		return ret;
	link_in(s, j, now_ms);
	j->state = SCHED_WAITING;
	return 0;
}

static void run_begin(struct sched *s, struct sched_job *j, uint64_t now)
{
	if (j->state == SCHED_WAITING)
		s->used.memory += j->size.memory;
	s->used.cpu += j->size.cpu;
	s->n_running++;
	j->since_ms = now;
	j->state = SCHED_RUNNING;
}

/* Its slice is over: count it. The caller says what it is now. */
static void run_end(struct sched *s, struct sched_job *j, uint64_t now)
{
	uint64_t ran = now - j->since_ms;

	j->ran_ms += ran;
	if (ran)
		j->vtime += vtime_of(j, ran);
	j->since_ms = now;
	j->seq = s->seq++;
	s->used.cpu -= j->size.cpu;
	s->n_running--;
}

void sched_adopt(struct sched *s, struct sched_job *j, uint64_t now_ms, bool running)
{
	link_in(s, j, now_ms);
	j->state = SCHED_WAITING;
	run_begin(s, j, now_ms);
	if (!running) {
		run_end(s, j, now_ms);
		j->state = SCHED_STILL;
	}
}

void sched_remove(struct sched *s, struct sched_job *j, uint64_t now_ms)
{
	if (j->state == SCHED_OUT)
		return;
	if (j->state == SCHED_RUNNING)
		run_end(s, j, now_ms);
	if (j->state != SCHED_WAITING)
		s->used.memory -= j->size.memory;
	if (j->prev)
		j->prev->next = j->next;
	else
		s->first = j->next;
	if (j->next)
		j->next->prev = j->prev;
	else
		s->last = j->prev;
	s->n--;
	j->prev = j->next = NULL;
	j->state = SCHED_OUT;
}

static bool memory_fits(const struct sched *s, const struct sched_job *j)
{
	return j->state != SCHED_WAITING || !s->capacity.memory ||
	       (s->used.memory <= s->capacity.memory &&
		j->size.memory <= s->capacity.memory - s->used.memory);
}

static bool cpu_fits(const struct sched *s, const struct sched_job *j, uint64_t used)
{
	return used <= s->capacity.cpu && j->size.cpu <= s->capacity.cpu - used;
}

/* Whether it could run if it were alone: else it hinders nobody. */
static bool fits_alone(const struct sched *s, const struct sched_job *j)
{
	return j->size.cpu <= s->capacity.cpu &&
	       (j->state != SCHED_WAITING || !s->capacity.memory ||
		j->size.memory <= s->capacity.memory);
}

/* CPUs of those that run and cannot be made to stand still. */
static uint64_t cpu_held(const struct sched *s)
{
	uint64_t held = 0;

	for (const struct sched_job *j = s->first; j; j = j->next)
		if (j->state == SCHED_RUNNING && !slices(s, j))
			held += j->size.cpu;
	return held;
}

/* Who gets its turn next, or NULL. @starts: whether new ones may start at all. */
static struct sched_job *next_to_run(const struct sched *s, uint64_t now, bool *starts)
{
	struct sched_job *head = NULL, *fit = NULL;

	for (struct sched_job *j = s->first; j; j = j->next) {
		if (!waits(j) || !fits_alone(s, j) || (j->state == SCHED_WAITING && !*starts))
			continue;
		if (!head || ranks_before(s, j, head, now))
			head = j;
		if (cpu_fits(s, j, s->used.cpu) && memory_fits(s, j) &&
		    (!fit || ranks_before(s, j, fit, now)))
			fit = j;
	}
	if (!head || head == fit || (s->policy != SCHED_FCFS && !aged(s, head, now)))
		return fit;
	/* The first one does not fit, and nobody may pass it. */
	if (memory_fits(s, head) && cpu_fits(s, head, cpu_held(s)))
		return NULL;
	/* Those that stand still hold memory that it may need: let them come to their end. */
	if (*starts) {
		*starts = false;
		return next_to_run(s, now, starts);
	}
	return fit;
}

void sched_pick(struct sched *s, uint64_t now_ms, sched_order_fn order, void *ctx)
{
	bool starts = true;
	struct sched_job *j;

	if (s->n_running < s->n)
		for (j = s->first; j; j = j->next)
			if (j->state == SCHED_RUNNING && slices(s, j) &&
			    now_ms - j->since_ms >= s->quantum_ms) {
				run_end(s, j, now_ms);
				j->state = SCHED_EXPIRED;
			}
	/* A turn of one that just had one is no order: it goes on. Its state says so at the end. */
	while (s->n_running < s->n && (j = next_to_run(s, now_ms, &starts))) {
		s->vclock = MAX(s->vclock, vtime_next(s, j));
		if (j->state == SCHED_WAITING)
			j->order = SCHED_DO_START;
		else if (j->state == SCHED_STILL)
			j->order = SCHED_DO_RESUME;
		run_begin(s, j, now_ms);
	}
	for (j = s->first; j; j = j->next)
		if (j->state == SCHED_EXPIRED) {
			j->state = SCHED_STILL;
			order(ctx, j, SCHED_DO_PAUSE);
		}
	for (j = s->first; j; j = j->next)
		if (j->order != SCHED_DO_NOTHING) {
			order(ctx, j, j->order);
			j->order = SCHED_DO_NOTHING;
		}
}

uint64_t sched_next_ms(const struct sched *s)
{
	uint64_t next = SCHED_NEVER;

	if (s->n_running == s->n)
		return next;
	for (const struct sched_job *j = s->first; j; j = j->next)
		if (j->state == SCHED_RUNNING && slices(s, j))
			next = MIN(next, j->since_ms + s->quantum_ms);
	return next;
}

size_t sched_position(const struct sched *s, const struct sched_job *j, uint64_t now_ms)
{
	size_t at = 0;

	for (const struct sched_job *x = s->first; x; x = x->next)
		if (x != j && waits(x) && ranks_before(s, x, j, now_ms))
			at++;
	return at;
}
