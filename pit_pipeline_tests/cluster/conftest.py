"""One installation for all tests of the cluster."""

from collections.abc import Iterator

import pytest

from pit_pipeline_tests.cluster.deployment import NAMESPACE, Deployment, kubectl


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    deployment = Deployment()
    try:
        deployment.install()
        yield deployment
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=180s")
