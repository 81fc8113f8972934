"""Who may take which role, and what buckets, keys and the topic of alarms let others do, by the rendered policies."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from pit_pipeline_tests.terraform.policy import Request, Statement, allowed, as_list

pytestmark = pytest.mark.terraform

Resources = Mapping[str, Mapping[str, Any]]

HERE, ELSEWHERE = "111122223333", "999900001111"
CLUSTER = f"arn:aws:eks:us-east-2:{HERE}:cluster/pit-pipeline-test"
BUCKETS = ("landing", "processing", "consumer", "logs", "athena-results")


def _statements(resources: Resources, address: str, attribute: str = "policy") -> list[Statement]:
    statements: list[Statement] = json.loads(resources[address][attribute])["Statement"]
    return statements


def _pod(service_account: str, **changed: str) -> Request:
    context = {
        "aws:SourceAccount": HERE,
        "aws:SourceArn": CLUSTER,
        "aws:RequestTag/kubernetes-namespace": "pit-pipeline",
        "aws:RequestTag/kubernetes-service-account": service_account,
    }
    named = {
        "account": "aws:SourceAccount",
        "cluster": "aws:SourceArn",
        "namespace": "aws:RequestTag/kubernetes-namespace",
    }
    context |= {named[name]: value for name, value in changed.items()}
    return Request("sts:AssumeRole", "*", context, "Service:pods.eks.amazonaws.com")


@pytest.mark.parametrize("workload", ["platform", "step", "executor"])
def test_a_role_of_pods_is_taken_by_its_own_service_account_alone(resources: Resources, workload: str) -> None:
    trust = _statements(resources, f'aws_iam_role.workload["{workload}"]', "assume_role_policy")
    own = f"pit-pipeline-{workload}"
    assert allowed(trust, _pod(own))
    for other in {"platform", "step", "executor"} - {workload}:
        assert not allowed(trust, _pod(f"pit-pipeline-{other}"))
    assert not allowed(trust, _pod(own, namespace="default"))
    assert not allowed(trust, _pod(own, cluster=CLUSTER + "-2"))
    assert not allowed(trust, _pod(own, account=ELSEWHERE))
    assert not allowed(trust, Request("sts:AssumeRole", "*", _pod(own).context, "Service:ec2.amazonaws.com"))
    assert not allowed(trust, Request("sts:AssumeRole", "*", _pod(own).context))


@pytest.mark.parametrize(
    ("guest", "principal"),
    [
        ("producer", "arn:aws:iam::444455556666:role/till"),
        ("analyst", "arn:aws:iam::111122223333:role/analytics"),
        ("web-shop", "arn:aws:iam::444455556666:role/shop"),
    ],
)
def test_a_guest_role_is_taken_by_those_named_alone(resources: Resources, guest: str, principal: str) -> None:
    trust = _statements(resources, f'aws_iam_role.guest["{guest}"]', "assume_role_policy")
    assert allowed(trust, Request("sts:AssumeRole", "*", principal=f"AWS:{principal}"))
    assert not allowed(trust, Request("sts:AssumeRole", "*", principal=f"AWS:{principal}-2"))
    assert not allowed(trust, Request("sts:AssumeRole", "*"))


def test_the_crawlers_role_is_taken_by_glue_for_this_account_alone(resources: Resources) -> None:
    trust = _statements(resources, "aws_iam_role.crawler", "assume_role_policy")
    glue = "Service:glue.amazonaws.com"
    assert allowed(trust, Request("sts:AssumeRole", "*", {"aws:SourceAccount": HERE}, glue))
    assert not allowed(trust, Request("sts:AssumeRole", "*", {"aws:SourceAccount": ELSEWHERE}, glue))
    assert not allowed(trust, Request("sts:AssumeRole", "*", {"aws:SourceAccount": HERE}))


def test_the_role_of_ci_is_taken_by_the_named_branch_alone(resources: Resources) -> None:
    trust = _statements(resources, 'aws_iam_role.ci["this"]', "assume_role_policy")
    issuer = "token.actions.githubusercontent.com"
    principal = f"Federated:arn:aws:iam::{HERE}:oidc-provider/{issuer}"
    main = "repo:example/pit-pipeline:ref:refs/heads/main"

    def token(subject: str, audience: str = "sts.amazonaws.com", by: str = principal) -> Request:
        return Request("sts:AssumeRoleWithWebIdentity", "*", {f"{issuer}:sub": subject, f"{issuer}:aud": audience}, by)

    assert allowed(trust, token(main))
    assert not allowed(trust, token("repo:example/pit-pipeline:pull_request"))
    assert not allowed(trust, token("repo:someone/pit-pipeline:ref:refs/heads/main"))
    assert not allowed(trust, token(main, audience="https://elsewhere"))
    assert not allowed(trust, token(main, by=principal.replace(issuer, "elsewhere")))


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_refuses_whoever_comes_without_current_tls(resources: Resources, bucket: str) -> None:
    name = f"arn:aws:s3:::pit-pipeline-test-{HERE}-us-east-2-{bucket}"
    administrator: list[Statement] = [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]
    statements = administrator + _statements(resources, f'aws_s3_bucket_policy.this["{bucket}"]')
    for resource in (name, f"{name}/visits/x"):
        for secure, version, answer in (
            ("true", "1.3", True),
            ("true", "1.2", True),
            ("true", "1.1", False),
            ("false", "0", False),
            ("false", "1.3", False),
        ):
            context = {"aws:SecureTransport": secure, "s3:TlsVersion": version}
            assert allowed(statements, Request("s3:GetObject", resource, context)) is answer, (resource, context)


@pytest.mark.parametrize("bucket", BUCKETS)
def test_the_policy_of_a_bucket_speaks_of_that_bucket_alone(resources: Resources, bucket: str) -> None:
    name = f"arn:aws:s3:::pit-pipeline-test-{HERE}-us-east-2-{bucket}"
    for statement in _statements(resources, f'aws_s3_bucket_policy.this["{bucket}"]'):
        assert {resource.split("/")[0] for resource in as_list(statement["Resource"])} == {name}


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_itself_lets_nobody_in_but_the_services_that_deliver_logs(resources: Resources, bucket: str) -> None:
    statements = _statements(resources, f'aws_s3_bucket_policy.this["{bucket}"]')
    name = f"arn:aws:s3:::pit-pipeline-test-{HERE}-us-east-2-{bucket}"
    landing = f"arn:aws:s3:::pit-pipeline-test-{HERE}-us-east-2-landing"
    flow = {"aws:SourceArn": f"arn:aws:logs:us-east-2:{HERE}:*", "s3:x-amz-acl": "bucket-owner-full-control"}
    tls = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}

    def put(key: str, service: str, account: str, context: Mapping[str, str]) -> bool:
        whole = {**tls, "aws:SourceAccount": account, **context}
        return allowed(statements, Request("s3:PutObject", f"{name}/{key}", whole, f"Service:{service}"))

    for key, service, context in (
        ("s3-access/landing/x", "logging.s3.amazonaws.com", {"aws:SourceArn": landing}),
        (f"vpc-flow-logs/AWSLogs/{HERE}/x", "delivery.logs.amazonaws.com", flow),
    ):
        assert put(key, service, HERE, context) is (bucket == "logs")
        assert not put(key, service, ELSEWHERE, context)
        assert not put("compute-logs/x", service, HERE, context)
        assert not put(key, service, HERE, {**context, "aws:SourceArn": "arn:aws:s3:::elsewhere"})
    assert not allowed(statements, Request("s3:GetObject", f"{name}/x", tls))


def test_the_data_key_is_for_those_whom_iam_lets_and_no_service(resources: Resources) -> None:
    key = _statements(resources, "aws_kms_key.data")
    assert allowed(key, Request("kms:Decrypt", "*"))
    assert not allowed(key, Request("kms:Decrypt", "*", principal=f"AWS:arn:aws:iam::{ELSEWHERE}:role/x"))
    for service in ("logs.us-east-2", "events", "cloudwatch", "budgets"):
        caller = f"Service:{service}.amazonaws.com"
        assert not allowed(key, Request("kms:Decrypt", "*", {"aws:SourceAccount": HERE}, caller))


def test_the_platforms_key_serves_log_groups_and_alarms_of_this_account(resources: Resources) -> None:
    key = _statements(resources, "aws_kms_key.platform")
    group = "kms:EncryptionContext:aws:logs:arn"
    logs = "Service:logs.us-east-2.amazonaws.com"
    ours, theirs = (f"arn:aws:logs:us-east-2:{account}:log-group:/x" for account in (HERE, ELSEWHERE))
    assert allowed(key, Request("kms:GenerateDataKey", "*", {group: ours}, logs))
    assert not allowed(key, Request("kms:GenerateDataKey", "*", {group: theirs}, logs))
    assert not allowed(key, Request("kms:GenerateDataKey", "*", {}, logs))
    for service in ("events", "cloudwatch", "budgets"):
        caller = f"Service:{service}.amazonaws.com"
        assert allowed(key, Request("kms:GenerateDataKey", "*", {"aws:SourceAccount": HERE}, caller))
        assert not allowed(key, Request("kms:GenerateDataKey", "*", {"aws:SourceAccount": ELSEWHERE}, caller))
        assert not allowed(key, Request("kms:CreateGrant", "*", {"aws:SourceAccount": HERE}, caller))


def test_the_topic_of_alarms_takes_them_from_this_accounts_services(resources: Resources) -> None:
    policy = _statements(resources, "aws_sns_topic_policy.alarms")
    topic = resources["aws_sns_topic.alarms"]["arn"]
    for service in ("events", "cloudwatch", "budgets"):
        caller = f"Service:{service}.amazonaws.com"
        assert allowed(policy, Request("sns:Publish", topic, {"aws:SourceAccount": HERE}, caller))
        assert not allowed(policy, Request("sns:Publish", topic, {"aws:SourceAccount": ELSEWHERE}, caller))
        assert not allowed(policy, Request("sns:Subscribe", topic, {"aws:SourceAccount": HERE}, caller))
    assert not allowed(policy, Request("sns:Publish", topic, {"aws:SourceAccount": HERE}))
