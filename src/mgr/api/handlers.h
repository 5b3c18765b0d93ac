/* SPDX-License-Identifier: MIT */
/*
 * The handlers that the table of routes names; routes.h has their contract.
 */
#ifndef HOLM_MGR_API_HANDLERS_H
#define HOLM_MGR_API_HANDLERS_H

#include "mgr/api/routes.h"

api_handler_fn h_vms_list;
api_handler_fn h_vms_create;
api_handler_fn h_vm_get;
api_handler_fn h_vm_patch;
api_handler_fn h_vm_delete;
api_handler_fn h_vm_verb;
api_handler_fn h_vm_wait;
api_handler_fn h_vm_stats;
api_handler_fn h_vm_history;
api_handler_fn h_vm_log;
api_handler_fn h_console;
api_handler_fn h_projects_list;
api_handler_fn h_projects_create;
api_handler_fn h_project_get;
api_handler_fn h_project_patch;
api_handler_fn h_project_delete;
api_handler_fn h_project_grant;
api_handler_fn h_users_list;
api_handler_fn h_users_create;
api_handler_fn h_user_delete;
api_handler_fn h_networks_list;
api_handler_fn h_networks_create;
api_handler_fn h_network_get;
api_handler_fn h_network_patch;
api_handler_fn h_network_delete;
api_handler_fn h_network_verb;
api_handler_fn h_network_leases;
api_handler_fn h_pools_list;
api_handler_fn h_pools_create;
api_handler_fn h_pool_get;
api_handler_fn h_pool_delete;
api_handler_fn h_volumes_list;
api_handler_fn h_volumes_create;
api_handler_fn h_volume_get;
api_handler_fn h_volume_patch;
api_handler_fn h_volume_delete;
api_handler_fn h_volume_download;
api_handler_fn h_volume_upload;
api_handler_fn h_host;
api_handler_fn h_sched_queue;
api_handler_fn h_operations_list;
api_handler_fn h_operation_get;
api_handler_fn h_operation_cancel;
api_handler_fn h_events;
api_handler_fn h_audit_list;
api_handler_fn h_audit_verify;
api_handler_fn h_metrics;
api_handler_fn h_openapi;

#endif
