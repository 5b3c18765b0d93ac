/* SPDX-License-Identifier: MIT */
/*
 * System instructions: what only a kernel does, ports, time stamps, fast system calls.
 *
 * Handlers check privilege, then call sys.c, seg.c and exc.c, which hold the rules.
 */
#include "cpu/soft/ops.h"

#include <x86intrin.h>

/* --- interrupt flag -------------------------------------------------------------------------- */

static void need_iopl(struct soft_vcpu *v)
{
	unsigned iopl = (v->rf & X86_FLAG_IOPL) >> X86_FLAG_IOPL_SHIFT;

	if (!soft_real(v) && v->cpl > iopl)
		soft_gp(v, 0);
}

static void h_cli(struct soft_vcpu *v, const struct insn *in)
{
	need_iopl(v);
	v->rf &= ~X86_FLAG_IF;
	INSN_NEXT(v, in);
}

/* Interrupts stay off for one more instruction where IF was clear: SDM vol. 2, STI. */
static void h_sti(struct soft_vcpu *v, const struct insn *in)
{
	need_iopl(v);
	v->shadow = !(v->rf & X86_FLAG_IF);
	v->rf |= X86_FLAG_IF;
	INSN_END(v, in);
}

static void h_hlt(struct soft_vcpu *v, const struct insn *in)
{
	op_need_cpl0(v);
	v->rip = soft_next_rip(v, in);
	soft_halt(v);
}

static void h_pause(struct soft_vcpu *v, const struct insn *in)
{
	atomic_thread_fence(memory_order_seq_cst);
	INSN_NEXT(v, in);
}

/* --- ports ------------------------------------------------------------------------------------ */

static void h_in(struct soft_vcpu *v, const struct insn *in)
{
	uint16_t port = in->x[0] ? (uint16_t)v->r[CPU_RDX] : (uint8_t)in->imm;

	soft_io_check(v, port, in->size);
	op_put(v, CPU_RAX * 8, in->size, soft_io_in(v, port, in->size));
	INSN_END(v, in);
}

static void h_out(struct soft_vcpu *v, const struct insn *in)
{
	uint16_t port = in->x[0] ? (uint16_t)v->r[CPU_RDX] : (uint8_t)in->imm;

	soft_io_check(v, port, in->size);
	soft_io_out(v, port, in->size, (uint32_t)v->r[CPU_RAX]);
	INSN_END(v, in);
}

static insn_fn pick_io(struct op_pick *p, struct insn *in, bool out)
{
	const ZydisDecodedOperand *port = &p->z->op[out ? 0 : 1];

	in->size = (uint8_t)(p->z->op[out ? 1 : 0].size / 8);
	in->x[0] = port->type == ZYDIS_OPERAND_TYPE_REGISTER;
	if (!in->x[0])
		in->imm = (int64_t)port->imm.value.u;
	return out ? h_out : h_in;
}

/* --- descriptor tables -------------------------------------------------------------------------
 */

static void h_lgdt(struct soft_vcpu *v, const struct insn *in)
{
	unsigned base_size = v->mode == SOFT_MODE_64 ? 8 : 4;
	struct cpu_dtable t;
	uint64_t va;

	op_need_cpl0(v);
	va = soft_ea(v, in, base_size + 2, false);
	t.limit = (uint16_t)soft_load(v, va, 2);
	t.base = soft_load(v, va + 2, base_size);
	if (in->x[0] == 2) /* 16-bit operand size: a 24-bit base */
		t.base &= 0xffffff;
	if (v->mode == SOFT_MODE_64 && (uint64_t)((int64_t)(t.base << 16) >> 16) != t.base)
		soft_gp(v, 0);
	if (in->op == SYS_LGDT)
		v->gdtr = t;
	else
		v->idtr = t;
	INSN_NEXT(v, in);
}

