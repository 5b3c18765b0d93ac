/* SPDX-License-Identifier: MIT */
/*
 * The history on a fake clock: points come back, minutes are what is computed by hand, old rows
 * go by time and by the file's bound, and a restart or a corrupt file costs little.
 */
#include "base/log.h"
#include "mgr/store/history.h"
#include "mgr/store/history_pack.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define S	     CLOCK_NS_PER_SEC
#define START	     (1795219200ull * S) /* 2026-11-21 00:00:00 UTC, the begin of a minute */
#define MIB	     (1u << 20)
#define PATH_MAX_LEN 192

struct env {
	struct clock_fake clock;
	struct history *h;
	char dir[128], db[PATH_MAX_LEN], bad[PATH_MAX_LEN], wal[PATH_MAX_LEN];
	uint64_t max_bytes;
};

static void start(struct env *t)
{
	struct err e = { 0 };

	if (history_open(&t->h, t->db, &t->clock.clock, t->max_bytes, &e))
		fail_msg("%s", e.msg);
}

static void stop(struct env *t)
{
	history_close(t->h);
	t->h = NULL;
}

static int set_up(void **state)
{
	struct env *t = calloc(1, sizeof(*t));
	const char *tmp = getenv("TMPDIR");

	assert_non_null(t);
	clock_fake_init(&t->clock, 0, START);
	t->max_bytes = 64 * MIB;
	snprintf(t->dir, sizeof(t->dir), "%s/holm-history.XXXXXX", tmp ? tmp : P_tmpdir);
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->db, sizeof(t->db), "%s/history.db", t->dir);
	snprintf(t->bad, sizeof(t->bad), "%s/history.db.bad", t->dir);
	snprintf(t->wal, sizeof(t->wal), "%s/history.db-wal", t->dir);
	start(t);
	*state = t;
	return 0;
}

static int remove_one(const char *path, const struct stat *st UNUSED, int kind UNUSED,
		      struct FTW *ftw UNUSED)
{
	return remove(path);
}

