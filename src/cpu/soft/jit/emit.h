/* SPDX-License-Identifier: MIT */
/*
 * An assembler as small as the translator needs: SDM vol. 2, chapter 2.
 */
#ifndef HOLM_CPU_SOFT_JIT_EMIT_H
#define HOLM_CPU_SOFT_JIT_EMIT_H

#include "cpu/soft/jit/jit.h"

#include <stddef.h>
#include <string.h>

#define X_MOV_LOAD  0x8bu
#define X_MOV_STORE 0x89u
#define X_LEA	    0x8du
#define X_JMP	    0xe9u
#define X_CALL	    0xe8u
#define X_JCC	    0x0f80u
#define X_JE	    0x0f84u
#define X_JNE	    0x0f85u
#define X_JNB	    0x0f83u
#define X_JBE	    0x0f86u
#define X_JA	    0x0f87u
#define X_JS	    0x0f88u
#define X_JNS	    0x0f89u

struct emit {
	struct soft_jit *j;
	uint8_t *p; /* in the writable mapping; the caller has made sure of JIT_BLOCK_CODE bytes */
};

static inline const uint8_t *emit_here(const struct emit *e)
{
	return e->j->code.rx + (e->p - e->j->code.rw);
}

static inline void emit_8(struct emit *e, unsigned v)
{
	*e->p++ = (uint8_t)v;
}

static inline void emit_32(struct emit *e, uint32_t v)
{
	put_le(e->p, 4, v);
	e->p += 4;
}

static inline void emit_64(struct emit *e, uint64_t v)
{
	put_le(e->p, 8, v);
	e->p += 8;
}

/* @op is one to three bytes, first byte highest: 0x8b, 0x0fb6. */
static inline void emit_op(struct emit *e, unsigned op)
{
	if (op > 0xffff)
		emit_8(e, op >> 16);
	if (op > 0xff)
		emit_8(e, op >> 8);
	emit_8(e, op);
}

static inline void emit_rex(struct emit *e, bool w, unsigned reg, unsigned index, unsigned base,
			    bool force)
{
	unsigned rex = 0x40 | (unsigned)w << 3 | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 |
		       (base >> 3 & 1);

	if (rex != 0x40 || force)
		emit_8(e, rex);
}

