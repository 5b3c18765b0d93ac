/* SPDX-License-Identifier: MIT */
/*
 * The limit of a VM's disks over providers that keep their requests and a clock that the test
 * moves: order, rate, one limit for two disks, flush behind writes, holding, reset, changes.
 */
#include "blk/blk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#define KIB	1024u
#define SIZE	(1024u * KIB)
#define REQ_MAX 64
#define MS	CLOCK_NS_PER_MS

struct fake {
	struct blk_backend base;
	struct rig *rig;
};

struct rig {
	struct clock_fake clock;
	struct loop *loop;
	struct blk_limit limit;
	struct fake fakes[2];
	struct blk *blk[2];
	struct blk_req reqs[REQ_MAX];
	unsigned n;
	struct blk_req *seen[REQ_MAX]; /* by the providers, in order */
	unsigned n_seen;
	unsigned failed;
};

static uint8_t buf[SIZE];
static const struct iovec iovs[] = { { buf, 4 * KIB }, { buf, SIZE } };

static void fake_info(struct blk_backend *b UNUSED, struct blk_info *out)
{
	*out = (struct blk_info) {
		.size = SIZE, .block_size = 512, .can_discard = true, .can_flush = true
	};
}

static void fake_submit(struct blk_backend *b, struct blk_req *r)
{
	struct rig *t = CONTAINER_OF(b, struct fake, base)->rig;

	t->seen[t->n_seen++] = r;
}

static void fake_close(struct blk_backend *b UNUSED)
{
}

static const struct blk_backend_ops fake_ops = {
	.name = "fake",
	.info = fake_info,
	.submit = fake_submit,
	.close = fake_close,
};

static void on_done(struct blk_req *r, int ret)
{
	struct rig *t = r->ctx;

	if (ret) {
		assert_int_equal(ret, -EIO);
		t->failed++;
	}
}

static void setup(struct rig *t, uint64_t per_sec)
{
	*t = (struct rig) { 0 };
	clock_fake_init(&t->clock, CLOCK_NS_PER_SEC, 0);
	assert_int_equal(loop_create(&t->loop, &t->clock.clock, NULL), 0);
	blk_limit_init(&t->limit, t->loop);
	for (unsigned i = 0; i < 2; i++) {
		t->fakes[i] = (struct fake) { .base.ops = &fake_ops, .rig = t };
		assert_int_equal(blk_create(&t->blk[i], &t->fakes[i].base, t->loop, NULL), 0);
		blk_set_limit(t->blk[i], &t->limit);
	}
	blk_limit_set(&t->limit, per_sec);
}

/* Every request got to the provider at most once, in the order of submission. */
static void teardown(struct rig *t)
{
	for (unsigned i = 0; i < t->n_seen; i++) {
		assert_true(!i || t->seen[i - 1] < t->seen[i]);
		if (t->seen[i]->submitted)
			blk_complete(t->seen[i], 0);
	}
	for (unsigned i = 0; i < 2; i++)
		blk_destroy(t->blk[i]);
	blk_limit_fini(&t->limit);
	loop_destroy(t->loop);
}

static struct blk_req *submit(struct rig *t, unsigned disk, enum blk_op op, uint64_t len)
{
	struct blk_req *r = &t->reqs[t->n++];

	*r = (struct blk_req) { .op = op, .len = len, .done = on_done, .ctx = t };
	if (op == BLK_OP_READ || op == BLK_OP_WRITE) {
		r->iov = &iovs[len == SIZE];
		r->n_iov = 1;
	}
	blk_submit(t->blk[disk], r);
	return r;
}

static void pass(struct rig *t, uint64_t ns)
{
	clock_fake_advance(&t->clock, ns);
	loop_poll(t->loop, 0);
}

