/* SPDX-License-Identifier: MIT */
/*
 * SQLite files, see db.h.
 *
 * Theory of operation of db_open(): nothing is written before the file is known to be ours, whole
 * and not newer than this program. A killed first start leaves an empty file or one without
 * tables; both count as new. A file that is empty although a log stands beside it has lost its
 * contents: SQLite would delete the log, so that is refused first.
 */
#include "mgr/store/db.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS 200 /* a backup's or a shell's short look is waited for */

static int corrupt(const struct db *d, const char *why, struct err *e)
{
	return err_set(e, -EBADMSG, "%.200s: the %s is corrupt (%.80s): %s", d->path,
		       d->schema->what, why, d->schema->advice);
}

static int disk_full(const struct db *d, struct err *e)
{
	return err_set(e, -ENOSPC,
		       "%.200s: no room to write: free some space or raise the quota; nothing "
		       "was changed",
		       d->path);
}

int db_fail(const struct db *d, int rc, struct err *e)
{
	/* sqlite3_system_errno() does not know of what failed in a COMMIT. */
	int host = errno;

	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(e, -EBUSY,
			       "%.200s: the %s is in use by another process: is another holmd "
			       "running?",
			       d->path, d->schema->what);
	case SQLITE_FULL:
		return disk_full(d, e);
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return corrupt(d, sqlite3_errmsg(d->sql), e);
	case SQLITE_READONLY:
		return err_set(e, -EROFS, "%.200s: the %s can only be read: make it writable",
			       d->path, d->schema->what);
	case SQLITE_NOMEM:
		return err_set(e, -ENOMEM, "%.200s: no memory for the %s", d->path,
			       d->schema->what);
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return err_set(e, host == EROFS || host == ENOENT ? -host : -EACCES,
			       "%.200s: cannot open the %s or the log beside it: %s", d->path,
			       d->schema->what, host ? strerror(host) : sqlite3_errmsg(d->sql));
	case SQLITE_IOERR:
		/* SQLite takes only ENOSPC for a full disk. */
		if (host == ENOSPC || host == EDQUOT || host == EFBIG)
			return disk_full(d, e);
		break;
	default:
		host = 0; /* another call's */
		break;
	}
	return err_set(e, -EIO, "%.200s: the %s failed: %s%s%s (SQLite %d)", d->path,
		       d->schema->what, sqlite3_errmsg(d->sql), host ? ": " : "",
		       host ? strerror(host) : "", rc);
}

int db_exec(struct db *d, const char *sql, struct err *e)
{
	int rc = sqlite3_exec(d->sql, sql, NULL, NULL, NULL);

	return rc ? db_fail(d, rc, e) : 0;
}

int db_prepare(struct db *d, sqlite3_stmt **out, const char *sql, struct err *e)
{
	int rc = sqlite3_prepare_v3(d->sql, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);

	return rc ? db_fail(d, rc, e) : 0;
}

int db_run(sqlite3_stmt *s)
{
	int rc = sqlite3_step(s);
	int host = errno;

	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	errno = host; /* for db_fail() */
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int db_number(struct db *d, const char *sql, int64_t *out, struct err *e)
{
	sqlite3_stmt *s;
	int rc = sqlite3_prepare_v2(d->sql, sql, -1, &s, NULL);

	if (!rc) {
		rc = sqlite3_step(s);
		if (rc == SQLITE_ROW) {
			*out = sqlite3_column_int64(s, 0);
			rc = SQLITE_OK;
		}
		sqlite3_finalize(s);
	}
	return rc ? db_fail(d, rc, e) : 0;
}

/* A new name lasts only when its folder is on disk too. */
static int sync_folder(const char *path, struct err *e)
{
	MEM_AUTO char *folder = strdup(path);
	FD_AUTO fd = -1;
	char *slash;

	if (!folder)
		return err_set(e, -ENOMEM, "%.200s: no memory", path);
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		return err_set(e, -errno, "%.200s: cannot sync its folder: %s", path,
			       strerror(errno));
	return 0;
}

static int make_file(const char *path, struct err *e)
{
	FD_AUTO fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0)
		return sync_folder(path, e);
	if (errno == EEXIST)
		return 0;
	return err_set(e, -errno, "%.200s: cannot make it: %s", path, strerror(errno));
}

/*
 * The file is there, ours alone, and not empty beside a log. It is not opened here: closing a
 * descriptor of it would drop the locks that this process may have on it.
 */
static int prepare_file(struct db *d, struct err *e)
{
	MEM_AUTO char *wal = NULL;
	struct stat st, log_st;
	bool there = !stat(d->path, &st);

	if (!there && errno != ENOENT)
		return err_set(e, -errno, "%.200s: %s", d->path, strerror(errno));
	if (there && !S_ISREG(st.st_mode))
		return err_set(e, -EBADMSG, "%.200s: not a regular file", d->path);
	if (asprintf(&wal, "%s-wal", d->path) < 0) {
		wal = NULL;
		return err_set(e, -ENOMEM, "%.200s: no memory", d->path);
	}
	if ((!there || !st.st_size) && !stat(wal, &log_st) && log_st.st_size)
		return corrupt(d, "it is empty or gone, but its log ending in -wal is there", e);
	if (!there)
		return make_file(d->path, e);
	if ((st.st_mode & 077) && chmod(d->path, 0600) && errno != EROFS)
		return err_set(e, -errno, "%.200s: cannot make it readable to its owner only: %s",
			       d->path, strerror(errno));
	return 0;
}

