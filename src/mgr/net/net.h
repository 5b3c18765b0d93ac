/* SPDX-License-Identifier: MIT */
/*
 * The host networks of VMs, for a holmd that has the rights.
 *
 * Theory of operation: the caller owns the records (its store) and tells them with
 * netmgr_define(); the leases are ours, in one file a network under the state directory. What is
 * up is asked of the kernel and of the runtime directory (which a reboot empties): a network runs
 * where its directory is there, a VM is attached where its tap exists, and a tap exists as long as
 * its VMM holds it. Names follow from ids, so after kill -9 netmgr_restore() finds everything,
 * puts back what is missing and takes away what nobody owns. It may be called at any time.
 *
 * A VM has one card. Its lease (MAC, address, rules) is made at the first attach and stays until
 * netmgr_forget(). The address follows from the VM's name, so a VM made anew under the same name
 * gets the same one where it is free.
 *
 * Limits: IPv4 only on nat and isolated networks. One holmd a host (or network namespace).
 *
 * Threads: the manager's loop only. Nothing waits: the slowest is the rewriting of the rules.
 */
#ifndef HOLM_MGR_NET_NET_H
#define HOLM_MGR_NET_NET_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/loop.h"
#include "mgr/net/lease.h"
#include "mgr/net/network.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct netmgr;

struct netmgr_opts {
	struct loop *loop;
	const char *state_dir; /* leases; made 0700 where it is not there */
	const char *run_dir;   /* dnsmasq's files; made 0755; others must be able to reach it */
	const char *dnsmasq;   /* path; NULL: where Linux systems have it */
	const char *resolv;    /* NULL: /etc/resolv.conf */
};

/** What netmgr_info() tells. Pointers are borrowed until the next call that changes anything. */
struct net_info {
	const struct network *net;
	bool active;
	const struct leases *leases;
	size_t attached;
	pid_t dnsmasq; /* 0: none now */
};

/** What a VM plugs in. */
struct net_nic {
	const char *vm;		      /* id */
	const char *name;	      /* for DHCP and DNS */
	const uint8_t *mac;	      /* NULL: the lease's, or one that follows from the id */
	const struct net_rule *rules; /* used where @set_rules */
	size_t n_rules;
	bool set_rules; /* else the lease's stay */
};

/**
 * netmgr_open() - needs CAP_NET_ADMIN.
 *
 * Errors: -EPERM with the next step (user networking), -ENOENT, -EACCES, -ENOMEM.
 */
int netmgr_open(struct netmgr **out, const struct netmgr_opts *o, struct err *e) MUST_CHECK;

/** netmgr_close() - forget all and leave it running, for the next one. NULL is allowed. */
void netmgr_close(struct netmgr *m);

/**
 * netmgr_define() - know a network; nothing is started.
 * @n:     a nat or isolated one without subnet gets one that no route and no other network has,
 *         and its bridge's name: the caller stores @n as it is afterwards
 * @fresh: a user makes it now, so the host must have room for it; else it comes from the store
 *         and what the host lacks is told by netmgr_start()
 *
 * Errors: -EEXIST (name, subnet or bridge is taken), -EINVAL, -ENOSPC (no free subnet), -ENOMEM.
 */
int netmgr_define(struct netmgr *m, struct network *n, bool fresh, struct err *e) MUST_CHECK;

/**
 * netmgr_update() - the record of the same id changes; forwards, autostart and name at any time,
 * the rest only while it is stopped, the subnet only while there are no leases. What runs follows.
 *
 * Errors: as netmgr_define(), -EBUSY; then all is as it was.
 */
int netmgr_update(struct netmgr *m, const struct network *n, struct err *e) MUST_CHECK;

/** netmgr_remove() - forget a stopped network and its leases. -EBUSY, -ENOENT. */
int netmgr_remove(struct netmgr *m, const char *net, struct err *e) MUST_CHECK;

/**
 * netmgr_start() - bridge, address, rules, dnsmasq; what is there already stays.
 *
 * Errors: -ENODEV (a bridged network's bridge), -EBUSY (an interface of another's has our name),
 * -EEXIST (a route has the subnet now), -ENOENT (no dnsmasq), what nftables says.
 */
int netmgr_start(struct netmgr *m, const char *net, struct err *e) MUST_CHECK;

/** netmgr_stop() - the reverse; -EBUSY while VMs are attached. No-op where it is stopped. */
int netmgr_stop(struct netmgr *m, const char *net, struct err *e) MUST_CHECK;

/**
 * netmgr_attach() - a tap for a VM: a port of the network's bridge behind its rules.
 * @net:   id or name; must run
 * @fd:    receives the tap's descriptor (see tap_open()), for the VMM; the interface ends with it
 * @lease: receives the lease; borrowed until the next change; may be NULL
 *
 * Errors: -ENOENT, -EBUSY (the network is stopped, the tap is in use), -EEXIST (MAC or name),
 * -ENOSPC (no address), -EPERM.
 */
int netmgr_attach(struct netmgr *m, const char *net, const struct net_nic *nic, int *fd,
		  const struct net_lease **lease, struct err *e) MUST_CHECK;

/** netmgr_detach() - the VM is stopped; its lease stays. No-op where it is not attached. */
int netmgr_detach(struct netmgr *m, const char *vm, struct err *e) MUST_CHECK;
/** netmgr_forget() - the VM is purged: its leases everywhere are free. */
int netmgr_forget(struct netmgr *m, const char *vm, struct err *e) MUST_CHECK;
/** netmgr_rename() - NAME.holm follows; the address stays. -EEXIST. */
int netmgr_rename(struct netmgr *m, const char *vm, const char *name, struct err *e) MUST_CHECK;
/** netmgr_set_rules() - of a VM with a lease, live. -ENOENT. */
int netmgr_set_rules(struct netmgr *m, const char *vm, const struct net_rule *rules, size_t n,
		     struct err *e) MUST_CHECK;

/**
 * netmgr_restore() - after all records are defined: what ran runs again with all its VMs, at the
 * first call since the host's boot also what has autostart; orphans are ended.
 *
 * A network that cannot be started is logged and does not keep the others. Return: 0, or the
 * first failure, when all was tried.
 */
int netmgr_restore(struct netmgr *m, struct err *e) MUST_CHECK;

/** netmgr_info() - by id or name; -ENOENT with a sentence. */
int netmgr_info(const struct netmgr *m, const char *net, struct net_info *out,
		struct err *e) MUST_CHECK;

/** netmgr_each() - ordered as defined; another value than 0 ends the walk and is returned. */
int netmgr_each(const struct netmgr *m, int (*fn)(void *ctx, const struct net_info *i), void *ctx);

#endif
