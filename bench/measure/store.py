# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""build/bench/feedback.json: what has been measured, kept after every cell."""

import json
import os
import pathlib
import platform
import statistics
import subprocess
import time

NO_FEEDBACK = ('wrr', 'maglev', 'random')


def revision():
    done = subprocess.run(['git', 'describe', '--always', '--dirty'], capture_output=True, text=True,
                          cwd=pathlib.Path(__file__).parent, check=False)
    return done.stdout.strip()


def put_between(path, name, text):
    """Replaces what stands in the document between the lines <!-- NAME --> and <!-- /NAME -->."""
    begin, end = f'<!-- {name} -->\n', f'<!-- /{name} -->\n'
    before, rest = path.read_text().split(begin, 1)
    path.write_text(before + begin + text + end + rest.split(end, 1)[1])


class Store:
    def __init__(self, path, fresh, settings):
        """settings: what must be the same for all that stands in one file."""
        self.path = path
        self.data = {'settings': settings, 'machine': {
            'cpus': os.cpu_count(), 'kernel': platform.release(), 'revision': revision(),
            'measured': time.strftime('%Y-%m-%d', time.gmtime())}, 'runs': [], 'step': []}
        if not path.exists():
            return
        before = json.loads(path.read_text())
        if not fresh and before['settings'] == settings:
            self.data = before
        elif before['runs'] or before['step']:
            path.replace(path.with_name(f'feedback-until-{time.strftime("%Y%m%dT%H%M%S")}.json'))

    def find(self, **wanted):
        return [run for run in self.data['runs']
                if all(run.get(key) == value for key, value in wanted.items())]

    def has_step(self, contender, repetition):
        return any(step['contender'] == contender and step['repetition'] == repetition
                   for step in self.data['step'])

    def add_run(self, run):
        self.data['runs'].append(run)
        self.save()

    def add_step(self, step):
        self.data['step'].append(step)
        self.save()

    def save(self):
        add_feedback_cpu(self.data['runs'])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix('.new')
        temporary.write_text(one_line_per_item(self.data))
        temporary.replace(self.path)


def one_line_per_item(data):
    parts = []
    for key, value in data.items():
        if isinstance(value, list):
            items = ',\n'.join('  ' + json.dumps(item) for item in value)
            parts.append(f'"{key}": [\n{items}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value)}')
    return '{' + ',\n'.join(parts) + '}\n'


def plimsoll_percent(run):
    cpu = run['cpu']
    return (cpu['balancer_percent'] + cpu['agents_percent'] + cpu['bpf_balancer_percent'] +
            cpu['bpf_servers_percent'])


def programs_counted(run):
    return run['cpu']['bpf_balancer_percent'] is not None


def add_feedback_cpu(runs):
    """
    CPU of the feedback, in per cent of one CPU: what Plimsoll as a whole uses, above what it uses to
    forward as many connections without any feedback (and without agents). Metering is in it.
    """
    plain = [run for run in runs if run['contender'] in NO_FEEDBACK and programs_counted(run)]
    idle = [run['cpu']['balancer_percent'] for run in plain]
    per_connection = [run['cpu']['bpf_balancer_percent'] / run['requests_per_second']
                      for run in plain]
    for run in runs:
        if not plain or not programs_counted(run):
            run['feedback_cpu_percent'] = None
            continue
        without = (statistics.median(idle) +
                   statistics.median(per_connection) * run['requests_per_second'])
        run['feedback_cpu_percent'] = round(max(0, plimsoll_percent(run) - without), 3)
