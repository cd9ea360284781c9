# SPDX-License-Identifier: Apache-2.0
"""service-stop against the systemd of the machine: what is stopped comes back, with all that went down along."""

import os
import pathlib
import signal

import pytest
from lib.harness import run, wait_for
from machine import prop, systemctl

PATIENCE = 60
UNITS = pathlib.Path("/run/systemd/system")


@pytest.fixture
def service():
    """Makes services with unit files of their own, and starts them: service("fvt-a", "Requires=fvt-b.service")."""
    made = []

    def make(name, *unit_lines, command="/bin/sleep 100000", lines=(), start=True, suffix=".service"):
        path = UNITS / f"{name}{suffix}"
        body = [f"ExecStart={command}"] if suffix == ".service" else []
        section = suffix[1:].capitalize()
        path.write_text("\n".join(["[Unit]", *unit_lines, f"[{section}]", *body, *lines, ""]))
        made.append(path)
        systemctl("daemon-reload")
        if start:
            systemctl("start", path.name)
            wait_for(lambda: state(path.name) == "active", f"{path.name} active", PATIENCE)
        return path.name

    yield make
    for path in reversed(made):
        systemctl("stop", path.name, check=False)
        path.unlink(missing_ok=True)
    systemctl("daemon-reload")
    systemctl("reset-failed", check=False)


def state(unit):
    return prop(unit, "ActiveState")


def stop(installed, unit, **parameters):
    return installed.start_fault("service-stop", "10m", unit=unit, **parameters)


def active(*units):
    wait_for(lambda: all(state(u) == "active" for u in units), f"{units} active", PATIENCE)


def test_stops_and_starts(installed, service):
    a = service("fvt-a")
    pid = prop(a, "MainPID")
    fault = stop(installed, "fvt-a")
    assert state(a) == "inactive"
    assert not pathlib.Path(f"/proc/{pid}").exists()
    done = installed.stop_fault(fault)
    assert done["state"] == "done", done
    assert state(a) == "active"
    assert prop(a, "MainPID") not in ("0", pid)
    assert installed.journals() == []


def test_deadline(installed, service):
    a = service("fvt-a")
    fault = installed.start_fault("service-stop", "2s", unit=a)
    assert state(a) == "inactive"
    installed.wait_state(fault, "done", timeout=PATIENCE)
    active(a)


def test_faultd_is_killed(installed, service):
    """The guardian starts it again, over systemd's own socket."""
    a, b = service("fvt-a"), service("fvt-b", "Requires=fvt-a.service", "After=fvt-a.service")
    stop(installed, a)
    assert (state(a), state(b)) == ("inactive", "inactive")
    installed.kill()
    active(a, b)
    wait_for(lambda: installed.journals() == [], "no journal left", PATIENCE)


def test_faultd_hangs(installed, service):
    a = service("fvt-a")
    stop(installed, a)
    os.kill(installed.pid, signal.SIGSTOP)
    active(a)


def test_dependents(installed, service):
    """What requires it goes down with it and comes back, whatever the order of the names."""
    a = service("fvt-z")
    b = service("fvt-m", "Requires=fvt-z.service", "After=fvt-z.service")
    c = service("fvt-a", "BindsTo=fvt-m.service", "After=fvt-m.service")
    idle = service("fvt-idle", "Requires=fvt-z.service", start=False)
    status, plan = installed.fault("service-stop", "10m", unit="fvt-z", dryRun=True)
    assert status == 200, plan
    assert [s["text"].split()[-1] for s in plan["steps"]] == [c, b, a], plan
    fault = stop(installed, a)
    assert {state(u) for u in (a, b, c)} == {"inactive"}
    assert installed.stop_fault(fault)["state"] == "done"
    active(a, b, c)
    assert state(idle) == "inactive"


def test_pattern_with_dependents_inside(installed, service):
    """All of them match, and the one that requires comes before the other by its name."""
    b = service("fvt-2")
    a = service("fvt-1", "Requires=fvt-2.service", "After=fvt-2.service")
    fault = stop(installed, "fvt-[12]")
    assert {state(u) for u in (a, b)} == {"inactive"}
    assert installed.stop_fault(fault)["state"] == "done"
    active(a, b)


def test_selection(installed, service):
    names = [service(f"fvt-web-{i}") for i in range(4)]
    down = []
    for _ in range(2):
        fault = stop(installed, "fvt-web-*", selectionMode="COUNT(2)", seed=5)
        down.append([n for n in names if state(n) == "inactive"])
        installed.stop_fault(fault)
        active(*names)
    assert len(down[0]) == 2
    assert down[0] == down[1]


