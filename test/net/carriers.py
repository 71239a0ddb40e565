#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Reads what a server has sent (pcap, Ethernet, as it left) and says which packets bore a report.

    carriers.py FILE

A line of JSON:
  packets, carriers         as they left; a packet that the kernel has yet to cut counts once
  retransmissions           packets with bytes, a SYN or a FIN that had left before
  carriers_again            carriers among those
  longest                   the longest carrier, in bytes of IP
  seconds                   from the first packet to the last
  closest_ms                the time between two carriers to the same machine: what 1 in 100 is below
  kinds                     carriers by what they were: syn, fin, reset, data, ack
"""
import json
import struct
import sys

FIN, SYN, RESET = 1, 2, 4


def frames(file):
    """(time in seconds, frame)"""
    header = file.read(24)
    order = "<" if header[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    while len(record := file.read(16)) == 16:
        seconds, microseconds, length, _ = struct.unpack(f"{order}4I", record)
        frame = file.read(length)
        if len(frame) < length:
            return  # the capture ended in the middle of it
        yield seconds + microseconds / 1e6, frame


def kind(flags, payload):
    if flags & RESET:
        return "reset"
    if flags & SYN:
        return "syn"
    if payload:
        return "data"
    return "fin" if flags & FIN else "ack"


class Flows:
    """How far each connection has come."""

    def __init__(self):
        self.next = {}

    def is_repeated(self, flow, sequence, flags, payload):
        length = payload + bool(flags & FIN) + bool(flags & SYN)
        end = sequence + length & 0xFFFFFFFF
        if flags & SYN:
            # A port that is used again begins anew, elsewhere.
            repeated = self.next.get(flow) == end
            self.next[flow] = end
            return repeated
        if not length or flags & RESET:
            return False
        ahead = end - self.next.get(flow, sequence) & 0xFFFFFFFF
        if not 0 < ahead < 1 << 31:
            return True
        self.next[flow] = end
        return False


def main():
    flows, last, gaps, times = Flows(), {}, [], []
    found = {"packets": 0, "carriers": 0, "retransmissions": 0, "carriers_again": 0, "longest": 0,
             "kinds": {}}
    with open(sys.argv[1], "rb") as file:
        for time, frame in frames(file):
            header = (frame[14] & 15) * 4
            tcp = frame[14 + header:]
            total = struct.unpack_from("!H", frame, 16)[0]
            flags = tcp[13]
            payload = total - header - (tcp[12] >> 4) * 4
            sequence = struct.unpack_from("!I", tcp, 4)[0]
            again = flows.is_repeated(frame[30:34] + tcp[:4], sequence, flags, payload)
            times.append(time)
            found["packets"] += 1
            found["retransmissions"] += again
            if header == 20:
                continue
            balancer = frame[:6]
            if balancer in last:
                gaps.append(time - last[balancer])
            last[balancer] = time
            name = kind(flags, payload)
            found["carriers"] += 1
            found["carriers_again"] += again
            if again:
                print(f"{time}: sent before, and bore a report: {name} {frame.hex()}", file=sys.stderr)
            found["longest"] = max(found["longest"], total)
            found["kinds"][name] = found["kinds"].get(name, 0) + 1
    found["seconds"] = max(times) - min(times) if times else 0
    found["closest_ms"] = sorted(gaps)[len(gaps) // 100] * 1000 if gaps else None
    print(json.dumps(found))


main()
