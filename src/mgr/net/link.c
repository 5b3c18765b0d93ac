/* SPDX-License-Identifier: MIT */
/*
 * Interfaces by rtnetlink(7), see link.h.
 *
 * Sources: rtnetlink(7), netlink(7), Linux Documentation/networking/tuntap.rst.
 */
#include "mgr/net/link.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_MAX (64u << 10) /* the kernel cuts dumps into parts of at most 32 KiB */

static_assert(NET_IF_MAX == IFNAMSIZ, "a name fits where the kernel's does");

/* A request under construction. */
struct request {
	struct nlmsghdr h;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg addr;
		struct rtmsg route;
		char space[512];
	} u;
};

/* Called for each answer's message; 0 to go on. */
typedef int (*answer_fn)(void *ctx, const struct nlmsghdr *h);

int netlink_open(struct netlink *nl, struct err *e)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	/* The kernel answers before send() returns; a bug must not hang the manager. */
	struct timeval patience = { .tv_sec = 2 };
	FD_AUTO fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_set(e, -errno, "cannot speak to the kernel about networks: %s",
			       strerror(errno));
	*nl = (struct netlink) { .fd = fd_take(&fd) };
	return 0;
}

void netlink_close(struct netlink *nl)
{
	fd_close(&nl->fd);
}

static void request_init(struct request *r, uint16_t type, uint16_t flags, size_t body)
{
	memset(r, 0, sizeof(*r));
	r->h.nlmsg_type = type;
	r->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	r->h.nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
}

static struct rtattr *attr_add(struct request *r, uint16_t type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)(void *)((char *)r + NLMSG_ALIGN(r->h.nlmsg_len));

	/* Requests are of our making: too long a one is a bug. */
	BUG_ON(NLMSG_ALIGN(r->h.nlmsg_len) + RTA_SPACE(len) > sizeof(*r));
	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	r->h.nlmsg_len = (uint32_t)(NLMSG_ALIGN(r->h.nlmsg_len) + RTA_ALIGN(a->rta_len));
	return a;
}

static void attr_end(const struct request *r, struct rtattr *a)
{
	a->rta_len = (uint16_t)((const char *)r + r->h.nlmsg_len - (const char *)a);
}

/* The messages of one datagram. Return: 1: the last, 0: more follow, or -errno. */
static int answer_read(struct netlink *nl, char *buf, size_t len, answer_fn fn, void *ctx)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)(void *)buf;

	for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		int ret;

		if (h->nlmsg_seq != nl->seq)
			continue; /* of an earlier request that was given up */
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *m = NLMSG_DATA(h);

			return m->error ? m->error : 1;
		}
		ret = fn ? fn(ctx, h) : 0;
		if (ret)
			return ret;
	}
	return 0;
}

/* Send @r and hand the answer to @fn; NULL: only an acknowledgement is expected. */
static int talk(struct netlink *nl, struct request *r, answer_fn fn, void *ctx)
{
	MEM_AUTO char *buf = malloc(ANSWER_MAX);
	int ret = 0;

	if (!buf)
		return -ENOMEM;
	r->h.nlmsg_seq = ++nl->seq;
	/* NLM_F_DUMP is two bits, one of which means NLM_F_EXCL in other requests. */
	if ((r->h.nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		r->h.nlmsg_flags |= NLM_F_ACK;
	if (send(nl->fd, r, r->h.nlmsg_len, 0) < 0)
		return -errno;
	while (ret == 0) {
		ssize_t n = recv(nl->fd, buf, ANSWER_MAX, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		ret = answer_read(nl, buf, (size_t)n, fn, ctx);
	}
	return MIN(ret, 0);
}

static void link_kind(struct link_info *l, const struct rtattr *info)
{
	const struct rtattr *a = RTA_DATA(info);
	size_t len = RTA_PAYLOAD(info);

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == IFLA_INFO_KIND)
			snprintf(l->kind, sizeof(l->kind), "%.*s", (int)RTA_PAYLOAD(a),
				 (const char *)RTA_DATA(a));
}

static void link_parse(struct link_info *l, const struct nlmsghdr *h)
{
	const struct ifinfomsg *m = NLMSG_DATA(h);
	const struct rtattr *a = IFLA_RTA(m);
	size_t len = IFLA_PAYLOAD(h);

	*l = (struct link_info) { .index = m->ifi_index, .up = m->ifi_flags & IFF_UP };
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == IFLA_IFNAME)
			snprintf(l->name, sizeof(l->name), "%.*s", (int)RTA_PAYLOAD(a),
				 (const char *)RTA_DATA(a));
		else if (a->rta_type == IFLA_MASTER && RTA_PAYLOAD(a) >= sizeof(int))
			memcpy(&l->master, RTA_DATA(a), sizeof(int));
		else if ((a->rta_type & NLA_TYPE_MASK) == IFLA_LINKINFO)
			link_kind(l, a);
	}
}

static int on_link(void *ctx, const struct nlmsghdr *h)
{
	if (h->nlmsg_type == RTM_NEWLINK)
		link_parse(ctx, h);
	return 0;
}

int link_get(struct netlink *nl, const char *name, struct link_info *out)
{
	struct link_info l = { 0 };
	struct request r;
	int ret;

	request_init(&r, RTM_GETLINK, 0, sizeof(r.u.link));
	attr_add(&r, IFLA_IFNAME, name, strlen(name) + 1);
	ret = talk(nl, &r, on_link, &l);
	if (ret)
		return ret;
	if (!l.index)
		return -ENODEV;
	*out = l;
	return 0;
}

struct link_list {
	struct link_info *v;
	size_t n;
};

