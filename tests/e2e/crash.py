#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""holmd killed with -9 at random moments under load; nothing acknowledged may be lost.

    crash.py TMP KILLS [SEED]

As root and with a network namespace of its own, half of the VMs have a card on a managed network,
so taps, leases and control groups are among what must not be left over.

Theory of operation: worker threads create, start, stop and purge VMs and note each answer that
they got. A request whose answer the kill took away may have happened or not; what was answered
must be so after the restart. Two keepers run from the first kill to the last; their counters,
read from their logs, must go on without a gap or a new beginning, in the same process.
"""
import collections
import glob
import os
import random
import socket
import sys
import threading
import time

import holmd

GONE, THERE, UNSURE = 'gone', 'there', 'unsure'


class Model:
    """What the answers say must be so."""

    def __init__(self):
        self.lock = threading.Lock()
        self.there = {}       # name -> GONE, THERE or UNSURE
        self.running = {}     # name -> True, False, or None: unsure
        self.counts = collections.Counter()

    def note(self, name, there=None, running=None, unsure=False):
        with self.lock:
            if unsure:
                self.running[name] = None
            if there is not None:
                self.there[name] = there
            if running is not None:
                self.running[name] = running


class Worker(threading.Thread):
    """Does things to VMs of its own until told to stop."""

    def __init__(self, daemon, model, number, seed, config):
        super().__init__(daemon=True)
        self.d, self.model, self.config = daemon, model, config
        self.random = random.Random(seed)
        self.names = [f'w{number}-{i}' for i in range(4)]
        self.stop = False

    def step(self, name):
        m, there = self.model, self.model.there.get(name, GONE)
        if there == GONE:
            m.note(name, there=UNSURE, unsure=True)
            net = self.config['net'] if name.endswith(('0', '2')) else 'none'
            status, _ = self.d.call('POST', '/v1/vms', {
                'name': name, 'config': {**self.config, 'net': net}})
            if status == 201:
                m.note(name, there=THERE, running=False)
            m.counts[f'create {status}'] += 1
            return
        verb = self.random.choice(['start', 'start', 'kill', 'shutdown', 'pause', 'purge',
                                     'suspend', 'restore'])
        m.note(name, unsure=True, there=UNSURE if verb == 'purge' else None)
        body = {'timeout_ms': 200} if verb == 'shutdown' else None
        status, answer = self.d.call('POST', f'/v1/vms/{name}/{verb}', body)
        m.counts[f'{verb} {status}'] += 1
        if verb == 'purge':
            m.note(name, there=GONE if status == 204 else THERE)
            return
        if status == 202:
            _, op = self.d.call('GET', f'/v1/operations/{answer["id"]}?wait_ms=3000')
            if op.get('state') == 'done':
                m.counts[f'{verb} done'] += 1
                m.note(name, running=AFTER[verb])

    def run(self):
        while not self.stop:
            try:
                self.step(self.random.choice(self.names))
            except OSError:
                time.sleep(0.005)


# Whether a VM runs after a verb that was done; None: not to be told.
AFTER = {'start': True, 'restore': True, 'kill': False, 'shutdown': False, 'pause': None,
         'suspend': None}


class Sleeper(threading.Thread):
    """Has one VM suspended and restored all the time; what it counts must miss nothing."""

    def __init__(self, d, name):
        super().__init__()
        self.d, self.name_of_vm, self.stop, self.naps = d, name, False, 0

    def nap(self):
        path = f'/v1/vms/{self.name_of_vm}'
        state = self.d.ok('GET', path)['state']
        verb = {'running': 'suspend', 'paused': 'resume', 'suspended': 'restore'}.get(state)
        if not verb:
            time.sleep(0.01)
            return
        status, answer = self.d.call('POST', f'{path}/{verb}')
        if status == 202:
            _, op = self.d.call('GET', f'/v1/operations/{answer["id"]}?wait_ms=3000')
            self.naps += verb == 'restore' and op.get('state') == 'done'

    def run(self):
        while not self.stop:
            try:
                self.nap()
            except (OSError, RuntimeError):
                time.sleep(0.005)


def settle(d, seconds=20):
    """Until no VM is on its way; the list."""
    end = time.monotonic() + seconds
    while True:
        vms = d.vms()
        moving = [n for n, v in vms.items() if v['state'] in
                  ('starting', 'stopping', 'suspending', 'resuming')]
        if not moving:
            return vms
        if time.monotonic() > end:
            raise AssertionError(f'do not settle: {[(n, vms[n]["state"]) for n in moving]}')
        time.sleep(0.02)


def groups(d):
    """Ids of VMs that have a control group below this daemon's own, see src/mgr/groups.c."""
    number = 0xcbf29ce484222325
    for byte in d.run.encode():
        number = (number ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    base = f'holm-{number:016x}'
    return {os.path.basename(g)[3:] for g in
            glob.glob(f'/sys/fs/cgroup/**/{base}/**/vm-*', recursive=True)}


def check_host(d, live, plugged, seconds=5):
    """Control groups and taps are those of VMs that live; groups may take a moment to go."""
    if os.getuid() != 0:
        return
    end = time.monotonic() + seconds
    while groups(d) - live and time.monotonic() < end:
        time.sleep(0.05)
    found = groups(d)
    assert found == live, f'control groups {found}, live VMs {live}'
    taps = {t[2:] for _, t in socket.if_nameindex() if t.startswith('ht') and len(t) == 12}
    assert taps == {i[:10] for i in plugged}, f'taps {taps}, VMs with a card {plugged}'


def check(d, model, keepers):
    vms = settle(d)
    for name, there in model.there.items():
        if there == THERE:
            assert name in vms, f'{name} was acknowledged and is gone'
        elif there == GONE:
            assert name not in vms, f'{name} was purged and is back'
        else:
            model.there[name] = THERE if name in vms else GONE
    for name, running in model.running.items():
        state = vms.get(name, {}).get('state')
        if running is True and name in vms:
            assert state == 'running', f'{name} was started and is {state}'
        elif running is False and name in vms:
            assert state in ('created', 'stopped', 'crashed'), f'{name} was ended and is {state}'
        model.running[name] = None
    ids = {v['id']: v for v in vms.values()}
    live = {i for i, v in ids.items() if v['state'] in ('running', 'paused')}
    processes = d.processes()
    assert set(processes) == live, f'processes {set(processes)}, live VMs {live}'
    for i, pid in processes.items():
        assert ids[i]['run']['pid'] == pid, f'{ids[i]["name"]}: pid {pid}, not that of its record'
    places = set(os.listdir(os.path.join(d.run, 'vm')))
    assert places == live, f'folders of no process: {places - live}'
    logs = set(os.listdir(os.path.join(d.state, 'vm')))
    assert logs <= set(ids), f'folders of no VM: {logs - set(ids)}'
    check_host(d, live, {i for i in live if ids[i]['config']['net'] != 'none'})
    state = vms['sleeper']['state']
    assert state in ('running', 'paused', 'suspended'), f'the sleeper is {state}'
    for name, pid in keepers.items():
        assert processes[vms[name]['id']] == pid, f'{name} has another process'


def counters(d, name):
    """The numbers in a keeper's log; they must be 1, 2, 3 ..."""
    _, text, _ = d.raw('GET', f'/v1/vms/{name}/log')
    numbers = [int(line, 16) for line in text.decode().splitlines() if len(line) == 8]
    for i, n in enumerate(numbers):
        assert n == numbers[0] + i, f'{name}: {n} after {numbers[i - 1]}'
    assert numbers and numbers[0] == 1, f'{name} does not begin at 1'
    return len(numbers)


def strays():
    """All holm-vmm of this test, whether their folder is known or not."""
    count = 0
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/environ', 'rb') as f:
                mine = f'HOLM_TEST={os.getpid()}'.encode() in f.read()
            with open(f'/proc/{pid}/comm', encoding='ascii') as f:
                count += mine and not f.read().startswith(('holmd', 'python'))
        except OSError:
            pass
    return count


def load(d, model, rng, config):
    workers = [Worker(d, model, i, rng.randrange(1 << 30), config) for i in range(3)]
    workers.append(Sleeper(d, 'sleeper'))
    for w in workers:
        w.start()
    return workers


def main():
    tmp, kills = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 30)
    print(f'# seed {seed}', flush=True)
    rng = random.Random(seed)
    config = {'kernel': holmd.payload(tmp, 'count'), 'memory': '8M', 'net': 'none',
              'engine': 'soft'}
    model = Model()
    env = {'HOLM_TEST': str(os.getpid())}
    with holmd.Holmd(tmp, env=env) as d:
        keepers = {}
        if 'HOLM_TEST_NET' in os.environ:
            d.ok('POST', '/v1/networks', {'name': 'lan', 'kind': 'isolated'})
            d.ok('POST', '/v1/networks/lan/start')
            config['net'] = 'network:lan'
        for name in ('keeper-a', 'keeper-b'):
            d.ok('POST', '/v1/vms', {'name': name, 'config': config})
            d.done('POST', f'/v1/vms/{name}/start')
            keepers[name] = d.ok('GET', f'/v1/vms/{name}')['run']['pid']
        d.ok('POST', '/v1/vms', {'name': 'sleeper', 'config': config})
        d.done('POST', '/v1/vms/sleeper/start')
        naps, workers = 0, load(d, model, rng, config)
        for kill in range(kills):
            time.sleep(rng.uniform(0.0, 0.25))
            d.kill()
            # The workers' requests fail now; each notes that before it asks again.
            for w in workers:
                w.stop = True
            for w in workers:
                w.join(10)
            naps += workers[-1].naps
            d.start()
            try:
                check(d, model, keepers)
            except AssertionError as why:
                print(f'kill {kill}: {why}\n{d.tail()}')
                return 1
            workers = load(d, model, rng, config)
        for w in workers:
            w.stop = True
        for w in workers:
            w.join(10)
        settle(d)
        ticks = [counters(d, name) for name in (*keepers, 'sleeper')]
        assert naps or kills < 10, 'the sleeper was never restored'
        left = strays()
        assert left == len(d.processes()), f'{left} processes, {len(d.processes())} known'
        intact = d.ok('GET', '/v1/audit/verify')
        assert intact['intact'], intact
        print(f'# {kills} kills, keepers counted to {ticks}, the last one after {naps} '
              f'restores, {intact["entries"]} audit entries, '
              f'answers: {dict(sorted(model.counts.items()))}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
