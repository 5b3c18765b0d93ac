/* SPDX-License-Identifier: MIT */
/*
 * Every route by every role, against a second table: who may, who is told that he may not, and
 * who is told that there is nothing. What is refused changes nothing and is in the audit log.
 *
 * The table says in its own words what docs/API.md says; a route without an entry, and an entry
 * without a route, fail.
 */
#include "../apienv.h"
#include "mgr/api/routes.h"
#include "mgr/img/stock.h"
#include "mgr/run/local.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <unistd.h>

/* Whose role counts. */
enum where {
	ANYBODY,  /* nobody is asked */
	ANYWHERE, /* a role in any project */
	HOST,	  /* a role in "*" */
	OBJECT,	  /* a role in the project of what is named; hidden from others */
	BODY,	  /* a role in the project that the body names */
};

/* What the least role is that may. */
enum least { L_NONE, L_VIEWER, L_OPERATOR, L_OWNER, L_ADMIN, L_COUNT };

/* @target: a path that exists, with "web" or so where the pattern has {..}; OP: the operation. */
static const struct entry {
	const char *route, *target, *body;
	enum where where;
	enum least least;
} table[] = {
	{ "GET /v1/vms", "/v1/vms", NULL, ANYWHERE, L_VIEWER },
	{ "POST /v1/vms", "/v1/vms",
	  "{\"name\":\"new\",\"project\":\"mine\",\"config\":{\"kernel\":\"/k\"}}", BODY, L_OWNER },
	{ "GET /v1/vms/{vm}", "/v1/vms/web", NULL, OBJECT, L_VIEWER },
	{ "PATCH /v1/vms/{vm}", "/v1/vms/web", "{\"priority\":5}", OBJECT, L_OWNER },
	{ "DELETE /v1/vms/{vm}", "/v1/vms/idle", NULL, OBJECT, L_OWNER },
	{ "POST /v1/vms/{vm}/start", "/v1/vms/idle/start", NULL, OBJECT, L_OPERATOR },
	{ "POST /v1/vms/{vm}/pause", "/v1/vms/web/pause", NULL, OBJECT, L_OPERATOR },
	{ "POST /v1/vms/{vm}/resume", "/v1/vms/web/resume", NULL, OBJECT, L_OPERATOR },
	{ "POST /v1/vms/{vm}/suspend", "/v1/vms/web/suspend", NULL, OBJECT, L_OPERATOR },
	{ "POST /v1/vms/{vm}/restore", "/v1/vms/web/restore", NULL, OBJECT, L_OPERATOR },
	{ "POST /v1/vms/{vm}/shutdown", "/v1/vms/web/shutdown", NULL, OBJECT, L_OPERATOR },
	{ "POST /v1/vms/{vm}/reboot", "/v1/vms/web/reboot", NULL, OBJECT, L_OPERATOR },
	{ "POST /v1/vms/{vm}/reset", "/v1/vms/web/reset", NULL, OBJECT, L_OPERATOR },
	{ "POST /v1/vms/{vm}/kill", "/v1/vms/web/kill", NULL, OBJECT, L_OPERATOR },
	{ "POST /v1/vms/{vm}/undelete", "/v1/vms/idle/undelete", NULL, OBJECT, L_OWNER },
	{ "POST /v1/vms/{vm}/purge", "/v1/vms/idle/purge", NULL, OBJECT, L_OWNER },
	{ "GET /v1/vms/{vm}/wait", "/v1/vms/web/wait?timeout_ms=0", NULL, OBJECT, L_VIEWER },
	{ "GET /v1/vms/{vm}/stats", "/v1/vms/idle/stats", NULL, OBJECT, L_VIEWER },
	{ "GET /v1/vms/{vm}/history", "/v1/vms/web/history", NULL, OBJECT, L_VIEWER },
	{ "GET /v1/vms/{vm}/log", "/v1/vms/idle/log", NULL, OBJECT, L_VIEWER },
	{ "GET /v1/console", "/v1/console?vm=web", NULL, OBJECT, L_OPERATOR },
	{ "GET /v1/projects", "/v1/projects", NULL, ANYWHERE, L_VIEWER },
	{ "POST /v1/projects", "/v1/projects", "{\"name\":\"new\"}", HOST, L_ADMIN },
	{ "GET /v1/projects/{project}", "/v1/projects/mine", NULL, OBJECT, L_VIEWER },
	{ "PATCH /v1/projects/{project}", "/v1/projects/mine", "{\"quota\":{\"vms\":9}}", HOST,
	  L_ADMIN },
	{ "DELETE /v1/projects/{project}", "/v1/projects/empty", NULL, HOST, L_ADMIN },
	{ "POST /v1/projects/{project}/grants", "/v1/projects/mine/grants",
	  "{\"user\":\"nobody\",\"role\":\"viewer\"}", OBJECT, L_OWNER },
	{ "GET /v1/users", "/v1/users", NULL, HOST, L_ADMIN },
	{ "POST /v1/users", "/v1/users", "{\"name\":\"new\",\"uid\":7}", HOST, L_ADMIN },
	{ "DELETE /v1/users/{user}", "/v1/users/nobody", NULL, HOST, L_ADMIN },
	{ "GET /v1/networks", "/v1/networks", NULL, ANYWHERE, L_VIEWER },
	{ "POST /v1/networks", "/v1/networks", "{\"name\":\"n\",\"kind\":\"nat\"}", HOST, L_ADMIN },
	{ "GET /v1/networks/{network}", "/v1/networks/net", NULL, ANYWHERE, L_VIEWER },
	{ "PATCH /v1/networks/{network}", "/v1/networks/net", "{\"dhcp\":true}", HOST, L_ADMIN },
	{ "DELETE /v1/networks/{network}", "/v1/networks/net", NULL, HOST, L_ADMIN },
	{ "POST /v1/networks/{network}/start", "/v1/networks/net/start", NULL, HOST, L_ADMIN },
	{ "POST /v1/networks/{network}/stop", "/v1/networks/net/stop", NULL, HOST, L_ADMIN },
	{ "GET /v1/networks/{network}/leases", "/v1/networks/net/leases", NULL, ANYWHERE,
	  L_VIEWER },
	{ "GET /v1/pools", "/v1/pools", NULL, ANYWHERE, L_VIEWER },
	{ "POST /v1/pools", "/v1/pools", "{\"name\":\"p\",\"path\":\"/proc/none/p\"}", HOST,
	  L_ADMIN },
	{ "GET /v1/pools/{pool}", "/v1/pools/pool", NULL, ANYWHERE, L_VIEWER },
	{ "DELETE /v1/pools/{pool}", "/v1/pools/pool", NULL, HOST, L_ADMIN },
	{ "GET /v1/volumes", "/v1/volumes", NULL, ANYWHERE, L_VIEWER },
	{ "POST /v1/volumes", "/v1/volumes",
	  "{\"name\":\"v\",\"pool\":\"pool\",\"project\":\"mine\",\"size\":4096}", BODY, L_OWNER },
	{ "GET /v1/volumes/{volume}", "/v1/volumes/vol", NULL, OBJECT, L_VIEWER },
	{ "PATCH /v1/volumes/{volume}", "/v1/volumes/vol", "{\"size\":8192}", OBJECT, L_OWNER },
	{ "DELETE /v1/volumes/{volume}", "/v1/volumes/vol", NULL, OBJECT, L_OWNER },
	{ "GET /v1/volumes/{volume}/data", "/v1/volumes/vol/data", NULL, OBJECT, L_VIEWER },
	{ "PUT /v1/volumes/{volume}/data", "/v1/volumes/vol/data", "x", OBJECT, L_OWNER },
	{ "GET /v1/host", "/v1/host", NULL, ANYWHERE, L_VIEWER },
	{ "GET /v1/sched/queue", "/v1/sched/queue", NULL, ANYWHERE, L_VIEWER },
	{ "GET /v1/operations", "/v1/operations", NULL, ANYWHERE, L_VIEWER },
	{ "GET /v1/operations/{op}", "/v1/operations/OP", NULL, OBJECT, L_VIEWER },
	{ "DELETE /v1/operations/{op}", "/v1/operations/OP", NULL, OBJECT, L_OPERATOR },
	{ "GET /v1/events", "/v1/events", NULL, ANYWHERE, L_VIEWER },
	{ "GET /v1/audit", "/v1/audit", NULL, HOST, L_ADMIN },
	{ "GET /v1/audit/verify", "/v1/audit/verify", NULL, HOST, L_ADMIN },
	{ "GET /metrics", "/metrics", NULL, ANYWHERE, L_VIEWER },
	{ "GET /v1/openapi.json", "/v1/openapi.json", NULL, ANYBODY, L_NONE },
};

