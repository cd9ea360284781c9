# SPDX-License-Identifier: Apache-2.0
"""network-reset: connections that are refused and break, over veth pairs of the test's own."""

import contextlib
import fcntl
import os
import socket
import struct

import pytest

from lib import harness
from lib.harness import HostState, assert_put_back, network_namespace, run, wait_for
from lib.packets import ACK, RST, SYN, Packet, Wire, frame, set_offload, tcp_body

pytestmark = pytest.mark.usefixtures("root")

V4, V6 = socket.AF_INET, socket.AF_INET6
FAMILIES = pytest.mark.parametrize("family", [V4, V6], ids=["ipv4", "ipv6"])


@pytest.fixture(params=["tcx", "clsact"])
def hooked(request, tmp_path, network):
    """A running faultd that uses the hook; the network must be as before at the end."""
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
    assert [s["state"] for s in fault["steps"]] == ["applied"] * len(fault["steps"])
    yield fault
    fault.update(d.stop_fault(fault))
    assert fault["state"] == "done", fault


def figures(fault):
    return {f["name"]: f["value"] for f in fault["figures"]}


class Side:
    """This end of the wire, or the other one, as the place that sockets are made in."""

    def __init__(self, network, inside, family):
        self.network, self.inside, self.family = network, inside, family
        addresses = (network.there, network.there6) if inside else (network.here, network.here6)
        self.address = addresses[family == V6]
        self.dev = network.peer if inside else network.dev

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        if self.inside:
            self.stack.enter_context(network_namespace(self.network.name))
        return self

    def __exit__(self, *args):
        self.stack.close()

    def listen(self, port=0):
        with self:
            server = socket.create_server((self.address, port), family=self.family, backlog=64)
        server.settimeout(harness.PATIENCE)
        return server

    def connect(self, server, timeout=harness.PATIENCE):
        with self:
            s = socket.socket(self.family)
        s.settimeout(timeout)
        try:
            s.connect(server.getsockname()[:2])
        except BaseException:
            s.close()
            raise
        return s

    def mac(self):
        with self:
            link = run("ip", *(["-n", self.network.name] if self.inside else []), "-o", "link", "show", "dev", self.dev)
        return bytes.fromhex(link.split("link/ether ")[1].split()[0].replace(":", ""))

    def wire(self):
        with self:
            return contextlib.closing(Wire(self.dev))

    def offload(self, on):
        with self:
            set_offload(self.dev, on)


def sides(network, family):
    return Side(network, False, family), Side(network, True, family)


def refused(side, server):
    with pytest.raises(ConnectionRefusedError):
        side.connect(server).close()


def breaks(s, data=b"x"):
    """Using the connection ends it with ECONNRESET, on the next use at the latest."""
    with pytest.raises(ConnectionResetError):
        s.sendall(data)
        s.recv(1)


@FAMILIES
@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_connections_are_refused_and_break(hooked, network, family, direction):
    """Those of the side whose segments match; other ports, and the same one afterwards, are as ever."""
    here, there = sides(network, family)
    client, host = (here, there) if direction == "egress" else (there, here)
    with host.listen() as server, host.listen() as other, client.connect(server) as old, server.accept()[0], \
            client.connect(other) as others, other.accept()[0] as others_end:
        with fault_on(hooked, "network-reset", interface=network.dev, direction=direction, ports=server.getsockname()[1]) as fault:
            refused(client, server)
            refused(client, server)
            breaks(old)
            client.connect(other).close()
            others.sendall(b"abc")
            assert others_end.recv(3) == b"abc"
        client.connect(server).close()
        counted = figures(fault)
        assert counted["matched"] == counted["dropped"] == 3, counted


@FAMILIES
def test_both_ends_learn_of_it(hooked, network, family):
    here, there = sides(network, family)
    with there.listen() as server, here.connect(server) as near, server.accept()[0] as far:
        with fault_on(hooked, "network-reset", interface=network.dev, direction="both"):
            breaks(near)
            breaks(far)
            refused(here, server)
        here.connect(server).close()