static void h_sgdt(struct soft_vcpu *v, const struct insn *in)
{
	unsigned base_size = v->mode == SOFT_MODE_64 ? 8 : 4;
	const struct cpu_dtable *t = in->op == SYS_SGDT ? &v->gdtr : &v->idtr;
	uint64_t va = soft_ea(v, in, base_size + 2, true);
	uint8_t raw[10];

	put_le16(raw, t->limit);
	put_le64(raw + 2, t->base);
	soft_write(v, va, raw, base_size + 2);
	INSN_NEXT(v, in);
}

static uint16_t operand16(struct soft_vcpu *v, const struct insn *in)
{
	return (uint16_t)(in->flags & INSN_MEM ? soft_load(v, soft_ea(v, in, 2, false), 2)
					       : op_get(v, in->dst, 2));
}

static void need_protected(struct soft_vcpu *v)
{
	if (soft_real(v) || soft_vm86(v))
		soft_ud(v);
}

static void h_lldt(struct soft_vcpu *v, const struct insn *in)
{
	need_protected(v);
	op_need_cpl0(v);
	if (in->op == SYS_LLDT)
		soft_lldt(v, operand16(v, in));
	else
		soft_ltr(v, operand16(v, in));
	INSN_NEXT(v, in);
}

/* A selector or the low CR0: to memory always 16 bits, to a register as wide as it is. */
static void h_store_word(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t val = v->cr0;

	if (in->op != SYS_SMSW) {
		need_protected(v);
		val = in->op == SYS_SLDT ? v->ldtr.selector : v->tr.selector;
	}
	if (in->flags & INSN_MEM)
		soft_store(v, soft_ea(v, in, 2, true), 2, val);
	else
		op_put(v, in->dst, in->size, val);
	INSN_NEXT(v, in);
}

static void h_lmsw(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t val;

	op_need_cpl0(v);
	val = operand16(v, in);
	/* LMSW can set PE but not clear it. */
	val = (v->cr0 & ~0xeull) | (val & 0xf);
	soft_write_cr(v, 0, val);
	INSN_END(v, in);
}

static void h_query(struct soft_vcpu *v, const struct insn *in)
{
	bool two = in->op == SYS_LAR || in->op == SYS_LSL, ok;
	uint64_t out = 0;
	uint16_t sel;

	need_protected(v);
	sel = (uint16_t)(in->flags & INSN_MEM ? soft_load(v, soft_ea(v, in, 2, false), 2)
					      : op_get(v, two ? in->src : in->dst, 2));
	ok = soft_descriptor_query(v, sel, in->op, &out);
	v->cc = (v->cc & ~X86_FLAG_ZF) | (ok ? X86_FLAG_ZF : 0);
	if (two && ok)
		op_put(v, in->dst, in->size, out);
	INSN_NEXT(v, in);
}

static void h_arpl(struct soft_vcpu *v, const struct insn *in)
{
	bool mem = in->flags & INSN_MEM;
	uint64_t va = 0;
	uint16_t d, s = (uint16_t)op_get(v, in->src, 2);

	need_protected(v);
	if (mem) {
		va = soft_ea(v, in, 2, true);
		soft_probe(v, va, 2, SOFT_WRITE);
		d = (uint16_t)soft_load(v, va, 2);
	} else {
		d = (uint16_t)op_get(v, in->dst, 2);
	}
	if ((d & 3) < (s & 3)) {
		d = (uint16_t)((d & ~3) | (s & 3));
		v->cc |= X86_FLAG_ZF;
		if (mem)
			soft_store(v, va, 2, d);
		else
			op_put(v, in->dst, 2, d);
	} else {
		v->cc &= ~X86_FLAG_ZF;
	}
	INSN_NEXT(v, in);
}

/* LDS, LES, LSS, LFS, LGS: op is the segment. */
static void h_lds(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t va = soft_ea(v, in, in->size + 2u, false);
	uint64_t off = soft_load(v, va, in->size);

	soft_load_seg(v, in->op, (uint16_t)soft_load(v, va + in->size, 2));
	op_put(v, in->dst, in->size, off);
	INSN_END(v, in);
}

