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

/* The operands that an instruction is emitted with. */
struct form {
	unsigned opcode;
	unsigned reg, rm, vvvv; /* vvvv as it is encoded */
	const struct mref *m;	/* memory instead of rm, or NULL */
	int home;		/* guest register whose place in v->r is used instead, or -1 */
	bool turned;		/* that is the one in ModRM.reg, and rm is in reg */
};

static void emit_self(struct emit *e, const struct soft_zydis *z, const struct form *f)
{
	unsigned index = f->m && f->m->index >= 0 ? (unsigned)f->m->index : 0;
	unsigned rm = f->m ? (unsigned)f->m->base : f->home >= 0 ? 0 : f->rm, imm = 0;

	if (z->i.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
		emit_vex(e, z, f->reg, f->vvvv, index, rm);
	else
		emit_legacy(e, z, f->opcode, f->reg, index, rm);
	for (unsigned i = 0; i < ARRAY_SIZE(z->i.raw.imm); i++)
		imm += z->i.raw.imm[i].size / 8u;
	if (f->m)
		emit_mem(e, f->reg, f->m->base, f->m->index, f->m->disp);
	else if (f->home >= 0)
		emit_field(e, f->reg, jit_r_off((unsigned)f->home), imm);
	else
		emit_8(e, 0xc0 | (f->reg & 7) << 3 | (rm & 7));
	emit_imms(e, z);
}

/* MOV r, imm (B8+r) and BSWAP, whose register is in the opcode. */
static void emit_opcode_reg(struct trans *t, const struct soft_zydis *z)
{
	unsigned guest = (unsigned)soft_operand_gpr(z->op[0].reg.value);
	int host = jit_host_of(guest);
	unsigned reg = host >= 0 ? (unsigned)host : HOST_R15;

	if (host < 0 && (z->i.mnemonic != ZYDIS_MNEMONIC_MOV || z->op[0].size < 32))
		(void)jit_value_of(&t->e, guest, HOST_R15);
	emit_legacy(&t->e, z, (z->i.opcode & 0xf8) | (reg & 7), 0, 0, reg);
	emit_imms(&t->e, z);
	if (host < 0)
		emit_v(&t->e, true, X_MOV_STORE, HOST_R15, jit_r_off(guest), 0);
}

/* A register operand of an instruction with ModRM. */
struct named {
	const ZydisDecodedOperand *o; /* NULL: not a general register, or AH to BH */
	unsigned guest;
	bool away; /* it lives in v->r */
	bool written;
	bool set; /* written wholly, and not read */
};

static struct named name_gpr(const struct item *it, const ZydisDecodedOperand *o)
{
	ZydisMnemonic m = it->z.i.mnemonic;
	struct named n = { 0 };

	if (!o || soft_operand_simd(o) >= 0 || soft_operand_high(o->reg.value))
		return n;
	n.o = o;
	n.guest = (unsigned)soft_operand_gpr(o->reg.value);
	n.away = jit_host_of(n.guest) < 0;
	n.written = o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	/* BSF and BSR leave their destination alone where the source is 0. */
	n.set = o->actions == ZYDIS_OPERAND_ACTION_WRITE && o->size >= 32 &&
		m != ZYDIS_MNEMONIC_BSF && m != ZYDIS_MNEMONIC_BSR;
	return n;
}

/* Whether ModRM.rm may be memory that holds the register, with the same effect. */
static bool works_in_place(const struct item *it, const struct named *rm)
{
	switch (it->z.i.mnemonic) {
	case ZYDIS_MNEMONIC_BT: /* these would reach beyond it */
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
	case ZYDIS_MNEMONIC_XCHG: /* these would lock, or are rare */
	case ZYDIS_MNEMONIC_XADD:
	case ZYDIS_MNEMONIC_CMPXCHG:
		return false;
	default:
		/* 32 bits must clear the rest, and parts are read slowly as a whole. */
		return !it->simd && (!rm->written || rm->o->size == 64);
	}
}

/*
 * ADD to CMP, MOV and TEST name two registers either way round: where only the one in ModRM.reg
 * lives in v->r it can be the memory operand.
 */
static bool turn_round(const struct soft_zydis *z, const struct named *reg, const struct named *rm,
		       struct form *f)
{
	bool two_ways =
		(z->i.opcode < 0x40 && (z->i.opcode & 7) < 4) || (z->i.opcode & 0xfc) == 0x88;

	if (z->i.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
	    z->i.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || (reg->written && reg->o->size != 64))
		return false;
	if (two_ways)
		f->opcode ^= 2;
	else if ((z->i.opcode & 0xfe) != 0x84)
		return false;
	f->reg = (unsigned)jit_host_of(rm->guest);
	f->home = (int)reg->guest;
	f->turned = true;
	return true;
}

/* Registers renamed; those that live in v->r are used there or come to R14 and R15. */
static void take_registers(struct trans *t, const struct item *it, const struct named *reg,
			   const struct named *rm, struct form *f)
{
	ZydisMnemonic m = it->z.i.mnemonic;
	struct emit *e = &t->e;

	if (reg->away && rm->away && reg->guest == rm->guest) {
		bool zero =
			(m == ZYDIS_MNEMONIC_XOR || m == ZYDIS_MNEMONIC_SUB) && rm->o->size >= 32;

		if (zero || (!reg->written && !rm->written)) {
			f->reg = f->rm = HOST_R15;
			if (!zero)
				(void)jit_value_of(e, rm->guest, HOST_R15);
			return;
		}
	}
	if (reg->away && rm->o && !rm->away && turn_round(&it->z, reg, rm, f))
		return;
	if (reg->o) {
		f->reg = reg->away ? (unsigned)HOST_R14 : (unsigned)jit_host_of(reg->guest);
		if (reg->away && !reg->set)
			(void)jit_value_of(e, reg->guest, HOST_R14);
	}
	if (!rm->o)
		return;
	if (rm->away && works_in_place(it, rm)) {
		f->home = (int)rm->guest;
		return;
	}
	f->rm = rm->away ? (unsigned)HOST_R15 : (unsigned)jit_host_of(rm->guest);
	if (rm->away && !rm->set)
		(void)jit_value_of(e, rm->guest, HOST_R15);
}

/* With ModRM: registers renamed, memory through the TLB. */
static void emit_generic(struct trans *t, const struct item *it)
{
	const struct soft_zydis *z = &it->z;
	const ZydisDecodedOperand *m = soft_operand_memory(z), *o_reg = NULL, *o_rm = NULL,
				  *o_v = NULL;
	struct emit *e = &t->e;
	struct form f = { .opcode = z->i.opcode,
			  .reg = z->i.raw.modrm.reg,
			  .rm = z->i.raw.modrm.rm,
			  .vvvv = z->i.raw.vex.vvvv,
			  .home = -1 };
	struct named reg, rm;
	unsigned g_v = 0, v_reg = 0;
	bool v_away = false;
	uint32_t through = jit_live_before(it);
	struct aside *a = NULL;
	struct mref ref;

	/* Flags that it reads, or leaves as they are while it changes others. */
	if (m) {
		ref = jit_reach_operand(t, it, through, it->reads || it->changes ? through : 0, &a);
		f.m = &ref;
	} else if (it->reads || it->changes) {
		jit_want_in_eflags(t, through);
	}
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
	if (o_reg && soft_operand_simd(o_reg) >= 0)
		f.reg = (unsigned)soft_operand_simd(o_reg);
	if (o_rm && soft_operand_simd(o_rm) >= 0)
		f.rm = (unsigned)soft_operand_simd(o_rm);
	reg = name_gpr(it, o_reg);
	rm = name_gpr(it, o_rm);
	take_registers(t, it, &reg, &rm, &f);
	if (o_v) {
		g_v = (unsigned)soft_operand_gpr(o_v->reg.value);
		v_away = jit_host_of(g_v) < 0;
		if (m && v_away) {
			/* Memory comes to R13 first: what has VEX only reads it. */
			emit_mref(e, z->i.raw.vex.W, X_MOV_LOAD, HOST_R13, &ref);
			f.m = NULL;
			f.rm = HOST_R13;
		}
		v_reg = jit_value_of(e, g_v, m ? HOST_R15 : HOST_R13);
		f.vvvv = ~v_reg;
	}
	emit_self(e, z, &f);
	if (v_away && (o_v->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		emit_v(e, true, X_MOV_STORE, v_reg, jit_r_off(g_v), 0);
	if (reg.written && reg.away && !f.turned)
		emit_v(e, true, X_MOV_STORE, f.reg, jit_r_off(reg.guest), 0);
	if (rm.written && rm.away && f.home < 0)
		emit_v(e, true, X_MOV_STORE, f.rm, jit_r_off(rm.guest), 0);
	if (it->changes)
		t->where = IN_EFLAGS;
	jit_rejoin(t, a);
}

static void emit_lea_insn(struct trans *t, const struct item *it)
{
	unsigned guest = (unsigned)soft_operand_gpr(it->z.op[0].reg.value), size = it->in->size;
	struct emit *e = &t->e;
	int host = jit_host_of(guest);
	unsigned dst = host >= 0 && size >= 4 ? (unsigned)host : HOST_R13;

	jit_emit_address(t, it, size == 8, dst);
	if (size == 2) {
		emit_8(e, 0x66);
		if (host >= 0)
			emit_rr(e, false, X_MOV_LOAD, (unsigned)host, HOST_R13);
		else
			emit_v(e, false, X_MOV_STORE, HOST_R13, jit_r_off(guest), 0);
	} else if (host < 0) {
		emit_v(e, true, X_MOV_STORE, HOST_R13, jit_r_off(guest), 0);
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

/*
 * DIV where the quotient surely fits, IDIV of what was sign-extended by a divisor that is neither 0
 * nor -1: no #DE. All else goes to the handler.
 */
static void emit_div(struct trans *t, const struct item *it)
{
	bool w = it->in->size == 8, is_signed = it->z.i.mnemonic == ZYDIS_MNEMONIC_IDIV;
	const ZydisDecodedOperand *o = &it->z.op[0];
	struct aside *away[3] = { NULL };
	struct emit *e = &t->e;

	jit_want_in_cc(t, it->live);
	if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		struct mref ref = jit_reach_operand(t, it, it->live, 0, &away[0]);

		emit_mref(e, w, X_MOV_LOAD, HOST_R15, &ref);
	} else {
		unsigned src = jit_value_of(e, (unsigned)soft_operand_gpr(o->reg.value), HOST_R15);

		if (src != HOST_R15)
			emit_rr(e, w, X_MOV_LOAD, HOST_R15, src);
	}
	if (is_signed) {
		emit_rr(e, w, X_MOV_LOAD, HOST_R14, HOST_RAX);
		emit_rr(e, w, 0xc1, 7, HOST_R14); /* sar */
		emit_8(e, w ? 63 : 31);
		emit_rr(e, w, 0x3b, HOST_R14, HOST_RDX);
		away[1] = jit_add_aside(t, it, emit_forward(e, X_JNE));
		emit_lea(e, HOST_R14, HOST_R15, -1, 0, 1);
		emit_rr(e, w, 0x83, 7, HOST_R14); /* cmp */
		emit_8(e, 1);
		away[2] = jit_add_aside(t, it, emit_forward(e, X_JBE));
	} else {
		emit_rr(e, w, 0x3b, HOST_RDX, HOST_R15);
		away[1] = jit_add_aside(t, it, emit_forward(e, X_JNB));
	}
	emit_rr(e, w, 0xf7, is_signed ? 7 : 6, HOST_R15);
	for (unsigned i = 0; i < ARRAY_SIZE(away); i++)
		jit_rejoin(t, away[i]);
}

/* --- one instruction ---------------------------------------------------------------------- */

/* The handler does it; flags are in v->jit_cc before and after. */
static void emit_handler(struct trans *t, const struct item *it)
{
	jit_want_in_cc(t, JIT_FLAGS);
	emit_mov_imm(&t->e, HOST_R13, (uintptr_t)it->copy);
	emit_jump(&t->e, X_CALL, t->e.j->call_handler);
	jit_want_fp(t);
}

/* Whether R13 is used for nothing but the addresses of operands. */
static bool keeps_r13(const struct item *it)
{
	const struct soft_zydis *z = &it->z;

	if (!it->inlined || it->system)
		return false;
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_LEA:
		return false;
	case ZYDIS_MNEMONIC_PUSH:
		return z->op[0].type != ZYDIS_OPERAND_TYPE_MEMORY;
	case ZYDIS_MNEMONIC_CALL:
		return z->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	case ZYDIS_MNEMONIC_RET:
		return true;
	default:
		/* VEX may name a general register three times. */
		return z->i.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE &&
		       (it->simd || z->i.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY);
	}
}

static bool emit_item(struct trans *t, const struct item *it)
{
	const struct soft_zydis *z = &it->z;

	if (!it->inlined) {
		emit_handler(t, it);
		return false;
	}
	if (it->simd || it->x87) {
		if (!(z->i.attributes & ZYDIS_ATTRIB_HAS_MODRM)) {
			if (it->simd) /* VZEROUPPER, VZEROALL; else FWAIT: nothing can pend */
				emit_vex(&t->e, z, 0, z->i.raw.vex.vvvv, 0, 0);
			return false;
		}
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
	case ZYDIS_MNEMONIC_DIV:
	case ZYDIS_MNEMONIC_IDIV:
		emit_div(t, it);
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

bool jit_emit_item(struct trans *t, const struct item *it)
{
	bool ended;

	t->use_delta = keeps_r13(it);
	ended = emit_item(t, it);
	if (!t->use_delta)
		t->delta = -1;
	return ended;
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
		emit_load_flags(e);
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
				emit_load_flags(e);
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
