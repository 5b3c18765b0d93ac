/* SPDX-License-Identifier: MIT */
/*
 * Architectural state: reset values, the list of MSRs that are kept, and the snapshot form.
 *
 * Theory of operation: the plain members go through one table of named fields; arrays are
 * little-endian bytes, which on x86-64 is how they lie in memory. Segments and MSRs are packed
 * into byte strings of their own, member by member, so that no padding reaches a file.
 *
 * Limits: loading checks ranges only; whether an engine takes the combination is the engine's to
 * say (vcpu_set_state).
 */
#include "cpu/state.h"

#include "base/bytes.h"
#include "spec/x86.h"

#include <errno.h>
#include <string.h>

#define STATE_VERSION 1
#define SEG_BYTES     16
#define SEGS	      (CPU_SEG_COUNT + 2)
#define MSR_BYTES     12

/* Offsets in the XSAVE image: SDM vol. 1, tables 10-2 and 13-1. */
#define XSAVE_FCW	0
#define XSAVE_FTW	4
#define XSAVE_MXCSR	24
#define XSAVE_XSTATE_BV 512

/* Offsets in the local APIC's page: SDM vol. 3A, table 10-1. */
#define APIC_REG_VERSION 0x30
#define APIC_REG_DFR	 0xe0
#define APIC_REG_SVR	 0xf0
#define APIC_REG_LVT_TMR 0x320
#define APIC_REG_LVT_ERR 0x370
#define APIC_REG_LINT0	 0x350
#define APIC_VERSION	 0x50014u
#define APIC_LVT_MASKED	 0x10000u
#define APIC_LVT_EXTINT	 0x700u
#define APIC_BASE_RESET	 0xfee00900ull /* enabled, BSP */

static const uint32_t kept_msrs[] = {
	X86_MSR_TSC_ADJUST,
	X86_MSR_SPEC_CTRL,
	X86_MSR_SYSENTER_CS,
	X86_MSR_SYSENTER_ESP,
	X86_MSR_SYSENTER_EIP,
	X86_MSR_MCG_STATUS,
	X86_MSR_MISC_ENABLE,
	X86_MSR_PAT,
	X86_MSR_MTRR_PHYSBASE0,
	X86_MSR_MTRR_PHYSBASE0 + 1,
	X86_MSR_MTRR_PHYSBASE0 + 2,
	X86_MSR_MTRR_PHYSBASE0 + 3,
	X86_MSR_MTRR_PHYSBASE0 + 4,
	X86_MSR_MTRR_PHYSBASE0 + 5,
	X86_MSR_MTRR_PHYSBASE0 + 6,
	X86_MSR_MTRR_PHYSBASE0 + 7,
	X86_MSR_MTRR_PHYSBASE0 + 8,
	X86_MSR_MTRR_PHYSBASE0 + 9,
	X86_MSR_MTRR_PHYSBASE0 + 10,
	X86_MSR_MTRR_PHYSBASE0 + 11,
	X86_MSR_MTRR_PHYSBASE0 + 12,
	X86_MSR_MTRR_PHYSBASE0 + 13,
	X86_MSR_MTRR_PHYSBASE0 + 14,
	X86_MSR_MTRR_PHYSBASE0 + 15,
	X86_MSR_MTRR_FIX64K,
	X86_MSR_MTRR_FIX16K_80000,
	X86_MSR_MTRR_FIX16K_A0000,
	X86_MSR_MTRR_FIX4K_C0000,
	X86_MSR_MTRR_FIX4K_C0000 + 1,
	X86_MSR_MTRR_FIX4K_C0000 + 2,
	X86_MSR_MTRR_FIX4K_C0000 + 3,
	X86_MSR_MTRR_FIX4K_C0000 + 4,
	X86_MSR_MTRR_FIX4K_C0000 + 5,
	X86_MSR_MTRR_FIX4K_C0000 + 6,
	X86_MSR_MTRR_FIX4K_C0000 + 7,
	X86_MSR_MTRR_DEF_TYPE,
	X86_MSR_XSS,
	X86_MSR_STAR,
	X86_MSR_LSTAR,
	X86_MSR_CSTAR,
	X86_MSR_SFMASK,
	X86_MSR_KERNEL_GS_BASE,
	X86_MSR_TSC_AUX,
	/* After TSC_ADJUST, because writing that moves the TSC; the deadline is in TSC units. */
	X86_MSR_TSC,
	/* Pairs of a TSC and a time. */
	X86_MSR_KVM_WALL_CLOCK_NEW,
	X86_MSR_KVM_SYSTEM_TIME_NEW,
	X86_MSR_KVM_PV_EOI_EN,
	X86_MSR_TSC_DEADLINE,
};
static_assert(ARRAY_SIZE(kept_msrs) <= CPU_MSRS_MAX, "msrs");

