/* SPDX-License-Identifier: MIT */
/*
 * The manager: all VMs of one host, and what happens to them.
 *
 * Theory of operation: verbs come from the API, reports from the runner; both go through the
 * table of life.h. A verb first changes the record in the store (with its entry in the audit
 * log), then acts: what was acknowledged is never lost, and a manager that dies between the two
 * finds in its records what was meant and does it again. A report changes the record after the
 * fact; where the store refuses it, memory holds the truth and the write is tried again.
 *
 * At the start mgr_recover() reads the records, adopts processes that live, gives back what dead
 * ones had, sweeps what no record speaks of, goes on with what was under way, and starts what is
 * to start by itself.
 *
 * Files: manager.c (records), verbs.c, reports.c (the runner's word, restarts), admit.c (the
 * queue), limits.c (I/O and network), quota.c, operation.c, event.c.
 *
 * Threads: the loop's, all of it.
 */
#ifndef HOLM_MGR_CORE_MANAGER_H
#define HOLM_MGR_CORE_MANAGER_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/loop.h"
#include "mgr/core/event.h"
#include "mgr/core/operation.h"
#include "mgr/core/people.h"
#include "mgr/core/runner.h"
#include "mgr/core/sched.h"
#include "mgr/core/store.h"
#include "mgr/core/vm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MGR_GRACE_MS 30000 /* from the power button to the end by force */

/** Who asks, for records and the audit log. Borrowed for the call. */
struct mgr_actor {
	const char *user; /* "root", "uid:1000", "holmd" */
	const char *from; /* "unix", "192.0.2.7:4711", "" */
};

/** What a verb may bring along. */
struct mgr_verb_args {
	unsigned grace_ms; /* of shutdown and reboot; 0: MGR_GRACE_MS */
	bool paused;	   /* of start: run no guest code yet */
};

/** What the host does around a VM's life; all optional. */
struct mgr_host_ops {
	/**
	 * Before a process is made: networks, volumes, groups. @c is a copy of the VM's
	 * configuration, whose names are resolved to what is the host's.
	 * @tap_fd: receives an open tap for the net "network:NAME"; -1 stays where there is none
	 *
	 * 0 or -errno with a sentence; then release() is called too.
	 */
	int (*prepare)(void *ctx, const struct vm *vm, struct vm_config *c, int *tap_fd,
		       struct err *e);
	/** Its process can be spoken to: limits and the like. */
	void (*started)(void *ctx, const struct vm *vm);
	/** The process is gone: the reverse of prepare(). */
	void (*release)(void *ctx, const struct vm *vm);
	/** The record changed: act on what can change live. @renamed: its name did. */
	void (*changed)(void *ctx, const struct vm *vm, bool renamed);
	/** The VM is removed for good. */
	void (*purged)(void *ctx, const struct vm *vm);
	/** What the host says of a VM's process: the sample's times of CPU. */
	void (*measure)(void *ctx, const struct vm *vm, struct sample *s);
	/** Bytes of volumes in a project. */
	uint64_t (*disk_used)(void *ctx, const char *project);
};

struct mgr {
	struct loop *loop;		 /* borrowed */
	const struct clock *clock;	 /* the loop's */
	struct store *store;		 /* borrowed */
	struct runner *runner;		 /* borrowed */
	struct people *people;		 /* borrowed */
	const struct mgr_host_ops *host; /* NULL: a bare one, as in tests */
	void *host_ctx;
	bool booted; /* mgr_recover() is the first since the host's boot: autostart counts */

	uint64_t net_capacity; /* bytes a second each way that VMs divide; 0: not divided */

	struct vm **vms; /* sorted by name, then id */
	size_t n_vms, cap_vms;
	uint64_t changes; /* of the list or of a record in it, since the start */
	struct event_log events;
	struct op_list ops;
	struct loop_timer retry; /* of records that could not be written */
	/* Admission, see admit.c. */
	struct sched sched;
	struct loop_timer slice;
	bool ordered, picking, pick_again;
};

