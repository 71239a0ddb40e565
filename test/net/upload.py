#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""upload.py serve PORT: takes one connection, and says how many bytes came. upload.py ADDRESS PORT BYTES: sends."""

import socket
import sys

PIECE = 1 << 20


def serve(port):
    with socket.create_server(('', port)) as listening, listening.accept()[0] as talk:
        count = 0
        while piece := talk.recv(PIECE):
            count += len(piece)
        talk.sendall(str(count).encode())


def send(address, port, count):
    with socket.create_connection((address, port), timeout=10) as talk:
        talk.sendall(bytes(count))
        talk.shutdown(socket.SHUT_WR)
        print(talk.recv(PIECE).decode())


if sys.argv[1] == 'serve':
    serve(int(sys.argv[2]))
else:
    send(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
