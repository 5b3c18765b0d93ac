/* SPDX-License-Identifier: MIT */
/*
 * The modern virtio PCI transport: virtio 1.2, 4.1.
 *
 * Theory of operation: BAR 4 holds the four structures, a page each; BAR 1 is MSI-X's. Vendor
 * capabilities say where the structures are; a fifth gives access through config space. Queue
 * registers are kept in the device core's virtq; a queue is checked when the driver enables it,
 * and a wrong one puts the device into needs-reset.
 */
#include "virtio/pci/virtio_pci.h"

#include "base/bytes.h"
#include "spec/virtio.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define BAR_MSIX	  1
#define BAR_REGS	  4
#define BAR_REGS_SIZE	  0x4000
#define OFF_COMMON	  0x0000u
#define OFF_ISR		  0x1000u
#define OFF_DEVICE	  0x2000u
#define OFF_NOTIFY	  0x3000u
#define NOTIFY_MULTIPLIER 4u
#define STRUCT_SIZE	  0x1000u

/* struct virtio_pci_common_cfg: 4.1.4.3. */
#define COM_DFSELECT   0x00
#define COM_DF	       0x04
#define COM_GFSELECT   0x08
#define COM_GF	       0x0c
#define COM_MSIX       0x10
#define COM_NUMQ       0x12
#define COM_STATUS     0x14
#define COM_GENERATION 0x15
#define COM_Q_SELECT   0x16
#define COM_Q_SIZE     0x18
#define COM_Q_MSIX     0x1a
#define COM_Q_ENABLE   0x1c
#define COM_Q_NOFF     0x1e
#define COM_Q_DESC     0x20
#define COM_Q_AVAIL    0x28
#define COM_Q_USED     0x30
#define COM_SIZE       0x38

#define ISR_QUEUE      1u
#define ISR_CONFIG     2u

/* struct virtio_pci_cap: 4.1.4. */
#define CAP_VENDOR	0x09
#define CAP_LEN		16
#define CAP_NOTIFY_LEN	20
#define CAP_PCI_CFG_LEN 20
#define CAP_BAR		4
#define CAP_OFFSET	8
#define CAP_LENGTH	12
#define CAP_DATA	16

struct virtio_pci {
	struct pci_func *func;
	struct virtio_dev *dev;
	unsigned n_queues, cfg_cap; /* cfg_cap: where the access capability is */
	uint32_t dfselect, gfselect;
	uint16_t q_select, msix_config;
	uint16_t q_msix[VIRTIO_QUEUES_MAX];
	uint8_t isr;
	/* The access capability's registers. */
	uint8_t win_bar;
	uint32_t win_off, win_len;
};

static const struct snap_field fields[] = {
	SNAP_FIELD(struct virtio_pci, SNAP_U32, dfselect),
	SNAP_FIELD(struct virtio_pci, SNAP_U32, gfselect),
	SNAP_FIELD(struct virtio_pci, SNAP_U16, q_select),
	SNAP_FIELD(struct virtio_pci, SNAP_U16, msix_config),
	SNAP_FIELD(struct virtio_pci, SNAP_BYTES, q_msix),
	SNAP_FIELD(struct virtio_pci, SNAP_U8, isr),
	SNAP_FIELD(struct virtio_pci, SNAP_U8, win_bar),
	SNAP_FIELD(struct virtio_pci, SNAP_U32, win_off),
	SNAP_FIELD(struct virtio_pci, SNAP_U32, win_len),
};

/* --- interrupts --------------------------------------------------------------------------------
 */

static void notify_driver(void *transport, int q)
{
	struct virtio_pci *p = transport;
	uint16_t vector = q < 0 ? p->msix_config : p->q_msix[q];

	if (pci_func_msix_enabled(p->func)) {
		if (vector != VIRTIO_MSI_NO_VECTOR)
			pci_func_msix_notify(p->func, vector);
		return;
	}
	p->isr |= q < 0 ? ISR_CONFIG : ISR_QUEUE;
	pci_func_intx(p->func, true);
}

