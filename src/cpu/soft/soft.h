/* SPDX-License-Identifier: MIT */
/*
 * The soft engine's internals: a vCPU, a VM, and what its rooms offer each other.
 *
 * Rooms: decode.c (bytes to struct insn), block.c (the cache of decoded blocks), op_*.c
 * (handlers), mmu.c (paging, TLB, memory access), seg.c (segments, far transfers), exc.c
 * (exceptions, interrupts, IRET), sys.c (control registers, MSRs, CPUID), fpu*.c (x87 to AVX),
 * run.c (the loop, events, exclusive sections), reset.c, jit/ (the translator), engine/ (the engine
 * table).
 *
 * Faults: whoever meets one calls soft_raise(), which does not return (longjmp to the run loop).
 * So handlers store results only after the last access that can fault, and nothing on the way
 * may hold a lock or memory of its own.
 *
 * Threads: a struct soft_vcpu belongs to the thread in vcpu_run; others touch only what is
 * atomic, or hold the VM's exclusive section (soft_exclusive_begin), during which no vCPU is in
 * guest code. Lock order: machine lock, then exclusive section. A vCPU leaves guest code
 * (soft_guest_leave) before it may wait for the machine lock.
 */
#ifndef HOLM_CPU_SOFT_SOFT_H
#define HOLM_CPU_SOFT_SOFT_H

#include "base/bytes.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/log.h"
#include "cpu/cpu.h"
#include "cpu/lapic.h"
#include "cpu/soft/insn.h"
#include "cpu/soft/jit_ops.h"
#include "spec/x86.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

/* --- TLB ------------------------------------------------------------------------------- */

#define SOFT_TLB_BITS  10
#define SOFT_TLB_SIZE  (1u << SOFT_TLB_BITS)
#define SOFT_TLB_SETS  6 /* one for each PCID in use; Linux uses six */
#define SOFT_TLB_LOCAL 16
#define SOFT_TLB_CODE  8192 /* bits of the filter of pages with code */
#define SOFT_PAGE_MASK (~0xfffull)

/** Whose rights an access has. */
enum soft_mmu_idx {
	SOFT_MMU_USER,	    /* CPL 3 */
	SOFT_MMU_KERNEL,    /* CPL 0..2, SMAP in force */
	SOFT_MMU_KERNEL_AC, /* CPL 0..2, user pages open (AC set or SMAP off) */
	SOFT_MMU_USER_AC,   /* CPL 3 with alignment checks (CR0.AM and AC): always the slow path */
	SOFT_MMU_COUNT
};

/**
 * A tag is the page's virtual address | the set's epoch where that access may go straight to
 * memory, anything else where it must take the slow path. A write tag is there only while the
 * PTE's dirty bit is set, the page is RAM and holds no decoded code.
 */
struct soft_tlb_entry {
	uint64_t r, w, x;
	uintptr_t addend; /* host address minus virtual address */
	gpa_t gpa;	  /* of the page */
	uint8_t shift;	  /* of the guest's mapping: 12, 21, 22 or 30 */
	bool global;
} ALIGNED(64); /* one cache line; the translator shifts */

struct soft_tlb_set {
	uint64_t epoch; /* 1..0xfff, in the tags' low bits */
	uint64_t gen;	/* unique for each (set, flush); keys the translator's jump cache */
	uint16_t pcid;
	bool valid;
	bool filled[SOFT_MMU_COUNT]; /* since the last flush */
	uint64_t used;		     /* for replacement */
	/*
	 * Filters: which large pages may be in here, by hash of address bits 21 and 30 up, the
	 * lower half of the addresses apart from the upper.
	 */
	uint64_t large_2m[2][16], large_1g[2];
	/* Which pages that may know under `gen`: only their INVLPG changes it. */
	uint64_t code[SOFT_TLB_CODE / 64];
	/* Of the set of all PCIDs: the pages in it that are not global; more than fit: all go. */
	uint64_t local[SOFT_TLB_LOCAL];
	unsigned n_local;
	bool local_exec; /* some of them may hold code */
	struct soft_tlb_entry e[SOFT_MMU_COUNT][SOFT_TLB_SIZE];
};

/* --- decoded blocks -------------------------------------------------------------------- */

#define SOFT_BLOCK_MAX 48 /* instructions */

/* Block mode: what decoding depends on. */
#define SOFT_MODE_16	 0u
#define SOFT_MODE_32	 1u
#define SOFT_MODE_64	 2u
#define SOFT_MODE_BITS	 3u
#define SOFT_MEM_WMAP	 0x04u /* page flag: some vCPU may hold a write tag for the page */

#define SOFT_MODE_SINGLE 4u /* one instruction: single-step */
#define SOFT_MODE_USER	 8u /* CPL 3 */

