/* SPDX-License-Identifier: MIT */
/*
 * Segments: descriptors, loads with all checks, address formation, far transfers.
 *
 * Follows SDM vol. 3A, chapters 3 and 5, and the pseudo-code of JMP, CALL, RET in vol. 2. Task
 * switches (TSS selectors and task gates) are refused with #GP and a log line: no 64-bit kernel
 * uses them, and 32-bit ones only for double faults.
 */
#include "cpu/soft/seg.h"
#include "cpu/soft/ops.h"

void soft_set_seg_real(struct soft_vcpu *v, unsigned seg, uint16_t selector)
{
	struct cpu_segment *s = &v->seg[seg];

	s->selector = selector;
	s->base = (uint64_t)selector << 4;
	if (soft_vm86(v)) {
		s->limit = 0xffff;
		s->attr = 0x00f3; /* present, DPL 3, read/write data, accessed */
	} else if (seg == CPU_CS) {
		/* Limit and granularity stay ("unreal mode"); rights become read/write data. */
		s->attr = (uint16_t)((s->attr & 0xc000) | 0x93);
	}
}

bool seg_descriptor_fetch(struct soft_vcpu *v, uint16_t sel, uint64_t *raw, uint64_t *addr)
{
	uint64_t base, limit;

	if (sel & 4) {
		base = v->ldtr.base;
		limit = v->ldtr.attr & CPU_ATTR_P ? v->ldtr.limit : 0;
	} else {
		base = v->gdtr.base;
		limit = v->gdtr.limit;
	}
	if ((uint64_t)(sel & 0xfff8) + 7 > limit)
		return false;
	*addr = base + (sel & 0xfff8);
	*raw = soft_sys_load(v, *addr, 8);
	return true;
}

void seg_unpack(struct cpu_segment *s, uint16_t sel, uint64_t raw)
{
	s->selector = sel;
	s->base = ((raw >> 16) & 0xffffff) | ((raw >> 56) << 24);
	s->limit = (uint32_t)((raw & 0xffff) | ((raw >> 32) & 0xf0000));
	s->attr = (raw >> 40) & 0xf0ff;
	if (s->attr & CPU_ATTR_G)
		s->limit = s->limit << 12 | 0xfff;
}

void seg_mark_accessed(struct soft_vcpu *v, uint64_t addr, uint64_t *raw)
{
	if (*raw & (1ull << 40))
		return;
	*raw |= 1ull << 40;
	soft_sys_store(v, addr + 5, 1, *raw >> 40 & 0xff);
}

static unsigned attr_dpl(uint16_t attr)
{
	return (attr & CPU_ATTR_DPL) >> CPU_ATTR_DPL_SHIFT;
}

void soft_load_seg(struct soft_vcpu *v, unsigned seg, uint16_t sel)
{
	unsigned rpl = sel & 3;
	struct cpu_segment s;
	uint64_t raw, addr;
	uint16_t code = sel & 0xfffc;

	if (soft_real(v) || soft_vm86(v)) {
		soft_set_seg_real(v, seg, sel);
		return;
	}
	if (!(sel & 0xfffc)) {
		if (seg == CPU_SS && (v->mode != SOFT_MODE_64 || v->cpl == 3 || rpl != v->cpl))
			soft_gp(v, 0);
		v->seg[seg] = (struct cpu_segment) { .selector = sel };
		if (seg == CPU_SS) /* usable in 64-bit mode: stack checks are off there */
			v->seg[seg].attr = (uint16_t)(v->cpl << CPU_ATTR_DPL_SHIFT);
		return;
	}
	if (!seg_descriptor_fetch(v, sel, &raw, &addr))
		soft_gp(v, code);
	seg_unpack(&s, sel, raw);
	if (!(s.attr & CPU_ATTR_S))
		soft_gp(v, code);
	if (seg == CPU_SS) {
		if (rpl != v->cpl || attr_dpl(s.attr) != v->cpl || (s.attr & CPU_ATTR_CODE) ||
		    !(s.attr & CPU_ATTR_RW))
			soft_gp(v, code);
		if (!(s.attr & CPU_ATTR_P))
			soft_raise_code(v, X86_VEC_SS, code);
	} else {
		bool is_code = s.attr & CPU_ATTR_CODE;

		if (is_code && !(s.attr & CPU_ATTR_RW))
			soft_gp(v, code);
		if (!(is_code && (s.attr & CPU_ATTR_DC)) &&
		    MAX(rpl, (unsigned)v->cpl) > attr_dpl(s.attr))
			soft_gp(v, code);
		if (!(s.attr & CPU_ATTR_P))
			soft_raise_code(v, X86_VEC_NP, code);
	}
	seg_mark_accessed(v, addr, &raw);
	s.attr |= CPU_ATTR_ACCESSED;
	v->seg[seg] = s;
}

