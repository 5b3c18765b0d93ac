/* SPDX-License-Identifier: MIT */
/*
 * A hostile driver: a virtio device is brought up properly through the PCI transport, then its
 * rings, descriptors and buffers are filled with the input, and its queues are notified. The first
 * byte chooses the device.
 */
#include "fuzzenv.h"

#include "spec/virtio.h"
#include "virtio/dev/devices.h"
#include "virtio/pci/virtio_pci.h"

#include <string.h>

#define REGS	   0x100000000ull
#define NOTIFY	   (REGS + 0x3000)
#define RINGS	   0x10000u /* of queue q at RINGS + q * 0x4000 */
#define QUEUE_SIZE 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- back ends that do nothing, at once ------------------------------------------------------- */

struct null_blk {
	struct blk_backend b;
	struct loop_call call;
	struct blk_req *waiting;
};

static void null_info(struct blk_backend *b UNUSED, struct blk_info *out)
{
	*out = (struct blk_info) { .size = 1 << 20,
				   .block_size = 512,
				   .can_discard = true,
				   .can_write_zeroes = true,
				   .can_flush = true };
}

static void null_done(void *arg)
{
	struct null_blk *n = arg;

	while (n->waiting) {
		struct blk_req *r = n->waiting;

		n->waiting = r->next;
		blk_complete(r, 0);
	}
}

static void null_submit(struct blk_backend *b, struct blk_req *r)
{
	struct null_blk *n = CONTAINER_OF(b, struct null_blk, b);

	/* Touch what the guest gave, so that a sanitizer sees a wrong buffer. */
	for (unsigned i = 0; r->op == BLK_OP_READ && i < r->n_iov; i++)
		memset(r->iov[i].iov_base, 0xa5, r->iov[i].iov_len);
	r->next = n->waiting;
	n->waiting = r;
	loop_call_schedule(&n->call);
}

static void null_close(struct blk_backend *b UNUSED)
{
}

static const struct blk_backend_ops null_blk_ops = {
	.name = "null", .info = null_info, .submit = null_submit, .close = null_close
};

struct null_net {
	struct net_backend b;
	bool rx;
};

static unsigned net_off(struct net_backend *b UNUSED)
{
	return NET_OFF_CSUM | NET_OFF_TSO4;
}

/* Every frame comes straight back. */
static int net_echo(struct net_backend *b, const struct net_hdr *h, const struct iovec *iov,
		    unsigned n_iov, size_t len)
{
	if (CONTAINER_OF(b, struct null_net, b)->rx)
		net_deliver(b, h, iov, n_iov, len);
	return 0;
}

static void net_rx(struct net_backend *b, bool on)
{
	CONTAINER_OF(b, struct null_net, b)->rx = on;
}

static void net_end(struct net_backend *b UNUSED)
{
}

static const struct net_backend_ops null_net_ops = {
	.name = "echo", .offloads = net_off, .send = net_echo, .rx_enable = net_rx, .close = net_end
};

/* --- the driver ----------------------------------------------------------------------------------
 */

static struct virtio_dev *make_device(struct fuzzenv *f, unsigned which, struct null_blk *nb,
				      struct null_net *nn)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct virtio_dev *d = NULL;
	struct blk *blk;
	struct net *net;
	int ret;

	switch (which) {
	case 0:
		ret = blk_create(&blk, &nb->b, f->env.loop, NULL);
		if (!ret)
			ret = virtio_blk_create(&d, &f->env, "blk", blk, "serial", 2, NULL);
		break;
	case 1:
		ret = net_create(&net, &nn->b, f->env.loop, NULL);
		if (!ret)
			ret = virtio_net_create(&d, &f->env, "net", net, mac, NULL);
		break;
	case 2:
		ret = virtio_balloon_create(&d, &f->env, "balloon", NULL);
		break;
	default:
		ret = virtio_rng_create(&d, &f->env, "rng", NULL);
		break;
	}
	if (ret)
		abort();
	return d;
}

static void reg(struct fuzzenv *f, unsigned off, unsigned size, uint64_t val)
{
	bus_write(f->env.mmio, REGS + off, size, val);
}