static int tear_down(void **state)
{
	struct env *t = *state;

	history_close(t->h);
	nftw(t->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(t);
	return 0;
}

/* A sample of @id now, with each field different; then a second passes. */
static struct history_sample sample(struct env *t, const char *id, uint64_t salt)
{
	struct history_sample s = { .id = id, .at_ns = t->clock.wall };

	for (unsigned f = 0; f < HIST_COUNT; f++)
		s.v[f] = salt * 1000003 + f;
	return s;
}

static void add(struct env *t, const struct history_sample *s, size_t n)
{
	struct err e = { 0 };

	if (history_add(t->h, s, n, &e))
		fail_msg("%s", e.msg);
}

static void tick(struct env *t, const char *id, uint64_t salt)
{
	struct history_sample s = sample(t, id, salt);

	add(t, &s, 1);
	clock_fake_advance(&t->clock, S);
}

struct got {
	size_t n;
	struct history_point first, last;
	bool in_order;
	size_t stop_after;
};

static int see(void *ctx, const struct history_point *p)
{
	struct got *g = ctx;

	if (!g->n)
		g->first = *p;
	else
		g->in_order &= p->at_ns > g->last.at_ns;
	g->last = *p;
	return ++g->n == g->stop_after ? 5 : 0;
}

static struct got query(struct env *t, const char *id, enum history_step step, uint64_t from,
			uint64_t to)
{
	struct got g = { .in_order = true };

	assert_int_equal(history_query(t->h, id, step, from, to, see, &g, NULL), 0);
	return g;
}

static void points_come_back(void **state)
{
	struct env *t = *state;
	struct got g;

	/* Written ones and those in memory. */
	for (unsigned i = 0; i < 37; i++) {
		const struct history_sample both[] = { sample(t, "host", i),
						       sample(t, "9f0c4f6ad3b21e77", 1000 - i) };

		add(t, both, 2);
		clock_fake_advance(&t->clock, S);
	}
	g = query(t, "host", HISTORY_1S, 0, UINT64_MAX);
	assert_int_equal(g.n, 37);
	assert_true(g.in_order);
	assert_int_equal(g.first.at_ns, START);
	assert_int_equal(g.last.at_ns, START + 36 * S);
	for (unsigned f = 0; f < HIST_COUNT; f++)
		assert_int_equal(g.last.v[f], 36 * 1000003 + f);
	assert_int_equal(g.last.max[HIST_GUEST_USED], g.last.v[HIST_GUEST_USED]);
	/* Falling numbers too; and only what is asked for. */
	g = query(t, "9f0c4f6ad3b21e77", HISTORY_1S, START + 5 * S, START + 33 * S);
	assert_int_equal(g.n, 28);
	assert_int_equal(g.first.at_ns, START + 5 * S);
	for (unsigned f = 0; f < HIST_COUNT; f++) {
		assert_int_equal(g.first.v[f], 995 * 1000003 + f);
		assert_int_equal(g.last.v[f], 968 * 1000003 + f);
	}
	assert_int_equal(query(t, "nobody", HISTORY_1S, 0, UINT64_MAX).n, 0);
	assert_int_equal(query(t, "host", HISTORY_1S, START + 40 * S, UINT64_MAX).n, 0);
	assert_int_equal(query(t, "host", HISTORY_1MIN, 0, UINT64_MAX).n, 0);
	g = (struct got) { .stop_after = 3 };
	assert_int_equal(history_query(t->h, "host", HISTORY_1S, 0, UINT64_MAX, see, &g, NULL), 5);
	assert_int_equal(g.n, 3);
}

static void bad_samples_are_refused(void **state)
{
	struct env *t = *state;
	char longer[HISTORY_ID_MAX + 2];
	struct history_sample s[3] = { sample(t, "", 1), sample(t, "host", 2),
				       sample(t, "host", 3) };

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(history_add(t->h, s, 2, NULL), -EINVAL);
	s[0].id = longer;
	assert_int_equal(history_add(t->h, s, 1, NULL), -EINVAL);
	s[0].id = "host";
	s[0].at_ns = 5;
	assert_int_equal(history_add(t->h, s, 1, NULL), -EINVAL);
	/* The good one beside a bad one counts; of one second the last. */
	assert_int_equal(query(t, "host", HISTORY_1S, 0, UINT64_MAX).n, 1);
	add(t, &s[2], 1);
	assert_int_equal(query(t, "host", HISTORY_1S, 0, UINT64_MAX).n, 1);
	assert_int_equal(query(t, "host", HISTORY_1S, 0, UINT64_MAX).first.v[0], 3 * 1000003);
}

static void minutes_are_rolled_up(void **state)
{
	struct env *t = *state;
	uint64_t cpu = 7 * S;
	struct got g;

	for (unsigned i = 0; i <= 60; i++) {
		struct history_sample s = { .id = "host", .at_ns = t->clock.wall };

		/* 100 to 159: on average 129.5. */
		s.v[HIST_RSS] = i < 60 ? 100 + i : 9999;
		/* 3000 once, else 0: on average 50. */
		s.v[HIST_BALLOON] = i == 30 ? 3000 : 0;
		s.v[HIST_GUEST_USED] = UINT64_MAX; /* no overflow of the sum */
		s.v[HIST_CPU_NS] = cpu;
		s.v[HIST_NET_RX_BYTES] = i * 10;
		/* Half a CPU, and one second of two. */
		cpu += i == 10 ? 2 * S : S / 2;
		add(t, &s, 1);
		clock_fake_advance(&t->clock, S);
	}
	g = query(t, "host", HISTORY_1MIN, 0, UINT64_MAX);
	assert_int_equal(g.n, 1);
	assert_int_equal(g.first.at_ns, START);
	assert_int_equal(g.first.v[HIST_RSS], 129);
	assert_int_equal(g.first.max[HIST_RSS], 159);
	assert_int_equal(g.first.v[HIST_BALLOON], 50);
	assert_int_equal(g.first.max[HIST_BALLOON], 3000);
	assert_int_equal(g.first.v[HIST_GUEST_USED], UINT64_MAX);
	assert_int_equal(g.first.max[HIST_GUEST_USED], UINT64_MAX);
	/* 59 steps of 0.5 s, one of which is 2 s. */
	assert_int_equal(g.first.v[HIST_CPU_NS], 7 * S + 58 * (S / 2) + 2 * S);
	assert_int_equal(g.first.cpu_max, 2000);
	assert_int_equal(g.first.v[HIST_NET_RX_BYTES], 590);
	/* Half-open: the minute's begin counts. */
	assert_int_equal(query(t, "host", HISTORY_1MIN, START, START + 1).n, 1);
	assert_int_equal(query(t, "host", HISTORY_1MIN, START + 1, UINT64_MAX).n, 0);
}

static void restarted_counters_make_no_peak(void **state)
{
	struct env *t = *state;
	struct got g;

	for (unsigned i = 0; i <= 60; i++) {
		struct history_sample s = { .id = "host", .at_ns = t->clock.wall };

		s.v[HIST_CPU_NS] = i < 30 ? 100 * S + i * S : (i - 30) * S / 4;
		add(t, &s, 1);
		clock_fake_advance(&t->clock, S);
	}
	g = query(t, "host", HISTORY_1MIN, 0, UINT64_MAX);
	assert_int_equal(g.n, 1);
	assert_int_equal(g.first.cpu_max, 1000);
	assert_int_equal(g.first.v[HIST_CPU_NS], 29 * S / 4);
}

static int64_t number(const char *path, const char *sql)
{
	sqlite3_stmt *q;
	int64_t v;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	v = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return v;
}

static void seconds_last_an_hour(void **state)
{
	struct env *t = *state;
	struct got g;
	int64_t now;

	for (unsigned i = 0; i < 2 * 3600; i++)
		tick(t, "host", i);
	g = query(t, "host", HISTORY_1S, 0, UINT64_MAX);
	assert_true(g.in_order);
	assert_in_range(g.n, 3600, 3610);
	assert_int_equal(g.last.v[0], 7199 * 1000003ull);
	assert_int_equal(query(t, "host", HISTORY_1MIN, 0, UINT64_MAX).n, 119);
	stop(t);
	now = (int64_t)(t->clock.wall / S);
	assert_in_range(now - number(t->db, "SELECT min(bucket) FROM seconds"), 3600, 3670);
}

static void minutes_last_a_week(void **state)
{
	struct env *t = *state;
	struct got g;
	int64_t now;

	tick(t, "gone", 1);
	for (unsigned i = 0; i < 8 * 24 * 60; i++) {
		tick(t, "host", i);
		clock_fake_advance(&t->clock, 59 * S);
	}
	g = query(t, "host", HISTORY_1MIN, 0, UINT64_MAX);
	assert_true(g.in_order);
	assert_in_range(g.n, HISTORY_MINUTES - 1, HISTORY_MINUTES + 1);
	assert_int_equal(query(t, "gone", HISTORY_1MIN, 0, UINT64_MAX).n, 0);
	stop(t);
	now = (int64_t)(t->clock.wall / S);
	assert_in_range(now - number(t->db, "SELECT min(bucket) FROM minutes"), 7 * 86400 - 60,
			7 * 86400 + 120);
	/* A series without rows is forgotten. */
	assert_int_equal(number(t->db, "SELECT count(*) FROM series"), 1);
}

static void file_has_a_bound(void **state)
{
	struct env *t = *state;
	struct history_sample s[40];
	char ids[40][20];
	uint64_t salt = 1;
	struct stat st;
	struct got g;

	stop(t);
	t->max_bytes = HISTORY_BYTES_MIN;
	start(t);
	for (unsigned i = 0; i < 1800; i++) {
		for (unsigned v = 0; v < ARRAY_SIZE(s); v++) {
			snprintf(ids[v], sizeof(ids[v]), "%016x", v);
			salt = salt * 6364136223846793005ull + 1442695040888963407ull;
			s[v] = sample(t, ids[v], salt >> 20);
		}
		add(t, s, ARRAY_SIZE(s));
		clock_fake_advance(&t->clock, S);
		if (!stat(t->db, &st))
			assert_in_range(st.st_size, 0, HISTORY_BYTES_MIN);
		if (!stat(t->wal, &st))
			assert_in_range(st.st_size, 0, 2 * MIB);
	}
	/* The newest are there, the oldest had to go, and all minutes. */
	g = query(t, ids[39], HISTORY_1S, 0, UINT64_MAX);
	assert_true(g.in_order);
	assert_in_range(g.n, 10, 1000);
	assert_int_equal(g.last.at_ns, t->clock.wall - S);
	/* The seconds have more of their time, so it is them that go. */
	assert_int_equal(query(t, ids[39], HISTORY_1MIN, 0, UINT64_MAX).n, 29);
	stop(t);
	assert_int_equal(stat(t->db, &st), 0);
	assert_in_range(st.st_size, 1, HISTORY_BYTES_MIN);
}

static void restarts_leave_no_hole(void **state)
{
	struct env *t = *state;
	struct got g;

	/* Stopped in the middle of ten seconds, three times. */
	for (unsigned i = 0; i < 60; i++) {
		tick(t, "host", i);
		if (i % 17 == 16) {
			stop(t);
			start(t);
		}
	}
	tick(t, "host", 60);
	g = query(t, "host", HISTORY_1S, 0, UINT64_MAX);
	assert_int_equal(g.n, 61);
	assert_true(g.in_order);
	g = query(t, "host", HISTORY_1MIN, 0, UINT64_MAX);
	assert_int_equal(g.n, 1);
	/* The average of 0 to 59 times 1000003. */
	assert_int_equal(g.first.v[0], 59 * 1000003ull / 2);
}

static void kill_loses_seconds_only(void **state)
{
	struct env *t = *state;
	struct got g;
	int status;
	pid_t pid;

	stop(t);
	pid = fork();
	if (!pid) {
		start(t);
		for (unsigned i = 0; i < 35; i++)
			tick(t, "host", i);
		_exit(0); /* no close */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	clock_fake_advance(&t->clock, 40 * S);
	start(t);
	g = query(t, "host", HISTORY_1S, 0, UINT64_MAX);
	assert_int_equal(g.n, 30);
	/* Its minute is rolled up by the next holmd, from what there is. */
	for (unsigned i = 40; i <= 60; i++)
		tick(t, "host", 7);
	g = query(t, "host", HISTORY_1MIN, 0, UINT64_MAX);
	assert_int_equal(g.n, 1);
	assert_int_equal(g.first.v[0], (29 * 30 / 2 + 20 * 7) * 1000003ull / 50);
}

static void clock_may_go_back(void **state)
{
	struct env *t = *state;
	struct got g;

	for (unsigned i = 0; i < 150; i++)
		tick(t, "host", 10);
	assert_int_equal(query(t, "host", HISTORY_1MIN, 0, UINT64_MAX).n, 2);
	t->clock.wall -= 100 * S;
	for (unsigned i = 0; i < 100; i++)
		tick(t, "host", 30);
	g = query(t, "host", HISTORY_1MIN, START + 60 * S, UINT64_MAX);
	assert_int_equal(g.n, 1);
	/* The second minute holds its 60 samples of 10 and the 60 of 30. */
	assert_int_equal(g.first.v[0], 20 * 1000003ull);
	assert_int_equal(query(t, "host", HISTORY_1MIN, 0, UINT64_MAX).n, 2);
}

static void patch(const char *path, off_t at, off_t end)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	for (; at < end; at += 16)
		assert_int_equal(pwrite(fd, "\xff no page \xff\xff\xff\xff\xff\xff", 16, at), 16);
	close(fd);
}

static void corrupt_file_is_moved_aside(void **state)
{
	struct env *t = *state;
	struct stat st, bad;
	int64_t root;
	int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);

	log_setup(quiet, LOG_WARN);
	for (unsigned i = 0; i < 100; i++)
		tick(t, "host", i);
	stop(t);
	/* The header: seen at open. */
	patch(t->db, 0, 96);
	assert_int_equal(stat(t->db, &st), 0);
	start(t);
	assert_int_equal(stat(t->bad, &bad), 0);
	assert_int_equal(bad.st_ino, st.st_ino);
	assert_int_equal(query(t, "host", HISTORY_1S, 0, UINT64_MAX).n, 0);
	for (unsigned i = 0; i < 100; i++)
		tick(t, "host", i);
	stop(t);
	/* A table that is only written: seen then. Only one old file is kept. */
	assert_int_equal(stat(t->db, &st), 0);
	root = number(t->db, "SELECT rootpage FROM sqlite_schema WHERE name = 'seconds'");
	patch(t->db, (root - 1) * 4096, root * 4096);
	start(t);
	tick(t, "host", 0);
	assert_int_equal(stat(t->db, &bad), 0);
	assert_int_equal(bad.st_ino, st.st_ino);
	for (unsigned i = 1; i < 11; i++)
		tick(t, "host", i);
	assert_int_equal(stat(t->bad, &bad), 0);
	assert_int_equal(bad.st_ino, st.st_ino);
	assert_int_equal(query(t, "host", HISTORY_1S, 0, UINT64_MAX).n, 11);
	/* What is no file is left alone. */
	stop(t);
	assert_int_equal(unlink(t->db), 0);
	assert_int_equal(mkdir(t->db, 0700), 0);
	assert_int_equal(history_open(&t->h, t->db, &t->clock.clock, MIB, NULL), -EBADMSG);
	assert_int_equal(stat(t->db, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	log_setup(-1, LOG_INFO);
	close(quiet);
}

static void bytes_that_are_no_samples_end_the_walk(void **state UNUSED)
{
	struct history_point p[HISTORY_CHUNK_S] = { 0 };
	uint8_t buf[PACK_CHUNK_MAX];
	struct unpack u;
	size_t len;

	for (unsigned i = 0; i < ARRAY_SIZE(p); i++) {
		p[i].at_ns = START + i * S + 999 * CLOCK_NS_PER_MS;
		for (unsigned f = 0; f < HIST_COUNT; f++)
			p[i].v[f] = i % 2 ? UINT64_MAX - i : i;
	}
	len = pack_chunk(buf, START, p, ARRAY_SIZE(p));
	assert_true(len <= sizeof(buf));
	for (size_t cut = 0; cut <= len; cut++) {
		unsigned n = 0;

		unpack_init(&u, START, buf, cut);
		while (unpack_next(&u)) {
			assert_int_equal(u.at.at_ns, p[n].at_ns);
			assert_memory_equal(u.at.v, p[n].v, sizeof(p[n].v));
			n++;
		}
		assert_true(cut == len ? n == ARRAY_SIZE(p) : n < ARRAY_SIZE(p));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(points_come_back),
		TEST(bad_samples_are_refused),
		TEST(minutes_are_rolled_up),
		TEST(restarted_counters_make_no_peak),
		TEST(seconds_last_an_hour),
		TEST(minutes_last_a_week),
		TEST(file_has_a_bound),
		TEST(restarts_leave_no_hole),
		TEST(kill_loses_seconds_only),
		TEST(clock_may_go_back),
		TEST(corrupt_file_is_moved_aside),
		cmocka_unit_test(bytes_that_are_no_samples_end_the_walk),
	};

	return cmocka_run_group_tests_name("mgr-store-history", tests, NULL, NULL);
}
