/* SPDX-License-Identifier: MIT */
/*
 * Events: exceptions, interrupts, IRET, and the fast system calls.
 *
 * Follows SDM vol. 3A, chapter 6 (6.12 and 6.14 for delivery) and the pseudo-code of INT, IRET,
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT in vol. 2; where vendors differ, v->intel decides.
 */
#include "cpu/soft/ops.h"
#include "cpu/soft/seg.h"

void soft_raise(struct soft_vcpu *v, unsigned vector)
{
	v->raise_vector = (uint8_t)vector;
	v->raise_has_code = false;
	v->raise_code = 0;
	longjmp(v->fault, 1);
}

void soft_raise_code(struct soft_vcpu *v, unsigned vector, uint32_t code)
{
	v->raise_vector = (uint8_t)vector;
	v->raise_has_code = true;
	v->raise_code = code;
	longjmp(v->fault, 1);
}

/* --- delivery ------------------------------------------------------------------------------ */

static void deliver_real(struct soft_vcpu *v, unsigned vector)
{
	struct seg_stack st = seg_current_stack(v);
	uint32_t entry;

	if (vector * 4 + 3u > v->idtr.limit)
		soft_gp(v, vector * 8 + 2);
	entry = (uint32_t)soft_sys_load(v, v->idtr.base + vector * 4, 4);
	seg_push(v, &st, soft_rflags(v) & 0xffff, 2);
	seg_push(v, &st, v->seg[CPU_CS].selector, 2);
	seg_push(v, &st, v->rip, 2);
	op_put(v, CPU_RSP * 8, soft_stack_size(v), st.sp);
	soft_set_seg_real(v, CPU_CS, entry >> 16);
	v->rip = entry & 0xffff;
	soft_set_rflags(v, soft_rflags(v) & ~(X86_FLAG_IF | X86_FLAG_TF | X86_FLAG_AC));
	soft_update_mode(v);
}

/** An IDT gate and the code segment behind it, checked. */
struct idt_gate {
	uint16_t sel;
	uint64_t off, raw, addr;
	unsigned type, ist, cpl; /* cpl: of the handler */
	unsigned size;		 /* of pushed words */
};

static struct idt_gate read_gate(struct soft_vcpu *v, unsigned vector, enum soft_event how,
				 uint32_t ext)
{
	bool lm = soft_long(v),
	     software = how == SOFT_EVENT_SOFTWARE || how == SOFT_EVENT_INT3_INTO;
	unsigned esize = lm ? 16 : 8;
	uint32_t code = vector * 8 + 2 + ext;
	struct idt_gate g = { 0 };
	uint64_t lo, hi = 0;

	if (vector * esize + esize - 1 > v->idtr.limit)
		soft_gp(v, code);
	lo = soft_sys_load(v, v->idtr.base + vector * esize, 8);
	if (lm)
		hi = soft_sys_load(v, v->idtr.base + vector * esize + 8, 8);
	g.type = lo >> 40 & 0x1f;
	if (g.type == X86_DESC_TASK_GATE && !lm)
		log_guest(&v->vm->log, "soft",
			  "vCPU %u: vector %u has a task gate, which is not supported", v->id,
			  vector);
	if (g.type != X86_DESC_INT_GATE && g.type != X86_DESC_TRAP_GATE &&
	    (lm || (g.type != X86_DESC_INT_GATE16 && g.type != X86_DESC_TRAP_GATE16)))
		soft_gp(v, code);
	if (software && (lo >> 45 & 3) < v->cpl)
		soft_gp(v, code);
	if (!(lo & (1ull << 47)))
		soft_raise_code(v, X86_VEC_NP, code);
	g.size = lm ? 8 : g.type >= X86_DESC_INT_GATE ? 4 : 2;
	g.sel = lo >> 16 & 0xffff;
	g.off = (lo & 0xffff) | (lo >> 48 << 16);
	if (g.size == 2)
		g.off &= 0xffff;
	if (lm) {
		g.off |= (hi & 0xffffffff) << 32;
		g.ist = lo >> 32 & 7;
	}
	if (!(g.sel & 0xfffc))
		soft_gp(v, ext);
	if (!seg_descriptor_fetch(v, g.sel, &g.raw, &g.addr))
		soft_gp(v, (g.sel & 0xfffcu) + ext);
	if (!(g.raw & (1ull << 44)) || !(g.raw & (1ull << 43)) || (g.raw >> 45 & 3) > v->cpl)
		soft_gp(v, (g.sel & 0xfffcu) + ext);
	if (lm && (!(g.raw & (1ull << 53)) || (g.raw & (1ull << 54))))
		soft_gp(v, (g.sel & 0xfffcu) + ext);
	if (!(g.raw & (1ull << 47)))
		soft_raise_code(v, X86_VEC_NP, (g.sel & 0xfffcu) + ext);
	g.cpl = g.raw & (1ull << 42) ? v->cpl : (unsigned)(g.raw >> 45 & 3);
	if (soft_vm86(v) && g.cpl != 0)
		soft_gp(v, (g.sel & 0xfffcu) + ext);
	return g;
}

