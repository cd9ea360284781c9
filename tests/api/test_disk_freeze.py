# SPDX-License-Identifier: Apache-2.0
"""disk-freeze on an ext4 of the test's own, in a file. Frozen is what a writer says that waits in the kernel."""

import contextlib
import errno
import fcntl
import json
import os
import pathlib
import signal
import subprocess

import pytest

from lib import harness
from lib.disks import FIFREEZE, FITHAW, LoopMount
from lib.harness import GUARDIAN, alive, processes_named, run, state_of, wait_for


@pytest.fixture
def mount(tmp_path, root, alone):
    m = LoopMount(tmp_path / "disk")
    yield m
    m.close()


def freeze(faultd, mount, duration="30s", **parameters):
    return faultd.start_fault("disk-freeze", duration, **{"path": str(mount.point), **parameters})


def is_back(faultd, mount):
    """It can be written to, nothing is left on record, no worker lives."""
    return not mount.is_frozen() and not faultd.journals() and not processes_named("faultd-load")


def test_writers_wait_and_readers_do_not(faultd, mount):
    assert not mount.is_frozen()
    fault = freeze(faultd, mount)
    writer = mount.writer()
    wait_for(lambda: state_of(writer.pid) == "D", "the writer waits in the kernel")
    assert run("cat", mount.point / "old") == "it was here before\n"
    assert "old" in os.listdir(mount.point)
    assert mount.ioctl(FIFREEZE) == errno.EBUSY
    ended = faultd.stop_fault(fault)
    assert ended["state"] == "done" and ended["notes"] == []
    assert writer.wait(20) == 0
    assert mount.ioctl(FITHAW) == errno.EINVAL and is_back(faultd, mount)


def test_a_path_below_the_mount_point_means_it(faultd, mount):
    fault = freeze(faultd, mount, path=str(mount.point / "old"))
    assert mount.is_frozen()
    faultd.stop_fault(fault)
    assert is_back(faultd, mount)


def test_the_name_fis_gives_it(faultd, mount):
    fault = faultd.start_fault("aws:ebs:pause-volume-io", "PT1S", path=str(mount.point))
    assert mount.is_frozen()
    faultd.wait_state(fault, "done")
    assert is_back(faultd, mount)


def test_the_deadline(faultd, mount):
    fault = freeze(faultd, mount, "1s")
    faultd.wait_state(fault, "done")
    assert is_back(faultd, mount)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_faultd_lost(faultd, mount, how):
    freeze(faultd, mount)
    assert mount.is_frozen()
    os.kill(faultd.pid, how)
    wait_for(lambda: is_back(faultd, mount), "the guardian thaws it")


def test_both_lost(faultd, mount):
    freeze(faultd, mount)
    os.kill(faultd.guardian_pid(), signal.SIGKILL)
    faultd.kill()
    wait_for(lambda: not processes_named("faultd-load"), "the worker dies with faultd")
    assert mount.is_frozen()  # which is what the journal is for
    subprocess.run([GUARDIAN, "--all", "--runtime-dir", faultd.runtime], check=True, timeout=20)
    assert is_back(faultd, mount)


def test_the_worker_alone_thaws_when_nobody_else_does(faultd, mount):
    """faultd stopped and the guardian dead: some seconds after the deadline."""
    freeze(faultd, mount, "1s")
    os.kill(faultd.guardian_pid(), signal.SIGKILL)
    os.kill(faultd.pid, signal.SIGSTOP)
    try:
        assert mount.is_frozen()
        wait_for(lambda: not mount.is_frozen(), "the worker thaws it")
    finally:
        os.kill(faultd.pid, signal.SIGCONT)
    wait_for(lambda: is_back(faultd, mount), "faultd sees to the rest")


def test_a_worker_that_dies_thaws_nothing(faultd, mount):
    """The fault goes on, and ends as ever."""
    fault = freeze(faultd, mount)
    [worker] = processes_named("faultd-load")
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: not alive(worker), "the worker is dead")
    assert mount.is_frozen()
    assert faultd.stop_fault(fault)["state"] == "done"
    assert is_back(faultd, mount)


