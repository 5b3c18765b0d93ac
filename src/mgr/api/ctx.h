/* SPDX-License-Identifier: MIT */
/*
 * What handlers of routes have at hand, and the one place where requests are authorized.
 *
 * Theory of operation: ctx_api() is the struct api that a transport serves. For each request it
 * tells the user from the peer, finds the route, finds the project that the route's object lies
 * in, asks the table of access.h, and only then calls the handler. What the user may not even
 * see does not exist for them: 404. Every request that could change something leaves an entry in
 * the audit log, refused ones too; those that change a record leave it in the same transaction.
 * Of refused ones at most API_REFUSALS a second are written, and how many more there were.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_API_CTX_H
#define HOLM_MGR_API_CTX_H

#include "base/compiler.h"
#include "base/err.h"
#include "mgr/core/access.h"
#include "mgr/core/api.h"
#include "mgr/core/manager.h"
#include "mgr/core/people.h"

#include <stdbool.h>

#define API_REFUSALS 20 /* a second, in the audit log */

struct history;
struct netmgr;
struct vm_list;
struct stock;

/** Refused requests in the audit log: their number is bounded, or anybody could fill it. */
struct api_refusals {
	uint64_t window_ns; /* the second that is counted */
	unsigned n, more;   /* written in it; not written since the last one that was */
};

struct api_ctx {
	struct mgr *mgr;
	struct people *people;
	struct runner *runner; /* the host's, mgr/run/local.h */
	struct store *store;
	struct netmgr *net; /* NULL: this holmd has no networks, and why */
	char net_why[ERR_MSG_MAX];
	struct stock *stock;
	struct history *history; /* NULL: there is none */
	struct loop *loop;
	struct api api;
	/** Whether the caller may have what a configuration names on the host. Optional. */
	int (*check_config)(const struct api_ctx *ctx, const json_t *config, struct err *e);
	/** The project of a volume, by name or id; "*" where there is none. Optional. */
	const char *(*volume_project)(const struct api_ctx *ctx, const char *name);
	/** Who takes the bytes of a PUT. Optional. */
	struct api_stream *(*upload)(struct api_ctx *ctx, struct api_request *r,
				     const char *const arg[]);
	/** Where those who are no admins may take kernels from, see policy.h. */
	const char *const *boot_dirs;
	size_t n_boot_dirs;
	uint64_t began_ns; /* of the manager's monotonic clock */
	struct api_refusals refusals;
	uint64_t requests, requests_seen; /* since the start; by the look for idleness */
	/* The list of all VMs, and its brief form, that is being sent now; NULL: none is. */
	struct vm_list *whole[2];
	/* Of the request that is being handled. */
	struct identity who;
	struct mgr_actor by;
};

/** ctx_init() - @ctx is zeroed but for the borrowed members. */
void ctx_init(struct api_ctx *ctx);

/**
 * ctx_role() - of @who in @project (its name); NULL: the highest anywhere, "*": everywhere.
 * Where there is no such project, the one everywhere: who may see all is told that it is not.
 */
enum access_role ctx_role(const struct api_ctx *ctx, const struct identity *who,
			  const char *project);
/** ctx_sees() - whether the caller may see what lies in @project. */
bool ctx_sees(const struct api_ctx *ctx, const char *project);
/** ctx_may() - whether the caller has @need in @project; "*": everywhere. */
bool ctx_may(const struct api_ctx *ctx, const char *project, enum access_need need);

/**
 * ctx_body() - the request's body as a JSON object, a new reference.
 *
 * Where it is none, or too large, the request is answered and NULL comes back.
 */
json_t *ctx_body(struct api_request *r);

/** ctx_number() - a query parameter of 0 to @max, @fallback where it is not given.
 * Where it is no such number, the request is answered and false comes back. */
bool ctx_number(struct api_request *r, const char *name, uint64_t fallback, uint64_t max,
		uint64_t *out);

#endif