def test_alias_name(installed, service):
    a = service("fvt-a")
    link = UNITS / "fvt-other-name.service"
    link.symlink_to(UNITS / a)
    try:
        systemctl("daemon-reload")
        prop(link.name, "Id")  # loads it
        fault = stop(installed, "fvt-other-name")
        assert state(a) == "inactive"
        assert installed.stop_fault(fault)["state"] == "done"
        active(a)
    finally:
        link.unlink()


def test_stopping_takes_time(installed, service):
    """The fault is active when the unit is down, and not before."""
    a = service("fvt-a", command="/bin/sh -c 'trap \"sleep 2; exit 0\" TERM; sleep 100000 & wait'")
    fault = stop(installed, a)
    assert fault["state"] == "active"
    assert state(a) == "inactive"
    installed.stop_fault(fault)
    active(a)


def test_ended_while_it_stops(installed, service):
    """The start is queued behind the stop."""
    a = service("fvt-a", command="/bin/sh -c 'trap \"sleep 6; exit 0\" TERM; sleep 100000 & wait'")
    pid = prop(a, "MainPID")
    installed.fault("service-stop", "2s", unit=a)
    wait_for(lambda: state(a) == "active" and prop(a, "MainPID") != pid, "active again", PATIENCE)
    wait_for(lambda: installed.journals() == [], "no journal left", PATIENCE)


def test_started_by_someone_else(installed, service):
    a = service("fvt-a")
    fault = stop(installed, a)
    systemctl("start", a)
    pid = prop(a, "MainPID")
    done = installed.stop_fault(fault)
    assert done["state"] == "done", done
    assert any("started by someone else" in n for n in done["notes"]), done
    assert prop(a, "MainPID") == pid


def test_socket_activation(installed, service):
    """The step says who can start it; a connection does so, and that is noted."""
    sock = service("fvt-a", lines=["ListenStream=/run/fvt-a.sock", "Accept=no"], suffix=".socket", start=False)
    a = service("fvt-a")
    systemctl("stop", a)
    systemctl("start", sock)
    systemctl("start", a)
    fault = stop(installed, a)
    assert sock in fault["steps"][0]["text"], fault
    run("python3", "-c", "import socket; socket.socket(socket.AF_UNIX).connect('/run/fvt-a.sock')")
    active(a)
    done = installed.stop_fault(fault)
    assert done["state"] == "done", done
    assert any("started by someone else" in n for n in done["notes"]), done


def test_removed_meanwhile(installed, service):
    a = service("fvt-a")
    fault = stop(installed, a)
    (UNITS / a).unlink()
    systemctl("daemon-reload")
    done = installed.stop_fault(fault)
    assert done["state"] == "done", done
    assert any("removed by someone else" in n for n in done["notes"]), done


def test_two_at_once(installed, service):
    a = service("fvt-a")
    stop(installed, a)
    status, error = installed.fault("service-stop", "10m", unit="fvt-a")
    assert status in (400, 409), error  # systemd may have forgotten it meanwhile


@pytest.mark.parametrize("unit, code, words", [
    ("sshd", 400, "no unit"),  # it is not installed here
    ("dbus", 403, "protected"),
    ("systemd-journald", 403, "protected"),
    ("faultd", 403, "protected"),
    ("faultd-guardian", 403, "protected"),
    ("fvt-none", 400, "no unit"),
    ("dbus.socket", 400, "a service"),
    ("/etc/passwd", 400, "no unit"),
])  # fmt: skip
def test_refused(installed, unit, code, words):
    status, error = installed.fault("service-stop", "10m", unit=unit)
    assert status == code, error
    assert words in error["message"], error


def test_transient_is_refused(installed, unit):
    """systemd would have forgotten it when it is to be started again."""
    status, error = installed.fault("service-stop", "10m", unit=unit("fvt-transient"))
    assert status == 403, error
    assert "transient" in error["message"], error


def test_protected_dependent(installed, service):
    """A service that faultd's guardian would go down with."""
    a = service("fvt-a")
    drop_in = UNITS / "faultd-guardian.service.d"
    drop_in.mkdir()
    (drop_in / "fvt.conf").write_text(f"[Unit]\nRequires={a}\n")
    try:
        systemctl("daemon-reload")
        status, error = installed.fault("service-stop", "10m", unit=a)
        assert status == 403, error
        assert "faultd-guardian.service" in error["message"], error
        assert state(a) == "active"
    finally:
        (drop_in / "fvt.conf").unlink()
        drop_in.rmdir()
        systemctl("daemon-reload")


def test_not_running(installed, service):
    a = service("fvt-a", start=False)
    systemctl("start", a)
    systemctl("stop", a)
    status, error = installed.fault("service-stop", "10m", unit=a)
    assert status == 400, error
    fault = installed.start_fault("service-stop", "10m", unit=a, emptyTargetResolutionMode="skip")
    assert installed.wait_state(fault, "done")["steps"] == []
