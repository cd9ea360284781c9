# SPDX-License-Identifier: Apache-2.0
"""Fixtures for all test folders. FAULTD_BUILD_DIR names the build that is tested."""

import ctypes
import os
import pathlib
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lib import harness, machine, shards, turns  # noqa: E402
from lib.filesystems import Disk  # noqa: E402


def pytest_configure(config):
    harness.become_subreaper()
    # A shell's background job ignores SIGINT, nohup SIGHUP, and what is started from there ignores them too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    config.addinivalue_line("markers", "alone: needs the machine for itself: its CPUs, memory, clock or all it holds")
    if hasattr(config, "workerinput"):
        shards.enter()
        # A socket's path has 107 bytes: of .../popen-gw0 nothing but the digit stays.
        base = pathlib.Path(config.option.basetemp)
        config.option.basetemp = str(base.with_name(base.name.removeprefix("popen-gw")))
    elif config.getoption("numprocesses", None):
        config.pluginmanager.register(machine.Comparison(), "machine")


def pytest_collection_modifyitems(items):
    """What is tested with either hook is tested with the one that the kernel has."""
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 6):
        return
    for item in items:
        if hasattr(item, "callspec") and item.callspec.params.get("hook") == "tcx":
            item.add_marker(pytest.mark.skip(reason="this kernel has no TCX"))


@pytest.fixture(autouse=True)
def alone(request):
    """One test at a time on this machine, for they compare what the whole kernel holds, before and after; but workers
    of pytest-xdist, each in a world of its own, run those side by side that do not need the machine for themselves."""
    shared = shards.inside() and not request.node.get_closest_marker("alone")
    with turns.taken(shared):
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


@pytest.fixture
def dead(tmp_path):
    """A file system whose server does not answer: FUSE, nobody reads its requests."""
    libc = ctypes.CDLL(None, use_errno=True)
    path = tmp_path / "dead"
    path.mkdir()
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
    assert libc.mount(b"dead", bytes(path), b"fuse", 0, options) == 0, os.strerror(ctypes.get_errno())
    yield path
    os.close(fd)  # whoever still waits is answered by that
    assert libc.umount2(bytes(path), 2) == 0
