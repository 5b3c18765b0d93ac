/* SPDX-License-Identifier: MIT */
/*
 * SHA-256 by libcrypto.
 *
 * holm links mgr/core but not libcrypto, so what core needs of this it is handed as a function
 * pointer (people_env.sha256 in mgr/core/people.h); digest_sha256() fits it.
 */
#ifndef HOLM_MGR_STORE_DIGEST_H
#define HOLM_MGR_STORE_DIGEST_H

#include "base/compiler.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define DIGEST_LEN 32

/** digest_sha256() - of @len bytes. -EIO where libcrypto cannot (no memory, not provided). */
int digest_sha256(uint8_t out[DIGEST_LEN], const void *buf, size_t len, struct err *e) MUST_CHECK;

#endif