/* --- addresses ---------------------------------------------------------------------------- */

static NORETURN void seg_fault(struct soft_vcpu *v, unsigned seg)
{
	soft_raise_code(v, seg == CPU_SS ? X86_VEC_SS : X86_VEC_GP, 0);
}

uint64_t soft_seg_linear(struct soft_vcpu *v, unsigned seg, uint64_t off, unsigned size, bool write)
{
	const struct cpu_segment *s = &v->seg[seg];
	uint64_t last = off + size - 1;

	if (v->mode == SOFT_MODE_64)
		return seg >= CPU_FS ? s->base + off : off;
	if (!soft_real(v)) {
		if (!(s->attr & CPU_ATTR_P))
			seg_fault(v, seg);
		if (s->attr & CPU_ATTR_CODE ? write || !(s->attr & CPU_ATTR_RW)
					    : write && !(s->attr & CPU_ATTR_RW))
			seg_fault(v, seg);
	}
	if ((s->attr & (CPU_ATTR_CODE | CPU_ATTR_DC)) == CPU_ATTR_DC) {
		/* Expand-down: valid above the limit (SDM vol. 3A, 5.3). */
		if (off <= s->limit || last > (s->attr & CPU_ATTR_DB ? 0xffffffffull : 0xffffull))
			seg_fault(v, seg);
	} else if (last > s->limit) {
		seg_fault(v, seg);
	}
	return (uint32_t)(s->base + off);
}

uint64_t soft_ea_generic(struct soft_vcpu *v, const struct insn *in, unsigned size, bool write)
{
	uint64_t off = soft_reg(v, in->base) + (soft_reg(v, in->index) << in->scale) +
		       (uint64_t)(int64_t)in->disp;

	if (in->flags & INSN_ABS_RIP)
		off += v->block_va + in->end;
	return soft_seg_linear(v, in->seg, off & size_mask(in->asize), size, write);
}

/* --- code segments ------------------------------------------------------------------------ */

void seg_load_cs(struct soft_vcpu *v, uint16_t sel, uint64_t raw, uint64_t addr, unsigned cpl)
{
	struct cpu_segment s;

	seg_mark_accessed(v, addr, &raw);
	seg_unpack(&s, (uint16_t)((sel & 0xfffc) | cpl), raw);
	v->seg[CPU_CS] = s;
	v->cpl = (uint8_t)cpl;
	soft_update_mode(v);
}

void seg_check_rip(struct soft_vcpu *v, uint64_t raw, uint64_t off)
{
	struct cpu_segment s;

	seg_unpack(&s, 0, raw);
	if (soft_long(v) && (s.attr & CPU_ATTR_L)) {
		if ((uint64_t)((int64_t)(off << 16) >> 16) != off)
			soft_gp(v, 0);
	} else if (off > s.limit) {
		soft_gp(v, 0);
	}
}

/* A code descriptor for a direct far JMP or CALL: checks of SDM vol. 3A, 5.8.1. */
static void check_direct_code(struct soft_vcpu *v, uint16_t sel, uint64_t raw)
{
	unsigned dpl = raw >> 45 & 3, rpl = sel & 3;
	uint16_t code = sel & 0xfffc;

	if (raw & (1ull << 42)) { /* conforming */
		if (dpl > v->cpl)
			soft_gp(v, code);
	} else if (rpl > v->cpl || dpl != v->cpl) {
		soft_gp(v, code);
	}
	if (!(raw & (1ull << 47)))
		soft_raise_code(v, X86_VEC_NP, code);
	if (soft_long(v) && (raw & (1ull << 53)) && (raw & (1ull << 54)))
		soft_gp(v, code);
}

