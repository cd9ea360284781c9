#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long from a request until a fault is applied, and from DELETE until it is undone?

Round after round over one open connection, by the client's clock and by the fault's own figures
(appliedMs, undoneMs). For packet loss also when the first packet was lost and the first came through
again, seen by a receiver behind a veth pair to which one packet is sent every 50 us.

Beside it, in the same run: what the kernel alone needs to attach and detach an empty program by TCX,
and programs that do the same by running tc or iptables. Milliseconds. Needs root, ip, tc and cc.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

import common

PAUSE_MS = 8  # between rounds, at random up to this: no round is in step with the kernel's tick
SECONDS_MAX = 45  # of one case; then the rounds so far are all there are
DROP = "1,6 0 0 2"  # classic BPF: return TC_ACT_SHOT
CASES = ("cpu-stress", "process-pause", "network-loss by TCX", "network-loss by clsact")


def pause():
    time.sleep(random.uniform(0, PAUSE_MS / 1000))


def rounds(n):
    end = time.monotonic() + SECONDS_MAX
    for i in range(n):
        if time.monotonic() > end:
            return
        yield i
        pause()


class Helper:
    def __init__(self, path, network):
        self.process = subprocess.Popen([str(path), network.dev, network.name, network.there],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the helper died")
        return line.split()

    def floor(self):
        """Milliseconds to attach and to detach; zeros without TCX."""
        self.tell("floor")
        return [int(x) / 1e6 for x in self.answer()]

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


def start_and_stop(api, post, hold_s=0.0):
    """One fault. ((start, answered, stop, stopped) in ns, what the last answer showed)."""
    start = time.monotonic_ns()
    status, fault = api.exchange(post)
    answered = time.monotonic_ns()
    if status != 201:
        raise RuntimeError(f"{status}: {fault}")
    delete = api.prepare("DELETE", f"/v1/faults/{fault['id']}")
    if hold_s:
        time.sleep(hold_s)
    stop = time.monotonic_ns()
    status, fault = api.exchange(delete)
    stopped = time.monotonic_ns()
    if status != 200 or fault["state"] != "done":
        raise RuntimeError(f"{status}: {fault}")
    return (start, answered, stop, stopped), fault


def measure_faults(api, post, n):
    """Lists of milliseconds by figure."""
    figures = {k: [] for k in ("applied_client", "applied_own", "undone_client", "undone_own")}
    start_and_stop(api, post)  # page tables, caches
    for _ in rounds(n):
        # Stopped at once it would wait for what the kernel still does after the start.
        (start, answered, stop, stopped), fault = start_and_stop(api, post, random.uniform(0.005, 0.025))
        figures["applied_client"].append((answered - start) / 1e6)
        figures["applied_own"].append(fault["appliedMs"])
        figures["undone_client"].append((stopped - stop) / 1e6)
        figures["undone_own"].append(fault["undoneMs"])
    return figures


def effect_once(api, post, helper):
    """Milliseconds from the request to the first packet lost, from DELETE to the first one through, the
    longest time between two packets, and how many were lost that the rule did not take; None if unclear."""
    helper.tell("go")
    helper.answer()
    pause()
    times, _ = start_and_stop(api, post, 0.002)
    time.sleep(0.001)
    helper.tell("stop")
    _, lost, again, gap, strays = (int(x) for x in helper.answer())
    if lost < times[0] or again < times[2]:
        return None
    return (lost - times[0]) / 1e6, (again - times[2]) / 1e6, gap / 1e6, strays


def measure_effect(api, post, helper, n):
    figures = {k: [] for k in ("effect_on", "effect_off", "gap", "strays")}
    unclear = 0
    for _ in rounds(n):
        result = effect_once(api, post, helper)
        if result is None:
            unclear += 1
            continue
        for values, value in zip(figures.values(), result):
            values.append(value)
    return figures, unclear


def measure_floor(helper, n):
    pairs = []
    for _ in rounds(n):
        pairs.append(helper.floor())
    if not any(p[0] for p in pairs):
        return None
    return {"applied_client": [p[0] for p in pairs], "undone_client": [p[1] for p in pairs]}


def floors(helper, n):
    """The first link of all costs more: the kernel patches its own code for it."""
    found = []
    for case, word in (("the kernel alone, the only TCX link", "drop"), ("the kernel alone, beside another TCX link", "hold")):
        with common.alone():
            helper.tell(word)
            helper.answer()
            figures = measure_floor(helper, n)
            helper.tell("drop")
            helper.answer()
        if figures:
            found.append({"case": case, "kind": "floor"} | {k: common.summary(v) for k, v in figures.items()})
    return found


def spawn(argv):
    """Runs a program as cheaply as can be. Its exit status."""
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in range(3)]
    pid = os.posix_spawn(argv[0], argv, {}, file_actions=null)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def peers(dev, victim):
    """name: (commands that begin the fault, commands that end it)."""
    tc, iptables, kill = (shutil.which(p) for p in ("tc", "iptables", "kill"))
    rule = ["OUTPUT", "-o", dev, "-p", "udp", "-m", "statistic", "--mode", "random", "--probability", "1", "-j", "DROP"]
    all_of_them = {
        "tc qdisc add … netem loss": ([[tc, "qdisc", "add", "dev", dev, "root", "netem", "loss", "100%"]],
                                      [[tc, "qdisc", "del", "dev", dev, "root"]]),
        "tc qdisc add … tbf": (
            [[tc, "qdisc", "add", "dev", dev, "root", "tbf", "rate", "1mbit", "burst", "10k", "latency", "1ms"]],
            [[tc, "qdisc", "del", "dev", dev, "root"]]),
        "tc qdisc add … clsact, tc filter add": (
            [[tc, "qdisc", "add", "dev", dev, "clsact"],
             [tc, "filter", "add", "dev", dev, "egress", "bpf", "da", "bytecode", DROP]],
            [[tc, "qdisc", "del", "dev", dev, "clsact"]]),
        "iptables -A … -j DROP": ([[iptables, "-w", "-A", *rule]], [[iptables, "-w", "-D", *rule]]),
        "kill -STOP": ([[kill, "-STOP", str(victim)]], [[kill, "-CONT", str(victim)]]),
    }
    return {k: v for k, v in all_of_them.items() if all(c[0] for c in v[0] + v[1])}


