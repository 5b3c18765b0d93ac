/* SPDX-License-Identifier: MIT */
/*
 * The audit log: entries come back as written, the file refuses changes, and every kind of
 * tampering by somebody who drops the triggers is found and named.
 */
#include "mgr/store/db.h"
#include "mgr/store/sqlite.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_ENTRIES 9

struct file {
	char dir[128], db[160];
	struct store *s;
};

static void append(struct store *s, unsigned i)
{
	char on[32];
	struct err e = { 0 };
	const struct audit_entry a = {
		.seq = 777, /* not looked at */
		.at_ns = 1795219200000000000ull + i,
		.who = i % 2 ? "root" : "uid:1000",
		.from = "unix",
		.what = "vm.start",
		.on = on,
		.result = "ok",
	};

	snprintf(on, sizeof(on), "vm/%u", i);
	if (s->ops->apply(s, NULL, 0, &a, &e))
		fail_msg("%s", e.msg);
}

static int set_up(void **state)
{
	struct file *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "%s/holm-audit.XXXXXX", tmp ? tmp : P_tmpdir);
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->db, sizeof(f->db), "%s/holm.db", f->dir);
	assert_int_equal(store_sqlite_open(&f->s, f->db, NULL), 0);
	for (unsigned i = 1; i <= N_ENTRIES; i++)
		append(f->s, i);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct file *f = *state;

	if (f->s)
		f->s->ops->close(f->s);
	unlink(f->db);
	rmdir(f->dir);
	free(f);
	return 0;
}

struct seen {
	unsigned n;
	uint64_t first, last;
	char text[256];
};

static int see(void *ctx, const struct audit_entry *a)
{
	struct seen *s = ctx;

	if (!s->n++)
		s->first = a->seq;
	s->last = a->seq;
	snprintf(s->text, sizeof(s->text), "%llu %llu %s %s %s %s %s", (unsigned long long)a->seq,
		 (unsigned long long)a->at_ns, a->who, a->from, a->what, a->on, a->result);
	return 0;
}

static void entries_come_back(void **state)
{
	struct file *f = *state;
	struct seen s = { 0 };
	uint64_t n;

	assert_int_equal(f->s->ops->audit_each(f->s, 0, 100, see, &s, NULL), 0);
	assert_int_equal(s.n, N_ENTRIES);
	assert_int_equal(s.first, 1);
	assert_string_equal(s.text, "9 1795219200000000009 root unix vm.start vm/9 ok");
	s = (struct seen) { 0 };
	assert_int_equal(f->s->ops->audit_each(f->s, 3, 2, see, &s, NULL), 0);
	assert_int_equal(s.first, 3);
	assert_int_equal(s.last, 4);
	assert_int_equal(f->s->ops->audit_verify(f->s, &n, NULL), 0);
	assert_int_equal(n, N_ENTRIES);
}

/* The hash is of what the file head says: computed by another program from these fields. */
static void hash_is_as_documented(void **state)
{
	static const char want[] =
		"643cebc976b1230836e0dcafba75e9d8436c6591558f9fd42f668880c89851ec";
	struct file *f = *state;
	char got[65] = "";
	sqlite3_stmt *q;
	sqlite3 *db;

	f->s->ops->close(f->s);
	f->s = NULL;
	assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT lower(hex(hash)) FROM audit WHERE seq = 2",
					    -1, &q, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	snprintf(got, sizeof(got), "%s", (const char *)sqlite3_column_text(q, 0));
	sqlite3_finalize(q);
	sqlite3_close(db);
	assert_string_equal(got, want);
}

/* @sql on the closed file; whether SQLite took it. */
static bool raw(struct file *f, const char *sql)
{
	sqlite3 *db;
	int rc;

	if (f->s)
		f->s->ops->close(f->s);
	f->s = NULL;
	assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
	rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return rc == SQLITE_OK;
}

static void triggers_refuse_changes(void **state)
{
	struct file *f = *state;

	assert_false(raw(f, "UPDATE audit SET who = 'eve' WHERE seq = 3"));
	assert_false(raw(f, "DELETE FROM audit WHERE seq = 9"));
	assert_false(raw(f, "INSERT OR REPLACE INTO audit SELECT 3, at_ns, 'eve', origin, what,"
			    " target, result, hash FROM audit WHERE seq = 3"));
	assert_int_equal(store_sqlite_open(&f->s, f->db, NULL), 0);
	assert_int_equal(f->s->ops->audit_verify(f->s, NULL, NULL), 0);
	append(f->s, 10);
}

