# SPDX-License-Identifier: Apache-2.0
"""A fault lives as long as whoever holds it: its client, its lease, its deadline."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from crash_lives import AT_ONCE, CLIENT_GONE, HUNG, KINDS, TOLERANCE, assert_calm, dump, record, shows
from lib.harness import FAULTCTL, Faultd, assert_put_back, wait_for

# A client with nothing around it: it sends the request on a socket of its own and keeps it open.
RAW_CLIENT = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
body = sys.argv[2].encode()
s.sendall(b"POST /v1/faults HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
while s.recv(65536):
    pass
"""

HELD = [k for k in KINDS if k != "kill"]  # what is killed once is not held by anyone


def _raw(d, target):
    body = json.dumps({**target.body(), "duration": "60s", "attach": True})
    return subprocess.Popen([sys.executable, "-c", RAW_CLIENT, str(d.socket), body])


def _faultctl(d, target):
    body = target.body()
    words = []
    for name, value in body["parameters"].items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        text = text.lower() if isinstance(value, bool) else text
        words += ["--" + "".join("-" + c.lower() if c.isupper() else c for c in name), text]
    return subprocess.Popen([str(FAULTCTL), "--socket", str(d.socket), "run", body["action"], "--duration", "60s", *words],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _only_fault(d):
    faults = d.get("/v1/faults")[1]["faults"]
    return faults[0] if faults else None


def _watch_back(target, since, bound, kind, event):
    while found := target.off():
        assert time.monotonic() - since < bound * TOLERANCE, f"{event}: {found}"
        time.sleep(0.001)
    record(kind, event, "active", time.monotonic() - since)


@pytest.fixture
def private(tmp_path):
    made = []

    def make(target, **kwargs):
        d = Faultd(tmp_path / f"faultd{len(made)}", config=target.config, **kwargs)
        made.append(d)
        target.faultd_pid = d.pid
        return d

    yield make
    for d in made:
        d.close()


def test_what_is_active_is_seen(targets, private):
    """Else all the tests that wait for a target to be as before would wait for nothing."""
    for kind in HELD:
        target = targets(kind)
        d = private(target)
        status, fault = target.start(d)
        assert status == 201, fault
        shows(target)
        d.stop_fault(fault)
        assert target.off() == []


@pytest.mark.parametrize("client", [_raw, _faultctl], ids=["raw socket", "faultctl run"])
@pytest.mark.parametrize("kind", HELD)
def test_client_killed(kind, client, targets, private):
    target = targets(kind)
    before = dump([target])
    d = private(target)
    c = client(d, target)
    try:
        fault = wait_for(lambda: (f := _only_fault(d)) and f["state"] == "active" and f, "the fault is active")
        shows(target)
        target.during(d, fault)
        since = time.monotonic()
        c.send_signal(signal.SIGKILL)
        _watch_back(target, since, CLIENT_GONE, kind, "client SIGKILLed")
    finally:
        c.kill()
        c.wait()
    fault = d.wait_state(fault, "done")
    assert fault["reason"] == "client gone"
    target.renew()
    assert_put_back(before, lambda: dump([target]))
    assert d.journals() == []
    assert_calm(d)


@pytest.mark.parametrize("kind", HELD)
def test_lease_not_renewed(kind, targets, private):
    """Renewed it goes on past its end; not renewed any more it ends."""
    target = targets(kind)
    before = dump([target])
    d = private(target)
    status, fault = target.start(d, lease="1s")
    assert status == 201, fault
    shows(target)
    target.during(d, fault)
    begun = time.monotonic()
    while time.monotonic() < begun + 1.3:
        assert d.request("POST", f"/v1/faults/{fault['id']}/renew")[0] == 200
        time.sleep(0.1)
    assert target.off() and d.show(fault)["state"] == "active"
    asked = time.monotonic()
    assert d.request("POST", f"/v1/faults/{fault['id']}/renew")[0] == 200
    expires = time.monotonic() + 1.0
    _watch_back(target, expires, AT_ONCE, kind, "lease not renewed")
    assert time.monotonic() > asked + 0.9, "it ended before its lease"
    assert d.wait_state(fault, "done")["reason"] == "lease expired"
    target.renew()
    assert_put_back(before, lambda: dump([target]))
    assert d.journals() == []
    assert_calm(d)


@pytest.mark.parametrize("kind", HELD)
def test_deadline_while_faultd_hangs(kind, targets, private):
    """faultd is stopped and its fault's deadline passes: whoever sees it first, it is over."""
    target = targets(kind)
    before = dump([target])
    d = private(target)
    asked = time.monotonic()
    status, fault = target.start(d, duration="500ms")
    assert status == 201, fault
    shows(target)
    since = time.monotonic()
    os.kill(d.pid, signal.SIGSTOP)
    # OVERDUE_MS after the deadline, which is well before the heartbeat is missed.
    wait_for(lambda: d.process.poll() is not None, "fenced", HUNG * TOLERANCE)
    assert time.monotonic() - asked > 0.9, "fenced before it was overdue"
    _watch_back(target, since, HUNG, kind, "deadline while hung")
    wait_for(lambda: not d.journals(), "the journal is gone")
    target.renew()
    assert_put_back(before, lambda: dump([target]))


@pytest.mark.alone  # a hang that gets longer than it is meant to be is fenced
@pytest.mark.parametrize("kind", ["pause", "loss-clsact", "loss-tcx", "cpu-stress"])
def test_short_hang_is_survived(kind, targets, private):
    """Stopped for less than the guardian's patience, faultd and its faults go on as if nothing had been."""
    target = targets(kind)
    before = dump([target])
    d = private(target)
    status, fault = target.start(d)
    assert status == 201, fault
    shows(target)
    guardian = d.guardian_pid()
    for _ in range(2):
        until = time.monotonic() + 1.3  # a beat may have been 250 ms ago; 1750 ms is the limit
        os.kill(d.pid, signal.SIGSTOP)
        while time.monotonic() < until:
            assert d.process.poll() is None, "fenced too early"
            time.sleep(0.005)
        os.kill(d.pid, signal.SIGCONT)
        assert d.show(fault)["state"] == "active" and target.off()
    assert d.guardian_pid() == guardian
    # Longer, and it is fenced; not before 1.75 s after its last beat.
    since = time.monotonic()
    os.kill(d.pid, signal.SIGSTOP)
    wait_for(lambda: d.process.poll() is not None, "fenced", HUNG * TOLERANCE)
    assert time.monotonic() - since > 1.4, "fenced too early"
    _watch_back(target, since, HUNG, kind, "hung while active")
    wait_for(lambda: not d.journals(), "the journal is gone")
    assert_put_back(before, lambda: dump([target]))


@pytest.mark.alone
def test_short_hang_over_the_deadline(targets, private):
    """A deadline passes while faultd is stopped, but less than OVERDUE_MS ago: faultd itself ends the fault."""
    target = targets("pause")
    d = private(target)
    status, fault = target.start(d, duration="300ms")
    assert status == 201, fault
    # Not waited for until it shows: the deadline is near.
    os.kill(d.pid, signal.SIGSTOP)
    timer = threading.Timer(0.4, os.kill, (d.pid, signal.SIGCONT))
    timer.start()
    timer.join()
    shown = d.wait_state(fault, "done")
    assert shown["reason"] == "deadline" and d.process.poll() is None and not target.off()


def test_idle_hang_is_left_alone(targets, private):
    """With no fault open nothing is due: a stopped faultd is no reason to kill it."""
    target = targets("pause")
    d = private(target)
    fault = target.start(d)[1]
    d.stop_fault(fault)
    os.kill(d.pid, signal.SIGSTOP)
    until = time.monotonic() + 2.2
    while time.monotonic() < until:
        assert d.process.poll() is None, "fenced although it held nothing"
        time.sleep(0.01)
    os.kill(d.pid, signal.SIGCONT)
    d.stop_fault(target.start(d)[1])
