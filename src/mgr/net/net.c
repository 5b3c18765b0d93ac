/* SPDX-License-Identifier: MIT */
/*
 * The networks that are known, see net.h.
 *
 * Invariant: no two networks share a name, an id, a bridge or an address.
 */
#include "base/fd.h"
#include "mgr/net/net_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ADVICE "run holmd as root, or use user networking, which needs no rights"

static int check_rights(struct err *e)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &h, d) < 0 || !(d[0].effective & 1u << CAP_NET_ADMIN))
		return err_set(e, -EPERM, "host networks need CAP_NET_ADMIN: " ADVICE);
	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		return err_set(e, -errno,
			       "host networks need /dev/net/tun: %s; load the module tun, or use "
			       "user networking, which needs no rights",
			       strerror(errno));
	return 0;
}

static int open_dir(const char *path, unsigned mode, struct err *e)
{
	FD_AUTO fd = -1;

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make %s: %s", path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fchmod(fd, mode) < 0)
		return err_set(e, -errno, "cannot use %s: %s", path, strerror(errno));
	return fd_take(&fd);
}

/* dnsmasq has no rights left when it reads its files again. */
static int check_reachable(const char *path, struct err *e)
{
	MEM_AUTO char *p = strdup(path);
	struct stat st;

	if (!p)
		return err_set(e, -ENOMEM, "no memory for a path");
	for (char *s = p + strlen(p); s > p; s = strrchr(p, '/')) {
		*s = 0;
		if (*p && (stat(p, &st) < 0 || !(st.st_mode & S_IXOTH)))
			return err_set(e, -EACCES,
				       "dnsmasq cannot reach %s: %s has no mode o+x; give it, or "
				       "choose another runtime directory",
				       path, p);
	}
	return 0;
}

static char *find_dnsmasq(const char *given)
{
	static const char *const places[] = { "/usr/sbin/dnsmasq", "/usr/bin/dnsmasq",
					      "/usr/local/sbin/dnsmasq", "/sbin/dnsmasq" };

	if (given)
		return strdup(given);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (!access(places[i], X_OK))
			return strdup(places[i]);
	return strdup(""); /* told when a network wants it */
}

static int open_dirs(struct netmgr *m, const struct netmgr_opts *o, struct err *e)
{
	if (!dhcp_path_safe(o->run_dir) || (o->resolv && !dhcp_path_safe(o->resolv)))
		return err_set(e, -EINVAL,
			       "%s must be an absolute path of letters, digits and /._-+@= only, "
			       "for dnsmasq's sake",
			       dhcp_path_safe(o->run_dir) ? o->resolv : o->run_dir);
	m->run_dir = strdup(o->run_dir);
	m->dnsmasq = find_dnsmasq(o->dnsmasq);
	m->resolv = strdup(o->resolv ? o->resolv : "/etc/resolv.conf");
	if (!m->run_dir || !m->dnsmasq || !m->resolv)
		return err_set(e, -ENOMEM, "no memory for host networks");
	m->state_fd = open_dir(o->state_dir, 0700, e);
	if (m->state_fd < 0)
		return m->state_fd;
	/* dnsmasq passes through to its own folder; nobody else is to list what is there. */
	m->run_fd = open_dir(o->run_dir, 0711, e);
	if (m->run_fd < 0)
		return m->run_fd;
	return check_reachable(o->run_dir, e);
}

int netmgr_open(struct netmgr **out, const struct netmgr_opts *o, struct err *e)
{
	struct netmgr *m;
	int ret = check_rights(e);

	if (ret)
		return ret;
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(e, -ENOMEM, "no memory for host networks");
	m->loop = o->loop;
	m->state_fd = m->run_fd = m->nl.fd = -1;
	m->user = getpwnam("dnsmasq") ? "dnsmasq" : "nobody";
	ret = open_dirs(m, o, e);
	if (!ret)
		ret = netlink_open(&m->nl, e);
	if (!ret)
		ret = rules_open(&m->rules, e);
	if (ret) {
		netmgr_close(m);
		return ret;
	}
	*out = m;
	return 0;
}

