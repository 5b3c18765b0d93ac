/* SPDX-License-Identifier: MIT */
/*
 * The translator's areas, stubs, links between blocks, and their end.
 */
#include "cpu/soft/jit/jit.h"

#include "cpu/soft/fpu.h"
#include "cpu/soft/jit/emit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Where so many of so many samples are on one page its blocks get their next tier. */
#define SAMPLES_HOT  2
#define SAMPLES_KEPT 128

/* Guest registers that live in host registers, to v->r or from it. */
static void move_all(struct emit *e, unsigned op)
{
	for (unsigned i = 0; i < ARRAY_SIZE(jit_home); i++)
		if (jit_home[i] >= 0)
			emit_v(e, true, op, (unsigned)jit_home[i],
			       offsetof(struct soft_vcpu, r) + i * 8, 0);
}

/* v->jit_cc to v->cc, where handlers look for flags; RAX, RCX and EFLAGS are lost. */
static void flags_to_c(struct emit *e)
{
	emit_read_flags(e, HOST_RAX, HOST_RCX);
	EMIT_V(e, true, X_MOV_STORE, HOST_RAX, cc);
}

/* And back. */
static void flags_from_c(struct emit *e)
{
	EMIT_V(e, false, X_MOV_LOAD, HOST_RAX, cc);
	emit_rr(e, false, X_MOV_LOAD, HOST_RCX, HOST_RAX);
	emit_rr(e, false, 0xc1, 5, HOST_RCX); /* shr */
	emit_8(e, 11);
	emit_8(e, 0x88); /* mov ah, al */
	emit_8(e, 0xc4);
	emit_8(e, 0x88); /* mov al, cl */
	emit_8(e, 0xc8);
	emit_8(e, 0x66);
	EMIT_V(e, false, X_MOV_STORE, HOST_RAX, jit_cc);
}

static void leave(struct emit *e)
{
	EMIT_V(e, true, X_MOV_LOAD, HOST_RSP, jit_sp);
	emit_rr(e, true, 0x83, 0, HOST_RSP); /* add rsp, 24 */
	emit_8(e, 24);
	for (unsigned r = 15; r >= 12; r--) { /* pop r15 .. r12 */
		emit_8(e, 0x41);
		emit_8(e, 0x58 | (r & 7));
	}
	emit_8(e, 0x5d); /* pop rbp */
	emit_8(e, 0x5b); /* pop rbx */
	emit_8(e, 0xc3);
}

/* LDMXCSR (@op 2) or STMXCSR (3) of a field of the vCPU. */
static void move_mxcsr(struct emit *e, unsigned op, size_t off)
{
	emit_v(e, false, 0x0fae, op, off, 0);
}

/* XSAVE64 (@op 4) or XRSTOR64 (5) of the x87 state alone; RAX and RDX are lost. */
static void move_x87(struct emit *e, unsigned op)
{
	emit_mov_imm(e, HOST_RAX, 1);
	emit_rr(e, false, 0x31, HOST_RDX, HOST_RDX);
	emit_v(e, true, 0x0fae, op, offsetof(struct soft_vcpu, fpu.x87), 0);
}

/* VMOVUPS of all YMM registers: to their homes (@op 0x11), or from there (0x10). */
static void move_simd(struct emit *e, unsigned op)
{
	for (unsigned reg = 0; reg < 16; reg++) {
		const uint8_t *field = e->j->v->fpu.ymm[reg];

		emit_8(e, 0xc5);
		emit_8(e, (reg & 8 ? 0x00 : 0x80) | 0x7c); /* vvvv none, L = 1, pp = 0 */
		emit_8(e, op);
		emit_8(e, (reg & 7) << 3 | 5);
		emit_32(e, (uint32_t)(field - (emit_here(e) + 4)));
	}
}

/*
 * Where the guest's SIMD or x87 state is in the registers: to where handlers look for it, and the
 * host's into the registers. RAX, RDX and EFLAGS are lost.
 */
