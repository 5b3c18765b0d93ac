/* SPDX-License-Identifier: MIT */
/*
 * Raw images on real files: thousands of random requests against a model in memory on both
 * engines, more of them than the ring holds, images that shrink, and every refusal at open.
 */
#include "base/fd.h"
#include "blk/fmt/raw_internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_SIZE (1024u * 1024u)
#define ROUNDS	  60
#define BATCH	  300 /* more than the ring takes at once */
#define REQ_MAX	  8192u

struct rig {
	struct loop *loop;
	struct blk *blk;
	char path[64];
	int fd; /* a second look at the file */
};

struct job {
	struct blk_req r;
	struct iovec iov[4];
	uint8_t *buf;
	bool done;
	int ret;
};

static void make_image(struct rig *t, off_t size)
{
	const char *dir = getenv("TMPDIR");

	*t = (struct rig) { 0 };
	assert_int_equal(loop_create(&t->loop, &clock_host, NULL), 0);
	snprintf(t->path, sizeof(t->path), "%s/holm-raw-XXXXXX", dir ? dir : "/tmp");
	t->fd = mkstemp(t->path);
	assert_true(t->fd >= 0);
	assert_int_equal(ftruncate(t->fd, size), 0);
}

static void setup(struct rig *t, const struct raw_engine *engine)
{
	struct blk_backend *b;
	struct err e = { 0 };
	int fd;

	make_image(t, DISK_SIZE);
	fd = open(t->path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	if (raw_open_with(&b, fd, t->path, false, t->loop, engine, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(blk_create(&t->blk, b, t->loop, NULL), 0);
}

static void teardown(struct rig *t)
{
	blk_destroy(t->blk);
	loop_destroy(t->loop);
	unlink(t->path);
	close(t->fd);
}

static void on_done(struct blk_req *r, int ret)
{
	struct job *j = r->ctx;

	assert_false(j->done);
	j->done = true;
	j->ret = ret;
}

static void drain(struct rig *t)
{
	for (int i = 0; blk_in_flight(t->blk) && i < 10000; i++)
		loop_poll(t->loop, 1000);
	assert_int_equal(blk_in_flight(t->blk), 0);
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Cut @buf into up to four pieces, some of them empty or odd. */
static void cut(struct job *j, uint64_t *seed)
{
	size_t left = j->r.len, at = 0;

	for (unsigned i = 0; i < 3; i++) {
		size_t n = next_random(seed) % (left + 1);

		j->iov[i] = (struct iovec) { j->buf + at, n };
		at += n;
		left -= n;
	}
	j->iov[3] = (struct iovec) { j->buf + at, left };
	j->r.iov = j->iov;
	j->r.n_iov = 4;
}

/* Requests of a batch do not overlap: each has its own slice of the disk. */
static void random_requests(const struct raw_engine *engine)
{
	static uint8_t model[DISK_SIZE], bytes[BATCH * REQ_MAX];
	static struct job jobs[BATCH];
	const size_t slice = DISK_SIZE / BATCH / BLK_SECTOR * BLK_SECTOR;
	uint64_t seed = 0x9e3779b97f4a7c15ULL;
	struct rig t;

	memset(model, 0, sizeof(model));
	setup(&t, engine);
	for (int round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < BATCH; i++) {
			struct job *j = &jobs[i];
			size_t first = next_random(&seed) % (slice / BLK_SECTOR);
			size_t n = 1 + next_random(&seed) % (slice / BLK_SECTOR - first);

			*j = (struct job) { .buf = bytes + i * REQ_MAX };
			j->r = (struct blk_req) {
				.op = (enum blk_op)(next_random(&seed) % BLK_OP_COUNT),
				.off = i * slice + first * BLK_SECTOR,
				.len = n * BLK_SECTOR,
				.unmap = next_random(&seed) & 1,
				.done = on_done,
				.ctx = j,
			};
			for (size_t k = 0; k < j->r.len; k++)
				j->buf[k] = (uint8_t)next_random(&seed);
			if (j->r.op == BLK_OP_READ || j->r.op == BLK_OP_WRITE)
				cut(j, &seed);
			blk_submit(t.blk, &j->r);
			if (j->r.op == BLK_OP_WRITE)
				memcpy(model + j->r.off, j->buf, j->r.len);
			/* A hole reads as zeroes on every filesystem that punches. */
			if (j->r.op == BLK_OP_WRITE_ZEROES || j->r.op == BLK_OP_DISCARD)
				memset(model + j->r.off, 0, j->r.len);
		}
		drain(&t);
		for (unsigned i = 0; i < BATCH; i++) {
			assert_true(jobs[i].done);
			assert_int_equal(jobs[i].ret, 0);
			if (jobs[i].r.op == BLK_OP_READ)
				assert_memory_equal(jobs[i].buf, model + jobs[i].r.off,
						    jobs[i].r.len);
		}
	}
	assert_int_equal(fd_pread_full(t.fd, bytes, DISK_SIZE, 0), DISK_SIZE);
	assert_memory_equal(bytes, model, DISK_SIZE);
	teardown(&t);
}

static void uring_against_model(void **state UNUSED)
{
	struct rig t;
	struct blk_backend *b;

	make_image(&t, 512);
	if (raw_open_with(&b, dup(t.fd), t.path, false, t.loop, &raw_uring_engine, NULL)) {
		print_message("skipped: the kernel refuses io_uring here\n");
		skip();
	}
	b->ops->close(b);
	loop_destroy(t.loop);
	close(t.fd);
	unlink(t.path);
	random_requests(&raw_uring_engine);
}

static void threads_against_model(void **state UNUSED)
{
	random_requests(&raw_thread_engine);
}

static void steps_go_on_and_fall_back(void **state UNUSED)
{
	uint8_t a[1024], z[16];
	const struct iovec v[3] = { { a, 0 }, { a, 300 }, { a + 300, 724 } };
	struct blk_req r = { .op = BLK_OP_READ, .off = 4096, .len = 1024, .iov = v, .n_iov = 3 };
	const struct raw d = { .zeroes = z };
	struct raw_step s;
	int ret = 1;

	raw_begin(&r);
	raw_step(&d, &r, &s);
	assert_int_equal(s.call, RAW_READV);
	assert_int_equal(s.n_iov, 2);
	assert_false(raw_step_done(&r, -EINTR, &ret));
	assert_false(raw_step_done(&r, 100, &ret));
	raw_step(&d, &r, &s);
	assert_int_equal(s.call, RAW_READ);
	assert_ptr_equal(s.buf, a + 100);
	assert_int_equal(s.len, 200);
	assert_int_equal(s.off, 4196);
	assert_false(raw_step_done(&r, 200, &ret));
	raw_step(&d, &r, &s);
	assert_ptr_equal(s.buf, a + 300);
	assert_int_equal(s.len, 724);
	assert_true(raw_step_done(&r, 0, &ret));
	assert_int_equal(ret, -EIO);

	r = (struct blk_req) { .op = BLK_OP_WRITE_ZEROES, .len = RAW_ZEROES + 512 };
	raw_begin(&r);
	raw_step(&d, &r, &s);
	assert_int_equal(s.call, RAW_FALLOCATE);
	assert_false(raw_step_done(&r, -EOPNOTSUPP, &ret));
	raw_step(&d, &r, &s);
	assert_int_equal(s.call, RAW_WRITE);
	assert_ptr_equal(s.buf, z);
	assert_int_equal(s.len, RAW_ZEROES);
	assert_false(raw_step_done(&r, RAW_ZEROES, &ret));
	raw_step(&d, &r, &s);
	assert_int_equal(s.off, RAW_ZEROES);
	assert_int_equal(s.len, 512);
	assert_true(raw_step_done(&r, 512, &ret));
	assert_int_equal(ret, 0);

	r = (struct blk_req) { .op = BLK_OP_WRITE_ZEROES, .len = 512 };
	raw_begin(&r);
	assert_true(raw_step_done(&r, -ENOSPC, &ret));
	assert_int_equal(ret, -ENOSPC);
	r.op = BLK_OP_DISCARD;
	raw_begin(&r);
	assert_true(raw_step_done(&r, -EOPNOTSUPP, &ret));
	assert_int_equal(ret, 0);
}

static void shrunk_image_is_an_error(void **state UNUSED)
{
	const struct raw_engine *engines[] = { NULL, &raw_thread_engine };

	for (unsigned i = 0; i < ARRAY_SIZE(engines); i++) {
		uint8_t buf[1024];
		struct iovec v = { buf, sizeof(buf) };
		struct job j = { 0 };
		struct rig t;

		setup(&t, engines[i]);
		assert_int_equal(ftruncate(t.fd, 512), 0);
		j.r = (struct blk_req) { .op = BLK_OP_READ,
					 .len = 1024,
					 .iov = &v,
					 .n_iov = 1,
					 .done = on_done,
					 .ctx = &j };
		blk_submit(t.blk, &j.r);
		drain(&t);
		assert_int_equal(j.ret, -EIO);
		teardown(&t);
	}
}

static void refuse(const char *path, bool read_only, int want, const char *says)
{
	struct blk_backend *b = NULL;
	struct err e = { 0 };
	struct loop *l;
	int ret;

	assert_int_equal(loop_create(&l, &clock_host, NULL), 0);
	ret = blk_raw_open(&b, path, read_only, l, &e);
	assert_int_equal(ret, want);
	assert_null(b);
	assert_non_null(strstr(e.msg, says));
	assert_non_null(strstr(e.msg, path));
	loop_destroy(l);
}

static void open_refuses_in_sentences(void **state UNUSED)
{
	struct blk_backend *a, *b, *c;
	struct err e = { 0 };
	struct rig t;

	refuse("/nonexistent/disk.img", false, -ENOENT, "does not exist");
	refuse("/tmp", false, -EISDIR, "is a directory");
	refuse("/tmp", true, -EISDIR, "is a directory");
	refuse("/dev/null", false, -EISDIR, "neither");
	make_image(&t, 1000);
	refuse(t.path, false, -EINVAL, "1000 bytes");
	assert_int_equal(ftruncate(t.fd, 0), 0);
	refuse(t.path, false, -EINVAL, "empty");
	assert_int_equal(ftruncate(t.fd, 4096), 0);

	/* One writer alone; readers share. */
	assert_int_equal(blk_raw_open(&a, t.path, false, t.loop, &e), 0);
	refuse(t.path, false, -EBUSY, "another virtual machine");
	refuse(t.path, true, -EBUSY, "another virtual machine");
	a->ops->close(a);
	assert_int_equal(blk_raw_open(&a, t.path, true, t.loop, &e), 0);
	assert_int_equal(blk_raw_open(&b, t.path, true, t.loop, &e), 0);
	refuse(t.path, false, -EBUSY, "another virtual machine");
	a->ops->close(a);
	b->ops->close(b);
	assert_int_equal(blk_raw_open(&c, t.path, false, t.loop, &e), 0);
	c->ops->close(c);

	unlink(t.path);
	assert_int_equal(mkfifo(t.path, 0600), 0);
	refuse(t.path, true, -EISDIR, "neither");
	unlink(t.path);
	close(t.fd);
	loop_destroy(t.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uring_against_model),
		cmocka_unit_test(threads_against_model),
		cmocka_unit_test(steps_go_on_and_fall_back),
		cmocka_unit_test(shrunk_image_is_an_error),
		cmocka_unit_test(open_refuses_in_sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
