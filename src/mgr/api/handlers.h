/* SPDX-License-Identifier: MIT */
/*
 * The handlers of the API's routes. Each answers its request once, now or later; authorization
 * is done. @arg: what stood in the route's braces.
 */
#ifndef HOLM_MGR_API_HANDLERS_H
#define HOLM_MGR_API_HANDLERS_H

#include "mgr/core/api.h"

struct api_ctx;

typedef void (*api_handler_fn)(struct api_ctx *ctx, struct api_request *r, const char *arg[]);

#define HANDLER(name) void name(struct api_ctx *ctx, struct api_request *r, const char *arg[])

/* vms.c */
HANDLER(h_vms_list);
HANDLER(h_vms_create);
HANDLER(h_vm_get);
HANDLER(h_vm_patch);
HANDLER(h_vm_delete);
HANDLER(h_vm_verb);
HANDLER(h_vm_undelete);
HANDLER(h_vm_purge);
HANDLER(h_vm_wait);
HANDLER(h_vm_stats);
/* streams.c */
HANDLER(h_vm_log);
HANDLER(h_console);
HANDLER(h_events);
/* people.c */
HANDLER(h_projects_list);
HANDLER(h_projects_create);
HANDLER(h_project_get);
HANDLER(h_project_patch);
HANDLER(h_project_delete);
HANDLER(h_project_grant);
HANDLER(h_users_list);
HANDLER(h_users_create);
HANDLER(h_user_delete);
/* operations.c */
HANDLER(h_operations_list);
HANDLER(h_operation_get);
HANDLER(h_operation_cancel);
/* host.c */
HANDLER(h_host);
HANDLER(h_queue);
HANDLER(h_audit);
HANDLER(h_audit_verify);
HANDLER(h_metrics);
HANDLER(h_openapi);

#endif
