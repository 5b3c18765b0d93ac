/* SPDX-License-Identifier: MIT */
/*
 * Thunks: one guest instruction as native code, and the choice of FPU and SIMD handlers.
 *
 * Theory of operation: the guest's bytes are copied with three changes: segment and address-size
 * prefixes go, a memory operand becomes [base] with a low register the instruction does not name,
 * and an explicit RSP operand becomes another register (alias), because the host's RSP is in use.
 * Thunks are found again by their bytes, in a hash table all vCPUs share under a lock that only
 * decoding takes. A system uses a few thousand different ones; a program that makes code can use
 * any number, so when there is little room left (soft_thunks_low) all are dropped together with
 * every decoded block, at a moment when no vCPU is inside one (block.c).
 *
 * An instruction must be one the guest's CPUID offers: isa_allowed() compares Zydis's extension
 * with the feature bits.
 */
#include "cpu/soft/fpu.h"
#include "cpu/soft/xmem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define THUNK_AREA  (2u << 20)
#define THUNK_HASH  16384
#define THUNK_MAX   65536
#define THUNK_BYTES 20
/* Room for the longest block on every vCPU. */
#define THUNK_KEEP (CPU_VCPUS_MAX * SOFT_BLOCK_MAX)

struct thunk {
	struct fpu_op op;
	uint8_t bytes[THUNK_BYTES];
	uint8_t len;
	struct thunk *next;
};

struct soft_thunks {
	pthread_mutex_t lock; /* innermost: nothing is taken under it */
	struct xmem code;
	struct thunk *hash[THUNK_HASH];
	unsigned n;
	atomic_bool low;
	struct log_limit log;
	struct thunk pool[THUNK_MAX];
};

int soft_thunks_create(struct soft_thunks **out, struct err *e)
{
	struct soft_thunks *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int ret;

	if (t == MAP_FAILED)
		return err_set(e, -ENOMEM, "no memory for native thunks");
	ret = xmem_create(&t->code, THUNK_AREA, NULL, e);
	if (ret) {
		munmap(t, sizeof(*t));
		return ret;
	}
	pthread_mutex_init(&t->lock, NULL);
	*out = t;
	return 0;
}

void soft_thunks_destroy(struct soft_thunks *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	xmem_destroy(&t->code);
	munmap(t, sizeof(*t));
}

bool soft_thunks_low(const struct soft_thunks *t)
{
	return atomic_load_explicit(&t->low, memory_order_relaxed);
}

void soft_thunks_drop(struct soft_thunks *t)
{
	pthread_mutex_lock(&t->lock);
	memset(t->hash, 0, sizeof(t->hash));
	t->n = 0;
	t->code.used = 0;
	atomic_store_explicit(&t->low, false, memory_order_relaxed);
	pthread_mutex_unlock(&t->lock);
}

/* --- which instructions ------------------------------------------------------------------------
 */

