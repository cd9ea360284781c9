# SPDX-License-Identifier: Apache-2.0
"""FIS's API as AWS's own clients use it: boto3 and the `aws` CLI, signed, over TCP. All that is answered to boto3 is also
held against FIS's model as it came over the wire."""

import concurrent.futures
import contextlib
import datetime
import gzip
import json
import os
import pathlib
import re
import select
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest

boto3 = pytest.importorskip("boto3")

import botocore.config  # noqa: E402
import botocore.exceptions  # noqa: E402
import botocore.loaders  # noqa: E402

from lib import fis as lib  # noqa: E402
from lib import harness  # noqa: E402
from lib.harness import wait_for  # noqa: E402

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION, ACCOUNT = "eu-central-1", "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/faultd"
OTHER = "999999999999"
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "templates"
AWS = pathlib.Path("/usr/bin/aws")  # Debian's: botocore inside it is its own
OVER = ("completed", "stopped", "failed", "cancelled")


class Served(harness.Faultd):
    """A faultd that is asked over TCP, and for which every answer is checked."""

    def __init__(self, directory):
        settings = {"listen": "127.0.0.1:0", "region": REGION, "account": ACCOUNT, "metadata": "off",
                    "tags": {"Purpose": "Test"}}
        sets = pathlib.Path(directory) / "networks.json"
        sets.write_text(json.dumps({"use1-az1": ["192.0.2.0/24"]}))
        super().__init__(directory / "faultd", config={"fis": settings, "networkSets": str(sets),
                                                       "accessKeys": [{"accessKeyId": KEY, "secretAccessKey": SECRET}]})
        self.model = lib.model()
        self.checker = lib.Checker(self.model["shapes"])
        self.answered = set()

    @property
    def url(self):
        wait_for(lambda: "FIS API on http://" in self.log(), "it says where it listens")
        return re.findall(r"FIS API on (http://\S+)", self.log())[-1]

    def client(self, url=None, retries=None):
        config = botocore.config.Config(retries=retries or {"max_attempts": 0}, connect_timeout=5, read_timeout=20)
        client = boto3.client("fis", endpoint_url=url or self.url, region_name=REGION, aws_access_key_id=KEY,
                              aws_secret_access_key=SECRET, config=config)
        client.meta.events.register("before-parse.fis", self.check)
        return client

    def check(self, operation_model, response_dict, **_):
        body, status = json.loads(response_dict["body"]), response_dict["status_code"]
        if status < 300:
            self.checker.check(operation_model.output_shape.name, body, operation_model.name)
            self.answered.add(operation_model.name)
            return
        name = response_dict["headers"]["x-amzn-ErrorType"]
        assert lib.STATUS[name] == status and set(body) <= lib.ERROR_MEMBERS and 1 <= len(body["message"]) <= 1024


@pytest.fixture
def served(tmp_path, alone):
    d = Served(tmp_path)
    yield d
    d.close()


