/* SPDX-License-Identifier: MIT */
/*
 * Native code that reaches guest memory: addresses, the TLB, and look-ups shared by a group.
 */
#include "cpu/soft/fpu.h"
#include "cpu/soft/jit/trans.h"

#define TRIAL_RUNS  256 /* of a block before it is judged */
#define SITE_MISSES 8	/* a site is kept where less than one of so many runs missed */

/* A guest register's value in some host register: its own, or @scratch. */
unsigned jit_value_of(struct emit *e, unsigned guest, unsigned scratch)
{
	int host = jit_host_of(guest);

	if (host >= 0)
		return (unsigned)host;
	emit_v(e, true, X_MOV_LOAD, scratch, jit_r_off(guest), 0);
	return scratch;
}

/* Linear address of the operand and @more to @dst (R13, or a register of LEA's); R14, R15 lost. */
static void emit_address_more(struct trans *t, const struct item *it, bool w, unsigned dst,
			      int64_t more)
{
	const struct insn *in = it->in;
	struct emit *e = &t->e;
	int32_t disp = (int32_t)(in->disp + more);
	int base = -1, index = -1;

	if (in->ea == INSN_EA_RIP || (in->flags & INSN_ABS_RIP)) {
		EMIT_V(e, true, X_MOV_LOAD, HOST_R15, block_va);
		/* Not added up here: the sum may be more than 32 bits. */
		emit_lea(e, HOST_R15, HOST_R15, -1, 0, it->off + in->len);
		emit_lea_w(e, w, dst, HOST_R15, -1, 0, disp);
		return;
	}
	if (in->base != INSN_REG_NONE)
		base = (int)jit_value_of(e, in->base / 8, HOST_R15);
	if (in->index != INSN_REG_NONE)
		index = (int)jit_value_of(e, in->index / 8, HOST_R14);
	emit_lea_w(e, w, dst, base, index, in->scale, disp);
}

void jit_emit_address(struct trans *t, const struct item *it, bool w, unsigned dst)
{
	emit_address_more(t, it, w, dst, 0);
}

/* With its segment's base to R13; EFLAGS are lost. */
static void emit_linear(struct trans *t, const struct item *it, int64_t more)
{
	emit_address_more(t, it, true, HOST_R13, more);
	if (it->in->ea == INSN_EA_GENERIC)
		emit_v(&t->e, true, 0x03, HOST_R13,
		       offsetof(struct soft_vcpu, seg[it->in->seg].base), 0);
}

/*
 * R14: the TLB's entry for the @size bytes at R13, or away. R15: its tag; EFLAGS are lost.
 */
static uint8_t *emit_lookup(struct emit *e, unsigned size, bool write)
{
	/* soft_tlb_index() */
	emit_8(e, 0x46); /* lea r14d, [r13 * 8] */
	emit_8(e, 0x8d);
	emit_8(e, 0x34);
	emit_8(e, 0xed);
	emit_32(e, 0);
	emit_rr(e, false, 0xc1, 5, HOST_R14); /* shr */
	emit_8(e, 12);
	emit_rr(e, false, 0x33, HOST_R14, HOST_R13); /* xor */
	emit_rr(e, false, 0xc1, 5, HOST_R14);	     /* shr r14d, 12 - 6: entries of 64 bytes */
	emit_8(e, X86_PAGE_SHIFT - 6);
	emit_rr(e, false, 0x81, 4, HOST_R14); /* and */
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
	return emit_forward(e, X_JNE);
}

/* After so many sites they are shared, reads and writes apart. */
static unsigned site_number(unsigned n, bool write)
{
	return (n * 2 + write) % SOFT_SITES;
}

static size_t new_site(struct trans *t, bool write)
{
	struct soft_vcpu *v = t->e.j->v;
	unsigned n = site_number(t->e.j->next_site++, write);

	v->n_sites = MAX(v->n_sites, n + 1);
	if (t->tier == SOFT_TIER_TRY)
		v->site_miss[n] = 0;
	return offsetof(struct soft_vcpu, site) + n * sizeof(struct soft_site);
}