def measure_peer(begin, end, n):
    """None: this host cannot."""
    figures = {"applied_client": [], "undone_client": []}
    for _ in rounds(n):
        start = time.monotonic_ns()
        good = all([spawn(c) == 0 for c in begin])
        begun = time.monotonic_ns()
        stopped = [spawn(c) == 0 for c in end]
        ended = time.monotonic_ns()
        if not good or not all(stopped):
            return None
        figures["applied_client"].append((begun - start) / 1e6)
        figures["undone_client"].append((ended - begun) / 1e6)
    return figures


def request_for(case, network, victim):
    parameters = {"cpu-stress": {"percent": 10, "cpus": "{0}-{0}".format(min(os.sched_getaffinity(0)))},
                  "process-pause": {"pid": [victim]}}.get(
                      case, {"interface": network.dev, "percent": 100, "direction": "egress", "protocol": "udp"})
    return common.Api.prepare("POST", "/v1/faults", {"action": case.split()[0], "duration": "1m", "parameters": parameters})


def bench_case(harness, case, place, options):
    """All figures of one case; each phase has the machine to itself for less than a minute."""
    directory, network, victim, helper = place
    hook = case.rpartition(" ")[2]
    config = {"classifierHook": hook.lower()} if case.startswith("network") else None
    with common.alone():
        daemon = harness.Faultd(directory / case.replace(" ", "-"), "--log-level", "info", config=config)
    try:
        post = request_for(case, network, victim)
        with common.alone(), common.Api(daemon.socket) as api:
            status, answer = api.exchange(post)
            if status != 201:
                return {"case": case, "skipped": answer["message"]}
            api.ask("DELETE", f"/v1/faults/{answer['id']}")
            figures, unclear, strays = measure_faults(api, post, options.rounds), 0, 0
        if case.startswith("network"):
            with common.alone(), common.Api(daemon.socket) as api:
                effect, unclear = measure_effect(api, post, helper, options.rounds)
            strays = sum(effect.pop("strays"))
            figures |= effect
    finally:
        daemon.close()
    return {"case": case, "unclear": unclear, "strays": strays} | {k: common.summary(v) for k, v in figures.items()}


