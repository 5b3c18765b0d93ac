/* SPDX-License-Identifier: MIT */
/*
 * What each peer takes of the transport: its connections, and its requests by a token bucket.
 *
 * Theory of operation: a peer is a uid or an address (of IPv6: its /64). One that has no
 * connection and whose bucket is full again is forgotten when its place is needed; so a peer
 * cannot win a fresh bucket by connecting anew. The table is bounded.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_API_PEER_H
#define HOLM_MGR_API_PEER_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stdint.h>

#define PEER_KEY_MAX 48
#define PEERS_MAX    1024

struct peer {
	char key[PEER_KEY_MAX]; /* "": a free place */
	unsigned connections;
	uint64_t tokens; /* in 1e-9 of a request */
	uint64_t at_ns;	 /* when @tokens was right */
};

struct peers {
	unsigned rate, burst; /* requests a second; requests at once */
	struct peer table[PEERS_MAX];
};

/** peer_find() - the peer @key, new where it is not known; NULL: the table is full. */
struct peer *peer_find(struct peers *ps, const char *key, uint64_t now_ns);

/** peer_take() - one request. 0: go on; else seconds after which to come again, at least 1. */
unsigned peer_take(const struct peers *ps, struct peer *p, uint64_t now_ns);

#endif
