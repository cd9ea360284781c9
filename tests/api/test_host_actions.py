# SPDX-License-Identifier: Apache-2.0
"""Actions on the host as a whole: asked for, refused, dry-run. What they really do is tried in the machine of tests/vm."""

import pathlib
import time

import pytest
from lib.harness import Faultd

HOST_ACTIONS = "host-reboot", "host-shutdown", "kernel-panic"
SYSTEMD = pathlib.Path("/run/systemd/system").is_dir()


@pytest.fixture
def faultd(tmp_path):
    d = Faultd(tmp_path / "faultd")
    yield d
    d.close()


def boot_id():
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text()


@pytest.mark.parametrize("action", HOST_ACTIONS)
@pytest.mark.parametrize("confirm", [True, False])
def test_denied_by_default(faultd, action, confirm):
    before = boot_id()
    status, error = faultd.fault(action, None, confirm=confirm)
    assert status == 403, error
    assert "hostActions" in error["message"], error
    assert boot_id() == before
    assert faultd.journals() == []


def test_wait(faultd):
    start = time.monotonic()
    fault = faultd.start_fault("wait", "300ms")
    assert fault["state"] == "active", fault
    assert fault["steps"] == []
    done = faultd.wait_state(fault, "done")
    assert time.monotonic() - start >= 0.3
    assert "error" not in done, done
    assert faultd.journals() == []


def test_wait_is_stopped(faultd):
    fault = faultd.start_fault("aws:fis:wait", "10m")
    assert faultd.stop_fault(fault)["state"] == "done"


def test_wait_with_faultctl(faultd):
    done = faultd.ctl("run", "wait", "--duration", "300ms")
    assert done.returncode == 0, done
    plan = faultd.ctl("plan", "wait", "--duration", "300ms", check=True)
    assert "wait" in plan.stdout, plan


def test_wait_needs_a_duration(faultd):
    status, error = faultd.fault("wait", None)
    assert status == 400, error
    assert "duration" in error["message"], error


@pytest.mark.skipif(SYSTEMD, reason="systemd runs this host")
def test_no_units_without_systemd(faultd):
    status, error = faultd.fault("service-stop", "10m", unit="nginx")
    assert status == 501, error
    assert "systemd is not the init system" in error["message"], error


@pytest.mark.parametrize("parameters, words", [
    ({}, "parameters.offset"),
    ({"offset": "300"}, "is no offset"),
    ({"offset": "+-5m"}, "is no offset"),
    ({"offset": "366d"}, "too far"),
    ({"offset": "0s"}, "change nothing"),
    ({"offset": "5m", "from": "1m"}, "parameters.over"),
    ({"offset": "5m", "from": "5m", "over": "1m"}, "change nothing"),
    ({"offset": "5m", "over": "1m", "steps": 0}, "parameters.steps"),
])  # fmt: skip
def test_bad_offsets(faultd, parameters, words):
    status, error = faultd.fault("clock-skew", "10m", parameters=parameters, dryRun=True)
    assert status == 400, error
    assert words in error["message"], error


def test_delay_beyond_the_duration(faultd):
    """It would end before it began: refused, also with the policy against it in the second place."""
    status, error = faultd.fault("host-reboot", "10s", confirm=True, delay="10s")
    assert status == 400, error
    assert error["field"] == "parameters.delay" and error["value"] == "10s" and "less than" in error["allowed"], error
