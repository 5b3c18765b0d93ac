/* SPDX-License-Identifier: MIT */
/*
 * Changes of the directory in two steps, see people.h.
 *
 * Theory of operation: a plan holds the new objects whole, beside the old ones, and their texts for
 * the store. A commit only swaps pointers; the room for what is new was made with the plan.
 */
#include "mgr/core/people_dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One object; both NULL: it is removed. */
struct step {
	bool of_user;
	char id[PEOPLE_ID_LEN + 1];
	struct user *user;
	struct project *project;
	char *body;
};

struct people_plan {
	struct step *steps;
	struct store_change *changes;
	size_t n, room;
};

static int no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "no memory for the change");
}

static struct people_plan *plan_new(size_t room)
{
	struct people_plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		return NULL;
	plan->room = room;
	plan->steps = calloc(room, sizeof(*plan->steps));
	plan->changes = calloc(room, sizeof(*plan->changes));
	if (plan->steps && plan->changes)
		return plan;
	people_plan_free(plan);
	return NULL;
}

void people_plan_free(struct people_plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; plan->steps && i < plan->n; i++) {
		free(plan->steps[i].user);
		project_free(plan->steps[i].project);
		free(plan->steps[i].body);
	}
	free(plan->steps);
	free(plan->changes);
	free(plan);
}

const struct store_change *people_plan_changes(const struct people_plan *plan, size_t *n)
{
	*n = plan->n;
	return plan->changes;
}

void people_commit(struct people *p, struct people_plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		struct step *s = &plan->steps[i];

		if (s->user)
			people_put_user(p, s->user);
		else if (s->project)
			people_put_project(p, s->project);
		else if (s->of_user)
			people_drop_user(p, s->id);
		else
			people_drop_project(p, s->id);
		s->user = NULL;
		s->project = NULL;
	}
	people_plan_free(plan);
}

static struct step *plan_step(struct people_plan *plan, bool of_user, const char *id)
{
	struct step *s = &plan->steps[plan->n];

	BUG_ON(plan->n == plan->room);
	s->of_user = of_user;
	memcpy(s->id, id, sizeof(s->id));
	plan->changes[plan->n++] =
		(struct store_change) { .kind = of_user ? "user" : "project", .id = s->id };
	return s;
}

/* Takes @x, also on failure. */
static int plan_project(struct people_plan *plan, struct project *x, struct err *e)
{
	struct step *s = plan_step(plan, false, x->id);

	s->project = x;
	s->body = project_record(x);
	if (!s->body)
		return no_memory(e);
	plan->changes[plan->n - 1].name = x->name;
	plan->changes[plan->n - 1].body = s->body;
	return 0;
}

static int plan_user(struct people_plan *plan, struct user *u, struct err *e)
{
	struct step *s = plan_step(plan, true, u->id);

	s->user = u;
	s->body = user_record(u);
	if (!s->body)
		return no_memory(e);
	plan->changes[plan->n - 1].name = u->name;
	plan->changes[plan->n - 1].body = s->body;
	return 0;
}

static int new_id(const struct people *p, char out[PEOPLE_ID_LEN + 1], struct err *e)
{
	uint8_t bytes[PEOPLE_ID_LEN / 2];
	size_t at;
	int ret;

	do {
		ret = p->env.random(bytes, sizeof(bytes), e);
		if (ret)
			return ret;
		people_hex_encode(out, bytes, sizeof(bytes));
	} while (people_find_user(p, out, &at) || people_find_project(p, out, &at));
	return 0;
}

/* --- users -------------------------------------------------------------------------------- */

static int check_new_user(const struct people *p, const struct user *u, struct err *e)
{
	if (!strcmp(u->name, "root") || !strcmp(u->name, "holmd") || !strcmp(u->name, p->own_name))
		return err_set(e, -EEXIST, "the name '%s' is a built-in user's: take another name",
			       u->name);
	if (u->proof == USER_UID && (!u->uid || u->uid == p->env.own_uid))
		return err_set(e, -EEXIST, "uid %u is a built-in admin's", u->uid);
	for (size_t i = 0; i < p->n_users; i++) {
		const struct user *o = p->users[i];

		if (!strcmp(o->name, u->name))
			return err_set(e, -EEXIST,
				       "a user named '%s' is there already: take another name",
				       u->name);
		if (o->proof != u->proof)
			continue;
		if (u->proof == USER_UID && o->uid == u->uid)
			return err_set(e, -EEXIST, "uid %u is user '%s' already", u->uid, o->name);
		if (u->proof == USER_CERTIFICATE &&
		    !memcmp(o->digest, u->digest, sizeof(u->digest)))
			return err_set(e, -EEXIST, "the certificate is user '%s's already",
				       o->name);
	}
	return 0;
}

