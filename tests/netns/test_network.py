# SPDX-License-Identifier: Apache-2.0
"""network-loss and network-blackhole with real packets, over veth pairs of the test's own."""

import contextlib
import http.client
import errno
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from lib import harness
from lib.harness import HostState, Network, assert_put_back, network_namespace, run, wait_for

pytestmark = pytest.mark.usefixtures("root")

IPV6_RECVERR = 25
IP_RECVERR = 11
SO_RCVBUFFORCE = 33
V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.fixture(params=["tcx", "clsact"])
def hook(request):
    return request.param


@pytest.fixture
def hooked(tmp_path, hook, network):
    """A running faultd that uses the hook, and the network, which must be as before at the end."""
    before = HostState(devices=[network.dev])
    d = harness.Faultd(tmp_path / "faultd", config={"classifierHook": hook})
    try:
        yield d
        d.request("DELETE", "/v1/faults")
        assert d.journals() == []
        if pathlib.Path(f"/sys/class/net/{network.dev}").exists():
            assert_put_back(before, lambda: HostState(devices=[network.dev]))
    finally:
        d.close()


@pytest.fixture
def plain(tmp_path):
    d = harness.Faultd(tmp_path / "faultd")
    yield d
    d.close()


@contextlib.contextmanager
def fault_on(d, action, **parameters):
    """The fault holds within the block. Yields a dict that is the ended fault after it."""
    fault = d.start_fault(action, parameters=parameters)
    assert [s["state"] for s in fault["steps"]] == ["applied"] * len(fault["steps"])
    yield fault
    fault.update(d.stop_fault(fault))
    assert fault["state"] == "done", fault


def figures(fault):
    return {f["name"]: f["value"] for f in fault["figures"]}


class Udp:
    """A bound socket on each side. send() counts what was handed over, received() what arrived."""

    def __init__(self, network, family=V4, here_port=0, there_port=0):
        self.addresses = (network.here, network.there) if family == V4 else (network.here6, network.there6)
        self.here = self.make(family, self.addresses[0], here_port)
        with network_namespace(network.name):
            self.there = self.make(family, self.addresses[1], there_port)

    @staticmethod
    def make(family, address, port):
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        s.bind((address, port))
        s.setblocking(False)
        return s

    def close(self):
        self.here.close()
        self.there.close()

    def out(self, n=20):
        """How many of n that leave here arrive there."""
        return self.across(self.here, self.there, n)

    def back(self, n=20):
        return self.across(self.there, self.here, n)

    @staticmethod
    def across(sender, receiver, n):
        """Not more at once than a queue of the kernel holds; lost is what stays away for a while."""
        to, got = receiver.getsockname(), 0
        with contextlib.suppress(BlockingIOError):  # what came too late before, while the neighbour was asked for
            while True:
                receiver.recv(100)
        for first in range(0, n, 50):
            for _ in range(min(50, n - first)):
                sender.sendto(b"x" * 64, to)
            got += Udp.drain(receiver, min(n, first + 50) - got, 0.005)
        return got + Udp.drain(receiver, n - got, 0.15)

    @staticmethod
    def drain(receiver, most, quiet):
        got, until = 0, time.monotonic() + quiet
        while got < most and time.monotonic() < until:
            try:
                receiver.recv(100)
                got, until = got + 1, time.monotonic() + quiet
            except BlockingIOError:
                time.sleep(0.001)
        return got


@contextlib.contextmanager
def udp(*args, **kwargs):
    u = Udp(*args, **kwargs)
    with contextlib.closing(u):
        wait_for(lambda: u.out(1) and u.back(1), "neighbours known")
        yield u


class Listener:
    """A TCP server inside the namespace."""

    def __init__(self, network, family=V4, port=0):
        self.address = network.there if family == V4 else network.there6
        with network_namespace(network.name):
            self.socket = socket.create_server((self.address, port), family=family, backlog=64)
        self.socket.settimeout(harness.PATIENCE)
        self.port = self.socket.getsockname()[1]
        self.family = family

    def connects(self, timeout=0.4, source=None):
        with socket.socket(self.family) as s:
            s.settimeout(timeout)
            if source:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("", source))
            try:
                s.connect((self.address, self.port))
                return True
            except (TimeoutError, OSError):
                return False

    def close(self):
        self.socket.close()


