/* SPDX-License-Identifier: MIT */
/*
 * A VM's record: what is stored of it, and what the manager knows of it while it lives.
 *
 * Theory of operation: the stored part is one JSON object (kind "vm" in the store), which is
 * also what the API shows. It is decoded strictly, field by field from one const table, whether
 * it comes from a user (create, change) or from the store; a field says which of the two may set
 * it. The rest of the struct is the manager's and begins anew with each holmd.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_CORE_VM_H
#define HOLM_MGR_CORE_VM_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/loop.h"
#include "mgr/core/alloc.h"
#include "mgr/core/life.h"
#include "mgr/core/resources.h"
#include "mgr/core/sample.h"
#include "mgr/core/sched.h"
#include "proto/config.h"

#include <jansson.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define VM_ID_LEN     16
#define VM_REASON_MAX 256
#define VM_PIN_MAX    128
/** A disk's path that names a volume of the manager's. */
#define VM_DISK_VOLUME "volume:"

/** What happens when the VM's process has ended. */
enum vm_restart {
	VM_RESTART_NO,
	VM_RESTART_ON_FAILURE,	   /* after a crash, with back-off */
	VM_RESTART_ALWAYS,	   /* also after the guest's own power-off */
	VM_RESTART_UNLESS_STOPPED, /* always, but not after a user stopped it */
	VM_RESTART_COUNT
};

/** How a run ended. */
struct vm_exit {
	char end[16]; /* "poweroff", "panic" ...; "": has never ended */
	int code;     /* exit code of its process */
	uint64_t at_ns;
};

/** A process, while there is one. */
struct vm_run {
	pid_t pid; /* 0: none */
	char engine[16];
	char why[ERR_MSG_MAX]; /* why this engine */
	uint64_t started_ns;   /* wall clock */
};

/** What verbs and reports change; saved and put back as a whole. */
struct vm_life {
	enum vm_state state;
	char reason[VM_REASON_MAX];
	struct vm_exit exit;
	struct vm_run run;
	unsigned restarts;   /* by policy since a user started it */
	bool stop_wanted;    /* a user asked for its end */
	bool reboot_wanted;  /* start it again when it has ended */
	uint64_t stop_by_ns; /* wall clock: end it by force then; 0: not asked to end */
};

/** What its process has been told of its limits; bytes a second, 0: none. */
struct vm_told {
	bool known;
	uint64_t io, net;
};

/** What it moves of something that is divided, and its part of that; see divide.h. */
struct vm_flow {
	uint64_t at_ns, bytes; /* of the last sample */
	uint64_t rate, part;   /* bytes a second; part 0: it has none */
};

struct vm {
	/* Stored. Strings on the heap, owned. */
	char id[VM_ID_LEN + 1];
	char *name, *project, *owner;
	uint64_t etag;
	struct vm_life life;
	uint64_t created_ns;
	struct vm_config config;
	struct resources resources;
	enum alloc_policy policy;
	int priority;
	bool autostart;
	enum vm_restart restart;
	uint64_t burst_ms; /* of a job; 0: it is none */
	char *rules;	   /* of its network card, a JSON array (mgr/net/network.h); NULL: none */
	char pin_cpus[VM_PIN_MAX], pin_nodes[VM_PIN_MAX]; /* lists like "0-3,8"; "": all */

	/* The manager's; see manager.c and reports.c. */
	char *text;	      /* the record as JSON on one line, as it is stored; owned */
	char *brief;	      /* what lists show of it, likewise; owned */
	bool start_paused;    /* run no guest code at first */
	bool stands;	      /* its process says that no guest code runs */
	bool unwritten;	      /* a report's change is not in the store yet */
	struct sample sample; /* the last look; at_ns 0: none in this run */
	bool sampled;	      /* @sample is in the history */
	bool asked;	      /* for the next sample, and has not answered */
	struct vm_told told;
	struct vm_flow io_flow, net_flow;
	struct mgr *mgr;
	struct loop_timer grace;   /* after shutdown: force */
	struct loop_timer backoff; /* before a restart by policy */
	struct mgr_op *op;	   /* what is under way, NULL: nothing */
	unsigned unanswered;	   /* questions of verbs that its process has not answered */
	enum vm_event goal;	   /* what @op wants */
	struct sched_job job;	   /* its place in the queue of admission */
	enum sched_order order;	   /* of the scheduler's, not yet acted upon */
};

/** Who may set a field. */
enum vm_from {
	VM_FROM_CREATE, /* a user who creates it */
	VM_FROM_CHANGE, /* a user who changes it */
	VM_FROM_STORE,	/* the store */
};

/** vm_new() - an empty record with defaults and a fresh random id. NULL: no memory. */
struct vm *vm_new(void);
/** vm_free() - timers must be disarmed. NULL is allowed. */
void vm_free(struct vm *vm);

/** vm_id_make() - 16 hexadecimal digits from getrandom(2). */
void vm_id_make(char id[VM_ID_LEN + 1]);

/**
 * vm_decode() - set the fields that @o has.
 *
 * Errors: -EINVAL, -ERANGE, -E2BIG with a sentence that names the field. *@vm may be partly set
 * on failure: decode into a copy (vm_copy()).
 */
int vm_decode(struct vm *vm, const json_t *o, enum vm_from from, struct err *e) MUST_CHECK;

/** vm_encode() - a new object with all stored fields. NULL: no memory. */
json_t *vm_encode(const struct vm *vm);

/**
 * vm_brief() - what a list of many shows, as JSON on one line, on the heap: id, name, project,
 * state, config.cpus, config.memory, run.engine and run.started. NULL: no memory.
 */
char *vm_brief(const struct vm *vm);

/** vm_copy() - the stored part in a new struct. NULL: no memory. */
struct vm *vm_copy(const struct vm *vm);
/** vm_take() - move the stored part of @from, which is freed, into @vm; @vm->life stays. */
void vm_take(struct vm *vm, struct vm *from);

#endif