def template(**members):
    return {"description": "waits", "roleArn": ROLE, "stopConditions": [{"source": "none"}],
            "actions": {"wait": {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1H"}}}, **members}


def wait_state(client, experiment_id, *states):
    def look():
        x = client.get_experiment(id=experiment_id)["experiment"]
        return x if x["state"]["status"] in (states or OVER) else None

    return wait_for(look, f"{experiment_id}: {states or OVER}", pause=0.05)


@contextlib.contextmanager
def refused(error, *says):
    """By this class of the client's exceptions."""
    with pytest.raises(error) as e:
        yield
    message = e.value.response["Error"]["Message"]
    assert all(s in message for s in says), message
    assert e.value.response["Error"]["Code"] == error.__name__
    assert e.value.response["ResponseMetadata"]["HTTPStatusCode"] == lib.STATUS[error.__name__]


# boto3


def test_every_operation(served):
    """All 26; for those that a single-account host refuses, by the class that the client has for it."""
    fis = served.client()
    e = fis.exceptions
    host = {"host": {"resourceType": "aws:ec2:instance", "selectionMode": "ALL", "resourceTags": {"Purpose": "Test"}}}
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=5)
    t = fis.create_experiment_template(**template(targets=host, tags={"a b": "ü€"}, actions={
        "load": {"actionId": "host:cpu-stress", "targets": {"Instances": "host"},
                 "parameters": {"duration": "PT1M", "percent": "1"}}}))["experimentTemplate"]
    assert before < t["creationTime"] < before + datetime.timedelta(minutes=1) and t["creationTime"].tzinfo
    assert t["arn"] == f"arn:aws:fis:{REGION}:{ACCOUNT}:experiment-template/{t['id']}"
    assert fis.get_experiment_template(id=t["id"])["experimentTemplate"] == t
    assert [s["id"] for s in fis.list_experiment_templates()["experimentTemplates"]] == [t["id"]]
    changed = fis.update_experiment_template(id=t["id"], description="ü")["experimentTemplate"]
    assert changed["description"] == "ü" and changed["lastUpdateTime"] > t["lastUpdateTime"]

    x = fis.start_experiment(experimentTemplateId=t["id"], experimentOptions={"actionsMode": "skip-all"})["experiment"]
    x = wait_state(fis, x["id"], "completed")
    assert isinstance(x["endTime"], datetime.datetime) and x["startTime"] <= x["endTime"]
    assert x["actions"]["load"]["state"]["status"] == "skipped"
    assert [s["id"] for s in fis.list_experiments(experimentTemplateId=t["id"])["experiments"]] == [x["id"]]
    (target,) = fis.list_experiment_resolved_targets(experimentId=x["id"], targetName="host")["resolvedTargets"]
    assert target["targetName"] == "host" and target["targetInformation"]
    running = fis.start_experiment(experimentTemplateId=fis.create_experiment_template(**template())[
        "experimentTemplate"]["id"])["experiment"]
    wait_state(fis, running["id"], "running")
    fis.stop_experiment(id=running["id"])
    assert KEY in wait_state(fis, running["id"], "stopped")["state"]["reason"]

    action = fis.get_action(id="aws:ssm:send-command")["action"]
    assert action["parameters"]["documentArn"]["required"] is True
    assert "aws:fis:wait" in [a["id"] for a in fis.list_actions()["actions"]]
    assert "host:process" in [r["resourceType"] for r in fis.list_target_resource_types()["targetResourceTypes"]]
    assert fis.get_target_resource_type(resourceType="aws:eks:pod")["targetResourceType"]["parameters"]["namespace"]["required"]

    lever = fis.get_safety_lever(id="default")["safetyLever"]
    assert lever["arn"] == f"arn:aws:fis:{REGION}:{ACCOUNT}:safety-lever/default"
    for status in ("engaged", "disengaged"):
        state = {"status": status, "reason": f"wird {status}: größer"}
        assert fis.update_safety_lever_state(id="default", state=state)["safetyLever"]["state"] == state

    fis.tag_resource(resourceArn=t["arn"], tags={"c/d": "e=f&g", "h+i": ""})
    assert fis.list_tags_for_resource(resourceArn=t["arn"])["tags"] == {"a b": "ü€", "c/d": "e=f&g", "h+i": ""}
    fis.untag_resource(resourceArn=t["arn"], tagKeys=["a b", "h+i", "never"])
    assert fis.list_tags_for_resource(resourceArn=t["arn"])["tags"] == {"c/d": "e=f&g"}

    assert fis.list_target_account_configurations(experimentTemplateId=t["id"])["targetAccountConfigurations"] == []
    assert fis.list_experiment_target_account_configurations(experimentId=x["id"])["targetAccountConfigurations"] == []
    of_template = {"experimentTemplateId": t["id"], "accountId": OTHER}
    with refused(e.ValidationException, "single-account"):
        fis.create_target_account_configuration(**of_template, roleArn=ROLE)
    with refused(e.ResourceNotFoundException, OTHER):
        fis.get_target_account_configuration(**of_template)
    with refused(e.ResourceNotFoundException, OTHER):
        fis.update_target_account_configuration(**of_template, roleArn=ROLE)
    with refused(e.ResourceNotFoundException, OTHER):
        fis.delete_target_account_configuration(**of_template)
    with refused(e.ResourceNotFoundException, OTHER):
        fis.get_experiment_target_account_configuration(experimentId=x["id"], accountId=OTHER)

    assert fis.delete_experiment_template(id=t["id"])["experimentTemplate"]["id"] == t["id"]
    assert served.answered == set(served.model["operations"]) - {
        "CreateTargetAccountConfiguration", "GetTargetAccountConfiguration", "UpdateTargetAccountConfiguration",
        "DeleteTargetAccountConfiguration", "GetExperimentTargetAccountConfiguration"}
    assert fis.waiter_names == [], "FIS has none; a client polls"


def test_every_error_class(served):
    fis = served.client()
    e = fis.exceptions
    with refused(e.ResourceNotFoundException, "EXTnothing"):
        fis.get_experiment_template(id="EXTnothing")
    with refused(e.ResourceNotFoundException, "EXPnothing"):
        fis.stop_experiment(id="EXPnothing")
    with refused(e.ValidationException, "actions.wait.parameters.duration"):
        fis.create_experiment_template(**template(actions={"wait": {"actionId": "aws:fis:wait", "parameters": {
            "duration": "soon"}}}))
    t = fis.create_experiment_template(**template(), clientToken="once")["experimentTemplate"]
    with refused(e.ConflictException, t["id"]):
        fis.create_experiment_template(**template(description="another"), clientToken="once")
    running = [fis.start_experiment(experimentTemplateId=t["id"])["experiment"]["id"] for _ in range(5)]
    with refused(e.ServiceQuotaExceededException, "5"):
        fis.start_experiment(experimentTemplateId=t["id"])
    for x in running:
        fis.stop_experiment(id=x)
    with refused(e.ServiceQuotaExceededException, "21", "20"):
        fis.create_experiment_template(**template(actions={f"a{i}": template()["actions"]["wait"] for i in range(21)}))


def test_every_paginator(served):
    """A page of one, and all there are: the same."""
    fis = served.client()
    pages = botocore.loaders.Loader().load_service_model("fis", "paginators-1")["pagination"]
    targets = {n: {"resourceType": "aws:ec2:instance", "selectionMode": "ALL", "resourceTags": {"Purpose": "Test"}}
               for n in ("one", "two", "three")}
    actions = {n: {"actionId": "host:cpu-stress", "targets": {"Instances": n}, "parameters": {"duration": "PT1M", "percent": "1"}}
               for n in targets}
    ids = [fis.create_experiment_template(**template(targets=targets, actions=actions))["experimentTemplate"]["id"]
           for _ in range(3)]
    runs = []
    for t in ids:
        x = fis.start_experiment(experimentTemplateId=t, experimentOptions={"actionsMode": "skip-all"})["experiment"]["id"]
        wait_state(fis, x, "completed")
        runs.append(x)
    of = {"ListExperimentResolvedTargets": {"experimentId": runs[0]}, "ListTargetAccountConfigurations": {
        "experimentTemplateId": ids[0]}}
    seen = {}
    for operation, p in pages.items():
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        whole = getattr(fis, method)(**of.get(operation, {}), maxResults=100)
        assert "nextToken" not in whole, operation
        paginator = fis.get_paginator(method)
        parts = list(paginator.paginate(**of.get(operation, {}), PaginationConfig={"PageSize": 1}))
        assert all(len(part[p["result_key"]]) == 1 for part in parts) or not whole[p["result_key"]], operation
        assert [item for part in parts for item in part[p["result_key"]]] == whole[p["result_key"]], operation
        seen[operation] = len(parts)
        if len(parts) > 1:
            first = paginator.paginate(**of.get(operation, {}), PaginationConfig={"PageSize": 1, "MaxItems": 1}).build_full_result()
            rest = paginator.paginate(**of.get(operation, {}), PaginationConfig={
                "PageSize": 2, "StartingToken": first["NextToken"]}).build_full_result()
            assert first[p["result_key"]] + rest[p["result_key"]] == whole[p["result_key"]]
    assert seen.pop("ListTargetAccountConfigurations") == 1
    assert {k: seen.pop(k) for k in ("ListExperimentTemplates", "ListExperiments", "ListExperimentResolvedTargets")} == {
        "ListExperimentTemplates": 3, "ListExperiments": 3, "ListExperimentResolvedTargets": 3}
    assert all(n > 8 for n in seen.values()) and set(seen) >= {"ListActions", "ListTargetResourceTypes"}, seen


class LosesAnswers:
    """In front of faultd: asks it, and cuts the connection instead of answering, for the first `lose` requests."""

    def __init__(self, port, lose):
        self.port, self.lose, self.asked, self.open = port, lose, 0, True
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                with client, socket.create_connection(("127.0.0.1", self.port)) as there:
                    self.pass_on(client, there)

    def pass_on(self, client, there):
        while self.open:
            for s in select.select([client, there], [], [], 0.05)[0]:
                data = s.recv(1 << 20)
                if not data:
                    return
                if s is client:
                    there.sendall(data)
                elif self.asked < self.lose:
                    self.asked += 1
                    return
                else:
                    self.asked += 1
                    client.sendall(data)

    def close(self):
        self.open = False
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


def test_tried_again_it_is_done_once(served):
    """Answers that are lost on the way: the client asks again with the same token, signed anew, and one came of it."""
    port = urllib.parse.urlsplit(served.url).port
    with contextlib.closing(LosesAnswers(port, 2)) as way:
        fis = served.client(way.url, {"mode": "standard", "max_attempts": 5})
        created = fis.create_experiment_template(**template())
        assert created["ResponseMetadata"]["RetryAttempts"] == 2
    with contextlib.closing(LosesAnswers(port, 2)) as way:
        fis = served.client(way.url, {"mode": "standard", "max_attempts": 5})
        started = fis.start_experiment(experimentTemplateId=created["experimentTemplate"]["id"])
        assert started["ResponseMetadata"]["RetryAttempts"] == 2
    straight = served.client()
    assert len(straight.list_experiment_templates()["experimentTemplates"]) == 1
    assert [x["id"] for x in straight.list_experiments()["experiments"]] == [started["experiment"]["id"]]
    with contextlib.closing(LosesAnswers(port, 1)) as way:
        stopped = served.client(way.url, {"mode": "standard", "max_attempts": 5}).stop_experiment(id=started["experiment"]["id"])
        assert stopped["experiment"]["state"]["status"] in ("stopping", "stopped")
    with contextlib.closing(LosesAnswers(port, 0)) as way, refused(straight.exceptions.ResourceNotFoundException):
        served.client(way.url, {"mode": "standard", "max_attempts": 5}).get_experiment(id="EXPnothing")
    assert way.asked == 1, "what is the client's mistake is not tried again"


def test_a_client_waits_for_a_restart(served):
    """Nobody listens for a while: the client's retries reach the next faultd, which knows what the last one kept."""
    port = urllib.parse.urlsplit(served.url).port
    path = served.directory / "faultd.json"
    config = json.loads(path.read_text())
    config["fis"]["listen"] = f"127.0.0.1:{port}"
    fis = served.client(retries={"mode": "standard", "max_attempts": 10})
    t = fis.create_experiment_template(**template(), clientToken="kept")["experimentTemplate"]
    assert served.stop() == 0
    path.write_text(json.dumps(config))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(fis.create_experiment_template, **template(), clientToken="kept")
        served.start()
        answer = asked.result(60)
    assert answer["experimentTemplate"]["id"] == t["id"]
    assert len(fis.list_experiment_templates()["experimentTemplates"]) == 1


def test_many_clients_at_once(served):
    """Each with a connection of its own, all with the same token: one template, one experiment."""
    def ask(i):
        fis = served.client()
        t = fis.create_experiment_template(**template(), clientToken="the-one")["experimentTemplate"]["id"]
        return t, fis.start_experiment(experimentTemplateId=t, clientToken="the-one")["experiment"]["id"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(16)))) == 1
    fis = served.client()
    (x,) = fis.list_experiments()["experiments"]
    fis.stop_experiment(id=x["id"])
    wait_state(fis, x["id"], "stopped")