/* Whether the access that is emitted now missed seldom in the second tier. */
static bool site_was_good(struct trans *t, bool write)
{
	const struct soft_vcpu *v = t->e.j->v;
	unsigned n = site_number(t->b->first_site + t->n_tried++, write);

	return v->jit_runs[t->b->runs_slot] >= TRIAL_RUNS &&
	       v->site_miss[n] < v->jit_runs[t->b->runs_slot] / SITE_MISSES;
}

/*
 * The kernel's code comes by for another task nearly each time, so its accesses ask the TLB, but
 * for those of the stack.
 */
static enum site_kind site_kind_of(struct trans *t, bool write, bool stack)
{
	switch (t->tier) {
	case SOFT_TIER_TLB:
		return stack ? SITE_STACK : SITE_NONE;
	case SOFT_TIER_TRY:
		return SITE_OWN;
	default:
		return site_was_good(t, write) ? SITE_OWN : SITE_NONE;
	}
}

/*
 * R13 becomes (@op MOV), or has added (ADD), the addend of the page of the @size bytes at R13, or
 * away, to @a. What has a site asks that, and the TLB out of the way.
 */
static void emit_addend(struct trans *t, unsigned op, unsigned size, bool write, bool stack,
			struct aside *a)
{
	bool small = size <= SOFT_SITE_EPOCH && !(size & (size - 1));
	enum site_kind kind = site_kind_of(t, write, stack);
	struct emit *e = &t->e;
	struct miss *m;

	if (kind == SITE_NONE) {
		a->from = emit_lookup(e, size, write);
		emit_rm(e, true, op, HOST_R13, HOST_R14, offsetof(struct soft_tlb_entry, addend));
		return;
	}
	m = &t->miss[t->n_miss++];
	*m = (struct miss) { .size = size, .aside = (unsigned)(a - t->aside), .op = op };
	/* What serves reads and writes alike must allow both. */
	m->write = write || kind == SITE_STACK;
	m->kind = kind;
	m->site = kind == SITE_OWN		? new_site(t, write)
		  : t->b->mode & SOFT_MODE_USER ? offsetof(struct soft_vcpu, user_stack_site)
						: offsetof(struct soft_vcpu, stack_site);
	emit_rr(e, true, X_MOV_LOAD, HOST_R15, HOST_R13);
	emit_rr(e, true, 0x81, 4, HOST_R15); /* and: small ones that are not aligned differ, too */
	emit_32(e, 0xfffff000u | (small ? size - 1 : 0));
	if (kind == SITE_OWN)
		emit_add_v(e, HOST_R15, offsetof(struct soft_vcpu, site_epoch));
	emit_v(e, true, 0x3b, HOST_R15, m->site + offsetof(struct soft_site, tag), 0);
	m->from = emit_forward(e, X_JNE);
	if (!small) {
		emit_rr(e, false, X_MOV_LOAD, HOST_R15, HOST_R13);
		emit_rr(e, false, 0x81, 4, HOST_R15); /* and */
		emit_32(e, 0xfff);
		emit_rr(e, false, 0x81, 7, HOST_R15); /* cmp */
		emit_32(e, X86_PAGE_SIZE - size);
		m->from2 = emit_forward(e, X_JA);
	}
	emit_v(e, true, op, HOST_R13, m->site + offsetof(struct soft_site, addend), 0);
	m->back = emit_here(e);
}

static size_t miss_count(const struct miss *m)
{
	size_t n = (m->site - offsetof(struct soft_vcpu, site)) / sizeof(struct soft_site);

	return offsetof(struct soft_vcpu, site_miss) + n * sizeof(uint32_t);
}

