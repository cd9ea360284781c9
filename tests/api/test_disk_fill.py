# SPDX-License-Identifier: Apache-2.0
"""disk-fill, measured by statvfs: how full it gets, that it gives way, and that all of it comes back."""

import ctypes
import errno
import os
import pathlib
import signal
import struct
import subprocess
import sys

import pytest

from lib.filesystems import MIB, Disk
from lib.harness import GUARDIAN, Faultd, alive, run, wait_for

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture
def faultd(disks, tmp_path):
    """Ends before its disks do."""
    d = Faultd(tmp_path / "faultd")
    yield d
    d.close()


IN_CREATE, IN_DELETE, IN_MOVED = 0x100, 0x200, 0xc0


class Names:
    """Every name that appears or vanishes in a directory, however short it lives (inotify(7))."""

    def __init__(self, path):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert libc.inotify_add_watch(self.fd, str(path).encode(), IN_CREATE | IN_DELETE | IN_MOVED) >= 0

    def seen(self):
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return []
        found = []
        while data:
            length = struct.unpack_from("iIII", data)[3]
            found.append(data[16:16 + length].rstrip(b"\0").decode())
            data = data[16 + length:]
        return found

    def close(self):
        os.close(self.fd)


def write_as_nobody(directory, n):
    """How many of `n` bytes a process that is not root can write there."""
    code = ("import os, sys\n"
            "fd = os.open('.', os.O_RDWR | os.O_TMPFILE, 0o600)\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "done = 0\n"
            "try:\n"
            "    while done < int(sys.argv[1]): done += os.write(fd, b'x' * min(65536, int(sys.argv[1]) - done))\n"
            "    os.fsync(fd)\n"
            "except OSError as e: print(e.errno, file=sys.stderr)\n"
            "print(done)\n")
    done = subprocess.run([sys.executable, "-c", code, str(n)], cwd=directory, capture_output=True, text=True, check=True)
    return int(done.stdout), done.stderr.strip()


@pytest.mark.parametrize("kind", ["ext4", "ext2", "tmpfs"])
@pytest.mark.parametrize("percent", [10, 50, 95, 99.5])
def test_percent_of_the_file_system(kind, percent, disks, faultd):
    disk = disks(kind)
    (disk.path / "theirs").write_bytes(b"x" * 5 * MIB)
    os.sync()
    whole, taken = disk.used + disk.available, disk.space()
    names = Names(disk.path)
    fault = faultd.start_fault("disk-fill", path=str(disk.path), percent=percent)
    # At once, unless it has to be written.
    wait_for(lambda: abs(disk.used - whole * percent / 100) <= 2 * disk.block, f"not {disk.percent} %")
    assert os.listdir(disk.path).count("theirs") == 1 and len(os.listdir(disk.path)) == len(disk.names) + 1
    wait_for(lambda: (f := faultd.figures(fault)) and abs(f["held"] - f["wanted"]) < 1e5 and f["yielded"] == 0, "figures")
    faultd.stop_fault(fault)
    wait_for(lambda: disk.space() == taken, f"{taken}, not {disk.space()}")
    assert disk.open_files() == [] and names.seen() == []
    names.close()


def test_percent_of_what_is_free(disks, faultd):
    disk = disks()
    available = disk.available
    fault = faultd.start_fault("disk-fill", path=str(disk.path / "lost+found"), percent=80, of="free")
    assert abs(disk.available - available * 0.2) <= 2 * disk.block
    (disk.path / "theirs").write_bytes(b"x" * 4 * MIB)  # an amount stays what it is
    os.sync()
    assert abs(disk.available - (available * 0.2 - 4 * MIB)) <= 4 * disk.block
    (disk.path / "theirs").unlink()
    faultd.stop_fault(fault)
    disk.assert_as_at_first()


def test_bytes(disks, faultd):
    disk = disks()
    available = disk.available
    fault = faultd.start_fault("disk-fill", path=str(disk.path), bytes="24MiB")
    assert abs(available - disk.available - 24 * MIB) <= 2 * disk.block
    faultd.stop_fault(fault)
    disk.assert_as_at_first()


