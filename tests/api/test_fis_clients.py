# SPDX-License-Identifier: Apache-2.0
"""FIS's own clients drive faultd as they drive FIS: boto3 and the AWS CLI, signed, over TCP. What boto3 is answered is
held against its model as well."""

import json
import os
import pathlib
import re
import subprocess

import pytest

boto3 = pytest.importorskip("boto3")

import botocore.config  # noqa: E402

from lib import fis as lib  # noqa: E402
from lib import harness  # noqa: E402
from lib.harness import wait_for  # noqa: E402

KEY = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
REGION, ACCOUNT, OTHER = "eu-central-1", "111122223333", "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/faultd"
CLI = "/usr/bin/aws"  # Debian's
TARGETS = {"host": {"resourceType": "aws:ec2:instance", "selectionMode": "ALL", "resourceTags": {"Purpose": "Test"}}}
AIMED = {"stress": {"actionId": "aws:ssm:send-command", "targets": {"Instances": "host"}, "parameters": {
    "duration": "PT1M", "documentArn": f"arn:aws:ssm:{REGION}::document/AWSFIS-Run-CPU-Stress",
    "documentParameters": json.dumps({"DurationSeconds": "60", "LoadPercent": "1", "CPU": "1"})}}}


def template(**members):
    return {"description": "from a client", "roleArn": ROLE, "stopConditions": [{"source": "none"}], "targets": TARGETS,
            "actions": AIMED, **members}  # fmt: skip


@pytest.fixture
def remote(tmp_path, alone):
    d = harness.Faultd(tmp_path / "d", config={
        "fis": {"listen": "127.0.0.1:0", "region": REGION, "account": ACCOUNT, "metadata": "off", "tags": {"Purpose": "Test"}},
        "accessKeys": [{"accessKeyId": KEY[0], "secretAccessKey": KEY[1]}]})
    d.url = wait_for(lambda: re.findall(r"FIS API on (http://\S+)", d.log()), "where it listens")[-1]
    yield d
    d.close()


@pytest.fixture
def client(remote):
    """A boto3 client that fails where an answer is not as its model says."""
    c = boto3.client("fis", endpoint_url=remote.url, region_name=REGION, aws_access_key_id=KEY[0], aws_secret_access_key=KEY[1],
                     config=botocore.config.Config(retries={"max_attempts": 0}))
    checker = lib.Checker(lib.model()["shapes"])
    c.answered = set()

    def look(operation_model, response_dict, **_):
        if response_dict["status_code"] == 200:
            checker.check(operation_model.output_shape.name, json.loads(response_dict["body"]), operation_model.name)
            c.answered.add(operation_model.name)

    c.meta.events.register("before-parse.fis", look)
    return c