/* CPUID bits of the extensions: SDM vol. 2, CPUID; reg 0..3 is EAX..EDX. */
static const struct isa_row {
	uint8_t ext;
	uint32_t leaf;
	uint8_t reg, bit;
} isa_rows[] = {
	{ ZYDIS_ISA_EXT_X87, 1, 3, 0 },		{ ZYDIS_ISA_EXT_MMX, 1, 3, 23 },
	{ ZYDIS_ISA_EXT_SSE, 1, 3, 25 },	{ ZYDIS_ISA_EXT_SSE2, 1, 3, 26 },
	{ ZYDIS_ISA_EXT_SSE3, 1, 2, 0 },	{ ZYDIS_ISA_EXT_SSSE3, 1, 2, 9 },
	{ ZYDIS_ISA_EXT_SSE4, 1, 2, 19 },	{ ZYDIS_ISA_EXT_AES, 1, 2, 25 },
	{ ZYDIS_ISA_EXT_PCLMULQDQ, 1, 2, 1 },	{ ZYDIS_ISA_EXT_AVX, 1, 2, 28 },
	{ ZYDIS_ISA_EXT_AVXAES, 1, 2, 25 },	{ ZYDIS_ISA_EXT_FMA, 1, 2, 12 },
	{ ZYDIS_ISA_EXT_F16C, 1, 2, 29 },	{ ZYDIS_ISA_EXT_XSAVE, 1, 2, 26 },
	{ ZYDIS_ISA_EXT_XSAVEOPT, 1, 2, 26 },	{ ZYDIS_ISA_EXT_AVX2, 7, 1, 5 },
	{ ZYDIS_ISA_EXT_AVX2GATHER, 7, 1, 5 },	{ ZYDIS_ISA_EXT_BMI1, 7, 1, 3 },
	{ ZYDIS_ISA_EXT_BMI2, 7, 1, 8 },	{ ZYDIS_ISA_EXT_ADOX_ADCX, 7, 1, 19 },
	{ ZYDIS_ISA_EXT_SHA, 7, 1, 29 },	{ ZYDIS_ISA_EXT_VAES, 7, 2, 9 },
	{ ZYDIS_ISA_EXT_VPCLMULQDQ, 7, 2, 10 }, { ZYDIS_ISA_EXT_LZCNT, 0x80000001, 2, 5 },
};

static bool isa_allowed(const struct soft_vm *vm, const struct soft_zydis *z)
{
	for (unsigned i = 0; i < ARRAY_SIZE(isa_rows); i++) {
		const struct isa_row *r = &isa_rows[i];
		const struct cpuid_leaf *l;

		if (r->ext != z->i.meta.isa_ext)
			continue;
		l = cpuid_find(&vm->cpuid, r->leaf, 0);
		if (!l)
			return false;
		return (r->reg == 1 ? l->ebx : r->reg == 2 ? l->ecx : l->edx) >> r->bit & 1;
	}
	/* POPCNT and CRC32 are "base" or SSE4 to Zydis, depending on its version. */
	return !(z->i.attributes & ZYDIS_ATTRIB_HAS_VEX) &&
	       (z->i.mnemonic == ZYDIS_MNEMONIC_POPCNT || z->i.mnemonic == ZYDIS_MNEMONIC_CRC32);
}

/* --- making a thunk ------------------------------------------------------------------------------
 */

static int gpr_number(ZydisRegister r)
{
	ZydisRegister wide = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);

	if (wide < ZYDIS_REGISTER_RAX || wide > ZYDIS_REGISTER_R15)
		return -1;
	return wide - ZYDIS_REGISTER_RAX;
}

/* Registers that operands (also implicit ones) name, without those of the address. */
static uint32_t used_gprs(const struct soft_zydis *z)
{
	uint32_t used = 0;

	for (unsigned i = 0; i < z->i.operand_count; i++) {
		const ZydisDecodedOperand *o = &z->op[i];
		int n;

		if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		n = gpr_number(o->reg.value);
		if (n >= 0)
			used |= 1u << n;
	}
	return used;
}

/* A low register, encodable without REX and as a plain [base], that is not in @used. */
static uint8_t free_low_reg(uint32_t used)
{
	static const uint8_t order[] = { CPU_RDI, CPU_RSI, CPU_RBX, CPU_RDX, CPU_RCX, CPU_RAX };

	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		if (!(used & (1u << order[i])))
			return order[i];
	return FPU_NO_REG;
}

/* Give every explicit RSP operand the alias instead; false: one cannot be changed. */
static bool replace_rsp(const struct soft_zydis *z, uint8_t alias, uint8_t *modrm, uint8_t *vex)
{
	for (unsigned i = 0; i < z->i.operand_count; i++) {
		const ZydisDecodedOperand *o = &z->op[i];

		if (o->type != ZYDIS_OPERAND_TYPE_REGISTER || gpr_number(o->reg.value) != CPU_RSP)
			continue;
		switch (o->encoding) {
		case ZYDIS_OPERAND_ENCODING_MODRM_REG:
			*modrm = (uint8_t)((*modrm & 0xc7) | alias << 3);
			break;
		case ZYDIS_OPERAND_ENCODING_MODRM_RM:
			*modrm = (uint8_t)((*modrm & 0xf8) | alias);
			break;
		case ZYDIS_OPERAND_ENCODING_NDSNDD:
			/* VEX.vvvv is inverted; alias is a low register. */
			*vex = (uint8_t)((*vex & 0x87) | (~alias & 15) << 3);
			break;
		default:
			return false;
		}
	}
	return true;
}

