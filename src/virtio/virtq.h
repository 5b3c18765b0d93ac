/* SPDX-License-Identifier: MIT */
/*
 * Split virtqueues: virtio 1.2, 2.7.
 *
 * Theory of operation: the driver's three areas stay in guest memory and are read through mem_*;
 * each field is copied once, checked, then used. virtq_pop() walks a descriptor chain (direct or
 * one indirect table) into an array of host iovecs, all inside guest RAM, readable ones before
 * writable ones; its length is bounded by the queue size and VIRTQ_SEGS_MAX, so no loop of
 * descriptors can hold the host. virtq_push() returns it.
 *
 * Errors of the driver are told by -EPROTO (with why in the struct); the caller puts the device
 * into needs-reset.
 */
#ifndef HOLM_VIRTIO_VIRTQ_H
#define HOLM_VIRTIO_VIRTQ_H

#include "base/compiler.h"
#include "mem/mem.h"
#include "snap/snap.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define VIRTQ_SEGS_MAX 256

/** A queue's registers and cursor. Set by the transport through virtq_set_*. */
struct virtq {
	struct mem *mem;
	uint16_t size; /* as the driver set it; power of two */
	uint16_t size_max;
	bool enabled;
	gpa_t desc, avail, used;
	bool event_idx, indirect;	/* negotiated; set by the core at FEATURES_OK */
	uint16_t last_avail, last_used; /* free-running */
	uint16_t signalled_used;	/* used index at the last interrupt */
	bool signalled_valid;
	uint16_t in_flight; /* popped, not yet pushed */
	const char *error;  /* static sentence after -EPROTO */
};

/** One buffer chain taken from the queue. */
struct virtq_chain {
	uint16_t head;
	unsigned n_out;		  /* iov[0 .. n_out): the driver's data, read only */
	unsigned n_in;		  /* iov[n_out .. n_out + n_in): for the device to fill */
	uint64_t out_len, in_len; /* bytes */
	struct iovec iov[VIRTQ_SEGS_MAX];
	gpa_t gpa[VIRTQ_SEGS_MAX]; /* where each iov is, for virtq_push's dirty marking */
};

void virtq_init(struct virtq *q, struct mem *mem, uint16_t size_max);
void virtq_reset(struct virtq *q);

/** virtq_check() - the driver enables it: areas aligned and inside RAM? 0 or -EPROTO. */
int virtq_check(struct virtq *q) MUST_CHECK;

/** virtq_pop() - 1: @c is filled; 0: nothing there; -EPROTO: the driver broke the rules. */
int virtq_pop(struct virtq *q, struct virtq_chain *c) MUST_CHECK;

/** virtq_push() - give the chain back with @written bytes filled in; 0 or -EPROTO. */
int virtq_push(struct virtq *q, const struct virtq_chain *c, uint32_t written) MUST_CHECK;

/** virtq_unpop() - put the chain popped last back as if it had not been taken. */
void virtq_unpop(struct virtq *q);

/** virtq_want_signal() - whether the driver wants an interrupt for what was pushed. */
bool virtq_want_signal(struct virtq *q);

/**
 * virtq_set_notify() - ask (or not) for notifications; after asking, virtq_pending() must be
 * looked at again.
 */
void virtq_set_notify(struct virtq *q, bool on);

/** virtq_pending() - whether the driver has put buffers that were not popped. */
bool virtq_pending(const struct virtq *q);

/** Copy between a chain and a flat buffer, at @off bytes of the out or in part; bytes copied. */
size_t virtq_chain_read(const struct virtq_chain *c, uint64_t off, void *buf, size_t len);
size_t virtq_chain_write(const struct virtq_chain *c, uint64_t off, const void *buf, size_t len);

void virtq_save(const struct virtq *q, struct snap_writer *w);
int virtq_load(struct virtq *q, const struct snap_reader *r, struct err *e) MUST_CHECK;

#endif
