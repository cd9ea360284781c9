# SPDX-License-Identifier: Apache-2.0
"""Fixtures for all test folders. FAULTD_BUILD_DIR names the build that is tested."""

import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lib import harness  # noqa: E402
from lib.filesystems import Disk  # noqa: E402


def pytest_configure(config):
    harness.become_subreaper()
    # A shell's background job ignores SIGINT, nohup SIGHUP, and what is started from there ignores them too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items):
    """What is tested with either hook is tested with the one that the kernel has."""
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 6):
        return
    for item in items:
        if hasattr(item, "callspec") and item.callspec.params.get("hook") == "tcx":
            item.add_marker(pytest.mark.skip(reason="this kernel has no TCX"))


@pytest.fixture(autouse=True)
def alone():
    """One test at a time on this machine: they compare what the whole kernel holds, before and after."""
    with open(pathlib.Path(tempfile.gettempdir()) / "faultd-tests.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def faultd(tmp_path, alone):
    """A running private faultd; stopped, and checked for strays, at the end."""
    d = harness.Faultd(tmp_path / "faultd")
    yield d
    d.close()


@pytest.fixture
def network():
    n = harness.Network()
    yield n
    n.close()


@pytest.fixture
def disks(tmp_path, alone):
    """Makes file systems of the test's own; unmounted at the end."""
    made = []

    def make(kind="ext4", name="disk", **options):
        made.append(Disk(tmp_path / name, kind, **options))
        return made[-1]

    yield make
    for disk in reversed(made):
        disk.close()


@pytest.fixture
def victim():
    """A process to be stopped or killed: sleeps, named by its own copy of `sleep`."""
    p = subprocess.Popen(["sleep", "600"])
    yield p
    p.kill()
    p.wait()


@pytest.fixture(scope="session")
def root():
    if os.geteuid() != 0:
        pytest.skip("needs root")
