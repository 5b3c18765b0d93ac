# SPDX-License-Identifier: MIT
# holmd killed with -9 at 200 random moments under load: nothing acknowledged is lost, nothing is
# left over, and VMs that run go on.
# timeout: 400
# cost: 60
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/lib/tap.sh"

KILLS=${KILLS:-200}
# dnsmasq gives up root's rights and must reach its files.
chmod 711 "$TMP"
set -- python3 -B "$TOP/tests/e2e/crash.py" "$TMP" "$KILLS" $SEED
if [ "$(id -u)" = 0 ]; then
	check "a network namespace of the test's own" unshare -n ip link set lo up
	set -- env HOLM_TEST_NET=1 unshare -n "$@"
fi
if "$@" >"$TMP/out" 2>&1; then
	ok "$KILLS kills of holmd under load"
else
	not_ok "$KILLS kills of holmd under load"
fi
tap_show "$TMP/out"
tap_done
