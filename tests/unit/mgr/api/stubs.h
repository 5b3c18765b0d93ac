/* SPDX-License-Identifier: MIT */
/*
 * Handlers that do nothing, so that the table of routes links alone.
 */
#ifndef HOLM_TESTS_UNIT_MGR_API_STUBS_H
#define HOLM_TESTS_UNIT_MGR_API_STUBS_H

#include "mgr/api/handlers.h"

/* clang-format off */
#define STUB(name)                                                                                 \
	void h_##name(struct api_ctx *ctx UNUSED, struct api_request *r UNUSED,                    \
		      const char *const arg[] UNUSED)                                              \
	{                                                                                          \
	}
STUB(vms_list)
STUB(vms_create)
STUB(vm_get)
STUB(vm_patch)
STUB(vm_delete)
STUB(vm_verb)
STUB(vm_wait)
STUB(vm_stats)
STUB(vm_history)
STUB(vm_log)
STUB(console)
STUB(projects_list)
STUB(projects_create)
STUB(project_get)
STUB(project_patch)
STUB(project_delete)
STUB(project_grant)
STUB(users_list)
STUB(users_create)
STUB(user_delete)
STUB(networks_list)
STUB(networks_create)
STUB(network_get)
STUB(network_patch)
STUB(network_delete)
STUB(network_verb)
STUB(network_leases)
STUB(pools_list)
STUB(pools_create)
STUB(pool_get)
STUB(pool_delete)
STUB(volumes_list)
STUB(volumes_create)
STUB(volume_get)
STUB(volume_patch)
STUB(volume_delete)
STUB(volume_download)
STUB(volume_upload)
STUB(host)
STUB(sched_queue)
STUB(operations_list)
STUB(operation_get)
STUB(operation_cancel)
STUB(events)
STUB(audit_list)
STUB(audit_verify)
STUB(metrics)
STUB(openapi)
/* clang-format on */

#endif
