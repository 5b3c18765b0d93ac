/* SPDX-License-Identifier: MIT */
/*
 * fw_cfg: how firmware and payloads ask the machine about itself.
 *
 * The same interface as QEMU's (its docs/specs/fw_cfg): a selector at 0x510, a data port at
 * 0x511, and DMA through a big-endian address at 0x514. Items are byte strings with a 16-bit key;
 * named files have keys from 0x20 on and stand in the directory, item 0x19. The guest can only
 * read; a write through DMA reports an error.
 */
#include "chipset/chipset.h"

#include "base/bytes.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SIGNATURE  0x00
#define KEY_ID	       0x01
#define KEY_FILE_DIR   0x19
#define KEY_FILE_FIRST 0x20
#define ID_TRADITIONAL 1u
#define ID_DMA	       2u
#define ITEMS_MAX      64
#define NAME_SIZE      56
#define DIR_ENTRY      64
#define DMA_SIGNATURE  0x51454d5520434647ull /* "QEMU CFG" */

#define DMA_ERROR      1u
#define DMA_READ       2u
#define DMA_SKIP       4u
#define DMA_SELECT     8u
#define DMA_WRITE      16u
#define DMA_CHUNK      4096u

struct item {
	uint16_t key;
	uint8_t *bytes;
	size_t len;
	char name[NAME_SIZE]; /* empty: no file */
};

struct fw_cfg {
	struct dev_env env;
	struct bus_range ports, dma;
	struct item items[ITEMS_MAX];
	unsigned n_items, n_files;
	uint16_t selected;
	uint32_t offset;
	uint32_t dma_high; /* upper half of the DMA address, as written */
};

static const struct snap_field fields[] = {
	SNAP_FIELD(struct fw_cfg, SNAP_U16, selected),
	SNAP_FIELD(struct fw_cfg, SNAP_U32, offset),
	SNAP_FIELD(struct fw_cfg, SNAP_U32, dma_high),
};

static struct item *find(struct fw_cfg *f, uint16_t key)
{
	for (unsigned i = 0; i < f->n_items; i++)
		if (f->items[i].key == key)
			return &f->items[i];
	return NULL;
}

int fw_cfg_add_item(struct fw_cfg *f, uint16_t key, const void *bytes, size_t len, struct err *e)
{
	struct item *it;
	uint8_t *copy;

	if (find(f, key))
		return err_set(e, -EEXIST, "fw_cfg has an item %#x already", key);
	if (f->n_items == ITEMS_MAX)
		return err_set(e, -ENOSPC, "fw_cfg is full with %d items", ITEMS_MAX);
	copy = malloc(len ? len : 1);
	if (!copy)
		return err_set(e, -ENOMEM, "no memory for fw_cfg item %#x", key);
	memcpy(copy, bytes, len);
	it = &f->items[f->n_items++];
	*it = (struct item) { .key = key, .bytes = copy, .len = len };
	return 0;
}

/* The directory: a big-endian count, then size, key, reserved and name of each file. */
static int rebuild_directory(struct fw_cfg *f, struct err *e)
{
	size_t len = 4 + (size_t)f->n_files * DIR_ENTRY;
	uint8_t *dir = calloc(1, len), *p;
	struct item *it = find(f, KEY_FILE_DIR);

	if (!dir)
		return err_set(e, -ENOMEM, "no memory for fw_cfg's directory");
	put_le32(dir, htobe32(f->n_files));
	p = dir + 4;
	for (unsigned i = 0; i < f->n_items; i++) {
		const struct item *file = &f->items[i];

		if (!file->name[0])
			continue;
		put_le32(p, htobe32((uint32_t)file->len));
		put_le16(p + 4, htobe16(file->key));
		memcpy(p + 8, file->name, NAME_SIZE);
		p += DIR_ENTRY;
	}
	free(it->bytes);
	it->bytes = dir;
	it->len = len;
	return 0;
}

int fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *bytes, size_t len,
		    struct err *e)
{
	size_t name_len = strlen(name);
	int ret;

	if (name_len == 0 || name_len >= NAME_SIZE)
		return err_set(e, -EINVAL, "fw_cfg file name '%s' must have 1 to %d characters",
			       name, NAME_SIZE - 1);
	ret = fw_cfg_add_item(f, (uint16_t)(KEY_FILE_FIRST + f->n_files), bytes, len, e);
	if (ret)
		return ret;
	memcpy(f->items[f->n_items - 1].name, name, name_len);
	f->n_files++;
	return rebuild_directory(f, e);
}

/* --- access ----------------------------------------------------------------------------------- */

static void select_item(struct fw_cfg *f, uint16_t key)
{
	f->selected = key & 0x3fff; /* bit 14 writes, bit 15 is for other architectures */
	f->offset = 0;
}

/* Copy from the selected item, zeros behind its end; moves the offset. */
static void read_item(struct fw_cfg *f, uint8_t *buf, uint32_t len)
{
	const struct item *it = find(f, f->selected);
	size_t have = it && f->offset < it->len ? MIN(it->len - f->offset, (size_t)len) : 0;

	if (have)
		memcpy(buf, it->bytes + f->offset, have);
	memset(buf + have, 0, len - have);
	if (ADD_OVERFLOWS(f->offset, len, &f->offset))
		f->offset = UINT32_MAX;
}

static uint64_t cfg_read(void *dev, uint64_t off, unsigned size)
{
	struct fw_cfg *f = dev;
	uint8_t byte;

	if (off == 0)
		return size == 2 ? f->selected : 0;
	read_item(f, &byte, 1);
	return byte;
}

