# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The lab with four uneven servers under load, and its page for a browser."""
import json
import os
import pathlib
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CAPACITIES = {"s1": 20, "s2": 20, "s3": 24, "s4": 30}  # per cent of a CPU each


class Lab:
    """To be used as a context: up on entry, down on exit whatever happens."""

    def __init__(self, name=None):
        self.name = name or f"page{os.getpid()}"
        self.programs = []

    def __enter__(self):
        try:
            self.run("up", f"servers={len(CAPACITIES)}")
            self.run("nginx")
            for server, percent in CAPACITIES.items():
                self.run("capacity", server, f"{percent}%")
            self.run("config")
            self.run("start", "all")
            self.url = self.open_page()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for program in self.programs:
            program.terminate()
            program.wait()
        self.run("down")

    def run(self, *words):
        done = subprocess.run([ROOT / "lab/lab", words[0], f"name={self.name}", *words[1:]], capture_output=True,
                              text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"lab {' '.join(words)}: {done.stderr}")
        return done.stdout

    def begin(self, *words):
        # That a daemon does not answer is what the page is to say, not what brings it there.
        errors = subprocess.DEVNULL if words[0] == "page" else None
        program = subprocess.Popen([ROOT / "lab/lab", words[0], f"name={self.name}", *words[1:]],
                                   stdout=subprocess.DEVNULL, stderr=errors)
        self.programs.append(program)
        return program

    def open_page(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.begin("page", "b1", str(port))
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return f"http://127.0.0.1:{port}/"
            except ConnectionRefusedError:
                time.sleep(0.05)
        raise RuntimeError("lab page does not listen")

    def load(self, seconds, connections=64):
        return self.begin("wrk", f"duration={seconds}", f"connections={connections}")

    def show(self):
        return json.loads(self.run("show", "b1", "--json"))
