# SPDX-License-Identifier: Apache-2.0
"""What network faults do to packets, measured by programs that know nothing of faultd (lib/traffic.py). In every test
another flow is measured at the same time, which must be as if nothing were there."""

import contextlib
import os
import re
import signal
import subprocess
import time

import pytest

from lib import harness, traffic, wires
from lib.harness import assert_put_back, run, wait_for
from lib.traffic import V4, V6, Tap, assert_binomial, measure

pytestmark = [pytest.mark.usefixtures("root"), pytest.mark.alone]

FAMILIES = {"ipv4": V4, "ipv6": V6}
LATE_MS = 10.0  # what a busy machine, or an emulated one, may add to a delay; one and a half when it is not busy
NETEM = {"network-latency", "network-corrupt", "network-duplicate", "network-reorder", "network-impair"}


@pytest.fixture(scope="session")
def netem(root):
    if not wires.has_qdisc("netem", "delay", "1ms"):
        pytest.skip("this kernel has no sch_netem")


@pytest.fixture(scope="session")
def tbf(root):
    if not wires.has_qdisc("tbf", "rate", "1mbit", "burst", "10k", "latency", "1ms"):
        pytest.skip("this kernel has no sch_tbf")


@pytest.fixture
def pair(alone):
    p = wires.Pair()
    yield p
    p.close()


@pytest.fixture
def d(tmp_path, pair):
    """A faultd in the first namespace, in which all is as before at the end."""
    yield from daemon(tmp_path, pair)


@pytest.fixture(params=["tcx", "clsact"])
def hook(request):
    return request.param


@pytest.fixture
def hooked(tmp_path, pair, hook):
    yield from daemon(tmp_path, pair, config={"classifierHook": hook})


def daemon(tmp_path, pair, **options):
    before = pair.dump()
    d = pair.faultd(tmp_path / "faultd", **options)
    try:
        yield d
        if d.process.poll() is None:
            d.request("DELETE", "/v1/faults")
        assert_put_back(before, pair.dump)
        assert d.journals() == []
    finally:
        d.close()


@contextlib.contextmanager
def impaired(d, action, duration="60s", **parameters):
    """The fault holds within the block; is a dict that is the ended fault after it."""
    fault = d.start_fault(action, duration, interface=wires.Pair.dev, **parameters)
    assert [s["state"] for s in fault["steps"]] == ["applied"] * len(fault["steps"]), fault
    yield fault
    fault.update(d.stop_fault(fault))
    assert fault["state"] == "done", fault


def figures(fault):
    return {f["name"]: f["value"] for f in fault["figures"]}


def assert_untouched(*results):
    for r in results:
        assert (r.lost, r.duplicates, r.wrong) == (0, 0, 0)
        quickest, median = traffic.quantile(r.delays, 0.1), traffic.median(r.delays)
        assert quickest < LATE_MS and median < 3 * LATE_MS, (quickest, median)


def assert_delayed(result, ms):
    """By at least that time, and not by much more."""
    assert (result.lost, result.duplicates, result.wrong) == (0, 0, 0)
    assert min(result.delays) > ms - 0.5, min(result.delays)
    quickest, median = traffic.quantile(result.delays, 0.1), traffic.median(result.delays)
    assert quickest < ms + LATE_MS and median < ms + 3 * LATE_MS, (quickest, median)


# Delay


@pytest.mark.parametrize("kind, family, direction", [
    ("udp", "ipv4", "egress"), ("udp", "ipv6", "ingress"), ("tcp", "ipv4", "ingress"), ("tcp", "ipv6", "egress"),
    ("icmp", "ipv4", "egress"), ("icmp", "ipv6", "ingress"), ("icmp", "ipv4", "ingress"), ("icmp", "ipv6", "egress")])
