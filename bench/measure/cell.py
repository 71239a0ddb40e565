# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One cell of the table: a workload, a contender, a repetition; in closed loop, open loop, or both."""

import time

from . import plan
from .antagonist import Antagonist
from .counters import BpfStats, Meter

LEAD = 0.25  # seconds from the decision to begin to the beginning
SECOND_WARMUP = 1.0  # of the open loop behind the closed one: what is to be learnt is learnt
METER_SECONDS = 0.15  # to read all counters, before the time that counts begins
DRAIN = '2s'


class Broken(Exception):
    """The contender does not do what it is there for. The message says what."""


def loop_options(workload, loop, rate):
    if loop == 'closed':
        return {'closed': workload.clients}
    return {'open': f'{rate:.1f}', 'outstanding': plan.OPEN_LOOP_OUTSTANDING}


def run_loop(lab, workload, seed, options, warmup, seconds):
    """One run of the load: what it says, and what the counters say of the same time."""
    start = time.monotonic() + LEAD
    zero, end = start + warmup, start + warmup + seconds
    load = lab.start_load(int(start * 1e9), warmup=f'{warmup}s', duration=f'{seconds}s',
                          drain=DRAIN, seed=seed, path='/10k', **options)
    antagonist = None
    if workload.antagonist:
        antagonist = Antagonist(lab, workload, seed, start, zero, end)
        antagonist.start()
    time.sleep(max(0, zero - METER_SECONDS - time.monotonic()))
    meter = Meter(lab)
    time.sleep(max(0, end - time.monotonic()))
    counted = meter.read()
    backends = lab.status()
    result = lab.finish_load(load)
    if antagonist:
        antagonist.join()
    return result, counted, backends


def check(contender, backends):
    """A feedback that never comes is a fault of the set-up, not a figure."""
    reports = sum(backend['reports'] for backend in backends)
    if contender.feedback() != 'none' and not contender.oracle and not reports:
        raise Broken('not one report has reached the balancer')


def record(result, counted, backends):
    return {
        **{key: result[key] for key in (
            'requests', 'requests_per_second', 'mean_ms', 'p50_ms', 'p90_ms', 'p99_ms', 'p999_ms',
            'max_ms', 'errors', 'unstarted', 'unanswered', 'servers')},
        **counted,
        'load': {key: result[key] for key in ('start_lag_mean_ms', 'start_lag_max_ms',
                                              'cpu_percent')},
        'backends': [{key: backend.get(key) for key in ('weight_in_force', 'share', 'in_flight',
                                                        'pending', 'report_age_ms', 'reports')}
                     for backend in backends],
    }


def run_cell(lab, workload, contender, repetition, loops, seconds, rate):
    """loops: closed, open or both. Yields (loop, record). rate: a function, for the open loop."""
    weights = workload.right_weights() if contender.right_weights else workload.weights
    # Where the CPU is what runs out, everybody waits for it like everybody else.
    lab.set_urgent(bool(workload.workers))
    try:
        if not workload.workers:
            lab.start_nginx()
        else:
            lab.stop_nginx()
        lab.start_plimsoll(contender, weights)
        if workload.workers:
            lab.start_workers(workload, repetition, contender.oracle)
        lab.answers()
        warmup = contender.warmup
        for loop in loops:
            options = loop_options(workload, loop, rate() if loop == 'open' else 0)
            # Where the CPU is what runs out, counting would be what is measured.
            with BpfStats(wanted=bool(workload.workers)):
                result, counted, backends = run_loop(lab, workload, repetition, options, warmup,
                                                     seconds)
            check(contender, backends)
            yield loop, {**record(result, counted, backends), 'seconds': seconds,
                         'warmup_seconds': warmup}
            warmup = SECOND_WARMUP
    finally:
        lab.stop_workers()
        lab.stop_balancer()
