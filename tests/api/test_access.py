# SPDX-License-Identifier: Apache-2.0
"""Who may: statements for callers, conditions, secrets in the configuration. Callers are other users, on the Unix
socket, which the test opens to all; root may everything."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

from lib import harness
from lib.fis import arn
from lib.harness import PATIENCE, wait_for

NOBODY, GROUP = 65534, 23456  # a group that no user of this host has
ROLE = "arn:aws:iam::000000000000:role/faultd"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CPU = {"percent": 1, "cpus": "1"}


@pytest.fixture
def made(root):
    daemons = []
    directory = pathlib.Path(tempfile.mkdtemp(prefix="fda"))  # that other users can enter
    directory.chmod(0o755)

    def make(statements=None, **settings):
        config = {"fis": {"region": "us-east-1", "account": "000000000000", "metadata": "off"}, **settings}
        if statements is not None:
            config["policy"] = {"Version": "2012-10-17", "Statement": statements}
        d = harness.Faultd(directory / f"d{len(daemons)}", config=config)
        d.socket.chmod(0o666)
        daemons.append(d)
        return d

    yield make
    for d in daemons:
        d.close()
    shutil.rmtree(directory)


def ask(d, method, path, body=None, uid=NOBODY, groups=()):
    """(status, answer) of another user's request."""
    argv = ["setpriv", f"--reuid={uid}", f"--regid={uid}", f"--groups={','.join(map(str, groups))}" if groups else
            "--clear-groups", "curl", "-s", "-X", method, "--unix-socket", d.socket, "-w", "\n%{http_code}",
            f"http://x{path}", *(["-d", json.dumps(body)] if body is not None else [])]  # fmt: skip
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=PATIENCE)
    text, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(text) if text else None