struct soft_block {
	gpa_t gpa; /* of the first byte */
	uint32_t mode;
	uint16_t n;		    /* instructions, without the end marker */
	uint16_t runs;		    /* counted to JIT_HOT, then never again */
	insn_fn run;		    /* the first instruction's handler, or native code */
	struct soft_block *next[2]; /* that came behind it lately, or NULL */
	bool dead;		    /* invalidated; its instructions re-enter the loop */
	/*
	 * Native code, NULL: none: entries with flags in v->jit_cc and in EFLAGS, and the same for
	 * jumps ahead, which do not look for attention; the ways out there; the loop's entry.
	 */
	const uint8_t *code, *code_flags, *code_ahead, *code_ahead_flags;
	const uint8_t *code_out, *code_out_flags, *code_run;
	bool code_simd;		      /* not while v->simd_denied */
	uint8_t tier;		      /* of the code: enum soft_jit_tier */
	uint16_t runs_slot;	      /* of v->jit_runs, in the second tier */
	uint32_t first_site;	      /* number of its first site there */
	struct soft_block *page_next; /* blocks of one page */
	struct insn insn[];
};

/**
 * How translated user code finds the pages of what it accesses. Most blocks stay in the first
 * tier. Those of pages where much time goes try a site for each access, and then keep those that
 * seldom missed: a site that misses is slower than the TLB.
 */
enum soft_jit_tier { SOFT_TIER_TLB, SOFT_TIER_TRY, SOFT_TIER_KEEP };

struct soft_blocks; /* block.c */

/**
 * The page that an instruction of translated user code accessed last, rights being checked then.
 * `tag` is the page's address plus v->site_epoch; 0: none.
 */
struct soft_site {
	uint64_t tag;
	uintptr_t addend; /* as in struct soft_tlb_entry */
};

#define SOFT_SITES	   16384  /* then they are shared */
#define SOFT_SITE_NONE	   0x800u /* a tag that no aligned access of up to 8 bytes has */
#define SOFT_SITE_EPOCH	   8u /* epochs are its multiples: the lowest bits are for the alignment */

#define SOFT_JIT_RUNS	   16384
#define SOFT_JIT_GROUPS	   16 /* of accesses that share a TLB look-up, in a block */
#define SOFT_JIT_JUMP_BITS 13
#define SOFT_JIT_JUMP(va, key)                                                                     \
	(((va) ^ (va) >> SOFT_JIT_JUMP_BITS ^ (key)) & ((1u << SOFT_JIT_JUMP_BITS) - 1))
#define SOFT_JIT_CROSS 65536u /* jumps from page to page with an entry of their own */

/** Native code for a linear address; translated code looks here before it asks the loop. */
struct soft_jit_jump {
	uint64_t va, key;	   /* v->jit_key then */
	const uint8_t *code, *run; /* run: the loop's entry, which does not look at attention */
};

/* --- the vCPU ------------------------------------------------------------------------- */

/* Bits of soft_vcpu.attention: why the loop must look up from guest code. */
#define SOFT_ATT_KICK		  0x01u
#define SOFT_ATT_APIC		  0x02u /* lapic irr or events */
#define SOFT_ATT_TIMER		  0x04u
#define SOFT_ATT_EXCL		  0x08u /* somebody wants an exclusive section */
#define SOFT_ATT_INTR		  0x10u /* the PIC's INTR wire is up (stays set while it is) */

#define SOFT_DELIVERING_INTERRUPT 256 /* an external one: a fault now is a first fault */
#define SOFT_TIMER_SIGNAL	  (SIGRTMIN + 1)

/** x87 and SIMD state; fpu.c owns it. Layout of legacy area: SDM vol. 1, 10.5.1. */
struct soft_fpu {
	uint8_t ALIGNED(64) x87[512];	 /* FXSAVE image: only its x87 part is live here */
	uint8_t x87_header[64];		 /* behind it an XSAVE header, for translated code */
	uint8_t ALIGNED(64) ymm[16][32]; /* XMM in the low halves */
	uint32_t mxcsr;
};

struct soft_vm;

struct soft_vcpu {
	/* Hot: registers. r[16] is 0 for ever (INSN_REG_NONE). */
	uint64_t r[17];
	uint64_t cc;	   /* CF PF AF ZF SF OF, at their places in RFLAGS */
	uint64_t rf;	   /* the rest of RFLAGS (IF, DF, TF ...), without the fixed bit 1 */
	uint64_t rip;	   /* valid outside blocks */
	uint64_t block_va; /* address of the running block's first instruction */
	const struct insn *cur;
	struct soft_tlb_entry *tlb; /* the current set's, for the current idx */
	uint64_t epoch;		    /* the current set's */
	atomic_uint attention;
	uint8_t cpl, mmu_idx;
	uint8_t mode; /* SOFT_MODE_16, _32 or _64, from CS and EFER */
	bool shadow;  /* interrupts blocked for one instruction */

