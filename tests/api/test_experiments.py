# SPDX-License-Identifier: Apache-2.0
"""Experiments through FIS's own API: what runs when, what stops it, what is left afterwards."""

import itertools
import json
import os
import random
import signal
import subprocess
import time

import pytest
from lib.disks import FIFREEZE, FITHAW, LoopMount
from lib.harness import FAULTCTL, Faultd, HostState, assert_put_back, state_of, wait_for

ROLE = "arn:aws:iam::000000000000:role/faultd"
OVER = ("completed", "stopped", "failed", "cancelled")
SPEED = 1200  # experiments' own time: a minute takes a twentieth of a second
_tokens = itertools.count()


def token():
    return f"token-{os.getpid()}-{next(_tokens)}"


def template(actions, targets=None, conditions=None, **more):
    body = {"clientToken": token(), "description": "a test", "roleArn": ROLE, "actions": actions,
            "stopConditions": conditions or [{"source": "none"}], **more}
    if targets:
        body["targets"] = targets
    return body


def wait_action(duration="PT1M", after=()):
    action = {"actionId": "aws:fis:wait", "parameters": {"duration": duration}}
    if after:
        action["startAfter"] = list(after)
    return action


class Lab:
    """A faultd, seen through FIS's operations."""

    def __init__(self, d):
        self.d = d

    def call(self, method, path, body=None, expect=200):
        status, answer = self.d.request(method, path, body)
        assert status == expect, (status, answer)
        return answer

    def create(self, body):
        return self.call("POST", "/experimentTemplates", body)["experimentTemplate"]["id"]

    def begin(self, template_id, expect=200, **options):
        body = {"clientToken": token(), "experimentTemplateId": template_id}
        if options:
            body["experimentOptions"] = options
        answer = self.call("POST", "/experiments", body, expect)
        return answer["experiment"]["id"] if expect == 200 else answer

    def run(self, body, **options):
        return self.begin(self.create(body), **options)

    def show(self, x):
        return self.call("GET", f"/experiments/{x}")["experiment"]

    def status(self, x):
        return self.show(x)["state"]["status"]

    def wait(self, x, *states, timeout=20):
        return wait_for(lambda: (e := self.show(x))["state"]["status"] in (states or OVER) and e, f"{x} {states or OVER}",
                        timeout)

    def stop(self, x):
        return self.call("DELETE", f"/experiments/{x}")["experiment"]

    def log(self, x):
        with_lines = self.d.stream("GET", f"/v1/experiments/{x}/log?follow=true")
        assert with_lines.status == 200
        records = list(iter(with_lines.line, None))
        with_lines.close()
        return records

    def open_faults(self):
        return [f for f in self.d.get("/v1/faults")[1]["faults"] if f["state"] not in ("done", "failed")]


@pytest.fixture
def lab(faultd):
    return Lab(faultd)


@pytest.fixture
def fast(tmp_path, alone):
    d = Faultd(tmp_path / "faultd", env={"FAULTD_CLOCK_SPEED": str(SPEED)})
    yield Lab(d)
    d.close()


# What runs when


def test_one_action(lab, victim):
    x = lab.run(template({"Pause": {"actionId": "host:process-pause", "parameters": {"duration": "30s"},
                                    "targets": {"Processes": "Victim"}}},
                         {"Victim": {"resourceType": "host:process", "parameters": {"pattern": "^sleep 600$"},
                                     "selectionMode": "ALL"}}))
    wait_for(lambda: state_of(victim.pid) == "T", "the victim is stopped")
    e = lab.wait(x, "running")
    assert e["actions"]["Pause"]["state"]["status"] in ("initiating", "running")
    lab.stop(x)
    e = lab.wait(x)
    assert (e["state"]["status"], e["actions"]["Pause"]["state"]["status"]) == ("stopped", "stopped")
    assert state_of(victim.pid) != "T"
    assert lab.open_faults() == []


def random_graph(chance):
    n = chance.randint(1, 20)
    names = [f"a{i}" for i in range(n)]
    return {name: [other for other in names[:i] if chance.random() < 0.15] for i, name in enumerate(names)}


def model(graph, minutes, parallel=10):
    """When each action starts, if none is late: (start, end) in minutes."""
    spans, running, now = {}, {}, 0
    while len(spans) < len(graph):
        over = {n for n, (_, end) in spans.items() if end <= now}
        running = {n for n in spans if n not in over}
        for name, after in graph.items():
            if name not in spans and len(running) < parallel and all(a in over for a in after):
                spans[name] = (now, now + minutes[name])
                running.add(name)
        if len(spans) < len(graph):
            now = min(spans[n][1] for n in running)
    return spans


