/* SPDX-License-Identifier: MIT */
/*
 * VMs on networks: leases, taps, rules, names, see net.h.
 *
 * The order of an attach: the lease is on disk, then the rules stand, then dnsmasq knows it, and
 * only then the tap becomes a port: no frame of a VM passes before its rules.
 */
#include "base/fd.h"
#include "base/log.h"
#include "mgr/net/net_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct net_lease *lease_of(const struct net_one *o, const char *vm)
{
	for (size_t i = 0; i < o->leases.n; i++)
		if (!strcmp(o->leases.v[i].vm, vm))
			return &o->leases.v[i];
	return NULL;
}

/* A change of leases goes to the disk, the rules and dnsmasq. */
static int publish(struct netmgr *m, struct net_one *o, struct err *e)
{
	int ret = net_save(m, o, e);

	if (!ret && o->active)
		ret = net_apply(m, e);
	if (!ret && o->dhcp)
		ret = dhcp_update(o->dhcp, &o->leases, e);
	return ret;
}

/* As publish(), where nothing changed but that one VM came or went. */
static int publish_vm(struct netmgr *m, struct net_one *o, const struct net_lease *l, bool add,
		      struct err *e)
{
	MEM_AUTO char *text = rules_text_vm(&o->net, l, add);
	int ret = net_save(m, o, e);

	if (!ret && o->active && (!text || rules_apply(m->rules, text, NULL)))
		ret = net_apply(m, e);
	if (!ret && o->dhcp)
		ret = dhcp_update(o->dhcp, &o->leases, e);
	return ret;
}

static int check_nic(const struct netmgr *m, const struct net_one *o, const struct net_nic *nic,
		     const uint8_t mac[NET_MAC_LEN], struct err *e)
{
	char text[NET_MAC_TEXT];
	int ret = vm_name_check("VM's name", nic->name, e);

	if (ret)
		return ret;
	if (!net_id_ok(nic->vm))
		return err_set(e, -EINVAL, "'%.40s' is no VM's id", nic->vm);
	for (size_t i = 0; i < o->leases.n; i++) {
		const struct net_lease *l = &o->leases.v[i];

		if (!strcmp(l->vm, nic->vm))
			continue;
		if (!strcmp(l->name, nic->name))
			return err_set(e, -EEXIST, "network %s has a VM named %s already",
				       o->net.name, nic->name);
		if (!memcmp(l->mac, mac, NET_MAC_LEN))
			return err_set(e, -EEXIST, "MAC %s is VM %s's on network %s",
				       net_mac_format(text, mac), l->name, o->net.name);
	}
	/* Taps are named by the first digits of ids. */
	for (size_t i = 0; i < m->n; i++)
		for (size_t j = 0; j < m->v[i]->leases.n; j++) {
			const struct net_lease *l = &m->v[i]->leases.v[j];

			if (l->attached && !strncmp(l->vm, nic->vm, 10) &&
			    (strcmp(l->vm, nic->vm) != 0 || m->v[i] != o))
				return err_set(e, -EBUSY,
					       "VM %s's network card is in use on network %s",
					       l->name, m->v[i]->net.name);
		}
	return 0;
}

static bool is_taken(const void *ctx, uint32_t addr)
{
	const struct leases *t = ctx;

	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].addr == addr)
			return true;
	return false;
}

static int copy_rules(struct net_rule **out, const struct net_rule *r, size_t n, struct err *e)
{
	struct net_rule *v = NULL;

	if (n > NET_RULES_MAX)
		return err_set(e, -E2BIG, "more than %d rules for one VM", NET_RULES_MAX);
	if (n) {
		v = calloc(n, sizeof(*v));
		if (!v)
			return err_set(e, -ENOMEM, "no memory for %zu rules", n);
		memcpy(v, r, n * sizeof(*v));
	}
	*out = v;
	return 0;
}

