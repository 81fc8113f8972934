"""The chart, rendered by Helm's own library: what is installed on a cluster, without one."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import helm_python
import pytest
import yaml

from pit_pipeline import kubernetes
from pit_pipeline.docs import ROOT
from pit_pipeline.settings import Settings

CHART = ROOT / "deploy" / "helm"
# What `make helm-values` prints, and what an installation says besides.
TERRAFORM: dict[str, Any] = {
    "settings": {
        "PIT_LANDING_URI": "s3a://shop-landing",
        "PIT_PROCESSING_URI": "s3a://shop-processing",
        "PIT_CONSUMER_URI": "s3a://shop-consumer",
        "PIT_AWS_REGION": "sa-east-1",
        "PIT_GLUE_DATABASE": "pits",
        "PIT_ATHENA_WORKGROUP": "pits",
    },
    "postgres": {
        "host": "db.example.com",
        "port": 5432,
        "database": "dagster",
        "user": "dagster",
        "secretName": "pit-pipeline-postgres",
        "secretsManagerArn": "arn:aws:secretsmanager:sa-east-1:123456789012:secret:db",
    },
    "computeLogs": {"bucket": "shop-logs", "prefix": "compute-logs", "region": "sa-east-1"},
    "image": {"repository": "registry.example.com/pit-pipeline"},
    "serviceAccounts": {
        "platform": "pit-pipeline-platform",
        "step": "pit-pipeline-step",
        "executor": "pit-pipeline-executor",
    },
    "nodePools": {"platform": "platform", "executors": "executors"},
    "executorTaint": {"key": "pit-pipeline/executors", "value": "true", "effect": "NoSchedule"},
    "ingressClass": "alb",
}
LOGIN = {
    "issuerUrl": "https://login.example.com",
    "clientId": "pits",
    "redirectUrl": "https://pits.example.com/oauth2/callback",
    "emailDomain": "example.com",
}
Manifest = dict[str, Any]


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Values as Helm lays one file over another."""
    result: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            below = result.get(name)
            result[name] = merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return result


