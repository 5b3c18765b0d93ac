/* SPDX-License-Identifier: MIT */
/*
 * The network core over a back end and a client that only count: what a limit lets through each
 * way, who is told when, and that rx is on at the back end only while both sides want it.
 */
#include "net/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS    CLOCK_NS_PER_MS
#define FRAME 1000u

struct rig {
	struct net_backend back;
	struct clock_fake clock;
	struct loop *loop;
	struct net *net;
	unsigned sent, got, told;
	uint64_t send_ns; /* how long a send takes */
	bool rx_on;
};

static int fake_send(struct net_backend *b, const struct net_hdr *h UNUSED,
		     const struct iovec *iov UNUSED, unsigned n_iov UNUSED, size_t len UNUSED)
{
	struct rig *t = CONTAINER_OF(b, struct rig, back);

	t->sent++;
	clock_fake_advance(&t->clock, t->send_ns);
	return 0;
}

static void fake_rx_enable(struct net_backend *b, bool on)
{
	struct rig *t = CONTAINER_OF(b, struct rig, back);

	assert_true(t->rx_on != on); /* told of changes only */
	t->rx_on = on;
}

static void fake_close(struct net_backend *b UNUSED)
{
}

static const struct net_backend_ops back_ops = {
	.name = "fake",
	.send = fake_send,
	.rx_enable = fake_rx_enable,
	.close = fake_close,
};

static bool client_rx(void *ctx, const struct net_hdr *h UNUSED, const struct iovec *iov UNUSED,
		      unsigned n_iov UNUSED, size_t len UNUSED)
{
	((struct rig *)ctx)->got++;
	return true;
}

static void client_tx_ready(void *ctx)
{
	((struct rig *)ctx)->told++;
}

static const struct net_client_ops client_ops = { .rx = client_rx, .tx_ready = client_tx_ready };

static uint8_t frame[FRAME];
static const struct iovec iov = { frame, FRAME };

static void setup(struct rig *t, uint64_t per_sec)
{
	*t = (struct rig) { .back.ops = &back_ops };
	clock_fake_init(&t->clock, CLOCK_NS_PER_SEC, 0);
	assert_int_equal(loop_create(&t->loop, &t->clock.clock, NULL), 0);
	assert_int_equal(net_create(&t->net, &t->back, t->loop, NULL), 0);
	net_set_client(t->net, &client_ops, t);
	net_set_limit(t->net, per_sec);
	net_rx_enable(t->net, true);
}

static void teardown(struct rig *t)
{
	net_destroy(t->net);
	assert_false(t->rx_on);
	loop_destroy(t->loop);
}

static void pass(struct rig *t, uint64_t ns)
{
	clock_fake_advance(&t->clock, ns);
	loop_poll(t->loop, 0);
}

/* As a device does: take frames while the core says so. */
static void send_all(struct rig *t, unsigned max)
{
	while (max-- && net_tx_ready(t->net))
		net_send(t->net, NULL, &iov, 1, FRAME);
}

/* As a back end does. */
static void deliver_all(struct rig *t, unsigned max)
{
	while (max-- && t->rx_on)
		assert_true(net_deliver(&t->back, NULL, &iov, 1, FRAME));
}

static void tx_stops_and_is_told_when_to_go_on(void **state UNUSED)
{
	struct rig t;

	setup(&t, 10 * FRAME); /* a frame each 100 ms, and one of burst */
	send_all(&t, 100);
	assert_int_equal(t.sent, 2);
	send_all(&t, 100);
	assert_int_equal(t.sent, 2);
	pass(&t, 99 * MS);
	assert_int_equal(t.told, 0);
	pass(&t, MS);
	assert_int_equal(t.told, 1);
	send_all(&t, 100);
	assert_int_equal(t.sent, 3);
	/* Lifting it is told at once, from the loop. */
	net_set_limit(t.net, 0);
	assert_int_equal(t.told, 1);
	pass(&t, 0);
	assert_int_equal(t.told, 2);
	send_all(&t, 100);
	assert_int_equal(t.sent, 103);
	pass(&t, 1000 * MS);
	assert_int_equal(t.told, 2); /* nobody waits */
	teardown(&t);
}

static void rx_stops_at_the_back_end(void **state UNUSED)
{
	struct net_stats st;
	struct rig t;

	setup(&t, 10 * FRAME);
	deliver_all(&t, 100);
	assert_int_equal(t.got, 2);
	assert_false(t.rx_on);
	pass(&t, 99 * MS);
	assert_false(t.rx_on);
	pass(&t, MS);
	assert_true(t.rx_on);
	deliver_all(&t, 100);
	assert_int_equal(t.got, 3);
	net_stats(t.net, &st);
	assert_int_equal(st.rx_packets, 3);
	assert_int_equal(st.rx_dropped, 0);
	/* The other way has its own. */
	send_all(&t, 100);
	assert_int_equal(t.sent, 2);
	teardown(&t);
}

static void rx_needs_the_client_and_the_limit(void **state UNUSED)
{
	struct rig t;

	setup(&t, 10 * FRAME);
	deliver_all(&t, 100);
	net_rx_enable(t.net, false);
	pass(&t, 500 * MS); /* the limit would let them go, the client does not want any */
	assert_false(t.rx_on);
	net_rx_enable(t.net, true);
	assert_true(t.rx_on);
	deliver_all(&t, 100);
	assert_false(t.rx_on);
	net_rx_enable(t.net, false);
	net_rx_enable(t.net, true); /* the client wants some, the limit does not let them go */
	assert_false(t.rx_on);
	net_set_limit(t.net, 0);
	pass(&t, 0);
	assert_true(t.rx_on);
	deliver_all(&t, 50);
	assert_true(t.rx_on);
	teardown(&t);
}

static void some_sends_are_measured(void **state UNUSED)
{
	struct net_stats st;
	uint64_t n = 0;
	struct rig t;

	setup(&t, 0);
	t.send_ns = 5000;
	send_all(&t, 10 * NET_LATENCY_EVERY);
	net_stats(t.net, &st);
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		n += st.tx_latency.n[i];
	assert_int_equal(n, 10);
	assert_int_equal(st.tx_latency.n[latency_bucket(5000)], 10);
	teardown(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tx_stops_and_is_told_when_to_go_on),
		cmocka_unit_test(rx_stops_at_the_back_end),
		cmocka_unit_test(rx_needs_the_client_and_the_limit),
		cmocka_unit_test(some_sends_are_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
