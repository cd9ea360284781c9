# SPDX-License-Identifier: Apache-2.0
"""What was shaped on its way out is seen where it arrives on this host: by taps, by faults on ingress. In namespaces
that the test makes."""

import contextlib
import json
import os
import socket
import threading
import time

import pytest

from lib import harness, traffic
from lib.harness import HostState, assert_put_back, network_namespace, run, wait_for

pytestmark = pytest.mark.usefixtures("root")

V4, V6 = socket.AF_INET, socket.AF_INET6
FAMILIES = pytest.mark.parametrize("family", [V4, V6], ids=["v4", "v6"])
PAYLOAD, RATE, BURST = 1000, 4_000_000, 10240
HEADERS = {V4: 42, V6: 62}


def at_least(n, frame, burst=BURST):
    """Seconds that n frames need at RATE, behind a full bucket."""
    return (n * frame - burst) * 8 / RATE * 0.95


def links(namespace):
    """The shapers' devices there: name and kind."""
    return {i["ifname"]: i["linkinfo"]["info_kind"] for i in json.loads(run("ip", "-n", namespace, "-j", "-d", "link", "show"))
            if i["ifname"].startswith("faultd")}


def kinds(namespace):
    return sorted(links(namespace).values())


def dump(*namespaces):
    def settled():
        """A pair that has just been made is told to be down for a moment."""
        found = [run("ip", "-n", n, *what) for n in namespaces for what in (("-o", "addr", "show"), ("route", "show"))]
        return found if not any("linkdown" in text for text in found) else None

    return wait_for(settled, "links are up") + [run("tc", "-n", n, "qdisc", "show") for n in namespaces]


class Places:
    """Two namespaces: `a` is where faults aim at, `b` is at the other end. Addresses .1 and .2 of one network."""

    V4 = ("10.97.77.1", "10.97.77.2")
    V6 = ("fd97:77::1", "fd97:77::2")

    def __init__(self):
        self.a, self.b = f"fds{os.getpid()}a", f"fds{os.getpid()}b"
        for n in self.a, self.b:
            run("ip", "netns", "add", n)
            run("ip", "-n", n, "link", "set", "lo", "up")

    def veth(self):
        self.link("a", "link", "add", "out", "type", "veth", "peer", "name", "in", "netns", self.b)
        return self.addressed()

    def bridge(self):
        """As of containers: what leaves through the bridge leaves through the veth that is its port."""
        self.link("a", "link", "add", "out", "type", "bridge", "forward_delay", 0)
        self.link("a", "link", "add", "port", "type", "veth", "peer", "name", "in", "netns", self.b)
        self.link("a", "link", "set", "port", "master", "out", "up")
        return self.addressed()

    def macvlan(self):
        self.link("a", "link", "add", "base", "type", "veth", "peer", "name", "nobody")
        for dev in "base", "nobody":
            self.link("a", "link", "set", dev, "addrgenmode", "none", "up")
        self.link("a", "link", "add", "link", "base", "name", "out", "type", "macvlan", "mode", "bridge")
        self.link("a", "link", "add", "link", "base", "name", "in", "netns", self.b, "type", "macvlan", "mode", "bridge")
        return self.addressed()

    def link(self, where, *words):
        run("ip", "-n", getattr(self, where), *words)

    def addressed(self):
        for i, (where, dev) in enumerate((("a", "out"), ("b", "in"))):
            self.link(where, "link", "set", dev, "addrgenmode", "none")
            self.link(where, "addr", "add", f"{self.V4[i]}/24", "dev", dev)
            self.link(where, "addr", "add", f"{self.V6[i]}/64", "dev", dev, "nodad")
            self.link(where, "link", "set", dev, "up")
        return self

    def close(self):
        for n in self.a, self.b:
            run("ip", "netns", "del", n, check=False)


@pytest.fixture
def places(alone):
    p = Places()
    yield p
    p.close()


@pytest.fixture(params=["tcx", "clsact"])
def d(request, tmp_path, places):
    """A running faultd; the host must be as before at the end."""
    before = HostState()
    faultd = harness.Faultd(tmp_path / "faultd", config={"classifierHook": request.param})
    try:
        yield faultd
        faultd.request("DELETE", "/v1/faults")
        assert faultd.journals() == [] and links(places.a) == links(places.b) == {}
        assert_put_back(before, HostState)
    finally:
        faultd.close()


@contextlib.contextmanager
def fault_on(d, action, **parameters):
    """Yields the fault, which is the ended one after the block."""
    fault = d.start_fault(action, parameters=parameters)
    yield fault
    fault.update(d.stop_fault(fault))
    assert fault["state"] == "done", fault


