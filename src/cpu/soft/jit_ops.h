/* SPDX-License-Identifier: MIT */
/*
 * The seam to a translator.
 *
 * Theory of operation: a block starts out interpreted. When it has run JIT_HOT times and the VM
 * has a translator, translate() is asked once for native code; the block has code then, or stays
 * interpreted. Code obeys the rules of handlers: it leaves by setting v->rip, has v->cur at the
 * instruction whose handler it calls, and looks at nothing that a handler may not. It may go on
 * into other blocks' code, but looks at v->attention at the start of each.
 *
 * Without a translator (engine option jit=off) everything works the same, slower.
 */
#ifndef HOLM_CPU_SOFT_JIT_OPS_H
#define HOLM_CPU_SOFT_JIT_OPS_H

#include "base/err.h"
#include "cpu/soft/insn.h"

#include <stddef.h>

/** Runs of a block before it is offered to the translator, where nothing else is asked for. */
#define JIT_HOT	    32
#define JIT_HOT_MAX 60000

/** soft_block.runs of a block that is not to be offered. */
#define JIT_NEVER UINT16_MAX

struct soft_block;
struct soft_vcpu;

/** All mandatory. On the vCPU's own thread outside blocks, except where it says more. */
struct jit_ops {
	const char *name;
	/** v->jit, with @size bytes of code at @at, which is reserved and within 2 GiB of @v. */
	int (*create)(struct soft_vcpu *v, void *at, size_t size, struct err *e);
	/** Where v->jit is NULL: nothing. */
	void (*destroy)(struct soft_vcpu *v);
	/** Whether flush() must come before another translate(). */
	bool (*full)(const struct soft_vcpu *v);
	/** All blocks of @v are gone. Also in an exclusive section while @v is outside blocks. */
	void (*flush)(struct soft_vcpu *v);
	/** Sets b->code where it can. The code stays valid until drop(@b) or flush(@v). */
	void (*translate)(struct soft_vcpu *v, struct soft_block *b);
	/** @b was invalidated; its code may still be running. Exclusive section held. */
	void (*drop)(struct soft_vcpu *v, struct soft_block *b);
	/** Run b->code; false: not as the FPU's control stands now, interpret it. */
	bool (*run)(struct soft_vcpu *v, struct soft_block *b);
	/** Called now and then while the vCPU runs, at v->rip: that is where time goes. */
	void (*sample)(struct soft_vcpu *v);
};

#endif
