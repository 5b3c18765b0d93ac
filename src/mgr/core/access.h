/* SPDX-License-Identifier: MIT */
/*
 * Roles and what each may do: one const table, asked in one place (api_call).
 *
 * Deny by default: a permission that the table does not give is refused.
 */
#ifndef HOLM_MGR_CORE_ACCESS_H
#define HOLM_MGR_CORE_ACCESS_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>

enum access_role { ROLE_NONE, ROLE_VIEWER, ROLE_OPERATOR, ROLE_OWNER, ROLE_ADMIN, ROLE_COUNT };

/** What a route needs. */
enum access_need {
	NEED_NOTHING, /* also those that are not authenticated: the API's description */
	NEED_VIEW,
	NEED_OPERATE,
	NEED_OWN,
	NEED_ADMIN,
	NEED_COUNT
};

/** access_allows() - the table's cell. */
bool access_allows(enum access_role role, enum access_need need);

const char *access_role_name(enum access_role r);
const char *access_need_name(enum access_need n);
/** "none", "viewer", "operator", "owner" or "admin"; -EINVAL with a sentence. */
int access_role_parse(enum access_role *out, const char *name, struct err *e) MUST_CHECK;

#endif
