"""Terraform itself, and what it renders when everything is applied to mocked providers.

TERRAFORM in the environment is the command to run, `terraform` by default.
"""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pit_pipeline_tests.terraform.policy import Statement

SOURCE = Path(__file__).parents[2] / "terraform"

Terraform = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def terraform() -> Terraform:
    """Runs Terraform with arguments in a folder."""
    command = shlex.split(os.environ.get("TERRAFORM", "terraform"))

    def run(
        *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, f"-chdir={folder}", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **(environment or {})},
        )

    return run


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, terraform: Terraform) -> Path:
    """A copy of terraform/ whose state is local, initialised."""
    copy = tmp_path_factory.mktemp("root") / "terraform"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*", "backend.hcl"))
    if (SOURCE / ".terraform" / "providers").exists():  # or they would be downloaded once more
        (copy / ".terraform").mkdir()
        (copy / ".terraform" / "providers").symlink_to(SOURCE / ".terraform" / "providers")
    (copy / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    done = terraform("init", "-input=false", folder=copy)
    assert done.returncode == 0, done.stderr
    return copy


def messages(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """What a command said with -json."""
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture(scope="session")
def resources(folder: Path, terraform: Terraform) -> Mapping[str, Mapping[str, Any]]:
    """Every resource by its address, as tests/policies.tftest.hcl applies it."""
    done = terraform("test", "-json", "-verbose", "-filter=tests/policies.tftest.hcl", folder=folder)
    states = [message["test_state"] for message in messages(done) if message["type"] == "test_state"]
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert len(states) == 1
    return {resource["address"]: resource["values"] for resource in states[0]["root_module"]["resources"]}


@pytest.fixture(scope="session")
def policies(resources: Mapping[str, Mapping[str, Any]]) -> Mapping[str, list[Statement]]:
    """The statements of every role's own policies, by the role's name without the deployment's."""
    found: dict[str, list[Statement]] = {}
    for address, values in resources.items():
        if address.startswith("aws_iam_role_policy."):
            role = values["role"].removeprefix("pit-pipeline-test-")
            found.setdefault(role, []).extend(json.loads(values["policy"])["Statement"])
    return found