/* Who asks: a role, and the project that it was granted in. */
enum place { IN_MINE, IN_OTHER, IN_PARENT, IN_ALL, PLACE_COUNT };

static const char *const places[] = { "mine", "other", "top", "*" };
static const char *const roles[] = { "none", "viewer", "operator", "owner", "admin" };

struct caller {
	char name[32];
	int64_t uid;
	const char *token;
	enum least mine, all, any; /* what the role is worth in each respect */
	bool unknown;		   /* 401 */
};

#define UID(role, place) (1000 + (int)(role)*10 + (int)(place))

/* A world of two projects, and a user for each role and place. */
struct world {
	struct env v;
	struct runner *local;
	struct store_ops ops;
	struct stock stock; /* empty */
	char op[20];
};

static char dir[64];

static int audit_each(struct store *s UNUSED, uint64_t from UNUSED, size_t max UNUSED,
		      store_audit_fn fn UNUSED, void *ctx UNUSED, struct err *e UNUSED)
{
	return 0;
}

static int audit_verify(struct store *s UNUSED, uint64_t *n, struct err *e UNUSED)
{
	*n = 0;
	return 0;
}

static const char *volume_project(const struct api_ctx *ctx UNUSED, const char *name)
{
	return strcmp(name, "vol") != 0 ? "*" : "mine";
}

