# SPDX-License-Identifier: Apache-2.0
"""The guard rails, for every action of the catalogue: what is refused, that a refusal and a dry run change nothing, and that
what claims the same is not done twice. An action that this file does not know fails it.

Aimed at processes, cgroups, file systems and interfaces of the test's own. What would hurt this machine if it were not
refused is asked for as a dry run: refusing comes before that."""

import contextlib
import functools
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from lib import harness
from lib.cgroups import Cgroup, hierarchies, unique
from lib.disks import IoCgroup, LoopDisk, LoopMount
from lib.filesystems import Disk
from lib.harness import HostState, Network, alive, assert_put_back, processes_named, state_of, wait_for

pytestmark = pytest.mark.usefixtures("root")

SYSTEMD = pathlib.Path("/run/systemd/system").is_dir()
NAME = f"fdr{os.getpid()}"
USER = 64123  # nobody else's
NOBODY_HAS_IT = f"{os.getpid():012x}576899aabbccddeeff00112233445566778899aabbccddeeff00"

_numbers = itertools.count()


class World:
    """A faultd, and what its faults are aimed at: each made when it is first asked for, all gone at the end."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.ends = contextlib.ExitStack()
        self.config = {}
        self.prefix = ()

    @functools.cached_property
    def faultd(self):
        d = harness.Faultd(self.directory / "faultd", config=self.config, prefix=self.prefix)
        self.ends.callback(d.close)
        return d

    def process(self, name=NAME, cgroup=None, user=None, argv0=None):
        """The pid of one that sleeps, under that name."""
        program = self.directory / "bin" / name
        program.parent.mkdir(exist_ok=True)
        if not program.exists():
            harness.copy_of_sleep(program.parent, name)
        p = subprocess.Popen([argv0 or str(program), "600"], executable=program, user=user, group=user)
        self.ends.callback(p.wait)
        self.ends.callback(p.kill)
        wait_for(lambda: state_of(p.pid) == "S" and pathlib.Path(f"/proc/{p.pid}/comm").read_text().strip() == name, "asleep")
        self.processes.append(p.pid)
        if cgroup:
            cgroup.add(p.pid)
        return p.pid

    @functools.cached_property
    def processes(self):
        return []

    @functools.cached_property
    def victim(self):
        return self.process()

    def new_cgroup(self, path=None, controllers=("cpu", "cpuacct", "freezer", "memory", "pids", "blkio")):
        try:
            c = Cgroup(path or unique("faultd-rails"), controllers)
        except (PermissionError, KeyError) as e:
            pytest.skip(f"no cgroups can be made here: {e}")
        self.ends.callback(c.close)
        self.cgroups.append(c)
        return c

    @functools.cached_property
    def cgroups(self):
        return []

    @functools.cached_property
    def cgroup(self):
        return self.new_cgroup()

    @functools.cached_property
    def tmpfs(self):
        d = Disk(self.directory / "tmpfs", "tmpfs", 64)
        self.ends.callback(d.close)
        return d

    @functools.cached_property
    def disk(self):
        if why := IoCgroup.why_not():
            pytest.skip(why)
        d = LoopDisk(self.directory / "disk", 8)
        self.ends.callback(d.close)
        return d

    @functools.cached_property
    def mount(self):
        m = LoopMount(self.directory / "mount", 8)
        self.ends.callback(m.close)
        return m

    @functools.cached_property
    def network(self):
        n = Network()
        self.ends.callback(n.close)
        return n

    def made(self, name):
        return name in self.__dict__

    def state(self):
        """What a fault may have changed of all this."""
        pids = [*self.processes, 1, os.getpid()]
        devices = [self.network.dev] if self.made("network") else []
        files = [self.faultd.runtime / "journal"]
        if self.made("tmpfs"):
            files.append(self.tmpfs.path)
        if self.made("mount"):
            files.append(self.mount.point)
        state = HostState(devices, pids, files)
        state.parts["addresses"] = [harness.run("ip", *words, "dev", d) for d in devices for words in (
            ("-o", "addr", "show"), ("route", "show", "table", "all"), ("-6", "route", "show", "table", "all"))]
        state.parts["limits"] = {p: limits(p) for p in self.processes}
        state.parts["inside"] = {c.path: settings(c) for c in self.cgroups}
        state.parts["space"] = self.tmpfs.space() if self.made("tmpfs") else None
        # The wall clock against the one that nobody can set; slewing is not what is looked for.
        state.parts["clock"] = round((time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)) / 10)
        state.parts["boot"] = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text()
        return state

    def close(self):
        self.ends.close()


def limits(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/limits").read_text()
    return None


def settings(c):
    """What can be set in a cgroup, and who is in it."""
    found = {}
    for d in c.directories:
        with contextlib.suppress(FileNotFoundError):
            for f in ("cgroup.procs", "freezer.state", "cgroup.freeze", "io.max", "cpu.max", "cpu.cfs_quota_us", "pids.max",
                      "memory.limit_in_bytes", *(x.name for x in d.glob("blkio.throttle.*_device"))):
                if (d / f).exists():
                    found[f"{d}/{f}"] = (d / f).read_text()
            found[f"{d}"] = sorted(x.name for x in d.iterdir() if x.is_dir())
    return found


@pytest.fixture
def world(tmp_path, alone, root):
    w = World(tmp_path)
    yield w
    w.close()


@pytest.fixture
def unprivileged(world):
    """With a faultd of an ordinary user, whose directories are where it may write; what it is aimed at is root's."""
    w = world
    base = pathlib.Path(tempfile.mkdtemp(prefix="faultd-rails-"))
    w.ends.callback(shutil.rmtree, base)
    base.chmod(0o755)
    w.directory = base
    (base / "faultd").mkdir()
    os.chown(base / "faultd", USER, USER)
    w.prefix = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    return w


# What each action is: parameters of a fault that is harmless here

