/* SPDX-License-Identifier: MIT */
/*
 * Which instructions are emitted as themselves.
 */
#include "cpu/soft/fpu.h"
#include "cpu/soft/jit/trans.h"

/* --- what is emitted as itself ------------------------------------------------------------ */

#define M(x)  [ZYDIS_MNEMONIC_##x] = true
#define CC(x) M(SET##x), M(CMOV##x), M(J##x)
/* clang-format off */
const bool jit_listed[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	M(ADD), M(OR), M(ADC), M(SBB), M(AND), M(SUB), M(XOR), M(CMP), M(TEST), M(INC), M(DEC),
	M(NEG), M(NOT), M(MOV), M(MOVZX), M(MOVSX), M(MOVSXD), M(LEA), M(ROL), M(ROR), M(SHL),
	M(SHR), M(SAR), M(SHLD), M(SHRD), M(IMUL), M(MUL), M(DIV),
	M(IDIV), M(BT), M(BTS), M(BTR), M(BTC), M(BSF),
	M(BSR), M(BSWAP), M(XCHG), M(XADD), M(CMPXCHG), M(CBW), M(CWDE), M(CDQE), M(CWD), M(CDQ),
	M(CQO), M(CLC), M(STC), M(CMC), M(NOP), M(ENDBR64), M(ENDBR32), M(PUSH), M(POP),
	M(PREFETCH), M(PREFETCHW), M(PREFETCHNTA), M(PREFETCHT0), M(PREFETCHT1), M(PREFETCHT2),
	M(CMPXCHG16B), M(ANDN), M(BEXTR), M(BLSI), M(BLSMSK), M(BLSR), M(BZHI), M(MULX), M(PDEP),
	M(PEXT), M(RORX), M(SARX), M(SHLX), M(SHRX), M(ADCX), M(ADOX), M(CRC32), M(MOVBE),
	M(LEAVE), M(JMP), M(CALL), M(RET), M(LOOP), M(JRCXZ), M(POPCNT), M(TZCNT), M(LZCNT),
	CC(O), CC(NO), CC(B),
	CC(NB), CC(Z), CC(NZ), CC(BE), CC(NBE), CC(S), CC(NS), CC(P), CC(NP), CC(L), CC(NL),
	CC(LE), CC(NLE),
};
/* clang-format on */
#undef CC
#undef M

bool jit_is_nop(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_NOP:
	case ZYDIS_MNEMONIC_ENDBR32:
	case ZYDIS_MNEMONIC_ENDBR64:
	case ZYDIS_MNEMONIC_PREFETCH:
	case ZYDIS_MNEMONIC_PREFETCHW:
	case ZYDIS_MNEMONIC_PREFETCHNTA:
	case ZYDIS_MNEMONIC_PREFETCHT0:
	case ZYDIS_MNEMONIC_PREFETCHT1:
	case ZYDIS_MNEMONIC_PREFETCHT2:
		return true;
	default:
		return false;
	}
}

