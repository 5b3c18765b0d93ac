/* SPDX-License-Identifier: MIT */
/*
 * The host around VMs, see hostside.h.
 */
#include "mgr/hostside.h"

#include "base/fd.h"
#include "base/log.h"
#include "mgr/run/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int rules_of(const struct vm *vm, struct net_rule **rules, size_t *n, struct err *e)
{
	*rules = NULL;
	*n = 0;
	return vm->rules ? net_rules_decode(rules, n, vm->rules, strlen(vm->rules), e) : 0;
}

static int plug(struct hostside *h, const struct vm *vm, struct vm_config *c, int *tap_fd,
		struct err *e)
{
	struct net_nic nic = { .vm = vm->id,
			       .name = vm->name,
			       .mac = c->mac_given ? c->mac : NULL };
	MEM_AUTO struct net_rule *rules = NULL;
	const struct net_lease *lease;
	char mac[NET_MAC_TEXT];
	int ret;

	if (c->net != VM_NET_MANAGED)
		return 0;
	if (!h->net)
		return err_set(e, -EPERM, "%s", h->net_why);
	ret = rules_of(vm, &rules, &nic.n_rules, e);
	if (ret)
		return ret;
	nic.rules = rules;
	nic.set_rules = true;
	ret = netmgr_attach(h->net, c->network, &nic, tap_fd, &lease, e);
	if (ret)
		return ret;
	return vm_config_set(c, "mac", net_mac_format(mac, lease->mac), e);
}

/* A disk's "volume:NAME" becomes the path of its file. */
static int find_volume(struct hostside *h, struct vm_disk *d, struct err *e)
{
	const struct volume_record *v;
	char path[VM_PATH_MAX + 1], *s;
	int ret;

	if (strncmp(d->path, VM_DISK_VOLUME, strlen(VM_DISK_VOLUME)) != 0)
		return 0;
	v = stock_volume(&h->stock, d->path + strlen(VM_DISK_VOLUME));
	/* An id would do to find it, but who has a volume is told by its name. */
	if (v && strcmp(v->name, d->path + strlen(VM_DISK_VOLUME)) != 0)
		return err_set(e, -EINVAL, "disk '%s': name the volume '%s'", d->path, v->name);
	ret = stock_path(&h->stock, d->path + strlen(VM_DISK_VOLUME), path, sizeof(path), e);
	if (ret)
		return ret;
	s = strdup(path);
	if (!s)
		return err_set(e, -ENOMEM, "no memory for a disk's path");
	free(d->path);
	d->path = s;
	return 0;
}

static uint64_t disk_used(void *ctx, const char *project)
{
	struct hostside *h = ctx;

	return stock_bytes(&h->stock, project);
}

static void measure(void *ctx, const struct vm *vm, struct sample *s)
{
	struct hostside *h = ctx;

	s->cpu_ns = process_cpu_ns(vm->life.run.pid);
	s->steal_ns = process_steal_ns(vm->life.run.pid);
	groups_throttled(&h->groups, vm, &s->throttled_ns);
}

static int prepare(void *ctx, const struct vm *vm, struct vm_config *c, int *tap_fd, struct err *e)
{
	struct hostside *h = ctx;
	int ret = groups_make(&h->groups, vm, e);

	for (unsigned i = 0; i < c->n_disks && !ret; i++)
		ret = find_volume(h, &c->disks[i], e);
	return ret ? ret : plug(h, vm, c, tap_fd, e);
}

void hostside_made(void *ctx, const char *id, pid_t pid)
{
	struct hostside *h = ctx;
	const struct vm *vm = mgr_find_id(h->mgr, id);

	if (vm)
		groups_join(&h->groups, vm, pid);
}

static void started(void *ctx, const struct vm *vm)
{
	struct hostside *h = ctx;

	/* Again, for one whose manager died before it could: it stays where it is already. */
	if (!groups_make(&h->groups, vm, NULL))
		groups_join(&h->groups, vm, vm->life.run.pid);
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
	/* Whatever its configuration says by now: it may have changed since the start. */
	if (h->net)
		complain(netmgr_detach(h->net, vm->id, &e), &e);
}

static void changed(void *ctx, const struct vm *vm, bool renamed)
{
	struct hostside *h = ctx;
	struct err e = { 0 };

	if (vm->life.run.pid) {
		groups_set(&h->groups, vm);
		balance_now(h->balance);
	}
	groups_set_reserved(&h->groups);
	if (h->net && renamed)
		complain(netmgr_rename(h->net, vm->id, vm->name, &e), &e);
	if (h->net && vm->life.run.pid && vm->config.net == VM_NET_MANAGED) {
		MEM_AUTO struct net_rule *rules = NULL;
		size_t n;
		int ret = rules_of(vm, &rules, &n, &e);

		complain(ret ? ret : netmgr_set_rules(h->net, vm->id, rules, n, &e), &e);
	}
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
	.measure = measure,
	.disk_used = disk_used,
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

/*
 * Bridges, taps and rules have one owner in a network namespace, or two would sweep each other's
 * away. An abstract socket's name is such a namespace's own and goes with its holder, unix(7).
 */
static int own_networks(struct hostside *h, struct err *e)
{
	static const char name[] = "\0holm-networks";
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + sizeof(name) - 1;

	if (geteuid())
		return err_set(e, -EPERM,
			       "networks need root's rights: use --net user, or the "
			       "host's own holmd");
	h->net_lock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(a.sun_path, name, sizeof(name) - 1);
	if (h->net_lock < 0 || bind(h->net_lock, (struct sockaddr *)&a, len))
		return err_set(e, -errno, "cannot take the host's networks, %s",
			       errno == EADDRINUSE ? "another holmd has them: use that one"
						   : strerror(errno));
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
	if (own_networks(h, &why) || netmgr_open(&h->net, &o, &why)) {
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
	char volumes[4096];
	int ret;

	h->groups.mgr = h->mgr;
	groups_open(&h->groups, run_dir);
	h->stock.store = h->store;
	if (snprintf(volumes, sizeof(volumes), "%s/volumes", state_dir) >= (int)sizeof(volumes))
		return err_set(e, -ENAMETOOLONG, "%s: too long a path", state_dir);
	ret = stock_open(&h->stock, volumes, e);
	return ret ? ret : open_net(h, run_dir, state_dir, e);
}

void hostside_close(struct hostside *h)
{
	stock_close(&h->stock);
	groups_close(&h->groups);
	netmgr_close(h->net);
	fd_close(&h->net_lock);
	h->net = NULL;
}
