# SPDX-License-Identifier: Apache-2.0
"""Network faults in network namespaces other than faultd's: named, held by a process only, a container's; and faults on
the sockets of a cgroup or a user. The kernel is read inside the namespace, by tc, ip and bpftool."""

import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import pytest

from lib import harness
from lib.cgroups import Cgroup, hierarchies, unique
from lib.harness import HostState, assert_put_back, run, wait_for

pytestmark = pytest.mark.usefixtures("root")

USER = 64124  # nobody else's
_numbers = itertools.count()


@pytest.fixture(params=["tcx", "clsact"])
def hook(request):
    return request.param


@pytest.fixture
def d(tmp_path, hook):
    """A running faultd that uses the hook."""
    d = harness.Faultd(tmp_path / "faultd", config={"classifierHook": hook})
    try:
        yield d
        assert d.journals() == []
    finally:
        d.close()


class Namespace:
    """A network namespace with one end of a veth pair in it ("eth0"), the other here. It has a name, or is held by a
    process only."""

    def __init__(self, named):
        n = (os.getpid() * 7 + next(_numbers)) % 250
        self.named = named
        self.dev, self.name = f"fdn{n}", f"fdn{n}"
        self.here, self.there = f"10.97.{n}.1", f"10.97.{n}.2"
        self.processes = []
        if named:
            run("ip", "netns", "add", self.name)
            self.file = f"/run/netns/{self.name}"
        else:
            self.process = subprocess.Popen(["unshare", "-n", "sleep", "600"])
            self.processes.append(self.process)
            own = os.readlink("/proc/self/ns/net")
            self.file = f"/proc/{self.process.pid}/ns/net"
            wait_for(lambda: os.readlink(self.file) != own, "a namespace of its own")
        try:
            run("ip", "link", "add", self.dev, "type", "veth", "peer", "name", "eth0", "netns", self.file if named else self.process.pid)
            run("ip", "addr", "add", f"{self.here}/24", "dev", self.dev)
            run("ip", "link", "set", self.dev, "up")
            self.run("ip", "addr", "add", f"{self.there}/24", "dev", "eth0")
            self.run("ip", "link", "set", "eth0", "up")
            self.run("ip", "link", "set", "lo", "up")
            self.run("ip", "route", "add", "default", "via", self.here)
            wait_for(lambda: "NO-CARRIER" not in self.run("ip", "link", "show"), "a carrier")
        except BaseException:
            self.close()
            raise

    def argv(self, *argv):
        return ["nsenter", f"--net={self.file}", *map(str, argv)]

    def run(self, *argv, **kwargs):
        return run(*self.argv(*argv), **kwargs)

    def sleeper(self):
        """One more process in it."""
        p = subprocess.Popen(self.argv("sleep", "600"))
        self.processes.append(p)
        wait_for(lambda: pathlib.Path(f"/proc/{p.pid}/comm").read_text().strip() == "sleep", "asleep")
        return p

    @contextlib.contextmanager
    def entered(self):
        libc = ctypes.CDLL(None, use_errno=True)
        own, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(self.file, os.O_RDONLY)
        assert libc.setns(there, harness.CLONE_NEWNET) == 0
        try:
            yield
        finally:
            if libc.setns(own, harness.CLONE_NEWNET) != 0:
                os._exit(1)
            os.close(own)
            os.close(there)

    def state(self):
        """All that tc, ip and bpftool say about its interfaces."""
        tc = [self.run("tc", "qdisc", "show")]
        tc += [self.run("tc", "filter", "show", "dev", "eth0", side, check=False) for side in ("ingress", "egress")]
        return tc, self.run("ip", "link", "show"), self.run("bpftool", "net", "show"), self.attached()

    def attached(self):
        """How many programs hang on eth0: by TCX, and as filters, which tc lists twice (their chain first)."""
        index = json.loads(self.run("ip", "-j", "link", "show", "eth0"))[0]["ifindex"]
        with self.entered():
            count = harness.tcx_programs(index)
        for side in "ingress", "egress":
            count += self.run("tc", "filter", "show", "dev", "eth0", side, check=False).count("direct-action")
        return count

    def close(self):
        for p in self.processes:
            p.kill()
            p.wait()
        run("ip", "link", "del", self.dev, check=False)
        if self.named:
            run("ip", "netns", "del", self.name, check=False)


