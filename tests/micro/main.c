/* SPDX-License-Identifier: MIT */
/*
 * Runs the micro guests on one engine, each case in a VM of its own, and compares what the case
 * logged with what the SDM says: `micro ENGINE[,OPTIONS] [CASE...]`.
 */
#include "micro.h"

#include "base/clock.h"
#include "base/compiler.h"
#include "base/log.h"
#include "cpu/cpuid.h"
#include "cpu/kvm/kvm.h"
#include "cpu/soft/engine/engine.h"
#include "machine/vcpus.h"
#include "mem/mem.h"
#include "spec/x86.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_S 20

/* Read in place from the image. */
struct header {
	uint64_t magic, cases, cases_end, start, log, log_n;
};

struct guest_case {
	uint64_t name, entry, want, want_end, flags;
};

extern const uint8_t micro_image[], micro_image_end[];

enum outcome { RUNNING, THROUGH, UNEXPECTED, SHUTDOWN, FAILED, LATE };

static struct run {
	const struct cpu_engine_ops *engine;
	const char *options;
	struct vcpus vcpus;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum outcome outcome;
} run = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static const void *image_at(uint64_t gpa)
{
	BUG_ON(gpa < MICRO_BASE);
	BUG_ON(gpa - MICRO_BASE >= (size_t)(micro_image_end - micro_image));
	return micro_image + (gpa - MICRO_BASE);
}

static void end_run(enum outcome outcome)
{
	pthread_mutex_lock(&run.lock);
	if (run.outcome == RUNNING)
		run.outcome = outcome;
	pthread_cond_signal(&run.changed);
	pthread_mutex_unlock(&run.lock);
}

static uint32_t port_in(void *ctx UNUSED, uint16_t port UNUSED, unsigned size UNUSED)
{
	return ~0U;
}

static void port_out(void *ctx UNUSED, uint16_t port, unsigned size UNUSED, uint32_t val)
{
	if (port != MICRO_PORT_END)
		return;
	end_run(val & 0xff ? UNEXPECTED : THROUGH);
	vcpus_ask_pause(&run.vcpus);
}

