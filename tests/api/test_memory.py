# SPDX-License-Identifier: Apache-2.0
"""memory-stress, as the kernel counts it: pages of the workers, memory of the host, usage of a cgroup."""

import contextlib
import mmap
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from lib.harness import HostState, alive, assert_put_back, proc_stat, processes_named, wait_for

pytestmark = pytest.mark.alone

MIB = 1 << 20
MEMORY_V1 = pathlib.Path("/sys/fs/cgroup/memory")
TICK = os.sysconf("SC_CLK_TCK")


def smaps(pid, field):
    """Bytes of one line of smaps_rollup; 0 when the process is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.M)
    return int(found.group(1)) * 1024 if found else 0


def meminfo(field):
    text = pathlib.Path("/proc/meminfo").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M).group(1)) * 1024


def held():
    """By all workers, their own memory included: anonymous pages that are resident."""
    return sum(smaps(p, "Anonymous") for p in processes_named("faultd-load"))


def within(got, wanted, part=0.01):
    return abs(got - wanted) <= wanted * part


def wait_held(wanted, part=0.01):
    wait_for(lambda: within(held(), wanted, part), f"{wanted} bytes held")


def figures(faultd, fault):
    return {f["name"]: f["value"] for f in faultd.show(fault)["figures"]}


class Cgroup:
    """A memory cgroup (v1) of the test's own, with a limit."""

    def __init__(self, limit):
        self.path = f"/fdt-memory-{os.getpid()}"
        self.directory = MEMORY_V1 / self.path[1:]
        self.directory.mkdir()
        (self.directory / "memory.limit_in_bytes").write_text(str(limit))
        (self.directory / "memory.swappiness").write_text("0")

    def number(self, name):
        return int((self.directory / name).read_text())

    def usage(self):
        return self.number("memory.usage_in_bytes")

    def free(self):
        return 256 * MIB - self.usage()

    def oom_kills(self):
        return int(re.search(r"^oom_kill (\d+)", (self.directory / "memory.oom_control").read_text(), re.M).group(1))

    def pids(self):
        return [int(p) for p in (self.directory / "cgroup.procs").read_text().split()]

    def close(self):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.pids(), "the cgroup is empty")
        self.directory.rmdir()


@pytest.fixture
def cgroup():
    if not (MEMORY_V1 / "memory.limit_in_bytes").exists():
        pytest.skip("the memory controller is not on cgroup v1")
    c = Cgroup(256 * MIB)
    yield c
    c.close()


