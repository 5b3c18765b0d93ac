/* SPDX-License-Identifier: MIT */
/*
 * virtio-balloon with statistics and free page reporting. virtio 1.2, 5.5.
 *
 * Theory of operation: the driver sends page numbers (4 KiB) it gives up on the inflate queue;
 * each is given back to the host at once. Deflated pages come back by being touched. Reported
 * free pages arrive as writable buffers on the reporting queue. The statistics queue holds one
 * buffer of the driver's until the host wants fresh figures.
 */
#include "base/bytes.h"
#include "spec/virtio.h"
#include "virtio/dev/devices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define F_STATS_VQ	 (1ull << 1)
#define F_DEFLATE_ON_OOM (1ull << 2)
#define F_REPORTING	 (1ull << 5)

enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_STATS, QUEUE_REPORTING, QUEUE_COUNT };

#define QUEUE_SIZE  128
#define CONFIG_SIZE 16
#define PFN_BATCH   256
#define STAT_SIZE   10 /* u16 tag, u64 value */

struct balloon {
	struct dev_env env;
	struct virtio_dev *dev;
	uint32_t target, actual;
	bool have_stats; /* stats_chain is held */
	struct virtq_chain chain, stats_chain;
	struct virtio_balloon_stats stats;
};

static uint64_t balloon_features(void *impl UNUSED)
{
	return F_STATS_VQ | F_DEFLATE_ON_OOM | F_REPORTING;
}

static void balloon_config_read(void *impl, unsigned off, void *buf, unsigned len)
{
	const struct balloon *b = impl;
	uint8_t c[CONFIG_SIZE] = { 0 };

	put_le32(c, b->target);
	put_le32(c + 4, b->actual);
	memcpy(buf, c + off, len);
}

static void balloon_config_write(void *impl, unsigned off, const void *buf, unsigned len)
{
	struct balloon *b = impl;

	if (off == 4 && len == 4)
		b->actual = get_le32(buf);
}

static void give_back(struct balloon *b, gpa_t gpa, uint64_t len)
{
	/* What is no RAM is the driver's mistake and nobody's loss. */
	/* seccomp: loop: fallocate madvise */
	if (mem_discard(b->env.mem, gpa, len))
		return;
}

static void inflate(struct balloon *b)
{
	uint32_t pfn[PFN_BATCH];
	uint64_t off = 0;
	size_t n;

	while ((n = virtq_chain_read(&b->chain, off, pfn, sizeof(pfn)) / 4) > 0) {
		unsigned i = 0;

		/* Runs of neighbours go in one call. */
		while (i < n) {
			unsigned k = i + 1;

			while (k < n && pfn[k] == pfn[k - 1] + 1)
				k++;
			give_back(b, (gpa_t)pfn[i] << MEM_PAGE_SHIFT,
				  (uint64_t)(k - i) << MEM_PAGE_SHIFT);
			i = k;
		}
		off += n * 4;
	}
}

static void report(struct balloon *b)
{
	const struct virtq_chain *c = &b->chain;

	for (unsigned i = c->n_out; i < c->n_out + c->n_in; i++) {
		gpa_t start = align_up(c->gpa[i], MEM_PAGE_SIZE);
		gpa_t end = align_down(c->gpa[i] + c->iov[i].iov_len, MEM_PAGE_SIZE);

		if (end <= start)
			continue;
		give_back(b, start, end - start);
		b->stats.reported_bytes += end - start;
	}
}

/* Tags of 5.5.6.3. */
static void read_stats(struct balloon *b, const struct virtq_chain *c)
{
	uint64_t *const where[] = { &b->stats.swap_in,	    &b->stats.swap_out,
				    &b->stats.major_faults, &b->stats.minor_faults,
				    &b->stats.free,	    &b->stats.total,
				    &b->stats.available,    &b->stats.caches };
	uint8_t raw[STAT_SIZE];

	for (uint64_t off = 0; virtq_chain_read(c, off, raw, STAT_SIZE) == STAT_SIZE;
	     off += STAT_SIZE) {
		uint16_t tag = get_le16(raw);

		if (tag < ARRAY_SIZE(where))
			*where[tag] = get_le64(raw + 2);
		if (off >= STAT_SIZE * 64)
			break;
	}
}

static int take_stats(struct balloon *b, struct virtq *q)
{
	int ret;

	/* The driver answers with a new buffer; the old one went back when it was asked. */
	while ((ret = virtq_pop(q, &b->chain)) > 0) {
		if (b->have_stats) {
			ret = virtq_push(q, &b->stats_chain, 0);
			if (ret)
				return ret;
		}
		b->stats_chain = b->chain;
		b->have_stats = true;
		read_stats(b, &b->stats_chain);
	}
	return ret;
}

