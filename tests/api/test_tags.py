# SPDX-License-Identifier: Apache-2.0
"""Tags by their exact keys."""

import pytest

from lib import harness
from lib.fis import Fis, arn


@pytest.fixture
def fis(root, tmp_path):
    config = {"fis": {"region": "us-east-1", "account": "000000000000", "metadata": "off"}}
    faultd = harness.Faultd(tmp_path, config=config)
    yield Fis(faultd)
    status = faultd.stop()
    faultd.close()
    assert status == 0 and "Sanitizer" not in faultd.log(), faultd.log()


def test_keys_that_differ_by_case(fis):
    tags = {"team": "a", "Team": "b", "TEAM": "c"}
    template = fis.create(tags=tags)
    for resource in (arn("experiment-template", template), arn("experiment", fis.start(template, tags=tags))):
        fis("UntagResource", resourceArn=resource, tagKeys=["team", "TEAM", "tEAM", "team"])
        assert fis("ListTagsForResource", resourceArn=resource)["tags"] == {"Team": "b"}


def test_keys_of_aws_in_any_case(fis):
    for key in ("aws:x", "AWS:x", "Aws:"):
        assert f"tags.{key}" in fis.refused("CreateExperimentTemplate", 400, **fis.template(tags={key: ""}))
        assert f"tags.{key}" in fis.refused("TagResource", 400, resourceArn=arn("experiment-template", "EXT1"), tags={key: ""})
