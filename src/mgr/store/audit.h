/* SPDX-License-Identifier: MIT */
/*
 * The audit log as a chain of hashes in the store's file.
 *
 * Theory of operation: hash(n) = SHA-256(hash(n-1), seq, at, who, from, what, on, result), hash(0)
 * is zeros. Numbers are 8 bytes little-endian, each text has its length in 8 bytes before it, so no
 * two entries have the same encoding. Triggers refuse to change or remove an entry. The table meta
 * keeps how many entries there are and the last hash, changed in the same transaction; without it
 * entries missing at the end would not show.
 *
 * Limits: who may write the file can compute a whole new chain. Against that only a copy of the
 * last hash elsewhere helps.
 */
#ifndef HOLM_MGR_STORE_AUDIT_H
#define HOLM_MGR_STORE_AUDIT_H

#include "mgr/core/store.h"
#include "mgr/store/db.h"
#include "mgr/store/digest.h"

struct audit_head {
	uint64_t count;
	uint8_t hash[DIGEST_LEN];
};

struct audit_log {
	struct db *db;
	sqlite3_stmt *insert, *set_meta;
	struct audit_head head; /* as it is on disk */
	struct audit_head next; /* after audit_log_append(), until audit_log_commit() */
};

/** audit_log_init() - on a database that has the tables; statements live as long as @db. */
int audit_log_init(struct audit_log *l, struct db *db, struct err *e) MUST_CHECK;

/** audit_log_append() - one entry, within the caller's transaction; @a->seq is not looked at. */
int audit_log_append(struct audit_log *l, const struct audit_entry *a, struct err *e) MUST_CHECK;

/** audit_log_commit() - the transaction of the last append is on disk. */
void audit_log_commit(struct audit_log *l);

/** audit_log_each(), audit_log_verify() - see store_ops. */
int audit_log_each(struct audit_log *l, uint64_t from_seq, size_t max, store_audit_fn fn, void *ctx,
		   struct err *e);
int audit_log_verify(struct audit_log *l, uint64_t *entries, struct err *e);

#endif
