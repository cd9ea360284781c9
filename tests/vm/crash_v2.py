# SPDX-License-Identifier: Apache-2.0
"""The crash matrix on cgroup v2 and Linux 6.1: a few points of each kind, from the first to the last of a life.

Emulated, a life takes seconds, so the ways to die take turns. FAULTD_VM_POINTS says how many points of a kind."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "crash"))

import crash_lives  # noqa: E402
from crash_lives import DEATHS, Life, dump  # noqa: E402
from lib.harness import assert_put_back  # noqa: E402

POINTS = int(os.environ.get("FAULTD_VM_POINTS", "6"))


class InCgroup(crash_lives.Target):
    """Something in a cgroup of its own, inside one that is delegated."""

    parent = None  # set by the fixture

    def __init__(self, directory):
        super().__init__(directory)
        self.c = self.parent.child(f"crash{next(crash_lives._numbers)}")
        self.victim = self.member().run()
        self.before = self.state()

    def member(self):
        return self.c

    def state(self):
        return {"below": self.c.children(), "freeze": self.c.read("cgroup.freeze"), "cpu": self.c.read("cpu.max"),
                "processes": len(self.c.pids()), "io": self.c.read("io.max")}

    def off(self):
        now = self.state()
        return [f"{k} is {now[k]}, not {v}" for k, v in self.before.items() if now[k] != v]

    def pids(self):
        return [self.victim.pid]

    def close(self):
        self.c.close()


class Freeze(InCgroup):
    steps = 1

    def off(self):
        return super().off() + [f"{p} is paused" for p in self.pids() if crash_lives.is_stopped(p)]

    def body(self):
        return {"action": "process-pause", "parameters": {"cgroup": self.c.name}}


class Load(InCgroup):
    hold, steps = "child", 1

    def body(self):
        return {"action": "cpu-stress", "parameters": {"cgroup": self.c.name, "percent": 5, "cpus": "1"}}


class LoadInLeaf(InCgroup):
    steps = 2

    def member(self):
        app = self.c.child("app")
        self.c.write("cgroup.subtree_control", "+cpu")
        return app

    def body(self):
        return {"action": "cpu-stress", "parameters": {"cgroup": self.c.name, "percent": 5, "cpus": "1"}}


class Throttle(InCgroup):
    steps = 1

    def __init__(self, directory):
        super().__init__(directory)
        n = os.stat("/dev/vdb").st_rdev
        self.c.write("io.max", f"{os.major(n)}:{os.minor(n)} wbps=500000000")
        self.before = self.state()

    def body(self):
        return {"action": "disk-throttle", "parameters": {"cgroup": self.c.name, "device": "/dev/vdb", "writeBytes": "1MiB"}}


class Memory(InCgroup):
    hold, steps = "child", 1

    def body(self):
        return {"action": "memory-stress", "parameters": {"cgroup": self.c.name, "bytes": "8MiB"}}


KINDS = {"throttle-v2": Throttle, "memory-v2": Memory, "freeze-v2": Freeze, "load-v2": Load, "load-leaf-v2": LoadInLeaf,
         **{k: crash_lives.KINDS[k] for k in ("pause", "loss-clsact", "loss-clsact-foreign", "netem")}}


@pytest.fixture
def target(request, delegated, tmp_path, alone):
    InCgroup.parent = delegated
    t = KINDS[request.param](tmp_path / "target")
    yield t
    t.close()


def has(target, directory):
    """Does this build have such a fault?"""
    target.renew()
    d = crash_lives.harness.Faultd(directory, config=target.config)
    try:
        status, answer = target.start(d, dryRun=True)
    finally:
        d.close()
    return "" if status == 200 else answer["message"]


@pytest.mark.parametrize("target,kind", [(k, k) for k in KINDS], indirect=["target"], ids=list(KINDS))
def test_crash(target, kind, tmp_path):
    why = has(target, tmp_path / "asked")
    if why:
        pytest.skip(why)
    before = dump([target])
    # At least so many points: the journal made, its header and its end, and eight for each step.
    stride = max(1, (4 + 8 * target.steps) // POINTS)
    lives = 0
    n = 1
    while True:
        life = Life(target, tmp_path / "life", n)
        try:
            if life.run_to_halt() is None:
                break
            DEATHS[lives % len(DEATHS)](life, kind)
        finally:
            life.end()
        assert_put_back(before, lambda: dump([target]))
        lives += 1
        n += stride
    assert lives >= min(POINTS, 4), lives
