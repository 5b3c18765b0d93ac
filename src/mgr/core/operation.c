/* SPDX-License-Identifier: MIT */
/*
 * Operations, see operation.h.
 */
#include "mgr/core/operation.h"

#include "mgr/core/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = { "running", "done", "failed", "cancelled" };
static_assert(ARRAY_SIZE(state_names) == OP_STATE_COUNT, "a name for each");

static void tell(struct op_list *l, const struct mgr_op *op)
{
	event_tell(l->events, "operation", op->id, op->target, op->project, op_encode(op));
}

/* The oldest that has ended makes room. */
static void forget_one(struct op_list *l)
{
	struct mgr_op **at = &l->newest, **last = NULL;

	for (; *at; at = &(*at)->next)
		if ((*at)->state != OP_RUNNING)
			last = at;
	if (last) {
		struct mgr_op *op = *last;

		*last = op->next;
		free(op);
		l->n--;
	}
}

struct mgr_op *op_begin(struct op_list *l, const char *verb, const char *vm, const char *target,
			const char *project)
{
	struct mgr_op *op = calloc(1, sizeof(*op));

	if (!op)
		return NULL;
	if (l->n >= OP_KEEP)
		forget_one(l);
	vm_id_make(op->id);
	op->verb = verb;
	snprintf(op->vm, sizeof(op->vm), "%s", vm);
	snprintf(op->target, sizeof(op->target), "%s", target);
	snprintf(op->project, sizeof(op->project), "%s", project);
	op->created_ns = l->clock->wall_ns(l->clock);
	op->next = l->newest;
	l->newest = op;
	l->n++;
	tell(l, op);
	return op;
}

void op_end(struct op_list *l, struct mgr_op *op, enum op_state state, const char *code,
	    const char *error)
{
	if (!op || op->state != OP_RUNNING)
		return;
	op->state = state;
	op->code = code;
	snprintf(op->error, sizeof(op->error), "%s", error ? error : "");
	op->ended_ns = l->clock->wall_ns(l->clock);
	if (state == OP_DONE)
		op->progress = 100;
	tell(l, op);
}

struct mgr_op *op_find(struct op_list *l, const char *id)
{
	struct mgr_op *op = l->newest;

	while (op && strcmp(op->id, id) != 0)
		op = op->next;
	return op;
}

json_t *op_encode(const struct mgr_op *op)
{
	char at[CLOCK_TEXT_LEN];
	json_t *ended = op->ended_ns ? json_string(clock_format(at, op->ended_ns)) : json_null();
	json_t *error = op->error[0]
				? json_pack("{s:s, s:s}", "code", op->code ? op->code : "internal",
					    "detail", op->error)
				: json_null();

	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:o, s:s, s:o}", "id", op->id, "verb", op->verb,
			 "target", op->target, "state", state_names[op->state], "progress",
			 (int)op->progress, "error", error, "created",
			 clock_format(at, op->created_ns), "ended", ended);
}

void op_list_free(struct op_list *l)
{
	while (l->newest) {
		struct mgr_op *op = l->newest;

		/* It ends the operation, and frees what belongs to it. */
		if (op->cancel)
			op->cancel(op->ctx);
		l->newest = op->next;
		free(op);
	}
	l->n = 0;
}
