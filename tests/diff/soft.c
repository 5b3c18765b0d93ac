/* SPDX-License-Identifier: MIT */
/*
 * The soft engine's side of the differential tests: one vCPU in ring 3 of long mode, its page
 * tables mapping the data and the code at the addresses the host has them; one block of one
 * instruction is run by hand, and a fault lands in the test's own jump point.
 */
#include "diff.h"

#include "cpu/soft/engine/engine.h"
#include "cpu/soft/fpu.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GPA_TABLES 0x1000u
#define GPA_CODE   0x10000u
#define GPA_DATA   0x20000u
#define RAM_SIZE   (1u << 20)

static struct mem *ram;
static struct cpu_vm *vm;
static struct cpu_vcpu *vcpu;
static struct soft_vcpu *v;

static uint32_t port_in(void *ctx UNUSED, uint16_t port UNUSED, unsigned size UNUSED)
{
	return 0;
}

static void port_out(void *ctx UNUSED, uint16_t port UNUSED, unsigned size UNUSED,
		     uint32_t val UNUSED)
{
}

static uint64_t mmio_read(void *ctx UNUSED, gpa_t gpa UNUSED, unsigned size UNUSED)
{
	return 0;
}

static void mmio_write(void *ctx UNUSED, gpa_t gpa UNUSED, unsigned size UNUSED,
		       uint64_t val UNUSED)
{
}

static uint8_t irq_ack(void *ctx UNUSED)
{
	return 0;
}

static void eoi(void *ctx UNUSED, uint8_t vector UNUSED)
{
}

static void die(const char *what, const struct err *e)
{
	fprintf(stderr, "diff: %s: %s\n", what, e->msg);
	exit(2);
}

static void put_entry(gpa_t table, unsigned index, uint64_t val)
{
	BUG_ON(mem_write(ram, table + index * 8, &val, 8));
}

/* Four levels; both linear addresses lie in the first GiB. */
static void make_tables(void)
{
	const uint64_t rw = 7; /* present, writable, user */

	put_entry(GPA_TABLES, 0, (GPA_TABLES + 0x1000) | rw);
	put_entry(GPA_TABLES + 0x1000, 0, (GPA_TABLES + 0x2000) | rw);
	put_entry(GPA_TABLES + 0x2000, DIFF_DATA >> 21, (GPA_TABLES + 0x3000) | rw);
	put_entry(GPA_TABLES + 0x2000, DIFF_CODE >> 21, (GPA_TABLES + 0x4000) | rw);
	for (unsigned i = 0; i < DIFF_DATA_SIZE / 4096; i++)
		put_entry(GPA_TABLES + 0x3000, i, (GPA_DATA + i * 4096) | rw);
	put_entry(GPA_TABLES + 0x4000, 0, GPA_CODE | rw);
}

static void enter_user_mode(void)
{
	static struct cpu_state s;
	struct err e = { 0 };

	if (cpu_soft_engine.vcpu_get_state(vcpu, &s, &e))
		die("state", &e);
	s.cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG | X86_CR0_ET;
	s.cr3 = GPA_TABLES;
	s.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE;
	s.efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE | X86_EFER_NX;
	s.xcr0 = 7;
	s.seg[CPU_CS] = (struct cpu_segment) { .selector = 0x33, .limit = ~0u, .attr = 0xa0fb };
	s.seg[CPU_SS] = (struct cpu_segment) { .selector = 0x2b, .limit = ~0u, .attr = 0xc0f3 };
	s.rflags = 0x202;
	if (cpu_soft_engine.vcpu_set_state(vcpu, &s, &e))
		die("state", &e);
}

void diff_soft_setup(void)
{
	static const struct cpu_io_ops io = { .port_in = port_in,
					      .port_out = port_out,
					      .mmio_read = mmio_read,
					      .mmio_write = mmio_write,
					      .irq_ack = irq_ack,
					      .eoi = eoi };
	static struct cpuid_table host, table;
	struct cpuid_policy policy = { .vcpus = 1, .soft = true };
	struct cpu_vm_config cfg = { .vcpus = 1, .cpuid = &table, .io = &io };
	struct err e = { 0 };

	if (mem_create(&ram, &e) || mem_add_ram(ram, RAM_SIZE, 0xc0000000, &e) ||
	    cpu_soft_engine.cpuid_supported(&host, &e) ||
	    cpuid_apply_policy(&table, &host, &policy, &e))
		die("set-up", &e);
	cfg.mem = ram;
	make_tables();
	if (cpu_soft_engine.vm_create(&vm, &cfg, &e) ||
	    cpu_soft_engine.vcpu_create(&vcpu, vm, 0, &e))
		die("engine", &e);
	/* The engine's object begins with the vCPU: see engine.c. */
	v = (struct soft_vcpu *)vcpu;
	enter_user_mode();
}

void diff_soft_end(void)
{
	cpu_soft_engine.vcpu_destroy(vcpu);
	cpu_soft_engine.vm_destroy(vm);
	mem_destroy(ram);
}

/* The tiers in turns; in the last one every other access of a block was found good. */
static void translate(struct soft_block *b)
{
	static unsigned n;

	b->tier = (uint8_t)(n++ % (SOFT_TIER_KEEP + 1));
	if (b->tier == SOFT_TIER_KEEP) {
		b->runs_slot = 0;
		b->first_site = n;
		v->jit_runs[0] = 1 << 20;
		for (unsigned i = 0; i < 2 * SOFT_BLOCK_MAX; i++)
			v->site_miss[(n * 2 + i) % SOFT_SITES] = i & 2 ? UINT32_MAX : 0;
	}
	v->vm->jit->translate(v, b);
}

