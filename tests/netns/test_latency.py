# SPDX-License-Identifier: Apache-2.0
"""The faults that go through netem, with real packets, over veth pairs of the test's own: that each does what it is called,
in the direction and to the packets that it is asked for, and is gone afterwards. How exactly, test_measure.py measures.
What a kernel without netem says to them."""

import contextlib
import re
import socket
import time

import pytest

from lib import harness
from lib.harness import HostState, assert_put_back, network_namespace, run, wait_for

pytestmark = [pytest.mark.usefixtures("root"), pytest.mark.alone]

netem = pytest.mark.skipif(harness.why_no_netem() is not None, reason="the kernel has no netem")
no_netem = pytest.mark.skipif(harness.why_no_netem() is None, reason="the kernel has netem")

V4, V6 = socket.AF_INET, socket.AF_INET6
SLOW = 5  # seconds that a packet may take on a busy machine


@pytest.fixture
def put_back(network):
    """The interface is at the end what it was, and no device is left."""
    before = HostState([network.dev])
    devices = run("ip", "-br", "link")
    yield
    assert_put_back(before, lambda: HostState([network.dev]))
    wait_for(lambda: run("ip", "-br", "link") == devices, "no device is left")


class Pair:
    """A UDP socket on each side."""

    def __init__(self, network, family=V4):
        self.here = self.make(family, network.here if family == V4 else network.here6)
        with network_namespace(network.name):
            self.there = self.make(family, network.there if family == V4 else network.there6)

    @staticmethod
    def make(family, address):
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.bind((address, 0))
        s.settimeout(SLOW)
        return s

    def close(self):
        self.here.close()
        self.there.close()

    def seconds(self, back=False, data=b"x" * 64):
        """How long one takes to the other side; None: it does not come."""
        sender, receiver = (self.there, self.here) if back else (self.here, self.there)
        start = time.monotonic()
        sender.sendto(data, receiver.getsockname())
        while True:
            try:
                got = receiver.recv(2000)
            except TimeoutError:
                return None
            if got == data:
                return time.monotonic() - start

    def burst(self, n, quiet=0.5):
        """The numbers of what arrives of n packets, in that order."""
        got = []
        for i in range(n):
            self.here.sendto(i.to_bytes(4, "big") * 16, self.there.getsockname())
            if i % 20 == 19:
                time.sleep(0.002)
        self.there.settimeout(quiet)
        with contextlib.suppress(TimeoutError):
            while True:
                got.append(self.there.recv(2000))
        self.there.settimeout(SLOW)
        return [int.from_bytes(data[:4], "big") if data == data[:4] * 16 else None for data in got]


@pytest.fixture(params=[V4, V6], ids=["v4", "v6"])
def pair(network, request):
    p = Pair(network, request.param)
    with contextlib.closing(p):
        wait_for(lambda: p.seconds() and p.seconds(back=True), "neighbours known")
        yield p


@contextlib.contextmanager
def fault_on(d, action, **parameters):
    fault = d.start_fault(action, parameters=parameters)
    assert [s["state"] for s in fault["steps"]] == ["applied"] * len(fault["steps"]), fault
    yield fault
    fault.update(d.stop_fault(fault))
    assert fault["state"] == "done", fault


def qdisc_of_the_fault():
    """What tc says of the netem on a device of faultd's."""
    found = re.findall(r"^qdisc netem .* dev faultd-\w+ .*$", run("tc", "qdisc", "show"), re.M)
    return found[0] if len(found) == 1 else ""


# What it does


@netem
@pytest.mark.parametrize("direction", ["egress", "ingress", "both"])
def test_delay(faultd, network, pair, direction, put_back):
    with fault_on(faultd, "network-latency", interface=network.dev, delay="150ms", direction=direction, protocol="udp"):
        for _ in range(3):
            for back, delayed in ((False, direction != "ingress"), (True, direction != "egress")):
                took = pair.seconds(back)
                assert took is not None and (took >= 0.15 if delayed else took < SLOW), (back, took)
        if direction != "both":  # what is not delayed can be as fast as it was
            wait_for(lambda: pair.seconds(back=direction == "egress") < 0.15, "the other direction is not delayed")
    wait_for(lambda: pair.seconds() < 0.15 and pair.seconds(back=True) < 0.15, "as fast as before")


@netem
def test_delay_of_microseconds(faultd, network, put_back):
    with fault_on(faultd, "network-latency", interface=network.dev, delay="500us"):
        # The kernel tells it in ticks of 64 ns, of which this is 7812.5.
        assert re.search(r"delay (499|500)us", qdisc_of_the_fault()), qdisc_of_the_fault()


@netem
def test_jitter_is_given_to_netem(faultd, network, put_back):
    with fault_on(faultd, "network-latency", interface=network.dev, delay="40ms", jitter="2500us", correlation=25):
        assert re.search(r"delay 40ms +2\.5ms 25%", qdisc_of_the_fault()), qdisc_of_the_fault()


