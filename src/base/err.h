/* SPDX-License-Identifier: MIT */
/*
 * The error object: a negative errno for the program, a sentence for the person.
 *
 * A function that can fail returns 0 or -errno and takes `struct err *` last; NULL means that
 * the caller does not want the sentence. The sentence says what is wrong, which object, and what
 * to do; it has no trailing full stop or newline. Main files print it after "holm: ".
 */
#ifndef HOLM_BASE_ERR_H
#define HOLM_BASE_ERR_H

#include "base/compiler.h"

#define ERR_MSG_MAX 512

struct err {
	int code;	       /* 0 or -errno */
	char msg[ERR_MSG_MAX]; /* NUL-terminated, cut with "..." where too long */
};

/**
 * err_set() - fill an error object.
 * @e:    the object, or NULL
 * @code: -errno (negative); kept in @e->code
 * @fmt:  printf format of the sentence
 *
 * Return: @code, so that callers can `return err_set(...)`.
 */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
#ifdef __clang_analyzer__
/* The analyzer sees no body, so it would follow paths on which a failure returns 0. */
#define err_set(e, code, ...) ((void)err_set(e, code, __VA_ARGS__), (code))
#endif

/**
 * err_prefix() - put "what: " in front of a sentence that is set already.
 *
 * Return: @e->code, or 0 where @e is NULL.
 */
int err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * Exit codes of holm and holm-vmm. All are even, because the debug-exit port ends a VM with an
 * odd one; documented in docs/CLI.md and the man page, so never renumber.
 */
enum holm_exit {
	HOLM_EXIT_OK = 0,	       /* the guest powered off, or the command did its work */
	HOLM_EXIT_USAGE = 2,	       /* command line or configuration is wrong */
	HOLM_EXIT_INPUT = 4,	       /* a file is missing, corrupt or of the wrong kind */
	HOLM_EXIT_BUSY = 6,	       /* in use by another: disk lock, port, name */
	HOLM_EXIT_ENGINE = 8,	       /* the engine that was asked for is not to be had */
	HOLM_EXIT_RESOURCE = 10,       /* out of memory, disk, descriptors or rights */
	HOLM_EXIT_INTERNAL = 12,       /* a bug of Holm's, or the host failed */
	HOLM_EXIT_GUEST_PANIC = 14,    /* the guest reported a panic */
	HOLM_EXIT_GUEST_SHUTDOWN = 16, /* triple fault */
	HOLM_EXIT_GUEST_REBOOT = 18,   /* rebooted under --on-reboot exit */
	HOLM_EXIT_KILLED = 20,	       /* ended by a signal or the console's escape */
};

/** err_exit_code() - the documented exit code for a -errno; HOLM_EXIT_INTERNAL if not listed. */
enum holm_exit err_exit_code(int code);

#endif