static int make_token(const struct people *p, struct user *u, char token[PEOPLE_TOKEN_LEN + 1],
		      struct err *e)
{
	uint8_t bytes[PEOPLE_DIGEST_LEN];
	char hex[2 * PEOPLE_DIGEST_LEN + 1];
	int ret;

	ret = p->env.random(bytes, sizeof(bytes), e);
	if (ret)
		return ret;
	people_hex_encode(hex, bytes, sizeof(bytes));
	snprintf(token, PEOPLE_TOKEN_LEN + 1, "holm-%s", hex);
	return p->env.sha256(u->digest, token, PEOPLE_TOKEN_LEN, e);
}

int people_plan_user(struct people *p, const char *json, size_t len,
		     char token[PEOPLE_TOKEN_LEN + 1], struct people_plan **out, struct err *e)
{
	struct people_plan *plan = plan_new(1);
	struct user *u = calloc(1, sizeof(*u));
	json_t *o = NULL;
	int ret = plan && u ? people_parse(&o, json, len, e) : no_memory(e);

	token[0] = '\0';
	if (!ret)
		ret = user_decode(u, o, false, e);
	if (!ret)
		ret = check_new_user(p, u, e);
	if (!ret)
		ret = people_reserve(p, e);
	if (!ret)
		ret = new_id(p, u->id, e);
	if (!ret && u->proof == USER_TOKEN)
		ret = make_token(p, u, token, e);
	if (!ret) {
		ret = plan_user(plan, u, e);
		u = NULL;
	}
	json_decref(o);
	if (ret) {
		token[0] = '\0';
		free(u);
		people_plan_free(plan);
		return ret;
	}
	*out = plan;
	return 0;
}

/* --- grants ------------------------------------------------------------------------------- */

static size_t admins(const struct project *x)
{
	size_t n = 0;

	for (size_t i = 0; i < x->n_grants; i++)
		n += x->grants[i].role == ROLE_ADMIN;
	return n;
}

/* Built-in admins can always come back, others could lock everybody out who comes over TCP. */
static int check_last_admin(const struct project *old, const struct project *x,
			    const struct identity *by, struct err *e)
{
	if (by->builtin || !project_is_all(old) || !admins(old) || admins(x))
		return 0;
	return err_set(e, -EBUSY,
		       "this would take the last admin away: make another one first, or do it as "
		       "root on the host");
}

static enum access_role role_given(const struct project *x, const char *user)
{
	const struct grant *g = x ? project_find_grant(x, user) : NULL;

	return g ? g->role : ROLE_NONE;
}

/* What differs between two states of a project's grants is not above what @by is there. */
static int check_granted(const struct people *p, const struct project *old, const struct project *x,
			 const struct identity *by, struct err *e)
{
	enum access_role mine = people_role(p, by, old ? old->id : x->parent);
	const struct project *const both[] = { old, x };

	for (unsigned side = 0; side < 2; side++)
		for (size_t i = 0; both[side] && i < both[side]->n_grants; i++) {
			const char *user = both[side]->grants[i].user;
			enum access_role was = role_given(old, user), is = role_given(x, user);

			if (was != is && MAX(was, is) > mine)
				return err_set(e, -EPERM,
					       "'%s' is %s in project '%s' and cannot give or "
					       "take the role %s",
					       by->name, access_role_name(mine), x->name,
					       access_role_name(MAX(was, is)));
		}
	return old ? check_last_admin(old, x, by, e) : 0;
}

static void remove_grant(struct project *x, struct grant *g)
{
	x->n_grants--;
	memmove(g, g + 1, (size_t)(x->grants + x->n_grants - g) * sizeof(*g));
}

int people_plan_user_remove(struct people *p, const struct user *u, const struct identity *by,
			    struct people_plan **out, struct err *e)
{
	struct people_plan *plan = plan_new(1 + p->n_projects);
	int ret = plan ? 0 : no_memory(e);

	for (size_t i = 0; !ret && i < p->n_projects; i++) {
		struct project *x;

		if (!project_find_grant(p->projects[i], u->id))
			continue;
		x = project_clone(p->projects[i]);
		if (!x) {
			ret = no_memory(e);
			break;
		}
		remove_grant(x, project_find_grant(x, u->id));
		x->etag++;
		ret = plan_project(plan, x, e);
		if (!ret)
			ret = check_last_admin(p->projects[i], x, by, e);
	}
	if (ret) {
		people_plan_free(plan);
		return ret;
	}
	plan_step(plan, true, u->id);
	*out = plan;
	return 0;
}