static const struct virtio_transport_ops transport_ops = { .notify = notify_driver };

static uint8_t read_isr(struct virtio_pci *p)
{
	uint8_t isr = p->isr;

	p->isr = 0;
	pci_func_intx(p->func, false);
	return isr;
}

/* A vector the driver chose; one there is not reads back as none. */
static uint16_t check_vector(const struct virtio_pci *p, uint16_t v)
{
	return v <= p->n_queues ? v : VIRTIO_MSI_NO_VECTOR;
}

/* --- common configuration
 * ------------------------------------------------------------------------- */

static struct virtq *selected(struct virtio_pci *p)
{
	return p->q_select < p->n_queues ? virtio_dev_queue(p->dev, p->q_select) : NULL;
}

static uint32_t half(uint64_t v, unsigned which)
{
	return which > 1 ? 0 : (uint32_t)(v >> (which * 32));
}

/* The aligned 32-bit word at @off. */
static uint32_t common_word(struct virtio_pci *p, unsigned off)
{
	const struct virtq *q = selected(p);

	switch (off) {
	case COM_DFSELECT:
		return p->dfselect;
	case COM_DF:
		return half(virtio_dev_offered(p->dev), p->dfselect);
	case COM_GFSELECT:
		return p->gfselect;
	case COM_GF:
		return half(virtio_dev_driver_features(p->dev), p->gfselect);
	case COM_MSIX:
		return p->msix_config | p->n_queues << 16;
	case COM_STATUS:
		return virtio_dev_status(p->dev) | (uint32_t)virtio_dev_generation(p->dev) << 8 |
		       (uint32_t)p->q_select << 16;
	case COM_Q_SIZE:
		return q ? q->size | (uint32_t)p->q_msix[p->q_select] << 16 : 0;
	case COM_Q_ENABLE:
		return q ? q->enabled | (uint32_t)p->q_select << 16 : 0;
	case COM_Q_DESC:
	case COM_Q_DESC + 4:
		return q ? half(q->desc, (off - COM_Q_DESC) / 4) : 0;
	case COM_Q_AVAIL:
	case COM_Q_AVAIL + 4:
		return q ? half(q->avail, (off - COM_Q_AVAIL) / 4) : 0;
	case COM_Q_USED:
	case COM_Q_USED + 4:
		return q ? half(q->used, (off - COM_Q_USED) / 4) : 0;
	default:
		return 0;
	}
}

static uint64_t common_read(struct virtio_pci *p, unsigned off, unsigned size)
{
	uint64_t both = common_word(p, off & ~3u);

	if ((off & 3) + size > 4)
		both |= (uint64_t)common_word(p, (off & ~3u) + 4) << 32;
	return both >> (off & 3) * 8 & size_mask(size);
}

static void enable_queue(struct virtio_pci *p, struct virtq *q)
{
	if (q->enabled)
		return;
	if (virtq_check(q)) {
		virtio_dev_fail(p->dev, "queue %u: %s", p->q_select, q->error);
		return;
	}
	q->enabled = true;
}

static void set_half(gpa_t *at, unsigned which, uint32_t val)
{
	*at = which ? (*at & 0xffffffffull) | (uint64_t)val << 32 : (*at & ~0xffffffffull) | val;
}

static void write_queue(struct virtio_pci *p, unsigned off, uint32_t val)
{
	struct virtq *q = selected(p);

	if (!q)
		return;
	if (off == COM_Q_MSIX) {
		p->q_msix[p->q_select] = check_vector(p, (uint16_t)val);
		return;
	}
	if (q->enabled)
		return; /* what is enabled stands until a reset */
	switch (off) {
	case COM_Q_SIZE:
		q->size = (uint16_t)val;
		break;
	case COM_Q_ENABLE:
		if (val == 1)
			enable_queue(p, q);
		break;
	case COM_Q_DESC:
	case COM_Q_DESC + 4:
		set_half(&q->desc, (off - COM_Q_DESC) / 4, val);
		break;
	case COM_Q_AVAIL:
	case COM_Q_AVAIL + 4:
		set_half(&q->avail, (off - COM_Q_AVAIL) / 4, val);
		break;
	case COM_Q_USED:
	case COM_Q_USED + 4:
		set_half(&q->used, (off - COM_Q_USED) / 4, val);
		break;
	default:
		break;
	}
}

