/* SPDX-License-Identifier: MIT */
/*
 * The configuration of one VM: what `holm run` parses its options into, what a config file
 * holds, and what holm-vmm is handed.
 *
 * Theory of operation: one const table (config.c) has a row for each field with its name, a
 * parser from a string and an encoder. The command line, a JSON file and the message to holm-vmm
 * all go through the same parsers, so a value means the same and is range-checked the same
 * everywhere. In JSON a number may stand for its string, repeatable fields are arrays, and a
 * disk may be an object. Unknown and repeated fields are refused by name.
 *
 * Whether a device, an engine or a back end exists is not known here: that is checked by the
 * machine, whose registry lists them.
 *
 * Threads: none of its own.
 */
#ifndef HOLM_PROTO_CONFIG_H
#define HOLM_PROTO_CONFIG_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/rate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VM_NAME_MAX	64
#define VM_CPUS_MAX	64
#define VM_MEMORY_MIN	(1ull << 20)
#define VM_MEMORY_MAX	(1ull << 45)
#define VM_APPEND_MAX	2047
#define VM_PATH_MAX	4095
#define VM_DISKS_MAX	16
#define VM_SERIAL_MAX	20 /* virtio 1.2, 5.2.6.1: length of a disk's serial */
#define VM_FORWARDS_MAX 64
#define VM_DEVICES_MAX	16
#define VM_LIMIT_MAX	RATE_MAX   /* bytes a second */
#define VM_CONFIG_MAX	(1u << 20) /* bytes of JSON at most */

struct vm_disk {
	char *path;
	bool readonly;
	char serial[VM_SERIAL_MAX + 1]; /* "": none */
};

struct vm_forward {
	bool udp;
	uint32_t host_addr; /* IPv4, host order */
	uint16_t host_port, guest_port;
};

enum vm_net_kind {
	VM_NET_USER,
	VM_NET_TAP,
	VM_NET_NONE,
	VM_NET_MANAGED, /* a network of the manager's, which opens the tap */
	VM_NET_COUNT
};

enum vm_chr_kind {
	VM_CHR_STDIO,
	VM_CHR_FILE,
	VM_CHR_PTY,
	VM_CHR_SOCKET,
	VM_CHR_NONE,
	VM_CHR_RING, /* the manager's console; not to be configured: console_fd makes it */
	VM_CHR_COUNT
};

/** Where a serial line or console ends on the host. */
struct vm_chr {
	enum vm_chr_kind kind;
	char *path; /* of a file or socket, else NULL */
};

/** What to do when the guest resets itself. */
enum vm_on_reboot { VM_REBOOT_RESTART, VM_REBOOT_EXIT, VM_REBOOT_COUNT };

/** What CPU the guest sees: what the engine can give, or what both engines can. */
enum vm_cpu_model { VM_CPU_HOST, VM_CPU_PORTABLE, VM_CPU_COUNT };

enum vm_sandbox { VM_SANDBOX_ON, VM_SANDBOX_LOG, VM_SANDBOX_OFF, VM_SANDBOX_COUNT };

/** All strings are on the heap and owned; NULL where not given. */
struct vm_config {
	char *name;
	char *engine;	      /* "auto", "kvm", "soft" */
	char *engine_options; /* "jit=off", or NULL */
	unsigned cpus;
	enum vm_cpu_model cpu_model;
	uint64_t memory;   /* bytes, a multiple of 1 MiB */
	bool memory_merge; /* the host may merge equal pages of it with others' */
	char *kernel, *initrd, *append;
	struct vm_disk disks[VM_DISKS_MAX];
	unsigned n_disks;
	enum vm_net_kind net;
	char *tap;     /* interface name for VM_NET_TAP */
	char *network; /* its name for VM_NET_MANAGED */
	bool mac_given;
	uint8_t mac[6];
	struct vm_forward forwards[VM_FORWARDS_MAX];
	unsigned n_forwards;
	struct vm_chr serial;
	struct vm_chr console;	       /* of a virtio console; VM_CHR_NONE: there is none */
	char *devices[VM_DEVICES_MAX]; /* "isa-debug-exit,iobase=0xf4" */
	unsigned n_devices;
	char *log, *metrics;
	enum vm_on_reboot on_reboot;
	enum vm_sandbox sandbox;
	uint64_t io_limit;  /* bytes a second of all disks together; 0: none */
	uint64_t net_limit; /* bytes a second each way; 0: none */
	/* Between the manager and holm-vmm only. Descriptors are -1 where not given. */
	char *id;		/* 16 hexadecimal digits */
	int control_fd;		/* listens, see control.h */
	int console_fd;		/* listens: the serial line ends in a ring, see chr/be/backends.h */
	int log_fd_a, log_fd_b; /* of the console, in turn */
	int exit_fd;		/* receives how the VM ended */
	int tap_fd;		/* of VM_NET_MANAGED */
	int kernel_fd, initrd_fd;
	int disk_fds[VM_DISKS_MAX]; /* of all disks in their order, or of none */
	unsigned n_disk_fds;
	int state_fd, memory_fd; /* a saved VM's, which this one goes on as */
	bool paused;		 /* start paused */
	/* Between holm and holm-vmm only. */
	uint64_t start_ns; /* CLOCK_MONOTONIC when `holm run` began, 0: unknown */
	bool dry_run;	   /* build everything, run nothing */
	char *forbidden;   /* make a forbidden system call on this thread kind: a test of the
			      sandbox */
};