def test_only_new_or_established_connections(hooked, network):
    here, there = sides(network, V4)
    with there.listen() as server, here.connect(server) as old, server.accept()[0] as end:
        with fault_on(hooked, "network-reset", interface=network.dev, connections="new"):
            refused(here, server)
            old.sendall(b"abc")
            assert end.recv(3) == b"abc"
        with fault_on(hooked, "network-reset", interface=network.dev, connections="established"):
            breaks(old)


@pytest.mark.parametrize("how", ["cut", "both"])
def test_idle_connections_end_at_once(hooked, network, how):
    here, there = sides(network, V4)
    with there.listen() as server, here.connect(server) as near, server.accept()[0] as far:
        status, fault = hooked.fault("network-reset", interface=network.dev, how=how)
        if status == 501:
            pytest.skip(fault["message"])
        near.settimeout(harness.PATIENCE)
        far.settimeout(harness.PATIENCE)
        with pytest.raises(ConnectionAbortedError):
            near.recv(1)
        with pytest.raises(ConnectionResetError):
            far.recv(1)
        if how == "both":
            refused(here, server)
        else:
            here.connect(server).close()
        hooked.stop_fault(fault)
        here.connect(server).close()


def test_large_segments(hooked, network):
    """What the card is to split is one segment here; a reset of it is small all the same."""
    here, there = sides(network, V4)
    with there.listen() as server, here.connect(server) as near, server.accept()[0], here.wire() as wire:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        with fault_on(hooked, "network-reset", interface=network.dev):
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                near.sendall(b"x" * 60000)
            reset = wire.arrived(lambda p: p.source_port == server.getsockname()[1] and p.flags & RST)
            assert reset and len(reset.frame) in (54, 60) and (reset.checksums or reset.not_ready)


@FAMILIES
@pytest.mark.parametrize("offload", [True, False], ids=["offloaded", "computed"])
def test_resets_of_this_hosts_segments(hooked, network, family, offload):
    """A socket's segment has a checksum that is to be completed, whether the interface does it or the kernel;
    a packet socket's has its own. Resets come in with what the segment had."""
    here, there = sides(network, family)
    here.offload(offload)
    with there.listen() as server, here.wire() as wire:
        port = server.getsockname()[1]
        here.connect(server).close()  # neighbours know each other
        with fault_on(hooked, "network-reset", interface=network.dev):
            refused(here, server)
            reset = wire.arrived(lambda p: p.source_port == port and p.flags == RST | ACK)
            assert reset.not_ready and reset.pseudo or reset.checksums
            segment = frame(here.mac(), there.mac(), here.address, there.address, socket.IPPROTO_TCP,
                            tcp_body(1025, port, 1000, 0, SYN, b"abc"), 16)
            assert Packet(segment).checksums
            wire.send(segment)
            reset = wire.arrived(lambda p: (p.source_port, p.port) == (port, 1025))
            assert reset.checksums and not reset.not_ready
            assert (reset.source, reset.destination, reset.mac_from, reset.mac_to) == (there.address, here.address, there.mac(), here.mac())
            assert (reset.flags, reset.seq, reset.ack, reset.payload) == (RST | ACK, 0, 1004, b"")


@FAMILIES
@pytest.mark.parametrize("offload", [True, False], ids=["offloaded", "computed"])
def test_resets_of_segments_that_arrive(hooked, network, family, offload):
    here, there = sides(network, family)
    here.offload(offload)
    with here.listen() as server, there.wire() as wire:
        port = server.getsockname()[1]
        there.connect(server).close()
        for theirs in (True, False):
            there.offload(theirs)
            with fault_on(hooked, "network-reset", interface=network.dev, direction="ingress"):
                refused(there, server)
                reset = wire.arrived(lambda p: p.source_port == port and p.flags == RST | ACK)
                # Without offload the kernel has completed it on its way out.
                assert reset.checksums or (offload and theirs and reset.not_ready and reset.pseudo)
                wire.send(frame(there.mac(), here.mac(), there.address, here.address, socket.IPPROTO_TCP,
                                tcp_body(1025, port, 1000, 77, ACK, b"abc"), 16))
                reset = wire.arrived(lambda p: (p.source_port, p.port) == (port, 1025))
                assert reset.checksums and not reset.not_ready
                assert (reset.flags, reset.seq, reset.ack, reset.payload) == (RST, 77, 0, b"")


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_a_reset_passes_other_faults(hooked, network, direction):
    """What is answered is not a packet of this host, or to it, that another fault could drop."""
    here, there = sides(network, V4)
    client, host = (here, there) if direction == "egress" else (there, here)
    other = "ingress" if direction == "egress" else "egress"
    with host.listen() as server:
        with fault_on(hooked, "network-blackhole", interface=network.dev, direction=other) as lost:
            with fault_on(hooked, "network-reset", interface=network.dev, direction=direction):
                refused(client, server)
            assert figures(hooked.show(lost))["dropped"] == 0
            with pytest.raises(TimeoutError):
                client.connect(server, timeout=0.3).close()
        client.connect(server).close()


