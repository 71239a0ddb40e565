#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Connections that are not what they should be, from a client of the lab, and not too many of them.

    flood.py syn VIP:PORT MAC [RATE] COUNT
                                          SYNs of as many invented clients, to that MAC address, RATE of
                                          them a second
    flood.py reset VIP:PORT COUNT         connect, ask, reset, as often
    flood.py hold VIP:PORT COUNT          connect, ask, wait for the end of standard input
    flood.py idle VIP:PORT COUNT          connect, say nothing, wait for the end of standard input
"""
import random
import resource
import socket
import struct
import sys
import time

REQUEST = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n"
RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER for 0 s


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def syn(source, target, port):
    """A SYN from an address that nobody has."""
    addresses = struct.pack("!I", source) + socket.inet_aton(target)
    tcp = struct.pack("!HHIIHHHH", random.randrange(1024, 65536), port, random.getrandbits(32), 0,
                      0x5002, 64240, 0, 0)
    tcp = tcp[:16] + struct.pack("!H", checksum(addresses + struct.pack("!HH", 6, 20) + tcp)) + tcp[18:]
    ip = struct.pack("!HHHHHH", 0x4500, 40, 0, 0x4000, 0x4006, 0) + addresses
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + tcp


class Forger:
    """Sends SYNs of invented clients to a MAC address."""

    def __init__(self, target, port, mac):
        self.target, self.port = target, port
        self.link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.link.bind(("eth0", 0))
        self.ethernet = bytes.fromhex(mac.replace(":", "")) + self.link.getsockname()[4] + b"\x08\x00"

    def send(self):
        # 198.18.0.0/15 is for measurements (RFC 2544)
        self.link.send(self.ethernet + syn(0xC6120000 + random.getrandbits(17), self.target, self.port))


def flood(target, port, mac, count, rate=None):
    forger = Forger(target, port, mac)
    for _ in range(count):
        forger.send()
        if rate:
            time.sleep(1 / rate)


def ask(endpoint, request=REQUEST):
    connection = socket.create_connection(endpoint, 10)
    connection.sendall(request)
    return connection


def main():
    how, endpoint = sys.argv[1], sys.argv[2].split(":")
    endpoint = (endpoint[0], int(endpoint[1]))
    count = int(sys.argv[-1])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if how == "syn":
        flood(*endpoint, sys.argv[3], count, *map(float, sys.argv[4:-1]))
    elif how == "reset":
        for _ in range(count):
            connection = ask(endpoint)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            connection.close()
    else:
        held = [ask(endpoint, REQUEST if how == "hold" else b"") for _ in range(count)]
        print(len(held), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
