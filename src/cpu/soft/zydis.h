/* SPDX-License-Identifier: MIT */
/*
 * What decode.c hands to the rooms that pick handlers.
 */
#ifndef HOLM_CPU_SOFT_ZYDIS_H
#define HOLM_CPU_SOFT_ZYDIS_H

#include <Zydis/Zydis.h>

struct soft_zydis {
	ZydisDecodedInstruction i;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	uint32_t mode; /* SOFT_MODE_* */
};

#endif
