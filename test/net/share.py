#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
The largest share of connections that one server had while it was there, out of what lab/load has printed with --series,
of several that began at the same instant.

    share.py SERVER CONNECTIONS FILE...

Looks at stretches of at least so many connections, from the first on that the server had. Prints a line of JSON: its
share of the first of these, the largest, and that of all together; null if there were not so many.
"""
import json
import sys


def bins_of(files):
    """(the server's, everybody's) connections, bin by bin."""
    server, loads = sys.argv[1], [json.load(open(file, encoding="utf-8"))["series"]["servers"] for file in files]
    length = max(len(bins) for load in loads for bins in load.values())
    own, everybody = [0] * length, [0] * length
    for name, bins in (item for load in loads for item in load.items()):
        for i, count in enumerate(bins):
            everybody[i] += count
            own[i] += count if name == server else 0
    return own, everybody


def stretches(own, everybody, least):
    """The share of each, the shortest that begin with each bin."""
    end = got = count = 0
    for begin, left in enumerate(everybody):
        while count < least and end < len(everybody):
            got, count, end = got + own[end], count + everybody[end], end + 1
        if count < least:
            return
        yield got / count
        got, count = got - own[begin], count - left


def main():
    own, everybody = bins_of(sys.argv[3:])
    first = next(i for i, count in enumerate(own) if count)
    own, everybody = own[first:], everybody[first:]
    shares = [round(share, 3) for share in stretches(own, everybody, int(sys.argv[2]))]
    print(json.dumps({"first": shares[0] if shares else None, "largest": max(shares, default=None),
                      "all": round(sum(own) / sum(everybody), 3)}))


main()
