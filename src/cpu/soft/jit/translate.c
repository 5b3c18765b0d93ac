/* SPDX-License-Identifier: MIT */
/*
 * From a decoded block of 64-bit code to native code, in one pass.
 *
 * Theory of operation: an instruction of the list below is emitted as itself, with its registers
 * renamed (jit.h) and its memory operand replaced by [r13], which holds the host address that the
 * soft TLB gave. Where the TLB has no answer, and for every other instruction, the interpreter's
 * handler runs on a copy of the struct insn: behind the copy stands a second one whose handler
 * says "go on", so that a handler which leaves the block is told from one that does not.
 *
 * Flags: a pass from the end finds where each of the six is still wanted; what is behind the
 * block counts as wanting all. The TLB's compare destroys EFLAGS, so wanted flags go to v->cc
 * first and are brought back where an instruction reads them. Where they are is known at each
 * place, and each block has an entry for either.
 *
 * SIMD registers live in v->fpu.ymm; a block loads the ones it uses when it first does, into host
 * registers of the same numbers, and stores the changed ones where it ends or calls a handler.
 * A block that computes with floating point loads the guest's MXCSR where that is not in place
 * already; handlers and the loop have the host's. Where SIMD would raise something (CR0.TS, an
 * unmasked exception ...) v->simd_denied keeps blocks with SIMD out.
 *
 * v->block_va is the page's address, and the copies count from there: so jumps inside a page need
 * nothing but a jump.
 */
#include "cpu/soft/fpu.h"
#include "cpu/soft/jit/emit.h"
#include "cpu/soft/zydis.h"

/* Bits of live-flag masks are those of RFLAGS. */

enum where { IN_EFLAGS, IN_CC };

/** An instruction while its block is translated. */
struct item {
	struct soft_zydis z;
	const struct insn *in;
	const struct insn *copy;
	uint32_t live;	 /* flags wanted behind it */
	uint32_t reads;	 /* flags it reads */
	uint32_t writes; /* flags it surely overwrites */
	bool changes;	 /* it may change some flag */
	bool inlined;
	bool simd;    /* inlined, with XMM or YMM registers */
	uint16_t off; /* from its page's start */
};

/* Code out of the way, emitted behind the block. */
struct aside {
	uint8_t *from, *from2; /* jumps to land here */
	const uint8_t *back;   /* where to go on, NULL: the handler leaves the block */
	const struct insn *copy;
	bool reload; /* flags are wanted in EFLAGS there */
	int32_t undo_rsp;
	uint16_t store, load; /* SIMD registers before and behind the handler */
};

struct trans {
	struct emit e;
	struct soft_block *b;
	enum where where;
	struct item item[SOFT_BLOCK_MAX];
	struct aside aside[2 * SOFT_BLOCK_MAX + 1]; /* two each, three of the last */
	unsigned n_aside;
	bool wide;		  /* the block has AVX: whole YMM registers are moved */
	bool simd;		  /* the block has SIMD */
	bool fp;		  /* and some that MXCSR matters to */
	uint16_t loaded, changed; /* SIMD registers in host registers */
};

/* Guest's register number to the host's, or -1 where it lives in v->r. */
static int host_of(unsigned guest)
{
	if (guest == CPU_RSP)
		return HOST_R12;
	return guest < CPU_R12 ? (int)guest : -1;
}

static size_t r_off(unsigned guest)
{
	return offsetof(struct soft_vcpu, r) + guest * 8;
}

/* --- what is emitted as itself ------------------------------------------------------------ */

#define M(x)  [ZYDIS_MNEMONIC_##x] = true
#define CC(x) M(SET##x), M(CMOV##x), M(J##x)
/* clang-format off */
static const bool listed[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	M(ADD), M(OR), M(ADC), M(SBB), M(AND), M(SUB), M(XOR), M(CMP), M(TEST), M(INC), M(DEC),
	M(NEG), M(NOT), M(MOV), M(MOVZX), M(MOVSX), M(MOVSXD), M(LEA), M(ROL), M(ROR), M(SHL),
	M(SHR), M(SAR), M(SHLD), M(SHRD), M(IMUL), M(MUL), M(BT), M(BTS), M(BTR), M(BTC), M(BSF),
	M(BSR), M(BSWAP), M(XCHG), M(XADD), M(CMPXCHG), M(CBW), M(CWDE), M(CDQE), M(CWD), M(CDQ),
	M(CQO), M(CLC), M(STC), M(CMC), M(NOP), M(ENDBR64), M(ENDBR32), M(PUSH), M(POP),
	M(LEAVE), M(JMP), M(CALL), M(RET), M(POPCNT), M(TZCNT), M(LZCNT), CC(O), CC(NO), CC(B),
	CC(NB), CC(Z), CC(NZ), CC(BE), CC(NBE), CC(S), CC(NS), CC(P), CC(NP), CC(L), CC(NL),
	CC(LE), CC(NLE),
};
/* clang-format on */
#undef CC
#undef M

static int gpr_of(ZydisRegister r)
{
	if (r >= ZYDIS_REGISTER_AL && r <= ZYDIS_REGISTER_BL)
		return r - ZYDIS_REGISTER_AL;
	if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B)
		return r - ZYDIS_REGISTER_SPL + 4;
	if (r >= ZYDIS_REGISTER_AX && r <= ZYDIS_REGISTER_R15W)
		return r - ZYDIS_REGISTER_AX;
	if (r >= ZYDIS_REGISTER_EAX && r <= ZYDIS_REGISTER_R15D)
		return r - ZYDIS_REGISTER_EAX;
	if (r >= ZYDIS_REGISTER_RAX && r <= ZYDIS_REGISTER_R15)
		return r - ZYDIS_REGISTER_RAX;
	return -1;
}

