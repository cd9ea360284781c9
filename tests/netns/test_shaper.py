# SPDX-License-Identifier: Apache-2.0
"""Shapers with real packets, by network-rate: what is limited and what is not, and that nothing is left."""

import contextlib
import json
import pathlib
import socket
import subprocess
import threading
import time

import pytest

from lib import harness
from lib.harness import HostState, assert_put_back, network_namespace, run, wait_for

pytestmark = pytest.mark.usefixtures("root")

V4, V6 = socket.AF_INET, socket.AF_INET6
BURST = 10240  # of the bucket, at rates as low as here
PAYLOAD = 1000
FRAME = {V4: PAYLOAD + 42, V6: PAYLOAD + 62}


def shapers():
    return sorted(p.name for p in pathlib.Path("/sys/class/net").glob("faultd-*"))


def qdiscs(dev):
    return json.loads(run("tc", "-s", "-j", "qdisc", "show", "dev", dev))


def root_qdisc(dev):
    return run("tc", "qdisc", "show", "dev", dev, "root")


@pytest.fixture(params=["tcx", "clsact"])
def hook(request):
    return request.param


@pytest.fixture
def hooked(tmp_path, hook, network):
    """A running faultd that uses the hook, and the network, which must be as before at the end."""
    assert shapers() == []
    before = HostState(devices=[network.dev])
    d = harness.Faultd(tmp_path / "faultd", config={"classifierHook": hook})
    try:
        yield d
        d.request("DELETE", "/v1/faults")
        assert d.journals() == [] and shapers() == []
        if pathlib.Path(f"/sys/class/net/{network.dev}").exists():
            assert_put_back(before, lambda: HostState(devices=[network.dev]))
    finally:
        d.close()


@pytest.fixture
def plain(tmp_path, network):
    before = HostState(devices=[network.dev])
    d = harness.Faultd(tmp_path / "faultd")
    yield d
    d.close()
    assert shapers() == []
    assert_put_back(before, lambda: HostState(devices=[network.dev]))


@contextlib.contextmanager
def rate_on(d, network, rate, **parameters):
    """The limit holds within the block. Yields the fault, which is the ended one after it."""
    fault = d.start_fault("network-rate", parameters={"interface": network.dev, "rate": rate, **parameters})
    assert [s["state"] for s in fault["steps"]] == ["applied"] * len(fault["steps"])
    yield fault
    fault.update(d.stop_fault(fault))
    assert fault["state"] == "done", fault


def figures(fault):
    return {f["name"]: f["value"] for f in fault["figures"]}


class Udp:
    """A bound socket on each side, with room for all that is sent here."""

    def __init__(self, network, family=V4, there=None):
        here = network.here if family == V4 else network.here6
        self.here = self.bind(family, here)
        with network_namespace(network.name):
            self.there = self.bind(family, there or (network.there if family == V4 else network.there6))
        wait_for(lambda: self.passes(self.here, self.there, 1) and self.passes(self.there, self.here, 1), "neighbours known")

    @staticmethod
    def bind(family, address):
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE
        s.bind((address, 0))
        s.settimeout(0.2)
        return s

    @staticmethod
    def send(sender, receiver, n):
        for _ in range(n):
            sender.sendto(b"x" * PAYLOAD, receiver.getsockname())

    @staticmethod
    def receive(receiver, n, quiet=2.0):
        """How many of n arrive, until it is quiet for so long."""
        receiver.settimeout(quiet)
        got = 0
        with contextlib.suppress(TimeoutError):
            while got < n:
                receiver.recv(2000)
                got += 1
        return got

    def passes(self, sender, receiver, n, quiet=0.5):
        self.send(sender, receiver, n)
        return self.receive(receiver, n, quiet)

    def out(self, n, **kwargs):
        return self.passes(self.here, self.there, n, **kwargs)

    def seconds(self, sender, receiver, n):
        """How long n take together; all of them arrive."""
        since = time.monotonic()
        assert self.passes(sender, receiver, n, 5.0) == n
        return time.monotonic() - since

    def close(self):
        self.here.close()
        self.there.close()


@contextlib.contextmanager
def udp(*args, **kwargs):
    with contextlib.closing(Udp(*args, **kwargs)) as u:
        yield u


