# SPDX-License-Identifier: Apache-2.0
"""Lives of faults that are cut short: what is aimed at, one life with a crash in it, the record of times.

A target starts its fault and says at a glance what is not as it was; HostState is the whole comparison
that follows. A life is a fresh faultd that stops itself (SIGSTOP) at its crash point N."""

import collections
import contextlib
import http.client
import itertools
import os
import pathlib
import re
import resource
import shutil
import signal
import statistics
import subprocess
import threading
import time

import pytest

from lib import cgroups, disks, harness
from lib.harness import FAULTD, GUARDIAN, PATIENCE, HostState, run, state_of, tcx_programs, wait_for

FULL = os.environ.get("FAULTD_CRASH_FULL") == "1"

# Seconds: what is promised, and how many times as long a busy machine may take before a test fails.
KILLED, HUNG, CLIENT_GONE, AT_ONCE = 0.25, 2.0, 0.25, 1.0
TOLERANCE = 10


def has_crash_points():
    return FAULTD.exists() and b"halted at crash point" in FAULTD.read_bytes()


# What the kernel says without a tool in between


def workers_of(parent):
    """Living workers that were told that this is their parent."""
    found = []
    for pid in harness.processes_named("faultd-load"):
        with contextlib.suppress(OSError):
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if str(parent).encode() in words:
                found.append(pid)
    return found


def is_stopped(pid):
    return state_of(pid) in ("T", "t")


def guardian_all(runtime, *options, timeout=PATIENCE):
    """faultd-guardian --all (or what `options` say) as ExecStopPost= runs it. Returns the finished process."""
    return subprocess.run([str(GUARDIAN), *(options or ("--all",)), "--runtime-dir", str(runtime)],
                          capture_output=True, text=True, timeout=timeout)


# Targets

_numbers = itertools.count()


class Victim:
    """A sleeping process with a name of its own."""

    def __init__(self, directory, name=None, stopped=False):
        self.name = name or f"fv{os.getpid()}x{next(_numbers)}"
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        link = directory / self.name
        if not link.exists():
            link.symlink_to(shutil.which("sleep"))
        self.process = subprocess.Popen(["sleep", "600"], executable=str(link), stdin=subprocess.DEVNULL)
        self.pid = self.process.pid
        if stopped:
            os.kill(self.pid, signal.SIGSTOP)
            wait_for(lambda: is_stopped(self.pid), f"{self.name} stopped")

    def close(self):
        self.process.kill()
        self.process.wait()


class Target:
    """What one kind of fault aims at, and how to ask for it."""

    hold = "journal"
    config = None
    steps = 0  # of its plan: a life has at least so many times nine crash points
    devices = ()

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.faultd_pid = 0

    def renew(self):
        """Before each life: what an earlier one used up."""

    def body(self):
        raise NotImplementedError

    def start(self, d, duration="60s", **fields):
        return d.request("POST", "/v1/faults", {**self.body(), "duration": duration, **fields})

    def during(self, d, fault):
        """What happens while it is active."""

    def live(self, d):
        """One whole life by the API; any part of it may be cut off."""
        status, fault = self.start(d)
        assert status == 201, fault
        assert fault["state"] in ("active", "done"), fault
        self.during(d, fault)
        status, fault = d.request("DELETE", f"/v1/faults/{fault['id']}")
        assert status == 200 and fault["state"] == "done", fault

    def off(self):
        """What is not as it was, in a few words; empty: nothing."""
        raise NotImplementedError

    def pids(self):
        return ()

    def close(self):
        pass


class CpuStress(Target):
    hold, steps = "child", 2

    def body(self):
        return {"action": "cpu-stress", "parameters": {"cpus": str(min(2, os.cpu_count())), "percent": 5}}

    def off(self):
        return [f"worker {p} lives" for p in workers_of(self.faultd_pid)]


