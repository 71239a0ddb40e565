# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is measured: the workloads, the contenders, and which of them meet. Tables, no logic."""

from dataclasses import dataclass, field, replace

SERVERS = 8
ANTAGONIST_INTERVAL = 0.2  # seconds; then other servers are slowed
ANTAGONIST_SERVERS = 2  # a quarter of them
ANTAGONIST_SPEED = 1 / 3
OPEN_LOOP_SHARE = 0.8  # of the capacity
OPEN_LOOP_OUTSTANDING = 8192


@dataclass(frozen=True)
class Workload:
    name: str
    about: str
    workers: tuple = ()  # requests that each server works on at a time; none: nginx
    speeds: tuple = (1.0,) * SERVERS
    mean: str = '10ms'
    mean_seconds: float = 0.01  # of all requests
    distribution: str = 'exponential'
    mix: str = ''
    antagonist: bool = False
    weights: tuple = (1,) * SERVERS  # that the balancer is told
    clients: int = 64  # of the closed loop: two for each worker
    times: int = 1  # as long as others: where requests are few, a p99 is of a handful of them

    def capacity(self):
        """Requests per second that the servers are good for, or None where the machine decides."""
        if not self.workers:
            return None
        share = ANTAGONIST_SERVERS / SERVERS
        speed = 1 - share * (1 - ANTAGONIST_SPEED) if self.antagonist else 1
        return sum(w * s for w, s in zip(self.workers, self.speeds)) * speed / self.mean_seconds

    def right_weights(self):
        """In proportion to what each server is capable of, as whole numbers."""
        if not self.workers:
            return (1,) * SERVERS
        return tuple(round(2 * w * s) for w, s in zip(self.workers, self.speeds))


UNEVEN = (1, 1, 2, 2, 4, 4, 8, 8)

WORKLOADS = (
    Workload('uneven', 'servers of 1, 1, 2, 2, 4, 4, 8, 8 workers; nobody told the balancer',
             workers=UNEVEN, clients=60),
    Workload('antagonist', 'equal servers; every 200 ms another two run three times slower',
             workers=(4,) * SERVERS, antagonist=True, clients=64),
    Workload('batch', 'uneven and antagonist; 90 % short requests, 10 % eleven times longer',
             workers=UNEVEN, mean='5ms', mix='0.9,1/0.1,11', antagonist=True, clients=60),
    Workload('inference', 'one request at a time per server, 20 to 80 ms, speeds from 0.5 to 2',
             workers=(1,) * SERVERS, speeds=(0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0),
             distribution='uniform:20ms,80ms', mean_seconds=0.05, clients=16, times=3),
    Workload('uneven-tuned', 'uneven, and the balancer was told the right weights',
             workers=UNEVEN, weights=UNEVEN, clients=60),
    Workload('cpu-bound', 'equal nginx servers that use all of the CPU there is', clients=64),
)

# A step: one of eight equal servers becomes five times slower.
STEP_WORKLOAD = Workload('step', 'one of eight equal servers becomes five times slower',
                         workers=(4,) * SERVERS)
STEP_SPEED = 0.2
STEP_RATE = 2000  # requests per second: 70 % of what is left while one server is slow


@dataclass(frozen=True)
class Contender:
    name: str
    about: str
    balancer: dict = field(default_factory=dict)  # keys of the service
    server: dict = None  # keys of server.yaml; None: no agent runs at all
    warmup: float = 1.5  # seconds
    right_weights: bool = False  # told, whatever the workload says
    oracle: bool = False  # the workers write the truth into the balancer's map
    step_hold: float = 0.25  # seconds that a step is given to settle

    def feedback(self):
        return self.balancer.get('feedback', 'in-band')


# Auto weights take a few seconds to find out what servers are capable of.
LEARNING = 6.0
BALANCER = '10.1.0.2'
REPORTING = {'balancers': f'[{BALANCER}]'}
ANSWERING = {'balancers': f'[{BALANCER}]', 'report': '{in_band: no}', 'agent_listen': '0.0.0.0:9571'}


def static(name, policy, about):
    return Contender(name, about, {'policy': policy, 'feedback': 'none', 'weights': 'configured'})


# A report must not count as old before the next one can have come.
def poll_keys(seconds):
    interval = f'{round(seconds * 1000)}ms'
    stale = f'{round(max(1, 3 * seconds) * 1000)}ms'
    return {'feedback': 'poll', 'poll_interval': interval, 'stale_after': stale}


