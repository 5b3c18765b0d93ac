/* SPDX-License-Identifier: MIT */
/*
 * Whether the host has booted since a manager last found its VMs again.
 *
 * Theory of operation: a file in the runtime directory holds the kernel's boot id, see random(4).
 * Where it is not there, or holds another, this is the first manager since the boot.
 */
#ifndef HOLM_MGR_BOOT_H
#define HOLM_MGR_BOOT_H

#include <stdbool.h>

/** boot_is_first() - no manager of @run_dir has called boot_note() since the host's boot. */
bool boot_is_first(const char *run_dir);
/** boot_note() - what is to be done once a boot is done. Where it fails, it is done again. */
void boot_note(const char *run_dir);

#endif
