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
/** Output vanishes, no input. */
int chr_null_open(struct chr_backend **out, struct err *e) MUST_CHECK;

#endif
