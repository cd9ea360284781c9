# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: the turn on this machine, a connection kept open, percentiles."""

import contextlib
import fcntl
import json
import math
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77
IDLE_PERCENT = 3.0  # a host busier than this by itself disturbs what is measured


@contextlib.contextmanager
def alone():
    """No test and no other benchmark meanwhile; tests/conftest.py takes the same turn. Keep it short."""
    with open(pathlib.Path(tempfile.gettempdir()) / "faultd-tests.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def busy_percent(seconds=1.0):
    """What the host does without us, over all CPUs."""
    def ticks():
        with open("/proc/stat", encoding="ascii") as f:
            values = [int(x) for x in f.readline().split()[1:9]]
        return sum(values) - values[3] - values[4], sum(values)

    before = ticks()
    time.sleep(seconds)
    after = ticks()
    return 100.0 * (after[0] - before[0]) / max(after[1] - before[1], 1)


def harness_of(build):
    """tests/lib/harness.py for the programs in that build directory."""
    os.environ["FAULTD_BUILD_DIR"] = str(build)
    sys.path.insert(0, str(ROOT / "tests"))
    from lib import harness  # pylint: disable=import-outside-toplevel

    harness.become_subreaper()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was made is taken away again
    return harness


def default_build():
    return pathlib.Path(os.environ.get("FAULTD_BUILD_DIR", ROOT / "build"))


def memory_directory():
    """Where /run would be: faultd's journal lives on tmpfs, and is synced. None: no tmpfs here."""
    for directory in ("/run", "/dev/shm"):
        if os.access(directory, os.W_OK) and _file_system(directory) == "tmpfs":
            return directory
    print("WARNING: no tmpfs: the journal is synced to a disk", file=sys.stderr)
    return None


def _file_system(path):
    return subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True, check=True).stdout.strip()


def is_sanitized(program):
    return b"__asan_init" in pathlib.Path(program).read_bytes()


def build_helper(source, directory):
    """Compiles the C part of a benchmark, which needs libc only."""
    helper = pathlib.Path(directory) / source.stem
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-D_GNU_SOURCE", "-o", str(helper), str(source)], check=True)
    return helper


class Api:
    """One HTTP/1.1 connection, kept open, with as little of Python around the system calls as can be."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(20)
        self.socket.connect(str(path))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    @staticmethod
    def prepare(method, path, body=None):
        text = json.dumps(body).encode() if body is not None else b""
        return f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text

    def exchange(self, request):
        """(status, JSON) of a request made by prepare()."""
        self.socket.sendall(request)
        data = b""
        while True:
            head, found, rest = data.partition(b"\r\n\r\n")
            if found and len(rest) >= self._length(head):
                return int(head.split(None, 2)[1]), json.loads(rest)
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("faultd closed the connection")
            data += more

    @staticmethod
    def _length(head):
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                return int(value)
        raise ValueError("an answer without Content-Length")

    def ask(self, method, path, body=None):
        return self.exchange(self.prepare(method, path, body))


def percentile(values, p):
    """The nearest rank: a value that was measured."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(p / 100 * len(ordered)) - 1)]


def summary(values):
    if not values:
        return None
    return {"n": len(values), "p50": round(statistics.median(values), 3), "p99": round(percentile(values, 99), 3),
            "max": round(max(values), 3)}


def refuse_unless(condition, why):
    """Skipped, not failed: this host cannot run the benchmark."""
    if not condition:
        print(f"skipped: {why}", file=sys.stderr)
        sys.exit(SKIPPED)
