# SPDX-License-Identifier: Apache-2.0
"""The whole machine before and after tests that ran side by side: what a worker lost sight of is found here."""

import pathlib

import pytest

from lib import harness, turns

LEFT_BEHIND = 9  # the exit status of pytest


class State:
    """All that faults and tests make and that outlives their processes or namespaces. For assert_put_back()."""

    def __init__(self):
        self.parts = {
            **harness.bpf_objects(),
            **{name: harness.processes_named(name) for name in ("faultd", "faultd-guardian", "faultd-load")},
            "interfaces": [p.name for p in pathlib.Path("/sys/class/net").iterdir()],
            "queues": harness.run("tc", "qdisc", "show").splitlines(),
            "namespaces": [p.name for p in pathlib.Path("/run/netns").glob("*")],
            "cgroups": harness.fault_cgroups(),
            "loops": harness.run("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE", check=False).splitlines(),
        }

    def diff(self, now):
        """What is there now and was not: others on this machine may take theirs away meanwhile."""
        more = {k: sorted(set(now.parts[k]) - set(had)) for k, had in self.parts.items()}
        return {k: v for k, v in more.items() if v}

    def __eq__(self, before):
        return not before.diff(self)


class Comparison:
    """A plugin for the process that hands the tests out. Nobody tests while it looks."""

    def __init__(self):
        self.before = self.left = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self):
        with turns.taken():
            self.before = State()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session):
        """Trylast: the workers are gone."""
        with turns.taken():
            try:
                harness.assert_put_back(self.before, State)
            except AssertionError as e:
                self.left, session.exitstatus = str(e), LEFT_BEHIND

    def pytest_terminal_summary(self, terminalreporter):
        if self.left:
            terminalreporter.section("the machine after all tests", red=True)
            terminalreporter.write_line(self.left)
