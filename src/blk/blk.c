/* SPDX-License-Identifier: MIT */
/*
 * The block core, see blk.h.
 *
 * Theory of operation: every request passes check() before a provider sees it. What fails it (or
 * has no bytes) is put on the `early` list and completed from a loop_call, so that a submitter
 * never sees its `done` from inside blk_submit().
 *
 * Requests that wait for the VM's limit are in its row (limit.c), in_flight as all others.
 *
 * Invariants: r->submitted is true exactly between blk_submit() and blk_complete(); in_flight
 * counts those requests; a provider that completes twice or from inside its submit is our bug.
 */
#include "blk/blk.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>

struct blk {
	struct blk_backend *backend;
	const struct clock *clock;
	struct blk_info info;
	struct blk_stats stats;
	unsigned in_flight;
	bool in_submit, held;
	struct blk_limit *limit; /* NULL: none; borrowed */
	struct loop_call early_call;
	struct blk_req *early, **early_tail; /* priv[0]: the result */
};

static void run_early(void *arg)
{
	struct blk *k = arg;
	struct blk_req *list = k->early;

	/* A `done` may submit anew: what fails then is for the next round. */
	k->early = NULL;
	k->early_tail = &k->early;
	while (list) {
		struct blk_req *r = list;

		list = r->next;
		r->next = NULL;
		blk_complete(r, -(int)r->priv[0]);
	}
}

int blk_create(struct blk **out, struct blk_backend *b, struct loop *loop, struct err *e)
{
	struct blk *k = calloc(1, sizeof(*k));

	if (!k)
		return err_set(e, -ENOMEM, "no memory for a block device");
	k->backend = b;
	k->clock = loop_clock(loop);
	k->early_tail = &k->early;
	loop_call_init(&k->early_call, loop, run_early, k);
	b->ops->info(b, &k->info);
	BUG_ON(k->info.size % BLK_SECTOR || !k->info.size);
	*out = k;
	return 0;
}

static unsigned forget(struct blk_req *list)
{
	unsigned n = 0;

	for (; list; list = list->next, n++)
		list->submitted = false;
	return n;
}

void blk_destroy(struct blk *k)
{
	if (!k)
		return;
	loop_call_cancel(&k->early_call);
	k->in_flight -= forget(k->early);
	if (k->limit)
		k->in_flight -= forget(blk_limit_take(k->limit, k));
	if (k->held)
		blk_limit_hold(k->limit, false);
	BUG_ON(k->in_flight);
	k->backend->ops->close(k->backend);
	free(k);
}

void blk_info(const struct blk *k, struct blk_info *out)
{
	*out = k->info;
}

static bool iov_adds_up(const struct blk_req *r)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < r->n_iov; i++)
		if (ADD_OVERFLOWS(sum, (uint64_t)r->iov[i].iov_len, &sum))
			return false;
	return sum == r->len;
}

/* 0 where the provider may have it, else -errno. */
static int check(const struct blk *k, const struct blk_req *r)
{
	const struct blk_info *i = &k->info;

	if ((unsigned)r->op >= BLK_OP_COUNT)
		return -ENOTSUP;
	if (r->op == BLK_OP_FLUSH)
		return i->can_flush ? 0 : -ENOTSUP;
	if (r->off % BLK_SECTOR || r->len % BLK_SECTOR || !range_ok(r->off, r->len, i->size))
		return -EINVAL;
	if (r->op != BLK_OP_READ && i->read_only)
		return -EROFS;
	if (r->op == BLK_OP_DISCARD)
		return i->can_discard ? 0 : -ENOTSUP;
	if (r->op == BLK_OP_WRITE_ZEROES)
		return i->can_write_zeroes ? 0 : -ENOTSUP;
	return iov_adds_up(r) ? 0 : -EINVAL;
}

/* To complete with @ret from the loop. */
static void end_early(struct blk_req *r, int ret)
{
	struct blk *k = r->blk;

	r->priv[0] = (uint64_t)-ret;
	*k->early_tail = r;
	k->early_tail = &r->next;
	loop_call_schedule(&k->early_call);
}

void blk_start(struct blk_req *r)
{
	struct blk *k = r->blk;

	k->in_submit = true;
	k->backend->ops->submit(k->backend, r);
	k->in_submit = false;
}

void blk_set_limit(struct blk *k, struct blk_limit *l)
{
	BUG_ON(k->limit || k->in_flight);
	k->limit = l;
}

void blk_hold(struct blk *k, bool on)
{
	if (!k->limit || k->held == on)
		return;
	k->held = on;
	blk_limit_hold(k->limit, on);
}

void blk_drop_waiting(struct blk *k)
{
	struct blk_req *list = k->limit ? blk_limit_take(k->limit, k) : NULL;

	while (list) {
		struct blk_req *r = list;

		list = r->next;
		r->next = NULL;
		end_early(r, -EIO);
	}
}

void blk_submit(struct blk *k, struct blk_req *r)
{
	int ret;

	BUG_ON(r->submitted || !r->done);
	r->blk = k;
	r->start_ns = k->clock->mono_ns(k->clock);
	r->submitted = true;
	r->next = NULL;
	k->in_flight++;
	ret = check(k, r);
	if (ret || (r->op != BLK_OP_FLUSH && !r->len)) {
		end_early(r, ret);
		return;
	}
	if (UNLIKELY(blk_limit_on(k->limit)) && blk_limit_wait(k->limit, r))
		return;
	blk_start(r);
}

/* What a device above is told: only the codes that blk.h names. */
static int public_error(int ret)
{
	switch (ret) {
	case 0:
	case -EIO:
	case -ENOSPC:
	case -EROFS:
	case -EINVAL:
	case -ENOTSUP:
		return ret;
	case -EDQUOT:
	case -EFBIG:
		return -ENOSPC;
	default:
		return -EIO;
	}
}

void blk_complete(struct blk_req *r, int ret)
{
	struct blk *k = r->blk;
	unsigned op = (unsigned)r->op;

	BUG_ON(!r->submitted || k->in_submit || ret > 0);
	ret = public_error(ret);
	r->submitted = false;
	k->in_flight--;
	if (op < BLK_OP_COUNT) {
		uint64_t ns = k->clock->mono_ns(k->clock) - r->start_ns;

		k->stats.ops[op]++;
		k->stats.ns[op] += ns;
		latency_add(&k->stats.latency[op], ns);
		if (ret)
			k->stats.errors[op]++;
		else if (op != BLK_OP_FLUSH)
			k->stats.bytes[op] += r->len;
	}
	r->done(r, ret);
}

unsigned blk_in_flight(const struct blk *k)
{
	return k->in_flight;
}

void blk_stats(const struct blk *k, struct blk_stats *out)
{
	*out = k->stats;
}