/* The lease as @nic wants it, into *@out, which takes over what it owns. */
static int next_lease(const struct net_one *o, const struct net_lease *old,
		      const struct net_nic *nic, struct net_lease *out, struct err *e)
{
	struct net_lease l = { .attached = true };
	int ret;

	snprintf(l.vm, sizeof(l.vm), "%s", nic->vm);
	snprintf(l.name, sizeof(l.name), "%s", nic->name);
	if (nic->mac)
		memcpy(l.mac, nic->mac, NET_MAC_LEN);
	else if (old)
		memcpy(l.mac, old->mac, NET_MAC_LEN);
	else
		net_mac_for(l.mac, nic->vm);
	if (old)
		l.addr = old->addr;
	else if (network_has_addresses(&o->net))
		l.addr = net_addr_choose(&o->net.subnet, nic->name, is_taken, &o->leases);
	if (!l.addr && network_has_addresses(&o->net))
		return err_set(e, -ENOSPC,
			       "network %s has no free address for VM %s; purge VMs or make a "
			       "larger network",
			       o->net.name, nic->name);
	if (nic->set_rules)
		ret = copy_rules(&l.rules, nic->rules, nic->n_rules, e);
	else
		ret = old ? copy_rules(&l.rules, old->rules, old->n_rules, e) : 0;
	if (ret)
		return ret;
	l.n_rules = nic->set_rules ? nic->n_rules : old ? old->n_rules : 0;
	*out = l;
	return 0;
}

int net_tap_plug(struct netmgr *m, const struct net_one *o, const char *tap, struct err *e)
{
	struct link_info port, bridge = { 0 };
	char path[96];
	int ret = link_get(&m->nl, tap, &port);

	if (!ret)
		ret = link_get(&m->nl, o->net.bridge, &bridge);
	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", tap);
	if (!ret && net_sysctl(path, "1") < 0)
		log_line(LOG_DEBUG, "net", "%s keeps IPv6", tap);
	if (!ret && port.master != bridge.index)
		ret = link_set_master(&m->nl, port.index, bridge.index);
	if (!ret && !port.up)
		ret = link_set_up(&m->nl, port.index);
	return ret ? err_set(e, ret, "cannot plug tap %s into bridge %s of network %s: %s", tap,
			     o->net.bridge, o->net.name, strerror(-ret))
		   : 0;
}

static int plug_new(struct netmgr *m, const struct net_one *o, const char *vm, int *out,
		    struct err *e)
{
	char tap[NET_IF_MAX];
	FD_AUTO fd = -1;
	int ret;

	net_tap_name(tap, vm);
	fd = tap_open(tap, e);
	if (fd < 0)
		return fd;
	ret = net_tap_plug(m, o, tap, e);
	if (!ret)
		*out = fd_take(&fd);
	return ret;
}

/* Put @old, or nothing where it is NULL, in the place of the VM's lease. Takes *@old. */
static void put_back(struct netmgr *m, struct net_one *o, const char *vm, struct net_lease *old)
{
	struct net_lease *l = lease_of(o, vm);
	struct err e;

	if (old) {
		free(l->rules);
		*l = *old;
	} else {
		leases_remove(&o->leases, l);
	}
	if (publish(m, o, &e))
		log_line(LOG_WARN, "net", "network %s: %s", o->net.name, e.msg);
}

