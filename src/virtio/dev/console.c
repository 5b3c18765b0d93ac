/* SPDX-License-Identifier: MIT */
/*
 * virtio-console with one port. virtio 1.2, 5.3.
 *
 * Queue 0 receives, queue 1 sends. What the guest sends goes to the host's stream, which never
 * blocks; input is taken from the stream only as far as the driver has put buffers.
 */
#include "spec/virtio.h"
#include "virtio/dev/devices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_RX    0
#define QUEUE_TX    1
#define QUEUE_SIZE  64
#define CONFIG_SIZE 12
#define COPY_SIZE   4096

struct vcon {
	struct virtio_dev *dev;
	struct chr *chr;
	struct virtq_chain chain;
};

static uint64_t vcon_features(void *impl UNUSED)
{
	return 0;
}

static void vcon_config_read(void *impl UNUSED, unsigned off UNUSED, void *buf, unsigned len)
{
	memset(buf, 0, len);
}

static size_t client_room(void *ctx)
{
	struct vcon *c = ctx;

	/* One buffer at a time; its size is seen when it is taken, a byte always fits. */
	return virtio_dev_ready(c->dev, QUEUE_RX) &&
			       virtq_pending(virtio_dev_queue(c->dev, QUEUE_RX))
		       ? 1
		       : 0;
}

static void client_rx(void *ctx, const uint8_t *buf, size_t len)
{
	struct vcon *c = ctx;
	struct virtq *q = virtio_dev_queue(c->dev, QUEUE_RX);
	int ret = 0;

	while (len && (ret = virtq_pop(q, &c->chain)) > 0) {
		size_t n = virtq_chain_write(&c->chain, 0, buf, len);

		ret = virtq_push(q, &c->chain, (uint32_t)n);
		if (ret || !n)
			break;
		buf += n;
		len -= n;
	}
	if (ret < 0)
		virtio_dev_fail(c->dev, "%s", q->error);
	else
		virtio_dev_signal(c->dev, QUEUE_RX);
}

static const struct chr_client_ops client_ops = { .room = client_room, .rx = client_rx };

static void run_tx(struct vcon *c)
{
	struct virtq *q = virtio_dev_queue(c->dev, QUEUE_TX);
	uint8_t buf[COPY_SIZE];
	bool pushed = false;
	int ret;

	while ((ret = virtq_pop(q, &c->chain)) > 0) {
		uint64_t off = 0;
		size_t n;

		while ((n = virtq_chain_read(&c->chain, off, buf, sizeof(buf))) > 0) {
			chr_write(c->chr, buf, n);
			off += n;
		}
		ret = virtq_push(q, &c->chain, 0);
		if (ret)
			break;
		pushed = true;
	}
	if (ret < 0) {
		virtio_dev_fail(c->dev, "%s", q->error);
		return;
	}
	virtq_set_notify(q, true);
	if (virtq_pending(q))
		virtio_dev_schedule(c->dev, QUEUE_TX);
	if (pushed)
		virtio_dev_signal(c->dev, QUEUE_TX);
}

static void vcon_run(void *impl, unsigned qn)
{
	struct vcon *c = impl;

	if (qn == QUEUE_TX) {
		run_tx(c);
		return;
	}
	virtq_set_notify(virtio_dev_queue(c->dev, QUEUE_RX), true);
	chr_room_changed(c->chr);
}

static void vcon_reset(void *impl UNUSED)
{
}

static void vcon_destroy(void *impl)
{
	struct vcon *c = impl;

	chr_destroy(c->chr);
	free(c);
}

static const struct virtio_dev_ops vcon_ops = {
	.type = "virtio-console",
	.id = VIRTIO_ID_CONSOLE,
	.features = vcon_features,
	.config_read = vcon_config_read,
	.queue_run = vcon_run,
	.reset = vcon_reset,
	.destroy = vcon_destroy,
};

int virtio_console_create(struct virtio_dev **out, const struct dev_env *env, const char *name,
			  struct chr *chr, struct err *e)
{
	struct vcon *c = calloc(1, sizeof(*c));
	struct virtio_dev_config cfg = { .name = name,
					 .ops = &vcon_ops,
					 .impl = c,
					 .n_queues = 2,
					 .queue_size = { QUEUE_SIZE, QUEUE_SIZE },
					 .config_len = CONFIG_SIZE };
	int ret;

	if (!c)
		return err_set(e, -ENOMEM, "no memory for %s", name);
	c->chr = chr;
	ret = virtio_dev_create(&c->dev, env, &cfg, e);
	if (ret) {
		free(c);
		return ret;
	}
	chr_set_client(chr, &client_ops, c);
	*out = c->dev;
	return 0;
}
