/* SPDX-License-Identifier: MIT */
/*
 * The network core, see net.h.
 *
 * Invariants: a back end sees only frames of ETH_HLEN to NET_FRAME_MAX bytes; a client is called
 * only while rx is on.
 */
#include "net/net.h"

#include "base/bytes.h"

#include <errno.h>
#include <net/ethernet.h>
#include <stdlib.h>

struct net {
	struct net_backend *backend;
	const struct net_client_ops *client;
	void *ctx;
	bool rx_on;
	struct net_stats stats;
};

static_assert(sizeof(struct net_hdr) == 10, "virtio 1.2, 5.1.6: without num_buffers");

int net_create(struct net **out, struct net_backend *b, struct err *e)
{
	struct net *n = calloc(1, sizeof(*n));

	if (!n)
		return err_set(e, -ENOMEM, "no memory for a network port");
	n->backend = b;
	b->net = n;
	*out = n;
	return 0;
}

void net_destroy(struct net *n)
{
	if (!n)
		return;
	net_rx_enable(n, false);
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

void net_send(struct net *n, const struct net_hdr *h, const struct iovec *iov, unsigned n_iov,
	      size_t len)
{
	static const struct net_hdr none;

	if (!frame_ok(iov, n_iov, len) ||
	    n->backend->ops->send(n->backend, h ? h : &none, iov, n_iov, len)) {
		n->stats.tx_dropped++;
		return;
	}
	n->stats.tx_packets++;
	n->stats.tx_bytes += len;
}

void net_rx_enable(struct net *n, bool on)
{
	if (n->rx_on == on)
		return;
	n->rx_on = on;
	n->backend->ops->rx_enable(n->backend, on);
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
