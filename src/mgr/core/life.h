/* SPDX-License-Identifier: MIT */
/*
 * The life of a VM as one table: S_new = F(S_current, E_trigger).
 *
 * Theory of operation: a trigger is either a verb that a user asks for or a report of the VM's
 * process. vm_step() looks both up in one const table and says the next state and what the
 * manager has to do for it; it does nothing itself. What the table does not hold is refused
 * (verbs) or ignored (reports, which may come late).
 *
 * What the table takes for granted:
 * - pause and resume change the state when they are asked for; the process then says how it is,
 *   and what it says last holds. An order that fails is undone by reporting how the process is.
 * - is-failed of a start or a restore means that no guest code ran and that no process is left;
 *   of a save, that the process is still there: it goes on as it was and says so next. In
 *   stopping it says nothing: every process that is to end is reported as ended or crashed, and
 *   so is a start that is cancelled before it has one.
 * - what ends in stopping ended as it was told to, however it did: a restart policy for crashes
 *   does not bring back what a user stopped.
 * - set and rename change the record; what can change in a living process the manager then
 *   applies. What a state on disk does not fit, restore refuses.
 *
 * Threads: none of its own; all functions are pure.
 */
#ifndef HOLM_MGR_CORE_LIFE_H
#define HOLM_MGR_CORE_LIFE_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum vm_state {
	VM_CREATED,    /* defined, never started */
	VM_STARTING,   /* waits for admission, or its process is being made */
	VM_RUNNING,    /* guest code runs */
	VM_PAUSED,     /* has a process, runs no guest code */
	VM_SUSPENDING, /* its state is being written to disk */
	VM_SUSPENDED,  /* no process; its state is on disk */
	VM_RESUMING,   /* its state is being read from disk */
	VM_STOPPING,   /* asked to power off, or being ended */
	VM_STOPPED,    /* no process; ended as it was told to */
	VM_CRASHED,    /* no process; ended by itself in a way nobody asked for */
	VM_DELETED,    /* soft-deleted: undelete brings it back as stopped, purge removes it */
	VM_STATE_COUNT
};

enum vm_event {
	/* Verbs of users. */
	VM_DO_START,
	VM_DO_PAUSE,
	VM_DO_RESUME,
	VM_DO_SUSPEND,
	VM_DO_RESTORE,
	VM_DO_SHUTDOWN,
	VM_DO_REBOOT,
	VM_DO_RESET,
	VM_DO_KILL,
	VM_DO_RM,
	VM_DO_UNDELETE,
	VM_DO_PURGE,
	VM_DO_RENAME,
	VM_DO_SET,
	/* Reports of the VM's process and of the host. */
	VM_IS_RUNNING, /* the process is there and runs guest code */
	VM_IS_PAUSED,  /* the process is there and stands still */
	VM_IS_SAVED,   /* the state is whole on disk and the process has ended */
	VM_IS_FAILED,  /* what was under way could not be done; see above */
	VM_IS_ENDED,   /* the process ended as the guest or a user wanted */
	VM_IS_CRASHED, /* the process ended in another way: panic, triple fault, kill, error */
	VM_EVENT_COUNT
};

/** What the manager does on the way to the next state. */
enum vm_action {
	VM_ACT_NONE,
	VM_ACT_SPAWN,	 /* admission, then a process */
	VM_ACT_CANCEL,	 /* of a start: leave the queue, or end the half-made process */
	VM_ACT_PAUSE,	 /* tell the process */
	VM_ACT_RESUME,	 /* tell the process */
	VM_ACT_SAVE,	 /* tell the process to write its state and end */
	VM_ACT_LOAD,	 /* a process from the state on disk */
	VM_ACT_SHUTDOWN, /* power button (a paused VM runs for it), force after the grace time */
	VM_ACT_REBOOT,	 /* as shutdown, and start again when it has ended */
	VM_ACT_RESET,	 /* tell the process */
	VM_ACT_KILL,	 /* end the process now */
	VM_ACT_CLEAN,	 /* the process is gone: give back what it had; a state on disk goes, too,
			    unless the next state is suspended */
	VM_ACT_DROP,	 /* remove the state on disk */
	VM_ACT_PURGE,	 /* remove the record and the files */
	VM_ACT_RECORD,	 /* only the record changes */
	VM_ACT_COUNT
};

struct vm_step {
	bool allowed;
	enum vm_state next;
	enum vm_action action;
};

/** vm_step() - the table's cell; for a cell that is not there @allowed is false, next = @s. */
struct vm_step vm_step(enum vm_state s, enum vm_event ev);

/** vm_state_name() - "running"; vm_event_name() - "start", "is-running". */
const char *vm_state_name(enum vm_state s);
const char *vm_event_name(enum vm_event ev);
/** By name; -EINVAL with a sentence that lists the names. Only verbs for vm_verb_parse(). */
int vm_state_parse(enum vm_state *out, const char *name, struct err *e) MUST_CHECK;
int vm_verb_parse(enum vm_event *out, const char *name, struct err *e) MUST_CHECK;

/** vm_event_is_verb() - whether a user may ask for it. */
static inline bool vm_event_is_verb(enum vm_event ev)
{
	return ev <= VM_DO_SET;
}

/** vm_state_has_process() - starting, running, paused, suspending, resuming or stopping. */
bool vm_state_has_process(enum vm_state s);

/**
 * vm_step_refused() - the sentence for a verb that @s does not allow.
 *
 * Names the VM, its state and the verbs that are allowed. Return: -EBUSY.
 */
int vm_step_refused(const char *vm, enum vm_state s, enum vm_event ev, struct err *e);

/** vm_life_print() - the table for people; @markdown: as docs/CLI.md and docs have it. */
void vm_life_print(FILE *f, bool markdown);
/** vm_life_print_diagram() - what leads from state to state, as a Mermaid state diagram. */
void vm_life_print_diagram(FILE *f);

#endif
