"""This code location in an installation of Dagster's own chart: what its values name is what this chart makes there."""

from typing import Any

import pytest
import yaml

from pit_pipeline_tests.render import launched, settings
from pit_pipeline_tests.test_chart import AWS, CHART, TERRAFORM, Manifest, found, instance, merged, rendered

# All that has to be said to this chart there.
BESIDE = merged({"settings": TERRAFORM["settings"], "platform": {"enabled": False}})
OFFICIAL: dict[str, Any] = yaml.safe_load((CHART / "values-official-chart.yaml").read_text())
(LOCATION,) = OFFICIAL["dagster-user-deployments"]["deployments"]


@pytest.fixture(scope="module")
def beside() -> list[Manifest]:
    return rendered(BESIDE)


def _names(manifests: list[Manifest], kind: str) -> set[str]:
    return {m["metadata"]["name"] for m in manifests if m["kind"] == kind}


def test_beside_dagsters_own_chart_this_one_makes_nothing_that_is_there_already(beside: list[Manifest]) -> None:
    assert {m["kind"] for m in beside} == {"ConfigMap", "NetworkPolicy", "Role", "RoleBinding", "ServiceAccount"}
    assert {name for name in found(beside, "ConfigMap", "settings")["data"] if not name.startswith("PIT_")} == set()
    assert _names(beside, "ConfigMap") == {"pit-pipeline-settings", "pit-pipeline-executor-template"}
    # Other people's pods are in this namespace.
    closed = [m["spec"]["podSelector"]["matchLabels"] for m in beside if m["kind"] == "NetworkPolicy"]
    assert {labels["app.kubernetes.io/component"] for labels in closed} == {"step_worker", "executor"}


def test_the_code_location_names_what_this_chart_makes(beside: list[Manifest]) -> None:
    assert {source["name"] for source in LOCATION["envConfigMaps"]} == {"pit-pipeline-settings"}
    assert LOCATION["serviceAccount"]["name"] in _names(beside, "ServiceAccount")
    assert LOCATION["serviceAccount"]["create"] is False
    volumes = {volume["name"]: volume for volume in LOCATION["volumes"]}
    mounted = {mount["mountPath"]: volumes[mount["name"]] for mount in LOCATION["volumeMounts"]}
    folder, _, file = settings(beside).k8s_executor_template.rpartition("/")
    template = mounted[folder]["configMap"]["name"]
    assert template in _names(beside, "ConfigMap")
    assert file in found(beside, "ConfigMap", template.removeprefix("pit-pipeline-"))["data"]
    assert mounted["/tmp"]["emptyDir"] == {}


def test_the_code_location_is_the_program_and_the_image_of_this_chart(beside: list[Manifest]) -> None:
    image = LOCATION["image"]
    assert f"{image['repository']}:{image['tag']}" == settings(beside).k8s_image
    own = found(rendered(AWS), "Deployment", "code")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert LOCATION["dagsterApiGrpcArgs"] == own[own.index("--module-name") :]


def test_its_service_gives_no_variable_that_looks_like_a_setting() -> None:
    assert not LOCATION["name"].upper().replace("-", "_").startswith("PIT_")


def test_a_step_is_the_same_there_but_for_dagsters_own_and_meets_pod_security_restricted(
    beside: list[Manifest],
) -> None:
    jobs = launched(
        {
            "dagster_home": "/opt/dagster/dagster_home",
            "instance_config_map": "dagster-instance",
            "postgres_password_secret": "dagster-postgresql-secret",
            "run_k8s_config": {
                "container_config": _config("containerConfig"),
                "pod_spec_config": _config("podSpecConfig"),
                "pod_template_spec_metadata": _config("podTemplateSpecMetadata"),
            },
        },
        settings(beside),
        # What that chart's template hands on of a code location (its container context).
        {
            "k8s": {
                "env_config_maps": [source["name"] for source in LOCATION["envConfigMaps"]],
                "volumes": LOCATION["volumes"],
                "volume_mounts": LOCATION["volumeMounts"],
                "resources": LOCATION["resources"],
                "service_account_name": "dagster-user-deployments",
            }
        },
    )
    manifests = rendered(merged(AWS, {"image": LOCATION["image"] | {"pullPolicy": "IfNotPresent"}}))
    own = launched(instance(manifests)["run_launcher"]["config"], settings(manifests))
    for job in jobs.values():
        pod = job["spec"]["template"]["spec"]
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        (container,) = pod["containers"]
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    there, here = (made["step"]["spec"]["template"] for made in (jobs, own))
    assert there["metadata"] == here["metadata"]
    for name in ("serviceAccountName", "volumes", "restartPolicy"):
        assert there["spec"][name] == here["spec"][name], name
    for name in ("envFrom", "image", "volumeMounts"):
        assert there["spec"]["containers"][0][name] == here["spec"]["containers"][0][name], name


def _config(name: str) -> dict[str, Any]:
    config: dict[str, Any] = OFFICIAL["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"][name]
    return config


def test_the_runs_of_a_backfill_go_in_the_order_that_this_chart_says() -> None:
    queue = OFFICIAL["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    own = yaml.safe_load((CHART / "dagster.yaml").read_text())["concurrency"]["runs"]
    assert queue["tagConcurrencyLimits"] == own["tag_concurrency_limits"]
