/* SPDX-License-Identifier: MIT */
/*
 * virtio-net. virtio 1.2, 5.1.
 *
 * Theory of operation: queue 0 receives, queue 1 sends, queue 2 is the control queue. The header
 * in front of each frame (12 bytes, num_buffers included) is handed to the network core as a
 * struct net_hdr. Frames that come are copied into the driver's buffers; with MRG_RXBUF one frame
 * may take several. When no buffer is left, receiving is switched off at the core and on again
 * when the driver has put some. Frames above the port's limit are left in the driver's ring.
 *
 * Limits: one queue pair; the receive filter lets everything through (allowed by 5.1.6.5).
 */
#include "base/bytes.h"
#include "spec/virtio.h"
#include "virtio/dev/devices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Feature bits: 5.1.3. */
#define F_CSUM		(1ull << 0)
#define F_GUEST_CSUM	(1ull << 1)
#define F_MAC		(1ull << 5)
#define F_GUEST_TSO4	(1ull << 7)
#define F_GUEST_TSO6	(1ull << 8)
#define F_HOST_TSO4	(1ull << 11)
#define F_HOST_TSO6	(1ull << 12)
#define F_MRG_RXBUF	(1ull << 15)
#define F_STATUS	(1ull << 16)
#define F_CTRL_VQ	(1ull << 17)
#define F_CTRL_RX	(1ull << 18)
#define F_CTRL_MAC_ADDR (1ull << 23)

#define HEADER_SIZE	12
#define QUEUE_RX	0
#define QUEUE_TX	1
#define QUEUE_CTRL	2
#define QUEUE_SIZE	256
#define CONFIG_SIZE	10
#define LINK_UP		1
#define TX_BATCH	128 /* frames before other work of the loop gets its turn */
#define MERGE_MAX	64

/* Control commands: 5.1.6.5. */
#define CTRL_RX		   0
#define CTRL_MAC	   1
#define CTRL_MAC_TABLE_SET 0
#define CTRL_MAC_ADDR_SET  1
#define CTRL_OK		   0
#define CTRL_ERR	   1

struct vnet {
	struct virtio_dev *dev;
	struct net *net;
	uint8_t mac[6];
	bool rx_on;
	struct virtq_chain tx, rx[MERGE_MAX];
};

static uint64_t vnet_features(void *impl)
{
	const struct vnet *n = impl;
	unsigned off = net_offloads(n->net);
	uint64_t f = F_MAC | F_STATUS | F_MRG_RXBUF | F_CTRL_VQ | F_CTRL_RX | F_CTRL_MAC_ADDR;

	f |= off & NET_OFF_CSUM ? F_CSUM | F_GUEST_CSUM : 0;
	f |= off & NET_OFF_TSO4 ? F_HOST_TSO4 | F_GUEST_TSO4 : 0;
	f |= off & NET_OFF_TSO6 ? F_HOST_TSO6 | F_GUEST_TSO6 : 0;
	return f;
}

/* Dependencies of 5.1.3.1. */
static bool vnet_features_ok(void *impl UNUSED, uint64_t f)
{
	if ((f & (F_HOST_TSO4 | F_HOST_TSO6)) && !(f & F_CSUM))
		return false;
	return !(f & (F_GUEST_TSO4 | F_GUEST_TSO6)) || (f & F_GUEST_CSUM);
}

static void vnet_config_read(void *impl, unsigned off, void *buf, unsigned len)
{
	const struct vnet *n = impl;
	uint8_t c[CONFIG_SIZE] = { 0 };

	memcpy(c, n->mac, 6);
	put_le16(c + 6, LINK_UP);
	put_le16(c + 8, 1);
	memcpy(buf, c + off, len);
}

static void set_rx(struct vnet *n, bool on)
{
	if (n->rx_on == on)
		return;
	n->rx_on = on;
	net_rx_enable(n->net, on);
}

static void vnet_start(void *impl)
{
	struct vnet *n = impl;
	unsigned off = 0;

	off |= virtio_dev_has_feature(n->dev, 1) ? NET_OFF_CSUM : 0;
	off |= virtio_dev_has_feature(n->dev, 7) ? NET_OFF_TSO4 : 0;
	off |= virtio_dev_has_feature(n->dev, 8) ? NET_OFF_TSO6 : 0;
	net_set_offloads(n->net, off);
}

/* --- receiving
 * --------------------------------------------------------------------------------------- */

/* Take buffers for @need bytes; 0: not enough, all are put back; -EPROTO. */
static int take_buffers(struct vnet *n, struct virtq *q, size_t need, unsigned max)
{
	unsigned k = 0;
	size_t have = 0;
	int ret = 0;

	while (have < need && k < max && (ret = virtq_pop(q, &n->rx[k])) > 0)
		have += n->rx[k++].in_len;
	if (ret < 0)
		return ret;
	if (have >= need)
		return (int)k;
	while (k--)
		virtq_unpop(q);
	return 0;
}