	struct cpu_segment seg[CPU_SEG_COUNT];
	struct cpu_segment ldtr, tr;
	struct cpu_dtable gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4, efer, xcr0;
	uint64_t dr[4], dr6, dr7;
	uint64_t pdpte[4]; /* PAE paging's four, loaded with CR3 */
	struct soft_fpu fpu;

	/* MSRs. */
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t pat, spec_ctrl, misc_enable, tsc_adjust, xss;
	uint64_t mtrr_def, mtrr_fix[11], mtrr_var[16];
	uint64_t mcg_status, mc_bank[4 * 4];
	uint64_t kvm_system_time, kvm_wall_clock, pv_eoi;
	int64_t tsc_offset; /* guest TSC = host TSC + this */

	/* Events. */
	struct lapic lapic;
	enum cpu_mp_state mp;
	bool nmi_pending, nmi_masked;
	bool exc_pending; /* chosen, not delivered: from set_state only */
	uint8_t exc_vector;
	bool exc_has_code;
	uint32_t exc_code;
	uint64_t exc_cr2;
	bool step_armed;  /* TF was set when the instruction began: #DB after it */
	bool db_trap;	  /* a data or I/O breakpoint hit: #DB after this instruction */
	uint64_t db_bits; /* for DR6 */
	jmp_buf fault;
	uint8_t raise_vector;
	bool raise_has_code;
	uint32_t raise_code;
	int delivering; /* vector that is being delivered, -1: none, or the next line */
	bool shutdown;
	enum cpu_exit exit_reason;
	bool exit_wanted;

	/*
	 * Supervisor accesses with SMAP in force (SOFT_MMU_KERNEL) use one set for all PCIDs, which
	 * keeps global pages when CR3 is loaded; all others use the current PCID's.
	 */
	struct soft_tlb_set *now;  /* the one of mmu_idx */
	struct soft_tlb_set *set;  /* the current PCID's */
	struct soft_tlb_set *sets; /* SOFT_TLB_SETS of them, then the one of all PCIDs */
	uint64_t gen_next;
	struct soft_blocks *blocks;
	struct soft_block *last; /* that the loop ran, NULL: none or none that has next[] */

	struct soft_vm *vm;
	unsigned id;
	struct cpuid_table cpuid;
	uint64_t cr4_allowed, efer_allowed, xcr0_allowed; /* from CPUID */
	uint8_t phys_bits;
	bool intel; /* SYSCALL, SYSENTER and SYSRET differ by vendor */

	/* The translator's. */
	struct soft_jit *jit;
	struct jit_slot *jit_slot; /* the end that was left by, to be linked to the next block */
	uint64_t jit_target;	   /* of an indirect call; what PUSH has from memory */
	uint64_t jit_key;	   /* generation and rights that the jump cache's entries need */
	uint32_t jit_mxcsr;	   /* the host's */
	/* In translated code instead of cc: AH as LAHF leaves it, and OF in AL, 0 or 1. */
	uint16_t jit_cc;
	uint8_t jit_simd_live; /* MXCSR and YMM registers hold the guest's */
	uint8_t jit_x87_live;  /* the x87 registers do; next to the former */
	uint8_t simd_denied;   /* SIMD instructions would raise something: their handlers know */
	uint8_t jit_next;      /* the handler came to its end and wants the next instruction */
	/*
	 * Host stack pointer in translated code with no CALL open, and with as many as may be; the
	 * jit_key that the open ones were made under.
	 */
	uint64_t jit_sp, jit_sp_low, jit_sp_key;
	uint64_t jit_delta[SOFT_JIT_GROUPS]; /* host minus guest address, of the running block */
	uint64_t site_epoch;
	unsigned n_sites; /* that have been in use, the most so far */
	bool site_fill;	  /* sites may be filled: mmu_idx is one without AC */
	/*
	 * The same of all of the kernel's accesses by RSP, and of those of user code in the first
	 * tier; no epoch, SOFT_SITE_NONE: none.
	 */
	struct soft_site stack_site, user_stack_site;
	struct soft_site site[SOFT_SITES];
	uint32_t site_miss[SOFT_SITES];	  /* counted in the second tier */
	uint32_t jit_runs[SOFT_JIT_RUNS]; /* runs of blocks, counted there too */
	struct soft_jit_jump *jit_jumps;  /* jit_jump */
	struct soft_jit_jump jit_cross[SOFT_JIT_CROSS];
	struct soft_jit_jump jit_jump[1u << SOFT_JIT_JUMP_BITS];

