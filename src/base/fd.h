/* SPDX-License-Identifier: MIT */
/*
 * Descriptors and heap memory with scope cleanup, and whole reads and writes.
 */
#ifndef HOLM_BASE_FD_H
#define HOLM_BASE_FD_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** fd_close() - close *@fd where it is not -1, then set it to -1; errno is kept. */
void fd_close(int *fd);

/** A local descriptor that is closed at the end of its scope: `FD_AUTO fd = open(...)`. */
#define FD_AUTO CLEANUP(fd_close) int

/** fd_take() - hand the descriptor out of its FD_AUTO variable. */
static inline int fd_take(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

/** mem_release() - free(*@p), for CLEANUP() on any pointer variable. */
void mem_release(void *p);

/** A local heap pointer that is freed at the end of its scope: `MEM_AUTO char *s = ...`. */
#define MEM_AUTO CLEANUP(mem_release)

/**
 * fd_read_full() - read up to @len bytes, going on after short reads and EINTR.
 *
 * Return: bytes read (less than @len only at the end of the file), or -errno.
 */
ssize_t fd_read_full(int fd, void *buf, size_t len) MUST_CHECK;

/** fd_pread_full() - as fd_read_full(), from offset @off. */
ssize_t fd_pread_full(int fd, void *buf, size_t len, uint64_t off) MUST_CHECK;

/** fd_write_full() - write all @len bytes; 0 or -errno. */
int fd_write_full(int fd, const void *buf, size_t len) MUST_CHECK;

/** fd_set_nonblock() - set O_NONBLOCK to @on; 0 or -errno. */
int fd_set_nonblock(int fd, int on) MUST_CHECK;

/** fd_peer_is() - whether a connected Unix socket's peer is root or @owner (SO_PEERCRED). */
bool fd_peer_is(int fd, uid_t owner);

/**
 * file_read() - a whole regular file into fresh heap memory (one NUL byte behind it).
 * @path: for the sentence and open(2)
 * @max:  refuse larger files with -EFBIG
 * @out:  receives the buffer, which the caller frees
 * @len:  receives its length without the NUL
 *
 * Errors: -ENOENT, -EISDIR (not a regular file), -EFBIG, -EACCES, -ENOMEM, -EIO.
 */
int file_read(const char *path, size_t max, uint8_t **out, size_t *len, struct err *e) MUST_CHECK;

#endif
