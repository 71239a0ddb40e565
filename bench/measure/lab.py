# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The lab with eight servers, one balancer and one client, and what runs on them."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from . import plan

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = ROOT / 'lab' / 'lab'
VIP = '10.1.0.100'
READY_SECONDS = 20


class LabError(Exception):
    """The message says what failed, and in whose words."""


def run(arguments, **options):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, **options)
    if done.returncode:
        raise LabError(f'{" ".join(map(str, arguments))}: {done.stderr.strip() or done.stdout}')
    return done.stdout


def set_urgent(pid, urgent):
    """
    Eleven machines share two cores. A process that stands for one of them must not wait until others
    have used up their slice: it runs at once, as it would on a machine of its own.
    """
    policy, parameter = (os.SCHED_FIFO, 5) if urgent else (os.SCHED_OTHER, 0)
    for task in pathlib.Path(f'/proc/{pid}/task').iterdir():
        os.sched_setscheduler(int(task.name), policy, os.sched_param(parameter))


class Process:
    """A program on a machine of the lab. Ended by end(), or by `lab down`."""

    def __init__(self, lab, machine, arguments, log):
        self.log = log
        self.what = f'{pathlib.Path(str(arguments[0])).name} on {machine}'
        with open(log, 'w', encoding='utf-8') as output:
            self.process = subprocess.Popen(
                ['ip', 'netns', 'exec', lab.namespace(machine), *[str(a) for a in arguments]],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True)
        self.pid = self.process.pid
        set_urgent(self.pid, lab.urgent)

    def await_ready(self):
        deadline = time.monotonic() + READY_SECONDS
        while 'ready' not in self.log.read_text(errors='replace'):
            if self.process.poll() is not None:
                raise LabError(f'{self.what} has ended: {self.log.read_text().strip()}')
            if time.monotonic() > deadline:
                raise LabError(f'{self.what} is not ready: {self.log.read_text().strip()}')
            time.sleep(0.01)

    def end(self, wait=True):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        if wait:
            self.process.wait(READY_SECONDS)


