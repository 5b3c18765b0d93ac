/* SPDX-License-Identifier: MIT */
/*
 * Directory pools: where volumes lie.
 *
 * Theory of operation: a pool is one directory of ours. A volume NAME is the file NAME.raw in it;
 * work in progress has a name that begins with ".holm-tmp-" and becomes a volume by one rename,
 * so a volume that can be seen is whole. What a killed manager left under such names is swept when
 * the pool is opened. Every name is resolved from the directory's descriptor by openat2(2) and
 * neither a link nor anything but a regular file is followed or opened.
 *
 * Limits: one manager a pool.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_IMG_POOL_H
#define HOLM_MGR_IMG_POOL_H

#include "base/compiler.h"
#include "base/err.h"
#include "proto/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_ID_LEN 16
#define POOL_TMP    ".holm-tmp-"

/** The record: API members "name" and "path"; with the id in the store. */
struct pool_record {
	char id[POOL_ID_LEN + 1];
	char name[VM_NAME_MAX + 1];
	char path[VM_PATH_MAX + 1]; /* absolute, without "." and ".." */
};

/**
 * pool_decode() - a JSON object of @len bytes; unknown members are refused by name.
 * @stored: "id" is a member too
 *
 * *@r is unchanged on failure. -EINVAL with a sentence, -ENOMEM.
 */
int pool_decode(struct pool_record *r, const char *json, size_t len, bool stored,
		struct err *e) MUST_CHECK;
/** pool_encode() - as JSON with the id, which the caller frees; NULL: out of memory. */
char *pool_encode(const struct pool_record *r);

struct pool;

/** What a pool's file system has, in bytes. */
struct pool_usage {
	uint64_t size, free;
	uint64_t apparent, allocated; /* of all volumes */
	size_t volumes;
};

/** Return 0 to go on; another value ends the walk and is returned. */
typedef int (*pool_fn)(void *ctx, const char *name);

/**
 * pool_open() - make the directory where it is not there (mode 0700), sweep leftovers.
 *
 * Errors: -EINVAL (not absolute), -ENOTDIR, -ELOOP (a link on the way), -EACCES, -EBUSY (another
 * manager has it), -ENOMEM.
 */
int pool_open(struct pool **out, const struct pool_record *r, struct err *e) MUST_CHECK;
/** pool_close() - NULL is allowed; no volume work may be under way. */
void pool_close(struct pool *p);

/** pool_hold(), pool_release() - around work on a volume that goes on; pool_busy(): there is. */
void pool_hold(struct pool *p);
void pool_release(struct pool *p);
bool pool_busy(const struct pool *p);

const struct pool_record *pool_record(const struct pool *p);

/** pool_each() - every volume's name, in no order. */
int pool_each(const struct pool *p, pool_fn fn, void *ctx) MUST_CHECK;

int pool_usage(const struct pool *p, struct pool_usage *out, struct err *e) MUST_CHECK;

/** pool_fd() - the directory's descriptor, borrowed. */
int pool_fd(const struct pool *p);

#endif