def check_run(graph, e, parallel=10):
    """Whatever the pace: nothing before what it starts after, never more than ten, all completed."""
    actions = e["actions"]
    assert e["state"]["status"] == "completed", e["state"]
    assert all(a["state"]["status"] == "completed" for a in actions.values())
    for name, after in graph.items():
        for other in after:
            assert actions[name]["startTime"] >= actions[other]["endTime"], (name, other)
    for a in actions.values():
        at = a["startTime"]
        assert sum(b["startTime"] <= at < b["endTime"] for b in actions.values()) <= parallel


@pytest.mark.parametrize("batch", range(10))
def test_random_graphs(fast, batch):
    """500 graphs in all: the states are those of a model, and the whole takes about as long as it says."""
    chance = random.Random(batch)
    todo = [random_graph(chance) for _ in range(50)]
    running = {}
    while todo or running:
        while todo and len(running) < 5:
            graph = todo.pop()
            minutes = {name: chance.randint(1, 2) for name in graph}
            x = fast.run(template({name: wait_action(f"PT{minutes[name]}M", after) for name, after in graph.items()}))
            running[x] = graph, minutes
        for x in list(running):
            e = fast.show(x)
            if e["state"]["status"] in OVER:
                graph, minutes = running.pop(x)
                check_run(graph, e)
                least = max(end for _, end in model(graph, minutes).values()) * 60 / SPEED
                assert e["endTime"] - e["startTime"] >= least * 0.95
        time.sleep(0.01)


def test_parallel_limit(fast):
    x = fast.run(template({f"a{i}": wait_action() for i in range(20)}))
    e = fast.wait(x)
    check_run({name: [] for name in e["actions"]}, e)
    starts = sorted(a["startTime"] for a in e["actions"].values())
    assert starts[10] >= min(a["endTime"] for a in e["actions"].values())


def test_snapshot(fast):
    """What runs is what the template was when it was started."""
    t = fast.create(template({"Wait": wait_action("PT10M")}))
    x = fast.begin(t)
    fast.call("DELETE", f"/experimentTemplates/{t}")
    assert fast.wait(x)["actions"]["Wait"]["parameters"] == {"duration": "PT10M"}


def test_failure_ends_the_others(lab, victim):
    actions = {
        "Pause": {"actionId": "host:process-pause", "parameters": {"duration": "60s", "pid": str(victim.pid)}},
        "Wrong": {"actionId": "host:process-pause", "parameters": {"duration": "60s", "pid": "1"}},
        "Later": wait_action(after=["Pause"]),
    }
    x = lab.run(template(actions))
    e = lab.wait(x)
    states = {name: a["state"]["status"] for name, a in e["actions"].items()}
    assert e["state"]["status"] == "failed"
    assert states["Wrong"] == "failed" and states["Later"] == "cancelled"
    assert states["Pause"] in ("stopped", "cancelled")
    assert e["state"]["error"]["code"] == "AuthorizationFailure"
    assert e["state"]["error"]["location"] == "actions.Wrong"
    assert state_of(victim.pid) != "T"


# Targets


def test_nothing_matches(lab):
    nobody = {"Nobody": {"resourceType": "host:process", "parameters": {"name": "nobody-has-this"},
                         "selectionMode": "ALL"}}
    pause = {"Pause": {"actionId": "host:process-pause", "parameters": {"duration": "5s"},
                       "targets": {"Processes": "Nobody"}}}
    e = lab.wait(lab.run(template(pause, nobody)))
    assert (e["state"]["status"], e["state"]["error"]["code"]) == ("failed", "InvalidTarget")
    assert e["state"]["error"]["location"] == "targets.Nobody"
    e = lab.wait(lab.run(template(pause, nobody, experimentOptions={"emptyTargetResolutionMode": "skip"})))
    assert (e["state"]["status"], e["actions"]["Pause"]["state"]["status"]) == ("completed", "skipped")


