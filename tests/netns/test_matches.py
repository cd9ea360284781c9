# SPDX-License-Identifier: Apache-2.0
"""Which packets a network fault hits: a share of the flows, connections that are opened or that are there already.

Real packets, over veth pairs of the test's own."""

import contextlib
import errno
import select
import socket
import time

import pytest

from lib import harness
from lib.harness import HostState, assert_put_back, network_namespace, wait_for

pytestmark = pytest.mark.usefixtures("root")

SO_RCVBUFFORCE = 33
V4, V6 = socket.AF_INET, socket.AF_INET6
BURST = 50


@pytest.fixture(params=["tcx", "clsact"])
def hooked(tmp_path, request, network):
    """A running faultd that uses the hook, and the network, which must be as before at the end."""
    before = HostState(devices=[network.dev])
    d = harness.Faultd(tmp_path / "faultd", config={"classifierHook": request.param})
    try:
        yield d
        d.request("DELETE", "/v1/faults")
        assert d.journals() == []
        assert_put_back(before, lambda: HostState(devices=[network.dev]))
    finally:
        d.close()


@contextlib.contextmanager
def fault_on(d, action, **parameters):
    """The fault holds within the block. Yields a dict that is the ended fault after it."""
    fault = d.start_fault(action, parameters=parameters)
    yield fault
    fault.update(d.stop_fault(fault))
    assert fault["state"] == "done", fault


def figures(fault):
    return {f["name"]: f["value"] for f in fault["figures"]}


def sides(network, family):
    return (network.here, network.there) if family == V4 else (network.here6, network.there6)


def udp_socket(family, address, port=0):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
    s.bind((address, port))
    s.setblocking(False)
    return s


def received(s, quiet):
    """The source ports of all that comes until nothing came for `quiet` seconds."""
    while select.select([s], [], [], quiet)[0]:
        with contextlib.suppress(BlockingIOError):
            while True:
                yield s.recvfrom(100)[1][1]


def free_ports(family, address, n, first=20000):
    ports = []
    for port in range(first, 60000):
        with contextlib.suppress(OSError), udp_socket(family, address, port):
            ports.append(port)
        if len(ports) == n:
            return ports
    raise AssertionError(f"no {n} free ports")


def send_from(family, address, ports, to, receiver):
    """One datagram from each port. Returns the ports whose datagram arrived."""
    arrived = set()
    for i, port in enumerate(ports):
        with udp_socket(family, address, port) as s:
            s.sendto(b"x", to)
        if i % BURST == BURST - 1:  # not more at once than a queue of the kernel holds
            arrived.update(received(receiver, 0))
    arrived.update(received(receiver, 0.3))
    return arrived


def know_neighbours(family, here, there, network):
    with network_namespace(network.name):
        s = udp_socket(family, there)
    with s, udp_socket(family, here) as own:
        wait_for(lambda: own.sendto(b"x", s.getsockname()) and list(received(s, 0.05)), "neighbours known")
        wait_for(lambda: s.sendto(b"x", own.getsockname()) and list(received(own, 0.05)), "neighbours known")


def assert_share(hit, n, percent):
    """Of independent choices: six standard deviations, and a little."""
    share = percent / 100
    assert abs(hit - n * share) <= 6 * (n * share * (1 - share)) ** 0.5 + 1, (hit, n, percent)


@pytest.mark.parametrize("family, percent, n", [(V4, 30, 10000), (V4, 5, 2000), (V6, 50, 2000)])
def test_a_share_of_udp_flows(hooked, network, family, percent, n):
    """A flow is hit always or never, in either direction."""
    here, there = sides(network, family)
    ports = free_ports(family, here, n)
    few = ports[:200]
    know_neighbours(family, here, there, network)
    with network_namespace(network.name):
        receiver = udp_socket(family, there, 20100)
    with receiver:
        assert send_from(family, here, few, (there, 20100), receiver) == set(few)
        with fault_on(hooked, "network-blackhole", interface=network.dev, protocol="udp", flows=percent) as fault:
            spared = send_from(family, here, ports, (there, 20100), receiver)
            again = send_from(family, here, few, (there, 20100), receiver)
            back = answered(family, here, few, receiver)
        hit = set(ports) - spared
        assert_share(len(hit), n, percent)
        assert again == back == spared & set(few)
        lost = len(hit) + 2 * len(hit & set(few))
        assert figures(fault) == {"matched": lost, "dropped": lost}
        assert send_from(family, here, few, (there, 20100), receiver) == set(few)


def answered(family, here, ports, sender):
    """The ports that a datagram of `sender` reaches."""
    with contextlib.ExitStack() as stack:
        sockets = {stack.enter_context(udp_socket(family, here, port)): port for port in ports}
        for port in ports:
            sender.sendto(b"x", (here, port))
        reached = set()
        while ready := select.select(list(sockets), [], [], 0.3)[0]:
            for s in ready:
                s.recv(100)
                reached.add(sockets[s])
        return reached


def test_a_share_of_all_flows_is_another_for_each_fault(hooked, network):
    """The choice is the fault's own, and two of them are independent."""
    here, there = sides(network, V4)
    ports = free_ports(V4, here, 1000)
    know_neighbours(V4, here, there, network)
    with network_namespace(network.name):
        receiver = udp_socket(V4, there, 20100)
    with receiver:
        choices = []
        for _ in range(2):
            with fault_on(hooked, "network-loss", interface=network.dev, percent=100, flows=50):
                choices.append(send_from(V4, here, ports, (there, 20100), receiver))
        assert_share(len(choices[0] & choices[1]), len(ports), 25)
        with fault_on(hooked, "network-loss", interface=network.dev, percent=100, flows=50), \
                fault_on(hooked, "network-loss", interface=network.dev, percent=100, flows=50):
            assert_share(len(send_from(V4, here, ports, (there, 20100), receiver)), len(ports), 25)


