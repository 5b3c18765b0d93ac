/* SPDX-License-Identifier: MIT */
/*
 * Users and projects as JSON: records of the store, bodies of requests, objects of the API.
 *
 * Records name users and parents by their ids; requests may by names too.
 */
#include "mgr/core/people_dir.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const proofs[] = { "uid", "token", "certificate" };
static_assert(ARRAY_SIZE(proofs) == USER_PROOF_COUNT, "a name for each");

static const struct {
	const char *name;
	size_t offset;
	bool size;
} quotas[] = {
	{ "vms", offsetof(struct quota, vms), false },
	{ "cpus", offsetof(struct quota, cpus), false },
	{ "memory", offsetof(struct quota, memory), true },
	{ "disk", offsetof(struct quota, disk), true },
};

static uint64_t *quota_at(struct quota *q, unsigned i)
{
	return (uint64_t *)(void *)((char *)q + quotas[i].offset);
}

bool people_hex_decode(uint8_t *out, size_t n, const char *hex)
{
	static const char digits[] = "0123456789abcdef";

	if (strnlen(hex, 2 * n + 1) != 2 * n)
		return false;
	for (size_t i = 0; i < 2 * n; i++) {
		const char *d = strchr(digits, tolower((unsigned char)hex[i]));

		if (!d)
			return false;
		out[i / 2] = (uint8_t)(out[i / 2] << 4 | (d - digits));
	}
	return true;
}

void people_hex_encode(char *out, const uint8_t *in, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[2 * n] = '\0';
}

int people_parse(json_t **out, const char *json, size_t len, struct err *e)
{
	json_error_t why;
	json_t *o = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);

	if (!o)
		return err_set(e, -EINVAL, "line %d: not valid JSON: %s", why.line, why.text);
	if (!json_is_object(o)) {
		json_decref(o);
		return err_set(e, -EINVAL, "not a JSON object");
	}
	*out = o;
	return 0;
}

/* A name that is one, and that no id can be taken for. */
static int decode_name(char out[VM_NAME_MAX + 1], const json_t *v, struct err *e)
{
	const char *name = json_string_value(v);
	int ret;

	if (!name)
		return err_set(e, -EINVAL, "'name' is not a string");
	ret = vm_name_check("name", name, e);
	if (ret)
		return ret;
	if (people_is_id(name))
		return err_set(e, -EINVAL, "name '%s' looks like an id: take another name", name);
	memcpy(out, name, strlen(name) + 1);
	return 0;
}

/* --- users -------------------------------------------------------------------------------- */

static int decode_proof(struct user *u, enum user_proof proof, const json_t *v, bool stored,
			struct err *e)
{
	const char *hex = json_string_value(v);
	uint64_t uid;
	int ret;

	u->proof = proof;
	if (proof == USER_UID) {
		ret = json_amount(&uid, v, false, 0, UINT32_MAX - 1, "uid", e);
		if (!ret)
			u->uid = (uint32_t)uid;
		return ret;
	}
	if (proof == USER_TOKEN && !stored)
		return json_is_true(v)
			       ? 0
			       : err_set(e, -EINVAL, "'token' is not true: tokens are made here");
	if (!hex || !people_hex_decode(u->digest, sizeof(u->digest), hex))
		return err_set(e, -EINVAL, "'%s' is not the 64 hexadecimal digits of a SHA-256",
			       proofs[proof]);
	return 0;
}

int user_decode(struct user *u, const json_t *o, bool stored, struct err *e)
{
	unsigned n_proofs = 0;
	const char *key;
	const json_t *v;
	int ret = 0;

	json_object_foreach((json_t *)o, key, v)
	{
		unsigned i = 0;

		while (i < USER_PROOF_COUNT && strcmp(key, proofs[i]) != 0)
			i++;
		if (i < USER_PROOF_COUNT) {
			ret = decode_proof(u, (enum user_proof)i, v, stored, e);
			n_proofs++;
		} else if (!stored && !strcmp(key, "name")) {
			ret = decode_name(u->name, v, e);
		} else {
			ret = err_set(e, -EINVAL, "unknown field '%.80s'", key);
		}
		if (ret)
			return ret;
	}
	if (!u->name[0])
		return err_set(e, -EINVAL, "a user needs a name");
	if (n_proofs != 1)
		return err_set(e, -EINVAL,
			       "a user needs one of uid, token and certificate, to be told by");
	return 0;
}

