/* SPDX-License-Identifier: MIT */
/*
 * Roles, see access.h.
 */
#include "mgr/core/access.h"

#include <errno.h>
#include <string.h>

static const bool allows[ROLE_COUNT][NEED_COUNT] = {
	[ROLE_NONE] = { [NEED_NOTHING] = true },
	[ROLE_VIEWER] = { [NEED_NOTHING] = true, [NEED_VIEW] = true },
	[ROLE_OPERATOR] = { [NEED_NOTHING] = true, [NEED_VIEW] = true, [NEED_OPERATE] = true },
	[ROLE_OWNER] = { [NEED_NOTHING] = true,
			 [NEED_VIEW] = true,
			 [NEED_OPERATE] = true,
			 [NEED_OWN] = true },
	[ROLE_ADMIN] = { [NEED_NOTHING] = true,
			 [NEED_VIEW] = true,
			 [NEED_OPERATE] = true,
			 [NEED_OWN] = true,
			 [NEED_ADMIN] = true },
};

static const char *const roles[] = { "none", "viewer", "operator", "owner", "admin" };
static const char *const needs[] = { "nothing", "view", "operate", "own", "admin" };
static_assert(ARRAY_SIZE(roles) == ROLE_COUNT, "a name for each role");
static_assert(ARRAY_SIZE(needs) == NEED_COUNT, "a name for each need");

bool access_allows(enum access_role role, enum access_need need)
{
	return (unsigned)role < ROLE_COUNT && (unsigned)need < NEED_COUNT && allows[role][need];
}

const char *access_role_name(enum access_role r)
{
	return roles[r];
}

const char *access_need_name(enum access_need n)
{
	return needs[n];
}

int access_role_parse(enum access_role *out, const char *name, struct err *e)
{
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		if (!strcmp(name, roles[i])) {
			*out = (enum access_role)i;
			return 0;
		}
	return err_set(e, -EINVAL, "'%.40s' is no role: use viewer, operator, owner, admin or none",
		       name);
}