def neighbour(network, address):
    out = run("ip", "-j", "neigh", "show", address, "dev", network.dev)
    entries = json.loads(out or "[]")
    return entries[0]["state"] if entries else []


# What is dropped


@pytest.mark.parametrize("direction, out, back", [("egress", 0, 20), ("ingress", 20, 0), ("both", 0, 0)])
def test_direction_and_address_family(hooked, network, direction, out, back):
    for family in (V4, V6):
        with udp(network, family) as u:
            assert (u.out(), u.back()) == (20, 20)
            with fault_on(hooked, "network-blackhole", interface=network.dev, direction=direction, protocol="udp") as fault:
                assert (u.out(), u.back()) == (out, back)
            assert (u.out(), u.back()) == (20, 20)
            assert figures(fault) == {"matched": 40 - out - back, "dropped": 40 - out - back}


@pytest.mark.parametrize("action", ["network-loss", "network-blackhole"])
def test_protocols(hooked, network, action):
    percent = {"percent": 100} if action == "network-loss" else {}
    listeners = [Listener(network), Listener(network, V6)]
    with udp(network) as u4, udp(network, V6) as u6, contextlib.ExitStack() as stack:
        for listener in listeners:
            stack.callback(listener.close)

        def passes():
            kinds = set()
            kinds |= {"tcp"} if listeners[0].connects() else set()
            kinds |= {"tcp6"} if listeners[1].connects() else set()
            kinds |= {"udp"} if u4.out(3) == 3 else set()
            kinds |= {"udp6"} if u6.out(3) == 3 else set()
            kinds |= {"icmp"} if network.ping(network.there) else set()
            kinds |= {"icmp6"} if network.ping(network.there6) else set()
            return kinds

        everything = {"tcp", "tcp6", "udp", "udp6", "icmp", "icmp6"}
        assert passes() == everything
        for protocol in ("tcp", "udp", "icmp", "any", "sctp"):
            gone = everything if protocol == "any" else {protocol, protocol + "6"} & everything
            with fault_on(hooked, action, interface=network.dev, protocol=protocol, **percent):
                assert passes() == everything - gone, protocol
        assert passes() == everything


def test_ports_ranges_and_source_ports(hooked, network):
    ports = [20001, 20002, 20005, 20007, 20010, 20011]
    sockets = {}
    with contextlib.ExitStack() as stack:
        for family in (V4, V6):
            for port in ports:
                sockets[family, port] = stack.enter_context(udp(network, family, here_port=port + 1000, there_port=port))

        def through(family):
            return [p for p in ports if sockets[family, p].out(3) == 3]

        for parameters, gone in (
                ({"ports": "20001"}, [20001]), ({"ports": 20001}, [20001]), ({"ports": [20001, "20010-20011"]}, [20001, 20010, 20011]),
                ({"ports": "20002-20007"}, [20002, 20005, 20007]), ({"ports": "1-65535"}, ports), ({"ports": "21001"}, []),
                ({"sourcePorts": "21001"}, [20001]), ({"sourcePorts": "21005-21010"}, [20005, 20007, 20010]),
                ({"sourcePorts": "20001"}, []), ({"ports": "20001-20005", "sourcePorts": "21005-21011"}, [20005])):
            for protocol in ("udp", "any"):
                with fault_on(hooked, "network-loss", interface=network.dev, percent=100, protocol=protocol, **parameters) as fault:
                    for family in (V4, V6):
                        assert through(family) == [p for p in ports if p not in gone], (parameters, protocol)
                assert figures(fault)["dropped"] == len(gone) * 6, (parameters, protocol)
        with fault_on(hooked, "network-loss", interface=network.dev, percent=100, protocol="tcp", ports="20001"):
            assert through(V4) == ports
        # What arrives has the port of its receiver as destination too.
        with fault_on(hooked, "network-loss", interface=network.dev, percent=100, direction="ingress", ports="21001"):
            assert sockets[V4, 20001].back(3) == 0 and sockets[V4, 20002].back(3) == 3 and sockets[V4, 20001].out(3) == 3


