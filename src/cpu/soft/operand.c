/* SPDX-License-Identifier: MIT */
/*
 * Questions about Zydis's operands that decoding, FPU and translator all ask.
 */
#include "cpu/soft/zydis.h"

int soft_operand_gpr(ZydisRegister r)
{
	if (r >= ZYDIS_REGISTER_AL && r <= ZYDIS_REGISTER_BL)
		return r - ZYDIS_REGISTER_AL;
	if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B)
		return r - ZYDIS_REGISTER_SPL + 4;
	if (r >= ZYDIS_REGISTER_AX && r <= ZYDIS_REGISTER_R15W)
		return r - ZYDIS_REGISTER_AX;
	if (r >= ZYDIS_REGISTER_EAX && r <= ZYDIS_REGISTER_R15D)
		return r - ZYDIS_REGISTER_EAX;
	if (r >= ZYDIS_REGISTER_RAX && r <= ZYDIS_REGISTER_R15)
		return r - ZYDIS_REGISTER_RAX;
	return -1;
}

int soft_operand_simd(const ZydisDecodedOperand *o)
{
	if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return -1;
	if (o->reg.value >= ZYDIS_REGISTER_XMM0 && o->reg.value <= ZYDIS_REGISTER_XMM15)
		return o->reg.value - ZYDIS_REGISTER_XMM0;
	if (o->reg.value >= ZYDIS_REGISTER_YMM0 && o->reg.value <= ZYDIS_REGISTER_YMM15)
		return o->reg.value - ZYDIS_REGISTER_YMM0;
	return -1;
}

const ZydisDecodedOperand *soft_operand_memory(const struct soft_zydis *z)
{
	for (unsigned i = 0; i < z->i.operand_count_visible; i++)
		if (z->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return &z->op[i];
	return NULL;
}
