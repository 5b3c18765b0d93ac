#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Three busy VMs on one core share it 1:2:4; a change of weights shows within three seconds.

    alloc.py TMP [SECONDS]

What is measured is CPU time that the kernel gave, not how long anything took: a loaded host
changes how much there is to share, not how it is shared.
"""
import os
import sys
import time

import holmd

SHARES = {'one': 100, 'two': 200, 'four': 400}


def cpu(d):
    return {n: d.ok('GET', f'/v1/vms/{n}/stats')['cpu_ns'] for n in SHARES}


def parts(before, after):
    """Each VM's part of what they got together."""
    got = {n: after[n] - before[n] for n in SHARES}
    return {n: got[n] / sum(got.values()) for n in SHARES}


def off(seen, shares):
    """How far the farthest is from its part, as a part of it."""
    whole = sum(shares.values())
    return max(abs(seen[n] * whole / shares[n] - 1) for n in shares)


def report(name, good, text):
    report.n += 1
    print(f'{"ok" if good else "not ok"} {report.n} - {name}')
    print(f'#   {text}', flush=True)
    report.bad |= not good


report.n, report.bad = 0, False


def main():
    tmp, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 20
    core = str(min(os.sched_getaffinity(0)))
    kernel = holmd.payload(tmp, 'spin')
    with holmd.Holmd(tmp) as d:
        for name, shares in SHARES.items():
            d.ok('POST', '/v1/vms', {
                'name': name, 'policy': 'dynamic', 'pin': {'cpus': core},
                'resources': {'cpu': {'shares': shares}},
                'config': {'kernel': kernel, 'memory': '8M', 'net': 'none', 'engine': 'soft'}})
            d.done('POST', f'/v1/vms/{name}/start')
        time.sleep(1)
        before = cpu(d)
        time.sleep(seconds)
        seen = parts(before, cpu(d))
        text = ', '.join(f'{n} {p:.1%}' for n, p in seen.items())
        report('shares 1:2:4 on one core are kept within 10 %', off(seen, SHARES) <= 0.10,
               f'{text}; farthest {off(seen, SHARES):.1%} off')
        turned = {'one': 400, 'two': 200, 'four': 100}
        for name, shares in turned.items():
            d.ok('PATCH', f'/v1/vms/{name}', {'resources': {'cpu': {'shares': shares}}})
        time.sleep(0.5)
        before = cpu(d)
        time.sleep(2.5)
        seen = parts(before, cpu(d))
        text = ', '.join(f'{n} {p:.1%}' for n, p in seen.items())
        report('weights turned round show within 3 s', off(seen, turned) <= 0.20,
               f'{text}; farthest {off(seen, turned):.1%} off')
        d.ok('PATCH', '/v1/vms/one', {'resources': {'cpu': {'shares': 400, 'limit': 200}}})
        time.sleep(0.5)
        before, start = cpu(d), time.monotonic()
        time.sleep(3)
        used = (cpu(d)['one'] - before['one']) / 1e9 / (time.monotonic() - start)
        report('a limit of 0.2 CPUs holds', used <= 0.22, f'used {used:.3f} CPUs')
        held = d.ok('GET', '/v1/vms/one/stats')['throttled_ns'] / 1e9
        report('the stats say how long the limit held it back', held > 0, f'{held:.2f} s')
    print(f'1..{report.n}')
    return report.bad


if __name__ == '__main__':
    sys.exit(main())
