#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A system-wide holmd, and what other users of the host can get at.

    access.py TMP

Theory of operation: as root it starts holmd with a running VM, then forks children that become
another user and try things; a child tells what it got through a pipe. Every path that root finds
below holmd's folders is tried, so a file that a later Holm puts there is tried too. A file that
all may read stands among them as a control: where even that cannot be read, the test proves
nothing and fails.

Prints "ok - TEXT" or "not ok - TEXT" lines; ends with 1 where one is not ok.
"""
import base64
import ctypes
import errno
import grp
import http.client
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time

import holmd

OTHER, NOBODY = 1234, 65534
GROUP = grp.getgrgid(NOBODY).gr_name
DENIED = (errno.EACCES, errno.EPERM)
bad = 0


def check(text, good, note=''):
    global bad
    print(f'{"ok" if good else "not ok"} - {text}', flush=True)
    if not good:
        bad += 1
        print(f'# {note}', flush=True)


def become(uid, gid, call):
    """What call() returns as another user, by way of JSON."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reader)
        try:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            answer = call()
        except BaseException as e:  # pylint: disable=broad-except
            answer = {'raised': repr(e)}
        with os.fdopen(writer, 'w') as f:
            json.dump(answer, f)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as f:
        text = f.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def attempt(call):
    """0 where it works, else the errno."""
    try:
        call()
    except OSError as e:
        return e.errno or -1
    return 0


def connect(path, kind):
    with socket.socket(socket.AF_UNIX, kind) as s:
        s.settimeout(2)
        s.connect(path)


def try_path(path, mode):
    """Ways in that a file of this mode offers, each with its errno."""
    if stat.S_ISSOCK(mode):
        return {kind.name: attempt(lambda k=kind: connect(path, k))
                for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)}
    if stat.S_ISDIR(mode):
        return {'list': attempt(lambda: os.listdir(path)),
                'make': attempt(lambda: os.mkdir(os.path.join(path, 'intruder')))}
    return {'read': attempt(lambda: os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))),
            'write': attempt(lambda: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK)))}


def all_paths(*tops):
    found = {}
    for top in tops:
        for folder, folders, files in os.walk(top):
            for name in folders + files:
                path = os.path.join(folder, name)
                found[path] = os.lstat(path).st_mode
        found[top] = os.lstat(top).st_mode
    return found


def files(d):
    control = os.path.join(d.run, 'for-all')
    with open(control, 'w', encoding='ascii') as f:
        f.write('x')
    os.chmod(control, 0o644)
    paths = all_paths(d.run, d.state)
    # Those that are to be there, or the walk proves nothing.
    wanted = ['/holm.db', '/control', '/console', '/console.a', '/vmm.log', '/pid']
    check('the walk finds the database, sockets and logs',
          all(any(p.endswith(w) for p in paths) for w in wanted), sorted(paths))
    for uid, gid in ((OTHER, OTHER), (NOBODY, OTHER), (OTHER, NOBODY)):
        got = become(uid, gid, lambda: {p: try_path(p, m) for p, m in paths.items()})
        check(f'uid {uid}: the file for all can be read, so the others are really tried',
              got.pop(control)['read'] == 0)
        run = got.pop(d.run)
        check(f'uid {uid}: nothing can be made beside the socket', run['make'] in DENIED, run)
        sock = got.pop(d.socket)
        check(f'uid {uid} gid {gid}: the socket is the group\'s alone',
              (sock['SOCK_STREAM'] == 0) == (gid == NOBODY), sock)
        open_ways = {p: ways for p, ways in got.items()
                     if any(e not in DENIED for e in ways.values())}
        check(f'uid {uid} gid {gid}: none of {len(got)} files, folders and sockets opens',
              not open_ways and len(got) > 8, open_ways)
    os.unlink(control)