def test_preview(lab, victim):
    x = lab.run(template({"Pause": {"actionId": "host:process-pause", "parameters": {"duration": "30s"},
                                    "targets": {"Processes": "Victim"}}},
                         {"Victim": {"resourceType": "host:process", "parameters": {"pattern": "^sleep 600$"},
                                     "selectionMode": "ALL"}}), actionsMode="skip-all")
    e = lab.wait(x)
    assert (e["state"]["status"], e["actions"]["Pause"]["state"]["status"]) == ("completed", "skipped")
    targets = lab.call("GET", f"/experiments/{x}/resolvedTargets")["resolvedTargets"]
    assert any(str(victim.pid) in json.dumps(t["targetInformation"]) for t in targets)
    assert lab.d.get("/v1/faults")[1]["faults"] == []


# What ends it


@pytest.mark.parametrize("moment", range(12))
def test_stop_at_any_moment(faultd, victim, moment):
    """Whenever it is stopped, the host is as it was before."""
    lab = Lab(faultd)
    before = HostState(pids=[victim.pid])
    actions = {
        "Pause": {"actionId": "host:process-pause", "parameters": {"duration": "1s", "pid": str(victim.pid)}},
        "Load": {"actionId": "host:cpu-stress", "parameters": {"duration": "1s", "percent": "5", "cpus": "1"}},
        "Again": {"actionId": "host:process-pause", "parameters": {"duration": "1s", "pid": str(victim.pid)},
                  "startAfter": ["Pause"]},
    }
    x = lab.run(template(actions))
    until = time.monotonic() + moment * 0.02 + (1 if moment >= 9 else 0)
    while time.monotonic() < until:
        lab.status(x)
    lab.stop(x)
    e = lab.wait(x)
    assert e["state"]["status"] in ("stopped", "completed")
    assert all(a["state"]["status"] in ("stopped", "cancelled", "completed") for a in e["actions"].values())
    assert lab.open_faults() == []
    assert state_of(victim.pid) != "T"
    assert_put_back(before, lambda: HostState(pids=[victim.pid]))


def test_stop_again(lab):
    x = lab.run(template({"Wait": wait_action()}))
    lab.wait(x, "running")
    lab.stop(x)
    e = lab.wait(x)
    assert e["state"]["status"] == "stopped"
    assert lab.stop(x)["state"]["status"] == "stopped"


def test_lever(lab, victim):
    pause = template({"Pause": {"actionId": "host:process-pause",
                                "parameters": {"duration": "60s", "pid": str(victim.pid)}}})
    t = lab.create(pause)
    x = lab.begin(t)
    wait_for(lambda: state_of(victim.pid) == "T", "the victim is stopped")
    answer = lab.call("PATCH", "/safetyLevers/default/state", {"state": {"status": "engaged", "reason": "enough"}})
    assert answer["safetyLever"]["state"] == {"status": "engaged", "reason": "enough"}
    assert state_of(victim.pid) != "T"
    e = lab.wait(x)
    assert e["state"]["status"] == "stopped" and "enough" in e["state"]["reason"]
    assert lab.wait(lab.begin(t))["state"]["status"] == "cancelled"
    status, refusal = lab.d.fault("process-pause", pid=victim.pid)
    assert status == 409 and "enough" in refusal["message"]
    assert lab.d.stop() == 0
    lab.d.start()
    assert lab.call("GET", "/safetyLevers/default")["safetyLever"]["state"]["status"] == "engaged"
    assert lab.d.fault("process-pause", pid=victim.pid)[0] == 409
    lab.call("PATCH", "/safetyLevers/default/state", {"state": {"status": "disengaged", "reason": "well again"}})
    assert lab.d.start_fault("process-pause", pid=victim.pid)["state"] == "active"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_faultd_ends(lab, victim, how):
    x = lab.run(template({"Pause": {"actionId": "host:process-pause",
                                    "parameters": {"duration": "60s", "pid": str(victim.pid)}},
                          "Later": wait_action(after=["Pause"])}))
    wait_for(lambda: state_of(victim.pid) == "T", "the victim is stopped")
    lab.wait(x, "running")
    os.kill(lab.d.pid, how)
    lab.d.process.wait(20)
    wait_for(lambda: state_of(victim.pid) != "T", "the victim goes on")
    lab.d.start()
    e = lab.show(x)
    assert e["state"]["status"] == "failed"
    assert e["state"]["error"]["code"] == "InternalFailure"
    assert e["actions"]["Pause"]["state"]["status"] == "failed"
    assert e["actions"]["Later"]["state"]["status"] == "cancelled"
    assert lab.call("GET", "/experiments")["experiments"][0]["state"]["status"] == "failed"


# Roles


