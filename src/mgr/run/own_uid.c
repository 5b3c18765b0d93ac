/* SPDX-License-Identifier: MIT */
/*
 * User ids of VMs' processes, see own_uid.h.
 */
#include "mgr/run/own_uid.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGITS	     7
#define PORT_MAX_OWN 1024

uid_t own_uid_of(const char *id)
{
	char digits[DIGITS + 1];

	snprintf(digits, sizeof(digits), "%s", id);
	return OWN_UID_FIRST | (uid_t)strtoul(digits, NULL, 16);
}

/* user_namespaces(7): lines of first id inside, first outside, how many. */
static bool is_mapped(const char *path)
{
	unsigned long inside, outside, n;
	FILE *f = fopen(path, "re");
	bool all = false;

	while (f && fscanf(f, "%lu %lu %lu", &inside, &outside, &n) == 3)
		all = all || (inside <= OWN_UID_FIRST && n > OWN_UID_LAST - inside);
	if (f)
		fclose(f);
	return all;
}

/* What making such a process takes, and looking after it: capabilities(7). */
#define NEEDED                                                                                     \
	(1ull << 5 | 1ull << 6 | 1ull << 7 | 1ull << 19) /* KILL SETGID SETUID SYS_PTRACE          \
							  */

static bool has_capabilities(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long caps = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	if (f)
		fclose(f);
	return (caps & NEEDED) == NEEDED;
}

/* Whether a stranger may open /dev/kvm, with its group; so where there is none. */
static bool kvm_in_reach(void)
{
	struct stat st;

	if (stat("/dev/kvm", &st))
		return true;
	return (st.st_mode & 0006) == 0006 || (st.st_gid && (st.st_mode & 0060) == 0060);
}

bool own_uid_can(void)
{
	return !geteuid() && has_capabilities() && is_mapped("/proc/self/uid_map") &&
	       is_mapped("/proc/self/gid_map");
}

bool own_uid_fits(const struct vm_config *c)
{
	for (unsigned i = 0; i < c->n_forwards; i++)
		if (c->forwards[i].host_port < PORT_MAX_OWN)
			return false;
	if (strcmp(c->engine, "soft") != 0 && !kvm_in_reach())
		return false;
	return c->net != VM_NET_TAP;
}

int own_uid_become(uid_t uid)
{
	struct stat kvm;
	bool has_group = !stat("/dev/kvm", &kvm) && kvm.st_gid && (kvm.st_mode & 0060) == 0060;

	if (setgroups(has_group, has_group ? &kvm.st_gid : NULL) || setresgid(uid, uid, uid) ||
	    setresuid(uid, uid, uid))
		return -errno;
	return 0;
}
