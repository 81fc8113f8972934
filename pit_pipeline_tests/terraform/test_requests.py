"""What the pipeline really asks of S3 is what its roles allow: the requests of a run, as a server has seen them.

The driver and its tasks are one process here, so that every request must be one that a step may make; those that are
tasks' by their nature (landed files, magic files) must be ones that executors may make as well.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs

import dagster as dg
import pytest
from pyspark.sql import SparkSession

from pit_pipeline_tests.conftest import HEADER, Deployment, many_days, visit
from pit_pipeline_tests.s3_server import S3Server
from pit_pipeline_tests.terraform.policy import Request, Statement, allowed
from pit_pipeline_tests.terraform.test_policies import CONSUMER, LANDING, PROCESSING

pytestmark = pytest.mark.terraform

(DAY,) = many_days(1)

#: METHOD, a parameter of the query, whether there is a key: the permission it takes
_PERMISSIONS = {
    ("GET", "list-type", False): "s3:ListBucket",
    ("GET", "uploads", False): "s3:ListBucketMultipartUploads",
    ("HEAD", "", False): "s3:ListBucket",
    ("POST", "delete", False): "s3:DeleteObject",
    ("GET", "", True): "s3:GetObject",
    ("HEAD", "", True): "s3:GetObject",
    ("PUT", "", True): "s3:PutObject",
    ("POST", "uploads", True): "s3:PutObject",
    ("PUT", "uploadId", True): "s3:PutObject",
    ("POST", "uploadId", True): "s3:PutObject",
    ("GET", "uploadId", True): "s3:ListMultipartUploadParts",
    ("DELETE", "uploadId", True): "s3:AbortMultipartUpload",
    ("DELETE", "", True): "s3:DeleteObject",
}
_PARAMETERS = ("list-type", "uploads", "uploadId", "delete")


def asked(seen: str, buckets: Mapping[str, str]) -> Request:
    """A request as the server saw it, as IAM sees it, on the bucket of the deployment that it stands for."""
    method, _, rest = seen.partition(" ")
    path, _, query = rest.partition("?")
    bucket, _, key = path.lstrip("/").partition("/")
    parameters = parse_qs(query, keep_blank_values=True)
    parameter = next((name for name in _PARAMETERS if name in parameters), "")
    action = _PERMISSIONS[method, parameter, bool(key)]
    context = {"s3:prefix": parameters.get("prefix", [""])[0]} if parameter == "list-type" else {}
    if action == "s3:DeleteObject" and not key:
        key = "_staging/x"  # the keys are in the body, which is not kept
    return Request(action, f"{buckets[bucket]}/{key}" if key else buckets[bucket], context)


@pytest.fixture
def deployment_in_s3(
    spark: SparkSession, tmp_path: Path, instance: dg.DagsterInstance, s3_zones: dict[str, str]
) -> Deployment:
    return Deployment(tmp_path, instance, rows_per_file=15, **s3_zones)


def _requests(deployment: Deployment, server: S3Server, since: int) -> list[Request]:
    settings = deployment.settings
    uris = {settings.landing_uri: LANDING, settings.processing_uri: PROCESSING, settings.consumer_uri: CONSUMER}
    buckets = {uri.removeprefix("s3a://"): bucket for uri, bucket in uris.items()}
    return [asked(request, buckets) for request in server.requests[since:]]


def test_a_run_asks_for_nothing_that_its_roles_refuse(
    policies: Mapping[str, list[Statement]], deployment_in_s3: Deployment, s3_server: S3Server
) -> None:
    people = "".join(visit(f"p{i}", pit) for i in range(20) for pit in ("a", f"b{i % 3}"))
    deployment_in_s3.land(DAY, HEADER + people)
    since = len(s3_server.requests)
    assert deployment_in_s3.run(DAY).success
    assert deployment_in_s3.run(DAY, assets=("raw_visits", "visits_parquet")).success  # what was there is replaced
    requests = _requests(deployment_in_s3, s3_server, since)
    assert {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"} <= {r.action for r in requests}
    assert {(r.action, r.resource) for r in requests if not allowed(policies["step"], r)} == set()
    of_tasks = [
        r
        for r in requests
        if re.search(r"/__magic", r.resource) or (r.action == "s3:GetObject" and r.resource.startswith(LANDING))
    ]
    assert any("__magic" in r.resource for r in of_tasks)
    assert any(r.resource.startswith(LANDING) for r in of_tasks)
    assert {(r.action, r.resource) for r in of_tasks if not allowed(policies["executor"], r)} == set()


def test_the_sensor_asks_for_nothing_that_the_platform_is_refused(
    policies: Mapping[str, list[Statement]], deployment_in_s3: Deployment, s3_server: S3Server
) -> None:
    deployment_in_s3.land(DAY, HEADER + visit())
    since = len(s3_server.requests)
    sensor = deployment_in_s3.definitions.resolve_sensor_def("landing_sensor")
    context = dg.build_sensor_context(
        instance=deployment_in_s3.instance, repository_def=deployment_in_s3.definitions.get_repository_def()
    )
    sensor.evaluate_tick(context)
    requests = _requests(deployment_in_s3, s3_server, since)
    assert requests
    assert {(r.action, r.resource) for r in requests if not allowed(policies["platform"], r)} == set()
