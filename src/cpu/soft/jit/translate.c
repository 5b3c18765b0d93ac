/* SPDX-License-Identifier: MIT */
/*
 * From a decoded block of 64-bit code to native code, in one pass.
 *
 * Theory of operation: an instruction that select.c takes is emitted as itself, with its registers
 * renamed (jit.h) and its memory operand replaced by [r13], which holds the host address that the
 * soft TLB gave. Where the TLB has no answer, and for every other instruction, the interpreter's
 * handler runs on a copy of the struct insn: behind the copy stands a second one whose handler
 * says "go on", so that a handler which leaves the block is told from one that does not.
 *
 * Flags: a pass from the end finds where each of the six is still wanted; what is behind the
 * block is asked in its page (live.c), else it counts as wanting all. The TLB's compare destroys
 * EFLAGS, so wanted flags go to v->jit_cc first and are brought back where an instruction reads
 * them. Where they are is known at each place, and each block has an entry for either.
 *
 * SIMD registers and MXCSR, and likewise the x87 state, are loaded by the first block that needs
 * them and stay in the host's registers of the same numbers from block to block, until a handler or
 * the loop gets control. Where SIMD would raise something (CR0.TS, an unmasked exception ...)
 * v->simd_denied keeps blocks with SIMD out.
 *
 * v->block_va is the page's address, and the copies count from there: so jumps inside a page need
 * nothing but a jump.
 */
#include "cpu/soft/jit/trans.h"

/* Behind each copy: go on, unless the block was dropped meanwhile. */
static void h_go_on(struct soft_vcpu *v, const struct insn *in)
{
	const struct soft_block *b = in->aux;

	if (UNLIKELY(b->dead)) {
		v->rip = v->block_va + in->end;
		return;
	}
	v->jit_next = 1;
}

/* Behind what may have changed whether SIMD is denied. */
static void h_go_on_control(struct soft_vcpu *v, const struct insn *in)
{
	v->simd_denied = jit_simd_denied(v);
	h_go_on(v, in);
}

#define LOOK_AHEAD 8

/* Flags wanted behind the block, whose last instruction is @last. */
static uint32_t live_behind(const ZydisDecoder *d, const uint8_t *page, const struct item *last)
{
	int64_t next = last->off + last->in->len;
	uint32_t live;

	if (!last->inlined)
		return JIT_FLAGS;
	if (last->z.i.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE)
		return jit_live_at(d, page, next, LOOK_AHEAD);
	if (!last->z.i.raw.imm[0].is_relative)
		return JIT_FLAGS;
	live = jit_live_at(d, page, next + last->in->imm, LOOK_AHEAD);
	if (last->z.i.meta.category == ZYDIS_CATEGORY_COND_BR)
		live |= jit_live_at(d, page, next, LOOK_AHEAD);
	return live;
}

static bool prepare(struct trans *t)
{
	struct soft_block *b = t->b;
	struct soft_jit *j = t->e.j;
	const struct mem_region *r = mem_find(j->v->vm->mem, b->gpa);
	const uint8_t *bytes;
	unsigned off = (unsigned)(b->gpa & 0xfff);
	ZydisDecoder d;
	uint32_t live;
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
		for (unsigned k = 0; k < ACCESS_COUNT; k++)
			it->access[k] = (struct access) { .group = -1 };
		it->changes = false;
		decoded = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, bytes + it->in->end - it->in->len,
							      it->in->len, &it->z.i, it->z.op)) &&
			  it->z.i.length == it->in->len;
		it->simd = it->x87 = it->system = it->inlined = false;
		if (decoded)
			jit_select(it, simd);
		if (decoded && jit_sets_mxcsr(it->z.i.mnemonic))
			simd = false;
		t->simd |= it->simd || it->x87;
		t->x87 |= it->x87;
		jit_flags_of(it);
		copy[0] = *it->in;
		copy[0].end = (uint16_t)(off + it->in->end);
		copy[1] = (struct insn) { .fn = decoded && jit_listed[it->z.i.mnemonic]
							? h_go_on
							: h_go_on_control,
					  .aux = b,
					  .end = copy[0].end };
		it->copy = copy;
		j->data_used += 2 * sizeof(*copy);
	}
	if (t->item[b->n - 1u].inlined && t->item[b->n - 1u].z.i.mnemonic == ZYDIS_MNEMONIC_STI) {
		/* One more instruction must come before the block's end. */
		t->item[b->n - 1u].inlined = false;
		jit_flags_of(&t->item[b->n - 1u]);
	}
	live = b->mode & SOFT_MODE_SINGLE ? JIT_FLAGS
					  : live_behind(&d, bytes - off, &t->item[b->n - 1u]);
	t->live_behind = live;
	for (unsigned i = b->n; i-- > 0;) {
		t->item[i].live = live;
		live = jit_live_before(&t->item[i]);
	}
	return true;
}