static bool is_code(uint64_t raw)
{
	return (raw & (1ull << 44)) && (raw & (1ull << 43));
}

static void far_real(struct soft_vcpu *v, uint16_t sel, uint64_t off)
{
	if (off > v->seg[CPU_CS].limit)
		soft_gp(v, 0);
	soft_set_seg_real(v, CPU_CS, sel);
	v->rip = off;
	soft_update_mode(v);
}

/** What a call gate leads to. */
struct gate {
	uint16_t sel;
	uint64_t off, raw, addr; /* target and its code descriptor */
	unsigned params, dpl;
	bool wide; /* 32-bit (or 64-bit) gate */
};

/* Resolve the call gate @raw at @addr with checks of SDM vol. 3A, 5.8.4. */
static struct gate call_gate(struct soft_vcpu *v, uint16_t sel, uint64_t raw, uint64_t addr,
			     bool jump)
{
	unsigned type = raw >> 40 & 0x1f, gdpl = raw >> 45 & 3, rpl = sel & 3;
	uint16_t code = sel & 0xfffc;
	struct gate g = { .sel = (uint16_t)(raw >> 16),
			  .off = (raw & 0xffff) | (raw >> 48 << 16),
			  .params = raw >> 32 & 31,
			  .wide = type == X86_DESC_CALL_GATE };

	if (type != X86_DESC_CALL_GATE && (type != X86_DESC_CALL_GATE16 || soft_long(v))) {
		if (type == X86_DESC_TASK_GATE || (type & ~2u) == X86_DESC_TSS_AVAIL ||
		    (type & ~2u) == X86_DESC_TSS16_AVAIL)
			log_guest(&v->vm->log, "soft", "vCPU %u: a task switch is not supported",
				  v->id);
		soft_gp(v, code);
	}
	if (gdpl < v->cpl || gdpl < rpl)
		soft_gp(v, code);
	if (!(raw & (1ull << 47)))
		soft_raise_code(v, X86_VEC_NP, code);
	if (!g.wide)
		g.off &= 0xffff;
	if (soft_long(v))
		g.off |= soft_sys_load(v, addr + 8, 8) << 32;
	if (!(g.sel & 0xfffc))
		soft_gp(v, 0);
	if (!seg_descriptor_fetch(v, g.sel, &g.raw, &g.addr))
		soft_gp(v, g.sel & 0xfffc);
	g.dpl = g.raw >> 45 & 3;
	if (!is_code(g.raw) || g.dpl > v->cpl ||
	    (jump && !(g.raw & (1ull << 42)) && g.dpl != v->cpl))
		soft_gp(v, g.sel & 0xfffc);
	if (soft_long(v) && (!(g.raw & (1ull << 53)) || (g.raw & (1ull << 54))))
		soft_gp(v, g.sel & 0xfffc);
	if (!(g.raw & (1ull << 47)))
		soft_raise_code(v, X86_VEC_NP, g.sel & 0xfffc);
	return g;
}

void soft_far_jmp(struct soft_vcpu *v, uint16_t sel, uint64_t off, unsigned size UNUSED)
{
	uint64_t raw, addr;

	if (soft_real(v) || soft_vm86(v)) {
		far_real(v, sel, off);
		return;
	}
	if (!(sel & 0xfffc))
		soft_gp(v, 0);
	if (!seg_descriptor_fetch(v, sel, &raw, &addr))
		soft_gp(v, sel & 0xfffc);
	if (is_code(raw)) {
		check_direct_code(v, sel, raw);
	} else {
		struct gate g;

		if (raw & (1ull << 44))
			soft_gp(v, sel & 0xfffc);
		g = call_gate(v, sel, raw, addr, true);
		sel = g.sel;
		off = g.off;
		raw = g.raw;
		addr = g.addr;
	}
	seg_check_rip(v, raw, off);
	seg_load_cs(v, sel, raw, addr, v->cpl);
	v->rip = off;
}