@pytest.mark.parametrize("how", ["restart", "many later"])
def test_a_start_tried_again_much_later(served, how):
    """Nothing is done to the host twice because faultd was restarted, or others ran, between the two."""
    fis = served.client()
    t = fis.create_experiment_template(**template())["experimentTemplate"]["id"]
    again = {"experimentTemplateId": t, "clientToken": "once", "experimentOptions": {"actionsMode": "skip-all"}}
    first = fis.start_experiment(**again)["experiment"]["id"]
    wait_state(fis, first, "completed")
    if how == "restart":
        assert served.stop() == 0
        served.start()
    else:
        for _ in range(40):
            x = fis.start_experiment(experimentTemplateId=t, experimentOptions={"actionsMode": "skip-all"})["experiment"]["id"]
            wait_state(fis, x, "completed")
    status, answer = served.request("POST", "/experiments", again)
    assert status == 409 and first in answer["message"], answer
    kept = served.get("/experiments?maxResults=100")[1]["experiments"]
    assert len(kept) == (1 if how == "restart" else 41)


# The examples


def examples():
    return sorted(EXAMPLES.glob("*.json"))


def test_examples_that_are_run(served):
    """Each is a template of FIS, and its preview tells on what its actions would fall. They aim at the host: nothing else
    is started."""
    fis = served.client()
    seen = {}
    for path in examples():
        body = json.loads(path.read_text())
        try:
            t = fis.create_experiment_template(**body)["experimentTemplate"]
        except fis.exceptions.ValidationException as e:
            seen[path.stem] = e.response["Error"]["Message"]
            continue
        x = fis.start_experiment(experimentTemplateId=t["id"], experimentOptions={"actionsMode": "skip-all"})["experiment"]
        x = wait_state(fis, x["id"])
        seen[path.stem] = x["state"]["status"] if x["state"]["status"] != "failed" else x["state"]
        assert set(x["actions"]) == set(body["actions"])
        assert all(a["state"]["status"] in ("skipped", "cancelled") for a in x["actions"].values()), x["actions"]
        assert t["actions"] == body["actions"] and t["tags"] == body["tags"], "it is kept as it was written"
        if x["state"]["status"] == "stopped":
            assert path.stem == "process-kill" and "nginx.service" in x["state"]["reason"], x["state"]
    left_out = {k: v for k, v in seen.items() if v not in ("completed", "stopped")}  # says why
    assert len(seen) >= 10 and not left_out, left_out
    assert served.get("/v1/faults")[1]["faults"] == []