/** emit_rr() - @op with two registers. */
static inline void emit_rr(struct emit *e, bool w, unsigned op, unsigned reg, unsigned rm)
{
	emit_rex(e, w, reg, 0, rm, false);
	emit_op(e, op);
	emit_8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/** emit_mem() - ModRM, SIB and displacement of [@base + @index + @disp]; @index -1: none. */
static inline void emit_mem(struct emit *e, unsigned reg, int base, int index, int32_t disp)
{
	bool sib = index >= 0 || (base & 7) == 4, short_disp = disp >= -128 && disp <= 127;

	emit_8(e, (short_disp ? 0x40u : 0x80u) | (reg & 7) << 3 | (sib ? 4 : (unsigned)base & 7));
	if (sib)
		emit_8(e, (index < 0 ? 4u : (unsigned)index & 7) << 3 | ((unsigned)base & 7));
	if (short_disp)
		emit_8(e, (uint8_t)disp);
	else
		emit_32(e, (uint32_t)disp);
}

/** emit_rm() - @op with [@base + @disp]. */
static inline void emit_rm(struct emit *e, bool w, unsigned op, unsigned reg, unsigned base,
			   int32_t disp)
{
	emit_rex(e, w, reg, 0, base, false);
	emit_op(e, op);
	emit_mem(e, reg, (int)base, -1, disp);
}

/** emit_field() - ModRM and displacement of a field of the vCPU, as emit_v() has them. */
static inline void emit_field(struct emit *e, unsigned reg, size_t off, unsigned imm)
{
	const uint8_t *field = (const uint8_t *)e->j->v + off;

	emit_8(e, (reg & 7) << 3 | 5);
	emit_32(e, (uint32_t)(field - (emit_here(e) + 4 + imm)));
}

/** emit_v() - @op with a field of the vCPU at @off; @imm bytes of immediate will follow. */
static inline void emit_v(struct emit *e, bool w, unsigned op, unsigned reg, size_t off,
			  unsigned imm)
{
	emit_rex(e, w, reg, 0, 0, false);
	emit_op(e, op);
	emit_field(e, reg, off, imm);
}

#define EMIT_V(e, w, op, reg, field) emit_v(e, w, op, reg, offsetof(struct soft_vcpu, field), 0)

/** emit_add_v() - ADD of a field. */
static inline void emit_add_v(struct emit *e, unsigned reg, size_t off)
{
	emit_v(e, true, 0x03, reg, off, 0);
}

/** emit_lea_w() - LEA @dst, [@base + (@index << @scale) + @disp]; -1: no such register. */
static inline void emit_lea_w(struct emit *e, bool w, unsigned dst, int base, int index,
			      unsigned scale, int32_t disp)
{
	unsigned i = index < 0 ? 4 : (unsigned)index, b = base < 0 ? 5 : (unsigned)base;

	if (base >= 0 && index < 0 && !disp) {
		emit_rr(e, w, X_MOV_LOAD, dst, b);
		return;
	}
	if (base >= 0 && (index < 0 || !scale)) {
		emit_rex(e, w, dst, index < 0 ? 0 : i, b, false);
		emit_8(e, X_LEA);
		emit_mem(e, dst, base, index, disp);
		return;
	}
	emit_rex(e, w, dst, index < 0 ? 0 : i, base < 0 ? 0 : b, false);
	emit_8(e, X_LEA);
	emit_8(e, (base < 0 ? 0x04 : 0x84) | (dst & 7) << 3);
	emit_8(e, scale << 6 | (i & 7) << 3 | (b & 7));
	emit_32(e, (uint32_t)disp);
}

/** emit_lea() - of 64 bits. */
static inline void emit_lea(struct emit *e, unsigned dst, int base, int index, unsigned scale,
			    int32_t disp)
{
	emit_lea_w(e, true, dst, base, index, scale, disp);
}

/** emit_mov_imm() - MOV @dst, @imm of 64 bits. */
static inline void emit_mov_imm(struct emit *e, unsigned dst, uint64_t imm)
{
	if (imm <= UINT32_MAX) {
		emit_rex(e, false, 0, 0, dst, false);
		emit_8(e, 0xb8 | (dst & 7));
		emit_32(e, (uint32_t)imm);
		return;
	}
	emit_rex(e, true, 0, 0, dst, false);
	emit_8(e, 0xb8 | (dst & 7));
	emit_64(e, imm);
}

/** emit_jump() - CALL (0xe8), JMP (0xe9) or Jcc (0x0f80 | cc) to @to in the executable mapping. */
static inline void emit_jump(struct emit *e, unsigned op, const uint8_t *to)
{
	emit_op(e, op);
	emit_32(e, (uint32_t)(to - (emit_here(e) + 4)));
}

/** emit_forward() - the same to a place that comes later: give what it returns to emit_land(). */
static inline uint8_t *emit_forward(struct emit *e, unsigned op)
{
	emit_op(e, op);
	emit_32(e, 0);
	return e->p - 4;
}

static inline void emit_land(struct emit *e, uint8_t *rel)
{
	put_le(rel, 4, (uint32_t)(e->p - (rel + 4)));
}

/** emit_jrcxz() - to a place at most 127 bytes further on: give what it returns to
 * emit_land_short(). */
static inline uint8_t *emit_jrcxz(struct emit *e)
{
	emit_8(e, 0xe3);
	emit_8(e, 0);
	return e->p;
}

static inline void emit_land_short(struct emit *e, uint8_t *from)
{
	BUG_ON(e->p - from > 127);
	from[-1] = (uint8_t)(e->p - from);
}

/** emit_put_byte(), emit_byte_is_0() - a byte field of the vCPU: MOV @val; CMP with 0. */
static inline void emit_put_byte(struct emit *e, size_t off, unsigned val)
{
	emit_v(e, false, 0xc6, 0, off, 1);
	emit_8(e, val);
}

static inline void emit_byte_is_0(struct emit *e, size_t off)
{
	emit_v(e, false, 0x80, 7, off, 1);
	emit_8(e, 0);
}

/** emit_save_flags() - EFLAGS to v->jit_cc; R15 and EFLAGS are lost. */
static inline void emit_save_flags(struct emit *e)
{
	emit_rr(e, true, X_MOV_LOAD, HOST_R15, HOST_RAX);
	emit_8(e, 0x9f);      /* lahf */
	emit_op(e, 0x0f90c0); /* seto al */
	emit_8(e, 0x66);
	EMIT_V(e, false, X_MOV_STORE, HOST_RAX, jit_cc);
	emit_rr(e, true, X_MOV_LOAD, HOST_RAX, HOST_R15);
}

/** emit_load_flags() - back; R15 is lost. SAHF has all but OF, which 1 + 7fh makes. */
static inline void emit_load_flags(struct emit *e)
{
	emit_rr(e, true, X_MOV_LOAD, HOST_R15, HOST_RAX);
	EMIT_V(e, false, 0x0fb7, HOST_RAX, jit_cc); /* movzx */
	emit_8(e, 0x04);			    /* add al, 7fh */
	emit_8(e, 0x7f);
	emit_8(e, 0x9e); /* sahf */
	emit_rr(e, true, X_MOV_LOAD, HOST_RAX, HOST_R15);
}

/** emit_read_flags() - v->jit_cc to @dst, at their places in RFLAGS; @tmp and EFLAGS are lost. */
static inline void emit_read_flags(struct emit *e, unsigned dst, unsigned tmp)
{
	EMIT_V(e, false, 0x0fb6, tmp, jit_cc); /* movzx: OF */
	emit_rr(e, false, 0xc1, 4, tmp);       /* shl */
	emit_8(e, 11);
	emit_v(e, false, 0x0fb6, dst, offsetof(struct soft_vcpu, jit_cc) + 1, 0);
	emit_rr(e, false, 0x81, 4, dst); /* and */
	emit_32(e, JIT_FLAGS & 0xff);
	emit_rr(e, false, 0x0b, dst, tmp);
}

#endif