@contextlib.contextmanager
def slow(mount, bytes_per_second):
    """The disk writes so fast for everybody: on cgroup v1 by the limit of the root, for this loop device alone."""
    limit = pathlib.Path("/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device")
    if not limit.exists():
        pytest.skip("needs cgroup v1")
    limit.write_text(f"{mount.numbers} {bytes_per_second}")
    try:
        yield
    finally:
        limit.write_text(f"{mount.numbers} 0")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_ended_while_the_kernel_still_writes_out(faultd, mount, end):
    """Who is inside FIFREEZE cannot be killed, and freezes when it comes out: thawed after that, not before."""
    with slow(mount, 2 << 20):
        with open(mount.point / "dirty", "wb") as f:
            f.write(os.urandom(6 << 20))
        client = harness.HTTPConnection(faultd.socket)  # answered when it is frozen, so: not waited for
        client.request("POST", "/v1/faults", json.dumps({"action": "disk-freeze", "duration": "30s", "attach": True,
                                                         "parameters": {"path": str(mount.point)}}))
        worker = wait_for(lambda: processes_named("faultd-load"), "the worker")[0]
        wait_for(lambda: state_of(worker) == "D", "the worker waits inside FIFREEZE")
        assert faultd.get("/v1/status")[0] == 200  # which is why it is a worker
        if end == "stop":
            client.close()
        else:
            faultd.kill()
        wait_for(lambda: not alive(worker), "the worker came out")
        wait_for(lambda: not faultd.journals(), "all is undone")
        client.close()
    assert is_back(faultd, mount)
    assert mount.ioctl(FITHAW) == errno.EINVAL


def test_frozen_by_someone_else_stays_so(faultd, mount):
    assert mount.ioctl(FIFREEZE) is None
    status, fault = faultd.fault("disk-freeze", path=str(mount.point))
    assert "someone else" in str(fault), (status, fault)
    wait_for(lambda: not faultd.journals(), "the fault is over")
    assert mount.is_frozen()
    assert mount.ioctl(FITHAW) is None
    assert is_back(faultd, mount)


def test_it_cannot_be_unmounted_but_lazily_and_is_thawed_then_too(faultd, mount, tmp_path):
    """The worker stands in it, and shows the way to it. A second mount tells how it is."""
    second = tmp_path / "second"
    second.mkdir()
    run("mount", "--bind", mount.point, second)
    try:
        fault = freeze(faultd, mount)
        assert subprocess.run(["umount", mount.point], capture_output=True).returncode != 0
        run("umount", "--lazy", mount.point)
        writer = mount.writer(second)
        wait_for(lambda: state_of(writer.pid) == "D", "frozen")
        ended = faultd.stop_fault(fault)
        assert writer.wait(20) == 0 and ended["state"] == "done" and ended["notes"] == [], ended
    finally:
        fd = os.open(second, os.O_RDONLY)
        with contextlib.suppress(OSError):
            fcntl.ioctl(fd, FITHAW, 0)
        os.close(fd)
        run("umount", second)


def test_only_one_per_file_system(faultd, mount):
    fault = freeze(faultd, mount)
    status, error = faultd.fault("disk-freeze", path=str(mount.point / "old"))
    assert status == 409 and fault["id"] in error["message"], error
    faultd.stop_fault(fault)
    assert is_back(faultd, mount)


def test_what_cannot_be_frozen(faultd, tmp_path, root):
    point = tmp_path / "tmpfs"
    point.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", point)
    try:
        status, fault = faultd.fault("disk-freeze", path=str(point))
        assert "cannot be frozen" in str(fault), (status, fault)
        wait_for(lambda: not faultd.journals(), "the fault is over")
        (point / "file").write_text("writable")
    finally:
        run("umount", point)


@pytest.mark.parametrize("path", ["/", "/usr/bin", "/etc/passwd"])
def test_the_host_itself_is_refused(faultd, path, root):
    status, error = faultd.fault("disk-freeze", path=path, dryRun=True)
    assert status == 403 and "must not be frozen" in error["message"], error


@pytest.mark.parametrize("path", ["/nowhere/at/all", "relative", ""])
def test_what_is_not_there(faultd, path, root):
    status, error = faultd.fault("disk-freeze", path=path, dryRun=True)
    assert status == 400 and error["field"] == "parameters.path", error


def test_where_faultd_keeps_its_files_is_refused(mount):
    d = harness.Faultd(mount.point / "faultd")
    try:
        status, error = d.fault("disk-freeze", path=str(mount.point))
        assert status == 403 and "must not be frozen" in error["message"], error
    finally:
        d.close()