static void must(struct env *v, const char *method, const char *target, const char *body,
		 unsigned status)
{
	env_call(v, method, target, body);
	if (v->status != status)
		print_error("%s %s: %u, %s\n", method, target, v->status, env_text(v, "detail"));
	assert_int_equal(v->status, status);
}

static void add_user(struct env *v, const char *name, int uid)
{
	char body[96];

	snprintf(body, sizeof(body), "{\"name\":\"%s\",\"uid\":%d}", name, uid);
	must(v, "POST", "/v1/users", body, 201);
}

static void grant(struct env *v, const char *user, const char *role, const char *project)
{
	const struct project *x = people_project(v->people, project);
	char path[64], body[96];

	assert_non_null(x);
	snprintf(path, sizeof(path), "/v1/projects/%s/grants", x->id);
	snprintf(body, sizeof(body), "{\"user\":\"%s\",\"role\":\"%s\"}", user, role);
	must(v, "POST", path, body, 200);
}

static void add_users(struct env *v)
{
	add_user(v, "nobody", 999);
	for (unsigned r = L_VIEWER; r < L_COUNT; r++)
		for (unsigned p = 0; p < PLACE_COUNT; p++) {
			char name[32];

			if (r == L_ADMIN && p != IN_ALL)
				continue;
			snprintf(name, sizeof(name), "%s.%u", roles[r], p);
			add_user(v, name, UID(r, p));
			grant(v, name, roles[r], places[p]);
		}
}