def test_a_tcp_port_is_blackholed_and_another_is_not(hooked, network):
    with contextlib.closing(Listener(network, port=20080)) as bad, contextlib.closing(Listener(network, port=20081)) as good:
        with fault_on(hooked, "network-blackhole", interface=network.dev, protocol="tcp", ports="20080", direction="egress"):
            assert not bad.connects() and good.connects()
        assert bad.connects()


def test_addresses_and_their_exceptions(hooked, network):
    """The longest prefix decides, wherever it was given."""
    base4, base6 = network.there.rsplit(".", 1)[0], network.there6.rsplit("::", 1)[0]
    peers = []
    with contextlib.ExitStack() as stack:
        for i in (2, 20, 21, 22, 200):
            for address, length in ((f"{base4}.{i}", 24), (f"{base6}::{i:x}", 64)):
                if i != 2:
                    run("ip", "-n", network.name, "addr", "add", f"{address}/{length}", "dev", network.peer,
                        *(["nodad"] if ":" in address else []))
                with network_namespace(network.name):
                    family = V6 if ":" in address else V4
                    peers.append((address, stack.enter_context(contextlib.closing(Udp.make(family, address, 0)))))
        senders = {family: stack.enter_context(contextlib.closing(Udp.make(family, "", 0))) for family in (V4, V6)}

        def reached(n=3):
            return [a for a, s in peers if Udp.across(senders[s.family], s, n) == n]

        everyone = [a for a, _ in peers]
        wait_for(lambda: reached(1) == everyone, "neighbours known")
        v4 = [a for a in everyone if "." in a]
        v6 = [a for a in everyone if ":" in a]
        for include, exclude, gone in (
                (f"{base4}.20", None, [f"{base4}.20"]),
                (f"{base4}.20/32,{base6}::14/128", None, [f"{base4}.20", f"{base6}::14"]),
                (f"{base4}.16/28", None, [f"{base4}.{i}" for i in (20, 21, 22)]),
                ("0.0.0.0/0", None, v4), ("0.0.0.0/0,::/0", None, everyone),
                (f"{base4}.0/24", f"{base4}.16/28", [f"{base4}.2", f"{base4}.200"]),
                (f"{base4}.0/24,{base4}.21/32", f"{base4}.16/28", [f"{base4}.{i}" for i in (2, 21, 200)]),
                (f"{base6}::/64", f"{base6}::10/124", [f"{base6}::2", f"{base6}::c8"]),
                (None, f"{base4}.20,{base6}::/64", [a for a in v4 if not a.endswith(".20")]),
                (None, "0.0.0.0/0", v6), (["192.0.2.0/24"], None, [])):
            parameters = {k: v for k, v in (("peers", include), ("excludePeers", exclude)) if v}
            with fault_on(hooked, "network-loss", interface=network.dev, percent=100, protocol="udp", **parameters) as fault:
                assert reached() == [a for a in everyone if a not in gone], parameters
            assert figures(fault)["dropped"] == 3 * len(gone)


def test_all_of_ipv6_is_not_ipv4(hooked, network):
    with udp(network) as u4, udp(network, V6) as u6:
        with fault_on(hooked, "network-loss", interface=network.dev, percent=100, peers="::/0"):
            assert (u4.out(), u6.out()) == (20, 0)
        with fault_on(hooked, "network-blackhole", interface=network.dev, excludePeers="::/0"):
            assert (u4.out(), u6.out()) == (0, 20)


@pytest.mark.parametrize("percent", [30, 2.5, 99, 100])
def test_the_share_that_is_lost(hooked, network, percent):
    n = 2000
    for family in (V4, V6):
        with udp(network, family, there_port=20100) as u:
            u.there.setblocking(False)
            with fault_on(hooked, "network-loss", interface=network.dev, percent=percent, protocol="udp", ports=20100) as fault:
                arrived = u.out(n)
                shown = figures(hooked.show(fault))
            assert figures(fault) == shown == {"matched": n, "dropped": n - arrived}
            # Six standard deviations of a binomial distribution, and a little.
            share = percent / 100
            assert abs((n - arrived) - n * share) <= 6 * (n * share * (1 - share)) ** 0.5 + 1


