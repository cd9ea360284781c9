# SPDX-License-Identifier: Apache-2.0
"""What only cgroup v2 has, with the installed faultd: so its unit's sandbox is part of what is tested.

An action or a parameter that this build lacks is skipped. The machine is emulated and has two CPUs: rates are only
told from each other when they are far apart."""

import json
import os
import pathlib
import signal
import subprocess
import time

import pytest
from lib.harness import alive, state_of, wait_for
from machine import CGROUPS, Cgroup, prop, systemctl

MIB = 1 << 20
PATIENCE = 60


def frozen(c):
    return "frozen 1" in c.read("cgroup.events").splitlines()


def workers_in(c):
    """faultd-load processes in a cgroup and below it."""
    found = []
    for procs in c.path.rglob("cgroup.procs"):
        for pid in procs.read_text().split():
            try:
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "faultd-load":
                    found.append(int(pid))
            except OSError:
                pass
    return found


def cgroup_of(pid):
    return pathlib.Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::")


def settings(c):
    """Everything in a cgroup that can be written and read, and what is below it."""
    found = {"below": c.children()}
    for file in sorted(c.path.iterdir()):
        if file.is_file() and os.stat(file).st_mode & 0o200 and file.name not in ("cgroup.procs", "cgroup.threads"):
            try:
                found[file.name] = file.read_text()
            except OSError:
                pass  # memory.reclaim, cgroup.kill: to be written only
    # Thresholds of PSI are not settings, and its averages pass by themselves.
    return {k: v for k, v in found.items() if not k.endswith(".pressure")}


def rate(c, seconds):
    """CPUs that a cgroup used, on average."""
    before, start = c.values("cpu.stat")["usage_usec"], time.monotonic()
    time.sleep(seconds)
    used = c.values("cpu.stat")["usage_usec"] - before
    return used / 1e6 / (time.monotonic() - start)


def lasts(installed, fault):
    assert installed.show(fault)["state"] == "active", installed.show(fault)


# CPU

def test_cpu_within_quota(installed, cgroup, record_property):
    """Half a CPU for the cgroup: the load counts against it, and the kernel holds it there."""
    installed.needs("cpu-stress", "cgroup")
    c = cgroup(**{"cpu.max": "50000 100000"})
    c.run()
    before = settings(c)
    fault = installed.start_fault("cpu-stress", cgroup=c.name, percent=100, duration="5m")
    assert workers_in(c)
    used = rate(c, 5)
    record_property("CPUs used of a quota of 0.5", f"{used:.2f}")
    assert 0.2 < used < 0.75
    installed.stop_fault(fault)
    assert workers_in(c) == [] and settings(c) == before
    assert rate(c, 1) < 0.05


def test_cpu_without_quota(installed, cgroup):
    """No quota: all CPUs, and nobody's but the cgroup's."""
    installed.needs("cpu-stress", "cgroup")
    c, other = cgroup("busy"), cgroup("idle")
    c.run(), other.run()
    fault = installed.start_fault("cpu-stress", cgroup=c.name, percent=60, duration="5m")
    assert len(workers_in(c)) == os.cpu_count() and workers_in(other) == []
    assert rate(c, 4) > 0.5
    assert rate(other, 1) < 0.05
    installed.stop_fault(fault)
    assert workers_in(c) == []


def test_cpu_in_inner_cgroup(installed, cgroup):
    """A cgroup with controllers for what is below it may hold no process: a leaf is made, and removed."""
    installed.needs("cpu-stress", "cgroup")
    c = cgroup("inner")
    app = c.child("app")
    app.run()
    c.write("cgroup.subtree_control", "+cpu +memory")
    before = settings(c)
    fault = installed.start_fault("cpu-stress", cgroup=c.name, percent=20, duration="5m")
    leaves = [name for name in c.children() if name != "app"]
    assert len(leaves) == 1 and workers_in(Cgroup(f"{c.name}/{leaves[0]}"))
    assert workers_in(app) == []
    installed.stop_fault(fault)
    assert settings(c) == before

    # The guardian does so as well.
    installed.start_fault("cpu-stress", cgroup=c.name, percent=20, duration="5m")
    assert settings(c) != before
    installed.kill()
    wait_for(lambda: settings(c) == before, "the leaf is gone", PATIENCE)
    app.close()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_two_loads_in_one_inner_cgroup(installed, cgroup, how):
    """Each goes alone, and the other stays."""
    installed.needs("cpu-stress", "cgroup")
    c = cgroup("inner")
    app = c.child("app")
    app.run()
    c.write("cgroup.subtree_control", "+cpu")
    before = settings(c)
    first, second = (installed.start_fault("cpu-stress", cgroup=c.name, percent=10, duration="5m", cpus="0-0") for _ in "ab")
    assert len(workers_in(c)) == 2
    installed.stop_fault(first)
    lasts(installed, second)
    assert len(workers_in(c)) == 1
    installed.stop_fault(second) if how == "stop" else installed.kill()
    wait_for(lambda: settings(c) == before, "no leaf", PATIENCE)
    app.close()