static void open_world(struct world *w)
{
	struct env *v = &w->v;

	*w = (struct world) { 0 };
	env_open(v);
	w->ops = fake_store_ops;
	w->ops.audit_each = audit_each;
	w->ops.audit_verify = audit_verify;
	v->store.store.ops = &w->ops;
	/* What the API asks of the host's runner itself: a real one, of a host without VMs. */
	assert_int_equal(runner_local_create(&w->local,
					     &(struct runner_local_config) { .loop = v->loop,
									     .run_dir = dir,
									     .state_dir = dir,
									     .vmm = "/nowhere" },
					     NULL),
			 0);
	v->ctx.runner = w->local;
	v->ctx.volume_project = volume_project;
	w->stock.store = &v->store.store;
	v->ctx.stock = &w->stock;
	must(v, "POST", "/v1/projects", "{\"name\":\"top\"}", 201);
	must(v, "POST", "/v1/projects", "{\"name\":\"mine\",\"parent\":\"top\"}", 201);
	must(v, "POST", "/v1/projects", "{\"name\":\"other\"}", 201);
	must(v, "POST", "/v1/projects", "{\"name\":\"empty\"}", 201);
	add_users(v);
	must(v, "POST", "/v1/vms",
	     "{\"name\":\"idle\",\"project\":\"mine\",\"config\":{\"kernel\":\"/k\"}}", 201);
	must(v, "POST", "/v1/vms",
	     "{\"name\":\"web\",\"project\":\"mine\",\"config\":{\"kernel\":\"/k\"}}", 201);
	must(v, "POST", "/v1/vms/web/start", NULL, 202);
	snprintf(w->op, sizeof(w->op), "%s", env_text(v, "id"));
}

static void close_world(struct world *w)
{
	stock_close(&w->stock);
	runner_local_destroy(w->local);
	env_close(&w->v);
}

static enum least worth(const struct entry *x, const struct caller *c)
{
	switch (x->where) {
	case ANYBODY:
		return L_ADMIN;
	case ANYWHERE:
		return c->any;
	case HOST:
		return c->all;
	default:
		return c->mine;
	}
}

/* 0: may; else the status. */
static unsigned verdict(const struct entry *x, const struct caller *c)
{
	if (x->where == ANYBODY)
		return 0;
	if (c->unknown)
		return 401;
	if (worth(x, c) >= x->least)
		return 0;
	/* What one may not see is not there, for those who may see something. */
	return x->where == OBJECT && c->mine == L_NONE && c->any != L_NONE ? 404 : 403;
}

/* All that there is, as one text. */
static char *picture(const struct world *w)
{
	const struct fake_runner *f = &w->v.runner;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	for (unsigned i = 0; i < FAKE_RECORDS; i++)
		if (w->v.store.r[i].body)
			fprintf(out, "%s %s %s %s\n", w->v.store.r[i].kind, w->v.store.r[i].id,
				w->v.store.r[i].name, w->v.store.r[i].body);
	for (size_t i = 0; i < w->v.mgr.n_vms; i++)
		fprintf(out, "%s %s\n", w->v.mgr.vms[i]->text,
			vm_state_name(w->v.mgr.vms[i]->life.state));
	fprintf(out, "%u %u %u %u %u %llu\n", f->n_spawned, f->n_killed, f->n_cleaned, f->n_purged,
		f->n_sent, (unsigned long long)w->v.mgr.events.next_seq);
	fclose(out);
	return text;
}

static void resolve(char out[128], const struct world *w, const char *target)
{
	const char *at = strstr(target, "OP");

	if (at)
		snprintf(out, 128, "%.*s%s%s", (int)(at - target), target, w->op, at + 2);
	else
		snprintf(out, 128, "%s", target);
}

static void ask(struct world *w, const struct caller *c, const struct entry *x, const char *target)
{
	char method[8];

	snprintf(method, sizeof(method), "%.*s", (int)strcspn(x->route, " "), x->route);
	w->v.uid = c->uid;
	w->v.token = c->token;
	env_call(&w->v, method, target, x->body);
	w->v.uid = 0;
	w->v.token = NULL;
}

/* Whether authorization refused, as opposed to the handler. */
static bool was_refused(const struct env *v)
{
	return v->status == 401 || v->status == 403 ||
	       (v->status == 404 && !strncmp(env_text(v, "detail"), "there is nothing at ", 20));
}

