"""Who reaches whom in the namespace, as the network policies say; whether they are enforced, only a cluster shows."""

from typing import Any

import pytest

from pit_pipeline import kubernetes
from pit_pipeline_tests.test_chart import AWS, LOCAL, Manifest, found, pods, rendered


@pytest.fixture(params=[LOCAL, AWS], ids=["local", "aws"])
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return rendered(request.param)


def _component(name: str) -> Manifest:
    return {"podSelector": {"matchLabels": {"app.kubernetes.io/component": name}}}


def _ways(manifests: list[Manifest]) -> dict[str, Manifest]:
    """What is let in, by the component that it leads to; one rule each."""
    policies = [m["spec"] for m in manifests if m["kind"] == "NetworkPolicy" and "ingress" in m["spec"]]
    return {
        policy["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: policy["ingress"][0] for policy in policies
    }


def test_what_policies_open_is_what_programs_listen_on(manifests: list[Manifest]) -> None:
    assert found(manifests, "NetworkPolicy", "closed")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    listening: dict[str, Any] = {
        "step_worker": [(kubernetes.DRIVER_PORT, kubernetes.BLOCK_MANAGER_PORT)],
        "executor": [(kubernetes.BLOCK_MANAGER_PORT, None)],
    }
    found_pods = dict(pods(manifests))
    for service in (m for m in manifests if m["kind"] == "Service"):
        name = service["spec"]["selector"]["app.kubernetes.io/component"]
        ports = {
            p["name"]: p["containerPort"]
            for c in found_pods[f"pit-pipeline-{name}"]["containers"]
            for p in c.get("ports", [])
        }
        (port,) = service["spec"]["ports"]
        listening[name] = [(ports[port["targetPort"]] if "targetPort" in port else port["port"], None)]
    assert {
        name: [(port["port"], port.get("endPort")) for port in way["ports"]] for name, way in _ways(manifests).items()
    } == listening


def test_each_program_is_reached_by_those_alone_who_use_it(manifests: list[Manifest]) -> None:
    callers = {name: way.get("from") for name, way in _ways(manifests).items()}
    assert callers.pop("step_worker") == [_component("executor")]
    assert callers.pop("executor") == [_component("step_worker"), _component("executor")]
    ((expressions,),) = [caller["podSelector"]["matchExpressions"] for caller in callers.pop("code") or []]
    assert (expressions["operator"], expressions["values"]) == ("In", ["webserver", "daemon"])
    # The login asks everybody who they are; the servers of a laptop are for every pod of the namespace.
    assert callers in ({"webserver": None}, {"postgres": [{"podSelector": {}}], "s3": [{"podSelector": {}}]})


def test_an_executor_reaches_its_driver_its_likes_names_roles_and_s3() -> None:
    in_cluster = {
        "to": [_component("step_worker"), _component("executor")],
        "ports": [{"protocol": "TCP", "port": kubernetes.DRIVER_PORT, "endPort": kubernetes.BLOCK_MANAGER_PORT}],
    }
    dns_and_https = {"ports": [{"protocol": p, "port": n} for p, n in (("UDP", 53), ("TCP", 53), ("TCP", 443))]}
    # The address of EKS Pod Identity's agent on every node.
    roles = {"to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}], "ports": [{"protocol": "TCP", "port": 80}]}
    local_s3 = {"to": [_component("s3")], "ports": [{"protocol": "TCP", "port": 7070}]}
    for given, rules in (
        (AWS, [dns_and_https, roles, in_cluster]),
        (LOCAL, [dns_and_https, roles, in_cluster, local_s3]),
    ):
        policy = found(rendered(given), "NetworkPolicy", "from-executor")["spec"]
        assert policy["egress"] == rules
        assert policy["policyTypes"] == ["Egress"]