def test_removed_while_loaded(installed, cgroup):
    """Someone kills all that is in the cgroup and removes it: the fault ends, nothing is stuck."""
    installed.needs("cpu-stress", "cgroup")
    c = cgroup("doomed")
    c.run()
    fault = installed.start_fault("cpu-stress", cgroup=c.name, percent=10, duration="5m")
    c.close()
    ended = installed.wait_state(fault, "done", "failed", timeout=PATIENCE)
    assert ended["reason"], ended
    wait_for(lambda: not installed.journals(), "no journal", PATIENCE)


# Memory

def reserve(installed, bytes):
    """What is left to others: these cgroups are small."""
    return {"reserve": bytes} if "reserve" in installed.action("memory-stress")["parameters"] else {}


def test_memory_percent_of_limit(installed, cgroup, record_property):
    installed.needs("memory-stress", "cgroup", "percent")
    c = cgroup(**{"memory.max": 128 * MIB})
    c.run()
    before = settings(c)
    fault = installed.start_fault("memory-stress", cgroup=c.name, percent=50, duration="5m", **reserve(installed, "8MiB"))
    wait_for(lambda: int(c.read("memory.current")) > 50 * MIB, "half of the limit is used", PATIENCE)
    time.sleep(2)
    used = int(c.read("memory.current")) / MIB
    record_property("MiB used of 128, 50 % asked", f"{used:.1f}")
    assert 50 < used < 80
    lasts(installed, fault)
    assert c.values("memory.events")["oom_kill"] == 0
    installed.stop_fault(fault)
    wait_for(lambda: int(c.read("memory.current")) < 16 * MIB, "given back", PATIENCE)
    assert workers_in(c) == [] and settings(c) == before