def test_unknown_role(lab):
    body = template({"Wait": wait_action()})
    body["roleArn"] = "arn:aws:iam::000000000000:role/nobody"
    e = lab.wait(lab.run(body))
    assert (e["state"]["status"], e["state"]["error"]["code"]) == ("failed", "AuthorizationFailure")


def test_role_ceiling(tmp_path, alone):
    role = "arn:aws:iam::000000000000:role/small"
    config = {"roles": {role: {"Statement": [
        {"Effect": "Allow", "Action": ["host:cpu-stress"], "Resource": ["*"],
         "Condition": {"NumericLessThanEquals": {"fis:Parameter/percent": "10", "fis:Duration": "5"}}}]}}}
    d = Faultd(tmp_path / "faultd", config=config)
    try:
        lab = Lab(d)

        def stress(**parameters):
            body = template({"Load": {"actionId": "host:cpu-stress", "parameters": {"cpus": "1", **parameters}}})
            body["roleArn"] = role
            return lab.wait(lab.run(body))["state"]

        assert stress(percent="5", duration="1s")["status"] == "completed"
        for bad in ({"percent": "50", "duration": "1s"}, {"percent": "5", "duration": "10s"}):
            state = stress(**bad)
            assert (state["status"], state["error"]["code"]) == ("failed", "AuthorizationFailure"), state
        assert lab.open_faults() == []
    finally:
        d.close()


# Quotas and tokens


def test_active_quota(lab):
    t = lab.create(template({"Wait": wait_action()}))
    running = [lab.begin(t) for _ in range(5)]
    assert "5" in lab.begin(t, expect=402)["message"]
    lab.stop(running[0])
    lab.wait(running[0])
    running.append(lab.begin(t))
    for x in running[1:]:
        lab.stop(x)
        lab.wait(x)


def test_client_token(lab):
    t = lab.create(template({"Wait": wait_action()}))
    body = {"clientToken": token(), "experimentTemplateId": t}
    first = lab.call("POST", "/experiments", body)["experiment"]["id"]
    assert lab.call("POST", "/experiments", body)["experiment"]["id"] == first
    lab.call("POST", "/experiments", {**body, "experimentOptions": {"actionsMode": "skip-all"}}, expect=409)
    lab.stop(first)


# What is told


def test_log(fast):
    x = fast.run(template({"Wait": wait_action(), "Load": {"actionId": "host:cpu-stress",
                                                           "targets": {"Instances": "Host"}, "startAfter": ["Wait"],
                                                           "parameters": {"duration": "PT1S", "percent": "1", "cpus": "1"}}},
                          {"Host": {"resourceType": "aws:ec2:instance", "selectionMode": "ALL",
                                    "filters": [{"path": "State.Name", "values": ["running"]}]}}))
    lines = fast.log(x)  # followed to its end
    kinds = [line["log_type"] for line in lines]
    assert kinds == ["experiment-start", "target-resolution-start", "target-resolution-detail", "target-resolution-end",
                     "action-start", "action-end", "action-start", "action-end", "experiment-end"]
    assert all(line["version"] == "2" and line["id"] == x for line in lines)
    assert lines[2]["details"]["resolved_targets_count"] == 1
    assert lines[3]["details"]["resolved_targets"][0]["arn"].startswith("arn:aws:ec2:")
    assert lines[6]["details"]["action_targets"] == {"Instances": "Host"}
    assert lines[-1]["details"]["experiment_state"] == {"status": "completed", "reason": "Experiment completed."}
    assert fast.log(x) == lines


def test_events(fast):
    stream = fast.d.stream("GET", "/v1/events")
    x = fast.run(template({"Wait": wait_action()}))
    end = stream.until(lambda e: e["event"] == "record" and e["record"]["log_type"] == "experiment-end")
    assert end["id"] == x
    stream.close()
    fast.wait(x)


# faultctl


