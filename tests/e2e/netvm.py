#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A VM's end of a tap, for test_networks.sh; Python's standard library only.

  pump MAC              holds the tap on descriptor 3, as a VMM does, and joins it to a card eth0 in
                        this network namespace: what a guest's kernel would be is this namespace's
  dhcp                  gets a lease on eth0, sets address and route, prints "ADDRESS ROUTER DNS"
  dns SERVER NAME       prints the address of NAME, or "none"
  spoof SRCMAC WHAT...  one raw frame on eth0: ip SRC DST PORT | arp SENDERMAC SENDERIP TARGETIP |
                        dhcpserver SRC DST | vlan SRC DST PORT | ip6
  listen PORT           says "ready", then what comes in frames: UDP to PORT, ARP answers, IPv6; ends
                        with a UDP packet to PORT + 1, or with "timeout"
  serve PORT TEXT       answers each TCP connection with TEXT and the peer's address
  serveudp PORT         answers each UDP packet with its sender's address
  fetch ADDR PORT [udp] prints what such a server says; status 1: nothing came within 2 s
"""
import fcntl
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454ca
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 2, 0x1000, 0x4000


def mac_bytes(text):
    return bytes(int(x, 16) for x in text.split(':'))


def ip_bytes(text):
    return socket.inet_aton(text)


def checksum(data):
    if len(data) % 2:
        data += b'\0'
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def pump(mac):
    card = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(card, TUNSETIFF, struct.pack('16sH22x', b'eth0', IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    subprocess.run(['ip', 'link', 'set', 'eth0', 'address', mac, 'up'], check=True)
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    os.set_blocking(3, False)
    while True:
        for fd in select.select([3, card], [], [])[0]:
            try:
                os.write(card if fd == 3 else 3, os.read(fd, 70000))
            except OSError as e:
                # The tap was taken away: as a VMM does, hold on to what is left.
                if fd == 3 and e.errno not in (11, 5):
                    time.sleep(1)


def raw():
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind(('eth0', 0))
    return s


def own_mac():
    with open('/sys/class/net/eth0/address') as f:
        return mac_bytes(f.read().strip())


def ipv4(src, dst, proto, body):
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(body), random.getrandbits(16), 0, 64, proto, 0,
                       ip_bytes(src), ip_bytes(dst))
    return head[:10] + struct.pack('!H', checksum(head)) + head[12:] + body


def udp(sport, dport, body):
    return struct.pack('!HHHH', sport, dport, 8 + len(body), 0) + body


def dhcp_message(kind, xid, mac, options=b''):
    body = struct.pack('!BBBBIHH16x', 1, 1, 6, 0, xid, 0, 0x8000)
    body += mac + b'\0' * (10 + 64 + 128) + b'\x63\x82\x53\x63' + bytes([53, 1, kind])
    body += bytes([55, 4, 1, 3, 6, 12]) + options + b'\xff'
    return b'\xff' * 6 + mac + b'\x08\0' + ipv4('0.0.0.0', '255.255.255.255', 17, udp(68, 67, body))


def dhcp_options(frame):
    out, p = {}, frame[14 + 20 + 8 + 240:]
    while p and p[0] != 255:
        if p[0] == 0:
            p = p[1:]
            continue
        out[p[0]] = p[2:2 + p[1]]
        p = p[2 + p[1]:]
    return out


def dhcp_ask(s, message, xid, want):
    for _ in range(6):
        s.send(message)
        end = time.time() + 1
        while time.time() < end:
            if not select.select([s], [], [], end - time.time())[0]:
                break
            f = s.recv(4096)
            if len(f) > 290 and f[12:14] == b'\x08\0' and f[23] == 17 and f[34:38] == b'\0\x43\0\x44' \
                    and struct.unpack('!I', f[46:50])[0] == xid and dhcp_options(f).get(53) == bytes([want]):
                return f
    sys.exit('no DHCP answer')


def dhcp():
    s, mac, xid = raw(), own_mac(), random.getrandbits(32)
    offer = dhcp_ask(s, dhcp_message(1, xid, mac), xid, 2)
    addr, server = offer[58:62], dhcp_options(offer)[54]
    ask = bytes([50, 4]) + addr + bytes([54, 4]) + server
    o = dhcp_options(dhcp_ask(s, dhcp_message(3, xid, mac, ask), xid, 5))
    text = socket.inet_ntoa(addr)
    prefix = bin(struct.unpack('!I', o[1])[0]).count('1')
    router = socket.inet_ntoa(o[3]) if 3 in o else '-'
    subprocess.run(['ip', 'addr', 'replace', '%s/%d' % (text, prefix), 'dev', 'eth0'], check=True)
    if router != '-':
        subprocess.run(['ip', 'route', 'replace', 'default', 'via', router], check=True)
    print(text, router, socket.inet_ntoa(o[6][:4]) if 6 in o else '-', o.get(12, b'-').decode())


def dns(server, name):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(2)
    q = b''.join(bytes([len(x)]) + x.encode() for x in name.split('.')) + b'\0\0\1\0\1'
    for _ in range(3):
        s.sendto(struct.pack('!HHHHHH', 7, 0x100, 1, 0, 0, 0) + q, (server, 53))
        try:
            r = s.recv(512)
        except socket.timeout:
            continue
        print(socket.inet_ntoa(r[-4:]) if struct.unpack('!H', r[6:8])[0] else 'none')
        return
    sys.exit('no DNS answer')


def spoof(src_mac, what, *a):
    m = mac_bytes(src_mac)
    every = b'\xff' * 6
    if what == 'ip':
        f = every + m + b'\x08\0' + ipv4(a[0], a[1], 17, udp(4711, int(a[2]), b'spoof'))
    elif what == 'arp':
        f = every + m + b'\x08\x06' + struct.pack('!HHBBH', 1, 0x800, 6, 4, 2) + mac_bytes(a[0]) \
            + ip_bytes(a[1]) + every + ip_bytes(a[2])
    elif what == 'dhcpserver':
        f = every + m + b'\x08\0' + ipv4(a[0], a[1], 17, udp(67, int(a[2]), b'spoof'))
    elif what == 'vlan':
        f = every + m + b'\x81\0\0\1\x08\0' + ipv4(a[0], a[1], 17, udp(4711, int(a[2]), b'spoof'))
    else:
        f = every + m + b'\x86\xdd' + struct.pack('!IHBB', 6 << 28, 8, 17, 64) + b'\xfe\x80' + b'\0' * 30 \
            + udp(4711, 9, b'')
    raw().send(f)


def listen(port):
    """What comes in frames, whatever address it is for: sees more than a socket would."""
    s, end = raw(), time.time() + 15
    print('ready', flush=True)
    while select.select([s], [], [], max(0, end - time.time()))[0]:
        f, where = s.recvfrom(4096)
        if where[2] == socket.PACKET_OUTGOING:
            continue
        at = 18 if f[12:14] == b'\x81\0' else 14
        kind = f[at - 2:at]
        to = struct.unpack('!H', f[at + 22:at + 24])[0] if kind == b'\x08\0' and f[at + 9] == 17 else 0
        if to == int(port) + 1:
            return
        if to == int(port):
            print('udp', socket.inet_ntoa(f[at + 12:at + 16]), f[6:12].hex(':'), flush=True)
        elif kind == b'\x08\x06' and f[at + 7] == 2:
            print('arp', socket.inet_ntoa(f[at + 14:at + 18]), f[at + 8:at + 14].hex(':'), flush=True)
        elif kind == b'\x86\xdd':
            print('ip6', '-', f[6:12].hex(':'), flush=True)
    print('timeout', flush=True)


def serve(port, text):
    s = socket.create_server(('0.0.0.0', int(port)))
    while True:
        c, who = s.accept()
        c.sendall(('%s %s\n' % (text, who[0])).encode())
        c.close()


def serveudp(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('0.0.0.0', int(port)))
    while True:
        who = s.recvfrom(100)[1]
        s.sendto(('udp %s\n' % who[0]).encode(), who)


def fetch(addr, port, how='tcp'):
    try:
        if how == 'udp':
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.settimeout(2)
            s.sendto(b'?', (addr, int(port)))
            print(s.recvfrom(100)[0].decode().strip())
        else:
            s = socket.create_connection((addr, int(port)), 2)
            print(s.recv(100).decode().strip())
    except OSError as e:
        sys.exit('nothing: %s' % e)


if __name__ == '__main__':
    {f.__name__: f for f in (pump, dhcp, dns, spoof, listen, serve, serveudp, fetch)}[sys.argv[1]](*sys.argv[2:])
