# SPDX-License-Identifier: Apache-2.0
"""interface-down: down, and everything back as it was, over veth pairs of the test's own."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from lib import harness
from lib.harness import GUARDIAN, Network, run, wait_for
from test_namespaces import Namespace, cgroup_v2, container

pytestmark = pytest.mark.usefixtures("root")

TABLE = 7110  # nobody else's


def is_up(dev, run=run):
    return "UP" in re.search(r"<(.*?)>", run("ip", "link", "show", "dev", dev)).group(1).split(",")


def forget_counting(text):
    """Lifetimes run."""
    return re.sub(r"(valid_lft|preferred_lft|expires) \d+sec", r"\1 N", text)


class Dump:
    """All that ip knows of one interface, here or where `run` runs. The place of a route among those of other interfaces
    is nobody's."""

    def __init__(self, dev, run=run):
        def lines(*argv):
            found = [forget_counting(" ".join(x.split())) for x in run(*argv).splitlines()]
            return sorted(x for x in found if f"dev {dev} " in f"{x} ")

        # IPv6 addresses in their order: the first of them is what connections leave from.
        self.parts = {
            "link": re.sub(r"state \S+", "", run("ip", "-d", "-o", "link", "show", "dev", dev)),
            "addr": [forget_counting(x.split(" ", 1)[1]) for x in run("ip", "-d", "-o", "addr", "show", "dev", dev).splitlines()],
            "route": lines("ip", "-4", "-d", "-o", "route", "show", "table", "all"),
            "route6": lines("ip", "-6", "-d", "-o", "route", "show", "table", "all"),
            "neigh": sorted(run("ip", "neigh", "show", "nud", "permanent", "dev", dev).splitlines()),
            "proxy": sorted(run("ip", "neigh", "show", "proxy", "dev", dev).splitlines()
                            + run("ip", "-6", "neigh", "show", "proxy", "dev", dev).splitlines()),
            "tc": [run("tc", "qdisc", "show", "dev", dev), *(run("tc", "filter", "show", "dev", dev, side, check=False) for side in ("ingress", "egress"))],
        }

    def __eq__(self, other):
        return self.parts == other.parts

    def diff(self, other):
        return {k: (self.parts[k], other.parts[k]) for k in self.parts if self.parts[k] != other.parts[k]}


def is_settled(dev, run=run):
    """No duplicate address detection is under way, and the carrier is there."""
    return "tentative" not in run("ip", "-6", "addr", "show", "dev", dev) and "LOWER_UP" in run("ip", "link", "show", "dev", dev)


