/* SPDX-License-Identifier: MIT */
/*
 * Character streams on the host's side: consoles and serial lines.
 *
 * Theory of operation: a UART or console writes bytes with chr_write(), which never blocks: what
 * the back end cannot take at once is kept in a bounded ring (CHR_BUFFER), and what overflows it
 * is dropped, oldest first, and counted: a guest never waits for a person and never grows the
 * host. Input comes by the client's `rx` as far as chr_client_ops.room says.
 *
 * Threads: machine lock held throughout.
 */
#ifndef HOLM_CHR_CHR_H
#define HOLM_CHR_CHR_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHR_BUFFER 65536u

struct chr;
struct chr_backend;

struct chr_backend_ops {
	const char *name; /* "stdio", "file", "pty", "socket", "ring" */
	/** Take up to @len bytes now: bytes taken (0: full, wait for chr_writable()), or -errno. */
	ssize_t (*write)(struct chr_backend *b, const void *buf, size_t len);
	/** The core wants chr_writable() when there is room again. */
	void (*want_write)(struct chr_backend *b, bool on);
	/** Let input come, or not. */
	void (*rx_enable)(struct chr_backend *b, bool on);
	/** Put terminals back as they were; also run at exit. */
	void (*close)(struct chr_backend *b);
};

struct chr_backend {
	const struct chr_backend_ops *ops;
	struct chr *chr; /* set by chr_create */
};

struct chr_client_ops {
	/** Bytes the device can take now; the core never delivers more. */
	size_t (*room)(void *ctx);
	void (*rx)(void *ctx, const uint8_t *buf, size_t len);
};

/** chr_create() - @b is owned from success on. */
int chr_create(struct chr **out, struct chr_backend *b, struct err *e) MUST_CHECK;
void chr_destroy(struct chr *c);
void chr_set_client(struct chr *c, const struct chr_client_ops *ops, void *ctx);
/** chr_write() - bytes of the guest's; never blocks. */
void chr_write(struct chr *c, const void *buf, size_t len);
/** chr_room_changed() - the device can take input again. */
void chr_room_changed(struct chr *c);
/** chr_flush() - push out what is kept, waiting at most @timeout_ms; for the end of a VM. */
void chr_flush(struct chr *c, int timeout_ms);
uint64_t chr_dropped(const struct chr *c);

/* For back ends. */
void chr_writable(struct chr_backend *b);
/** chr_input_room() - bytes that chr_input() may bring now. */
size_t chr_input_room(struct chr_backend *b);
void chr_input(struct chr_backend *b, const void *buf, size_t len);

#endif
