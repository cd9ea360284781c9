#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What one packet costs more with the classifier, beside an iptables rule of the same effect.

Sends UDP over a veth pair in a network namespace made for the purpose and removed after. All cases
take turns, round after round; the table shows medians. Needs root, ip, iptables, cc and libbpf,
and a build directory with the skeleton in it (bpf/classify.skel.h)."""

import argparse
import contextlib
import json
import os
import pathlib
import secrets
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEAR, FAR = "10.99.0.1", "10.99.0.2"
PORT, OTHER_PORT = 9999, 9998
ALWAYS = 0xFFFFFFFF
SECONDS_MAX = 50  # then the rounds so far are all there are

# name: rules in as many slots, threshold, port, with CIDRs; or the match of an iptables DROP rule
CLASSIFIER = {
    "classifier, no rules": (0, 0, PORT, 0),
    "classifier, rule does not match": (1, ALWAYS, OTHER_PORT, 0),
    "classifier, 32 rules do not match": (32, ALWAYS, OTHER_PORT, 0),
    "classifier, rule matches, 0 %": (1, 0, PORT, 0),
    "classifier, rule with CIDRs matches, 0 %": (1, 0, PORT, 1),
    "classifier, 100 %": (1, ALWAYS, PORT, 0),
}
RANDOM = ["-m", "statistic", "--mode", "random", "--probability"]
IPTABLES = {
    "iptables, rule does not match": (OTHER_PORT, "1"),
    "iptables, rule matches, 0 %": (PORT, "0"),
    "iptables, 100 %": (PORT, "1"),
}
BASELINE = "nothing"


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@contextlib.contextmanager
def namespace():
    name = "faultd-bench-" + secrets.token_hex(4)
    run("ip", "netns", "add", name)
    try:
        ip = ("ip", "-n", name)
        run(*ip, "link", "add", "near", "type", "veth", "peer", "name", "far")
        run(*ip, "addr", "add", NEAR + "/24", "dev", "near")
        run(*ip, "link", "set", "far", "address", "02:00:00:00:00:02", "up")
        run(*ip, "link", "set", "near", "up")
        run(*ip, "neigh", "add", FAR, "lladdr", "02:00:00:00:00:02", "dev", "near")
        yield name
    finally:
        run("ip", "netns", "del", name)


def build_helper(build, directory):
    helper = directory / "packet_cost"
    source = pathlib.Path(__file__).with_suffix(".c")
    run(os.environ.get("CC", "cc"), "-O2", "-D_GNU_SOURCE", f"-I{build}/bpf", f"-I{ROOT}/include",
        "-o", str(helper), str(source), "-lbpf")
    return helper


class Helper:
    def __init__(self, name, path):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", name, str(path), "near", FAR],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise RuntimeError(f"packet_cost died of: {command}")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


def iptables(name, operation, port, probability):
    run("ip", "netns", "exec", name, "iptables", "-w", operation, "OUTPUT", "-o", "near",
        "-p", "udp", "--dport", str(port), *RANDOM, probability, "-j", "DROP")


def one_round(helper, name, how, count, times):
    def measure(case):
        helper.ask(f"send {count // 10}")
        times[case].append(float(helper.ask(f"send {count}")))

    measure(BASELINE)
    helper.ask(f"attach {how}")
    for case, rules in CLASSIFIER.items():
        helper.ask("rules {} {} {} {}".format(*rules))
        measure(case)
    helper.ask("detach")
    for case, (port, probability) in IPTABLES.items():
        iptables(name, "-A", port, probability)
        measure(case)
        iptables(name, "-D", port, probability)


def test_runs(helper):
    results = {}
    for case, rules in CLASSIFIER.items():
        helper.ask("rules {} {} {} {}".format(*rules))
        results[case] = statistics.median(float(helper.ask("testrun 1000000")) for _ in range(3))
    return results


def summary(case, times, base, alone):
    """Differences are taken within a round, so that a drift of the machine falls out of them."""
    more = [a - b for a, b in zip(times, base)]
    low, _, high = statistics.quantiles(more, n=4)
    return {"case": case, "ns": round(statistics.median(times), 1),
            "more_ns": round(statistics.median(more), 1), "quartiles_ns": [round(low, 1), round(high, 1)],
            "test_run_ns": alone}


def bench(name, path, options):
    helper = Helper(name, path)
    times = {case: [] for case in (BASELINE, *CLASSIFIER, *IPTABLES)}
    end = time.monotonic() + SECONDS_MAX
    try:
        alone = test_runs(helper)
        for _ in range(options.rounds):
            one_round(helper, name, options.attach, options.packets, times)
            if time.monotonic() > end:
                break
    finally:
        helper.close()

    return [summary(case, each, times[BASELINE], alone.get(case)) for case, each in times.items()]


def show(results):
    print(f"{'':42} {'ns/packet':>9} {'more':>7} {'quartiles':>14} {'test run':>9}")
    for row in results:
        low, high = row["quartiles_ns"]
        alone = "" if row["test_run_ns"] is None else f"{row['test_run_ns']:.0f}"
        print(f"{row['case']:42} {row['ns']:9.0f} {row['more_ns']:+7.0f} {low:+7.0f}{high:+7.0f} {alone:>9}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="build directory")
    parser.add_argument("--attach", choices=("tcx", "clsact"), default="tcx")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--packets", type=int, default=20000, help="per case and round")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    if os.geteuid() != 0:
        print("skipped: needs root", file=sys.stderr)
        return 77
    if options.rounds < 2 or not 10 <= options.packets <= 1000000:
        parser.error("--rounds: 2 or more; --packets: 10 to 1000000")
    with tempfile.TemporaryDirectory() as directory:
        helper = build_helper(options.build, pathlib.Path(directory))
        with namespace() as name:
            results = bench(name, helper, options)
    if options.json:
        json.dump({"attach": options.attach, "kernel": os.uname().release, "results": results},
                  sys.stdout, indent=1)
        print()
    else:
        show(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
