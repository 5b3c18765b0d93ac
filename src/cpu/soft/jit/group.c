/* SPDX-License-Identifier: MIT */
/*
 * Which accesses of a block surely lie near each other, so that one TLB look-up serves them all.
 *
 * Theory of operation: each guest register is followed through the block as "root + offset": PUSH,
 * POP, ADD, SUB, LEA and MOV between registers keep the root, any other write makes a new one. Two
 * accesses whose addresses have the same roots differ by a known distance. A handler may change
 * registers, mappings and the rights to pages with code, so nothing outlives it.
 */
#include "cpu/soft/jit/trans.h"

#include <stdlib.h>

#define SPAN_MAX    512	      /* bytes of a group: it should seldom cross a page */
#define OFFSET_MAX  (1 << 28) /* of a register from its root */
#define ROOT_NONE   0
#define ROOT_RIP    1
#define ROOT_SEG    2 /* and CPU_SEG_COUNT more */
#define ROOT_FIRST  16
#define PENDING_MAX 64

struct place {
	uint32_t root;
	int64_t off;
};

/* Groups while they are found; those of one access are dropped in the end. */
struct pending {
	uint32_t base, index;
	unsigned scale;
	int64_t lo, hi; /* offsets from the roots' sum */
	bool write;
	unsigned uses;
	int slot;
};

struct finder {
	struct trans *t;
	struct place reg[16];
	uint32_t next_root;
	struct pending p[PENDING_MAX];
	unsigned n, barrier; /* groups before `barrier` are closed */
};

static void new_root(struct finder *f, unsigned reg)
{
	f->reg[reg] = (struct place) { .root = f->next_root++ };
}

static void all_new(struct finder *f)
{
	for (unsigned i = 0; i < 16; i++)
		new_root(f, i);
	f->barrier = f->n;
}

static void move_by(struct finder *f, unsigned reg, int64_t by)
{
	f->reg[reg].off += by;
	if (llabs(f->reg[reg].off) > OFFSET_MAX)
		new_root(f, reg);
}

static void add(struct finder *f, struct access *a, const struct pending *want, unsigned size)
{
	struct pending *p;

	for (unsigned i = f->barrier; i < f->n; i++) {
		int64_t lo, hi;

		p = &f->p[i];
		if (p->base != want->base || p->index != want->index || p->scale != want->scale)
			continue;
		lo = MIN(p->lo, want->lo);
		hi = MAX(p->hi, want->lo + size);
		if (hi - lo > SPAN_MAX)
			continue;
		p->lo = lo;
		p->hi = hi;
		p->write |= want->write;
		p->uses++;
		a->group = (int)i;
		return;
	}
	if (f->n == PENDING_MAX)
		return;
	p = &f->p[f->n];
	*p = *want;
	p->hi = p->lo + size;
	p->uses = 1;
	a->group = (int)f->n++;
}

static void add_stack(struct finder *f, struct item *it, struct place at, int64_t by, bool write)
{
	struct access *a = &it->access[ACCESS_STACK];

	a->made = true;
	a->off = at.off + by;
	add(f, a, &(struct pending) { .base = at.root, .lo = a->off, .write = write }, 8);
}

static void add_operand(struct finder *f, struct item *it, const ZydisDecodedOperand *m)
{
	struct access *a = &it->access[ACCESS_OPERAND];
	const struct insn *in = it->in;
	struct pending p = { .write = m->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE };

	a->made = true;
	a->off = in->disp;
	if (in->ea == INSN_EA_RIP) {
		p.base = ROOT_RIP;
		a->off += it->off + in->len;
	} else if (in->ea == INSN_EA_GENERIC) {
		if (in->base != INSN_REG_NONE || in->index != INSN_REG_NONE ||
		    (in->flags & INSN_ABS_RIP))
			return;
		p.base = ROOT_SEG + in->seg;
	} else {
		if (in->base != INSN_REG_NONE) {
			p.base = f->reg[in->base / 8].root;
			a->off += f->reg[in->base / 8].off;
		}
		if (in->index != INSN_REG_NONE) {
			p.index = f->reg[in->index / 8].root;
			p.scale = in->scale;
			a->off += f->reg[in->index / 8].off * (1 << in->scale);
		}
	}
	if (llabs(in->disp) > OFFSET_MAX || llabs(a->off) > OFFSET_MAX)
		return;
	p.lo = a->off;
	add(f, a, &p, m->size / 8);
}

