/* SPDX-License-Identifier: MIT */
/*
 * What needs no manager: holm run and the options of a VM's configuration, and the commands
 * about this host and this program.
 */
#include "cli/command.h"
#include "cli/session.h"

static const struct cmd_option config_options[] = {
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
	{ .name = "cpu-model",
	  .arg = "host|portable",
	  .help = "What CPU the guest sees: all that the engine can give, or what both engines "
		  "can, so that a VM saved on one goes on on the other; host by default",
	  .field = "cpu_model",
	  .values = "host portable" },
	{ .name = "memory",
	  .letter = 'm',
	  .arg = "SIZE",
	  .help = "RAM, like 512M or 4G; 512M by default",
	  .field = "memory" },
	{ .name = "memory-merge",
	  .help = "Let the host merge equal pages of this VM's RAM and others' (KSM), which saves "
		  "memory where guests are alike",
	  .field = "memory_merge" },
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
};

const struct cmd_options cmd_config_options = { config_options, ARRAY_SIZE(config_options), NULL };

static const struct cmd_option run_options[] = {
	{ .name = "restore",
	  .arg = "DIR",
	  .help = "Go on from a VM saved in DIR instead of booting, with its configuration; the "
		  "engine may be another one; options behind it change it",
	  .values = "@file" },
	{ .name = "print-config", .help = "Print the configuration as JSON and end" },
	{ .name = "dry-run", .help = "Open and build everything, run nothing, and end" },
	{ .name = "detach",
	  .letter = 'd',
	  .help = "Make a VM of the manager's instead, start it and print its name" },
	{ .name = "job",
	  .help = "Run it as a batch job of the manager's: wait for its end and end with its "
		  "status" },
	{ .name = "test-forbidden-syscall",
	  .arg = "loop|vcpu",
	  .help = "Make a forbidden system call after set-up",
	  .field = "forbidden",
	  .hidden = true },
};

static const struct cmd_options *const run_sets[] = {
	&cmd_config_options,
	&(const struct cmd_options) { run_options, ARRAY_SIZE(run_options), NULL },
	&vm_managed_options,
	&vm_run_options,
	&session_connection,
	NULL
};

static const struct cmd_option doctor_options[] = {
	{ .name = "format",
	  .arg = "table|json",
	  .help = "How to print the findings; table by default",
	  .values = "table json" },
};

static const struct cmd_options *const doctor_sets[] = {
	&(const struct cmd_options) { doctor_options, ARRAY_SIZE(doctor_options), NULL }, NULL
};

static const struct cmd rows[] = {
	{ .name = "run",
	  .summary = "Run one VM in the foreground",
	  .text = "Boots a kernel in a new VM on this terminal, without any daemon and without "
		  "root. The terminal is raw while the VM runs: every key goes to the guest. "
		  "Ctrl-] q ends the VM at once; Ctrl-] Ctrl-] sends one Ctrl-] to the guest.\n\n"
		  "The guest's power-off ends the VM with exit code 0; its reboot restarts it. "
		  "SIGTERM presses the power button and ends the VM ten seconds later if the "
		  "guest has not gone by then; a second one ends it at once.\n\n"
		  "With --detach or --job the VM is one of the manager's instead, and the options "
		  "of "
		  "holm create count: it goes on without this terminal, and holm console attaches "
		  "to it.\n\n"
		  "A VM holds its disks locked: an image that another VM has open for writing is "
		  "refused. After set-up the VM's process can open nothing any more and only make "
		  "the few system calls it needs.",
	  .sets = run_sets,
	  .run = cmd_run },
	{ .name = "doctor",
	  .summary = "Look at this host and say what VMs can use of it",
	  .text = "Checks hardware virtualization, /dev/kvm and its rights, and measures how fast "
		  "KVM runs; further nesting, IOMMU, huge pages, KSM, pressure information, "
		  "control "
		  "groups and user namespaces. Each line that is not well has a sentence that "
		  "says what to do. The exit code is 0 where VMs can run at all.",
	  .sets = doctor_sets,
	  .run = cmd_doctor },
	{ .name = "version", .summary = "Print Holm's version", .run = cmd_version },
	{ .name = "help",
	  .args = "[COMMAND...]",
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
	  .args = "[COMMAND...]",
	  .summary = "Print a manual page in roff",
	  .text = "To read one: holm man run | man -l -",
	  .values = "@command",
	  .run = cmd_man },
	{ .name = "gen-docs",
	  .args = "markdown|names|states",
	  .summary = "Print docs/CLI.md, the commands' names, or docs/STATES.md",
	  .hidden = true,
	  .run = cmd_gen_docs },
	{ .name = "__names",
	  .args = "vm|net|volume|pool|project|user",
	  .summary = "Print the names of what there is, for completions",
	  .hidden = true,
	  .run = cmd_names },
};

const struct cmd_table cmd_table_run = { NULL, "Without a manager", rows, ARRAY_SIZE(rows) };
