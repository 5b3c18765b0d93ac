/* SPDX-License-Identifier: MIT */
/*
 * Raw images through worker threads, where io_uring is refused.
 *
 * Theory of operation: requests wait in `todo`; a worker runs all steps of one with plain system
 * calls and puts it on `done`; a loop_call completes those on the loop's thread.
 *
 * Locks: `lock` guards the lists and `stop`; it may be taken under the machine lock, and a worker
 * never takes the machine lock.
 *
 * System calls: preadv, pwritev, pread64, pwrite64, fdatasync, fallocate, futex.
 */
#include "base/compiler.h"
#include "base/thread.h"
#include "blk/fmt/raw_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define WORKERS	    2
#define PRIV_RESULT 3 /* of blk_req.priv: what a worker found */

struct list {
	struct blk_req *head, **tail;
};

struct pool {
	struct raw *disk;
	pthread_t worker[WORKERS];
	pthread_mutex_t lock;
	pthread_cond_t more;
	bool stop;
	struct list todo, done;
	struct loop_call complete;
};

static void put(struct list *l, struct blk_req *r)
{
	r->next = NULL;
	*l->tail = r;
	l->tail = &r->next;
}

static struct blk_req *take(struct list *l)
{
	struct blk_req *r = l->head;

	if (r) {
		l->head = r->next;
		if (!l->head)
			l->tail = &l->head;
		r->next = NULL;
	}
	return r;
}

static long run_step(int fd, const struct raw_step *s)
{
	long n = -1;

	switch (s->call) {
	case RAW_READ:
		n = pread(fd, s->buf, s->len, (off_t)s->off);
		break;
	case RAW_WRITE:
		n = pwrite(fd, s->buf, s->len, (off_t)s->off);
		break;
	case RAW_READV:
		n = preadv(fd, s->iov, (int)s->n_iov, (off_t)s->off);
		break;
	case RAW_WRITEV:
		n = pwritev(fd, s->iov, (int)s->n_iov, (off_t)s->off);
		break;
	case RAW_DATASYNC:
		n = fdatasync(fd);
		break;
	case RAW_FALLOCATE:
		n = fallocate(fd, s->mode, (off_t)s->off, (off_t)s->range);
		break;
	}
	return n < 0 ? -errno : n;
}

/* seccomp: worker: pread64 pwrite64 preadv pwritev fdatasync fsync fallocate write */
static void *work(void *arg)
{
	struct pool *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct blk_req *r = take(&p->todo);
		struct raw_step s;
		int ret = 0;

		if (!r && p->stop)
			break;
		if (!r) {
			pthread_cond_wait(&p->more, &p->lock);
			continue;
		}
		pthread_mutex_unlock(&p->lock);
		do
			raw_step(p->disk, r, &s);
		while (!raw_step_done(r, run_step(p->disk->fd, &s), &ret));
		r->priv[PRIV_RESULT] = (uint64_t)-ret;
		pthread_mutex_lock(&p->lock);
		put(&p->done, r);
		loop_call_schedule(&p->complete);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void complete_done(void *arg)
{
	struct pool *p = arg;

	for (;;) {
		struct blk_req *r;

		pthread_mutex_lock(&p->lock);
		r = take(&p->done);
		pthread_mutex_unlock(&p->lock);
		if (!r)
			return;
		blk_complete(r, -(int)r->priv[PRIV_RESULT]);
	}
}

static void stop_workers(struct pool *p, int n)
{
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < n; i++)
		pthread_join(p->worker[i], NULL);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static int pool_open(struct raw *d)
{
	struct pool *p = calloc(1, sizeof(*p));
	sigset_t all, old;
	int ret = 0;

	if (!p)
		return -ENOMEM;
	p->disk = d;
	p->todo.tail = &p->todo.head;
	p->done.tail = &p->done.head;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	loop_call_init(&p->complete, d->loop, complete_done, p);
	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (int i = 0; i < WORKERS && !ret; i++) {
		ret = thread_start(&p->worker[i], work, p);
		if (ret)
			stop_workers(p, i);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!ret)
		d->priv = p;
	return ret;
}

static void pool_submit(struct raw *d, struct blk_req *r)
{
	struct pool *p = d->priv;

	pthread_mutex_lock(&p->lock);
	put(&p->todo, r);
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
}

static void pool_close(struct raw *d)
{
	struct pool *p = d->priv;

	loop_call_cancel(&p->complete);
	stop_workers(p, WORKERS);
}

const struct raw_engine raw_thread_engine = {
	.name = "threads",
	.open = pool_open,
	.submit = pool_submit,
	.close = pool_close,
};