/* The inner stack for privilege @cpl from the TSS: SDM vol. 3A, 7.2.1 and 7.7. */
uint64_t seg_inner_stack(struct soft_vcpu *v, unsigned cpl, uint16_t *ss)
{
	bool wide = (v->tr.attr & CPU_ATTR_TYPE) >= X86_DESC_TSS_AVAIL;
	uint32_t off;

	*ss = 0;
	if (soft_long(v)) {
		off = 4 + cpl * 8;
		if (off + 7 > v->tr.limit)
			soft_raise_code(v, X86_VEC_TS, v->tr.selector & 0xfffc);
		return soft_sys_load(v, v->tr.base + off, 8);
	}
	off = wide ? 4 + cpl * 8 : 2 + cpl * 4;
	if (off + (wide ? 5 : 3) > v->tr.limit)
		soft_raise_code(v, X86_VEC_TS, v->tr.selector & 0xfffc);
	*ss = (uint16_t)soft_sys_load(v, v->tr.base + off + (wide ? 4 : 2), 2);
	return soft_sys_load(v, v->tr.base + off, wide ? 4 : 2);
}

/* A stack segment for an inner ring; faults are #TS: SDM vol. 3A, 6.15, interrupt 10. */
void seg_check_inner_ss(struct soft_vcpu *v, uint16_t sel, unsigned cpl, uint32_t ext,
			struct cpu_segment *out)
{
	uint32_t code = (sel & 0xfffcu) | ext;
	uint64_t raw, addr;

	if (!(sel & 0xfffc))
		soft_raise_code(v, X86_VEC_TS, ext);
	if (!seg_descriptor_fetch(v, sel, &raw, &addr))
		soft_raise_code(v, X86_VEC_TS, code);
	seg_unpack(out, sel, raw);
	if ((sel & 3) != cpl || attr_dpl(out->attr) != cpl || !(out->attr & CPU_ATTR_S) ||
	    (out->attr & CPU_ATTR_CODE) || !(out->attr & CPU_ATTR_RW))
		soft_raise_code(v, X86_VEC_TS, code);
	if (!(out->attr & CPU_ATTR_P))
		soft_raise_code(v, X86_VEC_SS, code);
	seg_mark_accessed(v, addr, &raw);
	out->attr |= CPU_ATTR_ACCESSED;
}

void seg_push(struct soft_vcpu *v, struct seg_stack *st, uint64_t val, unsigned size)
{
	uint64_t at;

	st->sp = (st->sp - size) & st->mask;
	at = st->sp;
	if (!st->flat) {
		bool down = (st->ss.attr & (CPU_ATTR_CODE | CPU_ATTR_DC)) == CPU_ATTR_DC;
		uint64_t last = at + size - 1;

		if (down ? at <= st->ss.limit : last > st->ss.limit)
			soft_raise_code(v, X86_VEC_SS, st->ss_code);
		at = (uint32_t)(at + st->ss.base);
	} else if ((uint64_t)((int64_t)(at << 16) >> 16) != at) {
		soft_raise_code(v, X86_VEC_SS, st->ss_code);
	}
	soft_store_slow(v, at, size, val, st->cpl == 3 ? SOFT_MMU_USER : SOFT_MMU_KERNEL);
}

static void call_inner(struct soft_vcpu *v, const struct gate *g, uint64_t next)
{
	unsigned size = soft_long(v) ? 8 : g->wide ? 4 : 2;
	uint16_t ss, old_ss = v->seg[CPU_SS].selector, old_cs = v->seg[CPU_CS].selector;
	uint64_t old_sp = v->r[CPU_RSP], sp = seg_inner_stack(v, g->dpl, &ss);
	struct seg_stack st = { .sp = sp, .flat = soft_long(v), .cpl = g->dpl, .mask = UINT64_MAX };

	if (!st.flat) {
		seg_check_inner_ss(v, ss, g->dpl, 0, &st.ss);
		st.mask = st.ss.attr & CPU_ATTR_DB ? 0xffffffff : 0xffff;
		st.ss_code = ss & 0xfffc;
	}
	seg_check_rip(v, g->raw, g->off);
	seg_push(v, &st, old_ss, size);
	seg_push(v, &st, old_sp, size);
	for (unsigned i = g->params; i-- > 0 && !st.flat;) {
		uint64_t off = (old_sp + i * size) & size_mask(soft_stack_size(v));

		seg_push(v, &st, soft_load(v, soft_seg_linear(v, CPU_SS, off, size, false), size),
			 size);
	}
	seg_push(v, &st, old_cs, size);
	seg_push(v, &st, next, size);
	seg_load_cs(v, g->sel, g->raw, g->addr, g->dpl);
	if (st.flat)
		v->seg[CPU_SS] = (struct cpu_segment) {
			.selector = (uint16_t)g->dpl,
			.attr = (uint16_t)(g->dpl << CPU_ATTR_DPL_SHIFT),
		};
	else
		v->seg[CPU_SS] = st.ss;
	op_put(v, CPU_RSP * 8, st.flat ? 8 : st.mask == 0xffff ? 2 : 4, st.sp);
	v->rip = g->off;
	soft_update_mode(v);
}

