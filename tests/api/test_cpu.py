# SPDX-License-Identifier: Apache-2.0
"""cpu-stress, measured from outside: the workers' own time, and the CPUs'."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from lib import harness
from lib.harness import HostState, assert_put_back, proc_stat, processes_named, reap_orphans, wait_for

pytestmark = pytest.mark.alone

TICK = os.sysconf("SC_CLK_TCK")
CPUS = sorted(os.sched_getaffinity(0))
TOLERANCE = 6  # points of a percentage, over SECONDS
SECONDS = 4


def workers(n=None):
    """Their pids, once they are pinned and at work."""
    return wait_for(lambda: (w := processes_named("faultd-load")) and (n is None or len(w) == n) and w, f"{n} workers")


def cpu_of(pid):
    return sorted(os.sched_getaffinity(pid))


def stat_of_cpus():
    """{cpu: (busy, total)} in ticks."""
    found = {}
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        words = line.split()
        if words[0].startswith("cpu") and words[0] != "cpu":
            v = list(map(int, words[1:9]))
            found[int(words[0][3:])] = (sum(v) - v[3] - v[4], sum(v))
    return found


def measure(pids, seconds=SECONDS):
    """(percent of one CPU that each of them used, {cpu: percent busy}) over some seconds."""
    start, before, host = time.monotonic(), {p: proc_stat(p)[3] for p in pids}, stat_of_cpus()
    time.sleep(seconds)
    elapsed, after, now = time.monotonic() - start, {p: proc_stat(p)[3] for p in pids}, stat_of_cpus()
    own = {p: 100 * (after[p] - before[p]) / TICK / elapsed for p in pids}
    return own, {c: 100 * (now[c][0] - host[c][0]) / max(1, now[c][1] - host[c][1]) for c in now}


@pytest.mark.parametrize("percent", [10, 40, 75])
def test_the_load_is_what_was_asked_for(faultd, percent):
    before = HostState()
    fault = faultd.start_fault("cpu-stress", percent=percent)
    pids = workers(len(CPUS))
    own, host = measure(pids)
    on = {p: cpu_of(p)[0] for p in pids}
    for pid in pids:
        assert own[pid] <= percent + TOLERANCE, own
        if host[on[pid]] < 95:  # else others left it less than it wanted
            assert own[pid] >= percent - TOLERANCE, (own, host)
    for cpu in CPUS:
        assert host[cpu] >= percent - TOLERANCE, host  # others may be busy too
    shown = {f["name"]: f["value"] for f in faultd.show(fault)["figures"]}
    assert shown["load"] <= percent + TOLERANCE
    if max(host.values()) < 95:
        assert shown["load"] >= percent - TOLERANCE
    assert shown["hostLoad"] >= percent - 2 * TOLERANCE
    faultd.stop_fault(fault)
    assert_put_back(before, HostState)


@pytest.mark.parametrize("cpus, chosen", [
    ("all", CPUS), ("1", CPUS[:1]), (1, None), ("0-0", [0]), (f"{CPUS[-1]}-{CPUS[-1]}", CPUS[-1:]), (str(len(CPUS)), CPUS),
    (f"{CPUS[0]},{CPUS[-1]}", sorted({CPUS[0], CPUS[-1]})), ("0-0, 0-0", [0])])
def test_each_worker_is_on_a_cpu_of_its_own(faultd, cpus, chosen):
    if chosen is None:
        assert faultd.fault("cpu-stress", percent=5, cpus=cpus)[0] == 400  # a text, as its default
        return
    fault = faultd.start_fault("cpu-stress", percent=5, cpus=cpus)
    pids = workers(len(chosen))
    wait_for(lambda: sorted(c for p in pids for c in cpu_of(p)) == chosen, "pinned")
    assert len(fault["steps"]) == len(chosen)
    faultd.stop_fault(fault)
    assert processes_named("faultd-load") == []


def test_total_counts_what_others_do(faultd):
    """Beside a busy loop that has about a third of the CPU, only the rest is added."""
    loop = subprocess.Popen([sys.executable, "-c", """
import os, time
os.sched_setaffinity(0, {%d})
while True:
    end = time.process_time() + 0.03
    while time.process_time() < end:
        pass
    time.sleep(0.06)
