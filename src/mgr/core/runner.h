/* SPDX-License-Identifier: MIT */
/*
 * The runner: a port of the manager's that makes VMs' processes, finds those that live, speaks
 * to them and hears how they end.
 *
 * Theory of operation: a process belongs to a VM by the VM's id alone, from which every name it
 * has on the host follows (folder, sockets, control group, tap). So a manager that was killed at
 * any moment finds what its records speak of, and sweeps away what they do not.
 *
 * Threads: the manager's loop only. The client's functions are called from the loop, never from
 * within a call of the runner's.
 */
#ifndef HOLM_MGR_CORE_RUNNER_H
#define HOLM_MGR_CORE_RUNNER_H

#include "base/compiler.h"
#include "base/err.h"
#include "proto/config.h"
#include "proto/control.h"

#include <jansson.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct runner;

/** What a process is made from. Borrowed for the call. */
struct run_spec {
	const char *id;
	const char *name;
	const char *project;
	const struct vm_config *config; /* paths are the host's, volumes resolved */
	int tap_fd;			/* -1: none; stays the caller's */
	bool paused;			/* do not run guest code yet */
};

/** What a process says of itself when it can be spoken to. */
struct run_hello {
	pid_t pid;
	bool paused;
	const char *engine, *why;
	uint64_t started_ns; /* wall clock */
};

/** How a process ended. */
struct run_end {
	const char *end;     /* "poweroff", "reset", "debug-exit", "panic", "shutdown", "quit",
				"error", "killed" (without a word of its own) */
	int code;	     /* exit code; 128 + signal where it was killed */
	const char *message; /* a sentence where it could not start, else NULL */
};

/** The manager's ears. @id is borrowed for the call. */
struct runner_client {
	void (*hello)(void *ctx, const char *id, const struct run_hello *h);
	void (*state)(void *ctx, const char *id, bool paused);
	/** save() is done: the state is whole on disk, ended() follows; or it could not be. */
	void (*saved)(void *ctx, const char *id, const struct err *why_not);
	void (*ended)(void *ctx, const char *id, const struct run_end *end);
	void *ctx;
};

/** A process's answer. @reply: borrowed, NULL where @e holds why there is none. */
typedef void (*runner_reply_fn)(void *ctx, const json_t *reply, const struct err *e);

struct runner_ops {
	/** Make a process; hello() or ended() follow. -EEXIST: there is one. */
	int (*spawn)(struct runner *r, const struct run_spec *s, struct err *e);
	/**
	 * Find the process of a VM that had one; hello() or ended() follow.
	 * -ESRCH: there is none; *@end (its strings borrowed until the next call) says how it
	 * ended as far as it left word. Another error: it cannot be told whether there is one.
	 */
	int (*adopt)(struct runner *r, const char *id, struct run_end *end, struct err *e);
	/**
	 * Ask it something; @q->id is the runner's to choose. @fn is called once, later, and
	 * before ended(); NULL: nobody listens. -ENOTCONN.
	 */
	int (*send)(struct runner *r, const char *id, const struct control_request *q,
		    runner_reply_fn fn, void *ctx, struct err *e);
	/** Pause it, write its state to disk, and end it; saved() follows. Optional: NULL. */
	int (*save)(struct runner *r, const char *id, struct err *e);
	/** spawn() from the state that save() wrote. There where save() is. */
	int (*load)(struct runner *r, const struct run_spec *s, struct err *e);
	/** Remove the state that save() wrote. There where save() is. */
	void (*drop)(struct runner *r, const char *id);
	/** Whether the state of a VM without a process is whole on disk. There where save() is. */
	bool (*is_saved)(struct runner *r, const char *id);
	/** End it now; ended() follows. Nothing where there is none. */
	void (*kill)(struct runner *r, const char *id);
	/** Give back what a process had on the host. It has ended, or is ended by this. */
	void (*clean)(struct runner *r, const char *id);
	/** clean(), and remove what outlives a process: its logs. */
	void (*purge)(struct runner *r, const char *id);
	/** purge() for all that belongs to no VM that @known knows; returns how many. */
	unsigned (*sweep)(struct runner *r, bool (*known)(void *ctx, const char *id), void *ctx);
};

/** First member of a provider's struct. */
struct runner {
	const struct runner_ops *ops;
	struct runner_client client; /* set before the first call */
};

#endif
