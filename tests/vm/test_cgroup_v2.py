# SPDX-License-Identifier: Apache-2.0
"""What only cgroup v2 has, with the installed faultd: so its unit's sandbox is part of what is tested.

An action or a parameter that this build lacks is skipped. The machine is emulated and has two CPUs: rates are only
told from each other when they are far apart."""

from lib.harness import alive, wait_for


def pids_frozen(c):
    return "frozen 1" in c.read("cgroup.events")


def test_harness(installed, cgroup, unit):
    """The helpers themselves: a cgroup with limits, a process in it, a unit, a fault."""
    c = cgroup(**{"memory.max": 64 << 20, "pids.max": 10})
    p = c.run()
    assert c.pids() == [p.pid]
    c.write("cgroup.freeze", 1)
    wait_for(lambda: pids_frozen(c), "frozen")
    c.write("cgroup.freeze", 0)
    name = unit("fvt-sleep")
    fault = installed.start_fault("process-pause", pid=[p.pid])
    installed.stop_fault(fault)
    assert alive(p.pid) and name
