/* SPDX-License-Identifier: MIT */
/*
 * One dnsmasq for each network: addresses and names.
 *
 * Theory of operation: everything dnsmasq is to know stands in files under the network's runtime
 * directory: dnsmasq.conf, hosts (MAC, address and name of each lease, for DHCP) and names
 * (NAME.holm, for DNS). A change of leases rewrites the last two and sends SIGHUP.
 *
 * The process is a session of its own and outlives the manager. It is known by its command line,
 * "--conf-file=" with our path, not by a file with its number, so there is no moment at which a
 * manager that is killed leaves one that nobody knows: dhcp_start() looks through /proc, adopts
 * one that was started with the same configuration and ends all others of that path. A pidfd in
 * the loop tells when it dies, child or adopted; it is then started again, each time later (from
 * 100 ms to 30 s).
 *
 * dnsmasq gives up root's rights, so its directory and files are readable for all.
 *
 * Threads: the manager's loop. Nothing waits: the start is one fork.
 */
#ifndef HOLM_MGR_NET_DHCP_H
#define HOLM_MGR_NET_DHCP_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/loop.h"
#include "mgr/net/lease.h"
#include "mgr/net/network.h"

#include <stdbool.h>
#include <sys/types.h>

struct dhcp;

struct dhcp_params {
	struct loop *loop;
	const char *program; /* path of dnsmasq */
	const char *user;    /* whom it becomes */
	const char *resolv;  /* file with the servers that a nat network's VMs may ask */
	const char *dir;     /* runtime directory of this network; exists, absolute */
	const struct network *net;
	const struct leases *leases;
};

/** The three files' texts; the caller frees them. NULL: out of memory. */
char *dhcp_config_text(const struct dhcp_params *p);
char *dhcp_hosts_text(const struct leases *t);
char *dhcp_names_text(const struct leases *t);

/** dhcp_start() - write the files, adopt or start the process. Strings of @p are copied. */
int dhcp_start(struct dhcp **out, const struct dhcp_params *p, struct err *e) MUST_CHECK;

/** dhcp_update() - leases changed: new files, and it reads them. */
int dhcp_update(struct dhcp *d, const struct leases *t, struct err *e) MUST_CHECK;

/** dhcp_stop() - end it, at once; NULL is allowed. */
void dhcp_stop(struct dhcp *d);
/** dhcp_leave() - forget it and let it run, for the next manager. NULL is allowed. */
void dhcp_leave(struct dhcp *d);

/** dhcp_pid() - of the process, 0 while it is to be started again. */
pid_t dhcp_pid(const struct dhcp *d);

/** dhcp_path_safe() - whether a path can stand in dnsmasq's configuration. */
bool dhcp_path_safe(const char *path);

/**
 * dhcp_sweep() - end every dnsmasq whose configuration lies under @run_dir, but those that
 * @keep says true for.
 * @keep: asked with the name of the directory below @run_dir
 *
 * Return: how many were ended.
 */
int dhcp_sweep(const char *run_dir, bool (*keep)(void *ctx, const char *name), void *ctx);

#endif