static void check_refused(struct world *w, const struct caller *c, const struct entry *x,
			  const char *before, unsigned applied, unsigned audited)
{
	bool reads = !strncmp(x->route, "GET ", 4);
	char *after = picture(w);

	assert_string_equal(before, after);
	free(after);
	/* The audit log's entry is a call of the store's too. */
	assert_int_equal(w->v.store.applied - applied, reads ? 0 : 1);
	assert_int_equal(w->v.store.audited - audited, reads ? 0 : 1);
	if (!reads) {
		char who[40];

		snprintf(who, sizeof(who), "%s ", c->unknown ? "unknown" : c->name);
		assert_int_equal(strncmp(w->v.store.last_audit, who, strlen(who)), 0);
		assert_non_null(strstr(w->v.store.last_audit, " http."));
		assert_non_null(strstr(w->v.store.last_audit, env_text(&w->v, "code")));
	}
}

static void check(const struct entry *x, const struct caller *c)
{
	unsigned want = verdict(x, c), applied, audited;
	char target[128], *before;
	struct world w;

	open_world(&w);
	resolve(target, &w, x->target);
	before = picture(&w);
	applied = w.v.store.applied;
	audited = w.v.store.audited;
	ask(&w, c, x, target);
	if (want ? w.v.status != want : !w.v.status || was_refused(&w.v))
		fail_msg("%s as %s: %u '%s', expected %u (0: may)", x->route, c->name, w.v.status,
			 env_text(&w.v, "detail"), want);
	if (want)
		check_refused(&w, c, x, before, applied, audited);
	free(before);
	close_world(&w);
}

static struct caller caller_of(enum least role, enum place place)
{
	struct caller c = { .uid = UID(role, place), .any = role };

	snprintf(c.name, sizeof(c.name), "%s.%u", roles[role], (unsigned)place);
	c.mine = place == IN_OTHER ? L_NONE : role;
	c.all = place == IN_ALL ? role : L_NONE;
	return c;
}

static const struct caller strangers[] = {
	{ .name = "nobody", .uid = 999 },
	{ .name = "uid:4242", .uid = 4242 },
	{ .name = "wrong token", .uid = 0, .token = "holm-0000", .unknown = true },
	{ .name = "no peer", .uid = -1, .unknown = true },
	{ .name = "root", .uid = 0, .mine = L_ADMIN, .all = L_ADMIN, .any = L_ADMIN },
};

static void test_every_route_by_every_role(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		for (unsigned r = L_VIEWER; r < L_COUNT; r++)
			for (unsigned p = 0; p < PLACE_COUNT; p++) {
				struct caller c = caller_of((enum least)r, (enum place)p);

				if (r != L_ADMIN || p == IN_ALL)
					check(&table[i], &c);
			}
		for (size_t s = 0; s < ARRAY_SIZE(strangers); s++)
			check(&table[i], &strangers[s]);
	}
}

static void test_no_route_is_forgotten(void **state UNUSED)
{
	assert_int_equal(api_routes_count, ARRAY_SIZE(table));
	for (size_t i = 0; i < api_routes_count; i++) {
		char name[128];
		size_t k = 0;

		snprintf(name, sizeof(name), "%s %s", api_routes[i].method, api_routes[i].pattern);
		while (k < ARRAY_SIZE(table) && strcmp(table[k].route, name) != 0)
			k++;
		if (k == ARRAY_SIZE(table))
			fail_msg("%s has no entry in this test's table", name);
	}
}

/* Whatever the table says. */
static void test_a_viewer_changes_nothing(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!strncmp(table[i].route, "GET ", 4))
			continue;
		for (unsigned p = 0; p < PLACE_COUNT; p++) {
			struct caller c = caller_of(L_VIEWER, (enum place)p);

			assert_true(verdict(&table[i], &c) >= 403);
			check(&table[i], &c);
		}
	}
}

