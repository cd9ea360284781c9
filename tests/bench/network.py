#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What network faults cost those who start them, and those they do not mean.

Times: from a request until a shaper stands, and from DELETE until it is gone, by the client's clock over one open
connection. Beside it, in the same run, programs that do the same by running ip and tc: a qdisc in the place of the
interface's own, and what faultd does, an ifb with a filter that sends packets there. Milliseconds.

Throughput: one TCP connection over a veth pair, while rules are there that match none of its packets and while there
are none, in turns. Needs root, ip and tc; cases whose qdisc the kernel lacks are left out."""

import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import common
import latency

SECONDS_MAX = 50  # of all windows; then the rounds so far are all there are
WINDOW_S, SETTLE_S = 0.2, 0.05
NO_PORT = 9  # nobody's
SENDER = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
block = bytes(1 << 18)
try:
    while True:
        s.sendall(block)
except OSError:
    pass
"""

# name: (action, parameters, what tc calls it)
SHAPERS = {
    "network-rate": ({"rate": "10mbit"}, ["tbf", "rate", "10mbit", "burst", "32k", "latency", "100ms"]),
    "network-latency": ({"delay": "100ms"}, ["netem", "delay", "100ms"]),
}
IDLE = {"one rule that drops": [("network-loss", {"percent": 100})],
        "one rule that shapes": [("network-rate", {"rate": "10mbit"})],
        "sixteen rules": [("network-loss", {"percent": 100})] * 16}


def commands(dev, ifb, qdisc):
    """name: (commands that begin, commands that end) of what the action does."""
    ip, tc = shutil.which("ip"), shutil.which("tc")
    send = [tc, "filter", "add", "dev", dev, "egress", "protocol", "ip", "u32", "match", "u32", "0", "0", "action", "mirred", "egress",
            "redirect", "dev", ifb]
    return {
        f"tc qdisc add … root {qdisc[0]}": ([[tc, "qdisc", "add", "dev", dev, "root", *qdisc]], [[tc, "qdisc", "del", "dev", dev, "root"]]),
        f"ip link add … ifb, tc qdisc add … {qdisc[0]}, clsact, filter": (
            [[ip, "link", "add", ifb, "type", "ifb"], [tc, "qdisc", "add", "dev", ifb, "root", *qdisc],
             [ip, "link", "set", ifb, "up"], [tc, "qdisc", "add", "dev", dev, "clsact"], send],
            [[tc, "qdisc", "del", "dev", dev, "clsact"], [ip, "link", "del", ifb]]),
    }


def bench_times(path, network, options):
    """Rows of latency.py's form; the undo of a fault waits until nothing of it is in the kernel."""
    results = []
    for action, (parameters, qdisc) in SHAPERS.items():
        post = common.Api.prepare("POST", "/v1/faults", {"action": action, "duration": "1m",
                                                  "parameters": {"interface": network.dev, "ports": NO_PORT, **parameters}})
        with common.alone(), common.Api(path) as api:
            status, answer = api.exchange(post)
            if status != 201:
                results.append({"case": action, "skipped": answer["message"]})
                continue
            api.ask("DELETE", f"/v1/faults/{answer['id']}")
            figures = latency.measure_faults(api, post, options.rounds)
        results.append({"case": action} | {k: common.summary(v) for k, v in figures.items()})
        for name, (begin, end) in commands(network.dev, f"{network.dev}i", qdisc).items():
            with common.alone():
                figures = latency.measure_peer(begin, end, options.rounds)
            if figures:
                results.append({"case": name} | {k: common.summary(v) for k, v in figures.items()})
    return results


class Stream:
    """A TCP connection from this side of the veth pair into the namespace, whose bytes are counted there."""

    def __init__(self, harness, network):
        with harness.network_namespace(network.name), socket.create_server((network.there, 0)) as server:
            server.settimeout(20)
            self.sender = subprocess.Popen([sys.executable, "-c", SENDER, network.there, str(server.getsockname()[1])])
            self.socket = server.accept()[0]
        self.socket.settimeout(20)
        self.buffer = bytearray(1 << 20)

    def receive(self, seconds):
        """Bytes a second."""
        start, total = time.monotonic(), 0
        while (passed := time.monotonic() - start) < seconds:
            total += self.socket.recv_into(self.buffer)
        return total / passed

    def window(self):
        self.receive(SETTLE_S)
        return self.receive(WINDOW_S)

    def close(self):
        self.socket.close()
        self.sender.kill()
        self.sender.wait()


