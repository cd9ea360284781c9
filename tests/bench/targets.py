#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long to find the processes that are meant, on a host with ten thousand?

A helper forks them, asleep, and looks for one among them (or all) by every criterion, round after round,
with the code of faultd. Beside it, in the same run, the floor: the system calls that the way through
/proc cannot do without. Milliseconds by the clock and of CPU. Needs cc.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import common

SOURCES = ("host/processes.c", "util/proc.c", "util/str.c")


def build_helper(directory):
    helper = pathlib.Path(directory) / "targets"
    agent = common.ROOT / "agent"
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-D_GNU_SOURCE", f"-I{agent}", f"-I{common.ROOT}/include",
                    "-o", str(helper), str(pathlib.Path(__file__).with_suffix(".c")),
                    *(str(agent / s) for s in SOURCES)], check=True)
    return helper


def bench(options):
    """{case: {found, clock: [ms…], cpu: [ms…]}}, in order."""
    with tempfile.TemporaryDirectory() as directory:
        helper = build_helper(directory)
        with common.alone():
            done = subprocess.run([str(helper), str(options.processes), str(options.rounds)], stdout=subprocess.PIPE,
                                  text=True, check=True)
    result = {}
    for line in done.stdout.splitlines():
        case, clock, cpu, found = line.split("\t")
        each = result.setdefault(case, {"found": 0, "clock": [], "cpu": []})
        each["found"] = int(found)
        each["clock"].append(int(clock) / 1e6)
        each["cpu"].append(int(cpu) / 1e6)
    return result


def markdown(result):
    lines = ["| which | found | p50 ms | least ms | CPU p50 ms |", "|---|---|---|---|---|"]
    for case, each in result.items():
        lines.append(f"| {case} | {each['found']} | {common.percentile(each['clock'], 50):.1f} | "
                     f"{min(each['clock']):.1f} | {common.percentile(each['cpu'], 50):.1f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    if not 1 <= options.processes <= 20000 or options.rounds < 1:
        parser.error("--processes: 1 to 20000; --rounds: at least 1")
    common.refuse_unless(os.geteuid() == 0, "needs root")
    result = bench(options)
    if options.json:
        json.dump(result, sys.stdout, indent=1)
        print()
    else:
        print(markdown(result))


if __name__ == "__main__":
    main()
