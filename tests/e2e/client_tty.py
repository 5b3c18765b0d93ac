# SPDX-License-Identifier: MIT
"""Drives holm console and holm top on a pseudo-terminal; prints PASS or FAIL and a name each."""
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time

HOLM = sys.argv[1]


class Session:
    """One command whose terminal is a pty of ours."""

    def __init__(self, *args):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen([HOLM, *args], stdin=self.slave, stdout=self.slave,
                                        stderr=self.slave, start_new_session=True)
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

    def cooked(self):
        return bool(termios.tcgetattr(self.slave)[3] & termios.ICANON)

    def wait_raw(self, seconds):
        end = time.monotonic() + seconds
        while self.cooked() and time.monotonic() < end:
            time.sleep(0.05)
        return not self.cooked()

    def end(self, seconds):
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.2)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            return None
        self.read(0.3)
        return self.process.returncode

    def child(self):
        with open(f'/proc/{self.process.pid}/task/{self.process.pid}/children',
                  encoding='ascii') as f:
            return int((f.read().split() or ['0'])[0])

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before


def test(name, good):
    print('PASS' if good else 'FAIL', name, flush=True)


def main():
    s = Session('console', 'web')
    test('the last output comes first', s.read(10, b'last lines'))
    test('raw while attached', s.wait_raw(10))
    s.send(b'x\x03\x04y')
    test('every key goes there and comes back', s.read(10, b'<x\x03\x04y>'))
    s.send(b'\x1d\x1d')
    test('twice the escape sends it once', s.read(10, b'<\x1d>'))
    s.send(b'\x1dz')
    test('the escape and another key are both sent', s.read(10, b'<\x1dz>'))
    s.send(b'\x1dd')
    test('the escape and d detach with 0', s.end(10) == 0)
    test('given back after detaching', s.restored())
    test('and said', b'detached from web' in s.seen)

    s = Session('console', 'web', '--force')
    s.read(10, b'last lines')
    s.wait_raw(10)
    s.send(b'\x1dq')
    test('the escape and q detach, too', s.end(10) == 0)
    test('given back after q', s.restored())

    s = Session('console', 'web')
    s.read(10, b'last lines')
    s.wait_raw(10)
    s.send(b'!')
    test('the end of the console ends it with 0', s.end(10) == 0)
    test('given back after the end', s.restored())

    s = Session('console', 'web')
    s.read(10, b'last lines')
    s.wait_raw(10)
    s.process.send_signal(signal.SIGTERM)
    test('SIGTERM ends it with 20', s.end(10) == 20)
    test('given back after SIGTERM', s.restored())

    s = Session('console', 'web')
    s.read(10, b'last lines')
    s.wait_raw(10)
    child = s.child()
    if child:
        os.kill(child, signal.SIGKILL)
    test('a killed console is an error', child and s.end(10) == -signal.SIGKILL)
    test('given back after SIGKILL', s.restored())

    s = Session('console', 'busy')
    test('a console that is refused ends with 6', s.end(10) == 6)
    test('given back after the refusal', s.restored() and b'which does not allow' in s.seen)

    s = Session('console', 'web', '--read')
    s.read(10, b'last lines')
    test('--read leaves the terminal alone', s.cooked())
    s.send(b'\x03')
    s.process.send_signal(signal.SIGINT)
    test('and Ctrl-C ends it', s.end(10) == 20)

    s = Session('top', '--interval', '300ms')
    test('top fills the screen', s.read(10, b'NAME') and b'\x1b[H' in s.seen)
    test('keys without echo', not s.cooked())
    s.send(b'n')
    test('a key sorts', s.read(10, b'by name'))
    s.send(b'q')
    test('q ends top with 0', s.end(10) == 0)
    test('given back after top', s.restored())

    s = Session('logs', 'web')
    s.end(10)
    test('no control character of a log reaches a terminal', b'\x1b' not in s.seen and
         'red \u00e9'.encode() in s.seen)
    s = Session('logs', 'web', '--raw')
    s.end(10)
    test('but with --raw', b'\x1b[31m' in s.seen)


main()
