/* SPDX-License-Identifier: MIT */
/*
 * Block devices on the host's side: the core that checks, and the seam to formats.
 *
 * Theory of operation: a virtio-blk (or later device) submits requests to a struct blk; the core
 * checks range, alignment, read-only and size, counts and measures, then hands them to the
 * provider (blk_backend_ops). A provider completes each request exactly once, on the loop's
 * thread under the machine lock; the core asserts that, and turns provider errors into -EIO.
 * What is above the VM's limit (limit.h) waits in the core before the provider sees it; that
 * time is part of the latency.
 *
 * Threads: all calls under the machine lock.
 */
#ifndef HOLM_BLK_BLK_H
#define HOLM_BLK_BLK_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/latency.h"
#include "base/loop.h"
#include "blk/limit.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define BLK_SECTOR 512u

enum blk_op {
	BLK_OP_READ,
	BLK_OP_WRITE,
	BLK_OP_FLUSH,
	BLK_OP_DISCARD,
	BLK_OP_WRITE_ZEROES,
	BLK_OP_COUNT
};

struct blk;
struct blk_backend;

/** A request; owned by the submitter, must stay until `done` ran. */
struct blk_req {
	enum blk_op op;
	uint64_t off;		 /* bytes, a multiple of BLK_SECTOR */
	uint64_t len;		 /* bytes, a multiple of BLK_SECTOR; 0 for flush */
	const struct iovec *iov; /* read and write: @len bytes in all; borrowed until done */
	unsigned n_iov;
	bool unmap; /* write-zeroes: may deallocate */
	/** @ret: 0 or -errno (-EIO, -ENOSPC, -EROFS, -EINVAL, -ENOTSUP). Loop thread, locked. */
	void (*done)(struct blk_req *r, int ret);
	void *ctx; /* the submitter's */
	/* The core's and the provider's; the submitter leaves them alone. */
	struct blk *blk;
	uint64_t start_ns;
	bool submitted;
	struct blk_req *next;
	uint64_t priv[4];
};

struct blk_info {
	uint64_t size;	     /* bytes, a multiple of BLK_SECTOR */
	uint32_t block_size; /* preferred, bytes: 512 or 4096 */
	bool read_only, can_discard, can_write_zeroes, can_flush;
};

/** A provider. Machine lock held on every call. */
struct blk_backend_ops {
	const char *name; /* "raw" */
	/** Mandatory; constant after open. */
	void (*info)(struct blk_backend *b, struct blk_info *out);
	/**
	 * Start a request that the core has checked. Mandatory. Does not block; calls
	 * blk_complete() exactly once, on the loop's thread, never from inside submit.
	 */
	void (*submit)(struct blk_backend *b, struct blk_req *r);
	/** Close; no request is in flight. Mandatory. */
	void (*close)(struct blk_backend *b);
};

/** Base of every provider's object. */
struct blk_backend {
	const struct blk_backend_ops *ops;
};

struct blk_stats {
	uint64_t ops[BLK_OP_COUNT], bytes[BLK_OP_COUNT], errors[BLK_OP_COUNT];
	uint64_t ns[BLK_OP_COUNT]; /* sum of latencies */
	struct latency latency[BLK_OP_COUNT];
};

/**
 * blk_create() - @b is owned from success on.
 * @loop: where requests that fail a check complete; its clock measures. Borrowed.
 *
 * Errors: -ENOMEM.
 */
int blk_create(struct blk **out, struct blk_backend *b, struct loop *loop,
	       struct err *e) MUST_CHECK;
/**
 * blk_destroy() - no request is at the provider; those that the core still has are forgotten,
 * their `done` does not run. NULL is allowed.
 */
void blk_destroy(struct blk *k);

/** blk_set_limit() - once, before the first request. @l is borrowed and outlives @k. */
void blk_set_limit(struct blk *k, struct blk_limit *l);
/** blk_hold() - what waits for the limit goes on waiting (@on) until it is let go again. */
void blk_hold(struct blk *k, bool on);
/**
 * blk_drop_waiting() - the device was reset: what waits for the limit never reaches the provider
 * and completes with -EIO from the loop.
 */
void blk_drop_waiting(struct blk *k);

void blk_info(const struct blk *k, struct blk_info *out);
/**
 * blk_submit() - never fails: a bad request completes with an error from the loop.
 *
 * -EINVAL: offset or length no multiple of BLK_SECTOR, outside the device, iovecs that do not add
 * up to the length; -EROFS: changes a read-only device; -ENOTSUP: see struct blk_info. A request
 * of no bytes (other than a flush) is checked and then succeeds without the provider.
 */
void blk_submit(struct blk *k, struct blk_req *r);
/** blk_complete() - for providers: ends @r; ret 0 or -errno. */
void blk_complete(struct blk_req *r, int ret);
unsigned blk_in_flight(const struct blk *k);
void blk_stats(const struct blk *k, struct blk_stats *out);

#endif