static bool droppable_prefix(uint8_t b)
{
	return b == 0x67 || b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e || b == 0x64 ||
	       b == 0x65;
}

static bool legacy_prefix(uint8_t b)
{
	return droppable_prefix(b) || b == 0x66 || b == 0xf2 || b == 0xf3 || b == 0xf0;
}

/*
 * Copy the prefixes that count (SDM vol. 2, 2.1.1 and 2.2.1): a REX is one only right before the
 * opcode. @start receives where the opcode or VEX begins, *@rex whether a REX was copied last.
 */
static unsigned copy_prefixes(const struct soft_zydis *z, const uint8_t *bytes, uint8_t *out,
			      unsigned *start, bool *rex)
{
	unsigned n = 0, i = 0;

	*rex = false;
	for (;; i++) {
		bool is_rex = z->mode == SOFT_MODE_64 && (bytes[i] & 0xf0) == 0x40;

		if (!is_rex && !legacy_prefix(bytes[i]))
			break;
		*rex = is_rex;
		if (!is_rex && !droppable_prefix(bytes[i]))
			out[n++] = bytes[i];
	}
	if (*rex)
		out[n++] = bytes[i - 1];
	*start = i;
	return n;
}

/* The rewritten bytes; 0: it cannot be done. Fills base and alias. */
static unsigned rewrite(const struct soft_zydis *z, const uint8_t *bytes, uint8_t *out,
			struct fpu_op *op)
{
	const ZydisDecodedInstruction *i = &z->i;
	unsigned n, modrm = i->raw.modrm.offset, start;
	uint32_t used = used_gprs(z);
	uint8_t modrm_byte, *vex;
	bool rex;

	op->base = op->alias = FPU_NO_REG;
	n = copy_prefixes(z, bytes, out, &start, &rex);
	if (!(i->attributes & ZYDIS_ATTRIB_HAS_MODRM)) {
		memcpy(out + n, bytes + start, i->length - start);
		return n + i->length - start;
	}
	memcpy(out + n, bytes + start, modrm - start);
	n += modrm - start;
	modrm_byte = bytes[modrm];
	vex = &out[n - (modrm - start) + (i->raw.vex.offset - start) + i->raw.vex.size - 1];
	if (used & 1u << CPU_RSP) {
		op->alias = free_low_reg(used);
		if (op->alias == FPU_NO_REG || !replace_rsp(z, op->alias, &modrm_byte, vex))
			return 0;
		used |= 1u << op->alias;
	}
	if (i->raw.modrm.mod != 3) {
		unsigned rex_at = n - (modrm - start) - 1;

		op->base = free_low_reg(used);
		if (op->base == FPU_NO_REG)
			return 0;
		modrm_byte = (uint8_t)((modrm_byte & 0x38) | op->base);
		if (rex)
			out[rex_at] &= 0xfc; /* X and B belong to the address */
		if ((i->attributes & ZYDIS_ATTRIB_HAS_VEX) && i->raw.vex.size == 3)
			vex[-1] |= 0x60;
		out[n++] = modrm_byte;
	} else {
		out[n++] = modrm_byte;
	}
	for (unsigned k = 0; k < 2; k++)
		if (i->raw.imm[k].size) {
			memcpy(out + n, bytes + i->raw.imm[k].offset, i->raw.imm[k].size / 8);
			n += i->raw.imm[k].size / 8;
		}
	return n;
}