def test_delay(netem, d, pair, record_property, kind, family, direction):
    """Of one protocol in one direction; the other direction and another protocol are measured beside it."""
    family, n = FAMILIES[family], 250
    back, other = "ingress" if direction == "egress" else "egress", "icmp" if kind == "udp" else "udp"
    with pair.flow(kind, direction, family) as flow, pair.flow(kind, back, family) as returning, \
            pair.flow(other, direction, family) as beside:
        assert_untouched(*measure(flow, returning, beside, packets=50, every=0.004))
        with impaired(d, "network-latency", delay="100ms", direction=direction, protocol=kind) as fault:
            delayed, *untouched = measure(flow, returning, beside, packets=n, every=0.004)
            shown = figures(d.show(fault))
        record_property("ms, deviation", f"{traffic.median(delayed.delays):.2f} {traffic.deviation(delayed.delays):.2f}")
        assert_delayed(delayed, 100)
        assert_untouched(*untouched)
        # TCP's acknowledgements go the other way, and echo requests are answered there.
        assert shown["matched"] >= n and (kind == "tcp" or shown["matched"] <= 2 * n + 20), shown
        assert_untouched(*measure(flow, returning, beside, packets=50, every=0.004))


@pytest.mark.parametrize("direction, ms", [("egress", 60), ("ingress", 60), ("both", 120)])
def test_round_trips_of_ping(netem, d, pair, direction, ms):
    """By a program that measures time itself."""
    def round_trips(address):
        out = run("ip", "netns", "exec", pair.a, "ping", "-n", "-q", "-c", 15, "-i", 0.02, address)
        assert " 0% packet loss" in out
        return [float(x) for x in re.search(r"= ([\d.]+)/([\d.]+)/", out).groups()]

    addresses = [pair.ends(family=f)[1].address for f in (V4, V6)]
    with impaired(d, "network-latency", delay="60ms", direction=direction):
        for least, mean in map(round_trips, addresses):
            assert ms - 1 < least and mean < ms + 2 * LATE_MS
    for _, mean in map(round_trips, addresses):
        assert mean < LATE_MS


@pytest.mark.parametrize("distribution, direction", [("uniform", "egress"), ("normal", "ingress"), ("pareto", "egress"),
                                                     ("paretonormal", "egress")])
def test_jitter(netem, d, pair, record_property, distribution, direction):
    """Mean, deviation and shape of the delay are those of the distribution."""
    n, jitter = 1000, 20
    with pair.flow("udp", direction) as flow, pair.flow("icmp", direction) as beside:
        with impaired(d, "network-latency", delay="100ms", jitter=f"{jitter}ms", distribution=distribution, protocol="udp",
                      direction=direction):
            delayed, untouched = measure(flow, beside, packets=n, every=0.004)
    assert_untouched(untouched)
    assert delayed.lost == 0
    still = traffic.median(untouched.delays)
    x = [(delay - 100 - still) / jitter for delay in delayed.delays]
    deviation = {"uniform": 1 / 3 ** 0.5, "normal": 1, "pareto": 0.82, "paretonormal": 0.83}[distribution]
    record_property("mean, deviation, skewness", f"{traffic.mean(x):.3f} {traffic.deviation(x):.3f} {traffic.skewness(x):.2f}")
    assert abs(traffic.mean(x)) < 0.25
    assert 0.85 * deviation < traffic.deviation(x) < 1.15 * deviation
    least, most = {"uniform": (-0.4, 0.4), "normal": (-0.7, 0.7), "pareto": (1.2, 4), "paretonormal": (0.8, 3.5)}[distribution]
    assert least < traffic.skewness(x) < most
    assert abs(traffic.autocorrelation(x)) < 0.2
    if traffic.cdf_of(distribution):
        assert traffic.distance(x, traffic.cdf_of(distribution)) < traffic.distance_bound(n) + 0.04
    assert delayed.reordered > n / 4


def test_correlation_of_delays(netem, d, pair, record_property):
    """It is handed to netem and keeps mean and range. No more can be asked for: Linux 6.1 takes the correlated number
    modulo the jitter, or the table's size, and what is left is no more correlated; tc's own is not either."""
    with pair.flow() as flow, impaired(d, "network-latency", delay="100ms", jitter="20ms", correlation=80, distribution="uniform"):
        assert re.search(r"netem .*delay 100ms +20ms 80%", pair.tc("qdisc", "show"))
        correlated = measure(flow, packets=500, every=0.004)[0].delays
    record_property("autocorrelation", f"{traffic.autocorrelation(correlated):.2f}")
    assert min(correlated) > 79.5 and 90 < traffic.mean(correlated) < 110 + LATE_MS


