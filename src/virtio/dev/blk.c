/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk. virtio 1.2, 5.2.
 *
 * Theory of operation: requests come from a fixed pool, so what is in flight is bounded; when it
 * is empty the queues wait for a completion. A request's segments are taken once and checked by
 * the block core. A reset while requests are in flight marks them orphaned: their completion then
 * only gives them back to the pool and touches no queue.
 */
#include "base/bytes.h"
#include "spec/virtio.h"
#include "virtio/dev/devices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Feature bits: 5.2.3. */
#define F_SEG_MAX      (1ull << 2)
#define F_RO	       (1ull << 5)
#define F_BLK_SIZE     (1ull << 6)
#define F_FLUSH	       (1ull << 9)
#define F_MQ	       (1ull << 12)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

/* Request types and status: 5.2.6. */
enum {
	T_IN = 0,
	T_OUT = 1,
	T_FLUSH = 4,
	T_GET_ID = 8,
	T_DISCARD = 11,
	T_WRITE_ZEROES = 13,
};
#define S_OK		  0
#define S_IOERR		  1
#define S_UNSUPP	  2

#define HEADER_SIZE	  16
#define RANGE_SIZE	  16 /* struct virtio_blk_discard_write_zeroes */
#define ID_SIZE		  20
#define CONFIG_SIZE	  60
#define QUEUE_SIZE	  256
#define POOL		  256
#define SEG_MAX		  (VIRTQ_SEGS_MAX - 2)
#define RANGE_SECTORS_MAX 0x400000u /* 2 GiB in one discard */

struct vblk;

struct request {
	struct blk_req req; /* must be first */
	struct vblk *b;
	struct virtq_chain chain;
	struct iovec iov[VIRTQ_SEGS_MAX];
	unsigned queue, epoch; /* epoch: of the device, when it was taken */
	uint32_t written;
	struct request *next_free;
};

struct vblk {
	struct virtio_dev *dev;
	struct blk *blk;
	struct blk_info info;
	unsigned queues, epoch;
	uint32_t starved; /* queues that wait for a free request, a bit each */
	struct request *free;
	struct request *pool;
	char serial[ID_SIZE + 1];
};

static uint64_t vblk_features(void *impl)
{
	const struct vblk *b = impl;
	uint64_t f = F_SEG_MAX | F_BLK_SIZE;

	f |= b->info.read_only ? F_RO : 0;
	f |= b->info.can_flush ? F_FLUSH : 0;
	f |= b->queues > 1 ? F_MQ : 0;
	if (!b->info.read_only) {
		f |= b->info.can_discard ? F_DISCARD : 0;
		f |= b->info.can_write_zeroes ? F_WRITE_ZEROES : 0;
	}
	return f;
}

/* struct virtio_blk_config: 5.2.4. */
static void vblk_config_read(void *impl, unsigned off, void *buf, unsigned len)
{
	const struct vblk *b = impl;
	uint8_t c[CONFIG_SIZE] = { 0 };

	put_le64(c, b->info.size / BLK_SECTOR);
	put_le32(c + 12, SEG_MAX);
	put_le32(c + 20, b->info.block_size);
	put_le16(c + 34, (uint16_t)b->queues);
	put_le32(c + 36, RANGE_SECTORS_MAX); /* max_discard_sectors */
	put_le32(c + 40, 1);		     /* max_discard_seg */
	put_le32(c + 44, b->info.block_size / BLK_SECTOR);
	put_le32(c + 48, RANGE_SECTORS_MAX); /* max_write_zeroes_sectors */
	put_le32(c + 52, 1);
	c[56] = 1; /* write_zeroes_may_unmap */
	memcpy(buf, c + off, len);
}

/* --- completion --------------------------------------------------------------------------------
 */