# Debian's CLI


class Cli:
    """`aws fis …`; each costs a second or more."""

    def __init__(self, served, directory):
        self.env = {"PATH": os.environ["PATH"], "HOME": str(directory), "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
                    "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": "", "LC_ALL": "C.UTF-8"}
        self.url = served.url

    def run(self, *argv):
        return subprocess.run([str(AWS), "fis", *map(str, argv), "--endpoint-url", self.url, "--region", REGION, "--output", "json"],
                              env=self.env, capture_output=True, text=True, timeout=120)

    def __call__(self, *argv):
        done = self.run(*argv)
        assert done.returncode == 0, done
        return json.loads(done.stdout) if done.stdout.strip() else None

    def with_model(self, directory):
        """Debian's CLI does not know the lever, the preview and more that is younger than itself: it is told by the model."""
        model = directory / "fis" / "2020-12-01"
        model.mkdir(parents=True)
        source = pathlib.Path(botocore.__file__).parent / "data" / "fis" / "2020-12-01"
        with gzip.open(source / "service-2.json.gz") as f:
            (model / "service-2.json").write_bytes(f.read())
        shutil.copy(source / "paginators-1.json", model)
        self.env["AWS_DATA_PATH"] = str(directory)


@pytest.fixture
def aws(served, tmp_path):
    if not AWS.exists():
        pytest.skip("no /usr/bin/aws (package awscli)")
    return Cli(served, tmp_path)