def test_figures_of_an_attached_fault(hooked, network):
    with udp(network) as u:
        stream = hooked.attach("network-loss", "30s", interface=network.dev, percent=100, protocol="udp")
        fault = stream.line()["fault"]
        assert u.out(50) == 0
        event = stream.until(lambda e: e["event"] == "figures" and figures(e)["dropped"] == 50)
        assert event["id"] == fault["id"]
        stream.close()
        hooked.wait_state(fault, "done")
        assert u.out() == 20


def test_the_default_share_and_interface_lists(hooked, network):
    other = Network()
    try:
        before = HostState(devices=[network.dev, other.dev])
        with udp(network) as a, udp(other) as b:
            with fault_on(hooked, "network-blackhole", interface=f"{network.dev},{other.dev}", direction="egress") as fault:
                assert a.out() == 0 and b.out() == 0
                assert len({s["text"] for s in fault["steps"]}) == len(fault["steps"])
            with fault_on(hooked, "network-blackhole", interface=[other.dev, other.dev], direction="egress"):
                assert a.out() == 20 and b.out() == 0
            plan = hooked.fault("network-loss", dryRun=True, interface=network.dev)[1]
            assert plan["parameters"]["percent"] == 7 and plan["parameters"]["direction"] == "egress"
        assert_put_back(before, lambda: HostState(devices=[network.dev, other.dev]))
    finally:
        other.close()


# What is spared


def test_neighbours_are_found_under_a_total_blackhole(hooked, network):
    with udp(network) as u4, udp(network, V6) as u6:
        with fault_on(hooked, "network-blackhole", interface=network.dev, direction="both"):
            for u, address in ((u4, network.there), (u6, network.there6)):
                run("ip", "neigh", "flush", "dev", network.dev)
                assert "REACHABLE" not in neighbour(network, address)
                assert u.out(3) == 0
                wait_for(lambda a=address: "REACHABLE" in neighbour(network, a), f"{address} resolved")
                assert u.out(3) == 0


def test_dhcp_is_spared(hooked, network):
    with contextlib.ExitStack() as stack:
        spared = [stack.enter_context(udp(network, V4, 68, 67)), stack.enter_context(udp(network, V6, 546, 547))]
        with fault_on(hooked, "network-blackhole", interface=network.dev, direction="both"):
            assert [(u.out(), u.back()) for u in spared] == [(20, 20)] * 2
        with fault_on(hooked, "network-blackhole", interface=network.dev, direction="both", allowLockout=True):
            assert [(u.out(), u.back()) for u in spared] == [(0, 0)] * 2


def test_allow_lockout_cuts_off_neighbour_discovery_too(hooked, network):
    with udp(network, V6) as u6:
        with fault_on(hooked, "network-blackhole", interface=network.dev, direction="both", allowLockout=True):
            run("ip", "neigh", "flush", "dev", network.dev)
            u6.out(3)
            wait_for(lambda: "FAILED" in neighbour(network, network.there6), "no neighbour")
        wait_for(lambda: u6.out(3) == 3, "found again")


METADATA = ["169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"]


class TwoNamespaces:
    """Two namespaces and a veth pair between them: nothing of the host is in it."""

    def __init__(self):
        self.a, self.b = f"fdm{os.getpid()}a", f"fdm{os.getpid()}b"
        self.dev = "fdm0"
        for name in (self.a, self.b):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", self.a, "link", "add", self.dev, "type", "veth", "peer", "name", "fdm1", "netns", self.b)
        for name, dev, n in ((self.a, self.dev, 1), (self.b, "fdm1", 2)):
            run("ip", "-n", name, "addr", "add", f"10.97.0.{n}/24", "dev", dev)
            run("ip", "-n", name, "addr", "add", f"fd97::{n}/64", "dev", dev, "nodad")
            run("ip", "-n", name, "link", "set", dev, "up")
        for address in [*METADATA, "169.254.169.253", "fd00:ec2::253"]:
            bits, via = ("128", "fd97::2") if ":" in address else ("32", "10.97.0.2")
            run("ip", "-n", self.b, "addr", "add", f"{address}/{bits}", "dev", "fdm1", *(["nodad"] if ":" in address else []))
            run("ip", "-n", self.a, "route", "add", f"{address}/{bits}", "via", via)

    def close(self):
        for name in (self.a, self.b):
            run("ip", "netns", "del", name, check=False)


