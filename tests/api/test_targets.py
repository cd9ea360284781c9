# SPDX-License-Identifier: Apache-2.0
"""Faults inside cgroups: those of the test's own, read back from the kernel's files."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

from lib import harness
from lib.cgroups import Cgroup, hierarchies, unique
from lib.harness import HostState, alive, assert_put_back, processes_named, state_of, wait_for

pytestmark = pytest.mark.alone

NAME = f"fdt{os.getpid()}"
ID = "3f1c0a9be2d4576899aabbccddeeff00112233445566778899aabbccddeeff00"
OTHER = "4a2d0a9be2d4576899aabbccddeeff00112233445566778899aabbccddeeff00"


@pytest.fixture
def cgroups(root):
    """cgroups(path, …) makes a cgroup; all are removed at the end, with what is in them."""
    made = []

    def make(path=None, **kwargs):
        try:
            made.append(Cgroup(path or unique(), **kwargs))
        except (PermissionError, KeyError) as e:
            pytest.skip(f"no cgroups can be made here: {e}")
        return made[-1]

    yield make
    for c in reversed(made):
        c.close()


@pytest.fixture
def sleepers(tmp_path):
    """sleepers(n, cgroup) starts n processes and puts them there."""
    started = []

    def start(n, cgroup=None, name=NAME):
        program = tmp_path / name
        if not program.exists():
            harness.copy_of_sleep(tmp_path, name)
        new = [subprocess.Popen([program, "600"]) for _ in range(n)]
        started.extend(new)
        for p in new:
            wait_for(lambda: state_of(p.pid) == "S" and pathlib.Path(f"/proc/{p.pid}/comm").read_text().strip() == name, "asleep")
            if cgroup:
                cgroup.add(p.pid)
        return [p.pid for p in new]

    yield start
    for p in started:
        p.kill()
        p.wait()


def kill(d, **parameters):
    return d.wait_state(d.start_fault("process-kill", None, confirm=True, parameters=parameters), "done")


def hit(fault):
    return sorted(r["pid"] for r in fault["results"])


def steps_of(d, action, duration="5s", **parameters):
    status, plan = d.fault(action, duration, dryRun=True, parameters=parameters)
    assert status == 200, plan
    return [s["text"] for s in plan["steps"]]


def refused(d, action, status, **parameters):
    got, answer = d.fault(action, None if action == "process-kill" else "5s", confirm=True, parameters=parameters)
    assert got == status, answer
    return answer


# cpu-stress


def cpus_used(cgroup, seconds):
    t, used = time.monotonic(), cgroup.cpu_seconds()
    time.sleep(seconds)
    return (cgroup.cpu_seconds() - used) / (time.monotonic() - t)


def wait_use(cgroup, least, most):
    """Others may keep the CPUs busy for a while."""
    seen = []
    wait_for(lambda: seen.append(cpus_used(cgroup, 1)) or least <= seen[-1] <= most, f"{least} to {most} CPUs used, not {seen}")


def test_percent_of_the_quota(faultd, cgroups):
    c = cgroups()
    c.set_quota(0.5)
    fault = faultd.start_fault("cpu-stress", cgroup=c.path, percent=50)
    assert c.pids() == processes_named("faultd-load") != []
    wait_use(c, 0.15, 0.35)
    faultd.stop_fault(fault)
    assert c.pids() == []


def test_all_of_the_quota_is_not_all_of_the_host(faultd, cgroups):
    c = cgroups()
    c.set_quota(0.3)
    fault = faultd.start_fault("cpu-stress", cgroup=c.path)
    wait_use(c, 0.2, 0.36)
    faultd.stop_fault(fault)


def test_without_a_quota_percent_is_of_each_cpu(faultd, cgroups):
    c = cgroups()
    fault = faultd.start_fault("cpu-stress", cgroup=c.path, cpus="1", percent=20)
    assert len(c.pids()) == 1
    wait_use(c, 0.12, 0.28)
    faultd.stop_fault(fault)


def test_cpus_are_those_of_the_cgroup(faultd, cgroups):
    if "cpuset" not in hierarchies():
        pytest.skip("the file names are those of v1")
    c = cgroups(controllers=("cpu", "cpuacct", "cpuset"))
    last = max(os.sched_getaffinity(0))
    c.write("cpuset", "cpuset.cpus", last)
    c.write("cpuset", "cpuset.mems", pathlib.Path(hierarchies()["cpuset"], "cpuset.mems").read_text().strip())
    fault = faultd.start_fault("cpu-stress", cgroup=c.path, percent=5)
    [worker] = c.pids()
    assert os.sched_getaffinity(worker) == {last}
    faultd.stop_fault(fault)
    if len(os.sched_getaffinity(0)) > 1:
        answer = refused(faultd, "cpu-stress", 400, cgroup=c.path, cpus="2")
        assert answer["field"] == "parameters.cpus" and c.path in answer["message"]


def test_two_loads_in_one_cgroup(faultd, cgroups):
    c = cgroups()
    c.set_quota(0.4)
    faults = [faultd.start_fault("cpu-stress", cgroup=c.path, percent=10) for _ in range(2)]
    assert len(c.pids()) == 2
    for f in faults:
        faultd.stop_fault(f)
    assert c.pids() == []


def test_workers_go_when_faultd_is_killed(faultd, cgroups):
    c = cgroups()
    before = HostState()
    faultd.start_fault("cpu-stress", cgroup=c.path, percent=5)
    assert c.pids()
    faultd.kill()
    assert_put_back(before, HostState)
    assert c.pids() == []


def test_total_is_not_of_a_cgroup(faultd, cgroups):
    assert refused(faultd, "cpu-stress", 400, cgroup=cgroups().path, mode="total")["field"] == "parameters.mode"


# What is found


@pytest.mark.parametrize("wanted", [ID, ID[:12], ID[:4]])
def test_container(faultd, cgroups, sleepers, wanted):
    parent = cgroups()
    one, two = cgroups(f"{parent.path}/docker-{ID}.scope"), cgroups(f"{parent.path}/docker-{OTHER}.scope")
    mine, others = sleepers(2, one), sleepers(2, two) + sleepers(1, parent)
    assert hit(kill(faultd, container=wanted)) == sorted(mine)
    assert [p for p in mine + others if alive(p)] == others


def test_below_counts_and_is_counted_once(faultd, cgroups, sleepers):
    outer = cgroups(unique("faultd-test") + ".slice")
    inner = cgroups(f"{outer.path}/deeper")
    pids = sleepers(1, outer) + sleepers(2, inner)
    assert hit(kill(faultd, cgroup=outer.path.lstrip("/"))) == sorted(pids)


@pytest.mark.parametrize("suffix", ["", ".service"])
def test_unit(faultd, cgroups, sleepers, suffix):
    slice_ = cgroups(unique("faultd-test") + ".slice")
    unit = cgroups(f"{slice_.path}/{NAME}-web.service")
    hidden = cgroups(f"{unit.path}/{NAME}-db.service")  # of a manager inside it, not of the host's
    pids = sleepers(1, unit) + sleepers(1, hidden)
    answer = refused(faultd, "process-kill", 400, unit=f"{NAME}-db{suffix}")
    assert answer["field"] == "parameters.unit"
    assert hit(kill(faultd, unit=f"{NAME}-web{suffix}")) == sorted(pids)


def test_pattern(faultd, cgroups, sleepers):
    parent = cgroups()
    members = {n: cgroups(f"{parent.path}/{n}") for n in ("web-1", "web-2", "db")}
    pids = {n: sleepers(1, c) for n, c in members.items()}
    assert hit(kill(faultd, cgroup=f"{parent.path}/web-*")) == sorted(pids["web-1"] + pids["web-2"])
    mount = next(m for m in hierarchies().values() if pathlib.Path(m + parent.path).exists())
    assert hit(kill(faultd, cgroup=f"{mount}{parent.path}/d?")) == pids["db"]


def test_name_inside(faultd, cgroups, sleepers):
    c = cgroups()
    inside, other, outside = sleepers(2, c), sleepers(1, c, NAME + "x"), sleepers(1)
    assert hit(kill(faultd, cgroup=c.path, name=NAME)) == sorted(inside)
    assert [p for p in other + outside if alive(p)] == other + outside


def test_kills_what_comes_back(faultd, cgroups, sleepers):
    c = cgroups()
    first = sleepers(1, c)
    fault = faultd.start_fault("process-kill", "20s", confirm=True, cgroup=c.path, interval="100ms")
    wait_for(lambda: not alive(first[0]), "the first killed")
    second = sleepers(1, c)
    wait_for(lambda: not alive(second[0]), "the second killed")
    c.close()  # and when the cgroup is gone there is nothing to be hit
    time.sleep(0.3)
    assert faultd.show(fault)["state"] == "active"
    assert hit(faultd.stop_fault(fault)) == sorted(first + second)


# How many


def test_processes_by_count_and_percent(faultd, cgroups, sleepers):
    c = cgroups()
    pids = sleepers(5, c)
    assert len(steps_of(faultd, "process-kill", None, cgroup=c.path)) == 5
    for mode, n in (("COUNT(2)", 2), ("COUNT(9)", 5), ("PERCENT(50)", 2), ("PERCENT(1)", 1), ("ALL", 5)):
        assert len(steps_of(faultd, "process-kill", None, cgroup=c.path, selectionMode=mode)) == n, mode
    chosen = steps_of(faultd, "process-kill", None, cgroup=c.path, selectionMode="COUNT(2)", seed=7)
    assert hit(kill(faultd, cgroup=c.path, selectionMode="COUNT(2)", seed=7)) == sorted(
        p for p in pids if any(f"process {p} " in s for s in chosen))
    answer = refused(faultd, "process-kill", 400, cgroup=c.path, selectionMode="COUNT(1)", count=1)
    assert answer["field"] == "parameters.selectionMode"


def test_cgroups_by_count_and_seed(faultd, cgroups):
    parent = cgroups()
    for i in range(6):
        cgroups(f"{parent.path}/c{i}")

    def chosen(**parameters):
        steps = steps_of(faultd, "cpu-stress", cgroup=f"{parent.path}/c*", cpus="1", **parameters)
        return sorted({s.split("--cgroup ")[1].split()[0] for s in steps})

    assert len(chosen()) == 6 and len(chosen(selectionMode="PERCENT(50)")) == 3
    assert len(chosen(selectionMode="COUNT(7)")) == 6
    assert len({tuple(chosen(selectionMode="COUNT(2)", seed=5)) for _ in range(5)}) == 1
    assert len({tuple(chosen(selectionMode="COUNT(2)", seed=s)) for s in range(1, 30)}) > 3
    assert len({tuple(chosen(selectionMode="COUNT(2)")) for _ in range(30)}) > 3


def test_nothing_there(faultd, cgroups):
    c = cgroups()
    for action in "cpu-stress", "process-kill", "process-pause":
        answer = refused(faultd, action, 400, cgroup=c.path + "x")
        assert answer["field"] == "parameters.cgroup" and c.path + "x" in answer["message"]
    assert "no process" in refused(faultd, "process-pause", 400, cgroup=c.path)["message"]


@pytest.mark.parametrize("action", ["cpu-stress", "process-kill", "process-pause"])
def test_nothing_there_is_skipped(faultd, cgroups, action):
    fault = faultd.start_fault(action, "20s", confirm=True, container=OTHER, emptyTargetResolutionMode="skip")
    ended = faultd.wait_state(fault, "done")
    assert "skipped" in ended["reason"] and ended["steps"] == [], ended
    assert faultd.journals() == []


# What is protected


def test_the_host_is_no_target(faultd, root):
    for path in "/", next(iter(hierarchies().values())):
        assert refused(faultd, "cpu-stress", 400, cgroup=path)["field"] == "parameters.cgroup"


@pytest.mark.parametrize("action", ["cpu-stress", "process-kill", "process-pause"])
def test_protected_names(faultd, cgroups, sleepers, action):
    outer = cgroups()
    inner = cgroups(f"{outer.path}/inner")
    pids = sleepers(1, outer) + sleepers(1, inner, "sshd")
    assert "sshd" in refused(faultd, action, 403, cgroup=outer.path)["message"]
    assert all(state_of(p) == "S" for p in pids)


@pytest.mark.parametrize("action", ["cpu-stress", "process-kill", "process-pause"])
def test_faultd_itself(faultd, cgroups, action):
    c = cgroups(controllers=("freezer",))  # a cpu cgroup does not take real-time processes
    c.add(faultd.guardian_pid())
    try:
        assert "faultd" in refused(faultd, action, 403, cgroup=c.path)["message"]
    finally:
        Cgroup.add(root_of(c), faultd.guardian_pid())


def root_of(c):
    top = object.__new__(Cgroup)
    top.directories = [pathlib.Path(str(d)[:-len(c.path)]) for d in c.directories]
    return top


# process-pause


def test_freezer(faultd, cgroups, sleepers):
    outer = cgroups()
    inner = cgroups(f"{outer.path}/inner")
    sleepers(1, outer), sleepers(1, inner)
    before = HostState(pids=outer.pids() + inner.pids())
    fault = faultd.start_fault("process-pause", cgroup=outer.path)
    assert outer.frozen() and inner.frozen()
    assert [s["kind"] for s in faultd.show(fault)["steps"]] == ["attr"]
    late = sleepers(1)
    inner.add(*late)
    wait_for(inner.frozen, "what came later is frozen too")
    assert faultd.fault("process-pause", "5s", cgroup=outer.path)[0] == 409
    faultd.stop_fault(fault)
    assert not outer.frozen() and not inner.frozen()
    assert_put_back(before, lambda: HostState(pids=[p for p in outer.pids() + inner.pids() if p not in late]))


def test_many_are_frozen_at_once(faultd, cgroups, sleepers):
    outer = cgroups(controllers=("freezer",))
    inner = [cgroups(f"{outer.path}/{i:02}", controllers=("freezer",)) for i in range(20)]
    for c in inner:
        sleepers(1, c)
    fault = faultd.start_fault("process-pause", cgroup=f"{outer.path}/*")
    assert all(c.frozen() for c in inner)
    faultd.stop_fault(fault)
    assert not any(c.frozen() for c in inner)


@pytest.mark.parametrize("how", ["killed", "deadline"])
def test_thawed_without_a_client(faultd, cgroups, sleepers, how):
    c = cgroups()
    sleepers(1, c)
    faultd.start_fault("process-pause", "30s" if how == "killed" else "1s", cgroup=c.path)
    assert c.frozen()
    if how == "killed":
        faultd.kill()
    wait_for(lambda: not c.frozen(), "thawed")


def test_signals_where_only_some_are_meant(faultd, cgroups, sleepers):
    c = cgroups()
    some, others = sleepers(2, c), sleepers(2, c, NAME + "x")
    fault = faultd.start_fault("process-pause", cgroup=c.path, name=NAME)
    wait_for(lambda: [state_of(p) for p in some + others] == ["T", "T", "S", "S"], "some stopped")
    assert not c.frozen()
    faultd.stop_fault(fault)
    wait_for(lambda: [state_of(p) for p in some] == ["S", "S"], "continued")
    fault = faultd.start_fault("process-pause", cgroup=c.path, selectionMode="COUNT(3)")
    wait_for(lambda: sorted(state_of(p) for p in some + others) == ["S", "T", "T", "T"], "three stopped")
    faultd.stop_fault(fault)


def test_load_and_freeze_do_not_meet(faultd, cgroups, sleepers):
    """A worker that is frozen could not be killed on v1."""
    c = cgroups()
    sleepers(1, c)
    load = faultd.start_fault("cpu-stress", cgroup=c.path, cpus="1", percent=5)
    assert "faultd" in refused(faultd, "process-pause", 403, cgroup=c.path)["message"]
    assert not c.frozen()
    faultd.stop_fault(load)
    freeze = faultd.start_fault("process-pause", cgroup=c.path)
    assert "frozen" in refused(faultd, "cpu-stress", 409, cgroup=c.path)["message"]
    faultd.stop_fault(freeze)


def test_the_caller_does_not_freeze_itself(faultd, cgroups, sleepers):
    """The shell that runs faultctl is in the cgroup: nothing could end the fault there."""
    c = cgroups()
    sleepers(1, c)
    shell = subprocess.Popen(["sh", "-c", f"read go; {harness.FAULTCTL} --socket {faultd.socket} run process-pause "
                              f"--cgroup {c.path} --duration 5s 2>&1; read go"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             text=True)
    try:
        c.add(shell.pid)
        shell.stdin.write("\n")
        shell.stdin.flush()
        assert "protected" in shell.stdout.readline()
        assert not c.frozen()
    finally:
        shell.send_signal(signal.SIGKILL)
        shell.communicate()