def test_cli(served, aws):
    """A template's and an experiment's life, by the CLI as it is."""
    path = EXAMPLES / "cpu-stress.json"
    example = aws("create-experiment-template", "--cli-input-json", f"file://{path}")["experimentTemplate"]
    assert example["actions"] == json.loads(path.read_text())["actions"]
    assert datetime.datetime.fromisoformat(example["creationTime"]).timestamp() == pytest.approx(time.time(), abs=120)
    body = {k: json.dumps(v) if not isinstance(v, str) else v for k, v in template().items()}
    t = aws("create-experiment-template", "--description", body["description"], "--role-arn", ROLE, "--stop-conditions",
            body["stopConditions"], "--actions", body["actions"], "--tags", "Purpose=Test")["experimentTemplate"]
    x = aws("start-experiment", "--experiment-template-id", t["id"], "--tags", "Run=1")["experiment"]
    fis = served.client()
    wait_state(fis, x["id"], "running")
    assert aws("get-experiment", "--id", x["id"])["experiment"]["actions"]["wait"]["state"]["status"] == "running"
    listed = aws("list-experiments", "--query", "experiments[].[id,tags.Run]")
    assert listed == [[x["id"], "1"]]
    arn = f"arn:aws:fis:{REGION}:{ACCOUNT}:experiment/{x['id']}"
    assert aws("tag-resource", "--resource-arn", arn, "--tags", "who=me & you") is None
    assert aws("list-tags-for-resource", "--resource-arn", arn)["tags"] == {"Run": "1", "who": "me & you"}
    aws("stop-experiment", "--id", x["id"])
    assert wait_state(fis, x["id"])["state"]["status"] == "stopped"
    done = aws.run("stop-experiment", "--id", "EXPnothing")
    assert done.returncode == 254 and "(ResourceNotFoundException)" in done.stderr and "EXPnothing" in done.stderr
    aws("delete-experiment-template", "--id", t["id"])
    assert [s["id"] for s in fis.list_experiment_templates()["experimentTemplates"]] == [example["id"]]