def test_metadata_addresses_are_spared(tmp_path, hook):
    """In a namespace of its own, faultd too: the host's own way to these addresses stays what it is."""
    space = TwoNamespaces()
    d = None
    try:
        d = harness.Faultd(tmp_path / "faultd", config={"classifierHook": hook}, prefix=["ip", "netns", "exec", space.a])
        with contextlib.ExitStack() as stack:
            pairs = {}
            for address in [*METADATA, "169.254.169.253", "fd00:ec2::253", "10.97.0.2", "fd97::2"]:
                family = V6 if ":" in address else V4
                with network_namespace(space.b):
                    there = stack.enter_context(contextlib.closing(Udp.make(family, address, 0)))
                with network_namespace(space.a):
                    here = stack.enter_context(contextlib.closing(Udp.make(family, "fd97::1" if family == V6 else "10.97.0.1", 0)))
                pairs[address] = here, there
                wait_for(lambda p=pairs[address]: Udp.across(*p, 1), f"{address} reached")

            def reached():
                return [a for a, (h, t) in pairs.items() if Udp.across(h, t, 5) == 5 and Udp.across(t, h, 5) == 5]

            assert reached() == list(pairs)
            with fault_on(d, "network-blackhole", interface=space.dev, direction="both"):
                assert reached() == METADATA
            with fault_on(d, "network-blackhole", interface=space.dev, direction="both", peers=["0.0.0.0/0", "::/0", "169.254.0.0/16",
                                                                                             "fd00:ec2::/32"]):
                assert reached() == METADATA
            with fault_on(d, "network-blackhole", interface=space.dev, direction="both", allowLockout=True):
                assert reached() == []
            wait_for(lambda: reached() == list(pairs), "all as before")
    finally:
        if d:
            d.close()
        space.close()


SSHD = """
import ctypes, json, os, socket, sys
address, port, path, body = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
s = socket.create_connection((address, port))
ctypes.CDLL(None).prctl(15, b"sshd", 0, 0, 0)
if os.fork() == 0:
    ctypes.CDLL(None).prctl(15, b"a-shell", 0, 0, 0)
    if os.fork() == 0:
        c = socket.socket(socket.AF_UNIX)
        c.connect(path)
        c.sendall(b"POST /v1/faults HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body.encode())
        answer = b""
        while piece := c.recv(65536):
            answer += piece
        print(answer.partition(b"\\r\\n\\r\\n")[2].decode(), flush=True)
        os._exit(0)
    os.wait()
    os._exit(0)
while data := s.recv(1000):
    s.sendall(data)
"""


@pytest.mark.parametrize("family", [V4, V6], ids=["ipv4", "ipv6"])
def test_the_callers_ssh_connection_is_spared(hooked, network, family):
    address = network.there if family == V4 else network.there6

    def echoes(connection, n=3, timeout=1.5):
        connection.settimeout(timeout)
        with contextlib.suppress(TimeoutError):
            for i in range(n):
                connection.sendall(b"%04d" % i)
                if connection.recv(100) != b"%04d" % i:
                    return False
            return True
        return False

    with contextlib.closing(Listener(network, family)) as listener:
        for lockout in (False, True):
            body = json.dumps({"action": "network-blackhole", "duration": "30s",
                               "parameters": {"interface": network.dev, "direction": "both", "allowLockout": lockout}})
            with socket.create_connection((address, listener.port)) as other:
                other_end = listener.socket.accept()[0]
                sshd = subprocess.Popen([sys.executable, "-c", SSHD, address, str(listener.port), hooked.socket, body],
                                        stdout=subprocess.PIPE, text=True)
                ssh_end = listener.socket.accept()[0]
                try:
                    fault = json.loads(sshd.stdout.readline())
                    assert fault["state"] == "active", fault
                    assert pathlib.Path(f"/proc/{sshd.pid}/comm").read_text().strip() == "sshd"
                    assert echoes(ssh_end) is not lockout
                    other_end.sendall(b"x")
                    other.settimeout(0.7)
                    with pytest.raises(TimeoutError):
                        other.recv(1)
                    ended = hooked.stop_fault(fault)
                    assert ended["state"] == "done"
                    other.settimeout(harness.PATIENCE)
                    assert other.recv(1) == b"x"  # TCP repeats what was lost
                finally:
                    sshd.kill()
                    sshd.wait()
                    ssh_end.close()
                    other_end.close()


