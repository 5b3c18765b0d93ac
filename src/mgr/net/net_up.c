/* SPDX-License-Identifier: MIT */
/*
 * Networks go up and down, and are found again, see net.h.
 *
 * The order of a start: the runtime directory (the sign that it runs), the bridge, the rules,
 * and only then the bridge goes up. Killed anywhere between, netmgr_restore() does the rest.
 */
#include "base/fd.h"
#include "base/log.h"
#include "mgr/net/net_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOT_FILE "boot-id"
#define BOOT_MAX  64

int net_sysctl(const char *path, const char *value)
{
	FD_AUTO fd = open(path, O_RDWR | O_CLOEXEC);
	char now[32] = "";
	ssize_t n;
	int ret;

	if (fd < 0)
		return -errno;
	n = fd_read_full(fd, now, sizeof(now) - 1);
	if (n < 0)
		return (int)n;
	now[strcspn(now, "\n")] = 0;
	if (!strcmp(now, value))
		return 0;
	ret = lseek(fd, 0, SEEK_SET) < 0 ? -errno : fd_write_full(fd, value, strlen(value));
	return ret ? ret : 1;
}

static void no_ipv6(const char *name)
{
	char path[96];
	int ret;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	ret = net_sysctl(path, "1");
	/* A host without IPv6 has no such file. */
	if (ret < 0 && ret != -ENOENT)
		log_line(LOG_WARN, "net", "cannot switch IPv6 off on %s: %s", name, strerror(-ret));
}

void net_loopback(const struct network *n)
{
	bool want = false;
	char path[96];
	int ret;

	for (size_t i = 0; i < n->n_forwards; i++)
		want |= !n->forwards[i].host_addr || n->forwards[i].host_addr >> 24 == 127;
	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/route_localnet", n->bridge);
	ret = n->kind == NET_NAT ? net_sysctl(path, want ? "1" : "0") : 0;
	if (ret < 0)
		log_line(LOG_WARN, "net", "ports forwarded from 127.0.0.1 to %s do not work: %s",
			 n->name, strerror(-ret));
}

static int forwarding_on(const struct network *n, struct err *e)
{
	int ret = net_sysctl("/proc/sys/net/ipv4/ip_forward", "1");

	if (ret > 0)
		log_line(LOG_INFO, "net",
			 "switched net.ipv4.ip_forward on for network %s: this host routes now",
			 n->name);
	return ret < 0 ? err_set(e, ret, "cannot switch on routing for network %s: %s", n->name,
				 strerror(-ret))
		       : 0;
}

/* The bridge as it is, or a new one; *@index says which. */
static int bridge_make(struct netmgr *m, const struct network *n, int *index, struct err *e)
{
	uint8_t mac[NET_MAC_LEN];
	struct link_info l;
	int ret = link_get(&m->nl, n->bridge, &l);

	if (!ret && strcmp(l.kind, "bridge") != 0)
		return err_set(e, -EBUSY,
			       "network %s needs a bridge %s, but there is another interface of "
			       "that name; remove it",
			       n->name, n->bridge);
	if (ret && n->kind == NET_BRIDGED)
		return err_set(e, -ENODEV,
			       "network %s: bridge %s is gone; make it, or name another", n->name,
			       n->bridge);
	if (ret) {
		ret = net_route_free(m, &n->subnet, n->bridge, e);
		if (ret)
			return ret;
		net_mac_for(mac, n->id);
		ret = link_add_bridge(&m->nl, n->bridge, mac);
		if (!ret)
			ret = link_get(&m->nl, n->bridge, &l);
	}
	if (ret)
		return err_set(e, ret, "cannot make bridge %s of network %s: %s", n->bridge,
			       n->name, strerror(-ret));
	*index = l.index;
	return 0;
}

static int dir_make(struct netmgr *m, const struct network *n, struct err *e)
{
	if (mkdirat(m->run_fd, n->id, 0755) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make %s/%s: %s", m->run_dir, n->id,
			       strerror(errno));
	/* The umask must not keep dnsmasq out. */
	if (fchmodat(m->run_fd, n->id, 0755, 0) < 0)
		return err_set(e, -errno, "cannot open %s/%s for dnsmasq: %s", m->run_dir, n->id,
			       strerror(errno));
	return 0;
}

