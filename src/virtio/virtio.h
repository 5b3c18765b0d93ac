/* SPDX-License-Identifier: MIT */
/*
 * The virtio device core: status, features, queues; both halves of the seam.
 *
 * Theory of operation (virtio 1.2, chapters 2 and 3): the core owns the device status machine,
 * feature negotiation and the split virtqueues, and checks every descriptor. Above it sits a
 * device (blk, net ...) that knows no transport; below it a transport (PCI) that knows no device.
 * Two const tables join them: virtio_dev_ops and virtio_transport_ops. What a driver does wrong
 * puts the device into DEVICE_NEEDS_RESET; it never ends the VM.
 *
 * Threads: everything runs under the machine lock. A queue notification from a vCPU is not
 * served on its thread: the core schedules a loop call, so the device's `queue_run` runs on the
 * loop's thread.
 */
#ifndef HOLM_VIRTIO_VIRTIO_H
#define HOLM_VIRTIO_VIRTIO_H

#include "base/compiler.h"
#include "base/err.h"
#include "dev/dev.h"
#include "virtio/virtq.h"

#include <stdbool.h>
#include <stdint.h>

#define VIRTIO_QUEUES_MAX     17
#define VIRTIO_QUEUE_SIZE_MAX 1024

struct virtio_dev;

/** A device type's half; called under the machine lock on the thread each line names. */
struct virtio_dev_ops {
	const char *type; /* "virtio-blk" */
	uint16_t id;	  /* virtio 1.2, chapter 5 */
	/** Features offered, without the core's own (VERSION_1, INDIRECT, EVENT_IDX). */
	uint64_t (*features)(void *impl);
	/** The driver wrote FEATURES_OK: @acked is a subset of what was offered. Optional;
	 *  false refuses them. vCPU thread. */
	bool (*features_ok)(void *impl, uint64_t acked);
	/** Device configuration space; reads beyond its end give 0. vCPU thread. Optional. */
	void (*config_read)(void *impl, unsigned off, void *buf, unsigned len);
	void (*config_write)(void *impl, unsigned off, const void *buf, unsigned len);
	/** DRIVER_OK: queues that are enabled may be served from now on. vCPU thread. Optional. */
	void (*start)(void *impl);
	/** The queue has been notified. Loop thread. Mandatory. */
	void (*queue_run)(void *impl, unsigned q);
	/** Forget all requests and state; in-flight I/O must not touch queues after it. Mandatory.
	 */
	void (*reset)(void *impl);
	void (*quiesce)(void *impl, bool on);		 /* optional, see dev_ops */
	void (*save)(void *impl, struct snap_writer *w); /* optional */
	int (*load)(void *impl, const struct snap_reader *r, struct err *e); /* optional */
	void (*destroy)(void *impl);
};

/** The transport's half. Machine lock held. */
struct virtio_transport_ops {
	/** Queue @q used buffers (or @q < 0: configuration changed): interrupt the driver. */
	void (*notify)(void *transport, int q);
};

struct virtio_dev_config {
	const char *name; /* borrowed: "virtio-blk0" */
	const struct virtio_dev_ops *ops;
	void *impl;	   /* owned by the virtio_dev from success on: destroyed with it */
	unsigned n_queues; /* 1..VIRTIO_QUEUES_MAX */
	uint16_t queue_size[VIRTIO_QUEUES_MAX]; /* largest size of each, power of two */
	unsigned config_len;			/* bytes of device configuration space */
};

int virtio_dev_create(struct virtio_dev **out, const struct dev_env *env,
		      const struct virtio_dev_config *cfg, struct err *e) MUST_CHECK;
void virtio_dev_destroy(struct virtio_dev *d);

/* For devices. */

/** virtio_dev_queue() - queue @q; always valid for q < n_queues. */
struct virtq *virtio_dev_queue(struct virtio_dev *d, unsigned q);
/** virtio_dev_ready() - DRIVER_OK set, no needs-reset, queue @q enabled. */
bool virtio_dev_ready(const struct virtio_dev *d, unsigned q);
bool virtio_dev_has_feature(const struct virtio_dev *d, unsigned bit);
/** virtio_dev_kick() - interrupt the driver for queue @q if it wants that (EVENT_IDX). */
void virtio_dev_signal(struct virtio_dev *d, unsigned q);
/** virtio_dev_config_changed() - bump the generation and interrupt. */
void virtio_dev_config_changed(struct virtio_dev *d);
/** virtio_dev_fail() - the driver broke the rules: NEEDS_RESET, logged at a bounded rate. */
void virtio_dev_fail(struct virtio_dev *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
/** virtio_dev_schedule() - run queue_run(@q) on the loop soon, as if notified. Any thread. */
void virtio_dev_schedule(struct virtio_dev *d, unsigned q);

/* For transports. */

void virtio_dev_attach(struct virtio_dev *d, const struct virtio_transport_ops *ops,
		       void *transport);
const struct virtio_dev_config *virtio_dev_config(const struct virtio_dev *d);
uint64_t virtio_dev_offered(const struct virtio_dev *d);
uint64_t virtio_dev_driver_features(const struct virtio_dev *d);
void virtio_dev_set_driver_features(struct virtio_dev *d, uint64_t features);
uint8_t virtio_dev_status(const struct virtio_dev *d);
/** virtio_dev_set_status() - the driver wrote device_status; 0 resets. */
void virtio_dev_set_status(struct virtio_dev *d, uint8_t status);
uint8_t virtio_dev_generation(const struct virtio_dev *d);
void virtio_dev_config_read(struct virtio_dev *d, unsigned off, void *buf, unsigned len);
void virtio_dev_config_write(struct virtio_dev *d, unsigned off, const void *buf, unsigned len);
/** virtio_dev_notify() - the driver notified queue @q; out of range is ignored and logged. */
void virtio_dev_notify(struct virtio_dev *d, unsigned q);
void virtio_dev_quiesce(struct virtio_dev *d, bool on);
void virtio_dev_save(struct virtio_dev *d, struct snap_writer *w);
int virtio_dev_load(struct virtio_dev *d, const struct snap_reader *r, struct err *e) MUST_CHECK;

#endif