	unsigned excl_depth;  /* nested exclusive sections of its own */
	atomic_bool in_guest; /* between soft_guest_enter and _leave */
	timer_t timer;
	bool timer_made;
	pid_t timer_tid;	      /* thread the timer signals */
	struct itimerspec timer_late; /* asked for before there was a timer */
	atomic_uint wake_seq;	      /* futex: changes with every soft_attention() */
	atomic_bool sleeping;
	struct cpu_stat *stats;
	/* Counters, owner's thread writes. */
	uint64_t n_insns, n_blocks, n_tlb_miss, n_tlb_flush, n_decoded, n_smc, n_mmio, n_pio, n_irq,
		n_exc, n_halt, n_jit_blocks, n_jit_links, n_jit_flush;
};

struct soft_thunks; /* fpu: native thunks, shared by the VM's vCPUs */

struct soft_vm {
	unsigned n;
	struct soft_vcpu *vcpu[CPU_VCPUS_MAX];
	const struct cpu_io_ops *io;
	struct mem *mem;
	struct cpuid_table cpuid;
	struct lapic_set *lapics;
	struct soft_thunks *thunks;
	const struct jit_ops *jit; /* NULL: interpret */
	unsigned jit_hot;	   /* runs of a block before it is translated */
	size_t jit_cache;	   /* bytes of native code per vCPU */
	uint64_t boot_ns;	   /* kvmclock's zero */
	uint64_t stood_ns;	   /* that the VM stood still in all; changed while no vCPU runs */
	struct log_limit log;	   /* for what guests cause */

	/* Exclusive sections. */
	pthread_mutex_t excl_lock; /* held by whoever is exclusive */
	atomic_bool excl_pending;
	atomic_uint excl_wait; /* futex: changes when a vCPU leaves or the section ends */
};

/* --- faults ---------------------------------------------------------------------------- */

/** soft_raise() - exception @vector without error code; does not return. */
NORETURN void soft_raise(struct soft_vcpu *v, unsigned vector);
/** soft_raise_code() - with an error code. */
NORETURN void soft_raise_code(struct soft_vcpu *v, unsigned vector, uint32_t code);
static inline NORETURN void soft_ud(struct soft_vcpu *v)
{
	soft_raise(v, X86_VEC_UD);
}
static inline NORETURN void soft_gp(struct soft_vcpu *v, uint32_t code)
{
	soft_raise_code(v, X86_VEC_GP, code);
}

/* --- small state helpers --------------------------------------------------------------- */

static inline uint64_t soft_rflags(const struct soft_vcpu *v)
{
	return v->rf | v->cc | X86_FLAG_FIXED;
}

/** soft_set_rflags() - all bits as given (the caller has applied the rules); updates mmu_idx. */
void soft_set_rflags(struct soft_vcpu *v, uint64_t fl);

/** soft_update_mode() - CS, EFER, CR0, CR4 or AC changed: recompute cpl, mode and TLB pointers. */
void soft_update_mode(struct soft_vcpu *v);

static inline bool soft_long(const struct soft_vcpu *v)
{
	return v->efer & X86_EFER_LMA;
}

static inline bool soft_real(const struct soft_vcpu *v)
{
	return !(v->cr0 & X86_CR0_PE);
}

static inline bool soft_vm86(const struct soft_vcpu *v)
{
	return v->rf & X86_FLAG_VM;
}

/** soft_next_rip() - address of the instruction after @in, wrapped to the code size. */
static inline uint64_t soft_next_rip(const struct soft_vcpu *v, const struct insn *in)
{
	uint64_t ip = v->block_va + in->end;

	if (v->mode == SOFT_MODE_64)
		return ip;
	return v->mode == SOFT_MODE_32 ? (uint32_t)ip : (uint16_t)ip;
}

/** INSN_NEXT() - a handler's last act: go on with the next instruction of the block. */
#define INSN_NEXT(v, in)                                                                           \
	do {                                                                                       \
		(v)->cur = (in) + 1;                                                               \
		return (in)[1].fn((v), (in) + 1);                                                  \
	} while (0)

/** INSN_END() - instead of INSN_NEXT where the block must not go on (mode may have changed). */
#define INSN_END(v, in)                                                                            \
	do {                                                                                       \
		(v)->rip = soft_next_rip((v), (in));                                               \
		return;                                                                            \
	} while (0)

/* --- memory ---------------------------------------------------------------------------- */

enum soft_access { SOFT_READ, SOFT_WRITE, SOFT_EXEC };

/** soft_ea_generic() - linear address of @in's operand, with segment checks; may raise. */
uint64_t soft_ea_generic(struct soft_vcpu *v, const struct insn *in, unsigned size, bool write);

/** soft_seg_linear() - offset @off in segment @seg to linear, with limit and type checks. */
uint64_t soft_seg_linear(struct soft_vcpu *v, unsigned seg, uint64_t off, unsigned size,
			 bool write);

static inline uint64_t soft_reg(const struct soft_vcpu *v, unsigned off)
{
	return v->r[off / 8];
}

