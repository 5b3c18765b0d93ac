/* SPDX-License-Identifier: MIT */
/*
 * One VM's process as the runner sees it: its pid and its end, and the words that go over its
 * control socket. Only for src/mgr/run/: the runner's own calls are in local.c.
 *
 * A process taken over by its guest may say anything, as fast as it can; see vmproc.c for what is
 * believed.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_RUN_VMPROC_H
#define HOLM_MGR_RUN_VMPROC_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "mgr/core/runner.h"
#include "mgr/run/local.h"
#include "mgr/run/place.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_EXIT_MAX 4096 /* bytes of an exit record */

struct request {
	uint64_t id;
	runner_reply_fn fn;
	void *ctx;
	struct request *next;
};

struct proc {
	struct local *owner;
	char id[17];
	pid_t pid;
	bool child; /* ours to reap */
	int pidfd, sock;
	struct loop_fd *pid_watch, *sock_watch;
	struct request *waiting; /* oldest first */
	unsigned n_waiting;
	bool greeted; /* it has said hello on this connection */
	bool ran;     /* before it was to be saved */
	bool saved;   /* its state is whole on disk: it has nothing more to say */
	bool loaded;  /* made from saved state, and has not run yet */
	bool paused;  /* of a loaded one: it is to stay so */
	/* A process taken over by its guest may say anything, as fast as it can. */
	struct loop_timer rest; /* armed: it is not listened to until then */
	uint64_t window_ns;	/* the second that @unasked counts in */
	unsigned unasked;
	struct log_limit limit;
	struct proc *next;
};

struct local {
	struct runner runner; /* must be first */
	struct runner_local_config cfg;
	char *vmm;
	struct place place;
	struct proc *procs;
	uint64_t next_id;
	char end_text[PROC_EXIT_MAX]; /* what run_end's strings of adopt() point into */
	char end_word[32];
};

static inline struct local *local_of(struct runner *r)
{
	return CONTAINER_OF(r, struct local, runner);
}

/** A request with descriptors that go along. */
struct parcel {
	const struct control_request *request;
	const int *fds; /* that go with it */
	unsigned n_fds;
};

/** proc_new() - entered into @l's list; NULL: no memory. proc_free() - out of it again. */
struct proc *proc_new(struct local *l, const char *id, struct err *e);
void proc_free(struct proc *p);
/** proc_find() - that of a VM, or NULL. */
struct proc *proc_find(struct local *l, const char *id);

/** proc_watch() - have the end of @pid seen. */
int proc_watch(struct proc *p, pid_t pid, struct err *e) MUST_CHECK;
/** proc_on_pid() - the loop's call when a process's pidfd says that it has ended. */
void proc_on_pid(void *arg, int fd, uint32_t events);
/** proc_is_vmm() - whether a pid that the kernel vouched for is a holm-vmm's. */
bool proc_is_vmm(pid_t pid);
/** proc_read_end() - what it left in its exit record, over what @end has; lasts as @l's buffers. */
void proc_read_end(struct local *l, const char *id, struct run_end *end);

/** proc_connect() - to its control socket; -ECONNREFUSED, -ENOENT: nobody is there. */
int proc_connect(struct proc *p, struct err *e) MUST_CHECK;
/** proc_send() - as runner_ops.send(); @p NULL: -ENOTCONN. The descriptors stay the caller's. */
int proc_send(struct proc *p, const struct parcel *x, runner_reply_fn fn, void *ctx,
	      struct err *e) MUST_CHECK;
/** proc_fail_waiting() - answer all open requests with -ENOTCONN. */
void proc_fail_waiting(struct proc *p);

#endif