/**
 * mgr_init() - empty; @m is zeroed but for the borrowed members.
 * @capacity: what all VMs that run may have together, overcommit included
 */
void mgr_init(struct mgr *m, const struct sched_size *capacity);
/** mgr_fini() - forget everything; processes go on. */
void mgr_fini(struct mgr *m);

/** mgr_recover() - see above; errors only where the store or the host cannot be read. */
int mgr_recover(struct mgr *m, struct err *e) MUST_CHECK;

/**
 * mgr_measure() - a sample of now in @s: its process's answer to "stats", and the host's word.
 * @vm: one that has a process
 */
void mgr_measure(struct mgr *m, const struct vm *vm, struct sample *s, const json_t *stats);

/** mgr_find() - by name, else by id; a deleted VM by id, or by name where no other has it. */
struct vm *mgr_find(struct mgr *m, const char *name_or_id);
struct vm *mgr_find_id(struct mgr *m, const char *id);

/**
 * mgr_create() - a VM from a user's JSON.
 *
 * Errors: -EINVAL, -ERANGE (what is wrong with it), -EEXIST (name taken), -EDQUOT (quota),
 * -ENOENT (no such project), those of the store.
 */
int mgr_create(struct mgr *m, const struct mgr_actor *by, const json_t *body, struct vm **out,
	       struct err *e) MUST_CHECK;

/**
 * mgr_change() - set fields from a user's JSON; a name renames.
 * @etag: refuse with -ESTALE where the VM has another; 0: whatever it has
 */
int mgr_change(struct mgr *m, const struct mgr_actor *by, struct vm *vm, const json_t *body,
	       uint64_t etag, struct err *e) MUST_CHECK;

/**
 * mgr_verb() - do what a user asks; what the state does not allow is refused with -EBUSY.
 * @op: receives the operation, which the caller borrows for now; NULL where it is done at once
 *
 * After VM_DO_PURGE @vm is gone.
 */
int mgr_verb(struct mgr *m, const struct mgr_actor *by, struct vm *vm, enum vm_event verb,
	     const struct mgr_verb_args *args, struct mgr_op **op, struct err *e) MUST_CHECK;

/** mgr_cancel() - an operation of a user's; -EBUSY where it cannot be called back. */
int mgr_cancel(struct mgr *m, const struct mgr_actor *by, struct mgr_op *op,
	       struct err *e) MUST_CHECK;

/** mgr_check_disk() - whether @bytes more of volumes fit a project's quota; -EDQUOT, -ENOENT. */
int mgr_check_disk(struct mgr *m, const char *project, uint64_t bytes, struct err *e) MUST_CHECK;
/** mgr_volume_user() - a VM that has the disk "volume:NAME"; NULL: none. */
const struct vm *mgr_volume_user(const struct mgr *m, const char *volume);
/** mgr_volume_in_use() - whether a VM that has a process, or is suspended, has that disk. */
bool mgr_volume_in_use(const struct mgr *m, const char *volume);
/** mgr_check_disks_free() - -EBUSY where a suspended VM has a disk that @vm wants. */
int mgr_check_disks_free(const struct mgr *m, const struct vm *vm, struct err *e) MUST_CHECK;
/** mgr_project_uses() - VMs in a project, deleted ones among them. */
size_t mgr_project_uses(const struct mgr *m, const char *project);
/** mgr_audit() - an entry for something that changed no VM; failures are logged. */
void mgr_audit(struct mgr *m, const struct mgr_actor *by, const char *what, const char *on,
	       const char *result);

/* Between the manager's own files. */

