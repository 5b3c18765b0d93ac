/* SPDX-License-Identifier: MIT */
/*
 * The directory's inside; only for people*.c.
 */
#ifndef HOLM_MGR_CORE_PEOPLE_DIR_H
#define HOLM_MGR_CORE_PEOPLE_DIR_H

#include "mgr/core/people.h"

#include <string.h>

/* Both arrays are ordered by id and have room for one more than a plan may add. */
struct people {
	struct people_env env;
	char own_name[VM_NAME_MAX + 1];
	struct user **users;
	struct project **projects;
	size_t n_users, users_room, n_projects, projects_room;
};

/** people_find_user(), people_find_project() - by id: where it is or belongs; whether it is. */
bool people_find_user(const struct people *p, const char *id, size_t *at);
bool people_find_project(const struct people *p, const char *id, size_t *at);

/** people_reserve() - room for one more of each. -ENOMEM, -E2BIG. */
int people_reserve(struct people *p, struct err *e) MUST_CHECK;

/** people_put_user(), people_put_project() - takes it, in place of the one with its id. */
void people_put_user(struct people *p, struct user *u);
void people_put_project(struct people *p, struct project *x);
/** people_drop_user(), people_drop_project() - frees it; no-op where it is not there. */
void people_drop_user(struct people *p, const char *id);
void people_drop_project(struct people *p, const char *id);

/** project_clone() - with its grants; NULL: no memory. project_free() - NULL is allowed. */
struct project *project_clone(const struct project *x);
void project_free(struct project *x);

/** people_check_place() - that @x under x->parent makes no cycle and is not too deep. */
int people_check_place(const struct people *p, const struct project *x, struct err *e) MUST_CHECK;

static inline bool project_is_all(const struct project *x)
{
	return x->id[PEOPLE_ID_LEN - 1] == '0' && !strcmp(x->id, PROJECT_ALL_ID);
}

/** people_is_id() - 16 lower-case hexadecimal digits. */
bool people_is_id(const char *s);

/** people_hex_decode() - @n bytes of exactly 2 * @n digits of either case. */
bool people_hex_decode(uint8_t *out, size_t n, const char *hex);
/** people_hex_encode() - 2 * @n digits and a NUL. */
void people_hex_encode(char *out, const uint8_t *in, size_t n);

/** people_parse() - a JSON object; a new reference. */
int people_parse(json_t **out, const char *json, size_t len, struct err *e) MUST_CHECK;

/**
 * user_decode() - the members that @o has.
 * @stored: of the store: digests in hex; else of a request: "token" is true and gives no digest
 */
int user_decode(struct user *u, const json_t *o, bool stored, struct err *e) MUST_CHECK;
/** user_record() - the text for the store; NULL: no memory. The caller frees it. */
char *user_record(const struct user *u);

/**
 * project_decode() - the members that @o has; x->id is set. *@x may be partly changed on failure.
 * @stored: of the store: ids, and an etag, but no name
 */
int project_decode(const struct people *p, struct project *x, const json_t *o, bool stored,
		   struct err *e) MUST_CHECK;
char *project_record(const struct project *x);

/** grant_decode() - {"user", "role"}, the role none too. */
int grant_decode(const struct people *p, struct grant *g, const json_t *o, bool all,
		 struct err *e) MUST_CHECK;
/** project_find_grant() - of a user's id, or NULL. */
struct grant *project_find_grant(const struct project *x, const char *user);

#endif
