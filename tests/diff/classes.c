/* SPDX-License-Identifier: MIT */
/*
 * Instruction classes, by Zydis's extension, category and mnemonic.
 *
 * Left out, because one instruction alone cannot be compared: what changes modes or flags outside
 * arithmetic (POPF), what shows addresses of the code (FNSTENV, FNSAVE, FXSAVE) or loads whole
 * states (FXRSTOR, XRSTOR, XSAVE with the host's larger XCR0), random numbers and time.
 */
#include "diff.h"

static bool excluded(const ZydisDecodedInstruction *i)
{
	switch (i->mnemonic) {
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_FNSTENV:
	case ZYDIS_MNEMONIC_FLDENV:
	case ZYDIS_MNEMONIC_FLDCW:
	case ZYDIS_MNEMONIC_FNSAVE:
	case ZYDIS_MNEMONIC_FRSTOR:
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
	case ZYDIS_MNEMONIC_FFREEP:
	case ZYDIS_MNEMONIC_FDISI8087_NOP:
	case ZYDIS_MNEMONIC_FENI8087_NOP:
	case ZYDIS_MNEMONIC_FSETPM287_NOP:
	/* Whether masked-out bytes may fault depends on the CPU. */
	case ZYDIS_MNEMONIC_MASKMOVQ:
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU:
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
		return true;
	default:
		return false;
	}
}

#define BY_CATEGORY(name, cond)                                                                    \
	static bool match_##name(const ZydisDecodedInstruction *i)                                 \
	{                                                                                          \
		ZydisInstructionCategory cat UNUSED = i->meta.category;                            \
		ZydisISAExt ext UNUSED = i->meta.isa_ext;                                          \
		ZydisMnemonic m UNUSED = i->mnemonic;                                              \
                                                                                                   \
		return !excluded(i) && (cond);                                                     \
	}

#define BASE                                                                                       \
	(ext == ZYDIS_ISA_EXT_BASE || ext == ZYDIS_ISA_EXT_LONGMODE || ext == ZYDIS_ISA_EXT_MOVBE)
#define CAT(c) (cat == ZYDIS_CATEGORY_##c)
#define EXT(e) (ext == ZYDIS_ISA_EXT_##e)
#define MN(x)  (m == ZYDIS_MNEMONIC_##x)
#define MULDIV (MN(MUL) || MN(IMUL) || MN(DIV) || MN(IDIV))

BY_CATEGORY(binary, BASE &&CAT(BINARY) && !MULDIV)
BY_CATEGORY(muldiv, BASE &&MULDIV)
BY_CATEGORY(logical, BASE &&CAT(LOGICAL))
BY_CATEGORY(shift, BASE &&CAT(SHIFT))
BY_CATEGORY(rotate, BASE &&CAT(ROTATE))
BY_CATEGORY(bitbyte, BASE &&CAT(BITBYTE))
BY_CATEGORY(setcc, BASE &&CAT(SETCC))
BY_CATEGORY(cmov, CAT(CMOV))
BY_CATEGORY(datamove, BASE &&CAT(DATAXFER))
BY_CATEGORY(convert, BASE &&CAT(CONVERT))
BY_CATEGORY(flags, BASE &&CAT(FLAGOP) && !MN(STI) && !MN(CLI) && !MN(STAC) && !MN(CLAC))
BY_CATEGORY(stack, BASE && (CAT(PUSH) || CAT(POP) || MN(ENTER) || MN(LEAVE)))
BY_CATEGORY(string, BASE &&CAT(STRINGOP))
BY_CATEGORY(exchange, CAT(SEMAPHORE) || MN(XCHG) || MN(XADD) || MN(CMPXCHG) || MN(CMPXCHG8B) ||
			      MN(CMPXCHG16B))
BY_CATEGORY(misc, BASE && (MN(LEA) || MN(XLAT) || (MN(NOP) && i->opcode != 0x0d)))
BY_CATEGORY(bmi, EXT(BMI1) || EXT(BMI2) || EXT(LZCNT) || EXT(ADOX_ADCX) ||
			 ((MN(POPCNT) || MN(CRC32)) && !(i->attributes & ZYDIS_ATTRIB_HAS_VEX)))
BY_CATEGORY(x87, EXT(X87))
BY_CATEGORY(mmx, EXT(MMX))
BY_CATEGORY(sse, EXT(SSE))
BY_CATEGORY(sse2, EXT(SSE2))
BY_CATEGORY(sse3, EXT(SSE3) || EXT(SSSE3))
BY_CATEGORY(sse4, EXT(SSE4))
BY_CATEGORY(avx, EXT(AVX))
BY_CATEGORY(avx2, EXT(AVX2))
BY_CATEGORY(fma, EXT(FMA))
BY_CATEGORY(f16c, EXT(F16C))
BY_CATEGORY(aes, EXT(AES) || EXT(AVXAES))
BY_CATEGORY(pclmul, EXT(PCLMULQDQ))
BY_CATEGORY(sha, EXT(SHA))

#define CLASS(n)                                                                                   \
	{                                                                                          \
		.name = #n, .match = match_##n                                                     \
	}

static const struct diff_class classes[] = {
	CLASS(binary),	CLASS(muldiv), CLASS(logical), CLASS(shift),	CLASS(rotate),
	CLASS(bitbyte), CLASS(setcc),  CLASS(cmov),    CLASS(datamove), CLASS(convert),
	CLASS(flags),	CLASS(stack),  CLASS(string),  CLASS(exchange), CLASS(misc),
	CLASS(bmi),	CLASS(x87),    CLASS(mmx),     CLASS(sse),	CLASS(sse2),
	CLASS(sse3),	CLASS(sse4),   CLASS(avx),     CLASS(avx2),	CLASS(fma),
	CLASS(f16c),	CLASS(aes),    CLASS(pclmul),  CLASS(sha),
};

const struct diff_class *diff_classes(unsigned *n)
{
	*n = ARRAY_SIZE(classes);
	return classes;
}