static void finish(struct request *r, uint8_t status)
{
	struct vblk *b = r->b;
	struct virtq *q = virtio_dev_queue(b->dev, r->queue);
	unsigned queue = r->queue;
	bool ours = r->epoch == b->epoch;

	if (ours) {
		/* The status byte is the last one the driver gave. */
		virtq_chain_write(&r->chain, r->chain.in_len - 1, &status, 1);
		if (virtq_push(q, &r->chain,
			       status == S_OK ? r->written + 1 : (uint32_t)r->chain.in_len))
			virtio_dev_fail(b->dev, "%s", q->error);
	}
	r->next_free = b->free;
	b->free = r;
	if (ours)
		virtio_dev_signal(b->dev, queue);
	for (unsigned i = 0; b->starved; i++)
		if (b->starved >> i & 1) {
			b->starved &= ~(1u << i);
			virtio_dev_schedule(b->dev, i);
		}
}

static uint8_t status_of(int ret)
{
	return ret == 0 ? S_OK : ret == -ENOTSUP ? S_UNSUPP : S_IOERR;
}

static void req_done(struct blk_req *req, int ret)
{
	finish((struct request *)req, status_of(ret));
}

/* --- requests ------------------------------------------------------------------------------------
 */

/* Segments of the data: after the header (out) or before the status byte (in). */
static unsigned data_segments(struct request *r, bool in, uint64_t skip, uint64_t len)
{
	const struct iovec *iov = in ? r->chain.iov + r->chain.n_out : r->chain.iov;
	unsigned n = in ? r->chain.n_in : r->chain.n_out, k = 0;

	for (unsigned i = 0; i < n && len; i++) {
		size_t have = iov[i].iov_len;
		uint64_t part;

		if (skip >= have) {
			skip -= have;
			continue;
		}
		part = MIN(have - skip, len);
		r->iov[k++] = (struct iovec) { .iov_base = (uint8_t *)iov[i].iov_base + skip,
					       .iov_len = (size_t)part };
		len -= part;
		skip = 0;
	}
	return k;
}

static void submit_io(struct request *r, bool write, uint64_t sector)
{
	struct virtq_chain *c = &r->chain;
	uint64_t len = write ? c->out_len - HEADER_SIZE : c->in_len - 1;
	uint64_t off;

	if (MUL_OVERFLOWS(sector, (uint64_t)BLK_SECTOR, &off)) {
		finish(r, S_IOERR);
		return;
	}
	r->req.op = write ? BLK_OP_WRITE : BLK_OP_READ;
	r->req.off = off;
	r->req.len = len;
	r->req.n_iov = data_segments(r, !write, write ? HEADER_SIZE : 0, len);
	r->req.iov = r->iov;
	r->written = write ? 0 : (uint32_t)len;
	blk_submit(r->b->blk, &r->req);
}

static void submit_range(struct request *r, bool zero)
{
	uint8_t raw[RANGE_SIZE];
	uint64_t sector;
	uint32_t count, flags;

	/* One segment at most, as the configuration says. */
	if (r->chain.out_len != HEADER_SIZE + RANGE_SIZE ||
	    virtq_chain_read(&r->chain, HEADER_SIZE, raw, sizeof(raw)) != sizeof(raw)) {
		finish(r, S_IOERR);
		return;
	}
	sector = get_le64(raw);
	count = get_le32(raw + 8);
	flags = get_le32(raw + 12);
	if ((flags & ~(zero ? 1u : 0u)) || !count) {
		finish(r, S_UNSUPP);
		return;
	}
	if (count > RANGE_SECTORS_MAX || sector > UINT64_MAX / BLK_SECTOR) {
		finish(r, S_IOERR);
		return;
	}
	r->req.op = zero ? BLK_OP_WRITE_ZEROES : BLK_OP_DISCARD;
	r->req.off = sector * BLK_SECTOR;
	r->req.len = (uint64_t)count * BLK_SECTOR;
	r->req.unmap = flags & 1;
	blk_submit(r->b->blk, &r->req);
}

static void answer_id(struct request *r)
{
	uint64_t room = r->chain.in_len - 1;

	r->written = (uint32_t)virtq_chain_write(&r->chain, 0, r->b->serial,
						 (size_t)MIN(room, (uint64_t)ID_SIZE));
	finish(r, S_OK);
}

