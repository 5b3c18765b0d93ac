/* SPDX-License-Identifier: MIT */
/*
 * The event loop, see loop.h.
 *
 * Invariants: the timer list is sorted by deadline; `armed_ns` is what the timerfd is set to, in
 * the host's time. A
 * struct loop_fd that was deleted during a round stays allocated (dead) until the round's end,
 * because the epoll result array may still name it.
 */
#include "base/loop.h"

#include "base/fd.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define LOOP_EVENTS_MAX 64

struct loop_fd {
	struct loop *loop;
	int fd;
	uint32_t events;
	bool dead;
	loop_fd_fn fn;
	void *arg;
	struct loop_fd *next_dead;
};

/* What loop_post() queues: a loop_call of its own that is freed after it ran. */
struct post {
	struct loop_call call;
	loop_fn fn;
	void *arg;
};

struct loop {
	pthread_mutex_t lock;
	const struct clock *clock;
	int ep;
	int timer_fd; /* -1 on a fake clock */
	int wake_fd;
	uint64_t armed_ns;
	struct loop_timer *timers;
	struct loop_fd *dead;
	/* post_lock is taken with or without `lock` held, never the other way round. */
	pthread_mutex_t post_lock;
	struct loop_call *posted, **posted_tail;
	atomic_bool stop;
};

static int watch_own(struct loop *l, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };

	return epoll_ctl(l->ep, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

int loop_create(struct loop **out, const struct clock *clock, struct err *e)
{
	struct loop *l = calloc(1, sizeof(*l));
	int ret;

	if (!l)
		return err_set(e, -ENOMEM, "no memory for an event loop");
	l->clock = clock;
	l->armed_ns = UINT64_MAX;
	l->posted_tail = &l->posted;
	l->timer_fd = -1;
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->post_lock, NULL);
	l->ep = epoll_create1(EPOLL_CLOEXEC);
	if (l->ep < 0) {
		ret = -errno;
		goto fail_ep;
	}
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake_fd < 0) {
		ret = -errno;
		goto fail_wake;
	}
	ret = watch_own(l, l->wake_fd);
	if (ret)
		goto fail_watch;
	if (clock->host_ns) {
		l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		if (l->timer_fd < 0) {
			ret = -errno;
			goto fail_watch;
		}
		ret = watch_own(l, l->timer_fd);
		if (ret)
			goto fail_timer;
	}
	*out = l;
	return 0;

fail_timer:
	close(l->timer_fd);
fail_watch:
	close(l->wake_fd);
fail_wake:
	close(l->ep);
fail_ep:
	pthread_mutex_destroy(&l->post_lock);
	pthread_mutex_destroy(&l->lock);
	free(l);
	return err_set(e, ret, "cannot make an event loop: %s", strerror(-ret));
}

static void free_dead(struct loop *l)
{
	while (l->dead) {
		struct loop_fd *f = l->dead;

		l->dead = f->next_dead;
		free(f);
	}
}

static void post_run(void *arg)
{
	struct post *p = arg;
	loop_fn fn = p->fn;
	void *fn_arg = p->arg;

	free(p);
	fn(fn_arg);
}

void loop_destroy(struct loop *l)
{
	if (!l)
		return;
	BUG_ON(l->timers);
	for (struct loop_call *c = l->posted, *next; c; c = next) {
		next = c->next;
		if (c->fn == post_run)
			free(c->arg);
	}
	free_dead(l);
	fd_close(&l->timer_fd);
	fd_close(&l->wake_fd);
	fd_close(&l->ep);
	pthread_mutex_destroy(&l->post_lock);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void loop_lock(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
}

void loop_unlock(struct loop *l)
{
	pthread_mutex_unlock(&l->lock);
}

const struct clock *loop_clock(const struct loop *l)
{
	return l->clock;
}

int loop_fd_add(struct loop *l, int fd, uint32_t events, loop_fd_fn fn, void *arg,
		struct loop_fd **out, struct err *e)
{
	struct loop_fd *f = calloc(1, sizeof(*f));
	struct epoll_event ev = { .events = events };

	if (!f)
		return err_set(e, -ENOMEM, "no memory to watch descriptor %d", fd);
	*f = (struct loop_fd) { .loop = l, .fd = fd, .events = events, .fn = fn, .arg = arg };
	ev.data.ptr = f;
	if (epoll_ctl(l->ep, EPOLL_CTL_ADD, fd, &ev) < 0) {
		int ret = -errno;

		free(f);
		return err_set(e, ret, "cannot watch descriptor %d: %s", fd, strerror(-ret));
	}
	*out = f;
	return 0;
}

void loop_fd_mod(struct loop_fd *f, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = f };

	if (f->events == events)
		return;
	f->events = events;
	/* Can only fail where the caller closed the descriptor first, which is a bug. */
	BUG_ON(epoll_ctl(f->loop->ep, EPOLL_CTL_MOD, f->fd, &ev) < 0);
}

void loop_fd_del(struct loop_fd *f)
{
	if (!f)
		return;
	epoll_ctl(f->loop->ep, EPOLL_CTL_DEL, f->fd, NULL);
	f->dead = true;
	f->next_dead = f->loop->dead;
	f->loop->dead = f;
}

/* A device arms timers and changes descriptors on a vCPU's thread as well. */
/* seccomp: loop,vcpu: timerfd_settime epoll_ctl write read */
/* seccomp: loop: epoll_wait epoll_pwait */
/* Set the timerfd to the nearest deadline, where that changed. */
static void rearm(struct loop *l)
{
	uint64_t next = l->timers ? l->timers->deadline_ns : UINT64_MAX;
	struct itimerspec its = { 0 };

	if (l->timer_fd < 0)
		return;
	if (next != UINT64_MAX)
		next = l->clock->host_ns(l->clock, next);
	if (next == l->armed_ns)
		return;
	l->armed_ns = next;
	if (next != UINT64_MAX) {
		/* 0 would disarm it; a deadline in the past fires at once. */
		next = MAX(next, (uint64_t)1);
		its.it_value.tv_sec = (time_t)(next / CLOCK_NS_PER_SEC);
		its.it_value.tv_nsec = (long)(next % CLOCK_NS_PER_SEC);
	}
	/* seccomp: loop,vcpu: timerfd_settime epoll_ctl */
	timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
}