static void dir_remove(struct netmgr *m, const char *name)
{
	static const char *const files[] = { "dnsmasq.conf", "hosts",	 "names",
					     "leases",	     "stderr",	 "dnsmasq.conf.tmp",
					     "hosts.tmp",    "names.tmp" };
	FD_AUTO fd = openat(m->run_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlinkat(fd, files[i], 0);
	if (unlinkat(m->run_fd, name, AT_REMOVEDIR) < 0)
		log_line(LOG_WARN, "net", "cannot remove %s/%s: %s", m->run_dir, name,
			 strerror(errno));
}

static int dhcp_make(struct netmgr *m, struct net_one *o, struct err *e)
{
	MEM_AUTO char *dir = NULL;
	struct dhcp_params p = {
		.loop = m->loop,
		.program = m->dnsmasq,
		.user = m->user,
		.resolv = m->resolv,
		.net = &o->net,
		.leases = &o->leases,
	};

	if (o->dhcp || !network_has_addresses(&o->net))
		return 0;
	if (!m->dnsmasq[0] || access(m->dnsmasq, X_OK) < 0) {
		if (o->net.dhcp)
			return err_set(e, -ENOENT,
				       "network %s needs dnsmasq for DHCP, which is not installed: "
				       "install it, or set dhcp to false",
				       o->net.name);
		log_line(LOG_WARN, "net", "no dnsmasq here: names do not resolve in network %s",
			 o->net.name);
		return 0;
	}
	if (asprintf(&dir, "%s/%s", m->run_dir, o->net.id) < 0) {
		dir = NULL;
		return err_set(e, -ENOMEM, "no memory for network %s", o->net.name);
	}
	p.dir = dir;
	return dhcp_start(&o->dhcp, &p, e);
}

static void bridge_remove(struct netmgr *m, const struct network *n)
{
	struct link_info l;
	int ret;

	if (n->kind == NET_BRIDGED || link_get(&m->nl, n->bridge, &l))
		return;
	ret = link_del(&m->nl, l.index);
	if (ret)
		log_line(LOG_WARN, "net", "cannot remove bridge %s: %s", n->bridge, strerror(-ret));
}

static int bridge_up(struct netmgr *m, const struct network *n, int index, struct err *e)
{
	int ret = 0;

	if (n->kind == NET_BRIDGED)
		return 0;
	no_ipv6(n->bridge);
	net_loopback(n);
	if (n->kind == NET_NAT)
		ret = forwarding_on(n, e);
	if (ret)
		return ret;
	ret = link_add_addr(&m->nl, index, network_gateway(n), n->subnet.prefix);
	if (!ret)
		ret = link_set_up(&m->nl, index);
	return ret ? err_set(e, ret, "cannot set up bridge %s of network %s: %s", n->bridge,
			     n->name, strerror(-ret))
		   : 0;
}

/* Back to stopped; the rules last, so that nothing is open in between. */
static void take_down(struct netmgr *m, struct net_one *o)
{
	struct err e;

	dhcp_stop(o->dhcp);
	o->dhcp = NULL;
	bridge_remove(m, &o->net);
	o->active = false;
	if (net_apply(m, &e))
		log_line(LOG_WARN, "net", "rules of network %s stay: %s", o->net.name, e.msg);
	dir_remove(m, o->net.id);
}

int netmgr_start(struct netmgr *m, const char *net, struct err *e)
{
	struct net_one *o = net_get(m, net, e);
	bool was;
	int ret, index = 0;

	if (!o)
		return -ENOENT;
	was = o->active;
	ret = dir_make(m, &o->net, e);
	if (ret)
		return ret;
	ret = bridge_make(m, &o->net, &index, e);
	if (ret) {
		if (!was)
			dir_remove(m, o->net.id);
		return ret;
	}
	o->active = true;
	ret = net_apply(m, e);
	if (!ret)
		ret = bridge_up(m, &o->net, index, e);
	if (!ret)
		ret = dhcp_make(m, o, e);
	if (ret && !was)
		take_down(m, o);
	return ret;
}

/* Attached is whose tap is there; those that went without a word are seen here. */
static size_t see_taps(struct netmgr *m, struct net_one *o, bool *changed)
{
	size_t n = 0;

	for (size_t i = 0; i < o->leases.n; i++) {
		struct net_lease *l = &o->leases.v[i];
		char tap[NET_IF_MAX];
		struct link_info info;

		if (!l->attached)
			continue;
		net_tap_name(tap, l->vm);
		l->attached = link_get(&m->nl, tap, &info) != -ENODEV;
		n += l->attached;
		*changed |= !l->attached;
	}
	return n;
}

int netmgr_stop(struct netmgr *m, const char *net, struct err *e)
{
	struct net_one *o = net_get(m, net, e);
	bool changed = false;
	size_t n;
	int ret = 0;

	if (!o)
		return -ENOENT;
	n = see_taps(m, o, &changed);
	if (changed)
		ret = net_save(m, o, e);
	if (ret)
		return ret;
	if (n)
		return err_set(e, -EBUSY, "network %s has %zu running VM%s; stop %s first",
			       o->net.name, n, n == 1 ? "" : "s", n == 1 ? "it" : "them");
	if (o->active)
		take_down(m, o);
	return 0;
}

/* Whether this is the first call since the host's boot. */
static bool first_since_boot(struct netmgr *m)
{
	char now[BOOT_MAX] = "", then[BOOT_MAX] = "";
	FD_AUTO a = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	FD_AUTO b = openat(m->run_fd, BOOT_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct err e;

	if (a >= 0 && fd_read_full(a, now, sizeof(now) - 1) < 0)
		now[0] = 0;
	if (b >= 0 && fd_read_full(b, then, sizeof(then) - 1) < 0)
		then[0] = 0;
	if (b >= 0 && !strcmp(now, then))
		return false;
	if (net_file_replace(m->run_fd, BOOT_FILE, now, strlen(now), 0600, false, &e))
		log_line(LOG_WARN, "net", "%s", e.msg);
	return true;
}

static const struct net_one *by_id(const struct netmgr *m, const char *id)
{
	for (size_t i = 0; i < m->n; i++)
		if (!strcmp(m->v[i]->net.id, id))
			return m->v[i];
	return NULL;
}

static bool has_dhcp(void *ctx, const char *name)
{
	const struct net_one *o = by_id(ctx, name);

	return o && o->active && o->dhcp;
}

static bool tap_is_known(const struct netmgr *m, const char *tap)
{
	char name[NET_IF_MAX];

	for (size_t i = 0; i < m->n; i++)
		for (size_t j = 0; j < m->v[i]->leases.n; j++) {
			net_tap_name(name, m->v[i]->leases.v[j].vm);
			if (m->v[i]->leases.v[j].attached && !strcmp(name, tap))
				return true;
		}
	return false;
}

static int sweep_link(void *ctx, const struct link_info *l)
{
	struct netmgr *m = ctx;
	bool orphan = false;
	int ret;

	if (net_name_is_bridge(l->name) && !strcmp(l->kind, "bridge")) {
		orphan = true;
		for (size_t i = 0; i < m->n; i++)
			if (m->v[i]->active && !strcmp(m->v[i]->net.bridge, l->name))
				orphan = false;
	} else if (net_name_is_tap(l->name) && !strcmp(l->kind, "tun")) {
		orphan = !tap_is_known(m, l->name);
	}
	if (!orphan)
		return 0;
	ret = link_del(&m->nl, l->index);
	log_line(LOG_INFO, "net", "removing orphaned interface %s%s%s", l->name, ret ? ": " : "",
		 ret ? strerror(-ret) : "");
	return 0;
}

/* Runtime directories of networks that do not run; @all: of an earlier boot. */
static void sweep_dirs(struct netmgr *m, bool all)
{
	int fd = openat(m->run_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *ent;

	if (!d) {
		fd_close(&fd);
		return;
	}
	while ((ent = readdir(d))) {
		const struct net_one *o = by_id(m, ent->d_name);

		if (net_id_ok(ent->d_name) && (all || !o || !o->active))
			dir_remove(m, ent->d_name);
	}
	closedir(d);
}

static void plug_all(struct netmgr *m, const struct net_one *o)
{
	for (size_t i = 0; i < o->leases.n; i++) {
		char tap[NET_IF_MAX];
		struct err e;

		if (!o->leases.v[i].attached)
			continue;
		net_tap_name(tap, o->leases.v[i].vm);
		if (net_tap_plug(m, o, tap, &e))
			log_line(LOG_WARN, "net", "%s", e.msg);
	}
}

/* What ran, or is to run, runs. */
static int restore_one(struct netmgr *m, struct net_one *o, bool boot, struct err *e)
{
	bool changed = false, want;
	size_t taps = see_taps(m, o, &changed);
	int ret = changed ? net_save(m, o, e) : 0;

	/* Whatever the directory says: who has running VMs runs. */
	want = taps || (boot ? o->net.autostart : faccessat(m->run_fd, o->net.id, F_OK, 0) == 0);
	if (want && !ret)
		ret = netmgr_start(m, o->net.id, e);
	if (want && !ret)
		plug_all(m, o);
	return ret;
}

int netmgr_restore(struct netmgr *m, struct err *e)
{
	bool boot = first_since_boot(m);
	struct err why = { 0 };
	int ret = 0, one;

	if (boot)
		sweep_dirs(m, true);
	for (size_t i = 0; i < m->n; i++) {
		one = restore_one(m, m->v[i], boot, &why);
		if (!one)
			continue;
		log_line(LOG_ERROR, "net", "network %s: %s", m->v[i]->net.name, why.msg);
		if (!ret)
			ret = err_set(e, one, "network %s: %.400s", m->v[i]->net.name, why.msg);
	}
	dhcp_sweep(m->run_dir, has_dhcp, m);
	one = link_each(&m->nl, sweep_link, m);
	if (!one)
		one = net_apply(m, &why);
	else
		err_set(&why, one, "cannot list interfaces: %s", strerror(-one));
	sweep_dirs(m, false);
	if (one && !ret)
		ret = err_set(e, one, "%s", why.msg);
	return ret;
}
