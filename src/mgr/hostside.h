/* SPDX-License-Identifier: MIT */
/*
 * The host around VMs, for the manager: networks, volumes and control groups, behind
 * mgr_host_ops. Each of them may be missing (no rights, no kernel support); what then cannot be
 * had is said where it is asked for.
 */
#ifndef HOLM_MGR_HOSTSIDE_H
#define HOLM_MGR_HOSTSIDE_H

#include "mgr/balance.h"
#include "mgr/core/manager.h"
#include "mgr/groups.h"
#include "mgr/img/stock.h"
#include "mgr/monitor.h"
#include "mgr/net/net.h"

struct hostside {
	struct loop *loop;   /* borrowed, as the next four */
	struct store *store;
	struct mgr *mgr;
	struct monitor *monitor;
	struct balance *balance;
	struct groups groups;
	struct stock stock;
	int net_lock; /* held while the networks are ours; -1 */
	struct netmgr *net; /* NULL: none, and why */
	char net_why[ERR_MSG_MAX];
};

extern const struct mgr_host_ops hostside_ops; /* their ctx is a struct hostside */

/** hostside_open() - @h zeroed but for the borrowed; records are read from the store. */
int hostside_open(struct hostside *h, const char *run_dir, const char *state_dir,
		  struct err *e) MUST_CHECK;
void hostside_close(struct hostside *h);
/** hostside_made() - the runner's word that a VM's process is there. */
void hostside_made(void *ctx, const char *id, pid_t pid);

#endif
