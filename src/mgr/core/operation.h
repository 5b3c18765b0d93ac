/* SPDX-License-Identifier: MIT */
/*
 * Operations: work that goes on after a request was answered.
 *
 * They live in memory; the last OP_KEEP that ended are kept for those who ask later. What an
 * operation means to reach is in the VM's record, so a manager that restarts goes on with the
 * work though the operation's id is forgotten.
 */
#ifndef HOLM_MGR_CORE_OPERATION_H
#define HOLM_MGR_CORE_OPERATION_H

#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"
#include "mgr/core/event.h"

#include <jansson.h>

#include <stdint.h>

#define OP_KEEP 1000

enum op_state { OP_RUNNING, OP_DONE, OP_FAILED, OP_CANCELLED, OP_STATE_COUNT };

struct mgr_op {
	char id[17];
	const char *verb; /* "start"; static */
	char vm[17];	  /* the VM's id, "": of no VM */
	char target[96];  /* "vm/web", as named when it began */
	char project[65]; /* who may see it */
	enum op_state state;
	unsigned progress; /* per cent */
	const char *code;  /* of a failure, docs/API.md; static */
	char error[ERR_MSG_MAX];
	uint64_t created_ns, ended_ns; /* wall clock */
	/* Calls it back, then op_end() follows; NULL: the VM's own verbs do, or nothing does. */
	void (*cancel)(void *ctx);
	void *ctx;
	struct mgr_op *next; /* older */
};

struct op_list {
	struct mgr_op *newest;
	unsigned n;
	struct event_log *events; /* where changes are told */
	const struct clock *clock;
};

/** op_begin() - NULL: no memory. Owned by the list. */
struct mgr_op *op_begin(struct op_list *l, const char *verb, const char *vm, const char *target,
			const char *project);
/** op_end() - it may be forgotten from now on. NULL @op is allowed. */
void op_end(struct op_list *l, struct mgr_op *op, enum op_state state, const char *code,
	    const char *error);
struct mgr_op *op_find(struct op_list *l, const char *id);
/** op_encode() - a new object as in docs/API.md. */
json_t *op_encode(const struct mgr_op *op);
void op_list_free(struct op_list *l);

#endif
