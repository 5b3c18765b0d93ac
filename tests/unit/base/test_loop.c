/* SPDX-License-Identifier: MIT */
/*
 * Event loop: order of timers on a fake clock, posted calls, descriptors that go in a callback.
 */
#include "base/loop.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <sys/epoll.h>
#include <unistd.h>

struct trace {
	struct loop *loop;
	struct clock_fake clock;
	char got[16];
	unsigned n;
	struct loop_fd *fds[2];
};

static void setup(struct trace *t)
{
	*t = (struct trace) { 0 };
	clock_fake_init(&t->clock, 0, 0);
	assert_int_equal(loop_create(&t->loop, &t->clock.clock, NULL), 0);
}

static struct trace *current;

static void mark_a(void *arg UNUSED)
{
	current->got[current->n++] = 'a';
}

static void mark_b(void *arg UNUSED)
{
	current->got[current->n++] = 'b';
}

static void timers_fire_in_order(void **state UNUSED)
{
	struct trace t;
	struct loop_timer a = { 0 }, b = { 0 };

	setup(&t);
	current = &t;
	loop_timer_init(&a, t.loop, mark_a, NULL);
	loop_timer_init(&b, t.loop, mark_b, NULL);
	loop_timer_arm(&a, 200);
	loop_timer_arm(&b, 100);
	assert_int_equal(loop_poll(t.loop, 0), 0);
	clock_fake_advance(&t.clock, 100);
	assert_int_equal(loop_poll(t.loop, 0), 1);
	assert_string_equal(t.got, "b");
	loop_timer_arm(&b, 150);
	clock_fake_advance(&t.clock, 100);
	assert_int_equal(loop_poll(t.loop, 0), 2);
	assert_string_equal(t.got, "bba");
	loop_timer_arm(&a, 300);
	loop_timer_disarm(&a);
	clock_fake_advance(&t.clock, 1000);
	assert_int_equal(loop_poll(t.loop, 0), 0);
	loop_destroy(t.loop);
}

static void posted_calls_run_once(void **state UNUSED)
{
	struct trace t;
	struct loop_call a, b;

	setup(&t);
	current = &t;
	loop_call_init(&a, t.loop, mark_a, NULL);
	loop_call_init(&b, t.loop, mark_b, NULL);
	loop_call_schedule(&a);
	loop_call_schedule(&a);
	loop_call_schedule(&b);
	loop_call_cancel(&b);
	assert_int_equal(loop_post(t.loop, mark_b, NULL), 0);
	assert_int_equal(loop_poll(t.loop, 0), 2);
	assert_string_equal(t.got, "ab");
	loop_call_schedule(&a);
	loop_destroy(t.loop);
}

/* Whichever descriptor comes first takes both away: the other callback must not run. */
static void drop_both(void *arg, int fd UNUSED, uint32_t events UNUSED)
{
	struct trace *t = arg;

	t->n++;
	loop_fd_del(t->fds[0]);
	loop_fd_del(t->fds[1]);
}

static void deleted_descriptor_is_silent(void **state UNUSED)
{
	struct trace t;
	int p[2], q[2];

	setup(&t);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(pipe(q), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(write(q[1], "x", 1), 1);
	assert_int_equal(loop_fd_add(t.loop, p[0], EPOLLIN, drop_both, &t, &t.fds[0], NULL), 0);
	assert_int_equal(loop_fd_add(t.loop, q[0], EPOLLIN, drop_both, &t, &t.fds[1], NULL), 0);
	assert_int_equal(loop_poll(t.loop, 0), 1);
	assert_int_equal(t.n, 1);
	for (int i = 0; i < 2; i++) {
		close(p[i]);
		close(q[i]);
	}
	loop_destroy(t.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_in_order),
		cmocka_unit_test(posted_calls_run_once),
		cmocka_unit_test(deleted_descriptor_is_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