def tcp_seconds(network, family, size, inwards):
    """How long `size` bytes take by TCP, from the connection to its end."""
    address = (network.here, network.there) if family == V4 else (network.here6, network.there6)
    with network_namespace(network.name):
        server = socket.create_server((address[1], 0), family=family)
    took = []

    def receive(connection):
        got = 0
        while data := connection.recv(1 << 16):
            got += len(data)
        took.append((got, time.monotonic() - since))

    with server, socket.socket(family) as client:
        client.settimeout(harness.PATIENCE)
        since = time.monotonic()
        client.connect(server.getsockname())
        inside, _ = server.accept()
        with inside:
            sender, receiver = (inside, client) if inwards else (client, inside)
            thread = threading.Thread(target=receive, args=(receiver,))
            thread.start()
            sender.sendall(b"x" * size)
            sender.shutdown(socket.SHUT_WR)
            thread.join(harness.PATIENCE)
    assert took and took[0][0] == size, took
    return took[0][1]


# A bucket lets through its burst and what its rate allows, never more: bounds from below that hold on any machine.

def at_least(frame_bytes, rate):
    return (frame_bytes - BURST) * 8 / rate * 0.95


@pytest.mark.parametrize("family", [V4, V6], ids=["v4", "v6"])
def test_rate_in_each_direction(hooked, network, family):
    n, rate = 120, 4_000_000
    slow = at_least(n * FRAME[family], rate)
    with udp(network, family) as u:
        ways = {"egress": (u.here, u.there), "ingress": (u.there, u.here)}
        for direction in "egress", "ingress", "both":
            with rate_on(hooked, network, "4mbit", direction=direction, queue="5s", protocol="udp") as fault:
                limited = 0
                for way, ends in ways.items():
                    took = u.seconds(*ends, n)
                    if direction in (way, "both"):
                        assert took >= slow, (direction, way, took)
                        limited += n
                    else:
                        assert took < slow / 2, (direction, way, took)
                assert len(shapers()) == (2 if direction == "both" else 1)
            got = figures(fault)
            assert (got["matched"], got["shaped"], got["dropped"], got["lost"], got["waiting"]) == (limited, limited, 0, 0, 0)
            assert fault["notes"] == [] and shapers() == []
        for ends in ways.values():
            assert u.seconds(*ends, n) < slow / 2


@pytest.mark.parametrize("family", [V4, V6], ids=["v4", "v6"])
def test_tcp_in_each_direction_and_what_does_not_match(hooked, network, family):
    size = 400_000
    slow = at_least(size, 4_000_000)
    with rate_on(hooked, network, "4mbit", direction="both", protocol="tcp"):
        for inwards in False, True:
            assert tcp_seconds(network, family, size, inwards) >= slow
        with udp(network, family) as u:
            assert u.seconds(u.here, u.there, 300) < slow / 2
            assert u.seconds(u.there, u.here, 300) < slow / 2
    for inwards in False, True:
        assert tcp_seconds(network, family, size, inwards) < slow / 2


def test_what_is_too_much_is_lost_and_counted(hooked, network):
    with udp(network) as u, rate_on(hooked, network, "1mbit", queue="100ms", protocol="udp") as fault:
        arrived = u.out(200, quiet=1.0)
        assert 10 <= arrived < 100
        got = figures(hooked.show(fault))
        assert got["matched"] == got["shaped"] == 200 and got["lost"] == 200 - arrived and got["waiting"] == 0
    assert figures(fault) == got


def test_a_share_of_the_packets(hooked, network):
    with udp(network) as u, rate_on(hooked, network, "100kbit", queue="10s", packets=50, protocol="udp") as fault:
        assert u.out(300, quiet=0.05) < 300  # those that are not chosen need not wait
        got = figures(hooked.show(fault))
        assert got["matched"] == 300 and 90 < got["shaped"] < 210
    assert fault["state"] == "done"


def test_what_waits_at_the_end_is_delivered(hooked, network):
    with udp(network) as u:
        for sender, receiver, direction in (u.here, u.there, "egress"), (u.there, u.here, "ingress"):
            with rate_on(hooked, network, "100kbit", direction=direction, queue="30s", protocol="udp") as fault:
                u.send(sender, receiver, 60)
                wait_for(lambda: figures(hooked.show(fault))["waiting"] >= 40, "packets wait")
            assert u.receive(receiver, 60) == 60, direction
            assert figures(fault)["lost"] == 0 and figures(fault)["waiting"] == 0


