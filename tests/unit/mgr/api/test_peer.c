/* SPDX-License-Identifier: MIT */
/*
 * Token buckets of peers, and the bounded table of them.
 */
#include "mgr/api/peer.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>

#define S CLOCK_NS_PER_SEC

static void a_bucket_empties_and_fills(void **state UNUSED)
{
	static struct peers ps;
	struct peer *p;

	ps = (struct peers) { .rate = 2, .burst = 4 };
	p = peer_find(&ps, "uid:1", S);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(peer_take(&ps, p, S), 0);
	assert_int_equal(peer_take(&ps, p, S), 1);
	/* Half a second is one request; an hour is no more than a burst. */
	assert_int_equal(peer_take(&ps, p, S + S / 2), 0);
	assert_int_equal(peer_take(&ps, p, S + S / 2), 1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(peer_take(&ps, p, 9000 * S), 0);
	assert_int_equal(peer_take(&ps, p, 9000 * S), 1);
	/* Coming anew gives no new bucket. */
	assert_ptr_equal(peer_find(&ps, "uid:1", 9000 * S), p);
	assert_int_equal(peer_take(&ps, p, 9000 * S), 1);
	/* A slow rate says how long. */
	ps = (struct peers) { .rate = 1, .burst = 1 };
	p = peer_find(&ps, "uid:1", S);
	assert_int_equal(peer_take(&ps, p, S), 0);
	assert_int_equal(peer_take(&ps, p, S), 2);
}

static void the_table_is_bounded(void **state UNUSED)
{
	static struct peers ps;
	char key[PEER_KEY_MAX];
	struct peer *p;

	ps = (struct peers) { .rate = 1, .burst = 1 };
	for (unsigned i = 0; i < PEERS_MAX; i++) {
		snprintf(key, sizeof(key), "uid:%u", i);
		p = peer_find(&ps, key, S);
		assert_non_null(p);
		assert_int_equal(peer_take(&ps, p, S), 0);
	}
	/* All are known and owe something. */
	assert_null(peer_find(&ps, "new", S));
	/* Those that are even again make way, but not one with a connection. */
	for (unsigned i = 0; i < PEERS_MAX; i++)
		ps.table[i].connections = i != 7;
	p = peer_find(&ps, "new", 3 * S);
	assert_ptr_equal(p, &ps.table[7]);
	assert_int_equal(p->connections, 0);
	p->connections = 1;
	assert_null(peer_find(&ps, "newer", 9 * S));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_empties_and_fills),
		cmocka_unit_test(the_table_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
