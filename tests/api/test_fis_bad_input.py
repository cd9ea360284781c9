# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent to FIS's API, and however much: answered, with the path of what is wrong and FIS's status; nothing half
created, nothing lost, faultd well after it. tests/api/test_fis_api.py has the requests that a client could get wrong."""

import concurrent.futures
import contextlib
import copy
import json
import os
import pathlib
import random
import re
import socket
import tempfile

import pytest

from lib import harness
from lib.fis import STATUS, Fis, arn
from lib.harness import wait_for

SETTINGS = {"fis": {"region": "us-east-1", "account": "000000000000", "metadata": "off"}}
ROLE = "arn:aws:iam::000000000000:role/faultd"
OTHER = "123456789012"
MIB = 1 << 20
NOBODY = 65534
STARTS = 2000


@pytest.fixture
def fis(tmp_path, alone):
    d = harness.Faultd(tmp_path / "faultd", config=SETTINGS)
    yield Fis(d)
    d.close()


def templates(fis):
    return fis.all("ListExperimentTemplates", "experimentTemplates")


def pss_kib(pid):
    return int(re.search(r"^Pss: +(\d+) kB", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)[1])


def assert_bounded(pid, before_kib, most_kib, what):
    """Has grown by so much at most; of a build with sanitizers, which keep what is freed for a while, nothing is asked."""
    after_kib = pss_kib(pid)
    print(f"PSS {before_kib} kB before {what}, {after_kib} kB after")
    assert after_kib - before_kib < most_kib or b"__asan_init" in harness.FAULTD.read_bytes()


class Keeping:
    """One connection for many requests."""

    def __init__(self, faultd):
        self.connection = harness.HTTPConnection(faultd.socket)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def ask(self, method, path, body=None):
        """(status, x-amzn-ErrorType, answer)"""
        raw = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
        self.connection.request(method, path, raw)
        response = self.connection.getresponse()
        return response.status, response.getheader("x-amzn-ErrorType"), json.loads(response.read())


# Every error that FIS declares


def conflict_of_levers(fis):
    """Two who pull at once: one of them, until the other has come to its end. Returns the refusal's status and message."""
    for _ in range(200):
        both = [harness.HTTPConnection(fis.faultd.socket) for _ in range(2)]
        with contextlib.ExitStack() as stack:
            for c, status in zip(both, ("engaged", "disengaged")):
                stack.callback(c.close)
                c.connect()
                text = json.dumps({"state": {"status": status, "reason": "a race"}}).encode()
                head = f"PATCH /safetyLevers/default/state HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n\r\n"
                c.sock.sendall(head.encode() + text)
            for c in both:
                data = b""
                while b"}}" not in data and b'"}' not in data:
                    data += c.sock.recv(65536)
                if data.startswith(b"HTTP/1.1 409"):
                    assert b"x-amzn-ErrorType: ConflictException" in data
                    return True
    return False


