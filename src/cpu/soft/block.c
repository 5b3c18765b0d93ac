/* SPDX-License-Identifier: MIT */
/*
 * The cache of decoded blocks.
 *
 * Theory of operation: a block is a run of instructions inside one guest-physical page, keyed by
 * the address of its first byte and the mode. Each vCPU has its own cache in an arena of its own:
 * blocks are appended and, when the arena is full, all are dropped at once. Each block knows two
 * that came behind it lately; what is not among them is found in a hash table with open
 * addressing, where the blocks of a page lie together.
 *
 * An instruction that crosses into the next page is never put into a block: it is decoded into
 * one of a few slots that remember its bytes, and those are compared each time.
 *
 * Self-modifying code: decoding sets MEM_PAGE_CODE on the page and takes away all write tags for
 * it. A write then comes to soft_code_written(), which drops the page's blocks on every vCPU. A
 * dropped block that is just running has its instructions replaced by re_enter(), so the next one
 * is fetched anew.
 */
#include "cpu/soft/soft.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA_SIZE     (96u << 20)
#define HASH_BITS      19
#define HASH_MOST      (3u << HASH_BITS >> 2)
#define HASH_PAGE_BITS 6 /* slots of a page, more or less */
#define PAGE_BITS      12
#define CROSS_SLOTS    256
#define INSN_BYTES_MAX 15

/** A page-crossing instruction, found again by its bytes. */
struct cross {
	uint8_t bytes[INSN_BYTES_MAX];
	uint8_t have; /* bytes that were there to decode from */
	uint64_t va;
	uint32_t mode;
	uint64_t storage[(sizeof(struct soft_block) + 2 * sizeof(struct insn)) / 8];
};

struct soft_blocks {
	uint8_t *arena;
	size_t used;
	/* Block and, in the highest 16 bits, slot_tag(); 0: none. */
	uint64_t hash[1u << HASH_BITS];
	unsigned n_hashed;
	struct soft_block *page[1u << PAGE_BITS];
	struct cross cross[CROSS_SLOTS];
	struct soft_decode_cache *decoded;
};

static unsigned page_of(gpa_t gpa)
{
	uint64_t pfn = gpa >> X86_PAGE_SHIFT;

	return (unsigned)((pfn ^ (pfn >> PAGE_BITS)) & ((1u << PAGE_BITS) - 1));
}

/* --- the hash table ----------------------------------------------------------------------------
 */

#define HASH_MASK ((1u << HASH_BITS) - 1)
#define SLOT_TAG  48

/* Where a search begins: the page's slots, then what part of the page it is. */
static unsigned slot_of(gpa_t gpa)
{
	uint32_t page = (uint32_t)(gpa >> X86_PAGE_SHIFT) * 0x9e3779b1u;

	return page >> (32 - HASH_BITS + HASH_PAGE_BITS) << HASH_PAGE_BITS |
	       (gpa & 0xfff) >> (X86_PAGE_SHIFT - HASH_PAGE_BITS);
}

/* All that tells blocks of one page apart. */
static uint64_t slot_tag(gpa_t gpa, uint32_t mode)
{
	static_assert((SOFT_MODE_BITS | SOFT_MODE_SINGLE | SOFT_MODE_USER) < 16, "four bits");
	return (uint64_t)((gpa & 0xfff) << 4 | mode) << SLOT_TAG;
}

static struct soft_block *slot_block(uint64_t slot)
{
	return (struct soft_block *)(uintptr_t)(slot & ((1ull << SLOT_TAG) - 1));
}

static struct soft_block *hash_find(const struct soft_blocks *c, gpa_t gpa, uint32_t mode)
{
	uint64_t tag = slot_tag(gpa, mode) >> SLOT_TAG, slot;

	for (unsigned i = slot_of(gpa); (slot = c->hash[i]); i = (i + 1) & HASH_MASK)
		if (slot >> SLOT_TAG == tag && slot_block(slot)->gpa == gpa)
			return slot_block(slot);
	return NULL;
}

static void hash_add(struct soft_blocks *c, struct soft_block *b)
{
	unsigned i = slot_of(b->gpa);

	while (c->hash[i])
		i = (i + 1) & HASH_MASK;
	c->hash[i] = (uint64_t)(uintptr_t)b | slot_tag(b->gpa, b->mode);
	c->n_hashed++;
}

