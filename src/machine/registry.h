/* SPDX-License-Identifier: MIT */
/*
 * What there is to choose from: engines, loaders, disk formats, back ends and device types, as
 * const arrays. To add one: write it behind its seam, then add its line here.
 */
#ifndef HOLM_MACHINE_REGISTRY_H
#define HOLM_MACHINE_REGISTRY_H

#include "blk/blk.h"
#include "boot/boot.h"
#include "chr/chr.h"
#include "cpu/cpu.h"
#include "net/net.h"
#include "proto/config.h"

struct machine;

/** In the order in which `auto` tries them; NULL-terminated. */
extern const struct cpu_engine_ops *const registry_engines[];
/** NULL-terminated; the first that claims a kernel loads it. */
extern const struct boot_loader_ops *const registry_loaders[];

/** A disk format. */
struct registry_format {
	const char *name;
	int (*open)(struct blk_backend **out, const char *path, bool read_only, struct loop *loop,
		    struct err *e);
	/** open() of a descriptor, which is the backend's then; on failure it stays the caller's.
	 */
	int (*open_fd)(struct blk_backend **out, int fd, const char *path, bool read_only,
		       struct loop *loop, struct err *e);
};
/** The first is the default. */
extern const struct registry_format registry_formats[1];

/** Network back ends by kind; NULL: no network. */
typedef int (*registry_net_fn)(struct net_backend **out, const struct vm_config *c,
			       struct loop *loop, struct err *e);
extern const registry_net_fn registry_nets[VM_NET_COUNT];

/** Character back ends by kind. @what names the use in messages; @m hears of the escape. */
typedef int (*registry_chr_fn)(struct chr_backend **out, const struct vm_chr *c, const char *what,
			       struct machine *m, struct err *e);
extern const registry_chr_fn registry_chrs[VM_CHR_COUNT];

/** A device type of --device. */
struct registry_device {
	const char *type;
	const char *key; /* its one option, "iobase"; NULL: none */
	uint64_t key_default, key_max;
	bool by_default; /* there without being asked for; asking again changes nothing */
	int (*create)(struct machine *m, uint64_t value, struct err *e);
};
/** registry_devices() - the types; *@n receives how many. */
const struct registry_device *registry_devices(unsigned *n);

#endif
