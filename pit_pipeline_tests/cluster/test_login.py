"""Nobody sees the UI without a login: the proxy before it, with a real OpenID provider."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from pit_pipeline_tests.cluster.deployment import Deployment, kubectl

IMAGE = os.environ.get("PIT_TEST_OIDC_IMAGE", "")
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not IMAGE, reason="PIT_TEST_OIDC_IMAGE names no image of oidc-provider-mock"),
]

_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_LABELS = {"app.kubernetes.io/component": "provider"}
PROVIDER: list[dict[str, Any]] = [
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "provider", "labels": _LABELS},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "provider",
                    "image": IMAGE,
                    "args": ["--host", "0.0.0.0", "--port", "9400"],
                    "securityContext": _SECURITY,
                    "readinessProbe": {"httpGet": {"path": "/.well-known/openid-configuration", "port": 9400}},
                }
            ],
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "provider"},
        "spec": {"selector": _LABELS, "ports": [{"port": 9400}]},
    },
]
# A browser as far as it matters: it keeps cookies and tells where it is sent; who it is, the provider asks it.
_BROWSE = """
import json, sys, urllib.error, urllib.request
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None
opener, cookies = urllib.request.build_opener(Stay), {}
def ask(url, data=None, kind="application/json"):
    sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()), "Content-Type": kind}
    url = url.replace("https://pits.example.com", "http://pit-pipeline-webserver")
    try:
        answer = opener.open(urllib.request.Request(url, data, sent), timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    for cookie in answer.headers.get_all("Set-Cookie") or []:
        name, _, value = cookie.partition(";")[0].partition("=")
        cookies[name] = value
    return answer.status, answer.headers.get("Location", ""), answer.read().decode()
def graphql():
    return ask("https://pits.example.com/graphql", b'{"query": "{ version }"}')
told = {"before": graphql()[0], "page": ask("https://pits.example.com/")}
told["provider"] = ask(told["page"][1], ("sub=" + sys.argv[1]).encode(), "application/x-www-form-urlencoded")
told["callback"] = ask(told["provider"][1])
told["after"] = graphql()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def login(deployment: Deployment) -> Iterator[Deployment]:
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(PROVIDER))
    kubectl("wait", "--for=condition=Ready", "pod/provider", "--timeout=120s")
    secrets = ["--from-literal=client-secret=local-only", f"--from-literal=cookie-secret={'0123456789abcdef' * 2}"]
    kubectl("create", "secret", "generic", "pit-pipeline-oauth2", *secrets)
    registered = {
        "enabled": True,
        "issuerUrl": "http://provider:9400",
        "clientId": "pits",
        "redirectUrl": "https://pits.example.com/oauth2/callback",
        "emailDomain": "example.com",
    }
    deployment.upgrade(oauth2Proxy=registered)
    yield deployment
    deployment.upgrade(oauth2Proxy={"enabled": False})
    kubectl("delete", "-f", "-", stdin=yaml.safe_dump_all(PROVIDER))


def test_who_is_known_and_of_the_shop_comes_in(login: Deployment) -> None:
    told = json.loads(login.python(_BROWSE, "ana@example.com"))
    assert told["before"] == 401
    status, sent_to, _ = told["page"]
    assert (status, sent_to.startswith("http://provider:9400/")) == (302, True)
    status, _, text = told["after"]
    assert status == 200, told
    assert json.loads(text)["data"]["version"]


def test_who_is_known_and_of_elsewhere_does_not(login: Deployment) -> None:
    told = json.loads(login.python(_BROWSE, "ana@elsewhere.example"))
    assert told["callback"][0] == 403
    assert told["after"][0] == 401


def test_the_webserver_itself_is_not_reached_from_another_pod(login: Deployment) -> None:
    (pod,) = kubectl.names("pod", "app.kubernetes.io/component=webserver")
    address = kubectl("get", pod, "-o", "jsonpath={.status.podIP}")
    reached = "import socket, sys; print(socket.socket().connect_ex((sys.argv[1], int(sys.argv[2]))))"
    assert login.python(reached, address, "4180").strip() == "0"
    assert login.python(reached, address, "3000").strip() != "0"
