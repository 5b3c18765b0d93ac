/* SPDX-License-Identifier: MIT */
/*
 * A small AML encoder, see aml.h.
 */
#include "boot/aml.h"

#include "base/bytes.h"

#include <string.h>

/* ACPI 6.4, table 20.1 (AML encoding). */
#define AML_ZERO	0x00
#define AML_ONE		0x01
#define AML_NAME	0x08
#define AML_BYTE	0x0a
#define AML_WORD	0x0b
#define AML_DWORD	0x0c
#define AML_STRING	0x0d
#define AML_QWORD	0x0e
#define AML_SCOPE	0x10
#define AML_BUFFER	0x11
#define AML_PACKAGE	0x12
#define AML_DUAL_PREFIX 0x2e
#define AML_EXT		0x5b
#define AML_DEVICE	0x82

/* Flags of address space descriptors: ACPI 6.4, 6.4.3.5. */
#define RES_PRODUCER_FIXED 0x0c /* minimum and maximum fixed, resource producer */
#define RES_MEM		   0
#define RES_IO		   1
#define RES_BUS		   2
#define RES_MEM_RW	   0x01
#define RES_IO_ENTIRE	   0x03

static void put(struct aml *a, const void *p, size_t n)
{
	BUG_ON(n > a->cap - a->len);
	memcpy(a->buf + a->len, p, n);
	a->len += n;
}

static void put_n(struct aml *a, uint64_t v, unsigned n)
{
	put(a, &v, n);
}

static size_t open_op(struct aml *a, uint8_t op)
{
	put_n(a, op, 1);
	return a->len;
}

void aml_close(struct aml *a, size_t mark)
{
	size_t body = a->len - mark, n = body + 1 <= 0x3f ? 1 : body + 2 <= 0xfff ? 2 : 3;
	size_t total = body + n;
	uint8_t lead[3];

	/* PkgLength counts itself: ACPI 6.4, 20.2.4. */
	if (n == 1) {
		lead[0] = (uint8_t)total;
	} else {
		lead[0] = (uint8_t)((n - 1) << 6 | (total & 0x0f));
		lead[1] = (uint8_t)(total >> 4);
		lead[2] = (uint8_t)(total >> 12);
	}
	BUG_ON(n > a->cap - a->len);
	memmove(a->buf + mark + n, a->buf + mark, body);
	memcpy(a->buf + mark, lead, n);
	a->len += n;
}

size_t aml_scope(struct aml *a, const char *path)
{
	size_t mark = open_op(a, AML_SCOPE), len = strlen(path);

	BUG_ON(len != 5 && len != 10);
	put_n(a, '\\', 1);
	if (len == 10)
		put_n(a, AML_DUAL_PREFIX, 1);
	put(a, path + 1, 4);
	if (len == 10)
		put(a, path + 6, 4);
	return mark;
}

size_t aml_device(struct aml *a, const char *name)
{
	size_t mark;

	put_n(a, AML_EXT, 1);
	mark = open_op(a, AML_DEVICE);
	BUG_ON(strlen(name) != 4);
	put(a, name, 4);
	return mark;
}

size_t aml_package(struct aml *a, uint8_t n)
{
	size_t mark = open_op(a, AML_PACKAGE);

	put_n(a, n, 1);
	return mark;
}

void aml_name(struct aml *a, const char *name)
{
	BUG_ON(strlen(name) != 4);
	put_n(a, AML_NAME, 1);
	put(a, name, 4);
}

void aml_int(struct aml *a, uint64_t v)
{
	static const struct {
		uint64_t max;
		uint8_t op, n;
	} sizes[] = { { 0xff, AML_BYTE, 1 },
		      { 0xffff, AML_WORD, 2 },
		      { 0xffffffff, AML_DWORD, 4 },
		      { UINT64_MAX, AML_QWORD, 8 } };
	unsigned i = 0;

	if (v <= 1) {
		put_n(a, v ? AML_ONE : AML_ZERO, 1);
		return;
	}
	while (v > sizes[i].max)
		i++;
	put_n(a, sizes[i].op, 1);
	put_n(a, v, sizes[i].n);
}

void aml_string(struct aml *a, const char *s)
{
	put_n(a, AML_STRING, 1);
	put(a, s, strlen(s) + 1);
}

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

void aml_eisaid(struct aml *a, const char *id)
{
	uint32_t v = 0;

	BUG_ON(strlen(id) != 7);
	for (unsigned i = 0; i < 3; i++)
		v = v << 5 | (uint32_t)(id[i] - '@');
	for (unsigned i = 3; i < 7; i++)
		v = v << 4 | hex_digit(id[i]);
	put_n(a, AML_DWORD, 1);
	put_n(a, __builtin_bswap32(v), 4);
}

void aml_resources(struct aml *a, const struct aml *r)
{
	size_t mark = open_op(a, AML_BUFFER);

	aml_int(a, r->len + 2);
	put(a, r->buf, r->len);
	/* End tag; checksum 0 means "not checked": ACPI 6.4, 6.4.2.9. */
	put_n(a, 0x79, 2);
	aml_close(a, mark);
}

void aml_res_io(struct aml *r, uint16_t base, uint8_t len)
{
	put_n(r, 0x47, 1);
	put_n(r, 1, 1); /* decodes 16 bits */
	put_n(r, base, 2);
	put_n(r, base, 2);
	put_n(r, 1, 1);
	put_n(r, len, 1);
}

void aml_res_irq(struct aml *r, unsigned irq)
{
	put_n(r, 0x22, 1);
	put_n(r, 1u << irq, 2);
}

void aml_res_mem32(struct aml *r, uint32_t base, uint32_t len)
{
	put_n(r, 0x86, 1);
	put_n(r, 9, 2);
	put_n(r, 1, 1); /* writable */
	put_n(r, base, 4);
	put_n(r, len, 4);
}

/** A Word, DWord or QWord address space descriptor with numbers of @n bytes. */
static void window(struct aml *r, unsigned n, uint8_t kind, uint8_t flags, uint64_t base,
		   uint64_t len)
{
	put_n(r, n == 2 ? 0x88 : n == 4 ? 0x87 : 0x8a, 1);
	put_n(r, 3 + 5 * n, 2);
	put_n(r, kind, 1);
	put_n(r, RES_PRODUCER_FIXED, 1);
	put_n(r, flags, 1);
	put_n(r, 0, n); /* granularity */
	put_n(r, base, n);
	put_n(r, base + len - 1, n);
	put_n(r, 0, n); /* translation */
	put_n(r, len, n);
}

void aml_res_bus_window(struct aml *r, uint16_t first, uint16_t count)
{
	window(r, 2, RES_BUS, 0, first, count);
}

void aml_res_io_window(struct aml *r, uint16_t base, uint16_t len)
{
	window(r, 2, RES_IO, RES_IO_ENTIRE, base, len);
}

void aml_res_mem32_window(struct aml *r, uint32_t base, uint32_t len)
{
	window(r, 4, RES_MEM, RES_MEM_RW, base, len);
}

void aml_res_mem64_window(struct aml *r, uint64_t base, uint64_t len)
{
	window(r, 8, RES_MEM, RES_MEM_RW, base, len);
}
