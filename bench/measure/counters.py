# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
What feedback costs, counted where it cannot hide: packets by the switch, CPU time by the kernel.

A packet is a client's if the VIP is its source or destination. Everything else that crosses the
switch is feedback, but for ARP. A report's carrier is a client's packet; it crosses the switch twice.

CPU of feedback is the time of the daemons and agents (all that the scheduler charges to them, packets
that they send included), and the run time of Plimsoll's BPF programs, as the kernel counts it.
"""

import json
import pathlib
import time

from . import lab as lab_module

NFT = f'''
add table bridge bench
delete table bridge bench
table bridge bench {{
    counter client {{ }}
    counter carriers {{ }}
    counter resolution {{ }}
    counter feedback {{ }}
    chain forward {{
        type filter hook forward priority 10
        ip daddr {lab_module.VIP} counter name client accept
        ip saddr {lab_module.VIP} oifname "b*" ip hdrlength > 5 counter name carriers accept
        ip saddr {lab_module.VIP} counter name client accept
        ether type arp counter name resolution accept
        counter name feedback
    }}
}}
'''

STATS = pathlib.Path('/proc/sys/kernel/bpf_stats_enabled')


class BpfStats:
    """
    Has the kernel count the run time of BPF programs, for as long as this lasts; or not: to count takes
    two looks at a clock each time, which is more than some of the programs take themselves.
    """

    def __init__(self, wanted):
        self.wanted = wanted

    def __enter__(self):
        self.before = STATS.read_text()
        STATS.write_text('1' if self.wanted else '0')

    def __exit__(self, *_):
        STATS.write_text(self.before)


def switch_start(lab):
    lab_module.run(['ip', 'netns', 'exec', lab.namespace('switch'), 'nft', '-f', '-'], input=NFT)


def switch_counters(lab):
    text = lab_module.run(['ip', 'netns', 'exec', lab.namespace('switch'), 'nft', '-j', 'list',
                           'counters', 'table', 'bridge', 'bench'])
    counters = [item['counter'] for item in json.loads(text)['nftables'] if 'counter' in item]
    return {c['name']: (c['packets'], c['bytes']) for c in counters}


def process_seconds(process):
    """CPU time of all threads."""
    total = 0
    for schedstat in pathlib.Path(f'/proc/{process.pid}/task').glob('*/schedstat'):
        total += int(schedstat.read_text().split()[0])
    return total / 1e9


def machine_seconds():
    """Of all CPUs: busy, all."""
    fields = [int(x) for x in pathlib.Path('/proc/stat').read_text().split('\n')[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / 100, sum(fields) / 100


def map_id(lab, machine, name):
    text = lab_module.run(['bpftool', '-j', 'map', 'show', 'pinned',
                           f'/run/plimsoll/bpf/{lab.namespace(machine)}/{name}'])
    return json.loads(text)['id']


class Meter:
    """Counts from its beginning to each read(). The programs must run already."""

    def __init__(self, lab):
        self.lab = lab
        # By these maps an instance's programs are known.
        self.maps = {'balancer': {map_id(lab, 'b1', 'settings')},
                     'servers': {map_id(lab, server, name) for server in lab.servers
                                 for name in ('settings', 'cpu_times') if lab.agents}}
        self.before = self.look()

    def look(self):
        busy, machine = machine_seconds()
        return {
            'time': time.monotonic(),
            'switch': switch_counters(self.lab),
            'balancer': process_seconds(self.lab.balancer),
            'agents': sum(process_seconds(agent) for agent in self.lab.agents),
            'workers': sum(process_seconds(worker) for worker in self.lab.workers),
            'bpf': self.bpf_seconds(),
            'busy': busy,
            'machine': machine,
        }

    def bpf_seconds(self):
        """Run time of the programs, by side; None if it is not counted."""
        if STATS.read_text().strip() == '0':
            return dict.fromkeys(self.maps)
        programs = json.loads(lab_module.run(['bpftool', '-j', 'prog', 'show']))
        return {side: sum(p.get('run_time_ns', 0) for p in programs
                          if maps & set(p.get('map_ids', []))) / 1e9
                for side, maps in self.maps.items()}

    def read(self):
        before, after = self.before, self.look()
        seconds = after['time'] - before['time']

        def packets(name, index=0):
            return (after['switch'][name][index] - before['switch'][name][index]) / seconds

        def percent(value):
            return round(100 * value / seconds, 3)

        def programs_percent(side):
            if None in (before['bpf'][side], after['bpf'][side]):
                return None
            return percent(after['bpf'][side] - before['bpf'][side])

        return {
            'feedback_packets_per_second': round(packets('feedback'), 2),
            'feedback_bytes_per_second': round(packets('feedback', 1), 1),
            'arp_packets_per_second': round(packets('resolution'), 2),
            'carriers_per_second': round(packets('carriers'), 1),
            'client_packets_per_second': round(packets('client'), 1),
            'cpu': {
                'balancer_percent': percent(after['balancer'] - before['balancer']),
                'agents_percent': percent(after['agents'] - before['agents']),
                'bpf_balancer_percent': programs_percent('balancer'),
                'bpf_servers_percent': programs_percent('servers'),
                'workers_percent': percent(after['workers'] - before['workers']),
                'machine_percent': round(100 * (after['busy'] - before['busy']) /
                                         (after['machine'] - before['machine']), 1),
            },
        }
