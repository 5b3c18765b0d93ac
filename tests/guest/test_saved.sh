#!/bin/sh
# SPDX-License-Identifier: MIT
# State saved at random instants and gone on from, while the guest works: its memory is hashed, its
# disk written and read back. ROUNDS times, 12 by default.
# timeout: 400
# cost: 40
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
. "$TOP/tests/guest/managed.sh"
. "$TOP/tests/guest/saved.sh"
saved_guest
saved_wants >"$TMP/wants"
managed_by saved.py "$GUEST/vmlinuz" "$TMP/saved.img" "${ENGINES:-$ENGINE}" "$TMP" \
	"${ROUNDS:-12}" <"$TMP/wants"
tap_done
