# SPDX-License-Identifier: Apache-2.0
"""resource-exhaust: what the victim meets (EMFILE, EAGAIN, EADDRNOTAVAIL), what is left to it, and that it is all back.

Aimed at processes, a cgroup and a network namespace of the test's own; of the host only 2000 open files and 500 threads."""

import contextlib
import errno
import itertools
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import time

import pytest

from lib import harness
from lib.harness import alive, proc_stat, processes_named, run, wait_for

pytestmark = [pytest.mark.usefixtures("root"), pytest.mark.alone]

_numbers = itertools.count()

ACTOR = r"""
import os, signal, socket, subprocess, sys
held, listeners = [], []
def fork():
    pid = os.fork()
    if pid == 0:
        signal.pause()
    held.append(pid)
def release():
    while held:
        x = held.pop()
        if isinstance(x, int):
            os.kill(x, signal.SIGKILL); os.waitpid(x, 0)
        else:
            x.close()
def connect(host, port):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        s.connect((host, int(port)))
    except OSError:
        s.close()
        raise
    held.append(s)
def bind(kind):
    s = socket.socket(socket.AF_INET, getattr(socket, kind))
    try:
        s.bind(("127.0.0.1", 0))
    except OSError:
        s.close()
        raise
    held.append(s)
def listen(port):
    s = socket.socket()
    s.bind(("127.0.0.1", int(port)))
    s.listen(1000)
    listeners.append(s)
def open_file():
    held.append(open("/dev/null"))
print("ready", flush=True)
for line in sys.stdin:
    name, *args = line.split()
    try:
        globals()[name](*args)
        print("ok", flush=True)
    except OSError as e:
        print(os.strerror(e.errno), flush=True)
"""


