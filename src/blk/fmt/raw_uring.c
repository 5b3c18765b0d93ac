/* SPDX-License-Identifier: MIT */
/*
 * Raw images through io_uring.
 *
 * Theory of operation: submit puts a request on the queue and schedules one loop_call, so all
 * requests of a round enter the kernel with one io_uring_enter(2). Completions wake an eventfd in
 * the loop. At most URING_DEPTH requests are in the kernel, so the completion ring (twice as
 * large) cannot overflow; the rest waits in the queue.
 *
 * System calls: io_uring_setup, io_uring_register, mmap at open; io_uring_enter and read after.
 */
#include "base/fd.h"
#include "base/log.h"
#include "blk/fmt/raw_internal.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define URING_DEPTH 128u

struct uring {
	struct raw *disk;
	struct io_uring ring;
	int event_fd;
	struct loop_fd *watch;
	struct loop_call kick;
	struct loop_timer retry; /* the kernel was short of memory */
	unsigned in_kernel;
	struct blk_req *queue, **queue_tail;
};

static void prepare(struct uring *u, struct io_uring_sqe *sqe, struct blk_req *r)
{
	int fd = u->disk->fd;
	struct raw_step s;

	raw_step(u->disk, r, &s);
	switch (s.call) {
	case RAW_READ:
		io_uring_prep_read(sqe, fd, s.buf, (unsigned)s.len, s.off);
		break;
	case RAW_WRITE:
		io_uring_prep_write(sqe, fd, s.buf, (unsigned)s.len, s.off);
		break;
	case RAW_READV:
		io_uring_prep_readv(sqe, fd, s.iov, s.n_iov, s.off);
		break;
	case RAW_WRITEV:
		io_uring_prep_writev(sqe, fd, s.iov, s.n_iov, s.off);
		break;
	case RAW_DATASYNC:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	case RAW_FALLOCATE:
		io_uring_prep_fallocate(sqe, fd, s.mode, (off_t)s.off, (off_t)s.range);
		break;
	}
	io_uring_sqe_set_data(sqe, r);
}

/* seccomp: loop,vcpu: io_uring_enter read */
/* seccomp: loop: io_uring_register */
static void kick(void *arg)
{
	struct uring *u = arg;
	const struct clock *clock = loop_clock(u->disk->loop);

	while (u->queue && u->in_kernel < URING_DEPTH) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
		struct blk_req *r = u->queue;

		if (!sqe)
			break;
		u->queue = r->next;
		if (!u->queue)
			u->queue_tail = &u->queue;
		r->next = NULL;
		prepare(u, sqe, r);
		u->in_kernel++;
	}
	while (io_uring_sq_ready(&u->ring)) {
		int n = io_uring_submit(&u->ring);

		if (n > 0 || n == -EINTR)
			continue;
		/* -EAGAIN, -EBUSY: what was not taken stays in the ring for the next try. */
		loop_timer_arm(&u->retry, clock->mono_ns(clock) + CLOCK_NS_PER_MS);
		return;
	}
}

static void enqueue(struct uring *u, struct blk_req *r)
{
	*u->queue_tail = r;
	u->queue_tail = &r->next;
}

static void reap(void *arg, int fd, uint32_t events UNUSED)
{
	struct uring *u = arg;
	struct io_uring_cqe *cqe;
	uint64_t count;

	/* Non-blocking: an empty counter is no error. */
	if (read(fd, &count, sizeof(count)) < 0)
		count = 0;
	while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
		struct blk_req *r = io_uring_cqe_get_data(cqe);
		int res = cqe->res, ret = 0;

		io_uring_cqe_seen(&u->ring, cqe);
		u->in_kernel--;
		if (raw_step_done(r, res, &ret))
			blk_complete(r, ret);
		else
			enqueue(u, r);
	}
	kick(u);
}

static int uring_open(struct raw *d)
{
	struct uring *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return -ENOMEM;
	u->disk = d;
	u->queue_tail = &u->queue;
	ret = io_uring_queue_init(URING_DEPTH, &u->ring, 0);
	if (ret)
		goto fail_init;
	u->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = u->event_fd < 0 ? -errno : io_uring_register_eventfd(&u->ring, u->event_fd);
	if (ret)
		goto fail_event;
	ret = loop_fd_add(d->loop, u->event_fd, EPOLLIN, reap, u, &u->watch, NULL);
	if (ret)
		goto fail_event;
	loop_call_init(&u->kick, d->loop, kick, u);
	loop_timer_init(&u->retry, d->loop, kick, u);
	d->priv = u;
	return 0;

fail_event:
	fd_close(&u->event_fd);
	io_uring_queue_exit(&u->ring);
fail_init:
	free(u);
	return ret;
}

static void uring_submit(struct raw *d, struct blk_req *r)
{
	struct uring *u = d->priv;

	enqueue(u, r);
	loop_call_schedule(&u->kick);
}

static void uring_close(struct raw *d)
{
	struct uring *u = d->priv;

	loop_call_cancel(&u->kick);
	loop_timer_disarm(&u->retry);
	loop_fd_del(u->watch);
	io_uring_queue_exit(&u->ring);
	fd_close(&u->event_fd);
	free(u);
}

const struct raw_engine raw_uring_engine = {
	.name = "io_uring",
	.open = uring_open,
	.submit = uring_submit,
	.close = uring_close,
};