@contextlib.contextmanager
def namespace(named=True):
    n = Namespace(named)
    with contextlib.closing(n):
        yield n


class Udp:
    """A socket inside and one here. out() and back() say how many of n got through: out of the namespace, and into it."""

    def __init__(self, n):
        self.here = self.make(n.here)
        with n.entered():
            self.there = self.make(n.there)
        wait_for(lambda: self.out(1) and self.back(1), "neighbours known")

    @staticmethod
    def make(address):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((address, 0))
        s.settimeout(0.3)
        return s

    def out(self, n=10):
        return across(self.there, self.here, n)

    def back(self, n=10):
        return across(self.here, self.there, n)

    def close(self):
        self.here.close()
        self.there.close()


def across(sender, receiver, n=10):
    drain(receiver)
    for _ in range(n):
        sender.sendto(b"x" * 64, receiver.getsockname())
    got = 0
    with contextlib.suppress(TimeoutError):
        while got < n:
            receiver.recv(100)
            got += 1
    return got


def drain(receiver):
    receiver.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            receiver.recv(100)
    receiver.settimeout(0.3)


def parameters_of(n):
    return {"netns": n.name if n.named else f"pid:{n.process.pid}"}


def started(d, action, **parameters):
    fault = d.start_fault(action, parameters=parameters)
    assert [s["state"] for s in fault["steps"]] == ["applied"] * len(fault["steps"])
    return fault


def stopped(d, fault):
    fault = d.stop_fault(fault)
    assert fault["state"] == "done", fault
    return fault


# A namespace by itself


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("direction, out, back", [("egress", 0, 10), ("ingress", 10, 0), ("both", 0, 0)])
def test_packets_in_a_namespace(d, named, direction, out, back):
    with namespace(named) as n, contextlib.closing(Udp(n)) as u:
        own, before = HostState(devices=[n.dev]), n.state()
        fault = started(d, "network-blackhole", direction=direction, **parameters_of(n))
        assert (u.out(), u.back()) == (out, back)
        assert n.attached() == (2 if direction == "both" else 1) and harness.tc_state(n.dev) == own.parts["tc"][n.dev]
        where = f"in netns {n.name}" if n.named else f"in the netns of process {n.process.pid}"
        assert all(where in s["text"] for s in fault["steps"]), fault["steps"]
        ended = stopped(d, fault)
        assert {f["name"]: f["value"] for f in ended["figures"]}["dropped"] == 20 - out - back
        assert (u.out(), u.back()) == (10, 10)
        assert_put_back(own, lambda: HostState(devices=[n.dev]))
        assert n.state() == before


def test_interfaces_are_those_of_the_namespace(d):
    with namespace() as n:
        for interface in "eth0", "DEFAULT", "ALL":
            status, plan = d.fault("network-loss", dryRun=True, netns=n.name, interface=interface)
            assert status == 200 and "eth0" in plan["steps"][0]["text"], plan
        status, error = d.fault("network-loss", dryRun=True, netns=n.name, interface=n.dev)
        assert status == 400 and n.name in error["message"] and "eth0" in error["message"], error
        n.run("ip", "route", "del", "default")
        status, error = d.fault("network-loss", dryRun=True, netns=n.name)
        assert status == 400 and n.name in error["message"] and "no default route" in error["message"], error


def test_ways_to_name_one(d):
    with namespace() as n:
        process = n.sleeper()
        for netns in n.name, n.file, f"pid:{process.pid}", f"/proc/{process.pid}/ns/net":
            before = n.state()
            fault = started(d, "network-loss", percent=50, netns=netns)
            assert n.attached() == 1
            stopped(d, fault)
            assert n.state() == before
        # Its own is as if none had been named.
        fault = started(d, "network-loss", percent=50, netns=f"pid:{os.getpid()}", interface=n.dev)
        assert "netns" not in fault["steps"][0]["text"]
        stopped(d, fault)