static void leave_fp(struct emit *e)
{
	uint8_t *skip, *skip2;

	static_assert(offsetof(struct soft_vcpu, jit_x87_live) ==
			      offsetof(struct soft_vcpu, jit_simd_live) + 1,
		      "one compare for both");
	emit_8(e, 0x66); /* cmp word, 0 */
	emit_v(e, false, 0x83, 7, offsetof(struct soft_vcpu, jit_simd_live), 1);
	emit_8(e, 0);
	skip = emit_forward(e, X_JE);
	emit_byte_is_0(e, offsetof(struct soft_vcpu, jit_simd_live));
	skip2 = emit_forward(e, X_JE);
	move_simd(e, 0x11);
	emit_8(e, 0xc5); /* vzeroupper */
	emit_8(e, 0xf8);
	emit_8(e, 0x77);
	move_mxcsr(e, 3, offsetof(struct soft_vcpu, fpu.mxcsr));
	move_mxcsr(e, 2, offsetof(struct soft_vcpu, jit_mxcsr));
	emit_put_byte(e, offsetof(struct soft_vcpu, jit_simd_live), 0);
	emit_land(e, skip2);
	emit_byte_is_0(e, offsetof(struct soft_vcpu, jit_x87_live));
	skip2 = emit_forward(e, X_JE);
	move_x87(e, 4);
	/* Pointers to the last instruction and operand would be the host's. */
	emit_rr(e, false, 0x31, HOST_RAX, HOST_RAX);
	emit_8(e, 0x66);
	emit_v(e, false, X_MOV_STORE, HOST_RAX, offsetof(struct soft_vcpu, fpu.x87[FX_FOP]), 0);
	emit_v(e, true, X_MOV_STORE, HOST_RAX, offsetof(struct soft_vcpu, fpu.x87[FX_FIP]), 0);
	emit_v(e, true, X_MOV_STORE, HOST_RAX, offsetof(struct soft_vcpu, fpu.x87[FX_FDP]), 0);
	emit_8(e, 0xdb); /* fninit: the host's */
	emit_8(e, 0xe3);
	emit_put_byte(e, offsetof(struct soft_vcpu, jit_x87_live), 0);
	emit_land(e, skip2);
	emit_land(e, skip);
}

/* After a handler that set v->rip: code for it, as the loop would find it, or NULL: ask the loop.
 */
static const void *go_elsewhere(struct soft_vcpu *v)
{
	const struct soft_jit_jump *jump = &v->jit_jump[SOFT_JIT_JUMP(v->rip, v->jit_key)];

	if (atomic_load_explicit(&v->attention, memory_order_relaxed) || v->mode != SOFT_MODE_64 ||
	    v->mp != CPU_MP_RUNNABLE || v->exit_wanted || (v->rf & (X86_FLAG_TF | X86_FLAG_RF)) ||
	    (v->dr7 & 0xff))
		return NULL;
	if (jump->va != v->rip || jump->key != v->jit_key)
		return NULL;
	v->block_va = v->rip & SOFT_PAGE_MASK;
	v->simd_denied = jit_simd_denied(v);
	v->cur = NULL;
	if (!v->shadow)
		return jump->code;
	/* Behind STI: the next instruction must run before anything is looked at. */
	if (v->simd_denied)
		return NULL;
	v->shadow = false;
	return jump->run;
}