def test_the_interface_keeps_its_qdiscs_and_filters(tmp_path, hook, network):
    """What others have there stays, and works, while shapers come and go."""
    run("tc", "qdisc", "replace", "dev", network.dev, "root", "handle", "5:", "tbf", "rate", "1gbit", "burst", "1mb", "limit", "2mb")
    run("tc", "qdisc", "add", "dev", network.dev, "clsact")
    for side in "ingress", "egress":
        run("tc", "filter", "add", "dev", network.dev, side, "pref", 10, "protocol", "ip", "u32", "match", "ip", "protocol", 132, "0xff", "classid", "1:1")
    before, root = HostState(devices=[network.dev]), root_qdisc(network.dev)
    with contextlib.closing(harness.Faultd(tmp_path / "faultd", config={"classifierHook": hook})) as d, udp(network) as u:
        with rate_on(d, network, "4mbit", direction="both", queue="5s", protocol="udp"):
            assert root_qdisc(network.dev) == root
            assert u.seconds(u.here, u.there, 120) >= at_least(120 * FRAME[V4], 4_000_000)
            assert u.seconds(u.there, u.here, 120) >= at_least(120 * FRAME[V4], 4_000_000)
        assert_put_back(before, lambda: HostState(devices=[network.dev]))
        assert u.out(50) == 50 and shapers() == []


def test_filters_of_others_that_decide_before_are_told_of(plain, network):
    run("tc", "qdisc", "add", "dev", network.dev, "clsact")
    try:
        run("tc", "filter", "add", "dev", network.dev, "egress", "pref", 10, "protocol", "ip", "u32", "match", "u32", 0, 0, "classid", "1:1")
        with udp(network) as u, rate_on(plain, network, "100kbit", protocol="udp") as fault:
            assert u.out(40) == 40
        assert figures(fault)["shaped"] == 40 and ["none was shaped" in n for n in fault["notes"]] == [True], fault
    finally:
        run("tc", "qdisc", "del", "dev", network.dev, "clsact")


def test_two_shapers_at_once_and_one_goes(hooked, network):
    """Different peers, different rates; while one is stopped the other loses nothing."""
    second = network.there.rsplit(".", 1)[0] + ".20"
    run("ip", "-n", network.name, "addr", "add", f"{second}/24", "dev", network.peer)
    root = root_qdisc(network.dev)
    with udp(network) as a, udp(network, there=second) as b:
        slow = at_least(60 * FRAME[V4], 2_000_000)
        with rate_on(hooked, network, "4mbit", peers=second, queue="10s", protocol="udp") as other:
            with rate_on(hooked, network, "2mbit", peers=network.there, queue="10s", protocol="udp"):
                assert len(shapers()) == 2 and root_qdisc(network.dev) == root
                assert a.seconds(a.here, a.there, 60) >= slow
                assert b.seconds(b.here, b.there, 60) >= slow / 2
                b.send(b.here, b.there, 400)  # 0.8 s of it
            assert len(shapers()) == 1 and root_qdisc(network.dev) == root
            assert b.receive(b.there, 400) == 400
            assert a.seconds(a.here, a.there, 60) < slow / 2
            assert b.seconds(b.here, b.there, 60) >= slow / 2
        assert figures(other)["lost"] == 0


def test_a_ramp_changes_the_rate_in_place(hooked, network):
    with udp(network) as u:
        fault = hooked.start_fault("network-rate", parameters={
            "interface": network.dev, "rate": "80mbit", "from": "80kbit", "over": "1s", "steps": 2, "queue": "60s", "protocol": "udp"})
        device, = shapers()

        def rate():
            return [q["options"]["rate"] for q in qdiscs(device) if q["kind"] == "tbf"][0]

        assert rate() == 10_000  # bytes per second
        u.send(u.here, u.there, 50)
        wait_for(lambda: rate() == 10_000_000, "the end of the ramp")
        assert u.receive(u.there, 50) == 50  # at 80 kbit/s the last would come after 4 s
        assert shapers() == [device]
        ended = hooked.stop_fault(fault)
        assert ended["state"] == "done" and figures(ended)["lost"] == 0, ended


