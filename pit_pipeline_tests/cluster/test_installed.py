"""The chart taken by a real API server, a week made as the UI asks for it, and what each account may do."""

import json
import subprocess
from typing import Any

import pytest
import yaml

from pit_pipeline_tests.cluster.deployment import ASSETS, FIRST_DAY, NAMESPACE, Deployment, kubectl
from pit_pipeline_tests.test_chart import AWS, LOCAL, Manifest, rendered

pytestmark = pytest.mark.cluster

DAYS = [f"2024-03-0{day}" for day in range(1, 8)]
EVENTS = "spark-events"

_WORKERS = """
import boto3, json
client, found = boto3.client("s3"), set()
for entry in client.list_objects_v2(Bucket="logs", Prefix="%s/").get("Contents", []):
    for line in client.get_object(Bucket="logs", Key=entry["Key"])["Body"].read().splitlines():
        event = json.loads(line)
        if event["Event"] == "SparkListenerTaskEnd":
            found.add(event["Task Info"]["Executor ID"])
print(json.dumps(sorted(found)))
"""


@pytest.mark.parametrize("values", [LOCAL, AWS], ids=["local", "aws"])
def test_the_api_server_takes_every_manifest(values: dict[str, Any]) -> None:
    # This kind comes with an add-on of the cluster.
    known: list[Manifest] = [m for m in rendered(values) if m["kind"] != "SecretProviderClass"]
    for manifest in known:
        manifest["metadata"]["namespace"] = manifest["metadata"].get("namespace", "default")
        for subject in manifest.get("subjects", []):
            subject["namespace"] = "default"
    text = yaml.safe_dump_all(known)
    words = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"]
    answer = subprocess.run(["kubectl", *words], input=text, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert len(answer.stdout.splitlines()) == len(known)


def test_a_week_is_made_by_steps_that_work_alone_and_a_day_by_one_with_executors(deployment: Deployment) -> None:
    deployment.land(FIRST_DAY, days=len(DAYS), people=200, visits=600)
    status, told = deployment.ended(deployment.backfill(DAYS))
    assert status == "SUCCESS", told[-5:]
    assert [deployment.materializations(day) for day in DAYS] == [[1] * len(ASSETS)] * len(DAYS)
    alone = deployment.rows(DAYS[-1])

    # A key below a prefix that exists: Spark does not make the folder of its event log.
    deployment.python(f'import boto3; boto3.client("s3").put_object(Bucket="logs", Key="{EVENTS}/")')
    logged = {
        **json.loads(LOCAL["settings"]["PIT_SPARK_CONF"]),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": f"s3a://logs/{EVENTS}",
        "spark.eventLog.compress": "false",
    }
    deployment.set(PIT_K8S_EXECUTORS_FROM_MB="0", PIT_SPARK_CONF=json.dumps(logged))
    run = deployment.materialize(DAYS[-1])
    status, told = deployment.ended(run)
    assert status == "SUCCESS", told[-5:]
    workers = json.loads(deployment.python(_WORKERS % EVENTS))
    assert workers
    assert "driver" not in workers
    assert deployment.rows(DAYS[-1]) == alone
    deployment.nothing_is_left_of(run)


@pytest.mark.parametrize(
    ("account", "verb", "resource", "allowed"),
    [
        ("platform", "create", "jobs", "yes"),
        ("platform", "delete", "pods", "yes"),
        ("platform", "create", "pods", "no"),
        ("platform", "create", "pods --subresource=exec", "no"),
        ("platform", "get", "secrets", "no"),
        ("step", "create", "pods", "yes"),
        ("step", "create", "jobs", "no"),
        ("step", "create", "pods --subresource=exec", "no"),
        ("step", "get", "secrets", "no"),
        ("step", "get", "configmaps", "no"),
        ("executor", "get", "pods", "no"),
    ],
)
@pytest.mark.usefixtures("deployment")
def test_an_account_may_do_its_work_and_nothing_else(account: str, verb: str, resource: str, allowed: str) -> None:
    who = f"--as=system:serviceaccount:{NAMESPACE}:pit-pipeline-{account}"
    # kubectl ends with 1 where the answer is no.
    assert kubectl.tried("auth", "can-i", verb, *resource.split(), who).stdout.strip() == allowed
