# SPDX-License-Identifier: Apache-2.0
"""FIS's API against its own model, which botocore has: requests are built from it, and every answer is held
against it. A member that the model does not have fails, and so does one missing that FIS documents to be there."""

import re
import time
import urllib.parse

import pytest

from lib import harness

# What is always there, by shape: the model of FIS requires nothing of its answers.
ALWAYS = {
    "Action": {"id", "arn", "description", "parameters", "targets"},
    "ActionParameter": {"description", "required"},
    "ActionSummary": {"id", "arn", "description", "targets"},
    "ActionTarget": {"resourceType"},
    "CreateExperimentTemplateResponse": {"experimentTemplate"},
    "DeleteExperimentTemplateResponse": {"experimentTemplate"},
    "Experiment": {"id", "arn", "experimentTemplateId", "roleArn", "state", "actions", "stopConditions", "creationTime",
                   "experimentOptions", "targetAccountConfigurationsCount", "tags"},
    "ExperimentAction": {"actionId", "state"},
    "ExperimentActionState": {"status"},
    "ExperimentOptions": {"accountTargeting", "emptyTargetResolutionMode", "actionsMode"},
    "ExperimentState": {"status"},
    "ExperimentError": {"code"},
    "ExperimentStopCondition": {"source"},
    "ExperimentSummary": {"id", "arn", "experimentTemplateId", "state", "creationTime", "experimentOptions", "tags"},
    "ExperimentTarget": {"resourceType", "selectionMode"},
    "ExperimentTemplate": {"id", "arn", "description", "actions", "stopConditions", "creationTime", "lastUpdateTime",
                           "roleArn", "experimentOptions", "targetAccountConfigurationsCount", "tags"},
    "ExperimentTemplateAction": {"actionId"},
    "ExperimentTemplateExperimentOptions": {"accountTargeting", "emptyTargetResolutionMode"},
    "ExperimentTemplateStopCondition": {"source"},
    "ExperimentTemplateSummary": {"id", "arn", "description", "creationTime", "lastUpdateTime", "tags"},
    "ExperimentTemplateTarget": {"resourceType", "selectionMode"},
    "GetActionResponse": {"action"},
    "GetExperimentResponse": {"experiment"},
    "GetExperimentTemplateResponse": {"experimentTemplate"},
    "GetSafetyLeverResponse": {"safetyLever"},
    "GetTargetResourceTypeResponse": {"targetResourceType"},
    "ListActionsResponse": {"actions"},
    "ListExperimentResolvedTargetsResponse": {"resolvedTargets"},
    "ListExperimentTargetAccountConfigurationsResponse": {"targetAccountConfigurations"},
    "ListExperimentTemplatesResponse": {"experimentTemplates"},
    "ListExperimentsResponse": {"experiments"},
    "ListTagsForResourceResponse": {"tags"},
    "ListTargetAccountConfigurationsResponse": {"targetAccountConfigurations"},
    "ListTargetResourceTypesResponse": {"targetResourceTypes"},
    "ResolvedTarget": {"resourceType", "targetName", "targetInformation"},
    "SafetyLever": {"id", "arn", "state"},
    "SafetyLeverState": {"status", "reason"},
    "StartExperimentResponse": {"experiment"},
    "StopExperimentResponse": {"experiment"},
    "TargetResourceType": {"resourceType", "description", "parameters"},
    "TargetResourceTypeParameter": {"description", "required"},
    "TargetResourceTypeSummary": {"resourceType", "description"},
    "UpdateExperimentTemplateResponse": {"experimentTemplate"},
    "UpdateSafetyLeverStateResponse": {"safetyLever"},
}  # fmt: skip

STATUS = {"ValidationException": 400, "ResourceNotFoundException": 404, "ConflictException": 409,
          "ServiceQuotaExceededException": 402, "AccessDeniedException": 403}  # fmt: skip

# Of faultd's own, beside the one that FIS has.
ERROR_MEMBERS = {"message", "problems", "code", "field", "value", "allowed"}


def model():
    """botocore's model of FIS; the test is skipped where there is none, or only one from before the lever."""
    loaders = pytest.importorskip("botocore.loaders")
    m = loaders.Loader().load_service_model("fis", "service-2")
    if "UpdateSafetyLeverState" not in m["operations"]:
        pytest.skip("this botocore does not know all of FIS")
    return m


class Wrong(AssertionError):
    pass