static insn_fn pick_lds(struct op_pick *p, struct insn *in)
{
	switch (p->z->i.mnemonic) {
	case ZYDIS_MNEMONIC_LDS:
		in->op = CPU_DS;
		break;
	case ZYDIS_MNEMONIC_LES:
		in->op = CPU_ES;
		break;
	case ZYDIS_MNEMONIC_LSS:
		in->op = CPU_SS;
		break;
	case ZYDIS_MNEMONIC_LFS:
		in->op = CPU_FS;
		break;
	default:
		in->op = CPU_GS;
		break;
	}
	return h_lds;
}

/* --- TLB and caches ------------------------------------------------------------------------------
 */

static void h_invlpg(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t va = soft_reg(v, in->base) + (soft_reg(v, in->index) << in->scale) +
		      (uint64_t)(int64_t)in->disp;

	op_need_cpl0(v);
	if (in->ea == INSN_EA_RIP || (in->flags & INSN_ABS_RIP))
		va += v->block_va + in->end;
	va &= size_mask(in->asize);
	if (v->mode != SOFT_MODE_64)
		va = (uint32_t)(va + v->seg[in->seg].base);
	else if (in->seg >= CPU_FS)
		va += v->seg[in->seg].base;
	soft_tlb_invlpg(v, va, -1);
	INSN_END(v, in);
}

static void h_invpcid(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t type, desc[2], va;

	op_need_cpl0(v);
	type = op_get(v, in->dst, v->mode == SOFT_MODE_64 ? 8 : 4);
	va = soft_ea(v, in, 16, false);
	soft_read(v, va, desc, 16);
	if (type > 3 || (desc[0] >> 12 && type < 2) ||
	    (type < 2 && !(v->cr4 & X86_CR4_PCIDE) && (desc[0] & 0xfff)) ||
	    (type == 0 && (uint64_t)((int64_t)(desc[1] << 16) >> 16) != desc[1]))
		soft_gp(v, 0);
	switch (type) {
	case 0:
		soft_tlb_invlpg(v, desc[1], (int)(desc[0] & 0xfff));
		break;
	case 1:
		soft_tlb_flush_pcid(v, desc[0] & 0xfff);
		break;
	default:
		soft_tlb_flush(v, true);
		break;
	}
	INSN_END(v, in);
}

/* --- MSRs, CPUID, time
 * ------------------------------------------------------------------------------ */

static void put_edx_eax(struct soft_vcpu *v, uint64_t val)
{
	v->r[CPU_RAX] = (uint32_t)val;
	v->r[CPU_RDX] = val >> 32;
}

static uint64_t get_edx_eax(const struct soft_vcpu *v)
{
	return (uint32_t)v->r[CPU_RAX] | v->r[CPU_RDX] << 32;
}

static void h_rdmsr(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t val;

	op_need_cpl0(v);
	if (soft_rdmsr(v, (uint32_t)v->r[CPU_RCX], &val))
		soft_gp(v, 0);
	put_edx_eax(v, val);
	INSN_NEXT(v, in);
}

static void h_wrmsr(struct soft_vcpu *v, const struct insn *in)
{
	op_need_cpl0(v);
	if (soft_wrmsr(v, (uint32_t)v->r[CPU_RCX], get_edx_eax(v)))
		soft_gp(v, 0);
	INSN_END(v, in);
}

static void need_tsc(struct soft_vcpu *v)
{
	if ((v->cr4 & X86_CR4_TSD) && v->cpl)
		soft_gp(v, 0);
}

static void h_rdtsc(struct soft_vcpu *v, const struct insn *in)
{
	need_tsc(v);
	put_edx_eax(v, soft_tsc(v));
	if (in->op == SYS_RDTSCP)
		v->r[CPU_RCX] = (uint32_t)v->tsc_aux;
	INSN_NEXT(v, in);
}

