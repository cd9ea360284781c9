# SPDX-License-Identifier: Apache-2.0
"""The table of times at the end, and whether this build and host can crash at all."""

import os
import shutil

import crash_lives
import pytest


def pytest_terminal_summary(terminalreporter):
    lines = crash_lives.summary()
    if lines:
        terminalreporter.section("back after a crash")
        for line in lines:
            terminalreporter.write_line(line)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["crash_times"] = crash_lives.times_as_list()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    crash_lives.take_over(getattr(node, "workeroutput", {}).get("crash_times", []))


def _cannot(why):
    if os.environ.get("FAULTD_MUST_CRASH") == "1":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session", autouse=True)
def able():
    """These tests stop, kill and re-plumb things of their own making: as root, with the usual tools."""
    if os.geteuid() != 0:
        _cannot("needs root")
    for tool in "ip", "tc", "bpftool":
        if not shutil.which(tool):
            _cannot(f"needs {tool}")
    if not crash_lives.FAULTD.exists():
        _cannot("no faultd in FAULTD_BUILD_DIR")


@pytest.fixture(scope="session")
def crash_points(able):
    if not crash_lives.has_crash_points():
        _cannot("faultd was built without -Dcrash_points=true")


@pytest.fixture
def targets(tmp_path, alone):
    """Makes targets, and takes them away again at the end."""
    made = []

    def make(kind):
        made.append(crash_lives.KINDS[kind](tmp_path / f"target{len(made)}"))
        return made[-1]

    yield make
    for t in made:
        t.close()