/* "/v1/vms/web/start" and a name that nobody has, "/v1/vms/gone/start". */
static void other_name(char out[128], const char *target)
{
	static const char *const names[] = { "web", "idle", "vol", "mine", "OP" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *at = strstr(target, names[i]), *next;

		if (!at)
			continue;
		/* The last one: "vol" is in "volumes" too. */
		while ((next = strstr(at + 1, names[i])))
			at = next;
		snprintf(out, 128, "%.*sgone%s", (int)(at - target), target, at + strlen(names[i]));
		return;
	}
	snprintf(out, 128, "%s", target);
}

/* One who may not see a thing cannot tell it from one that is not there. */
static void test_hidden_is_as_missing(void **state UNUSED)
{
	struct caller who[] = { caller_of(L_OWNER, IN_OTHER), strangers[0], strangers[1] };
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		for (size_t k = 0; k < ARRAY_SIZE(who); k++) {
			char there[128], gone[128], detail[256], want[256];
			unsigned status, len;
			struct world w;

			if (table[i].where != OBJECT)
				continue;
			open_world(&w);
			resolve(there, &w, table[i].target);
			other_name(gone, table[i].target);
			assert_string_not_equal(there, gone);
			ask(&w, &who[k], &table[i], there);
			status = w.v.status;
			snprintf(detail, sizeof(detail), "%s", env_text(&w.v, "detail"));
			ask(&w, &who[k], &table[i], gone);
			if (w.v.status != status || !was_refused(&w.v))
				fail_msg("%s as %s: %u, but %u '%s' where there is none",
					 table[i].route, who[k].name, status, w.v.status,
					 env_text(&w.v, "detail"));
			/* The sentence may hold the path that was asked for, and no more. */
			len = (unsigned)strcspn(there, "?");
			if (strstr(detail, "nothing at")) {
				snprintf(want, sizeof(want), "there is nothing at %.*s", (int)len,
					 there);
				assert_string_equal(detail, want);
				snprintf(want, sizeof(want), "there is nothing at %.*s",
					 (int)strcspn(gone, "?"), gone);
				assert_string_equal(env_text(&w.v, "detail"), want);
			} else {
				assert_string_equal(env_text(&w.v, "detail"), detail);
			}
			close_world(&w);
			n++;
		}
	assert_true(n > 60);
}

static size_t count(struct world *w, int uid, const char *target)
{
	w->v.uid = uid;
	must(&w->v, "GET", target, NULL, 200);
	w->v.uid = 0;
	return json_array_size(json_object_get(w->v.body, "items"));
}

static void test_lists(void **state UNUSED)
{
	static const enum place sees[] = { IN_MINE, IN_PARENT, IN_ALL };
	struct world w;

	open_world(&w);
	must(&w.v, "POST", "/v1/vms",
	     "{\"name\":\"far\",\"project\":\"other\",\"config\":{\"kernel\":\"/k\"}}", 201);
	must(&w.v, "POST", "/v1/vms/far/start", NULL, 202);
	for (size_t i = 0; i < ARRAY_SIZE(sees); i++) {
		int uid = UID(L_VIEWER, sees[i]);
		size_t all = sees[i] == IN_ALL;

		assert_int_equal(count(&w, uid, "/v1/vms"), all ? 3 : 2);
		assert_int_equal(count(&w, uid, "/v1/vms?project=other"), all ? 1 : 0);
		assert_int_equal(count(&w, uid, "/v1/operations"), all ? 2 : 1);
	}
	assert_int_equal(count(&w, UID(L_VIEWER, IN_OTHER), "/v1/vms"), 1);
	assert_int_equal(count(&w, UID(L_VIEWER, IN_OTHER), "/v1/operations"), 1);
	assert_int_equal(count(&w, UID(L_VIEWER, IN_MINE), "/v1/projects"), 1);
	assert_int_equal(count(&w, UID(L_VIEWER, IN_PARENT), "/v1/projects"), 2);
	assert_int_equal(count(&w, UID(L_VIEWER, IN_ALL), "/v1/projects"), 6);
	close_world(&w);
}

