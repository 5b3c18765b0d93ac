/* SPDX-License-Identifier: MIT */
/*
 * Paging, TLB and guest-linear memory access.
 *
 * Theory of operation: fast paths (soft.h) compare a tag and use the host address. All else comes
 * here: mmu_walk() reads the guest's paging structures (SDM vol. 3A, chapter 4), raises exact
 * page faults, sets accessed and dirty bits atomically, and tlb_fill() turns the result into an
 * entry. A TLB set belongs to a PCID; an epoch in the tags' low bits makes flushing O(1).
 *
 * Self-modifying code: a page with decoded code (MEM_PAGE_CODE) never has a write tag, so stores
 * to it come through soft_store_slow(), which tells soft_code_written(). The race between "I
 * decode from this page" and "I hold a write tag for it" is settled by two flag bits that are
 * changed atomically: whoever comes second sees the other's bit.
 *
 * Limits: four levels (no LA57), no protection keys, no shadow stacks. A20 is always on.
 */
#include "cpu/soft/soft.h"

#include <string.h>

#define PF_IDX_USER(idx) ((idx) == SOFT_MMU_USER || (idx) == SOFT_MMU_USER_AC)

/** What a walk found. */
struct walk {
	gpa_t gpa; /* of the 4 KiB page */
	uint8_t shift;
	bool writable, user, nx, dirty, global;
};

/* --- page walk ------------------------------------------------------------------------- */

static NORETURN void page_fault(struct soft_vcpu *v, uint64_t va, uint32_t code, enum soft_access a,
				unsigned idx)
{
	if (a == SOFT_WRITE)
		code |= X86_PF_W;
	if (PF_IDX_USER(idx))
		code |= X86_PF_U;
	if (a == SOFT_EXEC && ((v->efer & X86_EFER_NX) || (v->cr4 & X86_CR4_SMEP)))
		code |= X86_PF_I;
	v->cr2 = va;
	soft_raise_code(v, X86_VEC_PF, code);
}

/* Host pointer to a paging-structure entry, or NULL where that is not RAM. */
static void *entry_ptr(struct soft_vcpu *v, gpa_t gpa)
{
	const struct mem_region *r = mem_find(v->vm->mem, gpa);

	return r && r->kind == MEM_RAM ? r->host + (gpa - r->gpa) : NULL;
}

static void mark_table_dirty(struct soft_vcpu *v, gpa_t gpa)
{
	const struct mem_region *r = mem_find(v->vm->mem, gpa);
	_Atomic uint8_t *f = &r->flags[(gpa - r->gpa) >> MEM_PAGE_SHIFT];

	if (!(atomic_load_explicit(f, memory_order_relaxed) & MEM_PAGE_DIRTY))
		atomic_fetch_or(f, MEM_PAGE_DIRTY);
}

/* Permission rules of SDM vol. 3A, 4.6. */
static bool permitted(const struct soft_vcpu *v, const struct walk *w, enum soft_access a,
		      unsigned idx)
{
	if (PF_IDX_USER(idx)) {
		if (!w->user)
			return false;
		if (a == SOFT_WRITE)
			return w->writable;
		return a != SOFT_EXEC || !w->nx;
	}
	if (a == SOFT_EXEC)
		return !w->nx && !(w->user && (v->cr4 & X86_CR4_SMEP));
	if (w->user && idx == SOFT_MMU_KERNEL && (v->cr4 & X86_CR4_SMAP))
		return false;
	return a != SOFT_WRITE || w->writable || !(v->cr0 & X86_CR0_WP);
}