static void gather(uint8_t *to, const struct iovec *iov, unsigned n_iov, size_t off, size_t len)
{
	for (unsigned i = 0; i < n_iov && len; i++) {
		size_t part;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = MIN(iov[i].iov_len - off, len);
		memcpy(to, (const uint8_t *)iov[i].iov_base + off, part);
		to += part;
		len -= part;
		off = 0;
	}
}

static void make_header(uint8_t *raw, const struct net_hdr *h, unsigned buffers)
{
	raw[0] = h->flags;
	raw[1] = h->gso_type;
	put_le16(raw + 2, h->hdr_len);
	put_le16(raw + 4, h->gso_size);
	put_le16(raw + 6, h->csum_start);
	put_le16(raw + 8, h->csum_offset);
	put_le16(raw + 10, (uint16_t)buffers);
}

/* Header and frame, laid into the taken buffers one after the other. */
static int fill_buffers(struct vnet *n, struct virtq *q, unsigned k, const uint8_t *data,
			size_t len)
{
	for (unsigned i = 0; i < k; i++) {
		size_t part = MIN((size_t)n->rx[i].in_len, len);

		virtq_chain_write(&n->rx[i], 0, data, part);
		data += part;
		len -= part;
		if (virtq_push(q, &n->rx[i], (uint32_t)part))
			return -EPROTO;
	}
	return 0;
}

static bool vnet_rx(void *ctx, const struct net_hdr *h, const struct iovec *iov, unsigned n_iov,
		    size_t len)
{
	struct vnet *n = ctx;
	struct virtq *q = virtio_dev_queue(n->dev, QUEUE_RX);
	bool merge = virtio_dev_has_feature(n->dev, 15);
	uint8_t frame[HEADER_SIZE + NET_FRAME_MAX];
	int k;

	if (!virtio_dev_ready(n->dev, QUEUE_RX) || len > NET_FRAME_MAX)
		return false;
	k = take_buffers(n, q, len + HEADER_SIZE, merge ? MERGE_MAX : 1);
	if (k < 0) {
		virtio_dev_fail(n->dev, "%s", q->error);
		return false;
	}
	if (k == 0) {
		virtq_set_notify(q, true);
		/* Buffers may have come just now: queue_run looks again. */
		set_rx(n, false);
		virtio_dev_schedule(n->dev, QUEUE_RX);
		return false;
	}
	make_header(frame, h, merge ? (unsigned)k : 1);
	gather(frame + HEADER_SIZE, iov, n_iov, 0, len);
	if (fill_buffers(n, q, (unsigned)k, frame, len + HEADER_SIZE)) {
		virtio_dev_fail(n->dev, "%s", q->error);
		return false;
	}
	virtio_dev_signal(n->dev, QUEUE_RX);
	return true;
}

static void vnet_tx_ready(void *ctx)
{
	virtio_dev_schedule(((struct vnet *)ctx)->dev, QUEUE_TX);
}

static const struct net_client_ops client_ops = { .rx = vnet_rx, .tx_ready = vnet_tx_ready };

static void run_rx(struct vnet *n)
{
	struct virtq *q = virtio_dev_queue(n->dev, QUEUE_RX);

	if (virtq_pending(q)) {
		set_rx(n, true);
		return;
	}
	virtq_set_notify(q, true);
	if (virtq_pending(q))
		set_rx(n, true);
}

/* --- sending
 * -------------------------------------------------------------------------------------------- */

static void send_chain(struct vnet *n)
{
	struct virtq_chain *c = &n->tx;
	uint8_t raw[HEADER_SIZE];
	struct net_hdr h;
	struct iovec iov[VIRTQ_SEGS_MAX];
	unsigned k = 0;
	size_t skip = HEADER_SIZE;

	if (virtq_chain_read(c, 0, raw, sizeof(raw)) != sizeof(raw))
		return;
	h = (struct net_hdr) { .flags = raw[0],
			       .gso_type = raw[1],
			       .hdr_len = get_le16(raw + 2),
			       .gso_size = get_le16(raw + 4),
			       .csum_start = get_le16(raw + 6),
			       .csum_offset = get_le16(raw + 8) };
	for (unsigned i = 0; i < c->n_out; i++) {
		size_t have = c->iov[i].iov_len;

		if (skip >= have) {
			skip -= have;
			continue;
		}
		iov[k++] = (struct iovec) { .iov_base = (uint8_t *)c->iov[i].iov_base + skip,
					    .iov_len = have - skip };
		skip = 0;
	}
	net_send(n->net, &h, iov, k, (size_t)(c->out_len - HEADER_SIZE));
}