void soft_far_call(struct soft_vcpu *v, uint16_t sel, uint64_t off, unsigned size, uint64_t next)
{
	uint64_t raw, addr, old_sp = v->r[CPU_RSP];
	uint16_t cs = v->seg[CPU_CS].selector;

	if (soft_real(v) || soft_vm86(v)) {
		struct seg_stack st = seg_current_stack(v);

		if (off > v->seg[CPU_CS].limit)
			soft_gp(v, 0);
		seg_push(v, &st, cs, size);
		seg_push(v, &st, next, size);
		op_put(v, CPU_RSP * 8, soft_stack_size(v), st.sp);
		far_real(v, sel, off);
		return;
	}
	(void)old_sp;
	if (!(sel & 0xfffc))
		soft_gp(v, 0);
	if (!seg_descriptor_fetch(v, sel, &raw, &addr))
		soft_gp(v, sel & 0xfffc);
	if (is_code(raw)) {
		check_direct_code(v, sel, raw);
	} else {
		struct gate g;

		if (raw & (1ull << 44))
			soft_gp(v, sel & 0xfffc);
		g = call_gate(v, sel, raw, addr, false);
		if (!(g.raw & (1ull << 42)) && g.dpl < v->cpl) {
			call_inner(v, &g, next);
			return;
		}
		sel = g.sel;
		off = g.off;
		raw = g.raw;
		addr = g.addr;
		size = soft_long(v) ? 8 : g.wide ? 4 : 2;
	}
	seg_check_rip(v, raw, off);
	{
		struct seg_stack st = seg_current_stack(v);
		unsigned ss = soft_stack_size(v);

		seg_push(v, &st, cs, size);
		seg_push(v, &st, next, size);
		seg_load_cs(v, sel, raw, addr, v->cpl);
		op_put(v, CPU_RSP * 8, ss, st.sp);
	}
	v->rip = off;
}

struct seg_stack seg_current_stack(const struct soft_vcpu *v)
{
	return (struct seg_stack) { .sp = v->r[CPU_RSP] & size_mask(soft_stack_size(v)),
				    .mask = size_mask(soft_stack_size(v)),
				    .flat = v->mode == SOFT_MODE_64,
				    .cpl = v->cpl,
				    .ss = v->seg[CPU_SS] };
}

/* Outward returns drop segments the outer ring may not hold: SDM vol. 2, RET. */
void seg_drop_inner(struct soft_vcpu *v)
{
	static const uint8_t data[] = { CPU_ES, CPU_DS, CPU_FS, CPU_GS };

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
		struct cpu_segment *s = &v->seg[data[i]];
		bool conforming = (s->attr & CPU_ATTR_CODE) && (s->attr & CPU_ATTR_DC);

		if ((s->attr & CPU_ATTR_P) && !conforming && attr_dpl(s->attr) < v->cpl) {
			uint64_t base = soft_long(v) ? s->base : 0;

			*s = (struct cpu_segment) { .base = base };
		}
	}
}

/* Word @i of the stack frame at RSP, without moving RSP. */
static uint64_t frame_word(struct soft_vcpu *v, unsigned i, unsigned size)
{
	uint64_t sp = v->r[CPU_RSP] + (uint64_t)i * size;

	if (v->mode != SOFT_MODE_64)
		sp = soft_seg_linear(v, CPU_SS, sp & size_mask(soft_stack_size(v)), size, false);
	return soft_load(v, sp, size);
}

/* The outer SS of a far return or IRET: checks; *@out is what to load. */
void seg_check_outer_ss(struct soft_vcpu *v, uint16_t ss, unsigned rpl, bool to64,
			struct cpu_segment *out)
{
	uint64_t raw, addr;

