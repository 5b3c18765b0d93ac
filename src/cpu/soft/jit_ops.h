/* SPDX-License-Identifier: MIT */
/*
 * The seam to a translator.
 *
 * Theory of operation: a block starts out interpreted. When it has run JIT_HOT times and the VM
 * has a translator, translate() is asked once for native code; NULL means "interpret", never an
 * error, and the block is not asked for again. Code is entered like a handler, with the block's
 * first instruction, and obeys the same rules: it ends by setting v->rip, raises faults through
 * soft_raise() with v->cur at the instruction, and looks at nothing that a handler may not.
 *
 * Without a translator (engine option jit=off, or a host that allows no executable memory for
 * one) everything works the same, slower.
 */
#ifndef HOLM_CPU_SOFT_JIT_OPS_H
#define HOLM_CPU_SOFT_JIT_OPS_H

#include "cpu/soft/insn.h"

/** Runs of a block before it is offered to the translator. */
#define JIT_HOT 32

struct soft_block;
struct soft_vcpu;

struct jit_ops {
	const char *name;
	/**
	 * Mandatory. Native code for @b, or NULL. On the vCPU's own thread, outside blocks; must
	 * not block. The code stays valid until drop(@b) or flush(@v).
	 */
	insn_fn (*translate)(struct soft_vcpu *v, const struct soft_block *b);
	/** Mandatory. @b was invalidated; its code may still be running. Exclusive section held. */
	void (*drop)(struct soft_vcpu *v, const struct soft_block *b);
	/** Mandatory. All blocks of @v are gone. Its own thread, outside blocks. */
	void (*flush)(struct soft_vcpu *v);
};

#endif
