# SPDX-License-Identifier: MIT
"""A holmd of a test's own, and its API from Python's standard library.

    with Holmd(tmp) as d:
        d.call('POST', '/v1/vms', {...})      # (status, body)
        d.kill()                               # -9
        d.start()
"""
import http.client
import json
import os
import signal
import socket
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get('HOLM_BIN', os.path.join(TOP, 'build', 'bin'))


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout):
        super().__init__('localhost', timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Holmd:
    """One daemon with folders of its own below @tmp; its VMs are ended with it."""

    def __init__(self, tmp, *options, env=None):
        self.run, self.state = os.path.join(tmp, 'run'), os.path.join(tmp, 'state')
        self.socket = os.path.join(self.run, 'holmd.sock')
        self.log = os.path.join(tmp, 'holmd.log')
        self.options, self.env, self.process = list(options), env, None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.end_vms()
        self.hear_ends()
        self.stop()

    def hear_ends(self, seconds=5):
        """Lets the daemon see that its VMs have ended, so that it gives back what they had."""
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end and any(
                    vm['run'] for vm in self.ok('GET', '/v1/vms')['items']):
                time.sleep(0.05)
        except (OSError, RuntimeError):
            pass

    def start(self, wait=10):
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(
                [os.path.join(BIN, 'holmd'), '--run-dir', self.run, '--state-dir', self.state,
                 *self.options], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **(self.env or {})}, start_new_session=True)
        end = time.monotonic() + wait
        while True:
            try:
                if self.call('GET', '/v1/openapi.json')[0] == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f'holmd does not answer: {self.tail()}')
            time.sleep(0.01)

    def tail(self):
        with open(self.log, encoding='utf-8', errors='replace') as f:
            return f.read()[-2000:]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                return self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode if self.process else None

    def raw(self, method, path, body=None, headers=None, timeout=30):
        connection = UnixConnection(self.socket, timeout)
        try:
            if body is not None and not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def call(self, method, path, body=None, headers=None, timeout=30):
        """(status, decoded body or None)"""
        status, text, _ = self.raw(method, path, body, headers, timeout)
        return status, json.loads(text) if text.strip() else None

    def ok(self, method, path, body=None, **more):
        """The body; anything but a 2xx is an error."""
        status, answer = self.call(method, path, body, **more)
        if status // 100 != 2:
            raise RuntimeError(f'{method} {path}: {status} {answer}')
        return answer

    def done(self, method, path, body=None, seconds=60):
        """As ok(), then waits for the operation that it began, which must be done."""
        op = self.ok(method, path, body)
        end = time.monotonic() + seconds
        while op.get('state') == 'running' and time.monotonic() < end:
            op = self.ok('GET', f'/v1/operations/{op["id"]}?wait_ms=5000')
        if op.get('state') != 'done':
            raise RuntimeError(f'{method} {path}: {op}')
        return op

    def vms(self):
        return {vm['name']: vm for vm in self.ok('GET', '/v1/vms')['items']}

    def processes(self):
        """pids of holm-vmm that belong to this daemon's folders, by VM id."""
        found = {}
        folder = os.path.join(self.run, 'vm')
        for vm in os.listdir(folder) if os.path.isdir(folder) else []:
            try:
                with open(os.path.join(folder, vm, 'pid'), encoding='ascii') as f:
                    pid = int(f.read())
                with open(f'/proc/{pid}/cmdline', 'rb') as f:
                    if b'holm-vmm' in f.read():
                        found[vm] = pid
            except (OSError, ValueError):
                pass
        return found

    def end_vms(self):
        for pid in self.processes().values():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def payload(tmp, mode):
    """A payload of tests/guest/payload.S; "count" counts on its console."""
    path = os.path.join(tmp, f'{mode}.elf')
    subprocess.run(['gcc', '-m32', '-nostdlib', '-static', '-no-pie', f'-DMODE_{mode}',
                    '-DS5_TYPE=5',
                    '-Wl,-N,-Ttext=0x100000,--build-id=none,-e,_start,--no-warn-rwx-segments',
                    os.path.join(TOP, 'tests', 'guest', 'payload.S'), '-o', path], check=True)
    return path