def allow(actions, principal=f"uid:{NOBODY}", resource="*", effect="Allow", **condition):
    statement = {"Effect": effect, "Principal": principal, "Action": actions, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


def template(token, action="aws:fis:wait", **members):
    return {"clientToken": token, "description": "x", "roleArn": ROLE, "stopConditions": [{"source": "none"}],
            "actions": {"a": {"actionId": action, "parameters": {"duration": "PT1H"}}}, **members}  # fmt: skip


def denied(answer, action, resource):
    status, error = answer
    assert status == 403, answer
    assert action in error["message"] and resource in error["message"], error
    return True


def test_nobody_without_a_statement(made):
    d = made([allow("fis:*", principal="uid:1")])
    for path in ("/v1/status", "/actions", "/nothing"):
        status, error = ask(d, "GET", path)
        assert status == 403 and str(NOBODY) in error["message"]
    assert d.get("/v1/status")[0] == d.get("/actions")[0] == 200  # root


def test_who_may_define_what(made):
    """CreateExperimentTemplate is asked of every action, of the template, of the role and for the tags."""
    d = made([allow("fis:CreateExperimentTemplate", resource=[arn("action", "aws:fis:*"), arn("experiment-template", "*")]),
              allow("fis:TagResource", resource=arn("experiment-template", "*"),
                    **{"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}),
              allow("iam:PassRole", resource=ROLE)])  # fmt: skip
    assert ask(d, "POST", "/experimentTemplates", template("1"))[0] == 200
    assert ask(d, "POST", "/experimentTemplates", template("2", tags={"team": "a"}))[0] == 200
    refused = [template("3", action="host:cpu-stress", roleArn=ROLE), template("4", tags={"team": "a", "cost": "b"}),
               template("5", roleArn="arn:aws:iam::000000000000:role/other")]
    assert denied(ask(d, "POST", "/experimentTemplates", refused[0]), "fis:CreateExperimentTemplate", "action/host:cpu-stress")
    assert denied(ask(d, "POST", "/experimentTemplates", refused[1]), "fis:TagResource", "experiment-template/*")
    assert denied(ask(d, "POST", "/experimentTemplates", refused[2]), "iam:PassRole", "role/other")
    assert denied(ask(d, "GET", "/experimentTemplates"), "fis:ListExperimentTemplates", "*")
    templates = d.get("/experimentTemplates")[1]["experimentTemplates"]
    assert len(templates) == 2
    denied(ask(d, "PATCH", f"/experimentTemplates/{templates[0]['id']}", {"description": "y"}),
           "fis:UpdateExperimentTemplate", templates[0]["arn"])
    denied(ask(d, "DELETE", f"/experimentTemplates/{templates[0]['id']}"), "fis:DeleteExperimentTemplate", templates[0]["arn"])
    assert d.get("/experimentTemplates")[1]["experimentTemplates"] == templates


def test_who_changes_what_a_role_does_passes_it(made):
    d = made([allow("fis:*"), allow("iam:PassRole", resource=ROLE, principal=f"gid:{GROUP}")])
    path = "/experimentTemplates/" + ask(d, "POST", "/experimentTemplates", template("1"), uid=0)[1]["experimentTemplate"]["id"]
    for patch in ({"actions": template("")["actions"]}, {"targets": {}}, {"roleArn": ROLE}):
        assert denied(ask(d, "PATCH", path, patch), "iam:PassRole", ROLE)
        assert ask(d, "PATCH", path, patch, groups=(GROUP,))[0] == 200
    assert ask(d, "PATCH", path, {"description": "y", "stopConditions": [{"source": "none"}]})[0] == 200


def test_limits_of_what_may_be_defined(made):
    """By the parameters as the action understands them, under whatever name they come."""
    d = made([allow(["fis:CreateExperimentTemplate", "iam:PassRole"]),
              allow("fis:CreateExperimentTemplate", effect="Deny", NumericGreaterThan={"fis:Parameter/percent": "50"}),
              allow("fis:CreateExperimentTemplate", effect="Deny", NumericGreaterThan={"fis:Duration": "120"})])
    hosts = {"h": {"resourceType": "aws:ec2:instance", "selectionMode": "ALL"}}
    tasks = {"h": {"resourceType": "aws:ecs:task", "selectionMode": "ALL", "parameters": {"cluster": "c"}}}

    def stress(token, percent, duration="PT2M", kind="host:cpu-stress"):
        parameters = {"duration": duration, "percent": percent}
        if kind == "aws:ssm:send-command":
            parameters = {"duration": duration, "documentArn": "arn:aws:ssm:us-east-1::document/AWSFIS-Run-CPU-Stress",
                          "documentParameters": json.dumps({"DurationSeconds": "60", "LoadPercent": percent})}
        task = kind.startswith("aws:ecs:")
        aimed = {"actionId": kind, "parameters": parameters, "targets": {"Tasks" if task else "Instances": "h"}}
        return ask(d, "POST", "/experimentTemplates", template(token, targets=tasks if task else hosts, actions={"a": aimed}))

    for i, kind in enumerate(("host:cpu-stress", "aws:ssm:send-command", "aws:ecs:task-cpu-stress")):
        status, answer = stress(f"a{i}", "50", kind=kind)
        assert status == 200, answer
        denied(stress(f"b{i}", "51", kind=kind), "fis:CreateExperimentTemplate", kind)
        denied(stress(f"c{i}", "50", "PT3M", kind=kind), "fis:CreateExperimentTemplate", kind)


def test_limits_of_a_role(made):
    """The same, for what an experiment does: a document's parameters are the action's."""
    role = "arn:aws:iam::000000000000:role/small"
    d = made(roles={role: {"Statement": [{
        "Effect": "Allow", "Action": "aws:ssm:send-command", "Resource": "arn:aws:ec2:*:*:instance/*",
        "Condition": {"NumericLessThanEquals": {"fis:Parameter/percent": "10"}}}]}})  # fmt: skip

    def run(percent):
        t = template(percent, roleArn=role, targets={"h": {"resourceType": "aws:ec2:instance", "selectionMode": "ALL"}},
                     actions={"a": {"actionId": "aws:ssm:send-command", "targets": {"Instances": "h"}, "parameters": {
                         "duration": "PT1M", "documentArn": "arn:aws:ssm:us-east-1::document/AWSFIS-Run-CPU-Stress",
                         "documentParameters": json.dumps({"DurationSeconds": "60", "LoadPercent": percent, "CPU": "1"})}}})
        status, answer = d.request("POST", "/experimentTemplates", t)
        assert status == 200, answer
        body = {"clientToken": percent, "experimentTemplateId": answer["experimentTemplate"]["id"]}
        x = d.request("POST", "/experiments", body)[1]["experiment"]["id"]
        return x, wait_for(lambda: (s := d.get(f"/experiments/{x}")[1]["experiment"]["state"])["status"] in ("running", "failed")
                           and s, "begun")

    x, state = run("10")
    assert state["status"] == "running"
    d.request("DELETE", f"/experiments/{x}")
    _, state = run("11")
    assert (state["status"], state["error"]["code"]) == ("failed", "AuthorizationFailure")


def test_who_may_start_what(made):
    """By a tag of the template, in a group; an explicit Deny wins."""
    test = {"StringEquals": {"aws:ResourceTag/Purpose": "Test"}}
    d = made([allow("fis:StartExperiment", principal=f"gid:{GROUP}", resource=arn("experiment-template", "*"), **test),
              allow(["fis:StartExperiment", "fis:TagResource", "fis:Get*", "fis:StopExperiment"], principal=f"gid:{GROUP}",
                    resource=arn("experiment", "*")),
              allow("fis:*", effect="Deny", principal="uid:1")])  # fmt: skip
    ids = [d.request("POST", "/experimentTemplates", template(p, tags={"Purpose": p}))[1]["experimentTemplate"]["id"]
           for p in ("Test", "Prod")]

    def start(i, token, **who):
        return ask(d, "POST", "/experiments", {"clientToken": token, "experimentTemplateId": ids[i]}, **who)

    member = {"groups": [12345, GROUP]}
    assert start(0, "a")[0] == 403  # not in the group
    denied(start(1, "b", **member), "fis:StartExperiment", ids[1])
    denied(start(0, "c", uid=1, **member), "fis:StartExperiment", ids[0])
    status, answer = start(0, "d", **member)
    assert status == 200, answer
    x = answer["experiment"]["id"]
    assert ask(d, "GET", f"/experiments/{x}", **member)[0] == 200
    denied(ask(d, "GET", "/experiments", **member), "fis:ListExperiments", "*")
    assert ask(d, "DELETE", f"/experiments/{x}", **member)[0] == 200
    reason = wait_for(lambda: (s := d.get(f"/experiments/{x}")[1]["experiment"]["state"])["status"] == "stopped" and s,
                      "stopped")["reason"]
    assert str(NOBODY) in reason


def test_the_lever_and_what_is_read(made):
    d = made([allow(["fis:GetSafetyLever", "faultd:Read", "fis:ListActions", "fis:List*Tags*"])])
    assert ask(d, "GET", "/safetyLevers/default")[0] == 200
    body = {"state": {"status": "engaged", "reason": "x"}}
    denied(ask(d, "PATCH", "/safetyLevers/default/state", body), "fis:UpdateSafetyLeverState", "safety-lever/default")
    assert d.get("/safetyLevers/default")[1]["safetyLever"]["state"]["status"] == "disengaged"
    for path in ("/v1/status", "/v1/faults", "/v1/actions", "/actions", f"/tags/{arn('safety-lever', 'default')}"):
        assert ask(d, "GET", path)[0] == 200, path
    denied(ask(d, "GET", "/actions/aws:fis:wait"), "fis:GetAction", "action/aws:fis:wait")
    denied(ask(d, "DELETE", "/v1/faults"), "faultd:StopFault", "*")
    denied(ask(d, "POST", "/v1/recover"), "faultd:Recover", "*")


def test_who_may_start_which_fault(made):
    """By the action and its parameters, whatever they are called and however they are written."""
    d = made([allow("faultd:StartFault", resource=arn("action", "host:cpu-stress"),
                    NumericLessThanEquals={"fis:Parameter/percent": "10", "fis:Duration": "60"}),
              allow("faultd:StopFault", effect="Deny")])  # fmt: skip

    def fault(action="cpu-stress", duration="30s", **parameters):
        body = {"action": action, "parameters": parameters, **({"duration": duration} if duration else {})}
        return ask(d, "POST", "/v1/faults", body)

    status, started = fault(**CPU, duration="1m")
    assert status == 201, started
    for refused in (fault(percent=11), fault(percent="11", dryRun=True), fault(), fault(percent=1, duration="61s"),
                    fault("AWSFIS-Run-CPU-Stress", LoadPercent="11", DurationSeconds="30", duration=None),
                    fault("AWSFIS-Run-CPU-Stress", LoadPercent="1", DurationSeconds="61", duration=None),
                    fault(percent=1, to=11, over="1s"), fault(percent=1, to=2, over="1s", **{"from": 11}),
                    fault("process-pause", pid=1)):
        assert refused[0] in (400, 403), refused
    denied(fault(percent=11), "faultd:StartFault", "action/host:cpu-stress")
    denied(fault(percent=1, to=11, over="1s"), "faultd:StartFault", "action/host:cpu-stress")
    assert ask(d, "POST", "/v1/faults", {"action": "cpu-stress", "duration": "30s", "dryRun": True,
                                         "parameters": {"percent": 1, "to": 10, "over": "1s"}})[0] == 200  # fmt: skip
    denied(fault("process-pause", name="none"), "faultd:StartFault", "action/host:process-pause")
    denied(fault("AWSFIS-Run-CPU-Stress", LoadPercent="11", DurationSeconds="30", duration=None), "faultd:StartFault",
           "action/host:cpu-stress")
    status, other = fault("AWSFIS-Run-CPU-Stress", LoadPercent="1", CPU="1", DurationSeconds="30", duration=None)
    assert status == 201, other
    denied(ask(d, "DELETE", f"/v1/faults/{started['id']}"), "faultd:StopFault", "*")
    assert {f["state"] for f in d.get("/v1/faults")[1]["faults"]} == {"active"}
    assert len(d.get("/v1/faults")[1]["faults"]) == 2


def test_a_member_of_too_many_groups(made):
    """Of whom it cannot be told in which groups it is: it may be in the one that is denied."""
    d = made([allow("*", principal="*"), allow("fis:ListActions", effect="Deny", principal=f"gid:{GROUP}")])
    assert ask(d, "GET", "/actions")[0] == 200
    many = list(range(30000, 30300))
    denied(ask(d, "GET", "/actions", groups=many), "fis:ListActions", "*")
    assert ask(d, "GET", "/targetResourceTypes", groups=many)[0] == 200


def run_once(directory, config, mode=0o640):
    path = directory / "config.json"
    path.write_text(json.dumps(config))
    path.chmod(mode)
    return subprocess.run([str(harness.FAULTD), "--runtime-dir", directory / "r", "--state-dir", directory / "s", "--config",
                           path], capture_output=True, text=True, timeout=PATIENCE)  # fmt: skip


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604, 0o641])
def test_secrets_that_others_may_read(tmp_path, mode):
    done = run_once(tmp_path, {"accessKeys": [{"accessKeyId": "AKIAEXAMPLE", "secretAccessKey": SECRET}]}, mode)
    assert done.returncode != 0
    assert "0640 or stricter" in done.stderr and SECRET not in done.stderr


@pytest.mark.parametrize("config, field", [
    ({"policy": {"Statement": [{"Effect": "Allow", "Principal": "user:fdnosuchuser", "Action": "*", "Resource": "*"}]}},
     "policy.Statement[0].Principal"),
    ({"policy": {"Statement": [{**allow("*"), "Condition": {"IpAddress": {"aws:SourceIp": "::1"}}}]}},
     "policy.Statement[0].Condition.IpAddress"),
    ({"accessKeys": [{"accessKeyId": "AKIAEXAMPLE", "secretAccessKey": SECRET, "Secret": SECRET}]}, "accessKeys[0].Secret"),
    ({"fis": {"listen": "0.0.0.0:80"}}, "fis.listen"),
])  # fmt: skip
def test_configurations_that_are_refused(tmp_path, config, field):
    done = run_once(tmp_path, config)
    assert done.returncode != 0
    assert field in done.stderr and SECRET not in done.stderr


def test_reload(made):
    """Statements are read anew; a broken file, or one that others may read now, changes nothing."""
    d = made([allow("fis:ListActions")])
    path = d.directory / "faultd.json"
    config = json.loads(path.read_text())

    def reload(text, told, mode=0o640):
        before = len(d.log())
        path.write_text(text)
        path.chmod(mode)
        os.kill(d.pid, signal.SIGHUP)
        wait_for(lambda: told in d.log()[before:], told)

    keys = [{"accessKeyId": "AKIAEXAMPLE", "secretAccessKey": SECRET}]
    assert ask(d, "GET", "/actions")[0] == 200
    reload(json.dumps({**config, "policy": {"Statement": [allow("fis:NoSuch")]}}), "not reloaded")
    reload(json.dumps({**config, "policy": {"Statement": []}, "accessKeys": keys}), "not reloaded", 0o644)
    assert ask(d, "GET", "/actions")[0] == 200
    reload(json.dumps({**config, "policy": {"Statement": []}, "accessKeys": keys}), "reloaded")
    assert ask(d, "GET", "/actions")[0] == 403
    reload(json.dumps({**config, "fis": {**config["fis"], "region": "eu-west-1"}}), "fis.region stays")
    assert ask(d, "GET", "/actions")[0] == 200
    assert ":us-east-1:" in d.get("/actions")[1]["actions"][0]["arn"]
    assert SECRET not in d.log()
