# SPDX-License-Identifier: Apache-2.0
"""The guardian itself dies or hangs, is called twice, or meets a living faultd."""

import concurrent.futures
import os
import signal
import subprocess
import time

import pytest
from crash_lives import HUNG, KILLED, TOLERANCE, assert_calm, dump, guardian_all, is_stopped, record, shows
from lib.cgroups import Cgroup, hierarchies, unique
from lib.harness import GUARDIAN, PATIENCE, Faultd, alive, assert_put_back, proc_stat, processes_named, wait_for

OVERDUE = 0.5  # seconds past a deadline that the guardian waits: OVERDUE_MS


@pytest.fixture
def pause(targets):
    return targets("pause")


def _wait_off(target, since, bound, event):
    while found := target.off():
        assert time.monotonic() - since < bound * TOLERANCE, f"{event}: {found}"
        time.sleep(0.001)
    record("pause", event, "active", time.monotonic() - since)


def test_guardian_killed(faultd, pause, targets):
    """No new fault until it is back; what runs goes on; it is back in about a second, and guards again."""
    before = dump([pause])
    other = targets("pause")
    fault = pause.start(faultd)[1]
    shows(pause)
    guardian = faultd.guardian_pid()
    since = time.monotonic()
    os.kill(guardian, signal.SIGKILL)
    wait_for(lambda: not faultd.get("/v1/status")[1]["guardian"]["connected"], "the loss is noticed", pause=0.001)
    status, error = other.start(faultd)
    assert status == 503 and error["code"] == "ServiceUnavailableException", error
    assert other.off() == [] and len(faultd.journals()) == 1
    assert faultd.show(fault)["state"] == "active" and pause.off()
    wait_for(lambda: faultd.get("/v1/status")[1]["guardian"]["connected"], "the guardian is back", 1.0 * TOLERANCE)
    record("pause", "guardian back", "active", time.monotonic() - since)
    assert faultd.guardian_pid() != guardian
    assert faultd.show(fault)["state"] == "active" and pause.off()
    # Armed again: a new fault works, and both are covered.
    assert other.start(faultd)[0] == 201
    shows(other)
    since = time.monotonic()
    faultd.kill()
    _wait_off(pause, since, KILLED, "SIGKILL, new guardian")
    wait_for(lambda: not other.off() and not faultd.journals(), "all is undone")
    assert_put_back(before, lambda: dump([pause]))
    assert_calm(faultd)


def test_new_guardian_fences(faultd, pause):
    """The one that was started again also sees a hang, without any new fault to tell it that one is open."""
    fault = pause.start(faultd)[1]
    shows(pause)
    guardian = faultd.guardian_pid()
    os.kill(guardian, signal.SIGKILL)
    wait_for(lambda: faultd.guardian_pid() not in (0, guardian), "the guardian is back")
    assert faultd.show(fault)["state"] == "active"
    since = time.monotonic()
    os.kill(faultd.pid, signal.SIGSTOP)
    wait_for(lambda: faultd.process.poll() is not None, "fenced", HUNG * TOLERANCE)
    _wait_off(pause, since, HUNG, "hung, new guardian")


def test_guardian_for_a_hanging_faultd(faultd, pause):
    """The guardian dies while faultd hangs, and a supervisor starts another: it sees what is open and fences."""
    pause.start(faultd)
    shows(pause)
    guardian = faultd.guardian_pid()
    os.kill(faultd.pid, signal.SIGSTOP)
    os.kill(guardian, signal.SIGKILL)
    since = time.monotonic()
    mine = subprocess.Popen([str(GUARDIAN), "--watch", "--once", "--runtime-dir", str(faultd.runtime)])
    try:
        wait_for(lambda: faultd.process.poll() is not None, "fenced by the new guardian", 10)
        _wait_off(pause, since, HUNG, "hung, guardian replaced")
        assert mine.wait(PATIENCE) == 0
    finally:
        mine.kill()
        mine.wait()


