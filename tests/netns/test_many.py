# SPDX-License-Identifier: Apache-2.0
"""Many network faults at once, in any order, on interfaces with queues of their own: what was there before is there
during, and after."""

import contextlib
import os
import random
import re
import threading
import time

import pytest

from lib import traffic, wires
from lib.harness import assert_put_back, run, wait_for
from lib.traffic import V4, V6, Endpoint, measure

pytestmark = pytest.mark.usefixtures("root")

SECONDS = 45     # for all sequences; an emulated machine gets through fewer of them
SEQUENCES = 200
LATE_MS = 10.0


@pytest.fixture(scope="session")
def kinds(root):
    """(action, parameters) of what this kernel can do."""
    found = [("network-loss", {"percent": 100}), ("network-loss", {"percent": 20}), ("network-blackhole", {})]
    if wires.has_qdisc("tbf", "rate", "1mbit", "burst", "10k", "latency", "1ms"):
        found += [("network-rate", {"rate": "1mbit"}), ("network-rate", {"rate": "20mbit"})]
    if wires.has_qdisc("netem", "delay", "1ms"):
        found += [("network-latency", {"delay": "30ms"}), ("network-latency", {"delay": "20ms", "jitter": "2ms"}),
                  ("network-duplicate", {"percent": 5}), ("network-impair", {"delay": "5ms", "loss": 3})]
    return found


@pytest.fixture
def shaping(kinds):
    """Something that makes packets late: 12 of a thousand bytes at once come 120 ms later or more."""
    names = [k[0] for k in kinds]
    if "network-latency" in names:
        return "network-latency", {"delay": "250ms"}
    if "network-rate" in names:
        return "network-rate", {"rate": "400kbit", "burst": "3KiB", "queue": "2s"}
    return pytest.skip("this kernel has neither sch_netem nor sch_tbf")


def is_slow(flow):
    """Twelve packets of a thousand bytes take 180 ms longer at either."""
    r = measure(flow, packets=12)[0]
    assert r.lost == 0
    return max(r.delays) > 120


@pytest.fixture(params=["tcx", "clsact"])
def hook(request):
    return request.param


@pytest.fixture(params=[1])
def queues(request):
    return request.param


@pytest.fixture
def pair(alone, queues):
    p = wires.Pair(queues)
    yield p
    p.close()


@pytest.fixture
def d(tmp_path, pair, hook):
    d = pair.faultd(tmp_path / "faultd", config={"classifierHook": hook})
    yield d
    d.close()


def random_fault(r, kinds, pair, port):
    action, parameters = r.choice(kinds)
    family = r.choice((V4, V6))
    parameters = {**parameters, "interface": pair.dev, "direction": r.choice(("egress", "ingress", "both"))}
    if r.random() < 0.3:
        parameters["peers"] = pair.ends(family=family)[1].address
    if r.random() < 0.8:
        parameters["ports"] = port
    if r.random() < 0.4:
        parameters["protocol"] = r.choice(("udp", "tcp") if "ports" in parameters else ("udp", "tcp", "icmp"))
    return action, parameters


class Same:
    """What can be asked for quickly, again and again."""

    def __init__(self, pair):
        self.pair = pair
        self.before = self.look()

    def look(self):
        return self.pair.links(), self.pair.tc("qdisc", "show")

    def check(self, what):
        last = []

        def same():
            last[:] = self.look()
            return tuple(last) == self.before

        try:
            wait_for(same, what)
        except AssertionError:
            raise AssertionError(f"{what}: {last}, was {self.before}") from None


@pytest.mark.parametrize("seed", [1, 2])
def test_sixteen_at_once(d, pair, kinds, seed):
    """Started and stopped in random order; each port sees its own fault and no other."""
    r = random.Random(seed)
    before = pair.dump()
    wanted = [(p, *kinds[i % len(kinds)]) for i, p in enumerate(range(23100, 23116))]
    r.shuffle(wanted)
    with contextlib.ExitStack() as stack:
        flows = {p: stack.enter_context(pair.flow(port=p)) for p, *_ in wanted}
        free = stack.enter_context(pair.flow(port=23200))
        faults = {}

        def check():
            """Few packets, that fit through the narrowest."""
            *results, other = measure(*flows.values(), free, packets=8, every=0.02, linger=0.5)
            assert other.lost == 0 and traffic.median(other.delays) < LATE_MS
            for (p, action, parameters), result in zip([next(w for w in wanted if w[0] == p) for p in flows], results):
                if p not in faults:
                    assert result.lost == 0 and traffic.median(result.delays) < LATE_MS, (seed, p)
                elif action == "network-blackhole" or parameters.get("percent") == 100:
                    assert result.received == 0, (seed, p)
                elif "delay" in parameters and "jitter" not in parameters:
                    assert min(result.delays) > float(parameters["delay"][:-2]) - 0.5, (seed, p)
                elif action != "network-loss" and action != "network-impair":
                    assert result.lost == 0, (seed, p)

        for port, action, parameters in wanted:
            faults[port] = d.start_fault(action, "5m", interface=pair.dev, ports=port, protocol="udp", **parameters)
        check()
        ports = list(faults)
        r.shuffle(ports)
        for i, port in enumerate(ports):
            assert d.stop_fault(faults.pop(port))["state"] == "done"
            if i in (5, 10):
                check()
        check()
    assert_put_back(before, pair.dump)
    assert d.journals() == []


