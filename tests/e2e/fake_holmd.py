# SPDX-License-Identifier: MIT
"""A manager that is none: canned answers on a Unix socket, each request written down.

usage: fake_holmd.py SOCKET RECORD [PORT CERT KEY]
With a port it listens there with TLS, too.

A line of RECORD is "METHOD PATH [If-Match: X] [BODY]". What a name in a path is decides the
answer: "missing", "busy" and so on are refused with the problem of that name; "slow" is an
operation that takes a second look; "broken" is one that fails.
"""
import base64
import hashlib
import http.server
import json
import os
import socketserver
import ssl
import struct
import sys
import threading
import time

SOCKET, RECORD = sys.argv[1:3]
TLS = sys.argv[3:]
PROBLEMS = {
    'malformed': (400, 'bad_request', "unknown field 'colour'"),
    'stranger': (401, 'not_authenticated', 'nobody knows you'),
    'forbidden': (403, 'forbidden', 'a viewer may not start VMs'),
    'missing': (404, 'not_found', "there is no VM 'missing'"),
    'taken': (409, 'conflict', "the name 'taken' is in use"),
    'busy': (409, 'wrong_state', "VM 'busy' is paused, which does not allow start"),
    'changed': (412, 'changed', 'it was changed meanwhile'),
    'greedy': (422, 'quota', "the quota of project 'default' is 4 VMs"),
    'hasty': (429, 'too_many', 'more than 100 requests a second'),
    'buggy': (500, 'internal', 'the host failed'),
    'full': (507, 'no_resource', 'the disk is full'),
    'evil': (409, 'conflict', 'red \x1b[31m and \u202e back'),
}
VM = {
    'id': '9f0c4f6ad3b21e77', 'name': 'web', 'project': 'default', 'etag': 7, 'state': 'running',
    'config': {'cpus': 2, 'memory': 536870912, 'kernel': '/srv/vmlinuz'},
    'run': {'pid': 4711, 'engine': 'soft', 'started': '2020-01-01T00:00:00.000Z'}, 'exit': None,
}
OLD = {'id': '9f0c4f6ad3b21e78', 'name': 'old', 'project': 'default', 'etag': 8,
       'state': 'deleted', 'config': {'cpus': 1, 'memory': 67108864}, 'run': None}
EVIL = {'id': '9f0c4f6ad3b21e79', 'name': 'e\x1b]0;x\x07, "l"', 'project': '\u65e5\u672c',
        'etag': 9, 'state': 'stopped', 'config': {'cpus': 1, 'memory': 67108864}, 'run': None}
LISTS = {
    '/v1/vms': [VM, OLD, EVIL],
    '/v1/networks': [{'name': 'lan', 'kind': 'nat', 'state': 'up', 'subnet': '10.1.0.0/24',
                      'bridge': 'holm0', 'autostart': True}],
    '/v1/networks/lan/leases': [{'name': 'web', 'vm': '9f0c4f6ad3b21e77', 'mac': '52:54:00:00:00:01',
                              'address': '10.1.0.2', 'attached': True}],
    '/v1/pools': [{'name': 'main', 'path': '/var/lib/holm', 'capacity': 1 << 40, 'used': 1,
                   'available': 1 << 39}],
    '/v1/volumes': [{'name': 'data', 'pool': 'main', 'size': 10 << 30}],
    '/v1/projects': [{'name': 'default', 'quota': {'vms': 4}}],
    '/v1/users': [{'name': 'ann', 'uid': 1000}],
    '/v1/operations': [{'id': 'op1', 'verb': 'start', 'target': 'web', 'state': 'running'}],
    '/v1/sched/queue': [{'vm': 'web', 'state': 'waiting', 'position': 1, 'waited_ms': 5,
                         'priority': 3}],
    '/v1/audit': [{'seq': 1, 'at': '2026-11-21T19:20:00.000Z', 'who': 'root', 'from': 'unix',
                   'what': 'vm.start', 'on': 'vm/web', 'result': 'ok'}],
}
OBJECTS = {
    '/v1/host': {'cpus': 8, 'memory': 17179869184},
    '/v1/audit/verify': {'intact': True, 'entries': 1, 'detail': ''},
    '/v1/openapi.json': {'openapi': '3.1.0'},
}
STATS = {'cpu_ns': 1500000000, 'memory': {'rss': 67108864, 'balloon': 0},
         'blk': {'read_bytes': 1024, 'write_bytes': 2048},
         'net': {'rx_bytes': 10, 'tx_bytes': 20}, 'exits': {'total': 5}}
