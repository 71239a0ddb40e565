#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Reads what a server has sent (pcap, Ethernet, as it left) and says which packets bore a report.

    carriers.py FILE

A line of JSON: packets, carriers, and of each kind how many were retransmissions; carriers by what
they were: syn, fin, reset, data, ack.
"""
import json
import struct
import sys


def frames(file):
    header = file.read(24)
    order = "<" if header[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    while record := file.read(16):
        _, _, length, _ = struct.unpack(f"{order}4I", record)
        yield file.read(length)


def kind(flags, payload):
    for bit, name in ((4, "reset"), (2, "syn")):
        if flags & bit:
            return name
    if payload:
        return "data"
    return "fin" if flags & 1 else "ack"


def main():
    farthest = {}
    found = {"packets": 0, "carriers": 0, "retransmissions": 0, "carriers_again": 0, "kinds": {}}
    with open(sys.argv[1], "rb") as file:
        for frame in frames(file):
            header = (frame[14] & 15) * 4
            tcp = frame[14 + header:]
            total = struct.unpack_from("!H", frame, 16)[0]
            ports = tcp[:4]
            sequence = struct.unpack_from("!I", tcp, 4)[0]
            flags = tcp[13]
            payload = total - header - (tcp[12] >> 4) * 4
            length = payload + (flags & 1) + (flags >> 1 & 1)
            flow = frame[30:34] + ports
            if flags & 2:
                # A port that is used again begins anew.
                again = farthest.get(flow) == sequence + 1
                farthest[flow] = sequence + 1
            else:
                end = sequence + length & 0xFFFFFFFF
                seen = farthest.get(flow, sequence)
                again = length > 0 and (end - seen & 0xFFFFFFFF or 1 << 32) > 1 << 31
                farthest[flow] = seen if again or not length else end
            carrier = header > 20
            found["packets"] += 1
            found["carriers"] += carrier
            found["retransmissions"] += again
            found["carriers_again"] += carrier and again
            if carrier:
                name = kind(flags, payload)
                found["kinds"][name] = found["kinds"].get(name, 0) + 1
    print(json.dumps(found))


main()