def try_process(pid, fds):
    libc = ctypes.CDLL(None, use_errno=True)

    def syscall(name, *args):
        ctypes.set_errno(0)
        return 0 if getattr(libc, name)(*args) != -1 else ctypes.get_errno()

    word = ctypes.create_string_buffer(64)
    vec = (ctypes.c_void_p * 2)(ctypes.addressof(word), 8)
    ways = {'attach': syscall('ptrace', 16, pid, None, None),
            'seize': syscall('ptrace', 0x4206, pid, None, None),
            'readv': syscall('process_vm_readv', pid, vec, 1, vec, 1, 0),
            'kill': attempt(lambda: os.kill(pid, signal.SIGKILL)),
            'list fds': attempt(lambda: os.listdir(f'/proc/{pid}/fd'))}
    for name in ('mem', 'maps', 'environ', 'auxv', 'stack', 'syscall', 'io', 'pagemap'):
        if name in fds['files']:
            ways[name] = attempt(lambda n=name: open(f'/proc/{pid}/{n}', 'rb').read(1))
    for fd in fds['fds']:
        ways[f'fd {fd}'] = attempt(lambda n=fd: os.open(f'/proc/{pid}/fd/{n}', os.O_RDONLY))
    pidfd = os.pidfd_open(pid)
    for fd in fds['fds']:
        ways[f'getfd {fd}'] = syscall('syscall', 438, pidfd, int(fd), 0)
    return ways


def processes(d):
    vmm = list(d.processes().values())[0]
    for what, pid in (('the VM\'s process', vmm), ('holmd', d.process.pid)):
        links = {n: os.readlink(f'/proc/{pid}/fd/{n}') for n in os.listdir(f'/proc/{pid}/fd')}
        there = {'fds': list(links), 'files': os.listdir(f'/proc/{pid}')}
        for uid in (OTHER, NOBODY):
            got = become(uid, NOBODY, lambda p=pid: try_process(p, there))
            open_ways = {w: e for w, e in got.items() if e not in DENIED}
            check(f'uid {uid}: memory, descriptors and ptrace of {what}: {len(got)} ways, '
                  'all denied', not open_ways and len(got) > 12, open_ways)
    with open(f'/proc/{vmm}/cmdline', 'rb') as f:
        line = f.read()
    check('the VM\'s command line tells nothing', b'count.elf' not in line, line)


def ids(pid):
    """(user ids, groups, effective capabilities) of a process."""
    with open(f'/proc/{pid}/status', encoding='ascii') as f:
        lines = dict(line.rstrip('\n').split(':', 1) for line in f if ':' in line)
    return ({int(n) for n in lines['Uid'].split()}, {int(n) for n in lines['Gid'].split()},
            int(lines['CapEff'], 16) | int(lines['CapPrm'], 16))


def own_users(d, tmp):
    """Each VM's process is a user that nobody else is, and works on what root alone may open."""
    disk = os.path.join(tmp, 'private.raw')
    with open(disk, 'wb') as f:
        f.truncate(1 << 20)
    os.chmod(disk, 0o600)
    kernel = os.path.join(d.state, 'boot', 'count.elf')
    d.ok('POST', '/v1/vms', {'name': 'twin', 'config': {
        'kernel': kernel, 'memory': '8M', 'net': 'none', 'engine': 'soft', 'disks': [disk]}})
    d.done('POST', '/v1/vms/twin/start')
    d.ok('POST', '/v1/vms', {'name': 'host', 'config': {
        'kernel': kernel, 'memory': '8M', 'engine': 'soft', 'forwards': ['127.0.0.1:81:81']}})
    d.done('POST', '/v1/vms/host/start')
    pids = {name: vm['run']['pid'] for name, vm in d.vms().items()}
    got = {name: ids(pid) for name, pid in pids.items()}
    fresh = [got['web'], got['twin']]
    check('a user and a group of its own for each VM, and no capability',
          all(len(u) == 1 and min(u) >= 0x70000000 and u == g and not caps
              for u, g, caps in fresh) and fresh[0][0] != fresh[1][0], got)
    check('one that needs a right on the host, a port, stays root', got['host'][0] == {0}, got['host'])
    uid = got['twin'][0].pop()
    tried = become(uid, uid, lambda: {
        name: attempt(lambda p=pid: os.kill(p, signal.SIGKILL))
        for name, pid in {**pids, 'holmd': d.process.pid}.items() if name != 'twin'})
    check('as that user no other VM and no holmd can be killed',
          set(tried.values()) == {errno.EPERM} and len(tried) == 3, tried)
    check('nor its own disk be opened anew',
          become(uid, uid, lambda: attempt(lambda: open(disk, 'rb'))) in DENIED)
    for name in ('twin', 'host'):
        d.done('POST', f'/v1/vms/{name}/kill')
        d.ok('POST', f'/v1/vms/{name}/purge')


