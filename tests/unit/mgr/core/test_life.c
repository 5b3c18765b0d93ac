/* SPDX-License-Identifier: MIT */
/*
 * The life table: every cell against a list written apart from it, what must hold for any such
 * table, and the names and sentences.
 */
#include "mgr/core/life.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In words, one state a line: "trigger>next/action". What is not named is not allowed. */
static const char *const expected[VM_STATE_COUNT] = {
	[VM_CREATED] = "start>starting/spawn rm>deleted/record purge>deleted/purge "
		       "rename>created/record set>created/record",
	[VM_STARTING] = "shutdown>stopping/cancel kill>stopping/cancel rename>starting/record "
			"set>starting/record is-running>running/none is-paused>paused/none "
			"is-failed>stopped/clean is-ended>stopped/clean is-crashed>crashed/clean",
	[VM_RUNNING] = "pause>paused/pause suspend>suspending/save shutdown>stopping/shutdown "
		       "reboot>stopping/reboot reset>running/reset kill>stopping/kill "
		       "rename>running/record set>running/record is-paused>paused/none "
		       "is-ended>stopped/clean is-crashed>crashed/clean",
	[VM_PAUSED] = "resume>running/resume suspend>suspending/save shutdown>stopping/shutdown "
		      "reboot>stopping/reboot reset>paused/reset kill>stopping/kill "
		      "rename>paused/record set>paused/record is-running>running/none "
		      "is-ended>stopped/clean is-crashed>crashed/clean",
	[VM_SUSPENDING] = "kill>stopping/kill rename>suspending/record is-saved>suspended/clean "
			  "is-failed>paused/drop is-ended>stopped/clean is-crashed>crashed/clean",
	[VM_SUSPENDED] = "restore>resuming/load kill>stopped/drop rm>deleted/drop "
			 "purge>deleted/purge rename>suspended/record set>suspended/record",
	[VM_RESUMING] = "kill>stopping/kill rename>resuming/record is-running>running/drop "
			"is-paused>paused/drop is-failed>suspended/clean is-ended>stopped/clean "
			"is-crashed>crashed/clean",
	[VM_STOPPING] = "kill>stopping/kill rename>stopping/record set>stopping/record "
			"is-saved>stopped/clean is-ended>stopped/clean is-crashed>stopped/clean",
	[VM_STOPPED] = "start>starting/spawn rm>deleted/record purge>deleted/purge "
		       "rename>stopped/record set>stopped/record",
	[VM_CRASHED] = "start>starting/spawn rm>deleted/record purge>deleted/purge "
		       "rename>crashed/record set>crashed/record",
	[VM_DELETED] = "undelete>stopped/record purge>deleted/purge",
};

static const char *const action_words[VM_ACT_COUNT] = {
	"none",	  "spawn", "cancel", "pause", "resume", "save",	 "load",   "shutdown",
	"reboot", "reset", "kill",   "clean", "drop",	"purge", "record",
};

static void every_cell(void **state UNUSED)
{
	size_t found = 0, named = 0;

	for (unsigned s = 0; s < VM_STATE_COUNT; s++) {
		for (const char *p = expected[s]; *p; p++)
			named += *p == '>';
		for (unsigned ev = 0; ev < VM_EVENT_COUNT; ev++) {
			struct vm_step c = vm_step((enum vm_state)s, (enum vm_event)ev);
			char want[128], line[1024];

			snprintf(want, sizeof(want), " %s>%s/%s ", vm_event_name((enum vm_event)ev),
				 vm_state_name(c.next), action_words[c.action]);
			snprintf(line, sizeof(line), " %s ", expected[s]);
			if (c.allowed) {
				if (!strstr(line, want))
					fail_msg("%s:%s", vm_state_name((enum vm_state)s), want);
				found++;
			} else {
				assert_int_equal(c.next, s);
				assert_int_equal(c.action, VM_ACT_NONE);
			}
		}
	}
	/* Each cell was found in the list, so equal numbers mean that none is missing. */
	assert_int_equal(found, named);
}

