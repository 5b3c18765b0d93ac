/* SPDX-License-Identifier: MIT */
/*
 * Tap interfaces in a network namespace of the test's own: frames both ways with the kernel as the
 * peer, by name and by descriptor. Needs the right to make namespaces and /dev/net/tun; skipped
 * with the reason where they are missing.
 */
#include "base/bytes.h"
#include "net/be/backends.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct rig {
	struct loop *loop;
	struct net *net;
	unsigned n;
	struct net_hdr hdr;
	size_t len;
	uint8_t frame[2048];
};

static const char *missing;

/* Keeps the last UDP frame. */
static bool on_rx(void *ctx, const struct net_hdr *h, const struct iovec *iov, unsigned n_iov,
		  size_t len)
{
	struct rig *t = ctx;
	const uint8_t *p = iov[0].iov_base;

	assert_int_equal(n_iov, 1);
	if (len < 42 || len > sizeof(t->frame) || get_le16(p + 12) != htons(ETHERTYPE_IP) ||
	    p[23] != IPPROTO_UDP)
		return true;
	t->n++;
	t->hdr = *h;
	t->len = len;
	memcpy(t->frame, p, len);
	return true;
}

static const struct net_client_ops client_ops = { .rx = on_rx };

/* Interface @name up with 10.9.0.1/24, and a fixed neighbour 10.9.0.2. */
static void bring_up(const char *name)
{
	struct ifreq r = { 0 };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a090001) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	memcpy(&r.ifr_addr, &a, sizeof(a));
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &r), 0);
	a.sin_addr.s_addr = htonl(0xffffff00);
	memcpy(&r.ifr_addr, &a, sizeof(a));
	assert_int_equal(ioctl(fd, SIOCSIFNETMASK, &r), 0);
	r.ifr_flags = IFF_UP | IFF_RUNNING;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
}

static void send_frame(struct rig *t, const struct net_hdr *h, const uint8_t *p, size_t len)
{
	const struct iovec v[2] = { { (void *)(uintptr_t)p, 14 },
				    { (void *)(uintptr_t)(p + 14), len - 14 } };

	net_send(t->net, h, v, 2, len);
}