def test_cli_with_the_model_of_today(served, aws, tmp_path):
    """The examples from their files, one started as a preview, and the lever."""
    aws.with_model(tmp_path / "models")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda p: aws("create-experiment-template", "--cli-input-json", f"file://{p}"), examples()))
    ids = {m["experimentTemplate"]["id"] for m in made}
    assert len(ids) == len(examples())
    x = aws("start-experiment", "--experiment-template-id", made[0]["experimentTemplate"]["id"], "--experiment-options",
            "actionsMode=skip-all")["experiment"]
    fis = served.client()
    assert wait_state(fis, x["id"])["state"]["status"] == "completed"
    targets = aws("list-experiment-resolved-targets", "--experiment-id", x["id"])["resolvedTargets"]
    assert [r["targetName"] for r in targets] == ["Host"]
    lever = aws("update-safety-lever-state", "--id", "default", "--state", "status=engaged,reason=an incident")["safetyLever"]
    assert lever["state"] == {"status": "engaged", "reason": "an incident"}
    cancelled = fis.start_experiment(experimentTemplateId=sorted(ids)[0])["experiment"]["id"]
    assert "an incident" in wait_state(fis, cancelled, "cancelled")["state"]["reason"]
    fis.update_safety_lever_state(id="default", state={"status": "disengaged", "reason": "over"})
    assert set(aws("list-experiment-templates", "--page-size", 3, "--query", "experimentTemplates[].id")) == ids
