/* SPDX-License-Identifier: MIT */
/*
 * The directory of users, projects and grants: who somebody is, and what role they have where.
 *
 * Theory of operation: records of the kinds "user" and "project" are loaded once. A change is made
 * in two steps: people_plan_*() checks it and gives the changes for the store, people_commit()
 * makes them in memory once the store has them; a plan that the store refused is freed and nothing
 * has happened. Between a plan and its commit no other plan is committed.
 *
 * Root and the user that runs holmd are built in, are admins, and stand in no record. A uid that
 * is no user's is "uid:N", somebody without a role. Tokens are of 256 random bits; only their
 * SHA-256 is kept.
 *
 * Projects are a tree of at most PROJECT_DEPTH_MAX. A role in a project holds in those below it;
 * a role in the project "*", which is above all and holds nothing itself, holds everywhere, and
 * only there is one admin. "default" and "*" are built in and cannot be removed or renamed.
 *
 * This folder is linked into holm too, which has no libcrypto; so SHA-256 comes in by people_env.
 *
 * Threads: one, the manager's loop.
 */
#ifndef HOLM_MGR_CORE_PEOPLE_H
#define HOLM_MGR_CORE_PEOPLE_H

#include "mgr/core/access.h"
#include "mgr/core/api.h"
#include "mgr/core/resources.h"
#include "mgr/core/store.h"
#include "proto/config.h"

#define PEOPLE_ID_LEN	   16 /* hexadecimal digits */
#define PEOPLE_TOKEN_LEN   69 /* "holm-" and 64 hexadecimal digits */
#define PEOPLE_DIGEST_LEN  32
#define PEOPLE_MAX	   2000 /* users and projects, of each */
#define PROJECT_DEPTH_MAX  8

#define PROJECT_ALL_ID	   "0000000000000000" /* "*" */
#define PROJECT_DEFAULT_ID "0000000000000001" /* "default" */

struct people_env {
	/** 0 or -errno with a sentence. */
	int (*sha256)(uint8_t out[PEOPLE_DIGEST_LEN], const void *buf, size_t len, struct err *e);
	/** All @len bytes; NULL: getrandom(2). */
	int (*random)(void *buf, size_t len, struct err *e);
	int64_t own_uid;      /* of holmd */
	const char *own_name; /* its user's name; copied; NULL: "uid:N" */
};

enum user_proof { USER_UID, USER_TOKEN, USER_CERTIFICATE, USER_PROOF_COUNT };

struct user {
	char id[PEOPLE_ID_LEN + 1];
	char name[VM_NAME_MAX + 1];
	enum user_proof proof;
	uint32_t uid;
	uint8_t digest[PEOPLE_DIGEST_LEN]; /* of the token or the certificate */
};

struct grant {
	char user[PEOPLE_ID_LEN + 1];
	enum access_role role; /* not ROLE_NONE */
};

/** How much of each; as a quota 0 means no bound. */
struct quota {
	uint64_t vms, cpus, memory, disk; /* cpus: vCPUs; bytes */
};

struct project {
	char id[PEOPLE_ID_LEN + 1];
	char name[VM_NAME_MAX + 1];
	char parent[PEOPLE_ID_LEN + 1]; /* "": none */
	struct resources resources;
	struct quota quota;
	uint64_t etag;
	struct grant *grants;
	size_t n_grants;
};

/** Somebody who asks for something. */
struct identity {
	char name[VM_NAME_MAX + 1];   /* for records and people: "root", "uid:1000" */
	char user[PEOPLE_ID_LEN + 1]; /* a user's id; "": built in, or nobody */
	bool builtin;		      /* root or the user that runs holmd */
};

struct people;
struct people_plan;

/** people_create() - with the built-in projects only. @env is copied. */
int people_create(struct people **out, const struct people_env *env, struct err *e) MUST_CHECK;
void people_destroy(struct people *p);

/** people_load() - once, after create. -EBADMSG names a record that is none; store's errors. */
int people_load(struct people *p, struct store *s, struct err *e) MUST_CHECK;

/**
 * people_identify() - who a peer is: by its token, else its certificate, else its uid.
 *
 * Errors: -EACCES: not known (401). A token that is wrong is refused whatever else there is.
 */
int people_identify(const struct people *p, const struct api_peer *peer, struct identity *out,
		    struct err *e) MUST_CHECK;