@pytest.mark.parametrize("kind", ["ext4", "ext2", "tmpfs"])
@pytest.mark.parametrize("end", ["stop", "deadline", "faultd killed", "worker killed", "both killed", "faultd hung"])
def test_full_and_back(kind, end, disks, faultd):
    """To the last block, and nothing that would have to be written is in the way of the end."""
    disk = disks(kind)
    fault = faultd.start_fault("disk-fill", "5s" if end == "deadline" else "60s", path=str(disk.path), percent=100)
    wait_for(lambda: disk.available == 0, "full")  # at once, unless it has to be written
    assert write_as_nobody(disk.path, 4 * MIB)[1] == str(errno.ENOSPC)
    (worker,) = disk.open_files()
    assert pathlib.Path(f"/proc/{worker}/comm").read_text() == "faultd-load\n"
    guardian = faultd.guardian_pid()
    if end == "stop":
        faultd.stop_fault(fault)
    elif end == "deadline":
        assert faultd.wait_state(fault, "done")["reason"] == "deadline"
    elif end == "worker killed":
        os.kill(worker, signal.SIGKILL)
        faultd.wait_state(fault, "done", "failed")
    elif end == "faultd hung":
        os.kill(faultd.pid, signal.SIGSTOP)
    else:
        if end == "both killed":
            os.kill(guardian, signal.SIGKILL)
        faultd.kill()
    disk.assert_as_at_first()
    assert write_as_nobody(disk.path, 4 * MIB)[0] == 4 * MIB
    assert disk.open_files() == [] and not alive(worker)


@pytest.mark.parametrize("end", ["stop", "deadline", "faultd killed", "both killed"])
def test_faultd_on_the_full_file_system(end, disks, tmp_path):
    """Its socket, journals and state are on what is filled; the fault ends all the same."""
    disk = disks(name="faultd")
    d = Faultd(disk.path, "--log-level", "info")
    try:
        fault = d.start_fault("disk-fill", "3s" if end == "deadline" else "60s", path=str(d.runtime), percent=100)
        assert disk.available == 0
        if end == "stop":
            d.stop_fault(fault)
        elif end == "deadline":
            d.wait_state(fault, "done")
        else:
            if end == "both killed":
                os.kill(d.guardian_pid(), signal.SIGKILL)
            d.kill()
        wait_for(lambda: disk.available > disk.at_first[2] * disk.block - 2 * MIB, "the space is back")
        if end == "both killed":
            run(GUARDIAN, "--all", "--runtime-dir", d.runtime)
        wait_for(lambda: not d.journals(), "no journal is left")
    finally:
        d.close()


def test_it_follows_what_others_take_and_free(disks, faultd):
    disk = disks()
    fault = faultd.start_fault("disk-fill", path=str(disk.path), percent=60)
    theirs = disk.path / "theirs"

    def is_at_60():
        return abs(disk.percent - 60) < 0.1

    assert is_at_60()
    theirs.write_bytes(b"x" * 10 * MIB)
    os.sync()
    wait_for(lambda: is_at_60() and faultd.figures(fault)["yielded"] > 0, "gave way")
    theirs.unlink()
    os.sync()
    wait_for(is_at_60, "took it again")
    faultd.stop_fault(fault)
    disk.assert_as_at_first()


def test_the_reserve_is_held_against_a_racing_writer(disks, faultd):
    disk, reserve = disks(mib=192), 32 * MIB
    fault = faultd.start_fault("disk-fill", path=str(disk.path), percent=100, reserve=reserve)
    assert abs(disk.available - reserve) <= 2 * disk.block
    with open(disk.path / "theirs", "wb", buffering=0) as f:
        for n in range(12):  # three times the reserve
            assert f.write(os.urandom(8 * MIB)) == 8 * MIB
            os.fsync(f.fileno())
            wait_for(lambda: abs(disk.available - reserve) <= 8 * disk.block, f"gave way to write {n}")
    assert faultd.figures(fault)["yielded"] >= 12
    (disk.path / "theirs").unlink()
    faultd.stop_fault(fault)
    disk.assert_as_at_first()


