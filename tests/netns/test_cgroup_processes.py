# SPDX-License-Identifier: Apache-2.0
"""process-kill and process-pause in cgroups of the test's own: who is in them, and nobody else."""

import contextlib
import os
import pathlib
import subprocess

import pytest

from lib import harness
from lib.harness import HostState, alive, assert_put_back, state_of, wait_for

NAME = f"fdg{os.getpid()}"
ROOTS = ("/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory", "/sys/fs/cgroup")


def cgroup_root():
    """Of a hierarchy in which cgroups can be made and entered."""
    for root in map(pathlib.Path, ROOTS):
        probe = root / f"faultd-test-{os.getpid()}-probe"
        with contextlib.suppress(OSError):
            probe.mkdir()
            usable = (probe / "cgroup.procs").exists()
            probe.rmdir()
            if usable:
                return root
    return None


class Host:
    """`inside` is in the cgroup, `deeper` in one below it, `outside` in neither; all have one name."""

    def __init__(self, root, program):
        self.path = f"/faultd-test-{os.getpid()}"
        self.top = pathlib.Path(f"{root}{self.path}")
        self.below = self.top / "below"
        self.below.mkdir(parents=True)
        self.started = [subprocess.Popen([program, "600"]) for _ in range(3)]
        self.inside, self.deeper, self.outside = (p.pid for p in self.started)
        (self.top / "cgroup.procs").write_text(str(self.inside))
        (self.below / "cgroup.procs").write_text(str(self.deeper))
        wait_for(lambda: all(pathlib.Path(f"/proc/{p.pid}/comm").read_text().strip() == NAME and state_of(p.pid) == "S"
                             for p in self.started), "the victims asleep")

    def states(self):
        return "".join(state_of(p) for p in (self.inside, self.deeper, self.outside))

    def close(self):
        for p in self.started:
            p.kill()
            p.wait()
        for directory in (self.below, self.top):
            wait_for(lambda d=directory: self._removed(d), f"{directory} empty")

    @staticmethod
    def _removed(directory):
        with contextlib.suppress(OSError):
            directory.rmdir()
        return not directory.exists()


@pytest.fixture
def host(root, tmp_path):
    where = cgroup_root()
    if not where:
        pytest.skip("no cgroup can be made here")
    h = Host(where, harness.copy_of_sleep(tmp_path, NAME) or tmp_path / NAME)
    yield h
    h.close()


BY = {"name": {"name": NAME}, "pattern": {"pattern": f"{NAME} 600$"}, "user": {"user": "0"},
      "percent": {"percent": 100}}


@pytest.mark.parametrize("more", BY.values(), ids=BY)
def test_pause_inside_only(faultd, host, more):
    before = HostState(pids=[host.inside, host.deeper, host.outside])
    fault = faultd.start_fault("process-pause", parameters={"cgroup": host.path, **more})
    wait_for(lambda: host.states() == "TTS", "the two inside stopped, the third not")
    faultd.stop_fault(fault)
    assert_put_back(before, lambda: HostState(pids=[host.inside, host.deeper, host.outside]))


def test_kill_one_of_them(faultd, host):
    faultd.start_fault("process-kill", None, confirm=True, parameters={
        "cgroup": host.path, "name": NAME, "order": "newest", "count": 1, "signal": "SIGKILL"})
    wait_for(lambda: [alive(p) for p in (host.inside, host.deeper)].count(False) == 1, "one of them gone")
    assert alive(host.outside)


def test_pid_that_is_elsewhere(faultd, host):
    status, answer = faultd.fault("process-pause", parameters={"cgroup": host.path, "pid": [host.outside]})
    assert status == 400, answer
    assert "no process matches" in answer["message"]
    fault = faultd.start_fault("process-pause", parameters={"cgroup": host.path, "pid": [host.deeper]})
    wait_for(lambda: host.states() == "STS", "the one that is named and inside stopped")
    faultd.stop_fault(fault)
