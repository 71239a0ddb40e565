# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What was measured, as plots: gnuplot scripts, and SVG and PNG made of them."""

import shutil
import subprocess

from . import figures, plan, step

TERMINALS = {'svg': "svg size 900,480 font 'sans,13' background 'white'",
             'png': "pngcairo size 1350,720 font 'sans,13'"}
BARS = (
    ('feedback-throughput', 'closed', 'requests_per_second', 'Closed loop: requests per second',
     'requests/s', False),
    ('feedback-latency', 'open', 'p99_ms',
     'Open loop at 80 % of the capacity: 99 % are answered within', 'ms', True),
)
STEP_CONTENDERS = ('poll-1s', 'poll-100ms', 'poll-10ms', 'same-poll-100ms', 'inband', 'oracle')
STEP_FIRST_MS = -50
STEP_LAST_MS = 500


def bars(results, loop, key, workloads):
    """One line per contender: name, and median, smallest and largest for each workload."""
    lines = []
    for name in plan.ALL:
        cells = []
        for workload in workloads:
            values = results.values(workload, loop, name, key)
            middle = results.median(workload, loop, name, key)
            cells += [f'{middle:.2f} {min(values):.2f} {max(values):.2f}' if values else '? ? ?']
        if any('?' not in cell for cell in cells):
            lines.append(f'{name} {" ".join(cells)}')
    return '\n'.join(lines)


def bar_script(data, title, label, workloads, log):
    series = ', '.join(
        f"$data using {2 + 3 * i}:{3 + 3 * i}:{4 + 3 * i}:xtic(1) title '{workload}'"
        for i, workload in enumerate(workloads))
    return f'''$data << END
{data}
END
set title '{title}'
set ylabel '{label}'
set style data histogram
set style histogram errorbars gap 1.5 lw 1
set style fill solid 0.8 border -1
set datafile missing '?'
set grid ytics
set key outside top horizontal
set xtics rotate by -35
set yrange [{'*' if log else '0'}:*]
{'set logscale y' if log else ''}
plot {series}
'''


def published_step(one):
    """A step, of whose series as much is left as its plot takes."""
    series = one.get('series')
    left = {key: value for key, value in one.items() if key != 'series'}
    if not series or one['contender'] not in STEP_CONTENDERS:
        return left
    begin = max(0, STEP_FIRST_MS - series['first_ms'])
    end = STEP_LAST_MS - series['first_ms'] + step.window_ms(one['steps'])
    return {**left, 'series': {'first_ms': series['first_ms'] + begin,
                               'own': series['own'][begin:end], 'all': series['all'][begin:end]}}


def step_script(steps):
    blocks, series = [], []
    for one in steps:
        if one['contender'] not in STEP_CONTENDERS or 'series' not in one:
            continue
        first = one['series']['first_ms']
        values, middle = step.windows(one['series']['own'], one['series']['all'], one['steps'])
        lines = [f'{first + i + middle} {100 * value:.3f}'
                 for i, value in enumerate(values)
                 if STEP_FIRST_MS <= first + i <= STEP_LAST_MS]
        name = 'step_' + one['contender'].replace('-', '_')
        blocks.append(f'${name} << END\n' + '\n'.join(lines) + '\nEND\n')
        series.append(f"${name} using 1:2 with lines lw 2 title '{one['contender']}'")
    if not series:
        return None
    series.append(f"{100 * step.NEW_SHARE} with lines dt 2 lc 'black' title 'new fair share'")
    return ''.join(blocks) + f'''set title 'One of eight servers becomes five times slower at 0'
set xlabel 'ms'
set ylabel 'its share of new connections, %'
set xrange [{STEP_FIRST_MS}:{STEP_LAST_MS}]
set yrange [0:*]
set grid
set key outside top horizontal
plot {', '.join(series)}
'''


def scripts(data):
    results = figures.Results(data)
    for name, loop, key, title, label, log in BARS:
        workloads = [w for w in figures.MAIN if results.contenders(w, loop)]
        if workloads:
            yield name, bar_script(bars(results, loop, key, workloads), title, label, workloads,
                                   log)
    steps = step_script(data['step'])
    if steps:
        yield 'feedback-step', steps


def draw(data, directory):
    """Returns the files made; only the scripts where there is no gnuplot."""
    made = []
    for name, script in scripts(data):
        path = directory / f'{name}.gnuplot'
        path.write_text(script)
        made.append(path)
        if not shutil.which('gnuplot'):
            continue
        for suffix, terminal in TERMINALS.items():
            picture = directory / f'{name}.{suffix}'
            subprocess.run(['gnuplot', '-e', f"set terminal {terminal}; set output '{picture}'",
                            str(path)], check=True)
            made.append(picture)
    return made
