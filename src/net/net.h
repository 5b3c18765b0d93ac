/* SPDX-License-Identifier: MIT */
/*
 * Network ports on the host's side: the core that checks and counts, and the seam to back ends.
 *
 * Theory of operation: a packet is one Ethernet frame as an iovec, with a struct net_hdr beside
 * it that says what is left to do (checksum, segmentation). The guest's frames go down by
 * net_send(); the back end's come up through the port's `rx` callback. Flow control: a device
 * that has no buffer turns rx off; after net_rx_enable(false) no rx call is running or will run.
 *
 * A port may have a limit of bytes a second, for each direction. Nothing is queued here for it:
 * a device asks net_tx_ready() before it takes a frame from its guest and is told when it may go
 * on; the other way the back end's rx is off until a timer turns it on again, so that frames
 * stay in the tap's or the user-mode network's own bounded queue, and TCP slows down.
 *
 * Threads: machine lock held throughout; back ends call rx on the loop's thread.
 */
#ifndef HOLM_NET_NET_H
#define HOLM_NET_NET_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/latency.h"
#include "base/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define NET_FRAME_MAX 65550u /* a 64 KiB segment with its headers */
#define NET_MTU	      1500u

/* Offloads, as a set. */
#define NET_OFF_CSUM 0x01u
#define NET_OFF_TSO4 0x02u
#define NET_OFF_TSO6 0x04u
#define NET_OFF_UFO  0x08u

/** struct virtio_net_hdr of virtio 1.2, 5.1.6, without num_buffers; little-endian. */
struct net_hdr {
	uint8_t flags;	  /* 1: needs checksum, 2: data valid */
	uint8_t gso_type; /* 0 none, 1 TCPv4, 3 UDP, 4 TCPv6, 0x80 ECN */
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
};

struct net;
struct net_backend;

/** A port of the host's that leads to one of the guest's. */
struct net_forward {
	bool udp;
	uint32_t host_addr; /* IPv4, host order; 0x7f000001 by default */
	uint16_t host_port, guest_port;
};

/** A provider. Machine lock held on every call. */
struct net_backend_ops {
	const char *name; /* "user", "tap" */
	/** Offloads the back end takes from (tx) and may give to (rx) the guest. */
	unsigned (*offloads)(struct net_backend *b);
	/** What the guest negotiated for rx, a subset. Optional. */
	void (*set_offloads)(struct net_backend *b, unsigned rx);
	/**
	 * One frame of the guest's, @len bytes, within NET_FRAME_MAX, already checked to hold
	 * an Ethernet header. 0, -EAGAIN (full: the core drops and counts) or -errno.
	 */
	int (*send)(struct net_backend *b, const struct net_hdr *h, const struct iovec *iov,
		    unsigned n_iov, size_t len);
	/** Let frames come, or not: after false no rx runs or will run. Mandatory. */
	void (*rx_enable)(struct net_backend *b, bool on);
	/**
	 * Add (@on) or remove a forward; loop's thread. -ENOENT (none to remove) and those of
	 * listening, with a sentence. Optional.
	 */
	int (*forward)(struct net_backend *b, const struct net_forward *f, bool on, struct err *e);
	void (*close)(struct net_backend *b);
};

struct net_backend {
	const struct net_backend_ops *ops;
	struct net *net; /* set by net_create: where to deliver */
};

/** The device above. */
struct net_client_ops {
	/** A frame for the guest. False: no room, the core drops it (and counts). */
	bool (*rx)(void *ctx, const struct net_hdr *h, const struct iovec *iov, unsigned n_iov,
		   size_t len);
	/** After net_tx_ready() said no: ask again. Loop's thread. Optional. */
	void (*tx_ready)(void *ctx);
};

/* Of one frame sent in so many the time is taken: a look at the clock is not for nothing. */
#define NET_LATENCY_EVERY 8u

struct net_stats {
	uint64_t tx_packets, tx_bytes, tx_dropped, rx_packets, rx_bytes, rx_dropped;
	struct latency tx_latency; /* of the back end's send; a sample of NET_LATENCY_EVERY */
};

/**
 * net_create() - @b is owned from success on. rx is off until net_rx_enable().
 * @loop: its clock measures and its timers wait. Borrowed.
 */
int net_create(struct net **out, struct net_backend *b, struct loop *loop,
	       struct err *e) MUST_CHECK;
void net_destroy(struct net *n);
void net_set_client(struct net *n, const struct net_client_ops *ops, void *ctx);
unsigned net_offloads(const struct net *n);
void net_set_offloads(struct net *n, unsigned rx);
/** net_send() - a frame of the guest's; drops and counts what is too short, long or refused. */
void net_send(struct net *n, const struct net_hdr *h, const struct iovec *iov, unsigned n_iov,
	      size_t len);
void net_rx_enable(struct net *n, bool on);
/** net_set_limit() - bytes a second each way from now on, at most RATE_MAX; 0: no limit. */
void net_set_limit(struct net *n, uint64_t per_sec);
/** net_tx_ready() - whether the limit lets a frame go now; if not, tx_ready is called later. */
bool net_tx_ready(struct net *n);
/** net_forward() - as the back end's op; -ENOTSUP with a sentence where it has none. */
int net_forward(struct net *n, const struct net_forward *f, bool on, struct err *e) MUST_CHECK;
/**
 * net_deliver() - for back ends: one frame up, on the loop's thread, while rx is enabled.
 *
 * @h NULL means nothing left to do. False where it was dropped (and counted): rx is off, no
 * client, the client had no room, or @len is below an Ethernet header or above NET_FRAME_MAX.
 */
bool net_deliver(struct net_backend *b, const struct net_hdr *h, const struct iovec *iov,
		 unsigned n_iov, size_t len);
/** net_rx_drop() - for back ends: count a frame that was dropped before net_deliver(). */
void net_rx_drop(struct net_backend *b);
void net_stats(const struct net *n, struct net_stats *out);

#endif