/* Whether @live flags had better be in EFLAGS at the start: they are read before a TLB look-up. */
static bool prefers_eflags(const struct trans *t, uint32_t live)
{
	for (unsigned i = 0; i < t->b->n; i++) {
		const struct item *it = &t->item[i];

		if (!it->inlined)
			return false;
		for (unsigned k = 0; k < ACCESS_COUNT; k++)
			if (it->access[k].made && (it->access[k].group < 0 || it->access[k].first))
				return false;
		if (it->reads & live)
			return true;
		if (it->changes)
			return (live & ~it->writes) != 0;
	}
	return false;
}

/* Out where somebody wants attention, or SIMD would raise something; EFLAGS are lost. */
static uint8_t *emit_poll(struct trans *t)
{
	struct emit *e = &t->e;

	if (t->simd) {
		EMIT_V(e, false, 0x0fb6, HOST_R15, simd_denied);
		EMIT_V(e, false, 0x0b, HOST_R15, attention);
	} else {
		emit_v(e, false, 0x83, 7, offsetof(struct soft_vcpu, attention), 1); /* cmp */
		emit_8(e, 0);
	}
	return emit_forward(e, X_JNE);
}

/* The same without touching flags: by JRCXZ. */
static uint8_t *emit_poll_quiet(struct emit *e)
{
	uint8_t *quiet, *away;

	emit_rr(e, true, X_MOV_LOAD, HOST_R13, HOST_RCX);
	EMIT_V(e, false, X_MOV_LOAD, HOST_RCX, attention);
	quiet = emit_jrcxz(e);
	emit_rr(e, true, X_MOV_LOAD, HOST_RCX, HOST_R13);
	away = emit_forward(e, X_JMP);
	emit_land_short(e, quiet);
	emit_rr(e, true, X_MOV_LOAD, HOST_RCX, HOST_R13);
	return away;
}

/*
 * Entries for flags in v->jit_cc and in EFLAGS, the one behind the other, and the poll. Behind them
 * flags are where t->where says.
 */
static uint8_t *emit_entry(struct trans *t, uint32_t live)
{
	struct soft_block *b = t->b;
	struct emit *e = &t->e;

	b->code_simd = t->simd;
	t->where = live && !t->simd && prefers_eflags(t, live) ? IN_EFLAGS : IN_CC;
	if (t->where == IN_EFLAGS) {
		b->code = emit_here(e);
		emit_load_flags(e);
		b->code_flags = emit_here(e);
		return emit_poll_quiet(e);
	}
	b->code_flags = emit_here(e);
	if (live)
		emit_save_flags(e);
	b->code = emit_here(e);
	return emit_poll(t);
}

/*
 * Out at the block's start, with flags in EFLAGS and in v->jit_cc; and in from the loop at @body,
 * which has looked at v->attention itself and must get on even if it is set. @where: flags at
 * @body.
 */
static void emit_outs(struct trans *t, uint8_t *poll, enum where where, const uint8_t *body)
{
	struct emit *e = &t->e;

	t->b->code_run = emit_here(e);
	if (where == IN_EFLAGS)
		emit_load_flags(e);
	emit_jump(e, X_JMP, body);
	for (t->where = IN_EFLAGS; t->where <= IN_CC; t->where++) {
		if (where == t->where)
			emit_land(e, poll);
		if (t->where == IN_CC)
			t->b->code_out = emit_here(e);
		else
			t->b->code_out_flags = emit_here(e);
		EMIT_V(e, true, X_MOV_LOAD, HOST_R13, block_va);
		emit_lea(e, HOST_R13, HOST_R13, -1, 0, (int32_t)(t->b->gpa & 0xfff));
		jit_emit_leave(t);
	}
}

