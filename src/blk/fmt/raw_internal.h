/* SPDX-License-Identifier: MIT */
/*
 * What raw.c shares with its two engines.
 *
 * A request is a row of system calls ("steps"): raw_step() says the next one, an engine runs it,
 * raw_step_done() takes the result and says whether the request is finished. So short transfers,
 * retries and the fall-back for write-zeroes stand in one place for both engines.
 */
#ifndef HOLM_BLK_FMT_RAW_INTERNAL_H
#define HOLM_BLK_FMT_RAW_INTERNAL_H

#include "blk/fmt/raw.h"

#define RAW_ZEROES (256u * 1024u) /* bytes a write of zeroes moves at once */

struct raw;

/* Where requests run. All calls under the machine lock. */
struct raw_engine {
	const char *name;
	/** 0 or -errno; -ENOSYS, -EPERM and -EACCES mean "not on this host". */
	int (*open)(struct raw *d);
	/** Start @r; ends in blk_complete() from the loop. Never blocks. */
	void (*submit)(struct raw *d, struct blk_req *r);
	/** No request is in flight. */
	void (*close)(struct raw *d);
};

extern const struct raw_engine raw_uring_engine, raw_thread_engine;

struct raw {
	struct blk_backend base;
	const struct raw_engine *engine;
	void *priv; /* the engine's */
	struct loop *loop;
	int fd;
	struct blk_info info;
	uint8_t *zeroes; /* RAW_ZEROES bytes, never written */
};

enum raw_call { RAW_READ, RAW_WRITE, RAW_READV, RAW_WRITEV, RAW_DATASYNC, RAW_FALLOCATE };

struct raw_step {
	enum raw_call call;
	void *buf; /* READ, WRITE */
	size_t len;
	const struct iovec *iov; /* READV, WRITEV */
	unsigned n_iov;
	uint64_t off; /* all but DATASYNC */
	uint64_t range;
	int mode; /* FALLOCATE */
};

/** raw_begin() - before the first step of @r. */
void raw_begin(struct blk_req *r);
/** raw_step() - the next call for @r. Any thread. */
void raw_step(const struct raw *d, const struct blk_req *r, struct raw_step *s);
/**
 * raw_step_done() - take the call's result, a count or -errno. Any thread.
 *
 * Return: whether the request is finished; then *@ret is 0 or -errno for blk_complete().
 */
bool raw_step_done(struct blk_req *r, long res, int *ret) MUST_CHECK;

/** raw_open_with() - blk_raw_open_fd() on a given engine, for tests; NULL: the best there is. */
int raw_open_with(struct blk_backend **out, int fd, const char *path, bool read_only,
		  struct loop *loop, const struct raw_engine *engine, struct err *e) MUST_CHECK;

#endif
