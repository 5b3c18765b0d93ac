/* SPDX-License-Identifier: MIT */
/*
 * The inside of a machine; only for src/machine/.
 */
#ifndef HOLM_MACHINE_PARTS_H
#define HOLM_MACHINE_PARTS_H

#include "blk/blk.h"
#include "blk/limit.h"
#include "boot/boot.h"
#include "bus/bus.h"
#include "chipset/chipset.h"
#include "chr/chr.h"
#include "cpu/cpu.h"
#include "dev/dev.h"
#include "machine/board.h"
#include "machine/gclock.h"
#include "machine/machine.h"
#include "machine/vcpus.h"
#include "mem/mem.h"
#include "net/net.h"
#include "pci/pci.h"

#include <stdatomic.h>

#define MACHINE_DEVS_MAX 64

struct virtio_dev;

/** A file that is loaded at each reset; its descriptor stays open for that. */
struct boot_file {
	int fd;	     /* -1: none */
	size_t size; /* when it was opened */
	const char *name;
};

struct machine {
	const struct vm_config *config;
	const struct cpu_engine_ops *engine;
	char engine_why[512]; /* which engine and why, for the log */
	struct machine_hooks hooks;
	struct gclock clock; /* the loop's and every device's */
	struct loop *loop;
	struct mem *mem;
	struct bus *ports, *mmio;
	struct cpuid_table cpuid;
	struct cpu_io_ops io;
	struct cpu_vm *vm;
	struct vcpus vcpus;
	struct dev_env env;
	/* In the order they were made, which is the order of reset; destroyed in reverse. */
	struct dev devs[MACHINE_DEVS_MAX];
	unsigned n_devs;
	/* Into devs' objects. */
	struct pic *pic;
	struct pit *pit;
	struct rtc *rtc;
	struct ioapic *ioapic;
	struct acpi_pm *acpi_pm;
	struct fw_cfg *fw_cfg;
	struct pci_bus *pci;
	struct chr *serial;
	struct blk *blks[VM_DISKS_MAX];
	struct blk_limit io_limit; /* of all disks together */
	uint64_t io_per_sec;	   /* what it is; 0: none */
	struct net *net;
	struct virtio_dev *balloon;
	struct boot_file kernel, initrd;
	uint8_t genid[16]; /* of the VM generation id */
	/* Of a machine that is made from saved state, until it is made. */
	uint8_t *saved;
	struct snap_reader saved_reader;
	bool restored;			    /* it was made from that: its guest's time has begun */
	struct blk_req flush[VM_DISKS_MAX]; /* of a save */
	/* Set once under the machine lock, read anywhere. */
	atomic_int end; /* enum machine_end */
	uint32_t end_code;
	struct loop_call wake; /* makes the loop's thread look at `end` and `unsettled` */
	uint64_t resets;
	/* Under the machine lock. */
	bool pause_wanted;
	bool stands;	       /* quiet and its clock stopped */
	int save_fd[2];	       /* machine_save()'s state and memory; -1: not asked */
	bool reset_asked;      /* from outside: a reset whatever on_reboot says */
	atomic_bool unsettled; /* a pause or resume was asked for and is not done */
	unsigned n_forwards;
};

/** machine_add_dev() - enter a device into the list; it is destroyed with the machine. */
int machine_add_dev(struct machine *m, const struct dev_ops *ops, void *impl, const char *name,
		    struct err *e) MUST_CHECK;

/** machine_add_virtio() - put @d (owned always) on the PCI bus and into the list. */
int machine_add_virtio(struct machine *m, struct virtio_dev *d, struct err *e) MUST_CHECK;

/** engine_choose() - set m->engine and m->engine_why by the configuration. */
int engine_choose(struct machine *m, struct err *e) MUST_CHECK;

/** wiring_init() - the calls out of the engine and the environment of devices. */
void wiring_init(struct machine *m);
/** wiring_gsi() - the wire of global system interrupt @n. */
struct irq_line wiring_gsi(struct machine *m, unsigned n);
/** wiring_intr() - the PIC's output to vCPU 0. */
struct irq_line wiring_intr(struct machine *m);
/** wiring_routes() - ioapic_config.routes_changed with ctx the machine. */
void wiring_routes(void *ctx, const uint64_t *redir, unsigned n);

/** chipset_build(), virtio_build() - all devices of the board. Machine lock held. */
int chipset_build(struct machine *m, struct err *e) MUST_CHECK;
int virtio_build(struct machine *m, struct err *e) MUST_CHECK;
/** extras_build() - the devices of --device and those that are there by default. */
int extras_build(struct machine *m, struct err *e) MUST_CHECK;
/** chr_build() - open a back end as configured. @what: "serial", for messages. */
int chr_build(struct machine *m, const struct vm_chr *c, const char *what, struct chr **out,
	      struct err *e) MUST_CHECK;

/** bootup_open() - open kernel and initrd. */
int bootup_open(struct machine *m, struct err *e) MUST_CHECK;
/** bootup_load() - tables and kernel into clean RAM, then the state of every vCPU. */
int bootup_load(struct machine *m, struct err *e) MUST_CHECK;

#endif
