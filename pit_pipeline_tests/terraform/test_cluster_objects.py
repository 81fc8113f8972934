"""The chart that carries Terraform's objects into the cluster carries them as they are."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from helm_python import Chart

from pit_pipeline_tests.terraform.conftest import SOURCE

pytestmark = pytest.mark.terraform


def test_the_chart_renders_each_object_as_terraform_gives_it(resources: Mapping[str, Mapping[str, Any]]) -> None:
    values = yaml.safe_load(resources["helm_release.cluster_objects"]["values"][0])
    with Chart.load(SOURCE / "cluster-objects") as chart:
        rendered = chart.render(values, name="cluster-objects", namespace="kube-system")
    (text,) = rendered.values()
    assert [document for document in yaml.safe_load_all(text) if document] == values["objects"]
    assert len(values["objects"]) == 6