/* Whose file it is and of which version; @version 0: new. */
static int read_version(struct db *d, unsigned *version, struct err *e)
{
	int64_t app = 0, v = 0, tables = 0;
	int ret = db_number(d, "PRAGMA application_id", &app, e);

	if (!ret)
		ret = db_number(d, "PRAGMA user_version", &v, e);
	if (!ret)
		ret = db_number(d, "SELECT count(*) FROM sqlite_schema", &tables, e);
	if (ret)
		return ret;
	if (!app && !v && !tables) {
		*version = 0;
		return 0;
	}
	if (app != d->schema->application_id || v < 1)
		return err_set(e, -EBADMSG,
			       "%.200s: a database of another program, no %s of holmd: move it "
			       "away or name another path",
			       d->path, d->schema->what);
	if (v > d->schema->version)
		return err_set(e, -EBADMSG,
			       "%.200s: the %s has version %" PRId64
			       ", this holmd knows versions up to %u: use the newer holmd",
			       d->path, d->schema->what, v, d->schema->version);
	*version = (unsigned)v;
	return 0;
}

static int check_whole(struct db *d, struct err *e)
{
	sqlite3_stmt *s;
	int rc = sqlite3_prepare_v2(d->sql, "PRAGMA quick_check(1)", -1, &s, NULL);
	int ret = 0;

	if (rc)
		return db_fail(d, rc, e);
	rc = sqlite3_step(s);
	if (rc != SQLITE_ROW)
		ret = db_fail(d, rc, e);
	else if (strcmp((const char *)sqlite3_column_text(s, 0), "ok") != 0)
		ret = corrupt(d, (const char *)sqlite3_column_text(s, 0), e);
	sqlite3_finalize(s);
	return ret;
}

static int migrate(struct db *d, unsigned from, struct err *e)
{
	char pragma[96];
	int ret;

	if (from == d->schema->version)
		return 0;
	ret = db_exec(d, "BEGIN IMMEDIATE", e);
	if (ret)
		return ret;
	for (unsigned i = from; !ret && i < d->schema->version; i++) {
		ret = db_exec(d, d->schema->migrations[i], e);
		if (ret)
			err_prefix(e, "from version %u to %u", i, i + 1);
	}
	snprintf(pragma, sizeof(pragma),
		 "PRAGMA application_id=%" PRId32 "; PRAGMA user_version=%u",
		 d->schema->application_id, d->schema->version);
	if (!ret)
		ret = db_exec(d, pragma, e);
	if (!ret)
		ret = db_exec(d, "COMMIT", e);
	if (ret && !sqlite3_get_autocommit(d->sql))
		sqlite3_exec(d->sql, "ROLLBACK", NULL, NULL, NULL);
	return ret;
}

static int set_up(struct db *d, struct err *e)
{
	unsigned version = 0;
	int ret;

	sqlite3_busy_timeout(d->sql, BUSY_MS);
	if (sqlite3_db_readonly(d->sql, "main") == 1)
		return db_fail(d, SQLITE_READONLY, e);
	ret = db_exec(d, "PRAGMA locking_mode=EXCLUSIVE", e);
	if (!ret)
		ret = read_version(d, &version, e);
	if (!ret && version && d->schema->check)
		ret = check_whole(d, e);
	/* Where it is in WAL mode already the first read has locked it; else this does. */
	if (!ret)
		ret = db_exec(d, "PRAGMA journal_mode=WAL", e);
	if (!ret)
		ret = db_exec(d, d->schema->pragmas, e);
	if (!ret)
		ret = migrate(d, version, e);
	if (!ret)
		sqlite3_db_config(d->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	return ret;
}

int db_open(struct db *d, const char *path, const struct db_schema *schema, struct err *e)
{
	int rc, ret;

	*d = (struct db) { .schema = schema, .path = strdup(path) };
	if (!d->path)
		return err_set(e, -ENOMEM, "%.200s: no memory for the %s", path, schema->what);
	ret = prepare_file(d, e);
	if (!ret) {
		rc = sqlite3_open_v2(
			path, &d->sql,
			SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
		ret = rc ? db_fail(d, rc, e) : set_up(d, e);
	}
	if (ret)
		db_close(d);
	return ret;
}

void db_close(struct db *d)
{
	sqlite3_stmt *s;

	while ((s = d->sql ? sqlite3_next_stmt(d->sql, NULL) : NULL))
		sqlite3_finalize(s);
	sqlite3_close(d->sql);
	free(d->path);
	*d = (struct db) { 0 };
}
