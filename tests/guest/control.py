#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A manager of one VM, made of the standard library: starts holm-vmm with the descriptors that
holmd would give it, drives its control socket and its console, and prints "T ok NAME" or
"T bad NAME: WHY" for each thing that it checks. test_managed.sh knows which it must see.

usage: control.py HOLM_VMM KERNEL INITRD ENGINE FOLDER [tap | payload]
"""
import fcntl
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time

VMM, KERNEL, INITRD, ENGINE, FOLDER = sys.argv[1:6]
ID = '9f0c4f6ad3b21e77'
MIB = 1 << 20


def check(name, good, why=''):
    print(f'T ok {name}' if good else f'T bad {name}: {str(why)[-600:]!r}', flush=True)
    return good


def listener(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.bind(path)
    s.listen(16)
    return s


class Packets:
    """One connection; packets are kept until somebody asks for them."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.settimeout(20)
        self.s.connect(path)

    def recv(self, seconds=20):
        self.s.settimeout(seconds)
        try:
            return self.s.recv(1 << 17)
        except (socket.timeout, TimeoutError):
            return None
        except ConnectionError:
            return b''


class Control(Packets):
    def __init__(self, path):
        super().__init__(path)
        self.id = 0
        self.events = []
        self.hello = self.packet()

    def packet(self, seconds=20):
        text = self.recv(seconds)
        return json.loads(text) if text else text

    def raw(self, data):
        self.s.send(data)
        return self.reply()

    def reply(self):
        while True:
            p = self.packet()
            if not p or 'event' not in p:
                return p
            self.events.append(p)

    def do(self, what, fds=(), **args):
        self.id += 1
        socket.send_fds(self.s, [json.dumps({'id': self.id, 'do': what, **args}).encode()], fds)
        p = self.reply()
        assert not p or p['id'] == self.id, p
        return p

    def event(self, kind, seconds=20):
        end = time.time() + seconds
        while time.time() < end:
            for p in self.events:
                if p['event'] == kind:
                    self.events.remove(p)
                    return p
            p = self.packet(max(0.1, end - time.time()))
            if p == b'':
                return None
            if p:
                self.events.append(p)
        return None


class Console(Packets):
    def __init__(self, path, hello):
        super().__init__(path)
        self.text = ''
        self.s.send(hello.encode())
        self.answer = (self.recv() or b'').decode()

    def wait(self, pattern, seconds=20):
        """Reads until the pattern is there; what follows it stays. None: it does not come."""
        end = time.time() + seconds
        while True:
            found = re.search(pattern, self.text)
            if found:
                self.text = self.text[found.end():]
                return found
            got = self.recv(max(0.05, end - time.time()))
            if not got or time.time() > end:
                return None
            self.text += got.decode(errors='replace')

    def drain(self, seconds):
        end = time.time() + seconds
        while time.time() < end:
            got = self.recv(max(0.01, end - time.time()))
            if got == b'':
                return False
            self.text += (got or b'').decode(errors='replace')
        return True


