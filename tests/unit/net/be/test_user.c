/* SPDX-License-Identifier: MIT */
/*
 * The user-mode network seen by a guest made of a few functions: it asks for an address by DHCP,
 * resolves the gateway by ARP, talks UDP and TCP (with unfinished checksums, as a real driver
 * does) to servers on the host's loopback, and serves a forwarded port.
 */
#include "base/bytes.h"
#include "net/be/backends.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAMES	   64
#define GUEST_IP   0x0a00020fu
#define GATEWAY_IP 0x0a000202u

static const uint8_t guest_mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };

struct rig {
	struct loop *loop;
	struct net *net;
	unsigned n, rx_calls;
	bool full;
	struct net_hdr hdr[FRAMES];
	size_t len[FRAMES];
	uint8_t frame[FRAMES][2048];
	uint8_t gw_mac[6];
};

static bool on_rx(void *ctx, const struct net_hdr *h, const struct iovec *iov, unsigned n_iov,
		  size_t len)
{
	struct rig *t = ctx;

	t->rx_calls++;
	if (t->full)
		return false;
	assert_int_equal(n_iov, 1);
	assert_true(t->n < FRAMES && len <= sizeof(t->frame[0]));
	t->hdr[t->n] = *h;
	t->len[t->n] = len;
	memcpy(t->frame[t->n++], iov[0].iov_base, len);
	return true;
}

static const struct net_client_ops client_ops = { .rx = on_rx };

