#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A new connection every so often, whatever becomes of those before; each asks for one page.

    knock.py VIP RATE SECONDS [PATH [FORGED MAC]]

Prints "started" after a second, and at the end, or when it is sent SIGTERM, a line of JSON: how many were begun, answered, refused, reset,
timed out (after 8 s); how many were answered only after 0.9 s, which is when a lost SYN is repeated; and
by which servers, as /name says. Before each go FORGED SYNs of invented clients, to that MAC address: when the
machine is slow, both are.
"""
import asyncio
import collections
import json
import signal
import sys
import time

from flood import Forger

PATIENCE_SECONDS = 8
REPEATED_SECONDS = 0.9


async def knock(vip, path, tally, names):
    begun = time.monotonic()
    tally["begun"] += 1
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(vip, 80)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {vip}\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
    except TimeoutError:
        tally["timed_out"] += 1
        return
    except ConnectionRefusedError:
        tally["refused"] += 1
        return
    except OSError:
        tally["reset"] += 1
        return
    head, _, body = answer.partition(b"\r\n\r\n")
    tally["answered" if head.startswith(b"HTTP/1.1 200 ") else "wrong"] += 1
    tally["late"] += time.monotonic() - begun > REPEATED_SECONDS
    names[body.decode().strip()] += 1


async def main():
    vip, rate, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    path = sys.argv[4] if len(sys.argv) > 4 else "/name"
    forged = int(sys.argv[5]) if len(sys.argv) > 6 else 0
    forger = Forger(vip, 80, sys.argv[6]) if forged else None
    tally = dict.fromkeys(("begun", "answered", "wrong", "refused", "reset", "timed_out", "late"), 0)
    names = collections.Counter()
    start = time.monotonic()
    told, tasks, enough = False, [], asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, enough.set)
    for number in range(int(rate * seconds)):
        if enough.is_set():
            break
        await asyncio.sleep(max(0, start + number / rate - time.monotonic()))
        for _ in range(forged):
            forger.send()
        tasks.append(asyncio.create_task(knock(vip, path, tally, names)))
        if not told and time.monotonic() - start > 1:
            told = True
            print("started", flush=True)
    await asyncio.gather(*tasks)
    print(json.dumps({**tally, "names": names}))


asyncio.run(main())