uint8_t fpu_alignment(const struct soft_zydis *z, unsigned size)
{
	/* The manual says type 4 for SHA; AMD's CPUs take any address, and so do the thunks. */
	if (z->i.meta.isa_ext == ZYDIS_ISA_EXT_SHA)
		return 0;
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_LDDQU:
	case ZYDIS_MNEMONIC_PCMPESTRI:
	case ZYDIS_MNEMONIC_PCMPESTRM:
	case ZYDIS_MNEMONIC_PCMPISTRI:
	case ZYDIS_MNEMONIC_PCMPISTRM:
		return 0;
	default:
		break;
	}
	/* MMX results from 128 bits of memory: SDM vol. 3A, table 23-4. */
	if (z->i.mnemonic == ZYDIS_MNEMONIC_CVTPD2PI || z->i.mnemonic == ZYDIS_MNEMONIC_CVTTPD2PI)
		return 16;
	switch (z->i.meta.exception_class) {
	case ZYDIS_EXCEPTION_CLASS_SSE1:
	case ZYDIS_EXCEPTION_CLASS_AVX1:
		return (uint8_t)size;
	case ZYDIS_EXCEPTION_CLASS_SSE2:
	case ZYDIS_EXCEPTION_CLASS_SSE4:
		return size == 16 ? 16 : 0;
	default:
		return 0;
	}
}

/* x87 instructions that do not compute; SDM vol. 1, 8.3.11, and whether they wait. */
static void classify_x87(const struct soft_zydis *z, struct fpu_op *op)
{
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_FNINIT:
	case ZYDIS_MNEMONIC_FNCLEX:
	case ZYDIS_MNEMONIC_FNSTCW:
	case ZYDIS_MNEMONIC_FNSTSW:
	case ZYDIS_MNEMONIC_FNSTENV:
	case ZYDIS_MNEMONIC_FNSAVE:
		op->no_wait = true;
		op->control = true;
		break;
	case ZYDIS_MNEMONIC_FLDCW:
	case ZYDIS_MNEMONIC_FLDENV:
	case ZYDIS_MNEMONIC_FRSTOR:
		op->control = true;
		break;
	default:
		break;
	}
}

static struct thunk *thunk_make(struct soft_thunks *t, const struct soft_zydis *z,
				const uint8_t *bytes, const struct fpu_op *op, unsigned len)
{
	uint8_t code[THUNK_BYTES + 1];
	struct thunk *th;

	if (t->n == THUNK_MAX)
		return NULL;
	th = &t->pool[t->n];
	*th = (struct thunk) { .op = *op, .len = (uint8_t)len };
	memcpy(th->bytes, bytes, len);
	memcpy(code, bytes, len);
	code[len] = 0xc3; /* ret */
	th->op.code = xmem_add(&t->code, code, len + 1);
	if (!th->op.code)
		return NULL;
	(void)z;
	t->n++;
	if (t->n > THUNK_MAX - THUNK_KEEP || t->code.size - t->code.used < THUNK_KEEP * 32)
		atomic_store_explicit(&t->low, true, memory_order_relaxed);
	return th;
}

static unsigned hash_bytes(const uint8_t *p, unsigned len)
{
	uint32_t h = 2166136261u;

	for (unsigned i = 0; i < len; i++)
		h = (h ^ p[i]) * 16777619u;
	return h & (THUNK_HASH - 1);
}

/* FISTTP came with SSE3 but is an x87 instruction. */
static bool is_x87(const struct soft_zydis *z)
{
	return z->i.meta.isa_ext == ZYDIS_ISA_EXT_X87 ||
	       z->i.meta.category == ZYDIS_CATEGORY_X87_ALU;
}