GOOD = {
    "clock-skew": lambda w: {"offset": "5m"},
    "cpu-stress": lambda w: {"percent": 1, "cpus": "0-0"},
    "disk-fill": lambda w: {"path": str(w.tmpfs.path), "bytes": "1MiB"},
    "disk-freeze": lambda w: {"path": str(w.mount.point)},
    "disk-throttle": lambda w: {"device": w.disk.device, "cgroup": w.cgroup.path, "writeBytes": "1MiB"},
    "dns-fault": lambda w: {"interface": w.network.dev},
    "host-reboot": lambda w: {},
    "host-shutdown": lambda w: {},
    "interface-down": lambda w: {"interface": w.network.dev},
    "io-stress": lambda w: {"path": str(w.tmpfs.path), "bytes": "1MiB"},
    "kernel-panic": lambda w: {},
    "memory-stress": lambda w: {"bytes": "1MiB"},
    "network-blackhole": lambda w: {"interface": w.network.dev},
    "network-corrupt": lambda w: {"interface": w.network.dev},
    "network-duplicate": lambda w: {"interface": w.network.dev},
    "network-impair": lambda w: {"interface": w.network.dev, "loss": 1},
    "network-latency": lambda w: {"interface": w.network.dev, "delay": "1ms"},
    "network-loss": lambda w: {"interface": w.network.dev, "percent": 10},
    "network-partition": lambda w: {"interface": w.network.dev, "peers": w.network.there},
    "network-reorder": lambda w: {"interface": w.network.dev},
    "network-rate": lambda w: {"interface": w.network.dev, "rate": "10mbit"},
    "network-reset": lambda w: {"interface": w.network.dev},
    "process-kill": lambda w: {"pid": [w.victim], "signal": "SIGURG"},  # ignored, but not anybody may send it
    "process-pause": lambda w: {"pid": [w.victim]},
    "resource-exhaust": lambda w: {"resource": "files", "pid": w.victim},
    "service-stop": lambda w: {"unit": "faultd-rails-none"},
    "wait": lambda w: {},
}
ACTIONS = sorted(GOOD)

HOST_ACTIONS = {"host-reboot", "host-shutdown", "kernel-panic"}
IRREVERSIBLE = HOST_ACTIONS | {"process-kill"}
NOT_STARTED_HERE = HOST_ACTIONS | {"clock-skew", "service-stop"}
NEEDS_NETEM = {"network-corrupt", "network-duplicate", "network-impair", "network-latency", "network-reorder"}

# Where they can be aimed. test_the_catalogue() compares this with the parameters they have.
AT_PACKETS = {a for a in ACTIONS if a.startswith("network-")} | {"dns-fault"}
INSIDE = {"cpu-stress", "memory-stress", "io-stress", "disk-fill", "disk-throttle", "resource-exhaust", "process-kill",
          "process-pause"} | AT_PACKETS
AT_NAMESPACES = {"interface-down"}  # a target in the host's namespace is refused: test_interface_down.py
AT_PROCESSES = {"process-kill", "process-pause", "resource-exhaust"}
AT_PATHS = {"disk-fill", "disk-freeze", "disk-throttle", "io-stress"}
AT_UNITS = INSIDE | AT_NAMESPACES | {"service-stop"}
GRADED = {"cpu-stress", "memory-stress", "io-stress", "disk-fill", "disk-throttle", "resource-exhaust", "network-loss",
          "network-rate", *NEEDS_NETEM - {"network-impair"}}


def inside(w, action):
    """Its parameters without what excludes a cgroup."""
    if action == "resource-exhaust":
        return {"resource": "pids", "count": 1}
    if action == "process-kill":
        return {"signal": "SIGURG"}
    if action == "process-pause":
        return {}
    if action in AT_PACKETS:
        return {**GOOD[action](w), "direction": "egress"}
    return {k: v for k, v in GOOD[action](w).items() if k != "cgroup"}


def duration_of(action):
    return None if action in IRREVERSIBLE else "30s"


def ask(w, action, parameters, **fields):
    """(status, answer). Never started here: what this machine would not survive; its policy denies that, too."""
    if action in ("clock-skew", "service-stop"):
        fields["dryRun"] = True
    status, answer = w.faultd.fault(action, duration_of(action), confirm=True, parameters=parameters, **fields)
    if status in (200, 201) and not fields.get("dryRun"):
        w.faultd.request("DELETE", f"/v1/faults/{answer['id']}")
    return status, answer


def complaints(w, action, parameters, status, words="", dry=False, field=None, value=None):
    """What is wrong with how a request is refused, as a list of a text; empty if nothing is."""
    got, answer = ask(w, action, parameters, **({"dryRun": True} if dry else {}))
    wrong = []
    if got != status or answer.get("code") != w.faultd.error_type:
        wrong.append(f"{got}, not {status}")
    if words not in answer.get("message", ""):
        wrong.append(f"{words!r} is not said")
    if field and answer.get("field") != field:
        wrong.append(f"field {answer.get('field')!r}, not {field!r}")
    if field and (field not in answer.get("message", "") or not answer.get("allowed")):
        wrong.append("field or what is allowed is not named")
    if value is not None and value not in answer.get("value", ""):
        wrong.append(f"value {answer.get('value')!r}, not {value!r}")
    if w.faultd.journals() or processes_named("faultd-load"):
        wrong.append(f"left: {w.faultd.journals()}, workers {processes_named('faultd-load')}")
    return [f"{action} {json.dumps(parameters)[:200]}: {'; '.join(wrong)}: {answer}"] if wrong else []


@contextlib.contextmanager
def nothing_changes(w):
    own = [(p, alive(p), state_of(p) in "Tt") for p in (w.faultd.pid, w.faultd.guardian_pid())]
    before = w.state()
    yield
    after = w.state()
    assert after == before, before.diff(after)
    assert all(is_alive and not stopped for _, is_alive, stopped in own)
    assert own == [(p, alive(p), state_of(p) in "Tt") for p in (w.faultd.pid, w.faultd.guardian_pid())]
    assert not [f for f in w.faultd.get("/v1/faults")[1]["faults"] if f["state"] not in ("done", "failed")]


def check(failed):
    assert not failed, f"{len(failed)}:\n" + "\n".join(failed[:12])


# The catalogue


def catalogue(w):
    return {a["name"]: a for a in w.faultd.get("/v1/actions")[1]["actions"]}


