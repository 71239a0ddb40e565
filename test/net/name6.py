# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""name6.py ADDRESS NAME: answers HTTP requests in IPv6 with the name, and /BYTES with so many of them."""
import http.server
import socket
import sys


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6

    def server_bind(self):
        # Another may listen in IPv4.
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = self.path[1:]
        body = b"x" * int(wanted) if wanted.isdigit() else (sys.argv[2] + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


Server((sys.argv[1], 80), Handler).serve_forever()
