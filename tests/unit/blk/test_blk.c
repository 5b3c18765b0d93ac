/* SPDX-License-Identifier: MIT */
/*
 * The block core over a provider that keeps its requests until the test lets them go: what is
 * refused never reaches it, nothing completes from inside blk_submit(), the counts are right.
 */
#include "blk/blk.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>

#define SIZE (64u * 1024u)

struct fake {
	struct blk_backend base;
	struct blk_info info;
	struct blk_req *held[8];
	unsigned n_held;
	bool closed;
};

static void fake_info(struct blk_backend *b, struct blk_info *out)
{
	*out = CONTAINER_OF(b, struct fake, base)->info;
}

static void fake_submit(struct blk_backend *b, struct blk_req *r)
{
	struct fake *f = CONTAINER_OF(b, struct fake, base);

	assert_true(f->n_held < ARRAY_SIZE(f->held));
	f->held[f->n_held++] = r;
}

static void fake_close(struct blk_backend *b)
{
	CONTAINER_OF(b, struct fake, base)->closed = true;
}

static const struct blk_backend_ops fake_ops = {
	.name = "fake",
	.info = fake_info,
	.submit = fake_submit,
	.close = fake_close,
};

struct rig {
	struct clock_fake clock;
	struct loop *loop;
	struct fake fake;
	struct blk *blk;
};

struct result {
	unsigned times;
	int ret;
};

static void on_done(struct blk_req *r, int ret)
{
	struct result *x = r->ctx;

	x->times++;
	x->ret = ret;
}

static void setup(struct rig *t, bool read_only)
{
	*t = (struct rig) { 0 };
	clock_fake_init(&t->clock, 1000, 0);
	assert_int_equal(loop_create(&t->loop, &t->clock.clock, NULL), 0);
	t->fake.base.ops = &fake_ops;
	t->fake.info = (struct blk_info) {
		.size = SIZE,
		.block_size = 512,
		.read_only = read_only,
		.can_write_zeroes = true,
		.can_flush = true,
	};
	assert_int_equal(blk_create(&t->blk, &t->fake.base, t->loop, NULL), 0);
}

static void teardown(struct rig *t)
{
	blk_destroy(t->blk);
	assert_true(t->fake.closed);
	loop_destroy(t->loop);
}

/* Submit what the core must refuse with @want, from the loop and without the provider. */
static void refused(struct rig *t, struct blk_req r, int want)
{
	struct result x = { 0 };

	r.done = on_done;
	r.ctx = &x;
	blk_submit(t->blk, &r);
	assert_int_equal(x.times, 0);
	assert_int_equal(blk_in_flight(t->blk), 1);
	loop_poll(t->loop, 0);
	assert_int_equal(x.times, 1);
	assert_int_equal(x.ret, want);
	assert_int_equal(t->fake.n_held, 0);
	assert_int_equal(blk_in_flight(t->blk), 0);
}

static void bad_requests_are_refused(void **state UNUSED)
{
	static uint8_t buf[2048];
	const struct iovec k1 = { buf, 1024 };
	const struct iovec huge[2] = { { buf, SIZE_MAX }, { buf, 1025 } };
	struct rig t;
	struct blk_stats st;

	setup(&t, false);
	refused(&t,
		(struct blk_req) {
			.op = BLK_OP_READ, .off = 100, .len = 1024, .iov = &k1, .n_iov = 1 },
		-EINVAL);
	refused(&t, (struct blk_req) { .op = BLK_OP_READ, .len = 1000, .iov = &k1, .n_iov = 1 },
		-EINVAL);
	refused(&t, (struct blk_req) { .op = BLK_OP_READ, .len = 512, .iov = &k1, .n_iov = 1 },
		-EINVAL);
	refused(&t,
		(struct blk_req) { .op = BLK_OP_WRITE,
				   .off = SIZE - 512,
				   .len = 1024,
				   .iov = &k1,
				   .n_iov = 1 },
		-EINVAL);
	refused(&t,
		(struct blk_req) { .op = BLK_OP_WRITE,
				   .off = UINT64_MAX - 511,
				   .len = 1024,
				   .iov = &k1,
				   .n_iov = 1 },
		-EINVAL);
	refused(&t, (struct blk_req) { .op = BLK_OP_READ, .len = 1024, .iov = huge, .n_iov = 2 },
		-EINVAL);
	refused(&t, (struct blk_req) { .op = BLK_OP_DISCARD, .len = 512 }, -ENOTSUP);
	refused(&t, (struct blk_req) { .op = (enum blk_op)77 }, -ENOTSUP);
	refused(&t, (struct blk_req) { .op = BLK_OP_READ, .off = SIZE }, 0);
	blk_stats(t.blk, &st);
	assert_int_equal(st.errors[BLK_OP_READ], 4);
	assert_int_equal(st.errors[BLK_OP_WRITE], 2);
	assert_int_equal(st.ops[BLK_OP_READ], 5);
	assert_int_equal(st.bytes[BLK_OP_READ], 0);
	teardown(&t);

	setup(&t, true);
	refused(&t, (struct blk_req) { .op = BLK_OP_WRITE, .len = 1024, .iov = &k1, .n_iov = 1 },
		-EROFS);
	refused(&t, (struct blk_req) { .op = BLK_OP_WRITE_ZEROES, .len = 1024 }, -EROFS);
	teardown(&t);
}

static void good_requests_are_measured(void **state UNUSED)
{
	static uint8_t buf[1024];
	const struct iovec v[2] = { { buf, 100 }, { buf + 100, 924 } };
	struct result x = { 0 }, y = { 0 };
	struct blk_req r = { .op = BLK_OP_WRITE,
			     .off = SIZE - 1024,
			     .len = 1024,
			     .iov = v,
			     .n_iov = 2,
			     .done = on_done,
			     .ctx = &x };
	struct blk_req f = { .op = BLK_OP_FLUSH, .done = on_done, .ctx = &y };
	struct blk_stats st;
	struct rig t;

	setup(&t, false);
	blk_submit(t.blk, &r);
	blk_submit(t.blk, &f);
	assert_int_equal(t.fake.n_held, 2);
	clock_fake_advance(&t.clock, 500);
	blk_complete(t.fake.held[1], -ENETDOWN);
	blk_complete(t.fake.held[0], 0);
	assert_int_equal(x.times + y.times, 2);
	assert_int_equal(x.ret, 0);
	assert_int_equal(y.ret, -EIO); /* only the codes of the header come up */
	blk_stats(t.blk, &st);
	assert_int_equal(st.bytes[BLK_OP_WRITE], 1024);
	assert_int_equal(st.ns[BLK_OP_WRITE], 500);
	assert_int_equal(st.errors[BLK_OP_FLUSH], 1);
	teardown(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(good_requests_are_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
