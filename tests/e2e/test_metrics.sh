# SPDX-License-Identifier: MIT
# GET /metrics of a real holmd with a running VM, read by promtool.
# timeout: 60
# cost: 5
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/lib/tap.sh"

if ! command -v promtool >/dev/null; then
	skip "promtool reads /metrics" "there is no promtool here (package prometheus)"
	tap_done
fi
cat >"$TMP/scrape.py" <<'PY'
import sys
import time

import holmd

tmp = sys.argv[1]
with open(f'{tmp}/disk', 'wb') as f:
    f.truncate(1 << 20)
with holmd.Holmd(tmp) as d:
    d.ok('POST', '/v1/vms', {'name': 'web', 'config': {
        'kernel': holmd.payload(tmp, 'count'), 'memory': '8M', 'net': 'none', 'engine': 'soft',
        'disks': [f'{tmp}/disk']}})
    d.done('POST', '/v1/vms/web/start')
    end = time.monotonic() + 10
    text = b''
    # The monitor looks once a second.
    while b'holm_vm_exits_total{' not in text and time.monotonic() < end:
        time.sleep(0.1)
        text = d.raw('GET', '/metrics')[1]
    with open(f'{tmp}/metrics', 'wb') as f:
        f.write(text)
PY
check "holmd answers" env PYTHONPATH="$TOP/tests/e2e" python3 -B "$TMP/scrape.py" "$TMP"
promtool_reads() {
	promtool check metrics <"$TMP/metrics"
}
check "promtool finds nothing wrong" promtool_reads
for series in 'holm_vm_state{vm="web"' 'holm_vm_info{vm="web"' 'holm_vm_exits_total{vm="web"' \
	'holm_vms{state="running"} 1' 'holm_vm_block_latency_seconds_bucket{vm="web"'; do
	check "there is $series" grep -qF "$series" "$TMP/metrics"
done
check "the VM has used CPU time" grep -qE '^holm_vm_cpu_seconds_total\{.*\} (0\.0*)?[1-9]' "$TMP/metrics"
check "the VM has memory" grep -qE '^holm_vm_resident_bytes\{.*\} [1-9]' "$TMP/metrics"
tap_done
