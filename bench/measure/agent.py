# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The small lab with and without the agent on its server, and what that costs, as a table."""

import os
import statistics
import time
from types import SimpleNamespace

from .counters import process_seconds
from .ways import ENDS_CPU, NETWORK_CPU, Ways

ARRANGEMENTS = {'apart': 'The server has a CPU of its own; client, switch and balancer the other',
                'shared': 'All of it on two CPUs'}
# {load: (heading, unit, what one is divided by, of the time of a CPU, what one is divided by)}
LOADS = {'connections': ('small requests', '/s', 1, 'us a request', 1e-6),
         'download': ('bulk to the client', 'Gbit/s', 1e9, 'ms a Gbit', 1e-12)}


class AgentLab(Ways):
    places = {'s1': ENDS_CPU, 'c1': NETWORK_CPU, 'b1': NETWORK_CPU}

    def fill(self, wanted):
        """Nothing: the client keeps the network's CPU awake."""

    def turn(self, agent):
        os.sched_setaffinity(0, self.cpus)
        self.set_agent(agent)
        self.pin()

    def daemon_seconds(self):
        """The time that the agent's daemon has had of a CPU; None if there is none."""
        pid = self.state / 's1' / 'plimsoll.pid'
        if not pid.exists():
            return None
        return process_seconds(SimpleNamespace(pid=pid.read_text().strip()))

    def measure(self, load, seconds):
        before, started = self.daemon_seconds(), time.monotonic()
        measured = super().measure(load, seconds)
        if before is None:
            return measured
        spent = (self.daemon_seconds() - before) / (time.monotonic() - started)
        return {**measured, 'daemon_ms': round(1000 * spent, 3)}


def pairs(runs, **wanted):
    """Runs of one repetition, with the agent and without."""
    there = {(run['repetition'], run['agent']): run for run in runs
             if all(run[key] == value for key, value in wanted.items())}
    return [(run, there[repetition, False]) for (repetition, agent), run in sorted(there.items())
            if agent and (repetition, False) in there]


def charge(run):
    """What of its CPU the server takes for one."""
    return run['busy'][ENDS_CPU] / run['value']


def told(values):
    return f'**{statistics.median(values):.3f}** ({min(values):.2f} to {max(values):.2f})'


def row(name, unit, divisor, both, of_run, ratio):
    values = [statistics.median(of_run(pair[i]) for pair in both) / divisor for i in (0, 1)]
    digits = 0 if values[0] > 1000 else 2
    return (f'| {name}, {unit} | {values[0]:,.{digits}f} | {values[1]:,.{digits}f} | '
            f'{told([ratio(*pair) for pair in both])} | {len(both)} |')


def arrangement_table(runs, arrangement):
    lines = [ARRANGEMENTS[arrangement] + ':', '',
             '| | with the agent | without | ratio | turns |', '|---|---:|---:|---:|---:|']
    for load, (name, unit, divisor, cost, cost_divisor) in LOADS.items():
        both = pairs(runs, arrangement=arrangement, load=load)
        if not both:
            continue
        lines.append(row(name, unit, divisor, both, lambda run: run['value'],
                         lambda on, off: on['value'] / off['value']))
        if arrangement == 'apart':
            lines.append(row(f"{name}, the server's CPU", cost, cost_divisor, both, charge,
                             lambda on, off: charge(off) / charge(on)))
    return '\n'.join(lines)


def markdown(data):
    runs, machine = data['runs'], data['machine']
    parts = [arrangement_table(runs, arrangement) for arrangement in ARRANGEMENTS
             if any(run['arrangement'] == arrangement for run in runs)]
    daemon = [run['daemon_ms'] for run in runs if 'daemon_ms' in run]
    if daemon:
        parts.append(f"The agent's daemon itself took {statistics.median(daemon):.2f} ms of a CPU for each second "
                     f'meanwhile ({min(daemon):.2f} to {max(daemon):.2f}).')
    parts.append(f"Medians of runs of {data['seconds']} s each way, by turns; a ratio is the "
                 'median of those within a repetition, with the smallest and the largest; of times the '
                 f"shorter is the better, so there it is without by with. Linux {machine['kernel']}, "
                 f"{machine['cpus']} CPUs, {machine['measured']}.")
    return '\n\n'.join(parts) + '\n'
