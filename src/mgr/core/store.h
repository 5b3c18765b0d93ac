/* SPDX-License-Identifier: MIT */
/*
 * The store: a port of the manager's, with what must outlive it.
 *
 * Theory of operation: a record is one JSON text under a kind ("vm", "network" ...) and an id.
 * Records are read once, at the start; afterwards the manager's memory is the truth for readers
 * and every change goes to the store first: store_apply() is durable when it returns, all of its
 * changes or none, and only then is a change acknowledged. A name is unique within its kind.
 * The audit log is a chain: each entry holds the SHA-256 of itself with the one before.
 *
 * Threads: one, the manager's loop.
 */
#ifndef HOLM_MGR_CORE_STORE_H
#define HOLM_MGR_CORE_STORE_H

#include "base/compiler.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct store;

/** One change. @body NULL removes the record (which need not exist). */
struct store_change {
	const char *kind, *id;
	const char *name; /* unique within the kind; NULL: has none, or none any more */
	const char *body; /* JSON text */
};

/** One entry of the audit log: who did what. Strings are borrowed for the call. */
struct audit_entry {
	uint64_t seq;	    /* from 1, without gaps; given by the store */
	uint64_t at_ns;	    /* wall clock */
	const char *who;    /* user's name, "uid:1000", "holmd" */
	const char *from;   /* "unix", "192.0.2.7:4711" */
	const char *what;   /* "vm.start" */
	const char *on;	    /* "vm/web", or "" */
	const char *result; /* "ok", or the code of the error */
};

/** Return 0 to go on; another value ends the walk and is returned. */
typedef int (*store_record_fn)(void *ctx, const char *kind, const char *id, const char *name,
			       const char *body);
typedef int (*store_audit_fn)(void *ctx, const struct audit_entry *a);

struct store_ops {
	/** Every record of @kind, ordered by id. */
	int (*each)(struct store *s, const char *kind, store_record_fn fn, void *ctx,
		    struct err *e);
	/**
	 * All changes and, with @audit not NULL, its entry: durable on return, or nothing.
	 * -EEXIST (a name is taken, named), -ENOSPC, -EBUSY (locked by another), -EIO.
	 */
	int (*apply)(struct store *s, const struct store_change *c, size_t n,
		     const struct audit_entry *audit, struct err *e);
	/** Entries with @from_seq <= seq, oldest first, at most @max. */
	int (*audit_each)(struct store *s, uint64_t from_seq, size_t max, store_audit_fn fn,
			  void *ctx, struct err *e);
	/** -EBADMSG with a sentence that names the first entry that is not as it was written. */
	int (*audit_verify)(struct store *s, uint64_t *entries, struct err *e);
	void (*close)(struct store *s);
};

/** First member of a provider's struct. */
struct store {
	const struct store_ops *ops;
};

#endif