static void tampering_is_found(void **state)
{
#define OFF                                                                                        \
	"DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;"                              \
	"DROP TRIGGER audit_no_replace;"
#define COPY(as, of)                                                                               \
	"INSERT INTO audit SELECT " as ", at_ns, who, origin, what, target, result, hash"          \
	" FROM audit WHERE seq = " of ";"
	static const struct {
		const char *sql, *says;
	} all[] = {
		{ "UPDATE audit SET who = 'eve' WHERE seq = 1", "entry 1 is not as" },
		{ "UPDATE audit SET at_ns = at_ns + 1 WHERE seq = 4", "entry 4 is not as" },
		{ "UPDATE audit SET who = 'eve' WHERE seq = 4", "entry 4 is not as" },
		{ "UPDATE audit SET origin = '' WHERE seq = 4", "entry 4 is not as" },
		{ "UPDATE audit SET what = 'vm.rm' WHERE seq = 4", "entry 4 is not as" },
		{ "UPDATE audit SET target = 'vm/5' WHERE seq = 4", "entry 4 is not as" },
		{ "UPDATE audit SET result = 'forbidden' WHERE seq = 4", "entry 4 is not as" },
		/* A letter moved over the border of two fields. */
		{ "UPDATE audit SET who = 'uid:100', origin = '0unix' WHERE seq = 4",
		  "entry 4 is not as" },
		{ "UPDATE audit SET who = 'eve' WHERE seq = 9", "entry 9 is not as" },
		{ "UPDATE audit SET hash = zeroblob(32) WHERE seq = 4", "entry 4 is not as" },
		{ "UPDATE audit SET hash = zeroblob(31) WHERE seq = 4", "entry 4 is not as" },
		{ "DELETE FROM audit WHERE seq = 1", "entry 1 is missing" },
		{ "DELETE FROM audit WHERE seq = 5", "entry 5 is missing" },
		{ "DELETE FROM audit WHERE seq = 9", "entry 9 is missing" },
		{ "DELETE FROM audit WHERE seq > 6", "entry 7 is missing" },
		{ "DELETE FROM audit", "entry 1 is missing" },
		/* Removed, and the gap closed. */
		{ "DELETE FROM audit WHERE seq = 5; UPDATE audit SET seq = seq - 1 WHERE seq > 5",
		  "entry 5 is not as" },
		/* Removed at the end, and the total lowered. */
		{ "DELETE FROM audit WHERE seq = 9; UPDATE meta SET audit_count = 8",
		  "entry 8, the last, is not as" },
		{ "UPDATE meta SET audit_count = 12", "entry 10 is missing" },
		/* Added: before, in the middle, behind. */
		{ COPY("0", "1"), "entry 0 was added" },
		{ "UPDATE audit SET seq = seq + 100 WHERE seq > 4;"
		  "UPDATE audit SET seq = seq - 99 WHERE seq > 100;" COPY(
			  "5", "4") "UPDATE meta SET audit_count = 10",
		  "entry 5 is not as" },
		{ COPY("10", "9"), "entry 10 was added" },
		{ COPY("10", "9") "UPDATE meta SET audit_count = 10", "entry 10 is not as" },
		/* Two that changed places. */
		{ "UPDATE audit SET seq = 100 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = "
		  "4;"
		  "UPDATE audit SET seq = 4 WHERE seq = 100",
		  "entry 3 is not as" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct err e = { 0 };
		uint64_t n = 99;
		struct file *f;
		char sql[1024];

		tear_down(state);
		set_up(state);
		f = *state;
		snprintf(sql, sizeof(sql), OFF "%s", all[i].sql);
		assert_true(raw(f, sql));
		assert_int_equal(store_sqlite_open(&f->s, f->db, NULL), 0);
		if (f->s->ops->audit_verify(f->s, &n, &e) != -EBADMSG)
			fail_msg("not found: %s", all[i].sql);
		if (!strstr(e.msg, all[i].says))
			fail_msg("%s: %s", all[i].sql, e.msg);
		assert_int_equal(n, 99);
		/* The log goes on, and the finding does not go away. */
		append(f->s, 50);
		assert_int_equal(f->s->ops->audit_verify(f->s, NULL, NULL), -EBADMSG);
	}
}

static void lost_totals_are_refused(void **state)
{
	struct file *f = *state;
	struct err e = { 0 };

	assert_true(raw(f, "DELETE FROM meta"));
	assert_int_equal(store_sqlite_open(&f->s, f->db, &e), -EBADMSG);
	assert_non_null(strstr(e.msg, "corrupt"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(entries_come_back),       TEST(hash_is_as_documented),
		TEST(triggers_refuse_changes), TEST(tampering_is_found),
		TEST(lost_totals_are_refused),
	};

	return cmocka_run_group_tests_name("mgr-store-audit", tests, NULL, NULL);
}