def test_memory_ramp(installed, cgroup):
    """In steps, up to what was asked."""
    installed.needs("memory-stress", "cgroup", "percent", "over")
    c = cgroup(**{"memory.max": 128 * MIB})
    c.run()
    fault = installed.start_fault("memory-stress", cgroup=c.name, percent=60, over="8s", steps=4, duration="5m",
                                  **{"from": 10}, **reserve(installed, "8MiB"))
    seen = []

    def grown():
        seen.append(int(c.read("memory.current")) // MIB)
        return seen[-1] > 64
    wait_for(grown, "the ramp's end", PATIENCE, 0.1)
    # On the way there, and not all at once.
    assert any(10 < x < 50 for x in seen), seen
    installed.stop_fault(fault)
    wait_for(lambda: int(c.read("memory.current")) < 16 * MIB, "given back", PATIENCE)


def test_memory_oom_is_a_result(installed, cgroup):
    """More than the limit: the OOM killer takes the filler, which is what was asked for, and nobody else."""
    installed.needs("memory-stress", "cgroup", "bytes")
    c = cgroup(**{"memory.max": 64 * MIB})
    bystander = c.run()
    pid = installed.pid
    status, fault = installed.fault("memory-stress", "5m", cgroup=c.name, bytes=f"{96 * MIB}",
                                    **reserve(installed, "0"))
    assert status == 201, fault
    wait_for(lambda: c.values("memory.events")["oom_kill"] >= 1, "the OOM killer came", PATIENCE)
    shown = wait_for(lambda: "oomKilled" in json.dumps(f := installed.show(fault)) and f, "it is told", PATIENCE)
    assert alive(bystander.pid) and installed.pid == pid, shown
    if shown["state"] == "active":
        shown = installed.stop_fault(fault)
    assert shown["state"] == "done", shown
    wait_for(lambda: int(c.read("memory.current")) < 16 * MIB, "given back", PATIENCE)


def test_memory_backs_off(installed, cgroup):
    """All of the host's memory: the reserve is kept, nobody is killed, and it all comes back."""
    installed.needs("memory-stress", "percent")
    assert pathlib.Path("/proc/pressure/memory").exists(), "the machine has PSI"

    def available():
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        return next(int(x.split()[1]) for x in lines if x.startswith("MemAvailable:")) // 1024

    before, pid, vmstat = available(), installed.pid, _oom_kills()
    status, fault = installed.fault("memory-stress", "2m", percent=100)
    assert _oom_kills() == vmstat, fault
    assert status == 201, (fault, installed.log())
    time.sleep(15)
    assert available() > 8, "nothing is left for others"
    assert _oom_kills() == vmstat and installed.pid == pid, installed.log()
    lasts(installed, fault)
    installed.stop_fault(fault)
    wait_for(lambda: available() > before - 64, "given back", PATIENCE)


def _oom_kills():
    lines = pathlib.Path("/proc/vmstat").read_text().splitlines()
    return next(x for x in lines if x.startswith("oom_kill "))


# Pids

def can_fork(c):
    """A process moves in, which the controller lets it, and forks there, which it may not."""
    p = c.run("sh", "-c", "sleep 0; true", stderr=subprocess.DEVNULL)
    return p.wait() == 0


@pytest.fixture
def swap():
    for command in ["mkswap", SCRATCH], ["swapon", SCRATCH]:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    yield
    subprocess.run(["swapoff", SCRATCH], check=True)


def test_memory_is_not_swapped_out(installed, swap):
    """The limit of the unit lets the worker lock what it holds."""

    def locked():
        found = 0
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                lines = dict(x.split(":", 1) for x in status.read_text().splitlines())
            except OSError:
                continue
            if lines["Name"].strip() == "faultd-load":
                found += int(lines["VmLck"].split()[0]) // 1024
        return found

    fault = installed.start_fault("memory-stress", bytes="64MiB", duration="5m")
    wait_for(lambda: locked() >= 60, "it is locked", PATIENCE)
    lasts(installed, fault)
    installed.stop_fault(fault)


def test_pids_run_out(installed, cgroup):
    installed.needs("resource-exhaust", "resource", "cgroup")
    c = cgroup(**{"pids.max": 60})
    victim = c.run()
    before = settings(c)
    assert can_fork(c)
    fault = installed.start_fault("resource-exhaust", resource="pids", cgroup=c.name, duration="5m")
    wait_for(lambda: int(c.read("pids.current")) >= 60, "none is left", PATIENCE)
    wait_for(lambda: not can_fork(c), "nobody can fork", PATIENCE)
    assert c.values("pids.events")["max"] > 0
    lasts(installed, fault)
    installed.stop_fault(fault)
    wait_for(lambda: int(c.read("pids.current")) == 1, "all back", PATIENCE)
    assert can_fork(c) and alive(victim.pid) and settings(c) == before


def test_ports_are_taken(installed):
    """Workers have the address families that it takes, and the host has its ports again."""

    def allocated():
        line = next(x for x in pathlib.Path("/proc/net/sockstat").read_text().splitlines() if x.startswith("TCP:"))
        return int(line.split()[line.split().index("alloc") + 1])

    installed.needs("resource-exhaust", "resource", "count")
    before = allocated()
    fault = installed.start_fault("resource-exhaust", resource="ports", count=1000, duration="5m")
    wait_for(lambda: allocated() >= before + 1000, "a thousand are bound", PATIENCE)
    lasts(installed, fault)
    installed.stop_fault(fault)
    wait_for(lambda: allocated() < before + 100, "all back", PATIENCE)


# Disks

SCRATCH = "/dev/vdb"


def device_numbers():
    n = os.stat(SCRATCH).st_rdev
    return f"{os.major(n)}:{os.minor(n)}"


def io_max(c):
    """The line of the scratch disk in io.max, as a dict; empty: no limit."""
    for line in c.read("io.max").splitlines():
        device, *words = line.split()
        if device == device_numbers():
            return dict(w.split("=") for w in words)
    return {}


def write_seconds(c, mib):
    start = time.monotonic()
    p = c.run("dd", "if=/dev/zero", f"of={SCRATCH}", f"bs={256 << 10}", f"count={mib * 4}", "oflag=direct",
              stderr=subprocess.DEVNULL)
    assert p.wait() == 0
    return time.monotonic() - start


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_disk_throttle(installed, cgroup, record_property, how):
    """A limit that was there comes back as it was; the others stand meanwhile."""
    installed.needs("disk-throttle", "device", "cgroup", "writeBytes")
    c = cgroup()
    c.write("io.max", f"{device_numbers()} wbps={512 * MIB} riops=7777")
    c.run()
    before = settings(c)
    free = write_seconds(c, 4)
    fault = installed.start_fault("disk-throttle", device=SCRATCH, cgroup=c.name, writeBytes="1MiB", duration="5m")
    now = io_max(c)
    assert now["wbps"] == str(MIB) and now["riops"] == "7777", now
    slow = write_seconds(c, 4)
    record_property("4 MiB at 1 MiB/s", f"{slow:.1f} s (free: {free:.1f} s)")
    assert slow > 2
    installed.stop_fault(fault) if how == "stopped" else installed.kill()
    wait_for(lambda: settings(c) == before, "as it was", PATIENCE)


def test_disk_throttle_without_a_limit_before(installed, cgroup):
    installed.needs("disk-throttle", "device", "cgroup", "readIops")
    c = cgroup()
    c.run()
    before = settings(c)
    fault = installed.start_fault("disk-throttle", device=SCRATCH, cgroup=c.name, readIops=10, duration="5m")
    assert io_max(c)["riops"] == "10" and io_max(c)["wbps"] == "max"
    installed.stop_fault(fault)
    assert io_max(c) == {} and settings(c) == before


# Processes

def test_pause_freezes(installed, cgroup):
    """A cgroup as a whole is frozen by the kernel, with what is born in it; no signal is sent."""
    installed.needs("process-pause", "cgroup")
    c = cgroup()
    victim = c.run()
    spins = c.run("sh", "-c", "while :; do :; done")
    before = settings(c)
    fault = installed.start_fault("process-pause", cgroup=c.name, duration="5m")
    wait_for(lambda: frozen(c), "frozen", PATIENCE)
    assert state_of(victim.pid) != "T"
    used = c.values("cpu.stat")["usage_usec"]
    time.sleep(1)
    assert c.values("cpu.stat")["usage_usec"] - used < 200_000
    late = subprocess.Popen(["sleep", "100000"])
    c.write("cgroup.procs", late.pid)  # moves in
    c.processes.append(late)
    wait_for(lambda: frozen(c), "frozen with it", PATIENCE)
    installed.stop_fault(fault)
    wait_for(lambda: not frozen(c), "thawed", PATIENCE)
    assert settings(c) == before and all(alive(p.pid) for p in (victim, spins, late))


@pytest.mark.parametrize("how", ["killed", "hung", "deadline"])
def test_frozen_is_thawed(installed, cgroup, how):
    installed.needs("process-pause", "cgroup")
    c = cgroup()
    c.run()
    before = settings(c)
    fault = installed.start_fault("process-pause", cgroup=c.name, duration="3s" if how == "deadline" else "5m")
    wait_for(lambda: frozen(c), "frozen", PATIENCE)
    if how == "killed":
        installed.kill()
    elif how == "hung":
        os.kill(installed.pid, signal.SIGSTOP)
    else:
        installed.wait_state(fault, "done", timeout=PATIENCE)
    wait_for(lambda: not frozen(c), "thawed", PATIENCE)
    assert settings(c) == before
    wait_for(lambda: installed.is_ready(), "faultd", PATIENCE)


def test_frozen_by_someone_else(installed, cgroup):
    """It was frozen before: it stays so, whatever faultd answers."""
    installed.needs("process-pause", "cgroup")
    c = cgroup()
    c.run()
    c.write("cgroup.freeze", 1)
    wait_for(lambda: frozen(c), "frozen", PATIENCE)
    status, fault = installed.fault("process-pause", "5m", cgroup=c.name)
    if status == 201:
        installed.stop_fault(fault)
    else:
        assert status in (400, 403, 409), fault
    assert frozen(c)


def test_pause_unit(installed, unit):
    installed.needs("process-pause", "unit")
    name = unit("fvt-paused")
    c = Cgroup(prop(name, "ControlGroup"))
    fault = installed.start_fault("process-pause", unit=name, duration="5m")
    pid = int(prop(name, "MainPID"))
    wait_for(lambda: frozen(c) or state_of(pid) == "T", "paused", PATIENCE)
    installed.stop_fault(fault)
    wait_for(lambda: not frozen(c) and state_of(pid) == "S", "goes on", PATIENCE)


@pytest.mark.parametrize("by", ["unit", "cgroup"])
def test_kill_in(installed, unit, by):
    """Only what is in it dies."""
    installed.needs("process-kill", by)
    name, other = unit("fvt-killed"), unit("fvt-spared")
    c = Cgroup(prop(name, "ControlGroup"))
    pid, spared = (int(prop(n, "MainPID")) for n in (name, other))
    status, fault = installed.fault("process-kill", None, confirm=True, **{by: name if by == "unit" else c.name})
    assert status == 201, fault
    wait_for(lambda: not alive(pid), "killed", PATIENCE)
    assert [r["pid"] for r in fault["results"]] == [pid], fault
    assert alive(spared)


def test_protected(installed):
    """faultd, its guardian, systemd and the root are not to be had."""
    installed.needs("process-pause", "unit", "cgroup")
    for wrong in ({"unit": "faultd.service"}, {"unit": "faultd-guardian.service"}, {"cgroup": "/"}, {"cgroup": "/init.scope"},
                  {"unit": "system.slice"}):
        status, answer = installed.fault("process-pause", "10s", **wrong)
        assert status in (400, 403), (wrong, answer)
        assert installed.is_ready()


# Units and containers

def test_unit_as_target(installed, unit):
    """By name, with and without suffix, and by pattern."""
    installed.needs("cpu-stress", "unit")
    names = [unit(f"fvt-web-{i}") for i in "ab"]
    groups = [Cgroup(prop(n, "ControlGroup")) for n in names]
    for wanted, hit in (names[0], [1, 0]), ("fvt-web-b", [0, 1]), ("fvt-web-*.service", [1, 1]):
        fault = installed.start_fault("cpu-stress", unit=wanted, percent=10, cpus="1", duration="5m")
        assert [len(workers_in(g)) for g in groups] == hit, wanted
        installed.stop_fault(fault)
        assert not any(workers_in(g) for g in groups)
    status, answer = installed.fault("cpu-stress", "5m", unit="fvt-no-such.service")
    assert status in (400, 404), answer


def test_unit_is_stopped_while_loaded(installed, unit):
    """systemd kills what is in the unit, the load too: the fault ends, the unit is not held up."""
    installed.needs("cpu-stress", "unit")
    name = unit("fvt-stopped")
    fault = installed.start_fault("cpu-stress", unit=name, percent=10, duration="5m")
    systemctl("stop", name)
    ended = installed.wait_state(fault, "done", "failed", timeout=PATIENCE)
    assert ended["reason"], ended
    assert prop(name, "ActiveState") == "inactive"
    wait_for(lambda: not installed.journals(), "no journal", PATIENCE)


def test_container(installed, unit, cgroup):
    """A scope named as Docker's systemd driver does, by the beginning of its id."""
    installed.needs("cpu-stress", "container")
    identity = os.urandom(32).hex()
    c = Cgroup(prop(unit(f"docker-{identity}", scope=True), "ControlGroup"))
    for wanted in identity, identity[:12]:
        fault = installed.start_fault("cpu-stress", container=wanted, percent=10, duration="5m")
        workers = workers_in(c)
        assert workers and {cgroup_of(p) for p in workers} == {c.name}
        installed.stop_fault(fault)
        assert workers_in(c) == []


def test_container_memory(installed, unit):
    """Half of the container's memory, not of the host's."""
    installed.needs("memory-stress", "container", "percent")
    identity = os.urandom(32).hex()
    name = unit(f"docker-{identity}", scope=True, properties=["MemoryMax=96M"])
    c = Cgroup(prop(name, "ControlGroup"))
    fault = installed.start_fault("memory-stress", container=identity[:12], percent=50, duration="5m",
                                  **reserve(installed, "8MiB"))
    wait_for(lambda: int(c.read("memory.current")) > 36 * MIB, "half of it", PATIENCE)
    time.sleep(1)
    assert int(c.read("memory.current")) < 72 * MIB
    installed.stop_fault(fault)
    wait_for(lambda: int(c.read("memory.current")) < 16 * MIB, "given back", PATIENCE)


# Nothing of all that stays

def test_host_is_as_before(installed, delegated):
    """After all tests above: no cgroup, no worker, no setting of ours."""
    assert delegated.children() == ["keeper"]
    units = "faultd.service", "faultd.socket", "faultd-guardian.service", "faultd-test.service"
    assert [p for p in CGROUPS.rglob("*faultd*") if p.is_dir() and p.name not in units] == []
    assert workers_in(Cgroup("/")) == []