static int drain(struct balloon *b, struct virtq *q, unsigned qn)
{
	int ret;

	while ((ret = virtq_pop(q, &b->chain)) > 0) {
		if (qn == QUEUE_INFLATE)
			inflate(b);
		else if (qn == QUEUE_REPORTING)
			report(b);
		ret = virtq_push(q, &b->chain, 0);
		if (ret)
			return ret;
	}
	virtio_dev_signal(b->dev, qn);
	return ret;
}

static void balloon_run(void *impl, unsigned qn)
{
	struct balloon *b = impl;
	struct virtq *q = virtio_dev_queue(b->dev, qn);
	int ret = qn == QUEUE_STATS ? take_stats(b, q) : drain(b, q, qn);

	if (ret < 0) {
		virtio_dev_fail(b->dev, "%s", q->error);
		return;
	}
	virtq_set_notify(q, true);
	if (virtq_pending(q))
		virtio_dev_schedule(b->dev, qn);
}

void virtio_balloon_set_target(struct virtio_dev *d, uint32_t pages)
{
	struct balloon *b = virtio_dev_config(d)->impl;

	b->target = pages;
	virtio_dev_config_changed(d);
}

void virtio_balloon_get_stats(struct virtio_dev *d, struct virtio_balloon_stats *out)
{
	struct balloon *b = virtio_dev_config(d)->impl;
	struct virtq *q = virtio_dev_queue(d, QUEUE_STATS);

	*out = b->stats;
	out->target_pages = b->target;
	out->actual_pages = b->actual;
	/* Ask for fresh ones, for the next call. */
	if (b->have_stats && virtio_dev_ready(d, QUEUE_STATS)) {
		b->have_stats = false;
		if (virtq_push(q, &b->stats_chain, 0))
			virtio_dev_fail(d, "%s", q->error);
		else
			virtio_dev_signal(d, QUEUE_STATS);
	}
}

static void balloon_reset(void *impl)
{
	struct balloon *b = impl;

	b->have_stats = false;
	b->actual = 0;
}

static void balloon_destroy(void *impl)
{
	free(impl);
}

static const struct snap_field fields[] = {
	SNAP_FIELD(struct balloon, SNAP_U32, target),
	SNAP_FIELD(struct balloon, SNAP_U32, actual),
};

static void balloon_save(void *impl, struct snap_writer *w)
{
	snap_save_fields(w, impl, fields, ARRAY_SIZE(fields));
}

static int balloon_load(void *impl, const struct snap_reader *r, struct err *e)
{
	return snap_load_fields(r, impl, fields, ARRAY_SIZE(fields), e);
}

/* The driver's buffer for figures is held all the time: back into its queue while state is taken.
 */
static void balloon_quiesce(void *impl, bool on)
{
	struct balloon *b = impl;

	if (on && b->have_stats) {
		virtq_unpop(virtio_dev_queue(b->dev, QUEUE_STATS));
		b->have_stats = false;
	}
	if (!on && virtio_dev_ready(b->dev, QUEUE_STATS))
		virtio_dev_schedule(b->dev, QUEUE_STATS);
}

static const struct virtio_dev_ops balloon_ops = {
	.type = "virtio-balloon",
	.id = VIRTIO_ID_BALLOON,
	.features = balloon_features,
	.config_read = balloon_config_read,
	.config_write = balloon_config_write,
	.queue_run = balloon_run,
	.reset = balloon_reset,
	.quiesce = balloon_quiesce,
	.save = balloon_save,
	.load = balloon_load,
	.destroy = balloon_destroy,
};

int virtio_balloon_create(struct virtio_dev **out, const struct dev_env *env, const char *name,
			  struct err *e)
{
	struct balloon *b = calloc(1, sizeof(*b));
	struct virtio_dev_config cfg = { .name = name,
					 .ops = &balloon_ops,
					 .impl = b,
					 .n_queues = QUEUE_COUNT,
					 .queue_size = { QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE,
							 QUEUE_SIZE },
					 .config_len = CONFIG_SIZE };
	int ret;

	if (!b)
		return err_set(e, -ENOMEM, "no memory for %s", name);
	b->env = *env;
	ret = virtio_dev_create(&b->dev, env, &cfg, e);
	if (ret) {
		free(b);
		return ret;
	}
	*out = b->dev;
	return 0;
}
