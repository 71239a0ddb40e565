#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Many connections that ask again and again, each of whose answers is held against what it must be.

    steady.py VIP COUNT SECONDS FILE PATH

Prints a line "started" when all connections have had an answer, and at the end a line of JSON:
connections, answers, and how many connections were lost, by a wrong answer, an end or a silence of 10 s.
"""
import asyncio
import json
import random
import sys
import time

SILENCE_SECONDS = 10
answers = 0
started = 0


async def talk(vip, path, body, end, slot, count):
    global answers, started
    request = f"GET /{path} HTTP/1.1\r\nHost: {vip}\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection(vip, 80)
    first = True
    while first or time.monotonic() < end:
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SILENCE_SECONDS)
        got = await asyncio.wait_for(reader.readexactly(len(body)), SILENCE_SECONDS)
        if not head.startswith(b"HTTP/1.1 200 ") or got != body:
            raise ValueError("wrong answer")
        answers += 1
        if first:
            first = False
            started += 1
            if started == count:
                print("started", flush=True)
        await asyncio.sleep(random.uniform(0.2, 0.8))
    writer.close()


async def main():
    vip, count, seconds, file, path = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:]
    with open(file, "rb") as what:
        body = what.read()
    end = time.monotonic() + seconds
    ended = await asyncio.gather(
        *(talk(vip, path, body, end, slot, count) for slot in range(count)), return_exceptions=True)
    wrong = [repr(one) for one in ended if one]
    print(json.dumps({"connections": count, "answers": answers, "lost": len(wrong),
                      "how": sorted(set(wrong))}))


asyncio.run(main())
