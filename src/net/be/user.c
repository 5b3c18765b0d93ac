/* SPDX-License-Identifier: MIT */
/*
 * User-mode network over libslirp: NAT, DHCP and DNS without any rights.
 *
 * Theory of operation: libslirp says before each sleep which sockets it waits for
 * (slirp_pollfds_fill) and is told after it what happened (slirp_pollfds_poll). Both happen in
 * turn(), which runs from the loop. The sockets live in an epoll set of our own, itself watched by
 * the loop: all that are ready are gathered with one epoll_wait(2), and a socket enters or leaves
 * the set only when what libslirp wants of it changes.
 *
 * A guest's frame goes to libslirp within net_send(), perhaps on a vCPU's thread; what libslirp
 * answers meanwhile is queued and delivered by turn(), because rx runs on the loop's thread only.
 * The same queue holds frames while rx is off. It is bounded (QUEUE_BYTES, QUEUE_FRAMES); what
 * overflows is dropped and counted.
 *
 * Offloads: we finish checksums, which is cheaper here than in a guest; a TCP segment of up to
 * 64 KiB is handed over whole, since libslirp takes the stream out of it anyway. Frames to the
 * guest carry whole checksums, so "data valid" is said where it was negotiated.
 *
 * System calls of libslirp after set-up: socket, connect, bind, listen, accept, send and recv in
 * their variants, setsockopt, getsockopt, getsockname, ioctl, fcntl, close; stat and open of
 * /etc/resolv.conf.
 */
/* seccomp: loop: socket connect bind listen accept accept4 sendto recvfrom sendmsg recvmsg */
/* seccomp: loop: setsockopt getsockopt getsockname getpeername shutdown ioctl fcntl close */
/* seccomp: loop: newfstatat fstat stat openat read lseek poll */
#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/be/backends.h"

#include <arpa/inet.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define QUEUE_BYTES    (2u * 1024u * 1024u)
#define QUEUE_FRAMES   2048u
#define EVENTS_MAX     64
#define HDR_NEEDS_CSUM 1
#define HDR_DATA_VALID 2

struct frame {
	struct frame *next;
	size_t len;
	uint8_t data[];
};

/* What libslirp wants of one descriptor; the table is indexed by descriptor. */
struct want {
	uint32_t in_set; /* events in our epoll set, 0: not in it */
	uint32_t round;	 /* of the last fill that named it */
	uint32_t ready;
	int listed; /* position in `fds`, -1 where none */
};

struct user {
	struct net_backend base;
	struct loop *loop;
	Slirp *slirp;
	int ep;
	struct loop_fd *watch;
	struct loop_call call;
	struct loop_timer timer;
	bool rx_on, in_send;
	unsigned rx_offloads;
	struct want *wants;
	size_t n_wants;
	int *fds; /* descriptors in the set */
	size_t n_fds, cap_fds;
	uint32_t round;
	struct frame *queue, **queue_tail;
	size_t queued_bytes, queued_frames;
	struct log_limit limit;
	uint8_t tx[NET_FRAME_MAX];
};

struct user_timer {
	struct loop_timer t;
	SlirpTimerCb fn;
	void *arg;
};

/* Frames to the guest. */

static bool hand_up(struct user *u, const void *buf, size_t len)
{
	const struct iovec v = { (void *)(uintptr_t)buf, len };
	const struct net_hdr h = { .flags = u->rx_offloads & NET_OFF_CSUM ? HDR_DATA_VALID : 0 };

	return net_deliver(&u->base, &h, &v, 1, len);
}

static void enqueue(struct user *u, const void *buf, size_t len)
{
	struct frame *f = NULL;

	if (u->queued_frames < QUEUE_FRAMES && u->queued_bytes + len <= QUEUE_BYTES)
		f = malloc(sizeof(*f) + len);
	if (!f) {
		net_rx_drop(&u->base);
		return;
	}
	f->next = NULL;
	f->len = len;
	memcpy(f->data, buf, len);
	*u->queue_tail = f;
	u->queue_tail = &f->next;
	u->queued_frames++;
	u->queued_bytes += len;
}

static struct frame *dequeue(struct user *u)
{
	struct frame *f = u->queue;

	u->queue = f->next;
	if (!u->queue)
		u->queue_tail = &u->queue;
	u->queued_frames--;
	u->queued_bytes -= f->len;
	return f;
}

static void flush_queue(struct user *u)
{
	while (u->queue && u->rx_on) {
		struct frame *f = dequeue(u);

		hand_up(u, f->data, f->len);
		free(f);
	}
}

/* libslirp's callbacks. */

