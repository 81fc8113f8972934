"""What the chart makes, as files for other programs: `python -m pit_pipeline_tests.render FOLDER`.

Here: the manifests with the values of a laptop and of AWS, and the pods that no manifest holds, because Dagster and
Spark make them from what the chart tells them. Not here: what manifests have to be (`test_chart`).
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from dagster._core.definitions.executor_definition import ExecutorDefinition
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import DagsterK8sJobConfig, construct_dagster_k8s_job
from kubernetes.client import ApiClient

from pit_pipeline import kubernetes
from pit_pipeline.settings import Settings
from pit_pipeline_tests.test_chart import AWS, LOCAL, Manifest, found, instance, rendered

NAMESPACE = "shop"
# Of a launcher's and an executor's settings, what is not about a pod.
_NOT_OF_PODS = {
    "load_incluster_config",
    "job_namespace",
    "instance_config_map",
    "dagster_home",
    "postgres_password_secret",
}


def settings(manifests: list[Manifest]) -> Settings:
    """What the pipeline is told in every pod."""
    return Settings.from_environment(found(manifests, "ConfigMap", "settings")["data"])


def launched(
    launcher: Mapping[str, Any], given: Settings, location: Mapping[str, Any] | None = None
) -> dict[str, Manifest]:
    """The Jobs of a run and of its step, as Dagster makes them.

    launcher: the run launcher's settings; given: the pipeline's; location: what a code location says of its runs.
    """
    own = {name: value for name, value in launcher.items() if name not in _NOT_OF_PODS}
    run = K8sContainerContext.create_from_config({"k8s": own}).merge(K8sContainerContext.create_from_config(location))
    executor = kubernetes.step_executor(given)
    assert isinstance(executor, ExecutorDefinition)
    said: dict[str, Any] = executor.apply_config_mapping({"config": {}}).value["config"]  # type: ignore[index]
    step = run.merge(
        K8sContainerContext.create_from_config(
            {"k8s": {"service_account_name": said["service_account_name"], "run_k8s_config": said["step_k8s_config"]}}
        )
    )
    homes = {name: launcher[name] for name in ("dagster_home", "instance_config_map")}
    password = launcher.get("postgres_password_secret")
    jobs = {}
    for name, context in (("run", run), ("step", step)):
        job = construct_dagster_k8s_job(
            job_config=DagsterK8sJobConfig(job_image=said["job_image"], postgres_password_secret=password, **homes),
            args=["dagster", "api", f"execute_{name}"],
            job_name=name,
            component=f"{name}_worker",
            user_defined_k8s_config=context.run_k8s_config,
        )
        jobs[name] = ApiClient().sanitize_for_serialization(job)
    return jobs


def executor_pod(manifests: list[Manifest]) -> Manifest:
    """The pod of a Spark executor; its image, size and account are Spark's to add, from the settings."""
    given = settings(manifests)
    pod: Manifest = yaml.safe_load(found(manifests, "ConfigMap", "executor-template")["data"]["executor.yaml"])
    (container,) = pod["spec"]["containers"]
    size = {"cpu": str(given.k8s_executor_cores), "memory": f"{given.k8s_executor_memory_mb}Mi"}
    container |= {"image": given.k8s_image, "resources": {"requests": size, "limits": {"memory": size["memory"]}}}
    pod["spec"]["serviceAccountName"] = given.k8s_executor_service_account
    pod["metadata"]["name"] = "executor"
    pod["metadata"]["annotations"] = {
        "checkov.io/skip1": "CKV_K8S_8=Spark's driver watches its executors and replaces them.",
        "checkov.io/skip2": "CKV_K8S_9=Executors call their driver; nobody waits for them to be ready.",
    }
    return pod


def main(folder: Path) -> None:
    """Write one file for each set of values."""
    for name, given in (("local", LOCAL), ("aws", AWS)):
        manifests = rendered(given)
        jobs = launched(instance(manifests)["run_launcher"]["config"], settings(manifests))
        every = [*manifests, *jobs.values(), executor_pod(manifests)]
        for manifest in every:
            # Where Helm puts what names no other place.
            manifest["metadata"]["namespace"] = NAMESPACE
        (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(every))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