static void one_free(struct net_one *o)
{
	dhcp_leave(o->dhcp);
	leases_free(&o->leases);
	network_free(&o->net);
	free(o);
}

void netmgr_close(struct netmgr *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		one_free(m->v[i]);
	free(m->v);
	rules_close(m->rules);
	netlink_close(&m->nl);
	fd_close(&m->run_fd);
	fd_close(&m->state_fd);
	free(m->resolv);
	free(m->dnsmasq);
	free(m->run_dir);
	free(m);
}

struct net_one *net_get(const struct netmgr *m, const char *net, struct err *e)
{
	for (size_t i = 0; i < m->n; i++)
		if (!strcmp(m->v[i]->net.id, net))
			return m->v[i];
	for (size_t i = 0; i < m->n; i++)
		if (!strcmp(m->v[i]->net.name, net))
			return m->v[i];
	err_set(e, -ENOENT, "there is no network '%.80s'", net);
	return NULL;
}

int net_apply(struct netmgr *m, struct err *e)
{
	MEM_AUTO struct rules_net *nets = calloc(m->n + 1, sizeof(*nets));
	MEM_AUTO char *text = NULL;
	size_t n = 0;

	if (nets)
		for (size_t i = 0; i < m->n; i++)
			if (m->v[i]->active)
				nets[n++] = (struct rules_net) { &m->v[i]->net, &m->v[i]->leases };
	if (nets)
		text = rules_text(nets, n);
	if (!text)
		return err_set(e, -ENOMEM, "no memory for the rules of host networks");
	return rules_apply(m->rules, text, e);
}

static void lease_file(char buf[NET_ID_LEN + 8], const struct net_one *o)
{
	snprintf(buf, NET_ID_LEN + 8, "%.16s.json", o->net.id);
}

int net_save(struct netmgr *m, struct net_one *o, struct err *e)
{
	char file[NET_ID_LEN + 8];

	lease_file(file, o);
	return leases_save(&o->leases, m->state_fd, file, e);
}

struct routes {
	struct net_cidr *v;
	size_t n;
	int own; /* interface whose routes do not count */
};

static int add_route(void *ctx, const struct net_cidr *c, int index)
{
	struct routes *r = ctx;
	struct net_cidr *v;

	if (index == r->own)
		return 0;
	v = reallocarray(r->v, r->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	r->v = v;
	v[r->n++] = *c;
	return 0;
}

static int routes_read(struct netmgr *m, const char *own, struct routes *r, struct err *e)
{
	struct link_info l;
	int ret;

	*r = (struct routes) { .own = -1 };
	if (own && link_get(&m->nl, own, &l) == 0)
		r->own = l.index;
	ret = link_route_each(&m->nl, add_route, r);
	if (ret) {
		free(r->v);
		return err_set(e, ret, "cannot read the host's routes: %s", strerror(-ret));
	}
	return 0;
}

static const struct net_cidr *routes_hit(const struct routes *r, const struct net_cidr *c)
{
	for (size_t i = 0; i < r->n; i++)
		if (net_cidr_overlap(&r->v[i], c))
			return &r->v[i];
	return NULL;
}

int net_route_free(struct netmgr *m, const struct net_cidr *c, const char *own, struct err *e)
{
	char mine[NET_CIDR_TEXT], theirs[NET_CIDR_TEXT];
	const struct net_cidr *hit;
	struct routes r;
	int ret = routes_read(m, own, &r, e);

	if (ret)
		return ret;
	hit = routes_hit(&r, c);
	if (hit)
		ret = err_set(e, -EEXIST,
			      "subnet %s overlaps %s, to which this host has a route; choose "
			      "another or leave it out to have a free one chosen",
			      net_cidr_format(mine, c), net_cidr_format(theirs, hit));
	free(r.v);
	return ret;
}

static const struct net_one *subnet_hit(const struct netmgr *m, const struct net_cidr *c,
					const char *but)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct network *n = &m->v[i]->net;

		if (n->have_subnet && strcmp(n->id, but) != 0 && net_cidr_overlap(&n->subnet, c))
			return m->v[i];
	}
	return NULL;
}

