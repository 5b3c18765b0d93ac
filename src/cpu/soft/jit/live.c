/* SPDX-License-Identifier: MIT */
/*
 * Which flags instructions read and write, and which are still wanted at some place.
 */
#include "cpu/soft/jit/trans.h"

/* Shifts leave the flags alone where the count is 0. */
static bool may_keep_flags(const ZydisDecodedInstruction *i)
{
	switch (i->mnemonic) {
	case ZYDIS_MNEMONIC_ROL:
	case ZYDIS_MNEMONIC_ROR:
	case ZYDIS_MNEMONIC_SHL:
	case ZYDIS_MNEMONIC_SHR:
	case ZYDIS_MNEMONIC_SAR:
	case ZYDIS_MNEMONIC_SHLD:
	case ZYDIS_MNEMONIC_SHRD:
		if ((i->opcode & 0xfe) == 0xd0 && i->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
			return false; /* by 1 */
		return !i->raw.imm[0].size || !(i->raw.imm[0].value.u & 0x1f);
	case ZYDIS_MNEMONIC_BSF:
	case ZYDIS_MNEMONIC_BSR:
		return true;
	default:
		return false;
	}
}

/* What an instruction reads, may change and surely overwrites. */
struct effect {
	uint32_t reads, changes, writes;
};

static struct effect effect_of(const ZydisDecodedInstruction *i)
{
	const ZydisAccessedFlags *f = i->cpu_flags;
	struct effect x = { 0 };

	/* Flags behind a division are undefined: here they stay. */
	if (!f || i->mnemonic == ZYDIS_MNEMONIC_DIV || i->mnemonic == ZYDIS_MNEMONIC_IDIV)
		return x;
	x.reads = f->tested & JIT_FLAGS;
	x.changes = (f->modified | f->set_0 | f->set_1 | f->undefined) & JIT_FLAGS;
	x.writes = may_keep_flags(i) ? 0 : x.changes;
	return x;
}

void jit_flags_of(struct item *t)
{
	struct effect x;

	if (!t->inlined) {
		/* A handler may look at the flags and change any. */
		t->reads = JIT_FLAGS;
		t->changes = true;
		return;
	}
	x = effect_of(&t->z.i);
	t->reads = x.reads;
	t->changes = x.changes != 0;
	t->writes = x.writes;
}

uint32_t jit_live_at(const ZydisDecoder *d, const uint8_t *page, int64_t off, unsigned budget)
{
	uint32_t live = 0, open = JIT_FLAGS; /* found wanted; not known yet */

	while (budget-- && off >= 0 && off < (int64_t)X86_PAGE_SIZE) {
		ZydisDecodedInstruction i;
		struct effect x;

		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
			    d, NULL, page + off, (size_t)((int64_t)X86_PAGE_SIZE - off), &i)) ||
		    !jit_listed[i.mnemonic])
			break;
		x = effect_of(&i);
		live |= x.reads & open;
		open &= ~(x.reads | x.writes);
		if (!open)
			return live;
		off += i.length;
		if (i.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE)
			continue;
		if (!i.raw.imm[0].size || !i.raw.imm[0].is_relative)
			break;
		if (i.meta.category == ZYDIS_CATEGORY_COND_BR)
			live |= jit_live_at(d, page, off, budget / 2) & open;
		off += i.raw.imm[0].value.s;
	}
	return live | open;
}
