/* SPDX-License-Identifier: MIT */
/*
 * The leases of one network: which VM has which MAC, address and rules.
 *
 * Theory of operation: a lease is made when a VM is first attached and stays until the VM is
 * purged, so an address outlives stops, renames and restarts of everything. The table is one JSON
 * file, replaced as a whole (temporary file, fsync, rename, fsync of the directory): it is
 * durable when leases_save() returns, and whole whenever we are killed.
 *
 * Threads: none of its own.
 */
#ifndef HOLM_MGR_NET_LEASE_H
#define HOLM_MGR_NET_LEASE_H

#include "base/compiler.h"
#include "base/err.h"
#include "mgr/net/addr.h"
#include "mgr/net/network.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net_lease {
	char vm[NET_ID_LEN + 1];
	char name[VM_NAME_MAX + 1];
	uint8_t mac[NET_MAC_LEN];
	uint32_t addr;		/* 0 on a bridged network */
	bool attached;		/* its tap is, or is about to be, in a VMM's hands */
	struct net_rule *rules; /* owned */
	size_t n_rules;
};

struct leases {
	struct net_lease *v;
	size_t n;
};

/** leases_free() - all of it; the struct may be used again. */
void leases_free(struct leases *t);

/** leases_find() - by the VM's id, or its name; NULL: it has none. */
struct net_lease *leases_find(const struct leases *t, const char *vm);

/**
 * leases_add() - room for one more; the pointers into @t move.
 *
 * Return: the zeroed lease, or NULL (out of memory).
 */
struct net_lease *leases_add(struct leases *t);
void leases_remove(struct leases *t, struct net_lease *l);

/** leases_load() - from @file in the directory @dirfd; no file: none. -EINVAL, -EIO, -ENOMEM. */
int leases_load(struct leases *t, int dirfd, const char *file, struct err *e) MUST_CHECK;
/** leases_save() - durable on return; the old file is intact on failure. -ENOSPC, -EIO. */
int leases_save(const struct leases *t, int dirfd, const char *file, struct err *e) MUST_CHECK;

/**
 * net_file_replace() - the whole of @file, of mode @mode, by @len bytes.
 * @sync: durable on return
 *
 * Killed in the middle it leaves the old file, and FILE.tmp, which the next one overwrites.
 */
int net_file_replace(int dirfd, const char *file, const char *text, size_t len, unsigned mode,
		     bool sync, struct err *e) MUST_CHECK;

#endif
