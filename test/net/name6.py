# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""name6.py ADDRESS NAME: answers every HTTP request in IPv6 with the name."""
import http.server
import socket
import sys


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (sys.argv[2] + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


Server((sys.argv[1], 80), Handler).serve_forever()
