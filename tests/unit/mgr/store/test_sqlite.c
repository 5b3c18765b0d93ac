/* SPDX-License-Identifier: MIT */
/*
 * The store on real files: what was acknowledged is there after kill -9, a failed change leaves
 * nothing, and files that are corrupt, newer, in use, full or read-only are refused as they are.
 */
#include "base/fd.h"
#include "mgr/store/db.h"
#include "mgr/store/sqlite.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_LEN 256

struct dir {
	char path[PATH_LEN / 2], db[PATH_LEN], wal[PATH_LEN];
};

static int set_up(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));
	const char *tmp = getenv("TMPDIR");

	assert_non_null(d);
	snprintf(d->path, sizeof(d->path), "%s/holm-store.XXXXXX", tmp ? tmp : P_tmpdir);
	assert_non_null(mkdtemp(d->path));
	snprintf(d->db, sizeof(d->db), "%s/holm.db", d->path);
	snprintf(d->wal, sizeof(d->wal), "%s/holm.db-wal", d->path);
	*state = d;
	return 0;
}

static int remove_one(const char *path, const struct stat *st UNUSED, int kind UNUSED,
		      struct FTW *ftw UNUSED)
{
	return remove(path);
}

static int tear_down(void **state)
{
	struct dir *d = *state;

	nftw(d->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(d);
	return 0;
}

static struct store *open_store(const char *path)
{
	struct store *s = NULL;
	struct err e = { 0 };

	if (store_sqlite_open(&s, path, &e))
		fail_msg("%s", e.msg);
	return s;
}

static void expect_refused(const char *path, int code, const char *word)
{
	struct store *s = NULL;
	struct err e = { 0 };

	assert_int_equal(store_sqlite_open(&s, path, &e), code);
	assert_null(s);
	if (!strstr(e.msg, word))
		fail_msg("'%s' is not in: %s", word, e.msg);
}

static int put(struct store *s, const char *kind, const char *id, const char *name,
	       const char *body, struct err *e)
{
	const struct store_change c = { .kind = kind, .id = id, .name = name, .body = body };

	return s->ops->apply(s, &c, 1, NULL, e);
}

/* All records of a kind as "id=name:body;". */
struct text {
	char s[4096];
	size_t n, records, stop_after;
};

static int collect(void *ctx, const char *kind UNUSED, const char *id, const char *name,
		   const char *body)
{
	struct text *t = ctx;

	t->n += (size_t)snprintf(t->s + t->n, sizeof(t->s) - t->n, "%s=%s:%s;", id,
				 name ? name : "-", body);
	return ++t->records == t->stop_after ? 7 : 0;
}

static void expect_records(struct store *s, const char *kind, const char *want)
{
	struct text t = { 0 };

	assert_int_equal(s->ops->each(s, kind, collect, &t, NULL), 0);
	assert_string_equal(t.s, want);
}

/* Run SQL on the closed file, as somebody with the sqlite3 shell would. */
static void raw(const char *path, const char *sql)
{
	sqlite3 *db;
	char *why = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why))
		fail_msg("%s: %s", sql, why);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void records_come_back(void **state)
{
	struct dir *d = *state;
	struct store *s = open_store(d->db);
	struct text t = { .stop_after = 1 };
	struct stat st;

	assert_int_equal(put(s, "vm", "b", "web", "{\"a\":\"\xc3\xa4'\"}", NULL), 0);
	assert_int_equal(put(s, "vm", "a", NULL, "{}", NULL), 0);
	assert_int_equal(put(s, "net", "a", "web", "{}", NULL), 0);
	expect_records(s, "vm", "a=-:{};b=web:{\"a\":\"\xc3\xa4'\"};");
	assert_int_equal(put(s, "vm", "a", "db", "{1}", NULL), 0);
	assert_int_equal(put(s, "vm", "b", NULL, NULL, NULL), 0);
	assert_int_equal(put(s, "vm", "never", NULL, NULL, NULL), 0);
	assert_int_equal(stat(d->db, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(d->wal, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	s->ops->close(s);
	assert_int_equal(chmod(d->db, 0644), 0);
	s = open_store(d->db);
	expect_records(s, "vm", "a=db:{1};");
	expect_records(s, "net", "a=web:{};");
	expect_records(s, "pool", "");
	assert_int_equal(stat(d->db, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* A walk ends where its function says so. */
	assert_int_equal(put(s, "vm", "c", NULL, "{}", NULL), 0);
	assert_int_equal(s->ops->each(s, "vm", collect, &t, NULL), 7);
	assert_int_equal(t.records, 1);
	s->ops->close(s);
}

static void names_are_unique_in_a_kind(void **state)
{
	struct dir *d = *state;
	struct store *s = open_store(d->db);
	struct err e = { 0 };
	const struct store_change swap[] = {
		{ .kind = "vm", .id = "1", .name = NULL, .body = "{}" },
		{ .kind = "vm", .id = "2", .name = "web", .body = "{}" },
	};

	assert_int_equal(put(s, "vm", "1", "web", "{}", NULL), 0);
	assert_int_equal(put(s, "vm", "2", "web", "{}", &e), -EEXIST);
	assert_string_equal(e.msg, "a vm named 'web' is there already: take another name");
	assert_int_equal(put(s, "vm", "2", "Web", "{}", NULL), 0);
	assert_int_equal(put(s, "vm", "2", "web", "{}", NULL), -EEXIST);
	expect_records(s, "vm", "1=web:{};2=Web:{};");
	/* Records without a name do not meet, and a name that was given up is free. */
	assert_int_equal(put(s, "vm", "3", NULL, "{}", NULL), 0);
	assert_int_equal(put(s, "vm", "4", NULL, "{}", NULL), 0);
	assert_int_equal(s->ops->apply(s, swap, 2, NULL, NULL), 0);
	expect_records(s, "vm", "1=-:{};2=web:{};3=-:{};4=-:{};");
	assert_int_equal(put(s, "", "3", NULL, "{}", NULL), -EINVAL);
	assert_int_equal(put(s, "vm", "", NULL, "{}", NULL), -EINVAL);
	s->ops->close(s);
}

static const struct audit_entry entry = {
	.at_ns = 1795219200000000000ull,
	.who = "root",
	.from = "unix",
	.what = "vm.create",
	.on = "vm/web",
	.result = "ok",
};

static void all_changes_or_none(void **state)
{
	struct dir *d = *state;
	struct store *s = open_store(d->db);
	uint64_t n = 9;
	const struct store_change c[] = {
		{ .kind = "vm", .id = "1", .name = "one", .body = "{}" },
		{ .kind = "vm", .id = "0", .body = NULL },
		{ .kind = "vm", .id = "2", .name = "taken", .body = "{}" },
		{ .kind = "vm", .id = "3", .name = "three", .body = "{}" },
	};

	assert_int_equal(put(s, "vm", "0", "taken", "{}", NULL), 0);
	assert_int_equal(put(s, "vm", "9", "three", "{}", NULL), 0);
	assert_int_equal(s->ops->apply(s, c, 4, &entry, NULL), -EEXIST);
	expect_records(s, "vm", "0=taken:{};9=three:{};");
	assert_int_equal(s->ops->audit_verify(s, &n, NULL), 0);
	assert_int_equal(n, 0);
	/* The store goes on, and the audit entry comes with its changes. */
	assert_int_equal(s->ops->apply(s, c, 3, &entry, NULL), 0);
	assert_int_equal(s->ops->apply(s, NULL, 0, NULL, NULL), 0);
	s->ops->close(s);
	s = open_store(d->db);
	expect_records(s, "vm", "1=one:{};2=taken:{};9=three:{};");
	assert_int_equal(s->ops->audit_verify(s, &n, NULL), 0);
	assert_int_equal(n, 1);
	s->ops->close(s);
}

/* Writes until it is killed and says each id that is acknowledged. */
NORETURN static void writer(const char *path, int fd, uint32_t first)
{
	struct store *s;

	if (store_sqlite_open(&s, path, NULL))
		_exit(1);
	for (uint32_t i = first;; i++) {
		char id[16], other[16];
		const struct store_change c[] = {
			{ .kind = "vm", .id = id, .name = id, .body = "{\"half\":1}" },
			{ .kind = "pair", .id = other, .body = "{\"half\":2}" },
		};

		snprintf(id, sizeof(id), "%08x", i);
		snprintf(other, sizeof(other), "%08x", i);
		if (s->ops->apply(s, c, 2, &entry, NULL) || fd_write_full(fd, &i, sizeof(i)))
			_exit(2);
	}
}

struct seen {
	uint32_t n;
	bool in_order;
};

static int count_record(void *ctx, const char *kind UNUSED, const char *id, const char *name UNUSED,
			const char *body UNUSED)
{
	struct seen *s = ctx;

	s->in_order &= strtoul(id, NULL, 16) == s->n;
	s->n++;
	return 0;
}

static void acknowledged_survives_kill(void **state)
{
	struct dir *d = *state;
	uint32_t next = 0;
	unsigned with_work = 0;

	for (unsigned round = 0; round < 25; round++) {
		struct seen vms = { .in_order = true }, pairs = { .in_order = true };
		uint32_t id, said = next;
		struct store *s;
		uint64_t entries;
		int fds[2], status;
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		pid = fork();
		if (!pid)
			writer(d->db, fds[1], next);
		close(fds[1]);
		/* After a number of writes that differs by round, at any place of the next. */
		for (unsigned i = 0; i <= round * 3; i++)
			if (read(fds[0], &id, sizeof(id)) == sizeof(id))
				said = id + 1;
		usleep(round * 173 % 1000);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		while (read(fds[0], &id, sizeof(id)) == sizeof(id))
			said = id + 1;
		close(fds[0]);

		s = open_store(d->db);
		assert_int_equal(s->ops->each(s, "vm", count_record, &vms, NULL), 0);
		assert_int_equal(s->ops->each(s, "pair", count_record, &pairs, NULL), 0);
		assert_true(vms.in_order && pairs.in_order);
		assert_int_equal(vms.n, pairs.n);
		/* At most the one that was done but not said is more. */
		assert_true(vms.n == said || vms.n == said + 1);
		assert_int_equal(s->ops->audit_verify(s, &entries, NULL), 0);
		assert_int_equal(entries, vms.n);
		s->ops->close(s);
		with_work += said > next;
		next = vms.n;
	}
	assert_int_equal(with_work, 25);
}

/* What is refused is as it was, byte for byte. */
static void expect_refused_untouched(const struct dir *d, int code, const char *word)
{
	MEM_AUTO uint8_t *before = NULL, *after = NULL;
	size_t n, m;

	assert_int_equal(file_read(d->db, 64u << 20, &before, &n, NULL), 0);
	expect_refused(d->db, code, word);
	assert_int_equal(file_read(d->db, 64u << 20, &after, &m, NULL), 0);
	assert_int_equal(n, m);
	assert_memory_equal(before, after, n);
}

static void patch(const char *path, off_t at, const char *bytes, size_t len)
{
	FD_AUTO fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, at), len);
}

static void peek(const char *path, off_t at, char *bytes, size_t len)
{
	FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, bytes, len, at), len);
}

static void corrupt_files_are_refused(void **state)
{
	struct dir *d = *state;
	struct store *s = open_store(d->db);
	struct stat st;

	for (int i = 0; i < 200; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%d", i);
		assert_int_equal(
			put(s, "vm", id, id, "{\"some\":\"thing to fill the pages\"}", NULL), 0);
	}
	s->ops->close(s);
	/* Any one page behind the first. */
	assert_int_equal(stat(d->db, &st), 0);
	assert_true(st.st_size >= 5 * 4096);
	for (off_t at = 4096; at < st.st_size; at += 4096) {
		char was[8];

		peek(d->db, at, was, sizeof(was));
		patch(d->db, at, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
		expect_refused_untouched(d, -EBADMSG, "put a good copy in its place");
		patch(d->db, at, was, sizeof(was));
	}
	s = open_store(d->db);
	s->ops->close(s);
	/* The header. */
	patch(d->db, 0, "no SQLite at all", 16);
	expect_refused_untouched(d, -EBADMSG, "put a good copy in its place");
	/* Cut short. */
	assert_int_equal(truncate(d->db, 50), 0);
	expect_refused_untouched(d, -EBADMSG, "put a good copy in its place");
}

static void emptied_file_keeps_its_log(void **state)
{
	struct dir *d = *state;
	struct stat st;
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct store *s;

		_exit(store_sqlite_open(&s, d->db, NULL) ||
		      put(s, "vm", "1", "web", "{}", NULL)); /* no close: the log stays */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(truncate(d->db, 0), 0);
	expect_refused_untouched(d, -EBADMSG, "its log ending in -wal is there");
	assert_int_equal(stat(d->wal, &st), 0);
	assert_true(st.st_size > 0);
	/* Nor is a missing one made anew beside it. */
	assert_int_equal(unlink(d->db), 0);
	expect_refused(d->db, -EBADMSG, "its log ending in -wal is there");
	assert_int_equal(access(d->db, F_OK), -1);
}

static void other_files_are_refused(void **state)
{
	struct dir *d = *state;
	struct store *s;
	char deep[PATH_LEN];

	raw(d->db, "CREATE TABLE mine(x)");
	expect_refused_untouched(d, -EBADMSG, "another program");
	raw(d->db, "PRAGMA user_version=1; PRAGMA application_id=77");
	expect_refused_untouched(d, -EBADMSG, "another program");
	expect_refused(d->path, -EBADMSG, "not a regular file");
	snprintf(deep, sizeof(deep), "%s/no/holm.db", d->path);
	expect_refused(deep, -ENOENT, "No such file");
	/* An empty one is what a killed first start leaves. */
	assert_int_equal(truncate(d->db, 0), 0);
	s = open_store(d->db);
	assert_int_equal(put(s, "vm", "1", "web", "{}", NULL), 0);
	s->ops->close(s);
}

static void newer_version_is_refused(void **state)
{
	struct dir *d = *state;
	struct store *s = open_store(d->db);

	s->ops->close(s);
	raw(d->db, "PRAGMA user_version=42");
	expect_refused_untouched(d, -EBADMSG, "has version 42, this holmd knows versions up to 1");
}

static const char *const steps[] = {
	"CREATE TABLE t(a TEXT); INSERT INTO t VALUES('first')",
	"ALTER TABLE t ADD COLUMN b INTEGER NOT NULL DEFAULT 5",
	"UPDATE t SET b = b + 1",
	"CREATE TABLE half(a); INSERT INTO nowhere VALUES(1)",
};

static struct db_schema fake_schema(unsigned version)
{
	return (struct db_schema) { .what = "fake",
				    .advice = "nothing",
				    .application_id = 5,
				    .migrations = steps,
				    .version = version,
				    .pragmas = "",
				    .check = true };
}

static void older_version_is_migrated(void **state)
{
	struct dir *d = *state;
	struct db_schema v1 = fake_schema(1), v3 = fake_schema(3), v4 = fake_schema(4);
	struct err e = { 0 };
	struct db db;
	int64_t n;

	assert_int_equal(db_open(&db, d->db, &v1, NULL), 0);
	assert_int_equal(db_exec(&db, "INSERT INTO t VALUES('second')", NULL), 0);
	db_close(&db);
	/* Two rows at once; each has run once, also after a second open. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(db_open(&db, d->db, &v3, NULL), 0);
		assert_int_equal(db_number(&db, "SELECT sum(b) FROM t", &n, NULL), 0);
		assert_int_equal(n, 12);
		assert_int_equal(db_number(&db, "PRAGMA user_version", &n, NULL), 0);
		assert_int_equal(n, 3);
		db_close(&db);
	}
	/* One that fails leaves the old version whole. */
	assert_int_equal(db_open(&db, d->db, &v4, &e), -EIO);
	assert_non_null(strstr(e.msg, "from version 3 to 4"));
	assert_int_equal(db_open(&db, d->db, &v3, NULL), 0);
	assert_int_equal(db_number(&db, "SELECT count(*) FROM sqlite_schema", &n, NULL), 0);
	assert_int_equal(n, 1);
	db_close(&db);
	assert_int_equal(db_open(&db, d->db, &v1, NULL), -EBADMSG);
}

static void second_process_is_refused(void **state)
{
	struct dir *d = *state;
	struct store *s = open_store(d->db);
	int status;
	pid_t pid;

	for (int i = 0; i < 2; i++) {
		expect_refused(d->db, -EBUSY, "another holmd");
		pid = fork();
		if (!pid) {
			struct store *again;

			_exit(store_sqlite_open(&again, d->db, NULL) == -EBUSY ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		/* Being asked for did not loosen the lock. */
		assert_int_equal(put(s, "vm", "1", "web", "{}", NULL), 0);
	}
	s->ops->close(s);
	s = open_store(d->db);
	expect_records(s, "vm", "1=web:{};");
	s->ops->close(s);
}

/* Writes until there is no room; then everything that was acknowledged is there. */
static unsigned fill(struct store *s)
{
	static char body[20000];
	struct err e = { 0 };
	unsigned n = 0;
	int ret;

	memset(body, 'x', sizeof(body) - 1);
	for (;; n++) {
		char id[16];

		snprintf(id, sizeof(id), "%06u", n);
		ret = put(s, "vm", id, id, body, &e);
		if (ret)
			break;
		assert_true(n < 10000);
	}
	if (ret != -ENOSPC)
		fail_msg("%d after %u: %s", ret, n, e.msg);
	assert_non_null(strstr(e.msg, "no room"));
	return n;
}

static void expect_count(struct store *s, unsigned n)
{
	struct seen seen = { 0 };

	assert_int_equal(s->ops->each(s, "vm", count_record, &seen, NULL), 0);
	assert_int_equal(seen.n, n);
	assert_int_equal(s->ops->audit_verify(s, NULL, NULL), 0);
}

static void file_size_limit_keeps_old_state(void **state)
{
	struct dir *d = *state;
	struct store *s = open_store(d->db);
	struct rlimit old, small;
	unsigned n;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit) { .rlim_cur = 1u << 20, .rlim_max = old.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	n = fill(s);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_true(n > 10);
	expect_count(s, n);
	assert_int_equal(put(s, "vm", "more", NULL, "{}", NULL), 0);
	s->ops->close(s);
	s = open_store(d->db);
	expect_count(s, n + 1);
	s->ops->close(s);
}

static bool put_text(const char *path, const char *text)
{
	FD_AUTO fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && !fd_write_full(fd, text, strlen(text));
}

/* Mounts of its own for this process, as root of a user namespace where it is not root. */
static bool own_mounts(void)
{
	bool is_root = !geteuid();
	char uids[32], gids[32];

	snprintf(uids, sizeof(uids), "0 %u 1", (unsigned)geteuid());
	snprintf(gids, sizeof(gids), "0 %u 1", (unsigned)getegid());
	if (unshare(CLONE_NEWNS | (is_root ? 0 : CLONE_NEWUSER)))
		return false;
	if (!is_root &&
	    (!put_text("/proc/self/setgroups", "deny") || !put_text("/proc/self/uid_map", uids) ||
	     !put_text("/proc/self/gid_map", gids)))
		return false;
	return !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* In a child with a small disk of its own; skipped without the right to mount. */
static void in_mount_child(struct dir *d, void (*fn)(struct dir *d))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (!own_mounts() || mount("tmpfs", d->path, "tmpfs", 0, "size=2m"))
			_exit(77);
		fn(d);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

#define CHILD_CHECK(cond)                                                                          \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "line %d: %s\n", __LINE__, #cond);                         \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static void fill_tmpfs(struct dir *d)
{
	struct store *s = open_store(d->db);
	unsigned n = fill(s);

	CHILD_CHECK(n > 10);
	expect_count(s, n);
	s->ops->close(s);
	s = open_store(d->db);
	expect_count(s, n);
	/* Room is made by removing. */
	CHILD_CHECK(!mount(NULL, d->path, NULL, MS_REMOUNT, "size=8m"));
	CHILD_CHECK(!put(s, "vm", "more", NULL, "{}", NULL));
	s->ops->close(s);
}

static void full_disk_keeps_old_state(void **state)
{
	in_mount_child(*state, fill_tmpfs);
}

static void go_read_only(struct dir *d)
{
	struct store *s = open_store(d->db);
	struct err e = { 0 };

	CHILD_CHECK(!put(s, "vm", "1", "web", "{}", NULL));
	s->ops->close(s);
	CHILD_CHECK(!mount(NULL, d->path, NULL, MS_REMOUNT | MS_RDONLY, NULL));
	CHILD_CHECK(store_sqlite_open(&s, d->db, &e) == -EROFS);
	CHILD_CHECK(strstr(e.msg, "can only be read"));
	CHILD_CHECK(!mount(NULL, d->path, NULL, MS_REMOUNT, NULL));
	s = open_store(d->db);
	expect_records(s, "vm", "1=web:{};");
	s->ops->close(s);
}

static void read_only_disk_is_refused(void **state)
{
	in_mount_child(*state, go_read_only);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(records_come_back),
		TEST(names_are_unique_in_a_kind),
		TEST(all_changes_or_none),
		TEST(acknowledged_survives_kill),
		TEST(corrupt_files_are_refused),
		TEST(emptied_file_keeps_its_log),
		TEST(other_files_are_refused),
		TEST(newer_version_is_refused),
		TEST(older_version_is_migrated),
		TEST(second_process_is_refused),
		TEST(file_size_limit_keeps_old_state),
		TEST(full_disk_keeps_old_state),
		TEST(read_only_disk_is_refused),
	};

	return cmocka_run_group_tests_name("mgr-store-sqlite", tests, NULL, NULL);
}
