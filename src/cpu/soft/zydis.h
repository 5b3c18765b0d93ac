/* SPDX-License-Identifier: MIT */
/*
 * What decode.c hands to the rooms that pick handlers.
 */
#ifndef HOLM_CPU_SOFT_ZYDIS_H
#define HOLM_CPU_SOFT_ZYDIS_H

#include <Zydis/Zydis.h>
#include <stdbool.h>

struct soft_zydis {
	ZydisDecodedInstruction i;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	uint32_t mode; /* SOFT_MODE_* */
};

/** soft_operand_gpr() - number of a general register, 0..15; -1: none, or AH, CH, DH, BH. */
int soft_operand_gpr(ZydisRegister r);
/** soft_operand_high() - whether it is AH, CH, DH or BH. */
static inline bool soft_operand_high(ZydisRegister r)
{
	return r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH;
}

/** soft_operand_simd() - number of an XMM or YMM register, 0..15, or -1. */
int soft_operand_simd(const ZydisDecodedOperand *o);
/** soft_operand_memory() - the explicit memory operand, or NULL. */
const ZydisDecodedOperand *soft_operand_memory(const struct soft_zydis *z);

#endif
