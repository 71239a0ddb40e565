# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""echo.py serve NAME: answers datagrams to port 7000, of both families, with its name and what came.
echo.py send ADDRESS BYTES TIMES [df]: sends one datagram after the other, prints each answer.
echo.py from PORT ADDRESS: sends one datagram from that port, so of the flow of those before; prints who answers.
echo.py pieces ADDRESS ORDER...: one datagram in three fragments, in that order; prints the answer.
echo.py http ADDRESS: GET /name in IPv6, each packet with hop-by-hop and destination options."""
import hashlib
import http.client
import socket
import struct
import sys

PORT = 7000
WAIT = 5
IP_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_DO = 10, 0, 2
# PadN that fills the eight bytes of the header.
PADDING = bytes([0, 0, 1, 4, 0, 0, 0, 0])


def digest(data):
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


def payload(length):
    return bytes(i * 7 % 251 for i in range(length))


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(name):
    bound = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    bound.bind(("::", PORT))
    while True:
        data, control, _, client = bound.recvmsg(65536, 256)
        # The answer's source is where the question went.
        info = [c[2] for c in control if c[1] == socket.IPV6_PKTINFO][0][:16] + bytes(4)
        bound.sendmsg([f"{name} {digest(data)}".encode()],
                      [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info)], 0, client)


def report(answer, sent):
    name, rest = answer.decode().split(" ", 1)
    print(name, "whole" if rest == digest(sent) else f"not what was sent: {rest}")


def send(address, length, times, df=""):
    data = payload(int(length))
    for _ in range(int(times)):
        own = socket.socket(family(address), socket.SOCK_DGRAM)
        own.settimeout(WAIT)
        if family(address) == socket.AF_INET:
            own.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO if df else IP_PMTUDISC_DONT)
        own.connect((address, PORT))
        own.send(data)
        report(own.recv(65536), data)


def send_from(port, address):
    own = socket.socket(family(address), socket.SOCK_DGRAM)
    own.settimeout(WAIT)
    own.bind(("", int(port)))
    own.connect((address, PORT))
    own.send(payload(20))
    print(own.recv(65536).decode().split(" ")[0])


def pieces(address, *order):
    """RFC 791: what is not last is a multiple of eight; the checksum of UDP may be 0."""
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own.settimeout(WAIT if order[0] == "0" else 1)
    own.connect((address, PORT))
    source, port = own.getsockname()
    data = payload(2500)
    whole = struct.pack("!HHHH", port, PORT, 8 + len(data), 0) + data
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for piece in map(int, order):
        part = whole[piece * 1000:(piece + 1) * 1000]
        raw.sendto(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(part), port,
                               (0x2000 if piece < 2 else 0) | piece * 125, 64, 17, 0,
                               socket.inet_aton(source), socket.inet_aton(address)) + part,
                   (address, 0))
    report(own.recv(65536), data)


def get(address):
    connection = http.client.HTTPConnection(address, 80)
    connection.sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    connection.sock.settimeout(WAIT)
    connection.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, PADDING)
    connection.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, PADDING)
    connection.sock.connect((address, 80))
    connection.request("GET", "/name", headers={"Host": "web"})
    print(connection.getresponse().read().decode().strip())


{"serve": serve, "send": send, "from": send_from, "pieces": pieces, "http": get}[sys.argv[1]](*sys.argv[2:])
