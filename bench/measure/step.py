# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
The step response: one of eight equal servers becomes five times slower; how soon is it spared?

Open loop, so that connections come at a steady rate. A step: another server each time is slowed at a
known instant, held for a while, released, and given thrice as long to recover. The load generator says of
every connection when it began and who answered it. Over all steps together, share(t) is the slowed
server's share of the connections that began in a window around t, as short as it may be with
WINDOW_CONNECTIONS in it.

settle_ms is the first t from which on share(t) stays at or below the upper edge of the band around the
new fair share: what its speed is of all speeds, plus a BAND of the way down. "Stays" allows STRAY of
the windows above, which is what chance does to shares of so few connections. A server that gets less
than its share for a while, until it has worked off what it was sent too much, counts as settled; at
settle_both_ms its share has come up again too, and stays above the band's lower edge.
"""

import random
import time

from . import plan
from .cell import LEAD, check

WINDOW_CONNECTIONS = 800
BAND = 1 / 3
STRAY = 0.03
RECOVERY = 3  # times as long as the step

OLD_SHARE = 1 / plan.SERVERS
NEW_SHARE = plan.STEP_SPEED / (plan.SERVERS - 1 + plan.STEP_SPEED)
UPPER = NEW_SHARE + BAND * (OLD_SHARE - NEW_SHARE)
LOWER = NEW_SHARE / 3


def definition():
    return (f'step: speed of one of {plan.SERVERS} equal servers to {plan.STEP_SPEED:g}; fair share '
            f'from {OLD_SHARE:.1%} to {NEW_SHARE:.2%}; settled when its share, over all steps '
            f'and in windows of {WINDOW_CONNECTIONS} connections, stays at or below {UPPER:.1%} '
            f'(in all but {STRAY:.0%} of the windows); {plan.STEP_RATE} connections/s, open loop')


class Steps:
    """Slows and releases servers, and keeps when."""

    def __init__(self, lab, contender, seconds, seed):
        self.lab = lab
        self.hold = contender.step_hold
        self.count = max(1, round(seconds / (self.hold * (1 + RECOVERY))))
        # A poll must not meet all steps at the same point of its interval.
        self.chance = random.Random(f'step {seed}')
        self.taken = []  # (server, CLOCK_MONOTONIC in ns)

    def length(self):
        return self.count * (1 + RECOVERY) * self.hold

    def run(self, begin):
        for i in range(self.count):
            when = begin + i * (1 + RECOVERY) * self.hold
            when += self.hold * self.chance.uniform(0, 1)
            server = i % plan.SERVERS
            time.sleep(max(0, when - time.monotonic()))
            self.taken.append((server, time.monotonic_ns()))
            self.lab.control(server, f'speed {plan.STEP_SPEED}')
            when += self.hold
            time.sleep(max(0, when - time.monotonic()))
            self.lab.control(server, 'speed 1')


def shares(series, start_ns, steps, first_ms, last_ms):
    """The slowed server's connections, and all, by ms from first_ms to last_ms around the steps."""
    own = [0] * (last_ms - first_ms)
    everybody = [0] * (last_ms - first_ms)
    for server, at_ns in steps:
        zero = (at_ns - start_ns) / 1e6  # ms since the load began: bin of the step
        for name, bins in series['servers'].items():
            begin = round(zero) + first_ms
            for i, count in enumerate(bins[begin:begin + last_ms - first_ms]):
                everybody[i] += count
                if name == f's{server + 1}':
                    own[i] += count
    return own, everybody


def window_ms(steps):
    return max(1, round(WINDOW_CONNECTIONS / (steps * plan.STEP_RATE / 1000)))


def windows(own, everybody, steps):
    """share(t), and the first t in ms from the beginning: the middle of the first window."""
    width = window_ms(steps)
    result = []
    for i in range(len(own) - width + 1):
        count = sum(everybody[i:i + width])
        result.append(sum(own[i:i + width]) / count if count else 0)
    return result, width / 2


def settle(values, inside):
    """The first index from which on all but STRAY of the values are inside, that one being so."""
    outside = [not inside(value) for value in values]
    left = sum(outside)
    for i, is_outside in enumerate(outside):
        if not is_outside and left <= STRAY * (len(values) - i):
            return i
        left -= is_outside
    return None


def run_step(lab, contender, seconds, seed):
    workload = plan.STEP_WORKLOAD
    steps = Steps(lab, contender, seconds, seed)
    warmup = contender.warmup
    total = warmup + steps.length() + 0.2
    lab.set_urgent(True)
    try:
        lab.stop_nginx()
        lab.start_plimsoll(contender, workload.weights)
        lab.start_workers(workload, seed, contender.oracle)
        lab.answers()
        start = time.monotonic() + LEAD
        load = lab.start_load(int(start * 1e9), open=plan.STEP_RATE, warmup=f'{warmup}s',
                              duration=f'{total - warmup}s', drain='2s', seed=seed, series='1ms')
        steps.run(start + warmup)
        check(contender, lab.status())
        result = lab.finish_load(load)
    finally:
        lab.stop_workers()
        lab.stop_balancer()
    return analyse(contender, result, steps)


def analyse(contender, result, steps):
    hold_ms = int(contender.step_hold * 1000)
    before = -200
    own, everybody = shares(result['series'], result['start_ns'], steps.taken, before, hold_ms)
    after, middle = windows(own[-before:], everybody[-before:], len(steps.taken))

    def settled(inside):
        first = settle(after, inside)
        return None if first is None else first + middle

    second_half = slice(hold_ms // 2 - before, None)
    return {
        'contender': contender.name,
        'settle_ms': settled(lambda share: share <= UPPER),
        'settle_both_ms': settled(lambda share: LOWER <= share <= UPPER),
        'steps': len(steps.taken),
        'hold_ms': hold_ms,
        'share_before': round(sum(own[:-before]) / max(1, sum(everybody[:-before])), 4),
        'share_second_half': round(sum(own[second_half]) / max(1, sum(everybody[second_half])), 4),
        'share_fair': round(NEW_SHARE, 4),
        'p99_ms': result['p99_ms'],
        'series': {'first_ms': before, 'own': own, 'all': everybody},
    }