/* What comes behind moves up, as far as it may: Knuth, vol. 3, 6.4, algorithm R. */
static void hash_remove(struct soft_blocks *c, const struct soft_block *b)
{
	unsigned i = slot_of(b->gpa), k;

	while (slot_block(c->hash[i]) != b)
		i = (i + 1) & HASH_MASK;
	for (k = (i + 1) & HASH_MASK; c->hash[k]; k = (k + 1) & HASH_MASK) {
		unsigned home = slot_of(slot_block(c->hash[k])->gpa);

		if (((k - home) & HASH_MASK) < ((k - i) & HASH_MASK))
			continue;
		c->hash[i] = c->hash[k];
		i = k;
	}
	c->hash[i] = 0;
	c->n_hashed--;
}

/* Of struct soft_blocks, the arena, and what was decoded before. */
static size_t map_size(void)
{
	return align_up(sizeof(struct soft_blocks), 64) + ARENA_SIZE + soft_decode_cache_size();
}

int soft_blocks_create(struct soft_vcpu *v, struct err *e)
{
	uint8_t *p = mmap(NULL, map_size(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return err_set(e, -ENOMEM, "no memory for the decoded blocks of vCPU %u", v->id);
	v->blocks = (struct soft_blocks *)p;
	v->blocks->arena = p + align_up(sizeof(struct soft_blocks), 64);
	v->blocks->decoded = (struct soft_decode_cache *)(v->blocks->arena + ARENA_SIZE);
	return 0;
}

void soft_blocks_destroy(struct soft_vcpu *v)
{
	if (v->blocks)
		munmap(v->blocks, map_size());
	v->blocks = NULL;
}

void soft_blocks_flush(struct soft_vcpu *v)
{
	struct soft_blocks *b = v->blocks;

	memset(b->hash, 0, sizeof(b->hash));
	memset(b->page, 0, sizeof(b->page));
	memset(b->cross, 0, sizeof(b->cross));
	soft_decode_cache_flush(b->decoded);
	b->n_hashed = 0;
	b->used = 0;
	v->last = NULL;
	if (v->vm->jit)
		v->vm->jit->flush(v);
}

/* --- the ends of blocks -------------------------------------------------------------------------
 */

static void block_end(struct soft_vcpu *v, const struct insn *in)
{
	v->rip = soft_next_rip(v, in);
}

/* Instead of an instruction of a dropped block: go back to the loop at this instruction. */
static void re_enter(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t ip = v->block_va + in->end - in->len;

	if (v->mode != SOFT_MODE_64)
		ip = v->mode == SOFT_MODE_32 ? (uint32_t)ip : (uint16_t)ip;
	v->rip = ip;
}

static void block_kill(struct soft_block *b)
{
	b->dead = true;
	b->run = re_enter;
	for (unsigned i = 0; i < b->n; i++)
		b->insn[i].fn = re_enter;
}

void soft_blocks_drop_page(struct soft_vcpu *v, gpa_t gpa)
{
	struct soft_block **at = &v->blocks->page[page_of(gpa)], *b;

	while ((b = *at)) {
		if ((b->gpa & SOFT_PAGE_MASK) != gpa) {
			at = &b->page_next;
			continue;
		}
		*at = b->page_next;
		hash_remove(v->blocks, b);
		block_kill(b);
		if (v->vm->jit)
			v->vm->jit->drop(v, b);
	}
}

void soft_blocks_each(struct soft_vcpu *v, gpa_t gpa,
		      void (*fn)(struct soft_vcpu *v, struct soft_block *b))
{
	for (struct soft_block *b = v->blocks->page[page_of(gpa)]; b; b = b->page_next)
		if (!((b->gpa ^ gpa) & SOFT_PAGE_MASK))
			fn(v, b);
}

void soft_code_written(struct soft_vm *vm, struct soft_vcpu *v, gpa_t gpa)
{
	const struct mem_region *r = mem_find(vm->mem, gpa);

	soft_exclusive_begin(vm, v);
	if (v)
		v->n_smc++;
	if (r)
		atomic_fetch_and(&r->flags[(gpa - r->gpa) >> MEM_PAGE_SHIFT],
				 (uint8_t)~MEM_PAGE_CODE);
	for (unsigned i = 0; i < vm->n; i++)
		if (vm->vcpu[i])
			soft_blocks_drop_page(vm->vcpu[i], gpa);
	soft_exclusive_end(vm, v);
}

/* The page is about to be decoded from: no vCPU may keep a write tag for it. */
static void mark_code(struct soft_vcpu *v, gpa_t gpa)
{
	const struct mem_region *r = mem_find(v->vm->mem, gpa);
	_Atomic uint8_t *f;
	uint8_t old;

	if (!r || r->kind != MEM_RAM)
		return;
	f = &r->flags[(gpa - r->gpa) >> MEM_PAGE_SHIFT];
	old = atomic_load(f);
	if ((old & (MEM_PAGE_CODE | SOFT_MEM_WMAP)) == MEM_PAGE_CODE)
		return;
	old = atomic_fetch_or(f, MEM_PAGE_CODE);
	if (!(old & SOFT_MEM_WMAP))
		return;
	soft_exclusive_begin(v->vm, v);
	atomic_fetch_and(f, (uint8_t)~SOFT_MEM_WMAP);
	atomic_fetch_or(f, MEM_PAGE_CODE);
	for (unsigned i = 0; i < v->vm->n; i++)
		if (v->vm->vcpu[i])
			soft_tlb_drop_write(v->vm->vcpu[i], gpa & SOFT_PAGE_MASK);
	soft_exclusive_end(v->vm, v);
}

/* --- decoding a block ---------------------------------------------------------------------------
 */

static void finish(struct soft_block *b, unsigned n, unsigned bytes)
{
	b->n = (uint16_t)n;
	b->run = b->insn[0].fn;
	b->insn[n] = (struct insn) { .fn = block_end, .end = (uint16_t)bytes };
}

static struct cross *cross_at(struct soft_vcpu *v, uint64_t va)
{
	return &v->blocks->cross[(va >> X86_PAGE_SHIFT) % CROSS_SLOTS];
}

/* Whether an instruction at @va crossed last time, and begins as it did. */
static bool crossed(struct soft_vcpu *v, uint64_t va, const uint8_t *p, uint32_t mode)
{
	unsigned here = (unsigned)(X86_PAGE_SIZE - (va & 0xfff));
	const struct cross *c = cross_at(v, va);

	return here < INSN_BYTES_MAX && c->have && c->va == va && c->mode == mode &&
	       !memcmp(c->bytes, p, here);
}

/* An instruction that crosses the page: bytes from both, a slot of its own. */
static struct soft_block *get_cross(struct soft_vcpu *v, uint64_t va, const uint8_t *p,
				    uint32_t mode)
{
	unsigned here = (unsigned)(X86_PAGE_SIZE - (va & 0xfff)), have;
	uint64_t next = va + here;
	struct cross *c = cross_at(v, va);
	struct soft_block *b = (struct soft_block *)c->storage;
	uint8_t bytes[INSN_BYTES_MAX];
	const uint8_t *q;
	gpa_t gpa;
	int ret;

	memcpy(bytes, p, here);
	if (v->mode != SOFT_MODE_64)
		next = (uint32_t)next;
	q = soft_fetch(v, next, &gpa);
	memcpy(bytes + here, q, INSN_BYTES_MAX - here);
	have = INSN_BYTES_MAX;
	if (c->have == have && c->mode == mode && !memcmp(c->bytes, bytes, have))
		return b;
	c->have = 0;
	memset(b, 0, sizeof(*b));
	ret = soft_decode(v->vm, bytes, have, mode, &b->insn[0], NULL);
	BUG_ON(ret < 0);
	b->insn[0].end = b->insn[0].len;
	finish(b, 1, b->insn[0].len);
	b->runs = JIT_NEVER;
	memcpy(c->bytes, bytes, have);
	c->have = (uint8_t)have;
	c->mode = mode;
	c->va = va;
	v->n_decoded++;
	return b;
}

/* Decode at @p, which has @avail bytes to its page's end; NULL: the first one crosses. */
static struct soft_block *decode_block(struct soft_vcpu *v, gpa_t gpa, const uint8_t *p,
				       unsigned avail, uint32_t mode)
{
	struct soft_blocks *c = v->blocks;
	unsigned max = mode & SOFT_MODE_SINGLE ? 1 : SOFT_BLOCK_MAX, n = 0, off = 0;
	struct soft_block *b;
	size_t need = sizeof(*b) + (max + 1) * sizeof(struct insn);

	if (c->used + need > ARENA_SIZE || c->n_hashed == HASH_MOST)
		soft_blocks_flush(v);
	b = (struct soft_block *)(c->arena + c->used);
	*b = (struct soft_block) { .gpa = gpa, .mode = mode };
	while (n < max && off < avail) {
		uint8_t bytes[INSN_BYTES_MAX] = { 0 };
		unsigned have = MIN(avail - off, (unsigned)INSN_BYTES_MAX);
		int ret;

		/* A copy: another vCPU may change the bytes while they are decoded. */
		memcpy(bytes, p + off, have);
		ret = soft_decode_cached(c->decoded, v->vm, bytes, have, mode, &b->insn[n]);
		if (ret == -EAGAIN)
			break;
		off += b->insn[n].len;
		b->insn[n].end = (uint16_t)off;
		n++;
		if (ret)
			break;
	}
	if (!n)
		return NULL;
	finish(b, n, off);
	v->n_decoded += n;
	c->used += align_up(sizeof(*b) + (n + 1) * sizeof(struct insn), 16);
	return b;
}

static struct soft_block *find_block(struct soft_vcpu *v, gpa_t gpa, const uint8_t *p, uint64_t va,
				     uint32_t mode, bool *kept)
{
	struct soft_blocks *c = v->blocks;
	struct soft_block *b = hash_find(c, gpa, mode);

	*kept = true;
	if (b)
		return b;
	if (!crossed(v, va, p, mode)) {
		mark_code(v, gpa);
		b = decode_block(v, gpa, p, (unsigned)(X86_PAGE_SIZE - (va & 0xfff)), mode);
	}
	if (!b) {
		*kept = false;
		return get_cross(v, va, p, mode);
	}
	hash_add(c, b);
	b->page_next = c->page[page_of(gpa)];
	c->page[page_of(gpa)] = b;
	return b;
}

/* In segmented modes the block must lie within CS's limit; else one instruction at a time. */
static struct soft_block *limited_block(struct soft_vcpu *v, struct soft_block *b, uint32_t mode)
{
	uint64_t limit = v->seg[CPU_CS].limit;

	if (v->rip > limit)
		soft_gp(v, 0);
	if (LIKELY(v->rip + b->insn[b->n].end - 1 <= limit))
		return b;
	if (!(mode & SOFT_MODE_SINGLE))
		return soft_block_get(v, mode | SOFT_MODE_SINGLE);
	soft_gp(v, 0);
}

/*
 * Drop all thunks, and all blocks because they point to them; false while another vCPU is inside
 * a block, be it that it waits there for the machine.
 */
static bool recycle_thunks(struct soft_vcpu *v)
{
	struct soft_vm *vm = v->vm;
	bool free = true;

	soft_exclusive_begin(vm, v);
	for (unsigned i = 0; i < vm->n; i++)
		if (vm->vcpu[i] && vm->vcpu[i] != v && vm->vcpu[i]->cur)
			free = false;
	if (free && soft_thunks_low(vm->thunks)) {
		for (unsigned i = 0; i < vm->n; i++)
			if (vm->vcpu[i])
				soft_blocks_flush(vm->vcpu[i]);
		soft_thunks_drop(vm->thunks);
	}
	soft_exclusive_end(vm, v);
	return free;
}

/* The block at @va if it came behind @last lately, and is what is mapped there; or NULL. */
static struct soft_block *next_of(struct soft_vcpu *v, const struct soft_block *last, uint64_t va,
				  uint32_t mode)
{
	const struct soft_tlb_entry *e = soft_tlb_at(v, va);
	gpa_t gpa = e->gpa | (va & 0xfff);

	if (!last || e->x != ((va & SOFT_PAGE_MASK) | v->epoch))
		return NULL;
	for (unsigned i = 0; i < ARRAY_SIZE(last->next); i++) {
		struct soft_block *b = last->next[i];

		if (b && b->gpa == gpa && b->mode == mode && !b->dead)
			return b;
	}
	return NULL;
}

struct soft_block *soft_block_get(struct soft_vcpu *v, uint32_t mode)
{
	uint64_t va = v->rip;
	struct soft_block *b;

	if (v->cpl == 3)
		mode |= SOFT_MODE_USER;
	if (UNLIKELY(v->mode != SOFT_MODE_64))
		va = (uint32_t)(va + v->seg[CPU_CS].base);
	b = next_of(v, v->last, va, mode);
	if (!b) {
		const uint8_t *p;
		bool kept;
		gpa_t gpa;

		if (UNLIKELY(soft_thunks_low(v->vm->thunks)) && !recycle_thunks(v))
			return NULL;
		p = soft_fetch(v, va, &gpa);
		b = find_block(v, gpa, p, va, mode, &kept);
		/* All blocks may have gone meanwhile, and the last one with them. */
		if (v->last && kept) {
			v->last->next[1] = v->last->next[0];
			v->last->next[0] = b;
		}
		v->last = kept ? b : NULL;
	} else {
		v->last = b;
	}
	if (UNLIKELY(v->mode != SOFT_MODE_64))
		return limited_block(v, b, mode);
	return b;
}