/** soft_ea() - linear address of the memory operand for an access of @size bytes. */
static ALWAYS_INLINE uint64_t soft_ea(struct soft_vcpu *v, const struct insn *in, unsigned size,
				      bool write)
{
	if (LIKELY(in->ea == INSN_EA_FLAT))
		return soft_reg(v, in->base) + (soft_reg(v, in->index) << in->scale) +
		       (uint64_t)(int64_t)in->disp;
	if (in->ea == INSN_EA_RIP)
		return v->block_va + in->end + (uint64_t)(int64_t)in->disp;
	return soft_ea_generic(v, in, size, write);
}

/* Slow paths: any size 1..8, page-crossing, MMIO, TLB miss; raise faults. */
uint64_t soft_load_slow(struct soft_vcpu *v, uint64_t va, unsigned size, unsigned idx);
void soft_store_slow(struct soft_vcpu *v, uint64_t va, unsigned size, uint64_t val, unsigned idx);

/*
 * Mixed, because buffers are often a multiple of 2 MiB apart: bits 28..21 with bits 19..12. Bit 20
 * stays as it is, so that neighbouring pages never share an entry: an access that crosses a page is
 * looked up by its first page and compared with its last. The translator does the same.
 */
static ALWAYS_INLINE unsigned soft_tlb_index(uint64_t va)
{
	return ((uint32_t)va ^ (uint32_t)(va << 3) >> 12) >> X86_PAGE_SHIFT & (SOFT_TLB_SIZE - 1);
}

static inline struct soft_tlb_set *soft_tlb_set_of(const struct soft_vcpu *v, unsigned idx)
{
	return idx == SOFT_MMU_KERNEL ? &v->sets[SOFT_TLB_SETS] : v->set;
}

/** soft_tlb_rekey() - v->now, its generation or v->mmu_idx changed. */
static inline void soft_tlb_rekey(struct soft_vcpu *v)
{
	v->jit_key = v->now->gen * SOFT_MMU_COUNT + v->mmu_idx;
}

/** soft_sites_forget() - some translation that sites know may be gone. */
void soft_sites_forget(struct soft_vcpu *v);

/** soft_tlb_select() - v->mmu_idx or v->set changed: what follows from them. */
static inline void soft_tlb_select(struct soft_vcpu *v)
{
	v->site_fill = v->mmu_idx == SOFT_MMU_USER || v->mmu_idx == SOFT_MMU_KERNEL;
	if (UNLIKELY(v->mmu_idx == SOFT_MMU_USER_AC))
		soft_sites_forget(v);
	v->now = soft_tlb_set_of(v, v->mmu_idx);
	v->epoch = v->now->epoch;
	v->tlb = v->now->e[v->mmu_idx];
	soft_tlb_rekey(v);
}

/* The halves are apart: what user programs unmap must not cost the kernel its code. */
static inline unsigned soft_tlb_code_bit(uint64_t va)
{
	unsigned bit = (unsigned)((va ^ va >> 12) >> X86_PAGE_SHIFT) & (SOFT_TLB_CODE / 2 - 1);

	return (int64_t)va < 0 ? bit + SOFT_TLB_CODE / 2 : bit;
}

/** soft_tlb_note_code() - the translator's jump cache gets an entry for @va under v->now->gen. */
static inline void soft_tlb_note_code(struct soft_vcpu *v, uint64_t va)
{
	unsigned bit = soft_tlb_code_bit(va);

	v->now->code[bit / 64] |= 1ull << (bit & 63);
}

static ALWAYS_INLINE struct soft_tlb_entry *soft_tlb_at(const struct soft_vcpu *v, uint64_t va)
{
	return &v->tlb[soft_tlb_index(va)];
}

/** soft_host() - host pointer for a read of @size bytes at @va, or NULL: take the slow path. */
static ALWAYS_INLINE const void *soft_host_r(const struct soft_vcpu *v, uint64_t va, unsigned size)
{
	const struct soft_tlb_entry *e = soft_tlb_at(v, va);

	/* The last byte's page is compared, so an access that crosses a page misses. */
	if (LIKELY(e->r == (((va + size - 1) & SOFT_PAGE_MASK) | v->epoch)))
		return (const void *)(va + e->addend);
	return NULL;
}

static ALWAYS_INLINE void *soft_host_w(const struct soft_vcpu *v, uint64_t va, unsigned size)
{
	const struct soft_tlb_entry *e = soft_tlb_at(v, va);

	if (LIKELY(e->w == (((va + size - 1) & SOFT_PAGE_MASK) | v->epoch)))
		return (void *)(va + e->addend);
	return NULL;
}

/** soft_load() - @size 1, 2, 4 or 8 bytes at linear @va with the current rights; may raise. */
static ALWAYS_INLINE uint64_t soft_load(struct soft_vcpu *v, uint64_t va, unsigned size)
{
	const void *p = soft_host_r(v, va, size);

	if (UNLIKELY(!p))
		return soft_load_slow(v, va, size, v->mmu_idx);
	switch (size) {
	case 1:
		return *(const volatile uint8_t *)p;
	case 2:
		return *(const volatile uint16_t *)p;
	case 4:
		return *(const volatile uint32_t *)p;
	default:
		return *(const volatile uint64_t *)p;
	}
}

