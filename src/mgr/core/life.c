/* SPDX-License-Identifier: MIT */
/*
 * The table of a VM's life, see life.h.
 */
#include "mgr/core/life.h"

#include <errno.h>
#include <string.h>

/* A cell: the next state and what is done on the way. A cell that is not there is all zero. */
#define TO(to, act)                                                                                \
	{                                                                                          \
		.allowed = true, .next = VM_##to, .action = VM_ACT_##act                           \
	}

static const struct vm_step steps[][VM_EVENT_COUNT] = {
	[VM_CREATED] = {
		[VM_DO_START] = TO(STARTING, SPAWN),
		[VM_DO_RM] = TO(DELETED, RECORD),
		[VM_DO_PURGE] = TO(DELETED, PURGE),
		[VM_DO_RENAME] = TO(CREATED, RECORD),
		[VM_DO_SET] = TO(CREATED, RECORD),
	},
	[VM_STARTING] = {
		[VM_DO_SHUTDOWN] = TO(STOPPING, CANCEL),
		[VM_DO_KILL] = TO(STOPPING, CANCEL),
		[VM_DO_RENAME] = TO(STARTING, RECORD),
		[VM_DO_SET] = TO(STARTING, RECORD),
		[VM_IS_RUNNING] = TO(RUNNING, NONE),
		[VM_IS_PAUSED] = TO(PAUSED, NONE),
		[VM_IS_FAILED] = TO(STOPPED, CLEAN),
		[VM_IS_ENDED] = TO(STOPPED, CLEAN),
		[VM_IS_CRASHED] = TO(CRASHED, CLEAN),
	},
	[VM_RUNNING] = {
		[VM_DO_PAUSE] = TO(PAUSED, PAUSE),
		[VM_DO_SUSPEND] = TO(SUSPENDING, SAVE),
		[VM_DO_SHUTDOWN] = TO(STOPPING, SHUTDOWN),
		[VM_DO_REBOOT] = TO(STOPPING, REBOOT),
		[VM_DO_RESET] = TO(RUNNING, RESET),
		[VM_DO_KILL] = TO(STOPPING, KILL),
		[VM_DO_RENAME] = TO(RUNNING, RECORD),
		[VM_DO_SET] = TO(RUNNING, RECORD),
		[VM_IS_PAUSED] = TO(PAUSED, NONE),
		[VM_IS_ENDED] = TO(STOPPED, CLEAN),
		[VM_IS_CRASHED] = TO(CRASHED, CLEAN),
	},
	[VM_PAUSED] = {
		[VM_DO_RESUME] = TO(RUNNING, RESUME),
		[VM_DO_SUSPEND] = TO(SUSPENDING, SAVE),
		[VM_DO_SHUTDOWN] = TO(STOPPING, SHUTDOWN),
		[VM_DO_REBOOT] = TO(STOPPING, REBOOT),
		[VM_DO_RESET] = TO(PAUSED, RESET),
		[VM_DO_KILL] = TO(STOPPING, KILL),
		[VM_DO_RENAME] = TO(PAUSED, RECORD),
		[VM_DO_SET] = TO(PAUSED, RECORD),
		[VM_IS_RUNNING] = TO(RUNNING, NONE),
		[VM_IS_ENDED] = TO(STOPPED, CLEAN),
		[VM_IS_CRASHED] = TO(CRASHED, CLEAN),
	},
	/* Late words on how the process was are not heard: is-saved must find this state. */
	[VM_SUSPENDING] = {
		[VM_DO_KILL] = TO(STOPPING, KILL),
		[VM_DO_RENAME] = TO(SUSPENDING, RECORD),
		[VM_IS_SAVED] = TO(SUSPENDED, CLEAN),
		[VM_IS_FAILED] = TO(PAUSED, DROP),
		[VM_IS_ENDED] = TO(STOPPED, CLEAN),
		[VM_IS_CRASHED] = TO(CRASHED, CLEAN),
	},
	[VM_SUSPENDED] = {
		[VM_DO_RESTORE] = TO(RESUMING, LOAD),
		[VM_DO_KILL] = TO(STOPPED, DROP),
		[VM_DO_RM] = TO(DELETED, DROP),
		[VM_DO_PURGE] = TO(DELETED, PURGE),
		[VM_DO_RENAME] = TO(SUSPENDED, RECORD),
		[VM_DO_SET] = TO(SUSPENDED, RECORD),
	},
	/* Once the guest runs, its disks change, and the state on disk fits them no more. */
	[VM_RESUMING] = {
		[VM_DO_KILL] = TO(STOPPING, KILL),
		[VM_DO_RENAME] = TO(RESUMING, RECORD),
		[VM_IS_RUNNING] = TO(RUNNING, DROP),
		[VM_IS_PAUSED] = TO(PAUSED, DROP),
		[VM_IS_FAILED] = TO(SUSPENDED, CLEAN),
		[VM_IS_ENDED] = TO(STOPPED, CLEAN),
		[VM_IS_CRASHED] = TO(CRASHED, CLEAN),
	},
	[VM_STOPPING] = {
		[VM_DO_KILL] = TO(STOPPING, KILL),
		[VM_DO_RENAME] = TO(STOPPING, RECORD),
		[VM_DO_SET] = TO(STOPPING, RECORD),
		[VM_IS_SAVED] = TO(STOPPED, CLEAN),
		[VM_IS_ENDED] = TO(STOPPED, CLEAN),
		[VM_IS_CRASHED] = TO(STOPPED, CLEAN),
	},
	[VM_STOPPED] = {
		[VM_DO_START] = TO(STARTING, SPAWN),
		[VM_DO_RM] = TO(DELETED, RECORD),
		[VM_DO_PURGE] = TO(DELETED, PURGE),
		[VM_DO_RENAME] = TO(STOPPED, RECORD),
		[VM_DO_SET] = TO(STOPPED, RECORD),
	},
	[VM_CRASHED] = {
		[VM_DO_START] = TO(STARTING, SPAWN),
		[VM_DO_RM] = TO(DELETED, RECORD),
		[VM_DO_PURGE] = TO(DELETED, PURGE),
		[VM_DO_RENAME] = TO(CRASHED, RECORD),
		[VM_DO_SET] = TO(CRASHED, RECORD),
	},
	/* No rename: its name may be another's by now, and undelete is where that is settled. */
	[VM_DELETED] = {
		[VM_DO_UNDELETE] = TO(STOPPED, RECORD),
		[VM_DO_PURGE] = TO(DELETED, PURGE),
	},
};
static_assert(ARRAY_SIZE(steps) == VM_STATE_COUNT, "a row for each state");

