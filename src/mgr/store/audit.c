/* SPDX-License-Identifier: MIT */
/*
 * The audit log, see audit.h.
 */
#include "mgr/store/audit.h"

#include "base/bytes.h"
#include "base/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS "seq, at_ns, who, origin, what, target, result, hash"
enum { COL_SEQ, COL_AT, COL_TEXT, COL_HASH = 7 };
#define N_TEXTS (COL_HASH - COL_TEXT)

/* What is hashed of an entry. */
struct fields {
	uint64_t seq, at_ns;
	struct {
		const char *s;
		size_t len;
	} text[N_TEXTS];
};

/* @prev and @out may be the same. */
static int chain(uint8_t out[DIGEST_LEN], const uint8_t prev[DIGEST_LEN], const struct fields *f,
		 struct err *e)
{
	MEM_AUTO uint8_t *buf = NULL;
	size_t len = DIGEST_LEN + 16;
	uint8_t *p;

	for (unsigned i = 0; i < N_TEXTS; i++)
		len += 8 + f->text[i].len;
	buf = malloc(len);
	if (!buf)
		return err_set(e, -ENOMEM, "no memory for an audit entry");
	memcpy(buf, prev, DIGEST_LEN);
	put_le64(buf + DIGEST_LEN, f->seq);
	put_le64(buf + DIGEST_LEN + 8, f->at_ns);
	p = buf + DIGEST_LEN + 16;
	for (unsigned i = 0; i < N_TEXTS; i++) {
		put_le64(p, f->text[i].len);
		if (f->text[i].len)
			memcpy(p + 8, f->text[i].s, f->text[i].len);
		p += 8 + f->text[i].len;
	}
	return digest_sha256(out, buf, len, e);
}

int audit_log_init(struct audit_log *l, struct db *db, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int64_t last = 0;
	int rc, ret;

	*l = (struct audit_log) { .db = db };
	ret = db_prepare(db, &l->insert,
			 "INSERT INTO audit(" COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8)", e);
	if (!ret)
		ret = db_prepare(db, &l->set_meta,
				 "UPDATE meta SET audit_count = ?1, audit_head = ?2", e);
	if (!ret)
		ret = db_number(db, "SELECT coalesce(max(seq), 0) FROM audit", &last, e);
	if (!ret)
		ret = db_prepare(db, &s, "SELECT audit_count, audit_head FROM meta", e);
	if (ret)
		return ret;
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW && sqlite3_column_bytes(s, 1) == DIGEST_LEN) {
		l->head.count = (uint64_t)sqlite3_column_int64(s, 0);
		memcpy(l->head.hash, sqlite3_column_blob(s, 1), DIGEST_LEN);
	} else {
		ret = db_fail(db, rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_CORRUPT : rc, e);
	}
	sqlite3_finalize(s);
	l->next = l->head;
	return ret;
}

int audit_log_append(struct audit_log *l, const struct audit_entry *a, struct err *e)
{
	const char *const texts[N_TEXTS] = { a->who, a->from, a->what, a->on, a->result };
	struct fields f = { .at_ns = a->at_ns };
	int64_t last;
	int rc, ret;

	/* Forged entries behind the last one must not make the log refuse to go on. */
	ret = db_number(l->db, "SELECT coalesce(max(seq), 0) FROM audit", &last, e);
	if (ret)
		return ret;
	f.seq = MAX(l->head.count, (uint64_t)last) + 1;
	for (int i = 0; i < N_TEXTS; i++) {
		f.text[i].s = texts[i] ? texts[i] : "";
		f.text[i].len = strlen(f.text[i].s);
		db_bind_text(l->insert, COL_TEXT + 1 + i, f.text[i].s);
	}
	l->next.count = f.seq;
	ret = chain(l->next.hash, l->head.hash, &f, e);
	if (ret)
		return ret;
	sqlite3_bind_int64(l->insert, COL_SEQ + 1, (int64_t)f.seq);
	sqlite3_bind_int64(l->insert, COL_AT + 1, (int64_t)f.at_ns);
	sqlite3_bind_blob(l->insert, COL_HASH + 1, l->next.hash, DIGEST_LEN, SQLITE_STATIC);
	rc = db_run(l->insert);
	if (!rc) {
		sqlite3_bind_int64(l->set_meta, 1, (int64_t)l->next.count);
		sqlite3_bind_blob(l->set_meta, 2, l->next.hash, DIGEST_LEN, SQLITE_STATIC);
		rc = db_run(l->set_meta);
	}
	return rc ? db_fail(l->db, rc, e) : 0;
}