static uint64_t mmio_read(void *ctx UNUSED, gpa_t gpa UNUSED, unsigned size UNUSED)
{
	return ~0ULL;
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

static void ended(void *ctx UNUSED, unsigned id UNUSED, enum cpu_exit why)
{
	end_run(why == CPU_EXIT_SHUTDOWN ? SHUTDOWN : FAILED);
}

static void die(const char *what, const struct err *e)
{
	fprintf(stderr, "micro: %s: %s\n", what, e->msg);
	exit(2);
}

static void put(struct mem *m, gpa_t gpa, uint64_t val)
{
	BUG_ON(mem_write(m, gpa, &val, sizeof(val)));
}

/* Accessed and dirty are clear where cases look at them: in the scratch pages. */
static void make_tables(struct mem *m)
{
	const uint64_t rw = X86_PTE_P | X86_PTE_W, user = rw | X86_PTE_U;

	put(m, MICRO_TABLES, (MICRO_TABLES + 0x1000) | user);
	put(m, MICRO_TABLES + 0x1000, MICRO_PD | user);
	put(m, MICRO_PD, MICRO_PT0 | user);
	put(m, MICRO_PD + 8, MICRO_PT1 | user);
	for (gpa_t gpa = MICRO_LARGE; gpa < MICRO_RAM; gpa += 0x200000)
		put(m, MICRO_PD + (gpa >> 21) * 8, gpa | rw | X86_PTE_PS);
	for (gpa_t gpa = 0; gpa < MICRO_LARGE; gpa += 0x1000)
		put(m, MICRO_PT0 + (gpa >> 12) * 8,
		    gpa | (gpa >= MICRO_USER && gpa < MICRO_SCRATCH ? user : rw));
	/* The local APIC, uncached. */
	put(m, MICRO_PD + (MICRO_APIC >> 21) * 8, 0xfee00000 | rw | X86_PTE_PS | X86_PTE_PCD);
}

static void set_state(struct cpu_vcpu *v, const struct header *h, const struct guest_case *k)
{
	static struct cpu_state s;
	struct err e = { 0 };

	if (run.engine->vcpu_get_state(v, &s, &e))
		die("state", &e);
	s.cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
	s.cr3 = MICRO_TABLES;
	s.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	s.efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE | X86_EFER_NX;
	s.seg[CPU_CS] =
		(struct cpu_segment) { .selector = SEL_CODE64, .limit = ~0U, .attr = 0xa09b };
	s.seg[CPU_SS] = (struct cpu_segment) { .selector = SEL_DATA, .limit = ~0U, .attr = 0xc093 };
	s.rflags = 2;
	s.rip = h->start;
	s.gpr[CPU_RDI] = k->entry;
	s.gpr[CPU_RSP] = MICRO_STACK;
	if (run.engine->vcpu_set_state(v, &s, &e))
		die("state", &e);
}

static void wait_end(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LIMIT_S;
	pthread_mutex_lock(&run.lock);
	while (run.outcome == RUNNING)
		if (pthread_cond_timedwait(&run.changed, &run.lock, &until))
			run.outcome = LATE;
	pthread_mutex_unlock(&run.lock);
}

static void show_log(const char *label, const uint64_t *v, size_t n)
{
	printf("#   %s:", label);
	for (size_t i = 0; i < n; i++)
		printf(" %" PRIx64, v[i]);
	putchar('\n');
}

/* Whether the log and the outcome are what @k wants; says on stdout what is not. */
static bool judge(struct mem *m, const struct header *h, const struct guest_case *k)
{
	static const char *const words[] = {
		"runs",	      "ends",  "meets an exception that nobody expected",
		"shuts down", "fails", "does not end"
	};
	const uint64_t *want = image_at(k->want);
	size_t want_n = (k->want_end - k->want) / 8;
	uint64_t got[MICRO_LOG_MAX], got_n;

	BUG_ON(mem_read(m, h->log_n, &got_n, sizeof(got_n)));
	BUG_ON(mem_read(m, h->log, got, sizeof(got)));
	if (got_n > MICRO_LOG_MAX)
		got_n = MICRO_LOG_MAX;
	if (run.outcome == (k->flags & MICRO_SHUTDOWN ? SHUTDOWN : THROUGH) && got_n == want_n &&
	    !memcmp(want, got, got_n * 8))
		return true;
	printf("# %s %s\n", (const char *)image_at(k->name), words[run.outcome]);
	show_log("want", want, want_n);
	show_log("got", got, got_n);
	return false;
}

static bool run_case(const struct header *h, const struct guest_case *k)
{
	static const struct cpu_io_ops io = { .port_in = port_in,
					      .port_out = port_out,
					      .mmio_read = mmio_read,
					      .mmio_write = mmio_write,
					      .irq_ack = irq_ack,
					      .eoi = eoi };
	static struct cpuid_table host, table;
	unsigned n = k->flags & MICRO_TWO ? 2 : 1;
	struct cpuid_policy policy = { .vcpus = n, .soft = run.engine == &cpu_soft_engine };
	struct cpu_vm_config cfg = {
		.vcpus = n, .cpuid = &table, .io = &io, .options = run.options
	};
	struct mem *m = NULL;
	struct cpu_vm *vm = NULL;
	struct err e = { 0 };
	bool ok;

	if (mem_create(&m, &e) || mem_add_ram(m, MICRO_RAM, 0xc0000000, &e) ||
	    run.engine->cpuid_supported(&host, &e) ||
	    cpuid_apply_policy(&table, &host, &policy, &e))
		die("set-up", &e);
	BUG_ON(mem_write(m, MICRO_BASE, micro_image, (size_t)(micro_image_end - micro_image)));
	make_tables(m);
	cfg.mem = m;
	run.outcome = RUNNING;
	if (run.engine->vm_create(&vm, &cfg, &e) || vcpus_create(&run.vcpus, run.engine, vm, n, &e))
		die("engine", &e);
	run.vcpus.ended = ended;
	set_state(run.vcpus.cpu[0].cpu, h, k);
	if (vcpus_start(&run.vcpus, &e))
		die("threads", &e);
	vcpus_resume(&run.vcpus);
	wait_end();
	vcpus_ask_pause(&run.vcpus);
	vcpus_wait_paused(&run.vcpus);
	ok = judge(m, h, k);
	vcpus_destroy(&run.vcpus);
	run.engine->vm_destroy(vm);
	mem_destroy(m);
	return ok;
}

static bool chosen(const char *name, int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc == 2;
}

/* The flag of the cases that @engine cannot pass on this host. */
static uint64_t unfit(const struct cpu_engine_ops *engine)
{
	struct cpu_probe probe = { 0 };

	if (engine == &cpu_soft_engine)
		return 0;
	engine->probe(&probe);
	if (!probe.usable && !probe.emulated) {
		printf("kvm: %s\n", probe.why);
		exit(77); /* meson: skipped */
	}
	return probe.emulated ? MICRO_NOT_EMULATED : getenv("MICRO_TCG") ? MICRO_NOT_TCG : 0;
}

int main(int argc, char **argv)
{
	const struct header *h = (const void *)micro_image;
	const struct guest_case *k = image_at(h->cases);
	const struct guest_case *end = image_at(h->cases_end);
	unsigned passed = 0, bad = 0, left_out = 0;
	uint64_t flag;

	if (argc < 2 || (strncmp(argv[1], "soft", 4) && strcmp(argv[1], "kvm"))) {
		fprintf(stderr, "usage: micro soft[,OPTIONS]|kvm [CASE...]\n");
		return 2;
	}
	BUG_ON(h->magic != MICRO_MAGIC);
	log_setup(-1, LOG_ERROR);
	run.engine = argv[1][0] == 's' ? &cpu_soft_engine : &cpu_kvm_engine;
	run.options = strchr(argv[1], ',') ? strchr(argv[1], ',') + 1 : NULL;
	flag = unfit(run.engine);
	for (; k < end; k++) {
		if (!chosen(image_at(k->name), argc, argv))
			continue;
		if (k->flags & flag)
			left_out++;
		else if (run_case(h, k))
			passed++;
		else
			bad++;
	}
	printf("%s: %u cases as the manual says, %u left out for what is below, %u wrong\n",
	       argv[1], passed, left_out, bad);
	return bad || !passed;
}
