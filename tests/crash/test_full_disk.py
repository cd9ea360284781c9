# SPDX-License-Identifier: Apache-2.0
"""The runtime directory is full: no new fault, and whatever is open still ends."""

import contextlib
import os
import signal
import time

import pytest
from crash_lives import HUNG, KILLED, TOLERANCE, assert_calm, dump, guardian_all, record, shows
from lib.harness import Faultd, assert_put_back, run, wait_for

KINDS = ["pause", "loss-clsact", "cpu-stress", "loss-tcx"]


@pytest.fixture
def small(tmp_path, alone):
    """A tmpfs of 64 KiB as faultd's runtime directory; everything else of it lies elsewhere."""
    directory = tmp_path / "faultd"
    runtime = directory / "run"
    runtime.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", runtime)
    try:
        yield directory
    finally:
        run("umount", runtime)


@pytest.fixture
def make(small, targets):
    """A target, and a faultd for it on the small disk."""
    made = []

    def both(kind):
        target = targets(kind)
        d = Faultd(small, config=target.config)
        target.faultd_pid = d.pid
        made.append(d)
        return target, d

    yield both
    for d in made:
        d.close()


def fill(directory):
    """Until not one byte more goes in."""
    with open(directory / "run" / "filler", "wb", buffering=0) as f:
        with contextlib.suppress(OSError):
            while f.write(b"x" * 1024):
                pass
    disk = os.statvfs(directory / "run")
    assert disk.f_bavail == 0


def free(directory):
    (directory / "run" / "filler").unlink()


@pytest.mark.parametrize("kind", KINDS)
def test_no_new_fault(kind, small, make):
    target, d = make(kind)
    before = dump([target])
    fill(small)
    status, error = target.start(d)
    assert status == 500 and error["code"] == "FaultFailedException", error
    assert "journal" in error["message"] and "No space left on device" in error["message"], error
    assert "nothing was changed" in error["message"]
    assert dump([target]) == before and target.off() == [] and d.journals() == []
    free(small)
    status, fault = target.start(d)
    assert status == 201, fault
    d.stop_fault(fault)
    assert_put_back(before, lambda: dump([target]))
    assert_calm(d)


def test_full_between_faults(small, make):
    """Faults are started until no journal fits any more; those that were started all end."""
    target, d = make("loss-clsact")
    before = dump([target])
    faults = []
    for _ in range(20):
        status, answer = target.start(d)
        if status != 201:
            break
        faults.append(answer)
    assert 0 < len(faults) < 20 and "No space left on device" in answer["message"], answer
    assert len(d.journals()) == len(faults)
    for fault in faults:
        assert d.stop_fault(fault)["state"] == "done"
    assert_put_back(before, lambda: dump([target]))


@pytest.mark.parametrize("end", ["stop", "deadline", "SIGKILL", "hang", "both", "next faultd"])
@pytest.mark.parametrize("kind", KINDS)
def test_full_while_active(kind, end, small, make):
    """What undoing needs was set aside before: it never fails for want of space."""
    target, d = make(kind)
    before = dump([target])
    status, fault = target.start(d, duration="1s" if end == "deadline" else "60s")
    assert status == 201, fault
    shows(target)
    fill(small)
    since = time.monotonic()
    if end == "stop":
        assert d.stop_fault(fault)["state"] == "done"
    elif end == "deadline":
        assert d.wait_state(fault, "done", "stuck")["state"] == "done"
    elif end == "SIGKILL":
        d.kill()
        wait_for(lambda: not target.off(), "undone", KILLED * TOLERANCE)
        record(kind, "SIGKILL, disk full", "active", time.monotonic() - since)
    elif end == "hang":
        os.kill(d.pid, signal.SIGSTOP)
        wait_for(lambda: d.process.poll() is not None and not target.off(), "fenced and undone", HUNG * TOLERANCE)
        record(kind, "hung, disk full", "active", time.monotonic() - since)
    else:
        os.kill(d.guardian_pid(), signal.SIGKILL)
        d.kill()
        if end == "both":
            assert guardian_all(d.runtime).returncode == 0
        else:
            d.start()
    wait_for(lambda: not d.journals(), "the journal is gone")
    assert target.off() == []
    assert_put_back(before, lambda: dump([target]))
    assert_calm(d)


def test_interval_on_a_full_disk(small, make):
    """A new victim needs room in the journal: when there is none, it is told and left alone, and all that was paused goes on."""
    target, d = make("pause-interval")
    status, fault = target.start(d)
    assert status == 201, fault
    target.during(d, fault)
    fill(small)
    target.during(d, fault)  # what was set aside for one fault is enough for a few more steps
    assert d.show(fault)["state"] == "active"
    shown = d.stop_fault(fault)
    assert shown["state"] == "done" and target.off() == []
