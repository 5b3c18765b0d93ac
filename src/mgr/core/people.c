/* SPDX-License-Identifier: MIT */
/*
 * The directory: who is there, who somebody is, and what role they have. See people.h.
 */
#include "mgr/core/people.h"

#include "mgr/core/people_dir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TOKEN_GIVEN_MAX 256 /* a longer one is none of ours */

static int host_random(void *buf, size_t len, struct err *e)
{
	ssize_t n = getrandom(buf, len, 0);

	if (n != (ssize_t)len)
		return err_set(e, -EIO, "the host gave no random bytes");
	return 0;
}

/* --- the arrays --------------------------------------------------------------------------- */

bool people_find_user(const struct people *p, const char *id, size_t *at)
{
	size_t lo = 0, hi = p->n_users;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(p->users[mid]->id, id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*at = lo;
	return lo < p->n_users && !strcmp(p->users[lo]->id, id);
}

bool people_find_project(const struct people *p, const char *id, size_t *at)
{
	size_t lo = 0, hi = p->n_projects;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(p->projects[mid]->id, id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*at = lo;
	return lo < p->n_projects && !strcmp(p->projects[lo]->id, id);
}

int people_reserve(struct people *p, struct err *e)
{
	if (p->n_users >= PEOPLE_MAX || p->n_projects >= PEOPLE_MAX)
		return err_set(e, -E2BIG, "there are %d users or projects, which is the most",
			       PEOPLE_MAX);
	if (p->n_users == p->users_room) {
		size_t room = p->users_room * 2 + 8;
		struct user **more = reallocarray(p->users, room, sizeof(struct user *));

		if (!more)
			return err_set(e, -ENOMEM, "no memory for a user");
		p->users = more;
		p->users_room = room;
	}
	if (p->n_projects == p->projects_room) {
		size_t room = p->projects_room * 2 + 8;
		struct project **more = reallocarray(p->projects, room, sizeof(struct project *));

		if (!more)
			return err_set(e, -ENOMEM, "no memory for a project");
		p->projects = more;
		p->projects_room = room;
	}
	return 0;
}

void people_put_user(struct people *p, struct user *u)
{
	size_t at;

	if (people_find_user(p, u->id, &at)) {
		free(p->users[at]);
	} else {
		BUG_ON(p->n_users == p->users_room);
		memmove(p->users + at + 1, p->users + at,
			(p->n_users - at) * sizeof(struct user *));
		p->n_users++;
	}
	p->users[at] = u;
}

void people_put_project(struct people *p, struct project *x)
{
	size_t at;

	if (people_find_project(p, x->id, &at)) {
		project_free(p->projects[at]);
	} else {
		BUG_ON(p->n_projects == p->projects_room);
		memmove(p->projects + at + 1, p->projects + at,
			(p->n_projects - at) * sizeof(struct project *));
		p->n_projects++;
	}
	p->projects[at] = x;
}

void people_drop_user(struct people *p, const char *id)
{
	size_t at;

	if (!people_find_user(p, id, &at))
		return;
	free(p->users[at]);
	p->n_users--;
	memmove(p->users + at, p->users + at + 1, (p->n_users - at) * sizeof(struct user *));
}

void people_drop_project(struct people *p, const char *id)
{
	size_t at;

	if (!people_find_project(p, id, &at))
		return;
	project_free(p->projects[at]);
	p->n_projects--;
	memmove(p->projects + at, p->projects + at + 1,
		(p->n_projects - at) * sizeof(struct project *));
}

struct project *project_clone(const struct project *x)
{
	struct project *to = malloc(sizeof(*to));

	if (!to)
		return NULL;
	*to = *x;
	to->grants = x->n_grants ? calloc(x->n_grants, sizeof(*x->grants)) : NULL;
	if (x->n_grants && !to->grants) {
		free(to);
		return NULL;
	}
	if (x->n_grants)
		memcpy(to->grants, x->grants, x->n_grants * sizeof(*x->grants));
	return to;
}

void project_free(struct project *x)
{
	if (!x)
		return;
	free(x->grants);
	free(x);
}

/* --- the start ---------------------------------------------------------------------------- */

static int add_builtin(struct people *p, const char *id, const char *name, struct err *e)
{
	struct project *x;
	int ret = people_reserve(p, e);

	if (ret)
		return ret;
	x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(e, -ENOMEM, "no memory for a project");
	snprintf(x->id, sizeof(x->id), "%s", id);
	snprintf(x->name, sizeof(x->name), "%s", name);
	resources_init(&x->resources);
	x->etag = 1;
	people_put_project(p, x);
	return 0;
}

int people_create(struct people **out, const struct people_env *env, struct err *e)
{
	struct people *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return err_set(e, -ENOMEM, "no memory for the directory of users");
	p->env = *env;
	if (!p->env.random)
		p->env.random = host_random;
	if (env->own_name)
		snprintf(p->own_name, sizeof(p->own_name), "%s", env->own_name);
	else
		snprintf(p->own_name, sizeof(p->own_name), "uid:%" PRId64, env->own_uid);
	p->env.own_name = p->own_name;
	ret = add_builtin(p, PROJECT_ALL_ID, "*", e);
	if (!ret)
		ret = add_builtin(p, PROJECT_DEFAULT_ID, "default", e);
	if (ret) {
		people_destroy(p);
		return ret;
	}
	*out = p;
	return 0;
}

void people_destroy(struct people *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_users; i++)
		free(p->users[i]);
	for (size_t i = 0; i < p->n_projects; i++)
		project_free(p->projects[i]);
	free(p->users);
	free(p->projects);
	free(p);
}

struct loading {
	struct people *p;
	struct err *e;
};

static int bad_record(struct err *e, const char *kind, const char *id)
{
	err_prefix(e, "%s record %.40s", kind, id);
	if (e)
		e->code = -EBADMSG;
	return -EBADMSG;
}

static int load_user(void *ctx, const char *kind, const char *id, const char *name,
		     const char *body)
{
	struct loading *l = ctx;
	struct user *u = calloc(1, sizeof(*u));
	json_t *o = NULL;
	int ret = u ? people_reserve(l->p, l->e) : err_set(l->e, -ENOMEM, "no memory for a user");

	if (!ret)
		ret = people_parse(&o, body, strlen(body), l->e);
	if (!ret && (!people_is_id(id) || !name))
		ret = err_set(l->e, -EBADMSG, "its id is none or it has no name");
	if (!ret)
		ret = vm_name_check("name", name, l->e);
	if (!ret) {
		memcpy(u->id, id, sizeof(u->id));
		memcpy(u->name, name, strlen(name) + 1);
		ret = user_decode(u, o, true, l->e);
	}
	json_decref(o);
	if (ret) {
		free(u);
		return ret == -ENOMEM ? ret : bad_record(l->e, kind, id);
	}
	people_put_user(l->p, u);
	return 0;
}

static int load_project(void *ctx, const char *kind, const char *id, const char *name,
			const char *body)
{
	struct loading *l = ctx;
	struct project *x = calloc(1, sizeof(*x));
	json_t *o = NULL;
	int ret =
		x ? people_reserve(l->p, l->e) : err_set(l->e, -ENOMEM, "no memory for a project");

	if (!ret)
		ret = people_parse(&o, body, strlen(body), l->e);
	if (!ret && (!people_is_id(id) || !name))
		ret = err_set(l->e, -EBADMSG, "its id is none or it has no name");
	if (!ret && strcmp(id, PROJECT_ALL_ID) != 0)
		ret = vm_name_check("name", name, l->e);
	if (!ret) {
		memcpy(x->id, id, sizeof(x->id));
		snprintf(x->name, sizeof(x->name), "%s", name);
		resources_init(&x->resources);
		ret = project_decode(l->p, x, o, true, l->e);
	}
	json_decref(o);
	if (ret) {
		project_free(x);
		return ret == -ENOMEM ? ret : bad_record(l->e, kind, id);
	}
	people_put_project(l->p, x);
	return 0;
}

int people_load(struct people *p, struct store *s, struct err *e)
{
	struct loading l = { .p = p, .e = e };
	int ret = s->ops->each(s, "user", load_user, &l, e);

	if (!ret)
		ret = s->ops->each(s, "project", load_project, &l, e);
	for (size_t i = 0; !ret && i < p->n_projects; i++)
		if (people_check_place(p, p->projects[i], e))
			ret = bad_record(e, "project", p->projects[i]->id);
	return ret;
}

/* --- who there is ------------------------------------------------------------------------- */

bool people_is_id(const char *s)
{
	return strspn(s, "0123456789abcdef") == PEOPLE_ID_LEN && !s[PEOPLE_ID_LEN];
}

const struct user *people_user(const struct people *p, const char *name)
{
	size_t at;

	if (people_find_user(p, name, &at))
		return p->users[at];
	for (size_t i = 0; i < p->n_users; i++)
		if (!strcmp(p->users[i]->name, name))
			return p->users[i];
	return NULL;
}

const struct project *people_project(const struct people *p, const char *name)
{
	size_t at;

	if (people_find_project(p, name, &at))
		return p->projects[at];
	for (size_t i = 0; i < p->n_projects; i++)
		if (!strcmp(p->projects[i]->name, name))
			return p->projects[i];
	return NULL;
}

const struct user *people_user_at(const struct people *p, size_t i)
{
	return i < p->n_users ? p->users[i] : NULL;
}

const struct project *people_project_at(const struct people *p, size_t i)
{
	return i < p->n_projects ? p->projects[i] : NULL;
}

static const struct project *parent_of(const struct people *p, const struct project *x)
{
	size_t at;

	return x->parent[0] && people_find_project(p, x->parent, &at) ? p->projects[at] : NULL;
}

size_t people_chain(const struct people *p, const char *name,
		    const struct project *chain[PROJECT_DEPTH_MAX])
{
	size_t n = 0;

	for (const struct project *x = people_project(p, name); x && n < PROJECT_DEPTH_MAX;
	     x = parent_of(p, x))
		chain[n++] = x;
	return n;
}

size_t people_children(const struct people *p, const char *id)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_projects; i++)
		n += !strcmp(p->projects[i]->parent, id);
	return n;
}

