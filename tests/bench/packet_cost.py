#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What one packet costs more with the classifier, beside rules of the same effect of iptables, nftables and netem.

Sends UDP over a veth pair in a network namespace made for the purpose and removed after. All cases
take turns, round after round; the table shows medians. What the kernel or the host has not is left
out, and said. Needs root, ip, cc and libbpf, and a build directory with the skeleton in it
(bpf/classify.skel.h)."""

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

# name: rules in as many slots, what they do (packet_cost.c)
CLASSIFIER = {
    "classifier, no rules": (0, "other"),
    **{f"classifier, pass: {n} of other ports": (n, "other") for n in (1, 8, 64)},
    **{f"classifier, pass: {n} match, 0 %": (n, "chance") for n in (1, 8, 64)},
    "classifier, pass: 1 matches by prefix, 0 %": (1, "cidrs"),
    "classifier, pass: 1 matches, 0 % of flows": (1, "flows"),
    **{f"classifier, drop: the last of {n}": (n, "drop") for n in (1, 8, 64)},
    **{f"classifier, mark: the last of {n}": (n, "shape") for n in (1, 8, 64)},
}
IP_IN = ("ip", "netns", "exec")


class Iptables:
    def __init__(self, port, probability, n=1):
        lines = [f"-A OUTPUT -o near -p udp --dport {to} -m statistic --mode random --probability {chance} -j DROP"
                 for to, chance in [(OTHER_PORT, "1")] * (n - 1) + [(port, probability)]]
        self.rules = "\n".join(["*filter", *lines, "COMMIT", ""])

    def set(self, name):
        run(*IP_IN, name, "iptables-restore", "-w", "-n", text=self.rules)

    @staticmethod
    def unset(name):
        run(*IP_IN, name, "iptables", "-w", "-F", "OUTPUT")


class Nftables:
    """0 % is one of 2**31 - 1, which is the least it can say."""

    def __init__(self, port, below, n=1):
        last = f"oifname near udp dport {port} " + (f"numgen random mod 2147483647 < {below} drop" if below else "drop")
        others = [f"oifname near udp dport {OTHER_PORT} drop"] * (n - 1)
        self.rules = "\n".join(["table inet bench {", "chain out {", "type filter hook output priority 0", *others, last, "}", "}", ""])

    def set(self, name):
        run(*IP_IN, name, "nft", "-f", "-", text=self.rules)

    @staticmethod
    def unset(name):
        run(*IP_IN, name, "nft", "delete table inet bench")


class Netem:
    def __init__(self, *words):
        self.words = words

    def set(self, name):
        run(*IP_IN, name, "tc", "qdisc", "add", "dev", "near", "root", "netem", "limit", "1000", *self.words)

    @staticmethod
    def unset(name):
        run(*IP_IN, name, "tc", "qdisc", "del", "dev", "near", "root")


OTHERS = {
    **{f"iptables, pass: {n} of other ports": Iptables(OTHER_PORT, "1", n) for n in (1, 8, 64)},
    "iptables, pass: 1 matches, 0 %": Iptables(PORT, "0"),
    **{f"iptables, drop: the last of {n}": Iptables(PORT, "1", n) for n in (1, 8, 64)},
    **{f"nftables, pass: {n} of other ports": Nftables(OTHER_PORT, None, n) for n in (1, 8, 64)},
    "nftables, pass: 1 matches, 0 %": Nftables(PORT, 1),
    **{f"nftables, drop: the last of {n}": Nftables(PORT, None, n) for n in (1, 8, 64)},
    "netem, pass: it does nothing": Netem(),
    "netem, pass: 0.001 %": Netem("loss", "0.001%"),
    "netem, drop: 100 %": Netem("loss", "100%"),
}
BASELINE = "nothing"


def run(*command, text=""):
    subprocess.run(command, check=True, input=text, stderr=subprocess.PIPE, text=True)


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


def usable(name):
    """Those of the OTHERS that can be set here, and a line for each kind that cannot."""
    cases, missing = {}, {}
    for case, rules in OTHERS.items():
        kind = type(rules).__name__.lower()
        if kind in missing:
            continue
        try:
            rules.set(name)
            rules.unset(name)
            cases[case] = rules
        except (OSError, subprocess.CalledProcessError) as e:
            missing[kind] = f"{kind}: not here ({(getattr(e, 'stderr', None) or str(e)).strip().splitlines()[0]})"
    return cases, list(missing.values())


def one_round(helper, name, others, how, count, times):
    def measure(case):
        helper.ask(f"send {count // 10}")
        times[case].append(float(helper.ask(f"send {count}")))

    measure(BASELINE)
    helper.ask(f"attach {how}")
    for case, rules in CLASSIFIER.items():
        helper.ask("rules {} {}".format(*rules))
        measure(case)
    helper.ask("detach")
    for case, rules in others.items():
        rules.set(name)
        measure(case)
        rules.unset(name)


def test_runs(helper):
    results = {}
    for case, rules in CLASSIFIER.items():
        helper.ask("rules {} {}".format(*rules))
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
    others, missing = usable(name)
    helper = Helper(name, path)
    times = {case: [] for case in (BASELINE, *CLASSIFIER, *others)}
    end = time.monotonic() + SECONDS_MAX
    try:
        alone = test_runs(helper)
        for _ in range(options.rounds):
            one_round(helper, name, others, options.attach, options.packets, times)
            if time.monotonic() > end:
                break
    finally:
        helper.close()

    return [summary(case, each, times[BASELINE], alone.get(case)) for case, each in times.items()], missing


def show(results, missing):
    print(f"{'':42} {'ns/packet':>9} {'more':>7} {'quartiles':>14} {'test run':>9}")
    for row in results:
        low, high = row["quartiles_ns"]
        alone = "" if row["test_run_ns"] is None else f"{row['test_run_ns']:.0f}"
        print(f"{row['case']:42} {row['ns']:9.0f} {row['more_ns']:+7.0f} {low:+7.0f}{high:+7.0f} {alone:>9}")
    for line in missing:
        print(line)


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
            results, missing = bench(name, helper, options)
    if options.json:
        json.dump({"attach": options.attach, "kernel": os.uname().release, "results": results, "missing": missing},
                  sys.stdout, indent=1)
        print()
    else:
        show(results, missing)
    return 0


if __name__ == "__main__":
    sys.exit(main())