def test_faultctl(fast, tmp_path):
    path = tmp_path / "t.json"
    body = template({"Wait": wait_action(), "Then": wait_action(after=["Wait"])})
    del body["clientToken"]
    path.write_text(json.dumps(body))
    assert fast.d.ctl("template", "validate", path).returncode == 0
    done = fast.d.ctl("experiment", "start", path)
    assert done.returncode == 0, done
    assert "Wait completed" in done.stdout and "experiment completed" in done.stdout
    assert fast.call("GET", "/experimentTemplates")["experimentTemplates"] == []
    x = fast.call("GET", "/experiments")["experiments"][0]["id"]
    assert x in fast.d.ctl("experiment", "list", check=True).stdout
    assert "Then" in fast.d.ctl("experiment", "show", x, check=True).stdout
    logs = fast.d.ctl("experiment", "logs", x, check=True).stdout.splitlines()
    assert json.loads(logs[-1])["log_type"] == "experiment-end"
    preview = fast.d.ctl("experiment", "preview", path, check=True).stdout
    assert preview.split() == ["would", "run", "Wait", "aws:fis:wait", "Then", "aws:fis:wait", "after", "Wait"]
    t = fast.d.ctl("template", "create", path, check=True).stdout.strip()
    assert t in fast.d.ctl("template", "list", check=True).stdout
    assert json.loads(fast.d.ctl("template", "show", t, check=True).stdout)["id"] == t
    assert fast.d.ctl("template", "delete", t, check=True)
    assert fast.d.ctl("lever", check=True).stdout.startswith("disengaged")
    assert fast.d.ctl("lever", "engage", "a", "test", check=True).stdout.strip() == "engaged: a test"
    assert fast.d.ctl("lever", "disengage", "over", check=True).stdout.strip() == "disengaged: over"
    assert fast.d.ctl("lever", "engage").returncode == 2


def test_faultctl_interrupted(lab, victim):
    """Ctrl-C stops the experiment, and its end is waited for."""
    body = template({"Pause": {"actionId": "host:process-pause",
                               "parameters": {"duration": "60s", "pid": str(victim.pid)}}})
    t = lab.create(body)
    ctl = subprocess.Popen([str(FAULTCTL), "--socket", str(lab.d.socket), "experiment", "start", t],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: state_of(victim.pid) == "T", "the victim is stopped")
    ctl.send_signal(signal.SIGINT)
    out, err = ctl.communicate(timeout=20)
    assert ctl.returncode == 8, (out, err)
    assert state_of(victim.pid) != "T"


def test_faultctl_validates(lab, tmp_path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"actions": {"A": {"actionId": "no:such"}}, "stopConditions": []}))
    done = lab.d.ctl("template", "validate", path)
    assert done.returncode == 3
    assert "actions.A.actionId" in done.stderr and "roleArn" in done.stderr
    path.write_text("{\n oops")
    assert "line 2" in lab.d.ctl("template", "validate", path).stderr


# What has gone wrong


def test_first_failure_is_reported(lab, victim):
    """The one that fails first, whatever the template's order, and what else runs is ended then."""
    actions = {
        "Abroad": {"actionId": "host:process-pause", "startAfter": ["Wait"],
                   "parameters": {"duration": "60s", "pid": "1"}},
        "Pause": {"actionId": "host:process-pause", "parameters": {"duration": "60s", "pid": str(victim.pid)}},
        "Wait": wait_action(),
    }
    x = lab.run(template(actions))
    wait_for(lambda: state_of(victim.pid) == "T", "the victim is stopped")
    fault = wait_for(lab.open_faults, "a fault")[0]
    lab.d.stop_fault(fault)
    e = lab.wait(x)
    states = {name: a["state"]["status"] for name, a in e["actions"].items()}
    assert states == {"Abroad": "cancelled", "Pause": "failed", "Wait": "stopped"}
    assert e["state"]["status"] == "failed" and e["state"]["error"]["location"] == "actions.Pause"
    assert fault["id"] in e["state"]["reason"] and "stopped by uid" in e["state"]["reason"]


def test_one_fault_for_each(lab):
    """resource-exhaust takes one pid: of two processes each has a fault of its own."""
    others = [subprocess.Popen(["sleep", "600.5"]) for _ in range(2)]
    try:
        body = template({"Exhaust": {"actionId": "host:resource-exhaust", "targets": {"Processes": "Them"},
                                     "parameters": {"duration": "60s", "resource": "files"}}},
                        {"Them": {"resourceType": "host:process", "parameters": {"pattern": "^sleep 600.5$"},
                                  "selectionMode": "ALL"}})
        x = lab.run(body)
        e = lab.wait(x, "running", *OVER)
        assert e["state"]["status"] == "running", e["state"]
        assert len(lab.open_faults()) == 2
        lab.stop(x)
        assert lab.wait(x)["state"]["status"] == "stopped"
        assert lab.open_faults() == []
    finally:
        for p in others:
            p.kill()
            p.wait()


