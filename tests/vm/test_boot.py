# SPDX-License-Identifier: Apache-2.0
"""Nothing of a fault survives the boot, however the machine went down."""

import pathlib
import subprocess

import pytest
from lib.harness import state_of, wait_for
from machine import prop, systemctl

UNITS = "faultd.socket", "faultd.service", "faultd-guardian.service"


def with_faults(installed):
    victim = subprocess.Popen(["sleep", "100000"], stdin=subprocess.DEVNULL)
    installed.start_fault("process-pause", pid=[victim.pid], duration="10m")
    installed.start_fault("cpu-stress", percent=10, duration="10m")
    wait_for(lambda: state_of(victim.pid) == "T", "paused")


def after(installed):
    for u in UNITS:
        wait_for(lambda: prop(u, "ActiveState") == "active", f"{u} active", 60)
    assert installed.get("/v1/faults")[1]["faults"] == []
    assert installed.journals() == []


@pytest.mark.reboots
def test_panic(installed, reboot):
    """The kernel stops at once: no unit is stopped, nothing is undone."""
    if not reboot.happened:
        with_faults(installed)
        reboot.expect()
        pathlib.Path("/proc/sysrq-trigger").write_text("c")
        reboot.wait()
    after(installed)


@pytest.mark.reboots
def test_power_off(installed, reboot):
    """As an operator does it."""
    if not reboot.happened:
        with_faults(installed)
        reboot.expect(off=True)
        systemctl("--no-block", "poweroff")
        reboot.wait()
    after(installed)
