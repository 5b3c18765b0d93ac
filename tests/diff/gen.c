/* SPDX-License-Identifier: MIT */
/*
 * Generation of cases: which encodings a class has, and random operands for them.
 *
 * Every encoding of the opcode maps (legacy 1-byte, 0F, 0F38, 0F3A with each mandatory prefix;
 * VEX maps 1 to 3) is decoded once; those whose instruction belongs to the class are kept. A case
 * is one of these with random REX, ModRM, SIB, displacement and immediate. A memory operand's base
 * register is then chosen so that the address lies in the data, most often aligned.
 */
#include "diff.h"

#include "base/bytes.h"
#include "cpu/soft/fpu.h"

#include <stdlib.h>
#include <string.h>

struct encoding {
	uint8_t vex, pp, map, opcode, reg, w, l;
};

#define ENCODINGS_MAX 65536

static struct encoding *encodings;
static unsigned n_encodings;
static const struct diff_class *class_now;

static ZydisDecoder decoder(void)
{
	ZydisDecoder d;

	ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	return d;
}

/* Bytes of @c with ModRM @modrm; operand bytes behind it are random. */
static unsigned encode(const struct encoding *c, uint8_t modrm, uint8_t rxb, uint64_t *seed,
		       uint8_t *out)
{
	static const uint8_t prefix[] = { 0, 0x66, 0xf3, 0xf2 };
	unsigned n = 0;

	if (c->vex) {
		uint8_t vvvv = diff_rand(seed) & 15;

		out[n++] = 0xc4;
		out[n++] = (uint8_t)((~rxb & 7) << 5 | c->map);
		out[n++] = (uint8_t)(c->w << 7 | vvvv << 3 | c->l << 2 | c->pp);
	} else {
		if (c->pp)
			out[n++] = prefix[c->pp];
		if (rxb || c->w || (diff_rand(seed) & 3) == 0)
			out[n++] = (uint8_t)(0x40 | c->w << 3 | rxb);
		if (c->map)
			out[n++] = 0x0f;
		if (c->map == 2)
			out[n++] = 0x38;
		if (c->map == 3)
			out[n++] = 0x3a;
	}
	out[n++] = c->opcode;
	out[n++] = modrm;
	for (unsigned i = 0; i < 12; i++)
		out[n + i] = (uint8_t)diff_rand(seed);
	return n;
}

static bool usable(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *op)
{
	if (i->meta.category == ZYDIS_CATEGORY_COND_BR ||
	    i->meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
	    i->meta.category == ZYDIS_CATEGORY_CALL || i->meta.category == ZYDIS_CATEGORY_RET ||
	    i->meta.category == ZYDIS_CATEGORY_SYSTEM ||
	    i->meta.category == ZYDIS_CATEGORY_INTERRUPT || i->meta.category == ZYDIS_CATEGORY_IO ||
	    i->meta.category == ZYDIS_CATEGORY_SYSCALL || (i->attributes & ZYDIS_ATTRIB_HAS_EVEX) ||
	    (i->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED))
		return false;
	for (unsigned k = 0; k < i->operand_count; k++)
		if (op[k].type == ZYDIS_OPERAND_TYPE_REGISTER) {
			ZydisRegisterClass c = ZydisRegisterGetClass(op[k].reg.value);

			if (c == ZYDIS_REGCLASS_SEGMENT || c == ZYDIS_REGCLASS_CONTROL ||
			    c == ZYDIS_REGCLASS_DEBUG || c == ZYDIS_REGCLASS_BOUND ||
			    c == ZYDIS_REGCLASS_MASK || c == ZYDIS_REGCLASS_ZMM ||
			    c == ZYDIS_REGCLASS_TMM)
				return false;
		}
	return true;
}

static void try_encoding(const ZydisDecoder *d, const struct encoding *c, uint64_t *seed)
{
	uint8_t bytes[32];
	ZydisDecodedInstruction i;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];

	/* Once with a register, once with memory; VEX.vvvv is random, so a few tries. */
	for (unsigned t = 0; t < (c->vex ? 12u : 2u); t++) {
		uint8_t modrm = (uint8_t)((t & 1 ? 0xc0 : 0) | c->reg << 3 | 1);

		encode(c, modrm, 0, seed, bytes);
		if (c->vex && t >= 4)
			bytes[2] |= 0x78; /* vvvv unused */
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(d, bytes, DIFF_INSN_MAX, &i, op)))
			continue;
		if (!usable(&i, op) || !class_now->match(&i) || n_encodings == ENCODINGS_MAX)
			continue;
		encodings[n_encodings++] = *c;
		return;
	}
}