def test_the_catalogue(world):
    """Who adds an action enters it here, and then in the tables below."""
    actions = catalogue(world)
    assert sorted(actions) == ACTIONS

    def having(parameter):
        return {n for n, a in actions.items() if parameter in {p["name"] for p in a["parameters"]}}

    assert having("cgroup") == having("container") == INSIDE | AT_NAMESPACES
    assert having("pid") == AT_PROCESSES
    assert having("path") == AT_PATHS
    assert having("unit") == AT_UNITS
    assert having("every") == GRADED
    assert {n for n, a in actions.items() if a["irreversible"]} == IRREVERSIBLE
    assert {n for n, a in actions.items() if a["composition"].startswith("exclusive")} == set(EXCLUSIVE) | NOT_STARTED_HERE
    assert {n for n, a in actions.items() if a["composition"].startswith("composes")} == set(COMPOSING)
    assert {n for n, a in actions.items() if "exclusive: " in a["composition"].partition(";")[2]} == set(EXCLUSIVE_AS_WELL)


# Protected


@pytest.mark.parametrize("action", sorted(INSIDE))
def test_cgroups_that_hold_what_is_protected(world, action):
    w = world
    w.config = {"protectedProcesses": [f"{NAME}p"], "protectedUnits": ["faultd-rails-db"]}
    parameters = inside(w, action)
    # A cpu cgroup does not take real-time processes, such as the guardian.
    holders = {what: w.new_cgroup(controllers=("freezer",)) for what in ("faultd", "guardian", "sshd", "policy")}
    deeper = w.new_cgroup(f"{holders['sshd'].path}/deeper", controllers=("freezer",))
    beside = w.new_cgroup(f"{holders['sshd'].path}/beside", controllers=("freezer",))
    holders["faultd"].add(w.faultd.pid)
    holders["guardian"].add(w.faultd.guardian_pid())
    w.process("sshd", deeper), w.process(NAME, beside), w.process(f"{NAME}p", holders["policy"])
    slice_ = w.new_cgroup(unique("faultd-rails") + ".slice", controllers=("freezer",))
    units = {u: w.new_cgroup(f"{slice_.path}/{u}.service", controllers=("freezer",)) for u in ("sshd", "faultd-rails-db")}
    for c in units.values():
        w.process(NAME, c)
    container = w.new_cgroup(f"{holders['sshd'].path}/docker-{NOBODY_HAS_IT}.scope", controllers=("freezer",))
    w.process(f"{NAME}p", container)
    mount = hierarchies()["freezer"] if "freezer" in hierarchies() else hierarchies()[""]
    failed = []
    with nothing_changes(w):
        for what, c in holders.items():
            for path in (c.path, c.path[1:], f"{c.path}/", f"/{c.path}", f"{mount}{c.path}", f"{c.path[:-1]}?", f"{c.path}*"):
                failed += complaints(w, action, {**parameters, "cgroup": path}, 403, "protected")
        failed += complaints(w, action, {**parameters, "container": NOBODY_HAS_IT[:12]}, 403, f"({NAME}p)")
        for path in (deeper.path, f"{holders['sshd'].path}/*"):
            failed += complaints(w, action, {**parameters, "cgroup": path}, 403, "sshd")
        # Whatever is chosen in the end: all that matches is looked at.
        failed += complaints(w, action, {**parameters, "cgroup": f"{holders['sshd'].path}/*", "selectionMode": "COUNT(1)"}, 403)
        for unit in units:
            failed += complaints(w, action, {**parameters, "unit": unit}, 403, "protected")
        for root in ("/", *set(hierarchies().values())):
            failed += complaints(w, action, {**parameters, "cgroup": root}, 400, dry=True, field="parameters.cgroup")
    check(failed)


@pytest.mark.parametrize("action", sorted(AT_PROCESSES))
def test_processes_that_are_protected(world, action):
    w = world
    w.config = {"protectedProcesses": [f"{NAME}p"]}
    sshd, by_policy = w.process("sshd"), w.process(f"{NAME}p")
    parameters = {k: v for k, v in GOOD[action](w).items() if k != "pid"}
    whole = {} if action == "resource-exhaust" else {"list": True}

    def at(pid):
        return {**parameters, "pid": [w.victim, pid] if whole else pid}

    failed = []
    with nothing_changes(w):
        for pid in (w.faultd.pid, w.faultd.guardian_pid(), sshd, by_policy):
            failed += complaints(w, action, at(pid), 403, f"process {pid} ")
        for pid in (1, os.getpid()):  # the caller is this process
            failed += complaints(w, action, at(pid), 403, f"process {pid} ", dry=True)
        for name in ("faultd", "faultd-guardian", "sshd", f"{NAME}p") if whole else ():
            failed += complaints(w, action, {**parameters, "name": name}, 403, f"({name})", dry=True)
    check(failed)


def test_mounts_that_are_protected(world):
    """By the policy: under any name of the file system."""
    w = world
    other = w.directory / "other"
    other.mkdir()
    w.config = {"protectedMounts": [str(w.tmpfs.path), str(w.mount.point), "/" + "x" * 254]}
    harness.run("mount", "--bind", w.tmpfs.path, other)
    w.ends.callback(harness.run, "umount", other)
    failed = []
    with nothing_changes(w):
        for path in (w.tmpfs.path, other, w.mount.point, w.mount.point / "old"):
            for action in ("disk-fill", "io-stress"):
                failed += complaints(w, action, {"path": str(path), "bytes": "1MiB"}, 403, "protects")
        for path in (w.mount.point, w.mount.point / "old"):
            failed += complaints(w, "disk-freeze", {"path": str(path)}, 403, "must not be frozen")
        for path in ("/", "/usr/bin", "/etc"):
            failed += complaints(w, "disk-freeze", {"path": path}, 403, "must not be frozen", dry=True)
        for path in ("/proc", "/sys"):
            for action in ("disk-fill", "io-stress"):
                failed += complaints(w, action, {"path": path, "bytes": "1MiB"}, 400, field="parameters.path", value=path)
        failed += complaints(w, "disk-throttle", {"path": "/proc", "writeBytes": 1}, 400, field="parameters.path", dry=True)
        # The whole host slowed on the disk that it runs from; on cgroup v2 there is no such limit (400).
        failed += complaints(w, "disk-throttle", {"path": "/", "writeBytes": 1}, 403, "is protected", dry=True)
        failed += complaints(w, "disk-throttle", {"path": str(w.mount.point), "writeBytes": 1}, 403, "is protected")
    check(failed)