/* Mark what can be reached from @from; through verbs only, or reports as well. */
static void reach(bool seen[VM_STATE_COUNT], enum vm_state from)
{
	bool changed = true;

	memset(seen, 0, VM_STATE_COUNT * sizeof(seen[0]));
	seen[from] = true;
	while (changed) {
		changed = false;
		for (unsigned s = 0; s < VM_STATE_COUNT; s++)
			for (unsigned ev = 0; seen[s] && ev < VM_EVENT_COUNT; ev++) {
				struct vm_step c = vm_step((enum vm_state)s, (enum vm_event)ev);

				if (c.allowed && !seen[c.next])
					changed = seen[c.next] = true;
			}
	}
}

static void every_state_can_come_and_go(void **state UNUSED)
{
	bool seen[VM_STATE_COUNT];

	reach(seen, VM_CREATED);
	for (unsigned s = 0; s < VM_STATE_COUNT; s++)
		assert_true(seen[s]);
	for (unsigned s = 0; s < VM_STATE_COUNT; s++) {
		reach(seen, (enum vm_state)s);
		assert_true(seen[VM_DELETED]);
		/* Nothing is created again. */
		assert_int_equal(seen[VM_CREATED], s == VM_CREATED);
	}
}

static void processes_are_made_and_ended_on_purpose(void **state UNUSED)
{
	for (unsigned s = 0; s < VM_STATE_COUNT; s++)
		for (unsigned ev = 0; ev < VM_EVENT_COUNT; ev++) {
			struct vm_step c = vm_step((enum vm_state)s, (enum vm_event)ev);
			bool before = vm_state_has_process((enum vm_state)s);
			bool after = vm_state_has_process(c.next);
			bool verb = vm_event_is_verb((enum vm_event)ev);

			if (!c.allowed)
				continue;
			/* A process begins by a verb that makes one; a report never brings one
			 * back, and where there is none, nobody reports. */
			if (!before) {
				assert_true(verb);
				assert_int_equal(after, c.action == VM_ACT_SPAWN ||
								c.action == VM_ACT_LOAD);
			}
			/* It is gone only when somebody said so, and then is cleaned up after. */
			if (before && !after) {
				assert_false(verb);
				assert_int_equal(c.action, VM_ACT_CLEAN);
			}
			if (c.action == VM_ACT_CLEAN)
				assert_true(before && !after);
			/* What is to end does not run again. */
			if (s == VM_STOPPING)
				assert_true(c.next == VM_STOPPING || c.next == VM_STOPPED);
			if (verb && c.next == VM_STOPPING && s != VM_STOPPING)
				assert_true(c.action == VM_ACT_CANCEL || c.action == VM_ACT_KILL ||
					    c.action == VM_ACT_SHUTDOWN ||
					    c.action == VM_ACT_REBOOT);
			/* A state on disk is used once. */
			if (s == VM_RESUMING && (c.next == VM_RUNNING || c.next == VM_PAUSED))
				assert_int_equal(c.action, VM_ACT_DROP);
			if (s == VM_SUSPENDED && !after && c.next != VM_SUSPENDED)
				assert_true(c.action == VM_ACT_DROP || c.action == VM_ACT_PURGE);
			assert_int_equal(c.action == VM_ACT_PURGE, ev == VM_DO_PURGE);
			if (c.action == VM_ACT_PURGE)
				assert_int_equal(c.next, VM_DELETED);
		}
}

static void every_process_can_be_killed(void **state UNUSED)
{
	static const enum vm_event ends[] = { VM_IS_ENDED, VM_IS_CRASHED };

	for (unsigned s = 0; s < VM_STATE_COUNT; s++) {
		if (!vm_state_has_process((enum vm_state)s))
			continue;
		assert_true(vm_step((enum vm_state)s, VM_DO_KILL).allowed);
		assert_int_equal(vm_step((enum vm_state)s, VM_DO_KILL).next, VM_STOPPING);
		/* And its end is taken note of, whatever was under way. */
		for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
			struct vm_step c = vm_step((enum vm_state)s, ends[i]);

			assert_true(c.allowed);
			assert_false(vm_state_has_process(c.next));
		}
		assert_false(vm_step((enum vm_state)s, VM_DO_RM).allowed);
		assert_false(vm_step((enum vm_state)s, VM_DO_PURGE).allowed);
	}
}