def test_process_gone_since(fast):
    """A process that was chosen and has ended since: not its pid is aimed at."""
    gone = subprocess.Popen(["sleep", "600.75"])
    try:
        x = fast.run(template({"Wait": wait_action("PT20M"),
                               "Pause": {"actionId": "host:process-pause", "startAfter": ["Wait"],
                                         "parameters": {"duration": "5s"}, "targets": {"Processes": "Gone"}}},
                              {"Gone": {"resourceType": "host:process", "parameters": {"pattern": "^sleep 600.75$"},
                                        "selectionMode": "ALL"}}))
        fast.wait(x, "running")
    finally:
        gone.kill()
        gone.wait()
    e = fast.wait(x)
    assert (e["state"]["status"], e["state"]["error"]["code"]) == ("failed", "InvalidTarget"), e["state"]
    assert "ended since" in e["actions"]["Pause"]["state"]["reason"]
    assert fast.d.get("/v1/faults")[1]["faults"] == []


def test_one_process_gone_of_two(fast):
    both = [subprocess.Popen(["sleep", "600.75"]) for _ in range(2)]
    try:
        x = fast.run(template({"Wait": wait_action("PT20M"),
                               "Pause": {"actionId": "host:process-pause", "startAfter": ["Wait"],
                                         "parameters": {"duration": "500ms"}, "targets": {"Processes": "Both"}}},
                              {"Both": {"resourceType": "host:process", "parameters": {"pattern": "^sleep 600.75$"},
                                        "selectionMode": "ALL"}}))
        fast.wait(x, "running")
        both[0].kill()
        both[0].wait()
        wait_for(lambda: state_of(both[1].pid) == "T", "the other one is stopped")
        assert fast.wait(x)["state"]["status"] == "completed"
    finally:
        for p in both:
            p.kill()
            p.wait()


def test_recover_stops_experiments(lab, victim):
    x = lab.run(template({"Pause": {"actionId": "host:process-pause",
                                    "parameters": {"duration": "60s", "pid": str(victim.pid)}},
                          "Wait": wait_action()}))
    wait_for(lambda: state_of(victim.pid) == "T", "the victim is stopped")
    assert lab.d.request("POST", "/v1/recover")[0] == 200
    assert state_of(victim.pid) != "T"
    e = lab.wait(x)
    assert e["state"]["status"] == "stopped" and "uid" in e["state"]["reason"]
    assert {a["state"]["status"] for a in e["actions"].values()} == {"stopped"}


def test_document_outlives_its_action(fast):
    """As with FIS: the action is over, what the document does goes on."""
    parameters = {"documentArn": "arn:aws:ssm:us-east-1::document/AWSFIS-Run-CPU-Stress", "duration": "PT1M",
                  "documentParameters": json.dumps({"DurationSeconds": "60", "LoadPercent": "1", "CPU": "1"})}
    host = {"Host": {"resourceType": "aws:ec2:instance", "selectionMode": "ALL",
                     "filters": [{"path": "State.Name", "values": ["running"]}]}}
    actions = {"Load": {"actionId": "aws:ssm:send-command", "targets": {"Instances": "Host"}, "parameters": parameters}}
    x = fast.run(template(actions, host))
    assert fast.wait(x)["state"]["status"] == "completed"
    assert len(fast.open_faults()) == 1
    # But not when the experiment is stopped, where others go on.
    actions["Wait"] = wait_action("PT12H")
    x = fast.run(template(actions, host))
    wait_for(lambda: fast.show(x)["actions"]["Load"]["state"]["status"] == "completed", "the action is over")
    assert len(fast.open_faults()) == 2
    fast.stop(x)
    assert fast.wait(x)["state"]["status"] == "stopped"
    assert len(fast.open_faults()) == 1


def test_instant_action_is_monitored_for_its_duration(fast):
    victim = subprocess.Popen(["sleep", "600.125"])
    x = fast.run(template({"Kill": {"actionId": "host:process-kill",
                                    "parameters": {"pid": str(victim.pid), "duration": "1s"}}}))
    victim.wait()
    e = fast.wait(x)
    a = e["actions"]["Kill"]
    assert a["state"]["status"] == "completed"
    assert a["endTime"] - a["startTime"] >= 1 / SPEED


@pytest.mark.parametrize("value", ["metric=load1 below=1000000", "url=http://127.0.0.1:1/"])
def test_stop_condition_before_the_start(lab, victim, value):
    """No action begins."""
    source = "host:http" if "url" in value else "host:metric"
    x = lab.run(template({"Pause": {"actionId": "host:process-pause",
                                    "parameters": {"duration": "60s", "pid": str(victim.pid)}}},
                         conditions=[{"source": source, "value": value}]))
    e = lab.wait(x)
    assert e["state"]["status"] == "stopped" and source in e["state"]["reason"]
    assert e["actions"]["Pause"]["state"]["status"] == "cancelled"
    assert "startTime" not in e["actions"]["Pause"]
    assert lab.d.get("/v1/faults")[1]["faults"] == []


