#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
Cases for the balancer, a line each, built by scapy: what comes in and what must become of it, by the RFCs and
doc/wire-format.md. test_balancer_scapy runs them. The world is that of balancer_world.h.

    NAME <tab> STATE <tab> BYTES IN <tab> VERDICT <tab> OUT

STATE: "-", or words of keyed, seq=N (last believed of server 1), echo, wan (comes by that interface). OUT:
"same" (left to the host as it is), "drop", "backend" (on to one of them, otherwise as it is), or the bytes
that leave by the interface by which they came.
"""
import logging
import struct

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import (ICMP, IP, TCP, UDP, Dot1AD, Dot1Q, Ether, GRE, IPOption, IPv6, Raw)  # noqa: E402

LAN, WAN, ROUTER, CLIENT_MAC = ("02:00:00:00:01:02", "02:00:00:00:09:02", "02:00:00:00:00:fe",
                                "02:00:00:00:00:50")
VIP, CLIENT, SERVER, SERVER_MAC = "10.1.0.100", "10.1.0.50", "10.1.0.11", "02:00:00:00:00:11"
KEY = bytes(range(16))
KEYED, DRAINING, OWN, RESTARTED = 8, 4, 2, 1


def case(name, frame, verdict, out, state="-"):
    print(name, state, bytes(frame).hex(), verdict, out if isinstance(out, str) else bytes(out).hex(), sep="\t")


# ------------------------------------------------------------------- what is usual

def eth(source=ROUTER, to=LAN):
    return Ether(src=source, dst=to)


def syn(**ip):
    return eth() / IP(**{"src": CLIENT, "dst": VIP, "id": 7, **ip}) / TCP(sport=40001, dport=80, seq=1)


def turned(value, bits):
    return (value << bits | value >> (64 - bits)) & 0xFFFFFFFFFFFFFFFF


def siphash(key, message):
    """SipHash-2-4 (Aumasson and Bernstein, 2012)."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(count):
        for _ in range(count):
            for a, b, c, d, left, right in ((0, 1, 2, 3, 13, 16), (2, 1, 0, 3, 17, 21)):
                v[a] = (v[a] + v[b]) & 0xFFFFFFFFFFFFFFFF
                v[c] = (v[c] + v[d]) & 0xFFFFFFFFFFFFFFFF
                v[b] = turned(v[b], left) ^ v[a]
                v[d] = turned(v[d], right) ^ v[c]
                v[a] = turned(v[a], 32)
    tail = len(message) % 8
    padded = message + bytes(7 - tail) + bytes([len(message) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def address(text):
    return bytes(map(int, text.split(".")))


def report(sequence=5, flags=0, server=SERVER, kind=0x5E, magic=0xB7, version=1, length=None, tag=None):
    keyed = flags & KEYED
    body = struct.pack("!BBBB4sIHHHHI", kind, length or (32 if keyed else 24), magic, version << 4 | flags,
                       address(server), sequence, 3, 0x4000, 100, 0, 9)
    if keyed:
        body += tag if tag is not None else struct.pack("!Q", siphash(KEY, body + address(VIP) + address(CLIENT)))
    return body


def answer(option=b"", mac=SERVER_MAC, payload=b"", **ip):
    options = [IPOption(option)] if option else []
    return (eth(mac) / IP(**{"src": VIP, "dst": CLIENT, "id": 9, "ttl": 61, "options": options, **ip}) /
            TCP(sport=80, dport=40001, flags="A", seq=77, ack=2) / Raw(payload))


def delivered(payload=b""):
    """The answer as the client gets it."""
    frame = answer(payload=payload)
    frame.src, frame.dst = LAN, CLIENT_MAC
    return frame


def patched(frame, at, *values):
    """With other bytes from there on; the IP header's checksum follows, where there is such a header."""
    raw = bytearray(bytes(frame))
    raw[at:at + len(values)] = bytes(values)
    length = (raw[14] & 15) * 4
    if 20 <= length <= len(raw) - 14 and at not in (24, 25):
        raw[24:26] = bytes(2)
        total = sum(struct.unpack(f"!{length // 2}H", raw[14:14 + length]))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        raw[24:26] = struct.pack("!H", ~total & 0xFFFF)
    return bytes(raw)


# ------------------------------------------------------------------- every header, cut at every byte

def cut_short():
    whole = bytes(syn())
    for length in range(14, len(whole)):
        verdict, out = ("not-ours", "same") if length < 34 else ("malformed", "drop")
        case(f"SYN cut to {length} bytes", whole[:length], verdict, out)
    tagged = bytes(Ether(src=ROUTER, dst=LAN) / Dot1Q(vlan=7) / syn().payload)
    for length in range(14, len(tagged)):
        verdict, out = ("not-ours", "same") if length < 38 else ("malformed", "drop")
        case(f"tagged SYN cut to {length} bytes", tagged[:length], verdict, out)
    optioned = bytes(syn(options=[IPOption(b"\x94\x04\x00\x00"), IPOption(b"\x01\x01\x01\x01")]))
    for length in range(34, len(optioned)):
        case(f"SYN with options cut to {length} bytes", optioned[:length], "malformed", "drop")
    carrier = bytes(answer(report()))
    for length in range(34, len(carrier)):
        case(f"carrier cut to {length} bytes", carrier[:length], "not-ours", "same")


# ------------------------------------------------------------------- lengths that lie

def lying_lengths():
    for words in range(16):
        if words < 5:
            verdict, out = "not-ours", "same"
        elif words == 5:
            verdict, out = "forwarded", "backend"
        else:  # TCP would begin in the middle of itself, or behind the end
            verdict, out = "malformed", "drop"
        case(f"header length {words * 4}", patched(syn(), 14, 0x40 | words), verdict, out)
    for total in (0, 1, 19, 20, 21, 33, 39, 41, 60, 1500, 65535):
        case(f"total length {total} of 40", patched(syn(), 16, total >> 8, total & 255), "malformed", "drop")
    case("total length less than the frame: padding", bytes(syn()) + bytes(6), "forwarded", "backend")
    for words in range(16):
        verdict, out = ("forwarded", "backend") if words == 5 else ("malformed", "drop")
        case(f"TCP header length {words * 4}", patched(syn(), 46, words << 4), verdict, out)
    for length in (0, 1, 2, 3, 4, 5, 255):
        frame = patched(syn(options=[IPOption(b"\x01\x01\x01\x01")]), 34, 0x94, length)
        right = 2 <= length <= 4
        case(f"a client's option of length {length}", frame, "forwarded" if right else "malformed",
             "backend" if right else "drop")
    for length in (0, 1, 2, 4, 16, 23, 25, 28, 31, 32, 33, 40, 255):
        case(f"report of length {length}", patched(answer(report()), 35, length), "report-malformed", "drop")
    for length in (0, 1, 24, 28, 31, 33, 255):
        case(f"keyed report of length {length}", patched(answer(report(flags=KEYED)), 35, length),
             "report-malformed", "drop", "keyed")


# ------------------------------------------------------------------- what is forwarded as it is

def untouched():
    for ttl in (0, 1, 2, 64, 255):
        case(f"TTL {ttl}: a switch does not count", syn(ttl=ttl), "forwarded", "backend")
    for flags in ("S", "A", "R", "RA", "F", "FA", "PA", "SA", "SR", "SF", "FPU", ""):
        frame = eth() / IP(src=CLIENT, dst=VIP) / TCP(sport=40002, dport=80, flags=flags)
        case(f"flags {flags or 'none'}", frame, "forwarded", "backend")
    case("wrong checksum of IP: the server's to judge", patched(syn(), 24, 0xDE, 0xAD), "forwarded", "backend")
    case("wrong checksum of TCP: likewise", patched(syn(), 50, 0xDE, 0xAD), "forwarded", "backend")
    for tos in (0x01, 0x02, 0x03, 0xB8, 0xFF):
        case(f"type of service {tos:#x}", syn(tos=tos), "forwarded", "backend")
    case("a payload of 1400 bytes", syn() / Raw(bytes(1400)), "forwarded", "backend")
    case("our own option from a client gets no hearing", syn(options=[IPOption(report())]), "forwarded", "backend")
    tag = Dot1Q(vlan=7, prio=5)
    case("802.1Q", Ether(src=ROUTER, dst=LAN) / tag / syn().payload, "forwarded", "backend")
    case("802.1ad and 802.1Q", Ether(src=ROUTER, dst=LAN, type=0x88A8) / Dot1AD(vlan=3) / tag / syn().payload,
         "forwarded", "backend")
    case("three tags: nobody's", Ether(src=ROUTER, dst=LAN) / tag / Dot1Q(vlan=8) / Dot1Q(vlan=9) / syn().payload,
         "not-ours", "same")


# ------------------------------------------------------------------- what is none of our business

def not_ours():
    inner = IP(src=CLIENT, dst=VIP) / TCP(sport=40001, dport=80)
    outer = IP(src=CLIENT, dst=VIP)
    case("a tunnel: IPv4 in IPv4", eth() / outer / inner, "not-ours", "same")
    case("a tunnel in a tunnel", eth() / outer / IP(src=CLIENT, dst=VIP) / inner, "not-ours", "same")
    case("IPv6 in IPv4", eth() / outer / IPv6() / TCP(dport=80), "not-ours", "same")
    case("GRE", eth() / outer / GRE() / inner, "not-ours", "same")
    case("UDP to the port of a service of TCP", eth() / outer / UDP(sport=1, dport=80), "not-ours", "same")
    case("another port", eth() / outer / TCP(dport=81), "not-ours", "same")
    case("port 0", eth() / outer / TCP(dport=0), "not-ours", "same")
    case("to the balancer itself", eth() / IP(src=CLIENT, dst="10.1.0.2") / TCP(dport=80), "not-ours", "same")
    case("IPv6 to nobody we know", eth() / IPv6(dst="2001:db8::1") / TCP(dport=80), "not-ours", "same")
    case("a frame for another machine", Ether(src=ROUTER, dst="02:00:00:00:00:99") / syn().payload,
         "not-ours", "same")
    case("broadcast", Ether(src=ROUTER, dst="ff:ff:ff:ff:ff:ff") / syn().payload, "not-ours", "same")
    case("an answer without a report", answer(), "not-ours", "same")
    case("SCTP", eth() / IP(src=CLIENT, dst=VIP, proto=132) / Raw(bytes(20)), "not-ours", "same")
    case("ESP", eth() / IP(src=CLIENT, dst=VIP, proto=50) / Raw(bytes(20)), "not-ours", "same")
    case("an echo request, which is the host's to answer", eth() / outer / ICMP(id=1, seq=2) / Raw(b"abcd"),
         "not-ours", "same")


# ------------------------------------------------------------------- echo

def echo():
    for length in (0, 1, 2, 56, 1400):
        ping = ICMP(id=0x1234, seq=7) / Raw(bytes(i & 255 for i in range(length)))
        pong = ICMP(type="echo-reply", id=0x1234, seq=7) / ping[Raw] if length else \
            ICMP(type="echo-reply", id=0x1234, seq=7)
        request = eth() / IP(src=CLIENT, dst=VIP, id=5) / ping
        yield length, request, pong


# ------------------------------------------------------------------- reports

def reports():
    case("a report", answer(report()), "report-taken", delivered())
    case("a report on data", answer(report(), payload=b"HTTP/1.1 200"), "report-taken", delivered(b"HTTP/1.1 200"))
    for flags in range(8):
        case(f"flags {flags:#x}", answer(report(flags=flags)), "report-taken", delivered())
        case(f"flags {flags:#x} and a tag", answer(report(flags=flags | KEYED)), "report-taken", delivered(), "keyed")
    for sequence, last in ((1, 0), (0, 0xFFFFFFFF), (0x7FFFFFFF, 0), (0x80000000, 1), (101, 100)):
        case(f"sequence {sequence} after {last}", answer(report(sequence)), "report-taken", delivered(), f"seq={last}")
    for sequence, last in ((5, 5), (0xFFFFFFFF, 0), (0x80000001, 0), (99, 100), (0, 0x7FFFFFFF)):
        case(f"sequence {sequence} after {last}: old", answer(report(sequence)), "report-old", delivered(),
             f"seq={last}")
    for version in (0, 2, 3, 15):
        case(f"version {version}", answer(report(version=version)), "report-malformed", "drop")
    for kind in (0x00, 0x01, 0x44, 0x5F, 0x9E, 0xDE):
        case(f"option type {kind:#x}", answer(report(kind=kind)), "not-ours", "same")
    for magic in (0x00, 0xB6, 0x7B, 0xFF):
        case(f"magic {magic:#x}: another experiment", answer(report(magic=magic)), "not-ours", "same")
    for server in ("0.0.0.0", "10.1.0.14", "11.0.1.10", "255.255.255.255"):
        case(f"server {server}", answer(report(server=server)), "report-unknown-server", "drop")
    for mac in (ROUTER, "02:00:00:00:00:12", "03:00:00:00:00:11"):
        case(f"from {mac}", answer(report(), mac=mac), "report-wrong-source", "drop")
    case("without a tag, where there is a key", answer(report()), "report-unkeyed", "drop", "keyed")
    right = report(flags=KEYED)
    for byte in range(8):
        tag = bytearray(right[24:])
        tag[byte] ^= 1 << byte
        case(f"tag wrong in byte {byte}", answer(report(flags=KEYED, tag=bytes(tag))), "report-wrong-tag", "drop",
             "keyed")
    for at in range(8, 24):
        body = bytearray(right)
        body[at] ^= 0x10
        case(f"byte {at} changed under the tag", answer(bytes(body)), "report-wrong-tag", "drop", "keyed")
    case("a tag for another client", answer(right, dst="10.1.0.51"), "report-wrong-tag", "drop", "keyed")
    case("wrong checksum of the header", patched(answer(report()), 24, 0, 0), "report-malformed", "drop")
    case("another option behind it", answer(report() + b"\x01\x01\x01\x01"), "report-malformed", "drop")
    case("behind another option, where ours never is", answer(b"\x01\x01\x01\x01" + report()), "not-ours", "same")
    case("to a client without a route", answer(report(), dst="203.0.113.9"), "report-no-route", "drop")


cut_short()
lying_lengths()
untouched()
not_ours()
reports()
for size, asked, reply in echo():
    back = Ether(src=LAN, dst=ROUTER) / IP(src=VIP, dst=CLIENT, id=5) / reply
    case(f"an echo request with {size} bytes", asked, "echo-answered", back, "echo")