# What the sender notices


def test_a_drop_is_silent_unless_asked(hooked, network):
    for family, address, level, option in ((V4, network.there, socket.SOL_IP, IP_RECVERR),
                                           (V6, network.there6, socket.IPPROTO_IPV6, IPV6_RECVERR)):
        with udp(network, family) as u:
            u.here.setsockopt(level, option, 1)  # asks for errors of the local queue too
            with fault_on(hooked, "network-blackhole", interface=network.dev, direction="egress"):
                assert u.out() == 0
                done = subprocess.run(["ping", "-n", "-c", "2", "-i", "0.1", "-W", "0.5", address], capture_output=True, text=True,
                                      timeout=harness.PATIENCE)
                assert "100% packet loss" in done.stdout and done.stderr == "" and "No buffer" not in done.stdout
            with fault_on(hooked, "network-blackhole", interface=network.dev, direction="egress", visible=True):
                with pytest.raises(OSError) as error:
                    u.out(1)
                assert error.value.errno == errno.ENOBUFS
                done = subprocess.run(["ping", "-n", "-c", "1", "-W", "0.5", address], capture_output=True, text=True,
                                      timeout=harness.PATIENCE)
                assert "No buffer space" in done.stdout + done.stderr
            assert u.out() == 20


# Several faults, third parties, ends


@pytest.mark.parametrize("first_ends_first", [True, False])
def test_two_faults_on_one_interface(hooked, network, first_ends_first):
    with udp(network, there_port=20201) as a, udp(network, there_port=20202) as b:
        faults = [hooked.start_fault("network-loss", interface=network.dev, percent=100, ports=p) for p in (20201, 20202)]
        assert (a.out(), b.out()) == (0, 0)
        order = [0, 1] if first_ends_first else [1, 0]
        hooked.stop_fault(faults[order[0]])
        assert (a.out(), b.out()) == ((20, 0) if first_ends_first else (0, 20))
        hooked.stop_fault(faults[order[1]])
        assert (a.out(), b.out()) == (20, 20)
        assert [figures(hooked.show(f))["dropped"] for f in faults] == ([20, 40] if first_ends_first else [40, 20])


def test_two_directions_and_a_third_fault_between(hooked, network):
    with udp(network) as u:
        egress = hooked.start_fault("network-blackhole", interface=network.dev, direction="egress")
        both = hooked.start_fault("network-blackhole", interface=network.dev, direction="both")
        hooked.stop_fault(egress)
        assert (u.out(), u.back()) == (0, 0)
        ingress = hooked.start_fault("network-blackhole", interface=network.dev, direction="ingress")
        hooked.stop_fault(both)
        assert (u.out(), u.back()) == (20, 0)
        hooked.stop_fault(ingress)
        assert (u.out(), u.back()) == (20, 20)


def test_more_faults_than_a_classifier_has_room_for(hooked, network):
    """As many as fit work; the next is refused and leaves no trace; ended ones make room."""
    faults = []
    with udp(network, there_port=20301) as u:
        for _ in range(40):
            status, fault = hooked.fault("network-loss", interface=network.dev, percent=100, ports=20301)
            if status != 201:
                break
            faults.append(fault)
        assert status == 402 and fault["code"] == "ServiceQuotaExceededException", fault
        assert len(faults) >= 8
        assert len(hooked.journals()) == len(faults)
        assert u.out() == 0
        hooked.stop_fault(faults[0])
        assert u.out() == 0
        hooked.stop_fault(hooked.start_fault("network-loss", interface=network.dev, percent=100, ports=20301))
        hooked.request("DELETE", "/v1/faults")
        assert u.out() == 20


def add_third_party_filters(dev):
    """Someone else's: classic BPF, for which tc needs no compiler, that has no opinion."""
    for side in ("egress", "ingress"):
        run("tc", "filter", "add", "dev", dev, side, "pref", "77", "protocol", "ip", "bpf", "bytecode", "1,6 0 0 0,", "flowid", "1:7")