def test_several_delays_side_by_side(netem, hooked, pair):
    """Each by its port; the one that ends does not disturb the others."""
    wanted = {23001: 40, 23002: 80, 23003: 160, 23004: 0}
    with contextlib.ExitStack() as stack:
        flows = [stack.enter_context(pair.flow("udp", "egress", V6, port=p)) for p in wanted]
        faults = [hooked.start_fault("network-latency", "60s", interface=pair.dev, delay=f"{ms}ms", ports=p)
                  for p, ms in wanted.items() if ms]
        for r, ms in zip(measure(*flows, packets=150, every=0.006), wanted.values()):
            assert_delayed(r, ms)
        ended = []
        results = measure(*flows, packets=400, every=0.006,
                          meanwhile=lambda i: ended.append(hooked.stop_fault(faults[1])) if i == 200 else None)
        for r, ms in zip(results, wanted.values()):
            if ms != 80:
                assert_delayed(r, ms)
        # Those that waited when it ended come at once or in their time, but they come.
        assert results[1].lost == 0 and results[1].duplicates == 0
        assert traffic.median(results[1].delays[:150]) > 79 and traffic.median(results[1].delays[-150:]) < LATE_MS


def test_a_share_of_the_packets(netem, d, pair):
    n = 1000
    with pair.flow() as flow, impaired(d, "network-latency", delay="100ms", packets=30):
        r = measure(flow, packets=n, every=0.003)[0]
    assert r.lost == 0
    assert_binomial(sum(ms > 99 for ms in r.delays), n, 30, "delayed", slack=5)


# Loss


@pytest.mark.parametrize("kind, family, direction, percent", [("udp", "ipv4", "egress", 2), ("udp", "ipv6", "ingress", 30),
                                                               ("icmp", "ipv6", "egress", 10)])
def test_loss_by_chance(d, pair, record_property, kind, family, direction, percent):
    n = 20000
    with pair.flow(kind, direction, FAMILIES[family]) as flow, \
            pair.flow("icmp" if kind == "udp" else "udp", direction, FAMILIES[family]) as beside:
        with impaired(d, "network-loss", percent=percent, direction=direction, protocol=kind) as fault:
            lossy = measure(flow, packets=n)[0]
            shown = figures(d.show(fault))
            assert_untouched(*measure(beside, packets=500, every=0.001))
    record_property("lost", f"{lossy.lost} of {n}")
    assert_binomial(lossy.lost, n, percent, "lost")
    lost, again = traffic.transitions(lossy.fate())
    assert_binomial(*lost, percent, "lost after an arrival")
    assert_binomial(*again, percent, "lost after a loss")
    assert shown["dropped"] == lossy.lost and shown["matched"] == n


def test_loss_by_netem(netem, d, pair, record_property):
    n = 20000
    with pair.flow() as flow, pair.flow("icmp") as beside:
        with impaired(d, "network-loss", model="random", percent=5, protocol="udp"):
            r = measure(flow, packets=n)[0]
            assert_untouched(*measure(beside, packets=500, every=0.001))
        record_property("lost", f"{r.lost} of {n}")
        assert_binomial(r.lost, n, 5, "lost")
        # With correlation a share is no longer exact, but losses come together.
        with impaired(d, "network-loss", model="random", percent=40, correlation=60):
            r = measure(flow, packets=5000)[0]
        (a, arrivals), (b, losses) = traffic.transitions(r.fate())
        assert 0.2 < r.lost / 5000 < 0.6 and b / losses > a / arrivals + 0.2


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_bursts_of_gilbert_and_elliott(netem, d, pair, direction):
    n = 15000
    with pair.flow("udp", direction) as flow, pair.flow("icmp", direction) as beside:
        with impaired(d, "network-loss", model="gilbert-elliott", p=4, r=25, protocol="udp", direction=direction):
            r = measure(flow, packets=n)[0]
            assert_untouched(*measure(beside, packets=500, every=0.001))
        lost, again = traffic.transitions(r.fate())
        assert_binomial(*lost, 4, "lost after an arrival")
        assert_binomial(*again, 75, "lost after a loss")
        runs = r.lost_runs()
        assert 3.2 < traffic.mean(runs) < 5 and 0.1 < r.lost / n < 0.18  # 4, and 4 of 29
        # In the bad state half is lost, in the good one 1 %: as a mixture, only in the long run.
        with impaired(d, "network-loss", model="gilbert-elliott", p=10, r=30, lossInBad=50, lossInGood=1, direction=direction):
            r = measure(flow, packets=n)[0]
        assert 0.11 < r.lost / n < 0.155  # 0.75 * 1 % + 0.25 * 50 %