static const struct {
	const char *name, *text;
	bool process;
} states[] = {
	[VM_CREATED] = { "created", "defined, never started", false },
	[VM_STARTING] = { "starting", "waits for admission, or its process is being made", true },
	[VM_RUNNING] = { "running", "guest code runs", true },
	[VM_PAUSED] = { "paused", "has a process, runs no guest code", true },
	[VM_SUSPENDING] = { "suspending", "its state is being written to disk", true },
	[VM_SUSPENDED] = { "suspended", "no process; its state is on disk", false },
	[VM_RESUMING] = { "resuming", "its state is being read from disk", true },
	[VM_STOPPING] = { "stopping", "asked to power off, or being ended", true },
	[VM_STOPPED] = { "stopped", "no process; ended as it was told to", false },
	[VM_CRASHED] = { "crashed", "no process; ended in a way that nobody asked for", false },
	[VM_DELETED] = { "deleted", "removed; undelete brings it back as stopped", false },
};
static_assert(ARRAY_SIZE(states) == VM_STATE_COUNT, "a name for each state");

static const char *const events[] = {
	[VM_DO_START] = "start",	[VM_DO_PAUSE] = "pause",
	[VM_DO_RESUME] = "resume",	[VM_DO_SUSPEND] = "suspend",
	[VM_DO_RESTORE] = "restore",	[VM_DO_SHUTDOWN] = "shutdown",
	[VM_DO_REBOOT] = "reboot",	[VM_DO_RESET] = "reset",
	[VM_DO_KILL] = "kill",		[VM_DO_RM] = "rm",
	[VM_DO_UNDELETE] = "undelete",	[VM_DO_PURGE] = "purge",
	[VM_DO_RENAME] = "rename",	[VM_DO_SET] = "set",
	[VM_IS_RUNNING] = "is-running", [VM_IS_PAUSED] = "is-paused",
	[VM_IS_SAVED] = "is-saved",	[VM_IS_FAILED] = "is-failed",
	[VM_IS_ENDED] = "is-ended",	[VM_IS_CRASHED] = "is-crashed",
};
static_assert(ARRAY_SIZE(events) == VM_EVENT_COUNT, "a name for each event");

static const char *const actions[] = {
	[VM_ACT_NONE] = "nothing to do",
	[VM_ACT_SPAWN] = "wait for admission, then make a process",
	[VM_ACT_CANCEL] = "leave the queue, or end the half-made process",
	[VM_ACT_PAUSE] = "tell the process to stand still",
	[VM_ACT_RESUME] = "tell the process to go on",
	[VM_ACT_SAVE] = "tell the process to write its state and end",
	[VM_ACT_LOAD] = "make a process from the state on disk",
	[VM_ACT_SHUTDOWN] = "press the power button, force after the grace time",
	[VM_ACT_REBOOT] = "shut down, then start again",
	[VM_ACT_RESET] = "press the reset button",
	[VM_ACT_KILL] = "end the process now",
	[VM_ACT_CLEAN] = "give back what the process had",
	[VM_ACT_DROP] = "remove the state on disk",
	[VM_ACT_PURGE] = "remove the record and the files",
	[VM_ACT_RECORD] = "change the record",
};
static_assert(ARRAY_SIZE(actions) == VM_ACT_COUNT, "a text for each action");