class VM:
    def __init__(self, name, **config):
        self.name = name
        self.path = {k: f'{FOLDER}/{name}.{k}' for k in ('control', 'console', 'a', 'b', 'exit')}
        for p in ('control', 'console', 'exit'):
            if os.path.exists(self.path[p]):
                os.unlink(self.path[p])
        control, console = listener(self.path['control']), listener(self.path['console'])
        flags = os.O_RDWR | os.O_CREAT
        fds = {'control_fd': control.fileno(), 'console_fd': console.fileno(),
               'log_fd_a': os.open(self.path['a'], flags, 0o600),
               'log_fd_b': os.open(self.path['b'], flags, 0o600),
               'exit_fd': os.open(self.path['exit'], flags, 0o600)}
        stray = os.open('/dev/null', os.O_RDONLY)
        whole = {'name': name, 'id': ID, 'engine': ENGINE, 'kernel': KERNEL,
                 'memory': '128M', 'net': 'none', 'append': 'console=ttyS0 quiet panic=-1',
                 **({'initrd': INITRD} if INITRD else {}), **fds, **config}
        conf = os.memfd_create('config', 0)
        os.write(conf, json.dumps(whole).encode())
        given = [config[k] for k in ('tap_fd', 'state_fd', 'memory_fd')
                 if config.get(k, 777) != 777]
        keep = (conf, stray, *fds.values(), *given)
        for fd in keep:
            os.set_inheritable(fd, True)
        with open(f'{FOLDER}/{name}.err', 'wb') as err:
            self.process = subprocess.Popen([VMM, '--config-fd', str(conf)], pass_fds=keep,
                                            stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        for fd in (conf, stray, fds['log_fd_a'], fds['log_fd_b'], fds['exit_fd']):
            os.close(fd)
        control.close()
        console.close()

    def control(self):
        return Control(self.path['control'])

    def console(self, hello='read replay'):
        return Console(self.path['console'], hello)

    def end(self, seconds=15):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return 'it goes on'

    def record(self):
        with open(self.path['exit'], encoding='utf-8') as f:
            text = f.read()
        return json.loads(text) if text.endswith('\n') else {}


def last_count(console):
    console.drain(0.3)
    found = re.findall(r'count (\d+)', console.text)
    return int(found[-1]) if found else -1


def test_hello(vm):
    c = vm.control()
    h = c.hello or {}
    check('hello', h.get('version') == 1 and h.get('vm') == ID and h.get('engine') == ENGINE and
          h.get('pid') == vm.process.pid and h.get('why') and
          abs(h.get('started_ns', 0) / 1e9 - time.time()) < 30, h)
    fds = os.listdir(f'/proc/{vm.process.pid}/fd')
    links = [os.readlink(f'/proc/{vm.process.pid}/fd/{n}') for n in fds if int(n) > 2]
    check('no stray descriptor', '/dev/null' not in links and not any('memfd:config' in x for x in
                                                                      links), links)
    return c


def test_paused_start(vm, c):
    """The VM was started paused."""
    check('starts paused', c.hello.get('state') == 'paused', c.hello)
    r = vm.console()
    check('runs nothing while paused', r.answer == 'ok\n' and not r.wait(r'.', 1), r.text)
    stats = c.do('stats')['ok']
    check('no instruction yet', 'first_instruction_at_ns' not in stats, stats)
    p = c.do('shutdown')
    check('a state that does not allow it is named', 'paused' in p.get('error', {}).get(
        'message', ''), p)
    check('resume', 'ok' in c.do('resume') and c.event('state', 5)['state'] == 'running')
    return r


def test_pause(c, r):
    r.wait(r'count 5\r')
    up = float(r.wait(r'up ([\d.]+)').group(1))
    p = c.do('pause')
    check('pause', 'ok' in p and (c.event('state', 5) or {}).get('state') == 'paused', p)
    r.drain(0.3)
    r.text = ''
    stood = time.time()
    check('paused, the counter stands', r.drain(3) and 'count' not in r.text, r.text)
    second = c.do('pause')
    check('pause twice is refused', second.get('error', {}).get('code') == -16, second)
    other = Control(c.s.getpeername())
    check('a second manager sees it paused', other.hello['state'] == 'paused', other.hello)
    c.do('resume')
    stood = time.time() - stood
    check('a second manager is told', (other.event('state', 5) or {}).get('state') == 'running')
    other.s.close()
    check('resumed, the counter goes on', r.wait(r'count \d+', 10))
    now = float(r.wait(r'up ([\d.]+)').group(1))
    check('the guest does not see the pause', now - up < stood, f'{up} to {now} in {stood}')


def test_stats(c):
    s = c.do('stats').get('ok', {})
    check('stats', s.get('engine') == ENGINE and s.get('rss_bytes', 0) > MIB and
          s.get('ram_bytes') == 128 * MIB and s['vcpus'] and 'balloon' in s, s)


def test_bad_packets(c, r):
    bad = {'no JSON': b'{', 'an array': b'[]', 'no id': b'{"do": "stats"}',
           'an unknown command': b'{"id": 5, "do": "dance"}',
           'an unknown field': b'{"id": 5, "do": "stats", "x": 1}',
           'too long': b'{"id": 5, "do": "stats"}' + b' ' * 70000,
           'a bad forward': b'{"id": 5, "do": "publish", "forward": "x"}',
           'a balloon beyond its memory': b'{"id": 5, "do": "balloon", "target": 999999999999}',
           'a forward without a network': b'{"id": 5, "do": "publish", "forward": "8080:80"}'}
    answers = {k: c.raw(v) for k, v in bad.items()}
    wrong = [k for k, p in answers.items()
             if not p or not p['error']['message'] or p['error']['code'] >= 0]
    check('bad packets are refused', not wrong, [answers[k] for k in wrong])
    r.text = ''
    check('and the VM goes on', r.wait(r'count \d+', 10))


def test_foreign(vm, c):
    if os.getuid():
        print('T skip foreign uid')
        return
    for p in (FOLDER, vm.path['control'], vm.path['console']):
        os.chmod(p, 0o777)
    code = ('import socket, sys\n'
            'for p, hello in ((sys.argv[1], b""), (sys.argv[2], b"read")):\n'
            '  s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n'
            '  s.connect(p)\n'
            '  try:\n'
            '    if hello: s.send(hello)\n'
            '    print(s.recv(9999))\n'
            '  except ConnectionError: print(b"")\n')
    out = subprocess.run(['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups',
                          '/usr/bin/python3', '-c', code, vm.path['control'], vm.path['console']],
                         capture_output=True, text=True, check=False)
    lines = out.stdout.splitlines()
    check('foreign uid', len(lines) == 2 and lines[0] == "b''" and
          (lines[1] == "b''" or 'another user' in lines[1]), out)
    check('and the manager is still heard', 'ok' in c.do('stats'))


def test_killed_peer(vm, r):
    code = ('import socket, sys, time\n'
            's = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n'
            's.connect(sys.argv[1])\n'
            'print(1, flush=True)\n'
            'time.sleep(60)\n')
    peer = subprocess.Popen([sys.executable, '-c', code, vm.path['control']],
                            stdout=subprocess.PIPE)
    peer.stdout.readline()
    peer.kill()
    peer.wait()
    r.text = ''
    check('kill -9 of a manager leaves the VM running', r.wait(r'count \d+', 10) and
          vm.process.poll() is None)


def test_deaf_peer(vm, c, r):
    """Asks and asks and never reads: cut off, while others are served."""
    deaf = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    deaf.connect(vm.path['control'])
    deaf.settimeout(10)
    try:
        for i in range(5000):
            deaf.send(b'{"id": %d, "do": "stats"}' % (i + 1))
        cut = False
    except (ConnectionError, TimeoutError) as e:
        cut = isinstance(e, ConnectionError)
    r.text = ''
    check('a deaf manager is cut off', cut)
    check('and the machine did not wait', 'ok' in c.do('stats') and r.wait(r'count \d+', 10))


def test_console(vm):
    w = vm.console('write')
    check('writer', w.answer == 'ok\n', w.answer)
    w.s.send(b'echo typed $((40 + 2))\n')
    check('types', w.wait(r'typed 42', 10), w.text)
    again = vm.console('write')
    check('a second writer is refused', again.answer.startswith('error') and
          'force' in again.answer, again.answer)
    taker = vm.console('write force')
    check('a writer takes over', taker.answer == 'ok\n' and w.wait('another client took', 5) and
          not w.drain(1), w.text)
    taker.s.send(b'echo taken $((50 + 1))\n')
    check('and types', taker.wait(r'taken 51', 10), taker.text)
    late = vm.console('read replay\n')
    check('a late reader gets the replay', late.wait(r'typed 42', 5), late.text)
    fresh = vm.console('read')
    fresh.drain(0.5)
    check('without replay only what is new', fresh.answer == 'ok\n' and
          'typed 42' not in fresh.text, fresh.text)
    bad = vm.console('listen')
    check('an unknown mode is refused', bad.answer.startswith('error'), bad.answer)
    late.s.send(b'x')
    check('a reader that types is cut off', not late.drain(1))
    crowd = [vm.console('read') for _ in range(20)]
    served = sum(k.answer == 'ok\n' for k in crowd)
    refused = sum(k.answer.startswith('error') for k in crowd)
    check('a bound on readers', served < 17 and served + refused == 20, (served, refused))
    for k in crowd + [again, bad, late, fresh, w]:
        k.s.close()
    return taker


def test_slow_reader_and_log(vm, w):
    slow = vm.console('read')
    w.s.send(b'flood\n')
    last = ''
    for _ in range(60):
        k = vm.console('read replay')
        k.drain(0.5)
        k.s.close()
        last = k.text[-300:]
        if 'flooded' in last:
            break
    w.s.close()
    check('a flood does not wait for a slow reader', 'flooded' in last, last)
    got = 0
    while True:
        packet = slow.recv(2)
        if not packet:
            break
        got += len(packet)
    check('a slow reader is cut off', packet == b'' and got < 1200000, (packet, got))
    sizes = [os.path.getsize(vm.path[k]) for k in 'ab']
    check('the log is bounded', max(sizes) <= 512 * 1024 < sum(sizes) <= MIB, sizes)
    text = b''.join(open(vm.path[k], 'rb').read() for k in 'ab')
    check('and holds the end', b'flooded' in text)


def test_balloon(c):
    def guest(name):
        return c.do('stats')['ok']['balloon'].get(name, 0)

    for _ in range(20):
        if guest('total_bytes'):
            break
        time.sleep(0.1)
    before = guest('free_bytes')
    check('the guest tells its memory', before > 10 * MIB, before)
    check('balloon', 'ok' in c.do('balloon', target=96 * MIB))
    for _ in range(60):
        if guest('given_bytes') == 32 * MIB:
            break
        time.sleep(0.1)
    check('the guest gives', guest('given_bytes') == 32 * MIB, guest('given_bytes'))
    guest('free_bytes')
    time.sleep(0.2)
    after = guest('free_bytes')
    check('and has less', before - after > 20 * MIB, (before, after))
    check('and gets it back', 'ok' in c.do('balloon', target=128 * MIB))


def test_reset(c, r):
    r.text = ''
    p = c.do('reset')
    check('reset', 'ok' in p and r.wait(r'count 1\r', 20), r.text[-300:])
    check('the process is the same', c.do('stats')['ok']['resets'] == 1)


def test_shutdown(vm, c):
    check('shutdown', 'ok' in c.do('shutdown'))
    end = c.event('end', 15)
    check('the end is told', end == {'event': 'end', 'end': 'poweroff', 'code': 0}, end)
    code, record = vm.end(), vm.record()
    check('and recorded', code == 0 and record.get('end') == 'poweroff' and
          record.get('code') == 0 and
          re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z', record.get('at', '')) and
          abs(time.time() - time.mktime(time.strptime(record['at'][:19], '%Y-%m-%dT%H:%M:%S')) +
              time.timezone) < 10, (code, record))


def test_network_and_quit():
    """On a second VM with a user-mode network, paused: its port forwards, then quit."""
    vm = VM('net', net='user', paused=True, mac='52:54:00:12:34:56', on_reboot='exit')
    c = vm.control()
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    p = c.do('publish', forward=f'{port}:80')
    with socket.socket() as s:
        check('publish', 'ok' in p and s.connect_ex(('127.0.0.1', port)) == 0, p)
    p = c.do('publish', forward=f'{port}:81')
    check('publish twice is refused', str(port) in p.get('error', {}).get('message', ''), p)
    p = c.do('unpublish', forward=f'{port}:80')
    with socket.socket() as s:
        check('unpublish', 'ok' in p and s.connect_ex(('127.0.0.1', port)) != 0, p)
    p = c.do('unpublish', forward=f'{port}:80')
    check('unpublish twice is refused', p.get('error', {}).get('code') == -2, p)
    check('quit', 'ok' in c.do('quit') and (c.event('end', 5) or {}).get('end') == 'quit')
    code, record = vm.end(), vm.record()
    check('quit is recorded', code == 20 and record.get('end') == 'quit' and
          record.get('code') == 20, (code, record))


def test_many_vcpus():
    """The counters of the largest machine fit into a packet."""
    vm = VM('many', cpus=64, paused=True)
    c = vm.control()
    s = c.do('stats').get('ok', {})
    check('stats of 64 vCPUs', len(s.get('vcpus', [])) == 64 and
          len(json.dumps(s['vcpus'])) < 40000, s)
    others = [vm.control() for _ in range(4)]
    check('a bound on managers', [bool(k.hello) for k in others] == [True] * 3 + [False],
          [k.hello for k in others])
    c.do('quit')
    vm.end()


def test_tap():
    """In a network name space of its own: a tap that the manager opened."""
    tun = os.open('/dev/net/tun', os.O_RDWR)
    # TUNSETIFF; IFF_TAP, IFF_NO_PI, IFF_VNET_HDR
    fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH22x', b'managed0', 0x2 | 0x1000 | 0x4000))
    subprocess.run('ip addr add 10.9.0.1/24 dev managed0 && ip link set managed0 up', shell=True,
                   check=True)
    vm = VM('tap', net='network:lab', mac='52:54:00:12:34:57', tap_fd=tun,
            append='console=ttyS0 quiet panic=-1 holm.nonet')
    w = vm.console('write')
    w.wait(r'count 1\r')
    w.s.send(b'cat /sys/class/net/eth0/address; ip addr add 10.9.0.2/24 dev eth0; '
             b'ip link set eth0 up; ping -c 3 -w 5 10.9.0.1\n')
    check('the given mac', w.wait('52:54:00:12:34:57', 10), w.text)
    check('a tap of the manager', w.wait('bytes from 10.9.0.1', 10), w.text)
    c = vm.control()
    c.do('quit')
    vm.end()


def start_tap():
    names = ('the given mac', 'a tap of the manager')
    if os.getuid() or not os.path.exists('/dev/net/tun'):
        print(''.join(f'T skip {n}\n' for n in names), end='')
        return
    subprocess.run(['unshare', '-n', sys.executable, *sys.argv[:6], 'tap'], check=False)


def test_failed_start():
    vm = VM('bad', kernel=FOLDER + '/missing')
    code, record = vm.end(), vm.record()
    check('a start that fails is recorded', code == 4 and record.get('end') == 'error' and
          record.get('code') == 4 and 'missing' in record.get('message', ''), (code, record))
    vm = VM('bad', net='network:lab')
    code, record = vm.end(), vm.record()
    check('a network of the manager needs its descriptor', code == 2 and
          'network lab' in record.get('message', ''), (code, record))
    vm = VM('bad', tap_fd=777, net='network:lab')
    code, record = vm.end(), vm.record()
    check('a descriptor that is not open is named', '777' in record.get('message', ''),
          (code, record))


def test_payload():
    """What the engine has a part in, with a guest that prints its TSC for each byte."""
    def tsc():
        w.s.send(b'?')
        return int(w.wait(r'([0-9a-f]{8})\n', 10).group(1), 16)

    vm = VM('payload', paused=True)
    try:
        c = vm.control()
        check('payload: starts paused', c.hello['state'] == 'paused' and
              c.hello['engine'] == ENGINE, c.hello)
        w = vm.console('write')
        c.do('resume')
        one = tsc()
        time.sleep(1)
        second = tsc() - one
        check('payload: its clock goes', second > 1000, second)
        before = tsc()
        check('payload: pause', 'ok' in c.do('pause'))
        w.s.send(b'?')
        check('payload: stands still', w.drain(3) and not w.text, w.text)
        check('payload: resume', 'ok' in c.do('resume') and w.wait(r'[0-9a-f]{8}\n', 10))
        stood = tsc() - before
        with open(f'{FOLDER}/payload.err', encoding='utf-8') as f:
            cannot = "the guest's clocks went on" in f.read()
        check('payload: its clock stood, or it is said that it cannot',
              0 <= stood < 1.5 * second or (cannot and ENGINE == 'kvm'), (stood, second))
        stats = c.do('stats').get('ok', {})
        check('payload: stats', stats.get('engine') == ENGINE and stats.get('vcpus'), stats)
        check('payload: reset', 'ok' in c.do('reset') and c.do('stats')['ok']['resets'] == 1 and
              tsc() >= 0)
        c.do('pause')
        check('payload: reset while paused', 'ok' in c.do('reset') and
              c.do('stats')['ok']['resets'] == 2 and 'ok' in c.do('resume') and tsc() >= 0)
        check('payload: quit', 'ok' in c.do('quit') and vm.end() == 20 and
              vm.record().get('end') == 'quit', vm.record())
    finally:
        vm.process.kill()


def main():
    if sys.argv[6:] == ['payload']:
        test_payload()
        return
    if sys.argv[6:] == ['tap']:
        test_tap()
        return
    vm = VM('one', paused=True)
    try:
        c = test_hello(vm)
        r = test_paused_start(vm, c)
        test_failed_start()
        test_network_and_quit()
        test_many_vcpus()
        start_tap()
        test_pause(c, r)
        test_stats(c)
        test_bad_packets(c, r)
        test_foreign(vm, c)
        test_killed_peer(vm, r)
        test_deaf_peer(vm, c, r)
        test_balloon(c)
        test_reset(c, r)
        r.s.close()
        w = test_console(vm)
        test_slow_reader_and_log(vm, w)
        test_shutdown(vm, c)
    finally:
        vm.process.kill()


if __name__ == '__main__':
    main()
