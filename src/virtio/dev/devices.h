/* SPDX-License-Identifier: MIT */
/*
 * The virtio devices: each makes a struct virtio_dev that a transport takes.
 */
#ifndef HOLM_VIRTIO_DEV_DEVICES_H
#define HOLM_VIRTIO_DEV_DEVICES_H

#include "blk/blk.h"
#include "chr/chr.h"
#include "net/net.h"
#include "virtio/virtio.h"

/** @blk owned from success on; @serial up to 20 bytes; @queues 1..16. */
int virtio_blk_create(struct virtio_dev **out, const struct dev_env *env, const char *name,
		      struct blk *blk, const char *serial, unsigned queues,
		      struct err *e) MUST_CHECK;
/** @net owned from success on. */
int virtio_net_create(struct virtio_dev **out, const struct dev_env *env, const char *name,
		      struct net *net, const uint8_t mac[6], struct err *e) MUST_CHECK;
/** @chr owned from success on. One port. */
int virtio_console_create(struct virtio_dev **out, const struct dev_env *env, const char *name,
			  struct chr *chr, struct err *e) MUST_CHECK;
/** Entropy from getrandom(2), at most 64 KiB a second to one guest. */
int virtio_rng_create(struct virtio_dev **out, const struct dev_env *env, const char *name,
		      struct err *e) MUST_CHECK;

/** Statistics the guest's balloon driver reports, virtio 1.2, 5.5.6.3; bytes or counts. */
struct virtio_balloon_stats {
	uint64_t target_pages, actual_pages; /* of 4 KiB */
	uint64_t swap_in, swap_out, major_faults, minor_faults, free, total, available, caches;
	uint64_t reported_bytes; /* given back by free page reporting so far */
};

int virtio_balloon_create(struct virtio_dev **out, const struct dev_env *env, const char *name,
			  struct err *e) MUST_CHECK;
/** Ask the guest to give @pages of 4 KiB. Machine lock held. */
void virtio_balloon_set_target(struct virtio_dev *d, uint32_t pages);
void virtio_balloon_get_stats(struct virtio_dev *d, struct virtio_balloon_stats *out);

#endif
