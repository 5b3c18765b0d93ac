#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Saves a VM's state at random instants and goes on from it in a new process, again and again.

usage: saved.py HOLM_VMM KERNEL INITRD ENGINE[/ENGINE...] FOLDER ROUNDS

The engines take turns. The guest (saved.sh) hashes a file in its memory, writes its disk and
reads it back, counts, and says "BAD" where anything is wrong. "T ok NAME" or "T bad NAME: WHY"
for each thing checked.
"""
import os
import random
import re
import sys
import time

ENGINES = sys.argv[4].split('/')
ROUNDS = int(sys.argv[6])
sys.argv[4] = ENGINES[0]

import control  # pylint: disable=wrong-import-position
from control import FOLDER, VM, check  # pylint: disable=wrong-import-position

DISK = f'{FOLDER}/disk.raw'
PROOF_S = 60
AWAY_S = 6  # once between two processes: no time for the guest


def save(c, state, memory):
    """The answer to a save into two fresh files."""
    files = [os.open(p, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600) for p in (state, memory)]
    try:
        return c.do('save', fds=files)
    finally:
        for fd in files:
            os.close(fd)


def start(n, engine, saved=None):
    config = {'engine': engine, 'cpus': 2, 'disks': [DISK],
              'cpu_model': 'portable' if len(ENGINES) > 1 else 'host'}
    if saved:
        config.update(zip(('state_fd', 'memory_fd'), (os.open(p, os.O_RDONLY) for p in saved)))
    vm = VM(f'saved-{n % 2}', **config)
    for fd in (config[k] for k in ('state_fd', 'memory_fd') if k in config):
        os.close(fd)
    return vm


def errors(vm):
    with open(f'{FOLDER}/{vm.name}.err', encoding='utf-8') as f:
        return f.read()


class Guest:
    """What its console says, over all its processes."""

    def __init__(self):
        self.text = ''
        self.seen = {}

    def follow(self, console, wanted, seconds=PROOF_S):
        """Until each of the wanted counters has moved; what does not."""
        before, end = dict(self.seen), time.time() + seconds
        moved = set()
        while time.time() < end and not moved >= set(wanted):
            console.drain(0.1)
            self.text += console.text
            console.text = ''
            for what, n in re.findall(r'(count|hash|disk) (\d+)\r', self.text):
                self.seen[what] = max(int(n), self.seen.get(what, 0))
            moved = {w for w in wanted if self.seen.get(w, 0) > before.get(w, 0)}
            if 'BAD' in self.text or 'Call Trace' in self.text:
                break
            self.text = self.text[-200:]
        return sorted(set(wanted) - moved)

    def up(self, console):
        found = console.wait(r'up ([\d.]+)\r', 20)
        return float(found.group(1)) if found else -1


def refusals(c):
    """While it runs, and without descriptors."""
    paths = (f'{FOLDER}/no-state', f'{FOLDER}/no-memory')
    got = save(c, *paths)
    check('a VM that runs is not saved', 'running' in got.get('error', {}).get('message', ''), got)
    c.do('pause')
    got = c.do('save')
    check('save without files is refused', 'descriptors' in got.get('error', {}).get(
        'message', ''), got)
    full = [os.open('/dev/full', os.O_RDWR), os.open(paths[1], os.O_RDWR)]
    got = c.do('save', fds=full)
    for fd in full:
        os.close(fd)
    check('a full disk is told', got.get('error', {}).get('code') == -28, got)
    check('and the VM goes on', 'ok' in c.do('resume'))


def damaged(saved):
    """Each must end with a sentence, and nothing else."""
    state, memory = (open(p, 'rb').read() for p in saved)
    middle = len(state) // 2
    cases = {
        'cut short': (state[:middle], None),
        'a flipped bit': (state[:middle] + bytes([state[middle] ^ 1]) + state[middle + 1:], None),
        'foreign': (b'x' * len(state), None),
        'of a newer version': (state[:8] + b'\x63' + state[9:], None),
        'memory cut short': (state, len(memory) - 4096),
    }
    wrong = {}
    for name, (text, size) in cases.items():
        paths = (f'{FOLDER}/bad-state', f'{FOLDER}/bad-memory')
        with open(paths[0], 'wb') as f:
            f.write(text)
        with open(paths[1], 'wb') as f:
            f.truncate(len(memory) if size is None else size)
        vm = start(0, ENGINES[0], paths)
        code, said = vm.end(20), errors(vm)
        if code in (0, 'it goes on') or code < 0 or len(said.splitlines()) != 1:
            wrong[name] = (code, said)
    check('damaged state ends with a sentence', not wrong, wrong)


def main():
    with open(DISK, 'wb') as f:
        f.truncate(16 << 20)
    guest, everything = Guest(), ('count', 'hash', 'disk')
    vm = start(0, ENGINES[0])
    took, restored, without = [], [], 0
    try:
        console, c = vm.console(), vm.control()
        stuck = guest.follow(console, everything, 120)
        if not check('the guest works', not stuck, f'{stuck} {guest.text} {errors(vm)}'):
            return
        refusals(c)
        zero = time.time(), guest.up(console)
        for n in range(1, ROUNDS + 1):
            console.drain(random.uniform(0, 0.8))
            up = guest.up(console)
            c.do('pause')
            # Not those that this one goes on from: their pages are its memory.
            saved = (f'{FOLDER}/state-{n % 2}', f'{FOLDER}/memory-{n % 2}')
            began = time.time()
            got = save(c, *saved)
            took.append(time.time() - began)
            if 'ok' not in got:
                check('saved each time', False, got)
                return
            guest.follow(console, (), 0)
            c.do('quit')
            vm.end()
            away = time.time()
            if n == 1:
                damaged(saved)
            time.sleep(AWAY_S if n == 2 else 0)
            stood = time.time()
            without += stood - away
            vm = start(n, ENGINES[n % len(ENGINES)], saved)
            try:
                console, c = vm.console('read'), vm.control()
            except ConnectionError as e:
                check('goes on each time', False, f'round {n}: {e}: {vm.end()} {errors(vm)}')
                return
            restored.append(time.time() - stood)
            later = guest.up(console)
            if later < up:
                check('the guest\'s clock goes on', False, f'round {n}: {up} then {later}')
                return
            stuck = guest.follow(console, everything)
            if stuck or 'BAD' in guest.text or 'Call Trace' in guest.text:
                check('goes on each time', False,
                      f'round {n}: {stuck} stand still: {guest.text} {errors(vm)}')
                return
        check('saved each time', len(took) == ROUNDS)
        check('goes on each time', guest.seen['count'] > ROUNDS)
        # While there was no process no time may have passed. Linux looks after its clocks now and
        # then, so at the end, not at once.
        shown, most = guest.up(console) - zero[1], time.time() - zero[0] - without
        check('the guest\'s clock goes on', 0 < shown < most + AWAY_S / 3,
              f'it can have run for {most:.1f} s and shows {shown:.1f}')
        print(f'# {ROUNDS} rounds; save {sorted(took)[ROUNDS // 2] * 1000:.0f} ms, new process to '
              f'its hello {sorted(restored)[ROUNDS // 2] * 1000:.0f} ms, medians', flush=True)
    finally:
        vm.process.kill()


if __name__ == '__main__':
    control.check('rounds', ROUNDS > 0)
    main()
