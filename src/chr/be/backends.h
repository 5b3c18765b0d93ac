/* SPDX-License-Identifier: MIT */
/*
 * Character back ends.
 */
#ifndef HOLM_CHR_BE_BACKENDS_H
#define HOLM_CHR_BE_BACKENDS_H

#include "chr/chr.h"

/** The console's escape: Ctrl-] followed by q ends the VM; Ctrl-] twice sends one to the guest. */
struct chr_stdio_config {
	bool raw; /* put a terminal into raw mode, restored by close and by chr_stdio_restore() */
	void (*quit)(void *ctx); /* Ctrl-] q was typed. Loop thread, locked */
	void *quit_ctx;
};

int chr_stdio_open(struct chr_backend **out, const struct chr_stdio_config *cfg, struct loop *loop,
		   struct err *e) MUST_CHECK;
/** chr_stdio_restore() - put the terminal back; async-signal-safe, idempotent. */
void chr_stdio_restore(void);

/** Append to @path (created 0600). */
int chr_file_open(struct chr_backend **out, const char *path, struct loop *loop,
		  struct err *e) MUST_CHECK;
/** A new pseudo-terminal; *@name receives the path of its other side (freed by the caller). */
int chr_pty_open(struct chr_backend **out, char **name, struct loop *loop,
		 struct err *e) MUST_CHECK;
/** Listen on a Unix socket at @path (0600); one peer at a time, a new one replaces the old. */
int chr_socket_open(struct chr_backend **out, const char *path, struct loop *loop,
		    struct err *e) MUST_CHECK;

#define CHR_RING_READERS  16
#define CHR_RING_PACKET	  4096u
#define CHR_RING_LOG_HALF (512ull * 1024)

struct chr_ring_config {
	int listen_fd; /* AF_UNIX, SOCK_SEQPACKET, listening */
	int log_fd[2]; /* regular files, used in turn; both -1: no log */
};

/**
 * The manager's console: the last 64 KiB, for up to CHR_RING_READERS readers and one writer that
 * connect to @cfg->listen_fd, and a log of at most 1 MiB. What clients say: ring.c. The
 * descriptors are owned from success on. Errors: -EINVAL (a log that is no regular file), -ENOMEM.
 */
int chr_ring_open(struct chr_backend **out, const struct chr_ring_config *cfg, struct loop *loop,
		  struct err *e) MUST_CHECK;
/** Output vanishes, no input. */
int chr_null_open(struct chr_backend **out, struct err *e) MUST_CHECK;

#endif