	if (!(ss & 0xfffc)) {
		if (!to64 || rpl == 3 || (ss & 3) != rpl)
			soft_gp(v, 0);
		*out = (struct cpu_segment) { .selector = ss,
					      .attr = (uint16_t)(rpl << CPU_ATTR_DPL_SHIFT) };
		return;
	}
	if (!seg_descriptor_fetch(v, ss, &raw, &addr))
		soft_gp(v, ss & 0xfffc);
	seg_unpack(out, ss, raw);
	if ((ss & 3) != rpl || attr_dpl(out->attr) != rpl || !(out->attr & CPU_ATTR_S) ||
	    (out->attr & CPU_ATTR_CODE) || !(out->attr & CPU_ATTR_RW))
		soft_gp(v, ss & 0xfffc);
	if (!(out->attr & CPU_ATTR_P))
		soft_raise_code(v, X86_VEC_SS, ss & 0xfffc);
	seg_mark_accessed(v, addr, &raw);
	out->attr |= CPU_ATTR_ACCESSED;
}

/* Code descriptor of a return to @cs: checks of SDM vol. 2, RET and IRET. */
void seg_check_return_cs(struct soft_vcpu *v, uint16_t cs, uint64_t *raw, uint64_t *addr)
{
	unsigned rpl = cs & 3, dpl;

	if (!(cs & 0xfffc))
		soft_gp(v, 0);
	if (!seg_descriptor_fetch(v, cs, raw, addr))
		soft_gp(v, cs & 0xfffc);
	dpl = *raw >> 45 & 3;
	if (!is_code(*raw) || rpl < v->cpl || (*raw & (1ull << 42) ? dpl > rpl : dpl != rpl))
		soft_gp(v, cs & 0xfffc);
	if (soft_long(v) && (*raw & (1ull << 53)) && (*raw & (1ull << 54)))
		soft_gp(v, cs & 0xfffc);
	if (!(*raw & (1ull << 47)))
		soft_raise_code(v, X86_VEC_NP, cs & 0xfffc);
}

void soft_far_ret(struct soft_vcpu *v, unsigned size, unsigned pop_bytes)
{
	uint64_t rip = frame_word(v, 0, size), raw, addr, sp;
	uint16_t cs = (uint16_t)frame_word(v, 1, size);
	unsigned ss_size = soft_stack_size(v), rpl = cs & 3;

	if (soft_real(v) || soft_vm86(v)) {
		far_real(v, cs, rip);
		op_put(v, CPU_RSP * 8, ss_size, v->r[CPU_RSP] + 2 * size + pop_bytes);
		return;
	}
	seg_check_return_cs(v, cs, &raw, &addr);
	seg_check_rip(v, raw, rip);
	sp = v->r[CPU_RSP] + 2 * size + pop_bytes;
	if (rpl == v->cpl) {
		seg_load_cs(v, cs, raw, addr, rpl);
		op_put(v, CPU_RSP * 8, ss_size, sp);
	} else {
		struct cpu_segment ss;
		uint64_t word_sp = v->r[CPU_RSP], new_sp;
		uint16_t sel;

		v->r[CPU_RSP] = (sp & size_mask(ss_size)) | (word_sp & ~size_mask(ss_size));
		/* Read the outer stack pointer behind the parameters; RSP is put back on faults. */
		v->r[CPU_RSP] = word_sp;
		{
			uint64_t at = sp & size_mask(ss_size),
				 at2 = (sp + size) & size_mask(ss_size);

			if (v->mode != SOFT_MODE_64) {
				at = soft_seg_linear(v, CPU_SS, at, size, false);
				at2 = soft_seg_linear(v, CPU_SS, at2, size, false);
			}
			new_sp = soft_load(v, at, size);
			sel = (uint16_t)soft_load(v, at2, size);
		}
		seg_check_outer_ss(v, sel, rpl, soft_long(v) && (raw & (1ull << 53)), &ss);
		seg_load_cs(v, cs, raw, addr, rpl);
		v->seg[CPU_SS] = ss;
		soft_update_mode(v);
		op_put(v, CPU_RSP * 8,
		       v->mode == SOFT_MODE_64 ? 8
		       : ss.attr & CPU_ATTR_DB ? 4
					       : 2,
		       new_sp + pop_bytes);
		seg_drop_inner(v);
	}
	v->rip = rip;
}