/* Interrupt Stack Table entry: SDM vol. 3A, 6.14.5. */
static uint64_t ist_stack(struct soft_vcpu *v, unsigned ist)
{
	uint32_t off = 28 + ist * 8;

	if (off + 7 > v->tr.limit)
		soft_raise_code(v, X86_VEC_TS, v->tr.selector & 0xfffc);
	return soft_sys_load(v, v->tr.base + off, 8);
}

static struct seg_stack event_stack(struct soft_vcpu *v, const struct idt_gate *g, uint32_t ext)
{
	struct seg_stack st = { .mask = UINT64_MAX, .cpl = g->cpl, .ss_code = ext };
	uint16_t ss;

	if (soft_long(v)) {
		st.flat = true;
		if (g->ist)
			st.sp = ist_stack(v, g->ist);
		else if (g->cpl != v->cpl)
			st.sp = seg_inner_stack(v, g->cpl, &ss);
		else
			st.sp = v->r[CPU_RSP];
		if ((uint64_t)((int64_t)(st.sp << 16) >> 16) != st.sp)
			soft_raise_code(v, X86_VEC_SS, ext);
		st.sp &= ~15ull;
		return st;
	}
	if (g->cpl == v->cpl && !soft_vm86(v)) {
		st = seg_current_stack(v);
		st.ss_code = ext;
		return st;
	}
	st.sp = seg_inner_stack(v, g->cpl, &ss);
	seg_check_inner_ss(v, ss, g->cpl, ext, &st.ss);
	st.mask = st.ss.attr & CPU_ATTR_DB ? 0xffffffff : 0xffff;
	st.sp &= st.mask;
	st.ss_code = (ss & 0xfffcu) + ext;
	return st;
}

void soft_deliver(struct soft_vcpu *v, unsigned vector, enum soft_event how, bool has_code,
		  uint32_t code)
{
	uint32_t ext = how == SOFT_EVENT_SOFTWARE || how == SOFT_EVENT_INT3_INTO ? 0 : 1;
	bool was_vm86 = soft_vm86(v), change;
	struct idt_gate g;
	struct seg_stack st;
	uint64_t fl = soft_rflags(v);

	v->step_armed = false;
	if (soft_real(v)) {
		deliver_real(v, vector);
		return;
	}
	g = read_gate(v, vector, how, ext);
	st = event_stack(v, &g, ext);
	change = g.cpl != v->cpl || was_vm86;
	seg_check_rip(v, g.raw, g.off);
	/* Faults show RF set, so that an instruction breakpoint does not hit again. */
	if (how == SOFT_EVENT_EXCEPTION && vector != X86_VEC_DB && vector != X86_VEC_DF)
		fl |= X86_FLAG_RF;
	if (was_vm86) {
		seg_push(v, &st, v->seg[CPU_GS].selector, g.size);
		seg_push(v, &st, v->seg[CPU_FS].selector, g.size);
		seg_push(v, &st, v->seg[CPU_DS].selector, g.size);
		seg_push(v, &st, v->seg[CPU_ES].selector, g.size);
	}
	if (change || st.flat) {
		seg_push(v, &st, v->seg[CPU_SS].selector, g.size);
		seg_push(v, &st, v->r[CPU_RSP], g.size);
	}
	seg_push(v, &st, fl, g.size);
	seg_push(v, &st, v->seg[CPU_CS].selector, g.size);
	seg_push(v, &st, v->rip, g.size);
	if (has_code)
		seg_push(v, &st, code, g.size);
	fl &= ~(X86_FLAG_TF | X86_FLAG_NT | X86_FLAG_RF | X86_FLAG_VM);
	if (!(g.type & 1)) /* interrupt gates have even types */
		fl &= ~X86_FLAG_IF;
	soft_set_rflags(v, fl);
	seg_load_cs(v, g.sel, g.raw, g.addr, g.cpl);
	if (st.flat) {
		if (change)
			v->seg[CPU_SS] = (struct cpu_segment) {
				.selector = (uint16_t)g.cpl,
				.attr = (uint16_t)(g.cpl << CPU_ATTR_DPL_SHIFT),
			};
		v->r[CPU_RSP] = st.sp;
	} else {
		if (change)
			v->seg[CPU_SS] = st.ss;
		if (was_vm86)
			for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
				if (i != CPU_CS && i != CPU_SS)
					v->seg[i] = (struct cpu_segment) { 0 };
		op_put(v, CPU_RSP * 8, st.mask == 0xffff ? 2 : 4, st.sp);
	}
	v->rip = g.off;
	soft_update_mode(v);
}

