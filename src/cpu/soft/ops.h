/* SPDX-License-Identifier: MIT */
/*
 * What the handler files (op_*.c) share: picking a handler, registers, flags.
 *
 * Flags: arithmetic runs as the same instruction on the host, and LAHF plus SETO bring the six
 * arithmetic flags back in one register (SDM vol. 2, LAHF: AH gets SF ZF AF PF CF at the places
 * they have in RFLAGS). So the host is the oracle for results and for defined flags alike.
 */
#ifndef HOLM_CPU_SOFT_OPS_H
#define HOLM_CPU_SOFT_OPS_H

#include "cpu/soft/soft.h"
#include "cpu/soft/zydis.h"

/** Shape of the two main operands. */
enum op_form { FORM_NONE, FORM_R, FORM_M, FORM_I, FORM_RR, FORM_RI, FORM_RM, FORM_MR, FORM_MI };

/** What a pick function gets besides the instruction. */
struct op_pick {
	const struct soft_zydis *z;
	enum op_form form;
	unsigned arg; /* from decode.c's table */
	bool ends;    /* set by the pick function: the block ends here */
};

/** Choose the handler for @in (whose common fields are filled); NULL: #UD. */
typedef insn_fn (*op_pick_fn)(struct op_pick *p, struct insn *in);

insn_fn op_pick_alu(struct op_pick *p, struct insn *in);     /* arg: enum op_alu */
insn_fn op_pick_unary(struct op_pick *p, struct insn *in);   /* arg: enum op_unary */
insn_fn op_pick_shift(struct op_pick *p, struct insn *in);   /* arg: enum op_shift */
insn_fn op_pick_shiftd(struct op_pick *p, struct insn *in);  /* arg: 0 SHLD, 1 SHRD */
insn_fn op_pick_muldiv(struct op_pick *p, struct insn *in);  /* arg: enum op_muldiv */
insn_fn op_pick_bit(struct op_pick *p, struct insn *in);     /* arg: 0 BT, 1 BTS, 2 BTR, 3 BTC */
insn_fn op_pick_bitscan(struct op_pick *p, struct insn *in); /* arg: 0 BSF, 1 BSR */
insn_fn op_pick_bcd(struct op_pick *p, struct insn *in);     /* arg: enum op_bcd */
insn_fn op_pick_mov(struct op_pick *p, struct insn *in);
insn_fn op_pick_movx(struct op_pick *p, struct insn *in);   /* arg: 0 MOVZX, 1 MOVSX(D) */
insn_fn op_pick_move(struct op_pick *p, struct insn *in);   /* arg: enum op_move */
insn_fn op_pick_cond(struct op_pick *p, struct insn *in);   /* arg: condition | OP_COND_* */
insn_fn op_pick_string(struct op_pick *p, struct insn *in); /* arg: enum op_string */
insn_fn op_pick_flow(struct op_pick *p, struct insn *in);   /* arg: enum op_flow */
insn_fn op_pick_sys(struct op_pick *p, struct insn *in);    /* arg: enum op_sys */

enum op_alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP, ALU_TEST };
enum op_unary { UN_INC, UN_DEC, UN_NEG, UN_NOT };
enum op_shift { SH_ROL, SH_ROR, SH_RCL, SH_RCR, SH_SHL, SH_SHR, SH_SAR };
enum op_muldiv { MD_MUL, MD_IMUL, MD_DIV, MD_IDIV };
enum op_bcd { BCD_AAA, BCD_AAS, BCD_AAD, BCD_AAM, BCD_DAA, BCD_DAS };
enum op_move {
	MOVE_LEA,
	MOVE_XCHG,
	MOVE_CMPXCHG,
	MOVE_XADD,
	MOVE_CMPXCHG8B,
	MOVE_CMPXCHG16B,
	MOVE_BSWAP,
	MOVE_MOVBE,
	MOVE_PUSH,
	MOVE_POP,
	MOVE_PUSHA,
	MOVE_POPA,
	MOVE_PUSHF,
	MOVE_POPF,
	MOVE_ENTER,
	MOVE_LEAVE,
	MOVE_CBW, /* CBW, CWDE, CDQE */
	MOVE_CWD, /* CWD, CDQ, CQO */
	MOVE_LAHF,
	MOVE_SAHF,
	MOVE_CLC,
	MOVE_STC,
	MOVE_CMC,
	MOVE_CLD,
	MOVE_STD,
	MOVE_XLAT,
	MOVE_NOP,
	MOVE_SALC,
};
#define OP_COND_SET 0x10u
#define OP_COND_MOV 0x20u
enum op_string { STR_MOVS, STR_CMPS, STR_SCAS, STR_LODS, STR_STOS, STR_INS, STR_OUTS };
enum op_flow {
	FLOW_JCC = 0, /* ..15: the condition */
	FLOW_JMP = 16,
	FLOW_CALL,
	FLOW_RET,
	FLOW_JCXZ,
	FLOW_LOOP,
	FLOW_LOOPE,
	FLOW_LOOPNE,
	FLOW_INT,
	FLOW_INT3,
	FLOW_INT1,
	FLOW_INTO,
	FLOW_BOUND,
	FLOW_IRET,
	FLOW_UD,
};
enum op_sys {
	SYS_CLI,
	SYS_STI,
	SYS_HLT,
	SYS_IN,
	SYS_OUT,
	SYS_LGDT,
	SYS_LIDT,
	SYS_SGDT,
	SYS_SIDT,
	SYS_LLDT,
	SYS_SLDT,
	SYS_LTR,
	SYS_STR,
	SYS_LMSW,
	SYS_SMSW,
	SYS_CLTS,
	SYS_INVLPG,
	SYS_INVPCID,
	SYS_WBINVD,
	SYS_RDMSR,
	SYS_WRMSR,
	SYS_RDTSC,
	SYS_RDTSCP,
	SYS_RDPID,
	SYS_RDPMC,
	SYS_CPUID,
	SYS_SWAPGS,
	SYS_XGETBV,
	SYS_XSETBV,
	SYS_RDFSBASE,
	SYS_RDGSBASE,
	SYS_WRFSBASE,
	SYS_WRGSBASE,
	SYS_LAR,
	SYS_LSL,
	SYS_VERR,
	SYS_VERW,
	SYS_ARPL,
	SYS_STAC,
	SYS_CLAC,
	SYS_SYSCALL,
	SYS_SYSRET,
	SYS_SYSENTER,
	SYS_SYSEXIT,
	SYS_LDS,
	SYS_RDRAND,
	SYS_RDSEED,
	SYS_PAUSE,
};