@netem
def test_only_what_matches(faultd, network, put_back):
    """One port is delayed, the other not; of the host's own queues nothing changes."""
    slow, fast = Pair(network), Pair(network)
    with contextlib.closing(slow), contextlib.closing(fast):
        wait_for(lambda: slow.seconds() and fast.seconds(), "neighbours known")
        root = run("tc", "qdisc", "show", "dev", network.dev, "root")
        port = slow.there.getsockname()[1]
        with fault_on(faultd, "network-latency", interface=network.dev, delay="300ms", protocol="udp", ports=port):
            assert slow.seconds() >= 0.3
            wait_for(lambda: fast.seconds() < 0.3, "the other port is not delayed")
            assert run("tc", "qdisc", "show", "dev", network.dev, "root") == root


@netem
def test_ramp_of_delay(faultd, network, pair, put_back):
    """The new delay is in place of the old one: the same device, and what waits is not lost."""
    fault = faultd.start_fault("network-latency", interface=network.dev, delay="400ms", **{"from": "50ms"}, over="3s", steps=1)
    devices = set(re.findall(r"faultd-\w+", run("ip", "-br", "link")))
    assert len(devices) == 1 and pair.seconds() >= 0.05
    wait_for(lambda: pair.seconds() >= 0.4, "the ramp reaches its end")
    assert set(re.findall(r"faultd-\w+", run("ip", "-br", "link"))) == devices
    assert "from 50 in 1 step over 3s" in fault["description"]
    assert faultd.stop_fault(fault)["state"] == "done"


@netem
def test_ramp_from_nothing(faultd, network, pair, put_back):
    fault = faultd.start_fault("network-latency", interface=network.dev, delay="400ms", over="3s", steps=1)
    wait_for(lambda: pair.seconds() < 0.4, "nothing is delayed yet")
    wait_for(lambda: pair.seconds() >= 0.4, "the ramp reaches its end")
    assert faultd.stop_fault(fault)["state"] == "done"


@netem
def test_waves_of_delay(faultd, network, pair, put_back):
    fault = faultd.start_fault("network-latency", interface=network.dev, delay="300ms", every="4s", **{"for": "2s"})
    for _ in range(2):
        wait_for(lambda: pair.seconds() >= 0.3, "a wave comes")
        wait_for(lambda: pair.seconds() < 0.3 and not re.search(r"faultd-", run("ip", "-br", "link")), "a wave goes")
    assert faultd.stop_fault(fault)["state"] == "done"


@netem
def test_duplicate(faultd, network, pair, put_back):
    with fault_on(faultd, "network-duplicate", interface=network.dev, percent=100, protocol="udp"):
        got = pair.burst(100)
    assert sorted(got) == sorted([*range(100)] * 2)
    assert sorted(pair.burst(100)) == [*range(100)]


@netem
def test_corrupt(faultd, network, pair, put_back):
    """A bit that is wrong is noticed by who checks: hardly any packet arrives, and none unlike what was sent."""
    with fault_on(faultd, "network-corrupt", interface=network.dev, percent=100, protocol="udp"):
        got = pair.burst(200)
    assert len(got) < 200
    assert sorted(pair.burst(100)) == [*range(100)]


@netem
def test_reorder(faultd, network, pair, put_back):
    with fault_on(faultd, "network-reorder", interface=network.dev, percent=100, gap=5, delay="200ms", protocol="udp"):
        got = pair.burst(100, quiet=1)
    assert sorted(got) == [*range(100)], "nothing is lost"
    assert len(got[:20]) == 20 and sum(n % 5 == got[0] % 5 for n in got[:20]) >= 15, got
    assert got != sorted(got)
    assert pair.burst(100) == [*range(100)]


@netem
@pytest.mark.parametrize("parameters, shown", [
    ({"model": "random", "percent": 30, "correlation": 25}, r"loss 30% 25%"),
    ({"model": "state", "p13": 20, "p31": 60, "p32": 10, "p23": 80, "p14": 1}, r"loss state p13 20% p31 60% p32 10% p23 80% p14 1%"),
    ({"model": "gilbert-elliott", "p": 20, "r": 40, "lossInBad": 90, "lossInGood": 1},
     r"loss gemodel p 20% r 40% 1-h 90% 1-k 1%"),
])
def test_loss_models(faultd, network, pair, parameters, shown, put_back):
    """tc reads back what was asked for, and some packets are lost, others are not."""
    with fault_on(faultd, "network-loss", interface=network.dev, protocol="udp", **parameters):
        assert re.search(shown, qdisc_of_the_fault()), qdisc_of_the_fault()
        got = pair.burst(400)
        assert 0 < len(got) < 400
    assert sorted(pair.burst(100)) == [*range(100)]


@netem
def test_impair(faultd, network, pair, put_back):
    """Twice, and late."""
    with fault_on(faultd, "network-impair", interface=network.dev, delay="150ms", duplicate=100, protocol="udp"):
        start = time.monotonic()
        got = pair.burst(20, quiet=1)
        assert time.monotonic() - start >= 0.15
        assert sorted(got) == sorted([*range(20)] * 2)