int netmgr_attach(struct netmgr *m, const char *net, const struct net_nic *nic, int *fd,
		  const struct net_lease **lease, struct err *e)
{
	struct net_one *o = net_get(m, net, e);
	struct net_lease *l, next = { 0 }, old = { 0 };
	bool had;
	int ret;

	if (!o)
		return -ENOENT;
	if (!o->active)
		return err_set(e, -EBUSY, "network %s is stopped; start it with holm net start %s",
			       o->net.name, o->net.name);
	l = lease_of(o, nic->vm);
	had = l != NULL;
	ret = next_lease(o, l, nic, &next, e);
	if (ret)
		return ret;
	ret = check_nic(m, o, nic, next.mac, e);
	if (!ret && !had) {
		l = leases_add(&o->leases);
		if (!l)
			ret = err_set(e, -ENOMEM, "no memory for a lease");
	}
	if (ret) {
		free(next.rules);
		return ret;
	}
	old = *l;
	*l = next;
	/* A forward may have waited for this VM, and begins with its lease. */
	if (old.attached || (o->net.n_forwards && (!had || strcmp(old.name, next.name) != 0)))
		ret = publish(m, o, e);
	else
		ret = publish_vm(m, o, l, true, e);
	if (!ret)
		ret = plug_new(m, o, nic->vm, fd, e);
	if (ret) {
		put_back(m, o, nic->vm, had ? &old : NULL);
		return ret;
	}
	free(old.rules);
	if (lease)
		*lease = lease_of(o, nic->vm);
	return 0;
}

int netmgr_detach(struct netmgr *m, const char *vm, struct err *e)
{
	int ret = 0;

	for (size_t i = 0; i < m->n && !ret; i++) {
		struct net_lease *l = lease_of(m->v[i], vm);
		struct link_info info;
		char tap[NET_IF_MAX];

		if (!l || !l->attached)
			continue;
		/* A VMM that still holds its tap must not go on without rules. */
		net_tap_name(tap, l->vm);
		if (!link_get(&m->nl, tap, &info))
			ret = link_del(&m->nl, info.index);
		if (ret && ret != -ENODEV)
			return err_set(e, ret, "cannot remove tap %s: %s", tap, strerror(-ret));
		l->attached = false;
		ret = publish_vm(m, m->v[i], l, false, e);
	}
	return ret;
}

int netmgr_forget(struct netmgr *m, const char *vm, struct err *e)
{
	int ret = netmgr_detach(m, vm, e);

	for (size_t i = 0; i < m->n && !ret; i++) {
		struct net_lease *l = lease_of(m->v[i], vm);

		if (!l)
			continue;
		leases_remove(&m->v[i]->leases, l);
		ret = publish(m, m->v[i], e);
	}
	return ret;
}

int netmgr_rename(struct netmgr *m, const char *vm, const char *name, struct err *e)
{
	int ret = vm_name_check("VM's name", name, e);

	for (size_t i = 0; i < m->n && !ret; i++) {
		const struct net_lease *l = lease_of(m->v[i], vm);
		const struct net_lease *other = leases_find(&m->v[i]->leases, name);

		if (l && other && other != l)
			ret = err_set(e, -EEXIST, "network %s has a VM named %s already",
				      m->v[i]->net.name, name);
	}
	for (size_t i = 0; i < m->n && !ret; i++) {
		struct net_lease *l = lease_of(m->v[i], vm);

		if (!l || !strcmp(l->name, name))
			continue;
		snprintf(l->name, sizeof(l->name), "%s", name);
		ret = publish(m, m->v[i], e);
	}
	return ret;
}

int netmgr_set_rules(struct netmgr *m, const char *vm, const struct net_rule *rules, size_t n,
		     struct err *e)
{
	bool any = false;
	int ret = 0;

	for (size_t i = 0; i < m->n && !ret; i++) {
		struct net_lease *l = lease_of(m->v[i], vm);
		struct net_rule *v = NULL, *was;
		size_t had;

		if (!l)
			continue;
		any = true;
		ret = copy_rules(&v, rules, n, e);
		if (ret)
			return ret;
		was = l->rules;
		had = l->n_rules;
		l->rules = v;
		l->n_rules = n;
		ret = publish(m, m->v[i], e);
		if (ret) {
			l->rules = was;
			l->n_rules = had;
		}
		free(ret ? v : was);
	}
	if (!any)
		return err_set(e, -ENOENT, "VM '%.80s' has no network card on a host network", vm);
	return ret;
}
