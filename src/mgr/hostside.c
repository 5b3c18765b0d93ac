/* SPDX-License-Identifier: MIT */
/*
 * The host around VMs, see hostside.h.
 */
#include "mgr/hostside.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int plug(struct hostside *h, const struct vm *vm, struct vm_config *c, int *tap_fd,
		struct err *e)
{
	struct net_nic nic = { .vm = vm->id,
			       .name = vm->name,
			       .mac = c->mac_given ? c->mac : NULL };
	const struct net_lease *lease;
	char mac[18];
	int ret;

	if (c->net != VM_NET_MANAGED)
		return 0;
	if (!h->net)
		return err_set(e, -EPERM, "%s", h->net_why);
	ret = netmgr_attach(h->net, c->network, &nic, tap_fd, &lease, e);
	if (ret)
		return ret;
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", lease->mac[0], lease->mac[1],
		 lease->mac[2], lease->mac[3], lease->mac[4], lease->mac[5]);
	return vm_config_set(c, "mac", mac, e);
}

static int prepare(void *ctx, const struct vm *vm, struct vm_config *c, int *tap_fd, struct err *e)
{
	struct hostside *h = ctx;
	int ret = groups_make(&h->groups, vm, e);

	return ret ? ret : plug(h, vm, c, tap_fd, e);
}

void hostside_made(void *ctx, const char *id, pid_t pid)
{
	struct hostside *h = ctx;
	const struct vm *vm = mgr_find_id(h->mgr, id);

	if (vm)
		groups_join(&h->groups, vm, pid);
}

static void started(void *ctx, const struct vm *vm UNUSED)
{
	struct hostside *h = ctx;

	groups_set_reserved(&h->groups);
	monitor_wake(h->monitor);
}

/* What fails here is found again by netmgr_restore() at the next start. */
static void complain(int ret, const struct err *e)
{
	if (ret)
		log_line(LOG_WARN, "network", "%s", e->msg);
}

static void release(void *ctx, const struct vm *vm)
{
	struct hostside *h = ctx;
	struct err e = { 0 };

	groups_leave(&h->groups, vm);
	groups_set_reserved(&h->groups);
	if (h->net && vm->config.net == VM_NET_MANAGED)
		complain(netmgr_detach(h->net, vm->id, &e), &e);
}

static void changed(void *ctx, const struct vm *vm, bool renamed)
{
	struct hostside *h = ctx;
	struct err e = { 0 };

	if (vm->life.run.pid)
		groups_set(&h->groups, vm);
	groups_set_reserved(&h->groups);
	if (h->net && renamed)
		complain(netmgr_rename(h->net, vm->id, vm->name, &e), &e);
}

static void purged(void *ctx, const struct vm *vm)
{
	struct hostside *h = ctx;
	struct err e = { 0 };

	if (h->net)
		complain(netmgr_forget(h->net, vm->id, &e), &e);
}

const struct mgr_host_ops hostside_ops = {
	.prepare = prepare,
	.started = started,
	.release = release,
	.changed = changed,
	.purged = purged,
};

/* One that cannot be had any more is left out, and its record stays. */
static int define(void *ctx, const char *kind UNUSED, const char *id UNUSED, const char *name,
		  const char *body)
{
	struct hostside *h = ctx;
	struct network n;
	struct err e = { 0 };
	int ret;

	network_init(&n);
	ret = network_decode(&n, body, strlen(body), true, &e);
	if (!ret)
		ret = netmgr_define(h->net, &n, false, &e);
	if (ret)
		log_line(LOG_ERROR, "network", "network '%s': %s", name ? name : id, e.msg);
	network_free(&n);
	return 0;
}

static int open_net(struct hostside *h, const char *run_dir, const char *state_dir, struct err *e)
{
	char run[4096], state[4096];
	struct netmgr_opts o = { .loop = h->loop, .state_dir = state, .run_dir = run };
	struct err why = { 0 };
	int ret;

	if (snprintf(run, sizeof(run), "%s/net", run_dir) >= (int)sizeof(run) ||
	    snprintf(state, sizeof(state), "%s/net", state_dir) >= (int)sizeof(state))
		return err_set(e, -ENAMETOOLONG, "%s: too long a path", state_dir);
	if (netmgr_open(&h->net, &o, &why)) {
		h->net = NULL;
		snprintf(h->net_why, sizeof(h->net_why), "%s", why.msg);
		log_line(LOG_INFO, "network", "no networks here: %s", why.msg);
		return 0;
	}
	ret = h->store->ops->each(h->store, "network", define, h, e);
	if (!ret && netmgr_restore(h->net, &why))
		log_line(LOG_ERROR, "network", "%s", why.msg);
	return ret;
}

int hostside_open(struct hostside *h, const char *run_dir, const char *state_dir, struct err *e)
{
	h->groups.mgr = h->mgr;
	groups_open(&h->groups, run_dir);
	return open_net(h, run_dir, state_dir, e);
}

void hostside_close(struct hostside *h)
{
	groups_close(&h->groups);
	netmgr_close(h->net);
	h->net = NULL;
}
