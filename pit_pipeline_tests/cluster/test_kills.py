"""A day whose pods are killed amid its work is made once, to the same rows, and nothing is left over.

Each test sees Spark at work first: a pod is killed while tasks are active, by Spark's own account.
"""

import json
from dataclasses import dataclass, replace

import pytest

from pit_pipeline_tests.cluster.deployment import Deployment, kubectl, until
from pit_pipeline_tests.test_chart import LOCAL

pytestmark = pytest.mark.kills

DAY = "2024-03-20"


@dataclass(frozen=True)
class Work:
    """A run of the day in the middle of its work; rows: what it makes undisturbed."""

    deployment: Deployment
    run: str
    step: str
    busy: list[str]
    made_before: list[int]
    rows: dict[str, list[object]]

    def is_made_once_and_alike(self) -> list[str]:
        """Waits for the run's end and looks at everything it made; what the run's page tells."""
        status, told = self.deployment.ended(self.run)
        assert status == "SUCCESS", told[-5:]
        assert self.deployment.rows(DAY) == self.rows
        landed, *tables = self.deployment.materializations(DAY)
        assert landed > self.made_before[0]  # what has landed is recorded at once, by each attempt
        assert tables == [made + 1 for made in self.made_before[1:]]
        self.deployment.nothing_is_left_of(self.run)
        return told


def begun(deployment: Deployment, rows: dict[str, list[object]]) -> Work:
    before = deployment.materializations(DAY)
    run = deployment.materialize(DAY)
    step = deployment.step_pod(run)
    return Work(deployment, run, step, deployment.busy(step), before, rows)


@pytest.fixture(scope="module")
def undisturbed(deployment: Deployment) -> dict[str, list[object]]:
    """The day's rows as a run makes them that nobody disturbs, with executors."""
    deployment.land(DAY, days=1, people=800, visits=20_000)
    conf = {**json.loads(LOCAL["settings"]["PIT_SPARK_CONF"]), "spark.ui.enabled": "true"}
    deployment.set(PIT_K8S_EXECUTORS_FROM_MB="0", PIT_SPARK_CONF=json.dumps(conf), PIT_K8S_STEP_HOURS="6")
    status, told = deployment.ended(deployment.materialize(DAY))
    assert status == "SUCCESS", told[-5:]
    return deployment.rows(DAY)


@pytest.fixture
def work(deployment: Deployment, undisturbed: dict[str, list[object]]) -> Work:
    return begun(deployment, undisturbed)


@pytest.mark.cluster
def test_an_executor(work: Work) -> None:
    (executor,) = kubectl.names("pod", "spark-role=executor", f"spark-exec-id={work.busy[0]}")
    kubectl.kill(executor)
    told = work.is_made_once_and_alike()
    assert not [text for text in told if "retry" in text]  # Spark does the lost tasks again by itself


@pytest.mark.cluster
def test_the_steps_pod_which_is_sparks_driver(work: Work) -> None:
    kubectl.kill(work.step)
    again = work.deployment.step_pod(work.run, beside=[work.step])
    told = work.is_made_once_and_alike()
    assert again != work.step
    assert [text for text in told if "Discovered failed Kubernetes job" in text]


@pytest.mark.cluster
def test_the_runs_pod(work: Work) -> None:
    (pod,) = kubectl.names("pod", f"dagster/run-id={work.run}", "app.kubernetes.io/component=run_worker")
    kubectl.kill(pod)
    assert work.deployment.ended(work.run)[0] == "FAILURE"
    again = replace(work, run=work.deployment.begun_anew(work.run))
    assert [text for text in work.deployment.ended(work.run)[1] if "Retrying the run" in text]
    again.is_made_once_and_alike()
    work.deployment.nothing_is_left_of(work.run)


@pytest.mark.parametrize("program", ["daemon", "code", "webserver"])
def test_a_program_that_runs_all_the_time(work: Work, program: str) -> None:
    (pod,) = kubectl.names("pod", f"app.kubernetes.io/component={program}")
    kubectl.kill(pod)
    kubectl("rollout", "status", f"deployment/pit-pipeline-{program}", "--timeout=180s")
    work.deployment.until_ready()
    work.is_made_once_and_alike()


def test_the_database(work: Work) -> None:
    (pod,) = kubectl.names("pod", "app.kubernetes.io/component=postgres")
    kubectl.kill(pod)
    work.deployment.until_ready()
    work.is_made_once_and_alike()


def test_a_step_with_too_little_memory_fails_with_the_reason_and_the_day_stays(
    deployment: Deployment, undisturbed: dict[str, list[object]]
) -> None:
    before = deployment.materializations(DAY)[1:]
    # A heap that is larger than the pod, and taken whole.
    heap = {"spark.driver.memory": "2g", "spark.driver.extraJavaOptions": "-Xms2g -XX:+AlwaysPreTouch"}
    with deployment.changed(PIT_K8S_STEP_MEMORY_MB="1536", PIT_SPARK_CONF=json.dumps(heap)):
        run = deployment.materialize(DAY)
        pod = deployment.step_pod(run)
        reason = "jsonpath={.status.containerStatuses[0].state.terminated.reason}"
        until(lambda: kubectl("get", pod, "-o", reason) == "OOMKilled", 180)
        status, told = deployment.ended(run, 600)
        assert status == "FAILURE"
        assert [text for text in told if "Java gateway process exited" in text]
        assert deployment.rows(DAY) == undisturbed
        assert deployment.materializations(DAY)[1:] == before
        deployment.nothing_is_left_of(run)
    begun(deployment, undisturbed).is_made_once_and_alike()


def test_a_step_whose_pod_never_comes_is_ended_and_tells_so(
    deployment: Deployment, undisturbed: dict[str, list[object]]
) -> None:
    with deployment.changed(PIT_K8S_STEP_MEMORY_MB="9999999", PIT_K8S_STEP_HOURS="0.005"):
        run = deployment.materialize(DAY)
        status, told = deployment.ended(run, 600)
        assert status == "FAILURE"
        assert [text for text in told if "Discovered failed Kubernetes job" in text]
        assert deployment.rows(DAY) == undisturbed
        deployment.nothing_is_left_of(run)


def test_a_run_that_is_terminated_takes_its_pods_along(work: Work) -> None:
    answer = work.deployment.query(
        """mutation($run: String!) { terminateRun(runId: $run) { __typename ... on PythonError { message } } }""",
        run=work.run,
    )["terminateRun"]
    assert answer["__typename"] == "TerminateRunSuccess", answer
    status, _ = work.deployment.ended(work.run)
    assert status == "CANCELED"
    work.deployment.nothing_is_left_of(work.run)
    assert work.deployment.materializations(DAY)[1:] == work.made_before[1:]
    assert work.deployment.rows(DAY) == work.rows