unsigned diff_gen_setup(const struct diff_class *cls)
{
	ZydisDecoder d = decoder();
	uint64_t seed = 1;
	struct encoding c = { 0 };

	free(encodings);
	encodings = calloc(ENCODINGS_MAX, sizeof(*encodings));
	n_encodings = 0;
	class_now = cls;
	for (unsigned k = 0; encodings && k < (1u << 18); k++) {
		c.vex = k >> 17 & 1;
		c.l = k >> 16 & 1;
		c.w = k >> 15 & 1;
		c.pp = k >> 13 & 3;
		c.map = k >> 11 & 3;
		c.opcode = (uint8_t)(k >> 3);
		c.reg = k & 7;
		if ((!c.vex && c.l) || (c.vex && !c.map))
			continue;
		try_encoding(&d, &c, &seed);
	}
	return n_encodings;
}

/* --- operands -------------------------------------------------------------------------------- */

/* Numbers that matter: small, extreme, or anything. */
static uint64_t interesting(uint64_t *s)
{
	uint64_t r = diff_rand(s);

	switch (r & 7) {
	case 0:
		return r >> 60;
	case 1:
		return 0 - (r >> 61);
	case 2:
		return 1ull << (r >> 58);
	case 3:
		return (1ull << (r >> 58)) - 1;
	case 4:
		return (uint32_t)(r >> 32);
	default:
		return diff_rand(s);
	}
}

static void random_vector(uint8_t *p, uint64_t *s)
{
	static const uint32_t singles[] = { 0x3f800000, 0xbf800000, 0x00000000, 0x80000000,
					    0x7f800000, 0xff800000, 0x7fc00000, 0x00000001,
					    0x7f7fffff, 0x40490fdb, 0x4f000000, 0xcf000000 };
	static const uint64_t doubles[] = {
		0x3ff0000000000000, 0x8000000000000000, 0,
		0x7ff0000000000000, 0x7ff8000000000000, 1,
		0x7fefffffffffffff, 0x400921fb54442d18, 0x43e0000000000000,
		0xc1e0000000000000
	};
	uint64_t kind = diff_rand(s) & 3;

	for (unsigned i = 0; i < 32; i += 8) {
		uint64_t r = diff_rand(s);

		if (kind == 0)
			r = doubles[r % ARRAY_SIZE(doubles)];
		else if (kind == 1)
			r = singles[r % ARRAY_SIZE(singles)] |
			    (uint64_t)singles[(r >> 20) % ARRAY_SIZE(singles)] << 32;
		else if (kind == 2)
			r = (r & 0x800fffffffffffffull) | (1000 + (r >> 52 & 31)) << 52;
		put_le64(p + i, r);
	}
}

static void random_x87(uint8_t *fx, uint64_t *s)
{
	memset(fx, 0, 512);
	/* Masked, any precision and rounding; any top of stack; registers full or empty. */
	put_le16(fx + FX_FCW, (uint16_t)(0x7f | ((diff_rand(s) & 15) << 8 & 0xf00)));
	if ((get_le16(fx + FX_FCW) & 0x300) == 0x100)
		put_le16(fx + FX_FCW, get_le16(fx + FX_FCW) | 0x300); /* 1 is reserved */
	put_le16(fx + FX_FSW, (uint16_t)(diff_rand(s) & 0x7f00));
	fx[FX_FTW] = diff_rand(s) & 1 ? 0xff : (uint8_t)diff_rand(s);
	for (unsigned i = 0; i < 8; i++) {
		uint64_t r = diff_rand(s);

		put_le64(fx + FX_ST + i * 16, r & 1 ? diff_rand(s) | 1ull << 63 : 1ull << 63);
		put_le16(fx + FX_ST + i * 16 + 8,
			 (uint16_t)(r & 6 ? (r >> 8 & 0x8000) | (16383 - 8 + (r >> 30 & 15))
					  : r >> 16));
	}
	put_le32(fx + FX_MXCSR, MXCSR_DEFAULT);
}

static void random_state(struct diff_state *st, uint64_t *s)
{
	for (unsigned i = 0; i < 16; i++) {
		st->c.r[i] = interesting(s);
		random_vector(st->c.ymm[i], s);
	}
	st->c.r[CPU_RSP] = DIFF_DATA + 4096 + (diff_rand(s) & 0x3f8);
	st->c.flags =
		(diff_rand(s) & X86_FLAGS_ARITH) | ((diff_rand(s) & 3) == 0 ? X86_FLAG_DF : 0) | 2;
	/* Rounding, DAZ, FTZ; now and then unmasked exceptions, but underflow: fpu.c says why. */
	st->c.mxcsr = MXCSR_DEFAULT | (uint32_t)(diff_rand(s) & 0xe040);
	if ((diff_rand(s) & 15) == 0)
		st->c.mxcsr &= ~(uint32_t)(diff_rand(s) & MXCSR_MASKS & ~0x800u);
	random_x87(st->c.fx, s);
	for (unsigned i = 0; i < DIFF_DATA_SIZE; i += 32)
		random_vector(st->mem + i, s);
}

