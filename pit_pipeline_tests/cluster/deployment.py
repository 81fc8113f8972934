"""The chart on a real cluster, used as people use it: helm, kubectl, and the UI's own GraphQL.

Needs a current kubeconfig and kubectl, and the images in the cluster. PIT_TEST_VALUES, as YAML, lies over
values-local.yaml: which images those are.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import helm_python
import yaml

from pit_pipeline_tests.test_chart import CHART, LOCAL, merged

NAMESPACE, RELEASE = "pit-pipeline-test", "pit-pipeline"
FIRST_DAY = "2024-03-01"
ASSETS = ("raw_visits", "visits_parquet", "daily_metrics", "recommendations")
SELECTION = [{"path": [asset]} for asset in ASSETS]

_LAND = """
import boto3, sys
from pathlib import Path
from datetime import date
from pit_pipeline.samples import Samples, write_samples
first, days, people, visits = sys.argv[1:]
root = Path("/tmp/landing") / first
size = {"days": int(days), "people": int(people), "visits": int(visits)}
write_samples(root, Samples(first_day=date.fromisoformat(first), **size))
for file in root.rglob("*.csv*"):
    boto3.client("s3").upload_file(str(file), "landing", str(file.relative_to(root)))
"""
_ASK = """
import sys, urllib.request
request = urllib.request.Request("http://127.0.0.1:3000/graphql", sys.stdin.buffer.read(),
                                 {"Content-Type": "application/json"})
sys.stdout.write(urllib.request.urlopen(request, timeout=30).read().decode())
"""
# All rows of a day, table by table, and every key that is there beside the published ones.
_ROWS = """
import hashlib, json, sys
from datetime import date
import boto3
from pit_pipeline.deployment import parquet_tables
from pit_pipeline.settings import Settings
from pit_pipeline.tables import TABLES
tables, day, rows, published = parquet_tables(Settings.from_environment()), date.fromisoformat(sys.argv[1]), {}, set()
for table in TABLES:
    days = tables.zone(table).published(table)
    published |= {path for files in days.values() for path in files.paths}
    held = sorted(map(repr, days[day].dataset().to_table().to_pylist())) if day in days else []
    rows[table.name] = [len(held), hashlib.sha256("".join(held).encode()).hexdigest()]
held = {f"{bucket}/{entry['Key']}" for bucket in ("processing", "consumer")
        for page in boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for entry in page.get("Contents", [])}
print(json.dumps({"rows": rows, "others": sorted(held - published)}))
"""
# In a step's pod: which of the driver and its executors have a task in hand right now, by Spark's own account.
_BUSY = """
import json, sys, time, urllib.request
def ask(path):
    return json.load(urllib.request.urlopen("http://127.0.0.1:4040/api/v1/applications" + path, timeout=5))
end, busy = time.monotonic() + float(sys.argv[1]), []
while not busy and time.monotonic() < end:
    try:
        busy = [e["id"] for e in ask("/" + ask("")[0]["id"] + "/executors") if e["activeTasks"]]
    except (OSError, IndexError, ValueError):
        pass  # no session yet, or one that is starting
    time.sleep(0.05)
print(json.dumps(busy))
"""


class NoAnswer(Exception):
    """The webserver could not be asked, or had no answer: it, or its database, is not there at the moment."""


class Kubectl:
    """kubectl in the test's namespace."""

    def __call__(self, *words: str, stdin: str | None = None) -> str:
        """What kubectl answers. Raises AssertionError with its words where it fails."""
        answer = self.tried(*words, stdin=stdin)
        assert answer.returncode == 0, f"kubectl {' '.join(words[:4])}: {answer.stderr[-2000:]}"
        return answer.stdout

    def tried(self, *words: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        """The same where a no is an answer too."""
        command = ["kubectl", "--namespace", NAMESPACE, *words]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)

    def names(self, kind: str, *labels: str) -> list[str]:
        """What is there of a kind with all these labels, and not on its way out, as `kind/name`."""
        template = "{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}"
        found = self("get", kind, "-l", ",".join(labels), "-o", f"go-template={template}")
        return [f"{kind}/{name}" for name in found.split()]

    def kill(self, pod: str) -> None:
        """As when its node is lost: at once, and nothing in it is told."""
        self("delete", pod, "--grace-period=0", "--force")