static void reset_registers(struct virtio_pci *p)
{
	p->dfselect = p->gfselect = 0;
	p->q_select = 0;
	p->msix_config = VIRTIO_MSI_NO_VECTOR;
	for (unsigned q = 0; q < VIRTIO_QUEUES_MAX; q++)
		p->q_msix[q] = VIRTIO_MSI_NO_VECTOR;
	(void)read_isr(p);
}

/* Fields are written with their own width (4.1.3.1); 64-bit ones also as one or two halves. */
static void common_write(struct virtio_pci *p, unsigned off, unsigned size, uint64_t val)
{
	uint64_t f;

	if (size == 8) {
		common_write(p, off, 4, (uint32_t)val);
		common_write(p, off + 4, 4, val >> 32);
		return;
	}
	switch (off) {
	case COM_DFSELECT:
		p->dfselect = (uint32_t)val;
		break;
	case COM_GFSELECT:
		p->gfselect = (uint32_t)val;
		break;
	case COM_GF:
		if (p->gfselect > 1)
			break;
		f = virtio_dev_driver_features(p->dev);
		set_half(&f, p->gfselect, (uint32_t)val);
		virtio_dev_set_driver_features(p->dev, f);
		break;
	case COM_MSIX:
		p->msix_config = check_vector(p, (uint16_t)val);
		break;
	case COM_STATUS:
		virtio_dev_set_status(p->dev, (uint8_t)val);
		if (!(uint8_t)val)
			reset_registers(p);
		break;
	case COM_Q_SELECT:
		p->q_select = (uint16_t)val;
		break;
	default:
		write_queue(p, off, (uint32_t)val);
		break;
	}
}

/* --- the register BAR
 * -------------------------------------------------------------------------------- */

static uint64_t bar_read(void *dev, unsigned bar, uint64_t off, unsigned size)
{
	struct virtio_pci *p = dev;
	uint8_t raw[8] = { 0 };

	if (bar != BAR_REGS)
		return 0;
	switch (off & ~(uint64_t)(STRUCT_SIZE - 1)) {
	case OFF_COMMON:
		return common_read(p, (unsigned)off, size);
	case OFF_ISR:
		return off == OFF_ISR ? read_isr(p) : 0;
	case OFF_DEVICE:
		virtio_dev_config_read(p->dev, (unsigned)(off - OFF_DEVICE), raw, size);
		return get_le(raw, size);
	default:
		return 0;
	}
}

static void bar_write(void *dev, unsigned bar, uint64_t off, unsigned size, uint64_t val)
{
	struct virtio_pci *p = dev;
	uint8_t raw[8];

	if (bar != BAR_REGS)
		return;
	switch (off & ~(uint64_t)(STRUCT_SIZE - 1)) {
	case OFF_COMMON:
		common_write(p, (unsigned)off, size, val);
		break;
	case OFF_DEVICE:
		put_le64(raw, val);
		virtio_dev_config_write(p->dev, (unsigned)(off - OFF_DEVICE), raw, size);
		break;
	case OFF_NOTIFY:
		virtio_dev_notify(p->dev, (unsigned)(off - OFF_NOTIFY) / NOTIFY_MULTIPLIER);
		break;
	default:
		break;
	}
}

/* --- access through config space: 4.1.4.9
 * ---------------------------------------------------------------- */

static bool window_ok(const struct virtio_pci *p)
{
	uint32_t n = p->win_len;

	return p->win_bar == BAR_REGS && (n == 1 || n == 2 || n == 4) && !(p->win_off & (n - 1)) &&
	       range_ok(p->win_off, n, BAR_REGS_SIZE);
}

