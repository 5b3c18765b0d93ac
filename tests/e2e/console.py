# SPDX-License-Identifier: MIT
"""Drives holm run on a pseudo-terminal; prints PASS or FAIL and a name for each test."""
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time

HOLM, ENGINE, TMP = sys.argv[1:4]


class Session:
    """One VM whose terminal is a pty of ours."""

    def __init__(self, payload):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [HOLM, 'run', '--engine', ENGINE, '--net', 'none', '--memory', '64M', '--kernel',
             f'{TMP}/{payload}.elf', '--device', 'isa-debug-exit,iobase=0xf4'],
            stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True)
        self.seen = b''

    def read(self, seconds, until=None):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ready = select.select([self.master], [], [], 0.1)[0]
            if ready:
                self.seen += os.read(self.master, 4096)
            if until and until in self.seen:
                return True
            if self.process.poll() is not None and not ready:
                break
        return bool(until) and until in self.seen

    def send(self, data):
        os.write(self.master, data)

    def wait_raw(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not termios.tcgetattr(self.slave)[3] & termios.ICANON:
                return True
            time.sleep(0.05)
        return False

    def end(self, seconds):
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.2)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            return None
        return self.process.returncode

    def vmm(self):
        """The process id of the one child."""
        with open(f'/proc/{self.process.pid}/task/{self.process.pid}/children',
                  encoding='ascii') as f:
            return int((f.read().split() or ['0'])[0])

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before


def test(name, good):
    print('PASS' if good else 'FAIL', name, flush=True)


def main():
    s = Session('echo')
    test('raw while the guest runs', s.wait_raw(10))
    time.sleep(0.5)
    s.send(b'x\x03\x04y')
    test('every key reaches the guest', s.read(10, b'x\x03\x04y'))
    s.send(b'\x1d\x1d')
    test('twice the escape sends it once', s.read(10, b'\x1d'))
    s.send(b'\x1dq')
    test('the escape and q end the VM with 20', s.end(10) == 20)
    test('given back after the escape', s.restored())

    s = Session('exit')
    test('the guest ends it', s.end(15) == 85)
    test('given back after the guest ended', s.restored())

    s = Session('echo')
    s.wait_raw(10)
    time.sleep(0.3)
    s.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    s.process.send_signal(signal.SIGTERM)
    test('two SIGTERM end it', s.end(10) == 20)
    test('given back after SIGTERM', s.restored())

    s = Session('echo')
    s.wait_raw(10)
    time.sleep(0.3)
    vmm = s.vmm()
    test('the VMM is a process of its own at a terminal', bool(vmm))
    if vmm:
        os.kill(vmm, signal.SIGKILL)
    test('a killed VMM is an error', s.end(10) == -signal.SIGKILL)
    test('given back after the VMM was killed', s.restored())
    test('and said', b'the VM was killed: Killed' in s.seen)

    s = Session('echo')
    s.wait_raw(10)
    time.sleep(0.3)
    vmm = s.vmm()
    s.process.kill()
    s.process.wait()
    end = time.monotonic() + 10
    while vmm and os.path.exists(f'/proc/{vmm}') and time.monotonic() < end:
        s.read(0.2)
    test('the VMM does not outlive its guard', vmm and not os.path.exists(f'/proc/{vmm}'))


main()