def test_guardian_hangs(faultd, pause):
    """It does not answer: a new fault is refused in about a second, nothing was changed; later all is well again."""
    before = dump([pause])
    guardian = faultd.guardian_pid()
    os.kill(guardian, signal.SIGSTOP)
    wait_for(lambda: is_stopped(guardian), "the guardian stopped")
    try:
        since = time.monotonic()
        status, error = pause.start(faultd)
        took = time.monotonic() - since
        assert status == 503 and error["code"] == "ServiceUnavailableException", error
        assert 0.9 < took < 1.0 * TOLERANCE
        record("pause", "guardian hung: refused", "journaled", took)
        assert dump([pause]) == before and pause.off() == [] and faultd.journals() == []
        assert "does not answer" in faultd.get("/v1/doctor")[1]["checks"][0]["detail"]
    finally:
        os.kill(guardian, signal.SIGCONT)
    wait_for(lambda: faultd.get("/v1/doctor")[1]["checks"][0]["status"] == "ok", "the guardian answers again")
    fault = wait_for(lambda: (s := pause.start(faultd))[0] == 201 and s[1], "a fault is accepted again")
    shows(pause)
    assert faultd.guardian_pid() == guardian
    since = time.monotonic()
    faultd.kill()
    _wait_off(pause, since, KILLED, "SIGKILL, guardian hung before")
    assert fault and wait_for(lambda: not faultd.journals(), "the journal is gone")


def test_guardian_hangs_while_a_fault_runs(faultd, pause):
    """A running fault does not need the guardian's answer: it is stopped as always."""
    fault = pause.start(faultd)[1]
    shows(pause)
    guardian = faultd.guardian_pid()
    os.kill(guardian, signal.SIGSTOP)
    try:
        assert faultd.stop_fault(fault)["state"] == "done" and pause.off() == []
    finally:
        os.kill(guardian, signal.SIGCONT)


def test_a_worker_that_dies_slowly(faultd):
    """Its memory, or a write that has to come back, may take longer than the deadline's grace: nobody could do more
    about it than faultd, so nobody ends faultd for it."""
    if "freezer" not in hierarchies():
        pytest.skip("what is frozen dies at once without the freezer of cgroup v1")
    cgroup = Cgroup(unique(), ["freezer"])
    try:
        status, fault = faultd.fault("cpu-stress", "1500ms", percent=1, cpus="2")
        assert status == 201, fault
        load = [p for p in processes_named("faultd-load") if proc_stat(p)[1] == faultd.pid]
        assert len(load) == 2
        cgroup.add(*load)
        cgroup.freeze(True)
        wait_for(lambda: faultd.show(fault)["state"] == "undoing", "the deadline")
        until = time.monotonic() + 4 * OVERDUE
        while time.monotonic() < until:
            assert faultd.process.poll() is None, faultd.log()
            assert faultd.show(fault)["state"] == "undoing"
            time.sleep(0.05)
        cgroup.freeze(False)
        faultd.wait_state(fault, "done")
        assert not faultd.journals() and not any(alive(p) for p in load)
    finally:
        cgroup.close()


def test_late_answer_starts_nothing(faultd, pause):
    """The guardian wakes up after the fault was refused: its answer comes too late for that one."""
    guardian = faultd.guardian_pid()
    os.kill(guardian, signal.SIGSTOP)
    assert pause.start(faultd)[0] == 503
    os.kill(guardian, signal.SIGCONT)
    wait_for(lambda: faultd.get("/v1/faults")[1]["faults"][0]["state"] == "failed", "it stays failed")
    assert pause.off() == [] and faultd.journals() == []


