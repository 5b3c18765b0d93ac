/* SPDX-License-Identifier: MIT */
/*
 * Tap interfaces.
 *
 * Theory of operation: each frame is preceded by a struct net_hdr (IFF_VNET_HDR), so checksums and
 * segmentation pass between guest and host kernel undone. Frames to the guest are read in rounds
 * of at most ROUND, so a flood cannot hold the loop.
 *
 * Source: Linux Documentation/networking/tuntap.rst and linux/if_tun.h.
 */
#include "base/fd.h"
#include "net/be/backends.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ROUND	   64
#define IOV_MAX_TX 1023u

struct tap {
	struct net_backend base;
	int fd;
	struct loop_fd *watch;
	bool rx_on;
	bool vnet_hdr; /* a descriptor handed to us may have been made without */
	uint8_t buf[sizeof(struct net_hdr) + NET_FRAME_MAX];
};

static unsigned tap_offloads(struct net_backend *b)
{
	return CONTAINER_OF(b, struct tap, base)->vnet_hdr
		       ? NET_OFF_CSUM | NET_OFF_TSO4 | NET_OFF_TSO6
		       : 0;
}

static void tap_set_offloads(struct net_backend *b, unsigned rx)
{
	struct tap *t = CONTAINER_OF(b, struct tap, base);
	unsigned long f = 0;

	if (!t->vnet_hdr)
		return;
	/* The kernel takes segmentation only together with checksums. */
	if (rx & NET_OFF_CSUM) {
		f = TUN_F_CSUM;
		f |= rx & NET_OFF_TSO4 ? TUN_F_TSO4 : 0u;
		f |= rx & NET_OFF_TSO6 ? TUN_F_TSO6 : 0u;
	}
	/* Refused at worst: then the kernel finishes frames itself, which every guest can take. */
	if (ioctl(t->fd, TUNSETOFFLOAD, f) < 0)
		ioctl(t->fd, TUNSETOFFLOAD, 0UL);
}

/* seccomp: loop: read write readv writev ioctl */
static int tap_send(struct net_backend *b, const struct net_hdr *h, const struct iovec *iov,
		    unsigned n_iov, size_t len UNUSED)
{
	struct tap *t = CONTAINER_OF(b, struct tap, base);
	struct iovec v[IOV_MAX_TX + 1];
	unsigned n = 0;

	if (n_iov > IOV_MAX_TX)
		return -EMSGSIZE;
	if (t->vnet_hdr)
		v[n++] = (struct iovec) { (void *)(uintptr_t)h, sizeof(*h) };
	memcpy(v + n, iov, n_iov * sizeof(*iov));
	if (writev(t->fd, v, (int)(n + n_iov)) < 0)
		return -errno;
	return 0;
}

static void on_frames(void *arg, int fd, uint32_t events)
{
	struct tap *t = arg;
	const size_t skip = t->vnet_hdr ? sizeof(struct net_hdr) : 0;

	for (int i = 0; i < ROUND && t->rx_on; i++) {
		ssize_t n = read(fd, t->buf, skip + NET_FRAME_MAX);
		struct net_hdr h = { 0 };
		struct iovec v;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && !(events & (EPOLLERR | EPOLLHUP)))
			return;
		if (n < 0) {
			/* The interface is gone; its error would wake us for ever. */
			loop_fd_del(t->watch);
			t->watch = NULL;
			return;
		}
		if ((size_t)n < skip)
			continue;
		memcpy(&h, t->buf, skip);
		v = (struct iovec) { t->buf + skip, (size_t)n - skip };
		net_deliver(&t->base, &h, &v, 1, v.iov_len);
	}
	if (!t->rx_on && (events & (EPOLLERR | EPOLLHUP))) {
		loop_fd_del(t->watch);
		t->watch = NULL;
	}
}

static void tap_rx_enable(struct net_backend *b, bool on)
{
	struct tap *t = CONTAINER_OF(b, struct tap, base);

	t->rx_on = on;
	if (t->watch)
		loop_fd_mod(t->watch, on ? EPOLLIN : 0);
}

static void tap_close(struct net_backend *b)
{
	struct tap *t = CONTAINER_OF(b, struct tap, base);

	loop_fd_del(t->watch);
	fd_close(&t->fd);
	free(t);
}

static const struct net_backend_ops tap_ops = {
	.name = "tap",
	.offloads = tap_offloads,
	.set_offloads = tap_set_offloads,
	.send = tap_send,
	.rx_enable = tap_rx_enable,
	.close = tap_close,
};

int net_tap_open_fd(struct net_backend **out, int fd, struct loop *loop, struct err *e)
{
	struct ifreq ifr = { 0 };
	int size = sizeof(struct net_hdr), ret;
	struct tap *t;

	if (ioctl(fd, TUNGETIFF, &ifr) < 0 || !(ifr.ifr_flags & IFF_TAP))
		return err_set(e, -EINVAL,
			       "descriptor %d is no tap interface; open one with IFF_TAP", fd);
	if (!(ifr.ifr_flags & IFF_NO_PI))
		return err_set(e, -EINVAL,
			       "tap interface %s was opened without IFF_NO_PI; open it with it",
			       ifr.ifr_name);
	ret = fd_set_nonblock(fd, 1);
	if (!ret && (ifr.ifr_flags & IFF_VNET_HDR) && ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
		ret = -errno;
	if (ret)
		return err_set(e, ret, "cannot set up tap interface %s: %s", ifr.ifr_name,
			       strerror(-ret));
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(e, -ENOMEM, "no memory for tap interface %s", ifr.ifr_name);
	t->base.ops = &tap_ops;
	t->fd = fd;
	t->vnet_hdr = ifr.ifr_flags & IFF_VNET_HDR;
	ret = loop_fd_add(loop, fd, 0, on_frames, t, &t->watch, e);
	if (ret) {
		free(t);
		return ret;
	}
	tap_set_offloads(&t->base, 0);
	*out = &t->base;
	return 0;
}

int net_tap_open(struct net_backend **out, const char *name, struct loop *loop, struct err *e)
{
	FD_AUTO fd = -1;
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	size_t len = strlen(name);
	int ret;

	if (!len || len >= IFNAMSIZ)
		return err_set(e, -EINVAL, "tap interface name \"%s\" must have 1 to %d characters",
			       name, IFNAMSIZ - 1);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_set(e, -errno,
			       "cannot open /dev/net/tun for tap interface %s: %s; use --net user, "
			       "which needs no rights",
			       name, strerror(errno));
	memcpy(ifr.ifr_name, name, len);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0 && errno == EBUSY)
		return err_set(e, -EBUSY,
			       "tap interface %s is in use by another program; name another one",
			       name);
	else if (ioctl(fd, TUNGETIFF, &ifr) < 0)
		return err_set(
			e, -EPERM,
			"no right to use tap interface %s; have root make it for you (ip tuntap "
			"add %s mode tap user NAME) or use --net user",
			name, name);
	ret = net_tap_open_fd(out, fd, loop, e);
	if (ret == 0)
		fd_take(&fd);
	return ret;
}