/**
 * vm_name_check() - whether @value may name a VM, and whatever else users name by themselves.
 * @what: begins the sentence, "name" or "network name"
 *
 * Return: 0 or -EINVAL.
 */
int vm_name_check(const char *what, const char *value, struct err *e) MUST_CHECK;

/** vm_config_init() - the defaults; *@c was not in use. -ENOMEM. */
int vm_config_init(struct vm_config *c, struct err *e) MUST_CHECK;
/** vm_config_free() - all strings; the struct may be initialised again. */
void vm_config_free(struct vm_config *c);

/**
 * vm_config_set() - one field from a string, as an option of the command line would.
 * @field: its JSON name: "memory", "disks" (adds one) ...
 *
 * Errors: -EINVAL or -ERANGE with a sentence that names the value and what is expected, -E2BIG
 * (too many of a repeatable field), -ENOMEM. *@c is unchanged on failure.
 */
int vm_config_set(struct vm_config *c, const char *field, const char *value,
		  struct err *e) MUST_CHECK;

/** vm_config_copy() - all fields but the internal ones of @from into @to, initialised. -ENOMEM. */
int vm_config_copy(struct vm_config *to, const struct vm_config *from, struct err *e) MUST_CHECK;

/** vm_config_check() - what concerns several fields at once; -EINVAL with a sentence. */
int vm_config_check(const struct vm_config *c, struct err *e) MUST_CHECK;

/**
 * vm_config_decode() - set the fields that a JSON object of @len bytes has; the others stay.
 * @what:     names the text in sentences, "vm.json"
 * @internal: allow the fields between holm and holm-vmm
 *
 * Errors: -EINVAL (not JSON, an unknown field, a wrong type), -ERANGE, -E2BIG, -ENOMEM. *@c may
 * be partly set on failure.
 */
int vm_config_decode(struct vm_config *c, const char *json, size_t len, const char *what,
		     bool internal, struct err *e) MUST_CHECK;

/**
 * vm_config_encode() - as JSON text, which the caller frees.
 * @internal: with the fields between holm and holm-vmm
 *
 * Return: the text with a final newline, or NULL (out of memory).
 */
char *vm_config_encode(const struct vm_config *c, bool internal);

/** vm_forward_parse() - "[ADDR:]HOST:GUEST[/tcp|/udp]"; -EINVAL, -ERANGE with a sentence. */
int vm_forward_parse(struct vm_forward *out, const char *value, struct err *e) MUST_CHECK;

/** The descriptors that a configuration names. */
#define VM_CONFIG_FDS (10 + VM_DISKS_MAX)

/** vm_config_fds() - those that are given, as a list; returns how many. */
unsigned vm_config_fds(const struct vm_config *c, int fds[VM_CONFIG_FDS]);

/**
 * vm_size_parse() - bytes from "512M", "4GiB" or "1048576".
 * @what: names the value in sentences, "memory"
 *
 * Return: 0, -EINVAL or -ERANGE (above INT64_MAX) with a sentence; *@out stays on failure.
 */
int vm_size_parse(uint64_t *out, const char *what, const char *value, struct err *e) MUST_CHECK;

/** vm_size_format() - @bytes as "512 MiB", "1.5 GiB"; @buf of at least 24 bytes. */
const char *vm_size_format(char *buf, size_t len, uint64_t bytes);

#endif