def poll(name, seconds):
    return Contender(name, f'two choices by the load as polled every {name[5:]}',
                     {'policy': 'power-of-choices', 'choices': 2, 'pending': 'no',
                      'weights': 'configured', **poll_keys(seconds)},
                     ANSWERING, step_hold=max(0.25, 3 * seconds))


def same_poll(name, seconds):
    return Contender(name, f'the default configuration, fed by polling every {name[10:]}',
                     poll_keys(seconds), ANSWERING, warmup=LEARNING,
                     step_hold=max(0.25, 3 * seconds))


CONTENDERS = (
    static('wrr', 'round-robin', 'in turn, by weight'),
    static('maglev', 'maglev', "by the flow's hash"),
    static('random', 'random', 'at random, by weight'),
    poll('poll-2s', 2),
    poll('poll-1s', 1),
    poll('poll-100ms', 0.1),
    poll('poll-10ms', 0.01),
    same_poll('same-poll-1s', 1),
    same_poll('same-poll-100ms', 0.1),
    same_poll('same-poll-10ms', 0.01),
    same_poll('same-poll-1ms', 0.001),
    Contender('inband', 'the default configuration', {}, REPORTING, warmup=LEARNING),
    Contender('inband-10ms', 'reports at least 10 ms apart', {},
              {**REPORTING, 'report': '{min_interval: 10ms}'}, warmup=LEARNING),
    Contender('oracle', 'least loaded of all by the truth at each choice, and right weights',
              {'policy': 'least-loaded', 'feedback': 'in-band', 'weights': 'configured'},
              right_weights=True, oracle=True),
    Contender('oracle-same', 'the default policy by the truth at each choice, and right weights',
              {'feedback': 'in-band', 'weights': 'configured'}, right_weights=True, oracle=True),
)

ALL = tuple(contender.name for contender in CONTENDERS)
STATIC = ('wrr', 'maglev', 'random')
# Only of interest where something is to be explained.
EXPLAIN = ('oracle-same',)
MOST = tuple(name for name in ALL if name not in EXPLAIN)
MAIN = (*STATIC, 'poll-1s', 'poll-100ms', 'same-poll-1s', 'same-poll-10ms', 'inband', 'oracle')
OPEN = (*STATIC, 'poll-1s', 'same-poll-10ms', 'inband', 'oracle')
SOME = ('wrr', 'random', 'poll-1s', 'same-poll-10ms', 'inband', 'oracle')

# workload: loop: contenders. Everything against everything takes hours (--everything).
FULL = {
    'uneven': {'closed': MOST, 'open': OPEN},
    'antagonist': {'closed': MAIN, 'open': OPEN},
    'batch': {'closed': MAIN, 'open': OPEN},
    'inference': {'closed': SOME, 'open': SOME},
    'uneven-tuned': {'closed': SOME, 'open': ()},
    'cpu-bound': {'closed': SOME, 'open': SOME},
}
QUICK_MAIN = ('wrr', 'poll-1s', 'poll-100ms', 'same-poll-1s', 'same-poll-10ms', 'inband', 'oracle')
QUICK = {
    'uneven': {'closed': QUICK_MAIN, 'open': ('wrr', 'inband')},
    'antagonist': {'closed': QUICK_MAIN, 'open': ('wrr', 'inband')},
    'batch': {'closed': QUICK_MAIN, 'open': ()},
    'uneven-tuned': {'closed': ('wrr', 'inband'), 'open': ()},
    'cpu-bound': {'closed': ('wrr', 'inband'), 'open': ()},
}
EVERYTHING = {workload.name: {'closed': ALL, 'open': ALL} for workload in WORKLOADS}
STEP_FULL = ('poll-1s', 'poll-100ms', 'poll-10ms', 'same-poll-100ms', 'same-poll-10ms',
             'same-poll-1ms', 'inband', 'inband-10ms', 'oracle')
STEP_QUICK = ('poll-1s', 'inband')


def workload(name):
    return next(w for w in WORKLOADS if w.name == name)


def contender(name):
    """Also a variant: "inband+choices=8+server.report={min_interval: 5ms}+right-weights"."""
    base, *changes = name.split('+')
    made = next(c for c in CONTENDERS if c.name == base)
    for change in changes:
        key, _, value = change.partition('=')
        if key == 'right-weights':
            made = replace(made, right_weights=True)
        elif key == 'warmup':
            made = replace(made, warmup=float(value))
        elif key.startswith('server.'):
            made = replace(made, server={**(made.server or {}), key[7:]: value})
        else:
            made = replace(made, balancer={**made.balancer, key: value})
    return replace(made, name=name)
