/* SPDX-License-Identifier: MIT */
/*
 * A console between its user and a VM's process that does not keep to the rules.
 */
#include "../apienv.h"
#include "base/fd.h"
#include "mgr/run/local.h"
#include "mgr/run/place.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#define ID "00000000000000aa"

struct world {
	struct env v;
	struct runner *local;
	struct place place;
	char dir[64];
	int listener, peer; /* the VM's side */
	/* The request's side. */
	struct api_request r;
	const char *query_mode;
	unsigned status;
	struct api_stream *stream;
};

static const char *query(const struct api_request *r, const char *name)
{
	const struct world *w = CONTAINER_OF(r, struct world, r);

	return !strcmp(name, "vm") ? "web" : !strcmp(name, "mode") ? w->query_mode : NULL;
}

static void done(struct api_request *r, const struct api_reply *a)
{
	struct world *w = CONTAINER_OF(r, struct world, r);

	w->status = a->status;
	w->stream = a->stream;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	int run = -1, disk = -1;

	snprintf(w->dir, sizeof(w->dir), "/tmp/console.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	env_open(&w->v);
	assert_int_equal(runner_local_create(&w->local,
					     &(struct runner_local_config) { .loop = w->v.loop,
									     .run_dir = w->dir,
									     .state_dir = w->dir,
									     .vmm = "/nowhere" },
					     NULL),
			 0);
	w->v.ctx.runner = w->local;
	w->v.runner.alive = true;
	env_put_vm(&w->v, ID, "web", "running");
	assert_int_equal(mgr_recover(&w->v.mgr, NULL), 0);
	assert_int_equal(place_open(&w->place, w->dir, w->dir, NULL), 0);
	assert_int_equal(place_make(&w->place, ID, &run, &disk, NULL), 0);
	assert_int_equal(place_listen(run, "console", &w->listener, NULL), 0);
	fd_close(&run);
	fd_close(&disk);
	w->peer = -1;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	char path[80];

	if (w->stream)
		w->stream->ops->close(w->stream);
	fd_close(&w->peer);
	fd_close(&w->listener);
	place_remove_run(&w->place, ID);
	place_close(&w->place);
	runner_local_destroy(w->local);
	env_close(&w->v);
	snprintf(path, sizeof(path), "%s/vm", w->dir);
	rmdir(path);
	rmdir(w->dir);
	free(w);
	return 0;
}

static int turn(struct world *w)
{
	int n;

	loop_unlock(w->v.loop);
	n = loop_poll(w->v.loop, 0);
	loop_lock(w->v.loop);
	return n;
}

static void ask(struct world *w, const char *mode)
{
	char buf[64];
	ssize_t n;

	w->query_mode = mode;
	w->r = (struct api_request) { .method = "GET",
				      .path = "/v1/console",
				      .query = query,
				      .upgrade = true,
				      .peer = { .uid = 0, .from = "unix" },
				      .done = done };
	w->v.ctx.api.ops->call(w->v.ctx.api.ctx, &w->r);
	assert_int_equal(w->status, 0);
	w->peer = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(w->peer >= 0);
	n = recv(w->peer, buf, sizeof(buf) - 1, 0);
	assert_true(n > 0);
	buf[n] = '\0';
	assert_int_equal(strncmp(buf, mode ? mode : "write", 4), 0);
}

static void open_console(struct world *w, const char *mode)
{
	ask(w, mode);
	assert_int_equal(send(w->peer, "ok\n", 3, 0), 3);
	turn(w);
	assert_int_equal(w->status, 101);
	assert_non_null(w->stream);
}

/* The VM's process is the last to be asked who may type. */
static void test_reader_types(void **state)
{
	struct world *w = *state;
	char buf[16];

	open_console(w, "read");
	assert_int_equal(w->stream->ops->write(w->stream, "rm -rf", 6), -1);
	assert_int_equal(recv(w->peer, buf, sizeof(buf), 0), -1);
}

static void test_writer_types(void **state)
{
	struct world *w = *state;
	char buf[16];

	open_console(w, NULL);
	assert_int_equal(w->stream->ops->write(w->stream, "ls", 2), 2);
	assert_int_equal(recv(w->peer, buf, sizeof(buf), 0), 2);
}

/* While nobody takes what the stream has, a hang-up must not wake the loop for ever. */
static void test_hang_up(void **state)
{
	struct world *w = *state;
	char buf[8192];

	open_console(w, NULL);
	assert_int_equal(send(w->peer, "bye", 3, 0), 3);
	fd_close(&w->peer);
	turn(w);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(turn(w), 0);
	assert_int_equal(w->stream->ops->read(w->stream, buf, sizeof(buf)), 3);
	assert_int_equal(w->stream->ops->read(w->stream, buf, sizeof(buf)), -1);
}

static void test_silence(void **state)
{
	struct world *w = *state;

	ask(w, NULL);
	clock_fake_advance(&w->v.clock, 4 * CLOCK_NS_PER_SEC);
	turn(w);
	assert_int_equal(w->status, 0);
	clock_fake_advance(&w->v.clock, 2 * CLOCK_NS_PER_SEC);
	turn(w);
	assert_int_equal(w->status, 408);
	assert_null(w->stream);
}

/* The user goes while the console has not answered. */
static void test_cancel(void **state)
{
	struct world *w = *state;

	ask(w, NULL);
	w->r.cancel(&w->r);
	clock_fake_advance(&w->v.clock, 10 * CLOCK_NS_PER_SEC);
	assert_int_equal(turn(w), 0);
	assert_int_equal(w->status, 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reader_types), TEST(test_writer_types), TEST(test_hang_up),
		TEST(test_silence),	 TEST(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
