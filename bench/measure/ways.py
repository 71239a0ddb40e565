# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The small lab, with a choice of what stands between client and server, and of who has which CPU."""

import json
import mmap
import os
import pathlib
import re
import struct
import subprocess
import time

from .lab import ROOT, VIP, LabError, run
from .pairs import SmallLab

BULK_PORT = 5201
FILLER = ROOT / 'build' / 'bench' / 'filler'
FLOOR = ROOT / 'build' / 'bench' / 'floor.bpf.o'
PASS = ROOT / 'build' / 'lab' / 'pass.bpf.o'
WAYS = {'direct': 'client to server', 'plimsoll': 'Plimsoll', 'generic': 'Plimsoll, generic XDP',
        'agentless': 'Plimsoll without its agent', 'floor': 'XDP, MAC rewritten', 'nftables': 'nftables, MAC rewritten',
        'haproxy': 'HAProxy, TCP mode'}
SELDOM = ('agentless',)  # only where it is asked for
LOADS = ('connections', 'packets', 'download', 'upload')
ARRANGEMENTS = ('apart', 'shared', 'containers')
# Native XDP forgets that checksums are unfinished, as they are there.
IMPOSSIBLE = (('containers', 'plimsoll'), ('containers', 'agentless'), ('containers', 'floor'))
# apart: client and server have the one, the switch and what stands between have the other.
ENDS_CPU, NETWORK_CPU = 0, 1
CALIBRATION_SECONDS = 1
HAPROXY_READY_SECONDS = 5

NFTABLES = '''
table netdev balancer {{
	chain ingress {{
		type filter hook ingress device eth0 priority 0
		ip daddr {vip} ether saddr set {balancer} ether daddr set {server} fwd to eth0
	}}
}}
'''

HAPROXY = '''
global
	nbthread {threads}
	maxconn 4000
defaults
	mode tcp
	timeout connect 5s
	timeout client 30s
	timeout server 30s
listen web
	bind {vip}:80
	server s1 {server}:80
listen bulk
	bind {vip}:{port}
	server s1 {server}:{port}
'''


def busy_seconds(filler):
    """How long each CPU has not been idle; where no tick is needed the kernel counts that exactly."""
    now, busy = time.monotonic(), []
    for line in pathlib.Path('/proc/stat').read_text().splitlines():
        name, *ticks = line.split()
        if name.startswith('cpu') and name != 'cpu':
            idle, waiting, stolen = (int(ticks[i]) for i in (3, 4, 7))
            busy.append(now - (idle + waiting + stolen) / os.sysconf('SC_CLK_TCK'))
    if filler:
        busy[NETWORK_CPU] = filler.busy_seconds()
    return busy


class Filler:
    """Keeps a CPU from sleeping, and knows how much of it others have used (bench/filler.c)."""

    def __init__(self, cpu, path):
        path.write_bytes(bytes(8))
        self.process = subprocess.Popen([FILLER, str(cpu), path])
        with open(path, 'r+b') as file:
            self.memory = mmap.mmap(file.fileno(), 8)
        before, started = self.rounds(), time.monotonic()
        time.sleep(CALIBRATION_SECONDS)
        self.rate = (self.rounds() - before) / (time.monotonic() - started)
        if self.process.poll() is not None or not self.rate:
            raise LabError(f'{FILLER} does not run')

    def rounds(self):
        return struct.unpack('<Q', self.memory[:8])[0]

    def busy_seconds(self):
        return time.monotonic() - self.rounds() / self.rate

    def end(self):
        self.process.kill()
        self.process.wait()