/* Where a VM is made is asked of the body, and stays. */
static void test_project_of_a_vm(void **state UNUSED)
{
	static const char *const refused[] = {
		"{\"name\":\"x\",\"project\":\"other\",\"config\":{\"kernel\":\"/k\"}}",
		"{\"name\":\"x\",\"project\":\"top\",\"config\":{\"kernel\":\"/k\"}}",
		"{\"name\":\"x\",\"project\":\"nowhere\",\"config\":{\"kernel\":\"/k\"}}",
		"{\"name\":\"x\",\"config\":{\"kernel\":\"/k\"}}",
		"{\"name\":\"x\",\"project\":7,\"config\":{\"kernel\":\"/k\"}}",
		"not JSON",
	};
	struct world w;
	char body[160];

	open_world(&w);
	w.v.uid = UID(L_OWNER, IN_MINE);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		must(&w.v, "POST", "/v1/vms", refused[i], 403);
	/* The last of two would count for one reader and none for the other. */
	must(&w.v, "POST", "/v1/vms", "{\"name\":\"x\",\"project\":\"other\",\"project\":\"mine\"}",
	     400);
	must(&w.v, "PATCH", "/v1/vms/web", "{\"project\":\"other\"}", 400);
	assert_string_equal(mgr_find(&w.v.mgr, "web")->project, "mine");
	/* By its id it is the same project, and counts there. */
	snprintf(body, sizeof(body),
		 "{\"name\":\"x\",\"project\":\"%s\",\"config\":{\"kernel\":\"/k\"}}",
		 people_project(w.v.people, "mine")->id);
	must(&w.v, "POST", "/v1/vms", body, 201);
	assert_string_equal(env_text(&w.v, "project"), "mine");
	assert_int_equal(mgr_project_uses(&w.v.mgr, "mine"), 3);
	/* Who may see all is told what is wrong. */
	w.v.uid = 0;
	must(&w.v, "POST", "/v1/vms",
	     "{\"name\":\"y\",\"project\":\"nowhere\",\"config\":{\"kernel\":\"/k\"}}", 404);
	close_world(&w);
}

static void test_grants_go_no_higher(void **state UNUSED)
{
	static const char admin[] = "{\"user\":\"nobody\",\"role\":\"admin\"}";
	static const char owner[] = "{\"user\":\"nobody\",\"role\":\"owner\"}";
	struct world w;

	open_world(&w);
	w.v.uid = UID(L_OWNER, IN_ALL);
	must(&w.v, "POST", "/v1/projects/" PROJECT_ALL_ID "/grants", admin, 403);
	w.v.uid = UID(L_OWNER, IN_MINE);
	must(&w.v, "POST", "/v1/projects/" PROJECT_ALL_ID "/grants", owner, 404);
	must(&w.v, "POST", "/v1/projects/top/grants", owner, 404);
	must(&w.v, "POST", "/v1/projects/mine/grants", admin, 400);
	must(&w.v, "POST", "/v1/projects/mine/grants", owner, 200);
	close_world(&w);
}

static void test_console_modes(void **state UNUSED)
{
	static const struct {
		const char *query;
		bool viewer_may;
	} modes[] = {
		{ "", false },
		{ "&mode=read", true },
		{ "&mode=write", false },
		{ "&mode=READ", false },
		{ "&mode=", false },
		{ "&mode=write&mode=read", false },
		{ "&mode=read&force=true", true },
	};
	struct world w;

	open_world(&w);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		char target[64];

		snprintf(target, sizeof(target), "/v1/console?vm=web%s", modes[i].query);
		w.v.uid = UID(L_VIEWER, IN_MINE);
		/* 400: it is no WebSocket, which the handler looks at. */
		must(&w.v, "GET", target, NULL, modes[i].viewer_may ? 400 : 403);
		w.v.uid = UID(L_OPERATOR, IN_MINE);
		must(&w.v, "GET", target, NULL, 400);
		w.v.uid = UID(L_OPERATOR, IN_OTHER);
		must(&w.v, "GET", target, NULL, 404);
	}
	close_world(&w);
}