static bool config_read(void *dev, unsigned off, unsigned size, uint32_t *val)
{
	struct virtio_pci *p = dev;

	if (off != p->cfg_cap + CAP_DATA || !window_ok(p) || size != p->win_len)
		return false;
	*val = (uint32_t)bar_read(p, BAR_REGS, p->win_off, size);
	return true;
}

static bool config_write(void *dev, unsigned off, unsigned size, uint32_t val)
{
	struct virtio_pci *p = dev;

	if (off == p->cfg_cap + CAP_BAR && size == 1)
		p->win_bar = (uint8_t)val;
	else if (off == p->cfg_cap + CAP_OFFSET && size == 4)
		p->win_off = val;
	else if (off == p->cfg_cap + CAP_LENGTH && size == 4)
		p->win_len = val;
	else if (off == p->cfg_cap + CAP_DATA && window_ok(p) && size == p->win_len)
		bar_write(p, BAR_REGS, p->win_off, size, val);
	return false;
}

static const struct pci_func_ops func_ops = {
	.bar_read = bar_read,
	.bar_write = bar_write,
	.config_read = config_read,
	.config_write = config_write,
};

/* --- making
 * --------------------------------------------------------------------------------------------- */

static int add_cap(struct virtio_pci *p, uint8_t type, uint32_t off, uint32_t len, unsigned size)
{
	uint8_t cap[CAP_PCI_CFG_LEN] = { CAP_VENDOR, 0, (uint8_t)size, type };
	uint8_t wmask[CAP_PCI_CFG_LEN] = { 0 };

	if (type != VIRTIO_PCI_CAP_PCI_CFG) {
		cap[CAP_BAR] = BAR_REGS;
		put_le32(cap + CAP_OFFSET, off);
		put_le32(cap + CAP_LENGTH, len);
	} else {
		wmask[CAP_BAR] = 0xff;
		put_le32(wmask + CAP_OFFSET, UINT32_MAX);
		put_le32(wmask + CAP_LENGTH, UINT32_MAX);
		put_le32(wmask + CAP_DATA, UINT32_MAX);
	}
	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		put_le32(cap + CAP_LEN, NOTIFY_MULTIPLIER);
	return pci_func_add_cap(p->func, cap, wmask, size);
}

static int add_caps(struct virtio_pci *p, struct err *e)
{
	static const struct {
		uint8_t type;
		uint32_t off, len;
		unsigned size;
	} caps[] = {
		{ VIRTIO_PCI_CAP_COMMON_CFG, OFF_COMMON, COM_SIZE, CAP_LEN },
		{ VIRTIO_PCI_CAP_ISR_CFG, OFF_ISR, 1, CAP_LEN },
		{ VIRTIO_PCI_CAP_DEVICE_CFG, OFF_DEVICE, STRUCT_SIZE, CAP_LEN },
		{ VIRTIO_PCI_CAP_NOTIFY_CFG, OFF_NOTIFY, STRUCT_SIZE, CAP_NOTIFY_LEN },
		{ VIRTIO_PCI_CAP_PCI_CFG, 0, 0, CAP_PCI_CFG_LEN },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(caps); i++) {
		int at = add_cap(p, caps[i].type, caps[i].off, caps[i].len, caps[i].size);

		if (at < 0)
			return err_set(e, at, "no room for virtio's PCI capabilities");
		p->cfg_cap = (unsigned)at;
	}
	return 0;
}

/* PCI class codes of the device types. */
static uint32_t class_of(uint16_t id)
{
	switch (id) {
	case VIRTIO_ID_NET:
		return 0x02000001;
	case VIRTIO_ID_BLOCK:
		return 0x01000001;
	case VIRTIO_ID_CONSOLE:
		return 0x07800001;
	default:
		return 0x00ff0001;
	}
}

