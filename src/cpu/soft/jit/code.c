/* SPDX-License-Identifier: MIT */
/*
 * Native code of one instruction: address, TLB, the instruction itself; handlers.
 */
#include "cpu/soft/fpu.h"
#include "cpu/soft/jit/trans.h"

/* --- memory ------------------------------------------------------------------------------- */

/* A guest register's value in some host register: its own, or @scratch. */
unsigned jit_value_of(struct emit *e, unsigned guest, unsigned scratch)
{
	int host = jit_host_of(guest);

	if (host >= 0)
		return (unsigned)host;
	emit_v(e, true, X_MOV_LOAD, scratch, jit_r_off(guest), 0);
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
		base = (int)jit_value_of(e, in->base / 8, HOST_R15);
	if (in->index != INSN_REG_NONE)
		index = (int)jit_value_of(e, in->index / 8, HOST_R14);
	emit_lea(e, dst, base, index, in->scale, in->disp);
}

/* Linear address of the operand with its segment's base to R13; EFLAGS are lost. */
void jit_emit_operand(struct trans *t, const struct item *it)
{
	emit_address(t, it, HOST_R13);
	if (it->in->ea == INSN_EA_GENERIC)
		emit_v(&t->e, true, 0x03, HOST_R13,
		       offsetof(struct soft_vcpu, seg[it->in->seg].base), 0);
}

/*
 * R13: linear address to host address, or away to the handler; R14, R15 and EFLAGS are lost.
 * Returns the jump away.
 */
uint8_t *jit_emit_tlb(struct trans *t, unsigned size, bool write)
{
	struct emit *e = &t->e;
	uint8_t *away;

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
	away = emit_forward(e, X_JNE);
	emit_rm(e, true, 0x03, HOST_R13, HOST_R14, offsetof(struct soft_tlb_entry, addend));
	return away;
}

struct aside *jit_add_aside(struct trans *t, const struct item *it, uint8_t *from)
{
	struct aside *a = &t->aside[t->n_aside++];

	*a = (struct aside) { .from = from, .copy = it->copy, };
	return a;
}

/* The handler did the whole instruction: on from here, with all as it is at this place. */
static void rejoin(struct trans *t, const struct item *it, struct aside *a)
{
	a->back = emit_here(&t->e);
	a->reload = it->live && t->where == IN_EFLAGS;
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

/* Prefixes and @opcode with its map. */
static void emit_legacy(struct emit *e, const struct soft_zydis *z, unsigned opcode, unsigned reg,
			unsigned rm)
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
	emit_8(e, opcode);
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
		emit_legacy(e, z, z->i.opcode, reg, rm);
	emit_8(e, (mem ? 0x40 : 0xc0) | (reg & 7) << 3 | (rm & 7));
	if (mem)
		emit_8(e, 0); /* displacement */
	emit_imms(e, z);
}

/* MOV r, imm (B8+r) and BSWAP, whose register is in the opcode. */
static void emit_opcode_reg(struct trans *t, const struct soft_zydis *z)
{
	unsigned guest = (unsigned)soft_operand_gpr(z->op[0].reg.value);
	unsigned reg = jit_value_of(&t->e, guest, HOST_R15);

	emit_legacy(&t->e, z, (z->i.opcode & 0xf8) | (reg & 7), 0, reg);
	emit_imms(&t->e, z);
	if (reg == HOST_R15)
		emit_v(&t->e, true, X_MOV_STORE, HOST_R15, jit_r_off(guest), 0);
}

/* #GP unless R13 is aligned: the handler's business. EFLAGS are lost. Returns the jump away. */
static uint8_t *emit_alignment(struct trans *t, unsigned align)
{
	emit_rr(&t->e, false, 0xf7, 0, HOST_R13); /* test r13d, imm */
	emit_32(&t->e, align - 1);
	return emit_forward(&t->e, X_JNE);
}