static void names_go_round(void **state UNUSED)
{
	struct err e = { 0 };
	enum vm_state s = VM_PAUSED;
	enum vm_event ev = VM_DO_KILL;

	for (unsigned i = 0; i < VM_STATE_COUNT; i++) {
		assert_int_equal(vm_state_parse(&s, vm_state_name((enum vm_state)i), &e), 0);
		assert_int_equal(s, i);
	}
	for (unsigned i = 0; i <= VM_DO_SET; i++) {
		assert_true(vm_event_is_verb((enum vm_event)i));
		assert_int_equal(vm_verb_parse(&ev, vm_event_name((enum vm_event)i), &e), 0);
		assert_int_equal(ev, i);
	}
	/* A report is nothing that a user can ask for. */
	ev = VM_DO_KILL;
	for (unsigned i = VM_DO_SET + 1; i < VM_EVENT_COUNT; i++) {
		assert_false(vm_event_is_verb((enum vm_event)i));
		assert_int_equal(vm_verb_parse(&ev, vm_event_name((enum vm_event)i), &e), -EINVAL);
	}
	assert_int_equal(ev, VM_DO_KILL);
	assert_non_null(strstr(e.msg, "'is-crashed'"));
	assert_non_null(strstr(e.msg, "start, pause,"));
	assert_non_null(strstr(e.msg, ", set"));
	s = VM_PAUSED;
	assert_int_equal(vm_state_parse(&s, "asleep", &e), -EINVAL);
	assert_int_equal(s, VM_PAUSED);
	assert_non_null(strstr(e.msg, "'asleep'"));
	assert_non_null(strstr(e.msg, "created, starting"));
	assert_non_null(strstr(e.msg, "crashed, deleted"));
}

static void refusal_says_what_is_allowed(void **state UNUSED)
{
	struct err e = { 0 };

	assert_int_equal(vm_step_refused("web", VM_SUSPENDED, VM_DO_START, &e), -EBUSY);
	assert_int_equal(e.code, -EBUSY);
	assert_string_equal(e.msg, "VM 'web' is suspended, which does not allow start; allowed: "
				   "restore, kill, rm, purge, rename, set");
}

/* What @print writes, in fresh memory. */
static char *printed(bool diagram, bool markdown)
{
	char *buf = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);

	assert_non_null(f);
	if (diagram)
		vm_life_print_diagram(f);
	else
		vm_life_print(f, markdown);
	assert_int_equal(fclose(f), 0);
	return buf;
}

static void table_is_printed_whole(void **state UNUSED)
{
	size_t cells = 0, lines = 0, rows = 0;
	char *text = printed(false, false), *md = printed(false, true),
	     *diagram = printed(true, false);

	for (unsigned s = 0; s < VM_STATE_COUNT; s++)
		for (unsigned ev = 0; ev < VM_EVENT_COUNT; ev++) {
			struct vm_step c = vm_step((enum vm_state)s, (enum vm_event)ev);
			char row[128];

			if (!c.allowed)
				continue;
			cells++;
			snprintf(row, sizeof(row), "| %s | %s | %s |",
				 vm_state_name((enum vm_state)s), vm_event_name((enum vm_event)ev),
				 vm_state_name(c.next));
			assert_non_null(strstr(md, row));
			snprintf(row, sizeof(row),
				 "    %s --> %s: ", vm_state_name((enum vm_state)s),
				 vm_state_name(c.next));
			assert_int_equal(strstr(diagram, row) != NULL, c.next != s);
		}
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		assert_true(end - line <= 100);
		lines++;
	}
	for (char *p = md; (p = strchr(p, '\n')); p++)
		rows++;
	/* Two tables with heads and an empty line between; Markdown has two rules, too. */
	assert_int_equal(lines, cells + VM_STATE_COUNT + 3);
	assert_int_equal(rows, cells + VM_STATE_COUNT + 5);
	assert_non_null(strstr(text, "\nsuspended   restore     resuming    make a process"));
	assert_non_null(strstr(diagram, "    running --> paused: pause, is-paused\n"));
	assert_non_null(strstr(diagram, "    suspending --> suspended: is-saved\n"));
	free(text);
	free(md);
	free(diagram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell),
		cmocka_unit_test(every_state_can_come_and_go),
		cmocka_unit_test(processes_are_made_and_ended_on_purpose),
		cmocka_unit_test(every_process_can_be_killed),
		cmocka_unit_test(names_go_round),
		cmocka_unit_test(refusal_says_what_is_allowed),
		cmocka_unit_test(table_is_printed_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
