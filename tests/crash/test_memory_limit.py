# SPDX-License-Identifier: Apache-2.0
"""faultd at its memory limit: whatever fails, or whoever is killed for it, the host is put back."""

import contextlib
import os
import pathlib

import pytest
from crash_lives import KINDS, dump
from lib.harness import Faultd, assert_put_back, wait_for

V1 = pathlib.Path("/sys/fs/cgroup/memory")
V2 = pathlib.Path("/sys/fs/cgroup")


@pytest.fixture
def cgroup(alone):
    """A memory cgroup of our own, v1 or v2: (its directory, its limit's file, its usage's file)."""
    if (V1 / "memory.limit_in_bytes").exists():
        where, limit, usage = V1 / f"faultd-test-{os.getpid()}", "memory.limit_in_bytes", "memory.usage_in_bytes"
    elif "memory" in (V2 / "cgroup.controllers").read_text().split():
        with contextlib.suppress(OSError):
            (V2 / "cgroup.subtree_control").write_text("+memory")
        where, limit, usage = V2 / f"faultd-test-{os.getpid()}", "memory.max", "memory.current"
    else:
        pytest.skip("no memory controller")
    where.mkdir()
    yield where, where / limit, where / usage
    for pid in (where / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), 9)
    wait_for(lambda: not (where / "cgroup.procs").read_text(), "the cgroup is empty")
    where.rmdir()


def times_at_the_limit(where):
    """How often the kernel had to reclaim, or worse: nobody need be killed for it."""
    if (where / "memory.failcnt").exists():
        return int((where / "memory.failcnt").read_text())
    return int(dict(line.split() for line in (where / "memory.events").read_text().splitlines())["max"])


@pytest.mark.parametrize("kind", [k for k in KINDS if KINDS[k].hold != "none"])
def test_at_the_limit(kind, cgroup, targets, tmp_path):
    """faultd alone is in the cgroup, with less and less room: faults start, or not, and it may be killed for them."""
    where, limit, usage = cgroup
    target = targets(kind)
    target.renew()
    before = dump([target])
    killed = 0
    for room in (1 << 20, 256 << 10, 64 << 10, 16 << 10, 0):
        target.renew()
        d = Faultd(tmp_path / f"room{room}", config=target.config)
        target.faultd_pid = d.pid
        (where / "cgroup.procs").write_text(str(d.pid))
        with contextlib.suppress(OSError):  # below what is used already, and cannot be reclaimed
            limit.write_text(str(int(usage.read_text()) + room))
        try:
            with contextlib.suppress(OSError, ValueError):
                status, fault = target.start(d)
                if status == 201:
                    d.request("DELETE", f"/v1/faults/{fault['id']}")
            if d.process.poll() is None:
                limit.write_text(str(1 << 40))
                with contextlib.suppress(OSError):
                    d.request("DELETE", "/v1/faults")
            else:
                killed += 1
            wait_for(lambda: not target.off() and not d.journals(), f"put back with {room} bytes of room: {target.off()}")
        finally:
            with contextlib.suppress(OSError):
                limit.write_text(str(1 << 40))
            d.close()
    assert_put_back(before, lambda: dump([target]))
    assert killed or times_at_the_limit(where), "there was always room enough: nothing was tried"