def rate_on(d, namespace, device="out", direction="egress", **parameters):
    return fault_on(d, "network-rate", **{"netns": namespace, "interface": device, "direction": direction, "rate": f"{RATE}bit",
                                         "queue": "10s", "protocol": "udp", **parameters})


def figures(fault):
    return {f["name"]: f["value"] for f in fault["figures"]}


def bound(namespace, family, address):
    with network_namespace(namespace):
        s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    s.bind((address, 0))
    return s


class Ends:
    """A sender and two receivers. One is sent to until it has got something, so that the neighbours are known."""

    def __init__(self, places, family, loopback=False):
        addresses = ("127.0.0.1", "127.0.0.1") if loopback else Places.V4
        if family == V6:
            addresses = ("::1", "::1") if loopback else Places.V6
        there = places.a if loopback else places.b
        self.sender = bound(places.a, family, addresses[0])
        self.one, self.other = bound(there, family, addresses[1]), bound(there, family, addresses[1])
        wait_for(lambda: self.seconds(self.one, 1, must=False), "neighbours known")

    def port(self, receiver):
        return receiver.getsockname()[1]

    def send(self, receiver, n, size=PAYLOAD):
        for _ in range(n):
            self.sender.sendto(b"x" * size, receiver.getsockname())

    @staticmethod
    def arrived(receiver, n, quiet):
        receiver.settimeout(quiet)
        got = 0
        with contextlib.suppress(TimeoutError):
            while got < n:
                receiver.recv(1 << 16)
                got += 1
        return got

    def seconds(self, receiver, n, size=PAYLOAD, must=True):
        """How long n take; all of them arrive."""
        since = time.monotonic()
        self.send(receiver, n, size)
        got = self.arrived(receiver, n, 5.0 if must else 0.5)
        assert got == n or not must, (got, n)
        return got and time.monotonic() - since

    def close(self):
        for s in self.sender, self.one, self.other:
            s.close()


def ends(*args, **kwargs):
    return contextlib.closing(Ends(*args, **kwargs))


@FAMILIES
@pytest.mark.parametrize("wire", ["veth", "bridge", "macvlan"])
def test_at_the_other_end(d, places, wire, family):
    """The tap there sees all packets, and a fault on ingress there meets them."""
    getattr(places, wire)()
    before, frame, n = dump(places.a, places.b), PAYLOAD + HEADERS[family], 80
    with ends(places, family) as e, traffic.Tap(places.b, "in", frame) as tap:
        with rate_on(d, places.a) as rate, fault_on(d, "network-loss", netns=places.b, interface="in", direction="ingress", percent=100,
                                                    protocol="udp", ports=str(e.port(e.other))) as loss:
            assert kinds(places.a) == ["veth", "veth"]
            tap.frames()
            assert e.seconds(e.one, n) >= at_least(n, frame)
            assert tap.frames() == n
            e.send(e.other, n)
            wait_for(lambda: figures(d.show(loss))["matched"] == n, "all of them are met there")
            assert e.arrived(e.other, 1, 0.2) == 0 and tap.frames() == n
        assert figures(loss)["dropped"] == n
        assert (figures(rate)["shaped"], figures(rate)["lost"], figures(rate)["waiting"]) == (2 * n, 0, 0)
        assert e.seconds(e.one, n) < at_least(n, frame) / 2
    assert dump(places.a, places.b) == before


@FAMILIES
def test_through_lo(d, places, family):
    before, frame, n = dump(places.a), PAYLOAD + HEADERS[family], 150
    bucket = 65536 + 64  # one packet must fit
    with ends(places, family, loopback=True) as e, traffic.Tap(places.a, "lo", frame) as tap:
        with rate_on(d, places.a, "lo") as rate, fault_on(d, "network-loss", netns=places.a, interface="lo", direction="ingress", percent=100,
                                                          protocol="udp", ports=str(e.port(e.other))) as loss:
            assert kinds(places.a) == ["ifb"]
            tap.frames()
            assert e.seconds(e.one, n) >= at_least(n, frame, bucket)
            assert tap.frames() == n
            e.send(e.other, n)
            wait_for(lambda: figures(d.show(loss))["matched"] == n, "all of them are met there")
            assert e.arrived(e.other, 1, 0.2) == 0
        assert figures(loss)["dropped"] == n
        assert (figures(rate)["matched"], figures(rate)["lost"], figures(rate)["waiting"]) == (2 * n, 0, 0)
        assert e.seconds(e.one, n) < at_least(n, frame, bucket) / 2
    assert dump(places.a) == before