def test_filters_of_others_survive(tmp_path, hook, network):
    """Those that were there before, and those that came while a fault held the qdisc."""
    d = harness.Faultd(tmp_path / "faultd", config={"classifierHook": hook})
    try:
        run("tc", "qdisc", "add", "dev", network.dev, "clsact")
        add_third_party_filters(network.dev)
        before = HostState(devices=[network.dev])
        with udp(network) as u:
            with fault_on(d, "network-blackhole", interface=network.dev, direction="both"):
                assert (u.out(), u.back()) == (0, 0)
            assert (u.out(), u.back()) == (20, 20)
            assert_put_back(before, lambda: HostState(devices=[network.dev]))
            run("tc", "qdisc", "del", "dev", network.dev, "clsact")
            with fault_on(d, "network-blackhole", interface=network.dev, direction="both") as fault:
                if hook == "tcx":
                    run("tc", "qdisc", "add", "dev", network.dev, "clsact")
                add_third_party_filters(network.dev)
                assert (u.out(), u.back()) == (0, 0)
            left = [f"clsact on {network.dev} holds filters of others: left alone"] if hook == "clsact" else []
            assert [n for n in fault["notes"] if "clsact" in n] == left, fault["notes"]
            assert "clsact" in run("tc", "qdisc", "show", "dev", network.dev)
            assert_put_back(before, lambda: HostState(devices=[network.dev]))
            assert (u.out(), u.back()) == (20, 20)
            assert d.journals() == []
    finally:
        d.close()


@pytest.mark.parametrize("end", ["stop", "deadline", "replaced"])
def test_an_interface_that_vanishes(hooked, network, end):
    fault = hooked.start_fault("network-blackhole", "2s" if end == "deadline" else "30s", interface=network.dev, direction="both")
    second = hooked.start_fault("network-loss", "2s" if end == "deadline" else "30s", interface=network.dev)
    run("ip", "link", "del", network.dev)
    if end == "replaced":  # another interface under the same name is none of the fault's
        run("ip", "link", "add", network.dev, "type", "veth", "peer", "name", network.peer, "netns", network.name)
        run("ip", "link", "set", network.dev, "up")
    for f in (fault, second):
        ended = hooked.wait_state(f, "done") if end == "deadline" else hooked.stop_fault(f)
        assert ended["state"] == "done" and "error" not in ended, ended
    status = hooked.get("/v1/status")[1]
    assert status["openFaults"] == 0 and status["stuckFaults"] == 0
    code, error = hooked.fault("network-loss", interface="fdgone0")
    assert (code, error["field"]) == (400, "parameters.interface")
    other = Network()
    try:
        with udp(other) as u, fault_on(hooked, "network-blackhole", interface=other.dev, direction="egress"):
            assert u.out() == 0
    finally:
        other.close()


def test_the_filter_of_another_faultd_stays(tmp_path, network):
    """Refused, and also when the second one hangs at that moment, and its guardian undoes."""
    first = harness.Faultd(tmp_path / "first", config={"classifierHook": "clsact"})
    # Behind its qdisc; where faultd was built without crash points it does not hang.
    second = harness.Faultd(tmp_path / "second", config={"classifierHook": "clsact"}, env={"FAULTD_HALT_AT": "10"})
    try:
        with udp(network) as u:
            with fault_on(first, "network-blackhole", interface=network.dev, direction="egress"):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    status, error = second.fault("network-blackhole", interface=network.dev, direction="egress")
                    assert status == 409 and "another faultd" in error["message"], error
                wait_for(lambda: second.journals() == [], "the second has put back what it did")
                assert u.out() == 0
            assert u.out() == 20
        assert "halted" not in second.log() or "before an undo" in second.log()
    finally:
        second.close()
        first.close()