""" % CPUS[-1]])
    try:
        fault = faultd.start_fault("cpu-stress", percent=70, cpus=f"{CPUS[-1]}-{CPUS[-1]}", mode="total")
        (pid,) = workers(1)
        time.sleep(1.5)  # it looks for what others do first
        own, host = measure([pid, loop.pid])
        faultd.stop_fault(fault)
        assert own[loop.pid] > 15
        assert abs(host[CPUS[-1]] - 70) <= 2 * TOLERANCE, (own, host)
        assert own[pid] < 70 - own[loop.pid] / 2
    finally:
        loop.kill()
        loop.wait()


def test_total_adds_nothing_where_there_is_enough(faultd):
    loop = subprocess.Popen([sys.executable, "-c", f"import os\nos.sched_setaffinity(0, {{{CPUS[-1]}}})\nwhile True: pass"])
    try:
        fault = faultd.start_fault("cpu-stress", percent=50, cpus=f"{CPUS[-1]}-{CPUS[-1]}", mode="total")
        (pid,) = workers(1)
        time.sleep(1)
        own, _ = measure([pid], 3)
        faultd.stop_fault(fault)
        assert own[pid] < 8
    finally:
        loop.kill()
        loop.wait()


def test_a_worker_that_is_killed_ends_the_fault(faultd):
    before = HostState()
    fault = faultd.start_fault("cpu-stress", "60s", percent=5)
    pids = workers(len(CPUS))
    os.kill(pids[-1], signal.SIGKILL)
    ended = faultd.wait_state(fault, "done", "failed")
    assert "SIGKILL" in ended["error"]["message"] and "worker" in ended["error"]["message"]
    assert "SIGKILL" in ended["reason"]
    assert faultd.journals() == []
    assert_put_back(before, HostState)


def test_an_attached_client_hears_of_a_killed_worker(faultd):
    stream = faultd.attach("cpu-stress", "60s", percent=5, cpus="0-0")
    assert stream.line()["event"] == "start"
    (pid,) = workers(1)
    os.kill(pid, signal.SIGTERM)
    end = stream.until(lambda e: e["event"] == "end")
    assert "SIGTERM" in end["fault"]["error"]["message"]
    stream.close()


def test_a_stopped_worker_is_killed_all_the_same(faultd):
    fault = faultd.start_fault("cpu-stress", "1500ms", percent=50, cpus="0-0")
    (pid,) = workers(1)
    os.kill(pid, signal.SIGSTOP)
    ended = faultd.wait_state(fault, "done")
    assert ended["reason"] == "deadline"
    assert not harness.alive(pid)


def test_workers_are_the_first_choice_of_the_oom_killer(faultd):
    faultd.start_fault("cpu-stress", percent=1)
    for pid in workers(len(CPUS)):
        wait_for(lambda p=pid: pathlib.Path(f"/proc/{p}/oom_score_adj").read_text().strip() == "1000", "the score")
        assert proc_stat(pid)[1] == faultd.pid


def zombies_of(pid):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and (st := proc_stat(int(entry.name))) and st[1] == pid and st[0] == "Z":
            found.append(int(entry.name))
    return found


def test_no_zombies(faultd):
    for _ in range(10):
        faultd.stop_fault(faultd.start_fault("cpu-stress", percent=1))
        assert zombies_of(faultd.pid) == []
    short = [faultd.start_fault("cpu-stress", "300ms", percent=1) for _ in range(5)]
    victims = [faultd.start_fault("cpu-stress", "60s", percent=1, cpus="0-0") for _ in range(3)]
    for pid in workers():
        os.kill(pid, signal.SIGKILL)
    for fault in short + victims:
        faultd.wait_state(fault, "done", "failed")
    wait_for(lambda: zombies_of(faultd.pid) == [], "no zombies", 2)
    assert processes_named("faultd-load") == []


def test_load_ends_at_the_deadline_though_faultd_stands_still(faultd):
    """The worker keeps its own time."""
    fault = faultd.start_fault("cpu-stress", "1500ms", percent=20, cpus="0-0")
    (pid,) = workers(1)
    guardian = faultd.guardian_pid()
    os.kill(guardian, signal.SIGSTOP)
    os.kill(faultd.pid, signal.SIGSTOP)
    try:
        wait_for(lambda: not harness.alive(pid), "the worker ended")
    finally:
        os.kill(faultd.pid, signal.SIGCONT)
        ended = faultd.wait_state(fault, "done")
        os.kill(guardian, signal.SIGCONT)
    assert ended["reason"] == "deadline" and "error" not in ended
    reap_orphans()