struct vm_step vm_step(enum vm_state s, enum vm_event ev)
{
	BUG_ON((unsigned)s >= VM_STATE_COUNT || (unsigned)ev >= VM_EVENT_COUNT);
	if (steps[s][ev].allowed)
		return steps[s][ev];
	return (struct vm_step) { .next = s };
}

const char *vm_state_name(enum vm_state s)
{
	BUG_ON((unsigned)s >= VM_STATE_COUNT);
	return states[s].name;
}

const char *vm_event_name(enum vm_event ev)
{
	BUG_ON((unsigned)ev >= VM_EVENT_COUNT);
	return events[ev];
}

bool vm_state_has_process(enum vm_state s)
{
	BUG_ON((unsigned)s >= VM_STATE_COUNT);
	return states[s].process;
}

/* Add ", word" to the list in @buf. */
static void list_add(char *buf, size_t len, const char *word)
{
	size_t at = strlen(buf);

	snprintf(buf + at, len - at, "%s%s", at ? ", " : "", word);
}

int vm_state_parse(enum vm_state *out, const char *name, struct err *e)
{
	char all[256] = "";

	for (unsigned i = 0; i < VM_STATE_COUNT; i++) {
		if (!strcmp(name, states[i].name)) {
			*out = (enum vm_state)i;
			return 0;
		}
		list_add(all, sizeof(all), states[i].name);
	}
	return err_set(e, -EINVAL, "'%.40s' is no state of a VM: use one of %s", name, all);
}

int vm_verb_parse(enum vm_event *out, const char *name, struct err *e)
{
	char all[256] = "";

	for (unsigned i = 0; vm_event_is_verb((enum vm_event)i); i++) {
		if (!strcmp(name, events[i])) {
			*out = (enum vm_event)i;
			return 0;
		}
		list_add(all, sizeof(all), events[i]);
	}
	return err_set(e, -EINVAL, "'%.40s' is no verb for a VM: use one of %s", name, all);
}

int vm_step_refused(const char *vm, enum vm_state s, enum vm_event ev, struct err *e)
{
	char all[256] = "";

	for (unsigned i = 0; vm_event_is_verb((enum vm_event)i); i++)
		if (vm_step(s, (enum vm_event)i).allowed)
			list_add(all, sizeof(all), events[i]);
	return err_set(e, -EBUSY, "VM '%.80s' is %s, which does not allow %s; allowed: %s", vm,
		       vm_state_name(s), vm_event_name(ev), all);
}

static void print_states(FILE *f, bool markdown)
{
	fputs(markdown ? "| state | meaning |\n|---|---|\n" : "STATE       MEANING\n", f);
	for (unsigned i = 0; i < VM_STATE_COUNT; i++)
		fprintf(f, markdown ? "| %s | %s |\n" : "%-12s%s\n", states[i].name,
			states[i].text);
}

void vm_life_print(FILE *f, bool markdown)
{
	print_states(f, markdown);
	fputs(markdown ? "\n| state | trigger | next state | what holmd does |\n|---|---|---|---|\n"
		       : "\nSTATE       TRIGGER     NEXT        WHAT HOLMD DOES\n",
	      f);
	for (unsigned s = 0; s < VM_STATE_COUNT; s++) {
		const char *name = states[s].name;

		for (unsigned ev = 0; ev < VM_EVENT_COUNT; ev++) {
			const struct vm_step *c = &steps[s][ev];

			if (!c->allowed)
				continue;
			fprintf(f, markdown ? "| %s | %s | %s | %s |\n" : "%-12s%-12s%-12s%s\n",
				name, events[ev], states[c->next].name, actions[c->action]);
			/* A state is named once in the table for people. */
			if (!markdown)
				name = "";
		}
	}
}

void vm_life_print_diagram(FILE *f)
{
	fputs("stateDiagram-v2\n    [*] --> created\n", f);
	for (unsigned s = 0; s < VM_STATE_COUNT; s++)
		for (unsigned to = 0; to < VM_STATE_COUNT; to++) {
			char label[256] = "";

			/* What changes no state would only hide the others. */
			for (unsigned ev = 0; s != to && ev < VM_EVENT_COUNT; ev++)
				if (steps[s][ev].allowed && steps[s][ev].next == to)
					list_add(label, sizeof(label), events[ev]);
			if (label[0])
				fprintf(f, "    %s --> %s: %s\n", states[s].name, states[to].name,
					label);
		}
}
