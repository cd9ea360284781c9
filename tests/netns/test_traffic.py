# SPDX-License-Identifier: Apache-2.0
"""The measuring itself, measured: against what tc alone sets up, without faultd. What these tests grant as noise is
what test_impair.py may grant to faultd."""

import random
import subprocess

import pytest

from lib import traffic
from lib.traffic import Icmp, Tap, Tcp, Udp, V4, V6, assert_binomial, ends, measure

pytestmark = [pytest.mark.usefixtures("root"), pytest.mark.alone]


@pytest.fixture
def qdisc(network):
    """Puts a root qdisc on this end; skips the test when the kernel has no such kind."""
    def add(*words):
        done = subprocess.run(["tc", "qdisc", "replace", "dev", network.dev, "root", *map(str, words)], capture_output=True, text=True)
        if "kind is unknown" in done.stderr:
            pytest.skip(f"this kernel has no sch_{words[0]}")
        assert done.returncode == 0, done.stderr

    return add


def test_bounds_are_those_of_exact_sums():
    for n, p in ((10, 0.5), (20, 0.1), (1000, 0.01), (20000, 0.3)):
        least, most = traffic.binomial_bounds(n, p, 0.01)
        chances = [1.0]  # of 0, 1, ... successes, by adding one trial after another
        if n <= 1000:
            for _ in range(n):
                chances = [(chances[k] if k < len(chances) else 0) * (1 - p) + (chances[k - 1] * p if k else 0)
                           for k in range(len(chances) + 1)]
            assert sum(chances[:least]) <= 0.005 and sum(chances[most + 1:]) <= 0.005
            assert sum(chances[:least + 1]) > 0.005 and sum(chances[most:]) > 0.005
        else:
            assert 2 < (most - n * p) / (n * p * (1 - p)) ** 0.5 < 3
    assert traffic.binomial_bounds(100, 0) == (0, 0) and traffic.binomial_bounds(100, 1) == (100, 100)


def test_shapes_are_told_apart():
    r = random.Random(5)
    n = 2000
    samples = {"uniform": [r.uniform(-1, 1) for _ in range(n)], "normal": [r.gauss(0, 1) for _ in range(n)],
               "pareto": [min((r.random() ** (-1 / 3) - 1.5) * 4 / 3, 4) for _ in range(n)]}
    for name, values in samples.items():
        for other in samples:
            far = traffic.distance(values, traffic.cdf_of(other)) > traffic.distance_bound(n)
            assert far is (name != other), (name, other)


def test_results_of_known_arrivals():
    sent = [i * 1_000_000 for i in range(10)]
    arrivals = [(0, 0), (2, 3_000_000), (1, 4_000_000), (2, 5_000_000), (6, 9_000_000), (9, 9_500_000)]
    r = traffic.Result(sent, arrivals, 0, 64)
    assert (r.sent, r.received, r.lost, r.duplicates, r.reordered) == (10, 5, 5, 1, 1)
    assert r.delays == [0, 3, 1, 3, 0.5] and r.lost_runs() == [3, 2]
    assert traffic.transitions(r.fate()) == ((2, 4), (3, 5))


@pytest.mark.parametrize("family", [V4, V6], ids=["ipv4", "ipv6"])
def test_nothing_is_lost_on_a_plain_link(network, family):
    for direction in ("egress", "ingress"):
        a, b = ends(network, direction, family)
        with Udp(a, b) as udp, Tcp(a, b) as tcp, Icmp(a, b) as icmp:
            for flow, result in zip(("udp", "tcp", "icmp"), measure(udp, tcp, icmp, packets=500, every=0.002)):
                assert (result.received, result.duplicates, result.reordered, result.wrong) == (500, 0, 0, 0), flow
                assert traffic.median(result.delays) < 10, flow
            assert measure(udp, packets=5000)[0].lost == 0


def test_tbf_has_its_rate(network, qdisc):
    qdisc("tbf", "rate", "4mbit", "burst", "5kb", "latency", "300ms")
    a, b = ends(network)
    rate = traffic.rate(traffic.bulk(a, b, 4)) * 1514 / 1448 * 8
    assert 3.5e6 < rate < 4.1e6
    with Udp(a, b, size=1000) as udp:
        sent = measure(udp, packets=2400, every=1 / 960)[0]
        assert sent.lost > 500 and 3.8e6 < sent.bytes_per_second(42) * 8 < 4.2e6


@pytest.mark.parametrize("kind, family", [("udp", V4), ("tcp", V6), ("icmp", V6)], ids=["udp", "tcp6", "icmp6"])
def test_netem_delay(network, qdisc, kind, family):
    a, b = ends(network, "egress", family)
    with traffic.KINDS[kind](a, b) as flow, Udp(b, a) as back:
        qdisc("netem", "delay", "100ms", "limit", 10000)
        there, other = measure(flow, back, packets=200, every=0.005)
        assert there.lost == 0 and other.lost == 0
        assert 99.5 < min(there.delays) and traffic.median(there.delays) < 105 and traffic.median(other.delays) < 5


@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto", "paretonormal"])
def test_netem_jitter(network, qdisc, distribution):
    a, b = ends(network)
    n = 1000
    with Udp(a, b) as udp, Udp(b, a) as back:
        words = ["distribution", distribution] if distribution != "uniform" else []
        qdisc("netem", "delay", "100ms", "20ms", *words, "limit", 10000)
        there, other = measure(udp, back, packets=n, every=0.004)
    assert there.lost == 0
    x = [(d - traffic.median(other.delays) - 100) / 20 for d in there.delays]
    for name in ("uniform", "normal", "pareto", "paretonormal"):
        if traffic.cdf_of(name):
            far = traffic.distance(x, traffic.cdf_of(name)) > traffic.distance_bound(n) + 0.03
            assert far is (name != distribution), name


def test_netem_loss(network, qdisc):
    a, b = ends(network)
    with Udp(a, b) as udp:
        for percent in (3, 30):
            qdisc("netem", "loss", f"{percent}%", "limit", 10000)
            assert_binomial(measure(udp, packets=20000)[0].lost, 20000, percent, "lost")
        qdisc("netem", "loss", "gemodel", "5%", "40%", "100%", "0%", "limit", 10000)
        lost, again = traffic.transitions(measure(udp, packets=10000)[0].fate())
        assert_binomial(*lost, 5, "lost after an arrival")
        assert_binomial(*again, 60, "lost after a loss")


def test_netem_others(network, qdisc):
    """Each with a qdisc of its own: to change one leaves what is not named."""
    a, b = ends(network)
    n = 5000
    with Udp(a, b, size=1400) as udp, Tap(network.name, network.peer, 1442) as tap:
        tap.frames()
        qdisc("netem", "duplicate", "10%", "limit", 10000)
        r = measure(udp, packets=n)[0]
        assert r.lost == 0 and tap.frames() == n + r.duplicates
        assert_binomial(r.duplicates, n, 10, "twice")
        qdisc("pfifo")
        qdisc("netem", "corrupt", "10%", "limit", 10000)
        r = measure(udp, packets=n)[0]
        assert r.duplicates == 0 and tap.frames() == n
        assert_binomial(r.lost + r.wrong, n, 10, "corrupted", slack=10)
        qdisc("pfifo")
        qdisc("netem", "delay", "50ms", "reorder", "25%", "limit", 10000)
        r = measure(udp, packets=1000, every=0.004)[0]
        assert r.lost == 0 and r.reordered > 300
        assert_binomial(sum(d < 25 for d in r.delays), 1000, 25, "not delayed", slack=5)