def test_random_sequences(d, pair, kinds):
    """Of starts and ends, by DELETE, at the deadline, all at once: nothing stays."""
    before, quick = pair.dump(), Same(pair)
    until = time.monotonic() + SECONDS
    done = 0
    for seed in range(SEQUENCES):
        if time.monotonic() > until:
            break
        r = random.Random(seed)
        sequence = []
        try:
            play(r, d, pair, kinds, sequence)
            quick.check("queues and links as before")
        except AssertionError as e:
            raise AssertionError(f"seed {seed}: {sequence}: {e}") from e
        done += 1
    print(f"{done} sequences")
    assert done >= 20
    assert_put_back(before, pair.dump)
    assert d.journals() == []
    status = d.get("/v1/status")[1]
    assert status["openFaults"] == 0 and status["stuckFaults"] == 0


def play(r, d, pair, kinds, sequence):
    """One sequence. What is done is noted before it is done."""
    active, short = [], []
    for step in range(r.randint(2, 7)):
        if active and r.random() < 0.45:
            fault = active.pop(r.randrange(len(active)))
            sequence.append(f"stop {fault['id']}")
            assert d.stop_fault(fault)["state"] == "done"
            continue
        action, parameters = random_fault(r, kinds, pair, 23300 + step)
        duration = r.choice(("60s", "60s", "60s", "1s"))
        sequence.append(f"{action} {duration} {parameters}")
        fault = d.start_fault(action, duration, **parameters)
        (short if duration == "1s" else active).append(fault)
        sequence[-1] += f" = {fault['id']}"
    if r.random() < 0.5:
        sequence.append("stop all")
        assert d.request("DELETE", "/v1/faults")[0] == 200
    else:
        for fault in active:
            sequence.append(f"stop {fault['id']}")
            assert d.stop_fault(fault)["state"] == "done"
    for fault in short:
        assert d.wait_state(fault, "done")["state"] == "done"


@pytest.mark.alone
def test_a_steady_stream_is_not_disturbed(d, pair, kinds, shaping):
    """While others come and go, what goes through a shaper, and what goes through none, arrives whole."""
    action, parameters = ("network-rate", {"rate": "20mbit"}) if shaping[0] == "network-rate" else ("network-latency", {"delay": "50ms"})
    n, faults, stop = 2500, [], threading.Event()
    with pair.flow(port=23401) as shaped, pair.flow("icmp") as free, pair.flow("udp", "ingress", V6, port=23402) as back:
        mine = d.start_fault(action, "5m", interface=pair.dev, ports=23401, protocol="udp", **parameters)

        def others():
            r = random.Random(7)
            while not stop.is_set():
                kind, p = r.choice(kinds)
                fault = d.start_fault(kind, "5m", interface=pair.dev, ports=23499, direction="both", **p)
                faults.append(d.stop_fault(fault))

        thread = threading.Thread(target=others)
        thread.start()
        try:
            results = measure(shaped, free, back, packets=n, every=0.002)
        finally:
            stop.set()
            thread.join()
        assert d.stop_fault(mine)["state"] == "done"
    assert len(faults) >= 3 and all(f["state"] == "done" for f in faults)
    print(f"{len(faults)} faults meanwhile")
    for r in results:
        assert (r.lost, r.duplicates, r.wrong) == (0, 0, 0)
    assert traffic.median(results[1].delays) < LATE_MS and traffic.median(results[2].delays) < LATE_MS
    if action == "network-latency":
        assert min(results[0].delays) > 49.5


# What an interface has of its own