char *user_record(const struct user *u)
{
	char hex[2 * PEOPLE_DIGEST_LEN + 1];
	json_t *o;
	char *text;

	people_hex_encode(hex, u->digest, sizeof(u->digest));
	o = u->proof == USER_UID ? json_pack("{s:I}", "uid", (json_int_t)u->uid)
				 : json_pack("{s:s}", proofs[u->proof], hex);
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text;
}

json_t *people_user_encode(const struct people *p UNUSED, const struct user *u)
{
	char hex[2 * PEOPLE_DIGEST_LEN + 1];

	if (u->proof == USER_UID)
		return json_pack("{s:s, s:s, s:I}", "id", u->id, "name", u->name, "uid",
				 (json_int_t)u->uid);
	if (u->proof == USER_TOKEN)
		return json_pack("{s:s, s:s, s:b}", "id", u->id, "name", u->name, "token", 1);
	people_hex_encode(hex, u->digest, sizeof(u->digest));
	return json_pack("{s:s, s:s, s:s}", "id", u->id, "name", u->name, "certificate", hex);
}

/* --- projects ----------------------------------------------------------------------------- */

int grant_decode(const struct people *p, struct grant *g, const json_t *o, bool all, struct err *e)
{
	const char *key, *name = NULL, *role = NULL;
	const struct user *u;
	const json_t *v;
	int ret;

	if (!json_is_object(o))
		return err_set(e, -EINVAL, "a grant is not an object of user and role");
	json_object_foreach((json_t *)o, key, v)
	{
		if (!strcmp(key, "user") && json_is_string(v))
			name = json_string_value(v);
		else if (!strcmp(key, "role") && json_is_string(v))
			role = json_string_value(v);
		else
			return err_set(e, -EINVAL,
				       "a grant's '%.80s' is unknown or no string: use user and "
				       "role",
				       key);
	}
	if (!name || !role)
		return err_set(e, -EINVAL, "a grant needs user and role");
	u = people_user(p, name);
	if (!u)
		return err_set(e, -ENOENT, "no user '%.80s'", name);
	ret = access_role_parse(&g->role, role, e);
	if (ret)
		return ret;
	if (g->role == ROLE_ADMIN && !all)
		return err_set(e, -EINVAL, "the role admin is for project '*' only: use owner");
	memcpy(g->user, u->id, sizeof(g->user));
	return 0;
}

static int decode_grants(const struct people *p, struct project *x, const json_t *a, struct err *e)
{
	size_t n = json_array_size(a);

	if (!json_is_array(a) || n > PEOPLE_MAX)
		return err_set(e, -EINVAL, "'grants' is not an array of at most %d", PEOPLE_MAX);
	free(x->grants);
	x->n_grants = 0;
	x->grants = n ? calloc(n, sizeof(*x->grants)) : NULL;
	if (n && !x->grants)
		return err_set(e, -ENOMEM, "no memory for grants");
	for (size_t i = 0; i < n; i++) {
		struct grant g = { 0 };
		int ret = grant_decode(p, &g, json_array_get(a, i), project_is_all(x), e);

		if (ret)
			return ret;
		if (g.role == ROLE_NONE || project_find_grant(x, g.user))
			return err_set(e, -EINVAL,
				       "grants: a user stands there twice or with role none");
		x->grants[x->n_grants++] = g;
	}
	return 0;
}

static int decode_quota(struct quota *q, const json_t *o, struct err *e)
{
	const char *key;
	const json_t *v;

	if (!json_is_object(o))
		return err_set(e, -EINVAL, "'quota' is not an object");
	json_object_foreach((json_t *)o, key, v)
	{
		unsigned i = 0;
		int ret;

		while (i < ARRAY_SIZE(quotas) && strcmp(key, quotas[i].name) != 0)
			i++;
		if (i == ARRAY_SIZE(quotas))
			return err_set(e, -EINVAL,
				       "unknown field 'quota.%.80s': use vms, cpus, memory and "
				       "disk",
				       key);
		ret = json_amount(quota_at(q, i), v, quotas[i].size, 0, RES_AMOUNT_MAX, key, e);
		if (ret)
			return ret;
	}
	return 0;
}