def test_what_is_no_namespace(d, tmp_path):
    (tmp_path / "file").write_text("")
    for netns in ("fdnone", "../netns/x", "pid:", "pid:0", "pid:x", "pid:4194304", "/", "/dev/null", "/nothing", str(tmp_path / "file"),
                  f"/proc/{os.getpid()}/ns/mnt", f"/proc/{os.getpid()}/ns/pid", "x" * 200, "pid:99999999999999999999"):
        status, error = d.fault("network-loss", dryRun=True, netns=netns, interface="lo")
        assert status == 400 and "netns" in error["message"], (netns, error)


def test_contradictions(d):
    for other in {"container": "3f1c0a9b12cd"}, {"cgroup": "/x"}, {"unit": "x.service"}:
        status, error = d.fault("network-loss", dryRun=True, interface="lo", netns="x", **other)
        assert status == 400 and "netns" in error["message"], error
    for direction in "ingress", "both":
        status, error = d.fault("network-loss", dryRun=True, interface="lo", direction=direction, user="0")
        assert status == 400 and "parameters.user" in error["message"], error
    status, error = d.fault("network-loss", dryRun=True, interface="lo", user="fdnobodyhas")
    assert status == 400 and "parameters.user" in error["message"], error


def test_faults_in_two_namespaces_with_the_same_interface_index(d):
    """Index and name are the same in both: they are not taken for one."""
    with namespace() as a, namespace() as b, contextlib.closing(Udp(a)) as ua, contextlib.closing(Udp(b)) as ub:
        def index(n):
            return json.loads(n.run("ip", "-j", "link", "show", "eth0"))[0]["ifindex"]

        assert index(a) == index(b)
        before = a.state(), b.state()
        first = started(d, "network-blackhole", netns=a.name)
        assert (ua.out(), ub.out()) == (0, 10)
        second = started(d, "network-blackhole", netns=b.name)
        assert (ua.out(), ub.out()) == (0, 0)
        stopped(d, first)
        assert (ua.out(), ub.out()) == (10, 0)
        stopped(d, second)
        assert (ua.out(), ub.out()) == (10, 10)
        assert (a.state(), b.state()) == before


def devices(prefix=()):
    return [i["ifname"] for i in json.loads(run(*prefix, "ip", "-j", "link", "show")) if i["ifname"].startswith("faultd-")]


@pytest.mark.parametrize("end", ["stopped", "killed", "gone"])
def test_a_shaper_in_a_namespace(tmp_path, hook, end):
    """Its device is inside as well, and counted there."""
    d = harness.Faultd(tmp_path / "faultd", config={"classifierHook": hook})
    with contextlib.closing(d), namespace(named=False) as n, contextlib.closing(Udp(n)) as u:
        own, before, links = HostState(devices=[n.dev]), n.state(), run("ip", "link", "show")
        status, fault = d.fault("network-rate", rate="8kbit", direction="both", **parameters_of(n))
        if status == 501:
            pytest.skip(fault["message"])
        assert status == 201 and fault["state"] == "active", fault
        assert len(devices(n.argv())) == 2 and devices() == [] and n.attached() == 2
        if end != "gone":
            for _ in range(100):
                u.there.sendto(b"x" * 64, u.here.getsockname())
            assert d.figures(fault)["waiting"] > 0
        else:
            u.close()  # a socket holds its namespace
            n.process.kill()
            n.process.wait()
            wait_for(lambda: not pathlib.Path(f"/sys/class/net/{n.dev}").exists(), "the kernel has taken it down")
        if end == "killed":
            d.kill()
            wait_for(lambda: n.state() == before, "put back inside")
            wait_for(lambda: d.journals() == [], "no journal is left")
        else:
            stopped(d, fault)
        if end != "gone":
            assert n.state() == before and devices(n.argv()) == []
            assert (u.out(), u.back()) == (10, 10)
            assert run("ip", "link", "show") == links
            assert_put_back(own, lambda: HostState(devices=[n.dev]))


# Containers