static ssize_t cb_send_packet(const void *buf, size_t len, void *opaque)
{
	struct user *u = opaque;

	if (u->in_send || !u->rx_on || u->queue)
		enqueue(u, buf, len);
	else
		hand_up(u, buf, len);
	return (ssize_t)len;
}

static void cb_guest_error(const char *msg, void *opaque)
{
	struct user *u = opaque;

	log_guest(&u->limit, "net-user", "%s", msg);
}

static int64_t cb_clock(void *opaque)
{
	const struct clock *c = loop_clock(((struct user *)opaque)->loop);

	return (int64_t)c->mono_ns(c);
}

static void run_timer(void *arg)
{
	struct user_timer *t = arg;

	t->fn(t->arg);
}

static void *cb_timer_new(SlirpTimerCb fn, void *arg, void *opaque)
{
	struct user *u = opaque;
	struct user_timer *t = calloc(1, sizeof(*t));

	/* libslirp cannot take a refusal; glib, which it stands on, ends the process too. */
	BUG_ON(!t);
	t->fn = fn;
	t->arg = arg;
	loop_timer_init(&t->t, u->loop, run_timer, t);
	return t;
}

static void cb_timer_free(void *timer, void *opaque UNUSED)
{
	struct user_timer *t = timer;

	if (!t)
		return;
	loop_timer_disarm(&t->t);
	free(t);
}

static void cb_timer_mod(void *timer, int64_t expire_ms, void *opaque UNUSED)
{
	struct user_timer *t = timer;

	loop_timer_arm(&t->t, (uint64_t)MAX(expire_ms, (int64_t)0) * CLOCK_NS_PER_MS);
}

static void forget(struct user *u, int fd)
{
	struct want *w = &u->wants[fd];

	if (w->listed < 0)
		return;
	/* Fails where it is closed already: then the kernel has taken it out. */
	epoll_ctl(u->ep, EPOLL_CTL_DEL, fd, NULL);
	u->fds[w->listed] = u->fds[--u->n_fds];
	u->wants[u->fds[w->listed]].listed = w->listed;
	*w = (struct want) { .listed = -1 };
}

static void cb_register_fd(int fd, void *opaque)
{
	struct user *u = opaque;

	/* A number that comes back is a new socket, whatever we knew of the old one. */
	if (fd >= 0 && (size_t)fd < u->n_wants)
		forget(u, fd);
}

static void cb_notify(void *opaque)
{
	struct user *u = opaque;

	loop_call_schedule(&u->call);
}

static const SlirpCb slirp_cb = {
	.send_packet = cb_send_packet,
	.guest_error = cb_guest_error,
	.clock_get_ns = cb_clock,
	.timer_new = cb_timer_new,
	.timer_free = cb_timer_free,
	.timer_mod = cb_timer_mod,
	.register_poll_fd = cb_register_fd,
	.unregister_poll_fd = cb_register_fd,
	.notify = cb_notify,
};

/* The epoll set. */

static bool grow(struct user *u, int fd)
{
	size_t n = MAX((size_t)64, u->n_wants);
	struct want *w;
	int *fds;

	if ((size_t)fd < u->n_wants)
		return true;
	while (n <= (size_t)fd)
		n *= 2;
	fds = realloc(u->fds, n * sizeof(*fds));
	if (!fds)
		return false;
	u->fds = fds;
	w = realloc(u->wants, n * sizeof(*w));
	if (!w)
		return false;
	for (size_t i = u->n_wants; i < n; i++)
		w[i] = (struct want) { .listed = -1 };
	u->wants = w;
	u->n_wants = n;
	return true;
}

/* Returns the index that libslirp asks get_revents() with: the descriptor itself. */
static int add_poll(int fd, int events, void *opaque)
{
	struct user *u = opaque;
	struct epoll_event ev = { .data.fd = fd };
	struct want *w;

	if (fd < 0 || !grow(u, fd))
		return -1;
	if (events & SLIRP_POLL_IN)
		ev.events |= EPOLLIN;
	if (events & SLIRP_POLL_OUT)
		ev.events |= EPOLLOUT;
	if (events & SLIRP_POLL_PRI)
		ev.events |= EPOLLPRI;
	w = &u->wants[fd];
	w->round = u->round;
	if (w->listed >= 0 && w->in_set == ev.events)
		return fd;
	if (w->listed < 0 || (epoll_ctl(u->ep, EPOLL_CTL_MOD, fd, &ev) < 0 && errno == ENOENT)) {
		if (epoll_ctl(u->ep, EPOLL_CTL_ADD, fd, &ev) < 0 && errno != EEXIST)
			return -1;
	}
	if (w->listed < 0) {
		w->listed = (int)u->n_fds;
		u->fds[u->n_fds++] = fd;
	}
	w->in_set = ev.events;
	return fd;
}