const struct fpu_op *thunk_get(struct soft_thunks *t, const struct soft_zydis *z,
			       const uint8_t *bytes)
{
	const ZydisDecodedOperand *m = soft_operand_memory(z);
	struct fpu_op op = { .vex = z->i.attributes & ZYDIS_ATTRIB_HAS_VEX };
	uint8_t raw[THUNK_BYTES + 16] = { 0 };
	unsigned len = rewrite(z, bytes, raw, &op), h;
	struct thunk *th;

	if (!len || len > THUNK_BYTES)
		return NULL;
	if (m) {
		if (m->size / 8 > NATIVE_MEM || m->mem.type != ZYDIS_MEMOP_TYPE_MEM)
			return NULL;
		op.mem_size = m->size / 8;
		op.mem_read = m->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
		op.mem_write = m->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
		op.mem_align = fpu_alignment(z, op.mem_size);
	}
	op.mmx = !is_x87(z);
	classify_x87(z, &op);
	h = hash_bytes(raw, len);
	pthread_mutex_lock(&t->lock);
	for (th = t->hash[h]; th; th = th->next)
		if (th->len == len && !memcmp(th->bytes, raw, len) &&
		    th->op.mem_size == op.mem_size && th->op.base == op.base &&
		    th->op.alias == op.alias)
			break;
	if (!th) {
		th = thunk_make(t, z, raw, &op, len);
		if (th) {
			th->next = t->hash[h];
			t->hash[h] = th;
		} else {
			log_guest(&t->log, "soft", "no room for more native instructions");
		}
	}
	pthread_mutex_unlock(&t->lock);
	return th ? &th->op : NULL;
}

/* --- choosing a handler -------------------------------------------------------------------------
 */

static bool uses_mmx(const struct soft_zydis *z)
{
	for (unsigned i = 0; i < z->i.operand_count; i++)
		if (z->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(z->op[i].reg.value) == ZYDIS_REGCLASS_MMX)
			return true;
	return z->i.mnemonic == ZYDIS_MNEMONIC_EMMS;
}

/* Instructions that touch general registers and flags only. */
static bool is_general(const struct soft_zydis *z)
{
	switch (z->i.meta.isa_ext) {
	case ZYDIS_ISA_EXT_BMI1:
	case ZYDIS_ISA_EXT_BMI2:
	case ZYDIS_ISA_EXT_LZCNT:
	case ZYDIS_ISA_EXT_ADOX_ADCX:
		return true;
	default:
		return z->i.mnemonic == ZYDIS_MNEMONIC_POPCNT ||
		       z->i.mnemonic == ZYDIS_MNEMONIC_CRC32;
	}
}

static insn_fn pick_runner(const struct soft_zydis *z)
{
	if (is_x87(z))
		return fpu_run_x87;
	if (uses_mmx(z))
		return fpu_run_mmx;
	if (is_general(z))
		return fpu_run_gpr;
	return z->i.attributes & ZYDIS_ATTRIB_HAS_VEX ? fpu_run_avx : fpu_run_sse;
}

int soft_fpu_decode(struct soft_vm *vm, const struct soft_zydis *z, const uint8_t *bytes,
		    struct insn *in)
{
	insn_fn fn;

	if (z->i.attributes & (ZYDIS_ATTRIB_HAS_LOCK | ZYDIS_ATTRIB_HAS_EVEX))
		return -ENOTSUP;
	if (!isa_allowed(vm, z))
		return -ENOTSUP;
	if (z->i.mnemonic == ZYDIS_MNEMONIC_FWAIT) {
		in->fn = fpu_run_fwait;
		return 0;
	}
	fn = fpu_pick_state(z, in);
	if (!fn)
		fn = fpu_pick_move(z, in);
	if (fn) {
		in->fn = fn;
		return 0;
	}
	fn = pick_runner(z);
	/* In 16-bit code a GPR operand's default width differs from the thunk's. */
	if (fn == fpu_run_gpr && z->mode == SOFT_MODE_16 &&
	    !(z->i.attributes & ZYDIS_ATTRIB_HAS_VEX))
		return -ENOTSUP;
	in->aux = thunk_get(vm->thunks, z, bytes);
	if (!in->aux)
		return -ENOTSUP;
	in->fn = fn;
	return 0;
}