class DiskTarget(Target):
    """A small tmpfs: each fault on it holds space, in files that nobody can see."""

    hold, steps = "child", 1
    action, parameters = None, {}

    def __init__(self, directory):
        super().__init__(directory)
        self.path = self.directory / f"disk{next(_numbers)}"
        self.path.mkdir(parents=True)
        run("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", self.path)
        self.space = self.look()

    def look(self):
        v = os.statvfs(self.path)
        return v.f_bfree, v.f_ffree

    def body(self):
        return {"action": self.action, "parameters": {"path": str(self.path), **self.parameters}}

    def off(self):
        found = [f"worker {p} lives" for p in workers_of(self.faultd_pid)]
        if (now := self.look()) != self.space:
            found.append(f"{now} blocks and inodes are free instead of {self.space}")
        return found + [f"{name} is left" for name in os.listdir(self.path)]

    def close(self):
        run("umount", self.path)


class DiskFill(DiskTarget):
    action, parameters = "disk-fill", {"percent": 100}


class IoStress(DiskTarget):
    action, parameters = "io-stress", {"bytes": "4MiB"}


class MemoryStress(CpuStress):
    """Two workers, killed while they fill or after that."""

    def body(self):
        return {"action": "memory-stress", "parameters": {"bytes": "8MiB", "workers": 2}}


class NetworkTarget(Target):
    """A veth pair of its own, without addresses: nothing has to pass, things have to be there or not."""

    parameters = {"percent": 50}
    action = "network-loss"
    foreign = None  # someone else's clsact: "empty", or with a filter in each direction ("filters")

    def __init__(self, directory):
        super().__init__(directory)
        self.dev = f"fc{os.getpid() % 10 ** 7}x{next(_numbers)}"
        run("ip", "link", "add", self.dev, "up", "type", "veth", "peer", "name", self.dev + "p")
        try:
            self.ifindex = int(pathlib.Path(f"/sys/class/net/{self.dev}/ifindex").read_text())
            self.devices = (self.dev,)
            if self.foreign:
                run("tc", "qdisc", "add", "dev", self.dev, "clsact")
                for side in ("ingress", "egress") if self.foreign == "filters" else ():
                    run("tc", "filter", "add", "dev", self.dev, side, "pref", 10, "protocol", "ip",
                        "u32", "match", "u32", 0, 0, "classid", "1:1")
            self.tc = harness.tc_state(self.dev)
        except BaseException:
            self.close()
            raise

    def body(self):
        return {"action": self.action, "parameters": {"interface": self.dev, **self.parameters}}

    def off(self):
        found = []
        if tcx_programs(self.ifindex):
            found.append(f"a program is attached to {self.dev}")
        if (now := harness.tc_state(self.dev)) != self.tc:
            found.append(f"tc says {now} instead of {self.tc}")
        return found

    def close(self):
        run("ip", "link", "del", self.dev, check=False)


class LossTcx(NetworkTarget):
    hold, steps = "kernel", 2


class BlackholeTcx(NetworkTarget):
    hold, steps, action = "kernel", 4, "network-blackhole"
    parameters = {"direction": "both"}


class PartitionTcx(NetworkTarget):
    hold, steps, action = "kernel", 4, "network-partition"
    parameters = {"peers": "192.0.2.1,2001:db8::/32", "spareSubnets": True}


class LossClsact(NetworkTarget):
    steps, config = 6, {"classifierHook": "clsact"}
    parameters = {"percent": 50, "direction": "both"}


class LossForeignClsact(LossClsact):
    foreign = "filters"


class LossEmptyClsact(LossClsact):
    """Nothing but its having been there before says that it has to stay."""

    foreign = "empty"


class Shaper(NetworkTarget):
    """A device and a filter. Whether the device is gone is HostState's to see: lives have theirs side by side. It is a
    veth pair, and an ifb below."""

    steps, action = 4, "network-rate"
    parameters = {"rate": "10mbit", "direction": "egress"}


class ShaperClsact(Shaper):
    parameters = {"rate": "10mbit", "direction": "ingress"}
    config = {"classifierHook": "clsact"}
    foreign = "filters"


class Netem(Shaper):
    """Likewise, where the kernel has netem."""

    action, parameters = "network-impair", {"delay": "50ms", "jitter": "5ms", "loss": 1, "rate": "10mbit", "direction": "ingress"}

    def __init__(self, directory):
        if why := harness.why_no_netem():
            pytest.skip(why)
        super().__init__(directory)