class Checker:
    """Values against shapes."""

    def __init__(self, shapes):
        self.shapes = shapes

    def check(self, name, value, path):
        shape = self.shapes[name]
        getattr(self, f"check_{shape['type']}")(name, shape, value, path)

    def check_structure(self, name, shape, value, path):
        if not isinstance(value, dict):
            raise Wrong(f"{path}: {value!r} is no {name}")
        unknown = set(value) - set(shape["members"])
        missing = (ALWAYS.get(name, set()) | set(shape.get("required", []))) - set(value)
        if unknown or missing:
            raise Wrong(f"{path} ({name}): unknown {unknown or 'none'}, missing {missing or 'none'}")
        for member, v in value.items():
            self.check(shape["members"][member]["shape"], v, f"{path}.{member}")

    def check_map(self, name, shape, value, path):
        if not isinstance(value, dict) or len(value) > shape.get("max", len(value)):
            raise Wrong(f"{path}: {value!r} is no {name}")
        for k, v in value.items():
            self.check(shape["key"]["shape"], k, f"{path}: its key")
            self.check(shape["value"]["shape"], v, f"{path}.{k}")

    def check_list(self, name, shape, value, path):
        if not isinstance(value, list) or len(value) > shape.get("max", len(value)):
            raise Wrong(f"{path}: {value!r} is no {name}")
        for i, v in enumerate(value):
            self.check(shape["member"]["shape"], v, f"{path}[{i}]")

    def check_string(self, name, shape, value, path):
        if not isinstance(value, str):
            raise Wrong(f"{path}: {value!r} is no text")
        if not shape.get("min", 0) <= len(value) <= shape.get("max", len(value)):
            raise Wrong(f"{path}: {len(value)} characters are not {name}")
        if "enum" in shape and value not in shape["enum"]:
            raise Wrong(f"{path}: {value!r} is not in {shape['enum']}")
        if value and shape.get("pattern", "").startswith("[\\") and not re.search(shape["pattern"], value):
            raise Wrong(f"{path}: {value!r} does not match {shape['pattern']}")

    def check_integer(self, name, shape, value, path):
        if type(value) is not int or not shape.get("min", value) <= value <= shape.get("max", value):
            raise Wrong(f"{path}: {value!r} is no {name}")

    check_long = check_integer

    def check_boolean(self, name, shape, value, path):
        if type(value) is not bool:
            raise Wrong(f"{path}: {value!r} is neither true nor false")

    def check_timestamp(self, name, shape, value, path):
        if type(value) not in (int, float) or abs(value - time.time()) > 3600:
            raise Wrong(f"{path}: {value!r} is no time of this hour in seconds since the epoch")


class Fis:
    """The API over a faultd's Unix socket."""

    def __init__(self, faultd):
        self.faultd = faultd
        self.model = model()
        self.checker = Checker(self.model["shapes"])
        self.answered = set()  # operations that have answered with success
        self.tokens = 0

    def build(self, operation, parameters):
        """(method, path with query, body) as botocore would send it."""
        o = self.model["operations"][operation]
        shape = self.model["shapes"][o["input"]["shape"]]
        uri, query, body = o["http"]["requestUri"], [], {}
        for name, value in parameters.items():
            member = shape["members"].get(name, {})
            if member.get("location") == "uri":
                uri = uri.replace("{" + member["locationName"] + "}", urllib.parse.quote(value, safe=""))
            elif member.get("location") == "querystring":
                query += [(member["locationName"], v) for v in (value if isinstance(value, list) else [value])]
            else:
                body[name] = value
        if query:
            uri += "?" + urllib.parse.urlencode(query)
        return o["http"]["method"], uri, body if o["http"]["method"] in ("POST", "PATCH") else None

    def ask(self, operation, **parameters):
        """(status, answer), which has been held against the model."""
        status, answer = self.faultd.request(*self.build(operation, parameters))
        self.check(operation, status, answer)
        return status, answer

    def check(self, operation, status, answer):
        o = self.model["operations"][operation]
        if status != o["http"].get("responseCode", 200):
            self.check_error(status, answer)
            return
        assert self.faultd.error_type is None
        self.checker.check(o["output"]["shape"], answer, operation)
        self.answered.add(operation)

    def check_error(self, status, answer):
        name = self.faultd.error_type
        assert name in STATUS and status == STATUS[name], (status, name, answer)
        assert set(answer) <= ERROR_MEMBERS and 1 <= len(answer["message"]) <= 1024, answer

    def __call__(self, operation, **parameters):
        """The answer of an operation that must succeed."""
        status, answer = self.ask(operation, **parameters)
        assert status == 200, (operation, status, answer)
        return answer

    def refused(self, operation, status, **parameters):
        """The message of an operation that must be refused with this status."""
        got, answer = self.ask(operation, **parameters)
        assert got == status, (operation, got, answer)
        return answer["message"]

    def raw(self, method, path, body=None, raw=None):
        """(status, answer, x-amzn-ErrorType) of a request that no client would build."""
        status, answer = self.faultd.request(method, path, body, raw)
        return status, answer, self.faultd.error_type

    def token(self):
        self.tokens += 1
        return f"token-{self.tokens}"

    def create(self, **members):
        """A template of one waiting action, but for `members`; its id."""
        return self("CreateExperimentTemplate", **self.template(**members))["experimentTemplate"]["id"]

    def template(self, **members):
        return {"clientToken": self.token(), "description": "waits", "roleArn": "arn:aws:iam::000000000000:role/faultd",
                "stopConditions": [{"source": "none"}],
                "actions": {"wait": {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1H"}}}, **members}

    def start(self, template_id, **members):
        started = self("StartExperiment", **{"clientToken": self.token(), "experimentTemplateId": template_id, **members})
        return started["experiment"]["id"]

    def wait_state(self, experiment_id, *states):
        def look():
            x = self("GetExperiment", id=experiment_id)["experiment"]
            return x if x["state"]["status"] in states else None

        return harness.wait_for(look, f"{experiment_id} {states}")

    def pages(self, operation, member, **parameters):
        """The pages of a list, each as its items."""
        pages, token = [], None
        while True:
            answer = self(operation, **parameters, **({"nextToken": token} if token else {}))
            pages.append(answer[member])
            token = answer.get("nextToken")
            if not token:
                return pages
            assert len(pages) < 200, "there is no end"

    def all(self, operation, member, **parameters):
        return [item for page in self.pages(operation, member, **parameters) for item in page]


def arn(kind, name, account="000000000000"):
    return f"arn:aws:fis:us-east-1:{account}:{kind}/{name}"