def test_bursts_of_four_states(netem, d, pair):
    """A burst begins with 1 %, and ends with 50 % at each packet; a single loss comes with 2 %."""
    n = 15000
    with pair.flow() as flow, impaired(d, "network-loss", model="state", p13=1, p31=50, p14=2):
        r = measure(flow, packets=n)[0]
    lost, _ = traffic.transitions(r.fate())
    runs = r.lost_runs()
    assert_binomial(*lost, 3, "lost after an arrival")
    assert_binomial(sum(x == 1 for x in runs), len(runs), 100 * 5 / 6, "single losses")


# The others


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_corruption(netem, d, pair, direction):
    """Each of these packets arrives, but not as it was."""
    n, percent, length = 5000, 10, 14 + 20 + 8 + 1400
    with pair.flow("udp", direction, size=1400) as flow, pair.flow("icmp", direction) as beside, \
            Tap(pair.a, pair.dev, length, sent=True) as tap:
        tap.frames()
        with impaired(d, "network-corrupt", percent=percent, protocol="udp", direction=direction):
            r = measure(flow, packets=n)[0]
            frames = tap.frames()
            assert_untouched(*measure(beside, packets=300, every=0.001))
        # A flip in the sender's hardware address is seen by nobody: 0.4 %.
        assert_binomial(r.lost + r.wrong, n, percent, "corrupted", slack=10)
        if direction == "egress":
            assert frames == n, "each frame leaves the interface, whatever is in it"
        assert_untouched(*measure(flow, packets=300, every=0.001))


@pytest.mark.parametrize("family, direction", [("ipv4", "egress"), ("ipv6", "ingress")])
def test_duplicates(netem, d, pair, family, direction):
    n = 5000
    with pair.flow("udp", direction, FAMILIES[family]) as flow, pair.flow("icmp", direction, FAMILIES[family]) as beside:
        with impaired(d, "network-duplicate", percent=15, protocol="udp", direction=direction):
            r = measure(flow, packets=n)[0]
            assert_untouched(*measure(beside, packets=300, every=0.001))
    assert r.lost == 0 and r.wrong == 0
    assert_binomial(r.duplicates, n, 15, "twice")


@pytest.mark.parametrize("family, direction", [("ipv4", "ingress"), ("ipv6", "egress")])
def test_reordering(netem, d, pair, family, direction):
    """Some go at once and overtake those that wait."""
    n = 1000
    parameters = d.get("/v1/actions/network-reorder")[1].get("parameters", [])
    delay = {"delay": "50ms"} if any(p["name"] == "delay" for p in parameters) else {}
    with pair.flow("udp", direction, FAMILIES[family]) as flow, pair.flow("icmp", direction, FAMILIES[family]) as beside:
        with impaired(d, "network-reorder", percent=25, protocol="udp", direction=direction, **delay):
            r, untouched = measure(flow, beside, packets=n, every=0.004)
    assert r.lost == 0 and r.duplicates == 0
    assert_untouched(untouched)
    if delay:
        assert_binomial(sum(ms < 25 for ms in r.delays), n, 25, "not delayed", slack=5)
        assert all(ms > 49 for ms in r.delays if ms >= 25)
    assert r.reordered > n / 8