static void start_request(struct request *r)
{
	uint8_t head[HEADER_SIZE];
	uint32_t type;

	r->req = (struct blk_req) { .done = req_done };
	r->written = 0;
	virtq_chain_read(&r->chain, 0, head, sizeof(head));
	type = get_le32(head);
	switch (type) {
	case T_IN:
	case T_OUT:
		submit_io(r, type == T_OUT, get_le64(head + 8));
		break;
	case T_FLUSH:
		r->req.op = BLK_OP_FLUSH;
		blk_submit(r->b->blk, &r->req);
		break;
	case T_GET_ID:
		answer_id(r);
		break;
	case T_DISCARD:
	case T_WRITE_ZEROES:
		submit_range(r, type == T_WRITE_ZEROES);
		break;
	default:
		finish(r, S_UNSUPP);
		break;
	}
}

static void vblk_run(void *impl, unsigned qn)
{
	struct vblk *b = impl;
	struct virtq *q = virtio_dev_queue(b->dev, qn);

	for (;;) {
		struct request *r = b->free;
		int ret;

		if (!r) {
			b->starved |= 1u << qn;
			return;
		}
		ret = virtq_pop(q, &r->chain);
		if (ret < 0) {
			virtio_dev_fail(b->dev, "%s", q->error);
			return;
		}
		if (!ret) {
			/* Ask to be told of the next one; one may have come meanwhile. */
			virtq_set_notify(q, true);
			if (!virtq_pending(q))
				return;
			continue;
		}
		if (r->chain.out_len < HEADER_SIZE || !r->chain.in_len ||
		    r->chain.in_len > UINT32_MAX) {
			virtio_dev_fail(b->dev, "a request without header or status");
			return;
		}
		b->free = r->next_free;
		r->queue = qn;
		r->epoch = b->epoch;
		start_request(r);
	}
}

/* --- life cycle
 * ------------------------------------------------------------------------------------- */

static void vblk_reset(void *impl)
{
	struct vblk *b = impl;

	b->epoch++;
	b->starved = 0;
	/* Their memory is the driver's again. */
	blk_drop_waiting(b->blk);
}

static void vblk_quiesce(void *impl, bool on)
{
	blk_hold(((struct vblk *)impl)->blk, on);
}

static void vblk_destroy(void *impl)
{
	struct vblk *b = impl;

	blk_destroy(b->blk);
	free(b->pool);
	free(b);
}

static const struct virtio_dev_ops vblk_ops = {
	.type = "virtio-blk",
	.id = VIRTIO_ID_BLOCK,
	.features = vblk_features,
	.config_read = vblk_config_read,
	.queue_run = vblk_run,
	.reset = vblk_reset,
	.quiesce = vblk_quiesce,
	.destroy = vblk_destroy,
};

int virtio_blk_create(struct virtio_dev **out, const struct dev_env *env, const char *name,
		      struct blk *blk, const char *serial, unsigned queues, struct err *e)
{
	struct vblk *b = calloc(1, sizeof(*b));
	struct virtio_dev_config cfg = { .name = name,
					 .ops = &vblk_ops,
					 .impl = b,
					 .n_queues = queues,
					 .config_len = CONFIG_SIZE };
	int ret;

	BUG_ON(!queues || queues > 16);
	if (!b)
		return err_set(e, -ENOMEM, "no memory for %s", name);
	b->pool = calloc(POOL, sizeof(*b->pool));
	if (!b->pool) {
		ret = err_set(e, -ENOMEM, "no memory for the requests of %s", name);
		goto fail;
	}
	for (unsigned i = 0; i < POOL; i++) {
		b->pool[i].b = b;
		b->pool[i].next_free = b->free;
		b->free = &b->pool[i];
	}
	b->queues = queues;
	b->blk = blk;
	blk_info(blk, &b->info);
	if (serial)
		for (unsigned i = 0; i < ID_SIZE && serial[i]; i++)
			b->serial[i] = serial[i];
	for (unsigned i = 0; i < queues; i++)
		cfg.queue_size[i] = QUEUE_SIZE;
	ret = virtio_dev_create(&b->dev, env, &cfg, e);
	if (ret)
		goto fail;
	*out = b->dev;
	return 0;

fail:
	free(b->pool);
	free(b);
	return ret;
}
