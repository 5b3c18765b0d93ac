# SPDX-License-Identifier: MIT
"""What the checks share: the table of tools/layers.conf, the tree's files, C without comments.

A check prints one line per fault, "path:line: what is wrong", and ends with 1 if there was any.
"""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True


class Report:
    """Collects faults, prints them sorted, and gives the exit status."""

    def __init__(self, name):
        self.name = name
        self.faults = []

    def add(self, path, line, text):
        self.faults.append((path, line, text))

    def finish(self, checked):
        for path, line, text in sorted(set(self.faults)):
            print(f'{path}:{line}: {text}' if line else f'{path}: {text}')
        count = len(set(self.faults))
        print(f'{self.name}: {checked} checked, {count} faults')
        return 1 if count else 0


class Layers:
    """The table: may[folder] = folders it may include; headers[h] = folders that may take h."""

    def __init__(self, path, report, shown='tools/layers.conf'):
        self.order, self.may, self.line, self.headers = [], {}, {}, {}
        self.generated, self.met = set(), set()
        with open(path, encoding='utf-8') as f:
            for number, text in enumerate(f, 1):
                text = text.split('#', 1)[0].strip()
                if not text:
                    continue
                if ':' not in text:
                    report.add(shown, number, f"'{text}' is no 'folder: folders' line")
                    continue
                name, rest = text.split(':', 1)
                if name == 'generated':
                    self.generated.update(rest.split())
                    continue
                names = rest.split()
                if name.startswith('header '):
                    header = name.split(None, 1)[1]
                    self.headers[header] = names
                    self.line['header ' + header] = number
                    for n in names:
                        if n not in self.may:
                            report.add(shown, number, f"'{n}' is not declared above")
                    continue
                if name in self.may:
                    report.add(shown, number, f"'{name}' is declared twice")
                for n in names:
                    if n not in self.may:
                        report.add(shown, number,
                                   f"'{name}' names '{n}', which is not declared above it")
                self.order.append(name)
                self.may[name] = names
                self.line[name] = number


def tree_files(root, tops, endings):
    """Paths below root/tops that end so, sorted, relative to root; skips hidden folders."""
    found = []
    for top in tops:
        for base, dirs, files in os.walk(os.path.join(root, top)):
            dirs[:] = sorted(d for d in dirs if not d.startswith('.') and d != '__pycache__')
            for name in files:
                if name.endswith(tuple(endings)):
                    found.append(os.path.relpath(os.path.join(base, name), root))
    return sorted(found)


def repo_files(root):
    """All files of the tree: what git tracks, or without git all but build and hidden folders."""
    git = subprocess.run(['git', '-C', root, 'ls-files', '-co', '--exclude-standard', '-z'],
                         stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if git.returncode == 0:
        names = [n for n in git.stdout.decode().split('\0') if n]
        return sorted(n for n in names if os.path.isfile(os.path.join(root, n)))
    found = []
    for base, dirs, files in os.walk(root):
        dirs[:] = [d for d in dirs if not d.startswith('build') and d not in ('.git', '__pycache__')]
        found += [os.path.relpath(os.path.join(base, f), root) for f in files]
    return sorted(found)


def read_text(root, path):
    with open(os.path.join(root, path), encoding='utf-8', errors='replace') as f:
        return f.read()


_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """The text with comments and literals blanked out; lines and columns stay."""
    def blank(match):
        return re.sub(r'[^\n]', ' ', match.group(0))
    return _TOKEN.sub(blank, text)


def comments_out(text):
    """The text with comments blanked out and literals kept (an include's path is one)."""
    def blank(match):
        part = match.group(0)
        return re.sub(r'[^\n]', ' ', part) if part.startswith('/') else part
    return _TOKEN.sub(blank, text)


def root_option(parser):
    parser.add_argument('--root', default=os.path.dirname(os.path.dirname(
        os.path.abspath(__file__))), help='top of the tree to check')
