import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pit_pipeline import kubernetes, steps
from pit_pipeline.definitions import build
from pit_pipeline.deployment import landing_zone
from pit_pipeline.ledger import Ledger
from pit_pipeline.settings import BadSetting, Settings
from pit_pipeline_tests.conftest import Deployment

ON_KUBERNETES = {
    "PIT_EXECUTOR": "k8s_job",
    "PIT_K8S_NAMESPACE": "pits",
    "PIT_K8S_IMAGE": "pit-pipeline:0.1.0",
    "PIT_K8S_STEP_SERVICE_ACCOUNT": "step",
    "PIT_K8S_EXECUTOR_SERVICE_ACCOUNT": "executor",
    "PIT_K8S_EXECUTOR_TEMPLATE": "/etc/pit-pipeline/executor.yaml",
}
IN_A_POD = {"PIT_K8S_POD_NAME": "dagster-step-1-x", "PIT_K8S_POD_IP": "10.0.0.7"}
HEADER = "name,id,pit,category,hour,bought,price,quantity\n"
GIB = 1024**3


def settings(**more: str) -> Settings:
    return Settings.from_environment({**ON_KUBERNETES, **more})


def test_on_one_machine_the_step_works_in_the_runs_process_and_spark_is_told_nothing() -> None:
    local = Settings()
    assert build(local).executor is dg.in_process_executor
    assert kubernetes.spark_conf(local, "run", lambda: pytest.fail("nobody has to count")) == {}


@pytest.mark.parametrize("name", [name for name in ON_KUBERNETES if name != "PIT_EXECUTOR"])
def test_a_setting_that_pods_need_is_named_where_it_is_missing(name: str) -> None:
    with pytest.raises(BadSetting, match=f"^{name} has to be set where PIT_EXECUTOR is k8s_job$"):
        settings(**{name: ""})


def test_a_step_is_a_job_of_its_own_size_that_goes_with_its_run() -> None:
    built = build(settings(PIT_K8S_STEP_MEMORY_MB="4096", PIT_K8S_STEP_CPU="1.5", PIT_K8S_STEP_HOURS="0.5"))
    dg.Definitions.validate_loadable(built)
    config = _configured(built.executor)
    assert (config["job_namespace"], config["job_image"], config["service_account_name"]) == (
        "pits",
        "pit-pipeline:0.1.0",
        "step",
    )
    assert config["enable_owner_references"] is True
    assert config["step_k8s_config"]["job_spec_config"] == {"active_deadline_seconds": 1800}
    container = config["step_k8s_config"]["container_config"]
    assert container["resources"] == {
        "requests": {"cpu": "1.5", "memory": "4096Mi"},
        "limits": {"memory": "4096Mi"},
    }
    assert {entry["name"]: entry["value_from"]["field_ref"]["field_path"] for entry in container["env"]} == {
        "PIT_K8S_POD_NAME": "metadata.name",
        "PIT_K8S_POD_IP": "status.podIP",
    }


def _configured(executor: Any) -> dict[str, Any]:
    """The configuration that Dagster resolves for the job of the UI's Materialize."""
    from dagster._core.definitions.executor_definition import ExecutorDefinition

    assert isinstance(executor, ExecutorDefinition)
    resolved = executor.apply_config_mapping({"config": {}})
    assert resolved.success, resolved.errors
    value: Any = resolved.value
    found: dict[str, Any] = value["config"]
    return found


def test_little_work_is_done_in_the_steps_own_pod() -> None:
    conf = kubernetes.spark_conf(settings(PIT_K8S_STEP_MEMORY_MB="4000"), "run", lambda: 2 * GIB - 1)
    assert conf == {"spark.driver.memory": "2200m"}


def test_much_work_gets_executors_that_reach_the_steps_pod_and_end_with_it() -> None:
    given = settings(**IN_A_POD, PIT_K8S_EXECUTORS="3", PIT_K8S_EXECUTOR_MEMORY_MB="4000")
    conf = kubernetes.spark_conf(given, "the-run", lambda: 2 * GIB)
    assert conf["spark.master"].startswith("k8s://")
    assert (conf["spark.driver.host"], conf["spark.driver.bindAddress"]) == ("10.0.0.7", "0.0.0.0")
    assert conf["spark.kubernetes.driver.pod.name"] == "dagster-step-1-x"
    assert conf["spark.kubernetes.executor.label.dagster/run-id"] == "the-run"
    assert conf["spark.dynamicAllocation.maxExecutors"] == "3"
    assert (conf["spark.executor.memory"], conf["spark.executor.memoryOverhead"]) == ("2200m", "1800m")
    assert conf["spark.kubernetes.authenticate.executor.serviceAccountName"] == "executor"


def test_without_executors_in_the_settings_every_step_works_alone() -> None:
    conf = kubernetes.spark_conf(settings(PIT_K8S_EXECUTORS="0"), "run", lambda: pytest.fail("nobody has to count"))
    assert "spark.master" not in conf


def test_spark_conf_of_the_settings_comes_last() -> None:
    conf = kubernetes.spark_conf(settings(PIT_SPARK_CONF='{"spark.driver.memory": "9g"}'), "run", lambda: 0)
    assert conf == {"spark.driver.memory": "9g"}


def test_a_pod_that_does_not_know_its_address_says_so() -> None:
    with pytest.raises(BadSetting, match="PIT_K8S_POD_IP has to be set in a step's pod"):
        kubernetes.spark_conf(settings(PIT_K8S_POD_NAME="x"), "run", lambda: 2 * GIB)


def test_a_steps_own_session_ends_with_the_step(tmp_path: Path) -> None:
    code = f"""
from pyspark import SparkContext
from pit_pipeline.deployment import parquet_tables
from pit_pipeline.settings import Settings
tables = parquet_tables(Settings(workspace="{tmp_path}"))
with tables.configured({{"spark.driver.memory": "600m", "spark.master": "local[1]"}}):
    assert tables.session.conf.get("spark.driver.memory") == "600m"
assert SparkContext._active_spark_context is None
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-2000:]


class _Asked(Ledger):
    """A ledger that only knows what the run is to make."""

    def __init__(self, *assets: str) -> None:
        self._assets = assets

    def asked(self, asset: str) -> bool:
        return asset in self._assets


def test_work_is_the_landed_files_of_the_days_and_the_published_visits_of_the_window(deployment: Deployment) -> None:
    for day in ("2024-01-01", "2024-01-05"):
        deployment.land(day, HEADER + "Ana,1,p1,c,9,yes,1.00,1\n")
    assert deployment.run("2024-01-01").success
    landing, days = landing_zone(deployment.settings), [date(2024, 1, 5)]
    landed = {found.day: found for _, found in landing.scan_all(days) if not isinstance(found, Exception)}
    size = landed[days[0]].size
    assert size > 0

    def work(window: int, *assets: str) -> int:
        given = deployment.settings.model_copy(update={"window_days": window})
        return steps.bytes_to_read(_Asked(*assets), deployment.tables, landed, days, given)

    assert work(90, "raw_visits") == 0
    assert work(90, "visits_parquet", "daily_metrics") == size
    assert work(4, "visits_parquet", "recommendations") == size
    assert work(5, "visits_parquet", "recommendations") > size