#define FIELD(kind, member) SNAP_FIELD(struct cpu_state, kind, member)
static const struct snap_field state_fields[] = {
	FIELD(SNAP_BYTES, gpr),
	FIELD(SNAP_U64, rip),
	FIELD(SNAP_U64, rflags),
	FIELD(SNAP_U64, cr0),
	FIELD(SNAP_U64, cr2),
	FIELD(SNAP_U64, cr3),
	FIELD(SNAP_U64, cr4),
	FIELD(SNAP_U64, cr8),
	FIELD(SNAP_U64, efer),
	FIELD(SNAP_BYTES, dr),
	FIELD(SNAP_U64, dr6),
	FIELD(SNAP_U64, dr7),
	FIELD(SNAP_U64, xcr0),
	FIELD(SNAP_BYTES, xsave),
	FIELD(SNAP_BYTES, lapic),
	FIELD(SNAP_U64, apic_base),
	FIELD(SNAP_BOOL, int_shadow),
	FIELD(SNAP_BOOL, nmi_pending),
	FIELD(SNAP_BOOL, nmi_masked),
	FIELD(SNAP_BOOL, exception_pending),
	FIELD(SNAP_U8, exception_vector),
	FIELD(SNAP_BOOL, exception_has_code),
	FIELD(SNAP_U32, exception_code),
};

static void seg_reset(struct cpu_segment *s, uint16_t sel, uint64_t base, uint16_t attr)
{
	*s = (struct cpu_segment) { .base = base, .limit = 0xffff, .selector = sel, .attr = attr };
}

/* What power-on sets and INIT leaves alone. */
static void reset_power_on(struct cpu_state *s)
{
	memset(s, 0, sizeof(*s));
	s->cr0 = X86_CR0_CD | X86_CR0_NW;
	s->xcr0 = X86_XCR0_X87;
	put_le16(s->xsave + XSAVE_FCW, 0x40);
	s->xsave[XSAVE_FTW] = 0xff; /* all tags "zero": none is empty */
	put_le32(s->xsave + XSAVE_MXCSR, 0x1f80);
	put_le64(s->xsave + XSAVE_XSTATE_BV, X86_XCR0_X87 | X86_XCR0_SSE);
	s->apic_base = APIC_BASE_RESET;
	put_le32(s->lapic + APIC_REG_VERSION, APIC_VERSION);
	put_le32(s->lapic + APIC_REG_DFR, UINT32_MAX);
	put_le32(s->lapic + APIC_REG_SVR, 0xff);
	for (unsigned r = APIC_REG_LVT_TMR; r <= APIC_REG_LVT_ERR; r += 16)
		put_le32(s->lapic + r, APIC_LVT_MASKED);
	/* Virtual wire, as every firmware leaves it: MP spec 1.4, 3.6.2.1. */
	put_le32(s->lapic + APIC_REG_LINT0, APIC_LVT_EXTINT);
	cpu_state_set_msr(s, X86_MSR_PAT, 0x0007040600070406ull);
	cpu_state_set_msr(s, X86_MSR_MISC_ENABLE, 1);
}

