/* SPDX-License-Identifier: MIT */
/*
 * What the loaders share, see load.h.
 */
#include "boot/load.h"

#include "base/bytes.h"
#include "spec/x86.h"

#include <errno.h>
#include <string.h>

#define MIB(n) ((unsigned long long)(((n) + 0xfffff) >> 20))

const char *boot_basename(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path ? path : "";
}

int boot_put(struct mem *m, gpa_t gpa, const void *bytes, size_t len, const char *what,
	     struct err *e)
{
	if (mem_write(m, gpa, bytes, len))
		return err_set(e, -EFBIG, "no RAM for %s at 0x%llx; give the VM more memory", what,
			       (unsigned long long)gpa);
	return 0;
}

int boot_put_cmdline(struct mem *m, gpa_t gpa, const char *text, size_t max, struct err *e)
{
	size_t len = strlen(text);

	if (len > max)
		return err_set(e, -EINVAL,
			       "the command line has %zu bytes, the kernel takes %zu; shorten it",
			       len, max);
	return boot_put(m, gpa, text, len + 1, "the command line", e);
}

int boot_no_room(const struct mem *m, const struct boot_params *p, struct err *e)
{
	return err_set(e, -EFBIG,
		       "initrd '%s' (%llu MiB) does not fit beside the kernel into %llu MiB of "
		       "RAM; give the VM more memory",
		       p->initrd_name, MIB(p->initrd_len), MIB(mem_ram_size(m)));
}

int boot_put_initrd_high(struct mem *m, const struct boot_params *p, struct boot_span kernel,
			 gpa_t limit, gpa_t *at, struct err *e)
{
	gpa_t top = MIN(limit, mem_low_ram_end(m)), where;
	int rc;

	*at = 0;
	if (!p->initrd || !p->initrd_len)
		return 0;
	if (p->initrd_len > top)
		return boot_no_room(m, p, e);
	where = align_down(top - p->initrd_len, MEM_PAGE_SIZE);
	if (where < kernel.end)
		return boot_no_room(m, p, e);
	rc = boot_put(m, where, p->initrd, p->initrd_len, "the initrd", e);
	if (!rc)
		*at = where;
	return rc;
}

/* Descriptors, flat, accessed: SDM vol. 3A, 3.4.5; a busy TSS of 0x68 bytes: 7.2.2 and 7.2.3. */
static const uint64_t gdt_32[] = { 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00008b0000000067,
				   0 };
static const uint64_t gdt_64[] = { 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00008b0000000067,
				   0 };
static_assert(sizeof(gdt_32) == sizeof(gdt_64), "one limit for both");

/** What the two entry states have in common. */
static int enter(struct mem *m, struct cpu_state *s, const uint64_t *gdt, struct err *e)
{
	const struct cpu_segment data = { .limit = 0xffffffff,
					  .selector = BOOT_DS,
					  .attr = CPU_ATTR_G | CPU_ATTR_DB | CPU_ATTR_P |
						  CPU_ATTR_S | CPU_ATTR_RW | CPU_ATTR_ACCESSED };

	for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
		s->seg[i] = data;
	s->seg[CPU_CS] =
		(struct cpu_segment) { .limit = 0xffffffff,
				       .selector = BOOT_CS,
				       .attr = CPU_ATTR_G | CPU_ATTR_DB | CPU_ATTR_P | CPU_ATTR_S |
					       CPU_ATTR_CODE | CPU_ATTR_RW | CPU_ATTR_ACCESSED };
	s->tr = (struct cpu_segment) { .limit = 0x67, .selector = BOOT_TR, .attr = 0x8b };
	s->ldtr = (struct cpu_segment) { .limit = 0xffff, .attr = 0x82 };
	s->gdtr = (struct cpu_dtable) { .base = BOOT_GDT, .limit = sizeof(gdt_32) - 1 };
	s->idtr = (struct cpu_dtable) { 0 };
	s->rflags = X86_FLAG_FIXED;
	s->cr0 = X86_CR0_PE | X86_CR0_ET;
	s->cr2 = s->cr3 = s->cr4 = s->cr8 = 0;
	s->efer = 0;
	s->mp = CPU_MP_RUNNABLE;
	return boot_put(m, BOOT_GDT, gdt, sizeof(gdt_32), "the boot GDT", e);
}

int boot_enter_32(struct mem *m, struct cpu_state *s, uint32_t entry, struct err *e)
{
	s->rip = entry;
	return enter(m, s, gdt_32, e);
}

int boot_enter_64(struct mem *m, struct cpu_state *s, uint64_t entry, struct err *e)
{
	uint64_t tables[6][512] = { 0 };
	const uint64_t link = X86_PTE_P | X86_PTE_W | X86_PTE_U;
	int rc;

	/* 4-level paging with 2 MiB pages: SDM vol. 3A, 4.5. */
	tables[0][0] = (BOOT_PML4 + 0x1000) | link;
	for (unsigned i = 0; i < 4; i++) {
		tables[1][i] = (BOOT_PML4 + 0x2000 + i * 0x1000) | link;
		for (unsigned j = 0; j < 512; j++)
			tables[2 + i][j] = ((uint64_t)(i * 512 + j) << 21) | X86_PTE_P | X86_PTE_W |
					   X86_PTE_PS;
	}
	rc = boot_put(m, BOOT_PML4, tables, sizeof(tables), "the boot page tables", e);
	if (!rc)
		rc = enter(m, s, gdt_64, e);
	if (rc)
		return rc;
	s->rip = entry;
	s->gpr[CPU_RSP] = BOOT_STACK_TOP;
	s->seg[CPU_CS].attr = (s->seg[CPU_CS].attr & (uint16_t)~CPU_ATTR_DB) | CPU_ATTR_L;
	s->cr0 |= X86_CR0_PG;
	s->cr3 = BOOT_PML4;
	s->cr4 = X86_CR4_PAE;
	s->efer = X86_EFER_LME | X86_EFER_LMA;
	return 0;
}