static ALWAYS_INLINE void soft_store(struct soft_vcpu *v, uint64_t va, unsigned size, uint64_t val)
{
	void *p = soft_host_w(v, va, size);

	if (UNLIKELY(!p)) {
		soft_store_slow(v, va, size, val, v->mmu_idx);
		return;
	}
	switch (size) {
	case 1:
		*(volatile uint8_t *)p = (uint8_t)val;
		break;
	case 2:
		*(volatile uint16_t *)p = (uint16_t)val;
		break;
	case 4:
		*(volatile uint32_t *)p = (uint32_t)val;
		break;
	default:
		*(volatile uint64_t *)p = val;
		break;
	}
}

/** soft_sys_load() - as the CPU reads its own tables: supervisor rights at any CPL. */
static inline uint64_t soft_sys_load(struct soft_vcpu *v, uint64_t va, unsigned size)
{
	return soft_load_slow(v, va, size, SOFT_MMU_KERNEL);
}

static inline void soft_sys_store(struct soft_vcpu *v, uint64_t va, unsigned size, uint64_t val)
{
	soft_store_slow(v, va, size, val, SOFT_MMU_KERNEL);
}

/**
 * soft_read() - @len bytes at linear @va into @buf, any length up to a few pages; current rights.
 * All pages are checked before the first byte is used.
 */
void soft_read(struct soft_vcpu *v, uint64_t va, void *buf, unsigned len);

/** soft_write() - @len bytes; both pages are checked for writing before the first byte goes. */
void soft_write(struct soft_vcpu *v, uint64_t va, const void *buf, unsigned len);

/** soft_probe() - raise what an access of @len bytes would, without doing it. */
void soft_probe(struct soft_vcpu *v, uint64_t va, unsigned len, enum soft_access a);

/**
 * soft_rmw_host() - host pointer for a read-modify-write of @size bytes, or NULL where that is
 * not RAM or crosses a page (after raising any fault): then load, compute, store (in an exclusive
 * section where locked).
 */
void *soft_rmw_host(struct soft_vcpu *v, uint64_t va, unsigned size);

/**
 * soft_lock_begin() - the slow form of a LOCK access at @va, after soft_rmw_host() gave NULL: an
 * exclusive section where it is RAM. Then soft_load(), soft_store(), soft_lock_end().
 */
bool soft_lock_begin(struct soft_vcpu *v, uint64_t va, unsigned size);
void soft_lock_end(struct soft_vcpu *v, bool exclusive);

/** soft_code_at() - where code at @va lies; false: nowhere. Raises nothing. */
bool soft_code_at(struct soft_vcpu *v, uint64_t va, gpa_t *gpa);
/** soft_fetch() - where the code byte at linear @va is in host memory, to its page's end. */
const uint8_t *soft_fetch(struct soft_vcpu *v, uint64_t va, gpa_t *gpa);

/** soft_tlb_flush() - all of the current PCID (non-global too), or of every PCID. */
void soft_tlb_flush(struct soft_vcpu *v, bool all);
void soft_tlb_flush_pcid(struct soft_vcpu *v, uint16_t pcid);
void soft_tlb_invlpg(struct soft_vcpu *v, uint64_t va, int pcid);
/** soft_tlb_set_pcid() - CR3 was loaded: switch to its set; @keep: bit 63 was given. */
void soft_tlb_set_pcid(struct soft_vcpu *v, uint16_t pcid, bool keep);
/** soft_tlb_drop_write() - take write tags of the page at @gpa away. Exclusive, or own thread. */
void soft_tlb_drop_write(struct soft_vcpu *v, gpa_t gpa);
/** soft_load_pdptes() - PAE paging: read the four PDPTEs of @cr3; false: reserved bits set. */
bool soft_load_pdptes(struct soft_vcpu *v, uint64_t cr3);

/** soft_io_in(), soft_io_out() - port access with permission check done by the caller. */
uint32_t soft_io_in(struct soft_vcpu *v, uint16_t port, unsigned size);
void soft_io_out(struct soft_vcpu *v, uint16_t port, unsigned size, uint32_t val);
/** soft_io_check() - IOPL and the TSS's I/O bitmap; raises #GP(0). */
void soft_io_check(struct soft_vcpu *v, uint16_t port, unsigned size);

/* --- segments, stack, control transfer (seg.c, exc.c) ------------------------------------ */

/** soft_load_seg() - MOV/POP/LxS to @seg (not CS) with all checks; may raise. */
void soft_load_seg(struct soft_vcpu *v, unsigned seg, uint16_t selector);
/** soft_set_seg_real() - real-mode or virtual-8086 load: base = selector << 4. */
void soft_set_seg_real(struct soft_vcpu *v, unsigned seg, uint16_t selector);

