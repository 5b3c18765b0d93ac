#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Memory that VMs give back: by balloon under a limit that changes live, and by KSM.

    memory.py TMP KERNEL

TMP has the initial RAM disks full.img and wait.img and the disk disk.raw, see test_memory.sh.
"""
import os
import sys
import time

import holmd

KSM = '/sys/kernel/mm/ksm/'
MIB = 1 << 20


def report(name, good, text=''):
    report.n += 1
    print(f'{"ok" if good else "not ok"} {report.n} - {name}')
    if text:
        print(f'#   {text}', flush=True)
    report.bad |= not good
    return good


report.n, report.bad = 0, False


def until(seconds, probe):
    """The seconds until @probe holds, None where it never did."""
    start = time.monotonic()
    while time.monotonic() < start + seconds:
        if probe():
            return time.monotonic() - start
        time.sleep(0.1)
    return None


def make(d, name, **more):
    config = {'kernel': sys.argv[2], 'append': 'console=ttyS0 panic=-1 quiet', 'net': 'none',
              'engine': 'soft', **more.pop('config')}
    d.ok('POST', '/v1/vms', {'name': name, 'config': config, **more})
    d.done('POST', f'/v1/vms/{name}/start')


def memory(d, name):
    status, answer = d.call('GET', f'/v1/vms/{name}/stats')
    if status != 200:
        raise RuntimeError(f'{answer}: {d.ok("GET", f"/v1/vms/{name}")}')
    return answer['memory']


def balloon(d, tmp):
    make(d, 'full', policy='dynamic',
         config={'memory': '256M', 'initrd': f'{tmp}/full.img',
                 'disks': [{'path': f'{tmp}/disk.raw', 'readonly': True}]})

    def settled():
        """The cache is full: as much as was read is there, and no more comes."""
        before = memory(d, 'full')
        time.sleep(1)
        now = memory(d, 'full')
        return now['guest_total'] and now['rss'] > 200 * MIB and now['rss'] - before['rss'] < MIB

    if not report('the guest runs, fills its memory and tells its use',
                  until(40, settled) is not None):
        print(f'#   {memory(d, "full")}')
        return
    before = memory(d, 'full')
    report('nothing is taken while there is no limit and the host has memory',
           before['balloon'] == 0, f'{before}')
    start = time.monotonic()
    d.ok('PATCH', '/v1/vms/full', {'resources': {'memory': {'limit': '128M'}}})
    first = until(10, lambda: memory(d, 'full')['balloon'] > 0)
    report('a limit begins to act within 2 s', first is not None and first <= 2, f'{first} s')
    until(15, lambda: memory(d, 'full')['balloon'] >= 128 * MIB)
    took, small = time.monotonic() - start, memory(d, 'full')
    gone = before['rss'] - small['rss']
    report('a limit of 128 MiB takes 128 MiB of 256 by the balloon', small['balloon'] == 128 * MIB,
           f'balloon {small["balloon"] / MIB:.0f} MiB after {took:.1f} s')
    report('and as much resident memory, but for what the guest had free', gone >= 64 * MIB,
           f'resident {before["rss"] / MIB:.0f} MiB before, {small["rss"] / MIB:.0f} MiB after: '
           f'{gone / MIB:.0f} MiB given back')
    d.ok('PATCH', '/v1/vms/full', {'resources': {'memory': {'limit': 0}}})
    back = until(10, lambda: memory(d, 'full')['balloon'] == 0)
    report('what was taken is given back when the limit goes', back is not None,
           f'after {back} s')
    d.done('POST', '/v1/vms/full/kill')


def read(name):
    with open(KSM + name, encoding='ascii') as f:
        return f.read().strip()


def write(name, value):
    with open(KSM + name, 'w', encoding='ascii') as f:
        f.write(value)


def merged(d):
    """MiB of each VM's pages that are merged, as the kernel counts for each process."""
    found = []
    for pid in d.processes().values():
        with open(f'/proc/{pid}/ksm_merging_pages', encoding='ascii') as f:
            found.append(int(f.read()) * os.sysconf('SC_PAGESIZE') / MIB)
    return found


def merge(d, tmp):
    for name in 'one', 'two':
        make(d, name, config={'memory': '128M', 'initrd': f'{tmp}/wait.img',
                              'memory_merge': True})
    report('KSM is switched on with the first VM that is open to it',
           until(5, lambda: d.ok('GET', '/v1/host')['ksm']['running']) is not None)
    report('both guests run', until(40, lambda: all(memory(d, n)['guest_total']
                                                    for n in ('one', 'two'))) is not None)
    took = until(20, lambda: len(merged(d)) == 2 and min(merged(d)) > 16)
    time.sleep(3)
    host = d.ok('GET', '/v1/host')
    mapped = sum(memory(d, n)['rss'] for n in ('one', 'two')) / MIB
    ksm, own = host['ksm'], merged(d)
    report('two alike guests of 128 MiB save memory by merging', ksm['saved'] > 16 * MIB,
           f'{ksm["saved"] / MIB:.0f} MiB saved on the host ({ksm["shared"]} pages there once for '
           f'{ksm["sharing"]} more); the guests have mapped {mapped:.0f} MiB')
    # The host's figure is of all its processes; this one is of these two.
    report('both guests have a part in it', took is not None,
           f'merged of them: {own[0]:.0f} and {own[-1]:.0f} MiB')
    total = d.ok('GET', '/v1/vms/one/stats')['memory']['guest_total']
    report('the guests go on', total > 0 and
           all(d.ok('GET', f'/v1/vms/{n}')['state'] == 'running' for n in ('one', 'two')))
    d.done('POST', '/v1/vms/one/kill')
    time.sleep(2)
    report('KSM stays on while one such VM runs', d.ok('GET', '/v1/host')['ksm']['running'])
    d.kill()
    d.start()
    d.done('POST', '/v1/vms/two/kill')
    report('KSM goes off with the last of them, also after holmd was killed',
           until(6, lambda: not d.ok('GET', '/v1/host')['ksm']['running']) is not None)


def main():
    tmp = sys.argv[1]
    with holmd.Holmd(tmp, '--ksm', 'on') as d:
        host = d.ok('GET', '/v1/host')
        with open('/proc/meminfo', encoding='ascii') as f:
            total = int(f.readline().split()[1]) * 1024
        report('the host tells its memory, CPUs, load and pressure',
               host['memory']['total'] == total and host['cpus'] >= 1 and
               0 < host['memory']['available'] <= total and len(host['load']) == 3 and
               set(host['pressure']) == {'cpu', 'memory', 'io'}, f'{host}')
        balloon(d, tmp)
        if not os.access(KSM + 'run', os.W_OK) or read('run') != '0':
            report(f'merging # SKIP {KSM}run cannot be written, or KSM runs already', True)
        else:
            was = {n: read(n) for n in ('run', 'pages_to_scan', 'sleep_millisecs')}
            try:
                # What the kernel still counts of processes that have ended is forgotten.
                write('run', '2')
                write('run', '0')
                write('pages_to_scan', '20000')
                write('sleep_millisecs', '20')
                merge(d, tmp)
            finally:
                d.end_vms()
                for name, value in was.items():
                    write(name, value)
    print(f'1..{report.n}')
    return report.bad


if __name__ == '__main__':
    sys.exit(main())