@FAMILIES
def test_big_packets(d, places, family):
    """65000 bytes in one packet, on lo and in fragments."""
    places.veth()
    for device, loopback in ("lo", True), ("out", False):
        with ends(places, family, loopback) as e, rate_on(d, places.a, device, rate="80mbit") as rate:
            e.seconds(e.one, 20, 65000)
        assert figures(rate)["lost"] == 0 and figures(rate)["shaped"] >= 20


@FAMILIES
def test_tcp_with_segments_that_a_card_would_split(d, places, family):
    places.veth()
    size, rate = 1_000_000, 16_000_000
    for device, namespace, address in ("lo", places.a, ("127.0.0.1", "::1")), ("out", places.b, (Places.V4[1], Places.V6[1])):
        with network_namespace(namespace):
            server = socket.create_server((address[family == V6], 0), family=family)
        with network_namespace(places.a):
            client = socket.socket(family)
        with server, client, rate_on(d, places.a, device, protocol="tcp", rate=f"{rate}bit", ports=str(server.getsockname()[1])):
            client.settimeout(harness.PATIENCE)
            since = time.monotonic()
            client.connect(server.getsockname())
            inside, _ = server.accept()
            sender = threading.Thread(target=lambda: (client.sendall(b"x" * size), client.shutdown(socket.SHUT_WR)))
            sender.start()
            with inside:
                inside.settimeout(harness.PATIENCE)
                got = sum(len(data) for data in iter(lambda: inside.recv(1 << 16), b""))
            took = time.monotonic() - since
            sender.join()
        assert got == size and took >= (size - 65600) * 8 / rate * 0.95, (device, took)


def test_what_waits_at_the_end_is_delivered(d, places):
    places.veth()
    with ends(places, V4) as e:
        for _ in range(5):
            with rate_on(d, places.a, rate="100kbit", queue="60s") as rate:
                e.send(e.one, 200)
                wait_for(lambda: figures(d.show(rate))["waiting"] >= 150, "packets wait")
            assert e.arrived(e.one, 200, 2.0) == 200


def test_the_devices_say_nothing_themselves(d, places):
    """No frame of the pair's own gets to the other end, not even where the kernel routes and reports its groups."""
    places.veth()
    with network_namespace(places.a):
        with open("/proc/sys/net/ipv6/conf/all/forwarding", "w", encoding="ascii") as f:
            f.write("1")
    ours = json.loads(run("ip", "-n", places.a, "-j", "link", "show", "out"))[0]["address"]
    s = traffic.make_socket(places.b, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(traffic.ETH_P_ALL))
    with s, ends(places, V4) as e:
        s.bind(("in", traffic.ETH_P_ALL))
        with rate_on(d, places.a):
            name = min(links(places.a))
            assert run("ip", "-n", places.a, "addr", "show", "dev", name).count("inet") == 0
            run("ping", "-c", 1, "-W", 1, "-I", name, "ff02::1%" + name, check=False)
            e.seconds(e.one, 80)
        s.settimeout(0.2)
        senders = set()
        with contextlib.suppress(TimeoutError):
            while True:
                data, address = s.recvfrom(2000)
                if address[2] != socket.PACKET_OUTGOING:
                    senders.add(data[6:12].hex(":"))
        assert senders == {ours}


def test_other_directions_and_kinds_stay_with_an_ifb(d, places):
    places.veth()
    places.link("a", "link", "add", "idle", "type", "ifb")
    places.link("a", "link", "set", "idle", "up")
    for device, direction in ("out", "ingress"), ("idle", "egress"), ("lo", "ingress"):
        with rate_on(d, places.a, device, direction):
            assert kinds(places.a) == ["ifb"], device
    with rate_on(d, places.a, direction="both"):
        assert kinds(places.a) == ["ifb", "veth", "veth"]


def test_a_peer_of_that_name_is_not_ours(d, places):
    """The name of the other end is taken: nothing is made, and the other's stays."""
    places.veth()
    with rate_on(d, places.a):
        first = int(min(links(places.a))[len("faultd-"):], 16)
    base, number = first & 0xFFFF0000, first & 0xFFFF
    taken = f"faultd_{base | (number + 16 if number + 16 < 0xFA10 else 16):08x}"  # of the next fault
    places.link("a", "link", "add", taken, "type", "ifb")
    status, answer = d.fault("network-rate", "30s", parameters={"netns": places.a, "interface": "out", "rate": "1mbit"})
    assert status == 500 and "taken" in answer["message"], answer
    assert list(links(places.a)) == [taken]
    places.link("a", "link", "del", taken)