static void run_one(bool translated)
{
	struct soft_block *b = soft_block_get(v, SOFT_MODE_64 | SOFT_MODE_SINGLE);

	if (translated && v->vm->jit->full(v)) {
		soft_blocks_flush(v);
		b = soft_block_get(v, SOFT_MODE_64 | SOFT_MODE_SINGLE);
	}
	if (translated && !b->code)
		translate(b);
	if (translated && b->code && v->vm->jit->run(v, b)) {
		v->cur = NULL;
		return;
	}
	v->block_va = v->rip;
	v->cur = b->insn;
	b->run(v, b->insn);
	v->cur = NULL;
}

static void load_state(const struct diff_state *in)
{
	BUG_ON(mem_write(ram, GPA_DATA, in->mem, DIFF_DATA_SIZE));
	memcpy(v->r, in->c.r, sizeof(in->c.r));
	soft_set_rflags(v, in->c.flags | 0x202);
	memcpy(v->fpu.ymm, in->c.ymm, sizeof(v->fpu.ymm));
	memcpy(v->fpu.x87, in->c.fx, FX_XMM);
	v->fpu.mxcsr = in->c.mxcsr;
	v->rip = DIFF_CODE;
	v->shadow = false;
}

static void store_state(struct diff_state *out)
{
	/* An exclusive section of the engine's puts the vCPU into guest code behind it. */
	soft_guest_leave(v);
	memcpy(out->c.r, v->r, sizeof(out->c.r));
	out->c.flags = soft_rflags(v);
	memcpy(out->c.ymm, v->fpu.ymm, sizeof(out->c.ymm));
	memcpy(out->c.fx, v->fpu.x87, FX_XMM);
	out->c.mxcsr = v->fpu.mxcsr;
	BUG_ON(mem_read(ram, GPA_DATA, out->mem, DIFF_DATA_SIZE));
}

void diff_soft_exec(const struct diff_case *k, bool translated, struct diff_state *out)
{
	uint8_t code[DIFF_INSN_MAX + 1] = { 0 };

	memcpy(code, k->bytes, k->len);
	BUG_ON(mem_write(ram, GPA_CODE, code, sizeof(code)));
	load_state(&k->in);
	out->fault = DIFF_NO_FAULT;
	if (setjmp(v->fault))
		out->fault = v->raise_vector;
	else
		run_one(translated);
	store_state(out);
}

#define ROUNDS_MAX    2000 /* blocks that are interpreted */
#define WATCH_SECONDS 5

static bool (*usable)(const uint8_t *bytes, unsigned len);

static void on_alarm(int sig UNUSED)
{
	soft_attention(v, SOFT_ATT_KICK);
}

void diff_soft_watch(bool (*f)(const uint8_t *bytes, unsigned len))
{
	struct sigaction a = { .sa_handler = on_alarm };

	usable = f;
	sigaction(SIGALRM, &a, NULL);
}

/* All of the block's instructions, by the bytes as they are now. */
static bool block_usable(const struct soft_block *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		uint8_t bytes[DIFF_INSN_MAX];
		gpa_t at = b->gpa + b->insn[i].end - b->insn[i].len;

		/* One that crosses has no gpa: its second page is not there. */
		if (mem_read(ram, at, bytes, b->insn[i].len) || !usable(bytes, b->insn[i].len))
			return false;
	}
	return true;
}

/* Blocks until a fault; UD2 stands at the end. False: given up. */
static bool run_blocks(bool translated)
{
	for (unsigned rounds = 0;; rounds++) {
		struct soft_block *b = soft_block_get(v, SOFT_MODE_64);

		if (usable && !translated && (rounds == ROUNDS_MAX || !block_usable(b)))
			return false;
		if (atomic_load(&v->attention))
			return false;
		if (translated && v->vm->jit->full(v)) {
			soft_blocks_flush(v);
			continue;
		}
		/* One that crosses pages has no gpa, and the loop offers it to no translator. */
		if (translated && !b->code && b->gpa)
			translate(b);
		if (translated && b->code && v->vm->jit->run(v, b)) {
			v->cur = NULL;
			continue;
		}
		v->jit_slot = NULL;
		v->block_va = v->rip;
		v->cur = b->insn;
		b->insn[0].fn(v, b->insn);
		v->cur = NULL;
	}
}

uint64_t diff_soft_sequence(const uint8_t *bytes, unsigned len, const struct diff_state *in,
			    bool translated, struct diff_state *out)
{
	/* The whole page, because a sequence may have written to its own code. */
	uint8_t code[X86_PAGE_SIZE] = { 0 };

	memcpy(code, bytes, len);
	code[len] = 0x0f;
	code[len + 1] = 0x0b;
	BUG_ON(mem_write(ram, GPA_CODE, code, sizeof(code)));
	load_state(in);
	/* So that first accesses take the slow way, in the middle of what is loaded. */
	soft_tlb_flush(v, true);
	atomic_store(&v->attention, 0);
	if (usable)
		alarm(WATCH_SECONDS);
	if (!setjmp(v->fault) && !run_blocks(translated)) {
		out->fault = DIFF_GIVEN_UP;
		store_state(out);
		return 0;
	}
	alarm(0);
	out->fault = v->raise_vector;
	store_state(out);
	/* NULL: the fetch itself. */
	return v->cur ? v->block_va + v->cur->end - v->cur->len : v->rip;
}