static void setup_with(struct rig *t, const struct net_forward *f, unsigned n)
{
	const struct net_user_config cfg = { .forwards = f, .n_forwards = n };
	struct net_backend *b;
	struct err e = { 0 };

	memset(t, 0, sizeof(*t));
	assert_int_equal(loop_create(&t->loop, &clock_host, NULL), 0);
	if (net_user_open(&b, &cfg, t->loop, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(net_create(&t->net, b, t->loop, NULL), 0);
	net_set_client(t->net, &client_ops, t);
	net_set_offloads(t->net, NET_OFF_CSUM);
	net_rx_enable(t->net, true);
}

static void teardown(struct rig *t)
{
	net_destroy(t->net);
	loop_destroy(t->loop);
}

static void run(struct rig *t, int ms)
{
	const uint64_t end = clock_monotonic_ns() + (uint64_t)ms * CLOCK_NS_PER_MS;

	do
		loop_poll(t->loop, 5);
	while (clock_monotonic_ns() < end);
}

static void send_frame(struct rig *t, const struct net_hdr *h, void *p, size_t len)
{
	/* In two pieces, as a driver with a header of its own would. */
	const struct iovec v[2] = { { p, 20 }, { (uint8_t *)p + 20, len - 20 } };

	net_send(t->net, h, v, 2, len);
}

static void put_eth(struct rig *t, uint8_t *p, uint16_t type)
{
	memcpy(p, t->gw_mac, 6);
	memcpy(p + 6, guest_mac, 6);
	put_le16(p + 12, htons(type));
}

static uint32_t sum16(const uint8_t *p, size_t len)
{
	uint32_t s = 0;

	for (size_t i = 0; i < len; i++)
		s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

/* An IP packet around @body, whose checksum at @csum_at is left for the back end to finish. */
static void send_ip(struct rig *t, uint32_t from, uint32_t to, uint8_t proto, const void *body,
		    size_t len, size_t csum_at)
{
	static uint8_t p[NET_FRAME_MAX];
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = proto };
	struct net_hdr h = { .flags = 1, .csum_start = 34, .csum_offset = (uint16_t)csum_at };
	uint32_t pseudo;
	uint8_t ph[12] = { 0 };

	if (len > NET_MTU) {
		h.gso_type = 1;
		h.hdr_len = 54;
		h.gso_size = 1460;
	}
	put_eth(t, p, ETHERTYPE_IP);
	ip.tot_len = htons((uint16_t)(20 + len));
	ip.saddr = htonl(from);
	ip.daddr = htonl(to);
	memcpy(p + 14, &ip, 20);
	put_le16(p + 24, htons((uint16_t)~sum16(p + 14, 20)));
	memcpy(p + 34, body, len);
	memcpy(ph, p + 26, 8);
	ph[9] = proto;
	put_le16(ph + 10, htons((uint16_t)len));
	pseudo = sum16(ph, 12);
	put_le16(p + 34 + csum_at, htons((uint16_t)pseudo));
	send_frame(t, &h, p, 34 + len);
}

static void send_udp(struct rig *t, uint32_t from, uint16_t sport, uint32_t to, uint16_t dport,
		     const void *data, size_t len)
{
	uint8_t b[1500];
	struct udphdr u = { .source = htons(sport),
			    .dest = htons(dport),
			    .len = htons((uint16_t)(8 + len)) };

	memcpy(b, &u, 8);
	memcpy(b + 8, data, len);
	send_ip(t, from, to, IPPROTO_UDP, b, 8 + len, 6);
}

struct seg {
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t flags;
	const uint8_t *data;
	size_t len;
};

static void send_tcp(struct rig *t, const struct seg *s)
{
	static uint8_t b[NET_FRAME_MAX];
	struct tcphdr h = { .source = htons(s->sport),
			    .dest = htons(s->dport),
			    .seq = htonl(s->seq),
			    .ack_seq = htonl(s->ack),
			    .doff = 5,
			    .window = htons(32768) };

	memcpy(b, &h, 20);
	b[13] = s->flags;
	if (s->len)
		memcpy(b + 20, s->data, s->len);
	send_ip(t, GUEST_IP, GATEWAY_IP, IPPROTO_TCP, b, 20 + s->len, 16);
}

/* The next frame of IP protocol @proto to @dport, with a whole checksum; false if none came. */
static bool next_ip(struct rig *t, unsigned *at, uint8_t proto, uint16_t dport, const uint8_t **l4,
		    size_t *len)
{
	for (int tries = 0; tries < 400; tries++) {
		for (; *at < t->n; (*at)++) {
			const uint8_t *p = t->frame[*at];
			size_t total = ntohs(get_le16(p + 16)) - 20u;
			uint8_t ph[12] = { 0 };

			if (get_le16(p + 12) != htons(ETHERTYPE_IP) || p[23] != proto ||
			    ntohs(get_le16(p + 36)) != dport)
				continue;
			memcpy(ph, p + 26, 8);
			ph[9] = proto;
			put_le16(ph + 10, htons((uint16_t)total));
			assert_int_equal((sum16(ph, 12) + sum16(p + 34, total)) % 0xffff, 0);
			assert_int_equal(t->hdr[*at].flags, 2);
			*l4 = p + 34;
			*len = total;
			(*at)++;
			return true;
		}
		loop_poll(t->loop, 5);
	}
	return false;
}

static struct seg parse_tcp(const uint8_t *p, size_t len)
{
	size_t off = (size_t)(p[12] >> 4) * 4;

	return (struct seg) { .sport = ntohs(get_le16(p)),
			      .dport = ntohs(get_le16(p + 2)),
			      .seq = ntohl(get_le32(p + 4)),
			      .ack = ntohl(get_le32(p + 8)),
			      .flags = p[13],
			      .data = p + off,
			      .len = len - off };
}

/* Ask for @ip; libslirp learns our address from it. */
static void resolve_gateway(struct rig *t)
{
	uint8_t p[60] = { 0 };
	const uint8_t req[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	unsigned first = t->n;

	memset(t->gw_mac, 0xff, 6);
	put_eth(t, p, ETHERTYPE_ARP);
	memcpy(p + 14, req, 8);
	memcpy(p + 22, guest_mac, 6);
	put_le32(p + 28, htonl(GUEST_IP));
	put_le32(p + 38, htonl(GATEWAY_IP));
	send_frame(t, NULL, p, sizeof(p));
	assert_int_equal(t->n, first); /* never from inside net_send() */
	for (int i = 0; i < 200 && t->n == first; i++)
		loop_poll(t->loop, 5);
	for (unsigned i = first; i < t->n; i++)
		if (get_le16(t->frame[i] + 12) == htons(ETHERTYPE_ARP) && t->frame[i][21] == 2)
			memcpy(t->gw_mac, t->frame[i] + 22, 6);
	assert_int_not_equal(t->gw_mac[0], 0xff);
}

static int host_socket(int type, uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 4), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* Run the network until @fd is readable. */
static void await(struct rig *t, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (int i = 0; i < 400 && poll(&p, 1, 0) == 0; i++)
		loop_poll(t->loop, 5);
	assert_int_equal(poll(&p, 1, 0), 1);
}

static void dhcp_gives_the_address(void **state UNUSED)
{
	uint8_t m[300] = { 1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef };
	const uint8_t opt[] = { 0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255 };
	unsigned at = 0;
	const uint8_t *u;
	size_t len;
	struct rig t;

	setup_with(&t, NULL, 0);
	memset(t.gw_mac, 0xff, 6);
	memcpy(m + 28, guest_mac, 6);
	memcpy(m + 236, opt, sizeof(opt));
	send_udp(&t, 0, 68, 0xffffffff, 67, m, sizeof(m));
	assert_true(next_ip(&t, &at, IPPROTO_UDP, 68, &u, &len));
	assert_int_equal(u[8], 2);
	assert_int_equal(get_le32(u + 8 + 4), get_le32(m + 4));
	assert_int_equal(ntohl(get_le32(u + 8 + 16)), GUEST_IP);
	teardown(&t);
}

static void udp_reaches_the_host(void **state UNUSED)
{
	struct sockaddr_in peer;
	socklen_t plen = sizeof(peer);
	char buf[64];
	unsigned at = 0;
	uint16_t port;
	const uint8_t *u;
	size_t len;
	struct rig t;
	int fd;

	setup_with(&t, NULL, 0);
	fd = host_socket(SOCK_DGRAM, &port);
	resolve_gateway(&t);
	send_udp(&t, GUEST_IP, 4000, GATEWAY_IP, port, "ping!", 5);
	await(&t, fd);
	assert_int_equal(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&peer, &plen), 5);
	assert_memory_equal(buf, "ping!", 5);
	assert_int_equal(sendto(fd, "pong", 4, 0, (struct sockaddr *)&peer, plen), 4);
	assert_true(next_ip(&t, &at, IPPROTO_UDP, 4000, &u, &len));
	assert_int_equal(len, 12);
	assert_memory_equal(u + 8, "pong", 4);
	close(fd);
	teardown(&t);
}

static void tcp_reaches_the_host(void **state UNUSED)
{
	static uint8_t big[40000], in[40000];
	struct seg s = { .sport = 5000, .seq = 1000, .flags = TH_SYN }, r;
	ssize_t got;
	char buf[64];
	unsigned at = 0;
	const uint8_t *p;
	size_t len;
	struct rig t;
	int fd, c;

	setup_with(&t, NULL, 0);
	fd = host_socket(SOCK_STREAM, &s.dport);
	resolve_gateway(&t);
	send_tcp(&t, &s);
	assert_true(next_ip(&t, &at, IPPROTO_TCP, 5000, &p, &len));
	r = parse_tcp(p, len);
	assert_int_equal(r.flags, TH_SYN | TH_ACK);
	assert_int_equal(r.ack, 1001);
	s.seq = 1001;
	s.ack = r.seq + 1;
	s.flags = TH_ACK | TH_PUSH;
	s.data = (const uint8_t *)"GET /";
	s.len = 5;
	send_tcp(&t, &s);
	await(&t, fd);
	c = accept(fd, NULL, NULL);
	assert_true(c >= 0);
	await(&t, c);
	assert_int_equal(read(c, buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "GET /", 5);

	/* While rx is off the answer waits; it comes when rx is on again. */
	run(&t, 30);
	at = t.n;
	net_rx_enable(t.net, false);
	t.rx_calls = 0;
	assert_int_equal(write(c, "200 OK", 6), 6);
	run(&t, 50);
	assert_int_equal(t.rx_calls, 0);
	net_rx_enable(t.net, true);
	assert_int_equal(t.rx_calls, 0);
	do {
		assert_true(next_ip(&t, &at, IPPROTO_TCP, 5000, &p, &len));
		r = parse_tcp(p, len);
	} while (!r.len);
	assert_int_equal(r.len, 6);
	assert_memory_equal(r.data, "200 OK", 6);
	/* A segment that the driver left whole, much larger than the MTU. */
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 31 >> 3);
	s.seq += 5;
	s.ack = r.seq + 6;
	s.data = big;
	s.len = sizeof(big);
	send_tcp(&t, &s);
	for (size_t n = 0; n < sizeof(big);) {
		await(&t, c);
		got = read(c, in, sizeof(in));
		assert_true(got > 0 && n + (size_t)got <= sizeof(big));
		assert_memory_equal(in, big + n, got);
		n += (size_t)got;
	}
	close(c);
	close(fd);
	teardown(&t);
}

/* As much as a small image through the loop, in order and whole; must not stall on a timer. */
static void download_is_whole_and_swift(void **state UNUSED)
{
	static uint8_t chunk[65536];
	struct seg s = { .sport = 5001, .seq = 1, .flags = TH_SYN }, r;
	const size_t total = 8u * 1024 * 1024;
	size_t sent = 0, got = 0;
	unsigned at = 0;
	const uint8_t *p;
	uint64_t start;
	size_t len;
	struct rig t;
	int fd, c;

	setup_with(&t, NULL, 0);
	fd = host_socket(SOCK_STREAM, &s.dport);
	resolve_gateway(&t);
	send_tcp(&t, &s);
	assert_true(next_ip(&t, &at, IPPROTO_TCP, 5001, &p, &len));
	s.ack = parse_tcp(p, len).seq + 1;
	s.seq = 2;
	s.flags = TH_ACK;
	send_tcp(&t, &s);
	await(&t, fd);
	c = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
	assert_true(c >= 0);
	start = clock_monotonic_ns();
	t.n = at = 0;
	while (got < total && clock_monotonic_ns() - start < 20 * CLOCK_NS_PER_SEC) {
		const size_t had = got;

		if (sent < total) {
			const size_t want = MIN(sizeof(chunk), total - sent);
			ssize_t w;

			for (size_t k = 0; k < want; k++)
				chunk[k] = (uint8_t)((sent + k) % 251);
			w = write(c, chunk, want);
			sent += w > 0 ? (size_t)w : 0;
		}
		loop_poll(t.loop, 5);
		for (; at < t.n; at++) {
			if (t.frame[at][23] != IPPROTO_TCP)
				continue;
			r = parse_tcp(t.frame[at] + 34, ntohs(get_le16(t.frame[at] + 16)) - 20u);
			if (r.dport != 5001 || r.seq != s.ack)
				continue;
			for (size_t k = 0; k < r.len; k++)
				assert_int_equal(r.data[k], (got + k) % 251);
			got += r.len;
			s.ack += (uint32_t)r.len;
		}
		t.n = at = 0;
		if (got != had)
			send_tcp(&t, &s);
	}
	assert_int_equal(got, total);
	print_message("%zu bytes in %llu ms\n", got,
		      (unsigned long long)((clock_monotonic_ns() - start) / CLOCK_NS_PER_MS));
	close(c);
	close(fd);
	teardown(&t);
}

static void forwarded_port_reaches_the_guest(void **state UNUSED)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct net_forward f = { .host_addr = INADDR_LOOPBACK, .guest_port = 80 };
	struct seg r, s;
	unsigned at = 0;
	const uint8_t *p;
	size_t len;
	struct rig t;
	int c;

	close(host_socket(SOCK_STREAM, &f.host_port));
	setup_with(&t, &f, 1);
	resolve_gateway(&t);
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	a.sin_port = htons(f.host_port);
	assert_true(connect(c, (struct sockaddr *)&a, sizeof(a)) == 0 || errno == EINPROGRESS);
	assert_true(next_ip(&t, &at, IPPROTO_TCP, 80, &p, &len));
	r = parse_tcp(p, len);
	assert_int_equal(r.flags, TH_SYN);
	s = (struct seg) {
		.sport = 80, .dport = r.sport, .seq = 77, .ack = r.seq + 1, .flags = TH_SYN | TH_ACK
	};
	send_tcp(&t, &s);
	s.seq++;
	s.flags = TH_ACK | TH_PUSH;
	s.data = (const uint8_t *)"from the guest";
	s.len = 14;
	run(&t, 20);
	send_tcp(&t, &s);
	await(&t, c);
	{
		char buf[64];

		assert_int_equal(read(c, buf, sizeof(buf)), 14);
		assert_memory_equal(buf, "from the guest", 14);
	}
	close(c);
	teardown(&t);
}

static int tcp_connect(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int ret = connect(fd, (struct sockaddr *)&a, sizeof(a)) ? -errno : 0;

	close(fd);
	return ret;
}

static void forwards_come_and_go(void **state UNUSED)
{
	struct net_forward f = { .host_addr = INADDR_LOOPBACK, .guest_port = 80 };
	struct err e = { 0 };
	struct rig t;
	unsigned at = 0;
	const uint8_t *p;
	size_t len;

	close(host_socket(SOCK_STREAM, &f.host_port));
	setup_with(&t, NULL, 0);
	resolve_gateway(&t);
	assert_int_equal(tcp_connect(f.host_port), -ECONNREFUSED);
	assert_int_equal(net_forward(t.net, &f, true, &e), 0);
	assert_int_equal(tcp_connect(f.host_port), 0);
	/* It is not only open: the guest hears of it. */
	assert_true(next_ip(&t, &at, IPPROTO_TCP, 80, &p, &len));
	assert_int_equal(net_forward(t.net, &f, true, &e), -EADDRINUSE);
	assert_int_equal(net_forward(t.net, &f, false, &e), 0);
	assert_int_equal(tcp_connect(f.host_port), -ECONNREFUSED);
	assert_int_equal(net_forward(t.net, &f, false, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "not forwarded"));
	teardown(&t);
}

static void busy_port_is_named(void **state UNUSED)
{
	struct net_forward f = { .host_addr = INADDR_LOOPBACK, .guest_port = 80 };
	const struct net_user_config cfg = { .forwards = &f, .n_forwards = 1 };
	struct net_backend *b = NULL;
	struct err e = { 0 };
	struct loop *l;
	char port[16];
	int fd = host_socket(SOCK_STREAM, &f.host_port);

	assert_int_equal(loop_create(&l, &clock_host, NULL), 0);
	assert_int_equal(net_user_open(&b, &cfg, l, &e), -EADDRINUSE);
	assert_null(b);
	snprintf(port, sizeof(port), "%u", f.host_port);
	assert_non_null(strstr(e.msg, port));
	assert_non_null(strstr(e.msg, "already taken"));
	loop_destroy(l);
	close(fd);
}

/* Whatever a guest sends: it is dropped or answered, and all ends clean under the sanitizers. */
static void noise_is_survived(void **state UNUSED)
{
	static uint8_t p[3000];
	uint64_t x = 88172645463325252ULL;
	struct net_stats st;
	struct rig t;

	setup_with(&t, NULL, 0);
	resolve_gateway(&t);
	t.full = true;
	for (int i = 0; i < 20000; i++) {
		struct net_hdr h = { 0 };
		size_t len;

		for (unsigned k = 0; k < 96; k += 8) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			memcpy(p + k, &x, 8);
		}
		len = 20 + x % 1500;
		put_eth(&t, p, x & 256 ? ETHERTYPE_IP : x & 512 ? ETHERTYPE_IPV6 : ETHERTYPE_ARP);
		/* Addresses to nowhere outside: loopback of the gateway only. */
		if (x & 256) {
			p[14] = 0x45;
			put_le32(p + 30, htonl(GATEWAY_IP));
		} else {
			memset(p + 38, 0xfe, 16);
		}
		h.flags = (x >> 20) & 1;
		h.csum_start = (uint16_t)(x >> 24);
		h.csum_offset = (uint16_t)(x >> 40);
		send_frame(&t, &h, p, len);
		if (i % 64 == 0)
			loop_poll(t.loop, 0);
	}
	net_stats(t.net, &st);
	assert_true(st.tx_packets > 0 && st.tx_dropped > 0);
	teardown(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dhcp_gives_the_address),
		cmocka_unit_test(udp_reaches_the_host),
		cmocka_unit_test(tcp_reaches_the_host),
		cmocka_unit_test(download_is_whole_and_swift),
		cmocka_unit_test(forwarded_port_reaches_the_guest),
		cmocka_unit_test(forwards_come_and_go),
		cmocka_unit_test(busy_port_is_named),
		cmocka_unit_test(noise_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
