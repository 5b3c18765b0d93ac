/* SPDX-License-Identifier: MIT */
/*
 * Rooms that are not built yet: weak symbols that end the process where they are called. A real
 * one takes its place without a change here; the file goes when the last has landed.
 */
#include "cpu/cpu.h"

extern const struct cpu_engine_ops cpu_kvm_engine;

static void pending_probe(struct cpu_probe *p)
{
	*p = (struct cpu_probe) { .why = "the KVM engine is not built in" };
}

__attribute__((weak)) const struct cpu_engine_ops cpu_kvm_engine = {
	.name = "kvm",
	.probe = pending_probe,
};

__asm__(".text\npending_end: ud2\n");
#define PENDING(sym) __asm__(".weak " #sym "\n.set " #sym ", pending_end\n")
PENDING(cpu_state_msr);
PENDING(cpu_state_msrs);
PENDING(cpu_state_reset);
PENDING(cpu_state_set_msr);
PENDING(cpuid_apply_policy);
PENDING(cpuid_find);
PENDING(cpuid_for_vcpu);
PENDING(cpuid_host);
PENDING(fw_cfg_add_item);
PENDING(fw_cfg_create);
PENDING(fw_cfg_dev_ops);
PENDING(ioapic_create);
PENDING(ioapic_dev_ops);
PENDING(ioapic_eoi);
PENDING(ioapic_set_irq);
PENDING(lapic_accept);
PENDING(lapic_cr8);
PENDING(lapic_has_work);
PENDING(lapic_init);
PENDING(lapic_load_regs);
PENDING(lapic_mmio_read);
PENDING(lapic_mmio_write);
PENDING(lapic_msi);
PENDING(lapic_msr_read);
PENDING(lapic_msr_write);
PENDING(lapic_pending);
PENDING(lapic_reset);
PENDING(lapic_save_regs);
PENDING(lapic_set_cr8);
PENDING(lapic_set_create);
PENDING(lapic_set_destroy);
PENDING(lapic_take_events);
PENDING(lapic_takes_extint);
PENDING(lapic_timer_check);
PENDING(pc_testdev_create);
PENDING(pc_testdev_dev_ops);
PENDING(pci_bus_assign);
PENDING(pci_bus_create);
PENDING(pci_bus_dev_ops);
PENDING(pic_ack);
PENDING(pic_create);
PENDING(pic_dev_ops);
PENDING(pic_set_irq);
PENDING(pic_setup_bios);
PENDING(pit_create);
PENDING(pit_dev_ops);
PENDING(pit_setup_bios);
PENDING(rtc_create);
PENDING(rtc_dev_ops);
PENDING(rtc_setup_bios);
PENDING(soft_fpu_decode);
PENDING(soft_fpu_load);
PENDING(soft_fpu_reset);
PENDING(soft_fpu_save);
PENDING(soft_thunks_create);
PENDING(soft_thunks_destroy);
PENDING(virtio_balloon_create);
PENDING(virtio_blk_create);
PENDING(virtio_console_create);
PENDING(virtio_dev_config);
PENDING(virtio_dev_destroy);
PENDING(virtio_net_create);
PENDING(virtio_pci_create);
PENDING(virtio_pci_dev_ops);
PENDING(virtio_rng_create);
