/* SPDX-License-Identifier: MIT */
/*
 * Saved state as a file: a head, then records (snap.h).
 *
 * The head, 32 bytes, little-endian: "HOLMSAVE", u32 version, u32 CRC-32 (zlib's) of the rest, u64
 * length of the rest, 8 bytes of 0.
 *
 * A newer Holm reads the version before its own, too.
 */
#ifndef HOLM_SNAP_FILE_H
#define HOLM_SNAP_FILE_H

#include "base/compiler.h"
#include "base/err.h"
#include "snap/snap.h"

#include <stddef.h>
#include <stdint.h>

#define SNAP_FILE_VERSION 1
#define SNAP_FILE_MAX	  (16u << 20) /* bytes of a whole file */

/** snap_file_write() - what @w holds, to the disk. Errors: of write(2) and fsync(2). */
int snap_file_write(int fd, const struct snap_writer *w, struct err *e) MUST_CHECK;

/**
 * snap_file_read() - a whole file, looked through once: any bit that has changed is found.
 * @buf: receives the bytes, which the caller frees and @r points into; also on failure, or NULL
 *
 * Errors: -EBADMSG (no such file, cut short, changed), -ENOTSUP (of a newer version), -ENOMEM,
 * those of reading.
 */
int snap_file_read(int fd, uint8_t **buf, struct snap_reader *r, struct err *e) MUST_CHECK;

#endif