static const ZydisDecodedOperand *memory_of(const struct soft_zydis *z)
{
	for (unsigned i = 0; i < z->i.operand_count_visible; i++)
		if (z->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return &z->op[i];
	return NULL;
}

/* Forms of listed instructions that are left to their handlers. */
static bool can_inline(const struct item *t)
{
	const struct soft_zydis *z = &t->z;
	const ZydisDecodedOperand *m = memory_of(z);

	if (!listed[z->i.mnemonic] || soft_insn_undefined(t->in) ||
	    (t->in->flags & (INSN_REP | INSN_REPNE)))
		return false;
	if (z->i.mnemonic == ZYDIS_MNEMONIC_NOP)
		return true;
	for (unsigned i = 0; i < z->i.operand_count_visible; i++)
		if (z->op[i].type == ZYDIS_OPERAND_TYPE_POINTER ||
		    (z->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		     gpr_of(z->op[i].reg.value) < 0))
			return false; /* segment, control and high byte registers */
	if (z->i.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return false;
	if (t->in->asize != 8)
		return false;
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_POP:
		return t->in->size == 8 && !m;
	case ZYDIS_MNEMONIC_LEAVE:
	case ZYDIS_MNEMONIC_RET:
		return !(z->i.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE);
	case ZYDIS_MNEMONIC_JMP:
	case ZYDIS_MNEMONIC_CALL:
		return t->in->size == 8;
	case ZYDIS_MNEMONIC_XCHG:
		if (!(z->i.attributes & ZYDIS_ATTRIB_HAS_MODRM))
			return false;
		break;
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		return !m || z->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	default:
		break;
	}
	if ((t->in->flags & INSN_LOCK) && !m)
		return false;
	if (m && m->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM)
		return false; /* MOV with an address of 8 bytes */
	if (m && z->i.mnemonic != ZYDIS_MNEMONIC_LEA && m->size > 64)
		return false;
	return true;
}

/* Number of an XMM or YMM register, or -1. */
static int simd_of(ZydisRegister r)
{
	if (r >= ZYDIS_REGISTER_XMM0 && r <= ZYDIS_REGISTER_XMM15)
		return r - ZYDIS_REGISTER_XMM0;
	if (r >= ZYDIS_REGISTER_YMM0 && r <= ZYDIS_REGISTER_YMM15)
		return r - ZYDIS_REGISTER_YMM0;
	return -1;
}

/* SIMD that runs as it is: only SIMD and general registers, one plain memory operand. */
static bool can_inline_simd(const struct item *t)
{
	const struct soft_zydis *z = &t->z;
	bool simd = false;

	if (soft_insn_undefined(t->in) || t->in->asize != 8)
		return false;
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_CVTPI2PS:
	case ZYDIS_MNEMONIC_CVTPI2PD:
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVPS:
	case ZYDIS_MNEMONIC_VMASKMOVPD:
	case ZYDIS_MNEMONIC_VPMASKMOVD:
	case ZYDIS_MNEMONIC_VPMASKMOVQ:
		return false;
	default:
		break;
	}
	if (z->i.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	    z->i.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
		return false;
	if (!(z->i.attributes & ZYDIS_ATTRIB_HAS_MODRM))
		return false;
	for (unsigned i = 0; i < z->i.operand_count; i++) {
		const ZydisDecodedOperand *o = &z->op[i];

		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			if (o->mem.type != ZYDIS_MEMOP_TYPE_MEM || !o->size || o->size > 256 ||
			    o->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM)
				return false;
		} else if (o->type == ZYDIS_OPERAND_TYPE_REGISTER) {
			if (simd_of(o->reg.value) >= 0)
				simd = true;
			else if (gpr_of(o->reg.value) >= 0
					 ? o->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD
					 : o->visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN)
				return false; /* MMX; general registers in VEX.vvvv */
		}
	}
	return simd;
}

/* Floating-point arithmetic: SDM vol. 2, 2.4, exception types 2, 3 and 11. */
static bool uses_mxcsr(const struct soft_zydis *z)
{
	switch (z->i.meta.exception_class) {
	case ZYDIS_EXCEPTION_CLASS_SSE2:
	case ZYDIS_EXCEPTION_CLASS_SSE3:
	case ZYDIS_EXCEPTION_CLASS_AVX2:
	case ZYDIS_EXCEPTION_CLASS_AVX3:
	case ZYDIS_EXCEPTION_CLASS_AVX11:
		return true;
	default:
		return false;
	}
}

/* Behind these MXCSR may unmask something: no SIMD is inlined behind them in their block. */
static bool sets_mxcsr(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_VLDMXCSR:
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
	case ZYDIS_MNEMONIC_XRSTOR:
	case ZYDIS_MNEMONIC_XRSTOR64:
		return true;
	default:
		return false;
	}
}

/* Shifts leave the flags alone where the count is 0. */
static bool may_keep_flags(const struct soft_zydis *z)
{
	unsigned last;

	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_ROL:
	case ZYDIS_MNEMONIC_ROR:
	case ZYDIS_MNEMONIC_SHL:
	case ZYDIS_MNEMONIC_SHR:
	case ZYDIS_MNEMONIC_SAR:
	case ZYDIS_MNEMONIC_SHLD:
	case ZYDIS_MNEMONIC_SHRD:
		last = z->i.operand_count_visible - 1u;
		return z->op[last].type != ZYDIS_OPERAND_TYPE_IMMEDIATE ||
		       !(z->op[last].imm.value.u & 0x1f);
	case ZYDIS_MNEMONIC_BSF:
	case ZYDIS_MNEMONIC_BSR:
		return true;
	default:
		return false;
	}
}

static void flags_of(struct item *t)
{
	const ZydisAccessedFlags *f = t->z.i.cpu_flags;
	uint32_t written;

	if (!t->inlined) {
		/* A handler may look at the flags and change any. */
		t->reads = JIT_FLAGS;
		t->changes = true;
		return;
	}
	if (!f)
		return;
	written = (f->modified | f->set_0 | f->set_1 | f->undefined) & JIT_FLAGS;
	t->reads = f->tested & JIT_FLAGS;
	t->changes = written != 0;
	t->writes = may_keep_flags(&t->z) ? 0 : written;
}

/* --- flags -------------------------------------------------------------------------------- */

/* EFLAGS to v->cc; R15 is lost. */
static void save_flags(struct trans *t)
{
	struct emit *e = &t->e;

	emit_8(e, 0x9c); /* pushfq */
	emit_8(e, 0x41); /* pop r15 */
	emit_8(e, 0x5f);
	emit_rr(e, false, 0x81, 4, HOST_R15);
	emit_32(e, JIT_FLAGS);
	EMIT_V(e, true, X_MOV_STORE, HOST_R15, cc);
	t->where = IN_CC;
}