static int on_list(void *ctx, const struct nlmsghdr *h)
{
	struct link_list *t = ctx;
	struct link_info *v;

	if (h->nlmsg_type != RTM_NEWLINK)
		return 0;
	v = reallocarray(t->v, t->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	t->v = v;
	link_parse(&v[t->n++], h);
	return 0;
}

int link_each(struct netlink *nl, link_fn fn, void *ctx)
{
	struct link_list t = { 0 };
	struct request r;
	int ret;

	request_init(&r, RTM_GETLINK, NLM_F_DUMP, sizeof(r.u.link));
	ret = talk(nl, &r, on_list, &t);
	for (size_t i = 0; !ret && i < t.n; i++)
		ret = fn(ctx, &t.v[i]);
	free(t.v);
	return ret;
}

struct route_walk {
	route_fn fn;
	void *ctx;
	int ret;
};

static int on_route(void *ctx, const struct nlmsghdr *h)
{
	const struct rtmsg *m = NLMSG_DATA(h);
	const struct rtattr *a = RTM_RTA(m);
	size_t len = RTM_PAYLOAD(h);
	struct net_cidr c = { .prefix = m->rtm_dst_len };
	struct route_walk *w = ctx;
	int index = 0;

	if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_family != AF_INET || !m->rtm_dst_len ||
	    m->rtm_type == RTN_BROADCAST || m->rtm_type == RTN_MULTICAST || w->ret)
		return 0;
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == RTA_DST && RTA_PAYLOAD(a) >= 4) {
			memcpy(&c.base, RTA_DATA(a), 4);
			c.base = ntohl(c.base);
		} else if (a->rta_type == RTA_OIF && RTA_PAYLOAD(a) >= sizeof(int)) {
			memcpy(&index, RTA_DATA(a), sizeof(int));
		}
	}
	/* Kept for the end: a dump is read whole, or its rest would answer the next request. */
	w->ret = w->fn(w->ctx, &c, index);
	return 0;
}

int link_route_each(struct netlink *nl, route_fn fn, void *ctx)
{
	struct route_walk w = { .fn = fn, .ctx = ctx };
	struct request r;
	int ret;

	request_init(&r, RTM_GETROUTE, NLM_F_DUMP, sizeof(r.u.route));
	r.u.route.rtm_family = AF_INET;
	ret = talk(nl, &r, on_route, &w);
	return ret ? ret : w.ret;
}

int link_add_bridge(struct netlink *nl, const char *name, const uint8_t mac[NET_MAC_LEN])
{
	struct rtattr *info;
	struct request r;

	request_init(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(r.u.link));
	attr_add(&r, IFLA_IFNAME, name, strlen(name) + 1);
	attr_add(&r, IFLA_ADDRESS, mac, NET_MAC_LEN);
	info = attr_add(&r, IFLA_LINKINFO, NULL, 0);
	attr_add(&r, IFLA_INFO_KIND, "bridge", strlen("bridge"));
	attr_end(&r, info);
	return talk(nl, &r, NULL, NULL);
}

int link_del(struct netlink *nl, int index)
{
	struct request r;

	request_init(&r, RTM_DELLINK, 0, sizeof(r.u.link));
	r.u.link.ifi_index = index;
	return talk(nl, &r, NULL, NULL);
}

int link_set_up(struct netlink *nl, int index)
{
	struct request r;

	request_init(&r, RTM_NEWLINK, 0, sizeof(r.u.link));
	r.u.link.ifi_index = index;
	r.u.link.ifi_flags = r.u.link.ifi_change = IFF_UP;
	return talk(nl, &r, NULL, NULL);
}

int link_set_master(struct netlink *nl, int index, int master)
{
	struct request r;

	request_init(&r, RTM_NEWLINK, 0, sizeof(r.u.link));
	r.u.link.ifi_index = index;
	attr_add(&r, IFLA_MASTER, &master, sizeof(master));
	return talk(nl, &r, NULL, NULL);
}

int link_add_addr(struct netlink *nl, int index, uint32_t addr, uint8_t prefix)
{
	struct net_cidr c = { .base = addr & (~(uint32_t)0 << (32 - prefix)), .prefix = prefix };
	uint32_t local = htonl(addr), last = htonl(net_cidr_last(&c));
	struct request r;
	int ret;

	request_init(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(r.u.addr));
	r.u.addr = (struct ifaddrmsg) { .ifa_family = AF_INET,
					.ifa_prefixlen = prefix,
					.ifa_index = (uint32_t)index };
	attr_add(&r, IFA_LOCAL, &local, sizeof(local));
	attr_add(&r, IFA_ADDRESS, &local, sizeof(local));
	attr_add(&r, IFA_BROADCAST, &last, sizeof(last));
	ret = talk(nl, &r, NULL, NULL);
	return ret == -EEXIST ? 0 : ret;
}

int tap_open(const char *name, struct err *e)
{
	FD_AUTO fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct ifreq ifr = { 0 };

	if (fd < 0)
		return err_set(e, -errno,
			       "cannot open /dev/net/tun for a VM's network card: %s; load the "
			       "module tun, or use user networking, which needs no rights",
			       strerror(errno));
	/* IFF_TUN_EXCL: never a persistent tap that somebody made under this name. */
	ifr.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return fd_take(&fd);
	if (errno == EBUSY || errno == EEXIST)
		return err_set(e, -EBUSY,
			       "tap interface %s exists already; the VM's former process still "
			       "holds it, or somebody made one of that name",
			       name);
	return err_set(e, -errno,
		       "cannot make tap interface %s: %s; run holmd as root, or use user "
		       "networking, which needs no rights",
		       name, strerror(errno));
}