@contextlib.contextmanager
def container(process, controllers=("freezer", "cpu")):
    """A cgroup as Docker makes it, with the process in it. Yields the container's id."""
    identity = os.urandom(32).hex()
    there = hierarchies()
    tops = {pathlib.Path(there["" if not any(k in there for k in controllers) else c] + "/docker") for c in controllers
            if c in there or not any(k in there for k in controllers)}
    made = [t for t in tops if not t.exists()]
    for t in made:
        t.mkdir()
    try:
        with contextlib.closing(Cgroup(f"/docker/{identity}", controllers)) as c:
            c.add(process.pid)
            yield identity
    finally:
        for t in made:
            t.rmdir()


@pytest.mark.alone  # there is one /docker for all
def test_a_container(d):
    with namespace(named=False) as n, contextlib.closing(Udp(n)) as u, container(n.sleeper()) as identity:
        before = n.state()
        fault = started(d, "network-blackhole", container=identity[:12])
        assert (u.out(), u.back()) == (0, 0)
        assert all(f"in container {identity[:12]}" in s["text"] for s in fault["steps"]), fault["steps"]
        stopped(d, fault)
        assert (u.out(), u.back()) == (10, 10)
        assert n.state() == before


@pytest.mark.alone  # there is one /docker for all
def test_two_containers_and_two_in_one_namespace(d):
    with namespace(named=False) as a, namespace(named=False) as b, contextlib.closing(Udp(a)) as ua, \
            contextlib.closing(Udp(b)) as ub, container(a.sleeper()) as one, container(b.sleeper()), container(b.sleeper()):
        before = a.state(), b.state()
        fault = started(d, "network-blackhole", direction="egress", cgroup="/docker/*")
        assert (ua.out(), ub.out(), ua.back(), ub.back()) == (0, 0, 10, 10)
        assert len([s for s in fault["steps"] if s["kind"] == "rule"]) == 2
        stopped(d, fault)
        fault = started(d, "network-blackhole", direction="egress", cgroup="/docker/*", selectionMode="COUNT(1)", seed=7)
        assert sorted((ua.out(), ub.out())) == [0, 10]
        stopped(d, fault)
        fault = started(d, "network-blackhole", direction="egress", container=one)
        assert (ua.out(), ub.out()) == (0, 10)
        stopped(d, fault)
        assert (a.state(), b.state()) == before


@pytest.mark.alone  # there is one /docker for all
def test_nothing_matches_and_nobody_is_in_it(d):
    status, error = d.fault("network-loss", container="4a2d0a9be2d4576899aabbccddeeff00")
    assert status == 400 and "container" in error["message"], error
    fault = d.start_fault("network-loss", container="4a2d0a9be2d4576899aabbccddeeff00", emptyTargetResolutionMode="skip")
    assert d.wait_state(fault, "done")["steps"] == []
    with namespace(named=False) as n:
        process = n.sleeper()
        with container(process) as identity:
            process.kill()
            process.wait()
            status, error = d.fault("network-loss", dryRun=True, container=identity)
            assert status >= 400 and "no process" in error["message"], error


# Namespaces come and go


def test_the_namespace_vanishes_while_active(d):
    before = HostState()
    with namespace(named=False) as n:
        fault = started(d, "network-blackhole", **parameters_of(n))
        n.process.kill()
        n.process.wait()
        wait_for(lambda: not pathlib.Path(f"/sys/class/net/{n.dev}").exists(), "the kernel has taken it down")
        ended = stopped(d, fault)
        assert any("namespace" in note and "gone" in note for note in ended["notes"]), ended
        assert len([note for note in ended["notes"] if "namespace" in note]) == 1
    assert_put_back(before, HostState)


def test_what_was_in_a_namespace_that_is_gone_is_not_looked_for_here(d):
    """An interface of faultd's own namespace has the same index, and a fault of its own."""
    with namespace(named=False) as gone, namespace() as other, contextlib.closing(Udp(other)) as u:
        index = pathlib.Path(f"/sys/class/net/{other.dev}/ifindex").read_text().strip()
        gone.run("ip", "link", "add", "same", "index", index, "type", "veth", "peer", "name", "end")
        first = started(d, "network-blackhole", interface="same", **parameters_of(gone))
        second = started(d, "network-blackhole", interface=other.dev, direction="egress")
        assert u.back() == 0
        gone.process.kill()
        gone.process.wait()
        wait_for(lambda: not pathlib.Path(f"/sys/class/net/{gone.dev}").exists(), "the kernel has taken it down")
        stopped(d, first)
        assert u.back() == 0
        stopped(d, second)
        assert u.back() == 10