/** mgr_write() - the record of @vm into the store, with an entry of the audit log or NULL. */
int mgr_write(struct mgr *m, struct vm *vm, const struct audit_entry *a, struct err *e) MUST_CHECK;
/** mgr_note() - a report's change: write it, or try again later; tells listeners. */
void mgr_note(struct mgr *m, struct vm *vm);
/** mgr_drop() - a VM out of memory; its record is gone. */
void mgr_drop(struct mgr *m, struct vm *vm);
/** mgr_reorder() - put it at its place after a change of its name or of being deleted. */
void mgr_reorder(struct mgr *m, struct vm *vm);
/** mgr_timers_init() - those of a VM that comes into the list. */
void mgr_timers_init(struct mgr *m, struct vm *vm);
/** mgr_recover_lives() - adopt, clean up, go on with what was under way, start by itself. */
int mgr_recover_lives(struct mgr *m, struct err *e) MUST_CHECK;
/** mgr_check_quota() - whether @vm, new or changed, fits its project's; -EDQUOT, -ENOENT. */
int mgr_check_quota(struct mgr *m, const struct vm *vm, struct err *e) MUST_CHECK;
/** mgr_launch() - make the process of a VM in state starting; a failure goes to its life. */
void mgr_launch(struct mgr *m, struct vm *vm);
/** mgr_start_failed() - no process came of it; @why is the sentence. */
void mgr_start_failed(struct mgr *m, struct vm *vm, const char *why);
/** mgr_request_failed() - the process refused what was asked, or could not be asked. */
void mgr_request_failed(struct mgr *m, struct vm *vm, const char *why);
/** mgr_request_done() - it did what was asked. */
void mgr_request_done(struct mgr *m, struct vm *vm);
/** mgr_forward_answer() - a runner_reply_fn: the VM's process on a port; @ctx is the VM. */
void mgr_forward_answer(void *ctx, const json_t *reply, const struct err *e);
/** mgr_call_back() - a start that shall not be any more. */
void mgr_call_back(struct mgr *m, struct vm *vm);
/** mgr_verb_self() - a verb that the manager gives by itself; -EBUSY. */
int mgr_verb_self(struct mgr *m, struct vm *vm, enum vm_event verb, const char *reason);
/** mgr_tell() - the VM's state, to listeners. */
void mgr_tell(struct mgr *m, const struct vm *vm);
/** mgr_admit() - into the queue of those that want to start; starts what fits. */
void mgr_admit(struct mgr *m, struct vm *vm);
/** mgr_admit_next() - something ended: start what fits now. */
void mgr_admit_next(struct mgr *m);
/** mgr_admit_init() - an empty queue. */
void mgr_admit_init(struct mgr *m, const struct sched_size *capacity);
/** mgr_queue_adopt() - it has a process already, which takes its room. */
void mgr_queue_adopt(struct mgr *m, struct vm *vm, bool running);
/** mgr_queue_leave() - gives back its place or its room; whether it waited for its start. */
bool mgr_queue_leave(struct mgr *m, struct vm *vm);
/** mgr_save() - have the process of a VM that is being suspended write its state, and end it. */
void mgr_save(struct mgr *m, struct vm *vm);
/** mgr_arm_grace() - force when life.stop_by_ns has come. */
void mgr_arm_grace(struct mgr *m, struct vm *vm);
/** mgr_limit_io(), mgr_limit_net() - bytes a second that hold for a VM; 0: no limit. */
uint64_t mgr_limit_io(const struct vm *vm);
uint64_t mgr_limit_net(const struct vm *vm);
/** mgr_limits_tell() - a running VM's limits to its process, where it does not know them. */
void mgr_limits_tell(struct mgr *m, struct vm *vm);
/** mgr_limits_round() - once a second, after samples: divide what is shared anew. */
void mgr_limits_round(struct mgr *m);
/** mgr_press() - power button now, force when life.stop_by_ns has come. */
void mgr_press(struct mgr *m, struct vm *vm);
/** mgr_entry() - an audit entry on a VM's behalf, in @buf for its target. */
struct audit_entry mgr_entry(struct mgr *m, const struct mgr_actor *by, const char *what,
			     const char *on);
/** mgr_report() - a report of the runner's or the host's: step, record, act. */
void mgr_report(struct mgr *m, struct vm *vm, enum vm_event ev);
extern const struct runner_client mgr_runner_client;

#endif