/* --- IRET ------------------------------------------------------------------------------------ */

/* Word @i of the frame at RSP. */
static uint64_t frame_word(struct soft_vcpu *v, unsigned i, unsigned size)
{
	uint64_t sp = v->r[CPU_RSP] + (uint64_t)i * size;

	if (v->mode != SOFT_MODE_64)
		sp = soft_seg_linear(v, CPU_SS, sp & size_mask(soft_stack_size(v)), size, false);
	return soft_load(v, sp, size);
}

/* RFLAGS that an IRET at the current CPL may change, of @fl with operand size @size. */
static uint64_t iret_flags(const struct soft_vcpu *v, uint64_t fl, unsigned size)
{
	uint64_t change = X86_FLAGS_ARITH | X86_FLAG_TF | X86_FLAG_DF | X86_FLAG_NT;
	unsigned iopl = (v->rf & X86_FLAG_IOPL) >> X86_FLAG_IOPL_SHIFT;

	if (size >= 4)
		change |= X86_FLAG_RF | X86_FLAG_AC | X86_FLAG_ID;
	if (v->cpl <= iopl)
		change |= X86_FLAG_IF;
	if (v->cpl == 0)
		change |= X86_FLAG_IOPL;
	return (soft_rflags(v) & ~change) | (fl & change);
}

static void iret_real(struct soft_vcpu *v, unsigned size)
{
	uint64_t rip = frame_word(v, 0, size), fl = frame_word(v, 2, size);
	uint16_t cs = (uint16_t)frame_word(v, 1, size);
	uint64_t keep = X86_FLAG_VM | X86_FLAG_VIF | X86_FLAG_VIP;

	if (soft_vm86(v)) {
		if ((v->rf & X86_FLAG_IOPL) != X86_FLAG_IOPL)
			soft_gp(v, 0);
		keep |= X86_FLAG_IOPL;
	}
	if (rip > v->seg[CPU_CS].limit)
		soft_gp(v, 0);
	op_put(v, CPU_RSP * 8, soft_stack_size(v), v->r[CPU_RSP] + 3 * size);
	if (size == 2)
		keep |= ~0xffffull;
	soft_set_rflags(v, (soft_rflags(v) & keep) | (fl & ~keep));
	soft_set_seg_real(v, CPU_CS, cs);
	v->rip = rip;
	soft_update_mode(v);
}

static void iret_to_vm86(struct soft_vcpu *v, uint64_t rip, uint16_t cs, uint64_t fl)
{
	static const uint8_t order[] = { CPU_ES, CPU_DS, CPU_FS, CPU_GS };
	uint64_t sp = frame_word(v, 3, 4);
	uint16_t ss = (uint16_t)frame_word(v, 4, 4), sel[4];

	for (unsigned i = 0; i < 4; i++)
		sel[i] = (uint16_t)frame_word(v, 5 + i, 4);
	soft_set_rflags(v, fl);
	for (unsigned i = 0; i < 4; i++)
		soft_set_seg_real(v, order[i], sel[i]);
	soft_set_seg_real(v, CPU_CS, cs);
	soft_set_seg_real(v, CPU_SS, ss);
	v->r[CPU_RSP] = (uint32_t)sp;
	v->rip = rip & 0xffff;
	soft_update_mode(v);
}

