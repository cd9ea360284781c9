# SPDX-License-Identifier: Apache-2.0
"""The crash matrix for what only this machine may lose: its units and its clock. A private faultd with crash points.

Emulated, a life takes seconds, so the ways to die take turns. FAULTD_VM_POINTS says how many points of a kind."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "crash"))

from crash_lives import DEATHS, Life, Target, has_crash_points  # noqa: E402
from lib.harness import state_of, wait_for  # noqa: E402
from machine import prop, systemctl  # noqa: E402
from test_clock import Clock  # noqa: E402

POINTS = int(os.environ.get("FAULTD_VM_POINTS", "6"))
UNITS = pathlib.Path("/run/systemd/system")


class Services(Target):
    """One, and another that requires it: both are down, and both come back."""

    steps = 2
    names = "fvt-crash-a.service", "fvt-crash-b.service"

    def __init__(self, directory):
        super().__init__(directory)
        for i, name in enumerate(self.names):
            head = f"[Unit]\nRequires={self.names[0]}\nAfter={self.names[0]}\n" if i else ""
            (UNITS / name).write_text(f"{head}[Service]\nExecStart=/bin/sleep 100000\n")
        systemctl("daemon-reload")
        self.renew()

    def renew(self):
        systemctl("start", *self.names)

    def body(self):
        return {"action": "service-stop", "parameters": {"unit": self.names[0]}}

    def off(self):
        return [f"{n} is {s}" for n in self.names if (s := prop(n, "ActiveState")) != "active"]

    def close(self):
        systemctl("stop", *self.names)
        for name in self.names:
            (UNITS / name).unlink()
        systemctl("daemon-reload")


class Skew(Services):
    """The clock, with a service that would set it."""

    names = ("ntpsec.service",)

    def __init__(self, directory):
        super().__init__(directory)
        self.clock = Clock()

    def body(self):
        return {"action": "clock-skew", "parameters": {"offset": "-1h"}}

    def off(self):
        return super().off() + ([] if self.clock.is_back() else [f"the clock is {self.clock.off()} s off"])


class Drift(Skew):
    def body(self):
        return {"action": "clock-skew", "parameters": {"offset": "1h", "from": "10m", "over": "1s", "steps": 4}}

    def during(self, d, fault):
        wait_for(lambda: self.clock.off() > 3500 or state_of(self.faultd_pid) in (None, "T", "Z"), "the end of the drift")


KINDS = {"services": Services, "skew": Skew, "drift": Drift}


@pytest.mark.skipif(not has_crash_points(), reason="a build without crash points")
@pytest.mark.parametrize("kind", KINDS)
def test_crash(kind, tmp_path, alone):
    target = KINDS[kind](tmp_path / "target")
    # At least so many points: the journal made, its header and its end, and eight for each step.
    stride = max(1, (4 + 8 * target.steps) // POINTS)
    lives = 0
    try:
        while True:
            life = Life(target, tmp_path / "life", 1 + lives * stride)
            try:
                if life.run_to_halt() is None:
                    break
                DEATHS[lives % len(DEATHS)](life, kind)
            finally:
                life.end()
            assert target.off() == []
            lives += 1
    finally:
        target.close()
    assert lives >= min(POINTS, 4), lives