def test_waves_with_packets_that_wait(hooked, network):
    with udp(network) as u:
        fault = hooked.start_fault("network-rate", parameters={
            "interface": network.dev, "rate": "100kbit", "every": "1s", "for": "500ms", "queue": "30s", "protocol": "udp"})
        sent = 0
        for _ in range(2):
            wait_for(shapers, "a wave", pause=0.01)
            u.send(u.here, u.there, 30)
            sent += 30
            wait_for(lambda: shapers() == [], "its end", pause=0.01)
        assert u.receive(u.there, sent) == sent
        assert hooked.show(fault)["state"] == "active"
        ended = hooked.stop_fault(fault)
        assert ended["state"] == "done" and ended["notes"] == [], ended


def test_faultd_is_killed(tmp_path, hook, network):
    before = HostState(devices=[network.dev])
    with contextlib.closing(harness.Faultd(tmp_path / "faultd", config={"classifierHook": hook})) as d, udp(network) as u:
        d.start_fault("network-rate", parameters={"interface": network.dev, "rate": "1mbit", "direction": "both"})
        assert len(shapers()) == 2
        d.kill()
        wait_for(lambda: shapers() == [] and d.journals() == [], "the guardian has put it back")
        assert_put_back(before, lambda: HostState(devices=[network.dev]))
        assert u.out(50) == 50


def test_the_interface_goes_meanwhile(hooked, network):
    fault = hooked.start_fault("network-rate", parameters={"interface": network.dev, "rate": "1mbit", "direction": "both"})
    assert len(shapers()) == 2
    run("ip", "link", "del", network.dev)
    ended = hooked.stop_fault(fault)
    assert ended["state"] == "done" and shapers() == [], ended


def test_the_shaper_goes_meanwhile(hooked, network):
    """Someone deletes the device: its packets are lost, and that is all."""
    with udp(network) as u:
        with rate_on(hooked, network, "1mbit", protocol="udp"):
            run("ip", "link", "del", shapers()[0])
        assert u.out(20) == 20


def test_a_device_of_that_name_is_not_ours(plain, network):
    with rate_on(plain, network, "1mbit"):
        first, = shapers()
    base, number = int(first[len("faultd-"):], 16) & 0xffff0000, int(first[len("faultd-"):], 16) & 0xffff
    taken = f"faultd-{base | (number + 16 if number + 16 < 0xfa10 else 16):08x}"  # the next fault's
    run("ip", "link", "add", taken, "type", "veth", "peer", "name", f"{network.dev}z")
    try:
        status, answer = plain.request("POST", "/v1/faults", {
            "action": "network-rate", "duration": "30s", "parameters": {"interface": network.dev, "rate": "1mbit"}})
        assert status == 500 and "taken" in answer["message"], answer
        assert shapers() == [taken] and plain.journals() == []
    finally:
        run("ip", "link", "del", taken)


def test_a_fault_that_met_no_packet_says_so(plain, network):
    with udp(network) as u:
        for action, parameters in ("network-rate", {"rate": "1gbit"}), ("network-loss", {"percent": 1}):
            ended = []
            for protocol in "sctp", "udp":
                fault = plain.start_fault(action, parameters={"interface": network.dev, "protocol": protocol, **parameters})
                u.out(3, quiet=0.2)
                ended.append(plain.stop_fault(fault))
            assert [f["notes"] for f in ended] == [["no packet matched"], []], ended
        assert plain.log().count("no packet matched") == 2
        # What an earlier wave met counts as well.
        fault = plain.start_fault("network-loss", parameters={
            "interface": network.dev, "protocol": "udp", "percent": 1, "every": "1s", "for": "300ms"})
        u.out(5, quiet=0.2)
        wait_for(lambda: plain.show(fault)["steps"][-1]["state"] == "undone", "the end of the wave", pause=0.01)
        wait_for(lambda: plain.show(fault)["steps"][-1]["state"] == "applied", "the next one", pause=0.01)
        assert plain.stop_fault(fault)["notes"] == []


def test_doctor_knows_what_the_kernel_has(plain, network):
    checks = {c["name"]: c for c in plain.get("/v1/doctor")[1]["checks"]}
    assert checks["shaping"]["status"] == "ok", checks["shaping"]
    tried = subprocess.run(["tc", "-n", network.name, "qdisc", "add", "dev", "lo", "root", "netem"], capture_output=True)
    has_netem = tried.returncode == 0
    assert checks["netem"]["status"] == ("ok" if has_netem else "limited"), checks["netem"]
    assert has_netem == ("no netem" not in checks["netem"]["detail"])