static void want_in_cc(struct trans *t, uint32_t live)
{
	if (live && t->where == IN_EFLAGS)
		save_flags(t);
	t->where = IN_CC;
}

static void want_in_eflags(struct trans *t, uint32_t live)
{
	if (live && t->where == IN_CC)
		emit_jump(&t->e, X_CALL, t->e.j->load_flags);
	t->where = IN_EFLAGS;
}

/* --- memory ------------------------------------------------------------------------------- */

/* MOVUPS or VMOVUPS between host register @reg and its home; @op 0x10 loads, 0x11 stores. */
static void move_simd(struct trans *t, unsigned op, unsigned reg)
{
	struct emit *e = &t->e;
	const uint8_t *field = e->j->v->fpu.ymm[reg];

	if (t->wide) {
		emit_8(e, 0xc5);
		emit_8(e, (reg & 8 ? 0x00 : 0x80) | 0x7c); /* vvvv none, L = 1, pp = 0 */
		emit_8(e, op);
	} else {
		emit_rex(e, false, reg, 0, 0, false);
		emit_op(e, 0x0f00 | op);
	}
	emit_8(e, (reg & 7) << 3 | 5);
	emit_32(e, (uint32_t)(field - (emit_here(e) + 4)));
}

static void move_simd_set(struct trans *t, unsigned op, uint16_t set)
{
	for (unsigned reg = 0; reg < 16; reg++)
		if (set >> reg & 1)
			move_simd(t, op, reg);
}

/* Changed SIMD registers go home; what is loaded stays so, unless a handler comes. */
static void store_simd(struct trans *t)
{
	move_simd_set(t, 0x11, t->changed);
	t->changed = 0;
}

/* The guest's MXCSR in its register; EFLAGS are lost. */
static void want_mxcsr(struct trans *t)
{
	struct emit *e = &t->e;
	uint8_t *there;

	if (!t->fp)
		return;
	emit_v(e, false, 0x80, 7, offsetof(struct soft_vcpu, jit_mxcsr_live), 1); /* cmp byte, 0 */
	emit_8(e, 0);
	there = emit_forward(e, X_JNE);
	emit_jump(e, X_CALL, e->j->load_mxcsr);
	emit_land(e, there);
}

/* A guest register's value in some host register: its own, or @scratch. */
static unsigned value_of(struct emit *e, unsigned guest, unsigned scratch)
{
	int host = host_of(guest);

	if (host >= 0)
		return (unsigned)host;
	emit_v(e, true, X_MOV_LOAD, scratch, r_off(guest), 0);
	return scratch;
}

/* Linear address of the operand to @dst (R13, or a register of LEA's); R14, R15 are lost. */
static void emit_address(struct trans *t, const struct item *it, unsigned dst)
{
	const struct insn *in = it->in;
	struct emit *e = &t->e;
	int base = -1, index = -1;

	if (in->ea == INSN_EA_RIP || (in->flags & INSN_ABS_RIP)) {
		EMIT_V(e, true, X_MOV_LOAD, HOST_R15, block_va);
		emit_lea(e, dst, HOST_R15, -1, 0, in->disp + it->off + in->len);
		return;
	}
	if (in->base != INSN_REG_NONE)
		base = (int)value_of(e, in->base / 8, HOST_R15);
	if (in->index != INSN_REG_NONE)
		index = (int)value_of(e, in->index / 8, HOST_R14);
	emit_lea(e, dst, base, index, in->scale, in->disp);
}

/*
 * R13: linear address to host address, or away to the handler; R14, R15 and EFLAGS are lost.
 * Returns the jump away.
 */
static uint8_t *emit_tlb(struct trans *t, unsigned size, bool write)
{
	struct emit *e = &t->e;

	/* soft_tlb_index() */
	emit_rr(e, true, X_MOV_LOAD, HOST_R14, HOST_R13);
	emit_rr(e, true, 0xc1, 5, HOST_R14); /* shr */
	emit_8(e, SOFT_TLB_BITS);
	emit_rr(e, false, 0x33, HOST_R14, HOST_R13); /* xor */
	emit_rr(e, false, 0xc1, 5, HOST_R14);	     /* shr r14d, 12 - 6: entries of 64 bytes */
	emit_8(e, X86_PAGE_SHIFT - 6);
	emit_rr(e, false, 0x81, 4, HOST_R14);
	emit_32(e, (SOFT_TLB_SIZE - 1) << 6);
	EMIT_V(e, true, 0x03, HOST_R14, tlb); /* add */
	if (size > 1)
		emit_lea(e, HOST_R15, HOST_R13, -1, 0, (int32_t)size - 1);
	else
		emit_rr(e, true, X_MOV_LOAD, HOST_R15, HOST_R13);
	emit_rr(e, true, 0x81, 4, HOST_R15); /* and r15, ~fffh */
	emit_32(e, 0xfffff000u);
	EMIT_V(e, true, 0x0b, HOST_R15, epoch); /* or */
	emit_rm(e, true, 0x3b, HOST_R15, HOST_R14,
		write ? offsetof(struct soft_tlb_entry, w) : offsetof(struct soft_tlb_entry, r));
	{
		uint8_t *away = emit_forward(e, X_JNE);

		emit_rm(e, true, 0x03, HOST_R13, HOST_R14, offsetof(struct soft_tlb_entry, addend));
		return away;
	}
}

static struct aside *add_aside(struct trans *t, const struct item *it, uint8_t *from)
{
	struct aside *a = &t->aside[t->n_aside++];

	*a = (struct aside) { .from = from, .copy = it->copy, .store = t->changed };
	return a;
}

/* --- instructions ------------------------------------------------------------------------- */

static void emit_imms(struct emit *e, const struct soft_zydis *z)
{
	for (unsigned i = 0; i < ARRAY_SIZE(z->i.raw.imm); i++)
		for (unsigned k = 0; k < z->i.raw.imm[i].size / 8u; k++)
			emit_8(e, z->i.raw.imm[i].value.u >> (k * 8));
}

/* Three-byte VEX: SDM vol. 2, 2.3.5; its register bits are inverted. */
static void emit_vex(struct emit *e, const struct soft_zydis *z, unsigned reg, unsigned rm)
{
	emit_8(e, 0xc4);
	emit_8(e, (reg & 8 ? 0 : 0x80u) | 0x40 | (rm & 8 ? 0 : 0x20u) | z->i.raw.vex.m_mmmm);
	emit_8(e, (unsigned)z->i.raw.vex.W << 7 | (unsigned)(z->i.raw.vex.vvvv & 0xf) << 3 |
			  (unsigned)z->i.raw.vex.L << 2 | z->i.raw.vex.pp);
	emit_8(e, z->i.opcode);
}

