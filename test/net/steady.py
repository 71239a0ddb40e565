#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Connections that go on, each with a checksum of all that it has been answered.

    steady.py VIP ASKING LOADING SECONDS FILE PATH LARGE LARGE_PATH

ASKING connections ask for PATH again and again; LOADING ones take LARGE_PATH, slowly enough to be in the
middle of it all the time. FILE and LARGE are what must come. Prints "started" when all have had an
answer, or its beginning; after SECONDS, when each has had its last answer in full, a line of JSON:
connections, answers, bytes, how many connections were lost (by a wrong checksum, an end, or a
silence of 10 s) and in which ways.
"""
import asyncio
import hashlib
import json
import random
import sys
import time

SILENCE_SECONDS = 10
PIECE = 1 << 18


class Talk:
    def __init__(self, vip, count):
        self.vip = vip
        self.count = count
        self.started = self.answers = self.bytes = 0
        self.end = 0

    def has_started(self):
        self.started += 1
        if self.started == self.count:
            print("started", flush=True)

    async def ask(self, path):
        reader, writer = await asyncio.open_connection(self.vip, 80, limit=PIECE)
        return reader, writer, f"GET /{path} HTTP/1.1\r\nHost: {self.vip}\r\n\r\n".encode()

    async def head(self, reader, size):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SILENCE_SECONDS)
        if not head.startswith(b"HTTP/1.1 200 ") or f"Length: {size}\r\n".encode() not in head:
            raise ValueError(f"wrong answer: {head[:60]}")

    async def asking(self, path, body):
        reader, writer, request = await self.ask(path)
        have, want, first = hashlib.sha256(), hashlib.sha256(), True
        while first or time.monotonic() < self.end:
            writer.write(request)
            await self.head(reader, len(body))
            have.update(await asyncio.wait_for(reader.readexactly(len(body)), SILENCE_SECONDS))
            want.update(body)
            if have.digest() != want.digest():
                raise ValueError("wrong checksum")
            self.answers += 1
            self.bytes += len(body)
            if first:
                first = False
                self.has_started()
            await asyncio.sleep(random.uniform(0.2, 0.8))
        writer.close()

    async def loading(self, path, body):
        reader, writer, request = await self.ask(path)
        have, got = hashlib.sha256(), 0
        writer.write(request)
        await self.head(reader, len(body))
        pieces = len(body) // PIECE + 1
        while got < len(body):
            piece = await asyncio.wait_for(reader.read(PIECE), SILENCE_SECONDS)
            if not piece:
                raise ValueError("ended in the middle")
            if not got:
                self.has_started()
            got += len(piece)
            have.update(piece)
            left = self.end - time.monotonic()
            if left > 0:
                await asyncio.sleep(left / pieces)
        if have.digest() != hashlib.sha256(body).digest():
            raise ValueError("wrong checksum")
        self.answers += 1
        self.bytes += got
        writer.close()


async def main():
    asking, loading, seconds = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    talk = Talk(sys.argv[1], asking + loading)
    with open(sys.argv[5], "rb") as file:
        body = file.read()
    with open(sys.argv[7], "rb") as file:
        large = file.read()
    talk.end = time.monotonic() + seconds
    ended = await asyncio.gather(
        *(talk.asking(sys.argv[6], body) for _ in range(asking)),
        *(talk.loading(sys.argv[8], large) for _ in range(loading)), return_exceptions=True)
    wrong = [repr(one) for one in ended if one]
    print(json.dumps({"connections": talk.count, "answers": talk.answers, "bytes": talk.bytes,
                      "lost": len(wrong), "how": sorted(set(wrong))}))


asyncio.run(main())
