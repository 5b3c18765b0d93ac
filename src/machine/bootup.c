/* SPDX-License-Identifier: MIT */
/*
 * From clean RAM to the first instruction: ACPI tables, memory map, kernel, initrd, and the
 * state of every vCPU. Done at the start and again at each reset.
 *
 * The files stay open, because after set-up the process can open nothing any more. They are
 * mapped only while they are loaded, so that they do not count as the VMM's own memory.
 *
 * Limits: a file that is cut short by someone else in the very moment of loading ends the
 * process by SIGBUS, as with any mapped file.
 */
#include "base/bytes.h"
#include "base/hostfile.h"
#include "base/log.h"
#include "boot/acpi.h"
#include "machine/parts.h"
#include "machine/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* @given: its descriptor where it was handed down, which is ours then; -1: by its path. */
static int file_open(struct boot_file *f, const char *what, const char *path, int given,
		     struct err *e)
{
	struct stat st;
	int fd = given;
	int ret = given >= 0 ? 0 : hostfile_boot(what, path, &fd, e);

	if (ret)
		return ret;
	if (fstat(fd, &st) < 0)
		ret = err_set(e, -errno, "cannot look at the %s %s: %s", what, path,
			      strerror(errno));
	else if (!S_ISREG(st.st_mode))
		ret = err_set(e, -EISDIR, "the %s %s is not a regular file", what, path);
	else if (!st.st_size)
		ret = err_set(e, -ENOEXEC, "the %s %s is empty", what, path);
	else
		ret = 0;
	if (ret) {
		close(fd);
		return ret;
	}
	*f = (struct boot_file) { .fd = fd, .size = (size_t)st.st_size, .name = path };
	return 0;
}

int bootup_open(struct machine *m, struct err *e)
{
	const struct vm_config *c = m->config;
	int ret = file_open(&m->kernel, "kernel", c->kernel, c->kernel_fd, e);

	if (!ret && c->initrd)
		ret = file_open(&m->initrd, "initrd", c->initrd, c->initrd_fd, e);
	if (!ret && m->initrd.fd >= 0 && m->initrd.size > m->config->memory) {
		char file[32], ram[32];

		ret = err_set(e, -EFBIG,
			      "the initrd %s (%s) is larger than the guest's memory (%s): give "
			      "more with --memory",
			      m->initrd.name, vm_size_format(file, sizeof(file), m->initrd.size),
			      vm_size_format(ram, sizeof(ram), m->config->memory));
	}
	/* Virtual Machine Generation ID, revision 1.0: 16 random bytes, new at each start. */
	if (!ret && getrandom(m->genid, sizeof(m->genid), 0) != sizeof(m->genid))
		ret = err_set(e, -EIO, "cannot get random bytes for the generation id");
	return ret;
}

/* seccomp: loop: mmap munmap fstat newfstatat */
static int file_map(const struct boot_file *f, const uint8_t **out, struct err *e)
{
	struct stat st;
	void *p;

	if (fstat(f->fd, &st) < 0 || (size_t)st.st_size < f->size)
		return err_set(e, -EIO, "%s has become shorter", f->name);
	p = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, f->fd, 0);
	if (p == MAP_FAILED)
		return err_set(e, -errno, "cannot map %s: %s", f->name, strerror(errno));
	*out = p;
	return 0;
}

