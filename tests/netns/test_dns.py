# SPDX-License-Identifier: Apache-2.0
"""dns-fault: a resolver and a DNS server of the test's own, on the two sides of a veth pair."""

import contextlib
import socket
import struct
import subprocess
import threading
import time

import pytest

from lib import harness
from lib.harness import HostState, assert_put_back, network_namespace, run
from lib.packets import Packet, Wire, frame, set_offload, udp_body

pytestmark = pytest.mark.usefixtures("root")

V4, V6 = socket.AF_INET, socket.AF_INET6
OK, SERVFAIL, NXDOMAIN = 0, 2, 3
ADDRESS = "192.0.2.99"  # of every name, says the server


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
def fault_on(d, **parameters):
    fault = d.start_fault("dns-fault", parameters=parameters)
    assert [s["state"] for s in fault["steps"]] == ["applied"] * len(fault["steps"])
    yield fault
    fault.update(d.stop_fault(fault))
    assert fault["state"] == "done", fault


def figures(fault):
    return {f["name"]: f["value"] for f in fault["figures"]}


def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def query(name, ident=0x4242, flags=0x0100, opt=b"", kind=1):
    return struct.pack("!HHHHHH", ident, flags, 1, 0, 0, bool(opt)) + wire_name(name) + struct.pack("!HH", kind, 1) + opt


OPT = b"\0" + struct.pack("!HHIH", 41, 4096, 0x8000, 12) + struct.pack("!HH8s", 10, 8, b"a cookie")


def question_end(message):
    at = 12
    while message[at]:
        at += 1 + message[at]
    return at + 5


class Server:
    """Answers every query with one address, and remembers whose names it was asked for."""

    def __init__(self, namespace, address, port=53):
        family = V6 if ":" in address else V4
        with network_namespace(namespace) if namespace else contextlib.nullcontext():
            self.udp = socket.socket(family, socket.SOCK_DGRAM)
            self.udp.bind((address, port))
            self.tcp = socket.create_server((address, port), family=family)
        self.address, self.port, self.asked = address, port, []
        self.ending = False
        self.threads = [threading.Thread(target=t, daemon=True) for t in (self.serve_udp, self.serve_tcp)]
        for t in self.threads:
            t.start()

    def answer(self, message):
        end = question_end(message)
        self.asked.append(message[12:end - 4].lower())
        kind, = struct.unpack("!H", message[end - 4:end - 2])
        records = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + socket.inet_aton(ADDRESS) if kind == 1 else b""
        return message[:2] + struct.pack("!HHHHH", 0x8180, 1, bool(records), 0, 0) + message[12:end] + records

    def serve_udp(self):
        self.udp.settimeout(0.2)
        while not self.ending:
            with contextlib.suppress(TimeoutError, ConnectionError):
                message, peer = self.udp.recvfrom(2000)
                self.udp.sendto(self.answer(message), peer)

    def serve_tcp(self):
        self.tcp.settimeout(0.2)
        while not self.ending:
            with contextlib.suppress(TimeoutError, ConnectionError):
                s = self.tcp.accept()[0]
                with s:
                    s.settimeout(1)
                    if message := s.recv(2000)[2:]:
                        answer = self.answer(message)
                        s.sendall(struct.pack("!H", len(answer)) + answer)

    def close(self):
        self.ending = True
        for t in self.threads:
            t.join()
        self.udp.close()
        self.tcp.close()


class Resolver:
    """Asks `server`, from `namespace` or from here."""

    def __init__(self, server, namespace=None):
        self.server, self.namespace = server, namespace
        self.family = V6 if ":" in server.address else V4

    def socket(self, kind):
        with network_namespace(self.namespace) if self.namespace else contextlib.nullcontext():
            return socket.socket(self.family, kind)

    def ask(self, message, timeout=harness.PATIENCE):
        """The answer, whole, or None when none comes."""
        with self.socket(socket.SOCK_DGRAM) as s:
            s.settimeout(timeout)
            s.connect((self.server.address, self.server.port))
            s.send(message)
            try:
                return s.recv(2000)
            except TimeoutError:
                return None

    def code(self, name, timeout=harness.PATIENCE, **more):
        """0, or the error that the name has; None when nothing comes."""
        sent = query(name, **more)
        message = self.ask(sent, timeout)
        if message is None:
            return None
        ident, flags, questions, answers, _, _ = struct.unpack("!HHHHHH", message[:12])
        end = question_end(sent)
        assert ident == struct.unpack("!H", sent[:2])[0] and flags & 0xFF80 == 0x8180 and questions == 1
        assert message[12:end] == sent[12:end]  # its case too
        assert answers == (flags & 15 == OK)
        return flags & 15

    def code_by_tcp(self, name):
        with self.socket(socket.SOCK_STREAM) as s:
            s.settimeout(harness.PATIENCE)
            s.connect((self.server.address, self.server.port))
            message = query(name)
            s.sendall(struct.pack("!H", len(message)) + message)
            return s.recv(2000)[5] & 15


