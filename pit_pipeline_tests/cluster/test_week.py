"""The chart on a real cluster: installed, given landing files, and asked for days as the UI asks.

Needs a current kubeconfig, kubectl, and the images in the cluster: `make test-cluster`.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import helm_python
import pytest
import yaml

from pit_pipeline_tests.test_chart import AWS, CHART, LOCAL, Manifest, merged, rendered

pytestmark = pytest.mark.cluster

NAMESPACE, RELEASE = "pit-pipeline-test", "pit-pipeline"
FIRST_DAY = "2024-03-01"
DAYS = [f"2024-03-0{day}" for day in range(1, 8)]
ASSETS = ("raw_visits", "visits_parquet", "daily_metrics", "recommendations")
EVENTS = "spark-events"

_IN_A_POD = """
import boto3, json, sys
from pathlib import Path
from datetime import date
from pit_pipeline.samples import Samples, write_samples
client, root = boto3.client("s3"), Path("/tmp/landing")
write_samples(root, Samples(first_day=date.fromisoformat(sys.argv[1]), days=int(sys.argv[2]), people=200, visits=600))
for file in root.rglob("*.csv*"):
    client.upload_file(str(file), "landing", str(file.relative_to(root)))
"""
_ASK = """
import sys, urllib.request
request = urllib.request.Request("http://127.0.0.1:3000/graphql", sys.stdin.buffer.read(),
                                 {"Content-Type": "application/json"})
sys.stdout.write(urllib.request.urlopen(request, timeout=30).read().decode())
"""
_EVENTS = """
import boto3, json
client, found = boto3.client("s3"), set()
for entry in client.list_objects_v2(Bucket="logs", Prefix="%s/").get("Contents", []):
    for line in client.get_object(Bucket="logs", Key=entry["Key"])["Body"].read().splitlines():
        event = json.loads(line)
        if event["Event"] == "SparkListenerTaskEnd":
            found.add(event["Task Info"]["Executor ID"])