def test_loopback(tmp_path, network):
    """In a namespace, so that nobody's loopback but the test's is touched."""
    for hook in ("tcx", "clsact"):
        d = harness.Faultd(tmp_path / hook, config={"classifierHook": hook}, prefix=["ip", "netns", "exec", network.name])
        try:
            for family, address in ((V4, "127.0.0.1"), (V6, "::1")):
                with network_namespace(network.name):
                    server = socket.create_server((address, 0), family=family)
                with server, contextlib.closing(Lo(network, family)) as lo, lo.connect(server) as old, server.accept()[0]:
                    for direction in ("ingress", "egress"):
                        with fault_on(d, "network-reset", interface="lo", direction=direction, ports=server.getsockname()[1]):
                            refused(lo, server)
                    with fault_on(d, "network-reset", interface="lo", direction="both"):
                        breaks(old)
                        refused(lo, server)
                    lo.connect(server).close()
        finally:
            d.close()


class Lo(Side):
    def __init__(self, network, family):
        super().__init__(network, True, family)

    def close(self):
        pass


TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000


def test_links_without_a_header(tmp_path, network):
    """On a tunnel, whose other end is this test."""
    with network_namespace(network.name), open("/dev/net/tun", "r+b", buffering=0) as tun:
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"fdtun0", IFF_TUN | IFF_NO_PI))
        os.set_blocking(tun.fileno(), False)
        for address in ("10.97.0.1/24", "fd97::1/64"):
            run("ip", "-n", network.name, "addr", "add", address, "dev", "fdtun0", *(["nodad"] if ":" in address else []))
        run("ip", "-n", network.name, "link", "set", "fdtun0", "up")

        def comes_out():
            with contextlib.suppress(BlockingIOError):
                while data := tun.read(2000):
                    packet = Packet(bytes(12) + (b"\x08\0" if data[0] >> 4 == 4 else b"\x86\xdd") + data)
                    if packet.protocol == socket.IPPROTO_TCP:
                        return packet
            return None

        for hook in ("tcx", "clsact"):
            d = harness.Faultd(tmp_path / hook, config={"classifierHook": hook}, prefix=["ip", "netns", "exec", network.name])
            try:
                with fault_on(d, "network-reset", interface="fdtun0", direction="both"):
                    for family, here, there in ((V4, "10.97.0.1", "10.97.0.2"), (V6, "fd97::1", "fd97::2")):
                        with socket.socket(family) as s:
                            s.settimeout(harness.PATIENCE)
                            with pytest.raises(ConnectionRefusedError):
                                s.connect((there, 80))
                        tun.write(frame(bytes(6), bytes(6), there, here, socket.IPPROTO_TCP, tcp_body(1025, 80, 9, 0, SYN), 16)[14:])
                        reset = wait_for(comes_out, "a reset")
                        assert reset.checksums and (reset.source, reset.destination, reset.port) == (here, there, 1025)
                        assert (reset.flags, reset.seq, reset.ack) == (RST | ACK, 0, 10)
            finally:
                d.close()


def test_the_hosts_packets_that_are_no_tcp_pass(hooked, network):
    with fault_on(hooked, "network-reset", interface=network.dev, direction="both"):
        assert network.ping(network.there, 3) == 3
        assert network.ping(network.there6, 3) == 3