def test_log_of_an_interrupted_one_ends(lab, victim):
    x = lab.run(template({"Pause": {"actionId": "host:process-pause",
                                    "parameters": {"duration": "60s", "pid": str(victim.pid)}}}))
    lab.wait(x, "running")
    lab.d.kill()
    lab.d.start()
    lines = lab.log(x)
    assert lines[-1]["log_type"] == "experiment-end"
    assert lines[-1]["details"]["experiment_state"]["status"] == "failed"
    if "startTime" in lab.show(x)["actions"]["Pause"]:  # had the disk heard of it?
        assert [line["log_type"] for line in lines[-3:-1]] == ["action-error", "action-end"]
        assert lines[-2]["details"]["action_id"] == "host:process-pause"
    for path in (lab.d.directory / "state" / "experiments").glob("*"):
        path.unlink()
    assert lab.log(x) == []


def test_token_outlives_a_restart(lab):
    t = lab.create(template({"Wait": wait_action()}))
    body = {"clientToken": token(), "experimentTemplateId": t, "tags": {"a": "b"}}
    first = lab.call("POST", "/experiments", body)["experiment"]["id"]
    assert lab.call("POST", "/experiments", body)["experiment"]["id"] == first
    lab.call("POST", "/experiments", {**body, "tags": {"a": "c"}}, expect=409)
    lab.stop(first)
    lab.wait(first)
    assert lab.d.stop() == 0
    lab.d.start()
    assert first in lab.call("POST", "/experiments", body, expect=409)["message"]


def test_large_template(fast):
    """Most of a MiB of it, five times at once: the loop turns all the same."""
    values = [[f"{i:02}{n:03}{'x' * 95}" for n in range(50)] for i in range(8)]
    target = {"resourceType": "host:process", "selectionMode": "ALL",
              "filters": [{"path": "Name", "values": v} for v in values]}
    actions = {f"a{i}": {"actionId": "host:process-pause", "description": "y" * 500, "targets": {"Processes": f"t{i}"},
                         "parameters": {"duration": "1s"}} for i in range(20)}
    actions["a19"] = wait_action()
    body = template(actions, {f"t{i}": target for i in range(19)},
                    experimentOptions={"emptyTargetResolutionMode": "skip"})
    assert len(json.dumps(body)) > 700_000
    status, answer = fast.d.request("POST", "/experimentTemplates", body)
    assert status == 200, str(answer)[:500]
    t = answer["experimentTemplate"]["id"]
    running = [fast.begin(t) for _ in range(5)]
    slowest = 0
    while any(fast.status(x) not in OVER for x in running):
        begun = time.monotonic()
        fast.d.get("/v1/status")
        slowest = max(slowest, time.monotonic() - begun)
    assert slowest < 2
    assert fast.d.stop() == 0
    fast.d.start()
    assert all(fast.status(x) == "completed" for x in running)


def test_large_log(fast):
    """Longer than what is kept for a client that does not read."""
    x = fast.run(template({"Wait": wait_action()}))
    fast.wait(x)
    lines = fast.log(x)
    path = fast.d.directory / "state" / "experiments" / f"{x}.ndjson"
    path.write_text((json.dumps({**lines[0], "details": {"much": "x" * 1000}}) + "\n") * 3000)
    assert len(fast.log(x)) == 3000


# The disk


def state_of_lever(lab):
    return lab.call("GET", "/safetyLevers/default")["safetyLever"]["state"]


def test_damaged_store_engages_the_lever(lab, victim):
    """Nobody can tell how it was left."""
    assert state_of_lever(lab)["status"] == "disengaged"  # nothing was ever kept
    assert lab.d.stop() == 0
    database = lab.d.directory / "state" / "faultd.db"
    database.write_bytes(b"not a database" * 1000)
    lab.d.start()
    state = state_of_lever(lab)
    assert state["status"] == "engaged" and "faultd.db.bad" in state["reason"]
    assert lab.d.fault("process-pause", pid=victim.pid)[0] == 409
    lab.call("PATCH", "/safetyLevers/default/state", {"state": {"status": "disengaged", "reason": "looked at"}})
    assert lab.d.start_fault("process-pause", pid=victim.pid)["state"] == "active"
    assert lab.d.stop() == 0
    lab.d.start()
    assert state_of_lever(lab) == {"status": "disengaged", "reason": "looked at"}


