#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
A server that is of no use, and done with each connection at once: it resets one as soon as it has accepted it, the
next when the request has come, and so on. Prints "ready".
"""
import asyncio
import itertools
import socket
import struct

waits = itertools.cycle((False, True))


async def serve(reader, writer):
    try:
        if next(waits):
            await reader.readuntil(b"\r\n\r\n")
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()
        await writer.wait_closed()
    except (OSError, asyncio.IncompleteReadError):
        pass


async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 80, backlog=4096)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


asyncio.run(main())
