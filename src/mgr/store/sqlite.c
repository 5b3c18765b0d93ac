/* SPDX-License-Identifier: MIT */
/*
 * The store, see sqlite.h and mgr/core/store.h.
 *
 * Theory of operation: one table of records, one of the audit log, one row of totals. apply() is
 * one transaction with synchronous=FULL: when COMMIT returns, the log is on disk; whatever fails
 * before that is rolled back. Changes are made in their order, so of two that swap a name the one
 * that gives it up stands first.
 *
 * Limits: the page cache is kept small, because the manager reads everything once.
 */
#include "mgr/store/sqlite.h"

#include "mgr/store/audit.h"
#include "mgr/store/db.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A new version is a new row; rows that were released never change. */
static const char *const migrations[] = {
	/* 1 */
	"CREATE TABLE record("
	" kind TEXT NOT NULL, id TEXT NOT NULL, name TEXT, body TEXT NOT NULL,"
	" PRIMARY KEY(kind, id)) STRICT;"
	"CREATE UNIQUE INDEX record_name ON record(kind, name) WHERE name IS NOT NULL;"
	"CREATE TABLE audit("
	" seq INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, who TEXT NOT NULL,"
	" origin TEXT NOT NULL, what TEXT NOT NULL, target TEXT NOT NULL,"
	" result TEXT NOT NULL, hash BLOB NOT NULL) STRICT;"
	"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN"
	" SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
	"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN"
	" SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
	/* REPLACE deletes without the trigger above. */
	"CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit"
	" WHEN EXISTS(SELECT 1 FROM audit WHERE seq >= NEW.seq) BEGIN"
	" SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
	"CREATE TABLE meta("
	" one INTEGER PRIMARY KEY CHECK(one = 1), audit_count INTEGER NOT NULL,"
	" audit_head BLOB NOT NULL) STRICT;"
	"INSERT INTO meta VALUES(1, 0, zeroblob(32));",
};

static const struct db_schema schema = {
	.what = "store",
	.advice = "put a good copy in its place, or move it away to begin without any VM",
	.application_id = 0x486f6c6d, /* "Holm" */
	.migrations = migrations,
	.version = ARRAY_SIZE(migrations),
	.pragmas = "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA cache_size=-512;"
		   "PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;"
		   "PRAGMA journal_size_limit=4194304;",
	.check = true,
};

struct sqlite_store {
	struct store base;
	struct db db;
	sqlite3_stmt *begin, *commit, *rollback, *put, *remove;
	struct audit_log audit;
};

static struct sqlite_store *self(struct store *s)
{
	return CONTAINER_OF(s, struct sqlite_store, base);
}

static int store_each(struct store *base, const char *kind, store_record_fn fn, void *ctx,
		      struct err *e)
{
	struct sqlite_store *s = self(base);
	sqlite3_stmt *q;
	int rc, ret;

	ret = db_prepare(&s->db, &q,
			 "SELECT id, name, body FROM record WHERE kind = ?1 ORDER BY id", e);
	if (ret)
		return ret;
	db_bind_text(q, 1, kind);
	while (!ret && (rc = sqlite3_step(q)) != SQLITE_DONE)
		ret = rc == SQLITE_ROW ? fn(ctx, kind, (const char *)sqlite3_column_text(q, 0),
					    (const char *)sqlite3_column_text(q, 1),
					    (const char *)sqlite3_column_text(q, 2))
				       : db_fail(&s->db, rc, e);
	sqlite3_finalize(q);
	return ret;
}

static int change(struct sqlite_store *s, const struct store_change *c, struct err *e)
{
	sqlite3_stmt *q = c->body ? s->put : s->remove;
	int rc;

	if (!c->kind || !*c->kind || !c->id || !*c->id)
		return err_set(e, -EINVAL, "a record has no kind or no id");
	db_bind_text(q, 1, c->kind);
	db_bind_text(q, 2, c->id);
	if (c->body) {
		db_bind_text(q, 3, c->name);
		db_bind_text(q, 4, c->body);
	}
	rc = db_run(q);
	if (rc == SQLITE_CONSTRAINT_UNIQUE)
		return err_set(e, -EEXIST, "a %s named '%.80s' is there already: take another name",
			       c->kind, c->name);
	return rc ? db_fail(&s->db, rc, e) : 0;
}

static int store_apply(struct store *base, const struct store_change *c, size_t n,
		       const struct audit_entry *audit, struct err *e)
{
	struct sqlite_store *s = self(base);
	int rc, ret = 0;

	if (!n && !audit)
		return 0;
	rc = db_run(s->begin);
	if (rc)
		return db_fail(&s->db, rc, e);
	for (size_t i = 0; !ret && i < n; i++)
		ret = change(s, &c[i], e);
	if (!ret && audit)
		ret = audit_log_append(&s->audit, audit, e);
	if (!ret) {
		rc = db_run(s->commit);
		if (rc)
			ret = db_fail(&s->db, rc, e);
	}
	if (ret) {
		if (!sqlite3_get_autocommit(s->db.sql))
			db_run(s->rollback);
		return ret;
	}
	if (audit)
		audit_log_commit(&s->audit);
	return 0;
}

static int store_audit_each(struct store *base, uint64_t from_seq, size_t max, store_audit_fn fn,
			    void *ctx, struct err *e)
{
	return audit_log_each(&self(base)->audit, from_seq, max, fn, ctx, e);
}

static int store_audit_verify(struct store *base, uint64_t *entries, struct err *e)
{
	return audit_log_verify(&self(base)->audit, entries, e);
}

static void store_close(struct store *base)
{
	struct sqlite_store *s = self(base);

	db_close(&s->db);
	free(s);
}

static const struct store_ops ops = {
	.each = store_each,
	.apply = store_apply,
	.audit_each = store_audit_each,
	.audit_verify = store_audit_verify,
	.close = store_close,
};

static int prepare(struct sqlite_store *s, struct err *e)
{
	const struct {
		sqlite3_stmt **to;
		const char *sql;
	} all[] = {
		{ &s->begin, "BEGIN IMMEDIATE" },
		{ &s->commit, "COMMIT" },
		{ &s->rollback, "ROLLBACK" },
		{ &s->put, "INSERT INTO record(kind, id, name, body) VALUES(?1, ?2, ?3, ?4)"
			   " ON CONFLICT(kind, id) DO UPDATE SET name = ?3, body = ?4" },
		{ &s->remove, "DELETE FROM record WHERE kind = ?1 AND id = ?2" },
	};
	int ret = 0;

	for (size_t i = 0; !ret && i < ARRAY_SIZE(all); i++)
		ret = db_prepare(&s->db, all[i].to, all[i].sql, e);
	return ret ? ret : audit_log_init(&s->audit, &s->db, e);
}

int store_sqlite_open(struct store **out, const char *path, struct err *e)
{
	struct sqlite_store *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return err_set(e, -ENOMEM, "%.200s: no memory for the store", path);
	s->base.ops = &ops;
	ret = db_open(&s->db, path, &schema, e);
	if (!ret)
		ret = prepare(s, e);
	if (ret) {
		store_close(&s->base);
		return ret;
	}
	*out = &s->base;
	return 0;
}
