"""Steps as Kubernetes Jobs, whose pod is Spark's driver: alone, or with executor pods for larger work.

Here: the executor that Dagster gives steps to, and what Spark must be told in a step's pod. Not here: the pods
themselves, their rights and limits, which are the chart's (`deploy/helm`); whether a run is large (`steps`).
"""

from collections.abc import Callable, Mapping
from importlib import resources

import dagster as dg

from pit_pipeline.settings import BadSetting, Settings

# Fixed, so that a network policy can name them.
DRIVER_PORT, BLOCK_MANAGER_PORT = 7078, 7079
# Of a pod's memory; the rest is for Python, Arrow and what the JVM takes beside its heap.
_HEAP_SHARE = 0.55
_MIB = 1024 * 1024


def step_executor(settings: Settings) -> dg.ExecutorDefinition:
    """What carries out the steps of every run, those of the UI, of sensors and of backfills."""
    if settings.executor == "in_process":
        return dg.in_process_executor
    from dagster_k8s import k8s_job_executor  # heavy, and for pods only

    memory = f"{settings.k8s_step_memory_mb}Mi"
    container = {
        "resources": {"requests": {"cpu": str(settings.k8s_step_cpu), "memory": memory}, "limits": {"memory": memory}},
        "env": [
            {"name": name, "value_from": {"field_ref": {"field_path": path}}}
            for name, path in (("PIT_K8S_POD_NAME", "metadata.name"), ("PIT_K8S_POD_IP", "status.podIP"))
        ],
    }
    return k8s_job_executor.configured(
        {
            "job_namespace": settings.k8s_namespace,
            "job_image": settings.k8s_image,
            "service_account_name": settings.k8s_step_service_account,
            "step_k8s_config": {
                "container_config": container,
                # Dagster waits for ever for a pod that never comes or that hangs; Kubernetes does not.
                "job_spec_config": {"active_deadline_seconds": int(settings.k8s_step_hours * 3600)},
            },
            # A run that is cancelled or deleted takes its step along, and the step its executors.
            "enable_owner_references": True,
        }
    )


def spark_conf(settings: Settings, run_id: str, work_bytes: Callable[[], int]) -> Mapping[str, str]:
    """What Spark is told in this step, PIT_SPARK_CONF included; empty where steps are no pods.

    work_bytes: counts what the step is going to read; called only where the answer matters. Raises BadSetting in a
    pod that does not know itself.
    """
    if settings.executor == "in_process":
        return {}
    alone = {"spark.driver.memory": f"{int(settings.k8s_step_memory_mb * _HEAP_SHARE)}m"}
    if not settings.k8s_executors or work_bytes() < settings.k8s_executors_from_mb * _MIB:
        return {**alone, **settings.spark_conf}
    return {**alone, **_with_executors(settings, run_id), **settings.spark_conf}


def _with_executors(settings: Settings, run_id: str) -> Mapping[str, str]:
    for name in ("k8s_pod_name", "k8s_pod_ip"):
        if not getattr(settings, name):
            raise BadSetting(f"PIT_{name.upper()} has to be set in a step's pod; the step's Job takes it from the pod")
    heap = int(settings.k8s_executor_memory_mb * _HEAP_SHARE)
    pods = "spark.kubernetes"
    quiet = resources.files("pit_pipeline") / "log4j2.properties"
    return {
        "spark.master": "k8s://https://kubernetes.default.svc",
        "spark.driver.host": settings.k8s_pod_ip,
        "spark.driver.bindAddress": "0.0.0.0",
        "spark.driver.port": str(DRIVER_PORT),
        "spark.blockManager.port": str(BLOCK_MANAGER_PORT),
        f"{pods}.namespace": settings.k8s_namespace,
        f"{pods}.container.image": settings.k8s_image,
        # Executors are owned by this pod and end with it; an earlier attempt's may still be there by their names.
        f"{pods}.driver.pod.name": settings.k8s_pod_name,
        f"{pods}.executor.podNamePrefix": settings.k8s_pod_name,
        f"{pods}.executor.label.dagster/run-id": run_id,
        f"{pods}.executor.podTemplateFile": settings.k8s_executor_template,
        f"{pods}.executor.podTemplateContainerName": "executor",
        f"{pods}.authenticate.serviceAccountName": settings.k8s_step_service_account,
        f"{pods}.authenticate.executor.serviceAccountName": settings.k8s_executor_service_account,
        # The step's role is for pods alone: no config maps, services or claims are made or swept.
        f"{pods}.executor.disableConfigMap": "true",
        f"{pods}.driver.service.deleteOnTermination": "false",
        f"{pods}.driver.ownPersistentVolumeClaim": "false",
        f"{pods}.driver.reusePersistentVolumeClaim": "false",
        "spark.executor.cores": str(settings.k8s_executor_cores),
        "spark.executor.memory": f"{heap}m",
        "spark.executor.memoryOverhead": f"{settings.k8s_executor_memory_mb - heap}m",
        "spark.executor.defaultJavaOptions": f"-XX:+UseParallelGC -Dlog4j2.configurationFile=file:{quiet}",
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.dynamicAllocation.minExecutors": "0",
        "spark.dynamicAllocation.initialExecutors": "1",
        "spark.dynamicAllocation.maxExecutors": str(settings.k8s_executors),
        # A spot node that is taken back hands its blocks over first.
        "spark.decommission.enabled": "true",
        "spark.storage.decommission.enabled": "true",
        "spark.storage.decommission.shuffleBlocks.enabled": "true",
        "spark.storage.decommission.rddBlocks.enabled": "true",
        "spark.executor.decommission.killInterval": "110s",
        "spark.sql.shuffle.partitions": str(2 * settings.k8s_executors * settings.k8s_executor_cores),
    }
