/* SPDX-License-Identifier: MIT */
/*
 * A user id of its own for each VM's process.
 *
 * Theory of operation: a manager that is root opens what a VM needs and hands the descriptors
 * down, so the process needs no rights of its own. It gets a user id that nobody else has, made
 * of the VM's id, from the range that no system hands out (1879048192 and up; systemd, "Users,
 * Groups, UIDs and GIDs on systemd systems"). What breaks out of the guest and of the process's
 * filters is then a stranger on the host: it can neither signal nor trace others' processes.
 * Of groups it has only that of /dev/kvm.
 *
 * Limits: two VMs share an id where the first 7 digits of theirs agree, one of 2^28. A VM whose
 * configuration asks the process itself for rights on the host, which only an admin may do, stays
 * with the manager's.
 */
#ifndef HOLM_MGR_RUN_OWN_UID_H
#define HOLM_MGR_RUN_OWN_UID_H

#include "base/compiler.h"
#include "proto/config.h"

#include <stdbool.h>
#include <sys/types.h>

#define OWN_UID_FIRST 0x70000000u
#define OWN_UID_LAST  0x7fffffffu

/** own_uid_of() - the user id of VM @id, 16 hexadecimal digits. */
uid_t own_uid_of(const char *id);

/** own_uid_can() - whether this process may give user ids of that range. */
bool own_uid_can(void);

/**
 * own_uid_fits() - whether @c's process can do without rights on the host: it opens no interface
 * by its name and no port below 1024, and /dev/kvm's group may open that, or it asks for the
 * software engine. (Files it makes none where it is managed.)
 */
bool own_uid_fits(const struct vm_config *c);

/** own_uid_become() - user and group @uid from now on, for good; -errno. Async-signal-safe. */
int own_uid_become(uid_t uid) MUST_CHECK;

#endif