class Rich:
    """A network whose near end has about everything that goes with an interface."""

    def __init__(self, network):
        self.network, self.dev = network, network.dev
        n = network.here.split(".")[2]
        here6 = network.here6.removesuffix("::1")
        self.remote, self.remote6 = f"10.99.{n}.0/24", f"{here6}:7::/64"

        def ip(*words):
            run("ip", *" ".join(words).split())

        ip(f"addr add 10.98.{n}.77/32 dev {self.dev}")
        ip(f"addr add 10.98.{n}.78/24 dev {self.dev} noprefixroute")
        ip(f"-6 addr add {here6}::a/64 dev {self.dev} nodad")
        ip(f"-6 addr add {here6}:5::1/64 dev {self.dev} nodad noprefixroute")
        ip(f"-6 addr add {here6}:6::1 peer {here6}:6::2 dev {self.dev}")
        ip(f"-6 addr add {here6}:8::1/64 dev {self.dev} valid_lft 5000 preferred_lft 4000")
        ip(f"-6 addr add {here6}:9::1/64 dev {self.dev} metric 777 preferred_lft 0")
        ip(f"route add {self.remote} via {network.there} dev {self.dev} metric 50")
        ip(f"route add {self.remote} via {network.there} dev {self.dev} metric 60 src {network.here} mtu 1400 proto static")
        ip(f"route append {self.remote} via 10.98.{n}.3 dev {self.dev} metric 60")
        ip(f"route add 10.99.{n}.9 dev {self.dev} scope link")
        ip(f"route add 10.100.{n}.0/24 via 10.97.{n}.1 dev {self.dev} onlink tos 0x10")
        ip(f"route add default via {network.there} dev {self.dev} table {TABLE}")
        ip(f"route add 10.101.{n}.0/24 dev {self.dev} table {TABLE} realm 5")
        ip(f"route add blackhole 10.102.{n}.0/24 table {TABLE}")
        ip(f"route add 10.103.{n}.0/24 nexthop via {network.there} dev {self.dev} weight 2 "
           f"nexthop via 10.98.{n}.4 dev {self.dev}")
        ip(f"-6 route add {self.remote6} via {network.there6} dev {self.dev} metric 40")
        ip(f"-6 route add {here6}:b::/64 via fe80::1 dev {self.dev} table {TABLE} pref high")
        ip(f"-6 route add {here6}:c::/64 dev {self.dev} mtu 1300 expires 3000")
        ip(f"-6 route add {here6}:d::/64 via {network.there6} dev {self.dev} src {network.here6}")
        ip(f"-6 route add {here6}:e::/64 nexthop via {network.there6} dev {self.dev} weight 3 "
           f"nexthop via fe80::2 dev {self.dev}")
        ip(f"-6 route add blackhole {here6}:f::/64 table {TABLE}")
        ip(f"neigh add 10.98.{n}.50 lladdr 02:00:00:00:00:50 dev {self.dev} nud permanent")
        ip(f"neigh add {here6}::50 lladdr 02:00:00:00:06:50 dev {self.dev} nud permanent router")
        ip(f"neigh add proxy 10.98.{n}.60 dev {self.dev}")
        ip(f"-6 neigh add proxy {here6}::60 dev {self.dev}")
        self.mine = [f"blackhole 10.102.{n}.0/24", f"blackhole {here6}:f::/64"]
        wait_for(lambda: is_settled(self.dev), "addresses")
        self.before = Dump(self.dev)

    def now(self):
        return Dump(self.dev)

    def assert_down(self):
        assert not is_up(self.dev)
        now = self.now()
        assert not [r for r in now.parts["route"] if " table local " not in r], now.parts["route"]
        assert now.parts["neigh"] == [] and now.parts["proxy"] == []

    def assert_back(self, timeout=harness.PATIENCE):
        last = {}

        def same():
            if not is_settled(self.dev):
                return False
            now = self.now()
            last["diff"] = self.before.diff(now)
            return now == self.before

        try:
            wait_for(same, "as before", timeout, 0.05)
        except AssertionError:
            raise AssertionError(f"not put back: {json.dumps(last, indent=1)}") from None

    def close(self):
        for r in self.mine:
            run("ip", *(("-6",) if ":" in r else ()), "route", "del", *r.split(), "table", TABLE, check=False)


@pytest.fixture
def rich():
    network = Network()
    r = None
    try:
        r = Rich(network)
        yield r
    finally:
        if r:
            r.close()
        network.close()


@pytest.fixture
def d(tmp_path):
    d = harness.Faultd(tmp_path / "faultd")
    yield d
    d.close()


def steps(fault):
    return [s["kind"] for s in fault["steps"]]


def notes(d, fault):
    return d.show(fault)["notes"]


def test_down_and_back(d, rich):
    fault = d.start_fault("interface-down", interface=rich.dev)
    assert steps(fault)[-1] == "link" and set(steps(fault)[:-1]) == {"keep"}
    rich.assert_down()
    ended = d.stop_fault(fault)
    assert ended["state"] == "done", ended
    # At once, but for the link-local address and what the carrier says.
    at_once = rich.now()
    for part in "route", "neigh", "proxy":
        assert at_once.parts[part] == rich.before.parts[part], part
    rich.assert_back()
    assert d.journals() == []
    assert rich.network.ping(rich.network.there) == 1
    wait_for(lambda: rich.network.ping(rich.network.there6), "IPv6")


def test_deadline(d, rich):
    fault = d.start_fault("interface-down", "2s", interface=rich.dev)
    rich.assert_down()
    d.wait_state(fault, "done")
    rich.assert_back()