def what_stands_on(dev, run):
    """But for the link-local address, which the kernel makes anew, and takes its time."""
    found = [run("ip", "link", "show", "up", "dev", dev) and "up", run("ip", "neigh", "show", "dev", dev, "nud", "permanent")]
    for words in ("-4 addr show", "-6 addr show scope global", "-4 route show table all", "-6 route show table all"):
        lines = (line.strip() for line in run("ip", "-o", *words.split(), "dev", dev).splitlines())
        found.append(sorted(line for line in lines if "fe80::" not in line and "ff00::" not in line))
    return found


class InterfaceDown(NetworkTarget):
    """With an address, routes and neighbours, which go with it."""

    hold, steps, action, parameters = "journal", 6, "interface-down", {}

    def __init__(self, directory):
        super().__init__(directory)
        n = next(_numbers) % 200
        for words in (f"link set {self.dev}p up", f"addr add 10.96.{n}.1/24 dev {self.dev}",
                      f"-6 addr add fd96:{n:x}::1/64 dev {self.dev} nodad",
                      f"route add 10.95.{n}.0/24 via 10.96.{n}.9 dev {self.dev}",
                      f"-6 route add fd95:{n:x}::/64 via fd96:{n:x}::9 dev {self.dev}",
                      f"neigh add 10.96.{n}.9 lladdr 02:00:00:00:00:09 dev {self.dev} nud permanent"):
            run("ip", *words.split())
        wait_for(lambda: "tentative" not in run("ip", "addr", "show", "dev", self.dev), "addresses")
        self.before = self.look()

    def look(self):
        return what_stands_on(self.dev, run)

    def off(self):
        now = self.look()
        return super().off() + [f"{n} instead of {b}" for n, b in zip(now, self.before, strict=True) if n != b]