/** people_role() - the highest of the grants on @project (id), above it and on "*"; NULL: "*". */
enum access_role people_role(const struct people *p, const struct identity *who,
			     const char *project);
/** people_role_anywhere() - the highest in any project: whether a list can hold something. */
enum access_role people_role_anywhere(const struct people *p, const struct identity *who);

/* By name or id; NULL: none. Valid until the next commit. */
const struct user *people_user(const struct people *p, const char *name);
const struct project *people_project(const struct people *p, const char *name);
/* The @i'th in the order of ids; NULL behind the last. */
const struct user *people_user_at(const struct people *p, size_t i);
const struct project *people_project_at(const struct people *p, size_t i);
/**
 * people_chain() - a project and those above it, the nearest first.
 * @chain: room for PROJECT_DEPTH_MAX; valid until the next commit
 * Return: how many; 0: there is no such project.
 */
size_t people_chain(const struct people *p, const char *name,
		    const struct project *chain[PROJECT_DEPTH_MAX]);
/** people_children() - projects right below @id. */
size_t people_children(const struct people *p, const char *id);
/** people_below() - whether project @id is @top or below it. */
bool people_below(const struct people *p, const char *id, const char *top);

/** people_user_encode(), people_project_encode() - for the API; a new reference or NULL. */
json_t *people_user_encode(const struct people *p, const struct user *u);
json_t *people_project_encode(const struct people *p, const struct project *x);

/** Use of the project @id itself, without those below it, put to *@out. */
typedef void (*people_usage_fn)(void *ctx, const char *id, struct quota *out);

/**
 * people_quota_check() - whether @add more fits @project and every one above it.
 *
 * Errors: -EDQUOT with a sentence that names the project, the resource and the numbers.
 */
int people_quota_check(const struct people *p, const char *project, const struct quota *add,
		       people_usage_fn usage, void *ctx, struct err *e) MUST_CHECK;

/*
 * Plans. Errors of all: -EINVAL and -ERANGE (the body; unknown fields are named), -EEXIST (name,
 * uid or certificate taken), -ENOENT (an object that the body names), -EBUSY (in use, built in,
 * or the last admin), -EPERM (@by may not), -E2BIG, -ENOMEM.
 */

/** people_plan_user() - {"name", one of "uid", "token": true, "certificate"}. @token: "", or it. */
int people_plan_user(struct people *p, const char *json, size_t len,
		     char token[PEOPLE_TOKEN_LEN + 1], struct people_plan **out,
		     struct err *e) MUST_CHECK;
/** people_plan_user_remove() - with its grants. */
int people_plan_user_remove(struct people *p, const struct user *u, const struct identity *by,
			    struct people_plan **out, struct err *e) MUST_CHECK;
/** people_plan_project() - {"name", "parent", "resources", "quota", "grants"}. */
int people_plan_project(struct people *p, const char *json, size_t len, const struct identity *by,
			struct people_plan **out, struct err *e) MUST_CHECK;
/**
 * people_plan_project_change() - the same members; those not given stay.
 *
 * A lower quota, or a parent with one, holds for what comes: nothing is taken away.
 */
int people_plan_project_change(struct people *p, const struct project *x, const char *json,
			       size_t len, const struct identity *by, struct people_plan **out,
			       struct err *e) MUST_CHECK;
/** people_plan_project_remove() - @uses: VMs and volumes in it, deleted ones that can come back
 *  among them. */
int people_plan_project_remove(struct people *p, const struct project *x, size_t uses,
			       struct people_plan **out, struct err *e) MUST_CHECK;
/** people_plan_grant() - {"user", "role"}; nobody gives or takes more than they have. */
int people_plan_grant(struct people *p, const struct project *x, const char *json, size_t len,
		      const struct identity *by, struct people_plan **out,
		      struct err *e) MUST_CHECK;

/** people_plan_changes() - for the store, in their order; valid as long as the plan. */
const struct store_change *people_plan_changes(const struct people_plan *plan, size_t *n);
/** people_commit() - the store has it: make it so here, and free the plan. Cannot fail. */
void people_commit(struct people *p, struct people_plan *plan);
/** people_plan_free() - the store refused it. NULL is allowed. */
void people_plan_free(struct people_plan *plan);

#endif
