/* SPDX-License-Identifier: MIT */
/*
 * The runner and a VM's process that means no good, because its guest has taken it over.
 *
 * This program is the process too: a link to it named holm-vmm is what the runner starts, and
 * the environment says how it misbehaves.
 */
#include "base/fd.h"
#include "base/loop.h"
#include "mgr/run/local.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ID	   "00000000000000aa"
#define CONTROL_FD 4 /* spawn.c's order of descriptors */
#define MODE	   "HOLM_TEST_MODE"

/* --- the process ---------------------------------------------------------------------------- */

static void say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		_exit(1);
}

static void hello(int fd)
{
	char text[256];

	snprintf(
		text, sizeof(text),
		"{\"event\":\"hello\",\"version\":1,\"vm\":\"%s\",\"pid\":%d,\"state\":\"running\","
		"\"engine\":\"soft\",\"why\":\"a test\",\"started_ns\":1}",
		ID, (int)getpid());
	say(fd, text);
}

static _Noreturn void flood(int fd, const char *text)
{
	hello(fd);
	for (;;) {
		say(fd, text ? text : "{\"event\":\"state\",\"state\":\"paused\"}");
		say(fd, text ? text : "{\"event\":\"state\",\"state\":\"running\"}");
	}
}

static _Noreturn void misbehave(const char *mode)
{
	struct pollfd p = { .fd = CONTROL_FD, .events = POLLIN };
	char buf[4096];
	int fd;

	/* Never longer than a test. */
	alarm(60);
	if (!strcmp(mode, "deaf"))
		for (;;)
			pause();
	poll(&p, 1, -1);
	fd = accept(CONTROL_FD, NULL, NULL);
	if (!strcmp(mode, "flood"))
		flood(fd, NULL);
	if (!strcmp(mode, "nonsense"))
		flood(fd, "{\"what\":\"\\u0001\"}");
	if (!strcmp(mode, "replies"))
		flood(fd, "{\"id\":7,\"ok\":{}}");
	if (!strcmp(mode, "hellos"))
		for (;;)
			hello(fd);
	hello(fd);
	/* "mute" reads and never answers; "hangup" hangs up and stays. */
	if (!strcmp(mode, "hangup"))
		close(fd);
	for (;;)
		if (recv(fd, buf, sizeof(buf), 0) <= 0)
			pause();
}

/* --- the runner's side ---------------------------------------------------------------------- */

struct world {
	struct loop *loop;
	struct runner *runner;
	char dir[64], vmm[96];
	unsigned hellos, states, ends, failures;
	pid_t pid;
};

static void on_hello(void *ctx, const char *id UNUSED, const struct run_hello *h)
{
	struct world *w = ctx;

	w->hellos++;
	w->pid = h->pid;
}

static void on_state(void *ctx, const char *id UNUSED, bool paused UNUSED)
{
	((struct world *)ctx)->states++;
}

static void on_ended(void *ctx, const char *id UNUSED, const struct run_end *end UNUSED)
{
	((struct world *)ctx)->ends++;
}

static void open_runner(struct world *w)
{
	struct runner_local_config cfg = {
		.loop = w->loop, .run_dir = w->dir, .state_dir = w->dir, .vmm = w->vmm
	};

	assert_int_equal(runner_local_create(&w->runner, &cfg, NULL), 0);
	w->runner->client = (struct runner_client) {
		.hello = on_hello, .state = on_state, .ended = on_ended, .ctx = w
	};
}

static void copy(const char *from, const char *to)
{
	FD_AUTO in = open(from, O_RDONLY | O_CLOEXEC);
	FD_AUTO out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = sendfile(out, in, NULL, 1 << 20)) > 0)
		;
	assert_int_equal(n, 0);
}

static int set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct world *w = calloc(1, sizeof(*w));
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = '\0';
	snprintf(w->dir, sizeof(w->dir), "%s/local.XXXXXX", tmp && strlen(tmp) < 30 ? tmp : "/tmp");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->vmm, sizeof(w->vmm), "%s/holm-vmm", w->dir);
	/* A link of a file's, so that /proc tells this name; else a copy. */
	if (link(self, w->vmm))
		copy(self, w->vmm);
	assert_int_equal(loop_create(&w->loop, &clock_host, NULL), 0);
	loop_lock(w->loop);
	open_runner(w);
	*state = w;
	return 0;
}

/* Rounds of the loop until @done or a time that no test takes. Returns the longest round in ms. */
static unsigned turn(struct world *w, unsigned ms, const unsigned *done, unsigned want)
{
	uint64_t end = clock_monotonic_ns() + ms * CLOCK_NS_PER_MS, worst = 0;

	while (clock_monotonic_ns() < end && !(done && *done >= want)) {
		uint64_t began;

		loop_unlock(w->loop);
		began = clock_monotonic_ns();
		loop_poll(w->loop, 10);
		worst = MAX(worst, clock_monotonic_ns() - began);
		loop_lock(w->loop);
	}
	return (unsigned)(worst / CLOCK_NS_PER_MS);
}

static int tear_down(void **state)
{
	struct world *w = *state;
	char path[128];

	w->runner->ops->purge(w->runner, ID);
	runner_local_destroy(w->runner);
	loop_unlock(w->loop);
	loop_destroy(w->loop);
	while (waitpid(-1, NULL, 0) > 0)
		;
	unlink(w->vmm);
	snprintf(path, sizeof(path), "%s/vm", w->dir);
	rmdir(path);
	rmdir(w->dir);
	free(w);
	return 0;
}

