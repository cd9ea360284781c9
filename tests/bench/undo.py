#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long until a fault on memory, disks and limits is applied, and until it is undone?

By the fault's own figures (appliedMs, undoneMs), rounds of each against a loop device, a cgroup and a
process of the bench's own. What a memory fault gives back has to be freed by the kernel: its time grows
with its size. Milliseconds. Needs root, mkfs.ext4 and mount; at most 2 GiB of memory and of disk."""

import argparse
import contextlib
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import common

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from lib import harness  # noqa: E402

FREEZER = pathlib.Path("/sys/fs/cgroup/freezer")
BLKIO = pathlib.Path("/sys/fs/cgroup/blkio")


@contextlib.contextmanager
def loop_mount(directory, size):
    image, point = directory / "image", directory / "mount"
    with open(image, "wb") as f:
        f.truncate(size)
    point.mkdir()
    harness.run("mkfs.ext4", "-q", "-F", image)
    harness.run("mount", "-o", "loop", image, point)
    try:
        yield point
    finally:
        harness.run("umount", point)
        image.unlink()


@contextlib.contextmanager
def cgroup(hierarchy, *members):
    """A cgroup of our own on cgroup v1; None where there is no such hierarchy."""
    if not (hierarchy / "cgroup.procs").exists():
        yield None
        return
    where = hierarchy / f"faultd-bench-{os.getpid()}"
    where.mkdir()
    for pid in members:
        (where / "cgroup.procs").write_text(str(pid))
    try:
        yield where.name
    finally:
        for pid in (where / "cgroup.procs").read_text().split():
            (hierarchy / "cgroup.procs").write_text(pid)
        where.rmdir()


def settled(d, fault, wanted):
    """Waits until the fault holds what it is to hold."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        held = {f["name"]: f["value"] for f in d.show(fault)["figures"]}.get("held", 0)
        if held >= wanted:
            return
        time.sleep(0.02)
    raise RuntimeError(f"holds {held} of {wanted} bytes after a minute")


def measure(d, action, rounds, parameters, wanted=0):
    applied, undone = [], []
    for _ in range(rounds):
        fault = d.start_fault(action, "2m", parameters=parameters)
        settled(d, fault, wanted)
        fault = d.stop_fault(fault)
        applied.append(fault["appliedMs"])
        undone.append(fault["undoneMs"])
    return applied, undone


def cases(mount, freezer, blkio, victim, rounds):
    few = max(3, rounds // 10)
    for mib in (64, 512, 2048):
        yield f"memory-stress, {mib} MiB", "memory-stress", few, {"bytes": mib << 20}, (mib << 20) * 0.98
    yield "disk-fill, ext4, 1 GiB", "disk-fill", few, {"path": str(mount), "bytes": 1 << 30}, (1 << 30) * 0.98
    yield "io-stress", "io-stress", few, {"path": str(mount), "bytes": 16 << 20}, 0
    yield "disk-freeze, ext4", "disk-freeze", rounds, {"path": str(mount)}, 0
    if blkio:
        yield "disk-throttle", "disk-throttle", rounds, {"path": str(mount), "cgroup": blkio, "writeBytes": 1 << 20}, 0
    if freezer:
        yield "process-pause by freezer", "process-pause", rounds, {"cgroup": freezer}, 0
    yield "resource-exhaust, a process' files", "resource-exhaust", rounds, {"resource": "files", "pid": victim}, 0


def row(name, applied, undone):
    def two(values):
        return f"{statistics.median(values):.1f} / {max(values):.1f}"
    return f"| {name} | {len(applied)} | {two(applied)} | {two(undone)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=common.default_build(), help="build directory")
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    common.refuse_unless(os.geteuid() == 0, "needs root")
    common.refuse_unless(shutil.which("mkfs.ext4"), "needs mkfs.ext4")

    build = options.build.resolve()
    harness.FAULTD, harness.FAULTCTL = build / "agent" / "faultd", build / "agent" / "ctl" / "faultctl"
    with tempfile.TemporaryDirectory(prefix="faultd-bench.") as directory, contextlib.ExitStack() as stack:
        directory = pathlib.Path(directory)
        victim = subprocess.Popen(["sleep", "1000"])
        stack.callback(victim.wait)
        stack.callback(victim.kill)
        mount = stack.enter_context(loop_mount(directory, 2 << 30))
        freezer = stack.enter_context(cgroup(FREEZER, victim.pid))
        blkio = stack.enter_context(cgroup(BLKIO, victim.pid))
        d = harness.Faultd(directory / "faultd")
        stack.callback(d.close)
        print("| fault | rounds | applied, median / most | undone, median / most |")
        print("|---|---|---|---|")
        for name, action, rounds, parameters, wanted in cases(mount, freezer, blkio, victim.pid, options.rounds):
            print(row(name, *measure(d, action, rounds, parameters, wanted)), flush=True)


if __name__ == "__main__":
    main()