void loop_clock_changed(struct loop *l)
{
	rearm(l);
}

void loop_timer_init(struct loop_timer *t, struct loop *l, loop_fn fn, void *arg)
{
	*t = (struct loop_timer) { .loop = l, .fn = fn, .arg = arg, .deadline_ns = UINT64_MAX };
}

static void timer_unlink(struct loop_timer *t)
{
	if (t->prev)
		t->prev->next = t->next;
	else
		t->loop->timers = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->prev = t->next = NULL;
	t->deadline_ns = UINT64_MAX;
}

void loop_timer_arm(struct loop_timer *t, uint64_t deadline_ns)
{
	struct loop_timer **at = &t->loop->timers, *prev = NULL;

	if (loop_timer_armed(t))
		timer_unlink(t);
	if (deadline_ns == UINT64_MAX)
		deadline_ns--;
	while (*at && (*at)->deadline_ns <= deadline_ns) {
		prev = *at;
		at = &(*at)->next;
	}
	t->deadline_ns = deadline_ns;
	t->prev = prev;
	t->next = *at;
	if (t->next)
		t->next->prev = t;
	*at = t;
	rearm(t->loop);
}

void loop_timer_disarm(struct loop_timer *t)
{
	if (!t->loop || !loop_timer_armed(t))
		return;
	timer_unlink(t);
	rearm(t->loop);
}

static void wake(struct loop *l)
{
	uint64_t one = 1;

	/* EAGAIN means that the counter is full, so the loop wakes anyway. */
	if (write(l->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void loop_call_init(struct loop_call *c, struct loop *l, loop_fn fn, void *arg)
{
	*c = (struct loop_call) { .loop = l, .fn = fn, .arg = arg };
}

void loop_call_schedule(struct loop_call *c)
{
	struct loop *l = c->loop;
	bool fresh;

	pthread_mutex_lock(&l->post_lock);
	fresh = !c->pending;
	if (fresh) {
		c->pending = true;
		c->next = NULL;
		*l->posted_tail = c;
		l->posted_tail = &c->next;
	}
	pthread_mutex_unlock(&l->post_lock);
	if (fresh)
		wake(l);
}

void loop_call_cancel(struct loop_call *c)
{
	struct loop *l = c->loop;

	if (!l)
		return;
	pthread_mutex_lock(&l->post_lock);
	if (c->pending) {
		struct loop_call **at = &l->posted;

		while (*at != c)
			at = &(*at)->next;
		*at = c->next;
		if (l->posted_tail == &c->next)
			l->posted_tail = at;
		c->pending = false;
	}
	pthread_mutex_unlock(&l->post_lock);
}

int loop_post(struct loop *l, loop_fn fn, void *arg)
{
	struct post *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->fn = fn;
	p->arg = arg;
	loop_call_init(&p->call, l, post_run, p);
	loop_call_schedule(&p->call);
	return 0;
}

static int run_posted(struct loop *l)
{
	int ran = 0;

	/* Bounded: what a call schedules anew waits for the next round if it comes back often. */
	for (int i = 0; i < LOOP_EVENTS_MAX; i++) {
		struct loop_call *c;

		pthread_mutex_lock(&l->post_lock);
		c = l->posted;
		if (c) {
			l->posted = c->next;
			if (!l->posted)
				l->posted_tail = &l->posted;
			c->pending = false;
		}
		pthread_mutex_unlock(&l->post_lock);
		if (!c)
			return ran;
		c->fn(c->arg);
		ran++;
	}
	wake(l);
	return ran;
}

static int run_timers(struct loop *l)
{
	uint64_t now = l->clock->mono_ns(l->clock);
	int ran = 0;

	while (l->timers && l->timers->deadline_ns <= now) {
		struct loop_timer *t = l->timers;

		timer_unlink(t);
		t->fn(t->arg);
		ran++;
	}
	/* The timerfd fired or may have: whatever it is set to now is stale. */
	l->armed_ns = 0;
	rearm(l);
	return ran;
}

int loop_poll(struct loop *l, int timeout_ms)
{
	struct epoll_event ev[LOOP_EVENTS_MAX];
	uint64_t count;
	int n, ran = 0;

	n = epoll_wait(l->ep, ev, LOOP_EVENTS_MAX, timeout_ms);
	if (n < 0 && errno != EINTR)
		return -errno;
	loop_lock(l);
	for (int i = 0; i < n; i++) {
		struct loop_fd *f = ev[i].data.ptr;

		if (f && !f->dead) {
			f->fn(f->arg, f->fd, ev[i].events);
			ran++;
		}
	}
	/* Draining: both descriptors are non-blocking, an empty one is no error. */
	if (l->timer_fd >= 0 && read(l->timer_fd, &count, sizeof(count)) < 0)
		count = 0;
	if (read(l->wake_fd, &count, sizeof(count)) < 0)
		count = 0;
	ran += run_timers(l);
	ran += run_posted(l);
	free_dead(l);
	loop_unlock(l);
	return ran;
}

int loop_run(struct loop *l)
{
	while (!atomic_load(&l->stop)) {
		int n = loop_poll(l, -1);

		if (n < 0)
			return n;
	}
	return 0;
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->stop, true);
	wake(l);
}