def ask(d, method, path, body=None, headers=None):
    """Status as the other user, who is in the group."""
    def call():
        return d.raw(method, path, body, headers)[0]
    return become(OTHER, NOBODY, call)


def console(d, mode):
    """101 where the console opens."""
    key = base64.b64encode(os.urandom(16)).decode()
    return become(OTHER, NOBODY, lambda: handshake(d, mode, key))


def handshake(d, mode, key):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(d.socket)
        s.sendall((f'GET /v1/console?vm=web&mode={mode} HTTP/1.1\r\nHost: h\r\n'
                   'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
                   f'Sec-WebSocket-Key: {key}\r\n\r\n').encode())
        return int(s.recv(4096).split()[1])


def roles(d):
    reads = ['/v1/vms', '/v1/vms/web', '/v1/vms/web/log', '/v1/vms/web/stats', '/v1/host',
             '/v1/operations', '/metrics']
    got = {p: ask(d, 'GET', p) for p in reads}
    check('a uid that is no user sees nothing', set(got.values()) == {403}, got)
    d.ok('POST', '/v1/users', {'name': 'bob', 'uid': OTHER})
    got = {p: ask(d, 'GET', p) for p in reads}
    check('a user without a role sees nothing', set(got.values()) == {403}, got)
    d.ok('POST', '/v1/projects', {'name': 'his'})
    d.ok('POST', '/v1/projects/his/grants', {'user': 'bob', 'role': 'owner'})
    got = {p: ask(d, 'GET', p) for p in reads[1:4]}
    check('a VM of another project is not there', set(got.values()) == {404}, got)
    kernel = {'kernel': '/etc/shadow', 'memory': '8M'}
    got = ask(d, 'POST', '/v1/vms', {'name': 'x', 'project': 'his', 'config': kernel})
    check('an owner cannot make root open a file of root\'s', got == 403, got)
    boot = {'kernel': os.path.join(d.state, 'boot', 'count.elf'), 'memory': '8M', 'net': 'none'}
    got = ask(d, 'POST', '/v1/vms', {'name': 'y', 'project': 'his', 'config': boot})
    check('but a kernel of the boot folder', got == 201, got)
    d.ok('POST', '/v1/projects/default/grants', {'user': 'bob', 'role': 'viewer'})
    got = {p: ask(d, 'GET', p) for p in reads}
    check('a viewer sees', set(got.values()) == {200}, got)
    writes = [('POST', f'/v1/vms/web/{v}') for v in
              ('pause', 'kill', 'shutdown', 'reset', 'purge')]
    writes += [('DELETE', '/v1/vms/web'), ('GET', '/v1/audit'), ('GET', '/v1/users')]
    got = {f'{m} {p}': ask(d, m, p) for m, p in writes}
    check('a viewer changes nothing', set(got.values()) == {403}, got)
    got = {mode: console(d, mode) for mode in ('read', 'write')}
    check('a viewer reads the console and does not type', got == {'read': 101, 'write': 403}, got)
    check('the VM runs on', d.vms()['web']['state'] == 'running')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def over_tls(port, cert, method, path, token=None, version=None):
    """Status, or 0 where TLS itself refuses."""
    context = ssl.create_default_context(cafile=cert)
    if version:
        context.maximum_version = version
    connection = http.client.HTTPSConnection('localhost', port, timeout=5, context=context)
    try:
        headers = {'Authorization': f'Bearer {token}'} if token is not None else {}
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    except ssl.SSLError:
        return 0
    finally:
        connection.close()