void soft_iret(struct soft_vcpu *v, unsigned size)
{
	uint64_t rip, fl, raw, addr, sp = 0;
	uint16_t cs, ss_sel = 0;
	bool to64, outer, pops_stack;
	unsigned rpl;
	struct cpu_segment ss = { 0 };

	v->nmi_masked = false;
	if (soft_real(v) || soft_vm86(v)) {
		iret_real(v, size);
		return;
	}
	if (v->rf & X86_FLAG_NT) {
		if (!soft_long(v))
			log_guest(&v->vm->log, "soft",
				  "vCPU %u: IRET from a nested task is not supported", v->id);
		soft_gp(v, 0);
	}
	rip = frame_word(v, 0, size);
	cs = (uint16_t)frame_word(v, 1, size);
	fl = frame_word(v, 2, size);
	if ((fl & X86_FLAG_VM) && v->cpl == 0 && size == 4 && !soft_long(v)) {
		iret_to_vm86(v, rip, cs, fl);
		return;
	}
	seg_check_return_cs(v, cs, &raw, &addr);
	rpl = cs & 3;
	outer = rpl != v->cpl;
	to64 = soft_long(v) && (raw & (1ull << 53));
	/* In 64-bit mode SS:RSP are popped always: SDM vol. 3A, 6.14.3. */
	pops_stack = outer || v->mode == SOFT_MODE_64;
	seg_check_rip(v, raw, rip);
	if (pops_stack) {
		sp = frame_word(v, 3, size);
		ss_sel = (uint16_t)frame_word(v, 4, size);
		seg_check_outer_ss(v, ss_sel, rpl, to64, &ss);
	}
	{
		unsigned ss_size = soft_stack_size(v);
		uint64_t nfl = iret_flags(v, fl, size);

		seg_load_cs(v, cs, raw, addr, rpl);
		if (pops_stack) {
			v->seg[CPU_SS] = ss;
			op_put(v, CPU_RSP * 8,
			       to64 || size == 8       ? 8
			       : ss.attr & CPU_ATTR_DB ? 4
						       : 2,
			       sp);
		} else {
			op_put(v, CPU_RSP * 8, ss_size, v->r[CPU_RSP] + 3 * size);
		}
		soft_set_rflags(v, nfl);
	}
	v->rip = rip;
	if (outer)
		seg_drop_inner(v);
	soft_update_mode(v);
}

/* --- fast system calls ----------------------------------------------------------------------- */

/* A flat code segment as SYSCALL and kin make it. */
static struct cpu_segment flat_code(uint16_t sel, unsigned dpl, bool is64)
{
	return (struct cpu_segment) { .selector = sel,
				      .limit = 0xffffffff,
				      .attr = (uint16_t)(0x809b | (dpl << CPU_ATTR_DPL_SHIFT) |
							 (is64 ? CPU_ATTR_L : CPU_ATTR_DB)) };
}

static struct cpu_segment flat_data(uint16_t sel, unsigned dpl)
{
	return (struct cpu_segment) { .selector = sel,
				      .limit = 0xffffffff,
				      .attr = (uint16_t)(0xc093 | (dpl << CPU_ATTR_DPL_SHIFT)) };
}

static void enter_ring(struct soft_vcpu *v, struct cpu_segment cs, struct cpu_segment ss,
		       unsigned cpl)
{
	v->seg[CPU_CS] = cs;
	v->seg[CPU_SS] = ss;
	v->cpl = (uint8_t)cpl;
}