static void bring_up(struct fuzzenv *f, struct virtio_dev *d, unsigned queues)
{
	uint64_t features = virtio_dev_offered(d);

	reg(f, 0x14, 1, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	for (unsigned i = 0; i < 2; i++) {
		reg(f, 0x08, 4, i);
		reg(f, 0x0c, 4, (uint32_t)(features >> (i * 32)));
	}
	reg(f, 0x14, 1, 11);
	for (unsigned q = 0; q < queues; q++) {
		uint64_t at = RINGS + q * 0x4000;

		reg(f, 0x16, 2, q);
		reg(f, 0x18, 2, QUEUE_SIZE);
		reg(f, 0x20, 8, at);
		reg(f, 0x28, 8, at + 0x1000);
		reg(f, 0x30, 8, at + 0x2000);
		reg(f, 0x1c, 2, 1);
	}
	reg(f, 0x14, 1, 15);
}

/* One queue: descriptors and ring entries from the input; addresses mostly inside RAM. */
static void fill_ring(struct fuzzenv *f, unsigned q, struct fuzz_input *in, uint16_t idx)
{
	gpa_t at = RINGS + q * 0x4000;
	uint8_t raw[16];
	uint16_t ring;

	for (unsigned i = 0; i < 4; i++) {
		unsigned slot = (unsigned)fuzz_take(in, 1) % QUEUE_SIZE;

		put_le64(raw, fuzz_take(in, 1) & 1 ? fuzz_take(in, 8) : fuzz_take(in, 3));
		put_le32(raw + 8, (uint32_t)fuzz_take(in, 2));
		put_le16(raw + 12, (uint16_t)(fuzz_take(in, 1) & 7));
		put_le16(raw + 14, (uint16_t)fuzz_take(in, 1) & 31);
		if (mem_write(f->env.mem, at + slot * 16, raw, 16))
			abort();
	}
	ring = (uint16_t)(fuzz_take(in, 1) & 31);
	if (mem_write(f->env.mem, at + 0x1000 + 4 + (idx % QUEUE_SIZE) * 2u, &ring, 2))
		abort();
	idx = (uint16_t)(idx + 1 + ((fuzz_take(in, 1) & 31) == 31 ? 100 : 0));
	if (mem_write(f->env.mem, at + 0x1000 + 2, &idx, 2))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct irq_line intx[4] = { 0 };
	struct null_blk nb = { .b.ops = &null_blk_ops };
	struct null_net nn = { .b.ops = &null_net_ops };
	struct virtio_dev *d;
	struct pci_bus *bus;
	struct fuzzenv f;
	unsigned queues;
	uint16_t idx = 0;
	void *vp;

	fuzzenv_init(&f);
	loop_call_init(&nb.call, f.env.loop, null_done, &nb);
	if (pci_bus_create(&bus, &f.env, 0, intx, NULL))
		abort();
	d = make_device(&f, (unsigned)fuzz_take(&in, 1) & 3, &nb, &nn);
	queues = virtio_dev_config(d)->n_queues;
	if (virtio_pci_create(&vp, &f.env, bus, d, NULL) ||
	    pci_bus_assign(bus, 0xc0000000, 0x20000000, REGS, 0x100000000, 0xc000, 0x1000, NULL))
		abort();
	bring_up(&f, d, queues);
	while (in.left) {
		unsigned q = (unsigned)fuzz_take(&in, 1) % queues;

		fill_ring(&f, q, &in, idx++);
		reg(&f, (unsigned)(NOTIFY - REGS) + q * 4, 2, q);
		fuzzenv_step(&f, 1000000);
		/* A reset now and then, with requests in flight. */
		if ((fuzz_take(&in, 1) & 15) == 0) {
			reg(&f, 0x14, 1, 0);
			bring_up(&f, d, queues);
			idx = 0;
		}
	}
	for (unsigned i = 0; i < 4; i++)
		fuzzenv_step(&f, 1000000);
	virtio_pci_dev_ops.destroy(vp);
	pci_bus_dev_ops.destroy(bus);
	fuzzenv_free(&f);
	return 0;
}
