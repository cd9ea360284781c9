# SPDX-License-Identifier: Apache-2.0
"""The crash matrix: every kind of fault, cut off at every crash point of its life, and the host comes back.

A crash point lies between any two journal lines and around any change. At each, faultd is killed,
or left hanging for the guardian to fence, or killed together with the guardian."""

import concurrent.futures
import itertools
import os
import signal
import time

import crash_lives
import pytest
from crash_lives import AT_ONCE, HUNG, KILLED, KINDS, TOLERANCE, Life, count_points, dump, guardian_all, record, shows, spread
from lib import shards
from lib.harness import assert_put_back, wait_for

pytestmark = pytest.mark.usefixtures("crash_points")

WIDTH = 5 if shards.inside() else 12  # lives that hang side by side: each mostly waits


@pytest.mark.parametrize("kind", KINDS)
def test_faultd_killed(kind, targets, tmp_path):
    """SIGKILL at every point: the guardian puts all back at once."""
    target = targets(kind)
    target.renew()
    before = dump([target])
    for n in itertools.count(1):
        life = Life(target, tmp_path / "life", n)
        try:
            if life.run_to_halt() is None:
                break
            since = time.monotonic()
            os.kill(life.d.pid, signal.SIGKILL)
            life.wait_back(since, KILLED, "faultd SIGKILLed", kind)
        finally:
            life.end()
        assert_put_back(before, lambda: dump([target]))
    assert_put_back(before, lambda: dump([target]))
    assert n - 1 == count_points(kind, tmp_path)


def _hang(kind, target, directory, n):
    life = Life(target, directory, n)
    try:
        assert life.run_to_halt(), f"no crash point {n}"
        if life.is_armed:
            wait_for(lambda: life.d.process.poll() is not None, f"fenced at {life.where}", HUNG * TOLERANCE)
            # Not by its own will. (Its status may have been collected beside another life.)
            assert "stopping: " not in life.d.log(), life.d.log()
            life.wait_back(life.at, HUNG, "faultd hung", kind)
            return
        # The guardian knows of no fault, and there is none.
        assert target.off() == []
        since = time.monotonic()
        os.kill(life.d.pid, signal.SIGKILL)
        life.wait_back(since, KILLED, "hung unarmed, SIGKILLed", kind)
    finally:
        life.end()


@pytest.mark.parametrize("kind", KINDS)
def test_faultd_hung(kind, targets, tmp_path):
    """Stopped at a point for good: the guardian fences it, then puts all back."""
    points = spread(count_points(kind, tmp_path), 1000 if KINDS[kind].hold == "journal" else 8)
    slots = [targets(kind) for _ in range(min(WIDTH, len(points)))]
    for t in slots:
        t.renew()
    before = dump(slots)
    with concurrent.futures.ThreadPoolExecutor(len(slots)) as pool:
        for at in range(0, len(points), len(slots)):
            batch = points[at:at + len(slots)]
            done = [pool.submit(_hang, kind, t, tmp_path / f"life{n}", n) for t, n in zip(slots, batch)]
            for d in done:
                d.result()
            assert_put_back(before, lambda: dump(slots))


@pytest.mark.parametrize("kind", KINDS)
def test_both_killed(kind, targets, tmp_path):
    """faultd and the guardian killed at once: what the kernel and children hold ends by itself, the rest with --all."""
    target = targets(kind)
    target.renew()
    before = dump([target])
    for n in spread(count_points(kind, tmp_path), 1000 if KINDS[kind].hold == "journal" else 12):
        life = Life(target, tmp_path / "life", n)
        try:
            assert life.run_to_halt(), f"no crash point {n}"
            since = time.monotonic()
            os.kill(life.guardian, signal.SIGKILL)
            os.kill(life.d.pid, signal.SIGKILL)
            life.d.process.wait()
            if target.hold != "journal":
                wait_for(lambda: target.off() == [], f"it ended by itself at {life.where}")
                record(kind, "both killed, by itself", life.where, time.monotonic() - since)
            since = time.monotonic()
            done = guardian_all(life.d.runtime)
            assert done.returncode == 0, (life.where, done)
            life.wait_back(since, AT_ONCE, "both killed, --all", kind)
            # Nothing is left for a second one.
            assert guardian_all(life.d.runtime).returncode == 0
        finally:
            life.end()
        assert_put_back(before, lambda: dump([target]))


def test_the_matrix_sees_what_is_left(targets, tmp_path):
    """Without a guardian a paused process stays paused: if this did not show, no test here would mean anything."""
    target = targets("pause")
    before = dump([target])
    life = Life(target, tmp_path / "life", 10 ** 6)
    try:
        assert target.start(life.d)[0] == 201
        shows(target)
        os.kill(life.guardian, signal.SIGKILL)
        os.kill(life.d.pid, signal.SIGKILL)
        life.d.process.wait()
        assert target.off() and dump([target]) != before and life.d.journals()
        assert guardian_all(life.d.runtime).returncode == 0
        assert not target.off() and dump([target]) == before and not life.d.journals()
    finally:
        life.thread.start()
        life.end()
