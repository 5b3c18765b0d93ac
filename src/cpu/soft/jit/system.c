/* SPDX-License-Identifier: MIT */
/*
 * Native code of system instructions that kernels use at every turn: CLI, STI, SWAPGS, PUSHF,
 * RDTSC. What is not allowed goes to the handler, which raises the fault.
 */
#include "cpu/soft/jit/trans.h"

bool jit_can_inline_system(const struct item *it)
{
	switch (it->z.i.mnemonic) {
	case ZYDIS_MNEMONIC_CLI:
	case ZYDIS_MNEMONIC_STI:
	case ZYDIS_MNEMONIC_SWAPGS:
	case ZYDIS_MNEMONIC_RDTSC:
	case ZYDIS_MNEMONIC_LFENCE:
	case ZYDIS_MNEMONIC_SFENCE:
	case ZYDIS_MNEMONIC_MFENCE:
	case ZYDIS_MNEMONIC_PAUSE:
		return !soft_insn_undefined(it->in) && !(it->in->flags & INSN_LOCK);
	case ZYDIS_MNEMONIC_PUSHFQ:
		return !soft_insn_undefined(it->in) && it->in->size == 8;
	default:
		return false;
	}
}

/* To the handler unless CPL is 0: IOPL does not matter then. */
static struct aside *emit_need_cpl0(struct trans *t, const struct item *it)
{
	emit_byte_is_0(&t->e, offsetof(struct soft_vcpu, cpl));
	return jit_add_aside(t, it, emit_forward(&t->e, X_JNE));
}

static void emit_swapgs(struct emit *e)
{
	EMIT_V(e, true, X_MOV_LOAD, HOST_R13, seg[CPU_GS].base);
	EMIT_V(e, true, X_MOV_LOAD, HOST_R14, kernel_gs_base);
	EMIT_V(e, true, X_MOV_STORE, HOST_R14, seg[CPU_GS].base);
	EMIT_V(e, true, X_MOV_STORE, HOST_R13, kernel_gs_base);
}

static void emit_rdtsc(struct trans *t, const struct item *it)
{
	struct emit *e = &t->e;
	struct aside *a;

	emit_v(e, false, 0xf7, 0, offsetof(struct soft_vcpu, cr4), 4); /* test */
	emit_32(e, X86_CR4_TSD);
	a = jit_add_aside(t, it, emit_forward(e, X_JNE));
	emit_op(e, 0x0f31);
	emit_rr(e, true, 0xc1, 4, HOST_RDX); /* shl rdx, 32 */
	emit_8(e, 32);
	emit_rr(e, true, 0x0b, HOST_RAX, HOST_RDX);
	EMIT_V(e, true, 0x03, HOST_RAX, tsc_offset);
	emit_rr(e, true, X_MOV_LOAD, HOST_RDX, HOST_RAX);
	emit_rr(e, true, 0xc1, 5, HOST_RDX);
	emit_8(e, 32);
	emit_rr(e, false, X_MOV_LOAD, HOST_RAX, HOST_RAX);
	jit_rejoin(t, a);
}

static void emit_pushf(struct trans *t, const struct item *it)
{
	struct emit *e = &t->e;
	struct aside *a;
	struct mref ref;

	jit_want_in_cc(t, JIT_FLAGS);
	ref = jit_reach_stack(t, it, true, &a);
	emit_read_flags(e, HOST_R15, HOST_R14);
	EMIT_V(e, true, 0x0b, HOST_R15, rf);
	emit_rr(e, true, 0x81, 4, HOST_R15); /* and */
	emit_32(e, ~(uint32_t)(X86_FLAG_VM | X86_FLAG_RF));
	emit_rr(e, true, 0x83, 1, HOST_R15); /* or */
	emit_8(e, X86_FLAG_FIXED);
	emit_mref(e, true, X_MOV_STORE, HOST_R15, &ref);
	emit_lea(e, HOST_R12, HOST_R12, -1, 0, -8);
	jit_rejoin(t, a);
}

void jit_emit_system(struct trans *t, const struct item *it)
{
	struct emit *e = &t->e;
	struct aside *a;

	switch (it->z.i.mnemonic) {
	case ZYDIS_MNEMONIC_LFENCE:
		emit_op(e, 0x0faee8);
		return;
	case ZYDIS_MNEMONIC_MFENCE:
		emit_op(e, 0x0faef0);
		return;
	case ZYDIS_MNEMONIC_SFENCE:
		emit_op(e, 0x0faef8);
		return;
	case ZYDIS_MNEMONIC_PAUSE:
		emit_op(e, 0xf390);
		return;
	case ZYDIS_MNEMONIC_PUSHFQ:
		emit_pushf(t, it);
		return;
	default:
		break;
	}
	jit_want_in_cc(t, it->live);
	switch (it->z.i.mnemonic) {
	case ZYDIS_MNEMONIC_CLI:
		a = emit_need_cpl0(t, it);
		emit_v(e, true, 0x81, 4, offsetof(struct soft_vcpu, rf), 4); /* and */
		emit_32(e, ~(uint32_t)X86_FLAG_IF);
		jit_rejoin(t, a); /* IOPL may allow it */
		break;
	case ZYDIS_MNEMONIC_STI:
		/* Events are looked for at the block's end, which is at least one instruction away.
		 */
		emit_need_cpl0(t, it);
		emit_v(e, true, 0x81, 1, offsetof(struct soft_vcpu, rf), 4); /* or */
		emit_32(e, X86_FLAG_IF);
		break;
	case ZYDIS_MNEMONIC_SWAPGS:
		emit_need_cpl0(t, it);
		emit_swapgs(e);
		break;
	default:
		emit_rdtsc(t, it);
		break;
	}
}
