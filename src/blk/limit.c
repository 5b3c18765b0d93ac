/* SPDX-License-Identifier: MIT */
/*
 * The limit of a VM's disks, see limit.h.
 *
 * Invariant: while something waits and no disk is held, the timer is armed.
 */
#include "blk/limit.h"

#include "blk/blk.h"

static uint64_t cost(const struct blk_req *r)
{
	switch (r->op) {
	case BLK_OP_READ:
	case BLK_OP_WRITE:
		return r->len;
	case BLK_OP_FLUSH:
		return 0;
	default:
		return BLK_SECTOR;
	}
}

static uint64_t now(const struct blk_limit *l)
{
	return l->clock->mono_ns(l->clock);
}

/* The timer's callback does the work also where it is due at once: nothing starts from inside. */
static void arm(struct blk_limit *l)
{
	if (!l->first || l->held)
		loop_timer_disarm(&l->timer);
	else
		loop_timer_arm(&l->timer, rate_limited(&l->rate) ? l->rate.free_ns : 0);
}

static void on_timer(void *arg)
{
	struct blk_limit *l = arg;
	uint64_t t = now(l);

	while (l->first && rate_ready(&l->rate, t)) {
		struct blk_req *r = l->first;

		l->first = r->next;
		if (!l->first)
			l->tail = &l->first;
		r->next = NULL;
		rate_charge(&l->rate, t, cost(r));
		blk_start(r);
	}
	arm(l);
}

void blk_limit_init(struct blk_limit *l, struct loop *loop)
{
	l->clock = loop_clock(loop);
	l->tail = &l->first;
	loop_timer_init(&l->timer, loop, on_timer, l);
}

void blk_limit_fini(struct blk_limit *l)
{
	BUG_ON(l->first);
	loop_timer_disarm(&l->timer);
}

void blk_limit_set(struct blk_limit *l, uint64_t per_sec)
{
	rate_set(&l->rate, per_sec, now(l));
	arm(l);
}

bool blk_limit_wait(struct blk_limit *l, struct blk_req *r)
{
	uint64_t t = now(l), bytes = cost(r);

	if (!l->first && (!bytes || rate_ready(&l->rate, t))) {
		rate_charge(&l->rate, t, bytes);
		return false;
	}
	*l->tail = r;
	l->tail = &r->next;
	if (!loop_timer_armed(&l->timer))
		arm(l);
	return true;
}

void blk_limit_hold(struct blk_limit *l, bool on)
{
	BUG_ON(!on && !l->held);
	l->held += on ? 1u : -1u;
	arm(l);
}

struct blk_req *blk_limit_take(struct blk_limit *l, const struct blk *k)
{
	struct blk_req *out = NULL, **out_tail = &out, **at = &l->first;

	while (*at) {
		struct blk_req *r = *at;

		if (r->blk != k) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		r->next = NULL;
		*out_tail = r;
		out_tail = &r->next;
	}
	l->tail = at;
	arm(l);
	return out;
}