print(json.dumps(sorted(found)))
"""


def kubectl(*words: str, stdin: str | None = None) -> str:
    answer = subprocess.run(
        ["kubectl", "--namespace", NAMESPACE, *words], input=stdin, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, f"kubectl {' '.join(words[:4])}: {answer.stderr[-2000:]}"
    return answer.stdout


class Cluster:
    """The chart, installed with its values for a laptop."""

    def __init__(self) -> None:
        self._helm = helm_python.Config(kubeconfig_path=os.environ["KUBECONFIG"], namespace=NAMESPACE)
        self._values: dict[str, Any] = {}

    def install(self) -> None:
        kubectl("create", "namespace", NAMESPACE)
        kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        for name, keys in {
            "postgres": ["password=local-only"],
            "s3": ["AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local-only"],
        }.items():
            literals = [f"--from-literal={key}" for key in keys]
            kubectl("create", "secret", "generic", f"pit-pipeline-{name}", *literals)
        given = yaml.safe_load(os.environ.get("PIT_TEST_VALUES", "{}"))
        self._values = merged(LOCAL, given, {"settings": {"PIT_FIRST_DAY": FIRST_DAY}})
        self._helm.install(str(CHART), RELEASE, self._values)
        self.until_ready()

    def upgrade(self, **settings: str) -> None:
        """Other settings, as `helm upgrade --set` gives them."""
        self._values = merged(self._values, {"settings": settings})
        self._helm.upgrade(str(CHART), RELEASE, self._values)
        self.until_ready()

    def until_ready(self) -> None:
        for kind in ("statefulset/pit-pipeline-postgres", "statefulset/pit-pipeline-s3", "deployment/pit-pipeline-code",
                     "deployment/pit-pipeline-daemon", "deployment/pit-pipeline-webserver"):  # fmt: skip
            kubectl("rollout", "status", kind, "--timeout=300s")
        asked = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
        until(lambda: self.query(asked)["repositoriesOrError"].get("nodes"), 120)

    def python(self, program: str, *words: str, stdin: str | None = None, deployment: str = "code") -> str:
        """Run a program in a pod of the platform."""
        target = f"deployment/pit-pipeline-{deployment}"
        return kubectl("exec", "-i", target, "-c", deployment, "--", "python", "-c", program, *words, stdin=stdin)

    def query(self, text: str, **variables: object) -> dict[str, Any]:
        body = json.dumps({"query": text, "variables": variables})
        answer = json.loads(self.python(_ASK, stdin=body, deployment="webserver"))
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def materialize(self, days: list[str]) -> None:
        launched = self.query(
            """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
                 __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }""",
            params={"assetSelection": [{"path": [asset]} for asset in ASSETS], "partitionNames": days},
        )["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def runs(self) -> list[str]:
        answer = self.query("{ runsOrError { ... on Runs { results { status } } } }")
        return [run["status"] for run in answer["runsOrError"]["results"]]

    def made(self, asset: str) -> int:
        stats = self.query(
            """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
                 partitionStats { numMaterialized } } } }""",
            key={"path": [asset]},
        )
        return int(stats["assetNodeOrError"]["partitionStats"]["numMaterialized"])


def until(found: Callable[[], Any], seconds: float) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(2)
    raise TimeoutError(kubectl("get", "pods,jobs") + kubectl("get", "events", "--sort-by=.lastTimestamp")[-3000:])


def settled(cluster: Cluster, runs: int) -> bool:
    found = cluster.runs()
    return len(found) >= runs and set(found) <= {"SUCCESS", "FAILURE", "CANCELED"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    try:
        cluster.install()
        yield cluster
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=180s")


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


def test_a_week_is_made_by_steps_that_work_alone_and_a_day_by_one_with_executors(cluster: Cluster) -> None:
    cluster.python(_IN_A_POD, FIRST_DAY, str(len(DAYS)))
    cluster.materialize(DAYS)
    until(lambda: settled(cluster, 1), 420)
    assert cluster.runs() == ["SUCCESS"]
    assert [cluster.made(asset) for asset in ASSETS] == [len(DAYS)] * len(ASSETS)

    own = json.loads(LOCAL["settings"]["PIT_SPARK_CONF"])
    # A key below a prefix that exists: Spark does not make the folder of its event log.
    cluster.python(f'import boto3; boto3.client("s3").put_object(Bucket="logs", Key="{EVENTS}/")')
    logged = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": f"s3a://logs/{EVENTS}",
        "spark.eventLog.compress": "false",
    }
    cluster.upgrade(PIT_K8S_EXECUTORS_FROM_MB="0", PIT_SPARK_CONF=json.dumps({**own, **logged}))
    cluster.materialize(DAYS[-1:])
    until(lambda: settled(cluster, 2), 420)
    assert cluster.runs() == ["SUCCESS", "SUCCESS"]
    workers = json.loads(cluster.python(_EVENTS % EVENTS))
    assert workers
    assert "driver" not in workers
    until(lambda: not kubectl("get", "pods", "-l", "spark-role=executor", "-o", "name").strip(), 60)


@pytest.mark.parametrize(
    ("account", "verb", "resource", "allowed"),
    [
        ("platform", "create", "jobs", "yes"),
        ("platform", "create", "pods", "no"),
        ("platform", "get", "secrets", "no"),
        ("step", "create", "pods", "yes"),
        ("step", "create", "jobs", "no"),
        ("step", "create", "pods --subresource=exec", "no"),
        ("step", "get", "secrets", "no"),
        ("step", "get", "configmaps", "no"),
        ("executor", "get", "pods", "no"),
    ],
)
def test_an_account_may_do_its_work_and_nothing_else(
    cluster: Cluster, account: str, verb: str, resource: str, allowed: str
) -> None:
    who = f"--as=system:serviceaccount:{NAMESPACE}:pit-pipeline-{account}"
    # kubectl ends with 1 where the answer is no.
    words = ["kubectl", "--namespace", NAMESPACE, "auth", "can-i", verb, *resource.split(), who]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    assert answer.stdout.strip() == allowed