static void waits_in_order_and_for_as_long_as_it_must(void **state UNUSED)
{
	struct blk_stats st;
	struct rig t;

	/* 40 KiB a second are a burst of one request of 4 KiB, and ten a second. */
	setup(&t, 40 * KIB);
	for (unsigned i = 0; i < 12; i++)
		submit(&t, i % 2, BLK_OP_READ, 4 * KIB);
	assert_int_equal(t.n_seen, 2); /* the burst, and one on credit */
	assert_int_equal(blk_in_flight(t.blk[0]), 6);
	pass(&t, 99 * MS);
	assert_int_equal(t.n_seen, 2);
	pass(&t, MS);
	assert_int_equal(t.n_seen, 3);
	pass(&t, 100 * MS);
	assert_int_equal(t.n_seen, 4);
	/* A late timer makes up for the burst's time, not for more. */
	pass(&t, 200 * MS);
	assert_int_equal(t.n_seen, 6);
	for (unsigned i = 0; i < 6; i++)
		pass(&t, 100 * MS);
	assert_int_equal(t.n_seen, 12);
	/* The last one came at once and waited a second: that is its latency. */
	blk_complete(&t.reqs[11], 0);
	blk_stats(t.blk[1], &st);
	assert_int_equal(st.ns[BLK_OP_READ], 1000 * MS);
	assert_int_equal(st.latency[BLK_OP_READ].n[latency_bucket(1000 * MS)], 1);
	teardown(&t);
}

static void flush_never_passes_a_write(void **state UNUSED)
{
	struct rig t;

	setup(&t, 40 * KIB);
	submit(&t, 0, BLK_OP_WRITE, 4 * KIB);
	submit(&t, 0, BLK_OP_WRITE, 4 * KIB);
	/* Nothing waits: it goes, though the bucket is empty. */
	submit(&t, 0, BLK_OP_FLUSH, 0);
	assert_int_equal(t.n_seen, 3);
	submit(&t, 0, BLK_OP_WRITE, 4 * KIB);
	submit(&t, 0, BLK_OP_FLUSH, 0);
	assert_int_equal(t.n_seen, 3);
	pass(&t, 100 * MS);
	assert_int_equal(t.n_seen, 4);
	pass(&t, 100 * MS);
	assert_int_equal(t.n_seen, 5);
	assert_int_equal(t.seen[4]->op, BLK_OP_FLUSH);
	/* A discard moves no bytes. */
	submit(&t, 0, BLK_OP_DISCARD, SIZE);
	submit(&t, 0, BLK_OP_READ, 4 * KIB);
	pass(&t, 200 * MS);
	assert_int_equal(t.n_seen, 7);
	teardown(&t);
}

static void large_ones_are_paid_for_after(void **state UNUSED)
{
	struct rig t;

	setup(&t, 512 * KIB);
	submit(&t, 0, BLK_OP_READ, SIZE);
	submit(&t, 1, BLK_OP_READ, 4 * KIB);
	assert_int_equal(t.n_seen, 1);
	pass(&t, 1899 * MS);
	assert_int_equal(t.n_seen, 1);
	pass(&t, MS);
	assert_int_equal(t.n_seen, 2);
	teardown(&t);
}

static void those_without_work_do_not_wait(void **state UNUSED)
{
	struct blk_req *r;
	struct rig t;

	setup(&t, 40 * KIB);
	for (unsigned i = 0; i < 3; i++)
		submit(&t, 0, BLK_OP_READ, 4 * KIB);
	r = submit(&t, 0, BLK_OP_DISCARD, 0); /* of no bytes: nothing to do */
	assert_true(r->submitted);
	loop_poll(t.loop, 0);
	assert_false(r->submitted);
	assert_int_equal(t.n_seen, 2);
	teardown(&t);
}