class Lab:
    def __init__(self, name):
        self.name = name
        self.state = pathlib.Path('/run/plimsoll-lab') / name
        self.servers = [f's{i}' for i in range(1, plan.SERVERS + 1)]
        self.balancer = None
        self.agents = []
        self.agents_configuration = None
        self.workers = []
        self.nginx_runs = False
        self.urgent = False
        # A copy: a build meanwhile must not change what is measured.
        self.programs = ROOT / 'build' / 'bench' / 'programs'
        self.programs.mkdir(parents=True, exist_ok=True)
        shutil.copy2(os.environ.get('PLIMSOLL', ROOT / 'build' / 'plimsoll'), self.programs)
        for program in ('worker', 'load'):
            shutil.copy2(ROOT / 'build' / 'lab' / program, self.programs)

    def namespace(self, machine):
        return f'{self.name}-{machine}'

    def lab(self, verb, *arguments):
        return run([LAB, verb, f'name={self.name}', *arguments])

    def up(self):
        self.lab('up', f'servers={plan.SERVERS}', 'clients=1', 'balancers=1')
        for machine in ['b1', *self.servers]:
            (self.state / machine).mkdir(exist_ok=True)
        # The VIP, also where no agent runs.
        self.lab('direct', *self.servers)

    def down(self):
        self.lab('down')

    def spawn(self, machine, *arguments, name):
        directory = self.state / machine
        directory.mkdir(exist_ok=True)
        return Process(self, machine, arguments, directory / f'{name}.log')

    def set_urgent(self, urgent):
        """Of all that is started from now on, and of the agents that run already."""
        self.urgent = urgent
        for agent in self.agents:
            set_urgent(agent.pid, urgent)

    # ---------------------------------------------------------------- workers

    def start_workers(self, workload, seed, oracle):
        self.workers = [self.start_worker(i, workload, seed, oracle)
                        for i in range(plan.SERVERS)]
        for worker in self.workers:
            worker.await_ready()

    def start_worker(self, index, workload, seed, oracle):
        machine = self.servers[index]
        directory = self.state / machine
        arguments = [self.programs / 'worker', '--name', machine, '--seed', seed,
                     '--workers', workload.workers[index], '--speed', workload.speeds[index],
                     '--mean', workload.mean, '--distribution', workload.distribution,
                     '--control', directory / 'control', '--truth', directory / 'truth']
        if workload.mix:
            arguments += ['--mix', workload.mix]
        if oracle:
            # Servers have their numbers in the order of the configuration.
            arguments += ['--oracle', f'/run/plimsoll/bpf/{self.namespace("b1")}/loads',
                          '--server-index', index + 1, '--balancer', plan.BALANCER]
        return self.spawn(machine, *arguments, name='worker')

    def stop_workers(self):
        for worker in self.workers:
            worker.end(wait=False)
        for worker in self.workers:
            worker.end()
        self.workers = []

    def control(self, server, command):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
            control.sendto(command.encode(), str(self.state / self.servers[server] / 'control'))

    def start_nginx(self):
        if not self.nginx_runs:
            self.lab('nginx')
            self.nginx_runs = True

    def stop_nginx(self):
        if not self.nginx_runs:
            return
        for server in self.servers:
            pid_file = self.state / server / 'nginx.pid'
            os.kill(int(pid_file.read_text()), signal.SIGTERM)
        deadline = time.monotonic() + READY_SECONDS
        while any((self.state / server / 'nginx.pid').exists() for server in self.servers):
            if time.monotonic() > deadline:
                raise LabError('nginx does not end')
            time.sleep(0.02)
        self.nginx_runs = False

    # --------------------------------------------------------------- Plimsoll

    def start_plimsoll(self, contender, weights):
        self.set_agents(contender.server)
        path = self.state / 'b1' / 'balancer.yaml'
        path.write_text(balancer_yaml(contender.balancer, weights))
        self.balancer = self.start_daemon('balancer', 'b1', path)
        self.balancer.await_ready()

    def stop_balancer(self):
        if self.balancer:
            self.balancer.end()
        self.balancer = None

    def set_agents(self, keys):
        """Agents take long to start: they stay as long as nothing changes for them."""
        if keys == self.agents_configuration:
            return
        self.stop_agents()
        if keys is not None:
            for server in self.servers:
                path = self.state / server / 'server.yaml'
                path.write_text(server_yaml(keys))
                self.agents.append(self.start_daemon('server', server, path))
            for agent in self.agents:
                agent.await_ready()
        self.agents_configuration = keys

    def stop_agents(self):
        for agent in self.agents:
            agent.end(wait=False)
        for agent in self.agents:
            agent.end()
        self.agents = []
        self.agents_configuration = None

    def start_daemon(self, role, machine, path):
        return self.spawn(machine, self.programs / 'plimsoll', role, '--config', path,
                          '--instance', self.namespace(machine), name='plimsoll')

    def check(self, contender):
        """None, or what Plimsoll has against the contender's configurations."""
        path = self.programs / 'check.yaml'
        texts = [balancer_yaml(contender.balancer, (1,) * plan.SERVERS)]
        if contender.server is not None:
            texts.append(server_yaml(contender.server))
        for text in texts:
            path.write_text(text)
            done = subprocess.run([self.programs / 'plimsoll', 'check-config', path],
                                  capture_output=True, text=True, check=False)
            if done.returncode:
                return (done.stdout + done.stderr).strip().replace(str(path), 'line')
        return None

    def status(self):
        """What the balancer says of its servers."""
        text = run([self.programs / 'plimsoll', 'show', '--json', '--instance',
                    self.namespace('b1')])
        return json.loads(text)['services'][0]['backends']

    # ------------------------------------------------------------------- load

    def start_load(self, start_ns, **options):
        arguments = [self.programs / 'load', '--start-at', start_ns, '--target', f'{VIP}:80']
        for key, value in options.items():
            arguments += [f'--{key}', value]
        return self.spawn('c1', *arguments, name='load')

    def finish_load(self, load):
        if load.process.wait():
            raise LabError(load.log.read_text().strip())
        return json.loads(load.log.read_text())

    def answers(self):
        """Does the balancer lead to servers that answer?"""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            load = self.start_load(1, closed=1, warmup='0s', duration='50ms', drain='200ms',
                                   timeout='200ms', path='/small')
            if self.finish_load(load)['requests']:
                return
        raise LabError('no answer comes through the balancer')


def yaml_of(keys, indent):
    return ''.join(f'{indent}{key}: {value}\n' for key, value in keys.items())


def balancer_yaml(keys, weights):
    backends = ''.join(f'      - {{address: 10.1.0.{11 + i}, weight: {weight}}}\n'
                       for i, weight in enumerate(weights))
    return (f'interfaces: [eth0]\nservices:\n  - name: web\n    address: {VIP}:80\n'
            f'{yaml_of(keys, "    ")}    backends:\n{backends}')


def server_yaml(keys):
    return f'interfaces: [eth0]\n{yaml_of(keys, "")}services:\n  - address: {VIP}:80\n'
