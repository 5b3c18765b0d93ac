/* SPDX-License-Identifier: MIT */
/*
 * Decoding: from guest bytes, through Zydis, to struct insn.
 *
 * Theory of operation: Zydis says what the instruction is; decode_common() fills what all
 * handlers share (operand registers, memory operand, immediate, sizes); a const table indexed by
 * mnemonic names the function that picks the handler. What has no row goes to the FPU/SIMD room,
 * and what nobody takes raises #UD when it runs.
 *
 * Branch operand sizes: in 64-bit mode near branches are 64 bits wide whatever the prefixes say,
 * which is what Zydis reports as the operand width on Intel; the 66 prefix is ignored there.
 */
#include "cpu/soft/ops.h"

#include <errno.h>
#include <string.h>

struct row {
	op_pick_fn pick;
	uint16_t arg;
	bool ends;
};

#define M(m) ZYDIS_MNEMONIC_##m
#define COND_ROWS(n, cc)                                                                           \
	[M(SET##cc)] = { op_pick_cond, OP_COND_SET | (n), false },                                 \
	[M(CMOV##cc)] = { op_pick_cond, OP_COND_MOV | (n), false }

static const struct row rows[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	[M(ADD)] = { op_pick_alu, ALU_ADD, false },
	[M(OR)] = { op_pick_alu, ALU_OR, false },
	[M(ADC)] = { op_pick_alu, ALU_ADC, false },
	[M(SBB)] = { op_pick_alu, ALU_SBB, false },
	[M(AND)] = { op_pick_alu, ALU_AND, false },
	[M(SUB)] = { op_pick_alu, ALU_SUB, false },
	[M(XOR)] = { op_pick_alu, ALU_XOR, false },
	[M(CMP)] = { op_pick_alu, ALU_CMP, false },
	[M(TEST)] = { op_pick_alu, ALU_TEST, false },
	[M(INC)] = { op_pick_unary, UN_INC, false },
	[M(DEC)] = { op_pick_unary, UN_DEC, false },
	[M(NEG)] = { op_pick_unary, UN_NEG, false },
	[M(NOT)] = { op_pick_unary, UN_NOT, false },
	[M(ROL)] = { op_pick_shift, SH_ROL, false },
	[M(ROR)] = { op_pick_shift, SH_ROR, false },
	[M(RCL)] = { op_pick_shift, SH_RCL, false },
	[M(RCR)] = { op_pick_shift, SH_RCR, false },
	[M(SHL)] = { op_pick_shift, SH_SHL, false },
	[M(SHR)] = { op_pick_shift, SH_SHR, false },
	[M(SAR)] = { op_pick_shift, SH_SAR, false },
	[M(SHLD)] = { op_pick_shiftd, 0, false },
	[M(SHRD)] = { op_pick_shiftd, 1, false },
	[M(MUL)] = { op_pick_muldiv, MD_MUL, false },
	[M(IMUL)] = { op_pick_muldiv, MD_IMUL, false },
	[M(DIV)] = { op_pick_muldiv, MD_DIV, false },
	[M(IDIV)] = { op_pick_muldiv, MD_IDIV, false },
	[M(BT)] = { op_pick_bit, 0, false },
	[M(BTS)] = { op_pick_bit, 1, false },
	[M(BTR)] = { op_pick_bit, 2, false },
	[M(BTC)] = { op_pick_bit, 3, false },
	[M(BSF)] = { op_pick_bitscan, 0, false },
	[M(BSR)] = { op_pick_bitscan, 1, false },
	[M(AAA)] = { op_pick_bcd, BCD_AAA, false },
	[M(AAS)] = { op_pick_bcd, BCD_AAS, false },
	[M(AAD)] = { op_pick_bcd, BCD_AAD, false },
	[M(AAM)] = { op_pick_bcd, BCD_AAM, false },
	[M(DAA)] = { op_pick_bcd, BCD_DAA, false },
	[M(DAS)] = { op_pick_bcd, BCD_DAS, false },
	[M(MOV)] = { op_pick_mov, 0, false },
	[M(MOVNTI)] = { op_pick_mov, 0, false },
	[M(MOVZX)] = { op_pick_movx, 0, false },
	[M(MOVSX)] = { op_pick_movx, 1, false },
	[M(MOVSXD)] = { op_pick_movx, 1, false },
	[M(LEA)] = { op_pick_move, MOVE_LEA, false },
	[M(XCHG)] = { op_pick_move, MOVE_XCHG, false },
	[M(CMPXCHG)] = { op_pick_move, MOVE_CMPXCHG, false },
	[M(XADD)] = { op_pick_move, MOVE_XADD, false },
	[M(CMPXCHG8B)] = { op_pick_move, MOVE_CMPXCHG8B, false },
	[M(CMPXCHG16B)] = { op_pick_move, MOVE_CMPXCHG16B, false },
	[M(BSWAP)] = { op_pick_move, MOVE_BSWAP, false },
	[M(MOVBE)] = { op_pick_move, MOVE_MOVBE, false },
	[M(PUSH)] = { op_pick_move, MOVE_PUSH, false },
	[M(POP)] = { op_pick_move, MOVE_POP, false },
	[M(PUSHA)] = { op_pick_move, MOVE_PUSHA, false },
	[M(PUSHAD)] = { op_pick_move, MOVE_PUSHA, false },
	[M(POPA)] = { op_pick_move, MOVE_POPA, false },
	[M(POPAD)] = { op_pick_move, MOVE_POPA, false },
	[M(PUSHF)] = { op_pick_move, MOVE_PUSHF, false },
	[M(PUSHFD)] = { op_pick_move, MOVE_PUSHF, false },
	[M(PUSHFQ)] = { op_pick_move, MOVE_PUSHF, false },
	[M(POPF)] = { op_pick_move, MOVE_POPF, true },
	[M(POPFD)] = { op_pick_move, MOVE_POPF, true },
	[M(POPFQ)] = { op_pick_move, MOVE_POPF, true },
	[M(ENTER)] = { op_pick_move, MOVE_ENTER, false },
	[M(LEAVE)] = { op_pick_move, MOVE_LEAVE, false },
	[M(CBW)] = { op_pick_move, MOVE_CBW, false },
	[M(CWDE)] = { op_pick_move, MOVE_CBW, false },
	[M(CDQE)] = { op_pick_move, MOVE_CBW, false },
	[M(CWD)] = { op_pick_move, MOVE_CWD, false },
	[M(CDQ)] = { op_pick_move, MOVE_CWD, false },
	[M(CQO)] = { op_pick_move, MOVE_CWD, false },
	[M(LAHF)] = { op_pick_move, MOVE_LAHF, false },
	[M(SAHF)] = { op_pick_move, MOVE_SAHF, false },
	[M(CLC)] = { op_pick_move, MOVE_CLC, false },
	[M(STC)] = { op_pick_move, MOVE_STC, false },
	[M(CMC)] = { op_pick_move, MOVE_CMC, false },
	[M(CLD)] = { op_pick_move, MOVE_CLD, false },
	[M(STD)] = { op_pick_move, MOVE_STD, false },
	[M(SALC)] = { op_pick_move, MOVE_SALC, false },
	[M(XLAT)] = { op_pick_move, MOVE_XLAT, false },
	[M(NOP)] = { op_pick_move, MOVE_NOP, false },
	[M(ENDBR32)] = { op_pick_move, MOVE_NOP, false },
	[M(ENDBR64)] = { op_pick_move, MOVE_NOP, false },
	[M(PREFETCH)] = { op_pick_move, MOVE_NOP, false },
	[M(PREFETCHW)] = { op_pick_move, MOVE_NOP, false },
	[M(PREFETCHWT1)] = { op_pick_move, MOVE_NOP, false },
	[M(PREFETCHNTA)] = { op_pick_move, MOVE_NOP, false },
	[M(PREFETCHT0)] = { op_pick_move, MOVE_NOP, false },
	[M(PREFETCHT1)] = { op_pick_move, MOVE_NOP, false },
	[M(PREFETCHT2)] = { op_pick_move, MOVE_NOP, false },
	[M(CLDEMOTE)] = { op_pick_move, MOVE_NOP, false },
	[M(LFENCE)] = { op_pick_sys, SYS_PAUSE, false },
	[M(MFENCE)] = { op_pick_sys, SYS_PAUSE, false },
	[M(SFENCE)] = { op_pick_sys, SYS_PAUSE, false },
	[M(PAUSE)] = { op_pick_sys, SYS_PAUSE, false },
	[M(CLFLUSH)] = { op_pick_move, MOVE_NOP, false },
	[M(CLFLUSHOPT)] = { op_pick_move, MOVE_NOP, false },
	[M(CLWB)] = { op_pick_move, MOVE_NOP, false },
	COND_ROWS(0, O),
	COND_ROWS(1, NO),
	COND_ROWS(2, B),
	COND_ROWS(3, NB),
	COND_ROWS(4, Z),
	COND_ROWS(5, NZ),
	COND_ROWS(6, BE),
	COND_ROWS(7, NBE),
	COND_ROWS(8, S),
	COND_ROWS(9, NS),
	COND_ROWS(10, P),
	COND_ROWS(11, NP),
	COND_ROWS(12, L),
	COND_ROWS(13, NL),
	COND_ROWS(14, LE),
	COND_ROWS(15, NLE),
	[M(JO)] = { op_pick_flow, 0, true },
	[M(JNO)] = { op_pick_flow, 1, true },
	[M(JB)] = { op_pick_flow, 2, true },
	[M(JNB)] = { op_pick_flow, 3, true },
	[M(JZ)] = { op_pick_flow, 4, true },
	[M(JNZ)] = { op_pick_flow, 5, true },
	[M(JBE)] = { op_pick_flow, 6, true },
	[M(JNBE)] = { op_pick_flow, 7, true },
	[M(JS)] = { op_pick_flow, 8, true },
	[M(JNS)] = { op_pick_flow, 9, true },
	[M(JP)] = { op_pick_flow, 10, true },
	[M(JNP)] = { op_pick_flow, 11, true },
	[M(JL)] = { op_pick_flow, 12, true },
	[M(JNL)] = { op_pick_flow, 13, true },
	[M(JLE)] = { op_pick_flow, 14, true },
	[M(JNLE)] = { op_pick_flow, 15, true },
	[M(JMP)] = { op_pick_flow, FLOW_JMP, true },
	[M(CALL)] = { op_pick_flow, FLOW_CALL, true },
	[M(RET)] = { op_pick_flow, FLOW_RET, true },
	[M(JCXZ)] = { op_pick_flow, FLOW_JCXZ, true },
	[M(JECXZ)] = { op_pick_flow, FLOW_JCXZ, true },
	[M(JRCXZ)] = { op_pick_flow, FLOW_JCXZ, true },
	[M(LOOP)] = { op_pick_flow, FLOW_LOOP, true },
	[M(LOOPE)] = { op_pick_flow, FLOW_LOOPE, true },
	[M(LOOPNE)] = { op_pick_flow, FLOW_LOOPNE, true },
	[M(INT)] = { op_pick_flow, FLOW_INT, true },
	[M(INT3)] = { op_pick_flow, FLOW_INT3, true },
	[M(INT1)] = { op_pick_flow, FLOW_INT1, true },
	[M(INTO)] = { op_pick_flow, FLOW_INTO, true },
	[M(BOUND)] = { op_pick_flow, FLOW_BOUND, false },
	[M(IRET)] = { op_pick_flow, FLOW_IRET, true },
	[M(IRETD)] = { op_pick_flow, FLOW_IRET, true },
	[M(IRETQ)] = { op_pick_flow, FLOW_IRET, true },
	[M(MOVSB)] = { op_pick_string, STR_MOVS, false },
	[M(MOVSW)] = { op_pick_string, STR_MOVS, false },
	[M(MOVSQ)] = { op_pick_string, STR_MOVS, false },
	[M(CMPSB)] = { op_pick_string, STR_CMPS, false },
	[M(CMPSW)] = { op_pick_string, STR_CMPS, false },
	[M(CMPSQ)] = { op_pick_string, STR_CMPS, false },
	[M(SCASB)] = { op_pick_string, STR_SCAS, false },
	[M(SCASW)] = { op_pick_string, STR_SCAS, false },
	[M(SCASD)] = { op_pick_string, STR_SCAS, false },
	[M(SCASQ)] = { op_pick_string, STR_SCAS, false },
	[M(LODSB)] = { op_pick_string, STR_LODS, false },
	[M(LODSW)] = { op_pick_string, STR_LODS, false },
	[M(LODSD)] = { op_pick_string, STR_LODS, false },
	[M(LODSQ)] = { op_pick_string, STR_LODS, false },
	[M(STOSB)] = { op_pick_string, STR_STOS, false },
	[M(STOSW)] = { op_pick_string, STR_STOS, false },
	[M(STOSD)] = { op_pick_string, STR_STOS, false },
	[M(STOSQ)] = { op_pick_string, STR_STOS, false },
	[M(INSB)] = { op_pick_string, STR_INS, false },
	[M(INSW)] = { op_pick_string, STR_INS, false },
	[M(INSD)] = { op_pick_string, STR_INS, false },
	[M(OUTSB)] = { op_pick_string, STR_OUTS, false },
	[M(OUTSW)] = { op_pick_string, STR_OUTS, false },
	[M(OUTSD)] = { op_pick_string, STR_OUTS, false },
	[M(CLI)] = { op_pick_sys, SYS_CLI, true },
	[M(STI)] = { op_pick_sys, SYS_STI, false },
	[M(HLT)] = { op_pick_sys, SYS_HLT, true },
	[M(IN)] = { op_pick_sys, SYS_IN, true },
	[M(OUT)] = { op_pick_sys, SYS_OUT, true },
	[M(LGDT)] = { op_pick_sys, SYS_LGDT, false },
	[M(LIDT)] = { op_pick_sys, SYS_LIDT, false },
	[M(SGDT)] = { op_pick_sys, SYS_SGDT, false },
	[M(SIDT)] = { op_pick_sys, SYS_SIDT, false },
	[M(LLDT)] = { op_pick_sys, SYS_LLDT, false },
	[M(SLDT)] = { op_pick_sys, SYS_SLDT, false },
	[M(LTR)] = { op_pick_sys, SYS_LTR, false },
	[M(STR)] = { op_pick_sys, SYS_STR, false },
	[M(LMSW)] = { op_pick_sys, SYS_LMSW, true },
	[M(SMSW)] = { op_pick_sys, SYS_SMSW, false },
	[M(CLTS)] = { op_pick_sys, SYS_CLTS, false },
	[M(INVLPG)] = { op_pick_sys, SYS_INVLPG, true },
	[M(INVPCID)] = { op_pick_sys, SYS_INVPCID, true },
	[M(WBINVD)] = { op_pick_sys, SYS_WBINVD, false },
	[M(INVD)] = { op_pick_sys, SYS_WBINVD, false },
	[M(RDMSR)] = { op_pick_sys, SYS_RDMSR, false },
	[M(WRMSR)] = { op_pick_sys, SYS_WRMSR, true },
	[M(RDTSC)] = { op_pick_sys, SYS_RDTSC, false },
	[M(RDTSCP)] = { op_pick_sys, SYS_RDTSCP, false },
	[M(RDPID)] = { op_pick_sys, SYS_RDPID, false },
	[M(RDPMC)] = { op_pick_sys, SYS_RDPMC, false },
	[M(CPUID)] = { op_pick_sys, SYS_CPUID, false },
	[M(SWAPGS)] = { op_pick_sys, SYS_SWAPGS, false },
	[M(XGETBV)] = { op_pick_sys, SYS_XGETBV, false },
	[M(XSETBV)] = { op_pick_sys, SYS_XSETBV, true },
	[M(RDFSBASE)] = { op_pick_sys, SYS_RDFSBASE, false },
	[M(RDGSBASE)] = { op_pick_sys, SYS_RDGSBASE, false },
	[M(WRFSBASE)] = { op_pick_sys, SYS_WRFSBASE, false },
	[M(WRGSBASE)] = { op_pick_sys, SYS_WRGSBASE, false },
	[M(LAR)] = { op_pick_sys, SYS_LAR, false },
	[M(LSL)] = { op_pick_sys, SYS_LSL, false },
	[M(VERR)] = { op_pick_sys, SYS_VERR, false },
	[M(VERW)] = { op_pick_sys, SYS_VERW, false },
	[M(ARPL)] = { op_pick_sys, SYS_ARPL, false },
	[M(STAC)] = { op_pick_sys, SYS_STAC, false },
	[M(CLAC)] = { op_pick_sys, SYS_CLAC, false },
	[M(SYSCALL)] = { op_pick_sys, SYS_SYSCALL, true },
	[M(SYSRET)] = { op_pick_sys, SYS_SYSRET, true },
	[M(SYSENTER)] = { op_pick_sys, SYS_SYSENTER, true },
	[M(SYSEXIT)] = { op_pick_sys, SYS_SYSEXIT, true },
	[M(LDS)] = { op_pick_sys, SYS_LDS, true },
	[M(LES)] = { op_pick_sys, SYS_LDS, true },
	[M(LSS)] = { op_pick_sys, SYS_LDS, true },
	[M(LFS)] = { op_pick_sys, SYS_LDS, true },
	[M(LGS)] = { op_pick_sys, SYS_LDS, true },
	[M(RDRAND)] = { op_pick_sys, SYS_RDRAND, false },
	[M(RDSEED)] = { op_pick_sys, SYS_RDSEED, false },
};

static void h_undefined(struct soft_vcpu *v, const struct insn *in UNUSED)
{
	soft_ud(v);
}

bool soft_insn_undefined(const struct insn *in)
{
	return in->fn == h_undefined;
}

static void h_too_long(struct soft_vcpu *v, const struct insn *in UNUSED)
{
	soft_gp(v, 0);
}

/* Byte offset of a general register in soft_vcpu.r. */
static uint8_t reg_off(ZydisRegister r)
{
	int gpr;

	if (soft_operand_high(r))
		return (uint8_t)((r - ZYDIS_REGISTER_AH) * 8 + 1);
	gpr = soft_operand_gpr(r);
	return gpr < 0 ? INSN_REG_NONE : (uint8_t)(gpr * 8);
}

static void fill_memory(const struct soft_zydis *z, const ZydisDecodedOperand *o, struct insn *in)
{
	bool rip = o->mem.base == ZYDIS_REGISTER_RIP || o->mem.base == ZYDIS_REGISTER_EIP;

	in->flags |= INSN_MEM;
	in->base = rip ? INSN_REG_NONE : reg_off(o->mem.base);
	in->index = reg_off(o->mem.index);
	in->scale = o->mem.scale == 8 ? 3 : o->mem.scale == 4 ? 2 : o->mem.scale == 2;
	in->disp = (int32_t)o->mem.disp.value;
	in->seg = o->mem.segment >= ZYDIS_REGISTER_ES && o->mem.segment <= ZYDIS_REGISTER_GS
			  ? (uint8_t)(o->mem.segment - ZYDIS_REGISTER_ES)
			  : CPU_DS;
	if (in->seg == CPU_SS)
		in->flags |= INSN_STACK;
	if ((z->mode & SOFT_MODE_BITS) == SOFT_MODE_64 && in->asize == 8 && in->seg < CPU_FS) {
		in->ea = rip ? INSN_EA_RIP : INSN_EA_FLAT;
		return;
	}
	in->ea = INSN_EA_GENERIC;
	if (rip)
		in->flags |= INSN_ABS_RIP;
}

/* Operand shape, registers and immediate of the first two explicit operands. */
static enum op_form fill_operands(const struct soft_zydis *z, struct insn *in)
{
	char shape[3] = "";
	unsigned n = MIN((unsigned)z->i.operand_count_visible, 3u);

	in->dst = in->src = in->base = in->index = INSN_REG_NONE;
	for (unsigned i = 0; i < n; i++) {
		const ZydisDecodedOperand *o = &z->op[i];
		char c = 0;

		switch (o->type) {
		case ZYDIS_OPERAND_TYPE_REGISTER:
			if (i == 0)
				in->dst = reg_off(o->reg.value);
			else if (i == 1)
				in->src = reg_off(o->reg.value);
			c = 'R';
			break;
		case ZYDIS_OPERAND_TYPE_MEMORY:
			if (!(in->flags & INSN_MEM))
				fill_memory(z, o, in);
			c = 'M';
			break;
		case ZYDIS_OPERAND_TYPE_IMMEDIATE:
			in->imm = o->imm.is_signed ? o->imm.value.s : (int64_t)o->imm.value.u;
			c = 'I';
			break;
		default:
			break;
		}
		if (i < 2)
			shape[i] = c;
	}
	if (shape[0] == 'R')
		return shape[1] == 'R'	 ? FORM_RR
		       : shape[1] == 'M' ? FORM_RM
		       : shape[1] == 'I' ? FORM_RI
					 : FORM_R;
	if (shape[0] == 'M')
		return shape[1] == 'R' ? FORM_MR : shape[1] == 'I' ? FORM_MI : FORM_M;
	return shape[0] == 'I' ? FORM_I : FORM_NONE;
}

static enum op_form decode_common(const struct soft_zydis *z, struct insn *in)
{
	enum op_form form;

	in->len = z->i.length;
	in->asize = z->i.address_width / 8;
	if (z->i.attributes & ZYDIS_ATTRIB_HAS_LOCK)
		in->flags |= INSN_LOCK;
	if (z->i.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
		in->flags |= INSN_REP;
	if (z->i.attributes & ZYDIS_ATTRIB_HAS_REPNE)
		in->flags |= INSN_REPNE;
	form = fill_operands(z, in);
	in->size = z->i.operand_count_visible ? (uint8_t)(z->op[0].size / 8)
					      : (uint8_t)(z->i.operand_width / 8);
	return form;
}

static bool setup_decoder(ZydisDecoder *d, uint32_t mode)
{
	static const struct {
		ZydisMachineMode mode;
		ZydisStackWidth width;
	} modes[] = {
		[SOFT_MODE_16] = { ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16 },
		[SOFT_MODE_32] = { ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32 },
		[SOFT_MODE_64] = { ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
	};

	mode &= SOFT_MODE_BITS;
	return ZYAN_SUCCESS(ZydisDecoderInit(d, modes[mode].mode, modes[mode].width));
}

/* MOVSD and CMPSD are both string and SSE2 instructions: told apart by operands. */
static const struct row *find_row(const struct soft_zydis *z)
{
	static const struct row movs = { op_pick_string, STR_MOVS, false };
	static const struct row cmps = { op_pick_string, STR_CMPS, false };

	if (z->i.mnemonic == ZYDIS_MNEMONIC_MOVSD && z->i.meta.category == ZYDIS_CATEGORY_STRINGOP)
		return &movs;
	if (z->i.mnemonic == ZYDIS_MNEMONIC_CMPSD && z->i.meta.category == ZYDIS_CATEGORY_STRINGOP)
		return &cmps;
	return rows[z->i.mnemonic].pick ? &rows[z->i.mnemonic] : NULL;
}

/*
 * A displacement, and immediates of what takes them as they are; soft_decode_cached() looks
 * whether insn has their values.
 */
static void note_fields(const struct soft_zydis *z, const struct row *row, const struct insn *in,
			struct soft_fields *f)
{
	bool plain = row->pick == op_pick_alu || row->pick == op_pick_mov ||
		     (row->pick == op_pick_flow && z->i.raw.imm[0].is_relative);

	/* Not of MOV with an address and no ModRM, which has it as its immediate. */
	if ((in->flags & INSN_MEM) && (z->i.attributes & ZYDIS_ATTRIB_HAS_MODRM) &&
	    z->i.raw.disp.size)
		f->disp = (struct soft_field) { .off = z->i.raw.disp.offset,
						.size = z->i.raw.disp.size / 8,
						.is_signed = true };
	if (plain && z->i.raw.imm[0].size && !z->i.raw.imm[1].size)
		f->imm = (struct soft_field) { .off = z->i.raw.imm[0].offset,
					       .size = z->i.raw.imm[0].size / 8,
					       .is_signed = z->i.raw.imm[0].is_signed };
}

int soft_decode(struct soft_vm *vm, const uint8_t *bytes, unsigned avail, uint32_t mode,
		struct insn *in, struct soft_fields *fields)
{
	struct soft_zydis z = { .mode = mode & SOFT_MODE_BITS };
	struct op_pick pick = { .z = &z };
	const struct row *row;
	ZydisDecoder d;
	ZyanStatus st;
	bool ends;

	*in = (struct insn) { .fn = h_undefined, .len = 1 };
	if (fields)
		*fields = (struct soft_fields) { 0 };
	BUG_ON(!setup_decoder(&d, mode));
	st = ZydisDecoderDecodeFull(&d, bytes, avail, &z.i, z.op);
	if (st == ZYDIS_STATUS_NO_MORE_DATA && avail < 15)
		return -EAGAIN;
	if (st == ZYDIS_STATUS_INSTRUCTION_TOO_LONG || st == ZYDIS_STATUS_NO_MORE_DATA) {
		in->fn = h_too_long;
		return 1;
	}
	if (!ZYAN_SUCCESS(st))
		return 1;
	if (fields)
		fields->whole = true;
	pick.form = decode_common(&z, in);
	row = find_row(&z);
	if (row) {
		insn_fn fn;

		pick.arg = row->arg;
		fn = row->pick(&pick, in);
		ends = row->ends || pick.ends || !fn;
		in->fn = fn ? fn : h_undefined;
		if (fields)
			note_fields(&z, row, in, fields);
		return ends;
	}
	if (soft_fpu_decode(vm, &z, bytes, in) == 0)
		return 0;
	in->fn = h_undefined;
	return 1;
}