def start_idle(api, network, faults):
    """Their ids; None when this host cannot."""
    ids = []
    for action, parameters in faults:
        status, fault = api.ask("POST", "/v1/faults", {
            "action": action, "duration": "5m", "parameters": {"interface": network.dev, "ports": NO_PORT, **parameters}})
        if status != 201:
            break
        ids.append(fault["id"])
    return ids if len(ids) == len(faults) else None


def one_round(api, network, stream, rates):
    """One window with each case's rules between two without any: a drift of the machine falls out."""
    before = stream.window()
    for case, faults in IDLE.items():
        ids = start_idle(api, network, faults)
        during = stream.window() if ids else None
        api.ask("DELETE", "/v1/faults")
        after = stream.window()
        if during:
            rates[case].append(during / ((before + after) / 2))
        rates["none"].append(after)
        before = after


def bench_throughput(path, harness, network, options):
    rates = {"none": [], **{case: [] for case in IDLE}}
    stream = Stream(harness, network)
    try:
        end = time.monotonic() + SECONDS_MAX
        stream.window()
        for _ in range(options.rounds):
            with common.alone(), common.Api(path) as api:
                one_round(api, network, stream, rates)
            if time.monotonic() > end:
                break
    finally:
        stream.close()
    results = [{"case": "no rule", "gigabit": round(statistics.median(rates.pop("none")) * 8 / 1e9, 2)}]
    for case, ratios in rates.items():
        if len(ratios) >= 2:
            low, middle, high = statistics.quantiles(ratios, n=4)
            results.append({"case": case, "rounds": len(ratios), "cost_percent": round(100 * (1 - middle), 2),
                            "quartiles_percent": [round(100 * (1 - x), 2) for x in (high, low)]})
    return results


def show(times, throughput):
    print("milliseconds: p50 / p99 / max\n\n| | applied | undone |\n|---|---|---|")
    for r in times:
        print(f"| {r['case']}: {r['skipped']} | | |" if "skipped" in r else
              f"| {r['case']} | {latency.cell(r['applied_client'])} | {latency.cell(r['undone_client'])} |")
    print(f"\n{throughput[0]['gigabit']} Gbit/s by one TCP connection without a rule; less with rules that match nothing:\n\n"
          "| | less, % | quartiles |\n|---|---|---|")
    for r in throughput[1:]:
        print(f"| {r['case']} | {r['cost_percent']:+.2f} | {r['quartiles_percent'][0]:+.2f} to {r['quartiles_percent'][1]:+.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=common.default_build(), help="build directory")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--hook", choices=("auto", "tcx", "clsact"), default="auto")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.rounds < 4:
        parser.error("--rounds: 4 or more")
    common.refuse_unless(os.geteuid() == 0, "needs root")
    common.refuse_unless(all(map(shutil.which, ("ip", "tc"))), "needs ip and tc")
    harness = common.harness_of(options.build)
    with common.alone():
        network = harness.Network()
    daemon = None
    try:
        with tempfile.TemporaryDirectory(dir=common.memory_directory()) as directory:
            with common.alone():
                daemon = harness.Faultd(pathlib.Path(directory) / "faultd", "--log-level", "info", config={"classifierHook": options.hook})
            try:
                times = bench_times(daemon.socket, network, options)
                throughput = bench_throughput(daemon.socket, harness, network, options)
            finally:
                daemon.close()
    finally:
        network.close()
    if options.json:
        json.dump({"kernel": os.uname().release, "hook": options.hook, "times": times, "throughput": throughput}, sys.stdout, indent=1)
        print()
    else:
        show(times, throughput)


if __name__ == "__main__":
    main()