def htb(tc, dev):
    tc("qdisc", "add", "dev", dev, "root", "handle", "1:", "htb", "default", "20", "r2q", "5")
    tc("class", "add", "dev", dev, "parent", "1:", "classid", "1:1", "htb", "rate", "900mbit", "ceil", "950mbit")
    for minor, rate in ((10, "300mbit"), (20, "600mbit")):
        tc("class", "add", "dev", dev, "parent", "1:1", "classid", f"1:{minor}", "htb", "rate", rate, "ceil", "900mbit", "prio", minor // 10)
        tc("qdisc", "add", "dev", dev, "parent", f"1:{minor}", "handle", f"{minor}:", "pfifo", "limit", 500 + minor)
    tc("filter", "add", "dev", dev, "parent", "1:", "protocol", "ip", "prio", "3", "u32", "match", "ip", "dport", "23500", "0xffff",
       "flowid", "1:10")


def plain(*words):
    return lambda tc, dev: tc("qdisc", "replace", "dev", dev, "root", *words)


def mq(tc, dev):
    tc("qdisc", "add", "dev", dev, "root", "handle", "8001:", "mq")
    for i in (1, 2, 3, 4):
        tc("qdisc", "replace", "dev", dev, "parent", f"8001:{i:x}", "handle", f"{0x10 + i:x}:", "pfifo", "limit", 700 + i)


ROOTS = {
    "noqueue": (1, None, None), "pfifo": (1, "pfifo", plain("handle", "5:", "pfifo", "limit", "777")),
    "pfifo_fast": (1, "pfifo_fast", plain("handle", "6:", "pfifo_fast")),
    "tbf": (1, "tbf", plain("handle", "7:", "tbf", "rate", "800mbit", "burst", "200kb", "latency", "50ms")),
    "htb": (1, "htb", htb), "mq": (4, "mq", mq), "noqueue, four queues": (4, None, None),
    "fq_codel": (1, "fq_codel", plain("handle", "9:", "fq_codel", "limit", "900", "target", "7ms", "quantum", "1400")),
    "fq": (1, "fq", plain("handle", "a:", "fq", "limit", "900", "nopacing")),
    "prio": (1, "prio", plain("handle", "b:", "prio", "bands", "4")),
}


@pytest.mark.parametrize("root_qdisc, queues", [(k, v[0]) for k, v in ROOTS.items()], indirect=["queues"], ids=list(ROOTS))
def test_the_queues_of_the_interface_stay(d, pair, hook, shaping, root_qdisc):
    _, kind, build = ROOTS[root_qdisc]
    if kind and kind not in ("mq",) and not wires.has_qdisc(kind, *(["rate", "1mbit", "burst", "10k", "latency", "1ms"] if kind == "tbf" else [])):
        pytest.skip(f"this kernel has no sch_{kind}")
    if build:
        build(pair.tc, pair.dev)
    before = pair.dump()
    action, parameters = shaping
    with pair.flow(size=1000, port=23501) as flow, pair.flow("udp", "ingress", V6, size=1000, port=23501) as back, \
            pair.flow("icmp") as free:
        one = d.start_fault(action, "5m", interface=pair.dev, direction="both", ports=23501, **parameters)
        two = d.start_fault("network-loss", "5m", interface=pair.dev, direction="both", ports=23509)
        assert is_slow(flow) and is_slow(back)
        assert traffic.median(measure(free, packets=30, every=0.002)[0].delays) < LATE_MS
        difference = before.diff(pair.dump())
        # Only clsact qdiscs with our filters, and devices of our own: on egress a pair of them.
        queues = difference["queues"]
        ours = [line for line in queues[1].splitlines() if line not in queues[0].splitlines()]
        assert set(queues[0].splitlines()) <= set(queues[1].splitlines())
        assert all(line.startswith("qdisc clsact") or re.search(" dev faultd[-_]", line) for line in ours), ours
        assert difference[pair.dev][0][:2] == difference[pair.dev][1][:2], "classes and filters of the root"
        mine = set(difference) - {"queues", "attached", "more programs", "links", "routes", pair.dev}
        more = set(difference.get("routes", [""] * 2)[1].splitlines()) - set(before.parts["routes"].splitlines())
        assert all(re.search(" dev faultd[-_]", line) for line in more), more
        assert mine and all(name.startswith(("faultd-", "faultd_")) for name in mine), mine
        assert set(before.parts["links"]) <= set(difference["links"][1])
        for fault in (two, one):
            assert d.stop_fault(fault)["state"] == "done"
        assert not is_slow(flow) and not is_slow(back)
    assert_put_back(before, pair.dump)


# A host with containers


class Bridge(wires.Pair):
    """A bridge as Docker makes one: `a` is the host (.1), with a port for each of two containers (.2 and .3)."""

    dev = "fdwbr"

    def __init__(self):
        self.a = f"fdw{os.getpid()}h"
        self.containers = [f"fdw{os.getpid()}c{n}" for n in (1, 2)]
        self.ports = ["fdwp1", "fdwp2"]
        self.spaces = [self.a, *self.containers]
        try:
            for name in self.spaces:
                self.add_space(name)
            run("ip", "-n", self.a, "link", "add", self.dev, "type", "bridge", "forward_delay", 0)
            self.set_up(self.a, self.dev, 1)
            for n, (name, port) in enumerate(zip(self.containers, self.ports), 2):
                run("ip", "-n", self.a, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
                run("ip", "-n", self.a, "link", "set", port, "master", self.dev, "up")
                self.set_up(name, "eth0", n)
            self.wait_up()
        except BaseException:
            self.close()
            raise

    def end(self, n, family=V4):
        return Endpoint(self.spaces[n - 1], f"10.97.0.{n}" if family == V4 else f"fd97::{n}")


@pytest.fixture
def bridge(alone):
    b = Bridge()
    yield b
    b.close()


@pytest.fixture
def ways(bridge):
    """Flows between the host (1) and the containers (2 and 3), by name."""
    with contextlib.ExitStack() as stack:
        yield {f"{a}->{b}": stack.enter_context(traffic.Udp(bridge.end(a, family), bridge.end(b, family), size=1000))
               for a, b, family in ((1, 2, V4), (1, 3, V6), (2, 1, V4), (3, 1, V6), (2, 3, V4), (3, 2, V6))}


# On which interface, in which direction: which ways it lies on.
ON_A_BRIDGE = [("fdwbr", "egress", {"1->2", "1->3"}), ("fdwbr", "ingress", {"2->1", "3->1"}),
               ("fdwp1", "egress", {"1->2", "3->2"}), ("fdwp1", "ingress", {"2->1", "2->3"}),
               ("fdwp2", "both", {"1->3", "2->3", "3->1", "3->2"})]


@pytest.mark.parametrize("device, direction, reached", ON_A_BRIDGE, ids=[f"{x[0]}-{x[1]}" for x in ON_A_BRIDGE])
def test_a_bridge_with_containers(tmp_path, bridge, ways, hook, shaping, device, direction, reached):
    """The fault is on the ways that lead through its interface, whoever sends, and on no other."""
    before = bridge.dump()
    d = bridge.faultd(tmp_path / "faultd", config={"classifierHook": hook})
    try:
        with contextlib.ExitStack() as stack:
            for action, parameters in (shaping, ("network-blackhole", {})):
                fault = d.start_fault(action, "5m", interface=device, direction=direction, protocol="udp", **parameters)
                stack.callback(d.stop_fault, fault)
                if action == "network-blackhole":
                    hit = {name for name, r in zip(ways, measure(*ways.values(), packets=5, linger=0.5)) if not r.received}
                else:
                    hit = {name for name, flow in ways.items() if is_slow(flow)}
                assert hit == reached, action
                stack.close()
        assert not any(map(is_slow, ways.values()))
        assert_put_back(before, bridge.dump)
    finally:
        d.close()


def test_in_a_container(tmp_path, bridge, ways, hook, shaping):
    """A faultd of the host aims into one container's namespace: the host's side and the other container are as before."""
    d = bridge.faultd(tmp_path / "faultd", config={"classifierHook": hook})
    try:
        parameters = [p["name"] for p in d.get(f"/v1/actions/{shaping[0]}")[1]["parameters"]]
        if "netns" not in parameters:
            pytest.skip("this build has no parameter netns")
        host, inside = bridge.dump(), wires.Dump(bridge.containers[0])
        fault = d.start_fault(shaping[0], "5m", interface="eth0", netns=bridge.containers[0], direction="egress", protocol="udp",
                              **shaping[1])
        assert {name for name, flow in ways.items() if is_slow(flow)} == {"2->1", "2->3"}
        assert host.parts == bridge.dump().parts
        assert d.stop_fault(fault)["state"] == "done"
        assert_put_back(inside, lambda: wires.Dump(bridge.containers[0]))
        assert_put_back(host, bridge.dump)
    finally:
        d.close()
