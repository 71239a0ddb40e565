# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What daemons and their data paths hold: memory, files, BPF objects; and whether that has grown."""

import contextlib
import json
import pathlib
import re
import time

from .lab import run

RSS_SHARE, RSS_BYTES = 0.25, 8 << 20
LIMIT = 60  # seconds


def bpf(*arguments):
    return json.loads(run(['bpftool', '-j', *map(str, arguments)], timeout=LIMIT) or 'null')


def held_by(pid):
    """Numbers of maps, programs and links that are open in that process."""
    held = {'map': set(), 'prog': set(), 'link': set()}
    for entry in pathlib.Path(f'/proc/{pid}/fdinfo').iterdir():
        with contextlib.suppress(FileNotFoundError):
            for kind, number in re.findall(r'^(map|prog|link)_id:\t(\d+)$', entry.read_text(), re.M):
                held[kind].add(int(number))
    return held


def resources(soak, machine):
    """
    What the daemon and the data path of that instance have: maps that are open, pinned, used by its programs
    or inside of such a map.
    """
    pid = soak.pid(machine)
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    held = held_by(pid)
    pins = f'/run/plimsoll/bpf/{soak.namespace(machine)}/'
    for kind in held:
        held[kind] |= {one['id'] for one in bpf('-f', kind, 'show')
                       if any(path.startswith(pins) for path in one.get('pinned', ()))}
    attached = run(['ip', 'netns', 'exec', soak.namespace(machine), 'bpftool', '-j', 'net', 'show'])
    held['prog'] |= {int(number) for number in re.findall(r'"(?:prog_)?id":(\d+)', attached)}
    for one in bpf('prog', 'show'):
        if one['id'] in held['prog']:
            held['map'] |= set(one.get('map_ids', ()))
    for one in bpf('map', 'show'):
        if one['id'] in held['map'] and one['type'].endswith('_of_maps'):
            held['map'] |= inner_maps(one['id'])
    return {'pid': pid, 'rss': int(re.search(r'^VmRSS:\s+(\d+) kB', status, re.M)[1]) << 10,
            'fds': len(list(pathlib.Path(f'/proc/{pid}/fd').iterdir())),
            'maps': len(held['map']), 'programs': len(held['prog']), 'links': len(held['link'])}


def inner_maps(number):
    return {one['inner_map_id'] for one in bpf('map', 'dump', 'id', number) if 'inner_map_id' in one}


def take_stock(soak, machines):
    # What is on its way, a connection of the command line for one, is to be over.
    time.sleep(2)
    return {machine: resources(soak, machine) for machine in machines}


def grown(before, after):
    """(daemon, what, from, to) of what has grown by more than is tolerated."""
    for machine, was in before.items():
        for what in ('fds', 'maps', 'programs', 'links', 'rss'):
            least = max(was['rss'] * (1 + RSS_SHARE), was['rss'] + RSS_BYTES) if what == 'rss' else was[what]
            if after[machine][what] > least:
                yield machine, what, was[what], after[machine][what]
