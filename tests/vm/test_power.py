# SPDX-License-Identifier: Apache-2.0
"""host-reboot, host-shutdown and kernel-panic, for real; and that they do not happen when they must not."""

import json
import pathlib
import time

import pytest
from lib.harness import run, wait_for
from machine import prop, systemctl

PATIENCE = 60
CONFIG = pathlib.Path("/etc/faultd/faultd.json")
UNITS = "faultd.socket", "faultd.service", "faultd-guardian.service"


@pytest.fixture
def allowed(installed):
    """The policy says yes. The file stays over a reboot, so both halves of a test have it."""
    CONFIG.parent.mkdir(exist_ok=True)
    CONFIG.write_text(json.dumps({"hostActions": "allow"}))
    systemctl("restart", "faultd.service")
    wait_for(installed.is_ready, "faultd ready", PATIENCE)
    yield installed
    CONFIG.unlink()
    systemctl("restart", "faultd.service")


def boot_id():
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text()


def came_up_clean(installed, reboot):
    assert reboot.memory["boot_id"] != boot_id()
    for u in UNITS:
        wait_for(lambda: prop(u, "ActiveState") == "active", f"{u} active", PATIENCE)
    wait_for(installed.is_ready, "faultd ready", PATIENCE)
    assert installed.get("/v1/faults")[1]["faults"] == []
    assert installed.journals() == []


ACTIONS = "host-reboot", "host-shutdown", "kernel-panic"


@pytest.mark.parametrize("action", ACTIONS)
def test_denied(installed, action):
    status, error = installed.fault(action, None, confirm=True)
    assert status == 403, error
    assert "hostActions" in error["message"], error


@pytest.mark.parametrize("action", ACTIONS)
def test_dry_run(installed, action):
    status, plan = installed.fault(action, None, dryRun=True)
    assert status == 200, plan
    assert len(plan["steps"]) == 1, plan


@pytest.mark.parametrize("action", ACTIONS)
def test_consent(allowed, action):
    status, error = allowed.fault(action, None)
    assert status == 400, error
    assert "confirm" in error["message"], error


@pytest.mark.parametrize("action", ACTIONS)
def test_aborted(allowed, action):
    """Stopped before its time nothing happens."""
    fault = allowed.start_fault(action, None, confirm=True, parameters={"delay": "2s"})
    assert fault["state"] == "active", fault
    done = allowed.stop_fault(fault)
    assert done["state"] == "done", done
    time.sleep(3)  # what must not happen would have begun
    assert systemctl("list-jobs", "--no-legend").strip() == ""


@pytest.mark.reboots
def test_reboot(allowed, reboot):
    """In order, with a unit stopped that cannot be started any more: nobody waits for that."""
    if not reboot.happened:
        path = pathlib.Path("/run/systemd/system/fvt-power.service")
        path.write_text("[Service]\nExecStart=/bin/sleep 100000\n")
        systemctl("daemon-reload")
        systemctl("start", path.name)
        allowed.start_fault("service-stop", "10m", unit=path.name)
        reboot.expect(boot_id=boot_id())
        allowed.fault("host-reboot", None, confirm=True)
        reboot.wait()
    came_up_clean(allowed, reboot)
    said = run("journalctl", "-b", "-1", "-o", "short-monotonic", "-u", "faultd.service", "-u", "faultd-guardian.service")
    assert "service-stop: done: faultd is stopping" in said, said
    assert "timed out" not in said, said
    assert "could not be undone" not in said, said


@pytest.mark.reboots
def test_reboot_force(allowed, reboot):
    """With another fault active."""
    if not reboot.happened:
        allowed.start_fault("cpu-stress", "10m", percent=10)
        pathlib.Path("/var/lib/faultd-test/synced").write_text("x" * 100000)
        reboot.expect(boot_id=boot_id())
        allowed.fault("host-reboot", None, confirm=True, force=True)
        reboot.wait()
    came_up_clean(allowed, reboot)
    assert len(pathlib.Path("/var/lib/faultd-test/synced").read_text()) == 100000


@pytest.mark.reboots
def test_panic(allowed, reboot):
    """The machine's kernel reboots a second after a panic."""
    if not reboot.happened:
        reboot.expect(boot_id=boot_id())
        allowed.fault("kernel-panic", None, confirm=True)
        reboot.wait()
    came_up_clean(allowed, reboot)


@pytest.mark.reboots
def test_shutdown(allowed, reboot):
    if not reboot.happened:
        reboot.expect(off=True, boot_id=boot_id())
        allowed.fault("host-shutdown", None, confirm=True)
        reboot.wait()
    came_up_clean(allowed, reboot)