static void cfg_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	if (off == 0 && size == 2)
		select_item(dev, (uint16_t)val);
}

/* To the guest in pieces; false: the address is not RAM. What lies behind the item is zeros. */
static bool dma_read(struct fw_cfg *f, uint64_t addr, uint32_t len)
{
	uint8_t buf[DMA_CHUNK];

	/* Refused as a whole where it cannot fit: a guest must not make this long. */
	if (len > mem_ram_size(f->env.mem))
		return false;
	while (len) {
		uint32_t n = MIN(len, DMA_CHUNK);

		read_item(f, buf, n);
		if (mem_write(f->env.mem, addr, buf, n))
			return false;
		addr += n;
		len -= n;
	}
	return true;
}

static uint32_t dma_run(struct fw_cfg *f, uint32_t control, uint32_t len, uint64_t addr)
{
	if (control & DMA_SELECT)
		select_item(f, (uint16_t)(control >> 16));
	if (control & DMA_WRITE)
		return DMA_ERROR;
	if (control & DMA_READ)
		return dma_read(f, addr, len) ? 0 : DMA_ERROR;
	if ((control & DMA_SKIP) && ADD_OVERFLOWS(f->offset, len, &f->offset))
		f->offset = UINT32_MAX;
	return 0;
}

/* The access structure in guest memory: control, length, address, all big-endian. */
static void dma_start(struct fw_cfg *f, gpa_t at)
{
	uint8_t raw[16];
	uint32_t status;

	if (mem_read(f->env.mem, at, raw, sizeof(raw)))
		return;
	status = dma_run(f, be32toh(get_le32(raw)), be32toh(get_le32(raw + 4)),
			 be64toh(get_le64(raw + 8)));
	status = htobe32(status);
	if (mem_write(f->env.mem, at, &status, sizeof(status)))
		return; /* the guest's own loss */
}

static uint64_t dma_port_read(void *dev UNUSED, uint64_t off, unsigned size)
{
	uint64_t sig = htobe64(DMA_SIGNATURE);

	return size + off <= 8 ? sig >> (off * 8) & size_mask(size) : 0;
}

static void dma_port_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct fw_cfg *f = dev;

	if (size == 8 && off == 0) {
		dma_start(f, be64toh(val));
	} else if (size == 4 && off == 0) {
		f->dma_high = be32toh((uint32_t)val);
	} else if (size == 4 && off == 4) {
		dma_start(f, (uint64_t)f->dma_high << 32 | be32toh((uint32_t)val));
		f->dma_high = 0;
	}
}

static const struct bus_ops cfg_ops = { .read = cfg_read, .write = cfg_write, .max_size = 2 };
static const struct bus_ops dma_ops = { .read = dma_port_read, .write = dma_port_write };

/* --- life cycle --------------------------------------------------------------------------------
 */

static void fw_cfg_reset(void *dev)
{
	struct fw_cfg *f = dev;

	f->selected = 0;
	f->offset = f->dma_high = 0;
}

static void free_items(struct fw_cfg *f)
{
	for (unsigned i = 0; i < f->n_items; i++)
		free(f->items[i].bytes);
	f->n_items = 0;
}

static int add_standard(struct fw_cfg *f, struct err *e)
{
	uint8_t id[4], none[4] = { 0 };
	int ret = fw_cfg_add_item(f, KEY_SIGNATURE, "QEMU", 4, e);

	put_le32(id, ID_TRADITIONAL | ID_DMA);
	if (!ret)
		ret = fw_cfg_add_item(f, KEY_ID, id, sizeof(id), e);
	if (!ret)
		ret = fw_cfg_add_item(f, KEY_FILE_DIR, none, sizeof(none), e);
	return ret;
}

int fw_cfg_create(struct fw_cfg **out, const struct dev_env *env, struct err *e)
{
	struct fw_cfg *f = calloc(1, sizeof(*f));
	int ret;

	if (!f)
		return err_set(e, -ENOMEM, "no memory for fw_cfg");
	f->env = *env;
	ret = add_standard(f, e);
	if (ret)
		goto fail_items;
	f->ports = (struct bus_range) { 0x510, 2, &cfg_ops, f, "fw_cfg" };
	ret = bus_claim(env->ports, &f->ports, e);
	if (ret)
		goto fail_items;
	f->dma = (struct bus_range) { 0x514, 8, &dma_ops, f, "fw_cfg-dma" };
	ret = bus_claim(env->ports, &f->dma, e);
	if (ret)
		goto fail_dma;
	*out = f;
	return 0;

fail_dma:
	bus_release(env->ports, &f->ports);
fail_items:
	free_items(f);
	free(f);
	return ret;
}

static void fw_cfg_save(void *dev, struct snap_writer *w)
{
	snap_save_fields(w, dev, fields, ARRAY_SIZE(fields));
}

static int fw_cfg_load(void *dev, const struct snap_reader *r, struct err *e)
{
	return snap_load_fields(r, dev, fields, ARRAY_SIZE(fields), e);
}

static void fw_cfg_destroy(void *dev)
{
	struct fw_cfg *f = dev;

	if (!f)
		return;
	bus_release(f->env.ports, &f->dma);
	bus_release(f->env.ports, &f->ports);
	free_items(f);
	free(f);
}

const struct dev_ops fw_cfg_dev_ops = {
	.type = "fw_cfg",
	.reset = fw_cfg_reset,
	.save = fw_cfg_save,
	.load = fw_cfg_load,
	.destroy = fw_cfg_destroy,
};
