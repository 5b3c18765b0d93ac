/* SPDX-License-Identifier: MIT */
/*
 * What the context asks of volumes: members of struct api_ctx, see ctx.h.
 */
#ifndef HOLM_MGR_API_VOLUMES_H
#define HOLM_MGR_API_VOLUMES_H

#include "mgr/core/api.h"

struct api_ctx;

/** volumes_project() - the project of a volume; "*" where there is none. */
const char *volumes_project(const struct api_ctx *ctx, const char *name);
/** volumes_upload() - who takes the bytes of PUT /v1/volumes/VOLUME/data. */
struct api_stream *volumes_upload(struct api_ctx *ctx, struct api_request *r,
				  const char *const arg[]);

#endif
