/* SPDX-License-Identifier: MIT */
/*
 * The stock: all pools and volumes by their records.
 *
 * Theory of operation: a volume's file comes before its record and goes before it, so no record
 * that was acknowledged is without its file unless somebody took the file away; a file without a
 * record (a manager that died in between, or one that was put there) is found at the next start
 * and becomes a volume of the project "default". The pool "default" is built in.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_IMG_STOCK_H
#define HOLM_MGR_IMG_STOCK_H

#include "base/compiler.h"
#include "base/err.h"
#include "mgr/core/store.h"
#include "mgr/img/pool.h"
#include "mgr/img/volume.h"

#include <stdbool.h>
#include <stddef.h>

#define STOCK_DEFAULT_POOL "default"

struct stock_pool {
	struct pool_record record;
	struct pool *pool; /* NULL: could not be opened, and why */
	char why[ERR_MSG_MAX];
	bool builtin;
};

struct stock {
	struct store *store; /* borrowed */
	struct stock_pool *pools;
	size_t n_pools;
	struct volume_record *volumes;
	size_t n_volumes;
	struct stock_claim *claims;
};

/** Room of a project's quota for a volume that is being made. In its maker's memory. */
struct stock_claim {
	const char *project;
	uint64_t size;
	struct stock_claim *next;
};

/** stock_claim() - it counts in stock_bytes() from now on. */
void stock_claim(struct stock *s, struct stock_claim *c);
/** stock_unclaim() - the volume has its record, or comes to nothing. Nothing where @c is out. */
void stock_unclaim(struct stock *s, struct stock_claim *c);

/**
 * stock_open() - @s zeroed but for the store. A pool that cannot be opened is logged and stays.
 * @path: of the pool "default"; made when the first volume is
 */
int stock_open(struct stock *s, const char *path, struct err *e) MUST_CHECK;
void stock_close(struct stock *s);

/** stock_pool() - by name or id; -ENOENT, or why it could not be opened. */
int stock_pool(struct stock *s, const char *name, struct stock_pool **out,
	       struct err *e) MUST_CHECK;
/** stock_volume() - by name or id, or NULL. */
struct volume_record *stock_volume(struct stock *s, const char *name);

/** stock_add_pool() - open it and store its record, with @audit. -EEXIST and pool_open()'s. */
int stock_add_pool(struct stock *s, const struct pool_record *r, const struct audit_entry *audit,
		   struct err *e) MUST_CHECK;
/** stock_remove_pool() - its directory stays. -EBUSY: has volumes, or is built in. */
int stock_remove_pool(struct stock *s, struct stock_pool *p, const struct audit_entry *audit,
		      struct err *e) MUST_CHECK;
/** stock_add_volume() - the record of a volume whose file is there. */
int stock_add_volume(struct stock *s, const struct volume_record *r,
		     const struct audit_entry *audit, struct err *e) MUST_CHECK;
/** stock_change_volume() - the same id. */
int stock_change_volume(struct stock *s, const struct volume_record *r,
			const struct audit_entry *audit, struct err *e) MUST_CHECK;
/** stock_remove_volume() - the record; @v is gone afterwards. */
int stock_remove_volume(struct stock *s, struct volume_record *v, const struct audit_entry *audit,
			struct err *e) MUST_CHECK;
/** stock_path() - where a volume's file is, for a VM's process. -ENOENT, -ENAMETOOLONG. */
int stock_path(struct stock *s, const char *volume, char *buf, size_t len,
	       struct err *e) MUST_CHECK;
/** stock_bytes() - sizes of all volumes in a project. */
uint64_t stock_bytes(const struct stock *s, const char *project);
/** stock_uses() - volumes in a project. */
size_t stock_uses(const struct stock *s, const char *project);

#endif
