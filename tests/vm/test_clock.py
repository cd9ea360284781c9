# SPDX-License-Identifier: Apache-2.0
"""clock-skew on the clock of the machine: moved, put back to where the boot clock says, NTP off meanwhile."""

import ctypes
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import time

import pytest
from lib.harness import wait_for
from machine import prop, systemctl

PATIENCE = 60
UNITS = pathlib.Path("/run/systemd/system")
STA_UNSYNC = 0x40
ADJ_STATUS, ADJ_MAXERROR, ADJ_ESTERROR = 0x10, 0x4, 0x8


def difference():
    """CLOCK_REALTIME - CLOCK_BOOTTIME in ns, the closest of several readings."""
    best = None
    for _ in range(50):
        a = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        wall = time.clock_gettime_ns(time.CLOCK_REALTIME)
        b = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if best is None or b - a < best[0]:
            best = (b - a, wall - (a + b) // 2)
    return best[1]


def adjtimex(modes=0, status=0, maxerror=0, esterror=0):
    """(freq, status, tick, maxerror), read without changing anything when modes is 0."""
    buffer = ctypes.create_string_buffer(struct.pack("@I4xqqqqi", modes, 0, 0, maxerror, esterror, status), 208)
    assert ctypes.CDLL(None, use_errno=True).adjtimex(buffer) >= 0
    _, _, freq, maxerror, _, status = struct.unpack_from("@I4xqqqqi", buffer.raw)
    tick = struct.unpack_from("@q", buffer.raw, 88)[0]
    return freq, status, tick, maxerror


class Clock:
    def __init__(self):
        self.base = difference()
        self.kernel = adjtimex()

    def off(self):
        """Seconds from where it was."""
        return (difference() - self.base) / 1e9

    def is_back(self):
        freq, status, tick, _ = adjtimex()
        return abs(self.off()) < 0.005 and (freq, status, tick) == (self.kernel[0], self.kernel[1], self.kernel[2])


@pytest.fixture
def clock():
    c = Clock()
    yield c
    wrong = c.off()
    if abs(wrong) > 0.005:
        time.clock_settime_ns(time.CLOCK_REALTIME, time.clock_gettime_ns(time.CLOCK_REALTIME) - int(wrong * 1e9))


@pytest.mark.parametrize("offset, seconds", [("5m", 300), ("-2h30m", -9000), ("+1.5s", 1.5), ("365d", 365 * 86400)])
def test_skew(installed, clock, offset, seconds):
    fault = installed.start_fault("clock-skew", "10m", offset=offset)
    assert abs(clock.off() - seconds) < 0.005
    done = installed.stop_fault(fault)
    assert done["state"] == "done", done
    assert not done.get("notes"), done
    assert clock.is_back(), (clock.off(), clock.kernel, adjtimex())


def test_deadline_is_on_the_boot_clock(installed, clock):
    """Neither ahead ends the fault at once nor behind keeps it on."""
    for offset in "1h", "-1h":
        start = time.clock_gettime(time.CLOCK_BOOTTIME)
        fault = installed.start_fault("clock-skew", "3s", offset=offset)
        assert abs(clock.off()) > 3000
        installed.wait_state(fault, "done", timeout=PATIENCE)
        assert 2.5 < time.clock_gettime(time.CLOCK_BOOTTIME) - start < 30
        assert clock.is_back()


def test_faultd_is_killed(installed, clock):
    installed.start_fault("clock-skew", "10m", offset="-1h")
    assert clock.off() < -3000
    installed.kill()
    wait_for(clock.is_back, "the right time", PATIENCE)


def test_faultd_hangs(installed, clock):
    installed.start_fault("clock-skew", "10m", offset="1h")
    os.kill(installed.pid, signal.SIGSTOP)
    wait_for(clock.is_back, "the right time", PATIENCE)


def test_synchronised_stays_so(installed, clock):
    """What the kernel forgets when its clock is set, it is told again."""
    _, status, _, _ = adjtimex()
    adjtimex(ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR, status & ~STA_UNSYNC, 20000, 1000)
    try:
        assert not adjtimex()[1] & STA_UNSYNC
        fault = installed.start_fault("clock-skew", "10m", offset="10m")
        assert adjtimex()[1] & STA_UNSYNC
        installed.stop_fault(fault)
        assert not adjtimex()[1] & STA_UNSYNC
        assert 20000 <= adjtimex()[3] < 200000
        time.sleep(2.5)  # the kernel looks once a second
        assert not adjtimex()[1] & STA_UNSYNC
    finally:
        adjtimex(ADJ_STATUS, status)


def test_drift(installed, clock):
    fault = installed.start_fault("clock-skew", "10m", offset="40s", over="8s", steps=4)
    seen = set()
    until = time.monotonic() + PATIENCE
    while 40 not in seen and time.monotonic() < until:
        seen.add(round(clock.off()))
        time.sleep(0.05)
    assert seen == {0, 10, 20, 30, 40}, seen
    assert installed.show(fault)["state"] == "active"
    done = installed.stop_fault(fault)
    assert done["state"] == "done", done
    assert clock.is_back()


def test_set_by_someone_else(installed, clock):
    """Their time stays."""
    fault = installed.start_fault("clock-skew", "10m", offset="10m")
    time.clock_settime_ns(time.CLOCK_REALTIME, time.clock_gettime_ns(time.CLOCK_REALTIME) + 77 * 10**9)
    done = installed.stop_fault(fault)
    assert done["state"] == "done", done
    assert any("someone else" in n for n in done["notes"]), done
    assert abs(clock.off() - 677) < 0.005


def test_put_right_by_someone_else(installed, clock):
    fault = installed.start_fault("clock-skew", "10m", offset="10m")
    time.clock_settime_ns(time.CLOCK_REALTIME, time.clock_gettime_ns(time.CLOCK_REALTIME) - 600 * 10**9)
    done = installed.stop_fault(fault)
    assert done["state"] == "done", done
    assert any("put right" in n for n in done["notes"]), done
    assert abs(clock.off()) < 0.005


def test_one_at_a_time(installed, clock):
    installed.start_fault("clock-skew", "10m", offset="10m")
    status, error = installed.fault("clock-skew", "10m", offset="1m")
    assert status == 409, error
    assert abs(clock.off() - 600) < 0.005


@pytest.fixture
def ntp():
    """A service with the name of one that sets the clock."""
    path = UNITS / "chronyd.service"
    path.write_text("[Service]\nExecStart=/bin/sleep 100000\n")
    systemctl("daemon-reload")
    systemctl("start", path.name)
    yield path.name
    systemctl("stop", path.name, check=False)
    path.unlink()
    systemctl("daemon-reload")


def test_ntp_is_off_meanwhile(installed, clock, ntp):
    fault = installed.start_fault("clock-skew", "10m", offset="10m")
    assert prop(ntp, "ActiveState") == "inactive"
    done = installed.stop_fault(fault)
    assert done["state"] == "done", done
    assert prop(ntp, "ActiveState") == "active"
    assert clock.is_back()


def test_ntp_with_a_drift(installed, clock, ntp):
    """The service stays off through all steps."""
    fault = installed.start_fault("clock-skew", "10m", offset="-20s", over="4s", steps=2)
    wait_for(lambda: round(clock.off()) == -20, "20 s behind", PATIENCE)
    assert prop(ntp, "ActiveState") == "inactive"
    assert installed.stop_fault(fault)["state"] == "done"
    assert prop(ntp, "ActiveState") == "active"
    assert clock.is_back()


def test_ntp_after_a_kill(installed, clock, ntp):
    installed.start_fault("clock-skew", "10m", offset="10m")
    installed.kill()
    wait_for(lambda: clock.is_back() and prop(ntp, "ActiveState") == "active", "time and service", PATIENCE)


def test_ntp_program_without_a_service(installed, clock, tmp_path):
    program = tmp_path / "chronyd"
    shutil.copy(shutil.which("sleep"), program)
    p = subprocess.Popen([program, "1000"])
    try:
        status, error = installed.fault("clock-skew", "10m", offset="10m")
        assert status == 409, error
        assert "chronyd" in error["message"], error
        assert abs(clock.off()) < 0.005
    finally:
        p.kill()
        p.wait()


def test_ntp_that_would_not_come_back(installed, clock):
    """A transient service is forgotten when it stops, so it is not stopped."""
    subprocess.run(["systemd-run", "--quiet", "--unit=chronyd.service", "/bin/sleep", "1000"], check=True)
    try:
        status, error = installed.fault("clock-skew", "10m", offset="10m")
        assert status == 403, error
        assert "chronyd.service" in error["message"] and "transient" in error["message"], error
        assert prop("chronyd.service", "ActiveState") == "active"
        assert abs(clock.off()) < 0.005
    finally:
        systemctl("stop", "chronyd.service", check=False)
