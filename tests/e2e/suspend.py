#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Suspend and restore by the manager, and what must happen where they cannot.

    suspend.py TMP

Prints "ok - TEXT" or
"not ok - TEXT" lines; ends with 1 where one is not ok.
"""
import json
import os
import subprocess
import sys
import time

import crash
import holmd

bad = 0


def check(text, good, note=''):
    global bad
    print(f'{"ok" if good else "not ok"} - {text}', flush=True)
    if not good:
        bad += 1
        print(f'# {note}', flush=True)


def failed(d, path):
    """Why an operation failed."""
    status, op = d.call('POST', path)
    if status == 202:
        op = d.ok('GET', f'/v1/operations/{op["id"]}?wait_ms=20000')
    return op.get('error', {}).get('detail') or op.get('detail') or str(op)


def state(d, name='web'):
    vm = d.ok('GET', f'/v1/vms/{name}')
    return vm['state'], vm['reason']


def config_of(tmp, **more):
    return {'kernel': os.path.join(tmp, 'count.elf'), 'memory': '8M', 'net': 'none',
            'engine': 'soft', **more}


def create(d, tmp, name, **more):
    holmd.payload(tmp, 'count')
    d.ok('POST', '/v1/vms', {'name': name, 'config': config_of(tmp, **more)})
    d.done('POST', f'/v1/vms/{name}/start')


def folder(d, name='web'):
    return os.path.join(d.state, 'vm', d.ok('GET', f'/v1/vms/{name}')['id'])


def round_trips(d):
    for _ in range(5):
        time.sleep(0.05)
        d.done('POST', '/v1/vms/web/suspend')
        check('suspended, and no process', state(d)[0] == 'suspended' and not d.processes(),
              state(d))
        files = sorted(os.listdir(os.path.join(folder(d), 'saved')))
        check('its state is on disk', files == ['config.json', 'memory', 'state'], files)
        d.done('POST', '/v1/vms/web/restore')
        check('restored, and its state is gone from the disk', state(d)[0] == 'running' and
              not os.path.exists(os.path.join(folder(d), 'saved')), state(d))
    n = crash.counters(d, 'web')
    time.sleep(0.3)
    check('it counts on, without a gap', crash.counters(d, 'web') > n)
    d.done('POST', '/v1/vms/web/pause')
    d.done('POST', '/v1/vms/web/suspend')
    d.done('POST', '/v1/vms/web/restore')
    check('a paused one, too', state(d)[0] == 'running', state(d))


def damaged(d, tmp):
    d.done('POST', '/v1/vms/web/suspend')
    saved = os.path.join(folder(d), 'saved', 'state')
    with open(saved, 'r+b') as f:
        f.seek(1000)
        byte = f.read(1)
        f.seek(1000)
        f.write(bytes([byte[0] ^ 4]))
    why = failed(d, '/v1/vms/web/restore')
    check('a flipped bit is found, and it stays suspended', 'has changed' in why and
          state(d)[0] == 'suspended', (why, state(d)))
    with open(saved, 'r+b') as f:
        f.seek(1000)
        f.write(byte)
    d.ok('PATCH', '/v1/vms/web', {'config': config_of(tmp, memory='16M')})
    why = failed(d, '/v1/vms/web/restore')
    check('another size of memory is refused', '16' in why and state(d)[0] == 'suspended',
          (why, state(d)))
    d.ok('PATCH', '/v1/vms/web', {'config': config_of(tmp)})
    d.done('POST', '/v1/vms/web/restore')
    check('as it was it comes back', state(d)[0] == 'running', state(d))
    crash.counters(d, 'web')


def by_hand(d, tmp):
    """What is saved can be looked at, and run without a manager."""
    d.done('POST', '/v1/vms/web/suspend')
    saved, holm = os.path.join(folder(d), 'saved'), os.path.join(holmd.BIN, 'holm')
    shown = subprocess.run([holm, 'snapshot', 'inspect', saved], capture_output=True, check=False)
    state_of = json.loads(shown.stdout or b'{}')
    check('snapshot inspect shows it', state_of.get('machine', {}).get('vcpus') == 1 and
          'vcpu0' in state_of and 'device:pic' in state_of, shown)
    with open(os.path.join(saved, 'state'), 'rb') as f:
        cut = f.read()[:-1]
    bad_place = os.path.join(tmp, 'bad')
    os.makedirs(bad_place)
    with open(os.path.join(bad_place, 'state'), 'wb') as f:
        f.write(cut)
    shown = subprocess.run([holm, 'snapshot', 'inspect', bad_place], capture_output=True,
                           check=False)
    check('and says what is cut short', shown.returncode not in (0, 1) and not shown.stdout and
          b'cut short' in shown.stderr and shown.stderr.count(b'\n') == 1, shown)
    with subprocess.Popen([holm, 'run', '--restore', saved, '--serial', f'file:{tmp}/serial'],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        time.sleep(1.5)
        run.kill()
        said = run.stderr.read()
    with open(f'{tmp}/serial', encoding='ascii') as f:
        numbers = [int(line, 16) for line in f.read().splitlines()[1:-1] if len(line) == 8]
    last = [line for line in d.raw('GET', '/v1/vms/web/log')[1].decode().splitlines()
            if len(line) == 8][-1]
    check('holm run --restore counts on from there', len(numbers) > 2 and
          int(last, 16) < numbers[0] <= int(last, 16) + 2 and
          numbers == list(range(numbers[0], numbers[0] + len(numbers))), (last, numbers, said))
    d.done('POST', '/v1/vms/web/restore')


def disks(d, tmp):
    """What a suspended VM last saw of its disks must stay."""
    disk = os.path.join(tmp, 'shared.raw')
    with open(disk, 'wb') as f:
        f.truncate(1 << 20)
    d.ok('POST', '/v1/pools', {'name': 'pool', 'path': os.path.join(tmp, 'pool')})
    d.ok('POST', '/v1/volumes', {'name': 'data', 'pool': 'pool', 'size': '1M'})
    both = {'disks': [disk, 'volume:data']}
    create(d, tmp, 'one', **both)
    d.done('POST', '/v1/vms/one/suspend')
    for given in (disk, 'volume:data'):
        d.ok('POST', '/v1/vms', {'name': 'two', 'config': config_of(tmp, disks=[given])})
        why = failed(d, '/v1/vms/two/start')
        check(f'nobody else starts with its disk {os.path.basename(given)}', "VM 'one'" in why and
              'suspended' in why, why)
        d.ok('POST', '/v1/vms/two/purge')
    got = d.call('PUT', '/v1/volumes/data/data', b'x' * (1 << 20))
    check('its volume is not overwritten', got[0] == 409, got)
    got = d.call('PATCH', '/v1/volumes/data', {'size': '512K', 'shrink': True})
    check('nor cut', got[0] == 409, got)
    d.ok('PATCH', '/v1/vms/one', {'config': config_of(tmp, disks=['volume:data', disk])})
    why = failed(d, '/v1/vms/one/restore')
    check('it does not come back with other disks', 'other disks' in why and
          state(d, 'one')[0] == 'suspended', why)
    d.ok('PATCH', '/v1/vms/one', {'config': config_of(tmp, **both)})
    d.done('POST', '/v1/vms/one/restore')
    check('and it goes on with both', state(d, 'one')[0] == 'running', state(d, 'one'))


def removed(d):
    d.done('POST', '/v1/vms/web/suspend')
    where = folder(d)
    d.ok('POST', '/v1/vms/web/kill')
    check('killed while suspended: its state is removed', state(d)[0] == 'stopped' and
          not os.path.exists(os.path.join(where, 'saved')), state(d))
    d.done('POST', '/v1/vms/web/start')
    d.done('POST', '/v1/vms/web/suspend')
    d.ok('POST', '/v1/vms/web/purge')
    check('purged: nothing is left', not os.path.exists(where))


def full_disk(d):
    """A file system without room for the state lies over the VM's folder for a while."""
    where = folder(d)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=16k', 'none', where], check=True)
    try:
        why = failed(d, '/v1/vms/web/suspend')
        check('a full disk is said', 'No space left' in why, why)
        d.ok('GET', '/v1/vms/web/wait?state=running&timeout_ms=5000')
        check('it runs on, and nothing half-written is left', not os.listdir(where),
              os.listdir(where))
    finally:
        subprocess.run(['umount', where], check=True)
    n = crash.counters(d, 'web')
    time.sleep(0.3)
    check('and counts on', crash.counters(d, 'web') > n)


def main(tmp):
    with holmd.Holmd(tmp) as d:
        create(d, tmp, 'web')
        round_trips(d)
        damaged(d, tmp)
        by_hand(d, tmp)
        disks(d, tmp)
        if os.getuid() == 0:
            full_disk(d)
        else:
            print('# a full disk: needs root to mount a small one', flush=True)
        removed(d)
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