bool people_below(const struct people *p, const char *id, const char *top)
{
	size_t at;
	const struct project *x = people_find_project(p, id, &at) ? p->projects[at] : NULL;

	/* The depth is bounded even in a file that somebody has made a cycle in. */
	for (unsigned depth = 0; x && depth <= PROJECT_DEPTH_MAX; depth++) {
		if (!strcmp(x->id, top))
			return true;
		x = parent_of(p, x);
	}
	return false;
}

/* Levels from @x down; a project without children has 1. */
static unsigned height(const struct people *p, const char *id, unsigned bound)
{
	unsigned most = 0;

	for (size_t i = 0; bound && i < p->n_projects; i++)
		if (!strcmp(p->projects[i]->parent, id))
			most = MAX(most, height(p, p->projects[i]->id, bound - 1));
	return most + 1;
}

int people_check_place(const struct people *p, const struct project *x, struct err *e)
{
	const struct project *up;
	unsigned depth = 0;
	size_t at;

	if (!x->parent[0])
		return 0;
	if (!people_find_project(p, x->parent, &at) || project_is_all(p->projects[at]))
		return err_set(e, -ENOENT, "project '%.64s': its parent is not there", x->name);
	if (people_below(p, x->parent, x->id))
		return err_set(e, -EINVAL,
			       "project '%.64s' cannot be below '%.64s', which is itself or below "
			       "it",
			       x->name, p->projects[at]->name);
	for (up = p->projects[at]; up && depth <= PROJECT_DEPTH_MAX; up = parent_of(p, up))
		depth++;
	if (depth + height(p, x->id, PROJECT_DEPTH_MAX) > PROJECT_DEPTH_MAX)
		return err_set(e, -EINVAL,
			       "project '%.64s' below '%.64s': projects nest at most %d deep",
			       x->name, p->projects[at]->name, PROJECT_DEPTH_MAX);
	return 0;
}

