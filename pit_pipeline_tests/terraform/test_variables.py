"""A variable that is wrong is refused with a message that says what would be right."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from pit_pipeline_tests.terraform.conftest import SOURCE, Terraform, messages

pytestmark = pytest.mark.terraform

ROLE = "arn:aws:iam::111122223333:role/x"
CI = {"issuer": "token.actions.githubusercontent.com", "subjects": ["repo:o/r:ref:refs/heads/main"]}

#: variable, a wrong value, what the message says
BAD: list[tuple[str, object, str]] = [
    ("name", "Pit_Pipeline", "lower-case letters, digits and hyphens"),
    ("name", "a-name-that-is-long", "at most 20 characters"),
    ("environment", "Dev 1", "lower-case letters or digits"),
    ("region", "Ohio", "such as us-east-2"),
    ("tags", {"project": "x"}, "must not hold project"),
    ("vpc_cidr", "10.0.0.0/24", "between /16 and /19"),
    ("vpc_cidr", "8.8.0.0/16", "private IPv4 block"),
    ("availability_zones", ["us-east-2a"], "two or three zones"),
    ("availability_zones", ["us-east-1a", "us-east-1b"], "zones of the region"),
    ("availability_zones", ["us-east-2a", "us-east-2a"], "two or three zones"),
    ("interface_endpoints", ["sqs"], "interface_endpoints may hold"),
    ("kubernetes_version", "1.33", "minor version from 1.34"),
    ("cluster_admin_arns", [], "at least one IAM role"),
    ("cluster_admin_arns", ["terraform"], "at least one IAM role"),
    ("cluster_viewer_arns", ["everybody"], "ARNs of IAM roles or users"),
    ("cluster_public_access_cidrs", ["0.0.0.0/0"], "never the whole Internet"),
    ("cluster_public_access_cidrs", ["203.0.113.10"], "IPv4 blocks"),
    ("cluster_log_types", ["everything"], "cluster_log_types may hold"),
    ("platform_cpu_limit", 2, "4 or more"),
    ("executor_cpu_limit", 4.5, "whole number of CPUs"),
    ("ingress_scheme", "public", "internal or internet-facing"),
    ("failed_retention_days", 0, "whole number of days"),
    ("noncurrent_retention_days", 0, "whole number of days"),
    ("infrequent_access_days", 30, "recommendations read the last 90 days"),
    ("log_retention_days", 31, "a retention that CloudWatch knows"),
    ("query_result_retention_days", 0, "whole number of days"),
    ("query_scan_limit_gb", 0.5, "whole number of gigabytes"),
    ("analyst_tables", ["salaries"], "only tables of tables.json"),
    ("producer_arns", ["*"], "without wildcards"),
    ("analyst_arns", [ROLE + "*"], "without wildcards"),
    ("web_shop_arns", ["arn:aws:iam::111122223333:root"], "IAM roles or users"),
    ("ci", {**CI, "issuer": "https://gitlab.com"}, "a host without https://"),
    ("ci", {**CI, "subjects": []}, "at least one subject"),
    ("ci", {**CI, "subjects": ["repo:o/*:ref:refs/heads/main"]}, "one repository each"),
    ("ci", {**CI, "subjects": ["*"]}, "one repository each"),
    ("database_version", "17.2", "a major version"),
    ("database_class", "t4g.small", "such as db.t4g.small"),
    ("database_storage_gb", {"initial": 50, "limit": 20}, "limit larger than it"),
    ("database_backup_days", 0, "1 to 35"),
    ("database_password_days", 0, "1 to 1000"),
    ("image_count", 1, "2 or more"),
    ("alarm_emails", [], "at least one e-mail address"),
    ("alarm_emails", ["night shift"], "at least one e-mail address"),
    ("monthly_budget_usd", 0, "more than 0"),
]


def _declared() -> dict[str, str]:
    text = "".join(path.read_text() for path in sorted(SOURCE.glob("variables*.tf")))
    return dict(re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def refusals(folder: Path, terraform: Terraform) -> Mapping[str, list[str]]:
    """What Terraform says of each wrong value, by the name of its test file."""
    tests = folder / "bad"
    tests.mkdir()
    for number, (variable, value, _) in enumerate(BAD):
        (tests / f"{number}.tftest.hcl").write_text(
            'mock_provider "aws" {\n  source = "./tests/mocks"\n}\n\nmock_provider "helm" {}\n\n'
            f'run "bad" {{\n  command = plan\n\n  variables {{\n    {variable} = {json.dumps(value)}\n  }}\n}}\n'
        )
    (tests / "terraform.tfvars").write_text((folder / "tests" / "terraform.tfvars").read_text())
    done = terraform("test", "-json", "-test-directory=bad", folder=folder)
    said: dict[str, list[str]] = {}
    for message in messages(done):
        if message["type"] == "diagnostic" and message["diagnostic"]["severity"] == "error":
            said.setdefault(message["@testfile"], []).append(message["diagnostic"]["detail"])
    return said


@pytest.mark.parametrize(("number", "case"), list(enumerate(BAD)), ids=str)
def test_a_wrong_variable_is_refused(
    refusals: Mapping[str, list[str]], number: int, case: tuple[str, object, str]
) -> None:
    variable, _, words = case
    said = [" ".join(detail.split()) for detail in refusals.get(f"bad/{number}.tftest.hcl", [])]
    assert any(words in detail and variable in detail for detail in said), said


def test_every_variable_is_typed_and_described() -> None:
    for name, body in _declared().items():
        assert re.search(r"^  type +=", body, re.MULTILINE), name
        assert re.search(r'^  description = ".{10,}"', body, re.MULTILINE), name


def test_every_variable_that_can_be_wrong_is_tried() -> None:
    free = {name for name, body in _declared().items() if "validation {" not in body}
    assert set(_declared()) - free == {variable for variable, _, _ in BAD}
    assert all(re.search(r"^  type +=\s+bool$", _declared()[name], re.MULTILINE) for name in free)


@pytest.mark.parametrize("values", ["dev.tfvars", "prod.tfvars"])
def test_the_example_values_are_accepted(folder: Path, terraform: Terraform, values: str) -> None:
    tests = folder / values.removesuffix(".tfvars")
    tests.mkdir()
    (tests / "terraform.tfvars").write_text((folder / values).read_text())
    (tests / "plan.tftest.hcl").write_text(
        'mock_provider "aws" {\n  source = "./tests/mocks"\n  override_data {\n'
        "    target = data.aws_iam_session_context.current\n"
        '    values = { issuer_arn = "arn:aws:iam::111122223333:role/platform-admin" }\n  }\n}\n\n'
        'mock_provider "helm" {}\n\nrun "plan" {\n  command = plan\n}\n'
    )
    done = terraform("test", f"-test-directory={tests.name}", "-no-color", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