static void run_tx(struct vnet *n)
{
	struct virtq *q = virtio_dev_queue(n->dev, QUEUE_TX);
	unsigned sent = 0;
	int ret;

	for (;;) {
		/* What the limit does not let go stays in the driver's ring; tx_ready comes back.
		 */
		if (!net_tx_ready(n->net))
			break;
		ret = virtq_pop(q, &n->tx);
		if (ret == 0) {
			virtq_set_notify(q, true);
			if (!virtq_pending(q))
				break;
			continue;
		}
		if (ret > 0) {
			send_chain(n);
			ret = virtq_push(q, &n->tx, 0);
		}
		if (ret < 0) {
			virtio_dev_fail(n->dev, "%s", q->error);
			return;
		}
		if (++sent == TX_BATCH) {
			virtio_dev_schedule(n->dev, QUEUE_TX);
			break;
		}
	}
	if (sent)
		virtio_dev_signal(n->dev, QUEUE_TX);
}

/* --- control
 * ------------------------------------------------------------------------------------------------
 */

static uint8_t control(struct vnet *n, const struct virtq_chain *c)
{
	uint8_t head[2], mac[6];

	if (virtq_chain_read(c, 0, head, 2) != 2)
		return CTRL_ERR;
	if (head[0] == CTRL_RX)
		return CTRL_OK; /* everything comes through anyway */
	if (head[0] != CTRL_MAC)
		return CTRL_ERR;
	if (head[1] == CTRL_MAC_TABLE_SET)
		return CTRL_OK;
	if (head[1] != CTRL_MAC_ADDR_SET || virtq_chain_read(c, 2, mac, 6) != 6)
		return CTRL_ERR;
	memcpy(n->mac, mac, 6);
	return CTRL_OK;
}

static void run_ctrl(struct vnet *n)
{
	struct virtq *q = virtio_dev_queue(n->dev, QUEUE_CTRL);
	int ret;

	while ((ret = virtq_pop(q, &n->tx)) > 0) {
		uint8_t status = control(n, &n->tx);
		size_t done = virtq_chain_write(&n->tx, 0, &status, 1);

		ret = virtq_push(q, &n->tx, (uint32_t)done);
		if (ret)
			break;
		virtio_dev_signal(n->dev, QUEUE_CTRL);
	}
	if (ret < 0)
		virtio_dev_fail(n->dev, "%s", q->error);
	else
		virtq_set_notify(q, true);
}

static void vnet_run(void *impl, unsigned qn)
{
	if (qn == QUEUE_RX)
		run_rx(impl);
	else if (qn == QUEUE_TX)
		run_tx(impl);
	else
		run_ctrl(impl);
}

/* --- life cycle
 * ------------------------------------------------------------------------------------------------
 */

static void vnet_reset(void *impl)
{
	set_rx(impl, false);
}

static void vnet_quiesce(void *impl, bool on)
{
	struct vnet *n = impl;

	if (on) {
		set_rx(n, false);
		return;
	}
	if (virtio_dev_ready(n->dev, QUEUE_RX))
		virtio_dev_schedule(n->dev, QUEUE_RX);
	/* Of what waited for the limit only the ring knows. */
	if (virtio_dev_ready(n->dev, QUEUE_TX))
		virtio_dev_schedule(n->dev, QUEUE_TX);
}

static void vnet_save(void *impl, struct snap_writer *w)
{
	snap_put_bytes(w, "mac", ((struct vnet *)impl)->mac, 6);
}

static int vnet_load(void *impl, const struct snap_reader *r, struct err *e)
{
	return snap_get_bytes(r, "mac", ((struct vnet *)impl)->mac, 6, e);
}

static void vnet_destroy(void *impl)
{
	struct vnet *n = impl;

	net_destroy(n->net);
	free(n);
}

static const struct virtio_dev_ops vnet_ops = {
	.type = "virtio-net",
	.id = VIRTIO_ID_NET,
	.features = vnet_features,
	.features_ok = vnet_features_ok,
	.config_read = vnet_config_read,
	.start = vnet_start,
	.queue_run = vnet_run,
	.reset = vnet_reset,
	.quiesce = vnet_quiesce,
	.save = vnet_save,
	.load = vnet_load,
	.destroy = vnet_destroy,
};

int virtio_net_create(struct virtio_dev **out, const struct dev_env *env, const char *name,
		      struct net *net, const uint8_t mac[6], struct err *e)
{
	struct vnet *n = calloc(1, sizeof(*n));
	struct virtio_dev_config cfg = { .name = name,
					 .ops = &vnet_ops,
					 .impl = n,
					 .n_queues = 3,
					 .queue_size = { QUEUE_SIZE, QUEUE_SIZE, 64 },
					 .config_len = CONFIG_SIZE };
	int ret;

	if (!n)
		return err_set(e, -ENOMEM, "no memory for %s", name);
	n->net = net;
	memcpy(n->mac, mac, 6);
	ret = virtio_dev_create(&n->dev, env, &cfg, e);
	if (ret) {
		free(n);
		return ret;
	}
	net_set_client(net, &client_ops, n);
	*out = n->dev;
	return 0;
}