/* 10.x.y.0/24, beginning where the id says, so that hosts do not all have the same. */
static int choose_subnet(struct netmgr *m, struct network *n, struct err *e)
{
	uint32_t at = (uint32_t)(net_hash(n->id) & 0xffff);
	struct routes r;
	int ret = routes_read(m, NULL, &r, e);

	if (ret)
		return ret;
	ret = -ENOSPC;
	for (uint32_t i = 0; ret && i <= 0xffff; i++) {
		struct net_cidr c = { 10u << 24 | ((at + i) & 0xffff) << 8, 24 };

		if (routes_hit(&r, &c) || subnet_hit(m, &c, n->id))
			continue;
		n->subnet = c;
		n->have_subnet = true;
		ret = 0;
	}
	free(r.v);
	return ret ? err_set(e, ret,
			     "no free subnet within 10.0.0.0/8 for network %s: give it one by "
			     "'subnet'",
			     n->name)
		   : 0;
}

/* Against the other networks; those are all but the one with the same id. */
static int check_others(const struct netmgr *m, const struct network *n, struct err *e)
{
	const struct net_one *hit = n->have_subnet ? subnet_hit(m, &n->subnet, n->id) : NULL;
	char text[NET_CIDR_TEXT];

	if (hit)
		return err_set(e, -EEXIST, "subnet %s overlaps that of network %s",
			       net_cidr_format(text, &n->subnet), hit->net.name);
	for (size_t i = 0; i < m->n; i++) {
		const struct network *o = &m->v[i]->net;

		if (!strcmp(o->id, n->id))
			continue;
		if (!strcmp(o->name, n->name))
			return err_set(e, -EEXIST, "there is a network %s already", n->name);
		if (!strcmp(o->bridge, n->bridge))
			return err_set(e, -EEXIST, "bridge %s is in use by network %s", n->bridge,
				       o->name);
		for (size_t a = 0; a < n->n_forwards; a++)
			for (size_t b = 0; b < o->n_forwards; b++) {
				const struct net_forward *x = &n->forwards[a], *y = &o->forwards[b];

				if (x->proto == y->proto && x->host_port == y->host_port &&
				    (x->host_addr == y->host_addr || !x->host_addr ||
				     !y->host_addr))
					return err_set(e, -EEXIST,
						       "host port %u/%s is forwarded by network %s",
						       x->host_port, net_proto_name(x->proto),
						       o->name);
			}
	}
	return 0;
}

static int check_host(struct netmgr *m, const struct network *n, struct err *e)
{
	struct link_info l;
	int ret = link_get(&m->nl, n->bridge, &l);

	if (n->kind == NET_BRIDGED) {
		if (ret || strcmp(l.kind, "bridge") != 0)
			return err_set(e, -ENODEV,
				       "%s is no bridge of this host; make it, or name another",
				       n->bridge);
		return 0;
	}
	if (!ret)
		return err_set(e, -EEXIST,
			       "network %s would need a bridge %s, a name that is in use on this "
			       "host; remove that interface",
			       n->name, n->bridge);
	return net_route_free(m, &n->subnet, NULL, e);
}

static int add_one(struct netmgr *m, const struct network *n, struct err *e)
{
	struct net_one **v = reallocarray(m->v, m->n + 1, sizeof(struct net_one *));
	struct net_one *o = calloc(1, sizeof(*o));
	char file[NET_ID_LEN + 8];
	int ret = -ENOMEM;

	if (v)
		m->v = v;
	if (!v || !o) {
		free(o);
		return err_set(e, ret, "no memory for network %s", n->name);
	}
	ret = network_copy(&o->net, n, e);
	if (!ret) {
		lease_file(file, o);
		ret = leases_load(&o->leases, m->state_fd, file, e);
	}
	if (ret) {
		one_free(o);
		return ret;
	}
	v[m->n++] = o;
	return 0;
}

