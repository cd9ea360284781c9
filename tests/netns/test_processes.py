# SPDX-License-Identifier: Apache-2.0
"""process-kill and process-pause on processes of the test's own, read back from /proc."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from lib import harness
from lib.harness import HostState, alive, assert_put_back, proc_stat, processes_named, state_of, wait_for

NAME = f"fdp{os.getpid()}"
ENDURES = "import signal, sys, time\nsignal.signal(int(sys.argv[1]), signal.SIG_IGN)\nprint('', flush=True)\ntime.sleep(600)"


@pytest.fixture
def crowd(tmp_path):
    """crowd(n, name) starts n sleepers, oldest first; what lives at the end is killed."""
    started = []

    def start(n=1, name=NAME, prefix=()):
        program = tmp_path / name
        if not program.exists():
            harness.copy_of_sleep(tmp_path, name)
        new = []
        for _ in range(n):
            new.append(subprocess.Popen([*prefix, program, "600"]))
            time.sleep(0.02)  # start times are counted in hundredths of a second
        wait_for(lambda: all(pathlib.Path(f"/proc/{p.pid}/comm").read_text().strip() == name and state_of(p.pid) == "S"
                             for p in new), "the victims asleep")
        started.extend(new)
        return [p.pid for p in new]

    yield start
    for p in started:
        p.kill()
        p.wait()


def settle(*pids):
    """After a SIGKILL the kernel needs a moment, and Python must not collect what is looked at."""
    return [p for p in pids if alive(p)]


def kill(d, duration=None, **parameters):
    return d.start_fault("process-kill", duration, confirm=True, parameters=parameters)


def one_more(program):
    """Of the same name; it may be hit before it could be looked at."""
    return subprocess.Popen([program, "600"])


def stopped(pids):
    return [p for p in pids if state_of(p) == "T"]


def outcome(fault):
    return {r["pid"]: r["outcome"] for r in fault["results"]}


# process-kill


@pytest.mark.parametrize("parameters", [
    {"name": NAME}, {"pattern": f"/{NAME} 600$"}, {"pattern": f"{NAME} 6.*", "user": "root"}, {"name": NAME, "user": "0"},
    {"name": NAME, "all": True}, {"name": NAME, "percent": 100}, {"name": NAME, "count": 50}])
def test_all_that_are_selected_get_it(faultd, crowd, root, parameters):
    other = crowd(1, NAME + "x")
    pids = crowd(4)
    ended = faultd.wait_state(kill(faultd, **parameters), "done")
    assert outcome(ended) == {p: "exited" for p in pids}
    assert {r["name"] for r in ended["results"]} == {NAME} and {r["signal"] for r in ended["results"]} == {"SIGTERM"}
    assert settle(*pids) == [] and settle(*other) == other
    assert ended["reason"] == "completed" and faultd.journals() == []


def test_by_pid(faultd, crowd):
    a, b, c = crowd(3)
    ended = faultd.wait_state(kill(faultd, pid=[a, c]), "done")
    assert outcome(ended) == {a: "exited", c: "exited"}
    assert settle(a, b, c) == [b]
    assert outcome(faultd.wait_state(kill(faultd, pid=str(b)), "done")) == {b: "exited"}


def test_by_user(faultd, crowd, tmp_path, root):
    for p in [tmp_path, *tmp_path.parents][:3]:
        p.chmod(p.stat().st_mode | 0o111)
    mine = crowd(2)
    theirs = crowd(2, prefix=["setpriv", "--reuid=65534", "--clear-groups"])
    ended = faultd.wait_state(kill(faultd, name=NAME, user="nobody"), "done")
    assert sorted(outcome(ended)) == theirs
    assert settle(*mine, *theirs) == mine


@pytest.mark.parametrize("parameters, expected", [
    ({"count": 2, "order": "newest"}, [4, 3]), ({"count": 2, "order": "oldest"}, [0, 1]), ({"percent": 40, "order": "oldest"}, [0, 1]),
    ({"percent": 1, "order": "newest"}, [4]), ({"percent": 99, "order": "oldest"}, [0, 1, 2, 3])])
def test_how_many_and_which(faultd, crowd, parameters, expected):
    pids = crowd(5)
    ended = faultd.wait_state(kill(faultd, name=NAME, **parameters), "done")
    assert sorted(outcome(ended)) == sorted(pids[i] for i in expected)
    assert settle(*pids) == [p for i, p in enumerate(pids) if i not in expected]


def test_random_is_not_always_the_same(faultd, crowd):
    pids = crowd(6)
    chosen = set()
    for _ in range(40):
        plan = faultd.fault("process-kill", None, dryRun=True, name=NAME, count=2)[1]
        assert len(plan["steps"]) == 2
        chosen |= {p for p in pids for s in plan["steps"] if str(p) in s["text"]}
    assert chosen == set(pids)


@pytest.mark.parametrize("name, number", [("SIGKILL", 9), ("KILL", 9), ("9", 9), ("SIGHUP", 1), ("SIGUSR1", 10), ("sigint", 2)])
def test_signals(faultd, crowd, name, number):
    (pid,) = crowd()
    status, fault = faultd.fault("process-kill", None, confirm=True, pid=pid, signal=name)
    if name == "sigint" and status == 400:
        assert fault["field"] == "parameters.signal" and alive(pid)
        return
    assert status == 201, fault
    ended = faultd.wait_state(fault, "done")
    assert outcome(ended) == {pid: "exited"}
    assert ended["results"][0]["signal"] == signal.Signals(number).name


def test_one_that_endures_the_signal(faultd):
    victim = subprocess.Popen([sys.executable, "-c", ENDURES, str(int(signal.SIGTERM))], stdout=subprocess.PIPE)
    try:
        victim.stdout.readline()
        fault = kill(faultd, "1s", pid=victim.pid)
        ended = faultd.wait_state(fault, "done")
        assert outcome(ended) == {victim.pid: "still running"}
        assert "afterMs" not in ended["results"][0]
        assert alive(victim.pid)
        ended = faultd.wait_state(kill(faultd, pid=victim.pid), "done")  # without a duration it is not waited for for ever
        assert outcome(ended) == {victim.pid: "still running"}
    finally:
        victim.kill()
        victim.wait()


SUPERVISOR = """
import subprocess, sys
while True:
    worker = subprocess.Popen(sys.argv[1:])
    print(worker.pid, flush=True)
    worker.wait()