int people_plan_grant(struct people *p, const struct project *x, const char *json, size_t len,
		      const struct identity *by, struct people_plan **out, struct err *e)
{
	struct people_plan *plan = plan_new(1);
	struct project *to = project_clone(x);
	struct grant *more, *old, g = { 0 };
	json_t *o = NULL;
	int ret = plan && to ? people_parse(&o, json, len, e) : no_memory(e);

	if (!ret)
		ret = grant_decode(p, &g, o, project_is_all(x), e);
	json_decref(o);
	if (!ret) {
		more = reallocarray(to->grants, to->n_grants + 1, sizeof(g));
		if (more)
			to->grants = more;
		else
			ret = no_memory(e);
	}
	if (!ret) {
		old = project_find_grant(to, g.user);
		if (old && g.role == ROLE_NONE)
			remove_grant(to, old);
		else if (old)
			old->role = g.role;
		else if (g.role != ROLE_NONE)
			to->grants[to->n_grants++] = g;
		ret = check_granted(p, x, to, by, e);
	}
	if (!ret) {
		to->etag++;
		ret = plan_project(plan, to, e);
		to = NULL;
	}
	if (ret) {
		project_free(to);
		people_plan_free(plan);
		return ret;
	}
	*out = plan;
	return 0;
}

/* --- projects ----------------------------------------------------------------------------- */

static int check_name_free(const struct people *p, const struct project *x, struct err *e)
{
	for (size_t i = 0; i < p->n_projects; i++)
		if (!strcmp(p->projects[i]->name, x->name) &&
		    strcmp(p->projects[i]->id, x->id) != 0)
			return err_set(e, -EEXIST,
				       "a project named '%s' is there already: take another name",
				       x->name);
	return 0;
}

/* @to, which it takes, is @old (NULL: a new one) with the members of a body. */
static int plan_body(struct people *p, const struct project *old, struct project *to,
		     const char *json, size_t len, const struct identity *by,
		     struct people_plan **out, struct err *e)
{
	struct people_plan *plan = plan_new(1);
	json_t *o = NULL;
	int ret = plan && to ? people_parse(&o, json, len, e) : no_memory(e);

	if (!ret)
		ret = project_decode(p, to, o, false, e);
	json_decref(o);
	if (!ret && old && !strcmp(old->id, PROJECT_DEFAULT_ID) && strcmp(old->name, to->name) != 0)
		ret = err_set(e, -EBUSY, "project 'default' is built in and cannot be renamed");
	if (!ret)
		ret = check_name_free(p, to, e);
	if (!ret)
		ret = people_check_place(p, to, e);
	if (!ret)
		ret = check_granted(p, old, to, by, e);
	if (!ret) {
		to->etag++;
		ret = plan_project(plan, to, e);
		to = NULL;
	}
	if (ret) {
		project_free(to);
		people_plan_free(plan);
		return ret;
	}
	*out = plan;
	return 0;
}

int people_plan_project(struct people *p, const char *json, size_t len, const struct identity *by,
			struct people_plan **out, struct err *e)
{
	struct project *x;
	int ret = people_reserve(p, e);

	if (ret)
		return ret;
	x = calloc(1, sizeof(*x));
	if (!x)
		return no_memory(e);
	resources_init(&x->resources);
	ret = new_id(p, x->id, e);
	if (ret) {
		project_free(x);
		return ret;
	}
	return plan_body(p, NULL, x, json, len, by, out, e);
}

int people_plan_project_change(struct people *p, const struct project *x, const char *json,
			       size_t len, const struct identity *by, struct people_plan **out,
			       struct err *e)
{
	return plan_body(p, x, project_clone(x), json, len, by, out, e);
}

int people_plan_project_remove(struct people *p, const struct project *x, size_t uses,
			       struct people_plan **out, struct err *e)
{
	size_t children = people_children(p, x->id);
	struct people_plan *plan;

	if (project_is_all(x) || !strcmp(x->id, PROJECT_DEFAULT_ID))
		return err_set(e, -EBUSY, "project '%s' is built in and cannot be removed",
			       x->name);
	if (uses || children)
		return err_set(e, -EBUSY,
			       "project '%s' has %zu VMs and volumes and %zu projects below it: "
			       "remove or move them first",
			       x->name, uses, children);
	plan = plan_new(1);
	if (!plan)
		return no_memory(e);
	plan_step(plan, false, x->id);
	*out = plan;
	return 0;
}