/** Far transfers; @size is the operand size; set v->rip and end the block. */
void soft_far_jmp(struct soft_vcpu *v, uint16_t sel, uint64_t off, unsigned size);
void soft_far_call(struct soft_vcpu *v, uint16_t sel, uint64_t off, unsigned size,
		   uint64_t next_rip);
void soft_far_ret(struct soft_vcpu *v, unsigned size, unsigned pop_bytes);
void soft_iret(struct soft_vcpu *v, unsigned size);

/** soft_lldt(), soft_ltr() - with checks. */
void soft_lldt(struct soft_vcpu *v, uint16_t sel);
void soft_ltr(struct soft_vcpu *v, uint16_t sel);

/** soft_descriptor_visible() - LAR, LSL, VERR, VERW: fetch; false where ZF becomes 0. */
bool soft_descriptor_query(struct soft_vcpu *v, uint16_t sel, unsigned what, uint64_t *out);

/** soft_syscall() etc.: set v->rip; may raise. */
void soft_syscall(struct soft_vcpu *v, uint64_t next_rip);
void soft_sysret(struct soft_vcpu *v, unsigned size);
void soft_sysenter(struct soft_vcpu *v);
void soft_sysexit(struct soft_vcpu *v, unsigned size);

/** How an event came, for delivery. */
enum soft_event {
	SOFT_EVENT_EXCEPTION,
	SOFT_EVENT_INTERRUPT, /* external or NMI */
	SOFT_EVENT_SOFTWARE,  /* INT n */
	SOFT_EVENT_ICEBP,     /* INT1 */
	SOFT_EVENT_INT3_INTO, /* INT3, INTO */
};

/** soft_deliver() - through the IDT or IVT; v->rip is the return address; may raise. */
void soft_deliver(struct soft_vcpu *v, unsigned vector, enum soft_event how, bool has_code,
		  uint32_t code);

/* Near stack access with the stack's size and segment; push stores before RSP changes. */
void soft_push(struct soft_vcpu *v, uint64_t val, unsigned size);
uint64_t soft_pop(struct soft_vcpu *v, unsigned size);
/** soft_stack_size() - 8, 4 or 2: width of the stack pointer. */
static inline unsigned soft_stack_size(const struct soft_vcpu *v)
{
	if (v->mode == SOFT_MODE_64)
		return 8;
	return v->seg[CPU_SS].attr & CPU_ATTR_DB ? 4 : 2;
}

/* --- system registers (sys.c) ---------------------------------------------------------- */

uint64_t soft_read_cr(struct soft_vcpu *v, unsigned n);
void soft_write_cr(struct soft_vcpu *v, unsigned n, uint64_t val);
uint64_t soft_read_dr(struct soft_vcpu *v, unsigned n);
void soft_write_dr(struct soft_vcpu *v, unsigned n, uint64_t val);
/** soft_rdmsr(), soft_wrmsr() - 0, or -EINVAL where the access gets #GP. */
int soft_rdmsr(struct soft_vcpu *v, uint32_t msr, uint64_t *val) MUST_CHECK;
int soft_wrmsr(struct soft_vcpu *v, uint32_t msr, uint64_t val) MUST_CHECK;
void soft_cpuid(struct soft_vcpu *v, uint32_t leaf, uint32_t sub, uint32_t out[4]);
/** soft_xsetbv() - XCR0 checks; raises #GP. */
void soft_xsetbv(struct soft_vcpu *v, uint32_t index, uint64_t val);
uint64_t soft_tsc(struct soft_vcpu *v);
/** soft_now() - the host's CLOCK_MONOTONIC without the times the VM stood still. */
static inline uint64_t soft_now(const struct soft_vm *vm)
{
	return clock_monotonic_ns() - vm->stood_ns;
}

/* --- FPU and SIMD (fpu*.c) ------------------------------------------------------------- */

struct soft_zydis; /* decode.c's view of a Zydis instruction with its operands */

/**
 * soft_fpu_decode() - x87, MMX, SSE, AVX, AES, SHA ... and FXSAVE/XSAVE families.
 *
 * @in comes with len, flags, memory operand fields (base, index, scale, disp, seg, ea) and size
 * filled. Return: 0 and in->fn (and in->aux, dst, src, op, x) set; -ENOTSUP: not one of these.
 * Handlers check CR0.TS/EM, CR4.OSFXSR, XCR0 at run time (#NM, #UD).
 */
int soft_fpu_decode(struct soft_vm *vm, const struct soft_zydis *z, const uint8_t *bytes,
		    struct insn *in) MUST_CHECK;

