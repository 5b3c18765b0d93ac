/* SPDX-License-Identifier: MIT */
/*
 * The virtio device core, see virtio.h.
 */
#include "virtio/virtio.h"

#include "base/log.h"
#include "spec/virtio.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORE_FEATURES                                                                              \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_INDIRECT_DESC | 1ull << VIRTIO_F_EVENT_IDX)

struct virtio_dev {
	struct dev_env env;
	struct virtio_dev_config cfg;
	const struct virtio_transport_ops *transport_ops;
	void *transport;
	struct virtq queue[VIRTIO_QUEUES_MAX];
	uint64_t driver_features;
	uint8_t status, generation;
	bool quiesced;
	atomic_uint notified; /* bit a queue */
	struct loop_call run;
	struct log_limit log;
};

static_assert(VIRTIO_QUEUES_MAX <= 32, "one bit a queue");

/* The loop serves every queue that was notified. */
static void run_queues(void *arg)
{
	struct virtio_dev *d = arg;
	unsigned bits;

	if (d->quiesced)
		return; /* asked again when that ends */
	bits = atomic_exchange(&d->notified, 0);
	for (unsigned q = 0; bits; q++, bits >>= 1)
		if ((bits & 1) && virtio_dev_ready(d, q))
			d->cfg.ops->queue_run(d->cfg.impl, q);
}

int virtio_dev_create(struct virtio_dev **out, const struct dev_env *env,
		      const struct virtio_dev_config *cfg, struct err *e)
{
	struct virtio_dev *d;

	BUG_ON(!cfg->n_queues || cfg->n_queues > VIRTIO_QUEUES_MAX);
	d = calloc(1, sizeof(*d));
	if (!d)
		return err_set(e, -ENOMEM, "no memory for %s", cfg->name);
	d->env = *env;
	d->cfg = *cfg;
	for (unsigned q = 0; q < cfg->n_queues; q++)
		virtq_init(&d->queue[q], env->mem, cfg->queue_size[q]);
	loop_call_init(&d->run, env->loop, run_queues, d);
	*out = d;
	return 0;
}

void virtio_dev_destroy(struct virtio_dev *d)
{
	if (!d)
		return;
	loop_call_cancel(&d->run);
	d->cfg.ops->destroy(d->cfg.impl);
	free(d);
}

/* --- for devices ---------------------------------------------------------------------------------
 */

struct virtq *virtio_dev_queue(struct virtio_dev *d, unsigned q)
{
	BUG_ON(q >= d->cfg.n_queues);
	return &d->queue[q];
}

bool virtio_dev_ready(const struct virtio_dev *d, unsigned q)
{
	return (d->status & VIRTIO_STATUS_DRIVER_OK) && !(d->status & VIRTIO_STATUS_NEEDS_RESET) &&
	       q < d->cfg.n_queues && d->queue[q].enabled;
}

bool virtio_dev_has_feature(const struct virtio_dev *d, unsigned bit)
{
	return d->driver_features >> bit & 1;
}

static void interrupt(struct virtio_dev *d, int q)
{
	if (d->transport_ops)
		d->transport_ops->notify(d->transport, q);
}

void virtio_dev_signal(struct virtio_dev *d, unsigned q)
{
	if (virtio_dev_ready(d, q) && virtq_want_signal(&d->queue[q]))
		interrupt(d, (int)q);
}

void virtio_dev_config_changed(struct virtio_dev *d)
{
	d->generation++;
	if (d->status & VIRTIO_STATUS_DRIVER_OK)
		interrupt(d, -1);
}

