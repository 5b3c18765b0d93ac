/* SPDX-License-Identifier: MIT */
/*
 * Raw disk images and block devices: through io_uring, or through two threads with preadv(2) and
 * pwritev(2) where the kernel or a container refuses io_uring.
 */
#ifndef HOLM_BLK_FMT_RAW_H
#define HOLM_BLK_FMT_RAW_H

#include "blk/blk.h"

/**
 * blk_raw_open_fd() - a provider on an open descriptor (owned from success on).
 * @path: only for sentences
 *
 * Takes an OFD lock on it: shared where @read_only, else exclusive.
 * Errors: -EISDIR (neither a regular file nor a block device), -EBUSY (locked by another VM),
 * -EINVAL (size 0 or not a multiple of 512), -EACCES (descriptor not open for it), -ENOMEM.
 */
int blk_raw_open_fd(struct blk_backend **out, int fd, const char *path, bool read_only,
		    struct loop *loop, struct err *e) MUST_CHECK;

/** blk_raw_open() - open @path and go on as blk_raw_open_fd(); also -ENOENT, -EACCES. */
int blk_raw_open(struct blk_backend **out, const char *path, bool read_only, struct loop *loop,
		 struct err *e) MUST_CHECK;

#endif