/* Only general registers; AH to BH only where nothing else needs a REX: memory, or RSP in R12. */
static bool can_name_registers(const struct soft_zydis *z)
{
	bool high = false, rex = soft_operand_memory(z) != NULL;

	for (unsigned i = 0; i < z->i.operand_count_visible; i++) {
		ZydisRegister r = z->op[i].reg.value;

		if (z->op[i].type == ZYDIS_OPERAND_TYPE_POINTER)
			return false;
		if (z->op[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		if (soft_operand_high(r))
			high = true;
		else if (soft_operand_gpr(r) < 0)
			return false;
		else if (soft_operand_gpr(r) == CPU_RSP)
			rex = true;
	}
	return !(high && rex);
}

/* Forms of listed instructions that are left to their handlers. */
static bool can_inline(const struct item *t)
{
	const struct soft_zydis *z = &t->z;
	const ZydisDecodedOperand *m = soft_operand_memory(z);

	if (!jit_listed[z->i.mnemonic] || soft_insn_undefined(t->in) ||
	    (t->in->flags & (INSN_REP | INSN_REPNE)))
		return false;
	if (jit_is_nop(z->i.mnemonic))
		return true;
	if (!can_name_registers(z))
		return false;
	if (z->i.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return false;
	/* Compilers and hand-written code pad with the prefix where it says nothing. */
	if (m && t->in->asize != 8)
		return false;
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_LOOP:
	case ZYDIS_MNEMONIC_JRCXZ:
		return t->in->asize == 8 && t->in->size == 8;
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_POP:
		if (m)
			return t->in->size == 8 && z->i.mnemonic == ZYDIS_MNEMONIC_PUSH &&
			       m->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM;
		return t->in->size == 8 ||
		       (z->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && z->i.operand_width == 64);
	case ZYDIS_MNEMONIC_LEAVE:
	case ZYDIS_MNEMONIC_RET:
		return !(z->i.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE);
	case ZYDIS_MNEMONIC_JMP:
	case ZYDIS_MNEMONIC_CALL:
		return t->in->size == 8;
	case ZYDIS_MNEMONIC_XCHG:
		if (!(z->i.attributes & ZYDIS_ATTRIB_HAS_MODRM))
			return false;
		break;
	case ZYDIS_MNEMONIC_DIV:
	case ZYDIS_MNEMONIC_IDIV:
		return t->in->size >= 4;
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		return !m || z->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	default:
		break;
	}
	if ((t->in->flags & INSN_LOCK) && !m)
		return false;
	if (m && m->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM)
		return false; /* MOV with an address of 8 bytes */
	if (m && z->i.mnemonic != ZYDIS_MNEMONIC_LEA &&
	    z->i.mnemonic != ZYDIS_MNEMONIC_CMPXCHG16B && m->size > 64)
		return false;
	return true;
}

/* x87 that computes or moves; what reads or writes its control is left to handlers. */
static bool can_inline_x87(const struct item *t)
{
	const ZydisDecodedOperand *m = soft_operand_memory(&t->z);
	const struct fpu_op *op = t->in->aux;

	if (t->in->fn == fpu_run_fwait)
		return true;
	if (t->in->fn != fpu_run_x87 || op->control)
		return false;
	return !m || (t->in->asize == 8 && m->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM &&
		      m->mem.type == ZYDIS_MEMOP_TYPE_MEM && m->size <= 80);
}

/* SIMD that runs as it is: only SIMD and general registers, one plain memory operand. */
static bool can_inline_simd(const struct item *t)
{
	const struct soft_zydis *z = &t->z;
	bool simd = false;

	if (soft_insn_undefined(t->in) || (soft_operand_memory(z) && t->in->asize != 8))
		return false;
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_VZEROUPPER:
	case ZYDIS_MNEMONIC_VZEROALL:
		return true;
	case ZYDIS_MNEMONIC_CVTPI2PS:
	case ZYDIS_MNEMONIC_CVTPI2PD:
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVPS:
	case ZYDIS_MNEMONIC_VMASKMOVPD:
	case ZYDIS_MNEMONIC_VPMASKMOVD:
	case ZYDIS_MNEMONIC_VPMASKMOVQ:
		return false;
	default:
		break;
	}
	if (z->i.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	    z->i.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
		return false;
	if (!(z->i.attributes & ZYDIS_ATTRIB_HAS_MODRM))
		return false;
	for (unsigned i = 0; i < z->i.operand_count; i++) {
		const ZydisDecodedOperand *o = &z->op[i];

		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			if (o->mem.type != ZYDIS_MEMOP_TYPE_MEM || !o->size || o->size > 256 ||
			    o->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM)
				return false;
		} else if (o->type == ZYDIS_OPERAND_TYPE_REGISTER) {
			if (soft_operand_simd(o) >= 0)
				simd = true;
			else if (soft_operand_gpr(o->reg.value) >= 0
					 ? o->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD
					 : o->visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN)
				return false; /* MMX; general registers in VEX.vvvv */
		}
	}
	return simd;
}

/* Behind these MXCSR may unmask something: no SIMD is inlined behind them in their block. */
bool jit_sets_mxcsr(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_VLDMXCSR:
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
	case ZYDIS_MNEMONIC_XRSTOR:
	case ZYDIS_MNEMONIC_XRSTOR64:
	case ZYDIS_MNEMONIC_FLDCW:
	case ZYDIS_MNEMONIC_FLDENV:
	case ZYDIS_MNEMONIC_FRSTOR:
		return true;
	default:
		return false;
	}
}

void jit_select(struct item *it, bool simd)
{
	it->simd = simd && can_inline_simd(it);
	it->x87 = simd && can_inline_x87(it);
	it->system = jit_can_inline_system(it);
	it->inlined = it->simd || it->x87 || it->system || can_inline(it);
}
