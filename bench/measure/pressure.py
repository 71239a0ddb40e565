# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
Memory that runs out for some processes and for nobody else: a cgroup in which another process takes all there is,
until the kernel kills that one; and again, for a while.
"""

import contextlib
import pathlib
import subprocess
import sys
import time

from .lab import LabError

ROOT = pathlib.Path('/sys/fs/cgroup')
LIMIT = 64 << 20
# Touches twice of what there is; whom the kernel kills is never in doubt.
GREEDY = f'''
import pathlib, sys
pathlib.Path('/proc/self/oom_score_adj').write_text('1000')
pathlib.Path(sys.argv[1]).write_text('0')
memory = bytearray({2 * LIMIT})
for page in range(0, {2 * LIMIT}, 4096): memory[page] = 1
'''


def hierarchy():
    """The directory below which groups can be made, and the file of their limit: version 1, or else 2."""
    if (ROOT / 'memory' / 'memory.limit_in_bytes').exists():
        return ROOT / 'memory', 'memory.limit_in_bytes'
    controllers = ROOT / 'cgroup.controllers'
    if controllers.exists() and 'memory' in controllers.read_text().split():
        (ROOT / 'cgroup.subtree_control').write_text('+memory')
        return ROOT, 'memory.max'
    raise LabError('no cgroup on this machine limits memory: neither v1 at /sys/fs/cgroup/memory nor v2')


def home(pid, top):
    """Where the process is now."""
    for line in pathlib.Path(f'/proc/{pid}/cgroup').read_text().splitlines():
        _, controllers, path = line.split(':', 2)
        if controllers == ('memory' if top != ROOT else ''):
            return top / path.lstrip('/') / 'cgroup.procs'
    return top / 'cgroup.procs'


@contextlib.contextmanager
def shortage(name, pids):
    """For these processes memory is short, until the block is left. Gives what makes it run out once more."""
    top, limit = hierarchy()
    group = top / name
    group.mkdir()
    homes = {pid: home(pid, top) for pid in pids}
    try:
        (group / limit).write_text(str(LIMIT))
        for pid in pids:
            (group / 'cgroup.procs').write_text(str(pid))
        yield lambda: take_all(group / 'cgroup.procs')
    finally:
        for pid, procs in homes.items():
            with contextlib.suppress(ProcessLookupError):
                procs.write_text(str(pid))
        remove(group)


def take_all(procs):
    done = subprocess.run([sys.executable, '-c', GREEDY, procs], capture_output=True, text=True, check=False)
    if done.returncode != -9:
        raise LabError(f'who takes all memory of {procs.parent} is not killed: {done.stderr}')


def remove(group):
    """Whoever was killed in it is gone a moment later."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
