#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What faultd costs a host while nothing happens, or next to nothing.

Memory: the proportional share (PSS) of faultd and its guardian after the start, after a hundred faults,
and how it is made up. Wake-ups: context switches of both over half a minute at rest, with a connection
kept open, and with one CPU fault active. Needs root, and ip for the faults on packets.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import common

FAULTS = 100
SETTLE_S = 1.0
MEMORY = ("Pss", "Pss_Anon", "Pss_File", "Pss_Shmem", "Private_Dirty", "Locked", "Rss")


def rollup(pid):
    """kB of each figure."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    found = dict(re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE))
    return {k: int(found.get(k, 0)) for k in MEMORY}


def objects(pid, most=8):
    """The files (and heap, stack) whose mappings take most: [[name, PSS in kB]…]."""
    sums, name = {}, ""
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        head = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)", line)
        if head:
            name = pathlib.Path(head[1]).name or "(anonymous)"
        elif line.startswith("Pss:"):
            sums[name] = sums.get(name, 0) + int(line.split()[1])
    return sorted(sums.items(), key=lambda x: -x[1])[:most]


def switches(pid):
    """(voluntary, not) of all threads."""
    total = [0, 0]
    for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        text = status.read_text(encoding="ascii")
        total[0] += int(re.search(r"^voluntary_ctxt_switches:\t(\d+)", text, re.MULTILINE)[1])
        total[1] += int(re.search(r"^nonvoluntary_ctxt_switches:\t(\d+)", text, re.MULTILINE)[1])
    return total


def wakeups(pids, seconds):
    """Per minute, by program."""
    with common.alone():
        time.sleep(SETTLE_S)
        before, start = {k: switches(p) for k, p in pids.items()}, time.monotonic()
        time.sleep(seconds)
        after, minutes = {k: switches(p) for k, p in pids.items()}, (time.monotonic() - start) / 60
    return {k: {"voluntary": round((after[k][0] - before[k][0]) / minutes, 1),
                "not": round((after[k][1] - before[k][1]) / minutes, 1)} for k in pids}


def hundred_faults(daemon, network, victim):
    """A mix of them, one after the other."""
    kinds = [("process-pause", {"pid": [victim]}), ("cpu-stress", {"percent": 5, "cpus": "0-0"}),
             ("network-loss", {"interface": network.dev, "percent": 10})]
    for i in range(FAULTS):
        name, parameters = kinds[i % len(kinds)]
        status, fault = daemon.fault(name, "30s", parameters=parameters)
        if status == 201:
            daemon.stop_fault(fault)


def memory(pids, result, when):
    result["memory"][when] = {k: rollup(p) for k, p in pids.items()}


def bench(harness, options, directory):
    result = {"memory": {}, "wakeups": {}}
    with common.alone():
        network = harness.Network()
        daemon = harness.Faultd(directory / "faultd", "--log-level", "info")
        victim = subprocess.Popen(["sleep", "3600"])
    try:
        pids = {"faultd": daemon.pid, "guardian": daemon.guardian_pid()}
        memory(pids, result, "after the start")
        with common.alone():
            hundred_faults(daemon, network, victim.pid)
        memory(pids, result, f"after {FAULTS} faults")
        result["made_of"] = {k: objects(p) for k, p in pids.items()}
        result["wakeups"]["at rest"] = wakeups(pids, options.seconds)
        with common.Api(daemon.socket) as api:
            api.ask("GET", "/v1/status")
            result["wakeups"]["a connection open"] = wakeups(pids, min(options.seconds, 8))
        fault = daemon.start_fault("cpu-stress", "10m", percent=5, cpus="0-0")
        result["wakeups"]["one cpu-stress"] = wakeups(pids, options.seconds)
        daemon.stop_fault(fault)
    finally:
        daemon.close()
        victim.kill()
        victim.wait()
        network.close()
    return result


def markdown(result):
    lines = ["| kB | " + " | ".join(MEMORY) + " |", "|---" * (len(MEMORY) + 1) + "|"]
    for when, by in result["memory"].items():
        both = {m: sum(each[m] for each in by.values()) for m in MEMORY}
        for who, each in (by | {"both": both}).items():
            lines.append(f"| {who}, {when} | " + " | ".join(str(each[m]) for m in MEMORY) + " |")
    lines.append("")
    for who, each in result["made_of"].items():
        lines.append(f"{who} is made of: " + ", ".join(f"{name} {kb}" for name, kb in each) + " (PSS, kB)")
    lines += ["", "| wake-ups a minute | faultd | guardian |", "|---|---|---|"]
    for when, by in result["wakeups"].items():
        lines.append(f"| {when} | " + " | ".join(f"{e['voluntary']:g} + {e['not']:g}" for e in by.values()) + " |")
    return "\n".join(lines) + "\n\nwake-ups: voluntary + involuntary context switches"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=common.default_build(), help="build directory")
    parser.add_argument("--seconds", type=float, default=30, help="to count wake-ups, each")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    if not 1 <= options.seconds <= 50:
        parser.error("--seconds: 1 to 50")
    common.refuse_unless(os.geteuid() == 0, "needs root")
    harness = common.harness_of(options.build)
    if common.is_sanitized(harness.FAULTD):
        print("WARNING: a build with sanitizers; the figures say little", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=common.memory_directory()) as directory:
        result = bench(harness, options, pathlib.Path(directory))
    if options.json:
        json.dump(result, sys.stdout, indent=1)
        print()
    else:
        print(markdown(result))


if __name__ == "__main__":
    main()