/* The TLB's answer also goes to the site, but for alignment checks, which no site makes. */
void jit_emit_misses(struct trans *t)
{
	struct emit *e = &t->e;
	uint8_t *keep;

	for (unsigned i = 0; i < t->n_miss; i++) {
		const struct miss *m = &t->miss[i];

		emit_land(e, m->from);
		if (m->from2)
			emit_land(e, m->from2);
		t->aside[m->aside].from = emit_lookup(e, m->size, m->write);
		emit_rm(e, true, X_MOV_LOAD, HOST_R14, HOST_R14,
			offsetof(struct soft_tlb_entry, addend));
		emit_byte_is_0(e, offsetof(struct soft_vcpu, site_fill));
		keep = emit_forward(e, X_JE);
		emit_rr(e, true, 0x81, 4, HOST_R15); /* and r15, ~fffh */
		emit_32(e, 0xfffff000u);
		if (m->kind == SITE_OWN)
			emit_add_v(e, HOST_R15, offsetof(struct soft_vcpu, site_epoch));
		if (m->kind == SITE_OWN && t->tier == SOFT_TIER_TRY)
			emit_v(e, false, 0xff, 0, miss_count(m), 0); /* inc */
		emit_v(e, true, X_MOV_STORE, HOST_R15, m->site + offsetof(struct soft_site, tag),
		       0);
		emit_v(e, true, X_MOV_STORE, HOST_R14, m->site + offsetof(struct soft_site, addend),
		       0);
		emit_land(e, keep);
		emit_rr(e, true, m->op, HOST_R13, HOST_R14);
		emit_jump(e, X_JMP, m->back);
	}
}

/* R13 from linear to host address, or to the handler. */
static struct aside *emit_tlb(struct trans *t, const struct item *it, unsigned size, bool write,
			      bool stack)
{
	struct aside *a = jit_add_aside(t, it, NULL);

	emit_addend(t, 0x03, size, write, stack, a);
	return a;
}

unsigned jit_alignment(const struct item *it, unsigned size)
{
	if (it->z.i.mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B)
		return 16;
	return it->simd ? fpu_alignment(&it->z, size) : 0;
}

/* #GP unless R13 is aligned: the handler's business. EFLAGS are lost. Returns the jump away. */
static uint8_t *emit_alignment(struct trans *t, unsigned align)
{
	emit_rr(&t->e, false, 0xf7, 0, HOST_R13); /* test r13d, imm */
	emit_32(&t->e, align - 1);
	return emit_forward(&t->e, X_JNE);
}

struct aside *jit_add_aside(struct trans *t, const struct item *it, uint8_t *from)
{
	struct aside *a = &t->aside[t->n_aside++];

	*a = (struct aside) { .from = from, .item = (unsigned)(it - t->item) };
	return a;
}

void jit_rejoin(struct trans *t, struct aside *a)
{
	if (!a)
		return;
	a->rejoin = true;
	a->plain = !t->plain && t->n_groups && a->item >= t->grouped_from;
	a->back = emit_here(&t->e);
	a->reload = t->item[a->item].live && t->where == IN_EFLAGS;
}

/* --- one look-up for a group ---------------------------------------------------------------- */

static int stack_base(const struct item *it)
{
	return it->z.i.mnemonic == ZYDIS_MNEMONIC_LEAVE ? HOST_RBP : HOST_R12;
}

static size_t delta_off(int group)
{
	return offsetof(struct soft_vcpu, jit_delta) + (unsigned)group * 8;
}

/*
 * The look-up for the whole group; what is to be added to the address that group_operand() makes
 * stays in R13 and in the group's slot. Where it fails, on to the plain code of this instruction.
 */
static void emit_group_lookup(struct trans *t, const struct item *it, const struct access *a)
{
	const struct group *g = &t->group[a->group];
	struct emit *e = &t->e;
	bool stack = a == &it->access[ACCESS_STACK];
	struct aside *s;

	if (stack)
		emit_lea(e, HOST_R13, stack_base(it), -1, 0,
			 (int32_t)(g->lo - a->off) + jit_stack_disp(it));
	else
		emit_linear(t, it, g->lo - a->off);
	s = jit_add_aside(t, it, NULL);
	s->to_plain = true;
	stack |= it->in->base == CPU_RSP * 8;
	emit_addend(t, X_MOV_LOAD, (unsigned)(g->hi - g->lo), g->write, stack, s);
	if (!stack && it->in->ea == INSN_EA_RIP)
		emit_add_v(e, HOST_R13, offsetof(struct soft_vcpu, block_va));
	else if (!stack && it->in->ea == INSN_EA_GENERIC)
		emit_add_v(e, HOST_R13, offsetof(struct soft_vcpu, seg[it->in->seg].base));
	emit_v(e, true, X_MOV_STORE, HOST_R13, delta_off(a->group), 0);
	t->delta = a->group;
}

