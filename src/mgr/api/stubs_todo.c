/* SPDX-License-Identifier: MIT */
#include "mgr/api/handlers.h"
#include "mgr/api/reply.h"
#define T(n) void n(struct api_ctx *c, struct api_request *r, const char *const a[]) { (void)c; (void)a; api_fail(r, API_INTERNAL, "not yet"); }
T(h_pools_list) T(h_pools_create) T(h_pool_get) T(h_pool_delete) T(h_volumes_list) T(h_volumes_create) T(h_volume_get) T(h_volume_patch) T(h_volume_delete) T(h_volume_download) T(h_volume_upload)