void virtio_dev_fail(struct virtio_dev *d, const char *fmt, ...)
{
	char why[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	log_guest(&d->log, d->cfg.name, "the driver broke the rules: %s; it needs a reset", why);
	if (d->status & VIRTIO_STATUS_NEEDS_RESET)
		return;
	d->status |= VIRTIO_STATUS_NEEDS_RESET;
	if (d->status & VIRTIO_STATUS_DRIVER_OK)
		interrupt(d, -1);
}

void virtio_dev_schedule(struct virtio_dev *d, unsigned q)
{
	atomic_fetch_or(&d->notified, 1u << q);
	loop_call_schedule(&d->run);
}

/* --- for transports
 * -------------------------------------------------------------------------------- */

void virtio_dev_attach(struct virtio_dev *d, const struct virtio_transport_ops *ops,
		       void *transport)
{
	d->transport_ops = ops;
	d->transport = transport;
}

const struct virtio_dev_config *virtio_dev_config(const struct virtio_dev *d)
{
	return &d->cfg;
}

uint64_t virtio_dev_offered(const struct virtio_dev *d)
{
	return CORE_FEATURES | d->cfg.ops->features(d->cfg.impl);
}

uint64_t virtio_dev_driver_features(const struct virtio_dev *d)
{
	return d->driver_features;
}

void virtio_dev_set_driver_features(struct virtio_dev *d, uint64_t features)
{
	/* After FEATURES_OK they stand (3.1.1). */
	if (!(d->status & VIRTIO_STATUS_FEATURES_OK))
		d->driver_features = features;
}

uint8_t virtio_dev_status(const struct virtio_dev *d)
{
	return d->status;
}

static void reset(struct virtio_dev *d)
{
	d->status = 0;
	d->driver_features = 0;
	atomic_store(&d->notified, 0);
	loop_call_cancel(&d->run);
	for (unsigned q = 0; q < d->cfg.n_queues; q++)
		virtq_reset(&d->queue[q]);
	d->cfg.ops->reset(d->cfg.impl);
}

/* Whether the driver's features stand; what is offered must include them. */
static bool accept_features(struct virtio_dev *d)
{
	uint64_t f = d->driver_features;

	if ((f & ~virtio_dev_offered(d)) || !(f >> VIRTIO_F_VERSION_1 & 1))
		return false;
	if (d->cfg.ops->features_ok && !d->cfg.ops->features_ok(d->cfg.impl, f))
		return false;
	for (unsigned q = 0; q < d->cfg.n_queues; q++) {
		d->queue[q].event_idx = f >> VIRTIO_F_EVENT_IDX & 1;
		d->queue[q].indirect = f >> VIRTIO_F_INDIRECT_DESC & 1;
	}
	return true;
}

void virtio_dev_set_status(struct virtio_dev *d, uint8_t status)
{
	uint8_t fresh = (uint8_t)(status & ~d->status);

	if (!status) {
		reset(d);
		return;
	}
	if (fresh & VIRTIO_STATUS_FEATURES_OK) {
		if (!(status & VIRTIO_STATUS_DRIVER) || !accept_features(d)) {
			status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
			fresh &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
		}
	}
	if ((fresh & VIRTIO_STATUS_DRIVER_OK) &&
	    !((status | d->status) & VIRTIO_STATUS_FEATURES_OK)) {
		virtio_dev_fail(d, "DRIVER_OK without FEATURES_OK");
		return;
	}
	/* Bits are only added; a reset takes them away. NEEDS_RESET is the device's. */
	d->status |= (uint8_t)(status & ~VIRTIO_STATUS_NEEDS_RESET);
	if (fresh & VIRTIO_STATUS_DRIVER_OK) {
		if (d->cfg.ops->start)
			d->cfg.ops->start(d->cfg.impl);
		/* Buffers may have been put there before. */
		for (unsigned q = 0; q < d->cfg.n_queues; q++)
			if (d->queue[q].enabled)
				virtio_dev_schedule(d, q);
	}
}

uint8_t virtio_dev_generation(const struct virtio_dev *d)
{
	return d->generation;
}

void virtio_dev_config_read(struct virtio_dev *d, unsigned off, void *buf, unsigned len)
{
	memset(buf, 0, len);
	if (off < d->cfg.config_len && d->cfg.ops->config_read)
		d->cfg.ops->config_read(d->cfg.impl, off, buf, MIN(len, d->cfg.config_len - off));
}

void virtio_dev_config_write(struct virtio_dev *d, unsigned off, const void *buf, unsigned len)
{
	if (off < d->cfg.config_len && len <= d->cfg.config_len - off && d->cfg.ops->config_write)
		d->cfg.ops->config_write(d->cfg.impl, off, buf, len);
}

void virtio_dev_notify(struct virtio_dev *d, unsigned q)
{
	if (q >= d->cfg.n_queues) {
		log_guest(&d->log, d->cfg.name, "notification for queue %u, which there is not", q);
		return;
	}
	if (virtio_dev_ready(d, q))
		virtio_dev_schedule(d, q);
}

/* --- state
 * ---------------------------------------------------------------------------------------- */

void virtio_dev_quiesce(struct virtio_dev *d, bool on)
{
	d->quiesced = on;
	if (d->cfg.ops->quiesce)
		d->cfg.ops->quiesce(d->cfg.impl, on);
	if (!on)
		loop_call_schedule(&d->run);
}

void virtio_dev_save(struct virtio_dev *d, struct snap_writer *w)
{
	char name[16];

	snap_put_u64(w, "driver_features", d->driver_features);
	snap_put_u64(w, "status", d->status);
	snap_put_u64(w, "generation", d->generation);
	for (unsigned q = 0; q < d->cfg.n_queues; q++) {
		snprintf(name, sizeof(name), "queue%u", q);
		snap_begin(w, name, 1);
		virtq_save(&d->queue[q], w);
		snap_end(w);
	}
	if (d->cfg.ops->save) {
		snap_begin(w, "device", 1);
		d->cfg.ops->save(d->cfg.impl, w);
		snap_end(w);
	}
}

static int load_queues(struct virtio_dev *d, const struct snap_reader *r, struct err *e)
{
	char name[16];
	int ret = 0;

	for (unsigned q = 0; !ret && q < d->cfg.n_queues; q++) {
		struct snap_reader sub;
		uint32_t version;

		snprintf(name, sizeof(name), "queue%u", q);
		ret = snap_enter(r, name, 1, &sub, &version, e);
		if (!ret)
			ret = virtq_load(&d->queue[q], &sub, e);
	}
	return ret;
}

int virtio_dev_load(struct virtio_dev *d, const struct snap_reader *r, struct err *e)
{
	uint64_t features = 0, status = 0, generation = 0;
	struct snap_reader sub;
	uint32_t version;
	int ret = snap_get_u64(r, "driver_features", &features, e);

	if (!ret)
		ret = snap_get_u64(r, "status", &status, e);
	if (!ret)
		ret = snap_get_u64(r, "generation", &generation, e);
	if (!ret && (features & ~virtio_dev_offered(d)))
		ret = err_set(e, -EBADMSG, "%s: saved features %#llx are not offered here",
			      d->cfg.name, (unsigned long long)features);
	if (!ret)
		ret = load_queues(d, r, e);
	if (!ret && d->cfg.ops->load) {
		ret = snap_enter(r, "device", 1, &sub, &version, e);
		if (!ret)
			ret = d->cfg.ops->load(d->cfg.impl, &sub, e);
	}
	if (ret)
		return ret;
	d->driver_features = features;
	d->status = (uint8_t)status;
	d->generation = (uint8_t)generation;
	if ((status & VIRTIO_STATUS_DRIVER_OK) && d->cfg.ops->start)
		d->cfg.ops->start(d->cfg.impl);
	/* All: a device may have known of more that waits than its queues' bells. */
	atomic_store(&d->notified, (unsigned)((1ull << d->cfg.n_queues) - 1));
	loop_call_schedule(&d->run);
	return 0;
}