class Actor:
    """A process that does what it is told and says what came of it."""

    def __init__(self, *prefix, cgroup=None, name=None):
        self.process = subprocess.Popen([*map(str, prefix), sys.executable, "-c", ACTOR], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, close_fds=True)
        assert self.process.stdout.readline() == "ready\n"
        self.pid = self.process.pid
        if cgroup:
            (cgroup / "cgroup.procs").write_text(str(self.pid))

    def do(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def how_many(self, what, most=100):
        """How often it works until it does not, and what is said then."""
        for n in range(most):
            said = self.do(what)
            if said != "ok":
                return n, said
        return most, "ok"

    def files(self):
        """The soft and the hard limit, as the kernel shows them."""
        for line in pathlib.Path(f"/proc/{self.pid}/limits").read_text().splitlines():
            if line.startswith("Max open files"):
                return tuple(int(x) for x in line.split()[3:5])
        raise AssertionError("no such limit")

    def close(self):
        for pid in children(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.communicate()


def children(pid):
    with contextlib.suppress(OSError):
        return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@pytest.fixture
def actor():
    started = []

    def start(*prefix, **kwargs):
        started.append(Actor(*prefix, **kwargs))
        return started[-1]

    yield start
    for a in started:
        a.close()


class Cgroup:
    """One of the pids controller's, with a limit."""

    def __init__(self, limit):
        mount = None
        for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
            _, where, kind, options, *_ = line.split()
            if kind == "cgroup" and "pids" in options.split(","):
                mount = pathlib.Path(where)
            elif kind == "cgroup2" and mount is None and "pids" in (pathlib.Path(where) / "cgroup.subtree_control").read_text().split():
                mount = pathlib.Path(where)
        if mount is None:
            pytest.skip("no pids controller")
        self.path = f"/fdexhaust{os.getpid()}x{next(_numbers)}"
        self.directory = mount / self.path[1:]
        self.directory.mkdir()
        self.limit(limit)

    def limit(self, n):
        (self.directory / "pids.max").write_text(str(n))

    def used(self):
        return int((self.directory / "pids.current").read_text())

    def close(self):
        def gone():
            for pid in (self.directory / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            harness.reap_orphans()
            with contextlib.suppress(OSError):
                self.directory.rmdir()
            return not self.directory.exists()
        wait_for(gone, f"{self.directory} gone")


@pytest.fixture
def cgroup():
    c = Cgroup(200)
    yield c
    c.close()


@pytest.fixture
def namespace():
    """A network namespace with 200 ephemeral ports, of which one is reserved."""
    name = f"fdexh{os.getpid()}"
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")
    with harness.network_namespace(name):
        pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40199")
        pathlib.Path("/proc/sys/net/ipv4/ip_local_reserved_ports").write_text("40100")
    yield name
    run("ip", "netns", "del", name)


def taken(name, kind=socket.SOCK_STREAM):
    """The ephemeral ports of the namespace that cannot be bound. (/proc/net/tcp does not show what is only bound.)"""
    found = []
    with harness.network_namespace(name):
        for port in range(40000, 40200):
            with socket.socket(socket.AF_INET, kind) as s:
                try:
                    s.bind(("127.0.0.1", port))
                except OSError as e:
                    assert e.errno == errno.EADDRINUSE
                    found.append(port)
    return found


def files_open():
    return int(pathlib.Path("/proc/sys/fs/file-nr").read_text().split()[0])


def threads_there():
    return int(pathlib.Path("/proc/loadavg").read_text().split()[3].split("/")[1])


def figure(d, fault, name):
    return {f["name"]: f["value"] for f in d.show(fault)["figures"]}[name]


# Files of one process

def test_files_of_a_process(faultd, actor):
    a = actor()
    before = a.files()
    fault = faultd.start_fault("resource-exhaust", resource="files", pid=a.pid)
    assert fault["hold"] == "journal"
    assert a.do("open_file") == "Too many open files"
    assert a.files() == (len(os.listdir(f"/proc/{a.pid}/fd")), before[1])
    faultd.stop_fault(fault)
    assert a.files() == before
    assert a.how_many("open_file", 20) == (20, "ok")


def test_files_of_a_process_reserve_and_gaps(faultd, actor):
    """So many can still be opened, whatever numbers are free."""
    a = actor()
    assert a.how_many("open_file", 10) == (10, "ok")
    fault = faultd.start_fault("resource-exhaust", resource="files", pid=a.pid, reserve=7)
    assert a.how_many("open_file") == (7, "Too many open files")
    faultd.stop_fault(fault)
    soft, _ = a.files()
    fault = faultd.start_fault("resource-exhaust", resource="files", pid=a.pid, count=soft // 2)
    used = len(os.listdir(f"/proc/{a.pid}/fd"))
    assert a.files()[0] == soft - soft // 2
    assert used < a.files()[0]
    faultd.stop_fault(fault)
    assert a.files()[0] == soft


def test_files_of_a_process_ramp(faultd, actor):
    a = actor()
    before = a.files()
    fault = faultd.start_fault("resource-exhaust", resource="files", pid=a.pid, **{"from": 50}, over="2s", steps=2)
    first = a.files()[0]
    assert before[0] // 2 <= first < before[0]
    wait_for(lambda: a.files()[0] < first, "the first step")
    middle = a.files()[0]
    assert middle > first // 4
    wait_for(lambda: a.files()[0] < middle, "the second step")
    assert a.do("open_file") == "Too many open files"
    faultd.stop_fault(fault)
    assert a.files() == before


def test_files_of_a_process_waves(faultd, actor):
    a = actor()
    before = a.files()
    fault = faultd.start_fault("resource-exhaust", resource="files", pid=a.pid, every="1s", **{"for": "500ms"})
    journal, = (faultd.runtime / "journal").glob("f-*")
    sizes = []
    for _ in range(3):
        wait_for(lambda: a.files() != before, "on")
        wait_for(lambda: a.files() == before, "off")
        wait_for(lambda: "undone" in journal.read_text().splitlines()[-1], "which is on record")
        sizes.append(journal.stat().st_size)
    faultd.stop_fault(fault)
    assert a.files() == before
    assert max(sizes) < 1.5 * sizes[0], sizes  # of a wave nothing stays: there may be 43200 of them


def test_a_limit_that_another_has_changed_is_left(faultd, actor):
    a = actor()
    _, hard = a.files()
    fault = faultd.start_fault("resource-exhaust", resource="files", pid=a.pid)
    resource.prlimit(a.pid, resource.RLIMIT_NOFILE, (77, hard))
    ended = faultd.stop_fault(fault)
    assert a.files() == (77, hard)
    assert "changed by someone else to 77" in str(ended), ended


@pytest.mark.parametrize("who", ["faultd", "guardian"])
def test_what_it_started_meanwhile(faultd, actor, who):
    """A limit is inherited: by what starts from then on, not by what was there."""
    a = actor()
    before = a.files()
    assert a.do("fork") == "ok"
    old, = children(a.pid)
    resource.prlimit(old, resource.RLIMIT_NOFILE, (50, before[1]))
    # When it started is known to a clock tick: in the same one it would count as started meanwhile.
    started = proc_stat(old)[2] / os.sysconf("SC_CLK_TCK")
    wait_for(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) > started + 0.02, "the next tick")
    fault = faultd.start_fault("resource-exhaust", resource="files", pid=a.pid, reserve=50 - len(os.listdir(f"/proc/{a.pid}/fd")))
    assert a.files()[0] == 50
    assert a.how_many("fork", 3) == (3, "ok")
    new = [p for p in children(a.pid) if p != old]
    assert [resource.prlimit(p, resource.RLIMIT_NOFILE)[0] for p in new] == [50] * 3
    if who == "faultd":
        faultd.stop_fault(fault)
    else:
        faultd.kill()
    wait_for(lambda: [resource.prlimit(p, resource.RLIMIT_NOFILE) for p in [a.pid, *new]] == [before] * 4, "all are back")
    assert resource.prlimit(old, resource.RLIMIT_NOFILE)[0] == 50


@pytest.mark.parametrize("who", ["faultd", "guardian"])
def test_what_it_started_during_a_ramp(faultd, actor, who):
    """It has the value that the ramp had then."""
    a = actor()
    before = a.files()
    fault = faultd.start_fault("resource-exhaust", resource="files", pid=a.pid, **{"from": 50}, to=80, over="2s", steps=4)
    seen = []
    for _ in range(4):
        wait_for(lambda: a.files()[0] not in seen, "the next step")
        seen.append(a.files()[0])
        assert a.do("fork") == "ok"
    heirs = children(a.pid)
    assert len({resource.prlimit(p, resource.RLIMIT_NOFILE)[0] for p in heirs}) > 2
    if who == "faultd":
        faultd.stop_fault(fault)
    else:
        faultd.kill()
    wait_for(lambda: {resource.prlimit(p, resource.RLIMIT_NOFILE) for p in [a.pid, *heirs]} == {before}, "all are back")


def test_a_process_that_has_gone(faultd, actor):
    a = actor()
    fault = faultd.start_fault("resource-exhaust", resource="files", pid=a.pid)
    a.close()
    assert faultd.stop_fault(fault)["state"] == "done"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_files_of_a_process_without_faultd(faultd, actor, how):
    """Killed or hung: the guardian puts the limit back."""
    a = actor()
    before = a.files()
    faultd.start_fault("resource-exhaust", resource="files", pid=a.pid, **{"from": 50}, over="60s", steps=100)
    assert a.files() != before
    os.kill(faultd.pid, how)
    wait_for(lambda: a.files() == before, "the limit is back")


def test_one_fault_for_the_files_of_a_process(faultd, actor):
    a, b = actor(), actor()
    fault = faultd.start_fault("resource-exhaust", resource="files", pid=a.pid)
    status, answer = faultd.fault("resource-exhaust", resource="files", pid=a.pid)
    assert status == 409, answer
    faultd.start_fault("resource-exhaust", resource="files", pid=b.pid)
    faultd.stop_fault(fault)
    faultd.start_fault("resource-exhaust", resource="files", pid=a.pid)


# The host

def test_files_of_the_host(faultd):
    before = files_open()
    fault = faultd.start_fault("resource-exhaust", resource="files", count=2000)
    wait_for(lambda: figure(faultd, fault, "held") == 2000, "all are held")
    assert files_open() - before > 1500
    held = {int(p): len(os.listdir(f"/proc/{p}/task/{t}/fd"))
            for p in processes_named("faultd-load") for t in os.listdir(f"/proc/{p}/task")}
    assert max(held.values()) >= 2000
    faultd.stop_fault(fault)
    wait_for(lambda: files_open() - before < 500, "the files are closed")


def test_more_files_than_a_process_may_have():
    """A worker has as many descriptor tables as it needs; nothing is left at its deadline."""
    before = files_open()
    deadline = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 3 * 10 ** 9
    worker = subprocess.Popen([harness.LOAD, "descriptors", "--count", "1500", "--reserve", "256", "--parent", str(os.getpid()),
                               "--deadline-boot-ns", str(deadline)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    try:
        assert worker.stdout.readline() == "ready\n"
        wait_for(lambda: files_open() - before > 1200, "all are open")
        assert len(os.listdir(f"/proc/{worker.pid}/task")) >= 1500 // 64
        assert worker.wait(harness.PATIENCE) == 0
    finally:
        worker.kill()
        worker.communicate()
    wait_for(lambda: files_open() - before < 500, "the files are closed")


def test_threads_of_the_host(faultd):
    before = threads_there()
    fault = faultd.start_fault("resource-exhaust", resource="pids", count=500, every="2s", **{"for": "1s"})
    wait_for(lambda: threads_there() - before > 450, "on")
    wait_for(lambda: threads_there() - before < 50, "off")
    wait_for(lambda: threads_there() - before > 450, "on again")
    faultd.stop_fault(fault)
    wait_for(lambda: threads_there() - before < 50, "all gone")


# A cgroup

def test_pids_of_a_cgroup(faultd, actor, cgroup):
    a = actor(cgroup=cgroup.directory)
    fault = faultd.start_fault("resource-exhaust", resource="pids", cgroup=cgroup.path)
    wait_for(lambda: cgroup.used() == 200, "full")
    assert a.do("fork") == "Resource temporarily unavailable"
    faultd.stop_fault(fault)
    wait_for(lambda: cgroup.used() == 1, "empty")
    assert a.how_many("fork", 20) == (20, "ok")


def test_pids_of_a_cgroup_reserve(faultd, actor, cgroup):
    """What is left can be had, and is given back once others have taken it."""
    a = actor(cgroup=cgroup.directory)
    fault = faultd.start_fault("resource-exhaust", resource="pids", cgroup=cgroup.path, reserve=10)
    wait_for(lambda: cgroup.used() == 190, "full but for the reserve")
    assert a.do("fork") == "ok"
    assert a.how_many("fork", 5) == (5, "ok")
    wait_for(lambda: figure(faultd, fault, "yielded") >= 1, "some are given back")
    wait_for(lambda: cgroup.used() == 190, "the reserve is there again")
    assert a.do("release") == "ok"
    wait_for(lambda: figure(faultd, fault, "held") == 188, "taken again")  # 190 without the actor and the worker itself


def test_pids_of_a_cgroup_share(faultd, actor, cgroup):
    actor(cgroup=cgroup.directory)
    faultd.start_fault("resource-exhaust", resource="pids", cgroup=cgroup.path, percent=50)
    wait_for(lambda: cgroup.used() == 100, "half")
    second = faultd.start_fault("resource-exhaust", resource="pids", cgroup=cgroup.path, count=30)
    wait_for(lambda: figure(faultd, second, "held") == 30, "both")
    # The first one makes room: half is in use in all.
    wait_for(lambda: cgroup.used() == 100, "half in all")


@pytest.mark.parametrize("who", ["worker", "faultd"])
def test_pids_of_a_cgroup_killed(faultd, actor, cgroup, who):
    a = actor(cgroup=cgroup.directory)
    fault = faultd.start_fault("resource-exhaust", resource="pids", cgroup=cgroup.path)
    wait_for(lambda: cgroup.used() == 200, "full")
    if who == "faultd":
        faultd.kill()
    else:
        worker, = [p for p in processes_named("faultd-load") if str(p) in (cgroup.directory / "cgroup.procs").read_text().split()]
        os.kill(worker, signal.SIGKILL)
        faultd.wait_state(fault, "done", "failed")
    # Orphans come to us: a zombie is counted until it is waited for.
    wait_for(lambda: harness.reap_orphans() or cgroup.used() == 1, "empty")
    assert a.do("fork") == "ok"


# A network namespace

def test_ports_of_a_target(faultd, actor, cgroup, namespace):
    a = actor("ip", "netns", "exec", namespace, cgroup=cgroup.directory)
    cgroup.limit("max")
    assert a.do("listen 80") == "ok"
    fault = faultd.start_fault("resource-exhaust", resource="ports", cgroup=cgroup.path, protocol="both")
    everything = [p for p in range(40000, 40200) if p != 40100]
    wait_for(lambda: taken(namespace) == taken(namespace, socket.SOCK_DGRAM) == everything, "all but what is reserved")
    assert a.do("connect 127.0.0.1 80") == "Cannot assign requested address"
    assert a.do("bind SOCK_STREAM") == "Address already in use"
    assert a.do("bind SOCK_DGRAM") == "Address already in use"
    faultd.stop_fault(fault)
    assert taken(namespace) == taken(namespace, socket.SOCK_DGRAM) == []
    assert a.how_many("connect 127.0.0.1 80", 10) == (10, "ok")


def test_ports_reserve(faultd, actor, cgroup, namespace):
    a = actor("ip", "netns", "exec", namespace, cgroup=cgroup.directory)
    fault = faultd.start_fault("resource-exhaust", resource="ports", cgroup=cgroup.path, reserve=20)
    wait_for(lambda: figure(faultd, fault, "held") == 179, "all but the reserve")
    assert a.how_many("bind SOCK_STREAM", 20) == (20, "ok")
    wait_for(lambda: figure(faultd, fault, "held") == 159, "the reserve is there again")
    assert figure(faultd, fault, "yielded") >= 1
    assert a.do("release") == "ok"
    wait_for(lambda: figure(faultd, fault, "held") == 179, "taken again")


def test_ports_without_faultd(tmp_path, alone, actor, namespace):
    """As those of the host: a faultd that lives in the namespace; and it is killed."""
    d = harness.Faultd(tmp_path / "faultd", prefix=("ip", "netns", "exec", namespace))
    try:
        a = actor("ip", "netns", "exec", namespace)
        assert a.do("listen 80") == "ok"
        d.start_fault("resource-exhaust", resource="ports", reserve=3)
        wait_for(lambda: len(taken(namespace)) == 196, "all but the reserve")
        assert a.how_many("connect 127.0.0.1 80", 10)[1] == "Cannot assign requested address"
        d.kill()
        wait_for(lambda: len(taken(namespace)) < 20, "all are free, but for the connections")
        assert a.how_many("connect 127.0.0.1 80", 10) == (10, "ok")
    finally:
        d.close()


# Bad input

@pytest.mark.parametrize("parameters, says", [
    ({}, "parameters.resource: required"),
    ({"resource": "memory"}, "parameters.resource"),
    ({"resource": "files", "percent": 0}, "parameters.percent"),
    ({"resource": "files", "percent": 50, "count": 5}, "parameters.count: excludes percent"),
    ({"resource": "files", "reserve": 0, "count": 1}, "parameters.reserve"),
    ({"resource": "pids", "pid": 4}, "parameters.pid: there is no such limit of one process for pids"),
    ({"resource": "files", "pid": 4194305}, "parameters.pid: no process 4194305"),
    ({"resource": "files", "pid": 1}, "is protected: it is PID 1"),
    ({"resource": "files", "pid": 5, "cgroup": "/x"}, "parameters.pid: excludes unit, cgroup and container"),
    ({"resource": "files", "cgroup": "/x"}, "parameters.resource: open files are limited for the host and for each process"),
    ({"resource": "pids", "cgroup": "/no/such"}, "parameters.cgroup"),
    ({"resource": "pids", "count": 4000000, "reserve": 4000000}, "parameters.count: the limit is"),
    ({"resource": "ports", "count": 65000}, "parameters.count: the limit is"),
    ({"resource": "pids", "from": 5}, "parameters.over"),
    ({"resource": "pids", "to": 101, "over": "1s"}, "parameters.to"),
    ({"resource": "pids", "selectionMode": "COUNT(1)"}, "parameters.selectionMode"),
])
def test_bad_input(faultd, parameters, says):
    before = threads_there()
    status, answer = faultd.fault("resource-exhaust", parameters=parameters)
    assert status in (400, 403), answer
    assert says in answer["message"], answer
    assert processes_named("faultd-load") == [] and threads_there() - before < 50


def test_without_a_limit(faultd, actor, cgroup):
    cgroup.limit("max")
    actor(cgroup=cgroup.directory)
    status, answer = faultd.fault("resource-exhaust", resource="pids", cgroup=cgroup.path)
    assert status == 501 and "has no limit of its own (pids.max)" in answer["message"], answer


def test_ports_of_nobody(faultd, cgroup):
    status, answer = faultd.fault("resource-exhaust", resource="ports", cgroup=cgroup.path)
    assert status == 501 and "has no process, and so no network" in answer["message"], answer


def test_files_of_another_user(tmp_path, alone):
    """Without CAP_SYS_RESOURCE another user's limits are out of reach: it says so, and nothing is changed."""
    d = harness.Faultd(tmp_path / "faultd", prefix=("setpriv", "--bounding-set", "-sys_resource", "--inh-caps", "-sys_resource"))
    other = Actor("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    try:
        before = other.files()
        status, answer = d.fault("resource-exhaust", resource="files", pid=other.pid)
        assert status == 501 and "CAP_SYS_RESOURCE" in answer["message"], answer
        assert other.files() == before and alive(other.pid)
    finally:
        other.close()
        d.close()


def test_dry_run(faultd, actor):
    a = actor()
    before = a.files()
    status, plan = faultd.fault("resource-exhaust", resource="files", pid=a.pid, dryRun=True)
    assert status == 200 and f"lower the limit of process {a.pid} (" in str(plan), plan
    assert a.files() == before
