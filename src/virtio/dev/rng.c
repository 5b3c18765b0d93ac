/* SPDX-License-Identifier: MIT */
/*
 * virtio-rng: entropy from the host's getrandom(2). virtio 1.2, 5.4.
 *
 * Bounded: RNG_BYTES_PER_SEC for one guest; requests beyond wait for a timer, so that a guest can
 * not keep a host CPU busy with random numbers.
 */
#include "base/bytes.h"
#include "spec/virtio.h"
#include "virtio/dev/devices.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define RNG_BYTES_PER_SEC 65536u
#define RNG_REQUEST_MAX	  256u

struct rng {
	struct dev_env env;
	struct virtio_dev *dev;
	struct loop_timer refill;
	uint32_t budget;
	struct virtq_chain chain;
};

static uint64_t rng_features(void *impl UNUSED)
{
	return 0;
}

static void refill(void *arg)
{
	struct rng *r = arg;

	r->budget = RNG_BYTES_PER_SEC;
	virtio_dev_schedule(r->dev, 0);
}

static bool out_of_budget(struct rng *r)
{
	if (r->budget >= RNG_REQUEST_MAX)
		return false;
	if (!loop_timer_armed(&r->refill))
		loop_timer_arm(&r->refill, r->env.clock->mono_ns(r->env.clock) + CLOCK_NS_PER_SEC);
	return true;
}

static void rng_run(void *impl, unsigned qn)
{
	struct rng *r = impl;
	struct virtq *q = virtio_dev_queue(r->dev, qn);
	bool pushed = false;
	int ret = 0;

	while (!out_of_budget(r) && (ret = virtq_pop(q, &r->chain)) > 0) {
		uint8_t buf[RNG_REQUEST_MAX];
		size_t n = MIN(r->chain.in_len, (uint64_t)RNG_REQUEST_MAX);

		/* seccomp: loop: getrandom */
		if (n && getrandom(buf, n, 0) != (ssize_t)n)
			n = 0;
		n = virtq_chain_write(&r->chain, 0, buf, n);
		r->budget -= (uint32_t)n;
		ret = virtq_push(q, &r->chain, (uint32_t)n);
		if (ret)
			break;
		pushed = true;
	}
	if (ret < 0) {
		virtio_dev_fail(r->dev, "%s", q->error);
		return;
	}
	virtq_set_notify(q, true);
	if (pushed)
		virtio_dev_signal(r->dev, qn);
	/* A request may have come before the driver saw that it is to notify. */
	if (virtq_pending(q) && !loop_timer_armed(&r->refill))
		virtio_dev_schedule(r->dev, qn);
}

static void rng_reset(void *impl UNUSED)
{
}

static void rng_destroy(void *impl)
{
	struct rng *r = impl;

	loop_timer_disarm(&r->refill);
	free(r);
}

static const struct virtio_dev_ops rng_ops = {
	.type = "virtio-rng",
	.id = VIRTIO_ID_ENTROPY,
	.features = rng_features,
	.queue_run = rng_run,
	.reset = rng_reset,
	.destroy = rng_destroy,
};

int virtio_rng_create(struct virtio_dev **out, const struct dev_env *env, const char *name,
		      struct err *e)
{
	struct rng *r = calloc(1, sizeof(*r));
	struct virtio_dev_config cfg = {
		.name = name, .ops = &rng_ops, .impl = r, .n_queues = 1, .queue_size = { 64 }
	};
	int ret;

	if (!r)
		return err_set(e, -ENOMEM, "no memory for %s", name);
	r->env = *env;
	r->budget = RNG_BYTES_PER_SEC;
	loop_timer_init(&r->refill, env->loop, refill, r);
	ret = virtio_dev_create(&r->dev, env, &cfg, e);
	if (ret) {
		free(r);
		return ret;
	}
	*out = r->dev;
	return 0;
}