void jit_stubs(struct soft_jit *j)
{
	struct emit e = { .j = j, .p = j->code.rw };
	uint8_t *to_exit, *stale;

	j->exit_flags = emit_here(&e);
	emit_save_flags(&e);
	j->exit_cc = emit_here(&e);
	move_all(&e, X_MOV_STORE);
	flags_to_c(&e);
	leave_fp(&e);
	leave(&e);

	j->exit_r13 = emit_here(&e);
	EMIT_V(&e, true, X_MOV_STORE, HOST_R13, rip);
	emit_jump(&e, X_JMP, j->exit_cc);

	j->cross = emit_here(&e);
	jit_emit_cross_stub(&e);

	/* R13: the struct insn. Ends the run where the handler did not go on to the next one. */
	j->call_handler = emit_here(&e);
	move_all(&e, X_MOV_STORE);
	flags_to_c(&e);
	leave_fp(&e);
	emit_v(&e, true, X_LEA, HOST_RDI, 0, 0);
	emit_rr(&e, true, X_MOV_LOAD, HOST_RSI, HOST_R13);
	EMIT_V(&e, true, X_MOV_STORE, HOST_R13, cur);
	emit_rr(&e, true, 0x83, 5, HOST_RSP); /* sub rsp, 8 */
	emit_8(&e, 8);
	emit_rm(&e, false, 0xff, 2, HOST_R13, offsetof(struct insn, fn));
	emit_byte_is_0(&e, offsetof(struct soft_vcpu, jit_next));
	to_exit = emit_forward(&e, X_JE);
	emit_put_byte(&e, offsetof(struct soft_vcpu, jit_next), 0);
	emit_rr(&e, true, 0x83, 0, HOST_RSP);
	emit_8(&e, 8);
	EMIT_V(&e, true, X_MOV_LOAD, HOST_R15, jit_key);
	EMIT_V(&e, true, 0x3b, HOST_R15, jit_sp_key);
	stale = emit_forward(&e, X_JNE);
	flags_from_c(&e);
	move_all(&e, X_MOV_LOAD);
	emit_8(&e, 0xc3);
	/* What open CALLs would return to may be mapped no more. */
	emit_land(&e, stale);
	EMIT_V(&e, true, X_MOV_STORE, HOST_R15, jit_sp_key);
	emit_8(&e, 0x41); /* pop r14 */
	emit_8(&e, 0x5e);
	EMIT_V(&e, true, X_MOV_LOAD, HOST_RSP, jit_sp);
	flags_from_c(&e);
	move_all(&e, X_MOV_LOAD);
	emit_rr(&e, false, 0xff, 4, HOST_R14); /* jmp r14 */
	/* The handler went elsewhere: straight on where there is code, else out to the loop. */
	emit_land(&e, to_exit);
	emit_v(&e, true, X_LEA, HOST_RDI, 0, 0);
	emit_mov_imm(&e, HOST_RAX, (uintptr_t)go_elsewhere);
	emit_rr(&e, false, 0xff, 2, HOST_RAX); /* call rax */
	emit_rr(&e, true, 0x85, HOST_RAX, HOST_RAX);
	to_exit = emit_forward(&e, X_JE);
	emit_rr(&e, true, X_MOV_LOAD, HOST_R15, HOST_RAX);
	emit_rr(&e, true, 0x83, 0, HOST_RSP); /* the alignment and the return address */
	emit_8(&e, 16);
	EMIT_V(&e, true, X_MOV_LOAD, HOST_R14, jit_key);
	EMIT_V(&e, true, 0x3b, HOST_R14, jit_sp_key);
	stale = emit_forward(&e, X_JE);
	EMIT_V(&e, true, X_MOV_STORE, HOST_R14, jit_sp_key);
	EMIT_V(&e, true, X_MOV_LOAD, HOST_RSP, jit_sp);
	emit_land(&e, stale);
	flags_from_c(&e);
	move_all(&e, X_MOV_LOAD);
	emit_rr(&e, false, 0xff, 4, HOST_R15); /* jmp r15 */
	emit_land(&e, to_exit);
	leave(&e);

	j->load_simd = emit_here(&e);
	move_simd(&e, 0x10);
	move_mxcsr(&e, 2, offsetof(struct soft_vcpu, fpu.mxcsr));
	emit_put_byte(&e, offsetof(struct soft_vcpu, jit_simd_live), 1);
	emit_8(&e, 0xc3);

	j->load_x87 = emit_here(&e);
	emit_8(&e, 0x50); /* push rax */
	emit_8(&e, 0x52); /* push rdx */
	emit_put_byte(&e, offsetof(struct soft_vcpu, fpu.x87_header), 1);
	move_x87(&e, 5);
	emit_8(&e, 0x5a);
	emit_8(&e, 0x58);
	emit_put_byte(&e, offsetof(struct soft_vcpu, jit_x87_live), 1);
	emit_8(&e, 0xc3);
	j->code_start = align_up((size_t)(e.p - j->code.rw), 64);
	j->code.used = j->code_start;
}