class Ways(SmallLab):
    # In the arrangement "apart", beside the switch.
    places = {'c1': ENDS_CPU, 's1': ENDS_CPU, 'b1': NETWORK_CPU}

    def __init__(self, name):
        super().__init__(name, BULK_PORT)
        self.cpus = os.sched_getaffinity(0)
        self.arrangement = 'shared'  # so the lab comes up
        self.way = None
        self.filler = None
        self.leave_way = lambda: None

    def __exit__(self, *arguments):
        try:
            os.sched_setaffinity(0, self.cpus)
            self.leave()
        finally:
            self.fill(False)
            super().__exit__(*arguments)

    def mac(self, machine):
        shown = run(['ip', '-j', '-n', f'{self.name}-{machine}', 'link', 'show', 'eth0'])
        return json.loads(shown)[0]['address']

    def ip(self, machine, *arguments):
        run(['ip', '-force', '-n', f'{self.name}-{machine}', *arguments])

    # ---------------------------------------------------------------- CPUs

    def arrange(self, arrangement):
        if arrangement == 'apart' and not {ENDS_CPU, NETWORK_CPU} <= self.cpus:
            raise LabError(f'the arrangement "apart" takes the CPUs {ENDS_CPU} and {NETWORK_CPU}; '
                           '--arrangements shared does without')
        if arrangement == self.arrangement:
            return
        self.leave()
        self.arrangement = arrangement
        self.leave_to_cables(arrangement == 'containers')
        self.fill(arrangement == 'apart')
        for machine, cpu in self.places.items():
            self.steer(machine, 'eth0', cpu)
            self.steer('switch', machine, NETWORK_CPU)

    def fill(self, wanted):
        """In life, too, nobody has to wake the network's CPU: it has traffic of others."""
        if self.filler:
            self.filler.end()
        self.filler = Filler(NETWORK_CPU, self.state / 'filler') if wanted else None

    def leave_to_cables(self, wanted):
        """Checksums, and the cutting of large packets: as a virtual cable comes."""
        for machine in ('c1', 's1'):
            run(self.inside(machine, 'ethtool', '-K', 'eth0', 'tx', 'on' if wanted else 'off'))
        self.ip('switch', 'link', 'set', 'b1', 'xdpdrv',
                *(['off'] if wanted else ['object', PASS, 'section', 'xdp']))

    def steer(self, machine, interface, cpu):
        """What the interface receives is worked on by that CPU (RPS)."""
        mask = f'{1 << cpu:x}' if self.arrangement == 'apart' else '0'
        run(self.inside(machine, 'tee', f'/sys/class/net/{interface}/queues/rx-0/rps_cpus'), input=mask)

    def pin(self):
        """The programs on the machines, and what is started from here: the load."""
        apart = self.arrangement == 'apart'
        for machine, cpu in self.places.items():
            cpus = {cpu} if apart else self.cpus
            for pid in run(['ip', 'netns', 'pids', f'{self.name}-{machine}']).split():
                for thread in pathlib.Path(f'/proc/{pid}/task').iterdir():
                    os.sched_setaffinity(int(thread.name), cpus)
        os.sched_setaffinity(0, {self.places['c1']} if apart else self.cpus)

    # ---------------------------------------------------------------- ways

    def take(self, way):
        """Sends the client's packets by that way from now on."""
        self.leave()
        os.sched_setaffinity(0, self.cpus)
        self.leave_way = getattr(self, f'take_{way}')()
        self.way = way
        via = 's1' if way == 'direct' else 'b1'
        self.ip('c1', 'neighbour', 'replace', VIP, 'lladdr', self.mac(via), 'dev', 'eth0',
                'nud', 'permanent')
        self.pin()

    def leave(self):
        if self.way:
            self.leave_way()
        self.way = None

    def take_direct(self):
        return lambda: None

    def take_plimsoll(self, xdp_mode='native'):
        self.configure(f'xdp_mode={xdp_mode}')
        self.lab('start', 'all')

        def leave():
            self.lab('stop', 'all')
            self.lab('direct', 's1')
        return leave

    def take_generic(self):
        return self.take_plimsoll('generic')

    def take_agentless(self):
        self.configure('xdp_mode=native')
        self.lab('start', 'b1')
        return lambda: self.lab('stop', 'b1')

    def take_floor(self):
        self.ip('b1', 'link', 'set', 'eth0', 'xdpdrv', 'object', FLOOR, 'section', 'xdp')
        return lambda: self.ip('b1', 'link', 'set', 'eth0', 'xdpdrv', 'off')

    def take_nftables(self):
        rules = NFTABLES.format(vip=VIP, balancer=self.mac('b1'), server=self.mac('s1'))
        run(self.inside('b1', 'nft', '-f', '-'), input=rules)
        return lambda: run(self.inside('b1', 'nft', 'delete', 'table', 'netdev', 'balancer'))

    def take_haproxy(self):
        path = self.state / 'b1' / 'haproxy.cfg'
        threads = 1 if self.arrangement == 'apart' else len(self.cpus)
        path.write_text(HAPROXY.format(vip=VIP, server='10.1.0.11', port=BULK_PORT, threads=threads))
        self.ip('b1', 'address', 'add', f'{VIP}/32', 'dev', 'lo')
        haproxy = subprocess.Popen(self.inside('b1', 'haproxy', '-db', '-f', path),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

        def leave():
            haproxy.terminate()
            haproxy.wait()
            self.ip('b1', 'address', 'delete', f'{VIP}/32', 'dev', 'lo')
        self.await_listener('b1')
        return leave

    def await_listener(self, machine):
        end = time.monotonic() + HAPROXY_READY_SECONDS
        while f'{VIP}:80' not in run(self.inside(machine, 'ss', '-Hltn')):
            if time.monotonic() > end:
                raise LabError(f'HAProxy does not listen on {machine}')
            time.sleep(0.05)

    # ---------------------------------------------------------------- loads

    def measure(self, load, seconds):
        """{"value":, "busy": seconds of each CPU for a second of the load}, and what else is known"""
        before, started = busy_seconds(self.filler), time.monotonic()
        measured = getattr(self, f'measure_{load}')(seconds)
        took = time.monotonic() - started
        busy = [round((after - first) / took, 3)
                for first, after in zip(before, busy_seconds(self.filler))]
        return {**measured, 'busy': busy}

    def packets_sent(self):
        return int(run(self.inside('c1', 'cat', '/sys/class/net/eth0/statistics/tx_packets')))

    def measure_connections(self, seconds):
        return {'value': self.requests_per_second(seconds)}

    def measure_packets(self, seconds):
        before, started = self.packets_sent(), time.monotonic()
        said = run(self.inside('c1', 'wrk', '-t', 1, '-c', 64, '-d', seconds, f'http://{VIP}/small'))
        packets = (self.packets_sent() - before) / (time.monotonic() - started)
        return {'value': round(packets, 1),
                'requests': float(re.search(r'Requests/sec: *([0-9.]+)', said)[1])}

    def measure_download(self, seconds):
        return {'value': self.bulk_bits_per_second(seconds)}

    def measure_upload(self, seconds):
        return {'value': self.bulk_bits_per_second(seconds, to_client=False)}