class NamespaceTarget(Target):
    """The veth's other end, in a namespace that has no name: a process holds it."""

    def __init__(self, directory):
        super().__init__(directory)
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "600"], stdin=subprocess.DEVNULL)
        self.dev = f"fc{os.getpid() % 10 ** 7}x{next(_numbers)}"
        try:
            wait_for(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != os.readlink("/proc/self/ns/net"), "a namespace of its own")
            run("ip", "link", "add", self.dev, "up", "type", "veth", "peer", "name", "inside", "netns", self.holder.pid)
            self.run("ip", "link", "set", "inside", "up")
            self.devices = (self.dev,)
            self.furnish()
            self.before = self.look()
        except BaseException:
            self.close()
            raise

    def furnish(self):
        pass

    def run(self, *argv, **kwargs):
        return run("nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *argv, **kwargs)

    def off(self):
        return [f"inside, {n} instead of {b}" for n, b in zip(self.look(), self.before, strict=True) if n != b]

    def close(self):
        run("ip", "link", "del", self.dev, check=False)
        self.holder.kill()
        self.holder.wait()


class LossNamespace(NamespaceTarget):
    steps, config = 6, {"classifierHook": "clsact"}

    def look(self):
        return [self.run("tc", "qdisc", "show", "dev", "inside")] + [
            self.run("tc", "filter", "show", "dev", "inside", side, check=False) for side in ("ingress", "egress")]

    def body(self):
        return {"action": "network-loss", "parameters": {"interface": "inside", "netns": f"pid:{self.holder.pid}", "percent": 50,
                                                         "direction": "both"}}


class InterfaceDownNamespace(NamespaceTarget):
    """With routes and a neighbour, as InterfaceDown; the default route too."""

    hold, steps = "journal", 6

    def furnish(self):
        for words in ("addr add 10.96.0.1/24 dev inside", "-6 addr add fd96::1/64 dev inside nodad",
                      "route add default via 10.96.0.9 dev inside", "-6 route add default via fd96::9 dev inside",
                      "neigh add 10.96.0.9 lladdr 02:00:00:00:00:09 dev inside nud permanent"):
            self.run("ip", *words.split())
        wait_for(lambda: "tentative" not in self.run("ip", "addr", "show", "dev", "inside"), "addresses")

    def look(self):
        return what_stands_on("inside", self.run)

    def body(self):
        return {"action": "interface-down", "parameters": {"interface": "inside", "netns": f"pid:{self.holder.pid}"}}


class ResetCut(NetworkTarget):
    """Cut and answered; what was cut is nothing to put back, the rest is."""

    hold, steps, action = "kernel", 3, "network-reset"
    parameters = {"how": "both"}


class Pause(Target):
    """Two victims; one of them had been stopped before, by someone else."""

    steps = 2

    def __init__(self, directory):
        super().__init__(directory)
        self.running = [Victim(self.directory)]
        self.stopped = [Victim(self.directory, stopped=True)]

    def body(self):
        return {"action": "process-pause", "parameters": {"pid": [v.pid for v in self.running + self.stopped]}}

    def off(self):
        return ([f"{v.name} is paused" for v in self.running if is_stopped(v.pid)] +
                [f"{v.name} was continued" for v in self.stopped if not is_stopped(v.pid)])

    def pids(self):
        return [v.pid for v in self.running + self.stopped]

    def close(self):
        for v in self.running + self.stopped:
            v.close()


class PauseInterval(Pause):
    """A second victim turns up while the fault is active, and is paused as well."""

    def __init__(self, directory):
        super().__init__(directory)
        self.late = []

    def renew(self):
        while self.late:
            self.late.pop().close()

    def body(self):
        return {"action": "process-pause", "parameters": {"name": self.running[0].name, "interval": "100ms"}}

    def during(self, d, fault):
        v = Victim(self.directory, self.running[0].name)
        self.late.append(v)
        wait_for(lambda: is_stopped(v.pid) or not harness.alive(self.faultd_pid), "the late victim is paused")
        # Paused is not yet journalled as done: the next answer comes after that.
        d.get("/v1/status")

    def off(self):
        return super().off() + [f"late {v.name} is paused" for v in self.late if is_stopped(v.pid)]

    def close(self):
        self.renew()
        super().close()


class PauseFreezer(Target):
    """A cgroup with a victim in it and one below."""

    steps = 1

    def __init__(self, directory):
        super().__init__(directory)
        self.victims = [Victim(self.directory), Victim(self.directory)]
        self.outer = cgroups.Cgroup(cgroups.unique(), controllers=("freezer",))
        self.inner = cgroups.Cgroup(f"{self.outer.path}/inner", controllers=("freezer",))
        for v, c in zip(self.victims, (self.outer, self.inner), strict=True):
            c.add(v.pid)

    def body(self):
        return {"action": "process-pause", "parameters": {"cgroup": self.outer.path}}

    def off(self):
        return [f"{c.path} is frozen" for c in (self.outer, self.inner) if c.frozen()]

    def pids(self):
        return [v.pid for v in self.victims]

    def close(self):
        self.inner.close()
        self.outer.close()
        for v in self.victims:
            v.close()


class Kill(Target):
    """Two victims that may die, and a bystander that may not."""

    hold, steps = "none", 2

    def __init__(self, directory):
        super().__init__(directory)
        self.bystander = Victim(self.directory)
        self.victims = []

    def renew(self):
        while self.victims:
            self.victims.pop().close()
        self.victims = [Victim(self.directory), Victim(self.directory)]

    def body(self):
        return {"action": "process-kill", "confirm": True, "parameters": {"pid": [v.pid for v in self.victims]}}

    def start(self, d, duration=None, **fields):
        return d.request("POST", "/v1/faults", {**self.body(), **fields})

    def off(self):
        return [] if harness.alive(self.bystander.pid) else ["the bystander died"]

    def pids(self):
        return [self.bystander.pid]

    def close(self):
        self.renew()
        for v in self.victims + [self.bystander]:
            v.close()


class DiskThrottle(Target):
    """A loop device and a cgroup; one of the limits had been set before."""

    def __init__(self, directory):
        super().__init__(directory)
        if why := disks.IoCgroup.why_not():
            pytest.skip(why)
        self.steps = 1 if disks.IoCgroup.v2 else 2
        self.disk = disks.LoopDisk(self.directory, 8)
        self.group = disks.IoCgroup()
        self.group.set(self.disk.numbers, "wbps", 9000000)
        self.before = self.group.limits(self.disk.numbers)

    def body(self):
        return {"action": "disk-throttle", "parameters": {"device": self.disk.device, "cgroup": self.group.path,
                                                          "writeBytes": "1MiB", "readIops": 100}}

    def off(self):
        now = self.group.limits(self.disk.numbers)
        return [] if now == self.before else [f"limits are {now} instead of {self.before}"]

    def close(self):
        self.group.close()
        self.disk.close()


class DiskThrottleRamp(DiskThrottle):
    """Killed also between a value and the next one."""

    def body(self):
        return {"action": "disk-throttle", "parameters": {"device": self.disk.device, "cgroup": self.group.path,
                                                          "writeBytes": "1MiB", "from": "3MiB", "over": "200ms", "steps": 2}}

    def __init__(self, directory):
        super().__init__(directory)
        self.steps = 1

    def during(self, d, fault):
        wait_for(lambda: self.group.limit(self.disk.numbers, "wbps") == 1 << 20 or not harness.alive(self.faultd_pid),
                 "the end of the ramp")
        d.get("/v1/status")


class CgroupLeaf(CpuStress):
    """A cgroup that has cgroups below it: on v2 the load needs one of its own beside them."""

    hold, steps = "journal", 2

    def __init__(self, directory):
        super().__init__(directory)
        root = pathlib.Path("/sys/fs/cgroup")
        control = root / "cgroup.subtree_control"
        if not control.exists() or "pids" not in control.read_text().split():
            pytest.skip("needs cgroup v2 with the pids controller")
        self.outer = root / f"fdl{os.getpid()}x{next(_numbers)}"
        self.inside = self.outer / "inside"
        self.inside.mkdir(parents=True)
        (self.outer / "cgroup.subtree_control").write_text("+pids")
        self.victim = Victim(self.directory)
        (self.inside / "cgroup.procs").write_text(str(self.victim.pid))

    def body(self):
        return {"action": "cpu-stress", "parameters": {"cpus": "1", "percent": 5, "cgroup": f"/{self.outer.name}"}}

    def off(self):
        return super().off() + [f"{p} is left" for p in self.outer.iterdir() if p.is_dir() and p != self.inside]

    def pids(self):
        return [self.victim.pid]

    def close(self):
        self.victim.close()
        self.inside.rmdir()
        self.outer.rmdir()


class DiskFreeze(Target):
    steps = 1

    def __init__(self, directory):
        super().__init__(directory)
        self.mount = disks.LoopMount(self.directory, 8)

    def body(self):
        return {"action": "disk-freeze", "parameters": {"path": str(self.mount.point)}}

    def off(self):
        return [f"{self.mount.point} is frozen"] if self.mount.is_frozen() else []

    def close(self):
        self.mount.close()


class ExhaustPids(Target):
    """Threads inside a cgroup of its own, of the pids controller."""

    hold, steps = "child", 1

    def __init__(self, directory):
        super().__init__(directory)
        mount = next(where for _, where, kind, options, *_ in map(str.split, pathlib.Path("/proc/self/mounts").read_text().splitlines())
                     if kind in ("cgroup", "cgroup2") and "pids" in options.split(",") or kind == "cgroup2" and
                     "pids" in (pathlib.Path(where) / "cgroup.subtree_control").read_text().split())
        self.name = f"/fce{os.getpid()}x{next(_numbers)}"
        self.cgroup = pathlib.Path(mount + self.name)
        self.cgroup.mkdir()
        (self.cgroup / "pids.max").write_text("100")

    def body(self):
        return {"action": "resource-exhaust", "parameters": {"resource": "pids", "cgroup": self.name}}

    def off(self):
        # Not pids.current: that counts zombies as well, until we wait for them.
        return [f"worker {p} lives" for p in map(int, (self.cgroup / "cgroup.procs").read_text().split()) if harness.alive(p)]

    def close(self):
        wait_for(lambda: harness.reap_orphans() or (self.cgroup / "pids.current").read_text() == "0\n", "the cgroup is empty")
        self.cgroup.rmdir()


class ExhaustFilesPid(Target):
    """The limit of a process, lowered and put back; a ramp changes it meanwhile."""

    steps = 1

    def __init__(self, directory):
        super().__init__(directory)
        self.victim = Victim(directory)
        self.limit = resource.prlimit(self.victim.pid, resource.RLIMIT_NOFILE)

    def body(self):
        return {"action": "resource-exhaust", "parameters": {"resource": "files", "pid": self.victim.pid,
                                                             "from": 50, "over": "200ms", "steps": 2}}

    def during(self, d, fault):
        wait_for(lambda: resource.prlimit(self.victim.pid, resource.RLIMIT_NOFILE)[0] < 100 or
                 is_stopped(self.faultd_pid) or not harness.alive(self.faultd_pid), "the end of the ramp")
        d.get("/v1/status")

    def off(self):
        now = resource.prlimit(self.victim.pid, resource.RLIMIT_NOFILE)
        return [f"the limit is {now} instead of {self.limit}"] if now != self.limit else []

    def pids(self):
        return [self.victim.pid]

    def close(self):
        self.victim.close()


KINDS = {
    "cpu-stress": CpuStress,
    "memory-stress": MemoryStress,
    "disk-fill": DiskFill,
    "io-stress": IoStress,
    "loss-tcx": LossTcx,
    "blackhole-tcx": BlackholeTcx,
    "partition-tcx": PartitionTcx,
    "loss-clsact": LossClsact,
    "loss-clsact-foreign": LossForeignClsact,
    "loss-clsact-empty": LossEmptyClsact,
    "shaper-tcx": Shaper,
    "shaper-clsact-foreign": ShaperClsact,
    "netem": Netem,
    "interface-down": InterfaceDown,
    "reset-cut": ResetCut,
    "loss-namespace": LossNamespace,
    "interface-down-namespace": InterfaceDownNamespace,
    "pause": Pause,
    "pause-interval": PauseInterval,
    "pause-freezer": PauseFreezer,
    "kill": Kill,
    "disk-throttle": DiskThrottle,
    "disk-throttle-ramp": DiskThrottleRamp,
    "disk-freeze": DiskFreeze,
    "exhaust-pids": ExhaustPids,
    "exhaust-files-pid": ExhaustFilesPid,
    "cgroup-leaf": CgroupLeaf,
}


class Host(HostState):
    """`now == before`: what is aimed at is as it was, and nothing new is there. What vanished meanwhile is not ours."""

    def __eq__(self, before):
        now, then = dict(self.parts), dict(before.parts)
        known, bpf = then.pop("bpf"), now.pop("bpf")
        new = [o for kind, objects in bpf.items() for o in objects if o not in known[kind]]
        new += set(now.pop("workers")) - set(then.pop("workers"))
        return not new and now == then


def shows(*targets):
    """Waits until the faults can be seen: a signal that was sent arrives when its process is next scheduled."""
    for t in targets:
        wait_for(t.off, f"the fault of {type(t).__name__} shows")


def dump(targets):
    return Host([d for t in targets for d in t.devices], [p for t in targets for p in t.pids()])


# The record

_times = collections.defaultdict(list)


def record(kind, event, where, seconds):
    _times[kind, event].append((seconds, where))


def times_as_list():
    """What a worker beside others hands over, and take_over() takes."""
    return [[kind, event, seconds, where] for (kind, event), times in _times.items() for seconds, where in times]


def take_over(times):
    for kind, event, seconds, where in times:
        record(kind, event, where, seconds)


def summary():
    """The lines of the table; none if nothing was measured."""
    if not _times:
        return []
    lines = [f"{'fault':<22} {'event':<26} {'points':>6} {'median ms':>10} {'max ms':>9}  slowest at"]
    for (kind, event), times in _times.items():
        slowest = max(times)
        median = statistics.median(t for t, _ in times)
        lines.append(f"{kind:<22} {event:<26} {len(times):>6} {median * 1e3:>10.1f} {slowest[0] * 1e3:>9.1f}  {slowest[1]}")
    return lines


# A life

class Life:
    """A fresh faultd that halts at its crash point `halt_at`, and a client that sees a fault from start to stop."""

    def __init__(self, target, directory, halt_at):
        self.target, self.halt_at, self.problem = target, halt_at, None
        shutil.rmtree(directory, ignore_errors=True)
        target.renew()
        self.d = harness.Faultd(directory, env={"FAULTD_HALT_AT": str(halt_at)}, config=target.config)
        target.faultd_pid = self.d.pid
        self.guardian = self.d.guardian_pid()
        self.thread = threading.Thread(target=self._drive, daemon=True)

    def _drive(self):
        try:
            self.target.live(self.d)
        except (OSError, http.client.HTTPException):
            pass  # cut off by the crash
        except BaseException as e:
            self.problem = e

    def run_to_halt(self):
        """Returns where it halted, or None when the life went by without reaching that point."""
        self.thread.start()
        wait_for(lambda: is_stopped(self.d.pid) or not self.thread.is_alive(), "the crash point or the end", pause=0.001)
        if not is_stopped(self.d.pid):
            self.thread.join()
            if self.problem:
                raise self.problem
            return None
        self.at = time.monotonic()
        found = re.findall(r"halted at crash point (\d+): (.*)", self.d.log())
        assert found and int(found[-1][0]) == self.halt_at, self.d.log()
        self.where = f"{found[-1][0]} ({found[-1][1]})"
        return self.where

    @property
    def is_armed(self):
        """The guardian has been told of the fault; before that nothing may have been changed."""
        return ": journaled" in self.d.log()

    def wait_back(self, since, bound, event, kind):
        """Waits until nothing is off and no journal is left; the time it took is put on record."""
        def off():
            return self.target.off() + [f"journal {j} is left" for j in self.d.journals()]

        until = since + bound * TOLERANCE
        while found := off():
            if time.monotonic() > until:
                raise AssertionError(f"{event} at {self.where}: after {bound * TOLERANCE:g} s {found}; log:\n{self.d.log()}")
            time.sleep(0.001)
        record(kind, event, self.where, time.monotonic() - since)

    def end(self):
        """Whatever state it is in: it goes, and has said nothing alarming."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.d.pid, signal.SIGCONT)
        self.d.close()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        assert_calm(self.d)
        assert self.problem is None, self.problem


def assert_calm(d):
    """No sanitizer has spoken, no undo has failed, nothing was put aside."""
    log = d.log()
    for alarming in "AddressSanitizer", "runtime error:", "could not be undone", "<3>":
        assert alarming not in log, log
    assert not list((d.runtime / "journal").glob("*.bad")), "a journal was put aside"


_counts = {}


def count_points(kind, directory):
    """How many crash points a whole life of this kind has."""
    if kind not in _counts:
        target = KINDS[kind](pathlib.Path(directory) / "count")

        def reaches(n):
            life = Life(target, pathlib.Path(directory) / "counting", n)
            try:
                if life.run_to_halt() is None:
                    return False
                life.d.kill()
                life.wait_back(time.monotonic(), KILLED, "SIGKILL while counting", kind)
                return True
            finally:
                life.end()

        try:
            low, high = 1, 64
            while reaches(high):
                low, high = high, high * 2
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if reaches(middle) else (low, middle)
        finally:
            target.close()
        _times.pop((kind, "SIGKILL while counting"), None)
        # Journal made, its header and its end, and per step: planned, begin, before, after, did, and three for its undo.
        assert low >= 4 + 8 * target.steps, f"only {low} crash points"
        _counts[kind] = low
    return _counts[kind]


def spread(count, most):
    """All points, or `most` of them from the first to the last."""
    if FULL or count <= most:
        return list(range(1, count + 1))
    return sorted({1 + round(i * (count - 1) / (most - 1)) for i in range(most)})


# The ways to die, for lives that take turns with them

def killed(life, kind):
    since = time.monotonic()
    os.kill(life.d.pid, signal.SIGKILL)
    life.wait_back(since, KILLED, "faultd SIGKILLed", kind)


def hung(life, kind):
    if not life.is_armed:  # nobody knows of a fault, and there is none
        assert life.target.off() == []
        return killed(life, kind)
    wait_for(lambda: life.d.process.poll() is not None, f"fenced at {life.where}", HUNG * TOLERANCE)
    life.wait_back(life.at, HUNG, "faultd hung", kind)


def both_killed(life, kind):
    os.kill(life.guardian, signal.SIGKILL)
    os.kill(life.d.pid, signal.SIGKILL)
    life.d.process.wait()
    since = time.monotonic()
    done = guardian_all(life.d.runtime)
    assert done.returncode == 0, (life.where, done)
    life.wait_back(since, AT_ONCE, "both killed, --all", kind)


DEATHS = killed, hung, both_killed
