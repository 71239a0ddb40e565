# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What bench/throughput has measured, as tables and as a plot."""

import shutil
import statistics
import subprocess

from .ways import ARRANGEMENTS, NETWORK_CPU, WAYS

# What is shown: {load: (heading, unit, what one is divided by)}. Requests are those of the run for packets.
LOADS = {'connections': ('new connections', '/s', 1),
         'packets': ('packets from the client', '/s', 1),
         'requests': ('the requests in them', '/s', 1),
         'download': ('bulk to the client', 'Gbit/s', 1e9),
         'upload': ('bulk to the server', 'Gbit/s', 1e9)}
# What the network's CPU is charged for: {load: (heading, what one is divided by, in seconds)}
CHARGES = {'connections': ('us a new connection', 1e-6), 'requests': ('us a request', 1e-6),
           'download': ('ms a Gbit to the client', 1e-12), 'upload': ('ms a Gbit to the server', 1e-12)}
TITLES = {'apart': 'Client and server on one CPU, what is between them on another',
          'shared': 'All of it on two CPUs',
          'containers': 'As between containers: large packets whole, checksums unfinished; on two CPUs'}


def median_of(runs, key, **wanted):
    return statistics.median(key(entry) for entry in runs if all(
        entry[name] == value for name, value in wanted.items()))


def ratios(runs, **wanted):
    """To the straight way of the same repetition."""
    chosen = [entry for entry in runs if all(
        entry[name] == value for name, value in wanted.items() if name != 'way')]
    straight = {entry['repetition']: entry['value'] for entry in chosen if entry['way'] == 'direct'}
    return [entry['value'] / straight[entry['repetition']] for entry in chosen
            if entry['way'] == wanted['way'] and entry['repetition'] in straight]


def known(runs, name, order):
    there = {entry[name] for entry in runs}
    return [value for value in order if value in there]


def table(head, rows):
    lines = ['| | ' + ' | '.join(head) + ' |', '|---' + '|---:' * len(head) + '|']
    return '\n'.join(lines + [f'| {name} | ' + ' | '.join(cells) + ' |' for name, cells in rows])


def throughput_cell(runs, **wanted):
    divisor = LOADS[wanted['load']][2]
    value = median_of(runs, lambda entry: entry['value'], **wanted) / divisor
    text = f'{value:,.0f}' if divisor == 1 else f'{value:.1f}'
    compared = ratios(runs, **wanted)
    if wanted['way'] == 'direct' or not compared:
        return text
    return f'{text} (**{statistics.median(compared):.2f}**, {min(compared):.2f} to {max(compared):.2f})'


def charge(entry):
    return entry['busy'][NETWORK_CPU] / entry['value']


def charge_cell(runs, **wanted):
    return f'{median_of(runs, charge, **wanted) / CHARGES[wanted["load"]][1]:.1f}'


def rows(runs, arrangement, loads, cell):
    there = [run for run in runs if run['arrangement'] == arrangement]
    return [(WAYS[way], [cell(there, arrangement=arrangement, way=way, load=load) for load in loads])
            for way in known(there, 'way', WAYS)]


def shown(data):
    """The runs, and beside those for packets how many requests there were."""
    return data['runs'] + [{**entry, 'load': 'requests', 'value': entry['requests']}
                           for entry in data['runs'] if entry['load'] == 'packets']


def markdown(data):
    runs = shown(data)
    loads = known(runs, 'load', LOADS)
    arrangements = known(runs, 'arrangement', ARRANGEMENTS)
    heads = [f'{LOADS[load][0]}, {LOADS[load][1]}' for load in loads]
    parts = []
    for arrangement in arrangements:
        parts += [TITLES[arrangement] + ':',
                  table(heads, rows(runs, arrangement, loads, throughput_cell))]
    if 'apart' in arrangements:
        parts += ['What the CPU between them spends, the switch included:',
                  table([CHARGES[load][0] for load in loads if load in CHARGES],
                        rows(runs, 'apart', [load for load in loads if load in CHARGES],
                             charge_cell))]
    machine = data['machine']
    repetitions = len({entry['repetition'] for entry in runs})
    parts.append(f"Medians of {repetitions} runs of {data['seconds']} s by turns; Linux {machine['kernel']}, "
                 f"{machine['cpus']} CPUs, {machine['measured']}.")
    return '\n\n'.join(parts) + '\n'


def ways_of(runs, arrangement):
    """Those that can be compared there."""
    there = known([run for run in runs if run['arrangement'] == arrangement], 'way', WAYS)
    return there[1:] if there[0] == 'direct' else []


def block(runs, arrangement, loads):
    """A line for each load: its name; and for each way the median of the ratios, the least and the largest."""
    lines = [f'${arrangement} << END']
    for load in loads:
        cells = [load]
        for way in ways_of(runs, arrangement):
            compared = ratios(runs, arrangement=arrangement, way=way, load=load)
            cells.append(f'{statistics.median(compared):.3f} {min(compared):.3f} {max(compared):.3f}')
        lines.append(' '.join(cells))
    return '\n'.join([*lines, 'END', ''])


def plot(runs, arrangement):
    # Each way keeps its colour in all of them.
    series = [f"${arrangement} using {2 + 3 * i}:{3 + 3 * i}:{4 + 3 * i}:xtic(1) "
              f"lc {list(WAYS).index(way)} title '{WAYS[way]}'"
              for i, way in enumerate(ways_of(runs, arrangement))]
    return (f"set title '{TITLES[arrangement]}'\n"
            f"plot {', '.join(series)}, 0.9 with lines dt 2 lc 'black' notitle\n")


def draw(data, path):
    """Nothing where there is no gnuplot, or nothing to compare with."""
    runs = shown(data)
    arrangements = [arrangement for arrangement in known(runs, 'arrangement', ARRANGEMENTS)
                    if ways_of(runs, arrangement)]
    if not shutil.which('gnuplot') or not arrangements:
        return
    script = ''.join(block(runs, arrangement, known(runs, 'load', LOADS))
                     for arrangement in arrangements)
    script += f'''set terminal svg size 900,{320 * len(arrangements)} font 'sans,13' background 'white'
set output '{path}'
set multiplot layout {len(arrangements)},1
set ylabel 'of the straight way'
set style data histogram
set style histogram errorbars gap 1.5 lw 1
set style fill solid 0.8 border -1
set grid ytics
set key outside bottom center horizontal
set yrange [0:*]
'''
    script += ''.join(plot(runs, arrangement) for arrangement in arrangements)
    subprocess.run(['gnuplot', '-'], input=script, text=True, check=True)