/* A request whose stream stays with the test. */
struct kept {
	struct api_request r;
	struct api_stream *stream;
};

static const char *no_query(const struct api_request *r UNUSED, const char *name UNUSED)
{
	return NULL;
}

static void keep(struct api_request *r, const struct api_reply *a)
{
	CONTAINER_OF(r, struct kept, r)->stream = a->stream;
}

static struct api_stream *listen_as(struct world *w, int uid)
{
	struct kept k = { .r = { .method = "GET",
				 .path = "/v1/events",
				 .query = no_query,
				 .peer = { .uid = uid, .from = "unix" },
				 .done = keep } };

	w->v.ctx.api.ops->call(w->v.ctx.api.ctx, &k.r);
	assert_non_null(k.stream);
	return k.stream;
}

static bool hears(struct api_stream *s, const char *word)
{
	char buf[8192];
	ssize_t n = s->ops->read(s, buf, sizeof(buf) - 1);

	buf[n > 0 ? n : 0] = '\0';
	return strstr(buf, word);
}

static void test_events(void **state UNUSED)
{
	struct api_stream *mine, *other, *all;
	struct world w;

	open_world(&w);
	mine = listen_as(&w, UID(L_VIEWER, IN_MINE));
	other = listen_as(&w, UID(L_VIEWER, IN_OTHER));
	all = listen_as(&w, UID(L_VIEWER, IN_ALL));
	must(&w.v, "POST", "/v1/vms/web/kill", NULL, 202);
	assert_true(hears(mine, "vm/web"));
	assert_false(hears(other, "web"));
	assert_true(hears(all, "vm/web"));
	/* What is taken away is taken away from those who listen already. */
	grant(&w.v, "viewer.0", "none", "mine");
	must(&w.v, "POST", "/v1/vms/idle/start", NULL, 202);
	assert_false(hears(mine, "idle"));
	assert_true(hears(all, "vm/idle"));
	mine->ops->close(mine);
	other->ops->close(other);
	all->ops->close(all);
	close_world(&w);
}

/* Refusals cannot fill the audit log, and it says how many it does not hold. */
static void test_refusals_are_bounded(void **state UNUSED)
{
	unsigned before;
	struct world w;

	open_world(&w);
	before = w.v.store.audited;
	w.v.uid = 4242;
	for (unsigned i = 0; i < 10 * API_REFUSALS; i++)
		must(&w.v, "DELETE", "/v1/vms/web", NULL, 403);
	assert_int_equal(w.v.store.audited - before, API_REFUSALS);
	clock_fake_advance(&w.v.clock, CLOCK_NS_PER_SEC);
	before = w.v.store.audited;
	must(&w.v, "DELETE", "/v1/vms/web", NULL, 403);
	assert_int_equal(w.v.store.audited - before, 2);
	assert_non_null(strstr(w.v.store.last_audit, "uid:4242 http.DELETE /v1/vms/web"));
	close_world(&w);
}

static int make_dir(void **state UNUSED)
{
	snprintf(dir, sizeof(dir), "%s/holm-access.XXXXXX",
		 getenv("TMPDIR") && strlen(getenv("TMPDIR")) < 30 ? getenv("TMPDIR") : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state UNUSED)
{
	char vm[80];

	snprintf(vm, sizeof(vm), "%s/vm", dir);
	return rmdir(vm) || rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_route_is_forgotten),
		cmocka_unit_test(test_every_route_by_every_role),
		cmocka_unit_test(test_a_viewer_changes_nothing),
		cmocka_unit_test(test_hidden_is_as_missing),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_project_of_a_vm),
		cmocka_unit_test(test_grants_go_no_higher),
		cmocka_unit_test(test_console_modes),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_refusals_are_bounded),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