static int load_tables(struct machine *m, struct boot_params *p, struct err *e)
{
	struct acpi_config cfg = {
		.vcpus = m->config->cpus,
		.ecam = BOARD_ECAM,
		.ioapic = BOARD_IOAPIC,
		.pm_base = BOARD_PORT_PM,
		.sci_irq = BOARD_IRQ_SCI,
		.mmio32 = BOARD_PCI_MMIO32,
		.mmio32_size = BOARD_PCI_MMIO32_SIZE,
		.mmio64 = board_mmio64(mem_high_ram_end(m->mem)),
		.mmio64_size = BOARD_PCI_MMIO64_SIZE,
		.vmgenid = BOARD_VMGENID,
		.serial = { m->serial != NULL },
	};
	struct acpi_image img = { 0 };
	int ret = acpi_build(&img, &cfg, BOARD_ACPI_TABLES, e);

	if (ret)
		return ret;
	if (img.len > BOARD_VMGENID - BOARD_ACPI_TABLES)
		ret = err_set(e, -ENOSPC, "the ACPI tables do not fit");
	else
		ret = mem_write(m->mem, BOARD_ACPI_TABLES, img.bytes, img.len);
	if (!ret)
		ret = mem_write(m->mem, BOARD_VMGENID, m->genid, sizeof(m->genid));
	p->rsdp = img.rsdp;
	free(img.bytes);
	return ret;
}

/* The devices as a BIOS leaves them, since none runs. */
static int bios_setup(struct machine *m, struct err *e)
{
	uint64_t high = mem_high_ram_end(m->mem) - (1ull << 32);

	pic_setup_bios(m->pic);
	pit_setup_bios(m->pit);
	rtc_setup_bios(m->rtc, mem_low_ram_end(m->mem), high);
	return pci_bus_assign(m->pci, BOARD_PCI_MMIO32, BOARD_PCI_MMIO32_SIZE,
			      board_mmio64(mem_high_ram_end(m->mem)), BOARD_PCI_MMIO64_SIZE,
			      BOARD_PORT_PCI_IO, BOARD_PORT_PCI_IO_SIZE, e);
}

static int load_files(struct machine *m, struct boot_params *p, struct cpu_state *s, struct err *e)
{
	int ret = file_map(&m->kernel, &p->kernel, e);

	if (ret)
		return ret;
	if (m->initrd.fd >= 0) {
		ret = file_map(&m->initrd, &p->initrd, e);
		if (ret)
			goto out_kernel;
		p->initrd_len = m->initrd.size;
		p->initrd_name = m->initrd.name;
	}
	ret = boot_load(registry_loaders, m->mem, p, s, e);
	if (p->initrd)
		munmap((void *)(uintptr_t)p->initrd, m->initrd.size);
out_kernel:
	munmap((void *)(uintptr_t)p->kernel, m->kernel.size);
	return ret;
}

static int set_states(struct machine *m, const struct cpu_state *first, struct err *e)
{
	struct cpu_state *ap = calloc(1, sizeof(*ap));
	int ret = m->engine->vcpu_set_state(m->vcpus.cpu[0].cpu, first, e);

	if (!ap)
		ret = err_set(e, -ENOMEM, "no memory for the vCPUs' state");
	for (unsigned i = 1; !ret && i < m->vcpus.n; i++) {
		cpu_state_reset(ap, false);
		ap->mp = CPU_MP_WAIT_SIPI;
		/* Not the bootstrap processor: SDM vol. 3A, 10.4.4, IA32_APIC_BASE bit 8. */
		ap->apic_base &= ~0x100ull;
		/* Its own id in the xAPIC's place: 10.4.6, register 20h. */
		put_le32(ap->lapic + 0x20, i << 24);
		ret = m->engine->vcpu_set_state(m->vcpus.cpu[i].cpu, ap, e);
	}
	free(ap);
	return ret;
}

int bootup_load(struct machine *m, struct err *e)
{
	struct boot_params p = {
		.kernel_len = m->kernel.size,
		.kernel_name = m->kernel.name,
		.cmdline = m->config->append,
	};
	struct cpu_state *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return err_set(e, -ENOMEM, "no memory for the first vCPU's state");
	ret = load_tables(m, &p, e);
	if (!ret)
		ret = bios_setup(m, e);
	if (!ret) {
		boot_e820_make(&p, m->mem, BOARD_ECAM, BOARD_ECAM_SIZE);
		cpu_state_reset(s, false);
		ret = load_files(m, &p, s, e);
	}
	if (!ret)
		ret = set_states(m, s, e);
	free(s);
	return ret;
}