def test_the_file_system_of_the_runtime_directory(world):
    w = world
    w.directory = w.mount.point
    with nothing_changes(w):
        check(complaints(w, "disk-freeze", {"path": str(w.mount.point)}, 403, "must not be frozen"))


@pytest.mark.parametrize("unit", ["sshd", "dbus.service", "faultd", "faultd-guardian.service"])
def test_units_that_are_protected(world, unit):
    """Without systemd there are none. With it, and with units of the test's own: tests/vm."""
    with nothing_changes(world):
        status, answer = ask(world, "service-stop", {"unit": unit})
    assert status == (403 if SYSTEMD else 501), answer
    assert SYSTEMD or "systemd is not the init system" in answer["message"]


@pytest.mark.parametrize("action", sorted(HOST_ACTIONS))
def test_the_host_is_not_ended(world, action):
    """By the default policy, whatever is asked for. Never tried with another policy but in tests/vm."""
    w = world
    assert "hostActions" not in w.config
    with nothing_changes(w):
        failed = complaints(w, action, {}, 403, "hostActions")
        failed += complaints(w, action, {"delay": "1h"}, 403, "hostActions")
        for fields in ({}, {"confirm": True}, {"attach": True, "confirm": True}):
            status, answer = w.faultd.request("POST", "/v1/faults", {"action": action, "parameters": {"delay": "1h"}, **fields})
            assert status == 403 and "hostActions" in answer["message"], answer
    check(failed)


def test_policy_of_what_cannot_be_undone(world):
    w = world
    w.config = {"irreversible": "deny", "maxDuration": "10s"}
    good = {action: GOOD[action](w) for action in ACTIONS}
    with nothing_changes(w):
        for action in sorted(IRREVERSIBLE):
            status, answer = w.faultd.fault(action, None, confirm=True, parameters=good[action])
            assert status == 403, answer
        for action in sorted(set(ACTIONS) - IRREVERSIBLE):
            status, answer = w.faultd.fault(action, "11s", parameters=good[action], dryRun=action in NOT_STARTED_HERE)
            assert (status, answer.get("field")) == (400, "duration") and "10s" in answer["allowed"], (action, answer)


def test_what_cannot_be_undone_asks_for_consent(world):
    w = world
    status, answer = w.faultd.fault("process-kill", None, parameters=GOOD["process-kill"](w))
    assert (status, answer["field"]) == (400, "confirm"), answer
    for action in sorted(HOST_ACTIONS):
        assert w.faultd.fault(action, None)[0] == 403


# faultd by its own faults


@pytest.mark.parametrize("action", ["process-kill", "process-pause"])
def test_faultd_is_left_out_of_what_matches(unprivileged, action):
    """Pattern and user that faultd and its guardian have as well: others are hit, they are not."""
    w = unprivileged
    guarded = [w.faultd.pid, w.faultd.guardian_pid()]
    assert all(os.stat(f"/proc/{p}").st_uid == USER for p in guarded)
    extra = {"signal": "SIGTERM"} if action == "process-kill" else {}
    for selection in ({"user": str(USER)}, {"user": str(USER), "pattern": "."}, {"pattern": str(w.faultd.runtime)}):
        decoy = w.process(user=USER, argv0=f"{w.faultd.runtime}/decoy")
        fault = w.faultd.start_fault(action, duration_of(action), confirm=True, parameters={**selection, **extra})
        hit = "Z" if action == "process-kill" else "T"
        wait_for(lambda: state_of(decoy) == hit, f"{selection} hits the decoy")
        assert all(alive(p) and state_of(p) not in "Tt" for p in guarded)
        assert [s["text"] for s in fault["steps"] if any(f"process {p} " in s["text"] for p in guarded)] == []
        assert len(fault["steps"]) == 1, fault
        if action == "process-pause":
            w.faultd.stop_fault(fault)
            wait_for(lambda: state_of(decoy) == "S", "continued")
            os.kill(decoy, signal.SIGKILL)
            wait_for(lambda: state_of(decoy) == "Z", "out of the way")
        else:
            w.faultd.wait_state(fault, "done")
        assert [w.faultd.pid, w.faultd.guardian_pid()] == guarded


@pytest.mark.parametrize("action", ["process-kill", "process-pause"])
def test_everything_is_refused(world, action):
    """What keeps the host reachable matches, too. A dry run, for what would happen if not."""
    w = world
    for selection in ({"pattern": "."}, {"user": "root"}, {"pattern": ".", "count": 1}, {"user": "0", "percent": 1}):
        with nothing_changes(w):
            check(complaints(w, action, selection, 403, "protected", dry=True))


def test_faultd_below_what_is_paused(world):
    """Who started faultd is paused with all its descendants, but for faultd and what belongs to it."""
    w = world
    w.prefix = ["sh", "-c", '"$@"; exit', "sh"]
    status = w.faultd.get("/v1/status")[1]
    faultd, guardian, parent = status["pid"], status["guardian"]["pid"], w.faultd.pid
    assert harness.proc_stat(faultd)[1] == parent != faultd
    w.ends.callback(os.kill, faultd, signal.SIGTERM)
    w.ends.callback(lambda: os.kill(parent, signal.SIGCONT))
    fault = w.faultd.start_fault("process-pause", "2s", pid=[parent], children=True)
    assert [s["kind"] for s in fault["steps"]] == ["signal"] and f"process {parent} " in fault["steps"][0]["text"]
    assert state_of(parent) == "T"
    assert all(alive(p) and state_of(p) not in "Tt" for p in (faultd, guardian))
    w.faultd.wait_state(fault, "done")
    wait_for(lambda: state_of(parent) == "S", "continued")