void audit_log_commit(struct audit_log *l)
{
	l->head = l->next;
}

int audit_log_each(struct audit_log *l, uint64_t from_seq, size_t max, store_audit_fn fn, void *ctx,
		   struct err *e)
{
	sqlite3_stmt *s;
	int rc, ret;

	ret = db_prepare(l->db, &s,
			 "SELECT " COLUMNS " FROM audit WHERE seq >= ?1 ORDER BY seq LIMIT ?2", e);
	if (ret)
		return ret;
	sqlite3_bind_int64(s, 1, (int64_t)MIN(from_seq, (uint64_t)INT64_MAX));
	sqlite3_bind_int64(s, 2, (int64_t)MIN(max, (size_t)INT64_MAX));
	while (!ret && (rc = sqlite3_step(s)) != SQLITE_DONE) {
		const char *t[N_TEXTS];

		if (rc != SQLITE_ROW) {
			ret = db_fail(l->db, rc, e);
			break;
		}
		for (int i = 0; i < N_TEXTS; i++) {
			t[i] = (const char *)sqlite3_column_text(s, COL_TEXT + i);
			if (!t[i])
				t[i] = "";
		}
		ret = fn(ctx,
			 &(struct audit_entry) { .seq = (uint64_t)sqlite3_column_int64(s, COL_SEQ),
						 .at_ns = (uint64_t)sqlite3_column_int64(s, COL_AT),
						 .who = t[0],
						 .from = t[1],
						 .what = t[2],
						 .on = t[3],
						 .result = t[4] });
	}
	sqlite3_finalize(s);
	return ret;
}

/* One row against the chain so far; @head moves on. */
static int verify_row(sqlite3_stmt *s, struct audit_head *head, uint64_t kept, struct err *e)
{
	struct fields f = { .seq = (uint64_t)sqlite3_column_int64(s, COL_SEQ),
			    .at_ns = (uint64_t)sqlite3_column_int64(s, COL_AT) };
	const uint64_t want = head->count + 1;
	uint8_t hash[DIGEST_LEN];
	int ret;

	if ((int64_t)f.seq < 1)
		return err_set(e, -EBADMSG, "audit entry %" PRId64 " was added: they begin at 1",
			       (int64_t)f.seq);
	if (f.seq > kept)
		return err_set(e, -EBADMSG,
			       "audit entry %" PRIu64
			       " was added: the last one written is %" PRIu64,
			       f.seq, kept);
	if (f.seq != want)
		return err_set(e, -EBADMSG,
			       "audit entry %" PRIu64 " is missing: the next one there is %" PRIu64,
			       want, f.seq);
	for (int i = 0; i < N_TEXTS; i++) {
		f.text[i].s = (const char *)sqlite3_column_text(s, COL_TEXT + i);
		f.text[i].len = (size_t)sqlite3_column_bytes(s, COL_TEXT + i);
	}
	ret = chain(hash, head->hash, &f, e);
	if (ret)
		return ret;
	if (sqlite3_column_bytes(s, COL_HASH) != DIGEST_LEN ||
	    memcmp(hash, sqlite3_column_blob(s, COL_HASH), DIGEST_LEN) != 0)
		return err_set(e, -EBADMSG, "audit entry %" PRIu64 " is not as it was written%s",
			       f.seq, f.seq > 1 ? ", or the one before it is not" : "");
	head->count = f.seq;
	memcpy(head->hash, hash, DIGEST_LEN);
	return 0;
}

int audit_log_verify(struct audit_log *l, uint64_t *entries, struct err *e)
{
	struct audit_head at = { 0 };
	sqlite3_stmt *s;
	int rc, ret;

	ret = db_prepare(l->db, &s, "SELECT " COLUMNS " FROM audit ORDER BY seq", e);
	if (ret)
		return ret;
	while (!ret && (rc = sqlite3_step(s)) != SQLITE_DONE)
		ret = rc == SQLITE_ROW ? verify_row(s, &at, l->head.count, e)
				       : db_fail(l->db, rc, e);
	sqlite3_finalize(s);
	if (ret)
		return ret;
	if (at.count < l->head.count)
		return err_set(e, -EBADMSG,
			       "audit entry %" PRIu64
			       " is missing: the last one written is %" PRIu64,
			       at.count + 1, l->head.count);
	if (memcmp(at.hash, l->head.hash, DIGEST_LEN) != 0)
		return err_set(e, -EBADMSG,
			       "audit entry %" PRIu64 ", the last, is not as it was written",
			       at.count);
	if (entries)
		*entries = at.count;
	return 0;
}