def test_unreadable_store_engages_the_lever(lab):
    assert lab.d.stop() == 0
    state = lab.d.directory / "state"
    for path in state.glob("faultd.db*"):
        path.unlink()
    (state / "faultd.db").symlink_to("elsewhere")
    (state / "faultd.db.bad").mkdir()
    lab.d.start()
    assert state_of_lever(lab)["status"] == "engaged"


def test_lost_store_is_written_again(lab, victim):
    t = lab.create(template({"Wait": wait_action()}))
    lab.call("PATCH", "/safetyLevers/default/state", {"state": {"status": "disengaged", "reason": "as it was"}})
    for path in (lab.d.directory / "state").glob("faultd.db*"):
        path.unlink()
    x = lab.begin(t)
    other = lab.create(template({"Wait": wait_action()}))  # is on disk when it is answered
    lab.stop(x)
    lab.wait(x)
    assert lab.d.stop() == 0
    lab.d.start()
    assert {e["id"] for e in lab.call("GET", "/experimentTemplates")["experimentTemplates"]} == {t, other}
    assert state_of_lever(lab) == {"status": "disengaged", "reason": "as it was"}
    assert lab.status(x) == "stopped"


def test_what_ends_with_faultd(lab, victim):
    """One that is stopped when faultd ends was stopped; its end is not told as a failure."""
    x = lab.run(template({"Wait": wait_action()}))
    lab.wait(x, "running")
    lab.d.request("DELETE", f"/experiments/{x}")
    assert lab.d.stop() == 0
    lab.d.start()
    assert lab.status(x) == "stopped"


def test_kept_only_so_many(tmp_path, alone):
    """Records and logs of older ones go; a token of one that is gone is a new one."""
    d = Faultd(tmp_path / "faultd", config={"fis": {"maxKeptExperiments": 3}}, env={"FAULTD_CLOCK_SPEED": str(SPEED)})
    try:
        fast = Lab(d)
        t = fast.create(template({"Wait": wait_action()}))
        begun = []
        for _ in range(5):
            begun.append(fast.begin(t))
            fast.wait(begun[-1])
        assert [e["id"] for e in fast.call("GET", "/experiments")["experiments"]] == begun[:1:-1]
        fast.call("GET", f"/experiments/{begun[0]}", expect=404)
        logs = d.directory / "state" / "experiments"
        wait_for(lambda: {p.stem for p in logs.iterdir()} == set(begun[2:]), "logs of the last three")
        assert d.stop() == 0
        d.start()
        assert [e["id"] for e in fast.call("GET", "/experiments")["experiments"]] == begun[:1:-1]
    finally:
        d.close()


def test_lever_on_a_disk_that_hangs(tmp_path, victim, alone):
    """It takes effect at once; that nobody knows whether it is kept is told within seconds, and it can be moved again."""
    mount = LoopMount(tmp_path / "disk")
    (tmp_path / "faultd").mkdir()
    (tmp_path / "faultd" / "state").symlink_to(mount.point)
    d = Faultd(tmp_path / "faultd")
    try:
        lab = Lab(d)
        d.start_fault("process-pause", pid=victim.pid)
        assert mount.ioctl(FIFREEZE) is None
        begun = time.monotonic()
        for status in ("engaged", "disengaged", "engaged"):
            answer = lab.call("PATCH", "/safetyLevers/default/state", {"state": {"status": status, "reason": "hangs"}},
                              expect=500)
            assert "not answered" in answer["message"]
            assert state_of_lever(lab) == {"status": status, "reason": "hangs"}
            assert state_of(victim.pid) != "T"
            refused = d.fault("process-pause", "1s", pid=victim.pid)[0] == 409
            assert refused == (status == "engaged")
            d.request("DELETE", "/v1/faults")
        assert 3 * 5 <= time.monotonic() - begun < 45
        assert mount.ioctl(FITHAW) is None
        lab.call("PATCH", "/safetyLevers/default/state", {"state": {"status": "engaged", "reason": "thawed"}})
        assert d.stop() == 0
        d.start()
        assert state_of_lever(lab) == {"status": "engaged", "reason": "thawed"}
    finally:
        mount.ioctl(FITHAW)
        d.close()
        mount.close()