def test_workers_are_not_hit_and_go_first(world):
    """Of each action that has some: nobody can aim at them, and the OOM killer takes them before anybody else."""
    w = world
    w.victim
    actions = {n for n, a in catalogue(w).items() if a["hold"] == "child"}
    assert actions == {"cpu-stress", "disk-fill", "io-stress", "memory-stress"}
    parameters = {a: GOOD[a](w) for a in actions}
    parameters["resource-exhaust"] = {"resource": "files", "count": 1}
    parameters["disk-freeze"] = GOOD["disk-freeze"](w)
    before = w.state()
    for action, values in sorted(parameters.items()):
        fault = w.faultd.start_fault(action, parameters=values)
        workers = processes_named("faultd-load")
        assert workers, action
        for pid in workers:
            assert pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text() == "1000\n", action
            for signalling in ("process-kill", "process-pause"):
                extra = {"signal": "SIGURG"} if signalling == "process-kill" else {}
                for selection in ({"pid": [pid]}, {"name": "faultd-load"}):
                    status, answer = w.faultd.fault(signalling, duration_of(signalling), confirm=True,
                                                    parameters={**selection, **extra}, dryRun="name" in selection)
                    assert status == 403, answer
            status, answer = w.faultd.fault("resource-exhaust", resource="files", pid=pid)
            assert status == 403, answer
        assert processes_named("faultd-load") == workers
        w.faultd.stop_fault(fault)
    assert_put_back(before, w.state)


# Two at once

# The second one is not the same request: what it claims is.
EXCLUSIVE = {
    "disk-fill": lambda w: {"path": str(w.tmpfs.path), "percent": 90},
    "disk-freeze": lambda w: {"path": str(w.mount.point / "old")},
    "disk-throttle": lambda w: {"device": w.disk.numbers, "cgroup": w.cgroup.path, "readIops": 100},
    "interface-down": lambda w: {"interface": [w.network.dev], "allowLockout": True},
}
EXCLUSIVE_AS_WELL = {
    "process-pause": (lambda w: {"cgroup": w.cgroup.path}, lambda w: {"cgroup": w.cgroup.path}),
    "resource-exhaust": (GOOD["resource-exhaust"], lambda w: {"resource": "files", "pid": w.victim, "percent": 50}),
}
COMPOSING = {
    "cpu-stress": GOOD["cpu-stress"],
    "dns-fault": GOOD["dns-fault"],
    "io-stress": GOOD["io-stress"],
    "memory-stress": GOOD["memory-stress"],
    "network-blackhole": GOOD["network-blackhole"],
    "network-loss": GOOD["network-loss"],
    "network-partition": GOOD["network-partition"],
    **{action: GOOD[action] for action in NEEDS_NETEM},
    "network-rate": GOOD["network-rate"],
    "network-reset": GOOD["network-reset"],
    "process-kill": lambda w: {"name": NAME, "signal": "SIGURG", "interval": "1s"},
    "process-pause": GOOD["process-pause"],
    "resource-exhaust": lambda w: {"resource": "files", "count": 5},
    "wait": GOOD["wait"],
}


@pytest.mark.parametrize("action", sorted({**EXCLUSIVE, **EXCLUSIVE_AS_WELL}))
def test_exclusive(world, action):
    w = world
    one, two = EXCLUSIVE_AS_WELL.get(action, (GOOD[action], EXCLUSIVE.get(action)))
    first, second = one(w), two(w)
    if first.get("cgroup"):
        w.process(cgroup=w.cgroup)
    before = w.state()
    fault = w.faultd.start_fault(action, parameters=first)
    journals = w.faultd.journals()
    for parameters in (second, first):
        status, answer = w.faultd.fault(action, parameters=parameters)
        if action == "process-pause":  # which also sees that it is frozen, by whomever
            assert status == 409 and "frozen" in answer["message"], answer
        elif action == "interface-down":  # likewise
            assert status == 409 and "is down already" in answer["message"], answer
        else:
            assert (status, w.faultd.error_type) == (409, "ConflictException") and fault["id"] in answer["message"], answer
        assert w.faultd.journals() == journals and w.faultd.show(fault)["state"] == "active"
    assert w.faultd.stop_fault(fault)["state"] == "done"
    assert_put_back(before, w.state)
    again = w.faultd.start_fault(action, parameters=second)
    assert again["state"] == "active" and again["id"] != fault["id"]
    assert w.faultd.stop_fault(again)["state"] == "done"
    assert_put_back(before, w.state)


@pytest.mark.parametrize("action", sorted(COMPOSING))
def test_composes(world, action):
    if action in NEEDS_NETEM and (why := harness.why_no_netem()):
        pytest.skip(why)
    w = world
    w.victim
    parameters = COMPOSING[action](w)
    before = w.state()
    faults = [w.faultd.start_fault(action, confirm=True, parameters=parameters) for _ in range(2)]
    assert [w.faultd.show(f)["state"] for f in faults] == ["active"] * 2
    assert len(w.faultd.journals()) == 2
    assert w.faultd.stop_fault(faults[0])["state"] == "done"
    assert w.faultd.show(faults[1])["state"] == "active"
    if action == "process-pause":
        assert state_of(w.victim) == "T"
    assert w.faultd.stop_fault(faults[1])["state"] == "done"
    assert w.faultd.journals() == []
    assert_put_back(before, w.state)


# Bad input

# By the type of a row. A value is to be named in the answer when it is a text or a number.
BAD = {
    "integer": ["x", "1.5", 1.5, "1e3", "", True, None, [], {}],
    "number": ["x", "10%", "0x10", "", True, None, [], {}],
    "boolean": ["yes", 1, "", None, [], {}],
    "string": [5, True, None, [], {}, "x" * 5000],
    "enum": ["nosuchvalue", 5, "", None, []],
    "duration": ["30", "x", "-5s", "0ms", "13h", 5, "", None, [], {}],
    "bytes": ["x", "12XB", "-1", -1, "", True, None, [], {}],
    "quantity": ["x", "12XB", True, None, [], {}],
    "ports": ["0", "65536", "9-1", "http", True, None, {}],
    "peers": ["10.0.0.0/33", "-x", True, None, {}],
    "list": [True, None, {}, [[]]],
}


