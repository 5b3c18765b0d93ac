/* SPDX-License-Identifier: MIT */
/*
 * The store of holmd in one SQLite file.
 */
#ifndef HOLM_MGR_STORE_SQLITE_H
#define HOLM_MGR_STORE_SQLITE_H

#include "mgr/core/store.h"

/**
 * store_sqlite_open() - open or make the file, mode 0600, and hold it until close().
 * @path: its folder is there; "-wal" is appended for the log beside it
 *
 * Errors: -EBUSY (another holmd has it), -EBADMSG (corrupt, another program's, or from a newer
 * version: named, and left as it is), -EROFS, -ENOSPC, -EACCES, -ENOENT, -ENOMEM, -EIO.
 */
int store_sqlite_open(struct store **out, const char *path, struct err *e) MUST_CHECK;

#endif