static void exchange(struct rig *t)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(7000),
				  .sin_addr.s_addr = htonl(0x0a090002) };
	struct sockaddr_in me = { .sin_family = AF_INET,
				  .sin_port = htons(7001),
				  .sin_addr.s_addr = htonl(0x0a090001) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	uint8_t arp[42], udp[46], mac[6];
	const struct net_hdr csum = { .flags = 1, .csum_start = 34, .csum_offset = 6 };
	char buf[16];
	uint32_t sum;

	assert_int_equal(bind(fd, (struct sockaddr *)&me, sizeof(me)), 0);
	/* The neighbour announces itself as an answer to the kernel's question. */
	assert_int_equal(sendto(fd, "down", 4, 0, (struct sockaddr *)&to, sizeof(to)), 4);
	memset(arp, 0xff, 6);
	memcpy(arp + 6, "\x52\x54\0\0\0\2", 6);
	memcpy(arp + 12, "\x08\x06\0\1\x08\0\6\4\0\2", 10);
	memcpy(arp + 22, "\x52\x54\0\0\0\2\x0a\x09\0\2", 10);
	memset(arp + 32, 0xff, 6);
	memcpy(arp + 38, "\x0a\x09\0\1", 4);
	send_frame(t, NULL, arp, sizeof(arp));
	for (int i = 0; i < 400 && !t->n; i++)
		loop_poll(t->loop, 5);
	assert_int_equal(t->n, 1);
	assert_memory_equal(t->frame + 42, "down", 4);
	assert_int_equal(t->hdr.flags & 1, 0); /* no offload negotiated: finished */
	memcpy(mac, t->frame + 6, 6);

	/* With checksums negotiated the kernel leaves them to us. */
	net_set_offloads(t->net, net_offloads(t->net));
	assert_int_equal(sendto(fd, "more", 4, 0, (struct sockaddr *)&to, sizeof(to)), 4);
	for (int i = 0; i < 400 && t->n < 2; i++)
		loop_poll(t->loop, 5);
	assert_int_equal(t->n, 2);
	if (net_offloads(t->net)) {
		assert_int_equal(t->hdr.flags & 1, 1);
		assert_int_equal(t->hdr.csum_start, 34);
	}

	/* And up, its checksum for the kernel to finish where the header can say so. */
	memcpy(udp, mac, 6);
	memcpy(udp + 6, "\x52\x54\0\0\0\2\x08\0\x45\0\0\x20\0\0\0\0\x40\x11\0\0", 20);
	memcpy(udp + 26, "\x0a\x09\0\2\x0a\x09\0\1\x1b\x58\x1b\x59\0\x0c\0\0", 16);
	memcpy(udp + 42, "up!!", 4);
	sum = 0;
	for (unsigned i = 14; i < 34; i += 2)
		sum += (uint32_t)(udp[i] << 8 | udp[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	put_le16(udp + 24, htons((uint16_t)~sum));
	if (net_offloads(t->net)) {
		sum = 0x0a09 + 2 + 0x0a09 + 1 + IPPROTO_UDP + 12;
		put_le16(udp + 40, htons((uint16_t)sum));
	}
	send_frame(t, net_offloads(t->net) ? &csum : NULL, udp, sizeof(udp));
	for (int i = 0; i < 100 && recv(fd, buf, sizeof(buf), MSG_PEEK) < 0; i++)
		usleep(1000);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 4);
	assert_memory_equal(buf, "up!!", 4);

	/* Off is off. */
	net_rx_enable(t->net, false);
	assert_int_equal(sendto(fd, "quiet", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5);
	loop_poll(t->loop, 20);
	assert_int_equal(t->n, 2);
	close(fd);
}

static void with_backend(struct rig *t, struct net_backend *b, const char *name)
{
	assert_int_equal(net_create(&t->net, b, t->loop, NULL), 0);
	net_set_client(t->net, &client_ops, t);
	net_rx_enable(t->net, true);
	bring_up(name);
	exchange(t);
	net_destroy(t->net);
	loop_destroy(t->loop);
}

static void need_rights(void)
{
	if (!missing)
		return;
	print_message("skipped: %s\n", missing);
	skip();
}

static void by_name(void **state UNUSED)
{
	struct net_backend *b, *c = NULL;
	struct rig t = { 0 };
	struct err e = { 0 };

	need_rights();
	assert_int_equal(loop_create(&t.loop, &clock_host, NULL), 0);
	if (net_tap_open(&b, "holmtest0", t.loop, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(net_tap_open(&c, "holmtest0", t.loop, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "holmtest0"));
	assert_int_equal(net_tap_open(&c, "a-name-that-is-too-long", t.loop, &e), -EINVAL);
	assert_null(c);
	with_backend(&t, b, "holmtest0");
}

static void by_descriptor(void **state UNUSED)
{
	const short kinds[] = { IFF_VNET_HDR, 0 };
	struct err e = { 0 };

	need_rights();
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct ifreq r = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | kinds[i]) };
		int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
		struct net_backend *b;
		struct rig t = { 0 };

		memcpy(r.ifr_name, "holmtest1", 10);
		assert_int_equal(ioctl(fd, TUNSETIFF, &r), 0);
		assert_int_equal(loop_create(&t.loop, &clock_host, NULL), 0);
		if (net_tap_open_fd(&b, fd, t.loop, &e))
			fail_msg("%s", e.msg);
		with_backend(&t, b, "holmtest1");
	}
}

static void no_tap_is_refused(void **state UNUSED)
{
	struct net_backend *b = NULL;
	struct err e = { 0 };
	struct loop *l;
	int fd = open("/dev/null", O_RDWR);

	assert_int_equal(loop_create(&l, &clock_host, NULL), 0);
	assert_int_equal(net_tap_open_fd(&b, fd, l, &e), -EINVAL);
	assert_null(b);
	assert_non_null(strstr(e.msg, "no tap interface"));
	loop_destroy(l);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_name),
		cmocka_unit_test(by_descriptor),
		cmocka_unit_test(no_tap_is_refused),
	};

	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		missing = "/dev/net/tun cannot be opened";
	else if (unshare(CLONE_NEWNET) < 0)
		missing = "no right to make a network namespace";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
