/* SPDX-License-Identifier: MIT */
/*
 * holm-vmm: one VM, one process. Started by holm, not by people.
 *
 *   holm-vmm --config-fd N   run the VM whose configuration is in descriptor N
 *   holm-vmm --probe         print what each engine's probe finds, as JSON
 */
#include "base/fd.h"
#include "machine/machine.h"
#include "vmm/sandbox.h"
#include "vmm/vmm.h"

#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(const struct err *e)
{
	fprintf(stderr, "holm: %s\n", e->msg);
	return (int)err_exit_code(e->code);
}

static int read_config(struct vm_config *c, int fd, struct err *e)
{
	MEM_AUTO char *text = malloc(VM_CONFIG_MAX + 1);
	ssize_t n;
	int ret;

	if (!text)
		return err_set(e, -ENOMEM, "no memory for the configuration");
	n = fd_pread_full(fd, text, VM_CONFIG_MAX + 1, 0);
	if (n < 0)
		return err_set(e, (int)n, "cannot read the configuration: %s", strerror((int)-n));
	ret = vm_config_decode(c, text, (size_t)n, "configuration", true, e);
	return ret ? ret : vm_config_check(c, e);
}

static int run(const char *number)
{
	struct vm_config c;
	struct err e = { 0 };
	int keep[VM_CONFIG_FDS];
	char *end;
	long fd = strtol(number, &end, 10);
	int ret, code;

	if (*end || end == number || fd < 0 || fd > 1 << 20) {
		err_set(&e, -EINVAL, "'%s' is not a descriptor", number);
		return fail(&e);
	}
	ret = vm_config_init(&c, &e);
	if (ret)
		return fail(&e);
	ret = read_config(&c, (int)fd, &e);
	code = sandbox_close_stray(keep, vm_config_fds(&c, keep), ret ? NULL : &e);
	ret = ret ? ret : code;
	code = ret ? vmm_fail(&c, &e) : vmm_run(&c);
	vm_config_free(&c);
	return code;
}

static int probe(void)
{
	json_t *all = machine_probe();
	int bad = !all || json_dumpf(all, stdout, JSON_INDENT(2)) < 0 || puts("") < 0;

	json_decref(all);
	return bad ? HOLM_EXIT_INTERNAL : HOLM_EXIT_OK;
}

int main(int argc, char **argv)
{
	/*
	 * One heap for all threads: they allocate little, every further one costs memory, and to
	 * choose among several the C library opens a file, which the sandbox forbids.
	 */
	mallopt(M_ARENA_MAX, 1);
	if (argc == 2 && !strcmp(argv[1], "--version")) {
		puts("holm-vmm " HOLM_VERSION);
		return HOLM_EXIT_OK;
	}
	if (argc == 2 && !strcmp(argv[1], "--probe"))
		return probe();
	if (argc == 3 && !strcmp(argv[1], "--config-fd"))
		return run(argv[2]);
	fprintf(stderr, "holm: usage: holm-vmm --config-fd N | --probe; use 'holm run'\n");
	return HOLM_EXIT_USAGE;
}