int soft_thunks_create(struct soft_thunks **out, struct err *e) MUST_CHECK;
void soft_thunks_destroy(struct soft_thunks *t);
/** soft_thunks_low() - whether all must go before another block is decoded. Any thread. */
bool soft_thunks_low(const struct soft_thunks *t);
/** soft_thunks_drop() - all of them; no block that uses one may be left. */
void soft_thunks_drop(struct soft_thunks *t);
/** soft_fpu_reset() - power-on (@init false) or INIT state. */
void soft_fpu_reset(struct soft_vcpu *v);
/** To and from the standard XSAVE format of struct cpu_state (CPU_XSAVE_SIZE bytes). */
void soft_fpu_save(const struct soft_vcpu *v, uint8_t *xsave);
int soft_fpu_load(struct soft_vcpu *v, const uint8_t *xsave) MUST_CHECK;

/* --- blocks (decode.c, block.c) -------------------------------------------------------- */

struct soft_decode_cache; /* decode_cache.c */

/** A value in an instruction's bytes; size in bytes, 0: none. */
struct soft_field {
	uint8_t off, size;
	bool is_signed;
};

/** Where values stand that the result depends on by nothing but insn.disp and insn.imm. */
struct soft_fields {
	struct soft_field disp, imm;
	bool whole; /* the bytes are an instruction, one of the guest's or not */
};

/**
 * soft_decode() - one instruction from @bytes (@avail 1..15 of them).
 * @mode: SOFT_MODE_*
 *
 * Always fills @in, and @fields, which may be NULL: what cannot be decoded becomes a handler that
 * raises #UD (or #GP for over-long ones). Return: 0; 1: the block ends with it; -EAGAIN: @avail is
 * too short.
 */
int soft_decode(struct soft_vm *vm, const uint8_t *bytes, unsigned avail, uint32_t mode,
		struct insn *in, struct soft_fields *fields) MUST_CHECK;

/**
 * soft_decode_cached() - the same from what was decoded before, where it is there. Holds pointers
 * to thunks: flushed before those are dropped. Own thread. @bytes: 15, of which @avail count.
 */
int soft_decode_cached(struct soft_decode_cache *c, struct soft_vm *vm, const uint8_t bytes[15],
		       unsigned avail, uint32_t mode, struct insn *in) MUST_CHECK;
void soft_decode_cache_flush(struct soft_decode_cache *c);
size_t soft_decode_cache_size(void);

/** soft_insn_undefined() - whether @in raises #UD, as no instruction or as none of the guest's. */
bool soft_insn_undefined(const struct insn *in);

int soft_blocks_create(struct soft_vcpu *v, struct err *e) MUST_CHECK;
void soft_blocks_destroy(struct soft_vcpu *v);
/**
 * soft_block_get() - the block at linear v->rip, decoded where it is new; may raise #PF.
 * Return: NULL where another vCPU must get on first: look for attention and ask again.
 */
struct soft_block *soft_block_get(struct soft_vcpu *v, uint32_t mode);
/** soft_blocks_drop_page() - forget the page's blocks. Exclusive, or own thread. */
void soft_blocks_drop_page(struct soft_vcpu *v, gpa_t gpa);
/** soft_blocks_each() - @fn for the blocks of @gpa's page, which it must not drop. Own thread. */
void soft_blocks_each(struct soft_vcpu *v, gpa_t gpa,
		      void (*fn)(struct soft_vcpu *v, struct soft_block *b));
/** soft_blocks_flush() - forget all; own thread, outside blocks. */
void soft_blocks_flush(struct soft_vcpu *v);

/** soft_code_written() - the page at @gpa has MEM_PAGE_CODE and was written: drop it everywhere.
 *  @v: the calling vCPU, or NULL for another thread. */
void soft_code_written(struct soft_vm *vm, struct soft_vcpu *v, gpa_t gpa);

/* --- the loop (run.c) ------------------------------------------------------------------- */

void soft_guest_enter(struct soft_vcpu *v);
void soft_guest_leave(struct soft_vcpu *v);
/** soft_exclusive_begin() - until _end no other vCPU is in guest code. @v as above. */
void soft_exclusive_begin(struct soft_vm *vm, struct soft_vcpu *v);
void soft_exclusive_end(struct soft_vm *vm, struct soft_vcpu *v);
/** soft_attention() - set bits and wake the vCPU. Any thread, async-signal-safe. */
void soft_attention(struct soft_vcpu *v, unsigned bits);
enum cpu_exit soft_run(struct soft_vcpu *v);
/** soft_reset() - power-on (@init false) or INIT. */
void soft_reset(struct soft_vcpu *v, bool init);
/** soft_derive_allowed() - which control bits may be set follows from what v->cpuid shows. */
void soft_derive_allowed(struct soft_vcpu *v);
/** soft_halt() - HLT: the loop waits for an event. */
void soft_halt(struct soft_vcpu *v);

extern const struct lapic_owner_ops soft_lapic_ops;

#endif