static void emit_legacy(struct emit *e, const struct soft_zydis *z, unsigned reg, unsigned rm)
{
	bool byte_reg = false;

	for (unsigned i = 0; i < z->i.operand_count_visible; i++)
		if (z->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER && z->op[i].size == 8)
			byte_reg = true;
	for (unsigned i = 0; i < z->i.raw.prefix_count; i++) {
		uint8_t prefix = z->i.raw.prefixes[i].value;

		if (prefix == 0x66 || prefix == 0xf2 || prefix == 0xf3 || prefix == 0xf0)
			emit_8(e, prefix);
	}
	emit_rex(e, z->i.raw.rex.W, reg, 0, rm, byte_reg);
	if (z->i.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		emit_8(e, 0x0f);
	if (z->i.opcode_map == ZYDIS_OPCODE_MAP_0F38)
		emit_8(e, 0x38);
	if (z->i.opcode_map == ZYDIS_OPCODE_MAP_0F3A)
		emit_8(e, 0x3a);
	emit_8(e, z->i.opcode);
}

/* The instruction itself: @reg and @rm in ModRM, memory as [r13] where @mem. */
static void emit_self(struct emit *e, const struct soft_zydis *z, unsigned reg, unsigned rm,
		      bool mem)
{
	if (mem)
		rm = HOST_R13;
	if (z->i.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
		emit_vex(e, z, reg, rm);
	else
		emit_legacy(e, z, reg, rm);
	emit_8(e, (mem ? 0x40 : 0xc0) | (reg & 7) << 3 | (rm & 7));
	if (mem)
		emit_8(e, 0); /* displacement */
	emit_imms(e, z);
}

static void emit_plain(struct emit *e, const struct soft_zydis *z)
{
	for (unsigned i = 0; i < z->i.raw.prefix_count; i++)
		if (z->i.raw.prefixes[i].value == 0x66)
			emit_8(e, 0x66);
	emit_rex(e, z->i.raw.rex.W, 0, 0, 0, false);
	emit_8(e, z->i.opcode);
}

/* MOV r, imm (B8+r) and BSWAP, whose register is in the opcode. */
static bool emit_opcode_reg(struct trans *t, const struct soft_zydis *z)
{
	struct emit *e = &t->e;
	unsigned guest = (unsigned)gpr_of(z->op[0].reg.value), reg;
	int host = host_of(guest);

	reg = host >= 0 ? (unsigned)host : HOST_R15;
	if (host < 0)
		emit_v(e, true, X_MOV_LOAD, HOST_R15, r_off(guest), 0);
	for (unsigned i = 0; i < z->i.raw.prefix_count; i++)
		if (z->i.raw.prefixes[i].value == 0x66)
			emit_8(e, 0x66);
	emit_rex(e, z->i.raw.rex.W, 0, 0, reg, z->op[0].size == 8);
	if (z->i.opcode_map == ZYDIS_OPCODE_MAP_0F)
		emit_8(e, 0x0f);
	emit_8(e, (z->i.opcode & 0xf8) | (reg & 7));
	if (z->i.raw.imm[0].size)
		for (unsigned k = 0; k < z->i.raw.imm[0].size / 8u; k++)
			emit_8(e, z->i.raw.imm[0].value.u >> (k * 8));
	if (host < 0)
		emit_v(e, true, X_MOV_STORE, HOST_R15, r_off(guest), 0);
	return true;
}

/*
 * Before the instruction: what it names is loaded, also what it only writes, since most leave
 * something of it; behind it (@after): what it wrote has changed.
 */
static void simd_operands(struct trans *t, const struct soft_zydis *z, bool after)
{
	for (unsigned i = 0; i < z->i.operand_count; i++) {
		const ZydisDecodedOperand *o = &z->op[i];
		int reg = o->type == ZYDIS_OPERAND_TYPE_REGISTER ? simd_of(o->reg.value) : -1;

		if (reg < 0)
			continue;
		if (!after && !(t->loaded >> reg & 1))
			move_simd(t, 0x10, (unsigned)reg);
		t->loaded |= (uint16_t)(1u << reg);
		if (after && (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			t->changed |= (uint16_t)(1u << reg);
	}
}

/* #GP unless R13 is aligned: the handler's business. EFLAGS are lost. */
static void emit_alignment(struct trans *t, const struct item *it, unsigned align)
{
	emit_rr(&t->e, false, 0xf7, 0, HOST_R13); /* test r13d, imm */
	emit_32(&t->e, align - 1);
	add_aside(t, it, emit_forward(&t->e, X_JNE));
}

/* With ModRM: registers renamed, memory through the TLB. */
static void emit_generic(struct trans *t, const struct item *it)
{
	const struct soft_zydis *z = &it->z;
	const ZydisDecodedOperand *m = memory_of(z), *o_reg = NULL, *o_rm = NULL;
	struct emit *e = &t->e;
	unsigned reg = z->i.raw.modrm.reg, rm = 0, g_reg = 0, g_rm = 0;
	struct aside *a = NULL;

	if (m) {
		bool write = m->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
		uint32_t through = (it->live & ~it->writes) | it->reads;

		want_in_cc(t, through);
		emit_address(t, it, HOST_R13);
		if (it->in->ea == INSN_EA_GENERIC)
			emit_v(e, true, 0x03, HOST_R13,
			       offsetof(struct soft_vcpu, seg[it->in->seg].base), 0);
		if (it->simd && fpu_alignment(z, m->size / 8) > 1)
			emit_alignment(t, it, fpu_alignment(z, m->size / 8));
		a = add_aside(t, it, emit_tlb(t, m->size / 8, write));
		/* Flags that it reads, or leaves as they are while it changes others. */
		if (it->reads || (it->changes && through)) {
			/* R13 is in use. */
			emit_8(e, 0x41); /* push r13 */
			emit_8(e, 0x55);
			want_in_eflags(t, through);
			emit_8(e, 0x41); /* pop r13 */
			emit_8(e, 0x5d);
		}
	} else if (it->reads || it->changes) {
		want_in_eflags(t, (it->live & ~it->writes) | it->reads);
	}
	for (unsigned i = 0; i < z->i.operand_count_visible; i++) {
		if (z->op[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		if (z->op[i].encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
			o_reg = &z->op[i];
		else if (z->op[i].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
			o_rm = &z->op[i];
	}
	if (o_reg && simd_of(o_reg->reg.value) >= 0) {
		reg = (unsigned)simd_of(o_reg->reg.value);
		o_reg = NULL;
	} else if (o_reg) {
		g_reg = (unsigned)gpr_of(o_reg->reg.value);
		reg = value_of(e, g_reg, HOST_R14);
	}
	if (o_rm && simd_of(o_rm->reg.value) >= 0) {
		rm = (unsigned)simd_of(o_rm->reg.value);
		o_rm = NULL;
	} else if (o_rm) {
		g_rm = (unsigned)gpr_of(o_rm->reg.value);
		rm = value_of(e, g_rm, HOST_R15);
	}
	if (it->simd)
		simd_operands(t, z, false);
	emit_self(e, z, reg, rm, m != NULL);
	if (it->simd)
		simd_operands(t, z, true);
	if (o_reg && reg == HOST_R14 && (o_reg->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		emit_v(e, true, X_MOV_STORE, HOST_R14, r_off(g_reg), 0);
	if (o_rm && rm == HOST_R15 && (o_rm->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		emit_v(e, true, X_MOV_STORE, HOST_R15, r_off(g_rm), 0);
	if (it->changes)
		t->where = IN_EFLAGS;
	if (a) {
		a->back = emit_here(e);
		a->reload = it->live && t->where == IN_EFLAGS;
		a->load = t->loaded;
	}
}

static void emit_lea_insn(struct trans *t, const struct item *it)
{
	const struct soft_zydis *z = &it->z;
	struct emit *e = &t->e;
	unsigned guest = (unsigned)gpr_of(z->op[0].reg.value);
	int host = host_of(guest);
	unsigned dst = host >= 0 && it->in->size == 8 ? (unsigned)host : HOST_R13;

	emit_address(t, it, dst);
	if (it->in->size == 8) {
		if (host < 0)
			emit_v(e, true, X_MOV_STORE, dst, r_off(guest), 0);
	} else if (it->in->size == 4) {
		emit_rr(e, false, X_MOV_LOAD, host >= 0 ? (unsigned)host : HOST_R13, HOST_R13);
		if (host < 0)
			emit_v(e, true, X_MOV_STORE, HOST_R13, r_off(guest), 0);
	} else {
		emit_8(e, 0x66);
		if (host >= 0)
			emit_rr(e, false, X_MOV_LOAD, (unsigned)host, HOST_R13);
		else
			emit_v(e, false, X_MOV_STORE, HOST_R13, r_off(guest), 0);
	}
}

/* Store R15's value... the pushed value is fetched after the TLB, which needs R15. */
static void emit_push(struct trans *t, const struct item *it)
{
	const ZydisDecodedOperand *o = &it->z.op[0];
	struct emit *e = &t->e;
	struct aside *a;

	want_in_cc(t, it->live);
	emit_lea(e, HOST_R13, HOST_R12, -1, 0, -8);
	a = add_aside(t, it, emit_tlb(t, 8, true));
	if (o->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		unsigned src = value_of(e, (unsigned)gpr_of(o->reg.value), HOST_R15);

		emit_rm(e, true, X_MOV_STORE, src, HOST_R13, 0);
	} else {
		emit_rm(e, true, 0xc7, 0, HOST_R13, 0);
		emit_32(e, (uint32_t)it->in->imm);
	}
	emit_lea(e, HOST_R12, HOST_R12, -1, 0, -8);
	a->back = emit_here(e);
}

static void emit_pop_to(struct trans *t, const struct item *it, unsigned guest)
{
	struct emit *e = &t->e;
	int host = host_of(guest);
	struct aside *a;

	a = add_aside(t, it, emit_tlb(t, 8, false));
	emit_rm(e, true, X_MOV_LOAD, host >= 0 ? (unsigned)host : HOST_R15, HOST_R13, 0);
	if (guest != CPU_RSP)
		emit_lea(e, HOST_R12, HOST_R12, -1, 0, 8);
	if (host < 0)
		emit_v(e, true, X_MOV_STORE, HOST_R15, r_off(guest), 0);
	a->back = emit_here(e);
}

static void emit_pop(struct trans *t, const struct item *it)
{
	want_in_cc(t, it->live);
	emit_rr(&t->e, true, X_MOV_LOAD, HOST_R13, HOST_R12);
	emit_pop_to(t, it, (unsigned)gpr_of(it->z.op[0].reg.value));
}

/* RSP = RBP; POP RBP: nothing is changed before the load. */
static void emit_leave(struct trans *t, const struct item *it)
{
	struct emit *e = &t->e;
	struct aside *a;

	want_in_cc(t, it->live);
	emit_rr(e, true, X_MOV_LOAD, HOST_R13, HOST_RBP);
	a = add_aside(t, it, emit_tlb(t, 8, false));
	emit_lea(e, HOST_R12, HOST_RBP, -1, 0, 8);
	emit_rm(e, true, X_MOV_LOAD, HOST_RBP, HOST_R13, 0);
	a->back = emit_here(e);
}

/* --- ends of blocks ----------------------------------------------------------------------- */

/* Leave to the loop at R13. */
static void emit_leave_block(struct trans *t)
{
	struct emit *e = &t->e;

	EMIT_V(e, true, X_MOV_STORE, HOST_R13, rip);
	emit_jump(e, X_JMP, t->where == IN_EFLAGS ? e->j->exit_flags : e->j->exit_cc);
}

/*
 * On to the linear address in R13: by the jump cache, else by the loop. Flags must be in v->cc.
 * @it: whose handler raises the fault where the address is not canonical; NULL: it is.
 */
static void emit_indirect(struct trans *t, const struct item *it, int32_t undo_rsp)
{
	struct emit *e = &t->e;
	uint8_t *miss[3];

	emit_rr(e, true, X_MOV_LOAD, HOST_R14, HOST_R13);
	emit_rr(e, true, 0xc1, 5, HOST_R14);
	emit_8(e, SOFT_JIT_JUMP_BITS);
	emit_rr(e, false, 0x33, HOST_R14, HOST_R13); /* xor */
	emit_rr(e, false, 0x81, 4, HOST_R14);
	emit_32(e, (1u << SOFT_JIT_JUMP_BITS) - 1);
	emit_rr(e, false, 0xc1, 4, HOST_R14); /* shl: entries of 32 bytes */
	emit_8(e, 5);
	EMIT_V(e, true, X_LEA, HOST_R15, jit_jump);
	emit_rr(e, true, 0x03, HOST_R14, HOST_R15);
	emit_rm(e, true, 0x39, HOST_R13, HOST_R14, offsetof(struct soft_jit_jump, va));
	miss[0] = emit_forward(e, X_JNE);
	EMIT_V(e, true, X_MOV_LOAD, HOST_R15, now);
	emit_rm(e, true, X_MOV_LOAD, HOST_R15, HOST_R15, offsetof(struct soft_tlb_set, gen));
	emit_rm(e, true, 0x39, HOST_R15, HOST_R14, offsetof(struct soft_jit_jump, gen));
	miss[1] = emit_forward(e, X_JNE);
	EMIT_V(e, false, 0x0fb6, HOST_R15, mmu_idx); /* movzx */
	emit_rm(e, true, 0x39, HOST_R15, HOST_R14, offsetof(struct soft_jit_jump, mmu_idx));
	miss[2] = emit_forward(e, X_JNE);
	emit_rr(e, true, 0x81, 4, HOST_R13);
	emit_32(e, 0xfffff000u);
	EMIT_V(e, true, X_MOV_STORE, HOST_R13, block_va);
	emit_rm(e, false, 0xff, 4, HOST_R14, offsetof(struct soft_jit_jump, code));
	for (unsigned i = 0; i < ARRAY_SIZE(miss); i++)
		emit_land(e, miss[i]);
	if (it) {
		struct aside *a;

		emit_rr(e, true, X_MOV_LOAD, HOST_R14, HOST_R13);
		emit_rr(e, true, 0xc1, 4, HOST_R14);
		emit_8(e, 16);
		emit_rr(e, true, 0xc1, 7, HOST_R14); /* sar */
		emit_8(e, 16);
		emit_rr(e, true, 0x39, HOST_R14, HOST_R13);
		a = add_aside(t, it, emit_forward(e, X_JNE));
		a->undo_rsp = undo_rsp;
	}
	EMIT_V(e, true, X_MOV_STORE, HOST_R13, rip);
	emit_jump(e, X_JMP, e->j->exit_cc);
}

/* On to @off bytes from the page's start: linked where that is inside the page. */
static void emit_direct(struct trans *t, int64_t off)
{
	struct emit *e = &t->e;
	struct soft_jit *j = e->j;

	if (off < 0 || off >= (int64_t)X86_PAGE_SIZE) {
		want_in_cc(t, JIT_FLAGS);
		EMIT_V(e, true, X_MOV_LOAD, HOST_R13, block_va);
		emit_lea(e, HOST_R13, HOST_R13, -1, 0, (int32_t)off);
		emit_indirect(t, NULL, 0);
		return;
	}
	{
		struct jit_slot *s = (struct jit_slot *)(j->data + j->data_used);

		j->data_used += align_up(sizeof(*s), 8);
		s->at = emit_forward(e, X_JMP);
		emit_land(e, s->at);
		s->gpa = (t->b->gpa & SOFT_PAGE_MASK) + (gpa_t)off;
		s->in_cc = t->where == IN_CC;
		emit_mov_imm(e, HOST_R13, (uintptr_t)s);
		EMIT_V(e, true, X_MOV_STORE, HOST_R13, jit_slot);
		EMIT_V(e, true, X_MOV_LOAD, HOST_R13, block_va);
		emit_lea(e, HOST_R13, HOST_R13, -1, 0, (int32_t)off);
		emit_leave_block(t);
	}
}

static void emit_jcc(struct trans *t, const struct item *it)
{
	struct emit *e = &t->e;
	int64_t next = it->off + it->in->len;
	enum where where;
	uint8_t *taken;

	want_in_eflags(t, JIT_FLAGS);
	where = t->where;
	taken = emit_forward(e, X_JCC | (it->z.i.opcode & 0xf));
	emit_direct(t, next);
	emit_land(e, taken);
	t->where = where;
	emit_direct(t, next + it->in->imm);
}

/* The target to R13; where it comes from memory its handler may be needed. */
static void emit_target(struct trans *t, const struct item *it)
{
	struct emit *e = &t->e;

	if (it->in->flags & INSN_MEM) {
		emit_address(t, it, HOST_R13);
		if (it->in->ea == INSN_EA_GENERIC)
			emit_v(e, true, 0x03, HOST_R13,
			       offsetof(struct soft_vcpu, seg[it->in->seg].base), 0);
		add_aside(t, it, emit_tlb(t, 8, false));
		emit_rm(e, true, X_MOV_LOAD, HOST_R13, HOST_R13, 0);
	} else {
		unsigned src = value_of(e, (unsigned)gpr_of(it->z.op[0].reg.value), HOST_R13);

		if (src != HOST_R13)
			emit_rr(e, true, X_MOV_LOAD, HOST_R13, src);
	}
}

static void emit_call(struct trans *t, const struct item *it)
{
	struct emit *e = &t->e;
	bool direct = it->z.op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	int64_t next = it->off + it->in->len;

	want_in_cc(t, JIT_FLAGS);
	if (!direct) {
		emit_target(t, it);
		EMIT_V(e, true, X_MOV_STORE, HOST_R13, jit_target);
	}
	emit_lea(e, HOST_R13, HOST_R12, -1, 0, -8);
	add_aside(t, it, emit_tlb(t, 8, true));
	EMIT_V(e, true, X_MOV_LOAD, HOST_R15, block_va);
	emit_lea(e, HOST_R15, HOST_R15, -1, 0, (int32_t)next);
	if (!direct) {
		/* A target that is not canonical must not change the stack: its handler says so. */
		EMIT_V(e, true, X_MOV_LOAD, HOST_R14, jit_target);
		emit_rr(e, true, 0xc1, 4, HOST_R14);
		emit_8(e, 16);
		emit_rr(e, true, 0xc1, 7, HOST_R14);
		emit_8(e, 16);
		EMIT_V(e, true, 0x3b, HOST_R14, jit_target);
		add_aside(t, it, emit_forward(e, X_JNE));
	}
	emit_rm(e, true, X_MOV_STORE, HOST_R15, HOST_R13, 0);
	emit_lea(e, HOST_R12, HOST_R12, -1, 0, -8);
	if (direct) {
		emit_direct(t, next + it->in->imm);
		return;
	}
	EMIT_V(e, true, X_MOV_LOAD, HOST_R13, jit_target);
	emit_indirect(t, NULL, 0);
}

static void emit_ret(struct trans *t, const struct item *it)
{
	int32_t pop = 8 + (uint16_t)it->in->imm;
	struct emit *e = &t->e;

	want_in_cc(t, JIT_FLAGS);
	emit_rr(e, true, X_MOV_LOAD, HOST_R13, HOST_R12);
	add_aside(t, it, emit_tlb(t, 8, false));
	emit_rm(e, true, X_MOV_LOAD, HOST_R13, HOST_R13, 0);
	emit_lea(e, HOST_R12, HOST_R12, -1, 0, pop);
	emit_indirect(t, it, -pop);
}

/* --- one instruction ---------------------------------------------------------------------- */

/* The handler does it; flags are in v->cc before and after. */
static void emit_handler(struct trans *t, const struct item *it)
{
	want_in_cc(t, JIT_FLAGS);
	store_simd(t);
	t->loaded = 0;
	emit_mov_imm(&t->e, HOST_R13, (uintptr_t)it->copy);
	emit_jump(&t->e, X_CALL, t->e.j->call_handler);
	want_mxcsr(t);
}

/* true: the block ends here */
static bool emit_item(struct trans *t, const struct item *it)
{
	const struct soft_zydis *z = &it->z;

	if (!it->inlined) {
		emit_handler(t, it);
		return false;
	}
	if (it->simd) {
		emit_generic(t, it);
		return false;
	}
	if (z->i.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		store_simd(t);
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_NOP:
	case ZYDIS_MNEMONIC_ENDBR32:
	case ZYDIS_MNEMONIC_ENDBR64:
		return false;
	case ZYDIS_MNEMONIC_LEA:
		emit_lea_insn(t, it);
		return false;
	case ZYDIS_MNEMONIC_PUSH:
		emit_push(t, it);
		return false;
	case ZYDIS_MNEMONIC_POP:
		emit_pop(t, it);
		return false;
	case ZYDIS_MNEMONIC_LEAVE:
		emit_leave(t, it);
		return false;
	case ZYDIS_MNEMONIC_JMP:
		if (z->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
			emit_direct(t, it->off + it->in->len + it->in->imm);
			return true;
		}
		want_in_cc(t, JIT_FLAGS);
		emit_target(t, it);
		emit_indirect(t, it, 0);
		return true;
	case ZYDIS_MNEMONIC_CALL:
		emit_call(t, it);
		return true;
	case ZYDIS_MNEMONIC_RET:
		emit_ret(t, it);
		return true;
	case ZYDIS_MNEMONIC_CLC:
	case ZYDIS_MNEMONIC_STC:
	case ZYDIS_MNEMONIC_CMC:
		want_in_eflags(t, it->live);
		emit_8(&t->e, z->i.opcode);
		return false;
	case ZYDIS_MNEMONIC_CBW:
	case ZYDIS_MNEMONIC_CWDE:
	case ZYDIS_MNEMONIC_CDQE:
	case ZYDIS_MNEMONIC_CWD:
	case ZYDIS_MNEMONIC_CDQ:
	case ZYDIS_MNEMONIC_CQO:
		emit_plain(&t->e, z);
		return false;
	default:
		break;
	}
	if (z->i.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE) {
		emit_jcc(t, it);
		return true;
	}
	if (z->i.attributes & ZYDIS_ATTRIB_HAS_MODRM) {
		emit_generic(t, it);
		return false;
	}
	if (z->i.opcode_map == ZYDIS_OPCODE_MAP_0F || (z->i.opcode & 0xf0) == 0xb0) {
		emit_opcode_reg(t, z);
		return false;
	}
	/* AL, AX, EAX or RAX with an immediate: there is no ModRM and nothing to rename. */
	if (it->reads || it->changes)
		want_in_eflags(t, (it->live & ~it->writes) | it->reads);
	emit_plain(&t->e, z);
	for (unsigned k = 0; k < z->i.raw.imm[0].size / 8u; k++)
		emit_8(&t->e, z->i.raw.imm[0].value.u >> (k * 8));
	if (it->changes)
		t->where = IN_EFLAGS;
	return false;
}

static void emit_asides(struct trans *t)
{
	struct emit *e = &t->e;

	for (unsigned i = 0; i < t->n_aside; i++) {
		const struct aside *a = &t->aside[i];

		emit_land(e, a->from);
		if (a->undo_rsp)
			emit_lea(e, HOST_R12, HOST_R12, -1, 0, a->undo_rsp);
		emit_mov_imm(e, HOST_R13, (uintptr_t)a->copy);
		move_simd_set(t, 0x11, a->store);
		emit_jump(e, X_CALL, e->j->call_handler);
		if (!a->back) {
			/* Never reached: the handler leaves the block. */
			emit_8(e, 0x0f);
			emit_8(e, 0x0b);
			continue;
		}
		want_mxcsr(t);
		move_simd_set(t, 0x10, a->load);
		if (a->reload)
			emit_jump(e, X_CALL, e->j->load_flags);
		emit_jump(e, X_JMP, a->back);
	}
}

/* --- the block ---------------------------------------------------------------------------- */

/* Behind each copy: go on, unless the block was dropped meanwhile. */
static void h_go_on(struct soft_vcpu *v, const struct insn *in)
{
	const struct soft_block *b = in->aux;

	if (UNLIKELY(b->dead)) {
		v->rip = v->block_va + in->end;
		return;
	}
	v->jit_next = 1;
	v->simd_denied = jit_simd_denied(v);
}

static bool prepare(struct trans *t)
{
	struct soft_block *b = t->b;
	struct soft_jit *j = t->e.j;
	const struct mem_region *r = mem_find(j->v->vm->mem, b->gpa);
	const uint8_t *bytes;
	unsigned off = (unsigned)(b->gpa & 0xfff), inlined = 0;
	ZydisDecoder d;
	uint32_t live = JIT_FLAGS;
	bool simd = true;

	if (!r || (r->kind != MEM_RAM && r->kind != MEM_ROM) ||
	    !ZYAN_SUCCESS(ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return false;
	bytes = r->host + (b->gpa - r->gpa);
	for (unsigned i = 0; i < b->n; i++) {
		struct item *it = &t->item[i];
		struct insn *copy = (struct insn *)(j->data + j->data_used);
		bool decoded;

		it->in = &b->insn[i];
		it->off = (uint16_t)(off + it->in->end - it->in->len);
		it->z.mode = SOFT_MODE_64;
		it->reads = it->writes = 0;
		it->changes = false;
		decoded = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, bytes + it->in->end - it->in->len,
							      it->in->len, &it->z.i, it->z.op)) &&
			  it->z.i.length == it->in->len;
		it->simd = decoded && simd && can_inline_simd(it);
		it->inlined = it->simd || (decoded && can_inline(it));
		if (decoded && sets_mxcsr(it->z.i.mnemonic))
			simd = false;
		t->simd |= it->simd;
		t->fp |= it->simd && uses_mxcsr(&it->z);
		t->wide |= it->simd && it->z.i.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
		inlined += it->inlined;
		flags_of(it);
		copy[0] = *it->in;
		copy[0].end = (uint16_t)(off + it->in->end);
		copy[1] = (struct insn) { .fn = h_go_on, .aux = b, .end = copy[0].end };
		it->copy = copy;
		j->data_used += 2 * sizeof(*copy);
	}
	for (unsigned i = b->n; i-- > 0;) {
		t->item[i].live = live;
		live = (live & ~t->item[i].writes) | t->item[i].reads;
	}
	return inlined != 0;
}

/*
 * Entries and poll: with flags in v->cc, five bytes further with flags in EFLAGS. The poll must
 * not touch flags that are wanted: JRCXZ does not.
 */
static uint8_t *emit_entry(struct trans *t, uint32_t live)
{
	struct emit *e = &t->e;
	uint8_t *short_jump, *away;

	t->b->code = emit_here(e);
	if (live) {
		emit_jump(e, X_CALL, e->j->load_flags);
	} else {
		static const uint8_t nop5[] = { 0x0f, 0x1f, 0x44, 0, 0 };

		memcpy(e->p, nop5, sizeof(nop5));
		e->p += sizeof(nop5);
	}
	t->b->code_simd = t->simd;
	t->b->code_flags = emit_here(e);
	t->where = IN_EFLAGS;
	if (t->simd) {
		/* Both in one look: the flags are saved where they are wanted. */
		if (live)
			save_flags(t);
		EMIT_V(e, false, 0x0fb6, HOST_R15, simd_denied);
		EMIT_V(e, false, 0x0b, HOST_R15, attention);
		return emit_forward(e, X_JNE);
	}
	if (!live) {
		emit_v(e, false, 0x83, 7, offsetof(struct soft_vcpu, attention), 1); /* cmp */
		emit_8(e, 0);
		return emit_forward(e, X_JNE);
	}
	emit_rr(e, true, X_MOV_LOAD, HOST_R13, HOST_RCX);
	EMIT_V(e, false, X_MOV_LOAD, HOST_RCX, attention);
	emit_8(e, 0xe3); /* jrcxz */
	short_jump = e->p;
	emit_8(e, 0);
	emit_rr(e, true, X_MOV_LOAD, HOST_RCX, HOST_R13);
	away = emit_forward(e, X_JMP);
	*short_jump = (uint8_t)(e->p - (short_jump + 1));
	emit_rr(e, true, X_MOV_LOAD, HOST_RCX, HOST_R13);
	return away;
}

/*
 * Out at the block's start, with flags in EFLAGS and in v->cc; and in from the loop at @body, which
 * has looked at v->attention itself and must get on even if it is set.
 */
static void emit_outs(struct trans *t, uint8_t *poll, uint32_t live, const uint8_t *body)
{
	struct emit *e = &t->e;
	/* A block with SIMD has saved its flags by then. */
	bool in_eflags = live && !t->simd;

	t->b->code_run = emit_here(e);
	if (in_eflags)
		emit_jump(e, X_CALL, e->j->load_flags);
	emit_jump(e, X_JMP, body);
	for (unsigned i = 0; i < 2; i++) {
		bool in_cc = i == 1;

		if (in_cc != in_eflags)
			emit_land(e, poll);
		if (in_cc)
			t->b->code_out = emit_here(e);
		else
			t->b->code_out_flags = emit_here(e);
		EMIT_V(e, true, X_MOV_LOAD, HOST_R13, block_va);
		emit_lea(e, HOST_R13, HOST_R13, -1, 0, (int32_t)(t->b->gpa & 0xfff));
		t->where = in_cc ? IN_CC : IN_EFLAGS;
		emit_leave_block(t);
	}
}

size_t jit_work_size(void)
{
	return sizeof(struct trans);
}

bool jit_translate(struct soft_jit *j, struct soft_block *b)
{
	struct trans *t = j->work;
	size_t data = j->data_used;
	bool ended = false;
	uint32_t live;
	const uint8_t *body;
	uint8_t *poll;

	t->e = (struct emit) { .j = j, .p = j->code.rw + align_up(j->code.used, 16) };
	t->b = b;
	t->n_aside = 0;
	t->simd = t->wide = t->fp = false;
	t->loaded = t->changed = 0;
	if (!prepare(t)) {
		j->data_used = data;
		return false;
	}
	live = (t->item[0].live & ~t->item[0].writes) | t->item[0].reads;
	poll = emit_entry(t, live);
	body = emit_here(&t->e);
	want_mxcsr(t);
	for (unsigned i = 0; i < b->n && !ended; i++)
		ended = emit_item(t, &t->item[i]);
	if (!ended) {
		store_simd(t);
		emit_direct(t, (int64_t)(b->gpa & 0xfff) + b->insn[b->n].end);
	}
	emit_asides(t);
	emit_outs(t, poll, live, body);
	j->code.used = (size_t)(t->e.p - j->code.rw);
	BUG_ON(j->code.used > j->code.size);
	return true;
}
