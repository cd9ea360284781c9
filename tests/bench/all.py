#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""All benchmarks of one build, as one report in Markdown: latency, memory and wake-ups, how exact a CPU
load is, what a packet costs and idle rules do, how long it takes to find processes, FIS's API. One that cannot run here is named
with its reason. Needs root."""

import argparse
import os
import pathlib
import platform
import subprocess
import sys

import common

HERE = pathlib.Path(__file__).resolve().parent
PERCENTS = (10, 25, 50, 75, 90)


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(("model name", "CPU part")):
            return line.partition(":")[2].strip()
    return platform.machine()


def ticks():
    """HZ, as far as it can be read."""
    for path in (f"/boot/config-{os.uname().release}", "/proc/config.gz"):
        done = subprocess.run(["zgrep", "-hs", "^CONFIG_HZ=", path], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip().partition("=")[2]
    return "unknown"


def head(build):
    memory = next(line.split()[1] for line in open("/proc/meminfo", encoding="ascii") if line.startswith("MemTotal"))
    kind = "with sanitizers" if common.is_sanitized(build / "agent" / "faultd") else "without sanitizers"
    return "\n".join(("# Benchmarks of faultd", "",
                      f"- kernel {os.uname().release}, {platform.machine()}, HZ {ticks()}",
                      f"- {len(os.sched_getaffinity(0))} CPUs: {cpu_model()}; {int(memory) // 1024} MiB", f"- a build {kind}", ""))


def run(script, *options):
    """(standard output, None) or (None, why not)."""
    done = subprocess.run([sys.executable, str(HERE / script), *map(str, options)], capture_output=True, text=True,
                          check=False)
    if done.returncode == 0:
        return done.stdout.rstrip(), None
    last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return None, f"not measured ({last})"


def part(title, text):
    print(f"## {title}\n\n{text}\n", flush=True)


def latency(options):
    text, why = run("latency.py", "--build", options.build, "--rounds", 20 if options.quick else 300)
    part("From a request to its effect, and back", text or why)


def idle(options):
    text, why = run("idle.py", "--build", options.build, "--seconds", 5 if options.quick else 30)
    part("Memory and wake-ups", text or why)


def cpu_accuracy(options):
    """One percentage at a time, so that the machine is not held for long."""
    tables = []
    for percent in (50,) if options.quick else PERCENTS:
        with common.alone():
            text, why = run("cpu_accuracy.py", "--binary", options.build / "agent" / "load" / "faultd-load",
                            "--percent", percent, "--seconds", 5 if options.quick else 10)
        tables.append(text or why)
    part("How exact a CPU load is", "```\n" + "\n\n".join(tables) + "\n```")


def packet_cost(options):
    rounds = 5 if options.quick else 40
    for how in ("tcx",) if options.quick else ("tcx", "clsact"):
        with common.alone():
            text, why = run("packet_cost.py", "--build", options.build, "--attach", how, "--rounds", rounds)
        part(f"What a packet costs more, by {how}", f"```\n{text or why}\n```")


def network(options):
    text, why = run("network.py", "--build", options.build, "--rounds", 6 if options.quick else 60)
    part("Network faults: applied, undone, and what idle rules cost", text or why)


def targets(options):
    processes, rounds = (2000, 5) if options.quick else (10000, 20)
    text, why = run("targets.py", "--processes", processes, "--rounds", rounds)
    part("How long to find the processes that are meant", text or why)


def undo(options):
    with common.alone():
        text, why = run("undo.py", "--build", options.build, "--rounds", 5 if options.quick else 50)
    part("Memory, disks and limits: applied, and undone", text or why)


def memory_fill(options):
    with common.alone():
        text, why = run("memory_fill.py", "--build", options.build)
    part("How fast memory is filled, and how exactly", f"```\n{text or why}\n```")


def fis(options):
    text, why = run("fis.py", "--build", options.build, *(("--rounds", 50, "--starts", 10) if options.quick else ()))
    part("FIS's API with 500 templates and five experiments", text or why)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=common.default_build(), help="build directory")
    parser.add_argument("--quick", action="store_true", help="a look, in about a minute and a half")
    options = parser.parse_args()

    options.build = options.build.resolve()
    common.refuse_unless(os.geteuid() == 0, "needs root")
    if not os.access(options.build / "agent" / "faultd", os.X_OK):
        parser.error(f"{options.build}: no build; set FAULTD_BUILD_DIR or --build")
    print(head(options.build), flush=True)
    for measure in (latency, idle, undo, memory_fill, cpu_accuracy, packet_cost, network, targets, fis):
        measure(options)


if __name__ == "__main__":
    main()