def values(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((CHART / f"values-{name}.yaml").read_text())
    return read


AWS = merged(values("aws"), TERRAFORM, {"oauth2Proxy": LOGIN, "ingress": {"host": "pits.example.com"}})
LOCAL = values("local")


def rendered(given: Mapping[str, Any]) -> list[Manifest]:
    with helm_python.Chart.load(str(CHART)) as chart:
        texts = chart.render(dict(given), name="pits", namespace="shop").values()
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def found(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (one,) = [m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, f"pit-pipeline-{name}")]
    return one


def instance(manifests: list[Manifest]) -> Manifest:
    settings: Manifest = yaml.safe_load(found(manifests, "ConfigMap", "instance")["data"]["dagster.yaml"])
    return settings


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every pod that the chart makes or has made, by name."""
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            yield manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]
    template = found(manifests, "ConfigMap", "executor-template")["data"]["executor.yaml"]
    yield "executor", yaml.safe_load(template)["spec"]


@pytest.fixture(params=[LOCAL, AWS], ids=["local", "aws"])
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return rendered(request.param)


def test_the_chart_has_nothing_that_helm_finds_fault_with() -> None:
    report = helm_python.lint(str(CHART), values=AWS)
    assert [m for m in report["messages"] if m["severity"] > 1] == []  # 1: advice, such as an icon


def test_the_settings_that_pods_get_are_settings_that_the_pipeline_takes(manifests: list[Manifest]) -> None:
    settings = Settings.from_environment(found(manifests, "ConfigMap", "settings")["data"])
    assert (settings.executor, settings.k8s_namespace) == ("k8s_job", "shop")
    accounts = {m["metadata"]["name"] for m in manifests if m["kind"] == "ServiceAccount"}
    assert {settings.k8s_step_service_account, settings.k8s_executor_service_account} < accounts
    assert kubernetes.step_executor(settings) is not None


def test_every_pod_is_what_pod_security_calls_restricted(manifests: list[Manifest]) -> None:
    for name, pod in pods(manifests):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] != 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert security["readOnlyRootFilesystem"] is True, name
            if name != "executor":  # its size is Spark's to say
                assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
                assert "memory" in container["resources"]["limits"], name


def test_dagsters_settings_are_the_charts_file_and_what_a_cluster_adds(manifests: list[Manifest]) -> None:
    file, on_cluster = yaml.safe_load((CHART / "dagster.yaml").read_text()), instance(manifests)
    for name in ("storage", "compute_logs", "retention", "telemetry", "nux"):
        assert on_cluster[name] == file[name]
    assert (
        on_cluster["concurrency"]["runs"]["tag_concurrency_limits"]
        == file["concurrency"]["runs"]["tag_concurrency_limits"]
    )
    assert on_cluster["run_retries"]["retry_on_asset_or_op_failure"] is False
    assert on_cluster["run_monitoring"]["max_resume_run_attempts"] == 0


def test_rights_are_those_of_one_namespace_and_name_what_they_are_for(manifests: list[Manifest]) -> None:
    assert not [m for m in manifests if m["kind"] in ("ClusterRole", "ClusterRoleBinding")]
    for role in (m for m in manifests if m["kind"] == "Role"):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "secrets" not in rule["resources"]
    step = found(manifests, "Role", "step")
    assert {resource for rule in step["rules"] for resource in rule["resources"]} == {"pods"}
    bound = {s["name"] for m in manifests if m["kind"] == "RoleBinding" for s in m["subjects"]}
    assert bound == {"pit-pipeline-platform", "pit-pipeline-step"}


def test_no_service_becomes_a_variable_that_looks_like_a_setting(manifests: list[Manifest]) -> None:
    servers = ("pit-pipeline-postgres", "pit-pipeline-s3")
    assert [name for name, pod in pods(manifests) if name not in servers and pod.get("enableServiceLinks", True)] == []


def test_an_executor_has_no_token_and_no_role(manifests: list[Manifest]) -> None:
    assert dict(pods(manifests))["executor"]["automountServiceAccountToken"] is False
    assert found(manifests, "ServiceAccount", "executor")["automountServiceAccountToken"] is False


def test_the_ui_listens_to_its_own_pod_alone_and_people_come_through_the_login() -> None:
    manifests = rendered(AWS)
    webserver, login = dict(pods(manifests))["pit-pipeline-webserver"]["containers"]
    assert webserver["args"][webserver["args"].index("--host") + 1] == "127.0.0.1"
    assert login["image"].partition("@")[0].count("oauth2-proxy") == 2
    assert not [arg for arg in login["args"] if arg.startswith("--skip-auth")]
    (port,) = found(manifests, "Service", "webserver")["spec"]["ports"]
    assert port["targetPort"] == "login"


def test_without_the_login_nothing_leads_to_the_ui() -> None:
    manifests = rendered(LOCAL)
    assert {m["metadata"]["name"] for m in manifests if m["kind"] == "Service"} == {
        "pit-pipeline-code",
        "pit-pipeline-postgres",
        "pit-pipeline-s3",
    }
    assert not [m for m in manifests if m["kind"] == "Ingress"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"oauth2Proxy": {"issuerUrl": ""}}, "oauth2Proxy.issuerUrl: the provider that people log in to"),
        ({"oauth2Proxy": {"enabled": False}}, "would show the UI to everybody"),
        ({"postgres": {"host": ""}}, "postgres.host: the server of Dagster's state"),
        ({"computeLogs": {"bucket": ""}}, "computeLogs.bucket: where what steps print is kept"),
        ({"image": {"tag": "latest"}}, "image/tag"),
        ({"settings": {"REJECT_THRESHOLD": "1"}}, "REJECT_THRESHOLD"),
        ({"settings": {"PIT_K8S_IMAGE": "other"}}, "PIT_K8S_IMAGE"),
        ({"replicas": 2}, "replicas"),
        ({"run": {"resources": {"requests": {"memmory": "1Gi"}}}}, "memmory"),
        ({"viewers": [{"kind": "Group"}]}, "viewers/0"),
        ({"localServices": {"enabled": True}}, "the first of envSecrets"),
    ],
)
def test_values_that_cannot_be_right_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(helm_python.HelmError, match=message):
        rendered(merged(AWS, wrong))


def test_the_schema_knows_every_value_and_no_other() -> None:
    def compare(schema: Manifest, given: Any, path: str) -> None:
        if "properties" in schema and given:
            assert schema["additionalProperties"] is False, path
            assert set(schema["properties"]) == set(given), path
            for name, value in given.items():
                compare(schema["properties"][name], value, f"{path}/{name}")

    schema = json.loads((CHART / "values.schema.json").read_text())
    compare(schema, yaml.safe_load((CHART / "values.yaml").read_text()), "")


def test_executors_are_on_their_own_nodes_and_dagster_on_its_own() -> None:
    manifests = rendered(AWS)
    found_pods = dict(pods(manifests))
    executor = found_pods.pop("executor")
    assert executor["nodeSelector"] == {"karpenter.sh/nodepool": "executors"}
    assert executor["tolerations"] == [{**TERRAFORM["executorTaint"], "operator": "Equal"}]
    assert all(pod["nodeSelector"] == {"karpenter.sh/nodepool": "platform"} for pod in found_pods.values())


def test_a_disruption_budget_is_for_what_has_several_pods_and_leaves_one(manifests: list[Manifest]) -> None:
    several = {m["metadata"]["name"] for m in manifests if m["kind"] == "Deployment" and m["spec"]["replicas"] > 1}
    budgets = {m["metadata"]["name"]: m["spec"] for m in manifests if m["kind"] == "PodDisruptionBudget"}
    assert set(budgets) == several
    assert all(budget["maxUnavailable"] == 1 for budget in budgets.values())