/* Set @bits in the entry of @size bytes that was read as @old; false: it changed meanwhile. */
static bool entry_set_bits(void *p, unsigned size, uint64_t old, uint64_t bits)
{
	if (size == 4) {
		uint32_t want = (uint32_t)old;

		return __atomic_compare_exchange_n((uint32_t *)p, &want, (uint32_t)(old | bits),
						   false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
	return __atomic_compare_exchange_n((uint64_t *)p, &old, old | bits, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

/** The shape of one paging mode. */
struct paging {
	unsigned levels, entry_size, index_bits;
	uint64_t reserved; /* bits that must be 0 in every entry */
};

static struct paging paging_mode(const struct soft_vcpu *v)
{
	uint64_t beyond = ~((1ull << v->phys_bits) - 1) & 0x000fffffffffffffull;
	uint64_t nx = v->efer & X86_EFER_NX ? 0 : X86_PTE_NX;

	if (soft_long(v))
		return (struct paging) { 4, 8, 9, beyond | nx };
	if (v->cr4 & X86_CR4_PAE)
		return (struct paging) { 3, 8, 9, beyond | 0x7ff0000000000000ull | nx };
	return (struct paging) { 2, 4, 10, 0 };
}

/*
 * Walk the tables for @va. Raises #PF, unless @quiet: then returns false. With the access
 * permitted, accessed bits (and for writes the dirty bit) are set.
 */
static bool mmu_walk(struct soft_vcpu *v, uint64_t va, enum soft_access a, unsigned idx, bool quiet,
		     struct walk *out)
{
	struct paging pg;
	gpa_t table;
	unsigned level;
	uint64_t entry, reserved;
	void *p;
	gpa_t at;
	uint32_t code = 0;

	if (!(v->cr0 & X86_CR0_PG)) {
		*out = (struct walk) { .gpa = va & SOFT_PAGE_MASK,
				       .shift = 12,
				       .writable = true,
				       .user = true,
				       .dirty = true };
		return true;
	}
	pg = paging_mode(v);
again:
	*out = (struct walk) { .writable = true, .user = true };
	level = pg.levels;
	if (pg.levels == 3) {
		/* The four PDPTEs were checked and loaded with CR3 (4.4.1). */
		entry = v->pdpte[(va >> 30) & 3];
		if (!(entry & X86_PTE_P))
			goto fault;
		table = entry & 0x000ffffffffff000ull;
		level = 2;
	} else {
		table = v->cr3 & (pg.entry_size == 4 ? 0xfffff000ull : 0x000ffffffffff000ull);
	}
	for (;; level--) {
		unsigned shift = 12 + (level - 1) * pg.index_bits;
		bool leaf;

		at = table + ((va >> shift) & ((1u << pg.index_bits) - 1)) * pg.entry_size;
		p = entry_ptr(v, at);
		if (!p)
			goto fault; /* tables outside RAM: nothing is present there */
		entry = pg.entry_size == 4 ? __atomic_load_n((uint32_t *)p, __ATOMIC_RELAXED)
					   : __atomic_load_n((uint64_t *)p, __ATOMIC_RELAXED);
		if (!(entry & X86_PTE_P))
			goto fault;
		leaf = level == 1 ||
		       ((entry & X86_PTE_PS) &&
			(pg.entry_size == 8 ? level <= 3 : (v->cr4 & X86_CR4_PSE) != 0));
		reserved = pg.reserved;
		if (pg.entry_size == 8 && level == 4)
			reserved |= X86_PTE_PS;
		if (leaf && level > 1)
			reserved |= pg.entry_size == 8 ? ((1ull << shift) - 1) & ~0x1fffull
						       : 0x3fe000; /* PSE-36 is not offered */
		if (pg.levels == 3 && level == 2 && leaf)
			reserved |= 0;
		if (entry & reserved) {
			code = X86_PF_P | X86_PF_RSVD;
			goto fault;
		}
		out->writable &= (entry & X86_PTE_W) != 0;
		out->user &= (entry & X86_PTE_U) != 0;
		out->nx |= pg.entry_size == 8 && (entry & X86_PTE_NX);
		if (leaf) {
			out->shift = (uint8_t)shift;
			out->dirty = entry & X86_PTE_D;
			out->global = (entry & X86_PTE_G) && (v->cr4 & X86_CR4_PGE);
			out->gpa = (entry & 0x000ffffffffff000ull & ~((1ull << shift) - 1)) |
				   (va & ((1ull << shift) - 1) & SOFT_PAGE_MASK);
			break;
		}
		if (!(entry & X86_PTE_A)) {
			if (!entry_set_bits(p, pg.entry_size, entry, X86_PTE_A))
				goto again;
			mark_table_dirty(v, at);
		}
		table = entry & (pg.entry_size == 4 ? 0xfffff000ull : 0x000ffffffffff000ull);
	}
	if (!permitted(v, out, a, idx)) {
		code = X86_PF_P;
		goto fault;
	}
	{
		uint64_t want = X86_PTE_A | (a == SOFT_WRITE ? X86_PTE_D : 0);

		if ((entry & want) != want) {
			if (!entry_set_bits(p, pg.entry_size, entry, want))
				goto again;
			mark_table_dirty(v, at);
			out->dirty |= a == SOFT_WRITE;
		}
	}
	return true;

fault:
	if (quiet)
		return false;
	page_fault(v, va, code, a, idx);
}

bool soft_load_pdptes(struct soft_vcpu *v, uint64_t cr3)
{
	uint64_t reserved = (~((1ull << v->phys_bits) - 1)) | 0x1e6;
	uint64_t e[4];

	if (mem_read(v->vm->mem, cr3 & 0xffffffe0ull, e, sizeof(e)))
		memset(e, 0, sizeof(e));
	for (unsigned i = 0; i < 4; i++)
		if ((e[i] & X86_PTE_P) && (e[i] & reserved))
			return false;
	memcpy(v->pdpte, e, sizeof(e));
	return true;
}

/* --- TLB ------------------------------------------------------------------------------- */

void soft_sites_forget(struct soft_vcpu *v)
{
	v->stack_site.tag = v->user_stack_site.tag = SOFT_SITE_NONE;
	v->site_epoch += SOFT_SITE_EPOCH;
	if (v->site_epoch < X86_PAGE_SIZE)
		return;
	memset(v->site, 0, v->n_sites * sizeof(v->site[0]));
	v->site_epoch = SOFT_SITE_EPOCH;
}

static void set_flush(struct soft_vcpu *v, struct soft_tlb_set *s)
{
	v->n_tlb_flush++;
	soft_sites_forget(v);
	s->gen = ++v->gen_next;
	memset(s->large_2m, 0, sizeof(s->large_2m));
	memset(s->code, 0, sizeof(s->code));
	memset(s->large_1g, 0, sizeof(s->large_1g));
	s->n_local = 0;
	s->local_exec = false;
	memset(s->filled, 0, sizeof(s->filled));
	if (++s->epoch > 0xfff) {
		memset(s->e, 0, sizeof(s->e));
		s->epoch = 1;
	}
	if (s == v->now) {
		v->epoch = s->epoch;
		soft_tlb_rekey(v);
	}
}

static void entry_drop(struct soft_tlb_entry *e)
{
	e->r = e->w = e->x = 0;
}

/* Whether the translator's jump cache may know code on @va's page. */
static bool has_code(const struct soft_tlb_set *s, uint64_t va)
{
	unsigned bit = soft_tlb_code_bit(va);

	return s->code[bit / 64] >> (bit & 63) & 1;
}

static void forget_code(struct soft_vcpu *v, struct soft_tlb_set *s)
{
	s->gen = ++v->gen_next;
	memset(s->code, 0, sizeof(s->code));
}

/* What of the set of all PCIDs is not global belongs to one address space, which is left. */
static void local_flush(struct soft_vcpu *v)
{
	struct soft_tlb_set *s = &v->sets[SOFT_TLB_SETS];

	if (!s->n_local)
		return;
	if (s->n_local > SOFT_TLB_LOCAL) {
		set_flush(v, s);
		return;
	}
	for (unsigned i = 0; i < s->n_local; i++)
		entry_drop(&s->e[SOFT_MMU_KERNEL][soft_tlb_index(s->local[i])]);
	s->n_local = 0;
	if (s->local_exec)
		forget_code(v, s);
	s->local_exec = false;
	soft_tlb_rekey(v);
}

static void local_note(struct soft_tlb_set *s, uint64_t va, bool exec)
{
	s->local_exec |= exec;
	if (s->n_local < SOFT_TLB_LOCAL)
		s->local[s->n_local] = va;
	if (s->n_local <= SOFT_TLB_LOCAL)
		s->n_local++;
}

void soft_tlb_flush(struct soft_vcpu *v, bool all)
{
	if (!all) {
		set_flush(v, v->set);
		local_flush(v);
		return;
	}
	for (unsigned i = 0; i <= SOFT_TLB_SETS; i++)
		if (v->sets[i].valid)
			set_flush(v, &v->sets[i]);
}

void soft_tlb_flush_pcid(struct soft_vcpu *v, uint16_t pcid)
{
	for (unsigned i = 0; i < SOFT_TLB_SETS; i++)
		if (v->sets[i].valid && v->sets[i].pcid == pcid)
			set_flush(v, &v->sets[i]);
	local_flush(v);
}

static bool entry_live(const struct soft_tlb_set *s, const struct soft_tlb_entry *e)
{
	return ((e->r | e->x) & 0xfff) == s->epoch;
}

static uint64_t entry_va(const struct soft_tlb_entry *e)
{
	return (e->r | e->x) & SOFT_PAGE_MASK;
}

static void set_invlpg(struct soft_vcpu *v, struct soft_tlb_set *s, uint64_t va)
{
	uint64_t h2 = va >> 21, h1 = va >> 30;
	unsigned half = va >> 63;
	bool large = (s->large_2m[half][(h2 >> 6) & 15] >> (h2 & 63) & 1) ||
		     (s->large_1g[half] >> (h1 & 63) & 1);

	if (large || has_code(s, va))
		forget_code(v, s);
	for (unsigned idx = 0; idx < SOFT_MMU_COUNT; idx++) {
		if (!s->filled[idx])
			continue;
		entry_drop(&s->e[idx][soft_tlb_index(va)]);
		if (!large)
			continue;
		for (unsigned i = 0; i < SOFT_TLB_SIZE; i++) {
			struct soft_tlb_entry *e = &s->e[idx][i];

			if (e->shift > 12 && entry_live(s, e) &&
			    (entry_va(e) ^ va) >> e->shift == 0)
				entry_drop(e);
		}
	}
}

void soft_tlb_invlpg(struct soft_vcpu *v, uint64_t va, int pcid)
{
	/* A global page may be cached under any PCID, so every set drops it. */
	for (unsigned i = 0; i < SOFT_TLB_SETS; i++) {
		struct soft_tlb_set *s = &v->sets[i];

		if (s->valid && (pcid < 0 || s->pcid == pcid))
			set_invlpg(v, s, va);
	}
	set_invlpg(v, &v->sets[SOFT_TLB_SETS], va);
	soft_sites_forget(v);
	soft_tlb_rekey(v);
}

void soft_tlb_set_pcid(struct soft_vcpu *v, uint16_t pcid, bool keep)
{
	struct soft_tlb_set *best = NULL;

	for (unsigned i = 0; i < SOFT_TLB_SETS; i++) {
		struct soft_tlb_set *s = &v->sets[i];

		if (s->valid && s->pcid == pcid) {
			best = s;
			break;
		}
		if (!best || !s->valid || (best->valid && s->used < best->used))
			best = s;
	}
	if (!best->valid || best->pcid != pcid)
		keep = false;
	best->valid = true;
	best->pcid = pcid;
	v->set = best;
	best->used = ++v->gen_next;
	if (!keep)
		set_flush(v, best);
	local_flush(v);
	soft_sites_forget(v);
	soft_tlb_select(v);
}

void soft_tlb_drop_write(struct soft_vcpu *v, gpa_t gpa)
{
	soft_sites_forget(v);
	for (unsigned n = 0; n <= SOFT_TLB_SETS; n++) {
		struct soft_tlb_set *s = &v->sets[n];

		for (unsigned idx = 0; s->valid && idx < SOFT_MMU_COUNT; idx++)
			for (unsigned i = 0; s->filled[idx] && i < SOFT_TLB_SIZE; i++)
				if (s->e[idx][i].gpa == gpa)
					s->e[idx][i].w = 0;
	}
}

static void filter_large(struct soft_tlb_set *s, uint64_t va, unsigned shift)
{
	unsigned half = va >> 63;
	uint64_t h = va >> 21;

	if (shift >= 30)
		s->large_1g[half] |= 1ull << ((va >> 30) & 63);
	else if (shift > 12)
		s->large_2m[half][(h >> 6) & 15] |= 1ull << (h & 63);
	if (shift == 22) {
		h ^= 1; /* a 4 MiB page covers two granules */
		s->large_2m[half][(h >> 6) & 15] |= 1ull << (h & 63);
	}
}

/* Whether a data breakpoint may be on the page: then it gets no tags (SDM vol. 3B, 17.2). */
static bool page_watched(const struct soft_vcpu *v, uint64_t va)
{
	if (LIKELY(!(v->dr7 & 0xff)))
		return false;
	for (unsigned i = 0; i < 4; i++)
		if ((v->dr7 >> (i * 2) & 3) && ((v->dr[i] ^ va) & SOFT_PAGE_MASK) == 0)
			return true;
	return false;
}

/** Where one page's bytes are. */
struct xlat {
	uint8_t *host;			 /* of the byte at va; NULL: MMIO */
	gpa_t gpa;			 /* of the byte */
	const struct mem_region *region; /* NULL for MMIO */
};

/* A write to a RAM page is about to be made through a tag or directly. */
static bool may_tag_write(const struct mem_region *r, gpa_t page)
{
	_Atomic uint8_t *f = &r->flags[(page - r->gpa) >> MEM_PAGE_SHIFT];
	uint8_t want = MEM_PAGE_DIRTY | SOFT_MEM_WMAP;
	uint8_t old = atomic_load_explicit(f, memory_order_relaxed);

	if ((old & want) != want)
		old = atomic_fetch_or(f, want);
	return !(old & MEM_PAGE_CODE);
}

static struct xlat tlb_fill(struct soft_vcpu *v, uint64_t va, enum soft_access a, unsigned idx,
			    bool quiet, bool *ok)
{
	struct soft_tlb_set *s = soft_tlb_set_of(v, idx);
	struct soft_tlb_entry *e = &s->e[idx][soft_tlb_index(va)];
	uint64_t page = va & SOFT_PAGE_MASK, tag = page | s->epoch;
	const struct mem_region *r;
	struct walk w;
	struct xlat x;
	uint8_t *host;

	v->n_tlb_miss++;
	*ok = mmu_walk(v, va, a, idx, quiet, &w);
	if (!*ok)
		return (struct xlat) { 0 };
	r = mem_find(v->vm->mem, w.gpa);
	x = (struct xlat) { .gpa = w.gpa | (va & 0xfff), .region = r };
	if (!r)
		return x;
	host = r->host + (w.gpa - r->gpa);
	x.host = host + (va & 0xfff);
	*e = (struct soft_tlb_entry) {
		.addend = (uintptr_t)host - page, .gpa = w.gpa, .shift = w.shift, .global = w.global
	};
	if (permitted(v, &w, SOFT_EXEC, idx))
		e->x = tag;
	if (idx != SOFT_MMU_USER_AC && !page_watched(v, va)) {
		if (permitted(v, &w, SOFT_READ, idx))
			e->r = tag;
		if (w.dirty && r->kind == MEM_RAM && permitted(v, &w, SOFT_WRITE, idx) &&
		    (a == SOFT_WRITE ||
		     (atomic_load(&r->flags[(w.gpa - r->gpa) >> 12]) & SOFT_MEM_WMAP)) &&
		    may_tag_write(r, w.gpa))
			e->w = tag;
	}
	s->filled[idx] = true;
	filter_large(s, va, w.shift);
	if (idx == SOFT_MMU_KERNEL && !w.global)
		local_note(s, va, e->x == tag);
	return x;
}

/* --- access ----------------------------------------------------------------------------- */

static bool canonical(uint64_t va)
{
	return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

static void check_canonical(struct soft_vcpu *v, uint64_t va, unsigned idx)
{
	bool stack;

	if (LIKELY(canonical(va)) || !soft_long(v))
		return;
	stack = v->cur && (v->cur->flags & INSN_STACK);
	(void)idx;
	soft_raise_code(v, stack ? X86_VEC_SS : X86_VEC_GP, 0);
}

static struct xlat translate(struct soft_vcpu *v, uint64_t va, enum soft_access a, unsigned idx)
{
	struct soft_tlb_set *s = soft_tlb_set_of(v, idx);
	struct soft_tlb_entry *e = &s->e[idx][soft_tlb_index(va)];
	uint64_t tag = (va & SOFT_PAGE_MASK) | s->epoch;
	bool ok;

	if ((a == SOFT_READ ? e->r : a == SOFT_WRITE ? e->w : e->x) == tag)
		return (struct xlat) { .host = (uint8_t *)(va + e->addend),
				       .gpa = e->gpa | (va & 0xfff),
				       .region = mem_find(v->vm->mem, e->gpa) };
	check_canonical(v, va, idx);
	return tlb_fill(v, va, a, idx, false, &ok);
}

static void check_align(struct soft_vcpu *v, uint64_t va, unsigned size, unsigned idx)
{
	if (idx == SOFT_MMU_USER_AC && (va & (size - 1)))
		soft_raise_code(v, X86_VEC_AC, 0);
}

/* Data breakpoints trap after the instruction: note the hit (SDM vol. 3B, 17.2.4, table 17-2). */
static void check_watch(struct soft_vcpu *v, uint64_t va, unsigned size, bool write)
{
	static const uint8_t lens[] = { 1, 2, 8, 4 };

	if (LIKELY(!(v->dr7 & 0xff)))
		return;
	for (unsigned i = 0; i < 4; i++) {
		unsigned rw = v->dr7 >> (16 + i * 4) & 3, len = lens[v->dr7 >> (18 + i * 4) & 3];

		if (!(v->dr7 >> (i * 2) & 3) || !(rw == 3 || (rw == 1 && write)))
			continue;
		if (range_overlap(v->dr[i] & ~(uint64_t)(len - 1), len, va, size)) {
			v->db_trap = true;
			v->db_bits |= 1u << i;
		}
	}
}

static bool is_lapic(const struct soft_vcpu *v, gpa_t gpa)
{
	uint64_t base = atomic_load_explicit(&v->lapic.base_msr, memory_order_relaxed);

	/* Enabled (bit 11) and not in x2APIC mode (bit 10): SDM vol. 3A, 10.4.4. */
	return (base & 0xc00) == 0x800 && (gpa & SOFT_PAGE_MASK) == (base & SOFT_PAGE_MASK);
}

static uint64_t mmio_read(struct soft_vcpu *v, gpa_t gpa, unsigned size)
{
	uint64_t val;

	v->n_mmio++;
	if (is_lapic(v, gpa))
		return size == 4 ? lapic_mmio_read(&v->lapic, gpa & 0xfff) : 0;
	soft_guest_leave(v);
	val = v->vm->io->mmio_read(v->vm->io->ctx, gpa, size);
	soft_guest_enter(v);
	return val & size_mask(size);
}

static void mmio_write(struct soft_vcpu *v, gpa_t gpa, unsigned size, uint64_t val)
{
	v->n_mmio++;
	if (is_lapic(v, gpa)) {
		if (size == 4)
			lapic_mmio_write(&v->lapic, gpa & 0xfff, (uint32_t)val);
		return;
	}
	soft_guest_leave(v);
	v->vm->io->mmio_write(v->vm->io->ctx, gpa, size, val & size_mask(size));
	soft_guest_enter(v);
}

static uint64_t load_part(struct soft_vcpu *v, const struct xlat *x, unsigned size)
{
	if (!x->host)
		return mmio_read(v, x->gpa, size);
	switch (size) {
	case 1:
		return *(volatile uint8_t *)x->host;
	case 2:
		return *(volatile uint16_t *)x->host;
	case 4:
		return *(volatile uint32_t *)x->host;
	case 8:
		return *(volatile uint64_t *)x->host;
	default:
		return get_le(x->host, size);
	}
}

static void store_part(struct soft_vcpu *v, const struct xlat *x, unsigned size, uint64_t val)
{
	_Atomic uint8_t *f;

	if (!x->host || x->region->kind != MEM_RAM) {
		mmio_write(v, x->gpa, size, val);
		return;
	}
	switch (size) {
	case 1:
		*(volatile uint8_t *)x->host = (uint8_t)val;
		break;
	case 2:
		*(volatile uint16_t *)x->host = (uint16_t)val;
		break;
	case 4:
		*(volatile uint32_t *)x->host = (uint32_t)val;
		break;
	case 8:
		*(volatile uint64_t *)x->host = val;
		break;
	default:
		put_le(x->host, size, val);
		break;
	}
	f = &x->region->flags[(x->gpa - x->region->gpa) >> MEM_PAGE_SHIFT];
	if (!(atomic_load(f) & MEM_PAGE_DIRTY))
		atomic_fetch_or(f, MEM_PAGE_DIRTY);
	if (atomic_load(f) & MEM_PAGE_CODE)
		soft_code_written(v->vm, v, x->gpa & SOFT_PAGE_MASK);
}

/* The linear address behind a page's end; wraps at 4 GiB outside long mode. */
static uint64_t next_page(const struct soft_vcpu *v, uint64_t va)
{
	uint64_t n = (va & SOFT_PAGE_MASK) + X86_PAGE_SIZE;

	return soft_long(v) ? n : (uint32_t)n;
}

uint64_t soft_load_slow(struct soft_vcpu *v, uint64_t va, unsigned size, unsigned idx)
{
	unsigned first = (unsigned)MIN((uint64_t)size, X86_PAGE_SIZE - (va & 0xfff));
	struct xlat a, b;
	uint64_t val;

	check_align(v, va, size, idx);
	check_watch(v, va, size, false);
	a = translate(v, va, SOFT_READ, idx);
	if (first == size)
		return load_part(v, &a, size);
	b = translate(v, next_page(v, va), SOFT_READ, idx);
	val = 0;
	/* A page-crossing access is made byte by byte: MMIO sees sizes it knows. */
	for (unsigned i = 0; i < size; i++) {
		struct xlat x = i < first ? a : b;
		unsigned off = i < first ? i : i - first;

		x.gpa += off;
		x.host = x.host ? x.host + off : NULL;
		val |= load_part(v, &x, 1) << (i * 8);
	}
	return val;
}

void soft_store_slow(struct soft_vcpu *v, uint64_t va, unsigned size, uint64_t val, unsigned idx)
{
	unsigned first = (unsigned)MIN((uint64_t)size, X86_PAGE_SIZE - (va & 0xfff));
	struct xlat a, b;

	check_align(v, va, size, idx);
	a = translate(v, va, SOFT_WRITE, idx);
	if (first == size) {
		check_watch(v, va, size, true);
		store_part(v, &a, size, val);
		return;
	}
	b = translate(v, next_page(v, va), SOFT_WRITE, idx);
	check_watch(v, va, size, true);
	for (unsigned i = 0; i < size; i++) {
		struct xlat x = i < first ? a : b;
		unsigned off = i < first ? i : i - first;

		x.gpa += off;
		x.host = x.host ? x.host + off : NULL;
		store_part(v, &x, 1, val >> (i * 8) & 0xff);
	}
}

void soft_probe(struct soft_vcpu *v, uint64_t va, unsigned len, enum soft_access a)
{
	uint64_t end = va + len - 1;

	(void)translate(v, va, a, v->mmu_idx);
	while ((va ^ end) & SOFT_PAGE_MASK) {
		va = (va & SOFT_PAGE_MASK) + X86_PAGE_SIZE;
		(void)translate(v, soft_long(v) ? va : (uint32_t)va, a, v->mmu_idx);
	}
}

/* One page's part of a bulk access. */
static void bulk_part(struct soft_vcpu *v, uint64_t va, uint8_t *buf, unsigned len, bool write)
{
	struct xlat x = translate(v, va, write ? SOFT_WRITE : SOFT_READ, v->mmu_idx);

	check_watch(v, va, len, write);
	if (x.host && !write) {
		memcpy(buf, x.host, len);
		return;
	}
	if (x.host && x.region->kind == MEM_RAM) {
		_Atomic uint8_t *f = &x.region->flags[(x.gpa - x.region->gpa) >> MEM_PAGE_SHIFT];

		memcpy(x.host, buf, len);
		if (!(atomic_load(f) & MEM_PAGE_DIRTY))
			atomic_fetch_or(f, MEM_PAGE_DIRTY);
		if (atomic_load(f) & MEM_PAGE_CODE)
			soft_code_written(v->vm, v, x.gpa & SOFT_PAGE_MASK);
		return;
	}
	while (len) {
		unsigned n = len >= 8 && !(x.gpa & 7) ? 8 : len >= 4 && !(x.gpa & 3) ? 4 : 1;

		if (write)
			mmio_write(v, x.gpa, n, get_le(buf, n));
		else
			put_le(buf, n, mmio_read(v, x.gpa, n));
		x.gpa += n;
		buf += n;
		len -= n;
	}
}

static void bulk(struct soft_vcpu *v, uint64_t va, uint8_t *buf, unsigned len, bool write)
{
	while (len) {
		unsigned n = (unsigned)MIN((uint64_t)len, X86_PAGE_SIZE - (va & 0xfff));

		bulk_part(v, va, buf, n, write);
		buf += n;
		len -= n;
		va = next_page(v, va);
	}
}

void soft_read(struct soft_vcpu *v, uint64_t va, void *buf, unsigned len)
{
	const void *p = soft_host_r(v, va, len);

	if (LIKELY(p)) {
		memcpy(buf, p, len);
		return;
	}
	soft_probe(v, va, len, SOFT_READ);
	bulk(v, va, buf, len, false);
}

void soft_write(struct soft_vcpu *v, uint64_t va, const void *buf, unsigned len)
{
	void *p = soft_host_w(v, va, len);

	if (LIKELY(p)) {
		memcpy(p, buf, len);
		return;
	}
	soft_probe(v, va, len, SOFT_WRITE);
	bulk(v, va, (uint8_t *)(uintptr_t)buf, len, true);
}

void *soft_rmw_host(struct soft_vcpu *v, uint64_t va, unsigned size)
{
	void *p = soft_host_w(v, va, size);

	if (LIKELY(p))
		return p;
	check_align(v, va, size, v->mmu_idx);
	soft_probe(v, va, size, SOFT_WRITE);
	/* Filled now, unless the page holds code, is watched, or is not RAM. */
	return soft_host_w(v, va, size);
}

bool soft_lock_begin(struct soft_vcpu *v, uint64_t va, unsigned size)
{
	struct xlat a = translate(v, va, SOFT_WRITE, v->mmu_idx);
	uint64_t last = va + size - 1;
	struct xlat b = translate(v, soft_long(v) ? last : (uint32_t)last, SOFT_WRITE, v->mmu_idx);

	if (!a.host || !b.host)
		return false;
	soft_exclusive_begin(v->vm, v);
	return true;
}

void soft_lock_end(struct soft_vcpu *v, bool exclusive)
{
	if (exclusive)
		soft_exclusive_end(v->vm, v);
}

const uint8_t *soft_fetch(struct soft_vcpu *v, uint64_t va, gpa_t *gpa)
{
	struct soft_tlb_entry *e = soft_tlb_at(v, va);
	struct xlat x;

	if (LIKELY(e->x == ((va & SOFT_PAGE_MASK) | v->epoch))) {
		*gpa = e->gpa | (va & 0xfff);
		return (const uint8_t *)(va + e->addend);
	}
	x = translate(v, va, SOFT_EXEC, v->mmu_idx);
	if (!x.host) {
		log_guest(&v->vm->log, "soft", "vCPU %u runs code at %#llx, which is no memory",
			  v->id, (unsigned long long)x.gpa);
		soft_gp(v, 0);
	}
	*gpa = x.gpa;
	return x.host;
}

bool soft_code_at(struct soft_vcpu *v, uint64_t va, gpa_t *gpa)
{
	const struct soft_tlb_entry *e = soft_tlb_at(v, va);
	struct walk w;

	if (e->x == ((va & SOFT_PAGE_MASK) | v->epoch))
		w.gpa = e->gpa;
	else if (!mmu_walk(v, va, SOFT_EXEC, v->mmu_idx, true, &w))
		return false;
	*gpa = w.gpa | (va & 0xfff);
	return true;
}

/* --- ports ------------------------------------------------------------------------------ */

uint32_t soft_io_in(struct soft_vcpu *v, uint16_t port, unsigned size)
{
	uint32_t val;

	v->n_pio++;
	soft_guest_leave(v);
	val = v->vm->io->port_in(v->vm->io->ctx, port, size);
	soft_guest_enter(v);
	return val & (uint32_t)size_mask(size);
}

void soft_io_out(struct soft_vcpu *v, uint16_t port, unsigned size, uint32_t val)
{
	v->n_pio++;
	soft_guest_leave(v);
	v->vm->io->port_out(v->vm->io->ctx, port, size, val & (uint32_t)size_mask(size));
	soft_guest_enter(v);
}

void soft_io_check(struct soft_vcpu *v, uint16_t port, unsigned size)
{
	unsigned iopl = (v->rf & X86_FLAG_IOPL) >> X86_FLAG_IOPL_SHIFT;
	uint16_t map, bits;

	if (soft_real(v) || (v->cpl <= iopl && !soft_vm86(v)))
		return;
	/* The I/O permission bitmap: SDM vol. 1, 19.5.2. */
	if (!(v->tr.attr & CPU_ATTR_P) || v->tr.limit < 103 ||
	    (v->tr.attr & CPU_ATTR_TYPE) < X86_DESC_TSS_AVAIL)
		soft_gp(v, 0);
	map = (uint16_t)soft_sys_load(v, v->tr.base + 102, 2);
	if ((uint32_t)map + port / 8 + 1 > v->tr.limit)
		soft_gp(v, 0);
	bits = (uint16_t)soft_sys_load(v, v->tr.base + map + port / 8, 2);
	if (bits >> (port & 7) & ((1u << size) - 1))
		soft_gp(v, 0);
}