static void h_rdpid(struct soft_vcpu *v, const struct insn *in)
{
	op_put(v, in->dst, v->mode == SOFT_MODE_64 ? 8 : 4, v->tsc_aux);
	INSN_NEXT(v, in);
}

static void h_rdpmc(struct soft_vcpu *v, const struct insn *in UNUSED)
{
	soft_gp(v, 0); /* no counters are offered */
}

static void h_cpuid(struct soft_vcpu *v, const struct insn *in)
{
	uint32_t out[4];

	soft_cpuid(v, (uint32_t)v->r[CPU_RAX], (uint32_t)v->r[CPU_RCX], out);
	v->r[CPU_RAX] = out[0];
	v->r[CPU_RBX] = out[1];
	v->r[CPU_RCX] = out[2];
	v->r[CPU_RDX] = out[3];
	INSN_NEXT(v, in);
}

static void h_xgetbv(struct soft_vcpu *v, const struct insn *in)
{
	uint32_t idx = (uint32_t)v->r[CPU_RCX];

	if (!(v->cr4 & X86_CR4_OSXSAVE))
		soft_ud(v);
	if (idx > 1)
		soft_gp(v, 0);
	put_edx_eax(v, v->xcr0); /* index 1: what is in use; all of it may be */
	INSN_NEXT(v, in);
}

static void h_xsetbv(struct soft_vcpu *v, const struct insn *in)
{
	soft_xsetbv(v, (uint32_t)v->r[CPU_RCX], get_edx_eax(v));
	INSN_END(v, in);
}

/* RDRAND and RDSEED: the host's, flags as the SDM says. */
__attribute__((target("rdrnd,rdseed"))) static void h_random(struct soft_vcpu *v,
							     const struct insn *in)
{
	unsigned long long val = 0;
	int ok = in->op == SYS_RDSEED ? _rdseed64_step(&val) : _rdrand64_step(&val);

	op_put(v, in->dst, in->size, ok ? val : 0);
	v->cc = ok ? X86_FLAG_CF : 0;
	INSN_NEXT(v, in);
}

/* --- bases and small ones
 * ------------------------------------------------------------------------------ */

static void h_swapgs(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t base = v->seg[CPU_GS].base;

	op_need_cpl0(v);
	v->seg[CPU_GS].base = v->kernel_gs_base;
	v->kernel_gs_base = base;
	INSN_NEXT(v, in);
}

static void h_fsgsbase(struct soft_vcpu *v, const struct insn *in)
{
	unsigned seg = in->op == SYS_RDFSBASE || in->op == SYS_WRFSBASE ? CPU_FS : CPU_GS;

	if (!(v->cr4 & X86_CR4_FSGSBASE))
		soft_ud(v);
	if (in->op == SYS_RDFSBASE || in->op == SYS_RDGSBASE) {
		op_put(v, in->dst, in->size, v->seg[seg].base);
	} else {
		uint64_t val = op_get(v, in->dst, in->size);

		if ((uint64_t)((int64_t)(val << 16) >> 16) != val)
			soft_gp(v, 0);
		v->seg[seg].base = val;
	}
	INSN_NEXT(v, in);
}

static void h_stac(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t fl = soft_rflags(v);

	if (v->cpl)
		soft_ud(v);
	soft_set_rflags(v, in->op == SYS_STAC ? fl | X86_FLAG_AC : fl & ~X86_FLAG_AC);
	INSN_NEXT(v, in);
}

static void h_privileged_nop(struct soft_vcpu *v, const struct insn *in)
{
	op_need_cpl0(v);
	if (in->op == SYS_CLTS)
		v->cr0 &= ~X86_CR0_TS;
	INSN_NEXT(v, in);
}