int netmgr_define(struct netmgr *m, struct network *n, bool fresh, struct err *e)
{
	bool chosen = !n->have_subnet && n->kind != NET_BRIDGED;
	char bridge[NET_IF_MAX];
	int ret = network_check(n, e);

	if (ret)
		return ret;
	if (!net_id_ok(n->id))
		return err_set(e, -EINVAL, "network %s has no id", n->name);
	for (size_t i = 0; i < m->n; i++)
		if (!strcmp(m->v[i]->net.id, n->id))
			return err_set(e, -EEXIST, "network %s is defined already", n->name);
	memcpy(bridge, n->bridge, sizeof(bridge));
	if (n->kind != NET_BRIDGED)
		net_bridge_name(n->bridge, n->id);
	if (chosen)
		ret = choose_subnet(m, n, e);
	if (!ret)
		ret = check_others(m, n, e);
	if (!ret && fresh)
		ret = check_host(m, n, e);
	if (!ret)
		ret = add_one(m, n, e);
	if (ret) {
		memcpy(n->bridge, bridge, sizeof(bridge));
		n->have_subnet = n->have_subnet && !chosen;
	}
	return ret;
}

static bool same_shape(const struct network *a, const struct network *b)
{
	return a->kind == b->kind && a->have_subnet == b->have_subnet &&
	       a->subnet.base == b->subnet.base && a->subnet.prefix == b->subnet.prefix &&
	       !strcmp(a->bridge, b->bridge) && a->dhcp == b->dhcp;
}

int netmgr_update(struct netmgr *m, const struct network *n, struct err *e)
{
	struct net_one *o = net_get(m, n->id, e);
	struct network next, old;
	int ret;

	if (!o)
		return -ENOENT;
	ret = network_check(n, e);
	if (!ret)
		ret = check_others(m, n, e);
	if (ret)
		return ret;
	if (!same_shape(n, &o->net) && (o->active || o->leases.n || n->kind != o->net.kind))
		return err_set(e, -EBUSY,
			       "the kind of network %s stays; its subnet, bridge and dhcp change "
			       "only while it is stopped and has no leases",
			       o->net.name);
	ret = network_copy(&next, n, e);
	if (ret)
		return ret;
	old = o->net;
	o->net = next;
	if (o->active) {
		ret = net_apply(m, e);
		net_loopback(ret ? &old : &next);
	}
	if (ret)
		o->net = old;
	network_free(ret ? &next : &old);
	return ret;
}

int netmgr_remove(struct netmgr *m, const char *net, struct err *e)
{
	struct net_one *o = net_get(m, net, e);
	char file[NET_ID_LEN + 8];
	size_t i = 0;

	if (!o)
		return -ENOENT;
	if (o->active)
		return err_set(e, -EBUSY, "network %s is running; stop it first", o->net.name);
	lease_file(file, o);
	if (unlinkat(m->state_fd, file, 0) < 0 && errno != ENOENT)
		return err_set(e, -errno, "cannot remove the leases of network %s: %s", o->net.name,
			       strerror(errno));
	while (m->v[i] != o)
		i++;
	memmove(&m->v[i], &m->v[i + 1], (m->n - i - 1) * sizeof(struct net_one *));
	m->n--;
	one_free(o);
	return 0;
}

static void fill_info(struct net_info *out, const struct net_one *o)
{
	*out = (struct net_info) {
		.net = &o->net,
		.active = o->active,
		.leases = &o->leases,
		.dnsmasq = o->dhcp ? dhcp_pid(o->dhcp) : 0,
	};
	for (size_t i = 0; i < o->leases.n; i++)
		out->attached += o->leases.v[i].attached;
}

int netmgr_info(const struct netmgr *m, const char *net, struct net_info *out, struct err *e)
{
	const struct net_one *o = net_get(m, net, e);

	if (!o)
		return -ENOENT;
	fill_info(out, o);
	return 0;
}

int netmgr_each(const struct netmgr *m, int (*fn)(void *ctx, const struct net_info *i), void *ctx)
{
	for (size_t i = 0; i < m->n; i++) {
		struct net_info info;
		int ret;

		fill_info(&info, m->v[i]);
		ret = fn(ctx, &info);
		if (ret)
			return ret;
	}
	return 0;
}