"""


def test_killed_again_and_again_until_the_deadline(faultd, tmp_path):
    program = harness.copy_of_sleep(tmp_path, NAME)
    log = open(tmp_path / "pids", "w+")
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR, program, "600"], stdout=log)
    try:
        wait_for(lambda: processes_named(NAME), "the first worker")
        fault = kill(faultd, "3s", name=NAME, interval="200ms", signal="SIGKILL")
        ended = faultd.wait_state(fault, "done")
        assert ended["reason"] == "deadline"
        time.sleep(0.5)
        pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
        assert len(pids) >= 5
        assert processes_named(NAME) == pids[-1:]  # the last stays
        got = outcome(ended)
        assert set(got) <= set(pids) and len(got) >= 4
        assert set(got.values()) <= {"exited", "gone before the signal"}
        assert alive(supervisor.pid)
        shown = {f["name"]: f["value"] for f in ended["figures"]}
        assert shown["signalled"] == shown["exited"] >= 4
    finally:
        supervisor.kill()
        supervisor.wait()
        for pid in processes_named(NAME):
            os.kill(pid, signal.SIGKILL)
        log.close()


def test_interval_with_none_left(faultd, crowd, tmp_path):
    """They are gone and nobody starts them again: not an error, the fault waits for new ones."""
    pids = crowd(2)
    fault = kill(faultd, "60s", name=NAME, interval="100ms")
    wait_for(lambda: settle(*pids) == [], "killed")
    time.sleep(0.5)
    assert faultd.show(fault)["state"] == "active" and faultd.show(fault)["notes"] == []
    late = one_more(tmp_path / NAME)
    assert late.wait(harness.PATIENCE) == -signal.SIGTERM
    ended = faultd.stop_fault(fault)
    assert sorted(outcome(ended)) == sorted([*pids, late.pid])


# process-pause


def test_paused_and_continued(faultd, crowd):
    pids = crowd(3)
    before = HostState(pids=pids)
    fault = faultd.start_fault("process-pause", name=NAME)
    wait_for(lambda: stopped(pids) == pids, "all stopped")
    assert {f["name"]: f["value"] for f in fault["figures"]} == {"paused": 3}
    ended = faultd.stop_fault(fault)
    wait_for(lambda: stopped(pids) == [], "all continued")
    assert ended["notes"] == []
    assert_put_back(before, lambda: HostState(pids=pids))


def test_count_of_pause(faultd, crowd):
    pids = crowd(4)
    with_two = faultd.start_fault("process-pause", name=NAME, count=2, order="oldest")
    wait_for(lambda: stopped(pids) == pids[:2], "the oldest stopped")
    faultd.stop_fault(with_two)
    wait_for(lambda: stopped(pids) == [], "continued")


def test_one_that_was_stopped_before_stays_so(faultd, crowd):
    pids = crowd(2)
    os.kill(pids[0], signal.SIGSTOP)
    wait_for(lambda: stopped(pids) == pids[:1], "stopped by us")
    before = HostState(pids=pids)
    fault = faultd.start_fault("process-pause", name=NAME)
    wait_for(lambda: stopped(pids) == pids, "both stopped")
    assert {f["name"]: f["value"] for f in fault["figures"]} == {"paused": 1}
    faultd.stop_fault(fault)
    wait_for(lambda: stopped(pids) == pids[:1], "ours stays")
    assert_put_back(before, lambda: HostState(pids=pids))


def test_one_that_someone_else_continues(faultd, crowd):
    pids = crowd(2)
    fault = faultd.start_fault("process-pause", name=NAME)
    wait_for(lambda: stopped(pids) == pids, "stopped")
    os.kill(pids[0], signal.SIGCONT)
    wait_for(lambda: stopped(pids) == pids[1:], "continued by us")
    ended = faultd.stop_fault(fault)
    assert ended["state"] == "done"
    assert len(ended["notes"]) == 1 and str(pids[0]) in ended["notes"][0]
    wait_for(lambda: stopped(pids) == [], "continued")


def test_one_that_dies_meanwhile(faultd, crowd):
    pids = crowd(3)
    fault = faultd.start_fault("process-pause", name=NAME)
    wait_for(lambda: stopped(pids) == pids, "stopped")
    os.kill(pids[1], signal.SIGKILL)
    wait_for(lambda: state_of(pids[1]) in (None, "Z"), "dead")
    ended = faultd.stop_fault(fault)
    assert ended["state"] == "done" and "error" not in ended
    wait_for(lambda: stopped(pids) == [], "the others continued")
    assert settle(*pids) == [pids[0], pids[2]]


def test_two_pauses_of_one_process(faultd, crowd):
    """The first to end does not continue what the second still holds."""
    (pid,) = crowd()
    first = faultd.start_fault("process-pause", pid=pid)
    wait_for(lambda: stopped([pid]), "stopped")
    second = faultd.start_fault("process-pause", pid=pid)
    faultd.stop_fault(second)
    assert state_of(pid) == "T"
    second = faultd.start_fault("process-pause", pid=pid)
    faultd.stop_fault(first)
    still = state_of(pid)
    faultd.stop_fault(second)
    wait_for(lambda: state_of(pid) == "S", "continued when both are over")
    assert still == "T"


FAMILY = """
import subprocess, sys, time
children = [subprocess.Popen([sys.executable, "-c", "import subprocess,sys;subprocess.run(sys.argv[1:])", sys.argv[1], "600"])]
print(children[0].pid, flush=True)
for line in sys.stdin:
    children.append(subprocess.Popen([sys.argv[1], "600"]))
    print(children[-1].pid, flush=True)
