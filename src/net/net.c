/* SPDX-License-Identifier: MIT */
/*
 * The network core, see net.h.
 *
 * Invariants: a back end sees only frames of ETH_HLEN to NET_FRAME_MAX bytes; a client is called
 * only while rx is on. The back end's rx is on exactly while the client wants frames and the limit
 * lets them through; while it does not, rx.timer is armed.
 */
#include "net/net.h"

#include "base/bytes.h"
#include "base/rate.h"

#include <errno.h>
#include <net/ethernet.h>
#include <stdlib.h>

struct way {
	struct rate rate;
	struct loop_timer timer; /* armed: somebody waits for rate.free_ns */
};

struct net {
	struct net_backend *backend;
	const struct clock *clock;
	const struct net_client_ops *client;
	void *ctx;
	bool rx_wanted, rx_on; /* by the client; at the back end */
	struct way tx, rx;
	struct net_stats stats;
};

static_assert(sizeof(struct net_hdr) == 10, "virtio 1.2, 5.1.6: without num_buffers");

static uint64_t now(const struct net *n)
{
	return n->clock->mono_ns(n->clock);
}

static void apply_rx(struct net *n)
{
	bool on = n->rx_wanted && !loop_timer_armed(&n->rx.timer);

	if (n->rx_on == on)
		return;
	n->rx_on = on;
	n->backend->ops->rx_enable(n->backend, on);
}

static void on_rx_timer(void *arg)
{
	apply_rx(arg);
}

static void on_tx_timer(void *arg)
{
	struct net *n = arg;

	if (n->client && n->client->tx_ready)
		n->client->tx_ready(n->ctx);
}

int net_create(struct net **out, struct net_backend *b, struct loop *loop, struct err *e)
{
	struct net *n = calloc(1, sizeof(*n));

	if (!n)
		return err_set(e, -ENOMEM, "no memory for a network port");
	n->backend = b;
	n->clock = loop_clock(loop);
	loop_timer_init(&n->tx.timer, loop, on_tx_timer, n);
	loop_timer_init(&n->rx.timer, loop, on_rx_timer, n);
	b->net = n;
	*out = n;
	return 0;
}

void net_destroy(struct net *n)
{
	if (!n)
		return;
	net_rx_enable(n, false);
	loop_timer_disarm(&n->tx.timer);
	loop_timer_disarm(&n->rx.timer);
	n->backend->ops->close(n->backend);
	free(n);
}

void net_set_client(struct net *n, const struct net_client_ops *ops, void *ctx)
{
	n->client = ops;
	n->ctx = ctx;
}

unsigned net_offloads(const struct net *n)
{
	return n->backend->ops->offloads ? n->backend->ops->offloads(n->backend) : 0;
}

void net_set_offloads(struct net *n, unsigned rx)
{
	if (n->backend->ops->set_offloads)
		n->backend->ops->set_offloads(n->backend, rx & net_offloads(n));
}

/* Whether a frame's pieces give @len bytes and an Ethernet header. */
static bool frame_ok(const struct iovec *iov, unsigned n_iov, size_t len)
{
	size_t sum = 0;

	for (unsigned i = 0; i < n_iov; i++)
		if (ADD_OVERFLOWS(sum, iov[i].iov_len, &sum))
			return false;
	return sum == len && len >= ETH_HLEN && len <= NET_FRAME_MAX;
}

static void measure(struct net *n, uint64_t start)
{
	latency_add(&n->stats.tx_latency, now(n) - start);
}

void net_send(struct net *n, const struct net_hdr *h, const struct iovec *iov, unsigned n_iov,
	      size_t len)
{
	static const struct net_hdr none;
	bool timed = n->stats.tx_packets % NET_LATENCY_EVERY == 0;
	uint64_t start = timed ? now(n) : 0;

	if (!frame_ok(iov, n_iov, len)) {
		n->stats.tx_dropped++;
		return;
	}
	if (UNLIKELY(rate_limited(&n->tx.rate)))
		rate_charge(&n->tx.rate, now(n), len);
	if (n->backend->ops->send(n->backend, h ? h : &none, iov, n_iov, len)) {
		n->stats.tx_dropped++;
		return;
	}
	n->stats.tx_packets++;
	n->stats.tx_bytes += len;
	if (timed)
		measure(n, start);
}

void net_rx_enable(struct net *n, bool on)
{
	n->rx_wanted = on;
	apply_rx(n);
}

bool net_tx_ready(struct net *n)
{
	if (!UNLIKELY(rate_limited(&n->tx.rate)) || rate_ready(&n->tx.rate, now(n)))
		return true;
	loop_timer_arm(&n->tx.timer, n->tx.rate.free_ns);
	return false;
}

/* Who waits, waits as long as the new limit wants. */
static void set_way(struct way *w, uint64_t per_sec, uint64_t at)
{
	rate_set(&w->rate, per_sec, at);
	if (loop_timer_armed(&w->timer))
		loop_timer_arm(&w->timer, rate_limited(&w->rate) ? w->rate.free_ns : 0);
}

void net_set_limit(struct net *n, uint64_t per_sec)
{
	uint64_t at = now(n);

	set_way(&n->tx, per_sec, at);
	set_way(&n->rx, per_sec, at);
}

static void charge_rx(struct net *n, size_t len)
{
	uint64_t at = now(n);

	rate_charge(&n->rx.rate, at, len);
	if (rate_ready(&n->rx.rate, at))
		return;
	loop_timer_arm(&n->rx.timer, n->rx.rate.free_ns);
	apply_rx(n);
}

bool net_deliver(struct net_backend *b, const struct net_hdr *h, const struct iovec *iov,
		 unsigned n_iov, size_t len)
{
	static const struct net_hdr none;
	struct net *n = b->net;

	if (!n->rx_on || !n->client || !frame_ok(iov, n_iov, len) ||
	    !n->client->rx(n->ctx, h ? h : &none, iov, n_iov, len)) {
		n->stats.rx_dropped++;
		return false;
	}
	n->stats.rx_packets++;
	n->stats.rx_bytes += len;
	if (UNLIKELY(rate_limited(&n->rx.rate)))
		charge_rx(n, len);
	return true;
}

int net_forward(struct net *n, const struct net_forward *f, bool on, struct err *e)
{
	if (!n->backend->ops->forward)
		return err_set(e, -ENOTSUP, "ports are forwarded by user-mode networks only");
	return n->backend->ops->forward(n->backend, f, on, e);
}

void net_rx_drop(struct net_backend *b)
{
	b->net->stats.rx_dropped++;
}

void net_stats(const struct net *n, struct net_stats *out)
{
	*out = n->stats;
}