@netem
def test_two_delays_side_by_side(faultd, network, pair, put_back):
    """Each ends by itself; a packet goes through the first that matches."""
    with fault_on(faultd, "network-latency", interface=network.dev, delay="200ms"):
        with fault_on(faultd, "network-latency", interface=network.dev, delay="900ms"):
            assert 0.2 <= pair.seconds()
            wait_for(lambda: pair.seconds() < 0.9, "only the first delays")
        assert pair.seconds() >= 0.2
    wait_for(lambda: pair.seconds() < 0.2, "as fast as before")


@netem
def test_killed(faultd, network, pair, put_back):
    """The guardian takes back what faultd cannot."""
    faultd.start_fault("network-latency", interface=network.dev, delay="300ms")
    assert pair.seconds() >= 0.3
    faultd.kill()
    # What waits when the guardian deletes the device is lost: it does not wait for it.
    wait_for(lambda: (pair.seconds() or SLOW) < 0.3, "as fast as before")
    wait_for(lambda: not faultd.journals(), "the journal is gone")


@netem
@pytest.mark.parametrize("action, parameters", [
    ("AWSFIS-Run-Network-Latency", {"DurationSeconds": "30", "DelayMilliseconds": "150", "InstallDependencies": "True"}),
    ("aws:ecs:task-network-latency", {"delayMilliseconds": "150", "jitterMilliseconds": "0", "interface": None}),
    ("aws:eks:pod-network-latency", {"delayMilliseconds": "150", "jitterMilliseconds": "0", "maxErrorsPercent": "0"}),
])
def test_aliases(faultd, network, pair, action, parameters, put_back):
    name = "Interface" if action.startswith("AWSFIS") else "interface"
    if parameters.get(name, "") is None:
        pytest.skip("this one is for the interface of the default route alone")
    duration = None if "DurationSeconds" in parameters else "30s"
    fault = faultd.start_fault(action, duration, parameters={**parameters, name: network.dev})
    assert pair.seconds() >= 0.15
    assert faultd.stop_fault(fault)["state"] == "done"


# Without netem


NEEDING = {
    "network-latency": {}, "network-corrupt": {}, "network-duplicate": {}, "network-reorder": {}, "network-impair": {"loss": 1},
    "network-loss": {"model": "random"},
}


@no_netem
@pytest.mark.parametrize("action", sorted(NEEDING))
def test_refused_without_netem(faultd, network, action, put_back):
    """Before anything is changed, a dry run as well: what is missing, and what does without."""
    for dry in (False, True):
        parameters = {"interface": network.dev, **NEEDING[action]}
        status, answer = faultd.fault(action, parameters=parameters, dryRun=dry)
        assert status == 501 and "netem" in answer["message"], answer
        assert "network-rate" in answer["message"] and "bernoulli" in answer["message"], answer
    assert faultd.journals() == []


def test_rate_alone_needs_no_netem(faultd, network, pair, put_back):
    """5 packets of 1000 bytes at 80 kbit/s, of which the burst lets two pass."""
    with fault_on(faultd, "network-impair", interface=network.dev, rate="80kbit", burst=2000, protocol="udp"):
        start = time.monotonic()
        for i in range(4):
            assert pair.seconds(data=bytes([i]) * 1000) is not None
        assert time.monotonic() - start > 0.15
    wait_for(lambda: pair.seconds() < 0.15, "as fast as before")


# Partitions


def reaches(pair):
    pair.here.settimeout(0.3), pair.there.settimeout(0.3)
    try:
        return pair.seconds() is not None, pair.seconds(back=True) is not None
    finally:
        pair.here.settimeout(SLOW), pair.there.settimeout(SLOW)


@pytest.mark.parametrize("direction, expected", [("both", (False, False)), ("egress", (False, True)), ("ingress", (True, False))])
def test_partition(faultd, network, pair, direction, expected, put_back):
    peers = f"{network.there},{network.there6}"
    with fault_on(faultd, "network-partition", interface=network.dev, peers=peers, direction=direction):
        assert reaches(pair) == expected
    assert reaches(pair) == (True, True)


def test_partition_from_others(faultd, network, pair, put_back):
    with fault_on(faultd, "network-partition", interface=network.dev, peers="192.0.2.0/24,2001:db8:ffff::/48"):
        assert reaches(pair) == (True, True)


def test_partition_spares_subnets(faultd, network, pair, put_back):
    with fault_on(faultd, "network-partition", interface=network.dev, peers="ALL"):
        assert reaches(pair) == (False, False)
    with fault_on(faultd, "network-partition", interface=network.dev, peers="ALL", spareSubnets=True):
        assert reaches(pair) == (True, True)


def test_connectivity_of_fis(faultd, network, pair, put_back):
    """`scope` has no interface: all of them, so here it is only planned."""
    status, plan = faultd.fault("aws:network:disrupt-connectivity", parameters={"scope": "all"}, dryRun=True)
    assert status == 200 and "all packets exchanged with ALL" in plan["description"], plan
    assert "not within their own subnets" in plan["description"]
    status, answer = faultd.fault("aws:network:disrupt-connectivity", parameters={"scope": "prefix-list"}, dryRun=True)
    assert (status, answer["field"]) == (400, "parameters.peers"), answer