/* The group's delta to R13, unless it is there. */
static void want_delta(struct trans *t, int group)
{
	if (t->delta != group || !t->use_delta)
		emit_v(&t->e, true, X_MOV_LOAD, HOST_R13, delta_off(group), 0);
	t->delta = group;
}

/* The operand's place with the group's delta in R13; R15 may be lost, flags stay. */
static struct mref group_operand(struct trans *t, const struct item *it)
{
	const struct insn *in = it->in;
	struct emit *e = &t->e;
	int base = -1, index;

	if (in->ea == INSN_EA_RIP)
		return (struct mref) { HOST_R13, -1, in->disp + it->off + in->len };
	if (in->ea == INSN_EA_GENERIC)
		return (struct mref) { HOST_R13, -1, in->disp };
	if (in->base != INSN_REG_NONE)
		base = (int)jit_value_of(e, in->base / 8, HOST_R15);
	if (in->index != INSN_REG_NONE) {
		index = (int)jit_value_of(e, in->index / 8, HOST_R14);
		emit_lea(e, HOST_R15, base, index, in->scale, 0);
		base = HOST_R15;
	}
	if (base < 0)
		return (struct mref) { HOST_R13, -1, in->disp };
	return (struct mref) { base, HOST_R13, in->disp };
}

/* --- any access ----------------------------------------------------------------------------- */

static bool in_group(const struct trans *t, const struct access *a)
{
	return !t->plain && a->group >= 0;
}

struct mref jit_reach_stack(struct trans *t, const struct item *it, bool write, struct aside **out)
{
	const struct access *a = &it->access[ACCESS_STACK];
	int base = stack_base(it);
	int32_t disp = jit_stack_disp(it);
	struct emit *e = &t->e;

	*out = NULL;
	if (!in_group(t, a)) {
		t->delta = -1;
		jit_want_in_cc(t, it->live);
		emit_lea(e, HOST_R13, base, -1, 0, disp);
		*out = emit_tlb(t, it, 8, write, true);
		return (struct mref) { HOST_R13, -1, 0 };
	}
	if (a->first) {
		jit_want_in_cc(t, it->live);
		emit_group_lookup(t, it, a);
	} else {
		want_delta(t, a->group);
	}
	return (struct mref) { base, HOST_R13, disp };
}

struct mref jit_reach_operand(struct trans *t, const struct item *it, uint32_t through,
			      uint32_t wanted, struct aside **out)
{
	const struct access *a = &it->access[ACCESS_OPERAND];
	const ZydisDecodedOperand *m = soft_operand_memory(&it->z);
	bool write = m->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	unsigned size = m->size / 8, align = jit_alignment(it, size);
	uint8_t *misaligned = NULL;

	*out = NULL;
	if (in_group(t, a)) {
		if (a->first) {
			jit_want_in_cc(t, through);
			emit_group_lookup(t, it, a);
		}
		if (wanted)
			jit_want_in_eflags(t, wanted);
		if (!a->first)
			want_delta(t, a->group);
		return group_operand(t, it);
	}
	t->delta = -1;
	jit_want_in_cc(t, through);
	emit_linear(t, it, 0);
	if (align > 1)
		misaligned = emit_alignment(t, align);
	*out = emit_tlb(t, it, size, write, it->in->base == CPU_RSP * 8);
	(*out)->from2 = misaligned;
	if (wanted)
		jit_want_in_eflags(t, wanted);
	return (struct mref) { HOST_R13, -1, 0 };
}
