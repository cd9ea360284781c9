# SPDX-License-Identifier: Apache-2.0
"""network-reset that cuts: connections that there are end at once, others live on. Between namespaces of the test's own."""

import contextlib
import errno
import resource
import socket

import pytest

from lib import harness
from lib.harness import Network, network_namespace, run, wait_for

pytestmark = pytest.mark.usefixtures("root")

V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.fixture
def d(tmp_path):
    d = harness.Faultd(tmp_path / "faultd")
    yield d
    d.request("DELETE", "/v1/faults")
    d.close()


class Pair:
    """A connection from here to a server inside the namespace, or the other way round; near is our end."""

    def __init__(self, network, family=V4, inwards=False, mapped=False, port=0):
        here, there = (network.here, network.there) if family == V4 else (network.here6, network.there6)
        if inwards:
            here, there = there, here
        with self.place(network, not inwards):
            listener = socket.create_server((there, port), family=family)
        self.port = listener.getsockname()[1]
        address = there if not mapped else f"::ffff:{there}"
        with self.place(network, inwards):
            self.client = socket.socket(V6 if mapped else family, socket.SOCK_STREAM)
        self.client.connect((address, self.port))
        self.server, _ = listener.accept()
        listener.close()
        self.near, self.far = (self.server, self.client) if inwards else (self.client, self.server)
        for s in self.near, self.far:
            s.settimeout(harness.PATIENCE)

    @staticmethod
    def place(network, inside):
        return network_namespace(network.name) if inside else contextlib.nullcontext()

    def lives(self):
        self.near.sendall(b"x")
        self.far.sendall(b"y")
        return self.far.recv(1) == b"x" and self.near.recv(1) == b"y"

    @staticmethod
    def error_of(s):
        try:
            return "end" if s.recv(1) == b"" else "data"
        except OSError as e:
            return errno.errorcode[e.errno]

    def assert_cut(self):
        assert self.error_of(self.near) == "ECONNABORTED"
        assert self.error_of(self.far) == "ECONNRESET"

    def close(self):
        self.client.close()
        self.server.close()


@contextlib.contextmanager
def pairs(*made):
    with contextlib.ExitStack() as stack:
        for p in made:
            stack.callback(p.close)
        for p in made:
            assert p.lives()
        yield made


def cut(d, network, **parameters):
    return d.start_fault("network-reset", parameters={"interface": network.dev, **{"how": "cut", **parameters}})


@pytest.mark.parametrize("family, mapped", [(V4, False), (V6, False), (V4, True)], ids=["IPv4", "IPv6", "mapped"])
@pytest.mark.parametrize("inwards", [False, True], ids=["out", "in"])
def test_cut(d, network, family, mapped, inwards):
    if inwards and mapped:
        pytest.skip("the near end is the listener's")
    with pairs(Pair(network, family, inwards, mapped), Pair(network, family, inwards, mapped)) as (one, two):
        fault = cut(d, network)
        one.assert_cut()
        two.assert_cut()
        assert d.figures(fault)["cut"] == 2
        assert [s["kind"] for s in fault["steps"]] == ["cut"]
        assert d.stop_fault(fault)["state"] == "done"
    with pairs(Pair(network, family, inwards, mapped)):
        pass


def test_only_what_matches(d, network):
    """Ports and peers, in the packet's own direction."""
    other = Network()
    try:
        with pairs(Pair(network), Pair(network), Pair(network, inwards=True), Pair(network, V6), Pair(other)) as (one, two, three, six, far):
            local = socket.create_server(("127.0.0.1", 0))
            own = socket.create_connection(local.getsockname())
            fault = cut(d, network, ports=one.port, direction="egress")
            one.assert_cut()
            assert all(p.lives() for p in (two, three, six, far))
            assert d.figures(fault)["cut"] == 1
            d.stop_fault(fault)
            # The server's port is a source port of what leaves.
            fault = cut(d, network, sourcePorts=three.port, direction="egress")
            three.assert_cut()
            assert all(p.lives() for p in (two, six, far))
            d.stop_fault(fault)
            fault = cut(d, network, peers=network.here, direction="both")
            assert d.figures(fault)["cut"] == 0
            d.stop_fault(fault)
            fault = cut(d, network, peers=f"{network.there}/24,{network.there6}/64", excludePeers=network.there6)
            two.assert_cut()
            assert six.lives() and far.lives()
            d.stop_fault(fault)
            fault = cut(d, network, excludePeers=network.there6)
            assert d.figures(fault)["cut"] == 0 and six.lives()
            d.stop_fault(fault)
            own.close()
            local.close()
    finally:
        other.close()


def test_half_closed(d, network):
    with pairs(Pair(network)) as (p,):
        p.far.shutdown(socket.SHUT_WR)
        assert p.near.recv(1) == b""
        cut(d, network)
        with pytest.raises(OSError):
            wait_for(lambda: p.near.send(b"x") and False, "an error")


def test_a_share_of_the_flows(d, network):
    many = [Pair(network) for _ in range(60)]
    with pairs(*many):
        fault = cut(d, network, flows=50)
        n = d.figures(fault)["cut"]
        assert 10 < n < 50  # beyond it is less likely than one in ten millions
        for p in many:
            p.near.setblocking(False)
        assert sum(p.error_of(p.near) == "ECONNABORTED" for p in many) == n


def test_more_than_at_once(d, network):
    """In rounds, with a server in the namespace that keeps what it accepts."""
    n = 1100
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * n + 200:
        pytest.skip("needs descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with network_namespace(network.name):
            listener = stack.enter_context(socket.create_server((network.there, 0), backlog=64))
        for _ in range(n):
            stack.enter_context(socket.create_connection(listener.getsockname(), timeout=harness.PATIENCE))
            stack.enter_context(listener.accept()[0])
        fault = cut(d, network)
        assert d.figures(fault)["cut"] == n


def test_cut_and_answered(d, network):
    """Both: who was cut connects anew in vain."""
    with pairs(Pair(network), Pair(network, V6)) as (one, six):
        fault = cut(d, network, how="both", peers=network.there)
        one.assert_cut()
        assert six.lives()
        assert d.figures(fault)["cut"] == 1
        with pytest.raises(ConnectionRefusedError):
            Pair(network)
        d.stop_fault(fault)
        with pairs(Pair(network)):
            pass


def test_by_default_nothing_is_cut(d, network):
    with pairs(Pair(network)) as (p,):
        fault = cut(d, network, how="answer", peers="192.0.2.1")
        assert "cut" not in d.figures(fault) and p.lives()


def test_what_is_new_is_not_there(d, network):
    status, answer = d.fault("network-reset", interface=network.dev, how="cut", connections="new")
    assert (status, answer["field"]) == (400, "parameters.how"), answer


def test_a_dry_run_cuts_nothing(d, network):
    with pairs(Pair(network)) as (p,):
        status, answer = d.fault("network-reset", interface=network.dev, how="cut", dryRun=True)
        assert status == 200, answer
        assert p.lives()


def test_who_connects_anew_lives(d, network):
    with pairs(Pair(network)) as (p,):
        cut(d, network)
        p.assert_cut()
        with pairs(Pair(network)) as (again,):
            assert again.lives()


def test_the_interface_is_gone(d, network):
    fault = cut(d, network)
    run("ip", "link", "del", network.dev)
    assert d.stop_fault(fault)["state"] == "done"
