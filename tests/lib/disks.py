# SPDX-License-Identifier: Apache-2.0
"""A disk of the test's own: a loop device, a file system on it, and the limits a cgroup has there."""

import contextlib
import fcntl
import itertools
import os
import pathlib
import subprocess
import time

from lib import harness
from lib.harness import run, state_of, wait_for

FIFREEZE, FITHAW = 0xC0045877, 0xC0045878

_numbers = itertools.count()


class LoopDisk:
    """A loop device over a sparse file."""

    def __init__(self, directory, size_mib=32):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.image = self.directory / f"disk{next(_numbers)}"
        with open(self.image, "wb") as f:
            f.truncate(size_mib << 20)
        self.device = run("losetup", "--find", "--show", self.image).strip()
        self.numbers = pathlib.Path(f"/sys/class/block/{pathlib.Path(self.device).name}/dev").read_text().strip()

    def close(self):
        run("losetup", "--detach", self.device, check=False)
        self.image.unlink(missing_ok=True)


class LoopMount(LoopDisk):
    """An ext4 on it, mounted; close() thaws it first, whatever the test left."""

    def __init__(self, directory, size_mib=32):
        super().__init__(directory, size_mib)
        self.point = self.directory / f"{self.image.name}.mount"
        self.point.mkdir()
        self.writers = []
        try:
            run("mkfs.ext4", "-q", self.device)
            run("mount", self.device, self.point)
            (self.point / "old").write_text("it was here before\n")
            os.sync()
        except BaseException:
            self.close()
            raise

    def ioctl(self, request):
        """None, or the errno."""
        fd = os.open(self.point, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, request, 0)
            return None
        except OSError as e:
            return e.errno
        finally:
            os.close(fd)

    def writer(self, point=None):
        """A process that makes a file there, or waits in the kernel to be allowed to."""
        p = subprocess.Popen(["touch", str((point or self.point) / f"new{next(_numbers)}")])
        self.writers.append(p)
        return p

    def is_frozen(self):
        """Asked by writing, with one writer at most that waits: for longer than any disk takes."""
        self.writers = [p for p in self.writers if p.poll() is None]
        p = self.writers[-1] if self.writers else self.writer()
        waits = 0
        while waits < 5:
            if p.poll() is not None:
                return False
            waits = waits + 1 if state_of(p.pid) == "D" else 0
            time.sleep(0.004)
        return True

    def close(self):
        # Freezing is not counted here: nobody else knows of this disk.
        with contextlib.suppress(OSError):
            self.ioctl(FITHAW)
        for p in self.writers:
            p.wait(harness.PATIENCE)
        # Busy it may be with a worker, until its faultd is closed.
        run("umount", "--lazy", self.point, check=False)
        super().close()


class IoCgroup:
    """A cgroup whose I/O can be limited. v1 and v2."""

    v2 = not pathlib.Path("/sys/fs/cgroup/blkio").is_dir()

    def __init__(self):
        self.root = pathlib.Path("/sys/fs/cgroup" if self.v2 else "/sys/fs/cgroup/blkio")
        self.path = f"/fdt{os.getpid()}x{next(_numbers)}"
        self.directory = self.root / self.path[1:]
        self.directory.mkdir()

    @staticmethod
    def why_not():
        """Why this host has none; empty: it has."""
        if pathlib.Path("/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device").exists():
            return ""
        control = pathlib.Path("/sys/fs/cgroup/cgroup.subtree_control")
        if control.exists() and "io" in control.read_text().split():
            return ""
        return "no io controller, or it is not enabled below the root"

    _V1 = {"rbps": "read_bps", "wbps": "write_bps", "riops": "read_iops", "wiops": "write_iops"}

    def _file(self, word):
        return self.directory / ("io.max" if self.v2 else f"blkio.throttle.{self._V1[word]}_device")

    def set(self, numbers, word, value):
        """0: no limit."""
        self._file(word).write_text(f"{numbers} {word}={value or 'max'}" if self.v2 else f"{numbers} {value}")

    def limit(self, numbers, word):
        """0: none."""
        for line in self._file(word).read_text().splitlines():
            key, _, rest = line.partition(" ")
            if key != numbers:
                continue
            if self.v2:
                rest = dict(w.split("=") for w in rest.split())[word]
            return 0 if rest == "max" else int(rest)
        return 0

    def limits(self, numbers):
        return {word: self.limit(numbers, word) for word in self._V1}

    def run(self, *argv, **kwargs):
        """A process in it."""
        procs = str(self.directory / "cgroup.procs")

        def enter():
            with open(procs, "w") as f:
                f.write("0")

        return subprocess.Popen([str(a) for a in argv], preexec_fn=enter, **kwargs)

    def close(self):
        wait_for(lambda: not (self.directory / "cgroup.procs").read_text(), "the cgroup is empty")
        self.directory.rmdir()
