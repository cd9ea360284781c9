# SPDX-License-Identifier: Apache-2.0
"""Tests for the machine that run.sh boots. There the installed faultd may be aimed at the host itself: its clock, its
units, its cgroups. Elsewhere all of them are skipped.

A test that ends the boot carries the mark `reboots` and is run twice, once in each boot:

    @pytest.mark.reboots
    def test_reboot(installed, reboot):
        if not reboot.happened:
            reboot.expect(uptime=…)      # whatever JSON can hold, for the other half
            installed.fault("host-reboot", None, confirm=True)
            reboot.wait()
        assert reboot.memory["uptime"] …

`reboot.expect(off=True, …)` before switching the machine off: run.sh starts it again.
"""

import pathlib
import subprocess

import pytest
from lib import harness
from machine import Cgroup, Installed, Reboot, prop, systemctl

IN_THE_MACHINE = "faultd.start=" in pathlib.Path("/proc/cmdline").read_text()


def pytest_configure(config):
    config.addinivalue_line("markers", "reboots: ends the boot; run once before, once after")


def pytest_collection_modifyitems(items):
    for item in items:
        if not IN_THE_MACHINE and pathlib.Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="only in the machine that tests/vm/run.sh boots"))


@pytest.fixture
def installed(tmp_path, alone):
    d = Installed(tmp_path / "installed")
    d.start()
    yield d
    d.close()


@pytest.fixture
def reboot(request):
    return Reboot(request.node.nodeid)


@pytest.fixture
def unit():
    """Makes units that run a command (`sleep` if none), named fvt-*.service; `scope=True` a scope. They end with the test."""
    made = []

    def make(name, *argv, properties=(), scope=False):
        options = [o for p in properties for o in ("-p", p)]
        name = f"{name}.scope" if scope else f"{name}.service"
        argv = argv or ("sleep", "100000")
        if scope:
            made.append((name, subprocess.Popen(["systemd-run", "-q", "--scope", f"--unit={name}", *options, *argv],
                                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)))
        else:
            made.append((name, None))
            harness.run("systemd-run", "-q", f"--unit={name}", *options, *argv)
        harness.wait_for(lambda: prop(name, "ActiveState") == "active", f"{name} active", 60)
        return name

    yield make
    for name, process in made:
        systemctl("kill", "--signal=KILL", name, check=False)
        systemctl("stop", name, check=False)
        systemctl("reset-failed", name, check=False)
        if process:
            process.wait()


@pytest.fixture(scope="session")
def delegated():
    """A unit whose cgroup systemd leaves to us, with all controllers for what is below it."""
    name = "fvt-delegated.service"
    harness.run("systemd-run", "-q", f"--unit={name}", "-p", "Delegate=yes", "-p", "TasksMax=infinity", "sleep", "infinity")
    harness.wait_for(lambda: prop(name, "ActiveState") == "active", f"{name} active", 60)
    c = Cgroup(prop(name, "ControlGroup"))
    keeper = c.child("keeper")
    for pid in c.pids():
        keeper.write("cgroup.procs", pid)
    c.write("cgroup.subtree_control", " ".join(f"+{x}" for x in c.read("cgroup.controllers").split()))
    yield c
    systemctl("stop", name)


@pytest.fixture
def cgroup(delegated):
    """Makes cgroups: cgroup("name", **{"memory.max": …})."""
    made = []

    def make(name="fvt", **files):
        c = delegated.child(f"{name}{len(made)}")
        made.append(c)
        for file, value in files.items():
            c.write(file, value)
        return c

    yield make
    for c in reversed(made):
        c.close()