@contextlib.contextmanager
def ends(network, family=V4, direction="egress"):
    """A resolver here and the server there, or the other way round."""
    here, there = (network.here6, network.there6) if family == V6 else (network.here, network.there)
    inside, address = (network.name, there) if direction == "egress" else (None, here)
    with contextlib.closing(Server(inside, address)) as server:
        yield Resolver(server, None if inside else network.name), server


@pytest.mark.parametrize("direction", ["egress", "ingress"])
@pytest.mark.parametrize("family", [V4, V6], ids=["ipv4", "ipv6"])
def test_names_are_answered_by_the_fault(hooked, network, family, direction):
    with ends(network, family, direction) as (resolver, server):
        assert resolver.code("www.example.com") == OK
        for how, code in (("nxdomain", NXDOMAIN), ("servfail", SERVFAIL)):
            server.asked.clear()
            with fault_on(hooked, interface=network.dev, direction=direction, how=how, names=["example.com", "Other.Test."]) as fault:
                for name in ("example.com", "www.example.com", "a.b.c.EXAMPLE.Com", "other.test", "x.oTHer.test"):
                    assert resolver.code(name, ident=hash(name) & 0xFFFF) == code, name
                passed = ["notexample.com", "example.com.net", "com", "example.co", "test", "another.test"]
                for name in passed:
                    assert resolver.code(name) == OK, name
                assert resolver.code_by_tcp("notexample.com") == OK
                with pytest.raises(ConnectionResetError):
                    resolver.code_by_tcp("www.example.com")
            assert server.asked == [wire_name(n) for n in [*passed, "notexample.com"]]
            assert figures(fault)["matched"] == figures(fault)["dropped"] == 6
        assert resolver.code("www.example.com") == OK


def test_all_names_and_only_queries(hooked, network):
    with ends(network) as (resolver, server):
        with contextlib.closing(Server(network.name, network.there, 54)) as other:
            with fault_on(hooked, interface=network.dev):
                assert resolver.code("any.name") == resolver.code("") == NXDOMAIN
                assert Resolver(other).code("any.name") == OK
                server.asked.clear()
                assert resolver.ask(query("a.b", flags=0x8100), 0.3) is not None  # a response, if a strange one
                assert server.asked == [wire_name("a.b")]
            with fault_on(hooked, interface=network.dev, ports=54):
                assert resolver.code("any.name") == OK and Resolver(other).code("any.name") == NXDOMAIN
            with fault_on(hooked, interface=network.dev, protocol="udp"):
                assert resolver.code("any.name") == NXDOMAIN and resolver.code_by_tcp("any.name") == OK


def test_lost_queries(hooked, network):
    with ends(network) as (resolver, server):
        with fault_on(hooked, interface=network.dev, how="drop", names="example.com"):
            assert resolver.code("example.com", timeout=0.3) is None
            assert resolver.code("example.net") == OK
        assert server.asked == [wire_name("example.net")]
        assert resolver.code("example.com") == OK


def test_edns_is_kept(hooked, network):
    """Or a resolver would think for a while that the server does not know it."""
    with ends(network) as (resolver, _), fault_on(hooked, interface=network.dev, names="example.com"):
        answer = resolver.ask(query("example.com", opt=OPT))
        assert struct.unpack("!HHHHHH", answer[:12]) == (0x4242, 0x8183, 1, 0, 0, 1)
        assert answer[question_end(answer):] == b"\0" + struct.pack("!HHIH", 41, 1232, 0x8000, 0)