/* --- fast system calls
 * --------------------------------------------------------------------------------- */

static void h_syscall(struct soft_vcpu *v, const struct insn *in)
{
	soft_syscall(v, soft_next_rip(v, in));
}

static void h_sysret(struct soft_vcpu *v, const struct insn *in)
{
	soft_sysret(v, in->size);
}

static void h_sysenter(struct soft_vcpu *v, const struct insn *in UNUSED)
{
	soft_sysenter(v);
}

static void h_sysexit(struct soft_vcpu *v, const struct insn *in)
{
	soft_sysexit(v, in->size);
}

/* --- picking
 * ---------------------------------------------------------------------------------------- */

static const insn_fn simple[] = {
	[SYS_CLI] = h_cli,
	[SYS_STI] = h_sti,
	[SYS_HLT] = h_hlt,
	[SYS_LGDT] = h_lgdt,
	[SYS_LIDT] = h_lgdt,
	[SYS_SGDT] = h_sgdt,
	[SYS_SIDT] = h_sgdt,
	[SYS_LLDT] = h_lldt,
	[SYS_LTR] = h_lldt,
	[SYS_SLDT] = h_store_word,
	[SYS_STR] = h_store_word,
	[SYS_SMSW] = h_store_word,
	[SYS_LMSW] = h_lmsw,
	[SYS_CLTS] = h_privileged_nop,
	[SYS_WBINVD] = h_privileged_nop,
	[SYS_INVLPG] = h_invlpg,
	[SYS_INVPCID] = h_invpcid,
	[SYS_RDMSR] = h_rdmsr,
	[SYS_WRMSR] = h_wrmsr,
	[SYS_RDTSC] = h_rdtsc,
	[SYS_RDTSCP] = h_rdtsc,
	[SYS_RDPID] = h_rdpid,
	[SYS_RDPMC] = h_rdpmc,
	[SYS_CPUID] = h_cpuid,
	[SYS_SWAPGS] = h_swapgs,
	[SYS_XGETBV] = h_xgetbv,
	[SYS_XSETBV] = h_xsetbv,
	[SYS_RDFSBASE] = h_fsgsbase,
	[SYS_RDGSBASE] = h_fsgsbase,
	[SYS_WRFSBASE] = h_fsgsbase,
	[SYS_WRGSBASE] = h_fsgsbase,
	[SYS_LAR] = h_query,
	[SYS_LSL] = h_query,
	[SYS_VERR] = h_query,
	[SYS_VERW] = h_query,
	[SYS_ARPL] = h_arpl,
	[SYS_STAC] = h_stac,
	[SYS_CLAC] = h_stac,
	[SYS_SYSCALL] = h_syscall,
	[SYS_SYSRET] = h_sysret,
	[SYS_SYSENTER] = h_sysenter,
	[SYS_SYSEXIT] = h_sysexit,
	[SYS_RDRAND] = h_random,
	[SYS_RDSEED] = h_random,
	[SYS_PAUSE] = h_pause,
};

insn_fn op_pick_sys(struct op_pick *p, struct insn *in)
{
	const ZydisDecodedInstruction *i = &p->z->i;

	if (in->flags & INSN_LOCK)
		return NULL;
	in->op = (uint8_t)p->arg;
	switch (p->arg) {
	case SYS_IN:
	case SYS_OUT:
		return pick_io(p, in, p->arg == SYS_OUT);
	case SYS_LDS:
		return pick_lds(p, in);
	case SYS_LGDT:
	case SYS_LIDT:
		if (!(in->flags & INSN_MEM))
			return NULL;
		in->x[0] = i->operand_width / 8;
		break;
	case SYS_SYSRET:
	case SYS_SYSEXIT:
		in->size = i->attributes & ZYDIS_ATTRIB_HAS_REX && (i->raw.rex.W & 1) ? 8 : 4;
		break;
	default:
		break;
	}
	return simple[p->arg];
}