void cpu_state_reset(struct cpu_state *s, bool init)
{
	const uint16_t data = CPU_ATTR_P | CPU_ATTR_S | CPU_ATTR_RW | CPU_ATTR_ACCESSED;

	if (!init)
		reset_power_on(s);
	memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[CPU_RDX] = 0x600; /* family 6; the rest of the signature is 0 */
	s->rip = 0xfff0;
	s->rflags = X86_FLAG_FIXED;
	for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
		seg_reset(&s->seg[i], 0, 0, data);
	seg_reset(&s->seg[CPU_CS], 0xf000, 0xffff0000u, data | CPU_ATTR_CODE);
	seg_reset(&s->ldtr, 0, 0, CPU_ATTR_P | X86_DESC_LDT);
	seg_reset(&s->tr, 0, 0, CPU_ATTR_P | X86_DESC_TSS_BUSY);
	s->gdtr = s->idtr = (struct cpu_dtable) { .base = 0, .limit = 0xffff };
	s->cr0 = (s->cr0 & (X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET;
	s->cr2 = s->cr3 = s->cr4 = s->cr8 = 0;
	s->efer = 0;
	memset(s->dr, 0, sizeof(s->dr));
	s->dr6 = 0xffff0ff0u;
	s->dr7 = 0x400;
	s->int_shadow = s->nmi_pending = s->nmi_masked = false;
	s->exception_pending = s->exception_has_code = false;
	s->exception_vector = 0;
	s->exception_code = 0;
}

const uint32_t *cpu_state_msrs(unsigned *n)
{
	*n = ARRAY_SIZE(kept_msrs);
	return kept_msrs;
}

uint64_t cpu_state_msr(const struct cpu_state *s, uint32_t index, uint64_t absent)
{
	for (unsigned i = 0; i < s->n_msrs; i++)
		if (s->msrs[i].index == index)
			return s->msrs[i].value;
	return absent;
}

void cpu_state_set_msr(struct cpu_state *s, uint32_t index, uint64_t value)
{
	unsigned i;

	for (i = 0; i < s->n_msrs; i++)
		if (s->msrs[i].index == index)
			break;
	BUG_ON(i >= CPU_MSRS_MAX);
	s->msrs[i] = (struct cpu_msr) { .index = index, .value = value };
	if (i == s->n_msrs)
		s->n_msrs++;
}

/* Segment @i of the eight in file order: the six, LDTR, TR. */
static struct cpu_segment *seg_at(struct cpu_state *s, unsigned i)
{
	if (i < CPU_SEG_COUNT)
		return &s->seg[i];
	return i == CPU_SEG_COUNT ? &s->ldtr : &s->tr;
}

void cpu_state_save(const struct cpu_state *s, struct snap_writer *w)
{
	uint8_t segs[SEGS * SEG_BYTES], msrs[CPU_MSRS_MAX * MSR_BYTES];
	struct cpu_state *m = (struct cpu_state *)s; /* seg_at() only reads here */

	snap_begin(w, "cpu", STATE_VERSION);
	snap_save_fields(w, s, state_fields, ARRAY_SIZE(state_fields));
	for (unsigned i = 0; i < SEGS; i++) {
		const struct cpu_segment *g = seg_at(m, i);
		uint8_t *p = segs + i * SEG_BYTES;

		put_le64(p, g->base);
		put_le32(p + 8, g->limit);
		put_le16(p + 12, g->selector);
		put_le16(p + 14, g->attr);
	}
	snap_put_bytes(w, "segments", segs, sizeof(segs));
	snap_put_u64(w, "gdtr_base", s->gdtr.base);
	snap_put_u64(w, "gdtr_limit", s->gdtr.limit);
	snap_put_u64(w, "idtr_base", s->idtr.base);
	snap_put_u64(w, "idtr_limit", s->idtr.limit);
	snap_put_u64(w, "mp", s->mp);
	for (unsigned i = 0; i < s->n_msrs; i++) {
		put_le32(msrs + i * MSR_BYTES, s->msrs[i].index);
		put_le64(msrs + i * MSR_BYTES + 4, s->msrs[i].value);
	}
	snap_put_bytes(w, "msrs", msrs, (size_t)s->n_msrs * MSR_BYTES);
	snap_end(w);
}

static int load_dtable(const struct snap_reader *r, const char *base, const char *limit,
		       struct cpu_dtable *d, struct err *e)
{
	uint64_t b, l = 0;
	int rc = snap_get_u64(r, base, &b, e);

	if (!rc)
		rc = snap_get_u64(r, limit, &l, e);
	if (rc)
		return rc;
	if (l > UINT16_MAX)
		return err_set(e, -EBADMSG, "the snapshot's %s is out of range", limit);
	*d = (struct cpu_dtable) { .base = b, .limit = (uint16_t)l };
	return 0;
}

static int load_msrs(const struct snap_reader *r, struct cpu_state *s, struct err *e)
{
	const uint8_t *p;
	size_t len;
	int rc = snap_find_bytes(r, "msrs", &p, &len, e);

	if (rc)
		return rc;
	if (len % MSR_BYTES || len / MSR_BYTES > CPU_MSRS_MAX)
		return err_set(e, -EBADMSG, "the snapshot's list of MSRs has a wrong length");
	s->n_msrs = 0;
	for (size_t i = 0; i < len; i += MSR_BYTES) {
		uint32_t index = get_le32(p + i);
		bool known = false;

		for (size_t k = 0; k < ARRAY_SIZE(kept_msrs); k++)
			known = known || kept_msrs[k] == index;
		if (!known)
			return err_set(e, -EBADMSG, "the snapshot has MSR %#x, which is not kept",
				       index);
		cpu_state_set_msr(s, index, get_le64(p + i + 4));
	}
	return 0;
}

static int load_into(struct cpu_state *s, const struct snap_reader *r, struct err *e)
{
	uint8_t segs[SEGS * SEG_BYTES];
	uint64_t mp = 0;
	int rc = snap_load_fields(r, s, state_fields, ARRAY_SIZE(state_fields), e);

	if (!rc)
		rc = snap_get_bytes(r, "segments", segs, sizeof(segs), e);
	if (!rc)
		rc = load_dtable(r, "gdtr_base", "gdtr_limit", &s->gdtr, e);
	if (!rc)
		rc = load_dtable(r, "idtr_base", "idtr_limit", &s->idtr, e);
	if (!rc)
		rc = snap_get_u64(r, "mp", &mp, e);
	if (!rc)
		rc = load_msrs(r, s, e);
	if (rc)
		return rc;
	if (mp >= CPU_MP_COUNT)
		return err_set(e, -EBADMSG, "the snapshot's CPU is in an unknown state");
	s->mp = (enum cpu_mp_state)mp;
	for (unsigned i = 0; i < SEGS; i++) {
		const uint8_t *p = segs + i * SEG_BYTES;

		*seg_at(s, i) = (struct cpu_segment) { .base = get_le64(p),
						       .limit = get_le32(p + 8),
						       .selector = get_le16(p + 12),
						       .attr = get_le16(p + 14) };
	}
	if (s->cr8 > 15 || s->exception_vector > 31)
		return err_set(e, -EBADMSG, "a field of the snapshot's CPU is out of range");
	return 0;
}

int cpu_state_load(struct cpu_state *s, const struct snap_reader *r, struct err *e)
{
	struct cpu_state tmp = { 0 };
	struct snap_reader sub;
	uint32_t version;
	int rc = snap_enter(r, "cpu", STATE_VERSION, &sub, &version, e);

	if (!rc)
		rc = load_into(&tmp, &sub, e);
	if (!rc)
		*s = tmp;
	return rc;
}