/* What @it does to the registers, in the order of the SDM. */
static void follow(struct finder *f, const struct item *it)
{
	const struct soft_zydis *z = &it->z;
	int dst = z->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER
			  ? soft_operand_gpr(z->op[0].reg.value)
			  : -1;
	bool wide = dst >= 0 && z->op[0].size == 64;

	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_PUSHFQ:
		move_by(f, CPU_RSP, -8);
		return;
	case ZYDIS_MNEMONIC_POP:
		move_by(f, CPU_RSP, 8);
		new_root(f, (unsigned)dst);
		return;
	case ZYDIS_MNEMONIC_LEAVE:
		f->reg[CPU_RSP] = f->reg[CPU_RBP];
		move_by(f, CPU_RSP, 8);
		new_root(f, CPU_RBP);
		return;
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB:
		if (!wide || z->op[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
			break;
		move_by(f, (unsigned)dst,
			z->i.mnemonic == ZYDIS_MNEMONIC_ADD ? z->op[1].imm.value.s
							    : -z->op[1].imm.value.s);
		return;
	case ZYDIS_MNEMONIC_MOV:
		if (!wide || z->op[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
			break;
		f->reg[dst] = f->reg[soft_operand_gpr(z->op[1].reg.value)];
		return;
	case ZYDIS_MNEMONIC_LEA:
		if (!wide || it->in->ea != INSN_EA_FLAT || it->in->base == INSN_REG_NONE ||
		    it->in->index != INSN_REG_NONE)
			break;
		f->reg[dst] = f->reg[it->in->base / 8];
		move_by(f, (unsigned)dst, it->in->disp);
		return;
	default:
		break;
	}
	for (unsigned i = 0; i < z->i.operand_count; i++) {
		const ZydisDecodedOperand *o = &z->op[i];
		int reg = -1;

		if (o->type == ZYDIS_OPERAND_TYPE_REGISTER)
			reg = soft_operand_high(o->reg.value)
				      ? (int)o->reg.value - ZYDIS_REGISTER_AH
				      : soft_operand_gpr(o->reg.value);
		if (reg >= 0 && (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			new_root(f, (unsigned)reg);
	}
}

static void find(struct finder *f, struct item *it)
{
	const ZydisDecodedOperand *m;

	if (!it->inlined || it->z.i.mnemonic == ZYDIS_MNEMONIC_SWAPGS) {
		all_new(f);
		return;
	}
	m = soft_operand_memory(&it->z);
	if (m && m->mem.type == ZYDIS_MEMOP_TYPE_MEM && !jit_is_nop(it->z.i.mnemonic) &&
	    jit_alignment(it, m->size / 8) <= 1)
		add_operand(f, it, m);
	switch (it->z.i.mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_CALL:
		add_stack(f, it, f->reg[CPU_RSP], -8, true);
		break;
	case ZYDIS_MNEMONIC_POP:
	case ZYDIS_MNEMONIC_RET:
		add_stack(f, it, f->reg[CPU_RSP], 0, false);
		break;
	case ZYDIS_MNEMONIC_LEAVE:
		add_stack(f, it, f->reg[CPU_RBP], 0, false);
		break;
	default:
		break;
	}
	follow(f, it);
}

/* Groups of more than one access get a slot; their first access makes the look-up. */
static void settle(struct finder *f, struct access *a)
{
	struct trans *t = f->t;
	struct pending *p;

	if (a->group < 0)
		return;
	p = &f->p[a->group];
	if (p->slot < 0 && (p->uses < 2 || t->n_groups == SOFT_JIT_GROUPS)) {
		a->group = -1;
		p->uses = 0; /* nor do later ones find a slot */
		return;
	}
	if (p->slot < 0) {
		p->slot = (int)t->n_groups;
		t->group[t->n_groups++] =
			(struct group) { .lo = p->lo, .hi = p->hi, .write = p->write };
		a->first = true;
	}
	a->group = p->slot;
}

void jit_find_groups(struct trans *t, unsigned n)
{
	struct finder f = { .t = t, .next_root = ROOT_FIRST };

	all_new(&f);
	t->n_groups = 0;
	t->grouped_from = n;
	for (unsigned i = 0; i < n; i++)
		find(&f, &t->item[i]);
	for (unsigned i = 0; i < f.n; i++)
		f.p[i].slot = -1;
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(t->item[i].access); k++)
			settle(&f, &t->item[i].access[k]);
		if (t->n_groups && t->grouped_from == n)
			t->grouped_from = i;
	}
}