def bad_values(row):
    """(value, does the answer quote it)"""
    for value in BAD[row["type"]]:
        if row["type"] == "duration" and value == "0ms" and row.get("minimum") == "0s":
            continue
        yield value
    for bound, beyond in (("minimum", lambda n: n - 1), ("maximum", lambda n: n * 10)):
        if isinstance(row.get(bound), (int, float)) and row["type"] != "duration":
            yield beyond(row[bound])


@pytest.mark.parametrize("action", ACTIONS)
def test_bad_values(world, action):
    w = world
    good = GOOD[action](w)
    rows = w.faultd.get(f"/v1/actions/{action}")[1]["parameters"]
    failed = []
    with nothing_changes(w):
        failed += complaints(w, action, {**good, "colour": "red"}, 400, field="parameters.colour")
        failed += complaints(w, action, {**good, "Percent": 1}, 400, field="parameters.Percent")
        for row in rows:
            for value in bad_values(row):
                quoted = str(value) if isinstance(value, (str, int, float)) and value not in (True, False, "") else None
                failed += complaints(w, action, {**good, row["name"]: value}, 400, field=f"parameters.{row['name']}",
                                     value=quoted[:20] if quoted and not isinstance(value, float) else None)
            if row["required"]:
                failed += complaints(w, action, {k: v for k, v in good.items() if k != row["name"]}, 400,
                                     field=f"parameters.{row['name']}")
        if action not in IRREVERSIBLE:
            status, answer = w.faultd.fault(action, None, parameters=good)
            assert (status, answer["field"]) == (400, "duration"), answer
    check(failed)


# What no single row can say: parameters beside the good ones (None: without it), and the field that is blamed
TOGETHER = {
    "clock-skew": lambda w: [
        ({"offset": "0s"}, "offset"), ({"offset": "366d"}, "offset"), ({"offset": "+-5m"}, "offset"),
        ({"from": "1m"}, "over"), ({"from": "5m", "over": "1m"}, "offset"), ({"from": "x", "over": "1m"}, "from")],
    "cpu-stress": lambda w: [
        ({"cpus": "99"}, "cpus"), ({"cpus": "1-0"}, "cpus"), ({"mode": "total", "cgroup": w.cgroup.path}, "mode")],
    "disk-fill": lambda w: [
        ({"percent": 50}, "bytes"), ({"bytes": None}, "percent"), ({"path": "/nowhere/at/all"}, "path"), ({"path": "x"}, "path"),
        ({"bytes": "1TiB"}, "bytes")],
    "disk-freeze": lambda w: [({"path": None}, "path"), ({"path": "/nowhere/at/all"}, "path"), ({"path": "x"}, "path")],
    "disk-throttle": lambda w: [
        ({"path": "/"}, "device"), ({"device": None}, "path"), ({"device": "/dev/null"}, "device"),
        ({"device": "999:0"}, "device"),
        ({"device": "x"}, "device"), ({"device": None, "path": "/nowhere/at/all"}, "path"), ({"writeBytes": None}, "writeBytes"),
        ({"readBytes": 5, "from": 1, "over": "1s"}, "over"), ({"over": "1s"}, "from")],
    "dns-fault": lambda w: [
        ({"interface": "fdnone9"}, "interface"), ({"how": "delay"}, "delay"), ({"delay": "1s"}, "delay"),
        ({"protocol": "icmp"}, "protocol"), ({"names": "*.example.com"}, "names"), ({"names": "ä.de"}, "names"),
        ({"names": "a..b"}, "names"), ({"names": [f"{i}.de" for i in range(9)]}, "names"), ({"connections": "new"}, "connections")],
    "host-reboot": lambda w: [],
    "host-shutdown": lambda w: [],
    "interface-down": lambda w: [({"interface": "fdnone9"}, "interface"), ({"interface": None}, "interface")],
    "io-stress": lambda w: [({"path": "/nowhere/at/all"}, "path"), ({"path": "x"}, "path"), ({"bytes": "1TiB"}, "bytes")],
    "kernel-panic": lambda w: [],
    "memory-stress": lambda w: [
        ({"percent": 5}, "bytes"), ({"bytes": None}, "percent"), ({"of": "limit"}, "of"), ({"reserve": "1TiB"}, "reserve"),
        ({"bytes": None, "percent": 5, "mode": "total", "of": "available"}, "of"),
        ({"bytes": None, "container": NOBODY_HAS_IT, "emptyTargetResolutionMode": "skip"}, "percent")],
    "network-blackhole": lambda w: [
        ({"interface": "fdnone9"}, "interface"), ({"protocol": "icmp", "ports": 80}, "ports"),
        ({"visible": True, "direction": "ingress"}, "visible"),
        ({"peers": "10.0.0.0/8", "excludePeers": "10.0.0.0/8"}, "excludePeers"),
        ({"protocol": "any", "connections": "new"}, "connections")],
    "network-loss": lambda w: [
        ({"interface": "fdnone9"}, "interface"), ({"protocol": "icmp", "sourcePorts": 80}, "sourcePorts"),
        ({"visible": True, "direction": "ingress"}, "visible"),
        *(({name: 5}, name) for name in ("correlation", "p13", "p31", "p32", "p23", "p14", "p", "r", "lossInBad", "lossInGood")),
        ({"model": "random", "p13": 5}, "p13"), ({"model": "random", "visible": True}, "visible"),
        ({"model": "state"}, "p13"), ({"model": "state", "p13": 0}, "p13"), ({"model": "state", "p13": 5, "r": 0}, "r"),
        ({"model": "state", "p13": 60, "p14": 41}, "p13"), ({"model": "state", "p13": 60, "p31": 60, "p32": 41}, "p31"),
        ({"model": "state", "p13": 5, "to": 5, "over": "1s"}, "over"), ({"model": "state", "p13": 5}, "percent"), ({"seed": 7}, "seed"),
        ({"model": "gilbert-elliott"}, "p"), ({"model": "gilbert-elliott", "r": 5}, "p"),
        ({"model": "gilbert-elliott", "p": 5, "correlation": 0}, "correlation")],
    "network-partition": lambda w: [
        ({"interface": "fdnone9"}, "interface"), ({"excludePeers": w.network.there}, "excludePeers"),
        ({"visible": True, "direction": "ingress"}, "visible")],
    "network-corrupt": lambda w: [({"interface": "fdnone9"}, "interface"), ({"protocol": "icmp", "ports": 80}, "ports")],
    "network-duplicate": lambda w: [({"interface": "fdnone9"}, "interface"), ({"protocol": "icmp", "ports": 80}, "ports")],
    "network-reorder": lambda w: [({"interface": "fdnone9"}, "interface"), ({"percent": 100}, "percent")],
    "network-latency": lambda w: [
        ({"interface": "fdnone9"}, "interface"), ({"delay": 0}, "delay"), ({"delay": "0ms", "from": 0, "over": "1s"}, "delay"),
        ({"correlation": 5}, "correlation"), ({"delay": "0.5us"}, "delay"), ({"delay": "601s"}, "delay"), ({"delay": "1KiB"}, "delay"),
        ({"distribution": "pareto"}, "distribution"), ({"seed": 7}, "seed")],
    "network-impair": lambda w: [
        ({"interface": "fdnone9"}, "interface"), ({"loss": None}, "delay"), ({"reorder": 5}, "reorder"),
        ({"correlation": 5}, "correlation"), ({"burst": "10KiB"}, "burst"), ({"rate": "10bps"}, "rate"), ({"jitter": "3s"}, "jitter")],
    "network-rate": lambda w: [
        ({"interface": "fdnone9"}, "interface"), ({"rate": "7kbit"}, "rate"), ({"rate": "10MB"}, "rate"),
        ({"over": "1s"}, "from"), ({"over": "1s", "from": 100}, "from"), ({"burst": 100}, "burst")],
    "network-reset": lambda w: [
        ({"interface": "fdnone9"}, "interface"), ({"protocol": "tcp"}, "protocol"), ({"visible": True}, "visible"),
        ({"packets": 0}, "packets"), ({"peers": "10.0.0.0/8", "excludePeers": "10.0.0.0/8"}, "excludePeers")],
    "process-kill": lambda w: [
        ({"signal": "SIGSTOP"}, "signal"), ({"signal": "0"}, "signal"), ({"signal": "SIGNONE"}, "signal"),
        ({"count": 1, "percent": 50}, "percent"),
        ({"count": 1, "all": True}, "all"), ({"count": 1, "selectionMode": "COUNT(1)"}, "selectionMode"),
        ({"pid": [4194305]}, "pid"),
        ({"pid": [0]}, "pid"), ({"pid": [-1]}, "pid"), ({"user": "nobodyhasit"}, "user"), ({"pattern": "x{3}"}, "pattern"),
        ({"pattern": "(a)\\1"}, "pattern"), ({"pattern": "("}, "pattern")],
    "process-pause": lambda w: [
        ({"count": 1, "percent": 50}, "percent"), ({"count": 1, "all": True}, "all"), ({"pid": [4194305]}, "pid"),
        ({"pid": [0]}, "pid"),
        ({"user": "nobodyhasit"}, "user"), ({"pattern": "("}, "pattern"),
        ({"selectionMode": "COUNT(1)", "percent": 1}, "selectionMode")],
    "resource-exhaust": lambda w: [
        ({"resource": "pids"}, "pid"), ({"percent": 5, "count": 5}, "count"), ({"pid": 4194305}, "pid"),
        ({"count": 4000000}, "count"),
        ({"cgroup": w.cgroup.path}, "pid"), ({"pid": None, "cgroup": w.cgroup.path}, "resource"),
        ({"pid": None, "resource": "ports", "count": 70000}, "count")],
    "service-stop": lambda w: [
        ({"unit": "x.socket"}, "unit"),
        *(({"selectionMode": m}, "selectionMode") for m in ("COUNT(0)", "COUNT(x)", "PERCENT(101)", "some"))],
    "wait": lambda w: [],
}


