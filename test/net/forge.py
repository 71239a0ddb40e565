#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Makes load reports, true ones and others, and puts them on the wire.

The format and its tag are written here a second time, from the comment in wire/load_report.h and
from the SipHash paper, so that a mistake in the header does not agree with itself.

    forge.py report FROM-MAC TO-MAC SERVER CLIENT [KEY=VALUE...]   one response packet with a report
    forge.py replay FILE [KEY=VALUE...]                           the last carrier of a capture again
    forge.py request VIP                                          HTTP with our option on each packet

Several of these at a time, with "--" between them. Everything is sent from eth0. KEY=VALUE, as far as the verb has use for it:
    in_flight= utilisation= latency= accept_queue= seen= sequence=  what is reported
    key=FILE      a tag by that key; without, none
    version= magic= flags= length=  other than they should be
    size=         so many bytes of the option stand in the packet; the rest is cut off, or padded
    client=       another address than the captured one; the tag stays
"""
import functools
import socket
import struct
import sys
import time

from scapy.config import conf
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.sendrecv import sendp
from scapy.utils import checksum, rdpcap

INTERFACE = 'eth0'
VIP = '10.1.0.100'
OPTION_TYPE = 0x5E
FLAG_KEYED = 0x8
HEADERS = 14 + 20
MASK = (1 << 64) - 1


def siphash_2_4(key, data):
    def rotate(x, bits):
        return (x << bits | x >> (64 - bits)) & MASK

    def rounds(count):
        nonlocal v0, v1, v2, v3
        for _ in range(count):
            v0 = (v0 + v1) & MASK
            v1 = rotate(v1, 13) ^ v0
            v0 = rotate(v0, 32)
            v2 = (v2 + v3) & MASK
            v3 = rotate(v3, 16) ^ v2
            v0 = (v0 + v3) & MASK
            v3 = rotate(v3, 21) ^ v0
            v2 = (v2 + v1) & MASK
            v1 = rotate(v1, 17) ^ v2
            v2 = rotate(v2, 32)

    k0, k1 = struct.unpack('<QQ', key)
    v0 = k0 ^ 0x736F6D6570736575
    v1 = k1 ^ 0x646F72616E646F6D
    v2 = k0 ^ 0x6C7967656E657261
    v3 = k1 ^ 0x7465646279746573
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack('<Q', padded):
        v3 ^= word
        rounds(2)
        v0 ^= word
    v2 ^= 0xFF
    rounds(4)
    return v0 ^ v1 ^ v2 ^ v3


def float_16(value):
    """5 bits of exponent, 11 of mantissa."""
    shift = max(value.bit_length() - 12, 0)
    rounded = (value + (1 << shift >> 1)) >> shift
    return min((shift << 11) + rounded, 0xFFFF)


def number(settings, name, default):
    return int(settings.get(name, default), 0)


def option(server, client, settings):
    keyed = 'key' in settings
    flags = number(settings, 'flags', str(FLAG_KEYED if keyed else 0))
    # Newer than anything a server has said: it is not to be refused for its age.
    sequence = number(settings, 'sequence', str(int(time.time() * 1000) + 100000))
    body = struct.pack(
        '>BBBB4sIHHHHI', OPTION_TYPE, number(settings, 'length', '32' if keyed else '24'),
        number(settings, 'magic', '0xB7'), number(settings, 'version', '1') << 4 | flags,
        socket.inet_aton(server), sequence & 0xFFFFFFFF, number(settings, 'in_flight', '6666'),
        number(settings, 'utilisation', '0'), float_16(number(settings, 'latency', '0')),
        number(settings, 'accept_queue', '0'), number(settings, 'seen', '0'))
    if keyed:
        with open(settings['key'], encoding='ascii') as file:
            key = bytes.fromhex(file.read())
        tag = siphash_2_4(key, body + socket.inet_aton(VIP) + socket.inet_aton(client))
        body += struct.pack('>Q', tag)
    size = number(settings, 'size', str(len(body)))
    return body[:size].ljust(size, b'\0')


def with_header(ip_header, rest):
    """The first 20 bytes of the header get the lengths and the checksum that fit what follows."""
    option_bytes, payload = rest
    header = bytearray(ip_header)
    header[0] = 0x40 | (20 + len(option_bytes)) // 4
    header[2:4] = struct.pack('>H', 20 + len(option_bytes) + len(payload))
    header[10:12] = b'\0\0'
    header[10:12] = struct.pack('>H', checksum(bytes(header) + option_bytes))
    return bytes(header) + option_bytes + payload


@functools.cache
def wire():
    return conf.L2socket(iface=INTERFACE)


def send(frame):
    sendp(Ether(frame), socket=wire(), verbose=False)


def report(from_mac, to_mac, server, client, **settings):
    # A reset: whoever gets it does not answer.
    packet = bytes(IP(src=VIP, dst=client) / TCP(sport=80, dport=40000, flags='R', seq=1))
    ethernet = bytes(Ether(src=from_mac, dst=to_mac, type=0x0800))
    send(ethernet + with_header(packet[:20], (option(server, client, settings), packet[20:])))


def replay(file, **settings):
    frame = bytearray(bytes(rdpcap(file)[-1]))
    if 'client' in settings:
        frame[30:34] = socket.inet_aton(settings['client'])
    if 'in_flight' in settings:
        frame[HEADERS + 12:HEADERS + 14] = struct.pack('>H', number(settings, 'in_flight', '0'))
    end = 14 + (frame[14] & 0xF) * 4
    send(bytes(frame[:14]) + with_header(frame[14:34], (bytes(frame[34:end]), bytes(frame[end:]))))


def request(vip):
    with socket.socket() as connection:
        connection.settimeout(10)
        connection.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS,
                              option('10.1.0.11', '0.0.0.0', {}))
        connection.connect((vip, 80))
        connection.sendall(b'GET /name HTTP/1.0\r\n\r\n')
        answer = b''
        while data := connection.recv(4096):
            answer += data
    sys.stdout.write(answer.decode())


def obey(verb, *arguments):
    plain = [argument for argument in arguments if '=' not in argument]
    settings = dict(argument.split('=', 1) for argument in arguments if '=' in argument)
    {'report': report, 'replay': replay, 'request': request}[verb](*plain, **settings)


def main(arguments):
    conf.verb = 0
    while '--' in arguments:
        end = arguments.index('--')
        obey(*arguments[:end])
        arguments = arguments[end + 1:]
    obey(*arguments)


if __name__ == '__main__':
    assert siphash_2_4(bytes(range(16)), bytes(range(15))) == 0xA129CA6149BE45E5  # the paper's own
    main(sys.argv[1:])