static int decode_parent(const struct people *p, struct project *x, const json_t *v, bool stored,
			 struct err *e)
{
	const char *name = json_string_value(v);
	const struct project *up = NULL;

	if (json_is_null(v)) {
		x->parent[0] = '\0';
		return 0;
	}
	/* Its record may come after this one; people_check_place() looks. */
	if (stored && name && people_is_id(name)) {
		memcpy(x->parent, name, sizeof(x->parent));
		return 0;
	}
	if (name && !stored)
		up = people_project(p, name);
	if (!up || project_is_all(up))
		return err_set(e, name ? -ENOENT : -EINVAL, "parent: no project '%.80s'",
			       name ? name : "");
	memcpy(x->parent, up->id, sizeof(x->parent));
	return 0;
}

int project_decode(const struct people *p, struct project *x, const json_t *o, bool stored,
		   struct err *e)
{
	const char *key;
	const json_t *v;

	json_object_foreach((json_t *)o, key, v)
	{
		int ret;

		if (!strcmp(key, "grants"))
			ret = decode_grants(p, x, v, e);
		else if (!stored && project_is_all(x))
			ret = err_set(e, -EINVAL, "'%.80s': project '*' has grants only", key);
		else if (!strcmp(key, "resources"))
			ret = resources_decode(&x->resources, v, e);
		else if (!strcmp(key, "quota"))
			ret = decode_quota(&x->quota, v, e);
		else if (!strcmp(key, "parent"))
			ret = decode_parent(p, x, v, stored, e);
		else if (!stored && !strcmp(key, "name"))
			ret = decode_name(x->name, v, e);
		else if (stored && !strcmp(key, "etag"))
			ret = json_amount(&x->etag, v, false, 0, INT64_MAX, key, e);
		else
			ret = err_set(e, -EINVAL, "unknown field '%.80s'", key);
		if (ret)
			return ret;
	}
	return x->name[0] ? 0 : err_set(e, -EINVAL, "a project needs a name");
}

static json_t *encode_quota(const struct quota *q)
{
	struct quota copy = *q;
	json_t *o = json_object();

	for (unsigned i = 0; o && i < ARRAY_SIZE(quotas); i++)
		if (json_object_set_new(o, quotas[i].name,
					json_integer((json_int_t)*quota_at(&copy, i)))) {
			json_decref(o);
			o = NULL;
		}
	return o;
}

/* @p: with the names of users; NULL: with their ids. */
static json_t *encode_grants(const struct people *p, const struct project *x)
{
	json_t *a = json_array();

	for (size_t i = 0; a && i < x->n_grants; i++) {
		const struct grant *g = &x->grants[i];
		const struct user *u = p ? people_user(p, g->user) : NULL;

		if (json_array_append_new(a, json_pack("{s:s, s:s}", "user", u ? u->name : g->user,
						       "role", access_role_name(g->role)))) {
			json_decref(a);
			a = NULL;
		}
	}
	return a;
}

char *project_record(const struct project *x)
{
	json_t *o = json_pack("{s:s*, s:o, s:o, s:o, s:I}", "parent",
			      x->parent[0] ? x->parent : NULL, "resources",
			      resources_encode(&x->resources), "quota", encode_quota(&x->quota),
			      "grants", encode_grants(NULL, x), "etag", (json_int_t)x->etag);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return text;
}

json_t *people_project_encode(const struct people *p, const struct project *x)
{
	const struct project *up = x->parent[0] ? people_project(p, x->parent) : NULL;

	if (project_is_all(x))
		return json_pack("{s:s, s:s, s:o, s:I}", "id", x->id, "name", x->name, "grants",
				 encode_grants(p, x), "etag", (json_int_t)x->etag);
	return json_pack("{s:s, s:s, s:s?, s:o, s:o, s:o, s:I}", "id", x->id, "name", x->name,
			 "parent", up ? up->name : NULL, "resources",
			 resources_encode(&x->resources), "quota", encode_quota(&x->quota),
			 "grants", encode_grants(p, x), "etag", (json_int_t)x->etag);
}
