#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Limits of a VM's I/O and network, from the start and changed while it runs. What is measured has
lower bounds only: a slow host makes it longer. Prints as control.py does; test_limits.sh knows
what it must see.

usage: limits.py HOLM_VMM KERNEL INITRD ENGINE FOLDER
"""
import functools
import http.server
import socket
import threading
import time

from control import FOLDER, MIB, VM, check

KIB = 1 << 10
DISK = f'{FOLDER}/limits.raw'


class Guest:
    """A guest's shell, of test_limits.sh: what is typed is run; a mark says that it has ended."""

    def __init__(self, vm):
        self.w = vm.console('write')
        self.n = 0

    def begin(self, command):
        self.n += 1
        self.w.s.send(f'timed {self.n} {command}\n'.encode())

    def took(self, seconds=60):
        """Seconds of the guest's that the last command took; None: it goes on, -1: it failed."""
        found = self.w.wait(rf'DONE {self.n} (\d+) ([\d.]+) ([\d.]+)\r', seconds)
        if not found:
            return None
        status, start, end = found.groups()
        return float(end) - float(start) if status == '0' else -1

    def run(self, command, seconds=60):
        self.begin(command)
        return self.took(seconds)


def read(at, count=12):
    return f'dd if=/dev/vda of=/dev/null bs=1M skip={at} count={count}'


def test_io(c, g):
    took = g.run(read(0))
    print(f'# 12 MiB at 4 MiB/s: {took} s of the guest')
    check('io: the limit holds', took and took >= 2.5, took)
    stats = c.do('stats')['ok']['disks'][0]['read']
    check('io: every read is in the histogram', sum(stats['latency_us']) == stats['ops'] > 0 and
          len(stats['latency_us']) <= 25, stats)
    # At 64 KiB/s it would take three minutes.
    c.do('limits', io=64 * KIB)
    g.begin(read(12))
    check('io: a lower one holds at once', g.took(2) is None)
    # A guest that stands waits for nothing, and is not let go by a change either.
    before = c.do('stats')['ok']['disks'][0]['read']['ops']
    c.do('pause')
    settled = c.do('stats')['ok']['disks'][0]['read']['bytes']
    c.do('limits', io=0)
    time.sleep(0.3)
    after = c.do('stats')['ok']['disks'][0]['read']['bytes']
    check('io: nothing of what waits is read while it is paused',
          after - settled <= 256 * KIB, (before, settled, after))
    c.do('resume')
    took = g.took(30)
    print(f'# 12 MiB, lifted meanwhile: {took} s')
    check('io: lifted while it waits', took and took > 0, took)


def serve():
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with open(f'{FOLDER}/file', 'wb') as f:
        f.truncate(4 * MIB)
    s = http.server.ThreadingHTTPServer(('127.0.0.1', 0),
                                        functools.partial(Quiet, directory=FOLDER))
    threading.Thread(target=s.serve_forever, daemon=True).start()
    return s.server_address[1]


def sink(got):
    """A port of the host's that takes what one client sends; got: bytes and when it ended."""
    s = socket.create_server(('127.0.0.1', 0))

    def take():
        k, n = s.accept()[0], 0
        start = time.monotonic()
        while data := k.recv(1 << 16):
            n += len(data)
        got.append((n, time.monotonic() - start))

    threading.Thread(target=take, daemon=True).start()
    return s.getsockname()[1]


def test_net(c, g):
    get = f'wget -q -O /dev/null http://10.0.2.2:{serve()}/file'
    took = g.run(get)
    print(f'# 4 MiB down at 1 MiB/s: {took} s of the guest')
    check('net: the limit holds for what comes', took and took >= 3, took)
    dropped = c.do('stats')['ok']['net']
    check('net: nothing was dropped for it', dropped['rx_dropped'] == 0, dropped)
    check('net: what is sent is measured', sum(dropped['tx_latency_us']) > 0, dropped)
    got = []
    g.run(f'sh -c "head -c 2097152 /dev/zero | nc 10.0.2.2 {sink(got)}"')
    for _ in range(100):
        if got:
            break
        time.sleep(0.1)
    print(f'# 2 MiB up at 1 MiB/s: {got}')
    check('net: the limit holds for what goes', got and got[0][0] == 2 * MIB and got[0][1] >= 1.5,
          got)
    # At 16 KiB/s it would take four minutes.
    c.do('limits', net=16 * KIB)
    g.begin(get)
    check('net: a lower one holds at once', g.took(2) is None)
    c.do('limits', net=0)
    took = g.took(30)
    print(f'# 4 MiB down, lifted meanwhile: {took} s')
    check('net: lifted while it waits', took and took > 0, took)


def test_requests(c):
    wrong = [c.do('limits'), c.do('limits', io=-1), c.do('limits', net=(1 << 50) + 1),
             c.do('limits', io='4M'), c.do('limits', disk=1)]
    check('a bad request is refused', all('error' in p for p in wrong), wrong)


def test_reset_and_quit(vm, c, g):
    c.do('limits', io=4 * KIB)
    g.begin('dd if=/dev/zero of=/dev/vda bs=64k count=64 conv=fsync')
    check('writes wait', g.took(2) is None)
    c.do('reset')
    # What was let through is owed still, and a booting guest reads its disk's partition table.
    c.do('limits', io=0)
    check('reset while requests wait', g.w.wait('READY', 30), g.w.text)
    check('and its disk works', (g.run(read(0, 1)) or 0) > 0)
    c.do('limits', io=4 * KIB)
    g.begin(read(16))
    check('reads wait', g.took(1) is None)
    c.do('quit')
    code = vm.end()
    check('quit while requests wait', code == 20, code)


def test_quit_while_busy():
    """Without a limit: what the host has begun is waited for."""
    vm = VM('busy', disks=[DISK])
    g = Guest(vm)
    g.w.wait('READY', 30)
    for _ in range(4):
        g.begin('sh -c "while :; do dd if=/dev/zero of=/dev/vda bs=1M count=32 oflag=direct; '
                'done" &')
    g.took(1)
    c = vm.control()
    c.do('reset')
    check('reset of a busy disk', g.w.wait('READY', 30), g.w.text)
    for _ in range(4):
        g.begin('sh -c "while :; do dd if=/dev/zero of=/dev/vda bs=1M count=32 oflag=direct; '
                'done" &')
    g.took(1)
    c.do('quit')
    code = vm.end()
    check('quit with a busy disk', code == 20, code)


def main():
    with open(DISK, 'wb') as f:
        f.truncate(32 * MIB)
    vm = VM('limits', disks=[DISK], net='user', io_limit='4M', net_limit=MIB)
    try:
        g = Guest(vm)
        c = vm.control()
        check('boots', g.w.wait('READY', 30), g.w.text)
        test_requests(c)
        test_io(c, g)
        test_net(c, g)
        test_reset_and_quit(vm, c, g)
        test_quit_while_busy()
    finally:
        vm.process.kill()


main()