def test_all_at_once(netem, d, pair):
    n = 2500
    with pair.flow("udp", size=600) as flow, pair.flow("icmp") as beside:
        with impaired(d, "network-impair", delay="80ms", loss=10, duplicate=5, corrupt=4, protocol="udp"):
            r, untouched = measure(flow, beside, packets=n, every=0.003)
    assert_untouched(untouched)
    # A corrupted packet counts as lost here; a copy of one that was lost is none.
    assert_binomial(r.lost, n, 100 * (1 - 0.9 * 0.96), "lost or corrupted", slack=n * 0.015)
    assert 0.02 * n < r.duplicates < 0.08 * n
    assert min(r.delays) > 79.5 and traffic.median(r.delays) < 80 + LATE_MS


# Rate


@pytest.mark.parametrize("kind, family, direction", [("udp", "ipv4", "egress"), ("udp", "ipv6", "ingress"),
                                                     ("tcp", "ipv4", "ingress"), ("tcp", "ipv6", "egress")])
def test_rate(tbf, hooked, pair, record_property, kind, family, direction):
    mbit = 4 if kind == "tcp" else 1  # more datagrams than that even an emulated machine sends
    header = 14 + (20 if family == "ipv4" else 40) + (8 if kind == "udp" else 32)
    family = FAMILIES[family]
    with pair.flow("udp", direction, family, size=1000, port=23010) as flow, pair.flow("icmp", direction, family) as beside:
        with impaired(hooked, "network-rate", rate=f"{mbit}mbit", direction=direction, protocol=kind):
            if kind == "udp":
                r, untouched = measure(flow, beside, packets=1200, every=0.003)
                assert r.lost > 100, "what does not fit is dropped"
                rate = r.bytes_per_second(header)
                assert_untouched(untouched)
            else:
                rate = traffic.rate(traffic.bulk(*pair.ends(direction, family), 5)) * 1514 / (1514 - header)
                assert_untouched(*measure(flow, beside, packets=200, every=0.002))
        record_property("Mbit/s", f"{rate * 8 / 1e6:.3f}")
        assert (0.95 if kind == "udp" else 0.88) * mbit < rate * 8 / 1e6 < 1.03 * mbit
        assert_untouched(*measure(flow, packets=200, every=0.001))


def test_two_rates_and_what_is_not_matched(tbf, hooked, pair):
    with pair.flow(size=1000, port=23021) as slow, pair.flow(size=1000, port=23022) as slower, pair.flow(size=1000, port=23023) as free:
        with impaired(hooked, "network-rate", rate="1mbit", ports=23021), impaired(hooked, "network-rate", rate="500kbit", ports=23022):
            a, b, c = measure(slow, slower, free, packets=800, every=0.004)
        assert_untouched(c)
        assert 0.95e6 < a.bytes_per_second(42) * 8 < 1.03e6 and 0.47e6 < b.bytes_per_second(42) * 8 < 0.52e6


# Ends


SLOWED = [("network-latency", {"delay": "250ms"}), ("network-rate", {"rate": "400kbit", "burst": "3KiB", "queue": "2s"})]


@pytest.fixture(params=SLOWED, ids=[s[0] for s in SLOWED])
def slowed(request):
    request.getfixturevalue("netem" if request.param[0] in NETEM else "tbf")
    return request.param


