/* SPDX-License-Identifier: MIT */
/*
 * Native code of one instruction, and handlers.
 */
#include "cpu/soft/fpu.h"
#include "cpu/soft/jit/trans.h"

/* --- instructions ------------------------------------------------------------------------- */

static void emit_imms(struct emit *e, const struct soft_zydis *z)
{
	for (unsigned i = 0; i < ARRAY_SIZE(z->i.raw.imm); i++)
		for (unsigned k = 0; k < z->i.raw.imm[i].size / 8u; k++)
			emit_8(e, z->i.raw.imm[i].value.u >> (k * 8));
}

/* Three-byte VEX: SDM vol. 2, 2.3.5; its register bits are inverted. */
static void emit_vex(struct emit *e, const struct soft_zydis *z, unsigned reg, unsigned vvvv,
		     unsigned index, unsigned rm)
{
	emit_8(e, 0xc4);
	emit_8(e, (reg & 8 ? 0 : 0x80u) | (index & 8 ? 0 : 0x40u) | (rm & 8 ? 0 : 0x20u) |
			  z->i.raw.vex.m_mmmm);
	emit_8(e, (unsigned)z->i.raw.vex.W << 7 | (vvvv & 0xf) << 3 |
			  (unsigned)z->i.raw.vex.L << 2 | z->i.raw.vex.pp);
	emit_8(e, z->i.opcode);
}

