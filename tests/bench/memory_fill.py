#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast memory is filled and freed, and how exactly: faultd-load, plain ways of touching memory, and stress-ng.

All in the same run, in turns, after a warm-up: the first touch of a guest's memory is served by its host, and
measures that. Processes are timed from outside, from their start until their memory (smaps_rollup) is resident;
the plain ways from within, without it."""

import argparse
import math
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial

import common

MIB = 1 << 20
GIB = 1 << 30
PLAIN = ("memset", "touch", "touch-huge", "populate", "populate-huge")
PATIENCE = 60


def build_plain(directory):
    path = pathlib.Path(directory) / "memory_fill"
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", path, pathlib.Path(__file__).with_suffix(".c")], check=True)
    return path


def anonymous(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            return int(re.search(r"^Anonymous:\s+(\d+)", f.read(), re.M).group(1)) * 1024
    except (OSError, AttributeError):  # it is just starting, or gone
        return 0


def family(pid):
    """The process and all below it."""
    found = [pid]
    for p in found:
        try:
            with open(f"/proc/{p}/task/{p}/children", encoding="ascii") as f:
                found += [int(x) for x in f.read().split()]
        except OSError:
            pass
    return found


def cpu_ns(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0])


def start_worker(load, size, seconds=PATIENCE, reserve=64 * MIB):
    deadline = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + int(seconds * 1e9)
    return subprocess.Popen([str(load), "memory", "--bytes", str(size), "--mode", "add", "--reserve", str(reserve),
                             "--deadline-boot-ns", str(deadline), "--parent", str(os.getpid())], stdout=subprocess.DEVNULL)


def start_stress_ng(program, size, *options):
    return subprocess.Popen([program, "--vm", "1", "--vm-bytes", str(size), "--vm-keep", *options, "--timeout",
                             str(PATIENCE)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def filled_after(process, size, part=0.99):
    """Seconds from now until that much is resident; looking costs little beside it."""
    start = time.monotonic()
    while sum(anonymous(p) for p in family(process.pid)) < size * part:
        if time.monotonic() - start > PATIENCE or process.poll() is not None:
            return float("nan")
        time.sleep(0.002)
    return time.monotonic() - start


def kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def fill_worker(load, size):
    """(bytes per second until resident, seconds from SIGKILL until the process is gone and its memory free)"""
    process = start_worker(load, size)
    took = filled_after(process, size)
    start = time.monotonic()
    process.kill()
    process.wait()
    return size / took, time.monotonic() - start


def fill_stress_ng(program, size, options):
    process = start_stress_ng(program, size, *options)
    try:
        return size / filled_after(process, size)
    finally:
        kill_group(process)


def fill_plain(program, size, how):
    done = subprocess.run([program, str(size), how], capture_output=True, text=True, check=False)
    return size / (int(done.stdout) / 1e9) if done.returncode == 0 else float("nan")


def hold(load, size, seconds):
    """(error of what is resident, in percent, percent of a CPU while it is held)"""
    process = start_worker(load, size)
    try:
        filled_after(process, size)
        time.sleep(0.5)
        before, start = cpu_ns(process.pid), time.monotonic()
        time.sleep(seconds)
        share = (cpu_ns(process.pid) - before) / 1e9 / (time.monotonic() - start)
        return 100 * (anonymous(process.pid) - size) / size, 100 * share
    finally:
        process.kill()
        process.wait()


def rates(load, plain, stress_ng, size, rounds):
    """({way: [bytes per second of each round]}, seconds to free it); each round in another
    order: who comes after a way with ordinary pages gets huge ones that nobody has touched yet."""
    freed = []

    def worker():
        rate, free = fill_worker(load, size)
        freed.append(free)
        return rate

    ways = {"faultd-load": worker} | {how: partial(fill_plain, plain, size, how) for how in PLAIN}
    if stress_ng:
        ways["stress-ng"] = partial(fill_stress_ng, stress_ng, size, ())
        ways["stress-ng --vm-populate"] = partial(fill_stress_ng, stress_ng, size, ("--vm-populate",))
    for _ in range(2):  # the host has given us this memory, in pages of both sizes, before anything is measured
        fill_plain(plain, size * 5 // 4, "memset")
        fill_plain(plain, size * 5 // 4, "touch-huge")
    found = {name: [] for name in ways}
    names = list(ways)
    for n in range(rounds):
        random.Random(n).shuffle(names)
        for name in names:
            found[name].append(ways[name]())
    return found, statistics.median(freed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=common.default_build())
    parser.add_argument("--size", type=int, default=2048, help="MiB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    load, size = options.build / "agent/load/faultd-load", options.size * MIB

    if not os.access(load, os.X_OK):
        parser.error(f"{load}: no such program; set FAULTD_BUILD_DIR or --build")
    with common.alone(), tempfile.TemporaryDirectory() as directory:
        plain = build_plain(directory)
        busy = common.busy_percent()
        found, freed = rates(load, plain, shutil.which("stress-ng"), size, options.rounds)
        holds = {s: hold(load, s, options.seconds) for s in (10 * MIB, 100 * MIB + 4096, size)}
    best = max(max(found[how]) for how in PLAIN if not math.isnan(found[how][0]))
    print(f"{options.size} MiB, {options.rounds} rounds in turns; {busy:.1f} % busy before\n")
    print("| filled by | GiB/s, median | best | of the best plain way |\n|---|---|---|---|")
    for name, rates_of in found.items():
        print(f"| {name} | {statistics.median(rates_of) / GIB:.2f} | {max(rates_of) / GIB:.2f} | {100 * max(rates_of) / best:.0f} % |")
    print(f"\nFreed {1000 * freed:.0f} ms after SIGKILL: {freed / size * 16 * GIB:.2f} s for 16 GiB at that rate.\n")
    print("| held | error | CPU |\n|---|---|---|")
    for wanted, (error, share) in holds.items():
        print(f"| {wanted / MIB:.0f} MiB | {error:+.3f} % | {share:.3f} % |")
    if busy > common.IDLE_PERCENT:
        print("\nThis host is not idle: the figures are partly its own.")


if __name__ == "__main__":
    sys.exit(main())
