/* SPDX-License-Identifier: MIT */
/*
 * The table of routes, see routes.h.
 */
#include "mgr/api/routes.h"

#include <stdio.h>
#include <string.h>

static const struct route routes[] = {
	{ "GET", "/v1/vms", NEED_VIEW, SCOPE_ANY, h_vms_list },
	{ "POST", "/v1/vms", NEED_OWN, SCOPE_BODY, h_vms_create },
	{ "GET", "/v1/vms/{vm}", NEED_VIEW, SCOPE_VM, h_vm_get },
	{ "PATCH", "/v1/vms/{vm}", NEED_OWN, SCOPE_VM, h_vm_patch },
	{ "DELETE", "/v1/vms/{vm}", NEED_OWN, SCOPE_VM, h_vm_delete },
	{ "GET", "/v1/vms/{vm}/wait", NEED_VIEW, SCOPE_VM, h_vm_wait },
	{ "GET", "/v1/vms/{vm}/stats", NEED_VIEW, SCOPE_VM, h_vm_stats },
	{ "GET", "/v1/vms/{vm}/log", NEED_VIEW, SCOPE_VM, h_vm_log },
	{ "POST", "/v1/vms/{vm}/undelete", NEED_OWN, SCOPE_VM, h_vm_undelete },
	{ "POST", "/v1/vms/{vm}/purge", NEED_OWN, SCOPE_VM, h_vm_purge },
	{ "POST", "/v1/vms/{vm}/{verb}", NEED_OPERATE, SCOPE_VM, h_vm_verb },
	{ "GET", "/v1/console", NEED_VIEW, SCOPE_ANY, h_console },
	{ "GET", "/v1/projects", NEED_VIEW, SCOPE_ANY, h_projects_list },
	{ "POST", "/v1/projects", NEED_ADMIN, SCOPE_HOST, h_projects_create },
	{ "GET", "/v1/projects/{project}", NEED_VIEW, SCOPE_PROJECT, h_project_get },
	{ "PATCH", "/v1/projects/{project}", NEED_ADMIN, SCOPE_HOST, h_project_patch },
	{ "DELETE", "/v1/projects/{project}", NEED_ADMIN, SCOPE_HOST, h_project_delete },
	{ "POST", "/v1/projects/{project}/grants", NEED_OWN, SCOPE_PROJECT, h_project_grant },
	{ "GET", "/v1/users", NEED_ADMIN, SCOPE_HOST, h_users_list },
	{ "POST", "/v1/users", NEED_ADMIN, SCOPE_HOST, h_users_create },
	{ "DELETE", "/v1/users/{user}", NEED_ADMIN, SCOPE_HOST, h_user_delete },
	{ "GET", "/v1/operations", NEED_VIEW, SCOPE_ANY, h_operations_list },
	{ "GET", "/v1/operations/{operation}", NEED_VIEW, SCOPE_ANY, h_operation_get },
	{ "DELETE", "/v1/operations/{operation}", NEED_OPERATE, SCOPE_ANY, h_operation_cancel },
	{ "GET", "/v1/host", NEED_VIEW, SCOPE_ANY, h_host },
	{ "GET", "/v1/sched/queue", NEED_VIEW, SCOPE_ANY, h_queue },
	{ "GET", "/v1/events", NEED_VIEW, SCOPE_ANY, h_events },
	{ "GET", "/v1/audit", NEED_ADMIN, SCOPE_HOST, h_audit },
	{ "GET", "/v1/audit/verify", NEED_ADMIN, SCOPE_HOST, h_audit_verify },
	{ "GET", "/metrics", NEED_VIEW, SCOPE_HOST, h_metrics },
	{ "GET", "/v1/openapi.json", NEED_NOTHING, SCOPE_NONE, h_openapi },
};

const struct route *route_table(size_t *n)
{
	*n = ARRAY_SIZE(routes);
	return routes;
}

static bool is_name(const char *s, size_t len)
{
	return len && len < ROUTE_ARG_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._*-") >=
		       len;
}

/* Segment by segment. */
static bool match(const char *pattern, const char *path, struct route_args *args)
{
	unsigned n = 0;

	memset(args->arg, 0, sizeof(args->arg));
	while (*pattern == '/' && *path == '/') {
		size_t want = strcspn(++pattern, "/"), have = strcspn(++path, "/");

		if (pattern[0] == '{') {
			if (n == ROUTE_ARGS || !is_name(path, have))
				return false;
			memcpy(args->buf[n], path, have);
			args->buf[n][have] = '\0';
			args->arg[n] = args->buf[n];
			n++;
		} else if (want != have || memcmp(pattern, path, want) != 0) {
			return false;
		}
		pattern += want;
		path += have;
	}
	return !*pattern && !*path;
}

enum route_found route_find(const char *method, const char *path, const struct route **out,
			    struct route_args *args, char allow[ROUTE_ALLOW_MAX])
{
	allow[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		size_t at = strlen(allow);

		if (!match(routes[i].pattern, path, args))
			continue;
		if (!strcmp(routes[i].method, method)) {
			*out = &routes[i];
			return ROUTE_FOUND;
		}
		if (!strstr(allow, routes[i].method))
			snprintf(allow + at, ROUTE_ALLOW_MAX - at, "%s%s", at ? ", " : "",
				 routes[i].method);
	}
	return allow[0] ? ROUTE_NO_METHOD : ROUTE_NONE;
}
