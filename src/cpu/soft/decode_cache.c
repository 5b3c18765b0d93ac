/* SPDX-License-Identifier: MIT */
/*
 * Instructions decoded before.
 *
 * Theory of operation: code repeats itself, but for displacements and immediates. An entry holds
 * an instruction's bytes with a mask that leaves those out where the result differs in nothing
 * but their values, and the struct insn, into which they are put. Everything else is Zydis's
 * work.
 */
#include "cpu/soft/soft.h"

#include <string.h>

#define SET_BITS 10
#define WAYS	 2

struct entry {
	uint8_t key[16], mask[16]; /* the last byte is the mode */
	struct insn in;		   /* in.len 0: none */
	struct soft_fields fields;
	int ret;
};

struct soft_decode_cache {
	struct entry set[1u << SET_BITS][WAYS];
};

size_t soft_decode_cache_size(void)
{
	return sizeof(struct soft_decode_cache);
}

void soft_decode_cache_flush(struct soft_decode_cache *c)
{
	memset(c, 0, sizeof(*c));
}

/* One-byte opcodes without ModRM, by high and low half. */
static const uint16_t no_modrm[16] = { 0x3030, 0x3030, 0x3030, 0x3030, 0, 0xffff, 0x0500, 0xffff, 0,
				       0xffff, 0xffff, 0xffff, 0x120c, 0, 0x0b00, 0x0c00 };

/* By bytes that surely belong to the instruction: REX, opcode, ModRM. */
static unsigned set_of(const uint8_t *bytes)
{
	unsigned n = (bytes[0] & 0xf0) == 0x40;
	uint8_t op = bytes[n];
	uint32_t x = get_le32(bytes);

	n += op == 0x0f ? 3 : no_modrm[op >> 4] >> (op & 0xf) & 1 ? 1 : 2;
	if (n < 4)
		x &= (1u << n * 8) - 1;
	return (x * 0x9e3779b1u) >> (32 - SET_BITS);
}

static int64_t field_of(const uint8_t *bytes, struct soft_field f)
{
	uint64_t val = get_le(bytes + f.off, f.size);

	return f.is_signed ? (int64_t)(val << (64 - f.size * 8)) >> (64 - f.size * 8)
			   : (int64_t)val;
}

/* A field whose value is found in @is as it stands in the bytes. */
static bool can_leave_out(const uint8_t *bytes, struct soft_field *f, int64_t is)
{
	if (f->size && field_of(bytes, *f) == is)
		return true;
	f->size = 0;
	return false;
}

static void fill(struct entry *e, const uint8_t *bytes, uint8_t mode)
{
	unsigned len = e->in.len;

	memset(e->key, 0, sizeof(e->key));
	memset(e->mask, 0, sizeof(e->mask));
	memcpy(e->key, bytes, len);
	memset(e->mask, 0xff, len);
	e->key[15] = mode;
	e->mask[15] = 0xff;
	if (can_leave_out(bytes, &e->fields.disp, e->in.disp))
		memset(e->mask + e->fields.disp.off, 0, e->fields.disp.size);
	if (can_leave_out(bytes, &e->fields.imm, e->in.imm))
		memset(e->mask + e->fields.imm.off, 0, e->fields.imm.size);
}

static bool matches(const struct entry *e, uint64_t lo, uint64_t hi)
{
	return !(((lo ^ get_le64(e->key)) & get_le64(e->mask)) |
		 ((hi ^ get_le64(e->key + 8)) & get_le64(e->mask + 8)));
}

int soft_decode_cached(struct soft_decode_cache *c, struct soft_vm *vm, const uint8_t bytes[15],
		       unsigned avail, uint32_t mode, struct insn *in)
{
	struct entry *set = c->set[set_of(bytes)], new = { 0 };
	uint8_t padded[16];
	uint64_t lo, hi;

	memcpy(padded, bytes, 15);
	padded[15] = mode & SOFT_MODE_BITS;
	lo = get_le64(padded);
	hi = get_le64(padded + 8);
	for (unsigned i = 0; i < WAYS; i++) {
		const struct entry *e = &set[i];

		if (!e->in.len || e->in.len > avail || !matches(e, lo, hi))
			continue;
		*in = e->in;
		if (e->fields.disp.size)
			in->disp = (int32_t)field_of(bytes, e->fields.disp);
		if (e->fields.imm.size)
			in->imm = field_of(bytes, e->fields.imm);
		return e->ret;
	}
	new.ret = soft_decode(vm, bytes, avail, mode, in, &new.fields);
	if (new.ret < 0 || !new.fields.whole)
		return new.ret;
	new.in = *in;
	fill(&new, bytes, mode & SOFT_MODE_BITS);
	set[1] = set[0];
	set[0] = new;
	return new.ret;
}
