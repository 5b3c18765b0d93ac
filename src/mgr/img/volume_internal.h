/* SPDX-License-Identifier: MIT */
/*
 * What volume.c (files) and volume_copy.c (clones, uploads) share.
 */
#ifndef HOLM_MGR_IMG_VOLUME_INTERNAL_H
#define HOLM_MGR_IMG_VOLUME_INTERNAL_H

#include "mgr/img/volume.h"

#define VOLUME_FILE_MAX 128

/** A file in a pool that has no name of a volume yet. */
struct volume_tmp {
	struct pool *pool;
	int fd; /* -1: none */
	char file[VOLUME_FILE_MAX];
};

/** volume_file() - NAME.raw; -EINVAL where @name is no name. */
int volume_file(char out[VOLUME_FILE_MAX], const char *name, struct err *e) MUST_CHECK;

/** volume_fd() - open a volume's file with @flags; the descriptor or -errno with a sentence. */
int volume_fd(const struct pool *p, const char *name, int flags, struct err *e) MUST_CHECK;

/** volume_lock() - as the VMM does; -EBUSY with a sentence. The lock ends with the descriptor. */
int volume_lock(int fd, bool write, const char *name, struct err *e) MUST_CHECK;

/** volume_absent() - -EEXIST where there is something of that name. */
int volume_absent(const struct pool *p, const char *name, struct err *e) MUST_CHECK;

int volume_tmp_make(struct volume_tmp *t, struct pool *p, struct err *e) MUST_CHECK;
/**
 * volume_tmp_publish() - under @name, durable.
 * @replace: over the volume that has the name; else that is -EEXIST
 */
int volume_tmp_publish(struct volume_tmp *t, const char *name, bool replace,
		       struct err *e) MUST_CHECK;
/** volume_tmp_drop() - the file, where it was not published, and the descriptor. */
void volume_tmp_drop(struct volume_tmp *t);

#endif
