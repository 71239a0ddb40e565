# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The figures that were promised, out of what was measured: medians, spreads, ratios."""

import statistics

from . import plan

MAIN = ('uneven', 'antagonist', 'batch')


class Results:
    def __init__(self, data):
        self.data = data

    def values(self, workload, loop, contender, key):
        return [run[key] for run in self.data['runs']
                if (run['workload'], run['loop'], run['contender']) == (workload, loop, contender)
                and run.get(key) is not None]

    def median(self, workload, loop, contender, key):
        values = self.values(workload, loop, contender, key)
        return statistics.median(values) if values else None

    def contenders(self, workload, loop):
        present = {run['contender'] for run in self.data['runs']
                   if (run['workload'], run['loop']) == (workload, loop)}
        return [name for name in plan.ALL if name in present] + \
            sorted(present.difference(plan.ALL))

    def throughput(self, workload, contender):
        return self.median(workload, 'closed', contender, 'requests_per_second')

    def ratio(self, workload, contender, other):
        above, below = self.throughput(workload, contender), self.throughput(workload, other)
        return above / below if above and below else None

    def best(self, workload, loop, key, names, choose):
        values = {name: self.median(workload, loop, name, key) for name in names}
        values = {name: value for name, value in values.items() if value}
        return choose(values, key=values.get) if values else None

    def steps(self, contender, key):
        return [step[key] for step in self.data['step'] if step['contender'] == contender]


class Figure:
    """One line: what was measured, on what, what came out, what was promised, whether it holds."""

    def __init__(self, name, workload, value, at_least=None, at_most=None, unit='', note=''):
        self.name, self.workload, self.value, self.note = name, workload, value, note
        self.at_least, self.at_most, self.unit = at_least, at_most, unit

    def holds(self):
        if self.value is None:
            return None
        return (self.at_least is None or self.value >= self.at_least) and \
            (self.at_most is None or self.value <= self.at_most)

    def promise(self):
        if self.at_least is not None:
            return f'>= {self.at_least:g}{self.unit}'
        if self.at_most is not None:
            return f'<= {self.at_most:g}{self.unit}'
        return ''

    def result(self):
        if self.value is None:
            return 'not measured'
        digits = 2 if self.unit == '' and self.value < 1000 else 1
        return f'{self.value:.{digits}f}{self.unit}'

    def verdict(self):
        if not self.promise():
            return ''
        return {True: 'yes', False: 'NO', None: '-'}[self.holds()]


def against(results, other, workloads, bounds):
    """Ratios of requests/s on each workload. bounds: by rank, the smallest ratio first."""
    ratios = [(results.ratio(w, 'inband', other), w) for w in workloads]
    known = sorted(pair for pair in ratios if pair[0] is not None)
    complete = len(known) == len(workloads)
    for ratio, workload in ratios:
        bound = bounds[known.index((ratio, workload))] if complete else None
        yield Figure(f'requests/s, inband : {other}', workload, ratio, at_least=bound)


def throughput_figures(results):
    # "1.8 on each, 2.5 on one"; "1.47 on two, 1.3 on the third"; "1.25 on two, never below 1".
    yield from against(results, 'poll-1s', MAIN, (1.8, 1.8, 2.5))
    yield from against(results, 'poll-100ms', MAIN, (1.3, 1.47, 1.47))
    yield from against(results, 'same-poll-1s', MAIN, (1.0, 1.25, 1.25))
    yield from against(results, 'same-poll-10ms', MAIN, (0.98,) * 3)
    yield from against(results, 'oracle', MAIN, (0.93,) * 3)
    for workload, bound in (('uneven-tuned', 0.99), ('cpu-bound', 0.97)):
        others = [name for name in results.contenders(workload, 'closed')
                  if name not in ('inband', 'inband-10ms', 'oracle', 'oracle-same')]
        best = results.best(workload, 'closed', 'requests_per_second', others, max)
        yield Figure('requests/s, inband : best other', workload,
                     best and results.ratio(workload, 'inband', best), at_least=bound,
                     note=best or '')


def latency_figures(results):
    for workload in MAIN:
        best = results.best(workload, 'open', 'p99_ms', plan.STATIC, min)
        mine = results.median(workload, 'open', 'inband', 'p99_ms')
        ratio = mine / results.median(workload, 'open', best, 'p99_ms') if best and mine else None
        yield Figure('p99, open loop at 80 %, inband : best static', workload, ratio,
                     at_most=0.63 if workload != 'batch' else None, note=best or '')


def step_figures(results):
    for name in plan.STEP_FULL:
        settled = results.steps(name, 'settle_ms')
        if not settled:
            continue
        known = [value for value in settled if value is not None]
        note = '' if known else f'not within {results.steps(name, "hold_ms")[0]} ms'
        yield Figure(f'step response, {name}', 'step',
                     statistics.median(known) if known else None,
                     at_most=10 if name == 'inband' else None, unit=' ms', note=note)


def cost_figures(results):
    for workload in MAIN:
        for name in ('inband', 'same-poll-10ms', 'poll-1s'):
            packets = results.median(workload, 'closed', name, 'feedback_packets_per_second')
            if packets is None:
                continue
            yield Figure(f'packets/s of the feedback itself, {name}', workload, packets,
                         at_most=0 if name == 'inband' else None)
            yield Figure(f'CPU of the feedback, {name}', workload,
                         results.median(workload, 'closed', name, 'feedback_cpu_percent'),
                         unit=' % of one CPU')


def figures(data):
    results = Results(data)
    for part in (throughput_figures, latency_figures, step_figures, cost_figures):
        yield from part(results)


def measured(known):
    """Those of what has been measured; all if it is nothing, so that it is seen."""
    known = list(known)
    return [figure for figure in known if figure.value is not None] or known


def print_figures(data):
    print(f'\n{"figure":46} {"on":13} {"measured":>16} {"promised":>12}')
    for figure in measured(figures(data)):
        print(f'{figure.name:46} {figure.workload:13} {figure.result():>16} '
              f'{figure.promise():>12} {figure.verdict():3} {figure.note}')