static int gpr(ZydisRegister r)
{
	ZydisRegister w = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);

	return w >= ZYDIS_REGISTER_RAX && w <= ZYDIS_REGISTER_R15 ? (int)(w - ZYDIS_REGISTER_RAX)
								  : -1;
}

/* Point the memory operand into the data; false: it cannot be. */
static bool aim(struct diff_case *k, const ZydisDecodedOperand *o, uint64_t *s)
{
	uint64_t *r = k->in.c.r, target = DIFF_DATA + 2048 + (diff_rand(s) & 0x7c0);
	int b = gpr(o->mem.base), x = gpr(o->mem.index);
	uint64_t off = (uint64_t)o->mem.disp.value;

	if ((diff_rand(s) & 7) == 0)
		target += diff_rand(s) & 31; /* unaligned */
	if ((diff_rand(s) & 63) == 0)
		target = DIFF_DATA + DIFF_DATA_SIZE - (diff_rand(s) & 15); /* off the end */
	if (b < 0 || b == x || b == CPU_RSP || o->mem.segment > ZYDIS_REGISTER_DS)
		return false;
	if (o->mem.type == ZYDIS_MEMOP_TYPE_VSIB)
		return false;
	if (x >= 0) {
		r[x] &= 0xff;
		off += r[x] * o->mem.scale;
	}
	r[b] = target - off;
	/* Bit strings reach beyond their operand. */
	if (k->insn.meta.category == ZYDIS_CATEGORY_BITBYTE)
		for (unsigned i = 0; i < k->insn.operand_count_visible; i++)
			if (k->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER) {
				int n = gpr(k->op[i].reg.value);

				if (n == b)
					return false;
				if (n >= 0)
					r[n] = (uint64_t)((int64_t)(diff_rand(s) & 0x7ff) - 1024);
			}
	return true;
}

static void aim_string(struct diff_case *k, uint64_t *s)
{
	k->in.c.r[CPU_RSI] = DIFF_DATA + 2048 + (diff_rand(s) & 0x3ff);
	k->in.c.r[CPU_RDI] = DIFF_DATA + 3072 + (diff_rand(s) & 0x3ff);
	if ((diff_rand(s) & 3) == 0)
		k->in.c.r[CPU_RDI] = k->in.c.r[CPU_RSI] - 15 + (diff_rand(s) & 31);
	k->in.c.r[CPU_RCX] = diff_rand(s) & 63;
	/* Some runs of equal bytes, so that REPE goes on. */
	if (diff_rand(s) & 1)
		memset(k->in.mem + 1024, (int)diff_rand(s), 4096);
	if (diff_rand(s) & 1)
		memset(&k->in.c.r[CPU_RAX], k->in.mem[2048], 8);
}

static bool fit(struct diff_case *k, uint64_t *s)
{
	bool string = k->insn.meta.category == ZYDIS_CATEGORY_STRINGOP;

	if (string) {
		aim_string(k, s);
		return k->insn.address_width == 64;
	}
	if (k->insn.address_width != 64)
		return false;
	if (k->insn.mnemonic == ZYDIS_MNEMONIC_XLAT) {
		k->in.c.r[CPU_RBX] = DIFF_DATA + 2048;
		return true;
	}
	if (k->insn.mnemonic == ZYDIS_MNEMONIC_LEAVE || k->insn.mnemonic == ZYDIS_MNEMONIC_ENTER)
		k->in.c.r[CPU_RBP] = DIFF_DATA + 4096 + (diff_rand(s) & 0x3f8);
	if (k->insn.meta.category == ZYDIS_CATEGORY_BINARY && (diff_rand(s) & 1))
		k->in.c.r[CPU_RDX] = diff_rand(s) & 1 ? 0 : UINT64_MAX; /* quotients that fit */
	for (unsigned i = 0; i < k->insn.operand_count_visible; i++)
		if (k->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    k->insn.mnemonic != ZYDIS_MNEMONIC_LEA)
			return aim(k, &k->op[i], s);
	return true;
}

void diff_gen(struct diff_case *k, uint64_t *seed)
{
	ZydisDecoder d = decoder();

	for (;;) {
		const struct encoding *c = &encodings[diff_rand(seed) % n_encodings];
		uint8_t raw[32], modrm = (uint8_t)((diff_rand(seed) & 0xc7) | c->reg << 3);
		uint8_t rxb = diff_rand(seed) & 1 ? diff_rand(seed) & 7 : 0;

		if (diff_rand(seed) & 1)
			modrm |= 0xc0;
		encode(c, modrm, rxb, seed, raw);
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, raw, DIFF_INSN_MAX, &k->insn, k->op)))
			continue;
		if (!usable(&k->insn, k->op) || !class_now->match(&k->insn))
			continue;
		k->len = k->insn.length;
		memcpy(k->bytes, raw, k->len);
		random_state(&k->in, seed);
		if (fit(k, seed))
			return;
	}
}