/* --- registers ------------------------------------------------------------------------- */

static ALWAYS_INLINE void *op_reg(struct soft_vcpu *v, unsigned off)
{
	return (uint8_t *)v->r + off;
}

/** op_get() - @size bytes of the register at byte offset @off. */
static ALWAYS_INLINE uint64_t op_get(struct soft_vcpu *v, unsigned off, unsigned size)
{
	switch (size) {
	case 1:
		return *(uint8_t *)op_reg(v, off);
	case 2:
		return *(uint16_t *)op_reg(v, off);
	case 4:
		return *(uint32_t *)op_reg(v, off);
	default:
		return *(uint64_t *)op_reg(v, off);
	}
}

/** op_put() - write a register; a 32-bit write clears the upper half (SDM vol. 1, 3.4.1.1). */
static ALWAYS_INLINE void op_put(struct soft_vcpu *v, unsigned off, unsigned size, uint64_t val)
{
	switch (size) {
	case 1:
		*(uint8_t *)op_reg(v, off) = (uint8_t)val;
		break;
	case 2:
		*(uint16_t *)op_reg(v, off) = (uint16_t)val;
		break;
	case 4:
		*(uint64_t *)op_reg(v, off) = (uint32_t)val;
		break;
	default:
		*(uint64_t *)op_reg(v, off) = val;
		break;
	}
}

/** op_sext() - sign-extend the low @size bytes. */
static inline int64_t op_sext(uint64_t val, unsigned size)
{
	unsigned sh = 64 - size * 8;

	return (int64_t)(val << sh) >> sh;
}

/* --- flags ----------------------------------------------------------------------------- */

/** op_cc() - what LAHF and SETO left in EAX, as RFLAGS bits. */
static ALWAYS_INLINE uint64_t op_cc(uint32_t eax)
{
	return ((eax >> 8) & 0xd5) | ((uint64_t)(eax & 1) << 11);
}

#define OP_FLAGS_ASM "\n\tlahf\n\tseto %%al"

/** op_cond() - condition @n of Jcc, SETcc, CMOVcc: SDM vol. 1, appendix B. */
static ALWAYS_INLINE bool op_cond(uint64_t cc, unsigned n)
{
	bool r;

	switch (n >> 1) {
	case 0:
		r = cc & X86_FLAG_OF;
		break;
	case 1:
		r = cc & X86_FLAG_CF;
		break;
	case 2:
		r = cc & X86_FLAG_ZF;
		break;
	case 3:
		r = cc & (X86_FLAG_CF | X86_FLAG_ZF);
		break;
	case 4:
		r = cc & X86_FLAG_SF;
		break;
	case 5:
		r = cc & X86_FLAG_PF;
		break;
	case 6:
		r = !(cc & X86_FLAG_SF) != !(cc & X86_FLAG_OF);
		break;
	default:
		r = (cc & X86_FLAG_ZF) || (!(cc & X86_FLAG_SF) != !(cc & X86_FLAG_OF));
		break;
	}
	return r ^ (n & 1);
}

/** op_need_cpl0() - #GP(0) outside ring 0. */
static inline void op_need_cpl0(struct soft_vcpu *v)
{
	if (UNLIKELY(v->cpl != 0))
		soft_gp(v, 0);
}

#endif