def bench(harness, options, directory):
    results = []
    with common.alone():
        network = harness.Network()
    helper = None
    victim = subprocess.Popen(["sleep", "3600"])
    try:
        shown = json.loads(harness.run("ip", "-n", network.name, "-j", "link", "show", "dev", network.peer))
        address = shown[0]["address"]
        harness.run("ip", "neigh", "replace", network.there, "lladdr", address, "dev", network.dev, "nud", "permanent")
        helper = Helper(common.build_helper(pathlib.Path(__file__).with_suffix(".c"), directory), network)
        results += floors(helper, options.rounds)
        place = (directory, network, victim.pid, helper)
        for case in options.cases:
            results.append({"kind": "faultd"} | bench_case(harness, case, place, options))
        for name, (begin, end) in peers(network.dev, victim.pid).items():
            with common.alone():
                figures = measure_peer(begin, end, options.rounds)
            if figures:
                results.append({"case": name, "kind": "peer"} | {k: common.summary(v) for k, v in figures.items()})
    finally:
        if helper:
            helper.close()
        victim.kill()
        victim.wait()
        network.close()
    return results


COLUMNS = {"applied_client": "applied", "applied_own": "(own)", "effect_on": "1st lost",
           "undone_client": "undone", "undone_own": "(own)", "effect_off": "through"}


def cell(s):
    return f"{s['p50']:.2f} / {s['p99']:.2f} / {s['max']:.2f}" if s else ""


def markdown(results):
    lines = ["| | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for r in results:
        what = f"{r['case']}: {r['skipped']}" if "skipped" in r else r["case"]
        lines.append(f"| {what} | " + " | ".join(cell(r.get(k)) for k in COLUMNS) + " |")
    return "\n".join(lines)


def remarks(results):
    """What the table cannot show of the packets."""
    return [f"{r['case']}: a packet every {r['gap']['p50']:.2f} ms at the slowest of a round (median), "
            f"{r['strays']} packets lost in {r['gap']['n']} rounds outside of the fault's time, {r['unclear']} rounds unclear"
            for r in results if r.get("gap")]


def ratios(results):
    """How many times as long the programs take that are run, by medians."""
    by = {r["case"]: r for r in results if "applied_client" in r}
    lines = []
    for ours in CASES:
        for theirs in by.values():
            fits = theirs.get("kind") == "peer" and ours in by and \
                ours.startswith("process" if theirs["case"].startswith("kill") else "network")
            if fits:
                a, b = (theirs[k]["p50"] / by[ours][k]["p50"] for k in ("applied_client", "undone_client"))
                lines.append(f"{theirs['case']} : {ours} = {a:.2f} applied, {b:.2f} undone")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=common.default_build(), help="build directory")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--cases", type=lambda s: s.split(","), default=list(CASES), help="comma-separated")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    if options.rounds < 10 or not set(options.cases) <= set(CASES):
        parser.error(f"--rounds: 10 or more; --cases: of {', '.join(CASES)}")
    common.refuse_unless(os.geteuid() == 0, "needs root")
    common.refuse_unless(all(map(shutil.which, ("ip", "tc", os.environ.get("CC", "cc")))), "needs ip, tc and cc")
    harness = common.harness_of(options.build)
    if common.is_sanitized(harness.FAULTD):
        print("WARNING: a build with sanitizers; the figures say little", file=sys.stderr)
    with common.alone():
        busy = [common.busy_percent()]
    with tempfile.TemporaryDirectory(dir=common.memory_directory()) as directory:
        results = bench(harness, options, pathlib.Path(directory))
    with common.alone():
        busy.append(common.busy_percent())
    if options.json:
        json.dump({"kernel": os.uname().release, "rounds": options.rounds, "busy_percent": busy, "results": results}, sys.stdout, indent=1)
        print()
        return
    print(f"milliseconds: p50 / p99 / max; without us the host was {busy[0]:.1f} % busy before, {busy[1]:.1f} % after\n")
    if max(busy) >= common.IDLE_PERCENT:
        print("WARNING: this host is not idle; p99 and max are partly its own\n")
    print(markdown(results))
    print("\n" + "\n".join(remarks(results) + ratios(results)))


if __name__ == "__main__":
    main()