def test_a_dry_run_changes_nothing(d, rich):
    status, answer = d.fault("interface-down", interface=rich.dev, dryRun=True)
    assert status == 200, answer
    assert is_up(rich.dev) and rich.now() == rich.before


def test_killed(d, rich):
    d.start_fault("interface-down", interface=rich.dev)
    rich.assert_down()
    d.kill()
    rich.assert_back()
    wait_for(lambda: d.journals() == [], "no journal")


def test_hung(d, rich):
    d.start_fault("interface-down", interface=rich.dev)
    os.kill(d.pid, signal.SIGSTOP)
    rich.assert_back()
    wait_for(lambda: d.process.poll() is not None, "fenced")


def test_both_killed(d, rich):
    d.start_fault("interface-down", interface=rich.dev)
    os.kill(d.guardian_pid(), signal.SIGKILL)
    d.kill()
    rich.assert_down()
    done = subprocess.run([GUARDIAN, "--all", "--runtime-dir", d.runtime], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    rich.assert_back()
    assert d.journals() == []


def test_it_vanishes(d, rich):
    fault = d.start_fault("interface-down", interface=rich.dev)
    run("ip", "link", "del", rich.dev)
    ended = d.stop_fault(fault)
    assert ended["state"] == "done", ended
    assert notes(d, fault) == [f"{rich.dev} is gone: nothing of it can be put back"]


def test_another_one_of_that_name_is_left_alone(d, rich):
    fault = d.start_fault("interface-down", interface=rich.dev)
    run("ip", "link", "del", rich.dev)
    run("ip", "link", "add", rich.dev, "type", "veth", "peer", "name", rich.dev + "x")
    assert d.stop_fault(fault)["state"] == "done"
    assert not is_up(rich.dev)
    assert Dump(rich.dev).parts["route"] == []


def test_somebody_takes_it_up_meanwhile(d, rich):
    """The interface is left alone; what went with it comes back all the same."""
    fault = d.start_fault("interface-down", interface=rich.dev)
    run("ip", "link", "set", rich.dev, "up")
    wait_for(lambda: is_settled(rich.dev), "up")
    assert d.stop_fault(fault)["state"] == "done"
    assert notes(d, fault) == [f"{rich.dev} was taken up by somebody meanwhile: left alone"]
    rich.assert_back()


def test_somebody_sets_a_neighbour_meanwhile(d, rich):
    fault = d.start_fault("interface-down", interface=rich.dev)
    address = rich.before.parts["neigh"][0].split()[0]
    run("ip", "link", "set", rich.dev, "up")
    run("ip", "neigh", "add", address, "lladdr", "02:00:00:00:00:99", "dev", rich.dev, "nud", "permanent")
    assert d.stop_fault(fault)["state"] == "done"
    assert "02:00:00:00:00:99" in run("ip", "neigh", "show", address, "dev", rich.dev)
    assert f"neighbour {address} on {rich.dev} was set by somebody meanwhile: left alone" in notes(d, fault)


def test_what_a_route_stood_on_is_gone(d, rich):
    """It cannot be added again, which is told; all others are."""
    fault = d.start_fault("interface-down", interface=rich.dev)
    run("ip", "addr", "flush", "dev", rich.dev)
    assert d.stop_fault(fault)["state"] == "done"
    assert any("could not be added again" in n for n in notes(d, fault)) and is_up(rich.dev)
    wait_for(lambda: is_settled(rich.dev), "addresses")
    assert rich.now().parts["neigh"] == rich.before.parts["neigh"]


def test_without_carrier(d, rich):
    run("ip", "-n", rich.network.name, "link", "set", rich.network.peer, "down")
    wait_for(lambda: "NO-CARRIER" in run("ip", "link", "show", rich.dev), "no carrier")
    fault = d.start_fault("interface-down", interface=rich.dev)
    assert d.stop_fault(fault)["state"] == "done"
    run("ip", "-n", rich.network.name, "link", "set", rich.network.peer, "up")
    rich.assert_back()


def test_exclusive(d, rich):
    fault = d.start_fault("interface-down", interface=rich.dev)
    status, answer = d.fault("interface-down", interface=rich.dev)
    assert status == 409, answer
    assert d.stop_fault(fault)["state"] == "done"
    rich.assert_back()


def test_with_packets_dropped_on_it(d, rich):
    """Another fault on the interface lives on."""
    loss = d.start_fault("network-loss", interface=rich.dev, percent=100)
    down = d.start_fault("interface-down", interface=rich.dev)
    assert d.stop_fault(down)["state"] == "done"
    wait_for(lambda: is_settled(rich.dev), "up")
    assert rich.network.ping(rich.network.there) == 0
    assert d.stop_fault(loss)["state"] == "done"
    rich.assert_back()


# Refused

def refused(d, rich, words, status=409, **parameters):
    got, answer = d.fault("interface-down", parameters={"interface": rich.dev, **parameters})
    assert got == status and words in answer["message"], answer
    assert d.journals() == []


@contextlib.contextmanager
def added(*argv):
    run("ip", *argv)
    words = list(argv)
    words[words.index("add")] = "del"
    try:
        yield
    finally:
        run("ip", *words[:words.index("type")] if "type" in words else words, check=False)


def test_loopback(d):
    for lockout in False, True:
        status, answer = d.fault("interface-down", interface="lo", allowLockout=lockout)
        assert status == 403 and "loopback" in answer["message"], answer


def test_unknown_and_missing(d):
    status, answer = d.fault("interface-down", interface="fdtnone")
    assert status == 400 and "no interface fdtnone" in answer["message"], answer
    status, answer = d.fault("interface-down")
    assert status == 400 and answer["field"] == "parameters.interface", answer


def test_down_already(d, rich):
    run("ip", "link", "set", rich.dev, "down")
    refused(d, rich, "is down already")


def test_default_route(d, rich):
    """Also when it only stands on the interface."""
    with added("route", "add", "default", "via", rich.network.there, "dev", rich.dev, "metric", "4000000"):
        refused(d, rich, "default route", 403)
        fault = d.start_fault("interface-down", interface=rich.dev, allowLockout=True)
        assert d.stop_fault(fault)["state"] == "done"
        assert f"dev {rich.dev} metric 4000000" in run("ip", "route", "show", "default")
    rich.assert_back()


@pytest.mark.parametrize("spared", ["inside", "around", "behind"])
def test_what_is_spared(tmp_path, rich, spared):
    """The way to what networkSpared names: a subnet of the interface, a part of it, or a route over it."""
    there = rich.network.there
    named = {"inside": there, "around": there.rsplit(".", 2)[0] + ".0.0/16", "behind": "203.0.113.7"}[spared]
    way = added("route", "add", "203.0.113.0/24", "via", there, "dev", rich.dev)
    d = harness.Faultd(tmp_path / "faultd", config={"networkSpared": named})
    try:
        with way if spared == "behind" else contextlib.nullcontext():
            refused(d, rich, "networkSpared", 403)
            fault = d.start_fault("interface-down", interface=rich.dev, allowLockout=True)
            assert d.stop_fault(fault)["state"] == "done"
    finally:
        d.close()


def test_default_route_over_a_bridge(d, rich):
    bridge = f"{rich.dev}br"
    run("ip", "link", "add", bridge, "up", "type", "bridge")
    try:
        run("ip", "link", "set", rich.dev, "master", bridge)
        run("ip", "route", "add", "default", "dev", bridge, "metric", "4000000")
        refused(d, rich, "default route", 403)
    finally:
        run("ip", "link", "del", bridge)


def test_vlan(d, rich):
    vlan = f"{rich.dev}.5"
    done = subprocess.run(["ip", "link", "add", "link", rich.dev, "name", vlan, "up", "type", "vlan", "id", "5"], capture_output=True, text=True)
    if "Unknown device type" in done.stderr:
        pytest.skip("this kernel has no VLANs")
    assert done.returncode == 0, done
    refused(d, rich, f"the VLAN {vlan} stands on")
    run("ip", "link", "set", vlan, "down")
    fault = d.start_fault("interface-down", interface=rich.dev)
    assert d.stop_fault(fault)["state"] == "done"
    run("ip", "link", "set", vlan, "type", "vlan", "loose_binding", "on")
    run("ip", "link", "set", vlan, "up")
    fault = d.start_fault("interface-down", interface=rich.dev)
    assert is_up(vlan) and not is_up(rich.dev)
    assert d.stop_fault(fault)["state"] == "done"
    assert is_up(vlan)
    run("ip", "link", "del", vlan)
    rich.assert_back()


def test_nexthop_object(d, rich):
    with added("nexthop", "add", "id", "71100", "via", rich.network.there, "dev", rich.dev):
        refused(d, rich, "nexthop objects")


def test_source_address_of_another_route(d, rich):
    other = Network()
    try:
        with added("-6", "route", "add", f"{other.here6}:99", "dev", other.dev, "src", rich.network.here6):
            refused(d, rich, "would lose its source address")
    finally:
        other.close()


def test_too_many(d, rich):
    n = rich.network.here.split(".")[2]
    for i in range(64):
        run("ip", "route", "add", f"10.104.{n}.{i}", "dev", rich.dev)
    refused(d, rich, "more than 64")


def test_without_privilege(tmp_path, rich):
    d = harness.Faultd(tmp_path / "bare", prefix=["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"])
    try:
        status, answer = d.fault("interface-down", interface=rich.dev)
        assert status == 501 and "CAP_NET_ADMIN" in answer["message"], answer
    finally:
        d.close()


# In another network namespace


class Inside:
    """A namespace whose eth0 has addresses, routes (the default route too) and neighbours. Two have the same of all but
    one address and what stands on it."""

    def __init__(self, stack, named):
        self.n = stack.enter_context(contextlib.closing(Namespace(named)))
        self.netns = self.n.name if named else f"pid:{self.n.process.pid}"
        for words in ("addr add 10.96.0.1/24 dev eth0", "-6 addr add fd96::1/64 dev eth0 nodad", "-6 addr add fd97::1/64 dev eth0 nodad",
                      "route add 10.95.0.0/24 via 10.96.0.9 dev eth0", "-6 route add fd95::/64 via fd96::9 dev eth0 metric 40",
                      "-6 route add default via fd96::9 dev eth0", f"route add 10.94.0.0/24 dev eth0 table {TABLE}",
                      "neigh add 10.96.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent"):
            self.n.run("ip", *words.split())
        wait_for(lambda: is_settled("eth0", self.n.run) and is_settled(self.n.dev), "addresses")
        self.before, self.outside = self.now(), Dump(self.n.dev)

    def now(self):
        return Dump("eth0", self.n.run)

    def is_up(self):
        return is_up("eth0", self.n.run)

    def assert_down(self):
        assert not self.is_up() and is_up(self.n.dev)
        now = self.now().parts
        assert not [r for r in now["route"] if " table local " not in r] and now["neigh"] == [], now

    def assert_back(self):
        wait_for(lambda: is_settled("eth0", self.n.run) and self.now() == self.before, "as before")
        wait_for(lambda: is_settled(self.n.dev) and Dump(self.n.dev) == self.outside, "the other end as before")
        wait_for(lambda: "1 received" in self.n.run("ping", "-c", 1, "-W", 1, self.n.here, check=False), "packets")


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("named", [True, False])
def test_in_a_namespace(d, stack, named):
    """Its default route goes down too, which locks nobody out."""
    i = Inside(stack, named)
    fault = d.start_fault("interface-down", interface="eth0", netns=i.netns)
    i.assert_down()
    shown = f"netns {i.n.name}" if named else f"the netns of process {i.n.process.pid}"
    assert all(s["text"].endswith(f", in {shown}") for s in fault["steps"]), fault["steps"]
    assert steps(fault)[-1] == "link" and steps(fault).count("keep") == 9 == len(fault["steps"]) - 1
    status, answer = d.fault("interface-down", interface="eth0", netns=i.netns)
    assert status == 409, answer
    ended = d.stop_fault(fault)
    assert ended["state"] == "done" and d.show(fault)["notes"] == [], ended
    i.assert_back()
    assert d.journals() == []


@pytest.mark.alone  # there is one /docker for all
def test_in_two_containers(d, stack):
    """What is the same in both is put back in both; another one of that name, here or in a third, is not touched."""
    one, two, third = (Inside(stack, False) for _ in range(3))
    identity = stack.enter_context(container(one.n.process))
    stack.enter_context(container(two.n.process))
    fault = d.start_fault("interface-down", interface="eth0", cgroup="/docker/*")
    one.assert_down()
    two.assert_down()
    assert third.is_up() and third.now() == third.before
    assert steps(fault).count("link") == 2 and steps(fault).count("keep") == 18
    assert d.stop_fault(fault)["state"] == "done"
    one.assert_back()
    two.assert_back()
    fault = d.start_fault("interface-down", interface="eth0", container=identity[:12])
    assert not one.is_up() and two.is_up()
    assert d.stop_fault(fault)["state"] == "done"
    one.assert_back()


@pytest.mark.parametrize("named", [True, False])
def test_killed_in_a_namespace(d, stack, named):
    i = Inside(stack, named)
    d.start_fault("interface-down", interface="eth0", netns=i.netns)
    i.assert_down()
    d.kill()
    i.assert_back()
    wait_for(lambda: d.journals() == [], "no journal")


def test_both_killed_in_a_namespace(d, stack):
    i = Inside(stack, True)
    d.start_fault("interface-down", interface="eth0", netns=i.netns)
    os.kill(d.guardian_pid(), signal.SIGKILL)
    d.kill()
    i.assert_down()
    done = subprocess.run([GUARDIAN, "--all", "--runtime-dir", d.runtime], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    i.assert_back()
    assert d.journals() == []


def vanish(i):
    i.n.process.kill()
    i.n.process.wait()
    wait_for(lambda: not os.path.exists(f"/sys/class/net/{i.n.dev}"), "the kernel has taken it down")


def test_the_namespace_vanishes(d, stack):
    i = Inside(stack, False)
    fault = d.start_fault("interface-down", interface="eth0", netns=i.netns)
    vanish(i)
    assert d.stop_fault(fault)["state"] == "done"
    assert [n.split(",")[0] for n in notes(d, fault)] == ["the network namespace is gone"]
    assert d.journals() == []


def test_the_namespace_vanishes_and_faultd_is_killed(d, stack):
    i = Inside(stack, False)
    d.start_fault("interface-down", interface="eth0", netns=i.netns)
    guardian = d.guardian_pid()
    os.kill(guardian, signal.SIGSTOP)
    d.kill()
    vanish(i)
    os.kill(guardian, signal.SIGCONT)
    wait_for(lambda: d.journals() == [], "no journal")
    assert "could not be undone" not in d.log()


def test_refused_in_a_namespace(d, stack):
    i = Inside(stack, True)
    for interface, status, words in ("lo", 403, "loopback"), (i.n.dev, 400, f"no interface {i.n.dev} in netns {i.n.name}"):
        got, answer = d.fault("interface-down", interface=interface, netns=i.n.name)
        assert got == status and words in answer["message"], answer
    got, answer = d.fault("interface-down", interface="eth0", netns="fdnone")
    assert got == 400 and "no network namespace" in answer["message"], answer
    assert i.is_up() and d.journals() == []


def test_the_callers_namespace(d, stack):
    """Who asks from inside would be cut off."""
    i = Inside(stack, True)
    argv = i.n.argv(harness.FAULTCTL, "--socket", d.socket, "run", "interface-down", "--duration", "60s", "--interface", "eth0", "--netns", i.n.name)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "default route" in done.stderr, done
    assert i.is_up()


def test_a_target_in_the_hosts_namespace(d, rich, stack):
    path, directory = stack.enter_context(cgroup_v2())
    process = stack.enter_context(subprocess.Popen(["sleep", "600"]))
    stack.callback(process.kill)
    (directory / "cgroup.procs").write_text(str(process.pid))
    got, answer = d.fault("interface-down", interface=rich.dev, cgroup=path)
    assert (got, answer["field"]) == (400, "parameters.cgroup") and "host's network namespace" in answer["message"], answer
    assert rich.now() == rich.before
