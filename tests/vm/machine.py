# SPDX-License-Identifier: Apache-2.0
"""What tests in the machine deal with: the installed faultd, units, cgroups, the end of a boot."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import time

import pytest
from lib import harness

STORE = pathlib.Path("/var/lib/faultd-test")


class Installed(harness.Faultd):
    """The faultd of the host, as systemd runs it; faults that a test leaves are stopped at its end."""

    def __init__(self, directory):
        super().__init__(directory, start=False)
        self.runtime = pathlib.Path("/run/faultd")
        self.socket = self.runtime / "faultd.sock"
        self.since = time.time()

    @property
    def pid(self):
        return int(harness.run("systemctl", "show", "-P", "MainPID", "faultd.service"))

    def log(self):
        return harness.run("journalctl", "-q", "-b", "--no-pager", "-o", "short-monotonic", "--since", f"@{self.since:.0f}",
                           "-u", "faultd.service", "-u", "faultd-guardian.service")

    def start(self, wait_ready=True):
        harness.run("systemctl", "reset-failed", "faultd.socket", "faultd.service", "faultd-guardian.service", check=False)
        harness.run("systemctl", "start", "faultd.socket", "faultd.service", "faultd-guardian.service")
        harness.wait_for(self.is_ready, "the installed faultd ready", 60)

    def stop(self):
        harness.run("systemctl", "stop", "faultd.service")
        return 0

    def kill(self):
        """SIGKILL; the guardian undoes, systemd starts a new one."""
        pid = self.pid
        os.kill(pid, 9)
        harness.wait_for(lambda: self.pid not in (0, pid), "systemd restarted it", 60)
        harness.wait_for(self.is_ready, "the new faultd ready", 60)

    def close(self):
        self.start()
        status, stopped = self.request("DELETE", "/v1/faults")
        assert status == 200, stopped
        harness.wait_for(lambda: not self.journals(), "no fault left", 60)

    # What this build has

    def action(self, name):
        """The catalogue's entry, with its parameters by name; None when this build has no such action."""
        status, action = self.get(f"/v1/actions/{name}")
        if status != 200:
            return None
        action["parameters"] = {p["name"]: p for p in action["parameters"]}
        return action

    def needs(self, name, *parameters):
        """Skips the test when this build lacks the action, or one of its parameters."""
        action = self.action(name)
        if not action:
            pytest.skip(f"this build has no {name}")
        missing = [p for p in parameters if p not in action["parameters"]]
        if missing:
            pytest.skip(f"{name} of this build has no {', '.join(missing)}")
        return action


class Reboot:
    path = STORE / "expected"

    def __init__(self, name):
        self.name = name
        self.start = int(re.search(r"faultd\.start=(\d+)", pathlib.Path("/proc/cmdline").read_text()).group(1))
        self.boot_id = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        with contextlib.suppress(FileNotFoundError):
            left = json.loads(self.path.read_text())
            assert left["name"] == name, left
            self.happened, self.memory = True, left["memory"]
            assert left["boot_id"] != self.boot_id, "it is still the same boot"
            assert left["start"] + left["off"] == self.start, "switched off or rebooted: not what was expected"
            return
        self.happened, self.memory = False, {}

    def expect(self, off=False, **memory):
        """The machine is about to reboot, or (`off`) to be switched off: the test goes on in the boot after."""
        self.path.write_text(json.dumps({"name": self.name, "boot_id": self.boot_id, "start": self.start, "off": off,
                                         "memory": memory}))
        if off:
            pathlib.Path(os.environ["FAULTD_TAP"]).write_text(f"# to be switched off: start {self.start}\n")
        os.sync()

    def wait(self, timeout=120):
        time.sleep(timeout)
        self.path.unlink()
        raise AssertionError(f"{timeout} s later the machine is still there")


# systemd's side

def systemctl(*argv, check=True):
    return harness.run("systemctl", *argv, check=check)


def prop(unit, name):
    return systemctl("show", "-P", name, unit).strip()


# cgroup v2

CGROUPS = pathlib.Path("/sys/fs/cgroup")


class Cgroup:
    """A directory of cgroup v2. `name` is how faultd is told of it."""

    def __init__(self, path):
        self.path = CGROUPS / str(path).lstrip("/")
        self.name = "/" + str(path).lstrip("/")
        self.processes = []

    def read(self, file):
        return (self.path / file).read_text().strip()

    def write(self, file, value):
        (self.path / file).write_text(str(value))

    def values(self, file):
        """A flat keyed file such as cpu.stat."""
        return {k: int(v) for k, v in (line.split() for line in self.read(file).splitlines())}

    def pids(self):
        return [int(p) for p in self.read("cgroup.procs").split()]

    def run(self, *argv, **kwargs):
        """A process in it, `sleep` if none is named."""
        p = subprocess.Popen([str(a) for a in argv or ("sleep", "100000")], stdin=subprocess.DEVNULL,
                             preexec_fn=lambda: self.write("cgroup.procs", os.getpid()), **kwargs)
        self.processes.append(p)
        return p

    def child(self, name):
        (self.path / name).mkdir()
        return Cgroup(f"{self.name}/{name}")

    def children(self):
        return sorted(p.name for p in self.path.iterdir() if p.is_dir())

    def close(self):
        """Whatever is in it and below it goes."""
        if not self.path.is_dir():
            return
        self.write("cgroup.freeze", 0)
        self.write("cgroup.kill", 1)
        for p in self.processes:
            p.wait()
        harness.wait_for(lambda: "populated 0" in self.read("cgroup.events"), f"{self.name} empty", 60)
        for d in sorted(self.path.rglob("*/"), reverse=True):
            if d.is_dir():
                d.rmdir()
        self.path.rmdir()
