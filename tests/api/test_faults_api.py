# SPDX-License-Identifier: Apache-2.0
"""The life of a fault as a client of the API sees it, checked against the kernel."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from lib import harness
from lib.harness import HostState, assert_put_back, state_of, wait_for

CPU = {"percent": 1, "cpus": "0-0"}


@pytest.fixture
def sleeper(tmp_path):
    """One process under a name that nobody else has."""
    program = harness.copy_of_sleep(tmp_path, f"fdv{os.getpid()}")
    process = subprocess.Popen([program, "600"])
    wait_for(lambda: state_of(process.pid) == "S", "the victim asleep")
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def configured(tmp_path):
    """configured({...}) is a running faultd with that policy."""
    made = []

    def make(config):
        made.append(harness.Faultd(tmp_path / f"configured{len(made)}", config=config))
        return made[-1]

    yield make
    for d in made:
        d.close()


def paused(pid):
    return state_of(pid) == "T"


def faults_of(d):
    return d.get("/v1/faults")[1]["faults"]


# The life of one fault


def test_a_fault_ends_at_its_deadline(faultd, sleeper):
    before = HostState(pids=[sleeper.pid])
    fault = faultd.start_fault("process-pause", "1500ms", pid=[sleeper.pid])
    assert fault["state"] == "active"
    assert fault["reason"] == ""
    assert fault["durationMs"] == 1500
    assert 0 < fault["remainingMs"] <= 1500
    assert fault["appliedMs"] > 0
    assert "undoneMs" not in fault and "error" not in fault and "leaseRemainingMs" not in fault
    assert fault["caller"] == {"pid": os.getpid(), "uid": os.geteuid()}
    assert fault["hold"] == "journal" and not fault["irreversible"] and not fault["attached"]
    assert [s["state"] for s in fault["steps"]] == ["applied"]
    wait_for(lambda: paused(sleeper.pid), "the victim stopped")
    assert faultd.journals() == [f"{fault['id']}.journal"]
    ended = faultd.wait_state(fault, "done")
    assert ended["reason"] == "deadline"
    assert ended["remainingMs"] == 0
    assert ended["undoneMs"] > 0
    assert [s["state"] for s in ended["steps"]] == ["undone"]
    assert faultd.journals() == []
    assert_put_back(before, lambda: HostState(pids=[sleeper.pid]))


def test_a_fault_is_applied_when_the_answer_comes(faultd, sleeper):
    fault = faultd.start_fault("process-pause", pid=[sleeper.pid])
    wait_for(lambda: paused(sleeper.pid), "stopped", timeout=2)
    faultd.stop_fault(fault)
    wait_for(lambda: not paused(sleeper.pid), "continued", timeout=2)


def test_delete_again_gives_the_same_answer(faultd, sleeper):
    fault = faultd.start_fault("process-pause", pid=[sleeper.pid])
    first = faultd.stop_fault(fault)
    assert first["state"] == "done"
    assert first["reason"] == f"stopped by uid {os.geteuid()}"
    assert faultd.stop_fault(fault) == first
    assert faultd.show(fault) == first


def test_dry_run_changes_nothing(faultd, sleeper):
    before = HostState(pids=[sleeper.pid], directories=[faultd.runtime])
    for action, parameters in (("process-pause", {"pid": [sleeper.pid]}),
                               ("process-kill", {"pid": [sleeper.pid]}),
                               ("cpu-stress", CPU),
                               ("network-loss", {"interface": "lo", "peers": "198.51.100.1"})):
        status, plan = faultd.fault(action, "30s", dryRun=True, parameters=parameters)
        assert status == 200, plan
        assert plan["state"] == "planned" and "id" not in plan
        assert plan["steps"] and {s["state"] for s in plan["steps"]} == {"planned"}
        assert all(s["text"] and s["undo"] for s in plan["steps"])
        assert plan["description"] and plan["results"] == [] and plan["notes"] == []
    assert HostState(pids=[sleeper.pid], directories=[faultd.runtime]) == before
    assert sleeper.poll() is None
    assert faults_of(faultd) == []
    assert faultd.get("/v1/status")[1]["openFaults"] == 0


@pytest.mark.parametrize("text, ms", [
    ("30s", 30000), ("5m", 300000), ("PT5M", 300000), ("500ms", 500), ("1h", 3600000), ("1m30s", 90000),
    ("1.5s", 1500), ("PT0.5S", 500), ("PT1H30M", 5400000), ("12h", 43200000), ("PT720M", 43200000), ("100ms", 100),
])
def test_ways_to_write_a_duration(faultd, text, ms):
    status, plan = faultd.fault("cpu-stress", text, dryRun=True, parameters=CPU)
    assert (status, plan["durationMs"]) == (200, ms)


# Leases and tokens


def test_a_lease_that_is_not_renewed_ends_the_fault(faultd, sleeper):
    fault = faultd.start_fault("process-pause", lease="1s", pid=[sleeper.pid])
    assert 0 < fault["leaseRemainingMs"] <= 1000
    ended = faultd.wait_state(fault, "done")
    assert ended["reason"] == "lease expired"
    assert not paused(sleeper.pid)


def test_a_lease_can_be_renewed_again_and_again(faultd, sleeper):
    fault = faultd.start_fault("process-pause", lease="2s", pid=[sleeper.pid])
    until = time.monotonic() + 4
    while time.monotonic() < until:
        status, renewed = faultd.request("POST", f"/v1/faults/{fault['id']}/renew")
        assert status == 200, renewed
        assert renewed["state"] == "active"
        assert 1000 < renewed["leaseRemainingMs"] <= 2000
        time.sleep(0.2)
    assert paused(sleeper.pid)
    ended = faultd.wait_state(fault, "done")
    assert ended["reason"] == "lease expired"
    status, error = faultd.request("POST", f"/v1/faults/{fault['id']}/renew")
    assert (status, error["code"]) == (409, "ConflictException")


def test_only_a_fault_with_a_lease_is_renewed(faultd, sleeper):
    fault = faultd.start_fault("process-pause", pid=[sleeper.pid])
    status, error = faultd.request("POST", f"/v1/faults/{fault['id']}/renew")
    assert (status, error["code"]) == (400, "ValidationException")
    assert "lease" in error["message"]
    assert faultd.request("POST", "/v1/faults/f-nothing/renew")[0] == 404


def test_the_same_token_is_the_same_fault(faultd, sleeper):
    first = faultd.start_fault("process-pause", clientToken="one", pid=[sleeper.pid])
    status, again = faultd.fault("process-pause", clientToken="one", pid=[sleeper.pid])
    assert (status, again["id"]) == (200, first["id"])
    assert len(faults_of(faultd)) == 1
    done = faultd.stop_fault(first)
    status, again = faultd.fault("process-pause", clientToken="one", pid=[sleeper.pid])
    assert (status, again["id"], again["state"]) == (200, first["id"], "done")
    assert again == done


def test_a_token_with_another_request_is_a_conflict(faultd, sleeper):
    first = faultd.start_fault("process-pause", clientToken="one", pid=[sleeper.pid])
    for duration, parameters in (("31s", {"pid": [sleeper.pid]}), ("30s", {"pid": [sleeper.pid], "children": True})):
        status, error = faultd.fault("process-pause", duration, clientToken="one", parameters=parameters)
        assert (status, error["code"], faultd.error_type) == (409, "ConflictException", "ConflictException"), error
        assert error["field"] == "clientToken" and first["id"] in error["message"]
    assert len(faults_of(faultd)) == 1


def test_attaching_to_the_fault_of_a_token(faultd, sleeper):
    first = faultd.start_fault("process-pause", clientToken="one", pid=[sleeper.pid])
    stream = faultd.stream("POST", "/v1/faults", {"action": "process-pause", "duration": "30s", "attach": True,
                                                  "clientToken": "one", "parameters": {"pid": [sleeper.pid]}})
    start = stream.line()
    assert start["event"] == "start" and start["fault"]["id"] == first["id"]
    stream.close()
    assert faultd.wait_state(first, "done")["reason"] == "client gone"
    wait_for(lambda: not paused(sleeper.pid), "continued")


def test_the_same_token_while_it_is_applied(tmp_path, monkeypatch):
    """Its worker takes its time to begin: whoever asks again waits as well."""
    for program in (harness.FAULTD, harness.GUARDIAN):
        shutil.copy(program, tmp_path)
    slow = tmp_path / "faultd-load"
    slow.write_text(f'#!/bin/sh\nwhile ! test -e {tmp_path}/go; do sleep 0.05; done\nexec {harness.LOAD.resolve()} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setattr(harness, "FAULTD", tmp_path / "faultd")
    d = harness.Faultd(tmp_path / "d")
    answers = []

    def post():
        answers.append(harness.Faultd(d.directory, start=False).fault("cpu-stress", percent=1, clientToken="one"))

    threads = [threading.Thread(target=post) for _ in range(2)]
    try:
        threads[0].start()
        wait_for(lambda: [f["state"] for f in faults_of(d)] == ["applying"], "it is being applied")
        threads[1].start()
        time.sleep(0.2)  # for an answer that should not come yet
        assert answers == []
        (tmp_path / "go").touch()
        for t in threads:
            t.join()
        assert [a["id"] for status, a in answers if status in (200, 201)] == [answers[0][1]["id"]] * 2, answers
    finally:
        (tmp_path / "go").touch()
        d.close()


def test_many_at_once_with_one_token_are_one_fault(faultd, sleeper):
    answers = []

    def post():
        d = harness.Faultd(faultd.directory, start=False)
        answers.append(d.fault("process-pause", clientToken="one", pid=[sleeper.pid]))

    threads = [threading.Thread(target=post) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert {status for status, _ in answers} <= {200, 201}, answers
    assert len({fault["id"] for _, fault in answers}) == 1
    assert {fault["state"] for _, fault in answers} == {"active"}
    assert len(faults_of(faultd)) == 1


# Streams


def test_an_attached_stream_from_start_to_end(faultd):
    stream = faultd.attach("cpu-stress", "2500ms", percent=10, cpus="0-0")
    assert stream.status == 200
    assert stream.response.getheader("Content-Type") == "application/x-ndjson"
    events = list(iter(stream.line, None))
    stream.close()
    assert events[0]["event"] == "start"
    assert events[0]["fault"]["state"] == "active" and events[0]["fault"]["attached"]
    figures = [e for e in events if e["event"] == "figures"]
    assert 1 <= len(figures) <= 3
    assert {f["name"] for f in figures[-1]["figures"]} == {"load", "hostLoad"}
    assert all(0 <= f["remainingMs"] <= 2500 and f["id"] == events[0]["fault"]["id"] for f in figures)
    states = [e["state"] for e in events if e["event"] == "state"]
    assert states == ["active", "undoing", "done"]
    assert events[-1]["event"] == "end"
    assert events[-1]["fault"]["state"] == "done" and events[-1]["fault"]["reason"] == "deadline"
    assert events[-1]["fault"] == faultd.show(events[0]["fault"])


@pytest.mark.parametrize("how", ["close", "half-close"])
def test_an_attached_fault_ends_with_its_connection(faultd, sleeper, how):
    before = HostState(pids=[sleeper.pid])
    stream = faultd.attach("process-pause", pid=[sleeper.pid])
    fault = stream.line()["fault"]
    wait_for(lambda: paused(sleeper.pid), "stopped")
    if how == "close":
        stream.close()
    else:
        stream.connection.sock.shutdown(socket.SHUT_WR)
    ended = faultd.wait_state(fault, "done")
    stream.close()
    assert ended["reason"] == "client gone"
    assert faultd.journals() == []
    assert_put_back(before, lambda: HostState(pids=[sleeper.pid]))


def test_an_attached_fault_ends_with_a_killed_client(faultd, sleeper):
    curl = subprocess.Popen(["curl", "-sN", "--unix-socket", faultd.socket, "http://x/v1/faults", "-d", json.dumps(
        {"action": "process-pause", "duration": "60s", "attach": True, "parameters": {"pid": [sleeper.pid]}})],
        stdout=subprocess.PIPE)
    start = json.loads(curl.stdout.readline())
    assert start["fault"]["caller"]["pid"] == curl.pid
    wait_for(lambda: paused(sleeper.pid), "stopped")
    curl.kill()
    curl.wait()
    assert faultd.wait_state(start["fault"], "done", timeout=3)["reason"] == "client gone"
    wait_for(lambda: not paused(sleeper.pid), "continued", timeout=3)


def test_a_client_that_leaves_before_the_answer(faultd, sleeper):
    """Attached: undone. Not attached: the fault was asked for, and stays to its deadline."""
    for attach in (True, False):
        connection = harness.HTTPConnection(faultd.socket)
        connection.request("POST", "/v1/faults", json.dumps({"action": "process-pause", "duration": "3s",
                                                             "attach": attach, "parameters": {"pid": [sleeper.pid]}}))
        connection.close()
    wait_for(lambda: faultd.get("/v1/status")[1]["openFaults"] == 0, "no open fault")
    wait_for(lambda: not paused(sleeper.pid), "continued")
    assert faultd.journals() == []


def test_a_refused_attach_is_an_ordinary_error(faultd):
    stream = faultd.attach("cpu-stress", percent=101)
    body = json.loads(stream.response.read())
    stream.close()
    assert (stream.status, body["field"]) == (400, "parameters.percent")


def test_deleting_an_attached_fault_ends_its_stream(faultd, sleeper):
    stream = faultd.attach("process-pause", pid=[sleeper.pid])
    fault = stream.line()["fault"]
    faultd.stop_fault(fault)
    end = stream.until(lambda e: e["event"] == "end")
    assert end["fault"]["reason"].startswith("stopped by uid")
    assert stream.line() is None
    stream.close()


def test_the_events_of_all_faults(faultd, sleeper):
    streams = [faultd.stream("GET", "/v1/events") for _ in range(2)]
    first = faultd.start_fault("process-pause", pid=[sleeper.pid])
    second = faultd.start_fault("cpu-stress", parameters=CPU)
    faultd.stop_fault(first)
    faultd.stop_fault(second)
    for stream in streams:
        seen = {first["id"]: [], second["id"]: []}
        while seen[second["id"]][-1:] != ["done"]:
            event = stream.line()
            assert event["event"] == "state" and event["time"].endswith("Z")
            seen[event["id"]].append(event["state"])
            assert event["action"] == ("process-pause" if event["id"] == first["id"] else "cpu-stress")
        assert seen[first["id"]] == ["journaled", "applying", "active", "undoing", "done"]
        assert seen[second["id"]] == seen[first["id"]]
        stream.close()
    assert faultd.start_fault("cpu-stress", "100ms", parameters=CPU)  # to streams that are gone


# Routes


def test_every_route_answers(faultd, sleeper):
    status, actions = faultd.get("/v1/actions")
    assert status == 200
    names = [a["name"] for a in actions["actions"]]
    assert {"cpu-stress", "network-loss", "network-blackhole", "process-kill", "process-pause"} <= set(names)
    for action in actions["actions"]:
        assert "schema" not in action
        status, one = faultd.get(f"/v1/actions/{action['name']}")
        assert status == 200 and one["schema"]["type"] == "object"
        assert {k: one[k] for k in action} == action
        assert set(one["schema"]["properties"]) == {p["name"] for p in action["parameters"]}
        for alias in action["aliases"]:
            assert faultd.get(f"/v1/actions/{alias['name']}")[1]["name"] == action["name"]
    status, doctor = faultd.get("/v1/doctor")
    assert status == 200
    assert {c["status"] for c in doctor["checks"]} <= {"ok", "limited", "missing"}
    assert all(c["detail"] for c in doctor["checks"])
    status, s = faultd.get("/v1/status")
    assert status == 200
    assert s["pid"] == faultd.pid and s["openFaults"] == 0 and s["stuckFaults"] == 0
    assert s["guardian"]["connected"] and s["guardian"]["pid"] in faultd.stray_processes()
    assert faultd.get("/v1/faults") == (200, {"faults": []})
    fault = faultd.start_fault("process-pause", pid=[sleeper.pid])
    assert faultd.get("/v1/status")[1]["openFaults"] == 1
    status, stopped = faultd.request("POST", "/v1/recover")
    assert status == 200 and [f["id"] for f in stopped["faults"]] == [fault["id"]]
    assert stopped["faults"][0]["state"] == "done"
    assert faultd.request("POST", "/v1/recover") == (200, {"faults": []})


@pytest.mark.parametrize("method, path, status, code", [
    ("GET", "/", 404, "ResourceNotFoundException"),
    ("GET", "/v1", 404, "ResourceNotFoundException"),
    ("GET", "/v2/faults", 404, "ResourceNotFoundException"),
    ("GET", "/v1/faults/", 404, "ResourceNotFoundException"),
    ("GET", "/v1/faults/f-nothing", 404, "ResourceNotFoundException"),
    ("DELETE", "/v1/faults/f-nothing", 404, "ResourceNotFoundException"),
    ("GET", "/v1/faults/a/b/c", 404, "ResourceNotFoundException"),
    ("GET", "/v1/faults/" + "x" * 300, 404, "ResourceNotFoundException"),
    ("GET", "/v1/actions/no-such-action", 404, "ResourceNotFoundException"),
    ("GET", "/v1/Faults", 404, "ResourceNotFoundException"),
    ("GET", "/v1//faults", 404, "ResourceNotFoundException"),
    ("PUT", "/v1/faults", 405, "MethodNotAllowedException"),
    ("PATCH", "/v1/faults", 405, "MethodNotAllowedException"),
    ("POST", "/v1/status", 405, "MethodNotAllowedException"),
    ("DELETE", "/v1/actions", 405, "MethodNotAllowedException"),
    ("POST", "/v1/faults/f-nothing", 405, "MethodNotAllowedException"),
    ("GET", "/v1/recover", 405, "MethodNotAllowedException"),
    ("GET", "/v1/faults/f-nothing/renew", 405, "MethodNotAllowedException"),
    ("BREW", "/v1/faults", 405, "MethodNotAllowedException"),
])
def test_unknown_paths_and_methods(faultd, method, path, status, code):
    got, error = faultd.request(method, path)
    assert (got, error["code"], faultd.error_type) == (status, code, code)
    assert error["message"] and "\n" not in error["message"]


def test_open_faults_first_and_the_newest_of_each_first(faultd):
    faults = [faultd.start_fault("cpu-stress", parameters=CPU) for _ in range(5)]
    ids = [f["id"] for f in faults]
    faultd.stop_fault(faults[0])
    faultd.stop_fault(faults[2])
    listed = faults_of(faultd)
    assert [f["id"] for f in listed] == [ids[4], ids[3], ids[1], ids[2], ids[0]]
    assert [f["state"] for f in listed] == ["active"] * 3 + ["done"] * 2


def test_delete_all_stops_all_and_says_which(faultd, sleeper):
    before = HostState(pids=[sleeper.pid])
    ended = faultd.start_fault("cpu-stress", parameters=CPU)
    faultd.stop_fault(ended)
    opened = [faultd.start_fault("cpu-stress", parameters=CPU), faultd.start_fault("process-pause", pid=[sleeper.pid])]
    status, stopped = faultd.request("DELETE", "/v1/faults")
    assert status == 200
    assert {f["id"] for f in stopped["faults"]} == {f["id"] for f in opened}
    assert {f["state"] for f in stopped["faults"]} == {"done"}
    assert faultd.request("DELETE", "/v1/faults") == (200, {"faults": []})
    assert faultd.journals() == []
    assert_put_back(before, lambda: HostState(pids=[sleeper.pid]))


def test_finished_faults_can_still_be_seen(faultd, sleeper):
    ids = []
    for _ in range(150):
        fault = faultd.start_fault("process-pause", pid=[sleeper.pid])
        faultd.stop_fault(fault)
        ids.append(fault["id"])
    assert len(set(ids)) == 150
    shown = [f["id"] for f in faults_of(faultd)]
    assert 100 <= len(shown) <= 140
    assert shown == ids[::-1][:len(shown)]
    assert faultd.get(f"/v1/faults/{ids[0]}")[0] == 404
    assert faultd.get(f"/v1/faults/{ids[-1]}")[1]["state"] == "done"


def test_a_kill_has_its_result(faultd, sleeper):
    fault = faultd.start_fault("process-kill", None, confirm=True, pid=[sleeper.pid])
    assert sleeper.wait(harness.PATIENCE) == -signal.SIGTERM
    ended = faultd.wait_state(fault, "done")
    assert ended["reason"] == "completed" and ended["irreversible"]
    (result,) = ended["results"]
    assert result.pop("afterMs") >= 1
    assert result == {"pid": sleeper.pid, "name": f"fdv{os.getpid()}", "signal": "SIGTERM", "outcome": "exited"}
    assert {f["name"]: f["value"] for f in ended["figures"]} == {"signalled": 1, "exited": 1}


# Several at once


@pytest.mark.parametrize("n", [2, 30])
def test_faults_that_start_and_end_together(faultd, n):
    before = HostState()
    answers = []

    def post():
        d = harness.Faultd(faultd.directory, start=False)
        answers.append(d.fault("cpu-stress", "60s", parameters=CPU))

    threads = [threading.Thread(target=post) for _ in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [status for status, _ in answers] == [201] * n, answers
    assert len(harness.processes_named("faultd-load")) == n
    assert len(faultd.journals()) == n
    assert faultd.get("/v1/status")[1]["openFaults"] == n
    deleters = [threading.Thread(target=lambda f=f: harness.Faultd(faultd.directory, start=False).stop_fault(f))
                for _, f in answers]
    for t in deleters:
        t.start()
    for t in deleters:
        t.join()
    assert {f["state"] for f in faults_of(faultd)} == {"done"}
    assert faultd.journals() == []
    assert_put_back(before, HostState)


def test_no_more_faults_than_the_policy_allows(configured):
    d = configured({"maxFaults": 2})
    faults = [d.start_fault("cpu-stress", parameters=CPU) for _ in range(2)]
    status, error = d.fault("cpu-stress", parameters=CPU)
    assert (status, error["code"], d.error_type) == (402, *["ServiceQuotaExceededException"] * 2)
    assert "2" in error["message"] and "maxFaults" in error["message"]
    assert len(d.journals()) == 2 and len(harness.processes_named("faultd-load")) == 2
    assert d.fault("cpu-stress", dryRun=True, parameters=CPU)[0] == 200
    d.stop_fault(faults[0])
    d.start_fault("cpu-stress", parameters=CPU)


# Policy


def test_the_longest_duration(configured):
    d = configured({"maxDuration": "1m"})
    assert d.fault("cpu-stress", "60s", dryRun=True, parameters=CPU)[0] == 200
    status, error = d.fault("cpu-stress", "60001ms", dryRun=True, parameters=CPU)
    assert (status, error["field"], error["allowed"]) == (400, "duration", "1m")
    assert "maxDuration" in error["message"]


@pytest.mark.parametrize("policy, confirm, status", [
    ("confirm", False, 400), ("confirm", True, 201), ("allow", False, 201), ("allow", True, 201),
    ("deny", False, 403), ("deny", True, 403)])
def test_what_cannot_be_undone_needs_consent(configured, sleeper, policy, confirm, status):
    d = configured({"irreversible": policy})
    got, answer = d.fault("process-kill", None, confirm=confirm, pid=[sleeper.pid])
    assert got == status, answer
    if status == 201:
        assert sleeper.wait(harness.PATIENCE) == -signal.SIGTERM
    else:
        assert sleeper.poll() is None
        assert answer["code"] == ("ValidationException" if status == 400 else "AccessDeniedException")
        assert answer.get("field") == ("confirm" if status == 400 else None)
    dry = d.fault("process-kill", None, dryRun=True, pid=[os.getppid()])[0]
    assert dry == (403 if policy == "deny" else 200)


def test_protected_processes(configured, sleeper):
    name = f"fdv{os.getpid()}"
    d = configured({"protectedProcesses": [name]})
    for action, parameters in (("process-pause", {"name": name}), ("process-kill", {"pid": [sleeper.pid]})):
        status, error = d.fault(action, confirm=True, parameters=parameters)
        assert (status, error["code"]) == (403, "AccessDeniedException"), error
        assert str(sleeper.pid) in error["message"] and name in error["message"]
    assert state_of(sleeper.pid) == "S"


def test_a_reload_takes_the_new_policy_and_never_a_broken_one(configured):
    d = configured({"maxDuration": "1m"})
    path = d.directory / "faultd.json"

    def longest(seconds):
        return d.fault("cpu-stress", f"{seconds}s", dryRun=True, parameters=CPU)[0] == 200

    fault = d.start_fault("cpu-stress", parameters=CPU)
    assert not longest(90)
    path.write_text('{"maxDuration": "2m"}')
    os.kill(d.pid, signal.SIGHUP)
    wait_for(lambda: longest(90), "the new policy")
    for n, broken in enumerate(['{"maxDuration": "9m"', '{"maxDuration": "9m", "nonsense": 1}', '{"maxDuration": 5}', "",
                                '{"maxDuration": "13h"}', "\0\0\0"], 1):
        path.write_text(broken)
        os.kill(d.pid, signal.SIGHUP)
        wait_for(lambda n=n: d.log().count("not reloaded") == n, f"told that {broken!r} was not taken")
        assert longest(120) and not longest(121)
    path.unlink()
    os.kill(d.pid, signal.SIGHUP)
    wait_for(lambda: d.log().count("not reloaded") == 7, "told that the file is missing")
    assert longest(120) and not longest(121)
    assert d.show(fault)["state"] == "active"


# The end of faultd


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_undoes_everything(faultd, sleeper, signum):
    before = HostState(pids=[sleeper.pid])
    for _ in range(20):
        faultd.start_fault("cpu-stress", parameters=CPU)
    faultd.start_fault("process-pause", pid=[sleeper.pid])
    attached = [faultd.attach("cpu-stress", **CPU) for _ in range(3)]
    for stream in attached:
        assert stream.line()["event"] == "start"
    events = faultd.stream("GET", "/v1/events")
    idle = harness.HTTPConnection(faultd.socket)
    idle.connect()
    os.kill(faultd.pid, signum)
    assert faultd.process.wait(harness.PATIENCE) == 0, faultd.log()
    for stream in attached:
        end = stream.until(lambda e: e["event"] == "end")
        assert (end["fault"]["state"], end["fault"]["reason"]) == ("done", "faultd is stopping")
        assert stream.line() is None
        stream.close()
    told = [e for e in iter(events.line, None) if e["state"] == "done"]
    assert len(told) == 24
    events.close()
    idle.close()
    assert not faultd.socket.exists()
    assert faultd.journals() == []
    wait_for(lambda: not faultd.stray_processes(), "guardian and workers gone")
    assert_put_back(before, lambda: HostState(pids=[sleeper.pid]))


def test_a_stop_twice_and_a_start_again(faultd, sleeper):
    faultd.start_fault("process-pause", pid=[sleeper.pid])
    faultd.process.terminate()
    faultd.process.terminate()
    assert faultd.process.wait(harness.PATIENCE) == 0
    assert not paused(sleeper.pid)
    faultd.start()
    assert faults_of(faultd) == []
    faultd.stop_fault(faultd.start_fault("process-pause", pid=[sleeper.pid]))