def test_one_fill_of_a_file_system(disks, faultd):
    disk, other = disks(), disks("tmpfs", "other", mib=16)
    first = faultd.start_fault("disk-fill", path=str(disk.path), bytes="10MiB")
    status, error = faultd.fault("disk-fill", path=str(disk.path / "lost+found"), bytes="10MiB")
    assert status == 409 and first["id"] in error["message"], error
    second = faultd.start_fault("disk-fill", path=str(other.path), percent=50)
    faultd.stop_fault(first)
    faultd.stop_fault(faultd.start_fault("disk-fill", path=str(disk.path), bytes="10MiB"))
    faultd.stop_fault(second)
    disk.assert_as_at_first()
    other.assert_as_at_first()


def test_a_ramp(disks, faultd):
    disk = disks("tmpfs")
    assert disk.percent == 0
    fault = faultd.start_fault("disk-fill", path=str(disk.path), **{"from": 20, "to": 60, "over": "2s", "steps": 4})
    seen = set()

    def is_up():
        seen.add(round(disk.percent))
        return 60 in seen

    wait_for(is_up, "60 %")
    assert {20, 30, 40, 50, 60} - seen == set() and max(seen) == 60
    assert faultd.figures(fault)["yielded"] == 0
    faultd.stop_fault(fault)
    disk.assert_as_at_first()


def test_waves(disks, faultd):
    disk = disks()
    fault = faultd.start_fault("disk-fill", path=str(disk.path), percent=90, every="1200ms", **{"for": "600ms"})
    for _ in range(2):
        wait_for(lambda: disk.percent > 89.9, "full")
        wait_for(lambda: disk.space()[:3] == disk.at_first[:3], "empty")
    faultd.stop_fault(fault)
    disk.assert_as_at_first()


def test_a_limit_to_the_size_of_files(disks, tmp_path):
    """Several files then, as on a file system that has such a limit."""
    disk = disks("tmpfs")
    d = Faultd(tmp_path / "limited", prefix=("prlimit", f"--fsize={8 * MIB}:{8 * MIB}"))
    try:
        fault = d.start_fault("disk-fill", path=str(disk.path), bytes="60MiB")
        assert disk.used == 60 * MIB and len(disk.open_files()) == 8
        d.stop_fault(fault)
        disk.assert_as_at_first()
    finally:
        d.close()


@pytest.mark.parametrize("parameters, says", [
    ({"path": "/proc", "percent": 50}, "proc, which is no store of files"),
    ({"path": "/sys/kernel", "percent": 50}, "no store of files"),
    ({"path": "relative", "percent": 50}, "an absolute path"),
    ({"path": "/no/such/thing", "percent": 50}, "No such file"),
    ({"path": "DISK"}, "percent (0.1 to 100) or bytes"),
    ({"path": "DISK", "percent": 50, "bytes": "1MiB"}, "not together"),
    ({"path": "DISK", "percent": 0}, "0.1 to 100"),
    ({"path": "DISK", "percent": 100.5}, "0.1 to 100"),
    ({"path": "DISK", "bytes": "1TiB"}, "at most"),
    ({"path": "DISK", "percent": 100, "reserve": "1TiB"}, "nothing to take"),
    ({"path": "DISK", "percent": 0.1}, "full already"),
    ({"path": "DISK", "percent": 50, "from": 10}, "parameters.over"),
    ({"path": "READ-ONLY", "percent": 50}, "read-only"),
])
def test_refused(parameters, says, disks, faultd):
    disk = disks(mib=16)
    (disk.path / "theirs").write_bytes(b"x" * MIB)
    os.sync()
    space = disk.space()
    if parameters["path"] == "READ-ONLY":
        run("mount", "-o", "remount,ro", disk.path)
    path = str(disk.path) if parameters["path"] in ("DISK", "READ-ONLY") else parameters["path"]
    status, error = faultd.fault("disk-fill", parameters={**parameters, "path": path})
    assert status in (400, 409), error
    assert says in error["message"], error
    assert disk.space() == space and disk.open_files() == []