def test_calls_beside_a_running_faultd(faultd, pause):
    """--all leaves a living faultd its faults and exits with 3; --list shows them and changes nothing."""
    fault = pause.start(faultd)[1]
    shows(pause)
    listed = guardian_all(faultd.runtime, "--list")
    assert listed.returncode == 0 and fault["id"] in listed.stdout and "process-pause" in listed.stdout, listed
    assert pause.off(), "--list changed something"
    done = guardian_all(faultd.runtime)
    assert done.returncode == 3, done
    assert "faultd is running" in done.stderr
    assert pause.off() and faultd.show(fault)["state"] == "active", "--all undid a living faultd's fault"
    faultd.stop_fault(fault)
    listed = guardian_all(faultd.runtime, "--list")
    assert (listed.returncode, listed.stdout) == (0, "")


def test_calls_where_nothing_is(tmp_path):
    for runtime in tmp_path, tmp_path / "absent":
        for what in "--list", "--all", "--all":
            done = guardian_all(runtime, what)
            assert (done.returncode, done.stdout) == (0, ""), done
    assert not (tmp_path / "absent").exists()


def test_wrong_calls(tmp_path):
    for options in ("--all", "--list"), ("--nonsense",), ("--all", "word"):
        assert guardian_all(tmp_path, *options).returncode == 2
    assert subprocess.run([str(GUARDIAN)], capture_output=True).returncode == 2
    done = subprocess.run([str(GUARDIAN), "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "Exit: 0" in done.stdout


def test_all_at_once(tmp_path, targets):
    """Both are killed with several faults open; four --all at the same time put each back once, all say so."""
    made = [targets(k) for k in ("pause", "loss-clsact", "loss-clsact-foreign", "pause")]
    before = dump(made)
    d = Faultd(tmp_path / "faultd", config={"classifierHook": "clsact"})
    try:
        for t in made:
            assert t.start(d)[0] == 201
        shows(*made)
        guardian = d.guardian_pid()
        os.kill(guardian, signal.SIGKILL)
        d.kill()
        assert len(d.journals()) == 4
        listed = guardian_all(d.runtime, "--list")
        assert listed.returncode == 0 and listed.stdout.count("to undo") == 4, listed
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda _: guardian_all(d.runtime), range(4)))
        assert [x.returncode for x in done] == [0] * 4, done
        assert [t.off() for t in made] == [[]] * 4 and d.journals() == []
        assert sum("process-pause: undone from its journal" in line for x in done for line in x.stderr.splitlines()) == 2
    finally:
        d.close()
    assert_put_back(before, lambda: dump(made))


def test_second_guardian(faultd, pause):
    """A second --watch is turned away and does no harm; the first goes on guarding."""
    fault = pause.start(faultd)[1]
    shows(pause)
    guardian = faultd.guardian_pid()
    second = subprocess.run([str(GUARDIAN), "--watch", "--once", "--runtime-dir", str(faultd.runtime)],
                            capture_output=True, text=True, timeout=PATIENCE)
    assert second.returncode in (0, 1), second
    assert faultd.process.poll() is None, f"the second guardian killed a healthy faultd: {second.stderr}"
    assert faultd.guardian_pid() == guardian
    assert faultd.show(fault)["state"] == "active" and pause.off()
    since = time.monotonic()
    faultd.kill()
    _wait_off(pause, since, KILLED, "SIGKILL, second guardian")


def test_one_faultd_per_runtime_dir(faultd, pause):
    """Another faultd for the same directory says why it ends, and takes nothing from the first."""
    fault = pause.start(faultd)[1]
    shows(pause)
    second = Faultd(faultd.directory, start=False)
    second.log_path = faultd.directory / "log2"
    second.start(wait_ready=False)
    assert second.process.wait(PATIENCE) == 1
    assert "another program listens on" in second.log()
    third = Faultd(faultd.directory, "--socket", faultd.directory / "third.sock", start=False)
    third.log_path = faultd.directory / "log3"
    third.start(wait_ready=False)
    assert third.process.wait(PATIENCE) == 1
    assert "another faultd" in third.log() and not (faultd.directory / "third.sock").exists()
    assert faultd.show(fault)["state"] == "active" and pause.off()
    assert faultd.get("/v1/status")[1]["guardian"]["connected"]
    faultd.stop_fault(fault)
    assert pause.off() == []