void soft_syscall(struct soft_vcpu *v, uint64_t next)
{
	uint16_t sel = v->star >> 32 & 0xfffc;

	if (!(v->efer & X86_EFER_SCE) || soft_real(v))
		soft_ud(v);
	if (v->intel && v->mode != SOFT_MODE_64)
		soft_ud(v);
	v->step_armed = false;
	v->r[CPU_RCX] = soft_long(v) ? next : (uint32_t)next;
	if (soft_long(v)) {
		v->r[CPU_R11] = soft_rflags(v) & ~X86_FLAG_RF;
		v->rip = v->mode == SOFT_MODE_64 ? v->lstar : v->cstar;
		enter_ring(v, flat_code(sel, 0, true), flat_data((uint16_t)(sel + 8), 0), 0);
		soft_set_rflags(v, soft_rflags(v) & ~v->sfmask & ~X86_FLAG_RF);
	} else {
		v->rip = (uint32_t)v->star;
		enter_ring(v, flat_code(sel, 0, false), flat_data((uint16_t)(sel + 8), 0), 0);
		soft_set_rflags(v, soft_rflags(v) & ~(X86_FLAG_VM | X86_FLAG_IF | X86_FLAG_RF));
	}
	soft_update_mode(v);
}

void soft_sysret(struct soft_vcpu *v, unsigned size)
{
	uint16_t sel = v->star >> 48 & 0xffff;
	uint64_t rcx = v->r[CPU_RCX];

	if (!(v->efer & X86_EFER_SCE) || (v->intel && v->mode != SOFT_MODE_64) || soft_real(v))
		soft_ud(v);
	op_need_cpl0(v);
	if (size == 8) {
		/* Intel faults in ring 0; AMD faults at the first fetch in ring 3. */
		if (v->intel && (uint64_t)((int64_t)(rcx << 16) >> 16) != rcx)
			soft_gp(v, 0);
		enter_ring(v, flat_code((uint16_t)((sel + 16) | 3), 3, true),
			   flat_data((uint16_t)((sel + 8) | 3), 3), 3);
		v->rip = rcx;
	} else {
		enter_ring(v, flat_code(sel | 3, 3, false), flat_data((uint16_t)((sel + 8) | 3), 3),
			   3);
		v->rip = (uint32_t)rcx;
	}
	if (soft_long(v))
		soft_set_rflags(v, (v->r[CPU_R11] & 0x3c7fd7) | X86_FLAG_FIXED);
	else
		soft_set_rflags(v, soft_rflags(v) | X86_FLAG_IF);
	soft_update_mode(v);
}

void soft_sysenter(struct soft_vcpu *v)
{
	uint16_t sel = v->sysenter_cs & 0xfffc;

	if (soft_real(v))
		soft_gp(v, 0);
	if (!v->intel && soft_long(v))
		soft_ud(v);
	if (!sel)
		soft_gp(v, 0);
	v->step_armed = false;
	soft_set_rflags(v, soft_rflags(v) & ~(X86_FLAG_VM | X86_FLAG_IF | X86_FLAG_RF));
	enter_ring(v, flat_code(sel, 0, soft_long(v)), flat_data((uint16_t)(sel + 8), 0), 0);
	v->r[CPU_RSP] = soft_long(v) ? v->sysenter_esp : (uint32_t)v->sysenter_esp;
	v->rip = soft_long(v) ? v->sysenter_eip : (uint32_t)v->sysenter_eip;
	soft_update_mode(v);
}

void soft_sysexit(struct soft_vcpu *v, unsigned size)
{
	uint16_t sel = v->sysenter_cs & 0xfffc;
	bool to64 = size == 8;

	if (!v->intel && soft_long(v))
		soft_ud(v);
	if (soft_real(v) || !sel || v->cpl)
		soft_gp(v, 0);
	if (to64 && ((uint64_t)((int64_t)(v->r[CPU_RDX] << 16) >> 16) != v->r[CPU_RDX] ||
		     (uint64_t)((int64_t)(v->r[CPU_RCX] << 16) >> 16) != v->r[CPU_RCX]))
		soft_gp(v, 0);
	sel = (uint16_t)(sel + (to64 ? 32 : 16));
	enter_ring(v, flat_code(sel | 3, 3, to64), flat_data((uint16_t)((sel + 8) | 3), 3), 3);
	v->r[CPU_RSP] = to64 ? v->r[CPU_RCX] : (uint32_t)v->r[CPU_RCX];
	v->rip = to64 ? v->r[CPU_RDX] : (uint32_t)v->r[CPU_RDX];
	soft_update_mode(v);
}