def plain_status(port):
    connection = http.client.HTTPConnection('localhost', port, timeout=5)
    try:
        connection.request('GET', '/v1/openapi.json')
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def tls(d, port, cert):
    token = d.ok('POST', '/v1/users', {'name': 'ci', 'token': True})['token']
    def status(method, path, given=token, version=None):
        return over_tls(port, cert, method, path, given, version)
    check('a token without a role: 403', status('GET', '/v1/vms') == 403)
    d.ok('POST', '/v1/projects/default/grants', {'user': 'ci', 'role': 'viewer'})
    check('the right token works over TLS 1.3', status('GET', '/v1/vms/web') == 200)
    check('with its role only', status('POST', '/v1/vms/web/kill') == 403)
    wrong = {t: status('GET', '/v1/vms', t) for t in
             (token[:-1], token + '0', token.upper(), 'holm-' + '0' * 64, '', 'x' * 4000)}
    check('a wrong token: 401', set(wrong.values()) == {401}, wrong)
    check('no token: 401', status('GET', '/v1/vms', None) == 401)
    check('an older TLS is refused', status('GET', '/v1/vms', version=ssl.TLSVersion.TLSv1_2) == 0)
    got = plain_status(port)
    check('without TLS there is no answer', got in (0, 400), got)
    held = [p for p, m in all_paths(d.run, d.state).items()
            if stat.S_ISREG(m) and token.encode() in open(p, 'rb').read()]
    check('the token is in no file of holmd\'s', not held, held)
    d.ok('DELETE', '/v1/users/ci')
    check('a removed user\'s token: 401', status('GET', '/v1/vms') == 401)


def started(d):
    """A VM whose console says something."""
    boot = os.path.join(d.state, 'boot')
    os.makedirs(boot, 0o755, exist_ok=True)
    kernel = holmd.payload(boot, 'count')
    d.ok('POST', '/v1/vms', {'name': 'web', 'config': {
        'kernel': kernel, 'memory': '8M', 'net': 'none', 'engine': 'soft'}})
    d.done('POST', '/v1/vms/web/start')
    end = time.monotonic() + 10
    while not d.raw('GET', '/v1/vms/web/log')[1] and time.monotonic() < end:
        time.sleep(0.02)


def main(tmp):
    os.chmod(tmp, 0o755)
    cert, key = os.path.join(tmp, 'cert.pem'), os.path.join(tmp, 'key.pem')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert,
                    '-days', '2', '-subj', '/CN=localhost', '-addext',
                    'subjectAltName=DNS:localhost'], check=True, capture_output=True)
    port = free_port()
    with holmd.Holmd(tmp, '--system', '--group', GROUP, '--listen', f'127.0.0.1:{port}', '--cert',
                     cert, '--key', key) as d:
        started(d)
        files(d)
        processes(d)
        own_users(d, tmp)
        roles(d)
        tls(d, port, cert)
    alone = os.path.join(tmp, 'alone')
    os.mkdir(alone, 0o755)
    # What somebody left open before is not trusted.
    lax = [os.path.join(alone, place, 'vm') for place in ('run', 'state')]
    for folder in lax:
        os.makedirs(folder)
        os.chmod(folder, 0o777)
    try:
        grp.getgrnam('holm')
        print('# there is a group holm here: the socket without a group is not tried')
    except KeyError:
        with holmd.Holmd(alone, '--system') as d:
            got = {p: os.stat(p).st_mode & 0o777 for p in lax}
            check('folders of VMs are closed to others', set(got.values()) == {0o700}, got)
            for gid in (OTHER, NOBODY, 0):
                got = become(OTHER, gid, lambda: attempt(
                    lambda: connect(d.socket, socket.SOCK_STREAM)))
                check(f'without a group nobody else connects, gid {gid}', got in DENIED, got)
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