def test_chance_within_a_share_of_flows(hooked, network):
    """40 % of the packets of 50 % of the flows."""
    here, there = sides(network, V4)
    ports = free_ports(V4, here, 500)
    know_neighbours(V4, here, there, network)
    with network_namespace(network.name):
        receiver = udp_socket(V4, there, 20100)
    with receiver:
        with fault_on(hooked, "network-loss", interface=network.dev, percent=40, flows=50, protocol="udp") as fault:
            rounds = [send_from(V4, here, ports, (there, 20100), receiver) for _ in range(6)]
        f = figures(fault)
        assert f["matched"] % 6 == 0
        assert_share(f["matched"] // 6, len(ports), 50)
        assert_share(f["dropped"], f["matched"], 40)
        assert sum(map(len, rounds)) == 6 * len(ports) - f["dropped"]


class Echo:
    """A TCP server inside the namespace that this process plays too: serve() answers what has come."""

    def __init__(self, network, family=V4):
        self.family, self.address = family, sides(network, family)[1]
        with network_namespace(network.name):
            self.listener = socket.create_server((self.address, 0), family=family, backlog=1024)
        self.listener.setblocking(False)
        self.peers = []

    def serve(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.peers.append(self.listener.accept()[0])
        for peer in self.peers:
            peer.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while data := peer.recv(100):
                    peer.send(data)

    def dial(self):
        """A connection that has been begun."""
        s = socket.socket(self.family)
        s.setblocking(False)
        assert s.connect_ex((self.address, self.listener.getsockname()[1])) in (0, errno.EINPROGRESS)
        return s

    def answers(self, s, timeout):
        """Does a byte that is sent come back?"""
        end = time.monotonic() + timeout
        s.send(b"x")
        return self.returns(s, end)

    def returns(self, s, end):
        while time.monotonic() < end:
            self.serve()
            if select.select([s], [], [], 0.01)[0]:
                return s.recv(100) != b""
        return False

    def close(self):
        for s in (self.listener, *self.peers):
            s.close()


def is_connected(s):
    poll = select.poll()
    poll.register(s, select.POLLOUT)
    return any(e & select.POLLOUT for _, e in poll.poll(0)) and s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_a_share_of_tcp_flows(hooked, network):
    """Of 300 connections some never open, and the others are whole."""
    n, percent = 300, 30
    server = Echo(network)
    with contextlib.closing(server), contextlib.ExitStack() as stack:
        first = stack.enter_context(server.dial())
        wait_for(lambda: is_connected(first), "neighbours known")
        with fault_on(hooked, "network-blackhole", interface=network.dev, protocol="tcp", flows=percent):
            dialled = [stack.enter_context(server.dial()) for _ in range(n)]
            expected = n * (1 - percent / 100) - 6 * (n * 0.3 * 0.7) ** 0.5
            wait_for(lambda: sum(map(is_connected, dialled)) >= expected, "the others connected")
            stable = wait_stable(lambda: [is_connected(s) for s in dialled])
            assert_share(stable.count(False), n, percent)
            for s, is_open in zip(dialled, stable):
                assert not is_open or server.answers(s, harness.PATIENCE)
        wait_for(lambda: all(map(is_connected, dialled)), "all connected when it has ended")


def wait_stable(look, seconds=1.5):
    """What it is when it was that for so long: longer than it takes until a lost SYN is sent again."""
    last, since = look(), time.monotonic()
    while time.monotonic() < since + seconds:
        time.sleep(0.05)
        if (now := look()) != last:
            last, since = now, time.monotonic()
    return last


@pytest.mark.parametrize("family", [V4, V6])
def test_new_and_established_connections(hooked, network, family):
    server = Echo(network, family)
    with contextlib.closing(server), contextlib.ExitStack() as stack:
        old = stack.enter_context(server.dial())
        wait_for(lambda: is_connected(old), "connected")
        assert server.answers(old, harness.PATIENCE)

        for direction in ("egress", "ingress", "both"):
            with fault_on(hooked, "network-blackhole", interface=network.dev, protocol="tcp", connections="new",
                          direction=direction) as fault:
                new = stack.enter_context(server.dial())
                wait_for(lambda: hooked.figures(fault)["dropped"] >= 1, "the SYN, or its answer, is lost")
                assert server.answers(old, harness.PATIENCE)
                assert not is_connected(new)
            wait_for(lambda: is_connected(new), "connected when it has ended")
            assert server.answers(new, harness.PATIENCE)

        with fault_on(hooked, "network-blackhole", interface=network.dev, protocol="tcp", connections="established") as fault:
            new = stack.enter_context(server.dial())
            wait_for(lambda: is_connected(new), "the SYN and its answer pass")
            assert not server.answers(old, 0.3)
            assert hooked.figures(fault)["dropped"] >= 1
        assert server.returns(old, time.monotonic() + harness.PATIENCE)


@pytest.mark.parametrize("connections", ["new", "established"])
def test_connections_are_of_tcp_alone(hooked, network, connections):
    status, error = hooked.fault("network-loss", interface=network.dev, connections=connections, protocol="udp")
    assert status == 400 and "connections" in error["message"] and "tcp" in error["message"], error
    with fault_on(hooked, "network-blackhole", interface=network.dev, connections=connections, protocol="tcp") as fault:
        assert network.ping(network.there) == 1
    assert figures(fault) == {"matched": 0, "dropped": 0}
