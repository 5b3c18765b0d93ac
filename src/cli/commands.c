/* SPDX-License-Identifier: MIT */
/*
 * The list of the tables of commands, and the exit codes, see command.h.
 */
#include "base/fd.h"
#include "cli/command.h"
#include "cli/text.h"

#include <string.h>

<<<<<<< HEAD
/* Their order is that of the help and the manual. */
static const struct cmd_table *const tables[] = {
	&cmd_table_run,	 &cmd_table_vm,	    &cmd_table_life,   &cmd_table_watch,
	&cmd_table_net,	 &cmd_table_volume, &cmd_table_pool,   &cmd_table_project,
	&cmd_table_user, &cmd_table_sched,  &cmd_table_system,
=======
static const struct cmd_option run_options[] = {
	{ .name = "kernel",
	  .arg = "FILE",
	  .help = "Kernel to boot: a bzImage, a vmlinux with a PVH entry, or a multiboot ELF",
	  .field = "kernel",
	  .values = "@file" },
	{ .name = "initrd",
	  .arg = "FILE",
	  .help = "Initial RAM disk",
	  .field = "initrd",
	  .values = "@file" },
	{ .name = "append",
	  .arg = "STRING",
	  .help = "Command line of the kernel",
	  .field = "append" },
	{ .name = "disk",
	  .arg = "FILE[,readonly][,serial=S]",
	  .help = "A raw image or block device as a virtio disk",
	  .field = "disks",
	  .values = "@file",
	  .repeat = true },
	{ .name = "net",
	  .arg = "user|tap:NAME|none",
	  .help = "Network: user mode (NAT, needs no rights), a tap interface, or none",
	  .field = "net",
	  .values = "user tap: none" },
	{ .name = "mac",
	  .arg = "ADDR",
	  .help = "The network card's address, like 52:54:00:12:34:56; made from the name by "
		  "default",
	  .field = "mac" },
	{ .name = "publish",
	  .letter = 'p',
	  .arg = "[ADDR:]HOST:GUEST[/udp]",
	  .help = "Forward a host port to a port of the guest; ADDR is 127.0.0.1 by default",
	  .field = "forwards",
	  .repeat = true },
	{ .name = "cpus", .arg = "N", .help = "Number of vCPUs; 1 by default", .field = "cpus" },
	{ .name = "memory",
	  .letter = 'm',
	  .arg = "SIZE",
	  .help = "RAM, like 512M or 4G; 512M by default",
	  .field = "memory" },
	{ .name = "engine",
	  .arg = "auto|kvm|soft[,OPTIONS]",
	  .help = "What runs the guest's instructions; auto takes KVM where it has hardware "
		  "behind it, else the software engine, and says which",
	  .field = "engine",
	  .values = "auto kvm soft" },
	{ .name = "device",
	  .arg = "TYPE[,KEY=VALUE]",
	  .help = "A further device: isa-debug-exit,iobase=0xf4, pc-testdev, pvpanic, virtio-rng, "
		  "virtio-balloon or virtio-console; rng, balloon and pvpanic are there by default",
	  .field = "devices",
	  .values = "isa-debug-exit,iobase=0xf4 pc-testdev pvpanic virtio-rng virtio-balloon "
		    "virtio-console",
	  .repeat = true },
	{ .name = "serial",
	  .arg = "stdio|file:F|pty|socket:F|none",
	  .help = "Where the first serial port ends; stdio by default",
	  .field = "serial",
	  .values = "stdio file: pty socket: none" },
	{ .name = "console",
	  .arg = "stdio|file:F|pty|socket:F|none",
	  .help = "Adds a virtio console that ends there; none by default",
	  .field = "console",
	  .values = "stdio file: pty socket: none" },
	{ .name = "name",
	  .arg = "NAME",
	  .help = "The VM's name: its host name for DHCP and its process's name; vm by default",
	  .field = "name" },
	{ .name = "on-reboot",
	  .arg = "restart|exit",
	  .help = "What a reboot of the guest does; restart by default",
	  .field = "on_reboot",
	  .values = "restart exit" },
	{ .name = "log",
	  .arg = "FILE",
	  .help = "Append Holm's own messages to FILE instead of standard error",
	  .field = "log",
	  .values = "@file" },
	{ .name = "metrics",
	  .arg = "FILE",
	  .help = "Write counters and times as JSON to FILE at the end and at each SIGUSR1",
	  .field = "metrics",
	  .values = "@file" },
	{ .name = "sandbox",
	  .arg = "on|log|off",
	  .help = "For debugging Holm: log lets forbidden system calls pass and leaves a line in "
		  "the kernel's log; on by default",
	  .field = "sandbox",
	  .values = "on log off" },
	{ .name = "config",
	  .arg = "FILE",
	  .help = "Read the configuration from a JSON file; options behind it change it",
	  .values = "@file" },
	{ .name = "print-config", .help = "Print the configuration as JSON and end" },
	{ .name = "dry-run", .help = "Open and build everything, run nothing, and end" },
	{ .name = "test-forbidden-syscall",
	  .arg = "loop|vcpu",
	  .help = "Make a forbidden system call after set-up",
	  .field = "forbidden",
	  .hidden = true },
};

static const struct cmd_option doctor_options[] = {
	{ .name = "format",
	  .arg = "table|json",
	  .help = "How to print the findings; table by default",
	  .values = "table json" },
};

static const struct cmd commands[] = {
	{ .name = "run",
	  .summary = "Run one VM in the foreground",
	  .text = "Boots a kernel in a new VM on this terminal, without any daemon and without "
		  "root. The terminal is raw while the VM runs: every key goes to the guest. "
		  "Ctrl-] q ends the VM at once; Ctrl-] Ctrl-] sends one Ctrl-] to the guest.\n\n"
		  "The guest's power-off ends the VM with exit code 0; its reboot restarts it. "
		  "SIGTERM presses the power button and ends the VM ten seconds later if the "
		  "guest has not gone by then; a second one ends it at once.\n\n"
		  "A VM holds its disks locked: an image that another VM has open for writing is "
		  "refused. After set-up the VM's process can open nothing any more and only make "
		  "the few system calls it needs.",
	  .options = run_options,
	  .n_options = ARRAY_SIZE(run_options),
	  .run = cmd_run },
	{ .name = "doctor",
	  .summary = "Look at this host and say what VMs can use of it",
	  .text = "Checks hardware virtualization, /dev/kvm and its rights, and measures how fast "
		  "KVM runs; further nesting, IOMMU, huge pages, KSM, pressure information, "
		  "control "
		  "groups and user namespaces. Each line that is not well has a sentence that "
		  "says what to do. The exit code is 0 where VMs can run at all.",
	  .options = doctor_options,
	  .n_options = ARRAY_SIZE(doctor_options),
	  .run = cmd_doctor },
	{ .name = "version", .summary = "Print Holm's version", .run = cmd_version },
	{ .name = "help",
	  .args = "[COMMAND]",
	  .summary = "Explain a command, or list all of them",
	  .values = "@command",
	  .run = cmd_help },
	{ .name = "completion",
	  .args = "bash|zsh|fish",
	  .summary = "Print the completion script of a shell",
	  .text = "For bash: source <(holm completion bash). For zsh: source <(holm completion "
		  "zsh). For fish: holm completion fish | source.",
	  .values = "bash zsh fish",
	  .run = cmd_completion },
	{ .name = "man",
	  .args = "[COMMAND]",
	  .summary = "Print a manual page in roff",
	  .text = "To read one: holm man run | man -l -",
	  .values = "@command",
	  .run = cmd_man },
	{ .name = "gen-docs",
	  .args = "markdown",
	  .summary = "Print docs/CLI.md",
	  .hidden = true,
	  .run = cmd_gen_docs },
>>>>>>> h-vmm
};

static const struct cmd_exit exits[] = {
	{ HOLM_EXIT_OK, "The guest powered off, or the command did its work" },
	{ HOLM_EXIT_USAGE,
	  "The command line, the configuration or a request to the manager is wrong" },
	{ HOLM_EXIT_INPUT,
	  "A file is missing, corrupt or of the wrong kind; or the manager knows no such "
	  "object" },
	{ HOLM_EXIT_BUSY,
	  "Something is in use: a disk by another VM, a port, a name; or the VM's state does not "
	  "allow it, the object changed meanwhile, or a wait ran out of time" },
	{ HOLM_EXIT_ENGINE, "The engine that was asked for is not to be had" },
	{ HOLM_EXIT_RESOURCE,
	  "Out of memory, space, descriptors, rights or a project's quota; or no manager answers" },
	{ HOLM_EXIT_INTERNAL, "A bug of Holm's, or the host failed" },
	{ HOLM_EXIT_GUEST_PANIC, "The guest reported a panic" },
	{ HOLM_EXIT_GUEST_SHUTDOWN, "The guest's CPU shut down: a triple fault" },
	{ HOLM_EXIT_GUEST_REBOOT, "The guest rebooted under --on-reboot exit" },
	{ HOLM_EXIT_KILLED, "The VM was ended by a signal or the console's escape" },
};

const struct cmd_table *const *cmd_tables(size_t *n)
{
	*n = ARRAY_SIZE(tables);
	return tables;
}

const struct cmd_table *cmd_noun(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		if (tables[i]->noun && !strcmp(tables[i]->noun, name))
			return tables[i];
	return NULL;
}

/* How many of the words in @argv make up @name; 0 where it is another one. */
static int words_of(const char *name, int argc, char **argv)
{
	int i = 0;

	while (name && *name) {
		size_t n = strcspn(name, " ");

		if (i >= argc || strlen(argv[i]) != n || memcmp(argv[i], name, n) != 0)
			return 0;
		name += n + (name[n] == ' ');
		i++;
	}
	return i;
}

const struct cmd *cmd_find(int argc, char **argv, int *used)
{
	const struct cmd *best = NULL;

	*used = 0;
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
		for (size_t i = 0; i < tables[t]->n; i++) {
			const struct cmd *c = &tables[t]->rows[i];
			int n = words_of(c->name, argc, argv);

			if (!n)
				n = words_of(c->alias, argc, argv);
			if (n > *used) {
				*used = n;
				best = c;
			}
		}
	return best;
}

const struct cmd_option *cmd_option_at(const struct cmd *c, size_t i)
{
	for (size_t s = 0; c->sets && c->sets[s]; s++) {
		if (i < c->sets[s]->n)
			return &c->sets[s]->list[i];
		i -= c->sets[s]->n;
	}
	return NULL;
}

const struct cmd_option *cmd_option_find(const struct cmd *c, const char *name, size_t len)
{
	const struct cmd_option *o;

	for (size_t i = 0; (o = cmd_option_at(c, i)); i++)
		if (strlen(o->name) == len && !memcmp(o->name, name, len))
			return o;
	return NULL;
}

const struct cmd_exit *cmd_exits(size_t *n)
{
	*n = ARRAY_SIZE(exits);
	return exits;
}

int cmd_fail(const struct err *e)
{
	/* It may name what others named, and be cut within a character. */
	MEM_AUTO char *clean = text_clean(e->msg, strlen(e->msg), "");

	fprintf(stderr, "holm: %s\n", clean ? clean : "no memory for an error's sentence");
	return (int)err_exit_code(e->code);
}