@pytest.mark.parametrize("action", ACTIONS)
def test_what_does_not_go_together(world, action):
    w = world
    good, failed = GOOD[action](w), []
    cases = TOGETHER[action](w)
    with nothing_changes(w):
        for change, field in cases:
            parameters = {k: v for k, v in {**good, **change}.items() if v is not None}
            failed += complaints(w, action, parameters, 400, field=f"parameters.{field}")
    check(failed)


@pytest.mark.parametrize("action", sorted(GRADED))
def test_bad_ramps_and_waves(world, action):
    w = world
    good, failed = GOOD[action](w), []
    begin = {"from": 1} if action != "disk-throttle" else {"from": 1000}
    with nothing_changes(w):
        for change, field in (
                (begin, "over"), ({"to": 5}, "over"), ({**begin, "over": "0s"}, "over"), ({**begin, "over": "99ms"}, "over"),
                ({**begin, "over": "1s", "steps": 0}, "steps"), ({**begin, "over": "1s", "steps": 1001}, "steps"),
                ({"from": -1, "over": "1s"}, "from"), ({"from": 1e18, "over": "1s"}, "from"),
                ({**begin, "to": 1e18, "over": "1s"}, "to"), ({**begin, "to": -5, "over": "1s"}, "to"),
                ({"every": "2s"}, "for"), ({"for": "1s"}, "every"), ({"every": "2s", "for": "2s"}, "for"),
                ({"every": "2s", "for": "1h"}, "for"), ({"every": "999ms", "for": "500ms"}, "every"),
                ({"every": "2s", "for": "99ms"}, "for")):
            failed += complaints(w, action, {**good, **change}, 400, field=f"parameters.{field}")
    check(failed)


