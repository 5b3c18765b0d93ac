/* SPDX-License-Identifier: MIT */
/*
 * SHA-256, see digest.h.
 */
#include "mgr/store/digest.h"

#include <errno.h>
#include <openssl/evp.h>

int digest_sha256(uint8_t out[DIGEST_LEN], const void *buf, size_t len, struct err *e)
{
	if (EVP_Digest(buf, len, out, NULL, EVP_sha256(), NULL) != 1)
		return err_set(e, -EIO, "libcrypto could not compute a SHA-256");
	return 0;
}