def test_the_number_of_a_namespace_is_given_to_another_one(d):
    """The kernel numbers a new namespace as one that is gone: what faultd has in the old one is not looked for there."""
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(namespace(named=False))
        inode = os.stat(old.file).st_ino
        fault = started(d, "network-blackhole", **parameters_of(old))
        old.close()
        wait_for(lambda: not pathlib.Path(f"/sys/class/net/{old.dev}").exists(), "the kernel has taken it down")
        new = None
        for _ in range(20):
            new = stack.enter_context(namespace(named=False))
            if os.stat(new.file).st_ino == inode:
                break
        else:
            stopped(d, fault)
            pytest.skip("the kernel did not give the number again")
        new.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
        before = new.state()
        with contextlib.closing(Udp(new)) as u:
            second = started(d, "network-blackhole", **parameters_of(new))
            assert (u.out(), u.back()) == (0, 0)
            ended = stopped(d, fault)
            assert any("gone" in note for note in ended["notes"])
            assert (u.out(), u.back()) == (0, 0)
            stopped(d, second)
            assert (u.out(), u.back()) == (10, 10)
        assert new.state() == before


def test_the_process_goes_and_the_namespace_stays(d):
    with namespace() as n, contextlib.closing(Udp(n)) as u:
        process, before = n.sleeper(), n.state()
        fault = started(d, "network-blackhole", netns=f"pid:{process.pid}")
        process.kill()
        process.wait()
        assert (u.out(), u.back()) == (0, 0)
        ended = stopped(d, fault)
        assert not [note for note in ended["notes"] if "namespace" in note]
        assert (u.out(), u.back()) == (10, 10)
        assert n.state() == before


def test_another_process_is_found(d):
    with namespace(named=False) as n, contextlib.closing(Udp(n)) as u:
        process, before = n.sleeper(), n.state()
        fault = started(d, "network-blackhole", netns=f"pid:{process.pid}")
        process.kill()
        process.wait()
        stopped(d, fault)
        assert (u.out(), u.back()) == (10, 10)
        assert n.state() == before


def test_nobody_holds_it_open(d):
    """A fault must not keep a container's namespace alive, nor does faultd's own thread move."""
    with namespace(named=False) as n:
        fault = started(d, "network-blackhole", **parameters_of(n))
        inode = os.stat(n.file).st_ino
        held = [os.stat(f).st_ino for f in pathlib.Path(f"/proc/{d.pid}/fd").iterdir() if os.path.exists(f)]
        assert inode not in held
        for task in pathlib.Path(f"/proc/{d.pid}/task").iterdir():
            assert os.readlink(task / "ns" / "net") == os.readlink("/proc/self/ns/net")
        stopped(d, fault)


# faultd dies


@pytest.mark.parametrize("process", ["stays", "goes"])
def test_the_guardian_cleans_inside(tmp_path, hook, process):
    d = harness.Faultd(tmp_path / "faultd", config={"classifierHook": hook})
    with contextlib.closing(d), namespace() as n, contextlib.closing(Udp(n)) as u:
        p, own, before = n.sleeper(), HostState(devices=[n.dev]), n.state()
        started(d, "network-blackhole", netns=f"pid:{p.pid}")
        assert (u.out(), u.back()) == (0, 0)
        if process == "goes":
            p.kill()
            p.wait()
        d.kill()
        wait_for(lambda: n.state() == before, "put back inside")
        wait_for(lambda: d.journals() == [], "no journal is left")
        assert (u.out(), u.back()) == (10, 10)
        assert_put_back(own, lambda: HostState(devices=[n.dev]))


