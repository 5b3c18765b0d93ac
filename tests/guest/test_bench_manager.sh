#!/bin/sh
# SPDX-License-Identifier: MIT
# holmd's scale and speed must not get worse, and a soak leaves nothing behind.
# timeout: 600
# alone
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/lib/tap.sh"
# Fewer of all, and a busy machine must not fail a change: of the times the table is shown, and
# only what does not hang on the machine's load is checked.
check "bench: the manager's runs to its end" "$TOP/bench/manager" --quick
sed 's/^/# /' "$TMP/check.out"
held() {
	python3 - "$TOP/build/bench/manager.json" "$1" <<'EOF'
import json
import sys
rows = [r for r in json.load(open(sys.argv[1]))['rows'] if sys.argv[2] in r['what'] and
        r['held'] is not None]
for row in rows:
    print(row)
sys.exit(not rows or not all(r['held'] for r in rows))
EOF
}
check "bench: an idle holmd is small and asleep" held "idle holmd"
check "bench: all VMs run at once" held "running at once"
check "bench: neither memory nor descriptors grow in a soak" \
	"$TOP/bench/manager" --soak 15 --strict
sed 's/^/# /' "$TMP/check.out"
tap_done
