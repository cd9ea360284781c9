# SPDX-License-Identifier: Apache-2.0
"""FIS's own API over the Unix socket: all 26 operations against FIS's model, what is refused and how, pages, tokens,
tags, and who may."""

import concurrent.futures
import contextlib
import json
import pathlib
import random
import select
import socket
import tempfile

import pytest

from lib import fis as lib
from lib import harness
from lib.fis import Fis, arn
from lib.harness import wait_for

SETTINGS = {"fis": {"region": "us-east-1", "account": "000000000000", "metadata": "off"}}
WAIT = {"wait": {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1H"}}}
HOST = {"host": {"resourceType": "aws:ec2:instance", "selectionMode": "ALL", "resourceTags": {"Purpose": "Test"}}}
AIMED = {"stress": {"actionId": "host:cpu-stress", "targets": {"Instances": "host"},
                    "parameters": {"duration": "PT1M", "percent": "1"}}}
OTHER = "123456789012"  # no account of ours


def end(d):
    """It ends well, and with sanitizers says nothing, of leaks for instance."""
    status = d.stop()
    d.close()
    assert status == 0, d.log()
    assert "Sanitizer" not in d.log(), d.log()


@pytest.fixture
def made():
    """Makes faultds, each with its FIS; everything goes at the end."""
    with contextlib.ExitStack() as stack:
        def make(directory=None, **settings):
            directory = directory or stack.enter_context(tempfile.TemporaryDirectory(prefix="fis."))
            config = {**SETTINGS, **settings}
            config["fis"] = {**SETTINGS["fis"], "tags": {"Purpose": "Test"}, **settings.get("fis", {})}
            d = harness.Faultd(pathlib.Path(directory) / "d", config=config)
            stack.callback(end, d)
            return Fis(d)

        yield make


@pytest.fixture
def fis(made):
    return made()


def test_all_operations(fis):
    """Each of them answers, and each answer is as FIS's model says."""
    template_id = fis.create(targets=HOST, actions=AIMED, tags={"Purpose": "Test"})
    template_arn = arn("experiment-template", template_id)
    assert fis("GetExperimentTemplate", id=template_id)["experimentTemplate"]["arn"] == template_arn
    assert [t["id"] for t in fis("ListExperimentTemplates")["experimentTemplates"]] == [template_id]
    changed = fis("UpdateExperimentTemplate", id=template_id, description="another")["experimentTemplate"]
    assert changed["description"] == "another" and changed["lastUpdateTime"] > changed["creationTime"]

    x = fis("StartExperiment", clientToken="x", experimentTemplateId=template_id, tags={"a": "b"},
            experimentOptions={"actionsMode": "skip-all"})["experiment"]
    assert (x["state"]["status"], x["tags"], x["experimentOptions"]["actionsMode"]) == ("pending", {"a": "b"}, "skip-all")
    assert fis.wait_state(x["id"], "completed")["endTime"] >= x["creationTime"]
    assert [e["id"] for e in fis("ListExperiments")["experiments"]] == [x["id"]]
    (target,) = fis("ListExperimentResolvedTargets", experimentId=x["id"])["resolvedTargets"]
    assert (target["targetName"], target["resourceType"]) == ("host", "aws:ec2:instance")
    assert fis("StopExperiment", id=x["id"])["experiment"]["state"]["status"] == "completed"  # is over, stays so

    actions = fis.all("ListActions", "actions")
    for action in actions:
        whole = fis("GetAction", id=action["id"])["action"]
        assert {k: whole[k] for k in action} == action
    for name in fis.all("ListTargetResourceTypes", "targetResourceTypes"):
        assert fis("GetTargetResourceType", resourceType=name["resourceType"])

    assert fis("GetSafetyLever", id="default")["safetyLever"]["state"]["status"] == "disengaged"
    pulled = fis("UpdateSafetyLeverState", id="default", state={"status": "disengaged", "reason": "again"})
    assert pulled["safetyLever"]["state"] == {"status": "disengaged", "reason": "again"}

    assert fis("TagResource", resourceArn=template_arn, tags={"c": "d"}) == {}
    assert fis("ListTagsForResource", resourceArn=template_arn)["tags"] == {"Purpose": "Test", "c": "d"}
    assert fis("UntagResource", resourceArn=template_arn, tagKeys=["c", "nothing"]) == {}

    assert fis("ListTargetAccountConfigurations", experimentTemplateId=template_id)["targetAccountConfigurations"] == []
    assert fis("ListExperimentTargetAccountConfigurations", experimentId=x["id"])["targetAccountConfigurations"] == []
    role = {"roleArn": "arn:aws:iam::123456789012:role/x"}
    both = {"experimentTemplateId": template_id, "accountId": OTHER}
    assert "single-account" in fis.refused("CreateTargetAccountConfiguration", 400, **both, **role)
    assert OTHER in fis.refused("GetTargetAccountConfiguration", 404, **both)
    assert OTHER in fis.refused("UpdateTargetAccountConfiguration", 404, **both, **role)
    assert OTHER in fis.refused("DeleteTargetAccountConfiguration", 404, **both)
    assert OTHER in fis.refused("GetExperimentTargetAccountConfiguration", 404, experimentId=x["id"], accountId=OTHER)

    assert fis("DeleteExperimentTemplate", id=template_id)["experimentTemplate"]["id"] == template_id
    assert fis("ListExperimentTemplates")["experimentTemplates"] == []
    assert fis("GetExperiment", id=x["id"])["experiment"]["experimentTemplateId"] == template_id  # has its own copy

    never = {"CreateTargetAccountConfiguration", "GetTargetAccountConfiguration", "UpdateTargetAccountConfiguration",
             "DeleteTargetAccountConfiguration", "GetExperimentTargetAccountConfiguration"}
    assert fis.answered == set(fis.model["operations"]) - never


def test_what_is_not_there(fis):
    template_id = fis.create()
    for operation, parameters in (
        ("GetExperimentTemplate", {"id": "EXTnothing"}), ("DeleteExperimentTemplate", {"id": "EXTnothing"}),
        ("UpdateExperimentTemplate", {"id": "EXTnothing", "description": "x"}), ("GetExperiment", {"id": "EXPnothing"}),
        ("StopExperiment", {"id": "EXPnothing"}), ("ListExperimentResolvedTargets", {"experimentId": "EXPnothing"}),
        ("StartExperiment", {"clientToken": "x", "experimentTemplateId": "EXTnothing"}),
        ("GetAction", {"id": "host:nothing"}), ("GetTargetResourceType", {"resourceType": "host:nothing"}),
        ("GetSafetyLever", {"id": "other"}),
        ("UpdateSafetyLeverState", {"id": "other", "state": {"status": "engaged", "reason": "x"}}),
        ("ListTagsForResource", {"resourceArn": arn("experiment", "nothing")}),
        ("ListTagsForResource", {"resourceArn": arn("experiment-template", template_id, OTHER)}),
        ("ListTagsForResource", {"resourceArn": "arn:aws:ec2:us-east-1:000000000000:instance/i-0"}),
        ("TagResource", {"resourceArn": arn("experiment-template", "nothing"), "tags": {"a": "b"}}),
        ("UntagResource", {"resourceArn": arn("experiment-template", "nothing"), "tagKeys": ["a"]}),
        ("ListTargetAccountConfigurations", {"experimentTemplateId": "EXTnothing"}),
        ("GetTargetAccountConfiguration", {"experimentTemplateId": "EXTnothing", "accountId": OTHER}),
        ("ListExperimentTargetAccountConfigurations", {"experimentId": "EXPnothing"}),
        ("GetExperimentTargetAccountConfiguration", {"experimentId": "EXPnothing", "accountId": OTHER}),
    ):  # fmt: skip
        fis.refused(operation, 404, **parameters)
    assert "RDS" in (why := fis.refused("GetAction", 404, id="aws:rds:failover-db-cluster")) or "host" in why
    assert fis("GetSafetyLever", id="default")["safetyLever"]["state"]["status"] == "disengaged"


BAD = [  # operation or (method, path), parameters or body, what the message begins with
    ("StartExperiment", {}, "clientToken: required"),
    ("StartExperiment", {"clientToken": "x"}, "experimentTemplateId: required"),
    ("StartExperiment", {"clientToken": "", "experimentTemplateId": "T"}, "clientToken: 0 characters"),
    ("StartExperiment", {"clientToken": "a b", "experimentTemplateId": "T"}, "clientToken: has a blank"),
    ("StartExperiment", {"clientToken": "x" * 1025, "experimentTemplateId": "T"}, "clientToken: 1025 characters"),
    ("StartExperiment", {"clientToken": 1, "experimentTemplateId": "T"}, "clientToken: not a text"),
    ("StartExperiment", {"clientToken": "x", "experimentTemplateId": "T" * 65}, "experimentTemplateId: 65"),
    ("StartExperiment", {"clientToken": "x", "experimentTemplateId": "T", "option": 1}, "option: unknown member"),
    ("StartExperiment", {"clientToken": "x", "experimentTemplateId": "T", "experimentOptions": []}, "experimentOptions"),
    ("StartExperiment", {"clientToken": "x", "experimentTemplateId": "T", "experimentOptions": {"mode": "x"}},
     "experimentOptions.mode: unknown member"),
    ("StartExperiment", {"clientToken": "x", "experimentTemplateId": "T", "experimentOptions": {"actionsMode": "x"}},
     "experimentOptions.actionsMode"),
    ("StartExperiment", {"clientToken": "x", "experimentTemplateId": "T", "tags": []}, "tags"),
    ("StartExperiment", {"clientToken": "x", "experimentTemplateId": "T", "tags": {"a": 1}}, "tags.a"),
    ("StartExperiment", {"clientToken": "x", "experimentTemplateId": "T", "tags": {"AWS:x": ""}}, "tags.AWS:x"),
    ("StartExperiment", {"clientToken": "x", "experimentTemplateId": "T", "tags": {"": ""}}, "tags."),
    ("StartExperiment", {"clientToken": "x", "experimentTemplateId": "T", "tags": {"k" * 129: ""}}, "tags.kkk"),
    ("StartExperiment", {"clientToken": "x", "experimentTemplateId": "T", "tags": {"k": "v" * 257}}, "tags.k"),
    ("StartExperiment", {"clientToken": "x", "experimentTemplateId": "T", "tags": {str(i): "" for i in range(51)}}, "tags"),
    ("UpdateSafetyLeverState", {"id": "default"}, "state"),
    ("UpdateSafetyLeverState", {"id": "default", "state": {"status": "engaged"}}, "state.reason: required"),
    ("UpdateSafetyLeverState", {"id": "default", "state": {"status": "engaged", "reason": ""}}, "state.reason: 0"),
    ("UpdateSafetyLeverState", {"id": "default", "state": {"status": "engaging", "reason": "x"}}, "state.status"),
    ("UpdateSafetyLeverState", {"id": "default", "state": {"reason": "x"}}, "state.status: required"),
    ("UpdateSafetyLeverState", {"id": "default", "state": {"status": "engaged", "reason": "x", "y": 1}}, "state.y"),
    ("ListActions", {"maxResults": 0}, "maxResults"), ("ListActions", {"maxResults": 101}, "maxResults"),
    ("ListActions", {"maxResults": "many"}, "maxResults"), ("ListActions", {"maxResults": ""}, "maxResults"),
    ("ListActions", {"nextToken": ""}, "nextToken"), ("ListActions", {"nextToken": "zz"}, "nextToken"),
    ("ListActions", {"nextToken": "00" * 40}, "nextToken"), ("ListActions", {"nextToken": "a" * 4000}, "nextToken"),
    ("ListActions", {"nextToken": "abc"}, "nextToken"),
    (("GET", "/actions?maxResult=3"), None, "maxResult: unknown query parameter"),
    (("GET", "/actions?maxResults=3&maxResults=4"), None, "maxResults: given twice"),
    (("GET", "/actions/host:wait?x"), None, "x: unknown query parameter"),
    (("GET", "/experiments?targetName=x"), None, "targetName: unknown query parameter"),
    (("POST", "/experiments"), b"[]", "body"), (("POST", "/experiments"), b"{", "body"),
    (("POST", "/experiments"), b"\xff{}", "body"),
    (("POST", "/experiments"), b'{"clientToken":"x","clientToken":"y"}', "clientToken: given twice"),
    (("POST", "/experiments"), b'{"a":' * 30 + b"1" + b"}" * 30, "body"),
    (("PATCH", "/safetyLevers/default/state"), b"", "state"),
    (("POST", "/experimentTemplates"), b"[]", "body"),
]  # fmt: skip


def test_bad_requests(fis):
    """Each is told with the path of what is wrong, and nothing comes of it."""
    fis.create()
    for what, given, message in BAD:
        if isinstance(what, str):
            got = fis.refused(what, 400, **given)
        else:
            status, answer, name = fis.raw(*what, raw=given)
            assert (status, name) == (400, "ValidationException"), (what, given, answer)
            got = answer["message"]
        assert got.startswith(message), (what, given, got)
    assert len(fis("ListExperimentTemplates")["experimentTemplates"]) == 1
    assert fis("ListExperiments")["experiments"] == []
    assert fis("GetSafetyLever", id="default")["safetyLever"]["state"]["status"] == "disengaged"


def test_other_methods_and_paths(fis):
    for method, path in (("PUT", "/experiments"), ("POST", "/actions"), ("DELETE", "/safetyLevers/default"),
                         ("PATCH", "/experiments/EXP1"), ("PUT", "/tags/arn:aws:fis:x")):
        status, answer, name = fis.raw(method, path)
        assert (status, name) == (405, "MethodNotAllowedException"), (path, answer)
    for path in ("/experiments/EXP1/actions", "/safetyLevers", "/tags", "/tags/", "/experimentTemplates/"):
        status, answer, name = fis.raw("GET", path)
        assert (status, name) == (404, "ResourceNotFoundException"), (path, answer)


def test_templates_are_refused_whole(fis):
    """All that is wrong with one is told at once, and it does not exist."""
    status, answer = fis.ask("CreateExperimentTemplate", **fis.template(
        clientToken="a b", description="x" * 513, actions={"a": {"actionId": "host:nothing"},
        "b": {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1S"}, "startAfter": ["c"]}}, more=1))
    paths = {p["path"] for p in answer["problems"]}
    assert status == 400
    assert {"clientToken", "description", "actions.a.actionId", "more"} <= paths
    assert any(p.startswith("actions.b") for p in paths), paths
    assert "problems" in answer["message"]
    for actions in ({"a": {"actionId": "aws:rds:failover-db-cluster", "targets": {"Clusters": "x"}}},):
        assert fis.refused("CreateExperimentTemplate", 400, **fis.template(actions=actions))
    missing = fis.template()
    del missing["clientToken"]
    assert fis.refused("CreateExperimentTemplate", 400, **missing) == "clientToken: required and not given"
    status, answer, name = fis.raw("POST", "/experimentTemplates", fis.template(description="x" * (1 << 20)))
    assert (status, name) == (413, "RequestTooLargeException")
    status, answer, name = fis.raw("POST", "/experimentTemplates", fis.template(description="x" * (1 << 19)))
    assert (status, name) == (400, "ValidationException")
    assert fis("ListExperimentTemplates")["experimentTemplates"] == []


def test_update(fis):
    template_id = fis.create(tags={"a": "b"})
    before = fis("GetExperimentTemplate", id=template_id)["experimentTemplate"]
    for given, message in (({"tags": {}}, "tags: unknown member"), ({"clientToken": "x"}, "clientToken: unknown member"),
                           ({"experimentOptions": {"accountTargeting": "single-account"}},
                            "experimentOptions.accountTargeting: cannot be changed"),
                           ({"description": ""}, "description"), ({"actions": {}}, "actions"),
                           ({"roleArn": "short"}, "roleArn")):  # fmt: skip
        assert message in fis.refused("UpdateExperimentTemplate", 400, id=template_id, **given)
    assert fis("GetExperimentTemplate", id=template_id)["experimentTemplate"] == before
    after = fis("UpdateExperimentTemplate", id=template_id, experimentOptions={"emptyTargetResolutionMode": "skip"},
                actions={"other": WAIT["wait"]})["experimentTemplate"]
    assert set(after["actions"]) == {"other"}
    assert after["experimentOptions"] == {"accountTargeting": "single-account", "emptyTargetResolutionMode": "skip"}
    assert {k: after[k] for k in ("id", "tags", "creationTime", "description", "roleArn")} == {
        k: before[k] for k in ("id", "tags", "creationTime", "description", "roleArn")}
    assert fis("GetExperimentTemplate", id=template_id)["experimentTemplate"] == after


def test_client_tokens(fis):
    request = fis.template()
    first = fis("CreateExperimentTemplate", **request)
    assert fis("CreateExperimentTemplate", **request) == first
    assert first["experimentTemplate"]["id"] in fis.refused("CreateExperimentTemplate", 409,
                                                            **{**request, "description": "another"})
    assert len(fis("ListExperimentTemplates")["experimentTemplates"]) == 1
    template_id = first["experimentTemplate"]["id"]
    x = fis.start(template_id, clientToken="once")
    assert fis.start(template_id, clientToken="once") == x
    assert x in fis.refused("StartExperiment", 409, clientToken="once", experimentTemplateId=template_id,
                            experimentOptions={"actionsMode": "skip-all"})
    assert len(fis("ListExperiments")["experiments"]) == 1
    assert fis("StopExperiment", id=x)["experiment"]["state"]["status"] in ("stopping", "stopped")
    stopped = fis.wait_state(x, "stopped")
    assert "uid 0" in stopped["state"]["reason"]
    assert stopped["actions"]["wait"]["state"]["status"] in ("stopped", "cancelled")


def test_quotas(made):
    fis = made(fis={"maxTemplates": 2, "maxActiveExperiments": 1})
    template_id = fis.create()
    fis.create()
    fis.refused("CreateExperimentTemplate", 402, **fis.template())
    x = fis.start(template_id)
    fis.refused("StartExperiment", 402, clientToken="y", experimentTemplateId=template_id)
    fis("StopExperiment", id=x)
    fis.wait_state(x, "stopped")
    fis("StopExperiment", id=fis.start(template_id))


def test_pages_of_templates(fis):
    """Right, whatever is added and deleted between the pages."""
    ids = [fis.create() for _ in range(7)][::-1]  # newest first
    pages = fis.pages("ListExperimentTemplates", "experimentTemplates", maxResults=3)
    assert [len(p) for p in pages] == [3, 3, 1]
    assert [t["id"] for p in pages for t in p] == ids
    assert [len(p) for p in fis.pages("ListExperimentTemplates", "experimentTemplates", maxResults=7)] == [7]
    token = fis("ListExperimentTemplates", maxResults=3)["nextToken"]
    fis.create()
    fis("DeleteExperimentTemplate", id=ids[2])  # behind which the next page begins
    fis("DeleteExperimentTemplate", id=ids[4])
    rest = fis("ListExperimentTemplates", maxResults=3, nextToken=token)
    assert [t["id"] for t in rest["experimentTemplates"]] == [ids[3], ids[5], ids[6]]
    assert "nextToken" not in rest
    for operation in ("ListExperiments", "ListActions", "ListTargetResourceTypes"):
        assert "nextToken" in fis.refused(operation, 400, nextToken=token)
    wrong = token[:-1] + ("0" if token[-1] != "0" else "1")
    assert "nextToken" in fis.refused("ListExperimentTemplates", 400, nextToken=wrong)
    assert "nextToken" in fis.refused("ListTargetAccountConfigurations", 400, experimentTemplateId=ids[0], nextToken=token)


def test_pages_of_the_catalogue(fis):
    for operation, member, name in (("ListActions", "actions", "id"),
                                    ("ListTargetResourceTypes", "targetResourceTypes", "resourceType")):
        whole = [item[name] for item in fis(operation)[member]]
        assert len(whole) > 8 and len(set(whole)) == len(whole)
        for n in (1, 3, len(whole)):
            pages = fis.pages(operation, member, maxResults=n)
            assert [item[name] for page in pages for item in page] == whole
            assert all(len(page) == n for page in pages[:-1]) and len(pages[-1]) > 0


def test_pages_of_experiments(fis):
    one, two = (fis.create(targets={n: HOST["host"] for n in ("first", "second")}, actions={
        n: {**AIMED["stress"], "targets": {"Instances": n}} for n in ("first", "second")}) for _ in range(2))
    ids = []
    for i in range(8):
        x = fis.start((one, two)[i % 2], experimentOptions={"actionsMode": "skip-all"})
        fis.wait_state(x, "completed")
        ids.insert(0, x)
    for parameters, expected in (({}, ids), ({"experimentTemplateId": one}, ids[1::2]),
                                 ({"experimentTemplateId": two}, ids[0::2]), ({"experimentTemplateId": "other"}, [])):
        for n in (1, 3, 100):
            got = fis.all("ListExperiments", "experiments", maxResults=n, **parameters)
            assert [x["id"] for x in got] == expected
    token = fis("ListExperiments", maxResults=1, experimentTemplateId=one)["nextToken"]
    assert "nextToken" in fis.refused("ListExperiments", 400, nextToken=token)  # of another filter
    names = [t["targetName"] for t in fis.all("ListExperimentResolvedTargets", "resolvedTargets", experimentId=ids[0],
                                              maxResults=1)]
    assert sorted(names) == ["first", "second"]
    for name in ("first", "second", "other"):
        found = fis("ListExperimentResolvedTargets", experimentId=ids[0], targetName=name)["resolvedTargets"]
        assert [t["targetName"] for t in found] == ([name] if name != "other" else [])


def test_experiments_that_only_the_disk_has(made, tmp_path):
    """After a restart finished ones are not in memory any more: answered all the same, by the same model."""
    fis = made(tmp_path)
    template_id = fis.create(targets=HOST, actions=AIMED)
    x = fis.start(template_id, experimentOptions={"actionsMode": "skip-all"}, tags={"a": "b"})
    before = fis.wait_state(x, "completed")
    targets = fis("ListExperimentResolvedTargets", experimentId=x)
    assert fis.faultd.stop() == 0
    fis.faultd.start()
    assert fis("GetExperiment", id=x)["experiment"] == before
    assert fis("StopExperiment", id=x)["experiment"] == before
    assert fis("ListExperimentResolvedTargets", experimentId=x) == targets
    assert [e["id"] for e in fis("ListExperiments")["experiments"]] == [x]
    assert [t["id"] for t in fis("ListExperimentTemplates")["experimentTemplates"]] == [template_id]
    fis("TagResource", resourceArn=arn("experiment", x), tags={"c": "d"})
    assert fis("ListTagsForResource", resourceArn=arn("experiment", x))["tags"] == {"a": "b", "c": "d"}
    wait_for(lambda: fis("GetExperiment", id=x)["experiment"]["tags"] == {"a": "b", "c": "d"}, "its tags on disk")


def test_tags(fis):
    template_id = fis.create(tags={"a": "b"})
    x = fis.start(template_id, tags={"a": "b"})
    for resource in (arn("experiment-template", template_id), arn("experiment", x)):
        fis("TagResource", resourceArn=resource, tags={"a": "", "größe": "zwölf", "k" * 128: "v" * 256})
        assert fis("ListTagsForResource", resourceArn=resource)["tags"] == {"a": "", "größe": "zwölf", "k" * 128: "v" * 256}
        for tags, path in (({"aws:x": ""}, "tags.aws:x"), ({"k" * 129: ""}, "tags.k"), ({"k": "v" * 257}, "tags.k"),
                           ({"": ""}, "tags."), ({"k": None}, "tags.k"), ([], "tags"), ({"k": {}}, "tags.k")):
            assert fis.refused("TagResource", 400, resourceArn=resource, tags=tags).startswith(path)
        assert fis.refused("TagResource", 400, resourceArn=resource).startswith("tags: required")
        assert "50" in fis.refused("TagResource", 400, resourceArn=resource, tags={f"n{i}": "" for i in range(48)})
        fis("TagResource", resourceArn=resource, tags={f"n{i}": "" for i in range(47)})
        assert len(fis("ListTagsForResource", resourceArn=resource)["tags"]) == 50
        fis("UntagResource", resourceArn=resource, tagKeys=[f"n{i}" for i in range(47)] + ["a", "k" * 128])
        assert fis("ListTagsForResource", resourceArn=resource)["tags"] == {"größe": "zwölf"}
    assert fis("GetExperimentTemplate", id=template_id)["experimentTemplate"]["tags"] == {"größe": "zwölf"}
    assert fis("GetExperiment", id=x)["experiment"]["tags"] == {"größe": "zwölf"}
    assert fis("ListExperiments")["experiments"][0]["tags"] == {"größe": "zwölf"}
    # as it may also be sent: with its slash
    status, answer, _ = fis.raw("GET", f"/tags/{arn('experiment', x)}")
    assert (status, answer) == (200, {"tags": {"größe": "zwölf"}})
    for resource in (arn("action", "host:cpu-stress"), arn("safety-lever", "default")):
        assert fis("ListTagsForResource", resourceArn=resource)["tags"] == {}
        assert "resourceArn" in fis.refused("TagResource", 400, resourceArn=resource, tags={"a": "b"})
    fis("StopExperiment", id=x)


def test_changes_of_one_template_at_once(made):
    """None is lost: they are made one after the other."""
    fis = made()
    template_id = fis.create()
    resource = arn("experiment-template", template_id)

    def tag(i):
        if i % 5 == 0:
            return fis.faultd.request("PATCH", f"/experimentTemplates/{template_id}", {"description": f"d{i}"})[0]
        return fis.faultd.request("POST", f"/tags/{resource}", {"tags": {f"k{i}": "v"}})[0]

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert set(pool.map(tag, range(40))) == {200}
    template = fis("GetExperimentTemplate", id=template_id)["experimentTemplate"]
    assert set(template["tags"]) == {f"k{i}" for i in range(40) if i % 5}
    assert template["description"].startswith("d")

    def delete(_):
        return fis.faultd.request("DELETE", f"/experimentTemplates/{template_id}")[0]

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(delete, range(5))) == [200, 404, 404, 404, 404]


def leave(fis, method, path, body, after_s):
    """Sends a request, and is gone before the answer, or just behind it."""
    data = json.dumps(body).encode()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(fis.faultd.socket))
        s.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        select.select([s], [], [], after_s)


def test_clients_that_leave(fis):
    """At any moment: what they asked for is done whole or not at all, once, and faultd goes on."""
    template_id = fis.create()
    path = f"/experimentTemplates/{template_id}"
    for i in range(30):
        after_s = i / 10000  # what a disk takes is somewhere among them
        leave(fis, "POST", "/experimentTemplates", fis.template(description=f"left {i}"), after_s)
        leave(fis, "PATCH", path, {"description": f"d{i}"}, after_s)
        leave(fis, "POST", f"/tags/{arn('experiment-template', template_id)}", {"tags": {f"k{i}": ""}}, after_s)
        leave(fis, "PATCH", "/safetyLevers/default/state", {"state": {"status": "disengaged", "reason": "x"}}, after_s)
    last = fis("UpdateExperimentTemplate", id=template_id, description="last")["experimentTemplate"]
    assert last["description"] == "last" and len(last["tags"]) > 0
    made = [t["description"] for t in fis("ListExperimentTemplates")["experimentTemplates"]]
    assert len(made) > 1 and len(set(made)) == len(made)
    wait_for(lambda: fis.ask("UpdateSafetyLeverState", id="default", state={"status": "disengaged", "reason": "y"})[0] == 200,
             "the lever can be moved")


TOKENS = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"null", b"true", b"-1", b"1e400", b"0.5", b'""', b"\\u0000", b"\\ud800",
          b"\xff", b"\x00", b"A" * 3000, b'"tags":', b'"actions":', b'"startAfter":["wait"]', b'"PT0S"', b'"COUNT(0)"']


def mutated(dice, text):
    """A few bytes of it replaced, taken out, doubled, or swapped for what means something to JSON or to FIS."""
    for _ in range(dice.choice((1, 1, 2, 4))):
        at = dice.randrange(len(text) + 1)
        end = min(len(text), at + dice.choice((0, 1, 1, 2, 8, 40)))
        middle = dice.choice((b"", text[at:end] * 2, dice.choice(TOKENS), bytes([dice.randrange(256)])))
        text = text[:at] + middle + text[end:]
    return text


def test_mutated_requests(fis):
    """Whatever comes, the answer is one of FIS's, and what is refused leaves nothing."""
    dice = random.Random(7)
    template_id = fis.create(targets=HOST, actions=AIMED, tags={"a": "b"})
    resource = arn("experiment-template", template_id)
    seeds = [("POST", "/experimentTemplates", fis.template(targets=HOST, actions={**AIMED, **WAIT}, tags={"a": "b"})),
             ("PATCH", f"/experimentTemplates/{template_id}", {"actions": AIMED, "targets": HOST, "description": "x"}),
             ("POST", "/experiments", {"clientToken": "x", "experimentTemplateId": "EXT1", "tags": {"a": "b"}}),
             ("PATCH", "/safetyLevers/default/state", {"state": {"status": "disengaged", "reason": "x"}}),
             ("POST", f"/tags/{resource}", {"tags": {"a": "b", "c": "d"}}),
             ("POST", f"/experimentTemplates/{template_id}/targetAccountConfigurations/123456789012",
              {"roleArn": "arn:aws:iam::123456789012:role/x", "description": "x"})]  # fmt: skip
    paths = ["/actions?maxResults=3&nextToken=00", f"/tags/{resource}", "/experiments?experimentTemplateId=EXT1",
             f"/experimentTemplates/{template_id}/targetAccountConfigurations", "/safetyLevers/default"]
    allowed = "abcXYZ019/?&=%{}.:-_~+,;@!*()[]".encode()
    seen = set()
    for i in range(1500):
        if i % 3:
            method, path, body = dice.choice(seeds)
            status, answer, name = fis.raw(method, path, raw=mutated(dice, json.dumps(body).encode()))
        else:
            path = bytes(c for c in mutated(dice, dice.choice(paths).encode()) if c in allowed).decode()
            status, answer, name = fis.raw(dice.choice(("GET", "DELETE", "POST", "PUT")), "/" + path.lstrip("/"))
        assert status in (200, 400, 402, 404, 405, 409), (path, status, answer)
        assert status == 200 or (name and 1 <= len(answer["message"]) <= 1024), (path, answer)
        seen.add(status)
        if i % 100 == 0 and template_id not in [t["id"] for t in fis.all("ListExperimentTemplates", "experimentTemplates")]:
            template_id = fis.create()
    assert {200, 400, 404} <= seen
    for t in fis.all("ListExperimentTemplates", "experimentTemplates"):
        fis("DeleteExperimentTemplate", id=t["id"])  # what was taken is whole


def test_lever(fis):
    template_id = fis.create()
    x = fis.start(template_id)
    fis.wait_state(x, "running")
    lever = fis("UpdateSafetyLeverState", id="default", state={"status": "engaged", "reason": "an incident"})["safetyLever"]
    assert lever["state"] == {"status": "engaged", "reason": "an incident"}
    assert lever["arn"] == arn("safety-lever", "default")
    stopped = fis.wait_state(x, "stopped")
    assert "an incident" in stopped["state"]["reason"]
    cancelled = fis("GetExperiment", id=fis.start(template_id))["experiment"]
    assert cancelled["state"]["status"] == "cancelled" and "an incident" in cancelled["state"]["reason"]
    fis("UpdateSafetyLeverState", id="default", state={"status": "disengaged", "reason": "over"})
    x = fis.start(template_id)
    fis.wait_state(x, "running")
    fis("StopExperiment", id=x)


def test_the_checker_checks():
    """What is not in the model, missing, or of another type is told."""
    checker = lib.Checker(lib.model()["shapes"])
    good = {"id": "default", "arn": arn("safety-lever", "default"), "state": {"status": "engaged", "reason": ""}}
    checker.check("SafetyLever", good, "")
    for wrong in ({**good, "more": 1}, {"id": "default"}, {**good, "arn": "short"}, {**good, "state": {"status": "on"}},
                  {**good, "state": {"status": "on", "reason": ""}}, {**good, "id": 1}, {**good, "id": "x" * 65}, [], None):
        with pytest.raises(lib.Wrong):
            checker.check("SafetyLever", wrong, "")
    for shape, wrong in (("CreationTime", "2026"), ("CreationTime", 5), ("ActionParameterRequired", "true"), ("TagMap", []),
                         ("ResourceArnList", ["x" * 20] * 6), ("TargetAccountConfigurationsCount", 1.0)):
        with pytest.raises(lib.Wrong):
            checker.check(shape, wrong, "")