def test_the_guardian_and_a_namespace_that_is_gone(tmp_path):
    d = harness.Faultd(tmp_path / "faultd", config={"classifierHook": "clsact"})
    with contextlib.closing(d), namespace(named=False) as n:
        started(d, "network-blackhole", **parameters_of(n))
        os.kill(d.guardian_pid(), signal.SIGSTOP)
        guardian = d.guardian_pid()
        d.kill()
        n.process.kill()
        n.process.wait()
        wait_for(lambda: not pathlib.Path(f"/sys/class/net/{n.dev}").exists(), "the kernel has taken it down")
        os.kill(guardian, signal.SIGCONT)
        wait_for(lambda: d.journals() == [], "no journal is left")
        assert "could not be undone" not in d.log()


# Sockets in the host's namespace


SENDER = """
import os, socket, sys
cgroup, user, address, port = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
if cgroup:
    open(cgroup + "/cgroup.procs", "w").write("0")
if user:
    os.setuid(user)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[5], 0))
print(s.getsockname()[1], flush=True)
s.settimeout(0.3)
for line in sys.stdin:
    word, n = line.split()
    got = 0
    if word == "send":
        for _ in range(int(n)):
            s.sendto(b"x" * 64, (address, port))
    else:
        try:
            while got < int(n):
                s.recv(100)
                got += 1
        except TimeoutError:
            pass
    print(got, flush=True)
"""


