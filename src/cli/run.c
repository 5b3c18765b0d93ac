/* SPDX-License-Identifier: MIT */
/*
 * holm run: options to a configuration, then holm-vmm in this process's place.
 *
 * Theory of operation: nothing of the VM is made here. The configuration goes to holm-vmm as
 * JSON in a memfd that exec keeps open; its number is the only argument. The terminal, the
 * working directory and the exit code are those of holm-vmm, which takes this process over; at a
 * terminal it takes over a child (guard.h). With --detach or --job the VM is the manager's, and
 * the options are read again for a request to it (vm_create.c).
 */
#include "base/clock.h"
#include "base/fd.h"
#include "cli/command.h"
#include "cli/guard.h"
#include "cli/vm.h"
#include "proto/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct run {
	struct vm_config config;
	bool print_config;
	bool managed;			       /* by the manager: --detach or --job */
	const struct cmd_option *manager_only; /* the first option that needs that */
};

static int read_config(struct vm_config *c, const char *path, struct err *e)
{
	MEM_AUTO uint8_t *text = NULL;
	size_t len;
	int ret = file_read(path, VM_CONFIG_MAX, &text, &len, e);

	return ret ? ret : vm_config_decode(c, (const char *)text, len, path, false, e);
}

/* A saved VM's configuration, and its files, which holm-vmm inherits. */
static int open_saved(struct vm_config *c, const char *dir, struct err *e)
{
	const struct {
		const char *name, *field;
	} files[] = { { "state", "state_fd" }, { "memory", "memory_fd" } };
	char path[VM_PATH_MAX + 16], number[16];
	int ret;

	if (strlen(dir) > VM_PATH_MAX)
		return err_set(e, -EINVAL, "the path of --restore is longer than %d bytes",
			       VM_PATH_MAX);
	snprintf(path, sizeof(path), "%s/config.json", dir);
	ret = read_config(c, path, e);
	for (size_t i = 0; !ret && i < ARRAY_SIZE(files); i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/%s", dir, files[i].name);
		fd = open(path, O_RDONLY | O_NONBLOCK);
		if (fd < 0)
			return err_set(e, -errno, "cannot open the saved %s: %s", path,
				       strerror(errno));
		snprintf(number, sizeof(number), "%d", fd);
		ret = vm_config_set(c, files[i].field, number, e);
	}
	return ret;
}

static int run_option(struct run *r, const struct cmd_option *opt, const char *value, struct err *e)
{
	if (!opt)
		return err_set(e, -EINVAL,
			       "'holm run' takes no argument '%.80s'; a kernel is named by "
			       "--kernel FILE",
			       value);
	if (opt->field)
		return vm_config_set(&r->config, opt->field, value ? value : "true", e);
	if (!strcmp(opt->name, "detach") || !strcmp(opt->name, "job"))
		r->managed = true;
	else if (!strcmp(opt->name, "config"))
		return read_config(&r->config, value, e);
	else if (!strcmp(opt->name, "restore"))
		return open_saved(&r->config, value, e);
	else if (!strcmp(opt->name, "print-config"))
		r->print_config = true;
	else if (!strcmp(opt->name, "dry-run"))
		r->config.dry_run = true;
	else if (!r->manager_only)
		r->manager_only = opt;
	return 0;
}

static int parse(struct run *r, const struct cmd *self, int argc, char **argv, struct err *e)
{
	struct opts o = { .cmd = self, .argc = argc, .argv = argv };
	const struct cmd_option *opt;
	const char *value;
	int ret;

	while ((ret = opts_next(&o, &opt, &value, e)) > 0) {
		ret = run_option(r, opt, value, e);
		if (ret)
			return ret;
	}
	return ret;
}

/* Does not return on success. */
static int exec_vmm(const struct vm_config *c, struct err *e)
{
	MEM_AUTO char *text = vm_config_encode(c, true);
	char path[VM_PATH_MAX + 1], arg[32];
	FD_AUTO fd = -1;
	int ret;

	if (!text)
		return err_set(e, -ENOMEM, "no memory for the configuration");
	ret = program_path(path, sizeof(path), "holm-vmm", e);
	if (ret)
		return ret;
	fd = memfd_create("holm-config", 0);
	if (fd < 0)
		return err_set(e, -errno, "cannot make a memfd: %s", strerror(errno));
	ret = fd_write_full(fd, text, strlen(text));
	if (ret)
		return err_set(e, ret, "cannot write the configuration: %s", strerror(-ret));
	snprintf(arg, sizeof(arg), "%d", fd);
	ret = c->dry_run ? 0 : guard_terminal("the VM", e);
	if (ret)
		return ret;
	execl(path, "holm-vmm", "--config-fd", arg, (char *)NULL);
	return err_set(e, -errno, "cannot run %s: %s", path, strerror(errno));
}

int cmd_run(const struct cmd *self, int argc, char **argv)
{
	uint64_t start = clock_monotonic_ns();
	struct run r = { 0 };
	struct err e = { 0 };
	int ret = vm_config_init(&r.config, &e);

	if (!ret)
		ret = parse(&r, self, argc, argv, &e);
	if (!ret && r.managed) {
		vm_config_free(&r.config);
		return vm_run_managed(self, argc, argv);
	}
	if (!ret && r.manager_only)
		ret = err_set(&e, -EINVAL,
			      "option '--%s' is for VMs of the manager: add --detach or --job",
			      r.manager_only->name);
	if (!ret)
		ret = vm_config_check(&r.config, &e);
	if (!ret && r.print_config) {
		MEM_AUTO char *text = vm_config_encode(&r.config, false);

		if (text)
			fputs(text, stdout);
		else
			ret = err_set(&e, -ENOMEM, "no memory for the configuration");
	} else if (!ret) {
		r.config.start_ns = start;
		ret = exec_vmm(&r.config, &e);
	}
	vm_config_free(&r.config);
	return ret ? cmd_fail(&e) : HOLM_EXIT_OK;
}