int virtio_pci_create(void **out, const struct dev_env *env UNUSED, struct pci_bus *bus,
		      struct virtio_dev *d, struct err *e)
{
	const struct virtio_dev_config *vc = virtio_dev_config(d);
	struct virtio_pci *p = calloc(1, sizeof(*p));
	struct pci_func_config cfg = {
		.name = vc->name,
		.vendor = VIRTIO_PCI_VENDOR,
		.device = (uint16_t)(VIRTIO_PCI_DEVICE_BASE + vc->ops->id),
		.subsys_vendor = VIRTIO_PCI_VENDOR,
		.subsys = 0x1100,
		.class_rev = class_of(vc->ops->id),
		.bar = { [BAR_MSIX] = { .size = 0x1000 },
			 [BAR_REGS] = { .size = BAR_REGS_SIZE, .is64 = true, .prefetch = true } },
		.intx = true,
		.msix_vectors = vc->n_queues + 1,
		.msix_bar = BAR_MSIX,
		.ops = &func_ops,
		.dev = p,
	};
	int ret;

	if (!p)
		return err_set(e, -ENOMEM, "no memory for %s", vc->name);
	p->dev = d;
	p->n_queues = vc->n_queues;
	ret = pci_func_add(bus, -1, &cfg, &p->func, e);
	if (ret)
		goto fail_func;
	ret = add_caps(p, e);
	if (ret)
		goto fail_caps;
	reset_registers(p);
	virtio_dev_attach(d, &transport_ops, p);
	*out = p;
	return 0;

fail_caps:
	pci_func_remove(p->func);
fail_func:
	free(p);
	return ret;
}

/* --- life cycle
 * ---------------------------------------------------------------------------------------- */

static void vp_reset(void *dev)
{
	struct virtio_pci *p = dev;

	virtio_dev_set_status(p->dev, 0);
	reset_registers(p);
	p->win_bar = 0;
	p->win_off = p->win_len = 0;
	pci_func_reset(p->func);
}

static void vp_quiesce(void *dev, bool on)
{
	virtio_dev_quiesce(((struct virtio_pci *)dev)->dev, on);
}

static void vp_save(void *dev, struct snap_writer *w)
{
	struct virtio_pci *p = dev;

	snap_save_fields(w, p, fields, ARRAY_SIZE(fields));
	snap_begin(w, "pci", 1);
	pci_func_save(p->func, w);
	snap_end(w);
	snap_begin(w, "virtio", 1);
	virtio_dev_save(p->dev, w);
	snap_end(w);
}

static int vp_load(void *dev, const struct snap_reader *r, struct err *e)
{
	struct virtio_pci *p = dev, tmp = *p;
	struct snap_reader sub;
	uint32_t version;
	int ret = snap_load_fields(r, &tmp, fields, ARRAY_SIZE(fields), e);

	if (!ret)
		ret = snap_enter(r, "pci", 1, &sub, &version, e);
	if (!ret)
		ret = pci_func_load(p->func, &sub, e);
	if (!ret)
		ret = snap_enter(r, "virtio", 1, &sub, &version, e);
	if (!ret)
		ret = virtio_dev_load(p->dev, &sub, e);
	if (ret)
		return ret;
	for (unsigned q = 0; q < VIRTIO_QUEUES_MAX; q++)
		tmp.q_msix[q] = check_vector(p, tmp.q_msix[q]);
	tmp.msix_config = check_vector(p, tmp.msix_config);
	*p = tmp;
	return 0;
}

static void vp_destroy(void *dev)
{
	struct virtio_pci *p = dev;

	if (!p)
		return;
	virtio_dev_destroy(p->dev);
	pci_func_remove(p->func);
	free(p);
}

const struct dev_ops virtio_pci_dev_ops = {
	.type = "virtio-pci",
	.reset = vp_reset,
	.quiesce = vp_quiesce,
	.save = vp_save,
	.load = vp_load,
	.destroy = vp_destroy,
};
