# SPDX-License-Identifier: Apache-2.0
"""Tests side by side: a pytest-xdist worker has namespaces of its own, and counts as its own what it holds.

Its network and mount namespace have their own interfaces, /run/netns, /sys/class/net and BPF file system. Processes
and BPF objects are the kernel's: of those, its own are what descends from it, and what that or its networks hold. What
a worker cannot see as its own any more is found by the comparison of the whole machine, when all workers are done."""

import contextlib
import ctypes
import json
import os
import pathlib
import subprocess
import tempfile

CLONE_NEWNS = 0x20000
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_inside = False


def inside():
    """Is this process a worker beside others?"""
    return _inside


def enter():
    """To be called from the main thread, before it has made anything."""
    global _inside
    if _libc.unshare(CLONE_NEWNS | CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    _tool("mount", "--make-rprivate", "/")
    _own_sys()
    pathlib.Path("/run/netns").mkdir(exist_ok=True)
    _tool("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
    _tool("ip", "link", "set", "lo", "up")
    _inside = True


def _tool(*argv):
    subprocess.run(argv, check=True)


def _own_sys():
    """sysfs shows the network namespace that mounted it; what was mounted below it is mounted there again."""
    mounts = [line.split()[1] for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    below = [m for m in dict.fromkeys(mounts) if m.startswith("/sys/")]
    top = [m for m in below if not any(m.startswith(other + "/") for other in below)]
    with tempfile.TemporaryDirectory() as old:
        _tool("mount", "--rbind", "/sys", old)
        _tool("umount", "-l", "/sys")
        _tool("mount", "-t", "sysfs", "sysfs", "/sys")
        for m in top:
            _tool("mount", "--rbind", old + m[len("/sys"):], m)
        _tool("umount", "-l", old)
    _tool("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")


# Processes

def _parent(pid):
    with contextlib.suppress(OSError):
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def is_ours(pid):
    """Does it descend from this process? Orphans do: it is their subreaper."""
    for _ in range(3):  # a parent that ends meanwhile hands its children on
        ancestor = pid
        while ancestor > 1 and ancestor != os.getpid():
            ancestor = _parent(ancestor)
        if ancestor:
            return ancestor == os.getpid()
    return False


def _own_processes():
    """This process and all that descend from it."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    parents = {pid: _parent(pid) for pid in pids}
    own = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= more
    return own


# BPF objects

_KINDS = {"prog_id": "prog", "map_id": "map", "link_id": "link"}


def _descriptors(pid):
    """(number, what it is) of each."""
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                yield fd, os.readlink(f"/proc/{pid}/fd/{fd}")


def _ids(pid, fd):
    """(kind, id) of the BPF object behind a descriptor, and for a link of its program."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/fdinfo/{fd}").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in _KINDS:
                yield _KINDS[name], int(value)


def _inode(path):
    with contextlib.suppress(OSError):
        return os.stat(path).st_ino


def _in_network(path):
    """Programs that a network namespace holds by itself: filters of tc, XDP."""
    done = subprocess.run(["nsenter", f"--net={path}", "bpftool", "-j", "net", "show"], capture_output=True, text=True)
    if done.returncode != 0:
        return  # it is gone meanwhile
    for group in json.loads(done.stdout or "[]"):
        for attached in group.values():
            yield from (("prog", a["id"]) for a in attached if "id" in a)


def held():
    """{(kind, id)} of the programs, maps and links that our processes and networks hold."""
    found, networks = set(), {}
    for pid in _own_processes():
        networks.setdefault(_inode(f"/proc/{pid}/ns/net"), f"/proc/{pid}/ns/net")
        for fd, what in _descriptors(pid):
            if what.startswith("anon_inode:bpf"):
                found.update(_ids(pid, fd))
            elif what.startswith("net:["):
                networks.setdefault(_inode(f"/proc/{pid}/fd/{fd}"), f"/proc/{pid}/fd/{fd}")
    for path in pathlib.Path("/run/netns").iterdir():
        networks.setdefault(_inode(path), str(path))
    for inode, path in networks.items():
        if inode:
            found.update(_in_network(path))
    return found


def own_objects(objects):
    """Of the kernel's BPF objects, as bpftool lists them, those that are ours; and what is pinned."""
    ours = held()
    for prog in objects["prog"]:
        if ("prog", prog["id"]) in ours:
            ours.update(("map", i) for i in prog.get("map_ids", ()))
    kept = {kind: [o for o in listed if (kind, o["id"]) in ours] for kind, listed in objects.items()}
    pinned = [p for p in pathlib.Path("/sys/fs/bpf").rglob("*") if p.is_file() and not p.is_symlink()]
    return kept, sorted((str(p),) for p in pinned)