"""


@pytest.fixture
def family(tmp_path):
    """A parent, its child, and the child's child, which has the name."""
    program = harness.copy_of_sleep(tmp_path, NAME)
    parent = subprocess.Popen([sys.executable, "-c", FAMILY, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    (grandchild,) = wait_for(lambda: processes_named(NAME), "the grandchild")
    yield parent, child, grandchild
    for pid in (grandchild, child):
        os.kill(pid, signal.SIGKILL)
    parent.kill()
    parent.wait()
    for pid in processes_named(NAME):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: harness.reap_orphans() or not alive(grandchild), "gone")


def test_children_only_if_asked(faultd, family):
    parent, child, grandchild = family
    all_three = [parent.pid, child, grandchild]
    fault = faultd.start_fault("process-pause", pid=parent.pid)
    wait_for(lambda: stopped(all_three) == [parent.pid], "the parent only")
    faultd.stop_fault(fault)
    wait_for(lambda: stopped(all_three) == [], "continued")
    fault = faultd.start_fault("process-pause", pid=parent.pid, children=True)
    wait_for(lambda: stopped(all_three) == all_three, "the family")
    assert {f["name"]: f["value"] for f in fault["figures"]} == {"paused": 3}
    faultd.stop_fault(fault)
    wait_for(lambda: stopped(all_three) == [], "continued")


def test_interval_finds_new_ones(faultd, crowd, tmp_path):
    pids = crowd(2)
    fault = faultd.start_fault("process-pause", name=NAME, interval="100ms")
    wait_for(lambda: stopped(pids) == pids, "stopped")
    late = one_more(tmp_path / NAME)
    try:
        wait_for(lambda: state_of(late.pid) == "T", "the late one stopped too")
        assert {f["name"]: f["value"] for f in faultd.show(fault)["figures"]} == {"paused": 3}
        faultd.stop_fault(fault)
        wait_for(lambda: stopped([*pids, late.pid]) == [], "all continued")
        assert faultd.journals() == []
    finally:
        late.kill()
        late.wait()


def test_interval_pauses_new_children(faultd, family):
    """A descendant that was made after the start, by a process that was continued by someone."""
    parent, child, grandchild = family
    fault = faultd.start_fault("process-pause", pid=parent.pid, children=True, interval="100ms")
    wait_for(lambda: stopped([parent.pid, child, grandchild]) == [parent.pid, child, grandchild], "the family")
    os.kill(parent.pid, signal.SIGCONT)
    parent.stdin.write("\n")
    parent.stdin.flush()
    new = int(parent.stdout.readline())
    wait_for(lambda: state_of(new) == "T", "the new child stopped")
    ended = faultd.stop_fault(fault)
    assert ended["state"] == "done"
    wait_for(lambda: stopped([parent.pid, child, grandchild, new]) == [], "all continued")


def test_a_pause_is_put_back_when_faultd_stops(faultd, crowd):
    pids = crowd(3)
    before = {p: proc_stat(p)[2] for p in pids}
    faultd.start_fault("process-pause", name=NAME)
    wait_for(lambda: stopped(pids) == pids, "stopped")
    assert faultd.stop() == 0
    wait_for(lambda: stopped(pids) == [], "continued")
    assert {p: proc_stat(p)[2] for p in pids} == before


def test_init_of_a_container(faultd, tmp_path):
    """A name that is protected on the host means nothing in a PID namespace of its own; outside it still does."""
    harness.copy_of_sleep(tmp_path, "systemd")
    outside = subprocess.Popen([tmp_path / "systemd", "600"])
    inside = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", str(tmp_path / "systemd"), "600"])
    try:
        children = pathlib.Path(f"/proc/{inside.pid}/task/{inside.pid}/children")
        pid = int(wait_for(lambda: children.read_text().strip(), "the container's init"))
        wait_for(lambda: pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd", "its name")
        status, answer = faultd.fault("process-pause", pid=outside.pid)
        assert status == 403 and "its name is protected" in answer["message"]
        fault = faultd.start_fault("process-pause", pid=pid)
        wait_for(lambda: state_of(pid) == "T", "it is stopped")
        faultd.stop_fault(fault)
        wait_for(lambda: state_of(pid) == "S", "it goes on")
    finally:
        for p in outside, inside:
            p.kill()
            p.wait()