LOCK = threading.Lock()
STATE = {'polls': 0, 'data': b'', 'waits': 0, 'clock': 0}


def record(line):
    with LOCK, open(RECORD, 'a', encoding='utf-8') as f:
        f.write(line + '\n')


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def address_string(self):
        return 'unix'

    def handle_expect_100(self):
        if '/forbidden/' in self.path:
            record(f'{self.command} {self.path} refused before its body')
            self.close_connection = True
            self.problem('forbidden')
            return False
        return super().handle_expect_100()

    def body(self):
        if self.headers.get('Transfer-Encoding') == 'chunked':
            data = b''
            while True:
                size = int(self.rfile.readline(), 16)
                data += self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    return data
        return self.rfile.read(int(self.headers.get('Content-Length', 0)))

    def reply(self, status, value, kind='application/json'):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def problem(self, name):
        status, code, detail = PROBLEMS[name]
        self.reply(status, {'type': 'about:blank', 'title': code, 'status': status, 'code': code,
                            'detail': detail}, 'application/problem+json')

    def operation(self, verb, target, state='running', error=None):
        return {'id': 'broken' if target == 'broken' else 'op1', 'verb': verb, 'target': target,
                'state': state, 'progress': 50, 'error': error}

    def handle_all(self):
        data = self.body()
        path = self.path.split('?')[0]
        line = f'{self.command} {self.path}'
        if self.headers.get('If-Match'):
            line += f' If-Match: {self.headers["If-Match"]}'
        if self.headers.get('Authorization'):
            line += f' Authorization: {self.headers["Authorization"]}'
        if self.headers.get('Content-Type') == 'application/octet-stream':
            line += f' {len(data)} bytes {hashlib.sha256(data).hexdigest()[:8]}'
        elif data:
            # Any name that the program made up is one.
            text = json.dumps(json.loads(data), sort_keys=True)
            line += f' {text}'
        record(line)
        for name in PROBLEMS:
            if name in path.split('/') or f'vm={name}' in self.path or (
                    self.command == 'POST' and f'"name": "{name}"'.encode() in
                    json.dumps(json.loads(data or b'null')).encode()):
                if self.command != 'GET' or name != 'changed':
                    self.problem(name)
                    return
        self.answer(path, data)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = handle_all

    def answer(self, path, data):
        parts = path.split('/')
        if path == '/v1/console':
            self.console()
        elif path == '/v1/events':
            self.events()
        elif path.startswith('/v1/operations/') and self.command == 'GET':
            STATE['polls'] += 1
            failed = parts[-1] == 'broken'
            self.reply(200, self.operation('start', parts[-1], 'failed' if failed else 'done',
                                           {'code': 'no_resource', 'detail': 'out of memory'}
                                           if failed else None))
        elif path.endswith('/wait'):
            STATE['waits'] += 1
            if 'never' in parts or (STATE['waits'] == 1 and 'job' in parts):
                self.reply(408, {'status': 408, 'code': 'timeout', 'detail': 'not in time'})
            else:
                self.reply(200, dict(VM, state='stopped', exit={'end': 'exit', 'code': 33}))
        elif path.endswith('/stats'):
            STATE['clock'] += 1
            self.reply(200, dict(STATS, cpu_ns=STATS['cpu_ns'] * STATE['clock']))
        elif path.endswith('/log'):
            self.reply(200, b'line one\r\n\x1b[31mred \xc3\xa9\xff\n', 'text/plain')
        elif path.endswith('/data') and len(parts) == 5:
            if self.command == 'PUT':
                STATE['data'] = data
                self.reply(200, {})
            else:
                self.reply(200, STATE['data'], 'application/octet-stream')
        elif path == '/v1/audit' and 'since=1' in self.path:
            self.reply(200, {'items': []})
        elif self.command == 'GET' and path in LISTS:
            self.reply(200, {'items': [i for i in LISTS[path] if i.get('state') != 'deleted' or
                                       'deleted=true' in self.path]})
        elif self.command == 'GET' and path in OBJECTS:
            self.reply(200, OBJECTS[path])
        elif self.command == 'GET':
            self.reply(200, dict(VM, name=parts[-1], size=len(STATE['data'])))
        elif self.command == 'POST' and len(parts) == 5 and parts[-1] != 'grants':
            self.reply(202, self.operation(parts[-1], parts[3]))
        elif path == '/v1/users' and self.command == 'POST':
            value = json.loads(data)
            if value.get('token'):
                value['token'] = 's3cret'
            self.reply(201, value)
        elif self.command == 'DELETE':
            self.send_response(204)
            self.end_headers()
        else:
            self.reply(201 if self.command == 'POST' else 200, VM)

    def events(self):
        since = 'since=0' in self.path
        self.send_response(200)
        self.send_header('Content-Type', 'text/event-stream')
        self.send_header('Connection', 'close')
        self.end_headers()
        self.wfile.write(b': hello\n\n')
        if since:
            self.wfile.write(b'id: 1\nevent: vm.state\ndata: {"seq": 1, "at": "T1",\n'
                             b'data: "target": "vm/web", "data": {"state": "running", "reason": "by a"}}\n\n')
            self.wfile.write(b'id: 2\r\nevent: vm.state\r\ndata: {"at": "T2", "target": "\\u001b[1m"}\r\n\r\n')
        else:
            self.wfile.write(b'id: 3\nevent: net.up\ndata: {"at": "T3"}\n\n')
        self.wfile.flush()
        self.close_connection = True
        if since:
            time.sleep(5)

    # The server's half of RFC 6455, for small frames: what comes goes back.
    def frame(self, opcode, data):
        head = bytes([0x80 | opcode])
        if len(data) < 126:
            head += bytes([len(data)])
        else:
            head += bytes([126]) + struct.pack('>H', len(data))
        self.wfile.write(head + data)
        self.wfile.flush()

    def read_frame(self):
        head = self.rfile.read(2)
        if len(head) < 2:
            return None, b''
        size = head[1] & 127
        if size == 126:
            size = struct.unpack('>H', self.rfile.read(2))[0]
        if not head[1] & 128:
            raise ValueError('a frame of the client is not masked')
        mask = self.rfile.read(4)
        data = self.rfile.read(size)
        return head[0] & 15, bytes(b ^ mask[i % 4] for i, b in enumerate(data))

    def console(self):
        self.close_connection = True
        accept = base64.b64encode(hashlib.sha1(
            (self.headers['Sec-WebSocket-Key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()
        ).digest()).decode()
        if 'vm=liar' in self.path:
            accept = 'AAAA'
        self.send_response(101)
        self.send_header('Upgrade', 'websocket')
        self.send_header('Connection', 'Upgrade')
        self.send_header('Sec-WebSocket-Accept', accept)
        self.end_headers()
        self.frame(2, b'last lines\r\n')
        while True:
            opcode, data = self.read_frame()
            if opcode is None:
                return
            if opcode == 8:
                record(f'console closed {data[:2].hex()}')
                self.frame(8, data[:2])
                return
            if data == b'hangup\n':
                self.connection.close()
                return
            record('console ' + data.hex())
            if data == b'!':
                self.frame(8, struct.pack('>H', 1000))
                return
            self.frame(2, b'<' + data + b'>')


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ('unix', 0)

    def handle_error(self, request, client_address):
        pass


class TlsServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port, cert, key):
        super().__init__(('127.0.0.1', int(port)), Handler)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.load_cert_chain(cert, key)

    def get_request(self):
        connection, address = super().get_request()
        return self.context.wrap_socket(connection, server_side=True), address

    def handle_error(self, request, client_address):
        pass


if TLS:
    threading.Thread(target=TlsServer(*TLS).serve_forever, daemon=True).start()
if os.path.exists(SOCKET):
    os.unlink(SOCKET)
Server(SOCKET, Handler).serve_forever()
