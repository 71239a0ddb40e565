#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Connections that are kept while something happens to the balancer.

    hold.py VIP COUNT STARTED GO

Asks for /name on COUNT connections, and begins to read /100m, slowly. Makes the file STARTED, and
reads on until there is a file GO. Then asks again on each connection, and reads what is left.
Prints, one a line, the two names that each connection got, and the SHA-256 of the download.
"""
import hashlib
import http.client
import os
import sys
import time

TIMEOUT_SECONDS = 60


def name(connection):
    connection.request('GET', '/name')
    return connection.getresponse().read().decode().strip()


def main(vip, count, started, go):
    talks = []
    for _ in range(int(count)):
        connection = http.client.HTTPConnection(vip, timeout=TIMEOUT_SECONDS)
        talks.append((connection, name(connection)))
        time.sleep(0.05)
    connection = http.client.HTTPConnection(vip, timeout=TIMEOUT_SECONDS)
    connection.request('GET', '/100m')
    response = connection.getresponse()
    digest = hashlib.sha256(response.read(5000000))
    open(started, 'w', encoding='ascii').close()
    # The server always has more to send than it may: the download is never idle, nor ever done.
    while not os.path.exists(go):
        digest.update(response.read(10000))
        time.sleep(0.02)
    for talk, first in talks:
        print(first, name(talk))
    while data := response.read(1000000):
        digest.update(data)
    print(digest.hexdigest())


if __name__ == '__main__':
    main(*sys.argv[1:])
