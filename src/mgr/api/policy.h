/* SPDX-License-Identifier: MIT */
/*
 * What of the host a managed VM's configuration may name, by who asks.
 *
 * Theory of operation: a VM's process is started by holmd and opens files with its rights, so a
 * path in a configuration is as good as those rights. An admin may name anything. Everybody else
 * names kernels below folders that the admin has chosen (--boot-dir), volumes of projects they
 * own, networks of the manager's, ports that any user could take, and devices without a way out.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_API_POLICY_H
#define HOLM_MGR_API_POLICY_H

#include "mgr/api/ctx.h"

#define POLICY_PORT_MIN 1024 /* below it ports are root's, ip(7) */

/**
 * policy_check_config() - api_ctx.check_config: a VM's configuration as its user sent it.
 * @config: the members that are set; NULL or no object: nothing to say against
 *
 * Errors: -EPERM with a sentence; those of vm_config_decode().
 */
int policy_check_config(const struct api_ctx *ctx, const json_t *config, struct err *e) MUST_CHECK;

#endif