kubectl = Kubectl()


def until(found: Callable[[], Any], seconds: float) -> Any:
    """What `found` gives as soon as it is something. Raises TimeoutError with the cluster's state."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(NoAnswer):
            if answer := found():
                return answer
        time.sleep(1)
    raise TimeoutError(kubectl("get", "pods,jobs") + kubectl("get", "events", "--sort-by=.lastTimestamp")[-3000:])


class Deployment:
    """The chart, installed with its values for a laptop."""

    def __init__(self) -> None:
        self._helm = helm_python.Config(kubeconfig_path=os.environ["KUBECONFIG"], namespace=NAMESPACE)
        given = yaml.safe_load(os.environ.get("PIT_TEST_VALUES", "{}"))
        self.values = merged(LOCAL, given, {"settings": {"PIT_FIRST_DAY": FIRST_DAY}})

    def install(self) -> None:
        """As docs/kubernetes.md says, in a namespace that enforces Pod Security."""
        kubectl("create", "namespace", NAMESPACE)
        kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        for name, keys in {
            "postgres": ["password=local-only"],
            "s3": ["AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local-only"],
        }.items():
            literals = [f"--from-literal={key}" for key in keys]
            kubectl("create", "secret", "generic", f"pit-pipeline-{name}", *literals)
        self._helm.install(str(CHART), RELEASE, self.values)
        self.until_ready()

    def upgrade(self, **values: object) -> None:
        """Other values, as `helm upgrade` gives them."""
        self.values = merged(self.values, values)
        self._helm.upgrade(str(CHART), RELEASE, self.values)
        self.until_ready()

    def set(self, **settings: str) -> None:
        """Other settings of the pipeline."""
        self.upgrade(settings=settings)

    @contextmanager
    def changed(self, **settings: str) -> Iterator[None]:
        """Settings that are others for a while; each has been given before."""
        before = {name: self.values["settings"][name] for name in settings}
        try:
            self.set(**settings)
            yield
        finally:
            self.set(**before)

    def until_ready(self) -> None:
        """Until every program is, and the UI shows the code location."""
        for kind in ("statefulset/pit-pipeline-postgres", "statefulset/pit-pipeline-s3", "deployment/pit-pipeline-code",
                     "deployment/pit-pipeline-daemon", "deployment/pit-pipeline-webserver"):  # fmt: skip
            kubectl("rollout", "status", kind, "--timeout=300s")
        asked = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
        until(lambda: self.query(asked)["repositoriesOrError"].get("nodes"), 120)

    def python(self, program: str, *words: str, stdin: str | None = None, target: str = "deployment/pit-pipeline-code",
               container: str = "code") -> str:  # fmt: skip
        """Run a program in a pod that runs already; what it prints."""
        return kubectl("exec", "-i", target, "-c", container, "--", "python", "-c", program, *words, stdin=stdin)

    def land(self, first: str, days: int, people: int, visits: int) -> None:
        """Sample visits of some days in the landing bucket."""
        self.python(_LAND, first, str(days), str(people), str(visits))

    def rows(self, day: str) -> dict[str, list[object]]:
        """Per table the number of a day's rows and their hash; and nothing else may lie in the zones."""
        answer = json.loads(self.python(_ROWS, day))
        assert answer["others"] == []
        rows: dict[str, list[object]] = answer["rows"]
        return rows

    def query(self, text: str, **variables: object) -> dict[str, Any]:
        """Ask the webserver, from within its pod. Raises NoAnswer."""
        body = json.dumps({"query": text, "variables": variables})
        target = ["deployment/pit-pipeline-webserver", "-c", "webserver", "--", "python", "-c", _ASK]
        asked = kubectl.tried("exec", "-i", *target, stdin=body)
        if asked.returncode:
            raise NoAnswer(asked.stderr[-2000:])
        answer = json.loads(asked.stdout)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def backfill(self, days: Sequence[str]) -> str:
        """All four assets for some days, by the mutation of the UI's Materialize; the id of its one run."""
        launched = self.query(
            """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
                 __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }""",
            params={"assetSelection": SELECTION, "partitionNames": list(days)},
        )["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return self._run_with("dagster/backfill", launched["backfillId"])

    def materialize(self, day: str) -> str:
        """All four assets for one day, which the UI launches as a run without a backfill; its id."""
        launched = self.query(
            """mutation($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
                 __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
            params={
                "selector": {
                    "repositoryLocationName": "pit_pipeline",
                    "repositoryName": "__repository__",
                    "pipelineName": "__ASSET_JOB",
                    "assetSelection": SELECTION,
                    "assetCheckSelection": None,
                },
                "mode": "default",
                "executionMetadata": {"tags": [{"key": "dagster/partition", "value": day}]},
            },
        )["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def _run_with(self, tag: str, value: str) -> str:
        asked = "query($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs { results { runId } } } }"
        wanted = {"tags": [{"key": tag, "value": value}]}
        (found,) = until(lambda: self.query(asked, filter=wanted)["runsOrError"]["results"], 120)
        return str(found["runId"])

    def run(self, run: str) -> dict[str, Any]:
        """A run's status and events, as its page shows them."""
        found: dict[str, Any] = self.query(
            """query($run: ID!) { runOrError(runId: $run) { ... on Run { status
                 eventConnection { events { ... on MessageEvent { message }
                   ... on ErrorEvent { error { message causes { message } } } } } } } }""",
            run=run,
        )["runOrError"]
        return found

    def ended(self, run: str, seconds: float = 420) -> tuple[str, list[str]]:
        """A run's last status, and what its page tells, when it has ended."""

        def last() -> dict[str, Any] | None:
            found = self.run(run)
            return found if found["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None

        found = until(last, seconds)
        events = found["eventConnection"]["events"]
        return found["status"], [f"{event['message']} {json.dumps(event.get('error'))}" for event in events]

    def begun_anew(self, run: str) -> str:
        """The run that follows one whose pod was lost, as soon as it is there; its id."""
        return self._run_with("dagster/parent_run_id", run)

    def materializations(self, day: str) -> list[int]:
        """How often each asset's day has been recorded as made."""
        asked = """query($key: AssetKeyInput!, $days: [String!]) { assetOrError(assetKey: $key) { ... on Asset {
                     assetMaterializations(partitions: $days) { timestamp } } } }"""
        found = [self.query(asked, key={"path": [asset]}, days=[day])["assetOrError"] for asset in ASSETS]
        return [len(one.get("assetMaterializations", [])) for one in found]

    def step_pod(self, run: str, beside: Sequence[str] = (), seconds: float = 120) -> str:
        """The pod of a run's step as soon as it runs; beside: pods of its earlier attempts."""

        def running() -> str | None:
            labels = (f"dagster/run-id={run}", "app.kubernetes.io/component=step_worker")
            for pod in kubectl.names("pod", *labels):
                if pod not in beside and "Running" in kubectl("get", pod, "-o", "jsonpath={.status.phase}"):
                    return pod
            return None

        return str(until(running, seconds))

    def busy(self, step: str, seconds: float = 180) -> list[str]:
        """Who of a step's driver and executors, by Spark's ids, has a task in hand, as soon as anyone has."""
        found: list[str] = json.loads(self.python(_BUSY, str(seconds), target=step, container="dagster"))
        assert found, f"no task was seen active in {step}"
        return found

    def nothing_is_left_of(self, run: str) -> None:
        """Raises TimeoutError where a pod of a run still runs, or an executor of any."""

        def gone() -> bool:
            pods = kubectl("get", "pods", "-l", f"dagster/run-id={run}", "--field-selector=status.phase!=Succeeded,"
                           "status.phase!=Failed", "-o", "name")  # fmt: skip
            return not pods.strip() and not kubectl.names("pod", "spark-role=executor")

        until(gone, 90)
