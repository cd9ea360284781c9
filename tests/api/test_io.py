# SPDX-License-Identifier: Apache-2.0
"""io-stress, measured by the counters of the disk: it reads, writes and syncs, and gives the space back."""

import fcntl
import os
import signal
import time

import pytest

from lib.filesystems import MIB
from lib.harness import Faultd, alive, wait_for

pytestmark = [pytest.mark.usefixtures("root"), pytest.mark.alone]

EXT4_IOC_SHUTDOWN = 0x8004587d
SECTOR = 512


@pytest.fixture
def faultd(disks, tmp_path):
    """Ends before its disks do."""
    d = Faultd(tmp_path / "faultd")
    yield d
    d.close()


def io_of(pid):
    """Bytes that a process had read from and written to disks: proc_pid_io(5)."""
    fields = dict(line.split(": ") for line in open(f"/proc/{pid}/io").read().splitlines())
    return int(fields["read_bytes"]), int(fields["write_bytes"])


@pytest.mark.parametrize("workers", [1, 3])
def test_the_disk_is_busy(workers, disks, faultd):
    disk = disks()
    before = disk.io()
    fault = faultd.start_fault("io-stress", path=str(disk.path), workers=workers, percent=50)
    # All of it was set aside, and at least once written: reads are of what was.
    wait_for(lambda: abs(disk.available - disk.at_first[2] * disk.block // 2) <= (workers + 1) * MIB, "half of what was free")
    wait_for(lambda: disk.io()[3] - before[3] > 2 * 64 * MIB // SECTOR, "twice as much is written")
    reads, read, writes, written, flushes = (now - then for now, then in zip(disk.io(), before))
    assert reads > 50 and read * SECTOR > 8 * MIB
    assert writes > 50 and flushes >= 2
    # In order, and at random: between the one's size and the other's.
    assert 8 * 1024 < written * SECTOR / writes < 1024 * 1024
    shown = faultd.figures(fault)
    for name in "reads", "readRate", "writes", "writeRate", "syncs":
        assert shown[name] > 0, shown
    pids = disk.open_files()
    assert len(pids) == workers
    for pid in pids:  # past the page cache: what was read came from the disk
        assert min(io_of(pid)) > MIB
    assert os.listdir(disk.path) == disk.names
    faultd.stop_fault(fault)
    disk.assert_as_at_first()
    assert disk.open_files() == []
    at_rest = disk.io()
    time.sleep(0.3)
    assert disk.io()[0] - at_rest[0] < 5


@pytest.mark.parametrize("end", ["deadline", "faultd killed", "worker killed", "both killed"])
def test_the_space_comes_back(end, disks, faultd):
    disk = disks()
    fault = faultd.start_fault("io-stress", "2s" if end == "deadline" else "60s", path=str(disk.path), bytes="32MiB")
    wait_for(lambda: disk.available < disk.at_first[2] * disk.block - 31 * MIB, "the space is taken")
    (worker,) = disk.open_files()
    if end == "deadline":
        assert faultd.wait_state(fault, "done")["reason"] == "deadline"
    elif end == "worker killed":
        os.kill(worker, signal.SIGKILL)
        faultd.wait_state(fault, "done", "failed")
    else:
        if end == "both killed":
            os.kill(faultd.guardian_pid(), signal.SIGKILL)
        faultd.kill()
    disk.assert_as_at_first()
    assert not alive(worker) and disk.open_files() == []


def test_tmpfs(disks, faultd):
    disk = disks("tmpfs", mib=32)
    fault = faultd.start_fault("io-stress", path=str(disk.path), percent=50)
    wait_for(lambda: disk.used == 16 * MIB, "half is taken")
    wait_for(lambda: min(faultd.figures(fault)[n] for n in ("reads", "writes", "syncs")) > 0, "figures")
    faultd.stop_fault(fault)
    disk.assert_as_at_first()


def test_many_workers_keep_the_reserve_together(disks, faultd):
    """Each sees what is left free, and all of them take at the same time."""
    disk = disks("tmpfs", mib=256)
    reserve = 256 * MIB // 20
    fault = faultd.start_fault("io-stress", path=str(disk.path), workers=16, percent=100)
    least, end = disk.available, time.monotonic() + 3
    while time.monotonic() < end:
        least = min(least, disk.available)
    assert least >= reserve, f"{least / MIB} MiB were left of {reserve / MIB}"
    # And not much less than what was to be had.
    assert disk.available < reserve + 3 * 16 * MIB
    faultd.stop_fault(fault)
    disk.assert_as_at_first()


def test_it_gives_way_to_others(disks, faultd):
    """Others write until there would be nothing left: the fault goes on with less."""
    disk = disks()
    fault = faultd.start_fault("io-stress", path=str(disk.path), percent=80)
    wait_for(lambda: disk.available < disk.at_first[2] * disk.block // 4, "the space is taken")
    taken = disk.available
    with open(disk.path / "theirs", "wb", buffering=0) as f:
        f.write(os.urandom(taken - 2 * MIB))
        os.fsync(f.fileno())
    reserve = os.statvfs(disk.path).f_blocks * disk.block // 20
    wait_for(lambda: disk.available >= reserve and faultd.figures(fault)["yielded"] > 0, "gave way")
    before = disk.io()
    wait_for(lambda: disk.io()[0] > before[0] + 20 and disk.io()[2] > before[2] + 20, "it goes on")
    assert faultd.show(fault)["state"] == "active"
    (disk.path / "theirs").unlink()
    faultd.stop_fault(fault)
    disk.assert_as_at_first()


def test_it_gives_way_between_waves(disks, faultd):
    disk = disks()
    fault = faultd.start_fault("io-stress", path=str(disk.path), percent=80, every="120s", **{"for": "1s"})
    wait_for(lambda: disk.available < disk.at_first[2] * disk.block // 4, "the space is taken")
    time.sleep(1)  # it is off by then
    with open(disk.path / "theirs", "wb", buffering=0) as f:
        f.write(os.urandom(disk.available - 2 * MIB))
        os.fsync(f.fileno())
    reserve = os.statvfs(disk.path).f_blocks * disk.block // 20
    wait_for(lambda: disk.available >= reserve and faultd.figures(fault)["yielded"] > 0, "gave way")
    (disk.path / "theirs").unlink()
    faultd.stop_fault(fault)
    disk.assert_as_at_first()


def test_waves(disks, faultd):
    disk = disks()
    fault = faultd.start_fault("io-stress", path=str(disk.path), bytes="16MiB", every="1500ms", **{"for": "500ms"})

    def is_busy():
        before = disk.io()
        time.sleep(0.1)
        return disk.io()[2] > before[2]

    for _ in range(2):
        wait_for(is_busy, "on")
        wait_for(lambda: not is_busy(), "off")
    faultd.stop_fault(fault)
    disk.assert_as_at_first()


def test_a_ramp(disks, faultd):
    disk = disks()
    fault = faultd.start_fault("io-stress", path=str(disk.path), bytes="1MiB",
                               **{"from": "4MiB", "to": "40MiB", "over": "2s", "steps": 2})
    wait_for(lambda: faultd.figures(fault)["held"] == 22 << 20, "half way")
    wait_for(lambda: faultd.figures(fault)["held"] == 40 << 20, "at its end")
    faultd.stop_fault(fault)
    disk.assert_as_at_first()


def test_a_disk_that_fails(disks, faultd):
    """The file system shuts down: the worker ends, and says why."""
    disk = disks()
    fault = faultd.start_fault("io-stress", path=str(disk.path), bytes="16MiB")
    fd = os.open(disk.path, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, (2).to_bytes(4, "little"))  # without the log
    finally:
        os.close(fd)
    ended = faultd.wait_state(fault, "done", "failed")
    assert "worker" in ended["error"]["message"], ended
    assert "cannot go on reading and writing" in faultd.log() and "Input/output error" in faultd.log()
    assert disk.open_files() == []


def test_two_compose(disks, faultd):
    disk = disks()
    first = faultd.start_fault("io-stress", path=str(disk.path), bytes="16MiB")
    second = faultd.start_fault("io-stress", path=str(disk.path), bytes="16MiB")
    assert len(set(disk.open_files())) == 2
    faultd.stop_fault(first)
    wait_for(lambda: faultd.figures(second)["reads"] > 0, "the other goes on")
    faultd.stop_fault(second)
    disk.assert_as_at_first()


@pytest.mark.parametrize("parameters, status, says", [
    ({"path": "/proc"}, 400, "no store of files"),
    ({"path": "relative"}, 400, "absolute"),
    ({"bytes": "1TiB"}, 400, "at most"),
    ({"workers": 64}, 409, "too full"),
    ({"workers": 0}, 400, "1 to 64"),
    ({"percent": 0}, 400, "0.1 to 100"),
    ({"percent": 50, "to": 200, "over": "1s"}, 400, "0.1 to 100"),
])
def test_refused(parameters, status, says, disks, faultd):
    disk = disks(mib=32)
    got, error = faultd.fault("io-stress", parameters={"path": str(disk.path), **parameters})
    assert got == status and says in error["message"], error
    assert disk.space() == disk.at_first


@pytest.mark.parametrize("alias, parameters", [
    ("AWSFIS-Run-IO-Stress", {"DurationSeconds": "60", "Workers": "2", "Percent": "70"}),
    ("aws:ecs:task-io-stress", {"workers": 2, "percent": 70}),
    ("aws:eks:pod-io-stress", {"workers": 2, "percent": 70}),
])
def test_aliases(alias, parameters, disks, faultd):
    duration = None if "DurationSeconds" in parameters else "60s"
    status, plan = faultd.fault(alias, duration, parameters=parameters, dryRun=True)
    assert status == 200, plan
    assert str(plan).count("io --path / --value 70 ") >= 2
