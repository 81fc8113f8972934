"""What lies beside the HCL and what a plan of mocked providers does not show: queries, tags, versions."""

import csv
import json
import re
from pathlib import Path

import dagster as dg
import pytest

from pit_pipeline_tests.conftest import Deployment
from pit_pipeline_tests.terraform.conftest import SOURCE

pytestmark = pytest.mark.terraform


def test_every_table_of_the_registry_has_its_prefix_in_a_zone() -> None:
    tables = json.loads((SOURCE / "tables.json").read_text())
    assert {name: table["zone"] for name, table in tables.items()} == {
        "visits": "processing",
        "rejected_visits": "processing",
        "daily_metrics": "consumer",
        "recommendations": "consumer",
    }


def test_everything_is_tagged_by_the_provider_itself() -> None:
    for path in (SOURCE / "versions.tf", SOURCE / "bootstrap" / "main.tf"):
        assert re.search(r"default_tags \{\s+tags = (local\.tags|\{ project = var\.name)", path.read_text()), path


def test_versions_are_pinned_and_state_is_locked() -> None:
    for path in (SOURCE / "versions.tf", SOURCE / "bootstrap" / "main.tf"):
        text = path.read_text()
        assert re.search(r'required_version = ">= 1\.11, < 2\.0"', text)
        assert re.search(r'source  = "hashicorp/aws"\s+version = "~> 6\.25"', text)
    backend = re.search(r'backend "s3" \{(.*?)\n  \}', (SOURCE / "versions.tf").read_text(), re.DOTALL)
    assert backend is not None
    assert re.search(r"use_lockfile = true", backend[1])


def test_no_file_asks_a_registry_for_a_module() -> None:
    for path in SOURCE.rglob("*.tf"):
        assert "module " not in re.sub(r"#.*|\".*?\"", "", path.read_text()), path


@pytest.mark.parametrize("query", sorted(path.name for path in (SOURCE / "queries").glob("*.sql")))
def test_the_analysts_first_questions_run_on_the_tables(
    query: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    text = (SOURCE / "queries" / query).read_text()
    assert re.match(r"-- [A-Z].{20,}\n", text)
    assert Deployment(tmp_path, instance).rows(text) == []


def test_the_cost_sheet_multiplies_each_quantity_by_its_price_and_adds_all_up() -> None:
    header, *items, total = csv.reader((SOURCE.parent / "docs" / "aws-costs.csv").open(newline=""))
    assert header[4:7] == ["small", "medium", "large"]
    for row, item in enumerate(items, 2):
        assert item[3] == "", f"{item[0]}: prices are the reader's to fill in"
        assert float(item[4]) <= float(item[5]) <= float(item[6]), item[0]
        assert item[7:] == [f"=$D{row}*{column}{row}" for column in "EFG"], item[0]
    assert total[7:] == [f"=SUM({column}2:{column}{len(items) + 1})" for column in "HIJ"]


def test_no_file_is_longer_than_can_be_read() -> None:
    files: list[Path] = [
        path for path in SOURCE.rglob("*") if path.suffix in {".tf", ".hcl"} and ".terraform" not in path.parts
    ]
    assert len(files) > 20
    assert {path.name: n for path in files if (n := len(path.read_text().splitlines())) > 250} == {}