static int get_revents(int idx, void *opaque)
{
	struct user *u = opaque;
	uint32_t got = 0;
	int r = 0;

	if (idx >= 0 && (size_t)idx < u->n_wants) {
		got = u->wants[idx].ready;
		u->wants[idx].ready = 0;
	}
	r |= got & EPOLLIN ? SLIRP_POLL_IN : 0;
	r |= got & EPOLLOUT ? SLIRP_POLL_OUT : 0;
	r |= got & EPOLLPRI ? SLIRP_POLL_PRI : 0;
	r |= got & EPOLLERR ? SLIRP_POLL_ERR : 0;
	r |= got & EPOLLHUP ? SLIRP_POLL_HUP : 0;
	return r;
}

/* Ask libslirp what it waits for now, and bring the set and the timer in line. */
static void refill(struct user *u)
{
	uint32_t timeout_ms = UINT32_MAX;

	u->round++;
	slirp_pollfds_fill(u->slirp, &timeout_ms, add_poll, u);
	for (size_t i = 0; i < u->n_fds;) {
		if (u->wants[u->fds[i]].round == u->round)
			i++;
		else
			forget(u, u->fds[i]);
	}
	if (timeout_ms == UINT32_MAX)
		loop_timer_disarm(&u->timer);
	else
		loop_timer_arm(&u->timer,
			       (uint64_t)cb_clock(u) + (uint64_t)timeout_ms * CLOCK_NS_PER_MS);
}

static void turn(void *arg)
{
	struct user *u = arg;
	struct epoll_event ev[EVENTS_MAX];
	int n;

	flush_queue(u);
	n = epoll_wait(u->ep, ev, EVENTS_MAX, 0);
	for (int i = 0; i < n; i++)
		u->wants[ev[i].data.fd].ready = ev[i].events;
	slirp_pollfds_poll(u->slirp, 0, get_revents, u);
	refill(u);
}

static void on_ready(void *arg, int fd UNUSED, uint32_t events UNUSED)
{
	turn(arg);
}

/* Frames of the guest's. */