def test_the_qdisc_of_a_fault_that_has_ended_is_not_forgotten(tmp_path, network):
    """The one that is left did not add it; from its journal alone it must come out that it has to go."""
    before = HostState(devices=[network.dev])
    with contextlib.closing(harness.Faultd(tmp_path / "faultd", config={"classifierHook": "clsact"})) as d:
        first = d.start_fault("network-blackhole", interface=network.dev, direction="egress")
        d.start_fault("network-blackhole", interface=network.dev, direction="ingress")
        d.stop_fault(first)
        d.kill()
        wait_for(lambda: d.journals() == [], "the guardian has put it back")
        assert_put_back(before, lambda: HostState(devices=[network.dev]))


def test_an_ingress_qdisc_is_not_taken_for_clsact(tmp_path, network):
    """It has clsact's place, and would run an egress filter on what arrives."""
    run("tc", "qdisc", "add", "dev", network.dev, "ingress")
    before = HostState(devices=[network.dev])
    d = harness.Faultd(tmp_path / "faultd", config={"classifierHook": "clsact"})
    try:
        status, error = d.fault("network-blackhole", interface=network.dev, direction="egress")
        assert status == 501 and "ingress qdisc" in error["message"], error
        assert d.journals() == []
        assert_put_back(before, lambda: HostState(devices=[network.dev]))
        assert network.ping(network.there, 3) == 3
    finally:
        d.close()


def test_an_interface_that_goes_down_and_comes_up(hooked, network):
    with udp(network) as u:
        with fault_on(hooked, "network-blackhole", interface=network.dev, direction="egress"):
            run("ip", "link", "set", network.dev, "down")
            run("ip", "link", "set", network.dev, "up")
            wait_for(lambda: u.back(1) == 1, "the link works")
            assert u.out() == 0
        wait_for(lambda: u.out(1) == 1, "the link works")


def test_dropping_ends_at_the_deadline_by_itself(hooked, network):
    """With faultd and its guardian standing still, the program in the kernel keeps the time."""
    guardian = hooked.guardian_pid()
    with udp(network) as u:
        started = time.monotonic()
        fault = hooked.start_fault("network-blackhole", "2500ms", interface=network.dev, direction="both")
        try:
            os.kill(guardian, signal.SIGSTOP)
            os.kill(hooked.pid, signal.SIGSTOP)
            assert (u.out(3), u.back(3)) == (0, 0)
            wait_for(lambda: u.out(1) == 1 and u.back(1) == 1, "packets pass again")
            assert time.monotonic() - started > 2.4
            assert harness.state_of(hooked.pid) == "T" and harness.state_of(guardian) == "T"
        finally:
            os.kill(hooked.pid, signal.SIGCONT)
            ended = hooked.wait_state(fault, "done")
            os.kill(guardian, signal.SIGCONT)
        assert ended["reason"] == "deadline"
        assert (u.out(), u.back()) == (20, 20)
        assert hooked.process.poll() is None
        hooked.stop_fault(hooked.start_fault("cpu-stress", percent=1, cpus="0-0"))


def test_stopping_faultd_ends_all(tmp_path, hook, network):
    before = HostState(devices=[network.dev])
    d = harness.Faultd(tmp_path / "faultd", config={"classifierHook": hook})
    try:
        with udp(network) as u:
            for direction in ("egress", "ingress", "both"):
                d.start_fault("network-blackhole", interface=network.dev, direction=direction)
            assert u.out() == 0
            assert d.stop() == 0
            assert (u.out(), u.back()) == (20, 20)
    finally:
        d.close()
    assert_put_back(before, lambda: HostState(devices=[network.dev]))


def test_tcx_leaves_qdiscs_alone_and_clsact_is_ours_to_remove(hooked, hook, network):
    qdiscs = run("tc", "qdisc", "show", "dev", network.dev)
    with fault_on(hooked, "network-loss", interface=network.dev) as fault:
        during = run("tc", "qdisc", "show", "dev", network.dev)
        kinds = [s["kind"] for s in fault["steps"]]
        if hook == "tcx":
            assert during == qdiscs and kinds == ["bpf_link", "rule"]
        else:
            assert "clsact" in during and kinds == ["qdisc", "filter", "rule"]
    assert run("tc", "qdisc", "show", "dev", network.dev) == qdiscs


def test_hosts_without_a_hook_choose_one(plain, network):
    with udp(network) as u, fault_on(plain, "network-blackhole", interface=network.dev, direction="egress"):
        assert u.out() == 0