/* --- who somebody is ---------------------------------------------------------------------- */

static void identity_of_user(struct identity *out, const struct user *u)
{
	*out = (struct identity) { 0 };
	memcpy(out->name, u->name, sizeof(out->name));
	memcpy(out->user, u->id, sizeof(out->user));
}

/* Takes the same time wherever they differ. */
static bool digest_equal(const uint8_t *a, const uint8_t *b)
{
	volatile uint8_t differ = 0;

	for (size_t i = 0; i < PEOPLE_DIGEST_LEN; i++)
		differ |= a[i] ^ b[i];
	return !differ;
}

static int by_token(const struct people *p, const char *token, struct identity *out, struct err *e)
{
	size_t len = strnlen(token, TOKEN_GIVEN_MAX + 1);
	uint8_t digest[PEOPLE_DIGEST_LEN];
	const struct user *found = NULL;
	int ret;

	if (len <= TOKEN_GIVEN_MAX) {
		ret = p->env.sha256(digest, token, len, e);
		if (ret)
			return ret;
		/* All are looked at, whichever it is. */
		for (size_t i = 0; i < p->n_users; i++)
			if (p->users[i]->proof == USER_TOKEN &&
			    digest_equal(p->users[i]->digest, digest))
				found = p->users[i];
	}
	if (!found)
		return err_set(e, -EACCES,
			       "the token is no user's: it was mistyped, or its user was removed");
	identity_of_user(out, found);
	return 0;
}