@pytest.mark.parametrize("family", [V4, V6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_checksums_of_answers(hooked, network, family, direction):
    with ends(network, family, direction) as (resolver, server), contextlib.ExitStack() as stack:
        if resolver.namespace:
            stack.enter_context(network_namespace(network.name))
        dev = network.peer if resolver.namespace else network.dev
        wire = stack.enter_context(contextlib.closing(Wire(dev)))
        stack.callback(set_offload, dev, True)
        assert resolver.code("example.net") == OK
        normal = wire.arrived(lambda p: p.source_port == 53)
        for offload in (True, False):
            set_offload(dev, offload)
            with fault_on(hooked, interface=network.dev, direction=direction):
                assert resolver.code("www.example.com") == NXDOMAIN
                answer = wire.arrived(lambda p: p.source_port == 53)
                assert answer.checksums or answer.not_ready and answer.pseudo
                for name in ("a.test", "ab.test"):
                    message = query(name, opt=OPT)
                    wire.send(frame(normal.mac_to, normal.mac_from, normal.destination, normal.source, socket.IPPROTO_UDP,
                                    udp_body(1025, 53, message), 6))
                    answer = wire.arrived(lambda p: (p.source_port, p.port) == (53, 1025))
                    assert answer.checksums and not answer.not_ready
                    assert (answer.mac_to, answer.mac_from, answer.source) == (normal.mac_to, normal.mac_from, normal.source)
                    assert answer.payload[:2] == message[:2] and answer.payload[3] & 15 == NXDOMAIN
                assert isinstance(answer, Packet)


GETENT = 'mount --bind "$1" /etc/resolv.conf && exec getent ahostsv4 "$2"'


def test_a_resolver_on_loopback_by_default(tmp_path, network):
    """All as an application sees it: the C library asks 127.0.0.53, and learns at once that there is no such name."""
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.53\noptions timeout:5 attempts:2\n")
    run("ip", "-n", network.name, "route", "add", "default", "via", network.here)

    def getent(name):
        started = time.monotonic()
        done = subprocess.run(["nsenter", f"--net=/run/netns/{network.name}", "unshare", "-m", "sh", "-c", GETENT, "sh", resolv, name],
                              capture_output=True, text=True, timeout=harness.PATIENCE)
        return done.returncode, ADDRESS in done.stdout, time.monotonic() - started < 4.5  # before a query is repeated

    with contextlib.closing(Server(network.name, "127.0.0.53")) as server:
        resolver = Resolver(server, network.name)
        for hook in ("tcx", "clsact"):
            d = harness.Faultd(tmp_path / hook, config={"classifierHook": hook}, prefix=["ip", "netns", "exec", network.name])
            try:
                assert getent("www.example.com") == (0, True, True)
                with fault_on(d, names="example.com") as fault:
                    assert getent("www.example.com") == (2, False, True)
                    assert getent("www.example.net") == (0, True, True)
                    assert resolver.code("example.com") == NXDOMAIN
                    with pytest.raises(ConnectionResetError):
                        resolver.code_by_tcp("example.com")
                    assert {s["interface"] for s in fault["steps"] if "interface" in s} <= {"lo", network.peer}
                with fault_on(d, names="example.com", how="servfail", direction="ingress"):
                    assert resolver.code("example.com") == SERVFAIL
                assert getent("www.example.com") == (0, True, True)
            finally:
                d.close()


def test_names_that_are_none(hooked, network):
    for names, words in ((["münchen.de"], "punycode"), (["*.example.com"], "wildcard"), (["a..b"], "empty label"), ([".a"], "empty label"),
                         (["a b"], "character"), (["x" * 64 + ".de"], "63"), (["x" * 30 + "." + "y" * 31], "61"),
                         ([f"{i}.de" for i in range(9)], "8 names")):
        status, error = hooked.fault("dns-fault", interface=network.dev, names=names)
        assert status == 400 and error["field"] == "parameters.names" and words in error["message"], (names, error)
    for parameters, field in (({"how": "delay"}, "delay"), ({"delay": "1s"}, "delay"), ({"how": "lost"}, "how"), ({"protocol": "icmp"}, "protocol")):
        status, error = hooked.fault("dns-fault", interface=network.dev, **parameters)
        assert status == 400 and error["field"] == f"parameters.{field}", error
