# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
What explains a broken connection, gathered as soon as the streams tell of it: the faults before it, what the
client's wire has seen of it (a ring of what opens and ends connections, of ICMP and of ARP), what its server
says, where the balancer has it, and the balancer's events, evidence and counters.
"""

import json
import re
import subprocess
import threading
import time

from .lab import LabError

FAULTS_SECONDS = 15  # before the break
PACKETS_SECONDS = 30
LOOK_SECONDS = 0.1
WRITTEN_SECONDS = 0.3  # until the capture is in its file
CAPTURED = 'tcp[tcpflags] & (tcp-syn | tcp-fin | tcp-rst) != 0 or icmp or arp'
RING = ('-C', '8', '-W', '3')  # files of so many MB: minutes at 500 connections a second
TOLD = re.compile(r'broken: .*?(?P<address>[\d.]+):(?P<port>\d+), of (?P<server>\w+), .* at (?P<at>[\d.]+)$')
JUDGED = ('address', 'state', 'cause', 'since', 'unanswered', 'moved', 'handshake_us', 'known', 'pending',
          'in_flight', 'connections', 'open_connections')


def numbers(value, path=''):
    """All counts in it that only grow, by their path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, f'{path}.{key}' if path else key)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield path, value


def counts(state):
    flows = {key: state['flows'][key] for key in ('evicted', 'no_room', 'contested')}
    moved = {one['address']: one['moved'] for one in state['services'][0]['backends']}
    return dict(numbers({'packets': state['counters'], 'flows': flows, 'moved': moved}))


def grown(before, after):
    return {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}


class Witness:
    """soak: whose lab, streams and balancer these are; machines: by their MAC."""

    def __init__(self, soak, machines, tell):
        self.soak, self.machines, self.tell = soak, machines, tell
        self.journal, self.samples, self.breaks = [], [], []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.capture = None

    def begin(self):
        self.capture = self.soak.spawn('c1', 'tcpdump', '-Z', 'root', '-ni', 'eth0', '-U', '--immediate-mode', '-s', '120', *RING,
                                       '-w', self.ring(), CAPTURED, log='tcpdump')
        self.thread.start()

    def end(self):
        """What has been gathered."""
        self.ended.set()
        self.thread.join()
        self.look()
        self.capture.terminate()
        self.capture.wait()
        return self.breaks

    def stop(self):
        """Nothing more is wanted, whatever has happened."""
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join()

    def ring(self):
        return self.soak.state / 'c1.pcap'

    def note(self, what):
        """A fault begins, or is mended."""
        self.journal.append((time.time(), what))
        state = self.balancer()
        if state:
            self.samples = [*self.samples[-2:], (time.time(), counts(state))]

    def balancer(self):
        """None while there is none."""
        try:
            return json.loads(self.soak.plimsoll('show', '--json'))
        except (LabError, subprocess.TimeoutExpired):
            return None

    def watch(self):
        while not self.ended.wait(LOOK_SECONDS):
            self.look()

    def look(self):
        for line in self.soak.broken():
            record = self.explain(line)
            self.breaks.append(record)
            # Also for a course that does not come to its end.
            self.soak.options.output.with_suffix('.breaks.json').write_text(json.dumps(self.breaks, indent=1) + '\n')
            self.tell('\n          '.join([f'          {line}', *record['faults'][-3:], record['where'],
                                           *record['server_says'], *record['packets'][-12:]]))

    def explain(self, line):
        record = {'told': line, 'faults': [], 'where': '', 'server_says': [], 'packets': [], 'balancer': {}}
        told = TOLD.match(line)
        if not told:
            return record
        at = float(told['at'])
        client = f'{told["address"]}:{told["port"]}'
        try:
            record['where'] = self.soak.plimsoll('where', client, 'web').strip()
        except (LabError, subprocess.TimeoutExpired) as error:
            record['where'] = str(error)
        record['balancer'] = self.describe()
        time.sleep(WRITTEN_SECONDS)
        record['faults'] = [f'{at - when:.3f} s before: {what}' for when, what in list(self.journal)
                            if when <= at < when + FAULTS_SECONDS]
        record['server_says'] = [f'{log.name}: {said}' for log in self.soak.state.glob('s*-stream.log')
                                 for said in log.read_text().splitlines() if f'{client},' in said]
        record['packets'] = self.packets(told['port'], at)
        return record

    def describe(self):
        state = self.balancer()
        if not state:
            return {'balancer': 'there is none'}
        now = time.time()
        return {'backends': [{key: one[key] for key in JUDGED} for one in state['services'][0]['backends']],
                'grown': [{'seconds': round(now - when, 3), 'by': grown(before, counts(state))}
                          for when, before in list(self.samples)]}

    def packets(self, port, at):
        found = []
        for file in self.soak.state.glob(f'{self.ring().name}*'):
            read = subprocess.run(
                ['tcpdump', '-nn', '-e', '-tt', '-S', '-r', str(file), f'port {port} or icmp or arp'],
                capture_output=True, text=True, check=False).stdout
            found += [(float(line.split()[0]), line) for line in read.splitlines()]
        return [f'{when - at:+.6f} s {self.named(line.split(" ", 1)[1])}' for when, line in sorted(found)
                if -PACKETS_SECONDS < when - at]

    def named(self, line):
        return re.sub(r'(?:[0-9a-f]{2}:){5}[0-9a-f]{2}',
                      lambda one: self.machines.get(one[0], one[0]), line)