static int by_certificate(const struct people *p, const char *hex, struct identity *out,
			  struct err *e)
{
	uint8_t digest[PEOPLE_DIGEST_LEN];

	if (people_hex_decode(digest, sizeof(digest), hex))
		for (size_t i = 0; i < p->n_users; i++)
			if (p->users[i]->proof == USER_CERTIFICATE &&
			    !memcmp(p->users[i]->digest, digest, sizeof(digest))) {
				identity_of_user(out, p->users[i]);
				return 0;
			}
	return err_set(e, -EACCES, "the client's certificate is no user's");
}

static void by_uid(const struct people *p, int64_t uid, struct identity *out)
{
	*out = (struct identity) { .builtin = !uid || uid == p->env.own_uid };
	if (out->builtin) {
		snprintf(out->name, sizeof(out->name), "%s", uid ? p->own_name : "root");
		return;
	}
	for (size_t i = 0; i < p->n_users; i++)
		if (p->users[i]->proof == USER_UID && p->users[i]->uid == uid) {
			identity_of_user(out, p->users[i]);
			return;
		}
	snprintf(out->name, sizeof(out->name), "uid:%" PRId64, uid);
}

int people_identify(const struct people *p, const struct api_peer *peer, struct identity *out,
		    struct err *e)
{
	if (peer->token)
		return by_token(p, peer->token, out, e);
	if (peer->certificate)
		return by_certificate(p, peer->certificate, out, e);
	if (peer->uid < 0)
		return err_set(e, -EACCES,
			       "no user could be told from the connection: give a token or a "
			       "client certificate");
	by_uid(p, peer->uid, out);
	return 0;
}

/* --- roles -------------------------------------------------------------------------------- */

struct grant *project_find_grant(const struct project *x, const char *user)
{
	for (size_t i = 0; i < x->n_grants; i++)
		if (!strcmp(x->grants[i].user, user))
			return &x->grants[i];
	return NULL;
}

static enum access_role role_in(const struct project *x, const char *user)
{
	const struct grant *g = project_find_grant(x, user);

	return g ? g->role : ROLE_NONE;
}

enum access_role people_role(const struct people *p, const struct identity *who,
			     const char *project)
{
	const struct project *x = NULL;
	enum access_role role = ROLE_NONE;
	size_t at;

	if (who->builtin)
		return ROLE_ADMIN;
	if (!who->user[0])
		return ROLE_NONE;
	if (people_find_project(p, PROJECT_ALL_ID, &at))
		role = role_in(p->projects[at], who->user);
	if (project && people_find_project(p, project, &at))
		x = p->projects[at];
	for (unsigned depth = 0; x && depth <= PROJECT_DEPTH_MAX; depth++) {
		role = MAX(role, role_in(x, who->user));
		x = parent_of(p, x);
	}
	return role;
}

enum access_role people_role_anywhere(const struct people *p, const struct identity *who)
{
	enum access_role role = who->builtin ? ROLE_ADMIN : ROLE_NONE;

	for (size_t i = 0; who->user[0] && i < p->n_projects; i++)
		role = MAX(role, role_in(p->projects[i], who->user));
	return role;
}