class Sender:
    """A process here with a socket of its own, in a cgroup or of a user; the other end is inside the namespace."""

    def __init__(self, n, cgroup="", user=0):
        with n.entered():
            self.there = Udp.make(n.there)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SENDER, str(cgroup), str(user), *map(str, self.there.getsockname()), n.here],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.address = n.here
        wait_for(lambda: self.out(1) and self.back(1), "neighbours known")

    def ask(self, word, n):
        self.process.stdin.write(f"{word} {n}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def out(self, n=10):
        drain(self.there)
        self.ask("send", n)
        got = 0
        with contextlib.suppress(TimeoutError):
            while got < n:
                self.there.recv(100)
                got += 1
        return got

    def back(self, n=10):
        self.ask("recv", 1000)  # what came too late before
        for _ in range(n):
            self.there.sendto(b"x" * 64, (self.address, self.port))
        return self.ask("recv", n)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.there.close()


@contextlib.contextmanager
def cgroup_v2():
    if "" not in hierarchies():
        pytest.skip("no cgroup v2 is mounted")
    path = unique()
    directory = pathlib.Path(hierarchies()[""] + path)
    (directory / "below").mkdir(parents=True)
    try:
        yield path, directory
    finally:
        wait_for(lambda: not (directory / "cgroup.procs").read_text() and not (directory / "below/cgroup.procs").read_text(), "empty")
        (directory / "below").rmdir()
        directory.rmdir()


def test_sockets_of_a_cgroup(d):
    with namespace() as n, cgroup_v2() as (path, directory), contextlib.closing(Sender(n, directory)) as inside, \
            contextlib.closing(Sender(n, directory / "below")) as below, contextlib.closing(Sender(n)) as outside:
        own = HostState(devices=[n.dev])
        fault = started(d, "network-blackhole", interface=n.dev, direction="egress", cgroup=path)
        assert any(path in s["text"] for s in fault["steps"])
        assert [(s.out(), s.back()) for s in (inside, below, outside)] == [(0, 10), (0, 10), (10, 10)]
        stopped(d, fault)
        assert (inside.out(), inside.back()) == (10, 10)
        fault = started(d, "network-blackhole", interface=n.dev, direction="egress", cgroup=path + "/below")
        assert [(s.out(), s.back()) for s in (inside, below, outside)] == [(10, 10), (0, 10), (10, 10)]
        stopped(d, fault)
        assert_put_back(own, lambda: HostState(devices=[n.dev]))
        for direction in "ingress", "both":
            status, error = d.fault("network-loss", dryRun=True, interface=n.dev, direction=direction, cgroup=path)
            assert status == 400 and "parameters.direction" in error["message"] and "egress" in error["message"], error


CONNECTED = """
import socket, sys
if sys.argv[1]:
    open(sys.argv[1] + "/cgroup.procs", "w").write("0")
s = socket.create_connection((sys.argv[2], int(sys.argv[3])))
print("connected", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def connection(n, cgroup=""):
    """One from a process here into the namespace. Yields the socket inside."""
    with n.entered():
        listener = socket.create_server((n.there, 0))
    with listener:
        listener.settimeout(harness.PATIENCE)
        process = subprocess.Popen([sys.executable, "-c", CONNECTED, str(cgroup), n.there, str(listener.getsockname()[1])],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            inside, _ = listener.accept()
            assert process.stdout.readline() == "connected\n"
            with inside:
                yield inside
        finally:
            process.stdin.close()
            process.wait()
            process.stdout.close()


def is_cut(s, timeout):
    s.settimeout(timeout)
    try:
        return s.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def test_connections_of_a_cgroup_are_cut(d):
    with namespace() as n, cgroup_v2() as (path, directory), connection(n, directory) as inside, connection(n) as outside:
        fault = d.start_fault("network-reset", parameters={"how": "cut", "interface": n.dev, "cgroup": path})
        assert is_cut(inside, harness.PATIENCE)
        assert not is_cut(outside, 0.3)
        d.stop_fault(fault)


def test_connections_below_a_cgroup_are_cut(d):
    """As packets are told: those of the cgroups in it too, not those of the one it is in."""
    with namespace() as n, cgroup_v2() as (path, directory), connection(n, directory) as inside, \
            connection(n, directory / "below") as below, connection(n) as outside:
        fault = d.start_fault("network-reset", parameters={"how": "cut", "interface": n.dev, "cgroup": path + "/below"})
        assert is_cut(below, harness.PATIENCE)
        assert d.figures(fault)["cut"] == 1 and not is_cut(inside, 0.3)
        d.stop_fault(fault)
        with connection(n, directory / "below") as again:
            fault = d.start_fault("network-reset", parameters={"how": "cut", "interface": n.dev, "cgroup": path})
            assert is_cut(inside, harness.PATIENCE) and is_cut(again, harness.PATIENCE)
            assert d.figures(fault)["cut"] == 2 and not is_cut(outside, 0.3)
            d.stop_fault(fault)


def test_connections_in_a_namespace_are_cut(d):
    """Those of its own sockets, by no step that faultd's own would be hit by."""
    with namespace(named=False) as n, connection(n) as inside:
        fault = d.start_fault("network-reset", parameters={"how": "cut", "interface": "eth0", **parameters_of(n)})
        assert any(s["kind"] == "cut" and "in the netns of process" in s["text"] for s in fault["steps"]), fault["steps"]
        inside.settimeout(harness.PATIENCE)
        with pytest.raises(ConnectionAbortedError):
            inside.recv(1)
        d.stop_fault(fault)


def test_sockets_of_a_user(d):
    with namespace() as n, contextlib.closing(Sender(n, user=USER)) as theirs, contextlib.closing(Sender(n)) as ours:
        own = HostState(devices=[n.dev])
        fault = started(d, "network-loss", percent=100, interface=n.dev, user=str(USER))
        assert [(s.out(), s.back()) for s in (theirs, ours)] == [(0, 10), (10, 10)]
        stopped(d, fault)
        assert theirs.out() == 10
        assert_put_back(own, lambda: HostState(devices=[n.dev]))


def test_sockets_of_a_user_in_a_namespace(d):
    """Of those in it the user's only, and what faultd's own namespace sends is none of them."""
    with namespace() as n:
        before = n.state()
        fault = started(d, "network-loss", percent=100, user=str(USER), **parameters_of(n))
        with contextlib.closing(Udp(n)) as u:
            assert (u.out(), u.back()) == (10, 10)
        assert n.attached() == 1
        stopped(d, fault)
        assert n.state() == before


def test_a_cgroup_of_v1_in_the_hosts_namespace(d):
    if not any(hierarchies()):
        pytest.skip("no cgroup v1 is mounted")
    with contextlib.closing(Cgroup(unique(), ("freezer",))) as c:
        if c.v2:
            pytest.skip("the freezer is that of v2")
        process = subprocess.Popen(["sleep", "600"])
        c.add(process.pid)
        try:
            status, error = d.fault("network-loss", interface="lo", dryRun=True, cgroup=c.path)
            assert status >= 400 and "v2" in error["message"], error
        finally:
            process.kill()
            process.wait()
