# SPDX-License-Identifier: Apache-2.0
"""disk-throttle on a loop device and a cgroup of the test's own: the kernel's files, and a real writer's time."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

from lib.disks import IoCgroup, LoopDisk
from lib.harness import GUARDIAN, wait_for

pytestmark = pytest.mark.alone

MIB = 1 << 20


@pytest.fixture
def disk(tmp_path, root, alone):
    if why := IoCgroup.why_not():
        pytest.skip(why)
    d = LoopDisk(tmp_path / "disk")
    yield d
    d.close()


@pytest.fixture
def group(disk):
    g = IoCgroup()
    yield g
    g.close()


def throttle(faultd, disk, group, duration="30s", **parameters):
    return faultd.start_fault("disk-throttle", duration, device=disk.device, cgroup=group.path, **parameters)


def seconds_to_write(group, disk, mib):
    """By a writer in the cgroup, past the page cache."""
    since = time.monotonic()
    done = group.run("dd", "if=/dev/zero", f"of={disk.device}", "bs=256K", f"count={mib * 4}", "oflag=direct",
                     stderr=subprocess.DEVNULL)
    assert done.wait(60) == 0
    return time.monotonic() - since


def test_a_writer_is_really_slower(faultd, disk, group):
    free = seconds_to_write(group, disk, 4)
    fault = throttle(faultd, disk, group, writeBytes="2MiB")
    assert group.limits(disk.numbers) == {"rbps": 0, "wbps": 2 * MIB, "riops": 0, "wiops": 0}
    slow = seconds_to_write(group, disk, 4)
    assert slow > 1.2 and slow > free * 2, (free, slow)  # 2 s by rights, of which the first 100 ms or so are free
    assert faultd.stop_fault(fault)["state"] == "done"
    assert not any(group.limits(disk.numbers).values())
    assert seconds_to_write(group, disk, 4) < slow / 2


def test_a_waiting_writer_goes_on_at_the_end(faultd, disk, group):
    """One byte per second: what waits would wait for a month."""
    fault = throttle(faultd, disk, group, writeBytes=1)
    writer = group.run("dd", "if=/dev/zero", f"of={disk.device}", "bs=256K", "count=4", "oflag=direct", stderr=subprocess.DEVNULL)
    with pytest.raises(subprocess.TimeoutExpired):
        writer.wait(1)
    faultd.stop_fault(fault)
    assert writer.wait(20) == 0


def test_what_was_set_before_is_put_back(faultd, disk, group):
    group.set(disk.numbers, "wbps", 9000000)
    group.set(disk.numbers, "riops", 500)
    before = group.limits(disk.numbers)
    fault = throttle(faultd, disk, group, writeBytes=1000000, readBytes="3MB")
    assert group.limits(disk.numbers) == {"rbps": 3000000, "wbps": 1000000, "riops": 500, "wiops": 0}
    ended = faultd.stop_fault(fault)
    assert group.limits(disk.numbers) == before and ended["notes"] == []


def test_a_third_partys_change_is_left_alone(faultd, disk, group):
    fault = throttle(faultd, disk, group, writeBytes="1MiB", writeIops=100)
    group.set(disk.numbers, "wbps", 7777777)
    ended = faultd.stop_fault(fault)
    assert ended["state"] == "done"
    if group.v2:  # one line, one step
        assert group.limit(disk.numbers, "wbps") == 7777777
    else:
        assert group.limits(disk.numbers) == {"rbps": 0, "wbps": 7777777, "riops": 0, "wiops": 0}
    assert len(ended["notes"]) == 1 and "7777777" in ended["notes"][0] and "left alone" in ended["notes"][0]


def test_the_cgroup_may_end_first(faultd, disk, group):
    fault = throttle(faultd, disk, group, writeBytes="1MiB")
    group.directory.rmdir()
    try:
        ended = faultd.stop_fault(fault)
        assert ended["state"] == "done" and faultd.journals() == []
    finally:
        group.directory.mkdir()


def test_the_disk_may_end_first(faultd, disk, group):
    fault = throttle(faultd, disk, group, writeBytes="1MiB")
    disk.close()
    assert faultd.stop_fault(fault)["state"] == "done" and faultd.journals() == []


def test_a_ramp_goes_from_one_limit_to_another(faultd, disk, group):
    fault = throttle(faultd, disk, group, writeBytes="1MiB", over="1s", steps=4, **{"from": "9MiB"})
    seen = [group.limit(disk.numbers, "wbps")]
    while seen[-1] != MIB:
        now = wait_for(lambda: (v := group.limit(disk.numbers, "wbps")) != seen[-1] and v, f"after {seen}")
        seen.append(now)
    assert seen[0] == 9 * MIB and seen == sorted(seen, reverse=True) and set(seen) <= {n * MIB for n in (9, 7, 5, 3, 1)}
    assert len(seen) >= 3, seen
    faultd.stop_fault(fault)
    assert group.limit(disk.numbers, "wbps") == 0


def test_a_third_partys_change_ends_a_ramp(faultd, disk, group):
    fault = throttle(faultd, disk, group, writeBytes="1MiB", over="20s", steps=20, **{"from": "21MiB"})
    group.set(disk.numbers, "wbps", 7777777)
    ended = faultd.wait_state(fault, "done", "failed")
    assert "somebody else" in ended["reason"] and group.limit(disk.numbers, "wbps") == 7777777


def test_waves_come_and_go(faultd, disk, group):
    group.set(disk.numbers, "wbps", 9000000)
    fault = throttle(faultd, disk, group, writeBytes="1MiB", writeIops=77, every="1s", **{"for": "400ms"})
    for _ in range(2):
        wait_for(lambda: group.limits(disk.numbers) == {"rbps": 0, "wbps": MIB, "riops": 0, "wiops": 77}, "a wave")
        wait_for(lambda: group.limits(disk.numbers) == {"rbps": 0, "wbps": 9000000, "riops": 0, "wiops": 0}, "its end")
    faultd.stop_fault(fault)
    assert group.limit(disk.numbers, "wbps") == 9000000


def test_only_one_per_cgroup_and_disk(faultd, disk, group):
    fault = throttle(faultd, disk, group, writeBytes="1MiB")
    status, error = faultd.fault("disk-throttle", device=disk.numbers, cgroup=group.path, readBytes="1MiB")
    assert status == 409 and fault["id"] in error["message"], error
    other = IoCgroup()
    try:
        second = throttle(faultd, disk, other, writeBytes="2MiB")
        assert other.limit(disk.numbers, "wbps") == 2 * MIB
        faultd.stop_fault(second)
    finally:
        other.close()
    faultd.stop_fault(fault)


def test_the_deadline(faultd, disk, group):
    fault = throttle(faultd, disk, group, "1s", writeBytes="1MiB")
    faultd.wait_state(fault, "done")
    assert group.limit(disk.numbers, "wbps") == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_faultd_lost(faultd, disk, group, how):
    throttle(faultd, disk, group, writeBytes="1MiB")
    os.kill(faultd.pid, how)
    wait_for(lambda: group.limit(disk.numbers, "wbps") == 0 and not faultd.journals(), "the guardian puts it back")


def test_both_lost(faultd, disk, group):
    group.set(disk.numbers, "wbps", 9000000)
    throttle(faultd, disk, group, writeBytes="1MiB")
    os.kill(faultd.guardian_pid(), signal.SIGKILL)
    faultd.kill()
    assert group.limit(disk.numbers, "wbps") == MIB
    subprocess.run([GUARDIAN, "--all", "--runtime-dir", faultd.runtime], check=True, timeout=20)
    assert group.limit(disk.numbers, "wbps") == 9000000 and not faultd.journals()


@pytest.mark.parametrize("parameters,field,word", [
    ({}, "parameters.writeBytes", "no limit"),
    ({"writeBytes": 0}, "parameters.writeBytes", "0"),
    ({"writeBytes": 1000, "path": "/"}, "parameters.device", "path is given"),
    ({"writeBytes": 1000, "device": None}, "parameters.path", "required"),
    ({"writeBytes": 1000, "device": "/dev/null"}, "parameters.device", "no block device"),
    ({"writeBytes": 1000, "device": "sda"}, "parameters.device", "no device"),
    ({"writeBytes": 1000, "device": "4095:1"}, "parameters.device", "there is no disk"),
    ({"writeBytes": 1000, "device": None, "path": "/proc"}, "parameters.path", "proc"),
    ({"writeBytes": 1000, "device": None, "path": "/nowhere/at/all"}, "parameters.path", "not there"),
    ({"writeBytes": 1000, "over": "10s"}, "parameters.from", "required"),
    ({"writeBytes": 1000, "over": "10s", "from": 0.5}, "parameters.from", "required"),
    ({"writeBytes": 1000, "readBytes": 1000, "over": "10s", "from": 2000}, "parameters.over", "2 limits"),
    ({"writeIops": 4294967295}, "parameters.writeIops", "4294967295"),
])
def test_what_is_refused(faultd, disk, group, parameters, field, word):
    given = {"device": disk.device, "cgroup": group.path, **parameters}
    status, error = faultd.fault("disk-throttle", parameters={k: v for k, v in given.items() if v is not None})
    assert status == 400 and error["field"] == field and word in error["message"], error
    assert not any(group.limits(disk.numbers).values())


def test_a_cgroup_without_the_controller(faultd, disk):
    """There, but not where I/O is limited: said, with what to do."""
    if IoCgroup.v2:
        pytest.skip("v1 only")
    elsewhere = pathlib.Path(f"/sys/fs/cgroup/pids/fdte{os.getpid()}")
    elsewhere.mkdir()
    try:
        status, error = faultd.fault("disk-throttle", device=disk.device, cgroup=f"/{elsewhere.name}", writeBytes=1000)
        assert status == 409 and "blkio" in error["message"], error
    finally:
        elsewhere.rmdir()