size_t jit_work_size(void)
{
	return sizeof(struct trans);
}

/* The items from @from on, and the way to the next block. */
static void emit_items(struct trans *t, unsigned from)
{
	const struct soft_block *b = t->b;
	bool ended = false;

	t->delta = -1;
	for (unsigned i = from; i < b->n && !ended; i++) {
		if (t->plain) {
			t->plain_at[i] = emit_here(&t->e);
			t->plain_where[i] = t->where;
		}
		ended = jit_emit_item(t, &t->item[i]);
	}
	if (ended)
		return;
	if (t->plain) {
		t->plain_at[b->n] = emit_here(&t->e);
		t->plain_where[b->n] = t->where;
	}
	jit_emit_direct(t, (int64_t)(b->gpa & 0xfff) + b->insn[b->n].end);
}

/* In the second tier runs are counted; R13 is lost, EFLAGS are not. */
static void emit_count(struct trans *t)
{
	struct soft_vcpu *v = t->e.j->v;
	struct emit *e = &t->e;
	unsigned slot;
	size_t runs;

	if (t->tier != SOFT_TIER_TRY)
		return;
	slot = e->j->next_runs++ % SOFT_JIT_RUNS;
	runs = offsetof(struct soft_vcpu, jit_runs) + slot * sizeof(v->jit_runs[0]);
	v->jit_runs[slot] = 0;
	t->b->runs_slot = (uint16_t)slot;
	emit_v(e, false, X_MOV_LOAD, HOST_R13, runs, 0);
	emit_lea(e, HOST_R13, HOST_R13, -1, 0, 1);
	emit_v(e, false, X_MOV_STORE, HOST_R13, runs, 0);
}

/* A loop of one block: where it lies in its cache lines is a sixth of its speed. */
static bool jumps_to_itself(const struct soft_block *b)
{
	const struct insn *last = &b->insn[b->n - 1u];

	return last->imm == -(int64_t)last->end;
}

bool jit_translate(struct soft_jit *j, struct soft_block *b)
{
	struct trans *t = j->work;
	size_t data = j->data_used;
	enum where where;
	uint32_t live;
	const uint8_t *body;
	uint8_t *poll, *hot, *cold;

	hot = j->code.rw + align_up(j->code.used, jumps_to_itself(b) ? 64 : 16);
	cold = j->code.rw + align_up(j->cold_used, 16);
	t->e = (struct emit) { .j = j, .p = hot };
	t->b = b;
	t->n_aside = t->n_miss = t->n_way = 0;
	t->simd = t->x87 = false;
	t->tier = b->mode & SOFT_MODE_USER ? b->tier : SOFT_TIER_TLB;
	t->n_tried = 0;
	if (t->tier == SOFT_TIER_TRY)
		b->first_site = j->next_site;
	if (!prepare(t)) {
		j->data_used = data;
		return false;
	}
	live = jit_live_before(&t->item[0]);
	jit_find_groups(t, b->n);
	poll = emit_entry(t, live);
	where = t->where;
	body = emit_here(&t->e);
	emit_count(t);
	jit_want_fp(t);
	t->plain = false;
	emit_items(t, 0);
	j->code.used = (size_t)(t->e.p - j->code.rw);
	BUG_ON(t->e.p - hot > JIT_BLOCK_CODE);
	t->e.p = cold;
	if (t->n_groups) {
		t->plain = true;
		t->where = IN_CC;
		emit_items(t, t->grouped_from);
	}
	jit_emit_misses(t);
	jit_emit_ways_out(t);
	jit_emit_asides(t);
	emit_outs(t, poll, where, body);
	b->code_ahead = where == IN_CC ? body : b->code_run;
	b->code_ahead_flags = where == IN_EFLAGS || !live ? body : b->code_flags;
	if (t->simd) {
		b->code_ahead = b->code;
		b->code_ahead_flags = b->code_flags;
	}
	j->cold_used = (size_t)(t->e.p - j->code.rw);
	BUG_ON(t->e.p - cold > JIT_BLOCK_COLD);
	BUG_ON(t->n_way > ARRAY_SIZE(t->way) || t->n_miss > ARRAY_SIZE(t->miss) ||
	       t->n_aside > ARRAY_SIZE(t->aside));
	return true;
}
