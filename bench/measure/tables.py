# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What was measured, as Markdown."""

import statistics

from . import figures, plan, step


def row(cells):
    return '| ' + ' | '.join(str(cell) for cell in cells) + ' |\n'


def table(header, rows):
    # The first column holds names, the others numbers.
    lines = row(header) + row(['---'] + ['---:'] * (len(header) - 1))
    return lines + ''.join(row(cells) for cells in rows) + '\n'


def number(value, digits=0):
    return '' if value is None else f'{value:.{digits}f}'


def spread(values, digits=0):
    """Median and, in brackets, the smallest and the largest."""
    if not values:
        return ''
    middle = number(statistics.median(values), digits)
    if len(values) == 1:
        return middle
    return f'{middle} ({number(min(values), digits)}-{number(max(values), digits)})'


def promises(data):
    rows = []
    for figure in figures.figures(data):
        value = figure.note if figure.value is None and figure.note else figure.result()
        note = f' ({figure.note})' if figure.value is not None and figure.note else ''
        rows.append((figure.name + note, figure.workload, value, figure.promise(),
                     figure.verdict()))
    return table(('figure', 'on', 'measured', 'promised', 'holds'), rows)


def workload_table(results, workload):
    rows = []
    names = results.contenders(workload.name, 'closed')
    names += [name for name in results.contenders(workload.name, 'open') if name not in names]
    for name in names:
        def values(loop, key, of=name):
            return results.values(workload.name, loop, of, key)

        def middle(loop, key, digits, of=name):
            return number(results.median(workload.name, loop, of, key), digits)

        rows.append((f'`{name}`', spread(values('closed', 'requests_per_second')),
                     middle('closed', 'p50_ms', 1), middle('closed', 'p99_ms', 0),
                     middle('open', 'p50_ms', 1), spread(values('open', 'p99_ms')),
                     middle('open', 'p999_ms', 0),
                     middle('closed', 'feedback_packets_per_second', 0),
                     middle('closed', 'feedback_bytes_per_second', 0),
                     middle('closed', 'carriers_per_second', 0),
                     middle('closed', 'feedback_cpu_percent', 1)))
    return table(('contender', 'closed: requests/s', 'p50', 'p99', 'open: p50', 'p99', 'p99.9',
                  'own packets/s', 'own bytes/s', 'carriers/s', 'CPU %'), rows)


def workload_section(results, workload):
    capacity = workload.capacity()
    about = workload.about[0].upper() + workload.about[1:]
    text = f'### {workload.name}\n\n{about}. Closed loop: {workload.clients} clients.'
    if capacity:
        rate = plan.OPEN_LOOP_SHARE * capacity
        text += f' Capacity {capacity:.0f} requests/s, open loop at {rate:.0f}.'
    return text + '\n\n' + workload_table(results, workload)


def step_section(data):
    if not data['step']:
        return ''
    rows = [(f"`{s['contender']}`",
             f"not within {s['hold_ms']}" if s['settle_ms'] is None else s['settle_ms'],
             f"not within {s['hold_ms']}" if s['settle_both_ms'] is None else s['settle_both_ms'],
             f"{s['share_before']:.1%}", f"{s['share_second_half']:.1%}", s['steps'])
            for s in data['step']]
    return (f'### Step response\n\n{step.definition()}.\n\n' +
            table(('contender', 'settled, ms', 'from both sides, ms', 'share before',
                   'in the second half', 'steps'), rows))


def contender_section():
    rows = [(f'`{c.name}`', c.about, f'{c.warmup:g} s') for c in plan.CONTENDERS]
    return '### Contenders\n\n' + table(('name', 'what it does', 'warm-up'), rows)


def head(data):
    machine, settings = data['machine'], data['settings']
    repetitions = max((run['repetition'] for run in data['runs']), default=0)
    return (f"Measured {machine['measured']} on {machine['cpus']} CPUs, Linux {machine['kernel']}, "
            f"Plimsoll {machine['revision']}; {settings['seconds']:g} s for each run after the "
            f'warm-up, up to {repetitions} repetitions, interleaved. Medians, with the smallest and '
            'the largest in brackets. Latencies in ms. "Own packets" are packets that are there only '
            'for the feedback; "carriers" are response packets that bear a report; CPU is in per cent '
            'of one CPU.\n\n')


def markdown(data):
    results = figures.Results(data)
    measured = {run['workload'] for run in data['runs']}
    sections = ''.join(workload_section(results, workload) for workload in plan.WORKLOADS
                       if workload.name in measured)
    return head(data) + promises(data) + sections + step_section(data) + contender_section()
