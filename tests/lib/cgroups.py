# SPDX-License-Identifier: Apache-2.0
"""Control groups of the tests' own, on v1 and v2: made, filled, read back and removed without faultd."""

import contextlib
import itertools
import os
import pathlib
import signal

from lib.harness import wait_for

_numbers = itertools.count()


def hierarchies():
    """{controller: mount} of v1, and {"": mount} of v2, as the kernel lists them."""
    found = {}
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, mount, kind, options = line.split()[:4]
        if kind == "cgroup":
            found.update(dict.fromkeys(options.split(","), mount))
        elif kind == "cgroup2":
            found[""] = mount
    return found


def unique(name="faultd-test"):
    return f"/{name}-{os.getpid()}-{next(_numbers)}"


class Cgroup:
    """One cgroup, in the hierarchies of these controllers (v1), or in that of v2 when it has the controllers."""

    def __init__(self, path, controllers=("cpu", "cpuacct", "freezer")):
        there = hierarchies()
        self.path = path
        self.v2 = not any(c in there for c in controllers)
        mounts = [there[""]] if self.v2 else sorted({there[c] for c in controllers if c in there})
        self.places = {c: pathlib.Path(there["" if self.v2 else c] + path) for c in controllers if self.v2 or c in there}
        self.directories = [pathlib.Path(m + path) for m in mounts]
        for d in self.directories:
            if self.v2:
                wanted = [c for c in ("cpu", "cpuset", "memory", "io", "pids") if c in controllers]
                (d.parent / "cgroup.subtree_control").write_text(" ".join("+" + c for c in wanted))
            d.mkdir()

    def read(self, controller, file):
        return (self.places[controller] / file).read_text().strip()

    def write(self, controller, file, value):
        (self.places[controller] / file).write_text(str(value))

    def add(self, *pids):
        for d in self.directories:
            for pid in pids:
                (d / "cgroup.procs").write_text(str(pid))

    def pids(self):
        """In every hierarchy the same: what is in one only would be half inside."""
        lists = [sorted(map(int, (d / "cgroup.procs").read_text().split())) for d in self.directories]
        assert all(one == lists[0] for one in lists), lists
        return lists[0]

    def set_quota(self, cpus):
        if self.v2:
            self.write("cpu", "cpu.max", f"{int(cpus * 100000)} 100000")
        else:
            self.write("cpu", "cpu.cfs_period_us", 100000)
            self.write("cpu", "cpu.cfs_quota_us", int(cpus * 100000))

    def cpu_seconds(self):
        if self.v2:
            return int(self.read("cpu", "cpu.stat").split()[1]) / 1e6
        return int(self.read("cpuacct", "cpuacct.usage")) / 1e9

    def frozen(self):
        if self.v2:
            return "frozen 1" in self.read("freezer", "cgroup.events")
        return self.read("freezer", "freezer.state") == "FROZEN"

    def freeze(self, on):
        if self.v2:
            self.write("freezer", "cgroup.freeze", int(on))
        else:
            self.write("freezer", "freezer.state", "FROZEN" if on else "THAWED")
        wait_for(lambda: self.frozen() == on, f"{self.path} {'frozen' if on else 'thawed'}")

    def close(self):
        if "freezer" in self.places and self.places["freezer"].exists():
            self.freeze(False)
        for d in self.directories:
            with contextlib.suppress(FileNotFoundError):
                for pid in map(int, (d / "cgroup.procs").read_text().split()):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                wait_for(lambda: not (d / "cgroup.procs").read_text().split(), f"{d} empty")
                wait_for(lambda: _removed(d), f"{d} removed")


def _removed(directory):
    """A cgroup is busy for a moment after its last process has ended."""
    try:
        directory.rmdir()
    except OSError:
        return not directory.exists()
    return True