def test_a_file_that_is_a_mount_of_its_own(disks, faultd):
    """As /etc/hosts in a container: there is no directory to put anything in."""
    disk, other = disks(mib=16), disks("tmpfs", "other", mib=16)
    (disk.path / "hosts").write_text("")
    (other.path / "hosts").write_text("")
    run("mount", "--bind", other.path / "hosts", disk.path / "hosts")
    try:
        status, error = faultd.fault("disk-fill", path=str(disk.path / "hosts"), percent=50)
        assert status == 500 and "a mount of its own" in error["message"], error
    finally:
        run("umount", disk.path / "hosts")


def test_protected_by_policy(disks, tmp_path):
    """Also by another name of the same file system."""
    disk = disks(mib=16)
    (tmp_path / "again").mkdir()
    run("mount", "--bind", disk.path, tmp_path / "again")
    d = Faultd(tmp_path / "faultd", config={"protectedMounts": [str(disk.path)]})
    try:
        for path in disk.path, tmp_path / "again":
            status, error = d.fault("disk-fill", path=str(path), percent=50)
            assert status == 403 and str(disk.path) in error["message"], error
    finally:
        d.close()
        run("umount", tmp_path / "again")


def test_inside_a_mount_namespace(disks, faultd, tmp_path):
    """The path is what the processes of the cgroup see: here another tmpfs than on the host."""
    disk = disks("tmpfs", mib=16)
    cgroup = pathlib.Path(f"/sys/fs/cgroup/pids/fdt{os.getpid()}")
    if not cgroup.parent.is_dir():
        pytest.skip("no cgroup v1 pids hierarchy")
    cgroup.mkdir()
    inside = subprocess.Popen(
        ["unshare", "-m", "--propagation", "private", "sh", "-c",
         f"echo $$ > {cgroup}/cgroup.procs; mount -t tmpfs -o size=8m tmpfs {disk.path} && exec sleep 600"])
    try:
        there = f"/proc/{inside.pid}/root{disk.path}"
        wait_for(lambda: pathlib.Path(f"/proc/{inside.pid}/comm").read_text() == "sleep\n", "the mount is there")
        assert os.statvfs(there).f_bavail == 8 * MIB // 4096
        fault = faultd.start_fault("disk-fill", path=str(disk.path), percent=75, cgroup=f"/{cgroup.name}")
        assert os.statvfs(there).f_bavail == 2 * MIB // 4096
        assert disk.space() == disk.at_first
        workers = set((cgroup / "cgroup.procs").read_text().split()) - {str(inside.pid)}
        assert [pathlib.Path(f"/proc/{p}/comm").read_text() for p in workers] == ["faultd-load\n"]
        faultd.stop_fault(fault)
        assert os.statvfs(there).f_bavail == 8 * MIB // 4096
    finally:
        inside.kill()
        inside.wait()
        wait_for(lambda: not (cgroup / "cgroup.procs").read_text(), "the cgroup is empty")
        cgroup.rmdir()


def test_the_alias(disks, faultd):
    """Where FIS fills the root volume: only planned."""
    status, plan = faultd.fault("AWSFIS-Run-Disk-Fill", None, parameters={"DurationSeconds": "60"}, dryRun=True)
    assert status == 200, plan
    assert "disk --path / --value 95 --of filesystem" in str(plan)


@pytest.mark.parametrize("action", ["disk-fill", "io-stress", "disk-freeze"])
def test_a_file_system_that_does_not_answer(action, disks, faultd, dead):
    """faultd goes on: it is not killed for being late, and the other fault stays."""
    other = faultd.start_fault("wait")
    pid = faultd.pid
    parameters = {"percent": 50} if action == "disk-fill" else {}
    status, error = faultd.fault(action, path=str(dead), **parameters)
    assert status in (400, 500), error
    assert "does not answer" in error["message"], error
    assert faultd.show(other)["state"] == "active" and faultd.pid == pid