/* With ModRM: registers renamed, memory through the TLB. */
static void emit_generic(struct trans *t, const struct item *it)
{
	const struct soft_zydis *z = &it->z;
	const ZydisDecodedOperand *m = soft_operand_memory(z), *o_reg = NULL, *o_rm = NULL;
	struct emit *e = &t->e;
	unsigned reg = z->i.raw.modrm.reg, rm = z->i.raw.modrm.rm, g_reg = 0, g_rm = 0;
	struct aside *a = NULL;

	if (m) {
		bool write = m->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
		uint8_t *misaligned = NULL;
		uint32_t through = (it->live & ~it->writes) | it->reads;

		jit_want_in_cc(t, through);
		jit_emit_operand(t, it);
		if (it->simd && fpu_alignment(z, m->size / 8) > 1)
			misaligned = emit_alignment(t, fpu_alignment(z, m->size / 8));
		a = jit_add_aside(t, it, jit_emit_tlb(t, m->size / 8, write));
		a->from2 = misaligned;
		/* Flags that it reads, or leaves as they are while it changes others. */
		if (it->reads || (it->changes && through)) {
			/* R13 is in use. */
			emit_8(e, 0x41); /* push r13 */
			emit_8(e, 0x55);
			jit_want_in_eflags(t, through);
			emit_8(e, 0x41); /* pop r13 */
			emit_8(e, 0x5d);
		}
	} else if (it->reads || it->changes) {
		jit_want_in_eflags(t, (it->live & ~it->writes) | it->reads);
	}
	for (unsigned i = 0; i < z->i.operand_count_visible; i++) {
		if (z->op[i].type != ZYDIS_OPERAND_TYPE_REGISTER || it->x87)
			continue;
		if (z->op[i].encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
			o_reg = &z->op[i];
		else if (z->op[i].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
			o_rm = &z->op[i];
	}
	if (o_reg && soft_operand_simd(o_reg) >= 0) {
		reg = (unsigned)soft_operand_simd(o_reg);
		o_reg = NULL;
	} else if (o_reg) {
		g_reg = (unsigned)soft_operand_gpr(o_reg->reg.value);
		reg = jit_value_of(e, g_reg, HOST_R14);
	}
	if (o_rm && soft_operand_simd(o_rm) >= 0) {
		rm = (unsigned)soft_operand_simd(o_rm);
		o_rm = NULL;
	} else if (o_rm) {
		g_rm = (unsigned)soft_operand_gpr(o_rm->reg.value);
		rm = jit_value_of(e, g_rm, HOST_R15);
	}
	emit_self(e, z, reg, rm, m != NULL);
	if (o_reg && reg == HOST_R14 && (o_reg->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		emit_v(e, true, X_MOV_STORE, HOST_R14, jit_r_off(g_reg), 0);
	if (o_rm && rm == HOST_R15 && (o_rm->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		emit_v(e, true, X_MOV_STORE, HOST_R15, jit_r_off(g_rm), 0);
	if (it->changes)
		t->where = IN_EFLAGS;
	if (a)
		rejoin(t, it, a);
}

static void emit_lea_insn(struct trans *t, const struct item *it)
{
	const struct soft_zydis *z = &it->z;
	struct emit *e = &t->e;
	unsigned guest = (unsigned)soft_operand_gpr(z->op[0].reg.value);
	int host = jit_host_of(guest);
	unsigned dst = host >= 0 && it->in->size == 8 ? (unsigned)host : HOST_R13;

	emit_address(t, it, dst);
	if (it->in->size == 8) {
		if (host < 0)
			emit_v(e, true, X_MOV_STORE, dst, jit_r_off(guest), 0);
	} else if (it->in->size == 4) {
		emit_rr(e, false, X_MOV_LOAD, host >= 0 ? (unsigned)host : HOST_R13, HOST_R13);
		if (host < 0)
			emit_v(e, true, X_MOV_STORE, HOST_R13, jit_r_off(guest), 0);
	} else {
		emit_8(e, 0x66);
		if (host >= 0)
			emit_rr(e, false, X_MOV_LOAD, (unsigned)host, HOST_R13);
		else
			emit_v(e, false, X_MOV_STORE, HOST_R13, jit_r_off(guest), 0);
	}
}

/* What is pushed is fetched behind the TLB, which needs R15; from memory by v->jit_target. */
static void emit_push(struct trans *t, const struct item *it)
{
	const ZydisDecodedOperand *o = &it->z.op[0];
	struct emit *e = &t->e;
	struct aside *a, *first = NULL;

	jit_want_in_cc(t, it->live);
	if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		jit_emit_operand(t, it);
		first = jit_add_aside(t, it, jit_emit_tlb(t, 8, false));
		emit_rm(e, true, X_MOV_LOAD, HOST_R13, HOST_R13, 0);
		EMIT_V(e, true, X_MOV_STORE, HOST_R13, jit_target);
	}
	emit_lea(e, HOST_R13, HOST_R12, -1, 0, -8);
	a = jit_add_aside(t, it, jit_emit_tlb(t, 8, true));
	if (o->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		unsigned src = jit_value_of(e, (unsigned)soft_operand_gpr(o->reg.value), HOST_R15);

		emit_rm(e, true, X_MOV_STORE, src, HOST_R13, 0);
	} else if (first) {
		EMIT_V(e, true, X_MOV_LOAD, HOST_R15, jit_target);
		emit_rm(e, true, X_MOV_STORE, HOST_R15, HOST_R13, 0);
	} else {
		emit_rm(e, true, 0xc7, 0, HOST_R13, 0);
		emit_32(e, (uint32_t)it->in->imm);
	}
	emit_lea(e, HOST_R12, HOST_R12, -1, 0, -8);
	rejoin(t, it, a);
	if (first)
		rejoin(t, it, first);
}

static void emit_pop(struct trans *t, const struct item *it)
{
	unsigned guest = (unsigned)soft_operand_gpr(it->z.op[0].reg.value);
	int host = jit_host_of(guest);
	struct emit *e = &t->e;
	struct aside *a;

	jit_want_in_cc(t, it->live);
	emit_rr(e, true, X_MOV_LOAD, HOST_R13, HOST_R12);
	a = jit_add_aside(t, it, jit_emit_tlb(t, 8, false));
	emit_rm(e, true, X_MOV_LOAD, host >= 0 ? (unsigned)host : HOST_R15, HOST_R13, 0);
	if (guest != CPU_RSP)
		emit_lea(e, HOST_R12, HOST_R12, -1, 0, 8);
	if (host < 0)
		emit_v(e, true, X_MOV_STORE, HOST_R15, jit_r_off(guest), 0);
	rejoin(t, it, a);
}

/* RSP = RBP; POP RBP: nothing is changed before the load. */
static void emit_leave(struct trans *t, const struct item *it)
{
	struct emit *e = &t->e;
	struct aside *a;

	jit_want_in_cc(t, it->live);
	emit_rr(e, true, X_MOV_LOAD, HOST_R13, HOST_RBP);
	a = jit_add_aside(t, it, jit_emit_tlb(t, 8, false));
	emit_lea(e, HOST_R12, HOST_RBP, -1, 0, 8);
	emit_rm(e, true, X_MOV_LOAD, HOST_RBP, HOST_R13, 0);
	rejoin(t, it, a);
}

/* --- one instruction ---------------------------------------------------------------------- */

/* The handler does it; flags are in v->cc before and after. */
static void emit_handler(struct trans *t, const struct item *it)
{
	jit_want_in_cc(t, JIT_FLAGS);
	emit_mov_imm(&t->e, HOST_R13, (uintptr_t)it->copy);
	emit_jump(&t->e, X_CALL, t->e.j->call_handler);
	jit_want_fp(t);
}

/* true: the block ends here */
bool jit_emit_item(struct trans *t, const struct item *it)
{
	const struct soft_zydis *z = &it->z;

	if (!it->inlined) {
		emit_handler(t, it);
		return false;
	}
	if (it->simd || it->x87) {
		if (z->i.mnemonic != ZYDIS_MNEMONIC_FWAIT) /* nothing can pend */
			emit_generic(t, it);
		return false;
	}
	if (z->i.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE) {
		jit_emit_flow(t, it);
		return true;
	}
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
	case ZYDIS_MNEMONIC_CLC:
	case ZYDIS_MNEMONIC_STC:
	case ZYDIS_MNEMONIC_CMC:
		jit_want_in_eflags(t, it->live);
		emit_8(&t->e, z->i.opcode);
		return false;
	case ZYDIS_MNEMONIC_CBW:
	case ZYDIS_MNEMONIC_CWDE:
	case ZYDIS_MNEMONIC_CDQE:
	case ZYDIS_MNEMONIC_CWD:
	case ZYDIS_MNEMONIC_CDQ:
	case ZYDIS_MNEMONIC_CQO:
		emit_legacy(&t->e, z, z->i.opcode, 0, 0);
		return false;
	default:
		break;
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
		jit_want_in_eflags(t, (it->live & ~it->writes) | it->reads);
	emit_legacy(&t->e, z, z->i.opcode, 0, 0);
	emit_imms(&t->e, z);
	if (it->changes)
		t->where = IN_EFLAGS;
	return false;
}

void jit_emit_asides(struct trans *t)
{
	struct emit *e = &t->e;

	for (unsigned i = 0; i < t->n_aside; i++) {
		const struct aside *a = &t->aside[i];

		emit_land(e, a->from);
		if (a->from2)
			emit_land(e, a->from2);
		if (a->undo_rsp)
			emit_lea(e, HOST_R12, HOST_R12, -1, 0, a->undo_rsp);
		emit_mov_imm(e, HOST_R13, (uintptr_t)a->copy);
		emit_jump(e, X_CALL, e->j->call_handler);
		if (!a->back) {
			/* Never reached: the handler leaves the block. */
			emit_8(e, 0x0f);
			emit_8(e, 0x0b);
			continue;
		}
		jit_want_fp(t);
		if (a->reload)
			emit_jump(e, X_CALL, e->j->load_flags);
		emit_jump(e, X_JMP, a->back);
	}
}