static void spawn(struct world *w, const char *mode)
{
	struct vm_config c;
	struct run_spec s = { .id = ID, .name = "vm", .project = "p", .config = &c, .tap_fd = -1 };
	struct err e = { 0 };

	setenv(MODE, mode, 1);
	assert_int_equal(vm_config_init(&c, NULL), 0);
	assert_int_equal(vm_config_set(&c, "kernel", "/proc/self/exe", NULL), 0);
	if (w->runner->ops->spawn(w->runner, &s, &e))
		fail_msg("%s", e.msg);
	vm_config_free(&c);
	unsetenv(MODE);
}

static void must_die(struct world *w)
{
	w->runner->ops->kill(w->runner, ID);
	turn(w, 5000, &w->ends, 1);
	assert_int_equal(w->ends, 1);
}

/* Whatever it sends: the loop's rounds are short, few packets get through, and it can be killed. */
static void check_flood(struct world *w, const char *mode)
{
	unsigned worst;

	alarm(30);
	spawn(w, mode);
	worst = turn(w, 1500, NULL, 0);
	assert_true(worst < 500);
	assert_int_equal(w->hellos, 1);
	/* Two seconds' worth, whose borders a second and a half can touch three times. */
	assert_true(w->states <= 3 * 64);
	if (!strcmp(mode, "flood"))
		assert_true(w->states > 10);
	must_die(w);
	alarm(0);
}

static void test_flood(void **state)
{
	check_flood(*state, "flood");
}

static void test_nonsense(void **state)
{
	check_flood(*state, "nonsense");
}

static void test_replies(void **state)
{
	check_flood(*state, "replies");
}

static void test_hellos(void **state)
{
	check_flood(*state, "hellos");
}

static void on_reply(void *ctx, const json_t *reply UNUSED, const struct err *e)
{
	((struct world *)ctx)->failures += e != NULL;
}

/* Requests to one that never answers do not pile up, and each is answered when it ends. */
static void test_mute(void **state)
{
	struct control_request q = { .what = CONTROL_STATS };
	struct world *w = *state;
	unsigned sent = 0;

	spawn(w, "mute");
	turn(w, 5000, &w->hellos, 1);
	assert_int_equal(w->hellos, 1);
	for (unsigned i = 0; i < 1000; i++) {
		sent += !w->runner->ops->send(w->runner, ID, &q, on_reply, w, NULL);
		if (i % 50 == 0)
			turn(w, 5, NULL, 0);
	}
	assert_true(sent >= 16 && sent <= 64);
	assert_int_equal(w->failures, 0);
	must_die(w);
	assert_int_equal(w->failures, sent);
}

static void test_hangup(void **state)
{
	struct control_request q = { .what = CONTROL_STATS };
	struct world *w = *state;

	spawn(w, "hangup");
	turn(w, 5000, &w->hellos, 1);
	turn(w, 200, NULL, 0);
	assert_int_equal(w->hellos, 1);
	assert_int_equal(w->ends, 0);
	assert_int_equal(w->runner->ops->send(w->runner, ID, &q, on_reply, w, NULL), -ENOTCONN);
	must_die(w);
}

/* The manager starts anew while a process does not listen: it is known, and can be killed. */
static void test_adopt_deaf(void **state)
{
	struct world *w = *state;
	struct run_end end;

	spawn(w, "deaf");
	turn(w, 300, NULL, 0);
	runner_local_destroy(w->runner);
	open_runner(w);
	assert_int_equal(w->runner->ops->adopt(w->runner, ID, &end, NULL), 0);
	turn(w, 200, NULL, 0);
	assert_int_equal(w->ends, 0);
	must_die(w);
}

/* However often that happens: its socket is full one day, and it is dead only when it is. */
static void test_adopt_often(void **state)
{
	struct world *w = *state;
	struct run_end end;

	spawn(w, "deaf");
	turn(w, 300, NULL, 0);
	for (unsigned i = 0; i < 40 && !w->ends; i++) {
		runner_local_destroy(w->runner);
		open_runner(w);
		assert_int_equal(w->runner->ops->adopt(w->runner, ID, &end, NULL), 0);
		turn(w, 20, NULL, 0);
	}
	/* It was ended because it does not listen. */
	turn(w, 2000, &w->ends, 1);
	assert_int_equal(w->ends, 1);
	assert_true(waitpid(-1, NULL, WNOHANG) != 0);
	runner_local_destroy(w->runner);
	open_runner(w);
	assert_int_equal(w->runner->ops->adopt(w->runner, ID, &end, NULL), -ESRCH);
}

/* Out of descriptors nothing is known of it, and that is not its end. */
static void test_adopt_without_descriptors(void **state)
{
	struct world *w = *state;
	struct run_end end;
	struct rlimit before, few;
	int fds[256], n = 0;

	spawn(w, "mute");
	turn(w, 5000, &w->hellos, 1);
	runner_local_destroy(w->runner);
	open_runner(w);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit) { .rlim_cur = ARRAY_SIZE(fds), .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	while (n < (int)ARRAY_SIZE(fds) && (fds[n] = dup(0)) >= 0)
		n++;
	assert_int_equal(w->runner->ops->adopt(w->runner, ID, &end, NULL), -EMFILE);
	while (n)
		close(fds[--n]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(w->runner->ops->adopt(w->runner, ID, &end, NULL), 0);
	turn(w, 5000, &w->hellos, 2);
	must_die(w);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(int argc UNUSED, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_flood),      TEST(test_nonsense),    TEST(test_replies),
		TEST(test_hellos),     TEST(test_mute),	       TEST(test_hangup),
		TEST(test_adopt_deaf), TEST(test_adopt_often), TEST(test_adopt_without_descriptors),
	};

	if (!strcmp(argv[0], "holm-vmm") && getenv(MODE))
		misbehave(getenv(MODE));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
