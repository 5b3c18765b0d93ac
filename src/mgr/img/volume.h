/* SPDX-License-Identifier: MIT */
/*
 * Raw volumes in a pool: made, cloned, resized, filled and read.
 *
 * Theory of operation: a volume is a sparse file of mode 0600. create, clone and upload write a
 * temporary file, fsync it, link it under its name where nobody has that name, and fsync the
 * directory: what is acknowledged is durable, what is not leaves nothing but a temporary name.
 *
 * Long work goes in steps: volume_copy_step() and volume_upload_write() do a bounded amount and
 * return, so that the manager's one thread can do them between requests. Steps and not a worker
 * thread, because cancelling is then to stop calling, progress needs no lock, and a manager that
 * is single-threaded stays so. A step does block on the disk for its budget: some milliseconds
 * for VOLUME_STEP bytes. The last step's fsync may take longer on a slow disk; data is written
 * out along the way to keep it short.
 *
 * In use is what the VMM says by its lock (OFD, whole file, F_WRLCK, or F_RDLCK where read-only,
 * as src/blk/fmt/raw.c takes it), and what the caller knows (@in_use). Work that needs a
 * volume to stand still holds the same lock while it runs, so a VM cannot start on it meanwhile.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_IMG_VOLUME_H
#define HOLM_MGR_IMG_VOLUME_H

#include "base/compiler.h"
#include "base/err.h"
#include "mgr/img/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define VOLUME_SUFFIX	".raw"
#define VOLUME_SECTOR	512u
#define VOLUME_SIZE_MAX (1ull << 46) /* 64 TiB */
#define VOLUME_STEP	(8u << 20)   /* a good budget of a step, bytes */

/** The record: API members name, pool, project, size, clone_of; with the id in the store. */
struct volume_record {
	char id[POOL_ID_LEN + 1];
	char name[VM_NAME_MAX + 1];
	char pool[VM_NAME_MAX + 1];
	char project[VM_NAME_MAX + 1];
	char clone_of[VM_NAME_MAX + 1]; /* name or id, "": empty */
	uint64_t size;			/* bytes; 0: as clone_of */
};

struct volume_usage {
	uint64_t apparent, allocated; /* bytes */
};

/** volume_id_ok() - POOL_ID_LEN lower-case hexadecimal digits. */
bool volume_id_ok(const char *id);

/**
 * volume_decode() - set the members that a JSON object has; the others stay. Sizes are numbers or
 * strings like "8G".
 * @stored: "id" is a member too
 *
 * *@r is unchanged on failure. -EINVAL, -ERANGE with a sentence, -ENOMEM.
 */
int volume_decode(struct volume_record *r, const char *json, size_t len, bool stored,
		  struct err *e) MUST_CHECK;
/** volume_encode() - as JSON with the id, which the caller frees; NULL: out of memory. */
char *volume_encode(const struct volume_record *r);

/** volume_create() - @size zeroes, a multiple of VOLUME_SECTOR, none of them allocated. -EEXIST. */
int volume_create(struct pool *p, const char *name, uint64_t size, struct err *e) MUST_CHECK;

/**
 * volume_open() - for a VMM: the descriptor, not yet locked (the VMM does that).
 *
 * Errors: -ENOENT, -ELOOP (not a plain file), -EBUSY (in use by another), -EACCES.
 *
 * Return: the descriptor or -errno.
 */
int volume_open(struct pool *p, const char *name, bool read_only, struct err *e) MUST_CHECK;

/**
 * volume_resize() - to @size bytes; durable.
 * @shrink: cut data off where @size is smaller, which is else refused
 * @in_use: a VM has it by the records
 *
 * A volume in use may only grow (the VM sees the new size at its next start).
 */
int volume_resize(struct pool *p, const char *name, uint64_t size, bool shrink, bool in_use,
		  struct err *e) MUST_CHECK;

/** volume_remove() - -EBUSY where it is in use, -ENOENT. Durable. */
int volume_remove(struct pool *p, const char *name, bool in_use, struct err *e) MUST_CHECK;

int volume_usage(const struct pool *p, const char *name, struct volume_usage *out,
		 struct err *e) MUST_CHECK;

struct volume_copy;

/**
 * volume_copy_begin() - clone @from of @from_pool as @name in @p.
 *
 * The source is locked for reading until the end: no VM may write to it meanwhile. Where the file
 * system shares blocks (FICLONE) the first step does all. Errors: -EEXIST, -ENOENT, -EBUSY.
 */
int volume_copy_begin(struct volume_copy **out, struct pool *from_pool, const char *from,
		      struct pool *p, const char *name, struct err *e) MUST_CHECK;

/**
 * volume_copy_step() - at most about @budget bytes more.
 *
 * Return: 1: more is to do, 0: done and durable, or -errno (-ENOSPC ...). After 0 or -errno only
 * volume_copy_end() may follow.
 */
int volume_copy_step(struct volume_copy *c, uint64_t budget, struct err *e) MUST_CHECK;

/** volume_copy_progress() - bytes passed and all bytes; holes count as passed. */
void volume_copy_progress(const struct volume_copy *c, uint64_t *done, uint64_t *all);

/** volume_copy_end() - frees it; where it was not done, this cancels it. NULL is allowed. */
void volume_copy_end(struct volume_copy *c);

struct volume_upload;

/**
 * volume_upload_begin() - new contents for the volume @name, of as many bytes as it has.
 *
 * The old contents stay until volume_upload_finish(). The volume is locked meanwhile.
 * Errors: -ENOENT, -EBUSY.
 */
int volume_upload_begin(struct volume_upload **out, struct pool *p, const char *name, bool in_use,
			struct err *e) MUST_CHECK;
/** volume_upload_write() - the next bytes, in order. -EFBIG beyond the volume's size, -ENOSPC. */
int volume_upload_write(struct volume_upload *u, const void *buf, size_t len,
			struct err *e) MUST_CHECK;
/** volume_upload_finish() - the volume is now what came, zeroes behind it; durable. Frees @u. */
int volume_upload_finish(struct volume_upload *u, struct err *e) MUST_CHECK;
/** volume_upload_cancel() - the old contents stay. NULL is allowed. */
void volume_upload_cancel(struct volume_upload *u);

/**
 * volume_read() - for downloads: bytes at @off of a volume opened by volume_open().
 * @hole: receives how many zero bytes begin at @off where there is a hole; then nothing is read
 *
 * Return: bytes read into @buf, 0: a hole of *@hole bytes, or the end where *@hole is 0; -errno.
 */
ssize_t volume_read(int fd, void *buf, size_t len, uint64_t off, uint64_t *hole) MUST_CHECK;

#endif
