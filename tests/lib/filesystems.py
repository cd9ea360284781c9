# SPDX-License-Identifier: Apache-2.0
"""File systems of a test's own, and what the kernel says of their space."""

import contextlib
import os
import pathlib

from lib.harness import run, wait_for

MIB = 1 << 20


class Disk:
    """A small file system: ext4, or ext2 (which has no fallocate), in an image behind a loop device; or a tmpfs."""

    def __init__(self, directory, kind="ext4", mib=128, options=()):
        self.kind = kind
        self.path = pathlib.Path(directory)
        self.path.mkdir(parents=True, exist_ok=True)
        self.image = self.path.with_name(self.path.name + ".img")
        self.loop = None
        if kind == "tmpfs":
            run("mount", "-t", "tmpfs", "-o", ",".join((f"size={mib}m", *options)), "tmpfs", self.path)
        else:
            with open(self.image, "wb") as f:
                f.truncate(mib * MIB)
            # Without work left to do for the kernel later, that would show in its counters.
            run(f"mkfs.{kind}", "-q", "-F", "-b", 4096, "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
            self.loop = run("losetup", "-f", "--show", self.image).strip()
            try:
                run("mount", *(("-o", ",".join(options)) if options else ()), self.loop, self.path)
            except BaseException:
                run("losetup", "-d", self.loop)
                raise
        self.names = sorted(os.listdir(self.path))
        self.at_first = self.space()

    def space(self):
        """What fills count in: free blocks with and without root's reserve, free inodes."""
        v = os.statvfs(self.path)
        return v.f_blocks, v.f_bfree, v.f_bavail, v.f_ffree

    @property
    def block(self):
        return os.statvfs(self.path).f_frsize

    @property
    def available(self):
        v = os.statvfs(self.path)
        return v.f_bavail * v.f_frsize

    @property
    def used(self):
        v = os.statvfs(self.path)
        return (v.f_blocks - v.f_bfree) * v.f_frsize

    @property
    def percent(self):
        """As df(1) counts, not rounded."""
        used, available = self.used, self.available
        return 100 * used / (used + available)

    def io(self):
        """(reads, sectors read, writes, sectors written, flushes) of the loop device: Documentation/block/stat.rst."""
        f = list(map(int, pathlib.Path(f"/sys/block/{pathlib.Path(self.loop).name}/stat").read_text().split()))
        return f[0], f[2], f[4], f[6], f[15]

    def open_files(self):
        """The pids of all processes with files on it, once for each file."""
        device, found = os.stat(self.path).st_dev, []
        for process in pathlib.Path("/proc").iterdir():
            if process.name.isdigit():
                with contextlib.suppress(OSError):
                    for fd in (process / "fd").iterdir():
                        with contextlib.suppress(OSError):
                            if os.stat(fd).st_dev == device:
                                found.append(int(process.name))
        return sorted(found)

    def assert_as_at_first(self):
        assert sorted(os.listdir(self.path)) == self.names
        wait_for(lambda: self.space() == self.at_first, f"{self.at_first}, not {self.space()}")

    def close(self):
        wait_for(lambda: not self.open_files(), "nobody has a file on it")
        run("umount", self.path)
        if self.loop:
            run("losetup", "-d", self.loop)
            self.image.unlink()