@pytest.mark.parametrize("action", sorted(INSIDE))
def test_targets_that_are_not_there(world, action):
    w = world
    parameters, failed = inside(w, action), []
    nowhere = {"container": NOBODY_HAS_IT, "cgroup": "/faultd-rails-none", "unit": "faultd-rails-none"}
    c = w.cgroup
    w.process(cgroup=c)
    with nothing_changes(w):
        for field, value in nowhere.items():
            failed += complaints(w, action, {**parameters, field: value}, 400, value, field=f"parameters.{field}", value=value)
            fault = w.faultd.start_fault(action, duration_of(action), confirm=True,
                                         parameters={**parameters, field: value, "emptyTargetResolutionMode": "skip"})
            fault = w.faultd.wait_state(fault, "done")
            assert fault["reason"].startswith("skipped") and fault["steps"] == [] and "error" not in fault, fault
            assert w.faultd.journals() == []
        for pair in itertools.combinations(nowhere, 2):
            both = {f: nowhere[f] for f in pair}
            status, answer = ask(w, action, {**parameters, **both})
            assert status == 400 and answer["field"] in {f"parameters.{f}" for f in pair}, answer
            assert "excludes" in answer["message"], answer
        for mode in ("COUNT(0)", "COUNT(x)", "COUNT(-1)", "COUNT(1", "COUNT()", "PERCENT(101)", "PERCENT(0)", "some", "all",
                     "ALL(1)"):
            failed += complaints(w, action, {**parameters, "cgroup": c.path, "selectionMode": mode}, 400,
                                 field="parameters.selectionMode", value=mode)
        for path in ("..", "/../etc", f"{c.path}/../.."):
            failed += complaints(w, action, {**parameters, "cgroup": path}, 400, dry=True, field="parameters.cgroup")
    check(failed)


# Dry runs


@pytest.mark.parametrize("action", ACTIONS)
def test_a_dry_run_changes_nothing(world, action):
    w = world
    variants = [GOOD[action](w)]
    if action in INSIDE - (AT_PACKETS if not w.cgroup.v2 else set()):  # in the host's namespace packets are told by v2 only
        w.process(cgroup=w.cgroup)
        w.cgroup.write("pids", "pids.max", 100)
        variants.append({**inside(w, action), "cgroup": w.cgroup.path})
    hold = catalogue(w)[action]["hold"]
    with nothing_changes(w):
        for parameters in variants:
            status, plan = w.faultd.fault(action, duration_of(action), dryRun=True, parameters=parameters)
            if status == 501 and (action in NOT_STARTED_HERE or action in NEEDS_NETEM and harness.why_no_netem()):
                assert plan["code"] == "NotSupportedException" and plan["message"], plan
                continue
            assert status == 200, plan
            assert plan["state"] == "planned" and "id" not in plan and plan["description"], plan
            assert plan["irreversible"] == (action in IRREVERSIBLE) and plan["hold"] in ("kernel", "child", "journal", "none")
            assert plan["steps"] or action == "wait", plan
            for i, step in enumerate(plan["steps"]):
                assert step["index"] == i and step["state"] == "planned" and step["kind"] and step["text"], step
                assert step["undo"], step
                assert step["hold"] in ("kernel", "child", "journal", "none"), step
                assert (step["hold"] == "none") == (action in IRREVERSIBLE), step
            assert w.faultd.journals() == []
    assert hold in ("kernel", "child", "journal", "none")


@pytest.mark.parametrize("action", ACTIONS)
def test_help(world, action):
    done = world.faultd.ctl("run", action, "--help")
    assert (done.returncode, done.stderr) == (0, ""), done
    lines = done.stdout.splitlines()
    assert [line for line in lines if len(line) > 100 and not line.startswith("alias ")] == []
    assert lines[0].startswith(f"{action}: ")
    for row in world.faultd.get(f"/v1/actions/{action}")[1]["parameters"]:
        option = "--" + re.sub("[A-Z]", lambda m: "-" + m[0].lower(), row["name"])
        assert re.search(rf"^  {option} ", done.stdout, re.M), option


# No privileges

# What an ordinary user's faultd says to a fault that root's would do. 201: anybody can do that to themselves.
UNPRIVILEGED = {
    "clock-skew": {501},
    "cpu-stress": {201},
    "disk-fill": {201},
    "disk-freeze": {500, 501},
    "disk-throttle": {500, 501},
    "dns-fault": {501},
    "host-reboot": {403},
    "host-shutdown": {403},
    "interface-down": {501},
    "io-stress": {201},
    "kernel-panic": {403},
    "memory-stress": {201},
    "network-blackhole": {501},
    **{action: {501} for action in NEEDS_NETEM},
    "network-loss": {501},
    "network-partition": {501},
    "network-rate": {501},
    "network-reset": {501},
    "process-kill": {501},
    "process-pause": {501},
    "resource-exhaust": {501},
    "service-stop": {403, 501} if SYSTEMD else {501},
    "wait": {201},
}


@pytest.mark.parametrize("action", ACTIONS)
def test_without_privileges(unprivileged, action):
    w = unprivileged
    parameters = GOOD[action](w)
    if w.made("tmpfs"):
        w.tmpfs.path.chmod(0o777)
    assert not w.faultd.get("/v1/status")[1]["privileged"]
    before = w.state()
    status, answer = ask(w, action, parameters)
    assert status in UNPRIVILEGED[action], (status, answer)
    if status != 201:
        assert answer["code"] == w.faultd.error_type and answer["message"] and "\n" not in answer["message"], answer
    wait_for(lambda: not w.faultd.journals(), "nothing is left on record")
    assert_put_back(before, w.state)
    status, fault = ask(w, "wait", {})  # and it goes on
    assert status == 201, fault


@pytest.mark.parametrize("action", sorted(INSIDE))
def test_without_privileges_inside_a_cgroup(unprivileged, action):
    w = unprivileged
    parameters = inside(w, action)
    if w.made("tmpfs"):
        w.tmpfs.path.chmod(0o777)
    w.process(cgroup=w.cgroup)
    w.cgroup.write("pids", "pids.max", 100)
    before = w.state()
    status, answer = ask(w, action, {**parameters, "cgroup": w.cgroup.path})
    assert status in (500, 501) and answer["message"], (status, answer)
    wait_for(lambda: not w.faultd.journals(), "nothing is left on record")
    assert_put_back(before, w.state)