def test_boto3_drives_all_operations(client):
    c = client
    tags = {"Purpose": "Test"}
    t = c.create_experiment_template(**template(tags=tags))["experimentTemplate"]
    assert t["arn"] == f"arn:aws:fis:{REGION}:{ACCOUNT}:experiment-template/{t['id']}"
    assert c.get_experiment_template(id=t["id"])["experimentTemplate"] == t
    t = c.update_experiment_template(id=t["id"], description="changed")["experimentTemplate"]
    assert t["lastUpdateTime"] > t["creationTime"]
    (shown,) = c.list_experiment_templates()["experimentTemplates"]
    assert shown == {k: t[k] for k in shown}

    preview = c.start_experiment(experimentTemplateId=t["id"], experimentOptions={"actionsMode": "skip-all"})["experiment"]
    wait_for(lambda: c.get_experiment(id=preview["id"])["experiment"]["state"]["status"] == "completed", "the preview")
    (target,) = c.list_experiment_resolved_targets(experimentId=preview["id"], targetName="host")["resolvedTargets"]
    assert target["targetInformation"]["arn"].startswith(f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-")
    x = c.start_experiment(experimentTemplateId=t["id"], tags=tags)["experiment"]
    wait_for(lambda: c.get_experiment(id=x["id"])["experiment"]["actions"]["stress"]["state"]["status"] == "running", "running")
    c.stop_experiment(id=x["id"])
    ended = wait_for(lambda: (e := c.get_experiment(id=x["id"])["experiment"])["state"]["status"] == "stopped" and e, "stopped")
    assert KEY[0] in ended["state"]["reason"]
    assert [e["id"] for e in c.list_experiments(experimentTemplateId=t["id"])["experiments"]] == [x["id"], preview["id"]]

    assert c.get_action(id=c.list_actions()["actions"][0]["id"])["action"]["parameters"] is not None
    kind = c.list_target_resource_types()["targetResourceTypes"][0]["resourceType"]
    assert c.get_target_resource_type(resourceType=kind)["targetResourceType"]["resourceType"] == kind

    for state in ("engaged", "disengaged"):
        lever = c.update_safety_lever_state(id="default", state={"status": state, "reason": "a drill"})["safetyLever"]
        assert c.get_safety_lever(id="default")["safetyLever"] == lever
        assert lever["state"] == {"status": state, "reason": "a drill"}

    for arn in (t["arn"], x["arn"]):
        c.tag_resource(resourceArn=arn, tags={"a b/+=": "ü€ &?"})
        assert c.list_tags_for_resource(resourceArn=arn)["tags"] == {**tags, "a b/+=": "ü€ &?"}
        c.untag_resource(resourceArn=arn, tagKeys=["a b/+=", "Purpose"])
        assert c.list_tags_for_resource(resourceArn=arn)["tags"] == {}

    assert c.list_target_account_configurations(experimentTemplateId=t["id"])["targetAccountConfigurations"] == []
    assert c.list_experiment_target_account_configurations(experimentId=x["id"])["targetAccountConfigurations"] == []
    c.delete_experiment_template(id=t["id"])
    assert len(c.answered) == 21  # all but the five on one target account's configuration


def test_boto3_hears_errors(client):
    c = client
    t = c.create_experiment_template(**template(clientToken="once"))["experimentTemplate"]["id"]
    here = {"experimentTemplateId": t, "accountId": OTHER}
    role = f"arn:aws:iam::{OTHER}:role/x"
    for error, call, arguments in (
        ("ResourceNotFoundException", c.get_experiment_template, {"id": "EXTnothing"}),
        ("ResourceNotFoundException", c.get_experiment, {"id": "EXPnothing"}),
        ("ResourceNotFoundException", c.get_target_account_configuration, here),
        ("ResourceNotFoundException", c.update_target_account_configuration, here),
        ("ResourceNotFoundException", c.delete_target_account_configuration, here),
        ("ResourceNotFoundException", c.get_experiment_target_account_configuration,
         {"experimentId": "EXPnothing", "accountId": OTHER}),
        ("ValidationException", c.create_target_account_configuration, {**here, "roleArn": role}),
        ("ValidationException", c.create_experiment_template, template(actions={"a": {"actionId": "aws:rds:failover-db-cluster"}})),
        ("ConflictException", c.create_experiment_template, template(clientToken="once", description="another")),
    ):  # fmt: skip
        with pytest.raises(getattr(c.exceptions, error)) as e:
            call(**arguments)
        assert e.value.response["Error"]["Code"] == error
        assert e.value.response["message"] or e.value.response["Error"]["Message"]
    for _ in range(5):
        c.start_experiment(experimentTemplateId=c.create_experiment_template(
            **template(targets={}, actions={"w": {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1H"}}})
        )["experimentTemplate"]["id"])
    with pytest.raises(c.exceptions.ServiceQuotaExceededException):
        c.start_experiment(experimentTemplateId=t)


def test_boto3_pages(client):
    c = client
    ids = [c.create_experiment_template(**template())["experimentTemplate"]["id"] for _ in range(5)]
    for i in ids:
        c.start_experiment(experimentTemplateId=i, experimentOptions={"actionsMode": "skip-all"})
    wait_for(lambda: all(e["state"]["status"] == "completed" for e in c.list_experiments()["experiments"]), "the previews")
    paged = 0
    for operation, member in (("list_experiment_templates", "experimentTemplates"), ("list_experiments", "experiments"),
                              ("list_actions", "actions"), ("list_target_resource_types", "targetResourceTypes")):
        whole = getattr(c, operation)()[member]
        if c.can_paginate(operation):
            pages = list(c.get_paginator(operation).paginate(PaginationConfig={"PageSize": 2}))
            assert [i for p in pages for i in p[member]] == whole and len(pages) == (len(whole) + 1) // 2
            paged += 1
    assert paged > 0 or not c.can_paginate("list_experiments")


@pytest.fixture
def cli(remote, tmp_path):
    if not pathlib.Path(CLI).exists():
        pytest.skip(f"no {CLI}")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    environment |= {"AWS_ACCESS_KEY_ID": KEY[0], "AWS_SECRET_ACCESS_KEY": KEY[1], "AWS_DEFAULT_REGION": REGION, "HOME": str(tmp_path),
                    "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1", "AWS_PAGER": ""}  # fmt: skip

    def run(*argv, fails=None):
        done = subprocess.run([CLI, "--endpoint-url", remote.url, "fis", *map(str, argv)], capture_output=True, text=True,
                              env=environment, timeout=60)
        if fails:
            assert done.returncode != 0 and fails in done.stderr, done
            return None
        assert done.returncode == 0, done
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def test_the_cli(cli, tmp_path):
    path = tmp_path / "template.json"
    path.write_text(json.dumps(template(clientToken="cli")))
    t = cli("create-experiment-template", "--cli-input-json", f"file://{path}")["experimentTemplate"]
    cli("create-experiment-template", "--cli-input-json", f"file://{path}")  # the same
    assert [i["id"] for i in cli("list-experiment-templates")["experimentTemplates"]] == [t["id"]]
    arn = f"arn:aws:fis:{REGION}:{ACCOUNT}:experiment-template/{t['id']}"  # that this CLI's model does not show
    cli("tag-resource", "--resource-arn", arn, "--tags", "Purpose=Test,Team=a b")
    assert cli("list-tags-for-resource", "--resource-arn", arn)["tags"] == {"Purpose": "Test", "Team": "a b"}
    cli("untag-resource", "--resource-arn", arn, "--tag-keys", "Team")
    x = cli("start-experiment", "--experiment-template-id", t["id"])["experiment"]["id"]
    wait_for(lambda: cli("get-experiment", "--id", x)["experiment"]["state"]["status"] == "running", "running", timeout=60)
    cli("stop-experiment", "--id", x)
    wait_for(lambda: cli("get-experiment", "--id", x)["experiment"]["state"]["status"] == "stopped", "stopped", timeout=60)
    page = cli("list-actions", "--max-results", "3")
    assert len(page["actions"]) == 3
    assert cli("list-actions", "--next-token", page["nextToken"])["actions"][0] not in page["actions"]
    assert cli("get-target-resource-type", "--resource-type", "host:process")["targetResourceType"]
    cli("get-experiment", "--id", "EXPnothing", fails="ResourceNotFoundException")
    cli("list-actions", "--max-results", "0", fails="maxResults")
    cli("delete-experiment-template", "--id", t["id"])