def is_slow(flow):
    """Twelve packets of a thousand bytes take 180 ms longer at either."""
    r = measure(flow, packets=12)[0]
    assert r.lost == 0
    return max(r.delays) > 120


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_what_waits_when_it_ends_arrives(slowed, hooked, pair, direction):
    action, parameters = slowed
    with pair.flow("udp", direction, size=1000) as flow:
        with impaired(hooked, action, direction=direction, **parameters) as fault:
            assert is_slow(flow)
            ended = []
            r = measure(flow, packets=12, meanwhile=lambda i: ended.append(hooked.stop_fault(fault)) if i == 11 else None)[0]
        assert ended[0]["state"] == "done"
        assert (r.lost, r.duplicates) == (0, 0)
        assert not is_slow(flow)


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_it_ends_at_the_deadline_by_itself(slowed, hooked, pair, direction):
    """With faultd and its guardian standing still nothing is removed, and nothing is delayed any more."""
    action, parameters = slowed
    with pair.flow("udp", direction, size=1000) as flow:
        before = pair.links()
        started = time.monotonic()
        fault = hooked.start_fault(action, "4s", interface=pair.dev, direction=direction, **parameters)
        guardian = hooked.guardian_pid()
        try:
            os.kill(guardian, signal.SIGSTOP)
            os.kill(hooked.pid, signal.SIGSTOP)
            during = pair.links()
            assert is_slow(flow) and len(during) > len(before)
            wait_for(lambda: not is_slow(flow), "packets as before")
            assert time.monotonic() - started > 3.5
            assert harness.state_of(hooked.pid) == "T" and harness.state_of(guardian) == "T"
            assert pair.links() == during, "what was set up is still there"
        finally:
            os.kill(hooked.pid, signal.SIGCONT)
            ended = hooked.wait_state(fault, "done")
            os.kill(guardian, signal.SIGCONT)
        assert ended["reason"] == "deadline"
        assert not is_slow(flow)


def test_it_ends_at_the_deadline_when_all_are_dead(slowed, pair, tmp_path, hook):
    """What faultd left is found by `faultd-guardian --all`, as systemd runs it."""
    action, parameters = slowed
    before = pair.dump()
    d = pair.faultd(tmp_path / "faultd", config={"classifierHook": hook})
    try:
        with pair.flow("udp", size=1000) as flow:
            d.start_fault(action, "4s", interface=pair.dev, **parameters)
            guardian = d.guardian_pid()
            assert is_slow(flow)
            os.kill(guardian, signal.SIGKILL)
            d.kill()
            during = pair.links()
            assert len(during) > len(before.parts["links"])
            if hook == "clsact":  # a TCX link is gone with faultd
                assert is_slow(flow)
            wait_for(lambda: not is_slow(flow), "packets as before")
            assert pair.links() == during
            done = pair.guardian_all(d)
            assert done.returncode == 0, done
            assert not is_slow(flow)
    finally:
        d.close()
    assert_put_back(before, pair.dump)


def test_the_guardian_undoes_it(slowed, pair, tmp_path, hook):
    action, parameters = slowed
    before = pair.dump()
    d = pair.faultd(tmp_path / "faultd", config={"classifierHook": hook})
    try:
        with pair.flow("udp", "ingress", size=1000) as flow:
            d.start_fault(action, "60s", interface=pair.dev, direction="both", **parameters)
            assert is_slow(flow)
            d.kill()
            assert_put_back(before, pair.dump)
            assert not is_slow(flow)
    finally:
        d.close()


def test_without_netem_it_is_refused(d, pair):
    """Before anything is touched, and with what can be had instead."""
    if wires.has_qdisc("netem", "delay", "1ms"):
        pytest.skip("this kernel has sch_netem")
    before = pair.dump()
    for action in sorted(NETEM):
        status, error = d.fault(action, interface=pair.dev, **({"delay": "10ms"} if action == "network-impair" else {}))
        assert status == 501 and "netem" in error["message"], (action, error)
        assert d.journals() == [] and pair.dump() == before


def test_faultctl_starts_and_stops_them(slowed, d, pair):
    action, parameters = slowed
    options = [x for k, v in parameters.items() for x in (f"--{k}", v)]
    with pair.flow("udp", size=1000) as flow:
        process = subprocess.Popen([str(harness.FAULTCTL), "--socket", str(d.socket), "run", action, "--interface", pair.dev,
                                    "--duration", "60s", *options], stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: is_slow(flow) or process.poll() is not None, "slow")
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            process.wait(harness.PATIENCE)
            assert not is_slow(flow)
        finally:
            process.kill()
            process.wait()
