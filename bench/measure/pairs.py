# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is compared by turns, each run kept at once; and the small lab in which that is done."""

import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import time

from .lab import LAB, ROOT, VIP, run
from .store import one_line_per_item, revision

BALANCER_SERVICE = '  - {{name: bulk, address: {vip}:{port}, backends: [{{address: 10.1.0.11}}]}}\n'
SERVER_SERVICE = '  - address: {vip}:{port}\n'


def end_in_order():
    """Whoever is told to end, by Ctrl-C or SIGTERM, takes down what it has made, and says no more."""
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda number, _: sys.exit(128 + number))


class Runs:
    """{"runs": [{..., "value":}, ...]} in build/bench/NAME.json."""

    def __init__(self, name):
        self.path = ROOT / 'build' / 'bench' / f'{name}.json'
        self.data = {'machine': {'cpus': os.cpu_count(), 'kernel': platform.release(),
                                 'revision': revision(),
                                 'measured': time.strftime('%Y-%m-%d', time.gmtime())}, 'runs': []}

    def add(self, **entry):
        self.data['runs'].append(entry)
        self.save()

    def save(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix('.new')
        temporary.write_text(one_line_per_item(self.data))
        temporary.replace(self.path)

    def values(self, **wanted):
        return [entry['value'] for entry in self.data['runs']
                if all(entry.get(key) == value for key, value in wanted.items())]

    def median(self, **wanted):
        return statistics.median(self.values(**wanted))


def by_turns(cases, repetitions, first=1):
    """(repetition, case): forwards, then backwards, so that what drifts disturbs all alike."""
    for repetition in range(first, first + repetitions):
        for case in cases if repetition % 2 else reversed(cases):
            yield repetition, case


class SmallLab:
    """One client, one balancer, one server with nginx; a service for bulk at a port of its own."""

    def __init__(self, name, bulk_port=None):
        self.name = name
        self.bulk_port = bulk_port
        self.state = pathlib.Path('/run/plimsoll-lab') / name
        self.servant = None

    def __enter__(self):
        self.lab('up', 'servers=1')
        self.lab('nginx')
        self.lab('direct', 's1')
        self.configure()
        if self.bulk_port:
            self.servant = subprocess.Popen(
                self.inside('s1', 'iperf3', '-s', '-p', self.bulk_port),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        if self.servant:
            self.servant.terminate()
            self.servant.wait()
        self.lab('down')

    def configure(self, *arguments):
        self.lab('config', *arguments)
        if not self.bulk_port:
            return
        for machine, role, text in (('b1', 'balancer', BALANCER_SERVICE),
                                    ('s1', 'server', SERVER_SERVICE)):
            with open(self.state / machine / f'{role}.yaml', 'a', encoding='utf-8') as file:
                file.write(text.format(vip=VIP, port=self.bulk_port))

    def lab(self, verb, *arguments):
        return run([LAB, verb, f'name={self.name}', *arguments])

    def inside(self, machine, *arguments):
        return ['ip', 'netns', 'exec', f'{self.name}-{machine}', *map(str, arguments)]

    def set_agent(self, wanted):
        pid = self.state / 's1' / 'plimsoll.pid'
        if pid.exists() and not wanted:
            self.lab('stop', 's1')
            self.lab('direct', 's1')
        elif wanted and not pid.exists():
            self.lab('start', 's1')

    def show(self, machine):
        return json.loads(self.lab('show', machine, '--json'))

    def requests_per_second(self, seconds, path='small', connections=32):
        """New connections, one request each."""
        text = self.lab('wrk', '--json', f'path={path}', f'connections={connections}',
                        f'duration={seconds}')
        return json.loads(text)['requests_per_second']

    def bulk_bits_per_second(self, seconds, to_client=True):
        text = run(self.inside('c1', 'iperf3', '-c', VIP, '-p', self.bulk_port, '-t', seconds,
                               '-O', 1, '-J', *(['-R'] if to_client else [])))
        return json.loads(text)['end']['sum_received']['bits_per_second']
