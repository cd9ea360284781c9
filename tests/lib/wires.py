# SPDX-License-Identifier: Apache-2.0
"""Networks of the test's own in which faultd runs itself, so that all that a namespace holds can be compared."""

import json
import os
import pathlib
import signal
import subprocess
import time

from lib import harness, traffic
from lib.harness import run
from lib.traffic import V4, Endpoint


class Pair:
    """Two namespaces and a veth pair between them; faults aim at `dev` in `a`. 10.97.0.1 and fd97::1 are there, .2 in `b`."""

    dev, peer = "fdw0", "fdw1"

    def __init__(self, queues=1):
        self.a, self.b = f"fdw{os.getpid()}a", f"fdw{os.getpid()}b"
        self.spaces = [self.a, self.b]
        try:
            for name in self.spaces:
                self.add_space(name)
            several = ["numtxqueues", queues, "numrxqueues", queues] if queues > 1 else []
            run("ip", "-n", self.a, "link", "add", self.dev, *several, "type", "veth", "peer", "name", self.peer, *several,
                "netns", self.b)
            for name, dev, n in ((self.a, self.dev, 1), (self.b, self.peer, 2)):
                self.set_up(name, dev, n)
            self.wait_up()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def add_space(name):
        run("ip", "netns", "add", name)
        # Addresses are there at once, and nothing is sent that no test asked for.
        with harness.network_namespace(name):
            for file in ("accept_dad", "router_solicitations", "accept_ra"):
                pathlib.Path("/proc/sys/net/ipv6/conf/default", file).write_text("0")
        run("ip", "-n", name, "link", "set", "lo", "up")

    @staticmethod
    def set_up(name, dev, n=None):
        if n is not None:
            run("ip", "-n", name, "addr", "add", f"10.97.0.{n}/24", "dev", dev)
            run("ip", "-n", name, "addr", "add", f"fd97::{n:x}/64", "dev", dev, "nodad")
        run("ip", "-n", name, "link", "set", dev, "up")

    def wait_up(self):
        harness.wait_for(lambda: all("tentative" not in run("ip", "-n", n, "-6", "addr") and
                                     " state DOWN" not in run("ip", "-n", n, "link") for n in self.spaces), "addresses")

    def ends(self, direction="egress", family=V4):
        """(sender, receiver) of what leaves (egress) or reaches (ingress) `dev`."""
        here, there = (Endpoint(name, f"10.97.0.{n}" if family == V4 else f"fd97::{n}") for name, n in ((self.a, 1), (self.b, 2)))
        return (here, there) if direction == "egress" else (there, here)

    def flow(self, kind="udp", direction="egress", family=V4, **options):
        return traffic.KINDS[kind](*self.ends(direction, family), **options)

    def faultd(self, directory, **options):
        """A faultd that lives in `a`."""
        return harness.Faultd(directory, prefix=["ip", "netns", "exec", self.a], **options)

    def guardian_all(self, d):
        """`faultd-guardian --all`, where faultd was, as systemd runs it after faultd."""
        return subprocess.run(["ip", "netns", "exec", self.a, str(harness.GUARDIAN), "--all", "--runtime-dir", str(d.runtime)],
                              capture_output=True, text=True, timeout=60)

    def tc(self, *words, check=True):
        return run("tc", "-n", self.a, *words, check=check)

    def links(self):
        return sorted(link["ifname"] for link in json.loads(run("ip", "-n", self.a, "-j", "link")))

    def dump(self):
        return Dump(self.a)

    def close(self):
        for name in self.spaces:
            for pid in run("ip", "netns", "pids", name, check=False).split():
                os.kill(int(pid), signal.SIGKILL)
            run("ip", "netns", "del", name, check=False)


class Dump:
    """All links, queues, classes, filters and programs of a namespace, without counters. For assert_put_back()."""

    def __init__(self, name):
        links = json.loads(run("ip", "-n", name, "-j", "-d", "link"))
        self.parts = {"links": sorted(json.dumps(without_timers(link), sort_keys=True) for link in links),
                      "addresses": run("ip", "-n", name, "-o", "addr"),
                      "routes": run("ip", "-n", name, "rule") + run("ip", "-n", name, "route", "show", "table", "all"),
                      "queues": run("tc", "-n", name, "qdisc", "show"),
                      "attached": run("ip", "netns", "exec", name, "bpftool", "net", "show")}
        self.programs = {(kind, *o) for kind, objects in harness.bpf_objects().items() for o in objects}
        self.when = time.monotonic()
        for link in links:
            dev = link["ifname"]
            self.parts[dev] = [run("tc", "-n", name, what, "show", "dev", dev, *side, check=False)
                               for what, side in (("class", []), ("filter", []), ("filter", ["ingress"]), ("filter", ["egress"]))]

    def __eq__(self, other):
        return not self.diff(other)

    def diff(self, other):
        """Programs are the kernel's, not the namespace's: those of others may go meanwhile."""
        first, second = sorted((self, other), key=lambda dump: dump.when)
        more = second.programs - first.programs
        return {k: (self.parts.get(k), other.parts.get(k)) for k in {**self.parts, **other.parts}
                if self.parts.get(k) != other.parts.get(k)} | ({"more programs": more} if more else {})


def without_timers(link):
    """A bridge shows how long its own still run."""
    return {k: without_timers(v) if isinstance(v, dict) else v for k, v in link.items() if not k.endswith("timer")}


def has_qdisc(kind, *words):
    """Does this kernel know it? tc is asked, in a namespace of its own; what is a module is loaded by that."""
    name = f"fdw{os.getpid()}q"
    run("ip", "netns", "add", name)
    try:
        done = subprocess.run(["tc", "-n", name, "qdisc", "add", "dev", "lo", "root", kind, *words], capture_output=True, text=True)
        return "kind is unknown" not in done.stderr
    finally:
        run("ip", "netns", "del", name)
