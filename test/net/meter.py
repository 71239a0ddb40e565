#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a server's meter says, beside what the lab's worker knows (lab/truth.h).

    meter.py PINS TRUTH SECONDS   both, averaged, as a line of JSON
    meter.py PINS                 the meter's count of now

PINS is the directory with the server's pinned maps. Both sides are memory that is mapped, read a
thousand times a second.
"""
import ctypes
import json
import mmap
import os
import struct
import sys
import time

BPF_OBJ_GET = 7
SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
TRUTH_IN_FLIGHT = 5  # 64-bit words of struct truth
TRUTH_ANSWERED = 9
TRUTH_LATENCY_NS = 15
TRUTH_LAST = 18


def map_open(path):
    name = ctypes.create_string_buffer(path.encode())
    attributes = struct.pack("QII", ctypes.addressof(name), 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(SYS_BPF, BPF_OBJ_GET, attributes, len(attributes))
    if fd < 0:
        raise OSError(ctypes.get_errno(), path)
    return mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ)


def in_flight(metrics):
    return struct.unpack_from("q", metrics, 0)[0]


def truth_read(truth):
    """As truth.h says: until nothing changes meanwhile."""
    while True:
        words = struct.unpack_from(f"{TRUTH_LAST}Q", truth, 0)
        if words[1] % 2 == 0 and struct.unpack_from("Q", truth, 8)[0] == words[1]:
            return words


def compare(metrics, truth, seconds):
    end = time.monotonic() + seconds
    first = truth_read(truth)
    counts = [0, 0, 0]
    farthest = 0
    while time.monotonic() < end:
        before = in_flight(metrics)
        known = truth_read(truth)[TRUTH_IN_FLIGHT]
        counted = in_flight(metrics)
        if before == counted:
            counts = [counts[0] + 1, counts[1] + counted, counts[2] + known]
            farthest = max(farthest, abs(counted - known))
        time.sleep(0.001)
    samples, counted, known = counts
    words = truth_read(truth)
    return {
        "samples": samples,
        "meter": counted / max(1, samples),
        "truth": known / max(1, samples),
        "error": (counted - known) / max(1, known),
        "farthest": farthest,
        "latency_us": (words[TRUTH_LATENCY_NS] - first[TRUTH_LATENCY_NS])
        / max(1, words[TRUTH_ANSWERED] - first[TRUTH_ANSWERED]) / 1000,
    }


def main():
    metrics = map_open(f"{sys.argv[1]}/metrics")
    if len(sys.argv) == 2:
        print(in_flight(metrics))
        return
    with open(sys.argv[2], "rb") as file:
        truth = mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
    print(json.dumps(compare(metrics, truth, float(sys.argv[3]))))


main()
