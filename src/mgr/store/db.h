/* SPDX-License-Identifier: MIT */
/*
 * One SQLite file of holmd's: opening, schema versions, errors as sentences.
 *
 * Theory of operation: a file belongs to one process at a time. The connection is in WAL mode with
 * locking_mode EXCLUSIVE: the lock is taken at open, held until close and dropped by the kernel
 * when the process dies, and no shared-memory file is made. A second holmd is refused, and so is
 * the sqlite3 shell. The version of the schema is PRAGMA user_version; what is older is brought up
 * by the rows of a const table in one transaction, what is newer is refused. PRAGMA
 * application_id tells our files from those of other programs. What is refused is left as it was.
 *
 * Threads: one a connection.
 */
#ifndef HOLM_MGR_STORE_DB_H
#define HOLM_MGR_STORE_DB_H

#include "base/compiler.h"
#include "base/err.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/** What a kind of file holds and how it is opened. */
struct db_schema {
	const char *what;	/* for sentences: "store" */
	const char *advice;	/* what to do with a corrupt one: a clause without full stop */
	int32_t application_id; /* of the file's header */
	const char *const *migrations; /* [i]: SQL from version i to i + 1 */
	unsigned version;	       /* how many there are */
	const char *pragmas;	       /* SQL that sets up the connection */
	bool check;		       /* look through the whole file at open */
};

struct db {
	sqlite3 *sql;
	char *path;
	const struct db_schema *schema;
};

/**
 * db_open() - open @path, make it with mode 0600 where it is not there, migrate it.
 * @schema: borrowed, outlives @d
 *
 * Errors: -EBUSY (in use by another process), -EBADMSG (corrupt, of another program, or from a
 * newer version), -EROFS, -ENOSPC, -EACCES, -ENOENT (its folder), -ENOMEM, -EIO. @d holds nothing
 * on failure.
 */
int db_open(struct db *d, const char *path, const struct db_schema *schema,
	    struct err *e) MUST_CHECK;

/** db_close() - finalize every statement and close. A closed or zeroed one is allowed. */
void db_close(struct db *d);

/** db_fail() - @rc of SQLite's last call as -errno with a sentence; errno is as it left it. */
int db_fail(const struct db *d, int rc, struct err *e);

/** db_exec() - run SQL that answers nothing. */
int db_exec(struct db *d, const char *sql, struct err *e) MUST_CHECK;

/** db_prepare() - a statement that lives until db_close(). */
int db_prepare(struct db *d, sqlite3_stmt **out, const char *sql, struct err *e) MUST_CHECK;

/** db_run() - step a bound statement that answers nothing, and reset it: SQLite's code. */
int db_run(sqlite3_stmt *s);

/** db_number() - the one number that @sql answers. */
int db_number(struct db *d, const char *sql, int64_t *out, struct err *e) MUST_CHECK;

/** db_bind_text() - parameter @i is @s, borrowed until the statement is reset; NULL is NULL. */
static inline void db_bind_text(sqlite3_stmt *st, int i, const char *s)
{
	sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC);
}

#endif
