# SPDX-License-Identifier: Apache-2.0
"""No space from the Nth write on, for every N: the fault is refused or comes to its end, and the host is as it was.

strace makes the writes of the journal fail; a full tmpfs is in test_full_disk.py."""

import itertools

import pytest
from crash_lives import KINDS, dump
from lib.harness import Faultd, assert_put_back, wait_for


def live(target, directory, syscall, n):
    """One life in which that call fails from the nth on. Returns whether it came to that."""
    trace = directory / f"{syscall}-{n}.trace"
    d = Faultd(directory / f"{syscall}-{n}", config=target.config, env={"ASAN_OPTIONS": "detect_leaks=0"}, prefix=[
        "strace", "-D", "-qq", "-o", trace, "-e", f"trace={syscall}", "-e", f"inject={syscall}:error=ENOSPC:when={n}+"])
    target.faultd_pid = d.pid
    try:
        status, fault = target.start(d)
        assert status in (201, 500), fault
        if status == 201:
            d.request("DELETE", f"/v1/faults/{fault['id']}")
            assert d.wait_state(fault, "done", "failed"), d.log()
        else:
            assert "No space left on device" in fault["message"], fault
        wait_for(lambda: not target.off(), f"{target.off()} is put back; log:\n{d.log()}")
        assert not d.journals()
        assert all(f["state"] in ("done", "failed") for f in d.get("/v1/faults")[1]["faults"])
    finally:
        d.close()
    return "INJECTED" in trace.read_text(errors="replace")


@pytest.mark.parametrize("syscall", ["pwrite64", "fallocate"])
@pytest.mark.parametrize("kind", [k for k in KINDS if KINDS[k].hold != "none"])
def test_no_space_from_the_nth_write_on(kind, syscall, targets, tmp_path):
    target = targets(kind)
    target.renew()
    before = dump([target])
    reached = 0
    for n in itertools.count(1):
        target.renew()
        if not live(target, tmp_path, syscall, n):
            break
        reached = n
        assert n < 200, "it never ends"
    # At the least the header, and one step's plan, begin, did and undone.
    assert reached >= (1 if syscall == "fallocate" else 5)
    assert_put_back(before, lambda: dump([target]))
