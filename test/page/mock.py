# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A daemon that is none: serves the page and the API's JSON, for what no lab can have: 500 servers,
a server that never reports, a service without traffic. What it tells is made up, and moves a little."""
import http.server
import json
import math
import random
import threading
import time
import urllib.parse

TYPES = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
         "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"


def backend(number, services=1):
    """A server that is well. The fields are those of doc/api.md."""
    return {"address": f"10.{services}.{number // 250}.{number % 250 + 1}", "weight": 1, "weight_in_force": 1.0,
            "forward": "l2", "state": "healthy", "cause": "answers clients' connections", "since": "2026-11-25T03:00:00Z",
            "changed": [], "leaving": False, "check": None, "check_result": None, "unanswered": 0, "moved": 0, "handshake_us": 200, "load_cause": None,
            "mac": f"02:00:00:00:{number // 256:02x}:{number % 256:02x}",
            "in_flight": 4, "utilisation": 0.4, "latency_us": 4000, "accept_queue": 0.0, "report_age_ms": 1.5,
            "known": True, "reports": 1000, "pending": 1, "polls": 0, "poll_answers": 0, "poll_answers_late": 0,
            "poll_answers_refused": 0, "reports_by_old_key": 0, "share": 0.0, "connections": 0, "open_connections": 12,
            "drained": False,
            "connections_per_second": 0.0, "packets": 0, "bytes": 0}


def service(name, number, count, **changes):
    return {"name": name, "address": f"10.{number}.255.254:80", "protocol": "tcp", "policy": "power-of-choices",
            "choices": 4, "signal": "in-flight", "feedback": "in-band", "connections": 0,
            "connections_per_second": 0.0, "packets": 0, "bytes": 0, "removed": [], "leaving": False,
            "backends": [backend(i, number) for i in range(count)], **changes}


def silence(member, reports=0):
    """It has never reported, or not for long."""
    member.update(known=False, reports=reports)
    if not reports:
        member.update(in_flight=None, utilisation=None, latency_us=None, accept_queue=None, report_age_ms=None,
                      pending=0)
    else:
        member.update(report_age_ms=12000.0)


class World:
    """What the mock daemon would know. `per_second`: connections to a server that is up."""

    def __init__(self, services, per_second=20.0):
        self.services = services
        self.per_second = per_second
        self.started = self.moved = time.monotonic()
        self.counters = {"forwarded": 0, "report-taken": 0, "malformed": 0, "no-backend": 0, "report-wrong-source": 0}
        self.events = [{"sequence": 1, "time_ms": int(1000 * time.time()), "kind": "no-neighbour", "service": "shop",
                        "backend": "10.2.0.2", "cause": "does not answer ARP"}]
        self.still = False
        self.lock = threading.Lock()

    def move(self):
        now = time.monotonic()
        passed, self.moved = now - self.moved, now
        for one in self.services:
            for i, member in enumerate(one["backends"]):
                self.move_backend(member, i, now, passed)
            rate = sum(member["connections_per_second"] for member in one["backends"])
            for member in one["backends"]:
                member["share"] = member["connections_per_second"] / rate if rate else 0.0
            one["connections_per_second"] = rate
            one["connections"] = sum(member["connections"] for member in one["backends"])

    def move_backend(self, member, i, now, passed):
        up = member["state"] == "healthy"
        swell = 1 + 0.3 * math.sin(now / 7 + i) + random.uniform(-0.1, 0.1)
        member["connections_per_second"] = self.per_second * swell if up else 0.0
        member["connections"] += round(member["connections_per_second"] * passed)
        if member["known"]:
            member["in_flight"] = max(0, round(4 * swell * member.get("slow", 1) + random.uniform(-1, 1)))
            member["latency_us"] = round(4000 * swell * member.get("slow", 1))
            member["utilisation"] = min(1.0, 0.4 * swell)
            member["pending"] = random.randint(0, 2)
            member["report_age_ms"] = random.uniform(0.2, 3.0)
            member["reports"] += round(100 * passed * swell)

    def status(self, only=None):
        with self.lock:
            if not self.still:
                self.move()
            services = [one for one in self.services if only in (None, one["name"])]
            return {"role": "balancer", "instance": "mock", "version": "0.1.0",
                    "uptime_seconds": time.monotonic() - self.started, "keyed": True,
                    "interfaces": [{"name": "eth0", "xdp_mode": "native"}],
                    "flows": {"capacity": 1048576, "used": 5120}, "services": services, "poll_strangers": 0,
                    "counters": self.counters}


    def summary(self):
        with self.lock:
            if not self.still:
                self.move()
            addresses = {member["address"] for one in self.services for member in one["backends"]}
            return {"servers": len(addresses), "services": [summarise(one) for one in self.services]}


def summarise(one):
    members = one["backends"]
    states = [member["state"] for member in members]
    return {"name": one["name"], "address": one["address"], "protocol": one["protocol"], "leaving": one["leaving"],
            "backends": len(members), "open": sum(state in ("healthy", "unknown") for state in states),
            **{state: states.count(state) for state in ("suspect", "down", "draining")},
            "silent": sum(not member["known"] and member["connections_per_second"] > 0 for member in members),
            "in_flight": sum(member["in_flight"] or 0 for member in members),
            "connections_per_second": one["connections_per_second"]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        query = urllib.parse.parse_qs(url.query)
        only = query.get("service", [None])[0]
        if url.path == "/api/v1/status":
            self.answer(json.dumps(self.server.world.status(only)).encode(), "application/json")
        elif url.path == "/api/v1/summary":
            self.answer(json.dumps(self.server.world.summary()).encode(), "application/json")
        elif url.path == "/api/v1/events":
            self.answer(json.dumps({"events": self.server.world.events}).encode(), "application/json")
        elif url.path == "/api/v1/stream":
            self.stream(int(query.get("interval_ms", ["500"])[0]) / 1000, only)
        else:
            self.file(url.path.strip("/") or "index.html")

    def answer(self, body, kind, code=200):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def file(self, name):
        path = self.server.files.get(name)
        if path is None:
            self.answer(b'{"error": "no such file"}', "application/json", 404)
        else:
            self.answer(path.read_bytes(), TYPES[name.rsplit(".", 1)[-1]])

    def stream(self, interval, only):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            while not self.server.closing:
                self.wfile.write(f"event: status\ndata: {json.dumps(self.server.world.status(only))}\n\n".encode())
                time.sleep(interval)
        except OSError:
            pass
        self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, files, world, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.files = {path.name: path for path in files}
        self.world = world
        self.closing = False
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.closing = True
        self.shutdown()
        self.server_close()