/* Prefixes and @opcode with its map. */
static void emit_legacy(struct emit *e, const struct soft_zydis *z, unsigned opcode, unsigned reg,
			unsigned index, unsigned rm)
{
	bool byte_reg = false, high = false;

	for (unsigned i = 0; i < z->i.operand_count_visible; i++)
		if (z->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER && z->op[i].size == 8) {
			byte_reg = true;
			high |= soft_operand_high(z->op[i].reg.value);
		}
	for (unsigned i = 0; i < z->i.raw.prefix_count; i++) {
		uint8_t prefix = z->i.raw.prefixes[i].value;

		if (prefix == 0x66 || prefix == 0xf2 || prefix == 0xf3 || prefix == 0xf0)
			emit_8(e, prefix);
	}
	emit_rex(e, z->i.raw.rex.W, reg, index, rm, byte_reg && !high);
	if (z->i.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		emit_8(e, 0x0f);
	if (z->i.opcode_map == ZYDIS_OPCODE_MAP_0F38)
		emit_8(e, 0x38);
	if (z->i.opcode_map == ZYDIS_OPCODE_MAP_0F3A)
		emit_8(e, 0x3a);
	emit_8(e, opcode);
}

/* The instruction itself: @reg, in VEX @vvvv as it is encoded, and in ModRM.rm @rm, or memory @m.
 */
static void emit_self(struct emit *e, const struct soft_zydis *z, unsigned reg, unsigned vvvv,
		      unsigned rm, const struct mref *m)
{
	unsigned index = m && m->index >= 0 ? (unsigned)m->index : 0;

	if (m)
		rm = (unsigned)m->base;
	if (z->i.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
		emit_vex(e, z, reg, vvvv, index, rm);
	else
		emit_legacy(e, z, z->i.opcode, reg, index, rm);
	if (m)
		emit_mem(e, reg, m->base, m->index, m->disp);
	else
		emit_8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
	emit_imms(e, z);
}

/* MOV r, imm (B8+r) and BSWAP, whose register is in the opcode. */
static void emit_opcode_reg(struct trans *t, const struct soft_zydis *z)
{
	unsigned guest = (unsigned)soft_operand_gpr(z->op[0].reg.value);
	unsigned reg = jit_value_of(&t->e, guest, HOST_R15);

	emit_legacy(&t->e, z, (z->i.opcode & 0xf8) | (reg & 7), 0, 0, reg);
	emit_imms(&t->e, z);
	if (reg == HOST_R15)
		emit_v(&t->e, true, X_MOV_STORE, HOST_R15, jit_r_off(guest), 0);
}

/* With ModRM: registers renamed, memory through the TLB. */
static void emit_generic(struct trans *t, const struct item *it)
{
	const struct soft_zydis *z = &it->z;
	const ZydisDecodedOperand *m = soft_operand_memory(z), *o_reg = NULL, *o_rm = NULL,
				  *o_v = NULL;
	struct emit *e = &t->e;
	unsigned reg = z->i.raw.modrm.reg, rm = z->i.raw.modrm.rm, vvvv = z->i.raw.vex.vvvv;
	unsigned g_reg = 0, g_rm = 0, g_v = 0;
	uint32_t through = jit_live_before(it);
	struct aside *a = NULL;
	struct mref ref;

	/* Flags that it reads, or leaves as they are while it changes others. */
	if (m)
		ref = jit_reach_operand(t, it, through, it->reads || it->changes ? through : 0, &a);
	else if (it->reads || it->changes)
		jit_want_in_eflags(t, through);
	for (unsigned i = 0; i < z->i.operand_count_visible; i++) {
		if (z->op[i].type != ZYDIS_OPERAND_TYPE_REGISTER || it->x87)
			continue;
		if (z->op[i].encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
			o_reg = &z->op[i];
		else if (z->op[i].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
			o_rm = &z->op[i];
		else if (z->op[i].encoding == ZYDIS_OPERAND_ENCODING_NDSNDD)
			o_v = soft_operand_simd(&z->op[i]) >= 0 ? NULL : &z->op[i];
	}
	if (o_reg && soft_operand_simd(o_reg) >= 0) {
		reg = (unsigned)soft_operand_simd(o_reg);
		o_reg = NULL;
	} else if (o_reg && !soft_operand_high(o_reg->reg.value)) {
		g_reg = (unsigned)soft_operand_gpr(o_reg->reg.value);
		reg = jit_value_of(e, g_reg, HOST_R14);
	}
	if (o_rm && soft_operand_simd(o_rm) >= 0) {
		rm = (unsigned)soft_operand_simd(o_rm);
		o_rm = NULL;
	} else if (o_rm && !soft_operand_high(o_rm->reg.value)) {
		g_rm = (unsigned)soft_operand_gpr(o_rm->reg.value);
		rm = jit_value_of(e, g_rm, HOST_R15);
	}
	if (o_v) {
		/* R13 is free: jit_select() takes none that has memory, too, and needs it. */
		g_v = (unsigned)soft_operand_gpr(o_v->reg.value);
		vvvv = ~jit_value_of(e, g_v, HOST_R13);
	}
	emit_self(e, z, reg, vvvv, rm, m ? &ref : NULL);
	if (o_v && jit_host_of(g_v) < 0 && (o_v->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		emit_v(e, true, X_MOV_STORE, HOST_R13, jit_r_off(g_v), 0);
	if (o_reg && reg == HOST_R14 && (o_reg->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		emit_v(e, true, X_MOV_STORE, HOST_R14, jit_r_off(g_reg), 0);
	if (o_rm && rm == HOST_R15 && (o_rm->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		emit_v(e, true, X_MOV_STORE, HOST_R15, jit_r_off(g_rm), 0);
	if (it->changes)
		t->where = IN_EFLAGS;
	jit_rejoin(t, a);
}

static void emit_lea_insn(struct trans *t, const struct item *it)
{
	const struct soft_zydis *z = &it->z;
	struct emit *e = &t->e;
	unsigned guest = (unsigned)soft_operand_gpr(z->op[0].reg.value);
	int host = jit_host_of(guest);
	unsigned dst = host >= 0 && it->in->size == 8 ? (unsigned)host : HOST_R13;

	jit_emit_address(t, it, dst);
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
	struct aside *first = NULL, *second;
	struct emit *e = &t->e;
	struct mref ref;

	if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		ref = jit_reach_operand(t, it, it->live, 0, &first);
		emit_mref(e, true, X_MOV_LOAD, HOST_R13, &ref);
		EMIT_V(e, true, X_MOV_STORE, HOST_R13, jit_target);
	}
	ref = jit_reach_stack(t, it, true, &second);
	if (o->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		unsigned src = jit_value_of(e, (unsigned)soft_operand_gpr(o->reg.value), HOST_R15);

		emit_mref(e, true, X_MOV_STORE, src, &ref);
	} else if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		EMIT_V(e, true, X_MOV_LOAD, HOST_R15, jit_target);
		emit_mref(e, true, X_MOV_STORE, HOST_R15, &ref);
	} else {
		emit_mref(e, true, 0xc7, 0, &ref);
		emit_32(e, (uint32_t)it->in->imm);
	}
	emit_lea(e, HOST_R12, HOST_R12, -1, 0, -8);
	jit_rejoin(t, second);
	jit_rejoin(t, first);
}

static void emit_pop(struct trans *t, const struct item *it)
{
	unsigned guest = (unsigned)soft_operand_gpr(it->z.op[0].reg.value);
	int host = jit_host_of(guest);
	struct emit *e = &t->e;
	struct aside *a;
	struct mref ref = jit_reach_stack(t, it, false, &a);

	emit_mref(e, true, X_MOV_LOAD, host >= 0 ? (unsigned)host : HOST_R15, &ref);
	if (guest != CPU_RSP)
		emit_lea(e, HOST_R12, HOST_R12, -1, 0, 8);
	if (host < 0)
		emit_v(e, true, X_MOV_STORE, HOST_R15, jit_r_off(guest), 0);
	jit_rejoin(t, a);
}

/* RSP = RBP; POP RBP: nothing is changed before the load. */
static void emit_leave(struct trans *t, const struct item *it)
{
	struct emit *e = &t->e;
	struct aside *a;
	struct mref ref = jit_reach_stack(t, it, false, &a);

	emit_lea(e, HOST_R12, HOST_RBP, -1, 0, 8);
	emit_mref(e, true, X_MOV_LOAD, HOST_RBP, &ref);
	jit_rejoin(t, a);
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
	if (jit_is_nop(z->i.mnemonic))
		return false;
	if (it->system) {
		jit_emit_system(t, it);
		return false;
	}
	switch (z->i.mnemonic) {
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
		emit_legacy(&t->e, z, z->i.opcode, 0, 0, 0);
		return false;
	default:
		break;
	}
	if (z->i.attributes & ZYDIS_ATTRIB_HAS_MODRM) {
		emit_generic(t, it);
		return false;
	}
	if ((z->i.opcode_map == ZYDIS_OPCODE_MAP_0F || (z->i.opcode & 0xf0) == 0xb0) &&
	    !soft_operand_high(z->op[0].reg.value)) {
		emit_opcode_reg(t, z);
		return false;
	}
	/* AL, AX, EAX or RAX with an immediate, or MOV to AH: nothing to rename. */
	if (it->reads || it->changes)
		jit_want_in_eflags(t, jit_live_before(it));
	emit_legacy(&t->e, z, z->i.opcode, 0, 0, 0);
	emit_imms(&t->e, z);
	if (it->changes)
		t->where = IN_EFLAGS;
	return false;
}

/* The handler did the whole instruction: on to what follows it. */
static void emit_back(struct trans *t, const struct aside *a)
{
	struct emit *e = &t->e;
	bool reload = a->reload;
	const uint8_t *back = a->back;

	if (a->plain) {
		/* A handler may have taken rights to pages away that groups count on. */
		back = t->plain_at[a->item + 1];
		reload = t->item[a->item].live && t->plain_where[a->item + 1] == IN_EFLAGS;
	}
	if (reload)
		emit_jump(e, X_CALL, e->j->load_flags);
	emit_jump(e, X_JMP, back);
}

void jit_emit_asides(struct trans *t)
{
	struct emit *e = &t->e;

	for (unsigned i = 0; i < t->n_aside; i++) {
		const struct aside *a = &t->aside[i];

		emit_land(e, a->from);
		if (a->to_plain) {
			const struct item *it = &t->item[a->item];

			if (jit_live_before(it) && t->plain_where[a->item] == IN_EFLAGS)
				emit_jump(e, X_CALL, e->j->load_flags);
			emit_jump(e, X_JMP, t->plain_at[a->item]);
			continue;
		}
		if (a->from2)
			emit_land(e, a->from2);
		if (a->undo_rsp)
			emit_lea(e, HOST_R12, HOST_R12, -1, 0, a->undo_rsp);
		emit_mov_imm(e, HOST_R13, (uintptr_t)t->item[a->item].copy);
		emit_jump(e, X_CALL, e->j->call_handler);
		if (!a->rejoin) {
			/* Never reached: the handler leaves the block. */
			emit_8(e, 0x0f);
			emit_8(e, 0x0b);
			continue;
		}
		jit_want_fp(t);
		emit_back(t, a);
	}
}