/* Bytes of the area's first part: both were found to be full at about the same time. */
static size_t hot_size(const struct xmem *code)
{
	return code->size / 10 * 3 & ~(size_t)(X86_PAGE_SIZE - 1);
}

static int create(struct soft_vcpu *v, void *at, size_t size, struct err *e)
{
	struct soft_jit *j = calloc(1, sizeof(*j) + jit_work_size());
	void *data;
	int ret;

	if (!j)
		return err_set(e, -ENOMEM, "no memory for the translator of vCPU %u", v->id);
	ret = xmem_create(&j->code, size, at, e);
	if (ret)
		goto fail_code;
	data = mmap(NULL, JIT_DATA_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (data == MAP_FAILED) {
		ret = err_set(e, -ENOMEM, "no memory for the translator of vCPU %u", v->id);
		goto fail_data;
	}
	j->data = data;
	j->v = v;
	j->cold_used = hot_size(&j->code);
	v->jit_jumps = v->jit_jump;
	j->work = j + 1;
	jit_stubs(j);
	v->jit = j;
	v->jit_mxcsr = __builtin_ia32_stmxcsr();
	return 0;

fail_data:
	xmem_destroy(&j->code);
fail_code:
	free(j);
	return ret;
}

static void destroy(struct soft_vcpu *v)
{
	if (!v->jit)
		return;
	munmap(v->jit->data, JIT_DATA_SIZE);
	xmem_destroy(&v->jit->code);
	free(v->jit);
	v->jit = NULL;
}

static bool full(const struct soft_vcpu *v)
{
	const struct xmem *code = &v->jit->code;

	return hot_size(code) - code->used < JIT_BLOCK_CODE ||
	       code->size - v->jit->cold_used < JIT_BLOCK_COLD ||
	       JIT_DATA_SIZE - v->jit->data_used < JIT_BLOCK_DATA;
}

/* Jumps between pages find their targets anew. */
static void forget_jumps(struct soft_vcpu *v)
{
	memset(v->jit_cross, 0, MIN(v->jit->next_cross, SOFT_JIT_CROSS) * sizeof(v->jit_cross[0]));
	memset(v->jit_jump, 0, sizeof(v->jit_jump));
}

static void flush(struct soft_vcpu *v)
{
	if (!v->jit)
		return;
	v->jit->code.used = v->jit->code_start;
	v->jit->cold_used = hot_size(&v->jit->code);
	forget_jumps(v);
	v->jit->next_cross = 0;
	v->jit->data_used = 0;
	v->jit_slot = NULL;
	v->jit->next_site = v->jit->next_runs = 0;
	v->n_jit_flush++;
}

static void translate(struct soft_vcpu *v, struct soft_block *b)
{
	if (jit_translate(v->jit, b))
		v->n_jit_blocks++;
}

struct way {
	const uint8_t *from, *to;
};

/* Entries become jumps, so what knows them may stay: links and the jump cache. */
static void redirect(struct soft_jit *j, const struct way *way, unsigned n)
{
	struct emit e = { .j = j };

	for (unsigned i = 0; i < n; i++) {
		e.p = j->code.rw + (way[i].from - j->code.rx);
		emit_jump(&e, X_JMP, way[i].to);
	}
}

/* To the block's exits. */
static void drop(struct soft_vcpu *v, struct soft_block *b)
{
	const struct way way[] = { { b->code, b->code_out },
				   { b->code_flags, b->code_out_flags },
				   { b->code_ahead, b->code_out },
				   { b->code_ahead_flags, b->code_out_flags },
				   { b->code_run, b->code_out } };

	if (!b->code)
		return;
	redirect(v->jit, way, ARRAY_SIZE(way));
	b->code = NULL;
}

/* The block's next tier: to the new code's entries. */
static void renew(struct soft_vcpu *v, struct soft_block *b, enum soft_jit_tier from)
{
	const struct soft_block old = *b;

	if (!b->code || !(b->mode & SOFT_MODE_USER) || b->tier != from || full(v))
		return;
	b->tier++;
	if (!jit_translate(v->jit, b)) {
		b->tier = old.tier;
		return;
	}
	const struct way way[] = { { old.code, b->code },
				   { old.code_flags, b->code_flags },
				   { old.code_ahead, b->code_ahead },
				   { old.code_ahead_flags, b->code_ahead_flags },
				   { old.code_run, b->code_run } };

	redirect(v->jit, way, ARRAY_SIZE(way));
	v->jit->n_renewed++;
}

static void start_trial(struct soft_vcpu *v, struct soft_block *b)
{
	renew(v, b, SOFT_TIER_TLB);
}

static void end_trial(struct soft_vcpu *v, struct soft_block *b)
{
	renew(v, b, SOFT_TIER_TRY);
}

static void sample(struct soft_vcpu *v)
{
	struct soft_jit *j = v->jit;
	gpa_t *trial = &j->trial[++j->n_samples % TRIAL_SAMPLES];
	unsigned before;
	uint8_t *n;
	gpa_t gpa;

	if (*trial) {
		soft_blocks_each(v, *trial, end_trial);
		forget_jumps(v);
		*trial = 0;
	}
	if (j->n_samples % SAMPLES_KEPT == 0)
		memset(j->page_samples, 0, sizeof(j->page_samples));
	if (v->cpl < 3 || v->mode != SOFT_MODE_64 || !soft_code_at(v, v->rip, &gpa))
		return;
	n = &j->page_samples[(gpa >> X86_PAGE_SHIFT) % ARRAY_SIZE(j->page_samples)];
	if (++*n < SAMPLES_HOT)
		return;
	*n = 0;
	before = j->n_renewed;
	soft_blocks_each(v, gpa, start_trial);
	if (j->n_renewed != before)
		*trial = gpa;
}

static void link_to(struct soft_vcpu *v, struct soft_block *b)
{
	struct jit_slot *s = v->jit_slot;
	const uint8_t *from, *to;

	v->jit_slot = NULL;
	if (b->gpa != s->gpa || b->mode != s->mode)
		return;
	from = v->jit->code.rx + (s->at - v->jit->code.rw);
	if (s->ahead)
		to = s->in_cc ? b->code_ahead : b->code_ahead_flags;
	else
		to = s->in_cc ? b->code : b->code_flags;
	put_le(s->at, 4, (uint32_t)(to - (from + 4)));
	v->n_jit_links++;
}

static bool run(struct soft_vcpu *v, struct soft_block *b)
{
	struct soft_jit_jump *jump = &v->jit_jump[SOFT_JIT_JUMP(v->rip, v->jit_key)];

	v->simd_denied = jit_simd_denied(v);
	if (b->code_simd && v->simd_denied)
		return false;
	if (v->jit_slot)
		link_to(v, b);
	soft_tlb_note_code(v, v->rip);
	*jump = (struct soft_jit_jump) {
		.va = v->rip, .key = v->jit_key, .code = b->code, .run = b->code_run
	};
	v->block_va = v->rip & SOFT_PAGE_MASK;
	v->jit_sp_key = v->jit_key;
	v->jit_cc = (uint16_t)((v->cc & JIT_FLAGS & 0xff) << 8 | (v->cc >> 11 & 1));
	soft_jit_enter(v, b->code_run, &v->jit_sp, v->jit->exit_r13);
	return true;
}

const struct jit_ops soft_jit_ops = {
	.name = "same-ISA",
	.create = create,
	.destroy = destroy,
	.full = full,
	.flush = flush,
	.translate = translate,
	.drop = drop,
	.run = run,
	.sample = sample,
};
