"""The Jobs of a run and of its step, as dagster-k8s makes them of what the chart says."""

from typing import Any

import pytest

from pit_pipeline_tests.render import launched, settings
from pit_pipeline_tests.test_chart import AWS, LOCAL, Manifest, found, instance, rendered


@pytest.fixture(params=[LOCAL, AWS], ids=["local", "aws"], scope="module")
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return rendered(request.param)


@pytest.fixture(scope="module")
def jobs(manifests: list[Manifest]) -> dict[str, Manifest]:
    return launched(instance(manifests)["run_launcher"]["config"], settings(manifests))


def _only(job: Manifest) -> dict[str, Any]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    found_: dict[str, Any] = container
    return found_


@pytest.mark.parametrize("name", ["run", "step"])
def test_its_pod_is_what_pod_security_calls_restricted(jobs: dict[str, Manifest], name: str) -> None:
    pod = jobs[name]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] != 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert _only(jobs[name])["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


@pytest.mark.parametrize("name", ["run", "step"])
def test_it_gets_what_dagsters_own_pods_get(manifests: list[Manifest], jobs: dict[str, Manifest], name: str) -> None:
    pod, container = jobs[name]["spec"]["template"]["spec"], _only(jobs[name])
    own = found(manifests, "Deployment", "code")["spec"]["template"]["spec"]
    (code,) = own["containers"]
    assert container["image"] == code["image"]
    assert container["envFrom"] == code["envFrom"]
    assert code["env"][0] in container["env"]
    assert {"name": "DAGSTER_HOME", "value": "/opt/dagster"} in container["env"]
    assert [mount for mount in code["volumeMounts"] if mount["name"] in ("tmp", "executor-template")] == container[
        "volumeMounts"
    ]
    assert [volume for volume in own["volumes"] if volume["name"] in ("tmp", "executor-template")] == pod["volumes"]
    assert pod["enableServiceLinks"] is False
    assert pod.get("nodeSelector") == own.get("nodeSelector")


def test_a_run_launches_as_the_platform_and_a_step_works_as_itself_in_its_size(
    manifests: list[Manifest], jobs: dict[str, Manifest]
) -> None:
    accounts = {name: job["spec"]["template"]["spec"]["serviceAccountName"] for name, job in jobs.items()}
    assert accounts == {"run": "pit-pipeline-platform", "step": "pit-pipeline-step"}
    memory = {name: _only(job)["resources"]["limits"]["memory"] for name, job in jobs.items()}
    assert memory == {"run": "1Gi", "step": f"{settings(manifests).k8s_step_memory_mb}Mi"}


@pytest.mark.parametrize("name", ["run", "step"])
def test_a_pod_that_is_lost_is_dagsters_to_make_again_and_no_autoscaler_takes_it(
    jobs: dict[str, Manifest], name: str
) -> None:
    assert jobs[name]["spec"]["backoffLimit"] == 0
    assert jobs[name]["spec"]["ttlSecondsAfterFinished"] == 3600
    assert jobs[name]["spec"]["template"]["metadata"]["annotations"] == {
        "karpenter.sh/do-not-disrupt": "true",
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    }


def test_a_step_finds_the_template_of_its_executors_where_its_settings_say(
    manifests: list[Manifest], jobs: dict[str, Manifest]
) -> None:
    folder, _, file = settings(manifests).k8s_executor_template.rpartition("/")
    (mount,) = [mount for mount in _only(jobs["step"])["volumeMounts"] if mount["mountPath"] == folder]
    (volume,) = [v for v in jobs["step"]["spec"]["template"]["spec"]["volumes"] if v["name"] == mount["name"]]
    assert volume["configMap"] == {"name": "pit-pipeline-executor-template"}
    assert file in found(manifests, "ConfigMap", "executor-template")["data"]