def test_every_declared_error(fis):
    """What FIS's model declares of each operation is answered by it; but for what a single host has no reason for."""
    t = fis.create(clientToken="taken")
    x = fis.start(t, clientToken="taken")
    full = {f"a{i}": {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1M"}} for i in range(21)}
    got = set()

    def refuse(operation, status, **parameters):
        fis.refused(operation, status, **parameters)
        got.add((operation, fis.faultd.error_type))

    no_template, no_experiment = {"experimentTemplateId": "EXTno"}, {"experimentId": "EXPno"}
    account = {"accountId": OTHER}
    long = {"nextToken": "0"}
    refuse("CreateExperimentTemplate", 400, **fis.template(actions={}))
    refuse("CreateExperimentTemplate", 402, **fis.template(actions=full))
    refuse("CreateExperimentTemplate", 409, **fis.template(clientToken="taken", description="another"))
    refuse("UpdateExperimentTemplate", 400, id=t, actions={})
    refuse("UpdateExperimentTemplate", 402, id=t, actions=full)
    refuse("UpdateExperimentTemplate", 404, id="EXTno", description="x")
    refuse("StartExperiment", 400, clientToken="", experimentTemplateId=t)
    refuse("StartExperiment", 404, clientToken="x", experimentTemplateId="EXTno")
    refuse("StartExperiment", 409, clientToken="taken", experimentTemplateId=t, experimentOptions={"actionsMode": "skip-all"})
    more = [fis.start(t) for _ in range(4)]
    refuse("StartExperiment", 402, clientToken="y", experimentTemplateId=t)
    for operation, wrong in (("StopExperiment", {"id": "EXPno"}), ("GetExperiment", {"id": "EXPno"}),
                             ("GetExperimentTemplate", {"id": "EXTno"}), ("DeleteExperimentTemplate", {"id": "EXTno"}),
                             ("ListExperimentResolvedTargets", no_experiment), ("GetAction", {"id": "aws:no:action"}),
                             ("GetTargetResourceType", {"resourceType": "no:type"}), ("GetSafetyLever", {"id": "no"}),
                             ("UpdateSafetyLeverState", {"id": "no", "state": {"status": "engaged", "reason": "x"}}),
                             ("CreateTargetAccountConfiguration", {**no_template, **account, "roleArn": ROLE}),
                             ("GetTargetAccountConfiguration", {**no_template, **account}),
                             ("UpdateTargetAccountConfiguration", {**no_template, **account, "roleArn": ROLE}),
                             ("DeleteTargetAccountConfiguration", {**no_template, **account}),
                             ("ListTargetAccountConfigurations", no_template),
                             ("ListExperimentTargetAccountConfigurations", no_experiment),
                             ("GetExperimentTargetAccountConfiguration", {**no_experiment, **account})):  # fmt: skip
        refuse(operation, 404, **wrong)
    for operation, wrong in (("ListExperimentTemplates", long), ("ListExperiments", long), ("ListActions", long),
                             ("ListTargetResourceTypes", long), ("UpdateSafetyLeverState", {"id": "default"}),
                             ("ListExperimentResolvedTargets", {"experimentId": x, **long}),
                             ("ListTargetAccountConfigurations", {"experimentTemplateId": t, **long}),
                             ("ListExperimentTargetAccountConfigurations", {"experimentId": x, **long}),
                             ("CreateTargetAccountConfiguration", {"experimentTemplateId": t, **account, "roleArn": ROLE})):  # fmt: skip
        refuse(operation, 400, **wrong)
    for operation, path in (("GetExperimentTemplate", f"/experimentTemplates/{t}"), ("GetExperiment", f"/experiments/{x}"),
                            ("GetAction", "/actions/aws:fis:wait"), ("GetSafetyLever", "/safetyLevers/default"),
                            ("GetTargetResourceType", "/targetResourceTypes/aws:ec2:instance")):  # fmt: skip
        status, _, name = fis.raw("GET", f"{path}?unknown=1")
        assert status == 400
        got.add((operation, name))
    for operation, method, path in (("DeleteExperimentTemplate", "DELETE", f"/experimentTemplates/{t}"),
                                    ("StopExperiment", "DELETE", f"/experiments/{x}")):
        status, _, name = fis.raw(method, f"{path}?unknown=1")
        assert status == 400
        got.add((operation, name))
    accounts = f"/targetAccountConfigurations/{OTHER}?unknown=1"
    for operation, method, path in (("GetTargetAccountConfiguration", "GET", f"/experimentTemplates/{t}{accounts}"),
                                    ("UpdateTargetAccountConfiguration", "PATCH", f"/experimentTemplates/{t}{accounts}"),
                                    ("DeleteTargetAccountConfiguration", "DELETE", f"/experimentTemplates/{t}{accounts}"),
                                    ("GetExperimentTargetAccountConfiguration", "GET", f"/experiments/{x}{accounts}")):
        status, answer, name = fis.raw(method, path)
        assert status == 400, (operation, answer)
        got.add((operation, name))
    for each in [x, *more]:
        fis("StopExperiment", id=each)
    assert conflict_of_levers(fis)
    got.add(("UpdateSafetyLeverState", "ConflictException"))

    declared = {(o, e["shape"]) for o, m in fis.model["operations"].items() for e in m.get("errors", [])}
    no_reason = {
        ("CreateExperimentTemplate", "ResourceNotFoundException"),  # what a template names is checked as a part of it: 400
        ("CreateTargetAccountConfiguration", "ConflictException"),  # there is never one, for there is one account
        ("CreateTargetAccountConfiguration", "ServiceQuotaExceededException"),
    }
    assert declared - got == no_reason, (declared - got) ^ no_reason
    assert [s["id"] for s in templates(fis)] == [t]


# Templates

TWENTY = {  # actions, each wrong in another way, and where that is told
    "nothing": ({}, "actions.nothing.actionId"),
    "a-list": ([], "actions.a-list"),
    "a-text": ("x", "actions.a-text"),
    "unknown": ({"actionId": "host:nothing"}, "actions.unknown.actionId"),
    "of-the-cloud": ({"actionId": "aws:rds:failover-db-cluster"}, "actions.of-the-cloud.actionId"),
    "a-number": ({"actionId": 5}, "actions.a-number.actionId"),
    "no-duration": ({"actionId": "aws:fis:wait"}, "actions.no-duration.parameters.duration"),
    "bad-duration": ({"actionId": "aws:fis:wait", "parameters": {"duration": "soon"}}, "actions.bad-duration.parameters.duration"),
    "too-long": ({"actionId": "aws:fis:wait", "parameters": {"duration": "PT13H"}}, "actions.too-long.parameters.duration"),
    "more-members": ({"actionId": "aws:fis:wait", "parameters": {"duration": "PT1M"}, "when": "now"}, "actions.more-members.when"),
    "number-parameter": ({"actionId": "host:cpu-stress", "parameters": {"duration": "PT1M", "percent": 5}},
                         "actions.number-parameter.parameters.percent"),
    "out-of-range": ({"actionId": "host:cpu-stress", "parameters": {"duration": "PT1M", "percent": "101"}},
                     "actions.out-of-range.parameters.percent"),
    "unknown-parameter": ({"actionId": "aws:fis:wait", "parameters": {"duration": "PT1M", "colour": "red"}},
                          "actions.unknown-parameter.parameters.colour"),
    "no-target": ({"actionId": "aws:ec2:reboot-instances"}, "actions.no-target.targets"),
    "wrong-key": ({"actionId": "aws:ec2:reboot-instances", "targets": {"Tasks": "host"}}, "actions.wrong-key.targets.Tasks"),
    "wrong-target": ({"actionId": "aws:ec2:reboot-instances", "targets": {"Instances": "who"}},
                     "actions.wrong-target.targets.Instances"),
    "wrong-type": ({"actionId": "aws:ecs:task-cpu-stress", "parameters": {"duration": "PT1M"}, "targets": {"Tasks": "host"}},
                   "actions.wrong-type.targets.Tasks"),
    "after-nobody": ({"actionId": "aws:fis:wait", "parameters": {"duration": "PT1M"}, "startAfter": ["nobody"]},
                     "actions.after-nobody.startAfter"),
    "after-itself": ({"actionId": "aws:fis:wait", "parameters": {"duration": "PT1M"}, "startAfter": ["after-itself"]},
                     "actions.after-itself.startAfter"),
    "no-document": ({"actionId": "aws:ssm:send-command", "targets": {"Instances": "host"}, "parameters": {
        "documentArn": "arn:aws:ssm:us-east-1::document/AWSFIS-Run-Nothing", "duration": "PT1M"}},
        "actions.no-document.parameters.documentArn"),
}  # fmt: skip
HOST = {"host": {"resourceType": "aws:ec2:instance", "selectionMode": "ALL", "filters": [
    {"path": "State.Name", "values": ["running"]}]}}


def test_twenty_actions_each_wrong_in_another_way(fis):
    """All are told, each at its path, and there is no template after it; nor has one that was good become another."""
    assert len(TWENTY) == 20
    actions = {name: action for name, (action, _) in TWENTY.items()}
    status, answer = fis.ask("CreateExperimentTemplate", **fis.template(targets=HOST, actions=actions))
    assert status == 400, answer
    told = [p["path"] for p in answer["problems"]]
    missing = [path for _, path in TWENTY.values() if not any(t.startswith(path) for t in told)]
    assert not missing, (missing, told)
    assert all(p["message"] for p in answer["problems"])
    assert re.match(r"\d+ problems", answer["message"]) and len(answer["message"]) <= 1024
    assert templates(fis) == []
    t = fis.create()
    before = fis("GetExperimentTemplate", id=t)
    status, patched = fis.ask("UpdateExperimentTemplate", id=t, targets=HOST, actions=actions)
    assert status == 400 and patched["problems"] == answer["problems"]
    assert fis("GetExperimentTemplate", id=t) == before


def test_the_largest_template(fis):
    """A body of exactly as much as is read is a template, if it is one; a byte more is refused before it is looked at."""
    text = json.dumps(fis.template()).encode()
    status, error, answer = Keeping(fis.faultd).ask("POST", "/experimentTemplates", text + b" " * (MIB - len(text)))
    assert (status, error) == (200, None), answer
    fis("DeleteExperimentTemplate", id=answer["experimentTemplate"]["id"])
    text = json.dumps(fis.template()).encode()
    for more in (1, 1000, 8 * MIB):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # answered before all was read
            status, error, answer = Keeping(fis.faultd).ask("POST", "/experimentTemplates", text + b" " * (MIB - len(text) + more))
            assert (status, error) == (413, "RequestTooLargeException") and str(MIB) in answer["message"]
    assert templates(fis) == []


def test_a_megabyte_of_mistakes(fis):
    """As many as there is room for are told, the rest counted; in bounded time and memory."""
    wait = {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1H"}}
    for members in (
        {"actions": {f"a{i}": {"actionId": f"host:no-{i}"} for i in range(20000)}},
        {"actions": {"wait": {**wait, "parameters": {f"p{i}": "x" * 900 for i in range(1000)}}}},
        {"targets": {f"t{i}": {} for i in range(60000)}},
        {"tags": {f"k{i}": "" for i in range(60000)}},
        {"stopConditions": [{"source": "none"}] * 30000},
        {"description": "ü" * 100000},
        {f"m{i}": i for i in range(60000)},
        {"actions": {"wait": {**wait, "startAfter": ["wait"] * 80000}}},
        {"actions": {"x" * 900000: wait}},
    ):
        status, error, answer = Keeping(fis.faultd).ask("POST", "/experimentTemplates", fis.template(**members))
        assert STATUS[error] == status and status in (400, 402), (members.keys(), answer)
        assert 1 <= len(answer["problems"]) <= 64 and len(json.dumps(answer)) < 64 * 1024
        (name,) = [m for m in members if not m.startswith("m")] or ["m0"]
        assert any(p["path"].startswith(name) for p in answer["problems"]), answer["problems"][:3]
    assert templates(fis) == []
    assert_bounded(fis.faultd.pid, 0, 64 * 1024, "mistakes")


WHOLE = {  # one with all that a template may have
    "description": "whole", "roleArn": ROLE, "tags": {"a": "b"},
    "stopConditions": [{"source": "host:metric", "value": "metric=load1 above=100000"}],
    "targets": {"host": HOST["host"], "some": {"resourceType": "host:process", "selectionMode": "COUNT(1)",
                                              "parameters": {"name": "nobody-has-this"}},
                "arn": {"resourceType": "aws:ec2:instance", "selectionMode": "PERCENT(50)",
                        "resourceArns": ["arn:aws:ec2:us-east-1:000000000000:instance/i-0123456789abcdef0"]},
                "tag": {"resourceType": "aws:ec2:instance", "selectionMode": "ALL", "resourceTags": {"a": "b"}}},
    "actions": {"wait": {"actionId": "aws:fis:wait", "description": "x", "parameters": {"duration": "PT1M"}},
                "load": {"actionId": "aws:ssm:send-command", "targets": {"Instances": "host"}, "startAfter": ["wait"],
                         "parameters": {"documentArn": "arn:aws:ssm:us-east-1::document/AWSFIS-Run-CPU-Stress",
                                        "documentParameters": "{\"DurationSeconds\": \"60\"}", "duration": "PT1M"}},
                "pause": {"actionId": "host:process-pause", "targets": {"Processes": "some"}, "parameters": {"duration": "PT1M"}},
                "one": {"actionId": "host:cpu-stress", "targets": {"Instances": "arn"}, "parameters": {"duration": "1s"}},
                "two": {"actionId": "host:cpu-stress", "targets": {"Instances": "tag"}, "parameters": {"duration": "1s"}}},
    "logConfiguration": {"logSchemaVersion": 2, "s3Configuration": {"bucketName": "bucket", "prefix": "p"},
                         "cloudWatchLogsConfiguration": {"logGroupArn": "arn:aws:logs:us-east-1:000000000000:log-group:g:*"}},
    "experimentOptions": {"accountTargeting": "single-account", "emptyTargetResolutionMode": "skip"},
}  # fmt: skip
WRONG = [None, True, 0, -1, 7.5, 1e300, "", " ", "x", "x" * 3000, "ü" * 600, "\x01\x7f\n", "$(id)", [], [[]], [None], ["x", 1],
         {}, {"": ""}, {"x": {}}, {"x" * 200: None}]  # fmt: skip


def places(value, path=()):
    """Every path within it, the root's but for itself."""
    for key, v in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(v, (*path, key))


def put(value, path, new):
    value = copy.deepcopy(value)
    at = value
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return value


def told(path):
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", ".".join(map(str, path)))


def test_wrong_types_everywhere(fis):
    """Each place of a template, with each kind of value: refused at that place (or at one that it makes wrong), or else a
    template that is kept as it was sent."""
    whole = {"clientToken": "whole", **WHOLE}
    fis("CreateExperimentTemplate", **whole)
    kept = templates(fis)
    good, n = [], 0
    with Keeping(fis.faultd) as keeping:
        for path in places(WHOLE):
            for wrong in WRONG:
                n += 1
                body = put(WHOLE, path, wrong)
                status, error, answer = keeping.ask("POST", "/experimentTemplates", {"clientToken": f"w{n}", **body})
                if status == 200:
                    t = answer["experimentTemplate"]
                    good.append((told(path), wrong))
                    assert keeping.ask("DELETE", f"/experimentTemplates/{t['id']}")[0] == 200
                    continue
                assert STATUS.get(error) == status and status in (400, 402), (path, wrong, answer)
                paths = [p["path"] for p in answer["problems"]]
                at = [p for p in paths if p.startswith(told(path)) or told(path).startswith(p)]
                others = [p for p in paths if p.startswith(("targets.", "actions."))]  # of what is aimed, and at what
                assert at or (others and path[0] in ("targets", "actions")), (path, wrong, paths)
                assert not re.search(r"[\x00-\x1f\x7f]", json.dumps(answer["problems"], ensure_ascii=False)), answer
    assert templates(fis) == kept
    texts = ("description", "value", "prefix", "targets", "tags", "roleArn", "startAfter", "parameters", "filters", "logGroupArn",
             "resourceArns", "bucketName", "resourceTags", "stopConditions", "experimentOptions")
    assert good and all(isinstance(w, (str, dict, list)) or w == 0 for _, w in good), good
    assert all(any(t in p for t in texts) for p, _ in good), [p for p, _ in good if not any(t in p for t in texts)]


NOT_JSON = [
    b"", b"\x00", b"{", b"{}{}", b"[" * 500000, b'{"a":' * 100000 + b"1" + b"}" * 100000, b"{" * MIB, b'{"a":"' + b"x" * 500000,
    b"\xef\xbb\xbf{", b"\xff\xfe{\x00}\x00", b'{"description":"\xc3\x28"}', b'{"description":"\xed\xa0\x80"}',
    b'{"description":"\xf4\x90\x80\x80"}', b'{"description":"\xc0\x80"}', b'{"description":"a\x00b"}', b'{"description":"a\\u0000b"}',
    b'{"description":"\\ud800"}', b'{"description":"\\uzzzz"}', b'{"a\\u0000":1}', b'{"a":1e999}', b'{"a":NaN}', b"'{}'", b"{a:1}",
    b'{"a":01}x', b'"x"', b"null", b"1", b"true", b"[]", b"\n\n", b"<xml/>", b"a=b&c=d",
]  # fmt: skip


def test_what_is_no_json(fis):
    t = fis.create()
    before = fis("GetExperimentTemplate", id=t)
    for text in NOT_JSON:
        for method, path in (("POST", "/experimentTemplates"), ("PATCH", f"/experimentTemplates/{t}"), ("POST", "/experiments"),
                             ("PATCH", "/safetyLevers/default/state"), ("POST", f"/tags/{arn('experiment-template', t)}")):
            if not text and path == f"/experimentTemplates/{t}":
                continue  # a change of nothing
            status, error, answer = Keeping(fis.faultd).ask(method, path, text)
            assert (status, error) == (400, "ValidationException"), (method, path, text[:40], answer)
            assert len(answer["message"]) <= 1024 and not re.search(r"[\x00-\x1f\x7f]", answer["message"])
    assert fis("GetExperimentTemplate", id=t) == before
    assert len(templates(fis)) == 1 and fis("ListExperiments")["experiments"] == []


def test_members_given_twice(fis):
    """Which of the two is meant cannot be told: at every level."""
    text = json.dumps(fis.template(targets=HOST, tags={"k": "v"}))
    for name, path in (("description", "description"), ("clientToken", "clientToken"), ("actions", "actions"),
                       ("actionId", "actions.wait.actionId"), ("duration", "actions.wait.parameters.duration"), ("k", "tags.k"),
                       ("wait", "actions.wait"), ("source", "stopConditions[0].source"), ("resourceType", "targets.host.resourceType"),
                       ("path", "targets.host.filters[0].path"), ("host", "targets.host")):
        at = text.index(f'"{name}":')
        end = json.JSONDecoder().raw_decode(text, at + len(name) + 4)[1]
        twice = text[:end] + ", " + text[at:end] + text[end:]
        status, error, answer = Keeping(fis.faultd).ask("POST", "/experimentTemplates", twice.encode())
        assert (status, error) == (400, "ValidationException"), (name, answer)
        assert any(p["path"].startswith(path) for p in answer["problems"]) or answer["message"].startswith(path), (name, answer)
    assert templates(fis) == []


# Many


def test_starts_as_fast_as_they_go(fis):
    """Ten thousand a minute and more: each is answered, five run, and none that was begun is lost."""
    t = fis.create()
    for _ in range(20):
        fis.refused("StartExperiment", 404, clientToken="warm", experimentTemplateId="EXTno")
    before = pss_kib(fis.faultd.pid)

    def some(worker):
        answers = []
        with Keeping(fis.faultd) as keeping:
            for i in range(STARTS // 8):
                body = {"clientToken": f"s{worker}-{i}", "experimentTemplateId": t}
                answers.append(keeping.ask("POST", "/experiments", body))
        return answers

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [a for each in pool.map(some, range(8)) for a in each]
    begun = [a["experiment"]["id"] for status, _, a in answers if status == 200]
    assert len(answers) == STARTS and len(begun) == 5
    assert {(s, e) for s, e, _ in answers} == {(200, None), (402, "ServiceQuotaExceededException")}
    assert sorted(x["id"] for x in fis.all("ListExperiments", "experiments")) == sorted(begun)
    for x in begun:
        fis("StopExperiment", id=x)
    for x in begun:
        fis.wait_state(x, "stopped")
    assert_bounded(fis.faultd.pid, before, 8 * 1024, f"{STARTS} starts")
    assert fis.faultd.get("/v1/status")[0] == 200


def test_starts_while_the_lever_is_engaged(tmp_path, alone):
    """The quota does not count these; what is kept of them is bounded all the same, in memory and on disk."""
    d = harness.Faultd(tmp_path / "faultd", config={"fis": {**SETTINGS["fis"], "maxKeptExperiments": 100}})
    try:
        fis = Fis(d)
        t = fis.create()
        fis("UpdateSafetyLeverState", id="default", state={"status": "engaged", "reason": "a test"})
        with Keeping(d) as keeping:
            def begin(n, name):
                for i in range(n):
                    status, _, answer = keeping.ask("POST", "/experiments", {"clientToken": f"{name}{i}", "experimentTemplateId": t})
                    assert (status, answer["experiment"]["state"]["status"]) == (200, "cancelled"), answer

            begin(300, "a")
            before = pss_kib(d.pid)
            begin(STARTS, "b")
        assert_bounded(d.pid, before, 4 * 1024, f"{STARTS} more starts")
        assert 100 <= len(fis.all("ListExperiments", "experiments")) <= 101, "those that are kept, and perhaps the last one"
        assert d.stop() == 0
        d.start()
        assert 100 <= len(fis.all("ListExperiments", "experiments")) <= 101
        assert all(x["state"]["status"] == "cancelled" for x in fis.all("ListExperiments", "experiments"))
    finally:
        d.close()


def test_one_template_created_changed_started_and_deleted_at_once(fis):
    """By many: what is answered is true afterwards, and each experiment has a template that there was, whole."""
    seen = []
    other = {f"a{i}": {"actionId": "aws:fis:wait", "parameters": {"duration": "PT2H"}} for i in range(20)}

    def one(worker):
        chance, alive = random.Random(worker), None
        with Keeping(fis.faultd) as keeping:
            for i in range(60):
                path = f"/experimentTemplates/{alive}"
                if alive is None:
                    body = fis.template(clientToken=f"round-{i // 6}", description="one")  # the same for all of them
                    status, _, answer = keeping.ask("POST", "/experimentTemplates", body)
                    alive = answer["experimentTemplate"]["id"] if status == 200 else None
                else:
                    kind = chance.randrange(4)
                    status, _, answer = (
                        keeping.ask("PATCH", path, {"description": "other", "actions": other}) if kind == 0 else
                        keeping.ask("POST", "/experiments", {"clientToken": f"{worker}-{i}", "experimentTemplateId": alive}) if kind == 1
                        else keeping.ask("DELETE", path) if kind == 2 else keeping.ask("GET", path))
                    if kind == 1 and status == 200:
                        seen.append(answer["experiment"])
                        keeping.ask("DELETE", f"/experiments/{seen[-1]['id']}")
                    if status == 404 or (kind == 2 and status == 200):
                        alive = None
                    if kind in (0, 2, 3) and status == 200:
                        t = answer["experimentTemplate"]
                        assert (t["description"] == "other") == (set(t["actions"]) == set(other)), t
                assert status in (200, 402, 404, 409), answer

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(6)))
    assert seen
    for x in seen:
        assert set(x["actions"]) in ({"wait"}, set(other))
        fis.wait_state(x["id"], "stopped")
    left = {t["id"] for t in templates(fis)}
    assert fis.faultd.stop() == 0
    fis.faultd.start()
    assert {t["id"] for t in templates(fis)} == left, "on disk is what was answered"


# A disk that is full


def fill(disk):
    """To the last block; the file that holds it."""
    path = disk.path / "filler"
    with open(path, "wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(b"x" * 4096)
    return path


def test_a_full_disk(tmp_path, disks, victim):
    """What cannot be kept is refused with the reason, and is not there; faults and the lever need no disk."""
    disk = disks("tmpfs", "faultd/state", mib=2)
    d = harness.Faultd(tmp_path / "faultd", config=SETTINGS)
    try:
        fis = Fis(d)
        kept = fis.create(description="before")
        filler = fill(disk)
        refused = []
        for i in range(200):  # it may have some room in files of its own
            status, error, answer = Keeping(d).ask("POST", "/experimentTemplates", fis.template(description="x" * 500))
            if status != 200:
                refused.append((status, error, answer["message"]))
                break
        (status, error, message), = refused
        assert status == 500 and error and "No space left on device" in message, refused
        there = {t["id"] for t in templates(fis)}
        assert kept in there
        for method, path, body in (("POST", "/experimentTemplates", fis.template()),
                                   ("PATCH", f"/experimentTemplates/{kept}", {"description": "y" * 500}),
                                   ("DELETE", f"/experimentTemplates/{kept}", None)):
            status, error, answer = Keeping(d).ask(method, path, body)
            assert status in (200, 500), answer
            if status == 500:
                assert "No space left on device" in answer["message"]
        assert {t["id"] for t in templates(fis)} <= there

        fault = d.start_fault("process-pause", pid=victim.pid)
        wait_for(lambda: harness.state_of(victim.pid) == "T", "the victim is stopped")
        assert d.stop_fault(fault)["state"] == "done" and harness.state_of(victim.pid) != "T"

        filler.unlink()
        after = wait_for(lambda: (a := Keeping(d).ask("POST", "/experimentTemplates", fis.template(description="after")))[0] == 200 and a,
                         "there is room again")[2]["experimentTemplate"]["id"]
        there = {t["id"]: t["description"] for t in templates(fis)}
        assert d.stop() == 0
        d.start()
        assert {t["id"]: t["description"] for t in templates(fis)} == there and after in there
    finally:
        d.close()


def test_an_experiment_on_a_full_disk(tmp_path, disks, victim):
    """It runs, and what it did is undone, whether or not its history can be kept."""
    disk = disks("tmpfs", "faultd/state", mib=2)
    d = harness.Faultd(tmp_path / "faultd", config=SETTINGS)
    try:
        fis = Fis(d)
        t = fis.create(actions={"pause": {"actionId": "host:process-pause", "parameters": {"duration": "60s", "pid": str(victim.pid)}}})
        filler = fill(disk)
        x = fis.start(t)
        wait_for(lambda: harness.state_of(victim.pid) == "T", "the victim is stopped")
        pull = {"state": {"status": "engaged", "reason": "enough"}}
        status, _, answer = Keeping(d).ask("PATCH", "/safetyLevers/default/state", pull)
        assert status == 200 or (status == 500 and "takes effect now" in answer["message"]), answer
        wait_for(lambda: harness.state_of(victim.pid) != "T", "the victim goes on")
        assert fis.wait_state(x, "stopped")["state"]["reason"]
        assert d.fault("process-pause", pid=victim.pid)[0] == 409, "the lever holds although it cannot be kept"
        filler.unlink()
    finally:
        d.close()


# Who may not


def test_an_unprivileged_caller(alone):
    """Every operation: refused for want of a statement, whether what it names is there or not; and nothing is changed."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    with tempfile.TemporaryDirectory(prefix="fdb") as directory, contextlib.ExitStack() as stack:
        pathlib.Path(directory).chmod(0o755)
        d = harness.Faultd(pathlib.Path(directory) / "d", config=SETTINGS)
        stack.callback(d.close)
        d.socket.chmod(0o666)
        fis = Fis(d)
        t = fis.create()
        before = fis("GetExperimentTemplate", id=t)

        class AsNobody(harness.HTTPConnection):
            def connect(self):
                os.seteuid(NOBODY)  # what SO_PEERCRED tells is from connect(2)
                try:
                    super().connect()
                finally:
                    os.seteuid(0)

        given = {"id": t, "experimentTemplateId": t, "experimentId": "EXPx", "accountId": OTHER, "resourceType": "aws:ec2:instance",
                 "resourceArn": arn("experiment-template", t), "tags": {"a": "b"}, "tagKeys": ["a"], "roleArn": ROLE,
                 "description": "taken over", "state": {"status": "engaged", "reason": "x"}, "clientToken": "nobody"}
        own = {"GetAction": {"id": "aws:fis:wait"}, "GetSafetyLever": {"id": "default"}, "GetExperiment": {"id": "EXPx"},
               "UpdateSafetyLeverState": {"id": "default", "state": given["state"]}, "StopExperiment": {"id": "EXPx"},
               "CreateExperimentTemplate": fis.template(), "UpdateExperimentTemplate": {"id": t, "description": "taken over"}}
        for name, operation in fis.model["operations"].items():
            members = fis.model["shapes"][operation["input"]["shape"]]
            required = {m: given[m] for m in members.get("required", []) if m in given}
            method, path, body = fis.build(name, own.get(name, required))
            connection = AsNobody(d.socket)
            connection.request(method, path, json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            answer = json.loads(response.read())
            connection.close()
            assert (response.status, response.getheader("x-amzn-ErrorType")) == (403, "AccessDeniedException"), (name, answer)
        assert fis("GetExperimentTemplate", id=t) == before and len(templates(fis)) == 1
        assert fis("ListExperiments")["experiments"] == []
        assert fis("GetSafetyLever", id="default")["safetyLever"]["state"]["status"] == "disengaged"


def test_connections_that_say_nothing_right(fis):
    """Bytes by chance, and requests torn anywhere: the next one is served."""
    chance = random.Random(5)
    good = json.dumps(fis.template()).encode()
    head = f"POST /experimentTemplates HTTP/1.1\r\nHost: x\r\nContent-Length: {len(good)}\r\n\r\n".encode()
    for i in range(300):
        with socket.socket(socket.AF_UNIX) as s, contextlib.suppress(OSError):
            s.settimeout(1)  # an end in the middle of a request may be noticed late: after ten seconds without a byte
            s.connect(str(fis.faultd.socket))
            whole = bytearray(head + good)
            if i % 3 == 0:
                whole = whole[: chance.randrange(len(whole))]
            elif i % 3 == 1:
                for _ in range(3):
                    whole[chance.randrange(len(whole))] = chance.randrange(256)
            else:
                whole = chance.randbytes(200)
            s.sendall(whole)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
    for t in templates(fis):
        whole = fis("GetExperimentTemplate", id=t["id"])["experimentTemplate"]
        assert whole["actions"] and whole["stopConditions"]
    assert fis.create()
