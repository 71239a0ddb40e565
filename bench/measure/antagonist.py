# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The antagonist: now and then it slows other servers. The same schedule for every contender."""

import random
import threading
import time

from . import plan


def victims(seed, interval):
    """The servers that are slow in the given interval; intervals before 0 are the warm-up's."""
    chance = random.Random(f'antagonist {seed} {interval}')
    return set(chance.sample(range(plan.SERVERS), plan.ANTAGONIST_SERVERS))


class Antagonist(threading.Thread):
    def __init__(self, lab, workload, seed, start, zero, end):
        """From start to end; interval 0 begins at zero. Times of time.monotonic()."""
        super().__init__(daemon=True)
        self.lab, self.workload, self.seed = lab, workload, seed
        self.first = -int((zero - start) / plan.ANTAGONIST_INTERVAL)
        self.zero, self.end = zero, end
        self.slow = set()

    def set_speed(self, server, factor):
        self.lab.control(server, f'speed {self.workload.speeds[server] * factor:.6f}')

    def change(self, slow):
        for server in self.slow - slow:
            self.set_speed(server, 1)
        for server in slow - self.slow:
            self.set_speed(server, plan.ANTAGONIST_SPEED)
        self.slow = slow

    def run(self):
        interval = self.first
        while True:
            when = self.zero + interval * plan.ANTAGONIST_INTERVAL
            if when >= self.end:
                break
            time.sleep(max(0, when - time.monotonic()))
            self.change(victims(self.seed, interval))
            interval += 1
        time.sleep(max(0, self.end - time.monotonic()))
        self.change(set())