static void changes_hold_at_once(void **state UNUSED)
{
	struct rig t;

	setup(&t, 0);
	for (unsigned i = 0; i < 5; i++)
		submit(&t, 0, BLK_OP_READ, 4 * KIB);
	assert_int_equal(t.n_seen, 5);
	blk_limit_set(&t.limit, 4 * KIB);
	for (unsigned i = 0; i < 6; i++)
		submit(&t, 0, BLK_OP_READ, 4 * KIB);
	assert_int_equal(t.n_seen, 6); /* the first on credit, which is 0.9 s */
	/* Ten times the rate, a tenth of the wait. */
	blk_limit_set(&t.limit, 40 * KIB);
	pass(&t, 90 * MS);
	assert_int_equal(t.n_seen, 7);
	/* Lifted: never from inside the call, and new ones do not pass those that wait. */
	blk_limit_set(&t.limit, 0);
	assert_int_equal(t.n_seen, 7);
	submit(&t, 1, BLK_OP_READ, 4 * KIB);
	assert_int_equal(t.n_seen, 7);
	pass(&t, 0);
	assert_int_equal(t.n_seen, 12);
	submit(&t, 1, BLK_OP_READ, 4 * KIB);
	assert_int_equal(t.n_seen, 13);
	teardown(&t);
}

static void held_disks_stand(void **state UNUSED)
{
	struct rig t;

	setup(&t, 40 * KIB);
	for (unsigned i = 0; i < 4; i++)
		submit(&t, 0, BLK_OP_WRITE, 4 * KIB);
	assert_int_equal(t.n_seen, 2);
	blk_hold(t.blk[0], true);
	blk_hold(t.blk[0], true); /* once is enough */
	blk_hold(t.blk[1], true);
	pass(&t, 1000 * MS);
	assert_int_equal(t.n_seen, 2);
	blk_limit_set(&t.limit, 0); /* a change while it stands lets nothing go */
	pass(&t, 1000 * MS);
	assert_int_equal(t.n_seen, 2);
	blk_hold(t.blk[0], false);
	pass(&t, 0);
	assert_int_equal(t.n_seen, 2);
	blk_hold(t.blk[1], false);
	pass(&t, 0);
	assert_int_equal(t.n_seen, 4);
	teardown(&t);
}

static void reset_drops_what_waits_of_that_disk(void **state UNUSED)
{
	struct rig t;

	setup(&t, 40 * KIB);
	for (unsigned i = 0; i < 9; i++) /* the last one is of those that go */
		submit(&t, i % 2, BLK_OP_WRITE, 4 * KIB);
	assert_int_equal(t.n_seen, 2);
	blk_drop_waiting(t.blk[0]);
	assert_int_equal(t.failed, 0); /* from the loop */
	pass(&t, 0);
	assert_int_equal(t.failed, 4);
	assert_int_equal(blk_in_flight(t.blk[0]), 1); /* the one at the provider */
	/* The row goes on behind the gap. */
	submit(&t, 1, BLK_OP_WRITE, 4 * KIB);
	for (unsigned i = 0; i < 4; i++)
		pass(&t, 100 * MS);
	assert_int_equal(t.n_seen, 6);
	for (unsigned i = 1; i < 6; i++)
		assert_ptr_equal(t.seen[i]->blk, t.blk[1]);
	teardown(&t);
}

static void destroyed_with_requests_that_wait(void **state UNUSED)
{
	struct rig t;

	setup(&t, 40 * KIB);
	for (unsigned i = 0; i < 6; i++)
		submit(&t, i % 2, BLK_OP_WRITE, 4 * KIB);
	blk_hold(t.blk[0], true);
	blk_complete(t.seen[0], 0);
	blk_complete(t.seen[1], 0);
	t.n_seen = 0;
	teardown(&t); /* blk_limit_fini() sees that nothing is left in the row */
	assert_int_equal(t.failed, 0);
	assert_int_equal(t.limit.held, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_in_order_and_for_as_long_as_it_must),
		cmocka_unit_test(flush_never_passes_a_write),
		cmocka_unit_test(large_ones_are_paid_for_after),
		cmocka_unit_test(those_without_work_do_not_wait),
		cmocka_unit_test(changes_hold_at_once),
		cmocka_unit_test(held_disks_stand),
		cmocka_unit_test(reset_drops_what_waits_of_that_disk),
		cmocka_unit_test(destroyed_with_requests_that_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