/* --- LLDT, LTR, LAR and kin ---------------------------------------------------------------- */

/* A system descriptor for LLDT or LTR; 16 bytes in long mode. */
static uint64_t system_descriptor(struct soft_vcpu *v, uint16_t sel, struct cpu_segment *s,
				  uint64_t *addr)
{
	uint64_t raw, high = 0;

	if (sel & 4)
		soft_gp(v, sel & 0xfffc);
	if (!seg_descriptor_fetch(v, sel, &raw, addr))
		soft_gp(v, sel & 0xfffc);
	if (soft_long(v)) {
		if ((uint64_t)(sel & 0xfff8) + 15 > v->gdtr.limit)
			soft_gp(v, sel & 0xfffc);
		high = soft_sys_load(v, *addr + 8, 8);
	}
	seg_unpack(s, sel, raw);
	s->base |= (high & 0xffffffff) << 32;
	return raw;
}

void soft_lldt(struct soft_vcpu *v, uint16_t sel)
{
	struct cpu_segment s;
	uint64_t addr;

	if (!(sel & 0xfffc)) {
		v->ldtr = (struct cpu_segment) { .selector = sel };
		return;
	}
	(void)system_descriptor(v, sel, &s, &addr);
	if ((s.attr & (CPU_ATTR_S | CPU_ATTR_TYPE)) != X86_DESC_LDT)
		soft_gp(v, sel & 0xfffc);
	if (!(s.attr & CPU_ATTR_P))
		soft_raise_code(v, X86_VEC_NP, sel & 0xfffc);
	v->ldtr = s;
}

void soft_ltr(struct soft_vcpu *v, uint16_t sel)
{
	struct cpu_segment s;
	uint64_t addr, raw;
	unsigned type;

	if (!(sel & 0xfffc))
		soft_gp(v, 0);
	raw = system_descriptor(v, sel, &s, &addr);
	type = s.attr & (CPU_ATTR_S | CPU_ATTR_TYPE);
	if (type != X86_DESC_TSS_AVAIL && (type != X86_DESC_TSS16_AVAIL || soft_long(v)))
		soft_gp(v, sel & 0xfffc);
	if (!(s.attr & CPU_ATTR_P))
		soft_raise_code(v, X86_VEC_NP, sel & 0xfffc);
	soft_sys_store(v, addr + 5, 1, (raw >> 40 & 0xff) | 2);
	s.attr |= 2;
	v->tr = s;
}

/* Whether LAR or LSL accept a system descriptor's type: SDM vol. 2, LAR table 3-52, LSL 3-56. */
static bool system_type_ok(const struct soft_vcpu *v, unsigned type, unsigned what)
{
	uint16_t lar = soft_long(v) ? 0x1a04 : 0x1a3e, lsl = soft_long(v) ? 0x0a04 : 0x0a0e;

	return (what == SYS_LAR ? lar : what == SYS_LSL ? lsl : 0) >> type & 1;
}

bool soft_descriptor_query(struct soft_vcpu *v, uint16_t sel, unsigned what, uint64_t *out)
{
	struct cpu_segment s;
	uint64_t raw, addr;
	bool code, conforming;

	if (!(sel & 0xfffc) || !seg_descriptor_fetch(v, sel, &raw, &addr))
		return false;
	seg_unpack(&s, sel, raw);
	code = s.attr & CPU_ATTR_CODE;
	conforming = (s.attr & CPU_ATTR_S) && code && (s.attr & CPU_ATTR_DC);
	if (!(s.attr & CPU_ATTR_S) && !system_type_ok(v, s.attr & CPU_ATTR_TYPE, what))
		return false;
	if (!conforming && MAX((unsigned)v->cpl, sel & 3u) > attr_dpl(s.attr))
		return false;
	if (what == SYS_VERR)
		return !code || (s.attr & CPU_ATTR_RW);
	if (what == SYS_VERW)
		return !code && (s.attr & CPU_ATTR_RW);
	*out = what == SYS_LSL ? s.limit : (raw >> 32) & 0xffff00;
	return true;
}