/* RFC 1071: the sum does not depend on the byte order, so native words do. */
static uint16_t ones_sum(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;

	for (; len >= 4; p += 4, len -= 4)
		sum += get_le32(p);
	if (len >= 2) {
		sum += get_le16(p);
		p += 2;
		len -= 2;
	}
	if (len)
		sum += *p;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* virtio 1.2, 5.1.6.2: the field holds the pseudo-header's sum; add what follows csum_start. */
static bool finish_csum(uint8_t *frame, size_t len, const struct net_hdr *h)
{
	size_t start = h->csum_start, at = start + h->csum_offset;
	uint16_t sum;

	if (start >= len || at + 2 > len)
		return false;
	sum = (uint16_t)~ones_sum(frame + start, len - start);
	put_le16(frame + at, sum ? sum : 0xffff);
	return true;
}

static int user_send(struct net_backend *b, const struct net_hdr *h, const struct iovec *iov,
		     unsigned n_iov, size_t len)
{
	struct user *u = CONTAINER_OF(b, struct user, base);
	size_t at = 0;

	/* Copied first: the guest may change its memory while we look. */
	for (unsigned i = 0; i < n_iov; i++) {
		memcpy(u->tx + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	if ((h->flags & HDR_NEEDS_CSUM) && !finish_csum(u->tx, len, h))
		return -EINVAL;
	u->in_send = true;
	slirp_input(u->slirp, u->tx, (int)len);
	u->in_send = false;
	loop_call_schedule(&u->call);
	return 0;
}

static unsigned user_offloads(struct net_backend *b UNUSED)
{
	return NET_OFF_CSUM | NET_OFF_TSO4 | NET_OFF_TSO6;
}

static void user_set_offloads(struct net_backend *b, unsigned rx)
{
	CONTAINER_OF(b, struct user, base)->rx_offloads = rx;
}

static void user_rx_enable(struct net_backend *b, bool on)
{
	struct user *u = CONTAINER_OF(b, struct user, base);

	u->rx_on = on;
	if (on && u->queue)
		loop_call_schedule(&u->call);
}

static void user_close(struct net_backend *b)
{
	struct user *u = CONTAINER_OF(b, struct user, base);

	loop_call_cancel(&u->call);
	loop_timer_disarm(&u->timer);
	loop_fd_del(u->watch);
	u->rx_on = false;
	if (u->slirp)
		slirp_cleanup(u->slirp);
	while (u->queue)
		free(dequeue(u));
	fd_close(&u->ep);
	free(u->wants);
	free(u->fds);
	free(u);
}

static int add_forward(struct user *u, const struct net_forward *f, struct err *e)
{
	const struct in_addr host = { htonl(f->host_addr) }, guest = { htonl(0x0a00020f) };
	const char *kind = f->udp ? "UDP" : "TCP";
	char text[INET_ADDRSTRLEN] = "";
	int ret;

	errno = 0;
	if (slirp_add_hostfwd(u->slirp, f->udp, host, f->host_port, guest, f->guest_port) == 0)
		return 0;
	ret = errno ? -errno : -EINVAL;
	inet_ntop(AF_INET, &host, text, sizeof(text));
	if (ret == -EADDRINUSE)
		return err_set(
			e, ret,
			"host %s port %u at %s is already taken; stop the program that listens "
			"there or forward another port",
			kind, f->host_port, text);
	if (ret == -EACCES)
		return err_set(e, ret,
			       "no right to listen on host %s port %u; use a port from 1024 up",
			       kind, f->host_port);
	if (ret == -EADDRNOTAVAIL)
		return err_set(
			e, ret,
			"the host has no address %s to forward %s port %u from; use one of its "
			"own or none",
			text, kind, f->host_port);
	return err_set(e, ret, "cannot forward host %s port %u at %s: %s", kind, f->host_port, text,
		       strerror(-ret));
}

static int user_forward(struct net_backend *b, const struct net_forward *f, bool on, struct err *e)
{
	struct user *u = CONTAINER_OF(b, struct user, base);
	const struct in_addr host = { htonl(f->host_addr) };
	int ret = 0;

	if (on)
		ret = add_forward(u, f, e);
	else if (slirp_remove_hostfwd(u->slirp, f->udp, host, f->host_port))
		ret = err_set(e, -ENOENT, "host %s port %u is not forwarded at that address",
			      f->udp ? "UDP" : "TCP", f->host_port);
	if (!ret)
		loop_call_schedule(&u->call);
	return ret;
}

static const struct net_backend_ops user_ops = {
	.name = "user",
	.offloads = user_offloads,
	.set_offloads = user_set_offloads,
	.send = user_send,
	.rx_enable = user_rx_enable,
	.forward = user_forward,
	.close = user_close,
};

static Slirp *make_slirp(struct user *u, const struct net_user_config *cfg)
{
	SlirpConfig c = {
		.version = 4,
		.restricted = cfg->restrict_out,
		.in_enabled = true,
		.vnetwork.s_addr = htonl(0x0a000200),
		.vnetmask.s_addr = htonl(0xffffff00),
		.vhost.s_addr = htonl(0x0a000202),
		.vdhcp_start.s_addr = htonl(0x0a00020f),
		.vnameserver.s_addr = htonl(0x0a000203),
		.in6_enabled = true,
		.vprefix_len = 64,
		.vhostname = cfg->hostname ? cfg->hostname : "holm",
		.if_mtu = NET_MTU,
		.if_mru = NET_MTU,
	};

	/* RFC 3879 leaves fec0::/10 without a meaning outside: no address of the world's is hidden.
	 */
	inet_pton(AF_INET6, "fec0::", &c.vprefix_addr6);
	inet_pton(AF_INET6, "fec0::2", &c.vhost6);
	inet_pton(AF_INET6, "fec0::3", &c.vnameserver6);
	return slirp_new(&c, &slirp_cb, u);
}

int net_user_open(struct net_backend **out, const struct net_user_config *cfg, struct loop *loop,
		  struct err *e)
{
	struct user *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return err_set(e, -ENOMEM, "no memory for the user-mode network");
	u->base.ops = &user_ops;
	u->loop = loop;
	u->queue_tail = &u->queue;
	loop_call_init(&u->call, loop, turn, u);
	loop_timer_init(&u->timer, loop, turn, u);
	u->ep = epoll_create1(EPOLL_CLOEXEC);
	if (u->ep < 0) {
		ret = err_set(e, -errno, "cannot set up the user-mode network: %s",
			      strerror(errno));
		goto fail;
	}
	ret = loop_fd_add(loop, u->ep, EPOLLIN, on_ready, u, &u->watch, e);
	if (ret)
		goto fail;
	u->slirp = make_slirp(u, cfg);
	if (!u->slirp) {
		ret = err_set(e, -EINVAL, "libslirp refuses to start the user-mode network");
		goto fail;
	}
	for (unsigned i = 0; i < cfg->n_forwards; i++) {
		ret = add_forward(u, &cfg->forwards[i], e);
		if (ret)
			goto fail;
	}
	loop_call_schedule(&u->call);
	*out = &u->base;
	return 0;

fail:
	user_close(&u->base);
	return ret;
}