class Other:
    """Somebody else, who takes and frees memory when told to; a process inside the cgroup."""

    PROGRAM = """
import mmap, sys
kept = []
for line in sys.stdin:
    n = int(line)
    while n < len(kept): kept.pop().close()
    while n > len(kept):
        m = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, 1 << 20, 4096): m[at] = 1
        kept.append(m)
    print(n, flush=True)
"""

    def __init__(self, cgroup=None):
        self.process = subprocess.Popen([sys.executable, "-c", self.PROGRAM], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        if cgroup:
            (cgroup.directory / "cgroup.procs").write_text(str(self.process.pid))

    def take(self, mib):
        """Returns once it holds that much, or has been killed."""
        self.process.stdin.write(f"{mib}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline() == f"{mib}\n"

    def close(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def other(cgroup):
    o = Other(cgroup)
    yield o
    o.close()


@pytest.mark.parametrize("size", ["10MiB", "123456789", "512MiB"])
def test_what_is_held_is_what_was_asked_for(faultd, size):
    wanted = {"10MiB": 10 * MIB, "123456789": 123456789, "512MiB": 512 * MIB}[size]
    before = HostState()
    fault = faultd.start_fault("memory-stress", bytes=size)
    wait_held(wanted)
    (pid,) = processes_named("faultd-load")
    assert smaps(pid, "KSM") == 0 and smaps(pid, "Swap") == 0
    assert smaps(pid, "Private_Dirty") >= wanted * 0.99  # neither shared nor the zero page
    shown = wait_for(lambda: within((f := figures(faultd, fault))["held"], wanted) and f, "it says so")
    assert within(shown["wanted"], wanted) and shown["yielded"] == 0
    assert faultd.stop_fault(fault)["state"] == "done"
    assert not alive(pid)  # and with it its memory
    assert_put_back(before, HostState)


def test_workers_share_it_exactly(faultd):
    fault = faultd.start_fault("memory-stress", bytes="100000001", workers=3)
    wait_held(100000001)
    shares = [int(re.search(r"--bytes (\d+)", s["text"]).group(1)) for s in fault["steps"]]
    assert sum(shares) == 100000001 and max(shares) - min(shares) <= 1
    for pid in processes_named("faultd-load"):
        assert within(smaps(pid, "Anonymous"), 33333333)
    faultd.stop_fault(fault)


def test_percent_of_all_memory(faultd):
    percent = max(1, int(512 * MIB * 100 / meminfo("MemTotal")))
    fault = faultd.start_fault("memory-stress", percent=percent, of="total")
    wait_held(meminfo("MemTotal") * percent / 100)
    faultd.stop_fault(fault)


def test_holding_costs_next_to_nothing(faultd):
    fault = faultd.start_fault("memory-stress", bytes="256MiB")
    wait_held(256 * MIB)
    (pid,) = processes_named("faultd-load")
    start, ticks = time.monotonic(), proc_stat(pid)[3]
    time.sleep(10)
    share = (proc_stat(pid)[3] - ticks) / TICK / (time.monotonic() - start)
    assert share <= 0.004, share  # 0.1 % and the grain of a tick, with sanitizers
    faultd.stop_fault(fault)


def test_percent_of_the_limit(faultd, cgroup):
    before = HostState()
    fault = faultd.start_fault("memory-stress", percent=50, cgroup=cgroup.path)
    wait_for(lambda: within(cgroup.usage(), 128 * MIB, 0.02), "half the limit is used")
    assert cgroup.pids() == processes_named("faultd-load")
    faultd.stop_fault(fault)
    wait_for(lambda: cgroup.usage() < 8 * MIB, "the cgroup is as it was")
    assert_put_back(before, HostState)


def test_total_follows_others(faultd, cgroup, other):
    assert other.take(40)
    fault = faultd.start_fault("memory-stress", percent=60, mode="total", reserve="16MiB", cgroup=cgroup.path)
    wanted = 256 * MIB * 0.6
    for mib in 40, 90, 10:
        assert other.take(mib)
        wait_for(lambda: within(cgroup.usage(), wanted, 0.03), f"60 % in all, of which others {mib} MiB")
    assert other.take(180)  # more than that by themselves
    wait_for(lambda: held() < 8 * MIB, "nothing is added")
    faultd.stop_fault(fault)


def test_the_reserve_stays(faultd, cgroup):
    fault = faultd.start_fault("memory-stress", percent=100, reserve="64MiB", cgroup=cgroup.path)
    wait_for(lambda: cgroup.usage() > 170 * MIB, "filled up to the reserve")
    assert wait_for(lambda: (f := figures(faultd, fault))["held"] < f["wanted"] and f, "it says what is missing")
    time.sleep(1)
    assert cgroup.number("memory.max_usage_in_bytes") <= (256 - 64) * MIB
    assert figures(faultd, fault)["yielded"] == 0
    faultd.stop_fault(fault)


def test_gives_way_to_others(faultd, cgroup, other):
    """Another process takes three quarters of the reserve at once, again and again: it is never
    refused, nobody is killed, and each time the reserve is made anew."""
    fault = faultd.start_fault("memory-stress", percent=100, reserve="64MiB", cgroup=cgroup.path)
    wait_for(lambda: cgroup.usage() > 170 * MIB, "filled up to the reserve")
    for _ in range(3):
        for mib in range(0, 161, 40):
            assert other.take(mib)
            wait_for(lambda: cgroup.free() > 48 * MIB, f"room after others took {mib} MiB")
        assert other.take(0)
    assert figures(faultd, fault)["yielded"] > 0
    assert cgroup.oom_kills() == 0 and other.process.poll() is None
    assert faultd.show(fault)["state"] == "active"
    faultd.stop_fault(fault)


def test_also_while_it_fills(faultd, cgroup, other):
    """Both race for the same memory from the start."""
    for _ in range(5):
        fault = faultd.start_fault("memory-stress", percent=100, reserve="64MiB", cgroup=cgroup.path)
        for mib in range(0, 101, 10):
            assert other.take(mib)
            wait_for(lambda: cgroup.free() > 40 * MIB, f"room after others took {mib} MiB")
        assert faultd.show(fault)["state"] == "active"
        faultd.stop_fault(fault)
        assert other.take(0)
    assert cgroup.oom_kills() == 0 and other.process.poll() is None


def test_the_oom_killer_is_an_outcome(faultd, cgroup, other):
    assert other.take(20)
    before = HostState()
    fault = faultd.start_fault("memory-stress", bytes="1GiB", reserve=0, cgroup=cgroup.path)
    ended = faultd.wait_state(fault, "done", "failed")
    assert ended["state"] == "done" and ended["reason"] == "oomKilled" and "error" not in ended
    assert cgroup.oom_kills() == 1
    assert other.process.poll() is None and other.take(30)  # the worker is the first to go
    assert_put_back(before, HostState)


def test_a_ramp_rises_in_steps(faultd):
    fault = faultd.start_fault("memory-stress", parameters={"bytes": "200MiB", "from": "40MiB", "over": "4s", "steps": 4})
    seen = []
    while not seen or not within(seen[-1], 200 * MIB):
        now = held()
        if any(within(now, n * 40 * MIB) for n in range(1, 6)) and (not seen or not within(now, seen[-1])):
            seen.append(now)
        assert faultd.show(fault)["state"] == "active"
        time.sleep(0.02)
    assert [round(s / (40 * MIB)) for s in seen] == [1, 2, 3, 4, 5]
    faultd.stop_fault(fault)


def test_waves_come_and_go(faultd):
    fault = faultd.start_fault("memory-stress", parameters={"bytes": "100MiB", "every": "1s", "for": "500ms"})
    for _ in range(2):
        wait_held(100 * MIB)
        wait_for(lambda: held() < 40 * MIB, "off again")
    faultd.stop_fault(fault)


def test_killed_with_faultd(faultd):
    before = HostState()
    faultd.start_fault("memory-stress", bytes="256MiB", workers=2)
    wait_held(256 * MIB)
    faultd.kill()
    wait_for(lambda: not processes_named("faultd-load"), "the workers are gone")
    assert_put_back(before, HostState)


def test_stopped_while_it_fills(faultd):
    before = HostState()
    for _ in range(3):
        faultd.stop_fault(faultd.start_fault("memory-stress", bytes="1GiB"))
        assert not processes_named("faultd-load")
    assert_put_back(before, HostState)


@pytest.mark.parametrize("parameters, field, words", [
    ({}, "percent", "required"),
    ({"percent": 50, "bytes": "1GiB"}, "bytes", "not together"),
    ({"percent": 101}, "percent", "1 to 100"),
    ({"bytes": "lots"}, "bytes", "no size"),
    ({"bytes": "1KiB"}, "bytes", "out of range"),
    ({"percent": 10, "workers": 65}, "workers", "1 to 64"),
    ({"percent": 10, "workers": 0}, "workers", "1 to 64"),
    ({"percent": 10, "mode": "most"}, "mode", "add, total"),
    ({"percent": 10, "of": "limit"}, "of", "no limit"),
    ({"percent": 10, "of": "available", "mode": "total"}, "of", "mode total"),
    ({"percent": 10, "reserve": "100TiB"}, "reserve", "less than"),
    ({"percent": 10, "to": 200, "over": "1s"}, "to", "1 to 100"),
    ({"percent": 10, "from": 5}, "over", "required"),
    ({"percent": 10, "every": "2s"}, "for", "both"),
    ({"percent": 10, "cgroup": "/no/such/cgroup"}, "cgroup", "/no/such/cgroup"),
])
def test_bad_input_is_one_clear_error(faultd, parameters, field, words):
    status, answer = faultd.fault("memory-stress", parameters=parameters)
    assert status in (400, 404), answer
    assert answer["field"] == f"parameters.{field}" and words in answer["message"], answer
    assert not processes_named("faultd-load") and faultd.journals() == []


def test_a_dry_run_says_the_bytes(faultd):
    status, plan = faultd.fault("memory-stress", percent=10, dryRun=True)
    assert status == 200, plan
    said = int(re.search(r"--bytes (\d+)", plan["steps"][0]["text"]).group(1))
    assert within(said, meminfo("MemTotal") * 0.1, 0.001)
    assert not processes_named("faultd-load")


def test_the_alias_is_a_share_of_what_is_available(faultd):
    available = meminfo("MemAvailable")
    status, plan = faultd.fault("AWSFIS-Run-Memory-Stress", None, dryRun=True,
                                parameters={"Percent": "2", "Workers": "2", "DurationSeconds": "60"})
    assert status == 200, plan
    said = [int(re.search(r"--bytes (\d+)", s["text"]).group(1)) for s in plan["steps"]]
    assert len(said) == 2 and within(sum(said), available * 0.02, 0.1)


def test_it_does_not_take_part_in_merging(faultd):
    """Also were KSM on: every page differs from every other."""
    fault = faultd.start_fault("memory-stress", bytes="32MiB")
    wait_held(32 * MIB)
    (pid,) = processes_named("faultd-load")
    text = pathlib.Path(f"/proc/{pid}/smaps").read_text()
    huge = [m for m in re.findall(r"^(\w+)-\w+ rw-p (?:.*\n)+?VmFlags:(.*)$", text, re.M) if " hg" in m[1]]
    with open(f"/proc/{pid}/mem", "rb") as memory:
        memory.seek(int(huge[0][0], 16))
        data = memory.read(2 * MIB)
    pages = {data[at:at + mmap.PAGESIZE] for at in range(0, len(data), mmap.PAGESIZE)}
    assert len(pages) >= len(data) // mmap.PAGESIZE - 1
    faultd.stop_fault(fault)
